"""Between the bytes that a file system calls a name and the text that everything else works with.

A *path text* is UTF-8 that begins with `/`, in which every byte that some store or format is known to mangle
is written `%XX`. The rule decided here: which bytes those are. Any byte string has exactly one text, two byte
strings never share one, and a text that comes back from a store is taken apart strictly: it may be hostile.
"""

import hashlib
import re
from collections.abc import Callable

from rrbackup.errors import DamagedObject, UsageError
from rrbackup.pure.model import PathText

AS_LISTED = "write it as list_files shows it, counted from base_path, with its leading slash"

MAX_KEY_BYTES = 1024
"""What S3 takes."""

MAX_SEGMENT_BYTES = 240
"""Stores on file systems keep a segment as a file name of at most 255 bytes, and some append to it: SeaweedFS, which
appends `.versions`, takes a longer one but cannot delete its versions any more."""

# `%h` is no escape, so no path text can begin with it.
_HASHED = "/%h/"

_plain = re.compile(rb"[ -$&-\[\]-~]*").fullmatch
_plain_text = re.compile(r"[ -$&-\[\]-~]*").fullmatch

_NON_CHARACTERS = "\ufdd0-\ufdef" + "".join(
    chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17)
)
# Bytes that are not UTF-8 are decoded to U+DC80..U+DCFF, so one class covers them too.
_MANGLED = re.compile(f"[\0-\x1f\x7f-\x9f\u2028\u2029%\\\\\udc80-\udcff{_NON_CHARACTERS}]")

# SeaweedFS stores folders of these names but does not list what is in them.
_UNLISTED_DOT = re.compile(r"\.(?=versions(?:/|\Z))|(?:(?<=/)|\A)\.(?=uploads(?:/|\Z))")

_ESCAPED = re.compile(rb"%([0-9A-F]{2})")
_MALFORMED = re.compile(rb"%(?![0-9A-F]{2})")

_UNSAFE_SEGMENTS = frozenset({b"", b".", b".."})
_UNSAFE_TEXTS = frozenset({"", ".", ".."})


def escape(raw: bytes) -> str:
    """The text of a name, a path or a link's target; slashes stay, every segment is escaped for itself."""
    if _plain(raw) and b".versions" not in raw and b".uploads" not in raw:
        return raw.decode("ascii")
    text = _MANGLED.sub(_percent, raw.decode("utf-8", "surrogateescape"))
    return _UNLISTED_DOT.sub("%2E", text)


def stays(name: str) -> bool:
    """Whether `escape` is known to leave the bytes of `name` as they are: nearly all names are such."""
    return _plain_text(name) is not None and ".versions" not in name and ".uploads" not in name


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "surrogateescape"))


def unescape(text: str) -> bytes:
    """The bytes that `escape` made `text` of.

    More may be escaped than `escape` does today, so that the set of mangled bytes can grow. Raises
    `DamagedObject` for a `%` without two upper-case hexadecimal digits, a NUL and a surrogate.
    """
    try:
        coded = text.encode("utf-8")
    except UnicodeEncodeError:
        raise DamagedObject(f"{text!r} is not valid Unicode") from None
    if b"%" in coded:
        coded = _resolve(coded, text)
    if b"\0" in coded:
        raise DamagedObject(f"{text!r} contains a NUL, which no file name can")
    return coded


def _resolve(coded: bytes, text: str) -> bytes:
    if _MALFORMED.search(coded):
        raise DamagedObject(f"{text!r} contains a % without two upper-case hexadecimal digits behind it")
    return _ESCAPED.sub(lambda match: bytes.fromhex(match.group(1).decode()), coded)


def path_text(raw: bytes) -> PathText:
    """The path text of a path relative to the base: `b"a/b"` gives `/a/b`."""
    return PathText("/" + escape(raw))


def path_bytes(path: PathText) -> bytes:
    """The path relative to the base: `/a/b` gives `b"a/b"`.

    Raises `DamagedObject` for whatever could lead out of the base or to another path: no slash in front, an
    empty segment, `.` or `..` (escaped or not), a NUL, an escaped slash, a malformed escape.
    """
    raw = unescape(path)
    segments = raw[1:].split(b"/")
    if raw[:1] != b"/" or "%2F" in path or not _UNSAFE_SEGMENTS.isdisjoint(segments):
        raise DamagedObject(f"unsafe path {path!r}", hint="Such a path is never written by a backup.")
    return raw[1:]


def parse_path(text: str) -> PathText:
    """A path that somebody typed; the empty text stands for `/`, which is everything.

    Raises `UsageError` for what no path of a commit can be.
    """
    path = PathText(text.rstrip("/"))
    if not text.startswith("/"):
        raise UsageError(f"{text!r} is no path of a commit: it does not begin with /", hint=AS_LISTED)
    try:
        if path:
            path_bytes(path)
    except DamagedObject as error:
        raise UsageError(f"{error.message}, so it is no path of a commit", hint=AS_LISTED) from None
    return path


def path_order(path: str) -> str:
    """The key to sort path texts by: a folder stands right before what is in it (`/a`, `/a/b`, `/a.b`)."""
    return path.replace("/", "\0")


def is_file_key(base: str, key: str) -> bool:
    """Whether `key` is below the folder of file objects: a record of the store may be forged, and name any other."""
    return key.startswith(f"{base}/") and _UNSAFE_TEXTS.isdisjoint(key.split("/"))


Digest = Callable[[PathText], str]
"""Path → hexadecimal digest."""


def plain_digest(path: PathText) -> str:
    """For those who have no key: SHA-256. Who guesses a path can check the guess."""
    return hashlib.sha256(path.encode()).hexdigest()


def object_key(base: str, path: PathText, prefix_length: int, digest: Digest = plain_digest) -> str:
    """The key of a file's object, relative to the store's prefix, which is `prefix_length` bytes long.

    A key that some store could not take, for its length or that of a segment, is replaced by a hash of the path.
    """
    key = base + path
    if prefix_length + len(key.encode()) <= MAX_KEY_BYTES and _short_segments(path):
        return key
    return hashed_key(base, path, digest)


def hashed_key(base: str, path: PathText, digest: Digest = plain_digest) -> str:
    """A key that does not give the name away to those who only see the key."""
    return base + _HASHED + digest(path)


def _short_segments(path: str) -> bool:
    if len(path) * 4 <= MAX_SEGMENT_BYTES:
        return True
    return all(len(segment.encode()) <= MAX_SEGMENT_BYTES for segment in path.split("/"))
