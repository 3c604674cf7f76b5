"""Steps between sums of codes for blocks of rows: neighbours, Gaussians, shares and labels with rows in lanes, curves.

Each has the integers of its op for one row (ops/integer.py, integer_distance.py, decide.py). Rows of what they read
lie in whole vectors, so that columns are turned four at once. Knows how tables are laid out for vectors; knows no C,
files or targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from aprgen.ops.decide import Argmax, Argmin
from aprgen.ops.integer import Code, Dequantise, IntegerSoftmax, Interpolate
from aprgen.ops.integer_distance import IntegerGauss, IntegerMetric, IntegerNeighbours
from aprgen.ops.wide_floats import whole_quads
from aprgen.ops.wide_gauss import ACROSS
from aprgen.ops.wide_integers import STORED, Lay
from aprgen.ops.wide_points import PointTiles, RowTiles, Sifted
from aprgen.program import Array, Table, ValueType

QUAD = 4
WORD = 4  # bytes
Parts = tuple[tuple[int, int, int], ...]


def parts_of(n: int) -> Parts:
    """First and end of columns that are turned four at once, and how many of these four there are."""
    quads = whole_quads(n)
    whole = ((0, quads, QUAD),) if quads else ()
    return (*whole, (quads, quads + QUAD, n - quads)) if n > quads else whole


@dataclass(frozen=True, eq=False)
class InterpolateCodes:
    """Interpolate of codes whose rows lie in whole vectors; so do those of the result."""

    n_in: int
    rows: int
    lay: Lay
    table: Table  # i16 [513]
    error: float
    headers = ("apr_places.h",)
    kernel = "interpolate_codes"

    @property
    def row_elements(self) -> int:
        return self.lay.stride(self.n_in)

    @property
    def block_elements(self) -> int:
        return self.rows * self.row_elements

    def result(self, x: ValueType) -> ValueType:
        return Interpolate(self.n_in, self.table, self.error).result(x)

    def evaluate(self, x: Array) -> Array:
        return Interpolate(self.n_in, self.table, self.error).evaluate(x)


@dataclass(frozen=True, eq=False)
class CodeNeighbours:
    """IntegerNeighbours of codes that are laid out as 16 or 32 bits.

    A word is two codes of 16 bits or one of 32. points: i32, words of each point, with zeros up to a whole quad. A sum
    is less than 2^31 - 1, which stands in a place of a list that is free.
    """

    source: Code
    metric: IntegerMetric
    k: int
    points: Table
    classes: Table  # as of IntegerNeighbours
    n_classes: int
    drop: int  # bits that each term loses
    n_in: int
    lay: Lay
    headers = ("apr_places.h",)

    @property
    def n_points(self) -> int:
        return len(self.points.data)

    @property
    def of_row(self) -> IntegerNeighbours:
        words = np.ascontiguousarray(self.points.data).view(STORED[self.lay.element])
        points = Table(words[:, : self.n_in])
        return IntegerNeighbours(self.source, self.metric, self.k, points, self.classes, self.n_classes, self.drop)

    @property
    def largest_sum(self) -> int:
        return self.of_row.largest_sum

    @property
    def squared(self) -> bool:
        return self.metric == "euclidean"

    @property
    def width(self) -> int:
        return self.lay.width

    @property
    def pairs(self) -> bool:
        return self.lay.element == "i16"

    @property
    def codes_of_word(self) -> int:
        return 2 if self.pairs else 1

    @property
    def words(self) -> int:
        """Of a row, in whole quads."""
        return int(self.points.data.shape[1])

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType(self.lay.element, self.n_in):
            raise ValueError(f"neighbours take {self.lay.element}[{self.n_in}], not {x}")
        return ValueType("i16", self.n_classes)

    def evaluate(self, x: Array) -> Array:
        return self.of_row.evaluate(x)


@dataclass(frozen=True, eq=False)
class BlockCodeNeighbours(CodeNeighbours, PointTiles):
    """Rows in lanes; a tile is as in BlockNeighbours."""

    rows: int
    groups: int
    tile_points: int
    kernel = "block_neighbours_codes"
    writes_rows: ClassVar[Literal[True]] = True

    @property
    def euclidean(self) -> bool:
        """Whether lists hold roots of sums."""
        return False

    @property
    def x_stride(self) -> int:
        return self.lay.stride(self.n_in)

    @property
    def x_words(self) -> int:
        return self.x_stride // self.codes_of_word

    @property
    def block_elements(self) -> int:
        return self.rows * self.n_classes

    @property
    def stack_bytes(self) -> int:
        """Of a tile: its rows by column, the lists, and sums."""
        return WORD * self.width * self.groups * (self.words + 2 * self.k + self.tile_points)


@dataclass(frozen=True, eq=False)
class BoundedCodeNeighbours(BlockCodeNeighbours, Sifted):
    """One vector of rows in lanes; see Sifted."""

    members: Table | None
    kernel = "bounded_neighbours_codes"

    @property
    def counted(self) -> bool:
        return self.members is not None

    @property
    def stack_bytes(self) -> int:
        return WORD * self.width * (self.words + self.sifted_words)


@dataclass(frozen=True, eq=False)
class RowCodeNeighbours(CodeNeighbours):
    """Points in lanes, for one row."""

    tiles: RowTiles
    kernel = "row_neighbours_codes"

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType(self.lay.element, self.lay.stride(self.n_in)):
            raise ValueError(f"neighbours take a row of {self.n_in} as {self.lay.element} in whole vectors, not {x}")
        return ValueType("i16", self.n_classes)


def code_neighbours(op: IntegerNeighbours, lay: Lay) -> CodeNeighbours:
    """What the forms for blocks and for one row have in common."""
    n_in = op.points.data.shape[1]
    per_word = WORD // np.dtype(STORED[lay.element]).itemsize
    laid = lay.laid(op.points.data.astype(np.int64))
    padded = np.pad(laid, ((0, 0), (0, -n_in % (QUAD * per_word))))
    points = Table(np.ascontiguousarray(padded).view(np.int32))
    return CodeNeighbours(op.source, op.metric, op.k, points, op.classes, op.n_classes, op.shift, n_in, lay)


@dataclass(frozen=True, eq=False)
class BlockCodeGauss:
    """IntegerGauss of codes that are laid out as 32 bits. terms: i32, flat; for each `across` classes and each column
    their centres, their weights, and their shifts where these differ; classes that are no more have weight 0.

    bias: i32, padded with zeros.
    """

    source: Code
    fraction: int
    only_shift: int  # of all columns; 0: these differ
    cap: int
    saturates: bool
    largest_sum: int
    n_in: int
    n_classes: int
    rows: int
    lay: Lay
    terms: Table
    bias: Table
    headers = ("apr_places.h",)
    kernel = "block_gauss_codes"

    @property
    def across(self) -> int:
        return ACROSS

    @property
    def width(self) -> int:
        return self.lay.width

    @property
    def parts(self) -> Parts:
        return parts_of(self.n_in)

    @property
    def x_stride(self) -> int:
        return self.lay.stride(self.n_in)

    @property
    def uniform(self) -> bool:
        return self.only_shift > 0

    @property
    def numbers(self) -> int:
        """Of a class and a column."""
        return 2 if self.uniform else 3

    @property
    def half(self) -> int:
        """Of the only shift, where there is one."""
        return (1 << self.only_shift) >> 1

    @property
    def row_elements(self) -> int:
        return self.n_classes + -self.n_classes % ACROSS

    @property
    def block_elements(self) -> int:
        return self.rows * self.row_elements

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType(self.lay.element, self.n_in):
            raise ValueError(f"gauss takes {self.lay.element}[{self.n_in}], not {x}")
        return ValueType("i32", self.n_classes)

    def evaluate(self, x: Array) -> Array:
        by_class = self.terms.data.reshape(-1, self.n_in, self.numbers, ACROSS).transpose(2, 0, 3, 1)
        centre, weight, *shift = (own.reshape(-1, self.n_in)[: self.n_classes] for own in by_class)
        only = Table(np.array([self.only_shift], np.uint8))
        return IntegerGauss(
            self.source, self.fraction, Table(centre), Table(weight), Table(shift[0]) if shift else only,
            Table(self.bias.data[: self.n_classes]), self.cap,
        ).evaluate(x)  # fmt: skip


def block_gauss(op: IntegerGauss, rows: int, lay: Lay) -> BlockCodeGauss:
    n_classes, n_in = op.centre.data.shape
    padding = ((0, -n_classes % ACROSS), (0, 0))
    numbers = [np.pad(op.centre.data.astype(np.int32), padding), np.pad(op.weight.data.astype(np.int32), padding)]
    if not op.uniform:
        numbers.append(np.pad(op.shift.data.astype(np.int32), padding, constant_values=1))
    grouped = np.stack([own.reshape(-1, ACROSS, n_in) for own in numbers])  # [number, group, class, column]
    terms = Table(grouped.transpose(1, 3, 0, 2).reshape(-1).astype(np.int32))
    bias = Table(np.pad(op.bias.data, padding[0]).astype(np.int32))
    only_shift = int(op.shift.data.flat[0]) if op.uniform else 0
    return BlockCodeGauss(
        op.source, op.fraction, only_shift, op.cap, op.saturates, op.largest_sum, n_in, n_classes, rows, lay, terms,
        bias,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class BlockCodeSoftmax:
    """IntegerSoftmax of sums, and the floats of its codes. Rows of x are `x_stride` apart, in whole quads."""

    size: int
    coarse: int
    step: int
    shift: int
    reach: int
    table: Table
    per_code: float
    least: int | None
    scale: float
    rows: int
    width: int
    x_stride: int
    headers = ("apr_core.h", "apr_places.h")
    kernel = "block_softmax_codes"
    writes_rows: ClassVar[Literal[True]] = True

    @property
    def of_row(self) -> IntegerSoftmax:
        return IntegerSoftmax(
            "i32", self.size, self.coarse, self.step, self.shift, self.reach, self.table, self.per_code, self.least
        )

    @property
    def padded(self) -> int:
        """In whole quads."""
        return self.size + -self.size % QUAD

    @property
    def even(self) -> int:
        return self.of_row.even

    @property
    def error(self) -> float:
        return self.of_row.error

    @property
    def block_elements(self) -> int:
        return self.rows * self.size

    @property
    def stack_bytes(self) -> int:
        return WORD * self.width * self.padded

    def result(self, x: ValueType) -> ValueType:
        return ValueType("f32", self.of_row.result(x).size)

    def evaluate(self, x: Array) -> Array:
        shares = self.of_row.evaluate(x)
        return Dequantise("i16", self.size, Table(np.array([self.scale], np.float32)), None).evaluate(shares)


@dataclass(frozen=True, eq=False)
class BlockCodeArgmax:
    """Argmax or Argmin of codes of 32 bits. Rows of x are `x_stride` apart, in whole quads."""

    size: int
    least: bool
    last_wins: bool
    labels: Table | None  # i32 [size]; None: the index is the label
    rows: int
    width: int
    x_stride: int
    headers = ("apr_places.h",)
    kernel = "block_argmax_codes"
    writes_rows: ClassVar[Literal[True]] = True

    @property
    def of_row(self) -> Argmax | Argmin:
        return Argmin(self.size, "i32") if self.least else Argmax("i32", self.size, self.labels, self.last_wins)

    @property
    def parts(self) -> Parts:
        return parts_of(self.size)

    @property
    def block_elements(self) -> int:
        return self.rows

    def result(self, x: ValueType) -> ValueType:
        return self.of_row.result(x)

    def evaluate(self, x: Array) -> Array:
        return self.of_row.evaluate(x)


def block_softmax(op: IntegerSoftmax, scale: float, rows: int, width: int, x_stride: int) -> BlockCodeSoftmax:
    return BlockCodeSoftmax(
        op.size, op.coarse, op.step, op.shift, op.reach, op.table, op.per_code, op.least, scale, rows, width, x_stride
    )


def block_argmax(op: Argmax | Argmin, rows: int, width: int, x_stride: int) -> BlockCodeArgmax:
    if isinstance(op, Argmin):
        return BlockCodeArgmax(op.size, True, False, None, rows, width, x_stride)
    return BlockCodeArgmax(op.size, False, op.last_wins, op.labels, rows, width, x_stride)


IN_LANES = (BlockCodeNeighbours, BlockCodeGauss, BlockCodeSoftmax, BlockCodeArgmax)  # of a vector of rows at least
