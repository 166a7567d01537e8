"""One JSON document, piece by piece: a long array is never held as one text.

The rule: every array stands open, one element a line, so that line tools can be used on it as well. The text is
ASCII, so that neither the locale nor a name that is no Unicode can spoil it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping

from attrs import frozen


@frozen
class Rows:
    """An array whose elements are made while they are written."""

    items: Iterable[object]


def json_chunks(document: Mapping[str, object]) -> Iterator[str]:
    """The text of an object whose members are JSON values or `Rows`, with a newline at the end."""
    opening = "{"
    for name, value in document.items():
        yield f"{opening}{json.dumps(name)}: "
        yield from _rows(value.items) if isinstance(value, Rows) else (json.dumps(value),)
        opening = ", "
    yield "}\n" if document else "{}\n"


def _rows(items: Iterable[object]) -> Iterator[str]:
    opening = "[\n"
    for item in items:
        yield opening + json.dumps(item)
        opening = ",\n"
    yield "[]" if opening == "[\n" else "\n]"
