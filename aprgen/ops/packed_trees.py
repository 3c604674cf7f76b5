"""Trees packed into words, whole or below the splits that stand as code. Each is followed to its leaves when made.

Knows the bits of a word and how leaves are found; knows no C, files or targets.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.shaped_trees import NEAR, Counters, ShapedTrees, TreePart
from aprgen.program import Array, Table, ValueType


@dataclass(frozen=True, eq=False)
class SparseRows:
    """What leaves add to totals, without the zeros: row r has the entries first[r] to first[r + 1] - 1."""

    first: Table  # unsigned [rows + 1]
    output: Table  # unsigned, of each entry
    amount: Table
    longest: int  # entries of a row

    @property
    def n_bytes(self) -> int:
        return self.first.n_bytes + self.output.n_bytes + self.amount.n_bytes

    def dense(self, n_outputs: int) -> NDArray[np.int64]:
        """[rows, n_outputs]."""
        first = self.first.data.astype(np.int64)
        rows = np.zeros((len(first) - 1, n_outputs), np.int64)
        rows[np.repeat(np.arange(len(rows)), np.diff(first)), self.output.data] = self.amount.data
        return rows


@dataclass(frozen=True, eq=False)
class NodeFields:
    """By node; `ends`: 1 where that child is a leaf."""

    feature: NDArray[np.int64]
    code: NDArray[np.int64]
    left_ends: NDArray[np.int64]
    right_ends: NDArray[np.int64]
    leaf: NDArray[np.int64]
    jump: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PackedNodes(ShapedTrees):
    """A split in one or two words, trees in pre-order: the left child follows, the right one is `jump` nodes on.

    Fields of a word, from bit 0: feature, left child is a leaf, right child is a leaf, leaf, jump, code (to the last
    bit). The leaf is that of either side; when both are leaves, the right one's is one more. A second word holds jump
    and leaf in 16 bits each, when one word is too short. Leaves are positions in `leaf`.
    """

    words: Table  # u32 [nodes * words of a node]
    leaf: Table | None  # unsigned, leaf numbers by position; None when positions are the leaves
    two_words: bool
    feature_bits: int
    leaf_bits: int
    jump_bits: int
    depth: int
    least: int  # of the thresholds of codes with a sign, at most 0: words hold what is above it
    rows: SparseRows | None  # in place of `values`

    @property
    def added(self) -> Array:
        return super().added if self.rows is None else self.rows.dense(self.n_classes).reshape(-1)

    @property
    def added_bytes(self) -> int:
        """Flash of what leaves add to totals."""
        if self.rows is not None:
            return self.rows.n_bytes
        return 0 if self.use != "totals" or self.values is None else self.values.n_bytes

    @property
    def has_sign(self) -> bool:
        """Whether codes can be below 0."""
        return self.element in ("i8", "i16")

    @property
    def lift(self) -> int:
        """What is added to a code before it is compared."""
        return -self.least

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

    @property
    def fields(self) -> NodeFields:
        """What the words of every node say."""
        width = 2 if self.two_words else 1
        first = self.words.data[::width].astype(np.int64)
        second = self.words.data[width - 1 :: width].astype(np.int64)
        return NodeFields(
            first & (2**self.feature_bits - 1),
            (first >> self.code_shift) + self.least,
            first >> self.feature_bits & 1,
            first >> (self.feature_bits + 1) & 1,
            second >> self.leaf_shift & (2**self.leaf_bits - 1),
            second >> self.jump_shift & (2**self.jump_bits - 1),
        )

    def result(self, x: ValueType) -> ValueType:
        if self._fault:
            raise ValueError(self._fault)
        return super().result(x)

    @abstractmethod
    def starts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Nodes where walks start, ascending, and what is added to the leaves of each."""

    @cached_property
    def _fault(self) -> str:
        """What would take a walk out of the tables or beyond `depth` steps; nothing when all is well, as it must be."""
        nodes, (roots, base) = self.fields, self.starts()
        n = len(nodes.feature)
        here = np.arange(n)
        if n and int(nodes.feature.max()) >= self.n_features:
            return f"a node reads code {int(nodes.feature.max())} of {self.n_features}"
        if len(roots) and not 0 <= int(roots.min()) <= int(roots.max()) < n:
            return f"a walk starts at node {int(roots.max())} of {n}"
        child = np.stack([here + 1, here + nodes.jump])
        ends = np.stack([nodes.left_ends, nodes.right_ends]) == 1
        if not (ends | ((child > here) & (child < n))).all():
            return "a child is no later node of the table"
        table = self.leaf if self.leaf is not None else self.values
        room = 0 if table is None else len(table.data)
        last = nodes.leaf + (ends[0] & ends[1])
        steps = [0] * (n + 1)  # on the longest way from each node; the last one stands for a leaf
        furthest = [-1] * (n + 1)  # position of a leaf
        low, high = np.where(ends, n, child).tolist()
        at_end = np.where(ends.any(axis=0), last, -1).tolist()
        for node in reversed(range(n)):
            one, other = low[node], high[node]
            steps[node] = 1 + max(steps[one], steps[other])
            furthest[node] = max(at_end[node], furthest[one], furthest[other])
        for root, added in zip(roots.tolist(), base.tolist(), strict=True):
            if steps[root] > self.depth:
                return f"a walk from node {root} takes {steps[root]} steps, not {self.depth}"
            if furthest[root] + added >= room:
                return f"a walk from node {root} ends at place {furthest[root] + added} of {room}"
        return ""

    def walked(self, x: Array, rows: NDArray[np.int64], roots: NDArray[np.int64]) -> NDArray[np.int64]:
        """The position of the leaf that each of these rows reaches from the root beside it."""
        nodes = self.fields
        at = roots
        found = np.full(len(rows), -1, np.int64)
        while (found < 0).any():
            right = x[rows, nodes.feature[at]] > nodes.code[at]
            ended = np.where(right, nodes.right_ends[at], nodes.left_ends[at]) == 1
            position = nodes.leaf[at] + np.where(right, nodes.left_ends[at], 0)
            found = np.where((found < 0) & ended, position, found)
            at = np.where(found < 0, at + np.where(right, nodes.jump[at], 1), at)
        return found

    def numbers(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of the leaves that stand there."""
        return positions if self.leaf is None else self.leaf.data[positions].astype(np.int64)


@dataclass(frozen=True, eq=False)
class PackedTrees(PackedNodes):
    """Every split in words. Leaves are positions after `base` of the tree."""

    root: Table  # unsigned [trees], first node
    base: Table | None  # unsigned [trees], what is added to the leaves of a tree

    @property
    def kernel(self) -> str:
        return f"packed_{self.use}"

    @property
    def n_trees(self) -> int:
        return len(self.root.data)

    def starts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        roots = self.root.data.astype(np.int64)
        return roots, np.zeros(len(roots), np.int64) if self.base is None else self.base.data.astype(np.int64)

    def leaves(self, x: Array) -> Iterator[NDArray[np.int64]]:
        rows = np.arange(len(x))
        for tree, root in enumerate(self.root.data):
            found = self.walked(x, rows, np.full(len(x), int(root), np.int64))
            yield self.numbers(found + (0 if self.base is None else int(self.base.data[tree])))


@dataclass(frozen=True, eq=False)
class MixedTrees(PackedNodes):
    """Where many rows come by, every split an `if`; what is below is packed, and an end of the code names its node.

    Votes and totals are counted as in BranchTrees, and the nodes where walks go on are listed first and walked then:
    counter `words + n_classes + node`. Of other trees a leaf `first_node + node` goes on at that node; the other
    leaves of a sum are positions, too.
    """

    parts: tuple[TreePart, ...]
    counters: Counters | None  # of votes and totals
    first_node: int
    n_listed: int  # nodes that one part lists at most

    @property
    def kernel(self) -> str:
        return f"mixed_{self.use}"

    @property
    def near(self) -> int:
        return NEAR

    @property
    def n_trees(self) -> int:
        return sum(part.n_trees for part in self.parts)

    def starts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self.counters is None:
            ends = np.concatenate([part.branches.leaf for part in self.parts])
            roots = np.unique(ends[ends >= self.first_node]) - self.first_node
        else:
            named = self.counters.words + self.n_classes
            adds = (one for part in self.parts for of_leaf in part.branches.adds for one, _ in of_leaf)
            roots = np.unique(np.array([one - named for one in adds if one >= named], np.int64))
        return roots, np.zeros(len(roots), np.int64)

    def leaves(self, x: Array) -> Iterator[NDArray[np.int64]]:
        for part in self.parts:
            for ends in part.branches.leaves(x):
                goes_on = np.flatnonzero(ends >= self.first_node)
                positions = self.walked(x, goes_on, ends[goes_on] - self.first_node)
                ends[goes_on] = self.numbers(positions)
                yield ends

    def evaluate(self, x: Array) -> Array:
        if self.counters is None:
            return super().evaluate(x)
        words, added, listed = self.counters.counted(self.parts, x, self.n_classes)
        rows, roots = (np.concatenate(one) if one else np.zeros(0, np.int64) for one in (listed.rows, listed.nodes))
        np.add.at(added, rows, self._added_by()[self.numbers(self.walked(x, rows, roots))])
        found = self.counters.outputs(words, added)
        return found.astype(np.uint16 if self.use == "votes" else np.int32)

    def _added_by(self) -> NDArray[np.int64]:
        """What each packed leaf adds to every output."""
        if self.use == "votes":
            return np.eye(self.n_classes, dtype=np.int64)
        pure = np.eye(self.pure, self.n_classes, dtype=np.int64) * self.unit
        return np.concatenate([pure, self.added.reshape(-1, self.n_classes).astype(np.int64)])
