"""Thousands of random programs, each compiled, bounded, run, and where it is small enough walked along every path.

    python -m tests.wcet.sweep [--programs N] [--first SEED] [--rows N] [--json FILE]

Spreads the programs over the cores and the levels of optimisation. A program fails when a call takes longer than its
bound or less than the least of any path, when a loop runs more often than it says, or when a function has a path longer
than its bound. Bounds above the longest path are counted: the flow problem lets a loop that a compiler has peeled lend
repetitions to its next run. Prints how to make each failure again, and ends with status 1 when there is one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path

from aprgen.wcet import tables
from aprgen.wcet.bounds import bound_program
from aprgen.wcet.cfg import build_graphs
from aprgen.wcet.code import read_code
from aprgen.wcet.marks import read_marks
from aprgen.wcet.memory import Memory
from aprgen.wcet.observe import observe
from aprgen.wcet.recording import record_calls
from aprgen.wcet.timing import load_timing
from aprgen.wcet.trace import executed_code
from tests.wcet.every_path import longest_path
from tests.wcet.programs import RandomProgram, program_rows, random_program

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33")
LEVELS = ("-O1", "-O2", "-Os", "-O3")
MEMORIES = (Memory(0, 4), Memory(3, 16))
ENTRY = "brake_scores"


@dataclass
class Tally:
    """Programs of one core and level. walked: functions all of whose paths were tried, equal: whose longest one takes
    the bound; large: functions with too many paths. above: the largest bound / longest path."""

    core: str
    level: str
    programs: int = 0
    runs: int = 0
    walked: int = 0
    equal: int = 0
    large: int = 0
    reached: int = 0  # programs of which a run took exactly the bound
    above: float = 1.0
    failures: list[str] = field(default_factory=list)


def swept_program(seed: int, core: str) -> RandomProgram:
    """Large ones for the traces, and small ones whose paths can be counted; with floats on the core
    whose table has their division."""
    small = seed % 2 == 0
    floats = core == "cortex-m4" and seed % 3 == 0
    if small:
        return random_program(seed, n_functions=1 + seed % 3, n_statements=2, floats=floats)
    return random_program(seed, n_functions=1 + seed % 4, n_statements=3 + seed % 2, floats=floats)


def check(seed: int, core: str, level: str, rows: int, work: Path, tally: Tally) -> None:
    """Compile, bound and run one program, and add what came out to the tally."""
    image = swept_program(seed, core).build(core, level, work)
    code, marks, timing = read_code(image.program), read_marks(image.program), load_timing(core)
    graphs, executed = build_graphs(code, [ENTRY]), executed_code(code)
    traces = record_calls(image, program_rows(rows, seed))["scores"]
    tally.programs += 1
    for memory in MEMORIES:
        program = bound_program(code, graphs, ENTRY, marks, timing, memory)
        seen = observe(traces, executed, timing, memory, marks, program.cycles)
        tally.runs += seen.n_runs
        tally.reached += int(seen.high.max()) == program.cycles and memory is MEMORIES[0]
        found = [str(one) for one in seen.violations]
        if int(seen.low.min()) < program.best:
            found.append(f"a call took {seen.low.min()} cycles at best, less than the {program.best} of any path")
        spent = sum(row.own for row in tables.functions(program))
        if all(one.bound.exact for one in program.functions.values()) and spent != program.cycles:
            found.append(f"the functions of the worst path take {spent} cycles, the bound is {program.cycles}")
        callees: dict[str, int] = {}
        for name, one in program.functions.items():
            longest = longest_path(one.graph, one.facts, callees, timing, memory)
            callees[name] = one.bound.cycles
            if longest is None:
                tally.large += 1
                continue
            tally.walked += 1
            tally.equal += longest == one.bound.cycles
            tally.above = max(tally.above, one.bound.cycles / longest)
            if longest > one.bound.cycles:
                found.append(f"a path of {name} takes {longest} cycles, its bound is {one.bound.cycles}")
        tally.failures += [f"seed {seed} {core} {level} {memory.wait_states} wait states: {text}" for text in found]


def sweep(programs: int, first: int, rows: int, progress: bool = True) -> tuple[Tally, ...]:
    """That many programs, with seeds from `first` on, one core and level after another."""
    tallies = tuple(Tally(core, level) for core, level in product(CORES, LEVELS))
    with tempfile.TemporaryDirectory(prefix="wcet-sweep-") as name:
        for number in range(programs):
            tally = tallies[number % len(tallies)]
            known = len(tally.failures)
            with tempfile.TemporaryDirectory(dir=name) as work:
                check(first + number // 4, tally.core, tally.level, rows, Path(work), tally)
            for text in tally.failures[known:]:
                print(text, flush=True)
            if progress and (number + 1) % 100 == 0:
                print(f"{number + 1:,} programs, {sum(len(one.failures) for one in tallies)} failures", flush=True)
    return tallies


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--programs", type=int, default=2000, help="compiled programs in all; 2,000 when not given")
    parser.add_argument("--first", type=int, default=1000, help="the first seed")
    parser.add_argument("--rows", type=int, default=300, help="calls of each program; 300 when not given")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    tallies = sweep(options.programs, options.first, options.rows)
    seconds = time.perf_counter() - start
    print(
        f"{'core':14} {'level':5} {'programs':>8} {'runs':>9} {'walked':>7} {'equal':>6} {'above':>6} {'large':>6} "
        f"{'reached':>7} failures"
    )
    for one in tallies:
        print(
            f"{one.core:14} {one.level:5} {one.programs:8} {one.runs:9,} {one.walked:7} {one.equal:6} {one.above:6.3f} "
            f"{one.large:6} {one.reached:7} {len(one.failures):8}"
        )
    n_failures = sum(len(one.failures) for one in tallies)
    print(
        f"{sum(one.programs for one in tallies):,} programs, {sum(one.runs for one in tallies):,} costed runs, "
        f"{sum(one.walked for one in tallies):,} functions walked along every path, in {seconds:.0f} s: {n_failures} "
        f"failures; the longest path takes the bound in {sum(one.equal for one in tallies):,}, bound / path at most "
        f"{max(one.above for one in tallies):.3f}"
    )
    if options.json is not None:
        figures = {"seconds": seconds, "failures": n_failures, "sweeps": [asdict(one) for one in tallies]}
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 1 if n_failures else 0


if __name__ == "__main__":
    sys.exit(main())
