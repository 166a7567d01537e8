"""The verbs that read the chain and no file contents."""

from rrbackup.events import OnEvent, ignore_event
from rrbackup.pure import chain
from rrbackup.pure.model import Change, Entry
from rrbackup.pure.report import Listing, Version
from rrbackup.verbs.opened import Opened


class Listings(Opened):
    """Which commits there are, what is in one, and what one changed."""

    def list_versions(self, on_event: OnEvent = ignore_event) -> tuple[Version, ...]:
        """All commits, newest last. Where a diff is lost, those from the next checkpoint on, and a notice of the loss.

        `manifest_state` tells more. Raises DamagedObject, DamagedChain and the like where nothing makes up for it.
        """
        return tuple(Version.of(link) for link in reversed(chain.commits(self._reach(on_event).links)))

    def list_files(self, version: str = "latest", on_event: OnEvent = ignore_event) -> Listing[Entry]:
        """The entries of one commit, in path order. Raises NoSuchVersion."""
        link, entries = self._manifest(version, on_event)
        return Listing(Version.of(link), entries)

    def list_changes(self, version: str = "latest", on_event: OnEvent = ignore_event) -> Listing[Change]:
        """What one commit changed, in path order. Raises NoSuchVersion."""
        link, _ = self._stretch(version, on_event)
        return Listing(Version.of(link), link.diff.changes)
