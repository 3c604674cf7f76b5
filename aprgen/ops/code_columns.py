"""Sums of integers with columns in the lanes of vectors, for few outputs of many columns: a row is read as it lies.

Sums wrap modulo 2^32 and are proved to end within 32 bits, so neither the order of lanes nor an offset of codes changes
them. Knows how things lie; knows no C, files or targets.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.integer import LARGEST, MAGIC, MAGIC_BITS, TYPES, Code, requantised
from aprgen.ops.wide_integers import Lay
from aprgen.program import Array, Proof, Table, ValueType

AHEAD = 4096  # bytes, of rows together half of it: rows of thousands come at the speed of memory then (Zen 5, measured)
CHAINS = 4  # of partial sums, in all: an addition waits for the one before it


@dataclass(frozen=True)
class Tile:
    """Rows together; partial sums of each sum; columns from what is read to what is fetched, 0: rows are too short."""

    rows: int
    chains: int
    ahead: int


@dataclass(frozen=True, eq=False)
class CodeColumns:
    """IntegerDense or IntegerSum of codes that lie in a row: acc = bias + sum of weight * (x + offset) modulo 2^32;
    then the code, cut to what it may be.

    A vector has lay.width * lay.step columns. weight: [n_sums, stride]: all columns in whole vectors, with zeros behind
    them; where the last is not full, one vector more for the last columns of the row, with zeros for those that a
    vector before it has. bias: with what the offset of x adds taken off. multiplier None: codes are sums.
    """

    n_in: int
    n_sums: int
    largest_sum: int
    lay: Lay  # of x, as vectors take it
    code: Code
    weight: Table  # i8 or i16
    bias: Table  # i32 [n_sums]
    multiplier: Table | None  # i16 [n_sums]
    shift: Table | None  # u8 [n_sums]
    headers = ("apr_columns.h", "apr_int.h")

    @property
    def kernel(self) -> str:
        return "row_columns_codes"

    @property
    def columns(self) -> int:
        """Of a vector."""
        return columns_of(self.lay)

    @property
    def vectors(self) -> int:
        """That are full."""
        return self.n_in // self.columns

    @property
    def rest(self) -> int:
        return self.n_in % self.columns

    @property
    def stride(self) -> int:
        return int(self.weight.data.shape[1])

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """Most rows first."""
        return (self._tile(1),)

    def _tile(self, rows: int) -> Tile:
        far = AHEAD // self.row_item // (2 if rows > 1 else 1)
        return Tile(rows, max(1, CHAINS // (self.n_sums * rows)), far if self.n_in >= far else 0)

    @property
    def row_item(self) -> int:
        """Bytes of an element of x."""
        return np.dtype(TYPES[self.lay.code]).itemsize

    @property
    def high(self) -> int:
        """The largest code; 0 where nothing is cut."""
        return 0 if self.code == "i32" else LARGEST[self.code]

    @property
    def proofs(self) -> tuple[Proof, ...]:
        return (Proof("sum", self.largest_sum, LARGEST["i32"]),)

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType(self.lay.code, self.n_in):
            raise ValueError(f"sums in columns take {self.lay.code}[{self.n_in}], not {x}")
        return ValueType(self.code, self.n_sums)

    def evaluate(self, x: Array) -> Array:
        """Sums in float64 are exact: no partial sum needs more than 53 bits."""
        weight = self.weight.data[:, : self.n_in].astype(np.float64)
        acc = np.rint((x.astype(np.float64) + self.lay.offset) @ weight.T).astype(np.int64)
        code = (acc + self.bias.data).astype(np.int32).astype(np.int64)  # modulo 2^32
        if self.multiplier is None or self.shift is None:
            return code.astype(TYPES[self.code])
        made = requantised(code, self.multiplier.data.astype(np.int64), self.shift.data.astype(np.int64))
        limit = LARGEST[self.code]
        return np.clip(made, -limit - 1, limit).astype(TYPES[self.code])

    def of_floats(self, inverse: Table, least: Table) -> ColumnsOfFloats:
        """The same, of floats that become codes on the way."""
        parts = {one.name: getattr(self, one.name) for one in fields(self)}
        return ColumnsOfFloats(**parts, inverse=inverse, least=least)


@dataclass(frozen=True, eq=False)
class ColumnsOfFloats(CodeColumns):
    """The same for the codes that Quantise makes, lay.width at a time, in registers only.

    inverse: f32 [n_in], padded to whole vectors, or [1] for all columns. least: i32, as long: the bits of the float
    whose code is the lowest.
    """

    inverse: Table
    least: Table

    @property
    def kernel(self) -> str:
        return "row_columns_of_floats"

    @property
    def row_item(self) -> int:
        return 4

    @property
    def uniform(self) -> bool:
        return self.inverse.data.size == 1

    @property
    def full(self) -> int:
        """Vectors of floats that are full."""
        return self.n_in // self.lay.width

    @property
    def left(self) -> int:
        """Columns behind them."""
        return self.n_in % self.lay.width

    @property
    def first_code(self) -> int:
        """The lowest number that is multiplied."""
        return self.lay.low + self.lay.offset

    @property
    def last_code(self) -> int:
        return self.lay.high + self.lay.offset

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("f32", self.n_in):
            raise ValueError(f"sums in columns take f32[{self.n_in}], not {x}")
        return ValueType(self.code, self.n_sums)

    def evaluate(self, x: Array) -> Array:
        inverse, least = (table.data[: self.n_in] for table in (self.inverse, self.least))
        bits = np.asarray(x * inverse + MAGIC, np.float32).view(np.int32)
        bits = np.where(np.isnan(x), np.int32(MAGIC_BITS), bits)
        above = np.maximum(bits, least).astype(np.int64) - least
        return super().evaluate(np.minimum(above, self.lay.high - self.lay.low) + self.lay.low)

    def of_rows(self, rows: int, tile_rows: int) -> BlockColumns:
        """The same for a block of rows, so many of them together."""
        parts = {one.name: getattr(self, one.name) for one in fields(self)}
        return BlockColumns(**parts, rows=rows, tile_rows=tile_rows)


@dataclass(frozen=True, eq=False)
class BlockColumns(ColumnsOfFloats):
    """The same for a block of rows, which share what is loaded of the tables."""

    rows: int
    tile_rows: int
    writes_rows: ClassVar[Literal[True]] = True

    @property
    def kernel(self) -> str:
        return "columns_of_floats"

    @property
    def tiles(self) -> tuple[Tile, ...]:
        return tuple(self._tile(rows) for rows in sorted({self.tile_rows, 1}, reverse=True))

    @property
    def block_elements(self) -> int:
        return self.rows * self.n_sums


def columns_of(lay: Lay) -> int:
    """Columns of a vector of codes."""
    return lay.width * lay.step


def column_weights(weight: NDArray[np.integer], lay: Lay) -> Table:
    """The weights [n_sums, n_in] as CodeColumns has them; n_in is a vector at least."""
    n_in, columns = weight.shape[1], columns_of(lay)
    assert n_in >= columns
    kind = np.int16 if lay.element == "i16" else np.int8
    rest = n_in % columns
    if not rest:
        return Table(weight.astype(kind), lines=True)
    last = weight[:, n_in - columns :].copy()
    last[:, : columns - rest] = 0
    padded = np.pad(weight, ((0, 0), (0, columns - rest)))
    return Table(np.concatenate([padded, last], axis=1).astype(kind), lines=True)
