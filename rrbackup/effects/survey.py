"""All versions of the manifest object, read and judged: for when the road from its head down is barred.

The rules decided here: a diff of rrbackup 1.0 counts where nothing but such diffs lies below it in the store's order,
and a chain that is not encrypted only where nothing beside it can be read that is. One that is encrypted, where there
were never keys, counts as forged; but if nothing else is sound either, what is wrong with the keys is the error.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from attrs import frozen

from rrbackup.effects.store import Fetched, ObjectInfo, Store, list_exact
from rrbackup.effects.workers import FETCH_THREADS, workers
from rrbackup.errors import (
    DamagedChain,
    DamagedObject,
    ObjectMissing,
    RRBackupError,
    TransactionLost,
    UnsupportedFormat,
)
from rrbackup.pure import chain, format1
from rrbackup.pure.chain import set_aside_by
from rrbackup.pure.format1 import FoundDiff
from rrbackup.pure.format1_object import is_format1
from rrbackup.pure.framing import is_encrypted
from rrbackup.pure.model import HeadRef, Link, VersionId
from rrbackup.pure.soundness import (
    FINDINGS,
    Chains,
    Finding,
    Lost,
    Resumes,
    Unsound,
    amiss,
    newest_sound,
    unsound_for,
)

_LOOKS = 3
WAY_OUT = "rrbackup repair shows which versions are sound, and repair --head goes on from one of them"
IF_FORGED = "if no client of yours is newer, somebody forged it: "


@contextmanager
def pointing_to_repair(concerned: Callable[[Exception], bool] = amiss) -> Iterator[None]:
    """Let the hints of findings name the way out, unless they name one already."""
    try:
        yield
    except RRBackupError as error:
        if concerned(error) and "repair" not in error.hint:
            way_out = f"{IF_FORGED if isinstance(error, UnsupportedFormat) else ''}{WAY_OUT}"
            error.hint = f"{error.hint}; {way_out}" if error.hint else way_out
        raise


@frozen
class Reading:
    """How diffs are read. `unlock` opens the keys, or raises; `has_keys` tells whether it would matter.

    `keyless` says, where `unlock` raises, that there have never been keys in this repository.
    """

    diff: Callable[[Fetched], Link]
    old: Callable[[Fetched], FoundDiff]
    unlock: Callable[[], object]
    has_keys: Callable[[], bool]
    keyless: Callable[[], bool]

    def locked_out(self, fetched: Fetched) -> DamagedObject | None:
        """Why a diff that is encrypted cannot be one of this repository. Raises what else is wrong with the keys."""
        if not is_encrypted(fetched.body):
            return None
        try:
            self.unlock()
        except DamagedObject as error:
            if not self.keyless():
                raise
            return DamagedObject(
                f"the diff {fetched.info.version_id} is encrypted under keys that this repository has never had, so "
                f"far as can be told: {error.message}",
                hint=error.hint,
            )
        return None


@frozen
class Survey:
    """What was found. `links` is the newest sound chain, newest first; `unsound` lies above it, newest first.

    `etag` is that of the current version, None where there is none; `marker` the delete marker that lies on top;
    `strays` are versions below the head of the chain that are no part of it and that no repair has set aside.
    `replaced` tells why a sound chain is not believed by a client that has keys; `lost` what is missing below `links`.
    """

    chains: Chains
    links: tuple[Link, ...]
    unsound: tuple[Unsound, ...]
    strays: tuple[Unsound, ...]
    etag: str | None
    marker: VersionId | None
    encrypted: bool
    replaced: Callable[[tuple[Link, ...]], Finding | None]

    @property
    def lost(self) -> Lost | None:
        return self.chains.lost(self.links)

    @property
    def repaired(self) -> bool:
        """Whether a repair could change nothing: what is lost stays lost."""
        return not (self.unsound or self.strays or self.marker)


def survey(store: Store, name: str, reading: Reading, seen: HeadRef | None, resumes: Resumes) -> Survey:
    """Read every version. `seen` is the newest head that this client remembers; see `soundness` for `resumes`.

    Raises TransactionLost where somebody keeps writing meanwhile, and what is no finding.
    """
    current, listed, marker = _listed(store, name)
    judge = _Judge(reading, listed, _fetched(store, name, listed))
    chains = Chains(listed, judge.look, resumes)
    head, unsound = newest_sound(listed, partial(_fault, chains, judge, seen))
    if head is None and judge.locked_out:
        reading.unlock()
    links = chains.chain(head) if head is not None else ()
    return Survey(
        chains,
        links,
        unsound,
        tuple(_strays(chains, links)),
        current.etag if current is not None else None,
        marker if current is None else None,
        judge.any_encrypted(),
        judge.replaced,
    )


def _listed(store: Store, name: str) -> tuple[ObjectInfo | None, tuple[VersionId, ...], VersionId | None]:
    """The current version, all versions newest first, and the newest delete marker: of one moment."""
    for _ in range(_LOOKS):
        current = _current(store, name)
        rows = list(list_exact(store, name))
        listed = tuple(row.version_id for row in rows if not row.marker)
        if current is None or listed[:1] == (current.version_id,):
            return current, listed, next((row.version_id for row in rows if row.marker and listed), None)
    raise TransactionLost(f"somebody keeps writing to {name} in {store.describe()}", hint="run again")


def _current(store: Store, name: str) -> ObjectInfo | None:
    try:
        return store.head(name)
    except ObjectMissing:
        return None


def _fetched(store: Store, name: str, listed: Iterable[VersionId]) -> dict[VersionId, Fetched]:
    with workers(FETCH_THREADS) as pool:
        return {found.info.version_id: found for found in pool.map(partial(store.get, name), listed)}


def _fault(chains: Chains, judge: "_Judge", seen: HeadRef | None, version_id: VersionId) -> Finding | None:
    fault = chains.fault(version_id)
    if fault is not None:
        return fault
    links = chains.chain(version_id)
    return chains.fork(links, seen) or judge.replaced(links)


def _strays(chains: Chains, links: tuple[Link, ...]) -> Iterable[Unsound]:
    if not links:
        return
    accounted = {link.version_id for link in links} | set_aside_by(links)
    below = chains.newest_first[chains.newest_first.index(links[0].version_id) :]
    for version_id in below:
        if version_id not in accounted:
            fault = chains.fault(version_id)
            beside = Unsound(version_id, f"the diff {version_id} is no part of the chain")
            yield unsound_for(version_id, fault) if fault else beside


class _Judge:
    """Looks at single versions, each decoded once."""

    def __init__(self, reading: Reading, listed: tuple[VersionId, ...], fetched: dict[VersionId, Fetched]) -> None:
        self._reading = reading
        self._listed = listed
        self._fetched = fetched
        self._found: dict[VersionId, Link | Finding] = {}
        self.locked_out = False

    def look(self, version_id: VersionId) -> Link | Finding:
        if version_id not in self._found:
            old = is_format1(self._fetched[version_id].body)
            self._found.update(self._old(version_id) if old else {version_id: self._new(version_id)})
        return self._found[version_id]

    def _new(self, version_id: VersionId) -> Link | Finding:
        fetched = self._fetched[version_id]
        if (forged := self._reading.locked_out(fetched)) is not None:
            self.locked_out = True
            return forged
        try:
            return self._reading.diff(fetched)
        except FINDINGS as error:
            return error

    def _old(self, version_id: VersionId) -> dict[VersionId, Link | Finding]:
        try:
            return {link.version_id: link for link in self._old_chain(version_id)}
        except (DamagedObject, DamagedChain) as error:
            return {version_id: error}

    def _old_chain(self, newest: VersionId) -> tuple[Link, ...]:
        below = [self._fetched[version_id] for version_id in self._listed[self._listed.index(newest) :]]
        format1.check_formats((found.info.version_id, 1 if is_format1(found.body) else 2) for found in below)
        return format1.chain([self._reading.old(found) for found in below])

    def replaced(self, links: tuple[Link, ...]) -> Finding | None:
        """For a client that has keys: whether a chain that is not encrypted was put in place of one that is."""
        if links[0].encrypted or not self._reading.has_keys():
            return None
        known = {link.version_id for link in links}
        for version_id in self._listed[self._listed.index(links[0].version_id) :]:
            if version_id not in known and isinstance(found := self.look(version_id), Link):
                try:
                    chain.check_encryption(links[0], version_id, found.encrypted)
                except FINDINGS as error:
                    return error
        return None

    def any_encrypted(self) -> bool:
        return any(isinstance(found, Link) and found.encrypted for found in self._found.values())
