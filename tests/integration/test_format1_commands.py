"""What a user of a repository of rrbackup 1.0 meets: commands and exit codes, passwords, clients that were not stopped.

The command line runs on a directory store, the rest on the store in memory. That every way of storing is read, and goes
on, is shown in `test_format1_repository`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from rrbackup import (
    ConfigError,
    DamagedChain,
    DamagedObject,
    Event,
    FileDone,
    OldClientWrote,
    PasswordMissing,
    ProblemKind,
    Repository,
    RRBackupError,
    TransactionLost,
    UpgradeNeeded,
    VersionId,
    VersionRef,
    WrongPassword,
    open_repository,
)
from rrbackup.effects.directory import DirectoryStore
from rrbackup.testing import MemoryStore
from tests.format1_repositories import (
    BOTH_ENCRYPTED,
    CRASHED,
    ENCRYPTED,
    FILES_ENCRYPTED,
    LAST,
    MIDDLE,
    NEXT,
    PASSWORD,
    PLAIN,
    SECOND,
    SENDABLE,
    Kind,
    MakeBench,
    Tree,
    check_commits,
    client_to_go_on,
    commits_of,
    committed,
    contents,
    crypto,
    download,
    facts,
    file_versions,
    missing,
    mostly_deep,
    named,
    nothing_written,
    old_repository,
    path_text,
    put_on_disk,
    putting,
    restored,
    settings,
)
from tests.format1_writer import File, Put
from tests.integration.conftest import Bench
from tests.integration.trees import look
from tests.unit import cli_bench
from tests.unit.cli_bench import Ran

# --- the command line ----------------------------------------------------------------------------------------------


class Shell(cli_bench.Bench):
    """The command line on a directory store that holds a repository of 1.0, with the tree of its last commit."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], kind: Kind) -> None:
        super().__init__(folder, capsys)
        store = self.directory_store()
        store.prepare()
        self.old = old_repository(kind, store, putting_into(store))
        self.password = folder / "password"
        self.password.write_text(PASSWORD)
        self.configure_for(kind, crypt_password_file=str(self.password))
        put_on_disk(self.source, LAST)

    def configure_for(self, kind: Kind, **source: str) -> None:
        """`source` says where the password is."""
        wanted = settings(kind)
        wanted["crypto"] = {"kdf_passes": 4, "kdf_memory": 32 << 20, **source} if kind.encrypted else None
        self.configure(**{key: value for key, value in wanted.items() if value is not None})

    def json(self, *words: str) -> Any:
        ran = self.run("--json", *words)
        assert ran.code == 0, ran
        return ran.document


def putting_into(store: DirectoryStore) -> Put:
    def put(key: str, body: bytes | None) -> str:
        return store.mark_deleted(key) if body is None else store.put(key, body).version_id

    return put


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Shell:
    """Of the kind that a test names with `of_kind`; plain ones otherwise."""
    return Shell(tmp_path, capsys, getattr(request, "param", PLAIN))


def of_kind(*kinds: Kind) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("shell", kinds, ids=named, indirect=True)


@of_kind(PLAIN, BOTH_ENCRYPTED)
def test_listings_for_people(shell: Shell) -> None:
    ids = [commit.version_id for commit in shell.old.commits]
    versions = shell.run("list_versions").out.splitlines()
    assert [line.split()[2] for line in versions] == ids, "newest last"
    files = {line.split(maxsplit=4)[4]: line.split()[:2] for line in shell.run("list_files", ids[0]).out.splitlines()}
    assert files.pop("/empty") == ["?" * 10, "0"]
    assert set(map(tuple, files.values())) == {("?" * 10, "?")}
    assert sum("stored by rrbackup 1.0" in line for line in shell.run("list_files", ids[0], "-v").out.splitlines()) == 7
    changes = [line.split() for line in shell.run("list_changes", ids[1]).out.splitlines()]
    assert sorted((words[0], words[-1]) for words in changes) == [
        ("changed", "/a.txt"),
        ("changed", "/empty"),
        ("deleted", "/gone"),
        ("new", "/secret/more"),
    ]


@of_kind(PLAIN, BOTH_ENCRYPTED)
def test_listings_for_programs(shell: Shell) -> None:
    """What was not recorded is absent, not empty, 0 or -1."""
    first, *_ = shell.old.commits
    versions = shell.json("list_versions")["versions"]
    assert [row["version_id"] for row in versions] == [commit.version_id for commit in shell.old.commits]
    assert [(row["sequence"], row["new"], row["changed"], row["deleted"]) for row in versions] == [
        (1, 8, 0, 0),
        (2, 1, 2, 1),
        (3, 2, 1, 0),
    ]
    rows = {row.pop("path"): row for row in shell.json("list_files", first.version_id)["files"]}
    assert {path: (row["sha256"], row["mtime_ns"]) for path, row in rows.items()} == facts(first.tree)
    empty = rows.pop("/empty")
    assert empty.keys() == {"type", "size", "mtime_ns", "sha256"}
    wanted = {"type", "mtime_ns", "sha256", "key", "object_version_id", "format"}
    assert all(row.keys() == wanted and row["format"] == 1 for row in rows.values())
    changes = shell.json("list_changes", "latest")["changes"]
    assert {(row["path"], row["status"]) for row in changes} >= {("/gone", "new"), ("/secret/plan", "changed")}


def test_neither_host_nor_bytes_of_1_0_are_made_up(shell: Shell) -> None:
    row = shell.json("list_versions")["versions"][0]
    line = shell.run("list_versions").out.splitlines()[0]
    assert row.keys().isdisjoint({"host", "bytes"})
    assert line.split()[-2:] == ["?", "?"]


@of_kind(PLAIN, FILES_ENCRYPTED, BOTH_ENCRYPTED)
def test_downloads(shell: Shell) -> None:
    for back, commit in enumerate(reversed(shell.old.commits)):
        target = shell.target / str(back)
        ran = shell.run("-q", "download", f"latest~{back}", str(target))
        assert (ran.code, ran.err) == (0, "")
        assert look(target) == restored(commit.tree)


def refused(ran: Ran, code: int, kind: str) -> dict[str, Any]:
    """The error that a run with `--json` ended with."""
    assert ran.code == code, ran
    error: dict[str, Any] = ran.document["error"]
    assert (error["type"], error["exit_code"]) == (kind, code)
    return error


@of_kind(PLAIN, BOTH_ENCRYPTED)
@pytest.mark.parametrize("command", ["backup", "garbage_collect", "clean_gc_log", "init"])
def test_the_first_command_that_writes_asks_for_permission(shell: Shell, command: str) -> None:
    shell.old.crash()
    unchanged = nothing_written(shell.old.store)
    for ran in (shell.run(command), shell.run("-q", command)):
        assert (ran.code, ran.out) == (2, "")
        assert all(words in ran.err for words in ("rrbackup 1.0", "stop every client", "revoke", "--upgrade"))
    error = refused(shell.run("--json", command), 2, "UpgradeNeeded")
    assert "--upgrade" in error["hint"]
    assert unchanged()


@of_kind(BOTH_ENCRYPTED)
def test_changes_of_the_salt_object_ask_for_permission_too(shell: Shell, tmp_path: Path) -> None:
    unchanged = nothing_written(shell.old.store)
    new = tmp_path / "new password"
    new.write_text("another")
    error = refused(shell.run("--json", "change_password", "--new-password-file", str(new)), 2, "UpgradeNeeded")
    assert "--upgrade" in error["hint"]
    (salt,) = shell.json("repair")["salt_versions"]
    assert (salt["current"], salt["opens"]) == (True, False)
    ran = shell.run("repair", "--salt", salt["version_id"])
    assert ran.code != 0
    assert "--upgrade" in ran.err
    assert unchanged()


@of_kind(PLAIN, BOTH_ENCRYPTED)
@pytest.mark.parametrize("command", ["backup", "garbage_collect", "clean_gc_log"])
def test_once_permitted_every_command_works(shell: Shell, command: str, tmp_path: Path) -> None:
    old, stray = shell.old, shell.old.leave("files/stray")
    old.writer.list_garbage([[stray.key, stray.version_id]])
    put_on_disk(shell.source, NEXT)
    done = shell.json(command, "--upgrade")
    if command != "backup":
        assert done["deleted"] == [["files/stray", stray.version_id]]
    for after in ("backup", "garbage_collect", "clean_gc_log", "init"):
        assert shell.run("--json", after).code == 0, after
    assert stray not in file_versions(old.store)
    for back, commit in enumerate(reversed(old.commits), start=1):
        assert shell.run("download", f"latest~{back}", str(tmp_path / str(back))).code == 0
        assert look(tmp_path / str(back)) == restored(commit.tree)
    assert shell.run("download", "latest", str(shell.target)).code == 0
    assert look(shell.target) == look(shell.source)


@of_kind(PLAIN, BOTH_ENCRYPTED)
def test_a_dry_run_needs_no_permission(shell: Shell) -> None:
    unchanged = nothing_written(shell.old.store)
    put_on_disk(shell.source, NEXT)
    plan = shell.json("backup", "--dry-run")
    assert plan["head"] == shell.old.latest.version_id
    assert {row["path"]: row["status"] for row in plan["changes"]} == {"/copy of a.txt": "deleted"}
    assert {row["path"] for row in plan["candidates"]} == set(map(path_text, NEXT))
    assert unchanged()


def test_the_command_as_a_process_of_its_own(shell: Shell, tmp_path: Path) -> None:
    """With the password from the environment."""
    kind = BOTH_ENCRYPTED
    store = DirectoryStore(tmp_path / "another store")
    store.prepare()
    old = old_repository(kind, store, putting_into(store))
    shell.configure(**{**settings(kind), "crypto": {"kdf_passes": 4, "kdf_memory": 32 << 20}},
                    directory={"path": str(tmp_path / "another store")})  # fmt: skip

    def run(password: str | None, *words: str) -> int:
        environ = {**os.environ, **({"RRBACKUP_PASSWORD": password} if password else {})}
        command = [sys.executable, "-m", "rrbackup", "-q", "-c", str(shell.config), *words]
        return subprocess.run(
            command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=False
        ).returncode

    assert run(None, "list_versions") == 12
    assert run("wrong", "download", "latest", str(shell.target)) == 12
    assert run(PASSWORD, "backup") == 2
    assert run(PASSWORD, "backup", "--upgrade") == 0
    assert run(PASSWORD, "download", old.commits[0].version_id, str(shell.target)) == 0
    assert look(shell.target) == restored(old.commits[0].tree)


# --- passwords -----------------------------------------------------------------------------------------------------

READING = [["list_versions"], ["list_files", "latest"], ["list_changes", "latest"], ["backup", "--dry-run"]]


@of_kind(BOTH_ENCRYPTED)
@pytest.mark.parametrize("given", ["wrong", None], ids=["wrong", "none"])
def test_without_the_password_nothing_is_listed_restored_or_written(shell: Shell, given: str | None) -> None:
    shell.configure_for(shell.old.kind, **({"crypt_password": given} if given else {}))
    unchanged = nothing_written(shell.old.store)
    error = "WrongPassword" if given else "PasswordMissing"
    for words in [*READING, ["download", "latest", str(shell.target)], ["backup", "--upgrade"]]:
        refused(shell.run("--json", *words), 12, error)
    for words in (["garbage_collect", "--upgrade"], ["clean_gc_log", "--upgrade"]):
        refused(shell.run("--json", *words), 12, error)
    assert unchanged()
    assert not shell.target.exists() or look(shell.target) == {}


def other_password(bench: Bench, password: str | None) -> Bench:
    return evolve(bench, config=evolve(bench.config, crypto=crypto(password)))


@pytest.fixture
def client_of(make_bench: MakeBench) -> Callable[..., Bench]:
    return partial(client_to_go_on, make_bench)


ClientOf = Callable[..., Bench]
WITHOUT = [("wrong", WrongPassword), (None, PasswordMissing)]


@pytest.mark.parametrize("kind", mostly_deep(ENCRYPTED), ids=named)
@pytest.mark.parametrize(("given", "error"), WITHOUT, ids=["wrong", "none"])
def test_nothing_is_upgraded_without_the_password(
    client_of: ClientOf, kind: Kind, given: str | None, error: type[RRBackupError]
) -> None:
    old = old_repository(kind)
    old.crash()
    unchanged = nothing_written(old.store)
    bench = other_password(client_of(old, NEXT), given)
    for write in (Repository.backup, Repository.garbage_collect, Repository.clean_gc_log):
        with bench.open() as repository, pytest.raises(error) as caught:
            write(repository, upgrade=True)
        assert "wrong" not in f"{caught.value!r}", "no message shows a password"
    assert unchanged()


MANY = {f"/{number:03}": File(b"plain %d" % number) for number in range(50)}
SOME_ARE_ENCRYPTED = [
    pytest.param(LAST, id="few"),
    pytest.param(
        {**MANY, **LAST},
        id="behind many plain ones",
    ),
]


@pytest.mark.parametrize("tree", SOME_ARE_ENCRYPTED)
@pytest.mark.parametrize(("given", "error"), WITHOUT, ids=["wrong", "none"])
def test_nothing_is_restored_without_the_password_even_where_only_some_files_are_encrypted(
    client_of: ClientOf, tree: Tree, given: str | None, error: type[RRBackupError], tmp_path: Path
) -> None:
    bench = other_password(client_of(old_repository(FILES_ENCRYPTED, trees=(tree,))), given)
    with open_repository(bench.config, store=bench.store, threads=1) as repository, pytest.raises(error):
        repository.download("latest", tmp_path / "out")
    assert not (tmp_path / "out").exists() or look(tmp_path / "out") == {}


def test_plain_files_need_no_password_where_only_others_are_encrypted(client_of: ClientOf, tmp_path: Path) -> None:
    bench = other_password(client_of(old_repository(FILES_ENCRYPTED)), None)
    with bench.open() as repository:
        assert len(repository.list_versions()) == 3
        assert {entry.path for entry in repository.list_files()} == set(map(path_text, LAST))
        repository.download("latest", tmp_path / "out", ["/secret*", "/folder/100*", "/folder/big*"])
    assert look(tmp_path / "out").keys() == restored(LAST).keys() - {
        b"secret/plan", b"secret/more", "folder/100% \\ grün ☂".encode(), b"folder/big.bin"
    }  # fmt: skip


@pytest.mark.parametrize("kind", mostly_deep(ENCRYPTED), ids=named)
def test_a_new_password_opens_what_1_0_encrypted(client_of: ClientOf, kind: Kind, tmp_path: Path) -> None:
    old = old_repository(kind)
    bench = client_of(old, NEXT)
    commits = {**commits_of(old), committed(bench.backup(upgrade=True)): look(bench.base)}
    before = contents(old.store)
    changed = bench.open().change_password("new password")
    assert missing(before, old.store) == set()
    assert [ref for ref in contents(old.store) if ref not in before] == [VersionRef("salt_file", changed.version_id)]
    with pytest.raises(WrongPassword):
        bench.open().list_versions()
    check_commits(other_password(bench, "new password"), commits, tmp_path / "reader")
    assert other_password(bench, "new password").backup().version_id is None


@pytest.mark.parametrize("kind", [FILES_ENCRYPTED, BOTH_ENCRYPTED], ids=named)
def test_the_bare_salt_cannot_be_gone_back_to(client_of: ClientOf, kind: Kind) -> None:
    """It would hide the keys of everything that was stored since."""
    old = old_repository(kind)
    bench = client_of(old, NEXT)
    bench.backup(upgrade=True)
    unchanged = nothing_written(old.store)
    with bench.open() as repository:
        current, bare = repository.salt_versions()
        assert (current.current, current.opens, bare.current, bare.opens) == (True, True, False, False)
        with pytest.raises(RRBackupError):
            repository.repair_salt(bare.version_id)
    assert unchanged()


@pytest.mark.parametrize("kind", [FILES_ENCRYPTED, BOTH_ENCRYPTED], ids=named)
def test_a_bare_salt_on_top_of_our_keys_replaces_nothing(client_of: ClientOf, kind: Kind, tmp_path: Path) -> None:
    """A client of 1.0, or a thief, put it there. New keys would not open what this version has stored."""
    old = old_repository(kind)
    bench = client_of(old, NEXT)
    bench.backup(upgrade=True)
    old.writer.prepare()
    unchanged = nothing_written(old.store)
    put_on_disk(bench.base, LAST)
    for options in ({}, {"upgrade": True}):
        with pytest.raises(RRBackupError) as caught:
            bench.backup(**options)
        assert not isinstance(caught.value, UpgradeNeeded), "that advice would lose keys"
        assert unchanged()
    with bench.open() as repository:
        ours = repository.salt_versions()[1]
        repository.repair_salt(ours.version_id)
    assert download(bench, "latest", tmp_path / "out").keys() == restored(NEXT).keys()


@pytest.mark.parametrize("kind", mostly_deep(ENCRYPTED), ids=named)
def test_the_old_key_is_kept_even_where_the_salt_object_is_missing(
    client_of: ClientOf, kind: Kind, tmp_path: Path
) -> None:
    """Deleted, or `remote_password_salt_file` was forgotten: every encrypted object has the salt in its header."""
    old = old_repository(kind)
    assert isinstance(old.store, MemoryStore)
    old.store.delete_versions([ref for ref in contents(old.store) if ref.key == "salt_file"])
    bench = client_of(old, NEXT, file_pipeline=[["*", ["encrypt"]]])
    commits = {**commits_of(old), committed(bench.backup(upgrade=True)): look(bench.base)}
    bench.open().change_password("new password")
    check_commits(other_password(bench, "new password"), commits, tmp_path / "reader")


def test_a_wrong_password_does_no_harm_where_1_0_has_committed_nothing(client_of: ClientOf) -> None:
    """All that could prove the password is the gc_log of a first run that was cut off."""
    old = old_repository(BOTH_ENCRYPTED, trees=())
    old.crash(SENDABLE)
    unchanged = nothing_written(old.store)
    bench = client_of(old, SENDABLE)
    with pytest.raises(WrongPassword):
        other_password(bench, "wrong").backup(upgrade=True)
    written = not unchanged()
    assert bench.backup(upgrade=True).uploaded_files > 0
    assert not written


@pytest.mark.parametrize("upgrade", [True, False], ids=["upgrade", "download"])
def test_a_damaged_file_is_not_taken_for_a_wrong_password(client_of: ClientOf, upgrade: bool, tmp_path: Path) -> None:
    """It is the first that is read, but others prove that the password is right."""
    path = "/secret/plan" if upgrade else "/folder/100% \\ grün ☂"
    store = MemoryStore()
    old = old_repository(FILES_ENCRYPTED, store, damaging(store, f"files{path}"))
    bench = client_of(old, NEXT)
    with open_repository(bench.config, store=store, threads=1) as repository:
        if upgrade:
            repository.backup(upgrade=True)
        done = repository.download(old.latest.version_id, tmp_path / "out")
    assert [(p.path, p.kind) for p in done.problems] == [(path_text(path), ProblemKind.DAMAGED)]


def damaging(store: MemoryStore, damaged: str) -> Put:
    """A way into a store that damages what is written to one key."""
    sound = putting(store)

    def put(key: str, body: bytes | None) -> str:
        return sound(key, body[:-1] + bytes([body[-1] ^ 1]) if body and key == damaged else body)

    return put


def test_a_person_is_asked_once_for_the_password_there_is(client_of: ClientOf) -> None:
    old = old_repository(BOTH_ENCRYPTED)
    bench = other_password(client_of(old), None)
    for use in (Repository.list_versions, partial(Repository.backup, upgrade=True)):
        assert asked(bench, use) == [False]


def test_a_plan_asks_for_the_password_there_is(client_of: ClientOf) -> None:
    bench = other_password(client_of(old_repository(BOTH_ENCRYPTED)), None)
    assert asked(bench, Repository.plan_backup) == [False]


def asked(bench: Bench, use: Callable[[Repository], object]) -> list[bool]:
    """How often, and whether for a new one."""
    questions: list[bool] = []

    def ask(new: bool) -> str:
        questions.append(new)
        return PASSWORD

    with open_repository(bench.config, store=bench.store, ask=ask) as repository:
        use(repository)
    return questions


# --- configurations that do not fit --------------------------------------------------------------------------------


def test_encrypted_diffs_are_not_followed_by_open_ones(client_of: ClientOf) -> None:
    old = old_repository(BOTH_ENCRYPTED)
    bench = client_of(old, meta_pipeline=["compress"])
    with bench.open() as repository, pytest.raises(ConfigError, match="encrypt"):
        repository.plan_backup()
    with pytest.raises(ConfigError, match="encrypt"):
        bench.backup(upgrade=True)
    assert len(client_of(old).open().list_versions()) == 3


@pytest.mark.parametrize("left", [True, False], ids=["with a gc_log", "without"])
def test_a_configuration_that_does_not_fit_writes_nothing(client_of: ClientOf, left: bool) -> None:
    old = old_repository(BOTH_ENCRYPTED)
    if left:
        old.crash()
    unchanged = nothing_written(old.store)
    with pytest.raises(ConfigError):
        client_of(old, meta_pipeline=["compress"]).backup(upgrade=True)
    assert unchanged()


def test_the_recovery_kit_asks_for_permission(client_of: ClientOf) -> None:
    old = old_repository()
    unchanged = nothing_written(old.store)
    with client_of(old).open() as repository, pytest.raises(UpgradeNeeded):
        repository.store_recovery_kit()
    assert unchanged()


def test_a_repository_without_keys_has_no_password_to_change(client_of: ClientOf) -> None:
    old = old_repository()
    unchanged = nothing_written(old.store)
    with client_of(old, crypto=crypto()).open() as repository, pytest.raises(RRBackupError):
        repository.change_password("new password")
    assert unchanged()


# --- the order of the diffs ----------------------------------------------------------------------------------------

USES: dict[str, Callable[[Repository], object]] = {
    "list_versions": Repository.list_versions,
    "list_files": Repository.list_files,
    "list_changes": Repository.list_changes,
    "download": lambda repository: repository.download("latest", Path(repository.config.base_path) / "never made"),
    "dry run": Repository.plan_backup,
    "backup": Repository.backup,
    "backup that upgrades": partial(Repository.backup, upgrade=True),
    "garbage_collect": partial(Repository.garbage_collect, upgrade=True),
    "clean_gc_log": partial(Repository.clean_gc_log, upgrade=True),
    "init": Repository.prepare,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_times_that_contradict_the_order_stop_everything(
    client_of: ClientOf, use: Callable[[Repository], object]
) -> None:
    """As after a bucket was copied."""
    store = MemoryStore()
    old = old_repository(PLAIN, store, putting(store, -SECOND))
    unchanged = nothing_written(store)
    bench = client_of(old, NEXT)
    with bench.open() as repository, pytest.raises(DamagedChain) as caught:
        use(repository)
    ids = [commit.version_id for commit in old.commits]
    assert ", ".join(ids) in caught.value.message
    assert ", ".join(reversed(ids)) in caught.value.message
    assert "LastModified" in caught.value.message
    assert unchanged()
    assert not (bench.base / "never made").exists()


def test_equal_times_contradict_nothing(client_of: ClientOf) -> None:
    """LastModified has whole seconds: the order is the store's."""
    store = MemoryStore()
    old = old_repository(PLAIN, store, putting(store, 0))
    versions = client_of(old).open().list_versions()
    assert [version.version_id for version in versions] == [commit.version_id for commit in old.commits]


def test_after_the_upgrade_clocks_do_not_matter(client_of: ClientOf, tmp_path: Path) -> None:
    """Diffs of format 2 name the one before; the store's clock may have been set back."""
    store = MemoryStore()
    old = old_repository(PLAIN, store, putting(store))
    bench = client_of(old)
    commits = commits_of(old)
    for tree in (NEXT, MIDDLE):
        store.clock_ns -= 100 * SECOND
        put_on_disk(bench.base, tree)
        commits[committed(bench.backup(upgrade=True))] = look(bench.base)
    check_commits(bench, commits, tmp_path / "reader")


# --- clients of 1.0 that were not stopped --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [PLAIN, BOTH_ENCRYPTED], ids=named)
def test_a_gc_log_of_1_0_after_the_upgrade_asks_for_permission_again(
    client_of: ClientOf, kind: Kind, tmp_path: Path
) -> None:
    """Nothing tells whether that client is alive, so it is for a person to say."""
    old = old_repository(kind)
    bench = client_of(old, NEXT)
    commits = {**commits_of(old), committed(bench.backup(upgrade=True)): look(bench.base)}
    before, orphans = contents(old.store), old.crash(CRASHED)
    unchanged = nothing_written(old.store)
    check_commits(bench, commits, tmp_path / "reading goes on")
    put_on_disk(bench.base, LAST)
    for write in (Repository.backup, Repository.garbage_collect, Repository.clean_gc_log, Repository.prepare):
        with bench.open() as repository, pytest.raises(UpgradeNeeded):
            write(repository)
    assert unchanged()
    commits[committed(bench.backup(upgrade=True))] = look(bench.base)
    assert missing(before, old.store) == set()
    assert file_versions(old.store).isdisjoint(orphans)
    check_commits(bench, commits, tmp_path / "reader")
    assert bench.backup().version_id is None


@pytest.mark.parametrize("kind", [PLAIN, BOTH_ENCRYPTED], ids=named)
@pytest.mark.parametrize("knows", [True, False], ids=["a client that knows the head", "a client that knows nothing"])
def test_a_diff_of_1_0_on_top_of_ours_stops_everything(
    client_of: ClientOf, kind: Kind, knows: bool, tmp_path: Path
) -> None:
    old = old_repository(kind)
    bench = client_of(old, NEXT)
    commits = {**commits_of(old), committed(bench.backup(upgrade=True)): look(bench.base)}
    before = contents(old.store)
    version_id = VersionId(old.writer.commit({**LAST, "/a.txt": File(b"written by 1.0")}))
    unchanged = nothing_written(old.store)
    client = bench if knows else bench.other_client(tmp_path / "other")
    for use in USES.values():
        with client.open() as repository, pytest.raises(OldClientWrote, match=version_id):
            use(repository)
    assert unchanged()
    assert isinstance(old.store, MemoryStore)
    old.store.delete_versions([VersionRef("manifest_diffs", version_id)])
    check_commits(bench, commits, tmp_path / "reader")
    (left,) = client.open().garbage_collect().deleted
    assert (left.key, missing(before, old.store)) == ("files/a.txt", set())


@contextmanager
def in_the_middle(work: Callable[[], object]) -> Iterator[Callable[[Event], None]]:
    """A listener that does `work` as soon as the first file is settled."""
    done: list[object] = []

    def listen(event: Event) -> None:
        if isinstance(event, FileDone) and not done:
            done.append(work())

    yield listen
    assert done


def test_a_client_of_1_0_that_commits_during_the_upgrade_wins(client_of: ClientOf, tmp_path: Path) -> None:
    """It cannot be fenced, but what it wrote in time is part of the history."""
    old = old_repository()
    bench = client_of(old, NEXT)
    theirs = {**LAST, "/theirs": File(b"written by 1.0")}
    before = contents(old.store)
    with in_the_middle(lambda: old.writer.commit(theirs)) as listen, pytest.raises(TransactionLost):
        bench.open().backup(upgrade=True, on_event=listen)
    commits = {**commits_of(old), bench.open().list_versions()[-1].version_id: restored(theirs)}
    commits[committed(bench.backup(upgrade=True))] = look(bench.base)
    assert missing(before, old.store) == set()
    bench.open().garbage_collect()
    check_commits(bench, commits, tmp_path / "reader")


def test_a_client_of_1_0_that_commits_during_a_later_backup_is_named(client_of: ClientOf, tmp_path: Path) -> None:
    old = old_repository()
    bench = client_of(old)
    commits = {**commits_of(old), committed(bench.backup(upgrade=True)): look(bench.base)}
    put_on_disk(bench.base, NEXT)
    with in_the_middle(lambda: old.writer.commit(CRASHED)) as listen, pytest.raises(OldClientWrote):
        bench.open().backup(on_event=listen)
    assert isinstance(old.store, MemoryStore)
    old.store.delete_versions([VersionRef("manifest_diffs", old.store.head("manifest_diffs").version_id)])
    commits[committed(bench.backup())] = look(bench.base)
    bench.open().garbage_collect()
    check_commits(bench, commits, tmp_path / "reader")


@pytest.mark.parametrize("damage", [b"", b"not a diff at all", json.dumps([{"path": "/x"}]).encode()])
def test_a_damaged_diff_of_1_0_stops_whoever_needs_it(client_of: ClientOf, damage: bytes) -> None:
    old = old_repository()
    old.leave("manifest_diffs", damage)
    unchanged = nothing_written(old.store)
    for use in USES.values():
        with client_of(old).open() as repository, pytest.raises(DamagedObject):
            use(repository)
    assert unchanged()
