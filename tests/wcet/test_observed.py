"""What runs say beside the bound: wait states in both, and contradictions that must not pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from aprgen.wcet import observed
from aprgen.wcet.analyse import Question, _checked_stack, analyse
from aprgen.wcet.memory import Memory
from aprgen.wcet.observe import Observation
from aprgen.wcet.observed import observed_runs, spelled
from aprgen.wcet.report import Observed
from tests.examples import artifact, loaded
from tests.wcet.reports import SCORES

ROWS = np.array([[1.0], [2.0], [3.0]], np.float32)


def runs(monkeypatch: pytest.MonkeyPatch, least: int, strange: tuple[str, ...] = ()) -> Observed:
    """Three calls of 10, 30 and 20 cycles at most, beside a bound of 60 and this least; strange: steps of no graph."""
    cycles = [np.array(numbers, np.int64) for numbers in ([10, 30, 20], [9, 12, 7], [5, 6, 4])]
    monkeypatch.setattr(observed, "observe", lambda *_: Observation("scores", *cycles, (), ()))
    monkeypatch.setattr(observed, "check_totals", lambda *_: ())
    monkeypatch.setattr(observed, "steps", lambda *_: frozenset())
    monkeypatch.setattr(observed, "_edges", lambda *_: (3, 4, list(strange)))
    program = SimpleNamespace(functions={}, best=least, cycles=60)
    traces, timing = SimpleNamespace(function="scores"), SimpleNamespace(unit="cycles")
    given: Any = (traces, ROWS, "rows", program, None, timing, Memory(0, 4), ())
    return observed_runs(*given)[0]


def test_figures_of_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Highest, lowest, median, the row that took longest, and what that row took at best."""
    found = runs(monkeypatch, 7)

    assert (3, 30, 10, 20, 12, 7) == (
        found.runs, found.high_maximum, found.high_minimum, found.median, found.low_maximum, found.low_minimum,
    )  # fmt: skip
    assert spelled(ROWS[1]) == found.worst_row
    assert (2.0, 3, 4, ()) == (found.ratio, found.edges_run, found.edges, found.violations)


def test_a_call_below_the_least_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that took less than any path can is named, as one that took more."""
    (line,) = runs(monkeypatch, 8).violations

    assert "a call of scores took 7 cycles at best, less than the 8 of any path" == line


def test_a_step_that_no_graph_has_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that leave the graphs contradict all that was concluded from them."""
    assert ("from here to there",) == runs(monkeypatch, 7, ("from here to there",)).violations


def test_paint_below_the_bound_is_a_violation() -> None:
    """Stack that a run wrote beyond its bound is named; as much as the bound is none."""
    stack = SCORES.stack
    assert stack is not None
    assert SCORES.observed is not None
    within = replace(SCORES, stack=replace(stack, painted=stack.bytes))
    beyond = _checked_stack(replace(SCORES, stack=replace(stack, painted=stack.bytes + 1)))

    assert _checked_stack(within) is within
    assert f"wrote {stack.bytes + 1} bytes of stack" in cast(Observed, beyond.observed).violations[-1]


@pytest.mark.parametrize("line_bytes", [4, 16])
def test_runs_wait_as_the_bound_does(line_bytes: int, require_target: Callable[[str], None]) -> None:
    """On a single path, runs with wait states take what the bound says, fetches and loads alike."""
    require_target("cortex-m4")
    question = Question(wait_states=3, line_bytes=line_bytes, rows=5)
    entries = analyse(loaded("linreg"), artifact("linreg", "cortex-m4"), question).report.entries

    for entry in entries:
        assert entry.observed is not None
        assert entry.cycles == entry.observed.high_maximum
    fast = analyse(loaded("linreg"), artifact("linreg", "cortex-m4"), Question(wait_states=0, rows=5)).report.entries
    assert all(cast(int, one.cycles) > 1.3 * cast(int, other.cycles) for one, other in zip(entries, fast, strict=True))
