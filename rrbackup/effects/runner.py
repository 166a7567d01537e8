"""The one interpreter: carries out what the machines ask for and hands back what is known.

    while (effect := next_effect(state)) is not None:
        state = advance(state, perform(effect))

The client's mode is checked here and nowhere else.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from attrs import field, frozen

from rrbackup.effects.back_off import ATTEMPTS
from rrbackup.effects.control import Control
from rrbackup.effects.renewing import Lost, Renewal
from rrbackup.errors import ModeError, OutcomeUnknown, StoreError, StoreUnavailable
from rrbackup.pure.model import ClaimState, Mode, TransactionId, VersionRef
from rrbackup.pure.outcomes import FileResult
from rrbackup.pure.plan import Candidate
from rrbackup.pure.steps import (
    AbortUploads,
    AppendGarbage,
    ChainSeen,
    ClaimSeen,
    DeleteVersions,
    Done,
    Effect,
    Expect,
    ForgetGarbage,
    HeadSeen,
    Inspect,
    KeysSeen,
    ListAll,
    ListKeys,
    ListUploads,
    Outcome,
    Publish,
    ReadChain,
    ReadClaim,
    ReadClaimKeys,
    ReadHead,
    ReadReferences,
    Refused,
    Results,
    Unclear,
    Upload,
    UploadsSeen,
    VersionsSeen,
    WriteClaim,
    Wrote,
    allowed,
)

_RUN_AGAIN = "nothing is lost: run again when the store can be reached; the next run recovers"

REFUSED_LIMIT = 20
"""So often a write may be refused although what was read back fulfils its condition. A busy store does that for a
moment; SeaweedFS does it for ever while the versioning of a bucket is suspended."""


class Transfer(Protocol):
    """The data plane: reads the files of the tree and moves their bodies."""

    def inspect(self, candidates: tuple[Candidate, ...]) -> tuple[FileResult, ...]: ...

    def upload(self, candidates: tuple[Candidate, ...], lost: Lost) -> tuple[FileResult, ...]: ...


class NoTransfer:
    """For machines that move no files."""

    def inspect(self, candidates: tuple[Candidate, ...]) -> tuple[FileResult, ...]:
        raise NotImplementedError

    def upload(self, candidates: tuple[Candidate, ...], lost: Lost) -> tuple[FileResult, ...]:
        raise NotImplementedError


@frozen
class World:
    """What effects act upon.

    `before_claim` writes a transaction down locally before its claim is sent, so that a claim found later is recognised
    as our own; `before_discard` does so with versions before they are deleted or given to the garbage list.
    `before_publish` has a last look at what a diff is put on. `renew_seconds`: how often a claim is renewed; None is
    never.
    """

    control: Control
    mode: Mode
    before_claim: Callable[[TransactionId], None] = lambda transaction: None
    before_discard: Callable[[tuple[VersionRef, ...]], None] = lambda refs: None
    transfer: Transfer = field(factory=NoTransfer)
    renew_seconds: float | None = None
    before_publish: Callable[[], None] = lambda: None


def perform(effect: Effect, world: World) -> Outcome:
    """Carry out one effect. Raises ModeError before anything is sent if the mode does not allow it."""
    if not allowed(effect, world.mode):
        raise ModeError(
            f"this client is {world.mode.value}: it may not do {type(effect).__name__}",
            hint="use a client whose configuration and rights allow it",
        )
    if isinstance(effect, WriteClaim) and effect.record.state is ClaimState.OPEN:
        world.before_claim(effect.record.transaction)
    if isinstance(effect, DeleteVersions | AppendGarbage):
        world.before_discard(effect.refs)
    if isinstance(effect, Publish):
        world.before_publish()
    return _perform(effect, world)


def _perform(effect: Effect, world: World) -> Outcome:
    control, transfer = world.control, world.transfer
    match effect:
        case ReadHead(known):
            return HeadSeen(control.read_head(known))
        case ReadClaim():
            return ClaimSeen(control.read_claim())
        case ReadClaimKeys(version_id):
            return KeysSeen(control.read_claim_keys(version_id))
        case ReadChain(after):
            return ChainSeen(control.read_chain(after))
        case ReadReferences():
            return control.read_references()
        case WriteClaim(record, expect):
            return control.write_claim(record, expect)
        case Publish(diff, expect):
            return control.publish(diff, expect)
        case Inspect(candidates):
            return Results(transfer.inspect(candidates))
        case Upload(candidates, claim):
            with Renewal(world.control, claim, world.renew_seconds) as renewal, _pointing_to_the_next_run():
                results = transfer.upload(candidates, renewal.is_lost)
            return Results(results, renewal.claim)
        case ListKeys(keys):
            return VersionsSeen(control.list_keys(keys))
        case ListAll():
            return VersionsSeen(control.list_all())
        case ListUploads(keys):
            return UploadsSeen(control.list_uploads(keys))
        case DeleteVersions(refs):
            control.delete_versions(refs)
        case AppendGarbage(refs):
            control.append_garbage(refs)
        case ForgetGarbage(refs):
            control.forget_garbage(refs)
        case AbortUploads(uploads):
            control.abort_uploads(uploads)
    return Done()


@contextmanager
def _pointing_to_the_next_run() -> Iterator[None]:
    """The store can say what became of its request, not that no commit hangs on it yet."""
    try:
        yield
    except (StoreUnavailable, OutcomeUnknown) as error:
        raise type(error)(error.message, hint=_RUN_AGAIN) from error


S = TypeVar("S")


def run(
    state: S,
    next_effect: Callable[[S], Effect | None],
    advance: Callable[[S, Outcome], S],
    world: World,
    observe: Callable[[Effect, Outcome], None] = lambda effect, outcome: None,
) -> S:
    """Drive a machine to its end. `observe` sees every effect with its outcome, for progress and for tests."""
    unclear, refused = 0, _Refusals()
    while (effect := next_effect(state)) is not None:
        outcome = perform(effect, world)
        unclear, refused = _unclear_in_a_row(unclear, outcome), _refused_alike(refused, effect, outcome)
        if unclear >= ATTEMPTS:  # as often as any other request is sent
            raise StoreUnavailable(
                f"{world.control.store.describe()} confirmed none of {unclear} writes in a row", hint=_RUN_AGAIN
            )
        if refused.times > REFUSED_LIMIT:
            raise _refuses_what_holds(world, refused)
        observe(effect, outcome)
        state = advance(state, outcome)
    return state


@frozen
class _Refusals:
    """The write that was refused last, by kind and condition, and how often it was."""

    write: tuple[type[WriteClaim] | type[Publish], Expect] | None = None
    times: int = 0


def _refused_alike(before: _Refusals, effect: Effect, outcome: Outcome) -> _Refusals:
    """A machine that was refused looks again, and sends the same condition only if it still holds."""
    match effect, outcome:
        case ((WriteClaim() | Publish()), Refused()):
            write = (type(effect), effect.expect)
            return _Refusals(write, before.times + 1 if write == before.write else 1)
        case _, Wrote():
            return _Refusals()
        case _:
            return before


def _refuses_what_holds(world: World, refused: _Refusals) -> StoreError:
    assert refused.write is not None
    names = world.control.names
    name = names.manifest if refused.write[0] is Publish else names.claim
    return StoreError(
        f"{world.control.store.describe()} refused {refused.times} times to write {name}, although the condition of "
        "the write holds",
        hint="nothing is lost, and the next run recovers; rrbackup doctor shows whether the bucket keeps versions: a "
        "store may refuse such writes while versioning is suspended",
    )


def _unclear_in_a_row(before: int, outcome: Outcome) -> int:
    """Only the answer to a write ends the row: machines read between two attempts."""
    match outcome:
        case Unclear():
            return before + 1
        case Wrote() | Refused():
            return 0
        case _:
            return before
