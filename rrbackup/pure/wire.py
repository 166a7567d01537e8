"""How values become JSON and come back: what all records of format 2 share (docs/format.md).

Values have exactly the types that they should have, nothing is converted. Fields with their default value are left
out, and fields that a reader does not know are passed over.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, get_args, get_origin

import orjson
from cattrs import Converter
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn
from cattrs.preconf.orjson import make_converter

from rrbackup.errors import DamagedObject, UnsupportedFormat
from rrbackup.pure.framing import Framing
from rrbackup.pure.model import Change, ClaimState, DiffKind, Entry, EntryType, ProblemKind, Status, Word
from rrbackup.pure.reason import Reason
from rrbackup.pure.showing import brief

FORMAT = 2
MOST_SHOWN = 200
SHAPES = (AttributeError, KeyError, RecursionError, TypeError, ValueError)
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

    def exact(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"{brief(value)} stands where a {kind.__name__} belongs")
        return value

    return exact


def _is_list(type_: Any) -> bool:
    return get_origin(type_) is tuple and get_args(type_)[-1] is Ellipsis


def _list_hook(converter: Converter, type_: Any) -> Callable[[Any, Any], Any]:
    member = get_args(type_)[0]
    structure = converter.get_structure_hook(member)

    def listed(value: Any, _: Any) -> Any:
        if type(value) is not list:
            raise TypeError(f"{brief(value)} stands where a list belongs")
        return tuple(structure(item, member) for item in value)

    return listed


converter = _make_converter()


def structured(data: object, type_: type[T], name: str) -> T:
    try:
        return converter.structure(data, type_)
    except (BaseValidationError, *SHAPES) as error:
        raise DamagedObject(f"{name} is not a valid {type_.__name__.lower()}: {repr(error)[:MOST_SHOWN]}") from None


def parsed(payload: bytes, name: str) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise DamagedObject(f"{name} does not hold JSON: {error}") from None


def record_in(data: bytes, kind: str, name: str, framing: Framing) -> dict[str, Any]:
    """The JSON object in a framed record of a format that we know."""
    fields = parsed(framing.unwrap(data, kind, name), name)
    if not isinstance(fields, dict):
        raise DamagedObject(f"{name} does not hold a JSON object")
    if fields.get("format") != FORMAT:
        raise UnsupportedFormat(
            f"{name} has format {brief(fields.get('format'))}", hint="use a newer version of rrbackup"
        )
    return fields


def framed(kind: str, fields: dict[str, Any], framing: Framing) -> bytes:
    return framing.wrap(kind, orjson.dumps({"format": FORMAT, **fields}))
