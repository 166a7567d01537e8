"""A copy gives back, commit for commit, what its source does: for any short history, and however it is interrupted."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrbackup import RRBackupError
from rrbackup.effects.memory import Call, Fault, FaultKind, MemoryStore, SimulatedCrash
from rrbackup.pure.model import Word
from tests.copies import CONTENTS, Step, Told, file_versions, opened, orphans, told, written

PATHS = ("/a", "/a.b", "/c/x", "/d")
KINDS = ("file", "file", "file", "symlink", "directory")
puts = st.dictionaries(
    st.sampled_from(PATHS), st.none() | st.tuples(st.sampled_from(KINDS), st.integers(0, 5)), min_size=1, max_size=4
)
steps = st.builds(Step, st.one_of(puts, puts, puts, st.none()), st.booleans())
histories = st.lists(steps, min_size=1, max_size=7)


@settings(max_examples=60)
@given(histories, histories, st.none() | st.integers(1, 4))
def test_a_copy_gives_back_what_the_source_does_and_grows_with_it(
    first: list[Step], more: list[Step], last: int | None
) -> None:
    with TemporaryDirectory() as folder:
        target = MemoryStore()
        for history in (first, first + more):
            source = opened(Path(folder, "source"), written(history))
            copy = opened(Path(folder, "copy"), target)
            planned = source.plan_copy(copy, last=last)
            done = source.copy(copy, last=last)
            assert [c.original for c in done.commits] == list(planned.commits)
            assert (done.objects, done.bytes) == (planned.objects, planned.bytes)
            _check(told(source), told(copy), skipped=planned.skipped + planned.already + len(planned.commits))
            assert orphans(copy) == set()
        assert source.copy(copy).commits == ()


def _check(wanted: list[Told], found: list[Told], skipped: int) -> None:
    assert skipped == len(wanted), "every commit is planned, skipped or there already"
    assert found == wanted[len(wanted) - len(found) :]
    assert bool(found) == bool(wanted)


HISTORY = (
    Step({"/a": ("file", 1), "/b": ("file", 5), "/c": ("file", 2), "/d": ("directory", 0)}),
    Step(None),
    Step({"/a": ("file", 5), "/l": ("symlink", 1)}),
    Step({"/c": ("file", 3), "/e": ("file", 2), "/b": None}, anew=True),
    Step({"/b": ("file", 1)}),
)


def _struck(tmp_path: Path, kind: FaultKind) -> Iterator[tuple[MemoryStore, Path]]:
    """The target's store after a copy that a fault struck, for each request; the last one found no request."""
    source = opened(tmp_path / "source", written(HISTORY))
    for number in count(1):
        store, folder = MemoryStore(multipart_threshold=1_000), tmp_path / f"copy{number}"
        client = store.client(faults=[Fault(number, kind)])
        with suppress(SimulatedCrash, RRBackupError):
            source.copy(opened(folder, client))
        yield store, folder
        if len(client.calls) < number:
            return


@pytest.mark.parametrize("kind", FaultKind)
def test_an_interrupted_copy_is_a_whole_shorter_one_and_the_next_run_completes_it(
    kind: FaultKind, tmp_path: Path
) -> None:
    source = opened(tmp_path / "source", written(HISTORY))
    wanted, lengths = told(source), set()
    for store, folder in _struck(tmp_path, kind):
        found = told(opened(tmp_path / "reader", store))
        assert found == wanted[: len(found)]
        lengths.add(len(found))
        again = opened(folder, store)
        source.copy(again)
        assert told(again) == wanted
        assert orphans(again) == set()
        if kind is FaultKind.TWICE:  # one of the things that only a full collection finds
            again.garbage_collect()
        assert list(store.list_uploads("files/")) == []
        assert file_versions(again) == len(CONTENTS) - 1
    assert kind is FaultKind.TWICE or lengths == set(range(len(wanted) + 1))


def test_what_a_killed_copy_has_uploaded_is_not_sent_again(tmp_path: Path) -> None:
    source = opened(tmp_path / "source", written(HISTORY))
    smooth = MemoryStore().client()
    source.copy(opened(tmp_path / "smooth", smooth))
    _, second, *_ = (at for at, call in enumerate(smooth.calls, start=1) if _sends_a_file(call))
    store = MemoryStore()
    with pytest.raises(SimulatedCrash):
        source.copy(opened(tmp_path / "copy", store.client(faults=[Fault(second, FaultKind.AFTER)])))
    noted, unheard_of = sorted(store.list_versions("files/"), key=lambda listed: listed.version_id)
    again = store.client()
    source.copy(opened(tmp_path / "copy", again))
    keys = [call.key for call in again.calls if _sends_a_file(call)]
    assert noted.key not in keys
    assert unheard_of.key in keys
    assert noted.ref in {listed.ref for listed in store.list_versions("files/")}
    assert unheard_of.ref not in {listed.ref for listed in store.list_versions("files/")}


def test_what_it_has_uploaded_and_another_configuration_cannot_use_is_deleted(tmp_path: Path) -> None:
    source, store = opened(tmp_path / "source", written(HISTORY)), MemoryStore()
    smooth = MemoryStore().client()
    source.copy(opened(tmp_path / "smooth", smooth))
    _, second, *_ = (at for at, call in enumerate(smooth.calls, start=1) if _sends_a_file(call))
    with pytest.raises(SimulatedCrash):
        source.copy(opened(tmp_path / "copy", store.client(faults=[Fault(second, FaultKind.AFTER)])))
    again = opened(tmp_path / "copy", store, file_pipeline=[["*", [Word.COMPRESS]]])
    source.copy(again)
    assert told(again) == told(source)
    assert orphans(again) == set()
    assert not again.config.journal_path().exists()


def _sends_a_file(call: Call) -> bool:
    return call.method == "put" and call.key.startswith("files/")
