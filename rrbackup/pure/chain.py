"""The chain of diffs: every link names its parent's version and the SHA-256 of the parent's stored bytes.

Order comes from `sequence` and `parent` alone, never from a clock or from the order of a listing. Once a diff is
encrypted, so are all that follow: one that is not was put there by somebody without the password.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from attrs import frozen

from rrbackup.errors import DamagedChain, NoSuchVersion, TransactionLost
from rrbackup.pure import format1
from rrbackup.pure.model import Diff, DiffKind, HeadRef, Link, ObjectRef, VersionId, VersionRef, Word

Fetch = Callable[[VersionId], Link]


@frozen
class At:
    """The last commit in the order of the chain whose time is not later than `until_ns`, written as `text`.

    Times only choose: where a clock ran back, a later commit with an earlier time is the last one all the same.
    """

    until_ns: int
    text: str

    def allows(self, link: Link) -> bool:
        return link.diff.kind is DiffKind.COMMIT and link.diff.created_ns <= self.until_ns


Named = str | At
"""What a user may call a commit: a version id, the beginning of one, `latest`, `latest~N`, or a time."""


def check_parent(child: Link, parent: Link) -> None:
    """Raise DamagedChain unless `parent` is the very diff that `child` was built on."""
    faults = (
        (child.diff.parent != parent.as_parent, "is not the diff that it was built on"),
        (child.diff.sequence != parent.diff.sequence + 1, "has a sequence number that does not fit"),
        (child.diff.repository != parent.diff.repository, "belongs to another repository"),
    )
    for fault, what in faults:
        if fault:
            raise DamagedChain(
                f"the diff {parent.version_id} below {child.version_id} {what}",
                hint="the manifest object has been tampered with or damaged; do not write to this repository",
            )

    check_encryption(child, parent.version_id, parent.encrypted)


def check_encryption(newer: Link | HeadRef, older: VersionId, encrypted: bool) -> None:
    """Raise DamagedChain for a diff that is not encrypted although an older one is."""
    if encrypted and not newer.encrypted:
        raise DamagedChain(
            f"the diff {newer.version_id} is not encrypted, but {older} before it is: "
            "somebody without the password put it there",
            hint="do not restore from it, and find out who may write",
        )


def check_first(link: Link) -> None:
    """Raise DamagedChain if a diff without parent is not the first one, or the first one has a parent."""
    if (link.diff.parent is None) is not (link.diff.sequence == 1):
        raise DamagedChain(
            f"the diff {link.version_id} has sequence {link.diff.sequence} and "
            f"{'no' if link.diff.parent is None else 'a'} parent"
        )


def descend(head: VersionId, fetch: Fetch) -> Iterator[Link]:
    """The links from `head` down to the first, each fetched when it is asked for, and checked against the one above."""
    above: Link | None = None
    wanted: VersionId | None = head
    while wanted is not None:
        link = fetch(wanted)
        check_first(link)
        if above is not None:
            check_parent(above, link)
        yield link
        above, wanted = link, link.diff.parent.version_id if link.diff.parent else None


def walk(head: VersionId, after: int, fetch: Fetch) -> tuple[Link, ...]:
    """The links from `head` back to, and without, sequence `after`; newest first, each checked against the next."""
    links: list[Link] = []
    wanted: VersionId | None = head
    while wanted is not None:
        link = fetch(wanted)
        check_first(link)
        if links:
            check_parent(links[-1], link)
        if link.diff.sequence <= after:
            break
        links.append(link)
        wanted = _next(link, after)
    return tuple(links)


def _next(link: Link, after: int) -> VersionId | None:
    if link.diff.parent is None or link.diff.sequence <= after + 1:
        return None
    return link.diff.parent.version_id


def resolve(version: Named, commits_newest_first: Sequence[Link]) -> Link:
    """The commit that a user means by a version id, an unambiguous beginning of one, `latest`, `latest~N` or a time.

    Raises NoSuchVersion.
    """
    if isinstance(version, At):
        return _last_at(version, commits_newest_first)
    if version == "latest" or version.startswith("latest~"):
        return _nth_latest(version, commits_newest_first)
    exact = [link for link in commits_newest_first if link.version_id == version]
    found = exact or [link for link in commits_newest_first if version and link.version_id.startswith(version)]
    if len(found) == 1:
        return found[0]
    if found:
        raise NoSuchVersion(
            f"{len(found)} commits begin with {version!r}", hint="write more of the version id: see list_versions"
        )
    raise NoSuchVersion(f"there is no commit {version!r}", hint="list_versions shows the commits there are")


def _last_at(at: At, commits: Sequence[Link]) -> Link:
    found = next((link for link in commits if at.allows(link)), None)
    if found is None:
        raise NoSuchVersion(
            f"no commit is from {at.text} or before", hint="list_versions shows the commits there are, and their times"
        )
    return found


def _nth_latest(version: str, commits: Sequence[Link]) -> Link:
    back = "0" if version == "latest" else version.removeprefix("latest~")
    if not (back.isascii() and back.isdigit()):
        raise NoSuchVersion(f"{version!r} is not a version", hint="write latest, or latest~1 for the one before it")
    if int(back) >= len(commits):
        raise NoSuchVersion(
            f"there is no commit {version!r}: the repository has {len(commits)} of them",
            hint="list_versions shows the commits there are",
        )
    return commits[int(back)]


def refers_to_encrypted(diff: Diff) -> bool:
    """Whether a file that the diff records is stored encrypted, as far as the diff says."""
    objects = (change.entry.object for change in diff.changes)
    return any(ref is not None and Word.ENCRYPT in ref.applied for ref in objects)


def old_objects(links: Iterable[Link]) -> Iterator[ObjectRef]:
    """What rrbackup 1.0 stored of files, each once, in the order of `links`."""
    seen: set[VersionRef] = set()
    for link in links:
        for change in link.diff.changes:
            ref = change.entry.object
            if ref is not None and ref.format == format1.FORMAT and ref.ref not in seen:
                seen.add(ref.ref)
                yield ref


def commits(links: Sequence[Link]) -> tuple[Link, ...]:
    """Without the fences, which only end transactions."""
    return tuple(link for link in links if link.diff.kind is DiffKind.COMMIT)


def set_aside_by(links: Iterable[Link]) -> frozenset[VersionId]:
    """The versions of the manifest object that repairs have left out of the chain `links`, or the part of it."""
    return frozenset(version_id for link in links for version_id in link.diff.sets_aside)


def check_not_set_back(head: HeadRef, after: int, last: HeadRef | None) -> None:
    """Raise TransactionLost where nothing follows sequence `after` because a repair has gone back to an earlier diff.

    `last` is the head that was read before. What builds on what was left out could never be published.
    """
    moved = last is not None and last.sequence == after and last.version_id != head.version_id
    if head.sequence < after or (head.sequence == after and moved):
        raise TransactionLost(
            f"another client has gone back to an earlier commit: the newest diff is {head.version_id} now",
            hint="run again; what was uploaded meanwhile is dealt with then",
        )
