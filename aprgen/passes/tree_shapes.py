"""Tree shapes pass: trees over floats become codes of the row and trees over codes, as branches or packed words.

Knows how to number codes, prune splits that decide nothing, and fit fields into words; gives None where a shape does
not fit. Knows no costs and no C.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.codes import (
    CODE_TYPES,
    BitKeys,
    CodeElement,
    CodeOp,
    FloatKeysInLine,
    RankCodes,
    ShiftCodes,
    ShiftCodesInLine,
    WithoutSign,
)
from aprgen.ops.packed_trees import PackedTrees, SparseRows
from aprgen.ops.shaped_trees import Branches, BranchTrees, RowElement, ShapedTrees, TreePart, Use
from aprgen.ops.trees import TreeOp, TreeSum, TreeTotals, TreeVotes
from aprgen.passes.counters import counted
from aprgen.passes.flat_trees import FlatTrees, Ints, ends_of, flat_trees, leaves_of, shares_left, starts_of
from aprgen.passes.goals import Goal
from aprgen.passes.joined_trees import Prices, Splits, joined
from aprgen.program import Array, Table

Shape = Literal["branches", "packed", "keyed-branches", "float-branches", "mixed", "compact", "calls"]
SHAPES: tuple[Shape, ...] = (
    "branches", "packed", "keyed-branches", "float-branches", "mixed", "compact", "calls"
)  # fmt: skip
OF_FLOATS: tuple[Shape, ...] = ("keyed-branches", "float-branches")  # of codes, these are branches

MAX_NESTING = 100  # C99 promises 127 levels of blocks
PART_SPLITS = 4000  # of one function: few calls, and small enough for any compiler
TREE_SPLITS = 20_000  # of a tree that becomes one function


@dataclass(frozen=True, eq=False)
class CodedTrees:
    """The trees of an op, its splits comparing codes, and how many thresholds each code's feature has."""

    trees: FlatTrees
    columns: Ints  # of the row, by code
    feature: Ints  # code that each split reads
    code: Ints  # of each split's threshold
    thresholds: tuple[Ints, ...]  # distinct keys by code
    shift: tuple[int, int] | None  # base and shift, when all keys are multiples
    element: CodeElement


def coded_trees(op: TreeOp, rows: Array | None = None) -> CodedTrees | None:
    """Codes for trees over floats, the features with most splits first; None where no 16 bits are enough.

    Trees over codes keep those of their row. rows: as the trees read them, to see where they go.
    """
    trees = flat_trees(op.nodes, rows)
    if trees is None or trees.n_nodes == 0:
        return None
    if op.compare == "code":
        every = tuple(np.unique(trees.key[trees.feature == column]) for column in range(op.n_features))
        element: CodeElement = "i8" if op.element == "i8" else "i16"
        return CodedTrees(trees, np.arange(op.n_features), trees.feature, trees.key, every, None, element)
    read, counts = np.unique(trees.feature, return_counts=True)
    columns = read[np.argsort(-counts, kind="stable")]
    position = np.zeros(int(columns.max()) + 1, np.int64)
    position[columns] = np.arange(len(columns))
    feature = position[trees.feature]
    thresholds = tuple(np.unique(trees.key[feature == index]) for index in range(len(columns)))
    shift = _common_shift(trees.key)
    if shift is not None:
        code = (trees.key - shift[0]) >> shift[1]
        return CodedTrees(trees, columns, feature, code, thresholds, shift, _element(int(code.max())))
    most = max(len(keys) for keys in thresholds)
    if most > np.iinfo(np.uint16).max:
        return None
    code = np.zeros(trees.n_nodes, np.int64)
    for index, keys in enumerate(thresholds):
        here = feature == index
        code[here] = np.searchsorted(keys, trees.key[here])
    return CodedTrees(trees, columns, feature, code, thresholds, None, _element(most - 1))


def without_sign(
    op: TreeOp, coded: CodedTrees, *, in_words: bool = False
) -> tuple[WithoutSign, CodedTrees] | None:  # fmt: skip
    """The codes of a caller that the trees read, without a sign and the most read first; None with thresholds below 0.

    And the trees that read those. in_words: all codes of 8 bits, in their order.
    """
    if op.compare != "code" or coded.code.min() < 0 or (in_words and op.element != "i8"):
        return None
    read, counts = np.unique(coded.feature, return_counts=True)
    columns = np.arange(op.n_features) if in_words else read[np.argsort(-counts, kind="stable")]
    position = np.zeros(op.n_features, np.int64)
    position[columns] = np.arange(len(columns))
    narrow = op.element == "i16" and int(coded.code.max()) < np.iinfo(np.uint8).max
    source: Literal["i8", "i16"] = "i8" if op.element == "i8" else "i16"
    made = WithoutSign(op.n_features, source, tuple(columns.tolist()), narrow, in_words)
    thresholds = tuple(coded.thresholds[column] for column in columns)
    feature = position[coded.feature]
    return made, CodedTrees(coded.trees, columns, feature, coded.code, thresholds, None, made.element)


def _element(largest_threshold: int) -> CodeElement:
    """Codes are one more than the largest threshold at most."""
    return "u8" if largest_threshold < np.iinfo(np.uint8).max else "u16"


def _common_shift(keys: Ints) -> tuple[int, int] | None:
    """base and shift with all keys base + k * 2^shift and k < 2^16 - 1; see ShiftCodes for the limits."""
    base = int(keys.min())
    if base < 0 or base % 2 == 1:
        return None
    gaps = int(np.bitwise_or.reduce(keys - base))
    shift = 30 if gaps == 0 else min(30, (gaps & -gaps).bit_length() - 1)
    if shift == 0 or int((keys.max() - base) >> shift) >= np.iinfo(np.uint16).max:
        return None
    return base, shift


def code_op(coded: CodedTrees, n_features: int, *, in_line: bool) -> CodeOp:
    """The op that makes the codes; in_line: a statement for each feature, where there is a common shift."""
    top = int(np.iinfo(CODE_TYPES[coded.element]).max)
    columns = Table(coded.columns.astype(np.min_scalar_type(int(coded.columns.max()))))
    if coded.shift is not None:
        if in_line:
            order = tuple(int(column) for column in coded.columns)
            return ShiftCodesInLine(n_features, coded.element, order, *coded.shift, top)
        return ShiftCodes(n_features, coded.element, columns, *coded.shift, top)
    sizes = [len(keys) for keys in coded.thresholds]
    first = np.concatenate([[0], np.cumsum(sizes)])
    return RankCodes(
        n_features,
        coded.element,
        columns,
        Table(np.concatenate(coded.thresholds).astype(np.int32)),
        Table(first.astype(np.min_scalar_type(int(first[-1])))),
        (max(sizes) - 1).bit_length(),
    )


def key_op(coded: CodedTrees, n_features: int) -> CodeOp:
    """The op that makes keys of the same columns, for trees that compare thresholds themselves."""
    order = tuple(int(column) for column in coded.columns)
    return (BitKeys if coded.trees.key.min() >= 0 else FloatKeysInLine)(n_features, "i32", order)


def shaped(op: TreeOp, coded: CodedTrees, shape: Shape, goal: Goal = "mean") -> ShapedTrees | None:
    """The op's trees in a shape, reading codes; None where it does not fit.

    Mixed and compact ones and calls: see mixed_trees.py, compact_trees.py and called_trees.py.
    """
    assert shape not in ("mixed", "compact", "calls")
    if shape == "packed":
        least = min(0, int(coded.code.min()))
        return _packed(op, replace(coded, code=coded.code - least), least)
    if shape == "keyed-branches":
        return _branches(op, replace(coded, code=coded.trees.key), "i32", goal)
    if shape == "float-branches":
        return _branches(op, _uncoded(op, coded), "f32", goal)
    return _branches(op, coded, coded.element, goal)


def _uncoded(op: TreeOp, coded: CodedTrees) -> CodedTrees:
    """The trees reading the floats of the row where they stand."""
    return replace(coded, columns=np.arange(op.n_features), feature=coded.trees.feature, code=coded.trees.key)


def use_of(op: TreeOp) -> tuple[Use, int, float]:
    """What becomes of leaves, the classes, and where a sum starts."""
    if isinstance(op, TreeVotes):
        return "votes", op.n_classes, 0.0
    if isinstance(op, TreeSum):
        return "sum", 1, op.start
    if isinstance(op, TreeTotals):
        return "totals", op.n_outputs, float(op.start)
    return "leaf", 1, 0.0


def _branches(op: TreeOp, coded: CodedTrees, element: RowElement, goal: Goal) -> BranchTrees | None:
    trees = coded.trees
    ends = ends_of(trees)
    sizes = ends - starts_of(trees)
    if trees.depth.max() > MAX_NESTING or sizes.max() > TREE_SPLITS:
        return None
    use, n_classes, start = use_of(op)
    unit = op.unit if isinstance(op, TreeTotals) else 0
    n_codes = len(coded.columns)
    if isinstance(op, TreeVotes | TreeTotals):
        places = zip(trees.root.tolist(), ends.tolist(), strict=True)
        counting = counted(op, [leaves_of(trees, root, end) for root, end in places])
        counters = counting.counters
        columns = (coded.feature, coded.code, trees.left, trees.right, shares_left(trees))
        splits = Splits(*(column.tolist() for column in columns))
        grouped = grouped_roots(coded, sizes)
        prices = Prices(goal, counters.words, counters.in_registers)
        branches, always = joined(splits, grouped, counting.adds, prices)
        parts = tuple(
            TreePart(one, len(roots)) for one, roots in zip(branches, grouped, strict=True) if len(one.feature)
        )
        if not parts:
            return None
        counters = counters.after(always)
        return BranchTrees(use, n_codes, element, n_classes, None, start, unit, parts, counters)
    parts = parts_in_order(coded, sizes)
    values = op.values if isinstance(op, TreeSum) else None
    return BranchTrees(use, n_codes, element, n_classes, values, start, unit, parts, None)


def parts_in_order(coded: CodedTrees, sizes: Ints) -> tuple[TreePart, ...]:
    """Trees one behind the other, as many in a part as have room. sizes: splits of each tree."""
    bounds = [0]
    for tree in range(1, len(sizes)):
        if sizes[bounds[-1] : tree + 1].sum() > PART_SPLITS:
            bounds.append(tree)
    bounds.append(len(sizes))
    return tuple(TreePart(one_by_one(coded, *pair), pair[1] - pair[0]) for pair in itertools.pairwise(bounds))


def grouped_roots(coded: CodedTrees, sizes: Ints) -> list[list[int]]:
    """The roots of each part: trees that begin with the same split stand together, as far as a part has room."""
    groups: dict[tuple[int, int], list[int]] = {}
    for tree, root in enumerate(coded.trees.root.tolist()):
        split = (-1, root) if root < 0 else (int(coded.feature[root]), int(coded.code[root]))
        groups.setdefault(split, []).append(tree)
    parts: list[list[int]] = []
    room = 0
    for group in groups.values():
        if sizes[group].sum() > room or not parts:
            parts.append([])
            room = PART_SPLITS
        for tree in group:
            if sizes[tree] > room and parts[-1]:
                parts.append([])
                room = PART_SPLITS
            parts[-1].append(int(coded.trees.root[tree]))
            room -= int(sizes[tree])
    return parts


def one_by_one(coded: CodedTrees, first_tree: int, end: int) -> Branches:
    """Trees `first_tree` to `end` (exclusive), a block for each node and each leaf, and a root for each tree."""
    trees = coded.trees
    references = trees.root[first_tree:end].tolist()
    n_roots = len(references)
    columns: tuple[list[int], ...] = ([], [], [], [])
    starts, leaf = [0], []
    for reference in references:  # grows on the way
        leaf.append(~reference if reference < 0 else -1)
        if reference >= 0:
            split = (int(coded.feature[reference]), int(coded.code[reference]))
            for column, value in zip(columns, (*split, len(references), len(references) + 1), strict=True):
                column.append(value)
            references += [int(trees.left[reference]), int(trees.right[reference])]
        starts.append(len(columns[0]))
    feature, code, left, right, first, leaves = (np.array(column, np.int64) for column in (*columns, starts, leaf))
    depth = int(trees.depth[first_tree:end].max())
    in_order = np.zeros(len(feature), np.bool_)
    return Branches(feature, code, left, right, in_order, first, leaves, np.arange(n_roots), depth)


def _packed(op: TreeOp, coded: CodedTrees, least: int) -> PackedTrees | None:
    """One word a node when all fields fit, else two; leaves are numbered per tree when that makes them shorter.

    least: what was taken off the codes of thresholds.
    """
    use, n_classes, start = use_of(op)
    trees = coded.trees
    everywhere = Leaves(trees, per_tree=False)
    by_position = use == "sum" or (use == "totals" and n_classes == 1)  # values stand where leaves do
    by_tree = Leaves(trees, per_tree=True) if use in ("sum", "totals") else everywhere
    fitting = fitting_words(coded, (everywhere, by_tree))
    if fitting is None:
        return None
    leaves = fitting.leaves
    numbers = np.array(leaves.table, np.int64)
    base = Table(leaves.base.astype(np.min_scalar_type(int(leaves.base.max())))) if leaves.base.any() else None
    values = op.values if isinstance(op, TreeSum | TreeTotals) else None
    if values is not None and by_position:
        values = Table(values.data.reshape(-1)[numbers])
    unit = op.unit if isinstance(op, TreeTotals) else 0
    rows = sparse_rows(values, n_classes) if use == "totals" else None
    root = leaves.root
    return PackedTrees(
        use, len(coded.columns), coded.element, n_classes, values if rows is None else None, start, unit,
        words=fitting.words,
        root=Table(root.astype(np.min_scalar_type(int(root.max())))),
        base=base,
        leaf=None if by_position else Table(numbers.astype(np.min_scalar_type(int(numbers.max())))),
        two_words=fitting.two_words, feature_bits=fitting.feature_bits, leaf_bits=fitting.leaf_bits,
        jump_bits=fitting.jump_bits, depth=max(1, int(trees.depth.max())), least=least, rows=rows,
    )  # fmt: skip


def sparse_rows(values: Table | None, n_outputs: int) -> SparseRows | None:
    """Rows of totals without their zeros; None where that is no smaller."""
    if values is None or n_outputs == 1 or values.data.size == 0:
        return None
    dense = values.data.reshape(-1, n_outputs)
    _, output = np.nonzero(dense)
    first = np.concatenate([[0], np.cumsum((dense != 0).sum(axis=1))])
    made = SparseRows(
        Table(first.astype(np.min_scalar_type(int(first[-1])))),
        Table(output.astype(np.min_scalar_type(n_outputs - 1))),
        Table(dense[dense != 0]),
        int(np.diff(first).max()),
    )
    return made if made.longest > 0 and made.n_bytes < values.n_bytes else None


@dataclass(frozen=True, eq=False)
class PackedWords:
    """Nodes as words, and how wide their fields are."""

    leaves: Leaves
    words: Table
    two_words: bool
    feature_bits: int
    leaf_bits: int
    jump_bits: int


def fitting_words(coded: CodedTrees, numberings: Sequence[Leaves]) -> PackedWords | None:
    """One word a node, with the first numbering of leaves that fits, or two; None where neither fits. No code is
    below 0."""
    jump_bits = _bits(int(numberings[0].jump.max()))
    feature_bits = _bits(int(numberings[0].feature(coded.feature).max()))
    code_bits = _bits(int(coded.code.max(initial=0)))
    for leaves, two_words in ((one, two) for two in (False, True) for one in numberings):
        leaf_bits = _bits(leaves.largest)
        room = 32 - 2 - feature_bits - code_bits
        if two_words:
            if room < 0 or max(leaf_bits, jump_bits) > 16:
                continue
            widths = (16, 16)
        else:
            if room < leaf_bits + jump_bits:
                continue
            widths = (leaf_bits, room - leaf_bits)
        words = _words(leaves, coded, two_words, feature_bits, *widths)
        return PackedWords(leaves, Table(words.astype(np.uint32)), two_words, feature_bits, *widths)
    return None


def _bits(largest: int) -> int:
    return max(1, largest.bit_length())


class Leaves:
    """Nodes, trees of one leaf as splits of equal sides, and a table in which both leaves of a split are neighbours.

    table: leaf numbers by position; position: of each node's leaf (of the left one, when both sides are leaves).
    """

    def __init__(self, trees: FlatTrees, *, per_tree: bool) -> None:
        self.left: list[int] = []
        self.right: list[int] = []
        self.origin: list[int] = []  # the split of each node; -1 for a tree of one leaf
        roots, starts = [], starts_of(trees)
        for tree, root in enumerate(trees.root.tolist()):
            roots.append(len(self.left))
            end = int(ends_of(trees)[tree]) if tree == len(trees.root) - 1 else int(starts[tree + 1])
            if root < 0:
                self.left.append(root)
                self.right.append(root)
                self.origin.append(-1)
            else:
                moved = len(self.left) - int(starts[tree])
                for node in range(int(starts[tree]), end):
                    low, high = int(trees.left[node]), int(trees.right[node])
                    self.left.append(low + moved if low >= 0 else low)
                    self.right.append(high + moved if high >= 0 else high)
                    self.origin.append(node)
        self.root = np.array(roots, np.int64)
        n = len(self.left)
        self.jump = np.array([max(0, high - node) for node, high in enumerate(self.right)], np.int64)
        self.position = np.zeros(n, np.int64)
        self.table: list[int] = []
        self.base = np.zeros(len(roots), np.int64)
        groups = [*roots, n] if per_tree else [0, n]
        for group, (begin, end) in enumerate(itertools.pairwise(groups)):
            if per_tree:
                self.base[group] = len(self.table)
            self._place(begin, end)

    @property
    def largest(self) -> int:
        return int(self.position.max())

    def feature(self, of_split: Ints) -> Ints:
        """By node; 0 where a tree is one leaf."""
        origin = np.array(self.origin, np.int64)
        return np.where(origin < 0, 0, of_split[np.maximum(origin, 0)])

    def _place(self, begin: int, end: int) -> None:
        """Pairs first, then single leaves, which find most of their numbers there."""
        table: list[int] = []
        pairs: dict[tuple[int, int], int] = {}
        single: dict[int, int] = {}
        nodes = range(begin, end)
        for node in nodes:
            pair = (~self.left[node], ~self.right[node])
            if min(pair) < 0:
                continue
            if pair not in pairs:
                table += pair if not table or table[-1] != pair[0] else pair[1:]
                for place in range(max(0, len(table) - 3), len(table) - 1):
                    pairs.setdefault((table[place], table[place + 1]), place)
                for place in range(max(0, len(table) - 3), len(table)):
                    single.setdefault(table[place], place)
            self.position[node] = pairs[pair]
        for node in nodes:
            pair = (~self.left[node], ~self.right[node])
            if min(pair) < 0 <= max(pair):
                number = max(pair)
                if number not in single:
                    single[number] = len(table)
                    table.append(number)
                self.position[node] = single[number]
        self.table += table


def _words(
    leaves: Leaves, coded: CodedTrees, two_words: bool, feature_bits: int, leaf_bits: int, jump_bits: int
) -> NDArray[np.uint64]:
    """The fields of every node, put together."""
    origin = np.array(leaves.origin, np.int64)
    code = np.where(origin < 0, 0, coded.code[np.maximum(origin, 0)]).astype(np.uint64)
    low = leaves.feature(coded.feature).astype(np.uint64)
    for bit, side in ((feature_bits, leaves.left), (feature_bits + 1, leaves.right)):
        low |= (np.array(side, np.int64) < 0).astype(np.uint64) << np.uint64(bit)
    leaf, jump = leaves.position.astype(np.uint64), leaves.jump.astype(np.uint64)
    shift = np.uint64(feature_bits + 2)
    if two_words:
        first = low | code << shift
        return np.stack([first, leaf | jump << np.uint64(leaf_bits)], axis=1).reshape(-1)
    rest = leaf | jump << np.uint64(leaf_bits) | code << np.uint64(leaf_bits + jump_bits)
    return np.asarray(low | rest << shift, np.uint64)
