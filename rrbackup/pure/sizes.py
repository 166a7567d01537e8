"""Sizes as people write them, `500KB` (10^3 bytes each), `2MiB` (2^20 bytes each), `1.5 GB`, and as they read them."""

import re

from rrbackup.errors import UsageError

_SIZE = re.compile(r"(\d{1,20}(?:\.\d{1,20})?) ?(?:([KMGTP]i?)?B)?", re.IGNORECASE | re.ASCII)
_POWERS = "KMGTP"
_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")


def size_in(text: str) -> int | None:
    """The number of bytes, or None where the text names none; a bare number counts bytes."""
    found = _SIZE.fullmatch(text.strip())
    return int(float(found[1]) * _unit(found[2])) if found else None


def parse_size(text: str) -> int:
    """Raises UsageError."""
    size = size_in(text)
    if size is None:
        raise UsageError(f"{text!r} is no number of bytes", hint="write a number, or one such as 500KB or 2MiB")
    return size


def _unit(prefix: str | None) -> int:
    if not prefix:
        return 1
    power = _POWERS.index(prefix[0].upper()) + 1
    return int((1024 if len(prefix) > 1 else 1000) ** power)


def human_bytes(count: int) -> str:
    """`1536` gives `1.5 KiB`."""
    if count < 1024:
        return f"{count} B"
    value, power = count / 1024, 0
    # What would be rounded up to 1024.0 is one of the next unit.
    while value >= 1023.95 and power < len(_UNITS) - 1:
        value, power = value / 1024, power + 1
    return f"{value:.1f} {_UNITS[power]}"


def counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
