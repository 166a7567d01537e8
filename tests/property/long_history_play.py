"""One long history: the store, the clients, what was committed; and every call of the front with its checks."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from attrs import define

from rrbackup import Mode, Repository
from rrbackup.effects.keys import PasswordChanged
from rrbackup.effects.memory import MemoryStore
from rrbackup.effects.memory_faults import Fault, FaultKind, SimulatedCrash
from rrbackup.errors import (
    ModeError,
    OutcomeUnknown,
    RRBackupError,
    StalePlan,
    StoreError,
    TransactionLost,
    WrongPassword,
)
from rrbackup.pure.plan import BackupPlan
from rrbackup.pure.report import BackupResult, DownloadResult, Listing
from tests.format1_repositories import PASSWORD
from tests.property.judge import Contents, contents
from tests.property.long_history_beginnings import begun
from tests.property.long_history_checks import (
    check_changes,
    check_files,
    check_link,
    check_reprocessed,
    check_requests,
    check_restored,
    facts_of,
    outcome_of,
)
from tests.property.long_history_clients import Actor, DryRun, OpenSession, WatchedClient, at_work
from tests.property.long_history_disk import PARTS_FROM, Look, Tree, look
from tests.property.long_history_forecast import (
    NO_ANSWER,
    SETTLING,
    SOMEBODY_ELSE,
    Call,
    Forecast,
    forecast,
)
from tests.property.long_history_judge import METADATA, Claim, Judge

SILENCE = (FaultKind.LOST, FaultKind.NOT_SENT)
Result = object
"""What a call gave, None where it failed or died."""


@define
class Attempt:
    """One call, what was known before it, and what came of it.

    `alone`: no other client did anything meanwhile; `overtaken`: one changed the store.
    """

    actor: Actor
    call: Call
    session: OpenSession
    seen: Look
    expected: Forecast
    before: Contents
    claim: Claim | None
    alone: bool
    overtaken: bool = False
    result: Result = None
    error: RRBackupError | None = None

    @property
    def client(self) -> WatchedClient:
        return self.session.client


class Play:
    """`tree` is that of the newest diff, `commits` has that of each commit.

    `may_leak`: orphans may be left that only a full collection finds (design.md, "The rule of deletion"): somebody was
    overtaken in the middle of a call, and something else went wrong as well.
    """

    def __init__(self, folder: Path, beginning: str = "empty", *, conditional: bool = True) -> None:
        self.folder = folder
        self.conditional = conditional
        self.counts: Counter[str] = Counter()
        self.store = MemoryStore(conditional=conditional, multipart_threshold=PARTS_FROM)
        self.past = begun(beginning, self.store)
        self.new_passwords: tuple[str, ...] = ()
        self.actors: dict[str, Actor] = {}
        self.judge = Judge(self.store, self.past, self._passwords)
        self.commits: dict[str, Tree] = dict(self.past.commits)
        self.tree: Tree = next(reversed(list(self.past.commits.values())), {})
        self.may_leak = False
        self.broken = False
        self._depth = 0
        self._newcomers = 0
        self._published: dict[str, str] = {}

    def actor(
        self,
        name: str,
        mode: Mode = Mode.READ_WRITE,
        password: str | None = PASSWORD,
        files: str = "plain",
        meta: str = "plain",
    ) -> Actor:
        folder = self.folder / name
        folder.mkdir()
        made = Actor(name, folder, self.store, mode, password, files, meta)
        self.actors[name] = made
        return made

    def newcomer(self) -> Actor:
        """A machine that has seen nothing of the repository, and may only read."""
        self._newcomers += 1
        made = self.actor(f"new-{self._newcomers}", Mode.READ_ONLY, self.judge.password or PASSWORD)
        del self.actors[made.name]
        return made

    def _passwords(self) -> list[str]:
        given = [actor.password for actor in self.actors.values()]
        return [*(password for password in given if password is not None), *self.new_passwords]

    # --- what may be asked for -----------------------------------------------------------------------------------

    def resolved(self, version: str) -> str | None:
        ids = list(self.commits)
        if version.startswith("latest"):
            back = int(version.removeprefix("latest").removeprefix("~") or 0)
            return ids[-1 - back] if back < len(ids) else None
        return version if version in self.commits else None

    def reading(self, what: str, version: str) -> Call:
        found = self.resolved(version)
        encrypted = found is not None and self._holds_encrypted(found)
        return Call(what, version=version, exists=found is not None or what == "versions", encrypted=encrypted)

    def _holds_encrypted(self, version: str) -> bool:
        if version in self.past.commits:
            return self.past.encrypted_files
        entries = next(link.entries for link in self.judge.links if link.version == version)
        return any("encrypt" in (entry.get("object") or {}).get("applied", ()) for entry in entries.values())

    # --- one call --------------------------------------------------------------------------------------------------

    def call(
        self,
        actor: Actor,
        call: Call,
        *,
        faults: Sequence[Fault] = (),
        at: int = 0,
        interlude: Callable[[], object] | None = None,
    ) -> Result:
        """Run it and check all there is to check; before its request `at`, `interlude` is run."""
        self.broken = True  # until everything has been found right
        attempt = self._attempt(actor, call)
        attempt.client.begin(faults, at, self._meanwhile(attempt, interlude))
        self._run(attempt)
        self._learn()
        self._check(attempt)
        self._look_back(attempt)
        self.broken = False
        return attempt.result

    def _attempt(self, actor: Actor, call: Call) -> Attempt:
        seen = look(actor.disk.base)
        continued = actor.session if self._depth == 0 else None
        self._published.pop(actor.name, None)
        actor.seen = seen if call.what in ("backup", "run plan") else None
        return Attempt(
            actor,
            call,
            continued or actor.opened(),
            seen,
            forecast(self.judge, actor, call, seen),
            contents(self.store),
            self.judge.claim(),
            alone=self._depth == 0,
        )

    def _meanwhile(self, attempt: Attempt, interlude: Callable[[], object] | None) -> Callable[[], None] | None:
        if interlude is None:
            return None

        def run() -> None:
            before = contents(self.store)
            self._learn()
            self._depth += 1
            interlude()
            self._depth -= 1
            attempt.alone = False
            attempt.overtaken = contents(self.store) != before
            self.broken = True

        return run

    def _run(self, attempt: Attempt) -> None:
        with ExitStack() as stack:
            if attempt.call.locked:
                stack.enter_context(attempt.actor.locked())
            stack.enter_context(at_work(attempt.actor.name))
            try:
                attempt.result = self._ask(attempt.actor, attempt.call, attempt.session.repository)
            except RRBackupError as error:
                attempt.error = error
            except SimulatedCrash:
                attempt.actor.session = None

    def _ask(self, actor: Actor, call: Call, repository: Repository) -> Result:
        match call.what:
            case "plan":
                return repository.plan_backup(allow_empty=call.allow_empty, reprocess=call.reprocess)
            case "prepare":
                return repository.prepare()
            case "change password":
                return repository.change_password(call.new_password)
            case "versions":
                return repository.list_versions()
            case "files":
                return repository.list_files(call.version)
            case "changes":
                return repository.list_changes(call.version)
            case "download":
                return repository.download(call.version, actor.target())
            case _:
                return self._transact(actor, call, repository)

    def _transact(self, actor: Actor, call: Call, repository: Repository) -> Result:
        if call.what == "collect":
            return repository.garbage_collect(take_over=call.take_over, upgrade=call.upgrade)
        if call.what == "clean":
            return repository.clean_gc_log(take_over=call.take_over, upgrade=call.upgrade)
        return repository.backup(
            actor.dry_run.plan if call.what == "run plan" and actor.dry_run else None,
            allow_empty=call.allow_empty,
            reprocess=call.reprocess,
            take_over=call.take_over,
            upgrade=call.upgrade,
        )

    # --- checks ------------------------------------------------------------------------------------------------------

    def _learn(self) -> None:
        """Judge what is new in the chain: every commit is that of a backup that runs, and of its disk."""
        for link in self.judge.look():
            if not link.is_commit:
                check_link(link, self.tree)
                self.counts["fence"] += 1
                continue
            author = self.actors[link.record["host"]]
            assert author.seen is not None, f"{author.name} committed, but runs no backup"
            assert author.name not in self._published, f"{author.name} committed twice in one run"
            wanted = author.seen.committed(self.tree)
            check_link(link, wanted, self.tree, author)
            self.tree = self.commits[link.version] = wanted
            self._published[author.name] = link.version

    def _check(self, attempt: Attempt) -> None:
        actor, client, error = attempt.actor, attempt.client, attempt.error
        self.counts[outcome_of(attempt.call.what, client, attempt.result, error)] += 1
        check_requests(actor.mode, attempt.call.what, client.calls)
        if attempt.alone and actor.seals:
            self._check_words(attempt.before)
        if client.crashed:
            return
        expected = self._expected(attempt)
        assert expected.allows(error), f"{attempt.call}: {error!r}, but {expected}"
        if error is not None:
            self._check_failure(attempt, error)
        else:
            self._check_result(attempt)

    def _expected(self, attempt: Attempt) -> Forecast:
        expected, continued = attempt.expected, attempt.session.continued
        if continued:
            expected = expected.softened(WrongPassword, ModeError)  # it may have looked for keys before they changed
        if attempt.overtaken:
            expected = expected.softened(*SOMEBODY_ELSE)
        kinds = {fault.kind for fault in attempt.client.faults} if attempt.client.struck else set()
        if not kinds.isdisjoint(SILENCE):
            expected = expected.softened(*NO_ANSWER)
        if FaultKind.TWICE in kinds:
            expected = expected.softened(OutcomeUnknown)  # an upload in parts that was ended by the first sending
        return expected

    def _check_failure(self, attempt: Attempt, error: RRBackupError) -> None:
        self.counts[type(error).__name__] += 1
        assert error.message
        if attempt.expected.silent:
            assert attempt.client.calls == (), "refused, but only after requests"
            self.counts["silently refused"] += 1
        if not attempt.client.struck or isinstance(error, TransactionLost | StalePlan):
            assert attempt.actor.name not in self._published, f"{error!r}, although it was published"

    def _check_words(self, before: Contents) -> None:
        """Invariant 8 for metadata: who encrypts it encrypts all that it writes."""
        for key in METADATA:
            for version, _ in contents(self.store).get(key, ())[len(before.get(key, ())) :]:
                words = self.judge.words_of((key, version))
                assert words is None or "encrypt" in words, f"8: {key} {version} is not encrypted"

    def _check_result(self, attempt: Attempt) -> None:
        call = attempt.call
        match attempt.result:
            case BackupResult() as result:
                self._check_backup(attempt, result)
            case BackupPlan() as plan:
                self._check_plan(attempt, plan)
            case DownloadResult() as result:
                assert result.problems == ()
                assert not attempt.alone or result.version_id == self.resolved(call.version)
                check_restored(attempt.actor.folder / "restored", self.commits[result.version_id])
            case Listing() as result if call.what == "files":
                assert check_files(result, self.commits) == self.resolved(call.version)
            case Listing() as result:
                assert check_changes(result, self.commits) == self.resolved(call.version)
            case PasswordChanged():
                assert self.judge.password == call.new_password or not attempt.alone
            case tuple() as result if call.what == "versions":
                assert [version.version_id for version in result] == list(self.commits)

    def _check_backup(self, attempt: Attempt, result: BackupResult) -> None:
        seen = attempt.seen
        assert result.version_id == self._published.get(attempt.actor.name)
        assert result.complete is not bool(seen.unread)
        if attempt.alone:
            assert facts_of(seen.committed(self.tree)) == facts_of(self.tree), "it did not commit all there was"
        if attempt.alone and attempt.call.reprocess:
            check_reprocessed(self.judge.entries, attempt.actor, seen.tree)
            self.counts["reprocess"] += 1

    def _check_plan(self, attempt: Attempt, plan: BackupPlan) -> None:
        if plan.empty:
            wanted = attempt.seen.committed(self.tree)
            assert facts_of(wanted) == facts_of(self.tree), "the plan says that nothing has changed"
        attempt.actor.dry_run = DryRun(plan, self.judge.head)

    # --- what a call leaves ----------------------------------------------------------------------------------------

    def _look_back(self, attempt: Attempt) -> None:
        attempt.actor.seen = None
        attempt.actor.remember()
        gave_up = isinstance(attempt.error, StoreError)
        if (attempt.overtaken and gave_up) or (attempt.client.struck and (attempt.overtaken or self._depth)):
            self.may_leak = True
        if attempt.result is not None and attempt.call.what in SETTLING:
            self._settled(attempt)
        if self._depth == 0:
            self._check_orphans()

    def _settled(self, attempt: Attempt) -> None:
        call, claim = attempt.call, attempt.claim
        if call.what == "collect" and attempt.alone and not attempt.client.struck:
            self.may_leak = False
        self.counts["upgrade"] += bool(self.past.commits) and call.upgrade
        self.counts["garbage listed"] += bool(self.judge.garbage())
        if claim is not None:
            self.counts["recovered"] += 1
            self.counts["take over"] += call.take_over and claim.host != attempt.actor.name

    def _check_orphans(self) -> None:
        """Invariant 4: with nobody at work, nothing lies about."""
        if self.judge.claim() is None and not self.may_leak:
            assert self.judge.leaks() == set(), "4: orphans"
            assert self.judge.unfinished_uploads() == [], "4: unfinished uploads"
