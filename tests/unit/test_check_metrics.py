"""`verify --metrics`: what a check found, for Prometheus, however it ends."""

import re
from pathlib import Path

import pytest

from rrbackup.pure.metrics import Measured, Run, last_success_in, metrics_text
from tests.unit.cli_bench import Bench, Ran


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    bench = Bench(tmp_path, capsys)
    bench.run("-q")
    return bench


def verified(bench: Bench, *words: str) -> tuple[Ran, dict[str, float]]:
    """The run, and the numbers of the file, each series declared once and named for verify."""
    file = bench.config.with_name("verify.prom")
    ran = bench.run("verify", *words, "--metrics", str(file))
    text = file.read_text()
    found = re.findall(r'^rrbackup_verify_(\w+)\{configuration="[^"]*"(.*)\} (\S+)$', text, re.MULTILINE)
    declared = re.findall(r"^# TYPE rrbackup_verify_(\w+) gauge$", text, re.MULTILINE)
    assert declared == list(dict.fromkeys(name for name, _, _ in found))
    assert len(found) + 2 * len(declared) == len(text.splitlines())
    return ran, {name + labels: float(value) for name, labels, value in found}


def damage(bench: Bench) -> None:
    (stored,) = bench.store.glob("files/a/%v*")
    stored.chmod(0o600)
    stored.write_bytes(b"FIRST")


def test_a_check_writes_what_it_counted(bench: Bench) -> None:
    ran, numbers = verified(bench, "--read-data")
    assert ran.code == 0
    assert (numbers["success"], numbers["exit_code"], numbers["sound"]) == (1, 0, 1)
    assert (numbers["versions"], numbers["read_contents"], numbers["read_bytes"]) == (2, 2, 15)
    assert (numbers['damaged,kind="file"'], numbers['damaged,kind="record"'], numbers["unread"]) == (0, 0, 0)
    assert numbers["last_success_timestamp_seconds"] == numbers["timestamp_seconds"]


def test_damage_is_no_success_and_the_last_one_stays(bench: Bench) -> None:
    _, before = verified(bench)
    damage(bench)
    ran, after = verified(bench, "--read-data")
    assert ran.code == 1
    assert "/a" in ran.out
    assert (after["success"], after["exit_code"], after["sound"], after['damaged,kind="file"']) == (0, 1, 0, 1)
    kept = "last_success_timestamp_seconds"
    assert after[kept] == pytest.approx(before[kept], abs=1e-5)


def test_a_check_that_cannot_begin_is_a_failure_too(bench: Bench) -> None:
    bench.store.rename(bench.store.with_name("elsewhere"))
    ran, numbers = verified(bench)
    assert ran.code == numbers["exit_code"] != 0
    assert "versions" not in numbers


def test_metrics_that_cannot_be_written_fail_the_run_which_says_all_the_same_what_it_found(bench: Bench) -> None:
    nowhere = str(bench.config.with_name("no") / "folder" / "x")
    ran = bench.run("verify", "--metrics", nowhere, "--json")
    assert (ran.code, ran.document["sound"]) == (1, True)
    assert f"cannot write {nowhere}" in ran.err


@pytest.mark.parametrize(("first", "second"), [("backup", "verify"), ("verify", "backup")])
def test_neither_command_takes_the_file_of_the_other(bench: Bench, first: str, second: str) -> None:
    file = bench.config.with_name("one.prom")
    assert bench.run("-q", first, "--metrics", str(file)).code == 0
    before = file.read_text()
    ran = bench.run("-q", second, "--metrics", str(file))
    assert ran.code == 1
    assert f"{file} holds the metrics of {first}" in ran.err
    assert file.read_text() == before


def test_a_file_of_a_backup_tells_nothing_of_the_last_check() -> None:
    backup = metrics_text(Run("/c", 0, 10**9, 0), None)
    check = metrics_text(Run("/c", 0, 2 * 10**9, 0, measured=Measured.VERIFY), None)
    assert (last_success_in(backup), last_success_in(backup, Measured.VERIFY)) == (1, None)
    assert (last_success_in(check), last_success_in(check, Measured.VERIFY)) == (None, 2)
