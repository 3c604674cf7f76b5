"""Dense op: y = W x + b. Knows its arithmetic; knows nothing of C, files or targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from aprgen import fused
from aprgen.program import FEW_TERMS, Array, Table, ValueType

BiasOrder = Literal["first", "last", "none"]


@dataclass(frozen=True, eq=False)
class Dense:
    """One rounding per product and per sum, columns from left to right.

    The bias starts the sum ("first"), ends it ("last"), or the sum starts at +0.0 ("none").
    fused: a product is added with one rounding for both.
    """

    weight: Table  # f32 [rows, cols]
    bias: Table | None  # f32 [rows]; None exactly when bias_order is "none"
    bias_order: BiasOrder
    fused: bool = False

    @property
    def kernel(self) -> str:
        return "dense_fused_f32" if self.fused else f"dense_bias_{self.bias_order}_f32"

    @property
    def headers(self) -> tuple[str, ...]:
        return ("apr_fused.h",) if self.fused else ()

    @property
    def start(self) -> float:
        """Of a fused sum without a bias in front; one whose bias is last starts with its first product: -0 + p is p."""
        return -0.0 if self.bias_order == "last" else 0.0

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
        elif self.fused:
            acc = np.full((len(x), self.rows), self.start, np.float32)
            start = 0
        elif self.bias_order == "last":
            acc = x[:, 0:1] * weight[:, 0]
            start = 1
        else:
            acc = np.zeros((len(x), self.rows), np.float32)
            start = 0
        if self.fused:
            acc = fused.add_products(acc, x, weight.T)
        else:
            for col in range(start, self.cols):
                acc += x[:, col : col + 1] * weight[:, col]
        if self.bias_order == "last" and self.bias is not None:
            acc += self.bias.data
        return acc
