"""Stores that change under a client's hands: conditions that hold and are refused, single rights that are missing,
versioning that is suspended for a while, listings that lag behind."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import pytest
from attrs import evolve

import rrbackup
from rrbackup import AccessDenied, NotVersioned, RRBackupError, StoreError
from rrbackup.effects.memory import MemoryClient
from rrbackup.effects.runner import REFUSED_LIMIT
from rrbackup.effects.s3 import S3Store
from rrbackup.effects.store import IfAbsent, IfMatch, Store, Stored
from rrbackup.pure.model import ListedVersion
from rrbackup.testing import Fault, FaultKind, MemoryStore, SimulatedCrash
from tests.integration.machines import Machine, interrupted
from tests.property import judge
from tests.servers import S3Server

PART = 1_000
BIG = b"0123456789" * 200


def sound(store: MemoryStore) -> bool:
    return judge.violations(judge.contents(store), None) == []


def at_rest(store: MemoryStore) -> bool:
    found = judge.contents(store)
    return judge.unrest(found) == [] and judge.leaks(found) == set()


# --- a condition that holds, and is refused ------------------------------------------------------------------------


class Stubborn(MemoryClient):
    """Refuses every conditional write of one key."""

    def __init__(self, store: MemoryStore, key: str) -> None:
        super().__init__(store._world, "", (), PART)
        self.key = key

    def put(self, key: str, *args: Any, **options: Any) -> Stored:
        if key == self.key and isinstance(options.get("condition"), (IfMatch, IfAbsent)):
            raise rrbackup.ConditionFailed("refused for no reason")
        return super().put(key, *args, **options)


@pytest.mark.parametrize("operation", ["backup", "garbage_collect", "backup after an interrupted one"])
@pytest.mark.parametrize("key", ["gc_log", "manifest_diffs"])
def test_a_store_that_refuses_what_holds_is_given_up_and_the_next_run_is_fine(
    operation: str, key: str, tmp_path: Path
) -> None:
    machine = Machine(tmp_path, MemoryStore(), {}).holds(a=b"1")
    machine.open().backup()
    machine.holds(a=b"22", b=b"333")
    if "interrupted" in operation:
        interrupted(machine)
    client = Stubborn(machine.store, key)
    with pytest.raises(StoreError, match=f"refused {REFUSED_LIMIT + 1} times to write {key}") as caught:
        getattr(machine.open(client), operation.partition(" ")[0])()
    assert "rrbackup doctor" in caught.value.hint
    assert sound(machine.store)
    assert machine.open().backup().problems == ()
    assert sound(machine.store)
    assert at_rest(machine.store)


def test_a_store_that_refuses_for_a_while_what_holds_is_not_given_up(tmp_path: Path) -> None:
    machine = Machine(tmp_path, MemoryStore(), {}).holds(a=b"1")
    machine.open().backup()
    machine.holds(a=b"22")
    client = Stubborn(machine.store, "gc_log")
    refused = 0

    def put(key: str, *args: Any, **options: Any) -> Stored:
        nonlocal refused
        if refused < REFUSED_LIMIT and key == "gc_log":
            refused += 1
            raise rrbackup.ConditionFailed("busy")
        return MemoryClient.put(client, key, *args, **options)

    client.put = put  # type: ignore[method-assign]
    assert machine.open(client).backup().version_id
    assert refused == REFUSED_LIMIT
    assert at_rest(machine.store)


# --- one kind of request that the rights do not allow ----------------------------------------------------------------

Kind = tuple[str, str]
"""A method, and the object or folder that it is for."""


class Forbidding(MemoryClient):
    """Is denied requests of one kind."""

    def __init__(self, store: MemoryStore, denied: Kind) -> None:
        super().__init__(store._world, "", (), PART)
        self.denied = denied

    def _request(self, method: str, key: str, apply: Callable[[], Any], **more: Any) -> Any:
        if (method, key.partition("/")[0]) == self.denied:
            raise AccessDenied(f"{method} of {key} is denied")
        return super()._request(method, key, apply, **more)


def clean(machine: Machine) -> None:
    machine.open().backup()
    machine.holds(a=b"22", new=BIG)


def cut_off(machine: Machine) -> None:
    clean(machine)
    interrupted(machine)
    machine.holds(a=b"333", new=BIG)


def taken_over(machine: Machine) -> None:
    clean(machine)
    interrupted(machine.elsewhere().holds(c=b"4", d=BIG + b"5"))


BEGINNINGS = {"clean": clean, "cut off": cut_off, "another's claim": taken_over}
MODES: Mapping[str, dict[str, Any]] = {
    "read-write": {},
    "write-only": {"write_only": True},
    "no deletion": {"allow_delete_versions": False},
}


def scenes(folder: Path, begin: Callable[[Machine], None], settings: dict[str, Any]) -> Iterator[Machine]:
    number = 0
    while True:
        number += 1
        machine = Machine(folder / str(number), MemoryStore(multipart_threshold=PART), {}).holds(a=b"1", b=BIG)
        begin(machine)
        yield evolve(machine, settings=settings)


WORK = [*((mode, "backup") for mode in MODES), ("read-write", "garbage_collect")]
QUICK = {("write-only", "backup", "cut off"), ("read-write", "garbage_collect", "another's claim")}


def cases() -> Iterator[object]:
    for mode, operation in WORK:
        for beginning in BEGINNINGS:
            case = (mode, operation, beginning)
            yield pytest.param(*case, marks=() if case in QUICK else pytest.mark.deep)


@pytest.mark.parametrize(("mode", "operation", "beginning"), list(cases()))
def test_without_the_right_for_one_kind_of_request_nothing_is_lost_and_the_next_run_is_fine(
    mode: str, operation: str, beginning: str, tmp_path: Path
) -> None:
    machines = scenes(tmp_path, BEGINNINGS[beginning], MODES[mode])
    usual = next(machines)
    client = usual.store.client()
    getattr(usual.open(client), operation)(take_over=True)
    kinds = sorted({(call.method, call.key.partition("/")[0]) for call in client.calls})
    assert len(kinds) > 6
    for kind, machine in zip(kinds, machines, strict=False):
        denied = Forbidding(machine.store, kind)
        with suppress(RRBackupError):
            getattr(machine.open(denied), operation)(take_over=True)
        assert sound(machine.store), kind
        machine.open().backup(take_over=True)
        assert sound(machine.store), kind
        assert at_rest(machine.store), kind


# --- listings that lag behind -------------------------------------------------------------------------------------


class Lagging(MemoryClient):
    """Listings of what begins like `what` do not show the newest versions yet."""

    def __init__(self, store: MemoryStore, what: str, late: int, *faults: Fault) -> None:
        super().__init__(store._world, "", faults, PART)
        self.what = what
        self.late = late

    def list_versions(self, prefix: str) -> Iterator[ListedVersion]:
        newest = f"v{self._world._count - self.late:06d}"
        for row in super().list_versions(prefix):
            if row.version_id <= newest or not row.key.startswith(self.what):
                yield row


LATE = [
    ("manifest_diffs", 1_000),
    pytest.param("", 1, marks=pytest.mark.deep),
    pytest.param("", 3, marks=pytest.mark.deep),
    pytest.param("files/", 3, marks=pytest.mark.deep),
    pytest.param("", 1_000, marks=pytest.mark.deep),
]


@pytest.mark.parametrize(("what", "late"), LATE)
def test_listings_that_lag_behind_cost_orphans_but_no_commit(what: str, late: int, tmp_path: Path) -> None:
    """A backup dies anywhere; it is recovered and collected by a client whose listings are late."""
    died = 0
    for number in range(1, 60):
        machine = Machine(tmp_path / str(number), MemoryStore(), {}).holds(a=b"1", b=b"2")
        machine.open().backup()
        machine.holds(a=b"11", b=b"2", n=b"new")
        client = Lagging(machine.store, what, late, Fault(number, FaultKind.AFTER))
        with suppress(SimulatedCrash):
            machine.open(client).backup()
        if not client.crashed:
            break
        died += 1
        other = machine.elsewhere().holds(a=b"9", z=b"z")
        for who, operation in ((machine, "backup"), (machine, "garbage_collect"), (other, "backup")):
            getattr(who.open(Lagging(machine.store, what, late)), operation)(take_over=True)
            assert sound(machine.store), (number, operation)
        other.open().garbage_collect()
        assert at_rest(machine.store), number
    assert died > 6


# --- versioning that is suspended while a backup is under way --------------------------------------------------------


class Suspending(S3Store):
    """Somebody suspends the versioning of the bucket just before one key is written."""

    key = ""

    def put(self, key: str, *args: Any, **options: Any) -> Stored:
        if key == self.key:
            self.switch("Suspended")
        return super().put(key, *args, **options)

    switch: Callable[[Literal["Enabled", "Suspended"]], object]


@pytest.mark.parametrize("key", ["gc_log", "files/n", "manifest_diffs"])
def test_versioning_that_is_suspended_in_mid_backup_stops_it_and_nothing_is_lost(
    key: str, seaweed: S3Server, tmp_path: Path
) -> None:
    bucket, client = seaweed.new_bucket(), seaweed.client()
    store, suspending = S3Store(seaweed.options(bucket)), Suspending(seaweed.options(bucket))
    suspending.key = key
    suspending.switch = lambda status: client.put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={"Status": status}
    )
    machine = Machine(tmp_path, MemoryStore(), {}).holds(a=b"1")
    first = machine.open(store).backup().version_id
    machine.holds(a=b"1", n=b"new")
    with pytest.raises(StoreError):
        machine.open(suspending).backup()
    suspending.switch("Enabled")
    if key == "files/n":
        with pytest.raises(NotVersioned) as caught:
            machine.open(store).backup()
        assert "--version-id null" in caught.value.hint
        client.delete_object(Bucket=bucket, Key=key, VersionId="null")
    assert machine.open(store).backup().problems == ()
    assert {entry.path for entry in machine.open(store).list_files(first or "")} == {"/a"}
    assert machine.open(store).verify(read_data=True).damaged == ()
    listed = client.list_object_versions(Bucket=bucket)
    assert sorted(row["Key"] for row in listed["Versions"] if row["Key"].startswith("files/")) == ["files/a", "files/n"]
    assert "null" not in {row["VersionId"] for row in listed["Versions"]}


def test_no_commit_refers_to_the_version_null_whoever_wrote_it(seaweed: S3Server) -> None:
    """What lies there from before versioning is refused at every look, not taken for a version."""
    bucket, client = seaweed.new_bucket(versioned=False), seaweed.client()
    for key in ("files/a", "manifest_diffs", "gc_log", "garbage_objects", "manifest_checkpoint"):
        client.put_object(Bucket=bucket, Key=key, Body=b"x")
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    store: Store = S3Store(seaweed.options(bucket))
    for key in ("files/a", "manifest_diffs", "gc_log", "garbage_objects", "manifest_checkpoint"):
        with pytest.raises(NotVersioned):
            store.get(key)
        with pytest.raises(NotVersioned):
            list(store.list_versions(key))
