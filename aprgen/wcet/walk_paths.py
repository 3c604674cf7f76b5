"""The paths of all trees of an ensemble, as boxes of cells: what a row must satisfy to take a path, and what it costs.

A feature's thresholds cut its values into cells; rows in the same cells walk alike. Knows the comparison of the tree
ops (left when x <= threshold, a NaN goes right); knows no solver and no code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.errors import UnsupportedError
from aprgen.ops.trees import NEVER_KEY, Nodes, threshold_keys

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

MAX_PATHS = 1_000_000  # of all trees together; trees that share nodes could have exponentially many


@dataclass(frozen=True, eq=False)
class Weights:
    """What leaving each node costs, to its left child and to its right child."""

    left: Ints  # [nodes]
    right: Ints  # [nodes]


def step_weights(nodes: Nodes) -> Weights:
    """One per step: the iterations of the walk's loop."""
    ones = np.ones(nodes.n_nodes, np.int64)
    return Weights(ones, ones)


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of one feature: cell c < k holds the values in (thresholds[c - 1], thresholds[c]], cell k the rest.

    NaN is in cell k. Of the cells, low to high can occur.
    """

    feature: int
    thresholds: Floats  # [k], distinct, ascending
    values: Floats  # [k + 1], one of each cell; meaningless for cells that cannot occur
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class Paths:
    """Every path that some row takes, tree by tree. Condition i: path `at[i]` needs `axis[i]` in low[i] to high[i]."""

    cells: tuple[Cells, ...]  # the axes
    n_trees: int
    tree: Ints  # [paths], ascending; every tree has at least one path
    weight: Ints  # [paths]
    at: Ints  # [conditions], ascending
    axis: Ints  # [conditions], index into cells
    low: Ints  # [conditions]
    high: Ints  # [conditions]

    @property
    def n_paths(self) -> int:
        return len(self.tree)

    def taken(self, cell: Ints) -> NDArray[np.bool_]:
        """The paths that a row in these cells takes, one of each tree."""
        inside = (self.low <= cell[self.axis]) & (cell[self.axis] <= self.high)
        return np.equal(np.bincount(self.at[~inside], minlength=self.n_paths), 0)

    def total(self, cell: Ints) -> int:
        """What a row in these cells costs."""
        return int(self.weight[self.taken(cell)].sum())

    def starts(self) -> Ints:
        """The first path of each tree."""
        return np.searchsorted(self.tree, np.arange(self.n_trees)).astype(np.int64)

    def dearest(self) -> int:
        """The sum of the dearest path of each tree: a bound that ignores that one row must take them all."""
        return int(np.maximum.reduceat(self.weight, self.starts()).sum()) if self.n_trees else 0

    def of_trees(self, first: int, end: int) -> Paths:
        """Only the trees first to end - 1."""
        kept = (self.tree >= first) & (self.tree < end)
        binding = kept[self.at]
        return Paths(
            self.cells,
            end - first,
            self.tree[kept] - first,
            self.weight[kept],
            (np.cumsum(kept) - 1)[self.at[binding]],
            self.axis[binding],
            self.low[binding],
            self.high[binding],
        )


def float_thresholds(nodes: Nodes) -> Floats:
    """The thresholds as floats; of keys, the floats whose keys they are."""
    data = nodes.threshold.data
    if data.dtype.kind == "f":
        return np.asarray(data, np.float32)
    keys = np.asarray(data, np.int32)
    floats = np.where(keys < 0, keys ^ np.int32(0x7FFFFFFF), keys).astype(np.int32).view(np.float32)
    floats = np.where(keys == NEVER_KEY, np.float32(np.nan), floats).astype(np.float32)
    if not np.array_equal(threshold_keys(floats), keys):
        raise ValueError("a threshold is no key of a float")
    return floats


def find_paths(nodes: Nodes, weights: Weights, *, finite: bool) -> Paths:
    """All paths that a row can take; a finite row holds neither NaN nor infinities."""
    thresholds = float_thresholds(nodes)
    used = np.unique(nodes.feature.data).astype(np.int64)
    axis_of = {int(feature): axis for axis, feature in enumerate(used)}
    cells = tuple(_cells(f, thresholds[nodes.feature.data == f], finite=finite) for f in axis_of)
    cut = np.zeros(nodes.n_nodes, np.int64)  # index of the node's threshold; -1 when nothing is left of it
    for axis, feature in enumerate(used):
        at = nodes.feature.data == feature
        index = np.searchsorted(cells[axis].thresholds, thresholds[at])
        cut[at] = np.where(np.isnan(thresholds[at]), -1, index)
    table = _Tables(
        [axis_of[int(f)] for f in nodes.feature.data],
        cut.tolist(),
        nodes.left.data.tolist(),
        nodes.right.data.tolist(),
        weights.left.tolist(),
        weights.right.tolist(),
    )
    tree: list[int] = []
    weight: list[int] = []
    conditions: list[tuple[int, int, int, int]] = []
    for number, root in enumerate(nodes.root.data.tolist()):
        for cost, box in _walks(table, root, cells):
            conditions += [(len(tree), axis, low, high) for axis, (low, high) in box.items()]
            tree.append(number)
            weight.append(cost)
            if len(tree) > MAX_PATHS:
                raise UnsupportedError(
                    "wcet.paths",
                    f"the trees have more than {MAX_PATHS} paths",
                    where=f"tree {number}",
                    hint="train fewer or shallower trees",
                )
    columns = np.array(conditions, np.int64).reshape(-1, 4).T
    return Paths(cells, nodes.n_trees, np.array(tree, np.int64), np.array(weight, np.int64), *columns)


@dataclass(frozen=True)
class _Tables:
    axis: list[int]
    cut: list[int]
    left: list[int]
    right: list[int]
    left_weight: list[int]
    right_weight: list[int]


Box = dict[int, tuple[int, int]]  # axis to the cells that remain, where they are not all


def _walks(table: _Tables, root: int, cells: tuple[Cells, ...]) -> Iterator[tuple[int, Box]]:
    """Cost and box of every path from a root to a leaf whose box is not empty."""
    waiting: list[tuple[int, int, Box]] = [(root, 0, {})]
    while waiting:
        at, cost, box = waiting.pop()
        if at < 0:
            yield cost, box
            continue
        axis, cut = table.axis[at], table.cut[at]
        low, high = box.get(axis, (cells[axis].low, cells[axis].high))
        for child, step, inside in (
            (table.right[at], table.right_weight[at], (max(low, cut + 1), high)),
            (table.left[at], table.left_weight[at], (low, min(high, cut))),
        ):
            if inside[0] <= inside[1]:
                narrowed = box if inside == (low, high) else box | {axis: inside}
                waiting.append((child, cost + step, narrowed))


def _cells(feature: int, thresholds: Floats, *, finite: bool) -> Cells:
    distinct = np.unique(thresholds[~np.isnan(thresholds)])
    k = len(distinct)
    values = np.append(distinct, np.float32(np.nan)).astype(np.float32)
    with np.errstate(over="ignore"):
        beyond = np.nextafter(distinct, np.float32(np.inf), dtype=np.float32)  # the least value of the next cell
    if k == 0:
        values[0] = 0.0
    elif distinct[-1] < np.inf:
        values[k] = beyond[-1]
    if k > 0 and distinct[-1] == np.inf:
        values[k - 1] = 0.0 if k == 1 else beyond[k - 2]  # rather a finite value than the infinity
    possible = np.isfinite(values) if finite else np.ones(k + 1, np.bool_)
    low, high = (int(np.flatnonzero(possible)[i]) for i in (0, -1))
    return Cells(feature, distinct, values, low, high)
