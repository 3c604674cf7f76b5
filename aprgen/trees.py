"""A binary decision tree as arrays, and the payload codec that reads and writes it.

Nodes are in pre-order, left child first, so a child always has a larger index than its parent. Reading and writing use
an explicit stack: a hostile depth costs no recursion. Knows nothing of what the leaves mean.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aprgen.container.cursor import Cursor
from aprgen.errors import PayloadError

LEAF = -1

LeafKind = Literal["label", "value"]


@dataclass(frozen=True, eq=False)
class Tree:
    """feature is LEAF at a leaf; left and right are node indices; leaf_label or leaf_value is set at leaves."""

    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    leaf_label: NDArray[np.int64]
    leaf_value: NDArray[np.float32]
    n_samples: NDArray[np.int64]

    @property
    def n_nodes(self) -> int:
        return len(self.feature)

    @property
    def is_leaf(self) -> NDArray[np.bool_]:
        return np.equal(self.feature, LEAF)

    @property
    def n_leaves(self) -> int:
        return int(np.count_nonzero(self.is_leaf))

    def depths(self) -> NDArray[np.int64]:
        """Edges from the root to each node."""
        depth = np.zeros(self.n_nodes, np.int64)
        for node in range(self.n_nodes):  # parents come first
            if self.feature[node] != LEAF:
                depth[self.left[node]] = depth[self.right[node]] = depth[node] + 1
        return depth

    @property
    def depth(self) -> int:
        return int(self.depths().max(initial=0))

    @property
    def max_feature(self) -> int:
        """Largest feature index that a node reads; -1 for a tree of one leaf."""
        return int(self.feature.max(initial=LEAF))

    def walk(self, rows: NDArray[np.float32], *, strict: bool = False) -> NDArray[np.int64]:
        """The node at which each row ends; left when x <= threshold (x < threshold when strict), else right."""
        at = np.zeros(len(rows), np.int64)
        index = np.arange(len(rows))
        while True:
            inner = self.feature[at] != LEAF
            if not inner.any():
                return at
            x = rows[index, np.where(inner, self.feature[at], 0)]
            left = x < self.threshold[at] if strict else x <= self.threshold[at]
            at = np.where(inner, np.where(left, self.left[at], self.right[at]), at)


class TreeBuilder:
    """Collects nodes in pre-order and gives the Tree; plain typed arrays, so a node costs 44 bytes."""

    def __init__(self) -> None:
        self.feature = array("q")
        self.threshold = array("f")
        self.left = array("q")
        self.right = array("q")
        self.label = array("q")
        self.value = array("f")
        self.samples = array("q")

    def __len__(self) -> int:
        return len(self.feature)

    def add(self, feature: int, threshold: float, label: int = 0, value: float = 0.0, samples: int = 0) -> int:
        self.feature.append(feature)
        self.threshold.append(threshold)
        self.left.append(LEAF)
        self.right.append(LEAF)
        self.label.append(label)
        self.value.append(value)
        self.samples.append(samples)
        return len(self.feature) - 1

    def leaf(self, label: int = 0, value: float = 0.0, samples: int = 0) -> int:
        return self.add(LEAF, 0.0, label, value, samples)

    def build(self) -> Tree:
        return Tree(
            np.array(self.feature, np.int64),
            np.array(self.threshold, np.float32),
            np.array(self.left, np.int64),
            np.array(self.right, np.int64),
            np.array(self.label, np.int64),
            np.array(self.value, np.float32),
            np.array(self.samples, np.int64),
        )


def check_size(cursor: Cursor, depth: int, n_nodes: int) -> None:
    """Refuse a tree that no device would hold, before it costs time and memory."""
    if depth > cursor.limits.tree_depth or n_nodes >= cursor.limits.tree_nodes:
        raise cursor.error(
            "payload.tree",
            f"a tree has more than {cursor.limits.tree_depth} levels or {cursor.limits.tree_nodes} nodes",
            hint="the file is damaged, or no model for a small device",
        )


@dataclass(frozen=True)
class TreeCodec:
    """enum { Node { feature u64, threshold f32, left, right }, Leaf { label u64 | value f32, n_samples u64 } }."""

    leaf: LeafKind
    min_bytes: int = 16

    def decode(self, cursor: Cursor) -> Tree:
        builder = TreeBuilder()
        waiting: list[tuple[int, bool, int]] = [(-1, False, 0)]  # parent, is this its right child, depth
        while waiting:
            parent, is_right, depth = waiting.pop()
            check_size(cursor, depth, len(builder))
            start = cursor.position
            kind = cursor.u32()
            if kind == 0:
                at = builder.add(small(cursor, "feature index"), cursor.f32())
                waiting += [(at, True, depth + 1), (at, False, depth + 1)]
            elif kind == 1 and self.leaf == "label":
                label = small(cursor, "class label")
                at = builder.leaf(label=label, samples=small(cursor, "sample count"))
            elif kind == 1:
                value = cursor.f32()
                at = builder.leaf(value=value, samples=small(cursor, "sample count"))
            else:
                raise cursor.error("payload.tree", f"a tree node has kind {kind}; 0 is a split, 1 a leaf", at=start)
            if parent >= 0:
                (builder.right if is_right else builder.left)[parent] = at
        return builder.build()

    def encode(self, value: Tree, out: bytearray) -> None:
        waiting = [0]
        while waiting:
            node = waiting.pop()
            if value.feature[node] != LEAF:
                out += (0).to_bytes(4, "little") + int(value.feature[node]).to_bytes(8, "little")
                out += np.float32(value.threshold[node]).tobytes()
                waiting += [int(value.right[node]), int(value.left[node])]
                continue
            out += (1).to_bytes(4, "little")
            if self.leaf == "label":
                out += int(value.leaf_label[node]).to_bytes(8, "little")
            else:
                out += np.float32(value.leaf_value[node]).tobytes()
            out += int(value.n_samples[node]).to_bytes(8, "little")


@dataclass(frozen=True)
class IsolationTreeCodec:
    """struct INode { split_feature u64?, split_value f32?, left?, right?, size u64 }; a leaf has all four none.

    The size comes after both children, so it is read when a node is left.
    """

    min_bytes: int = 12

    def decode(self, cursor: Cursor) -> Tree:
        builder = TreeBuilder()
        path: list[tuple[int, bool]] = []  # splits above, and whether their left child is done
        while True:
            check_size(cursor, len(path), len(builder))
            start = cursor.position
            feature = small(cursor, "feature index") if cursor.boolean() else None
            value = cursor.f32() if cursor.boolean() else None
            has_child = cursor.boolean()
            if (feature is None) != (value is None) or (feature is None) == has_child:
                raise self._half(cursor, start)
            if feature is not None and value is not None:
                path.append((builder.add(feature, value), False))
                continue
            if cursor.boolean():
                raise self._half(cursor, start)
            at = builder.leaf(samples=small(cursor, "size"))
            while path:
                parent, left_done = path.pop()
                if not left_done:
                    builder.left[parent] = at
                    if not cursor.boolean():
                        raise self._half(cursor, cursor.position - 1)
                    path.append((parent, True))
                    break
                builder.right[parent] = at
                builder.samples[parent] = small(cursor, "size")
                at = parent
            if not path:
                return builder.build()

    @staticmethod
    def _half(cursor: Cursor, at: int) -> PayloadError:
        return cursor.error("payload.tree", "an isolation tree node is neither a whole split nor a leaf", at=at)

    def encode(self, value: Tree, out: bytearray) -> None:
        waiting: list[tuple[int, str]] = [(0, "open")]
        while waiting:
            node, action = waiting.pop()
            size = int(value.n_samples[node]).to_bytes(8, "little")
            if action == "right":
                out += b"\1"
            elif action == "close":
                out += size
            elif value.feature[node] == LEAF:
                out += b"\0\0\0\0" + size
            else:
                out += b"\1" + int(value.feature[node]).to_bytes(8, "little")
                out += b"\1" + np.float32(value.threshold[node]).tobytes() + b"\1"
                right, left = int(value.right[node]), int(value.left[node])
                waiting += [(node, "close"), (right, "open"), (node, "right"), (left, "open")]


def small(cursor: Cursor, what: str) -> int:
    """A u64 that any sane model keeps below 2^31; larger ones would not fit the C types."""
    start = cursor.position
    value = cursor.u64()
    if value >= 2**31:
        raise cursor.error("payload.range", f"the {what} is {value}, above 2147483647", at=start)
    return value
