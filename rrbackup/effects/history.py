"""The versions of the manifest object in the store: the head, the chain, and what any diff refers to.

The rule decided here: which format a diff has is known from its own header. Diffs of rrbackup 1.0 name no parent, so
they are read all at once, in the store's order; the first diff of format 2 on top names the newest of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from rrbackup.effects.ahead import Ahead
from rrbackup.effects.references import Referred, read_references
from rrbackup.effects.store import Fetched, Store, list_exact
from rrbackup.effects.survey import Reading, Survey, pointing_to_repair, survey
from rrbackup.effects.workers import FETCH_THREADS, workers
from rrbackup.errors import DamagedChain, DamagedObject, HeadDeleted, ObjectMissing
from rrbackup.pure import chain, format1, format2
from rrbackup.pure.format1 import FoundDiff
from rrbackup.pure.format1_object import Unlock, is_format1, read_metadata
from rrbackup.pure.framing import Framing, is_encrypted
from rrbackup.pure.model import Diff, HeadRef, Link, VersionId, Word
from rrbackup.pure.soundness import FINDINGS, Resumes

PREFETCH_FROM = 4
"""From so many diffs on, listing and fetching side by side beats following parents one by one."""


class History:
    """Reads the manifest object `name`; `files` is the configured beginning of file keys.

    `has_keys` tells whether this client has opened keys of the repository, `keyless` whether there have never been any.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        files: str,
        framing: Framing,
        unlock_old: Unlock,
        has_keys: Callable[[], bool],
        keyless: Callable[[], bool],
    ) -> None:
        self._store = store
        self._name = name
        self._files = files
        self._framing = framing.at(name)
        self._has_keys = has_keys
        self._unlock_old = unlock_old
        self._last: HeadRef | None = None
        self._only_looked_at: HeadRef | None = None
        self._reading = Reading(self._link, self._old, self._framing.unlock, self._encrypts, keyless)

    def _encrypts(self) -> bool:
        return Word.ENCRYPT in self._framing.words or self._has_keys()

    # --- head and chain ----------------------------------------------------------------------------------------

    def read_head(self, known: HeadRef | None) -> HeadRef | None:
        """The newest diff, or None in an empty repository. A head that is known costs no body.

        Raises HeadDeleted if there are versions below a delete marker, and DamagedChain where this client has keys, and
        the head is not encrypted although a diff before it is.
        """
        with pointing_to_repair():
            self._last = self._read_head(known)
        return self._last

    def _read_head(self, known: HeadRef | None) -> HeadRef | None:
        self._only_looked_at = None
        try:
            if known is not None and self._store.head(self._name).version_id == known.version_id:
                self._only_looked_at = known
                return known
        except ObjectMissing:
            pass  # looked into below
        newest = self._newest()
        if newest is None:
            return None
        head, _ = newest
        if self._encrypts() and not head.encrypted:
            self._check_plain(head, known)
        return head.head

    def check_head(self) -> None:
        """Raise DamagedObject where the head was only looked at, and its stored bytes are no longer what they were.

        Whoever builds on it would publish a commit that nobody finds whole.
        """
        head = self._only_looked_at
        if head is None:
            return
        with pointing_to_repair():
            if format2.sha256_hex(self._fetch(head.version_id).body) != head.sha256:
                raise DamagedObject(
                    f"the newest diff, {self._named(head.version_id)}, is not what it was: it is damaged"
                )
        self._only_looked_at = None

    def read_chain(self, after: int) -> tuple[Link, ...]:
        """The diffs from the current head back to, and without, sequence `after`, newest first.

        Raises DamagedChain, DamagedObject or ObjectMissing if it has a gap, TransactionLost where a repair has gone
        back behind `after`, or behind the head that was read last.
        """
        with pointing_to_repair():
            newest = self._newest()
            if newest is None:
                return ()
            head, links = newest
            found = chain.walk(head.version_id, after, self._fetcher(head, links, after))
            if after == 0 and self._encrypts() and not head.encrypted:
                self._check_not_replaced(found)
        if not found:
            chain.check_not_set_back(head.head, after, self._last)
        return found

    def newest_first(self) -> Iterator[Link]:
        """The chain from the current head on, each link checked against the one above it, read as far as is asked.

        Raises like `read_chain`, when it comes to the gap.
        """
        with pointing_to_repair():
            newest = self._newest()
            if newest is None:
                return
            head, links = newest
            descending = chain.descend(head.version_id, self._fetcher_ahead(head, links))
            if self._encrypts() and not head.encrypted:
                descending = self._not_replaced(descending)
            yield from descending

    def _not_replaced(self, descending: Iterator[Link]) -> Iterator[Link]:
        """The same, once all that can be read of it was checked."""
        links: list[Link] = []
        try:
            links.extend(descending)  # what came before a break stays
            self._check_not_replaced(tuple(links))
        except (*FINDINGS, ObjectMissing):
            if links:
                self._check_not_replaced(tuple(links))
            yield from links
            raise
        yield from links

    def _fetcher_ahead(self, head: Link, links: dict[VersionId, Link]) -> Callable[[VersionId], Link]:
        listed = (version.version_id for version in list_exact(self._store, self._name) if not version.marker)
        others = (version_id for version_id in listed if version_id != head.version_id)
        few = head.diff.sequence <= PREFETCH_FROM
        ahead = Ahead(() if few else others, self._fetch_all)

        def fetch(version_id: VersionId) -> Link:
            if version_id not in links:
                links.update(self._links_at(ahead.get(version_id), {}))
            return links[version_id]

        return fetch

    def _fetch_all(self, version_ids: Sequence[VersionId]) -> list[Fetched]:
        with workers(FETCH_THREADS) as pool:
            return list(pool.map(self._fetch, version_ids))

    def _check_plain(self, head: Link, known: HeadRef | None) -> None:
        """Whether a head that is not encrypted was put on top of encrypted diffs, for a client that has keys."""
        if known is None:
            self.read_chain(0)
        elif head.diff.parent is not None:
            below = self._fetch(head.diff.parent.version_id)
            chain.check_encryption(head, below.info.version_id, is_encrypted(below.body))

    def _check_not_replaced(self, links: tuple[Link, ...]) -> None:
        """For a client that has keys: was the whole chain put in place of an encrypted one?

        What is listed above its head was written after that was read, and replaces nothing.
        """
        known, set_aside = {link.version_id for link in links}, chain.set_aside_by(links)
        for version_id in self._listed_from(links[0].version_id):
            if version_id in known or not is_encrypted((found := self._fetch(version_id)).body):
                continue
            if version_id not in set_aside or self._opens(found):
                chain.check_encryption(links[0], version_id, True)

    def _opens(self, fetched: Fetched) -> bool:
        """Whether something that says it is an encrypted diff is one. Raises what is wrong with the keys."""
        try:
            self._old(fetched) if is_format1(fetched.body) else self._diff(fetched)
        except DamagedObject:
            return False
        return True

    def read_references(self, set_aside: Callable[[], frozenset[VersionId]]) -> Referred:
        """All versions that any version of the manifest object refers to, in the chain or not.

        Raises if a single one cannot be read that is not `set_aside` by a repair: then nothing may be deleted.
        """
        with pointing_to_repair():
            return read_references(self._listed(), self._fetch, self._reading, set_aside)

    def survey(self, seen: HeadRef | None, resumes: Resumes) -> Survey:
        """All versions, judged; `seen` is the newest head that this client remembers; see `soundness` for `resumes`."""
        return survey(self._store, self._name, self._reading, seen, resumes)

    def _never_written(self) -> bool:
        """Nothing at the manifest object is not the same as an empty repository. Raises HeadDeleted."""
        versions = list(list_exact(self._store, self._name))
        markers = [version.version_id for version in versions if version.marker]
        if markers and len(markers) < len(versions):
            raise HeadDeleted(
                f"{self._name} in {self._store.describe()} was deleted: "
                f"its versions are still there, below the delete marker {', '.join(markers)}",
                hint="nothing is lost: delete that delete marker (by its version id) and run again",
            )
        return len(markers) == len(versions)

    # --- walking -----------------------------------------------------------------------------------------------

    def _newest(self) -> tuple[Link, dict[VersionId, Link]] | None:
        """The head, and what else of the chain had to be read for it; None in an empty repository."""
        try:
            fetched = self._store.get(self._name)
        except ObjectMissing:
            if self._never_written():
                return None
            fetched = self._store.get(self._name)  # written between the two looks
        if not is_format1(fetched.body):
            link = self._link(fetched)
            return link, {link.version_id: link}
        links = self._old_chain(fetched.info.version_id, {fetched.info.version_id: fetched})
        return links[fetched.info.version_id], links

    def _fetcher(self, head: Link, links: dict[VersionId, Link], after: int) -> Callable[[VersionId], Link]:
        fetched: dict[VersionId, Fetched] = {}
        missing = head.diff.sequence - after - len(links)
        if missing >= PREFETCH_FROM:
            fetched.update((found.info.version_id, found) for found in self._prefetch(missing))

        def fetch(version_id: VersionId) -> Link:
            if version_id not in links:
                links.update(self._links_at(fetched.get(version_id) or self._fetch(version_id), fetched))
            return links[version_id]

        return fetch

    def _links_at(self, found: Fetched, fetched: Mapping[VersionId, Fetched]) -> dict[VersionId, Link]:
        """What a version amounts to: one diff, or all those of rrbackup 1.0 from it down."""
        version_id = found.info.version_id
        return self._old_chain(version_id, fetched) if is_format1(found.body) else {version_id: self._link(found)}

    def _prefetch(self, count: int) -> Iterable[Fetched]:
        """The `count` versions below the current one; which of them form the chain is for others to say."""
        with workers(FETCH_THREADS) as pool:
            yield from pool.map(self._fetch, self._listed(count + 1)[1:])

    def _old_chain(self, newest: VersionId, fetched: Mapping[VersionId, Fetched]) -> dict[VersionId, Link]:
        """The diffs of rrbackup 1.0 from `newest` down: what lies above may have been set aside.

        Raises OldClientWrote where one of this version lies below.
        """
        listed = self._listed()
        if newest not in listed:
            raise DamagedChain(
                f"{self._store.describe()} does not list the version {newest} of {self._name}",
                hint="run again: somebody may have written or deleted it meanwhile",
            )
        below = listed[listed.index(newest) :]
        with workers(FETCH_THREADS) as pool:
            found = list(pool.map(lambda version_id: fetched.get(version_id) or self._fetch(version_id), below))
        format1.check_formats([(fetched.info.version_id, _format_of(fetched)) for fetched in found])
        old = [self._old(fetched) for fetched in found if _format_of(fetched) == format1.FORMAT]
        return {link.version_id: link for link in format1.chain(old)}

    # --- single versions ---------------------------------------------------------------------------------------

    def _listed(self, at_most: int | None = None) -> list[VersionId]:
        """Newest first."""
        wanted: list[VersionId] = []
        for version in list_exact(self._store, self._name):
            if not version.marker:
                wanted.append(version.version_id)
            if len(wanted) == at_most:
                break
        return wanted

    def _listed_from(self, head: VersionId) -> list[VersionId]:
        """What was there when `head` was the newest version; all that there is if it is gone."""
        listed = self._listed()
        return listed[listed.index(head) :] if head in listed else listed

    def _fetch(self, version_id: VersionId) -> Fetched:
        try:
            return self._store.get(self._name, version_id)
        except ObjectMissing as error:
            raise ObjectMissing(
                f"the diff {version_id} is missing from {self._name}: the history before it is lost",
                hint="look for a life-cycle rule that expires old versions of the manifest object, and remove it",
            ) from error

    def _link(self, fetched: Fetched) -> Link:
        info, body = fetched.info, fetched.body
        return Link(info.version_id, info.etag, format2.sha256_hex(body), self._diff(fetched), is_encrypted(body))

    def _diff(self, fetched: Fetched) -> Diff:
        return format2.decode_diff(fetched.body, self._named(fetched.info.version_id), self._framing)

    def _old(self, fetched: Fetched) -> FoundDiff:
        info, name = fetched.info, self._named(fetched.info.version_id)
        payload = read_metadata(fetched.body, self._unlock_old, name)
        changes = format1.decode_diff(payload, self._files, name)
        digest, encrypted = format2.sha256_hex(fetched.body), is_encrypted(fetched.body)
        return FoundDiff(info.version_id, info.etag, digest, info.last_modified_ns, changes, encrypted)

    def _named(self, version_id: VersionId) -> str:
        return f"{self._name} version {version_id}"


def _format_of(fetched: Fetched) -> int:
    return format1.FORMAT if is_format1(fetched.body) else format2.FORMAT
