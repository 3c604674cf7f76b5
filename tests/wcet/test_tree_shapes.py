"""Bounds of trees in other shapes: packed, mixed and compact ones walk in a loop, and no run contradicts them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from aprgen.core import Options, compile_model
from aprgen.target import load_target
from aprgen.trees import Tree, TreeBuilder
from aprgen.wcet.analyse import Question, analyse
from tests.differential.test_large_models import forest
from tests.examples import loaded
from tests.passes.test_tree_shapes import FLOATS, MIXED, compiled_way
from tests.random_models import BY_NAME, Payload


@pytest.fixture(autouse=True)
def _tools(require_target: Callable[[str], None], require_tool: Callable[[str], None]) -> None:
    require_target("cortex-m4")
    for module in ("scipy", "capstone", "unicorn"):
        require_tool(module)


@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m4"])
@pytest.mark.parametrize("number", [0, 1, FLOATS, MIXED], ids=["branches", "packed", "floats", "mixed"])
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
        assert (number in (1, MIXED)) == bool(walks)


@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m4"])
def test_compact_trees_are_bounded(target: str) -> None:
    """The walk through bytes and the entries of rows are loops of the report, and no run contradicts the bound."""
    model = forest(6, 6, 8, [0, 1, 2]).load()
    artifact = compile_model(model, load_target(target), Options("m", optimise="compact"))
    report = analyse(model, artifact, Question(rows=20, model_file="m.apr")).report

    assert ("bound", ()) == (report.verdict.status, report.violations)
    for entry in report.entries:
        assert entry.cycles is not None
        assert entry.observed is not None
        assert entry.observed.high_maximum <= entry.cycles
        assert any(loop.id.endswith("_rest") for loop in entry.loops)


@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m4"])
def test_called_trees_are_bounded(target: str) -> None:
    """Calls that end functions, which are jumps on one of the cores, are followed, and no run contradicts the bound."""
    model = forest(6, 6, 8, [0, 1, 2]).load()
    artifact = compile_model(model, load_target(target), Options("m", optimise="calls"))
    report = analyse(model, artifact, Question(rows=20, model_file="m.apr")).report

    assert ("bound", ()) == (report.verdict.status, report.violations)
    for entry in report.entries:
        assert entry.cycles is not None
        assert entry.observed is not None
        assert entry.observed.high_maximum <= entry.cycles


def lopsided(cut: float, *, deep_left: bool) -> Tree:
    """A leaf on one side of the root, and eight splits of another feature, one below the other, on the other side."""
    builder = TreeBuilder()
    sides: list[tuple[int, int]] = []

    def place(tree: object) -> int:
        if isinstance(tree, int):
            at = builder.leaf(tree)
            sides.append((-1, -1))
            return at
        assert isinstance(tree, tuple)
        at = builder.add(tree[0], tree[1])
        sides.append((-1, -1))
        sides[at] = (place(tree[2]), place(tree[3]))
        return at

    chain: object = 1
    for level in range(8):
        chain = (1, float(level), level % 2, chain)
    place((0, cut, chain, 0) if deep_left else (0, cut, 0, chain))
    left, right = np.array(sides, np.int64).T
    return replace(builder.build(), left=left, right=right)


def bound_of(first: Tree, second: Tree) -> tuple[int, int]:
    """The bound of a forest of both trees as branches, and the most of all runs."""
    members = tuple({"tree": tree, "max_depth": None, "n_features": 2} for tree in (first, second))
    fields: dict[str, object] = {
        "trees": members, "n_estimators": 2, "max_depth": None, "random_state": None, "oob_indices": (),
        "x_train": None, "y_train": np.array([1], np.uint64),
    }  # fmt: skip
    model = Payload(BY_NAME["RandomForestClassifier"], fields).load()
    report = analyse(model, compiled_way(model, 0, "cortex-m4"), Question(rows=200, model_file="m.apr")).report
    (entry,) = (one for one in report.entries if one.function.endswith("_classify"))
    assert entry.cycles is not None
    assert entry.observed is not None
    return entry.cycles, entry.observed.high_maximum


def test_what_excludes_each_other_is_not_added_up() -> None:
    """Trees that are deep on opposite sides of the same split: joined, no path of the code goes down both."""
    joined, most = bound_of(lopsided(0.5, deep_left=True), lopsided(0.5, deep_left=False))
    apart, _ = bound_of(lopsided(0.5, deep_left=True), lopsided(0.25, deep_left=False))

    assert most <= joined
    assert joined + 8 * 2 < apart  # a chain of eight splits is left out, each of two instructions and more
