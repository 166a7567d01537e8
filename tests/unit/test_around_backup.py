"""The commands before and after a backup, and the metrics."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rrbackup.effects.local_files import LocalLock
from rrbackup.pure.metrics import Run, last_success_in, metrics_text
from rrbackup.pure.report import BackupResult, Counts
from tests.unit.cli_bench import Bench

SAYS = (
    "import json, os, sys; "
    "open(sys.argv[1], 'a').write(json.dumps(dict(os.environ)) + chr(10)); "
    "sys.exit(int(sys.argv[2]))"
)


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(tmp_path, capsys)


def command(file: Path, status: int = 0) -> str:
    """Writes its environment as a line of the file, and ends with the status."""
    return f'{sys.executable} -c "{SAYS}" {file} {status}'


def with_hooks(bench: Bench, before: int = 0, after: int = 0, **more: object) -> None:
    folder = bench.config.parent
    bench.configure(
        before_backup=command(folder / "before", before), after_backup=command(folder / "after", after), **more
    )


def runs(bench: Bench, which: str) -> list[dict[str, str]]:
    """The environments of the runs of one command, only what is rrbackup's."""
    file = bench.config.with_name(which)
    lines = file.read_text().splitlines() if file.exists() else []
    return [
        {k: v for k, v in json.loads(line).items() if k.startswith("RRBACKUP_") and k not in os.environ}
        for line in lines
    ]


# --- before and after --------------------------------------------------------------------------------------------


def test_both_run_around_a_backup_and_the_second_is_told_how_it_went(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RRBACKUP_PASSWORD", "secret")
    with_hooks(bench)
    document = bench.run("--json").document
    monkeypatch.delenv("RRBACKUP_PASSWORD")
    assert runs(bench, "before") == [{"RRBACKUP_CONFIGURATION": str(bench.config)}]
    assert runs(bench, "after") == [
        {
            "RRBACKUP_CONFIGURATION": str(bench.config),
            "RRBACKUP_OUTCOME": "done",
            "RRBACKUP_EXIT_CODE": "0",
            "RRBACKUP_ERROR": "",
            "RRBACKUP_VERSION": document["version_id"],
            "RRBACKUP_NEW": "2",
            "RRBACKUP_CHANGED": "0",
            "RRBACKUP_DELETED": "0",
            "RRBACKUP_UNCHANGED": "0",
            "RRBACKUP_UPLOADED_BYTES": "15",
            "RRBACKUP_PROBLEMS": "0",
        }
    ]


def test_what_the_first_one_makes_is_backed_up(bench: Bench) -> None:
    bench.configure(before_backup=command(bench.source / "dump"))
    assert bench.run("--json").document["new"] == 3


def test_a_first_one_that_fails_stops_the_run_and_the_second_still_runs(bench: Bench) -> None:
    with_hooks(bench, before=7)
    ran = bench.run()
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("rrbackup: error: before_backup ended with status 7\n")
    (told,) = runs(bench, "after")
    assert (told["RRBACKUP_OUTCOME"], told["RRBACKUP_EXIT_CODE"]) == ("failed", "1")
    assert told["RRBACKUP_ERROR"] == "before_backup ended with status 7"
    assert "RRBACKUP_VERSION" not in told
    assert not bench.store.exists()
    assert bench.run("--json").document["error"]["type"] == "CommandFailed"


@pytest.mark.parametrize("line", ["/no/such/program --with arguments", "/"])
def test_one_that_cannot_be_run_is_named_without_quoting_it(bench: Bench, line: str) -> None:
    bench.configure(before_backup=line)
    ran = bench.run()
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("rrbackup: error: before_backup cannot be run: ")
    assert "such/program" not in ran.err


def test_the_second_one_runs_after_a_failure_and_is_told_of_it(bench: Bench) -> None:
    with_hooks(bench, base_path=str(bench.source / "nowhere"))
    ran = bench.run()
    (told,) = runs(bench, "after")
    assert (ran.code, told["RRBACKUP_OUTCOME"]) == (1, "failed")
    assert told["RRBACKUP_ERROR"] in ran.err
    assert "nowhere" in told["RRBACKUP_ERROR"]


def test_an_incomplete_backup_is_called_so(bench: Bench) -> None:
    with_hooks(bench)
    bench.break_a_file()
    assert bench.run().code == 3
    (told,) = runs(bench, "after")
    assert (told["RRBACKUP_OUTCOME"], told["RRBACKUP_EXIT_CODE"], told["RRBACKUP_PROBLEMS"]) == ("incomplete", "3", "1")


def test_a_second_one_that_fails_fails_the_run_but_the_commit_stands(bench: Bench) -> None:
    with_hooks(bench, after=5)
    ran = bench.run()
    (version,) = bench.run("list_versions", "--json").document["versions"]
    assert (ran.code, ran.out) == (1, "")
    assert f"after_backup ended with status 5; the backup itself is done: {version['version_id']}" in ran.err


def test_if_both_fail_the_first_is_the_error_and_the_second_a_problem(bench: Bench) -> None:
    with_hooks(bench, before=7, after=5)
    ran = bench.run()
    assert "rrbackup: problem: after_backup ended with status 5\n" in ran.err
    assert "rrbackup: error: before_backup ended with status 7\n" in ran.err


def test_neither_runs_while_another_backup_is_at_work(bench: Bench) -> None:
    with_hooks(bench)
    with LocalLock(bench.lock):
        assert bench.run().code == 11
    assert (runs(bench, "before"), runs(bench, "after")) == ([], [])


AGAIN = """\
import pathlib, subprocess, sys
log, own, configuration, *words = sys.argv[1:]
with open(log, "a") as file:
    file.write(own + chr(10))
started = pathlib.Path(log + "." + own)
if not started.exists():
    started.touch()
    code = subprocess.run([sys.executable, "-m", "rrbackup", "-q", "-c", configuration, *words]).returncode
    with open(log, "a") as file:
        file.write(f"{own}: {code}" + chr(10))
"""
"""Notes that it runs; the first time, it calls rrbackup and notes how that ends."""


@pytest.mark.parametrize(("words", "code"), [([], 11), (["garbage_collect"], 0)])
def test_a_backup_that_begins_while_a_command_runs_starts_neither_and_others_may_go_on(
    bench: Bench, words: list[str], code: int
) -> None:
    """The command of the run that is under way begins it, so that it is certainly between the two."""
    bench.run()
    log, script = bench.config.with_name("log"), bench.config.with_name("again.py")
    script.write_text(AGAIN)
    call = f"{sys.executable} {script} {log} {{}} {bench.config} {' '.join(words)}"
    bench.configure(before_backup=call.format("before"), after_backup=call.format("after"))
    assert bench.run().code == 0
    assert log.read_text().split("\n") == ["before", f"before: {code}", "after", f"after: {code}", ""]


@pytest.mark.parametrize("words", [["--dry-run"], ["init"], ["list_versions"]])
def test_other_commands_start_neither(bench: Bench, words: list[str]) -> None:
    bench.run()
    with_hooks(bench)
    assert bench.run(*words).code == 0
    assert (runs(bench, "before"), runs(bench, "after")) == ([], [])


def test_what_they_print_goes_to_standard_error(bench: Bench) -> None:
    bench.configure(before_backup="echo one", after_backup="echo two")
    words = [sys.executable, "-m", "rrbackup", "-q", "--json", "-c", str(bench.config)]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout)["new"] == 2
    assert ran.stderr == "one\ntwo\n"


def test_the_second_one_runs_after_an_interruption(bench: Bench) -> None:
    # The first command waits for somebody to read its pipe; then the backup is certainly in it.
    pipe = bench.config.with_name("pipe")
    os.mkfifo(pipe)
    bench.configure(
        before_backup=f"{sys.executable} -c \"open('{pipe}','w').write('here'); import signal; signal.pause()\"",
        after_backup=command(bench.config.with_name("after")),
    )
    words = [sys.executable, "-m", "rrbackup", "-c", str(bench.config)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert pipe.read_text() == "here"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err.splitlines()[0]) == (143, "rrbackup: error: interrupted by SIGTERM")
    (told,) = runs(bench, "after")
    assert (told["RRBACKUP_OUTCOME"], told["RRBACKUP_EXIT_CODE"]) == ("interrupted", "143")


@pytest.mark.parametrize("key", ["before_backup", "after_backup"])
@pytest.mark.parametrize("value", ["", "  ", "echo 'half-quoted", 7, ["echo", "x"]])
def test_a_command_that_cannot_be_one_is_a_fault(bench: Bench, key: str, value: object) -> None:
    bench.configure(**{key: value})
    ran = bench.run()
    assert ran.code == 2
    assert f"  {key}: " in ran.err
    assert "half-quoted" not in ran.err


# --- metrics -----------------------------------------------------------------------------------------------------


def metrics(bench: Bench) -> tuple[int, dict[str, float]]:
    """The exit code and the numbers of the file, after a check that each series is declared once."""
    file = bench.config.with_name("rrbackup.prom")
    code = bench.run("backup", "--metrics", str(file)).code
    numbers: dict[str, float] = {}
    declared: list[str] = []
    for line in file.read_text().splitlines():
        if line.startswith("#"):
            declared += re.findall(r"# TYPE (\S+) gauge", line)
            continue
        ((name, labels, value),) = re.findall(r'^(\w+)\{configuration="[^"]*"(.*)\} (\S+)$', line)
        assert declared[-1] == name
        numbers[name.removeprefix("rrbackup_backup_") + labels] = float(value)
    assert len(set(declared)) == len(declared)
    return code, numbers


def test_a_backup_writes_how_it_went(bench: Bench) -> None:
    code, numbers = metrics(bench)
    assert code == 0
    assert numbers["success"] == 1
    assert numbers["last_success_timestamp_seconds"] == numbers["timestamp_seconds"]
    assert numbers['files,status="new"'] == 2
    assert (numbers["bytes"], numbers["uploaded_files"], numbers["uploaded_bytes"]) == (15, 2, 15)
    assert numbers["problems"] == 0
    assert stat.S_IMODE(bench.config.with_name("rrbackup.prom").stat().st_mode) & 0o444 == 0o444


def test_a_failure_is_written_and_the_last_success_stays(bench: Bench) -> None:
    _, before = metrics(bench)
    bench.configure(before_backup="false")
    code, after = metrics(bench)
    assert code == 1
    assert (after["success"], after["exit_code"]) == (0, 1)
    kept = "last_success_timestamp_seconds"
    assert after[kept] == pytest.approx(before[kept], abs=1e-5)
    assert "bytes" not in after


def test_a_configuration_that_does_not_load_is_a_failure_too(bench: Bench) -> None:
    bench.config.write_text("{")
    code, numbers = metrics(bench)
    assert (code, numbers["success"], numbers["exit_code"]) == (2, 0, 2)
    assert "last_success_timestamp_seconds" not in numbers


def test_an_incomplete_backup_is_no_success_but_is_counted(bench: Bench) -> None:
    bench.break_a_file()
    code, numbers = metrics(bench)
    assert (code, numbers["success"], numbers["problems"], numbers['files,status="new"']) == (3, 0, 1, 2)


def test_metrics_that_cannot_be_written_fail_the_run_and_the_commit_stands(bench: Bench, tmp_path: Path) -> None:
    ran = bench.run("backup", "--metrics", str(tmp_path / "no" / "folder" / "x"))
    assert (ran.code, ran.out) == (1, "")
    assert f"cannot write {tmp_path}/no/folder/x" in ran.err
    assert len(bench.run("list_versions", "--json").document["versions"]) == 1


def test_metrics_of_a_dry_run_make_no_sense(bench: Bench) -> None:
    assert bench.run("backup", "--dry-run", "--metrics", "x").code == 2


RESULT = BackupResult(None, None, Counts(), 0, 0, 0)


def test_the_configuration_is_quoted_as_prometheus_wants_it() -> None:
    text = metrics_text(Run('/a"b\\c\nd\udcff', 0, 10**9, 5 * 10**8, RESULT), None)
    assert 'rrbackup_backup_success{configuration="/a\\"b\\\\c\\nd?"} 1\n' in text
    assert 'rrbackup_backup_duration_seconds{configuration="/a\\"b\\\\c\\nd?"} 0.500000\n' in text


@pytest.mark.parametrize("text", ["", "x 5", "rrbackup_backup_last_success_timestamp_seconds{} many", "\0\udcff"])
def test_a_file_that_says_no_success_gives_none(text: str) -> None:
    assert last_success_in(text) is None
    assert last_success_in(text + '\nrrbackup_backup_last_success_timestamp_seconds{a="}"} inf\n') is None


def test_the_last_success_of_a_file_that_was_written_is_found_again() -> None:
    text = metrics_text(Run("/c", 0, 1_700_000_000_250_000_000, 0, RESULT), None)
    assert last_success_in(text) == 1_700_000_000.25
    assert last_success_in(metrics_text(Run("/c", 1, 0, 0), last_success_in(text))) == 1_700_000_000.25
