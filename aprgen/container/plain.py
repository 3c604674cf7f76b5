"""Plain v1 files, written: from their parts, and with the payload of another one compressed another way.

Knows which files can be rewritten: nobody but its author can rewrite a signed one, or see into an encrypted one.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

from aprgen.container import compression
from aprgen.container.header import (
    COMPRESSIONS,
    CRC_BYTES,
    HEADER_BYTES,
    LICENSED,
    MODEL_TYPES,
    NATIVE_ALIGNMENT,
    TRUENO_NATIVE,
    Header,
    pack_header,
)
from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.container.metadata import Metadata, write_metadata
from aprgen.container.v1 import Inspection, read_v1
from aprgen.errors import UsageError


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


def write_v1(
    model_type: int,
    payload: bytes,
    metadata: Metadata,
    *,
    method: int = compression.NONE,
    quality: int | None = None,
    native: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> bytes:
    """A plain file as aprender's `save` writes it. `payload` is bincode, `quality` 1..100 or None.

    native: the payload is a native one, and starts at a multiple of 64 in the file, metadata being padded with zeros.
    """
    if model_type not in MODEL_TYPES:
        raise UsageError("container.model_type", f"model type {model_type:#06x} does not exist", hint="see MODEL_TYPES")
    if method not in COMPRESSIONS:
        raise UsageError("container.compression", f"compression {method} does not exist", hint="use 0, 1, 2 or 3")
    if quality is not None and not 1 <= quality <= 100:
        raise UsageError(
            "container.quality", f"a quality score of {quality}", hint="give 1 to 100, or none if nobody validated it"
        )
    if len(payload) > limits.payload_bytes:
        raise UsageError(
            "container.limit",
            f"a payload of {len(payload)} bytes, the limit is {limits.payload_bytes}",
            hint="raise Limits.payload_bytes, or drop the training set",
        )
    described = write_metadata(metadata, base=HEADER_BYTES, alignment=NATIVE_ALIGNMENT if native else 1)
    stored = compression.compress(method, payload)
    header = Header(
        major=1,
        minor=0,
        model_type=model_type,
        metadata_size=len(described),
        payload_size=len(stored),
        uncompressed_size=len(payload),
        compression=method,
        flags=(LICENSED if metadata.license is not None else 0) | (TRUENO_NATIVE if native else 0),
        quality=quality or 0,
    )
    body = pack_header(header) + described + stored
    return body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")
