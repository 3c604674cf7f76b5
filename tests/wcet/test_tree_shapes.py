"""Bounds of trees in other shapes: branches have no loop, packed trees a marked walk, and no run contradicts them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aprgen.wcet.analyse import Question, analyse
from tests.examples import loaded
from tests.passes.test_tree_shapes import compiled_way


@pytest.fixture(autouse=True)
def _tools(require_target: Callable[[str], None], require_tool: Callable[[str], None]) -> None:
    require_target("cortex-m4")
    for module in ("scipy", "capstone", "unicorn"):
        require_tool(module)


@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m4"])
@pytest.mark.parametrize("number", [0, 1], ids=["branches", "packed"])
@pytest.mark.parametrize("name", ["rfc", "rfr"])
def test_shapes_are_bounded(name: str, number: int, target: str) -> None:
    """Every function has a bound above all traced runs, and the walk of packed trees is a loop of the report."""
    artifact = compiled_way(loaded(name), number, target)
    report = analyse(loaded(name), artifact, Question(rows=20, model_file="m.apr")).report

    assert ("bound", ()) == (report.verdict.status, report.violations)
    for entry in report.entries:
        assert entry.cycles is not None
        assert entry.observed is not None
        assert entry.best_cycles is not None
        assert entry.best_cycles <= entry.observed.low_minimum
        assert entry.observed.high_maximum <= entry.cycles
        walks = [loop for loop in entry.loops if loop.id.endswith("_walk")]
        assert bool(number) == bool(walks)
