"""What the configuration says about paths, as far as a plan has to know it."""

from collections.abc import Callable
from enum import StrEnum

from attrs import frozen

from rrbackup.pure.keeping import PathFilter
from rrbackup.pure.model import PathText, Word


class Detection(StrEnum):
    """When a file counts as possibly changed (configuration key `change_detection`)."""

    STAT = "stat"
    MTIME = "mtime"
    CONTENT = "content"


@frozen
class Rules:
    """What the configuration says about paths, as functions and filters.

    `reprocess`: files that are stored with less processing than `words` asks for now are stored again.
    """

    ignore: PathFilter
    skip_delete: PathFilter
    words: Callable[[str], tuple[Word, ...] | None]
    key: Callable[[PathText, tuple[Word, ...]], str]
    detection: Detection = Detection.STAT
    reprocess: bool = False

    @property
    def trust_stat(self) -> bool:
        """Whether a file counts as unchanged where size, times, mode and inode are what they were."""
        return self.detection is not Detection.CONTENT and not self.reprocess
