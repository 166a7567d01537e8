"""A stretch of the chain: from a checkpoint, or from the beginning, up to some diff.

The rule: what is folded from a stretch equals the fold of the whole chain up to the same diff.
"""

from attrs import evolve, frozen

from rrbackup.pure.checkpoint import Checkpoint
from rrbackup.pure.manifest import fold_links, referred_by
from rrbackup.pure.model import Link, LocalEntry, LocalManifest, SinceCheckpoint, VersionRef


@frozen
class Stretch:
    """The links without a gap above `base`, newest first; None stands for the empty manifest before the first diff."""

    base: Checkpoint | None = None
    links: tuple[Link, ...] = ()

    def up_to(self, link: Link) -> "Stretch":
        return evolve(self, links=tuple(o for o in self.links if o.diff.sequence <= link.diff.sequence))

    def manifest(self) -> LocalManifest:
        """The manifest of the newest link; the empty one where there is none."""
        entries = self.base.entries if self.base else ()
        folded = fold_links(LocalManifest(None, tuple(map(LocalEntry, entries))), self.links)
        return evolve(folded, since=self._since()) if self.links else folded

    def _since(self) -> SinceCheckpoint:
        """Counted from the base: a checkpoint that had to be passed over serves nobody."""
        changes = sum(len(link.diff.changes) for link in self.links)
        return SinceCheckpoint(len(self.links), changes, len(self.base.references) if self.base else 0)

    def references(self) -> frozenset[VersionRef]:
        """Every version that a diff up to the newest link refers to."""
        before = self.base.all_references if self.base else frozenset()
        return before.union(*(referred_by(link.diff.changes) for link in self.links))

    def checkpoint(self) -> Checkpoint:
        """The state after the newest link."""
        newest = self.links[0]
        entries = tuple(item.entry for item in self.manifest().entries)
        made = Checkpoint(newest.diff.repository, newest.diff.sequence, newest.as_parent, entries)
        return evolve(made, references=self.references() - made.all_references)
