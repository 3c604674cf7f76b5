"""Sums of products of bfloat16, in pairs of columns, in vectors of outputs; and rounding to bfloat16.

Rows of bfloat16 have an even number of elements, the last one zero where it is no column. Knows no C, files or targets.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, Literal

import numpy as np

from aprgen import fused
from aprgen.ops.wide_floats import Floats, Group, Turn, groups, in_parts, part_of, parts_of, turns
from aprgen.program import Array, Table, ValueType

ROW_SUMS = 16  # vectors of sums of one row at once: two additions begin in a cycle, and one takes six
HEADERS = ("apr_floats.h", "apr_halves.h")


def in_pairs(n: int) -> int:
    """Elements of a row of bfloat16."""
    return n + n % 2


@dataclass(frozen=True, eq=False)
class HalfSums:
    """y_o = bias_o + a sum of weight * x over pairs of columns, from left to right, the second of a pair first; in
    parts as fused sums are.

    Each product is added with one rounding, subnormal numbers are zero (fused.add_pairs). relu: of the sum. halves: the
    sums are rounded to bfloat16. weight: u16, flat; for each tile's panels one after the other, by pair of columns,
    their outputs' pairs. bias: padded with zeros, f32. rows: of a block. width: outputs of a panel.
    """

    n_in: int
    n_sums: int
    rows: int
    width: int
    relu: bool
    halves: bool
    weight: Table
    bias: Table | None
    tile_rows: int
    tile_panels: int
    headers = HEADERS

    @property
    def pairs(self) -> int:
        return in_pairs(self.n_in) // 2

    @property
    def x_size(self) -> int:
        return in_pairs(self.n_in)

    @property
    def parts(self) -> int:
        return parts_of(self.n_in, self.n_sums, self.width)

    @property
    def part(self) -> int:
        """Pairs of columns of a part; the last has more."""
        return part_of(self.n_in, self.parts) // 2 if self.parts > 1 else self.pairs

    @property
    def y_size(self) -> int:
        return in_pairs(self.n_sums) if self.halves else self.n_sums

    @property
    def odd(self) -> bool:
        """Whether a zero comes behind the sums."""
        return self.y_size > self.n_sums

    @property
    def store(self) -> str:
        return "apr_halves_store" if self.halves else "apr_floats_store"

    @property
    def groups(self) -> tuple[Group, ...]:
        return groups(self.n_sums, self.width, self.tile_panels, self.tile_rows, self.rows)

    @property
    def turns(self) -> tuple[Turn, ...]:
        return turns(self.groups, ROW_SUMS)

    def columns(self) -> Floats:
        """The weights [n_in, n_sums], as the table has them."""
        parts, at = [], 0
        for group in self.groups:
            across = group.across * self.width
            for _ in range(group.first, group.end, across):
                own = self.weight.data[at : at + 2 * self.pairs * across].reshape(self.pairs, across, 2)
                parts.append(own.transpose(0, 2, 1).reshape(2 * self.pairs, across))
                at += 2 * self.pairs * across
        return fused.from_bf16(np.concatenate(parts, axis=1)[: self.n_in, : self.n_sums])

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("u16", self.x_size):
            raise ValueError(f"sums of halves take u16[{self.x_size}], not {x}")
        return ValueType("u16" if self.halves else "f32", self.y_size)

    def evaluate(self, x: Array) -> Array:
        weight = np.pad(self.columns(), ((0, self.x_size - self.n_in), (0, 0)))
        acc = np.zeros((len(x), self.n_sums), np.float32)
        if self.bias is not None:
            acc[:] = self.bias.data[: self.n_sums]
        acc = in_parts(fused.add_pairs, acc, fused.from_bf16(x), weight, self.parts)
        if self.relu:
            acc = np.asarray(np.where(acc > 0, acc, np.float32(0)))
        return _halved(acc) if self.halves else acc


def _halved(x: Floats) -> Array:
    return np.pad(fused.to_bf16(x), ((0, 0), (0, x.shape[1] % 2)))


def half_weights(columns: Floats, width: int, tile_panels: int) -> Table:
    """From weights [n_in, n_sums] in float32."""
    halves = fused.to_bf16(np.asarray(columns))
    halves = np.pad(halves, ((0, len(halves) % 2), (0, 0)))
    parts = []
    for group in groups(columns.shape[1], width, tile_panels, 1, 1):
        across = group.across * width
        for first in range(group.first, group.end, across):
            own = halves[:, first : first + across]
            own = np.pad(own, ((0, 0), (0, across - own.shape[1]))).reshape(-1, 2, across)
            parts.append(own.transpose(0, 2, 1).reshape(-1))
    return Table(np.concatenate(parts), lines=True)


class HalfPanels(HalfSums):
    """For a block of rows."""

    kernel = "panels_bf16"
    writes_rows: ClassVar[Literal[True]] = True

    @property
    def block_elements(self) -> int:
        return self.rows * self.y_size


class RowHalfPanels(HalfSums):
    """For one row."""

    kernel = "row_panels_bf16"

    def of_rows(self, rows: int) -> HalfPanels:
        """The same for a block of so many."""
        return HalfPanels(**{field.name: getattr(self, field.name) for field in fields(self)} | {"rows": rows})


@dataclass(frozen=True)
class Halved:
    """Each element rounded to bfloat16, to nearest, ties to even; subnormal numbers become zero."""

    n_in: int
    rows: int
    width: int
    headers = HEADERS

    @property
    def y_size(self) -> int:
        return in_pairs(self.n_in)

    @property
    def whole(self) -> int:
        """Elements in vectors that are full."""
        return self.n_in - self.n_in % self.width

    @property
    def left(self) -> int:
        return self.n_in % self.width

    @property
    def odd(self) -> bool:
        return self.y_size > self.n_in

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("f32", self.n_in):
            raise ValueError(f"halves are made of f32[{self.n_in}], not {x}")
        return ValueType("u16", self.y_size)

    def evaluate(self, x: Array) -> Array:
        return _halved(x)


class RowsHalved(Halved):
    """For a block of rows."""

    kernel = "rows_halved_bf16"
    writes_rows: ClassVar[Literal[True]] = True

    @property
    def block_elements(self) -> int:
        return self.rows * self.y_size


class RowHalved(Halved):
    """For one row."""

    kernel = "row_halved_bf16"

    def of_rows(self, rows: int) -> RowsHalved:
        """The same for a block of so many."""
        return RowsHalved(self.n_in, rows, self.width)
