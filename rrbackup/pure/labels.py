"""What an object says of itself, in its user metadata: enough to put a tree together without any manifest.

S3 takes ASCII only, 2 KB in all, so the path is percent-encoded once more and all is left out where it would not fit
(docs/format.md, "Self-description").
"""

from collections.abc import Mapping
from urllib.parse import quote

from rrbackup.pure.model import NOT_RECORDED, PathText

MAX_METADATA_BYTES = 2048


def object_labels(path: PathText, mtime_ns: int, mode: int, sha256: str | None) -> dict[str, str]:
    """The user metadata of a file object. `sha256` is None where the body was sent before its digest was known."""
    labels = {
        "rrbackup-path": quote(path, safe="/%"),
        "rrbackup-mtime-ns": str(mtime_ns),
    }
    if mode != NOT_RECORDED:
        labels["rrbackup-mode"] = f"{mode:04o}"
    if sha256 is not None:
        labels["rrbackup-sha256"] = sha256
    return labels if _size(labels) <= MAX_METADATA_BYTES else {}


def is_labelled(metadata: Mapping[str, str]) -> bool:
    """Whether an object says of itself that it is a file."""
    return any(name.startswith("rrbackup-") for name in metadata)


def _size(labels: dict[str, str]) -> int:
    return sum(map(len, labels)) + sum(map(len, labels.values()))
