"""The longest path: against trying every path, and against a solver that lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aprgen.errors import ComparisonError, UnsupportedError
from aprgen.wcet.cost import Costs
from aprgen.wcet.graph import EXIT, Edge
from aprgen.wcet.ipet import Bound, Certificate, _problem, certify, check_certificate, loop_constraint, shortest, solve
from aprgen.wcet.marks import Constraint
from aprgen.wcet.solver import Answer, Problem, highs
from aprgen.wcet.timing import Cycles
from tests.wcet.shapes import Shape, longest, shape, shapes

Solver = Callable[[Problem, bool], Answer]

DIAMOND = shape({(0, 1): 5, (0, 2): 7, (1, 3): 4, (2, 3): 1, (3, EXIT): 1}, {})
LOOP = shape({(0, 1): 1, (1, 2): 2, (2, 1): 3, (1, 3): 5, (3, EXIT): 1}, {1: ({1, 2}, 10)})
# for i in 0..n: for j in 0..i: the inner body runs at most 4 times per entry, but only 10 times altogether.
NESTED = shape(
    {(0, 1): 1, (1, 2): 1, (2, 3): 1, (3, 2): 10, (2, 4): 1, (4, 1): 1, (1, 5): 1, (5, EXIT): 1},
    {1: ({1, 2, 3, 4}, 5), 2: ({2, 3}, 4)},
)


def _solved(made: Shape, solver: Solver = highs) -> Bound:
    return solve(made.graph, made.costs, made.bounds, solver=solver)


def _problem_of(made: Shape) -> Problem:
    facts = [loop_constraint(made.graph, loop, made.bounds[loop.head]) for loop in made.graph.loops]
    return _problem(made.graph, made.costs, facts, {})


def test_choice() -> None:
    """Of two ways the longer one counts, and its edges are executed once."""
    bound = _solved(DIAMOND)
    assert 10 == bound.cycles
    assert bound.exact
    assert {Edge(0, 1, False): 1, Edge(1, 3, False): 1, Edge(3, EXIT, False): 1} == bound.counts


def test_loop() -> None:
    """Ten times around, and once through."""
    bound = _solved(LOOP)
    assert 1 + 10 * (2 + 3) + 5 + 1 == bound.cycles
    assert 10 == bound.counts[Edge(2, 1, False)]
    assert bound.exact


def test_every_path_by_hand() -> None:
    """The reference counts what a person counts: it is what the others are compared with."""
    assert 10 == longest(DIAMOND)
    assert 57 == longest(LOOP)
    assert 1 + 5 * (1 + (4 * 11 + 1) + 1) + 1 + 1 == longest(NESTED)


def test_nested_loops() -> None:
    """The inner loop's bound holds each time it is entered."""
    assert longest(NESTED) == _solved(NESTED).cycles


def test_total_count() -> None:
    """A fact about all repetitions in one call of the function lowers the bound of a triangular loop."""
    total = Constraint({Edge(3, 2, False): 1}, 10, "the body runs 10 times")
    bound = solve(NESTED.graph, NESTED.costs, NESTED.bounds, (total,))
    assert longest(NESTED) - (5 * 4 - 10) * 11 == bound.cycles
    assert bound.exact


def test_a_repair_is_no_larger_than_it_must_be() -> None:
    """A fact that counts two edges of a cycle is raised by half of what the cycle pays: the bound stays exact."""
    made = shape({(0, 1): 1, (1, 2): 4, (2, 1): 4, (1, 3): 1, (3, EXIT): 1}, {1: ({1, 2}, 9)})
    fact = Constraint({Edge(1, 2, False): 1, Edge(2, 1, False): 1}, 10, "both edges run 10 times together")

    def lying(problem: Problem, whole: bool) -> Answer:
        found = highs(problem, whole)
        return replace(found, multipliers=(0.0,) * len(found.multipliers))

    assert 1 + 5 * 8 + 1 + 1 == solve(made.graph, made.costs, {}, (fact,), solver=lying).cycles


def _exactly(made: Shape) -> Costs:
    return Costs(Cycles(0, 0), {edge: Cycles(cycles, cycles) for edge, cycles in made.cycles.items()})


def test_loops_that_must_repeat_cost_at_least_that() -> None:
    """Of loops that counters alone leave, the shortest path has every repetition; of others none."""
    once = _exactly(LOOP)
    assert 1 + 5 + 1 == shortest(LOOP.graph, once)
    assert 1 + 4 * (2 + 3) + 5 + 1 == shortest(LOOP.graph, once, {}, {1: 4})

    nested = _exactly(NESTED)
    outer, inner = 1 + 1 + 1, 1 + 10
    assert 1 + 1 + 1 == shortest(NESTED.graph, nested)
    assert 1 + 2 * outer + 1 + 1 == shortest(NESTED.graph, nested, {}, {1: 2})
    assert 1 + 2 * (outer + 3 * inner) + 1 + 1 == shortest(NESTED.graph, nested, {}, {1: 2, 2: 3})
    assert 1 + 1 + 1 == shortest(NESTED.graph, nested, {}, {2: 3})


def test_the_cheapest_repetition_counts() -> None:
    """Of two ways back and two ways through a loop the cheaper ones bound its repetitions, with a loop at the entry."""
    made = shape(
        {(0, 1): 1, (0, 2): 9, (1, 0): 5, (1, 3): 1, (2, 0): 1, (2, 3): 3, (3, EXIT): 1}, {0: ({0, 1, 2}, 9)}
    )  # fmt: skip
    assert 1 + 1 + 1 == shortest(made.graph, _exactly(made))
    assert 7 * (1 + 5) + 1 + 1 + 1 == shortest(made.graph, _exactly(made), {}, {0: 7})


def test_a_path_above_the_bound_is_a_contradiction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should a certificate ever prove too little, the path that is longer shows it."""
    monkeypatch.setattr("aprgen.wcet.ipet.check_certificate", lambda problem, certificate: 9)
    with pytest.raises(ComparisonError, match="a path of 10 cycles exceeds the certified 9"):
        _solved(DIAMOND)


def test_a_circle_beside_the_path_is_no_path() -> None:
    """A fact that lets a loop run on a path that leaves it out still bounds, and is not said to be reached."""
    made = shape({(0, 1): 1, (0, 2): 9, (1, 1): 5, (1, 3): 1, (2, 3): 1, (3, EXIT): 1}, {1: ({1}, 4)})
    fact = Constraint({Edge(1, 1, False): 1}, 4, "the loop repeats 4 times, entered or not")
    bound = solve(made.graph, made.costs, {}, (fact,))

    assert 9 + 1 + 1 + 4 * 5 == bound.cycles
    assert (False, 9 + 1 + 1) == (bound.exact, bound.path_cycles)
    assert Edge(1, 1, False) not in bound.counts


def test_mark_instead_of_loop_bound() -> None:
    """A fact about the body's edges bounds the loop as well as a bound of its head."""
    fact = Constraint({Edge(1, 2, False): 1}, 10, "the body runs 10 times")
    assert _solved(LOOP).cycles == solve(LOOP.graph, LOOP.costs, {}, (fact,)).cycles


def test_entry_is_a_loop_head() -> None:
    """A loop at the function's entry is entered once by the call."""
    made = shape({(0, 1): 2, (1, 0): 3, (0, EXIT): 1}, {0: ({0, 1}, 7)})
    assert 7 * 5 + 1 == longest(made) == _solved(made).cycles


def test_block_that_repeats_itself() -> None:
    """A loop of one block."""
    made = shape({(0, 1): 1, (1, 1): 4, (1, EXIT): 2}, {1: ({1}, 6)})
    assert 1 + 6 * 4 + 2 == longest(made) == _solved(made).cycles


def test_loop_that_never_repeats() -> None:
    """A bound of 0 leaves the way through."""
    made = replace(LOOP, bounds={1: 0})
    assert 1 + 5 + 1 == _solved(made).cycles


def test_entry_costs() -> None:
    """What entering costs is part of the bound and of its path."""
    bound = solve(DIAMOND.graph, Costs(Cycles(0, 3), DIAMOND.costs.edges), {})
    assert (13, 13) == (bound.cycles, bound.path_cycles)


def test_callee() -> None:
    """The callee's bound is paid each time that the calling block is executed."""
    made = shape({(0, 1): 1, (1, 2): 2, (2, 1): 3, (1, 3): 5, (3, EXIT): 1}, {1: ({1, 2}, 10)}, {2: "g"})
    assert 57 + 10 * 100 == solve(made.graph, made.costs, made.bounds, callees={"g": 100}).cycles


def test_callee_without_bound() -> None:
    """A call of a function without a bound is refused by name."""
    made = shape({(0, 1): 1, (1, EXIT): 1}, {}, {0: "sqrtf"})
    with pytest.raises(UnsupportedError, match="sqrtf") as caught:
        _solved(made)
    assert "wcet.callee" == caught.value.code


@pytest.mark.parametrize("missing", [1, 2])
def test_unbounded_loop(missing: int) -> None:
    """The loop without a bound is named, also when the one around it has one."""
    made = replace(NESTED, bounds={head: bound for head, bound in NESTED.bounds.items() if head != missing})
    with pytest.raises(UnsupportedError, match=f"at {missing:#x}") as caught:
        _solved(made)
    assert "wcet.loop" == caught.value.code


def test_fact_that_bounds_nothing() -> None:
    """A fact relative to something inside the same loop is no bound."""
    fact = Constraint({Edge(1, 2, False): 1, Edge(2, 1, False): -1}, 0, "once per round")
    with pytest.raises(UnsupportedError) as caught:
        solve(LOOP.graph, LOOP.costs, {}, (fact,))
    assert "wcet.loop" == caught.value.code


def test_facts_that_no_path_keeps() -> None:
    """Facts that forbid every path are refused, and are no bound of zero."""
    fact = Constraint({Edge(3, EXIT, False): 1}, 0, "never returns")
    with pytest.raises(UnsupportedError) as caught:
        solve(DIAMOND.graph, DIAMOND.costs, {}, (fact,))
    assert "wcet.facts" == caught.value.code


def test_same_edge_twice() -> None:
    """A jump table with two entries for one block changes nothing."""
    graph = replace(LOOP.graph, edges=(*LOOP.graph.edges, Edge(1, 2, False)))
    assert _solved(LOOP).cycles == solve(graph, LOOP.costs, LOOP.bounds).cycles


def test_large_numbers() -> None:
    """Bounds beyond the integers that floating point can tell apart are exact."""
    made = shape(
        {(0, 1): 1, (1, 2): 1, (2, 3): 1, (3, 2): 7, (2, 1): 1, (1, EXIT): 3},
        {1: ({1, 2, 3}, 123_456_789), 2: ({2, 3}, 987_654_321)},
    )
    assert 1 + 123_456_789 * (1 + 987_654_321 * 8 + 1) + 3 == _solved(made).cycles


def test_fractional_relaxation() -> None:
    """Where half a path would be longest, the bound stays above the whole one, and says that it is not exact."""
    made = shape({(0, 1): 10, (0, 2): 1, (1, EXIT): 1, (2, EXIT): 1}, {})
    fact = Constraint({Edge(0, 1, False): 2}, 1, "half of the time")
    bound = solve(made.graph, made.costs, {}, (fact,))
    assert 2 == bound.path_cycles
    assert 6 == bound.cycles
    assert not bound.exact


def test_shortest() -> None:
    """At least the shortest path with the best costs, through no loop."""
    costs = Costs(Cycles(2, 9), {edge: Cycles(cycles - 1, cycles) for edge, cycles in LOOP.cycles.items()})
    assert 2 + 0 + 4 + 0 == shortest(LOOP.graph, costs)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(shapes())
def test_random_programs(made: Shape) -> None:
    """On structured programs with a bound for each loop, the bound is the longest of all paths."""
    bound = _solved(made)
    assert longest(made) == bound.cycles
    assert bound.exact


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(shapes(), st.data())
def test_bound_of_too_small_facts(made: Shape, data: st.DataObject) -> None:
    """With one more fact, the bound never rises, and stays above the path that the solver found."""
    edge = data.draw(st.sampled_from(made.graph.edges))
    limit = data.draw(st.integers(1, 3))
    bound = solve(made.graph, made.costs, made.bounds, (Constraint({edge: 1}, limit, "drawn"),))
    assert bound.cycles <= longest(made)
    assert bound.path_cycles is not None
    assert bound.path_cycles <= bound.cycles


# A solver that is a little, or altogether, wrong.
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(shapes(), st.randoms(use_true_random=False), st.sampled_from([1e-9, 1e-3, 1.0, 100.0]))
def test_wrong_multipliers(made: Shape, chance: object, noise: float) -> None:
    """Whatever multipliers the solver proposes, the bound is not below the longest path."""

    def solver(problem: Problem, whole: bool) -> Answer:
        answer = highs(problem, whole)
        shifted = tuple(value + noise * chance.uniform(-1, 1) for value in answer.multipliers)  # type: ignore[attr-defined]
        return replace(answer, multipliers=shifted)

    try:
        bound = _solved(made, solver)
    except UnsupportedError as refused:
        assert "wcet.certificate" == refused.code  # noqa: PT017
        assert noise >= 1.0
        return
    assert longest(made) <= bound.cycles
    if noise <= 1e-9:
        assert longest(made) == bound.cycles


@pytest.mark.parametrize("factor", [0.0, 0.5, -1.0])
def test_multipliers_too_small(factor: float) -> None:
    """Multipliers that prove nothing are raised until they do."""

    def solver(problem: Problem, whole: bool) -> Answer:
        answer = highs(problem, whole)
        return replace(answer, multipliers=tuple(factor * value for value in answer.multipliers))

    assert longest(NESTED) == _solved(NESTED, solver).cycles


@pytest.mark.parametrize("change", [1.0, -1.0, 0.5, 1e9])
@pytest.mark.parametrize("position", range(5))
def test_wrong_flow(change: float, position: int) -> None:
    """A flow that is no path, or too often around, is not reported as one; the bound does not depend on it."""

    def solver(problem: Problem, whole: bool) -> Answer:
        answer = highs(problem, whole)
        assert answer.flow is not None
        flow = list(answer.flow)
        flow[position] += change
        return replace(answer, flow=tuple(flow))

    bound = _solved(LOOP, solver)
    assert 57 == bound.cycles
    assert bound.path_cycles is None
    assert not bound.exact
    assert {} == bound.counts


@pytest.mark.parametrize("rounds", [11.0, -1.0])
def test_wrong_rounds(rounds: float) -> None:
    """A flow that goes around too often, or backwards, is no path even where it is conserved."""

    def solver(problem: Problem, whole: bool) -> Answer:
        return replace(highs(problem, whole), flow=(1.0, rounds, rounds, 1.0, 1.0))

    bound = _solved(LOOP, solver)
    assert (57, None) == (bound.cycles, bound.path_cycles)


def test_negative_multiplier() -> None:
    """A fact with room to spare lowers no bound: its multiplier is not negative, whatever the solver says."""
    fact = Constraint({Edge(0, 2, True): 1}, 5, "at most 5 times")

    def solver(problem: Problem, whole: bool) -> Answer:
        return replace(highs(problem, whole), multipliers=(-1.0,))

    assert 10 == solve(DIAMOND.graph, DIAMOND.costs, {}, (fact,), solver=solver).cycles
    problem = _problem(DIAMOND.graph, DIAMOND.costs, [fact], {})
    wrong = Certificate((Fraction(-1),), {0: Fraction(10), 1: Fraction(5), 2: Fraction(2), 3: Fraction(1)}, Fraction(5))
    with pytest.raises(ComparisonError, match="negative"):
        check_certificate(problem, wrong)


def test_shorter_path() -> None:
    """A path of the solver that is not the longest is not called exact."""

    def solver(problem: Problem, whole: bool) -> Answer:
        return replace(highs(problem, whole), flow=(0.0, 1.0, 0.0, 1.0, 1.0))

    bound = _solved(DIAMOND, solver)
    assert (10, 9, False) == (bound.cycles, bound.path_cycles, bound.exact)


def test_certificate_by_hand() -> None:
    """The bound of the loop is proved by its multiplier: one round costs 5 cycles."""
    certificate = _solved(LOOP).certificate
    assert (Fraction(5),) == certificate.multipliers
    assert {0: 57, 1: 6, 2: 4, 3: 1} == certificate.potentials


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(shapes(), st.data())
def test_mutated_certificate(made: Shape, data: st.DataObject) -> None:
    """A certificate with one number lowered is rejected; with less of a multiplier, it is or still proves enough."""
    problem = _problem_of(made)
    certificate = certify(problem, highs(problem, False).multipliers, made.graph)
    assert longest(made) == check_certificate(problem, certificate)
    less = data.draw(st.fractions(Fraction(1, 1000), 5))
    block = data.draw(st.sampled_from(sorted(certificate.potentials)))
    lowered = {**certificate.potentials, block: certificate.potentials[block] - less}
    mutants = [
        replace(certificate, potentials=lowered),
        replace(certificate, potentials=lowered, value=certificate.value - less),
        replace(certificate, value=certificate.value - less),
        replace(certificate, multipliers=(*certificate.multipliers, Fraction(0))),
        replace(certificate, multipliers=tuple(-1 - value for value in certificate.multipliers), value=Fraction(0)),
    ]
    for mutant in mutants:
        with pytest.raises(ComparisonError):
            check_certificate(problem, mutant)
    if not certificate.multipliers:
        return
    which = data.draw(st.integers(0, len(certificate.multipliers) - 1))
    smaller = list(certificate.multipliers)
    smaller[which] = max(Fraction(0), smaller[which] - less)
    try:
        proved = check_certificate(problem, replace(certificate, multipliers=tuple(smaller)))
    except ComparisonError:
        return
    assert longest(made) <= proved
