"""Complete trees of which six levels are done at once: of one row after the other, or split by split of many rows; then
the levels below, whose splits stand beside each other for each place.

Knows how tables are laid out; knows no C, files or targets.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.wide_trees import LINE_BYTES, TOP, TOP_SPLITS, WORD, CompleteTrees, Split, ascending
from aprgen.program import Array, Element, Table

Ints = NDArray[np.int64]

BELOW = 4  # levels of the splits in half a line
BELOW_SPLITS = 16
TOGETHER = 4  # turned trees: rows are loaded once for all, and their tables stay in the first cache


@dataclass(frozen=True, eq=False)
class SixLevels(CompleteTrees):
    """Complete trees of six levels and up to four more: the splits of the first six by level, the root at 1; below each
    of their 64 places the splits of the next, again from 1: 16 features, then 16 codes."""

    stride: int  # codes of a row in a block: one or two vectors
    depth: int  # [6, 10]
    feature: Table  # u8 or u16 [trees, 64]
    code: Table  # [trees, 64]
    below: Table | None  # [trees, 64, 32], as codes are or u8 where that is enough

    @property
    def levels_below(self) -> int:
        return self.depth - TOP

    @property
    def below_in_bytes(self) -> bool:
        """Whether `below` is narrower than codes."""
        return self.below is not None and 8 * self.below.data.dtype.itemsize < self.row_bits

    @property
    @abstractmethod
    def row_bits(self) -> int:
        """Of a code where those of a row lie beside each other, 8 or 16."""

    @property
    def two_vectors(self) -> bool:
        return self.stride * self.row_bits > 8 * LINE_BYTES

    def at_top(self, tree: int, codes: Array, there: Array) -> Ints:
        """Of every row the place after six levels; there: of splits, others go left."""
        rows = np.arange(len(codes))
        feature, code = self.feature.data[tree].astype(np.int64), self.code.data[tree]
        at = np.ones(len(codes), np.int64)
        for _ in range(TOP):
            at = 2 * at + ((codes[rows, feature[at]] > code[at]) & there[at])
        return at - TOP_SPLITS

    def further(self, tree: int, place: Ints, codes: Array) -> Ints:
        """Of every row the place after all levels."""
        if self.below is None:
            return place
        rows = np.arange(len(codes))
        own = self.below.data[tree, place]
        at = np.ones(len(codes), np.int64)
        for _ in range(self.levels_below):
            here = own[rows, at].astype(np.int64)
            at = 2 * at + (codes[rows, here] > own[rows, BELOW_SPLITS + at])
        return np.asarray((place << self.levels_below) + at - (1 << self.levels_below), np.int64)


@dataclass(frozen=True, eq=False)
class PermutedTrees(SixLevels):
    """The codes of each row are permuted to its splits, and all splits of six levels are compared at once. Features and
    codes of splits are as wide as the codes of rows."""

    @property
    def kernel(self) -> str:
        return f"wide_permuted_trees_{self.code_element}"

    @property
    def code_element(self) -> Element:
        return "u8" if self.code.data.dtype == np.uint8 else "u16"

    @property
    def row_bits(self) -> int:
        return 8 * self.code.data.dtype.itemsize

    @property
    def sixteens(self) -> int:
        """Vectors of 16 bytes that hold the codes of a row, of 8 bits."""
        return -(-self.n_codes // 16)

    def places(self, codes: Array) -> Iterator[Ints]:
        every = np.ones(TOP_SPLITS, np.bool_)
        return (self.further(tree, self.at_top(tree, codes, every), codes) for tree in range(self.n_trees))


@dataclass(frozen=True, eq=False)
class Ranks:
    """Codes of 8 bits for six levels of trees, of which a column has others where a byte cannot count the thresholds of
    more trees: of a code of 16 bits, how many thresholds of these trees' splits lie below. By turn, trees first."""

    ranks: Table  # u8, a turn after the other
    begins: Table  # u32: where the ranks of a turn begin
    starts: Table  # u32: the first tree of a turn; at the end the number of trees
    columns: Table  # u32: the column of a turn


@dataclass(frozen=True, eq=False)
class TurnedTrees(SixLevels):
    """Six levels are compared in many rows at once, split by split, by codes of 8 bits that lie column by column; then
    those below in one row after the other, by codes that lie row by row. So many trees take turns that rows are loaded
    once for all of them.

    Codes of 8 bits come by column and are laid by row, `skip` zeros before those of a row; codes of 16 bits come by
    row, with these zeros, and get ranks by column.
    """

    row_element: Element  # of codes that lie by row
    skip: int
    there: Table  # u32 [trees, 2]: bits of the splits that are there, those below 32 first
    finer: Ranks | None

    @property
    def kernel(self) -> str:
        return f"wide_turned_trees_{self.row_element}"

    @property
    def code_element(self) -> Element:
        return "u8" if self.finer is None else "u16"

    @property
    def row_bits(self) -> int:
        return 8 if self.row_element == "u8" else 16

    @property
    def words(self) -> int:
        """Of 64 bits, of rows."""
        return self.rows // WORD

    @property
    def together(self) -> int:
        return min(TOGETHER, self.n_trees)

    @property
    def rest(self) -> int:
        """Trees at the end that are fewer."""
        return self.n_trees % self.together

    @property
    def counts(self) -> tuple[int, ...]:
        return (self.together, self.rest) if self.rest else (self.together,)

    @property
    def vote_trees(self) -> int:
        """After which words of votes are added to the votes."""
        return self.leaves.most_votes // self.together * self.together

    @property
    def top_splits(self) -> tuple[Split, ...]:
        """Of six levels, by level from the root on, which is 1, in an order in which sides are done before."""
        return tuple(
            replace(split, number=(1 << (TOP - 1 - split.height)) + (split.number >> (split.height + 1)))
            for split in ascending(TOP - 1)
        )

    def places(self, codes: Array) -> Iterator[Ints]:
        there = np.unpackbits(self.there.data.astype("<u4").view(np.uint8), axis=1, bitorder="little").astype(np.bool_)
        turn, columns, of_rows = 0, codes, codes
        if self.finer is None:
            of_rows = np.pad(codes, ((0, 0), (self.skip, 0)))
        else:
            columns = np.zeros(codes.shape, np.uint8)
        for tree in range(self.n_trees):
            while self.finer is not None and tree == int(self.finer.starts.data[turn]):
                column, begin = int(self.finer.columns.data[turn]), int(self.finer.begins.data[turn])
                columns[:, column] = self.finer.ranks.data[begin + codes[:, column].astype(np.int64)]
                turn += 1
            yield self.further(tree, self.at_top(tree, columns, there[tree]), of_rows)
