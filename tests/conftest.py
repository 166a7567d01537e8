"""Fixtures for all tests: the real servers, and every store as a `world`.

A server named in RRBACKUP_REQUIRE (comma-separated: `seaweedfs`, `moto`) must start, else the tests that need it fail;
without that they are skipped. CI requires both.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from rrbackup.effects.memory import MemoryStore
from rrbackup.effects.store import Store
from tests import quicker, searched, servers
from tests.servers import S3Server
from tests.worlds import KINDS, SERVED, DirectoryWorld, MemoryWorld, World, s3_worlds

# The same examples on every run, and no verdict that depends on how busy the machine is.
settings.register_profile("quick", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("deep", deadline=None, max_examples=2_000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("quick")

_ROOT = Path(__file__).parents[1]
_SHARED = "RRBACKUP_TEST_SHARED"
_LEADER = "RRBACKUP_TEST_LEADER"


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    """The process that leads the session, alone or over workers, makes the folder that all share.

    Programs that tests start take rrbackup from this tree, in whatever folder they run: what is installed may be
    another tree's, or change meanwhile.
    """
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    if not _is_worker(config):
        os.environ[_SHARED] = tempfile.mkdtemp(prefix="rrbackup-tests-")
        os.environ[_LEADER] = str(os.getpid())


def pytest_unconfigure(config: pytest.Config) -> None:
    if not _is_worker(config) and (shared := os.environ.pop(_SHARED, None)):
        servers.end_shared(Path(shared))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the searches went through, added up over all tests that passed."""
    told = [found for report in terminalreporter.getreports("passed") for found in report.user_properties]
    sums = {what: sum(count for name, count in told if name == what) for what in searched.KINDS}
    if found := ", ".join(f"{count:,} {what}" for what, count in sums.items() if count):
        terminalreporter.write_line(f"searched: {found}")


def pytest_collection_finish() -> None:
    quicker.leave_out_what_stays()


@pytest.fixture(autouse=True, scope="session")
def _done_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        quicker.once(patch)
        yield


@pytest.fixture(scope="session")
def seaweed() -> S3Server:
    """A running SeaweedFS, shared by the whole session."""
    try:
        return servers.shared_seaweed(Path(os.environ[_SHARED]), int(os.environ[_LEADER]))
    except servers.ServerMissing as missing:
        _give_up("seaweedfs", str(missing))


@pytest.fixture(scope="session")
def moto_server() -> Iterator[S3Server]:
    """A moto server inside this worker."""
    try:
        import moto.server  # noqa: F401 (whether it is there at all)
    except ImportError as error:
        _give_up("moto", str(error))
    with servers.moto() as server:
        yield server


@pytest.fixture(scope="session")
def seaweed_worlds(seaweed: S3Server) -> Callable[[], World]:
    return s3_worlds(seaweed)


@pytest.fixture(scope="session")
def moto_worlds(moto_server: S3Server) -> Callable[[], World]:
    return s3_worlds(moto_server)


@pytest.fixture
def new_world(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], World]:
    """Makes a fresh world of the kind that it is given the name of."""
    numbers = count()

    def make(kind: str) -> World:
        match kind:
            case "memory":
                return MemoryWorld(MemoryStore())
            case "directory":
                return DirectoryWorld.plain(tmp_path / f"store{next(numbers)}")
            case "hashed":
                return DirectoryWorld.hashed(tmp_path / f"store{next(numbers)}")
            case _:
                fixture = {"moto": "moto_worlds", "seaweedfs": "seaweed_worlds"}[kind]
                worlds: Callable[[], World] = request.getfixturevalue(fixture)
                return worlds()

    return make


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, new_world: Callable[[str], World]) -> World:
    """A fresh stretch of every store in turn."""
    return new_world(request.param)


@pytest.fixture
def store(world: World) -> Store:
    return world.store()


@pytest.fixture(params=SERVED)
def server(request: pytest.FixtureRequest) -> S3Server:
    """Every real S3 server in turn."""
    found: S3Server = request.getfixturevalue({"moto": "moto_server", "seaweedfs": "seaweed"}[request.param])
    return found


def _give_up(name: str, reason: str) -> NoReturn:
    if name in os.environ.get("RRBACKUP_REQUIRE", ""):
        pytest.fail(f"{name} is required here: {reason}")
    pytest.skip(f"{name}: {reason}")
