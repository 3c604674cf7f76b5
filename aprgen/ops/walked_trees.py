"""Trees that rows walk down together, over rank codes; the first levels of many rows at once, by comparisons or by
lines of bits of ranks. Knows how tables are laid out; knows no C, files or targets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.wide_codes import (
    BYTE,
    HEADERS,
    LINE_HEADERS,
    RESTS,
    BitLines,
    Exchange,
    exchanges,
    sent_right,
)
from aprgen.ops.wide_trees import LINE_ROWS, Split, Tier, WideTrees, ascending, place_of, tiers
from aprgen.program import Array, Element, Table

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Top:
    """First levels of walked trees as those of complete ones, splits from left to right. Below a leaf is the leaf."""

    levels: int
    feature: Table  # unsigned [trees, splits]
    limit: Table  # i16 [trees, splits]: 32,767 less the code above which a row goes right
    nodes: Table  # unsigned [trees, places]: where the walk goes on, nodes after the root

    @property
    def by_lines(self) -> bool:
        return False

    @property
    def tiers(self) -> tuple[Tier, ...]:
        return tuple(tiers(self.levels, 2))

    @property
    def high_tiers(self) -> tuple[Tier, ...]:
        """Of three levels."""
        return tuple(tiers(self.levels, 3))

    @property
    def n_splits(self) -> int:
        return int(self.feature.data.shape[1])

    @property
    def n_places(self) -> int:
        return int(self.nodes.data.shape[1])

    def after_root(self, tree: int, codes: Array) -> Ints:
        """Where the walk of every row goes on."""
        place = np.zeros(len(codes), np.int64)
        for level in range(self.levels):
            apart = 1 << (self.levels - level)
            at = place * apart + apart // 2 - 1
            own = codes[np.arange(len(codes)), self.feature.data[tree, at]].astype(np.int64)
            place = 2 * place + (own > 32767 - self.limit.data[tree, at].astype(np.int64))
        return np.asarray(self.nodes.data[tree, place], np.int64)


@dataclass(frozen=True, eq=False)
class Ranks:
    """Codes of 8 bits for first levels of trees, of which a column has others where a byte cannot count the thresholds
    of more trees: of a code of 16 bits, how many thresholds of these trees' splits lie below. By turn, trees first."""

    ranks: Table  # u8, a turn after the other
    begins: Table  # u32: where the ranks of a turn begin
    starts: Table  # u32: the first tree of a turn; at the end the number of trees
    columns: Table  # u32: the column of a turn

    def of(self, codes: Array, tree: int, skip: int) -> NDArray[np.uint8]:
        """[rows, columns behind `skip`]: zeros for those that have no turn up to a tree."""
        columns = np.zeros((len(codes), codes.shape[1] - skip), np.uint8)
        for turn in range(int(np.searchsorted(self.starts.data[:-1], tree, side="right"))):
            column, begin = int(self.columns.data[turn]), int(self.begins.data[turn])
            columns[:, column - skip] = self.ranks.data[begin + codes[:, column].astype(np.int64)]
        return columns


class KeptLines(ABC):
    """First levels of deeper trees, of which lines of bits of a column are kept until a later tree reads others of it.

    first: u32 [columns + 1], bytes before the lines of a column and at the end. at: unsigned [trees, splits, 2], splits
    from left to right, as BitLines.at gives them.
    """

    first: Table
    at: Table

    @property
    @abstractmethod
    def steps_of_lines(self) -> Table:
        """u8 [columns], of BitLines."""

    @property
    def line_levels(self) -> int:
        return int(self.at.data.shape[1]).bit_length()

    @property
    def line_rows(self) -> int:
        """Bits of a line, of which a smaller block takes some."""
        return LINE_ROWS

    @property
    def line_bytes(self) -> int:
        return LINE_ROWS // BYTE

    @property
    def lines(self) -> BitLines:
        own = np.diff(self.first.data.astype(np.int64)) // self.line_bytes
        return BitLines(self.steps_of_lines, Table((own - self.steps_of_lines.data).astype(np.uint8)))

    @property
    def lines_bytes(self) -> int:
        """As if the last column had all rests."""
        return int(self.first.data[-1]) + self.line_bytes * RESTS

    @property
    def splits(self) -> tuple[Split, ...]:
        return tuple(ascending(self.line_levels - 1))

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        return exchanges(self.line_levels)

    @property
    def code_exchanges(self) -> tuple[Exchange, ...]:
        return exchanges(BYTE)


@dataclass(frozen=True, eq=False)
class LineTop(KeptLines):
    """First levels of walked trees by lines of bits of ranks. Below a leaf is the leaf."""

    step_lines: Table  # u8 [columns], steps of BitLines
    first: Table  # u32 [columns + 1], bytes before the lines of a column and at the end
    at: Table  # unsigned [trees, splits, 2], splits from left to right, as BitLines.at gives them
    finer: Ranks
    nodes: Table  # unsigned [trees, places]: where the walk goes on, nodes after the root

    @property
    def by_lines(self) -> bool:
        return True

    @property
    def n_splits(self) -> int:
        return int(self.at.data.shape[1])

    @property
    def n_places(self) -> int:
        return self.n_splits + 1

    @property
    def levels(self) -> int:
        return self.line_levels

    @property
    def steps_of_lines(self) -> Table:
        return self.step_lines

    def after_root(self, tree: int, codes: Array) -> Ints:
        """Where the walk of every row goes on."""
        lines = self.lines.of(self.finer.of(codes, tree, 0))
        place = place_of(sent_right(lines, self.at.data[tree], self.line_bytes))
        return np.asarray(self.nodes.data[tree, place], np.int64)


@dataclass(frozen=True, eq=False)
class WalkedTrees(WideTrees):
    """Trees of any depth. A right child follows the left one. A leaf is 0, so that every row stays there."""

    stride: int  # codes of a row in a block
    nodes: Table  # u32 [nodes, 2]: feature and limit in 16 bits each, and how many nodes further the right child is
    first: Table  # unsigned [trees], the root
    steps: Table  # unsigned [trees], to the deepest leaf
    top: Top | LineTop | None = None

    @property
    def headers(self) -> tuple[str, ...]:
        return LINE_HEADERS if isinstance(self.top, LineTop) else HEADERS

    @property
    def kernel(self) -> str:
        return "wide_walked_trees"

    @property
    def code_element(self) -> Element:
        return "u16"

    @property
    def n_trees(self) -> int:
        return len(self.first.data)

    def reached(self, codes: Array) -> Iterator[Array]:
        rows = np.arange(len(codes))
        split, right = self.nodes.data.T.astype(np.int64)
        begun = 0 if self.top is None else self.top.levels
        for tree, (first, steps) in enumerate(zip(self.first.data.tolist(), self.steps.data.tolist(), strict=True)):
            at = np.full(len(codes), first, np.int64)
            if self.top is not None:
                at += self.top.after_root(tree, codes)
            for _ in range(begun, steps):
                at += right[at] - (codes[rows, split[at] >> 16] < (split[at] & 0xFFFF))
            yield self.leaves.entries.data[at]
