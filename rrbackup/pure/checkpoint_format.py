"""Checkpoints on the wire (docs/format.md, "Checkpoint"): a framed record of kind `checkpoint`.

References are grouped by key, since a key that changes often has many.
"""

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

from attrs import field, frozen

from rrbackup.errors import DamagedObject
from rrbackup.pure.checkpoint import Checkpoint
from rrbackup.pure.framing import PLAIN, Framing
from rrbackup.pure.model import Entry, ParentRef, RepositoryId, VersionId, VersionRef
from rrbackup.pure.names import path_order
from rrbackup.pure.wire import converter, framed, record_in, structured

KIND = "checkpoint"

_References = dict[str, tuple[str, ...]]


@frozen
class _Checkpoint:
    """As it is written."""

    repository: RepositoryId
    sequence: int
    head: ParentRef
    entries: tuple[Entry, ...] = ()
    references: _References = field(factory=dict)


def encode_checkpoint(checkpoint: Checkpoint, framing: Framing = PLAIN) -> bytes:
    written = _Checkpoint(
        checkpoint.repository,
        checkpoint.sequence,
        checkpoint.head,
        checkpoint.entries,
        _grouped(checkpoint.references),
    )
    return framed(KIND, converter.unstructure(written), framing)


def decode_checkpoint(data: bytes, name: str, framing: Framing = PLAIN) -> Checkpoint:
    """Raises DamagedObject or UnsupportedFormat, naming `name`."""
    found = structured(record_in(data, KIND, name, framing), _Checkpoint, name)
    if any(path_order(before.path) >= path_order(after.path) for before, after in pairwise(found.entries)):
        raise DamagedObject(f"{name} holds entries that are not in path order")
    references = frozenset(
        VersionRef(key, VersionId(version_id)) for key, versions in found.references.items() for version_id in versions
    )
    return Checkpoint(found.repository, found.sequence, found.head, found.entries, references)


def _grouped(references: Iterable[VersionRef]) -> _References:
    versions: defaultdict[str, list[str]] = defaultdict(list)
    for ref in sorted(references, key=lambda ref: (ref.key, ref.version_id)):
        versions[ref.key].append(ref.version_id)
    return {key: tuple(ids) for key, ids in versions.items()}
