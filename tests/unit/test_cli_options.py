"""The options that every command has, and `-h`."""

from pathlib import Path

import click
import pytest

from rrbackup.cli.commands import program
from rrbackup.cli.exit_codes import MEANINGS, ExitCode
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


def test_the_value_of_an_option_is_no_command() -> None:
    options = [
        option for command in program.commands.values() for option in command.params if isinstance(option, click.Option)
    ]
    taking = {name for option in options if not option.is_flag for name in option.opts}
    assert {"--threads", "--at", "--path", "--bucket"} < taking
    both = taking.intersection(name for option in options if option.is_flag for name in option.opts)
    assert both == {"--apply"}  # of policy with a value, of lifecycle without
    for name in (*taking, "--c", "-c", "-qc", "--config"):
        assert program.command_in([name, "list_files"]) is None, name
        assert program.command_in([name, "list_files", "cat"]) == "cat", name


def test_no_command_is_a_backup_with_its_options(bench: Bench) -> None:
    words = ["--threads", "4", "--limit-upload", "1GiB", "-c", str(bench.config), "--json"]
    assert bench.bare(*words).document["new"] == 2


def test_what_only_a_command_understands_may_stand_before_its_name_too(bench: Bench) -> None:
    config = str(bench.config)
    words = ["-q", "--threads", "4", "--allow-empty", "-c", config, "backup", "--json"]
    assert bench.bare(*words).document["new"] == 2
    assert len(bench.bare("--at", "2100-01-01", "-c", config, "list_files", "--json").document["files"]) == 2
    assert "rrbackup backup -h" in bench.bare("--nonsense", "backup").err
    assert "Usage: rrbackup backup" in bench.bare("--threads", "4", "backup", "-h").out
    assert "Usage: rrbackup [OPTIONS] COMMAND" in bench.bare("-h", "backup").out


def test_words_behind_two_dashes_are_a_command_with_its_options(bench: Bench) -> None:
    assert bench.bare("-c", str(bench.config), "--", "backup", "--allow-empty", "--json").document["new"] == 2


@pytest.mark.parametrize("rate", ["abc", "0", "-1", "", "9" * 400, "1e9", "0.5"])
@pytest.mark.parametrize("option", ["--limit-upload", "--limit-download"])
def test_a_rate_that_is_none_is_refused_before_anything_is_done(bench: Bench, option: str, rate: str) -> None:
    bench.configure(before_backup=["touch", str(bench.config.with_name("hooked"))])
    command = ["backup"] if option == "--limit-upload" else ["download", "latest", "target"]
    ran = bench.run(*command, f"{option}={rate}")
    assert ran.code == 2
    assert option in ran.err
    assert not bench.config.with_name("hooked").exists()


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
