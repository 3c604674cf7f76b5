"""Costs of edges: what a block, its way out and the arrival at the next one add up to, with and without wait states."""

from __future__ import annotations

import pytest

from aprgen.errors import UsageError
from aprgen.wcet.cost import Costs, block_cycles, edge_costs
from aprgen.wcet.graph import EXIT, Block, Edge, Graph
from aprgen.wcet.instruction import Instruction
from aprgen.wcet.memory import Memory, base_waits, fetch_waits
from aprgen.wcet.timing import Cycles, instruction_cycles, load_timing
from tests.wcet.shapes import instruction

M4 = load_timing("cortex-m4")
NO_WAIT = Memory(0, 4)
SLOW = Memory(3, 16)

# 0: add r1; cmp; beq 0xa      6: ldr [r1] (wide, unaligned)      0xa: ldr [r1]; bx lr
ADD = instruction("alu", 0, writes="r1")
COMPARE = instruction("alu", 2, writes="flags")
BRANCH = instruction("conditional", 4, reads="flags", flow="conditional")
WIDE = instruction("load", 6, size=4, addresses="r1", writes="r2")
LOAD = instruction("load", 10, addresses="r1", writes="r0")
RETURN = instruction("return", 12, reads="lr", flow="return")
OVER, INTO, ON, OUT = Edge(0, 10, True), Edge(0, 6, False), Edge(6, 10, False), Edge(10, EXIT, True)
GRAPH = Graph(
    "f",
    0,
    {0: Block(0, (ADD, COMPARE, BRANCH), None), 6: Block(6, (WIDE,), None), 10: Block(10, (LOAD, RETURN), None)},
    (INTO, OVER, ON, OUT),
    (),
)


def _traced(*executed: tuple[Instruction, bool]) -> int:
    """The cycles of executed instructions, each after the one before, without blocks or edges."""
    total = 0
    previous: Instruction | None = None
    for one, taken in executed:
        total += instruction_cycles(M4, one, previous, taken).worst
        previous = None if taken else one
    return total


def _along(costs: Costs, *edges: Edge) -> int:
    return costs.entry.worst + sum(costs.edges[edge].worst for edge in edges)


def test_by_hand() -> None:
    """ADD, CMP and BEQ take 3, and 3 more if taken; the loads 2 each; BX LR 4."""
    costs = edge_costs(GRAPH, M4, NO_WAIT)
    assert Costs(
        Cycles(0, 0), {INTO: Cycles(3, 3), OVER: Cycles(4, 6), ON: Cycles(1, 2), OUT: Cycles(3, 6)}
    ) == costs


def test_edges_are_the_trace() -> None:
    """Along each path the edges cost what the executed instructions cost one by one."""
    costs = edge_costs(GRAPH, M4, NO_WAIT)
    taken = _traced((ADD, False), (COMPARE, False), (BRANCH, True), (LOAD, False), (RETURN, True))
    untaken = _traced((ADD, False), (COMPARE, False), (BRANCH, False), (WIDE, False), (LOAD, False), (RETURN, True))
    assert taken == _along(costs, OVER, OUT)
    assert untaken == _along(costs, INTO, ON, OUT)


def test_context_of_a_fall_through() -> None:
    """The first instruction of a block pays for the one it follows, and only on the edge that comes from there."""
    add = Block(0, (instruction("alu", 0, writes="r1"),), None)
    jump = Block(2, (instruction("branch", 2, flow="jump"),), None)
    load = Block(4, (instruction("load", 4, addresses="r1"), instruction("return", 6, flow="return")), None)
    direct, around = Edge(0, 4, False), Edge(2, 4, True)
    graph = Graph("f", 0, {0: add, 2: jump, 4: load}, (direct, around, Edge(4, EXIT, True)), ())
    costs = edge_costs(graph, M4, NO_WAIT).edges
    assert 1 + 1 == costs[direct].worst
    assert 4 == costs[around].worst


def test_stall_inside_a_block() -> None:
    """Each instruction of a block but the first pays for the one before it, and for its line."""
    block = (instruction("alu", 0, writes="r1"), instruction("load", 2, addresses="r1"))
    assert Cycles(2, 1 + 2 + 1) == block_cycles(block, False, M4, NO_WAIT)
    assert Cycles(2, 4 + 3 + 6) == block_cycles((block[0], instruction("load", 16, addresses="r1")), False, M4, SLOW)


def test_arrival_after_a_call() -> None:
    """After a call the pipeline is filled anew: an unaligned wide instruction costs a cycle more, an address none."""
    call = Block(0, (instruction("call", 2, size=4, writes="lr r0", flow="call"),), "g")
    load = Block(6, (instruction("load", 6, size=4, addresses="r0"), instruction("return", 10, flow="return")), None)
    edge = Edge(0, 6, False)
    graph = Graph("f", 0, {0: call, 6: load}, (edge, Edge(6, EXIT, True)), ())
    assert 4 + 1 == edge_costs(graph, M4, NO_WAIT).edges[edge].worst


def test_entry() -> None:
    """A function that begins with an unaligned wide instruction costs a cycle on entry."""
    block = Block(2, (instruction(address=2, size=4), instruction("return", 6, flow="return")), None)
    assert Cycles(0, 1) == edge_costs(Graph("f", 2, {2: block}, (Edge(2, EXIT, True),), ()), M4, NO_WAIT).entry


def test_fetch_waits() -> None:
    """A line of 16 bytes is paid once in a straight line, again after a branch, and twice by what lies across two."""
    narrow, wide = instruction(address=14), instruction(address=14, size=4)
    assert 0 == fetch_waits(SLOW, narrow, instruction(address=12))
    assert 3 == fetch_waits(SLOW, narrow, None)
    assert 3 == fetch_waits(SLOW, wide, instruction(address=12))
    assert 6 == fetch_waits(SLOW, wide, None)
    assert 3 == fetch_waits(SLOW, instruction(address=16), narrow)


@pytest.mark.parametrize(
    ("one", "taken", "expected"),
    [
        (instruction("alu"), False, 0),
        (instruction("store"), False, 0),
        (instruction("load"), False, 6),
        (instruction("load_multiple", registers=4), False, 15),
        (instruction("conditional", flow="conditional"), False, 6),
        (instruction("conditional", flow="conditional"), True, 6),
        (instruction("pop", registers=2, flow="return"), True, 15),
    ],
)
def test_base_waits(one: Instruction, taken: bool, expected: int) -> None:
    """Loads pay for each word and for the line they lose; branches for two fetches that may be wasted."""
    assert expected == base_waits(SLOW, one, M4.rows[one.kind], taken)


def test_no_wait_states() -> None:
    """Without wait states memory adds nothing, and with them the best case stays as it is."""
    fast, slow = edge_costs(GRAPH, M4, NO_WAIT), edge_costs(GRAPH, M4, SLOW)
    assert [cycles.best for cycles in fast.edges.values()] == [cycles.best for cycles in slow.edges.values()]
    assert 3 == slow.entry.worst
    assert 6 + (6 + 3) == slow.edges[OVER].worst
    assert 3 + 6 == slow.edges[INTO].worst
    assert edge_costs(GRAPH, M4, Memory(0, 16)) == fast


def test_memory_says_what_it_is() -> None:
    """The configuration stands among the assumptions."""
    assert "without wait states" in NO_WAIT.assumptions[0]
    assert "3 wait states per line of 16 bytes" in SLOW.assumptions[0]


@pytest.mark.parametrize("figures", [(-1, 16), (256, 16), (3, 0), (3, 12)])
def test_impossible_memory(figures: tuple[int, int]) -> None:
    """Figures that no memory has are an error of usage."""
    with pytest.raises(UsageError):
        Memory(*figures)
