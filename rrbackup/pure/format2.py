"""Format 2 on the wire: diffs, claims, garbage lists, the local manifest and stored plans as bytes.

The one place in the core that knows JSON (docs/format.md). Fields with their default value are left out, fields that
a reader does not know are passed over, and a diff whose `requires` names something unknown is refused.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar, get_args, get_origin

import orjson
from attrs import frozen
from cattrs import Converter
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn
from cattrs.preconf.orjson import make_converter

from rrbackup.errors import DamagedObject, LocalStateError, UnsupportedFormat
from rrbackup.pure.framing import PLAIN, Framing
from rrbackup.pure.model import (
    Change,
    Claim,
    ClaimState,
    Diff,
    DiffKind,
    Entry,
    EntryType,
    HeadRef,
    LocalEntry,
    LocalManifest,
    LocalStamp,
    ProblemKind,
    Status,
    TransactionId,
    VersionId,
    VersionRef,
    Word,
)
from rrbackup.pure.plan import BackupPlan, Reason
from rrbackup.pure.showing import brief

FORMAT = 2
KNOWN_FEATURES: frozenset[str] = frozenset()
"""What a diff's `requires` may name for this version to read it."""

_MOST_SHOWN = 200
_SHAPES = (AttributeError, KeyError, RecursionError, TypeError, ValueError)
"""What comes of values that have another shape than was expected."""

T = TypeVar("T")


_CHOICES = (ClaimState, DiffKind, EntryType, ProblemKind, Reason, Status, Word)


def _make_converter() -> Converter:
    converter = make_converter(omit_if_default=True, detailed_validation=False)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _exactly(kind))
    for choices in _CHOICES:  # texts as well, so the hook above would take them for its own
        converter.register_structure_hook(choices, lambda value, type_: type_(value))
    converter.register_structure_hook_factory(_is_list, partial(_list_hook, converter))
    entry_in = make_dict_structure_fn(Entry, converter, _cattrs_detailed_validation=False)
    converter.register_structure_hook(Entry, entry_in)
    entry_out = make_dict_unstructure_fn(Entry, converter, _cattrs_omit_if_default=True)
    converter.register_unstructure_hook(Entry, entry_out)
    converter.register_unstructure_hook(Change, lambda c: {"status": c.status.value, **entry_out(c.entry)})
    converter.register_structure_hook(Change, lambda d, _: Change(Status(d["status"]), entry_in(d, Entry)))
    return converter


def _exactly(kind: type) -> Callable[[Any, Any], Any]:
    """JSON has these types itself: nothing is converted to them."""

    def structure(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"{brief(value)} stands where a {kind.__name__} belongs")
        return value

    return structure


def _is_list(type_: Any) -> bool:
    return get_origin(type_) is tuple and get_args(type_)[-1] is Ellipsis


def _list_hook(converter: Converter, type_: Any) -> Callable[[Any, Any], Any]:
    member = get_args(type_)[0]
    structure = converter.get_structure_hook(member)

    def structured(value: Any, _: Any) -> Any:
        if type(value) is not list:
            raise TypeError(f"{brief(value)} stands where a list belongs")
        return tuple(structure(item, member) for item in value)

    return structured


_converter = _make_converter()


def _structure(data: object, type_: type[T], name: str) -> T:
    try:
        return _converter.structure(data, type_)
    except (BaseValidationError, *_SHAPES) as error:
        raise DamagedObject(f"{name} is not a valid {type_.__name__.lower()}: {repr(error)[:_MOST_SHOWN]}") from None


def _parse(payload: bytes, name: str) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise DamagedObject(f"{name} does not hold JSON: {error}") from None


def _record(data: bytes, kind: str, name: str, framing: Framing) -> dict[str, Any]:
    """The JSON object in a framed record of a format that we know."""
    fields = _parse(framing.unwrap(data, kind, name), name)
    if not isinstance(fields, dict):
        raise DamagedObject(f"{name} does not hold a JSON object")
    if fields.get("format") != FORMAT:
        raise UnsupportedFormat(
            f"{name} has format {brief(fields.get('format'))}", hint="use a newer version of rrbackup"
        )
    return fields


def _frame(kind: str, fields: dict[str, Any], framing: Framing) -> bytes:
    return framing.wrap(kind, orjson.dumps({"format": FORMAT, **fields}))


# --- objects in the store --------------------------------------------------------------------------------------


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def encode_diff(diff: Diff, framing: Framing = PLAIN) -> bytes:
    return _frame("diff", _converter.unstructure(diff), framing)


def decode_diff(data: bytes, name: str, framing: Framing = PLAIN) -> Diff:
    """Raises DamagedObject or UnsupportedFormat, naming `name`."""
    diff = _structure(_record(data, "diff", name, framing), Diff, name)
    unknown = sorted(set(diff.requires) - KNOWN_FEATURES)
    if unknown:
        raise UnsupportedFormat(
            f"{name} requires {', '.join(unknown)}, which this version of rrbackup does not know",
            hint="use a newer version of rrbackup",
        )
    return diff


def encode_claim(claim: Claim, framing: Framing = PLAIN) -> bytes:
    return _frame("claim", _converter.unstructure(claim), framing)


def decode_claim(data: bytes, name: str, framing: Framing = PLAIN) -> Claim:
    """Raises DamagedObject or UnsupportedFormat, naming `name`."""
    return _structure(_record(data, "claim", name, framing), Claim, name)


def encode_garbage(refs: Iterable[VersionRef], framing: Framing = PLAIN) -> bytes:
    return _frame("garbage", {"versions": [[ref.key, ref.version_id] for ref in refs]}, framing)


def decode_garbage(data: bytes, name: str, framing: Framing = PLAIN) -> tuple[VersionRef, ...]:
    """Raises DamagedObject or UnsupportedFormat, naming `name`."""
    rows = _structure(_record(data, "garbage", name, framing).get("versions"), tuple[tuple[str, ...], ...], name)
    if any(len(row) != 2 for row in rows):
        raise DamagedObject(f"{name} holds something else than pairs of a key and a version id")
    return tuple(VersionRef(key, VersionId(version_id)) for key, version_id in rows)


# --- the local manifest ----------------------------------------------------------------------------------------


@frozen
class _LocalHeader:
    format: int
    head: HeadRef | None = None


def encode_local(manifest: LocalManifest) -> Iterator[bytes]:
    """One JSON document, one entry a line in path order, closed by the SHA-256 of all that stands before it."""
    digest = hashlib.sha256()
    for line in _local_lines(manifest):
        digest.update(line)
        yield line
    yield _CLOSING + digest.hexdigest().encode() + b'"}\n'


_CLOSING = b'],"sha256":"'


def _local_lines(manifest: LocalManifest) -> Iterator[bytes]:
    opening = _converter.unstructure(_LocalHeader(FORMAT, manifest.head))
    yield orjson.dumps(opening)[:-1] + b',"entries":[\n'
    last = len(manifest.entries) - 1
    for index, item in enumerate(manifest.entries):
        yield orjson.dumps(_local_fields(item)) + (b",\n" if index < last else b"\n")


def _local_fields(item: LocalEntry) -> dict[str, Any]:
    fields: dict[str, Any] = _converter.unstructure(item.entry)
    if item.stamp is not None:
        fields["ctime_ns"], fields["inode"] = item.stamp.ctime_ns, item.stamp.inode
    if item.recent:
        fields["recent"] = True
    return fields


def decode_local(data: bytes, name: str) -> LocalManifest:
    """Raises LocalStateError where the file is damaged or of another version: it is then to be rebuilt."""
    lines, _, _ = data.rpartition(_CLOSING)
    if not lines or data != lines + _CLOSING + sha256_hex(lines).encode() + b'"}\n':
        raise LocalStateError(f"{name} is damaged, or from another version of rrbackup")
    try:
        document = _parse(data, name)
        head = _structure(document, _LocalHeader, name).head
        return LocalManifest(head, tuple(_local_entry(fields) for fields in document["entries"]))
    except (DamagedObject, BaseValidationError, *_SHAPES) as error:
        raise LocalStateError(f"{name} cannot be read: {str(error)[:_MOST_SHOWN]}") from None


def decode_local_head(first_line: bytes) -> HeadRef | None:
    """The head in the first line of a local manifest; None where that cannot be told."""
    try:
        return _structure(_parse(first_line.rstrip() + b"]}", ""), _LocalHeader, "").head
    except DamagedObject:
        return None


def _local_entry(fields: dict[str, Any]) -> LocalEntry:
    entry = _converter.structure(fields, Entry)
    stamp = LocalStamp(fields["ctime_ns"], fields["inode"]) if "inode" in fields else None
    return LocalEntry(entry, stamp, fields.get("recent", False))


# --- the journal and stored plans --------------------------------------------------------------------------------


def encode_plan(plan: BackupPlan) -> bytes:
    return orjson.dumps({"format": FORMAT, **_converter.unstructure(plan)}, option=orjson.OPT_INDENT_2)


def decode_plan(data: bytes, name: str) -> BackupPlan:
    """Raises DamagedObject, naming `name`."""
    return _structure(_parse(data, name), BackupPlan, name)


@frozen
class JournalContent:
    """What the upload journal says: the transactions it belongs to, and what they uploaded."""

    transactions: frozenset[TransactionId] = frozenset()
    refs: frozenset[VersionRef] = frozenset()


def encode_journal_start(transaction: TransactionId) -> bytes:
    return orjson.dumps({"transaction": transaction})


def encode_receipt(ref: VersionRef) -> bytes:
    return orjson.dumps({"key": ref.key, "version_id": ref.version_id})


def decode_journal(lines: Iterable[bytes]) -> JournalContent:
    """Lines that cannot be read are passed over: a lost line costs an upload, not safety."""
    rows = [_journal_row(line) for line in lines]
    return JournalContent(
        frozenset(TransactionId(transaction) for transaction in map(_transaction_in, rows) if transaction),
        frozenset(ref for ref in map(_receipt_in, rows) if ref),
    )


def _journal_row(line: bytes) -> dict[str, object]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return row if isinstance(row, dict) else {}


def _transaction_in(row: dict[str, object]) -> str | None:
    transaction = row.get("transaction")
    return transaction if isinstance(transaction, str) else None


def _receipt_in(row: dict[str, object]) -> VersionRef | None:
    key, version_id = row.get("key"), row.get("version_id")
    if isinstance(key, str) and isinstance(version_id, str):
        return VersionRef(key, VersionId(version_id))
    return None
