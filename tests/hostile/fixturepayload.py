"""The unpacked payload of a plain fixture, by the compression libraries alone."""

from __future__ import annotations

import struct

import lz4.block
import zstandard

from tests.hostile.bytesmith import fixture


def payload_of(name: str) -> bytes:
    data = fixture(name)
    metadata_size, payload_size, claim = struct.unpack_from("<III", data, 8)
    stored = data[32 + metadata_size : 32 + metadata_size + payload_size]
    if data[20] in (1, 2):
        return zstandard.ZstdDecompressor().decompressobj().decompress(stored)
    if data[20] == 3:
        block: bytes = lz4.block.decompress(stored[4:], uncompressed_size=claim)
        return block
    return stored
