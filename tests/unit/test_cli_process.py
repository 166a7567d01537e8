"""The command as a process of its own: start, pipes, signals, terminals."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "rrbackup"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(bytes(3 << 20))
    path = tmp_path / "configuration.json"
    path.write_text(
        json.dumps(
            {
                "base_path": str(source),
                "local_manifest_file": str(tmp_path / "manifest"),
                "local_lock_file": str(tmp_path / "lock"),
                "directory": {"path": str(tmp_path / "store")},
            }
        )
    )
    return path


def _run(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], cwd=config.parent, capture_output=True, text=True, check=False)


def _on_a_terminal(command: list[str], cwd: Path, typed: bytes = b"", *, streams: tuple[str, ...]) -> tuple[int, str]:
    """Run it with the named streams on a terminal, and give the exit code and what the terminal showed."""
    ours, theirs = pty.openpty()
    stdin, stdout, stderr = (
        theirs if name in streams else subprocess.DEVNULL for name in ("stdin", "stdout", "stderr")
    )
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(command, cwd=cwd, env=environ, stdin=stdin, stdout=stdout, stderr=stderr) as process:
        os.close(theirs)
        os.write(ours, typed)
        seen = _all_of(ours)
    os.close(ours)
    return process.returncode, seen.decode()


def _all_of(fd: int) -> bytes:
    seen = b""
    while True:
        try:
            data = os.read(fd, 65536)
        except OSError:  # what Linux says when nobody has the other side of a terminal open
            return seen
        if not data:
            return seen
        seen += data


def test_the_module_is_the_command(config: Path) -> None:
    assert json.loads(_run(config, "--json").stdout)["new"] == 1
    installed = Path(sys.executable).with_name("rrbackup")
    versions = [
        subprocess.run([*command, "--version"], capture_output=True, text=True, check=True).stdout
        for command in (COMMAND, [str(installed)])
    ]
    assert versions[0] == versions[1]


@pytest.mark.parametrize(("argument", "left_alone"), [("", False), ("['--version']", True)])
def test_only_a_process_of_its_own_ends_without_a_look_at_what_it_leaves(argument: str, left_alone: bool) -> None:
    script = (
        "import gc, sys; from rrbackup.cli import main; sys.argv = ['rrbackup', '--version']; "
        "before = gc.get_freeze_count(); "  # from Python 3.12 on, some are frozen from the beginning
        f"main({argument}); print(gc.get_freeze_count() - before, gc.get_threshold()[0])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    frozen, threshold = map(int, ran.stdout.splitlines()[-1].split())
    assert (frozen == 0, threshold < 100_000) == (left_alone, left_alone)


def test_help_and_mistakes_load_neither_the_library_nor_what_it_needs() -> None:
    code = "import sys; from rrbackup.cli import main; main(['-h']); main(['nope']); print(*sys.modules, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "rrbackup.cli.commands" in loaded
    for heavy in ("boto3", "botocore", "rich", "json5", "cattrs", "rrbackup.api"):
        assert heavy not in loaded.splitlines()


def test_a_directory_store_needs_no_boto3_and_a_pipe_no_rich(config: Path) -> None:
    code = "import sys; from rrbackup.cli import main; main(['-q']); print(*sys.modules, sep='\\n')"
    ran = subprocess.run([sys.executable, "-c", code], cwd=config.parent, capture_output=True, text=True, check=True)
    assert "rrbackup.api" in ran.stdout
    assert not {"boto3", "botocore", "rich"} & set(ran.stdout.splitlines())


def test_a_reader_that_went_away_ends_it_quietly(config: Path) -> None:
    _run(config)
    ours, theirs = os.pipe()
    os.close(ours)
    for words in (["list_files", "latest"], ["list_files", "latest", "--json"], ["nope", "--json"]):
        command = [*COMMAND, *words]
        ran = subprocess.run(command, cwd=config.parent, stdout=theirs, stderr=subprocess.PIPE, check=False)
        assert (ran.returncode, ran.stderr) == (1, b"")
    os.close(theirs)


@pytest.mark.parametrize(
    ("sent", "code", "by"),
    [(signal.SIGINT, 130, ""), (signal.SIGTERM, 143, " by SIGTERM"), (signal.SIGHUP, 129, " by SIGHUP")],
)
def test_an_interruption_says_what_the_next_run_does(config: Path, sent: signal.Signals, code: int, by: str) -> None:
    # The command waits for somebody to write its configuration; by then it has certainly begun.
    pipe = config.with_name("pipe")
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [*COMMAND, "-c", str(pipe)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(sent, signal.SIG_DFL),
    )
    with open(pipe, "w"):
        process.send_signal(sent)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    first, second = err.splitlines()
    assert first == f"rrbackup: error: interrupted{by}"
    assert second.startswith("rrbackup: hint: a commit exists as a whole or not at all; the next backup")


def test_progress_is_shown_on_a_terminal(config: Path) -> None:
    code, seen = _on_a_terminal(COMMAND, config.parent, streams=("stderr",))
    assert code == 0
    assert "1 of 1 file" in seen
    assert "3.0/3.0 MiB" in seen


@pytest.mark.parametrize("option", ["-q", "--json"])
def test_progress_is_not_shown_to_those_who_do_not_want_it(config: Path, option: str) -> None:
    _run(config, "init")
    assert _on_a_terminal([*COMMAND, option], config.parent, streams=("stderr",)) == (0, "")


def test_versions_are_a_table_on_a_terminal_and_whole_ids_in_a_pipe(config: Path) -> None:
    _run(config)
    (version,) = json.loads(_run(config, "list_versions", "--json").stdout)["versions"]
    code, seen = _on_a_terminal([*COMMAND, "list_versions"], config.parent, streams=("stdout",))
    assert code == 0
    assert "version id" in seen
    assert version["version_id"] in seen
    assert "version id" not in _run(config, "list_versions").stdout


def test_init_asks_somebody_at_a_terminal(config: Path) -> None:
    config.unlink()
    typed = b"nowhere\nsource\ndirectory\nstore\nn\n"
    code, seen = _on_a_terminal([*COMMAND, "init"], config.parent, typed, streams=("stdin", "stderr"))
    assert code == 0
    assert "Folder to back up" in seen
    assert "'nowhere' does not exist" in seen
    assert "Put a script that restores without rrbackup into the store" in seen
    assert json.loads(config.read_text())["directory"] == {"path": str(config.parent / "store")}


def test_init_asks_for_a_bucket_and_its_endpoint(config: Path) -> None:
    config.unlink()
    typed = b"source\ns3\nsome-bucket\nno-address\n"
    code, seen = _on_a_terminal([*COMMAND, "init"], config.parent, typed, streams=("stdin", "stderr"))
    assert code == 2
    assert "Bucket (it must exist)" in seen
    assert "s3.endpoint: is no address" in seen
    assert not config.exists()
