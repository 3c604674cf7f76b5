"""The 32-byte header of a v1 file: its fields, the names of its numbers, and the checks that need nothing else.

Knows no bytes beyond the header.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.container.suites import LEGACY, NAMES, Suite, suite_of
from aprgen.errors import AprgenError, ContainerError, SecurityError

MAGIC = b"APRN"
HEADER_BYTES = 32
CRC_BYTES = 4
MAX_UNCOMPRESSED = 1 << 30  # aprender's own limit
NATIVE_ALIGNMENT = 64  # of a native payload in its file, where it is stored as it is used

MODEL_TYPES: dict[int, str] = {
    0x0001: "LinearRegression",
    0x0002: "LogisticRegression",
    0x0003: "DecisionTree",
    0x0004: "RandomForest",
    0x0005: "GradientBoosting",
    0x0006: "KMeans",
    0x0007: "Pca",
    0x0008: "NaiveBayes",
    0x0009: "Knn",
    0x000A: "Svm",
    0x0010: "NgramLm",
    0x0011: "Tfidf",
    0x0012: "CountVectorizer",
    0x0020: "NeuralSequential",
    0x0021: "NeuralCustom",
    0x0030: "ContentRecommender",
    0x0040: "MixtureOfExperts",
    0x00FF: "Custom",
}

COMPRESSIONS: dict[int, str] = {0: "none", 1: "zstd level 3", 2: "zstd level 19", 3: "lz4"}

ENCRYPTED = 0x01
SIGNED = 0x02
STREAMING = 0x04
LICENSED = 0x08
TRUENO_NATIVE = 0x10
QUANTIZED = 0x20
HAS_MODEL_CARD = 0x40
RESERVED_FLAG = 0x80
FLAGS: dict[int, str] = {
    ENCRYPTED: "ENCRYPTED",
    SIGNED: "SIGNED",
    STREAMING: "STREAMING",
    LICENSED: "LICENSED",
    TRUENO_NATIVE: "TRUENO_NATIVE",
    QUANTIZED: "QUANTIZED",
    HAS_MODEL_CARD: "HAS_MODEL_CARD",
    RESERVED_FLAG: "RESERVED",
}

_LAYOUT = struct.Struct("<4sBBHIIIBBBB8s")


@dataclass(frozen=True)
class Header:
    """As stored; the sizes are claims until they are checked."""

    major: int
    minor: int
    model_type: int
    metadata_size: int
    payload_size: int  # stored: compressed, encrypted
    uncompressed_size: int
    compression: int
    flags: int
    quality: int = 0  # 0: not validated; 1..100 documented
    suite: int = 0  # byte 23: reserved and 0 in aprender's files
    reserved: bytes = bytes(8)

    @property
    def model_type_name(self) -> str:
        return MODEL_TYPES.get(self.model_type, f"unknown {self.model_type:#06x}")

    @property
    def compression_name(self) -> str:
        return COMPRESSIONS.get(self.compression, f"unknown {self.compression}")

    @property
    def flag_names(self) -> tuple[str, ...]:
        return tuple(name for bit, name in FLAGS.items() if self.flags & bit)

    @property
    def suite_name(self) -> str:
        return NAMES.get(self.suite, f"unknown {self.suite:#04x}")

    @property
    def cipher_suite(self) -> Suite | None:
        """None for LegacyRSA, and where byte 23 names no suite."""
        return suite_of(self.suite)

    @property
    def encrypted(self) -> bool:
        return bool(self.flags & ENCRYPTED)

    @property
    def signed(self) -> bool:
        return bool(self.flags & SIGNED)

    @property
    def native(self) -> bool:
        """The payload is a native one (docs/native-payload.md), not bincode."""
        return bool(self.flags & TRUENO_NATIVE)

    @property
    def in_place(self) -> bool:
        """The payload can be used where it lies in the file."""
        return self.compression == 0 and not self.encrypted

    @property
    def payload_start(self) -> int:
        return HEADER_BYTES + self.metadata_size

    @property
    def payload_end(self) -> int:
        return self.payload_start + self.payload_size


def parse_header(data: bytes) -> Header:
    """The fields, unjudged; `data` holds at least 32 bytes and starts with the magic."""
    _, major, minor, kind, metadata, payload, unpacked, compression, flags, quality, suite, rest = _LAYOUT.unpack_from(
        data
    )
    return Header(major, minor, kind, metadata, payload, unpacked, compression, flags, quality, suite, rest)


def pack_header(header: Header) -> bytes:
    return _LAYOUT.pack(
        MAGIC,
        header.major,
        header.minor,
        header.model_type,
        header.metadata_size,
        header.payload_size,
        header.uncompressed_size,
        header.compression,
        header.flags,
        header.quality,
        header.suite,
        header.reserved,
    )


def check_header(
    header: Header, limits: Limits = DEFAULT_LIMITS, *, allow_legacy: bool = False
) -> tuple[AprgenError, ...]:
    """Everything wrong with the header alone, in the order of aprender's loader."""
    problems: list[AprgenError] = []
    if header.major > 1:
        problems.append(
            ContainerError(
                "container.version",
                f"format version {header.major}.{header.minor}; versions up to 1 are supported",
                where="byte 4, in the header",
                hint="use an aprgen of the time of this file, or export the model in version 1",
            )
        )
    if header.model_type not in MODEL_TYPES:
        problems.append(
            ContainerError(
                "container.model_type",
                f"model type {header.model_type:#06x} does not exist",
                where="byte 6, in the header",
                hint="the file is damaged or of a later version; export it again",
            )
        )
    if header.uncompressed_size > MAX_UNCOMPRESSED:
        problems.append(
            ContainerError(
                "container.size",
                f"the header claims {header.uncompressed_size} unpacked bytes, more than the format's 1 GiB",
                where="byte 16, in the header",
                hint="the file is damaged; export it again",
            )
        )
    elif header.uncompressed_size > limits.payload_bytes:
        problems.append(
            ContainerError(
                "container.limit",
                f"the header claims {header.uncompressed_size} unpacked bytes, the limit is {limits.payload_bytes}",
                where="byte 16, in the header",
                hint="raise Limits.payload_bytes if you trust the file; a forest can drop its training set",
            )
        )
    if header.compression not in COMPRESSIONS:
        problems.append(
            ContainerError(
                "container.compression",
                f"compression {header.compression} does not exist",
                where="byte 20, in the header",
                hint="the file is damaged or of a later version; export it again",
            )
        )
    suite_error = _suite_error(header, allow_legacy)
    if suite_error is not None:
        problems.append(suite_error)
    if header.native and header.in_place and header.payload_start % NATIVE_ALIGNMENT:
        problems.append(
            ContainerError(
                "container.alignment",
                f"a native payload starts at byte {header.payload_start}, which is no multiple of {NATIVE_ALIGNMENT}",
                where="byte 8, in the header",
                hint="the metadata was changed without its padding; convert the original again",
            )
        )
    return tuple(problems)


def _suite_error(header: Header, allow_legacy: bool) -> SecurityError | None:
    where = "byte 23, in the header"
    if header.suite == LEGACY:
        if allow_legacy:
            return None
        return SecurityError(
            "security.suite",
            "the file asks for the cipher suite LegacyRSA, which is refused",
            where=where,
            hint="ask its author for a file of another suite; --allow-legacy reads what can be read, unverified",
        )
    suite = header.cipher_suite
    if suite is None:
        return SecurityError(
            "security.suite",
            f"byte 23 states {header.suite:#04x}, an unknown cipher suite",
            where=where,
            hint="the file is damaged or of a later version; sign and encrypt with a suite of docs/cipher-suites.md",
        )
    if suite.envelope and not (header.signed or header.encrypted):
        return SecurityError(
            "security.suite",
            f"the file states cipher suite {suite.name}, but is neither signed nor encrypted",
            where=where,
            hint="its signature or encryption was removed; get the file again from its author",
        )
    return None


def header_findings(header: Header) -> tuple[str, ...]:
    """What aprender lets pass and a careful reader reports."""
    findings: list[str] = []
    if header.major == 0:
        findings.append("format version 0 was never released; read as version 1")
    elif header.minor:
        findings.append(f"format version {header.major}.{header.minor} is newer than 1.0; additions are ignored")
    if header.flags & RESERVED_FLAG:
        findings.append("the reserved flag 0x80 is set and ignored")
    if header.flags & STREAMING:
        findings.append("the STREAMING flag is set, but no reader or writer has a chunk index; ignored")
    if header.flags & QUANTIZED:
        findings.append("the QUANTIZED flag is set, but v1 payloads are read as their struct says; ignored")
    if header.quality > 100:
        findings.append(f"quality score {header.quality} is above 100")
    if any(header.reserved):
        findings.append(f"reserved header bytes 24 to 31 are not zero: {header.reserved.hex()}")
    return tuple(findings)
