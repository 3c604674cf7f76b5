"""The forms of trees that are too deep, too many or too wide for those of wide_forms: in stages, and on floats.

Knows how their tables are laid out and cycles as numbers; knows no Program, no target by name and no C.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.costs import BatchCost
from aprgen.ops.deep_trees import BLOCK_WORDS, EXIT_WORD, EXITS, STAGE, FloatTrees, StagedTrees
from aprgen.ops.row_trees import AT_ONCE
from aprgen.ops.trees import Nodes, TreeOp
from aprgen.ops.wide_codes import WideCodes
from aprgen.ops.wide_trees import LINE_BYTES, TOP, TOP_SPLITS, Leaves, WideTrees
from aprgen.passes.ranked_trees import (
    NEVER16,
    Adding,
    Coded,
    Form,
    Ranked,
    adding_of,
    code_work,
    coded_of,
    codes_of,
    columns_of,
    far_levels,
    form_of,
    ranked_of,
)
from aprgen.program import Array, Table

Ints = NDArray[np.int64]

MOST_GROUPS = 32  # of trees that have codes of their own
AT_A_TIME = 1 << 18  # splits that are laid out at a time, so that what is computed fits in caches
WORD_BITS = 32
NEAR_COLUMNS = 256  # of rows that stay in the first cache, eight of them; others take FAR times as long
FAR = 1.5


def staged_forms(op: TreeOp, n_features: int, cost: BatchCost) -> Iterator[Form]:
    """Codes of a row in one or two vectors. Trees in groups, where a column has too many thresholds for 16 bits."""
    if cost.staged_tree is None or cost.staged_step is None:
        return
    ranked = ranked_of(op)
    lanes = LINE_BYTES // np.dtype(np.uint16).itemsize
    if len(columns_of(ranked.op.nodes.feature.data)) > 2 * lanes:
        return
    adding = adding_of(ranked.op)
    shape = Shape.of(ranked.op.nodes)
    groups = _groups(ranked, shape)
    if groups is None:
        return
    pairs: list[tuple[WideCodes | None, WideTrees]] = []
    n_codes, n_steps, of_codes = 0, 0, 0.0
    for trees in groups:
        coded = coded_of(ranked, shape.nodes_of(trees))
        stride = lanes * (1 + (len(coded.columns) > lanes))
        maker = codes_of(ranked, coded, n_features, cost, stride=stride, element="u16")
        made = _staged(ranked, coded, trees, shape, adding, cost, stride)
        pairs.append((maker, made))
        n_codes += maker.n
        of_codes += code_work(maker, cost)
        n_steps += int(made.stages.data.sum(dtype=np.int64))
    one_row = None
    if cost.stepped_row is not None:
        one_row = n_codes * 2 * cost.code + (shape.n_trees + n_steps) * cost.stepped_row
    work = {"code": of_codes, "staged_tree": shape.n_trees, "staged_step": n_steps}
    yield form_of("staged", pairs, cost, work, 1, one_row)


@dataclass(frozen=True, eq=False)
class Shape:
    """Of each tree the nodes, in the order of levels, and the levels of splits."""

    n_trees: int
    order: Ints  # the splits of tree after tree
    ends: Ints  # [trees]
    depth: Ints  # [trees]

    @staticmethod
    def of(nodes: Nodes) -> Shape:
        n_trees = nodes.n_trees
        at = nodes.root.data.astype(np.int64)
        tree = np.arange(n_trees)
        left, right = nodes.left.data, nodes.right.data
        found, of_tree, depth = [], [], np.zeros(n_trees, np.int64)
        level = 0
        while True:
            inner = at >= 0
            at, tree = at[inner], tree[inner]
            if not len(at):
                break
            level += 1
            depth[tree] = level
            found.append(at)
            of_tree.append(tree)
            at = np.stack([left[at], right[at]], axis=1).astype(np.int64).reshape(-1)
            tree = np.repeat(tree, 2)
        every, owner = np.concatenate(found), np.concatenate(of_tree)
        order = every[np.argsort(owner, kind="stable")]
        return Shape(n_trees, order, np.cumsum(np.bincount(owner, minlength=n_trees)), depth)

    def nodes_of(self, trees: slice) -> Ints:
        start = self.ends[trees.start - 1] if trees.start else 0
        return self.order[start : self.ends[trees.stop - 1]]

    def parts(self, trees: slice) -> Iterator[slice]:
        """Trees that are laid out at a time."""
        start = trees.start
        for tree in range(trees.start, trees.stop):
            before = self.ends[start - 1] if start else 0
            if tree + 1 == trees.stop or self.ends[tree + 1] - before > AT_A_TIME:
                yield slice(start, tree + 1)
                start = tree + 1


def _groups(ranked: Ranked, shape: Shape) -> list[slice] | None:
    """Trees that follow each other, as many as codes of 16 bits can be made for; None: it takes too many groups."""
    n_groups = 1
    while n_groups <= min(MOST_GROUPS, shape.n_trees):
        ends = np.linspace(0, shape.n_trees, n_groups + 1).astype(np.int64).tolist()
        groups = [slice(first, end) for first, end in itertools.pairwise(ends)]
        if all(_most_thresholds(ranked, shape.nodes_of(trees)) < NEVER16 for trees in groups):
            return groups
        n_groups *= 2
    return None


def _most_thresholds(ranked: Ranked, nodes: Ints) -> int:
    """Of a column."""
    feature = ranked.op.nodes.feature.data[nodes].astype(np.int64)
    if len(nodes) < NEVER16 or int(np.bincount(feature).max()) < NEVER16:
        return min(len(nodes), NEVER16 - 1)
    both = np.sort(feature << 32 | ranked.keys[nodes] + (1 << 31))
    first = np.append(True, both[1:] != both[:-1])
    return int(np.bincount(both[first] >> 32).max())


def _staged(
    ranked: Ranked, coded: Coded, trees: slice, shape: Shape, adding: Adding, cost: BatchCost, stride: int
) -> StagedTrees:  # fmt: skip
    parts = []
    n_blocks = 0
    for part in shape.parts(trees):
        parts.append(_staged_part(ranked.op.nodes, coded, part, shape, adding, n_blocks))
        n_blocks += len(parts[-1][4])
    feature, code, first, ended, blocks = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    begins = trees.start == 0
    leaves = Leaves(
        adding.adds, Table(np.zeros(0, adding.of_leaf.dtype)), adding.start if begins else 0, adding.n_outputs,
        adding.values,
    )  # fmt: skip
    stages = -(-np.maximum(shape.depth[trees] - TOP, 0) // STAGE)
    return StagedTrees(
        len(coded.columns), cost.rows, leaves, not begins, stride, Table(feature, lines=True), Table(code, lines=True),
        Table(first), Table(ended), Table(blocks, lines=True), Table(stages.astype(np.uint8)),
    )  # fmt: skip


def _staged_part(
    nodes: Nodes, coded: Coded, trees: slice, shape: Shape, adding: Adding, first_block: int
) -> tuple[Array, Array, Array, Array, Array]:
    """feature, code, first, ended and blocks of some trees, whose blocks begin with that number.

    The first stage has what levels the others leave, so that there are few blocks above the last ones.
    """
    depth = shape.depth[trees]
    root = nodes.root.data[trees].astype(np.int64)
    top, exits, comes = _complete(nodes, root, np.full(len(root), TOP), TOP)
    feature, code = _heap(top, coded, TOP_SPLITS)
    starts = _added_words(exits, comes, adding).reshape(-1, BLOCK_WORDS)
    ended = np.packbits(exits < 0, axis=1, bitorder="little").view(np.uint32).reshape(-1, 2)
    owner = np.repeat(np.arange(len(root)), TOP_SPLITS)
    into = starts.reshape(-1)  # words that are to be numbers of blocks
    place = np.arange(len(into))
    at = exits.reshape(-1)
    levels_left = depth - TOP
    every: list[Array] = [starts]
    owners: list[Ints] = [np.repeat(np.arange(len(root)), len(starts) // len(root))]
    links: list[tuple[Array, Ints]] = []  # of a stage: words, and the places of those that lead to its blocks
    while True:
        inner = at >= 0
        if not inner.any():
            break
        at, owner, place = at[inner], owner[inner], place[inner]
        levels = (levels_left - 1) % STAGE + 1
        splits, exits, comes = _complete(nodes, at, levels[owner], STAGE)
        block = np.zeros((len(at), BLOCK_WORDS), np.uint32)
        halves = np.stack(_heap(splits, coded, EXITS), axis=1)
        is_leaf = np.packbits((exits < 0) & comes, axis=1, bitorder="little").view(np.uint16).reshape(-1)
        halves[:, 1, 0] = is_leaf
        block[:, :EXIT_WORD] = halves.reshape(len(at), -1).view(np.uint32)
        block[:, EXIT_WORD:] = _added_words(exits, comes, adding)
        links.append((into, place))
        every.append(block)
        owners.append(owner)
        into = block.reshape(-1)
        goes = ((exits >= 0) & comes).reshape(-1)
        place = (np.arange(len(at))[:, None] * BLOCK_WORDS + EXIT_WORD + np.arange(EXITS)).reshape(-1)
        at = np.where(goes, exits.reshape(-1), -1)
        owner = np.repeat(owner, EXITS)
        levels_left = levels_left - levels
    order = np.argsort(np.concatenate(owners), kind="stable")  # the blocks of a tree follow each other
    number = np.empty(len(order), np.int64)
    number[order] = first_block + np.arange(len(order))
    first = number[: len(starts) : len(starts) // len(root)].astype(np.uint32)
    done = len(starts)
    for words, place in links:
        words[place] = number[done : done + len(place)]
        done += len(place)
    return feature, code, first, ended, np.concatenate(every)[order]


def _complete(nodes: Nodes, at: Ints, levels: Ints, most: int) -> tuple[list[Ints], Ints, NDArray[np.bool_]]:
    """From these references the splits of some levels, at most so many, level by level; where their exits lead, and
    which of them a row can come to. Where a leaf stands above, or the levels end, all rows go left: -1.
    """
    at = at.reshape(-1, 1)
    comes = np.ones(at.shape, np.bool_)
    left, right = nodes.left.data, nodes.right.data
    found = []
    for level in range(most):
        inner = (at >= 0) & comes & (level < levels)[:, None]
        node = np.where(inner, at, 0)
        found.append(np.where(inner, at, -1))
        at = np.stack([np.where(inner, left[node], at), np.where(inner, right[node], at)], axis=2)
        at = at.reshape(len(at), -1)
        comes = np.stack([comes, comes & inner], axis=2).reshape(len(at), -1)
    return found, at, comes


def _heap(levels: list[Ints], coded: Coded, splits: int) -> tuple[Array, Array]:
    """Features and codes from 1 on; no code is larger than that of a split that is not there."""
    places = np.concatenate([np.full((len(levels[0]), 1), -1), *levels], axis=1)
    assert places.shape[1] == splits
    feature = np.where(places >= 0, coded.feature[places], 0)
    return feature.astype(np.uint16), np.where(places >= 0, coded.code[places], NEVER16).astype(np.uint16)


def _added_words(exits: Ints, comes: NDArray[np.bool_], adding: Adding) -> Array:
    """What the leaves among the exits add, as words; 0 elsewhere."""
    leaf = (exits < 0) & comes
    values = np.where(leaf, adding.of_leaf[np.where(leaf, -1 - exits, 0)], np.zeros(1, adding.of_leaf.dtype))
    return np.ascontiguousarray(values).view(np.uint32)


def float_forms(op: TreeOp, cost: BatchCost) -> Iterator[Form]:
    """Where the feature and the way to the left child fit in a word."""
    if cost.float_split is None:
        return
    nodes, shape = op.nodes, Shape.of(op.nodes)
    missing = nodes.missing_left is not None and bool(nodes.missing_left.data.any())
    sizes = 2 * np.diff(shape.ends, prepend=0) + 1  # nodes of a tree
    child_bits = int(2 * sizes.max()).bit_length()
    shift = child_bits + missing
    feature_bits = int(nodes.feature.data.max(initial=0)).bit_length()
    if feature_bits + shift > WORD_BITS or 2 * int(sizes.sum()) >= 1 << WORD_BITS:
        return
    adding = adding_of(op)
    words = [_float_part(op, part, shape, sizes, shift, adding) for part in shape.parts(slice(0, shape.n_trees))]
    first = 2 * (np.cumsum(sizes) - sizes)
    steps = shape.depth
    leaves = Leaves(
        adding.adds, Table(np.zeros(0, adding.of_leaf.dtype)), adding.start, adding.n_outputs, adding.values
    )  # fmt: skip
    made = FloatTrees(
        op.n_features, cost.rows, leaves, False, Table(np.concatenate(words), lines=True),
        Table(first.astype(np.uint32)), Table(steps.astype(np.min_scalar_type(int(steps.max())))), shift, missing,
    )  # fmt: skip
    n_steps = int(steps.sum())
    one_row = None if cost.float_row is None else float(cost.float_row * n_steps)
    far = FAR if op.n_features > NEAR_COLUMNS else 1.0
    work = {"float_split": (n_steps + shape.n_trees) * far}  # a tree takes one more to begin and to end
    work |= far_levels(shape.n_trees, made.nodes, cost)
    yield form_of("floats", ((None, made),), cost, work, AT_ONCE, one_row)


def _float_part(op: TreeOp, trees: slice, shape: Shape, sizes: Ints, shift: int, adding: Adding) -> Array:
    """The nodes of some trees, each tree level by level."""
    nodes = op.nodes
    first = np.cumsum(sizes[trees]) - sizes[trees]
    words = np.zeros((int(sizes[trees].sum()), 2), np.uint32)
    at = nodes.root.data[trees].astype(np.int64)
    n_trees = len(at)
    tree = np.arange(n_trees)
    done = np.zeros(n_trees, np.int64)  # nodes of levels above
    left, right, threshold = nodes.left.data, nodes.right.data, nodes.threshold.data
    values = np.ascontiguousarray(adding.of_leaf).view(np.uint32)
    while len(at):
        inner = at >= 0
        count = np.bincount(tree, minlength=n_trees)
        place = done[tree] + _within(tree, n_trees)
        done += count
        here = first[tree] + place
        leaf = ~inner
        words[here[leaf], 0] = values[-1 - at[leaf]]
        node, own = at[inner], tree[inner]
        child = 2 * (done[own] + 2 * _within(own, n_trees) - place[inner])  # how much further
        word = nodes.feature.data[node].astype(np.int64) << shift | child | 1
        if nodes.missing_left is not None:
            goes = nodes.missing_left.data[node].astype(np.int64)
            word |= goes << (shift - 1) if goes.any() else 0
        words[here[inner], 0] = np.ascontiguousarray(threshold[node]).view(np.uint32)
        words[here[inner], 1] = word
        at = np.stack([left[node], right[node]], axis=1).astype(np.int64).reshape(-1)
        tree = np.repeat(own, 2)
    return words


def _within(tree: Ints, n_trees: int) -> Ints:
    """Of entries in the order of trees, the place among those of the same one."""
    count = np.bincount(tree, minlength=n_trees)
    return np.asarray(np.arange(len(tree)) - (np.cumsum(count) - count)[tree], np.int64)
