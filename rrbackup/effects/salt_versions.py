"""The versions of the salt object: which of them a password opens, and going back to one.

Whoever may write to the store can put a forged salt object on top: that gives nothing away, but nothing opens any more.
"""

from collections.abc import Callable

from attrs import frozen

from rrbackup.effects.keys import Derive, current_salt, derive, described, open_salt, put_salt
from rrbackup.effects.store import IfAbsent, IfMatch, Store, list_exact
from rrbackup.errors import NoSuchVersion, ObjectMissing, RRBackupError, TransactionLost
from rrbackup.pure.model import VersionId


@frozen
class SaltVersion:
    """A version of the salt object. `current`: it is the one that counts. `opens`: the password at hand opens it."""

    version_id: VersionId
    current: bool
    opens: bool


def salt_versions(store: Store, name: str, password: str, *, derive: Derive = derive) -> tuple[SaltVersion, ...]:
    """All versions of the salt object, newest first. Each costs a derivation of the key."""
    current = current_salt(store, name)
    listed = [version.version_id for version in list_exact(store, name) if not version.marker]
    return tuple(
        SaltVersion(
            version_id,
            current is not None and current.info.version_id == version_id,
            _opens(store.get(name, version_id).body, password, derive),
        )
        for version_id in listed
    )


def _opens(body: bytes, password: str, derive: Derive) -> bool:
    try:
        open_salt(body, "", password, derive)
    except RRBackupError:  # also where memory does not suffice for what a forged one asks for
        return False
    return True


def restore_salt(
    store: Store, name: str, version_id: VersionId, password: Callable[[], str], *, derive: Derive = derive
) -> VersionId:
    """Put an earlier version of the salt object on top again; the new version id.

    Nobody is asked for the password of a version that is not there. Raises like `open_keyring` where the password does
    not open that version, NoSuchVersion where it does not exist: nothing is written then. TransactionLost where another
    client changed the object meanwhile.
    """
    try:
        body = store.get(name, version_id).body
    except ObjectMissing:
        raise NoSuchVersion(
            f"{described(store, name)} has no version {version_id}", hint="repair lists the versions there are"
        ) from None
    open_salt(body, f"{described(store, name)} version {version_id}", password(), derive)
    current = current_salt(store, name)
    lying = put_salt(store, name, body, IfAbsent() if current is None else IfMatch(current.info.etag))
    if lying.body != body:
        raise TransactionLost(f"another client changed {described(store, name)} at the same time")
    return lying.version_id
