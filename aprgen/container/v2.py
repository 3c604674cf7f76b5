"""APR v2 containers: header, JSON metadata, tensor index, tensors as float32, both checksums.

Reads everything that is sound and refuses what no code stands behind: encryption, compression, shards.
Knows nothing of what the tensors mean.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from aprgen.container.json_text import Json, parse_json, require_json_bytes
from aprgen.container.keys import NO_ACCESS, Access
from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.container.loading import STANDARD, Checks
from aprgen.container.source import Bytes, PagedFile, Source, as_source
from aprgen.container.tensortypes import TENSOR_TYPES, TensorType
from aprgen.container.verification import UNSIGNED, plain_error, policy_error
from aprgen.errors import AprgenError, BudgetError, ContainerError, SecurityError, UnsupportedError

MAGIC = b"APR\0"
HEADER_BYTES = 64
CRC_BYTES = 4
ALIGNMENT = 64
MAX_NAME_BYTES = 256
TSP_VERSION = b"\x01\x00"  # bytes 4 and 5 of the aprender-tsp crate's files, where v2 has 02 00

LZ4, ZSTD, ENCRYPTED, SIGNED, SHARDED = 0x0001, 0x0002, 0x0004, 0x0008, 0x0010
ROW_MAJOR, COLUMN_MAJOR = 0x0400, 0x0800
FLAGS: dict[int, str] = {
    LZ4: "LZ4",
    ZSTD: "ZSTD",
    ENCRYPTED: "ENCRYPTED",
    SIGNED: "SIGNED",
    SHARDED: "SHARDED",
    0x0020: "QUANTIZED",
    0x0040: "FILTERBANK",
    0x0080: "MODEL_CARD",
    0x0100: "STREAMING",
    0x0200: "VOCABULARY",
    ROW_MAJOR: "ROW_MAJOR",
    COLUMN_MAJOR: "COLUMN_MAJOR",
}

JSON_COST = 64  # bytes of Python objects for each stored one, at most: arrays of arrays
ENTRY_COST = 2_048  # and of an entry of the index with its tensor

_LAYOUT = struct.Struct("<4sBBHIQIQQI20s")


@dataclass(frozen=True)
class V2Header:
    major: int
    minor: int
    flags: int
    tensor_count: int
    metadata_offset: int
    metadata_size: int
    index_offset: int
    data_offset: int
    crc: int  # of the other 60 header bytes, as stored
    reserved: bytes = bytes(20)

    @property
    def flag_names(self) -> tuple[str, ...]:
        unknown = self.flags & ~sum(FLAGS)
        names = tuple(name for bit, name in FLAGS.items() if self.flags & bit)
        return (*names, f"unknown {unknown:#06x}") if unknown else names


@dataclass(frozen=True)
class TensorEntry:
    """One line of the index."""

    name: str
    type: TensorType
    shape: tuple[int, ...]
    offset: int  # from the start of the data section
    size: int  # bytes as stored

    @property
    def n_elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor with its values as float32 in its shape, row-major and read-only. read: where they come from."""

    entry: TensorEntry
    read: Callable[[], NDArray[np.float32]] = field(repr=False)

    @property
    def name(self) -> str:
        return self.entry.name

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """Read when first asked for, unless the file was loaded in a mode that reads all."""
        return self.read()


@dataclass(frozen=True)
class AprV2File:
    """A sound v2 file. Tensors are sorted by name."""

    header: V2Header
    metadata: Mapping[str, Json]
    tensors: tuple[Tensor, ...]
    file_bytes: int
    crc: int  # as stored
    findings: tuple[str, ...]

    def tensor(self, name: str) -> Tensor | None:
        return next((tensor for tensor in self.tensors if tensor.name == name), None)


@dataclass(frozen=True)
class V2Inspection:
    """What can be shown of a v2 file, sound or not; parts that could not be read are None."""

    file_bytes: int
    header: V2Header | None = None
    metadata: Mapping[str, Json] | None = None
    entries: tuple[TensorEntry, ...] | None = None
    crc_expected: int | None = None  # footer, as stored
    crc_actual: int | None = None  # None where the level does not compute it
    findings: tuple[str, ...] = ()
    problems: tuple[AprgenError, ...] = ()  # every failing check, the one that read_v2 raises first

    @property
    def crc_valid(self) -> bool:
        return self.crc_expected is not None and self.crc_expected == self.crc_actual


def read_v2(
    data: Bytes | Source, limits: Limits = DEFAULT_LIMITS, access: Access = NO_ACCESS, checks: Checks = STANDARD
) -> AprV2File:
    """The file with its tensors, or the first failing check."""
    source = as_source(data)
    found = inspect_v2(source, limits, access, checks)
    if found.problems:
        raise found.problems[0]
    # Without problems nothing is missing.
    assert found.header is not None
    assert found.metadata is not None
    assert found.entries is not None
    assert found.crc_expected is not None
    at = found.header.data_offset
    tensors = tuple(Tensor(entry, partial(_values, source, at, entry, limits)) for entry in found.entries)
    if not (isinstance(source, PagedFile) and source.stays_open):
        for tensor in tensors:
            _ = tensor.values
    if checks.twice:
        for tensor in tensors:
            _require_stable(tensor)
    return AprV2File(
        header=found.header,
        metadata=found.metadata,
        tensors=tensors,
        file_bytes=found.file_bytes,
        crc=found.crc_expected,
        findings=found.findings,
    )


def inspect_v2(
    data: Bytes | Source, limits: Limits = DEFAULT_LIMITS, access: Access = NO_ACCESS, checks: Checks = STANDARD
) -> V2Inspection:
    """Run every check of the level that can still be run; never raises for what the bytes say.

    Raises BudgetError, and ContainerError when the file changes while it is read.
    """
    source = as_source(data)
    size = source.size
    head = bytes(source.piece(0, HEADER_BYTES))
    early = _early(head, size, limits)
    if early is not None:
        return V2Inspection(size, problems=(early,))
    _, major, minor, flags, count, meta_at, meta_size, index_at, data_at, crc, reserved = _LAYOUT.unpack_from(head)
    header = V2Header(major, minor, flags, count, meta_at, meta_size, index_at, data_at, crc, reserved)
    problems: list[AprgenError] = []
    end = size - CRC_BYTES
    crc_expected = int.from_bytes(source.piece(end, size), "little")
    crc_actual = source.crc() if checks.checksum else None
    header_crc = zlib.crc32(head[:40] + head[44:HEADER_BYTES])
    if checks.checksum and header_crc != header.crc:
        problems.append(
            _error(
                "container.crc",
                f"header checksum mismatch: the file says {header.crc:#010x}, its bytes give {header_crc:#010x}",
                "byte 40, in the header",
            )
        )
    if crc_actual is not None and crc_expected != crc_actual:
        problems.append(
            _error(
                "container.crc",
                f"checksum mismatch: the file says {crc_expected:#010x}, its bytes give {crc_actual:#010x}",
                f"byte {end}, the last four bytes",
            )
        )
    problems += _check_header(header, end, limits)
    problems += _check_access(access)

    metadata: Mapping[str, Json] | None = None
    entries: tuple[TensorEntry, ...] | None = None
    findings: tuple[str, ...] = ()
    if HEADER_BYTES <= header.metadata_offset <= header.metadata_offset + header.metadata_size <= end:
        try:
            metadata = _metadata(source, header, limits)
        except ContainerError as error:
            problems.append(error)
    if HEADER_BYTES <= header.index_offset <= header.data_offset <= end and header.tensor_count <= limits.tensors:
        try:
            entries = _index(source, header, end, limits)
            findings = _findings(source, header, entries, end)
        except BudgetError:
            raise
        except AprgenError as error:
            problems.append(error)
    if checks.strict:
        problems += (_not_strict(finding) for finding in findings)
    return V2Inspection(
        file_bytes=size,
        header=header,
        metadata=metadata,
        entries=entries,
        crc_expected=crc_expected,
        crc_actual=crc_actual,
        findings=findings,
        problems=tuple(problems),
    )


def _error(code: str, what: str, where: str, hint: str = "") -> ContainerError:
    return ContainerError(code, what, where=where, hint=hint or "the file is damaged or edited; export it again")


def _not_strict(finding: str) -> ContainerError:
    return _error(
        "container.strict", f"verification level paranoid refuses: {finding}", "header and tensor index",
        "export the model again, or take a lower level: standard reports it and goes on",
    )  # fmt: skip


def _require_stable(tensor: Tensor) -> None:
    if tensor.read().tobytes() != tensor.values.tobytes():
        raise _error(
            "container.unstable", f"unpacking tensor {tensor.name[:60]!r} twice gives two results", "the tensors",
            "the memory or processor of this machine is at fault: test it, and load the file elsewhere",
        )  # fmt: skip


def _early(data: bytes, size: int, limits: Limits) -> AprgenError | None:
    """What makes further reading senseless. `data`: the first bytes of the file, which has `size`."""
    if size > limits.file_bytes:
        return _error(
            "container.limit",
            f"the file has {size} bytes, the limit is {limits.file_bytes}",
            "the whole file",
            "raise Limits.file_bytes if you trust the file",
        )
    if data[: len(MAGIC)] != MAGIC:
        return _error("container.magic", f"no APR v2 file: it starts with {data[:4].hex(' ')}", "byte 0")
    if data[4:6] == TSP_VERSION:
        return UnsupportedError(
            "container.tsp",
            "a model of the aprender-tsp crate, which shares the magic of APR v2 but nothing else",
            where="byte 4",
            hint="aprgen compiles APR v1 and v2 models",
        )
    if size < HEADER_BYTES + CRC_BYTES:
        return _error(
            "container.truncated",
            f"the file has {size} bytes, an APR v2 file at least {HEADER_BYTES + CRC_BYTES}",
            f"byte {size}, the end of the file",
            "the file is truncated; export or copy it again",
        )
    if data[4] != 2:
        return _error("container.version", f"format version {data[4]}.{data[5]}, not 2", "byte 4, in the header")
    return None


def _check_access(access: Access) -> list[AprgenError]:
    """The format has no place for a signature, and no encryption."""
    refused = policy_error(UNSIGNED, access.trust, "byte 6, in the header")
    problems: list[AprgenError] = [] if refused is None else [refused]
    if access.secrets.given:
        problems.append(plain_error("byte 6, in the header"))
    return problems


def _check_header(header: V2Header, end: int, limits: Limits) -> list[AprgenError]:
    problems: list[AprgenError] = []
    where = "byte 6, in the header"
    if header.flags & ENCRYPTED:
        problems.append(
            SecurityError(
                "security.encrypted",
                "the file says that it is encrypted, for which APR v2 has no format",
                where=where,
                hint="save the model again without encryption",
            )
        )
    if header.flags & SIGNED:
        problems.append(
            SecurityError(
                "security.signature",
                "the file says that it is signed, but APR v2 has no place for a signature",
                where=where,
                hint="save it as APR v1 with a signature, or clear the flag at the source",
            )
        )
    for flags, what in ((LZ4 | ZSTD, "compressed"), (SHARDED, "one shard of several")):
        if header.flags & flags:
            problems.append(
                UnsupportedError(
                    "container.flags",
                    f"the file says that it is {what}, which no APR v2 writer does",
                    where=where,
                    hint="save the model again plainly, in one file",
                )
            )
    if header.flags & COLUMN_MAJOR:
        problems.append(
            _error(
                "container.layout",
                "the tensors are column-major; all readers of APR v2 refuse that",
                where,
                "convert the model again with row-major tensors",
            )
        )
    if not HEADER_BYTES <= header.metadata_offset <= header.metadata_offset + header.metadata_size <= end:
        problems.append(
            _error(
                "container.bounds",
                f"metadata from byte {header.metadata_offset}, {header.metadata_size} bytes, outside the file",
                "byte 12, in the header",
            )
        )
    if not HEADER_BYTES <= header.index_offset <= header.data_offset <= end:
        problems.append(
            _error(
                "container.bounds",
                f"tensor index at byte {header.index_offset} and data at {header.data_offset} in a file of {end} bytes",
                "byte 24, in the header",
            )
        )
    elif header.metadata_offset < header.index_offset < header.metadata_offset + header.metadata_size:
        problems.append(
            _error("container.bounds", "the tensor index begins inside the metadata", "byte 24, in the header")
        )
    if header.tensor_count > limits.tensors:
        problems.append(
            _error(
                "container.limit",
                f"{header.tensor_count} tensors, the limit is {limits.tensors}",
                "byte 8, in the header",
                "raise Limits.tensors if you trust the file",
            )
        )
    return problems


def _metadata(source: Source, header: V2Header, limits: Limits) -> Mapping[str, Json]:
    start, size = header.metadata_offset, header.metadata_size
    require_json_bytes(size, start, limits)
    limits.take(JSON_COST * size, "the metadata", f"byte {start}, in the metadata")
    value = parse_json(bytes(source.piece(start, start + size)), start, limits)
    if not isinstance(value, Mapping):
        raise _error("container.metadata", "the metadata is no JSON object", f"byte {start}, in the metadata")
    return value


def _index(source: Source, header: V2Header, end: int, limits: Limits) -> tuple[TensorEntry, ...]:
    """All entries, each checked against the data section; names strictly ascending."""
    entries: list[TensorEntry] = []
    base = position = header.index_offset
    longest = header.tensor_count * (4 + MAX_NAME_BYTES + 8 * limits.tensor_dimensions + 16)
    size = min(header.data_offset - base, longest)
    limits.take(size + header.tensor_count * ENTRY_COST, "the tensor index", f"byte {base}, the tensor index")
    data = bytes(source.piece(base, base + size))
    previous = b""
    total = 0
    for number in range(header.tensor_count):
        where = f"byte {position}, entry {number} of the tensor index"
        entry, name, after = _entry(data, position - base, header.data_offset - base, where, limits)
        position = base + after
        if number and name <= previous:
            order = "repeats a name" if name == previous else "is not in the order of names"
            raise _error("container.index", f"tensor {entry.name[:60]!r} {order}", where)
        previous = name
        if entry.offset + entry.size > end - header.data_offset:
            raise _error(
                "container.bounds",
                f"tensor {entry.name[:60]!r} ends {entry.offset + entry.size} bytes into a data section of "
                f"{end - header.data_offset}",
                where,
            )
        needed = entry.type.stored_bytes(entry.n_elements)
        if needed != entry.size:
            raise _error(
                "container.tensor",
                f"tensor {entry.name[:60]!r} of shape {list(entry.shape)} takes {needed} bytes as {entry.type.name}, "
                f"the index says {entry.size}",
                where,
            )
        total += 4 * entry.n_elements
        if total > limits.payload_bytes:
            raise _error(
                "container.limit",
                f"the tensors take more than {limits.payload_bytes} bytes as float32",
                where,
                "raise Limits.payload_bytes if you trust the file",
            )
        entries.append(entry)
    return tuple(entries)


def _entry(data: bytes, start: int, stop: int, where: str, limits: Limits) -> tuple[TensorEntry, bytes, int]:
    """One entry, its name as bytes, and where the next one begins; places count from the start of the index."""

    def need(size: int) -> None:
        if start + size > stop:
            raise _error("container.index", "the tensor index runs into the data", where)

    need(2)
    name_size = int.from_bytes(data[start : start + 2], "little")
    if name_size > MAX_NAME_BYTES:
        raise _error("container.index", f"a tensor name of {name_size} bytes, more than {MAX_NAME_BYTES}", where)
    need(2 + name_size + 2)
    raw_name = data[start + 2 : start + 2 + name_size]
    try:
        name = raw_name.decode("utf-8")
    except UnicodeDecodeError:
        raise _error("container.index", "a tensor name is no UTF-8", where) from None
    kind, dimensions = data[start + 2 + name_size], data[start + 3 + name_size]
    if kind not in TENSOR_TYPES:
        raise _error("container.dtype", f"tensor {name[:60]!r} has the unknown type {kind}", where)
    if dimensions > limits.tensor_dimensions:
        raise _error("container.index", f"tensor {name[:60]!r} has {dimensions} dimensions", where)
    head = 4 + name_size
    need(head + 8 * dimensions + 16)
    *shape, offset, size = struct.unpack_from(f"<{dimensions + 2}Q", data, start + head)
    entry = TensorEntry(name, TENSOR_TYPES[kind], tuple(shape), offset, size)
    return entry, raw_name, start + head + 8 * dimensions + 16


def _findings(source: Source, header: V2Header, entries: tuple[TensorEntry, ...], end: int) -> tuple[str, ...]:
    """What aprender lets pass and a careful reader reports."""
    findings: list[str] = []
    if any(header.reserved):
        findings.append(f"reserved header bytes 44 to 63 are not zero: {header.reserved.hex()}")
    if not header.flags & ROW_MAJOR:
        findings.append("the ROW_MAJOR flag is missing; the tensors are read as row-major")
    unknown = header.flags & ~sum(FLAGS)
    if unknown:
        findings.append(f"unknown flags {unknown:#06x} are ignored")
    spans = sorted((entry.offset, entry.offset + entry.size, entry.name) for entry in entries)
    used = 0
    for start, stop, name in spans:
        if start % ALIGNMENT:
            findings.append(f"tensor {name[:60]!r} is not aligned to {ALIGNMENT} bytes")
        if start < used:
            findings.append(f"tensor {name[:60]!r} overlaps another one")
        elif _any(source, header.data_offset + used, header.data_offset + start):
            findings.append(f"bytes before tensor {name[:60]!r} belong to nothing")
        used = max(used, stop)
    if _any(source, header.data_offset + used, end):
        findings.append("bytes after the last tensor belong to nothing")
    return tuple(findings)


def _any(source: Source, start: int, stop: int) -> bool:
    """Whether a byte there is not 0."""
    return any(np.frombuffer(window, np.uint8).any() for window in source.windows(start, stop) if len(window))


def _values(source: Source, data_offset: int, entry: TensorEntry, limits: Limits) -> NDArray[np.float32]:
    """float32 that lies in memory is used where it lies; everything else is converted, from a file window by window."""
    start, stop = data_offset + entry.offset, data_offset + entry.offset + entry.size
    where = f"byte {start}, tensor {entry.name[:60]!r}"
    kind, n = entry.type, entry.n_elements
    if isinstance(source, PagedFile):
        limits.take(4 * n, "a tensor", where)
        values = np.empty(n, np.float32)
        kind.convert_windows(source.windows(start, stop), values)
    else:
        limits.take(0 if kind.in_place else 4 * n, "a tensor", where)
        values = kind.to_float32(memoryview(source.data)[start:stop], n)
    values = values.reshape(entry.shape)
    values.flags.writeable = False
    return values
