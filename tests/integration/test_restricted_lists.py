"""Cleaning a garbage list that somebody else wrote: a client that may only write, and that may be in foreign hands.

The rule that is tested: whatever the list names, nothing is deleted but versions of files that no diff refers to;
what could not be read is an error that names it; and what others append meanwhile stays.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen

from rrbackup.config import CryptoSettings
from rrbackup.effects.control import Control, ObjectNames
from rrbackup.effects.memory import MemoryClient, MemoryStore
from rrbackup.errors import ClientAtWork, DamagedObject, StoreWentBack, TransactionLost, UnsupportedFormat
from rrbackup.events import Event, FileDone
from rrbackup.pure import format2
from rrbackup.pure.model import VersionId, VersionRef
from rrbackup.pure.names import is_file_key
from tests.integration.conftest import Bench
from tests.integration.trees import look, write
from tests.property import judge

MakeBench = Callable[..., Bench]

PASSWORD = CryptoSettings(crypt_password="correct horse", kdf_passes=4, kdf_memory=32 << 20)
ENCRYPTED = {"crypto": PASSWORD, "meta_pipeline": ["encrypt"], "file_pipeline": [("*", ["encrypt"])]}
PREFIX = "machines/this one"


@frozen
class Repo:
    """Two commits below a prefix, beside another repository. `memory` sees the whole bucket."""

    memory: MemoryStore
    store: MemoryClient
    bench: Bench

    def forge(self, *refs: VersionRef) -> None:
        """What somebody does who may write the list, but has no password."""
        self.store.put("garbage_objects", format2.encode_garbage(refs))

    def listed(self) -> tuple[VersionRef, ...]:
        client = self.bench.open()._client
        client.check_password()
        return client.control.read_garbage()[0]

    def versions(self, prefix: str = "") -> set[VersionRef]:
        return {version.ref for version in self.memory.list_versions(prefix)}

    def clean(self, **options: Any) -> set[VersionRef]:
        return set(self.bench.open().clean_gc_log(**options).deleted)


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(params=[{}, ENCRYPTED], ids=["plain", "encrypted"])
def repo(request: pytest.FixtureRequest, make_bench: MakeBench, memory: MemoryStore) -> Repo:
    return made(make_bench, memory, request.param)


@pytest.fixture
def plain(make_bench: MakeBench, memory: MemoryStore) -> Repo:
    return made(make_bench, memory, {})


def made(make_bench: MakeBench, memory: MemoryStore, settings: Any) -> Repo:
    store = memory.client(prefix=PREFIX)
    bench = make_bench(store, **settings)
    write(bench.base, {"a": b"1", "d/b": b"2"})
    bench.backup()
    write(bench.base, {"a": b"changed"})
    bench.backup()
    for key in ("files/a", "manifest_diffs", "machines/another/files/a", "elsewhere"):
        memory.put(key, b"not ours")
    return Repo(memory, store, bench)


def below(ref: VersionRef) -> VersionRef:
    return VersionRef(ref.key.removeprefix(f"{PREFIX}/"), ref.version_id)


def test_only_what_no_diff_refers_to_is_deleted_whatever_the_list_names(repo: Repo, tmp_path: Path) -> None:
    orphans = {VersionRef(key, repo.store.put(key, b"orphan").version_id) for key in ("files/a", "files/new")}
    unlisted = VersionRef("files/a", repo.store.put("files/a", b"an orphan that is not listed").version_id)
    before = repo.versions()
    ours = [below(ref) for ref in before if ref.key.startswith(PREFIX)]
    swapped = [VersionRef(mine.key, other.version_id) for mine in ours for other in ours]
    outside = [*before, *(VersionRef(f"files/../{ref.key}", ref.version_id) for ref in before)]
    gone = [VersionRef(key, VersionId(version)) for key, version in (("files/gone", "v"), ("files/a", ""), ("", ""))]
    lies = {*ours, *swapped, *outside, *gone} - {unlisted}
    repo.forge(*sorted(lies, key=str), *orphans)
    assert repo.clean() == orphans
    lost = before - repo.versions()
    assert {below(ref) for ref in lost} == orphans
    assert below_is_there(repo, unlisted)
    assert not any(is_file_key("files", ref.key) for ref in repo.listed()), "all of these were gone through"
    for number, content in enumerate((b"1", b"changed"), start=1):
        target = tmp_path / str(number)
        assert repo.bench.open().download(f"latest~{2 - number}", target).problems == ()
        assert (target / "a").read_bytes() == content


def below_is_there(repo: Repo, ref: VersionRef) -> bool:
    return VersionRef(f"{PREFIX}/{ref.key}", ref.version_id) in repo.versions()


def test_what_a_diff_refers_to_that_is_not_in_the_chain_stays(plain: Repo) -> None:
    """As after a repository was set back to an earlier commit."""
    held = VersionRef("files/kept", plain.store.put("files/kept", b"kept").version_id)
    head = plain.store.get("manifest_diffs")
    diff = format2.decode_diff(head.body, "x")
    entry = diff.changes[0].entry
    assert entry.object is not None
    there = evolve(entry.object, key=held.key, version_id=held.version_id)
    forked = evolve(diff.changes[0], entry=evolve(entry, object=there))
    plain.store.put("manifest_diffs", format2.encode_diff(evolve(diff, changes=(forked,))))
    plain.store.put("manifest_diffs", head.body)
    plain.forge(held)
    with pytest.raises(StoreWentBack):
        plain.clean()
    Path(plain.bench.config.local_manifest_file).unlink()
    assert plain.clean() == set()
    assert below_is_there(plain, held)


LIST = format2.encode_garbage([VersionRef("files/a", VersionId("v"))])


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"garbage", id="no frame"),
        pytest.param(LIST[:-3], id="cut off"),
        pytest.param(b"\x00\x00\x00\x02{}" + b"[" * 100_000, id="nested"),
        pytest.param(LIST.replace(b'["files/a","v"]', b'["x"]'), id="no pairs"),
    ],
)
def test_a_list_that_cannot_be_read_is_named_and_nothing_is_deleted(body: bytes, plain: Repo) -> None:
    plain.store.put("files/a", b"orphan")
    before = plain.versions()
    plain.store.put("garbage_objects", body)
    with pytest.raises((DamagedObject, UnsupportedFormat), match="garbage_objects"):
        plain.clean()
    assert before <= plain.versions()
    damaged = VersionRef("garbage_objects", plain.store.get("garbage_objects").info.version_id)
    plain.store.delete_versions([damaged])
    assert plain.clean() == set()
    assert len(plain.bench.open().garbage_collect().deleted) == 1


def test_a_diff_that_cannot_be_read_keeps_everything(repo: Repo) -> None:
    orphan = VersionRef("files/a", repo.store.put("files/a", b"orphan").version_id)
    repo.forge(orphan)
    head = repo.store.get("manifest_diffs")
    repo.store.put("manifest_diffs", b"garbled")
    repo.store.put("manifest_diffs", head.body)
    Path(repo.bench.config.local_manifest_file).unlink()
    with pytest.raises(DamagedObject, match="manifest_diffs"):
        repo.clean()
    assert below_is_there(repo, orphan)
    assert repo.listed() == (orphan,)


def test_it_is_done_under_a_claim_and_behind_a_fence(plain: Repo) -> None:
    plain.forge(VersionRef("files/a", plain.store.put("files/a", b"orphan").version_id))
    plain.store.reset_calls()
    plain.clean()
    written = [(call.method, call.key) for call in plain.store.calls if call.method in ("put", "delete_versions")]
    assert written == [
        ("put", "gc_log"),
        ("put", "manifest_diffs"),
        ("delete_versions", "files/a"),
        ("put", "garbage_objects"),
        ("put", "gc_log"),
    ]
    methods = [(call.method, call.key) for call in plain.store.calls]
    deletion = methods.index(("delete_versions", "files/a"))
    listing = methods.index(("list_versions", "files/a"))
    assert ("get", "gc_log") in methods[listing:deletion], "the claim is looked at again after the listing"


def test_what_others_append_meanwhile_stays(plain: Repo) -> None:
    old = VersionRef("files/a", plain.store.put("files/a", b"orphan").version_id)
    late = VersionRef("files/a", plain.store.put("files/a", b"a later orphan").version_id)
    plain.forge(old)
    delete, other = plain.store.delete_versions, Control(plain.memory.client(prefix=PREFIX), ObjectNames())

    def deleting(refs: Any) -> None:
        other.append_garbage((late,))
        delete(refs)

    plain.store.delete_versions = deleting  # type: ignore[method-assign]
    assert plain.clean() == {old}
    assert plain.listed() == (late,)
    assert plain.clean() == {late}
    assert plain.listed() == ()


def test_a_list_with_the_fresh_uploads_of_a_client_at_work_costs_it_its_run_and_no_commit(
    plain: Repo, tmp_path: Path
) -> None:
    """Somebody lists what an honest client is just sending, and the list is cleaned although it is at work."""
    worker = plain.bench.other_client(tmp_path / "worker")
    write(worker.base, {"a": b"sent just now"})
    before = plain.versions()
    ended: list[str] = []

    def clean_meanwhile(event: Event) -> None:
        if isinstance(event, FileDone) and event.uploaded:
            fresh = [below(ref) for ref in plain.versions(f"{PREFIX}/files/") - before]
            plain.forge(*fresh)
            with pytest.raises(ClientAtWork):
                plain.clean()
            assert plain.clean(take_over=True) in (set(), set(fresh))
            ended.append("cleaned")

    with pytest.raises(TransactionLost):
        worker.open().backup(on_event=clean_meanwhile)
    assert ended == ["cleaned"]
    assert judge.violations(below_prefix(plain), None) == []
    assert worker.backup().counts.changed == 1
    assert plain.bench.open().download("latest", tmp_path / "out").problems == ()
    assert look(tmp_path / "out") == look(worker.base)


def below_prefix(repo: Repo) -> judge.Contents:
    return {
        key.removeprefix(f"{PREFIX}/"): versions
        for key, versions in judge.contents(repo.memory).items()
        if key.startswith(PREFIX)
    }


# --- lists of any length -----------------------------------------------------------------------------------


def long_list(count: int, key: str) -> list[VersionRef]:
    return [VersionRef(key.format(number), VersionId(f"v{number}")) for number in range(count)]


FEW_FILES, MANY_FILES = "files/a", "files/{}"


@pytest.mark.parametrize("key", [FEW_FILES, MANY_FILES])
def test_a_long_list_of_what_is_not_there_costs_few_requests(key: str, plain: Repo) -> None:
    plain.forge(*long_list(20_000, key))
    plain.store.reset_calls()
    assert plain.clean() == set()
    assert len(plain.store.calls) < 30
    assert plain.listed() == ()


@pytest.mark.deep
@pytest.mark.parametrize("key", [FEW_FILES, MANY_FILES])
def test_a_million_entries_are_gone_through(key: str, plain: Repo) -> None:
    orphan = VersionRef("files/a", plain.store.put("files/a", b"orphan").version_id)
    plain.forge(*long_list(1_000_000, key), orphan)
    assert plain.clean() == {orphan}
    assert plain.listed() == ()
