"""The keys of a repository in its store: opening them with the password, making them, changing the password.

The rule decided here: one conditional write makes or replaces the salt object. A lost answer or a refusal is no
failure: the object is read back, and what lies there decides. So two clients that begin at once end with the keys
of one of them, and a password is either changed or it is not.
"""

import secrets
from collections.abc import Callable
from contextlib import suppress

from argon2.exceptions import HashingError
from argon2.low_level import Type, hash_secret_raw
from attrs import frozen

from rrbackup.effects.single_writer import SingleWriter
from rrbackup.effects.store import Fetched, IfAbsent, IfMatch, Store, Stored, list_exact
from rrbackup.errors import (
    ConditionFailed,
    DamagedObject,
    ObjectMissing,
    OutcomeUnknown,
    RRBackupError,
    StoreError,
    TransactionLost,
    UnsupportedFormat,
    UsageError,
)
from rrbackup.pure.keys import KEY_BYTES, NONCE_BYTES, Keyring
from rrbackup.pure.model import RepositoryId, VersionId, VersionRef
from rrbackup.pure.salt_record import (
    GO_BACK,
    MODERATE,
    SALT_BYTES,
    Cost,
    Kdf,
    check_cost,
    is_old_salt,
    open_record,
    read_record,
    seal_record,
)

_ARGON2_VERSION = 0x13
_LANES = 1
_ATTEMPTS = 3

Derive = Callable[[str, Kdf], bytes]
"""Password and parameters → key-encryption key."""


def derive(password: str, kdf: Kdf) -> bytes:
    """The 32-byte key-encryption key: Argon2i 1.3 with one lane, as libsodium computes it.

    Raises UsageError for a password that is not Unicode text, RRBackupError where memory does not suffice.
    """
    try:
        return hash_secret_raw(
            secret=_encoded(password),
            salt=kdf.salt,
            time_cost=kdf.cost.passes,
            memory_cost=kdf.cost.memory // 1024,
            parallelism=_LANES,
            hash_len=KEY_BYTES,
            type=Type.I,
            version=_ARGON2_VERSION,
        )
    except HashingError as error:
        raise RRBackupError(
            f"the key cannot be derived: {error}", hint=f"it takes {kdf.cost.memory} bytes of memory"
        ) from None


def _encoded(password: str) -> bytes:
    with suppress(UnicodeEncodeError):  # left before an error is raised: it quotes the password
        return password.encode("utf-8")
    raise UsageError("the password is not valid Unicode text", hint="Give it in UTF-8.")


# --- opening -----------------------------------------------------------------------------------------------------


def open_keyring(store: Store, name: str, password: str, *, derive: Derive = derive) -> Keyring:
    """The keys in the salt object `name`: one request.

    Raises WrongPassword, DamagedObject, UnsupportedFormat (also for the salt of rrbackup 1.0), and ObjectMissing where
    there is no salt object.
    """
    return open_salt(store.get(name).body, described(store, name), password, derive)


def open_salt(body: bytes, where: str, password: str, derive: Derive = derive) -> Keyring:
    """The keys in a salt object that has been read; `where` names it. Raises like `open_keyring`."""
    try:
        record = read_record(body, where)
    except DamagedObject as error:
        raise DamagedObject(error.message, hint=error.hint or GO_BACK) from None
    except UnsupportedFormat as error:
        raise UnsupportedFormat(
            error.message, hint=f"{error.hint}; if somebody replaced the object, {GO_BACK}"
        ) from None
    return open_record(record, derive(password, record.kdf), where)


def described(store: Store, name: str) -> str:
    """The salt object, for messages."""
    return f"{name} in {store.describe()}"


# --- making ------------------------------------------------------------------------------------------------------


def create_keyring(
    store: Store,
    name: str,
    password: str,
    fresh: Keyring,
    *,
    cost: Cost = MODERATE,
    derive: Derive = derive,
    entropy: Callable[[int], bytes] = secrets.token_bytes,
) -> Keyring:
    """The keys in the salt object `name`: `fresh`, unless there are some already.

    Another client may have made them meanwhile: the answer then has that client's repository id. Raises like
    `open_keyring`, UsageError for a cost out of bounds, OutcomeUnknown where answers keep being lost, and DamagedObject
    where somebody deleted the salt object: new keys would open nothing of what was stored.
    """
    check_cost(cost)
    if (found := current_salt(store, name)) is not None:
        return open_salt(found.body, described(store, name), password, derive)
    if was_deleted(store, name) and (found := current_salt(store, name)) is not None:
        return open_salt(found.body, described(store, name), password, derive)  # made between the two looks
    body = _sealed(fresh, password, cost, derive, entropy)
    put_salt(store, name, body, IfAbsent())
    # read once more: a store that ignores conditions lets two clients win, and the last one counts
    lying = store.get(name).body
    return fresh if lying == body else open_salt(lying, described(store, name), password, derive)


def _sealed(keyring: Keyring, password: str, cost: Cost, derive: Derive, entropy: Callable[[int], bytes]) -> bytes:
    kdf = Kdf(cost, entropy(SALT_BYTES))
    return seal_record(keyring, kdf, derive(password, kdf), (entropy(NONCE_BYTES), entropy(NONCE_BYTES)))


def was_deleted(store: Store, name: str) -> bool:
    """Whether the salt object was made after all. Raises DamagedObject where versions lie under a delete marker."""
    listed = list(list_exact(store, name))
    older = [version.version_id for version in listed if not version.marker]
    if older and len(older) < len(listed):
        raise DamagedObject(
            f"{described(store, name)} was deleted; versions of it lie under the delete marker: {len(older)}",
            hint=f"nothing stored opens with other keys: go back with repair --salt {older[0]}",
        )
    return bool(older)


def new_keyring(
    repository: RepositoryId, format1: bytes | None = None, entropy: Callable[[int], bytes] = secrets.token_bytes
) -> Keyring:
    """A master key that was never used; `format1` is kept with it."""
    return Keyring(repository, entropy(KEY_BYTES), format1)


def upgrade_keyring(
    store: Store,
    name: str,
    password: str,
    fresh: Keyring,
    *,
    cost: Cost = MODERATE,
    derive: Derive = derive,
    entropy: Callable[[int], bytes] = secrets.token_bytes,
) -> Keyring:
    """Replace the bare salt of rrbackup 1.0 by `fresh`, which holds the key of what 1.0 encrypted.

    Another client may have done it meanwhile: the answer then has that client's keys. Raises as `create_keyring`.
    """
    check_cost(cost)
    before = store.get(name)
    if not is_old_salt(before.body):
        return open_salt(before.body, described(store, name), password, derive)
    body = _sealed(fresh, password, cost, derive, entropy)
    lying = put_salt(store, name, body, IfMatch(before.info.etag))
    return fresh if lying.body == body else open_salt(lying.body, described(store, name), password, derive)


# --- changing the password ---------------------------------------------------------------------------------------


@frozen
class PasswordChanged:
    """`replaced` are the versions of the salt object that still open with earlier passwords."""

    version_id: VersionId
    replaced: tuple[VersionRef, ...]


def change_password(
    store: Store,
    name: str,
    old: str,
    new: Callable[[], str],
    *,
    cost: Cost = MODERATE,
    derive: Derive = derive,
    entropy: Callable[[int], bytes] = secrets.token_bytes,
) -> PasswordChanged:
    """Wrap the same keys under a new password and salt, by one conditional write.

    `new` is asked for once the old one has proved to be right.

    Raises like `open_keyring` (WrongPassword for `old`), UsageError for a cost out of bounds, TransactionLost where
    another client changed the object meanwhile, and OutcomeUnknown where answers keep being lost.
    """
    check_cost(cost)
    before = store.get(name)
    keyring = open_salt(before.body, described(store, name), old, derive)
    # listed before the write: nothing that can fail stands between the change and its report
    replaced = tuple(listed.ref for listed in list_exact(store, name) if not listed.marker)
    body = _sealed(keyring, new(), cost, derive, entropy)
    lying = put_salt(store, name, body, IfMatch(before.info.etag))
    if lying.body != body:
        raise TransactionLost(
            f"another client changed {described(store, name)} at the same time: its password is the valid one"
        )
    return PasswordChanged(lying.version_id, replaced)


# --- the conditional write ---------------------------------------------------------------------------------------


@frozen
class _Lying:
    """What lies at a key."""

    version_id: VersionId
    body: bytes


def put_salt(store: Store, name: str, body: bytes, condition: IfAbsent | IfMatch) -> _Lying:
    """Write, and say what lies there now: `body`, or what another client put there.

    Sending it again is safe: at most one sending meets the condition.
    """
    for _ in range(_ATTEMPTS):
        try:
            return _Lying(_sent(store, name, body, condition).version_id, body)
        except (ConditionFailed, OutcomeUnknown):
            found = current_salt(store, name)
        if not _still_meets(found, condition):
            return _settled(found, described(store, name))
    raise OutcomeUnknown(
        f"{described(store, name)} was not written, or may be written yet",
        hint="run again; if the password was to be changed, try the old one and then the new one",
    )


def _sent(store: Store, name: str, body: bytes, condition: IfAbsent | IfMatch) -> Stored:
    try:
        return store.put(name, body, condition=condition, size_hint=len(body))
    except StoreError as refusal:
        # the bare class is what a store says that does not know the headers (see `probe`)
        if type(refusal) is not StoreError:
            raise
        return SingleWriter(store).put(name, body, condition=condition, size_hint=len(body))


def _still_meets(found: Fetched | None, condition: IfAbsent | IfMatch) -> bool:
    if isinstance(condition, IfMatch):
        return found is not None and found.info.etag == condition.etag
    return found is None


def _settled(found: Fetched | None, where: str) -> _Lying:
    if found is None:
        raise TransactionLost(f"{where} was deleted by another client meanwhile")
    return _Lying(found.info.version_id, found.body)


def current_salt(store: Store, name: str) -> Fetched | None:
    """What lies at the salt object now."""
    try:
        return store.get(name)
    except ObjectMissing:
        return None
