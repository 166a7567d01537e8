"""The versions of the manifest object in the store: the head, the chain, and what any diff refers to.

The rule decided here: which format a diff has is known from its own header. Diffs of rrbackup 1.0 name no parent, so
they are read all at once, in the store's order; the first diff of format 2 on top names the newest of them.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from rrbackup.effects.store import Fetched, Store, list_exact
from rrbackup.errors import DamagedChain, HeadDeleted, ObjectMissing
from rrbackup.pure import chain, format1, format2
from rrbackup.pure.format1 import FoundDiff
from rrbackup.pure.format1_object import Unlock, is_format1, read_metadata
from rrbackup.pure.framing import Framing, is_encrypted
from rrbackup.pure.model import Diff, HeadRef, Link, VersionId, VersionRef, Word

PREFETCH_FROM = 4
"""From so many diffs on, listing and fetching side by side beats following parents one by one."""
FETCH_THREADS = 16


class History:
    """Reads the manifest object `name`; `files` is the configured beginning of file keys.

    `has_keys` tells whether this client has opened keys of the repository.
    """

    def __init__(
        self, store: Store, name: str, files: str, framing: Framing, unlock_old: Unlock, has_keys: Callable[[], bool]
    ) -> None:
        self._store = store
        self._name = name
        self._files = files
        self._framing = framing.at(name)
        self._has_keys = has_keys
        self._unlock_old = unlock_old

    def _encrypts(self) -> bool:
        return Word.ENCRYPT in self._framing.words or self._has_keys()

    # --- head and chain ----------------------------------------------------------------------------------------

    def read_head(self, known: HeadRef | None) -> HeadRef | None:
        """The newest diff, or None in an empty repository. A head that is known costs no body.

        Raises HeadDeleted if there are versions below a delete marker, and DamagedChain where this client has keys, and
        the head is not encrypted although a diff before it is.
        """
        try:
            if known is not None and self._store.head(self._name).version_id == known.version_id:
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

    def read_chain(self, after: int) -> tuple[Link, ...]:
        """The diffs from the current head back to, and without, sequence `after`, newest first.

        Raises DamagedChain, DamagedObject or ObjectMissing if it has a gap.
        """
        newest = self._newest()
        if newest is None:
            return ()
        head, links = newest
        found = chain.walk(head.version_id, after, self._fetcher(head, links, after))
        if after == 0 and self._encrypts() and not head.encrypted:
            self._check_not_replaced(found)
        return found

    def _check_plain(self, head: Link, known: HeadRef | None) -> None:
        """Whether a head that is not encrypted was put on top of encrypted diffs, for a client that has keys."""
        if known is None:
            self.read_chain(0)
        elif head.diff.parent is not None:
            below = self._fetch(head.diff.parent.version_id)
            chain.check_encryption(head, below.info.version_id, is_encrypted(below.body))

    def _check_not_replaced(self, links: tuple[Link, ...]) -> None:
        """For a client that has keys: was the whole chain put in place of an encrypted one?"""
        known = {link.version_id for link in links}
        for version_id in self._listed():
            if version_id not in known and is_encrypted(self._fetch(version_id).body):
                chain.check_encryption(links[0], version_id, True)

    def read_references(self) -> frozenset[VersionRef]:
        """All versions that any version of the manifest object refers to, in the chain or not.

        Raises if a single one cannot be read: then nothing may be deleted.
        """
        with ThreadPoolExecutor(FETCH_THREADS) as pool:
            found = pool.map(self._references, self._listed())
            return frozenset(ref for refs in found for ref in refs)

    def _references(self, version_id: VersionId) -> frozenset[VersionRef]:
        fetched = self._fetch(version_id)
        changes = self._old(fetched).changes if is_format1(fetched.body) else self._diff(fetched).changes
        return frozenset(change.entry.object.ref for change in changes if change.entry.object is not None)

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
        links = self._old_chain({fetched.info.version_id: fetched})
        if fetched.info.version_id not in links:
            raise DamagedChain(
                f"{self._store.describe()} does not list the current version of {self._name}",
                hint="run again: somebody may have written or deleted it meanwhile",
            )
        return links[fetched.info.version_id], links

    def _fetcher(self, head: Link, links: dict[VersionId, Link], after: int) -> Callable[[VersionId], Link]:
        fetched: dict[VersionId, Fetched] = {}
        missing = head.diff.sequence - after - len(links)
        if missing >= PREFETCH_FROM:
            fetched.update((found.info.version_id, found) for found in self._prefetch(missing))

        def fetch(version_id: VersionId) -> Link:
            if version_id not in links:
                found = fetched.get(version_id) or self._fetch(version_id)
                links.update(self._old_chain(fetched) if is_format1(found.body) else {version_id: self._link(found)})
            return links[version_id]

        return fetch

    def _prefetch(self, count: int) -> Iterable[Fetched]:
        """The `count` versions below the current one; which of them form the chain is for others to say."""
        with ThreadPoolExecutor(FETCH_THREADS) as pool:
            yield from pool.map(self._fetch, self._listed(count + 1)[1:])

    def _old_chain(self, fetched: Mapping[VersionId, Fetched]) -> dict[VersionId, Link]:
        """The diffs of rrbackup 1.0. Raises OldClientWrote where one lies above a diff of format 2."""
        with ThreadPoolExecutor(FETCH_THREADS) as pool:
            found = list(
                pool.map(lambda version_id: fetched.get(version_id) or self._fetch(version_id), self._listed())
            )
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
