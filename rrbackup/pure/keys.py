"""The keys of a repository, and what is done with them beside file contents: hashed names and sealed labels.

The rule decided here: one master key, drawn at random once, and one subkey of it for each use (HKDF-SHA256), so that no
key ever serves two uses. How a password guards the master key is decided in `salt_record`.
"""

import binascii
import hmac
from collections.abc import Mapping
from typing import Final

from attrs import Factory, field, frozen

from rrbackup.errors import DamagedObject
from rrbackup.pure import xchacha
from rrbackup.pure.header import decode_fields, encode_fields
from rrbackup.pure.labels import MAX_METADATA_BYTES
from rrbackup.pure.model import PathText, RepositoryId

KEY_BYTES: Final = 32
NONCE_BYTES: Final = xchacha.NONCE_BYTES

SEALED_LABEL: Final = "rrbackup-sealed"
"""The one name in the user metadata of an object whose labels are sealed."""


def subkey(key: bytes, use: str) -> bytes:
    """The 32-byte key for one use: HKDF-SHA256 without salt, with `rrbackup 2 ` and the use as info."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"rrbackup 2 " + use.encode()).derive(key)


def _subkey_for(use: str) -> bytes:
    derived = Factory(lambda keyring: subkey(keyring.master, use), takes_self=True)
    made: bytes = field(init=False, repr=False, eq=False, default=derived)
    return made


@frozen
class Keyring:
    """The master key and its subkeys; none of them is ever shown.

    `streams` encrypts file contents, `metadata` diffs, claims and lists, `names` hashes paths, and `labels` seals
    the user metadata of objects. `format1` is the key of what rrbackup 1.0 encrypted, where there is any.
    """

    repository: RepositoryId
    master: bytes = field(repr=False)
    format1: bytes | None = field(default=None, repr=False)
    streams: bytes = _subkey_for("streams")
    metadata: bytes = _subkey_for("metadata")
    names: bytes = _subkey_for("names")
    labels: bytes = _subkey_for("labels")


def hashed_name(names_key: bytes, path: PathText) -> str:
    """The hexadecimal HMAC-SHA-256 of a path, to stand behind `files/%h/`."""
    return hmac.digest(names_key, path.encode(), "sha256").hex()


# --- sealed labels -----------------------------------------------------------------------------------------------


def seal_labels(labels: Mapping[str, str], labels_key: bytes, object_key: str, nonce: bytes) -> dict[str, str]:
    """User metadata that says nothing without the key, and opens only at `object_key` (relative to the prefix).

    Empty where it would not fit into `MAX_METADATA_BYTES`. `nonce` has `NONCE_BYTES`, drawn afresh each time.
    """
    sealed = xchacha.seal(labels_key, nonce, encode_fields(labels), object_key.encode())
    text = base64_text(sealed)
    return {SEALED_LABEL: text} if len(SEALED_LABEL) + len(text) <= MAX_METADATA_BYTES else {}


def open_labels(metadata: Mapping[str, str], labels_key: bytes, object_key: str) -> dict[str, str]:
    """The labels that were sealed into the user metadata of an object; none where there are none.

    Raises DamagedObject where they were not sealed for this object under this key.
    """
    if SEALED_LABEL not in metadata:
        return {}
    name = f"the user metadata of {object_key}"
    sealed = base64_bytes(metadata[SEALED_LABEL], name)
    try:
        text = xchacha.unseal(labels_key, sealed, object_key.encode())
    except DamagedObject:
        raise DamagedObject(f"{name} is damaged, or of another object") from None
    return {label: value for label, value in decode_fields(text, name).items() if isinstance(value, str)}


# --- base64 ------------------------------------------------------------------------------------------------------


def base64_text(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def base64_bytes(text: object, name: str) -> bytes:
    """What `base64_text` made `text` of. Raises DamagedObject, naming `name`."""
    if not isinstance(text, str):
        raise _not_base64(name)
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError:
        raise _not_base64(name) from None


def _not_base64(name: str) -> DamagedObject:
    return DamagedObject(f"{name} is not base64")
