"""Names of files that are not whole yet, and the proof that whoever wrote them is dead.

The rule: what a download writes lies under a temporary name that bears the run's number until it is complete. A marker
in the target, locked as long as the run lives, says which machine it runs on. An unfinished file is removed only if a
marker of its run is there, was written on this very machine, and is not locked: a name alone proves nothing, and locks
do not always reach from one machine to another.
"""

import re
from typing import Final

PREFIX: Final = ".rrbackup-"
MARKER_BYTES: Final = 300
"""No marker is longer."""

_RUN = r"\.rrbackup-([0-9a-f]{16})"
_OWN = re.compile(rf"{_RUN}(-\d+|\.run)?")
_TEMPORARY = re.compile(rf"{_RUN}-\d+")
_MARKER = re.compile(rf"{_RUN}\.run")


def temporary_name(run: str, number: int) -> bytes:
    return f"{PREFIX}{run}-{number}".encode()


def marker_name(run: str) -> bytes:
    return f"{PREFIX}{run}.run".encode()


def marker_content(run: str, machine: str) -> bytes:
    return f"rrbackup: a download is under way here, or was killed. run {run} on {machine}\n".encode()[:MARKER_BYTES]


def is_own(name: str) -> bool:
    """Whether this is the name of something that rrbackup has not finished, in a target or beside a local manifest."""
    return _OWN.fullmatch(name) is not None


def marked_run(name: str) -> str | None:
    """The run whose marker has this name."""
    found = _MARKER.fullmatch(name)
    return found[1] if found else None


def belongs_to(name: str, run: str) -> bool:
    """Whether a temporary file of that run has this name."""
    found = _TEMPORARY.fullmatch(name)
    return found is not None and found[1] == run
