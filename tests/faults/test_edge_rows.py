"""The edge rows of a forest notice every threshold that is wrong by one step. No compiler: the Program is changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from aprgen.ops.trees import Nodes, TreeLeaf, TreeSum, TreeVotes
from aprgen.program import Table
from aprgen.verify import make_trial
from tests.examples import loaded


def tree_op(name: str) -> TreeLeaf | TreeVotes | TreeSum:
    op = loaded(name).model.lower().steps[0].op
    assert isinstance(op, TreeLeaf | TreeVotes | TreeSum)
    return op


def splits_of(nodes: Nodes, reference: int) -> Iterator[int]:
    """The splits of the tree or subtree at a reference."""
    waiting = [reference]
    while waiting:
        node = waiting.pop()
        if node >= 0:
            yield node
            waiting += [int(nodes.left.data[node]), int(nodes.right.data[node])]


def is_idle(nodes: Nodes, node: int) -> bool:
    """Whether all leaves below say the same: then no threshold can be wrong."""
    below = list(splits_of(nodes, node))
    leaves = {int(side.data[n]) for n in below for side in (nodes.left, nodes.right) if side.data[n] < 0}
    return len(leaves) == 1


def off_by_one_ulp(nodes: Nodes, node: int, towards: float) -> Nodes:
    threshold = nodes.threshold.data.copy()
    threshold[node] = np.nextafter(threshold[node], np.float32(towards), dtype=np.float32)
    return replace(nodes, threshold=Table(threshold))


@pytest.mark.parametrize(
    ("name", "n_splits", "n_idle"),
    [
        ("rfc", 35, 2),
        ("rfc_digits", 126, 0),
        ("rfc_even_ties", 4, 0),
        ("rfr", 68, 0),
        ("dtc_unlimited", 9, 0),
        ("dtc_bc_depth", 10, 2),
        ("dtr", 15, 0),
        ("gbm", 36, 0),
    ],
)
@pytest.mark.parametrize("towards", [np.inf, -np.inf])
def test_every_threshold_is_watched(name: str, n_splits: int, n_idle: int, towards: float) -> None:
    """Each threshold moved by one ulp, up or down, sends some edge row to another leaf of its tree.

    A vote of one tree that changes always changes the scores. Splits whose sides say the same have no wrong threshold.
    """
    nodes = tree_op(name).nodes
    rows = make_trial(loaded(name).model, 0).inputs
    missed, tried, idle = [], 0, 0
    for root in nodes.root.data:
        one = replace(nodes, root=Table(np.array([root])))
        (before,) = one.walk(rows)
        for node in splits_of(nodes, int(root)):
            tried += 1
            if is_idle(nodes, node):
                idle += 1
                continue
            (after,) = off_by_one_ulp(one, node, towards).walk(rows)
            if np.array_equal(before, after):
                missed.append(node)

    assert missed == []
    assert (tried, idle) == (n_splits, n_idle)


@pytest.mark.parametrize("name", ["rfc", "rfc_digits", "rfr", "dtc_unlimited", "dtr"])
def test_every_swapped_pair_of_children_is_watched(name: str) -> None:
    """Children exchanged at any split send some edge row to another leaf."""
    nodes = tree_op(name).nodes
    rows = make_trial(loaded(name).model, 0).inputs
    missed = []
    for root in nodes.root.data:
        one = replace(nodes, root=Table(np.array([root])))
        (before,) = one.walk(rows)
        for node in splits_of(nodes, int(root)):
            left, right = nodes.left.data.copy(), nodes.right.data.copy()
            left[node], right[node] = right[node], left[node]
            (after,) = replace(one, left=Table(left), right=Table(right)).walk(rows)
            if np.array_equal(before, after) and not is_idle(nodes, node):
                missed.append(node)

    assert missed == []


@pytest.mark.parametrize("name", ["rfc", "rfc_digits", "rfc_even_ties"])
def test_every_lost_vote_is_watched(name: str) -> None:
    """Without any one tree the scores of some edge row differ."""
    program = loaded(name).model.lower()
    op = tree_op(name)
    rows = make_trial(loaded(name).model, 0).inputs
    before = op.evaluate(rows)
    for lost in range(op.n_trees):
        roots = np.delete(op.nodes.root.data, lost)
        after = replace(op, nodes=replace(op.nodes, root=Table(roots))).evaluate(rows)
        assert (before != after).any(axis=1).sum() == len(rows)
    assert program.label is not None
