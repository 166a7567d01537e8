"""Records of 100,000 entries to bytes and back."""

from pytest_benchmark.fixture import BenchmarkFixture

from bench.micro import samples
from rrbackup.pure.format2 import decode_diff, encode_diff
from rrbackup.pure.local_format import decode_local, encode_local


def local_manifest() -> bytes:
    return b"".join(encode_local(samples.manifest()))


def test_encoding_a_local_manifest(benchmark: BenchmarkFixture) -> None:
    samples.manifest()
    assert benchmark(local_manifest)


def test_decoding_a_local_manifest(benchmark: BenchmarkFixture) -> None:
    data = local_manifest()
    found = benchmark(lambda: tuple(decode_local(data, "sample").entries))
    assert found == samples.manifest().entries


def test_encoding_a_diff(benchmark: BenchmarkFixture) -> None:
    assert benchmark(encode_diff, samples.diff())


def test_decoding_a_diff(benchmark: BenchmarkFixture) -> None:
    data = encode_diff(samples.diff())
    assert benchmark(decode_diff, data, "sample") == samples.diff()
