"""The front: open a repository, then ask it for plans, backups, versions, files and downloads.

    with rrbackup.open_repository(config) as repository:
        result = repository.backup()

Nothing is printed and nothing global is touched; progress comes as events (`rrbackup.events`), results as frozen
values, failures as `rrbackup.errors`. A repository is used by one thread at a time; several can be open at once.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from rrbackup.config import Config
from rrbackup.effects import committing, planning, settling
from rrbackup.effects.checkpoints import Asked, read_commit, read_reach, read_to_head
from rrbackup.effects.client import Client
from rrbackup.effects.download import Restorer
from rrbackup.effects.head_repair import HeadRepaired, ManifestState, manifest_state, read_below, repair_head
from rrbackup.effects.keys import PasswordChanged
from rrbackup.effects.local_files import LocalLock
from rrbackup.effects.opening import Ask, store_of
from rrbackup.effects.planning import Wanted
from rrbackup.effects.recovery_kit import store_kit
from rrbackup.effects.restore import Target
from rrbackup.effects.salt_versions import SaltVersion, restore_salt, salt_versions
from rrbackup.effects.settling import Permissions
from rrbackup.effects.store import Store, list_exact
from rrbackup.effects.survey import pointing_to_repair
from rrbackup.errors import DamagedChain, ModeError, RRBackupError, StoreWentBack, UsageError
from rrbackup.events import DownloadPlanned, Notice, OnEvent, ignore_event
from rrbackup.pure import chain
from rrbackup.pure.filters import Filters
from rrbackup.pure.model import NOT_RECORDED, Change, Entry, EntryType, Link, Mode, VersionId, VersionRef
from rrbackup.pure.names import is_file_key
from rrbackup.pure.plan import BackupPlan
from rrbackup.pure.report import BackupResult, CollectResult, DownloadResult, Listing, Version, backup_result
from rrbackup.pure.soundness import amiss
from rrbackup.pure.stretch import Stretch

__all__ = ["DEFAULT_THREADS", "Repository", "open_repository"]

DEFAULT_THREADS = 16


class Repository:
    """A repository as one client sees it. Made by `open_repository`."""

    def __init__(self, config: Config, store: Store, threads: int, ask: Ask | None) -> None:
        self.config = config
        self._client = Client(config, store, threads, ask)
        self._threads = threads

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release local files. Nothing in the store needs closing."""
        self._client.local.close()

    # --- writing -----------------------------------------------------------------------------------------------

    def prepare(self) -> tuple[str, ...]:
        """Make the store ready and try what it can do; says in sentences what was done.

        Creates the folder of a directory store, switches a bucket's versioning on, and makes the keys that the
        pipelines need. Raises StoreMissing for a bucket that does not exist.
        """
        self._refuse_read_only("prepare a store")
        with self._writing():
            done = self._client.store.prepare()
            rest = settling.settle(self._client, Permissions(), ignore_event)
            settling.try_store(self._client, rest.claim)
            return (*done, *self._remarks())

    def _remarks(self) -> Iterator[str]:
        if self._client.control.single_writer:
            yield settling.SINGLE_WRITER
        if self._client.keys.made is not None:
            yield self._client.keys.made

    def store_recovery_kit(self) -> tuple[str, ...]:
        """Put a script that restores without rrbackup, and the description of the format, into the store.

        They lie below `RECOVER/`. Gives the keys that were written; none where the same is there already.
        """
        self._refuse_read_only("store the recovery kit")
        with self._writing():
            self._client.refuse_old()
            return store_kit(self._client.store)

    def plan_backup(
        self, *, allow_empty: bool = False, reprocess: bool = False, on_event: OnEvent = ignore_event
    ) -> BackupPlan:
        """What a backup would do now. Reads the tree and the store, writes nothing."""
        client = self._client
        client.local.forget()
        head = settling.observe_head(client)
        manifest = planning.manifest_at(client, head, on_event)
        return planning.plan_backup(client, manifest, Wanted(allow_empty, reprocess), on_event)

    def backup(
        self,
        plan: BackupPlan | None = None,
        on_event: OnEvent | None = None,
        *,
        allow_empty: bool = False,
        reprocess: bool = False,
        take_over: bool = False,
        upgrade: bool = False,
    ) -> BackupResult:
        """Commit what has changed, or run `plan`. Ends what an interrupted run of this client left open first.

        `allow_empty` permits an empty base path to empty the manifest; `reprocess` stores files again that are stored
        with less than `file_pipeline` asks for; `take_over` ends another client's open transaction; `upgrade`
        continues a repository of rrbackup 1.0. Raises SourceError, StoreError, RepositoryError, Busy: then nothing was
        published, or the answer to the last requests after publishing was lost.
        """
        self._refuse_read_only("back up")
        tell = on_event or ignore_event
        client = self._client
        with self._writing():
            rest = settling.settle_or_create(client, Permissions(take_over, upgrade, continues=True), tell)
            with committing.held_meanwhile(client, rest) as still:
                manifest = planning.manifest_at(client, rest.head, tell)
                plan = plan or planning.plan_backup(client, manifest, Wanted(allow_empty, reprocess), tell)
            done = committing.commit_plan(client, plan, still(), manifest, tell)
            return backup_result(done.link, plan.unchanged, done.results, plan.problems)

    def collect_garbage(
        self, *, take_over: bool = False, upgrade: bool = False, on_event: OnEvent = ignore_event
    ) -> CollectResult:
        """Delete every version below the files that no commit refers to. Other clients' backups fail meanwhile."""
        with self._writing():
            rest = self._settled_for_deletion(Permissions(take_over, upgrade), on_event)
            return self._collected(rest, None, on_event)

    def clean_garbage_list(
        self, *, take_over: bool = False, upgrade: bool = False, on_event: OnEvent = ignore_event
    ) -> CollectResult:
        """Delete what clients that may not delete wrote into the garbage list, as far as no commit refers to it."""
        with self._writing():
            rest = self._settled_for_deletion(Permissions(take_over, upgrade), on_event)
            listed, _ = self._client.control.read_garbage()
            files = frozenset(ref for ref in listed if is_file_key(self.config.remote_base_path, ref.key))
            result = self._collected(rest, files, on_event) if files else CollectResult()
            self._client.control.forget_garbage(frozenset(listed) - files)
            return result

    def _collected(self, rest: settling.Rest, only: frozenset[VersionRef] | None, on_event: OnEvent) -> CollectResult:
        """Raises for a chain that is not sound: nothing is to be built on it."""
        read_to_head(self._client.control, lambda why: on_event(Notice(why)))
        return CollectResult(committing.collect(self._client, rest, only))

    def _settled_for_deletion(self, may: Permissions, on_event: OnEvent) -> settling.Rest:
        self._refuse_unless_deleting("collect garbage")
        return settling.settle(self._client, may, on_event)

    def _refuse_unless_deleting(self, what: str) -> None:
        if self.config.mode is not Mode.READ_WRITE:
            raise ModeError(
                f"this client is {self.config.mode.value}: it may not delete versions",
                hint=f"{what} with a client that may both read and write",
            )

    # --- passwords ---------------------------------------------------------------------------------------------

    def change_password(self, new: str | Callable[[], str]) -> PasswordChanged:
        """Wrap the keys under another password; nothing is uploaded again.

        A function is called for `new` once the old password has proved to be right. The configuration keeps the old
        one: change it there, and open the repository anew. Raises WrongPassword, PasswordMissing, UpgradeNeeded,
        UsageError where there are no keys or the new password is empty, Busy.
        """
        self._refuse_read_only("change the password")
        if not new:
            raise UsageError("the new password is empty")
        with self._writing():
            return self._client.change_password(new if callable(new) else lambda: new)

    def salt_versions(self) -> tuple[SaltVersion, ...]:
        """The versions of the salt object, newest first, and which of them the password opens."""
        client = self._client
        if not any(not version.marker for version in list_exact(client.store, self.config.remote_password_salt_file)):
            return ()  # nobody is asked for a password that there is none of
        return salt_versions(client.store, self.config.remote_password_salt_file, client.keys.password())

    def repair_salt(self, version: str) -> VersionId:
        """Put an earlier version of the salt object on top, if the password opens it; the id of the new version.

        The way back after somebody put a forged one there. Raises WrongPassword, DamagedObject, NoSuchVersion, Busy.
        """
        self._refuse_read_only("repair the salt object")
        client = self._client
        with self._writing():
            salt = self.config.remote_password_salt_file
            restored = restore_salt(client.store, salt, VersionId(version), client.keys.password())
            client.keys.forget()
            return restored

    # --- the manifest object -----------------------------------------------------------------------------------

    def manifest_state(self) -> ManifestState:
        """Which versions of the manifest object are sound, and which lie there that somebody forged or damaged.

        Reads all of them. Raises like `versions` for what is no damage (password, rights), and StoreWentBack.
        """
        self._client.check_password()
        return manifest_state(self._client)

    def repair_head(self, version: str) -> HeadRepaired:
        """Let the chain go on from a sound version of the manifest object, named by its id or the beginning of it.

        The way back after somebody forged, garbled or deleted that object, or to an earlier commit. Nothing is deleted.
        Raises ModeError for a client that may not delete, NoSuchVersion, DamagedChain for a version that is not sound,
        TransactionLost where another client wrote meanwhile (nothing was changed then), Busy.
        """
        self._refuse_unless_deleting("repair the manifest object")
        with self._writing():
            self._client.check_password()
            return repair_head(self._client, version)

    def _refuse_read_only(self, what: str) -> None:
        if self.config.mode is Mode.READ_ONLY:
            raise ModeError(f"this client is read-only: it may not {what}", hint="unset read_only to write")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with LocalLock(self.config.lock_path()):
            self._client.local.forget()
            try:
                with pointing_to_repair(lambda error: isinstance(error, DamagedChain | StoreWentBack)):
                    yield
            finally:
                self._client.local.close()

    # --- reading -----------------------------------------------------------------------------------------------

    def versions(self, on_event: OnEvent = ignore_event) -> tuple[Version, ...]:
        """All commits, newest last. Where a diff is lost, those from the next checkpoint on, and a notice of the loss.

        `manifest_state` tells more. Raises DamagedObject, DamagedChain and the like where nothing makes up for it.
        """
        client = self._client
        client.check_password()
        seen = client.local.last_seen()  # before the chain: another process may go on meanwhile
        reach = read_reach(client.control)
        reach.check_remembered(seen, str(client.local.manifest_path))
        if reach.broken is not None:
            first = reach.links[-1]
            whole = f"the commits from number {first.diff.sequence} ({first.version_id}) on are whole"
            on_event(Notice(f"{reach.broken.message}; {whole}, those before are lost"))
        return tuple(Version.of(link) for link in reversed(chain.commits(reach.links)))

    def files(self, version: str = "latest", on_event: OnEvent = ignore_event) -> Listing[Entry]:
        """The entries of one commit, in path order. Raises NoSuchVersion."""
        link, entries = self._manifest(version, on_event)
        return Listing(Version.of(link), entries)

    def changes(self, version: str = "latest", on_event: OnEvent = ignore_event) -> Listing[Change]:
        """What one commit changed, in path order. Raises NoSuchVersion."""
        link, _ = self._stretch(version, on_event)
        return Listing(Version.of(link), link.diff.changes)

    def download(
        self,
        version: str,
        target: str | os.PathLike[str],
        ignore: Iterable[str] = (),
        on_event: OnEvent = ignore_event,
    ) -> DownloadResult:
        """Write one commit's entries below `target`, leaving out what `ignore` (filters) covers.

        Existing files are replaced, others left alone; every file is checked before it takes its place. What fails
        is a problem of that file. Raises NoSuchVersion, SourceError for the target, StoreError, ModeError, and before
        anything is written WrongPassword.
        """
        if self.config.mode is Mode.WRITE_ONLY:
            raise ModeError(
                "this client is write-only: it may not read file contents",
                hint="download with a client that may read",
            )
        link, entries = self._manifest(version, on_event)
        left_out = Filters.of(ignore)
        wanted = [entry for entry in entries if not left_out.covers(entry.path)]
        self._client.unlock_for_reading([entry.object for entry in wanted if entry.object is not None])
        on_event(_announcement(wanted))
        with Target(Path(target)) as folder:
            restorer = Restorer(self._client.store, self._client.keys, folder, on_event, self._threads)
            problems = restorer.restore(wanted)
        failed = {problem.path for problem in problems}
        written = [entry for entry in wanted if entry.path not in failed]
        return DownloadResult(link.version_id, len(written), restorer.bytes_written, problems)

    def _stretch(self, version: str, on_event: OnEvent) -> tuple[Link, Stretch]:
        client = self._client
        client.check_password()
        asked = Asked(version, client.local.last_seen(), str(client.local.manifest_path))
        try:
            return read_commit(client.control, asked, lambda why: on_event(Notice(why)))
        except RRBackupError as error:
            if not amiss(error):
                raise
            return read_below(client, version, error, on_event)

    def _manifest(self, version: str, on_event: OnEvent) -> tuple[Link, tuple[Entry, ...]]:
        link, stretch = self._stretch(version, on_event)
        return link, tuple(item.entry for item in stretch.manifest().entries)


def _announcement(entries: Sequence[Entry]) -> DownloadPlanned:
    sizes = [entry.size for entry in entries if entry.type is EntryType.FILE]
    return DownloadPlanned(len(sizes), sum(size for size in sizes if size != NOT_RECORDED))


def open_repository(
    config: Config, *, store: Store | None = None, threads: int = DEFAULT_THREADS, ask: Ask | None = None
) -> Repository:
    """The repository that `config` names; no request is made yet.

    `store` replaces the one that the configuration names. `threads` bounds how many objects move at once. `ask` is
    called for the password where it is needed and neither the configuration nor the environment (RRBACKUP_PASSWORD)
    has one; its argument says whether it will be a new one, so that a person should be asked twice.
    """
    return Repository(config, store or store_of(config, threads), threads, ask)
