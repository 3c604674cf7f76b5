"""The worst path in the source: which line of the C each instruction comes from, and what each line costs.

Knows DWARF line tables and how a listing is cut. The lines come from a second build with line information, which is
believed only where its code is that of the analysed image, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from elftools.common.exceptions import DWARFError, ELFError
from elftools.dwarf.compileunit import CompileUnit
from elftools.elf.elffile import ELFFile

from aprgen.wcet.bounds import Bounded, Program
from aprgen.wcet.code import read_code
from aprgen.wcet.cost import instruction_costs
from aprgen.wcet.memory import Memory
from aprgen.wcet.report import ListedInstruction, ListedLine, Listing
from aprgen.wcet.timing import Timing

WIDEST_GAP = 6  # lines between two that have code are shown up to this many
LONGEST_LINE = 160


@dataclass(frozen=True)
class Place:
    """A line of a source file, by the file's name without folders."""

    file: str
    line: int


@dataclass(frozen=True, eq=False)
class Sources:
    """places: by the address of an instruction. texts: the generated files. missing: why there are no places."""

    places: Mapping[int, Place]
    texts: Mapping[str, tuple[str, ...]]
    missing: str = ""


def sources_of(analysed: Path, with_lines: Path, texts: Mapping[str, str]) -> Sources:
    """The lines of an analysed program, out of another build of the same sources."""
    if not same_code(analysed, with_lines):
        return Sources({}, {}, "the compiler makes other code when it is asked for lines, so none are shown")
    try:
        places = line_table(with_lines)
    except (ELFError, DWARFError) as error:
        return Sources({}, {}, f"the compiler's line information cannot be read: {error}")
    return Sources(places, {name: tuple(text.splitlines()) for name, text in texts.items()})


def same_code(one: Path, other: Path) -> bool:
    """Whether two programs have the same functions at the same addresses, byte for byte, constants among them."""
    return read_code(one).functions == read_code(other).functions


def line_table(program: Path) -> Mapping[int, Place]:
    """The place of every byte of code that a line table has."""
    places: dict[int, Place] = {}
    with program.open("rb") as stream:
        elf = ELFFile(stream)
        if not elf.has_dwarf_info():
            return places
        dwarf = elf.get_dwarf_info()
        for unit in dwarf.iter_CUs():
            places.update(_of_unit(unit))
    return places


def _of_unit(unit: CompileUnit) -> Iterable[tuple[int, Place]]:
    table = unit.dwarfinfo.line_program_for_CU(unit)
    if table is None:
        return
    names = [PurePosixPath(entry.name.decode("utf-8", "replace")).name for entry in table["file_entry"]]
    before = None
    for entry in table.get_entries():
        state = entry.state
        if state is None:
            continue
        if before is not None:
            place = Place(names[before.file - 1], before.line)  # DWARF 4 counts files from 1
            for address in range(before.address, state.address):
                yield address, place
        before = None if state.end_sequence else state


def listings(program: Program, sources: Sources, timing: Timing, memory: Memory) -> tuple[Listing, ...]:
    """Every function of the call graph by the files that its code comes from, the most expensive first; none when
    there is no whole worst path."""
    if program.calls is None:
        return ()
    found = [
        one
        for name, bounded in program.functions.items()
        for one in _of_function(name, bounded, program, sources, timing, memory)
    ]
    return tuple(sorted(found, key=lambda one: (-one.cost, one.function, one.file)))


def _of_function(
    name: str, one: Bounded, program: Program, sources: Sources, timing: Timing, memory: Memory
) -> list[Listing]:
    assert program.calls is not None
    calls = program.calls[name]
    costs = instruction_costs(one.graph, one.bound.counts, timing, memory)
    by_place: dict[Place, list[ListedInstruction]] = {}
    instructions = {i.address: i for block in one.graph.blocks.values() for i in block.instructions}
    for address, instruction in sorted(instructions.items()):
        place = sources.places.get(address, Place("", 0))
        if place.file not in sources.texts or not 0 < place.line <= len(sources.texts[place.file]):
            place = Place("", 0)
        count, cost = costs[address]
        by_place.setdefault(place, []).append(
            ListedInstruction(address, instruction.text, calls * count, calls * cost)
        )
    result = []
    for file in sorted({place.file for place in by_place}):
        own = {place.line: listed for place, listed in by_place.items() if place.file == file}
        cost = sum(listed.cost for group in own.values() for listed in group)
        lines = _lines(own, sources.texts.get(file, ()), program.cycles)
        result.append(Listing(name, file, cost, cost / program.cycles, lines))
    return result


def _lines(
    own: Mapping[int, list[ListedInstruction]], texts: tuple[str, ...], total: int
) -> tuple[ListedLine, ...]:
    """Lines with code, and those between them where they are few."""
    lines: list[ListedLine] = []
    before = 0
    for number in sorted(own):
        if before and number - before - 1 <= WIDEST_GAP:
            lines += [ListedLine(n, _cut(texts[n - 1]), 0, 0, 0.0, ()) for n in range(before + 1, number)]
        group = tuple(own[number])
        cost = sum(listed.cost for listed in group)
        text = _cut(texts[number - 1]) if number else ""
        lines.append(ListedLine(number, text, max(one.count for one in group), cost, cost / total, group))
        before = number
    return tuple(lines)


def _cut(text: str) -> str:
    text = text.expandtabs(4).rstrip()
    return text if len(text) <= LONGEST_LINE else f"{text[: LONGEST_LINE - 3]}..."
