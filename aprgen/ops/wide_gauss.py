"""Gaussians for blocks of rows, with rows in lanes; never a part of a sum.

Each sum has the order of ops/gauss.py and rounds as often, so it gives the same bits. Knows how tables are laid out for
vectors; knows no C, files or targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from aprgen.ops.gauss import Gauss
from aprgen.ops.wide_floats import whole_quads
from aprgen.program import Array, Table, ValueType

ACROSS = 4  # classes whose sums run at once: as many columns as are turned back at once


@dataclass(frozen=True, eq=False)
class BlockGauss:
    """As Gauss. terms: f32, flat; for each `across` classes and each column their centres, their divisors, and their
    offsets where there are any; classes that are no more have centre 0, divisor 1, offset 0.

    rows: of a block, at least `width`, the floats of a vector. start: f32, padded with zeros.
    """

    n_in: int
    n_classes: int
    rows: int
    width: int
    offsets: bool
    terms: Table
    start: Table | None
    headers = ("apr_maps.h",)
    kernel = "block_gauss_f32"
    writes_rows: ClassVar[Literal[True]] = True

    @property
    def across(self) -> int:
        return ACROSS

    @property
    def quads(self) -> int:
        return whole_quads(self.n_in)

    @property
    def numbers(self) -> int:
        """Of a class and a column."""
        return 3 if self.offsets else 2

    @property
    def group(self) -> int:
        """Numbers of the classes whose sums run at once."""
        return self.n_in * self.numbers * ACROSS

    @property
    def block_elements(self) -> int:
        return self.rows * self.n_classes

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("f32", self.n_in):
            raise ValueError(f"gauss takes f32[{self.n_in}], not {x}")
        return ValueType("f32", self.n_classes)

    def evaluate(self, x: Array) -> Array:
        by_class = self.terms.data.reshape(-1, self.n_in, self.numbers, ACROSS).transpose(2, 0, 3, 1)
        numbers = [Table(own.reshape(-1, self.n_in)[: self.n_classes]) for own in by_class]
        start = None if self.start is None else Table(self.start.data[: self.n_classes])
        return Gauss(numbers[0], numbers[1], start, numbers[2] if self.offsets else None).evaluate(x)


def block_gauss(op: Gauss, rows: int, width: int) -> BlockGauss:
    n_classes, n_in = op.centre.data.shape
    padding = ((0, -n_classes % ACROSS), (0, 0))
    numbers = [np.pad(op.centre.data, padding), np.pad(op.divisor.data, padding, constant_values=1)]
    if op.offset is not None:
        numbers.append(np.pad(op.offset.data, padding))
    grouped = np.stack([own.reshape(-1, ACROSS, n_in) for own in numbers])  # [number, group, class, column]
    terms = Table(grouped.transpose(1, 3, 0, 2).reshape(-1).astype(np.float32))
    start = None if op.start is None else Table(np.pad(op.start.data, padding[0]).astype(np.float32))
    return BlockGauss(n_in, n_classes, rows, width, op.offset is not None, terms, start)
