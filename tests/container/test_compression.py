"""Compression: what the original accepts, what bombs cost, and that no stated size is believed."""

from __future__ import annotations

import struct

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.container.compression import compress, decompress
from aprgen.container.limits import Limits
from aprgen.errors import ContainerError
from tests.hostile.bytesmith import zstd_rle

SKIPPABLE = b"\x50\x2a\x4d\x18\x03\0\0\0abc"


@settings(deadline=None, max_examples=40)  # level 19 takes 70 ms to set up
@given(st.sampled_from([0, 1, 2, 3]), st.binary(max_size=3000))
def test_round_trip(method: int, payload: bytes) -> None:
    """Every method gives back its input, the empty one too."""
    assert payload == decompress(method, compress(method, payload), len(payload))


@pytest.mark.parametrize("method", [1, 2])
def test_zstd_variants(method: int) -> None:
    """Concatenated and skippable frames, content sizes and checksums are accepted under both ids."""
    sized = zstandard.ZstdCompressor(write_checksum=True, write_content_size=True).compress(b"hello ")
    stored = SKIPPABLE + sized + zstd_rle(5) + SKIPPABLE + compress(2, b"world")

    assert b"hello \0\0\0\0\0world" == decompress(method, stored, 16)


def test_lz4_is_length_and_raw_block() -> None:
    """Four bytes of length, then the block without any frame."""
    stored = compress(3, b"abcd" * 100)

    assert stored[:4] == struct.pack("<I", 400)
    assert 4 == stored[4] >> 4  # four literals, then a match: no magic between


@pytest.mark.parametrize("step", [1, 255, 511, 512, 513, 100_000])
def test_zstd_frames_across_steps(step: int) -> None:
    """Frame ends fall anywhere in what is fed to the decoder."""
    payload = bytes(range(256)) * (step // 8 + 1)
    stored = compress(1, payload) + SKIPPABLE * 40 + compress(2, payload)

    assert payload * 2 == decompress(1, stored, 2 * len(payload))


def test_checksum_of_a_frame_is_checked() -> None:
    """A frame that carries a checksum must fit it."""
    stored = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(b"payload" * 9))
    stored[-1] ^= 1

    with pytest.raises(ContainerError, match="the zstd frame is corrupt"):
        decompress(1, bytes(stored), 63)


@pytest.mark.parametrize(
    ("method", "stored", "claim", "what"),
    [
        (1, zstd_rle(1 << 30), 1000, "unpacks to more than 1000 bytes"),
        (1, zstd_rle(1 << 30), 10 << 20, "unpacks to more than 10485760 bytes"),
        (1, zstd_rle(999), 1000, "unpacks to 999 bytes, the header claims 1000"),
        (1, b"", 5, "unpacks to 0 bytes"),
        (1, zstd_rle(9, last=False), 9, "the zstd frame is cut off"),
        (1, b"\x28\xb5\x2f", 9, "the zstd frame is cut off"),
        (1, zstd_rle(9) + b"rest of it", 9, "the zstd frame is corrupt"),
        (1, zstd_rle(9, window=0xF8), 9, "the zstd frame is corrupt"),
        (1, b"\x50\x2a\x4d\x18\0\0\0\0" * 5000, 9, "more than 4096 zstd frames"),
        (3, b"\0\0\0", 3, "3 bytes are no LZ4 payload"),
        (3, struct.pack("<I", 1 << 31) + b"\x10a", 9, "says 2147483648 bytes, the header claims 9"),
        (3, struct.pack("<I", 9000) + b"\x10a", 9000, "an LZ4 block of 6 bytes cannot hold 9000"),
        (3, struct.pack("<I", 9) + b"\x30abc", 9, "unpacks to 3 bytes, the header claims 9"),
        (3, struct.pack("<I", 2) + b"\x30abc", 2, "the LZ4 block is corrupt"),
        (0, b"abc", 4, "unpacks to 3 bytes, the header claims 4"),
        (1, b"x" * 10, 60 << 20, "10 stored bytes cannot hold"),
    ],
)
def test_refused(method: int, stored: bytes, claim: int, what: str) -> None:
    """Bytes that do not unpack to exactly the claim are refused, bombs after one step."""
    with pytest.raises(ContainerError) as caught:
        decompress(method, stored, claim, base=79)

    assert what in caught.value.what
    assert "in the payload" in caught.value.where
    assert 3 == caught.value.exit_status


def test_frame_limit_is_a_limit() -> None:
    """Who trusts a file can raise the number of frames."""
    assert decompress(1, SKIPPABLE * 5000 + zstd_rle(9), 9, limits=Limits(zstd_frames=6000)) == bytes(9)


@settings(deadline=None)
@given(st.sampled_from([1, 3]), st.binary(max_size=200), st.integers(0, 500))
def test_any_bytes_are_unpacked_or_refused(method: int, stored: bytes, claim: int) -> None:
    """Whatever is stored, the answer has the claimed length or is ContainerError."""
    try:
        payload = decompress(method, stored, claim)
    except ContainerError:
        return
    assert claim == len(payload)
