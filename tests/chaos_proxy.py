"""A bad network in front of an S3 server: an HTTP proxy that cuts, delays, repeats and refuses requests.

What becomes of a request is drawn from the seed, its method, its key and how often the same was asked before, not from
the order in which threads happen to arrive; so a seed means nearly the same on every run. The `Host` header stays as
the client sent it, because it is signed. One proxy serves one client; all write into one `Log`, which says in which
order the server answered, and with which version ids.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import Enum, auto
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from time import sleep
from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import define, field, frozen

DELAY_S = 0.05
"""A delay is at most so long."""
_TIMEOUT_S = 60
_OF_THE_CONNECTION = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "expect", "proxy-connection", "te", "upgrade"}
)


class Fate(Enum):
    """What becomes of a request."""

    PASS = auto()
    CUT_BEFORE = auto()
    CUT_REQUEST = auto()
    CUT_ANSWER = auto()
    CUT_ANSWER_BODY = auto()
    DELAY = auto()
    TWICE = auto()
    SLOW_DOWN = auto()
    INTERNAL_ERROR = auto()
    ERROR_IN_200 = auto()
    HOLD = auto()


@frozen
class Request:
    """As the client sent it. `number` counts the requests of this proxy from 1."""

    number: int
    client: str
    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=lambda body: f"<{len(body)} bytes>")

    @property
    def key(self) -> str:
        """The key of the object, with its prefix, without the bucket."""
        return unquote(urlsplit(self.target).path).lstrip("/").partition("/")[2]

    @property
    def query(self) -> frozenset[str]:
        """The names in the query."""
        return frozenset(name for name, _ in parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def kind(self) -> str:
        """What is asked, without what differs from run to run: upload ids and version ids."""
        return " ".join((self.method, self.key, *sorted(self.query)))

    @property
    def may_fail_in_a_200(self) -> bool:
        """S3 begins its answer to these before it knows how they end."""
        copies = any(name.lower() == "x-amz-copy-source" for name, _ in self.headers)
        return copies or (self.method == "POST" and bool(self.query & {"uploadId", "delete"}))

    @property
    def makes_a_version(self) -> bool:
        """PutObject and CompleteMultipartUpload; a request without key is about the bucket."""
        if not self.key:
            return False
        return (self.method == "PUT" and "partNumber" not in self.query) or (
            self.method == "POST" and "uploadId" in self.query
        )


@frozen
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=lambda body: f"<{len(body)} bytes>")

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")


@frozen
class Line:
    """One request with all that the server answered to it, delivered or not."""

    request: Request
    fate: Fate
    run: str
    answers: tuple[tuple[int, Answer], ...]

    @property
    def versions(self) -> dict[str, int]:
        """The versions that the server made, each with its place in the order of all answers."""
        made = {answer.header("x-amz-version-id"): place for place, answer in self.answers if answer.status < 300}
        return {version: place for version, place in made.items() if version}


class Log:
    """What all proxies of one server saw, in the order of the server's answers."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._answers = 0
        self._lock = Lock()

    def place(self) -> int:
        with self._lock:
            self._answers += 1
            return self._answers

    def add(self, line: Line) -> None:
        with self._lock:
            self.lines.append(line)

    def of(self, client: str) -> list[Line]:
        return [line for line in self.lines if line.request.client == client]


Fates = Callable[[Request, int], Fate]
"""Decides what becomes of a request; the number says the how manieth of its kind it is, from 1."""


def calm(_: Request, __: int) -> Fate:
    return Fate.PASS


def drawn(seed: int, table: Mapping[Fate, float]) -> Fates:
    """Each fate with its probability, otherwise PASS. ERROR_IN_200 only where S3 does that."""

    def fate(request: Request, occurrence: int) -> Fate:
        chance = random.Random(f"{seed} {request.client} {request.kind} {occurrence}")
        (found,) = chance.choices([*table, Fate.PASS], [*table.values(), max(0.0, 1 - sum(table.values()))])
        unfit = found is Fate.ERROR_IN_200 and not request.may_fail_in_a_200
        return Fate.INTERNAL_ERROR if unfit else found

    return fate


@define(eq=False)
class Proxy:
    """`fates` and the two callbacks may be changed at any time; `run` names the process that the client now runs.

    `before` is called with every request before anything is done with it, `after` when the server has answered.
    """

    client: str
    upstream: str
    log: Log
    fates: Fates = calm
    before: Callable[[Request], None] = lambda request: None
    after: Callable[[Request], None] = lambda request: None
    run: str = ""
    endpoint: str = ""
    released: Event = field(factory=Event)
    _kinds: Counter[str] = field(factory=Counter)
    _number: int = 0
    _lock: Lock = field(factory=Lock)

    def arrived(
        self, method: str, target: str, headers: tuple[tuple[str, str], ...], body: bytes
    ) -> tuple[Request, Fate]:
        with self._lock:
            self._number += 1
            request = Request(self._number, self.client, method, target, headers, body)
            self._kinds[request.kind] += 1
            return request, self.fates(request, self._kinds[request.kind])


class Cut(Exception):
    """The connection to the client ends here."""


@contextmanager
def running(client: str, upstream: str, log: Log | None = None, fates: Fates = calm) -> Iterator[Proxy]:
    """A proxy on a port of its own."""
    proxy = Proxy(client, upstream, log or Log(), fates)

    class Handler(_Handler):
        served = proxy

    server = _Server(("127.0.0.1", 0), Handler)
    proxy.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name=f"proxy of {client}")
    thread.start()
    try:
        yield proxy
    finally:
        proxy.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: clients are killed and connections cut on purpose."""


class _Handler(BaseHTTPRequestHandler):
    """One connection of the client, with one of its own to the server."""

    served: Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.line = _Upstream(self.served.upstream)

    def finish(self) -> None:
        self.line.close()
        with suppress(OSError):
            super().finish()

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = tuple((name, value) for name, value in self.headers.items())
        request, fate = self.served.arrived(self.command, self.path, headers, body)
        self.served.before(request)
        try:
            self._carry_out(request, fate)
        except (Cut, OSError, HTTPException):
            self.close_connection = True

    def _carry_out(self, request: Request, fate: Fate) -> None:
        answers: list[tuple[int, Answer]] = []
        try:
            self._deliver(request, fate, self._asked(request, fate, answers))
        finally:
            self.served.log.add(Line(request, fate, self.served.run, tuple(answers)))

    def _asked(self, request: Request, fate: Fate, answers: list[tuple[int, Answer]]) -> Answer:
        """The server's last answer, or one made up here. Raises Cut where there is to be none."""
        match fate:
            case Fate.HOLD:
                self.served.released.wait()
                raise Cut
            case Fate.CUT_BEFORE:
                raise Cut
            case Fate.CUT_REQUEST:
                self.line.send_part(request)
                raise Cut
            case Fate.SLOW_DOWN:
                return _refusal(503, "SlowDown")
            case Fate.INTERNAL_ERROR:
                return _refusal(500, "InternalError")
            case Fate.ERROR_IN_200:
                return _refusal(200, "InternalError")
            case Fate.DELAY:
                sleep(random.Random(request.number).random() * DELAY_S)
            case _:
                pass
        for _ in range(2 if fate is Fate.TWICE else 1):
            answer = self.line.ask(request)
            answers.append((self.served.log.place(), answer))
        self.served.after(request)
        return answer

    def _deliver(self, request: Request, fate: Fate, answer: Answer) -> None:
        if fate is Fate.CUT_ANSWER:
            raise Cut
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if not (request.method == "HEAD" and answer.header("content-length")) and answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if fate is Fate.CUT_ANSWER_BODY:
            self.wfile.write(answer.body[: len(answer.body) // 2])
            raise Cut
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
        """Nothing: tests print nothing."""


for _method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler.answer)


class _Upstream:
    """A connection to the server, opened anew where the server has closed it."""

    def __init__(self, url: str) -> None:
        self._host = urlsplit(url).netloc
        self._connection: HTTPConnection | None = None

    def ask(self, request: Request) -> Answer:
        """Raises OSError or HTTPException where the server does not answer."""
        if self._connection is None:
            self._connection = HTTPConnection(self._host, timeout=_TIMEOUT_S)
        _begin(self._connection, request)
        self._connection.send(request.body)
        return self._answer(request)

    def _answer(self, request: Request) -> Answer:
        assert self._connection is not None
        response = self._connection.getresponse()
        body = response.read()
        dropped = _OF_THE_CONNECTION - {"content-length"} if request.method == "HEAD" else _OF_THE_CONNECTION
        headers = tuple((name, value) for name, value in response.getheaders() if name.lower() not in dropped)
        if response.will_close:
            self.close()
        return Answer(response.status, headers, body)

    def send_part(self, request: Request) -> None:
        """The headers and half of the body, on a connection that ends with it."""
        connection = HTTPConnection(self._host, timeout=_TIMEOUT_S)
        _begin(connection, request)
        connection.send(request.body[: len(request.body) // 2])
        connection.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _begin(connection: HTTPConnection, request: Request) -> None:
    connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
    for name, value in request.headers:
        if name.lower() not in _OF_THE_CONNECTION:
            connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(request.body)))
    connection.endheaders()


def _refusal(status: int, code: str) -> Answer:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>so it is</Message></Error>'
    return Answer(status, (("Content-Type", "application/xml"),), text.encode())
