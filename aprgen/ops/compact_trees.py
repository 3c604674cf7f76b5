"""Trees of votes or totals as branches where most rows pass, and as three bytes a split everywhere else.

Knows the bytes of a split and how the leaves add up; knows no C, files or targets.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.shaped_trees import NEAR, Branches, Field, ShapedTrees
from aprgen.program import Array, Table, ValueType

MOST_CLASSES = 14  # two more say that a leaf is a row
MOST_FEATURES = 64
MOST_CODE = 255  # of a split
WORDS = 2  # that count leaves of one class, in registers beside the pointers
UNIT_BYTES = 2  # where branches end, bytes begin at multiples of it
SPLIT_BYTES = 3
ENTRY_BYTES = 3
LAST = 128  # of an entry's output: no other entry follows
LEFT_ENDS, RIGHT_ENDS = 64, 128  # beside a feature
FIRST_ROW, SECOND_ROW = MOST_CLASSES, MOST_CLASSES + 1  # leaves of a split whose sides are both leaves


def fields_of(n_classes: int) -> tuple[Field, ...]:
    """Where each class is counted, evenly in the words."""
    per_word = -(-n_classes // WORDS)
    width = min(31, 32 // per_word)
    return tuple(Field(c // per_word, width * (c % per_word), (1 << width) - 1) for c in range(n_classes))


def _blocks_below(branches: Branches, root: int) -> NDArray[np.int64]:
    """The blocks that a tree reaches; they come after its root."""
    found = {root}
    waiting = [root]
    while waiting:
        block = waiting.pop()
        splits = slice(int(branches.first[block]), int(branches.first[block + 1]))
        sides = {*branches.left[splits].tolist(), *branches.right[splits].tolist()} - found
        found |= sides
        waiting += sides
    return np.array(sorted(found), np.int64)


@dataclass(frozen=True, eq=False)
class CompactTree:
    """root: block of the branches. base: what a number above 0 that branches end with is moved by, to count units."""

    root: int
    base: int
    goes_on: bool  # some branches end in bytes


@dataclass(frozen=True, eq=False)
class CompactPart:
    """Trees that stand in one function, at most as many as a field counts. A leaf from n_classes on is a number."""

    branches: Branches
    trees: tuple[CompactTree, ...]

    @property
    def n_trees(self) -> int:
        return len(self.trees)

    @property
    def goes_on(self) -> bool:
        """Some of them do."""
        return any(tree.goes_on for tree in self.trees)

    @property
    def wide(self) -> bool:
        """Some code is read through the second pointer."""
        return bool((self.branches.feature >= NEAR).any())


@dataclass(frozen=True, eq=False)
class CompactTrees(ShapedTrees):
    """Leaves of one class add the unit to it; leaves that are rows stand in bytes only.

    A split in bytes is feature and two flags (64: the left side is a leaf, 128: the right one), the code, and a place.
    Its left side follows, or its right side when the left one is a leaf. The place says
      with no leaf    how many bytes behind the left one the right side stands,
      with one leaf   its class, or 14 more than how many bytes behind the split its row is named,
      with two        the class of the left one in the upper half, of the right one in the lower half; 14: its row is
                      named behind the split, 15: behind that of the left one.
    A row is named by the byte, low and high, where its entries begin: output (128 more in the last one) and what is
    added to it, low byte first.
    """

    nodes: Table  # u8
    entries: Table  # u8, of rows
    fields: tuple[Field, ...]  # where leaves of a class are counted, part by part
    parts: tuple[CompactPart, ...]
    depth: int  # splits in bytes that a row passes in one tree at most
    longest: int  # entries of a row at most

    @property
    def kernel(self) -> str:
        return f"compact_{self.use}"

    @property
    def near(self) -> int:
        return NEAR

    @property
    def has_sign(self) -> bool:
        """Whether codes can be below 0."""
        return self.element in ("i8", "i16")

    @property
    def n_trees(self) -> int:
        return sum(part.n_trees for part in self.parts)

    @property
    def begins(self) -> NDArray[np.int64]:
        """Of each row in the entries, ascending."""
        if self.entries.data.size == 0:
            return np.zeros(0, np.int64)
        ended = self.entries.data[::ENTRY_BYTES] >= LAST
        return ENTRY_BYTES * np.concatenate([[0], np.flatnonzero(ended)[:-1] + 1]).astype(np.int64)

    @property
    def added(self) -> Array:
        """[rows, n_classes], flat."""
        entries = self.entries.data.reshape(-1, ENTRY_BYTES).astype(np.int64)
        rows = np.zeros((len(self.begins), self.n_classes), np.int64)
        number = np.searchsorted(self.begins // ENTRY_BYTES, np.arange(len(entries)), side="right") - 1
        rows[number, entries[:, 0] % LAST] = entries[:, 1] + 256 * entries[:, 2]
        return rows.reshape(-1)

    def result(self, x: ValueType) -> ValueType:
        if self._fault:
            raise ValueError(self._fault)
        return super().result(x)

    def starts(self) -> NDArray[np.int64]:
        """The splits in bytes with which branches end, ascending, by their first byte."""
        found = [np.zeros(0, np.int64)]
        for part in self.parts:
            blocks = part.branches
            for tree in part.trees:
                ends = blocks.leaf[_blocks_below(blocks, tree.root)]
                found.append(UNIT_BYTES * (ends[ends >= self.n_classes] - self.n_classes + tree.base))
        return np.unique(np.concatenate(found))

    @cached_property
    def _fault(self) -> str:
        """What would take a walk out of the bytes or beyond `depth` splits; nothing when all is well, as it must be."""
        entries = self.entries.data.reshape(-1, ENTRY_BYTES)
        if len(entries) and (entries[-1, 0] < LAST or int((entries[:, 0] % LAST).max()) >= self.n_classes):
            return "entries of rows do not end, or name an output that is not there"
        places = [*self.begins.tolist(), self.entries.data.size]
        if any(second - first > ENTRY_BYTES * self.longest for first, second in itertools.pairwise(places)):
            return f"a row has more than {self.longest} entries"
        rows, data = set(places[:-1]), self.nodes.data.tolist()
        waiting, steps = [(int(at), 1) for at in self.starts()], dict[int, int]()
        while waiting:
            at, step = waiting.pop()
            if steps.get(at, 0) >= step:
                continue
            steps[at] = step
            if step > self.depth:
                return f"a walk takes more than {self.depth} splits"
            if not 0 <= at <= len(data) - SPLIT_BYTES:
                return f"a split stands at byte {at} of {len(data)}"
            head, _, place = data[at : at + SPLIT_BYTES]
            flags = head - head % MOST_FEATURES
            if head % MOST_FEATURES >= self.n_features:
                return f"a split reads code {head % MOST_FEATURES} of {self.n_features}"
            both = flags == LEFT_ENDS + RIGHT_ENDS
            leaves = (place // 16, place % 16) if both else (place,) if flags else ()
            if not all(self._is_leaf(data, at + SPLIT_BYTES, leaf, both, rows) for leaf in leaves):
                return f"a leaf of the split at byte {at} is no class and no row"
            if not both:
                waiting.append((at + SPLIT_BYTES, step + 1))
            if not flags:
                waiting.append((at + SPLIT_BYTES + place, step + 1))
        return ""

    def _is_leaf(self, data: list[int], behind: int, leaf: int, both: bool, rows: set[int]) -> bool:
        """Whether it is a class, or its row is named where it says. behind: the byte after the split."""
        if leaf < MOST_CLASSES:
            return leaf < self.n_classes
        named = behind + (leaf - FIRST_ROW) * (2 if both else 1)
        return named + 1 < len(data) and data[named] + 256 * data[named + 1] in rows

    def leaves(self, x: Array) -> Iterator[NDArray[np.int64]]:
        begins = self.begins
        for part in self.parts:
            for tree, ends in zip(part.trees, part.branches.leaves(x), strict=True):
                goes_on = np.flatnonzero(ends >= self.n_classes)
                starts = UNIT_BYTES * (ends[goes_on] - self.n_classes + tree.base)
                ends[goes_on] = self._walked(x[goes_on].astype(np.int64), starts, begins)
                yield ends

    def _walked(self, x: NDArray[np.int64], at: NDArray[np.int64], begins: NDArray[np.int64]) -> NDArray[np.int64]:
        """The leaf that each row reaches from its split, whose first byte is at."""
        bytes_of = np.append(self.nodes.data.astype(np.int64), np.zeros(2, np.int64))
        at = at.copy()
        found = np.full(len(x), -1, np.int64)
        waiting = np.arange(len(x))
        while len(waiting):
            node = at[waiting]
            head, code, place = (bytes_of[node + index] for index in range(SPLIT_BYTES))
            right = x[waiting, head % MOST_FEATURES] > code
            flags = head - head % MOST_FEATURES
            both = flags == LEFT_ENDS + RIGHT_ENDS
            ended = np.where(right, flags & RIGHT_ENDS, flags & LEFT_ENDS) > 0
            leaf = np.where(both, np.where(right, place % 16, place // 16), place)
            behind = np.where(both, 2 * (leaf - FIRST_ROW), leaf - FIRST_ROW)
            named = node + np.where(leaf < MOST_CLASSES, 0, SPLIT_BYTES + behind)
            row = np.searchsorted(begins, bytes_of[named] + 256 * bytes_of[named + 1])
            found[waiting[ended]] = np.where(leaf < MOST_CLASSES, leaf, self.n_classes + row)[ended]
            at[waiting] = node + SPLIT_BYTES + np.where(right & (flags == 0), place, 0)
            waiting = waiting[~ended]
        return found
