"""The longest path through a function's graph: a bound in cycles that is certified without floating point.

Knows the edge-flow problem (maximise cycles; flow is conserved, facts bound repetition) and the certificate of its
answer: multipliers of the facts with which the longest path, counted in integers, proves the bound. The solver only
proposes. Knows nothing of instructions or of where facts come from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from aprgen.errors import ComparisonError, UnsupportedError
from aprgen.wcet.cost import Costs
from aprgen.wcet.marks import Constraint
from aprgen.wcet.solver import Answer, Problem, highs
from aprgen.wcet.timing import transfers

if TYPE_CHECKING:
    from aprgen.wcet.graph import Edge, Graph, Loop

_MAX_REPAIRS = 400
_DENOMINATORS = (1, 1_000, 1_000_000)
_NEAR = Fraction(1, 1_000_000)


@dataclass(frozen=True)
class Certificate:
    """Proof of a bound. With `multipliers` (one per fact, not negative) taken off the edges, `potentials` are upper
    bounds of the cycles from each block to the exit; so the entry's, and limits x multipliers, bound every path."""

    multipliers: tuple[Fraction, ...]
    potentials: Mapping[int, Fraction]
    value: Fraction


@dataclass(frozen=True)
class Bound:
    """`cycles` bounds every path; `path_cycles` is what the path of `counts` takes, which leads from the entry to the
    exit and keeps to all facts. None, and no counts: the solver offered no such path."""

    cycles: int
    path_cycles: int | None
    counts: Mapping[Edge, int]
    certificate: Certificate

    @property
    def exact(self) -> bool:
        """No bound from these costs and facts is lower."""
        return self.cycles == self.path_cycles


def loop_constraint(graph: Graph, loop: Loop, bound: int) -> Constraint:
    """At most `bound` ways back to the head each time the loop is entered from outside."""
    terms: dict[Edge, int] = {}
    for edge in graph.edges:
        if edge.target == loop.head:
            terms[edge] = 1 if edge in loop.back_edges else -bound
    limit = bound if loop.head == graph.entry else 0
    return Constraint(terms, limit, f"the loop at {loop.head:#x} repeats at most {bound} times")


def solve(
    graph: Graph,
    costs: Costs,
    loop_bounds: Mapping[int, int],
    facts: Sequence[Constraint] = (),
    callees: Mapping[str, int] | None = None,
    solver: Callable[[Problem, bool], Answer] = highs,
    paid: Set[Edge] = frozenset(),
) -> Bound:
    """The bound of one call of the function.

    loop_bounds: head of a loop -> ways back to it per entry. facts: what marks or models say. callees: bounds of the
    functions that it calls. paid: edges whose costs were reduced by what passing them is worth, so that cycles over
    them need no fact. A path that nothing bounds is refused; so is an answer of the solver that does not
    survive the check in integers.
    """
    every = _with_loops(graph, loop_bounds, facts)
    _check_cycles(graph, every, paid)
    problem = _problem(graph, costs, every, callees or {})
    entry = costs.entry.worst
    relaxed = solver(problem, False)
    if relaxed.outcome == "unbounded":
        raise _unbounded(graph, graph.entry)
    if relaxed.outcome == "none":
        raise UnsupportedError(
            "wcet.facts", f"no path through {graph.name} keeps to all facts about its loops", where=graph.name,
            hint="a bound is too small, or belongs to another loop; check the marks in the C",
        )  # fmt: skip
    certificate = certify(problem, relaxed.multipliers, graph)
    cycles = check_certificate(problem, certificate)
    counts = _connected(problem, _whole(relaxed.flow))
    path = _path_cycles(problem, counts, graph)
    if counts is None or path != cycles:
        counts = _connected(problem, _whole(solver(problem, True).flow))
        path = _path_cycles(problem, counts, graph)
    if counts is None or path is None:
        return Bound(entry + cycles, None, {}, certificate)
    if path > cycles:
        raise _invalid(f"a path of {path} cycles exceeds the certified {cycles}")
    taken = {edge: count for edge, count in zip(problem.edges, counts, strict=True) if count}
    return Bound(entry + cycles, entry + path, taken, certificate)


def proved(
    graph: Graph, costs: Costs, loop_bounds: Mapping[int, int], facts: Sequence[Constraint], callees: Mapping[str, int],
    multipliers: Sequence[Fraction],
) -> Bound | None:
    """As `solve`, with multipliers of a bound that is known for larger allowances; rounded up, and without a path.

    None: these multipliers do not do.
    """
    every = _with_loops(graph, loop_bounds, facts)
    problem = _problem(graph, costs, every, callees)
    certificate = _repaired(problem, list(multipliers))
    if certificate is None or certificate.multipliers != tuple(multipliers):
        return None
    check_certificate(problem, certificate)
    return Bound(costs.entry.worst + math.ceil(certificate.value), None, {}, certificate)


def _with_loops(
    graph: Graph, loop_bounds: Mapping[int, int], facts: Sequence[Constraint]
) -> tuple[Constraint, ...]:
    bounded = (loop for loop in graph.loops if loop.head in loop_bounds)
    return (*(loop_constraint(graph, loop, loop_bounds[loop.head]) for loop in bounded), *facts)


def shortest(
    graph: Graph, costs: Costs, callees: Mapping[str, int] | None = None, repeats: Mapping[int, int] | None = None
) -> int:
    """Cycles that every call takes at least, with best-case costs.

    repeats: for some loops, by head, how often a way back is taken at least, each time the loop is entered. Each such
    loop gets a price, what its cheapest repetition takes: a way back costs the price less, a way in as many prices more
    as it must be repeated. No real path gets dearer by that, and no cycle pays, so the shortest path bounds them all.
    """
    problem = _problem(graph, costs, (), callees or {}, best=True)
    reduced = list(problem.cycles)
    least = costs.entry.best
    for loop in sorted(graph.loops, key=lambda loop: len(loop.blocks)):
        times = (repeats or {}).get(loop.head, 0)
        back = [position for position, edge in enumerate(problem.edges) if edge in loop.back_edges]
        price = min(_cheapest(problem, reduced, loop, position) for position in back)
        for position, edge in enumerate(problem.edges):
            if times and edge.target == loop.head:
                reduced[position] += -price if position in back else times * price
        least += times * price if loop.head == graph.entry else 0
    return least + _least(problem, reduced, None)[graph.entry]


def _cheapest(problem: Problem, cycles: Sequence[int], loop: Loop, back: int) -> int:
    """What one repetition by that way back takes at least, from the head to the head."""
    source = problem.ends[back][0]
    inside = [n if set(ends) <= loop.blocks and ends[1] != loop.head else None for n, ends in
              zip(cycles, problem.ends, strict=True)]  # fmt: skip
    return cycles[back] + _least(problem, inside, source)[loop.head]


def _least(problem: Problem, cycles: Sequence[int | None], goal: int | None) -> Mapping[int, int]:
    """The shortest way from each block to the goal, None being the exit; edges without cycles are left out."""
    far = sum(abs(n) for n in cycles if n is not None) + 1
    least = dict.fromkeys(problem.blocks, far)
    if goal is not None:
        least[goal] = 0
    changed, rounds = True, 0
    while changed:
        changed = False
        rounds += 1
        assert rounds <= len(problem.blocks) + 1, "a cycle pays"
        for n, (source, target) in zip(cycles, problem.ends, strict=True):
            onward = (0 if goal is None else far) if target is None else least[target]
            if n is not None and onward < far and n + onward < least[source]:
                least[source], changed = n + onward, True
    return least


def certify(problem: Problem, multipliers: Sequence[float], graph: Graph) -> Certificate:
    """A certificate near the solver's multipliers: rounded to fractions, raised where a cycle still pays, and the
    potentials computed from them without rounding. Refused when that does not come to an end."""
    best: Certificate | None = None
    for denominator in _DENOMINATORS:
        rounded = [max(Fraction(0), Fraction(value).limit_denominator(denominator)) for value in multipliers]
        certificate = _repaired(problem, rounded)
        if certificate is not None and (best is None or certificate.value < best.value):
            best = certificate
        if certificate is not None and all(
            abs(fraction - Fraction(value)) <= _NEAR * max(Fraction(1), fraction)
            for fraction, value in zip(rounded, multipliers, strict=True)
        ):
            break  # finer fractions would only copy the solver's noise
    if best is None:
        raise UnsupportedError(
            "wcet.certificate", "the bound could not be certified in exact arithmetic", where=graph.name,
            hint="some loop has no bound that holds each time it is entered; bound every loop",
        )  # fmt: skip
    return best


def check_certificate(problem: Problem, certificate: Certificate) -> int:
    """The bound that the certificate proves, in whole cycles; ComparisonError if it proves none.

    A path's cycles are a whole number, so the part after the point can go.
    """
    if len(certificate.multipliers) != len(problem.facts) or any(value < 0 for value in certificate.multipliers):
        raise _invalid("a multiplier is missing or negative")
    reduced = _reduced(problem, certificate.multipliers)
    potentials = certificate.potentials
    for (source, target), cycles in zip(problem.ends, reduced, strict=True):
        if potentials[source] < cycles + (potentials[target] if target is not None else 0):
            raise _invalid(f"an edge from block {source:#x} pays more than its potential")
    value = potentials[problem.entry] + _limits(problem, certificate.multipliers)
    if value != certificate.value:
        raise _invalid("its value is not the sum of its parts")
    return math.floor(value)


def _invalid(what: str) -> ComparisonError:
    return ComparisonError(
        "wcet.certificate", f"the certificate of the bound is invalid: {what}", where="certificate",
        hint="this is a defect of aprgen; report it with the image",
    )  # fmt: skip


def _problem(
    graph: Graph, costs: Costs, facts: Sequence[Constraint], callees: Mapping[str, int], best: bool = False
) -> Problem:
    edges = tuple(dict.fromkeys(graph.edges))  # a jump table may lead to a block twice
    at = {edge: position for position, edge in enumerate(edges)}
    cycles = []
    for edge in edges:
        block = graph.blocks[edge.source]
        own = costs.edges[edge].best if best else costs.edges[edge].worst
        if block.call is not None and transfers(block.last, edge.taken):
            if block.call not in callees:
                raise UnsupportedError(
                    "wcet.callee", f"{graph.name} calls {block.call}, which has no bound", where=f"{block.start:#x}",
                    hint="bound the callee first; a function of a library must be on the list of known ones",
                )  # fmt: skip
            own += callees[block.call]
        cycles.append(own)
    return Problem(
        entry=graph.entry,
        blocks=tuple(graph.blocks),
        edges=edges,
        ends=tuple((edge.source, edge.target if edge.target in graph.blocks else None) for edge in edges),
        cycles=tuple(cycles),
        facts=tuple({at[edge]: n for edge, n in fact.terms.items()} for fact in facts),
        limits=tuple(fact.limit for fact in facts),
    )


def _reduced(problem: Problem, multipliers: Sequence[Fraction]) -> list[Fraction]:
    """The cycles of each edge less what the facts' multipliers take off."""
    reduced = [Fraction(cycles) for cycles in problem.cycles]
    for terms, multiplier in zip(problem.facts, multipliers, strict=True):
        if multiplier:
            for position, n in terms.items():
                reduced[position] -= multiplier * n
    return reduced


def _limits(problem: Problem, multipliers: Sequence[Fraction]) -> Fraction:
    return sum((multiplier * limit for multiplier, limit in zip(multipliers, problem.limits, strict=True)), Fraction(0))


def _repaired(problem: Problem, multipliers: list[Fraction]) -> Certificate | None:
    """Raise multipliers until no cycle pays; None if a cycle pays that no fact bounds, or after too many rounds."""
    multipliers = list(multipliers)
    for _ in range(_MAX_REPAIRS):
        reduced = _reduced(problem, multipliers)
        potentials, cycle = _longest(problem, reduced)
        if not cycle:
            value = potentials[problem.entry] + _limits(problem, multipliers)
            return Certificate(tuple(multipliers), potentials, value)
        pays = sum((reduced[position] for position in cycle), Fraction(0))
        takes = [sum(terms.get(position, 0) for position in cycle) for terms in problem.facts]
        # A fact that does not give back elsewhere on the cycle, and takes most: the smallest raise.
        chosen = max(range(len(takes)), key=lambda fact: takes[fact], default=None)
        if chosen is None or takes[chosen] <= 0:
            return None
        multipliers[chosen] += pays / takes[chosen]
    return None


def _longest(problem: Problem, reduced: Sequence[Fraction]) -> tuple[Mapping[int, Fraction], list[int]]:
    """The longest way from each block to the exit, or the edges of a cycle that pays.

    In integers over one common denominator. A block from which no way leads to the exit keeps a potential far below
    all others.
    """
    scale = math.lcm(*(cycles.denominator for cycles in reduced)) if reduced else 1
    scaled = [int(cycles * scale) for cycles in reduced]
    order = _from_exit(problem)
    lowest = -sum(abs(cycles) for cycles in scaled) - 1  # below every simple path
    far: dict[int, int] = dict.fromkeys(problem.blocks, lowest * (len(problem.blocks) + 1))
    via: dict[int, int] = {}
    for _ in range(len(problem.blocks) + 1):
        changed = -1
        for position in order:
            source, target = problem.ends[position]
            there = scaled[position] + (far[target] if target is not None else 0)
            if there > far[source]:
                far[source], via[source], changed = there, position, source
        if changed < 0:
            return {block: Fraction(cycles, scale) for block, cycles in far.items()}, []
        cycle = _cycle_of(problem, via, changed)
        if cycle:
            return {}, cycle
    raise AssertionError("more rounds than blocks, and no cycle")


def _cycle_of(problem: Problem, via: Mapping[int, int], start: int) -> list[int]:
    """The cycle that the chosen edges form from `start` on, if they do; it always pays."""
    seen: dict[int, int] = {}
    edges: list[int] = []
    block: int | None = start
    while block is not None and block in via:
        if block in seen:
            return edges[seen[block] :]
        seen[block] = len(edges)
        edges.append(via[block])
        block = problem.ends[via[block]][1]
    return []


def _from_exit(problem: Problem) -> list[int]:
    """Edges in an order that settles most blocks in one round: those nearest to the exit first."""
    into: dict[int | None, list[int]] = {}
    for position, (_, target) in enumerate(problem.ends):
        into.setdefault(target, []).append(position)
    order: list[int] = []
    seen: set[int] = set()
    queue: list[int | None] = [None]
    for block in queue:
        for position in into.get(block, ()):
            order.append(position)
            source = problem.ends[position][0]
            if source not in seen:
                seen.add(source)
                queue.append(source)
    return order


def _whole(flow: Sequence[float] | None) -> tuple[int, ...] | None:
    """The flow in whole numbers, or None when it is not close to any."""
    if flow is None:
        return None
    rounded = tuple(round(value) for value in flow)
    near = all(abs(value - whole) <= 1e-4 * max(1.0, abs(value)) for value, whole in zip(flow, rounded, strict=True))
    return rounded if near else None


def _connected(problem: Problem, counts: Sequence[int] | None) -> tuple[int, ...] | None:
    """The part of a flow that the entry leads to. The rest goes in circles that no path comes to."""
    if counts is None:
        return None
    onward: dict[int, list[int]] = {}
    for (source, target), times in zip(problem.ends, counts, strict=True):
        if times and target is not None:
            onward.setdefault(source, []).append(target)
    seen = {problem.entry}
    pending = [problem.entry]
    while pending:
        for target in onward.get(pending.pop(), ()):
            if target not in seen:
                seen.add(target)
                pending.append(target)
    return tuple(
        times if source in seen else 0 for (source, _), times in zip(problem.ends, counts, strict=True)
    )  # fmt: skip


def _path_cycles(problem: Problem, counts: Sequence[int] | None, graph: Graph) -> int | None:
    """Cycles of a flow, or None when it is none: negative, not conserved, or against a fact."""
    if counts is None:
        return None
    balance = dict.fromkeys(graph.blocks, 0)
    balance[problem.entry] += 1
    for (source, target), count in zip(problem.ends, counts, strict=True):
        balance[source] -= count
        if target is not None:
            balance[target] += count
    kept = all(
        sum(n * counts[position] for position, n in terms.items()) <= limit
        for terms, limit in zip(problem.facts, problem.limits, strict=True)
    )
    if min(counts, default=0) < 0 or any(balance.values()) or not kept:
        return None
    return sum(cycles * count for cycles, count in zip(problem.cycles, counts, strict=True))


def _check_cycles(graph: Graph, facts: Sequence[Constraint], paid: Set[Edge]) -> None:
    """Every cycle must pass an edge that some fact counts; the first that does not is named by its loop."""
    counted = {edge for fact in facts for edge, n in fact.terms.items() if n > 0} | paid
    onward: dict[int, list[int]] = {block: [] for block in graph.blocks}
    for edge in graph.edges:
        if edge not in counted and edge.target in graph.blocks:
            onward[edge.source].append(edge.target)
    indegree = dict.fromkeys(graph.blocks, 0)
    for targets in onward.values():
        for target in targets:
            indegree[target] += 1
    ready = [block for block, n in indegree.items() if n == 0]
    for block in ready:
        for target in onward[block]:
            indegree[target] -= 1
            if indegree[target] == 0:
                ready.append(target)
    rest = set(graph.blocks) - set(ready)
    if rest:
        heads = [loop.head for loop in graph.loops if loop.head in rest and _returns(onward, loop.head)]
        raise _unbounded(graph, min(heads, default=min(rest)))


def _returns(onward: Mapping[int, Sequence[int]], head: int) -> bool:
    """Whether uncounted edges lead from the head back to it."""
    seen: set[int] = set()
    work = list(onward[head])
    while work:
        block = work.pop()
        if block == head:
            return True
        if block not in seen:
            seen.add(block)
            work.extend(onward[block])
    return False


def _unbounded(graph: Graph, head: int) -> UnsupportedError:
    return UnsupportedError(
        "wcet.loop", f"nothing bounds the loop of {graph.name} at {head:#x}", where=f"{graph.name} {head:#x}",
        hint="mark the loop in the C with its bound, or bound the size it depends on",
    )  # fmt: skip
