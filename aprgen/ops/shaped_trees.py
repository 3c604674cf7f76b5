"""Trees in other shapes than tables of four columns: as branches of code, or packed into words. Rows are codes.

At a node a row goes left when its code is at most the node's. Both shapes combine the leaves reached like the plain
tree ops: one leaf, votes, a sum in the order of the trees, or totals of integers. Know no C, files or targets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.codes import CodeElement
from aprgen.ops.trees import totals
from aprgen.program import Array, Table, ValueType

Use = Literal["leaf", "votes", "sum", "totals"]

NEAR = 32  # codes that the short loads of Thumb reach from a pointer


@dataclass(frozen=True, eq=False)
class Branches:
    """Trees that become code: no table of the model, so plain arrays. References as in Nodes, children follow."""

    feature: NDArray[np.int64]
    code: NDArray[np.int64]  # left when x[feature] <= code
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    root: NDArray[np.int64]
    depth: int

    def leaves(self, x: Array) -> Iterator[NDArray[np.int64]]:
        """For each tree, the leaf of every row."""
        rows = np.arange(len(x))
        for root in self.root:
            at = np.full(len(x), int(root), np.int64)
            while (at >= 0).any():
                inner = at >= 0
                node = np.where(inner, at, 0)
                goes_left = x[rows, self.feature[node]] <= self.code[node]
                at = np.where(inner, np.where(goes_left, self.left[node], self.right[node]), at)
            yield ~at


@dataclass(frozen=True, eq=False)
class ShapedTrees(ABC):
    """What both shapes share: the rows they take, and what they make of leaves."""

    use: Use
    n_features: int
    element: CodeElement
    n_classes: int  # of votes, or outputs of totals; else 1
    values: Table | None  # f32 [leaves] of a sum, integers [leaves, n_classes] of totals
    start: float  # of a sum, or a whole number
    unit: int  # of totals, what the pure leaves add; 0: there are none

    headers = ("apr_code.h",)

    @property
    @abstractmethod
    def kernel(self) -> str:
        ...

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType(self.element, self.n_features):
            raise ValueError(f"trees take {self.element}[{self.n_features}], not {x}")
        kinds: dict[Use, ValueType] = {
            "leaf": ValueType("i32", 1), "votes": ValueType("u16", self.n_classes), "sum": ValueType("f32", 1),
            "totals": ValueType("i32", self.n_classes),
        }  # fmt: skip
        return kinds[self.use]

    @property
    def added(self) -> Array:
        """What leaves add to totals, those behind the pure ones."""
        return np.zeros(0, np.int32) if self.values is None else self.values.data

    @property
    def pure(self) -> int:
        """Leaves that only add the unit to the total of their number."""
        return self.n_classes if self.unit else 0

    @property
    def single(self) -> bool:
        return self.n_classes == 1

    @property
    def first(self) -> int:
        """Where totals start."""
        return int(self.start) if self.use == "totals" else 0

    @abstractmethod
    def leaves(self, x: Array) -> Iterator[NDArray[np.int64]]:
        """For each tree, the leaf of every row."""

    def evaluate(self, x: Array) -> Array:
        if self.use == "totals":
            return totals(self.leaves(x), self.added, self.first, self.n_classes, self.unit, len(x))
        if self.use == "leaf":
            (leaf,) = self.leaves(x)
            return leaf.astype(np.int32).reshape(-1, 1)
        if self.use == "votes":
            votes = np.zeros((len(x), self.n_classes), np.uint16)
            for leaf in self.leaves(x):
                votes[np.arange(len(x)), leaf] += np.uint16(1)
            return votes
        assert self.values is not None
        total = np.full(len(x), np.float32(self.start), np.float32)
        for leaf in self.leaves(x):
            total += self.values.data[leaf]
        return total.reshape(-1, 1)


@dataclass(frozen=True, eq=False)
class TreePart:
    """Trees that stand in one function."""

    branches: Branches
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class BranchTrees(ShapedTrees):
    """Every split an `if` with a constant. Codes from NEAR on are read through a second pointer."""

    parts: tuple[TreePart, ...]
    depth: int
    constants: tuple[int, ...] = ()  # what leaves add to a single total, in place of values

    @property
    def kernel(self) -> str:
        return f"branch_{self.use}"

    @property
    def wide(self) -> bool:
        return self.n_features > NEAR

    @property
    def near(self) -> int:
        return NEAR

    @property
    def added(self) -> Array:
        return np.array(self.constants, np.int32) if self.constants else super().added

    @property
    def n_trees(self) -> int:
        return sum(len(part.branches.root) for part in self.parts)

    def leaves(self, x: Array) -> Iterator[NDArray[np.int64]]:
        for part in self.parts:
            yield from part.branches.leaves(x)


@dataclass(frozen=True, eq=False)
class PackedTrees(ShapedTrees):
    """A split in one or two words, trees in pre-order: the left child follows, the right one is `jump` nodes on.

    Fields of a word, from bit 0: feature, left child is a leaf, right child is a leaf, leaf, jump, code (to the last
    bit). The leaf is that of either side; when both are leaves, the right one's is one more. A second word holds jump
    and leaf in 16 bits each, when one word is too short. Leaves are positions in `leaf`, after `base` of the tree.
    """

    words: Table  # u32 [nodes * words of a node]
    root: Table  # unsigned [trees], first node
    base: Table | None  # unsigned [trees], what is added to the leaves of a tree
    leaf: Table | None  # unsigned, leaf numbers by position; None when positions are the leaves
    two_words: bool
    feature_bits: int
    leaf_bits: int
    jump_bits: int
    depth: int
    least: int = 0  # of the thresholds of codes with a sign, at most 0: words hold what is above it

    @property
    def kernel(self) -> str:
        return f"packed_{self.use}"

    @property
    def has_sign(self) -> bool:
        """Whether codes can be below 0."""
        return self.element in ("i8", "i16")

    @property
    def lift(self) -> int:
        """What is added to a code before it is compared."""
        return -self.least

    @property
    def n_trees(self) -> int:
        return len(self.root.data)

    @property
    def step(self) -> int:
        """Words from a node to the next."""
        return 2 if self.two_words else 1

    @property
    def feature_mask(self) -> int:
        return (1 << self.feature_bits) - 1

    @property
    def left_leaf(self) -> int:
        return 1 << self.feature_bits

    @property
    def right_leaf(self) -> int:
        return 1 << (self.feature_bits + 1)

    @property
    def leaf_shift(self) -> int:
        return 0 if self.two_words else self.feature_bits + 2

    @property
    def leaf_mask(self) -> int:
        return (1 << self.leaf_bits) - 1

    @property
    def jump_shift(self) -> int:
        return self.leaf_shift + self.leaf_bits

    @property
    def jump_mask(self) -> int:
        return (1 << self.jump_bits) - 1

    @property
    def code_shift(self) -> int:
        return self.feature_bits + 2 if self.two_words else self.jump_shift + self.jump_bits

    def leaves(self, x: Array) -> Iterator[NDArray[np.int64]]:
        width = 2 if self.two_words else 1
        first = self.words.data[::width].astype(np.int64)
        second = self.words.data[width - 1 :: width].astype(np.int64)
        feature = first & (2**self.feature_bits - 1)
        ends = (first >> self.feature_bits & 1, first >> (self.feature_bits + 1) & 1)
        leaf = second >> self.leaf_shift & (2**self.leaf_bits - 1)
        jump = second >> self.jump_shift & (2**self.jump_bits - 1)
        code = (first >> self.code_shift) + self.least
        rows = np.arange(len(x))
        for tree, root in enumerate(self.root.data):
            at = np.full(len(x), int(root), np.int64)
            found = np.full(len(x), -1, np.int64)
            while (found < 0).any():
                right = x[rows, feature[at]] > code[at]
                ended = np.where(right, ends[1][at], ends[0][at]) == 1
                position = leaf[at] + np.where(right, ends[0][at], 0)
                found = np.where((found < 0) & ended, position, found)
                at = np.where(found < 0, at + np.where(right, jump[at], 1), at)
            place = found + (0 if self.base is None else int(self.base.data[tree]))
            yield place if self.leaf is None else self.leaf.data[place].astype(np.int64)
