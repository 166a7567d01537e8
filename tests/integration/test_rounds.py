"""Rounds of chaos on real stores: processes that are killed, on a bad network, and an independent checker afterwards.

A round is one repository with two or four clients at work at the same time. Then each makes one calm backup, and
`tests/store_checker.py` looks at what is stored: one gapless chain, every commit a tree that its client had on disk,
every referenced version there. Orphans may be left of the kinds that docs/design.md names ("The rule of deletion") and
of no other, and after a full collection none at all.
"""

import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier
from typing import Protocol

import pytest
from attrs import define, field

from rrbackup.api import open_repository
from rrbackup.config import load_config
from tests import chaos_proxy, store_checker
from tests.chaos_clients import ChaosClient, Run
from tests.chaos_proxy import Fate, Log, Proxy, Request
from tests.searched import ROUNDS, Record
from tests.servers import S3Server
from tests.store_checker import Contents, Origins, Ref, Verdict

QUICK, ALL = 5, 100
"""Rounds on each of the two stores."""
_LIMIT_S = 200
"""A round in which a client has not come so far by then has failed."""
NETWORK: Mapping[Fate, float] = {
    Fate.CUT_BEFORE: 0.02,
    Fate.CUT_REQUEST: 0.02,
    Fate.CUT_ANSWER: 0.03,
    Fate.CUT_ANSWER_BODY: 0.03,
    Fate.DELAY: 0.25,
    Fate.TWICE: 0.03,
    Fate.SLOW_DOWN: 0.01,
    Fate.INTERNAL_ERROR: 0.02,
    Fate.ERROR_IN_200: 0.01,
}

seeds = pytest.mark.parametrize(
    "seed", [pytest.param(n, marks=[] if n < QUICK else [pytest.mark.deep]) for n in range(ALL)]
)


class Ground(Protocol):
    """What a round is played on: a store, and a way to run a client's command that may kill it."""

    def settings(self, name: str) -> dict[str, object]:
        """The part of a client's configuration that names the store."""

    def run(self, client: ChaosClient, words: tuple[str, ...], fatal: bool) -> Run: ...

    def let_loose(self) -> None:
        """From now on the network is bad."""

    def calm_down(self) -> None: ...

    def contents(self, clients: list[ChaosClient]) -> Contents: ...

    def unseen_twins(self, clients: list[ChaosClient]) -> frozenset[Ref]:
        """Versions of requests that were applied more than once, as far as nobody can know of them."""


# --- a round -----------------------------------------------------------------------------------------------------


def play(ground: Ground, chance: random.Random, folder: Path) -> list[ChaosClient]:
    """All clients at work at once, each for a few runs, some of which are killed. Half of the repositories are new."""
    count = chance.choice([2, 2, 2, 4])
    clients = [_client(ground, f"client{n}", chance, folder) for n in range(count)]
    begun = chance.random() < 0.5
    if begun:
        calm_backups(clients[:1])
    ground.let_loose()
    with ThreadPoolExecutor(count) as pool:
        together = Barrier(count)
        futures = [pool.submit(_work, ground, client, 4 // count, begun, together) for client in clients]
    for future in futures:
        future.result()
    return clients


def _client(ground: Ground, name: str, chance: random.Random, folder: Path) -> ChaosClient:
    own = random.Random(chance.random())
    settings = ground.settings(name)
    if own.random() < 0.5:
        settings["takeover_after"] = 1
    if name != "client0" and own.random() < 0.25:
        settings["allow_delete_versions"] = False
    if own.random() < 0.3:
        settings |= {"meta_pipeline": ["compress"], "file_pipeline": [["*", ["compress"]]]}
    return ChaosClient(name, folder / name, settings, own, big=own.random() < 0.1)


def _work(ground: Ground, client: ChaosClient, runs: int, begun: bool, together: Barrier) -> None:
    for _ in range(runs):
        client.change()
        together.wait(_LIMIT_S)
        collects = begun and client.may_delete and client.chance.random() < 0.15
        words = (
            "garbage_collect" if collects else "backup",
            *(("--take-over",) if client.chance.random() < 0.4 else ()),
        )
        ground.run(client, words, client.chance.random() < 0.6)


def calm_backups(clients: list[ChaosClient]) -> None:
    """One backup of each client, with nobody else at work. The last one leaves the repository at rest."""
    for client in clients:
        client.change()
        with open_repository(load_config(client.config)) as repository:
            assert repository.backup(take_over=True).problems == ()


def check(ground: Ground, clients: list[ChaosClient]) -> None:
    contents = ground.contents(clients)
    verdict = store_checker.judged(contents)
    assert [run.fault for client in clients for run in client.runs if run.fault] == []
    assert verdict.problems == ()
    assert store_checker.open_claim(contents) is None
    assert wrong_commits(verdict, clients) == []
    assert set(verdict.orphans) - allowed_orphans(ground, contents, verdict, clients) == set()
    with open_repository(load_config(clients[0].config)) as repository:
        repository.garbage_collect()
    contents = ground.contents(clients)
    verdict = store_checker.judged(contents)
    assert verdict.problems == ()
    assert contents.files == {ref for ref in verdict.referenced if ref in contents.files}
    assert verdict.unnamed_checkpoints == set()
    assert [key for key in contents.unfinished if key.startswith(store_checker.FILES)] == []


def wrong_commits(verdict: Verdict, clients: list[ChaosClient]) -> list[str]:
    """Commits that hold no tree of a client, or an older one above a newer; and backups that are missing."""
    known = {frozenset(tree.items()): (c.name, step) for c in clients for step, tree in c.trees.items()}
    made = [(commit, known.get(frozenset(commit.tree.items()))) for commit in verdict.commits]
    wrong = [f"{commit} is no tree that a client had" for commit, whose in made if whose is None and commit.tree]
    steps = [whose for commit, whose in made if whose is not None and commit.kind == "commit"]
    for client in clients:
        own = [step for name, step in steps if name == client.name]
        wrong += [f"{client.name} committed the steps {own}"] if own != sorted(set(own)) else []
        done = {run.step for run in client.runs if run.code == 0 and run.words[0] == "backup"} | {client.step}
        wrong += [f"{client.name}: step {step} was reported as done, and is lost" for step in done - set(own)]
    return wrong


def allowed_orphans(ground: Ground, contents: Contents, verdict: Verdict, clients: list[ChaosClient]) -> set[Ref]:
    """Uploads of a client after another had taken its claim over, and twins that nobody can know of."""
    ends = store_checker.superseded(contents)
    found = (contents.find(ref) for ref in verdict.orphans)
    late = {v.ref for v in found if v is not None and v.maker in ends and v.place >= ends[v.maker]}
    return late | ground.unseen_twins(clients)


# --- a bucket behind a bad network -------------------------------------------------------------------------------


@define
class Bucket:
    """Every client reaches it through a proxy of its own, which also kills it: after so many requests."""

    server: S3Server
    seed: int
    stack: ExitStack
    bucket: str = ""
    log: Log = field(factory=Log)
    proxies: dict[str, Proxy] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.bucket = self.server.new_bucket()

    def settings(self, name: str) -> dict[str, object]:
        proxy = self.stack.enter_context(chaos_proxy.running(name, self.server.endpoint, self.log))
        self.proxies[name] = proxy
        keys = {"access_key": self.server.access_key, "secret_key": self.server.secret_key}
        return {"s3": {"bucket": self.bucket, "endpoint": proxy.endpoint, "region": "us-east-1", **keys}}

    def run(self, client: ChaosClient, words: tuple[str, ...], fatal: bool) -> Run:
        proxy = self.proxies[client.name]
        proxy.run = client.run_name
        uploads, most = client.chance.choice([(False, 25), (True, 7)])
        killer = _Killer(client.chance.randrange(1, most), client.chance.random() < 0.5, uploads) if fatal else None
        if killer is not None:
            proxy.before, proxy.after = killer.before, killer.after
        try:
            return client.run(*words, fatal=fatal, started=lambda p: setattr(killer, "process", p) if killer else None)
        finally:
            proxy.before = proxy.after = lambda request: None

    def let_loose(self) -> None:
        for proxy in self.proxies.values():
            proxy.fates = chaos_proxy.drawn(self.seed, NETWORK)

    def calm_down(self) -> None:
        for name, proxy in self.proxies.items():
            proxy.fates, proxy.run = chaos_proxy.calm, f"{name} calm"

    def contents(self, clients: list[ChaosClient]) -> Contents:
        client = self.server.client()
        try:
            return store_checker.from_bucket(client, self.bucket, self._origins())
        finally:
            client.close()

    def _origins(self) -> Origins:
        lines = (line for line in self.log.lines if line.request.makes_a_version)
        return {version: (place, line.run) for line in lines for version, place in line.versions.items()}

    def unseen_twins(self, clients: list[ChaosClient]) -> frozenset[Ref]:
        """What the network doubled on its own, and what a client that lost had sent more than once."""
        lost = {run.name for client in clients for run in client.runs if run.code == 11}
        made: dict[tuple[str, str], list[tuple[Ref, Fate]]] = {}
        for line in self.log.lines:
            if line.request.makes_a_version:
                refs = [((line.request.key, version), line.fate) for version in line.versions]
                made.setdefault((line.run, line.request.key), []).extend(refs)
        doubled = {ref for refs in made.values() for ref, fate in refs if fate is Fate.TWICE}
        repeated = {ref for (run, _), refs in made.items() if run in lost and len(refs) > 1 for ref, _ in refs}
        return frozenset(doubled | repeated)


@define
class _Killer:
    """Kills a process at its `left`-th request, or upload, before the server gets it or after it has answered."""

    left: int
    answered: bool
    uploads: bool
    process: object = None
    doomed: Request | None = None

    def before(self, request: Request) -> None:
        upload = request.makes_a_version and request.key.startswith(store_checker.FILES)
        self.left -= upload or not self.uploads
        if self.left == 0 and self.doomed is None:
            self.doomed = request
            if not self.answered:
                self._kill()

    def after(self, request: Request) -> None:
        if self.answered and request is self.doomed:
            self._kill()

    def _kill(self) -> None:
        self.process.kill()  # type: ignore[attr-defined]


@seeds
def test_a_bucket_survives_killed_clients_on_a_bad_network(
    seaweed: S3Server, tmp_path: Path, seed: int, record_property: Record
) -> None:
    with ExitStack() as stack:
        _round(Bucket(seaweed, seed, stack), random.Random(f"bucket {seed}"), tmp_path)
    record_property(ROUNDS, 1)


def _round(ground: Ground, chance: random.Random, folder: Path) -> None:
    clients = play(ground, chance, folder)
    ground.calm_down()
    calm_backups(clients)
    check(ground, clients)


# --- a folder ----------------------------------------------------------------------------------------------------


@define
class Folder:
    """Clients are killed before a change that they were about to make to it."""

    path: Path

    def settings(self, name: str) -> dict[str, object]:
        return {"directory": {"path": str(self.path)}}

    def run(self, client: ChaosClient, words: tuple[str, ...], fatal: bool) -> Run:
        uploads, most = client.chance.choice([(False, 60), (True, 12)])
        kill_at = client.chance.randrange(1, most) if fatal else 0
        return client.run_witnessed(*words, store=self.path, kill_at=kill_at, uploads=uploads)

    def let_loose(self) -> None:
        """Nothing: there is no network."""

    calm_down = let_loose

    def contents(self, clients: list[ChaosClient]) -> Contents:
        return store_checker.from_folder(self.path, {v: run for c in clients for v, run in c.makers().items()})

    def unseen_twins(self, clients: list[ChaosClient]) -> frozenset[Ref]:
        return frozenset()


@seeds
def test_a_folder_survives_killed_clients(tmp_path: Path, seed: int, record_property: Record) -> None:
    _round(Folder(tmp_path / "store"), random.Random(f"folder {seed}"), tmp_path)
    record_property(ROUNDS, 1)
