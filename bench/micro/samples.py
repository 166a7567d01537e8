"""What the micro-benchmarks work on: 100,000 entries as a local manifest, and as a diff."""

from functools import cache

from bench.generated import made_up, remembered
from rrbackup.pure.filters import Filters
from rrbackup.pure.model import (
    Change,
    Diff,
    DiffKind,
    HeadRef,
    LocalManifest,
    RepositoryId,
    Status,
    TransactionId,
    VersionId,
)
from rrbackup.pure.rules import Rules
from rrbackup.pure.scan import Scanned

ENTRIES = 100_000
REPOSITORY = RepositoryId("0" * 32)
HEAD = HeadRef(VersionId("1" * 32), '"etag"', "2" * 64, 7, REPOSITORY)
RULES = Rules(Filters.of([]), Filters.of([]), lambda path: (), lambda path, words: f"files{path}")


@cache
def scanned() -> tuple[Scanned, ...]:
    return tuple(made_up(ENTRIES))


@cache
def manifest() -> LocalManifest:
    return LocalManifest(HEAD, tuple(map(remembered, scanned())))


@cache
def diff() -> Diff:
    changes = tuple(Change(Status.NEW, item.entry) for item in manifest().entries)
    return Diff(REPOSITORY, 1, None, TransactionId("3" * 32), DiffKind.COMMIT, 0, "host", changes)
