"""XChaCha20-Poly1305 and HChaCha20 (draft-irtf-cfrg-xchacha), from the ChaCha20 of `cryptography`.

A 24-byte nonce may be drawn at random without fear of a repetition: HChaCha20 turns its first 16 bytes and the key
into a key of its own, under which its last 8 bytes are the nonce. What is given here opens with libsodium too.

`cryptography` is imported where it is needed: loading it takes a thirtieth of a run that finds nothing changed, and not
every repository is encrypted.
"""

import struct
from typing import TYPE_CHECKING, Final

from rrbackup.errors import DamagedObject

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import CipherContext
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 24
MAC_BYTES: Final = 16
BLOCK_BYTES: Final = 64
HCHACHA_BYTES: Final = 16
"""Of the nonce, what HChaCha20 takes."""

_WORDS = struct.Struct("<4I")
_CONSTANTS = _WORDS.unpack(b"expand 32-byte k")


def chacha20(key: bytes, nonce: bytes) -> "CipherContext":
    """The IETF key stream under a 12-byte nonce, from block 0."""
    return _stream(key, bytes(4) + nonce)


def _stream(key: bytes, initial: bytes) -> "CipherContext":
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

    return Cipher(ChaCha20(key, initial), mode=None).encryptor()


def hchacha20(key: bytes, nonce: bytes) -> bytes:
    """A 32-byte key from a 32-byte key and a 16-byte nonce.

    HChaCha20 is ChaCha20 without the addition of the initial state at the end, so that is taken off again.
    """
    block = _stream(key, nonce).update(bytes(BLOCK_BYTES))
    return _less(block[:16], _CONSTANTS) + _less(block[48:], _WORDS.unpack(nonce))


def _less(words: bytes, initial: tuple[int, ...]) -> bytes:
    pairs = zip(_WORDS.unpack(words), initial, strict=True)
    return _WORDS.pack(*((word - start) & 0xFFFFFFFF for word, start in pairs))


def encrypt(key: bytes, nonce: bytes, message: bytes, associated: bytes) -> bytes:
    """The ciphertext and its 16-byte authenticator. Never use a 24-byte nonce twice under one key."""
    return _aead(key, nonce).encrypt(bytes(4) + nonce[HCHACHA_BYTES:], message, associated)


def decrypt(key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
    """Raises DamagedObject where key, nonce, ciphertext or associated data are not those of `encrypt`."""
    from cryptography.exceptions import InvalidTag

    try:
        return _aead(key, nonce).decrypt(bytes(4) + nonce[HCHACHA_BYTES:], ciphertext, associated)
    except InvalidTag:
        raise DamagedObject("an encrypted value does not verify") from None


def _aead(key: bytes, nonce: bytes) -> "ChaCha20Poly1305":
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(hchacha20(key, nonce[:HCHACHA_BYTES]))


def seal(key: bytes, nonce: bytes, message: bytes, associated: bytes) -> bytes:
    """The nonce, and what `encrypt` gives."""
    return nonce + encrypt(key, nonce, message, associated)


def unseal(key: bytes, sealed: bytes, associated: bytes) -> bytes:
    """The message in what `seal` gave. Raises DamagedObject, also for bytes too few to be that."""
    if len(sealed) < NONCE_BYTES + MAC_BYTES:
        raise DamagedObject(f"an encrypted value of {len(sealed)} bytes is cut off")
    return decrypt(key, sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], associated)
