"""Tree ops: walk binary decision trees stored as node tables and combine the leaves reached.

At a node a row goes left when x[feature] <= threshold, else right; a NaN goes right, or where the node says. Floats are
compared, or order-preserving int32 keys, which is exact and needs no floating-point unit; keys are made once per row,
or late, of the values that a walk meets. A row can be integers from the start: codes. Know no C, files or targets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from aprgen.program import Array, Element, Table, ValueType

# Thresholds are floats, keys, or codes (i8 or i16, as the row is then); the row is floats but for key and code.
Compare = Literal["f32", "key", "late_key", "code"]

NAN_KEY = np.int32(2**31 - 1)  # above the key of +infinity, so a NaN goes right
NEVER_KEY = np.int32(-(2**31))  # below the key of -infinity: as a threshold, everything goes right


def float_keys(values: Array) -> NDArray[np.int32]:
    """Integers in the order of the floats: a <= b exactly when key(a) <= key(b). Zeros share a key, NaNs are last.

    The usual order-preserving map: the bits as int32, with all but the sign bit flipped when negative.
    """
    floats = np.asarray(values, dtype=np.float32) + np.float32(0)  # -0.0 + 0.0 = +0.0
    bits = floats.view(np.int32)
    keys = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
    return np.where(np.isnan(floats), NAN_KEY, keys).astype(np.int32)


def threshold_keys(thresholds: Array) -> NDArray[np.int32]:
    """Keys of thresholds; a NaN threshold is never reached, so everything goes right."""
    keys = float_keys(thresholds)
    return np.where(np.isnan(thresholds), NEVER_KEY, keys).astype(np.int32)


@dataclass(frozen=True, eq=False)
class FloatKeys:
    """y_i = float_keys(x[columns_i]): the features that the trees read, as comparable integers."""

    n_in: int
    columns: Table | None  # integers [n_out]; None: every column in its order
    headers = ()

    @property
    def kernel(self) -> str:
        return "float_keys_i32"

    def result(self, x: ValueType) -> ValueType:
        if x != ValueType("f32", self.n_in):
            raise ValueError(f"float keys take f32[{self.n_in}], not {x}")
        return ValueType("i32", self.n_in if self.columns is None else len(self.columns.data))

    def evaluate(self, x: Array) -> Array:
        return float_keys(x if self.columns is None else x[:, self.columns.data])


@dataclass(frozen=True, eq=False)
class Nodes:
    """Internal nodes of all trees in one set of tables.

    A reference >= 0 is a node, a reference < 0 is the leaf ~reference. Children come after their parent, so every walk
    ends; `depth` bounds its steps.
    """

    feature: Table  # unsigned [nodes], column of the row
    threshold: Table  # f32, i32 keys, or i8 or i16 codes [nodes]
    left: Table  # int16 or int32 [nodes], references
    right: Table  # as left
    root: Table  # as left [trees]
    depth: int  # most internal nodes on any path
    missing_left: Table | None = None  # u8 [nodes], 1 where a NaN goes left; passes/missing.py leaves none

    @property
    def n_trees(self) -> int:
        return len(self.root.data)

    @property
    def n_nodes(self) -> int:
        return len(self.feature.data)

    def check(self, n_features: int) -> None:
        """Raise ValueError unless every walk stays inside the tables and ends. A failure is our own mistake."""
        if self.n_nodes and int(self.feature.data.max()) >= n_features:
            raise ValueError(f"a node reads feature {int(self.feature.data.max())} of {n_features}")
        if len(self.root.data) and int(self.root.data.max()) >= max(self.n_nodes, 1):
            raise ValueError(f"a tree starts at node {int(self.root.data.max())} of {self.n_nodes}")
        here = np.arange(self.n_nodes)
        for children in (self.left.data.astype(np.int64), self.right.data.astype(np.int64)):
            wrong = (children >= 0) & ((children <= here) | (children >= self.n_nodes))
            if wrong.any():
                at = int(np.argmax(wrong))
                raise ValueError(f"node {at} of {self.n_nodes} has child {int(children[at])}")
        if self.missing_left is not None and np.isnan(self.threshold.data[self.missing_left.data != 0]).any():
            raise ValueError("a node without a threshold sends missing values left")

    def walk(self, x: Array) -> Iterator[NDArray[np.int64]]:
        """For each tree, the leaf of every row."""
        rows = np.arange(len(x))
        for root in self.root.data:
            at = np.full(len(x), int(root), np.int64)
            for _ in range(self.depth):
                inner = at >= 0
                if not inner.any():
                    break
                node = np.where(inner, at, 0)
                value = x[rows, self.feature.data[node]]
                left = value <= self.threshold.data[node]
                if self.missing_left is not None:
                    left = left | (np.isnan(value) & (self.missing_left.data[node] != 0))
                child = np.where(left, self.left.data[node], self.right.data[node])
                at = np.where(inner, child, at)
            yield ~at

    def with_keys(self, column_of: NDArray[np.int64]) -> Nodes:
        """The same trees comparing keys, with features renumbered by column_of."""
        features = column_of[self.feature.data]
        return replace(
            self,
            feature=Table(features.astype(np.min_scalar_type(int(features.max(initial=0))))),
            threshold=Table(threshold_keys(self.threshold.data)),
        )


@dataclass(frozen=True, eq=False)
class TreeOp(ABC):
    """What the four tree ops share: the nodes, and what they compare."""

    nodes: Nodes
    n_features: int
    compare: Compare

    headers = ()

    @property
    @abstractmethod
    def kernel(self) -> str:
        ...

    @abstractmethod
    def result(self, x: ValueType) -> ValueType:
        ...

    @abstractmethod
    def evaluate(self, x: Array) -> Array:
        ...

    @property
    def element(self) -> Element:
        """Of the row."""
        if self.compare == "code":
            return "i8" if self.nodes.threshold.data.dtype == np.int8 else "i16"
        return "i32" if self.compare == "key" else "f32"

    def takes(self, x: ValueType) -> None:
        wanted = ValueType(self.element, self.n_features)
        if x != wanted:
            raise ValueError(f"trees take {wanted}, not {x}")
        self.nodes.check(self.n_features)

    def reading(self, n_features: int) -> Self:
        """The same trees on wider rows, of which they read the first columns."""
        return replace(self, n_features=n_features)

    def leaves(self, x: Array) -> Iterator[NDArray[np.int64]]:
        """For each tree, the leaf of every row."""
        return self.nodes.walk(float_keys(x) if self.compare == "late_key" else x)

    @property
    def walk_kernel(self) -> str:
        """Template of the walk that the kernel includes; trees that are all leaves need none."""
        return f"tree_walk_{self.compare}.c.j2"

    @property
    def n_trees(self) -> int:
        return self.nodes.n_trees


@dataclass(frozen=True, eq=False)
class TreeLeaf(TreeOp):
    """The leaf that one tree reaches: y = leaf index."""

    @property
    def kernel(self) -> str:
        return "tree_leaf"

    def result(self, x: ValueType) -> ValueType:
        self.takes(x)
        return ValueType("i32", 1)

    def evaluate(self, x: Array) -> Array:
        (leaf,) = self.leaves(x)
        return leaf.astype(np.int32).reshape(-1, 1)


@dataclass(frozen=True, eq=False)
class TreeVotes(TreeOp):
    """One vote per tree: y_c = number of trees whose leaf says class position c. Leaves are class positions."""

    n_classes: int

    @property
    def kernel(self) -> str:
        return "tree_votes"

    def result(self, x: ValueType) -> ValueType:
        self.takes(x)
        return ValueType("u16", self.n_classes)

    def evaluate(self, x: Array) -> Array:
        votes = np.zeros((len(x), self.n_classes), np.uint16)
        rows = np.arange(len(x))
        for leaf in self.leaves(x):
            votes[rows, leaf] += np.uint16(1)
        return votes


@dataclass(frozen=True, eq=False)
class TreeSum(TreeOp):
    """y = start + value of the leaf of tree 0 + value of the leaf of tree 1 + ..., one rounding per addition."""

    values: Table  # f32 [leaves]
    start: float

    @property
    def kernel(self) -> str:
        return "tree_sum"

    def result(self, x: ValueType) -> ValueType:
        self.takes(x)
        return ValueType("f32", 1)

    def evaluate(self, x: Array) -> Array:
        total = np.full(len(x), np.float32(self.start), np.float32)
        for leaf in self.leaves(x):
            total += self.values.data[leaf]
        return total.reshape(-1, 1)


@dataclass(frozen=True, eq=False)
class TreeTotals(TreeOp):
    """y_c = start + what the leaf of each tree adds to output c, in integers, so the order of trees does not matter.

    With a unit, the leaves 0 to n_outputs - 1 add it to the output of their number; the rows of values are the leaves
    that follow. Totals stay within 32 bits whatever the leaves are.
    """

    values: Table  # i16 or i32 [leaves, n_outputs]
    start: int
    n_outputs: int
    unit: int = 0

    @property
    def kernel(self) -> str:
        return "tree_totals"

    @property
    def single(self) -> bool:
        return self.n_outputs == 1

    @property
    def first(self) -> int:
        """Where totals start, by the name that templates of all shapes use."""
        return self.start

    @property
    def pure(self) -> int:
        """Leaves that only add the unit."""
        return self.n_outputs if self.unit else 0

    def result(self, x: ValueType) -> ValueType:
        self.takes(x)
        rows = self.values.data.reshape(-1, self.n_outputs).astype(np.int64)
        furthest = self.n_trees * max(abs(self.unit), int(np.abs(rows).max(initial=0))) + abs(self.start)
        if furthest > np.iinfo(np.int32).max or (self.single and self.unit):
            raise ValueError(f"totals reach {furthest}, beyond 32 bits, or the unit has one output only")
        return ValueType("i32", self.n_outputs)

    def evaluate(self, x: Array) -> Array:
        return totals(self.leaves(x), self.values.data, self.start, self.n_outputs, self.unit, len(x))


def totals(
    leaves: Iterator[NDArray[np.int64]], values: Array, start: int, n_outputs: int, unit: int, n_rows: int
) -> Array:
    """What TreeTotals adds up, from the leaf of every row in each tree."""
    ones = np.eye(n_outputs, dtype=np.int64) * unit if unit else np.zeros((0, n_outputs), np.int64)
    every = np.concatenate([ones, values.reshape(-1, n_outputs).astype(np.int64)])
    total = np.full((n_rows, n_outputs), start, np.int64)
    for leaf in leaves:
        total += every[leaf]
    return total.astype(np.int32)
