"""Bodies: what goes in comes out, in one request or in parts; what fails half way leaves nothing."""

import hashlib
from collections.abc import Iterator

import pytest

from rrbackup.effects.store import Store, UnfinishedUpload
from rrbackup.effects.store_rules import MIB, MULTIPART_THRESHOLD
from rrbackup.errors import UsageError
from rrbackup.pure.model import VersionId
from tests.worlds import World


class SourceFailed(Exception):
    pass


def noise(size: int) -> bytes:
    """Bytes that differ everywhere, so that parts in a wrong order show."""
    return hashlib.shake_128(b"noise").digest(size)


def in_chunks(content: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


def failing(content: bytes, size: int) -> Iterator[bytes]:
    yield from in_chunks(content, size)
    raise SourceFailed


def read_all(store: Store, key: str, version: VersionId, start: int = 0, length: int | None = None) -> bytes:
    with store.read(key, version, start, length) as chunks:
        return b"".join(chunks)


@pytest.mark.parametrize(
    "size",
    [0, 1, MULTIPART_THRESHOLD, MULTIPART_THRESHOLD + 1, 5 * MULTIPART_THRESHOLD + 4_321],
    ids=["empty", "one byte", "threshold", "threshold + 1", "six parts"],
)
def test_content_comes_back_whatever_its_size(store: Store, size: int) -> None:
    content = noise(size)
    stored = store.put("k", in_chunks(content, 3 * MIB - 7), size_hint=size, metadata={"n": "1"})
    assert stored.size == store.head("k").size == size
    assert read_all(store, "k", stored.version_id) == content
    assert store.head("k").metadata == {"n": "1"}
    assert list(store.list_uploads("")) == []


def test_empty_chunks_do_not_matter(store: Store) -> None:
    stored = store.put("k", iter([b"", b"ab", b"", b"c", b""]))
    assert (stored.size, store.get("k").body) == (3, b"abc")


def test_bytes_larger_than_the_threshold_come_back(store: Store) -> None:
    content = noise(MULTIPART_THRESHOLD + 99)
    store.put("k", content, size_hint=1)
    assert store.get("k").body == content


@pytest.mark.parametrize("size", [0, 10, MULTIPART_THRESHOLD + 2 * MIB], ids=["at once", "small", "in parts"])
def test_a_body_that_raises_leaves_nothing(store: Store, size: int) -> None:
    with pytest.raises(SourceFailed):
        store.put("k/l", failing(noise(size), MIB))
    assert list(store.list_versions("")) == []
    assert list(store.list_uploads("")) == []


def test_a_body_that_raises_leaves_the_version_before(store: Store) -> None:
    store.put("k", b"before")
    with pytest.raises(SourceFailed):
        store.put("k", failing(b"after", 1))
    assert store.get("k").body == b"before"


RANGES = [
    (0, None, b"0123456789"),
    (3, None, b"3456789"),
    (3, 4, b"3456"),
    (0, 1, b"0"),
    (9, 1, b"9"),
    (8, 100, b"89"),
    (10, None, b""),
    (11, 5, b""),
    (4, 0, b""),
    (0, 10, b"0123456789"),
]


def test_a_range_is_read_as_asked(store: Store) -> None:
    version = store.put("k", b"0123456789").version_id
    store.put("k", b"something newer")
    assert [(start, length, read_all(store, "k", version, start, length)) for start, length, _ in RANGES] == RANGES


def test_a_range_across_parts_is_read_as_asked(store: Store) -> None:
    content = noise(2 * MULTIPART_THRESHOLD)
    version = store.put("k", content).version_id
    start = MULTIPART_THRESHOLD - 100
    assert read_all(store, "k", version, start, 200) == content[start : start + 200]


def test_reading_may_be_broken_off(store: Store) -> None:
    content = noise(4 * MIB)
    version = store.put("k", content).version_id
    with store.read("k", version) as chunks:
        begun = next(chunks)
    assert content.startswith(begun)
    assert 0 < len(begun) <= MIB
    assert read_all(store, "k", version) == content


def test_an_error_of_the_reader_goes_through_unchanged(store: Store) -> None:
    version = store.put("k", b"x").version_id
    with pytest.raises(SourceFailed), store.read("k", version):
        raise SourceFailed


def test_unfinished_uploads_are_seen_below_their_prefix_and_can_be_given_up(world: World) -> None:
    store = world.store()
    for key in ("a", "ab", "a/b", "c & d+é%2F"):
        world.leave_upload(key)
    found = list(store.list_uploads("a"))
    assert sorted(upload.key for upload in found) == ["a", "a/b", "ab"]
    for upload in found:
        store.abort_upload(upload)
    assert [upload.key for upload in store.list_uploads("")] == ["c & d+é%2F"]
    assert list(store.list_versions("")) == []


def test_giving_up_an_upload_that_does_not_exist_is_passed_over(world: World) -> None:
    store = world.store()
    world.leave_upload("k")
    (upload,) = store.list_uploads("k")
    store.abort_upload(upload)
    store.abort_upload(upload)
    store.abort_upload(UnfinishedUpload("never", upload.upload_id))
    assert list(store.list_uploads("")) == []


METADATA = {
    "none": {},
    "an entry": {"path": "/a%20b/%C3%A9%0A", "sha256": "0" * 64, "mtime-ns": "-1", "mode": "100644"},
    "punctuation": {"with-punctuation": "a b;c=\"d\",e:f/g?h&i<j>'k'\\|~"},
    "two kilobytes": {"x": "y" * 2_000},
}


def test_metadata_comes_back_as_it_was(store: Store) -> None:
    for key, metadata in METADATA.items():
        version = store.put(key, b"x", metadata=metadata).version_id
        assert store.head(key).metadata == store.get(key, version).info.metadata == metadata


def test_metadata_that_some_store_would_change_is_refused_by_all(store: Store) -> None:
    for metadata in ({"n": "é"}, {"Upper": "x"}, {"n": " x"}, {"n": "a\nb"}, {"": "x"}, {"n": "x" * 2_048}):
        with pytest.raises(UsageError):
            store.put("k", b"x", metadata=metadata)
    assert list(store.list_versions("")) == []
