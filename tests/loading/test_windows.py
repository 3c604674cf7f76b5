"""What comes in windows: unpacking beside the libraries that take all at once, and verifying beside OpenSSL."""

from __future__ import annotations

import random
from collections.abc import Iterable

import lz4.block
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.container import Limits, compression, openssl, sodium
from aprgen.container.compression import LZ4, NONE, ZSTD_BLOCK_BYTES, ZSTD_DEFAULT, ZSTD_MAX, decompress_windows
from aprgen.container.limits import DEFAULT_LIMITS
from aprgen.container.memory import Memory
from aprgen.errors import BudgetError, ContainerError

ITSELF = "a match of itself"  # is no LZ4, but the library lets it pass
METHODS = (NONE, ZSTD_DEFAULT, ZSTD_MAX, LZ4)


def windows(data: bytes, size: int) -> Iterable[memoryview]:
    """In one buffer that is overwritten for each window, as a ring is."""
    buffer = bytearray(size)
    for at in range(0, len(data), size):
        piece = data[at : at + size]
        buffer[: len(piece)] = piece
        yield memoryview(buffer)[: len(piece)].toreadonly()


texts = st.lists(st.sampled_from([b"a", b"abc", b"\0" * 40, b"hello world ", bytes(range(64))]), max_size=60)
contents = st.one_of(st.binary(max_size=400), texts.map(b"".join), st.builds(bytes, st.integers(0, 3000)))


@settings(max_examples=60, deadline=None)
@given(contents, st.sampled_from(METHODS), st.integers(1, 70))
def test_any_content_in_any_windows(content: bytes, method: int, size: int) -> None:
    """Each compression gives its content back, however its bytes are cut into windows."""
    stored = compression.compress(method, content)
    if method == LZ4 and not content:
        return  # aprender's loader takes no LZ4 payload of nothing

    assert content == decompress_windows(method, windows(stored, size), len(stored), len(content))


@pytest.mark.parametrize("method", METHODS)
def test_many_blocks(method: int) -> None:
    """A megabyte in windows of a page, of which a half repeats itself."""
    generator = random.Random(7)
    content = generator.randbytes(300_000) + bytes(200_000) + generator.randbytes(1000) * 300
    stored = compression.compress(method, content)

    assert content == decompress_windows(method, windows(stored, 65_536), len(stored), len(content))


def verdict(method: int, stored: bytes, claim: int, size: int) -> tuple[str, ...]:
    """How it is refused or taken, in memory and in windows."""
    found = []
    for unpack in (
        lambda: compression.decompress(method, stored, claim, 100),
        lambda: decompress_windows(method, windows(stored, size), len(stored), claim, 100),
    ):
        try:
            found.append(bytes(unpack()).hex())
        except ContainerError as error:
            found.append(ITSELF if ITSELF in error.what else "refused")
    return tuple(found)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damaged_lz4(data: st.DataObject) -> None:
    """A damaged block is refused or unpacked just as the LZ4 library does it."""
    content = data.draw(contents.filter(lambda one: len(one) > 0))
    stored = bytearray(compression.compress(LZ4, content))
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.integers(4, len(stored) - 1))
        stored[at] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        stored = stored[: data.draw(st.integers(5, len(stored)))]
    one, other = verdict(LZ4, bytes(stored), len(content), data.draw(st.integers(1, 40)))

    assert other in (one, ITSELF)


def block(*sequences: tuple[bytes, int, int], last: bytes) -> bytes:
    """An LZ4 payload of sequences (literals, length of the match, offset), each below 15, and the last literals."""
    stored = bytearray()
    n = len(last)
    for literals, match, offset in sequences:
        stored += bytes([len(literals) << 4 | match - 4]) + literals + offset.to_bytes(2, "little")
        n += len(literals) + match
    return n.to_bytes(4, "little") + bytes(stored) + bytes([len(last) << 4]) + last


@pytest.mark.parametrize(
    ("stored", "taken"),
    [
        (block((b"0123456789", 5, 10), last=b"abcdefg"), True),
        (block((b"0123456789", 5, 10), last=b"abcdef"), False),  # the match begins in the last 12 bytes
        (block((b"0123456789", 9, 10), last=b"abcd"), False),  # and ends in the last 5
        (block((b"0123", 5, 5), last=b"abcdefghij"), False),  # from before the beginning
        (block((b"0", 9, 1), (b"", 6, 3), last=b"abcdefghij"), True),  # matches that run into themselves
        (block((b"0123456789", 5, 10), last=b"abcdefg") + b"x", False),  # a byte too many
    ],
)
def test_rules_of_lz4(stored: bytes, taken: bool) -> None:
    """What the library takes is taken, and what its rules forbid is refused."""
    claim = int.from_bytes(stored[:4], "little")
    one, other = verdict(LZ4, stored, claim, 7)

    assert one == other
    assert taken == (one != "refused")


def test_a_match_of_itself() -> None:
    """A distance of 0 means nothing, and is refused: the library would leave there what was in its memory."""
    stored = block((b"0123", 5, 0), last=b"abcdefghij")

    assert verdict(LZ4, stored, 19, 7)[1] == ITSELF


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_zstd(data: st.DataObject) -> None:
    """Frames in a row, skippable ones between, damaged or not: windows and memory give the same verdict."""
    parts = data.draw(st.lists(contents, min_size=1, max_size=3))
    stored = bytearray()
    for part in parts:
        checksum, sized = data.draw(st.booleans()), data.draw(st.booleans())
        stored += zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=sized).compress(part)
        if data.draw(st.booleans()):
            stored += b"\x50\x2a\x4d\x18\x03\0\0\0abc"
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(stored) - 1))
        stored[at] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        stored = stored[: data.draw(st.integers(1, len(stored)))]
    claim = sum(len(part) for part in parts)
    one, other = verdict(ZSTD_DEFAULT, bytes(stored), claim, data.draw(st.integers(1, 40)))

    assert one == other


def test_a_step_unpacks_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is fed at once, the decoder gives at most 128 KiB: 64 MiB of zeros are 6 kB of zstd."""
    content = bytes(64 << 20)
    stored = compression.compress(ZSTD_DEFAULT, content)
    largest = 0

    class Noted:
        def __init__(self, frame: zstandard.ZstdDecompressionObj) -> None:
            self._frame = frame

        def decompress(self, data: memoryview) -> bytes:
            nonlocal largest
            found = self._frame.decompress(data)
            largest = max(largest, len(found))
            return found

        @property
        def eof(self) -> bool:
            return self._frame.eof

        @property
        def unused_data(self) -> bytes:
            return self._frame.unused_data

    begin = compression._Zstd._begin

    def noted(self: compression._Zstd) -> None:
        begin(self)
        self._frame = Noted(self._frame)  # type: ignore[assignment,arg-type]

    monkeypatch.setattr(compression._Zstd, "_begin", noted)

    assert len(content) == len(decompress_windows(ZSTD_DEFAULT, windows(stored, 65_536), len(stored), len(content)))
    assert largest == ZSTD_BLOCK_BYTES


def test_the_window_of_a_frame_counts() -> None:
    """What the decoder will allocate is asked for before it gets the header that makes it."""
    content = random.Random(1).randbytes(3000)
    small = compression.compress(ZSTD_DEFAULT, content, small_window=True)
    usual = compression.compress(ZSTD_DEFAULT, content)
    taken = []
    for stored in (small, usual):
        limits = DEFAULT_LIMITS.within(1 << 30)
        decompress_windows(ZSTD_DEFAULT, [memoryview(stored)], len(stored), len(content), limits=limits)
        taken.append(limits.taken)

    assert taken[1] - taken[0] == (2 << 20) - 4096  # level 3 asks for 2 MiB, whatever there is
    with pytest.raises(BudgetError, match="zstd decoder"):
        decompress_windows(
            ZSTD_DEFAULT, [memoryview(usual)], len(usual), len(content), limits=DEFAULT_LIMITS.within(1 << 20)
        )


def test_too_many_sequences_of_lz4() -> None:
    """A block that would take Python long is refused early, and says which modes take it."""
    words = random.Random(2).choices([b"abcd", b"wxyz", b"1234", b"!?.,"], k=4000)
    stored = lz4.block.compress(b"".join(words), store_size=False)
    stored = (16_000).to_bytes(4, "little") + stored
    with pytest.raises(ContainerError, match="LZ4 sequences") as refused:
        decompress_windows(LZ4, windows(stored, 4096), len(stored), 16_000, limits=Limits(lz4_sequences=100))

    assert "--mode eager" in refused.value.hint
    assert 16_000 == len(decompress_windows(LZ4, windows(stored, 4096), len(stored), 16_000))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 95), st.integers(0, 255), st.integers(1, 50))
def test_ed25519_in_windows(message: bytes, at: int, byte: int, size: int) -> None:
    """A signature or key with one byte replaced is judged as by OpenSSL, which takes the whole message."""
    seed = bytes(range(32))
    both = bytearray(sodium.ed25519_sign(seed, message)[:64] + sodium.ed25519_public(seed))
    both[at] = byte
    signature, public = bytes(both[:64]), bytes(both[64:])
    if not sodium.ed25519_key_is_sound(public):
        return
    stream = sodium.Ed25519Stream(public, signature)
    for window in windows(message, size):
        stream.update(window)

    assert openssl.ed25519_verify(public, signature, message) == stream.verify()


def test_memory_gives_back() -> None:
    """taken falls with what is given back; most does not."""
    limits = Limits(memory=Memory(100))
    limits.take(60, "this")
    taken = limits.taken
    limits.take(40, "that")
    limits.give_back(taken)
    assert limits.memory is not None

    assert (60, 100, 40) == (limits.taken, limits.memory.most, limits.memory.left)
    with pytest.raises(BudgetError, match="41 bytes beside 60 that are taken, and the budget is 100"):
        limits.take(41, "more")
