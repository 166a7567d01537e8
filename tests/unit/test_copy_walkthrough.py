"""The section "A second place" of the README, run: every command in it prints what stands there."""

import json
import re
import shlex
import socket
from pathlib import Path

import pytest

from rrbackup.cli import main
from tests.unit.test_look_walkthrough import README, stage, without_chance

__all__ = ["stage"]


def walkthrough() -> list[tuple[str, str]]:
    """Each command line of the section, with what is shown below it."""
    (block,) = re.findall(r"^```console copy\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    steps = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(line, shown.strip("\n")) for line, _, shown in (step.partition("\n") for step in steps)]


@pytest.fixture
def attic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "attic")


@pytest.mark.usefixtures("attic", "stage")
def test_the_section_shows_what_the_commands_print(capsys: pytest.CaptureFixture[str]) -> None:
    disk = {"base_path": "documents", "directory": {"path": "disk"}, "local_manifest_file": "disk.local"}
    Path("disk.json").write_text(json.dumps(disk))
    for line, shown in walkthrough():
        program, *words = shlex.split(line)
        assert (program, main(words)) == ("rrbackup", 0)
        assert without_chance(capsys.readouterr().out.strip("\n")) == without_chance(shown), line


def test_the_section_shows_a_dry_run_and_a_copy_that_goes_on() -> None:
    lines = [line for line, _ in walkthrough()]
    assert any("--dry-run" in line for line in lines)
    assert len([line for line in lines if line == "rrbackup copy --to disk.json"]) == 2
