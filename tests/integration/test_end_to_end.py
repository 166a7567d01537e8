"""From disk into every kind of store and back, and what that costs in requests."""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rrbackup.effects import transfer
from rrbackup.effects.memory import MemoryStore
from rrbackup.effects.s3 import S3Store
from rrbackup.effects.store import Store
from rrbackup.pure.labels import object_labels
from rrbackup.pure.model import PathText, Word
from rrbackup.pure.pipeline import PipelineRule
from rrbackup.pure.reason import Reason
from tests.integration.conftest import Bench
from tests.integration.machines import crypto
from tests.integration.trees import look, write, write_odd
from tests.sent_requests import sent_requests
from tests.worlds import World

MakeBench = Callable[..., Bench]


def test_every_name_that_linux_allows_comes_back(make_bench: MakeBench, store: Store, tmp_path: Path) -> None:
    bench = make_bench(store)
    write_odd(bench.base)
    result = bench.backup()
    assert result.problems == ()
    download = bench.open().download("latest", tmp_path / "out")
    assert download.problems == ()
    assert look(tmp_path / "out") == look(bench.base)
    listed = {entry.object.ref for entry in bench.open().list_files() if entry.object}
    assert {version.ref for version in store.list_versions("files/")} == listed


def test_a_random_history_comes_back_commit_by_commit(make_bench: MakeBench, store: Store, tmp_path: Path) -> None:
    bench = make_bench(store)
    chance = random.Random(7)
    states = []
    for _ in range(4):
        for number in chance.sample(range(30), 12):
            path = bench.base / f"d{number % 4}" / f"f{number}"
            path.parent.mkdir(exist_ok=True)
            if path.exists() and chance.random() < 0.4:
                path.unlink()
            else:
                path.write_bytes(chance.randbytes(chance.choice([0, 1, 50, 5000])))
        bench.backup()
        states.append(look(bench.base))
    for back, state in enumerate(reversed(states)):
        target = tmp_path / f"out{back}"
        assert bench.open().download(f"latest~{back}", target).problems == ()
        assert look(target) == state


def test_a_file_of_many_parts(
    make_bench: MakeBench, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "SMALL_BYTES", 1 << 20)
    bench = make_bench(store)
    write(bench.base, {"big": random.Random(1).randbytes(20 << 20), "copy-of-nothing": b"1"})
    assert bench.backup().uploaded_bytes == (20 << 20) + 1
    bench.open().download("latest", tmp_path / "out")
    assert look(tmp_path / "out") == look(bench.base)


def test_parts_can_be_left_out_whole(make_bench: MakeBench, store: Store, tmp_path: Path) -> None:
    bench = make_bench(store)
    write(bench.base, {"a/x": b"1", "a/b/y": b"2", "ab": b"3", "c": b"4"})
    bench.backup()
    bench.open().download("latest", tmp_path / "out", ignore=["/a", "*c"])
    assert set(look(tmp_path / "out")) == {b"ab"}


# --- requests --------------------------------------------------------------------------------------------------


@contextmanager
def counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """How many requests were sent meanwhile: real ones for S3, calls of the store otherwise."""
    if isinstance(store, MemoryStore):
        store.reset_calls()
        yield lambda: len(store.calls)
        return
    with monkeypatch.context() as patch:
        if isinstance(store, S3Store):
            sent = sent_requests(patch)
            yield lambda: len(sent)
            return
        called: list[str] = []
        for method in ("head", "get", "read", "put", "list_versions", "delete_versions", "list_uploads"):
            _record(type(store), method, called, patch)
        yield lambda: len(called)


def _record(owner: type, name: str, sent: list[str], patch: pytest.MonkeyPatch) -> None:
    original = getattr(owner, name)

    def recorded(*arguments: object, **options: object) -> object:
        sent.append(name)
        return original(*arguments, **options)

    patch.setattr(owner, name, recorded)


def small_distinct_files(base: Path, count: int) -> None:
    write(base, {f"d{number % 3}/f{number}": f"content {number}".encode() for number in range(count)})


def test_requests_after_init(make_bench: MakeBench, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make_bench(store)
    small_distinct_files(bench.base, 25)
    bench.open().prepare()
    with counted(store, monkeypatch) as requests:
        bench.backup()
        assert requests() <= 25 + 6
    with counted(store, monkeypatch) as requests:
        assert bench.backup().version_id is None
        assert requests() <= 3


def test_a_plan_tells_how_many_requests_it_takes(
    make_bench: MakeBench, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(store)
    small_distinct_files(bench.base, 10)
    bench.open().prepare()
    bench.backup()
    new = {f"new{number}": b"new %d" % number for number in range(15)}
    write(bench.base, {**new, "in parts": random.Random(2).randbytes(17 << 20)})
    repository = bench.open()
    plan = repository.plan_backup()
    told = repository.backup_traffic(plan)
    with counted(store, monkeypatch) as requests:
        assert repository.backup().counts.new == 16
        looked_at_again = sum(candidate.reason is Reason.RECENT for candidate in plan.candidates)
        in_one_call = 0 if isinstance(store, S3Store) else 4
        assert requests() == told.requests - looked_at_again - in_one_call
    nothing = repository.backup_traffic(repository.plan_backup())
    with counted(store, monkeypatch) as requests:
        assert repository.backup().version_id is None
        assert requests() <= nothing.requests, "they were modified just now, so they are looked at again"


@pytest.mark.parametrize("words", [(), (Word.ENCRYPT,), (Word.COMPRESS, Word.ENCRYPT), (Word.HASH_NAMES,)])
@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize("kind", ["memory", "seaweedfs"])
def test_a_first_backup_takes_no_more_requests_than_its_plan_told(
    make_bench: MakeBench,
    new_world: Callable[[str], World],
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[Word, ...],
    prepared: bool,
) -> None:
    store = new_world(kind).store()
    with_keys = crypto("x") if words else None
    bench = make_bench(store, file_pipeline=(PipelineRule("*", words),), crypto=with_keys)
    write(bench.base, {"a": b"1", "as big as one request may be": random.Random(3).randbytes(8 << 20)})
    if prepared:
        bench.open().prepare()
    repository = bench.open()
    told = repository.backup_traffic(repository.plan_backup())
    with counted(store, monkeypatch) as requests:
        assert bench.open().backup().counts.new == 2
        assert 2 + 6 <= requests() <= told.requests


def test_the_plan_of_a_backup_that_writes_a_checkpoint_tells_what_that_takes(make_bench: MakeBench) -> None:
    store = MemoryStore()
    bench = make_bench(store)
    bench.open().prepare()
    most = 0
    for number in range(105):
        write(bench.base, {"a": b"%d" % number})
        repository = bench.open()
        told = repository.backup_traffic(repository.plan_backup()).requests
        store.reset_calls()
        repository.backup()
        assert len(store.calls) <= told, f"commit {number + 1}"
        most = max(most, len(store.calls))
    assert most > 50, "no checkpoint was written"


def test_requests_without_init(make_bench: MakeBench, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make_bench(store)
    small_distinct_files(bench.base, 25)
    with counted(store, monkeypatch) as requests:
        bench.backup()
        assert requests() <= 25 + 6 + 8


def test_a_download_asks_once_for_each_object(
    make_bench: MakeBench, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(store)
    small_distinct_files(bench.base, 10)
    write(bench.base, {"same1": b"content 1", "same2": b"content 1"})
    bench.backup()
    with counted(store, monkeypatch) as requests:
        bench.open().download("latest", tmp_path / "out")
        assert requests() == 10 + 1


# --- self-description --------------------------------------------------------------------------------------------


def test_metadata_that_would_not_fit_is_left_out() -> None:
    assert "rrbackup-path" in object_labels(PathText("/" + "a" * 1000), 1, 0o644, "ab" * 32)
    assert object_labels(PathText("/" + "ä" * 1000), 1, 0o644, "ab" * 32) == {}


def test_a_tree_of_thousands_of_levels(make_bench: MakeBench, tmp_path: Path) -> None:
    """A path beyond PATH_MAX is stored under a hashed key and comes back."""
    bench = make_bench(MemoryStore())
    here = os.open(bench.base, os.O_RDONLY)
    for _ in range(600):
        os.mkdir(b"ten bytes!", dir_fd=here)
        inner = os.open(b"ten bytes!", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    leaf = os.open(b"leaf", os.O_WRONLY | os.O_CREAT, dir_fd=here)
    os.write(leaf, b"deep")
    os.close(leaf)
    os.close(here)
    assert bench.backup().counts.new == 1
    assert [e.object.key[:9] for e in bench.open().list_files() if e.object] == ["files/%h/"]
    result = bench.open().download("latest", tmp_path / "out")
    assert (result.files, result.problems) == (1, ())


def test_big_twins_of_one_run_are_sent_once(
    make_bench: MakeBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "SMALL_BYTES", 1 << 10)
    bench = make_bench(MemoryStore())
    content = random.Random(5).randbytes(3 << 20)
    write(bench.base, {f"twin{number}": content for number in range(6)})
    assert bench.backup().uploaded_files == 1
    assert bench.open().download("latest", tmp_path / "out").problems == ()
    assert look(tmp_path / "out") == look(bench.base)
