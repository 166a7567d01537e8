"""The section "Check" of the README, run: every command in it prints what stands there, and ends as is said.

Of version ids only the beginning is compared, because the rest is drawn at random.
"""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from rrbackup.cli import main

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SHOWN = dict(re.findall(r"^```console walkthrough=(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE))
HOME = "/home/ann"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two commits of letters and photos; the second changes the offer."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configuration.json").write_text(json.dumps({"base_path": "documents", "directory": {"path": "store"}}))
    for offer in ("Our offer for the mill.\n", "Our last offer.\n"):
        for name, content in {"mill.txt": "The mill is for sale.\n", "offer.txt": offer, "dog.jpg": "(dog)"}.items():
            path = tmp_path / "documents" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        assert main(["-q"]) == 0
    (tmp_path / "store").chmod(0o755)
    return tmp_path


def harm(folder: Path) -> None:
    """A stored file is gone, another cut off; one of them has changed on disk."""
    (gone,) = (folder / "store/files/dog.jpg").glob("%v*")
    gone.unlink()
    (cut,) = (folder / "store/files/mill.txt").glob("%v*")
    cut.write_bytes(cut.read_bytes()[:7])
    (folder / "documents/mill.txt").write_text("The mill is sold.\n")


def played(folder: Path, shown: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The same commands with what they print now, and the exit codes that are asked for."""
    lines: list[str] = []
    code = 0
    capsys.readouterr()
    for line in re.findall(r"^\$ (.*)$", shown, re.MULTILINE):
        lines.append(f"$ {line}\n")
        if line == "echo $?":
            lines.append(f"{code}\n")
            continue
        code = main(shlex.split(line)[1:])
        said = capsys.readouterr()
        lines.append((said.out + said.err).replace(str(folder), HOME))
    return "".join(lines)


def without_chance(text: str) -> str:
    return re.sub(r"\b(\d+)-[0-9a-f]{8}\b", r"\1-", text)


STAGES: dict[str, Callable[[Path], None]] = {"verify": lambda folder: None, "heal": harm, "doctor": lambda folder: None}


@pytest.mark.parametrize("name", STAGES)
def test_the_section_shows_what_the_commands_print(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    STAGES[name](folder)
    assert without_chance(played(folder, SHOWN[name], capsys)) == without_chance(SHOWN[name])
