"""What may not be copied into, guard by guard: each refuses with its own words, before anything is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

import rrbackup
from rrbackup import Repository, RRBackupError
from rrbackup.effects.local_files import LocalLock
from rrbackup.effects.memory import MemoryStore
from rrbackup.pure.model import Word
from tests.copies import Source, Step, opened, written
from tests.integration.test_copying import crypto, golden_source

HISTORY = (
    Step({"/a": ("file", 1), "/b": ("file", 2)}),
    Step({"/b": ("file", 3), "/a": None}),
    Step({"/sub/c": ("file", 2)}),
)

OTHER = (Step({"/z": ("file", 1)}),)


@frozen
class Stage:
    """A source with three commits, and where its target lies."""

    folder: Path
    stored: MemoryStore
    source: Repository
    target: MemoryStore

    def copy(self, **settings: object) -> Repository:
        return opened(self.folder / "copy", self.target, **settings)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stored = written(HISTORY)
    return Stage(tmp_path, stored, opened(tmp_path / "source", stored), MemoryStore())


Attempt = Callable[[Stage], object]


def into_itself(stage: Stage) -> object:
    """The same store under other local files."""
    return stage.source.copy(opened(stage.folder / "other", stage.stored))


def into_a_copy_of_another(stage: Stage) -> object:
    opened(stage.folder / "another", written(OTHER)).copy(stage.copy())
    return stage.source.copy(stage.copy())


def into_a_repository(stage: Stage) -> object:
    Source(stage.target).commit(HISTORY[0])
    return stage.source.copy(stage.copy())


def into_a_copy_with_a_backup_on_top(stage: Stage) -> object:
    stage.source.copy(stage.copy())
    copy = stage.copy()
    Path(copy.config.base_path).mkdir(exist_ok=True)
    (Path(copy.config.base_path) / "new").write_bytes(b"new")
    copy.backup()
    return stage.source.copy(stage.copy())


def into_one_that_is_ahead(stage: Stage) -> object:
    """As after the source was set back."""
    stage.source.copy(stage.copy())
    newest = next(iter(stage.stored.list_versions("manifest_diffs")))
    stage.stored.delete_versions([newest.ref])
    return opened(stage.folder / "later", stage.stored).copy(stage.copy())


def into_format_1(stage: Stage) -> object:
    _, old = golden_source("format1-plain", stage.folder / "old")
    return stage.source.copy(old)


def with_the_same_local_files(stage: Stage) -> object:
    return stage.source.copy(opened(stage.folder / "source", stage.target))


def while_the_target_is_in_use(stage: Stage) -> object:
    copy = stage.copy()
    with LocalLock(copy.config.lock_path()):
        return stage.source.copy(copy)


def under_another_password(stage: Stage) -> object:
    secret = {"meta_pipeline": [Word.ENCRYPT], "file_pipeline": [["*", [Word.ENCRYPT]]]}
    stage.source.copy(stage.copy(crypto=crypto("horse"), **secret))
    return stage.source.copy(opened(stage.folder / "copy2", stage.target, crypto=crypto("mule"), **secret))


def as_one_who_may_only_write(stage: Stage) -> object:
    return opened(stage.folder / "writer", stage.stored, write_only=True).copy(stage.copy())


REFUSALS: dict[str, tuple[Attempt, type[RRBackupError], str]] = {
    "itself": (into_itself, rrbackup.UsageError, "is no copy of a commit of this repository"),
    "a copy of another": (into_a_copy_of_another, rrbackup.UsageError, "is no copy of a commit of this repository"),
    "a repository": (into_a_repository, rrbackup.UsageError, "is no copy of a commit of this repository"),
    "a backup on top": (into_a_copy_with_a_backup_on_top, rrbackup.UsageError, "is no copy of a commit"),
    "ahead": (into_one_that_is_ahead, rrbackup.UsageError, "is no copy of a commit of this repository"),
    "format 1": (into_format_1, rrbackup.UsageError, "is no copy of a commit of this repository"),
    "same local files": (with_the_same_local_files, rrbackup.ConfigError, "repository to be copied as well"),
    "in use": (while_the_target_is_in_use, rrbackup.LocalLockHeld, "holds the lock"),
    "another password": (under_another_password, rrbackup.WrongPassword, "password"),
    "write-only source": (as_one_who_may_only_write, rrbackup.ModeError, "may not read file contents"),
    "read-only target": (lambda s: s.source.copy(s.copy(read_only=True)), rrbackup.ModeError, "read-only"),
    "write-only target": (lambda s: s.source.copy(s.copy(write_only=True)), rrbackup.ModeError, "write-only"),
    "no-delete target": (
        lambda s: s.source.copy(s.copy(allow_delete_versions=False)),
        rrbackup.ModeError,
        "may not delete versions",
    ),
    "none of the commits": (lambda s: s.source.copy(s.copy(), last=0), rrbackup.UsageError, "the last 0 commits"),
    "no rule": (
        lambda s: s.source.copy(s.copy(file_pipeline=[["/x", []]])),
        rrbackup.ConfigError,
        "no rule matches /a",
    ),
}


def held(store: MemoryStore) -> set[tuple[str, str]]:
    return {(row.key, row.version_id) for row in store.list_versions("")}


@pytest.mark.parametrize(("attempt", "error", "said"), REFUSALS.values(), ids=REFUSALS)
def test_what_may_not_be_copied_into_is_refused_and_stays_as_it_is(
    stage: Stage, attempt: Attempt, error: type[RRBackupError], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the attempt itself prepared is there before `copy` is called the last time."""
    before: list[tuple[set[tuple[str, str]], set[tuple[str, str]]]] = []
    copy_to = Repository.copy

    def watched(self: Repository, target: Repository, **options: Any) -> object:
        before.append((held(stage.stored), held(stage.target)))
        return copy_to(self, target, **options)

    monkeypatch.setattr(Repository, "copy", watched)
    with pytest.raises(error) as caught:
        attempt(stage)
    assert said in str(caught.value)
    assert caught.value.hint
    assert (held(stage.stored), held(stage.target)) == before[-1]


@pytest.mark.parametrize("name", ["itself", "a repository", "ahead", "same local files", "none of the commits"])
def test_a_plan_refuses_the_same(stage: Stage, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt, error, said = REFUSALS[name]
    if name in ("itself", "same local files", "none of the commits"):
        monkeypatch.setattr(Repository, "copy", Repository.plan_copy)
    else:
        with pytest.raises(error):
            attempt(stage)
        monkeypatch.setattr(Repository, "copy", Repository.plan_copy)
        attempt = plan_into_copy
    with pytest.raises(error, match=said):
        attempt(stage)


def plan_into_copy(stage: Stage) -> object:
    return opened(stage.folder / "planner", stage.stored).plan_copy(stage.copy())
