"""Traces are what was executed: two emulators agree on it, costs are sums over instructions, and lies are noticed."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aprgen.errors import ToolchainError, UnsupportedError
from aprgen.image import Image
from aprgen.runners.choose import runner_for
from aprgen.runners.records import blocks_of, input_bytes
from aprgen.target import load_target
from aprgen.wcet import trace
from aprgen.wcet.code import read_code
from aprgen.wcet.marks import read_marks
from aprgen.wcet.memory import Memory
from aprgen.wcet.observe import observe, passage_cycles
from aprgen.wcet.recording import board_command, record_calls
from aprgen.wcet.timing import load_timing
from aprgen.wcet.trace import (
    NOWHERE,
    Executed,
    Passage,
    Traces,
    executed_code,
    execution_order,
    steps,
    trace_calls,
    whole,
)
from tests.targets.stand_in import TEXT, row_model, rows
from tests.wcet.programs import program_rows, random_program

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33")
FAST = Memory(0, 16)
SLOW = Memory(3, 16)
SEEDS = (2, 3)  # with a 4-byte instruction across the end of a page of QEMU

# A loop that repeats as often as the lowest three bits of x[0] say.
COUNTED = """#include "brake.h"
#include "apr_mark.h"

void brake_scores(const float x[4], float out[1])
{{
    union {{
        float f;
        uint32_t u;
    }} word;
    uint32_t sum = 0U;

    word.f = x[0];
    const uint32_t n = word.u & 7U;
    APR_LOOP(counted, {bound}U);
    for (uint32_t i = 0U; i < n; ++i) {{
        APR_BODY(counted, {bound}U);
        sum += (sum << 3) ^ i;
    }}
    word.u = sum;
    out[0] = word.f;
}}
"""


@pytest.fixture
def tools(require_tool: Callable[[str], None], require_target: Callable[[str], None]) -> Callable[[str], None]:
    """Skip, or fail in CI, without the target's compiler and QEMU, Unicorn, or a compiler for the plugin."""

    def require(name: str) -> None:
        require_target(name)
        for tool in ("qemu-system-arm", "unicorn", "capstone", "gcc"):
            require_tool(tool)

    return require


def executed_of(image: Image) -> Executed:
    return executed_code(read_code(image.program))


def step_counts(traces: Traces, executed: Executed, run: int) -> dict[tuple[int, int], int]:
    """How often one call went from one instruction to another: independent of how blocks are cut."""
    counts: dict[tuple[int, int], int] = {}
    for passage, n in zip(traces.passages, traces.paths[traces.path_of_run[run]].tolist(), strict=True):
        if n:
            inside = [one.address for one in executed.walk(passage.first, passage.last)]
            for step in zip(inside, [*inside[1:], passage.after], strict=True):
                counts[step] = counts.get(step, 0) + n
    return counts


def counted(bound: int, work: Path) -> Image:
    """COUNTED for the Cortex-M4, with a mark that promises `bound`."""
    program = replace(random_program(0), source=COUNTED.format(bound=bound) + BATCH)
    return program.build("cortex-m4", "-O2", work)


BATCH = """
void brake_predict_batch(const float *x, size_t n_rows, float *out)
{
    for (size_t i = 0U; i < n_rows; ++i) {
        brake_scores(x + (i * 4U), out + i);
    }
}
"""


def counted_rows(repetitions: Sequence[int]) -> np.ndarray:
    words = np.zeros((len(repetitions), 4), np.uint32)
    words[:, 0] = repetitions
    return words.view(np.float32)


@pytest.mark.parametrize("name", CORES)
def test_emulators_agree_on_every_call(name: str, tmp_path: Path, tools: Callable[[str], None]) -> None:
    """QEMU's plugin and Unicorn see every call go from instruction to instruction equally often."""
    tools(name)
    for seed in SEEDS:
        image = random_program(seed).build(name, "-O2", tmp_path / str(seed))
        x = program_rows(40, seed)
        executed = executed_of(image)
        fast, slow = record_calls(image, x)["scores"], trace_calls(image, "scores", x)

        assert fast.n_runs == slow.n_runs == 40
        for run in range(40):
            assert step_counts(slow, executed, run) == step_counts(fast, executed, run)
        assert steps(slow, executed) == steps(fast, executed)


@pytest.mark.parametrize("name", CORES)
def test_emulators_agree_on_the_order(name: str, tmp_path: Path, tools: Callable[[str], None]) -> None:
    """QEMU's log of single steps has the instructions of a call in the order in which Unicorn executes them."""
    tools(name)
    image = random_program(2).build(name, "-O2", tmp_path)
    x = program_rows(1, 7)
    expected = execution_order(image, "scores", x)

    assert len(expected) > 100
    assert list(expected) == logged_order(image, x, set(expected))


def logged_order(image: Image, x: np.ndarray, addresses: set[int]) -> list[int]:
    """The addresses that QEMU logs, step by step, among those given."""
    (image.folder / "in.bin").write_bytes(input_bytes(blocks_of(image, x)))
    ranges = ",".join(
        f"{function.address:#x}..{function.end - 1:#x}"
        for function in read_code(image.program).functions
        if any(function.holds(address) for address in addresses)
    )
    command = [*board_command(image), "-singlestep", "-d", "exec,nochain", "-dfilter", ranges, "-D", "exec.log"]
    subprocess.run(command, cwd=image.folder, check=True, timeout=120)
    log = (image.folder / "exec.log").read_text()
    return [int(match, 16) for match in re.findall(r"^Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/", log, re.MULTILINE)]


@pytest.mark.parametrize("memory", [FAST, SLOW], ids=["fast", "slow"])
@pytest.mark.parametrize("name", CORES)
def test_cost_is_the_sum_over_the_order(
    name: str, memory: Memory, tmp_path: Path, tools: Callable[[str], None]
) -> None:
    """Costing passages gives what costing the whole call as one run of single instructions gives."""
    tools(name)
    image = random_program(0).build(name, "-Os", tmp_path)
    x = program_rows(5, 3)
    executed, timing = executed_of(image), load_timing(name)
    seen = observe(record_calls(image, x)["scores"], executed, timing, memory)
    for run in range(len(x)):
        order = execution_order(image, "scores", x[: run + 1])  # the program keeps what earlier calls wrote
        context = zip((NOWHERE, *order[:-1]), order, (*order[1:], NOWHERE), strict=True)
        single = [
            passage_cycles(Passage(before, at, at, after), executed, timing, memory)
            for before, at, after in context
        ]

        assert len(order) == seen.instructions[run]
        assert sum(one.worst for one in single) == seen.high[run]
        assert sum(one.best for one in single) == seen.low[run]


def test_an_instruction_across_a_page_is_executed_once(
    tmp_path: Path, tools: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """QEMU 7.2 has it at the end of the block before, too; one that repeats itself on a page stays."""
    tools("cortex-m3")
    executed = executed_of(random_program(3).build("cortex-m3", "-O2", tmp_path))
    owner = next(one for one in executed.code.functions if one.name.endswith("_scores"))
    first, second, third = itertools.islice(executed.walk(owner.address, owner.end - 1), 3)
    passages = (
        Passage(NOWHERE, first.address, third.address, third.address),
        Passage(third.address, third.address, third.address, NOWHERE),
    )
    traces = Traces("scores", passages, np.ones((1, 2), np.uint32), np.zeros(1, np.int64))
    assert whole(traces, executed).passages == passages

    monkeypatch.setattr(trace, "_PAGE", third.address + 1)
    found = whole(traces, executed)
    assert found.passages == (
        Passage(NOWHERE, first.address, second.address, third.address),
        Passage(second.address, third.address, third.address, NOWHERE),
    )
    assert (third.address, third.address) not in steps(found, executed)


@pytest.mark.parametrize("name", CORES)
def test_as_many_instructions_as_are_counted(name: str, tmp_path: Path, tools: Callable[[str], None]) -> None:
    """A traced call has as many instructions as the counting plugin counts."""
    tools(name)
    image = random_program(3).build(name, "-O3", tmp_path)
    x = program_rows(60, 5)
    counted_by_plugin = runner_for(image.target).run(image, x).instructions["scores"].values
    seen = observe(record_calls(image, x)["scores"], executed_of(image), load_timing(name), FAST)

    assert counted_by_plugin.tolist() == seen.instructions.tolist()


def test_best_is_never_above_worst(tmp_path: Path, tools: Callable[[str], None]) -> None:
    """The best table gives at least a cycle for a branch and never more than the worst."""
    tools("cortex-m4")
    image = random_program(5).build("cortex-m4", "-O2", tmp_path)
    traces = record_calls(image, program_rows(50, 1))["scores"]
    seen = observe(traces, executed_of(image), load_timing("cortex-m4"), FAST)

    assert (seen.low > 0).all()
    assert (seen.low < seen.high).all()
    assert seen.high[seen.worst_run] == seen.high.max()


def test_true_loop_facts_are_kept(tmp_path: Path, tools: Callable[[str], None]) -> None:
    """A loop that repeats as often as its mark promises breaks nothing, and is reported as checked."""
    tools("cortex-m4")
    image = counted(6, tmp_path)
    traces = record_calls(image, counted_rows([0, 6, 3]))["scores"]
    seen = observe(traces, executed_of(image), load_timing("cortex-m4"), FAST, read_marks(image.program))

    assert seen.facts_checked == ("counted",)
    assert seen.violations == ()


def test_a_broken_loop_fact_is_named(tmp_path: Path, tools: Callable[[str], None]) -> None:
    """One repetition more than promised is a violation that names the loop, the first such call and both numbers."""
    tools("cortex-m4")
    image = counted(5, tmp_path)
    traces = record_calls(image, counted_rows([0, 5, 6, 3, 6]))["scores"]
    seen = observe(traces, executed_of(image), load_timing("cortex-m4"), FAST, read_marks(image.program))

    assert [str(one) for one in seen.violations] == ["call 2: the loop counted ran 6 times, more than the 5 promised"]


def test_a_bound_that_is_too_low_is_named(tmp_path: Path, tools: Callable[[str], None]) -> None:
    """A call that takes one cycle more than the bound is a violation; one that takes as many is none."""
    tools("cortex-m4")
    image = counted(7, tmp_path)
    traces = record_calls(image, counted_rows([2, 7, 4]))["scores"]
    executed, timing = executed_of(image), load_timing("cortex-m4")
    most = int(observe(traces, executed, timing, FAST).high.max())
    (violation,) = observe(traces, executed, timing, FAST, bound=most - 1).violations

    assert observe(traces, executed, timing, FAST, bound=most).violations == ()
    assert str(violation) == f"call 1 of scores took {most} cycles, more than the {most - 1} promised"


@pytest.mark.parametrize("level", ["-O1", "-Os", "-O2", "-O3"])
@pytest.mark.parametrize("name", CORES)
def test_facts_survive_the_compiler(name: str, level: str, tmp_path: Path, tools: Callable[[str], None]) -> None:
    """However the compiler copies, unrolls and moves loops, no call breaks the marks of a program that keeps them."""
    tools(name)
    checked: set[str] = set()
    for seed in range(10, 13):
        image = random_program(seed).build(name, level, tmp_path / str(seed))
        traces = record_calls(image, program_rows(300, seed))["scores"]
        seen = observe(traces, executed_of(image), load_timing(name), FAST, read_marks(image.program))
        checked |= {f"{seed} {loop}" for loop in seen.facts_checked}

        assert [str(one) for one in seen.violations] == []
    assert len(checked) > 10


def test_equal_calls_share_a_path(tmp_path: Path, tools: Callable[[str], None]) -> None:
    """Calls are told apart by what they executed, and keep the order of their rows."""
    tools("cortex-m4")
    image = counted(7, tmp_path)
    for traces in (
        record_calls(image, counted_rows([1, 5, 1, 1, 5]))["scores"],
        trace_calls(image, "scores", counted_rows([1, 5, 1, 1, 5])),
    ):
        paths = [traces.paths[path].tolist() for path in traces.path_of_run]

        assert paths[0] == paths[2] == paths[3] != paths[1] == paths[4]


def test_text_models_are_traced(tmp_path: Path, tools: Callable[[str], None]) -> None:
    """A longer text takes more instructions, in both emulators the same."""
    tools("cortex-m4")
    image = TEXT.build_for("cortex-m4", tmp_path)
    texts = ["", "a", "abc"]
    executed, timing = executed_of(image), load_timing("cortex-m4")
    fast = observe(record_calls(image, texts)["scores_text"], executed, timing, FAST)
    slow = observe(trace_calls(image, "scores_text", texts), executed, timing, FAST)

    assert fast.high.tolist() == slow.high.tolist() == sorted(set(fast.high.tolist()))


def test_a_hang_ends_at_the_limit(tmp_path: Path, tools: Callable[[str], None]) -> None:
    """A call that does not end is an error that says so, not a trace."""
    tools("cortex-m4")
    endless = "    volatile float y = x[0];\n    while (y != 7.0f) {\n    }\n    out[0] = y;"
    image = row_model(endless, 1, 1).build_for("cortex-m4", tmp_path)
    with pytest.raises(ToolchainError) as caught:
        trace_calls(image, "scores", np.zeros((1, 1), np.float32), seconds=1)

    assert caught.value.code == "process.timeout"


def test_other_cores_and_functions_are_refused(tmp_path: Path, tools: Callable[[str], None]) -> None:
    """What cannot be traced is refused with a sentence that says what can be."""
    tools("cortex-m4")
    image = row_model("    out[0] = x[0];", 1, 1).build_for("cortex-m4", tmp_path)
    with pytest.raises(UnsupportedError) as function:
        trace_calls(image, "predict_batch", rows(1, 1))
    with pytest.raises(UnsupportedError) as core:
        trace_calls(replace(image, target=load_target("cortex-m55")), "scores", rows(1, 1))

    assert "scores, classify" in function.value.hint
    assert "cpu cortex-m0 or" in core.value.hint
