"""Trees of votes or totals as one function each, which ends in a call that counts the leaf.

Knows the leaves and how they add up; knows no C, files or targets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.compact_trees import ENTRY_BYTES, LAST
from aprgen.ops.shaped_trees import NEAR, Branches, ShapedTrees
from aprgen.program import Array, Table, ValueType

EARLY = -1


@dataclass(frozen=True)
class Pair:
    """Leaves that share the unit between two outputs; the first gets what the leaf says."""

    first: int
    second: int


@dataclass(frozen=True)
class Share:
    """A leaf whose first output gets this, and the second one the rest of the unit."""

    pair: int
    first: int


@dataclass(frozen=True, eq=False)
class EndedBranches(Branches):
    """ends: [blocks] which of the functions that do the same counts a leaf of one class, 0 elsewhere; EARLY: a leaf
    near the root, which is counted by a function of its own kind."""

    ends: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True, eq=False)
class CalledTree:
    """root: block of the branches."""

    root: int
    wide: bool  # some code is read through the second pointer


@dataclass(frozen=True, eq=False)
class CalledTrees(ShapedTrees):
    """Leaves of one class add the unit to it; leaves that are shares add some of it to each of a pair; all others are
    rows of entries: output (128 more in the last one) and what is added to it, low byte first. Rows of equal length
    have a function of their own, so that the bound of a tree is that of its own leaves.

    Leaf numbers: classes, then `shares`, then rows. A class is counted by several functions that do the same, `copies`
    of them: jumps to the end of a tree are short when each stretch of its code has an end of its own. What counts a
    leaf takes the pointers to the codes, too, so that they stay in their registers from tree to tree; near a root gcc
    would copy all of them, so leaves there are counted by functions that do not.
    """

    branches: EndedBranches
    trees: tuple[CalledTree, ...]
    copies: tuple[int, ...]  # by class
    pairs: tuple[Pair, ...]
    shares: tuple[Share, ...]
    entries: Table  # u8, of rows
    count_bits: int = 0  # of totals, below all else: units are counted there by ones; 0: units are added as they are

    @property
    def scale(self) -> int:
        """What is added beside units is added this often."""
        return 1 << self.count_bits

    @property
    def below(self) -> int:
        """All bits of counted units."""
        return self.scale - 1

    @property
    def one(self) -> int:
        """What is added for a unit."""
        return 1 if self.count_bits else max(1, self.unit)

    @property
    def kernel(self) -> str:
        return f"called_{self.use}"

    @property
    def near(self) -> int:
        return NEAR

    @property
    def wide(self) -> bool:
        """Some tree reads codes through the second pointer."""
        return any(tree.wide for tree in self.trees)

    @property
    def n_trees(self) -> int:
        return len(self.trees)

    @cached_property
    def begins(self) -> NDArray[np.int64]:
        """Of each row in the entries, ascending."""
        if self.entries.data.size == 0:
            return np.zeros(0, np.int64)
        ended = self.entries.data[::ENTRY_BYTES] >= LAST
        return ENTRY_BYTES * np.concatenate([[0], np.flatnonzero(ended)[:-1] + 1]).astype(np.int64)

    @property
    def places(self) -> tuple[int, ...]:
        return tuple(self.begins.tolist())

    def _ended(self, *, early: bool) -> NDArray[np.int64]:
        """Leaves that some tree reaches, near its root or not."""
        ends = self.branches.ends == EARLY
        return np.unique(self.branches.leaf[(self.branches.leaf >= 0) & (ends if early else ~ends)])

    def _rows(self, *, early: bool) -> tuple[int, ...]:
        """Lengths of rows that functions add."""
        numbers = self._ended(early=early) - self.n_classes - len(self.shares)
        return tuple(sorted({self.lengths[one] for one in numbers.tolist() if one >= 0}))

    def _pairs(self, *, early: bool) -> tuple[Pair, ...]:
        numbers = self._ended(early=early) - self.n_classes
        used = {self.shares[one].pair for one in numbers.tolist() if 0 <= one < len(self.shares)}
        return tuple(self.pairs[one] for one in sorted(used))

    @property
    def early_rows(self) -> tuple[int, ...]:
        return self._rows(early=True)

    @property
    def late_rows(self) -> tuple[int, ...]:
        return self._rows(early=False)

    @property
    def early_pairs(self) -> tuple[Pair, ...]:
        return self._pairs(early=True)

    @property
    def late_pairs(self) -> tuple[Pair, ...]:
        return self._pairs(early=False)

    @property
    def early_classes(self) -> tuple[int, ...]:
        return tuple(one for one in self._ended(early=True).tolist() if one < self.n_classes)

    @property
    def lengths(self) -> tuple[int, ...]:
        return self._lengths

    @cached_property
    def _lengths(self) -> tuple[int, ...]:
        """Entries of each row, or of the longest one with the same function: two leaves call each, since gcc compiles
        what is called once for size, with more registers."""
        own = np.diff(np.append(self.begins, self.entries.data.size)) // ENTRY_BYTES
        rows = self.branches.leaf[self.branches.ends != EARLY] - self.n_classes - len(self.shares)
        calls = np.bincount(own[rows[rows >= 0]], minlength=int(own.max(initial=0)) + 1)
        ends: list[int] = []
        called = 0
        for length in np.flatnonzero(calls).tolist():
            called += int(calls[length])
            if called > 1:
                ends.append(length)
                called = 0
        longest = int(own.max(initial=0))
        ends = [*ends[: len(ends) - (called > 0)], longest]
        return tuple(next(end for end in ends if end >= length) for length in own.tolist())

    @property
    def added(self) -> Array:
        """[shares and rows, n_classes], flat."""
        of_shares = np.zeros((len(self.shares), self.n_classes), np.int64)
        for number, share in enumerate(self.shares):
            pair = self.pairs[share.pair]
            of_shares[number, [pair.first, pair.second]] = share.first, self.unit - share.first
        entries = self.entries.data.reshape(-1, ENTRY_BYTES).astype(np.int64)
        of_rows = np.zeros((len(self.begins), self.n_classes), np.int64)
        row = np.searchsorted(self.begins // ENTRY_BYTES, np.arange(len(entries)), side="right") - 1
        of_rows[row, entries[:, 0] % LAST] = entries[:, 1] + 256 * entries[:, 2]
        return np.concatenate([of_shares, of_rows]).reshape(-1)

    def result(self, x: ValueType) -> ValueType:
        if self._fault:
            raise ValueError(self._fault)
        return super().result(x)

    @property
    def _fault(self) -> str:
        """What is wrong: with entries, with what shares a unit, or with where trees end."""
        entries = self.entries.data
        if entries.size % ENTRY_BYTES or (entries.size and entries[-ENTRY_BYTES] < LAST):
            return "the last row of entries has no end"
        if entries.size and (entries[::ENTRY_BYTES] % LAST).max() >= self.n_classes:
            return "an entry adds to an output that there is not"
        for share in self.shares:
            pair = self.pairs[share.pair]
            if not (0 <= share.first <= self.unit and pair.first != pair.second):
                return "a leaf shares more than the unit"
        leaf, ends = self.branches.leaf, self.branches.ends
        if leaf.max(initial=-1) >= self.n_classes + len(self.shares) + len(self.begins):
            return "a tree ends in a leaf that there is not"
        of_class = (leaf >= 0) & (leaf < self.n_classes)
        if (ends[of_class] >= np.array(self.copies, np.int64)[leaf[of_class]]).any() or ends.min(initial=0) < EARLY:
            return "a tree ends in a function that there is not"
        return ""

    def leaves(self, x: Array) -> Iterator[NDArray[np.int64]]:
        roots = np.array([tree.root for tree in self.trees], np.int64)
        yield from replace(self.branches, root=roots).leaves(x)
