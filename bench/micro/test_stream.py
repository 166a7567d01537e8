"""Content through the cipher, in the chunks that files are stored in."""

from random import Random

from pytest_benchmark.fixture import BenchmarkFixture

from bench.micro.samples import REPOSITORY
from rrbackup.pure.encryption import NONCE_BYTES, CipherHeader, Place, decrypt_stream, encrypt_stream
from rrbackup.pure.model import Word

MIB = 1 << 20
CONTENT = Random(1).randbytes(MIB)
PIECES = [CONTENT] * 64
KEY, NONCE = bytes(32), bytes(NONCE_BYTES)
PLACE = Place(REPOSITORY, "files/sample")


def encrypted() -> list[bytes]:
    return list(encrypt_stream(PIECES, KEY, CipherHeader("file", (Word.ENCRYPT,), PLACE), NONCE))


def test_encrypting_64_mib(benchmark: BenchmarkFixture) -> None:
    assert sum(map(len, benchmark(encrypted))) > 64 * MIB


def test_decrypting_64_mib(benchmark: BenchmarkFixture) -> None:
    stored = b"".join(encrypted())
    pieces = [stored[start : start + MIB] for start in range(0, len(stored), MIB)]
    content = benchmark(lambda: sum(map(len, decrypt_stream(pieces, KEY, "file", PLACE, "sample"))))
    assert content == 64 * MIB
