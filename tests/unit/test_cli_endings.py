"""How a run ends: exit codes, messages and error documents."""

import os
import shutil
from pathlib import Path

import click
import pytest

from rrbackup.cli import actions
from rrbackup.cli.exit_codes import ExitCode, exit_code_of
from rrbackup.cli.failures import failure_of
from rrbackup.effects.local_files import LocalLock
from rrbackup.errors import (
    ClientAtWork,
    ConfigError,
    DamagedChain,
    LocalLockHeld,
    NoSuchVersion,
    RRBackupError,
    SourceError,
    StalePlan,
    StoreMissing,
    StoreUnavailable,
    TransactionLost,
    UsageError,
)
from rrbackup.pure import format2
from rrbackup.pure.model import Claim, ClaimState, TransactionId
from tests.unit.cli_bench import Bench, Ran


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(tmp_path, capsys)


def _is_refused(ran: Ran, code: int, *said: str) -> None:
    assert ran.code == code
    assert ran.out == ""
    assert ran.err.startswith("rrbackup: error: ")
    assert "Traceback" not in ran.err
    for text in said:
        assert text in ran.err


# --- the table ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RRBackupError("x"), 1),
        (SourceError("x"), 1),
        (StoreUnavailable("x"), 1),
        (DamagedChain("x"), 1),
        (ZeroDivisionError("x"), 1),
        (UsageError("x"), 2),
        (ConfigError("x", ["y"]), 2),
        (click.UsageError("x"), 2),
        (StoreMissing("x"), 10),
        (NoSuchVersion("x"), 10),
        (LocalLockHeld("x"), 11),
        (ClientAtWork("x"), 11),
        (StalePlan("x"), 11),
        (TransactionLost("x"), 11),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_every_class_of_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert exit_code_of(error) == code


@pytest.mark.parametrize("command", ["backup", "download", "garbage_collect"])
def test_whoever_interrupts_hears_what_the_next_run_does(command: str) -> None:
    failure = failure_of(KeyboardInterrupt(), command)
    assert (failure.type, failure.message) == ("Interrupted", "interrupted")
    assert "run" in failure.hint or "next backup" in failure.hint


# --- exit code 1 -------------------------------------------------------------------------------------------


def test_a_missing_base_path_has_failed(bench: Bench) -> None:
    bench.run("init")
    shutil.rmtree(bench.source)
    _is_refused(bench.run(), 1, str(bench.source), "rrbackup: hint: ")


def test_an_empty_base_path_stops_unless_it_is_meant(bench: Bench) -> None:
    bench.run()
    shutil.rmtree(bench.source)
    bench.source.mkdir()
    _is_refused(bench.run(), 1, "--allow-empty")
    assert bench.run("--allow-empty", "--json").document["deleted"] == 2


def test_a_bug_is_called_one_and_shows_its_traceback_only_when_asked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def divide(session: object) -> ExitCode:
        return ExitCode(1 // 0)

    monkeypatch.setattr(actions, "list_versions", divide)
    _is_refused(bench.run("list_versions"), 1, "ZeroDivisionError", "this is a bug in rrbackup")
    assert "Traceback" in bench.run("list_versions", "-v").err
    error = bench.run("list_versions", "--json").document["error"]
    assert (error["type"], error["exit_code"]) == ("ZeroDivisionError", 1)


# --- exit code 2 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["frobnicate"],
        ["list_files"],
        ["list_files", "latest", "more"],
        ["backup", "--frobnicate"],
        ["--frobnicate"],
        ["download", "latest"],
        ["download", "latest", "target", "no-such-filter-file"],
        ["--c"],
    ],
)
def test_a_command_line_that_makes_no_sense(bench: Bench, words: list[str]) -> None:
    ran = bench.run(*words)
    _is_refused(ran, 2, "rrbackup: hint: see rrbackup", " -h\n")
    error = bench.run("--json", *words).document["error"]
    assert (error["type"], error["exit_code"]) == ("UsageError", 2)


def test_a_missing_configuration_is_named_with_the_way_to_one(bench: Bench) -> None:
    bench.config.unlink()
    _is_refused(bench.run(), 2, str(bench.config), "rrbackup init")


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "{}", '{"base_path": 7}', "\0", "{" * 3000])
def test_a_broken_configuration_gives_no_traceback(bench: Bench, text: str) -> None:
    bench.config.write_text(text)
    _is_refused(bench.run(), 2, str(bench.config))


def test_all_faults_of_a_configuration_are_told_at_once(bench: Bench) -> None:
    bench.configure(chunk_size="big", frobnicate=True)
    _is_refused(bench.run(), 2, "  chunk_size: ", "  frobnicate: ")
    error = bench.run("--json").document["error"]
    assert [problem.split(":")[0] for problem in error["problems"]] == ["chunk_size", "frobnicate"]


def test_a_filter_file_that_never_matches_is_refused(bench: Bench, tmp_path: Path) -> None:
    bench.run()
    (tmp_path / "filters").write_text("folder\n")
    words = ["download", "latest", str(bench.target), str(tmp_path / "filters")]
    _is_refused(bench.run(*words), 2, "line 1")
    (tmp_path / "filters").write_bytes(b"/a\xff\n")
    _is_refused(bench.run(*words), 2, "is not UTF-8 (byte 2)")
    assert not bench.target.exists()


# --- exit code 3 -------------------------------------------------------------------------------------------


def test_a_backup_that_lacks_a_file_is_incomplete(bench: Bench) -> None:
    bench.break_a_file()
    ran = bench.run()
    assert ran.code == 3
    assert "rrbackup: problem: /broken: cannot follow the link" in ran.err
    assert "rrbackup: incomplete: 1 path could not be dealt with" in ran.err
    assert ran.out.startswith("backed up: 2 new")


def test_with_json_the_problems_are_in_the_document(bench: Bench) -> None:
    bench.break_a_file()
    for words in (["--dry-run"], []):
        bench.run("init")
        ran = bench.run("--json", *words)
        (problem,) = ran.document["problems"]
        assert (ran.code, problem["path"], problem["kind"], ran.err) == (3, "/broken", "unreadable", "")


def test_what_is_passed_over_by_nature_is_told_but_complete(bench: Bench) -> None:
    os.mkfifo(bench.source / "pipe")
    ran = bench.run()
    assert ran.code == 0
    assert "rrbackup: /pipe: passed over: a pipe\n" in ran.err
    assert bench.run("-q").err == ""


def test_a_download_with_a_damaged_object_is_incomplete(bench: Bench) -> None:
    bench.run()
    row = bench.run("list_files", "latest", "--json").document["files"][0]
    (stored,) = (path for path in (bench.store / "files" / "a").iterdir() if path.name.startswith("%v"))
    stored.chmod(0o600)
    stored.write_bytes(b"wrong")
    ran = bench.run("download", "latest", str(bench.target))
    assert ran.code == 3
    assert f"rrbackup: problem: the stored content of {row['path']} " in ran.err
    assert (bench.target / "folder" / "b").read_bytes() == b"second one"
    assert bench.run("download", "latest", str(bench.target), "--json").document["problems"][0]["path"] == "/a"


# --- exit codes 10 and 11 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["no-such-version", "latest~9", "latest~x", ""])
@pytest.mark.parametrize("command", ["list_files", "list_changes", "download"])
def test_a_version_that_does_not_exist(bench: Bench, command: str, version: str) -> None:
    bench.run()
    target = [str(bench.target)] if command == "download" else []
    _is_refused(bench.run(command, version, *target), 10, "rrbackup: hint: ")
    assert bench.run("--json", command, version, *target).document["error"]["type"] == "NoSuchVersion"


def test_a_store_that_is_gone(bench: Bench) -> None:
    bench.run()
    shutil.rmtree(bench.store)
    _is_refused(bench.run(), 10, str(bench.store))
    _is_refused(bench.run("list_versions"), 10, str(bench.store))


def test_another_process_holds_the_lock(bench: Bench) -> None:
    bench.run()
    with LocalLock(bench.lock):
        _is_refused(bench.run(), 11, str(bench.lock))
        assert bench.run("--json").document["error"]["type"] == "LocalLockHeld"
        assert bench.run("list_versions").code == 0


@pytest.mark.parametrize("command", ["backup", "garbage_collect", "clean_gc_log"])
def test_another_client_is_at_work_until_it_is_taken_over(bench: Bench, command: str) -> None:
    bench.run()
    (bench.source / "new").write_bytes(b"something to back up")
    claim = Claim(TransactionId("f" * 32), 0, ClaimState.OPEN, "other\x1b[31m-host", 0)
    bench.directory_store().put("gc_log", format2.encode_claim(claim))
    ran = bench.run(command)
    _is_refused(ran, 11, "other?[31m-host", "--take-over")
    assert "\x1b" not in ran.err
    assert bench.run(command, "--take-over").code == 0
