"""The bound of a function that walks trees, with the worst row as a fact: no row makes the code cost more up to there.

Knows how the ways through the code, the search over rows and the longest path fit together; each is its own module's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from aprgen.wcet.bounds import Bounded, Program, calls_of, stated
from aprgen.wcet.code import Code
from aprgen.wcet.graph import Edge, Graph
from aprgen.wcet.ipet import Bound, solve
from aprgen.wcet.marks import Constraint, Mark
from aprgen.wcet.solver import Answer, Problem, highs
from aprgen.wcet.splice import Spliced, callees_once, carried, splice, taken_apart
from aprgen.wcet.symbolic import UnfollowedError
from aprgen.wcet.timing import transfers
from aprgen.wcet.unfold import Scenery, Unfolded, arguments_of, edges_of, unfold
from aprgen.wcet.worst_row import Solved, WorstRow, worst_row

FOLLOW_SECONDS = 120.0  # at least, for following the code: a large forest takes some seconds, a busy machine longer
_LIBRARY = "__"  # names that the compiler's library begins with

Answering = Callable[[Problem, bool], Answer]
Walked = frozenset[tuple[str, Edge]]


@dataclass(frozen=True)
class WalkMarks:
    """Ids of loops: cuts begin a new part of the work with each body, inner are those of one tree's walk, home is the
    one whose function the walk ends with."""

    cuts: frozenset[str]
    inner: frozenset[str]
    home: str
    is_one_tree: bool


@dataclass(frozen=True, eq=False)
class Tightened:
    """solved: for the next function of the same model. calls_others: the walked code calls functions that were not
    followed, each of which counts with its own bound."""

    program: Program
    row: WorstRow
    solved: Solved
    calls_others: bool


def tightened(
    program: Program,
    code: Code,
    marks: Sequence[Mark],
    walk: WalkMarks,
    function: str,
    n_features: int,
    *,
    seconds: float,
    before: Sequence[Solved] = (),
) -> Tightened:
    """The program's bound for its worst row. function: scores, classify or predict, which says how it is called.

    UnfollowedError when the code does what cannot be followed; the bound that was there stays true.
    """
    graphs = {name: one.graph for name, one in program.functions.items()}
    followed = frozenset(n for n, one in program.functions.items() if not n.startswith(_LIBRARY) and not one.listed)
    once = callees_once(graphs, program.root, followed)
    counted = frozenset((program.root, *once))
    weights = {name: _weights(program, name, counted) for name in counted}
    entries = {name: one.costs.entry.worst for name, one in program.functions.items()}
    scenery = Scenery(
        code, graphs, program.root, weights, entries, followed, counted, marks, walk.cuts, walk.inner, walk.home,
        walk.is_one_tree, *arguments_of(function, n_features), n_features,
    )  # fmt: skip
    unfolded = unfold(scenery, time.monotonic() + max(FOLLOW_SECONDS, seconds))
    row, solved = worst_row(unfolded, n_features, seconds, before)
    if unfolded.short > row.lower:
        raise UnfollowedError("a call that returns early may cost more than one that walks the trees", program.root)
    parts = [name for name in once if any(owner == name for owner, _ in unfolded.walked)]
    spliced = splice(graphs, {name: program.functions[name].costs for name in counted}, program.root, parts)
    facts = _facts(program, parts, spliced, unfolded, weights, row.upper - entries[program.root])
    taken: dict[Edge, int] = {}
    for way in row.ways:
        for owner, edge in edges_of(way.trail):
            whole = spliced.edges[owner, edge]
            taken[whole] = taken.get(whole, 0) + 1
    fixed = {spliced.edges[key]: taken.get(spliced.edges[key], 0) for key in unfolded.walked}
    callees = {name: one.bound.cycles for name, one in program.functions.items()}
    bound = solve(spliced.graph, spliced.costs, {}, facts, callees, _proposing(fixed))
    called = {graphs[owner].blocks[edge.source].call for owner, edge in unfolded.walked}
    others = any(name is not None and name not in followed for name in called)
    return Tightened(_program(program, bound, parts, spliced), row, solved, others)


def _weights(program: Program, name: str, counted: frozenset[str]) -> Mapping[Edge, int]:
    """Cycles of each edge, with callees that are not counted themselves."""
    one = program.functions[name]
    weights = {}
    for edge in one.graph.edges:
        block = one.graph.blocks[edge.source]
        weights[edge] = one.costs.edges[edge].worst
        if block.call is not None and block.call not in counted and transfers(block.last, edge.taken):
            weights[edge] += program.functions[block.call].bound.cycles
    return weights


def _facts(
    program: Program,
    parts: Sequence[str],
    spliced: Spliced,
    unfolded: Unfolded,
    weights: Mapping[str, Mapping[Edge, int]],
    limit: int,
) -> list[Constraint]:
    """What is known of the loops, what the walked edges cost together, and edges that no row takes."""
    facts = []
    for name in (program.root, *parts):
        one = program.functions[name]
        facts += [carried(fact, name, spliced) for fact in stated(one.facts, one.graph)]
    after = _reachable(program, unfolded.after)
    if not unfolded.walked.isdisjoint(after):
        raise UnfollowedError("the call comes back to the code that walks the trees", program.root)
    cost = {spliced.edges[owner, edge]: weights[owner][edge] for owner, edge in unfolded.walked}
    facts.append(Constraint(cost, limit, "no row makes the walked code cost more"))
    possible = unfolded.walked | unfolded.left | after
    dead = {
        spliced.edges[name, edge]: 1
        for name in (program.root, *parts)
        for edge in program.functions[name].graph.edges
        if (name, edge) not in possible
    }
    if dead:
        facts.append(Constraint(dead, 0, "no row takes these ways"))
    return facts


def _reachable(program: Program, places: Sequence[tuple[str, int]]) -> Walked:
    """The edges that can follow after these blocks, in callees too."""
    found: set[tuple[str, Edge]] = set()
    waiting = list(places)
    seen = set(waiting)
    while waiting:
        name, start = waiting.pop()
        graph = program.functions[name].graph
        following = [(name, edge.target) for edge in graph.leaving(start)]
        call = graph.blocks[start].call
        if call is not None:
            following.append((call, program.functions[call].graph.entry))
        found.update((name, edge) for edge in graph.leaving(start))
        for one in following:
            if one not in seen and one[1] in program.functions[one[0]].graph.blocks:
                seen.add(one)
                waiting.append(one)
    return frozenset(found)


def _proposing(fixed: Mapping[Edge, int]) -> Answering:
    """A solver whose whole paths take the walked edges as often as the witness does."""

    def solver(problem: Problem, whole: bool) -> Answer:
        if not whole:
            return highs(problem, False)
        at = {edge: position for position, edge in enumerate(problem.edges)}
        facts = [{at[edge]: sign} for edge in fixed for sign in (1, -1)]
        limits = [sign * times for times in fixed.values() for sign in (1, -1)]
        return highs(replace(problem, facts=(*problem.facts, *facts), limits=(*problem.limits, *limits)), True)

    return solver


def _program(program: Program, bound: Bound, parts: Sequence[str], spliced: Spliced) -> Program:
    """The program with the path of the whole, taken apart by function."""
    done: dict[str, Bounded] = dict(program.functions)
    for name in program.functions:  # callees first
        if name not in (program.root, *parts):
            continue
        one = program.functions[name]
        counts = taken_apart(bound.counts, name, spliced)
        own = bound
        if name != program.root:
            cycles = one.costs.entry.worst + sum(n * _cycles(done, one.graph, one, edge) for edge, n in counts.items())
            own = replace(bound, cycles=cycles, path_cycles=None if bound.path_cycles is None else cycles)
        done[name] = replace(one, bound=replace(own, counts=counts))
    return Program(program.root, done, calls_of(done, program.root), program.prices)


def _cycles(done: Mapping[str, Bounded], graph: Graph, one: Bounded, edge: Edge) -> int:
    """An edge's, with the call that it makes."""
    block = graph.blocks[edge.source]
    cycles = one.costs.edges[edge].worst
    if block.call is not None and transfers(block.last, edge.taken):
        cycles += done[block.call].bound.cycles
    return cycles
