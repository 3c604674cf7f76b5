"""Traced runs for the report: which rows are run, and what they say beside the bound.

Knows the report's Observed; tracing is `trace`'s and costing `observe`'s.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from aprgen.core import Artifact
from aprgen.errors import ToolchainError, UnsupportedError
from aprgen.image import Image
from aprgen.program import Array
from aprgen.program import Program as ModelProgram
from aprgen.rows import SEED, edge_rows, random_rows
from aprgen.wcet.bounds import Program
from aprgen.wcet.graph import EXIT
from aprgen.wcet.marks import Mark
from aprgen.wcet.memory import Memory
from aprgen.wcet.observe import Observation, check_totals, observe
from aprgen.wcet.recording import record_calls
from aprgen.wcet.report import Bar, Observed
from aprgen.wcet.timing import Timing
from aprgen.wcet.trace import NOWHERE, Executed, Traces, steps, trace_calls, traced_cpu

MOST_EDGE_ROWS = 400
MOST_CYCLES = 200_000_000  # traced per function; Unicorn does some 20 million a second here
FEWEST_ROWS = 20
TRACE_SECONDS = 600.0  # a machine may be busy
BARS = 24


def rows_to_trace(artifact: Artifact, n_random: int) -> NDArray[np.float32]:
    """Edge rows of the model's own decisions, evenly chosen when there are many, and random rows."""
    edges = edge_rows(artifact.program, 6_000).values
    if len(edges) > MOST_EDGE_ROWS:
        edges = edges[np.linspace(0, len(edges) - 1, MOST_EDGE_ROWS).astype(np.intp)]
    if n_random == 0:
        return edges
    return np.concatenate([edges, random_rows(artifact.program, n_random, SEED).values])


def codes_of(program: ModelProgram, rows: NDArray[np.float32]) -> Array | None:
    """The rows as the codes that an integer mode computes with; None in floats."""
    if program.codes is None:
        return None
    return np.ascontiguousarray(program.evaluate(rows, [program.codes.x])[program.codes.x])


def affordable(rows: Array, cycles: int) -> Array:
    """As many rows as can be traced in reasonable time, evenly chosen; the last one always is."""
    return evenly(rows, max(FEWEST_ROWS, MOST_CYCLES // max(1, cycles)))


def evenly(rows: Array, most: int) -> Array:
    """At most so many rows, spread over all; the first and the last one are among them."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.intp)]


def traced_runs(
    image: Image, function: str, rows: Array, cycles: int
) -> tuple[Traces, Array] | None:
    """Run rows through one function, at most `cycles` each: under Unicorn where it has the core, else under QEMU.

    With the rows that were run. None where neither can: no emulator of that core, or not on this machine.
    """
    chosen = affordable(rows, cycles)
    if traced_cpu(image.target) is not None:
        if importlib.util.find_spec("unicorn") is None:
            return None
        return trace_calls(image, function, chosen, seconds=TRACE_SECONDS), chosen
    if function not in image.model.functions:
        return None
    try:
        return record_calls(image, chosen, seconds=TRACE_SECONDS)[function], chosen
    except (ToolchainError, UnsupportedError) as error:
        if error.code in ("runner.missing", "toolchain.missing", "wcet.core"):
            return None  # also AVX-512, which no emulator here has
        raise


def observed_runs(
    traces: Traces,
    chosen: Array,
    described: str,
    program: Program,
    executed: Executed,
    timing: Timing,
    memory: Memory,
    marks: Sequence[Mark],
) -> tuple[Observed, Observation]:
    """Check what the traced runs of these rows take against the bound and the facts."""
    seen = observe(traces, executed, timing, memory, marks, program.cycles)
    totals = {id: total for one in program.functions.values() for id, total in one.totals.items()}
    violations = [str(one) for one in (*seen.violations, *check_totals(traces, executed, marks, totals))]
    low = int(seen.low.min())
    if low < program.best:
        violations.append(
            f"a call of {traces.function} took {low} {timing.unit} at best, less than the {program.best} of any path"
        )
    taken, edges, strange = _edges(program, steps(traces, executed))
    violations += strange
    worst = seen.worst_run
    high = int(seen.high[worst])
    return (
        Observed(
            runs=seen.n_runs,
            rows=described,
            high_maximum=high,
            high_minimum=int(seen.high.min()),
            low_maximum=int(seen.low[worst]),
            low_minimum=low,
            median=median(seen.high),
            ratio=program.cycles / high,
            distribution=bars(seen.high),
            edges_run=taken,
            edges=edges,
            facts_checked=len(seen.facts_checked),
            violations=tuple(violations),
            worst_row=spelled(chosen[worst]),
        ),
        seen,
    )


def spelled(row: Array | bytes) -> tuple[str, ...]:
    """Shortest decimals that give the same numbers; a text as Python spells its bytes."""
    if isinstance(row, bytes):
        return (repr(row),)
    return tuple(str(value) for value in row)


def _edges(program: Program, pairs: frozenset[tuple[int, int]]) -> tuple[int, int, list[str]]:
    """Edges of all graphs that runs took, how many there are, and steps of the runs that no graph has."""
    taken = total = 0
    known: set[tuple[int, int]] = set()
    inside: set[int] = set()
    for one in program.functions.values():
        for edge in one.graph.edges:
            last = one.graph.blocks[edge.source].last
            if edge.target == EXIT or last.flow == "call":
                continue
            total += 1
            known.add((last.address, edge.target))
            taken += (last.address, edge.target) in pairs
        for block in one.graph.blocks.values():
            inside.update(instruction.address for instruction in block.instructions)
            if block.last.flow == "call" and block.last.target is not None:
                known.add((block.last.address, block.last.target))
            if block.last.flow == "return" or block.last.predicated:
                known.update((block.last.address, after) for before, after in pairs if before == block.last.address)
            addresses = [instruction.address for instruction in block.instructions]
            known.update(pairwise(addresses))
    strange = sorted(pair for pair in pairs - known if NOWHERE not in pair and not inside.isdisjoint(pair))
    return taken, total, [f"a run went from {a:#x} to {b:#x}, which no graph has" for a, b in strange[:5]]


def median(values: NDArray[np.int64]) -> int:
    """The lower of the middle ones."""
    return int(np.sort(values)[(len(values) - 1) // 2])


def bars(values: NDArray[np.int64]) -> tuple[Bar, ...]:
    """The distribution in at most BARS equal ranges of whole cycles."""
    low, high = int(values.min()), int(values.max())
    width = max(1, -(-(high - low + 1) // BARS))
    number = (values - low) // width
    counts = np.bincount(number.astype(np.intp))
    return tuple(
        Bar(low + i * width, min(high, low + (i + 1) * width - 1), int(runs)) for i, runs in enumerate(counts)
    )
