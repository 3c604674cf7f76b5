"""Rank codes of a block of rows: for each feature that trees read, how many of their thresholds lie below its value.

Exact, since splits ask for the order among thresholds only. A NaN has the largest code, or code 0 where a column sends
missing values left. Know how thresholds are laid out for a search in vectors; know no trees, C or targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.trees import float_keys
from aprgen.program import Array, Table, ValueType

Ints = NDArray[np.int64]
Search = Literal["grouped", "counted", "searched"]
CodeElement = Literal["u8", "u16"]
Order = Literal["by_feature", "by_row", "in_bits"]  # in a block: rows of a feature, features of a row, lines

PAD = np.iinfo(np.int32).max  # the key of a NaN: below no key
LOWEST = np.iinfo(np.int32).min  # the key of a NaN that goes left: no threshold is below
GROUPS = 32
LANES = 16
OF_GROUP = (1, 2, 4, 8)
NEAR_COLUMNS = 64  # 128 rows of so many are 32 KB
SPAN_REACHES = (8, 16, 32)
HEADERS = ("apr_wide.h",)
LINE_HEADERS = (*HEADERS, "apr_bits.h")
BYTE = 8  # bits
STEP = 8  # of codes of which lines of bits tell
RESTS = STEP - 1
CONSTANT, ONES = 4, 2  # lines in front of those of columns, and the one of ones among them
SHORT_LINE = 16  # bytes


@dataclass(frozen=True, eq=False)
class Spans:
    """Spans into which the range of each column is cut: (value - low) * scale, cut to those there are. Roundings keep
    the order of values, so thresholds of spans before are below a value, and none of spans behind is: the thresholds
    from `begins` on, `reach` of them, are all that are compared. A column that has no such spans is searched.
    """

    count: int  # of a column
    reaches: tuple[int, ...]  # that columns have, ascending, of SPAN_REACHES; 0: columns that are searched
    of_each: Table | None  # u8 [n], the reach of each column; None: all have the only one
    low: Table  # f32 [n]
    scale: Table  # f32 [n]
    of_keys: Table | None  # i32 [n]: all bits where the value is the key as a float; None: in no column
    begins: Table  # u8 or u16 [n, count]

    @property
    def last(self) -> float:
        """The last one of a column."""
        return float(self.count - 1)

    @property
    def some_searched(self) -> bool:
        return 0 in self.reaches

    def reach_of(self, n: int) -> NDArray[np.uint8]:
        """Of each of so many columns."""
        return np.full(n, self.reaches[0], np.uint8) if self.of_each is None else self.of_each.data


@dataclass(frozen=True, eq=False)
class BitLines:
    """Lines of bits, one a row, from which follows what splits ask of codes: which multiples of 8 a code has reached,
    and which numbers its rest is above.

    The first lines are zeros, zeros, ones and zeros. Then column by column: where codes reach 8 `steps` lines, of which
    the first is ones, the last zeros, others whether 8, 16, ... are reached; up to 7, whether the rest is above 0, 1,
    ...
    """

    steps: Table  # u8 [n]: 0 or at least 3
    rests: Table  # u8 [n]

    @property
    def count(self) -> int:
        return CONSTANT + int(self.steps.data.sum()) + int(self.rests.data.sum())

    @property
    def first(self) -> Ints:
        """Of each column."""
        own = self.steps.data.astype(np.int64) + self.rests.data
        return CONSTANT + np.cumsum(own) - own

    def at(self, feature: Ints, code: Ints, line_bytes: int) -> Ints:
        """By split two lines: a row's code is above where it has a one behind the first, or in both of them. Who has
        one behind the first has one in the first. Counted in at_line(line_bytes). Of a split that is not there zeros:
        no row goes right."""
        steps = self.steps.data.astype(np.int64)[feature]
        reached = np.where(steps > 0, self.first[feature] + code // STEP, ONES)
        rest = np.where(code % STEP < RESTS, self.first[feature] + steps + code % STEP, 0)
        return at_line(line_bytes) * np.stack([reached, rest], axis=-1)

    def of(self, codes: Array) -> NDArray[np.bool_]:
        """[lines, rows]"""
        rows = codes.astype(np.int64)
        lines = [np.full(len(rows), number == ONES) for number in range(CONSTANT)]
        for own, steps, rests in zip(rows.T, self.steps.data.tolist(), self.rests.data.tolist(), strict=True):
            lines += [own >= STEP * step for step in range(steps)]
            lines += [own % STEP > rest for rest in range(rests)]
        return np.stack(lines)


def at_line(line_bytes: int) -> int:
    """How where a line begins is counted: short ones in bytes; longer ones in eighths, as an address of x86 can have
    four or eight times a number."""
    return SHORT_LINE if line_bytes == SHORT_LINE else BYTE


def sent_right(lines: NDArray[np.bool_], at: Array, line_bytes: int) -> NDArray[np.bool_]:
    """[rows, splits], of lines [lines, rows] and of splits what BitLines.at gives for each."""
    reached, rest = at.astype(np.int64).T // at_line(line_bytes)
    return np.asarray((lines[reached + 1] | (lines[reached] & lines[rest])).T)


def lines_of(n_thresholds: int) -> tuple[int, int]:
    """Steps and rests of a column."""
    return (0 if n_thresholds < STEP else n_thresholds // STEP + 2), min(n_thresholds, RESTS)


def bit_lines(n_thresholds: Sequence[int]) -> BitLines:
    """By column."""
    steps, rests = zip(*(lines_of(n) for n in n_thresholds), strict=True)
    return BitLines(Table(np.array(steps, np.uint8)), Table(np.array(rests, np.uint8)))


@dataclass(frozen=True)
class Exchange:
    """Of two vectors, the bits of the first whose places have a 1 at `shift` with those of the second `shift` below.
    both: the second is not zeros."""

    shift: int
    first: int
    second: int
    both: bool


def exchanges(n: int) -> tuple[Exchange, ...]:
    """What turns 8 vectors, of which those from n on are zeros: then bit i of a byte of the k-th is what bit k of that
    byte of the i-th was."""
    found = []
    for shift in (1, 2, 4):
        for first in (one for one in range(8) if not one & shift):
            begin = first - first % shift  # of vectors that came from the same ones
            if begin < n:
                found.append(Exchange(shift, first, first + shift, begin + shift < n))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class WideCodes:
    """y_i = number of thresholds of column i below x[columns_i], in the order of float keys.

    grouped: the thresholds of a column are 32 groups of 1 to 8, by place in the group and then by group.
    counted: few thresholds a column, compared one after the other; by place, then by column.
    searched: a tree of `fan` keys a node, the last keys of its children; each column begins at `first`.
    """

    n_in: int
    n: int
    columns: Table | None  # integers [n]; None: every column in its order
    n_low: int  # a NaN in the first of them is below all thresholds
    element: CodeElement
    search: Search
    order: Order
    rows: int  # of a block
    stride: int  # codes of a row in a block, where they lie by row
    keys: Table  # i32; grouped ones falling, u32
    first: Table | None = None  # u32 [n, levels], of the nodes of a level
    fan: int = 0
    levels: int = 0
    signed: bool = False  # in a block, 127 less the code, a byte with a sign
    missing: Table | None = None  # i32 [padded n], keys of a NaN, of counted columns
    skip: int = 0  # zeros in front of a row's codes, of searched columns
    in_order: bool = False  # of a grouped column: its rows; else kernels may lay 64 of them as trees like to find them
    spans: Spans | None = None  # where the last level of a search begins, of searched columns in blocks
    lines: BitLines | None = None  # of columns in bits

    @property
    def headers(self) -> tuple[str, ...]:
        return HEADERS if self.lines is None else LINE_HEADERS

    @property
    def kernel(self) -> str:
        return f"wide_codes_{self.search}"

    @property
    def by_feature(self) -> bool:
        return self.order == "by_feature"

    @property
    def by_row(self) -> bool:
        return self.order == "by_row"

    @property
    def walked(self) -> bool:
        """Whether eight rows may walk at once, so that those which are not there need codes."""
        return self.by_row and self.stride == self.n

    @property
    def read(self) -> Ints:
        """The columns of the row, in the order of the codes."""
        return np.arange(self.n) if self.columns is None else self.columns.data.astype(np.int64)

    @property
    def bytes(self) -> bool:
        return self.element == "u8"

    @property
    def places(self) -> int:
        """Thresholds of a group."""
        return int(self.keys.data.shape[1]) if self.search == "grouped" else 0

    @property
    def few(self) -> bool:
        """Whether groups are of one threshold."""
        return self.places == 1

    @property
    def group_shift(self) -> int:
        return max(0, self.places.bit_length() - 1)

    @property
    def at_once(self) -> int:
        """Vectors of rows of a grouped column, 4 or 8."""
        return 8 if self.rows >= 8 * LANES else 4

    @property
    def turned(self) -> bool:
        """Whether most of 16 columns that follow each other are read, so that rows are turned to columns in vectors."""
        return 2 * len(np.unique(self.read // LANES)) <= self.n

    @property
    def ahead(self) -> bool:
        """Whether rows that are turned are so long that a core does not have them near when they are."""
        return self.turned and self.n_in > NEAR_COLUMNS

    @property
    def most(self) -> int:
        """Thresholds of a counted column."""
        return len(self.keys.data) if self.search == "counted" else 0

    @property
    def padded(self) -> int:
        """Columns of a table of counted thresholds."""
        return int(self.keys.data.shape[1]) if self.search == "counted" else 0

    @property
    def bias(self) -> int:
        """What the bits of a code are changed by in a block."""
        return 127 if self.signed else 0

    @property
    def code_exchanges(self) -> tuple[Exchange, ...]:
        return exchanges(BYTE)

    @property
    def line_bytes(self) -> int:
        return self.rows // BYTE

    @property
    def block_elements(self) -> int:
        if self.lines is not None:
            return self.line_bytes * (self.lines.count + RESTS)  # as if the last column had all rests
        return self.rows * (self.n if self.by_feature else self.stride)

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("f32", self.n_in) or int(self.read.max(initial=0)) >= self.n_in:
            raise ValueError(f"codes are made of f32[{self.n_in}], not {x}")
        return ValueType(self.element, self.skip + self.n)

    def ascending(self, index: int) -> NDArray[np.int32]:
        """The thresholds of a column, and what fills the table behind them."""
        keys = self.keys.data
        if self.search == "grouped":
            return np.asarray(falling(keys[index].T.reshape(-1)).view(np.int32))
        if self.search == "counted":
            return np.asarray(keys[:, index])
        assert self.first is not None
        start = int(self.first.data[index, -1])
        after = self.first.data[index + 1, 0] if index + 1 < self.n else len(keys)
        return np.asarray(keys[start : int(after)])

    def evaluate(self, x: Array) -> Array:
        values = np.asarray(x[:, self.read], np.float32)
        keys = float_keys(values)
        keys[:, : self.n_low] = np.where(np.isnan(values[:, : self.n_low]), LOWEST, keys[:, : self.n_low])
        codes = np.zeros(keys.shape, np.uint8 if self.element == "u8" else np.uint16)
        for index in range(self.n):
            codes[:, index] = np.searchsorted(self.ascending(index), keys[:, index], side="left")
        return np.pad(codes, ((0, 0), (self.skip, 0))) if self.skip else codes


def grouped_keys(thresholds: Sequence[Ints]) -> Table:
    """[column, place in the group, group], of groups of as few places as hold all. At most 255 thresholds a column."""
    most = max(len(keys) for keys in thresholds)
    places = next(places for places in OF_GROUP if most < GROUPS * places)
    table = np.zeros((len(thresholds), GROUPS * places), np.uint32)
    for row, keys in zip(table, thresholds, strict=True):
        row[: len(keys)] = falling(keys.astype(np.int32).view(np.uint32))
    return Table(table.reshape(len(thresholds), GROUPS, places).transpose(0, 2, 1), lines=True)


def falling(keys: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Keys turned around: without a sign their order is the opposite of that with a sign. PAD is 0, of which many take
    no place in C. Twice is as before."""
    return keys ^ np.uint32(PAD)


def counted_keys(thresholds: Sequence[Ints], padded: int) -> Table:
    """[place, column]"""
    table = np.full((max(len(keys) for keys in thresholds), padded), PAD, np.int32)
    for index, keys in enumerate(thresholds):
        table[: len(keys), index] = keys
    return Table(table, lines=True)


def searched_keys(thresholds: Sequence[Ints], fan: int, least: int) -> tuple[Table, Table, int]:
    """Keys, where each level of each column begins in them, and the number of levels.

    A node holds the last thresholds of its children, so that as many children are passed as have keys below. least: of
    the last level of each column.
    """
    most = max(len(keys) for keys in thresholds)
    levels = next(levels for levels in range(1, 17) if fan**levels > most)
    parts: list[NDArray[np.int32]] = []
    first = np.zeros((len(thresholds), levels), np.uint32)
    at = 0
    for index, keys in enumerate(thresholds):
        for level in range(levels):
            below = fan ** (levels - 1 - level)  # thresholds of a child
            nodes = len(keys) // (below * fan) + 1
            part = np.full(max(nodes * fan, least if below == 1 else 0), PAD, np.int32)
            lasts = keys[below - 1 :: below]
            part[: len(lasts)] = lasts
            parts.append(part)
            first[index, level] = at
            at += len(part)
    return Table(np.concatenate(parts), lines=True), Table(first), levels
