"""What the life-cycle rules let go is not missed, not even by a transaction that was open for weeks.

The keys of a claim stand in the version of `gc_log` that opened it; renewed, that version is an old one, and expires.
Recovery then looks through all files.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from rrbackup.config import Config, DirectorySettings
from rrbackup.effects.memory import MemoryClient, MemoryStore
from rrbackup.effects.renewing import renewed
from rrbackup.effects.store import Store, list_exact
from rrbackup.events import Event, FileDone
from rrbackup.pure.model import VersionRef
from rrbackup.pure.policies import Place, PolicyMode, life_cycle
from tests.integration.conftest import Bench
from tests.integration.restricted_work import PREFIX, World, new_world, quicker
from tests.integration.rights import MotoAccounts, iam_client
from tests.integration.trees import look, write
from tests.property import judge
from tests.servers import S3Server

MakeBench = Callable[..., Bench]

DAY = 86_400
TREE = {"a": b"1", "b": b"2", "d/c": b"3"}


class Interruption(Exception):
    pass


def left_open(bench: Bench) -> None:
    """A backup that renews its claim after its first upload and dies then."""

    def renew_and_stop(event: Event) -> None:
        if isinstance(event, FileDone) and event.uploaded:
            control = bench.open()._client.control
            after = renewed(control, control.read_claim())
            assert after.record is not None
            assert after.record.keys == ()
            assert after.record.keys_version not in (None, after.version_id)
            raise Interruption

    with pytest.raises(Interruption):
        bench.open().backup(on_event=renew_and_stop)


def expire(store: Store, *names: str) -> None:
    """What the rules do in time: old versions of these objects go."""
    old = [version.ref for name in names for version in list(list_exact(store, name))[1:]]
    assert old != []
    store.delete_versions(old)


MODES: dict[str, dict[str, bool]] = {
    "write-only": {"write_only": True},
    "no deletion": {"allow_delete_versions": False},
    "read-write": {},
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("whose", ["own", "another's"])
def test_recovery_looks_through_everything_where_the_list_of_keys_has_expired(
    whose: str, mode: str, make_bench: MakeBench, tmp_path: Path
) -> None:
    memory = MemoryStore()
    base = make_bench(memory)
    settings: Any = MODES[mode]
    bench = evolve(base, config=evolve(base.config, **settings))
    write(bench.base, {"before": b"committed"})
    bench.backup()
    committed = file_versions(memory)
    write(bench.base, TREE)
    left_open(bench)
    orphans = file_versions(memory) - committed
    assert orphans != set()
    expire(memory, "gc_log")
    write(bench.base, {name: content + b" later" for name, content in TREE.items()})
    follower = bench if whose == "own" else bench.other_client(tmp_path / "follower")
    client = memory.client()
    evolve(follower, store=client).open().backup(take_over=True)
    found = judge.contents(memory)
    kept = file_versions(memory) & orphans
    if mode == "read-write":
        assert kept == set()
    else:
        assert kept == orphans
        assert {VersionRef(key, ref) for key, ref in judge.garbage(found)} == orphans  # type: ignore[arg-type]
    assert judge.leaks(found) == set()
    assert judge.violations(found, None) == []
    assert reads_of_files(client, settings) == []
    assert bench.open(write_only=False).download("latest", tmp_path / "out").problems == ()
    assert look(tmp_path / "out") == look(bench.base)


def file_versions(memory: MemoryStore) -> set[VersionRef]:
    return {version.ref for version in memory.list_versions("files/")}


def reads_of_files(client: MemoryClient, settings: dict[str, bool]) -> list[str]:
    if not settings.get("write_only"):
        return []
    reads = (call.key for call in client.calls if call.method in ("get", "read", "head"))
    return [key for key in reads if key.startswith("files/")]


def test_a_repository_lives_on_without_any_old_version_that_the_rules_let_go(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    memory = MemoryStore()
    bench = make_bench(memory)
    for number in range(4):
        write(bench.base, {"a": b"%d" % number})
        bench.backup()
        expire(memory, "gc_log")
    newcomer = bench.other_client(tmp_path / "newcomer").open()
    assert newcomer.backup().version_id is None
    assert len(newcomer.list_versions()) == 4
    assert newcomer.garbage_collect().deleted == ()
    for number in range(4):
        assert newcomer.download(f"latest~{3 - number}", tmp_path / "out").problems == ()
        assert (tmp_path / "out" / "a").read_bytes() == b"%d" % number


@pytest.fixture
def world(
    make_bench: MakeBench, moto_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    quicker(monkeypatch)
    iam = iam_client(moto_server)
    yield new_world(make_bench, MotoAccounts(moto_server, iam), tmp_path, PolicyMode.WRITE_ONLY, PREFIX)
    iam.close()


def test_the_rights_to_write_only_are_enough_where_the_list_of_keys_has_expired(world: World) -> None:
    """Amazon must say that the version is not there, and not that it is denied; and all files must be listed."""
    world.apply(PolicyMode.WRITE_ONLY)
    with world.judged():
        left_open(world.user)
    expire(world.admin.store, "gc_log")
    write(world.user.base, {"a": b"1 later", "d/b": b"2 later", "secret": b"3 later"})
    with world.judged():
        world.user.backup()
    assert world.admin.open().clean_gc_log().deleted != ()
    assert world.admin.open().garbage_collect().deleted == ()


# --- the days ----------------------------------------------------------------------------------------------


def test_the_rules_wait_longer_than_any_client_is_waited_for() -> None:
    rules: Any = life_cycle(Place("bucket"))["Rules"]
    patience = Config(base_path="/srv", directory=DirectorySettings(path="/x")).takeover_after
    days = [rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for rule in rules if "Noncurrent" in str(rule)]
    assert min(days) * DAY >= 7 * patience


def test_the_rules_leave_a_slow_line_time_for_a_large_file() -> None:
    """A terabyte at half a megabyte a second, which the rule would otherwise cut off again and again."""
    rules: Any = life_cycle(Place("bucket"))["Rules"]
    days = {rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] for rule in rules}
    assert min(days) * DAY * 500_000 >= 1_000_000_000_000
