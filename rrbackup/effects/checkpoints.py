"""Checkpoints in the store: starting from one instead of the first diff, and writing the next.

The rule decided here: a checkpoint only ever saves requests. One that is missing, damaged, not readable under this
client's rights, or not the one that the diff names, is passed over, with a word why; one that cannot be written is
left out. Where the chain is broken, what lies above the lowest usable checkpoint is whole all the same.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import frozen

from rrbackup.errors import (
    AccessDenied,
    DamagedChain,
    DamagedObject,
    NoSuchVersion,
    ObjectMissing,
    OutcomeUnknown,
    RepositoryError,
    RRBackupError,
    StoreUnavailable,
    UnsupportedFormat,
)
from rrbackup.pure import chain
from rrbackup.pure.chain import Named
from rrbackup.pure.checkpoint import Checkpoint, check_named, due
from rrbackup.pure.checkpoint_format import decode_checkpoint, encode_checkpoint
from rrbackup.pure.format2 import sha256_hex
from rrbackup.pure.framing import MAX_RECORD_BYTES, is_encrypted
from rrbackup.pure.manifest import check_remembered, fold_links
from rrbackup.pure.model import CheckpointRef, HeadRef, Link, LocalManifest, VersionRef
from rrbackup.pure.soundness import FINDINGS, Lost
from rrbackup.pure.stretch import Stretch

if TYPE_CHECKING:
    from rrbackup.effects.control import Control

Tell = Callable[[str], None]
"""Takes a sentence about a checkpoint that was of no use."""

_NO_USE = (DamagedObject, ObjectMissing, UnsupportedFormat, AccessDenied)
_BREAKS = (*FINDINGS, ObjectMissing)
"""What a chain that is broken somewhere raises there."""


# --- reading -------------------------------------------------------------------------------------------------------


def read_checkpoint(control: "Control", naming: Link) -> Checkpoint:
    """The checkpoint that a diff names. Raises DamagedObject, ObjectMissing, UnsupportedFormat or AccessDenied."""
    key, ref = control.names.checkpoint, naming.diff.checkpoint
    assert ref is not None
    name = f"the checkpoint {key} version {ref.version_id}"
    body = control.store.get(key, ref.version_id).body
    if sha256_hex(body) != ref.sha256 or is_encrypted(body) is not naming.encrypted:
        raise DamagedObject(f"{name} is not the one that the diff {naming.version_id} names")
    found = decode_checkpoint(body, name, control.framing.at(key))
    check_named(found, naming, name)
    return found


def usable(control: "Control", naming: Link, tell: Tell) -> Checkpoint | None:
    """What `naming` builds on, if it names a checkpoint, and one that is of use."""
    if naming.diff.checkpoint is None:
        return None
    try:
        return read_checkpoint(control, naming)
    except _NO_USE as error:
        tell(f"a checkpoint is of no use, and the diffs before it are read instead: {error.message}")
        return None


def read_to_head(control: "Control", tell: Tell) -> Stretch:
    """The chain from the newest usable checkpoint to the head. Raises like `Control.read_chain`."""
    links: list[Link] = []
    for link in control.newest_first():
        links.append(link)
        if base := usable(control, link, tell):
            return Stretch(base, tuple(links))
    return Stretch(None, tuple(links))


@frozen
class Reach:
    """The chain, newest first, as far down as it is whole; `broken` says why it does not reach its beginning.

    Then `base` is the checkpoint on which the lowest of the links builds.
    """

    links: tuple[Link, ...]
    broken: RRBackupError | None = None
    base: Checkpoint | None = None

    @property
    def lost(self) -> Lost | None:
        if self.broken is None:
            return None
        first = self.links[-1]
        return Lost(first.diff.sequence, first.version_id, self.broken.message)

    def check_remembered(self, seen: HeadRef | None, memory: str) -> None:
        """Like that of the whole chain. Raises what broke it where nobody can tell."""
        if self.broken is not None and seen is not None and seen.sequence < self.links[-1].diff.sequence:
            raise _out_of_sight(self.broken, seen, memory) from self.broken
        check_remembered(seen, self.links, memory)


def read_reach(control: "Control") -> Reach:
    """Raises like `Control.read_chain` where no usable checkpoint lies above the break."""
    try:
        return Reach(control.read_chain(0))
    except _BREAKS as error:
        links = _above_break(control)
        while links:
            if base := usable(control, links[-1], lambda _: None):
                return Reach(tuple(links), error, base)
            links.pop()
        raise


def _above_break(control: "Control") -> list[Link]:
    links: list[Link] = []
    with suppress(*_BREAKS):
        links.extend(control.newest_first())  # what came before the break stays
    return links


@frozen
class Asked:
    """A commit, as a user writes it, for a client that remembers `seen` in the file `memory`."""

    version: Named
    seen: HeadRef | None
    memory: str


def read_commit(control: "Control", asked: Asked, tell: Tell) -> tuple[Link, Stretch]:
    """A commit, and the stretch of the chain that ends with it.

    Read down to a usable checkpoint, and as far as the remembered head, which must be there. Raises NoSuchVersion,
    StoreWentBack, or like `Control.read_chain`.
    """
    (commit,), stretch = read_commits(control, asked, (), tell)
    return commit, stretch.up_to(commit)


def read_commits(
    control: "Control", asked: Asked, more: tuple[Named, ...], tell: Tell
) -> tuple[tuple[Link, ...], Stretch]:
    """The same of several commits at once, in one stretch that begins below the oldest of them."""
    search = _Search(control, asked, more, tell)
    search.run()
    check_remembered(asked.seen, search.links, asked.memory)
    return search.resolved(chain.commits(search.links)), Stretch(search.base, tuple(search.above_base))


class _Search:
    """Going down the chain for commits, and then for something to start from."""

    def __init__(self, control: "Control", asked: Asked, more: tuple[Named, ...], tell: Tell) -> None:
        self._control = control
        self._asked = asked
        self._names = (asked.version, *more)
        self._tell = tell
        self.links: list[Link] = []
        self._commits: list[Link] = []
        self.above_base: list[Link] = []
        self._found: dict[Named, Link] = {}
        self.base: Checkpoint | None = None

    def resolved(self, commits: Sequence[Link]) -> tuple[Link, ...]:
        """What each of the names stands for. Raises NoSuchVersion."""
        return tuple(self._found.get(name) or chain.resolve(name, commits) for name in self._names)

    def run(self) -> None:
        try:
            for link in self._control.newest_first():
                self._take(link)
                if self._done(link):
                    return
        except _BREAKS as error:
            self._broken(error)

    def _take(self, link: Link) -> None:
        self.links.append(link)
        self._commits.extend(chain.commits((link,)))
        for name in self._names:
            if name not in self._found and (found := self._exactly(name, link)):
                self._found[name] = found
        if self.base is None:
            self.above_base.append(link)
            if self._all_found:
                self.base = usable(self._control, link, self._tell)

    @property
    def _all_found(self) -> bool:
        return all(name in self._found for name in self._names)

    def _exactly(self, name: Named, lowest: Link) -> Link | None:
        """The commit that is meant, where the diffs that were not read yet cannot change that."""
        if isinstance(name, chain.At):
            return lowest if name.allows(lowest) else None
        if lowest.version_id == name or name.startswith("latest"):
            with suppress(NoSuchVersion):
                return chain.resolve(name, self._commits)
        return None

    def _done(self, link: Link) -> bool:
        return self.base is not None and self._has_passed_seen(link)

    def _has_passed_seen(self, link: Link) -> bool:
        return self._asked.seen is None or link.diff.sequence <= self._asked.seen.sequence

    def _broken(self, error: RRBackupError) -> None:
        """The diffs above the break are as good as ever, if one of them names a checkpoint for the commit.

        A client that remembers a head below the break cannot tell that it is still there.
        """
        if not self._all_found:
            with suppress(NoSuchVersion):
                self._resolve_above_break()
        if self.base is None:
            raise error
        if not self._has_passed_seen(self.links[-1]):
            assert self._asked.seen is not None
            raise _out_of_sight(error, self._asked.seen, self._asked.memory) from error

    def _resolve_above_break(self) -> None:
        """For the beginning of a version id, which is looked for in all commits."""
        oldest = min(link.diff.sequence for link in self.resolved(self._commits))
        for number, link in enumerate(self.links, start=1):
            if link.diff.sequence <= oldest and (base := usable(self._control, link, self._tell)):
                self.base, self.above_base = base, self.links[:number]
                return


def _out_of_sight(error: RRBackupError, seen: HeadRef, memory: str) -> RRBackupError:
    return type(error)(
        f"{error.message}; so nobody can tell whether commit {seen.sequence} ({seen.version_id}), which this client "
        "has seen, is still part of the history",
        hint=f"if you trust the store, remove the local manifest {memory} and run again: newer commits do not need "
        "what is lost",
    )


def check_against(control: "Control", manifest: LocalManifest, links: Sequence[Link]) -> None:
    """Compare the checkpoints that `links` (newest first, above `manifest`) name with what the diffs say.

    Whoever starts from a checkpoint has to believe it, so a client that can tell looks: one request for each that
    another client has named. Under encryption only a client with the keys can have made it. Raises DamagedChain.
    """
    for naming in links:
        if naming.diff.checkpoint is None or naming.encrypted:
            continue
        below = [link for link in links if link.diff.sequence < naming.diff.sequence]
        said = tuple(item.entry for item in fold_links(manifest, below).entries)
        named = usable(control, naming, lambda _: None)
        if named is not None and named.entries != said:
            raise DamagedChain(
                f"the diff {naming.version_id} names a checkpoint, version {naming.diff.checkpoint.version_id} of "
                f"{control.names.checkpoint}, that is not what the diffs before it say: it is forged",
                hint=f"find out who may write to the store, then go back: repair --head {_parent_of(naming)}",
            )


def _parent_of(link: Link) -> str:
    return link.diff.parent.version_id if link.diff.parent else "VERSION"


# --- writing -------------------------------------------------------------------------------------------------------


def next_checkpoint(control: "Control", manifest: LocalManifest, *, rebuilt: bool, tell: Tell) -> CheckpointRef | None:
    """A checkpoint of `manifest` for the next diff to name, if one is due; it is written already.

    What it holds is read from the store, not taken from the local manifest: others will start from it.
    """
    if not due(manifest.since, manifest.head, len(manifest.entries), rebuilt=rebuilt):
        return None
    try:
        stretch = read_to_head(control, lambda _: None)
        if not stretch.links or stretch.links[0].head != manifest.head:
            return None  # another client has committed, and this transaction will lose
        return _write(control, stretch.checkpoint())
    except (*_BREAKS, AccessDenied, OutcomeUnknown, _TooLarge) as error:
        tell(f"no checkpoint was written, so readers go on reading many diffs: {error.message}")
        return None


class _TooLarge(RepositoryError):
    """No reader would take it."""


def _write(control: "Control", checkpoint: Checkpoint) -> CheckpointRef:
    key = control.names.checkpoint
    body = encode_checkpoint(checkpoint, control.framing.at(key))
    if len(body) > MAX_RECORD_BYTES:
        raise _TooLarge(f"{key} would have {len(body)} bytes, over the most that a record may have")
    stored = control.store.put(key, body, size_hint=len(body))
    return CheckpointRef(stored.version_id, sha256_hex(body), len(checkpoint.references))


def take_back(control: "Control", ref: CheckpointRef) -> None:
    """Delete a checkpoint of one's own that no diff names. What that fails for stays behind and does no harm."""
    with suppress(AccessDenied, StoreUnavailable, OutcomeUnknown):
        control.store.delete_versions([VersionRef(control.names.checkpoint, ref.version_id)])
