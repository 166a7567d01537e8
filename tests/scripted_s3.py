"""A scripted HTTP server in place of an S3 store in trouble: it answers as told, or hangs up."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from attrs import field, frozen

from rrbackup.effects.s3 import S3Options, S3Store
from rrbackup.effects.store import Store

DATE = "Sun, 22 Nov 2026 22:00:04 GMT"
OBJECT = {"ETag": '"e"', "x-amz-version-id": "v", "Last-Modified": DATE}


@frozen
class Answer:
    """What to answer to one request. With `cut` the promised length is not delivered; status 0 hangs up."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(factory=dict)
    cut: bool = False


def error(status: int, code: str, message: str = "so it is") -> Answer:
    return Answer(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())


HANG_UP = Answer(0)
STORED = Answer(headers=OBJECT)
BEGUN = Answer(
    body=b"<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>u</UploadId>"
    b"</InitiateMultipartUploadResult>"
)
PART = Answer(headers={"ETag": '"p"'})


@frozen
class Seen:
    """A request as it came in."""

    line: str
    headers: dict[str, str]
    body: bytes


class Script:
    """Answers to come, the last one for ever, and the requests seen so far."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.seen: list[Seen] = []
        self.endpoint = ""

    def next(self, seen: Seen) -> Answer:
        self.seen.append(seen)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def store(self, *answers: Answer) -> Store:
        self.answers[:] = answers
        return S3Store(
            S3Options("bucket", access_key="AKIA", secret_key="hidden", endpoint=self.endpoint, region="us-east-1")
        )

    @property
    def lines(self) -> list[str]:
        return [seen.line for seen in self.seen]


@contextmanager
def running() -> Iterator[Script]:
    """A script behind a real port."""
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # or boto3 waits a second for "100 Continue" before each body

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = script.next(Seen(f"{self.command} {self.path}", headers, body))
            self.close_connection = True
            if answer.status:
                self.send_response(answer.status)
                self.send_header("Connection", "close")
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body) + (100 if answer.cut else 0)))
                self.end_headers()
                self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
            """Nothing: tests print nothing."""

    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.answer)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    script.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield script
    server.shutdown()
    thread.join()
    server.server_close()
