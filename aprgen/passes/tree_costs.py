"""Which shape of trees serves a goal: flash, mean or worst-case instructions, as numbers that rank the shapes.

The numbers per split were measured on Thumb code (benchmarks/trees.py); they are estimates and decide a choice only.
Knows no target by name and no C.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from aprgen.costs import Cost
from aprgen.ops.codes import (
    CODE_TYPES,
    BitKeys,
    CodeOp,
    FloatKeysInLine,
    RankCodes,
    ShiftCodesInLine,
    WithoutSign,
)
from aprgen.ops.compact_trees import CompactTrees
from aprgen.ops.packed_trees import MixedTrees, PackedTrees
from aprgen.ops.shaped_trees import BranchTrees, RowElement, ShapedTrees
from aprgen.ops.trees import TreeOp, TreeTotals
from aprgen.passes import called_trees, compact_trees
from aprgen.passes.flat_trees import expected_splits
from aprgen.passes.goals import Goal
from aprgen.passes.joined_trees import Prices
from aprgen.passes.mixed_trees import BYTES_PER_INSTRUCTION, END, PACKED_SPLIT, PACKED_WALK, SMALLEST, mixed
from aprgen.passes.tree_shapes import (
    OF_FLOATS,
    SHAPES,
    CodedTrees,
    Shape,
    code_op,
    coded_trees,
    key_op,
    shaped,
    without_sign,
)
from aprgen.program import Array, Op

# What a row made into codes or keys may take of a function's stack. Models of trees stay within 128 bytes: what the
# frames of Thumb code take beside it, with the votes of ten classes and their counters, was measured as 28 to 64 bytes.
ROW_BUFFER_BYTES = 64
LISTED_NODE_BYTES = 2
# What a goal's choice takes of the stack at most where stack is scarce, and what `calls` takes beside a row and what it
# counts: its trees keep nothing.
STACK_BYTES = 128
CALLS_FRAME_BYTES = 24
# Of a row and outputs together, of what is chosen without a goal: 59 codes and ten votes took 108 bytes on Cortex-M4,
# but 136 on Cortex-M0+.
UNASKED_BYTES = 72

OF_COPIED: tuple[Shape, ...] = ("branches", "mixed", "compact", "calls")  # of a caller's codes without their sign

PORTABLE = Cost(1, 1, 1)  # a target of which nothing is known

ADDITIONS: tuple[Goal, Goal] = ("size", "mean")  # bytes and instructions


# Bytes and instructions of a split. Codes with a sign: Armv6-M loads them by a register's offset.
SPLIT: Mapping[RowElement, tuple[float, float]] = {
    "u8": (7.0, 3.0), "u16": (7.0, 3.0), "i8": (8.7, 3.5), "i16": (8.7, 3.5), "i32": (12.5, 4.4),
    "f32": (15.5, 5.7),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Way:
    """Codes and trees that read them, and what both take together."""

    shape: Shape | None  # None: tables of nodes
    ops: tuple[Op, ...]
    flash_bytes: float
    mean: float  # instructions
    worst: float

    @property
    def row_bytes(self) -> int:
        """What the row takes as codes or keys, and the nodes that it leaves for a walk; where walks begin two functions
        deep, also what is counted."""
        codes, trees = self.ops[0], self.ops[-1]
        listed = LISTED_NODE_BYTES * trees.n_listed if isinstance(trees, MixedTrees) else 0
        if isinstance(trees, CompactTrees):
            listed = self.output_bytes
        if isinstance(codes, CodeOp):
            return listed + len(codes.read) * np.dtype(CODE_TYPES[codes.element]).itemsize
        if isinstance(codes, WithoutSign):
            return listed + len(codes.order) * np.dtype(CODE_TYPES[codes.element]).itemsize
        return listed

    @property
    def output_bytes(self) -> int:
        """What trees add up."""
        trees = self.ops[-1]
        assert isinstance(trees, ShapedTrees)
        return trees.n_classes * np.dtype(np.uint16 if trees.use == "votes" else np.int32).itemsize

    def within_stack(self, cost: Cost) -> bool:
        """Whether it fits where stack is scarce; always, where it is not."""
        if cost.frame_bytes is None or self.shape is None:
            return True
        frame = CALLS_FRAME_BYTES if self.shape == "calls" else cost.frame_bytes
        return self.row_bytes + self.output_bytes + frame <= STACK_BYTES

    def serves(self, goal: Goal) -> tuple[float, float]:
        """Less is better; the second number decides between equals."""
        if goal == "size":
            return self.flash_bytes, self.mean
        return (self.mean if goal == "mean" else self.worst), self.flash_bytes


def best_way(op: TreeOp, cost: Cost, goal: Goal, rows: Array | None = None) -> Way | None:
    """The shape that serves the goal best with a small row; None when tables of nodes do, or nothing else fits.

    Where stack is scarce and that takes too much of it, one of those that fit, unless flash is the goal: that with the
    least product of flash and the goal's instructions, of which two parts are worth three of flash. rows: as the trees
    read them, to see where they go.
    """
    coded = coded_trees(op, rows)
    if coded is None:
        return None
    tables = Way(None, (op,), *_of_tables(op, coded, cost))
    shapes = tuple(shape for shape in SHAPES if shape != "calls" or cost.frame_bytes is not None)
    every = ways(op, coded, goal, shapes, cost)
    small = [tables, *(way for way in every if way.row_bytes <= ROW_BUFFER_BYTES)]
    found = min(small, key=lambda way: way.serves(goal))
    if goal != "size" and not found.within_stack(cost):
        fitting = [way for way in small if way.within_stack(cost)]
        found = min(fitting, key=lambda way: way.flash_bytes * way.serves(goal)[0] ** 1.5)
    return None if found is tables else found


def quicker_than_tables(op: TreeOp, cost: Cost, shape: Shape) -> Way | None:
    """The quickest way of that shape that takes less of flash and fewer instructions than tables of nodes, with a small
    row and few outputs; None: there is none."""
    coded = coded_trees(op)
    if coded is None:
        return None
    tables = Way(None, (op,), *_of_tables(op, coded, cost))
    better = [
        way for way in ways(op, coded, "size", (shape,))
        if way.row_bytes <= ROW_BUFFER_BYTES and way.row_bytes + way.output_bytes <= UNASKED_BYTES
        and way.flash_bytes < tables.flash_bytes and way.mean < tables.mean
    ]  # fmt: skip
    return min(better, key=lambda way: way.serves("mean"), default=None)


def way_of_shape(op: TreeOp, cost: Cost, shape: Shape, rows: Array | None = None) -> Way | None:
    """The op in that shape, with a small row if there is one, packed ones with the smallest maker of codes, others with
    the fastest; None: no fit.

    Mixed and compact ones with the least product of flash and instructions: a tenth of one is worth a tenth of the
    other.
    """
    if op.compare == "code" and shape in OF_FLOATS:
        shape = "branches"  # codes are the keys
    coded = coded_trees(op, rows)
    goal: Goal = "size" if shape == "packed" else "mean"
    fitting = () if coded is None else tuple(ways(op, coded, goal, (shape,), cost))
    fitting = tuple(way for way in fitting if way.row_bytes <= ROW_BUFFER_BYTES) or fitting
    if shape in ("mixed", "compact"):
        return min(fitting, key=lambda way: way.flash_bytes * way.mean, default=None)
    return min(fitting, key=lambda way: way.serves(goal), default=None)


def ways(
    op: TreeOp, coded: CodedTrees, goal: Goal = "mean", shapes: tuple[Shape, ...] = SHAPES, cost: Cost = PORTABLE
) -> Iterator[Way]:
    """Every one of the shapes that fits, its code written for the goal and the target, with each maker of codes."""
    for shape in shapes:
        if op.compare == "code" and shape in OF_FLOATS:
            continue
        for trees, (more, mean, worst) in _in_shape(op, coded, shape, goal, cost):
            if op.compare == "code":
                yield Way(shape, (trees,), more, mean, worst)
                continue
            if shape == "float-branches":
                yield Way(shape, (trees,), more, mean, worst)
                continue
            for codes in makers(op, coded, shape):
                flash, work = _of_codes(codes, coded)
                yield Way(shape, (codes, trees), flash + more, work + mean, work + worst)
        if op.compare == "code":
            yield from _ways_without_sign(op, coded, shape, goal, cost)


def _in_shape(
    op: TreeOp, coded: CodedTrees, shape: Shape, goal: Goal, cost: Cost
) -> Iterator[tuple[ShapedTrees, tuple[float, float, float]]]:
    """The trees in that shape, with flash bytes, mean and worst instructions; mixed and compact ones for each price of
    an instruction, mixed ones for none where they are small."""
    split = SPLIT[coded.element]
    if shape == "compact":
        for price in compact_trees.BYTES_PER_INSTRUCTION:
            found = compact_trees.compact(op, coded, split, price)
            if found is not None:
                yield found.trees, (found.flash_bytes, found.mean, found.worst)
        return
    if shape == "calls":
        calls = called_trees.called(op, coded, short_ones=not cost.last_calls)
        if calls is not None:
            yield calls.trees, (calls.flash_bytes, calls.mean, calls.worst)
        return
    if shape != "mixed":
        made = shaped(op, coded, shape, goal)
        yield from () if made is None else ((made, _of_trees(made, coded)),)
        return
    mixes = [mixed(op, coded, goal, split, price) for price in BYTES_PER_INSTRUCTION]
    if mixes == [None] * len(mixes):
        mixes = [mixed(op, coded, goal, split, SMALLEST)]
    yield from ((one, _of_trees(one, coded)) for one in mixes if one is not None)


def _ways_without_sign(
    op: TreeOp, coded: CodedTrees, shape: Shape, goal: Goal, cost: Cost
) -> Iterator[Way]:  # fmt: skip
    """Branches over codes that were copied: smaller, and faster where many splits are passed. One by one, and four at
    once where the target can."""
    for in_words in (False, True)[: 1 + cost.any_address]:
        copied = without_sign(op, coded, in_words=in_words) if shape in OF_COPIED else None
        if copied is None:
            continue
        n = len(copied[0].order)
        size, work = (80.0, 10 + 1.5 * n) if in_words else (10.0 * n, 3.5 * n)
        for trees, (flash, mean, worst) in _in_shape(op, copied[1], shape, goal, cost):
            yield Way(shape, (copied[0], trees), size + flash, work + mean, work + worst)


def makers(op: TreeOp, coded: CodedTrees, shape: Shape) -> tuple[CodeOp, ...]:
    """The ops that make what the shape compares."""
    if shape == "keyed-branches":
        return (key_op(coded, op.n_features),)
    in_lines = (False, True) if coded.shift is not None else (False,)
    return tuple(code_op(coded, op.n_features, in_line=in_line) for in_line in in_lines)


def _of_codes(codes: CodeOp, coded: CodedTrees) -> tuple[float, float]:
    """Flash bytes, and instructions that making the codes of a row takes."""
    n = len(coded.columns)
    if isinstance(codes, BitKeys):
        return 14 * n, 5.0 * n
    if isinstance(codes, FloatKeysInLine):
        return 36 * n, 12.0 * n
    if isinstance(codes, ShiftCodesInLine):
        return 28 * n, 8.5 * n
    if isinstance(codes, RankCodes):
        keys = sum(len(of_feature) for of_feature in coded.thresholds)
        halvings = sum((len(of_feature) - 1).bit_length() for of_feature in coded.thresholds)
        return 100 + 4 * keys + 3 * n, 24 * n + 9 * halvings
    return 60 + n, 14 * n


def _of_trees(trees: ShapedTrees, coded: CodedTrees) -> tuple[float, float, float]:
    """Flash bytes, mean and worst instructions. A sum adds a float per tree in every shape, so it is left out."""
    n_trees = len(coded.trees.root)
    if isinstance(trees, BranchTrees):
        return _of_branches(trees)
    if isinstance(trees, MixedTrees):
        return _of_mixed(trees)
    assert isinstance(trees, PackedTrees)
    mean, worst = expected_splits(coded.trees), float(coded.trees.depth.sum())
    word_bytes = trees.words.n_bytes + trees.root.n_bytes + (0 if trees.leaf is None else trees.leaf.n_bytes)
    return 110 + word_bytes + trees.added_bytes, 9.5 * mean + 14 * n_trees, 11 * worst + 14 * n_trees


def _of_mixed(trees: MixedTrees) -> tuple[float, float, float]:
    """As branches, and from each end of the code a walk."""
    flash, mean, worst = _of_branches(trees)
    tables = trees.words.n_bytes + trees.added_bytes + (0 if trees.leaf is None else trees.leaf.n_bytes)
    return 140 + flash + tables, mean, worst


def _of_branches(trees: BranchTrees | MixedTrees) -> tuple[float, float, float]:
    """Block by block, each side of a split alike."""
    split_bytes, split = SPLIT[trees.element]
    outputs = trees.n_classes if trees.counters is not None else 0
    flash, mean, worst = 24.0 * len(trees.parts) + 12 * outputs, 8.0 * len(trees.parts) + 4 * outputs, 0.0
    worst += mean
    prices = _prices(trees)
    for part in trees.parts:
        branches = part.branches
        paid = [(0.0, 0.0, 0.0) if leaf < 0 else prices[leaf] for leaf in branches.leaf.tolist()]
        flash += sum(one[0] for one in paid)
        flash += split_bytes * len(branches.feature)
        usual, longest = [one[1] for one in paid], [one[2] for one in paid]
        ends = branches.first.tolist()
        left, right = branches.left.tolist(), branches.right.tolist()
        for block in reversed(range(len(paid))):
            for number in range(ends[block], ends[block + 1]):
                low, high = left[number], right[number]
                usual[block] += split + (usual[low] + usual[high]) / 2
                longest[block] += split + max(longest[low], longest[high])
        mean += sum(usual[root] for root in branches.root.tolist())
        worst += sum(longest[root] for root in branches.root.tolist())
    return flash, mean, worst


def _prices(trees: BranchTrees | MixedTrees) -> list[tuple[float, float, float]]:
    """Bytes, mean and worst instructions of what a block adds, with the jump behind it; of a leaf of trees that stand
    alone; and of an end of the code with the walk from there."""
    walks = _walks(trees) if isinstance(trees, MixedTrees) else []
    if trees.counters is None:
        n_leaves = 1 + max(int(part.branches.leaf.max()) for part in trees.parts)
        first = trees.first_node if isinstance(trees, MixedTrees) else n_leaves
        return [(4.0, 4.0, 4.0)] * first + walks[: n_leaves - first]
    small, exact = (Prices(goal, trees.counters.words, trees.counters.in_registers) for goal in ADDITIONS)
    first = trees.counters.words + trees.counters.n_outputs
    prices = []
    for adds in trees.parts[0].branches.adds:
        own = {counter: constant for counter, constant in adds if counter < first}
        found = [walks[counter - first] for counter, _ in adds if counter >= first]
        work = exact.of(own) + 0.5
        flash, mean, worst = (sum(column) for column in zip(*found, (0.0, 0.0, 0.0), strict=True))
        prices.append((small.of(own) + 1 + flash, work + mean, work + worst))
    return prices


def _walks(trees: MixedTrees) -> list[tuple[float, float, float]]:
    """By node: bytes of an end of the code that goes on there, mean and worst instructions of that and of the walk."""
    nodes = trees.fields
    ends = list(zip(nodes.left_ends.tolist(), nodes.right_ends.tolist(), nodes.jump.tolist(), strict=True))
    usual, longest = [0.0] * len(ends), [0] * len(ends)
    for node in reversed(range(len(ends))):
        left_ends, right_ends, jump = ends[node]
        below = [0 if left_ends else node + 1, 0 if right_ends else node + jump]
        usual[node] = 1 + sum(usual[child] for child in below if child) / 2
        longest[node] = 1 + max(longest[child] if child else 0 for child in below)
    fixed = END[1] + PACKED_WALK[1]
    return [
        (END[0], fixed + PACKED_SPLIT[1] * mean, fixed + 11 * worst)
        for mean, worst in zip(usual, longest, strict=True)
    ]


def _of_tables(op: TreeOp, coded: CodedTrees, cost: Cost) -> tuple[float, float, float]:
    """The same of tables of nodes, comparing what is cheapest there, counting cycles of a comparison."""
    nodes = op.nodes
    flash = 90 + sum(table.n_bytes for table in (nodes.feature, nodes.threshold, nodes.left, nodes.right, nodes.root))
    flash += op.values.n_bytes if isinstance(op, TreeTotals) else 0  # those of a sum stand in every shape
    step = 10 + min(cost.float_compare, cost.integer_compare + cost.float_to_key)
    step = 10 + cost.integer_compare if op.compare == "code" else step
    mean, worst = expected_splits(coded.trees), float(coded.trees.depth.sum())
    return flash, step * mean + 14 * nodes.n_trees, step * worst + 14 * nodes.n_trees
