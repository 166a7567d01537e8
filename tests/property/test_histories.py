"""Random histories: several clients side by side, edits, faults, deaths, take-overs and collections.

The model is a plain dictionary of path → content for every commit. After every step the judge looks at the store, and
in the end every commit is read back with the real reading code and compared with the model.
"""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rrbackup.effects.control import Control, ObjectNames
from rrbackup.effects.memory import FaultKind
from rrbackup.pure.chain import commits
from rrbackup.pure.manifest import fold_links
from rrbackup.pure.model import LocalManifest, Mode
from rrbackup.pure.steps import DeleteVersions, Publish, Upload, WriteClaim
from tests.property import judge
from tests.property.phases import Backup, CleanList, Collect, Disk, End, Goal, Profile
from tests.property.protocol import Client
from tests.property.stores import SearchStore
from tests.property.trees import Tree

NAMES = ("ann", "bob", "cid")
names = st.sampled_from(NAMES)
contents = st.sampled_from([b"1", b"2", b"22", b"333"])
trees = st.dictionaries(st.sampled_from(["/a", "/a/b", "/ab", "/c"]), contents, min_size=1, max_size=3)
goals = st.sampled_from(["backup", "backup", "backup", "collect", "clean"])


WRITES = (WriteClaim, Upload, Publish, DeleteVersions)


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = SearchStore()
        self.trees: dict[str, Tree] = {}
        self.modes: dict[str, Mode] = {}
        self.clients: dict[str, Client] = {}
        self.wanted: dict[str, Tree] = {}

    @initialize(writers=st.sets(names, max_size=1), files=trees)
    def begin(self, writers: set[str], files: dict[str, bytes]) -> None:
        self.modes = {name: Mode.WRITE_ONLY if name in writers else Mode.READ_WRITE for name in NAMES}
        self.trees = dict.fromkeys(NAMES, tuple(sorted(files.items())))

    # --- what may happen ---------------------------------------------------------------------------------------

    @rule(name=names, files=trees)
    def edit(self, name: str, files: dict[str, bytes]) -> None:
        self.trees[name] = tuple(sorted(files.items()))

    @rule(name=names, goal=goals, take_over=st.booleans(), forgetful=st.sampled_from([False] * 5 + [True]))
    def start(self, name: str, goal: str, take_over: bool, forgetful: bool) -> None:
        """A new run; one that is under way dies. A forgetful client has lost its local files."""
        last = self.clients.get(name)
        disk = Disk() if last is None or forgetful else last.disk
        number = last.number + 1 if last else 1
        wish = self._goal(name, goal)
        if isinstance(wish, Backup):
            self.wanted[f"{name}.{number}"] = wish.tree
        self.clients[name] = Client(Profile(name, wish, take_over, self.modes[name]), self.store, disk, number)

    def _goal(self, name: str, goal: str) -> Goal:
        if goal == "backup" or self.modes[name] is Mode.WRITE_ONLY:
            return Backup(self.trees[name])
        return Collect() if goal == "collect" else CleanList()

    @precondition(lambda self: self._running())
    @rule(data=st.data(), steps=st.integers(1, 6))
    def go_on(self, data: st.DataObject, steps: int) -> None:
        client = data.draw(st.sampled_from(self._running()))
        for _ in range(steps):
            if client.end is None:
                client.step()

    @precondition(lambda self: self._running())
    @rule(data=st.data(), kind=st.sampled_from(FaultKind), at=st.sampled_from(WRITES))
    def is_struck(self, data: st.DataObject, kind: FaultKind, at: type) -> None:
        """A client goes on to its next effect of that type, which is struck; if none comes, it ends."""
        client = data.draw(st.sampled_from(self._running()))
        while client.end is None and not isinstance(client.next_effect(), at):
            client.step()
        if client.end is None:
            client.strike(kind).step()

    @precondition(lambda self: self._running())
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self._running())).run()

    def _running(self) -> list[Client]:
        return [self.clients[name] for name in sorted(self.clients) if self.clients[name].end is None]

    # --- what must hold ----------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_violated(self) -> None:
        assert judge.violations(judge.contents(self.store), self.wanted) == []

    @invariant()
    def whoever_may_not_delete_does_not(self) -> None:
        for client in self.clients.values():
            if client.profile.mode is Mode.WRITE_ONLY:
                assert [call for call in client.requests.calls if call.method == "delete_versions"] == []

    def teardown(self) -> None:
        """Everybody finishes; then peace, and a full collection leaves no leak."""
        for client in self._running():
            client.run()
        collector = Client(Profile("collector", Collect(), take_over=True), self.store).run()
        assert collector.end is End.COLLECTED
        found = judge.contents(self.store)
        assert judge.violations(found, self.wanted) + judge.unrest(found) == []
        assert judge.leaks(found) == set()
        self._read_every_commit()

    def _read_every_commit(self) -> None:
        links = Control(self.store, ObjectNames()).read_chain(0)
        for link in commits(links):
            upto = [other for other in links if other.diff.sequence <= link.diff.sequence]
            entries = [item.entry for item in fold_links(LocalManifest(None), upto).entries]
            objects = {entry.path: entry.object for entry in entries}
            read = {
                path: self.store.get(ref.key, ref.version_id).body for path, ref in objects.items() if ref is not None
            }
            assert read == dict(self.wanted[link.diff.transaction.rpartition(".")[0]])


def _run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_random_histories_of_three_clients_keep_every_invariant() -> None:
    _run(150, 30)


@pytest.mark.deep
@pytest.mark.timeout(3600)
def test_many_long_random_histories_of_three_clients_keep_every_invariant() -> None:
    _run(3000, 80)
