"""rrbackup: versioning file backup to S3, as a library.

    import rrbackup

    config = rrbackup.load_config("configuration.json")
    with rrbackup.open_repository(config) as repository:
        print(repository.backup())

The rule: what stands in `__all__` is the public interface, and nothing else. A name is fetched from its module when it
is first used, so that importing the package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rrbackup.api import Repository, open_repository
    from rrbackup.config import (
        Config,
        CryptoSettings,
        DirectorySettings,
        S3Settings,
        load_config,
        parse_config,
    )
    from rrbackup.effects.applying import Applied
    from rrbackup.effects.credentials import Credentials
    from rrbackup.effects.head_repair import HeadRepaired
    from rrbackup.effects.healing import HealResult
    from rrbackup.effects.keys import PasswordChanged
    from rrbackup.effects.limited import Limits
    from rrbackup.effects.salt_versions import SaltVersion
    from rrbackup.effects.verifying import DamagedRecord, VerifyResult
    from rrbackup.errors import (
        AccessDenied,
        BasePathEmpty,
        BasePathMissing,
        Busy,
        Cancelled,
        ClientAtWork,
        CommandFailed,
        ConditionFailed,
        ConfigError,
        DamagedChain,
        DamagedObject,
        HeadDeleted,
        LocalLockHeld,
        LocalStateError,
        ModeError,
        NoSuchPath,
        NoSuchVersion,
        NotVersioned,
        ObjectMissing,
        OldClientWrote,
        OutcomeUnknown,
        PasswordMissing,
        RepositoryError,
        RRBackupError,
        SourceError,
        StalePlan,
        StoreError,
        StoreMissing,
        StoreUnavailable,
        StoreWentBack,
        TransactionLost,
        UnsupportedFormat,
        UpgradeNeeded,
        UsageError,
        WrongPassword,
    )
    from rrbackup.events import (
        BytesMoved,
        CheckPlanned,
        CommitCopied,
        Comparing,
        CopyPlanned,
        DownloadPlanned,
        Event,
        FileDone,
        Notice,
        OnEvent,
        PlanMade,
        ProblemFound,
        Published,
        Scanning,
    )
    from rrbackup.pure.attributes import Extra, Owner, XAttr
    from rrbackup.pure.comparison import Comparison, Difference, DifferenceKind
    from rrbackup.pure.copying import CopiedCommit, CopyPlan, CopyResult
    from rrbackup.pure.damage import Damage, DamageKind, Touched
    from rrbackup.pure.diagnosis import Diagnosis, Verdict
    from rrbackup.pure.explanation import Decision, Explanation
    from rrbackup.pure.filters import parse_filter_lines
    from rrbackup.pure.format2 import decode_plan, encode_plan
    from rrbackup.pure.model import (
        Change,
        Entry,
        EntryType,
        HeadRef,
        Mode,
        ObjectRef,
        PathText,
        Problem,
        ProblemKind,
        Status,
        VersionId,
        VersionRef,
        Word,
    )
    from rrbackup.pure.names import path_bytes, path_text
    from rrbackup.pure.pipeline import PipelineRule
    from rrbackup.pure.plan import BackupPlan, Candidate, Planned
    from rrbackup.pure.policies import PolicyMode
    from rrbackup.pure.prices import Cost, Traffic
    from rrbackup.pure.reason import Reason
    from rrbackup.pure.report import BackupResult, CollectResult, Counts, DownloadResult, Listing, Version
    from rrbackup.pure.restore_plan import Overwrite, RestoreAct, RestorePlan, RestoreReason, RestoreStep
    from rrbackup.pure.rules import Detection
    from rrbackup.pure.scan import LeftOut
    from rrbackup.pure.soundness import Lost, ManifestState, Unsound
    from rrbackup.pure.statistics import CommitStats, PipelineStats, RepositoryStats
    from rrbackup.pure.timeline import Found, Happening, PathEvent, PathHistory, SearchResult

__all__ = [
    "AccessDenied",
    "Applied",
    "BackupPlan",
    "BackupResult",
    "BasePathEmpty",
    "BasePathMissing",
    "Busy",
    "BytesMoved",
    "Cancelled",
    "Candidate",
    "Change",
    "CheckPlanned",
    "ClientAtWork",
    "CollectResult",
    "CommandFailed",
    "CommitCopied",
    "CommitStats",
    "Comparing",
    "Comparison",
    "ConditionFailed",
    "Config",
    "ConfigError",
    "CopiedCommit",
    "CopyPlan",
    "CopyPlanned",
    "CopyResult",
    "Cost",
    "Counts",
    "Credentials",
    "CryptoSettings",
    "Damage",
    "DamageKind",
    "DamagedChain",
    "DamagedObject",
    "DamagedRecord",
    "Decision",
    "Detection",
    "Diagnosis",
    "Difference",
    "DifferenceKind",
    "DirectorySettings",
    "DownloadPlanned",
    "DownloadResult",
    "Entry",
    "EntryType",
    "Event",
    "Explanation",
    "Extra",
    "FileDone",
    "Found",
    "Happening",
    "HeadDeleted",
    "HeadRef",
    "HeadRepaired",
    "HealResult",
    "LeftOut",
    "Limits",
    "Listing",
    "LocalLockHeld",
    "LocalStateError",
    "Lost",
    "ManifestState",
    "Mode",
    "ModeError",
    "NoSuchPath",
    "NoSuchVersion",
    "NotVersioned",
    "Notice",
    "ObjectMissing",
    "ObjectRef",
    "OldClientWrote",
    "OnEvent",
    "OutcomeUnknown",
    "Overwrite",
    "Owner",
    "PasswordChanged",
    "PasswordMissing",
    "PathEvent",
    "PathHistory",
    "PathText",
    "PipelineRule",
    "PipelineStats",
    "PlanMade",
    "Planned",
    "PolicyMode",
    "Problem",
    "ProblemFound",
    "ProblemKind",
    "Published",
    "RRBackupError",
    "Reason",
    "Repository",
    "RepositoryError",
    "RepositoryStats",
    "RestoreAct",
    "RestorePlan",
    "RestoreReason",
    "RestoreStep",
    "S3Settings",
    "SaltVersion",
    "Scanning",
    "SearchResult",
    "SourceError",
    "StalePlan",
    "Status",
    "StoreError",
    "StoreMissing",
    "StoreUnavailable",
    "StoreWentBack",
    "Touched",
    "Traffic",
    "TransactionLost",
    "Unsound",
    "UnsupportedFormat",
    "UpgradeNeeded",
    "UsageError",
    "Verdict",
    "VerifyResult",
    "Version",
    "VersionId",
    "VersionRef",
    "Word",
    "WrongPassword",
    "XAttr",
    "decode_plan",
    "encode_plan",
    "load_config",
    "open_repository",
    "parse_config",
    "parse_filter_lines",
    "path_bytes",
    "path_text",
]

# Lightest first: looking for an error imports neither the configuration's parser nor a store.
_MODULES = (
    "rrbackup.errors",
    "rrbackup.pure.model",
    "rrbackup.pure.attributes",
    "rrbackup.events",
    "rrbackup.pure.names",
    "rrbackup.pure.filters",
    "rrbackup.pure.pipeline",
    "rrbackup.pure.reason",
    "rrbackup.pure.rules",
    "rrbackup.pure.plan",
    "rrbackup.pure.report",
    "rrbackup.pure.prices",
    "rrbackup.pure.restore_plan",
    "rrbackup.pure.soundness",
    "rrbackup.pure.timeline",
    "rrbackup.pure.comparison",
    "rrbackup.pure.statistics",
    "rrbackup.pure.explanation",
    "rrbackup.pure.damage",
    "rrbackup.pure.diagnosis",
    "rrbackup.pure.copying",
    "rrbackup.pure.policies",
    "rrbackup.pure.format2",
    "rrbackup.config",
    "rrbackup.effects.credentials",
    "rrbackup.effects.keys",
    "rrbackup.effects.salt_versions",
    "rrbackup.effects.head_repair",
    "rrbackup.effects.verifying",
    "rrbackup.effects.healing",
    "rrbackup.effects.limited",
    "rrbackup.effects.applying",
    "rrbackup.api",
)


if not TYPE_CHECKING:  # a checker would take every name for one that exists

    def __getattr__(name: str) -> object:
        if name in __all__:
            for module in map(import_module, _MODULES):
                if hasattr(module, name):
                    globals()[name] = getattr(module, name)
                    return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
