"""A salt object that somebody without the password put on top of the true one, or deleted: nothing opens then, nothing
is lost, and `repair` goes back; through the library and on the command line.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

import rrbackup
from rrbackup import Word
from rrbackup.cli import main
from rrbackup.testing import Fault, FaultKind, SimulatedCrash
from tests import raw_objects
from tests.integration.machines import (
    FIRST,
    SALT,
    SECOND,
    Machine,
    crypto,
    encrypting,
    make_cheap,
    salts,
    stored,
)
from tests.integration.trees import look, write


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    make_cheap(monkeypatch)


@pytest.fixture
def owner(tmp_path: Path) -> Machine:
    """With a commit in the store, and something new to back up."""
    machine = encrypting(tmp_path / "owner").holds(a=b"1", b=b"22")
    machine.open().backup()
    return machine.holds(a=b"1", b=b"changed")


def version_of_salt(machine: Machine) -> str:
    """That of the newest one."""
    return machine.open().salt_versions()[0].version_id


# --- forgeries -----------------------------------------------------------------------------------------------------

Forgery = Callable[[bytes, Path], bytes]


def of_another(good: bytes, folder: Path) -> bytes:
    """Sound, with a password that only the forger knows."""
    forger = encrypting(folder / "forger", crypto=crypto("theirs")).holds(a=b"1")
    forger.open().backup()
    return salts(forger.store)[0]


def with_our_name(good: bytes, folder: Path) -> bytes:
    """The same, but it says that it belongs to this repository."""
    header, _, rest = raw_objects.split(of_another(good, folder))
    front = raw_objects.framed({**header, "repository": raw_objects.split(good)[0]["repository"]}, b"")
    fields = json.loads(rest)
    return front + json.dumps({**fields, "sha256": raw_objects.salt_digest(front[4:], fields)}).encode()


def asking(**kdf: object) -> Forgery:
    """For another derivation of the key, with a digest that is put right."""

    def forge(good: bytes, folder: Path) -> bytes:
        header, _, rest = raw_objects.split(good)
        forged = raw_objects.framed({**header, "kdf": {**header["kdf"], **kdf}}, b"")
        fields = json.loads(rest)
        digest = raw_objects.salt_digest(forged[4:], fields)
        return forged + json.dumps({**fields, "sha256": digest}).encode()

    return forge


def exchanged(**fields: object) -> Forgery:
    """With other fields in the payload, and a digest that is put right."""

    def forge(good: bytes, folder: Path) -> bytes:
        _, text, rest = raw_objects.split(good)
        changed = {**json.loads(rest), **fields}
        changed["sha256"] = raw_objects.salt_digest(text, changed)
        return good[: 4 + len(text)] + json.dumps(changed).encode()

    return forge


DAMAGED: dict[str, Forgery] = {
    "nothing": lambda good, folder: b"",
    "noise": lambda good, folder: bytes(range(256)) * 4,
    "cut off": lambda good, folder: good[:-1],
    "only its header": lambda good, folder: good[: -len(raw_objects.split(good)[2])],
    "longer": lambda good, folder: good + b" x",
    "huge": lambda good, folder: good + b" " * (1 << 20),
    "a record of another kind": lambda good, folder: raw_objects.plain_record("claim", {"format": 2}),
    "no object": lambda good, folder: raw_objects.framed(raw_objects.split(good)[0], b"[]"),
    "too little work": asking(opslimit=1),
    "too little memory": asking(memlimit=8_192),
    "work for days": asking(opslimit=1 << 40),
    "all the memory there is": asking(memlimit=1 << 50),
    "memory that is no number": asking(memlimit="33554432"),
    "no salt": asking(salt=""),
    "a salt that is too long": asking(salt="AAAA" * 100),
    "another wrapped key": exchanged(master="A" * 96),
    "no wrapped key": exchanged(master=""),
}
WRONG: dict[str, Forgery] = {
    "of another repository": of_another,
    "with our name": with_our_name,
    "another check": exchanged(check="A" * 43 + "="),
    "another salt": asking(salt="A" * 22 + "=="),
}
UNKNOWN: dict[str, Forgery] = {"another algorithm": asking(algorithm="argon2id13")}
ALL = [
    *((name, forge, rrbackup.DamagedObject) for name, forge in DAMAGED.items()),
    *((name, forge, rrbackup.WrongPassword) for name, forge in WRONG.items()),
    *((name, forge, rrbackup.UnsupportedFormat) for name, forge in UNKNOWN.items()),
]


@pytest.mark.parametrize(("forge", "error"), [case[1:] for case in ALL], ids=[case[0] for case in ALL])
def test_a_forged_salt_object_stops_everybody_and_repair_goes_back(
    owner: Machine, tmp_path: Path, forge: Forgery, error: type[rrbackup.RRBackupError]
) -> None:
    good = version_of_salt(owner)
    owner.store.put(SALT, forge(salts(owner.store)[0], tmp_path))
    before = stored(owner.store)
    for attempt in (owner.open().list_versions, owner.open().plan_backup, owner.open().backup):
        with pytest.raises(rrbackup.RepositoryError, match=SALT) as caught:
            attempt()
        assert type(caught.value) is error
        assert error is not rrbackup.WrongPassword or "repair" in caught.value.hint
    assert stored(owner.store) == before
    with owner.open() as repository:
        assert [(v.current, v.opens) for v in repository.salt_versions()] == [(True, False), (False, True)]
        assert repository.salt_versions()[1].version_id == good
        repository.repair_salt(good)
        assert repository.backup().uploaded_files == 1
    assert owner.restored() == {b"a": b"1", b"b": b"changed"}
    assert owner.restored("latest~1") == {b"a": b"1", b"b": b"22"}
    assert before.items() <= stored(owner.store).items(), "what the forger put there stays to be looked at"


def test_nothing_is_computed_for_parameters_that_are_never_written(
    owner: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**options: object) -> bytes:
        pytest.fail(f"derived with {options['time_cost']} and {options['memory_cost']}")

    good = salts(owner.store)[0]
    monkeypatch.setattr("rrbackup.effects.keys.hash_secret_raw", refused)
    for forge in (asking(opslimit=65), asking(memlimit=(1 << 30) + 1), asking(opslimit=3), asking(memlimit=1 << 24)):
        owner.store.put(SALT, forge(good, tmp_path))
        with pytest.raises(rrbackup.DamagedObject, match="never written"):
            owner.open().list_versions()


@pytest.mark.parametrize("meta", [[Word.ENCRYPT], []], ids=["encrypted diffs", "open diffs"])
def test_a_bare_salt_on_top_is_no_reason_to_make_new_keys(tmp_path: Path, meta: list[Word]) -> None:
    """What rrbackup 1.0 would have written is the shortest forgery of all; not even --upgrade replaces the keys."""
    owner = encrypting(tmp_path / "owner", meta_pipeline=meta).holds(a=b"1", b=b"22")
    owner.open().backup()
    good = version_of_salt(owner)
    owner.holds(a=b"1", b=b"changed").store.put(SALT, b"0123456789abcdef" * 2)
    before = stored(owner.store)
    for attempt in (
        lambda: owner.open().download("latest", tmp_path / "out"),
        owner.open().backup,
        lambda: owner.open().backup(upgrade=True),
        lambda: owner.open().change_password(SECOND),
    ):
        with pytest.raises(rrbackup.RepositoryError) as caught:
            attempt()
        assert "repair" in caught.value.hint
    assert stored(owner.store) == before
    owner.open().repair_salt(good)
    assert owner.restored() == {b"a": b"1", b"b": b"22"}


def test_a_deleted_salt_object_is_named_and_comes_back(owner: Machine) -> None:
    good = version_of_salt(owner)
    owner.store.mark_deleted(SALT)
    before = stored(owner.store)
    for attempt in (owner.open().list_versions, owner.open().backup, owner.open().prepare):
        with pytest.raises(rrbackup.DamagedObject, match=SALT) as caught:
            attempt()
        assert "repair" in caught.value.hint
    assert stored(owner.store) == before
    assert [(v.current, v.opens) for v in owner.open().salt_versions()] == [(False, True)]
    owner.open().repair_salt(good)
    assert owner.restored() == {b"a": b"1", b"b": b"22"}


# --- repair --------------------------------------------------------------------------------------------------------


@pytest.fixture
def forged(owner: Machine, tmp_path: Path) -> Machine:
    """With a forged salt object on the true one."""
    owner.store.put(SALT, of_another(b"", tmp_path))
    return owner


def test_repair_goes_back_only_to_what_the_password_opens(forged: Machine) -> None:
    on_top, good = (version.version_id for version in forged.open().salt_versions())
    before = stored(forged.store)
    with pytest.raises(rrbackup.WrongPassword, match=f"{SALT}.*{on_top}"):
        forged.open().repair_salt(on_top)
    with pytest.raises(rrbackup.NoSuchVersion, match="v999999"):
        forged.open().repair_salt("v999999")
    with pytest.raises(rrbackup.NoSuchVersion, match="v999999"):
        forged.open(crypto=None).repair_salt("v999999")
    with pytest.raises(rrbackup.WrongPassword, match=SALT):
        forged.with_password("guess").open().repair_salt(good)
    with pytest.raises(rrbackup.PasswordMissing):
        forged.open(crypto=None).repair_salt(good)
    with pytest.raises(rrbackup.RRBackupError, match="read-only"):
        forged.open(read_only=True).repair_salt(good)
    assert stored(forged.store) == before


def test_repair_goes_back_to_an_earlier_password_too(owner: Machine) -> None:
    first = version_of_salt(owner)
    owner.open().change_password(SECOND)
    new = owner.with_password(SECOND)
    assert [version.opens for version in new.open().salt_versions()] == [True, False]
    with pytest.raises(rrbackup.WrongPassword):
        new.open().repair_salt(first)
    owner.open().repair_salt(first)
    assert [version.opens for version in owner.open().salt_versions()] == [True, False, True]
    assert owner.restored() == {b"a": b"1", b"b": b"22"}


def test_repair_may_be_asked_for_what_is_there_already(owner: Machine) -> None:
    owner.open().repair_salt(version_of_salt(owner))
    assert owner.restored() == {b"a": b"1", b"b": b"22"}


@pytest.mark.parametrize("kind", list(FaultKind))
def test_a_repair_that_is_struck_anywhere_can_be_asked_for_again(
    forged: Machine, tmp_path: Path, kind: FaultKind
) -> None:
    good = forged.open().salt_versions()[1].version_id
    forgery = salts(forged.store)[0]
    at, struck = 0, True
    while struck:
        at += 1
        client = forged.store.client(faults=[Fault(at, kind)])
        try:
            forged.open(client).repair_salt(good)
        except (SimulatedCrash, rrbackup.StoreError):
            forged.open().repair_salt(good)
        struck = len(client.calls) >= at
        assert len(forged.open().list_versions()) == 1
        forged.store.put(SALT, forgery)
    assert at > 3


# --- on the command line -------------------------------------------------------------------------------------------


@frozen
class Shell:
    """The command, run on a repository in a folder."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    def configure(self, password: str, **changes: object) -> None:
        settings = {
            "base_path": str(self.folder / "base"),
            "local_manifest_file": str(self.folder / "manifest"),
            "local_lock_file": str(self.folder / "lock"),
            "directory": {"path": str(self.folder / "store")},
            "crypto": {"crypt_password": password, "kdf_passes": 4, "kdf_memory": 32 << 20},
            "meta_pipeline": ["compress", "encrypt"],
            "file_pipeline": [["*", ["hash_names", "compress", "encrypt"]]],
        }
        (self.folder / "c.json").write_text(json.dumps({**settings, **changes}))
        (self.folder / "c.json").chmod(0o600)

    def run(self, *words: str) -> tuple[int, str]:
        """The exit code and everything that was printed."""
        self.capsys.readouterr()
        code = main(["--c", str(self.folder / "c.json"), *words])
        captured = self.capsys.readouterr()
        return code, captured.out + captured.err

    def json(self, *words: str) -> Any:
        code, text = self.run(*words, "--json")
        document = json.loads(text)
        assert code == document.get("error", {}).get("exit_code", 0)
        return document

    def salt_folder(self) -> Path:
        return self.folder / "store" / SALT


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    shell = Shell(tmp_path, capsys)
    write(tmp_path / "base", {"a": b"1", "b": b"22"})
    shell.configure(FIRST)
    assert shell.run("-q") == (0, "")
    return shell


def test_repair_on_the_command_line(shell: Shell, tmp_path: Path) -> None:
    (true,) = shell.salt_folder().iterdir()
    forgery = true.with_name("%v2-00000002")
    forgery.write_bytes(of_another(b"", tmp_path))
    good = true.name.removeprefix("%v")
    for words in (["list_versions"], ["backup"], ["download", "latest", str(tmp_path / "out")]):
        code, text = shell.run(*words)
        assert code == 12
        assert "wrong password" in text
        assert "repair" in text
    assert shell.json("repair")["salt_versions"] == [
        {"version_id": "2-00000002", "current": True, "opens": False},
        {"version_id": good, "current": False, "opens": True},
    ]
    code, text = shell.run("repair")
    assert code == 0
    assert good in text
    assert shell.run("repair", "--salt", "2-00000002")[0] == 12
    assert shell.run("repair", "--salt", good)[0] == 0
    assert shell.run("-q", "download", "latest", str(tmp_path / "out"))[0] == 0
    assert look(tmp_path / "out") == look(tmp_path / "base")


def test_a_password_is_changed_on_the_command_line(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (true,) = shell.salt_folder().iterdir()
    files = set((tmp_path / "store" / "files").rglob("%v*"))
    (tmp_path / "new").write_text(f"{SECOND}\n")
    assert shell.json("change_password", "--new-password-file", str(tmp_path / "new")) == {
        "version_id": next(p.name[2:] for p in shell.salt_folder().iterdir() if p != true),
        "opens_with_earlier_passwords": [true.name[2:]],
    }
    assert shell.json("list_versions")["error"]["type"] == "WrongPassword"
    shell.configure(SECOND)
    assert len(shell.json("list_versions")["versions"]) == 1
    assert shell.json("backup")["version_id"] is None
    assert set((tmp_path / "store" / "files").rglob("%v*")) == files
    monkeypatch.setenv("RRBACKUP_NEW_PASSWORD", "third")
    code, text = shell.run("change_password")
    assert code == 0
    assert true.name[2:] in text, "the versions that still open with earlier passwords are named"
    shell.configure("third")
    assert shell.run("-q", "download", "latest", str(tmp_path / "out"))[0] == 0
    assert look(tmp_path / "out") == look(tmp_path / "base")


def test_without_a_new_password_nothing_is_changed(shell: Shell, tmp_path: Path) -> None:
    before = set(shell.salt_folder().iterdir())
    (tmp_path / "empty").write_text("\n")
    assert shell.json("change_password")["error"]["type"] == "UsageError"
    assert shell.json("change_password", "--new-password-file", str(tmp_path / "empty"))["error"]["exit_code"] == 2
    assert set(shell.salt_folder().iterdir()) == before


def test_wrong_and_missing_passwords_end_with_a_code_of_their_own(shell: Shell, tmp_path: Path) -> None:
    for password, crypt in (("wrong", {"crypt_password": "guess"}), ("missing", {})):
        shell.configure("", crypto=crypt)
        for words in (
            ["backup"],
            ["list_versions"],
            ["garbage_collect"],
            ["download", "latest", str(tmp_path / "out")],
        ):
            code, text = shell.run(*words)
            assert code == 12, f"{password}: {words}"
            assert "Traceback" not in text
    assert not (tmp_path / "out").exists()
