"""One client of one repository: its configuration, its store, its local files, and what it draws from the world.

Clock, entropy and host name enter the core here, as values.
"""

import os
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

from rrbackup.config import Config
from rrbackup.effects import keys
from rrbackup.effects.control import Control
from rrbackup.effects.fetching import Fetcher
from rrbackup.effects.keychain import Keychain
from rrbackup.effects.keys import PasswordChanged
from rrbackup.effects.limited import UNLIMITED, LimitedContents, Limits
from rrbackup.effects.local_state import LocalState
from rrbackup.effects.opening import Ask, cost_of, find_password_of, names_of
from rrbackup.effects.passwords import ENVIRONMENT
from rrbackup.effects.renewing import RENEW_SECONDS
from rrbackup.effects.runner import NoTransfer, Transfer, World
from rrbackup.effects.store import ContentStore, Store
from rrbackup.errors import ModeError, ObjectMissing, UsageError
from rrbackup.pure import format1
from rrbackup.pure.chain import old_objects, refers_to_encrypted
from rrbackup.pure.claims import Patience, Signature
from rrbackup.pure.framing import Framing
from rrbackup.pure.keys import NONCE_BYTES
from rrbackup.pure.model import HeadRef, Mode, ObjectRef, RepositoryId, TransactionId, Word

_SECOND = 1_000_000_000
_BEGINNINGS = 1_000
"""So many objects of rrbackup 1.0 are looked into for one that is encrypted."""
_OWN_HOST_NS = 15 * 60 * _SECOND
"""So long a claim of this host may go without renewal: its process would have had nothing between itself and us."""


class Client:
    """Used by one thread at a time."""

    def __init__(
        self,
        config: Config,
        store: Store,
        threads: int | None,
        ask: Ask | None = None,
        limits: Limits = UNLIMITED,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.config = config
        self._upload, self._download = limits.meters(wait)
        salt = config.remote_password_salt_file
        self._can_ask = ask is not None
        self.keys = Keychain(store, salt, find_password_of(config, ask), cost_of(config))
        self.local = LocalState(config.manifest_path(), config.journal_path(), config.remote_base_path)
        self.control = Control(
            store,
            names_of(config),
            self._framing(),
            self.keys.unlock_old,
            str(self.local.manifest_path),
            lambda: self.keys.opened is not None,
            self.keys.never_made,
        )
        self.threads = threads

    def _framing(self) -> Framing:
        nonce = partial(secrets.token_bytes, NONCE_BYTES)
        return Framing(self.config.meta_pipeline, self.config.compress_level, self.keys.keyring, nonce)

    @property
    def store(self) -> Store:
        return self.control.store

    @property
    def content_store(self) -> ContentStore:
        """The store as far as contents are concerned, no faster than the limits."""
        if self._upload is None and self._download is None:
            return self.store
        return LimitedContents(self.store, self._upload, self._download)

    def fetcher(self) -> Fetcher:
        """What gives the contents of entries, for one operation."""
        return Fetcher(self.content_store, self.keys)

    @property
    def deletes(self) -> bool:
        """Whether this client deletes versions, or only writes them down as garbage."""
        return self.config.mode.deletes

    def world(self, transfer: Transfer | None = None) -> World:
        return World(
            self.control,
            self.config.mode,
            self.local.note_transaction,
            self.local.note_discarded,
            transfer or NoTransfer(),
            RENEW_SECONDS,
        )

    def patience(self) -> Patience:
        others = self.config.takeover_after * _SECOND
        return Patience(min(_OWN_HOST_NS, others), others)

    def signature(self) -> Signature:
        """A new transaction of this client."""
        return Signature(TransactionId(secrets.token_hex(16)), socket.gethostname(), time.time_ns())

    def repository_of(self, head: HeadRef | None) -> RepositoryId:
        """The id that a diff on top of `head` bears. Where there is no diff yet, keys may have been made for one."""
        if head is not None:
            return head.repository
        opened = self.keys.opened
        return opened.repository if opened is not None else RepositoryId(secrets.token_hex(16))

    # --- keys --------------------------------------------------------------------------------------------------

    @property
    def looks_for_keys(self) -> bool:
        """Whether a backup begins with a look at the salt object."""
        return bool(self._words_with_keys) or self._has_password

    @property
    def _words_with_keys(self) -> frozenset[Word]:
        return self.config.words_used & {Word.ENCRYPT, Word.HASH_NAMES}

    def check_password(self) -> None:
        """Raise WrongPassword before anything else is tried. No request for those who have given no password."""
        if self._has_password:
            self.keys.look_again()
            self.keys.open()

    def unlock(self, *, create: bool, upgrade: bool = False) -> None:
        """Open the keys that the pipelines need; `create` makes them where there are none.

        A client without a password hashes names without a key, but only in a repository that has none. Raises
        PasswordMissing, WrongPassword, or UpgradeNeeded where 1.0 wrote here and `upgrade` does not permit to go on.
        """
        used = self._words_with_keys
        if not used:
            self.check_password()
            return
        self.keys.look_again()
        if self.keys.open() is None and (Word.ENCRYPT in used or self._has_password):
            if create:
                self.keys.create(lambda: self._repository_for_keys(upgrade))
            else:
                self._check_for_keys()

    def require_password(self, *, ask: bool) -> None:
        """Raise PasswordMissing where the pipelines encrypt and no password is to be had."""
        if Word.ENCRYPT in self.config.words_used and (ask or self._has_password or not self._can_ask):
            self.keys.password(new=True)

    def _check_for_keys(self) -> None:
        """What would stop the making of keys, as far as it can be told without making any."""
        keys.was_deleted(self.store, self.config.remote_password_salt_file)
        self.require_password(ask=False)

    def unlock_for_reading(self, refs: Sequence[ObjectRef]) -> None:
        """Open the keys that these objects need. Raises WrongPassword, PasswordMissing.

        Without a key of rrbackup 1.0 beside the newer ones, nothing that it stored needs a password.
        """
        if any(Word.ENCRYPT in ref.applied for ref in refs):
            self.keys.keyring()
        old = [ref for ref in refs if ref.format == format1.FORMAT]
        if old and self.keys.keeps_old_key():
            self.keys.open()
        elif old and self.keys.old_key() is None and self.keys.has_old_salt():
            self.keys.prove_old(old[:_BEGINNINGS])

    def refuse_old(self) -> None:
        """Raise UpgradeNeeded where rrbackup 1.0 wrote last."""
        head = self.control.read_head(self.local.known_head())
        if head is not None and head.format == format1.FORMAT:
            raise format1.upgrade_needed(self.store.describe())

    def change_password(self, new: Callable[[], str]) -> PasswordChanged:
        """Raises UpgradeNeeded for the salt of rrbackup 1.0, UsageError where there are no keys."""
        self.keys.look_again()  # a repository may be open for long
        if self.keys.has_old_salt():
            raise format1.upgrade_needed(self.store.describe())
        salt, cost = self.config.remote_password_salt_file, cost_of(self.config)
        if self.keys.has_none():  # then nobody is asked for a password
            raise self._no_keys(salt)
        try:
            changed = keys.change_password(self.store, salt, self.keys.password(), new, cost=cost)
        except ObjectMissing:
            raise self._no_keys(salt) from None
        self.keys.forget()
        return changed

    def _no_keys(self, salt: str) -> UsageError:
        """Raises DamagedObject where the salt object was deleted."""
        keys.was_deleted(self.store, salt)
        return UsageError("this repository has no keys: nothing in it is encrypted under a password")

    def _repository_for_keys(self, upgrade: bool) -> RepositoryId:
        """The repository that new keys are made for. Whatever was encrypted before would never open with them."""
        links = self.control.read_chain(0)
        if links and links[0].format == format1.FORMAT and not upgrade:
            raise format1.upgrade_needed(self.store.describe())
        if any(link.format != format1.FORMAT and refers_to_encrypted(link.diff) for link in links):
            return self.keys.keyring().repository  # another client has made them meanwhile, or they are missing
        if self.keys.old_key() is None:
            self.prove_old(list(islice(old_objects(links), _BEGINNINGS)))
        return self.repository_of(links[0].head if links else None)

    def prove_old(self, refs: Sequence[ObjectRef]) -> None:
        """Like `Keychain.prove_old`. Raises ModeError where a file would have to be read and may not be."""
        if refs and self.config.mode is Mode.WRITE_ONLY:
            raise ModeError(
                "this client is write-only: it may not read the file that would prove the password",
                hint="upgrade with a client that may read",
            )
        self.keys.prove_old(refs)

    @property
    def _has_password(self) -> bool:
        return self.config.names_password or ENVIRONMENT in os.environ
