"""Flat trees pass: trees written out in pre-order, and how many rows take each side of their splits.

Knows references to nodes and leaves, and rows; knows no codes, costs or C.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.trees import Nodes, float_keys, threshold_keys
from aprgen.program import Array

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MAX_NODES = 200_000  # after subtrees are written out


@dataclass(frozen=True, eq=False)
class FlatTrees:
    """Trees in pre-order, left child first, each node reached once, and no split with equal sides."""

    feature: Ints
    key: Ints  # of the threshold, or a code
    left: Ints
    right: Ints
    root: Ints
    depth: Ints  # of each tree, splits on its longest path
    seen: Ints | None = None  # [nodes, 2] rows that went left and right, where there were rows

    @property
    def n_nodes(self) -> int:
        return len(self.feature)


def flat_trees(nodes: Nodes, rows: Array | None = None) -> FlatTrees | None:
    """The trees of node tables over floats, or over codes; None when shared subtrees make too many nodes.

    rows: as the trees read them, to see how many take each side.
    """
    assert nodes.missing_left is None, "see passes/missing.py"
    of_codes = nodes.threshold.data.dtype.kind == "i"
    keys = (nodes.threshold.data if of_codes else threshold_keys(nodes.threshold.data)).tolist()
    feature = nodes.feature.data.tolist()
    left, right = nodes.left.data.tolist(), nodes.right.data.tolist()
    same: list[int] = [0] * len(feature)  # the reference that stands for each node
    for node in reversed(range(len(feature))):
        low, high = _standing(left[node], same), _standing(right[node], same)
        same[node] = low if low == high else node
    made: tuple[list[int], ...] = ([], [], [], [])
    roots, depths = [], []
    for root in nodes.root.data.tolist():
        waiting = [(_standing(root, same), -1, False, 0)]  # reference, parent, is this its right child, depth
        roots.append(0)
        deepest = 0
        at_root = True
        while waiting:
            reference, parent, is_right, depth = waiting.pop()
            if reference >= 0:
                number = len(made[0])
                if number >= MAX_NODES:
                    return None
                for column, value in zip(made, (feature[reference], keys[reference], 0, 0), strict=True):
                    column.append(value)
                deepest = max(deepest, depth + 1)
                waiting.append((_standing(right[reference], same), number, True, depth + 1))
                waiting.append((_standing(left[reference], same), number, False, depth + 1))
            else:
                number = reference
            if at_root:
                roots[-1], at_root = number, False
            elif parent >= 0:
                made[3 if is_right else 2][parent] = number
        depths.append(deepest)
    arrays = [np.array(column, np.int64) for column in (*made, roots, depths)]
    trees = FlatTrees(*arrays)
    if rows is None or len(rows) == 0:
        return trees
    return replace(trees, seen=_seen(trees, rows.astype(np.int64) if of_codes else float_keys(rows)))


def _seen(trees: FlatTrees, keys: Array) -> Ints:
    seen = np.zeros((trees.n_nodes, 2), np.int64)
    every = np.arange(len(keys))
    waiting = [(root, every) for root in trees.root.tolist() if root >= 0]
    while waiting:
        node, rows = waiting.pop()
        goes_left = keys[rows, trees.feature[node]] <= trees.key[node]
        for side, child, there in ((0, trees.left[node], rows[goes_left]), (1, trees.right[node], rows[~goes_left])):
            seen[node, side] = len(there)
            if child >= 0 and len(there):
                waiting.append((int(child), there))
    return seen


def _standing(reference: int, same: list[int]) -> int:
    return reference if reference < 0 else same[reference]


def shares_left(trees: FlatTrees) -> Floats:
    """How likely each split sends a row left: by the leaves there, as training splits where many rows are.

    Rows that were seen said no more of digits: joined by them, branches took as many instructions, 1.4 % more flash.
    """
    leaves = np.ones(trees.n_nodes + 1, np.int64)  # of subtrees; the last one stands for a leaf
    share = np.zeros(trees.n_nodes)
    for node in reversed(range(trees.n_nodes)):
        low, high = leaves[max(int(trees.left[node]), -1)], leaves[max(int(trees.right[node]), -1)]
        leaves[node] = low + high
        share[node] = low / (low + high)
    return share


def reached(trees: FlatTrees) -> tuple[Floats, Floats]:
    """How many rows of one take the left side of each split, and the right one: those that were seen; else each way
    alike."""
    if trees.seen is not None:
        n_rows = max(1, int(trees.seen[trees.root[trees.root >= 0]].sum(axis=1).max(initial=0)))
        return trees.seen[:, 0] / n_rows, trees.seen[:, 1] / n_rows
    share = np.zeros(trees.n_nodes)
    share[trees.root[trees.root >= 0]] = 1.0
    left, right = trees.left.tolist(), trees.right.tolist()
    for node in range(trees.n_nodes):
        for child in (left[node], right[node]):
            if child >= 0:
                share[child] = share[node] / 2
    return share / 2, share / 2


def expected_splits(trees: FlatTrees) -> float:
    """Splits that a row passes in all trees."""
    return float(sum(side.sum() for side in reached(trees)))


def leaves_of(trees: FlatTrees, root: int, end: int) -> Ints:
    """The leaves that a tree has, each once."""
    if root < 0:
        return np.array([~root], np.int64)
    sides = np.concatenate([trees.left[root:end], trees.right[root:end]])
    return np.unique(~sides[sides < 0])


def starts_of(trees: FlatTrees) -> Ints:
    """The first node of each tree; of a tree without any, that of the next one."""
    return np.concatenate([[0], ends_of(trees)[:-1]]).astype(np.int64)


def ends_of(trees: FlatTrees) -> Ints:
    after = trees.n_nodes
    ends = np.zeros(len(trees.root), np.int64)
    for tree in reversed(range(len(trees.root))):
        ends[tree] = after
        after = int(trees.root[tree]) if trees.root[tree] >= 0 else after
    return ends


def subtree_sizes(trees: FlatTrees) -> Ints:
    sizes = np.ones(trees.n_nodes + 1, np.int64)
    sizes[-1] = 0  # of a leaf
    for node in reversed(range(trees.n_nodes)):
        sizes[node] += sizes[max(int(trees.left[node]), -1)] + sizes[max(int(trees.right[node]), -1)]
    return sizes


def longest_paths(left: Ints, right: Ints, roots: Ints) -> Ints:
    """Splits on the longest path of each tree."""
    below = np.zeros(len(left) + 1, np.int64)  # the last one stands for a leaf
    for node in reversed(range(len(left))):
        below[node] = 1 + max(below[max(int(left[node]), -1)], below[max(int(right[node]), -1)])
    return np.array([below[max(root, -1)] for root in roots.tolist()], np.int64)
