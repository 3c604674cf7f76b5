"""Instructions and graphs made by hand or at random, and the longest path through them by trying every path.

Nothing here uses the solver: what it finds is compared with this.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import strategies as st

from aprgen.wcet.cost import Costs
from aprgen.wcet.graph import EXIT, Block, Edge, Graph, Loop
from aprgen.wcet.instruction import Flow, Instruction
from aprgen.wcet.timing import Cycles


def instruction(
    kind: str = "alu",
    address: int = 0,
    *,
    size: int = 2,
    registers: int = 1,
    reads: str = "",
    writes: str = "",
    addresses: str = "",
    predicated: bool = False,
    flow: Flow = "next",
    literal: int | None = None,
) -> Instruction:
    """An instruction; registers are separated by blanks."""
    return Instruction(
        address=address, size=size, text=kind, kind=kind, registers=registers,
        reads=frozenset(reads.split()) | frozenset(addresses.split()), writes=frozenset(writes.split()),
        predicated=predicated, flow=flow, target=None, literal=literal, addresses=frozenset(addresses.split()),
    )  # fmt: skip


def straight(*kinds: str) -> tuple[Instruction, ...]:
    """16-bit instructions of these kinds, one after another, that do not depend on each other."""
    return tuple(instruction(kind, 2 * position) for position, kind in enumerate(kinds))


@dataclass(frozen=True)
class Shape:
    """A graph, the worst cycles of its edges, and how often each loop may go back per entry."""

    graph: Graph
    cycles: Mapping[Edge, int]
    bounds: Mapping[int, int]

    @property
    def costs(self) -> Costs:
        return Costs(Cycles(0, 0), {edge: Cycles(min(1, worst), worst) for edge, worst in self.cycles.items()})


def shape(
    edges: Mapping[tuple[int, int], int],
    loops: Mapping[int, tuple[set[int], int]],
    calls: Mapping[int, str] | None = None,
) -> Shape:
    """A graph from (source, target) -> cycles, and head -> (blocks of the loop, bound). Block 0 is the entry."""
    calls = calls or {}
    sources = sorted({source for source, _ in edges})
    taken: dict[int, int] = {}
    made: dict[Edge, int] = {}
    for (source, target), cycles in edges.items():
        made[Edge(source, target, taken.get(source, 0) > 0)] = cycles
        taken[source] = taken.get(source, 0) + 1
    blocks = {
        source: Block(source, (instruction("call" if source in calls else "alu", source,
                                           flow="call" if source in calls else "next"),), calls.get(source))
        for source in sources
    }  # fmt: skip
    found = tuple(
        Loop(head, frozenset(body), tuple(edge for edge in made if edge.target == head and edge.source in body))
        for head, (body, _) in loops.items()
    )
    graph = Graph("shape", 0, blocks, tuple(made), found)
    return Shape(graph, made, {head: bound for head, (_, bound) in loops.items()})


def longest(made: Shape) -> int:
    """The most cycles of any path that keeps to the bounds, by following every path with a counter for each loop."""
    heads = tuple(loop.head for loop in made.graph.loops)
    back = {edge: loop.head for loop in made.graph.loops for edge in loop.back_edges}
    known: dict[tuple[int, tuple[int, ...]], float] = {}

    def ahead(block: int, counters: tuple[int, ...]) -> float:
        key = (block, counters)
        if key not in known:
            best = float("-inf")
            for edge, cycles in made.cycles.items():
                if edge.source != block:
                    continue
                after = _counted(edge, counters)
                if edge.target == EXIT:
                    best = max(best, cycles)
                elif after is not None:
                    best = max(best, cycles + ahead(edge.target, after))
            known[key] = best
        return known[key]

    def _counted(edge: Edge, counters: tuple[int, ...]) -> tuple[int, ...] | None:
        if edge.target not in heads:
            return counters
        which = heads.index(edge.target)
        count = counters[which] + 1 if edge in back else 0
        if count > made.bounds[edge.target]:
            return None
        return (*counters[:which], count, *counters[which + 1 :])

    return int(ahead(made.graph.entry, (0,) * len(heads)))


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Structured programs: sequences, choices, nested loops with breaks and with the test at either end."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    edges: dict[tuple[int, int], int] = {}
    loops: dict[int, tuple[set[int], int]] = {}
    fresh = iter(range(10_000))

    def link(source: int, target: int) -> None:
        edges[source, target] = chance.randint(1, 30)

    def statement(start: int, depth: int) -> int:
        """Adds a statement that begins in block `start`; returns the block in which it ends."""
        what = chance.choice(("plain", "choice", "loop", "sequence")) if depth else "plain"
        if what == "plain":
            end = next(fresh)
            link(start, end)
            return end
        if what == "sequence":
            return statement(statement(start, depth - 1), depth - 1)
        if what == "choice":
            left, right, end = next(fresh), next(fresh), next(fresh)
            link(start, left)
            link(start, right)
            link(statement(left, depth - 1), end)
            link(statement(right, depth - 1), end)
            return end
        head, after = next(fresh), next(fresh)
        link(start, head)
        first = next(fresh)
        link(head, first)
        if chance.random() < 0.7:
            link(head, after)
        before = set(sources())
        last = statement(first, depth - 1)
        body = (set(sources()) - before) | {head, first, last}
        link(last, head)
        if chance.random() < 0.4 or (head, after) not in edges:
            link(last, after)
        loops[head] = (body, chance.randint(0, 4))
        return after

    def sources() -> set[int]:
        return {block for edge in edges for block in edge}

    end = statement(next(fresh), 3)
    link(end, EXIT)
    return shape(edges, loops)
