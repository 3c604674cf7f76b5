"""Timing tables: cycles of one instruction on one core, best and worst, after one known predecessor.

Knows the form of targets/timing/*.toml and how a row, the refill and the stall rules add up; for cores without a table,
what an instruction counts as instead. Knows nothing of blocks, paths or memory; a kind without a row is refused.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar

from aprgen.errors import UnsupportedError, UsageError
from aprgen.resources import folder
from aprgen.wcet.decode import KINDS
from aprgen.wcet.instruction import STRUCTURE

if TYPE_CHECKING:
    from aprgen.wcet.instruction import Instruction

Access = Literal["", "load", "store"]
Status = Literal["bound", "bound-measured-table", "instruction-count"]
Unit = Literal["cycles", "instructions", "accesses", "loads", "stores", "bytes"]

COUNTED: tuple[Unit, ...] = ("instructions", "accesses", "loads", "stores", "bytes")  # where no cycles are known

_ACCESSES: Mapping[str, Access] = {"": "", "load": "load", "store": "store"}
_STATUSES: Mapping[str, Status] = {"bound": "bound", "bound-measured-table": "bound-measured-table"}
_Word = TypeVar("_Word", bound=str)
_HAZARDS = ("address", "literal", "wide_pair", "wide_landing", "late_result")


@dataclass(frozen=True)
class Cycles:
    """An interval of cycles."""

    best: int
    worst: int

    def __add__(self, other: Cycles) -> Cycles:
        return Cycles(self.best + other.best, self.worst + other.worst)


@dataclass(frozen=True)
class Row:
    """One kind of instruction: `cycles`, plus `each` per register of a multiple transfer, plus `pc` if it loads the PC.

    `late`: the result costs a next instruction that wants it the hazard `late_result`.
    """

    cycles: Cycles
    each: int
    pc: int
    access: Access
    late: bool
    option: str
    source: str


@dataclass(frozen=True)
class Timing:
    """One core's table with its options settled. `assumptions` are sentences for the report."""

    core: str
    status: Status
    summary: str
    rows: Mapping[str, Row]
    refill: Cycles  # after every taken transfer of control
    skipped: Cycles  # an instruction whose condition fails, an untaken branch too
    hazards: Mapping[str, int]  # name -> cycles in the worst case; the best case has none
    assumptions: tuple[str, ...]
    sha256: str
    unit: Unit = "cycles"  # of every figure made from this value; counts have no rows

    def row(self, kind: str, where: str) -> Row:
        """The row of that kind, or a refusal that names the instruction."""
        if self.unit != "cycles":
            return _UNPRICED
        if kind not in self.rows:
            raise UnsupportedError(
                "wcet.timing", f"the timing table of {self.core} has no figure for an instruction of kind {kind!r}",
                where=where, hint="choose a numeric mode or a model kind that does not need it, or another core, "
                "or state a measured figure with --timing FILE",
            )  # fmt: skip
        return self.rows[kind]


_UNPRICED = Row(Cycles(0, 0), 0, 0, "", late=False, option="", source="")


def counting(core: str, unit: Unit) -> Timing:
    """Counts in place of cycles: an instruction is 1 instruction, and as many accesses or bytes as it moves."""
    meaning = f"counts of {core}: an instruction is one, executed or skipped; an access is one register moved"
    digest = hashlib.sha256(f"{meaning}; unit {unit}".encode()).hexdigest()
    nothing = Cycles(0, 0)
    return Timing(core, "instruction-count", meaning, {}, nothing, nothing, {}, (meaning,), digest, unit)


def timing_cores() -> tuple[str, ...]:
    """The cores with a timing table, sorted."""
    return tuple(sorted(path.stem for path in (folder("targets") / "timing").glob("*.toml")))


def load_timing(core: str, options: Mapping[str, int] | None = None) -> Timing:
    """The table of that core. `options` settles what the maker of a chip may choose; left open, all choices count."""
    if core not in timing_cores():
        raise UnsupportedError(
            "wcet.core", f"there is no timing table for {core}, so no bound in cycles", where="--target",
            hint=f"cycles are bounded for {', '.join(timing_cores())}",
        )  # fmt: skip
    path = folder("targets") / "timing" / f"{core}.toml"
    return read_timing(path.read_bytes(), f"timing/{core}.toml", options or {})


def read_timing(data: bytes, where: str, options: Mapping[str, int]) -> Timing:
    """The table in these bytes; `options` as for load_timing()."""
    table = _Table(tomllib.loads(data.decode("utf-8")), where)
    core, summary = table.text("core"), table.text("summary")
    settled, assumptions = _options(table.optional("options"), options, core)
    rows, hazards = table.table("rows"), table.table("hazards")
    timing = Timing(
        core=core,
        status=table.one_of("status", _STATUSES),
        summary=summary,
        rows={kind: _row(rows.table(kind), settled) for kind in tuple(rows.left)},
        refill=_sourced(table.table("refill")),
        skipped=_sourced(table.table("skipped")),
        hazards={name: _hazard(hazards.table(name), name) for name in tuple(hazards.left)},
        assumptions=(f"timing table of {core}: {summary}", *_citations(table.table("sources")), *assumptions),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    table.end()
    return timing


@dataclass(frozen=True, eq=False)
class Figures:
    """A user's own rows for the table of a core, as a TOML file gave them; `where` is its name."""

    where: str
    table: Mapping[str, object]


def with_figures(timing: Timing, figures: Figures) -> Timing:
    """The table with a user's rows added or in the place of its own. It is a measured one from then on, and the
    report's assumptions list the rows with their sources."""
    table = _Table(dict(figures.table), figures.where)
    core = table.text("core")
    if core != timing.core:
        raise table.wrong("core", f"is {core!r}, but the code is for {timing.core}")
    given = table.table("rows")
    rows = {kind: _row(given.table(kind), {}) for kind in tuple(given.left)}
    table.end()
    for kind in rows:
        if kind not in KINDS:
            raise given.wrong(kind, f"is no kind of instruction; known: {', '.join(KINDS)}")
    if not rows:
        raise table.wrong("rows", "names no kind of instruction")
    listed = tuple(
        f"{kind} as stated in {figures.where}: {row.cycles.best} to {row.cycles.worst} cycles ({row.source})"
        for kind, row in rows.items()
    )
    digest = hashlib.sha256(f"{timing.sha256}{json.dumps(figures.table, sort_keys=True, default=str)}".encode())
    return replace(
        timing, status="bound-measured-table", rows={**timing.rows, **rows},
        assumptions=(*timing.assumptions, *listed), sha256=digest.hexdigest(),
    )  # fmt: skip


def base_cycles(timing: Timing, instruction: Instruction, taken: bool) -> Cycles:
    """The instruction alone, without what its predecessor adds. `taken` matters to conditional flow only."""
    if timing.unit != "cycles":
        return _amount(timing.unit, instruction, taken)
    row = timing.row(instruction.kind, _place(instruction))
    if instruction.flow != "next" and not transfers(instruction, taken):
        return timing.skipped
    cycles = row.cycles + _times(row.each, instruction.registers)
    if row.access == "load" and instruction.literal is not None:
        cycles += Cycles(0, timing.hazards.get("literal", 0))
    if instruction.flow != "next":
        cycles += timing.refill + _times(row.pc, 1)
    if instruction.predicated and instruction.flow in ("next", "call"):
        return Cycles(min(cycles.best, timing.skipped.best), max(cycles.worst, timing.skipped.worst))
    return cycles


def _amount(unit: Unit, instruction: Instruction, taken: bool) -> Cycles:
    """What an instruction counts as. One that its condition skips is an instruction, and moves nothing."""
    match unit:
        case "instructions":
            most = int(instruction.kind != STRUCTURE)
            return Cycles(most, most)
        case "loads":
            most = instruction.loads
        case "stores":
            most = instruction.stores
        case "accesses":
            most = instruction.loads + instruction.stores
        case "bytes":
            most = instruction.loaded_bytes + instruction.stored_bytes
        case "cycles":
            raise AssertionError("cycles have a table")
    if instruction.flow != "next" and not transfers(instruction, taken):
        return Cycles(0, 0)
    return Cycles(0 if instruction.predicated else most, most)


def context_cycles(timing: Timing, instruction: Instruction, previous: Instruction | None) -> int:
    """What the predecessor adds in the worst case (in the best case: nothing).

    `previous` is the instruction executed just before, at the address just before; None after a taken branch, a call
    or a return, when the pipeline was filled anew.
    """
    if timing.unit != "cycles":
        return 0
    row = timing.row(instruction.kind, _place(instruction))
    hazards = timing.hazards
    unaligned_wide = _is_unaligned_wide(instruction)
    if previous is None:
        return hazards.get("wide_landing", 0) if unaligned_wide else 0
    extra = hazards.get("wide_pair", 0) if unaligned_wide and _is_unaligned_wide(previous) else 0
    before = timing.row(previous.kind, _place(previous))
    if row.access and before.access != "load" and not instruction.addresses.isdisjoint(previous.writes):
        extra += hazards.get("address", 0)
    if before.late and not instruction.reads.isdisjoint(previous.writes):
        extra += hazards.get("late_result", 0)
    return extra


def instruction_cycles(timing: Timing, instruction: Instruction, previous: Instruction | None, taken: bool) -> Cycles:
    """One executed instruction after that predecessor; see context_cycles() and base_cycles()."""
    return base_cycles(timing, instruction, taken) + Cycles(0, context_cycles(timing, instruction, previous))


def transfers(instruction: Instruction, taken: bool) -> bool:
    """Whether control leaves the straight line. Calls count as made, also where a condition may skip them."""
    if instruction.flow == "conditional" or (instruction.predicated and instruction.flow in ("jump", "return")):
        return taken
    return instruction.flow != "next"


def _place(instruction: Instruction) -> str:
    return f"{instruction.address:#x} {instruction.text}"


def _is_unaligned_wide(instruction: Instruction) -> bool:
    return instruction.size == 4 and instruction.address % 4 == 2


def _times(cycles: int, count: int) -> Cycles:
    return Cycles(cycles * count, cycles * count)


def _options(table: _Table | None, given: Mapping[str, int], core: str) -> tuple[Mapping[str, Cycles], tuple[str, ...]]:
    """The cycles of each option, and the sentences about them."""
    settled: dict[str, Cycles] = {}
    sentences: list[str] = []
    for name in tuple(table.left) if table is not None else ():
        assert table is not None
        option = table.table(name)
        choices, unit, source = option.counts("choices"), option.text("unit"), option.text("source")
        option.end()
        words = " or ".join(str(choice) for choice in choices)
        if name not in given:
            settled[name] = Cycles(min(choices), max(choices))
            sentences.append(f"{name} not given: {max(choices)} {unit} assumed, the worst of {words} ({source})")
        elif given[name] in choices:
            settled[name] = Cycles(given[name], given[name])
            sentences.append(f"{name} as configured: {given[name]} {unit} ({source})")
        else:
            raise UsageError(
                "wcet.option", f"{name} is {given[name]}, but {core} has {words} {unit}", where="--core-option",
                hint=f"look up the part and give {name}={choices[0]} or {name}={choices[-1]}",
            )  # fmt: skip
    for name in given:
        if name not in settled:
            raise UsageError(
                "wcet.option", f"{core} has no option {name!r}", where="--core-option",
                hint=f"its options: {', '.join(settled) or 'none'}",
            )  # fmt: skip
    return settled, tuple(sentences)


def _citations(table: _Table) -> tuple[str, ...]:
    return tuple(f"source {name}: {table.text(name)}" for name in tuple(table.left))


def _row(table: _Table, options: Mapping[str, Cycles]) -> Row:
    option = table.text("option", "")
    if option and option not in options:
        raise table.wrong("option", f"names {option!r}, which is no option of this table")
    row = Row(
        cycles=options[option] if option else _interval(table),
        each=table.count("each", 0),
        pc=table.count("pc", 0),
        access=table.one_of("access", _ACCESSES, ""),
        late=table.flag("late"),
        option=option,
        source=table.text("source"),
    )
    table.end()
    return row


def _interval(table: _Table) -> Cycles:
    cycles = Cycles(table.count("best"), table.count("worst"))
    if cycles.best > cycles.worst:
        raise table.wrong("best", "is more than worst")
    return cycles


def _sourced(table: _Table) -> Cycles:
    """An interval whose source is for the reader of the file; it must be there all the same."""
    cycles = _interval(table)
    table.text("source")
    table.end()
    return cycles


def _hazard(table: _Table, name: str) -> int:
    if name not in _HAZARDS:
        raise table.wrong("", f"is no hazard; known: {', '.join(_HAZARDS)}")
    cycles = table.count("cycles")
    table.text("source")
    table.end()
    return cycles


class _Table:
    """A TOML table being read; what is left at the end was not understood."""

    def __init__(self, left: dict[str, object], where: str, prefix: str = "") -> None:
        self.left, self.where, self.prefix = dict(left), where, prefix

    def wrong(self, key: str, what: str) -> UsageError:
        return UsageError(
            "wcet.table", f"{self.prefix}{key} {what}", where=self.where,
            hint="see the timing tables that come with aprgen",
        )  # fmt: skip

    def _take(self, key: str) -> object:
        if key not in self.left:
            raise self.wrong(key, "is missing")
        return self.left.pop(key)

    def text(self, key: str, default: str | None = None) -> str:
        value = self._take(key) if default is None or key in self.left else default
        if not isinstance(value, str) or (default is None and not value):
            raise self.wrong(key, f"must be text, not {value!r}")
        return value

    def one_of(self, key: str, words: Mapping[str, _Word], default: str | None = None) -> _Word:
        value = self.text(key, default)
        if value not in words:
            raise self.wrong(key, f"is {value!r}, not one of {', '.join(filter(None, words))}")
        return words[value]

    def count(self, key: str, default: int | None = None) -> int:
        value = self._take(key) if default is None or key in self.left else default
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 1000:
            raise self.wrong(key, f"must be a whole number from 0 to 1000, not {value!r}")
        return value

    def counts(self, key: str) -> tuple[int, ...]:
        values = self._take(key)
        if not isinstance(values, list) or not values:
            raise self.wrong(key, "must be a list of whole numbers")
        return tuple(_Table({key: value}, self.where, self.prefix).count(key) for value in values)

    def flag(self, key: str) -> bool:
        value = self.left.pop(key, False)
        if not isinstance(value, bool):
            raise self.wrong(key, f"must be true or false, not {value!r}")
        return value

    def table(self, key: str) -> _Table:
        value = self._take(key)
        if not isinstance(value, dict):
            raise self.wrong(key, "must be a table")
        return _Table(value, self.where, f"{self.prefix}{key}.")

    def optional(self, key: str) -> _Table | None:
        return self.table(key) if key in self.left else None

    def end(self) -> None:
        for key in self.left:
            raise self.wrong(key, "is no key of a timing table")
