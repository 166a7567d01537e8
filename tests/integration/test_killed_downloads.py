"""What a download that is killed leaves in its target, and what becomes of it: real processes, real SIGKILL."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rrbackup import load_config, open_repository
from rrbackup.effects import unfinished
from rrbackup.effects.restore import Target
from rrbackup.events import Event, Notice
from rrbackup.pure.giving import Given
from rrbackup.pure.model import PathText
from rrbackup.pure.report import DownloadResult
from rrbackup.pure.unfinished import marker_content
from tests.integration.trees import look, write

TREE = {"a": b"1" * 10, "folder/b": b"2" * 10, "folder/below/c": b"3" * 10}
LIMIT_S = 30
_DOWNLOAD = """
import os, signal, sys
from rrbackup import load_config, open_repository
from rrbackup.effects.restore import FileWriter

real = FileWriter.commit

def commit(self, given):
    if self._path == "/folder/below/c":
        {then}
    real(self, given)

FileWriter.commit = commit
open_repository(load_config(sys.argv[1]), threads=1).download("latest", sys.argv[2])
"""
KILLED = _DOWNLOAD.format(then="os.kill(os.getpid(), signal.SIGKILL)")
HELD_UP = _DOWNLOAD.format(then="print('under way', flush=True); sys.stdin.read()")


class Ground:
    """A repository in a folder, and a target."""

    def __init__(self, folder: Path) -> None:
        self.base, self.target, self.config = folder / "base", folder / "target", folder / "config.json"
        write(self.base, TREE)
        settings = {"base_path": self.base, "local_manifest_file": folder / "m", "local_lock_file": folder / "l"}
        document = {key: str(path) for key, path in settings.items()} | {"directory": {"path": str(folder / "store")}}
        self.config.write_text(json.dumps(document))
        self.events: list[Event] = []
        with open_repository(load_config(self.config)) as repository:
            repository.prepare()
            assert repository.backup().version_id

    def killed(self) -> None:
        command = [sys.executable, "-c", KILLED, str(self.config), str(self.target)]
        assert subprocess.run(command, check=False, timeout=LIMIT_S).returncode == -signal.SIGKILL

    @contextmanager
    def held_up(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-c", HELD_UP, str(self.config), str(self.target)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"under way\n"
            yield process

    def download(self, *, delete: bool = False) -> DownloadResult:
        with open_repository(load_config(self.config)) as repository:
            return repository.download("latest", self.target, on_event=self.events.append, delete=delete)

    @property
    def unfinished(self) -> list[Path]:
        return sorted(path.relative_to(self.target) for path in self.target.rglob(".rrbackup-*"))

    @property
    def notices(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Notice)]


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


def marker_of(ground: Ground) -> Path:
    (marker,) = ground.target.glob(".rrbackup-*.run")
    return marker


def test_a_download_marks_its_target_only_while_it_runs(ground: Ground) -> None:
    with ground.held_up() as process:
        names = [path.name for path in ground.unfinished]
        assert len(names) == 2
        assert sum(name.endswith(".run") for name in names) == 1
        process.communicate(b"")
    assert look(ground.target) == look(ground.base)


def test_the_next_download_removes_what_a_killed_one_left(ground: Ground) -> None:
    ground.killed()
    assert [path.parent for path in ground.unfinished] == [Path(), Path("folder/below")]
    assert ground.download().problems == ()
    assert ground.unfinished == []
    assert look(ground.target) == look(ground.base)
    assert ground.notices == ["1 unfinished files of a download that was killed were removed"]


def test_so_does_one_that_makes_the_target_equal(ground: Ground) -> None:
    ground.killed()
    assert ground.download(delete=True).problems == ()
    assert look(ground.target) == look(ground.base)


def test_a_download_that_is_alive_keeps_its_files(ground: Ground) -> None:
    with ground.held_up() as process:
        before = ground.unfinished
        assert ground.download().problems == ()
        assert (ground.unfinished, ground.notices) == (before, [])
        process.kill()
        process.wait(LIMIT_S)
    ground.download()
    assert ground.unfinished == []


@pytest.mark.parametrize("wrong", ["no marker", "another machine", "an empty marker", "a link", "a pipe", "a folder"])
def test_without_proof_nothing_is_removed(ground: Ground, wrong: str) -> None:
    ground.killed()
    marker = marker_of(ground)
    content = marker.read_bytes()
    marker.unlink()
    if wrong == "another machine":
        marker.write_bytes(marker_content(marker.name[10:26], "elsewhere"))
    elif wrong == "an empty marker":
        marker.touch()
    elif wrong == "a link":
        (ground.base.parent / "beside").write_bytes(content)
        marker.symlink_to(ground.base.parent / "beside")
    elif wrong == "a pipe":
        os.mkfifo(marker)
    elif wrong == "a folder":
        marker.mkdir()
    before = ground.unfinished
    assert ground.download().problems == ()
    assert (ground.unfinished, ground.notices) == (before, [])


def test_files_of_others_with_such_names_stay(ground: Ground) -> None:
    ground.killed()
    run = marker_of(ground).name[10:26]
    others = [
        *(".rrbackup-0123456789abcdef-0", ".rrbackup-0123456789abcdef", f".rrbackup-{run}-x", f".rrbackup-{run}"),
        *(f"x.rrbackup-{run}-0", f".rrbackup-{run}-0.txt", f".rrbackup-{run.upper()}x-0"),
    ]
    for name in others:
        (ground.target / "folder" / name).write_bytes(b"somebody's")
    ground.download()
    assert sorted(path.name for path in ground.target.rglob("*rrbackup-*")) == sorted(others)


def test_what_is_behind_a_link_is_not_gone_through(ground: Ground) -> None:
    ground.killed()
    beside = ground.base.parent / "beside"
    beside.mkdir()
    other = beside / f".rrbackup-{marker_of(ground).name[10:26]}-5"
    other.write_bytes(b"outside the target")
    (ground.target / "way out").symlink_to(beside)
    ground.download()
    assert other.exists()
    assert ground.unfinished == []


def test_a_folder_that_cannot_be_looked_into_keeps_the_mark(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    ground.killed()
    with monkeypatch.context() as patch:
        real = unfinished._remove_in
        shut = (ground.target / "folder/below").stat().st_ino

        def refused(fd: int, run: str) -> int:
            if os.fstat(fd).st_ino == shut:
                raise PermissionError
            return real(fd, run)

        patch.setattr(unfinished, "_remove_in", refused)
        ground.download()
    assert len(ground.unfinished) == 2
    ground.download()
    assert ground.unfinished == []


def test_a_target_that_takes_no_mark_is_restored_into_all_the_same(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(fd: int, operation: int) -> None:
        raise OSError("no locks available")

    with open_repository(load_config(ground.config)) as repository, monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", no_locks)
        assert repository.download("latest", ground.target).problems == ()
    assert look(ground.target) == look(ground.base)


def test_nothing_is_marked_where_nothing_is_written(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    os.utime(target, (1, 1))
    with Target(target):
        pass
    assert target.stat().st_mtime == 1


def test_a_file_costs_no_request_to_the_system_for_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = Given(0o644, 0, None, ())
    with Target(tmp_path) as target:
        with target.file(PathText("/first")) as writer:
            writer.commit(given)
        monkeypatch.delattr(unfinished, "os")
        monkeypatch.delattr(unfinished, "secrets")
        for number in range(3):
            with target.file(PathText(f"/{number}")) as writer:
                writer.commit(given)
        monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "first"]


def test_a_backup_of_the_target_passes_over_what_is_unfinished_and_says_so(ground: Ground) -> None:
    ground.killed()
    config = json.loads(ground.config.read_text()) | {"base_path": str(ground.target)}
    ground.config.write_text(json.dumps(config))
    user = ground.target / ".rrbackup-notes"
    user.write_bytes(b"somebody's")
    with open_repository(load_config(ground.config)) as repository:
        problems = repository.backup().problems
        paths = [entry.path for entry in repository.list_files("latest")]
    unfinished_paths = sorted(f"/{path}" for path in ground.unfinished if path.name != user.name)
    assert sorted(problem.path for problem in problems) == unfinished_paths
    assert {problem.detail for problem in problems} == {"passed over: rrbackup has not finished it"}
    assert [path for path in paths if "rrbackup" in path] == ["/.rrbackup-notes"]
