"""Bounds of a function and of everything it calls, callees first, and what the worst path spends where.

Knows the order of the parts: graphs, loop facts, costs of edges, the longest path. Knows nothing of models or reports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aprgen.errors import UnsupportedError
from aprgen.wcet.code import Code
from aprgen.wcet.cost import Costs, edge_costs
from aprgen.wcet.counters import Verdict, require_no_disagreement
from aprgen.wcet.graph import Block, Edge, Graph, Loop
from aprgen.wcet.ipet import Bound, shortest, solve
from aprgen.wcet.isa import isa_of, loop_bounds, opinions
from aprgen.wcet.marks import (
    Constraint,
    LoopFact,
    Mark,
    constraint,
    count,
    entry_constraints,
    loop_facts,
    unbounded_cycle,
)
from aprgen.wcet.memory import Memory
from aprgen.wcet.timing import Timing, transfers


@dataclass(frozen=True, eq=False)
class Bounded:
    """One function. best: cycles that every call takes at least. verdicts: what counters in the code say, by id."""

    graph: Graph
    facts: tuple[LoopFact, ...]
    verdicts: Mapping[str, Verdict]
    totals: Mapping[str, int]  # bodies in one call, by the id of the loop
    listed: Mapping[int, int]  # bounds of loops that need no mark, by head
    listed_by: tuple[str, str]  # where these come from, and what confirms them
    costs: Costs
    bound: Bound
    best: int


@dataclass(frozen=True, eq=False)
class Program:
    """A root and what it calls. calls: how often the worst path calls each function; 1 for the root, 0 for what it
    leaves out; None when the solver found no whole path."""

    root: str
    functions: Mapping[str, Bounded]
    calls: Mapping[str, int] | None

    @property
    def cycles(self) -> int:
        return self.functions[self.root].bound.cycles

    @property
    def best(self) -> int:
        return self.functions[self.root].best


def bound_program(
    code: Code,
    graphs: Mapping[str, Graph],
    root: str,
    marks: Sequence[Mark],
    timing: Timing,
    memory: Memory,
    totals: Mapping[str, int] | None = None,
) -> Program:
    """The bound of the root. graphs: callees before callers, and nothing that the root does not call.

    totals: for some loops, by id, how often their bodies run at most in one call of the function that holds them.
    """
    done: dict[str, Bounded] = {}
    for name, graph in graphs.items():
        worst = {callee: one.bound.cycles for callee, one in done.items()}
        least = {callee: one.best for callee, one in done.items()}
        facts = loop_facts(marks, graph)
        listed = loop_bounds(code, graph)
        _check_loops(graph, facts, listed)
        costs = edge_costs(graph, timing, memory)
        seen = opinions(facts, graph, code)
        require_no_disagreement(seen, name)
        own = {fact.id: totals[fact.id] for fact in facts if totals and fact.id in totals}
        limits = [total_limit(fact, graph, own[fact.id]) for fact in facts if fact.id in own]
        bound = solve(graph, costs, listed, (*stated(facts, graph), *limits), worst)
        verdicts = {one.fact.id: one.verdict for one in seen}
        best = shortest(graph, costs, least, dict(pair for one in seen for pair in one.repeats))
        listed_by = isa_of(code.architecture).bounded_by
        done[name] = Bounded(graph, facts, verdicts, own, listed, listed_by, costs, bound, best)
    return Program(root, done, calls_of(done, root))


def stated(facts: Sequence[LoopFact], graph: Graph) -> list[Constraint]:
    """What the facts say about one call of the function."""
    return [one for fact in facts for one in (constraint(fact, graph), *entry_constraints(fact, graph))]


def total_limit(fact: LoopFact, graph: Graph, limit: int) -> Constraint:
    """All bodies of the loop together run at most `limit` times in one call of the function."""
    terms: dict[Edge, int] = {}
    for mark in fact.bodies:
        passed = count(mark, graph)
        limit -= passed.entries
        for edge, times in passed.edges.items():
            terms[edge] = terms.get(edge, 0) + times
    return Constraint(terms, limit, f"{fact.id} runs at most so often for any row")


def _check_loops(graph: Graph, facts: Sequence[LoopFact], listed: Mapping[int, int]) -> None:
    """Refuse a loop without a bound by its place, before the solver finds that nothing bounds the path."""
    if listed:
        return
    start = unbounded_cycle(facts, graph)
    if start is not None:
        raise UnsupportedError(
            "wcet.loop", f"nothing bounds the loop at {start:#x} of {graph.name}", where=f"{graph.name} at {start:#x}",
            hint="a library routine with a loop needs an entry in the list of known ones: choose a core with an FPU, "
            "or a model that needs no such routine",
        )  # fmt: skip


def calls_of(done: Mapping[str, Bounded], root: str) -> Mapping[str, int] | None:
    """How often the worst path calls each function; None when there is no whole path."""
    if any(one.bound.path_cycles is None for one in done.values()):
        return None
    calls = dict.fromkeys(done, 0)
    calls[root] = 1
    for name in reversed(tuple(done)):  # callers first
        one = done[name]
        for edge, times in one.bound.counts.items():
            block = one.graph.blocks[edge.source]
            if block.call is not None and transfers(block.last, edge.taken):
                calls[block.call] += calls[name] * times
    return calls


def self_cycles(one: Bounded) -> int:
    """Of one call on the worst path, without callees."""
    return one.costs.entry.worst + sum(one.costs.edges[edge].worst * times for edge, times in one.bound.counts.items())


def executions(one: Bounded) -> Mapping[int, int]:
    """How often each block is executed in one call on the worst path; blocks that are not, are left out."""
    times: dict[int, int] = {}
    for edge, number in one.bound.counts.items():
        times[edge.source] = times.get(edge.source, 0) + number
    return times


def block_costs(one: Bounded) -> Mapping[int, int]:
    """Cycles of each block in one call on the worst path, without callees."""
    cycles: dict[int, int] = {one.graph.entry: one.costs.entry.worst}
    for edge, number in one.bound.counts.items():
        cycles[edge.source] = cycles.get(edge.source, 0) + number * one.costs.edges[edge].worst
    return cycles


def passes(marks: Sequence[Mark], one: Bounded) -> int:
    """How often marks are passed in one call on the worst path."""
    total = 0
    for mark in marks:
        passed = count(mark, one.graph)
        total += passed.entries + sum(one.bound.counts.get(edge, 0) * times for edge, times in passed.edges.items())
    return total


def loop_around(graph: Graph, address: int) -> Loop | None:
    """The smallest loop that holds the instruction at the address."""
    block = next((b for b in graph.blocks.values() if _holds(b, address)), None)
    around = [loop for loop in graph.loops if block is not None and block.start in loop.blocks]
    return min(around, key=lambda loop: len(loop.blocks), default=None)


def _holds(block: Block, address: int) -> bool:
    return block.start <= address < block.last.end


def loop_cycles(program: Program, one: Bounded, loops: Sequence[Loop]) -> int:
    """Cycles that one call spends in the blocks of these loops on the worst path, with callees."""
    blocks = frozenset[int]().union(*(loop.blocks for loop in loops))
    return sum(
        number * (one.costs.edges[edge].worst + _callee(program, one.graph, edge))
        for edge, number in one.bound.counts.items()
        if edge.source in blocks
    )


def _callee(program: Program, graph: Graph, edge: Edge) -> int:
    block = graph.blocks[edge.source]
    if block.call is None or not transfers(block.last, edge.taken):
        return 0
    return program.functions[block.call].bound.cycles
