"""The S3 server of a case, and what it uses: SeaweedFS, started as for the tests, fresh for each case."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests import servers
from tests.servers import S3Server

_TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def seaweed(work: Path) -> Iterator[S3Server]:
    """Raises tests.servers.ServerMissing where there is none."""
    folder = Path(tempfile.mkdtemp(prefix="server-", dir=work))
    try:
        yield servers.shared_seaweed(folder, os.getpid())
    finally:
        servers.end_shared(folder)


def drop_bucket(server: S3Server, bucket: str) -> None:
    """Delete it with all that is in it, which this server does in one request."""
    client = server.client()
    try:
        client.delete_bucket(Bucket=bucket)
    finally:
        client.close()


def cpu_of_group(group: int) -> float:
    """Seconds of CPU that the living processes of a group have used."""
    ticks = 0
    for name in os.listdir("/proc"):
        with suppress(OSError, ValueError):
            fields = Path("/proc", str(int(name)), "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


def busy_cpu() -> float:
    """Seconds of CPU that the whole machine has spent on work."""
    fields = [int(text) for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _waiting, irq, softirq, _steal = fields
    return (user + nice + system + irq + softirq) / _TICKS
