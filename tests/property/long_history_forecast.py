"""What a call of the front must end with, told beforehand from the model alone.

A forecast names reasons: with a reason that must be, the call fails with one of the errors named; with none, it does
its work. What happens while it runs (a lost answer, somebody else's work) turns "must" into "may".
"""

from collections.abc import Iterator

from attrs import frozen

from rrbackup import Mode
from rrbackup.errors import (
    BasePathEmpty,
    Busy,
    ClientAtWork,
    ConfigError,
    LocalLockHeld,
    ModeError,
    NoSuchVersion,
    OutcomeUnknown,
    PasswordMissing,
    RRBackupError,
    StalePlan,
    StoreUnavailable,
    UpgradeNeeded,
    UsageError,
    WrongPassword,
)
from tests.property.long_history_clients import ENCRYPT, HASH, Actor
from tests.property.long_history_disk import Look
from tests.property.long_history_judge import OLD_CLAIM, Claim, Judge

MINUTE = 60 * 10**9
OWN_HOST, OTHERS = 15 * MINUTE, 24 * 60 * MINUTE

SETTLING = {"backup", "run plan", "collect", "clean", "prepare"}
"""What brings the repository to rest first."""
WRITING = {*SETTLING, "change password"}
READING = {"versions", "files", "changes", "download"}
KNOWING_KEYS = {*SETTLING, "plan"}
"""What opens the keys that the pipelines need."""

Errors = frozenset[type[RRBackupError]]


@frozen
class Call:
    """A call of the front and its options. `encrypted`: a version is to be restored that holds encrypted files."""

    what: str
    take_over: bool = False
    upgrade: bool = False
    allow_empty: bool = False
    reprocess: bool = False
    version: str = "latest"
    exists: bool = True
    encrypted: bool = False
    new_password: str = ""
    locked: bool = False


@frozen
class Forecast:
    """`silent`: refused before any request."""

    must: Errors = frozenset()
    may: Errors = frozenset()
    silent: bool = False

    def allows(self, error: RRBackupError | None) -> bool:
        if error is None:
            return not self.must
        return isinstance(error, tuple(self.must | self.may))

    def softened(self, *more: type[RRBackupError]) -> "Forecast":
        """Something happened meanwhile."""
        return Forecast(frozenset(), self.must | self.may | frozenset(more), self.silent)


SOMEBODY_ELSE = (Busy, ConfigError, WrongPassword, BasePathEmpty)
"""What another client's work in the middle of a call can bring: a commit, keys, a first encrypted diff."""
NO_ANSWER = (StoreUnavailable, OutcomeUnknown)


def forecast(judge: Judge, actor: Actor, call: Call, seen: Look) -> Forecast:
    held = {LocalLockHeld} if call.locked and call.what in WRITING else set()
    refused = {ModeError} if _mode_forbids(actor.mode, call.what) else set()
    if held or refused:
        return Forecast(frozenset({*held, *refused}), silent=True)
    must = {error for reasons in _MUST for error in reasons(judge, actor, call, seen)}
    may = {error for reasons in _MAY for error in reasons(judge, actor, call)}
    return Forecast(frozenset(must), frozenset(may))


def _mode_forbids(mode: Mode, what: str) -> bool:
    if what in ("collect", "clean"):
        return mode is not Mode.READ_WRITE
    return (what in WRITING and mode is Mode.READ_ONLY) or (what == "download" and mode is Mode.WRITE_ONLY)


# --- what must be in the way -----------------------------------------------------------------------------------------

Reasons = Iterator[type[RRBackupError]]


def _keys(judge: Judge, actor: Actor, call: Call, seen: Look) -> Reasons:
    """The keys of this version."""
    if actor.password is None:
        needed = actor.words & ({ENCRYPT, HASH} if judge.keys else {ENCRYPT})
        if call.what in KNOWING_KEYS and needed:
            yield PasswordMissing
        if judge.keys is not None and _reads_encrypted(judge, call):
            yield PasswordMissing
        if call.what == "change password" and judge.keys is not None:
            yield PasswordMissing
    elif judge.keys is not None and actor.password != judge.password:
        yield WrongPassword
    if call.what == "change password" and judge.keys is None and not judge.old_salt:
        yield UsageError


def _reads_encrypted(judge: Judge, call: Call) -> bool:
    return call.what in READING and (judge.sealed or (call.what == "download" and call.encrypted))


def _old_keys(judge: Judge, actor: Actor, call: Call, seen: Look) -> Reasons:
    """Where rrbackup 1.0 has encrypted, and nobody has continued its keys yet."""
    if not judge.old_salt or actor.password == judge.password:
        return
    if (call.what in SETTLING and call.upgrade) or _reads_encrypted(judge, call):
        yield PasswordMissing if actor.password is None else WrongPassword


def _upgrade(judge: Judge, actor: Actor, call: Call, seen: Look) -> Reasons:
    if call.what == "change password" and judge.old_salt:
        yield UpgradeNeeded
    claim = judge.claim() if call.what in SETTLING else None
    old_claim = claim is not None and claim.transaction == OLD_CLAIM
    if call.what in SETTLING and not call.upgrade and (judge.old_head or old_claim):
        yield UpgradeNeeded
    unproven = judge.old_salt and not judge.past.encrypted_diffs and actor.mode is Mode.WRITE_ONLY
    if call.what in SETTLING and call.upgrade and unproven:
        yield ModeError


def _somebody_at_work(judge: Judge, actor: Actor, call: Call, seen: Look) -> Reasons:
    claim = judge.claim() if call.what in SETTLING else None
    if claim is not None and not judge.ended(claim) and not may_end(judge, actor, call, claim):
        yield ClientAtWork


def may_end(judge: Judge, actor: Actor, call: Call, claim: Claim) -> bool:
    """Whether courtesy lets this client end an open transaction."""
    age = judge.store.clock_ns - claim.modified_ns
    silent = age >= (OWN_HOST if claim.host == actor.name else OTHERS)
    known_dead = claim.transaction in (OLD_CLAIM, *actor.own_transactions())
    return call.take_over or silent or known_dead or judge.committed(claim)


def _plain_on_sealed(judge: Judge, actor: Actor, call: Call, seen: Look) -> Reasons:
    if judge.sealed and not actor.seals and call.what in ("backup", "plan", "collect"):
        yield ConfigError


def _empty_base(judge: Judge, actor: Actor, call: Call, seen: Look) -> Reasons:
    if call.what in ("backup", "plan") and seen.bare and judge.entries and not call.allow_empty:
        yield BasePathEmpty


def _stale(judge: Judge, actor: Actor, call: Call, seen: Look) -> Reasons:
    if call.what == "run plan" and actor.dry_run is not None and actor.dry_run.head != judge.head:
        yield StalePlan


def _no_version(judge: Judge, actor: Actor, call: Call, seen: Look) -> Reasons:
    if call.what in READING and not call.exists:
        yield NoSuchVersion


_MUST = (_keys, _old_keys, _upgrade, _somebody_at_work, _plain_on_sealed, _empty_base, _stale, _no_version)


# --- what may be in the way ------------------------------------------------------------------------------------------


def _depends_on_memory(judge: Judge, actor: Actor, call: Call) -> Reasons:
    """A head that is known is not read, so that a missing password shows late, perhaps only at an encrypted claim."""
    if judge.keys is not None and call.what in KNOWING_KEYS and actor.password is None:
        yield PasswordMissing
    if judge.past.encrypted_diffs and call.what in KNOWING_KEYS and actor.password is None:
        yield PasswordMissing
    if judge.old_salt and call.what in KNOWING_KEYS and actor.password != judge.password:
        yield WrongPassword


def _depends_on_work(judge: Judge, actor: Actor, call: Call) -> Reasons:
    """Without anything to write, nothing is refused; recovery may move the head of a plan, or continue what is open."""
    if judge.sealed and not actor.seals and call.what in ("run plan", "clean", "prepare"):
        yield ConfigError
    claim = judge.claim() if call.what in SETTLING else None
    if call.what == "run plan" and claim is not None:
        yield StalePlan
    if claim is not None and judge.ended(claim) and not may_end(judge, actor, call, claim):
        yield ClientAtWork  # a collection has published its fence, and may be deleting


def _unproven(judge: Judge, actor: Actor, call: Call) -> Reasons:
    """To make keys where rrbackup 1.0 wrote, a file may have to be read that proves the password."""
    makes_keys = judge.keys is None and call.what in SETTLING and bool(judge.past.commits)
    if makes_keys and actor.mode is Mode.WRITE_ONLY:
        yield ModeError


_MAY = (_unproven, _depends_on_memory, _depends_on_work)
