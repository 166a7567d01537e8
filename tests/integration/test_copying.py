"""Copies, by the library and by the command: between stores, formats and passwords; what may be copied into."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from attrs import evolve

import rrbackup
from rrbackup import CryptoSettings, Repository, RRBackupError, open_repository
from rrbackup.cli import main
from rrbackup.effects import transfer
from rrbackup.effects.memory import Fault, FaultKind, MemoryStore, SimulatedCrash
from rrbackup.pure.copying import transaction_for
from rrbackup.pure.model import NOT_RECORDED, VersionRef, Word
from tests import golden_stores
from tests.copies import Source, Step, Told, config_in, file_versions, opened, orphans, told, written
from tests.golden_stores import Golden
from tests.integration.trees import look, write
from tests.worlds import World

HISTORY = (
    Step({"/a": ("file", 1), "/b": ("file", 2), "/empty": ("file", 0), "/link": ("symlink", 1)}),
    Step({"/b": ("file", 3), "/a": None}),
    Step({"/sub/c": ("file", 5)}),
)


def crypto(password: str) -> CryptoSettings:
    """With the cheapest derivation of keys that there is."""
    return CryptoSettings(crypt_password=password, kdf_passes=4, kdf_memory=32 << 20)


SECRET: dict[str, Any] = {
    "crypto": crypto("horse"),
    "meta_pipeline": [Word.COMPRESS, Word.ENCRYPT],
    "file_pipeline": [["*", [Word.HASH_NAMES, Word.COMPRESS, Word.ENCRYPT]]],
}


def golden_source(name: str, folder: Path) -> tuple[Golden, Repository]:
    golden = golden_stores.load(name)
    names = golden.names
    config = config_in(
        folder,
        crypto=crypto("correct horse"),
        remote_manifest_diff_file=names["manifest"],
        remote_gc_log_file=names["claim"],
        remote_garbage_object_log_file=names["garbage"],
        remote_password_salt_file=names["salt"],
        remote_base_path=names["files"],
    )
    return golden, open_repository(config, store=golden.store)


# --- formats, passwords, stores --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", golden_stores.mostly_deep())
def test_every_format_is_copied_as_format_2(name: str, tmp_path: Path) -> None:
    golden, source = golden_source(name, tmp_path / "source")
    copy = opened(tmp_path / "copy", MemoryStore(), file_pipeline=[["*", [Word.COMPRESS]]])
    source.copy(copy)
    for wanted, version in zip(golden.commits, copy.list_versions(), strict=True):
        found = {entry.path: entry for entry in copy.list_files(version.version_id)}
        assert found.keys() == wanted.tree.keys()
        for path, entry in found.items():
            expected = wanted.tree[path]
            assert (entry.size, entry.sha256, entry.mtime_ns) == (expected.size, expected.sha256, expected.mtime_ns)
            assert entry.mode == (NOT_RECORDED if expected.mode is None else expected.mode)
            assert entry.object is None or (entry.object.format, entry.object.asked) == (2, (Word.COMPRESS,))
    assert _contents(told(copy)) == _contents(told(source))
    assert orphans(copy) == set()
    assert source.copy(copy).commits == ()


def _contents(found: list[Told]) -> list[tuple[int, str, dict[str, bytes]]]:
    return [(one.created_ns, one.host, {path: body for path, (_, body) in one.tree.items()}) for one in found]


def test_a_big_content_of_a_size_that_is_not_recorded_is_measured_first(tmp_path: Path) -> None:
    _, source = golden_source("format1-plain", tmp_path / "source")
    copy = opened(tmp_path / "copy", MemoryStore(), file_pipeline=[["*", [Word.COMPRESS]]])
    with mock.patch("rrbackup.effects.stored_contents.PEEK_BYTES", 3), mock.patch.object(transfer, "SMALL_BYTES", 2):
        source.copy(copy)
    assert _contents(told(copy)) == _contents(told(source))


def test_encrypted_to_plain_and_back_under_another_password(tmp_path: Path) -> None:
    first = opened(tmp_path / "first", written(HISTORY))
    sealed, plain, again = MemoryStore(), MemoryStore(), MemoryStore()
    other = {**SECRET, "crypto": crypto("zebra")}
    chain = (
        first,
        opened(tmp_path / "sealed", sealed, **SECRET),
        opened(tmp_path / "plain", plain),
        opened(tmp_path / "again", again, **other),
    )
    for source, target in pairwise(chain):
        source.copy(target)
        assert told(target) == told(first)
        assert source.copy(target).commits == ()
    for store, hidden in ((sealed, True), (plain, False), (again, True)):
        assert _names_and_contents(store, b"third") is not hidden
    with pytest.raises(rrbackup.WrongPassword):
        opened(tmp_path / "thief", again, **SECRET).list_files()


def _names_and_contents(store: MemoryStore, body: bytes) -> bool:
    """Whether names and contents lie open."""
    versions = [listed for listed in store.list_versions("") if listed.key.startswith("files/")]
    named = any(listed.key == "files/b" for listed in versions)
    held = any(body in store.get(listed.key, listed.version_id).body for listed in versions)
    assert named is held
    return named


def test_out_of_a_bucket_into_a_folder(
    seaweed_worlds: Callable[[], World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_in(tmp_path / "source")
    base = Path(config.base_path)
    source = open_repository(config, store=seaweed_worlds().store())
    for tree in ({"a": b"1", "sub/b": b"2" * 9_000_000}, {"a": b"3", "twin": b"1"}):
        write(base, tree)
        source.backup()
    target = config_in(tmp_path / "disk")
    assert [done.original.sequence for done in source.copy(target).commits] == [1, 2]
    with open_repository(target) as copy:
        copy.download("latest", tmp_path / "restored")
        assert told(copy) == told(source)
    assert look(tmp_path / "restored") == look(base)


# --- a repository in its own right -----------------------------------------------------------------------------


def test_backups_go_on_upon_a_copy_and_then_it_is_none_any_more(tmp_path: Path) -> None:
    config = config_in(tmp_path / "source")
    base = Path(config.base_path)
    write(base, {"a": b"1", "b": b"2"})
    source = open_repository(config, store=MemoryStore())
    source.backup()
    store = MemoryStore()
    copy = open_repository(evolve(config_in(tmp_path / "copy"), base_path=str(base)), store=store)
    source.copy(copy)
    assert copy.backup().version_id is None
    write(base, {"b": b"3"})
    done = copy.backup()
    assert (done.sequence, done.uploaded_files) == (2, 1)
    assert copy.garbage_collect().deleted == ()
    copy.download("latest", tmp_path / "restored")
    assert look(tmp_path / "restored") == look(base)
    before = golden_stores.dump(store)
    with pytest.raises(rrbackup.UsageError, match=r"is no copy of a commit of this repository"):
        source.copy(copy)
    assert golden_stores.dump(store) == before


def test_all_that_an_entry_may_say_is_copied(tmp_path: Path) -> None:
    config = config_in(tmp_path / "source", store_owner=True)
    base = Path(config.base_path)
    write(base, {"a": b"1"})
    (base / "b").hardlink_to(base / "a")
    with (base / "sparse").open("wb") as file:
        file.truncate(1 << 20)
    source = open_repository(config, store=MemoryStore())
    source.backup()
    copy = opened(tmp_path / "copy", MemoryStore())
    source.copy(copy)
    assert told(copy) == told(source)
    extras = [entry.extra for entry in copy.list_files()]
    assert all(extra is not None and extra.owner is not None for extra in extras)
    assert [extra.hardlink for extra in extras if extra is not None] == [None, "/a", None]


def test_a_copy_of_a_copy_is_one_of_that_copy_alone(tmp_path: Path) -> None:
    one, two, three = (opened(tmp_path / name, MemoryStore()) for name in ("one", "two", "three"))
    opened(tmp_path / "source", written(HISTORY)).copy(one)
    one.copy(two)
    assert told(two) == told(one)
    with pytest.raises(rrbackup.UsageError):
        opened(tmp_path / "source", written(HISTORY)).copy(two)
    two.copy(three, last=1)
    assert told(three) == told(one)[-1:]


def test_a_long_copy_names_checkpoints(tmp_path: Path) -> None:
    history = [Step({"/a": ("file", number)}) for number in range(60)]
    source = opened(tmp_path / "source", written(history))
    copy = opened(tmp_path / "copy", MemoryStore())
    source.copy(copy)
    links = copy._client.control.read_chain(0)
    assert sum(link.diff.checkpoint is not None for link in links) == 1
    assert told(copy) == told(source)


def test_every_content_is_read_once(tmp_path: Path) -> None:
    history = (*HISTORY, Step({"/again": ("file", 1), "/more": ("file", 1)}))
    reader = written(history).client()
    copy = opened(tmp_path / "copy", MemoryStore())
    opened(tmp_path / "source", reader).copy(copy)
    assert sum(call.method == "read" for call in reader.calls) == file_versions(copy) == 3


def test_big_contents_of_one_size_are_read_once_too(tmp_path: Path) -> None:
    reader = written([Step({"/a": ("file", 1), "/b": ("file", 3)})]).client()
    copy = opened(tmp_path / "copy", MemoryStore())
    with mock.patch.object(transfer, "SMALL_BYTES", 0):
        opened(tmp_path / "source", reader).copy(copy)
    assert sum(call.method == "read" for call in reader.calls) == file_versions(copy) == 2


# --- what goes wrong -------------------------------------------------------------------------------------------


def test_another_client_that_copies_meanwhile_wins_or_loses_whole(tmp_path: Path) -> None:
    source, store = opened(tmp_path / "source", written(HISTORY)), MemoryStore()
    events: list[rrbackup.Event] = []

    def meanwhile(event: rrbackup.Event) -> None:
        events.append(event)
        if isinstance(event, rrbackup.CommitCopied) and event.sequence == 1:
            source.copy(opened(tmp_path / "other", store))

    copy = opened(tmp_path / "copy", store)
    with pytest.raises(rrbackup.TransactionLost):
        source.copy(copy, meanwhile)
    assert told(copy) == told(source)
    assert orphans(copy) == set()
    assert [type(event) for event in events if isinstance(event, rrbackup.CopyPlanned)] == [rrbackup.CopyPlanned]


def test_a_client_that_begins_meanwhile_is_not_run_over(tmp_path: Path) -> None:
    source, store = opened(tmp_path / "source", written(HISTORY)), MemoryStore()
    died = store.client()

    def meanwhile(event: rrbackup.Event) -> None:
        if isinstance(event, rrbackup.CommitCopied) and event.sequence == 1 and not died.crashed:
            died.faults = tuple(Fault(at, FaultKind.BEFORE) for at in (_first_upload(source, store, tmp_path),))
            with pytest.raises(SimulatedCrash):
                source.copy(opened(tmp_path / "other", died))

    copy = opened(tmp_path / "copy", store)
    with pytest.raises(rrbackup.TransactionLost, match="what was copied so far"):
        source.copy(copy, meanwhile)
    assert told(copy) == told(source)[:1]
    with pytest.raises(rrbackup.ClientAtWork):
        source.copy(copy)
    source.copy(copy, take_over=True)
    assert told(copy) == told(source)
    assert orphans(copy) == set()


def _first_upload(source: Repository, store: MemoryStore, tmp_path: Path) -> int:
    """The request with which a client sends the first content, found out on a twin of the store."""
    twin = MemoryStore()
    for row in golden_stores.dump(store):
        golden_stores._add(twin, row)
    client = twin.client()
    source.copy(opened(tmp_path / "twin", client))
    return next(at for at, call in enumerate(client.calls, start=1) if call.key.startswith("files/"))


def test_a_copy_that_does_not_hold_what_it_says_is_left_alone(tmp_path: Path) -> None:
    source = opened(tmp_path / "source", written(HISTORY))
    newest = source._client.control.read_chain(0)[0]
    store = MemoryStore()
    forger = Source(store)
    with mock.patch("tests.checkpointed.TransactionId", return_value=transaction_for(newest, "0" * 16)):
        forger.commit(Step({"/b": ("file", 1)}))
    with pytest.raises(rrbackup.DamagedChain, match="says something else of /b"):
        source.copy(opened(tmp_path / "copy", store))


@pytest.mark.parametrize("harm", ["gone", "swapped"])
def test_a_damaged_content_ends_the_copy_before_its_commit_and_is_named(harm: str, tmp_path: Path) -> None:
    store = written(HISTORY)
    source = opened(tmp_path / "source", store)
    wanted = told(source)
    (ref,) = (entry.object for entry in source.list_files("latest~1") if entry.path == "/b" and entry.object)
    if harm == "gone":
        store.delete_versions([VersionRef(ref.key, ref.version_id)])
    else:
        held = store._world._held[ref.key]
        held[:] = [evolve(one, body=b"THREE") if one.version_id == ref.version_id else one for one in held]
    copy = opened(tmp_path / "copy", MemoryStore())
    with pytest.raises(RRBackupError, match="/b") as raised:
        source.copy(copy)
    assert isinstance(raised.value, rrbackup.ObjectMissing if harm == "gone" else rrbackup.DamagedObject)
    assert told(copy) == wanted[:1]
    assert copy.garbage_collect().deleted == ()


def test_a_history_that_went_back_is_not_copied_over_the_one_before(tmp_path: Path) -> None:
    copy = opened(tmp_path / "copy", MemoryStore())
    opened(tmp_path / "source", written(HISTORY)).copy(copy)
    with pytest.raises(rrbackup.UsageError):
        opened(tmp_path / "source", written(HISTORY[:2])).copy(copy)


def test_what_must_not_be_copied_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    source_store, store = written(HISTORY), MemoryStore()
    source = opened(tmp_path / "source", source_store)
    copy = opened(tmp_path / "copy", store)
    same_memory = open_repository(config_in(tmp_path / "source"), store=store)
    write_only = opened(tmp_path / "writer", source_store, write_only=True)
    refusals: list[tuple[type[RRBackupError], Callable[[], object]]] = [
        (rrbackup.ConfigError, lambda: source.copy(same_memory)),
        (rrbackup.ModeError, lambda: write_only.copy(copy)),
        (rrbackup.ModeError, lambda: source.copy(opened(tmp_path / "reader", store, read_only=True))),
        (rrbackup.UsageError, lambda: source.copy(copy, last=0)),
        (rrbackup.ConfigError, lambda: source.copy(opened(tmp_path / "no rule", store, file_pipeline=[["/x", []]]))),
    ]
    for error, attempt in refusals:
        with pytest.raises(error):
            attempt()
    assert list(store.list_versions("files/")) == []
    assert copy.list_versions() == ()
    read_only = opened(tmp_path / "source", source_store, read_only=True)
    assert len(read_only.copy(copy).commits) == 3


# --- the command line ------------------------------------------------------------------------------------------


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two commits, and the configuration of a disk."""
    monkeypatch.chdir(tmp_path)
    for name in ("configuration", "disk"):
        settings = {"base_path": "base", "directory": {"path": f"{name}-store"}, "local_manifest_file": f"{name}.local"}
        Path(f"{name}.json").write_text(json.dumps(settings))
    for content in (b"1", b"2"):
        write(Path("base"), {"a": content})
        assert main(["-q"]) == 0
    return tmp_path


@pytest.mark.usefixtures("stage")
def test_the_documents_of_a_copy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["copy", "--to", "disk.json", "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert not Path("disk-store").exists()
    assert main(["copy", "--to", "disk.json", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    for document in (planned, done):
        assert [document[name] for name in ("already", "skipped", "objects", "bytes")] == [0, 0, 2, 2]
    assert [commit["original"] for commit in done["commits"]] == [commit["version_id"] for commit in planned["commits"]]
    assert [commit["created"] for commit in done["commits"]] == [commit["created"] for commit in planned["commits"]]


@pytest.mark.usefixtures("stage")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--to", "nowhere.json"], 2, "nowhere.json"),
        (["--to", "configuration.json"], 2, "local_manifest_file"),
        (["--to", "disk.json", "--last", "0"], 2, "--last"),
        ([], 2, "--to"),
    ],
)
def test_bad_input_is_explained(words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["copy", *words]) == code
    shown = capsys.readouterr().err
    assert said in shown
    assert "Traceback" not in shown
