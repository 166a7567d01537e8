"""What somebody without the password does to stored objects, in every way there is, and what a restore makes of it.

On a store in a folder, whose files are edited in place. The rule that is tested: whatever was done is a problem that
names the path (or an error that names the record), nothing of that file is left in the target, and the rest comes back.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from attrs import evolve, frozen

import rrbackup
from rrbackup import ProblemKind, Word
from rrbackup.effects.directory import DirectoryStore
from rrbackup.effects.store import Stored
from tests import raw_objects
from tests.integration.trees import Seen, look, write
from tests.raw_objects import Region, regions

CHUNK: Final = 65_536
PASSWORD: Final = "a pässword"
SIZE: Final = 200_000
MANIFEST: Final = "manifest_diffs"

RULES: Final[list[tuple[str, list[Word]]]] = [
    ("/plain/*", []),
    ("/packed/*", [Word.COMPRESS]),
    ("/hidden/*", [Word.HASH_NAMES]),
    ("/encrypted/*", [Word.ENCRYPT]),
    ("/sealed/*", [Word.COMPRESS, Word.ENCRYPT]),
    ("*", [Word.HASH_NAMES, Word.COMPRESS, Word.ENCRYPT]),
]
FOLDERS: Final = ("plain", "packed", "hidden", "encrypted", "sealed", "everything")
ENCRYPTED: Final = ("encrypted", "sealed", "everything")
VICTIM: Final = "vi ctim"


# --- two repositories ----------------------------------------------------------------------------------------------


@frozen
class Repo:
    """A repository of two commits in a folder, open for reading; `tree` is what the second one holds."""

    store: Path
    base: Path
    repository: rrbackup.Repository
    tree: dict[bytes, Seen]

    def body(self, key: str, version_id: str) -> "Body":
        return Body(self.store / key / f"%v{version_id}")

    def object(self, path: str, version: str = "latest") -> "Body":
        (entry,) = [entry for entry in self.repository.list_files(version) if entry.path == path]
        assert entry.object is not None
        return self.body(entry.object.key, entry.object.version_id)

    def diffs(self) -> "list[Body]":
        """Oldest first."""
        return [self.body(MANIFEST, version.version_id) for version in self.repository.list_versions()]


@frozen
class Body:
    """The file that holds the bytes of one version."""

    path: Path

    @property
    def data(self) -> bytes:
        return self.path.read_bytes()

    @property
    def version_id(self) -> str:
        return self.path.name.removeprefix("%v")

    @contextmanager
    def replaced(self, data: bytes) -> Iterator[None]:
        """By other bytes, for a while."""
        before = self.data
        assert data != before, "a test that changes nothing tests nothing"
        self.path.write_bytes(data)
        try:
            yield
        finally:
            self.path.write_bytes(before)

    @contextmanager
    def covered(self, data: bytes) -> Iterator[str]:
        """By a new version of the same key, for a while; gives its version id."""
        number = 1 + max(int(name[2:].partition("-")[0]) for name in os.listdir(self.path.parent) if name[:2] == "%v")
        above = self.path.with_name(f"%v{number}-{number:08x}")
        above.write_bytes(data)
        try:
            yield above.name.removeprefix("%v")
        finally:
            above.unlink()


def config_for(folder: Path, **changes: object) -> rrbackup.Config:
    settings = rrbackup.Config(
        base_path=str(folder / "base"),
        local_manifest_file=str(folder / "manifest"),
        local_lock_file=str(folder / "lock"),
        directory=rrbackup.DirectorySettings(path=str(folder / "store")),
        crypto=rrbackup.CryptoSettings(crypt_password=PASSWORD, kdf_passes=4, kdf_memory=32 << 20),
        meta_pipeline=[Word.COMPRESS, Word.ENCRYPT],
        file_pipeline=RULES,
        chunk_size=CHUNK,
    )
    changed: rrbackup.Config = evolve(settings, **changes)  # type: ignore[arg-type]
    return changed


def content(name: str, turn: int) -> bytes:
    """Text that shrinks to three quarters, so that it has several chunks with compression too."""
    return Random(f"{name} {turn}").randbytes(SIZE * 3 // 4).hex().encode()[: SIZE * 5 // 4]


def make(folder: Path) -> Repo:
    """The victims change from the first commit to the second, the others stay."""
    base = folder / "base"
    base.mkdir(parents=True)
    repository = rrbackup.open_repository(config_for(folder))
    for turn in (1, 2):
        write(base, {f"{name}/{VICTIM}": content(name, turn) for name in FOLDERS})
        write(base, {f"{name}/other": content(f"other {name}", 0) for name in FOLDERS})
        write(base, {f"{name}/small": b"small %d in %s" % (turn, name.encode()) for name in FOLDERS})
        write(base, {"everything/again": content("everything", turn)})
        repository.backup()
    return Repo(folder / "store", base, repository, look(base))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    return make(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """Another repository of the same tree under the same password."""
    return make(tmp_path_factory.mktemp("theirs"))


# --- what is expected ----------------------------------------------------------------------------------------------


def restored(repo: Repo, target: Path, folders: Iterable[str]) -> rrbackup.DownloadResult:
    left_out = [f"/{folder}" for folder in FOLDERS if folder not in folders]
    return repo.repository.download("latest", target, ignore=left_out)


def assert_refused(repo: Repo, target: Path, *paths: str, folders: Sequence[str] = ()) -> str:
    """That a restore names `paths` as damaged and brings back everything else; what it says of the first.

    Only of `folders`, or else of the first path's.
    """
    wanted = folders or [paths[0].split("/")[1]]
    result = restored(repo, target, wanted)
    assert sorted(problem.path for problem in result.problems) == sorted(paths)
    assert {problem.kind for problem in result.problems} == {ProblemKind.DAMAGED}
    assert look(target) == {
        path: seen
        for path, seen in repo.tree.items()
        if path.decode().split("/")[0] in wanted and f"/{path.decode()}" not in paths
    }
    first = next(problem for problem in result.problems if problem.path == paths[0])
    assert paths[0] in str(first)
    return first.detail


def victims(folder: str) -> tuple[str, ...]:
    """The paths that share one object with the victim, that one first."""
    again = ("/everything/again",) if folder == "everything" else ()
    return (f"/{folder}/{VICTIM}", *again)


def test_untouched_both_repositories_come_back(ours: Repo, theirs: Repo, tmp_path: Path) -> None:
    for number, repo in enumerate((ours, theirs)):
        assert restored(repo, tmp_path / str(number), FOLDERS).problems == ()
        assert look(tmp_path / str(number)) == repo.tree


# --- single objects ------------------------------------------------------------------------------------------------


def flipped(data: bytes, at: int, bit: int = 0) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1 << bit
    return bytes(changed)


def tamperings(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Everything that is done to one encrypted object, each with a name for the failure's message."""
    parts = regions(data)
    chunks = [part for part in parts if part.name.startswith("chunk")]
    assert len(chunks) >= 3
    yield from _flips(data, parts)
    yield from _cuts(data, parts)
    yield from _rearranged(data, chunks)
    yield from _longer(data, chunks)
    yield from _other_headers(data)


def _flips(data: bytes, parts: tuple[Region, ...]) -> Iterator[tuple[str, bytes]]:
    for part in parts:
        for at in sorted({part.start, (part.start + part.end) // 2, part.end - 17, part.end - 16, part.end - 1}):
            if part.start <= at < part.end:
                yield f"bit in {part.name} at {at - part.start}", flipped(data, at, bit=at % 8)
    header = parts[1]
    for at in range(header.start, header.end):
        yield f"bit in the header at {at}", flipped(data, at, bit=at % 7)


def _cuts(data: bytes, parts: tuple[Region, ...]) -> Iterator[tuple[str, bytes]]:
    yield "empty", b""
    for part in parts:
        yield f"cut inside {part.name}", data[: (part.start + part.end) // 2]
        yield f"cut one byte before the end of {part.name}", data[: part.end - 1]
        if part.end < len(data):
            yield f"cut behind {part.name}", data[: part.end]
            yield f"cut one byte behind {part.name}", data[: part.end + 1]
        yield f"without {part.name}", data[: part.start] + data[part.end :]


def _rearranged(data: bytes, chunks: list[Region]) -> Iterator[tuple[str, bytes]]:
    first, second, last = chunks[0], chunks[1], chunks[-1]
    front, one, two = data[: first.start], data[first.start : first.end], data[second.start : second.end]
    yield "first two chunks exchanged", front + two + one + data[second.end :]
    yield "first chunk twice", front + one + one + data[second.end :]
    yield "first chunk repeated", front + one + data[first.start :]
    end = data[last.start : last.end]
    yield "last chunk first", front + end + data[first.start : last.start]
    yield "only the last chunk", front + end
    yield "all chunks backwards", front + b"".join(data[chunk.start : chunk.end] for chunk in reversed(chunks))


def _longer(data: bytes, chunks: list[Region]) -> Iterator[tuple[str, bytes]]:
    yield "one byte more", data + b"\0"
    yield "as many bytes more as an empty chunk has", data + bytes(17)
    yield "last chunk twice", data + data[chunks[-1].start :]
    yield "the whole object twice", data + data
    yield "many bytes more", data + bytes(3 << 20)


def _other_headers(data: bytes) -> Iterator[tuple[str, bytes]]:
    header, _, rest = raw_objects.split(data)
    assert data == raw_objects.framed(header, rest), "the header is as the document spells it"
    others: dict[str, object] = {
        "V": "1",
        "kind": "another",
        "pipeline": [],
        "cipher": "none",
        "chunk_size": CHUNK * 2,
        "repository": "0" * 32,
        "key": "files/elsewhere",
    }
    for name, value in others.items():
        yield f"another {name}", raw_objects.framed({**header, name: value}, rest)
        yield f"no {name}", raw_objects.framed({k: v for k, v in header.items() if k != name}, rest)
    for value in (0, -1, True, 1 << 40, 10**30, "65536", None, [65536]):
        yield f"chunk_size {value!r}", raw_objects.framed({**header, "chunk_size": value}, rest)
    yield "one more field", raw_objects.framed({**header, "more": 1}, rest)
    yield "a header that is no object", raw_objects.framed({}, rest).replace(b"{}", b"[]", 1)


@pytest.mark.parametrize("folder", [ENCRYPTED[0], *(pytest.param(f, marks=pytest.mark.deep) for f in ENCRYPTED[1:])])
def test_every_way_to_damage_an_encrypted_object_is_noticed(ours: Repo, tmp_path: Path, folder: str) -> None:
    paths = victims(folder)
    body = ours.object(paths[0])
    for number, (what, data) in enumerate(tamperings(body.data)):
        with body.replaced(data):
            detail = assert_refused(ours, tmp_path / str(number), *paths)
        assert body.version_id in detail, f"{what}: {detail}"


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder not in ENCRYPTED])
def test_what_is_not_encrypted_is_held_to_its_digest(ours: Repo, tmp_path: Path, folder: str) -> None:
    body = ours.object(f"/{folder}/{VICTIM}")
    data = body.data
    changed = [flipped(data, at) for at in (0, 5, len(data) // 2, len(data) - 1)]
    changed += [data[:-1], data[: len(data) // 2], b"", data + b"\0", data + data, data[1:], data + bytes(3 << 20)]
    for number, other in enumerate(changed):
        with body.replaced(other):
            assert body.version_id in assert_refused(ours, tmp_path / str(number), f"/{folder}/{VICTIM}")


def test_a_damaged_object_costs_no_other_file(ours: Repo, tmp_path: Path) -> None:
    with ours.object(f"/encrypted/{VICTIM}").replaced(b"nothing"):
        assert_refused(ours, tmp_path / "out", f"/encrypted/{VICTIM}", folders=FOLDERS)


def test_a_file_that_stands_in_the_target_survives_a_damaged_object(ours: Repo, tmp_path: Path) -> None:
    """Its last chunk is damaged, so that all others had been written down by then."""
    body, target = ours.object(f"/encrypted/{VICTIM}"), tmp_path / "out"
    write(target, {f"encrypted/{VICTIM}": b"as it was"})
    with body.replaced(flipped(body.data, len(body.data) - 1)):
        assert len(restored(ours, target, ["encrypted"]).problems) == 1
    assert {path: seen.content for path, seen in look(target).items()} == {
        f"encrypted/{VICTIM}".encode(): b"as it was",
        b"encrypted/other": ours.tree[b"encrypted/other"].content,
        b"encrypted/small": ours.tree[b"encrypted/small"].content,
    }


def test_a_missing_object_is_a_problem_of_its_files(ours: Repo, tmp_path: Path) -> None:
    body = ours.object(f"/encrypted/{VICTIM}")
    aside = body.path.rename(body.path.with_name("aside"))
    try:
        assert body.version_id in assert_refused(ours, tmp_path / "out", f"/encrypted/{VICTIM}")
    finally:
        aside.rename(body.path)


# --- objects in the place of others --------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_object_passes_for_another(ours: Repo, theirs: Repo, tmp_path: Path, folder: str) -> None:
    """Of any path and version, of this repository or of another one under the same password."""
    paths = victims(folder)
    body = ours.object(paths[0])
    own = body.data
    others = {other for repo in (ours, theirs) for other in file_objects(repo)}
    assert len(others) > 30
    for number, other in enumerate(sorted(others - {own})):
        with body.replaced(other):
            assert_refused(ours, tmp_path / str(number), *paths)


def file_objects(repo: Repo) -> list[bytes]:
    return [path.read_bytes() for path in (repo.store / "files").rglob("%v*")]


def test_it_is_said_where_an_exchanged_object_belongs(ours: Repo, theirs: Repo, tmp_path: Path) -> None:
    """All of them are equally long, so that nothing else gives them away first."""
    path = f"/encrypted/{VICTIM}"
    body, neighbour, foreign = ours.object(path), ours.object("/encrypted/other"), theirs.object(path)
    with body.replaced(neighbour.data):
        assert "belongs at the key 'files/encrypted/other'" in assert_refused(ours, tmp_path / "path", path)
    with body.replaced(ours.object(path, "latest~1").data):
        assert "is not what the commit says" in assert_refused(ours, tmp_path / "version", path)
    names = [raw_objects.split(one.data)[0]["repository"] for one in (foreign, body)]
    with body.replaced(foreign.data):
        detail = assert_refused(ours, tmp_path / "repository", path)
    assert f"belongs to the repository {names[0]}, not {names[1]}" in detail


def test_a_header_that_is_put_right_does_not_help(ours: Repo, theirs: Repo, tmp_path: Path) -> None:
    """An object moved from another path, or repository, that says it has always been here."""
    path = f"/encrypted/{VICTIM}"
    body = ours.object(path)
    header = raw_objects.split(body.data)[0]
    for number, other in enumerate([ours.object("/encrypted/other"), theirs.object(path)]):
        with body.replaced(raw_objects.framed(header, raw_objects.split(other.data)[2])):
            assert "chunk 1" in assert_refused(ours, tmp_path / str(number), path)


def test_two_exchanged_objects_are_both_named(ours: Repo, tmp_path: Path) -> None:
    paths = [f"/encrypted/{VICTIM}", "/encrypted/other"]
    first, second = (ours.object(path) for path in paths)
    one, two = first.data, second.data
    with first.replaced(two), second.replaced(one):
        assert_refused(ours, tmp_path / "out", *paths)


# --- diffs ---------------------------------------------------------------------------------------------------------


def assert_unreadable(repo: Repo, target: Path, *named: str) -> str:
    """That every listing and restore fails, naming one of the versions, and leaves no trace; the message."""
    repository = repo.repository
    asked: list[Callable[[], object]] = [
        repository.list_versions,
        repository.list_files,
        repository.list_changes,
        lambda: repository.download("latest", target),
        lambda: repository.download("latest~1", target),
    ]
    messages = set()
    for ask in asked:
        with pytest.raises(rrbackup.RepositoryError) as caught:
            ask()
        assert not isinstance(caught.value, rrbackup.NoSuchVersion | rrbackup.WrongPassword)
        messages.add(caught.value.message)
    (message,) = messages
    assert any(version_id in message for version_id in named), message
    assert not target.exists() or look(target) == {}
    return message


def record_tamperings(data: bytes) -> Iterator[tuple[str, bytes]]:
    parts = regions(data)
    yield from _flips(data, parts)
    yield from _cuts(data, parts)
    yield from _longer(data, [part for part in parts if part.name.startswith("chunk")])
    yield from _other_headers(data)


@pytest.mark.parametrize("index", [pytest.param(0, id="first", marks=pytest.mark.deep), pytest.param(1, id="head")])
def test_every_way_to_damage_a_diff_is_noticed(ours: Repo, tmp_path: Path, index: int) -> None:
    body = ours.diffs()[index]
    for what, data in record_tamperings(body.data):
        with body.replaced(data):
            message = assert_unreadable(ours, tmp_path / "out", body.version_id)
        assert message, what


def test_a_diff_that_is_put_in_the_place_of_another_is_noticed(ours: Repo, theirs: Repo, tmp_path: Path) -> None:
    (first, second), foreign = ours.diffs(), theirs.diffs()
    claim = next((ours.store / "gc_log").glob("%v*")).read_bytes()
    for other in (second.data, foreign[0].data, foreign[1].data, claim):
        with first.replaced(other):
            assert_unreadable(ours, tmp_path / "out", first.version_id)
    for other in (foreign[0].data, foreign[1].data, claim):
        with second.replaced(other):
            assert_unreadable(ours, tmp_path / "out", second.version_id)


def test_a_diff_of_another_repository_on_top_is_noticed(ours: Repo, theirs: Repo, tmp_path: Path) -> None:
    foreign = theirs.diffs()[1].data
    with ours.diffs()[1].covered(foreign) as version_id:
        message = assert_unreadable(ours, tmp_path / "out", version_id)
    assert raw_objects.split(foreign)[0]["repository"] in message


def forged(below: Body, **changes: object) -> bytes:
    """An unencrypted diff as somebody would write it who has read all that lies open in the store."""
    header = raw_objects.split(below.data)[0]
    digest = hashlib.sha256(b"forged").hexdigest()
    reference = {"key": "files/plain/forged", "version_id": "1-00000001", "stored_size": 6, "etag": '"x"'}
    entry = {"path": "/plain/forged", "size": 6, "mtime_ns": 1, "mode": 0o600, "sha256": digest, "object": reference}
    payload = {
        "format": 2,
        "repository": header["repository"],
        "sequence": 3,
        "parent": {"version_id": below.version_id, "sha256": hashlib.sha256(below.data).hexdigest()},
        "transaction": "0" * 32,
        "kind": "commit",
        "created_ns": 1,
        "host": "elsewhere",
        "changes": [{"status": "new", **entry}],
    }
    return raw_objects.plain_record("diff", {**payload, **changes})


def test_an_unencrypted_diff_on_top_of_encrypted_ones_counts_as_forged(ours: Repo, tmp_path: Path) -> None:
    with ours.diffs()[1].covered(forged(ours.diffs()[1])) as version_id:
        assert_unreadable(ours, tmp_path / "out", version_id)
        with pytest.raises(rrbackup.DamagedChain, match="not encrypted"):
            ours.repository.list_versions()


def test_an_unencrypted_fence_counts_as_forged_too(ours: Repo, tmp_path: Path) -> None:
    fence = forged(ours.diffs()[1], kind="fence", changes=[])
    with ours.diffs()[1].covered(fence) as version_id, pytest.raises(rrbackup.DamagedChain, match=version_id):
        ours.repository.list_versions()


def test_an_unencrypted_diff_in_the_place_of_an_encrypted_one_counts_as_forged(ours: Repo, tmp_path: Path) -> None:
    first, second = ours.diffs()
    with second.replaced(forged(first, sequence=2)):
        assert_unreadable(ours, tmp_path / "out", second.version_id)
        with pytest.raises(rrbackup.DamagedChain, match="not encrypted"):
            ours.repository.list_versions()
    with first.replaced(forged(first, sequence=1, parent=None)), pytest.raises(rrbackup.DamagedChain):
        ours.repository.list_versions()


# --- what a writer makes of it -------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path) -> Repo:
    """A repository to write to, small and for one test."""
    base = tmp_path / "own" / "base"
    base.mkdir(parents=True)
    repository = rrbackup.open_repository(config_for(tmp_path / "own"))
    for turn in (1, 2):
        write(base, {f"{name}/file": b"%d in %s" % (turn, name.encode()) for name in FOLDERS})
        repository.backup()
    return Repo(tmp_path / "own" / "store", base, repository, look(base))


def stored(repo: Repo) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in repo.store.rglob("%*") if path.is_file()}


def forgetful(repo: Repo) -> rrbackup.Repository:
    """A client that remembers nothing of the repository."""
    folder = repo.base.parent
    config = evolve(repo.repository.config, local_manifest_file=str(folder / "m"), local_lock_file=str(folder / "l"))
    return rrbackup.open_repository(config)


@pytest.mark.parametrize("remembers", [True, False])
@pytest.mark.parametrize("first", [True, False], ids=["a new beginning", "the next one"])
def test_nobody_builds_on_a_forged_diff_or_believes_it(own: Repo, tmp_path: Path, remembers: bool, first: bool) -> None:
    """What is written stays below it, so that it can be deleted and all is well."""
    write(own.base, {"plain/more": b"more"})
    plant(own, "files/plain/forged", b"forged")
    with own.diffs()[1].covered(forged(own.diffs()[1], **({"sequence": 1, "parent": None} if first else {}))):
        client = own.repository if remembers else forgetful(own)
        before = manifests(own)
        for attempt in (client.plan_backup, client.backup):
            with pytest.raises((rrbackup.DamagedChain, rrbackup.StoreWentBack)):
                attempt()
        for ask in (client.list_versions, client.list_files, lambda: client.download("latest", tmp_path / "out")):
            with pytest.raises(rrbackup.DamagedChain):
                ask()
        assert manifests(own) == before
    assert not (tmp_path / "out").exists()
    assert own.repository.backup().counts.new == 1


def test_a_collection_builds_on_no_forged_diff_either(own: Repo) -> None:
    with own.diffs()[1].covered(forged(own.diffs()[1])):
        before = stored(own)
        for client in (own.repository, forgetful(own)):
            with pytest.raises(rrbackup.DamagedChain):
                client.garbage_collect()
        assert stored(own) == before


def plant(repo: Repo, key: str, data: bytes) -> None:
    """A first version of an object."""
    (repo.store / key).mkdir(parents=True)
    (repo.store / key / "%v1-00000001").write_bytes(data)


def manifests(repo: Repo) -> list[Path]:
    return sorted((repo.store / MANIFEST).iterdir())


def test_a_recovery_builds_on_no_forged_diff_either(own: Repo) -> None:
    """A run of this client died with its claim open; then somebody put a diff on top."""

    class Dying(DirectoryStore):
        def put(self, key: str, *arguments: Any, **options: Any) -> Stored:
            if key == MANIFEST:
                raise KeyboardInterrupt
            return super().put(key, *arguments, **options)

    write(own.base, {"plain/more": b"more"})
    with pytest.raises(KeyboardInterrupt):
        rrbackup.open_repository(own.repository.config, store=Dying(own.store)).backup()
    with own.diffs()[1].covered(forged(own.diffs()[1])):
        before = manifests(own)
        with pytest.raises(rrbackup.DamagedChain):
            own.repository.backup()
        assert manifests(own) == before
    assert own.repository.backup().counts.new == 1


def test_an_older_diff_on_top_is_noticed_by_who_remembers(own: Repo, tmp_path: Path) -> None:
    write(own.base, {"plain/more": b"more"})
    first, second = own.diffs()
    client = own.repository
    with second.covered(first.data):
        before = stored(own)
        for attempt in (
            client.plan_backup,
            client.backup,
            client.garbage_collect,
            client.list_versions,
            client.list_files,
        ):
            with pytest.raises(rrbackup.StoreWentBack):
                attempt()
        with pytest.raises(rrbackup.StoreWentBack):
            client.download("latest", tmp_path / "out")
        assert stored(own) == before
    assert not (tmp_path / "out").exists()


def test_a_damaged_claim_is_named_and_stops_writers(own: Repo) -> None:
    write(own.base, {"plain/more": b"more"})
    newest = max((own.store / "gc_log").glob("%v*"), key=number_of)
    body = Body(newest)
    for what, data in record_tamperings(body.data):
        with body.replaced(data):
            before = stored(own)
            with pytest.raises(rrbackup.RepositoryError, match="gc_log"):
                own.repository.backup()
            assert stored(own) == before, what
    assert own.repository.backup().counts.new == 1


def number_of(path: Path) -> int:
    return int(path.name[2:].partition("-")[0])


def test_a_claim_of_another_repository_is_refused(own: Repo, theirs: Repo) -> None:
    write(own.base, {"plain/more": b"more"})
    body = Body(max((own.store / "gc_log").glob("%v*"), key=number_of))
    foreign = max((theirs.store / "gc_log").glob("%v*"), key=number_of).read_bytes()
    with body.covered(foreign), pytest.raises(rrbackup.DamagedObject, match="gc_log"):
        own.repository.backup()


def test_a_forged_claim_or_an_old_one_on_top_deletes_nothing(own: Repo, tmp_path: Path) -> None:
    """Somebody without the password can put one there; ending it sweeps its keys, but spares what commits hold."""
    claims = sorted((own.store / "gc_log").glob("%v*"), key=number_of)
    keys = [entry.object.key for entry in own.repository.list_files() if entry.object is not None]
    fields = {"format": 2, "transaction": "f" * 32, "serial": 1, "state": "open", "host": "x", "created_ns": 1}
    forgery = raw_objects.plain_record("claim", {**fields, "keys": keys})
    for number, data in enumerate([forgery, *(path.read_bytes() for path in claims)]):
        with Body(claims[-1]).covered(data):
            own.repository.backup(take_over=True)
        assert restored(own, tmp_path / str(number), FOLDERS).problems == ()
        assert look(tmp_path / str(number)) == own.tree


def test_a_forged_garbage_list_deletes_nothing_that_a_commit_holds(own: Repo, tmp_path: Path) -> None:
    versions = [[str(path.parent.relative_to(own.store)), path.name[2:]] for path in (own.store / "files").rglob("%v*")]
    folder = own.store / "garbage_objects"
    folder.mkdir()
    (folder / "%v1-00000001").write_bytes(raw_objects.plain_record("garbage", {"format": 2, "versions": versions}))
    assert own.repository.clean_gc_log().deleted == ()
    for back in ("latest", "latest~1"):
        assert own.repository.download(back, tmp_path / back).problems == ()
    assert look(tmp_path / "latest") == own.tree


# --- the salt object -----------------------------------------------------------------------------------------------


def test_every_damaged_byte_of_the_salt_object_is_noticed(own: Repo) -> None:
    (path,) = (own.store / "salt_file").glob("%v*")
    body = Body(path)
    data = body.data
    changed = [flipped(data, at, bit=at % 7) for at in range(len(data))]
    changed += [data[:length] for length in range(0, len(data), 7)]
    for other in changed:
        with body.replaced(other), pytest.raises(rrbackup.RepositoryError, match="salt_file") as caught:
            rrbackup.open_repository(own.repository.config).list_versions()
        assert not isinstance(caught.value, rrbackup.WrongPassword), "damage is told from a wrong password"


def test_the_salt_object_of_another_repository_opens_nothing_here(own: Repo, theirs: Repo, tmp_path: Path) -> None:
    """Its keys are right, and they are keys of another repository."""
    (path,) = (own.store / "salt_file").glob("%v*")
    foreign = next((theirs.store / "salt_file").glob("%v*")).read_bytes()
    with Body(path).covered(foreign), rrbackup.open_repository(own.repository.config) as repository:
        with pytest.raises(rrbackup.DamagedObject, match="repository"):
            repository.download("latest", tmp_path / "out")
        with pytest.raises(rrbackup.DamagedObject, match="repository"):
            repository.backup()
    assert not (tmp_path / "out").exists()
