"""What the README shows of `download` and `cat` is what they print, and bad input gets its message."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rrbackup.cli import main

README = Path(__file__).parents[2] / "README.md"
SHOWN = dict(re.findall(r"^```console walkthrough=(\w+)\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A backup of letters and photos, and an `rrbackup` to call."""
    documents = tmp_path / "documents"
    for name, content in {
        "letters/mill.txt": "The mill is for sale.\n",
        "letters/offer.txt": "Our offer for the mill.\n",
        "letters/draft.tmp": "x",
        "photos/dog.jpg": "(dog)",
    }.items():
        path = documents / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    config = {"base_path": "documents", "directory": {"path": "store"}}
    (tmp_path / "configuration.json").write_text(json.dumps(config))
    script = tmp_path / "bin/rrbackup"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m rrbackup "$@"\n')
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    assert main(["-q"]) == 0
    return tmp_path


def shell(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    line = f'PATH="{folder}/bin:$PATH"; {line}'
    return subprocess.run(["sh", "-c", line], cwd=folder, capture_output=True, text=True, check=False)


def played(folder: Path, shown: str) -> str:
    """The same commands, each with what it prints now; the version stands as a word."""
    lines: list[str] = []
    for command in re.findall(r"^\$ (.*)$", shown, re.MULTILINE):
        ran = shell(folder, command)
        assert (ran.returncode, ran.stderr) == (0, ""), command
        lines += [f"$ {command}\n", re.sub(r"^(version:   )\S+", r"\1VERSION", ran.stdout, flags=re.MULTILINE)]
    return "".join(lines)


def test_parts_are_brought_back_as_shown(folder: Path) -> None:
    assert played(folder, SHOWN["parts"]) == SHOWN["parts"]
    restored = [str(path.relative_to(folder / "restored")) for path in (folder / "restored").rglob("*.*")]
    assert sorted(restored) == ["letters/mill.txt", "letters/offer.txt"]


def test_a_target_is_made_equal_as_shown(folder: Path) -> None:
    shell(folder, "rm documents/letters/draft.tmp; rrbackup -q; rrbackup -q download latest restored")
    (folder / "restored/letters/mill.txt").write_text("The mill is not sold.\n")
    (folder / "restored/stray.txt").write_text("x")
    assert played(folder, SHOWN["delete"]) == SHOWN["delete"]
    assert shell(folder, "diff -r documents restored").returncode == 0


def test_every_walkthrough_of_this_section_is_played() -> None:
    assert {"parts", "delete"} <= SHOWN.keys()


# --- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("download latest restored --path letters", 2, "'letters' is no path of a commit"),
        ("download latest restored --path /letter", 10, "has nothing at /letter"),
        ("download latest restored --include letters", 2, '--include: filter "letters" begins with neither / nor *'),
        ("download latest restored --exclude ''", 2, "--exclude: an empty filter matches nothing"),
        ("download latest restored --overwrite perhaps", 2, "'perhaps' is not one of"),
        ("download latest store --delete", 2, "is the folder of the store itself"),
        ("download latest store", 2, "is the folder of the store itself"),
        ("download latest store --dry-run", 2, "is the folder of the store itself"),
        ("download latest store/files/new", 2, "is in the store "),
        ("download latest configuration.json --dry-run", 2, "is a file"),
        ("cat latest /letters", 2, "is a folder"),
        ("cat latest /nothing", 10, "has nothing at /nothing"),
        ("cat latest letters/mill.txt", 2, "is no path of a commit"),
        ("cat no-such-version /letters/mill.txt", 10, "no-such-version"),
        ("--json cat latest /letters/mill.txt", 2, "no JSON form"),
    ],
)
def test_bad_input_is_refused_in_words(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    assert main(shlex.split(words)) == code
    told = capsys.readouterr()
    said = json.loads(told.out)["error"]["message"] if "--json" in words else told.err
    assert message in said
    assert "Traceback" not in told.err
    assert not (folder / "restored").exists()


def test_the_plan_as_a_document(folder: Path) -> None:
    ran = shell(folder, "rrbackup --json download latest restored --path /photos --dry-run")
    document = json.loads(ran.stdout)
    assert document["steps"] == [{"act": "write", "path": "/photos/dog.jpg", "size": 5, "reason": "not there"}]
    assert (document["bytes_to_write"], document["requests"], document["bytes_from_store"]) == (5, 1, 5)
    assert (document["problems"], "cost" in document) == ([], False)


def test_cat_of_a_damaged_file_prints_nothing_and_fails(folder: Path) -> None:
    (stored,) = (folder / "store/files/letters/mill.txt").glob("%v*")
    stored.chmod(0o600)
    stored.write_text("The mill is not sold.\n")
    ran = shell(folder, "rrbackup cat latest /letters/mill.txt")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "/letters/mill.txt" in ran.stderr
