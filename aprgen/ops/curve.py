"""Curve op: a function of one total of integers, from a table with straight lines between. Knows no C and no files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aprgen.program import Array, Table, ValueType


@dataclass(frozen=True, eq=False)
class Curve:
    """Entry i of the table is the function at low + i * 2^(shift + drop); a total loses its last `drop` bits first.

    Totals are from low to high, whose difference is below 2^31; the pass that makes it proves that.
    """

    low: int
    high: int
    drop: int  # [0, 31]
    shift: int  # [0, 14], so that a difference of entries times what lies between fits 32 bits
    table: Table  # i16 [((high - low) >> (drop + shift)) + 2]
    headers = ("apr_int.h",)

    @property
    def kernel(self) -> str:
        return "curve_i16"

    @property
    def mask(self) -> int:
        return (1 << self.shift) - 1

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("i32", 1):
            raise ValueError(f"curve takes i32[1], not {x}")
        entries = ((self.high - self.low) >> (self.drop + self.shift)) + 2
        if len(self.table.data) != entries or not 0 <= self.shift <= 14:
            raise ValueError(f"the table of a curve has {len(self.table.data)} entries, not {entries}")
        return ValueType("i16", 1)

    def evaluate(self, x: Array) -> Array:
        place = (x.astype(np.int64) - self.low) >> self.drop
        table = self.table.data.astype(np.int64)
        at, part = place >> self.shift, place & self.mask
        return np.asarray(table[at] + (((table[at + 1] - table[at]) * part) >> self.shift)).astype(np.int16)
