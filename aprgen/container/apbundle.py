"""`.apbundle` files of the original library: several `.apr` files in one, behind a manifest of their names and places.

    APBUNDLE | u32 version 1 | u64 manifest bytes | manifest | the files, one behind the other
    manifest: u32 version | u64 created | u32 n, description | u32 count | each: u32 n, name | u64 size | u64 offset
Offsets count from the end of the manifest. Knows nothing of what the files hold.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.errors import ContainerError, UsageError

MAGIC = b"APBUNDLE"
VERSION = 1
HEADER_BYTES = 20
MAX_FILES = 4_096
MAX_TEXT_BYTES = 1 << 16  # of the description; names have at most MAX_NAME_BYTES
MAX_NAME_BYTES = 1_024

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


@dataclass(frozen=True)
class BundledFile:
    name: str
    offset: int  # in the bundle file
    data: bytes


@dataclass(frozen=True)
class ApBundle:
    """created: Unix seconds."""

    created: int
    description: str
    files: tuple[BundledFile, ...]


def read_apbundle(data: bytes, limits: Limits = DEFAULT_LIMITS) -> ApBundle:
    """The files in their order. ContainerError unless every byte belongs to exactly one thing."""
    if len(data) > limits.file_bytes:
        raise ContainerError(
            "apbundle.limit", f"the bundle has {len(data)} bytes, the limit is {limits.file_bytes}",
            where="the whole file", hint="raise Limits.file_bytes if you trust the file",
        )  # fmt: skip
    if data[: len(MAGIC)] != MAGIC:
        raise ContainerError(
            "apbundle.magic", f"no .apbundle file: it starts with {data[:8].hex(' ') or 'nothing'}", where="byte 0",
            hint="give a file that starts with APBUNDLE",
        )  # fmt: skip
    if len(data) < HEADER_BYTES:
        raise _cut(len(data), HEADER_BYTES - len(MAGIC))
    (version,) = _U32.unpack_from(data, 8)
    _check_version(version, 8)
    (manifest_bytes,) = _U64.unpack_from(data, 12)
    end = HEADER_BYTES + manifest_bytes
    if end > len(data):
        raise _wrong(f"a manifest of {manifest_bytes} bytes, {len(data) - HEADER_BYTES} are left", 12)
    return _read_manifest(_Reader(data, HEADER_BYTES, end), data, limits)


def write_apbundle(files: Sequence[tuple[str, bytes]], *, created: int = 0, description: str = "") -> bytes:
    """A bundle as the original library writes it. UsageError for names that nobody could tell apart."""
    manifest = _U32.pack(VERSION) + _U64.pack(created) + _text(description) + _U32.pack(len(files))
    offset = 0
    seen: set[str] = set()
    for name, data in files:
        if not name or len(name.encode()) > MAX_NAME_BYTES or name in seen:
            raise UsageError(
                "apbundle.name", f"{name!r} is empty, too long or there twice", where="the names of the models",
                hint=f"give each model its own name, of at most {MAX_NAME_BYTES} bytes: NAME=FILE",
            )  # fmt: skip
        seen.add(name)
        manifest += _text(name) + _U64.pack(len(data)) + _U64.pack(offset)
        offset += len(data)
    header = MAGIC + _U32.pack(VERSION) + _U64.pack(len(manifest))
    return b"".join((header, manifest, *(data for _, data in files)))


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _U32.pack(len(encoded)) + encoded


class _Reader:
    """Reads the manifest forward, never beyond its end."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data = data
        self.at = at
        self.end = end

    def take(self, size: int) -> int:
        start = self.at
        if size > self.end - start:
            raise _wrong(f"{size} bytes are needed, {self.end - start} are left in the manifest", start)
        self.at += size
        return start

    def u32(self) -> int:
        return int(_U32.unpack_from(self.data, self.take(4))[0])

    def u64(self) -> int:
        return int(_U64.unpack_from(self.data, self.take(8))[0])

    def text(self, what: str, most: int) -> str:
        start = self.at
        size = self.u32()
        if size > most:
            raise _wrong(f"{what} of {size} bytes, at most {most} are read", start)
        first = self.take(size)
        try:
            return self.data[first : first + size].decode("utf-8")
        except UnicodeDecodeError as error:
            raise _wrong(f"{what} is no UTF-8", first + error.start) from None


def _read_manifest(reader: _Reader, data: bytes, limits: Limits) -> ApBundle:
    _check_version(reader.u32(), reader.at - 4)
    created = reader.u64()
    description = reader.text("a description", MAX_TEXT_BYTES)
    count = reader.u32()
    if count > MAX_FILES:
        raise _wrong(f"{count} files, at most {MAX_FILES} are read", reader.at - 4)
    files: list[BundledFile] = []
    seen: set[str] = set()
    expected = 0
    for _ in range(count):
        start = reader.at
        name = reader.text("a name", MAX_NAME_BYTES)
        size, offset = reader.u64(), reader.u64()
        if not name or name in seen:
            raise _wrong(f"the name {name[:60]!r} is empty or there twice", start)
        if offset != expected or size > len(data) - reader.end - expected:
            raise _wrong(
                f"{name[:60]!r} is said to be {size} bytes at {offset}; {len(data) - reader.end - expected} are left "
                f"at {expected}",
                start,
            )
        seen.add(name)
        first = reader.end + offset
        files.append(BundledFile(name, first, data[first : first + size]))
        expected += size
    if reader.at != reader.end:
        raise _wrong(f"{reader.end - reader.at} bytes of the manifest belong to nothing", reader.at)
    if reader.end + expected != len(data):
        raise _wrong(f"{len(data) - reader.end - expected} bytes after the last file", reader.end + expected)
    return ApBundle(created, description, tuple(files))


def _check_version(version: int, at: int) -> None:
    if version != VERSION:
        raise ContainerError(
            "apbundle.version", f"version {version}; version {VERSION} is supported", where=f"byte {at}",
            hint="the file is damaged or of a later version; pack it again",
        )  # fmt: skip


def _cut(size: int, missing: int) -> ContainerError:
    return ContainerError(
        "apbundle.truncated", f"the file ends after {size} bytes, within its header", where=f"byte {size}",
        hint=f"at least {missing} bytes must follow the magic; copy the file again",
    )  # fmt: skip


def _wrong(what: str, at: int) -> ContainerError:
    return ContainerError(
        "apbundle.manifest", what, where=f"byte {at}", hint="the file is damaged or edited; pack it again"
    )
