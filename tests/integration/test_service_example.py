"""examples/service.py against a real store: status, progress, an orderly stop in the middle, and the next start."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from urllib.request import Request, urlopen

import pytest

from rrbackup import Config, Credentials, Repository, S3Settings, open_repository
from tests import chaos_proxy
from tests.integration.trees import look, write
from tests.programs import ROOT, environment
from tests.servers import S3Server

SERVICE = ROOT / "examples" / "service.py"
LIMIT_S = 60
FILES = 24
UNTIL_HELD = 6


class Service:
    """The program while it runs; its output is read line by line."""

    def __init__(self, settings: Path) -> None:
        command = [sys.executable, str(SERVICE), str(settings)]
        self.process = subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.port = int(self.line(r"listening on (\d+)")[1])

    def line(self, pattern: str) -> re.Match[str]:
        """The next line that has this."""
        assert self.process.stdout is not None
        seen = []
        for line in self.process.stdout:
            seen.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError("".join(seen))

    def ask(self, method: str = "GET") -> dict[str, object]:
        request = Request(f"http://127.0.0.1:{self.port}/backup", method=method)
        with urlopen(request, timeout=LIMIT_S) as answer:
            found: dict[str, object] = json.load(answer)
            return found

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.line("stopping")

    def end(self) -> dict[str, object]:
        """What it said at its end."""
        found: dict[str, object] = json.loads(self.line("stopped: (.*)")[1])
        assert self.process.wait(LIMIT_S) == 0
        return found


@contextmanager
def running(settings: Path) -> Iterator[Service]:
    service = Service(settings)
    try:
        yield service
    finally:
        service.process.kill()
        service.process.wait()
        assert service.process.stdout is not None
        service.process.stdout.close()


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes the settings of a service whose store is there."""
    write(tmp_path / "base", {f"f{number}": b"%d" % number * 5000 for number in range(FILES)})

    def make(endpoint: str, bucket: str) -> Path:
        backup = {
            "base_path": str(tmp_path / "base"),
            "local_manifest_file": str(tmp_path / "manifest"),
            "local_lock_file": str(tmp_path / "lock"),
            "s3": {"bucket": bucket, "endpoint": endpoint, "region": "us-east-1"},
        }
        settings = tmp_path / "service.json"
        vault = tmp_path / "vault.json"
        settings.write_text(json.dumps({"backup": backup, "every_s": 3600, "port": 0, "vault": str(vault)}))
        return settings

    return make


def test_a_stopped_service_goes_on_at_its_next_start(
    seaweed: S3Server, tmp_path: Path, make_settings: Callable[[str, str], Path]
) -> None:
    bucket, held, go = seaweed.new_bucket(), Event(), Event()
    (tmp_path / "vault.json").write_text(
        json.dumps({"access_key": seaweed.access_key, "secret_key": seaweed.secret_key})
    )
    sent: list[str] = []

    def hold(request: chaos_proxy.Request) -> None:
        if request.method == "PUT" and request.key.startswith("files/"):
            sent.append(request.key)
            if len(sent) >= UNTIL_HELD:
                held.set()
                assert go.wait(LIMIT_S)

    with ExitStack() as stack:
        proxy = stack.enter_context(chaos_proxy.running("service", seaweed.endpoint))
        proxy.before = hold
        settings = make_settings(proxy.endpoint, bucket)

        first = stack.enter_context(running(settings))
        assert first.ask() == {"state": "waiting", "runs": 0, "files": 0, "bytes": 0, "percent": None}
        first.ask("POST")
        assert held.wait(LIMIT_S)
        seen = first.ask()
        assert seen["state"] == "running"
        assert isinstance(seen["percent"], int)
        assert 0 < seen["percent"] < 100
        first.terminate()
        go.set()
        assert first.end() | {"files": 0, "bytes": 0, "percent": 0} == {
            "state": "waiting", "runs": 1, "outcome": "stopped", "files": 0, "bytes": 0, "percent": 0,
        }  # fmt: skip
        assert len(sent) < FILES
        with _opened(tmp_path, seaweed, bucket) as repository:
            assert repository.list_versions() == ()

        second = stack.enter_context(running(settings))
        second.ask("POST")
        second.line("backup: done")
        status = second.ask()
        assert (status["runs"], status["outcome"], status["percent"]) == (1, "done", 100)
        second.terminate()
        second.end()
    assert sorted(sent) == sorted(f"files/f{number}" for number in range(FILES))  # nothing was sent twice
    with _opened(tmp_path, seaweed, bucket) as repository:
        assert [version.counts.new for version in repository.list_versions()] == [FILES]
        repository.download("latest", tmp_path / "out")
    assert look(tmp_path / "out") == look(tmp_path / "base")


def test_a_vault_that_fails_is_a_status_and_no_end(tmp_path: Path, make_settings: Callable[[str, str], Path]) -> None:
    with running(make_settings("http://127.0.0.1:1", "bucket")) as service:
        service.ask("POST")
        service.line("backup: failed")
        status = service.ask()
        assert (status["runs"], status["outcome"]) == (1, "failed")
        assert "vault.json" in str(status["error"])
        assert "gives out the credentials" in str(status["hint"])
        service.terminate()
        assert service.end()["outcome"] == "failed"


def _opened(folder: Path, server: S3Server, bucket: str) -> Repository:
    """By another client."""
    config = Config(
        base_path=folder / "base",
        local_manifest_file=folder / "other manifest",
        local_lock_file=folder / "other lock",
        s3=S3Settings(bucket=bucket, endpoint=server.endpoint, region="us-east-1"),
    )
    return open_repository(config, credentials=Credentials(server.access_key, server.secret_key))
