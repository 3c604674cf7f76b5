"""APR v1 files: framing, checksum, and the order of checks.

`read_v1` opens a sound, plain file or raises; `inspect_v1` shows what can be shown of any file and lists every
failing check. Signatures are located here, not verified; encrypted payloads are recognised, never opened as plain.
Knows nothing of what the payload means.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass

from aprgen.container import compression
from aprgen.container.header import (
    COMPRESSIONS,
    CRC_BYTES,
    HAS_MODEL_CARD,
    HEADER_BYTES,
    LICENSED,
    MAGIC,
    MODEL_TYPES,
    NATIVE_ALIGNMENT,
    TRUENO_NATIVE,
    Header,
    check_header,
    header_findings,
    pack_header,
    parse_header,
)
from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.container.metadata import Metadata, read_metadata, write_metadata
from aprgen.errors import AprgenError, ContainerError, SecurityError, UsageError

SIGNATURE_BYTES = 64
KEY_BYTES = 32
BLOCK_BYTES = SIGNATURE_BYTES + KEY_BYTES
PASSWORD_OVERHEAD = 16 + 12 + 16  # salt, nonce, tag
RECIPIENT_OVERHEAD = 32 + 8 + 12 + 16  # ephemeral key, recipient id, nonce, tag


@dataclass(frozen=True)
class SignatureBlock:
    """What lies after the payload of a SIGNED file; nobody has verified it yet."""

    signature: bytes  # 64, Ed25519 over header, metadata and payload as stored
    public_key: bytes  # 32

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the signer's public key, in hex."""
        return hashlib.sha256(self.public_key).hexdigest()


@dataclass(frozen=True)
class AprFile:
    """A sound v1 file. `payload` is unpacked: the bincode bytes of the model's struct, or a native payload."""

    header: Header
    metadata: Metadata
    payload: bytes
    file_bytes: int
    crc: int
    signature: SignatureBlock | None
    findings: tuple[str, ...]  # what aprender lets pass and a careful reader reports

    @property
    def stored_bytes(self) -> int:
        """The payload as stored."""
        return self.header.payload_size


@dataclass(frozen=True)
class Inspection:
    """What can be shown of a v1 file, sound or not; parts that could not be read are None."""

    file_bytes: int
    header: Header | None = None
    metadata: Metadata | None = None
    payload: bytes | None = None
    signature: SignatureBlock | None = None
    crc_expected: int | None = None  # as stored
    crc_actual: int | None = None
    findings: tuple[str, ...] = ()
    problems: tuple[AprgenError, ...] = ()  # every failing check, the one that read_v1 raises first

    @property
    def crc_valid(self) -> bool:
        return self.crc_expected is not None and self.crc_expected == self.crc_actual


def read_v1(data: bytes, limits: Limits = DEFAULT_LIMITS) -> AprFile:
    """The file, or the first failing check as ContainerError or SecurityError."""
    found = inspect_v1(data, limits)
    if found.problems:
        raise found.problems[0]
    # Without problems nothing is missing.
    assert found.header is not None
    assert found.metadata is not None
    assert found.payload is not None
    assert found.crc_actual is not None
    return AprFile(
        header=found.header,
        metadata=found.metadata,
        payload=found.payload,
        file_bytes=found.file_bytes,
        crc=found.crc_actual,
        signature=found.signature,
        findings=found.findings,
    )


def inspect_v1(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Inspection:
    """Run every check that can still be run; never raises for what the bytes say."""
    if len(data) > limits.file_bytes:
        return Inspection(len(data), problems=(_too_large(len(data), limits),))
    if data[: len(MAGIC)] != MAGIC:
        return Inspection(len(data), problems=(_no_magic(data),))
    if len(data) < HEADER_BYTES + CRC_BYTES:
        return Inspection(len(data), problems=(_too_small(len(data)),))

    header = parse_header(data)
    end = len(data) - CRC_BYTES
    crc_expected = int.from_bytes(data[end:], "little")
    crc_actual = zlib.crc32(memoryview(data)[:end])
    problems: list[AprgenError] = []
    if crc_expected != crc_actual:
        problems.append(_bad_crc(crc_expected, crc_actual, header, end))
    problems += check_header(header, limits)

    metadata: Metadata | None = None
    findings = header_findings(header)
    metadata_inside = header.payload_start <= end
    payload_inside = header.payload_end <= end
    if not payload_inside:
        problems.append(_outside(header, end))
    if header.encrypted:
        problems.append(_encrypted(header))
        if payload_inside:
            problems += _encrypted_size(header)
    signature, framing = _trailer(data, header, end) if payload_inside else (None, ())
    problems += framing
    if signature:
        findings += ("the file is signed; the signature is not verified here",)
    if metadata_inside:
        try:
            padding = NATIVE_ALIGNMENT if header.native else 0
            described = data[HEADER_BYTES : header.payload_start]
            metadata, more = read_metadata(described, HEADER_BYTES, limits, padding=padding)
            findings += more + _flag_findings(header, metadata)
        except ContainerError as error:
            problems.append(error)

    payload: bytes | None = None
    unpackable = header.compression in COMPRESSIONS and header.uncompressed_size <= limits.payload_bytes
    if payload_inside and unpackable and not header.encrypted:
        stored = data[header.payload_start : header.payload_end]
        try:
            payload = compression.decompress(
                header.compression, stored, header.uncompressed_size, header.payload_start, limits
            )
        except ContainerError as error:
            problems.append(error)
    return Inspection(
        file_bytes=len(data),
        header=header,
        metadata=metadata,
        payload=payload,
        signature=signature,
        crc_expected=crc_expected,
        crc_actual=crc_actual,
        findings=findings,
        problems=tuple(problems),
    )


def _too_large(size: int, limits: Limits) -> ContainerError:
    return ContainerError(
        "container.limit",
        f"the file has {size} bytes, the limit is {limits.file_bytes}",
        where="the whole file",
        hint="raise Limits.file_bytes if you trust the file",
    )


def _too_small(size: int) -> ContainerError:
    return ContainerError(
        "container.truncated",
        f"the file has {size} bytes, an .apr file at least {HEADER_BYTES + CRC_BYTES}",
        where=f"byte {size}, the end of the file",
        hint="the file is truncated; export or copy it again",
    )


def _no_magic(data: bytes) -> ContainerError:
    return ContainerError(
        "container.magic",
        f"no .apr file: it starts with {data[:4].hex(' ')}, not 41 50 52 4e" if data else "the file is empty",
        where="byte 0",
        hint="give a file that aprender or aprgen wrote",
    )


def _bad_crc(expected: int, actual: int, header: Header, end: int) -> ContainerError:
    if header.payload_end > end:
        hint = "the file is truncated: the header promises more bytes than there are; copy it again"
    else:
        hint = "the file was damaged or edited; export or copy it again"
    return ContainerError(
        "container.crc",
        f"checksum mismatch: the file says {expected:#010x}, its bytes give {actual:#010x}",
        where=f"byte {end}, the last four bytes",
        hint=hint,
    )


def _outside(header: Header, end: int) -> ContainerError:
    return ContainerError(
        "container.bounds",
        f"metadata ({header.metadata_size} bytes) and payload ({header.payload_size}) end at byte "
        f"{header.payload_end}, the checksum starts at {end}",
        where="byte 8, in the header",
        hint="the file is truncated; export or copy it again",
    )


def _encrypted(header: Header) -> SecurityError:
    return SecurityError(
        "security.encrypted",
        "the model is encrypted, and no key or password opens it here",
        where=f"byte 21, in the header; the encrypted payload starts at byte {header.payload_start}",
        hint="decrypt it with aprender and save it again without encryption; header and metadata can be inspected",
    )


def _encrypted_size(header: Header) -> tuple[AprgenError, ...]:
    """Salt or key, nonce and tag need their bytes, and an uncompressed payload shows how many there must be."""
    overhead = header.payload_size - (header.uncompressed_size if header.compression == 0 else 0)
    exact = header.compression != 0 or overhead in (PASSWORD_OVERHEAD, RECIPIENT_OVERHEAD)
    if exact and header.payload_size >= PASSWORD_OVERHEAD:
        return ()
    return (
        ContainerError(
            "container.size",
            f"{header.payload_size} bytes cannot be the encryption of {header.uncompressed_size}",
            where="byte 12, in the header",
            hint="the file is damaged or edited; export it again",
        ),
    )


def _trailer(data: bytes, header: Header, end: int) -> tuple[SignatureBlock | None, tuple[AprgenError, ...]]:
    """What lies between payload and checksum: the block of a SIGNED file, otherwise nothing."""
    extra = end - header.payload_end
    if header.signed and extra < BLOCK_BYTES:
        return None, (
            SecurityError(
                "security.signature",
                f"the SIGNED flag is set, but {extra} bytes follow the payload where {BLOCK_BYTES} are needed",
                where=f"byte {header.payload_end}, after the payload",
                hint="the signature was cut off; get the signed file again from its author",
            ),
        )
    block: SignatureBlock | None = None
    start = header.payload_end
    if header.signed:
        key = start + SIGNATURE_BYTES
        block = SignatureBlock(data[start:key], data[key : key + KEY_BYTES])
        start += BLOCK_BYTES
    if start < end:
        return block, (
            ContainerError(
                "container.trailing",
                f"{end - start} bytes between payload and checksum belong to nothing",
                where=f"byte {start}, after the {'signature block' if block else 'payload'}",
                hint="the file was edited, or its SIGNED flag was removed; export it again",
            ),
        )
    return block, ()


def _flag_findings(header: Header, metadata: Metadata) -> tuple[str, ...]:
    findings: list[str] = []
    if header.flags & LICENSED and metadata.license is None:
        findings.append("the LICENSED flag is set, but the metadata holds no license")
    if header.flags & HAS_MODEL_CARD and metadata.model_card is None:
        findings.append("the HAS_MODEL_CARD flag is set, but the metadata holds no model card")
    return tuple(findings)


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
