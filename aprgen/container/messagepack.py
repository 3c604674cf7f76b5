"""MessagePack as aprender's metadata uses it: nil, bool, integers, floats, strings, arrays and maps.

A reader of our own because a stranger's file must be refused at a byte position, with bounded items and depth, with
repeated keys noticed, and with float32 told apart from float64 so that a value is written back as it was. What JSON
has no form for (bytes, extension types) is refused.
Knows nothing of the metadata's fields.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TypeAlias

from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.errors import ContainerError


class Float32(float):
    """A float that is stored in four bytes."""


Value: TypeAlias = "bool | int | float | str | tuple[Value, ...] | Mapping[str, Value] | None"

_SIZES = {0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}
_NUMBERS = {
    0xCA: struct.Struct(">f"),
    0xCB: struct.Struct(">d"),
    0xCC: struct.Struct(">B"),
    0xCD: struct.Struct(">H"),
    0xCE: struct.Struct(">I"),
    0xCF: struct.Struct(">Q"),
    0xD0: struct.Struct(">b"),
    0xD1: struct.Struct(">h"),
    0xD2: struct.Struct(">i"),
    0xD3: struct.Struct(">q"),
}


class _Open:
    """An array or map whose items are still being read."""

    __slots__ = ("is_map", "items", "key", "keys", "left")

    def __init__(self, is_map: bool, left: int) -> None:
        self.is_map = is_map
        self.left = left
        self.items: list[Value] = []
        self.keys: dict[str, None] = {}
        self.key: str | None = None

    def close(self) -> Value:
        return dict(zip(self.keys, self.items, strict=True)) if self.is_map else tuple(self.items)


def unpack(data: bytes, base: int = 0, limits: Limits = DEFAULT_LIMITS) -> tuple[Value, int]:
    """The first value in `data`, and how many bytes it took. `base` is where the data lies in the file."""
    position = 0
    items_left = limits.metadata_items
    stack: list[_Open] = []

    def fail(what: str, at: int, hint: str = "") -> ContainerError:
        return ContainerError(
            "container.metadata",
            what,
            where=f"byte {base + at}, in the metadata",
            hint=hint or "the metadata is damaged; export the model again",
        )

    def step(size: int, at: int) -> int:
        nonlocal position
        if size > len(data) - position:
            raise fail(f"the metadata ends inside a value: {size} bytes needed, {len(data) - position} left", at)
        position += size
        return position - size

    while True:
        at = position
        marker = data[step(1, at)]
        opened: _Open | None = None
        value: Value = None
        is_text = False
        if marker <= 0x7F:
            value = marker
        elif marker <= 0x8F:
            opened = _Open(True, marker & 0x0F)
        elif marker <= 0x9F:
            opened = _Open(False, marker & 0x0F)
        elif marker <= 0xBF or 0xD9 <= marker <= 0xDB:
            size = marker & 0x1F
            if marker >= 0xD9:
                size = int.from_bytes(data[step(_SIZES[marker], at) : position], "big")
            start = step(size, at)
            try:
                value = data[start:position].decode("utf-8")
            except UnicodeDecodeError as error:
                raise fail("a string is no UTF-8", start + error.start) from None
            is_text = True
        elif marker == 0xC0:
            value = None
        elif marker in (0xC2, 0xC3):
            value = marker == 0xC3
        elif marker in _NUMBERS:
            number = _NUMBERS[marker]
            (found,) = number.unpack_from(data, step(number.size, at))
            value = Float32(found) if marker == 0xCA else found
        elif marker >= 0xE0:
            value = marker - 0x100
        elif marker in (0xDC, 0xDD, 0xDE, 0xDF):
            opened = _Open(marker >= 0xDE, int.from_bytes(data[step(_SIZES[marker], at) : position], "big"))
        else:
            raise fail(f"{marker:#04x} marks bytes, an extension type or nothing at all", at)

        items_left -= 1
        if items_left < 0:
            raise fail(
                f"more than {limits.metadata_items} values",
                at,
                "raise Limits.metadata_items if you trust the file",
            )
        if stack and stack[-1].is_map and stack[-1].key is None:
            # A key: only strings name fields, and the second of two equal keys would hide the first.
            if not is_text or not isinstance(value, str):
                raise fail("a map key is no string", at)
            if value in stack[-1].keys:
                raise fail(f"the key {value[:40]!r} occurs twice in one map", at)
            stack[-1].key = value
            continue
        if opened is not None:
            if opened.left * (2 if opened.is_map else 1) > len(data) - position:
                raise fail(f"an array or map of {opened.left} entries, but {len(data) - position} bytes are left", at)
            if len(stack) >= limits.metadata_depth:
                raise fail(f"values are nested deeper than {limits.metadata_depth}", at)
            if opened.left:
                stack.append(opened)
                continue
            value = opened.close()
        while stack:
            top = stack[-1]
            top.items.append(value)
            if top.key is not None:
                top.keys[top.key] = None
                top.key = None
            top.left -= 1
            if top.left:
                break
            value = stack.pop().close()
        if not stack:
            return value, position


def pack(value: Value) -> bytes:
    """Shortest integers and lengths, counts always stated, as aprender's writer does."""
    out = bytearray()
    _pack(value, out)
    return bytes(out)


def _pack(value: Value, out: bytearray) -> None:
    if value is None:
        out.append(0xC0)
    elif isinstance(value, bool):
        out.append(0xC3 if value else 0xC2)
    elif isinstance(value, int):
        _pack_integer(value, out)
    elif isinstance(value, float):
        out += struct.pack(">Bf", 0xCA, value) if isinstance(value, Float32) else struct.pack(">Bd", 0xCB, value)
    elif isinstance(value, str):
        data = value.encode("utf-8")
        if len(data) < 32:
            out.append(0xA0 | len(data))
        else:
            _pack_length(len(data), (0xD9, 0xDA, 0xDB), out)
        out += data
    elif isinstance(value, tuple):
        if len(value) < 16:
            out.append(0x90 | len(value))
        else:
            _pack_length(len(value), (None, 0xDC, 0xDD), out)
        for item in value:
            _pack(item, out)
    else:
        if len(value) < 16:
            out.append(0x80 | len(value))
        else:
            _pack_length(len(value), (None, 0xDE, 0xDF), out)
        for key, item in value.items():
            _pack(key, out)
            _pack(item, out)


def _pack_length(length: int, markers: tuple[int | None, int, int], out: bytearray) -> None:
    if length < 1 << 8 and markers[0] is not None:
        out += struct.pack(">BB", markers[0], length)
    elif length < 1 << 16:
        out += struct.pack(">BH", markers[1], length)
    else:
        out += struct.pack(">BI", markers[2], length)


def _pack_integer(value: int, out: bytearray) -> None:
    if 0 <= value < 1 << 7:
        out.append(value)
    elif -32 <= value < 0:
        out.append(value + 0x100)
    else:
        unsigned = ((8, 0xCC, ">BB"), (16, 0xCD, ">BH"), (32, 0xCE, ">BI"), (64, 0xCF, ">BQ"))
        signed = ((8, 0xD0, ">Bb"), (16, 0xD1, ">Bh"), (32, 0xD2, ">Bi"), (64, 0xD3, ">Bq"))
        for bits, marker, form in unsigned if value >= 0 else signed:
            if (0 <= value < 1 << bits) or (-(1 << (bits - 1)) <= value < 0):
                out += struct.pack(form, marker, value)
                return
        raise ValueError(f"{value} does not fit 64 bits")
