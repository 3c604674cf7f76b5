"""Trees in other shapes than tables of four columns: what all shapes share, and branches of code. Rows are codes, or
floats whose bits branches compare where they stand. Words and bytes: packed_trees.py, compact_trees.py.

At a node a row goes left when its code is at most the node's; the code of a float is its key. All shapes combine the
leaves reached like the plain tree ops: one leaf, votes, a sum in the order of the trees, or totals of integers. Know no
C, files or targets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.codes import CodeElement
from aprgen.ops.trees import float_keys, totals
from aprgen.program import Array, Table, ValueType

RowElement = CodeElement | Literal["f32"]  # floats in branches only
Use = Literal["leaf", "votes", "sum", "totals"]

NEAR = 32  # codes that the short loads of Thumb reach from a pointer
FEW = 8  # codes
REGISTERS = 4  # counters that fit beside pointers to the row in the eight low registers of Thumb


Adds = tuple[tuple[int, int], ...]  # counter and what is added to it


@dataclass(frozen=True, eq=False)
class Branches:
    """Trees that become code: no table of the model, so plain arrays.

    A block reaches what `leaf` says, then passes its splits one after the other; each goes on in one of two blocks,
    which come after it. Trees whose order does not matter share blocks, and `leaf` is then a number in `adds`.
    """

    feature: NDArray[np.int64]
    code: NDArray[np.int64]  # left when x[feature] <= code
    left: NDArray[np.int64]  # blocks
    right: NDArray[np.int64]
    right_first: NDArray[np.bool_]  # which side stands first in the code; the other one may be empty
    first: NDArray[np.int64]  # [blocks + 1], block b has the splits first[b] to first[b + 1] - 1
    leaf: NDArray[np.int64]  # of each block, -1: none
    root: NDArray[np.int64]  # blocks
    depth: int
    adds: tuple[Adds, ...] = ()

    def reached(self, x: Array, root: int) -> Iterator[tuple[NDArray[np.int64], int]]:
        """What the rows reach on from a block: their numbers, and a leaf."""
        waiting = [(root, np.arange(len(x)))]
        while waiting:
            block, rows = waiting.pop()
            if self.leaf[block] >= 0:
                yield rows, int(self.leaf[block])
            for split in range(int(self.first[block]), int(self.first[block + 1])):
                goes_left = x[rows, self.feature[split]] <= self.code[split]
                for side, there in ((self.left, rows[goes_left]), (self.right, rows[~goes_left])):
                    if len(there):
                        waiting.append((int(side[split]), there))

    def leaves(self, x: Array) -> Iterator[NDArray[np.int64]]:
        """For each root, the leaf of every row, where each block has a leaf or one split."""
        for root in self.root.tolist():
            found = np.full(len(x), -1, np.int64)
            for rows, leaf in self.reached(x, root):
                found[rows] = leaf
            yield found


@dataclass(frozen=True)
class Field:
    """Bits of a counter: mask 0 stands for all of them, as a number with a sign."""

    word: int
    shift: int
    mask: int


@dataclass(frozen=True, eq=False)
class Listed:
    """Rows, and the nodes beside them where their walks go on."""

    rows: list[NDArray[np.int64]]
    nodes: list[NDArray[np.int64]]


@dataclass(frozen=True)
class Counters:
    """Words of 32 bits that leaves add to, modulo 2^32, and what they say of each output when all has been added.

    Output c is offset_c + unit * field_c, or offset_c alone without fields; leaves can add to it directly, too, as
    counter `words + c`. In its field a count is proved to have room; on the way there it need not be.
    """

    begin: tuple[int, ...]  # of each word, [0, 2^32)
    fields: tuple[Field, ...]  # by output, or none
    unit: int
    offset: tuple[int, ...]  # by output
    direct: bool  # leaves add to outputs

    @property
    def words(self) -> int:
        return len(self.begin)

    @property
    def n_outputs(self) -> int:
        return len(self.offset)

    @property
    def one_word(self) -> bool:
        return self.words == 1

    @property
    def in_registers(self) -> bool:
        return self.words <= REGISTERS

    def after(self, adds: Mapping[int, int]) -> Counters:
        """These when all that has been added."""
        begin = tuple((word + adds.get(index, 0)) % 2**32 for index, word in enumerate(self.begin))
        offset = tuple(value + adds.get(self.words + index, 0) for index, value in enumerate(self.offset))
        return replace(self, begin=begin, offset=offset)

    def counted(
        self, parts: Sequence[TreePart], x: Array, n_outputs: int
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64], Listed]:
        """Counters [rows, words] behind the parts, what they add directly, and what they list."""
        words = np.tile(np.array(self.begin, np.uint32), (len(x), 1))
        added = np.zeros((len(x), n_outputs), np.int64)
        listed = Listed([], [])
        for part in parts:
            for rows, leaf in part.branches.reached(x, int(part.branches.root[0])):
                for counter, constant in part.branches.adds[leaf]:
                    if counter < self.words:
                        words[rows, counter] += np.uint32(constant)
                    elif counter < self.words + n_outputs:
                        added[rows, counter - self.words] += constant
                    else:
                        listed.rows.append(rows)
                        listed.nodes.append(np.full(len(rows), counter - self.words - n_outputs, np.int64))
        return words, added, listed

    def outputs(self, words: NDArray[np.uint32], added: NDArray[np.int64]) -> NDArray[np.int64]:
        """[rows, outputs] of counters [rows, words] and of what was added directly."""
        found = added + np.array(self.offset, np.int64)
        for output, field in enumerate(self.fields):
            word = words[:, field.word]
            value = word >> np.uint32(field.shift) & np.uint32(field.mask) if field.mask else word.view(np.int32)
            found[:, output] += self.unit * value.astype(np.int64)
        return found


@dataclass(frozen=True, eq=False)
class ShapedTrees(ABC):
    """What the shapes share: the rows they take, and what they make of leaves."""

    use: Use
    n_features: int
    element: RowElement
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
    n_trees: int

    @property
    def wide(self) -> bool:
        """Some code is read through the second pointer."""
        return bool((self.branches.feature >= NEAR).any())


@dataclass(frozen=True, eq=False)
class BranchTrees(ShapedTrees):
    """Every split an `if` with a constant. Codes from NEAR on are read through a second pointer.

    Splits of floats have keys (ops/trees.py), and the C compares the bits of the float with those of the threshold.

    Votes and totals are counted in `counters`, each part one block of joined trees; other trees stand one by one.
    """

    parts: tuple[TreePart, ...]
    counters: Counters | None  # of votes and totals

    @property
    def kernel(self) -> str:
        return f"branch_{self.use}"

    @property
    def near(self) -> int:
        return NEAR

    @property
    def reread(self) -> bool:
        """Whether each split reads its code again, which compilers otherwise keep on the stack for later splits: 72
        bytes were measured. Few codes stay in registers, and floats take no other stack than that."""
        several = self.counters is not None and not self.counters.one_word
        return self.n_features > FEW and (several or self.element != "f32")

    @property
    def n_trees(self) -> int:
        return sum(part.n_trees for part in self.parts)

    def leaves(self, x: Array) -> Iterator[NDArray[np.int64]]:
        for part in self.parts:
            yield from part.branches.leaves(x)

    def evaluate(self, x: Array) -> Array:
        x = float_keys(x) if self.element == "f32" else x
        if self.counters is None:
            return super().evaluate(x)
        words, added, _ = self.counters.counted(self.parts, x, self.n_classes)
        found = self.counters.outputs(words, added)
        return found.astype(np.uint16 if self.use == "votes" else np.int32)
