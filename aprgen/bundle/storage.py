"""How the bytes of an .apr file lie in a bundle: as they are, or with their payload compressed another way.

Knows the rule and says in words how it decided; the files themselves are `container`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aprgen.container import Inspection, V2Inspection, compression
from aprgen.container.header import TRUENO_NATIVE
from aprgen.container.plain import fixed_because, repack
from aprgen.errors import UsageError

Compression = Literal["auto", "keep", "none", "zstd", "lz4"]
COMPRESSIONS: tuple[Compression, ...] = ("auto", "keep", "none", "zstd", "lz4")
METHODS = {"none": compression.NONE, "zstd": compression.ZSTD_MAX, "lz4": compression.LZ4}

SMALL_BYTES = 512  # smaller payloads save less than the registry's entry takes
LEAST_SAVING_PERCENT = 10  # of the payload; unpacking needs a buffer and time

NATIVE_ALIGNMENT = 64  # what a payload that is used in place is laid out for
ALIGNMENT = 8


@dataclass(frozen=True)
class Stored:
    """The bytes of a model in a bundle. crc32 is over all but the last four, which hold it."""

    data: bytes
    original_bytes: int
    compression: str
    reason: str
    unpacked_bytes: int  # of the payload; of the whole file where no header says it

    @property
    def crc32(self) -> int:
        return int.from_bytes(self.data[-4:], "little")


def alignment_of(found: Inspection | V2Inspection) -> int:
    """Where the file may begin, so that a payload used in place lies as it wants to."""
    native = isinstance(found, Inspection) and found.header is not None and found.header.flags & TRUENO_NATIVE
    return NATIVE_ALIGNMENT if native else ALIGNMENT


def store(data: bytes, found: Inspection | V2Inspection, wish: Compression, name: str) -> Stored:
    """By the wish, or by the rule where that is "auto"; UsageError when the file must stay as it is."""
    if isinstance(found, V2Inspection) or found.header is None:
        return _kept(data, "none", _unless_wished(wish, "it is no v1 file", name), len(data))
    header = found.header
    fixed = fixed_because(found)
    if fixed or wish == "keep":
        reason = _unless_wished(wish, fixed, name) if fixed else "kept as it is"
        return _kept(data, header.compression_name, reason, header.uncompressed_size)
    if wish == "auto":
        return _by_rule(data, found)
    packed = repack(data, METHODS[wish])
    return Stored(packed, len(data), wish, f"{wish} as wished", header.uncompressed_size)


def _by_rule(data: bytes, found: Inspection) -> Stored:
    header = found.header
    assert header is not None
    size = header.uncompressed_size
    if header.compression != compression.NONE:
        return _kept(data, header.compression_name, "it is compressed already", size)
    if size <= SMALL_BYTES:
        return _kept(data, header.compression_name, f"its payload has no more than {SMALL_BYTES} bytes", size)
    packed = repack(data, METHODS["zstd"])
    saved = len(data) - len(packed)
    if 100 * saved < LEAST_SAVING_PERCENT * size:
        reason = f"zstd saves less than {LEAST_SAVING_PERCENT} % of its payload"
        return _kept(data, header.compression_name, reason, size)
    return Stored(packed, len(data), "zstd", f"zstd saves {saved} bytes", size)


def _kept(data: bytes, name: str, reason: str, unpacked_bytes: int) -> Stored:
    return Stored(data, len(data), name, reason, unpacked_bytes)


def _unless_wished(wish: Compression, reason: str, name: str) -> str:
    if wish in ("auto", "keep"):
        return reason
    raise UsageError(
        "bundle.compression", f"{name} cannot be compressed anew: {reason}", where=f"compression of model {name}",
        hint='write "keep" or "auto", or compress it before it is signed or encrypted',
    )  # fmt: skip
