"""The fixtures on x86-64 and AArch64: marks, graphs and stack of programs that run under an operating system."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aprgen.accuracy import Calibration
from aprgen.core import Options, compile_model
from aprgen.rows import SEED, edge_rows, random_rows
from aprgen.runners.choose import runner_for
from aprgen.target import load_target
from aprgen.wcet.bounds import bound_program
from aprgen.wcet.dear_texts import dear_texts
from aprgen.wcet.marks import loop_facts, read_marks, unbounded_cycle
from aprgen.wcet.memory import Memory
from aprgen.wcet.stack import stack_bound
from aprgen.wcet.timing import counting
from tests.examples import ROWS, TEXTS, artifact, loaded
from tests.wcet.marked import fixture, made_of

TARGETS = ("host", "x86-avx2", "x86-avx512", "arm-neon")
# Of a painted stack only what was written shows: a frame may keep words for nothing, and the red zone is 128 bytes.
UNWRITTEN_BYTES = {"host": 128 + 16, "x86-avx2": 128 + 16, "x86-avx512": 128 + 16, "arm-neon": 48}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ROWS)
def test_every_loop_is_bounded_and_the_stack_holds(
    name: str, target: str, require_target: Callable[[str], None], require_tool: Callable[[str], None]
) -> None:
    """Each cycle passes a mark with a bound, and no run writes below the bound of the stack."""
    require_target(target)
    require_tool("capstone")
    marked = fixture(name, target)
    program = artifact(name, target).program
    rows = edge_rows(program, 60).values if name in ROWS[::4] else random_rows(program, 20, SEED).values
    painted = runner_for(marked.image.target).run(marked.image, rows, count=False).stack_bytes

    for short in marked.image.model.functions:
        graphs = marked.graphs(short)
        for graph in graphs.values():
            assert unbounded_cycle(loop_facts(marked.marks, graph), graph) is None
        bound = stack_bound(graphs, marked.image.model.symbol(short)).total_bytes
        assert painted[short] <= bound <= painted[short] + UNWRITTEN_BYTES[target]


@pytest.mark.parametrize(
    ("target", "mode"),
    [("x86-avx512-vnni", "s8"), ("x86-avx2", "s8"), ("arm-neon-dot", "s8"), ("x86-avx512-bf16", "bf16")],
)
def test_modes_in_vectors(
    target: str, mode: str, require_target: Callable[[str], None], require_tool: Callable[[str], None]
) -> None:  # fmt: skip
    """One row of a network of codes or bfloat16: each instruction is known, loops and the stack are bounded."""
    require_target(target)
    require_tool("capstone")
    model = loaded("v2_mlp_f32")
    program = model.model.lower()
    options = Options("mlp", mode, Calibration(random_rows(program, 50, SEED).values, "rows"))
    marked = made_of(compile_model(model, load_target(target), options))
    runner = runner_for(marked.image.target)
    painted = runner.run(marked.image, edge_rows(program, 60).values, count=False).stack_bytes

    graphs = marked.graphs("scores")
    for graph in graphs.values():
        assert unbounded_cycle(loop_facts(marked.marks, graph), graph) is None
    bound = stack_bound(graphs, marked.image.model.symbol("scores")).total_bytes
    assert painted["scores"] <= bound <= painted["scores"] + 128 + 64


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_bounded(
    name: str, target: str, require_target: Callable[[str], None], require_tool: Callable[[str], None]
) -> None:
    """No text of the stated length executes more instructions, as the target's runner counts them."""
    require_target(target)
    for module in ("capstone", "scipy"):
        require_tool(module)
    marked = fixture(name, target)
    marks = read_marks(marked.image.program, 30)
    root = marked.image.model.symbol("scores_text")
    timing = counting(target, "instructions")
    bound = bound_program(marked.code, marked.graphs("scores_text"), root, marks, timing, Memory(0, 4)).cycles
    texts = dear_texts(artifact(name, target).program, 0, 30)[::20]
    execution = runner_for(marked.image.target).run(marked.image, texts)

    counted = execution.instructions.get("scores_text")
    assert counted is None or int(counted.values.max()) <= bound <= 3 * int(counted.values.max())
