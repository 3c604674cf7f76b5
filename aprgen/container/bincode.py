"""Layouts of bincode 1.3 as values: state a struct once, decode and encode it both.

A codec is any object with `decode`, `encode` and `min_bytes`; families add their own where recursion would be deep.
Knows no particular struct.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from aprgen.container.cursor import Cursor, Origin
from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.container.source import Bytes

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

MAX_DIMENSION = 1 << 31  # rows or columns of a matrix without elements, which no byte backs


class Codec(Protocol[T]):
    """One type's layout. `decode` raises PayloadError; `encode` raises ValueError for a value that does not fit."""

    @property
    def min_bytes(self) -> int:
        """The fewest bytes a value takes: bounds how many items the bytes left can hold."""
        ...

    def decode(self, cursor: Cursor) -> T: ...

    def encode(self, value: T, out: bytearray) -> None: ...


def decode(codec: Codec[T], data: Bytes, limits: Limits = DEFAULT_LIMITS, origin: Origin | None = None) -> T:
    """The value in `data`; a byte left over is an error, as the length often tells structs apart."""
    cursor = Cursor(data, limits, origin)
    value = codec.decode(cursor)
    cursor.finish()
    return value


def encode(codec: Codec[T], value: T) -> bytes:
    out = bytearray()
    codec.encode(value, out)
    return bytes(out)


def _pack(form: str, value: int | float, out: bytearray) -> None:
    try:
        out += struct.pack(form, value)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"{value!r} does not fit its field: {error}") from None


@dataclass(frozen=True)
class Integer:
    form: str  # of the struct module, little-endian
    min_bytes: int

    def decode(self, cursor: Cursor) -> int:
        return int(struct.unpack_from(self.form, cursor.data, cursor.take(self.min_bytes))[0])

    def encode(self, value: int, out: bytearray) -> None:
        _pack(self.form, value, out)


@dataclass(frozen=True)
class Float:
    """A float32 or float64 as a Python float. The payload of a signalling NaN is not kept."""

    form: str
    min_bytes: int

    def decode(self, cursor: Cursor) -> float:
        return float(struct.unpack_from(self.form, cursor.data, cursor.take(self.min_bytes))[0])

    def encode(self, value: float, out: bytearray) -> None:
        _pack(self.form, value, out)


@dataclass(frozen=True)
class Bool:
    min_bytes: int = 1

    def decode(self, cursor: Cursor) -> bool:
        return cursor.boolean()

    def encode(self, value: bool, out: bytearray) -> None:
        out.append(1 if value else 0)


@dataclass(frozen=True)
class String:
    min_bytes: int = 8

    def decode(self, cursor: Cursor) -> str:
        return cursor.string()

    def encode(self, value: str, out: bytearray) -> None:
        data = value.encode("utf-8")
        _pack("<Q", len(data), out)
        out += data


U8 = Integer("<B", 1)
U16 = Integer("<H", 2)
U32 = Integer("<I", 4)
U64 = Integer("<Q", 8)  # also usize
I8 = Integer("<b", 1)
I32 = Integer("<i", 4)
F32 = Float("<f", 4)
F64 = Float("<d", 8)
BOOL = Bool()
STRING = String()


@dataclass(frozen=True)
class Array:
    """Vec of a number type, as a read-only numpy array: a view of the payload, so bits are kept."""

    dtype: np.dtype[Any]
    min_bytes: int = 8

    def decode(self, cursor: Cursor) -> NDArray[Any]:
        return cursor.array(self.dtype, cursor.count(self.dtype.itemsize))

    def encode(self, value: NDArray[Any] | Sequence[float] | Sequence[int], out: bytearray) -> None:
        array = np.ascontiguousarray(value, dtype=self.dtype)
        if array.ndim != 1:
            raise ValueError(f"a Vec has one dimension, not {array.ndim}")
        _pack("<Q", array.size, out)
        out += array.tobytes()


F32S = Array(np.dtype("<f4"))
F64S = Array(np.dtype("<f8"))
U64S = Array(np.dtype("<u8"))
U32S = Array(np.dtype("<u4"))
I32S = Array(np.dtype("<i4"))
I8S = Array(np.dtype("i1"))
U8S = Array(np.dtype("u1"))


@dataclass(frozen=True)
class Matrix:
    """Vec<f32>, rows, columns; row-major. aprender does not check that they agree; we do."""

    min_bytes: int = 24

    def decode(self, cursor: Cursor) -> NDArray[np.float32]:
        start = cursor.position
        data = F32S.decode(cursor)
        rows, cols = cursor.u64(), cursor.u64()
        if rows * cols != data.size:
            raise cursor.error("payload.matrix", f"a matrix of {rows} x {cols} holds {data.size} numbers", at=start)
        if max(rows, cols) >= MAX_DIMENSION:
            raise cursor.error("payload.matrix", f"a matrix of {rows} x {cols} is impossibly long", at=start)
        return data.reshape(rows, cols)

    def encode(self, value: NDArray[np.float32], out: bytearray) -> None:
        if value.ndim != 2:
            raise ValueError(f"a matrix has two dimensions, not {value.ndim}")
        F32S.encode(value.reshape(-1), out)
        U64.encode(value.shape[0], out)
        U64.encode(value.shape[1], out)


MATRIX = Matrix()


@dataclass(frozen=True)
class Option(Generic[T]):
    inner: Codec[T]
    min_bytes: int = 1

    def decode(self, cursor: Cursor) -> T | None:
        return self.inner.decode(cursor) if cursor.boolean() else None

    def encode(self, value: T | None, out: bytearray) -> None:
        BOOL.encode(value is not None, out)
        if value is not None:
            self.inner.encode(value, out)


@dataclass(frozen=True)
class Vec(Generic[T]):
    inner: Codec[T]
    min_bytes: int = 8

    def decode(self, cursor: Cursor) -> tuple[T, ...]:
        count = cursor.items(self.inner.min_bytes)
        return tuple([self.inner.decode(cursor) for _ in range(count)])

    def encode(self, value: Sequence[T], out: bytearray) -> None:
        U64.encode(len(value), out)
        for item in value:
            self.inner.encode(item, out)


@dataclass(frozen=True)
class Map(Generic[K, V]):
    """A hash map as pairs in file order, which is random in aprender; a repeated key is an error."""

    key: Codec[K]
    value: Codec[V]
    min_bytes: int = 8

    def decode(self, cursor: Cursor) -> tuple[tuple[K, V], ...]:
        count = cursor.items(self.key.min_bytes + self.value.min_bytes)
        pairs: dict[K, V] = {}
        for _ in range(count):
            start = cursor.position
            key = self.key.decode(cursor)
            if key in pairs:
                raise cursor.error("payload.repeated", f"the key {_brief(key)} occurs twice in a map", at=start)
            pairs[key] = self.value.decode(cursor)
        return tuple(pairs.items())

    def encode(self, value: Sequence[tuple[K, V]], out: bytearray) -> None:
        U64.encode(len(value), out)
        for key, item in value:
            self.key.encode(key, out)
            self.value.encode(item, out)


@dataclass(frozen=True)
class Set(Generic[T]):
    """A hash set as a tuple in file order; a repeated member is an error."""

    inner: Codec[T]
    min_bytes: int = 8

    def decode(self, cursor: Cursor) -> tuple[T, ...]:
        members: dict[T, None] = {}
        for _ in range(cursor.items(self.inner.min_bytes)):
            start = cursor.position
            member = self.inner.decode(cursor)
            if member in members:
                raise cursor.error("payload.repeated", f"{_brief(member)} occurs twice in a set", at=start)
            members[member] = None
        return tuple(members)

    def encode(self, value: Sequence[T], out: bytearray) -> None:
        U64.encode(len(value), out)
        for item in value:
            self.inner.encode(item, out)


class Tuple:
    """A tuple of fixed length: the items, nothing between."""

    def __init__(self, *items: Codec[Any]) -> None:
        self.items = items
        self.min_bytes = sum(item.min_bytes for item in items)

    def decode(self, cursor: Cursor) -> tuple[object, ...]:
        return tuple([item.decode(cursor) for item in self.items])

    def encode(self, value: tuple[object, ...], out: bytearray) -> None:
        for codec, item in zip(self.items, value, strict=True):
            codec.encode(item, out)


class Record:
    """A struct: fields in order. `name` and the field's name appear in messages."""

    def __init__(self, name: str, fields: Sequence[tuple[str, Codec[Any]]]) -> None:
        self.name = name
        self.fields = tuple(fields)
        self.min_bytes = sum(codec.min_bytes for _, codec in self.fields)
        self._places = tuple((key, f"{name}.{key}", codec) for key, codec in self.fields)

    def decode(self, cursor: Cursor) -> dict[str, object]:
        values: dict[str, object] = {}
        outer = cursor.field
        for key, place, codec in self._places:
            cursor.field = place
            values[key] = codec.decode(cursor)
        cursor.field = outer
        return values

    def encode(self, value: dict[str, object], out: bytearray) -> None:
        if tuple(value) != tuple(key for key, _ in self.fields):
            raise ValueError(f"{self.name} has the fields {[key for key, _ in self.fields]}, not {list(value)}")
        for key, codec in self.fields:
            codec.encode(value[key], out)


class Enum:
    """A Rust enum as (variant name, its value or None); the file holds the position in the declaration, a u32."""

    def __init__(self, name: str, variants: Sequence[tuple[str, Codec[Any] | None]]) -> None:
        self.name = name
        self.variants = tuple(variants)
        self.min_bytes = 4 + min(0 if codec is None else codec.min_bytes for _, codec in self.variants)

    def decode(self, cursor: Cursor) -> tuple[str, object]:
        start = cursor.position
        index = cursor.u32()
        if index >= len(self.variants):
            raise cursor.error(
                "payload.variant", f"variant {index} of {self.name}, which has {len(self.variants)}", at=start
            )
        variant, codec = self.variants[index]
        return variant, None if codec is None else codec.decode(cursor)

    def encode(self, value: tuple[str, object], out: bytearray) -> None:
        names = [variant for variant, _ in self.variants]
        if value[0] not in names:
            raise ValueError(f"{self.name} has the variants {names}, not {value[0]!r}")
        index = names.index(value[0])
        U32.encode(index, out)
        codec = self.variants[index][1]
        if codec is not None:
            codec.encode(value[1], out)


def _brief(key: object) -> str:
    text = repr(key)
    return text if len(text) <= 40 else text[:37] + "..."
