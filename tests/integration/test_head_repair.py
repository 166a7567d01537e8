"""What a write-only client that turned hostile, or an accident, did to the manifest object: it is named, what lies
below stays usable, writers refuse, and `repair --head` goes on from there. Nothing is ever deleted.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

import rrbackup
from rrbackup.effects.client import Client
from rrbackup.effects.memory import Fault, FaultKind, MemoryClient, MemoryStore, SimulatedCrash
from rrbackup.effects.store import Fetched, list_exact
from rrbackup.events import Event, Notice
from rrbackup.pure import format2
from rrbackup.pure.model import (
    Change,
    Diff,
    DiffKind,
    Entry,
    ObjectRef,
    ParentRef,
    PathText,
    RepositoryId,
    Status,
    TransactionId,
    VersionId,
    VersionRef,
)
from tests import raw_objects
from tests.integration.machines import MANIFEST, SALT, Machine, encrypting, make_cheap, stored

PLAIN: dict[str, Any] = {"crypto": None, "meta_pipeline": [], "file_pipeline": [("*", [])]}
FIRST_TREE, SECOND_TREE = {b"a": b"1", b"b": b"22"}, {b"a": b"1", b"b": b"changed"}


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    make_cheap(monkeypatch)


@pytest.fixture(params=["plain", "encrypted"])
def owner(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    """With two commits in the store, and something new to back up."""
    return committed(encrypting(tmp_path / "owner", **(PLAIN if request.param == "plain" else {})))


@pytest.fixture
def plain(tmp_path: Path) -> Machine:
    return committed(encrypting(tmp_path / "owner", **PLAIN))


@pytest.fixture
def secret(tmp_path: Path) -> Machine:
    return committed(encrypting(tmp_path / "owner"))


def committed(machine: Machine) -> Machine:
    machine.holds(a=b"1", b=b"22").open().backup()
    machine.holds(a=b"1", b=b"changed").open().backup()
    return machine.holds(a=b"1", b=b"changed", c=b"new")


def head_of(machine: Machine) -> rrbackup.HeadRef:
    """Of the newest commit, as somebody reads it who may read all that lies there."""
    fetched = machine.store.get(MANIFEST)
    diff = next(link for link in client_of(machine).control.read_chain(0))
    return evolve(diff.head, etag=fetched.info.etag)


def client_of(machine: Machine) -> Client:
    return machine.elsewhere().open()._client


def bodies(machine: Machine) -> list[bytes]:
    """Of the diffs, newest first."""
    return [machine.store.get(MANIFEST, version_id).body for version_id in ids(machine)]


def ids(machine: Machine) -> list[VersionId]:
    return [row.version_id for row in list_exact(machine.store, MANIFEST) if not row.marker]


def a_diff(parent: ParentRef | None, sequence: int, repository: str, *, refers_to: VersionRef | None = None) -> bytes:
    at = refers_to or VersionRef("files/forged", VersionId("v000001"))
    entry = Entry(PathText("/forged"), size=6, sha256="0" * 64, object=ObjectRef(at.key, at.version_id, 6, "e"))
    change = Change(Status.NEW, entry)
    return format2.encode_diff(
        Diff(RepositoryId(repository), sequence, parent, TransactionId("x"), DiffKind.COMMIT, 0, "thief", (change,))
    )


# --- attacks that a reader can tell -------------------------------------------------------------------------------

Attack = Callable[[Machine], bytes]

OLD_KDF = {"A": "ARGON2I13", "O": 4, "M": 33554432, "S": "AAECAwQFBgcICQoLDA0ODw=="}
HEADER: dict[str, Any] = {"V": "2", "kind": "diff", "pipeline": []}
NEWER_HEADER: dict[str, Any] = {**HEADER, "V": "9"}
ENCRYPTED: dict[str, Any] = {"pipeline": ["encrypt"], "repository": "f" * 32, "key": MANIFEST}
OLD_HEADER: dict[str, Any] = {"V": "1", "E": {**OLD_KDF, "E": "sodssxcc20"}}


def next_of(machine: Machine, **changes: Any) -> bytes:
    head = head_of(machine)
    fields: dict[str, Any] = {"parent": head.as_parent, "sequence": head.sequence + 1, "repository": head.repository}
    return a_diff(**{**fields, **changes})


ATTACKS: dict[str, Attack] = {
    "nothing": lambda machine: b"",
    "noise": lambda machine: bytes(range(256)) * 4,
    "cut off": lambda machine: bodies(machine)[0][:-1],
    "a header and no more": lambda machine: raw_objects.framed(raw_objects.split(bodies(machine)[0])[0], b""),
    "a record of another kind": lambda machine: raw_objects.plain_record("claim", {"format": 2}),
    "no diff": lambda machine: raw_objects.plain_record("diff", {"format": 2, "sequence": "3"}),
    "another parent": lambda machine: next_of(machine, parent=ParentRef(head_of(machine).version_id, "0" * 64)),
    "a parent that never was": lambda machine: next_of(machine, parent=ParentRef(VersionId("v999999"), "0" * 64)),
    "a sequence with a gap": lambda machine: next_of(machine, sequence=9),
    "another repository": lambda machine: next_of(machine, repository="f" * 32),
    "no parent at all": lambda machine: next_of(machine, parent=None),
    "of a newer format": lambda machine: raw_objects.framed(NEWER_HEADER, b"{}"),
    "of a newer format, encrypted": lambda machine: raw_objects.framed({**NEWER_HEADER, **ENCRYPTED}, bytes(80)),
    "stored as nobody knows": lambda machine: raw_objects.framed({**HEADER, "pipeline": ["rot13"]}, b"{}"),
    "under keys that nobody has": lambda machine: raw_objects.framed({**HEADER, **ENCRYPTED}, bytes(80)),
    "of rrbackup 1.0": lambda machine: b'\0\0\0\x09{"V":"1"}[]',
    "of rrbackup 1.0, encrypted": lambda machine: raw_objects.framed(OLD_HEADER, bytes(80)),
    "of rrbackup 1.0, garbled": lambda machine: b'\0\0\0\x09{"V":"1"}[',
}
"""Each is noticed by whoever reads, with and without encryption."""

REPLAYED: dict[str, Attack] = {
    "the first commit again": lambda machine: bodies(machine)[-1],
    "another first commit": lambda machine: a_diff(None, 1, head_of(machine).repository),
}
"""Whoever remembers the head notices these."""


def assert_goes_on(machine: Machine, head: VersionId, *, above: int) -> None:
    """That the attack is named, all below stays usable, nobody writes, and a repair goes on from `head`."""
    machine.open()._client.control.append_garbage((VersionRef("files/x", VersionId("v000001")),))
    before = stored(machine.store)
    bad = ids(machine)[:above]
    state = machine.open().manifest_state()
    assert (state.head, [unsound.version_id for unsound in state.unsound], state.sound) == (head, bad, False)
    assert [version.version_id for version in state.commits] == ids(machine)[above:][::-1]
    assert_readable_by_id(machine, head, bad)
    for attempt in (machine.open().backup, machine.open().garbage_collect, machine.open().clean_gc_log):
        with pytest.raises((rrbackup.RepositoryError, rrbackup.ObjectMissing, rrbackup.StoreWentBack)) as caught:
            attempt()
        assert "repair" in caught.value.hint
    assert stored(machine.store) == before
    assert_repaired(machine, head, bad)
    assert before.items() <= stored(machine.store).items(), "nothing is deleted"


def assert_readable_by_id(machine: Machine, head: VersionId, bad: list[VersionId]) -> None:
    heard: list[Event] = []
    names = {entry.path for entry in machine.open().list_files(head, heard.append)}
    assert names == {"/a", "/b"}
    assert [event for event in heard if isinstance(event, Notice)] != []
    assert machine.open().list_changes(head).version.version_id == head
    assert machine.open().download(head, machine.folder / f"by id {head}").complete
    for relative in ("latest", "latest~1"):
        with pytest.raises((rrbackup.RepositoryError, rrbackup.StoreError, rrbackup.StoreWentBack)) as caught:
            machine.open().list_files(relative)
        assert not isinstance(caught.value, rrbackup.NoSuchVersion)
        assert f"repair --head {head}" in caught.value.hint
        assert all(version_id in caught.value.message + caught.value.hint for version_id in bad[:3])
    for version_id in bad:
        with pytest.raises(rrbackup.RRBackupError) as caught:
            machine.open().list_files(version_id)
        assert f"repair --head {head}" in caught.value.hint


def assert_repaired(machine: Machine, head: VersionId, bad: list[VersionId]) -> None:
    repaired = machine.open().repair_head(head)
    assert (repaired.continues, set(repaired.set_aside), repaired.left_out) == (head, set(bad), ())
    assert repaired.version_id == ids(machine)[0]
    assert machine.open().manifest_state().sound
    again = machine.open().repair_head(head)
    assert (again.version_id, again.set_aside) == (None, ())
    assert machine.open().repair_head(repaired.version_id).version_id is None
    assert machine.open().backup().counts.new == 1
    machine.open().garbage_collect()
    assert machine.restored() == {**SECOND_TREE, b"c": b"new"}
    assert machine.restored("latest~1") == SECOND_TREE
    assert machine.restored("latest~2") == FIRST_TREE


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_what_is_put_on_top_is_named_and_gone_back_from(owner: Machine, attack: Attack) -> None:
    head = ids(owner)[0]
    owner.store.put(MANIFEST, attack(owner))
    assert_goes_on(owner, head, above=1)


@pytest.mark.parametrize("attack", REPLAYED.values(), ids=REPLAYED)
def test_a_fork_is_named_by_who_remembers(owner: Machine, attack: Attack) -> None:
    head = ids(owner)[0]
    owner.store.put(MANIFEST, attack(owner))
    assert_goes_on(owner, head, above=1)


@pytest.mark.parametrize("first", ["noise", "a sequence with a gap", "of rrbackup 1.0"])
def test_several_attacks_on_top_of_each_other_are_gone_back_from_at_once(owner: Machine, first: str) -> None:
    head = ids(owner)[0]
    forgeries = [ATTACKS[first](owner), *(attack(owner) for attack in ATTACKS.values())]
    for forgery in forgeries:
        owner.store.put(MANIFEST, forgery)
    assert_goes_on(owner, head, above=len(forgeries))


def test_what_is_built_on_something_unsound_is_unsound_as_well(plain: Machine) -> None:
    head, bad = ids(plain)[0], next_of(plain, sequence=9)
    below = plain.store.put(MANIFEST, bad)
    plain.store.put(MANIFEST, next_of_raw(below.version_id, bad, 10))
    plain.store.put(MANIFEST, next_of_raw(ids(plain)[0], bodies(plain)[0], 11))
    assert_goes_on(plain, head, above=3)


def next_of_raw(version_id: VersionId, body: bytes, sequence: int) -> bytes:
    repository = format2.decode_diff(body, "x").repository
    return a_diff(ParentRef(version_id, format2.sha256_hex(body)), sequence, repository)


def test_an_unencrypted_diff_on_top_of_encrypted_ones_is_unsound(secret: Machine) -> None:
    head = ids(secret)[0]
    secret.store.put(MANIFEST, next_of(secret))
    assert_goes_on(secret, head, above=1)


def test_an_unencrypted_history_in_place_of_an_encrypted_one_is_unsound_even_for_a_newcomer(secret: Machine) -> None:
    head = ids(secret)[0]
    diff = format2.decode_diff(a_diff(None, 1, "f" * 32), "x")
    secret.store.put(MANIFEST, format2.encode_diff(evolve(diff, sets_aside=tuple(ids(secret)))))
    newcomer = secret.elsewhere().holds(a=b"1", b=b"changed", c=b"new")
    forged = ids(secret)[0]
    with pytest.raises(rrbackup.DamagedChain, match="not encrypted"):
        newcomer.open().list_versions()
    with pytest.raises(rrbackup.DamagedChain, match="not sound"):
        newcomer.open().repair_head(forged)
    assert_goes_on(newcomer, head, above=1)


def test_a_newcomer_who_knows_no_better_is_told_of_what_lies_beside_the_chain(owner: Machine) -> None:
    """An old commit put again is a sound chain of its own."""
    head = ids(owner)[0]
    owner.store.put(MANIFEST, bodies(owner)[-1])
    newcomer = owner.elsewhere().holds()
    state = newcomer.open().manifest_state()
    assert {stray.version_id for stray in state.strays} == set(ids(owner)[1:])
    assert not state.sound
    newcomer.open().repair_head(head)
    assert newcomer.open().manifest_state().sound
    assert owner.restored() == SECOND_TREE


# --- a delete marker -----------------------------------------------------------------------------------------------


def test_a_delete_marker_is_named_and_gone_back_from(owner: Machine) -> None:
    head = ids(owner)[0]
    marker = owner.store.mark_deleted(MANIFEST)
    state = owner.open().manifest_state()
    assert (state.head, state.marker, state.unsound) == (head, marker, ())
    assert len(state.commits) == 2
    assert_goes_on(owner, head, above=0)


def test_a_delete_marker_on_top_of_a_forged_diff_hides_nothing(owner: Machine) -> None:
    head = ids(owner)[0]
    owner.store.put(MANIFEST, b"noise")
    owner.store.mark_deleted(MANIFEST)
    assert_goes_on(owner, head, above=1)


def test_an_old_delete_marker_is_no_news(owner: Machine) -> None:
    owner.store.mark_deleted(MANIFEST)
    owner.open().repair_head(ids(owner)[0])
    assert owner.open().manifest_state().marker is None
    assert owner.open().manifest_state().sound


# --- an accident -----------------------------------------------------------------------------------------------------


def test_a_head_whose_bytes_changed_costs_that_commit_only(owner: Machine) -> None:
    head, first = ids(owner)
    damage(owner.store, head)
    state = owner.open().manifest_state()
    assert (state.head, [unsound.version_id for unsound in state.unsound]) == (first, [head])
    owner.open().repair_head(first)
    assert owner.restored() == FIRST_TREE
    assert owner.open().backup().version_id is not None
    owner.open().garbage_collect()
    assert owner.restored() == {**SECOND_TREE, b"c": b"new"}


def damage(store: MemoryStore, version_id: VersionId, body: bytes = b"damaged") -> None:
    """Change the stored bytes of a version in place."""
    held = store._world._held[MANIFEST]
    (at,) = [index for index, one in enumerate(held) if one.version_id == version_id]
    held[at] = evolve(held[at], body=body)


def test_where_nothing_is_sound_the_error_stays_what_it_was(owner: Machine) -> None:
    damage(owner.store, ids(owner)[-1])
    state = owner.open().manifest_state()
    assert (state.head, len(state.unsound), state.commits) == (None, 2, ())
    for attempt in (
        owner.open().list_versions,
        owner.open().list_files,
        lambda: owner.open().list_files(ids(owner)[0]),
    ):
        with pytest.raises(rrbackup.RepositoryError, match=ids(owner)[-1]):
            attempt()


# --- what is no damage -----------------------------------------------------------------------------------------------


def test_a_newer_format_may_be_genuine_and_the_hint_names_both(owner: Machine) -> None:
    head = ids(owner)[0]
    newer = owner.store.put(MANIFEST, raw_objects.framed(NEWER_HEADER, b"{}")).version_id
    reads: tuple[Callable[[], object], ...] = (
        owner.open().list_versions,
        owner.open().list_files,
        lambda: owner.open().list_files(newer),
        owner.open().backup,
        owner.open().plan_backup,
        owner.open().garbage_collect,
    )
    for read in reads:
        with pytest.raises(rrbackup.UnsupportedFormat) as caught:
            read()
        assert "use a version of rrbackup that knows this format" in caught.value.hint
        assert "somebody forged it" in caught.value.hint
        assert "repair --head" in caught.value.hint
    state = owner.open().manifest_state()
    assert (state.head, [(one.version_id, one.foreign) for one in state.unsound]) == (head, [(newer, True)])


def test_where_everything_is_of_a_newer_format_nothing_else_is_said(owner: Machine) -> None:
    for version_id in ids(owner):
        damage(owner.store, version_id, raw_objects.framed(NEWER_HEADER, b"{}"))
    for read in (owner.open().list_versions, lambda: owner.open().list_files(ids(owner)[0])):
        with pytest.raises(rrbackup.UnsupportedFormat):
            read()
    assert owner.open().manifest_state().head is None


def test_a_claim_of_a_newer_format_does_not_keep_from_going_back(plain: Machine) -> None:
    head = ids(plain)[0]
    plain.store.put(MANIFEST, b"noise")
    plain.store.put("gc_log", raw_objects.framed({**NEWER_HEADER, "kind": "claim"}, b"{}"))
    assert plain.open().repair_head(head).version_id is not None


def test_lost_keys_are_not_taken_for_those_that_never_were(tmp_path: Path) -> None:
    """Below encrypted commits lie others: the newest of these must not pass for the newest."""
    machine = encrypting(tmp_path / "owner", **PLAIN).holds(a=b"1")
    machine.open().backup()
    machine = evolve(machine, settings=encrypting(tmp_path / "other").settings).holds(a=b"2")
    machine.open().backup()
    newcomer = machine.elsewhere().holds()
    machine.store.mark_deleted(SALT)
    for ask in (newcomer.open().manifest_state, lambda: newcomer.open().repair_head(ids(machine)[1])):
        with pytest.raises(rrbackup.DamagedObject, match=SALT):
            ask()


def test_a_wrong_or_missing_password_is_not_called_damage(secret: Machine) -> None:
    head = ids(secret)[0]
    secret.store.put(MANIFEST, b"noise")
    for other, error in (
        (secret.with_password("guess"), rrbackup.WrongPassword),
        (evolve(secret, settings={**secret.settings, **PLAIN}), rrbackup.PasswordMissing),
    ):
        for ask in (other.open().manifest_state, lambda other=other: other.open().repair_head(head)):
            with pytest.raises(error):
                ask()
    secret.store.mark_deleted(SALT)
    for _ in range(2):
        with pytest.raises(rrbackup.DamagedObject, match=SALT):
            secret.open().manifest_state()
        secret.store.delete_versions([row.ref for row in list_exact(secret.store, SALT)])


def test_an_empty_repository_is_sound(tmp_path: Path) -> None:
    state = encrypting(tmp_path / "owner", **PLAIN).holds().open().manifest_state()
    assert (state.head, state.sound) == (None, True)


def test_another_store_is_still_told_from_a_damaged_one(owner: Machine) -> None:
    exchanged = evolve(owner, store=MemoryStore())
    committed(encrypting(owner.folder.with_name("other"), exchanged.store, **PLAIN))
    for ask in (exchanged.open().manifest_state, lambda: exchanged.open().repair_head(ids(exchanged)[0])):
        with pytest.raises((rrbackup.StoreWentBack, rrbackup.DamagedObject)):
            ask()


# --- going back further -----------------------------------------------------------------------------------------------


def test_a_forged_diff_that_nobody_can_tell_is_a_commit_that_can_be_gone_back_from(plain: Machine) -> None:
    head = ids(plain)[0]
    forged = plain.store.put(MANIFEST, next_of(plain)).version_id
    assert plain.open().manifest_state().sound
    repaired = plain.open().repair_head(head)
    assert [version.version_id for version in repaired.left_out] == [forged]
    assert plain.restored() == SECOND_TREE


def test_going_back_below_a_sound_head_says_what_is_left_out(owner: Machine) -> None:
    head, first = ids(owner)
    repaired = owner.open().repair_head(first)
    assert [version.version_id for version in repaired.left_out] == [head]
    assert repaired.set_aside == (head,)
    assert owner.restored() == FIRST_TREE
    assert owner.open().backup().counts.new == 1
    owner.open().repair_head(head)
    assert owner.restored() == SECOND_TREE, "what was left out stays, and can be gone back to"


def test_a_client_that_saw_what_was_left_out_is_told_so(owner: Machine) -> None:
    other = owner.elsewhere().holds(a=b"1", b=b"changed", d=b"4")
    newest = other.open().backup().version_id
    assert newest is not None
    owner.open().repair_head(ids(owner)[1])
    for ask in (other.open().list_versions, other.open().manifest_state, other.open().backup):
        with pytest.raises(rrbackup.StoreWentBack):
            ask()
    (other.folder / "manifest").unlink()
    assert other.open().backup().counts.new == 1


def test_files_of_what_was_left_out_survive_a_collection_as_long_as_it_can_be_read(owner: Machine) -> None:
    first = ids(owner)[1]
    files = {version.ref for version in owner.store.list_versions("files/")}
    owner.open().repair_head(first)
    owner.open().garbage_collect()
    assert files <= {version.ref for version in owner.store.list_versions("files/")}


@pytest.mark.parametrize("kind", list(FaultKind))
def test_a_repair_that_is_struck_anywhere_can_be_asked_for_again(tmp_path: Path, kind: FaultKind) -> None:
    at, struck = 0, True
    while struck:
        at += 1
        machine = committed(encrypting(tmp_path / str(at), **PLAIN))
        head = ids(machine)[0]
        machine.store.put(MANIFEST, b"noise")
        client = machine.store.client(faults=[Fault(at, kind)])
        try:
            machine.open(client).repair_head(head)
        except (SimulatedCrash, rrbackup.StoreError):
            machine.open().repair_head(head)
        struck = len(client.calls) >= at
        assert machine.open().manifest_state().sound
        assert machine.restored() == SECOND_TREE
    assert at > 5


@pytest.mark.parametrize("conditional", [True, False])
def test_a_commit_that_comes_between_refuses_the_repair(tmp_path: Path, conditional: bool) -> None:
    """Right behind the look at all versions; also on a store that ignores conditions."""
    plain = committed(encrypting(tmp_path / "owner", MemoryStore(conditional=conditional), **PLAIN))
    head = ids(plain)[0]
    plain.store.put(MANIFEST, b"noise")

    class Between(MemoryClient):
        def get(self, key: str, version_id: VersionId | None = None) -> Fetched:
            if key == "gc_log":
                plain.store.put(MANIFEST, b"more noise")
            return super().get(key, version_id)

    between = Between(plain.store._world, "", (), 1 << 23)
    with pytest.raises(rrbackup.TransactionLost, match="nothing was changed"):
        plain.open(between).repair_head(head)
    assert len(ids(plain)) == 4
    assert plain.open().repair_head(head).version_id is not None


def test_a_transaction_under_way_while_somebody_goes_back_publishes_nothing(plain: Machine) -> None:
    """It builds on a head that is no longer in the chain, and the newest diff has a lower number than that."""
    first = ids(plain)[1]
    repairer = plain.elsewhere().holds()
    (repairer.folder / "base").mkdir(exist_ok=True)

    class Between(MemoryClient):
        done = False

        def put(self, key: str, *arguments: Any, **options: Any) -> Any:
            if key == MANIFEST and not self.done:
                self.done = True
                repairer.open().repair_head(first)
            return super().put(key, *arguments, **options)

    with pytest.raises(rrbackup.TransactionLost, match="gone back"):
        plain.open(Between(plain.store._world, "", (), 1 << 23)).backup()
    assert plain.restored() == FIRST_TREE
    (plain.folder / "manifest").unlink()
    assert plain.open().backup().version_id is not None
    plain.open().garbage_collect()
    assert plain.restored() == {**SECOND_TREE, b"c": b"new"}


# --- who may, and what is said ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [{"read_only": True}, {"write_only": True}, {"allow_delete_versions": False}])
def test_only_a_client_that_may_delete_repairs(plain: Machine, mode: dict[str, Any]) -> None:
    plain.store.put(MANIFEST, b"noise")
    head = ids(plain)[1]
    with pytest.raises(rrbackup.ModeError):
        plain.open(**mode).repair_head(head)
    assert len(ids(plain)) == 3
    assert plain.open(**mode).manifest_state().head == head


def test_a_version_must_be_named_without_doubt_and_be_sound(plain: Machine) -> None:
    bad = plain.store.put(MANIFEST, b"noise").version_id
    for version in ("latest", "latest~1", "", "v9", "v0"):
        with pytest.raises(rrbackup.NoSuchVersion):
            plain.open().repair_head(version)
    with pytest.raises(rrbackup.DamagedChain, match=bad):
        plain.open().repair_head(bad)
    assert len(ids(plain)) == 3


def test_nothing_is_published_unencrypted_where_something_encrypted_lies(secret: Machine) -> None:
    head = ids(secret)[0]
    secret.store.put(MANIFEST, b"noise")
    with pytest.raises(rrbackup.ConfigError, match="meta_pipeline"):
        secret.open(meta_pipeline=[]).repair_head(head)
    assert len(ids(secret)) == 3


def test_the_local_manifest_is_dropped_only_where_it_has_to_be(plain: Machine) -> None:
    head, first = ids(plain)
    manifest = plain.folder / "manifest"
    plain.store.put(MANIFEST, b"noise")
    plain.open().repair_head(head)
    assert manifest.exists(), "it still says which files need no reading"
    plain.open().repair_head(first)
    assert not manifest.exists()


def test_a_sound_head_costs_no_request_more(owner: Machine) -> None:
    def calls(ask: Callable[[rrbackup.Repository], object]) -> list[str]:
        client = owner.store.client()
        ask(owner.open(client))
        return [call.method for call in client.calls if call.key == MANIFEST]

    head = ids(owner)[0]
    assert calls(lambda repository: repository.list_versions()) == ["get"] * 2
    assert calls(lambda repository: repository.list_files(head)) == ["get"] * 2


# --- collections after an attack --------------------------------------------------------------------------------------


def lists_of_unreadable(machine: Machine) -> Iterator[str]:
    for version_id in ids(machine):
        try:
            format2.decode_diff(machine.store.get(MANIFEST, version_id).body, "x")
        except rrbackup.DamagedObject:
            yield version_id


def test_what_is_unreadable_and_not_set_aside_stops_a_collection(plain: Machine) -> None:
    """Noise below a forged commit: reading the chain never meets it, but who knows what it refers to."""
    next_one = next_of(plain)
    noise = plain.store.put(MANIFEST, b"noise").version_id
    plain.store.put(MANIFEST, next_one)
    assert list(lists_of_unreadable(plain)) == [noise]
    with pytest.raises(rrbackup.DamagedObject, match=noise) as caught:
        plain.open().garbage_collect()
    assert "repair" in caught.value.hint
    assert [stray.version_id for stray in plain.open().manifest_state().strays] == [noise]
    assert plain.open().repair_head(ids(plain)[0]).set_aside == (noise,)
    plain.open().garbage_collect()


def test_only_lists_in_the_sound_chain_count(plain: Machine) -> None:
    """A forged diff that was itself set aside says that something else is."""
    head = ids(plain)[0]
    forged = format2.decode_diff(next_of(plain, sequence=9), "x")
    later = VersionId(f"v{int(ids(plain)[0][1:]) + 3:06}")
    plain.store.put(MANIFEST, format2.encode_diff(evolve(forged, sets_aside=(later,))))
    plain.open().repair_head(head)
    noise = plain.store.put(MANIFEST, b"noise").version_id
    while noise < later:
        noise = plain.store.put(MANIFEST, b"noise").version_id
    fence = format2.decode_diff(plain.store.get(MANIFEST, plain.open().manifest_state().head).body, "x")
    assert later not in fence.sets_aside
    link = client_of(plain).control.survey(None).links[0]
    plain.store.put(MANIFEST, a_diff(link.as_parent, link.diff.sequence + 1, link.diff.repository))
    with pytest.raises(rrbackup.DamagedObject):
        plain.elsewhere().holds().open().garbage_collect()
