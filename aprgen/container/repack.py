"""A plain v1 file with its payload compressed another way: header, metadata and payload stay what they say.

Knows which files can be rewritten: nobody but its author can rewrite a signed one, or see into an encrypted one.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

from aprgen.container import compression
from aprgen.container.header import CRC_BYTES, HEADER_BYTES, TRUENO_NATIVE, pack_header
from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.container.v1 import Inspection, read_v1


def fixed_because(found: Inspection) -> str:
    """Why the file must stay byte for byte; empty when it may be rewritten."""
    header = found.header
    if header is None:
        return "it is no v1 file"
    if header.signed:
        return "it is signed"
    if header.encrypted:
        return "it is encrypted"
    if header.flags & TRUENO_NATIVE:
        return "its payload is used in place"
    return ""


def repack(data: bytes, method: int, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The same plain file with compression `method`; metadata byte for byte, and a new checksum.

    The caller has asked `fixed_because`. Raises ContainerError when the file is not sound.
    """
    file = read_v1(data, limits)
    stored = compression.compress(method, bytes(file.payload), small_window=True)
    header = replace(file.header, compression=method, payload_size=len(stored))
    body = pack_header(header) + data[HEADER_BYTES : header.payload_start] + stored
    return body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")
