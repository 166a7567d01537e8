"""The options that every command has, and `-h`."""

from pathlib import Path

import click
import pytest

from rrbackup.cli.commands import program
from rrbackup.cli.exit_codes import MEANINGS, ExitCode
from rrbackup.cli.options import command_in
from rrbackup.cli.program import DEFAULT_COMMAND
from tests.unit.cli_bench import Bench


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(tmp_path, capsys)


@pytest.mark.parametrize("spelling", ["--c", "-c", "--config"])
@pytest.mark.parametrize("command", ["list_versions", "list-versions"])
def test_global_options_stand_before_or_after_the_command(bench: Bench, spelling: str, command: str) -> None:
    bench.run()
    config = str(bench.config)
    for words in (
        [spelling, config, "--json", command],
        [command, spelling, config, "--json"],
        ["--json", command, spelling, config],
    ):
        assert len(bench.bare(*words).document["versions"]) == 1


@pytest.mark.parametrize("form", [["-cFILE"], ["--c=FILE"], ["-qc", "FILE"], ["-q", "-c", "FILE"]])
def test_no_command_is_a_backup_however_the_configuration_is_named(bench: Bench, form: list[str]) -> None:
    words = [word.replace("FILE", str(bench.config)) for word in form]
    assert bench.bare(*words, "--json").document["new"] == 2


def test_the_value_of_an_option_of_backup_is_no_command() -> None:
    backup = program.commands[DEFAULT_COMMAND]
    options = [option for option in backup.params if isinstance(option, click.Option) and not option.is_flag]
    assert "--threads" in {name for option in options for name in option.opts}
    for name in (name for option in options for name in option.opts):
        assert command_in([name, "4"]) is None, name


def test_no_command_is_a_backup_with_its_options(bench: Bench) -> None:
    words = ["--threads", "4", "--limit-upload", "1GiB", "-c", str(bench.config), "--json"]
    assert bench.bare(*words).document["new"] == 2


def test_the_last_configuration_named_counts(bench: Bench) -> None:
    assert bench.run("list_versions", "--c", "other.json").code == 2


def test_the_configuration_is_looked_for_in_the_working_folder(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.config.rename(bench.config.with_name("configuration.json"))
    monkeypatch.chdir(bench.config.parent)
    assert bench.bare("--json").document["new"] == 2


def test_trailing_commas_and_comments_are_accepted(bench: Bench) -> None:
    text = bench.config.read_text()
    bench.config.write_text(text.removesuffix("}") + ',"read_only": false, /* yes */ }')
    assert bench.run("--json").document["new"] == 2


def test_warnings_about_the_configuration_are_told_unless_quiet(bench: Bench) -> None:
    bench.configure(split_chunk_size=5)
    assert "rrbackup: warning: split_chunk_size does nothing" in bench.run("init").err
    assert bench.run("-q").err == ""


@pytest.mark.parametrize("words", [["-h"], ["--help"], ["backup", "-h"], ["list-files", "--help"], ["--version"]])
def test_help_and_version_need_no_configuration(
    bench: Bench, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nothing").mkdir()
    monkeypatch.chdir(tmp_path / "nothing")
    ran = bench.bare(*words)
    assert (ran.code, ran.err) == (0, "")
    assert "rrbackup" in ran.out


COMMANDS = [
    "init",
    "backup",
    "list_versions",
    "list_files",
    "list_changes",
    "download",
    "garbage_collect",
    "clean_gc_log",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_explained_with_examples(bench: Bench, command: str) -> None:
    assert f"\n  {command} " in bench.bare("-h").out
    assert "Examples:\n    rrbackup" in bench.bare(command, "-h").out


def test_help_documents_every_exit_code(bench: Bench) -> None:
    ran = bench.bare("-h")
    assert ran.code == 0
    for code in ExitCode:
        assert f"{code.value:>3}  {MEANINGS[code]}" in ran.out
