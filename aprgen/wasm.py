"""What a WebAssembly module says of itself: bytes of code and data, its functions and their bodies.

Knows the binary format's sections as far as that needs. Decodes no operator, and runs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aprgen.errors import ToolchainError

_CUSTOM, _TYPE, _IMPORT, _FUNCTION, _CODE, _DATA = 0, 1, 2, 3, 10, 11
_FUNCTION_NAMES = 1


@dataclass(frozen=True)
class WasmModule:
    """functions: name and bytes of body; a function without a name is called by its number."""

    code_bytes: int
    data_bytes: int
    functions: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class WasmBody:
    """A function: how many values it takes and gives, its further locals, and its operators."""

    name: str
    parameters: int
    results: int
    n_locals: int
    code: bytes


def read_bodies(path: Path) -> tuple[WasmBody, ...]:
    """The functions of a linked module that imports nothing, by their numbers."""
    data = _module(path)
    types: list[tuple[int, int]] = []
    of_type: list[int] = []
    bodies: list[tuple[int, bytes]] = []
    at = 8
    while at < len(data):
        kind = data[at]
        size, at = _number(data, at + 1)
        if kind == _TYPE:
            types = _types(data, at)
        elif kind == _FUNCTION:
            n, inner = _number(data, at)
            for _ in range(n):
                index, inner = _number(data, inner)
                of_type.append(index)
        elif kind == _CODE:
            bodies = _code(data, at)
        elif kind == _IMPORT and data[at] != 0:
            raise ToolchainError(
                "wasm.import", "the module imports something, so that its functions have other numbers",
                where=path.name, hint="link without imports: the generated C needs none",
            )  # fmt: skip
        at += size
    names = [name for name, _ in read_wasm(path).functions]
    return tuple(
        WasmBody(name, *types[index], n_locals, code)
        for name, index, (n_locals, code) in zip(names, of_type, bodies, strict=True)
    )


def imported_functions(path: Path) -> tuple[str, ...]:
    """Names of functions that a module or an object file needs from elsewhere, sorted."""
    data = _module(path)
    names = set()
    at = 8
    while at < len(data):
        kind = data[at]
        size, at = _number(data, at + 1)
        if kind == _IMPORT:
            n, inner = _number(data, at)
            for _ in range(n):
                length, inner = _number(data, inner)
                length, inner = _number(data, inner + length)
                name, what = data[inner : inner + length].decode("utf-8", "replace"), data[inner + length]
                inner = _after_import(data, inner + length + 1, what)
                if what == 0:
                    names.add(name)
        at += size
    return tuple(sorted(names))


def _after_import(data: bytes, at: int, what: int) -> int:
    """The position behind the description: a function's type, a table, a memory, or a global."""
    match what:
        case 0:
            return _number(data, at)[1]
        case 3:
            return at + 2
        case _:
            at += int(what == 1)  # the type of a table's elements
            limits, at = data[at], at + 1
            for _ in range(1 + (limits & 1)):
                _, at = _number(data, at)
            return at


def _types(data: bytes, at: int) -> list[tuple[int, int]]:
    """Of each type of functions, how many values go in and come out."""
    n, at = _number(data, at)
    types = []
    for _ in range(n):
        parameters, at = _number(data, at + 1)  # behind 0x60
        results, at = _number(data, at + parameters)
        at += results
        types.append((parameters, results))
    return types


def _code(data: bytes, at: int) -> list[tuple[int, bytes]]:
    """Of each body, the locals that are no parameters, and the operators."""
    n, at = _number(data, at)
    bodies = []
    for _ in range(n):
        size, at = _number(data, at)
        end = at + size
        groups, inner = _number(data, at)
        n_locals = 0
        for _ in range(groups):
            count, inner = _number(data, inner)
            n_locals += count
            inner += 1
        bodies.append((n_locals, data[inner:end]))
        at = end
    return bodies


def _module(path: Path) -> bytes:
    data = path.read_bytes()
    if data[:8] != b"\0asm\x01\0\0\0":
        raise ToolchainError(
            "wasm.read", "the linker's output is no WebAssembly module", where=path.name, hint="check the linker"
        )
    return data


def read_wasm(path: Path) -> WasmModule:
    """Read a module that the linker made."""
    data = _module(path)
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
