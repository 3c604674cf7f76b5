"""Building blocks of hostile files: fixtures, raw v1 framing with any claims, hand-made zstd frames.

Uses no writer of aprgen, so that a mistake there cannot hide here.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

FIXTURES = Path(__file__).resolve().parents[1] / "data" / "apr"

MINIMAL_METADATA = b"\x82\xaacreated_at\xa11\xb0aprender_version\xa60.26.3"

Named = Iterator[tuple[str, bytes]]


def fixture(name: str) -> bytes:
    return (FIXTURES / f"{name}.apr").read_bytes()


def fixture_names(*, plain: bool) -> tuple[str, ...]:
    """v1 fixtures: with `plain` only those neither encrypted nor signed."""
    index = json.loads((FIXTURES / "index.json").read_text())
    names = [entry["path"].removesuffix(".apr") for entry in index if entry["model_type_id"] is not None]
    return tuple(name for name in names if not plain or not fixture(name)[21] & 3)


def with_crc(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


def repaired(data: bytes) -> bytes:
    """The same file with its last four bytes made a valid checksum."""
    return with_crc(data[:-4])


def patched(data: bytes, at: int, new: bytes, *, repair: bool = True) -> bytes:
    changed = data[:at] + new + data[at + len(new) :]
    return repaired(changed) if repair else changed


def flipped(data: bytes, bit: int, *, repair: bool) -> bytes:
    at = bit // 8
    return patched(data, at, bytes([data[at] ^ (1 << (bit % 8))]), repair=repair)


def framed(
    payload: bytes,
    *,
    kind: int = 1,
    metadata: bytes = MINIMAL_METADATA,
    claim: int | None = None,
    compression: int = 0,
    flags: int = 0,
    metadata_size: int | None = None,
    payload_size: int | None = None,
    after: bytes = b"",
    version: tuple[int, int] = (1, 0),
    tail: bytes = bytes(10),
) -> bytes:
    """A v1 file whose header claims what it is told; `payload` is stored as given. `tail` is header bytes 22 to 31."""
    header = struct.pack(
        "<4sBBHIIIBB",
        b"APRN",
        *version,
        kind,
        len(metadata) if metadata_size is None else metadata_size,
        len(payload) if payload_size is None else payload_size,
        len(payload) if claim is None else claim,
        compression,
        flags,
    )
    return with_crc(header + tail + metadata + payload + after)


def zstd_rle(total: int, *, window: int = 0x60, last: bool = True) -> bytes:
    """A zstd frame of `total` zero bytes in run-length blocks: four bytes for every 128 KiB, and no content size."""
    blocks = bytearray()
    left = total
    while left > 0:
        size = min(left, 128 << 10)
        left -= size
        final = last and left == 0
        blocks += struct.pack("<I", (1 if final else 0) | 1 << 1 | size << 3)[:3] + b"\0"
    return b"\x28\xb5\x2f\xfd\x00" + bytes([window]) + bytes(blocks)


def zstd_wrapped(prefix: bytes, zeros: int) -> bytes:
    """A zstd frame of `prefix` in a raw block, then run-length blocks of zeros."""
    raw = struct.pack("<I", len(prefix) << 3)[:3] + prefix
    rle = zstd_rle(zeros)
    return rle[:6] + raw + rle[6:]
