"""How fast our stream is beside PyNaCl's, in one process, turn by turn.

    python -m bench.secretstream [TURNS]

A turn is a few chunks in a row, as in a stream, so that each finds the allocator as it leaves it itself. Prints
gigabytes (10⁹ bytes of plaintext) per second, fastest and median of the chunks, and the ratio of the medians.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping

import nacl.bindings as sodium
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from rrbackup.pure.secretstream import State, init_pull, init_push, pull, push, push_parts

CHUNK = 5 << 20
CHUNKS_IN_A_TURN = 8
KEY, HEADER, MESSAGE, ASSOCIATED = os.urandom(32), os.urandom(24), os.urandom(CHUNK), os.urandom(200)


def start() -> State:
    return init_push(KEY, HEADER)


def ours_in_parts() -> None:
    push_parts(start(), MESSAGE, ASSOCIATED)


def ours_joined() -> None:
    push(start(), MESSAGE, ASSOCIATED)


def one_shot() -> None:
    """The one-shot AEAD over tag, 63 zero bytes and message: the road not taken. CHUNK has a length that it fits."""
    state = start()
    padded = b"".join((bytes(BLOCK), MESSAGE))
    ciphertext = memoryview(ChaCha20Poly1305(state.key).encrypt(state.nonce, padded, ASSOCIATED))
    b"".join((ciphertext[:1], ciphertext[BLOCK:]))


def pynacl_push() -> None:
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    sodium.crypto_secretstream_xchacha20poly1305_init_push(state, KEY)
    sodium.crypto_secretstream_xchacha20poly1305_push(state, MESSAGE, ASSOCIATED)


BLOCK = 64
CIPHERTEXT = push(start(), MESSAGE, ASSOCIATED)[0]


def ours_pull() -> None:
    pull(init_pull(KEY, HEADER), CIPHERTEXT, ASSOCIATED)


def pynacl_pull() -> None:
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, HEADER, KEY)
    sodium.crypto_secretstream_xchacha20poly1305_pull(state, CIPHERTEXT, ASSOCIATED)


class Reused:
    """PyNaCl at its best: one state, whose buffer is warm, for all chunks of a long stream."""

    def __init__(self) -> None:
        self.state = sodium.crypto_secretstream_xchacha20poly1305_state()
        sodium.crypto_secretstream_xchacha20poly1305_init_push(self.state, KEY)

    def __call__(self) -> None:
        sodium.crypto_secretstream_xchacha20poly1305_push(self.state, MESSAGE, ASSOCIATED)


def seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def compare(title: str, works: Mapping[str, Callable[[], None]], turns: int) -> None:
    """The first of `works` is what the others are compared with."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(turns):
        for name, work in works.items():
            taken[name] += [seconds(work) for _ in range(CHUNKS_IN_A_TURN)]
    base = statistics.median(next(iter(taken.values())))
    print(f"{title}, {CHUNK} bytes a chunk, {turns} turns")
    for name, times in taken.items():
        median = statistics.median(times)
        fastest, usual = CHUNK / min(times) / 1e9, CHUNK / median / 1e9
        print(f"  {name:28} {fastest:5.2f} GB/s fastest  {usual:5.2f} GB/s median  {base / median:5.2f} x")


def main() -> None:
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    compare(
        "encrypt",
        {
            "PyNaCl": pynacl_push,
            "PyNaCl, one state": Reused(),
            "rrbackup": ours_in_parts,
            "rrbackup, joined": ours_joined,
            "one-shot AEAD": one_shot,
        },
        turns,
    )
    compare("decrypt", {"PyNaCl": pynacl_pull, "rrbackup": ours_pull}, turns)


if __name__ == "__main__":
    main()
