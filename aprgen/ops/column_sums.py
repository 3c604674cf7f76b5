"""Sums of products with columns in the lanes of vectors: partial sums, which a fixed tree adds.

For few outputs of many columns, where a row is read as it lies in memory. The order is not that of ops/dense.py, so
these are for the modes in which a sum may be taken in another. Knows no C, files or targets.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from aprgen import fused
from aprgen.ops.wide_floats import LONG as LONG_ROW
from aprgen.ops.wide_floats import Floats, Sums, WideSums
from aprgen.program import Array

LONG = 16  # vectors of a row: more have CHAINS of partial sums, as an addition waits for the one before it
CHAINS = 4
AHEAD = 1024  # floats of a row that are asked for before they are read, where rows have four times as many


@dataclass(frozen=True, eq=False)
class ColumnSums(Sums):
    """Column c is in lane c % width of vector v = c // width, which is added, fused, to the partial sums v % chains.

    They start at +0. Chains are added in pairs, (0 + 1) + (2 + 3); then in each quarter of four lanes
    (0 + 2) + (1 + 3), and quarters in pairs. A bias comes last. weight: [n_sums, whole vectors], padded with zeros.
    """

    @property
    def vectors(self) -> int:
        return -(-self.n_in // self.width)

    @property
    def whole(self) -> int:
        """Columns in vectors that are full."""
        return self.n_in - self.n_in % self.width

    @property
    def left(self) -> int:
        return self.n_in % self.width

    @property
    def chains(self) -> int:
        return CHAINS if self.vectors > LONG else 1

    def columns(self) -> Floats:
        return np.asarray(self.weight.data[:, : self.n_in].T)

    def evaluate(self, x: Array) -> Array:
        rows = np.pad(x, ((0, 0), (0, self.vectors * self.width - self.n_in)))
        sums = np.zeros((len(x), self.n_sums), np.float32)
        for output, weight in enumerate(self.weight.data):
            part = np.zeros((len(x), self.chains, self.width), np.float32)
            for vector in range(self.vectors):
                own = slice(vector * self.width, (vector + 1) * self.width)
                chain = vector % self.chains
                part[:, chain] = fused.fmaf(rows[:, own], weight[own], part[:, chain])
            sums[:, output] = _tree(part)
        return self.ended(sums, None if self.bias is None else self.bias.data)


def _tree(chains: Array) -> Array:
    """The sum of each row of partial sums [rows, chains, width]."""
    while chains.shape[1] > 1:
        chains = chains[:, ::2] + chains[:, 1::2]
    lanes = chains.reshape(len(chains), -1, 4)
    quarters = (lanes[:, :, 0] + lanes[:, :, 2]) + (lanes[:, :, 1] + lanes[:, :, 3])
    while quarters.shape[1] > 1:
        quarters = quarters[:, ::2] + quarters[:, 1::2]
    return np.asarray(quarters[:, 0])


class Columns(ColumnSums, WideSums):
    """For a block of rows: the sums of as many rows as a vector has lanes are brought together at once."""

    @property
    def kernel(self) -> str:
        return "columns_f32"

    @property
    def at_once(self) -> int:
        """Rows that are read together: of long ones as many as have registers for their chains, as one stream from
        memory is slower than several (Zen 5: 40 and 66 GB/s)."""
        return self.width // 4 if self.n_in >= LONG_ROW else 1

    @property
    def ahead(self) -> int:
        return AHEAD if self.n_in >= 4 * AHEAD else 0


class RowColumns(ColumnSums):
    """For one row."""

    @property
    def kernel(self) -> str:
        return "row_columns_f32"

    def of_rows(self, rows: int) -> Columns:
        """The same for a block of so many."""
        return Columns(**{field.name: getattr(self, field.name) for field in fields(self)} | {"rows": rows})
