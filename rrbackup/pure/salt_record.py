"""The salt object: how the password opens the repository (docs/format.md, "Keys").

    u32be length | {"V":"2","kind":"keys","pipeline":[],"repository":…,"kdf":{…}} | {"check":…,"master":…,"sha256":…}

Password and `kdf` give a key-encryption key (KEK); subkeys of it wrap the master key. The rule decided here: what is
wrong with a record that does not open. `sha256` tells accidental damage, `check` a wrong password, and what is left
is forgery. The header's bytes are associated data of the wrapped keys, so parameters and repository id cannot be
exchanged, and bounds keep a forged record from asking for all memory.
"""

import hashlib
import hmac
import re
from typing import Final

from attrs import field, frozen

from rrbackup.errors import DamagedObject, UnsupportedFormat, UsageError, WrongPassword
from rrbackup.pure import xchacha
from rrbackup.pure.header import (
    LENGTH_BYTES,
    Header,
    decode_fields,
    encode_fields,
    encode_header,
    header_fields,
    split_frame,
)
from rrbackup.pure.keys import KEY_BYTES, Keyring, base64_bytes, base64_text, subkey
from rrbackup.pure.model import RepositoryId
from rrbackup.pure.showing import brief

KIND: Final = "keys"
ALGORITHM: Final = "argon2i13"
"""Argon2i, version 1.3, one lane: libsodium's name for it."""

SALT_BYTES: Final = 16
MAX_PASSES: Final = 64
MAX_MEMORY_BYTES: Final = 1 << 30
"""Twice libsodium's limits for the most sensitive, or more: a forged record costs no more than a minute."""

MAX_RECORD_BYTES: Final = 1 << 17
"""A record has about 500 bytes."""

GO_BACK: Final = "an older version may be sound: repair lists them, and repair --salt ID goes back to one"
_CHECKED: Final = b"rrbackup 2 password check"
_old_salt = re.compile(rb"[0-9a-fA-F]{32}\s*").fullmatch


@frozen
class Cost:
    """What one guess of the password costs. `memory` is in bytes."""

    passes: int
    memory: int


INTERACTIVE: Final = Cost(4, 32 << 20)
"""libsodium's limits of that name for Argon2i: nothing below them is ever written."""
MODERATE: Final = Cost(6, 128 << 20)


@frozen
class Kdf:
    """How the password becomes the KEK. The salt is no secret."""

    cost: Cost
    salt: bytes


@frozen
class SaltRecord:
    """A salt object as read, within bounds, not opened yet. `text` is its JSON header."""

    text: bytes = field(repr=False)
    repository: RepositoryId
    kdf: Kdf
    check: bytes = field(repr=False)
    master: bytes = field(repr=False)
    format1: bytes | None = field(repr=False)


def check_cost(cost: Cost) -> None:
    """Raises UsageError for a cost that is too low to be safe, or higher than is ever read again."""
    if not _within_bounds(cost):
        raise UsageError(
            f"key derivation with {cost.passes} passes over {cost.memory} bytes is out of bounds",
            hint=f"between {INTERACTIVE.passes} and {MAX_PASSES} passes, over {INTERACTIVE.memory} to "
            f"{MAX_MEMORY_BYTES} bytes",
        )


def _within_bounds(cost: Cost) -> bool:
    return INTERACTIVE.passes <= cost.passes <= MAX_PASSES and INTERACTIVE.memory <= cost.memory <= MAX_MEMORY_BYTES


# --- writing -----------------------------------------------------------------------------------------------------


def seal_record(keyring: Keyring, kdf: Kdf, kek: bytes, nonces: tuple[bytes, bytes]) -> bytes:
    """The salt object. `kek` is what `kdf` makes of the password; the nonces are drawn afresh.

    Raises UsageError for a cost out of bounds.
    """
    check_cost(kdf.cost)
    front = encode_header(Header(KIND), {"repository": keyring.repository, "kdf": _kdf_fields(kdf)})
    text = front[LENGTH_BYTES:]
    check, master = _check(kek), _wrap(kek, "master", keyring.master, text, nonces[0])
    format1 = None if keyring.format1 is None else _wrap(kek, "format 1", keyring.format1, text, nonces[1])
    fields = {"check": base64_text(check), "master": base64_text(master)}
    if format1 is not None:
        fields["format1"] = base64_text(format1)
    return front + encode_fields({**fields, "sha256": _digest(text, check, master, format1)})


def _kdf_fields(kdf: Kdf) -> dict[str, object]:
    return {
        "algorithm": ALGORITHM,
        "opslimit": kdf.cost.passes,
        "memlimit": kdf.cost.memory,
        "salt": base64_text(kdf.salt),
    }


def _check(kek: bytes) -> bytes:
    return hmac.digest(subkey(kek, "check"), _CHECKED, "sha256")


def _wrap(kek: bytes, which: str, key: bytes, text: bytes, nonce: bytes) -> bytes:
    return xchacha.seal(subkey(kek, f"wrap {which}"), nonce, key, text)


def _digest(text: bytes, check: bytes, master: bytes, format1: bytes | None) -> str:
    return hashlib.sha256(text + check + master + (format1 or b"")).hexdigest()


def is_old_salt(data: bytes) -> bool:
    """Whether it is what rrbackup 1.0 wrote: a bare salt, with no key in it."""
    return _old_salt(data) is not None


# --- reading -----------------------------------------------------------------------------------------------------


def read_record(data: bytes, name: str) -> SaltRecord:
    """Raises DamagedObject or UnsupportedFormat, naming `name`: also for parameters beyond what is ever computed."""
    if is_old_salt(data):
        raise UnsupportedFormat(
            f"{name} is the salt of rrbackup 1.0, which wraps no key", hint="continue this repository with --upgrade"
        )
    if len(data) > MAX_RECORD_BYTES:
        raise _damaged(f"{name} has {len(data)} bytes, too many for what it should be")
    text, payload = split_frame(data, name)
    header, fields = header_fields(text, KIND, name), decode_fields(payload, name)
    repository = header.get("repository")
    if not isinstance(repository, str):
        raise DamagedObject(f"the header of {name} has no repository")
    record = SaltRecord(
        text,
        RepositoryId(repository),
        _read_kdf(header.get("kdf"), name),
        base64_bytes(fields.get("check"), f"check in {name}"),
        base64_bytes(fields.get("master"), f"master in {name}"),
        base64_bytes(fields["format1"], f"format1 in {name}") if "format1" in fields else None,
    )
    if fields.get("sha256") != _digest(text, record.check, record.master, record.format1):
        raise _damaged(f"{name} is damaged: its bytes are not those that were written")
    return record


def open_record(record: SaltRecord, kek: bytes, name: str) -> Keyring:
    """The keys, where `kek` comes from the right password.

    Raises WrongPassword, or DamagedObject for a record that was put together by somebody without the password.
    """
    if not hmac.compare_digest(record.check, _check(kek)):
        raise WrongPassword(
            f"wrong password for {name}", hint=f"if it is the right one, somebody replaced the object: {GO_BACK}"
        )
    master = _unwrap(kek, "master", record.master, record.text, name)
    format1 = None if record.format1 is None else _unwrap(kek, "format 1", record.format1, record.text, name)
    return Keyring(record.repository, master, format1)


def _unwrap(kek: bytes, which: str, wrapped: bytes, text: bytes, name: str) -> bytes:
    try:
        key = xchacha.unseal(subkey(kek, f"wrap {which}"), wrapped, text)
    except DamagedObject:
        key = b""
    if len(key) != KEY_BYTES:
        raise _damaged(f"{name} was changed: the password is right, but the {which} key does not open")
    return key


def _read_kdf(value: object, name: str) -> Kdf:
    if not isinstance(value, dict):
        raise DamagedObject(f"the header of {name} has no kdf")
    if value.get("algorithm") != ALGORITHM:
        raise UnsupportedFormat(
            f"{name} derives its key with {brief(value.get('algorithm'))}", hint="use a newer version of rrbackup"
        )
    cost = Cost(_number(value, "opslimit", name), _number(value, "memlimit", name))
    salt = base64_bytes(value.get("salt"), f"the salt in {name}")
    if len(salt) != SALT_BYTES or not _within_bounds(cost):
        raise _damaged(f"{name} asks for a key derivation that is never written: {cost}, a salt of {len(salt)} bytes")
    return Kdf(cost, salt)


def _number(fields: dict[str, object], field_name: str, name: str) -> int:
    value = fields.get(field_name)
    if type(value) is not int:
        raise DamagedObject(f"the header of {name} has no {field_name}")
    return value


def _damaged(message: str) -> DamagedObject:
    return DamagedObject(message, hint=GO_BACK)
