"""Ops that turn scores into a label: Argmax, Argmin, Threshold, Lookup. Know their tie and NaN rules; know no C."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from aprgen.program import Array, Table, ValueType


@dataclass(frozen=True, eq=False)
class Argmax:
    """The label of the largest element.

    `floor` starts the search: only elements strictly above it count, else the first label wins. Ties go to the first
    or the last element. With `nan_gives_zero`, any NaN among the scores gives label 0 (where aprender panics).
    """

    element: Literal["f32", "u16", "i16", "i32"]
    size: int
    labels: Table | None  # i32 [size]; None: the index is the label
    last_wins: bool = False
    nan_gives_zero: bool = False
    headers = ()

    @property
    def kernel(self) -> str:
        return f"argmax_{self.element}"

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType(self.element, self.size):
            raise ValueError(f"argmax takes {self.element}[{self.size}], not {x}")
        return ValueType("i32", 1)

    def evaluate(self, x: Array) -> Array:
        best = x[:, 0].copy()
        index = np.zeros(len(x), np.int32)
        for col in range(1, self.size):
            value = x[:, col]
            wins = value >= best if self.last_wins else value > best
            best = np.where(wins, value, best)
            index = np.where(wins, np.int32(col), index)
        label = self.labels.data[index] if self.labels is not None else index
        if self.nan_gives_zero:
            label = np.where(np.isnan(x).any(axis=1), np.int32(0), label)
        return np.asarray(label, dtype=np.int32).reshape(-1, 1)


@dataclass(frozen=True)
class Argmin:
    """The index of the smallest element, the first on ties; of floats only those below infinity, 0 without any."""

    size: int
    element: Literal["f32", "i32"] = "f32"
    headers = ()

    @property
    def kernel(self) -> str:
        return f"argmin_{self.element}"

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType(self.element, self.size):
            raise ValueError(f"argmin takes {self.element}[{self.size}], not {x}")
        return ValueType("i32", 1)

    def evaluate(self, x: Array) -> Array:
        if self.element == "i32":
            return np.asarray(np.argmin(x, axis=1)).astype(np.int32).reshape(-1, 1)
        best = np.full(len(x), np.inf, np.float32)
        index = np.zeros(len(x), np.int32)
        for col in range(self.size):
            wins = x[:, col] < best
            best = np.where(wins, x[:, col], best)
            index = np.where(wins, np.int32(col), index)
        return index.reshape(-1, 1)


@dataclass(frozen=True)
class Threshold:
    """One label when x >= limit (or x < limit), another otherwise; a NaN is neither, so it gets `otherwise`."""

    compare: Literal["ge", "lt"]
    limit: float
    then: int
    otherwise: int
    headers = ()

    @property
    def kernel(self) -> str:
        return f"threshold_{self.compare}_f32"

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("f32", 1):
            raise ValueError(f"threshold takes f32[1], not {x}")
        return ValueType("i32", 1)

    def evaluate(self, x: Array) -> Array:
        limit = np.float32(self.limit)
        holds = x >= limit if self.compare == "ge" else x < limit
        return np.where(holds, np.int32(self.then), np.int32(self.otherwise)).astype(np.int32)


@dataclass(frozen=True)
class IntegerThreshold:
    """One label when the code is >= limit, another otherwise."""

    element: Literal["i8", "i16", "i32"]
    limit: int
    then: int
    otherwise: int
    headers = ()

    @property
    def kernel(self) -> str:
        return "integer_threshold"

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType(self.element, 1):
            raise ValueError(f"integer threshold takes {self.element}[1], not {x}")
        return ValueType("i32", 1)

    def evaluate(self, x: Array) -> Array:
        return np.where(x >= self.limit, np.int32(self.then), np.int32(self.otherwise)).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Lookup:
    """y_i = table[x_i] for the first `size` elements of a longer index vector."""

    element: Literal["i32", "u16"]  # of the indices
    n_in: int
    size: int
    table: Table  # f32 or i32 [entries]

    headers = ()

    @property
    def kernel(self) -> str:
        return f"lookup_{self.element}"

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType(self.element, self.n_in) or self.size > self.n_in:
            raise ValueError(f"lookup takes {self.element}[{self.n_in}], not {x}")
        return ValueType("i32" if self.table.data.dtype == np.int32 else "f32", self.size)

    def evaluate(self, x: Array) -> Array:
        return np.asarray(self.table.data[x[:, : self.size]])
