"""Compression of payloads: none, zstd frames, and one raw LZ4 block behind its length.

Trusts no size inside the compressed bytes: output stops one byte after the header's claim.
Knows nothing of the rest of the file.
"""

from __future__ import annotations

import io

import lz4.block
import zstandard

from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.errors import ContainerError

NONE, ZSTD_DEFAULT, ZSTD_MAX, LZ4 = 0, 1, 2, 3
ZSTD_LEVELS = {ZSTD_DEFAULT: 3, ZSTD_MAX: 19}

ZSTD_WINDOW_BYTES = 1 << 27  # the zstd library's default limit, which aprender keeps
ZSTD_LEAST_WINDOW_LOG = 10
ZSTD_STEP_BYTES = 512  # a block of four bytes makes at most 128 KiB, so one step makes at most 16 MiB
LZ4_MAX_RATIO = 255  # a length byte of 255 stands for 255 bytes
LZ4_LENGTH_BYTES = 4


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


def decompress(method: int, stored: bytes, claim: int, base: int = 0, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Exactly `claim` bytes, or ContainerError. `base` is the place of `stored` in the file, for messages."""
    if claim > limits.compression_ratio * max(1, len(stored)):
        raise _error(
            f"{len(stored)} stored bytes cannot hold the {claim} bytes that the header claims",
            base,
            "the header lies or the file is damaged; export it again",
        )
    if method == NONE:
        payload = stored
    elif method == LZ4:
        payload = _decompress_lz4(stored, claim, base)
    else:
        payload = unpack_zstd(stored, claim, base, limits)
    if len(payload) != claim:
        more = "more than " if len(payload) > claim else ""
        raise _error(
            f"the payload unpacks to {more}{min(len(payload), claim)} bytes, the header claims {claim}",
            base,
            "the file is damaged or edited; export it again",
            code="container.size",
        )
    return payload


def _error(what: str, base: int, hint: str, code: str = "container.decompress") -> ContainerError:
    return ContainerError(code, what, where=f"byte {base}, in the payload", hint=hint)


def _decompress_lz4(stored: bytes, claim: int, base: int) -> bytes:
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
        payload: bytes = lz4.block.decompress(stored[LZ4_LENGTH_BYTES:], uncompressed_size=claim)
    except lz4.block.LZ4BlockError as error:
        raise _error(
            f"the LZ4 block is corrupt: {error}", base + LZ4_LENGTH_BYTES, "the file is damaged; export it again"
        ) from None
    return payload


def unpack_zstd(stored: bytes, claim: int, base: int, limits: Limits) -> bytes:
    """All frames in a row; stops early, with up to one step too much, when there is more than the claim."""
    decoder = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
    unpacked = io.BytesIO()
    position = 0
    frames = 0
    while position < len(stored):
        frames += 1
        if frames > limits.zstd_frames:
            raise _error(
                f"more than {limits.zstd_frames} zstd frames",
                base + position,
                "raise Limits.zstd_frames if you trust the file",
            )
        frame = decoder.decompressobj()
        start = position
        while not frame.eof:
            if position == len(stored):
                raise _error("the zstd frame is cut off", base + start, "the file is truncated; export it again")
            step = stored[position : position + ZSTD_STEP_BYTES]
            try:
                unpacked.write(frame.decompress(step))
            except zstandard.ZstdError as error:
                raise _error(
                    f"the zstd frame is corrupt: {error}", base + position, "the file is damaged; export it again"
                ) from None
            position += len(step)
            if unpacked.tell() > claim:
                return unpacked.getvalue()
        position -= len(frame.unused_data)
    return unpacked.getvalue()
