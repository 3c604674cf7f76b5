"""The bound of aprgen wcet for the function that decides, in the image that was run: instructions, cycles, stack.

Knows the parts of the analysis and their order; knows nothing of other generators. The loops of the image say how often
they run, so no image is built anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

from peer_figures import Bound

from aprgen.errors import ToolchainError, UnsupportedError
from aprgen.image import Image
from aprgen.program import Program
from aprgen.wcet.bounds import bound_program
from aprgen.wcet.cfg import build_graphs
from aprgen.wcet.cores import core_of
from aprgen.wcet.forests import forests, witnessed
from aprgen.wcet.isa import read_program
from aprgen.wcet.marks import read_marks
from aprgen.wcet.memory import Memory
from aprgen.wcet.selections import selection_totals
from aprgen.wcet.stack import stack_bound
from aprgen.wcet.timing import Timing, counting, load_timing, timing_cores

NAME = "m"  # of the model whose loops are marked, also where a function around it is measured
SECONDS = 3.0  # for the row that trees take longest for; the search may end above it, which is a bound still
MEMORY = Memory(0, 4)  # without wait states


@dataclass(frozen=True)
class Decided:
    """What the analysis reads of an artifact."""

    name: str
    program: Program


def bound_of(image: Image, program: Program, seconds: float = SECONDS) -> Bound:
    """program: what the image computes; it tells how trees are walked and the nearest selected.

    seconds: for the worst row of trees; 0: without, each tree then takes its own longest way.
    """
    (function,) = image.model.functions
    symbol = image.model.symbol(function)
    how = function if image.model.name == NAME else "of codes"  # these are no floats that could be followed
    core = core_of(image.toolchain) or image.target.name
    try:
        code, marks = read_program(image.program), read_marks(image.program)
        graphs = build_graphs(code, [symbol])
        stack = stack_bound(graphs, symbol).total_bytes
    except (UnsupportedError, ToolchainError) as error:  # code that is refused, or no library for it
        return Bound(None, None, None, error.what)
    decided = Decided(NAME, program)
    totals = selection_totals(decided)
    trees = cache(lambda: forests(decided, seconds))
    found: list[int | None] = []
    refused = ""
    for timing in timings(core):
        bounded = partial(bound_program, code, graphs, symbol, marks, timing, MEMORY)
        try:
            whole = bounded(totals)
            worst = None if seconds <= 0 else witnessed(
                decided, code, marks, whole, how, lambda steps, of=bounded: of({**totals, **steps}), trees,
                seconds=seconds,
            )  # fmt: skip
        except (UnsupportedError, ToolchainError) as error:
            refused = error.what
            found.append(None)
        else:
            found.append((whole if worst is None else worst.program).cycles)
    instructions, cycles = (*found, None)[:2]
    return Bound(instructions, cycles, stack, refused)


def timings(core: str) -> Sequence[Timing]:
    """Counts of instructions, and cycles where these are known."""
    counted = counting(core, "instructions")
    return (counted, load_timing(core)) if core in timing_cores() else (counted,)
