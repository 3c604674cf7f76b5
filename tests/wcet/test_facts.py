"""Loop facts as inequalities, on graphs made by hand, and the counters' arithmetic."""

from __future__ import annotations

import pytest

from aprgen.errors import UnsupportedError
from aprgen.wcet.counters import OPPOSITE, Test, _simulated
from aprgen.wcet.graph import EXIT, Edge
from aprgen.wcet.marks import LoopFact, Mark, constraint, entry_constraints, loop_facts
from tests.wcet.shapes import shape

# 0 leads to the loop of 2 and 3 by way of 1, a copy of the body in front of the loop; 4 ends.
PEELED = shape({(0, 1): 1, (1, 2): 1, (1, 4): 1, (2, 3): 1, (3, 2): 1, (3, 4): 1, (4, EXIT): 1}, {2: ({2, 3}, 9)}).graph
AT_ENTRY = shape({(0, 1): 1, (1, 0): 1, (1, 2): 1, (2, EXIT): 1}, {0: ({0, 1}, 9)}).graph


def mark(address: int, kind: str, *, bound: int = 5, label_after: bool = False, past: tuple[int, ...] = ()) -> Mark:
    return Mark(address, "loop" if kind == "loop" else "body", "walk", bound, "", 7, label_after, frozenset(past))


def fact(*marks: Mark) -> LoopFact:
    scopes = tuple(one for one in marks if one.kind == "loop")
    return LoopFact("walk", 5, 7, scopes, tuple(one for one in marks if one.kind == "body"))


def test_all_copies_of_a_body_count() -> None:
    """Bodies in front of the loop and in it together run at most as often as the scopes allow; the scope at the
    function's entry is passed once."""
    made = constraint(fact(mark(0, "loop"), mark(1, "body"), mark(3, "body")), PEELED)

    assert {Edge(0, 1, False): 1, Edge(2, 3, False): 1} == dict(made.terms)
    assert 5 == made.limit


def test_each_entry_allows_the_bound() -> None:
    """A loop with bodies and without a scope runs at most as often as it is entered."""
    (made,) = entry_constraints(fact(mark(0, "loop"), mark(1, "body"), mark(3, "body")), PEELED)

    assert {Edge(2, 3, False): 1, Edge(1, 2, False): -5} == dict(made.terms)
    assert 0 == made.limit


def test_a_loop_around_the_scope_allows_nothing_per_entry() -> None:
    """A scope in the loop is passed again and again, so entries of that loop bound nothing."""
    assert () == entry_constraints(fact(mark(2, "loop"), mark(3, "body")), PEELED)


def test_a_loop_at_the_entry_is_entered_by_the_call() -> None:
    """The function's first block as a loop's head: the call itself is one way in."""
    (made,) = entry_constraints(fact(mark(2, "loop"), mark(1, "body")), AT_ENTRY)

    assert {Edge(0, 1, False): 1} == dict(made.terms)
    assert 5 == made.limit


def test_jumps_that_pass_by_a_mark_do_not_count() -> None:
    """By a label behind the mark no jump passes it; between labels those do not that the record lists."""
    ways = {Edge(3, 4, True): 1, Edge(1, 4, True): 1}
    every = constraint(fact(mark(0, "loop"), mark(4, "body")), PEELED)
    labelled = constraint(fact(mark(0, "loop"), mark(4, "body", label_after=True)), PEELED)
    listed = constraint(fact(mark(0, "loop"), mark(4, "body", past=(3,))), PEELED)

    assert ways == dict(every.terms)
    assert {} == dict(labelled.terms)
    assert {Edge(1, 4, True): 1} == dict(listed.terms)


def test_bodies_without_a_scope_are_refused() -> None:
    """Where a loop begins in another function, nothing says how often it is reached."""
    with pytest.raises(UnsupportedError, match="the loop walk is not in the function in which it begins"):
        loop_facts((mark(0, "body"),), PEELED)


@pytest.mark.parametrize(
    ("stays", "left", "right", "runs"),
    [
        ("lo", (0, 1), (10, 0), 11),
        ("ls", (0, 1), (10, 0), 12),
        ("ne", (0, 1), (10, 0), 11),
        ("hi", (10, -1), (0, 0), 11),
        ("hs", (10, -1), (1, 0), 11),
        ("lt", (-5, 1), (5, 0), 11),
        ("le", (-5, 1), (5, 0), 12),
        ("gt", (5, -1), (-5, 0), 11),
        ("ge", (5, -1), (-5, 0), 12),
        ("eq", (3, 0), (3, 1), 2),
        ("lo", (0xFFFFFFF0, 1), (0xFFFFFFFF, 0), 16),
    ],
)
def test_a_counter_leaves_in_this_iteration(
    stays: str, left: tuple[int, int], right: tuple[int, int], runs: int
) -> None:
    """How often the test of each condition runs, counted by hand; every condition has its opposite."""
    assert runs == _simulated(stays, left, right, 32)
    assert stays == OPPOSITE[OPPOSITE[stays]]
    assert Test(stays, ("", left[0]), ("", right[0]), 0).bits == 32
