"""Footprint: the flash, RAM and stack that a model's object code adds to an application.

Links the model alone, without its harness, and reads the sections. Knows ELF and WebAssembly; measures, never
estimates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from aprgen.elf import Elf, Section, Symbol, read_elf
from aprgen.errors import BudgetError, ToolchainError
from aprgen.image import Image
from aprgen.target import Target
from aprgen.toolchain import compile_support, link
from aprgen.wasm import read_wasm


@dataclass(frozen=True)
class FunctionSize:
    """stack_bytes: the frame that the compiler states, without callees; None when it states none.

    On x86 the compiler counts the return address as part of the frame.
    """

    name: str
    code_bytes: int
    stack_bytes: int | None


@dataclass(frozen=True)
class Footprint:
    """Bytes that the linked model takes. functions are the model's own, library those it pulled in."""

    text_bytes: int
    rodata_bytes: int
    data_bytes: int
    bss_bytes: int
    functions: tuple[FunctionSize, ...]
    library: tuple[FunctionSize, ...] = field(default=())
    codes_flash_bytes: int | None = None  # of the functions of codes, where there are any, without those of floats

    @property
    def flash_bytes(self) -> int:
        """Code, constants, and the initial values of variables."""
        return self.text_bytes + self.rodata_bytes + self.data_bytes

    @property
    def ram_bytes(self) -> int:
        """Variables; the stack comes on top."""
        return self.data_bytes + self.bss_bytes

    @property
    def library_bytes(self) -> int:
        return sum(function.code_bytes for function in self.library)


def measure(image: Image) -> Footprint:
    """Link the model's object alone, with the measured functions as roots, and read what came out.

    Once more with the functions of codes, where there are any: an application mostly uses one kind.
    """
    found = _linked(image, image.model.functions)
    if not image.model.code_functions:
        return found
    return replace(found, codes_flash_bytes=_linked(image, image.model.code_functions).flash_bytes)


def _linked(image: Image, functions: Sequence[str]) -> Footprint:
    toolchain, work = image.toolchain, image.folder
    support = compile_support(toolchain, image.target.support, (), work)
    alone = work / f"{image.model.name}.{functions[0]}.alone.{image.target.image}"
    roots = [image.model.symbol(function) for function in functions]
    link(toolchain, (image.object, *support), alone, flags=toolchain.rule.alone_flags, keep=roots, work=work)
    if image.target.image == "wasm":
        module = read_wasm(alone)
        sizes = tuple(FunctionSize(name, size, None) for name, size in module.functions)
        return Footprint(module.code_bytes, module.data_bytes, 0, 0, sizes)
    return _from_elf(read_elf(alone), read_elf(image.object), compiler_frames(image))


def check_budget(footprint: Footprint, target: Target, *, stack_bytes: int | None = None) -> None:
    """Raise BudgetError when the model needs more flash or RAM than the target gives it; stack counts as RAM."""
    if target.memory is None:
        return
    ram = footprint.ram_bytes + (stack_bytes or 0)
    wanted = (("flash", footprint.flash_bytes, target.memory.flash_bytes), ("ram", ram, target.memory.ram_bytes))
    for what, needed, there in wanted:
        if needed > there:
            raise BudgetError(
                f"budget.{what}", f"the model needs {needed} bytes of {what}, the target has {there}",
                where=f"target {target.name}",
                hint="choose a larger target, a smaller numeric mode or a smaller model",
            )  # fmt: skip


def _from_elf(elf: Elf, own: Elf, frames: Mapping[str, int]) -> Footprint:
    sections = [section for section in elf.sections if not _is_bookkeeping(section)]
    sizes = {placement: sum(s.size for s in sections if s.placement == placement) for placement in _PLACEMENTS}
    code = {section.index: section for section in sections if section.placement == "text"}
    own_names = {symbol.name for symbol in own.symbols if symbol.is_function}
    functions, library = [], []
    for symbol, size in _sized_functions(elf.symbols, code):
        if symbol.name in own_names and not symbol.name.startswith("__aeabi_"):  # apr_soft_float.h stands for a library
            functions.append(FunctionSize(symbol.name, size, frames.get(symbol.name)))
        else:
            library.append(FunctionSize(symbol.name, size, None))
    return Footprint(
        sizes["text"], sizes["rodata"], sizes["data"], sizes["bss"], tuple(functions), tuple(library)
    )


_PLACEMENTS = ("text", "rodata", "data", "bss")


def _is_bookkeeping(section: Section) -> bool:
    """Sections that a linker adds and no firmware needs: notes, tables for unwinding, and padding (.persistent)."""
    return section.name.startswith(
        (".note", ".eh_frame", ".ARM.exidx", ".ARM.extab", ".gnu", ".dyn", ".hash", ".persistent", ".noinit")
    )


def _sized_functions(symbols: Sequence[Symbol], code: Mapping[int, Section]) -> list[tuple[Symbol, int]]:
    """Functions with their bytes, by address. Each ends where the next begins at the latest.

    Library code in assembler states no size, or has several entries into one body. Of several names for one address
    the run-time ABI's (__aeabi_...) is the one that people know.
    """
    chosen: dict[tuple[int, int], Symbol] = {}
    for symbol in symbols:
        if symbol.section in code and symbol.is_function:
            key = (symbol.section, symbol.address & ~1)
            before = chosen.get(key)
            if before is None or _rank(symbol) < _rank(before):
                chosen[key] = symbol
    result = []
    ordered = sorted(chosen)
    for number, key in enumerate(ordered):
        section = code[key[0]]
        end = section.address + section.size
        if number + 1 < len(ordered) and ordered[number + 1][0] == key[0]:
            end = min(end, ordered[number + 1][1])
        symbol = chosen[key]
        result.append((symbol, min(symbol.size or end - key[1], end - key[1])))
    return result


def _rank(symbol: Symbol) -> tuple[bool, str]:
    return (not symbol.name.startswith("__aeabi_"), symbol.name)


def compiler_frames(image: Image) -> dict[str, int]:
    """What the compiler says of each function's frame, from the .su file beside the object."""
    path = image.object.with_suffix(".su")
    if not image.toolchain.rule.stack_usage:
        return {}
    frames = {}
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise ToolchainError(
            "footprint.stack", f"{image.toolchain.name} wrote no stack usage: {error.strerror}", where=path.name,
            hint="set stack_usage = false in the target file for this compiler",
        ) from error  # fmt: skip
    for line in lines:
        place, size, _ = line.split("\t")
        frames[place.rsplit(":", 1)[1]] = int(size)
    return frames
