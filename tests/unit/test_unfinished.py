"""Names of unfinished files: which are rrbackup's own, and which belong to a run."""

import pytest

from rrbackup.pure.unfinished import (
    MARKER_BYTES,
    belongs_to,
    is_own,
    marked_run,
    marker_content,
    marker_name,
    temporary_name,
)

RUN, OTHER = "0123456789abcdef", "fedcba9876543210"


def test_names_are_those_of_their_run() -> None:
    temporary, marker = temporary_name(RUN, 12).decode(), marker_name(RUN).decode()
    assert (temporary, marker) == (f".rrbackup-{RUN}-12", f".rrbackup-{RUN}.run")
    assert belongs_to(temporary, RUN)
    assert not belongs_to(temporary, OTHER)
    assert not belongs_to(marker, RUN)
    assert (marked_run(marker), marked_run(temporary)) == (RUN, None)
    assert is_own(temporary)
    assert is_own(marker)
    assert is_own(f".rrbackup-{RUN}")


@pytest.mark.parametrize(
    "name",
    [
        *(
            ".rrbackup-notes",
            f"x.rrbackup-{RUN}-1",
            f".rrbackup-{RUN}-1.txt",
            f".rrbackup-{RUN}-",
            f".rrbackup-{RUN}0-1",
        ),
        *(f".rrbackup-{RUN.upper()}-1", f".rrbackup-{RUN}.run2", f"xrrbackup-{RUN}-1", f".rrbackup-{RUN}-1\n"),
    ],
)
def test_any_other_name_is_somebody_elses(name: str) -> None:
    assert not is_own(name)
    assert not belongs_to(name, RUN)
    assert marked_run(name) is None


def test_what_a_marker_says_tells_runs_and_machines_apart_and_is_short() -> None:
    said = marker_content(RUN, "here")
    assert RUN.encode() in said
    assert b" here\n" in said
    assert len({said, marker_content(OTHER, "here"), marker_content(RUN, "there")}) == 3
    assert len(marker_content(RUN, "m" * 1000)) == MARKER_BYTES
