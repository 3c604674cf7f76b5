"""SquaredDistance and Neighbours ops: distances to stored points. Know their arithmetic; know no C."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from aprgen import fused, mathf
from aprgen.program import FEW_TERMS, Array, Table, ValueType

BLOCK = 1 << 17  # distances computed at once

Metric = Literal["euclidean", "manhattan", "minkowski"]


@dataclass(frozen=True, eq=False)
class SquaredDistance:
    """y_i = sum over j of (x_j - point_ij)^2, from +0.0, features from left to right.

    fused: a square is added with one rounding for both.
    """

    points: Table  # f32 [points, features]
    fused: bool = False

    @property
    def kernel(self) -> str:
        return "squared_distance_fused_f32" if self.fused else "squared_distance_f32"

    @property
    def headers(self) -> tuple[str, ...]:
        return ("apr_fused.h",) if self.fused else ()

    @property
    def few_cols(self) -> bool:
        return int(self.points.data.shape[1]) <= FEW_TERMS

    def result(self, x: ValueType) -> ValueType:
        n_points, n_features = self.points.data.shape
        if x != ValueType("f32", n_features):
            raise ValueError(f"squared distance takes f32[{n_features}], not {x}")
        return ValueType("f32", n_points)

    def evaluate(self, x: Array) -> Array:
        points = self.points.data
        acc = np.zeros((len(x), len(points)), np.float32)
        if self.fused:
            return fused.add_squares(acc, x, points.T)
        for col in range(points.shape[1]):
            d = x[:, col : col + 1] - points[:, col]
            acc += d * d
        return acc


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Votes of the k nearest stored points: y_c = sum of the weights of neighbours of class c, nearest first.

    Equal distances keep the order of the points. A weight is 1, or 1 / distance (1 below `near`). A row with a NaN
    distance gives NaN votes for every class.
    """

    metric: Metric
    power: float  # Minkowski's p; unused otherwise
    weighted: bool
    k: int  # [1, points]
    points: Table  # f32 [points, features]
    classes: Table  # u8, u16 or i32 [points]: the class of each point, [0, n_classes)
    n_classes: int
    near: float = 1e-10

    @property
    def kernel(self) -> str:
        return f"neighbours_{self.metric}_f32"

    @property
    def headers(self) -> tuple[str, ...]:
        return {"euclidean": ("apr_sqrt.h",), "manhattan": (), "minkowski": ("apr_math.h",)}[self.metric]

    @property
    def few_cols(self) -> bool:
        return int(self.points.data.shape[1]) <= FEW_TERMS

    @property
    def n_points(self) -> int:
        return len(self.points.data)

    @property
    def inverse_power(self) -> float:
        with np.errstate(over="ignore"):  # infinite for a subnormal power, as in the original
            return float(np.float32(1) / np.float32(self.power))

    def result(self, x: ValueType) -> ValueType:
        n_features = self.points.data.shape[1]
        if x != ValueType("f32", n_features):
            raise ValueError(f"neighbours takes f32[{n_features}], not {x}")
        return ValueType("f32", self.n_classes)

    def distances(self, x: Array) -> Array:
        """[rows, points]; few rows at a time, as a power takes a hundred bytes of working space for each distance."""
        rows = max(1, BLOCK // self.n_points)
        return np.concatenate([self._distances(x[at : at + rows]) for at in range(0, max(1, len(x)), rows)])

    def _distances(self, x: Array) -> Array:
        points = self.points.data
        acc = np.zeros((len(x), len(points)), np.float32)
        for col in range(points.shape[1]):
            d = x[:, col : col + 1] - points[:, col]
            if self.metric == "euclidean":
                acc += d * d
            elif self.metric == "manhattan":
                acc += np.abs(d)
            else:
                acc += mathf.powf(np.abs(d), np.float32(self.power))
        if self.metric == "euclidean":
            return np.asarray(mathf.sqrtf(acc))
        if self.metric == "minkowski":
            return np.asarray(mathf.powf(acc, np.float32(self.inverse_power)))
        return acc

    def evaluate(self, x: Array) -> Array:
        distance = self.distances(x)
        order = np.argsort(distance, axis=1, kind="stable")[:, : self.k]
        votes = np.zeros((len(x), self.n_classes), np.float32)
        rows = np.arange(len(x))
        for rank in range(self.k):
            point = order[:, rank]
            near = distance[rows, point]
            if self.weighted:
                weight = np.where(near < np.float32(self.near), np.float32(1), np.float32(1) / near)
            else:
                weight = np.ones(len(x), np.float32)
            np.add.at(votes, (rows, self.classes.data[point]), weight.astype(np.float32))
        votes[np.isnan(distance).any(axis=1)] = np.float32(np.nan)
        return votes
