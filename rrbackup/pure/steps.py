"""The vocabulary between the machines and the world: effects that a machine asks for, outcomes that come back.

An effect is data: it names keys, paths and records, never bodies or handles, and has no `.run()`. One `match`
in `effects.runner.perform` carries each out. What a client's mode permits is decided here, by `allowed`.
"""

from attrs import frozen

from rrbackup.pure.model import (
    Claim,
    Diff,
    HeadRef,
    Link,
    ListedVersion,
    Mode,
    SeenClaim,
    UnfinishedUpload,
    VersionId,
    VersionRef,
)
from rrbackup.pure.outcomes import FileResult
from rrbackup.pure.plan import Candidate

# --- conditions of a control write -------------------------------------------------------------------------


@frozen
class MustBeAbsent:
    """Only if nothing is there (If-None-Match: *)."""


@frozen
class MustMatch:
    """Only if what is there still has this etag (If-Match)."""

    etag: str


Expect = MustBeAbsent | MustMatch


def expecting(etag: str | None) -> Expect:
    """The condition under which what was observed, possibly nothing, is still there."""
    return MustBeAbsent() if etag is None else MustMatch(etag)


# --- effects -----------------------------------------------------------------------------------------------


@frozen
class ReadHead:
    """Look at the newest diff; `known` saves reading a body that is already known."""

    known: HeadRef | None = None


@frozen
class ReadClaim:
    """Look at the claim object."""


@frozen
class ReadClaimKeys:
    """Read the keys listed in an earlier version of the claim object."""

    version_id: VersionId


@frozen
class ReadChain:
    """Read the diffs from the current head back to, and without, sequence `after`."""

    after: int


@frozen
class ReadReferences:
    """Read every version of the manifest object, in the chain or not, and collect what they refer to."""


@frozen
class WriteClaim:
    record: Claim
    expect: Expect


@frozen
class Inspect:
    """Hash candidates whose content may be known, up to the first that has to be uploaded."""

    candidates: tuple[Candidate, ...]


@frozen
class Upload:
    """Upload candidates, and renew `claim` meanwhile, so that others see life. Stops early if the claim is lost."""

    candidates: tuple[Candidate, ...]
    claim: SeenClaim


@frozen
class Publish:
    diff: Diff
    expect: Expect


@frozen
class ListKeys:
    """List the versions of exactly these keys."""

    keys: tuple[str, ...]


@frozen
class ListAll:
    """List every version below the folder of file objects."""


@frozen
class DeleteVersions:
    refs: tuple[VersionRef, ...]


@frozen
class AppendGarbage:
    """Write versions into the garbage list, for a client that may not delete."""

    refs: tuple[VersionRef, ...]


@frozen
class ForgetGarbage:
    """Take versions out of the garbage list."""

    refs: frozenset[VersionRef]


@frozen
class ListUploads:
    """List the unfinished uploads of exactly these keys; None means of every file object."""

    keys: tuple[str, ...] | None


@frozen
class AbortUploads:
    uploads: tuple[UnfinishedUpload, ...]


Effect = (
    ReadHead
    | ReadClaim
    | ReadClaimKeys
    | ReadChain
    | ReadReferences
    | WriteClaim
    | Inspect
    | Upload
    | Publish
    | ListKeys
    | ListAll
    | DeleteVersions
    | AppendGarbage
    | ForgetGarbage
    | ListUploads
    | AbortUploads
)

# --- outcomes ----------------------------------------------------------------------------------------------


@frozen
class HeadSeen:
    """`head` is None where the manifest object has no version at all."""

    head: HeadRef | None


@frozen
class ClaimSeen:
    claim: SeenClaim


@frozen
class KeysSeen:
    """`keys` is None where the version that listed them is gone (a life-cycle rule may have expired it)."""

    keys: tuple[str, ...] | None


@frozen
class ChainSeen:
    """Newest first."""

    links: tuple[Link, ...]


@frozen
class ReferencesSeen:
    """`unsure`: keys of which more versions may be referred to than could be told."""

    refs: frozenset[VersionRef]
    unsure: frozenset[str] = frozenset()


@frozen
class Wrote:
    """`sha256` is that of the stored bytes, `encrypted` whether the record was."""

    version_id: VersionId
    etag: str
    sha256: str
    encrypted: bool = False


def published(diff: Diff, answer: Wrote) -> Link:
    """The diff as it now stands in the store."""
    return Link(answer.version_id, answer.etag, answer.sha256, diff, answer.encrypted)


@frozen
class Refused:
    """The condition did not hold; possibly because this very write had been applied before."""


@frozen
class Unclear:
    """No answer: the write may have been applied, or may be applied yet."""


@frozen
class Results:
    """What became of candidates, in any order; of an inspection, only of those that were settled.

    `claim` is what an upload saw last at the claim object, where it renewed it.
    """

    results: tuple[FileResult, ...]
    claim: SeenClaim | None = None


@frozen
class VersionsSeen:
    versions: tuple[ListedVersion, ...]


@frozen
class UploadsSeen:
    uploads: tuple[UnfinishedUpload, ...]


@frozen
class Done:
    """Carried out; there is nothing to tell."""


Outcome = (
    HeadSeen
    | ClaimSeen
    | KeysSeen
    | ChainSeen
    | ReferencesSeen
    | Wrote
    | Refused
    | Unclear
    | Results
    | VersionsSeen
    | UploadsSeen
    | Done
)


# --- modes -------------------------------------------------------------------------------------------------


def allowed(effect: Effect, mode: Mode) -> bool:
    """Whether a client in `mode` may carry out `effect` (design invariant 5)."""
    match effect:
        case ReadHead() | ReadClaim() | ReadClaimKeys() | ReadChain() | ReadReferences():
            return True
        case ListKeys() | ListAll() | ListUploads():
            return True
        case DeleteVersions() | ForgetGarbage():
            return mode.deletes
        case WriteClaim() | Inspect() | Upload() | Publish() | AppendGarbage() | AbortUploads():
            return mode is not Mode.READ_ONLY
