"""Every error that rrbackup raises on purpose, in one tree.

Callers dispatch on the class; the message says what happened and to which path, key or version, and `hint`
says what can be done about it::

    RRBackupError
    ├── ConfigError              the configuration, all of its faults at once
    ├── UsageError               a call or an argument that makes no sense
    ├── CommandFailed            before_backup or after_backup
    ├── SourceError              the tree to be backed up, or the target of a restore
    │   ├── BasePathMissing
    │   └── BasePathEmpty
    ├── LocalStateError          local manifest, journal or lock file
    │   └── StoreWentBack        the store is behind what this client has seen
    ├── StoreError               what a store answered
    │   ├── StoreMissing         no such bucket or directory
    │   ├── ObjectMissing        no such key, or no such version of it
    │   ├── ConditionFailed      a conditional write was refused
    │   ├── OutcomeUnknown       a write may or may not have been applied
    │   ├── AccessDenied
    │   ├── NotVersioned         the bucket keeps no versions
    │   └── StoreUnavailable     gave up after retries
    ├── RepositoryError          what the objects in the store say
    │   ├── NoSuchVersion
    │   ├── NoSuchPath           the commit has nothing there
    │   ├── DamagedObject
    │   ├── DamagedChain
    │   │   └── OldClientWrote   rrbackup 1.0 wrote on top of this version's commits
    │   ├── HeadDeleted
    │   ├── UnsupportedFormat
    │   ├── UpgradeNeeded        rrbackup 1.0 wrote this repository, and nobody said that it may be continued
    │   └── WrongPassword
    │       └── PasswordMissing
    ├── ModeError                an effect that the client's mode forbids
    └── Busy                     somebody else is at work
        ├── LocalLockHeld
        ├── ClientAtWork         an open claim that is not ours
        ├── StalePlan            the plan was made against an older head
        └── TransactionLost      another client won; nothing was published

`Cancelled` stands beside the tree: nothing failed, and nothing may take it for the failure of one file or request.
"""

from collections.abc import Sequence

__all__ = [
    "AccessDenied",
    "BasePathEmpty",
    "BasePathMissing",
    "Busy",
    "Cancelled",
    "ClientAtWork",
    "CommandFailed",
    "ConditionFailed",
    "ConfigError",
    "DamagedChain",
    "DamagedObject",
    "HeadDeleted",
    "LocalLockHeld",
    "LocalStateError",
    "ModeError",
    "NoSuchPath",
    "NoSuchVersion",
    "NotVersioned",
    "ObjectMissing",
    "OldClientWrote",
    "OutcomeUnknown",
    "PasswordMissing",
    "RRBackupError",
    "RepositoryError",
    "SourceError",
    "StalePlan",
    "StoreError",
    "StoreMissing",
    "StoreUnavailable",
    "StoreWentBack",
    "TransactionLost",
    "UnsupportedFormat",
    "UpgradeNeeded",
    "UsageError",
    "WrongPassword",
]


class RRBackupError(Exception):
    """The root of the tree. `str()` gives the message; `hint` what to do, possibly empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Cancelled(Exception):
    """The program that called has asked for the end; what was published or written before stays."""


class ConfigError(RRBackupError):
    """The configuration cannot be used. `problems` holds one line per fault."""

    def __init__(self, source: str, problems: Sequence[str], *, hint: str = "") -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join((f"configuration {source}:", *(f"  {p}" for p in self.problems))), hint=hint)


class UsageError(RRBackupError):
    """A call or an argument that makes no sense."""


class CommandFailed(RRBackupError):
    """A command of the configuration, before_backup or after_backup, could not be run or has failed."""


class SourceError(RRBackupError):
    """The tree to be backed up, or the target of a restore, cannot be used."""


class RestoredWithout(SourceError):
    """Something is in its place, but the target refuses it an owner or an attribute. A problem of a download."""


class BasePathMissing(SourceError):
    """base_path does not exist or is not a folder."""


class BasePathEmpty(SourceError):
    """base_path is empty although the last commit is not."""


class LocalStateError(RRBackupError):
    """The local manifest, journal or lock file cannot be read or written."""


class StoreWentBack(LocalStateError):
    """The store holds an older or another history than this client has seen."""


class StoreError(RRBackupError):
    """What a store answered."""


class StoreMissing(StoreError):
    """There is no such bucket or directory."""


class ObjectMissing(StoreError):
    """There is no such key, or no such version of it."""


class ConditionFailed(StoreError):
    """A conditional write was refused; nothing was written by this request. `busy`: because another was under way,
    which says nothing of whether the condition holds."""

    def __init__(self, message: str, *, hint: str = "", busy: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.busy = busy


class OutcomeUnknown(StoreError):
    """A write was sent and no answer came: it may be applied, or be applied yet."""


class AccessDenied(StoreError):
    """The store refused the credentials or lacks a permission."""


class NotVersioned(StoreError):
    """The bucket does not keep versions, so nothing in it could be trusted."""


class StoreUnavailable(StoreError):
    """The store could not be reached or kept failing; given up after retries."""


class RepositoryError(RRBackupError):
    """What the objects in the store say cannot be used."""


class NoSuchVersion(RepositoryError):
    """No commit has that version id, or several begin with it."""


class NoSuchPath(RepositoryError):
    """A commit has no file, folder or link of that path."""


class DamagedObject(RepositoryError):
    """An object's bytes are not what they must be."""


class DamagedChain(RepositoryError):
    """The diffs do not form one gapless chain."""


class OldClientWrote(DamagedChain):
    """A diff of rrbackup 1.0 lies above one of this version: a client that was not stopped still writes."""


class HeadDeleted(RepositoryError):
    """Versions of the manifest exist, but a delete marker lies on top of them."""


class UnsupportedFormat(RepositoryError):
    """Written by a version of rrbackup that this one does not know."""


class UpgradeNeeded(RepositoryError):
    """rrbackup 1.0 wrote this repository; writing to it has to be allowed once."""


class WrongPassword(RepositoryError):
    """The password does not open this repository; nothing else was tried."""


class PasswordMissing(WrongPassword):
    """This needs the password, and none was given."""


class ModeError(RRBackupError):
    """The client's mode (read only, write only) forbids this."""


class Busy(RRBackupError):
    """Somebody else is at work."""


class LocalLockHeld(Busy):
    """Another process on this machine holds the local lock."""


class ClientAtWork(Busy):
    """The store holds an open claim of another client."""


class StalePlan(Busy):
    """The plan was made against a head that is no longer the head."""


class TransactionLost(Busy):
    """Another client won. Nothing was published; what was uploaded has been taken back."""
