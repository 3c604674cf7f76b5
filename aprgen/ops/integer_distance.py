"""Integer ops that compare codes with stored ones: nearest neighbours and Gaussians, in sums of 32 bits.

Every op knows its exact integer arithmetic and what its sums can reach; scales belong to the pass that made it. Knows
no C, files or targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from aprgen.ops.distance import BLOCK
from aprgen.ops.integer import LARGEST, Code, furthest_sum
from aprgen.program import FEW_TERMS, Array, Proof, Table, ValueType

IntegerMetric = Literal["euclidean", "manhattan"]


@dataclass(frozen=True, eq=False)
class IntegerNeighbours:
    """y_c = how many of the k nearest stored points are of class c; equal distances keep the order of the points.

    The distance to point i is the sum over j of (x_j - point_ij)^2, or of |x_j - point_ij|, each term >> shift, which
    keeps it below 2^31 for all codes of x.
    """

    source: Code  # i8 or i16
    metric: IntegerMetric
    k: int  # [1, points], below 2^15
    points: Table  # i8 or i16 [points, features]
    classes: Table  # u8, u16 or i32 [points], [0, n_classes)
    n_classes: int
    shift: int  # [0, 31]
    headers = ()

    @property
    def kernel(self) -> str:
        return f"integer_neighbours_{self.metric}"

    @property
    def n_points(self) -> int:
        return int(self.points.data.shape[0])

    @property
    def few_cols(self) -> bool:
        return int(self.points.data.shape[1]) <= FEW_TERMS

    def result(self, x: ValueType) -> ValueType:
        n_features = self.points.data.shape[1]
        if x != ValueType(self.source, n_features):
            raise ValueError(f"integer neighbours takes {self.source}[{n_features}], not {x}")
        return ValueType("i16", self.n_classes)

    @property
    def largest_sum(self) -> int:
        return furthest_sum(self.points, self.source, self.shift, squares=self.metric == "euclidean")

    @property
    def proofs(self) -> tuple[Proof, ...]:
        return (Proof("sum", self.largest_sum, LARGEST["i32"]),)

    def distances(self, x: Array) -> Array:
        """[rows, points], int64."""
        points = self.points.data.astype(np.int64)
        acc = np.zeros((len(x), len(points)), np.int64)
        for col in range(points.shape[1]):
            difference = x[:, col : col + 1].astype(np.int64) - points[:, col]
            size = np.abs(difference) if self.metric == "manhattan" else difference * difference
            acc += size >> self.shift
        return acc

    def evaluate(self, x: Array) -> Array:
        votes = np.zeros((len(x), self.n_classes), np.int16)
        step = max(1, BLOCK // self.n_points)
        for first in range(0, len(x), step):
            order = np.argsort(self.distances(x[first : first + step]), axis=1, kind="stable")[:, : self.k]
            rows = np.arange(first, first + len(order))[:, None]
            np.add.at(votes, (rows, self.classes.data[order]), np.int16(1))
        return votes


@dataclass(frozen=True, eq=False)
class IntegerGauss:
    """y_c = bias_c - sum over j of z_cj^2, where z_cj = min((|x_j * 2^fraction - centre_cj| * weight_cj + half)
    >> shift_cj, cap) and half = 2^(shift_cj - 1).

    The distance has 16 bits and the weight 15, so the product fits 32; the pass that makes it chooses the cap so that
    the sum of all squares, and y, do as well.
    """

    source: Code  # i8 or i16
    fraction: int  # bits that centres have more than codes: 6 for i8, 0 for i16
    centre: Table  # i16 [classes, features]
    weight: Table  # u16 [classes, features], [0, 2^15)
    shift: Table  # u8 [1] or [classes, features], [1, 31]
    bias: Table  # i32 [classes], <= 0
    cap: int
    headers = ()
    kernel = "integer_gauss"

    @property
    def uniform(self) -> bool:
        return self.shift.data.size == 1

    @property
    def unit(self) -> int:
        """A code in the scale of the centres."""
        return 1 << self.fraction

    @property
    def half(self) -> int:
        """Of the only shift, where there is one."""
        return 1 << (int(self.shift.data.flat[0]) - 1)

    @property
    def saturates(self) -> bool:
        """Whether any code of x reaches the cap."""
        furthest = (LARGEST[self.source] + 1 << self.fraction) + np.abs(self.centre.data.astype(np.int64))
        shift = self.shift.data.astype(np.int64)
        reached = (furthest * self.weight.data.astype(np.int64) + (np.int64(1) << (shift - 1))) >> shift
        return bool((reached > self.cap).any())

    @property
    def largest_sum(self) -> int:
        return int(self.centre.data.shape[1]) * self.cap * self.cap - int(self.bias.data.min())

    @property
    def proofs(self) -> tuple[Proof, ...]:
        return (Proof("sum", self.largest_sum, LARGEST["i32"]),)

    def result(self, x: ValueType) -> ValueType:
        n_classes, n_features = self.centre.data.shape
        if x != ValueType(self.source, n_features):
            raise ValueError(f"integer gauss takes {self.source}[{n_features}], not {x}")
        return ValueType("i32", n_classes)

    def evaluate(self, x: Array) -> Array:
        centre, weight = self.centre.data.astype(np.int64), self.weight.data.astype(np.int64)
        shift = np.broadcast_to(self.shift.data.astype(np.int64), centre.shape)
        y = np.tile(self.bias.data.astype(np.int64), (len(x), 1))
        for col in range(centre.shape[1]):
            size = np.abs((x[:, col : col + 1].astype(np.int64) << self.fraction) - centre[:, col])
            half = np.int64(1) << (shift[:, col] - 1)
            z = np.minimum((size * weight[:, col] + half) >> shift[:, col], self.cap)
            y -= z * z
        return y.astype(np.int32)
