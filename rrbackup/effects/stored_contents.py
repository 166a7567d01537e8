"""Contents out of a repository as the source of uploads to another: decoded, checked, each read once.

Whether a content is what the commit says is known only when it was read to its end, so the last bytes are held back
until then, and an upload of what proves to be damaged leaves no version.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

from attrs import field, frozen

from rrbackup.effects.fetching import Fetcher
from rrbackup.effects.reading import OnBytes, Reader
from rrbackup.effects.renewing import Lost
from rrbackup.effects.runner import Transfer
from rrbackup.errors import ObjectMissing, RRBackupError, TransactionLost
from rrbackup.pure.adoption import Receipt
from rrbackup.pure.copying import by_content
from rrbackup.pure.dedup import DedupKey, dedup_key
from rrbackup.pure.model import NOT_RECORDED, Entry, VersionRef
from rrbackup.pure.outcomes import Content, Failed, FileResult, Settled
from rrbackup.pure.plan import Candidate

PEEK_BYTES = 8 << 20
"""A content of unknown size is kept in memory up to here; beyond, it is read once to measure it, once to send it."""


class StoredReader:
    """One content on its way; it is what its commit says, or an error."""

    stable = True

    def __init__(self, entry: Entry, size: int, chunks: Iterator[bytes], on_bytes: OnBytes) -> None:
        self.size = size
        self._entry = entry
        self._chunks = chunks
        self._on_bytes = on_bytes

    def chunks(self) -> Iterator[bytes]:
        for data in self._chunks:
            self._on_bytes(len(data))
            yield data

    @property
    def content(self) -> Content:
        return content_for(self._entry, self.size)


def content_for(entry: Entry, size: int) -> Content:
    assert entry.sha256 is not None
    return Content(size, entry.sha256, entry.mtime_ns, entry.mode, None)


@frozen
class StoredContents:
    """The contents of one repository's commits. `sizes` remembers what had to be measured."""

    fetcher: Fetcher
    sizes: dict[VersionRef, int] = field(factory=dict)

    @contextmanager
    def opened(self, candidate: Candidate, on_bytes: OnBytes) -> Iterator[Reader]:
        entry = candidate.copied
        assert entry is not None
        with_size = self._measured(entry)
        yield StoredReader(entry, *with_size, on_bytes)

    def _measured(self, entry: Entry) -> tuple[int, Iterator[bytes]]:
        assert entry.object is not None
        size = self.sizes.get(entry.object.ref, entry.size)
        chunks = self._chunks(entry)
        if size != NOT_RECORDED:
            return size, chunks
        peeked, count = [], 0
        for data in chunks:
            peeked.append(data)
            count += len(data)
            if count > PEEK_BYTES:
                size = self.sizes[entry.object.ref] = count + sum(map(len, chunks))
                return size, self._chunks(entry)
        self.sizes[entry.object.ref] = count
        return count, chain(peeked)

    def _chunks(self, entry: Entry) -> Iterator[bytes]:
        try:
            yield from self.fetcher.content_of(entry)
        except ObjectMissing as error:
            raise _source_damaged(entry, error) from error


def _source_damaged(entry: Entry, error: RRBackupError) -> RRBackupError:
    return type(error)(
        f"the content of {entry.path} is missing from the repository that is copied: {error.message}",
        hint="what was copied so far is whole; with --last, a copy can begin after the commits that refer to it",
    )


@frozen
class CopyTransfer:
    """Carries out `Upload` for a copy: of files with the same content, one is sent; `adopted` contents are there."""

    sender: Transfer
    adopted: frozenset[Receipt]

    def inspect(self, candidates: tuple[Candidate, ...]) -> tuple[FileResult, ...]:
        raise NotImplementedError("what a copy has to store is known from digests")

    def upload(self, candidates: tuple[Candidate, ...], lost: Lost) -> tuple[FileResult, ...]:
        groups = by_content(candidates)
        known = {dedup_key(r.sha256, r.object.asked): r for r in self.adopted}
        there = [
            settled for group in groups if (receipt := known.get(_key(group))) for settled in _settled(group, receipt)
        ]
        missing = [group for group in groups if _key(group) not in known]
        sent = self.sender.upload(tuple(group[0] for group in missing), lost)
        if any(isinstance(result, Failed) for result in sent) and not lost(look=True):
            raise TransactionLost("some contents were given up, so nothing was published", hint="run again")
        first = {result.path: result for result in sent}
        twins = (twin for group in missing for twin in _twins(group, first[group[0].path]))
        return (*there, *sent, *twins)


def _key(group: tuple[Candidate, ...]) -> DedupKey:
    copied = group[0].copied
    assert copied is not None
    assert copied.sha256 is not None
    return dedup_key(copied.sha256, group[0].asked)


def _settled(group: tuple[Candidate, ...], receipt: Receipt) -> Iterator[Settled]:
    for candidate in group:
        assert candidate.copied is not None
        yield Settled(candidate.path, content_for(candidate.copied, receipt.size), receipt.object)


def _twins(group: tuple[Candidate, ...], result: FileResult) -> Iterator[Settled]:
    """The files that share the object of the first one of the group, if that was sent."""
    for candidate in group[1:] if isinstance(result, Settled) else ():
        assert isinstance(result, Settled)
        assert candidate.copied is not None
        yield Settled(candidate.path, content_for(candidate.copied, result.content.size), result.object)
