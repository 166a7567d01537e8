"""What this client remembers on its own disk: the local manifest, and the journal of a transaction under way.

Neither is ever the truth: a manifest that is missing or damaged is rebuilt from the chain, a lost journal costs
uploads, not safety.
"""

from collections.abc import Iterable
from pathlib import Path

from attrs import frozen

from rrbackup.effects.local_files import Journal, read_journal, write_atomically
from rrbackup.effects.local_rows import read_local
from rrbackup.errors import LocalStateError
from rrbackup.pure import journal_format
from rrbackup.pure.adoption import JournalContent, Receipt
from rrbackup.pure.local_format import decode_local_head, encode_local
from rrbackup.pure.model import HeadRef, LocalManifest, TransactionId, VersionRef

_MAX_FIRST_LINE = 1 << 16


@frozen
class Remembered:
    """The local manifest, or why there is none."""

    manifest: LocalManifest | None
    why_not: str = ""


class LocalState:
    """The local files of one client, used under the local lock. `files` is the configured beginning of file keys."""

    def __init__(self, manifest_path: Path, journal_path: Path, files: str) -> None:
        self.manifest_path = manifest_path
        self._journal_path = journal_path
        self._files = files
        self._journal: Journal | None = None
        self._remembered: Remembered | None = None

    def load(self) -> Remembered:
        """The local manifest; read from disk once. Raises LocalStateError if the file cannot be read."""
        if self._remembered is None:
            self._remembered = self._read()
        return self._remembered

    def known_head(self) -> HeadRef | None:
        manifest = self.load().manifest
        return manifest.head if manifest else None

    def last_seen(self) -> HeadRef | None:
        """The head that a backup saw last, as far as the file can be read: for readers, who need nothing else of it."""
        try:
            with self.manifest_path.open("rb") as file:
                return decode_local_head(file.readline(_MAX_FIRST_LINE))
        except OSError:
            return None

    def forget(self) -> None:
        """Read from disk again next time: another process may have written meanwhile."""
        self._remembered = None

    def _read(self) -> Remembered:
        try:
            return Remembered(read_local(self.manifest_path))
        except FileNotFoundError:
            return Remembered(None, f"there is no local manifest {self.manifest_path}")
        except OSError as error:
            raise LocalStateError(
                f"cannot read the local manifest {self.manifest_path}: {error.strerror}",
                hint="correct its permissions, or set local_manifest_file to another place",
            ) from error
        except LocalStateError as error:
            return Remembered(None, error.message)

    def save(self, manifest: LocalManifest) -> None:
        """Write the local manifest, unless it says that already."""
        if manifest is self.load().manifest or (manifest.head is None and not manifest.entries):
            return
        write_atomically(self.manifest_path, encode_local(manifest))
        self.forget()

    # --- journal -----------------------------------------------------------------------------------------------

    def journal(self) -> JournalContent:
        """What an earlier run left behind."""
        return journal_format.decode_journal(read_journal(self._journal_path)).of_files(self._files)

    def note_transaction(self, transaction: TransactionId) -> None:
        """Durable before the claim is sent: this is how a crashed claim is recognised as our own."""
        self._opened().append(journal_format.encode_transaction(transaction), sync=True)

    def note_receipt(self, receipt: Receipt) -> None:
        self._opened().append(journal_format.encode_receipt(receipt), sync=False)

    def note_discarded(self, refs: Iterable[VersionRef]) -> None:
        """Durable before the deletion is sent: what may be deleted yet must never be adopted."""
        self._opened().append_all(map(journal_format.encode_discarded, refs), sync=True)

    def _opened(self) -> Journal:
        if self._journal is None:
            self._journal = Journal.open(self._journal_path)
        return self._journal

    def drop_journal(self) -> None:
        """The transactions in it are settled."""
        if self._journal is not None or self._journal_path.exists():
            self._opened().drop()
            self._journal = None

    def close(self) -> None:
        self.forget()
        if self._journal is not None:
            self._journal.close()
            self._journal = None
