"""Running what is measured: whole processes, through the launcher, and the proxy beside them."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from attrs import field, frozen

from bench.results import Sample, Traffic
from bench.server import busy_cpu, cpu_of_group

LAUNCHER = Path(__file__).with_name("launcher.py")
MOST_S = 3_600


class BenchError(Exception):
    """A run that did not do what it was to do."""


@frozen
class Command:
    """`env` is all that it gets beside PATH and the like."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(factory=dict, repr=False)
    ok_codes: tuple[int, ...] = (0,)


@frozen
class Ran:
    sample: Sample
    output: str


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """As little as a tool needs: what else is set here must not decide anything. Python may write its bytecode."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG") if name in os.environ}
    return {**kept, **more}


@frozen
class Beside:
    """What works along with a run: the process groups of the server and, where requests go through it, the proxy."""

    server: int = 0
    proxy: int = 0


def run(command: Command, beside: Beside = Beside()) -> Ran:
    """Raises BenchError where it does not end, or not well."""
    with tempfile.TemporaryDirectory() as folder:
        report, output = Path(folder, "report"), Path(folder, "output")
        before = _used(beside)
        _launch(command, report, output)
        text = output.read_text(errors="replace") if output.exists() else ""
        if not report.exists():
            raise BenchError(f"{command.argv[0]} could not be started")
        taken = json.loads(report.read_text())
        if taken.pop("code") not in command.ok_codes:
            raise BenchError(f"{' '.join(command.argv)} failed:\n{text[-2000:]}")
        return Ran(_sample(taken, before, _used(beside)), text)


def _launch(command: Command, report: Path, output: Path) -> None:
    argv = [sys.executable, "-I", "-S", str(LAUNCHER), str(report), str(output), *command.argv]
    with subprocess.Popen(argv, env=environment(command.env), start_new_session=True) as launcher:
        try:
            launcher.wait(MOST_S)
        except BaseException as error:
            os.killpg(launcher.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise BenchError(f"{' '.join(command.argv)} did not end within {MOST_S} s") from None
            raise


def _used(beside: Beside) -> tuple[float, ...]:
    """CPU of the machine, the server, the proxy, and of this process with those it has waited for; and the time."""
    return (
        busy_cpu(),
        cpu_of_group(beside.server) if beside.server else 0.0,
        cpu_of_group(beside.proxy) if beside.proxy else 0.0,
        sum(os.times()[:4]),
        time.monotonic(),
    )


def _sample(taken: Mapping[str, float], before: tuple[float, ...], after: tuple[float, ...]) -> Sample:
    busy, server, proxy, own, passed = (later - earlier for earlier, later in zip(before, after, strict=True))
    foreign = max(0.0, busy - server - proxy - own) / passed
    return Sample(
        round(taken["wall_s"], 4),
        round(taken["cpu_s"], 4),
        int(taken["peak_bytes"]),
        round(server, 3),
        round(proxy, 3),
        round(foreign, 2),
    )


class Proxy:
    """A running bench.proxy; `endpoint` is where clients find it, `group` its process group."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.group = process.pid
        self.endpoint = f"http://127.0.0.1:{int(self._line())}"

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchError("the proxy has ended")
        return line

    def take(self) -> Traffic:
        """What it has counted since it was last asked."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Traffic(**json.loads(self._line()))


@contextmanager
def proxy(endpoint: str, delay_s: float) -> Iterator[Proxy]:
    argv = [sys.executable, "-m", "bench.proxy", urlsplit(endpoint).netloc, str(delay_s)]
    env = environment({"PYTHONPATH": str(Path(__file__).parents[1])})
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True, env=env, start_new_session=True) as process:
        try:
            yield Proxy(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
