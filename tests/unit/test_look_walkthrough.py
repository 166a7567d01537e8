"""The section "Look" of the README, run: every command in it prints what stands there.

The times and contents are those that the section tells of; of version ids only the beginning is compared, because the
rest is drawn at random.
"""

import json
import os
import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rrbackup.cli import main

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
COMMANDS = ("find", "history", "diff", "stats", "explain")
NS = 10**9


def moment(text: str) -> int:
    return int(time.mktime(time.strptime(text, "%Y-%m-%d %H:%M")))


def put(path: str, content: bytes, changed: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Path(path).write_bytes(content)
    os.utime(path, (moment(changed), moment(changed)))


def change(commit: int) -> None:
    """What happens before each of the three commits."""
    if commit == 0:
        put("documents/notes/todo.txt", b"milk\n", "2026-11-17 20:15")
        put("documents/photo.jpg", b"p" * 2048, "2026-08-02 11:30")
        put("documents/report.txt", b"r" * 900, "2026-11-16 08:00")
    elif commit == 1:
        put("documents/notes/todo.txt", b"milk, bread\n", "2026-11-18 19:40")
        put("documents/cache/page.html", b"...", "2026-11-18 19:40")
        os.mkdir("documents/summer")
        os.rename("documents/photo.jpg", "documents/summer/photo.jpg")
    else:
        os.remove("documents/notes/todo.txt")
        os.rmdir("documents/notes")
        put("documents/old/report.txt", b"r" * 900, "2026-11-20 08:00")


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.chdir(tmp_path)
    settings = {"base_path": "documents", "directory": {"path": "store"}, "ignore_files": ["*.tmp", "/cache"]}
    Path("configuration.json").write_text(json.dumps(settings))
    for number, clock in enumerate(("2026-11-18 09:00", "2026-11-19 09:00", "2026-11-20 14:00")):
        change(number)
        monkeypatch.setattr(time, "time_ns", lambda clock=clock: moment(clock) * NS)
        assert main(["-q"]) == 0
    yield
    monkeypatch.undo()
    time.tzset()


def walkthrough() -> list[tuple[str, str]]:
    """Each command line of the section, with what is shown below it."""
    (block,) = re.findall(r"^```console look\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    steps = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(line, shown.strip("\n")) for line, _, shown in (step.partition("\n") for step in steps)]


def without_chance(text: str) -> str:
    return re.sub(r"\b(\d+)-[0-9a-f]{8}\b", r"\1-", text)


@pytest.mark.usefixtures("stage")
def test_the_section_shows_what_the_commands_print(capsys: pytest.CaptureFixture[str]) -> None:
    for line, shown in walkthrough():
        program, *words = shlex.split(line)
        assert (program, main(words)) == ("rrbackup", 0)
        said = capsys.readouterr()
        assert (without_chance(said.out.strip("\n")), said.err) == (without_chance(shown), ""), line


def test_the_section_shows_every_command_that_looks() -> None:
    shown = {shlex.split(line)[1] for line, _ in walkthrough()}
    assert shown >= set(COMMANDS)
    assert any("--at" in line for line, _ in walkthrough())
