"""Softmax and Normalise ops: scores that add up to one. Know their arithmetic; know nothing of C, files or targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aprgen import mathf
from aprgen.program import Array, ValueType


def ordered_sum(x: Array) -> Array:
    """Sum of each row from left to right, one rounding per addition, starting at +0.0; [rows, 1]."""
    total = np.zeros((len(x), 1), np.float32)
    for col in range(x.shape[1]):
        total += x[:, col : col + 1]
    return total


@dataclass(frozen=True)
class Softmax:
    """e_i = exp(x_i - max x); y_i = e_i / sum e, or e_i * (1 / sum e). A NaN is no maximum, as with Rust's f32::max."""

    size: int
    by_reciprocal: bool = False
    headers = ("apr_math.h",)

    @property
    def kernel(self) -> str:
        return "softmax_reciprocal_f32" if self.by_reciprocal else "softmax_f32"

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("f32", self.size):
            raise ValueError(f"softmax takes f32[{self.size}], not {x}")
        return x

    def evaluate(self, x: Array) -> Array:
        largest = np.full((len(x), 1), -np.inf, np.float32)
        for col in range(self.size):
            largest = np.where(x[:, col : col + 1] > largest, x[:, col : col + 1], largest)
        e = mathf.expf(np.asarray(x - largest, dtype=np.float32))
        total = ordered_sum(e)
        return np.asarray(e * (np.float32(1) / total) if self.by_reciprocal else e / total, dtype=np.float32)


@dataclass(frozen=True)
class Normalise:
    """y_i = x_i / sum x, or 1 / size each when the sum is not above `floor`."""

    size: int
    floor: float | None  # None: always divide
    headers = ()

    @property
    def kernel(self) -> str:
        return "normalise_f32" if self.floor is None else "normalise_floor_f32"

    @property
    def uniform(self) -> float:
        return float(np.float32(1) / np.float32(self.size))

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("f32", self.size):
            raise ValueError(f"normalise takes f32[{self.size}], not {x}")
        return x

    def evaluate(self, x: Array) -> Array:
        total = ordered_sum(x)
        share = x / total
        if self.floor is not None:
            share = np.where(total > np.float32(self.floor), share, np.float32(self.uniform))
        return np.asarray(share, dtype=np.float32)


@dataclass(frozen=True)
class Complement:
    """y = [1 - x, x]: the two class scores of a binary model that computes p(class 1)."""

    headers = ()

    @property
    def kernel(self) -> str:
        return "complement_f32"

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("f32", 1):
            raise ValueError(f"complement takes f32[1], not {x}")
        return ValueType("f32", 2)

    def evaluate(self, x: Array) -> Array:
        return np.concatenate([np.float32(1) - x, x], axis=1).astype(np.float32, copy=False)
