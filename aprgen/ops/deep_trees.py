"""Trees too deep or too large for the forms of wide_trees, for blocks of rows: staged ones, and ones on floats.

Staged: six levels at once as permuted trees have them, then four more by a block of one line of features and codes and
one of where its 16 exits lead, again and again. On floats: eight rows walk together over thresholds, without codes, so
that neither columns nor thresholds are counted. In both the value of a leaf stands where the way to it is read. Know no
C, files or targets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.row_trees import AT_ONCE, Together, steps_together
from aprgen.ops.wide_codes import WideCodes
from aprgen.ops.wide_trees import TOP, TOP_SPLITS, Leaves, WideTrees
from aprgen.program import Array, Element, Table, ValueType

STAGE = 4  # levels of a block
EXITS = 16
BLOCK_WORDS = 32  # 16 features and 16 codes of 16 bits, then 16 exits
EXIT_WORD = 16  # the first one
NEAR_BYTES = 4 << 20
LONG = 128  # columns: shorter rows are found by a core itself
LINE_FLOATS = 16

Words = NDArray[np.uint32]


def entries_of(words: Words, leaves: Leaves) -> Array:
    """What leaves add, from words of tables."""
    return words.view(np.float32) if leaves.floats else words.view(np.int32)


@dataclass(frozen=True, eq=False)
class StagedTrees(WideTrees):
    """The splits of six levels by level, the root at 1; then blocks. The first two of a tree are the words of the 64
    places below: the number of a block or, if the bit of the place is set in `ended`, what a leaf adds. Others have
    splits from 1 on, in place of the first code the bits of the exits that are leaves, and the words of the exits.
    """

    stride: int  # codes of a row in a block: one or two vectors
    feature: Table  # u16 [trees, 64]
    code: Table  # u16 [trees, 64]
    first: Table  # u32 [trees], a block
    ended: Table  # u32 [trees, 2]
    blocks: Table  # u32 [blocks, 32]
    stages: Table  # u8 [trees]
    headers = ("apr_wide.h",)

    @property
    def kernel(self) -> str:
        return "wide_staged_trees"

    @property
    def code_element(self) -> Element:
        return "u16"

    @property
    def n_trees(self) -> int:
        return len(self.stages.data)

    @property
    def two_vectors(self) -> bool:
        return self.stride > TOP_SPLITS // 2

    @property
    def below_in_bytes(self) -> bool:
        """Blocks have features and codes of 16 bits."""
        return False

    @property
    def far(self) -> bool:
        """Whether blocks are more than what caches near a core hold."""
        return self.blocks.n_bytes > NEAR_BYTES

    @cached_property
    def _halves(self) -> NDArray[np.int64]:
        """Features and codes of blocks [blocks, 2, 16]."""
        halves = np.ascontiguousarray(self.blocks.data[:, :EXIT_WORD]).view(np.uint16)
        return halves.reshape(-1, 2, EXITS).astype(np.int64)

    def reached(self, codes: Array) -> Iterator[Array]:
        rows = np.arange(len(codes))
        wide, words = codes.astype(np.int64), self.blocks.data.reshape(-1)
        for tree in range(self.n_trees):
            top, code = self.feature.data[tree].astype(np.int64), self.code.data[tree]
            at = np.ones(len(codes), np.int64)
            for _ in range(TOP):
                at = 2 * at + (wide[rows, top[at]] > code[at])
            place = at - TOP_SPLITS
            found = words[BLOCK_WORDS * int(self.first.data[tree]) + place]
            goes_on = (self.ended.data[tree, place // 32] >> (place % 32).astype(np.uint32)) & 1 == 0
            for _ in range(int(self.stages.data[tree])):
                block = np.where(goes_on, found, 0).astype(np.int64)
                own = self._halves[block]
                at = np.ones(len(codes), np.int64)
                for _ in range(STAGE):
                    column = np.where(goes_on, own[rows, 0, at], 0)  # block 0 may hold what leaves add
                    at = 2 * at + (wide[rows, column] > own[rows, 1, at])
                place = at - EXITS
                found = np.where(goes_on, self.blocks.data[block, EXIT_WORD + place], found)
                goes_on &= own[rows, 1, 0] >> place & 1 == 0
            yield entries_of(found, self.leaves)


@dataclass(frozen=True, eq=False)
class FloatTrees(WideTrees):
    """Trees of any depth over the row itself; n_codes are its columns. A node is two words: the bits of the threshold,
    and feature, whether a missing value goes left (where any does), how many words further the left child begins, and 1
    for a split. The right child follows. A leaf has what it adds in the first word, and is its own child.
    """

    nodes: Table  # u32 [nodes, 2]
    first: Table  # u32 [trees], words before the root
    steps: Table  # unsigned [trees], to the deepest leaf
    shift: int  # of the feature
    missing: bool  # whether the bit below the feature says that a NaN goes left
    headers = ("apr_wide.h",)

    @property
    def kernel(self) -> str:
        return "wide_float_trees"

    @property
    def code_element(self) -> Element:
        return "f32"

    @property
    def n_trees(self) -> int:
        return len(self.first.data)

    @property
    def child_mask(self) -> int:
        """The bits of a word that say how far the left child is."""
        return (1 << (self.shift - self.missing)) - 2

    @property
    def far(self) -> bool:
        """Whether rows are read in the order of memory before trees read them here and there: they are long, and pass
        at least half as many splits as they have cache lines."""
        splits = int(self.steps.data.sum(dtype=np.int64))
        return self.n_codes > LONG and 2 * splits * LINE_FLOATS >= self.n_codes

    def reached(self, codes: Array) -> Iterator[Array]:
        rows = np.arange(len(codes))
        words = self.nodes.data.reshape(-1)
        shift, mask = np.uint32(self.shift), np.uint32(self.child_mask)
        for first, steps in zip(self.first.data.tolist(), self.steps.data.tolist(), strict=True):
            at = np.full(len(codes), first, np.uint32)
            for _ in range(steps):
                word = words[at + 1]
                value = codes[rows, word >> shift]
                left = value <= words[at].view(np.float32)
                if self.missing:
                    left |= np.isnan(value) & (word >> (shift - 1) & 1 == 1)
                at += (word & mask) + 2 * (word & 1 & ~left)
            yield entries_of(words[at], self.leaves)


@dataclass(frozen=True, eq=False)
class StagedRow:
    """Codes that lie by row, and trees as StagedTrees has them, in one kernel."""

    codes: WideCodes
    leaves: Leaves
    continues: bool
    stride: int
    feature: Table
    code: Table
    first: Table
    ended: Table
    blocks: Table
    stages: Table
    headers = ("apr_wide.h",)
    kernel = "row_staged_trees"

    @property
    def trees(self) -> StagedTrees:
        """The same for blocks."""
        codes = self.codes
        return StagedTrees(
            codes.skip + codes.n, codes.rows, self.leaves, self.continues, self.stride, self.feature, self.code,
            self.first, self.ended, self.blocks, self.stages,
        )  # fmt: skip

    @property
    def n_trees(self) -> int:
        return self.trees.n_trees

    @property
    def two_vectors(self) -> bool:
        return self.trees.two_vectors

    @property
    def below_in_bytes(self) -> bool:
        return self.trees.below_in_bytes

    @property
    def most_stages(self) -> int:
        return int(self.stages.data.max())

    @property
    def all_stages(self) -> int:
        return int(self.stages.data.sum(dtype=np.int64))

    def result(self, x: ValueType, before: ValueType | None = None) -> ValueType:
        return self.trees.result(self.codes.result(x), before)

    def evaluate(self, x: Array, before: Array | None = None) -> Array:
        return self.trees.evaluate(self.codes.evaluate(x), before)


@dataclass(frozen=True, eq=False)
class FloatRow(Together):
    """Trees as FloatTrees has them, eight at once. Who is at a leaf stays there."""

    n_features: int
    leaves: Leaves
    nodes: Table
    first: Table
    steps: Table  # of each eight trees
    last_steps: int  # of those that are fewer
    shift: int
    missing: bool
    headers = ("apr_wide.h",)
    kernel = "row_float_trees"

    @property
    def trees(self) -> FloatTrees:
        """The same for blocks."""
        return FloatTrees(
            self.n_features, AT_ONCE, self.leaves, False, self.nodes, self.first, self.steps_apart, self.shift,
            self.missing,
        )  # fmt: skip

    @property
    def child_mask(self) -> int:
        return self.trees.child_mask

    def result(self, x: ValueType) -> ValueType:
        return self.trees.result(x)

    def evaluate(self, x: Array) -> Array:
        return self.trees.evaluate(x)


def deep_row_of(codes: WideCodes | None, trees: StagedTrees | FloatTrees) -> StagedRow | FloatRow:
    """The op of one row with the tables of those for blocks."""
    if isinstance(trees, StagedTrees):
        assert codes is not None
        return StagedRow(
            replace(codes, spans=None), trees.leaves, trees.continues, trees.stride, trees.feature, trees.code,
            trees.first, trees.ended, trees.blocks, trees.stages,
        )  # fmt: skip
    return FloatRow(
        trees.n_codes, trees.leaves, trees.nodes, trees.first, *steps_together(trees.steps), trees.shift, trees.missing
    )  # fmt: skip
