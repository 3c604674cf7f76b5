"""Complete trees of which six levels are done at once: of one row after the other, or split by split of many rows; then
the levels below, whose splits stand beside each other for each place.

Knows how tables are laid out; knows no C, files or targets.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.walked_trees import KeptLines, Ranks
from aprgen.ops.wide_codes import HEADERS, sent_right
from aprgen.ops.wide_trees import (
    LINE_BYTES,
    TOP,
    TOP_SPLITS,
    CompleteTrees,
    place_of,
)
from aprgen.program import Array, Element, Table

Ints = NDArray[np.int64]

BELOW = 4  # levels of the splits in half a line
BELOW_SPLITS = 16
RANKED = 63  # ranks of a vector, behind a zero: a tree asks for no more
TOGETHER = 4  # turned trees: rows are loaded once for all, and their tables stay in the first cache


@dataclass(frozen=True, eq=False)
class SixLevels(CompleteTrees):
    """Complete trees of six levels and up to four more: below each of the 64 places of six levels the splits of the
    next by level, the root at 1: 16 features, then 16 codes."""

    stride: int  # codes of a row in a block: one or two vectors
    depth: int  # [6, 10]
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
class RowRanks:
    """Ranks of one row for six levels of trees: bytes of vectors, of which trees that follow each other read the same
    one. The first byte of each is 0; the others are, by vector, what a column's code becomes in a turn of Ranks."""

    ranks: Table  # u8, those of Ranks
    begins: Table  # u32, by byte: where the ranks of its turn begin
    columns: Table  # u32, by byte
    of_tree: Table | None  # unsigned, the vector of a tree; None: there is one

    @property
    def n(self) -> int:
        return len(self.columns.data)

    @property
    def n_vectors(self) -> int:
        return -(-self.n // RANKED)

    def of_rows(self, codes: Array) -> Array:
        """u8 [vectors, rows, 64]"""
        made = np.zeros((self.n_vectors, len(codes), LINE_BYTES), np.uint8)
        turns = zip(self.begins.data.tolist(), self.columns.data.tolist(), strict=True)
        for index, (begin, column) in enumerate(turns):
            own = self.ranks.data[begin + codes[:, column].astype(np.int64)]
            made[index // RANKED, :, 1 + index % RANKED] = own
        return made


@dataclass(frozen=True, eq=False)
class PermutedTrees(SixLevels):
    """The codes of each row are permuted to its splits, and all splits of six levels are compared at once. Features and
    codes of splits are as wide as the codes of rows; or bytes, where ranks of 8 bits are made of codes of 16. Of six
    levels they stand by level, too."""

    feature: Table  # u8 or u16 [trees, 64]
    code: Table  # [trees, 64]
    finer: RowRanks | None = None

    @property
    def kernel(self) -> str:
        return f"wide_permuted_trees_{self.code_element}"

    @property
    def code_element(self) -> Element:
        return self.top_element if self.finer is None else "u16"

    @property
    def top_element(self) -> Element:
        """Of six levels."""
        return "u8" if self.code.data.dtype == np.uint8 else "u16"

    @property
    def row_bits(self) -> int:
        return 8 if self.code_element == "u8" else 16

    @property
    def sixteens(self) -> int:
        """Vectors of 16 bytes that hold the codes of a row, of 8 bits."""
        return -(-self.n_codes // 16)

    def at_top(self, tree: int, codes: Array) -> Ints:
        """Of every row the place after six levels."""
        rows = np.arange(len(codes))
        feature, code = self.feature.data[tree].astype(np.int64), self.code.data[tree]
        at = np.ones(len(codes), np.int64)
        for _ in range(TOP):
            at = 2 * at + (codes[rows, feature[at]] > code[at])
        return at - TOP_SPLITS

    def places(self, codes: Array) -> Iterator[Ints]:
        vectors = [codes] if self.finer is None else self.finer.of_rows(codes)
        of_tree = None if self.finer is None else self.finer.of_tree
        for tree in range(self.n_trees):
            own = vectors[0 if of_tree is None else of_tree.data[tree]]
            yield self.further(tree, self.at_top(tree, own), codes)


@dataclass(frozen=True, eq=False)
class TurnedTrees(SixLevels, KeptLines):
    """Of many rows at once the splits of six levels find in lines of bits which go right; then those below are compared
    in one row after the other, by codes that lie row by row. So many trees take turns that rows are loaded once for all
    of them.

    Codes of 8 bits come by column, of which lines are made; they are laid by row, `skip` zeros before those of a row.
    Codes of 16 bits come by row, with these zeros, and get ranks by column, of which lines are made.
    """

    row_element: Element  # of codes that lie by row
    skip: int
    steps: Table  # u8 [columns], of BitLines
    first: Table  # u32 [columns + 1], bytes before the lines of a column and at the end
    at: Table  # unsigned [trees, 63, 2], splits from left to right, as BitLines.at gives them
    finer: Ranks | None

    @property
    def headers(self) -> tuple[str, ...]:
        return (*HEADERS, "apr_half_bits.h")

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
    def steps_of_lines(self) -> Table:
        return self.steps

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

    def places(self, codes: Array) -> Iterator[Ints]:
        columns, of_rows, turned = codes, codes, set[int]()
        if self.finer is None:
            of_rows = np.pad(codes, ((0, 0), (self.skip, 0)))
        else:
            turned = set(self.finer.starts.data.tolist())
        lines = self.lines.of(columns) if self.finer is None else np.zeros((0, len(codes)), np.bool_)
        for tree in range(self.n_trees):
            if self.finer is not None and tree in turned:
                lines = self.lines.of(self.finer.of(codes, tree, self.skip))
            yield self.further(tree, place_of(sent_right(lines, self.at.data[tree], self.line_bytes)), of_rows)
