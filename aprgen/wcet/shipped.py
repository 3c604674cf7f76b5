"""Whether an ordinary compilation of the generated C gives the instructions that were analysed.

Knows the sections of object files and how they are compared. Knows no instruction, no mark and no bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

from aprgen.errors import ToolchainError
from aprgen.image import Image
from aprgen.toolchain import Toolchain, Unit, compile_units

_SHF_ALLOC = 2

# Offset, type and symbol of each reference out of a section.
_References = tuple[tuple[int, int, str], ...]


def shipped_code_is_analysed(image: Image, toolchain: Toolchain, work: Path) -> bool:
    """Compile the image's C as a user would, straight to an object, and compare all that reaches the processor."""
    out = work / f"{image.model.name}.plain.o"
    compile_units(toolchain, (Unit(image.folder / f"{image.model.name}.c", out, (), (image.folder,)),), work)
    if image.target.image != "elf":  # a module's object, which marks cannot change as there are none
        return out.read_bytes() == image.object.read_bytes()
    return loaded_contents(out) == loaded_contents(image.object)


def loaded_contents(path: Path) -> Mapping[str, tuple[bytes, _References]]:
    """Each section of an object file that is loaded: its bytes, and what the linker will write into them."""
    try:
        with path.open("rb") as stream:
            return _loaded(ELFFile(stream))
    except (OSError, ELFError) as error:
        raise ToolchainError(
            "elf.read", f"the object is no readable ELF file: {error}", where=path.name,
            hint="only toolchains that make ELF files are supported",
        ) from error  # fmt: skip


def _loaded(elf: ELFFile) -> Mapping[str, tuple[bytes, _References]]:
    sections = list(elf.iter_sections())
    references: dict[int, list[tuple[int, int, str]]] = {}
    for section in sections:
        if isinstance(section, RelocationSection):
            symbols = sections[section["sh_link"]]
            assert isinstance(symbols, SymbolTableSection)
            for entry in section.iter_relocations():
                symbol = symbols.get_symbol(entry["r_info_sym"])
                name = symbol.name or sections[symbol["st_shndx"]].name  # a section's own symbol has no name
                references.setdefault(section["sh_info"], []).append((entry["r_offset"], entry["r_info_type"], name))
    return {
        section.name: (section.data(), tuple(sorted(references.get(index, ()))))
        for index, section in enumerate(sections)
        if section["sh_flags"] & _SHF_ALLOC
    }
