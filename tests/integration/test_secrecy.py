"""No password and no key shows up in anything that people or programs get to see.

Every test says and hears as much as it can, with passwords that are easy to find, and then looks for them in every
spelling. The passwords never stand in the source of a test, because tracebacks quote that.
"""

import base64
import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from attrs import evolve, frozen

import rrbackup
from rrbackup.cli import main
from rrbackup.testing import Fault, FaultKind, SimulatedCrash
from tests import raw_objects
from tests.integration.machines import SALT, Machine, crypto, encrypting, make_cheap, salts, stored
from tests.integration.trees import write

OLD, NEW, WRONG = (f"{start}-zanzibär-{start}" for start in ("old", "new", "bad"))
PASSWORDS = (OLD, NEW, WRONG)


# --- hearing and looking -------------------------------------------------------------------------------------------


class Ear:
    """Everything that was seen or heard, as text."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def hear(self, *values: object) -> None:
        for value in values:
            self.heard += [str(value), repr(value)]

    def hear_error(self, error: BaseException) -> None:
        self.hear(error, error.args, vars(error), getattr(error, "hint", ""))
        self.heard += traceback.format_exception(error)
        inner = error.__cause__ if error.__suppress_context__ else error.__context__
        if inner is not None:
            self.hear_error(inner)

    def listen(self, action: Callable[[], object]) -> None:
        """To what it gives, or fails with."""
        try:
            self.hear(action())
        except (Exception, SimulatedCrash) as error:  # noqa: BLE001 (to be looked at, whatever it is)
            self.hear_error(error)

    @property
    def errors(self) -> set[str]:
        """The names of the errors that were raised."""
        return {
            line.split(":")[0].rpartition(".")[2] for text in self.heard for line in text.splitlines() if ":" in line
        }


def spellings(password: str) -> Iterator[str]:
    raw = password.encode()
    yield from (password, repr(password)[1:-1], ascii(password)[1:-1], json.dumps(password)[1:-1], quote(password))
    yield from (repr(raw)[2:-1], raw.hex(), base64.b64encode(raw).decode().rstrip("="))
    yield password[4:12]  # without what tells the passwords apart


def key_spellings(key: bytes) -> Iterator[str]:
    yield from (key.hex(), base64.b64encode(key).decode().rstrip("="), repr(key)[2:-1], repr(list(key))[1:-1])


def assert_unheard(heard: list[str], keys: list[bytes]) -> None:
    secrets = {spelling for password in PASSWORDS for spelling in spellings(password)}
    secrets |= {spelling for key in keys for spelling in key_spellings(key)}
    text = "\n".join(heard)
    assert len(text) > 1_000
    assert [secret for secret in sorted(secrets) if secret in text] == []


def keys_in(*bodies: bytes) -> list[bytes]:
    """All that is derived from the passwords, right or wrong, or from the master key in these salt objects."""
    found = []
    for body in bodies:
        for password in PASSWORDS:
            found.append(raw_objects.derive(password, raw_objects.split(body)[0]["kdf"]))
            with suppress(raw_objects.DoesNotOpen):
                keys = raw_objects.open_salt(body, password)
                found += [keys.master, *(keys.subkey(use) for use in ("streams", "metadata", "names", "labels"))]
    assert len(found) > 7, "at least one of them opened"
    return found


def test_the_search_finds_what_it_looks_for() -> None:
    for password in PASSWORDS:
        for spelling in spellings(password):
            with pytest.raises(AssertionError, match="=="):
                assert_unheard(["x" * 1_000, f"<{spelling}>"], [])
    for spelling in key_spellings(bytes(range(200, 232))):
        with pytest.raises(AssertionError, match="=="):
            assert_unheard(["x" * 1_000, spelling], [bytes(range(200, 232))])


# --- the library ---------------------------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    make_cheap(monkeypatch)
    return encrypting(tmp_path / "one", crypto=crypto(OLD)).holds(a=b"1", b=b"22")


def everything(repository: rrbackup.Repository, ear: Ear, out: Path, new: str = NEW) -> None:
    """What a repository can be asked for, with all that it tells meanwhile."""
    asked: list[Callable[[], object]] = [
        repository.prepare,
        repository.plan_backup,
        lambda: repository.backup(on_event=ear.hear, take_over=True),
        repository.list_versions,
        lambda: list(repository.list_files()),
        lambda: list(repository.list_changes()),
        lambda: repository.download("latest", out, on_event=ear.hear),
        lambda: repository.garbage_collect(on_event=ear.hear),
        lambda: repository.clean_gc_log(on_event=ear.hear),
        repository.salt_versions,
        lambda: repository.repair_salt("v000001"),
        lambda: repository.change_password(new),
        repository.list_versions,
    ]
    for ask in asked:
        ear.listen(ask)
    ear.hear(repository, vars(repository), repository.config, repository.config.crypto)


def test_when_all_goes_well(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ear = Ear()
    everything(machine.open(), ear, machine.folder / "out")
    everything(machine.with_password(NEW).open(), ear, machine.folder / "out", OLD)
    ear.hear(caplog.text)
    assert "WrongPassword" in ear.errors, "the configuration has the old one at the end"
    assert_unheard(ear.heard, keys_in(*salts(machine.store)))


def test_when_the_password_is_wrong_or_missing(machine: Machine) -> None:
    machine.open().backup()
    ear = Ear()
    everything(machine.with_password(WRONG).open(), ear, machine.folder / "out")
    everything(machine.open(crypto=None), ear, machine.folder / "out")
    everything(machine.open(meta_pipeline=()), ear, machine.folder / "out")
    everything(machine.open(read_only=True), ear, machine.folder / "out")
    everything(machine.open(write_only=True), ear, machine.folder / "out")
    assert {"WrongPassword", "PasswordMissing", "ConfigError", "ModeError"} <= ear.errors
    assert_unheard(ear.heard, keys_in(*salts(machine.store)))


def test_when_objects_are_damaged(machine: Machine) -> None:
    machine.open().backup()
    keys, ear = keys_in(*salts(machine.store)), Ear()
    for key, body in [(key, body) for (key, _), body in stored(machine.store).items() if not key.startswith("files/")]:
        for other in (b"", body[:-1], body[:40], body[:-5] + b"?" + body[-4:], raw_objects.plain_record("x", {})):
            machine.store.put(key, other)
            everything(machine.open(), ear, machine.folder / "out")
            machine.store.put(key, body)
    assert {"DamagedObject", "UnsupportedFormat"} & ear.errors
    assert_unheard(ear.heard, keys)


def test_when_the_store_fails(machine: Machine) -> None:
    ear = Ear()
    for kind in FaultKind:
        for at in range(1, 30, 3):
            other = evolve(machine.elsewhere(), store=type(machine.store)()).holds(a=b"1")
            client = other.store.client(faults=[Fault(at, kind)])
            everything(other.open(client), ear, other.folder / "out")
    assert {"SimulatedCrash", "StoreUnavailable", "OutcomeUnknown"} & ear.errors
    machine.open().backup()
    assert_unheard(ear.heard, keys_in(*salts(machine.store)))


def test_when_something_goes_wrong_that_nobody_thought_of(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback through every module that holds the password or the keys."""
    machine.open().backup()
    keys, ear = keys_in(*salts(machine.store)), Ear()

    def broken(*arguments: object, **options: object) -> object:
        raise RuntimeError("nobody thought of this")

    places = ["hash_secret_raw", "open_record", "read_record", "seal_record"]
    for place in [f"rrbackup.effects.keys.{name}" for name in places] + ["rrbackup.pure.encryption.init_pull"]:
        with monkeypatch.context() as patch:
            patch.setattr(place, broken)
            everything(machine.open(), ear, machine.folder / "out")
    assert sum("nobody thought of this" in text for text in ear.heard) > 10
    assert_unheard(ear.heard, keys)


def bad_sources(folder: Path) -> Iterator[rrbackup.CryptoSettings]:
    (folder / "lines").write_text(f"{OLD}\n{NEW}\n")
    (folder / "latin").write_bytes(OLD.encode("latin-1") + b"\xff")
    (folder / "empty").write_text("\n")
    for name in ("lines", "latin", "empty", "none", ""):
        yield rrbackup.CryptoSettings(crypt_password_file=str(folder / name))
    python = f"{sys.executable} -c"
    commands = [
        f"{python} \"print('{OLD}'); exit(3)\"",
        f"{python} \"print('{OLD}\\n{NEW}')\"",
        f"'{OLD}",
        f"/none/{OLD}",
    ]
    for command in commands:
        yield rrbackup.CryptoSettings(crypt_password_command=command)


def test_when_the_source_of_the_password_does_not_work(machine: Machine) -> None:
    machine.open().backup()
    ear = Ear()
    for source in bad_sources(machine.folder):
        repository = machine.open(crypto=source)
        for ask in (repository.list_versions, repository.backup, repository.salt_versions):
            with pytest.raises(rrbackup.UsageError) as caught:
                ask()
            ear.hear_error(caught.value)
        ear.hear(repository.config, source)
    asking = partial(rrbackup.open_repository, evolve(machine.config, crypto=None), store=machine.store)
    ear.listen(asking(ask=lambda new: "").list_versions)
    ear.listen(asking(ask=lambda new: f"{OLD}\udcff").list_versions)
    assert "UsageError" in ear.errors
    assert_unheard(ear.heard, keys_in(*salts(machine.store)))


def test_when_the_configuration_is_wrong() -> None:
    ear = Ear()
    quoted = json.dumps(OLD)
    texts = [
        f'{{"crypto": {{"crypt_password": {quoted[:-1]}',
        f'{{"crypto": {{"crypt_password": {quoted} {quoted}}}}}',
        f'{{"crypto": {{"crypt_password": {OLD}}}}}',
        f'{{"crypto": {quoted}}}',
        f'{{"crypto": {{"crypt_password": [{quoted}]}}}}',
        f'{{"crypto": {{"crypt_password": {{"is": {quoted}}}}}}}',
        f'{{"crypto": {{"crypt_password": {quoted}, "crypt_password": {quoted}}}}}',
        f'{{"crypto": {{"crypt_pasword": {quoted}}}}}',
        f'{{"crypto": {{"crypt_password_command": [{quoted}]}}, "directory": {{"path": "x"}}}}',
        f'{{"crypt_password": {quoted}}}',
        f'{{"s3": {{"bucket": "b", "secret_key": {quoted}}}}}',
        f"{OLD}",
        quoted,
    ]
    for text in texts:
        with pytest.raises(rrbackup.ConfigError) as caught:
            rrbackup.parse_config(text, "the configuration")
        ear.hear_error(caught.value)
    for base, password in (("", OLD), ("/", f"{OLD}\udcff")):
        with pytest.raises(rrbackup.ConfigError) as caught:
            rrbackup.Config(base_path=base, crypto=crypto(password))
        ear.hear_error(caught.value)
    assert_unheard(ear.heard, [])


# --- what lies on disks --------------------------------------------------------------------------------------------


def test_neither_the_store_nor_the_local_files_hold_it(machine: Machine) -> None:
    """Also those that a run which died leaves behind."""
    machine.open().backup()
    dying = machine.holds(c=b"3").store.client(faults=[Fault(5, FaultKind.AFTER)])
    with pytest.raises(SimulatedCrash):
        machine.open(dying).backup()
    local = [path.read_bytes() for path in machine.folder.iterdir() if path.is_file()]
    assert len(local) == 3, "manifest, journal and lock"
    machine.open().change_password(NEW)
    bodies = [body for (key, _), body in stored(machine.store).items()]
    seen = [data.decode("utf-8", "surrogateescape") for data in (*local, *bodies)]
    seen += [repr(data) for data in (*local, *bodies)]
    assert_unheard(seen, keys_in(*salts(machine.store)))


# --- the command line ----------------------------------------------------------------------------------------------


@frozen
class Shell:
    folder: Path
    capsys: pytest.CaptureFixture[str]
    ear: Ear

    def configure(self, **changes: Any) -> None:
        settings = {
            "base_path": str(self.folder / "base"),
            "local_manifest_file": str(self.folder / "manifest"),
            "local_lock_file": str(self.folder / "lock"),
            "directory": {"path": str(self.folder / "store")},
            "crypto": {"crypt_password": OLD, "kdf_passes": 4, "kdf_memory": 32 << 20},
            "meta_pipeline": ["encrypt"],
            "file_pipeline": [["*", ["hash_names", "encrypt"]]],
        }
        (self.folder / "c.json").write_text(json.dumps({**settings, **changes}))

    def run(self, *words: str) -> int:
        self.capsys.readouterr()
        code = main(["--c", str(self.folder / "c.json"), *words])
        captured = self.capsys.readouterr()
        self.ear.heard += [captured.out, captured.err]
        return code

    def keys(self) -> list[bytes]:
        return keys_in(*(path.read_bytes() for path in (self.folder / "store" / SALT).iterdir()))

    def run_all(self) -> set[int]:
        """Every command, for people who want to know everything and for programs; the exit codes."""
        out, new = str(self.folder / "out"), str(self.folder / "new")
        commands = [
            ["init"],
            ["backup", "--dry-run"],
            ["backup", "--take-over"],
            ["list_versions"],
            ["list_files", "latest"],
            ["list_changes", "latest"],
            ["download", "latest", out],
            ["garbage_collect"],
            ["clean_gc_log"],
            ["repair"],
            ["repair", "--salt", "1-00000000"],
            ["change_password", "--new-password-file", new],
        ]
        return {self.run(*words, option) for words in commands for option in ("-v", "--json")}


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    make_cheap(monkeypatch)
    write(tmp_path / "base", {"a": b"1", "b": b"22"})
    (tmp_path / "new").write_text(OLD)
    return Shell(tmp_path, capsys, Ear())


def test_the_command_line_shows_none_of_it(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.configure()
    codes = shell.run_all()
    others: list[dict[str, Any]] = [
        {"crypto": {"crypt_password": WRONG}},
        {"crypto": {}},
        {"crypto": {"crypt_password": [WRONG]}},
        {"crypto": WRONG},
        {"crypto": {"crypt_password_command": f"/none/{WRONG}"}},
        {"crypto": {"crypt_password_command": f"false {WRONG}"}},
        {"meta_pipeline": []},
        {"read_only": True},
    ]
    for changes in others:
        shell.configure(**changes)
        codes |= shell.run_all()
    (shell.folder / "c.json").write_text(f'{{"crypto": {{"crypt_password": "{OLD}')
    codes |= shell.run_all()
    shell.configure(crypto={})
    for variable in ("RRBACKUP_PASSWORD", "RRBACKUP_NEW_PASSWORD"):
        monkeypatch.setenv(variable, WRONG)
    codes |= {*shell.run_all(), shell.run("change_password", "-v")}
    assert {0, 1, 2, 12} <= codes
    assert_unheard(shell.ear.heard, shell.keys())


def test_a_bug_shows_none_of_it(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """With -v the command shows a traceback then."""
    shell.configure()
    shell.run("backup")

    def broken(*arguments: object, **options: object) -> object:
        raise RuntimeError("nobody thought of this")

    for place in ("rrbackup.effects.keys.open_record", "rrbackup.effects.keys.seal_record"):
        with monkeypatch.context() as patch:
            patch.setattr(place, broken)
            assert 1 in shell.run_all()
    assert any("Traceback" in text for text in shell.ear.heard)
    assert_unheard(shell.ear.heard, shell.keys())
