"""Sums of floats in vectors, for blocks of rows and for one: outputs in the lanes, or rows; never a part of a sum.

Each sum has the order of ops/dense.py and ops/distance.py and rounds as often, so every form gives the same bits; where
it is fused, as those do that are. Knows how weights are laid out; knows no C, files or targets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from aprgen import fused
from aprgen.ops.dense import BiasOrder
from aprgen.program import Array, Table, ValueType

Floats = NDArray[np.float32]

QUAD, EIGHT = 4, 8  # columns that are turned at once
AHEAD = 128  # floats of a row that are asked for before they are read, where rows are long
LONG = 1024  # columns: shorter rows of a block stay in the second cache
STREAMS = 16  # long rows that are read at once, at most: a core that follows fewer than 32 (Zen 4) takes twice as long
ROW_SUMS = 8  # vectors of sums of one row at once, at least: two additions begin in a cycle, and one takes four
BEGUN = range(2, 17)  # sums, beside which eight columns are turned while those before them are added
PARTS = {1: 4, 2: 4, 3: 2}  # partial sums, by vectors of sums: more of these do not wait for each other
LONG_SUM = 64  # columns: fewer are added as soon as their parts would be
NEAR = 4096  # floats: two tiles of rows as long lie in the first cache
FEW_ROWS = 4  # a tile of more has one of half as many beside it, so that few rows are left over


@dataclass(frozen=True, eq=False)
class Sums(ABC):
    """y_o = a sum over the columns, from left to right: of weight * x, or of (x - weight)^2 where it is a distance.

    The bias comes first, last, or not at all. relu: of the sum. fused: a product or square is added with one rounding
    for both. rows: of a block. width: floats of a vector.

    A sum that is fused may take another order: a long one of a few, whose additions would wait for each other, has
    `parts` of `part` columns each, the last of all that are left. Each starts at +0, and they are added one after the
    other.
    """

    n_in: int
    n_sums: int
    rows: int
    width: int
    distance: bool
    bias_order: BiasOrder
    relu: bool
    fused: bool
    weight: Table  # f32
    bias: Table | None  # f32

    @property
    def headers(self) -> tuple[str, ...]:
        return ("apr_floats.h", "apr_floats_fused.h") if self.fused else ("apr_floats.h",)

    @property
    @abstractmethod
    def kernel(self) -> str: ...

    @abstractmethod
    def columns(self) -> Floats:
        """The weights [n_in, n_sums], as the table has them."""

    @property
    def bias_first(self) -> bool:
        return self.bias_order == "first"

    @property
    def bias_last(self) -> bool:
        return self.bias_order == "last"

    @property
    def start(self) -> float:
        """Of a sum without a bias in front. One whose bias is last starts with its first product: -0 + p is p."""
        return -0.0 if self.bias_last else 0.0

    @property
    def parts(self) -> int:
        return parts_of(self.n_in, self.n_sums, self.width) if self.fused and not self.distance else 1

    @property
    def part(self) -> int:
        return part_of(self.n_in, self.parts)

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("f32", self.n_in):
            raise ValueError(f"sums take f32[{self.n_in}], not {x}")
        return ValueType("f32", self.n_sums)

    def evaluate(self, x: Array) -> Array:
        acc = np.full((len(x), self.n_sums), np.float32(self.start), np.float32)
        bias = None if self.bias is None else self.bias.data[: self.n_sums]
        if self.bias_first and bias is not None:
            acc[:] = bias
        if self.fused:
            add = fused.add_squares if self.distance else fused.add_products
            acc = in_parts(add, acc, x, self.columns(), self.parts)
        for col, weight in enumerate(() if self.fused else self.columns()):
            own = x[:, col : col + 1]
            if self.distance:
                d = own - weight
                acc += d * d
            else:
                acc += own * weight
        return self.ended(acc, bias if self.bias_last else None)

    def ended(self, acc: Array, bias: Array | None) -> Array:
        """The sums with what comes behind them."""
        if bias is not None:
            acc = acc + bias
        return np.asarray(np.where(acc > 0, acc, np.float32(0))) if self.relu else acc


def parts_of(n_in: int, n_sums: int, width: int) -> int:
    """Of each sum of a layer whose order is free."""
    return PARTS.get(-(-n_sums // width), 1) if n_in >= LONG_SUM else 1


def part_of(n_in: int, parts: int) -> int:
    """Columns of a part, which are turned and multiplied in whole eights; the last has more."""
    return n_in // parts // EIGHT * EIGHT if parts > 1 else n_in


def in_parts(add: Callable[[Array, Array, Array], Array], start: Array, x: Array, columns: Array, parts: int) -> Array:
    """The sums from their start. add: to sums [rows, outputs] those of columns of x and of weights."""
    if parts == 1:
        return add(start, x, columns)
    part = part_of(len(columns), parts)
    for first in range(0, parts * part, part):
        own = slice(first, None if first == (parts - 1) * part else first + part)
        start = start + add(np.zeros_like(start), x[:, own], columns[own])
    return start


class WideSums(Sums):
    """Of a block of rows."""

    writes_rows: ClassVar[Literal[True]] = True

    @property
    def block_elements(self) -> int:
        return self.rows * self.n_sums


@dataclass(frozen=True)
class Group:
    """Panels that tiles take, from output `first` up to output `end`; `rows` of the tiles, most first.

    across: panels of a tile. last: outputs of its last panel.
    """

    first: int
    end: int
    across: int
    last: int
    whole: bool
    rows: tuple[int, ...]

    @property
    def tiles(self) -> int:
        return (self.end - self.first) // (self.across * self.last) if self.whole else 1


@dataclass(frozen=True)
class Turn:
    """Outputs of one row from `first` up to `end`, in `times` turns of as many tiles; the rest as of a Group."""

    first: int
    end: int
    tiles: int
    times: int
    across: int
    last: int
    whole: bool


@dataclass(frozen=True, eq=False)
class PanelSums(Sums):
    """Outputs in lanes. A panel is as many outputs as a vector has floats; a tile is some rows of some panels.

    weight: flat; for each tile's panels one after the other, by column, their outputs. bias: padded with zeros.
    """

    tile_rows: int
    tile_panels: int

    @property
    def groups(self) -> tuple[Group, ...]:
        return groups(self.n_sums, self.width, self.tile_panels, self.tile_rows, self.rows)

    def columns(self) -> Floats:
        parts, at = [], 0
        for group in self.groups:
            across = group.across * self.width
            for _ in range(group.first, group.end, across):
                parts.append(self.weight.data[at : at + self.n_in * across].reshape(self.n_in, across))
                at += self.n_in * across
        return np.asarray(np.concatenate(parts, axis=1)[:, : self.n_sums])


class Panels(PanelSums, WideSums):
    """For a block of rows."""

    @property
    def kernel(self) -> str:
        return "panels_f32"


class RowPanels(PanelSums):
    """For one row, which takes several tiles at once: a sum waits for the addition before it, and weights come from far
    in as many streams."""

    @property
    def kernel(self) -> str:
        return "row_panels_f32"

    @property
    def turns(self) -> tuple[Turn, ...]:
        return turns(self.groups)


def turns(groups: tuple[Group, ...], sums: int = ROW_SUMS) -> tuple[Turn, ...]:
    """For one row, with so many vectors of sums at once."""
    made = []
    for group in groups:
        outputs, first = (group.end - group.first) // group.tiles, group.first
        at_once = max(1, sums // group.across)
        for tiles, times in ((at_once, group.tiles // at_once), (group.tiles % at_once, 1)):
            if tiles * times:
                end = first + outputs * tiles * times
                made.append(Turn(first, end, tiles, times, group.across, group.last, group.whole))
                first = end
    return tuple(made)


def groups(n_sums: int, width: int, tile_panels: int, tile_rows: int, rows: int) -> tuple[Group, ...]:
    """Whole tiles, and the panels that are left over: fewer, which take up to twice the rows, as sums wait for each
    other's end. rows: of a block."""
    across = width * tile_panels
    whole = n_sums - n_sums % across

    def tiles(most: int) -> tuple[int, ...]:
        own = min(most, rows)
        return tuple(sorted({own, own // 2 if own > FEW_ROWS else 1, 1}, reverse=True))

    made = [Group(0, whole, tile_panels, width, True, tiles(tile_rows))] if whole else []
    if whole < n_sums:
        own = -(-(n_sums - whole) // width)
        last = n_sums - whole - width * (own - 1)
        most = max(tile_rows, min(2 * tile_rows, tile_rows * tile_panels // own))
        made.append(Group(whole, n_sums, own, last, last == width, tiles(most)))
    return tuple(made)


def panel_weights(columns: Floats, width: int, tile_panels: int) -> Table:
    """From weights [n_in, n_sums]."""
    parts = []
    for group in groups(columns.shape[1], width, tile_panels, 1, 1):
        across = group.across * width
        for first in range(group.first, group.end, across):
            own = columns[:, first : first + across]
            parts.append(np.pad(own, ((0, 0), (0, across - own.shape[1]))).reshape(-1))
    return Table(np.concatenate(parts).astype(np.float32), lines=True)


@dataclass(frozen=True, eq=False)
class RowOutputs(Sums):
    """For one row, outputs in lanes, with the weights and the bias of Lanes, behind which zeros fill up a vector."""

    kernel = "row_outputs_f32"

    @property
    def across(self) -> int:
        """Vectors of outputs."""
        return -(-self.n_sums // self.width)

    def columns(self) -> Floats:
        return own_columns(self)


def outputs_of(columns: Floats, bias: Table | None, width: int) -> tuple[Table, Table | None]:
    """The weights [n_in, n_sums] and the bias of RowOutputs."""
    n_sums = columns.shape[1]
    over = -n_sums % width
    weight = Table(np.pad(columns, ((0, -(-over // n_sums)), (0, 0))), np.float32)
    return weight, None if bias is None else Table(np.pad(bias.data, (0, over)), np.float32)


def own_columns(form: Sums) -> Floats:
    """Of a table [n_in, n_sums], which may have more rows behind."""
    return np.asarray(form.weight.data[: form.n_in])


@dataclass(frozen=True, eq=False)
class Lanes(WideSums):
    """Rows in lanes: columns of `width` rows are turned into vectors, and weights are the same for all of them.

    groups: of so many rows that a tile takes. across: columns that are turned at once, 4 or 8. weight: [n_in, n_sums],
    and what RowOutputs need behind.
    nearest: the index of the smallest sum in place of the sums, as Argmin has it. A block has at least `width` rows.
    """

    groups: int
    across: int = QUAD
    nearest: bool = False

    @property
    def kernel(self) -> str:
        return "lanes_f32"

    @property
    def tile_groups(self) -> tuple[int, ...]:
        return (self.groups, 1) if self.groups > 1 else (1,)

    @property
    def quads(self) -> int:
        return whole_quads(self.n_in)

    @property
    def turns(self) -> tuple[tuple[int, int, int], ...]:
        """Columns that are turned at once, from which on, and up to which."""
        eights = self.n_in - self.n_in % EIGHT if self.across == EIGHT else 0
        every = (EIGHT, 0, eights), (QUAD, eights, self.quads)
        return tuple((n, first, end) for n, first, end in every if first < end)

    @property
    def begun(self) -> bool:
        """Whether the next eight columns are turned while these are added: a core does not look so far ahead."""
        return self.across == EIGHT and self.groups == 1 and self.n_sums in BEGUN and self.n_in >= 2 * EIGHT

    @property
    def at_once(self) -> int:
        """Of eight columns, for how many a compiler may read weights before it needs them. With more clang has no
        registers left for sums; of less, where products round, gcc reads all first as numbers, not as vectors."""
        return 2 if self.fused else EIGHT

    @property
    def products(self) -> bool:
        """Whether columns are multiplied before they are turned: then one load has the weights of all."""
        return self.n_sums == 1 and not self.distance and not self.fused

    @property
    def next_tile(self) -> int:
        """Floats from a tile to the next one, whose lines are asked for meanwhile; 0: they are not, as vectors of four
        take longer than reading, and long rows do not lie in the first cache."""
        floats = self.groups * self.width * self.n_in
        return floats if self.groups > 1 and self.width > QUAD and floats <= NEAR else 0

    @property
    def ahead(self) -> int:
        return AHEAD if self.n_in >= LONG and self.width >= STREAMS and not self.begun else 0

    def columns(self) -> Floats:
        return own_columns(self)

    def result(self, x: ValueType) -> ValueType:
        made = super().result(x)
        return ValueType("i32", 1) if self.nearest else made

    @property
    def block_elements(self) -> int:
        return self.rows * (1 if self.nearest else self.n_sums)

    def evaluate(self, x: Array) -> Array:
        sums = super().evaluate(x)
        return _least(sums) if self.nearest else sums


@dataclass(frozen=True, eq=False)
class FewRows(WideSums):
    """Sums of Lanes, with their weights, for any number of rows, of which the last one fills up vectors."""

    kernel = "few_rows_f32"

    @property
    def quads(self) -> int:
        return whole_quads(self.n_in)

    @property
    def add(self) -> str:
        """What adds a column to a sum."""
        return ("apr_floats_add_square" if self.distance else "apr_floats_add_product") + "_fused" * self.fused

    def columns(self) -> Floats:
        return own_columns(self)


def whole_quads(n_in: int) -> int:
    """Columns in whole quads."""
    return n_in - n_in % QUAD


def _least(x: Array) -> Array:
    below = np.where(x < np.inf, x, np.float32(np.inf))  # a NaN is not
    return np.asarray(np.argmin(below, axis=1)).astype(np.int32).reshape(-1, 1)


@dataclass(frozen=True)
class Least:
    """The index of the smallest of a row's elements, as Argmin chooses it, with rows in lanes.

    A block has at least `width` rows.
    """

    n_in: int
    rows: int
    width: int
    headers = ("apr_floats.h",)
    kernel = "least_f32"
    writes_rows: ClassVar[Literal[True]] = True

    @property
    def quads(self) -> int:
        return whole_quads(self.n_in)

    @property
    def block_elements(self) -> int:
        return self.rows

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("f32", self.n_in):
            raise ValueError(f"the least takes f32[{self.n_in}], not {x}")
        return ValueType("i32", 1)

    def evaluate(self, x: Array) -> Array:
        return _least(x)
