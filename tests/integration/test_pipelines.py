"""The words of a pipeline, seen from outside: what lies in the store, and that it comes back."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from attrs import evolve

from rrbackup.cli.human import entry_lines
from rrbackup.config import CryptoSettings
from rrbackup.effects import reading, transfer
from rrbackup.effects.memory import MemoryStore
from rrbackup.effects.store import Store
from rrbackup.errors import ConfigError, DamagedObject, ObjectMissing, PasswordMissing
from rrbackup.pure.model import ObjectRef, Word
from tests.integration.conftest import Bench
from tests.integration.trees import look, write

MakeBench = Callable[..., Bench]

RULES = [("*.txt", ["compress"]), ("/secret*", ["hash_names"]), ("/both*", ["compress", "hash_names"]), ("*", [])]


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


def objects(bench: Bench) -> dict[str, ObjectRef]:
    return {entry.path: entry.object for entry in bench.open().list_files() if entry.object is not None}


def raw(memory: MemoryStore, ref: ObjectRef) -> bytes:
    return memory.get(ref.key, ref.version_id).body


def unzip(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data)


def test_each_rule_does_what_it_says(make_bench: MakeBench, memory: MemoryStore) -> None:
    bench = make_bench(memory, file_pipeline=RULES)
    text = b"the same again and again " * 50
    write(bench.base, {"a.txt": text, "secret/a": b"s", "both": text + b"!", "plain": text + b"?"})
    bench.backup()
    found = objects(bench)
    assert unzip(raw(memory, found["/a.txt"])) == text
    assert raw(memory, found["/secret/a"]) == b"s"
    assert unzip(raw(memory, found["/both"])) == text + b"!"
    assert raw(memory, found["/plain"]) == text + b"?"
    assert {path: ref.key[:9] for path, ref in found.items()} == {
        "/a.txt": "files/a.t",
        "/secret/a": "files/%h/",
        "/both": "files/%h/",
        "/plain": "files/pla",
    }
    assert found["/both"].applied == (Word.HASH_NAMES, Word.COMPRESS)


def test_a_hashed_name_is_not_given_away_by_the_labels(make_bench: MakeBench, memory: MemoryStore) -> None:
    bench = make_bench(memory, file_pipeline=[("*", ["hash_names"])])
    write(bench.base, {"a-telling-name": b"1"})
    bench.backup()
    (ref,) = objects(bench).values()
    fetched = memory.get(ref.key)
    assert "telling" not in ref.key
    assert fetched.info.metadata == {}


def test_what_does_not_shrink_is_stored_without_compression(make_bench: MakeBench, memory: MemoryStore) -> None:
    bench = make_bench(memory, file_pipeline=[("*", ["compress"])])
    noise = random.Random(1).randbytes(1000)
    write(bench.base, {"noise": noise})
    bench.backup()
    ref = objects(bench)["/noise"]
    assert (raw(memory, ref), ref.asked, ref.applied) == (noise, (Word.COMPRESS,), ())


@pytest.mark.parametrize(
    ("content", "shrinks"),
    [
        pytest.param(b"0123456789" * 300_000, True, id="shrinks"),
        pytest.param(random.Random(2).randbytes(3 << 20), False, id="does not"),
        pytest.param(b"\0" * 64 + random.Random(3).randbytes(20 << 20), False, id="only its beginning does"),
    ],
)
def test_streamed_files(
    make_bench: MakeBench,
    memory: MemoryStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    shrinks: bool,
) -> None:
    monkeypatch.setattr(transfer, "SMALL_BYTES", 1 << 20)
    bench = make_bench(memory, file_pipeline=[("*", ["compress"])])
    write(bench.base, {"big": content})
    assert bench.backup().problems == ()
    ref = objects(bench)["/big"]
    stored = raw(memory, ref)
    assert (unzip(stored) if shrinks else stored) == content
    assert ref.applied == ((Word.COMPRESS,) if shrinks else ())
    assert len(list(memory.list_versions("files/"))) == 1, "an attempt that did not shrink leaves no orphan"
    bench.open().download("latest", tmp_path / "out")
    assert look(tmp_path / "out") == look(bench.base)


def test_a_streamed_file_that_loses_bytes_meanwhile(
    make_bench: MakeBench, memory: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frame announces a size that does not come: the file is read again."""
    monkeypatch.setattr(transfer, "SMALL_BYTES", 1 << 20)
    bench = make_bench(memory, file_pipeline=[("*", ["compress"])])
    path = bench.base / "big"
    path.write_bytes(b"x" * (4 << 20))
    inner, cuts = reading.SourceReader.chunks, [path]

    def cut_once(reader: reading.SourceReader):  # type: ignore[no-untyped-def]
        for chunk in inner(reader):
            yield chunk
            while cuts:
                with cuts.pop().open("r+b") as file:
                    file.truncate(3 << 20)

    monkeypatch.setattr(reading.SourceReader, "chunks", cut_once)
    assert bench.backup().problems == ()
    assert objects(bench)["/big"].applied == (Word.COMPRESS,)
    bench.open().download("latest", tmp_path / "out")
    assert look(tmp_path / "out") == look(bench.base)


def test_duplicates_never_weaken_the_promise(make_bench: MakeBench, memory: MemoryStore) -> None:
    """Invariant 8: one content under two rules is stored twice."""
    bench = make_bench(memory, file_pipeline=[("/hidden*", ["hash_names"]), ("*", [])])
    write(bench.base, {"open": b"content", "hidden1": b"content", "hidden2": b"content"})
    assert bench.backup().uploaded_files == 2
    found = objects(bench)
    assert found["/hidden1"].ref == found["/hidden2"].ref != found["/open"].ref
    write(bench.base, {"hidden3": b"content"})
    bench.backup()
    assert objects(bench)["/hidden3"].ref == found["/hidden1"].ref


def test_unchanged_files_stay_as_they_are_stored(make_bench: MakeBench, memory: MemoryStore) -> None:
    bench = make_bench(memory)
    write(bench.base, {"a": b"a" * 1000})
    bench.backup()
    bench = evolve(bench, config=evolve(bench.config, file_pipeline=[("*", [Word.COMPRESS])]))
    assert bench.backup().version_id is None
    write(bench.base, {"a": b"b" * 1000})
    bench.backup()
    assert objects(bench)["/a"].applied == (Word.COMPRESS,)


PASSWORD = CryptoSettings(crypt_password="correct horse", kdf_passes=4, kdf_memory=32 << 20)
ENCRYPTING = [
    ("*.txt", ["encrypt"]),
    ("/secret*", ["hash_names", "encrypt"]),
    ("/both*", ["compress", "encrypt"]),
    ("*", []),
]


@pytest.mark.parametrize(
    "settings",
    [
        {"file_pipeline": RULES, "meta_pipeline": ["compress"]},
        {"file_pipeline": ENCRYPTING, "meta_pipeline": ["compress", "encrypt"], "crypto": PASSWORD},
    ],
    ids=["compressing", "encrypting"],
)
def test_every_word_on_every_store(
    make_bench: MakeBench, store: Store, tmp_path: Path, settings: dict[str, object]
) -> None:
    bench = make_bench(store, **settings)
    write(bench.base, {"a.txt": b"abc" * 99, "secret/a": b"s", "both": b"def" * 99, "plain": b"p", "empty": b""})
    bench.backup()
    write(bench.base, {"b.txt": b"abc" * 99, "both": b"xyz" * 99})
    bench.backup()
    assert bench.open().download("latest", tmp_path / "out").problems == ()
    assert look(tmp_path / "out") == look(bench.base)
    assert bench.backup().version_id is None


def test_compressed_metadata(make_bench: MakeBench, memory: MemoryStore) -> None:
    bench = make_bench(memory, meta_pipeline=["compress"])
    write(bench.base, {f"file-{number}": b"%d" % number for number in range(50)})
    bench.backup()
    assert b'"pipeline":["compress"]' in memory.get("manifest_diffs").body[:100]
    assert len(bench.open(meta_pipeline=()).list_files()) == 50, "a reader needs no configuration"
    bench.config.manifest_path().unlink()
    assert bench.backup().version_id is None


def test_listings_show_how_each_object_is_stored(make_bench: MakeBench, memory: MemoryStore) -> None:
    bench = make_bench(memory, file_pipeline=RULES)
    write(bench.base, {"both": b"abc" * 99, "plain": b"p"})
    bench.backup()
    lines = [line for line in entry_lines(bench.open().list_files(), verbose=True) if "version" in line]
    assert [line.rpartition(", ")[2] for line in lines] == ["stored with hash_names and compress", "stored as it is"]


# --- keys ------------------------------------------------------------------------------------------------------


def test_a_client_without_encrypt_does_not_publish_onto_encrypted_commits(
    make_bench: MakeBench, memory: MemoryStore
) -> None:
    bench = make_bench(memory, meta_pipeline=["encrypt"], crypto=PASSWORD)
    write(bench.base, {"a": b"1"})
    bench.backup()
    write(bench.base, {"a": b"2"})
    before = list(memory.list_versions(""))
    plain = bench.open(meta_pipeline=())
    for action in (plain.backup, plain.garbage_collect):
        with pytest.raises(ConfigError, match="has no encrypt, but the commits"):
            action()
    assert list(memory.list_versions("")) == before


def test_no_new_keys_are_made_where_old_ones_are_missing(make_bench: MakeBench, memory: MemoryStore) -> None:
    """Neither under a delete marker nor gone for good, neither with encrypted diffs nor with open ones."""
    for meta in (["encrypt"], []):
        bench = make_bench(
            memory.client(prefix=f"{len(meta)}"),
            crypto=PASSWORD,
            meta_pipeline=meta,
            file_pipeline=[("*", ["encrypt"])],
        )
        write(bench.base, {"a": b"1"})
        bench.backup()
        (salt,) = bench.store.list_versions("salt_file")
        bench.store.delete_versions([salt.ref])
        for _ in range(2):
            with pytest.raises(DamagedObject, match="salt_file"):
                bench.backup()
        with pytest.raises(ObjectMissing):
            bench.store.get("salt_file")
        bench.config.manifest_path().unlink()


def test_without_the_password_nothing_is_restored(make_bench: MakeBench, memory: MemoryStore, tmp_path: Path) -> None:
    rules = [("/secret", ["encrypt"]), ("*", [])]
    bench = make_bench(memory, file_pipeline=rules, crypto=PASSWORD)
    write(bench.base, {"a": b"open", "secret": b"2"})
    bench.backup()
    reader = bench.open(crypto=None)
    with pytest.raises(PasswordMissing):
        reader.download("latest", tmp_path / "all")
    assert not (tmp_path / "all").exists()
    assert reader.download("latest", tmp_path / "part", ["/secret"]).problems == ()
