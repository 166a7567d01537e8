"""The verbs that copy the history into another repository."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import evolve

from rrbackup.config import Config
from rrbackup.effects import copying, settling
from rrbackup.effects.client import Client
from rrbackup.effects.copying import Found, History
from rrbackup.effects.settling import Permissions
from rrbackup.errors import UsageError
from rrbackup.events import OnEvent, ignore_event
from rrbackup.pure.copying import CopyPlan, CopyResult
from rrbackup.pure.model import HeadRef
from rrbackup.verbs.opened import Opened


class Copying(Opened):
    """A second place for the backup.

    The target is a repository of its own: its configuration says where it is, how contents are stored and under which
    password. It has to be empty, or an earlier copy of this repository, on top of which nobody has backed up; then it
    gets what it lacks. This repository is only read.
    """

    def plan_copy(
        self, to: "Opened | Config", *, last: int | None = None, on_event: OnEvent = ignore_event
    ) -> CopyPlan:
        """What `copy` would do now. Writes nothing."""
        with self._target(to, last) as other:
            client = other._client
            on_event = self._telling(on_event)
            client.local.forget()
            look = self._looker(client, last, on_event)
            return copying.plan(client, look(settling.observe_head(client)))

    def copy(
        self,
        to: "Opened | Config",
        on_event: OnEvent | None = None,
        *,
        last: int | None = None,
        take_over: bool = False,
    ) -> CopyResult:
        """Copy every commit that the target lacks, oldest first, each with the time and the host that it has here.

        `last` lets an empty target begin with so many newest commits. Each content is read, checked and stored once.
        Whatever ends the copy early, what was copied is whole, and the next run goes on. Raises UsageError for a target
        that holds something else, ModeError, ConfigError, DamagedObject and the like for what cannot be read here, and
        what a backup of the target raises.
        """
        tell = self._telling(on_event or ignore_event)
        with self._target(to, last) as other:
            other._refuse_unless_deleting("copy into a repository")
            with other._writing():
                look = self._looker(other._client, last, tell)
                may = Permissions(take_over, continues=True)
                return copying.copy(self._client, other._client, look, may, tell)

    @contextmanager
    def _target(self, target: "Opened | Config", last: int | None) -> Iterator[Opened]:
        self._refuse_write_only()
        if last is not None and last < 1:
            raise UsageError(f"the last {last} commits are none", hint="the number of commits must be at least 1")
        if isinstance(target, Config):
            given = evolve(self._given, ask=None, credentials=None)  # both are for this repository
            with Opened(target, given.store_of(target), given) as opened:
                yield opened
        else:
            yield target

    def _looker(self, client: Client, last: int | None, tell: OnEvent) -> Callable[[HeadRef | None], Found]:
        """Looks at the target, with a given head, for what it lacks."""
        copying.check_local_files(self._client, client)
        history = History.of(self._reach(tell))
        return lambda head: copying.look_at(client, head, history, last, tell)
