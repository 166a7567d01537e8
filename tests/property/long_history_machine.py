"""The rules of the long histories: what clients, disks and the world do, one step after another."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from argon2.low_level import hash_secret_raw
from attrs import evolve
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from rrbackup import Mode
from rrbackup.effects import probe, reading
from rrbackup.effects.memory_faults import Fault, FaultKind
from rrbackup.pure.report import BackupResult
from tests import raw_objects
from tests.format1_repositories import PASSWORD, SALT
from tests.property.conftest import OneByOne
from tests.property.judge import contents
from tests.property.long_history_beginnings import BEGINNINGS
from tests.property.long_history_clients import FILE_RULES, META_RULES, current_host
from tests.property.long_history_disk import CONTENTS, NAMES
from tests.property.long_history_forecast import Call
from tests.property.long_history_play import Play

CLIENTS = ("ann", "bob", "cid")
OTHER_PASSWORD = "anöther password"
EDITS = ("write", "write", "write", "remove", "rename", "copy", "folder", "chmod", "touch", "break")

EXPECTED = (
    *("edit", "empty the base", "backup: done", "backup: nothing to do", "backup: crashed", "backup: unanswered"),
    *("backup: interrupted", "backup again", "run plan: done", "plan: done", "collect: done", "clean: done"),
    *("prepare: done", "change password: done", "upgrade", "reprocess", "take over", "fence", "recovered"),
    *("damage manifest: lost", "damage manifest: cut", "damage manifest: garbled", "damage manifest: older"),
    *("damage journal: lost", "damage journal: cut", "damage journal: garbled", "lock file present", "new disk"),
    *("switch pipelines", "switch mode", "learn the password", "time passes", "session", "newcomer restores"),
    *("versions: done", "files: done", "changes: done", "download: done", "garbage listed", "silently refused"),
    *("ModeError", "LocalLockHeld", "WrongPassword", "PasswordMissing", "ClientAtWork", "StalePlan"),
    *("UpgradeNeeded", "ConfigError", "BasePathEmpty", "NoSuchVersion", "TransactionLost", "UsageError"),
)
"""What must have happened, or the histories prove less than they seem to."""

names = st.sampled_from(CLIENTS)
workers = st.sampled_from([CLIENTS[0], *CLIENTS])
fractions = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
numbers = st.integers(1, 30)
middles = st.integers(5, 20)
"""Requests at which a backup that has something to do has begun, and has not ended."""
sendings = st.sampled_from([4, 5, 6, 7, 8, 15, 16, 17])
"""Where files are sent: in a store that was tried already, and in one that is tried in the same backup."""
edits = st.lists(
    st.tuples(st.sampled_from(EDITS), st.sampled_from(NAMES), st.sampled_from(NAMES), st.sampled_from(list(CONTENTS))),
    min_size=1,
    max_size=3,
)
RARE = frozenset(
    {
        "PasswordMissing",
        "UsageError",
        "garbage listed",
        *(f"damage {name}: {how}" for name in ("manifest", "journal") for how in ("lost", "cut", "garbled", "older")),
    }
)
"""What a short search may miss."""

local_files = st.sampled_from(["manifest", "journal", "journal"])
damages = st.sampled_from([None, None, "lost", "cut", "garbled", "older"])
rarely = st.sampled_from([False, False, False, True])
maybe_edits: st.SearchStrategy[list[Any]] = st.one_of(st.just([]), edits)
modes = st.sampled_from([Mode.READ_WRITE] * 4 + [Mode.NO_DELETE, Mode.WRITE_ONLY, Mode.WRITE_ONLY, Mode.READ_ONLY])
passwords = st.sampled_from([PASSWORD] * 6 + [OTHER_PASSWORD, None])
versions = st.one_of(st.sampled_from(["latest", "latest", "latest~1", "latest~50", "nothing"]), st.integers(0, 30))
backups = st.builds(
    Call,
    st.just("backup"),
    take_over=rarely,
    upgrade=st.booleans(),
    allow_empty=rarely,
    reprocess=rarely,
)
settlings = st.one_of(
    backups,
    backups,
    st.builds(Call, st.sampled_from(["collect", "clean"]), take_over=rarely, upgrade=st.booleans()),
    st.builds(Call, st.just("prepare")),
)


class Nobody:
    """In place of a barrier: nobody is waited for."""

    def __init__(self, parties: int) -> None:
        pass

    def wait(self, seconds: float) -> None:
        pass


@contextmanager
def cheap_world() -> Iterator[None]:
    """Keys that cost hardly anything, disks that need no patience, files that hold still, and one thread at a time."""
    raw, real, derived = raw_objects.derive, hash_secret_raw, {}

    def hashed(**options: Any) -> bytes:
        old = options["salt"] == SALT  # the independent writer of format 1 pays the whole price, once
        if not old:
            return real(**{**options, "time_cost": 3, "memory_cost": 8})
        if options["secret"] not in derived:
            derived[options["secret"]] = real(**options)
        return derived[options["secret"]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rrbackup.effects.keys.hash_secret_raw", hashed)
        patch.setattr(raw_objects, "derive", lambda secret, kdf: raw(secret, {**kdf, "opslimit": 3, "memlimit": 8_192}))
        patch.setattr("rrbackup.effects.client.socket.gethostname", current_host)
        patch.setattr(reading, "is_recent", lambda changed_ns, now_ns: False)
        patch.setattr(probe, "workers", OneByOne)
        patch.setattr(probe, "Barrier", Nobody)
        patch.setattr(os, "fsync", lambda fd: None)
        patch.delenv("RRBACKUP_PASSWORD", raising=False)
        yield


class LongHistories(RuleBasedStateMachine):
    """`counts` is shared by all examples of one run."""

    counts: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="rrbackup-histories-"))
        self.play = Play(self.folder)

    @initialize(
        beginning=st.sampled_from(BEGINNINGS),
        conditional=st.sampled_from([True, True, True, False]),
        settings=st.lists(
            st.tuples(modes, passwords, st.sampled_from(sorted(FILE_RULES)), st.sampled_from(sorted(META_RULES))),
            min_size=len(CLIENTS),
            max_size=len(CLIENTS),
        ),
        sealed=st.booleans(),
    )
    def begin(self, beginning: str, conditional: bool, settings: list[Any], sealed: bool) -> None:
        """The first client may do everything, so that things go on; without others it could be all refusals."""
        play = self.play = Play(self.folder, beginning, conditional=conditional)
        play.counts = self.counts
        for name, (mode, password, files, meta) in zip(CLIENTS, settings, strict=True):
            encrypts = sealed or play.past.encrypted_diffs
            play.actor(name, mode, password, files, "encrypt" if encrypts else meta)
        play.actors[CLIENTS[0]].configure(mode=Mode.READ_WRITE, password=PASSWORD)

    # --- disks ---------------------------------------------------------------------------------------------------

    @rule(name=names, edits=edits)
    def edit(self, name: str, edits: list[tuple[str, str, str, str]]) -> None:
        for edit in edits:
            if self.play.actors[name].edit(*edit):
                self.counts["edit"] += 1

    @rule(name=names, yes=rarely)
    def empty_the_base(self, name: str, yes: bool) -> None:
        if yes and self.play.actors[name].edit("clear"):
            self.counts["empty the base"] += 1

    @rule(
        name=names,
        file=local_files,
        how=st.sampled_from(["lost", "cut", "garbled", "older"]),
        at=fractions,
        byte=st.integers(0, 255),
    )
    def damage(self, name: str, file: str, how: str, at: float, byte: int) -> None:
        file = "manifest" if how == "older" else file
        if self.play.actors[name].damage(file, how, at, byte):
            self.counts[f"damage {file}: {how}"] += 1

    @rule(name=names)
    def a_lock_file_is_present(self, name: str) -> None:
        self.play.actors[name].lock.write_bytes(b"999999\n")
        self.counts["lock file present"] += 1

    @rule(name=names, yes=rarely)
    def a_new_disk(self, name: str, yes: bool) -> None:
        if yes:
            self.play.actors[name].forget_everything()
            self.counts["new disk"] += 1

    # --- configurations and time -----------------------------------------------------------------------------------

    @rule(name=names, files=st.sampled_from(sorted(FILE_RULES)), meta=st.sampled_from([*META_RULES, "both", "both"]))
    def switch_pipelines(self, name: str, files: str, meta: str) -> None:
        self.play.actors[name].configure(files=files, meta=meta)
        self.counts["switch pipelines"] += 1

    @rule(name=names, mode=modes)
    def switch_mode(self, name: str, mode: Mode) -> None:
        self.play.actors[name].configure(mode=mode)
        self.counts["switch mode"] += 1

    @rule(name=names)
    def learn_the_password(self, name: str) -> None:
        self.play.actors[name].configure(password=self.play.judge.password or PASSWORD)
        self.counts["learn the password"] += 1

    @rule(minutes=st.sampled_from([1, 16, 25 * 60]))
    def time_passes(self, minutes: int) -> None:
        self.play.store.clock_ns += minutes * 60 * 10**9
        self.counts["time passes"] += 1

    @rule(name=names)
    def keep_it_open(self, name: str) -> None:
        """A program keeps its repository open from now on."""
        actor = self.play.actors[name]
        actor.session = actor.opened(continued=True)
        self.counts["session"] += 1

    # --- calls that write --------------------------------------------------------------------------------------------

    @rule(name=names, call=backups)
    def back_up(self, name: str, call: Call) -> None:
        self.play.call(self.play.actors[name], call)

    @rule(name=names, call=settlings, locked=st.booleans())
    def settle(self, name: str, call: Call, locked: bool) -> None:
        self.play.call(self.play.actors[name], evolve(call, locked=locked and call.what != "backup"))

    @rule(name=workers, call=settlings, edits=edits, kind=st.sampled_from(FaultKind), at=st.one_of(numbers, middles))
    def is_struck(self, name: str, call: Call, edits: list[Any], kind: FaultKind, at: int) -> None:
        self.edit(name, edits)
        self.play.call(self.play.actors[name], call, faults=[Fault(at, kind)])

    @rule(name=workers, call=backups, edits=edits, at=middles, file=local_files, how=damages, where=fractions)
    def crashes(
        self, name: str, call: Call, edits: list[Any], at: int, file: str, how: str | None, where: float
    ) -> None:
        """There is something to commit, the client dies on the way, and its local files may suffer."""
        self.edit(name, edits)
        self.play.call(self.play.actors[name], call, faults=[Fault(at, FaultKind.BEFORE)])
        if how is not None:
            self.damage(name, file, how, where, 0)

    @rule(
        names=st.permutations(CLIENTS),
        call=settlings,
        at=numbers,
        other=settlings,
        faults=st.lists(st.builds(Fault, numbers, st.sampled_from(FaultKind)), max_size=1),
    )
    def somebody_is_quicker(self, names: list[str], call: Call, at: int, other: Call, faults: list[Fault]) -> None:
        """In the middle of a call another client runs a whole call, or dies in it."""
        play = self.play
        if play.conditional:  # else something outside the store has to keep writers apart
            first, second = (play.actors[name] for name in names[:2])
            play.call(first, call, at=at, interlude=lambda: play.call(second, other, faults=faults))

    @rule(
        names=st.permutations(CLIENTS),
        edits=edits,
        at=sendings,
        other=st.sampled_from(["backup", "clean", "clean"]),
        take_over=st.sampled_from([False, True, True]),
        edits_again=maybe_edits,
    )
    def loses_a_race(
        self, names: list[str], edits: list[Any], at: int, other: str, take_over: bool, edits_again: list[Any]
    ) -> None:
        """One has something to commit, and another begins in the middle: to commit, or only to take over."""
        play = self.play
        for name in names[:2]:
            password = play.judge.password or PASSWORD
            play.actors[name].configure(mode=Mode.READ_WRITE, password=password, meta="both")
        self.edit(names[0], edits)
        self.edit(names[1], edits_again)
        if play.conditional:
            first, second = (play.actors[name] for name in names[:2])
            call = Call(other, take_over=take_over, upgrade=True)
            play.call(first, Call("backup", upgrade=True), at=at, interlude=lambda: play.call(second, call))

    @rule(name=names, call=backups)
    def back_up_twice(self, name: str, call: Call) -> None:
        """Invariant 7."""
        actor = self.play.actors[name]
        if isinstance(self.play.call(actor, call), BackupResult):
            before = contents(self.play.store)
            result = self.play.call(actor, call)
            assert isinstance(result, BackupResult)
            assert (result.version_id, contents(self.play.store)) == (None, before), "7: the second one wrote"
            self.counts["backup again"] += 1

    @rule(name=names, allow_empty=rarely, reprocess=rarely, other=st.sampled_from([None, None, *CLIENTS]))
    def plan_and_run(self, name: str, allow_empty: bool, reprocess: bool, other: str | None) -> None:
        """A dry run, and then what it said; in between, another client may go on."""
        actor = self.play.actors[name]
        self.play.call(actor, Call("plan", allow_empty=allow_empty, reprocess=reprocess))
        if other is not None and other != name:
            self.play.call(self.play.actors[other], Call("backup", upgrade=True))
        self.run_the_plan(name, take_over=False, upgrade=True)

    @rule(name=names, take_over=rarely, upgrade=st.booleans())
    def run_the_plan(self, name: str, take_over: bool, upgrade: bool) -> None:
        actor = self.play.actors[name]
        if actor.dry_run is not None:
            self.play.call(actor, Call("run plan", take_over=take_over, upgrade=upgrade))

    @rule(name=names, new=st.sampled_from(["second", "third", PASSWORD]), struck=st.booleans(), at=st.integers(1, 6))
    def change_password(self, name: str, new: str, struck: bool, at: int) -> None:
        play, actor = self.play, self.play.actors[name]
        faults = [Fault(at, list(FaultKind)[at % len(FaultKind)])] if struck else []
        play.new_passwords = (new,)
        play.call(actor, Call("change password", new_password=new), faults=faults)
        play.new_passwords = ()
        if play.judge.keys is not None and play.judge.password == new:
            actor.configure(password=new)

    # --- calls that read ---------------------------------------------------------------------------------------------

    @rule(name=names, what=st.sampled_from(["versions", "files", "changes", "download", "download"]), version=versions)
    def read(self, name: str, what: str, version: str | int) -> None:
        self.play.call(self.play.actors[name], self.play.reading(what, self._version(version)))

    @rule(name=names, version=versions, other=names, call=settlings, at=numbers)
    def read_while_another_works(self, name: str, version: str | int, other: str, call: Call, at: int) -> None:
        play = self.play
        if other != name and play.conditional:
            reading = play.reading("download", self._version(version))
            second = play.actors[other]
            play.call(play.actors[name], reading, at=at, interlude=lambda: play.call(second, call))

    @rule(version=versions)
    def a_newcomer_restores(self, version: str | int) -> None:
        call = self.play.reading("download", self._version(version))
        if call.exists:
            assert self.play.call(self.play.newcomer(), call) is not None
            self.counts["newcomer restores"] += 1

    def _version(self, version: str | int) -> str:
        ids = list(self.play.commits)
        if isinstance(version, str):
            return version
        return ids[version % len(ids)] if ids else "nothing"

    # --- the end -----------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            if not self.play.broken and self.play.actors:
                self._end()
        finally:
            shutil.rmtree(self.folder)

    def _end(self) -> None:
        """Peace: one client ends what is open and collects, then nothing lies about, and every commit comes back."""
        play = self.play
        last = play.actors[CLIENTS[0]]
        last.configure(mode=Mode.READ_WRITE, password=play.judge.password or PASSWORD, meta="both")
        assert play.call(last, Call("backup", take_over=True, upgrade=True, allow_empty=True)) is not None
        assert play.call(last, Call("collect", upgrade=True)) is not None
        assert play.judge.claim() is None
        for version in play.commits:
            assert play.call(play.newcomer(), play.reading("download", version)) is not None
        self.counts["histories"] += 1
        self.counts["commits"] += len(play.commits)
