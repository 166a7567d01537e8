"""Changing the password the whole way: through the library and the command line, struck at every request.

What the one conditional write does by itself is in `test_keys.py`. Here a repository with encrypted files and diffs is
behind it, and at the end exactly one of both passwords opens all of it, whatever happened.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen

from rrbackup.api import Repository, open_repository
from rrbackup.cli import main
from rrbackup.config import Config, CryptoSettings, DirectorySettings
from rrbackup.config_shapes import plain_object
from rrbackup.effects.local_files import LocalLock
from rrbackup.effects.memory import Fault, FaultKind, MemoryClient, MemoryStore, SimulatedCrash
from rrbackup.effects.store import Store, Stored, list_exact
from rrbackup.errors import (
    LocalLockHeld,
    ModeError,
    RRBackupError,
    UsageError,
    WrongPassword,
)
from rrbackup.pure.model import VersionId
from rrbackup.pure.salt_record import Cost, read_record
from tests import quicker
from tests.integration.conftest import Bench
from tests.integration.trees import look, write

MakeBench = Callable[..., Bench]

SALT = "salt_file"
OLD, NEW, THIRD = "old pässword", "new pässword", "third pässword"
CHEAP = CryptoSettings(crypt_password=OLD, kdf_passes=4, kdf_memory=32 << 20)
TREE = {"a": b"content of a", "folder/b": b"content of b " * 100, "same as a": b"content of a", "empty": b""}
PIPELINES: dict[str, Any] = {
    "file_pipeline": [["*/b", ["hash_names", "compress", "encrypt"]], ["*", ["encrypt"]]],
    "meta_pipeline": ["compress", "encrypt"],
}


@pytest.fixture(autouse=True)
def _without_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RRBACKUP_PASSWORD", "RRBACKUP_NEW_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True, scope="module")
def _cheap_keys() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        quicker.cheap_keys(patch)
        yield


def with_password(config: Config, password: str) -> Config:
    assert config.crypto is not None
    return evolve(config, crypto=evolve(config.crypto, crypt_password=password))


def encrypted(make_bench: MakeBench, store: Store, **settings: object) -> Bench:
    """A repository with one commit, under the old password."""
    bench = make_bench(store, **{"crypto": CHEAP, **PIPELINES, **settings})
    write(bench.base, TREE)
    bench.backup()
    return bench


def salts(store: Store) -> list[VersionId]:
    """The versions of the salt object, newest first."""
    return [row.version_id for row in list_exact(store, SALT) if not row.marker]


# --- the whole way -------------------------------------------------------------------------------------------------


def test_the_new_password_opens_everything_and_nothing_is_stored_again(
    make_bench: MakeBench, store: Store, tmp_path: Path
) -> None:
    bench = encrypted(make_bench, store)
    before = {row.ref for row in store.list_versions("")}
    changed = bench.open().change_password(NEW)
    after = {row.ref for row in store.list_versions("")}
    assert {(ref.key, ref.version_id) for ref in after - before} == {(SALT, changed.version_id)}
    assert before <= after

    refused = bench.open()
    for attempt in (refused.list_versions, refused.list_files, refused.plan_backup, refused.backup, refused.prepare):
        with pytest.raises(WrongPassword):
            attempt()

    bench = evolve(bench, config=with_password(bench.config, NEW))
    assert bench.backup().version_id is None
    write(bench.base, {"later": b"under the same keys"})
    assert bench.backup().uploaded_files == 1
    assert bench.open().download("latest", tmp_path / "out").problems == ()
    assert look(tmp_path / "out") == look(bench.base)


def test_a_client_that_is_at_work_meanwhile_goes_on_and_its_commit_opens(make_bench: MakeBench) -> None:
    bench = encrypted(make_bench, MemoryStore())
    with bench.open() as at_work:
        at_work.list_versions()
        bench.open().change_password(NEW)
        write(bench.base, {"later": b"written with keys that were opened before"})
        assert at_work.backup().uploaded_files == 1
    paths = [entry.path for entry in bench.open(crypto=evolve(CHEAP, crypt_password=NEW)).list_files()]
    assert "/later" in paths


def test_the_repository_that_changed_it_no_longer_believes_its_old_password(make_bench: MakeBench) -> None:
    repository = encrypted(make_bench, MemoryStore()).open()
    repository.change_password(NEW)
    with pytest.raises(WrongPassword):
        repository.list_versions()


def test_older_versions_open_with_the_old_password_until_they_are_deleted(make_bench: MakeBench) -> None:
    """What the answer says: they remain, whoever puts one on top is in, and deleting them ends that."""
    store = MemoryStore()
    bench = encrypted(make_bench, store)
    changed = bench.open().change_password(NEW)
    assert [ref.version_id for ref in changed.replaced] == salts(store)[1:]
    assert [(found.current, found.opens) for found in bench.open().salt_versions()] == [(True, False), (False, True)]
    store.delete_versions(changed.replaced)
    assert [(found.current, found.opens) for found in bench.open().salt_versions()] == [(True, False)]
    assert len(bench.open(crypto=evolve(CHEAP, crypt_password=NEW)).list_files()) == len(TREE)


def test_a_change_can_be_taken_back_with_repair(make_bench: MakeBench) -> None:
    store = MemoryStore()
    bench = encrypted(make_bench, store)
    changed = bench.open().change_password(NEW)
    bench.open().repair_salt(changed.replaced[0].version_id)
    assert len(bench.open().list_files()) == len(TREE)
    with pytest.raises(WrongPassword):
        bench.open(crypto=evolve(CHEAP, crypt_password=NEW)).list_versions()


def test_the_cost_of_a_guess_is_what_the_configuration_says(make_bench: MakeBench) -> None:
    """Also for the same password: so a repository gets dearer to guess at."""
    store = MemoryStore()
    bench = encrypted(make_bench, store)
    bench.open(crypto=evolve(CHEAP, kdf_passes=5, kdf_memory=33 << 20)).change_password(OLD)
    costs = [read_record(store.get(SALT, version).body, SALT).kdf.cost for version in salts(store)]
    assert costs == [Cost(5, 33 << 20), Cost(4, 32 << 20)]
    assert len(bench.open().list_files()) == len(TREE)


# --- what is refused -----------------------------------------------------------------------------------------------


def test_a_wrong_old_password_is_told_before_anything_else_is_tried(make_bench: MakeBench) -> None:
    store = MemoryStore()
    bench = encrypted(make_bench, store)
    store.reset_calls()
    with pytest.raises(WrongPassword):
        bench.open(crypto=evolve(CHEAP, crypt_password="a guess")).change_password(NEW)
    assert {(call.method, call.key) for call in store.calls} == {("get", SALT)}


def test_a_new_password_is_asked_for_once_the_old_one_has_proved_right(make_bench: MakeBench) -> None:
    bench = encrypted(make_bench, MemoryStore())
    with pytest.raises(WrongPassword):
        bench.open(crypto=evolve(CHEAP, crypt_password="a guess")).change_password(lambda: pytest.fail("asked"))
    bench.open().change_password(lambda: NEW)
    assert len(bench.open(crypto=evolve(CHEAP, crypt_password=NEW)).list_files()) == len(TREE)


def test_nothing_is_asked_of_the_store_where_the_wish_makes_no_sense(make_bench: MakeBench) -> None:
    store = MemoryStore()
    bench = encrypted(make_bench, store)
    store.reset_calls()
    with pytest.raises(UsageError, match="empty"):
        bench.open().change_password("")
    with pytest.raises(ModeError):
        bench.open(read_only=True).change_password(NEW)
    with LocalLock(bench.config.lock_path()), pytest.raises(LocalLockHeld):
        bench.open().change_password(NEW)
    assert store.calls == ()


def test_a_repository_without_keys_has_no_password_to_change(make_bench: MakeBench) -> None:
    store = MemoryStore()
    bench = make_bench(store, crypto=CHEAP)
    write(bench.base, TREE)
    bench.backup()
    with pytest.raises(UsageError, match="no keys"):
        bench.open().change_password(NEW)
    assert salts(store) == []


# --- struck at every request ---------------------------------------------------------------------------------------

REQUESTS = ["get", "get", "list_versions", "put"]
"""What a change takes where nothing goes wrong; all of it concerns the salt object."""
FAULTS = [Fault(at, kind) for at in range(1, len(REQUESTS) + 1) for kind in FaultKind]


@frozen
class Scene:
    """A repository that was written once, for cases that each get a store of their own with the same in it."""

    bench: Bench
    file: Path

    def store(self) -> MemoryStore:
        source, store = self.bench.store, MemoryStore()
        for row in sorted(source.list_versions(""), key=lambda row: row.version_id):
            found = source.get(row.key, row.version_id)
            assert store.put(row.key, found.body, metadata=found.info.metadata).version_id == row.version_id
        return store

    def open(self, store: Store, password: str) -> Repository:
        return open_repository(with_password(self.bench.config, password), store=store)

    def opens(self, store: Store, password: str) -> bool:
        """Whether the password opens everything; one that does not opens nothing."""
        repository = self.open(store, password)
        try:
            assert repository.backup().version_id is None
        except WrongPassword:
            with pytest.raises(WrongPassword):
                repository.list_files()
            return False
        assert {entry.path for entry in repository.list_files()} == {f"/{path}" for path in TREE}
        return True

    def passwords(self, store: Store, asked: Sequence[str] = (OLD, NEW)) -> list[str]:
        """Those that open it."""
        return [password for password in asked if self.opens(store, password)]

    def command(self, store: Store, *words: str) -> int:
        """Run the command line in this process, on that store."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("rrbackup.cli.session.open_repository", partial(open_repository, store=store))
            return main(["--c", str(self.file), *words])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, _cheap_keys: None) -> Scene:
    folder = tmp_path_factory.mktemp("scene")
    config = Config(
        base_path=str(folder / "base"),
        local_manifest_file=str(folder / "manifest"),
        local_lock_file=str(folder / "lock"),
        directory=DirectorySettings(path=str(folder / "unused")),
        crypto=CHEAP,
        **PIPELINES,
    )
    file = folder / "configuration.json"
    file.write_text(json.dumps(plain_object(config)))
    file.chmod(0o600)
    write(folder / "base", TREE)
    bench = Bench(folder / "base", config, MemoryStore())
    bench.backup()
    return Scene(bench, file)


Way = Callable[[Scene, MemoryClient], bool]
"""Changes the password from OLD to NEW, and says whether that was reported as done."""


def by_library(scene: Scene, client: MemoryClient) -> bool:
    try:
        scene.open(client, OLD).change_password(NEW)
    except (SimulatedCrash, RRBackupError):
        return False
    return True


def by_command(scene: Scene, client: MemoryClient) -> bool:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RRBACKUP_NEW_PASSWORD", NEW)
        try:
            return scene.command(client, "-q", "change_password") == 0
        except SimulatedCrash:
            return False


WAYS = pytest.mark.parametrize("way", [by_library, by_command])


@WAYS
def test_a_change_takes_four_requests_to_the_salt_object(scene: Scene, way: Way) -> None:
    store = scene.store()
    assert way(scene, store)
    assert [call.method for call in store.calls[-len(REQUESTS) :]] == REQUESTS
    assert {call.key for call in store.calls[-len(REQUESTS) :]} == {SALT}
    assert scene.passwords(store) == [NEW]


@WAYS
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_anywhere_leaves_exactly_one_password_valid(scene: Scene, way: Way, fault: Fault) -> None:
    store = scene.store()
    client = store.client(faults=[fault])
    done = way(scene, client)
    (valid,) = scene.passwords(store)
    assert valid == NEW or not done, "it was reported as done"
    assert len(salts(store)) == (2 if valid == NEW else 1)
    if fault.at == len(REQUESTS) and not client.crashed:
        assert done, "a lost answer is no failure"
    scene.open(store, valid).change_password(THIRD)
    assert scene.opens(store, THIRD), "it can be done again"


@pytest.mark.parametrize("kind", [FaultKind.LOST, FaultKind.NOT_SENT])
def test_answers_that_keep_being_lost_are_told_as_such(
    scene: Scene, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: FaultKind
) -> None:
    """Every other request is the read that looks at what became of the write before."""
    monkeypatch.setenv("RRBACKUP_NEW_PASSWORD", NEW)
    store = scene.store()
    client = store.client(faults=[Fault(at, kind) for at in range(len(REQUESTS), 20, 2)])
    code = scene.command(client, "change_password")
    said = capsys.readouterr().err
    if kind is FaultKind.LOST:
        assert (code, scene.passwords(store)) == (0, [NEW])
    else:
        assert (code, scene.passwords(store)) == (1, [OLD])
        assert "try the old one and then the new one" in said


@WAYS
def test_another_client_that_changes_it_at_the_same_time_wins(
    scene: Scene, way: Way, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = scene.store()
    client = store.client()
    put, first, other = client.put, [THIRD], scene.bench.other_client(tmp_path / "other")

    def overtaken(*args: Any, **options: Any) -> Stored:
        while first:
            evolve(scene, bench=other).open(store, OLD).change_password(first.pop())
        return put(*args, **options)

    monkeypatch.setattr(client, "put", overtaken)
    assert not way(scene, client)
    assert scene.passwords(store, [OLD, NEW, THIRD]) == [THIRD]


# --- the command ---------------------------------------------------------------------------------------------------


@frozen
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def run(scene: Scene, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs the command and looks whether it gave a password away."""

    def runs(store: Store, *words: str) -> Ran:
        capsys.readouterr()
        code = scene.command(store, *words)
        shown = capsys.readouterr()
        assert not any(password in shown.out + shown.err for password in (OLD, NEW, THIRD))
        return Ran(code, shown.out, shown.err)

    return runs


def test_the_output_says_what_remains_and_how_to_remove_it(
    scene: Scene, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RRBACKUP_NEW_PASSWORD", NEW)
    store = scene.store()
    ran = run(store, "change_password")
    new, old = salts(store)
    text = " ".join(ran.out.split())
    assert (ran.code, ran.err) == (0, "")
    assert f"version: {new} " in text
    assert "who knows it, and can read it or has kept a copy, can open this repository" in text
    assert f"delete the file %v{old} in the folder {SALT} of the store" in text
    assert f"%v{new}" not in text
    assert "write the new password where the configuration has the old one" in text


def test_for_a_bucket_it_gives_the_commands_that_remove_what_remains(
    scene: Scene, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RRBACKUP_NEW_PASSWORD", NEW)
    document = json.loads(scene.file.read_text())
    del document["directory"]
    file = tmp_path / "s3.json"
    file.write_text(json.dumps({**document, "s3": {"bucket": "the-bucket", "prefix": "a/prefix"}}))
    store = scene.store()
    ran = run(store, "change_password", "--c", str(file))
    (old,) = salts(store)[1:]
    removal = f"aws s3api delete-object --bucket the-bucket --key a/prefix/{SALT} --version-id {old}"
    assert removal in [line.strip() for line in ran.out.splitlines()]


def test_the_document_names_the_same(scene: Scene, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RRBACKUP_NEW_PASSWORD", NEW)
    store = scene.store()
    ran = run(store, "change_password", "--json")
    new, old = salts(store)
    assert json.loads(ran.out) == {"version_id": new, "opens_with_earlier_passwords": [old]}


def test_quietly_it_still_changes_it(scene: Scene, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RRBACKUP_NEW_PASSWORD", NEW)
    store = scene.store()
    assert run(store, "change-password", "-q") == Ran(0, "", "")
    assert scene.passwords(store) == [NEW]


def test_a_file_comes_before_the_environment(
    scene: Scene, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RRBACKUP_NEW_PASSWORD", NEW)
    (tmp_path / "new").write_text(f"{THIRD}\n")
    store = scene.store()
    assert run(store, "change_password", "--new-password-file", str(tmp_path / "new")).code == 0
    assert scene.passwords(store, [NEW, THIRD]) == [THIRD]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"two\nlines\n", "more than one line"),
        (b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_a_file_without_a_password_changes_nothing(
    scene: Scene, run: Callable[..., Ran], tmp_path: Path, content: bytes, fault: str
) -> None:
    (tmp_path / "new").write_bytes(content)
    store = scene.store()
    ran = run(store, "change_password", "--new-password-file", str(tmp_path / "new"), "--json")
    error = json.loads(ran.out)["error"]
    assert (ran.code, error["exit_code"], error["type"]) == (2, 2, "UsageError")
    assert fault in error["message"]
    assert len(salts(store)) == 1


def test_no_new_password_and_nobody_to_ask_changes_nothing(scene: Scene, run: Callable[..., Ran]) -> None:
    store = scene.store()
    for words in ([], ["--new-password-file", "no such file"]):
        assert run(store, "change_password", *words).code == 2
    assert len(salts(store)) == 1


def test_an_empty_new_password_in_the_environment_is_a_mistake(
    scene: Scene, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RRBACKUP_NEW_PASSWORD", "")
    ran = run(scene.store(), "change_password")
    assert ran.code == 2
    assert "RRBACKUP_NEW_PASSWORD is empty" in ran.err
