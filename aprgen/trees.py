"""A binary decision tree as arrays, and the payload codec that reads and writes it.

Nodes are in pre-order, left child first, so a child always has a larger index than its parent. Reading and writing use
an explicit stack: a hostile depth costs no recursion. Knows nothing of what the leaves mean.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

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

    def levels(self) -> Iterator[NDArray[np.int64]]:
        """The nodes of each level, the root's first; as many levels as the tree is deep, plus one."""
        level = np.zeros(1, np.int64)
        while len(level):
            yield level
            split = level[self.feature[level] != LEAF]
            level = np.concatenate([self.left[split], self.right[split]])

    def depths(self) -> NDArray[np.int64]:
        """Edges from the root to each node."""
        depth = np.zeros(self.n_nodes, np.int64)
        for edges, nodes in enumerate(self.levels()):
            depth[nodes] = edges
        return depth

    @property
    def depth(self) -> int:
        return sum(1 for _ in self.levels()) - 1

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


class LateTree(Tree):
    """A tree that is read when it is walked, or anything else is asked of it; and then kept."""

    def __init__(self, read: Callable[[], Tree]) -> None:
        object.__setattr__(self, "_read", read)

    def __getattr__(self, name: str) -> Any:
        """Only for what is not there yet."""
        if name not in Tree.__dataclass_fields__:
            raise AttributeError(name)
        tree = self._read()
        for field in Tree.__dataclass_fields__:
            object.__setattr__(self, field, getattr(tree, field))
        return getattr(self, name)

    @property
    def is_read(self) -> bool:
        return "feature" in vars(self)


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


TREE_BYTES = 1_600  # of memory, of the arrays of a tree without their numbers
KEPT_NODE_BYTES = 48
TREE_COST = 24  # items that a tree counts against Limits.payload_items: its arrays cost time even for one leaf

_U64 = struct.Struct("<Q")
_ISOLATION_SPLIT = struct.Struct("<BQBfB")  # some feature, some value, some left child
_ISOLATION_LEAF = struct.Struct("<IQ")  # four times none, size
_U64_WORDS = 2
_SPLIT_WORDS = 4  # kind, feature u64, threshold
_LEAF_WORDS: dict[LeafKind, int] = {"label": 5, "value": 4}  # kind, label u64 or value f32, n_samples u64


def tree_of(decode: Callable[[Cursor], Tree], cursor: Cursor) -> Tree:
    """The next tree; where the payload can be read again later, only its place, once it has shown to be sound."""
    start, origin, limits = cursor.position, cursor.origin, cursor.limits
    taken = limits.taken
    tree = decode(cursor)
    stop, kept = cursor.position, TREE_BYTES + KEPT_NODE_BYTES * tree.n_nodes
    if origin is None:
        limits.give_back(min(limits.taken, taken + kept))
        return tree
    limits.give_back(min(limits.taken, taken + TREE_BYTES))

    def again() -> Tree:
        taken = limits.taken
        read = decode(Cursor(origin.read(start, stop), limits))
        limits.give_back(min(limits.taken, taken + kept))
        return read

    return LateTree(again)


def checked_depth(tree: Tree, cursor: Cursor, start: int) -> Tree:
    """The tree, unless it has more levels than the limit: a walk's time and a device's patience end somewhere."""
    limit = cursor.limits.tree_depth
    if any(edges > limit for edges, _ in enumerate(tree.levels())):
        raise cursor.error(
            "payload.tree",
            f"a tree has more than {limit} levels",
            at=start,
            hint="the file is damaged, or no model for a small device",
        )
    return tree


def children(is_leaf: NDArray[np.bool_], right_of: array[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Left and right child of every node in pre-order.

    A left child follows its parent. A right child follows a leaf: right_of[i] is the parent of the node after leaf i.
    """
    n_nodes = len(is_leaf)
    right = np.full(n_nodes, LEAF, np.int64)
    right[np.array(right_of, np.int64)] = np.flatnonzero(is_leaf)[:-1] + 1
    return np.where(is_leaf, LEAF, np.arange(1, n_nodes + 1)), right


@dataclass(frozen=True)
class TreeCodec:
    """enum { Node { feature u64, threshold f32, left, right }, Leaf { label u64 | value f32, n_samples u64 } }.

    All fields are whole 32-bit words, so a short loop finds where nodes start and numpy reads the fields.
    """

    leaf: LeafKind
    min_bytes: int = 16

    def decode(self, cursor: Cursor) -> Tree:
        return tree_of(self._decode, cursor)

    def _decode(self, cursor: Cursor) -> Tree:
        start = cursor.position
        cursor.charge(TREE_COST)
        places, right_of = self._places(cursor)
        words = np.frombuffer(cursor.data, "<u4", places[-1] + _LEAF_WORDS[self.leaf], start)
        at = np.array(places, np.int64)
        cursor.take(words.nbytes)
        is_leaf = words[at] == 1
        n_nodes = len(at)
        leaf, split = np.flatnonzero(is_leaf), np.flatnonzero(~is_leaf)
        feature, samples, label = (np.full(n_nodes, value, np.int64) for value in (LEAF, 0, 0))
        threshold, value = np.zeros(n_nodes, np.float32), np.zeros(n_nodes, np.float32)
        feature[split] = _u64s(cursor, "feature index", words, at[split] + 1, start)
        threshold[split] = words[at[split] + 1 + _U64_WORDS].view(np.float32)
        if self.leaf == "label":
            label[leaf] = _u64s(cursor, "class label", words, at[leaf] + 1, start)
            samples[leaf] = _u64s(cursor, "sample count", words, at[leaf] + 1 + _U64_WORDS, start)
        else:
            value[leaf] = words[at[leaf] + 1].view(np.float32)
            samples[leaf] = _u64s(cursor, "sample count", words, at[leaf] + 2, start)
        left, right = children(is_leaf, right_of)
        return checked_depth(Tree(feature, threshold, left, right, label, value, samples), cursor, start)

    def _places(self, cursor: Cursor) -> tuple[array[int], array[int]]:
        """The word at which each node starts, and `right_of` for children()."""
        start = cursor.position
        words = memoryview(cursor.data)[start : start + cursor.remaining // 4 * 4].cast("I")
        leaf_words, room = _LEAF_WORDS[self.leaf], len(words)
        places, right_of, open_splits = array("I"), array("I"), array("I")
        at = 0
        for node in range(cursor.nodes_left):
            if at >= room:
                raise cursor.error("payload.truncated", "the bytes end within a tree", at=start + 4 * at)
            places.append(at)
            kind = words[at]
            if kind == 0:
                open_splits.append(node)
                at += _SPLIT_WORDS
                continue
            if kind != 1:
                what = f"a tree node has kind {kind}; 0 is a split, 1 a leaf"
                raise cursor.error("payload.tree", what, at=start + 4 * at)
            at += leaf_words
            if not open_splits:
                break
            right_of.append(open_splits.pop())
        else:
            cursor.charge_nodes(len(places) + 1)  # more than are left
        cursor.charge_nodes(len(places))
        if at > room:
            raise cursor.error("payload.truncated", "the bytes end within a leaf", at=start + 4 * places[-1])
        return places, right_of

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
        return tree_of(self._decode, cursor)

    def _decode(self, cursor: Cursor) -> Tree:
        start = cursor.position
        cursor.charge(TREE_COST)
        data, at = cursor.data, start
        leaves, features, thresholds, sizes, right_of = bytearray(), array("Q"), array("f"), array("Q"), array("I")
        path: list[int] = []  # the splits above; ~split once its left child is complete
        try:
            for node in range(cursor.nodes_left):
                if data[at] == 1:
                    _, feature, has_value, threshold, has_left = _ISOLATION_SPLIT.unpack_from(data, at)
                    if has_value != 1 or has_left != 1:
                        raise self._half(cursor, at)
                    leaves.append(False)
                    features.append(feature)
                    thresholds.append(threshold)
                    sizes.append(0)
                    path.append(node)
                    at += _ISOLATION_SPLIT.size
                    continue
                nothing, size = _ISOLATION_LEAF.unpack_from(data, at)
                if nothing != 0:
                    raise self._half(cursor, at)
                leaves.append(True)
                features.append(0)
                thresholds.append(0.0)
                sizes.append(size)
                at += _ISOLATION_LEAF.size
                while path and path[-1] < 0:
                    (sizes[~path.pop()],) = _U64.unpack_from(data, at)
                    at += _U64.size
                if not path:
                    break
                if data[at] != 1:
                    raise self._half(cursor, at)
                at += 1
                right_of.append(path[-1])
                path[-1] = ~path[-1]
            else:
                cursor.charge_nodes(len(leaves) + 1)  # more than are left
        except (IndexError, struct.error):
            raise cursor.error("payload.truncated", "the bytes end within a tree", at=at) from None
        cursor.charge_nodes(len(leaves))
        cursor.take(at - start)
        is_leaf = np.array(leaves, np.bool_)
        feature = _in_range(cursor, "feature index", np.array(features, np.uint64), start)
        n_samples = _in_range(cursor, "size", np.array(sizes, np.uint64), start)
        left, right = children(is_leaf, right_of)
        tree = Tree(
            np.where(is_leaf, LEAF, feature),
            np.array(thresholds, np.float32),
            left,
            right,
            np.zeros(len(leaves), np.int64),
            np.zeros(len(leaves), np.float32),
            n_samples,
        )
        return checked_depth(tree, cursor, start)

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


def _u64s(cursor: Cursor, what: str, words: NDArray[np.uint32], at: NDArray[np.int64], start: int) -> NDArray[np.int64]:
    """The u64 at each of the word positions `at`."""
    values = words[at].astype(np.uint64) | (words[at + 1].astype(np.uint64) << np.uint64(32))
    return _in_range(cursor, what, values, start + 4 * at)


def _in_range(
    cursor: Cursor, what: str, values: NDArray[np.uint64], place: NDArray[np.int64] | int
) -> NDArray[np.int64]:
    """Numbers that any sane model keeps below 2^31; larger ones would not fit the C types."""
    high = values >= 2**31
    if high.any():
        first = int(np.argmax(high))
        at = place if isinstance(place, int) else int(place[first])
        raise cursor.error("payload.range", f"the {what} is {values[first]}, above 2147483647", at=at)
    return values.astype(np.int64)
