"""Where the checks of contents have come to, in a file beside the local manifest that may be deleted at any time."""

import secrets
from pathlib import Path

from rrbackup.effects.local_files import write_atomically
from rrbackup.pure.sampling import KEY_BYTES, Turn, decode_turn, encode_turn

SUFFIX = ".sampled"


class SampleMemory:
    """What lies beside the local manifest at `manifest_path`."""

    def __init__(self, manifest_path: Path) -> None:
        self.path = manifest_path.with_name(manifest_path.name + SUFFIX)

    def turn(self) -> Turn:
        """Where the last check ended; a fresh order where nothing is remembered, or cannot be read."""
        return self._remembered() or Turn(secrets.token_bytes(KEY_BYTES))

    def _remembered(self) -> Turn | None:
        try:
            return decode_turn(self.path.read_bytes())
        except OSError:
            return None

    def save(self, turn: Turn) -> None:
        """Raises LocalStateError."""
        write_atomically(self.path, (encode_turn(turn),))
