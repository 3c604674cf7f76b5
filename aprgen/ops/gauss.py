"""Gauss op: log densities of diagonal Gaussians. Knows its arithmetic; knows nothing of C, files or targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aprgen.program import Array, Table, ValueType


@dataclass(frozen=True, eq=False)
class Gauss:
    """y_c = start_c + sum over j of (offset_cj - (x_j - centre_cj)^2 / divisor_cj), features from left to right.

    Without `start` the sum begins at +0.0, without `offset` each term is minus the quotient: both exact.
    """

    centre: Table  # f32 [classes, features]
    divisor: Table  # f32 [classes, features]
    start: Table | None = None  # f32 [classes]
    offset: Table | None = None  # f32 [classes, features]
    headers = ()

    @property
    def kernel(self) -> str:
        return "gauss_f32"

    def result(self, x: ValueType) -> ValueType:
        n_classes, n_features = self.centre.data.shape
        if x != ValueType("f32", n_features):
            raise ValueError(f"gauss takes f32[{n_features}], not {x}")
        return ValueType("f32", n_classes)

    def evaluate(self, x: Array) -> Array:
        n_classes, n_features = self.centre.data.shape
        start = np.float32(0) if self.start is None else self.start.data
        acc = np.full((len(x), n_classes), start, np.float32)  # a sum with +0.0 would lose the sign of -0.0
        for col in range(n_features):
            d = x[:, col : col + 1] - self.centre.data[:, col]
            quotient = (d * d) / self.divisor.data[:, col]
            acc += -quotient if self.offset is None else self.offset.data[:, col] - quotient
        return acc
