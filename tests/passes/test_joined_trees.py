"""Joined trees: equal splits stand once, additions move to where they cost least, and the sums stay what they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprgen.ops.shaped_trees import REGISTERS, Branches, BranchTrees
from aprgen.ops.trees import Nodes, TreeOp, TreeTotals, TreeVotes
from aprgen.passes import tree_shapes
from aprgen.passes.counters import counted
from aprgen.passes.goals import GOALS, Goal
from aprgen.passes.joined_trees import Prices, Splits, joined
from aprgen.passes.tree_shapes import coded_trees, shaped
from aprgen.program import Table
from tests.passes.test_tree_shapes import halves, special_rows


def shaped_branches(op: TreeOp, goal: Goal) -> BranchTrees:
    coded = coded_trees(op)
    assert coded is not None
    trees = shaped(op, coded, "branches", goal)
    assert isinstance(trees, BranchTrees)
    return trees


def join(splits: Splits, roots: list[int], values: list[int], goal: Goal = "mean") -> tuple[Branches, dict[int, int]]:
    adds = {leaf: ((0, value % 2**32),) for leaf, value in enumerate(values)}
    (branches,), always = joined(splits, [roots], adds, Prices(goal, 1, True))
    return branches, always


def total(branches: Branches, always: dict[int, int], row: list[int]) -> int:
    """What a row gets, modulo 2^32."""
    found = always.get(0, 0)
    for _, leaf in branches.reached(np.array([row]), 0):
        found += sum(constant for _, constant in branches.adds[leaf])
    return found % 2**32


def test_equal_roots_stand_under_one_split() -> None:
    """Two trees that begin alike make one split of theirs, and no subtree stands twice."""
    splits = Splits([0, 1, 0, 2], [5, 7, 5, 9], [1, -1, -3, -4], [-2, -3, 3, -5], [0.5] * 4)
    branches, always = join(splits, [0, 2], [1, 2, 4, 8, 16])

    assert [(0, 5), (1, 7), (2, 9)] == sorted(zip(branches.feature.tolist(), branches.code.tolist(), strict=True))
    assert [1 + 4, 4 + 4, 2 + 8, 2 + 16] == [
        total(branches, always, row) for row in ([5, 7, 0], [5, 8, 0], [6, 0, 9], [6, 0, 10])
    ]


def test_what_both_sides_add_is_added_once() -> None:
    """A stump of two values is a constant and a difference on one side."""
    branches, always = join(Splits([0], [3], [-1], [-2], [0.5]), [0], [10, 12])

    assert {0: 10} == always
    assert [-1, -1, 0] == branches.leaf.tolist()
    assert (((0, 2),),) == branches.adds


@pytest.mark.parametrize(("share", "first"), [(0.9, 10), (0.1, 12)])
def test_the_likelier_side_adds_nothing(share: float, first: int) -> None:
    """The addition that stands before the split is that of the side that more rows take."""
    _, always = join(Splits([0], [3], [-1], [-2], [share]), [0], [10, 12])

    assert {0: first} == always


def two_deep(share: float, goal: Goal) -> Branches:
    """One split below the left side of the root, two below the right one."""
    splits = Splits([0, 1, 2, 3], [3] * 4, [1, -1, -3, -4], [2, -2, 3, -5], [share, 0.5, 0.5, 0.5])
    return join(splits, [0], [10, 300, 2, 7000, 50], goal)[0]


@pytest.mark.parametrize(("share", "goal", "right_first"), [
    (0.9, "mean", True), (0.1, "mean", False), (0.9, "wcet", False), (0.1, "wcet", False),
])  # fmt: skip
def test_the_side_in_second_place(share: float, goal: Goal, right_first: bool) -> None:
    """It needs no jump at its end: the likelier side stands there, or the longer one for the worst row."""
    branches = two_deep(share, goal)
    (root,) = range(int(branches.first[0]), int(branches.first[1]))

    assert right_first == branches.right_first[root]


def test_shares_follow_leaves() -> None:
    """A split with three leaves on its left and one on its right sends three rows of four left."""
    nodes = Nodes(
        Table([0, 1, 2], np.uint8), Table([0, 1, 2], np.float32), Table([1, -1, -2], np.int16),
        Table([-4, 2, -3], np.int16), Table([0], np.int16), 3,
    )  # fmt: skip
    flat = tree_shapes.flat_trees(nodes)
    assert flat is not None

    assert [3 / 4, 1 / 3, 1 / 2] == tree_shapes.shares_left(flat).tolist()


def test_leaves_that_add_the_same_need_no_split() -> None:
    """Different leaves of equal values decide nothing."""
    branches, always = join(Splits([0], [3], [-1], [-2], [0.5]), [0], [7, 7])

    assert (0, {0: 7}) == (len(branches.feature), always)


@pytest.mark.parametrize("goal", GOALS)
@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_votes_of_any_number_of_classes(
    goal: Goal, n_trees: int, depth: int, n_features: int, seed: int, n_classes: int
) -> None:
    """Counters of one word, of words in registers and of words in memory give the votes of the plain trees."""
    op = TreeVotes(halves(n_trees, depth, n_features, n_classes, seed), n_features, "f32", n_classes)
    coded = coded_trees(op)
    trees = None if coded is None else shaped(op, coded, "branches", goal)
    if coded is None or trees is None:
        return
    rows = special_rows(n_features, seed)
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        codes = tree_shapes.code_op(coded, n_features, in_line=False).evaluate(rows)
        expected = op.evaluate(rows)

    assert expected.tolist() == trees.evaluate(codes).tolist()


@pytest.mark.parametrize("goal", GOALS)
@given(
    st.integers(1, 9), st.integers(1, 5), st.integers(2, 12), st.integers(0, 2**32 - 1),
    st.sampled_from((0, 1 << 15)), st.sampled_from((3, 300, 30_000, 200_000_000 // 9)),
)  # fmt: skip
def test_totals_of_any_size(
    goal: Goal, n_trees: int, depth: int, n_outputs: int, seed: int, unit: int, most: int
) -> None:
    """Fields, whole words, counts beside outputs, and outputs alone give the totals of the plain trees."""
    chance = np.random.default_rng(seed)
    values = chance.integers(-most, most, size=(5, n_outputs))
    n_leaves = 5 + (n_outputs if unit else 0)
    nodes = halves(n_trees, depth, 4, n_leaves, seed)
    op = TreeTotals(nodes, 4, "f32", Table(values.astype(np.int32)), -7, n_outputs, unit)
    coded = coded_trees(op)
    trees = None if coded is None else shaped(op, coded, "branches", goal)
    if coded is None or trees is None:
        return
    rows = special_rows(4, seed)
    with np.errstate(invalid="ignore"):
        codes = tree_shapes.code_op(coded, 4, in_line=False).evaluate(rows)
        expected = op.evaluate(rows)

    assert expected.tolist() == trees.evaluate(codes).tolist()


def kinds(n_trees: int, n_outputs: int, values: list[int], unit: int) -> tuple[int, int, bool]:
    """Words, fields, and whether outputs are added to."""
    rows = np.resize(np.array(values, np.int32), (3, n_outputs))
    nodes = halves(n_trees, 4, 4, 3 + (n_outputs if unit else 0), 1)
    op = TreeTotals(nodes, 4, "f32", Table(rows), 0, n_outputs, unit)
    every = np.arange(3 + (n_outputs if unit else 0))
    found = counted(op, [every] * n_trees).counters
    return found.words, len(found.fields), found.direct


def test_how_outputs_are_counted() -> None:
    """Few bits share words; up to four outputs have a word each; a unit is counted in fields; else memory it is."""
    assert (1, 3, False) == kinds(10, 3, [0, 1, 2], 0)
    assert (REGISTERS, REGISTERS, False) == kinds(10, REGISTERS, [0, 10**7, 3], 0)
    assert (2, 10, True) == kinds(20, 10, [0, 10**7, 3], 1 << 15)
    assert (0, 0, True) == kinds(20, 10, [0, 10**7, 3], 0)


def test_nothing_is_moved_that_is_in_memory() -> None:
    """Additions to outputs stay at their leaves."""
    adds = {0: ((0, 1),), 1: ((1, 5), (2, 6))}
    (branches,), always = joined(Splits([0], [3], [-1], [-2], [0.5]), [[0]], adds, Prices("mean", 1, True))

    assert {} == {counter: value for counter, value in always.items() if counter >= 1}
    assert any(counter >= 1 for one in branches.adds for counter, _ in one)


def test_parts_hold_trees_that_begin_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees of two roots in turn, too many for one function: each function has those of one root."""
    monkeypatch.setattr(tree_shapes, "PART_SPLITS", 20)
    nodes = Nodes(
        Table(np.tile([0, 1], 20), np.uint8), Table(np.tile([1, 2], 20), np.float32),
        Table(np.full(40, -1), np.int16), Table(np.full(40, -2), np.int16), Table(np.arange(40), np.int16), 1,
    )  # fmt: skip
    trees = shaped_branches(TreeVotes(nodes, 2, "f32", 2), "mean")

    assert [1, 1] == [len(part.branches.feature) for part in trees.parts]
    assert [20, 20] == [part.n_trees for part in trees.parts]
