"""The verbs for keys, and for going back after somebody forged, garbled or deleted what holds a repository together."""

from collections.abc import Callable

from rrbackup.effects.head_repair import HeadRepaired, manifest_state, repair_head
from rrbackup.effects.keys import PasswordChanged
from rrbackup.effects.salt_versions import SaltVersion, restore_salt, salt_versions
from rrbackup.effects.store import list_exact
from rrbackup.errors import UsageError
from rrbackup.pure.model import VersionId
from rrbackup.pure.soundness import ManifestState
from rrbackup.verbs.opened import Opened


class Repairs(Opened):
    """Passwords, the salt object and the manifest object."""

    def change_password(self, new: str | Callable[[], str]) -> PasswordChanged:
        """Wrap the keys under another password; nothing is uploaded again.

        A function is called for `new` once the old password has proved to be right. The configuration keeps the old
        one: change it there, and open the repository anew. Raises WrongPassword, PasswordMissing, UpgradeNeeded,
        UsageError where there are no keys or the new password is empty, Busy.
        """
        self._refuse_read_only("change the password")
        if not new:
            raise UsageError("the new password is empty")
        with self._writing():
            return self._client.change_password(new if callable(new) else lambda: new)

    def salt_versions(self) -> tuple[SaltVersion, ...]:
        """The versions of the salt object, newest first, and which of them the password opens."""
        client = self._client
        if not any(not version.marker for version in list_exact(client.store, self.config.remote_password_salt_file)):
            return ()  # nobody is asked for a password that there is none of
        return salt_versions(client.store, self.config.remote_password_salt_file, client.keys.password())

    def repair_salt(self, version: str) -> VersionId:
        """Put an earlier version of the salt object on top, if the password opens it; the id of the new version.

        The way back after somebody put a forged one there. Raises WrongPassword, DamagedObject, NoSuchVersion, Busy.
        """
        self._refuse_read_only("repair the salt object")
        client = self._client
        with self._writing():
            salt = self.config.remote_password_salt_file
            restored = restore_salt(client.store, salt, VersionId(version), client.keys.password)
            client.keys.forget()
            return restored

    def manifest_state(self) -> ManifestState:
        """Which versions of the manifest object are sound, and which lie there that somebody forged or damaged.

        Reads all of them. Raises like `list_versions` for what is no damage (password, rights), and StoreWentBack.
        """
        self._client.check_password()
        return manifest_state(self._client)

    def repair_head(self, version: str) -> HeadRepaired:
        """Let the chain go on from a sound version of the manifest object, named by its id or the beginning of it.

        The way back after somebody forged, garbled or deleted that object, or to an earlier commit. Nothing is deleted.
        Raises ModeError for a client that may not delete, NoSuchVersion, DamagedChain for a version that is not sound,
        TransactionLost where another client wrote meanwhile (nothing was changed then), Busy.
        """
        self._refuse_unless_deleting("repair the manifest object")
        with self._writing():
            self._client.check_password()
            return repair_head(self._client, version)
