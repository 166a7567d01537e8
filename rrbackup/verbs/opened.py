"""What all verbs stand on: the opened repository, its lock, and which client may do what."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import sleep
from types import TracebackType
from typing import Self

from attrs import frozen

from rrbackup.config import Config
from rrbackup.effects.cancelling import CancellableStore, Cancellation
from rrbackup.effects.checkpoints import Asked, Reach, read_commit, read_reach
from rrbackup.effects.client import Client
from rrbackup.effects.credentials import Provider
from rrbackup.effects.head_repair import read_below
from rrbackup.effects.limited import UNLIMITED, Limits
from rrbackup.effects.local_files import LocalLock
from rrbackup.effects.opening import Ask, store_of
from rrbackup.effects.points_in_time import named_by
from rrbackup.effects.store import Store
from rrbackup.effects.survey import pointing_to_repair
from rrbackup.errors import DamagedChain, ModeError, RRBackupError, StoreWentBack
from rrbackup.events import Notice, OnEvent
from rrbackup.pure.model import Entry, Link, Mode
from rrbackup.pure.soundness import amiss
from rrbackup.pure.stretch import Stretch


@frozen
class Given:
    """What a program says beside the configuration when it opens a repository."""

    threads: int | None
    ask: Ask | None = None
    limits: Limits = UNLIMITED
    credentials: Provider | None = None
    cancellation: Cancellation | None = None

    def store_of(self, config: Config) -> Store:
        wait = self.cancellation.wait if self.cancellation is not None else sleep
        return store_of(config, self.threads, self.credentials, wait)


class Opened:
    """A repository as one client sees it, without its verbs."""

    def __init__(self, config: Config, store: Store, given: Given) -> None:
        self.config = config
        self._given = given
        self._threads = given.threads
        cancellation = given.cancellation
        if cancellation is None:
            self._client = Client(config, store, given.threads, given.ask, given.limits)
        else:
            cancellable = CancellableStore(store, cancellation)
            self._client = Client(config, cancellable, given.threads, given.ask, given.limits, cancellation.wait)

    def _telling(self, on_event: OnEvent) -> OnEvent:
        """For work that sends no request for long: cancelled with the next event."""
        cancellation = self._given.cancellation
        return on_event if cancellation is None else cancellation.telling(on_event)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release local files. Nothing in the store needs closing."""
        self._client.local.close()

    # --- who may -----------------------------------------------------------------------------------------------

    def _refuse_unless_deleting(self, what: str) -> None:
        if not self.config.mode.deletes:
            raise ModeError(
                f"this client is {self.config.mode.value}: it may not delete versions",
                hint=f"{what} with a client that may both read and write",
            )

    def _refuse_read_only(self, what: str) -> None:
        if self.config.mode is Mode.READ_ONLY:
            raise ModeError(f"this client is read-only: it may not {what}", hint="unset read_only to write")

    def _refuse_write_only(self) -> None:
        if self.config.mode is Mode.WRITE_ONLY:
            raise ModeError(
                "this client is write-only: it may not read file contents",
                hint="download with a client that may read",
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with LocalLock(self.config.lock_path()):
            self._client.local.forget()
            try:
                with pointing_to_repair(lambda error: isinstance(error, DamagedChain | StoreWentBack)):
                    yield
            finally:
                self._client.local.close()

    # --- reading a commit --------------------------------------------------------------------------------------

    def _stretch(self, version: str, on_event: OnEvent) -> tuple[Link, Stretch]:
        client = self._client
        asked = self._asked(version)
        try:
            return read_commit(client.control, asked, lambda why: on_event(Notice(why)))
        except RRBackupError as error:
            if not amiss(error):
                raise
            return read_below(client, asked.version, error, on_event)

    def _asked(self, version: str) -> Asked:
        """Raises UsageError for a time that is none, and WrongPassword."""
        named, client = named_by(version), self._client
        client.check_password()
        return Asked(named, client.local.last_seen(), str(client.local.manifest_path))

    def _manifest(self, version: str, on_event: OnEvent) -> tuple[Link, tuple[Entry, ...]]:
        link, stretch = self._stretch(version, on_event)
        return link, tuple(item.entry for item in stretch.manifest().entries)

    def _reach(self, on_event: OnEvent) -> Reach:
        """The whole chain. Where a diff is lost, from the next checkpoint on, and a notice of the loss."""
        client = self._client
        client.check_password()
        seen = client.local.last_seen()  # before the chain: another process may go on meanwhile
        reach = read_reach(client.control)
        reach.check_remembered(seen, str(client.local.manifest_path))
        if reach.broken is not None:
            first = reach.links[-1]
            whole = f"the commits from number {first.diff.sequence} ({first.version_id}) on are whole"
            on_event(Notice(f"{reach.broken.message}; {whole}, those before are lost"))
        return reach
