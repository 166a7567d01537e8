"""The verbs that write commits and delete garbage."""

from collections.abc import Iterator

from rrbackup.effects import committing, planning, settling
from rrbackup.effects.checkpoints import read_to_head
from rrbackup.effects.estimating import traffic_of
from rrbackup.effects.planning import Wanted
from rrbackup.effects.recovery_kit import store_kit
from rrbackup.effects.settling import Permissions
from rrbackup.events import Notice, OnEvent, ignore_event
from rrbackup.pure.model import VersionRef
from rrbackup.pure.names import is_file_key
from rrbackup.pure.plan import BackupPlan
from rrbackup.pure.prices import Cost, Traffic, cost_of
from rrbackup.pure.report import BackupResult, CollectResult, backup_result
from rrbackup.verbs.opened import Opened


class Backups(Opened):
    """Preparing a store, backing up to it, and removing what no commit refers to."""

    def init(self, *, recovery_kit: bool = False) -> tuple[str, ...]:
        """Like `prepare`; with `recovery_kit`, `store_recovery_kit` as well. No configuration is written."""
        done = self.prepare()
        kit = self.store_recovery_kit() if recovery_kit else ()
        return (*done, *(f"wrote {key} into the store" for key in kit))

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
        client, on_event = self._client, self._telling(on_event)
        client.local.forget()
        head = settling.observe_head(client)
        manifest = planning.manifest_at(client, head, on_event)
        return planning.plan_backup(client, manifest, Wanted(allow_empty, reprocess), on_event)

    def backup_traffic(self, plan: BackupPlan) -> Traffic:
        """The requests that running the plan takes at most: what turns out to be known already is not sent."""
        return traffic_of(self._client, plan)

    def backup_cost(self, plan: BackupPlan) -> Cost | None:
        """What they cost at Amazon's list price; None where the store is no S3. Uploading itself is free."""
        s3 = self.config.s3
        return cost_of(self.backup_traffic(plan), s3.storage_class) if s3 is not None else None

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
        tell = self._telling(on_event or ignore_event)
        client = self._client
        with self._writing():
            rest = settling.settle_or_create(client, Permissions(take_over, upgrade, continues=True), tell)
            if plan is not None:
                committing.refuse_stale(plan, rest)
            with committing.held_meanwhile(client, rest) as still:
                manifest = planning.manifest_at(client, rest.head, tell)
                plan = plan or planning.plan_backup(client, manifest, Wanted(allow_empty, reprocess), tell)
            done = committing.commit_plan(client, plan, still(), manifest, tell)
            return backup_result(done.link, plan.unchanged, done.results, plan.problems)

    def garbage_collect(
        self, *, take_over: bool = False, upgrade: bool = False, on_event: OnEvent = ignore_event
    ) -> CollectResult:
        """Delete every version below the files that no commit refers to. Other clients' backups fail meanwhile."""
        with self._writing():
            rest = self._settled_for_deletion(Permissions(take_over, upgrade), on_event)
            return self._collected(rest, None, on_event)

    def clean_gc_log(
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
