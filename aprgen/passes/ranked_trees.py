"""What the forms of trees for blocks of rows share: ranks of thresholds, what leaves add, codes, and what they cost.

Knows cycles as numbers; knows no Program, no target by name and no C.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.costs import BatchCost
from aprgen.ops.deep_trees import StagedTrees
from aprgen.ops.six_levels import PermutedTrees, TurnedTrees
from aprgen.ops.trees import Nodes, TreeOp, TreeSum, TreeTotals, TreeVotes, threshold_keys
from aprgen.ops.wide_codes import (
    LOWEST,
    PAD,
    SPAN_REACHES,
    BitLines,
    CodeElement,
    Order,
    Search,
    WideCodes,
    counted_keys,
    grouped_keys,
    searched_keys,
)
from aprgen.ops.wide_trees import ENTRIES, LINE_BYTES, Adds, Leaves, WideTrees
from aprgen.passes.choices import TreeForm
from aprgen.passes.code_spans import spans_of
from aprgen.passes.missing import without_missing
from aprgen.program import Array, Table

Ints = NDArray[np.int64]

COUNTED = 32  # thresholds a column: more are searched
LANES = 16
FEWEST_TURNED = 13  # that take longer one by one
# Of the cycles of a code: by thresholds of a group; by those that are compared from where a span begins, 0: of a column
# that is searched where others have spans or could have them, and besides where a column's tables have a line for each
# row; where thresholds are counted one after the other, for each of them and 16 columns, and besides. As measured with
# AVX-512 and AVX2, gcc and clang, on Zen 4.
GROUPED = {1: 0.5, 2: 0.7, 4: 0.8, 8: 1.0}
SPANNED, LINES = {8: 1.5, 16: 1.7, 32: 2.2, 0: 3.0}, 0.5
COUNTED_EACH, COUNTED_BESIDES = 0.04, 0.1
LINED = 0.1  # besides, where codes become lines of bits
SEARCHED = {"by_feature": 1.0, "in_bits": 1.0, "by_row": 2.0}  # where there are no spans
AT_ONCE = 8  # rows that walk together
NEAR_BYTES = 1 << 18  # of nodes: each doubling beyond is a level of every tree whose nodes a row waits for
NEVER8, NEVER16 = 255, 65535  # as a threshold: no code is larger


@dataclass(frozen=True, eq=False)
class Ranked:
    """Plain trees over a row in which a column stands twice where its missing values go both ways."""

    op: TreeOp
    columns: Ints  # of the model's row, by column of the trees
    n_low: int
    keys: Ints  # of the thresholds of all nodes


@dataclass(frozen=True, eq=False)
class Form:
    """Steps one after the other, codes and trees in turn, and what they cost."""

    name: TreeForm
    pairs: tuple[tuple[WideCodes | None, WideTrees], ...]  # None: trees over the row itself
    work: Mapping[str, float]  # by field of BatchCost: how often its cycles are paid for 1,000 rows
    cycles: float  # all of them
    of_block: float  # what a block takes, however few its rows are, in thousandths of a cycle
    of_rows: float  # what 1,000 rows take besides
    one_row: float | None = None  # cycles for 1,000 rows one by one, where one row has such a form

    @property
    def at_once(self) -> int:
        """Rows of which fewer are better done one by one, where one row has such a form."""
        if isinstance(self.pairs[0][1], TurnedTrees):
            return FEWEST_TURNED
        return AT_ONCE if self.permuted or self.name == "floats" else 1

    @property
    def permuted(self) -> bool:
        """Whether rows are done one after the other, and what they share a tree at a time: a few as quickly as many."""
        return isinstance(self.pairs[0][1], PermutedTrees | StagedTrees)


def form_of(
    name: TreeForm, pairs: Sequence[tuple[WideCodes | None, WideTrees]], cost: BatchCost, work: Mapping[str, float],
    least_rows: float, one_row: float | None = None, *, least_codes: int = 0,
) -> Form:  # fmt: skip
    """least_rows: of which a block takes trees; least_codes: of which it makes codes, 0: of those that are there."""
    cycles = {term: count * float(getattr(cost, term)) for term, count in work.items()}
    codes = cycles.get("code", 0.0)
    every = sum(cycles.values())
    of_block = least_rows * (every - codes) + least_codes * codes
    return Form(name, tuple(pairs), work, every, of_block, 0.0 if least_codes else codes, one_row)


def ranked_of(op: TreeOp) -> Ranked:
    before, plain = without_missing(op)
    if before:
        columns, n_low = before[0].columns.data.astype(np.int64), before[0].low
    else:
        columns, n_low = np.arange(op.n_features), 0
    return Ranked(plain, columns, n_low, threshold_keys(plain.nodes.threshold.data).astype(np.int64))


# What leaves add.


@dataclass(frozen=True, eq=False)
class Adding:
    adds: Adds
    of_leaf: Array  # the entry of each leaf
    start: float | int
    n_outputs: int
    values: Table | None = None

    def leaves(self, reached: Ints, first: bool, *, in_vectors: bool) -> Leaves:
        """reached: the leaf at each place, -1 where no row comes. in_vectors: entries are read as vectors."""
        start = self.start if first else 0
        unused = max(0, ENTRIES - reached.shape[1])
        of_place = np.where(reached >= 0, self.of_leaf[reached], np.zeros(1, self.of_leaf.dtype))
        entries = np.pad(of_place, ((0, 0), (0, unused)))
        entries = entries if in_vectors else self.alone(entries)
        return Leaves(self.adds, Table(entries, lines=True), start, self.n_outputs, self.values)

    def alone(self, entries: Array) -> Array:
        """Entries that are read one by one: indices with as many bytes as they need."""
        indices = self.adds in ("votes", "rows")
        return entries.astype(np.min_scalar_type(int(entries.max(initial=0)))) if indices else entries


def adding_of(op: TreeOp) -> Adding:
    if isinstance(op, TreeSum):
        return Adding("sum", op.values.data.astype(np.float32), op.start, 1)
    n_leaves = 1 + max(
        int(-1 - refs.data.astype(np.int64).min(initial=-1)) for refs in (op.nodes.left, op.nodes.right, op.nodes.root)
    )
    indices = np.arange(n_leaves, dtype=np.int32)
    if isinstance(op, TreeVotes):
        return Adding("votes", indices, 0, op.n_classes)
    if isinstance(op, TreeTotals) and op.single:
        return Adding("total", op.values.data.reshape(-1).astype(np.int32), op.start, 1)
    if isinstance(op, TreeTotals):
        rows = op.values.data.reshape(-1, op.n_outputs)
        kind = np.int16 if rows.dtype == np.int16 and op.unit <= np.iinfo(np.int16).max else np.int32
        if op.unit:
            rows = np.concatenate([np.eye(op.n_outputs, dtype=np.int64) * op.unit, rows])
        return Adding("rows", indices, op.start, op.n_outputs, Table(rows.astype(kind)))
    return Adding("total", indices, 0, 1)  # a leaf's number


# Layouts.


def complete(nodes: Nodes, depth: int, trees: slice) -> tuple[list[Ints], Ints]:
    """References of the splits of some trees, level by level, -1 where a leaf stands above; and of their leaves.

    Where a leaf stands above, all rows go left: to the right of there is no leaf, but -1.
    """
    at = nodes.root.data.astype(np.int64)[trees].reshape(-1, 1)
    comes = np.ones(at.shape, np.bool_)
    left, right = nodes.left.data.astype(np.int64), nodes.right.data.astype(np.int64)
    levels = []
    for _ in range(depth):
        inner = at >= 0
        node = np.where(inner, at, 0)
        levels.append(np.where(inner, at, -1))
        children = np.stack([np.where(inner, left[node], at), np.where(inner, right[node], at)], axis=2)
        comes = np.stack([comes, comes & inner], axis=2).reshape(len(at), -1)
        at = children.reshape(len(at), -1)
    assert (at < 0).all()
    return levels, np.where(comes, -1 - at, -1)


@dataclass(frozen=True, eq=False)
class Coded:
    """Some of the columns, those read by some of the trees, with thresholds; and a table of features and codes."""

    columns: Ints  # of the trees' row, the low ones first
    thresholds: tuple[Ints, ...]
    feature: Ints  # by node
    code: Ints

    @property
    def most(self) -> int:
        return max(len(keys) for keys in self.thresholds)


def columns_of(feature: Ints) -> Ints:
    """The distinct ones, ascending."""
    return np.flatnonzero(np.bincount(feature))


def coded_of(ranked: Ranked, nodes: Ints, *, whole: bool = False) -> Coded:
    """Codes for the columns that these nodes read, or for the whole row."""
    of_node = ranked.op.nodes.feature.data.astype(np.int64)
    columns = np.arange(ranked.op.n_features) if whole else columns_of(of_node[nodes])  # the low ones stay first
    feature, code = np.zeros(len(of_node), np.int64), np.zeros(len(of_node), np.int64)
    thresholds = []
    by_column = nodes[np.argsort(of_node[nodes], kind="stable")]
    ends = np.searchsorted(of_node[by_column], columns, side="right")
    for index, own in enumerate(np.split(by_column, ends[:-1])):
        keys, rank = np.unique(ranked.keys[own], return_inverse=True)
        feature[own], code[own] = index, rank
        thresholds.append(keys)
    return Coded(columns, tuple(thresholds), feature, code)


def codes_of(
    ranked: Ranked, coded: Coded, n_features: int, cost: BatchCost, *, stride: int = 0, search: Search | None = None,
    element: CodeElement = "u8", skip: int = 0, lines: BitLines | None = None,
) -> WideCodes:  # fmt: skip
    """By feature or in lines of bits for complete trees of few levels; by row, with that stride, for the others."""
    columns = ranked.columns[coded.columns]
    n, n_low = len(columns), int((coded.columns < ranked.n_low).sum())
    whole = n == n_features and bool((columns == np.arange(n)).all())
    of_row = stride > 0
    order: Order = "by_row" if of_row else "by_feature" if lines is None else "in_bits"
    if cost.counted and coded.most <= COUNTED and of_row and search is None:
        table = None if whole else Table(columns.astype(np.int32), lines=True)
        missing = np.full(-(-n // LANES) * LANES, PAD, np.int32)
        missing[:n_low] = LOWEST
        return WideCodes(
            n_features, n, table, n_low, element, "counted", order, cost.rows, stride,
            counted_keys(coded.thresholds, len(missing)), missing=Table(missing, lines=True),
        )  # fmt: skip
    table = None if whole else Table(columns.astype(np.min_scalar_type(int(columns.max()))))
    if of_row or not cost.grouped:
        keys, first, levels = searched_keys(coded.thresholds, cost.fan, SPAN_REACHES[-1] if cost.spans else 0)
        ends = np.append(first.data[1:, 0], keys.data.size).astype(np.int64)
        spans = spans_of(coded.thresholds, (ends - first.data[:, -1]).tolist()) if cost.spans else None
        return WideCodes(
            n_features, n, table, n_low, element, "searched", order, cost.rows, stride, keys, first, cost.fan, levels,
            signed=cost.signed and order == "by_feature", skip=skip, spans=spans, lines=lines,
        )  # fmt: skip
    keys = grouped_keys(coded.thresholds)
    return WideCodes(n_features, n, table, n_low, element, "grouped", order, cost.rows, stride, keys, lines=lines)


def code_work(maker: WideCodes, cost: BatchCost) -> float:
    """How often a row's codes pay the cycles of one."""
    if maker.search == "grouped":
        return maker.n * GROUPED[maker.places]
    if maker.search == "counted":
        return maker.padded * (COUNTED_BESIDES + COUNTED_EACH * maker.most)
    lined = 0.0 if maker.lines is None else LINED * maker.n
    if not cost.spans:
        return maker.n * SEARCHED[maker.order] + lined
    reach, begins = np.zeros(maker.n, np.uint8), 0
    if maker.spans is not None:
        reach, begins = maker.spans.reach_of(maker.n), maker.spans.begins.n_bytes
    lines = (maker.keys.n_bytes + begins) / (LINE_BYTES * maker.n)
    return sum(SPANNED[own] for own in reach.tolist()) + maker.n * LINES * min(1.0, lines / cost.rows) + lined


def far_levels(n_trees: int, nodes: Table, cost: BatchCost) -> dict[str, float]:
    """What waiting for nodes adds to the work of walks, on a target that states its cost."""
    levels = np.log2(max(1.0, nodes.n_bytes / NEAR_BYTES))
    return {"far_level": float(n_trees * levels)} if levels and cost.far_level is not None else {}


def fitting(numbers: Ints) -> Table:
    """With as many bytes as they need."""
    return Table(numbers.astype(np.min_scalar_type(int(numbers.max()))))
