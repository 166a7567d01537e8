"""Writing bytes to a file that is open, all of them, at a size that suits the page cache."""

import os

AT_ONCE = 256 << 10
"""Bytes for one system call. From a MiB on, ext4 takes memory in such big pieces that a virtual machine may have to get
them from its host first, which takes up to ten times as long (docs/decisions.md)."""


def write_all(fd: int, data: bytes | bytearray | memoryview) -> int:
    """Write at the file's position; how many bytes there were. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest[:AT_ONCE]) :]
    return len(data)
