"""The verbs that look whether all is well, and store again what is not.

What they need is imported when it is: every backup would wait for it.
"""

from typing import TYPE_CHECKING

from rrbackup.effects.points_in_time import named_by
from rrbackup.effects.settling import Permissions
from rrbackup.events import OnEvent, ignore_event
from rrbackup.pure.sampling import EVERYTHING, Amount, parse_amount
from rrbackup.verbs.opened import Opened

if TYPE_CHECKING:
    from rrbackup.effects.healing import HealResult
    from rrbackup.effects.verifying import VerifyResult
    from rrbackup.pure.diagnosis import Diagnosis


class Checking(Opened):
    """Checking and healing what is stored, and examining the client itself."""

    def verify(
        self, version: str | None = None, *, read_data: bool | str = False, on_event: OnEvent = ignore_event
    ) -> "VerifyResult":
        """Whether the chain is whole, and every version of a file there that any commit (or `version`) refers to.

        Known from listings alone, unless `read_data` asks for contents as well: True for all of them, or a share such
        as "5%" or a size such as "2GB" of those whose turn it is. Damage is a result, not an error. Raises UsageError,
        NoSuchVersion, ModeError for a write-only client that is to read, WrongPassword, StoreError, and what reading
        the chain raises where nothing of it is sound.
        """
        from rrbackup.effects import verifying

        named = None if version is None else named_by(version)
        return verifying.verify(self._client, named, self._amount(read_data), on_event)

    def heal(
        self,
        *,
        read_data: bool | str = False,
        take_over: bool = False,
        upgrade: bool = False,
        on_event: OnEvent = ignore_event,
    ) -> "HealResult":
        """Store again, as a new commit, what `verify` finds damaged of the latest one and what the disk still has.

        What cannot be healed is in the result. Ends what an interrupted backup left open. Raises as `backup` and
        `verify` do.
        """
        from rrbackup.effects import healing

        self._refuse_read_only("heal")
        amount = self._amount(read_data)
        with self._writing():
            return healing.heal(self._client, amount, Permissions(take_over, upgrade), self._telling(on_event))

    def doctor(self) -> "tuple[Diagnosis, ...]":
        """What can be told of configuration, credentials, rights, store and local files, each with a verdict.

        Changes nothing in the store. Raises nothing of `RRBackupError`: what fails is a verdict.
        """
        from rrbackup.effects import doctor

        self._client.local.forget()
        return doctor.examine(self._client)

    def _amount(self, read_data: bool | str) -> Amount | None:
        if read_data is False:
            return None
        amount = EVERYTHING if read_data is True else parse_amount(read_data)
        self._refuse_write_only()
        return amount
