"""Deliberately wrong protocols: each is the real one with one rule broken, applied through a MonkeyPatch."""

from collections.abc import Callable
from functools import partial

import pytest
from attrs import evolve

from rrbackup.effects.control import Control
from rrbackup.pure import claims, collection, commit, format2, recovery, sweep
from rrbackup.pure.adoption import Receipt
from rrbackup.pure.model import Claim, ClaimState, Diff, DiffKind, ListedVersion, SeenClaim, VersionId, VersionRef
from rrbackup.pure.plan import Candidate
from rrbackup.pure.steps import (
    Effect,
    Expect,
    Outcome,
    ReadClaim,
    ReadClaimKeys,
    ReferencesSeen,
    Refused,
    Results,
    Unclear,
    WriteClaim,
    Wrote,
)
from rrbackup.pure.sweep import Sweep

Patch = pytest.MonkeyPatch


def claim_after_upload(patch: Patch) -> None:
    """The claim is written when everything is uploaded, so that a crash before leaves uploads nobody knows of."""
    real_begin, real_advance = commit.begin, commit.advance

    def late(state: commit.State) -> commit.State:
        match state:
            case commit.Claiming(job, results) if commit._open_candidates(job, results):
                return commit.Uploading(job, results, job.claim)
            case commit.Uploading(job, results, claim):
                return commit.Publishing(job, results, claim)
            case _:
                return state

    def advance(state: commit.State, outcome: Outcome) -> commit.State:
        match state, outcome:
            case commit.Uploading(job, results, _), Results(more):
                return commit.Claiming(job, (*results, *more))
            case _:
                return late(real_advance(state, outcome))

    patch.setattr(commit, "begin", lambda job: late(real_begin(job)))
    patch.setattr(commit, "advance", advance)


def clear_before_publish(patch: Patch) -> None:
    """The claim is cleared before the diff is published, so that a crash between leaves uploads nobody knows of."""
    real_advance = commit.advance

    def advance(state: commit.State, outcome: Outcome) -> commit.State:
        if isinstance(state, commit.Clearing) and state.ending.link is None:
            return commit.Publishing(state.job, state.results, None)
        after = real_advance(state, outcome)
        match after:
            case commit.Publishing(job, results, SeenClaim() as claim):
                return commit.Clearing(job, results, claim, commit.Ending())
            case _:
                return after

    patch.setattr(commit, "advance", advance)


def claim_without_keys(patch: Patch) -> None:
    """The claim does not name the keys that may be written, so that recovery has nowhere to look."""

    def keys_of(candidates: tuple[Candidate, ...]) -> tuple[str, ...]:
        return ()

    patch.setattr(commit, "keys_of", keys_of)


def delete_what_is_referred_to(patch: Patch) -> None:
    """A sweep deletes all it has listed, without subtracting what the diffs refer to."""
    patch.setattr(Sweep, "orphans", property(lambda found: found.suspects))


def references_of_head_only(patch: Patch) -> None:
    """Only the newest diff counts as referring to anything."""

    def read_references(self: Control) -> ReferencesSeen:
        changes = self.read_chain(0)[0].diff.changes
        return ReferencesSeen(frozenset(c.entry.object.ref for c in changes if c.entry.object is not None))

    patch.setattr(Control, "read_references", read_references)


def orphans_by_prefix(patch: Patch) -> None:
    """A sweep takes every key that begins with one of the claim's, not exactly these."""

    def list_keys(self: Control, keys: tuple[str, ...]) -> tuple[ListedVersion, ...]:
        return tuple(version for key in keys for version in self.store.list_versions(key))

    patch.setattr(Control, "list_keys", list_keys)


def receipts_without_references(patch: Patch) -> None:
    """Receipts of an earlier run are deleted without asking whether a diff refers to them."""
    real = sweep.of_receipts
    patch.setattr(sweep, "of_receipts", lambda *given: evolve(real(*given), referenced=frozenset()))


def publish_without_condition(patch: Patch) -> None:
    """A commit is published whether or not the head has moved."""
    _publish_unconditionally(patch, DiffKind.COMMIT)


def fence_without_condition(patch: Patch) -> None:
    """A fence is published whether or not the head has moved."""
    _publish_unconditionally(patch, DiffKind.FENCE)


def _publish_unconditionally(patch: Patch, kind: DiffKind) -> None:
    real = Control.publish

    def publish(self: Control, diff: Diff, expect: Expect) -> Wrote | Refused | Unclear:
        if diff.kind is not kind:
            return real(self, diff, expect)
        body = format2.encode_diff(diff)
        stored = self.store.put(self.names.manifest, body)
        return Wrote(stored.version_id, stored.etag, format2.sha256_hex(body))

    patch.setattr(Control, "publish", publish)


def clear_without_condition(patch: Patch) -> None:
    """The idle record is written whoever holds the claim."""
    _claim_unconditionally(patch, ClaimState.IDLE)


def claim_without_condition(patch: Patch) -> None:
    """A claim is written whoever holds one."""
    _claim_unconditionally(patch, ClaimState.OPEN)


def _claim_unconditionally(patch: Patch, state: ClaimState) -> None:
    real = Control.write_claim

    def write_claim(self: Control, record: Claim, expect: Expect) -> Wrote | Refused | Unclear:
        if record.state is not state:
            return real(self, record, expect)
        body = format2.encode_claim(record)
        stored = self.store.put(self.names.claim, body)
        return Wrote(stored.version_id, stored.etag, format2.sha256_hex(body))

    patch.setattr(Control, "write_claim", write_claim)


def clear_what_was_taken_over(patch: Patch) -> None:
    """Whoever finds another's claim while renewing clears that one."""

    def uploaded(state: commit.Uploading, seen: SeenClaim) -> commit.State:
        return real(evolve(state, claim=seen), seen)

    real = commit._uploaded
    patch.setattr(commit, "_uploaded", uploaded)


def renew_without_the_keys(patch: Patch) -> None:
    """A renewed claim no longer says where its keys are listed, but seems to have none."""
    patch.setattr(claims, "keys_version", lambda seen: seen.version_id)


def no_fence_in_recovery(patch: Patch) -> None:
    """Recovery goes on without ending the transaction that it takes over."""
    real = recovery._when_ours

    def when_ours(facts: recovery.Facts, seen: SeenClaim) -> Effect | None:
        return real(evolve(facts, committed=True), seen)

    patch.setattr(recovery, "_when_ours", when_ours)


def old_claims_need_no_fence(patch: Patch) -> None:
    """Recovery trusts time: a claim that is old by the store's clock is one of a dead client, so nothing ends it."""
    real = recovery._when_ours

    def when_ours(facts: recovery.Facts, seen: SeenClaim) -> Effect | None:
        victim, task = facts.victim, facts.task
        dead = victim is not None and task.patience.is_over(victim, task.who.host)
        return real(evolve(facts, committed=True) if dead else facts, seen)

    patch.setattr(recovery, "_when_ours", when_ours)


def old_claims_are_just_cleared(patch: Patch) -> None:
    """Recovery trusts time: an old claim is replaced by an idle record, and the victim's uploads are left to nobody."""
    real = recovery._take_over

    def take_over(facts: recovery.Facts, seen: SeenClaim) -> WriteClaim:
        old = facts.task.patience.is_over(seen, facts.task.who.host)
        return recovery._clearing(facts, seen) if old else real(facts, seen)

    patch.setattr(recovery, "_take_over", take_over)


def no_second_look_in_recovery(patch: Patch) -> None:
    """Recovery deletes without looking, after listing, whether its claim still stands."""
    patch.setattr(recovery, "Sweep", partial(Sweep, claim_stands=True))


def no_second_look_in_tidying(patch: Patch) -> None:
    """A client tidying up after its own commit deletes without looking again at its claim."""
    patch.setattr(commit, "Sweep", partial(Sweep, claim_stands=True))


def no_second_look_in_collection(patch: Patch) -> None:
    """A collection deletes without looking again at claim and head."""
    patch.setattr(collection, "Sweep", partial(Sweep, claim_stands=True, head_stands=True))


def no_second_look_in_collection_of_checkpoints(patch: Patch) -> None:
    """The same, where no file is at stake."""
    no_second_look_in_collection(patch)


def unfenced_collection_and_clearing_without_condition(patch: Patch) -> None:
    """A collection does not publish a fence, and a client that is done clears whatever claim there is.

    Each is a wall of its own: with conditional clearing, whoever has uploaded holds the claim, or was fenced by the one
    who took it. So a collection without a fence does harm to files only together with the other.
    """
    unfenced_collection(patch)
    clear_without_condition(patch)


def unfenced_collection(patch: Patch) -> None:
    """A collection does not publish a fence, so whoever has written a checkpoint can still name it, claim or not."""
    real = collection.advance

    def advance(state: collection.State, outcome: Outcome) -> collection.State:
        after = real(state, outcome)
        if isinstance(after, collection.Fencing) and after.job.head is not None:
            return collection._sweeping(after.job, after.claim, after.job.head)
        return after

    patch.setattr(collection, "advance", advance)


def checkpoints_are_not_referred_to(patch: Patch) -> None:
    """Whoever asks what diffs refer to is told about files alone."""
    real = Control.read_references

    def read_references(self: Control) -> ReferencesSeen:
        refs = real(self).refs
        return ReferencesSeen(frozenset(ref for ref in refs if ref.key != self.names.checkpoint))

    patch.setattr(Control, "read_references", read_references)


def look_before_listing(patch: Patch) -> None:
    """A sweep looks at the claim first and lists afterwards."""
    real = sweep.next_effect

    def next_effect(found: Sweep) -> sweep.SweepEffect | None:
        if found.keys != () and found.listed is None and found.claim_stands is None:
            return ReadClaim()
        return real(found)

    patch.setattr(sweep, "next_effect", next_effect)


def delete_before_taking_over(patch: Patch) -> None:
    """Recovery sweeps the victim's keys first, and takes over and fences only then."""
    real_next, real_search = recovery.next_effect, recovery._search

    def next_effect(facts: recovery.Facts) -> Effect | None:
        effect = real_next(facts)
        if not isinstance(effect, WriteClaim) or facts.ours or facts.claim is None or facts.claim.version_id is None:
            return effect
        if facts.search is None:
            return ReadClaimKeys((facts.claim.open and facts.claim.open.keys_version) or facts.claim.version_id)
        return sweep.next_effect(facts.search) or effect

    def search(facts: recovery.Facts, keys: tuple[str, ...] | None) -> Sweep:
        assert facts.claim is not None
        assert facts.claim.open is not None
        return evolve(real_search(facts, keys), transaction=facts.claim.open.transaction)

    patch.setattr(recovery, "next_effect", next_effect)
    patch.setattr(recovery, "_search", search)


def unclear_publish_counts_as_lost(patch: Patch) -> None:
    """A publish without an answer is taken for a failure; nothing is read back."""
    _lost_when(patch, Unclear)


def refused_publish_counts_as_lost(patch: Patch) -> None:
    """A refused publish is taken for a failure, although it may be a repetition of one that was applied."""
    _lost_when(patch, Refused)


def unclear_publish_counts_as_published(patch: Patch) -> None:
    """A publish without an answer is taken for a success; nothing is read back."""
    real = commit.advance

    def advance(state: commit.State, outcome: Outcome) -> commit.State:
        if isinstance(state, commit.Publishing) and isinstance(outcome, Unclear):
            return real(state, Wrote(VersionId("unknown"), '"unknown"', "unknown"))
        return real(state, outcome)

    patch.setattr(commit, "advance", advance)


def _lost_when(patch: Patch, answer: type) -> None:
    real = commit.advance

    def advance(state: commit.State, outcome: Outcome) -> commit.State:
        if isinstance(state, commit.Publishing) and isinstance(outcome, answer):
            return commit._tidy(state.job, state.results, state.claim, commit.Ending(lost=True))
        return real(state, outcome)

    patch.setattr(commit, "advance", advance)


def no_search_for_twins(patch: Patch) -> None:
    """Uploads that were sent twice are not looked for."""
    patch.setattr(commit, "_search", lambda job, results, ending: Sweep(job.who.transaction, (), job.deletes))


def adoption_by_anyone(patch: Patch) -> None:
    """A backup adopts what its journal knows, whoever has held the claim in between."""

    def wanted(facts: recovery.Facts) -> frozenset[Receipt]:
        return facts.task.journal.receipts if facts.ours and facts.task.continues else frozenset()

    patch.setattr(recovery.Facts, "wanted", property(wanted))


def adoption_of_what_is_committed(patch: Patch) -> None:
    """What a diff refers to already is adopted too, and deleted where the new commit has no use for it."""

    def wanted(facts: recovery.Facts) -> frozenset[Receipt]:
        return facts.task.journal.receipts if facts.ours and facts.task.continues else frozenset()

    def kept(found: Sweep) -> frozenset[VersionRef]:
        return found.wanted.intersection(found._found)

    patch.setattr(recovery.Facts, "wanted", property(wanted))
    patch.setattr(Sweep, "kept", property(kept))


Mutant = Callable[[Patch], None]
