"""Dense op: y = W x + b. Knows its arithmetic; knows nothing of C, files or targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from aprgen.program import FEW_TERMS, Array, Table, ValueType

BiasOrder = Literal["first", "last", "none"]


@dataclass(frozen=True, eq=False)
class Dense:
    """One rounding per product and per sum, columns from left to right.

    The bias starts the sum ("first"), ends it ("last"), or the sum starts at +0.0 ("none").
    """

    weight: Table  # f32 [rows, cols]
    bias: Table | None  # f32 [rows]; None exactly when bias_order is "none"
    bias_order: BiasOrder
    headers = ()

    @property
    def kernel(self) -> str:
        return f"dense_bias_{self.bias_order}_f32"

    @property
    def rows(self) -> int:
        return int(self.weight.data.shape[0])

    @property
    def cols(self) -> int:
        return int(self.weight.data.shape[1])

    @property
    def few_cols(self) -> bool:
        return self.cols <= FEW_TERMS

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("f32", self.cols):
            raise ValueError(f"dense takes f32[{self.cols}], not {x}")
        return ValueType("f32", self.rows)

    def evaluate(self, x: Array) -> Array:
        """Add column by column, as the C does; with `@`, BLAS would choose the order of rounding."""
        weight = self.weight.data
        if self.bias_order == "first" and self.bias is not None:
            acc = np.broadcast_to(self.bias.data, (len(x), self.rows)).copy()
            start = 0
        elif self.bias_order == "last":
            acc = x[:, 0:1] * weight[:, 0]
            start = 1
        else:
            acc = np.zeros((len(x), self.rows), np.float32)
            start = 0
        for col in range(start, self.cols):
            acc += x[:, col : col + 1] * weight[:, col]
        if self.bias_order == "last" and self.bias is not None:
            acc += self.bias.data
        return acc
