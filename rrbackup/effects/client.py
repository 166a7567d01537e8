"""One client of one repository: its configuration, its store, its local files, and what it draws from the world.

Clock, entropy and host name enter the core here, as values.
"""

import secrets
import socket
import time

from rrbackup.config import Config
from rrbackup.effects.control import Control
from rrbackup.effects.local_state import LocalState
from rrbackup.effects.opening import names_of
from rrbackup.effects.runner import NoTransfer, Transfer, World
from rrbackup.effects.store import Store
from rrbackup.pure.claims import Signature
from rrbackup.pure.framing import Framing
from rrbackup.pure.model import HeadRef, Mode, RepositoryId, TransactionId


class Client:
    """Used by one thread at a time."""

    def __init__(self, config: Config, store: Store, threads: int) -> None:
        self.config = config
        self.control = Control(store, names_of(config), Framing(config.meta_pipeline, config.compress_level))
        self.local = LocalState(config.manifest_path(), config.journal_path())
        self.threads = threads

    @property
    def store(self) -> Store:
        return self.control.store

    @property
    def deletes(self) -> bool:
        """Whether this client deletes versions, or only writes them down as garbage."""
        return self.config.mode is Mode.READ_WRITE

    def world(self, transfer: Transfer | None = None) -> World:
        return World(self.control, self.config.mode, self.local.note_transaction, transfer or NoTransfer())

    def signature(self) -> Signature:
        """A new transaction of this client."""
        return Signature(TransactionId(secrets.token_hex(16)), socket.gethostname(), time.time_ns())


def repository_of(head: HeadRef | None) -> RepositoryId:
    """The id that a diff on top of `head` bears: a new one where there is no diff yet."""
    return head.repository if head else RepositoryId(secrets.token_hex(16))
