"""What an ELF file says of itself: symbols, sections that occupy memory, segments to load.

Knows pyelftools, and hides it. Knows nothing of models or targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import ARMAttributesSection, SymbolTableSection

from aprgen.errors import ToolchainError

_ALLOC = 0x2
_WRITE = 0x1
_EXECUTE = 0x4
_AARCH64_IRELATIVE = 1032  # of the ELF supplement for the architecture

Placement = Literal["text", "rodata", "data", "bss"]


@dataclass(frozen=True)
class Symbol:
    """address: bit 0, which marks Thumb code, is cleared for functions."""

    name: str
    address: int
    size: int
    is_function: bool
    section: int


@dataclass(frozen=True)
class Section:
    index: int
    name: str
    placement: Placement
    address: int
    size: int


@dataclass(frozen=True)
class Segment:
    """Bytes to load at a physical address, which on a microcontroller is where the flash holds them.

    run_address: where the program finds them when it runs; start-up code copies what differs.
    """

    address: int
    data: bytes
    memory_size: int
    writable: bool
    run_address: int


@dataclass(frozen=True)
class Elf:
    """architecture: number of the Arm architecture version for which the code was made; 0 where none is stated.

    undefined: names that the file uses and does not hold. chosen: words that start-up code fills, and the functions
    that say with what: libraries choose among forms of memset and the like so.
    """

    machine: str
    architecture: int
    symbols: tuple[Symbol, ...]
    sections: tuple[Section, ...]
    segments: tuple[Segment, ...]
    undefined: tuple[str, ...] = ()
    chosen: tuple[tuple[int, int], ...] = ()

    def function(self, name: str) -> Symbol:
        """The function of that name; its absence is a fault of the build."""
        for symbol in self.symbols:
            if symbol.name == name and symbol.is_function:
                return symbol
        raise ToolchainError(
            "elf.symbol", f"the image holds no function {name}", where="the symbol table of the image",
            hint="the generated C must define it; was the image stripped?",
        )  # fmt: skip

    def address(self, name: str) -> int:
        """The value of a linker-script symbol."""
        for symbol in self.symbols:
            if symbol.name == name:
                return symbol.address
        raise ToolchainError(
            "elf.symbol", f"the image holds no symbol {name}", where="the symbol table of the image",
            hint="the linker script must define it",
        )  # fmt: skip


def read_elf(path: Path) -> Elf:
    """Read a linked program or an object file."""
    try:
        with path.open("rb") as stream:
            return _read(ELFFile(stream))
    except (OSError, ELFError) as error:
        raise ToolchainError(
            "elf.read", f"the compiler's output is no readable ELF file: {error}", where=path.name,
            hint="only toolchains that make ELF files are supported",
        ) from error  # fmt: skip


def _read(elf: ELFFile) -> Elf:
    sections = []
    for index, section in enumerate(elf.iter_sections()):
        placement = _placement(section.header)
        if placement is not None:
            sections.append(Section(index, section.name, placement, section["sh_addr"], section["sh_size"]))
    table = elf.get_section_by_name(".symtab")
    symbols = []
    undefined = set()
    for symbol in table.iter_symbols() if isinstance(table, SymbolTableSection) else ():
        if not symbol.name or not isinstance(symbol["st_shndx"], int | str):
            continue
        if symbol["st_shndx"] == "SHN_UNDEF":
            undefined.add(symbol.name)
            continue
        kind = symbol["st_info"]["type"]
        if kind in ("STT_FUNC", "STT_NOTYPE", "STT_OBJECT"):
            index = symbol["st_shndx"] if isinstance(symbol["st_shndx"], int) else -1
            thumb = kind == "STT_FUNC" and elf.get_machine_arch() == "ARM"
            address = symbol["st_value"] & ~1 if thumb else symbol["st_value"]
            symbols.append(Symbol(symbol.name, address, symbol["st_size"], kind == "STT_FUNC", index))
    segments = [
        Segment(s["p_paddr"], s.data(), s["p_memsz"], bool(s["p_flags"] & 2), s["p_vaddr"])
        for s in elf.iter_segments()
        if s["p_type"] == "PT_LOAD"
    ]
    return Elf(
        elf.get_machine_arch(), _architecture(elf), tuple(symbols), tuple(sections), tuple(segments),
        tuple(sorted(undefined)), tuple(_chosen(elf)),
    )  # fmt: skip


def _chosen(elf: ELFFile) -> Iterator[tuple[int, int]]:
    if elf.get_machine_arch() != "AArch64":
        return
    for section in elf.iter_sections():
        if isinstance(section, RelocationSection) and section.is_RELA():
            for entry in section.iter_relocations():
                if entry["r_info_type"] == _AARCH64_IRELATIVE:
                    yield entry["r_offset"], entry["r_addend"]


def _architecture(elf: ELFFile) -> int:
    attributes = elf.get_section_by_name(".ARM.attributes")
    if not isinstance(attributes, ARMAttributesSection):
        return 0
    for vendor in attributes.iter_subsections():
        for scope in vendor.iter_subsubsections():
            for attribute in scope.iter_attributes("TAG_CPU_ARCH"):
                return int(attribute.value)
    return 0


def _placement(header: Mapping[str, object]) -> Placement | None:
    flags = header["sh_flags"]
    if not isinstance(flags, int) or not flags & _ALLOC or not header["sh_size"]:
        return None
    if header["sh_type"] == "SHT_NOBITS":
        return "bss"
    if flags & _WRITE:
        return "data"
    return "text" if flags & _EXECUTE else "rodata"
