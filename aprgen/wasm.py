"""What a WebAssembly module says of itself: bytes of code and data, and the size of each function.

Knows the binary format's sections as far as that needs. Runs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aprgen.errors import ToolchainError

_CUSTOM, _IMPORT, _CODE, _DATA = 0, 2, 10, 11
_FUNCTION_NAMES = 1


@dataclass(frozen=True)
class WasmModule:
    """functions: name and bytes of body; a function without a name is called by its number."""

    code_bytes: int
    data_bytes: int
    functions: tuple[tuple[str, int], ...]


def read_wasm(path: Path) -> WasmModule:
    """Read a module that the linker made."""
    data = path.read_bytes()
    if data[:8] != b"\0asm\x01\0\0\0":
        raise ToolchainError(
            "wasm.read", "the linker's output is no WebAssembly module", where=path.name, hint="check the linker"
        )
    code_bytes = data_bytes = 0
    sizes: list[int] = []
    names: dict[int, str] = {}
    n_imported = 0
    at = 8
    while at < len(data):
        kind = data[at]
        size, at = _number(data, at + 1)
        end = at + size
        if kind == _CODE:
            code_bytes = size
            sizes = _bodies(data, at)
        elif kind == _DATA:
            data_bytes = size
        elif kind == _IMPORT:
            n_imported, _ = _number(data, at)
        elif kind == _CUSTOM:
            length, start = _number(data, at)
            if data[start : start + length] == b"name":
                names = _function_names(data, start + length, end)
        at = end
    functions = tuple(
        (names.get(n_imported + i, f"function {n_imported + i}"), size) for i, size in enumerate(sizes)
    )
    return WasmModule(code_bytes, data_bytes, functions)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number and the position after it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _bodies(data: bytes, at: int) -> list[int]:
    n, at = _number(data, at)
    sizes = []
    for _ in range(n):
        size, at = _number(data, at)
        sizes.append(size)
        at += size
    return sizes


def _function_names(data: bytes, at: int, end: int) -> dict[int, str]:
    names = {}
    while at < end:
        kind = data[at]
        size, at = _number(data, at + 1)
        if kind == _FUNCTION_NAMES:
            n, inner = _number(data, at)
            for _ in range(n):
                index, inner = _number(data, inner)
                length, inner = _number(data, inner)
                names[index] = data[inner : inner + length].decode("utf-8", "replace")
                inner += length
        at += size
    return names
