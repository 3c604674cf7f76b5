"""Bounds of whole programs: what is refused, and that the parts of the worst path are the whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aprgen.errors import ComparisonError, UnsupportedError
from aprgen.wcet import tables
from aprgen.wcet.bounds import Program, bound_program
from aprgen.wcet.memory import Memory
from aprgen.wcet.timing import load_timing
from tests.wcet.marked import Marked, written

SUM = """    float sum = 0.0f;
    APR_LOOP(brake_sum, 64U);
    for (uint32_t i = 0U; i < 64U; ++i) {
        APR_BODY(brake_sum, 64U);
        sum += x[i];
    }
    out[0] = sum;"""
CALLS = """__attribute__((noinline)) static uint32_t inner(uint32_t a)
{
    __asm__ volatile("" : "+r"(a));
    return a + 1U;
}
__attribute__((noinline)) static uint32_t outer(uint32_t a)
{
    a = inner(a);
    __asm__ volatile("" : "+r"(a));
    return inner(a) + 7U;
}"""
CALLER = """    uint32_t a = 0U;
    APR_LOOP(brake_calls, 3U);
    for (uint32_t i = 0U; i < 3U; ++i) {
        APR_BODY(brake_calls, 3U);
        a += outer(a);
    }
    out[0] = (a == 7U) ? x[0] : x[1];"""


@pytest.fixture(autouse=True)
def _tools(require_tool: Callable[[str], None]) -> None:
    for tool in ("arm-none-eabi-gcc", "capstone", "scipy"):
        require_tool(tool)


def _bounded(marked: Marked, core: str = "cortex-m4") -> Program:
    graphs = marked.graphs("scores")
    return bound_program(marked.code, graphs, "brake_scores", marked.marks, load_timing(core), Memory(0, 4))


def test_a_mark_that_its_counter_contradicts_is_no_bound() -> None:
    """A loop that runs 64 times and is marked with 63 is an error, not a bound of 63."""
    with pytest.raises(ComparisonError, match="brake_sum is marked with 63, its counter runs 64 times"):
        _bounded(written(SUM.replace(", 64U)", ", 63U)"), "cortex-m4"))


def test_a_loop_without_a_mark_is_named() -> None:
    """The refusal says where the loop is and what to do, before a solver is asked."""
    with pytest.raises(UnsupportedError) as caught:
        _bounded(written(SUM.replace("        APR_BODY(brake_sum, 64U);\n", ""), "cortex-m4"))
    assert "wcet.loop" == caught.value.code
    assert caught.value.where.startswith("brake_scores at 0x")


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m4"])
def test_calls_of_callees_of_callees_are_counted(core: str) -> None:
    """A function that is called twice by one that is called three times is called six times, and what all functions
    take themselves is the bound."""
    program = _bounded(written(CALLER, core, before=CALLS), core)
    rows = {row.name: row for row in tables.functions(program)}

    assert {"brake_scores": 1, "outer": 3, "inner": 6} == {name: row.calls for name, row in rows.items()}
    assert program.cycles == sum(row.own for row in rows.values())


WALK = """    uint32_t n = 0U;
    uint32_t left = (x[0] > 0.0f) ? 40U : 12U;
    __asm__ volatile("" : "+r"(left));
    left &= 63U;
    APR_LOOP(brake_walk, 63U);
    while (left != 0U) {
        APR_BODY(brake_walk, 63U);
        __asm__ volatile("" : "+r"(n), "+r"(left));
        left = (left - 1U) & 63U;
    }
    out[0] = (n == 7U) ? x[0] : x[1];"""


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_a_total_limits_all_repetitions_of_a_call(core: str) -> None:
    """A loop whose bodies are said to run ten times in one call runs ten times on the worst path."""
    marked = written(WALK, core)
    graphs = marked.graphs("scores")

    def bounded(totals: dict[str, int]) -> Program:
        timing = load_timing(core)
        return bound_program(marked.code, graphs, "brake_scores", marked.marks, timing, Memory(0, 4), totals)

    ten, nine, every = bounded({"brake_walk": 10}), bounded({"brake_walk": 9}), bounded({})

    assert ([10], [9], [63]) == tuple([row.count for row in tables.loops(one)] for one in (ten, nine, every))
    assert nine.cycles < ten.cycles < every.cycles


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m4"])
def test_the_least_has_every_repetition_of_counted_loops(core: str) -> None:
    """Where only a counter leaves the loop, the least of any call grows by as much per repetition; an early exit, or a
    test that data decides, takes that away."""
    counted, early = CALLER.replace("a += outer(a)", "a ^= i"), "        if (a > 9U) { break; }\n    }\n    out"
    counted = counted.replace("a ^= i;", '__asm__ volatile("" : "+r"(a));')
    least = [
        _bounded(written(counted.replace("3U", f"{times}U"), core), core).best for times in (20, 30, 40)
    ]  # fmt: skip
    broken = [
        _bounded(written(counted.replace("3U", f"{times}U").replace("    }\n    out", early), core), core).best
        for times in (20, 40)
    ]

    assert least[2] - least[1] == least[1] - least[0] >= 10
    assert broken[0] == broken[1] < least[0]
