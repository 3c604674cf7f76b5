"""Compact trees pass: votes and totals as branches down to where three bytes a split are worth more.

Where the branches end is chosen at every node by what they save and what they take, with a price in bytes for an
instruction. Knows these costs as numbers; knows no C.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aprgen.ops.compact_trees import (
    ENTRY_BYTES,
    FIRST_ROW,
    LAST,
    LEFT_ENDS,
    MOST_CLASSES,
    MOST_CODE,
    MOST_FEATURES,
    RIGHT_ENDS,
    SECOND_ROW,
    UNIT_BYTES,
    CompactPart,
    CompactTree,
    CompactTrees,
    fields_of,
)
from aprgen.ops.trees import TreeOp, TreeTotals, TreeVotes
from aprgen.passes.flat_trees import FlatTrees, Ints, longest_paths, reached, subtree_sizes
from aprgen.passes.tree_shapes import MAX_NESTING, PART_SPLITS, TREE_SPLITS, CodedTrees, one_by_one, use_of
from aprgen.program import Table

BYTES_PER_INSTRUCTION = (1.0, 12.0, 32.0)  # prices to choose from, of an instruction of the mean
MOST_SPLITS = 40  # of bytes behind one end of the branches: places reach all of them

# Bytes and instructions of Thumb, measured on a forest of 15,000 splits.
LEAF = (1.0, 2.0)  # of one class: trees end at the same few additions
END = (4.0, 25.0)  # with the walk behind it
SPLIT_IN_BYTES = (3.0, 9.5)
ROW_NAMED = (2.0, 0.0)
LONE_ROW = (6.0, 9.5)  # a row that branches end with
ENTRY = 10.0  # instructions of an entry of a row
FIXED = (400.0, 60.0)
COUNTING = 40.0  # instructions in a part
MORE_BYTES = 1.5  # of a split: branches that reach further than the shortest, and those around the ends of trees


@dataclass(frozen=True, eq=False)
class _Leaves:
    """outputs: leaves below add the unit to one. begins: of every other leaf, in the entries."""

    outputs: int
    begins: list[int]
    entries: Table
    longest: int


@dataclass(frozen=True, eq=False)
class Compact:
    """Trees, and what they take."""

    trees: CompactTrees
    flash_bytes: float
    mean: float  # instructions
    worst: float


def compact(
    op: TreeOp, coded: CodedTrees, split: tuple[float, float], bytes_per_instruction: float
) -> Compact | None:
    """The op's trees as branches and bytes; None where all is branches, where they do not fit, or are neither votes nor
    totals of a unit.

    split: bytes and instructions of one in code.
    """
    leaves = _leaves(op)
    trees = coded.trees
    if leaves is None or trees.n_nodes == 0 or coded.element == "i32" or len(coded.columns) > MOST_FEATURES:
        return None
    if not 0 <= coded.code.min() <= coded.code.max() <= MOST_CODE:
        return None
    packed = _packed(coded, leaves, split, bytes_per_instruction)
    below = longest_paths(trees.left, trees.right, np.arange(trees.n_nodes))
    nodes = bytearray(UNIT_BYTES)
    left, right, roots = trees.left.copy(), trees.right.copy(), trees.root.copy()
    kept: list[int] = []
    made: list[CompactTree] = []
    deepest = 1
    for tree, root in enumerate(trees.root.tolist()):
        base = len(nodes) // UNIT_BYTES - 1
        waiting = [(-1, 0, root)]  # a kept node, its side, and what stands there
        while waiting:
            parent, side, child = waiting.pop()
            if child >= 0 and not packed[child]:
                kept.append(child)
                waiting += [(child, 1, int(trees.right[child])), (child, 0, int(trees.left[child]))]
                continue
            if child < 0 and ~child < leaves.outputs:
                continue
            number = len(nodes) // UNIT_BYTES - base
            nodes += _padded(_bytes(coded, child, leaves))
            if child >= 0:
                deepest = max(deepest, int(below[child]))
            column, place = (roots, tree) if parent < 0 else ((left, right)[side], parent)
            column[place] = ~(leaves.outputs + number)
        made.append(CompactTree(0, base, len(nodes) // UNIT_BYTES - 1 > base))
    if not kept or len(nodes) == UNIT_BYTES or len(leaves.entries.data) > np.iinfo(np.uint16).max:
        return None
    hot = _kept(coded, np.array(kept, np.int64), left, right, roots)
    if hot.trees.depth.max() > MAX_NESTING:
        return None
    parts = _parts(hot, made, leaves.outputs)
    if parts is None:
        return None
    use, _, start = use_of(op)
    unit = op.unit if isinstance(op, TreeTotals) else 1
    made_of = CompactTrees(
        use, len(coded.columns), coded.element, leaves.outputs, None, start, unit,
        Table(np.frombuffer(bytes(nodes), np.uint8)), leaves.entries, fields_of(leaves.outputs), parts,
        deepest, leaves.longest,
    )  # fmt: skip
    mean, worst = _instructions(coded, leaves, split, packed)
    ends = sum(int((part.branches.leaf >= leaves.outputs).sum()) for part in parts)
    flash = FIXED[0] + len(kept) * (split[0] + MORE_BYTES) + ends * END[0] + len(nodes) + leaves.entries.n_bytes
    return Compact(made_of, flash, FIXED[1] + COUNTING * len(parts) + mean, FIXED[1] + COUNTING * len(parts) + worst)


def _leaves(op: TreeOp) -> _Leaves | None:
    """What leaves add; None where that fits no leaf or entry."""
    nothing = Table(np.zeros(0, np.uint8))
    if isinstance(op, TreeVotes) and 1 < op.n_classes <= MOST_CLASSES:
        return _Leaves(op.n_classes, [], nothing, 1)
    if not isinstance(op, TreeTotals) or not op.unit or not 1 < op.n_outputs <= MOST_CLASSES:
        return None
    rows = op.values.data.reshape(-1, op.n_outputs).astype(np.int64)
    if rows.size and not 0 <= rows.min() <= rows.max() <= np.iinfo(np.uint16).max:
        return None
    entries = bytearray()
    begins = []
    longest = 1
    for row in rows:
        begins.append(len(entries))
        outputs = np.flatnonzero(row).tolist() or [0]
        longest = max(longest, len(outputs))
        for output in outputs:
            entries += bytes([output + LAST * (output == outputs[-1]), row[output] % 256, row[output] // 256])
    assert len(entries) % ENTRY_BYTES == 0
    return _Leaves(op.n_outputs, begins, Table(np.frombuffer(bytes(entries), np.uint8)), longest)


def _packed(
    coded: CodedTrees, leaves: _Leaves, split: tuple[float, float], bytes_per_instruction: float
) -> list[bool]:
    """Whether each node stands in bytes, if branches lead to it: by its cost, from the leaves up. Roots do not."""
    trees = coded.trees
    times_of = [side.tolist() for side in reached(trees)]
    sides = [trees.left.tolist(), trees.right.tolist()]
    in_code, in_bytes = np.zeros(trees.n_nodes), np.zeros(trees.n_nodes)
    sizes = subtree_sizes(trees)
    packed = [False] * trees.n_nodes
    roots = set(trees.root.tolist())

    def cost(of: tuple[float, float], times: float) -> float:
        return of[0] + bytes_per_instruction * times * of[1]

    for node in reversed(range(trees.n_nodes)):
        own = times_of[0][node] + times_of[1][node]
        in_code[node], in_bytes[node] = cost(split, own), cost(SPLIT_IN_BYTES, own)
        for side in (0, 1):
            child, times = sides[side][node], times_of[side][node]
            if child >= 0:
                in_code[node] += in_code[child]
                in_bytes[node] += in_bytes[child]
            elif ~child < leaves.outputs:
                in_code[node] += cost(LEAF, times)
            else:
                in_code[node] += cost(END, times) + cost(LONE_ROW, times)
                in_bytes[node] += cost(ROW_NAMED, times)
        goes = cost(END, own) + in_bytes[node]
        if goes < in_code[node] and sizes[node] <= MOST_SPLITS and node not in roots:
            packed[node] = True
            in_code[node] = goes
    return packed


def _instructions(
    coded: CodedTrees, leaves: _Leaves, split: tuple[float, float], packed: list[bool]
) -> tuple[float, float]:
    """Of a row that takes each way as those that were seen, and of one that takes the longest."""
    trees = coded.trees
    sides = [trees.left.tolist(), trees.right.tolist()]
    times_of = [side.tolist() for side in reached(trees)]
    in_bytes = packed.copy()
    longest = [0.0] * trees.n_nodes
    for node in range(trees.n_nodes):
        for child in (sides[0][node], sides[1][node]):
            if child >= 0:
                in_bytes[child] = in_bytes[node] or packed[child]
    mean = 0.0
    for node in reversed(range(trees.n_nodes)):
        own = (SPLIT_IN_BYTES if in_bytes[node] else split)[1]
        for side in (0, 1):
            child, times = sides[side][node], times_of[side][node]
            is_row = child < 0 and ~child >= leaves.outputs
            more = ENTRY * leaves.longest if is_row else 0.0
            if not in_bytes[node]:
                ends = is_row or (child >= 0 and packed[child])
                more += END[1] + (LONE_ROW[1] if is_row else 0.0) if ends else LEAF[1] if child < 0 else 0.0
            mean += times * (own + more)
            longest[node] = max(longest[node], own + more + (longest[child] if child >= 0 else 0.0))
    return mean, sum(longest[root] for root in trees.root.tolist() if root >= 0)


def _bytes(coded: CodedTrees, reference: int, leaves: _Leaves) -> bytes:
    """A subtree, or a leaf that is a row: a split that sends all codes to it."""

    def row(reference: int) -> bytes:
        begin = leaves.begins[~reference - leaves.outputs]
        return bytes([begin % 256, begin // 256])

    if reference < 0:
        return bytes([LEFT_ENDS + RIGHT_ENDS, MOST_CODE, FIRST_ROW * 16 + FIRST_ROW]) + row(reference)
    low, high = int(coded.trees.left[reference]), int(coded.trees.right[reference])
    feature, code = int(coded.feature[reference]), int(coded.code[reference])
    if low >= 0 and high >= 0:
        first, second = (_bytes(coded, child, leaves) for child in (low, high))
        return bytes([feature, code, len(first)]) + first + second
    if low < 0 and high < 0:
        names = [row(one) if ~one >= leaves.outputs else b"" for one in (low, high)]
        places = [
            ~low if not names[0] else FIRST_ROW,
            ~high if not names[1] else SECOND_ROW if names[0] else FIRST_ROW,
        ]
        return bytes([feature + LEFT_ENDS + RIGHT_ENDS, code, places[0] * 16 + places[1]]) + names[0] + names[1]
    leaf, inner, flag = (low, high, LEFT_ENDS) if low < 0 else (high, low, RIGHT_ENDS)
    rest = _bytes(coded, inner, leaves)
    if ~leaf < leaves.outputs:
        return bytes([feature + flag, code, ~leaf]) + rest
    return bytes([feature + flag, code, len(rest) + FIRST_ROW]) + rest + row(leaf)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % UNIT_BYTES)


def _kept(coded: CodedTrees, kept: Ints, left: Ints, right: Ints, roots: Ints) -> CodedTrees:
    """The trees of the branches."""
    trees = coded.trees
    number = np.full(trees.n_nodes, -1, np.int64)
    number[kept] = np.arange(len(kept))
    low, high, root = (
        np.where(column >= 0, number[np.maximum(column, 0)], column) for column in (left[kept], right[kept], roots)
    )
    hot = FlatTrees(
        trees.feature[kept], trees.key[kept], low, high, root,
        longest_paths(low, high, root),
    )  # fmt: skip
    return replace(coded, trees=hot, feature=coded.feature[kept], code=coded.code[kept])


def _parts(hot: CodedTrees, made: list[CompactTree], outputs: int) -> tuple[CompactPart, ...] | None:
    """As many trees in a part as its fields count and its splits have room; None with a tree that has no room."""
    most = fields_of(outputs)[0].mask
    sizes = subtree_sizes(hot.trees)
    parts: list[CompactPart] = []
    first, splits = 0, 0
    for tree, root in enumerate([*hot.trees.root.tolist(), None]):
        own = 0 if root is None or root < 0 else int(sizes[root])
        if own > TREE_SPLITS:
            return None
        if root is None or tree - first == most or (splits + own > PART_SPLITS and tree > first):
            branches = one_by_one(hot, first, tree)
            moved = zip(branches.root.tolist(), made[first:tree], strict=True)
            parts.append(CompactPart(branches, tuple(replace(one, root=block) for block, one in moved)))
            first, splits = tree, 0
        splits += own
    return tuple(parts)
