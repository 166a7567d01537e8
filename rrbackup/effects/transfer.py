"""The data plane of a backup: reads candidates, decides by content whether they are known, sends what is not.

A small file is read once: hashed in memory, then sent from there. A big one is streamed, and hashed beforehand only
where its size says that its content may be known. What is in memory is bounded by `HELD_BYTES`,
not by file sizes or threads.
"""

import os
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from threading import Event as Flag
from time import time_ns
from typing import Protocol

from attrs import evolve, field, frozen

from rrbackup.effects.budget import ByteBudget
from rrbackup.effects.coding import Coder, Encoded, without_compression
from rrbackup.effects.contents import Contents
from rrbackup.effects.filesystem import open_source
from rrbackup.effects.reading import Clock, OnBytes, Reader, SourceReader, Whole, read_through, read_whole
from rrbackup.effects.renewing import Lost
from rrbackup.effects.store import ContentStore, Stored
from rrbackup.effects.store_rules import part_size
from rrbackup.effects.telling import OnReceipt, Telling
from rrbackup.effects.workers import side_by_side, workers
from rrbackup.errors import BasePathMissing, SourceError, StoreError
from rrbackup.events import BytesMoved, FileDone, OnEvent, ProblemFound
from rrbackup.pure.compression import WrongSize
from rrbackup.pure.dedup import DedupKey, dedup_key
from rrbackup.pure.labels import object_labels
from rrbackup.pure.model import ObjectRef, Problem, ProblemKind, VersionRef, Word
from rrbackup.pure.outcomes import Content, Failed, FileResult, Settled
from rrbackup.pure.plan import Candidate

SMALL_BYTES = 8 << 20
"""Up to this size a file is read into memory once; also where one PutObject gives way to multipart."""
HELD_BYTES = 128 << 20
"""So many bytes of files are held at once by all threads together: a small file whole, a part of a big one.

They are taken before a content is reserved, never after: who waits for a twin may hold them."""
READ_TRIES = 3
"""So often a file that changes while it is read is read again."""


class Interrupted(Exception):
    """Another thread has failed, the claim is lost or the user has had enough; this one stops at the next chunk."""


class Sources(Protocol):
    """Where the contents of candidates come from."""

    def opened(self, candidate: Candidate, on_bytes: OnBytes) -> AbstractContextManager[Reader]: ...


@frozen
class Source:
    """The tree to read from."""

    base: bytes = field(converter=os.fsencode)
    follow_symlinks: bool = True
    now: Clock = time_ns

    def opened(self, candidate: Candidate, on_bytes: OnBytes) -> SourceReader:
        file = open_source(self.base, candidate.path, follow_symlinks=self.follow_symlinks)
        return SourceReader(file, candidate.path, self.now, on_bytes)


@frozen
class Options:
    """`hashes_first`: of files of one size, which may be equal, the big ones are hashed before they are sent."""

    coder: Coder
    threads: int | None = None
    storage_class: str | None = None
    hashes_first: bool = True


class BackupTransfer:
    """Carries out `Inspect` and `Upload` (see `pure.steps`).

    `on_receipt` is told of every version as soon as it exists, before anything else is done with it.
    """

    def __init__(
        self,
        store: ContentStore,
        source: Sources,
        known: Mapping[DedupKey, ObjectRef],
        options: Options,
        on_receipt: OnReceipt,
        on_event: OnEvent,
    ) -> None:
        self._store = store
        self._source = source
        self._contents = Contents(known)
        self._options = options
        self._telling = Telling(on_event, on_receipt)
        self._held = ByteBudget(HELD_BYTES)
        self._stop = Flag()
        self._lost: Lost = lambda *, look=False: False
        self._repeated_sizes: frozenset[int] = frozenset()

    # --- effects -----------------------------------------------------------------------------------------------

    def inspect(self, candidates: tuple[Candidate, ...]) -> tuple[FileResult, ...]:
        """Settle candidates by reading alone, up to the first whose content is not known."""
        results: list[FileResult] = []
        for candidate in candidates:
            result = self._inspect(candidate)
            if result is None:
                break
            results.append(result)
            self._tell(result)
        return tuple(results)

    def upload(self, candidates: tuple[Candidate, ...], lost: Lost) -> tuple[FileResult, ...]:
        """Settle all candidates, several at a time. An error of the store stops all and is raised.

        Once `lost` says so, what is not finished is given up: those files fail. An interruption waits for nobody: the
        requests under way come to their end, and nobody is told of it.
        """
        self._lost = lost
        threads = self._options.threads
        if self._options.hashes_first:
            sizes = Counter(candidate.size for candidate in candidates)
            self._repeated_sizes = frozenset(size for size, count in sizes.items() if count > 1)
        with workers(threads) as pool:
            try:
                return tuple(side_by_side(pool, threads, self._settle, candidates, _size))
            except BaseException as error:
                self._stop.set()
                self._held.end()
                if not isinstance(error, Exception):
                    self._telling.end()
                raise

    # --- one file ----------------------------------------------------------------------------------------------

    def _inspect(self, candidate: Candidate) -> FileResult | None:
        try:
            with self._opened(candidate) as reader:
                content = read_through(reader)
                stable = reader.stable
        except BasePathMissing:
            raise
        except SourceError as error:
            return _failed(candidate, error)
        return self._known(candidate, content) if stable else None

    def _settle(self, candidate: Candidate) -> FileResult:
        attempts = _Attempts(candidate.asked)
        result: FileResult
        try:
            self._go_on()
            result = self._send(candidate, attempts)
        except (Interrupted, StoreError) as error:
            # Whoever takes over gives up our unfinished uploads, so that their next part has no place to go.
            if not self._lost(look=isinstance(error, StoreError) and not self._stop.is_set()):
                raise
            result = _given_up(candidate)
        except BasePathMissing:
            raise
        except SourceError as error:
            result = _failed(candidate, error)
        if attempts.leftovers or attempts.doubtful:
            result = evolve(result, leftovers=tuple(attempts.leftovers), doubtful=attempts.doubtful)
        self._tell(result)
        return result

    def _send(self, candidate: Candidate, attempts: "_Attempts") -> Settled:
        for last in (*(False,) * (READ_TRIES - 1), True):
            result = self._try(candidate, attempts, last)
            if result is not None:
                return result
        raise AssertionError("the last attempt always gives a result")

    def _try(self, candidate: Candidate, attempts: "_Attempts", last: bool) -> Settled | None:
        with self._opened(candidate) as reader:
            if reader.size <= SMALL_BYTES:
                with self._held.taken(reader.size):
                    self._go_on()
                    return self._send_small(candidate, read_whole(reader), attempts, last)
        with self._held.taken(part_size(candidate.size)):
            self._go_on()
            if candidate.known_size or candidate.size in self._repeated_sizes:
                return self._send_unless_known(candidate, attempts, last)
            return self._send_big(candidate, attempts, last)

    def _send_unless_known(self, candidate: Candidate, attempts: "_Attempts", last: bool) -> Settled | None:
        """Hash first; a twin that is under way is waited for."""
        with self._opened(candidate) as reader:
            content = read_through(reader)
            stable = reader.stable
        if not stable and not last:
            return None
        known = self._known(candidate, content)
        if known is None:
            with self._contents.reserved(dedup_key(content.sha256, candidate.asked)) as ref:
                if ref is None:
                    return self._send_big(candidate, attempts, last)
                known = Settled(candidate.path, content, ref)
        return _as_read(known, candidate, stable)

    def _send_small(self, candidate: Candidate, whole: Whole, attempts: "_Attempts", last: bool) -> Settled | None:
        if not whole.stable and not last:
            return None
        content = whole.content
        known = self._known(candidate, content)
        if known is None:
            with self._contents.reserved(dedup_key(content.sha256, candidate.asked)) as ref:
                stored = ref or self._put_whole(candidate, whole, attempts)
                known = Settled(candidate.path, content, stored, uploaded=ref is None)
        return _as_read(known, candidate, whole.stable)

    def _put_whole(self, candidate: Candidate, whole: Whole, attempts: "_Attempts") -> ObjectRef:
        content = whole.content
        labels = object_labels(candidate.path, content.mtime_ns, content.mode, content.sha256)
        encoded = self._options.coder.whole(candidate.asked, whole.data, candidate.key)
        ref = self._put(candidate, encoded, labels, attempts)
        self._note(content, ref)
        self._contents.add(dedup_key(content.sha256, candidate.asked), ref)
        return ref

    def _send_big(self, candidate: Candidate, attempts: "_Attempts", last: bool) -> Settled | None:
        with self._opened(candidate) as reader:
            return self._stream(candidate, reader, attempts, last)

    def _stream(self, candidate: Candidate, reader: Reader, attempts: "_Attempts", last: bool) -> Settled | None:
        labels = object_labels(candidate.path, candidate.mtime_ns, candidate.mode, None)
        words = attempts.words if not last else without_compression(attempts.words)
        encoded = self._options.coder.stream(words, reader.chunks(), reader.size, candidate.key)
        try:
            ref = self._put(candidate, encoded, labels, attempts)
        except BaseException as error:
            attempts.doubtful = True  # something of it may be left unfinished
            if isinstance(error, WrongSize):
                return None
            raise
        content = reader.content
        self._note(content, ref)
        stable = reader.stable
        if not last and not (stable and self._worth_it(encoded, content, attempts)):
            attempts.leftovers.append(ref.ref)
            return None
        if content.size == 0:
            attempts.leftovers.append(ref.ref)
            sent = Settled(candidate.path, content, None)
        else:
            self._contents.add(dedup_key(content.sha256, candidate.asked), ref)
            sent = Settled(candidate.path, content, ref, True)
        return _as_read(sent, candidate, stable)

    def _worth_it(self, encoded: Encoded, content: Content, attempts: "_Attempts") -> bool:
        """Whether compression shrank the content, if it was applied; otherwise the next attempt goes without."""
        if encoded.compressed is None or encoded.compressed.count < content.size:
            return True
        attempts.words = without_compression(attempts.words)
        return False

    def _put(
        self, candidate: Candidate, encoded: Encoded, labels: Mapping[str, str], attempts: "_Attempts"
    ) -> ObjectRef:
        stored = self._store.put(
            candidate.key,
            encoded.body,
            size_hint=encoded.size_hint,
            metadata=self._options.coder.labels(candidate.asked, labels, candidate.key),
            storage_class=self._options.storage_class,
        )
        attempts.doubtful = attempts.doubtful or stored.attempts > 1
        return _object_ref(candidate, stored, encoded.applied)

    def _known(self, candidate: Candidate, content: Content) -> Settled | None:
        """Content that needs no object, that the path has already, or that another path has."""
        if content.size == 0:
            return Settled(candidate.path, content, None)
        previous = None if candidate.anew else candidate.previous
        if previous is not None and previous.object is not None and previous.sha256 == content.sha256:
            return Settled(candidate.path, content, previous.object)
        found = self._contents.find(dedup_key(content.sha256, candidate.asked))
        return Settled(candidate.path, content, found) if found else None

    def _opened(self, candidate: Candidate) -> AbstractContextManager[Reader]:
        return self._source.opened(candidate, lambda count: self._moved(candidate, count))

    # --- telling -----------------------------------------------------------------------------------------------

    def _moved(self, candidate: Candidate, count: int) -> None:
        self._go_on()
        self._telling.event(BytesMoved(candidate.path, count))

    def _go_on(self) -> None:
        if self._stop.is_set() or self._lost():
            raise Interrupted

    def _note(self, content: Content, ref: ObjectRef) -> None:
        if not self._telling.receipt(content, ref):
            raise Interrupted  # the claim stays open, so the next run finds this version without a receipt

    def _tell(self, result: FileResult) -> None:
        if result.problem is not None:
            self._telling.event(ProblemFound(result.problem))
        if isinstance(result, Settled):
            self._telling.event(FileDone(result.path, result.content.size, result.uploaded))


class _Attempts:
    """What the attempts at one file left behind, kept even if the last one fails."""

    def __init__(self, words: tuple[Word, ...]) -> None:
        self.words = words
        self.leftovers: list[VersionRef] = []
        self.doubtful = False


def _size(candidate: Candidate) -> int:
    return candidate.size


def _object_ref(candidate: Candidate, stored: Stored, applied: tuple[Word, ...]) -> ObjectRef:
    return ObjectRef(candidate.key, stored.version_id, stored.size, stored.etag, asked=candidate.asked, applied=applied)


def _given_up(candidate: Candidate) -> Failed:
    return Failed(candidate.path, Problem(candidate.path, ProblemKind.UNREADABLE, "given up"))


def _failed(candidate: Candidate, error: SourceError) -> Failed:
    return Failed(candidate.path, Problem(candidate.path, ProblemKind.UNREADABLE, error.message))


def _as_read(settled: Settled, candidate: Candidate, stable: bool) -> Settled:
    if stable:
        return settled
    detail = "kept changing while it was read; stored as it was read the last time"
    return evolve(settled, problem=Problem(candidate.path, ProblemKind.CHANGING, detail))
