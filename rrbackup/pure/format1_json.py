"""JSON as Python's own module wrote it for rrbackup 1.0, read without trust.

The rule decided here: names that are not UTF-8 stand in it as lone surrogates, so they are kept; everything else that
is not of the expected shape raises DamagedObject. Long lists are read element by element, so that memory stays in
proportion to what is kept of them, not to what hostile JSON unfolds to.
"""

import json
import re
from collections.abc import Iterator, Mapping

from rrbackup.errors import DamagedObject
from rrbackup.pure.showing import MAX_DIGITS, brief

MAX_ELEMENT_BYTES = 1 << 23

_SPACE = re.compile(rb"[ \t\r\n]*")
# Nearly every element fits into the first; a batch of garbage may need the last.
_WINDOWS = (1 << 10, 1 << 16, MAX_ELEMENT_BYTES)


def parse(data: bytes, name: str) -> object:
    """The value of a small document. Raises DamagedObject."""
    try:
        value: object = json.loads(data.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise DamagedObject(f"{name} does not hold JSON: {_reason(error)}") from None
    return value


def elements(data: bytes, name: str) -> Iterator[object]:
    """The elements of a JSON list, one at a time, each of at most `MAX_ELEMENT_BYTES`. Raises DamagedObject."""
    at = _expect(data, _space(data, 0), b"[", name)
    at = _space(data, at)
    if data[at : at + 1] != b"]":
        value, at = _element(data, at, name)
        yield value
        while data[(at := _space(data, at)) : at + 1] != b"]":
            at = _expect(data, at, b",", name)
            value, at = _element(data, _space(data, at), name)
            yield value
    if _space(data, at + 1) != len(data):
        raise DamagedObject(f"{name} goes on after the end of its list")


def _space(data: bytes, at: int) -> int:
    found = _SPACE.match(data, at)
    return found.end() if found else at


def _expect(data: bytes, at: int, mark: bytes, name: str) -> int:
    if data[at : at + 1] != mark:
        raise DamagedObject(f"{name} is not a JSON list: byte {at} should be {mark.decode()!r}")
    return at + 1


def _element(data: bytes, at: int, name: str) -> tuple[object, int]:
    for size in _WINDOWS:
        # Bytes that are not UTF-8, such as a character cut off by the window, come back as they were.
        text = data[at : at + size].decode("utf-8", "surrogateescape")
        try:
            value, end = _decoder.raw_decode(text)
        except (ValueError, RecursionError) as error:
            failure = error
            continue
        return value, at + len(text[:end].encode("utf-8", "surrogateescape"))
    raise DamagedObject(f"{name} has no JSON at byte {at}: {_reason(failure)}")


_decoder = json.JSONDecoder()


def _reason(error: Exception) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__


# --- values of an expected shape -----------------------------------------------------------------------------------


def mapping(value: object, name: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise DamagedObject(f"{name} is {brief(value)}, not a JSON object")
    return value


def string(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise DamagedObject(f"{name} is {brief(value)}, not a text")
    return value


def number(value: object, least: int, most: int, name: str) -> int:
    """An integer, which 1.0 wrote with or without quotes."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise DamagedObject(f"the {name} is {brief(value)}; it must be from {least} to {most}")
    return value
