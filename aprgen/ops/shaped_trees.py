"""Trees in other shapes than tables of four columns: as branches of code, packed into words, or both. Rows are codes,
or floats whose bits branches compare where they stand.

At a node a row goes left when its code is at most the node's; the code of a float is its key. All shapes combine the
leaves reached like the plain tree ops: one leaf, votes, a sum in the order of the trees, or totals of integers. Know no
C, files or targets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
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
