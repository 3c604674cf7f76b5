"""Compression of payloads: none, zstd frames, and one raw LZ4 block behind its length.

Trusts no size inside the compressed bytes: output stops one byte after the header's claim.
Knows nothing of the rest of the file.
"""

from __future__ import annotations

import io
from collections.abc import Iterable

import lz4.block
import zstandard

from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.container.source import Bytes
from aprgen.errors import ContainerError

NONE, ZSTD_DEFAULT, ZSTD_MAX, LZ4 = 0, 1, 2, 3
ZSTD_LEVELS = {ZSTD_DEFAULT: 3, ZSTD_MAX: 19}

ZSTD_WINDOW_BYTES = 1 << 27  # the zstd library's default limit, which aprender keeps
ZSTD_LEAST_WINDOW_LOG = 10
ZSTD_BLOCK_BYTES = 1 << 17  # at most, packed and unpacked
ZSTD_DECODER_BYTES = 160 << 10  # of the decoder itself
LZ4_MAX_RATIO = 255  # a length byte of 255 stands for 255 bytes
LZ4_LENGTH_BYTES = 4
LZ4_LEAST_MATCH = 4
LZ4_LAST_LITERALS = 5  # a block ends with so many literals at least
LZ4_END_OF_MATCHES = 12  # and no match begins in its last bytes
LZ4_LEAST_SEQUENCE = 8  # stored bytes of a match and of what must follow it


def compress(method: int, payload: bytes, *, small_window: bool = False) -> bytes:
    """The bytes to store. zstd as aprender's streaming encoder: neither content size nor checksum in the frame.

    small_window: a frame that asks its reader for no more than the payload, where the level alone asks for megabytes.
    """
    if method == NONE:
        return payload
    if method == LZ4:
        block: bytes = lz4.block.compress(payload, store_size=False)
        return len(payload).to_bytes(LZ4_LENGTH_BYTES, "little") + block
    if small_window:
        wanted = max(ZSTD_LEAST_WINDOW_LOG, (len(payload) - 1).bit_length())
        window_log = min(wanted, ZSTD_WINDOW_BYTES.bit_length() - 1)
        parameters = zstandard.ZstdCompressionParameters.from_level(
            ZSTD_LEVELS[method], window_log=window_log, source_size=len(payload),
            write_content_size=False, write_checksum=False, write_dict_id=False,
        )  # fmt: skip
        encoder = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    else:
        encoder = zstandard.ZstdCompressor(
            level=ZSTD_LEVELS[method], write_content_size=False, write_checksum=False, write_dict_id=False
        ).compressobj()
    return encoder.compress(payload) + encoder.flush()


def decompress(method: int, stored: Bytes, claim: int, base: int = 0, limits: Limits = DEFAULT_LIMITS) -> Bytes:
    """Exactly `claim` bytes, or ContainerError. `base` is the place of `stored` in the file, for messages.

    What was not compressed is `stored` itself.
    """
    _require_possible(claim, len(stored), base, limits)
    if method == NONE:
        payload: Bytes = stored
    elif method == LZ4:
        limits.take(2 * claim, "the unpacked payload, twice as the LZ4 library copies it")
        payload = _decompress_lz4(stored, claim, base)
    else:
        limits.take(claim + claim // 8, "the unpacked payload")
        payload = unpack_zstd(stored, claim, base, limits)
    _require_claim(len(payload), claim, base)
    return payload


def decompress_windows(
    method: int, windows: Iterable[memoryview], stored_bytes: int, claim: int, base: int = 0,
    limits: Limits = DEFAULT_LIMITS,
) -> Bytes:  # fmt: skip
    """The same of bytes that come window by window, and are gone when the next one comes.

    Holds nothing but the result, a block of it (128 KiB), and what the zstd frame says its decoder needs.
    """
    _require_possible(claim, stored_bytes, base, limits)
    limits.take(claim if method in (NONE, LZ4) else claim + claim // 8, "the unpacked payload")
    if method == NONE:
        _require_claim(stored_bytes, claim, base)
        plain = bytearray(claim)
        _Stored(windows, stored_bytes, base).copy(memoryview(plain))
        return memoryview(plain).toreadonly()
    if method == LZ4:
        return unpack_lz4(windows, stored_bytes, claim, base, limits)
    unpacked = _Zstd(claim, base, limits)
    for window in windows:
        unpacked.feed(window)
        if unpacked.is_full:
            break
    payload = unpacked.finish()
    _require_claim(len(payload), claim, base)
    return payload


def _require_possible(claim: int, stored_bytes: int, base: int, limits: Limits) -> None:
    if claim > limits.compression_ratio * max(1, stored_bytes):
        raise _error(
            f"{stored_bytes} stored bytes cannot hold the {claim} bytes that the header claims",
            base,
            "the header lies or the file is damaged; export it again",
        )


def _require_claim(n_bytes: int, claim: int, base: int) -> None:
    if n_bytes != claim:
        more = "more than " if n_bytes > claim else ""
        raise _error(
            f"the payload unpacks to {more}{min(n_bytes, claim)} bytes, the header claims {claim}",
            base,
            "the file is damaged or edited; export it again",
            code="container.size",
        )


def _error(what: str, base: int, hint: str, code: str = "container.decompress") -> ContainerError:
    return ContainerError(code, what, where=f"byte {base}, in the payload", hint=hint)


def _decompress_lz4(stored: Bytes, claim: int, base: int) -> bytes:
    if len(stored) < LZ4_LENGTH_BYTES + 1:
        raise _error(f"{len(stored)} bytes are no LZ4 payload", base, "the file is truncated; export it again")
    prefix = int.from_bytes(stored[:LZ4_LENGTH_BYTES], "little")
    if prefix != claim:
        raise _error(
            f"the LZ4 block says {prefix} bytes, the header claims {claim}",
            base,
            "the file is damaged or edited; export it again",
            code="container.size",
        )
    if claim > LZ4_MAX_RATIO * len(stored):
        raise _error(
            f"an LZ4 block of {len(stored)} bytes cannot hold {claim}", base, "the file is damaged; export it again"
        )
    try:
        payload: bytes = lz4.block.decompress(memoryview(stored)[LZ4_LENGTH_BYTES:], uncompressed_size=claim)
    except lz4.block.LZ4BlockError as error:
        raise _error(
            f"the LZ4 block is corrupt: {error}", base + LZ4_LENGTH_BYTES, "the file is damaged; export it again"
        ) from None
    return payload


def unpack_zstd(stored: Bytes, claim: int, base: int, limits: Limits) -> bytes:
    """All frames in a row; stops early, with up to one block too much, when there is more than the claim."""
    unpacked = _Zstd(claim, base, limits)
    unpacked.feed(memoryview(stored))
    return unpacked.finish()


class _Zstd:
    """Frames in a row, fed in windows of any size; a step of the decoder unpacks one block, at most 128 KiB."""

    def __init__(self, claim: int, base: int, limits: Limits) -> None:
        self._decoder = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._steps = _Steps(limits)
        self._unpacked = io.BytesIO()
        self._claim, self._base, self._limits = claim, base, limits
        self._fed = 0
        self._frames = 0
        self._frame_start = 0

    @property
    def is_full(self) -> bool:
        """There is more than the claim; what follows does not matter."""
        return self._unpacked.tell() > self._claim

    def feed(self, window: memoryview) -> None:
        at = 0
        while at < len(window) and not self.is_full:
            if self._frame is None:
                self._begin()
            assert self._frame is not None
            n = self._steps.next(window, at)
            try:
                self._unpacked.write(self._frame.decompress(window[at : at + n]))
            except zstandard.ZstdError as error:
                what, place = f"the zstd frame is corrupt: {error}", self._base + self._fed
                raise _error(what, place, "the file is damaged; export it again") from None
            at += n
            self._fed += n
            if self._frame.eof:
                at -= len(self._frame.unused_data)
                self._fed -= len(self._frame.unused_data)
                self._frame = None

    def _begin(self) -> None:
        self._frames += 1
        if self._frames > self._limits.zstd_frames:
            raise _error(
                f"more than {self._limits.zstd_frames} zstd frames", self._base + self._fed,
                "raise Limits.zstd_frames if you trust the file",
            )  # fmt: skip
        self._frame_start = self._fed
        self._frame = self._decoder.decompressobj()
        self._steps.begin()

    def finish(self) -> bytes:
        if self._frame is not None and not self.is_full:
            place = self._base + self._frame_start
            raise _error("the zstd frame is cut off", place, "the file is truncated; export it again")
        return self._unpacked.getvalue()


class _Steps:
    """Where the headers and blocks of a zstd frame end (RFC 8878, section 3.1.1), to feed them one by one.

    Believes what it reads, as it only chooses steps: the decoder judges. Charges what the decoder is about to allocate.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._largest = 0  # window of a frame
        self.begin()

    def begin(self) -> None:
        """A frame's magic and descriptor come next."""
        self._part = "frame"
        self._header = b""
        self._wanted = 5
        self._left = 0  # bytes of a block's content, a checksum, or what follows them

    def next(self, window: memoryview, at: int) -> int:
        """How many bytes from there to feed: at least one."""
        room = len(window) - at
        if self._left:
            n = min(self._left, room)
            self._left -= n
            return n
        n = min(self._wanted - len(self._header), room)
        self._header += window[at : at + n]
        if len(self._header) == self._wanted:
            self._understand()
        return n

    def _understand(self) -> None:
        header = self._header
        if self._part == "frame" and self._wanted == 5:
            skippable = header[1:4] == b"\x2a\x4d\x18" and header[0] >> 4 == 5
            self._wanted = 8 if skippable else 5 + _zstd_header_rest(header[4])
            if self._wanted > 5:
                return
        if self._part == "block":
            word = int.from_bytes(header, "little")
            self._left = 1 if word >> 1 & 3 == 1 else word >> 3  # a run of one byte stores that byte
            if word & 1:
                self._left += 4  # perhaps a checksum; what follows the frame is given back
        elif self._wanted == 8 and header[1:4] == b"\x2a\x4d\x18":
            self._left = int.from_bytes(header[4:8], "little")
        else:
            self._charge(header)
        self._part, self._wanted, self._header = "block", 3, b""

    def _charge(self, header: bytes) -> None:
        """The decoder keeps a window of what it unpacked, as large as the header says, and a block on either side."""
        descriptor = header[4]
        if descriptor >> 5 & 1:
            size = 1 << (descriptor >> 6)
            window = int.from_bytes(header[len(header) - size :], "little") + (256 if size == 2 else 0)
        else:
            least = 1 << (ZSTD_LEAST_WINDOW_LOG + (header[5] >> 3))
            window = least + (least >> 3) * (header[5] & 7)
        if self._largest < window <= ZSTD_WINDOW_BYTES:
            known = 2 * ZSTD_BLOCK_BYTES + ZSTD_DECODER_BYTES if self._largest == 0 else 0
            self._limits.take(window - self._largest + known, "the zstd decoder, as its frame asks for")
            self._largest = window


def _zstd_header_rest(descriptor: int) -> int:
    """Bytes of a frame's header after its descriptor: window, dictionary, content size."""
    single = descriptor >> 5 & 1
    content = (single, 2, 4, 8)[descriptor >> 6]
    return (1 - single) + (0, 1, 2, 4)[descriptor & 3] + content


def unpack_lz4(windows: Iterable[memoryview], stored_bytes: int, claim: int, base: int, limits: Limits) -> memoryview:
    """One LZ4 block behind its length from windows, unpacked as the LZ4 library does, which takes whole blocks only.

    Refuses what the library refuses (its rules for the end of a block), matches at a distance of 0, and more sequences
    than the limit: each takes about a microsecond here.
    """
    stored = _Stored(windows, stored_bytes, base)
    if stored_bytes < LZ4_LENGTH_BYTES + 1:
        raise _error(f"{stored_bytes} bytes are no LZ4 payload", base, "the file is truncated; export it again")
    prefix = int.from_bytes(bytes(stored.byte() for _ in range(LZ4_LENGTH_BYTES)), "little")
    if prefix != claim:
        raise _error(
            f"the LZ4 block says {prefix} bytes, the header claims {claim}", base,
            "the file is damaged or edited; export it again", code="container.size",
        )  # fmt: skip
    if claim > LZ4_MAX_RATIO * stored_bytes:
        raise _error(
            f"an LZ4 block of {stored_bytes} bytes cannot hold {claim}", base, "the file is damaged; export it again"
        )
    unpacked = bytearray(claim)
    at = 0
    for _ in range(limits.lz4_sequences):
        token = stored.byte()
        n = token >> 4
        if n == 15:
            n += stored.more_length()
        if n > claim - at or n > stored.left:
            raise stored.corrupt()
        if n:
            stored.copy(memoryview(unpacked)[at : at + n])
            at += n
        if not stored.left:
            _require_claim(at, claim, base)
            return memoryview(unpacked).toreadonly()
        if at > claim - LZ4_END_OF_MATCHES or stored.left < LZ4_LEAST_SEQUENCE:
            raise stored.corrupt()
        offset = stored.byte() | stored.byte() << 8
        n = (token & 15) + LZ4_LEAST_MATCH
        if token & 15 == 15:
            n += stored.more_length()
        if offset == 0:
            raise stored.corrupt(": a match of itself")  # which the library lets pass, and fills with anything
        if offset > at or n > claim - LZ4_LAST_LITERALS - at:
            raise stored.corrupt()
        start = at - offset
        if offset >= n:
            unpacked[at : at + n] = unpacked[start : start + n]
        else:  # the match runs into itself: a pattern
            unpacked[at : at + n] = (unpacked[start:at] * (n // offset + 1))[:n]
        at += n
    raise _error(
        f"more than {limits.lz4_sequences} LZ4 sequences", base,
        "read it with --mode eager or mapped, which have a faster decoder, or raise Limits.lz4_sequences",
    )  # fmt: skip


class _Stored:
    """The bytes of windows, one after the other."""

    def __init__(self, windows: Iterable[memoryview], size: int, base: int) -> None:
        self._windows = iter(windows)
        self._window = memoryview(b"")
        self._at = 0
        self.left = size
        self._end = base + size

    def corrupt(self, how: str = "") -> ContainerError:
        place = self._end - self.left
        return _error(f"the LZ4 block is corrupt{how}", place, "the file is damaged; export it again")

    def byte(self) -> int:
        if self._at == len(self._window):
            if not self.left:
                raise self.corrupt()
            self._window, self._at = next(self._windows), 0
        self._at += 1
        self.left -= 1
        return self._window[self._at - 1]

    def more_length(self) -> int:
        total = byte = self.byte()
        while byte == 255:
            byte = self.byte()
            total += byte
        return total

    def copy(self, into: memoryview) -> None:
        """As many bytes as `into` has; there are so many."""
        done = 0
        while done < len(into):
            if self._at == len(self._window):
                self._window, self._at = next(self._windows), 0
            n = min(len(into) - done, len(self._window) - self._at)
            into[done : done + n] = self._window[self._at : self._at + n]
            self._at += n
            done += n
        self.left -= done
