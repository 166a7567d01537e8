"""`cancelled`: every verb that asks the store ends at its next turn, and nothing is broken by it."""

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from rrbackup import (
    Cancelled,
    Comparing,
    Config,
    DirectorySettings,
    Event,
    Limits,
    Overwrite,
    ProblemFound,
    Repository,
    RRBackupError,
    Scanning,
    open_repository,
    testing,
)
from rrbackup.effects.cancelling import CancellableStore, Cancellation
from rrbackup.effects.control import Control, ObjectNames
from rrbackup.effects.renewing import Renewal
from rrbackup.effects.store import Store, UnfinishedUpload
from rrbackup.pure.claims import Signature, opening
from rrbackup.pure.model import SeenClaim, TransactionId, VersionId
from tests.integration.trees import look, write

TREE = {f"f{number}": b"content %d" % number for number in range(3)}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    write(tmp_path / "base", TREE)
    return Config(
        base_path=tmp_path / "base",
        local_manifest_file=tmp_path / "manifest",
        local_lock_file=tmp_path / "lock",
        directory=DirectorySettings(path=tmp_path / "not used"),
    )


def after(asked: int) -> Callable[[], bool]:
    """True from the turn with this number on."""
    turns = count(1)
    return lambda: next(turns) > asked


def test_a_backup_cancelled_at_any_turn_goes_on_with_the_next_run(config: Config) -> None:
    ended = 0
    for turn in range(1000):
        memory = testing.MemoryStore()
        config.manifest_path().unlink(missing_ok=True)
        config.journal_path().unlink(missing_ok=True)
        try:
            open_repository(config, store=memory.client(), threads=1, cancelled=after(turn)).backup()
        except Cancelled:
            ended += 1
        else:
            break
        with open_repository(config, store=memory.client(), threads=1) as repository:
            repository.backup()
            assert len(repository.list_versions()) == 1
            assert not repository.verify(read_data=True).damaged
            assert repository.garbage_collect().deleted == ()
    assert ended > 10


def test_a_download_cancelled_at_any_turn_leaves_whole_files_only(config: Config, tmp_path: Path) -> None:
    memory = testing.MemoryStore()
    open_repository(config, store=memory.client()).backup()
    seen = set()
    for turn in range(1000):
        target = tmp_path / f"out {turn}"
        try:
            open_repository(config, store=memory.client(), threads=1, cancelled=after(turn)).download("latest", target)
        except Cancelled:
            found = {path.name: path.read_bytes() for path in target.iterdir()} if target.exists() else {}
            assert found.items() <= TREE.items()
            seen.add(len(found))
        else:
            assert look(target) == look(config.base())
            break
    assert {0, 1, 2} <= seen


def test_a_download_is_cancelled_while_it_reads_what_is_in_the_target(config: Config, tmp_path: Path) -> None:
    size = 3 << 20
    write(config.base(), {"big": bytes(size)})
    write(tmp_path / "out", {"big": b"1" * size})  # as big, of another time: only its content tells whether it differs
    memory = testing.MemoryStore()
    open_repository(config, store=memory.client()).backup()
    told: list[Event] = []
    repository = open_repository(
        config, store=memory.client(), threads=1, cancelled=lambda: told[-1:] == [Comparing(1, 1 << 20)]
    )
    with pytest.raises(Cancelled):
        repository.download("latest", tmp_path / "out", on_event=told.append, overwrite=Overwrite.IF_CHANGED)
    assert told[0] == Scanning(str(tmp_path / "out"), 1)
    assert look(tmp_path / "out")[b"big"].content == b"1" * size


VERBS: dict[str, Callable[[Repository, Path], object]] = {
    "init": lambda repository, _: repository.init(recovery_kit=True),
    "backup": lambda repository, _: repository.backup(),
    "plan_backup": lambda repository, _: repository.plan_backup(),
    "list_versions": lambda repository, _: repository.list_versions(),
    "list_files": lambda repository, _: repository.list_files(),
    "list_changes": lambda repository, _: repository.list_changes(),
    "find": lambda repository, _: repository.find("*"),
    "history": lambda repository, _: repository.history("/f0"),
    "diff": lambda repository, _: repository.diff("latest"),
    "stats": lambda repository, _: repository.stats(),
    "explain": lambda repository, _: repository.explain("/f0"),
    "download": lambda repository, path: repository.download("latest", path / "out"),
    "plan_download": lambda repository, path: repository.plan_download("latest", path / "out"),
    "cat": lambda repository, _: b"".join(repository.cat("latest", "/f0")),
    "verify": lambda repository, _: repository.verify(read_data=True),
    "heal": lambda repository, _: repository.heal(),
    "doctor": lambda repository, _: repository.doctor(),
    "garbage_collect": lambda repository, _: repository.garbage_collect(),
    "clean_gc_log": lambda repository, _: repository.clean_gc_log(),
    "repair_head": lambda repository, _: repository.repair_head("latest"),
    "manifest_state": lambda repository, _: repository.manifest_state(),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_can_be_cancelled(verb: str, config: Config, tmp_path: Path) -> None:
    memory = testing.MemoryStore()
    open_repository(config, store=memory.client()).backup()
    with pytest.raises(Cancelled):
        VERBS[verb](open_repository(config, store=memory.client(), cancelled=lambda: True), tmp_path)


def test_a_copy_can_be_cancelled(config: Config, tmp_path: Path) -> None:
    memory, second = testing.MemoryStore(), testing.MemoryStore()
    open_repository(config, store=memory.client()).backup()
    other = Config(
        base_path=tmp_path / "base",
        local_manifest_file=tmp_path / "manifest 2",
        local_lock_file=tmp_path / "lock 2",
        directory=DirectorySettings(path=tmp_path / "not used either"),
    )
    with pytest.raises(Cancelled):
        open_repository(config, store=memory.client(), cancelled=after(5)).copy(
            open_repository(other, store=second.client())
        )
    result = open_repository(config, store=memory.client()).copy(open_repository(other, store=second.client()))
    assert (len(result.commits), result.already) == (1, 0)


@pytest.mark.parametrize("verb", ["plan_backup", "backup"])
def test_local_work_without_requests_is_cancelled_with_its_next_event(verb: str, config: Config) -> None:
    """Of two things that nobody can back up, the second is not told of, nor is the plan."""
    for name in ("p1", "p2"):
        os.mkfifo(config.base() / name)
    told: list[Event] = []
    store = testing.MemoryStore().client()
    with pytest.raises(Cancelled):
        getattr(open_repository(config, store=store, cancelled=lambda: bool(told)), verb)(on_event=told.append)
    assert [type(event) for event in told] == [ProblemFound]


REQUESTS: dict[str, Callable[[Store], object]] = {
    "prepare": lambda store: store.prepare(),
    "head": lambda store: store.head("a"),
    "get": lambda store: store.get("a"),
    "read": lambda store: store.read("a", VersionId("v")).__enter__(),
    "put": lambda store: store.put("a", b"x"),
    "list_versions": lambda store: store.list_versions("a"),
    "delete_versions": lambda store: store.delete_versions([]),
    "list_uploads": lambda store: store.list_uploads("a"),
    "abort_upload": lambda store: store.abort_upload(UnfinishedUpload("a", "id")),
}


@pytest.mark.parametrize("request_of", REQUESTS)
def test_no_request_is_begun_any_more(request_of: str) -> None:
    memory = testing.MemoryStore()
    client = memory.client()
    with pytest.raises(Cancelled):
        REQUESTS[request_of](CancellableStore(client, Cancellation(lambda: True)))
    assert client.calls == ()


def test_bodies_and_listings_end_at_their_next_piece() -> None:
    wanted: list[int] = []
    plain = testing.MemoryStore().client()
    store = CancellableStore(plain, Cancellation(lambda: bool(wanted)))

    def body() -> Iterator[bytes]:
        yield b"x"
        wanted.append(1)
        yield b"y"

    with pytest.raises(Cancelled):
        store.put("a", body())
    assert list(plain.list_versions("a")) == []
    wanted.clear()
    refs = [plain.put("a", b"x" * 10) for _ in range(3)]
    rows = store.list_versions("a")
    next(rows)
    with store.read("a", refs[0].version_id) as chunks:
        wanted.append(1)
        with pytest.raises(Cancelled):
            next(rows)
        with pytest.raises(Cancelled):
            next(chunks)


def test_a_limit_does_not_hold_up_the_end(config: Config) -> None:
    """At one byte a second these files would take half a minute."""
    asked = count()
    limits = Limits(upload=1)
    store = testing.MemoryStore().client()
    with pytest.raises(Cancelled):
        open_repository(config, store=store, limits=limits, cancelled=lambda: next(asked) > 20).backup()


def test_waiting_is_cut_short() -> None:
    waited: list[float] = []
    with pytest.raises(Cancelled):
        Cancellation(lambda: len(waited) == 3, waited.append).wait(60)
    assert len(waited) == 3
    Cancellation(lambda: False, waited.append).wait(0.25)
    assert sum(waited[3:]) == pytest.approx(0.25)


def test_the_thread_that_renews_a_claim_ends_in_silence() -> None:
    store = CancellableStore(testing.MemoryStore().client(), Cancellation(lambda: True))
    claim = opening(Signature(TransactionId("0" * 32), "host", 0), None, (), SeenClaim())
    Renewal(Control(store, ObjectNames()), SeenClaim(claim, "etag", VersionId("v")), 0.0)._keep()


def test_a_cancellation_is_no_error_of_rrbackup() -> None:
    """Whatever handles the failure of one file or request must let it pass."""
    assert not issubclass(Cancelled, RRBackupError | OSError)
