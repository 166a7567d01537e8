"""docs/library.md: its examples run and do what they say, and its tables name what there is."""

import inspect
import re
from pathlib import Path

import click
import pytest

from rrbackup import Config, DirectorySettings, Repository, errors, events, open_repository
from rrbackup.cli.commands import program
from rrbackup.cli.options import GLOBAL_OPTIONS
from tests.programs import run_python
from tests.servers import S3Server
from tests.unit.test_documents import blocks, named, rows, text

DOCUMENT = "docs/library.md"
EXAMPLES = [code for title, code in blocks(DOCUMENT).items() if title.startswith("python ")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "documents").mkdir()
    (tmp_path / "state").mkdir()
    (tmp_path / "documents" / "a.txt").write_bytes(b"kept")
    (tmp_path / "documents" / "b.tmp").write_bytes(b"left out")
    return tmp_path


def test_the_examples_run_one_after_the_other(folder: Path, moto_server: S3Server) -> None:
    bucket = moto_server.new_bucket()
    code = "\n".join(EXAMPLES).replace("https://s3.example.com", moto_server.endpoint).replace("my-backups", bucket)
    (folder / "examples.py").write_text(code)  # a file, so that a traceback shows the line
    ran = run_python("examples.py", cwd=folder)
    assert ran.stderr == ""
    assert ran.returncode == 0
    assert "no such version" in ran.stdout
    assert sorted(path.name for path in (folder / "restored").iterdir()) == ["a.txt", "d.txt"]
    stored = moto_server.client().list_objects_v2(Bucket=bucket, Prefix="files/")["Contents"]
    assert [row["Key"] for row in stored] == [f"files/{name}" for name in ("a.txt", "b.tmp", "c.txt", "d.txt")]
    copy = Config(
        base_path=folder / "documents",
        local_manifest_file=folder / "m",
        local_lock_file=folder / "l",
        directory=DirectorySettings(path=folder / "second"),
    )
    assert [version.counts.new for version in open_repository(copy).list_versions()] == [1, 1, 1]


def test_every_example_makes_an_assertion() -> None:
    assert len(EXAMPLES) > 9
    assert all("assert " in code for code in EXAMPLES)
    assert len(re.findall("^```python", text(DOCUMENT), re.MULTILINE)) == len(EXAMPLES)


def test_every_error_has_something_to_do() -> None:
    shown = [name for row in rows(DOCUMENT, "error", "what to do") for name in named(row[0])]
    assert sorted([*shown, "RRBackupError", "RepositoryError", "Cancelled"]) == sorted(errors.__all__)


def test_every_event_is_explained() -> None:
    shown = [name for row in rows(DOCUMENT, "event", "") for name in named(row[0])]
    assert sorted([*shown, "Event", "OnEvent"]) == sorted(events.__all__)


def test_every_argument_of_open_repository_is_explained() -> None:
    shown = [named(row[0])[0] for row in rows(DOCUMENT, "argument", "")]
    assert sorted([*shown, "config"]) == sorted(inspect.signature(open_repository).parameters)


COMMANDS = {named(row[0])[0]: row for row in rows(DOCUMENT, "command", "verbs", "otherwise")}


def test_every_command_is_accounted_for() -> None:
    assert list(COMMANDS) == list(program.commands)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_verbs_that_exist_or_belongs_to_the_command_line(command: str) -> None:
    _, verbs, otherwise = COMMANDS[command]
    for verb in named(verbs):
        assert callable(getattr(Repository, verb))
    assert bool(named(verbs)) != otherwise.startswith("the command line's own")


@pytest.mark.parametrize("command", COMMANDS)
def test_options_are_arguments_of_the_same_name_but_for_those_that_are_explained(command: str) -> None:
    _, verbs, otherwise = COMMANDS[command]
    if not verbs:
        return
    arguments = {name for verb in named(verbs) for name in inspect.signature(getattr(Repository, verb)).parameters}
    for parameter in _own_parameters(program.commands[command]):
        explained = {*parameter.opts, (parameter.name or "").upper()} & set(named(otherwise))
        assert explained or parameter.name in arguments, parameter.name


def _own_parameters(command: click.Command) -> list[click.Parameter]:
    elsewhere = {parameter.name for parameter in GLOBAL_OPTIONS} | {
        "threads",
        "limit_upload",
        "limit_download",
        "times",
    }
    return [parameter for parameter in command.params if parameter.name not in elsewhere]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_verb_that_may_take_long_tells_events(command: str) -> None:
    short = {"init", "doctor", "change_password", "repair", "policy", "lifecycle"}
    if command not in short and COMMANDS[command][1]:
        assert "on_event" in inspect.signature(getattr(Repository, command)).parameters
