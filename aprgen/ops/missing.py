"""MissingLow op: a row for trees whose splits send missing values (NaN) left. Knows no trees, C or targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aprgen.program import Array, Table, ValueType


@dataclass(frozen=True, eq=False)
class MissingLow:
    """y_i = x[columns_i], with minus infinity in place of a NaN among the first `low` of them.

    x <= t is true of minus infinity for every t that is a number, so a NaN of such a column goes left at every split,
    and one of the others right.
    """

    n_in: int
    columns: Table  # unsigned [n_out]
    low: int
    headers = ("apr_int.h",)

    @property
    def kernel(self) -> str:
        return "missing_low_f32"

    @property
    def n_high(self) -> int:
        return len(self.columns.data) - self.low

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("f32", self.n_in) or int(self.columns.data.max()) >= self.n_in:
            raise ValueError(f"missing values of f32[{self.n_in}] are moved, not of {x}")
        return ValueType("f32", len(self.columns.data))

    def evaluate(self, x: Array) -> Array:
        y = np.asarray(x[:, self.columns.data], np.float32).copy()
        y[:, : self.low] = np.where(np.isnan(y[:, : self.low]), np.float32(-np.inf), y[:, : self.low])
        return y
