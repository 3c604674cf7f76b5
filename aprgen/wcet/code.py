"""The code of a linked program: which function owns which bytes, and which of the bytes are constants.

Knows symbols and mapping symbols. Decodes nothing; what an instruction means is `decode`'s.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from aprgen.elf import Elf, Symbol, read_elf
from aprgen.errors import ToolchainError, UnsupportedError

Architecture = Literal["v6-M", "v7-M", "v7E-M", "v8-M", "v8.1-M", "x86-64", "AArch64", "wasm"]

# Tag_CPU_arch of the ABI addenda for the Arm architecture.
_ARM: Mapping[int, Architecture] = {10: "v7-M", 11: "v6-M", 12: "v6-M", 13: "v7E-M", 17: "v8-M", 21: "v8.1-M"}
_OTHERS: Mapping[str, Architecture] = {"x64": "x86-64", "AArch64": "AArch64"}


@dataclass(frozen=True)
class Function:
    """A function and the bytes from its entry to the next function's; names are all symbols at its entry.

    data: half-open address ranges in it that hold constants, such as literal pools.
    """

    name: str
    names: tuple[str, ...]
    address: int
    code: bytes
    data: tuple[tuple[int, int], ...]

    @property
    def end(self) -> int:
        return self.address + len(self.code)

    def holds(self, address: int) -> bool:
        return self.address <= address < self.end


@dataclass(frozen=True)
class Memory:
    """Bytes of the image at the addresses where the program finds them when it runs."""

    address: int
    data: bytes
    writable: bool


@dataclass(frozen=True)
class Code:
    """functions: by ascending address; together they cover all executable sections from the first function on."""

    file: str
    architecture: Architecture
    functions: tuple[Function, ...]
    memory: tuple[Memory, ...]

    def function(self, name: str) -> Function:
        """The function with that symbol at its entry; its absence is a fault of the build."""
        for function in self.functions:
            if name in function.names:
                return function
        raise ToolchainError(
            "wcet.function", f"the program holds no function {name}", where=self.file,
            hint="keep it when linking (-Wl,-u) and do not strip the program",
        )  # fmt: skip

    def owner(self, address: int) -> Function | None:
        """The function whose bytes hold the address."""
        number = bisect_right(self.functions, address, key=lambda function: function.address) - 1
        if number < 0 or not self.functions[number].holds(address):
            return None
        return self.functions[number]

    def label(self, address: int) -> str:
        """The address as people read it: name, or name+0x12."""
        owner = self.owner(address)
        if owner is None:
            return f"{address:#x}"
        return owner.name if owner.address == address else f"{owner.name}+{address - owner.address:#x}"

    def constant(self, address: int, size: int) -> bytes | None:
        """Bytes that nothing in the program can change, or None."""
        for memory in self.memory:
            if memory.address <= address and address + size <= memory.address + len(memory.data):
                return None if memory.writable else memory.data[address - memory.address :][:size]
        return None


def read_code(path: Path) -> Code:
    """Read the functions of a linked program."""
    return code_of(read_elf(path), path.name)


def code_of(elf: Elf, file: str) -> Code:
    """The functions of a linked program; file is its name in messages."""
    architecture = _ARM.get(elf.architecture) if elf.machine == "ARM" else _OTHERS.get(elf.machine)
    if architecture is None:
        raise UnsupportedError(
            "wcet.architecture", "the program is not for a core whose instructions can be analysed", where=file,
            hint="choose a Cortex-M, AArch64 or x86-64 target",
        )  # fmt: skip
    memory = tuple(Memory(s.run_address, s.data, s.writable) for s in elf.segments if s.data)
    functions: list[Function] = []
    marks = _data_marks(elf)
    begins_as_data = architecture != "x86-64"  # which has no mapping symbols
    for section in sorted(elf.sections, key=lambda section: section.address):
        if section.placement != "text":
            continue
        end = section.address + section.size
        named: dict[int, list[Symbol]] = {}
        for symbol in elf.symbols:
            if symbol.is_function and symbol.section == section.index:
                named.setdefault(symbol.address, []).append(symbol)
        starts = sorted(named)
        for start, stop in pairwise([*starts, end]):  # a section without names, such as .plt, gives none
            names = tuple(sorted((symbol.name for symbol in named[start]), key=_rank))
            data = _data_ranges(marks.get(section.index, []), start, stop, begins_as_data)
            code = _bytes_at(memory, start, stop - start, file, names[0])
            functions.append(Function(names[0], names, start, code, data))
    return Code(file, architecture, tuple(functions), memory)


def _rank(name: str) -> tuple[bool, str]:
    """Of several names the run-time ABI's is the one that people know."""
    return (not name.startswith("__aeabi_"), name)


def _data_marks(elf: Elf) -> Mapping[int, list[tuple[int, bool]]]:
    """Per section, where code ($t) and constants ($d) begin, by address."""
    marks: dict[int, set[tuple[int, bool]]] = {}
    for symbol in elf.symbols:
        kind = symbol.name.split(".")[0]
        if kind in ("$t", "$x", "$d", "$a") and not symbol.is_function:
            # Arm code does not exist on Cortex-M; reached as constants, it is refused.
            marks.setdefault(symbol.section, set()).add((symbol.address, kind in ("$d", "$a")))
    return {section: sorted(found) for section, found in marks.items()}


def _data_ranges(
    marks: list[tuple[int, bool]], start: int, stop: int, is_data: bool
) -> tuple[tuple[int, int], ...]:
    """What is constant from start to stop. is_data: what stands before the first mark; unmarked, nothing is known to
    be code."""
    begin = start
    ranges: list[tuple[int, int]] = []
    for address, data in marks:
        if address >= stop:
            break
        if address > start:
            if is_data and not data:
                ranges.append((begin, address))
            elif data and not is_data:
                begin = address
        is_data = data
    if is_data:
        ranges.append((begin, stop))
    return tuple(found for found in ranges if found[0] < found[1])


def _bytes_at(memory: tuple[Memory, ...], address: int, size: int, file: str, name: str) -> bytes:
    for one in memory:
        if one.address <= address and address + size <= one.address + len(one.data):
            return one.data[address - one.address :][:size]
    raise ToolchainError(
        "wcet.bytes", f"the program does not hold the bytes of {name}", where=file,
        hint="analyse the linked program, not an object file",
    )  # fmt: skip
