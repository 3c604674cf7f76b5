"""Trees over rank codes for blocks of rows: rows in the lanes of vectors, splits in them, or rows that walk together.

Trees of few levels: each split is compared in many rows at once and chooses, in each, between what its sides chose.
Deeper ones: all splits of six levels are compared at once in one row, then up to four more levels below the place that
was reached. Others are walked by some rows at once. Leaves add in the order of the trees. Know no C, files or targets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.trees import totals
from aprgen.ops.wide_codes import BYTE, HEADERS, LINE_HEADERS, BitLines, Exchange, exchanges, sent_right
from aprgen.program import Array, Element, Table, ValueType

Ints = NDArray[np.int64]
Adds = Literal["sum", "total", "votes", "rows"]  # a float, an integer, 1 to a class, or a row of integers

MOST_PADDED = 64  # sums of a row: 32 KB of a block of 128 rows
ENTRIES = 16  # of leaves at least, so that they are a vector
TOP = 6  # levels of which a word holds the bits
TOP_SPLITS = 64
LINE_ROWS = 256  # of the first levels of deeper trees
WORD = 64  # bits
HALF = 65535
LINE_BYTES = 64  # of a vector
LEAST_VOTE_BITS, VOTE_BITS = 4, 16


@dataclass(frozen=True, eq=False)
class Leaves:
    """What leaves of complete trees add: entries by tree and place of the leaf, left to right.

    sum and total: the value. votes: the class. rows: the row of `values`.
    """

    adds: Adds
    entries: Table  # f32 or integers [trees, places], or of nodes
    start: float | int
    n_outputs: int
    values: Table | None = None  # i16 or i32 [rows, n_outputs]

    @property
    def element(self) -> Element:
        return {"sum": "f32", "votes": "u16"}.get(self.adds, "i32")  # type: ignore[return-value]

    @property
    def indexed(self) -> bool:
        """Whether an entry is an index."""
        return self.adds in ("votes", "rows")

    @property
    def halves(self) -> tuple[str, ...]:
        """Of 16 bits, those of an entry that can be other than 0."""
        return ("low",) if self.indexed and self.entries.data.max(initial=0) <= HALF else ("low", "high")

    @property
    def parts(self) -> tuple[int, ...]:
        """The same of its four bytes."""
        return tuple(range(2 * len(self.halves)))

    @property
    def floats(self) -> bool:
        return self.adds == "sum"

    @property
    def vote_bits(self) -> int:
        """Of a word that holds the votes of a row for all classes; 0: too few."""
        bits = min(VOTE_BITS, WORD // self.n_outputs) if self.adds == "votes" else 0
        return bits if bits >= LEAST_VOTE_BITS else 0

    @property
    def most_votes(self) -> int:
        """That they can count."""
        return (1 << self.vote_bits) - 1

    @property
    def vote_vectors(self) -> tuple[tuple[int, int], ...]:
        """Eight classes each: the first, and bits of those that are there."""
        n = self.n_outputs if self.vote_bits else 0
        return tuple((first, (1 << min(8, n - first)) - 1) for first in range(0, n, 8))

    @property
    def padded(self) -> int:
        """Sums of a row in whole vectors, of rows that are few enough for the stack; else 0."""
        whole = -(-self.n_outputs // ENTRIES) * ENTRIES
        return whole if self.values is not None and whole <= MOST_PADDED else 0

    @property
    def narrow(self) -> bool:
        """Whether rows hold integers of 16 bits."""
        return self.values is not None and self.values.data.dtype == np.int16

    def add(self, of_tree: Iterator[Array], n_rows: int, before: Array | None) -> Array:
        """From the entry of the leaf that every row reaches in each tree."""
        if self.adds == "sum":
            total = np.full(n_rows, np.float32(self.start), np.float32) if before is None else before[:, 0].copy()
            for value in of_tree:
                total += value
            return total.reshape(-1, 1)
        if self.adds == "votes":
            votes = np.zeros((n_rows, self.n_outputs), np.uint16) if before is None else before.copy()
            for position in of_tree:
                votes[np.arange(n_rows), position] += np.uint16(1)
            return votes
        rows = self.values
        if rows is not None:
            made = totals(of_tree, rows.data, int(self.start), self.n_outputs, 0, n_rows)
        else:
            made = np.full((n_rows, 1), int(self.start), np.int32)
            for value in of_tree:
                made[:, 0] += value
        return made if before is None else np.asarray(before + (made - int(self.start)), np.int32)


@dataclass(frozen=True, eq=False)
class WideTrees(ABC):
    """What the ops of trees for blocks share. continues: they add to the value of trees before them."""

    n_codes: int
    rows: int
    leaves: Leaves
    continues: bool

    @property
    def headers(self) -> tuple[str, ...]:
        return HEADERS

    @property
    @abstractmethod
    def kernel(self) -> str:
        ...

    @property
    @abstractmethod
    def code_element(self) -> Element:
        ...

    @abstractmethod
    def reached(self, codes: Array) -> Iterator[Array]:
        """For each tree, the entry of the leaf of every row."""

    @property
    @abstractmethod
    def n_trees(self) -> int:
        ...

    @property
    def block_elements(self) -> int:
        return self.rows * self.leaves.n_outputs

    def result(self, codes: ValueType, before: ValueType | None = None) -> ValueType:
        made = ValueType(self.leaves.element, self.leaves.n_outputs)
        if codes != ValueType(self.code_element, self.n_codes):
            raise ValueError(f"trees take {self.code_element}[{self.n_codes}], not {codes}")
        if before != (made if self.continues else None):
            raise ValueError(f"trees go on from {made}, not from {before}")
        return made

    def evaluate(self, codes: Array, before: Array | None = None) -> Array:
        return self.leaves.add(self.reached(codes), len(codes), before)


@dataclass(frozen=True, eq=False)
class CompleteTrees(WideTrees):
    """Trees with a leaf at every place of one level."""

    @abstractmethod
    def places(self, codes: Array) -> Iterator[Ints]:
        """For each tree, the place of the leaf of every row."""

    def reached(self, codes: Array) -> Iterator[Array]:
        return (entry[place] for entry, place in zip(self.leaves.entries.data, self.places(codes), strict=True))

    @property
    def n_trees(self) -> int:
        return len(self.leaves.entries.data)

    @property
    def n_places(self) -> int:
        return int(self.leaves.entries.data.shape[1])


@dataclass(frozen=True)
class Split:
    """A split of a complete tree in an order in which its sides are done before. height: of bottom splits 0, of which
    `place` is the left leaf. side: "left" or "right", of the split above."""

    number: int
    height: int
    side: str
    place: int


def ascending(height: int, first: int = 0, side: str = "left") -> Iterator[Split]:
    """The splits of a complete tree whose root has that height, numbered from left to right."""
    if height < 0:
        return
    half = (1 << height) - 1
    yield from ascending(height - 1, first, "left")
    yield from ascending(height - 1, first + half + 1, "right")
    yield Split(first + half, height, side, first)


def place_of(right: NDArray[np.bool_]) -> Ints:
    """Where rows arrive that go right or not at the splits of a complete tree, from left to right: [rows, splits]."""
    rows = np.arange(len(right))
    place = np.zeros(len(right), np.int64)
    depth = right.shape[1].bit_length()
    for level in range(depth):
        apart = 1 << (depth - level)
        place = 2 * place + right[rows, place * apart + apart // 2 - 1]
    return place


@dataclass(frozen=True)
class Tier:
    """Some levels of a complete tree: subtrees whose splits lie `apart` from the same of the next one.

    splits: of a subtree, and their numbers in the first. whole: subtrees are the tree. bottom: below are its leaves.
    """

    subtrees: int
    apart: int
    splits: tuple[tuple[int, Split], ...]
    whole: bool
    bottom: bool

    @property
    def sides(self) -> int:
        """Of a subtree: subtrees of the tier below, or leaves."""
        return len(self.splits) + 1

    @property
    def height(self) -> int:
        return self.splits[-1][1].height


def tiers(depth: int, most: int) -> Iterator[Tier]:
    """From the bottom, of so many levels at most, where fewer stay at the top."""
    for below in range(0, depth, most):
        levels = min(most, depth - below)
        above = depth - below - levels
        numbered = tuple((((split.number + 1) << below) - 1, split) for split in ascending(levels - 1))
        yield Tier(1 << above, 1 << (below + levels), numbered, above == 0, below == 0)


@dataclass(frozen=True, eq=False)
class ShallowTrees(CompleteTrees):
    """Complete trees of few levels, whose splits stand from left to right, so that a tree's root is in the middle."""

    depth: int  # [1, 7]

    @property
    def code_element(self) -> Element:
        return "u8"

    @property
    def n_splits(self) -> int:
        return (1 << self.depth) - 1

    @property
    def vectors(self) -> int:
        """Of 16 entries, that a tree's leaves are."""
        return self.n_places // ENTRIES

    @property
    def splits(self) -> tuple[Split, ...]:
        return tuple(ascending(self.depth - 1))


@dataclass(frozen=True, eq=False)
class LevelTrees(ShallowTrees):
    """Splits are compared with the codes of many rows."""

    feature: Table  # u16 [trees, splits], times rows: where the codes of a column begin in a block
    code: Table  # u8 [trees, splits]: a row whose code is larger goes right; i8: 127 less the code

    @property
    def kernel(self) -> str:
        return "wide_level_trees"

    @property
    def words(self) -> tuple[tuple[int, int], ...]:
        """Of bits of splits: the first, and how many."""
        return tuple((first, min(WORD, self.n_splits - first)) for first in range(0, self.n_splits, WORD))

    @property
    def tiers(self) -> tuple[Tier, ...]:
        return tuple(tiers(self.depth, 2))

    @property
    def high_tiers(self) -> tuple[Tier, ...]:
        """Of three levels."""
        return tuple(tiers(self.depth, 3))

    def places(self, codes: Array) -> Iterator[Ints]:
        limits = self.code.data.astype(np.int64)
        limits = 127 - limits if self.code.data.dtype == np.int8 else limits
        for feature, code in zip(self.feature.data.astype(np.int64) // self.rows, limits, strict=True):
            yield place_of(codes[:, feature] > code)


@dataclass(frozen=True, eq=False)
class BitTrees(ShallowTrees):
    """Splits find in lines of bits of a block's rows which rows go right."""

    lines: BitLines
    at: Table  # unsigned [trees, splits, 2], as BitLines.at gives them

    @property
    def headers(self) -> tuple[str, ...]:
        return LINE_HEADERS

    @property
    def kernel(self) -> str:
        return "wide_level_trees_bits"

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        return exchanges(self.depth)

    def places(self, codes: Array) -> Iterator[Ints]:
        lines = self.lines.of(codes)
        return (place_of(sent_right(lines, at, self.rows // BYTE)) for at in self.at.data)
