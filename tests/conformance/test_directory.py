"""The directory store on disk: what lies where, what a crash leaves, what a full disk or a bad folder does."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from rrbackup.effects.directory import DirectoryStore
from rrbackup.effects.directory_marker import open_volume
from rrbackup.effects.directory_upload import Upload
from rrbackup.effects.store import IfMatch
from rrbackup.effects.store_rules import ALWAYS
from rrbackup.errors import ObjectMissing, StoreUnavailable, UnsupportedFormat, UsageError
from rrbackup.pure.model import VersionId, VersionRef

MIB = 1 << 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def directory(root: Path) -> DirectoryStore:
    store = DirectoryStore(root)
    store.prepare()
    return store


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_an_object_lies_there_as_a_plain_file(directory: DirectoryStore, root: Path) -> None:
    version = directory.put("files/some folder/a.txt", b"content", metadata={"mode": "644"}).version_id
    folder = root / "files" / "some folder" / "a.txt"
    assert (folder / f"%v{version}").read_bytes() == b"content"
    assert json.loads((folder / f"%m{version}").read_text()) == {"mode": "644"}
    assert version.startswith("1-")


def test_without_metadata_no_file_for_it_is_made(directory: DirectoryStore, root: Path) -> None:
    version = directory.put("k", b"x").version_id
    assert names(root) == ["%rrbackup", f"k/%v{version}"]


def test_numbers_of_versions_ascend_past_ten(directory: DirectoryStore) -> None:
    stored = [directory.put("k", b"x").version_id for _ in range(12)]
    assert [int(version.partition("-")[0]) for version in stored] == list(range(1, 13))
    assert directory.head("k").version_id == stored[-1]


def test_a_deletion_leaves_no_file_and_no_folder_behind(directory: DirectoryStore, root: Path) -> None:
    long = "n" * 255
    for key in ("a/b/c", f"a/{long}/d", long):
        directory.put(key, b"x", metadata={"n": "1"})
    directory.delete_versions([row.ref for row in directory.list_versions("")])
    assert [path.name for path in root.iterdir()] == ["%rrbackup"]


def test_a_long_segment_has_its_real_name_beside_it(directory: DirectoryStore, root: Path) -> None:
    long = "é" * 120
    directory.put(f"files/{long}/x", b"x")
    (folder,) = (root / "files").iterdir()
    assert folder.name.startswith("%l")
    assert (folder / "%name").read_text("utf-8") == long


def test_names_that_differ_in_case_only_lie_apart_on_a_volume_that_folds_it(root: Path) -> None:
    root.mkdir()
    (root / "%rrbackup").write_text('{"layout": 1, "names": "hashed"}')
    store = DirectoryStore(root)
    for key in ("files/A", "files/a"):
        store.put(key, key.encode())
    stored = {path.name.lower() for path in root.rglob("%l*")}
    assert len(stored) == 3
    assert [row.key for row in store.list_versions("files/")] == ["files/A", "files/a"]


def test_a_segment_that_looks_like_the_layout_is_refused(directory: DirectoryStore) -> None:
    for key in ("files/%v1-00000000", "%t", "a/%name", "%d", "%l", "%mode", "%rrbackup"):
        with pytest.raises(UsageError, match="directory store"):
            directory.put(key, b"x")
    directory.put("files/%h/%0A%E9%D0", b"x")


@pytest.mark.parametrize("key", ["../outside/k", "a/../../outside/k", "k/"])
def test_no_key_leads_out_of_the_store_or_to_another(directory: DirectoryStore, root: Path, key: str) -> None:
    outside = DirectoryStore(root.parent / "outside")
    outside.prepare()
    for store in (outside, directory):
        version = store.put("k", b"x").version_id
        with pytest.raises(UsageError):
            directory.delete_versions([VersionRef(key, version)])
        with pytest.raises(UsageError):
            directory.get(key, version)
    with pytest.raises(UsageError):
        list(directory.list_versions("../outside/"))
    assert outside.get("k").body == directory.get("k").body == b"x"


@pytest.mark.parametrize("version", ["", "1", "1-0000000", "../../x", "1-00000000/../x", "%v1-00000000", "²-00000000"])
def test_what_cannot_be_a_version_id_is_missing(directory: DirectoryStore, version: str) -> None:
    directory.put("k", b"x")
    with pytest.raises(ObjectMissing):
        directory.get("k", VersionId(version))
    directory.delete_versions([VersionRef("k", VersionId(version))])
    assert len(list(directory.list_versions(""))) == 1


@pytest.mark.parametrize("marker", ["", "[]", '{"layout": 2, "names": "plain"}', '{"layout": 1, "names": "other"}'])
def test_a_layout_of_another_time_is_refused(root: Path, marker: str) -> None:
    root.mkdir()
    (root / "%rrbackup").write_text(marker)
    with pytest.raises(UnsupportedFormat):
        DirectoryStore(root).head("k")


def test_the_volumes_clock_leaves_no_file_behind(directory: DirectoryStore, root: Path) -> None:
    directory.put("k", b"x")
    before = names(root)
    assert directory.head("k").date_ns > 0
    assert directory.get("k").info.date_ns > 0
    assert names(root) == before


_KILLED = """
import os, signal, sys
from rrbackup.effects.directory import DirectoryStore

def body():
    yield b"begun"
    os.kill(os.getpid(), signal.SIGKILL)

DirectoryStore(sys.argv[1]).put("a/b", body(), metadata={"n": "1"})
"""


def test_a_killed_writer_leaves_an_upload_that_can_be_given_up(directory: DirectoryStore, root: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(root)], check=False)
    assert killed.returncode == -9
    assert list(directory.list_versions("")) == []
    (upload,) = directory.list_uploads("a/")
    assert upload.key == "a/b"
    directory.abort_upload(upload)
    assert [path.name for path in root.iterdir()] == ["%rrbackup"]


def test_an_upload_given_up_meanwhile_is_not_published(directory: DirectoryStore, root: Path) -> None:
    def body() -> Iterator[bytes]:
        yield b"begun"
        for upload in list(directory.list_uploads("")):
            directory.abort_upload(upload)

    with pytest.raises(StoreUnavailable, match="gave it up"):
        directory.put("a/b", body(), metadata={"n": "1"})
    assert [path.name for path in root.iterdir()] == ["%rrbackup"]


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """What a full disk looks like to a writer, without filling one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_and_leaves_nothing(directory: DirectoryStore, root: Path) -> None:
    with no_file_larger_than(MIB), pytest.raises(StoreUnavailable) as caught:
        directory.put("a/b", (b"x" * MIB for _ in range(3)))
    assert "a/b" in str(caught.value)
    assert "room" in caught.value.hint
    assert [path.name for path in root.iterdir()] == ["%rrbackup"]


def test_writing_and_deleting_side_by_side_loses_no_version(directory: DirectoryStore) -> None:
    """Deleting removes folders that others are about to write into; a deep key gives it time to."""
    deep = "/".join("abcdefghijklmnop")

    def work(number: int) -> VersionId:
        for _ in range(100):
            gone = directory.put(f"{deep}/{number}", b"gone").version_id
            directory.delete_versions([VersionRef(f"{deep}/{number}", gone)])
        return directory.put(f"{deep}/{number}", b"kept").version_id

    with ThreadPoolExecutor(2) as pool:
        kept = list(pool.map(work, range(2)))
    assert {row.version_id for row in directory.list_versions("")} == set(kept)


_KILLED_WITH_METADATA = """
import os, sys
from rrbackup.effects.directory_marker import open_volume
from rrbackup.effects.directory_upload import Upload

Upload.begin(open_volume(sys.argv[1].encode()), "gc_log").fill(b"unfinished", {"some": "label"})
os._exit(1)
"""


def test_what_a_killed_writer_left_goes_with_the_next_write_and_what_a_living_one_writes_stays(
    directory: DirectoryStore, root: Path
) -> None:
    directory.put("gc_log", b"first")
    subprocess.run([sys.executable, "-c", _KILLED_WITH_METADATA, str(root)], check=False)
    assert len(list((root / "gc_log").glob("%t*"))) == 2
    living = Upload.begin(open_volume(bytes(root)), "gc_log")
    assert [path.name for path in (root / "gc_log").glob("%t*")] == [Path(os.fsdecode(living.temporary)).name]
    directory.put("gc_log", b"second")
    living.publish(ALWAYS, living.fill(b"third", {}), has_metadata=False)
    assert [directory.get(row.key, row.version_id).body for row in directory.list_versions("")] == [
        b"third",
        b"second",
        b"first",
    ]
    assert list((root / "gc_log").glob("%t*")) == []


_RACER = """
import sys
from rrbackup.effects.directory import DirectoryStore
from rrbackup.effects.store import IfMatch
from rrbackup.errors import ConditionFailed

sys.stdin.readline()
try:
    DirectoryStore(sys.argv[1]).put("k", sys.argv[2].encode(), condition=IfMatch(sys.argv[3]))
    print("won")
except ConditionFailed:
    print("lost")
"""


def test_of_several_processes_exactly_one_wins(directory: DirectoryStore, root: Path) -> None:
    etag = directory.put("k", b"first").etag
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _RACER, str(root), str(number), etag],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    answers = sorted(racer.communicate("go\n", timeout=60)[0].strip() for racer in racers)
    assert answers == ["lost", "lost", "won"]
    directory.put("k", b"next", condition=IfMatch(directory.head("k").etag))
