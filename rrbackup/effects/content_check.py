"""Reading the contents of stored versions, to see whether they are what the commits say: several at a time, in turn.

How a content is decoded and what it is held against is `fetching.Fetcher`; which versions are read is
`pure.sampling`. The place that was reached is remembered also where a check is broken off.
"""

from collections.abc import Iterator, Mapping
from threading import Event as Flag
from threading import Lock

from rrbackup.effects.client import Client
from rrbackup.effects.sample_memory import SampleMemory
from rrbackup.effects.workers import FETCH_THREADS, in_order, workers
from rrbackup.errors import DamagedObject, ObjectMissing, StoreError, UnsupportedFormat
from rrbackup.events import BytesMoved, CheckPlanned, Event, FileDone, OnEvent, ProblemFound
from rrbackup.pure.damage import DamageKind, Fault, Said
from rrbackup.pure.model import NOT_RECORDED, Entry, Problem, ProblemKind, VersionRef
from rrbackup.pure.sampling import Amount, Turn, sample


class _Stopped(Exception):
    """Another thread has failed, or the user has had enough."""


class ContentCheck:
    """Reads what `said` refers to. `read` and `read_bytes` count the versions that were read, as they are stored."""

    def __init__(self, client: Client, said: Said, on_event: OnEvent) -> None:
        self._client = client
        self._fetcher = client.fetcher()
        self._said = said
        self._on_event = on_event
        self._lock = Lock()
        self._stop = Flag()
        self.read = 0
        self.read_bytes = 0
        self.unread: dict[VersionRef, Problem] = {}

    def run(self, sizes: Mapping[VersionRef, int], amount: Amount) -> dict[VersionRef, Fault]:
        """What is damaged of a sample of these versions, given with their stored bytes.

        Raises WrongPassword before anything is read, and StoreUnavailable.
        """
        memory = SampleMemory(self._client.local.manifest_path)
        turn = memory.turn()
        chosen = sample(sizes, amount, turn)
        if not chosen:
            return {}
        self._announce(chosen)
        found: dict[VersionRef, Fault] = {}
        try:
            for ref, fault in zip(chosen, self._looked_at(chosen), strict=True):
                turn = turn.after(ref)
                if ref not in self.unread:
                    self.read, self.read_bytes = self.read + 1, self.read_bytes + sizes[ref]
                if fault is not None:
                    found[ref] = fault
        finally:
            self._remember(memory, turn)
        return found

    def _announce(self, chosen: tuple[VersionRef, ...]) -> None:
        firsts = [self._said[ref][0] for ref in chosen]
        self._client.unlock_for_reading([entry.object for entry in firsts if entry.object is not None])
        size = sum(entry.size for entry in firsts if entry.size != NOT_RECORDED)
        self._on_event(CheckPlanned(len(chosen), size))

    def _remember(self, memory: SampleMemory, turn: Turn) -> None:
        if turn.place:
            memory.save(turn)

    def _looked_at(self, chosen: tuple[VersionRef, ...]) -> Iterator[Fault | None]:
        threads = self._client.threads or FETCH_THREADS
        with workers(threads) as pool:
            try:
                yield from in_order(pool, threads, self._look, chosen)
            except BaseException:
                self._stop.set()
                raise

    def _look(self, ref: VersionRef) -> Fault | None:
        """Where commits say different things of a version, it cannot be what all of them say."""
        entries = self._said[ref]
        faults = [fault for entry in entries if (fault := self._content_fault(ref, entry)) is not None]
        if not faults:
            self._emit(FileDone(entries[0].path, max(0, entries[0].size), uploaded=False))
            return None
        self._emit(ProblemFound(Problem(entries[0].path, ProblemKind.DAMAGED, faults[0].detail)))
        return faults[0]

    def _content_fault(self, ref: VersionRef, entry: Entry) -> Fault | None:
        try:
            for data in self._fetcher.content_of(entry):
                if self._stop.is_set():
                    raise _Stopped
                self._emit(BytesMoved(entry.path, len(data)))
        except (DamagedObject, ObjectMissing, UnsupportedFormat) as error:
            return Fault(DamageKind.CONTENT, error.message)
        except StoreError as error:
            if type(error) is not StoreError:
                raise
            self.unread[ref] = Problem(entry.path, ProblemKind.UNREADABLE, error.message)
        return None

    def _emit(self, event: Event) -> None:
        with self._lock:
            self._on_event(event)
