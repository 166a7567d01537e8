"""The metadata objects in the store: head and chain, claim, garbage list. Reads and writes them, decides nothing."""

from collections.abc import Callable, Iterable, Iterator

from attrs import evolve, frozen

from rrbackup.effects.checkpoints import read_reach, read_to_head, usable
from rrbackup.effects.history import History
from rrbackup.effects.key_listing import common_prefix, versions_of
from rrbackup.effects.neighbours import refuse_neighbours
from rrbackup.effects.single_writer import SingleWriter
from rrbackup.effects.store import Condition, Fetched, IfAbsent, IfMatch, Store, list_exact
from rrbackup.effects.survey import Survey
from rrbackup.errors import ConditionFailed, ConfigError, DamagedObject, ObjectMissing, OutcomeUnknown
from rrbackup.pure import claims, format1, format2
from rrbackup.pure.chain import set_aside_by
from rrbackup.pure.format1_object import Unlock, is_format1, locked_old, read_metadata
from rrbackup.pure.framing import PLAIN, Framing, is_encrypted
from rrbackup.pure.manifest import standing
from rrbackup.pure.model import (
    Claim,
    ClaimState,
    Diff,
    HeadRef,
    Link,
    ListedVersion,
    SeenClaim,
    UnfinishedUpload,
    VersionId,
    VersionRef,
    Word,
)
from rrbackup.pure.names import is_file_key
from rrbackup.pure.steps import Expect, MustBeAbsent, MustMatch, ReferencesSeen, Refused, Unclear, Wrote

APPEND_TRIES = 50

_DAMAGED_LIST = "garbage_collect goes through everything, and begins a new list; find out who may write to the store"


@frozen
class ObjectNames:
    """The names of the metadata objects, as configured, relative to the prefix."""

    manifest: str = "manifest_diffs"
    claim: str = "gc_log"
    garbage: str = "garbage_objects"
    files: str = "files"
    checkpoint: str = "manifest_checkpoint"

    @property
    def records(self) -> frozenset[str]:
        return frozenset({self.manifest, self.claim, self.garbage, self.checkpoint})


class Control:
    """The metadata objects of one repository.

    `memory` names the file in which a known head was remembered. Where the claim object says that the store does not
    honour conditions, `single_writer` is set and they are checked by reading instead. `has_keys` tells whether keys are
    opened, `keyless` whether the repository has never had any.
    """

    def __init__(
        self,
        store: Store,
        names: ObjectNames,
        framing: Framing = PLAIN,
        unlock_old: Unlock = locked_old,
        memory: str = "the local manifest",
        has_keys: Callable[[], bool] = lambda: False,
        keyless: Callable[[], bool] = lambda: False,
    ) -> None:
        self.store = store
        self.names = names
        self.framing = framing
        self.single_writer = False
        self._unlock_old = unlock_old
        self._memory = memory
        self._history = History(store, names.manifest, names.files, framing, unlock_old, has_keys, keyless)
        self._head_encrypted = False

    # --- head and chain ----------------------------------------------------------------------------------------

    def read_head(self, known: HeadRef | None) -> HeadRef | None:
        """The newest diff, or None in an empty repository. A head that is known costs no body.

        Raises HeadDeleted if there are versions below a delete marker, StoreWentBack or DamagedChain where the head
        cannot have come after the known one.
        """
        head = self._history.read_head(known)
        standing(known, head, self._memory)
        self._head_encrypted = head is not None and head.encrypted
        return head

    def check_head(self) -> None:
        """Raise DamagedObject where the head that is known was only looked at, and is damaged by now."""
        self._history.check_head()

    def read_chain(self, after: int) -> tuple[Link, ...]:
        """The diffs from the current head back to, and without, sequence `after`, newest first.

        Raises DamagedChain, DamagedObject or ObjectMissing if it has a gap.
        """
        links = self._history.read_chain(after)
        self._head_encrypted = self._head_encrypted or any(link.encrypted for link in links)
        return links

    def newest_first(self) -> Iterator[Link]:
        """The diffs from the current head on, read as far as is asked. Raises like `read_chain`, at the gap."""
        for link in self._history.newest_first():
            self._head_encrypted = self._head_encrypted or link.encrypted
            yield link

    def survey(self, seen: HeadRef | None) -> Survey:
        """All versions of the manifest object, judged; `seen` is the newest head that this client remembers."""
        found = self._history.survey(seen, lambda link: usable(self, link, lambda _: None) is not None)
        self._head_encrypted = self._head_encrypted or found.encrypted
        return found

    def read_references(self) -> ReferencesSeen:
        """All versions that any version of the manifest object refers to, in the chain or not.

        What a diff refers to that is gone is known from a checkpoint above it. Raises if there is none, or if a version
        that is there cannot be read and no repair has set it aside: then nothing may be deleted.
        """
        listed = self._history.read_references(lambda: set_aside_by(read_reach(self).links))
        newest = read_to_head(self, lambda _: None)
        files, key = listed.files | newest.references(), self.names.checkpoint
        named = listed.checkpoints(newest.links[0].version_id) if newest.links else None
        if named is None:
            return ReferencesSeen(files, frozenset({key}))
        return ReferencesSeen(files.union(VersionRef(key, version_id) for version_id in named))

    def check_may_publish(self) -> None:
        """Raise ConfigError where a diff would be stored with less encryption than the one before it."""
        if self._head_encrypted and Word.ENCRYPT not in self.framing.words:
            raise ConfigError(
                "meta_pipeline",
                ["has no encrypt, but the commits in the repository are encrypted"],
                hint="add encrypt to meta_pipeline: an unencrypted commit on top of encrypted ones counts as forged",
            )

    def publish(self, diff: Diff, expect: Expect) -> Wrote | Refused | Unclear:
        """Raises ConfigError like `check_may_publish`, before anything is sent."""
        self.check_may_publish()
        return self._write(self.names.manifest, format2.encode_diff(diff, self.framing.at(self.names.manifest)), expect)

    # --- claim -------------------------------------------------------------------------------------------------

    def read_claim(self) -> SeenClaim:
        try:
            fetched = self.store.get(self.names.claim)
        except ObjectMissing:
            return SeenClaim()
        record = self._decode_claim(fetched, self.names.claim)
        self.single_writer = record.conditional_writes is False
        info = fetched.info
        return SeenClaim(record, info.etag, info.version_id, info.date_ns - info.last_modified_ns)

    def read_claim_keys(self, version_id: VersionId) -> tuple[str, ...] | None:
        try:
            fetched = self.store.get(self.names.claim, version_id)
        except ObjectMissing:
            return None
        return self._decode_claim(fetched, f"{self.names.claim} version {version_id}").keys

    def _decode_claim(self, fetched: Fetched, name: str) -> Claim:
        try:
            record = self._parse_claim(fetched, name)
        except DamagedObject as error:
            hint = f"nothing refers to it: delete that version of {self.names.claim}, and find out who may write there"
            raise DamagedObject(error.message, hint=hint) from None
        if self._head_encrypted and not is_encrypted(fetched.body):
            # whoever has no password may have written it: what it says of the store is found out again
            record = evolve(record, conditional_writes=None)
        return evolve(record, keys=tuple(key for key in record.keys if is_file_key(self.names.files, key)))

    def _parse_claim(self, fetched: Fetched, name: str) -> Claim:
        if not is_format1(fetched.body):
            return format2.decode_claim(fetched.body, name, self.framing.at(self.names.claim))
        keys = format1.decode_gc_log(read_metadata(fetched.body, self._unlock_old, name), self.names.files, name)
        return claims.of_old_client(keys, fetched.info.last_modified_ns)

    def write_claim(self, record: Claim, expect: Expect) -> Wrote | Refused | Unclear:
        """Raises ConfigError like `check_may_publish` for a transaction that could not publish."""
        if record.state is ClaimState.OPEN:
            self.check_may_publish()
        return self._write(self.names.claim, self.encode_claim(record), expect)

    def encode_claim(self, record: Claim) -> bytes:
        return format2.encode_claim(record, self.framing.at(self.names.claim))

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
        return Wrote(stored.version_id, stored.etag, format2.sha256_hex(body), Word.ENCRYPT in self.framing.words)

    # --- garbage list --------------------------------------------------------------------------------------------

    def read_garbage(self) -> tuple[tuple[VersionRef, ...], str | None]:
        """What the garbage list names, and its etag (None where there is no list). Raises DamagedObject."""
        fetched = self._fetched_garbage()
        return (self._decode_garbage(fetched.body), fetched.info.etag) if fetched else ((), None)

    def _fetched_garbage(self) -> Fetched | None:
        try:
            return self.store.get(self.names.garbage)
        except ObjectMissing:
            return None

    def _decode_garbage(self, body: bytes) -> tuple[VersionRef, ...]:
        name = self.names.garbage
        try:
            if is_format1(body):
                return format1.decode_garbage(read_metadata(body, self._unlock_old, name), name)
            return format2.decode_garbage(body, name, self.framing.at(name))
        except DamagedObject as error:
            error.hint = error.hint or _DAMAGED_LIST
            raise

    def append_garbage(self, refs: tuple[VersionRef, ...]) -> None:
        """Add versions to the garbage list; nothing is lost when two clients append at once."""
        self._edit_garbage(lambda listed: tuple(dict.fromkeys((*listed, *refs))))

    def forget_garbage(self, refs: frozenset[VersionRef]) -> None:
        """Take versions out of the garbage list; what others append meanwhile stays."""
        self._edit_garbage(lambda listed: tuple(ref for ref in listed if ref not in refs))

    def _readable_garbage(self) -> tuple[tuple[VersionRef, ...] | None, str | None]:
        """None for a list that somebody has damaged: another takes its place, its version stays in the store."""
        fetched = self._fetched_garbage()
        if fetched is None:
            return (), None
        try:
            return self._decode_garbage(fetched.body), fetched.info.etag
        except DamagedObject:
            return None, fetched.info.etag

    def _edit_garbage(self, edit: Callable[[tuple[VersionRef, ...]], tuple[VersionRef, ...]]) -> None:
        for _ in range(APPEND_TRIES):
            listed, etag = self._readable_garbage()
            edited = edit(listed or ())
            if edited == listed:
                return
            condition: Condition = IfAbsent() if etag is None else IfMatch(etag)
            body = format2.encode_garbage(edited, self.framing.at(self.names.garbage))
            try:
                self._writer.put(self.names.garbage, body, condition=condition)
            except (ConditionFailed, OutcomeUnknown):
                continue
            return
        raise OutcomeUnknown(
            f"{self.names.garbage} in {self.store.describe()} could not be updated in {APPEND_TRIES} attempts",
            hint="run again when fewer clients are at work",
        )

    # --- file objects ------------------------------------------------------------------------------------------

    def list_keys(self, keys: tuple[str, ...]) -> tuple[ListedVersion, ...]:
        """The versions of exactly these keys."""
        return versions_of(self.store, keys)

    def list_all(self) -> tuple[ListedVersion, ...]:
        """Every version of a file or of a checkpoint. A key that no file could have is not ours, and is passed over."""
        versions = self.store.list_versions(self.names.files + "/")
        files = (version for version in versions if is_file_key(self.names.files, version.key))
        return (*files, *list_exact(self.store, self.names.checkpoint))

    def list_uploads(self, keys: tuple[str, ...] | None) -> tuple[UnfinishedUpload, ...]:
        """The unfinished uploads of exactly these keys, or of every file object."""
        if keys is None:
            return tuple(self.store.list_uploads(self.names.files + "/"))
        wanted = frozenset(keys)
        return tuple(u for u in self.store.list_uploads(common_prefix(keys)) if u.key in wanted)

    def delete_versions(self, refs: tuple[VersionRef, ...]) -> None:
        """Raises DamagedObject, and deletes nothing, where something else than a file or a checkpoint is named, also
        if another repository lies among the files."""
        files = [ref for ref in refs if ref.key != self.names.checkpoint]
        self._check_file_keys(ref.key for ref in files)
        refuse_neighbours(self.store, self.names.records | ObjectNames().records, files)
        self.store.delete_versions(refs)

    def _check_file_keys(self, keys: Iterable[str]) -> None:
        other = next((key for key in keys if not is_file_key(self.names.files, key)), None)
        if other is not None:
            raise DamagedObject(
                f"{other} is no key of a file, but was to be deleted: some record in {self.store.describe()} is forged",
                hint="nothing was deleted; find out who may write to the store",
            )

    def abort_uploads(self, uploads: Iterable[UnfinishedUpload]) -> None:
        for upload in uploads:
            self.store.abort_upload(upload)


def _condition(expect: Expect) -> Condition:
    match expect:
        case MustBeAbsent():
            return IfAbsent()
        case MustMatch(etag):
            return IfMatch(etag)
