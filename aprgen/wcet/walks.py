"""The exact worst case of walking an ensemble of trees: the largest cost that any row reaches, and a row that does.

A climb over the cells of the features finds dear rows; branch and bound over boxes of cells shows that none is dearer.
Both ends are exact integers: the row is walked again, and every bound is weak duality in integers. Knows the model's
node tables and a cost per edge; knows no code, no core and no cycles.
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass, replace

import numpy as np

from aprgen.errors import ComparisonError, UnsupportedError
from aprgen.ops.trees import FloatKeys, Nodes, TreeOp, float_keys
from aprgen.program import Program
from aprgen.wcet.walk_climb import climb
from aprgen.wcet.walk_paths import Floats, Ints, Paths, Weights, find_paths, step_weights
from aprgen.wcet.walk_relaxation import Relaxation, relax, restrict

CLIMB_SHARE = 0.25  # of the time, at most, for finding a dear row before bounding begins
GROUP_TREES = 20  # bounded together, in a second or so, before all trees are


@dataclass(frozen=True, eq=False)
class Walk:
    """No row costs more than `upper`; the witness costs `lower`. They are equal unless time ran out."""

    upper: int
    lower: int
    witness: Floats  # [features]; 0 where no split reads the feature
    leaves: Ints  # [trees], the leaves that the witness reaches

    @property
    def exact(self) -> bool:
        return self.upper == self.lower


def walk_cost(nodes: Nodes, weights: Weights, row: Floats) -> tuple[int, Ints]:
    """What walking one row costs, edge by edge, and the leaf of every tree."""
    values = float_keys(row) if nodes.threshold.data.dtype.kind == "i" else row
    cost, leaves = 0, []
    for root in nodes.root.data.tolist():
        at = int(root)
        while at >= 0:
            left = bool(values[nodes.feature.data[at]] <= nodes.threshold.data[at])
            cost += int((weights.left if left else weights.right)[at])
            at = int((nodes.left if left else nodes.right).data[at])
        leaves.append(~at)
    return cost, np.array(leaves, np.int64)


def worst_walk(
    nodes: Nodes, weights: Weights, *, seconds: float, n_features: int | None = None, finite: bool = False
) -> Walk:
    """The dearest row, NaN and infinities included unless `finite`.

    After about `seconds` it stops with upper above lower: both still hold. n_features: width of the witness, by
    default as many as the splits read.
    """
    end = time.monotonic() + seconds
    paths = find_paths(nodes, weights, finite=finite)
    upper, cell = search(paths, end, time.monotonic() + CLIMB_SHARE * seconds)
    width = int(nodes.feature.data.max(initial=0)) + 1 if n_features is None else n_features
    witness = np.zeros(width, np.float32)
    for cells, index in zip(paths.cells, cell, strict=True):
        witness[cells.feature] = cells.values[index]
    lower, leaves = walk_cost(nodes, weights, witness)
    if lower != paths.total(cell) or lower > upper:
        raise ComparisonError(
            "wcet.walk",
            f"the worst row costs {lower}, {paths.total(cell)} and at most {upper} by three counts that must agree",
            where="the worst case of the trees",
            hint="report this with the model: aprgen contradicts itself",
        )
    return Walk(upper, lower, witness, leaves)


def worst_row(program: Program, step: int, weights: Weights | None = None, *, seconds: float) -> Walk:
    """worst_walk of a program's tree step, the witness being a row of the model; by default it counts steps."""
    op = program.steps[step].op
    if not isinstance(op, TreeOp):
        raise ValueError(f"step {step} walks no trees")
    source = program.steps[step].inputs[0]
    columns = np.arange(op.n_features)
    if source != 0:
        keys = program.steps[source - 1]
        if not isinstance(keys.op, FloatKeys) or keys.inputs != (0,):
            raise UnsupportedError(
                "wcet.walk",
                "the trees read computed values, so their worst case is no row of the model",
                where=f"step {step}",
                hint="use the bound from the depth of the trees",
            )
        columns = columns if keys.op.columns is None else keys.op.columns.data.astype(np.int64)
    walk = worst_walk(
        op.nodes,
        step_weights(op.nodes) if weights is None else weights,
        seconds=seconds,
        n_features=op.n_features,
    )
    row = np.zeros(program.n_features, np.float32)
    row[columns] = walk.witness
    return replace(walk, witness=row)


@dataclass(frozen=True, eq=False)
class _Box:
    """Rows whose cells lie in low to high, and the bound of what they cost."""

    low: Ints
    high: Ints
    relaxation: Relaxation


def search(paths: Paths, end: float, climb_end: float) -> tuple[int, Ints]:
    """An upper bound of all rows, and the cells of a row; the row costs the bound unless time ran out."""
    low = np.array([cells.low for cells in paths.cells], np.int64)
    high = np.array([cells.high for cells in paths.cells], np.int64)
    upper = paths.dearest()
    best = climb(paths, upper, climb_end)
    if not len(low):
        return upper, best
    lower = paths.total(best)
    if lower < upper:
        upper = min(upper, _in_groups(paths, low, high, end))
    waiting: list[tuple[int, int, _Box]] = []  # by bound, largest first
    pending: list[tuple[int, Ints, Ints]] = [(upper, low, high)]  # boxes to bound, with the bound of their parent
    numbers = 0
    while True:
        for position, (parent, box_low, box_high) in enumerate(pending):
            if time.monotonic() > end:
                open_bounds = [bound for bound, _, _ in pending[position:]] + [-item[0] for item in waiting]
                return max(lower, *open_bounds), best
            inside = restrict(paths, box_low, box_high)
            if min(parent, inside.dearest()) <= lower:
                continue
            if np.array_equal(box_low, box_high):
                cell, bound = box_low, lower
            else:
                relaxation = relax(inside, box_low, box_high, seconds=end - time.monotonic())
                bound = min(parent, relaxation.bound)
                cell = _rounded(relaxation, box_low)
            if paths.total(cell) > lower:
                best, lower = cell, paths.total(cell)
            if bound > lower:
                numbers += 1
                heapq.heappush(waiting, (-bound, numbers, _Box(box_low, box_high, relaxation)))
        if not waiting or -waiting[0][0] <= lower:
            return lower, best
        negative, _, box = heapq.heappop(waiting)
        pending = [(-negative, *half) for half in _halves(box)]


def _in_groups(paths: Paths, low: Ints, high: Ints, end: float) -> int:
    """The sum of bounds of groups of trees: weaker than one of all trees, but there soon."""
    total = 0
    for first in range(0, paths.n_trees, GROUP_TREES):
        group = paths.of_trees(first, min(first + GROUP_TREES, paths.n_trees))
        total += relax(group, low, high, seconds=end - time.monotonic()).bound
    return total


def _rounded(relaxation: Relaxation, low: Ints) -> Ints:
    """The cells in the box that are nearest to what the linear program wants."""
    after = np.append(0, np.cumsum(relaxation.at_or_before < 0.5)).astype(np.int64)
    moved: Ints = after[relaxation.first[1:]] - after[relaxation.first[:-1]]
    return np.asarray(low + moved, np.int64)


def _halves(box: _Box) -> tuple[tuple[Ints, Ints], tuple[Ints, Ints]]:
    """The box cut in two where the linear program is undecided and the bound hangs on it most."""
    relaxation = box.relaxation
    undecided = np.minimum(relaxation.at_or_before, 1 - relaxation.at_or_before)
    score = undecided * relaxation.worth
    cut = int(np.argmax(score if score.max() > 0 else undecided))
    axis = int(np.searchsorted(relaxation.first, cut, side="right")) - 1
    index = box.low[axis] + cut - relaxation.first[axis]
    left_high, right_low = box.high.copy(), box.low.copy()
    left_high[axis], right_low[axis] = index, index + 1
    return (box.low, left_high), (right_low, box.high)
