"""Fixtures for all tests: the real servers.

A server named in RRBACKUP_REQUIRE (comma-separated: `seaweedfs`, `moto`) must start, else the tests that need it fail;
without that they are skipped. CI requires both.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import servers
from servers import S3Server

_SHARED = "RRBACKUP_TEST_SHARED"
_LEADER = "RRBACKUP_TEST_LEADER"


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    """The process that leads the session, alone or over workers, makes the folder that all share."""
    if not _is_worker(config):
        os.environ[_SHARED] = tempfile.mkdtemp(prefix="rrbackup-tests-")
        os.environ[_LEADER] = str(os.getpid())


def pytest_unconfigure(config: pytest.Config) -> None:
    if not _is_worker(config) and (shared := os.environ.pop(_SHARED, None)):
        servers.end_shared(Path(shared))


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


def _give_up(name: str, reason: str) -> NoReturn:
    if name in os.environ.get("RRBACKUP_REQUIRE", ""):
        pytest.fail(f"{name} is required here: {reason}")
    pytest.skip(f"{name}: {reason}")
