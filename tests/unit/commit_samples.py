"""Every state of the commit machine with every outcome that it may meet, for the table in docs/design.md."""

from collections.abc import Sequence

from attrs import evolve, frozen

from rrbackup.pure import commit
from rrbackup.pure.adoption import Receipt
from rrbackup.pure.claims import Signature, opening
from rrbackup.pure.commit import Job, State
from rrbackup.pure.model import (
    Change,
    Diff,
    DiffKind,
    Entry,
    HeadRef,
    Link,
    ListedVersion,
    ObjectRef,
    PathText,
    RepositoryId,
    SeenClaim,
    Status,
    TransactionId,
    UnfinishedUpload,
    VersionId,
    VersionRef,
)
from rrbackup.pure.outcomes import Content, FileResult, Settled
from rrbackup.pure.plan import BackupPlan, Candidate, Planned
from rrbackup.pure.reason import Reason
from rrbackup.pure.steps import (
    ChainSeen,
    ClaimSeen,
    Done,
    HeadSeen,
    KeysSeen,
    Outcome,
    ReferencesSeen,
    Refused,
    Results,
    Unclear,
    UploadsSeen,
    VersionsSeen,
    Wrote,
)

WROTE = Wrote(VersionId("v9"), '"e9"', "99" * 32)
HEAD = HeadRef(VersionId("v1"), '"e1"', "11" * 32, 1, RepositoryId("r"))
WHO = Signature(TransactionId("ours"), "host", 0)
OTHER = Signature(TransactionId("another"), "host", 0)
HELD = SeenClaim(opening(WHO, HEAD, ("files/a",), SeenClaim()), '"c1"', VersionId("c1"))
FOREIGN = SeenClaim(opening(OTHER, HEAD, (), SeenClaim()), '"c2"', VersionId("c2"))
OBJECT = ObjectRef("files/a", VersionId("o1"), 1, '"o1"')
TWIN = ListedVersion("files/a", VersionId("o2"), 1, '"o2"')
UNFINISHED = UnfinishedUpload("files/a", "upload")

CANDIDATE = Candidate(PathText("/a"), 1, 0, 0, Reason.NEW, None, "files/a", known_size=True)
GONE = Planned(Change(Status.DELETED, Entry(PathText("/gone"))), Reason.GONE)
CONTENT = Content(1, "aa" * 32, 0, 0, None)
UPLOADED = Settled(PathText("/a"), CONTENT, OBJECT, uploaded=True)
KNOWN = Settled(PathText("/a"), CONTENT, OBJECT)
UNCHANGED = evolve(CANDIDATE, previous=Entry(PathText("/a"), size=1, sha256="aa" * 32, object=OBJECT))


def job(*candidates: Candidate, planned: tuple[Planned, ...] = ()) -> Job:
    return Job(WHO, RepositoryId("r"), BackupPlan(HEAD, candidates, planned), SeenClaim())


def link_of(who: Signature) -> Link:
    diff = Diff(RepositoryId("r"), 2, HEAD.as_parent, who.transaction, DiffKind.COMMIT, 0, "host")
    return Link(VersionId("v2"), '"e2"', "22" * 32, diff)


NEW = job(CANDIDATE)
RECEIPT = Receipt(TransactionId("earlier"), "bb" * 32, 1, evolve(OBJECT, version_id=VersionId("o0")))
RECOVERY = Signature(TransactionId("recovery"), "host", 0)
RECOVERED = SeenClaim(opening(RECOVERY, HEAD, (), SeenClaim()), '"c0"', VersionId("c0"))
ADOPTING = evolve(NEW, claim=RECOVERED, adopted=frozenset({RECEIPT}))
SAME = job(UNCHANGED)


def publishing(result: FileResult = UPLOADED, claim: SeenClaim | None = HELD) -> commit.Publishing:
    return commit.Publishing(NEW, (result,), claim)


def verifying(claim: SeenClaim | None = HELD) -> commit.Verifying:
    return commit.Verifying(NEW, (UPLOADED if claim else KNOWN,), claim)


def after(state: State, *outcomes: Outcome) -> State:
    for outcome in outcomes:
        state = commit.advance(state, outcome)
    return state


LEFT = evolve(UPLOADED, leftovers=(VersionRef("files/a", VersionId("o0")),))
TAKING_BACK = after(publishing(LEFT), WROTE)
LOOKING = after(publishing(evolve(UPLOADED, doubtful=True)), WROTE)
FOUND = after(LOOKING, VersionsSeen((TWIN,)), UploadsSeen(()))
LOOKING_FURTHER = after(LOOKING, VersionsSeen(()))
GIVING_UP = after(LOOKING_FURTHER, UploadsSeen((UNFINISHED,)), ClaimSeen(HELD))
CHECKED = after(FOUND, ClaimSeen(HELD))
DELETING = after(CHECKED, ReferencesSeen(frozenset()))


@frozen
class Sample:
    """A state, an outcome of the effect that it asks for, and how the table calls that outcome."""

    state: State
    outcome: Outcome
    called: str


SAMPLES: Sequence[Sample] = (
    Sample(commit.Inspecting(NEW), Results(()), "Results: one has to be uploaded"),
    Sample(commit.Inspecting(NEW), Results((KNOWN,)), "Results: all known, something differs"),
    Sample(commit.Inspecting(SAME), Results((KNOWN,)), "Results: all known, nothing differs"),
    Sample(commit.Claiming(NEW, ()), WROTE, "Wrote"),
    Sample(commit.Claiming(NEW, ()), Refused(), "Refused"),
    Sample(commit.Claiming(NEW, ()), Unclear(), "Unclear"),
    Sample(commit.Confirming(NEW, ()), ClaimSeen(HELD), "ClaimSeen: ours"),
    Sample(commit.Confirming(NEW, ()), ClaimSeen(SeenClaim()), "ClaimSeen: as before"),
    Sample(commit.Confirming(NEW, ()), ClaimSeen(FOREIGN), "ClaimSeen: another's"),
    Sample(commit.Confirming(ADOPTING, ()), ClaimSeen(FOREIGN), "ClaimSeen: another's, and something was adopted"),
    Sample(commit.Uploading(NEW, (), HELD), Results((UPLOADED,)), "Results: something differs"),
    Sample(commit.Uploading(SAME, (), HELD), Results((KNOWN,)), "Results: nothing differs"),
    Sample(commit.Uploading(SAME, (), HELD), Results((LEFT,)), "Results: nothing differs, but something was sent"),
    Sample(publishing(KNOWN, None), WROTE, "Wrote, without a claim"),
    Sample(publishing(), WROTE, "Wrote"),
    Sample(publishing(LEFT), WROTE, "Wrote, with leftovers or a doubtful upload"),
    Sample(publishing(), Refused(), "Refused"),
    Sample(publishing(), Unclear(), "Unclear"),
    Sample(verifying(), ChainSeen((link_of(WHO),)), "ChainSeen: our diff is in it"),
    Sample(verifying(), ChainSeen(()), "ChainSeen: the head has not moved"),
    Sample(verifying(), ChainSeen((link_of(OTHER),)), "ChainSeen: only others'"),
    Sample(verifying(None), ChainSeen((link_of(OTHER),)), "ChainSeen: only others', without a claim"),
    Sample(TAKING_BACK, Done(), "Done"),
    Sample(LOOKING, VersionsSeen(()), "VersionsSeen"),
    Sample(LOOKING_FURTHER, UploadsSeen(()), "UploadsSeen: none, and no twin"),
    Sample(LOOKING_FURTHER, UploadsSeen((UNFINISHED,)), "UploadsSeen: one, or a twin"),
    Sample(FOUND, ClaimSeen(FOREIGN), "ClaimSeen: another's"),
    Sample(FOUND, ClaimSeen(HELD), "ClaimSeen: ours"),
    Sample(CHECKED, ReferencesSeen(frozenset({TWIN.ref})), "ReferencesSeen: a diff refers to it"),
    Sample(CHECKED, ReferencesSeen(frozenset()), "ReferencesSeen: none does"),
    Sample(DELETING, Done(), "Done"),
    Sample(GIVING_UP, Done(), "Done"),
    Sample(commit.Clearing(NEW, (), HELD, commit.Ending()), WROTE, "Wrote"),
    Sample(commit.Clearing(NEW, (), HELD, commit.Ending()), Refused(), "Refused"),
    Sample(commit.Clearing(NEW, (), HELD, commit.Ending()), Unclear(), "Unclear"),
    Sample(commit.Rechecking(NEW, (), commit.Ending()), ClaimSeen(HELD), "ClaimSeen: ours"),
    Sample(commit.Rechecking(NEW, (), commit.Ending()), ClaimSeen(FOREIGN), "ClaimSeen: another's"),
)

OUTCOMES: Sequence[Outcome] = (
    *(WROTE, Refused(), Unclear(), Done(), Results(()), HeadSeen(None), ClaimSeen(SeenClaim()), KeysSeen(None)),
    *(ChainSeen(()), ReferencesSeen(frozenset()), VersionsSeen(()), UploadsSeen(())),
)
"""One of every class."""
