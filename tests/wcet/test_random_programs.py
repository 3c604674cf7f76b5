"""Bounds of random programs hold: at every optimisation level no call takes longer, nor less than any path does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aprgen.errors import UnsupportedError
from aprgen.image import Image
from aprgen.wcet.bounds import Program, bound_program
from aprgen.wcet.cfg import build_graphs
from aprgen.wcet.code import read_code
from aprgen.wcet.graph import EXIT
from aprgen.wcet.marks import read_marks
from aprgen.wcet.memory import Memory
from aprgen.wcet.observe import Observation, observe
from aprgen.wcet.recording import record_calls
from aprgen.wcet.timing import Cycles, load_timing
from aprgen.wcet.trace import Traces, executed_code, steps
from tests.wcet.programs import LEVELS, RandomProgram, program_rows, random_program

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33")
MEMORIES = (Memory(0, 4), Memory(3, 16))
ENTRY = "brake_scores"
SEEDS = (20, 21, 22)
ROWS = 2000

# Every loop always runs as often as it says, so that all calls take the same path.
FIXED = """#include "brake.h"
#include "apr_mark.h"
void brake_scores(const float x[4], float out[1])
{
    float sum = 0.0f;
    APR_LOOP(outer, 5U);
    for (uint32_t i = 0U; i < 5U; ++i) {
        APR_BODY(outer, 5U);
        APR_LOOP(inner, 3U);
        for (uint32_t k = 0U; k < 3U; ++k) {
            APR_BODY(inner, 3U);
            sum += x[k] * (float)i;
        }
    }
    out[0] = sum;
}
void brake_predict_batch(const float *x, size_t n_rows, float *out)
{
    for (size_t i = 0U; i < n_rows; ++i) {
        brake_scores(x + (i * 4U), out + i);
    }
}
"""


@pytest.fixture
def tools(require_tool: Callable[[str], None], require_target: Callable[[str], None]) -> Callable[[str], None]:
    """Skip, or fail in CI, without the target's compiler and QEMU, or a compiler for the plugin."""

    def require(name: str) -> None:
        require_target(name)
        for tool in ("qemu-system-arm", "capstone", "gcc"):
            require_tool(tool)

    return require


def bounded(image: Image, core: str, memory: Memory) -> Program:
    code = read_code(image.program)
    graphs = build_graphs(code, [ENTRY])
    return bound_program(code, graphs, ENTRY, read_marks(image.program), load_timing(core), memory)


def has_bound(image: Image, core: str, memory: Memory) -> bool:
    """Without optimisation some compilers keep a frame pointer, which the analysis refuses."""
    try:
        bounded(image, core, memory)
    except UnsupportedError as error:
        return error.code != "wcet.stack"
    return True


def observed(image: Image, core: str, memory: Memory, traces: Traces, bound: int) -> Observation:
    executed = executed_code(read_code(image.program))
    return observe(traces, executed, load_timing(core), memory, read_marks(image.program), bound)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("core", CORES)
def test_no_call_takes_longer_than_its_bound(
    core: str, level: str, tmp_path: Path, tools: Callable[[str], None]
) -> None:
    """Every call lies between the least and the most that its program is said to take, with and without wait states."""
    tools(core)
    checked = 0
    for seed in SEEDS:
        image = random_program(seed).build(core, level, tmp_path / str(seed))
        traces = record_calls(image, program_rows(ROWS, seed))["scores"]
        for memory in MEMORIES:
            if level == "-O0" and not has_bound(image, core, memory):
                continue
            program = bounded(image, core, memory)
            seen = observed(image, core, memory, traces, program.cycles)
            checked += 1

            assert [str(one) for one in seen.violations] == []
            assert program.best <= seen.low.min()
            assert seen.high.max() <= program.cycles
    assert checked == len(SEEDS) * len(MEMORIES) or level == "-O0"


@pytest.mark.parametrize("core", CORES)
def test_graphs_have_every_step_of_the_runs(core: str, tmp_path: Path, tools: Callable[[str], None]) -> None:
    """What a call executes after a jump is an edge of a graph, and the graphs lack none of its instructions."""
    tools(core)
    for seed in SEEDS:
        image = random_program(seed).build(core, "-O2", tmp_path / str(seed))
        traces = record_calls(image, program_rows(ROWS, seed))["scores"]
        graphs = build_graphs(read_code(image.program), [ENTRY]).values()
        edges = {
            (graph.blocks[edge.source].last.address, edge.target)
            for graph in graphs
            for edge in graph.edges
            if edge.target != EXIT
        }
        inside = {
            (block.instructions[i].address, block.instructions[i + 1].address)
            for graph in graphs
            for block in graph.blocks.values()
            for i in range(len(block.instructions) - 1)
        }
        crossing = {
            block.last.address
            for graph in graphs
            for block in graph.blocks.values()
            if block.last.flow in ("call", "return")
        }
        taken = {
            (source, target)
            for source, target in steps(traces, executed_code(read_code(image.program)))
            if source not in crossing
        }

        assert {(s, t) for s, t in taken if s < 0xFFFF_FFFF} - edges - inside == set()


def test_a_program_whose_longest_path_is_run_is_bounded_exactly(tmp_path: Path, tools: Callable[[str], None]) -> None:
    """Loops that always run as often as they say: the bound is what every call takes."""
    tools("cortex-m4")
    image = replace(random_program(0), source=FIXED).build("cortex-m4", "-O2", tmp_path)
    traces = record_calls(image, program_rows(10, 1))["scores"]
    program = bounded(image, "cortex-m4", MEMORIES[0])
    seen = observed(image, "cortex-m4", MEMORIES[0], traces, program.cycles)

    assert set(seen.high.tolist()) == {program.cycles}
    assert len(set(seen.low.tolist())) == 1


def test_every_figure_that_is_too_low_is_noticed(tmp_path: Path, tools: Callable[[str], None]) -> None:
    """A bound made with one figure of the table a cycle lower is below what runs take, whatever the figure."""
    tools("cortex-m4")
    image = replace(random_program(0), source=FIXED).build("cortex-m4", "-O2", tmp_path)
    code, marks, timing = read_code(image.program), read_marks(image.program), load_timing("cortex-m4")
    traces = record_calls(image, program_rows(10, 1))["scores"]
    executed = executed_code(code)
    kinds = {one.kind for passage in traces.passages for one in executed.walk(passage.first, passage.last)}
    graphs = build_graphs(code, [ENTRY])
    lower = [
        replace(timing, rows={**timing.rows, kind: replace(row, cycles=Cycles(row.cycles.best, row.cycles.worst - 1))})
        for kind, row in timing.rows.items()
        if kind in kinds
    ]
    lower.append(replace(timing, refill=Cycles(timing.refill.best, timing.refill.worst - 1)))

    assert len(lower) >= 8
    for table in lower:
        low = bound_program(code, graphs, ENTRY, marks, table, MEMORIES[0]).cycles
        violations = observe(traces, executed, timing, MEMORIES[0], marks, low).violations

        assert {(one.kind, one.allowed) for one in violations} == {("cycles", low)}


def test_a_false_mark_is_noticed_by_runs(tmp_path: Path, tools: Callable[[str], None]) -> None:
    """A mark that promises too little gives a bound that is too low, and both the loop and the cycles are reported."""
    tools("cortex-m4")
    honest = random_program(24)
    assert "APR_LOOP(loop_1, " in honest.source
    image = _false(honest).build("cortex-m4", "-Os", tmp_path)
    traces = record_calls(image, program_rows(ROWS, 24))["scores"]
    seen = observed(image, "cortex-m4", MEMORIES[0], traces, int(1e9))

    assert {one.name for one in seen.violations} == {"loop_1"}
    assert {one.kind for one in seen.violations} == {"loop"}


def _false(program: RandomProgram) -> RandomProgram:
    """The program with a mark of its first loop that promises no repetition at all."""
    start = program.source.index("APR_LOOP(loop_1, ") + len("APR_LOOP(loop_1, ")
    bound = program.source[start : program.source.index(")", start)]
    source = program.source.replace(f"(loop_1, {bound})", "(loop_1, 0U)")
    return replace(program, source=source)
