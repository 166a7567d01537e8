"""What each mode may do, as a table, and the small rules of the vocabulary."""

import pytest

from rrbackup.pure import steps
from rrbackup.pure.claims import Signature, trial
from rrbackup.pure.model import Diff, DiffKind, Link, Mode, RepositoryId, SeenClaim, TransactionId, VersionId
from rrbackup.pure.steps import (
    AbortUploads,
    AppendGarbage,
    DeleteVersions,
    Effect,
    ForgetGarbage,
    Inspect,
    ListAll,
    ListKeys,
    ListUploads,
    MustBeAbsent,
    MustMatch,
    Publish,
    ReadChain,
    ReadClaim,
    ReadClaimKeys,
    ReadHead,
    ReadReferences,
    Upload,
    WriteClaim,
    Wrote,
    allowed,
    expecting,
    published,
)

DIFF = Diff(RepositoryId("r"), 1, None, TransactionId("t"), DiffKind.COMMIT, 0, "host")
RECORD = trial(Signature(TransactionId("t"), "host", 0), 1)

READS: tuple[Effect, ...] = (
    *(ReadHead(), ReadClaim(), ReadClaimKeys(VersionId("v")), ReadChain(0), ReadReferences()),
    *(ListKeys(()), ListAll(), ListUploads(None)),
)
WRITES: tuple[Effect, ...] = (
    *(WriteClaim(RECORD, MustBeAbsent()), Publish(DIFF, MustBeAbsent()), Inspect(()), Upload((), SeenClaim())),
    *(AppendGarbage(()), AbortUploads(())),
)
DELETIONS: tuple[Effect, ...] = (DeleteVersions(()), ForgetGarbage(frozenset()))


def test_every_effect_is_a_read_a_write_or_a_deletion() -> None:
    assert {type(effect) for effect in (*READS, *WRITES, *DELETIONS)} == set(steps.Effect.__args__)


@pytest.mark.parametrize("mode", Mode)
def test_what_a_mode_allows(mode: Mode) -> None:
    assert all(allowed(effect, mode) for effect in READS)
    assert {allowed(effect, mode) for effect in WRITES} == {mode is not Mode.READ_ONLY}
    assert {allowed(effect, mode) for effect in DELETIONS} == {mode is Mode.READ_WRITE}


def test_what_was_observed_is_the_condition_and_so_is_nothing() -> None:
    assert expecting('"e"') == MustMatch('"e"')
    assert expecting("") == MustMatch("")
    assert expecting(None) == MustBeAbsent()


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_published_diff_stands_as_the_store_answered(encrypted: bool) -> None:
    answer = Wrote(VersionId("v1"), '"e1"', "11" * 32, encrypted)
    assert published(DIFF, answer) == Link(VersionId("v1"), '"e1"', "11" * 32, DIFF, encrypted)
    assert not Wrote(VersionId("v1"), '"e1"', "11" * 32).encrypted
