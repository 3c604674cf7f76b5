"""The facts about library routines, against runs of the routines on the operands that are worst for them."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from aprgen.wcet.cfg import Graph, build_graph
from aprgen.wcet.code import Code
from aprgen.wcet.library import loop_bounds
from tests.wcet import linked as programs

_STOP = 0x0F00_0000
_STACK = 0x2000_0000
# Words of floats: zeros, infinities, NaN, smallest and largest denormals and normals, and those in between.
SPECIAL = (0, 1, 2, 3, 0x400000, 0x7FFFFF, 0x800000, 0x3F800000, 0x3F800001, 0x7F7FFFFF, 0x7F800000, 0x7FC00000)


def operands() -> Iterator[tuple[int, int]]:
    words = [word | sign for word in SPECIAL for sign in (0, 0x8000_0000)]
    yield from itertools.product(words, words)
    random = np.random.default_rng(2026)
    for a, b in random.integers(0, 2**32, (500, 2)):
        yield int(a), int(b)


class Calls:
    """A routine under Unicorn; steps are pairs of blocks executed one after the other."""

    def __init__(self, code: Code) -> None:
        unicorn = importlib.import_module("unicorn")
        self.arm = importlib.import_module("unicorn.arm_const")
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self.uc.ctl_set_cpu_model(self.arm.UC_CPU_ARM_CORTEX_M3)
        self.uc.mem_map(0, 0x40_0000)
        self.uc.mem_map(_STACK, 0x1000)
        self.uc.mem_map(_STOP, 0x1000)
        for memory in code.memory:
            if memory.address < 0x40_0000:
                self.uc.mem_write(memory.address, memory.data)
        self.executed: list[int] = []
        self.uc.hook_add(unicorn.UC_HOOK_CODE, lambda _, address, size, data: self.executed.append(address))

    def run(self, address: int, a: int, b: int) -> list[int]:
        self.executed.clear()
        values = ((self.arm.UC_ARM_REG_R0, a), (self.arm.UC_ARM_REG_R1, b), (self.arm.UC_ARM_REG_LR, _STOP | 1))
        for register, value in (*values, (self.arm.UC_ARM_REG_SP, _STACK + 0x1000)):
            self.uc.reg_write(register, value)
        self.uc.emu_start(address | 1, _STOP, count=10_000)
        return self.executed


@pytest.mark.parametrize(
    ("core", "routine", "fixture"),
    [
        ("cortex-m0plus", "__aeabi_fdiv", "gbm"),
        ("cortex-m3", "__aeabi_fmul", "gaussian_nb"),
        ("cortex-m3", "__aeabi_fdiv", "gaussian_nb"),
    ],
)
def test_bounds_of_loops(
    core: str, routine: str, fixture: str, require_target: Callable[[str], None], require_tool: Callable[[str], None]
) -> None:
    """No operands repeat a loop more often than its bound, some exactly as often; jumps by tables follow the edges."""
    require_target(core)
    require_tool("unicorn")
    code = programs.code_with_libgcc(fixture, core)
    address = code.function(routine).address
    graph = build_graph(code, address, routine)
    bounds = loop_bounds(code, graph)
    assert {loop.head for loop in graph.loops} == set(bounds)

    by_table = {block.last.address for block in graph.blocks.values() if block.last.flow == "indirect"}
    edges = {(graph.blocks[edge.source].last.address, edge.target) for edge in graph.edges}
    assert bool(by_table) == (core == "cortex-m0plus")

    calls = Calls(code)
    most = dict.fromkeys(bounds, 0)
    for a, b in operands():
        trace = calls.run(address, a, b)
        pairs = list(itertools.pairwise(trace))
        assert set() == {pair for pair in pairs if pair[0] in by_table} - edges
        for head, times in repeats(graph, pairs).items():
            most[head] = max(most[head], times)
    assert bounds == most


def repeats(graph: Graph, pairs: list[tuple[int, int]]) -> dict[int, int]:
    """How often each loop went back to its head; these loops are entered at most once per call."""
    found = {}
    for loop in graph.loops:
        back = {(graph.blocks[edge.source].last.address, edge.target) for edge in loop.back_edges}
        found[loop.head] = sum(pair in back for pair in pairs)
    return found
