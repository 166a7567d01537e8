"""Histories with a diff that is lost or garbled below a checkpoint: what is whole, what is told, what is deleted."""

from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from attrs import evolve, frozen

from rrbackup import CryptoSettings
from rrbackup.api import Repository
from rrbackup.effects.memory import FaultKind, MemoryStore, SimulatedCrash
from rrbackup.errors import DamagedChain, DamagedObject, NoSuchVersion, ObjectMissing, StoreWentBack
from rrbackup.events import Event
from rrbackup.pure import checkpoint
from rrbackup.pure.checkpoint_format import encode_checkpoint
from rrbackup.pure.format2 import encode_diff, sha256_hex
from rrbackup.pure.local_format import encode_local
from rrbackup.pure.model import CheckpointRef, ParentRef, VersionId, VersionRef
from tests.checkpointed import CHECKPOINT, MANIFEST
from tests.integration.checkpoint_work import AtPut, back_up, fresh, garble, lose, notices, stored
from tests.integration.conftest import Bench
from tests.integration.restricted_work import quicker
from tests.integration.trees import look, write


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints every three diffs: the fourth commit names the first one, the seventh the second."""
    monkeypatch.setattr(checkpoint, "FEWEST_DIFFS", 3)


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def bench(make_bench: Callable[..., Bench], memory: MemoryStore) -> Bench:
    return make_bench(memory)


@frozen
class Broken:
    """Eight commits, the second and the third unreadable; the fourth names a checkpoint, as does the seventh."""

    bench: Bench
    commits: list[str]
    seen: list[set[str]]
    lost: bool
    referenced: frozenset[VersionRef]


def paths(repository: Repository, version: str = "latest") -> set[str]:
    return {entry.path for entry in repository.list_files(version)}


@pytest.fixture(params=["lost", "garbled"])
def broken(request: pytest.FixtureRequest, eager: None, bench: Bench, memory: MemoryStore) -> Broken:
    commits = back_up(bench, range(8))
    seen = [paths(bench.open(), version) for version in commits]
    known = bench.open()._client.control.read_references().refs
    referenced = frozenset(ref for ref in known if ref.key != CHECKPOINT)
    for version in commits[1:3]:
        lose(memory, MANIFEST, version) if request.param == "lost" else garble(memory, MANIFEST, version)
    return Broken(bench, commits, seen, request.param == "lost", referenced)


def test_commits_above_a_checkpoint_outlive_a_diff_below_it(broken: Broken, tmp_path: Path) -> None:
    for bench in (broken.bench, fresh(broken.bench, tmp_path / "new")):
        repository = bench.open()
        for number in range(3, 8):
            version = broken.commits[number]
            assert paths(repository, version) == broken.seen[number]
            assert f"/f{number}" in {change.entry.path for change in repository.list_changes(version)}
            target = tmp_path / f"{bench.config.local_manifest_file.replace('/', '')}{number}"
            assert repository.download(version, target).problems == ()
        assert paths(repository, "latest~2") == broken.seen[5]


def test_a_beginning_of_a_version_id_is_looked_for_above_the_break(broken: Broken, tmp_path: Path) -> None:
    repository = fresh(broken.bench, tmp_path / "new").open()
    commits = broken.commits[3:]
    while not any(begins_one(commits, version[:-1]) for version in commits):
        commits += back_up(broken.bench, range(len(commits) + 3, len(commits) + 4))
    for version in commits:
        if begins_one(commits, version[:-1]):
            assert repository.list_files(version[:-1]).version.version_id == version
            assert paths(repository, version[:-1]) == paths(repository, version)


def begins_one(versions: list[str], beginning: str) -> bool:
    return sum(version.startswith(beginning) for version in versions) == 1


BREAKS = (ObjectMissing, DamagedObject, DamagedChain)


def test_commits_below_the_checkpoint_say_what_is_missing(broken: Broken) -> None:
    for version in (broken.commits[2], "latest~5"):
        with pytest.raises((*BREAKS, NoSuchVersion)) as caught:
            broken.bench.open().list_files(version)
        assert broken.commits[2] in caught.value.message


def test_backups_go_on_above_a_break(broken: Broken, tmp_path: Path) -> None:
    newcomer = fresh(broken.bench, tmp_path / "new")
    write(newcomer.base, {"later": b"x"})
    assert newcomer.backup().version_id is not None
    write(broken.bench.base, {"later still": b"x"})
    assert broken.bench.backup().version_id is not None
    assert paths(newcomer.open()) == broken.seen[7] | {"/later", "/later still"}
    assert newcomer.open().download("latest", tmp_path / "out").problems == ()


def test_who_remembers_a_head_below_the_break_is_told_what_to_do(broken: Broken, tmp_path: Path) -> None:
    old = fresh(broken.bench, tmp_path / "old")
    path = old.config.manifest_path()
    head = broken.bench.open()._client.local.load().manifest
    assert head is not None
    assert head.head is not None
    seen = evolve(head.head, sequence=1, version_id=VersionId(broken.commits[0]))
    path.write_bytes(b"".join(encode_local(evolve(head, head=seen))))
    with pytest.raises(BREAKS, match="nobody can tell") as caught:
        old.open().list_files()
    assert str(path) in caught.value.hint
    with pytest.raises(BREAKS, match="nobody can tell"):
        old.open().list_versions()
    state = old.open().manifest_state()
    assert (state.head, state.lost is not None) == (broken.commits[7], True)
    path.unlink()
    assert paths(old.open()) == broken.seen[7]


def test_what_is_lost_is_told_and_what_is_whole_is_listed(broken: Broken, tmp_path: Path) -> None:
    for bench in (broken.bench, fresh(broken.bench, tmp_path / "new")):
        heard: list[Event] = []
        listed = bench.open().list_versions(heard.append)
        assert [version.version_id for version in listed] == broken.commits[3:]
        assert f"from number 4 ({broken.commits[3]}) on are whole" in notices(heard)
        state = bench.open().manifest_state()
        assert (state.head, state.unsound, state.sound) == (broken.commits[7], (), False)
        assert state.commits == listed
        assert state.lost is not None
        assert (state.lost.before, state.lost.first_whole) == (4, broken.commits[3])
        assert broken.commits[2] in state.lost.reason
        with pytest.raises((*BREAKS, NoSuchVersion)) as caught:
            bench.open().list_files("latest~6")
        assert f"from number 4 ({broken.commits[3]}) on are whole" in caught.value.hint
        assert "repair --head" not in caught.value.hint


def test_a_commit_below_the_break_that_needs_nothing_lost_is_read_by_its_id(broken: Broken) -> None:
    heard: list[Event] = []
    found = broken.bench.open().list_files(broken.commits[0], heard.append)
    assert {entry.path for entry in found} == broken.seen[0]
    assert f"nothing ties {broken.commits[0]} to the newest commit" in notices(heard)


@pytest.mark.parametrize("number", [3, 5, 6, 7])
def test_going_back_works_above_a_break(broken: Broken, number: int, tmp_path: Path) -> None:
    repaired = broken.bench.open().repair_head(broken.commits[number])
    assert [version.version_id for version in repaired.left_out] == broken.commits[number + 1 :]
    assert broken.commits[0] in repaired.set_aside
    assert paths(broken.bench.open()) == broken.seen[number]
    assert broken.bench.open().repair_head(broken.commits[number]).version_id is None
    write(broken.bench.base, {"later": b"x"})
    assert broken.bench.backup().version_id is not None
    assert fresh(broken.bench, tmp_path / "new").open().download("latest", tmp_path / "out").problems == ()
    assert look(tmp_path / "out") == look(broken.bench.base)


def test_nobody_goes_back_to_what_is_no_longer_whole(broken: Broken) -> None:
    with pytest.raises((DamagedChain, NoSuchVersion), match=broken.commits[2]):
        broken.bench.open().repair_head(broken.commits[2])


def test_a_forgery_above_a_break_is_named_and_the_whole_commits_are_read_by_id(
    broken: Broken, memory: MemoryStore
) -> None:
    forged = memory.put(MANIFEST, b"noise").version_id
    state = broken.bench.open().manifest_state()
    assert (state.head, [one.version_id for one in state.unsound]) == (broken.commits[7], [forged])
    for number in (3, 5, 7):
        assert paths(broken.bench.open(), broken.commits[number]) == broken.seen[number]
    broken.bench.open().repair_head(broken.commits[7])
    assert paths(broken.bench.open()) == broken.seen[7]


def test_a_forged_break_with_a_checkpoint_of_its_own_is_noticed_by_who_remembers(
    bench: Bench, memory: MemoryStore, tmp_path: Path
) -> None:
    """The parent that it names never was, and the checkpoint says that nothing was there."""
    head = back_up(bench, range(3))[-1]
    link = bench.open()._client.control.read_chain(0)[0]
    parent = ParentRef(VersionId("v999999"), "0" * 64)
    body = encode_checkpoint(checkpoint.Checkpoint(link.diff.repository, 8, parent, ()))
    ref = CheckpointRef(memory.put(CHECKPOINT, body).version_id, sha256_hex(body))
    diff = evolve(link.diff, sequence=9, parent=parent, changes=(), checkpoint=ref)
    forged = memory.put(MANIFEST, encode_diff(diff)).version_id
    write(bench.base, {"more": b"1"})
    for read in (bench.open().list_files, bench.open().list_versions, bench.open().backup):
        with pytest.raises((*BREAKS, StoreWentBack)):
            read()
    state = bench.open().manifest_state()
    assert (state.head, [one.version_id for one in state.unsound]) == (head, [forged])
    assert head in {one.version_id for one in fresh(bench, tmp_path / "new").open().manifest_state().strays}


def test_who_has_keys_reads_above_a_break_of_plain_diffs_but_not_of_ones_in_place_of_encrypted(
    make_bench: Callable[..., Bench], memory: MemoryStore, monkeypatch: pytest.MonkeyPatch, eager: None, tmp_path: Path
) -> None:
    quicker(monkeypatch)
    crypto = CryptoSettings(crypt_password="correct horse", kdf_passes=4, kdf_memory=32 << 20)
    bench = make_bench(memory, crypto=crypto, file_pipeline=[("*", ["encrypt"])])
    commits = back_up(bench, range(5))
    lose(memory, MANIFEST, commits[1])
    newcomer = fresh(bench, tmp_path / "new")
    assert len(newcomer.open().list_files()) == 6
    head = memory.get(MANIFEST)
    encrypting = bench.open(meta_pipeline=["encrypt"])
    write(bench.base, {"more": b"1"})
    encrypting.backup()
    memory.put(MANIFEST, head.body)
    with pytest.raises(DamagedChain, match="not encrypted"):
        newcomer.open().list_files()


# --- what must never be deleted ------------------------------------------------------------------------------------


def kept(broken: Broken, tmp_path: Path) -> bool:
    """Whether what the lost diffs refer to, which the checkpoint still names, can be restored."""
    restored = fresh(broken.bench, tmp_path / "new").open().download(broken.commits[7], tmp_path / "out")
    return restored.problems == ()


def test_what_is_referred_to_is_known_although_a_diff_is_lost_or_says_something_else(
    broken: Broken, memory: MemoryStore
) -> None:
    control = broken.bench.open()._client.control
    with nullcontext() if broken.lost else suppress(*BREAKS):
        assert control.read_references().refs >= broken.referenced
    for ref in stored(memory, CHECKPOINT):
        lose(memory, CHECKPOINT, ref.version_id)
    with pytest.raises(BREAKS):
        control.read_references()


def test_a_collection_above_a_break_deletes_nothing_that_a_lost_diff_refers_to(
    broken: Broken, memory: MemoryStore, tmp_path: Path
) -> None:
    orphan = VersionRef("files/f1", memory.put("files/f1", b"of nobody").version_id)
    assert broken.bench.open().garbage_collect().deleted == (orphan,)
    assert broken.referenced <= {version.ref for version in memory.list_versions("files/")}
    assert kept(broken, tmp_path)


def test_a_collection_without_a_checkpoint_above_the_break_deletes_nothing(broken: Broken, memory: MemoryStore) -> None:
    for ref in stored(memory, CHECKPOINT):
        lose(memory, CHECKPOINT, ref.version_id)
    before = list(memory.list_versions("files/"))
    with pytest.raises(BREAKS):
        broken.bench.open().garbage_collect()
    assert list(memory.list_versions("files/")) == before


def test_a_diff_below_a_checkpoint_that_cannot_be_read_stops_collections_until_a_repair(
    broken: Broken, memory: MemoryStore
) -> None:
    orphan = VersionRef("files/f1", memory.put("files/f1", b"of nobody").version_id)
    garble(memory, MANIFEST, broken.commits[0], b"noise")
    with pytest.raises(DamagedObject, match=broken.commits[0]):
        broken.bench.open().garbage_collect()
    broken.bench.open().repair_head(broken.commits[7])
    assert broken.bench.open().garbage_collect().deleted == (orphan,)
    assert broken.referenced <= {version.ref for version in memory.list_versions("files/")}


def test_a_recovery_above_a_break_deletes_nothing_that_a_lost_diff_refers_to(
    broken: Broken, memory: MemoryStore, tmp_path: Path
) -> None:
    write(broken.bench.base, {"f1": b"sent, but never committed"})
    client = memory.client()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "faults", AtPut(client, MANIFEST, FaultKind.BEFORE))
        with pytest.raises(SimulatedCrash):
            evolve(broken.bench, store=client).backup()
    other = fresh(broken.bench, tmp_path / "other")
    with nullcontext() if broken.lost else suppress(*BREAKS):
        assert other.backup(take_over=True).version_id is not None
    assert kept(broken, tmp_path)
