"""The keys of one client, opened when they are first needed, and kept.

The rule decided here: nothing is asked for, fetched or derived twice, and a password is checked before it is used. That
there are no keys yet holds for one command only, and is looked at again before anybody is accused. What
rrbackup 1.0 encrypted opens with the key that its own header describes, or with the one that was kept in the salt
object when the repository was continued.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from threading import RLock

from rrbackup.effects import keys
from rrbackup.effects.keys import Derive, derive
from rrbackup.effects.store import Store, list_exact
from rrbackup.effects.workers import workers
from rrbackup.errors import (
    DamagedObject,
    ObjectMissing,
    PasswordMissing,
    RepositoryError,
    UnsupportedFormat,
    WrongPassword,
)
from rrbackup.pure import format1_object
from rrbackup.pure.format1 import upgrade_needed
from rrbackup.pure.format1_object import Pull, read_file
from rrbackup.pure.framing import is_encrypted
from rrbackup.pure.keys import Keyring
from rrbackup.pure.model import ObjectRef, RepositoryId
from rrbackup.pure.salt_record import MODERATE, Cost, Kdf, is_old_salt, read_record
from rrbackup.pure.secretstream import State, init_pull, pull

FindPassword = Callable[[bool], str | None]
"""Gives the password, or None where there is no source of one; True: for new keys, so that a person is asked twice."""

SOURCES = (
    "set crypto.crypt_password_file, crypto.crypt_password_command or crypto.crypt_password in the configuration, or "
    "the environment variable RRBACKUP_PASSWORD"
)

_FAILURES = 5
"""So many objects of 1.0 that do not open, and the password counts as wrong."""
_LOOKS = 16
_HEADER_BYTES = 1 << 12
"""Far more than 1.0 ever wrote before the content of a file."""


class Keychain:
    """Usable from several threads at once. `name` is that of the salt object; `made` tells that keys were made."""

    def __init__(
        self, store: Store, name: str, find_password: FindPassword, cost: Cost = MODERATE, derive: Derive = derive
    ) -> None:
        self._store = store
        self._name = name
        self._find_password = find_password
        self._cost = cost
        self._derive = derive
        self._lock = RLock()
        self._password: str | None = None
        self._keyring: Keyring | None = None
        self.made: str | None = None
        self._looked = False
        self._body: bytes | None = None
        self._derived: dict[format1_object.Kdf, bytes] = {}
        self._proven: dict[format1_object.Kdf, bytes] = {}

    # --- the keys of this version --------------------------------------------------------------------------------

    @property
    def opened(self) -> Keyring | None:
        """The keys, if they have been needed yet."""
        return self._keyring

    def keyring(self) -> Keyring:
        """The keys. Raises WrongPassword, DamagedObject where there are none, UpgradeNeeded for those of 1.0."""
        with self._lock:
            if self.open() is None:
                self.look_again()
            if self.has_old_salt():
                raise upgrade_needed(self._store.describe())
            found = self.open()
        if found is None:
            raise self.missing()
        return found

    def never_made(self) -> bool:
        """Whether there is no trace of a salt object, not even a deleted one."""
        return not any(True for _ in list_exact(self._store, self._name))

    def look_again(self) -> None:
        """Where no keys were found, another client may have made some since."""
        with self._lock:
            self._looked = self._keyring is not None

    def open(self) -> Keyring | None:
        """The keys; None where there is no salt object, or only that of rrbackup 1.0. Raises WrongPassword."""
        with self._lock:
            if self._keyring is None and (body := self._salt()) is not None and not is_old_salt(body):
                self._keyring = keys.open_salt(body, self._where, self.password(), self._derive)
            return self._keyring

    def create(self, repository: Callable[[], RepositoryId]) -> Keyring:
        """The keys, made for `repository` where there are none. Raises UpgradeNeeded where 1.0 has left a salt."""
        with self._lock:
            if self.has_old_salt():
                raise upgrade_needed(self._store.describe())
            if self.open() is None:
                self._keyring = self._created(repository())
            return self.keyring()

    def _created(self, repository: RepositoryId) -> Keyring:
        password, name = self.password(new=True), self._name
        fresh = keys.new_keyring(repository, self.old_key())
        keyring = keys.create_keyring(self._store, name, password, fresh, cost=self._cost, derive=self._derive)
        self.made = f"made keys in {self._where}; if the password is lost, so is what they encrypt"
        return keyring

    def password(self, *, new: bool = False) -> str:
        """Raises PasswordMissing, and what the source of the password raises."""
        with self._lock:
            if self._password is None:
                self._password = self._find_password(new)
            if self._password is None:
                raise PasswordMissing(f"{self._store.describe()} needs the password, and none was given", hint=SOURCES)
            return self._password

    def forget(self) -> None:
        """The salt object or the password has changed: look again when keys are next needed."""
        with self._lock:
            self._password = self._keyring = None
            self._looked = False

    def _salt(self) -> bytes | None:
        with self._lock:
            if not self._looked:
                found = keys.current_salt(self._store, self._name)
                self._body, self._looked = found.body if found else None, True
            return self._body

    def _had_keys(self) -> bool:
        """Whether any version of the salt object holds keys of this version."""
        versions = [version.version_id for version in list_exact(self._store, self._name) if not version.marker]
        return any(not is_old_salt(self._store.get(self._name, version_id).body) for version_id in versions)

    def _replaced(self) -> RepositoryError:
        return DamagedObject(
            f"{self._where} holds a bare salt, as of rrbackup 1.0, above keys of this version: somebody put it there",
            hint="nothing is lost: repair lists the versions of it, and repair --salt ID goes back to one",
        )

    def missing(self) -> RepositoryError:
        """The error for a repository that has encrypted something, and has no salt object."""
        return DamagedObject(
            f"{self._where} is missing, and nothing that is encrypted opens without it",
            hint="if it was deleted, its versions may lie under a delete marker: repair lists them; if it has another "
            "name, write that into remote_password_salt_file",
        )

    @property
    def _where(self) -> str:
        return keys.described(self._store, self._name)

    # --- the keys of rrbackup 1.0 --------------------------------------------------------------------------------

    def unlock_old(self, kdf: format1_object.Kdf, stream_header: bytes) -> Pull:
        """Open a stream of rrbackup 1.0. Where nothing has opened with that key yet, the password may be wrong."""
        state: State | None = None

        def next_chunk(chunk: bytes, associated: bytes) -> tuple[bytes, int]:
            nonlocal state
            if state is None:
                message, tag, state = self._first_chunk(kdf, stream_header, chunk, associated)
            else:
                message, tag, state = pull(state, chunk, associated)
            return message, tag

        return next_chunk

    def _first_chunk(
        self, kdf: format1_object.Kdf, stream_header: bytes, chunk: bytes, associated: bytes
    ) -> tuple[bytes, int, State]:
        for key in self._old_keys(kdf):
            with suppress(DamagedObject):
                opened = pull(init_pull(key, stream_header), chunk, associated)
                self._proven[kdf] = key
                return opened
        raise self._does_not_open(kdf)

    def _old_keys(self, kdf: format1_object.Kdf) -> Iterator[bytes]:
        """What may open a stream, likeliest first: the key that was kept may be that of another salt."""
        with self._lock:
            if kdf in self._proven:
                yield self._proven[kdf]
                return
            kept = self.open()
            if kept is not None and kept.format1 is not None:
                yield kept.format1
            yield self._derived_old(kdf)

    def _derived_old(self, kdf: format1_object.Kdf) -> bytes:
        if kdf not in self._derived:
            same = Kdf(Cost(kdf.passes, kdf.memory), kdf.salt)
            self._derived[kdf] = self._derive(self.password(), same)
        return self._derived[kdf]

    def _does_not_open(self, kdf: format1_object.Kdf) -> RepositoryError:
        if kdf in self._proven or (self._keyring is not None and self._keyring.format1 is not None):
            return DamagedObject("its first chunk was changed")
        return WrongPassword(
            f"the password does not open what rrbackup 1.0 encrypted in {self._store.describe()}",
            hint="if it is the right one, what was read first is damaged",
        )

    def prove_old(self, refs: Sequence[ObjectRef]) -> None:
        """Look for encrypted file objects of 1.0 until one opens. Raises WrongPassword where several do not."""
        failures: list[WrongPassword] = []
        for ref in self._encrypted_old(refs):
            try:
                self._open_beginning(ref)
            except PasswordMissing:
                raise
            except WrongPassword as error:
                failures.append(error)
            except (RepositoryError, ObjectMissing):
                continue
            if self._proven or len(failures) == _FAILURES:
                break
        if failures and not self._proven:
            raise failures[0]

    def _encrypted_old(self, refs: Sequence[ObjectRef]) -> Iterator[ObjectRef]:
        with workers(_LOOKS) as pool:
            for start in range(0, len(refs), _LOOKS):
                batch = refs[start : start + _LOOKS]
                found = list(pool.map(self._is_encrypted_old, batch))
                yield from (ref for ref, encrypted in zip(batch, found, strict=True) if encrypted)

    def _is_encrypted_old(self, ref: ObjectRef) -> bool:
        try:
            with self._store.read(ref.key, ref.version_id, 0, _HEADER_BYTES) as blocks:
                return is_encrypted(b"".join(blocks))
        except ObjectMissing:
            return False

    def _open_beginning(self, ref: ObjectRef) -> None:
        with self._store.read(ref.key, ref.version_id) as blocks:
            next(read_file(blocks, self.unlock_old, ref.key), b"")

    def old_key(self) -> bytes | None:
        """The key that has opened something that 1.0 encrypted. Raises UnsupportedFormat where there are several."""
        proven = set(self._proven.values())
        if len(proven) > 1:
            raise UnsupportedFormat(
                f"rrbackup 1.0 used {len(proven)} different keys in {self._store.describe()}",
                hint="it can be read, but not continued: begin a new repository",
            )
        return next(iter(proven), None)

    def has_old_salt(self) -> bool:
        """Whether the salt object is that of 1.0. Raises DamagedObject where that was put in place of newer keys."""
        with self._lock:
            if not self._is_bare():
                return False
            if not self._had_keys():
                return True
            self.look_again()  # they may be newer than the salt that was seen
            if self._is_bare():
                raise self._replaced()
            return False

    def has_none(self) -> bool:
        """Whether there is no salt object, as far as was looked."""
        with self._lock:
            return self._keyring is None and self._salt() is None

    def _is_bare(self) -> bool:
        return self._keyring is None and (body := self._salt()) is not None and is_old_salt(body)

    def keeps_old_key(self) -> bool:
        """Whether the salt object says, without the password, that it keeps a key of what 1.0 encrypted.

        True also for one that cannot be read: opening it says why.
        """
        if (body := self._salt()) is None or is_old_salt(body):
            return False
        try:
            return read_record(body, self._where).format1 is not None
        except (DamagedObject, UnsupportedFormat):
            return True

    def upgrade(self, repository: RepositoryId) -> Keyring:
        """Make keys in place of the salt of 1.0, and keep with them the key that opened what 1.0 encrypted."""
        with self._lock:
            fresh = keys.new_keyring(repository, self.old_key())
            self._keyring = keys.upgrade_keyring(
                self._store, self._name, self.password(), fresh, cost=self._cost, derive=self._derive
            )
            return self._keyring
