"""What a new user types wrong, and whether the answer helps; and the small words of what is printed."""

import json
from pathlib import Path

import pytest

from rrbackup.cli import actions, checking, restoring
from rrbackup.cli.commands import program
from rrbackup.cli.failures import failure_of
from rrbackup.cli.human import incomplete, object_line, password_lines
from rrbackup.cli.signals import Terminated
from rrbackup.effects.keys import PasswordChanged
from rrbackup.pure.model import ObjectRef, PathText, Problem, ProblemKind, VersionId, VersionRef
from tests.unit.cli_bench import Bench

CONSEQUENCES = (actions.KEPT, checking.NOT_READ, checking.NOT_HEALED, restoring.NOT_RESTORED, restoring.NOT_RESTORABLE)


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    made = Bench(tmp_path, capsys)
    assert made.run("-q").code == 0
    return made


# --- values that name nothing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["download", "latest", ""],
        ["download", "latest", "target", ""],
        ["copy", "--to", ""],
        ["-c", "", "list_versions"],
        ["backup", "--metrics", ""],
        ["verify", "--metrics", ""],
        ["schedule", "cron", "--metrics", ""],
        ["init", "--directory", ""],
        ["init", "--base-path", ""],
        ["change_password", "--new-password-file", ""],
    ],
)
def test_an_empty_path_is_not_the_working_folder(
    words: list[str], bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    ran = bench.run(*words)
    assert (ran.code, ran.out) == (2, "")
    assert "is empty" in ran.err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("version", ["latest~", "latest~~1", "latest~0x1"])
def test_latest_with_half_a_number_is_no_version(version: str, bench: Bench) -> None:
    ran = bench.run("list_files", version)
    assert (ran.code, ran.out) == (10, "")
    assert "is not a version" in ran.err


def test_an_include_that_selects_nothing_is_told(bench: Bench) -> None:
    ran = bench.run("download", "latest", str(bench.target), "--include", "*.nope")
    assert (ran.code, ran.err) == (0, "rrbackup: nothing in the version is selected\n")
    assert bench.run("-q", "download", "latest", str(bench.target), "--include", "*.nope").err == ""
    assert bench.run("download", "latest", str(bench.target), "--include", "/a").err == ""
    again = ("download", "latest", str(bench.target), "--include", "/a", "--overwrite", "never")
    assert bench.run(*again).err == ""


# --- messages and hints ------------------------------------------------------------------------------------------


def test_a_missing_word_is_said_on_one_line_with_the_choices(bench: Bench) -> None:
    ran = bench.run("schedule")
    assert ran.err == (
        "rrbackup: error: Missing argument '{systemd|cron}'. Choose from: systemd, cron\n"
        "rrbackup: hint: see rrbackup schedule -h\n"
    )


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["download", "--at"], "download"),
        (["copy", "--to"], "copy"),
        (["backup", "--threads"], "backup"),
        (["-q", "list-files", "--config"], "list_files"),
    ],
)
def test_the_hint_names_the_command_whose_option_lacks_its_value(words: list[str], command: str, bench: Bench) -> None:
    ran = bench.bare(*words)
    assert ran.code == 2
    assert f"hint: see rrbackup {command} -h" in ran.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["schedule", "cron", "--time", "24:00"], "'24:00' is no time of day; write it as HH:MM, from 00:00 to 23:59"),
        (["backup", "--threads", "many"], "'many' is not a valid whole number"),
        (["copy", "--to", "x", "--last", "few"], "'few' is not a valid whole number"),
    ],
)
def test_a_value_is_refused_in_words(words: list[str], message: str, bench: Bench) -> None:
    ran = bench.run(*words)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


def test_a_path_of_the_disk_is_told_how_to_be_written(bench: Bench) -> None:
    on_disk = str(bench.source / "folder" / "b")
    for words in (["explain", on_disk], ["history", on_disk]):
        assert "counted from base_path it is /folder/b" in bench.run(*words).err, words
    for words in (["explain", "/folder/b"], ["explain", "/nothing"], ["history", "/nothing"]):
        assert "it is /" not in bench.run(*words).err, words


def test_where_the_root_is_backed_up_a_path_of_the_disk_is_one_of_a_commit(bench: Bench) -> None:
    bench.configure(base_path="/", ignore_files=[f"{bench.source.parent}*"])
    ran = bench.run("explain", "/nothing")
    assert ran.code == 0
    assert "it is /" not in ran.err


def test_the_history_of_a_folder_points_to_what_was_in_it(bench: Bench) -> None:
    ran = bench.run("history", "/folder")
    assert ran.code == 10
    assert "rrbackup find /folder" in ran.err


def test_a_path_with_a_wrong_escape_is_quoted_once(bench: Bench) -> None:
    ran = bench.run("history", "/100%")
    assert ran.code == 2
    assert ran.err.count("/100%") == 1


def test_two_configurations_with_one_manifest_are_both_named(bench: Bench) -> None:
    other = bench.config.with_name("other.json")
    other.write_text(bench.config.read_text().replace("/store", "/elsewhere"))
    ran = bench.run("copy", "--to", str(other))
    assert ran.code == 2
    assert "configuration local_manifest_file" not in ran.err
    assert "local_manifest_file" in ran.err


# --- commands around a backup ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "message"),
    [("sh -c 'exit 3'", "ended with status 3"), ("sh -c 'kill -TERM $$'", "was ended by SIGTERM")],
)
def test_how_a_command_before_the_backup_ended_is_told(command: str, message: str, bench: Bench) -> None:
    bench.configure(before_backup=command)
    error = bench.run("--json").document["error"]
    assert error["message"] == f"before_backup {message}"
    assert "program with its arguments" not in error["hint"]


# --- what an interruption leaves ---------------------------------------------------------------------------------


def test_after_an_interruption_the_hint_is_true() -> None:
    by = Terminated("SIGTERM")
    assert "not sent again" in failure_of(by, "backup").hint
    reading = ["list_versions", "list_files", "list_changes", "find", "history", "diff", "stats", "explain", "cat"]
    for command in [*reading, "policy", "schedule", "completion", "man"]:
        assert failure_of(by, command).hint == "nothing was changed", command
    assert "ends what this one left open" in failure_of(by, "garbage_collect").hint


# --- no password -------------------------------------------------------------------------------------------------


def test_where_nothing_is_encrypted_no_password_is_missing(bench: Bench) -> None:
    ran = bench.run("change_password")
    assert (ran.code, ran.out) == (2, "")
    assert "nothing in it is encrypted under a password" in ran.err


# --- one and many ------------------------------------------------------------------------------------------------


def test_one_is_not_many() -> None:
    told = {incomplete(1, text) for text in CONSEQUENCES}
    assert all("1 path could" in text and "them" not in text and "they" not in text for text in told)


@pytest.mark.parametrize(
    ("replaced", "words"), [(1, ("1 older version:", "read it or", "remove it:")), (2, ("2 older versions:", "them:"))]
)
def test_older_versions_of_the_salt_object_have_their_number(replaced: int, words: tuple[str, ...]) -> None:
    changed = PasswordChanged(VersionId("new"), (VersionRef("salt_file", VersionId("old")),) * replaced)
    said = "\n".join(password_lines(changed, None))
    assert all(word in said for word in words)


@pytest.mark.parametrize(("size", "text"), [(1, "1 byte,"), (2, "2 bytes,")])
def test_a_stored_size_has_its_number(size: int, text: str) -> None:
    ref = ObjectRef("files/a", VersionId("v"), size, "etag")
    assert f"  {text} stored as it is" in object_line(ref)


# --- -h, the manual, completion ----------------------------------------------------------------------------------


def test_the_list_of_commands_cuts_no_sentence_off(bench: Bench) -> None:
    listed = bench.bare("-h").out.partition("Commands:\n")[2].partition("\n\n")[0]
    assert len(listed.splitlines()) == len(program.commands)
    assert "..." not in listed


def test_the_manual_lists_no_argument_without_a_word_about_it(bench: Bench) -> None:
    lines = bench.bare("man").out.splitlines()
    entries = [lines[number + 1 : number + 3] for number, line in enumerate(lines) if line == ".TP"]
    assert entries
    assert all(text.strip() for _, text in entries)


@pytest.mark.parametrize("words", [["--config"], ["list_files", "-c"], ["copy", "--to"]])
def test_a_shell_completes_the_names_of_files_where_one_is_wanted(words: list[str]) -> None:
    from click.shell_completion import ShellComplete

    offered = ShellComplete(program, {}, "rrbackup", "_X").get_completions(words, "")
    assert [one.type for one in offered] == ["file"]


def test_a_shell_completes_options_of_a_command_behind_others_before_it() -> None:
    from click.shell_completion import ShellComplete

    offered = ShellComplete(program, {}, "rrbackup", "_X").get_completions(["--threads", "4", "backup"], "--allow")
    assert [one.value for one in offered] == ["--allow-empty"]


def test_json_of_a_refused_word_is_one_document(bench: Bench) -> None:
    ran = bench.run("--json", "schedule")
    assert ran.err == ""
    assert "\n" not in json.loads(ran.out)["error"]["message"]


# --- problems ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "detail", "shown"),
    [
        ("/a", "there is no object files/a version 1 in /st", "/a: there is no object files/a version 1 in /st"),
        ("/a", "there is no object files/aunt version 1", "/a: there is no object files/aunt version 1"),
        ("/a", "cannot write /a/b", "/a: cannot write /a/b"),
        ("/a", "cannot write /a: it is full", "cannot write /a: it is full"),
        ("/a", "the content of /a (files/b) is damaged", "the content of /a (files/b) is damaged"),
        ("/a b", "unsafe path '/a b'", "unsafe path '/a b'"),
        ("/a", "/a is restored", "/a is restored"),
    ],
)
def test_a_problem_always_names_its_path(path: str, detail: str, shown: str) -> None:
    assert str(Problem(PathText(path), ProblemKind.DAMAGED, detail)) == shown
