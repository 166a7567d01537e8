"""Sends requests that were prepared beforehand and reads the answers: `python -m bench.replay FILE PROCESSES`.

It signs nothing, hashes nothing and keeps nothing, so what it takes is what the server takes, and no client can be much
faster. Processes, not threads: they need no lock of Python's.
"""

import mmap
import os
import re
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from bench.processes import BenchError

_LENGTH_BYTES = 4
_RECEIVED = 1 << 20
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def request(method: str, url: str, body: bytes = b"") -> bytes:
    """An HTTP request whose signature is in its URL."""
    parts = urlsplit(url)
    lines = (f"{method} {parts.path}?{parts.query} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode() + body


def write_requests(path: Path, endpoint: str, requests: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        for one in (endpoint.encode(), *requests):
            file.write(len(one).to_bytes(_LENGTH_BYTES, "big"))
            file.write(one)


def replay(path: Path, processes: int) -> None:
    """Raises BenchError unless every answer says 200."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        endpoint, *requests = _entries(memoryview(data))
        parts = urlsplit(bytes(endpoint).decode())
        address = (parts.hostname or "", parts.port or 80)
        children = [_forked(address, requests[number::processes]) for number in range(processes)]
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
        del endpoint, requests
    if any(codes):
        raise BenchError(f"{sum(map(bool, codes))} of {processes} processes got another answer than 200")


def _entries(data: memoryview) -> Iterator[memoryview]:
    position = 0
    while position < len(data):
        begin = position + _LENGTH_BYTES
        position = begin + int.from_bytes(data[position:begin], "big")
        yield data[begin:position]


def _forked(address: tuple[str, int], requests: list[memoryview]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            _send_all(address, requests)
            os._exit(0)
        except (BenchError, OSError) as error:
            print(error, file=sys.stderr, flush=True)
        finally:
            os._exit(1)
    return pid


def _send_all(address: tuple[str, int], requests: list[memoryview]) -> None:
    with socket.create_connection(address) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for one in requests:
            line.sendall(one)
            _read_answer(line)


def _read_answer(line: socket.socket) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _received(line)
    head, _, body = data.partition(b"\r\n\r\n")
    if head.split(b" ", 2)[1] != b"200":
        raise BenchError(head.decode(errors="replace"))
    length = _CONTENT_LENGTH.search(head)
    left = (int(length[1]) if length else 0) - len(body)
    while left > 0:
        left -= len(_received(line))


def _received(line: socket.socket) -> bytes:
    data = line.recv(_RECEIVED)
    if not data:
        raise BenchError("the server ended the connection")
    return data


if __name__ == "__main__":
    replay(Path(sys.argv[1]), int(sys.argv[2]))
