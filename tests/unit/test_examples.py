"""The examples run, as programs of their own."""

import subprocess
from pathlib import Path

import pytest

from tests.programs import run_python

EMBED = Path(__file__).parents[2] / "examples" / "embed.py"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "file").write_bytes(b"content")
    (folder / "left.tmp").write_bytes(b"not wanted")
    return folder


def _embed(source: Path) -> subprocess.CompletedProcess[str]:
    return run_python(str(EMBED), str(source), str(source.with_name("store")), cwd=source.parent)


def test_embed_backs_up_and_shows_its_own_progress(source: Path) -> None:
    ran = _embed(source)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "1 files to look at, 7 bytes" in ran.stdout
    assert "  100 %\n  /file: uploaded\nversion " in ran.stdout
    assert ran.stdout.endswith("1: 1 new, 0 changed\n")


def test_embed_adds_a_version_for_what_has_changed(source: Path) -> None:
    _embed(source)
    (source / "file").write_bytes(b"changed")
    (source / "copy").write_bytes(b"changed")
    assert _embed(source).stdout.endswith("1: 1 new, 0 changed\n2: 1 new, 1 changed\n")


def test_embed_reports_errors_in_its_own_way(source: Path) -> None:
    (source / "file").unlink()
    (source / "left.tmp").unlink()
    source.rmdir()
    ran = _embed(source)
    assert (ran.returncode, "Traceback" in ran.stderr) == (1, False)
    assert str(source) in ran.stderr
