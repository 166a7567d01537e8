"""The verbs that bring files back."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from rrbackup.effects.download import Restorer
from rrbackup.effects.restore import Target
from rrbackup.events import DownloadPlanned, OnEvent, ignore_event
from rrbackup.pure.filters import Filters
from rrbackup.pure.model import NOT_RECORDED, Entry, EntryType
from rrbackup.pure.report import DownloadResult
from rrbackup.verbs.opened import Opened


class Restores(Opened):
    """Downloads."""

    def download(
        self,
        version: str,
        target: str | os.PathLike[str],
        ignore: Iterable[str] = (),
        on_event: OnEvent = ignore_event,
    ) -> DownloadResult:
        """Write one commit's entries below `target`, leaving out what `ignore` (filters) covers.

        Existing files are replaced, others left alone; every file is checked before it takes its place. What fails
        is a problem of that file. Raises NoSuchVersion, SourceError for the target, StoreError, ModeError, and before
        anything is written WrongPassword.
        """
        self._refuse_write_only()
        link, entries = self._manifest(version, on_event)
        left_out = Filters.of(ignore)
        wanted = [entry for entry in entries if not left_out.covers(entry.path)]
        self._client.unlock_for_reading([entry.object for entry in wanted if entry.object is not None])
        on_event(_announcement(wanted))
        with Target(Path(target)) as folder:
            restorer = Restorer(self._client.store, self._client.keys, folder, on_event, self._threads)
            problems = restorer.restore(wanted)
        failed = {problem.path for problem in problems}
        written = [entry for entry in wanted if entry.path not in failed]
        return DownloadResult(link.version_id, len(written), restorer.bytes_written, problems)


def _announcement(entries: Sequence[Entry]) -> DownloadPlanned:
    sizes = [entry.size for entry in entries if entry.type is EntryType.FILE]
    return DownloadPlanned(len(sizes), sum(size for size in sizes if size != NOT_RECORDED))
