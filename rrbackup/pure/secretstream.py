"""libsodium's crypto_secretstream_xchacha20poly1305, byte for byte, over the primitives of `cryptography`.

A stream is a 24-byte header, drawn at random, and messages that each carry a tag and open only in their order. A
state is a value: `push` and `pull` give the next one. Both go through the raw ChaCha20 and Poly1305 primitives, without
putting messages together first: at megabytes a message a copy costs as much as the authenticator, so the one-shot AEAD,
which fits some lengths, is slower on the whole (bench/secretstream.py).
"""

from typing import TYPE_CHECKING, Final, NamedTuple

from attrs import field, frozen

from rrbackup.errors import DamagedObject
from rrbackup.pure.xchacha import BLOCK_BYTES, HCHACHA_BYTES, KEY_BYTES, MAC_BYTES, chacha20, hchacha20

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import CipherContext
    from cryptography.hazmat.primitives.poly1305 import Poly1305

HEADER_BYTES: Final = 24
OVERHEAD_BYTES: Final = 1 + MAC_BYTES
"""By how much a ciphertext is longer than its message."""

TAG_MESSAGE: Final = 0
TAG_PUSH: Final = 1
TAG_REKEY: Final = 2
TAG_FINAL: Final = TAG_PUSH | TAG_REKEY

Data = bytes | bytearray | memoryview

_COUNTER_BYTES: Final = 4
_CHAIN_BYTES: Final = 8
_FIRST_COUNT: Final = 1


@frozen
class State:
    """Where a stream stands: its key, a message counter of 32 bits, and 8 bytes that chain the authenticators."""

    key: bytes = field(repr=False)
    chain: bytes = field(repr=False)
    count: int = _FIRST_COUNT

    @property
    def nonce(self) -> bytes:
        return self.count.to_bytes(_COUNTER_BYTES, "little") + self.chain


class Pushed(NamedTuple):
    """A ciphertext in the parts it was made in (their concatenation is the message's ciphertext), and what follows."""

    parts: tuple[bytes, bytes, bytes]
    state: State


def init_push(key: bytes, header: bytes) -> State:
    """The start of a stream under a 32-byte key. Never use a 24-byte header twice under one key."""
    if len(key) != KEY_BYTES or len(header) != HEADER_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes and a stream header {HEADER_BYTES}")
    return State(hchacha20(key, header[:HCHACHA_BYTES]), header[HCHACHA_BYTES:])


init_pull = init_push
"""Reading starts where writing did."""


def push(state: State, message: Data, associated: bytes = b"", tag: int = TAG_MESSAGE) -> tuple[bytes, State]:
    """The ciphertext of one message, `OVERHEAD_BYTES` longer than it, and the state behind it."""
    pushed = push_parts(state, message, associated, tag)
    return b"".join(pushed.parts), pushed.state


def push_parts(state: State, message: Data, associated: bytes = b"", tag: int = TAG_MESSAGE) -> Pushed:
    """As `push`, without the copy that joins the parts."""
    stream = chacha20(state.key, state.nonce)
    poly = _poly1305(stream)
    block = stream.update(bytes((tag,)) + bytes(BLOCK_BYTES - 1))
    body = stream.update(message)
    _authenticate(poly, associated, block, body)
    mac = poly.finalize()
    return Pushed((block[:1], body, mac), _after(state, mac, tag))


def pull(state: State, ciphertext: Data, associated: bytes = b"") -> tuple[bytes, int, State]:
    """The message, its tag, and the state behind it. Nothing is decrypted that did not verify.

    Raises DamagedObject where the ciphertext is not the next one of this stream.
    """
    if len(ciphertext) < OVERHEAD_BYTES:
        raise DamagedObject(f"an encrypted message of {len(ciphertext)} bytes is cut off")
    view = memoryview(ciphertext)
    body, mac = view[1:-MAC_BYTES], bytes(view[-MAC_BYTES:])
    stream = chacha20(state.key, state.nonce)
    poly = _poly1305(stream)
    pad = stream.update(bytes(BLOCK_BYTES))
    _authenticate(poly, associated, bytes(view[:1]) + pad[1:], body)
    _verify(poly, mac)
    tag = view[0] ^ pad[0]
    return stream.update(body), tag, _after(state, mac, tag)


def _poly1305(stream: "CipherContext") -> "Poly1305":
    """Under the one-time key that a stream begins with."""
    from cryptography.hazmat.primitives.poly1305 import Poly1305

    return Poly1305(stream.update(bytes(BLOCK_BYTES))[:KEY_BYTES])


def _authenticate(poly: "Poly1305", associated: bytes, block: bytes, body: Data) -> None:
    poly.update(associated + bytes(-len(associated) % 16) + block)
    poly.update(body)
    # libsodium pads the message by its length mod 16, where the IETF construction fills it up to 16
    poly.update(bytes(len(body) % 16) + _length(len(associated)) + _length(BLOCK_BYTES + len(body)))


def _length(count: int) -> bytes:
    return count.to_bytes(8, "little")


def _verify(poly: "Poly1305", mac: bytes) -> None:
    from cryptography.exceptions import InvalidSignature

    try:
        poly.verify(mac)
    except InvalidSignature:
        raise DamagedObject("an encrypted message does not verify") from None


def _after(state: State, mac: bytes, tag: int) -> State:
    chain = bytes(old ^ new for old, new in zip(state.chain, mac[:_CHAIN_BYTES], strict=True))
    count = (state.count + 1) % (1 << 8 * _COUNTER_BYTES)
    following = State(state.key, chain, count)
    return rekey(following) if tag & TAG_REKEY or count == 0 else following


def rekey(state: State) -> State:
    """The state under a new key, from which the old one cannot be computed. Both sides have to agree on it."""
    fresh = chacha20(state.key, state.nonce).update(state.key + state.chain)
    return State(fresh[:KEY_BYTES], fresh[KEY_BYTES:])
