"""find, history, diff, stats, explain and --at on the command line: lines, documents, tables, bad input."""

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rrbackup.cli.json_stream import json_chunks
from rrbackup.cli.looking import FOUND
from rrbackup.cli.output import Output
from rrbackup.cli.tables import Column, Table, plain_lines
from rrbackup.cli.terminal import print_table
from rrbackup.cli.times import with_times_first
from rrbackup.pure import checkpoint
from rrbackup.pure.model import VersionId, VersionRef
from tests.unit.cli_bench import Bench, Ran
from tests.unit.test_cli_texts import HOSTILE, Terminal


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(tmp_path, capsys)


@pytest.fixture
def three(bench: Bench) -> Bench:
    """/folder/b moves to /c, then /a changes."""
    bench.run("-q")
    (bench.source / "folder" / "b").rename(bench.source / "c")
    (bench.source / "folder").rmdir()
    bench.run("-q")
    (bench.source / "a").write_bytes(b"first, changed")
    bench.run("-q")
    return bench


def ids(bench: Bench) -> list[str]:
    return [version["version_id"] for version in bench.run("list_versions", "--json").document["versions"]]


def cells(ran: Ran) -> list[list[str]]:
    assert (ran.code, ran.err) == (0, "")
    return [line.split() for line in ran.out.splitlines()]


# --- what they say -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["find", "/a"], ["history", "/a"], ["stats"], ["explain", "/a"], ["diff", "latest~1"], ["list_versions"]]
)
def test_what_lies_on_top_and_is_not_sound_is_named_with_the_way_out(three: Bench, words: list[str]) -> None:
    newest = ids(three)[-1]
    sound = three.run(*words)
    on_top = three.directory_store().put("manifest_diffs", b"garbage").version_id
    ran = three.run(*words)
    assert (ran.code, ran.out) == (1, sound.out)
    assert f"{on_top}  not sound: " in ran.err
    assert f"rrbackup repair --head {newest}" in ran.err
    document = three.run(*words, "--json").document
    assert [one["version_id"] for one in document["unsound"]] == [on_top]
    assert document["delete_marker"] is None


def test_find_shows_each_state_with_the_version_to_restore_it_from(three: Bench) -> None:
    first, second, third = ids(three)
    rows = cells(three.run("find", "/a"))
    assert [(row[0], row[5], row[-3:]) for row in rows] == [
        ("5", "#1", ["#2", second, "/a"]),
        ("14", "#3", ["latest", third, "/a"]),
    ]
    found = three.run("find", "*b", "--json").document
    assert (found["lost"], [row["path"] for row in found["found"]]) == (None, ["/folder/b"])
    (row,) = found["found"]
    assert (row["first"], row["last"]["version_id"]) == (row["last"], first)
    assert (row["commits"], row["current"], row["or_earlier"], row["size"]) == (1, False, False, 10)


def test_history_shows_what_happened_and_to_which_content(three: Bench) -> None:
    rows = cells(three.run("history", "/a"))
    assert [(row[3], row[4], row[-2:]) for row in rows] == [("#1", "5", ["1", "new"]), ("#3", "14", ["2", "changed"])]
    document = three.run("history", "/folder/b", "--json").document
    assert [(event["happening"], event["sequence"]) for event in document["events"]] == [("new", 1), ("deleted", 2)]
    assert document["events"][1]["entry"]["size"] == 10


def test_diff_shows_where_a_file_came_from(three: Bench) -> None:
    rows = cells(three.run("diff", "latest~2"))
    assert [(row[0], row[5:]) for row in rows] == [("changed", ["/a"]), ("renamed", ["/c", "<-", "/folder/b"])]
    document = three.run("diff", "latest", "latest~2", "--json").document
    assert (document["before"]["sequence"], document["after"]["sequence"]) == (3, 1)
    assert [(row["kind"], row["path"], row.get("from")) for row in document["differences"]] == [
        ("changed", "/a", None),
        ("renamed", "/folder/b", "/c"),
    ]
    assert three.run("diff", "latest", "latest").out == ""


def test_stats_add_up(three: Bench) -> None:
    document = three.run("stats", "--json").document
    assert [(c["bytes_new"], c["bytes_shared"], c["stored"]) for c in document["commits"]] == [
        (15, 0, 15),
        (0, 10, 15),
        (14, 0, 29),
    ]
    assert (document["objects"], document["versions"], document["stored"], document["lost"]) == (2, 3, 29, None)
    assert document["pipelines"] == [{"pipeline": [], "versions": 3, "bytes": 29, "stored": 29}]
    lines = three.run("stats").out.splitlines()
    assert lines[3:6] == [
        "latest:  2 entries, 24 B",
        "stored:  2 objects in 3 versions, 29 B",
        "         3 versions as it is: 29 B of content in 29 B",
    ]
    assert lines[6].startswith("growth:  14 B in 2 commits since ")


def test_explain_names_filters_by_their_number(three: Bench) -> None:
    three.configure(ignore_files=["*.x", "/c"], skip_delete=["/c"])
    lines = three.run("explain", "/c").out.splitlines()
    assert lines[:4] == [
        "/c",
        '  ignored:      yes, by ignore_files number 2, "/c", which matches /c',
        '  skip_delete:  yes, by skip_delete number 1, "/c", which matches /c',
        '  pipeline:     file_pipeline number 1, "*", asks for nothing: it is stored as it is',
    ]
    assert lines[4].endswith("#3, holds")
    document = three.run("explain", "/nowhere", "--json").document
    assert (document["ignored"], document["entry"], document["below"]) == (None, None, 0)
    assert document["file_pipeline"] == {
        "key": "file_pipeline",
        "number": 1,
        "filter": "*",
        "matched": "/nowhere",
    }


# --- nothing, and nonsense ---------------------------------------------------------------------------------


def test_nothing_found_is_said(three: Bench) -> None:
    ran = three.run("find", "/no")
    assert (ran.code, ran.out, "no commit holds anything" in ran.err) == (0, "", True)
    ran = three.run("history", "/no")
    assert (ran.code, ran.out, "no commit has ever held /no" in ran.err) == (10, "", True)
    assert three.run("history", "/no", "--json").document["events"] == []


@pytest.mark.parametrize("words", [["find", "*"], ["history", "/a"], ["stats"], ["explain", "/a"], ["diff", "latest"]])
def test_an_empty_repository_is_no_bug(bench: Bench, words: list[str]) -> None:
    bench.run("init")
    ran = bench.run(*words)
    assert ran.code in (0, 10)
    assert "bug" not in ran.err
    json.loads(bench.run(*words, "--json").out)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["find", "todo"], 2, 'write "/todo" for the root, "*/todo" for every folder'),
        (["find", ""], 2, "an empty filter matches nothing"),
        (["find"], 2, "Missing argument 'PATTERN'"),
        (["history", "a"], 2, "'a' is no path of a commit"),
        (["explain", "/../a"], 2, "unsafe path '/../a', so it is no path of a commit"),
        (["diff", "latest", "nix"], 10, "there is no commit 'nix'"),
        (["diff"], 2, "Missing argument 'VERSION'"),
        (["list_files", "--at", "noon"], 2, "'noon' is not a time"),
        (["list_files", "--at"], 2, "Option '--at' requires an argument"),
        (["list_files", "latest", "--at", "2030-01-01"], 2, "unexpected extra argument"),
        (["list_changes", "--at", "1999-12-31"], 10, "no commit is from 1999-12-31 or before"),
        (["diff", "--at", "1999-12-31"], 10, "no commit is from 1999-12-31 or before"),
    ],
)
def test_bad_input_is_refused_in_words(three: Bench, words: list[str], code: int, said: str) -> None:
    ran = three.run(*words)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert three.run(*words, "--json").document["error"]["exit_code"] == code


# --- times -------------------------------------------------------------------------------------------------


def test_the_time_that_list_versions_shows_names_the_version_beside_it(three: Bench) -> None:
    *_, second, third = three.run("list_versions", "--json").document["versions"]
    assert three.run("list_files", "--at", third["created"], "--json").document["version_id"] == third["version_id"]
    shown = three.run("list_versions").out.splitlines()[-1][:19]
    assert three.run("list_changes", f"--at={shown}", "--json").document["version_id"] == third["version_id"]
    before = datetime.fromisoformat(second["created"]) - timedelta(microseconds=1)
    assert three.run("diff", "--at", before.isoformat(), "--json").document["before"]["sequence"] == 1


def test_a_time_leaves_the_other_arguments_of_a_download(three: Bench) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%MZ")
    for words in ([str(three.target), "--at", tomorrow], ["--at", tomorrow, str(three.target)]):
        assert three.run("download", *words, "--json").document["version_id"] == ids(three)[-1]
    assert (three.target / "a").read_bytes() == b"first, changed"


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["--at", "T", "x"], ["@T", "x"]),
        (["x", "--at=T", "-v"], ["@T", "x", "-v"]),
        (["--at", "T", "--at", "U"], ["@T", "@U"]),
        (["x", "--", "--at", "T"], ["x", "--", "--at", "T"]),
        (["x", "--at"], ["x", "--at"]),
    ],
)
def test_times_come_first(words: list[str], meant: list[str]) -> None:
    assert with_times_first(words) == meant


# --- losses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["find", "*"], ["history", "/c"], ["stats"]])
def test_a_loss_is_told_as_list_versions_tells_it(
    three: Bench, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr(checkpoint, "FEWEST_DIFFS", 3)
    (three.source / "new").write_bytes(b"x")
    three.run("-q")
    first = ids(three)[0]
    three.directory_store().delete_versions([VersionRef("manifest_diffs", VersionId(first))])
    listed, ran = three.run("list_versions", "-q"), three.run(*words, "-q")
    assert (ran.code, listed.code, bool(ran.out)) == (1, 1, True)
    lost, whole = ran.err.splitlines()
    assert whole == listed.err.splitlines()[-1]
    assert lost.startswith(f"rrbackup: problem: lost: the commits before number 4 (the diff {first} is missing")
    document = three.run(*words, "--json")
    assert document.code == 1
    told, known = (d["lost"] for d in (document.document, three.run("list_versions", "--json").document))
    assert {**told, "reason": ""} == {**known, "reason": ""}
    assert first in told["reason"]


# --- tables ------------------------------------------------------------------------------------------------


def rows(told: list[str], out: io.StringIO, count: int) -> Iterator[list[str]]:
    for number in range(count):
        told.append(out.getvalue().rpartition("path")[2])
        yield ["1", "then", "first", "last", f"id{number}", HOSTILE]


def test_lines_are_written_while_they_are_made() -> None:
    out, told = io.StringIO(), list[str]()
    Output(out, None).lines(plain_lines(Table(FOUND, rows(told, out, 3))))
    assert [text.count("id") for text in told] == [0, 1, 2]
    assert "\x1b" not in out.getvalue()


def test_a_long_table_on_a_terminal_comes_in_parts() -> None:
    terminal, told = Terminal(), list[str]()
    print_table(Table(FOUND, rows(told, terminal, 1_200)), terminal)
    assert (told[499], told[500].count("id499"), told[1_199].count("id999")) == ("", 1, 1)
    assert terminal.getvalue().count("id1199") == 1
    assert "\x1b]0" not in terminal.getvalue()


def test_rows_that_are_held_are_aligned() -> None:
    columns = (Column("a"), Column("b", right=True), Column("c"))
    assert list(plain_lines(Table(columns, [("x", "1", "end"), ("long", "1000", "")]))) == [
        "x        1  end",
        "long  1000  ",
    ]
    assert list(plain_lines(Table(columns, []))) == []


def test_a_document_of_many_rows_is_never_held_as_one_text() -> None:
    from rrbackup.cli.json_stream import Rows

    chunks = json_chunks({"found": Rows({"n": n} for n in range(10_000))})
    assert max(map(len, chunks)) < 100
