"""A service that also backs up: a job on a schedule in a thread of its own, with progress at an address of the service.

    python examples/service.py service.json

The settings are those of this service: `backup` holds rrbackup's configuration, `every_s` how many seconds lie between
two backups, `port` where the service listens (0: any), `vault` the file that the vault writes keys to.

    GET /backup     what the job is doing, as JSON
    POST /backup    back up now

On SIGTERM or SIGINT it stops in order: a backup under way ends at its next turn, and the next start goes on with it.
"""

import json
import logging
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread

import rrbackup

Credentials = Callable[[], rrbackup.Credentials]

log = logging.getLogger("service")


class Vault:
    """Gives the store's credentials: here from a file that something else keeps fresh, in yours over a network."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self) -> rrbackup.Credentials:
        lease = json.loads(self._file.read_text())
        end = datetime.fromisoformat(lease["expires_at"]) if "expires_at" in lease else None
        return rrbackup.Credentials(lease["access_key"], lease["secret_key"], lease.get("session_token"), end)


class Status:
    """What the job is doing. Written by the job and by rrbackup's threads, read by those that answer requests."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._values: dict[str, object] = {"state": "waiting", "runs": 0}
        self._size = self._moved = self._files = 0

    def begins(self) -> None:
        with self._lock:
            self._size = self._moved = self._files = 0
            self._values["state"] = "running"

    def ended(self, outcome: str, **details: object) -> None:
        with self._lock:
            runs = self._values["runs"]
            assert isinstance(runs, int)
            self._values = {"state": "waiting", "runs": runs + 1, "outcome": outcome, **details}
        log.info("backup: %s", outcome)

    def listen(self, event: rrbackup.Event) -> None:
        """The callback for rrbackup."""
        match event:
            case rrbackup.PlanMade(size=size):
                with self._lock:
                    self._size = size
            case rrbackup.BytesMoved(count=count):
                with self._lock:
                    self._moved += count
            case rrbackup.FileDone():
                with self._lock:
                    self._files += 1
            case rrbackup.Notice(text=text):
                log.info("backup: %s", text)
            case rrbackup.ProblemFound(problem=problem):
                log.warning("backup: %s", problem)
            case _:
                pass

    def document(self) -> dict[str, object]:
        with self._lock:
            percent = min(100, 100 * self._moved // self._size) if self._size else None
            return {**self._values, "files": self._files, "bytes": self._moved, "percent": percent}


class BackupJob:
    """Backs up every so many seconds, and when it is asked to, until it is stopped."""

    def __init__(
        self, config: rrbackup.Config, credentials: Callable[[], rrbackup.Credentials], every_s: float
    ) -> None:
        self.status = Status()
        self._config = config
        self._credentials = credentials
        self._every_s = every_s
        self._due = Event()
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="backup")

    def start(self) -> None:
        self._thread.start()

    def back_up_now(self) -> None:
        self._due.set()

    def stop(self) -> None:
        """Returns at once; a backup under way ends after the requests that are under way."""
        self._stopping.set()
        self._due.set()

    def wait(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._due.wait(self._every_s)
            self._due.clear()
            if not self._stopping.is_set():
                self._back_up()

    def _back_up(self) -> None:
        self.status.begins()
        try:
            result = self._committed()
        except rrbackup.Cancelled:
            self.status.ended("stopped")
        except rrbackup.Busy as error:
            self.status.ended("busy", error=str(error))  # the next turn tries again
        except rrbackup.RRBackupError as error:
            log.exception("the backup failed; %s", error.hint)
            self.status.ended("failed", error=str(error), hint=error.hint)
        else:
            outcome = "done" if result.complete else "incomplete"
            self.status.ended(outcome, version=result.version_id, uploaded_bytes=result.uploaded_bytes)

    def _committed(self) -> rrbackup.BackupResult:
        with rrbackup.open_repository(
            self._config, credentials=self._credentials, cancelled=self._stopping.is_set, threads=4
        ) as repository:
            return repository.backup(on_event=self.status.listen)


def server_for(job: BackupJob, port: int) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200 if self.path == "/backup" else 404)

        def do_POST(self) -> None:
            if self.path == "/backup":
                job.back_up_now()
            self._answer(202 if self.path == "/backup" else 404)

        def _answer(self, status: int) -> None:
            body = json.dumps(job.status.document() if status != 404 else {"error": "not here"}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            log.debug(format, *args)

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def serve(job: BackupJob, server: ThreadingHTTPServer) -> None:
    """Until SIGTERM or SIGINT."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    serving = Thread(target=server.serve_forever, name="http")
    serving.start()
    job.start()
    print(f"listening on {server.server_address[1]}", flush=True)
    stop.wait()
    job.stop()
    print("stopping", flush=True)
    job.wait()  # meanwhile the status can still be asked for
    server.shutdown()
    serving.join()
    server.server_close()
    print(f"stopped: {json.dumps(job.status.document())}", flush=True)


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: service.py SETTINGS", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    settings = json.loads(Path(sys.argv[1]).read_text())
    try:
        config = rrbackup.parse_config(json.dumps(settings["backup"]), f"backup in {sys.argv[1]}")
    except rrbackup.ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    job = BackupJob(config, Vault(Path(settings["vault"])), settings["every_s"])
    serve(job, server_for(job, settings["port"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
