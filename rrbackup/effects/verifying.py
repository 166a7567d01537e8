"""Checking a repository: the chain, the records beside it, and every version of a file that any commit refers to.

The rules decided here: without being asked for, no file object is read; what lies in the store is known from listings.
A version counts as missing only after its key was listed once more, as a long listing may leave keys out. What is not
needed to restore anything (the claim, the garbage list) is not looked at.
"""

from collections.abc import Iterable, Iterator, Sequence

from attrs import evolve, frozen

from rrbackup.effects import keys
from rrbackup.effects.checkpoints import read_checkpoint
from rrbackup.effects.client import Client
from rrbackup.effects.content_check import ContentCheck
from rrbackup.effects.head_repair import state_of, stretch_of, survey_of
from rrbackup.errors import AccessDenied, DamagedObject, ObjectMissing, RRBackupError, UnsupportedFormat
from rrbackup.events import Notice, OnEvent
from rrbackup.pure.chain import Named, commits, refers_to_encrypted, resolve
from rrbackup.pure.damage import Damage, Said, damages, entries_of, faults, said_of
from rrbackup.pure.manifest import first_misfit, fold_links, referred_by
from rrbackup.pure.model import Link, ListedVersion, LocalEntry, LocalManifest, Problem, VersionId, VersionRef
from rrbackup.pure.salt_record import is_old_salt, read_record
from rrbackup.pure.sampling import Amount
from rrbackup.pure.soundness import ManifestState
from rrbackup.pure.stretch import Stretch

_DAMAGED = (DamagedObject, ObjectMissing, UnsupportedFormat)


@frozen
class DamagedRecord:
    """A diff, checkpoint or salt object that is not what it must be. `version_id` is None for the current version."""

    key: str
    version_id: VersionId | None
    detail: str

    def __str__(self) -> str:
        return f"{self.key}{f' version {self.version_id}' if self.version_id else ''}: {self.detail}"


@frozen
class VerifyResult:
    """What a check found.

    `versions` of file objects were looked for, with `bytes` as they are stored; of these, the contents of `read`
    versions with `read_bytes` were read. `unread` are those that could not be read for a reason that is no damage.
    """

    manifest: ManifestState
    versions: int = 0
    bytes: int = 0
    read: int = 0
    read_bytes: int = 0
    damaged: tuple[Damage, ...] = ()
    records: tuple[DamagedRecord, ...] = ()
    unread: tuple[Problem, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged, as far as was looked."""
        return self.manifest.sound and not self.damaged and not self.records


def verify(client: Client, version: Named | None, amount: Amount | None, on_event: OnEvent) -> VerifyResult:
    """Check everything, or what one commit refers to; read as much of the contents as was asked for.

    Raises NoSuchVersion, WrongPassword, StoreWentBack, and what reading the chain raises where nothing of it is sound.
    """
    salt = _opened(client)
    found = survey_of(client)
    stretch = stretch_of(client, found.links, found) if found.links else Stretch()
    said = _said(stretch, version)
    listed = _listed(client, said)
    wrong = faults(said, listed)
    check = ContentCheck(client, said, on_event)
    if amount is not None:
        sizes = {ref: listed[ref].size for ref, entries in said.items() if entries and ref not in wrong}
        wrong.update(check.run(sizes, amount))
    records = (*salt, *_salt_beside(client, salt, stretch.links), *_of_the_chain(client, stretch, on_event))
    return VerifyResult(
        state_of(found),
        len(said),
        sum(listed[ref].size for ref in said if ref in listed),
        check.read,
        check.read_bytes,
        damages(wrong, stretch.links, stretch.base),
        records,
        tuple(check.unread.values()),
    )


# --- versions of files ---------------------------------------------------------------------------------------------


def _said(stretch: Stretch, version: Named | None) -> Said:
    if version is None:
        known = stretch.base.all_references if stretch.base is not None else ()
        return said_of(entries_of(stretch.links, stretch.base), known)
    commit = resolve(version, commits(stretch.links))
    return said_of(item.entry for item in stretch.up_to(commit).manifest().entries)


def _listed(client: Client, said: Said) -> dict[VersionRef, ListedVersion]:
    rows = _rows(client, said, said)
    missing = [ref for ref in said if ref not in rows]
    return rows | _rows(client, said, missing) if missing else rows


def _rows(client: Client, said: Said, refs: Iterable[VersionRef]) -> dict[VersionRef, ListedVersion]:
    found = client.control.list_keys(tuple({ref.key for ref in refs}))
    return {row.ref: row for row in found if row.ref in said and not row.marker}


# --- records -------------------------------------------------------------------------------------------------------


def _opened(client: Client) -> tuple[DamagedRecord, ...]:
    """Opens the keys, where there is a password. Raises WrongPassword."""
    try:
        client.check_password()
    except _DAMAGED as error:
        return (DamagedRecord(client.config.remote_password_salt_file, None, error.message),)
    return ()


def _salt_beside(client: Client, known: Sequence[DamagedRecord], links: Iterable[Link]) -> Iterator[DamagedRecord]:
    """What shows of the salt object without a password."""
    name = client.config.remote_password_salt_file
    if known or client.keys.opened is not None:
        return
    try:
        found = keys.current_salt(client.store, name)
        if found is None:
            keys.was_deleted(client.store, name)
            if any(link.encrypted or refers_to_encrypted(link.diff) for link in links if link.format > 1):
                raise client.keys.missing()
        elif not is_old_salt(found.body):
            read_record(found.body, keys.described(client.store, name))
    except _DAMAGED as error:
        yield DamagedRecord(name, None, error.message)


def _of_the_chain(client: Client, stretch: Stretch, on_event: OnEvent) -> Iterator[DamagedRecord]:
    """A diff that does not fit those before it: nobody knows what is above it. Else each checkpoint that is wrong."""
    base = stretch.base.entries if stretch.base is not None else ()
    misfit = first_misfit(base, reversed(stretch.links))
    if misfit is None:
        yield from _checkpoints(client, stretch, on_event)
        return
    link, error = misfit
    yield DamagedRecord(client.control.names.manifest, link.version_id, error.message)


def _checkpoints(client: Client, stretch: Stretch, on_event: OnEvent) -> Iterator[DamagedRecord]:
    """Each checkpoint that a diff names, held against what the diffs before it say."""
    state, refs = _start(stretch)
    pending: list[Link] = []
    for link in reversed(stretch.links):
        begins = stretch.base is not None and link is stretch.links[-1]
        if link.diff.checkpoint is not None and not begins:
            state, refs = _forward(state, refs, pending)
            pending = []
            fault = _checkpoint_fault(client, link, state, refs, on_event)
            if fault is not None:
                yield DamagedRecord(client.control.names.checkpoint, link.diff.checkpoint.version_id, fault)
        pending.append(link)


def _start(stretch: Stretch) -> tuple[LocalManifest, frozenset[VersionRef]]:
    if stretch.base is None:
        return LocalManifest(None), frozenset()
    return LocalManifest(None, tuple(map(LocalEntry, stretch.base.entries))), stretch.base.all_references


def _forward(
    state: LocalManifest, refs: frozenset[VersionRef], links: Sequence[Link]
) -> tuple[LocalManifest, frozenset[VersionRef]]:
    newest_first = tuple(reversed(links))
    folded = fold_links(evolve(state, head=None), newest_first)
    return folded, refs.union(*(referred_by(link.diff.changes) for link in links))


def _checkpoint_fault(
    client: Client, naming: Link, state: LocalManifest, refs: frozenset[VersionRef], on_event: OnEvent
) -> str | None:
    try:
        found = read_checkpoint(client.control, naming)
    except AccessDenied as error:
        on_event(Notice(f"a checkpoint was not looked at: {error.message}"))
        return None
    except _DAMAGED as error:
        return _detail(error, naming)
    if found.entries != tuple(item.entry for item in state.entries) or not refs <= found.all_references:
        return f"it is not what the diffs before {naming.version_id}, which names it, say: it is forged"
    return None


def _detail(error: RRBackupError, naming: Link) -> str:
    return error.message if naming.version_id in error.message else f"{error.message} (named by {naming.version_id})"
