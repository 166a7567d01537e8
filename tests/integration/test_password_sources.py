"""Passwords at the command line: where they come from, what a wrong or missing one ends with, and the way back.

The sources and the terminal are tried as processes on a directory store; what needs many runs, or counts requests,
calls the command line inside this process. No run may show a password, whatever happens.
"""

import base64
import fcntl
import hashlib
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, field, frozen

from rrbackup.api import open_repository
from rrbackup.cli import main
from rrbackup.config import load_config
from rrbackup.effects.directory import DirectoryStore
from rrbackup.effects.keys import derive
from rrbackup.effects.store import Store
from rrbackup.pure.keys import Keyring
from rrbackup.pure.model import RepositoryId
from rrbackup.pure.salt_record import INTERACTIVE, Cost, Kdf, seal_record
from rrbackup.testing import MemoryStore
from tests.integration.trees import look, write
from tests.raw_objects import framed, split

SALT = "salt_file"
RIGHT, WRONG, OTHER = "s3cret right", "s3cret wrong", "s3cret other"
TREE = {"a": b"content", "folder/b": b"more content " * 50}
CHEAP = {"kdf_passes": 4, "kdf_memory": 32 << 20}
HASHED = [["*", ["hash_names"]]]
ENCRYPTED = {"file_pipeline": [["*", ["hash_names", "compress", "encrypt"]]], "meta_pipeline": ["encrypt"]}


@frozen
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What `--json` printed."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return self.document["error"]


@frozen
class Place:
    """A folder with a tree, a configuration and a directory store. `given` is what `crypto` says of the password."""

    folder: Path
    given: Mapping[str, object] = field(factory=dict)
    environment: Mapping[str, str] = field(factory=dict)
    keys: Mapping[str, object] = field(factory=lambda: ENCRYPTED)

    def configure(self) -> None:
        document = {
            "base_path": str(self.folder / "base"),
            "local_manifest_file": str(self.folder / "manifest"),
            "local_lock_file": str(self.folder / "lock"),
            "directory": {"path": str(self.folder / "store")},
            "crypto": {**CHEAP, **self.given},
            **self.keys,
        }
        self.file.write_text(json.dumps(document))
        self.file.chmod(0o600)

    @property
    def file(self) -> Path:
        return self.folder / "configuration.json"

    @property
    def store(self) -> DirectoryStore:
        return DirectoryStore(self.folder / "store")

    def with_password(self, password: str | None) -> "Place":
        return evolve(self, given={} if password is None else {"crypt_password": password}, environment={})

    def process(self, *words: str) -> Ran:
        """Run the command without a terminal, nor any to be found."""
        self.configure()
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.variables(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )
        return shows_nothing(Ran(done.returncode, done.stdout, done.stderr))

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "rrbackup", "--c", str(self.file), *words]

    def variables(self) -> dict[str, str]:
        return {**os.environ, "TERM": "xterm", **self.environment}

    def written(self) -> set[str]:
        """The versions and delete markers in the store."""
        found = (path for path in (self.folder / "store").rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)) for path in found if path.name != "%rrbackup"}


def shows_nothing(ran: Ran) -> Ran:
    assert "s3cret" not in ran.out + ran.err
    return ran


@pytest.fixture(autouse=True)
def _without_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RRBACKUP_PASSWORD", "RRBACKUP_NEW_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Nothing is stored yet."""
    write(tmp_path / "base", TREE)
    return Place(tmp_path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs the command line inside this process, on the store in the folder or on a given one."""

    def runs(place: Place, *words: str, store: Store | None = None) -> Ran:
        place.configure()
        capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(place.folder)
            for name, value in place.environment.items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", None)
            patch.setattr("rrbackup.cli.session.open_repository", partial(open_repository, store=store))
            code = main(["--c", str(place.file), *words])
        shown = capsys.readouterr()
        return shows_nothing(Ran(code, shown.out, shown.err))

    return runs


Run = Callable[..., Ran]


def made(folder: Path, keys: Mapping[str, object] = ENCRYPTED, store: Store | None = None) -> Place:
    """A place with one commit under RIGHT."""
    write(folder / "base", TREE)
    place = Place(folder, {"crypt_password": RIGHT}, keys=keys)
    place.configure()
    open_repository(load_config(place.file), store=store).backup()
    return place


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return made(tmp_path_factory.mktemp("template"))


@pytest.fixture
def full(template: Place, tmp_path: Path) -> Place:
    """The same in a folder of its own, where nothing says any more what the password is."""
    shutil.copytree(template.folder, tmp_path / "full")
    return Place(tmp_path / "full")


# --- sources -------------------------------------------------------------------------------------------------------

SOURCES = ("crypt_password", "crypt_password_file", "crypt_password_command", "RRBACKUP_PASSWORD")
"""In their order; the terminal is the last."""


def giving(place: Place, source: str, password: str) -> Place:
    """The same place where that source gives the password, besides what others give."""
    match source:
        case "RRBACKUP_PASSWORD":
            return evolve(place, environment={**place.environment, source: password})
        case "crypt_password_file":
            path = place.folder / "password"
            path.write_text(f"{password}\n")
            value = str(path)
        case "crypt_password_command":
            value = f"cat {place.folder / 'printed'}"
            (place.folder / "printed").write_text(f"{password}\n")
        case _:
            value = password
    return evolve(place, given={**place.given, source: value})


@pytest.mark.parametrize("source", SOURCES)
def test_each_source_alone_makes_keys_and_opens_them(place: Place, run: Run, source: str) -> None:
    alone = giving(place, source, RIGHT)
    assert alone.process("backup").code == 0
    assert run(alone, "download", "latest", "restored").code == 0
    assert look(place.folder / "restored") == look(place.folder / "base")
    wrong = run(giving(place, source, WRONG), "list_versions", "--json")
    assert (wrong.code, wrong.error["type"]) == (12, "WrongPassword")


@pytest.mark.parametrize("first", range(len(SOURCES)))
def test_the_first_source_that_is_given_decides(full: Place, run: Run, first: int) -> None:
    later = SOURCES[first + 1 :]
    good = giving(full, SOURCES[first], RIGHT)
    for source in later:
        good = giving(good, source, WRONG)
    assert good.process("list_versions").code == 0
    bad = giving(full, SOURCES[first], WRONG)
    for source in later:
        bad = giving(bad, source, RIGHT)
    assert run(bad, "list_versions").code == 12


def a_command(place: Place, text: str) -> str:
    script = place.folder / "script.py"
    script.write_text(text)
    return f"{sys.executable} {script}"


def bad_sources(place: Place) -> dict[str, Place]:
    """Sources that are given and do not work, by what the message says; each has a good one behind it."""
    (place.folder / "empty").write_bytes(b"")
    (place.folder / "lines").write_text(f"{RIGHT}\n{RIGHT}\n")
    (place.folder / "binary").write_bytes(b"s3cret \xff")
    good = giving(place, "RRBACKUP_PASSWORD", RIGHT)
    files = {
        "missing cannot be read: No such file": "missing",
        "base cannot be read: Is a directory": "base",
        "empty is empty": "empty",
        "lines: more than one line": "lines",
        "binary: the password is not UTF-8": "binary",
    }
    commands = {
        "command: it ended with status 3": a_command(place, f"print({RIGHT!r}); raise SystemExit(3)"),
        "command: it cannot be run": str(place.folder / "s3cret command"),
        "command is empty": "true",
    }
    return {
        **{text: evolve(good, given={"crypt_password_file": str(place.folder / n)}) for text, n in files.items()},
        **{text: evolve(good, given={"crypt_password_command": line}) for text, line in commands.items()},
        "RRBACKUP_PASSWORD is empty": evolve(place, environment={"RRBACKUP_PASSWORD": ""}),
    }


def test_a_source_that_does_not_work_is_told_and_the_next_is_not_tried(full: Place, run: Run) -> None:
    before = full.written()
    for text, place in bad_sources(full).items():
        for words in (["backup"], ["list_versions"]):
            ran = run(place, *words, "--json")
            assert (ran.code, ran.error["type"]) == (2, "UsageError"), text
            assert text in ran.error["message"]
    assert full.written() == before


def test_a_command_may_say_something_on_the_terminal_but_its_output_is_kept(place: Place) -> None:
    """Its errors go where ours go."""
    line = a_command(place, f"import sys; print('which key?', file=sys.stderr); print({RIGHT!r})")
    ran = evolve(place, given={"crypt_password_command": line}).process("backup")
    assert ran.code == 0
    assert "which key?" in ran.err


# --- a terminal ----------------------------------------------------------------------------------------------------

ONCE, TWICE, NEW = "Password: ", "Password (", "New password"
AGAIN = "Repeat for confirmation"
END_OF_INPUT, INTERRUPT = "\x04", "\x03"
LONGEST_WAIT_S = 60


def on_a_terminal(place: Place, words: Sequence[str], *answers: tuple[str, str]) -> Ran:
    """Run it on a terminal of its own; each answer is typed when its question has appeared. `out` is what was seen."""
    place.configure()
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        place.command(*words),
        cwd=place.folder,
        env=place.variables(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_on_its_own_terminal,
    ) as process:
        os.close(theirs)
        try:
            seen = _conversation(ours, answers)
        except BaseException:
            process.kill()
            raise
        finally:
            os.close(ours)
    return shows_nothing(Ran(process.returncode, seen, ""))


def _on_its_own_terminal() -> None:
    """Whoever runs the tests in the background ignores interrupts, and a child would inherit that."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _conversation(fd: int, answers: Sequence[tuple[str, str]]) -> str:
    """All that was seen. A question comes once the terminal no longer echoes, so nothing is typed too early."""
    seen = ""
    for question, answer in answers:
        asked = len(seen)
        while not (question in seen[asked:] and seen.endswith(": ")):
            more = _more(fd, seen)
            assert more, f"it ended and did not ask {question!r}: {seen!r}"
            seen += more
        os.write(fd, answer.encode() if answer in (END_OF_INPUT, INTERRUPT) else f"{answer}\n".encode())
    while more := _more(fd, seen):
        seen += more
    return seen


def _more(fd: int, seen: str) -> str:
    """What the terminal shows next; nothing when nobody has its other side open any more."""
    ready, _, _ = select.select([fd], [], [], LONGEST_WAIT_S)
    assert ready, f"it waits for something else: {seen!r}"
    try:
        return os.read(fd, 65536).decode(errors="replace")
    except OSError:
        return ""


def questions(ran: Ran) -> int:
    """How often a password was asked for, repetitions included."""
    return ran.out.count("assword: ") + ran.out.count("assword (") + ran.out.count(AGAIN)


def test_for_new_keys_a_terminal_is_asked_twice_and_for_existing_ones_once(place: Place, run: Run) -> None:
    made = on_a_terminal(place, ["backup"], (TWICE, RIGHT), (AGAIN, RIGHT))
    assert (made.code, questions(made)) == (0, 2)
    for words in (["backup"], ["download", "latest", "restored"]):
        opened = on_a_terminal(place, words, (ONCE, RIGHT))
        assert (opened.code, questions(opened)) == (0, 1)
    assert look(place.folder / "restored") == look(place.folder / "base")
    assert run(place.with_password(RIGHT), "list_versions").code == 0


def test_two_answers_that_differ_are_asked_for_again(place: Place, run: Run) -> None:
    no_kit = ["init", "--no-recovery-kit"]
    ran = on_a_terminal(place, no_kit, (TWICE, WRONG), (AGAIN, RIGHT), (TWICE, RIGHT), (AGAIN, RIGHT))
    assert ran.code == 0
    assert "do not match" in ran.out
    assert run(place.with_password(RIGHT), "backup").code == 0


def test_a_wrong_password_that_is_typed_ends_it(full: Place) -> None:
    before = full.written()
    for words in (["backup"], ["download", "latest", "restored"]):
        ran = on_a_terminal(full, words, (ONCE, WRONG))
        assert (ran.code, questions(ran)) == (12, 1)
    assert full.written() == before
    assert not (full.folder / "restored" / "a").exists()


@pytest.mark.parametrize("typed", [END_OF_INPUT, INTERRUPT], ids=["end of input", "ctrl-c"])
def test_whoever_does_not_answer_interrupts_it(place: Place, typed: str) -> None:
    assert on_a_terminal(place, ["backup"], (TWICE, typed)).code == 130
    assert place.written() == set()


def test_a_terminal_is_asked_last_and_only_where_a_password_is_needed(full: Place) -> None:
    given = giving(full, "RRBACKUP_PASSWORD", RIGHT)
    ran = on_a_terminal(given, ["list_versions"])
    assert (ran.code, questions(ran)) == (0, 0)
    plain = evolve(full.with_password(None), folder=full.folder / "plain", keys={})
    write(plain.folder / "base", TREE)
    for words in (["backup"], ["download", "latest", "restored"]):
        ran = on_a_terminal(plain, words)
        assert (ran.code, questions(ran)) == (0, 0)


def test_for_a_program_nobody_is_asked_even_on_a_terminal(full: Place) -> None:
    ran = on_a_terminal(full, ["backup", "--json"])
    assert (ran.code, ran.error["type"]) == (12, "PasswordMissing")


def test_the_old_password_is_asked_for_once_and_then_the_new_one_twice(full: Place, run: Run) -> None:
    ran = on_a_terminal(full, ["change_password"], (ONCE, RIGHT), (NEW, OTHER), (AGAIN, OTHER))
    assert (ran.code, questions(ran)) == (0, 3)
    assert run(full.with_password(OTHER), "list_versions").code == 0
    assert run(full.with_password(RIGHT), "list_versions").code == 12


def test_a_new_password_is_asked_for_once_the_old_one_has_proved_right(full: Place, run: Run) -> None:
    ran = on_a_terminal(full, ["change_password"], (ONCE, WRONG))
    assert (ran.code, questions(ran)) == (12, 1)
    assert run(full.with_password(WRONG), "change_password").code == 12


# --- none ----------------------------------------------------------------------------------------------------------

COMMANDS: dict[str, list[str]] = {
    "list_versions": ["list_versions"],
    "list_files": ["list_files", "latest"],
    "list_changes": ["list_changes", "latest"],
    "download": ["download", "latest", "restored"],
    "backup": ["backup"],
    "backup without a word": [],
    "backup --dry-run": ["backup", "--dry-run"],
    "backup --reprocess": ["backup", "--reprocess", "--allow-empty", "--take-over", "--upgrade"],
    "garbage_collect": ["garbage_collect", "--take-over", "--upgrade"],
    "clean_gc_log": ["clean_gc_log"],
    "change_password": ["change_password"],
    "init": ["init"],
}
"""All but `repair`, with a new password in the environment."""
every_command = pytest.mark.parametrize("words", COMMANDS.values(), ids=list(COMMANDS))


def before_a_command(place: Place) -> Place:
    return evolve(place, environment={**place.environment, "RRBACKUP_NEW_PASSWORD": OTHER})


@every_command
def test_a_missing_password_ends_every_command_and_nothing_is_written(full: Place, run: Run, words: list[str]) -> None:
    before = full.written()
    ran = run(before_a_command(full), *words, "--json")
    assert (ran.code, ran.error["exit_code"], ran.error["type"]) == (12, 12, "PasswordMissing")
    assert "needs the password" in ran.error["message"]
    assert "RRBACKUP_PASSWORD" in ran.error["hint"]
    assert full.written() == before
    assert not (full.folder / "restored" / "a").exists()


def test_processes_end_with_the_same_codes(full: Place) -> None:
    for place, kind in ((full, "PasswordMissing"), (full.with_password(WRONG), "WrongPassword")):
        ran = place.process("backup", "--json")
        assert (ran.code, ran.error["type"], ran.err) == (12, kind, "")


def test_a_missing_password_for_new_keys_is_told_before_the_tree_is_looked_at(place: Place, run: Run) -> None:
    """Also where nothing is stored yet, and before a base path that is not there."""
    (place.folder / "base").rename(place.folder / "elsewhere")
    for words in (["backup"], ["backup", "--dry-run"], ["init"]):
        ran = run(place, *words, "--json")
        assert (ran.code, ran.error["type"]) == (12, "PasswordMissing")
    assert place.written() == set()


def test_a_password_that_nothing_uses_is_told_at_start(place: Place, run: Run) -> None:
    unused = evolve(place.with_password(RIGHT), keys={})
    ran = run(unused, "backup")
    assert ran.code == 0
    assert "crypto names a password, but no pipeline uses it: nothing will be encrypted" in ran.err
    assert "no pipeline uses it" not in run(unused, "backup", "-q").err
    assert not any(path.startswith("store/salt_file") for path in place.written())


# --- wrong ---------------------------------------------------------------------------------------------------------


@every_command
def test_a_wrong_password_ends_every_command(full: Place, run: Run, words: list[str]) -> None:
    before = full.written()
    ran = run(before_a_command(full.with_password(WRONG)), *words, "--json")
    assert (ran.code, ran.error["exit_code"], ran.error["type"]) == (12, 12, "WrongPassword")
    assert ran.error["message"] == f"wrong password for {SALT} in {full.folder / 'store'}"
    assert "repair" in ran.error["hint"]
    assert full.written() == before
    assert not (full.folder / "restored").exists()


@pytest.fixture(scope="module", params=[["encrypt"], []], ids=["encrypted diffs", "open diffs"])
def counting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, MemoryStore]:
    """A repository in a store that counts. Nobody in here writes to it."""
    store = MemoryStore()
    place = made(tmp_path_factory.mktemp("counting"), {**ENCRYPTED, "meta_pipeline": request.param}, store)
    return place, store


@every_command
def test_a_wrong_password_is_found_by_looking_at_the_salt_object_alone(
    counting: tuple[Place, MemoryStore], run: Run, words: list[str]
) -> None:
    """Also where listings would need no password: one that is given is checked all the same."""
    place, store = counting
    store.reset_calls()
    ran = run(before_a_command(place.with_password(WRONG)), *words, store=store)
    assert (ran.code, ran.out) == (12, "")
    assert "wrong password" in ran.err
    assert only_the_salt_was_read(store)


def only_the_salt_was_read(store: MemoryStore) -> bool:
    """Changing the password reads it once more, to see what it replaces."""
    return {(call.method, call.key) for call in store.calls} == {("get", SALT)} and len(store.calls) <= 2


def test_repair_with_a_wrong_password_reads_only_what_it_is_to_go_back_to(
    counting: tuple[Place, MemoryStore], run: Run
) -> None:
    place, store = counting
    (sound,) = (row.version_id for row in store.list_versions(SALT))
    store.reset_calls()
    assert run(place.with_password(WRONG), "repair", "--salt", sound, store=store).code == 12
    assert only_the_salt_was_read(store)


def test_open_diffs_are_listed_without_a_password_and_files_are_not_downloaded(
    counting: tuple[Place, MemoryStore], run: Run
) -> None:
    place, store = counting
    wanted = 0 if place.keys["meta_pipeline"] == [] else 12
    for words in (["list_versions"], ["list_files", "latest"], ["list_changes", "latest"]):
        assert run(place.with_password(None), *words, store=store).code == wanted
    ran = run(place.with_password(None), "download", "latest", "missing", store=store)
    assert ran.code == 12
    assert not (place.folder / "missing" / "a").exists()


def test_a_backup_without_changes_takes_one_request_more_than_without_a_password(place: Place, run: Run) -> None:
    store = MemoryStore()
    place = place.with_password(RIGHT)
    assert run(place, "backup", store=store).code == 0
    store.reset_calls()
    assert run(place, "backup", store=store).code == 0
    assert store.calls[0].key == SALT
    assert len(store.calls) <= 3


# --- init ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [{"file_pipeline": [["*.x", ["encrypt"]], ["*", []]]}, {"meta_pipeline": ["encrypt"]}, {"file_pipeline": HASHED}],
    ids=["for some files", "for diffs", "for names"],
)
def test_init_makes_the_keys_that_the_pipelines_ask_for(place: Place, run: Run, keys: dict[str, object]) -> None:
    place = evolve(place.with_password(RIGHT), keys=keys)
    first = run(place, "init")
    assert first.code == 0
    assert f"made keys in {SALT}" in first.out
    (salt,) = (path for path in place.written() if path.startswith(f"store/{SALT}/"))
    second = run(place, "init")
    assert second.code == 0
    assert "made keys" not in second.out
    assert [path for path in place.written() if path.startswith(f"store/{SALT}/")] == [salt]
    assert run(place, "backup").code == 0


@pytest.mark.parametrize("keys", [{}, {"file_pipeline": [["*", ["compress"]]], "meta_pipeline": ["compress"]}])
def test_init_makes_no_keys_that_nothing_asks_for(place: Place, run: Run, keys: dict[str, object]) -> None:
    assert run(evolve(place.with_password(RIGHT), keys=keys), "init").code == 0
    assert not (place.folder / "store" / SALT).exists()


def test_names_alone_are_hashed_without_keys_where_no_password_is_given(place: Place, run: Run) -> None:
    place = evolve(place, keys={"file_pipeline": HASHED})
    for words in (["init"], ["backup"]):
        assert run(place, *words).code == 0
    assert not (place.folder / "store" / SALT).exists()


# --- repair --------------------------------------------------------------------------------------------------------


def forged(password: str, cost: Cost = INTERACTIVE) -> bytes:
    """A salt object with other keys, as somebody without the password can make it."""
    kdf = Kdf(INTERACTIVE, bytes(16))
    body = seal_record(Keyring(RepositoryId("forged"), bytes(32)), kdf, derive(password, kdf), (bytes(24), bytes(24)))
    return _with_cost(body, cost) if cost != INTERACTIVE else body


def _with_cost(body: bytes, cost: Cost) -> bytes:
    """The same asking for another derivation, and with a digest that fits."""
    _, text, payload = split(body)
    header, fields = json.loads(text), json.loads(payload)
    header["kdf"].update(opslimit=cost.passes, memlimit=cost.memory)
    text = json.dumps(header, separators=(",", ":")).encode()
    raw = b"".join(base64.b64decode(fields[name]) for name in ("check", "master"))
    fields["sha256"] = hashlib.sha256(text + raw).hexdigest()
    return framed(json.loads(text), json.dumps(fields).encode())


FORGERIES: dict[str, tuple[Callable[[], bytes] | None, int]] = {
    "other keys": (lambda: forged(OTHER), 12),
    "not a salt object": (lambda: b"nonsense", 1),
    "nothing": (lambda: b"", 1),
    "a derivation that never ends": (lambda: forged(OTHER, Cost(10**9, 1 << 40)), 1),
    "a derivation that is too cheap": (lambda: forged(OTHER, Cost(1, 8192)), 1),
    "a delete marker": (None, 1),
}
"""What somebody put on top, and what every command then ends with."""


@pytest.mark.parametrize("what", FORGERIES)
def test_repair_goes_back_after_a_forged_salt_object(full: Place, run: Run, what: str) -> None:
    place, (body, code) = full.with_password(RIGHT), FORGERIES[what]
    (sound,) = (row.version_id for row in full.store.list_versions(SALT))
    if body is None:
        full.store.mark_deleted(SALT)
    else:
        full.store.put(SALT, body())
    for words in (["list_versions"], ["backup"], ["change_password"]):
        ran = run(before_a_command(place), *words, "--json")
        assert ran.code == ran.error["exit_code"] == code
        assert code != 12 or "repair" in ran.error["hint"]

    listed = run(place, "repair", "--json").document["salt_versions"]
    rows = [(row["version_id"] == sound, row["current"], row["opens"]) for row in listed]
    assert rows == [(True, False, True)] if body is None else [(False, True, False), (True, False, True)]
    lines = run(place, "repair").out.splitlines()
    assert [line.split()[0] for line in lines[: len(listed)]] == [row["version_id"] for row in listed]

    assert run(place, "repair", "--salt", sound).code == 0
    assert run(place, "backup").code == 0
    assert run(place, "download", "latest", "restored").code == 0
    assert look(place.folder / "restored") == look(place.folder / "base")
    current = next(row for row in run(place, "repair", "--json").document["salt_versions"] if row["current"])
    assert current["opens"]


def test_repair_goes_back_to_nothing_that_the_password_does_not_open(full: Place, run: Run) -> None:
    forgery = full.store.put(SALT, forged(OTHER)).version_id
    before = full.written()
    ran = run(full.with_password(RIGHT), "repair", "--salt", forgery, "--json")
    assert (ran.code, ran.error["type"]) == (12, "WrongPassword")
    (sound,) = (row.version_id for row in full.store.list_versions(SALT) if row.version_id != forgery)
    ran = run(full.with_password(WRONG), "repair", "--salt", sound, "--json")
    assert (ran.code, ran.error["type"]) == (12, "WrongPassword")
    assert full.written() == before


def test_repair_needs_the_password(full: Place, run: Run) -> None:
    (sound,) = (row.version_id for row in full.store.list_versions(SALT))
    for words in (["repair"], ["repair", "--salt", sound]):
        ran = run(full, *words, "--json")
        assert (ran.code, ran.error["type"]) == (12, "PasswordMissing")


def test_repair_says_which_versions_do_not_open(full: Place, run: Run) -> None:
    listed = run(full.with_password(WRONG), "repair").out
    assert "does not open with this password, and it is the one that counts" in listed


def test_repair_of_a_version_that_is_not_there_changes_nothing(full: Place, run: Run) -> None:
    before = full.written()
    ran = run(full.with_password(RIGHT), "repair", "--salt", "1-00000000", "--json")
    assert ran.error["type"] == "NoSuchVersion"
    assert full.written() == before


def test_a_client_that_only_reads_lists_and_does_not_go_back(full: Place, run: Run) -> None:
    reader = evolve(full.with_password(RIGHT), keys={**ENCRYPTED, "read_only": True})
    before = full.written()
    (row,) = run(reader, "repair", "--json").document["salt_versions"]
    assert (row["current"], row["opens"]) == (True, True)
    assert run(reader, "repair", "--salt", row["version_id"], "--json").error["type"] == "ModeError"
    assert full.written() == before
