"""The worst walk of an ensemble: against all rows that can differ, on unusual trees, out of time, and on fixtures."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aprgen.costs import Cost
from aprgen.errors import ComparisonError, ToolchainError, UnsupportedError
from aprgen.loaded import load_model
from aprgen.ops.trees import Nodes, TreeOp, TreeSum
from aprgen.passes.strategy import choose_strategies
from aprgen.program import Builder, Program, Table, row_type
from aprgen.wcet import walk_paths, walk_relaxation, walks
from aprgen.wcet.walk_paths import Weights, find_paths, float_thresholds, step_weights
from aprgen.wcet.walk_relaxation import link, price_bits, priced_bound, relax, restrict
from aprgen.wcet.walks import Walk, walk_cost, worst_row, worst_walk
from tests.recorded import DATA
from tests.wcet.grown import ensembles, grown_forest, nodes_of, random_weights

SECONDS = 60.0
INTEGERS = Cost(float_compare=1000, integer_compare=1, float_to_key=1)


def edge_weights(nodes: Nodes, seed: int) -> Weights:
    return step_weights(nodes) if seed == 0 else random_weights(nodes, seed)


def all_rows(nodes: Nodes, *, finite: bool) -> list[np.ndarray]:
    """One row of every combination of cells: the thresholds, what is next to them, and the extremes."""
    thresholds = nodes.threshold.data
    near = np.unique(thresholds[~np.isnan(thresholds)])
    with np.errstate(over="ignore"):
        above = np.nextafter(near, np.float32(np.inf), dtype=np.float32)
    values = np.unique(np.concatenate([near, above, [0.0, -np.inf, np.nan]]).astype(np.float32))
    chosen = values[np.isfinite(values)] if finite else values
    n_features = int(nodes.feature.data.max(initial=0)) + 1
    axes = []
    for feature in range(n_features):
        own = thresholds[nodes.feature.data == feature]
        sides = (chosen[:, None] <= own[None, :]).tolist()
        axes.append(list({tuple(side): value for side, value in zip(sides, chosen, strict=True)}.values()))
    return [np.array(row, np.float32) for row in itertools.product(*axes)]


def counted(op: TreeOp, x: np.ndarray) -> int:
    """Steps of the op's own walk of one row: after so many steps some walks are at a node still, seen as ~node < 0."""
    steps = 0
    for depth in range(op.nodes.depth):
        steps += sum(int(end[0] < 0) for end in replace(op, nodes=replace(op.nodes, depth=depth)).leaves(x))
    return steps


@settings(max_examples=150, deadline=None)
@given(nodes=ensembles(), seed=st.integers(0, 5), finite=st.booleans())
@example(nodes=nodes_of([(0, np.nan, (0, 1.0, 0, (0, 1.0, 1, 2)), 3)]), seed=0, finite=False)
@example(nodes=nodes_of([(0, -np.inf, (0, np.inf, 0, 1), 2), (0, np.inf, 0, (0, 0.0, 1, 2))]), seed=0, finite=True)
def test_worst_walk_is_the_dearest_of_all_rows(nodes: Nodes, seed: int, finite: bool) -> None:
    """On small ensembles the walk equals the dearest row of every combination of cells, and the witness costs that."""
    weights = edge_weights(nodes, seed)
    dearest = max(walk_cost(nodes, weights, row)[0] for row in all_rows(nodes, finite=finite))

    walk = worst_walk(nodes, weights, seconds=SECONDS, finite=finite)

    assert (dearest, dearest) == (walk.lower, walk.upper)
    assert dearest == walk_cost(nodes, weights, walk.witness)[0]
    assert not finite or np.isfinite(walk.witness).all()


def no_climb(paths: walk_paths.Paths, enough: int, end: float) -> np.ndarray:
    return np.array([cells.low for cells in paths.cells], np.int64)


def no_prices(paths: walk_paths.Paths, links: walk_relaxation.Links, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(len(links.limit)), np.full(int(links.first[-1]) - paths.n_paths, 0.5)


@settings(max_examples=60, deadline=None)
@given(nodes=ensembles(), seed=st.integers(0, 5))
def test_the_search_alone_is_exact(nodes: Nodes, seed: int) -> None:
    """Without a climb and without prices, halving boxes alone finds the dearest of all rows: no cell is forgotten."""
    weights = edge_weights(nodes, seed)
    dearest = max(walk_cost(nodes, weights, row)[0] for row in all_rows(nodes, finite=False))

    with mock.patch.object(walks, "climb", no_climb), mock.patch.object(walk_relaxation, "_propose", no_prices):
        walk = worst_walk(nodes, weights, seconds=SECONDS)

    assert (dearest, dearest) == (walk.upper, walk.lower)


@settings(max_examples=100, deadline=None)
@given(nodes=ensembles(), data=st.data())
def test_any_prices_bound_all_rows(nodes: Nodes, data: st.DataObject) -> None:
    """Whatever prices a solver proposes, no row in the box costs more than the bound at them."""
    weights = random_weights(nodes, 1)
    paths = find_paths(nodes, weights, finite=False)
    low = np.array([data.draw(st.integers(c.low, c.high)) for c in paths.cells], np.int64)
    high = np.array([data.draw(st.integers(at, c.high)) for at, c in zip(low, paths.cells, strict=True)], np.int64)
    box = restrict(paths, low, high)
    links = link(box, low, high)
    bits = price_bits(box, links)
    prices = np.array(data.draw(st.lists(st.integers(0, 20 << bits), min_size=len(links.limit),
                                         max_size=len(links.limit))), np.int64)  # fmt: skip
    rows = itertools.product(*(range(a, b + 1) for a, b in zip(low, high, strict=True)))
    dearest = max(paths.total(np.array(row, np.int64)) for row in rows)

    assert dearest <= priced_bound(box, links, prices, bits)
    assert dearest <= relax(box, low, high, seconds=SECONDS).bound


@settings(max_examples=100, deadline=None)
@given(nodes=ensembles())
def test_a_row_takes_one_path_of_each_tree(nodes: Nodes) -> None:
    """In every cell exactly one path of each tree is taken, and it costs what walking the row costs."""
    paths = find_paths(nodes, step_weights(nodes), finite=False)
    for cell in itertools.product(*(range(c.low, c.high + 1) for c in paths.cells)):
        taken = paths.taken(np.array(cell, np.int64))

        assert list(range(nodes.n_trees)) == paths.tree[taken].tolist()


def test_keys_walk_like_floats() -> None:
    """Trees that compare keys have the worst walk of the float trees, and a witness in floats."""
    nodes = nodes_of([(0, 0.5, (1, -np.inf, 0, (1, 1e-45, 1, 2)), 3), (1, np.nan, 0, (0, np.inf, 1, 2))])
    keyed = nodes.with_keys(np.arange(2))

    walk = worst_walk(keyed, step_weights(keyed), seconds=SECONDS)

    assert np.array_equal(float_thresholds(nodes), float_thresholds(keyed), equal_nan=True)
    assert (5, 5) == (walk.upper, walk.lower)
    assert walk.leaves.tolist() == [int(leaf[0]) for leaf in nodes.walk(walk.witness.reshape(1, -1))]


def test_a_threshold_that_is_no_key() -> None:
    """An integer beyond the keys of all floats is refused."""
    nodes = nodes_of([(0, 0.5, 0, 1)])
    broken = Nodes(nodes.feature, Table([2**31 - 1], np.int32), nodes.left, nodes.right, nodes.root, 1)

    with pytest.raises(ValueError, match="no key of a float"):
        worst_walk(broken, step_weights(broken), seconds=SECONDS)


def test_only_a_nan_goes_right_of_infinity() -> None:
    """x <= infinity fails for NaN alone: the witness is NaN, and finite rows cannot go there."""
    nodes = nodes_of([(0, np.inf, 0, (0, 1.0, 1, (0, 2.0, 2, 3)))])

    every = worst_walk(nodes, step_weights(nodes), seconds=SECONDS)
    finite = worst_walk(nodes, step_weights(nodes), seconds=SECONDS, finite=True)

    assert (3, True) == (every.upper, bool(np.isnan(every.witness[0])))
    assert (1, 1) == (finite.lower, finite.upper)


def test_single_leaves_cost_nothing() -> None:
    """Trees without a split have a worst walk of no steps."""
    nodes = nodes_of([0, 1])

    walk = worst_walk(nodes, step_weights(nodes), seconds=SECONDS)

    assert (0, 0, [0, 1]) == (walk.upper, walk.lower, walk.leaves.tolist())


def test_trees_that_exclude_each_other() -> None:
    """Two trees whose deep sides exclude each other: the worst row is deep in one of them only."""
    deep = (0, 0.0, (1, 1.0, 0, (1, 2.0, 1, 2)), 3)
    opposite = (0, 0.0, 3, (1, 1.0, 0, (1, 2.0, 1, 2)))
    nodes = nodes_of([deep, opposite])

    walk = worst_walk(nodes, step_weights(nodes), seconds=SECONDS)

    assert (4, 4) == (walk.lower, walk.upper)
    assert 6 == find_paths(nodes, step_weights(nodes), finite=False).dearest()


def test_without_time_both_ends_hold() -> None:
    """Out of time, upper is still above every row and the witness still costs lower."""
    nodes = grown_forest(16, 6)
    weights = random_weights(nodes, 1)
    exact = worst_walk(nodes, weights, seconds=SECONDS)

    hurried = worst_walk(nodes, weights, seconds=0.0)

    assert exact.exact
    assert not hurried.exact
    assert hurried.lower <= exact.lower <= hurried.upper
    assert hurried.lower == walk_cost(nodes, weights, hurried.witness)[0]


def test_stopped_at_any_box_both_ends_hold() -> None:
    """However many boxes a clock that ticks once per look allows, no stop forgets a box that still waits."""
    nodes = grown_forest(5, 3)
    weights = random_weights(nodes, 1)
    exact = worst_walk(nodes, weights, seconds=SECONDS)

    with mock.patch.object(walks, "climb", no_climb), mock.patch.object(walk_relaxation, "_propose", no_prices):
        for ticks in range(1, 120):
            clock = SimpleNamespace(monotonic=itertools.count().__next__)
            with mock.patch.object(walks, "time", clock):
                walk = worst_walk(nodes, weights, seconds=float(ticks))

            assert walk.lower <= exact.upper <= walk.upper


def test_more_time_never_widens_the_gap() -> None:
    """Stopped in the middle, both ends are better than those of no time at all."""
    nodes = grown_forest(50, 6)
    weights = random_weights(nodes, 1)
    none, some = (worst_walk(nodes, weights, seconds=seconds) for seconds in (0.0, 2.0))

    dearest = find_paths(nodes, weights, finite=False).dearest()
    assert some.lower <= some.upper <= none.upper <= dearest
    assert some.upper < dearest
    assert none.lower < some.lower


@pytest.mark.parametrize("size", [1, 3, 7])
def test_groups_of_trees_bound_all_trees(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds of groups add up to a bound of all trees, and the walk is the same however trees are grouped."""
    nodes = grown_forest(8, 5)
    weights = random_weights(nodes, 1)
    paths = find_paths(nodes, weights, finite=False)
    low, high = (np.array([getattr(c, end) for c in paths.cells], np.int64) for end in ("low", "high"))
    exact = worst_walk(nodes, weights, seconds=SECONDS)
    monkeypatch.setattr(walks, "GROUP_TREES", size)

    regrouped = worst_walk(nodes, weights, seconds=SECONDS)

    assert exact.upper <= walks._in_groups(paths, low, high, float("inf")) <= paths.dearest()
    assert (exact.upper, exact.lower) == (regrouped.upper, regrouped.lower)


def test_too_many_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees with more paths than can be handled are refused, with what to change."""
    monkeypatch.setattr(walk_paths, "MAX_PATHS", 3)
    nodes = nodes_of([(0, 1.0, 0, (0, 2.0, 1, 2)), (0, 1.0, 0, 1)])

    with pytest.raises(UnsupportedError, match="more than 3 paths") as error:
        worst_walk(nodes, step_weights(nodes), seconds=SECONDS)

    assert ("wcet.paths", "tree 1") == (error.value.code, error.value.where)


def test_weights_that_no_integer_holds() -> None:
    """Weights whose sums would overflow are refused instead of wrapping round."""
    nodes = nodes_of([(0, 0.0, 0, (1, 0.0, 1, 2)), (0, 0.0, (1, 0.0, 1, 2), 0)])
    huge = np.full(4, 2**58, np.int64)

    with pytest.raises(ValueError, match="too large"):
        worst_walk(nodes, Weights(huge, huge), seconds=SECONDS)


@pytest.mark.parametrize(("n_trees", "depth"), [(4, 4), (8, 5), (16, 6), (24, 6), (20, 8)])
@pytest.mark.parametrize("seed", [0, 1])
def test_grown_forests_are_exact(n_trees: int, depth: int, seed: int) -> None:
    """The worst walk of trained forests is found exactly, and no random row is dearer."""
    nodes = grown_forest(n_trees, depth, seed)
    weights = edge_weights(nodes, seed)

    walk = worst_walk(nodes, weights, seconds=SECONDS)

    rows = np.random.default_rng(2).normal(size=(200, 8)).astype(np.float32)
    assert walk.exact
    assert walk.lower == walk_cost(nodes, weights, walk.witness)[0]
    assert max(walk_cost(nodes, weights, row)[0] for row in rows) <= walk.upper


@pytest.mark.parametrize("price", [0.0, np.nan, -1.0, np.inf])
def test_a_solver_that_talks_nonsense(price: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """With useless prices the search takes longer and its answer stays right."""
    nodes = grown_forest(4, 4)
    weights = random_weights(nodes, 1)
    right = worst_walk(nodes, weights, seconds=SECONDS)

    def nonsense(
        paths: walk_paths.Paths, links: walk_relaxation.Links, seconds: float
    ) -> tuple[np.ndarray, np.ndarray]:
        return np.full(len(links.limit), price), np.full(int(links.first[-1]) - paths.n_paths, 0.5)

    monkeypatch.setattr(walk_relaxation, "_propose", nonsense)
    wrong = worst_walk(nodes, weights, seconds=5.0)

    assert right.exact
    assert wrong.lower <= right.upper <= wrong.upper


def test_a_bound_below_the_witness_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound that a row exceeds is never reported."""
    nodes = nodes_of([(0, 0.0, 0, (0, 1.0, 1, 2))])
    monkeypatch.setattr(walks, "search", lambda paths, end, climb_end: (1, np.array([2], np.int64)))

    with pytest.raises(ComparisonError, match="costs 2, 2 and at most 1"):
        worst_walk(nodes, step_weights(nodes), seconds=SECONDS)


def test_without_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a solver is needed and scipy is missing, the error says what to install."""
    nodes = nodes_of([(0, 0.0, 0, (1, 0.0, 1, 2)), (0, 0.0, (1, 0.0, 1, 2), 0)])
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)

    with pytest.raises(ToolchainError, match="scipy is not installed"):
        worst_walk(nodes, step_weights(nodes), seconds=SECONDS)


# Programs ------------------------------------------------------------------------------------------------------------

FIXTURES = (
    "real/rfc", "real/rfc_digits", "real/rfc_even_ties", "real/rfr", "real/iforest", "real/dtc_bc_depth",
    "real/dtc_unlimited", "real/dtc_single_leaf", "real/dtr", "extended/gbm",
)  # fmt: skip


def tree_step(program: Program) -> int:
    (step,) = (index for index, step in enumerate(program.steps) if isinstance(step.op, TreeOp))
    return step


def program_walk(program: Program) -> Walk:
    return worst_row(program, tree_step(program), seconds=SECONDS)


@pytest.mark.parametrize("name", FIXTURES)
@pytest.mark.parametrize("keys", [False, True])
def test_fixtures_are_exact(name: str, keys: bool) -> None:
    """The worst row of real models is found exactly, as floats and as keys; the program's own walk takes that long."""
    program = load_model((DATA / f"{name}.apr").read_bytes()).model.lower()
    if keys:
        program = choose_strategies(program, INTEGERS)
    walk = program_walk(program)

    step = program.steps[tree_step(program)]
    op = step.op
    assert isinstance(op, TreeOp)
    rows = walk.witness.reshape(1, -1)
    (source,) = step.inputs
    x = program.evaluate(rows, [source])[source]
    assert walk.exact
    assert walk.upper == counted(op, x)
    assert walk.leaves.tolist() == [int(leaf[0]) for leaf in op.leaves(x)]


def test_trees_behind_other_steps_are_refused() -> None:
    """A witness of computed values is no row of the model, so there is none."""
    nodes = nodes_of([(0, 0.0, 0, 1)])
    builder = Builder(row_type(1))
    first = builder.add(TreeSum(nodes, 1, "f32", Table([1.0, 2.0], np.float32), 0.0), 0)
    second = builder.add(TreeSum(nodes, 1, "f32", Table([1.0, 2.0], np.float32), 0.0), first)
    program = builder.build(second)

    with pytest.raises(UnsupportedError, match="no row of the model"):
        worst_row(program, 1, seconds=SECONDS)
