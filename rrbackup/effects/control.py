"""The metadata objects in the store: head and chain, claim, garbage list. Reads and writes them, decides nothing."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from attrs import frozen

from rrbackup.effects.single_writer import SingleWriter
from rrbackup.effects.store import Condition, IfAbsent, IfMatch, Store, list_exact
from rrbackup.errors import ConditionFailed, HeadDeleted, ObjectMissing, OutcomeUnknown
from rrbackup.pure import chain, format2
from rrbackup.pure.framing import PLAIN, Framing
from rrbackup.pure.model import (
    Claim,
    Diff,
    HeadRef,
    Link,
    ListedVersion,
    SeenClaim,
    UnfinishedUpload,
    VersionId,
    VersionRef,
)
from rrbackup.pure.steps import Expect, MustBeAbsent, MustMatch, Refused, Unclear, Wrote

PREFETCH_FROM = 4
"""From so many diffs on, listing and fetching side by side beats following parents one by one."""
FETCH_THREADS = 16
WALK_FROM = 1_000
"""From so many keys on, a walk over all of their versions is tried before they are listed one by one."""
APPEND_TRIES = 50


@frozen
class ObjectNames:
    """The names of the metadata objects, as configured, relative to the prefix."""

    manifest: str = "manifest_diffs"
    claim: str = "gc_log"
    garbage: str = "garbage_objects"
    files: str = "files"


class Control:
    """The metadata objects of one repository.

    Where the claim object says that the store does not honour conditions, `single_writer` is set and they are
    checked by reading instead.
    """

    def __init__(self, store: Store, names: ObjectNames, framing: Framing = PLAIN) -> None:
        self.store = store
        self.names = names
        self.framing = framing
        self.single_writer = False

    # --- head and chain ----------------------------------------------------------------------------------------

    def read_head(self, known: HeadRef | None) -> HeadRef | None:
        """The newest diff, or None in an empty repository. A head that is known costs no body.

        Raises HeadDeleted if there are versions below a delete marker.
        """
        try:
            if known is not None and self.store.head(self.names.manifest).version_id == known.version_id:
                return known
            return self._current_link().head
        except ObjectMissing:
            self._check_never_written()
            return None

    def _current_link(self) -> Link:
        fetched = self.store.get(self.names.manifest)
        return self._link(fetched.info.version_id, fetched.info.etag, fetched.body)

    def _check_never_written(self) -> None:
        """Nothing at the manifest object is not the same as an empty repository."""
        versions = list(list_exact(self.store, self.names.manifest))
        if any(not version.marker for version in versions):
            markers = ", ".join(version.version_id for version in versions if version.marker) or "unknown"
            raise HeadDeleted(
                f"{self.names.manifest} in {self.store.describe()} was deleted: "
                f"its versions are still there, below the delete marker {markers}",
                hint="nothing is lost: delete that delete marker (by its version id) and run again",
            )

    def _fetch_link(self, version_id: VersionId) -> Link:
        try:
            fetched = self.store.get(self.names.manifest, version_id)
        except ObjectMissing as error:
            raise ObjectMissing(
                f"the diff {version_id} is missing from {self.names.manifest}: the history before it is lost",
                hint="look for a life-cycle rule that expires old versions of the manifest object, and remove it",
            ) from error
        return self._link(version_id, fetched.info.etag, fetched.body)

    def _link(self, version_id: VersionId, etag: str, body: bytes) -> Link:
        diff = format2.decode_diff(body, f"{self.names.manifest} version {version_id}", self.framing)
        return Link(version_id, etag, format2.sha256_hex(body), diff)

    def read_chain(self, after: int) -> tuple[Link, ...]:
        """The diffs from the current head back to, and without, sequence `after`, newest first.

        Raises DamagedChain, DamagedObject or ObjectMissing if it has a gap.
        """
        try:
            head = self._current_link()
        except ObjectMissing:
            self._check_never_written()
            return ()
        return chain.walk(head.version_id, after, self._fetcher(head, after))

    def _fetcher(self, head: Link, after: int) -> Callable[[VersionId], Link]:
        links = {head.version_id: head}
        missing = head.diff.sequence - after - 1
        if missing >= PREFETCH_FROM:
            links.update((link.version_id, link) for link in self._prefetch(missing))
        return lambda version_id: links.get(version_id) or self._fetch_link(version_id)

    def _prefetch(self, count: int) -> Iterable[Link]:
        """The `count` versions below the current one; which of them form the chain is for others to say."""
        wanted: list[VersionId] = []
        for version in list_exact(self.store, self.names.manifest):
            if not version.marker:
                wanted.append(version.version_id)
            if len(wanted) > count:
                break
        with ThreadPoolExecutor(FETCH_THREADS) as pool:
            yield from pool.map(self._fetch_link, wanted[1:])

    def read_references(self) -> frozenset[VersionRef]:
        """All versions that any version of the manifest object refers to, in the chain or not.

        Raises if a single one cannot be read: then nothing may be deleted.
        """
        versions = [v.version_id for v in list_exact(self.store, self.names.manifest) if not v.marker]
        with ThreadPoolExecutor(FETCH_THREADS) as pool:
            diffs = pool.map(lambda version_id: self._fetch_link(version_id).diff, versions)
            return frozenset(ref for diff in diffs for ref in references(diff))

    def publish(self, diff: Diff, expect: Expect) -> Wrote | Refused | Unclear:
        return self._write(self.names.manifest, format2.encode_diff(diff, self.framing), expect)

    # --- claim -------------------------------------------------------------------------------------------------

    def read_claim(self) -> SeenClaim:
        try:
            fetched = self.store.get(self.names.claim)
        except ObjectMissing:
            return SeenClaim()
        record = format2.decode_claim(fetched.body, self.names.claim, self.framing)
        self.single_writer = record.conditional_writes is False
        return SeenClaim(record, fetched.info.etag, fetched.info.version_id)

    def read_claim_keys(self, version_id: VersionId) -> tuple[str, ...] | None:
        try:
            fetched = self.store.get(self.names.claim, version_id)
        except ObjectMissing:
            return None
        return format2.decode_claim(fetched.body, f"{self.names.claim} version {version_id}", self.framing).keys

    def write_claim(self, record: Claim, expect: Expect) -> Wrote | Refused | Unclear:
        return self._write(self.names.claim, format2.encode_claim(record, self.framing), expect)

    @property
    def _writer(self) -> Store:
        return SingleWriter(self.store) if self.single_writer else self.store

    def _write(self, key: str, body: bytes, expect: Expect) -> Wrote | Refused | Unclear:
        try:
            stored = self._writer.put(key, body, condition=_condition(expect), size_hint=len(body))
        except ConditionFailed:
            return Refused()
        except OutcomeUnknown:
            return Unclear()
        return Wrote(stored.version_id, stored.etag, format2.sha256_hex(body))

    # --- garbage list --------------------------------------------------------------------------------------------

    def read_garbage(self) -> tuple[tuple[VersionRef, ...], str | None]:
        """What the garbage list names, and its etag (None where there is no list)."""
        try:
            fetched = self.store.get(self.names.garbage)
        except ObjectMissing:
            return (), None
        return format2.decode_garbage(fetched.body, self.names.garbage, self.framing), fetched.info.etag

    def append_garbage(self, refs: tuple[VersionRef, ...]) -> None:
        """Add versions to the garbage list; nothing is lost when two clients append at once."""
        self._edit_garbage(lambda listed: (*listed, *(ref for ref in refs if ref not in set(listed))))

    def forget_garbage(self, refs: frozenset[VersionRef]) -> None:
        """Take versions out of the garbage list; what others append meanwhile stays."""
        self._edit_garbage(lambda listed: tuple(ref for ref in listed if ref not in refs))

    def _edit_garbage(self, edit: Callable[[tuple[VersionRef, ...]], tuple[VersionRef, ...]]) -> None:
        for _ in range(APPEND_TRIES):
            listed, etag = self.read_garbage()
            edited = edit(listed)
            if edited == listed:
                return
            condition: Condition = IfAbsent() if etag is None else IfMatch(etag)
            try:
                self._writer.put(self.names.garbage, format2.encode_garbage(edited, self.framing), condition=condition)
            except (ConditionFailed, OutcomeUnknown):
                continue
            return
        raise OutcomeUnknown(
            f"{self.names.garbage} in {self.store.describe()} could not be updated in {APPEND_TRIES} attempts",
            hint="run again when fewer clients are at work",
        )

    # --- file objects ------------------------------------------------------------------------------------------

    def list_keys(self, keys: tuple[str, ...]) -> tuple[ListedVersion, ...]:
        """The versions of exactly these keys.

        Many are looked for in one walk over their common prefix first; what it does not show is asked for key by
        key, as a walk of several pages is not complete on every server (docs/decisions.md, "Listings").
        """
        wanted = frozenset(keys)
        walk = self.store.list_versions(_common_prefix(keys)) if len(wanted) > WALK_FROM else ()
        found = [version for version in walk if version.key in wanted]
        unseen = sorted(wanted.difference(version.key for version in found))
        with ThreadPoolExecutor(FETCH_THREADS) as pool:
            for versions in pool.map(lambda key: list(list_exact(self.store, key)), unseen):
                found.extend(versions)
        return tuple(found)

    def list_all(self) -> tuple[ListedVersion, ...]:
        return tuple(self.store.list_versions(self.names.files + "/"))

    def list_uploads(self, keys: tuple[str, ...] | None) -> tuple[UnfinishedUpload, ...]:
        """The unfinished uploads of exactly these keys, or of every file object."""
        if keys is None:
            return tuple(self.store.list_uploads(self.names.files + "/"))
        wanted = frozenset(keys)
        return tuple(u for u in self.store.list_uploads(_common_prefix(keys)) if u.key in wanted)

    def abort_uploads(self, uploads: Iterable[UnfinishedUpload]) -> None:
        for upload in uploads:
            self.store.abort_upload(upload)


def references(diff: Diff) -> Iterable[VersionRef]:
    return (change.entry.object.ref for change in diff.changes if change.entry.object is not None)


def _common_prefix(keys: tuple[str, ...]) -> str:
    first, last = min(keys), max(keys)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:length]


def _condition(expect: Expect) -> Condition:
    match expect:
        case MustBeAbsent():
            return IfAbsent()
        case MustMatch(etag):
            return IfMatch(etag)
