"""The word `compress`: round trips, what does not shrink, and frames that lie."""

from contextlib import suppress

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.errors import DamagedObject
from rrbackup.pure.compression import WrongSize, compress, compressed, decompress, decompressed, shrinks


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_streams_and_bytes_are_frames_of_the_same_content(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    streamed = b"".join(compressed(chunks, len(whole)))
    for frame in (streamed, compress(whole)):
        assert zstandard.ZstdDecompressor().decompress(frame) == whole, "the library alone opens it"
        assert zstandard.get_frame_parameters(frame).content_size == len(whole)
        assert decompress(frame, len(whole), "x") == whole


@given(st.binary(max_size=2000), st.integers(1, 50))
def test_decompressing_does_not_depend_on_how_the_bytes_arrive(content: bytes, step: int) -> None:
    frame = compress(content)
    pieces = [frame[start : start + step] for start in range(0, len(frame), step)]
    assert b"".join(decompressed(pieces, len(content), "x")) == content


@pytest.mark.parametrize("announced", [9, 11])
def test_a_content_of_another_size_than_announced_is_noticed(announced: int) -> None:
    with pytest.raises(WrongSize, match="announced"):
        list(compressed([b"0123456789"], announced))


def test_what_shrinks() -> None:
    assert shrinks(b"a" * 1000)
    assert not shrinks(bytes(range(256)))
    assert not shrinks(b"")


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = b"".join(compressed((b"\0" * (1 << 20) for _ in range(200)), 200 << 20))
    assert len(bomb) < 50_000
    with pytest.raises(DamagedObject, match="more than the 1000 bytes"):
        decompress(bomb, 1000, "the diff")


def test_a_frame_that_asks_for_a_huge_window_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=30, write_content_size=False)
    frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = frame.compress(b"x" * 100) + frame.flush()
    with pytest.raises(DamagedObject, match="the object"):
        decompress(data, 100, "the object")


@given(st.binary(min_size=1, max_size=500), st.data())
def test_damage_is_an_error_of_ours_or_harmless_in_length(content: bytes, data: st.DataObject) -> None:
    frame = compress(content)
    cut = data.draw(st.integers(0, len(frame) - 1))
    flipped = frame[:cut] + bytes([frame[cut] ^ 0x40]) + frame[cut + 1 :]
    with suppress(DamagedObject):
        assert len(decompress(flipped, len(content), "x")) <= len(content)
    with pytest.raises(DamagedObject):
        decompress(frame[:cut], len(content), "x")


@given(st.binary(max_size=100))
def test_noise_is_an_error_of_ours(noise: bytes) -> None:
    with suppress(DamagedObject):
        assert len(decompress(noise, 50, "x")) <= 50
