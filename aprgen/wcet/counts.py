"""What a function executes at most where no table gives cycles: instructions, and accesses to memory of each kind.

Knows that every measure is bounded over all paths on its own, and how runs are counted where no path can be traced.
Builds nothing, and says nothing of time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.errors import ToolchainError
from aprgen.image import Image
from aprgen.runners.choose import runner_for
from aprgen.wcet.bounds import Program
from aprgen.wcet.memory import Memory
from aprgen.wcet.observe import observe
from aprgen.wcet.observed import bars, evenly, median, spelled
from aprgen.wcet.report import ACCESSES, INSTRUCTIONS, Count, Observed
from aprgen.wcet.timing import COUNTED, Timing, Unit, counting
from aprgen.wcet.trace import Executed, Traces

MEASURES: Mapping[Unit, str] = {
    "instructions": INSTRUCTIONS,
    "accesses": ACCESSES,
    "loads": "loads",
    "stores": "stores",
    "bytes": "bytes moved",
}
MOST_INSTRUCTIONS = 1_000_000  # counted per function; single steps are some 100,000 a second
FEWEST_ROWS = 10
COUNT_SECONDS = 120.0

_ANYWHERE = Memory(0, 4)
# Of a module's function the runner takes off what an empty one takes: its end, and the constant that it may return.
_TAKEN_OFF = {"instructions": 0, "wasm operators": 2}


@dataclass(frozen=True, eq=False)
class Counted:
    """One function in every measure, instructions first."""

    programs: Mapping[Unit, Program]

    @property
    def instructions(self) -> Program:
        return self.programs["instructions"]


def bound_counts(instructions: Program, bounded: Callable[[Timing], Program], core: str) -> Counted:
    """Every measure of a function, each by a solution of its own: no path need be the worst one in two of them.

    instructions: that measure's bound, which is there already.
    """
    others = {unit: bounded(counting(core, unit)) for unit in COUNTED[1:]}
    return Counted({"instructions": instructions, **others})


def count_rows(
    core: str, found: Counted, observed: Observed | None, traces: Traces | None, executed: Executed
) -> tuple[tuple[Count, ...], tuple[str, ...]]:
    """The rows of the report, and what traced runs contradict. Instructions were checked with `observed`."""
    rows = []
    violations: list[str] = []
    for unit, program in found.programs.items():
        highest = observed.high_maximum if unit == "instructions" and observed is not None else None
        if unit != "instructions" and traces is not None:
            seen = observe(traces, executed, counting(core, unit), _ANYWHERE, (), program.cycles)
            violations += [str(one) for one in seen.violations]
            highest = int(seen.high.max())
        rows.append(Count(MEASURES[unit], program.cycles, program.best, highest))
    return tuple(rows), tuple(violations)


def counted_runs(
    image: Image, function: str, rows: NDArray[np.float32], described: str, program: Program, tools: str
) -> Observed | None:
    """Instructions that the target's runner counts, for images whose path cannot be traced; None where none counts."""
    if function not in image.model.functions:
        return None
    chosen = evenly(rows, max(FEWEST_ROWS, MOST_INSTRUCTIONS // max(1, program.cycles)))
    try:
        execution = runner_for(image.target, tools).run(image, chosen, seconds=COUNT_SECONDS)
    except ToolchainError as error:
        if error.code in ("runner.missing", "runner.preference"):
            return None
        raise
    found = execution.instructions.get(function)
    if found is None or len(found.values) == 0:
        return None
    values = found.values.astype(np.int64)
    worst = int(np.argmax(values))
    high, low = int(values[worst]), int(values.min())
    violations = []
    if high > program.cycles:
        violations.append(f"a call of {function} executed {high} {found.unit}, more than the bound of {program.cycles}")
    if low + _TAKEN_OFF[found.unit] < program.best:
        violations.append(f"a call of {function} executed {low} {found.unit}, less than the {program.best} of any path")
    return Observed(
        runs=len(values),
        rows=f"{described}; counted by {execution.runner}",
        high_maximum=high,
        high_minimum=low,
        low_maximum=high,
        low_minimum=low,
        median=median(values),
        ratio=program.cycles / max(1, high),  # a module's function can be as short as the empty one it is compared with
        distribution=bars(values),
        edges_run=0,
        edges=0,
        facts_checked=0,
        violations=tuple(violations),
        worst_row=spelled(chosen[int(found.rows[worst])]),
    )
