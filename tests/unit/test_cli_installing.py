"""schedule, completion and man: what a machine gets to have rrbackup at hand."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from rrbackup.cli.commands import program
from tests.unit.cli_bench import Bench

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(tmp_path, capsys)


# --- schedule ----------------------------------------------------------------------------------------------------


def test_the_readme_shows_what_schedule_prints(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/rrbackup"])
    bench.configure(base_path=str(tmp_path / "data"))
    bench.config.rename(tmp_path / "nas.json")
    (block,) = re.findall(r"^```console schedule\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    steps = [step.partition("\n") for step in re.split(r"^\$ rrbackup ", block, flags=re.MULTILINE)[1:]]
    assert len(steps) == 2
    for line, _, said in steps:
        ran = bench.bare(*line.split())
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.replace(str(tmp_path), "/srv").strip() == said.strip()


NAMES = ["plain", "with space", "per%cent 50%", "do$lar", 'quo\'te "s"', "am&per;sand"]


@pytest.mark.parametrize("name", NAMES)
def test_the_line_for_cron_runs_the_command_in_the_folder_of_now(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    here = tmp_path / name
    here.mkdir()
    program_file = here / "rrbackup"
    says = "import json, os, sys\nprint(json.dumps([os.getcwd(), *sys.argv[1:]]))"
    program_file.write_text(f"#!{sys.executable}\n{says}\n")
    program_file.chmod(0o755)
    bench.config.rename(here / "c.json")
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "argv", [str(program_file)])
    ran = bench.bare("-c", "c.json", "schedule", "cron", "--metrics", "m.prom")
    assert ran.out.startswith("30 2 * * * cd ")
    command = ran.out.removeprefix("30 2 * * * ").rstrip("\n")
    assert not re.search(r"(?<!\\)%", command)
    done = subprocess.run(["sh", "-c", command.replace("\\%", "%")], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [str(here), "-q", "-c", f"{here}/c.json", "backup", "--metrics", f"{here}/m.prom"]


def test_systemd_gets_its_own_quotes(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / 'a "b" 5% $c \\'
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/rrbackup"])
    bench.config.rename(here / "weekly run.json")
    units = bench.bare("-c", "weekly run.json", "--json", "schedule", "systemd").document
    assert list(units) == ["rrbackup-weekly-run.service", "rrbackup-weekly-run.timer"]
    service = units["rrbackup-weekly-run.service"].splitlines()
    quoted = f'"{tmp_path}/a \\"b\\" 5%% $$c \\\\/weekly run.json"'
    assert f"ExecStart=/usr/bin/rrbackup -q -c {quoted} backup" in service
    assert f'WorkingDirectory={tmp_path}/a "b" 5%% $c \\' in service


def test_a_program_that_is_not_called_rrbackup_is_named_as_a_module(bench: Bench) -> None:
    assert f"exec {os.path.abspath(sys.executable)} -m rrbackup -q" in bench.run("schedule", "cron").out


def test_the_usual_configuration_gives_the_usual_name(bench: Bench, tmp_path: Path) -> None:
    bench.config.rename(tmp_path / "configuration.json")
    ran = bench.bare("-c", str(tmp_path / "configuration.json"), "--json", "schedule", "systemd")
    assert list(ran.document) == ["rrbackup.service", "rrbackup.timer"]


@pytest.mark.parametrize("kind", ["cron", "systemd"])
@pytest.mark.parametrize("name", ["line\nbreak", "escape\x1b[2J", b"\xff"])
def test_a_path_that_no_line_can_hold_is_refused(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str | bytes
) -> None:
    here = os.path.join(tmp_path, os.fsdecode(name))
    os.mkdir(here)
    monkeypatch.chdir(here)
    ran = bench.run("schedule", kind)
    assert (ran.code, ran.out) == (2, "")
    assert "holds a control character or bytes that are not UTF-8" in ran.err
    assert "\x1b" not in ran.err


def test_a_backslash_is_refused_for_cron(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "back\\slash").mkdir()
    monkeypatch.chdir(tmp_path / "back\\slash")
    assert bench.run("schedule", "cron").code == 2


@pytest.mark.parametrize("words", [["weekly"], [], ["cron", "--time", "25:00"], ["cron", "--time", "noon"]])
def test_a_schedule_that_makes_no_sense_is_refused(bench: Bench, words: list[str]) -> None:
    ran = bench.run("schedule", *words)
    assert (ran.code, ran.out) == (2, "")


def test_a_reader_has_nothing_to_schedule(bench: Bench) -> None:
    bench.configure(read_only=True)
    assert bench.run("schedule", "cron").code == 2


# --- completion --------------------------------------------------------------------------------------------------


def completed(tmp_path: Path, *words: str) -> list[str]:
    """What bash offers for the last word, with the script that the command prints."""
    (tmp_path / "rrbackup").write_text(f'#!/bin/sh\nexec {sys.executable} -m rrbackup "$@"\n')
    (tmp_path / "rrbackup").chmod(0o755)
    given = " ".join(f"'{word}'" for word in words)
    script = (
        "source <(rrbackup completion bash); declare -F _rrbackup_completion >/dev/null || exit 9; "
        f"COMP_WORDS=({given}); COMP_CWORD={len(words) - 1}; _rrbackup_completion rrbackup; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ran = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    return ran.stdout.split()


def test_bash_completes_commands_and_their_options(tmp_path: Path) -> None:
    assert completed(tmp_path, "rrbackup", "list_") == ["list_versions", "list_files", "list_changes"]
    assert completed(tmp_path, "rrbackup", "backup", "--dr") == ["--dry-run"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_asks_rrbackup(bench: Bench, shell: str) -> None:
    ran = bench.bare("completion", shell)
    assert (ran.code, ran.err) == (0, "")
    assert f"_RRBACKUP_COMPLETE={shell}_complete" in ran.out
    assert ran.out.strip() == bench.bare("completion", shell, "--json").document["script"].strip()


def test_a_shell_that_is_not_known_is_refused(bench: Bench) -> None:
    assert bench.bare("completion", "tcsh").code == 2


# --- man ---------------------------------------------------------------------------------------------------------


def plain(page: str) -> str:
    """The words of a page without its marks."""
    text = re.sub(r"^\.(SH|SS|TP|PP|nf|fi|TH|B)\b", "", page, flags=re.MULTILINE)
    text = re.sub(r"\\f[BIR]|\\&", "", text).replace("\\-", "-").replace("\\e", "\\")
    return " ".join(text.split())


def test_the_manual_says_what_help_says(bench: Bench) -> None:
    said = plain(bench.bare("man").out)
    for name, command in program.commands.items():
        context = click.Context(command, info_name=name, **program.context_settings)
        texts = [command.help or "", command.epilog or ""]
        texts += [" ".join(parameter.get_help_record(context) or ()) for parameter in command.params]
        for text in texts:
            assert " ".join(text.replace("\b", "").split()) in said, name


def test_no_line_of_the_manual_is_taken_for_a_request(bench: Bench) -> None:
    requests = {line.split()[0] for line in bench.bare("man").out.splitlines() if line.startswith((".", "'"))}
    assert requests == {".TH", ".SH", ".SS", ".TP", ".PP", ".nf", ".fi", ".B"}
