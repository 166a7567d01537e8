"""Looking at a client and its store from all sides, without changing anything.

The rule decided here: what goes wrong with one look is the verdict of that look, and the others go on. A refusal means
that it could not be told, unless the right is one that every client needs.
"""

import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator

from rrbackup.effects.cancelling import bare
from rrbackup.effects.client import Client
from rrbackup.effects.directory import DirectoryStore
from rrbackup.effects.doctor_bucket import look_at_bucket
from rrbackup.effects.doctor_folder import free_bytes, look_at_folder
from rrbackup.effects.store import list_exact
from rrbackup.errors import AccessDenied, ObjectMissing, RRBackupError, UsageError
from rrbackup.pure import diagnosis
from rrbackup.pure.diagnosis import LOCAL_SPARE_BYTES, Diagnosis
from rrbackup.pure.manifest import Standing, standing
from rrbackup.pure.model import Mode, SeenClaim

Look = Callable[[], Iterable[Diagnosis]]


def examine(client: Client) -> tuple[Diagnosis, ...]:
    """Everything, in the order in which one thing may be the reason for the next."""
    return tuple(_examined(client))


def _examined(client: Client) -> Iterator[Diagnosis]:
    yield from _told("configuration", lambda: _configuration(client))
    yield from _told("local space", lambda: _local_space(client))
    reached = tuple(_told("store", lambda: _store(client), needed=True))
    yield from reached
    if any(found.verdict is not diagnosis.Verdict.FINE for found in reached):
        return  # nothing else could be told
    yield from _places(client)
    yield from _told("password and keys", lambda: _keys(client))
    yield from _told("commits", lambda: _commits(client), needed=True)
    yield from _told("local manifest", lambda: _local_manifest(client))
    claims: list[SeenClaim] = []
    yield from _told("open transaction", lambda: _claim(client, claims))
    yield from _told("unfinished uploads", lambda: _uploads(client, claims))
    yield from _told("garbage list", lambda: _garbage(client))


def _places(client: Client) -> Iterator[Diagnosis]:
    """What only one kind of store has."""
    if client.config.s3 is not None:
        yield from _bucket(client)
    elif isinstance(bare(client.store), DirectoryStore):
        yield from _told("folder", lambda: look_at_folder(client.config))
    if client.config.s3 is None:
        yield from _told("clock", lambda: _clock(client))


def _bucket(client: Client) -> Iterator[Diagnosis]:
    try:
        for subject, look in look_at_bucket(client.config, client.store):
            yield from _told(subject, look)
    except UsageError as error:
        yield diagnosis.unknown("bucket", error.message, error.hint)


def _told(subject: str, look: Look, *, needed: bool = False) -> Iterator[Diagnosis]:
    try:
        yield from look()
    except AccessDenied as error:
        judge = diagnosis.wrong if needed else diagnosis.unknown
        yield judge(subject, error.message, error.hint)
    except RRBackupError as error:
        yield diagnosis.wrong(subject, error.message, error.hint)


# --- this machine --------------------------------------------------------------------------------------------------


def _configuration(client: Client) -> Iterator[Diagnosis]:
    config, subject = client.config, "configuration"
    warnings = config.warnings()
    for text in warnings:
        yield diagnosis.warning(subject, text, "change the configuration")
    if config.mode is not Mode.READ_ONLY and not _is_readable_folder(config.base()):
        finding = f"base_path {config.base()} is no folder that can be read"
        yield diagnosis.wrong(subject, finding, "mount its disk, correct its rights, or correct base_path")
    elif not warnings:
        yield diagnosis.fine(subject, "it holds no contradictions")


def _is_readable_folder(path: os.PathLike[str]) -> bool:
    return os.path.isdir(path) and os.access(path, os.R_OK | os.X_OK)


def _local_space(client: Client) -> Iterator[Diagnosis]:
    """The local manifest is written anew beside the old one."""
    path = client.local.manifest_path
    folder, size = path.parent, path.stat().st_size if path.is_file() else 0
    if not os.access(folder, os.W_OK | os.X_OK):
        finding = f"{folder}, where the local manifest belongs, cannot be written to"
        yield diagnosis.wrong("local space", finding, "correct its rights, or set local_manifest_file to another place")
        return
    yield diagnosis.of_space("local space", str(folder), free_bytes(folder), size + LOCAL_SPARE_BYTES)


# --- the repository ------------------------------------------------------------------------------------------------


def _store(client: Client) -> Iterator[Diagnosis]:
    """Every client needs to list versions."""
    next(list_exact(client.store, client.control.names.manifest), None)
    yield diagnosis.fine("store", f"{client.store.describe()} answers, and takes these credentials")


def _clock(client: Client) -> Iterator[Diagnosis]:
    if next(list_exact(client.store, client.control.names.manifest), None) is None:
        yield diagnosis.unknown("clock", "there is no object yet whose time could be compared")
        return
    before = time.time_ns()
    try:
        info = client.store.head(client.control.names.manifest)
    except ObjectMissing:
        yield diagnosis.unknown("clock", "the newest commit is hidden, so its time could not be compared")
        return
    yield diagnosis.of_clock(before, info.date_ns, time.time_ns())


def _keys(client: Client) -> Iterator[Diagnosis]:
    client.unlock(create=False)
    opened = client.keys.opened is not None
    yield diagnosis.fine("password and keys", "the password opens the keys" if opened else "there are none to open")


def _commits(client: Client) -> Iterator[Diagnosis]:
    head = client.control.read_head(None)  # with its body
    standing(client.local.known_head(), head, str(client.local.manifest_path))
    found = "there are no commits yet" if head is None else f"the newest is number {head.sequence} ({head.version_id})"
    yield diagnosis.fine("commits", found)


def _local_manifest(client: Client) -> Iterator[Diagnosis]:
    remembered, subject = client.local.load(), "local manifest"
    if remembered.manifest is None:
        yield diagnosis.warning(subject, remembered.why_not, "none: the next backup rebuilds it from the store")
        return
    known = remembered.manifest.head
    head = client.control.read_head(None)
    if standing(known, head, str(client.local.manifest_path)) is Standing.BEHIND:
        yield diagnosis.fine(subject, "it is behind what other clients have committed, as it may be")
    else:
        yield diagnosis.fine(subject, "it is that of the newest commit")


def _claim(client: Client, claims: list[SeenClaim]) -> Iterator[Diagnosis]:
    seen = client.control.read_claim()
    claims.append(seen)
    ours = seen.open is not None and seen.open.transaction in client.local.journal().transactions
    yield diagnosis.of_claim(seen, client.patience(), socket.gethostname(), ours=ours)
    yield diagnosis.of_conditions(seen)


def _uploads(client: Client, claims: list[SeenClaim]) -> Iterator[Diagnosis]:
    count = sum(1 for _ in client.control.list_uploads(None))
    yield diagnosis.of_uploads(count, open_claim=any(seen.open is not None for seen in claims))


def _garbage(client: Client) -> Iterator[Diagnosis]:
    listed, _ = client.control.read_garbage()
    if listed:
        finding = f"{len(listed)} versions wait to be deleted"
        yield diagnosis.warning("garbage list", finding, "run rrbackup clean_gc_log with a client that may delete")
    else:
        yield diagnosis.fine("garbage list", "it is empty")
