"""What is to be done about a manifest object that somebody forged, garbled or deleted: say so, read on below, go back.

The rule: nothing is deleted, and nothing is guessed. Going back publishes a fence on a sound version that a person has
named; whatever that leaves out stays in the store, and the fence names it. What a person has named is read or gone on
from even below versions that a newer rrbackup may have written; nothing else is.
"""

from contextlib import suppress

from attrs import evolve, frozen

from rrbackup.effects.checkpoints import Reach, read_checkpoint
from rrbackup.effects.client import Client
from rrbackup.effects.survey import IF_FORGED, WAY_OUT, Survey
from rrbackup.errors import (
    DamagedChain,
    NoSuchVersion,
    OutcomeUnknown,
    RepositoryError,
    RRBackupError,
    TransactionLost,
    UpgradeNeeded,
)
from rrbackup.events import Notice, OnEvent
from rrbackup.pure import format1, recovery
from rrbackup.pure.chain import At, Named, commits, resolve, set_aside_by
from rrbackup.pure.manifest import check_remembered
from rrbackup.pure.model import Diff, DiffKind, HeadRef, Link, VersionId
from rrbackup.pure.report import Version
from rrbackup.pure.soundness import Lost, ManifestState
from rrbackup.pure.steps import MustBeAbsent, MustMatch, Refused, Wrote
from rrbackup.pure.stretch import Stretch

_ATTEMPTS = 5
_NAMED = 3


@frozen
class HeadRepaired:
    """`version_id` is the fence that was published on `continues`, None where there was nothing to repair.

    `left_out` are commits that were part of the chain before and are not any more, newest last; `set_aside` are all the
    versions of the manifest object that the fence names. They stay in the store.
    """

    continues: VersionId
    version_id: VersionId | None = None
    left_out: tuple[Version, ...] = ()
    set_aside: tuple[VersionId, ...] = ()


# --- looking -----------------------------------------------------------------------------------------------


def manifest_state(client: Client) -> ManifestState:
    return state_of(survey_of(client))


def state_of(found: Survey) -> ManifestState:
    head = found.links[0].version_id if found.links else None
    return ManifestState(head, _versions(found.links), found.unsound, found.strays, found.marker, found.lost)


def survey_of(client: Client) -> Survey:
    """Raises StoreWentBack where the store does not hold what this client has seen."""
    seen = client.local.last_seen()
    found = client.control.survey(seen)
    known = seen is None or seen.version_id in (unsound.version_id for unsound in found.unsound)
    if not known and not _is_before(seen, found.lost):
        check_remembered(seen, found.links, str(client.local.manifest_path))
    return found


def _is_before(seen: HeadRef | None, lost: Lost | None) -> bool:
    """Whether it cannot be told any more if `seen` is part of the history."""
    return seen is not None and lost is not None and seen.sequence < lost.before


def _versions(links: tuple[Link, ...]) -> tuple[Version, ...]:
    return tuple(Version.of(link) for link in reversed(commits(links)))


def read_below(client: Client, version: Named, error: RRBackupError, on_event: OnEvent) -> tuple[Link, Stretch]:
    """The commit `version`, and what leads to it, for a reader whom `error` kept from finding it from the head down.

    Raises `error` where that does not help: there is no sound chain, or `version` is not named by an id that is in it,
    nor by a time after which a sound commit follows.
    """
    found = _sound_part(client, error)
    if found.unsound or found.marker is not None:
        links = _below_unsound(version, error, found)
        on_event(Notice(f"{error.message}; the commits below are not affected ({_ways(found)})"))
    elif found.lost is not None:
        links = _beyond_lost(version, error, found)
        on_event(Notice(f"{error.message}; so nothing ties {links[0].version_id} to the newest commit"))
    else:
        links = found.links
    link = resolve(version, commits(links))
    return link, stretch_of(client, links, found).up_to(link)


def _sound_part(client: Client, error: RRBackupError) -> Survey:
    try:
        found = survey_of(client)
    except RRBackupError:
        raise error from None
    if not found.links:
        raise error
    return found


def reach_below(client: Client, error: RRBackupError) -> tuple[Reach, ManifestState]:
    """The newest sound chain, as far down as it is whole, for a reader whom `error` kept from reading from the head.

    Raises `error` where nothing lies on top of that chain.
    """
    found = _sound_part(client, error)
    if not found.unsound and found.marker is None:
        raise error
    broken = DamagedChain(found.lost.reason) if found.lost is not None else None
    return Reach(found.links, broken, stretch_of(client, found.links, found).base), state_of(found)


def _below_unsound(version: Named, error: RRBackupError, found: Survey) -> tuple[Link, ...]:
    if _may_be_unsound(version, found):
        error.hint = _told(error.hint, found)
        raise error
    return found.links


def _may_be_unsound(version: Named, found: Survey) -> bool:
    """Whether a version that is not sound would be meant if it were; `latest` and times are not guessed."""
    if isinstance(version, At):
        return all(map(version.allows, commits(found.links)[:1]))
    named = any(version and unsound.version_id.startswith(version) for unsound in found.unsound)
    return named or version.startswith("latest")


def _beyond_lost(version: Named, error: RRBackupError, found: Survey) -> tuple[Link, ...]:
    """A chain below the break that is whole in itself, for somebody who has named its last diff."""
    listed = found.chains.newest_first
    below = listed[listed.index(found.links[-1].version_id) + 1 :]
    meant = [one for one in below if isinstance(version, str) and version and one.startswith(version)]
    if len(meant) != 1 or found.chains.fault(meant[0]) is not None:
        hint = error.hint.removesuffix(WAY_OUT).removesuffix("; ")
        error.hint = f"{_whole(found)}{f'; {hint}' if hint else ''}"
        raise error
    return found.chains.chain(meant[0])


def stretch_of(client: Client, links: tuple[Link, ...], found: Survey) -> Stretch:
    """A sound chain of the survey, with the checkpoint that it begins from if it is broken below."""
    base = read_checkpoint(client.control, links[-1]) if found.chains.lost(links) is not None else None
    return Stretch(base, links)


def _told(hint: str, found: Survey) -> str:
    named = [unsound.version_id for unsound in found.unsound[:_NAMED]]
    more = len(found.unsound) - len(named)
    which = f"not sound: {', '.join(named)}{f' and {more} more' if more else ''}; " if named else ""
    hint = hint.removesuffix(WAY_OUT).removesuffix(IF_FORGED).removesuffix("; ")
    return f"{f'{hint}; ' if hint else ''}{which}{_ways(found)}"


def _ways(found: Survey) -> str:
    newest = (commits(found.links) or found.links)[0].version_id
    only_if = IF_FORGED if any(unsound.foreign for unsound in found.unsound) else ""
    return f"{only_if}the newest sound commit is {newest}, and rrbackup repair --head {newest} goes on from there"


def _whole(found: Survey) -> str:
    assert found.lost is not None
    first = f"number {found.lost.before} ({found.lost.first_whole})"
    return f"the commits from {first} on are whole; rrbackup repair says what is lost"


# --- going back --------------------------------------------------------------------------------------------


def repair_head(client: Client, version: str) -> HeadRepaired:
    """Publish a fence on the sound version that `version` names, in one conditional write. Used under the local lock.

    Raises NoSuchVersion, DamagedChain where that version is not sound, ConfigError where it would be stored with less
    encryption than there is, UpgradeNeeded for a repository of rrbackup 1.0 alone, TransactionLost where another client
    wrote meanwhile: then nothing was changed.
    """
    found = survey_of(client)
    links = _chain_of(version, found)
    if _stands(links[0], found):
        _forget_unless(client, links)
        return HeadRepaired(links[0].version_id)
    _refuse_old(client, links, found)
    on_chain = {link.version_id for link in links}
    known = on_chain | set_aside_by(links)
    fence = evolve(
        recovery.fence(client.signature(), links[0].head, links[0].diff.repository),
        sets_aside=tuple(version_id for version_id in found.chains.newest_first if version_id not in known),
    )
    with suppress(RepositoryError):  # whoever wrote the claim has no say in this; it only tells what the store can do
        client.control.read_claim()
    published = _publish(client, fence, found)
    _forget_unless(client, links)
    left_out = tuple(link for link in found.links if link.version_id not in on_chain)
    return HeadRepaired(links[0].version_id, published, _versions(left_out), fence.sets_aside)


def _chain_of(version: str, found: Survey) -> tuple[Link, ...]:
    listed = found.chains.newest_first
    meant = [one for one in listed if one == version] or [one for one in listed if version and one.startswith(version)]
    hint = "rrbackup repair shows which versions are sound"
    if len(meant) != 1:
        what = f"{len(meant)} versions begin with" if meant else "there is no version"
        raise NoSuchVersion(f"{what} {version!r} of the manifest object", hint=hint)
    fault = found.chains.fault(meant[0])
    links = found.chains.chain(meant[0]) if fault is None else ()
    fault = fault or found.replaced(links)
    if fault is not None:
        raise DamagedChain(f"{meant[0]} is not sound: {fault.message}", hint=hint)
    return links


def _stands(target: Link, found: Survey) -> bool:
    """Whether there is nothing to repair: the head is that version, but for fences that name nothing to believe."""
    for link in found.links if found.repaired else ():
        if link.version_id == target.version_id:
            return True
        if link.diff.kind is not DiffKind.FENCE or link.diff.checkpoint is not None:
            break
    return False


def _refuse_old(client: Client, links: tuple[Link, ...], found: Survey) -> None:
    """Nothing of this version is written into a repository that rrbackup 1.0 may go on with."""
    if all(link.format == format1.FORMAT for link in (*links, *found.links)):
        raise UpgradeNeeded(
            f"{client.store.describe()} was written by rrbackup 1.0 alone, which does not know repairs",
            hint=f"delete the versions of {client.control.names.manifest} that are not sound by hand, by their ids",
        )


def _publish(client: Client, fence: Diff, found: Survey) -> VersionId:
    for _ in range(_ATTEMPTS):
        expect = MustBeAbsent() if found.etag is None else MustMatch(found.etag)
        answer = client.control.publish(fence, expect)
        if isinstance(answer, Wrote):
            return answer.version_id
        now = client.control.survey(None)
        for link in now.links:
            if link.diff.transaction == fence.transaction:
                return link.version_id
        if isinstance(answer, Refused) or now.chains.newest_first != found.chains.newest_first:
            raise TransactionLost(
                "another client has written meanwhile: nothing was changed", hint="look again with rrbackup repair"
            )
    raise OutcomeUnknown(
        f"{client.store.describe()} does not answer: the repair was not written, or may be written yet",
        hint="run it again; what is done already is not done twice",
    )


def _forget_unless(client: Client, links: tuple[Link, ...]) -> None:
    """Drop the local manifest where its head is not among `links`: the next backup rebuilds it from the chain."""
    seen = client.local.last_seen()
    if seen is not None and seen.as_parent not in (link.as_parent for link in links):
        client.local.manifest_path.unlink(missing_ok=True)
    client.local.forget()
