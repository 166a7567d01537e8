"""The salt object in a store: making, opening, changing the password, whatever happens to a request."""

from collections.abc import Callable
from itertools import count

import nacl.pwhash.argon2i as argon2i
import pytest

from rrbackup.effects.keys import PasswordChanged, change_password, create_keyring, derive, new_keyring, open_keyring
from rrbackup.effects.memory import Fault, FaultKind, MemoryClient, MemoryStore, SimulatedCrash
from rrbackup.effects.store import list_exact
from rrbackup.errors import (
    DamagedObject,
    ObjectMissing,
    OutcomeUnknown,
    RRBackupError,
    TransactionLost,
    UnsupportedFormat,
    UsageError,
    WrongPassword,
)
from rrbackup.pure.keys import NONCE_BYTES, Keyring
from rrbackup.pure.model import RepositoryId
from rrbackup.pure.salt_record import INTERACTIVE, MODERATE, Cost, Kdf, read_record, seal_record

NAME = "salt_file"
REPOSITORY = RepositoryId("r0")
SALT = bytes(range(16))
OLD, NEW = "old pässword", "new pässword"


def cheap(password: str, kdf: Kdf) -> bytes:
    """The real thing, at the least cost that it takes."""
    return derive(password, Kdf(Cost(1, 8192), kdf.salt))


def create(client: MemoryClient, password: str = OLD, repository: RepositoryId = REPOSITORY) -> Keyring:
    return create_keyring(client, NAME, password, new_keyring(repository), derive=cheap)


def change(client: MemoryClient, old: str = OLD, new: str = NEW) -> PasswordChanged:
    return change_password(client, NAME, old, lambda: new, derive=cheap)


def opened(client: MemoryClient, password: str) -> Keyring | None:
    """The keys, or None where the password is wrong."""
    try:
        return open_keyring(client, NAME, password, derive=cheap)
    except WrongPassword:
        return None


# --- key derivation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "cost"),
    [
        ("pässword", MODERATE),
        ("pässword", INTERACTIVE),
        ("x" * 200, Cost(3, 8192 + 1023)),
        ("", Cost(3, 100_000)),
    ],
)
def test_keys_are_derived_as_libsodium_does(password: str, cost: Cost) -> None:
    theirs = argon2i.kdf(32, password.encode(), SALT, opslimit=cost.passes, memlimit=cost.memory)
    assert derive(password, Kdf(cost, SALT)) == theirs


def test_the_named_costs_are_those_of_libsodium() -> None:
    assert Cost(argon2i.OPSLIMIT_INTERACTIVE, argon2i.MEMLIMIT_INTERACTIVE) == INTERACTIVE
    assert Cost(argon2i.OPSLIMIT_MODERATE, argon2i.MEMLIMIT_MODERATE) == MODERATE


def test_a_password_that_is_no_text_is_refused_without_showing_it() -> None:
    with pytest.raises(UsageError) as caught:
        derive("secret\udcff", Kdf(INTERACTIVE, SALT))
    assert "secret" not in f"{caught.value!r} {caught.value.hint}"


def test_a_derivation_that_cannot_be_done_is_an_error_of_ours() -> None:
    with pytest.raises(RRBackupError, match="the key cannot be derived"):
        derive("x", Kdf(Cost(1, 1024), SALT))


def test_with_nothing_made_cheap() -> None:
    store = MemoryStore()
    made = create_keyring(store, NAME, OLD, new_keyring(REPOSITORY), cost=INTERACTIVE)
    change_password(store, NAME, OLD, lambda: NEW, cost=INTERACTIVE)
    assert open_keyring(store, NAME, NEW) == made


# --- making and opening ------------------------------------------------------------------------------------------


def test_keys_that_were_made_open_with_the_password_only() -> None:
    store = MemoryStore()
    made = create(store)
    assert made.repository == REPOSITORY
    assert opened(store, OLD) == made
    assert opened(store, NEW) is None


def test_every_repository_has_keys_of_its_own() -> None:
    assert create(MemoryStore()).master != create(MemoryStore()).master


def test_opening_takes_one_request_and_making_four() -> None:
    store = MemoryStore()
    create(store)
    assert [call.method for call in store.calls] == ["get", "list_versions", "put", "get"]
    store.reset_calls()
    opened(store, OLD)
    assert [call.method for call in store.calls] == ["get"]


def test_keys_that_are_there_are_not_made_again() -> None:
    store = MemoryStore()
    made = create(store)
    assert create(store, repository=RepositoryId("another")) == made
    with pytest.raises(WrongPassword):
        create(store, password=NEW)


def test_no_salt_object() -> None:
    with pytest.raises(ObjectMissing, match=NAME):
        open_keyring(MemoryStore(), NAME, OLD, derive=cheap)


def test_a_deleted_salt_object_is_not_replaced_by_new_keys() -> None:
    store = MemoryStore()
    create(store)
    (version,) = [listed.version_id for listed in list_exact(store, NAME)]
    store.mark_deleted(NAME)
    with pytest.raises(DamagedObject, match="was deleted") as caught:
        create(store)
    assert version in caught.value.hint


def test_the_salt_of_version_1_is_neither_opened_nor_replaced() -> None:
    store = MemoryStore()
    store.put(NAME, b"0123456789abcdef" * 2)
    for attempt in (create, change, lambda client: open_keyring(client, NAME, OLD)):
        with pytest.raises(UnsupportedFormat, match=r"1\.0"):
            attempt(store)
    assert len(list(list_exact(store, NAME))) == 1


@pytest.mark.parametrize("cost", [Cost(3, 32 << 20), Cost(4, 16 << 20)])
def test_a_cost_that_is_too_low_is_refused_before_anything_is_asked(cost: Cost) -> None:
    store = MemoryStore()
    with pytest.raises(UsageError, match="out of bounds"):
        create_keyring(store, NAME, OLD, new_keyring(REPOSITORY), cost=cost)
    with pytest.raises(UsageError, match="out of bounds"):
        change_password(store, NAME, OLD, lambda: NEW, cost=cost)
    assert store.calls == ()


@pytest.mark.parametrize("password", [OLD, NEW], ids=["same password", "other password"])
def test_two_clients_that_begin_at_once_end_with_the_keys_of_one(password: str) -> None:
    store = MemoryStore()
    winners: list[Keyring] = []

    def overtaken(text: str, kdf: Kdf) -> bytes:
        if not winners:  # after the loser looked, before it writes
            winners.append(create(store.client(), password, RepositoryId("winner")))
        return cheap(text, kdf)

    def slow_create() -> Keyring:
        return create_keyring(store.client(), NAME, OLD, new_keyring(REPOSITORY), derive=overtaken)

    if password == OLD:
        assert slow_create() == winners[0]
    else:
        with pytest.raises(WrongPassword):
            slow_create()
    assert opened(store, password) == winners[0]
    assert len(list(list_exact(store, NAME))) == 1


# --- changing the password ---------------------------------------------------------------------------------------


def test_the_new_password_opens_the_same_keys_and_the_old_one_nothing() -> None:
    store = MemoryStore()
    made = create(store)
    change(store)
    assert (opened(store, NEW), opened(store, OLD)) == (made, None)
    change(store, NEW, OLD)
    assert (opened(store, NEW), opened(store, OLD)) == (None, made)


def test_the_key_of_version_1_goes_along() -> None:
    store, kdf = MemoryStore(), Kdf(MODERATE, SALT)
    keyring = Keyring(REPOSITORY, bytes(32), b"1" * 32)
    store.put(NAME, seal_record(keyring, kdf, cheap(OLD, kdf), (bytes(24), bytes(24))))
    change(store)
    found = opened(store, NEW)
    assert found is not None
    assert found.format1 == b"1" * 32


def test_salt_and_nonces_are_drawn_again() -> None:
    store = MemoryStore()
    create(store)
    change(store, OLD, OLD)
    second, first = (read_record(store.get(NAME, row.version_id).body, NAME) for row in list_exact(store, NAME))
    assert first.kdf.salt != second.kdf.salt
    assert first.master[:NONCE_BYTES] != second.master[:NONCE_BYTES]


def test_what_remains_is_said() -> None:
    store = MemoryStore()
    create(store)
    change(store)
    changed = change(store, NEW, OLD)
    rows = list(list_exact(store, NAME))
    assert changed.version_id == rows[0].version_id
    assert changed.replaced == tuple(row.ref for row in rows[1:])
    assert len(changed.replaced) == 2
    store.delete_versions(changed.replaced)
    assert opened(store, OLD) is not None


def test_a_wrong_old_password_changes_nothing() -> None:
    store = MemoryStore()
    made = create(store)
    with pytest.raises(WrongPassword):
        change(store, "guess", NEW)
    assert opened(store, OLD) == made


def test_another_client_that_changes_it_meanwhile_wins() -> None:
    store, numbers = MemoryStore(), count()
    made = create(store)

    def overtaken(text: str, kdf: Kdf) -> bytes:
        if next(numbers) == 1:  # when the new key is derived
            change(store.client(), OLD, "theirs")
        return cheap(text, kdf)

    with pytest.raises(TransactionLost, match="another client changed salt_file"):
        change_password(store.client(), NAME, OLD, lambda: NEW, derive=overtaken)
    assert (opened(store, "theirs"), opened(store, NEW), opened(store, OLD)) == (made, None, None)


def test_another_client_that_deletes_it_meanwhile_is_told() -> None:
    store, numbers = MemoryStore(), count()
    create(store)

    def overtaken(text: str, kdf: Kdf) -> bytes:
        if next(numbers) == 1:
            store.mark_deleted(NAME)
        return cheap(text, kdf)

    with pytest.raises(TransactionLost, match="deleted"):
        change_password(store.client(), NAME, OLD, lambda: NEW, derive=overtaken)


# --- faults at every request -------------------------------------------------------------------------------------

FAULTS = [(at, kind) for at in (1, 2, 3) for kind in FaultKind]
"""Both take three requests where nothing goes wrong: get, list, put."""


def struck(client: MemoryClient, work: Callable[[MemoryClient], object]) -> bool:
    """Whether `work` ended as if nothing had happened."""
    try:
        work(client)
    except (SimulatedCrash, RRBackupError):
        return False
    return True


@pytest.mark.parametrize(("at", "kind"), FAULTS)
def test_a_fault_while_changing_leaves_exactly_one_password_valid(at: int, kind: FaultKind) -> None:
    store = MemoryStore()
    made = create(store)
    client = store.client(faults=[Fault(at, kind)])
    done = struck(client, change)
    found = [opened(store, OLD), opened(store, NEW)]
    assert sorted(found, key=bool) == [None, made]
    assert done <= (found[1] == made)
    assert len(list(list_exact(store, NAME))) == (1 if found[0] else 2)
    if at == 3 and not client.crashed:
        assert done, "a lost answer is no failure"


@pytest.mark.parametrize(("at", "kind"), FAULTS)
def test_a_fault_while_making_leaves_no_keys_or_one_set_for_good(at: int, kind: FaultKind) -> None:
    store = MemoryStore()
    client = store.client(faults=[Fault(at, kind)])
    made: list[Keyring] = []
    done = struck(client, lambda it: made.append(create(it)))
    final = create(store, repository=RepositoryId("next"))
    assert made == ([final] if done else [])
    assert len(list(list_exact(store, NAME))) == 1
    if at == 3 and not client.crashed:
        assert done, "a lost answer is no failure"


def test_answers_that_keep_being_lost_are_an_unknown_outcome() -> None:
    store = MemoryStore()
    lost = [Fault(at, FaultKind.NOT_SENT) for at in (3, 5, 7)]  # the puts between the looks
    with pytest.raises(OutcomeUnknown, match=NAME):
        create(store.client(faults=lost))
    create(store)
    with pytest.raises(OutcomeUnknown, match=NAME):
        change(store.client(faults=lost))
    assert opened(store, OLD) is not None


def test_the_number_of_attempts_is_bounded() -> None:
    store = MemoryStore()
    client = store.client(faults=[Fault(at, FaultKind.NOT_SENT) for at in range(3, 100, 2)])
    with pytest.raises(OutcomeUnknown):
        create(client)
    assert len(client.calls) == 8
