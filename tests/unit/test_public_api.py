"""The public interface: these names, no others, and at no cost before they are used."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import rrbackup
from rrbackup import testing

_NAMES = """
AccessDenied Applied BackupPlan BackupResult BasePathEmpty BasePathMissing Busy BytesMoved Cancelled Candidate Change
CheckPlanned ClientAtWork CollectResult CommandFailed CommitCopied CommitStats Comparing Comparison ConditionFailed
Config ConfigError CopiedCommit CopyPlan CopyPlanned CopyResult Cost Counts Credentials CryptoSettings Damage
DamageKind DamagedChain DamagedObject DamagedRecord Decision Detection Diagnosis Difference DifferenceKind
DirectorySettings DownloadPlanned DownloadResult Entry EntryType Event Explanation Extra FileDone Found Happening
HeadDeleted HeadRef HeadRepaired HealResult LeftOut Limits Listing LocalLockHeld LocalStateError Lost ManifestState
Mode ModeError NoSuchPath NoSuchVersion NotVersioned Notice ObjectMissing ObjectRef OldClientWrote OnEvent
OutcomeUnknown Overwrite Owner PasswordChanged PasswordMissing PathEvent PathHistory PathText PipelineRule
PipelineStats PlanMade Planned PolicyMode Problem ProblemFound ProblemKind Published RRBackupError Reason Repository
RepositoryError RepositoryStats RestoreAct RestorePlan RestoreReason RestoreStep S3Settings SaltVersion Scanning
SearchResult SourceError StalePlan Status StoreError StoreMissing StoreUnavailable StoreWentBack Touched Traffic
TransactionLost Unsound UnsupportedFormat UpgradeNeeded UsageError Verdict VerifyResult Version VersionId VersionRef
Word WrongPassword XAttr decode_plan encode_plan load_config open_repository parse_config parse_filter_lines
path_bytes path_text
"""
PUBLIC = _NAMES.split()

TESTING = ["Call", "Fault", "FaultKind", "MemoryClient", "MemoryStore", "SimulatedCrash"]


def test_no_name_has_come_or_gone() -> None:
    assert rrbackup.__all__ == PUBLIC
    assert dir(rrbackup) == PUBLIC
    assert testing.__all__ == TESTING


def test_the_names_are_sorted() -> None:
    assert sorted(PUBLIC) == PUBLIC
    assert sorted(TESTING) == TESTING


def test_every_error_is_public() -> None:
    assert set(import_module("rrbackup.errors").__all__) <= set(PUBLIC)


def test_every_event_is_public() -> None:
    assert set(import_module("rrbackup.events").__all__) <= set(PUBLIC)


def _declared() -> list[tuple[str, str]]:
    """Module and name of what `rrbackup/__init__.py` imports for type checkers."""
    tree = ast.parse(Path(rrbackup.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    found = [(node.module or "", alias.name) for node in imports for alias in node.names]
    return [(module, name) for module, name in found if module.startswith("rrbackup.")]


def test_type_checkers_see_the_same_names() -> None:
    assert sorted(name for _, name in _declared()) == PUBLIC


@pytest.mark.parametrize(("module", "name"), _declared())
def test_a_name_is_what_type_checkers_take_it_for(module: str, name: str) -> None:
    assert getattr(rrbackup, name) is getattr(import_module(module), name)


def test_everything_can_be_imported_by_star() -> None:
    names: dict[str, object] = {}
    exec("from rrbackup import *", names)
    assert set(PUBLIC) <= names.keys()


def test_other_names_do_not_exist() -> None:
    with pytest.raises(AttributeError, match="module 'rrbackup' has no attribute 'Store'"):
        _ = rrbackup.Store  # type: ignore[attr-defined]


def _loaded_after(code: str) -> set[str]:
    command = [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules, sep='\\n')"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())


def test_importing_the_package_imports_nothing_of_it() -> None:
    loaded = _loaded_after("import rrbackup")
    assert {name for name in loaded if name.startswith("rrbackup")} == {"rrbackup"}
    assert not {"attr", "boto3", "cattrs", "click", "json5", "orjson", "rich"} & loaded


def test_errors_come_without_the_configuration() -> None:
    assert "rrbackup.config" not in _loaded_after("from rrbackup import StoreMissing, BytesMoved")


def test_the_library_needs_neither_the_command_line_nor_boto3() -> None:
    loaded = _loaded_after("from rrbackup import *")
    assert "rrbackup.api" in loaded
    assert not {"boto3", "botocore", "click", "rich", "rrbackup.cli"} & loaded
