"""Writing bytes to a file that is open, all of them, at a size that suits the page cache."""

import os

AT_ONCE = 32 << 10
"""Bytes for one system call: pieces of memory up to that size are what Linux keeps at hand for each processor. Bigger
ones may have to be fetched from further away, in a virtual machine from its host (docs/decisions.md)."""


def write_all(fd: int, data: bytes | bytearray | memoryview) -> int:
    """Write at the file's position; how many bytes there were. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest[:AT_ONCE]) :]
    return len(data)
