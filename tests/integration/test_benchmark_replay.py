"""Requests that the benchmark replays: each arrives once, with its body, and another answer than 200 ends the run."""

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from bench.replay import request, write_requests

ROOT = Path(__file__).parents[2]


class Listening(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.seen = list[tuple[str, str, bytes]]()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, Listening)
        self.server.seen.append((self.path, self.headers["Host"], body))
        self.send_response(404 if "missing" in self.path else 200)
        self.send_header("Content-Length", str(2 * len(body)))
        self.end_headers()
        self.wfile.write(2 * body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Listening]:
    with Listening() as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        yield listening
        listening.shutdown()


def replayed(server: Listening, tmp_path: Path, *names: str) -> "subprocess.CompletedProcess[str]":
    bodies = [(name, name.encode() * 70_000) for name in names]
    requests = (request("PUT", f"{server.endpoint}/b/{name}?sign=1", body) for name, body in bodies)
    write_requests(tmp_path / "requests", server.endpoint, requests)
    words = [sys.executable, "-m", "bench.replay", str(tmp_path / "requests"), "2"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_each_request_arrives_once(server: Listening, tmp_path: Path) -> None:
    ran = replayed(server, tmp_path, "a", "b", "c")
    assert ran.returncode == 0, ran.stderr
    host = server.endpoint.removeprefix("http://")
    assert sorted(server.seen) == [(f"/b/{name}?sign=1", host, name.encode() * 70_000) for name in "abc"]


def test_another_answer_than_200_fails(server: Listening, tmp_path: Path) -> None:
    ran = replayed(server, tmp_path, "a", "missing")
    assert ran.returncode != 0
    assert "404" in ran.stderr
