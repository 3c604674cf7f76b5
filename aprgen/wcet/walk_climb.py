"""Finds rows that are dear to walk: climbs feature by feature to a row that no change of one feature makes dearer,
shakes it and climbs again. Gives good rows fast and proves nothing; it is deterministic unless time runs out.
"""

from __future__ import annotations

import time

import numpy as np

from aprgen.wcet.walk_paths import Ints, Paths

SHAKES = 200
SEED = 0


class _Row:
    """A row's cells, and how many conditions of each path it breaks; changes in place."""

    def __init__(self, paths: Paths, cell: Ints) -> None:
        self.paths = paths
        self.cell = cell.copy()
        broken = (paths.low > cell[paths.axis]) | (paths.high < cell[paths.axis])
        self.broken = np.bincount(paths.at[broken], minlength=paths.n_paths)

    @property
    def cost(self) -> int:
        return int(self.paths.weight[self.broken == 0].sum())

    def gains(self, axis: int, conditions: Ints, n_cells: int) -> Ints:
        """For every cell of the axis, what the row would cost there, less a constant."""
        paths = self.paths
        path, low, high = paths.at[conditions], paths.low[conditions], paths.high[conditions]
        here = (low > self.cell[axis]) | (high < self.cell[axis])
        free = self.broken[path] == here  # no other axis stands in the way
        weight = paths.weight[path[free]]
        change = np.zeros(n_cells + 1, np.int64)
        np.add.at(change, low[free], weight)
        np.add.at(change, high[free] + 1, -weight)
        return np.cumsum(change)[:-1]

    def move(self, axis: int, conditions: Ints, cell: int) -> None:
        paths = self.paths
        low, high = paths.low[conditions], paths.high[conditions]
        before = (low > self.cell[axis]) | (high < self.cell[axis])
        after = (low > cell) | (high < cell)
        self.broken[paths.at[conditions]] += after.astype(np.int64) - before  # a path has one condition per axis
        self.cell[axis] = cell


def climb(paths: Paths, enough: int, end: float) -> Ints:
    """The cells of a dear row. Stops at a cost of `enough`, after SHAKES shakes, or at the time `end`."""
    generator = np.random.default_rng(SEED)
    n_axes = len(paths.cells)
    low = np.array([cells.low for cells in paths.cells], np.int64)
    high = np.array([cells.high for cells in paths.cells], np.int64)
    conditions = np.split(np.argsort(paths.axis, kind="stable"), np.cumsum(np.bincount(paths.axis, minlength=n_axes)))
    here = generator.integers(low, high + 1) if n_axes else low
    best, best_cost, here_cost = here, paths.total(here), -(2**62)
    for shake in range(SHAKES + 1):
        row = _Row(paths, here)
        if shake > 0:
            count = int(generator.integers(1, max(2, n_axes // 2 + 1)))
            for axis in generator.choice(n_axes, count, replace=False):
                row.move(axis, conditions[axis], int(generator.integers(low[axis], high[axis] + 1)))
        rising = n_axes > 0
        while rising:
            rising = False
            for axis in generator.permutation(n_axes):
                if time.monotonic() > end:
                    rising = False
                    break
                gains = row.gains(axis, conditions[axis], int(high[axis]) + 1)
                possible = gains[low[axis] :]
                rising |= bool(possible.max() > gains[row.cell[axis]])
                choices = low[axis] + np.flatnonzero(possible == possible.max())
                row.move(axis, conditions[axis], int(generator.choice(choices)))
        if row.cost >= here_cost:
            here, here_cost = row.cell, row.cost
        if row.cost > best_cost:
            best, best_cost = row.cell, row.cost
        if n_axes == 0 or best_cost >= enough or time.monotonic() > end:
            break
    return best
