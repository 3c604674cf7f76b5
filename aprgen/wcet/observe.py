"""What traced calls cost, and whether they keep the bounds and the loop facts that the analysis rests on.

Walks along executed instructions with the same timing table as the analysis, but knows neither its graphs nor its
solver: a fault of those shows as a violation. Like the bounds, the worst case counts an instruction of an IT block as
executed, as blocks do not tell whether its condition held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from aprgen.wcet.memory import Memory, base_waits, fetch_waits
from aprgen.wcet.timing import Cycles, Timing, Unit, instruction_cycles, transfers
from aprgen.wcet.trace import NOWHERE, Executed, Passage, Traces

if TYPE_CHECKING:
    from aprgen.wcet.marks import Mark

_Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Violation:
    """A call that took more than was promised. kind: cycles or another unit of the function `name`, or repetitions of
    the loop `name`: its bodies ran `observed` times, `allowed` by the times it was reached."""

    kind: Unit | Literal["loop"]
    name: str
    run: int
    observed: int
    allowed: int

    def __str__(self) -> str:
        if self.kind != "loop":
            amount = f"{self.observed} {self.kind}"
            return f"call {self.run} of {self.name} took {amount}, more than the {self.allowed} promised"
        return f"call {self.run}: the loop {self.name} ran {self.observed} times, more than the {self.allowed} promised"


@dataclass(frozen=True, eq=False)
class Observation:
    """high, low, instructions: per call, in the order of the records, with the table's worst and best figures.

    facts_checked: loops whose repetitions were counted, and that ran at least once in some call, and names under which
    something was allowed.
    """

    function: str
    high: _Numbers
    low: _Numbers
    instructions: _Numbers
    facts_checked: tuple[str, ...]
    violations: tuple[Violation, ...]

    @property
    def n_runs(self) -> int:
        return len(self.high)

    @property
    def worst_run(self) -> int:
        """The call that costs most; the first of several."""
        return int(np.argmax(self.high))


def observe(
    traces: Traces,
    executed: Executed,
    timing: Timing,
    memory: Memory,
    marks: Sequence[Mark] = (),
    bound: int | None = None,
) -> Observation:
    """Cost every call, and check it against `bound` and every loop fact of `marks`. Violations are data, not errors."""
    cycles = [passage_cycles(passage, executed, timing, memory) for passage in traces.passages]
    high = _per_path(traces, [one.worst for one in cycles])
    low = _per_path(traces, [one.best for one in cycles])
    lengths = [sum(1 for _ in executed.walk(passage.first, passage.last)) for passage in traces.passages]
    violations = []
    if bound is not None:
        function = traces.function
        violations += [
            Violation(timing.unit, function, run, int(high[path]), bound)
            for path, run in _first_runs(traces, high > bound).items()
        ]
    checked, broken = check_loops(traces, executed, marks)
    names, overspent = check_accounts(traces, executed, marks)
    return Observation(
        traces.function,
        high[traces.path_of_run],
        low[traces.path_of_run],
        _per_path(traces, lengths)[traces.path_of_run],
        (*checked, *names),
        (*violations, *broken, *overspent),
    )


def passage_cycles(passage: Passage, executed: Executed, timing: Timing, memory: Memory) -> Cycles:
    """The instructions of a passage in their context: what was executed before them, and whether they jumped."""
    instructions = tuple(executed.walk(passage.first, passage.last))
    total = Cycles(0, 0)
    previous = None if passage.before == NOWHERE else executed.at(passage.before)
    for number, instruction in enumerate(instructions):
        is_last = number == len(instructions) - 1
        follows = passage.after if is_last else instructions[number + 1].address
        taken = follows != instruction.end
        adjacent = previous is not None and previous.end == instruction.address
        context = previous if adjacent else None
        total += instruction_cycles(timing, instruction, context, taken)
        row = timing.row(instruction.kind, instruction.text)
        waits = base_waits(memory, instruction, row, transfers(instruction, taken))
        total += Cycles(0, waits + fetch_waits(memory, instruction, context))
        previous = instruction
    return total


def check_loops(
    traces: Traces, executed: Executed, marks: Sequence[Mark]
) -> tuple[tuple[str, ...], tuple[Violation, ...]]:
    """The loops that ran, and for each broken fact the first call of every path that breaks it."""
    loops: dict[tuple[str, int], tuple[list[Mark], list[Mark]]] = {}
    for mark in marks:
        if mark.bound is not None and mark.kind in ("loop", "body"):
            loops.setdefault((mark.id, mark.bound), ([], []))[mark.kind == "body"].append(mark)
    checked: set[str] = set()
    violations = []
    for (name, bound), (scopes, bodies) in sorted(loops.items()):
        reached = _passed(traces, executed, scopes)
        repeated = _passed(traces, executed, bodies)
        if reached.any() or repeated.any():
            checked.add(name)
        allowed = bound * reached
        violations += [
            Violation("loop", name, run, int(repeated[path]), int(allowed[path]))
            for path, run in _first_runs(traces, repeated > allowed).items()
        ]
    return tuple(sorted(checked)), tuple(violations)


def check_accounts(
    traces: Traces, executed: Executed, marks: Sequence[Mark]
) -> tuple[tuple[str, ...], tuple[Violation, ...]]:
    """The names under which something was allowed, and the calls that spent more."""
    names: dict[str, list[Mark]] = {}
    for mark in marks:
        if mark.bound is not None and mark.kind in ("allow", "spend", "refund"):
            names.setdefault(mark.id, []).append(mark)
    checked: list[str] = []
    violations = []
    for name, own in sorted(names.items()):
        reached = _passed(traces, executed, [mark for mark in own if mark.kind == "allow"])
        allowed = _amount(traces, executed, [mark for mark in own if mark.kind != "spend"])
        spent = _amount(traces, executed, [mark for mark in own if mark.kind == "spend"])
        checked += [name] if reached.any() else []
        violations += [
            Violation("loop", name, run, int(spent[path]), int(allowed[path]))
            for path, run in _first_runs(traces, (spent > allowed) & (reached > 0)).items()
        ]
    return tuple(checked), tuple(violations)


def check_totals(
    traces: Traces, executed: Executed, marks: Sequence[Mark], totals: Mapping[str, int]
) -> tuple[Violation, ...]:
    """For each loop that ran more often in one call than all of it may, the first call of every path that does; the
    same for what is spent."""
    violations = []
    for name, total in sorted(totals.items()):
        own = [mark for mark in marks if mark.id == name]
        repeated = _passed(traces, executed, [mark for mark in own if mark.kind == "body"])
        repeated += _amount(traces, executed, [mark for mark in own if mark.kind == "spend"])
        violations += [
            Violation("loop", name, run, int(repeated[path]), total)
            for path, run in _first_runs(traces, repeated > total).items()
        ]
    return tuple(violations)


def _passed(traces: Traces, executed: Executed, marks: Sequence[Mark]) -> _Numbers:
    """How often each path passes any of these marks."""
    return _per_path(
        traces, [sum(_passes(passage, executed, mark) for mark in marks) for passage in traces.passages]
    )


def _amount(traces: Traces, executed: Executed, marks: Sequence[Mark]) -> _Numbers:
    """The bounds of these marks, each as often as a path passes it."""
    return _per_path(
        traces,
        [sum(mark.bound or 0 for mark in marks if _passes(passage, executed, mark)) for passage in traces.passages],
    )


def _passes(passage: Passage, executed: Executed, mark: Mark) -> bool:
    """Whether the passage goes by the mark; with a label behind the mark, a jump to its address does not."""
    if not passage.first <= mark.address <= passage.last:
        return False
    if mark.address != passage.first or passage.before == NOWHERE:
        return True
    before = executed.at(passage.before)
    if before.end == passage.first:
        return True
    if not mark.label_after:
        return passage.before not in mark.passed_by
    if before.flow in ("call", "return"):  # neither is a jump to a label
        return True
    owner = executed.code.owner(passage.first)  # a tail call jumps to a function, in front of the mark
    return owner is not None and owner.address == passage.first and not owner.holds(passage.before)


def _per_path(traces: Traces, per_passage: Sequence[int]) -> _Numbers:
    """Sums over the passages of each path. float64 would be faster, and exact only below 2^53."""
    total = np.zeros(len(traces.paths), np.int64)
    for column, amount in enumerate(per_passage):
        if amount:
            total += traces.paths[:, column].astype(np.int64) * amount
    return total


def _first_runs(traces: Traces, chosen: NDArray[np.bool_]) -> Mapping[int, int]:
    """The first call of each chosen path."""
    if not chosen.any():
        return {}
    paths, runs = np.unique(traces.path_of_run, return_index=True)
    return {path: run for path, run in zip(paths.tolist(), runs.tolist(), strict=True) if chosen[path]}
