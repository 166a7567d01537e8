"""What all stores share: which keys and metadata they take, and how a body is cut into parts.

A key or metadata that one store could not keep is refused by every store, so that what works against a
directory works against S3 too. Nothing here touches a store.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

from attrs import field, frozen

from rrbackup.effects.store import Always, Condition, IfAbsent, IfMatch
from rrbackup.errors import ConditionFailed, UsageError

MIB = 1 << 20
MULTIPART_THRESHOLD = 8 * MIB
PAGE = 1000
"""Rows in a listing, and versions in a deletion, that one S3 request takes."""

ALWAYS = Always()

_AIMED_PARTS = 9_500
_MAX_KEY = 1_024
_MAX_METADATA = 2_048

REREAD = "Look at the object again and decide anew."

T = TypeVar("T")


@frozen
class Piece:
    """A stretch of a body; `last` is true for exactly one, the final one."""

    data: bytes = field(repr=lambda b: f"<{len(b)} bytes>")
    last: bool


def check_condition(key: str, etag: str | None, condition: Condition, hint: str = REREAD) -> None:
    """Raise ConditionFailed unless `condition` holds of the current version's etag, None where there is none."""
    match condition:
        case Always():
            return
        case IfAbsent():
            if etag is not None:
                raise ConditionFailed(f"there already is an object {key}", hint=hint)
        case IfMatch(etag=expected):
            if etag != expected:
                raise ConditionFailed(f"object {key} no longer has the etag {expected}", hint=hint)


def part_size(size_hint: int) -> int:
    """Bytes in a part, so that a body of `size_hint` bytes needs at most 9,500 of the 10,000 parts allowed."""
    needed = -(-size_hint // _AIMED_PARTS)
    return max(MULTIPART_THRESHOLD, -(-needed // MIB) * MIB)


def chunks(body: bytes | Iterable[bytes]) -> Iterable[bytes]:
    return (body,) if isinstance(body, bytes) else body


def pieces(body: bytes | Iterable[bytes], size: int) -> Iterator[Piece]:
    """The body in pieces of exactly `size` bytes, the last one shorter; an empty body is one empty piece."""
    if isinstance(body, bytes) and len(body) <= size:
        yield Piece(body, last=True)
        return
    rest = bytearray()
    for chunk in chunks(body):
        rest += chunk
        while len(rest) > size:
            yield Piece(_take(rest, size), last=False)
    yield Piece(bytes(rest), last=True)


def _take(buffer: bytearray, size: int) -> bytes:
    with memoryview(buffer) as view:
        taken = bytes(view[:size])
    del buffer[:size]
    return taken


def batches(items: Iterable[T], size: int = PAGE) -> Iterator[tuple[T, ...]]:
    iterator = iter(items)
    while batch := tuple(islice(iterator, size)):
        yield batch


def normal_prefix(prefix: str) -> str:
    """The prefix as it stands before every key: empty, or ending with a slash."""
    stripped = prefix.strip("/")
    return f"{stripped}/" if stripped else ""


def check_key(key: str) -> None:
    """Raise `UsageError` for a key that not every store can keep."""
    if fault := _key_fault(key):
        raise UsageError(
            f"key {key!r} {fault}",
            hint="Use slash-separated names of UTF-8 text, 1,024 bytes at most in all.",
        )


def _key_fault(key: str) -> str:
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        return "is not UTF-8 text"
    if len(encoded) > _MAX_KEY:
        return f"has {len(encoded)} bytes, more than {_MAX_KEY}"
    if "\0" in key:
        return "contains a NUL character"
    if not {"", ".", ".."}.isdisjoint(key.split("/")):
        return "has an empty, '.' or '..' segment"
    return ""


def check_metadata(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """A copy of the metadata. Raises `UsageError` for what S3 would refuse or change."""
    copy = dict(metadata or {})
    for name, value in copy.items():
        if not _faithful(name, value):
            raise UsageError(
                f"metadata {name!r}: {value!r} would not come back as it is",
                hint="Names are lower-case ASCII; values printable ASCII without spaces at the ends.",
            )
    if sum(map(len, copy)) + sum(map(len, copy.values())) > _MAX_METADATA:
        raise UsageError("metadata is larger than 2 KB", hint="Leave some of it out.")
    return copy


def _faithful(name: str, value: str) -> bool:
    text = name + value
    return (
        bool(name)
        and text.isascii()
        and text.isprintable()
        and name == name.lower()
        and " " not in name
        and value == value.strip()
    )
