"""Bounds of a function and of everything it calls, callees first, and what the worst path spends where.

Knows the order of the parts: graphs, loop facts, costs of edges, the longest path. Knows nothing of models or reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from aprgen.errors import UnsupportedError
from aprgen.wcet.code import Code
from aprgen.wcet.cost import Costs, edge_costs
from aprgen.wcet.counters import Opinion, Verdict, require_no_disagreement
from aprgen.wcet.graph import Block, Edge, Graph, Loop
from aprgen.wcet.ipet import Bound, loop_constraint, proved, shortest, solve
from aprgen.wcet.isa import isa_of, loop_bounds, opinions
from aprgen.wcet.marks import (
    Account,
    Constraint,
    LoopFact,
    Mark,
    account_constraint,
    accounts_of,
    constraint,
    count,
    entry_constraints,
    loop_facts,
    spending_limit,
    unbounded_cycle,
)
from aprgen.wcet.memory import Memory
from aprgen.wcet.prices import kept, priced, prices_of, shared_names
from aprgen.wcet.timing import Timing, transfers


@dataclass(frozen=True, eq=False)
class Bounded:
    """One function. best: cycles that every call takes at least. verdicts: what counters in the code say, by id."""

    graph: Graph
    facts: tuple[LoopFact, ...]
    accounts: tuple[Account, ...]
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
    prices: Mapping[str, int]  # of what one function allows another; none: each bound is its function's own

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

    totals: for some loops, by id, how often their bodies run at most in one call of the function that holds them; or
    what is spent at most under a name.
    """
    accounts = {name: accounts_of(marks, graph) for name, graph in graphs.items()}
    shared = shared_names(accounts)
    accounts = {name: kept(own, {*shared, *(totals or {})}) for name, own in accounts.items()}
    parts = {
        name: _part(code, graph, marks, accounts[name], totals or {}, lambda graph: edge_costs(graph, timing, memory))
        for name, graph in graphs.items()
    }
    prices: Mapping[str, int] = {}
    if shared:
        said = {name: (*part.limits, *_of_loops(part)) for name, part in parts.items()}
        own_costs = {name: part.costs for name, part in parts.items()}
        prices = prices_of(graphs, root, own_costs, said, accounts, shared)
    done: dict[str, Bounded] = {}
    for name, part in parts.items():
        worst = {callee: one.bound.cycles for callee, one in done.items()}
        least = {callee: one.best for callee, one in done.items()}
        costs, paid = priced(part.costs, part.graph, part.accounts, prices)
        bound = solve(part.graph, costs, part.listed, part.limits, worst, paid=paid)
        if prices:  # what the path of reduced costs takes is no path's cycles
            bound = replace(bound, path_cycles=None, counts={})
        repeats = dict(pair for one in part.opinions for pair in one.repeats)
        best = shortest(part.graph, part.costs, least, repeats)
        verdicts = {one.fact.id: one.verdict for one in part.opinions}
        done[name] = Bounded(
            part.graph, part.facts, part.accounts, verdicts, part.totals, part.listed,
            isa_of(code.architecture).bounded_by, part.costs, bound, best,
        )  # fmt: skip
    return Program(root, done, calls_of(done, root), prices)


def bound_as_for(longer: Program, code: Code, marks: Sequence[Mark], timing: Timing, memory: Memory) -> int | None:
    """What the prices and multipliers of a bound for longer texts prove with the marks of shorter ones, rounded up.

    With fixed ones a bound is the longest of paths that each take a line of the text's length, so it is convex: between
    two lengths it is below the line from one to the other. None: they do not prove a bound.
    """
    worst: dict[str, int] = {}
    for name, one in longer.functions.items():
        shared = {account.id for account in one.accounts}
        accounts = kept(accounts_of(marks, one.graph), shared)
        part = _part(code, one.graph, marks, accounts, one.totals, lambda graph: edge_costs(graph, timing, memory))
        costs, _ = priced(part.costs, part.graph, accounts, longer.prices)
        bound = proved(part.graph, costs, part.listed, part.limits, worst, one.bound.certificate.multipliers)
        if bound is None:
            return None
        worst[name] = bound.cycles
    return worst[longer.root]


@dataclass(frozen=True, eq=False)
class _Part:
    """What is known of one function before any is bounded. limits: of one call."""

    graph: Graph
    facts: tuple[LoopFact, ...]
    accounts: tuple[Account, ...]
    opinions: tuple[Opinion, ...]
    listed: Mapping[int, int]
    totals: Mapping[str, int]
    limits: tuple[Constraint, ...]
    costs: Costs


def _part(
    code: Code, graph: Graph, marks: Sequence[Mark], accounts: tuple[Account, ...], totals: Mapping[str, int],
    costs_of: Callable[[Graph], Costs],
) -> _Part:  # fmt: skip
    facts = loop_facts(marks, graph)
    listed = loop_bounds(code, graph)
    _check_loops(graph, facts, accounts, listed)
    seen = opinions(facts, graph, code)
    require_no_disagreement(seen, graph.name)
    named = {*(fact.id for fact in facts), *(account.id for account in accounts)}
    own = {name: total for name, total in totals.items() if name in named}
    limits = (
        *stated(facts, graph),
        *(total_limit(fact, graph, own[fact.id]) for fact in facts if fact.id in own),
        *(account_constraint(one, graph) for one in accounts if one.allows and one.spends),
        *(spending_limit(one, graph, totals[one.id]) for one in accounts if one.id in totals),
    )
    return _Part(graph, facts, accounts, seen, listed, own, limits, costs_of(graph))


def _of_loops(part: _Part) -> list[Constraint]:
    listed = part.listed
    return [loop_constraint(part.graph, one, listed[one.head]) for one in part.graph.loops if one.head in listed]


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


def _check_loops(
    graph: Graph, facts: Sequence[LoopFact], accounts: Sequence[Account], listed: Mapping[int, int]
) -> None:
    """Refuse a loop without a bound by its place, before the solver finds that nothing bounds the path."""
    if listed:
        return
    start = unbounded_cycle(facts, graph, accounts)
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
    return sum(_passed(mark, one) for mark in marks)


def spent(marks: Sequence[Mark], one: Bounded) -> int:
    """The same, each as often as it says."""
    return sum(_passed(mark, one) * (mark.bound or 0) for mark in marks)


def _passed(mark: Mark, one: Bounded) -> int:
    passed = count(mark, one.graph)
    return passed.entries + sum(one.bound.counts.get(edge, 0) * times for edge, times in passed.edges.items())


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
