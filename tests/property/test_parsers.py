"""Every parser against bytes that are meant to break it: a value or an error of ours, in bounded memory.

The targets are those of the coverage-guided fuzzer (`tests/fuzz.py`); what is thrown at them here is the same in every
run. `test_hostile.py` gives all kinds of input to all parsers; here each gets what it takes for its own.
"""

import bz2
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from rrbackup.effects.keys import open_keyring
from rrbackup.effects.memory import MemoryStore
from rrbackup.errors import DamagedObject, RRBackupError
from rrbackup.pure import format1_object, format2, framing, local_format
from rrbackup.pure.compression import MAX_WINDOW_BYTES, decompress, decompressed
from rrbackup.pure.encryption import MAX_CHUNK_BYTES
from rrbackup.pure.format1_object import MAX_METADATA_BYTES
from rrbackup.pure.framing import FREE_RECORD_BYTES
from rrbackup.pure.header import MAX_HEADER_BYTES, Header, encode_frame
from rrbackup.pure.model import Word
from rrbackup.pure.salt_record import Kdf
from tests import fuzz
from tests.fuzz import DEEP, FILE, ODD, SALT, TARGETS, exchanged_at_random, exchanges, survives
from tests.property.test_hostile import at_most

ROOT = Path(__file__).parents[2]
KIBIBYTE, MEBIBYTE, GIBIBYTE, TEBIBYTE = 1 << 10, 1 << 20, 1 << 30, 1 << 40

targets = pytest.mark.parametrize("name", TARGETS)
half_as_often = settings(max_examples=settings.default.max_examples // 2 if settings.default else 50)
"""For what costs most with so many targets; in the long run that is 1,000 times each."""


@targets
def test_what_the_mutations_begin_with_is_valid(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].parse(seed)


def test_the_fuzzer_names_its_targets_without_atheris() -> None:
    with pytest.raises(SystemExit, match=r"frame, record, .*, old salt$"):
        fuzz.main(["no such target"])


# --- any bytes, and valid ones with damage ---------------------------------------------------------------------------


@targets
@given(data=st.binary(max_size=300))
def test_noise_is_a_value_or_an_error_of_ours(name: str, data: bytes) -> None:
    survives(TARGETS[name], data)


def bit_flipped(data: bytes, bit: int) -> bytes:
    at = bit // 8
    return data[:at] + bytes([data[at] ^ 1 << bit % 8]) + data[at + 1 :]


@targets
def test_every_truncation_and_every_flipped_bit_of_what_is_valid(name: str) -> None:
    for seed in TARGETS[name].seeds:
        short = seed[: 2 * KIBIBYTE]
        for length in range(len(short)):
            survives(TARGETS[name], short[:length])
        for bit in range(8 * len(short)):
            survives(TARGETS[name], bit_flipped(seed, bit))


@targets
@half_as_often
@given(data=st.data())
def test_ranges_of_what_is_valid_that_are_doubled_moved_or_filled(name: str, data: st.DataObject) -> None:
    bent = data.draw(st.sampled_from(TARGETS[name].seeds))
    for _ in range(data.draw(st.integers(1, 4))):
        start, end, to = sorted(data.draw(st.tuples(*[st.integers(0, len(bent))] * 3)))
        piece = data.draw(st.sampled_from([bent[start:end], bent[start:end] * 9, b"\xff" * (end - start), b""]))
        bent = bent[:end] + piece + bent[data.draw(st.sampled_from([end, to])) :]
    survives(TARGETS[name], bent)


# --- JSON with something exchanged -----------------------------------------------------------------------------------


@targets
def test_every_value_exchanged_for_something_odd_or_left_out(name: str) -> None:
    for seed in TARGETS[name].seeds:
        for bent in exchanges(seed, ODD):
            survives(TARGETS[name], bent)


@targets
@half_as_often
@given(random=st.randoms(use_true_random=False), count=st.integers(2, 6))
def test_several_values_exchanged_for_something_odd_or_for_each_other(name: str, random: Random, count: int) -> None:
    for bent in TARGETS[name].seeds:
        for _ in range(count):
            bent = exchanged_at_random(bent, random, ODD) or bent
        survives(TARGETS[name], bent)


@targets
def test_every_value_exchanged_for_deep_nesting(name: str) -> None:
    for seed in TARGETS[name].seeds:
        for bent in exchanges(seed, DEEP):
            survives(TARGETS[name], bent)


WRITERS: dict[str, Callable[[Any], object]] = {
    "diff": format2.encode_diff,
    "claim": format2.encode_claim,
    "garbage": format2.encode_garbage,
    "local": lambda manifest: b"".join(local_format.encode_local(manifest)),
    "plan": format2.encode_plan,
}
HUGE = (b"1e300", b'"%s"' % (b"9" * 400))


@pytest.mark.parametrize("name", WRITERS)
def test_what_was_read_can_be_written_again(name: str) -> None:
    (seed,) = TARGETS[name].seeds
    for bent in exchanges(seed, ODD + HUGE):
        with suppress(RRBackupError):
            WRITERS[name](TARGETS[name].parse(bent))


# --- what is claimed -------------------------------------------------------------------------------------------------

FRAMED = ("frame", "encrypted record", "object", "salt")


@pytest.mark.parametrize("name", FRAMED)
@pytest.mark.parametrize("claim", [MAX_HEADER_BYTES, MAX_HEADER_BYTES + 1, 1 << 31, 2**32 - 1])
def test_a_header_of_up_to_4_gb_is_not_allocated(name: str, claim: int) -> None:
    data = claim.to_bytes(4, "big") + b'{"V":"2","kind":"diff","pipeline":[]}'
    with at_most(MEBIBYTE), pytest.raises(DamagedObject):
        TARGETS[name].parse(data)


@pytest.mark.parametrize("claim", [b"4294967296", b"1099511627776", b"9223372036854775807", b"18446744073709551615"])
def test_chunks_beyond_the_bound_are_not_allocated(claim: bytes) -> None:
    data = FILE.replace(b'"chunk_size":65536', b'"chunk_size":' + claim)
    with at_most(MEBIBYTE), pytest.raises(DamagedObject, match="chunk size out of bounds"):
        TARGETS["sealed object"].parse(data)


def test_chunks_of_the_largest_size_take_no_more_than_one_of_them() -> None:
    data = FILE.replace(b'"chunk_size":65536', b'"chunk_size":%d' % MAX_CHUNK_BYTES)
    with at_most(MAX_CHUNK_BYTES + MEBIBYTE):
        TARGETS["sealed object"].parse(data)


@pytest.mark.parametrize(
    ("field", "claims"),
    [("opslimit", [1 << 31, 1 << 40, 2**63 - 1]), ("memlimit", [1 << 33, TEBIBYTE, 2**63 - 1])],
)
def test_a_key_is_not_derived_with_what_nobody_writes(field: str, claims: list[int]) -> None:
    for claim in claims:
        header, _, payload = SALT.partition(b"\n")
        fields = orjson.loads(header)
        fields["kdf"][field] = claim
        store = MemoryStore()
        store.put("salt_file", fuzz.salt_object(orjson.dumps(fields) + b"\n" + payload))
        with at_most(MEBIBYTE), pytest.raises(DamagedObject, match="key derivation that is never written"):
            open_keyring(store, "salt_file", "password", derive=not_derived)


def test_the_bounds_are_what_keeps_a_key_from_being_derived() -> None:
    store = MemoryStore()
    store.put("salt_file", fuzz.salt_object(SALT))
    with pytest.raises(pytest.fail.Exception, match="derived"):
        open_keyring(store, "salt_file", "password", derive=not_derived)


def not_derived(password: str, kdf: Kdf) -> bytes:
    pytest.fail("derived")


# --- what unfolds ----------------------------------------------------------------------------------------------------

BLOCK = 128 * KIBIBYTE
"""The most that one block of a zstd frame may hold. As the same byte over and over it takes four bytes."""


def zeros(blocks: int, announced: int | None = None) -> bytes:
    """A zstd frame of so many blocks, written by hand; `announced` is the content size in its header."""
    window = 7 << 3
    front = bytes([0, window]) if announced is None else bytes([0xC0, window]) + announced.to_bytes(8, "little")
    block, last = ((BLOCK << 3 | 1 << 1 | final).to_bytes(3, "little") + b"\0" for final in (0, 1))
    return b"\x28\xb5\x2f\xfd" + front + block * (blocks - 1) + last


SKIPPED = bytes.fromhex("50 2a 4d 18 ff ff ff ff")
"""A frame of 4 GB that a reader is to pass over."""

BOMBS = {
    "the size is announced": zeros(8192, GIBIBYTE),
    "no size is announced": zeros(8192),
    "a small size is announced": zeros(8192, 1000),
    "a huge size is announced": zeros(8192, 1 << 62),
    "two frames": zeros(4096, 4096 * BLOCK) * 2,
    "many frames": zeros(8, MEBIBYTE) * 1024,
    "a frame to pass over": SKIPPED + zeros(8192, GIBIBYTE),
}
LIMIT = 4 * MEBIBYTE


def bomb_in_a_record(frame: bytes) -> bytes:
    return encode_frame(Header("diff", (Word.COMPRESS,)), frame)


def test_frames_written_by_hand_are_what_zstd_takes_them_for() -> None:
    for frame in (zeros(3, 3 * BLOCK), zeros(1, BLOCK)):
        assert not any(zstandard.ZstdDecompressor().decompress(frame))
        assert decompress(frame, LIMIT, "x") == bytes(zstandard.frame_content_size(frame))


@pytest.mark.parametrize("frame", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("encrypted", [False, True])
def test_a_gigabyte_of_zeros_in_a_diff_is_unfolded_up_to_the_limit_only(
    frame: bytes, encrypted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(framing, "MAX_RECORD_BYTES", LIMIT)
    assert len(frame) < 50 * KIBIBYTE
    data = (
        bomb_in_a_record(frame)
        if not encrypted
        else fuzz.sealed_lines(fuzz.SEALED_SQUEEZED.split(b"\n")[0] + b"\n" + frame, fuzz.KEYRING.metadata)
    )
    with at_most(3 * LIMIT), pytest.raises(DamagedObject):
        format2.decode_diff(data, "x", fuzz.FRAMING)


@pytest.mark.parametrize("announced", [None, 512 * BLOCK, 1 << 62])
def test_zeros_in_a_file_pass_by_in_pieces(announced: int | None) -> None:
    with at_most(8 * MEBIBYTE), suppress(DamagedObject):
        assert sum(map(len, decompressed([zeros(512, announced)], 1 << 62, "x"))) == 512 * BLOCK


@pytest.mark.parametrize("exponent", range(18, 42))
def test_a_window_beyond_the_bound_is_refused(exponent: int) -> None:
    """The content is longer than what is read at once: a shorter one needs no window."""
    frame = bytearray(zeros(16, 16 * BLOCK))
    frame[5] = exponent - 10 << 3
    if 1 << exponent <= MAX_WINDOW_BYTES:
        assert len(decompress(bytes(frame), LIMIT, "x")) == 16 * BLOCK
    else:
        with pytest.raises(DamagedObject, match="not a zstd frame"):
            decompress(bytes(frame), LIMIT, "x")


# --- the same with the bounds as they are, in a process of its own ---------------------------------------------------


def zstd_bomb() -> None:
    """A gigabyte in 32 KB."""
    with pytest.raises(DamagedObject, match="more than"):
        format2.decode_diff(bomb_in_a_record(BOMBS["the size is announced"]), "x")


def bz2_bomb() -> None:
    machine = bz2.BZ2Compressor()
    pieces = [machine.compress(bytes(16 * MEBIBYTE)) for _ in range(2 * MAX_METADATA_BYTES // (16 * MEBIBYTE))]
    data = fuzz.framed(b'{"V":"1","C":{"A":"bz2"}}', b"".join(pieces) + machine.flush())
    assert len(data) < KIBIBYTE
    with pytest.raises(DamagedObject, match="once decompressed"):
        format1_object.read_metadata(data, fuzz.unlock, "x")


def peak_of(function: Callable[[], None]) -> int:
    """The bytes that a fresh process holds at most while it runs a function of this module."""
    code = f"from tests.property import test_parsers; test_parsers.{function.__name__}(); test_parsers.say_peak()"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    return int(ran.stdout) * KIBIBYTE


def say_peak() -> None:
    """`ru_maxrss` would count what the process had before it became this one."""
    status = Path("/proc/self/status").read_text()
    sys.stdout.write(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1])


@pytest.mark.parametrize(
    ("bomb", "bound"),
    [(zstd_bomb, FREE_RECORD_BYTES), pytest.param(bz2_bomb, MAX_METADATA_BYTES, marks=pytest.mark.deep)],
)
def test_a_bomb_takes_no_more_than_twice_the_bound(bomb: Callable[[], None], bound: int) -> None:
    """Twice, because pieces are put together. What the smaller bomb claims, held like this, would be four times."""
    assert peak_of(bomb) < 2 * bound + 200 * MEBIBYTE
