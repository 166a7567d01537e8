"""A store in trouble, one kind at a time: what is repeated and how often, what is given up, and what is left behind.

Attempts are counted, time never is: pauses take none here. Also Ctrl-C, and a full disk under the local files.
"""

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field, frozen

import rrbackup
from rrbackup.cli import main
from rrbackup.config import Config, DirectorySettings
from rrbackup.effects import s3_client
from rrbackup.effects.back_off import ATTEMPTS, BackOff
from rrbackup.effects.control import Control, ObjectNames
from rrbackup.effects.directory import DirectoryStore
from rrbackup.effects.directory_marker import open_volume
from rrbackup.effects.directory_upload import Upload
from rrbackup.effects.memory import Fault, FaultKind, MemoryClient, MemoryStore
from rrbackup.effects.renewing import Renewal
from rrbackup.effects.s3 import S3Store
from rrbackup.effects.store import IfAbsent, Stored
from rrbackup.effects.store_rules import MULTIPART_THRESHOLD
from rrbackup.errors import ClientAtWork, ConditionFailed, OutcomeUnknown, StoreUnavailable
from rrbackup.pure import format2, pacing
from rrbackup.pure.claims import Signature, opening, trial
from rrbackup.pure.framing import PLAIN
from rrbackup.pure.model import ProblemKind, SeenClaim, TransactionId
from rrbackup.pure.steps import MustBeAbsent, Wrote
from tests import chaos_proxy, scripted_s3, store_checker
from tests.chaos_clients import COMMAND, look
from tests.chaos_proxy import Fate, Fates, Proxy, Request
from tests.servers import S3Server

BIG = bytes(range(256)) * (33 << 10)
TREE = {"small": b"small", "twin": b"small", "empty": b""}
FAULTS = [
    Fate.CUT_BEFORE,
    Fate.CUT_REQUEST,
    Fate.CUT_ANSWER,
    Fate.CUT_ANSWER_BODY,
    Fate.SLOW_DOWN,
    Fate.INTERNAL_ERROR,
    Fate.ERROR_IN_200,
]
USUAL = {Fate.CUT_ANSWER, Fate.SLOW_DOWN}
"""The others end the same way."""
LIMIT_S = 30
"""A process that has not ended by then has not stopped."""


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "pause", lambda *_: 0.0)
    monkeypatch.setattr(pacing, "FIRST_INTERVAL_S", 0.0)
    monkeypatch.setattr(pacing, "LONGEST_INTERVAL_S", 0.0)


@frozen
class Bench:
    """A client with a tree, behind a proxy."""

    folder: Path
    server: S3Server
    bucket: str
    proxy: Proxy

    @property
    def base(self) -> Path:
        return self.folder / "base"

    def holds(self, tree: dict[str, bytes]) -> "Bench":
        self.base.mkdir(exist_ok=True)
        for name, content in tree.items():
            (self.base / name).write_bytes(content)
        return self

    def config_file(self) -> Path:
        keys = {"access_key": self.server.access_key, "secret_key": self.server.secret_key}
        settings = {
            "base_path": str(self.base),
            "local_manifest_file": str(self.folder / "manifest"),
            "local_lock_file": str(self.folder / "lock"),
            "s3": {"bucket": self.bucket, "endpoint": self.proxy.endpoint, "region": "us-east-1", **keys},
        }
        path = self.folder / "configuration.json"
        path.write_text(json.dumps(settings))
        path.chmod(0o600)
        return path

    def backup(self) -> rrbackup.BackupResult:
        with rrbackup.open_repository(rrbackup.load_config(self.config_file())) as repository:
            return repository.backup()

    def store(self) -> S3Store:
        return S3Store(evolve(self.server.options(self.bucket), endpoint=self.proxy.endpoint))

    def contents(self) -> store_checker.Contents:
        client = self.server.client()
        try:
            return store_checker.from_bucket(client, self.bucket, {})
        finally:
            client.close()

    def open_claim(self) -> str | None:
        return store_checker.open_claim(self.contents())

    def verdict(self) -> store_checker.Verdict:
        return store_checker.judged(self.contents())

    def is_sound(self, *, orphans: bool = False) -> None:
        """The newest commit is what is on disk, and nothing else is stored."""
        contents = self.contents()
        verdict = store_checker.judged(contents)
        assert verdict.problems == ()
        assert store_checker.open_claim(contents) is None
        assert verdict.commits[-1].tree == look(self.base)
        assert orphans or verdict.orphans == set()

    def suffers(self, fates: Fates) -> None:
        """From now on; requests of a kind are counted anew."""
        counts: Counter[str] = Counter()

        def fate(request: Request, _: int) -> Fate:
            counts[request.kind] += 1
            return fates(request, counts[request.kind])

        self.proxy.fates = fate

    def asked(self) -> Counter[str]:
        """How often each request came."""
        return Counter(line.request.kind for line in self.proxy.log.lines)


@pytest.fixture
def bench(moto_server: S3Server, tmp_path: Path) -> Iterator[Bench]:
    with chaos_proxy.running("client", moto_server.endpoint) as proxy:
        yield Bench(tmp_path, moto_server, moto_server.new_bucket(), proxy)


def each_first(fault: Fate, count: int = 1) -> Fates:
    """The first `count` requests of each kind fare badly, as far as they can that way."""

    def fate(request: Request, occurrence: int) -> Fate:
        unfit = fault is Fate.ERROR_IN_200 and not request.may_fail_in_a_200
        return fault if occurrence <= count and not unfit else Fate.PASS

    return fate


def uploads_and_reads(fates: Fates) -> Fates:
    """Only where nothing depends on a condition: those requests are sent once, and read back."""
    conditional = {"if-match", "if-none-match"}

    def fate(request: Request, occurrence: int) -> Fate:
        if any(name.lower() in conditional for name, _ in request.headers):
            return Fate.PASS
        return fates(request, occurrence)

    return fate


def always(fault: Fate) -> Fates:
    return lambda request, _: fault


# --- trying a new store ------------------------------------------------------------------------------------------


def machine(folder: Path) -> Config:
    (folder / "base").mkdir(parents=True)
    return Config(
        base_path=str(folder / "base"),
        local_manifest_file=str(folder / "manifest"),
        local_lock_file=str(folder / "lock"),
        directory=DirectorySettings(path=str(folder / "unused")),
    )


def verdict_in(store: MemoryStore) -> object:
    body = store.get("gc_log").body
    return json.loads(body[4 + int.from_bytes(body[:4], "big") :]).get("conditional_writes", True)


@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("kind", [FaultKind.LOST, FaultKind.NOT_SENT, FaultKind.TWICE])
def test_a_fault_at_any_request_of_the_trial_changes_nothing_of_what_it_finds(
    tmp_path: Path, kind: FaultKind, conditional: bool
) -> None:
    undisturbed = MemoryStore(conditional=conditional).client()
    rrbackup.open_repository(machine(tmp_path / "undisturbed"), store=undisturbed).prepare()
    points = [n for n, call in enumerate(undisturbed.calls, start=1) if (call.method, call.key) == ("put", "gc_log")]
    assert len(points) >= 4
    for at in points:
        store = MemoryStore(conditional=conditional)
        client = store.client(faults=[Fault(at, kind)])
        rrbackup.open_repository(machine(tmp_path / str(at)), store=client, threads=1).prepare()
        assert verdict_in(store) is conditional, at


class Bothered(MemoryClient):
    """A client for which `bother` does the writing of the claim object."""

    def __init__(self, store: MemoryStore, bother: Callable[[Callable[[], Stored]], Stored]) -> None:
        super().__init__(store._world, "", (), MULTIPART_THRESHOLD)
        self._bother = bother

    def put(self, key: str, *args: Any, **kwargs: Any) -> Stored:
        write = partial(super().put, key, *args, **kwargs)
        return self._bother(write) if key == "gc_log" else write()


def test_a_store_that_loses_every_answer_to_the_trial_is_given_up(tmp_path: Path) -> None:
    def lose(write: Callable[[], Stored]) -> Stored:
        with suppress(ConditionFailed):
            write()
        raise OutcomeUnknown("no answer")

    client = Bothered(MemoryStore(), lose)
    with pytest.raises(StoreUnavailable, match="lost answers in 5 trials"):
        rrbackup.open_repository(machine(tmp_path), store=client).prepare()


def test_who_is_disturbed_in_every_trial_tells_that_somebody_else_is_at_work(tmp_path: Path) -> None:
    store = MemoryStore()
    numbers = count()

    def meddle(write: Callable[[], Stored]) -> Stored:
        other = Signature(TransactionId("0" * 32), "other", 0)
        store.put("gc_log", format2.encode_claim(trial(other, next(numbers)), PLAIN))
        return write()

    with pytest.raises(ClientAtWork, match="trying memory:"):
        rrbackup.open_repository(machine(tmp_path), store=Bothered(store, meddle)).prepare()


def test_a_trial_never_goes_on_over_the_claim_of_somebody_who_came_in_between(tmp_path: Path) -> None:
    store = MemoryStore()
    other = Signature(TransactionId("0" * 32), "other", 0)
    claim = format2.encode_claim(opening(other, None, (), SeenClaim()), PLAIN)

    def overtake(write: Callable[[], Stored]) -> Stored:
        with suppress(ConditionFailed):
            store.put("gc_log", claim, condition=IfAbsent())
        return write()

    with pytest.raises(ClientAtWork, match="other claimed the repository"):
        rrbackup.open_repository(machine(tmp_path), store=Bothered(store, overtake)).prepare()
    assert store.get("gc_log").body == claim


# --- a fault that passes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.lower())
def test_a_backup_survives_a_fault_in_every_request_that_is_repeated(bench: Bench, fault: Fate) -> None:
    bench.holds({"small": b"first"}).backup()
    bench.suffers(uploads_and_reads(each_first(fault)))
    assert bench.holds({**TREE, "big": BIG}).backup().problems == ()
    bench.proxy.fates = chaos_proxy.calm
    assert {line.fate for line in bench.proxy.log.lines} == {Fate.PASS, fault}
    bench.is_sound()
    if fault is not Fate.TWICE:
        assert list(bench.store().list_uploads("files/")) == []


def test_an_upload_in_parts_that_was_begun_twice_is_given_up_by_the_same_backup(bench: Bench) -> None:
    def fate(request: Request, occurrence: int) -> Fate:
        return Fate.CUT_ANSWER if (request.kind, occurrence) == ("POST files/big uploads", 1) else Fate.PASS

    bench.proxy.fates = fate
    assert bench.holds({"big": BIG}).backup().problems == ()
    assert [line.request.kind for line in bench.proxy.log.lines].count("POST files/big uploads") == 2
    assert list(bench.store().list_uploads("files/")) == []
    bench.is_sound()


@pytest.mark.parametrize("fault", [Fate.CUT_ANSWER, Fate.INTERNAL_ERROR, Fate.TWICE], ids=lambda fault: fault.name)
def test_claim_and_commit_survive_a_fault_without_being_repeated_blindly(bench: Bench, fault: Fate) -> None:
    bench.holds({"small": b"first"}).backup()
    bench.suffers(each_first(fault))
    assert bench.holds(TREE).backup().problems == ()
    unlucky = [line.request.kind for line in bench.proxy.log.lines if line.fate is fault]
    assert {"PUT gc_log", "PUT manifest_diffs"} <= set(unlucky)
    bench.proxy.fates = chaos_proxy.calm
    bench.is_sound(orphans=fault is Fate.TWICE)
    commits = [commit.kind for commit in bench.verdict().commits]
    assert commits == ["commit", "commit"]


def test_a_request_is_repeated_up_to_the_last_attempt(bench: Bench) -> None:
    came: list[str] = []  # the log of the proxy gets its last line only after the answer

    def fate(request: Request, occurrence: int) -> Fate:
        came.append(request.kind)
        return each_first(Fate.INTERNAL_ERROR, ATTEMPTS - 1)(request, occurrence)

    bench.proxy.fates = fate
    assert bench.store().put("k", b"x").attempts == ATTEMPTS
    assert came == ["PUT k"] * ATTEMPTS


def test_threads_do_not_use_up_each_others_attempts(bench: Bench) -> None:
    """Sixty repetitions would be beyond the quota that boto3 has for all threads together."""
    bench.proxy.fates = each_first(Fate.INTERNAL_ERROR, 5)
    store = bench.store()
    assert [store.put(f"k{n}", b"x").attempts for n in range(12)] == [6] * 12


def test_a_body_that_is_cut_goes_on_where_it_ended(bench: Bench) -> None:
    store = bench.store()
    streamed, ranged, whole = (store.put(key, BIG).version_id for key in ("streamed", "ranged", "whole"))
    bench.proxy.fates = each_first(Fate.CUT_ANSWER_BODY, 3)
    with store.read("streamed", streamed) as chunks:
        assert b"".join(chunks) == BIG
    with store.read("ranged", ranged, start=1_000_000, length=3_000_001) as chunks:
        assert b"".join(chunks) == BIG[1_000_000:4_000_001]
    assert store.get("whole", whole).body == BIG
    cuts = Counter(line.request.key for line in bench.proxy.log.lines if line.fate is Fate.CUT_ANSWER_BODY)
    assert all(cuts[key] == 3 for key in ("streamed", "ranged", "whole"))
    (first, *others) = [line.request for line in bench.proxy.log.lines if line.request.kind == "GET streamed versionId"]
    assert asked_range(first) == ""
    assert all(asked_range(other).startswith("bytes=") for other in others)


def asked_range(request: Request) -> str:
    return {name.lower(): value for name, value in request.headers}.get("range", "")


# --- a store that keeps failing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, id=fault.name.lower(), marks=[] if fault in USUAL else [pytest.mark.deep])
        for fault in FAULTS
    ],
)
def test_a_store_that_keeps_failing_is_given_up_and_the_next_backup_is_fine(bench: Bench, fault: Fate) -> None:
    bench.holds({"small": b"first"}).backup()
    seen = len(bench.proxy.log.lines)
    failing = always(fault) if fault is not Fate.ERROR_IN_200 else each_first(fault, 1_000)
    bench.proxy.fates = failing
    if fault is Fate.CUT_ANSWER_BODY:  # an answer without body arrives whole
        bench.proxy.fates = lambda request, n: fault if request.method == "GET" else Fate.PASS
    with pytest.raises((StoreUnavailable, OutcomeUnknown)) as caught:
        bench.holds({**TREE, "big": BIG} if fault is Fate.ERROR_IN_200 else TREE).backup()
    assert caught.value.hint
    counts = Counter(line.request.kind for line in bench.proxy.log.lines[seen:])
    assert max(counts.values()) <= ATTEMPTS
    bench.proxy.fates = chaos_proxy.calm
    assert bench.backup().problems == ()
    bench.is_sound()


@pytest.mark.parametrize("fault", [Fate.INTERNAL_ERROR, Fate.CUT_ANSWER_BODY])
def test_a_content_that_never_comes_is_asked_for_no_more_often_than_anything(bench: Bench, fault: Fate) -> None:
    bench.holds({"a": b"x", "b": b"y"}).backup()
    bench.suffers(lambda r, n: fault if r.kind == "GET files/a versionId" else Fate.PASS)
    with rrbackup.open_repository(rrbackup.load_config(bench.config_file())) as repository:
        (problem,) = repository.download("latest", bench.base.with_name("restored")).problems
    assert (problem.path, problem.kind) == ("/a", ProblemKind.UNREADABLE)
    assert bench.asked()["GET files/a versionId"] == ATTEMPTS


def test_the_trial_of_a_new_store_survives_a_lost_answer(bench: Bench) -> None:
    bench.suffers(lambda r, n: Fate.CUT_ANSWER if r.kind == "PUT gc_log" and n == 1 else Fate.PASS)
    assert bench.holds(TREE).backup().problems == ()


@pytest.mark.parametrize("key", [pytest.param("gc_log", marks=pytest.mark.deep), "manifest_diffs"])
def test_a_conditional_write_that_is_never_answered_is_given_up_after_a_few_tries(bench: Bench, key: str) -> None:
    bench.holds({"small": b"first"}).backup()
    before = bench.asked()[f"PUT {key}"]
    for_ever = 10 * ATTEMPTS
    bench.suffers(lambda r, n: Fate.CUT_BEFORE if r.kind == f"PUT {key}" and n <= for_ever else Fate.PASS)
    with pytest.raises(StoreUnavailable, match=f"confirmed none of {ATTEMPTS} writes"):
        bench.holds(TREE).backup()
    assert bench.asked()[f"PUT {key}"] <= before + ATTEMPTS
    bench.proxy.fates = chaos_proxy.calm
    bench.backup()
    bench.is_sound()


def test_the_command_says_that_it_gave_up(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    path = bench.holds({"small": b"x"}).config_file()
    bench.proxy.fates = always(Fate.INTERNAL_ERROR)
    assert main(["backup", "--json", "--config", str(path)]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["type"], bool(error["hint"])) == ("StoreUnavailable", True)


def test_who_could_not_upload_is_told_that_nothing_is_lost(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    path = bench.holds({"small": b"x"}).config_file()
    bench.suffers(lambda r, n: Fate.INTERNAL_ERROR if r.kind == "PUT files/small" else Fate.PASS)
    assert main(["backup", "--json", "--config", str(path)]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] in ("OutcomeUnknown", "StoreUnavailable")
    assert "nothing is lost: run again" in error["hint"]


# --- one pace for all --------------------------------------------------------------------------------------------


@define
class Time:
    """A clock that moves only when somebody waits."""

    now: float = 1_000.0
    waited: list[float] = field(factory=list)

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(
    ("status", "code"), [(503, "SlowDown"), (429, ""), (400, "RequestLimitExceeded"), (503, "ServiceUnavailable")]
)
def test_what_slows_one_request_slows_every_client_of_the_store(
    monkeypatch: pytest.MonkeyPatch, status: int, code: str
) -> None:
    monkeypatch.undo()
    time = Time()
    back_off = BackOff(lambda: time.now, lambda: 0.0, time.wait)
    monkeypatch.setattr(s3_client, "BackOff", lambda wait: back_off)
    with scripted_s3.running() as script:
        store = script.store(scripted_s3.error(status, code), scripted_s3.STORED)
        store.put("k", b"x")
        before = len(time.waited)
        store.put("k", b"x", condition=IfAbsent())
    assert time.waited[before:] == [pytest.approx(pacing.FIRST_INTERVAL_S)]
    assert 0 < back_off.pace.interval < pacing.FIRST_INTERVAL_S


# --- Ctrl-C ------------------------------------------------------------------------------------------------------


def interrupted(
    bench: Bench, holds: Callable[[Request], bool], sent: signal.Signals = signal.SIGINT
) -> subprocess.CompletedProcess[str]:
    """A backup that gets a signal while the proxy holds a request back. Raises TimeoutExpired if it does not end."""
    held = threading.Event()

    def fate(request: Request, _: int) -> Fate:
        if not holds(request):
            return Fate.PASS
        held.set()
        return Fate.HOLD

    bench.proxy.fates = fate
    command = [*COMMAND, "backup", "--json", "-c", str(bench.config_file())]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(sent, signal.SIG_DFL),  # ignored where the tests run in the background
    ) as process:
        assert held.wait(LIMIT_S)
        process.send_signal(sent)
        try:
            stdout, stderr = process.communicate(timeout=LIMIT_S)
        finally:
            process.kill()
    bench.proxy.fates = chaos_proxy.calm
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


HELD = {
    "the first request": lambda request: True,
    "an upload": lambda request: request.method == "PUT" and request.key.startswith("files/"),
    "the commit": lambda request: (request.method, request.key) == ("PUT", "manifest_diffs"),
}


@pytest.mark.parametrize(
    "what",
    [
        pytest.param("the first request", marks=pytest.mark.deep),
        "the commit",
        "an upload",
    ],
)
def test_an_interruption_ends_it_at_once_and_the_next_run_recovers(bench: Bench, what: str) -> None:
    bench.holds(TREE)
    ended = interrupted(bench, HELD[what])
    assert (ended.returncode, ended.stderr) == (130, "")
    assert json.loads(ended.stdout)["error"]["type"] == "Interrupted"
    assert (bench.open_claim() is not None) is (what != "the first request")
    assert bench.backup().problems == ()
    bench.is_sound()


def test_sigterm_ends_it_like_ctrl_c_and_leaves_the_claim(bench: Bench) -> None:
    bench.holds(TREE)
    ended = interrupted(bench, HELD["an upload"], signal.SIGTERM)
    assert (ended.returncode, ended.stderr) == (143, "")
    assert json.loads(ended.stdout)["error"]["message"] == "interrupted by SIGTERM"
    assert bench.open_claim() is not None
    assert bench.backup().problems == ()
    bench.is_sound()


class Holding(MemoryClient):
    """A client whose writes go through `hold` first."""

    def __init__(self, store: MemoryStore, hold: Callable[[str], None]) -> None:
        super().__init__(store._world, "", (), MULTIPART_THRESHOLD)
        self._hold = hold

    def put(self, key: str, *args: Any, **kwargs: Any) -> Stored:
        self._hold(key)
        return super().put(key, *args, **kwargs)


def test_an_upload_that_outlives_an_interruption_leaves_the_journal_alone(tmp_path: Path) -> None:
    """In a program that goes on, the next run may have opened the journal by then."""
    store, config = MemoryStore(), machine(tmp_path)
    for name in ("slow", "last"):
        (tmp_path / "base" / name).write_text(name)
    under_way, released = threading.Event(), threading.Event()

    def hold(key: str) -> None:
        if key == "files/slow":
            under_way.set()
            assert released.wait(LIMIT_S)
        if key == "files/last":
            assert under_way.wait(LIMIT_S)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rrbackup.open_repository(config, store=Holding(store, hold), threads=2).backup()
    assert not released.is_set()
    before = config.journal_path().read_bytes()
    released.set()
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.name.startswith("ThreadPoolExecutor"):
            thread.join(LIMIT_S)
    assert [row.key for row in store.list_versions("files/")] == ["files/slow"]
    assert config.journal_path().read_bytes() == before
    assert rrbackup.open_repository(config, store=store).backup().problems == ()


def test_an_interruption_does_not_wait_for_the_renewal_of_the_claim() -> None:
    store = MemoryStore()
    under_way, released, ended = threading.Event(), threading.Event(), threading.Event()

    def hold(key: str) -> None:
        under_way.set()
        assert released.wait(LIMIT_S)
        ended.set()

    claim = opening(Signature(TransactionId("0" * 32), "host", 0), None, (), SeenClaim())
    written = Control(store, ObjectNames()).write_claim(claim, MustBeAbsent())
    assert isinstance(written, Wrote)
    seen = SeenClaim(claim, written.etag, written.version_id)
    renewal = Renewal(Control(Holding(store, hold), ObjectNames()), seen, 0.0)

    def interrupted_uploads() -> None:
        with renewal:
            assert under_way.wait(LIMIT_S)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_uploads()
    assert not ended.is_set()
    released.set()
    assert ended.wait(LIMIT_S)


# --- a full disk -------------------------------------------------------------------------------------------------

# `python -m rrbackup` on a disk on which no file can grow beyond so many bytes.
_CRAMPED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.argv[:] = ["rrbackup", *sys.argv[2:]]
runpy.run_module("rrbackup", run_name="__main__", alter_sys=True)
"""


def cramped(bench: Bench, limit: int) -> dict[str, str]:
    """The error with which a backup fails that has no more room than that for each local file."""
    command = [sys.executable, "-c", _CRAMPED, str(limit), "backup", "--json", "-c", str(bench.config_file())]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert (ended.returncode, ended.stderr) == (1, "")
    error: dict[str, str] = json.loads(ended.stdout)["error"]
    return error


def test_a_disk_without_room_for_the_local_manifest_costs_nothing_that_was_committed(bench: Bench) -> None:
    bench.holds({f"empty{n}": b"" for n in range(100)})
    error = cramped(bench, 2_000)
    assert error["type"] == "LocalStateError"
    assert str(bench.folder / "manifest") in error["message"]
    bench.is_sound()
    assert bench.backup().version_id is None
    assert len(bench.verdict().commits) == 1


@pytest.mark.parametrize(
    "limit",
    [
        pytest.param(20, id="no room for the transaction", marks=pytest.mark.deep),
        pytest.param(500, id="no room for a receipt"),
    ],
)
def test_a_disk_without_room_for_the_journal_stops_the_backup_and_nothing_is_lost(bench: Bench, limit: int) -> None:
    bench.holds({"a": b"first"}).backup()
    bench.holds({f"file{n}": b"%d" % n for n in range(20)})
    error = cramped(bench, limit)
    assert error["type"] == "LocalStateError"
    assert str(bench.folder / "manifest.journal") in error["message"]
    assert len(bench.verdict().commits) == 1
    assert bench.backup().problems == ()
    bench.is_sound()


# --- what a folder keeps of an upload that was given up ----------------------------------------------------------


def test_preparing_a_folder_again_removes_what_the_killed_left_in_its_root(tmp_path: Path) -> None:
    root = tmp_path / "store"
    store = DirectoryStore(root)
    store.prepare()
    store.put("files/a", b"kept")
    (root / "%tabc_1234").touch()
    (root / "%rrbackup0123abcd").touch()
    (root / "%tscratch1" / "Aa").mkdir(parents=True)
    assert store.prepare() == ()
    assert {path.name for path in root.iterdir()} == {"%rrbackup", "files"}
    assert store.get("files/a").body == b"kept"


def test_an_upload_to_a_folder_that_was_given_up_leaves_nothing(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "store")
    store.prepare()
    store.put("files/a", b"kept", metadata={"some": "label"})
    Upload.begin(open_volume(bytes(tmp_path / "store")), "files/a").fill(b"unfinished", {"some": "label"})
    for upload in store.list_uploads("files/"):
        store.abort_upload(upload)
    assert list((tmp_path / "store/files/a").glob("%t*")) == []
