"""A TCP proxy in front of an S3 server that counts requests and can hold each back for a while.

    python -m bench.proxy HOST:PORT DELAY_S

Prints the port that it listens on; then answers every line on standard input with a JSON line of what it has counted
since the last one. Ends with its input. To cost next to nothing it understands only where a request begins: what the
server answers goes through unread, bodies go through as they come, and each connection of the client has one of its own
to the server. A request waits from the arrival of its head on, and what follows on that connection waits behind it.
"""

import asyncio
import json
import os
import sys
from collections import Counter, deque

from attrs import define, field

MOST_HELD = 1 << 20
"""Bytes that may wait on one connection before it is no longer read."""

_END_OF_HEAD = b"\r\n\r\n"


class NotUnderstood(Exception):
    """A request whose end cannot be told."""


def kind_of(head: bytes) -> str:
    """The method; LIST for a GET of a bucket rather than of an object."""
    method, target = head.split(b" ", 2)[:2]
    path = target.partition(b"?")[0].strip(b"/")
    return "LIST" if method == b"GET" and b"/" not in path else method.decode()


def body_size(head: bytes) -> int:
    """Raises NotUnderstood for a body of unknown length."""
    size = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            size = int(value)
        elif name.lower() == b"transfer-encoding":
            raise NotUnderstood(f"a body with transfer-encoding {value.decode().strip()}")
    return size


@define
class Requests:
    """Finds the beginnings of requests in what a client sends."""

    counts: Counter[str] = field(factory=Counter)
    _head: bytes = b""
    _body_left: int = 0

    def feed(self, data: bytes) -> list[tuple[bytes, bool]]:
        """The data in pieces to pass on, each with whether a request begins with it. Keeps the beginning of a head."""
        pieces = []
        while data:
            if self._body_left:
                piece, data = data[: self._body_left], data[self._body_left :]
                self._body_left -= len(piece)
                pieces.append((piece, False))
                continue
            head, found, rest = (self._head + data).partition(_END_OF_HEAD)
            if not found:
                self._head = head
                break
            self._head, data = b"", rest
            self._body_left = body_size(head)
            self.counts[kind_of(head)] += 1
            pieces.append((head + found, True))
        return pieces


@define
class Counts:
    requests: Counter[str] = field(factory=Counter)
    sent: int = 0
    received: int = 0
    connections: int = 0

    def taken(self) -> dict[str, object]:
        """What was counted, which begins anew."""
        document = {
            "requests": dict(sorted(self.requests.items())),
            "sent_bytes": self.sent,
            "received_bytes": self.received,
            "connections": self.connections,
        }
        self.requests.clear()
        self.sent = self.received = self.connections = 0
        return document


class Side(asyncio.Protocol):
    """One end of a connection; `other` is where its data goes."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: Side | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)


class ServerSide(Side):
    """The connection to the server: answers go to the client as they come."""

    def __init__(self, client: "ClientSide", counts: Counts) -> None:
        super().__init__()
        self.other = client
        self._counts = counts

    def data_received(self, data: bytes) -> None:
        self._counts.received += len(data)
        assert self.other is not None
        self.other.write(data)


class ClientSide(Side):
    """The connection of a client: requests are counted and held back."""

    def __init__(self, upstream: tuple[str, int], delay_s: float, counts: Counts) -> None:
        super().__init__()
        self._upstream, self._delay_s, self._counts = upstream, delay_s, counts
        self._requests = Requests(counts.requests)
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._held = 0
        self._blocked = False
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._counts.connections += 1
        assert self.transport is not None
        self.transport.pause_reading()
        self._opening = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        assert self.transport is not None
        try:
            loop = asyncio.get_running_loop()
            await loop.create_connection(self._server_side, *self._upstream)
        except OSError:
            self.transport.abort()
            return
        if self.transport.is_closing():
            self.connection_lost(None)
        else:
            self.transport.resume_reading()

    def _server_side(self) -> ServerSide:
        self.other = ServerSide(self, self._counts)
        return self.other

    def data_received(self, data: bytes) -> None:
        self._counts.sent += len(data)
        try:
            pieces = self._requests.feed(data)
        except NotUnderstood as error:
            print(f"bench.proxy: {error}", file=sys.stderr)
            assert self.transport is not None
            self.transport.abort()
            return
        for piece, begins in pieces:
            self._pass_on(piece, begins)

    def _pass_on(self, piece: bytes, begins: bool) -> None:
        assert self.other is not None
        if not self._delay_s or not (begins or self._waiting):
            self.other.write(piece)
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + self._delay_s if begins else self._waiting[-1][0]
        if not self._waiting:
            loop.call_at(due, self._release)
        self._waiting.append((due, piece))
        self._hold(len(piece))

    def _release(self) -> None:
        """Pass on what is due, and come back for what is not."""
        loop = asyncio.get_running_loop()
        assert self.other is not None
        while self._waiting and self._waiting[0][0] <= loop.time():
            piece = self._waiting.popleft()[1]
            self._hold(-len(piece))
            self.other.write(piece)
        if self._waiting:
            loop.call_at(self._waiting[0][0], self._release)

    def _hold(self, size: int) -> None:
        self._held += size
        full = self._held > MOST_HELD
        if full is not self._blocked and self.transport is not None and not self.transport.is_closing():
            self._blocked = full
            (self.transport.pause_reading if full else self.transport.resume_reading)()


async def serve(upstream: tuple[str, int], delay_s: float) -> None:
    loop = asyncio.get_running_loop()
    counts = Counts()

    def client_side() -> ClientSide:
        return ClientSide(upstream, delay_s, counts)

    server = await loop.create_server(client_side, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = loop.create_future()

    def asked() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            ended.set_result(None)
            return
        print(json.dumps(counts.taken()), flush=True)

    loop.add_reader(0, asked)
    await ended


def main() -> None:
    host, _, port = sys.argv[1].rpartition(":")
    asyncio.run(serve((host, int(port)), float(sys.argv[2])))


if __name__ == "__main__":
    main()
