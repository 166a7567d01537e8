"""What the command line makes of values: numbers, times, foreign texts, JSON piece by piece, the display."""

import io
import json
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.cli import human
from rrbackup.cli.counting import Count
from rrbackup.cli.json_stream import Rows, json_chunks
from rrbackup.cli.output import Output
from rrbackup.cli.terminal import ProgressDisplay, print_versions
from rrbackup.cli.texts import human_bytes, iso_utc, local_time, shown
from rrbackup.errors import RRBackupError
from rrbackup.events import (
    BytesMoved,
    Comparing,
    DownloadPlanned,
    Event,
    FileDone,
    Notice,
    PlanMade,
    ProblemFound,
    Scanning,
)
from rrbackup.pure.model import PathText, Problem, ProblemKind, VersionId
from rrbackup.pure.report import Counts, Version

HOSTILE = "\x1b]0;owned\x07\r\n\x9b2J\u2028"
TIB = 1 << 40


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _version(number: int, version_id: str, host: str = "host", size: int = 0) -> Version:
    return Version(VersionId(version_id), number, 0, host, Counts(new=number, bytes=size))


# --- numbers, times, texts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (5 << 30, "5.0 GiB"),
        (TIB, "1.0 TiB"),
        (5000 * (1 << 50), "5000.0 PiB"),
    ],
)
def test_sizes_have_the_unit_that_fits(count: int, text: str) -> None:
    assert human_bytes(count) == text


def test_utc_times_have_microseconds() -> None:
    assert iso_utc(1_000_000_123_456_789) == "1970-01-12T13:46:40.123456Z"


@given(st.integers())
def test_any_number_is_a_time_that_can_be_shown(time_ns: int) -> None:
    assert iso_utc(time_ns).endswith(("Z", " ns"))
    assert local_time(time_ns)


@given(st.text())
def test_nothing_that_is_shown_controls_a_terminal(text: str) -> None:
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in shown(text))
    assert len(shown(text)) == len(text)


def test_a_hostile_host_name_reaches_no_terminal() -> None:
    out = io.StringIO()
    Output(out, None).lines(human.version_lines([_version(1, "v1", HOSTILE)]))
    assert out.getvalue().endswith("?]0;owned????2J?\n")
    table = Terminal()
    print_versions([_version(1, "v1", HOSTILE)], table)
    assert "\x1b]0" not in table.getvalue()


# --- columns -----------------------------------------------------------------------------------------------


def test_columns_are_as_wide_as_their_widest_cell_and_ids_are_whole() -> None:
    long = "x" * 300
    first, second = human.version_lines([_version(1, "short"), _version(1000, long, size=3 << 20)])
    assert long in second
    assert first.index("+1") + len("+1") == second.index("+1000") + len("+1000")
    assert first.endswith("  ~0  -0      0 B  host")


def test_a_narrow_terminal_folds_an_id_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    terminal = Terminal()
    version_id = "".join("UVWXYZ"[i * i % 6] for i in range(60))
    print_versions([_version(1, version_id)], terminal)
    assert "".join(re.findall("[U-Z]+", terminal.getvalue())) == version_id


# --- JSON --------------------------------------------------------------------------------------------------


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), JSON_VALUES, max_size=4), st.lists(JSON_VALUES, max_size=5))
def test_what_is_streamed_reads_back(members: dict[str, object], rows: list[object]) -> None:
    document = {**members, "rows": Rows(rows)}
    text = "".join(json_chunks(document))
    assert text.isascii()
    assert json.loads(text) == {**members, "rows": rows}


def test_an_array_is_written_while_it_is_made() -> None:
    out = io.StringIO()
    seen: list[int] = []

    def rows() -> Iterator[int]:
        for number in range(3):
            seen.append(out.getvalue().count("\n"))
            yield number

    Output(out, None).document({"rows": Rows(rows())})
    assert seen == [0, 1, 2]


# --- streams -----------------------------------------------------------------------------------------------


def _said(environ: dict[str, str]) -> str:
    err = Terminal()
    Output(None, err, environ).error("it broke")
    return err.getvalue()


def test_colour_is_for_terminals_that_want_it() -> None:
    assert _said({"TERM": "xterm"}) == "rrbackup: \x1b[1;31merror:\x1b[0m it broke\n"
    assert _said({"TERM": "dumb"}) == "rrbackup: error: it broke\n"
    assert _said({"TERM": "xterm", "NO_COLOR": "1"}) == "rrbackup: error: it broke\n"
    err = io.StringIO()
    Output(None, err, {}).error("it broke")
    assert err.getvalue() == "rrbackup: error: it broke\n"


def test_streams_that_were_closed_from_the_start_are_no_error() -> None:
    output = Output(None, None)
    output.lines(["x"])
    output.document({})
    output.error("x")
    output.flush()
    output.abandon()


def test_a_full_disk_behind_standard_output_is_an_error() -> None:
    with open("/dev/full", "w") as full:
        output = Output(full, None)
        output.lines(["x"])
        with pytest.raises(RRBackupError, match="cannot write to standard output: No space left on device"):
            output.flush()
        output.abandon()


def test_a_character_that_the_locale_lacks_is_escaped() -> None:
    raw = io.BytesIO()
    output = Output(io.TextIOWrapper(raw, encoding="ascii"), None)
    output.lines(["ü\udcff"])
    output.flush()
    assert raw.getvalue() == b"\\xfc\\udcff\n"


# --- progress ----------------------------------------------------------------------------------------------


def _counted(*events: Event) -> tuple[int | None, int, str]:
    count = Count()
    for event in events:
        count.take(event)
    return count.total, count.bytes, count.description


A, B = PathText("/a"), PathText("/b")
PLAN = PlanMade(2, 100, 7)


@pytest.mark.parametrize(
    ("events", "total", "moved", "description"),
    [
        ([], None, 0, "looking"),
        ([Scanning("/base", 1000)], None, 0, "scanning: 1000 entries"),
        ([Comparing(1, 3 << 20)], None, 0, "comparing: 1 file, 3.0 MiB"),
        ([ProblemFound(Problem(A, ProblemKind.SPECIAL, "a pipe")), PLAN], 100, 0, "0 of 2 files"),
        ([DownloadPlanned(1, 5)], 5, 0, "0 of 1 file"),
        ([PLAN, BytesMoved(A, 10), BytesMoved(A, 10), BytesMoved(B, 5)], 100, 25, "0 of 2 files"),
        ([PLAN, BytesMoved(A, 60), BytesMoved(A, 60)], 100, 100, "0 of 2 files"),
        ([PLAN, BytesMoved(A, 60), BytesMoved(A, 60), FileDone(A, 60, True)], 100, 60, "1 of 2 files"),
        ([PLAN, FileDone(A, 60, False), BytesMoved(B, 7)], 100, 67, "1 of 2 files"),
        (
            [PLAN, BytesMoved(A, 9), ProblemFound(Problem(A, ProblemKind.UNREADABLE, ""))],
            100,
            0,
            "1 of 2 files",
        ),
        (
            [PLAN, ProblemFound(Problem(A, ProblemKind.CHANGING, "")), FileDone(A, 9, True)],
            100,
            9,
            "1 of 2 files",
        ),
    ],
)
def test_progress_counts_every_file_once(events: list[Event], total: int | None, moved: int, description: str) -> None:
    assert _counted(*events) == (total, moved, description)


def test_a_notice_stands_above_the_display() -> None:
    terminal = Terminal()
    with ProgressDisplay(terminal, verbose=False) as display:
        display(PLAN)
        display(Notice(f"recovered {HOSTILE}"))
    assert "rrbackup: recovered ?]0;owned????2J?\n" in terminal.getvalue()
