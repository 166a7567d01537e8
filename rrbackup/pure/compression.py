"""The word `compress`: one plain zstd frame (RFC 8878) with the content size, so that `zstd -d` gives the file back.

The rule: what does not shrink is stored without it. A small content is compressed and compared; a long one is judged
by a sample of its beginning before it is sent, and compared afterwards.
"""

from collections.abc import Iterable, Iterator
from typing import IO, cast

import zstandard

from rrbackup.errors import DamagedObject

DEFAULT_LEVEL = 3
SAMPLE_BYTES = 1 << 20
"""So much of the beginning of a long content is tried."""

READ_BYTES = 1 << 20
TAKEN_BYTES = 8 << 20
"""More than a chunk of any stream, so that none is cut: what is left of it would be copied for each piece."""

HEADER_BYTES = 18
"""The longest frame header (RFC 8878, section 3.1.1.1)."""

MAX_WINDOW_BYTES = 1 << 27
"""What `zstd -d` accepts without being told to: a frame that asks for more memory is refused."""


class WrongSize(Exception):
    """A stream did not have the size that its frame announces: the file changed while it was read."""


def compress(data: bytes, level: int = DEFAULT_LEVEL) -> bytes:
    """One frame that holds `data`."""
    return zstandard.ZstdCompressor(level=level, write_content_size=True).compress(data)


def shrinks(sample: bytes, level: int = DEFAULT_LEVEL) -> bool:
    return len(compress(sample, level)) < len(sample)


def compressed(chunks: Iterable[bytes], size: int, level: int = DEFAULT_LEVEL) -> Iterator[bytes]:
    """One frame that holds `size` bytes. Raises WrongSize if there are more or fewer of them."""
    frame = zstandard.ZstdCompressor(level=level, write_content_size=True).compressobj(size=size)
    try:
        for chunk in chunks:
            if data := frame.compress(chunk):
                yield data
        yield frame.flush()
    except zstandard.ZstdError as error:
        raise WrongSize(f"the content does not have the {size} bytes that were announced") from error


def decompressed(chunks: Iterable[bytes], limit: int, name: str) -> Iterator[bytes]:
    """The content of one frame, in pieces of bounded size whatever the frame claims.

    Raises DamagedObject, naming `name`, for a frame that is damaged, cut off, or of more than `limit` bytes.
    """
    source = _Reader(chunks)
    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    count = 0
    try:
        with decompressor.stream_reader(cast("IO[bytes]", source), read_size=TAKEN_BYTES) as reader:
            while data := reader.read(READ_BYTES):
                count += len(data)
                if count > limit:
                    raise DamagedObject(f"{name} decompresses to more than the {limit} bytes that it should have")
                yield data
        announced = zstandard.frame_content_size(source.beginning)
    except zstandard.ZstdError as error:
        raise DamagedObject(f"{name} is not a zstd frame, or a damaged one: {error}") from None
    if count != announced:
        raise DamagedObject(f"{name} is cut off: it decompresses to {count} of {announced} bytes")


def decompress(data: bytes, limit: int, name: str) -> bytes:
    """The content of one whole frame. Raises DamagedObject like `decompressed`."""
    return b"".join(decompressed((data,), limit, name))


class _Reader:
    """Chunks as the file that the library wants to read from."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""
        self.beginning = b""
        """As much as a frame's header can take."""

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._rest = chunk
            self.beginning += chunk[: HEADER_BYTES - len(self.beginning)]
        taken, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        return taken
