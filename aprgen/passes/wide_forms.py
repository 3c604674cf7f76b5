"""The forms that trees can take for blocks of rows: how their codes and tables are laid out, and what each costs.

Knows cycles as numbers; knows no Program, no target by name and no C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aprgen.costs import BatchCost
from aprgen.ops.row_trees import FEW_PERMUTED
from aprgen.ops.six_levels import BELOW, BELOW_SPLITS, PermutedTrees, TurnedTrees
from aprgen.ops.trees import TreeOp
from aprgen.ops.walked_trees import LineTop, Ranks, Top, WalkedTrees
from aprgen.ops.wide_codes import (
    BYTE,
    CONSTANT,
    RESTS,
    BitLines,
    CodeElement,
    WideCodes,
    bit_lines,
    lines_of,
)
from aprgen.ops.wide_trees import LINE_BYTES, LINE_ROWS, TOP, TOP_SPLITS, BitTrees, Leaves, LevelTrees, WideTrees
from aprgen.passes.byte_ranks import ByteRanks, byte_ranks, row_ranks_of
from aprgen.passes.ranked_trees import (
    AT_ONCE,
    COUNTED,
    LANES,
    NEVER8,
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
    complete,
    far_levels,
    fitting,
    form_of,
    ranked_of,
)
from aprgen.program import Array, Table

Ints = NDArray[np.int64]

MOST_GROUPS = 32  # of trees that have codes of their own
LEVELS = 7  # of complete trees that are compared split by split; one more doubles the splits
FURTHEST = 65536  # that a column of a block can begin at
LEAST_ROWS = 128  # a block of levels takes as long for fewer
OF_BITS = 64  # the same where splits give bits of rows
LEAST_TURNED = 70  # rows: a block of turned trees takes as long for fewer
BESIDES = 128  # rows: where splits give bits, a block takes as long besides as for so many more
OF_LINES = 0.76  # of the rows of a block: few take as long where splits read lines of bits
WALKED_TOP = 5  # levels of them that vectors compare before; another one costs what it saves
WALKED_LINES = 6  # the same by lines of bits
TOP_ROWS = 64  # at once


def forms_of(op: TreeOp, n_features: int, cost: BatchCost) -> Iterator[Form]:
    ranked = ranked_of(op)
    adding = adding_of(ranked.op)
    if ranked.op.nodes.depth <= LEVELS:
        yield from _levels(ranked, adding, n_features, cost)
    if ranked.op.nodes.depth <= TOP + BELOW:
        yield from _permuted(ranked, adding, n_features, cost)
    if cost.walked_split is not None:
        yield from _walked(ranked, adding, n_features, cost)


def _levels(ranked: Ranked, adding: Adding, n_features: int, cost: BatchCost) -> Iterator[Form]:
    """Groups of trees, in which no column has more thresholds than a byte can count, and codes fit a block."""
    nodes = ranked.op.nodes
    depth = max(1, nodes.depth)
    levels, _ = complete(nodes, depth, slice(None))
    every = np.concatenate(levels, axis=1)
    most = min(cost.buffer_bytes, FURTHEST) // cost.rows
    if cost.level_split is not None:
        yield from _levels_in(ranked, adding, n_features, cost, every, lambda sizes: len(sizes) <= most)
    if cost.bit_split is not None and cost.rows == cost.bit_rows:
        lines = 8 * cost.line_bytes // cost.rows - CONSTANT - RESTS
        yield from _levels_in(
            ranked, adding, n_features, cost, every, lambda sizes: sum(sum(lines_of(size)) for size in sizes) <= lines,
            in_bits=True,
        )  # fmt: skip


def _levels_in(
    ranked: Ranked, adding: Adding, n_features: int, cost: BatchCost, every: Ints,
    fits: Callable[[Sequence[int]], bool], *, in_bits: bool = False,
) -> Iterator[Form]:  # fmt: skip
    """every: splits of complete trees. fits: whether a block has room for columns of so many thresholds."""
    depth = every.shape[1].bit_length()
    pairs: list[tuple[WideCodes | None, WideTrees]] = []
    per_split = "bit_split" if in_bits else "level_split"
    work: dict[str, float] = {"code": 0.0, "level_tree": 0.0, per_split: 0.0}
    share, least_rows = (1.0, OF_LINES * cost.rows) if in_bits else _of_few(cost)
    least_codes = 0
    groups = _groups(ranked, every, fits)
    if groups is None:
        return
    for trees in groups:
        inside = np.unique(every[trees][every[trees] >= 0])
        coded = coded_of(ranked, inside if len(inside) else np.zeros(1, np.int64))
        lines = bit_lines([len(keys) for keys in coded.thresholds]) if in_bits else None
        maker = codes_of(ranked, coded, n_features, cost, lines=lines)
        made = _level_trees(ranked, coded, depth, trees, adding, cost, lines)
        pairs.append((maker, made))
        whole = in_bits or cost.level_rows is None
        splits = made.n_trees * made.n_splits if whole else int((every[trees] >= 0).sum())
        work["code"] += code_work(maker, cost)
        work["level_tree"] += made.n_trees * share
        work[per_split] += splits * share
        least_codes = maker.at_once * LANES if maker.search == "grouped" else 0
    yield form_of("levels", pairs, cost, work, least_rows, least_codes=least_codes)


def _of_few(cost: BatchCost) -> tuple[float, float]:
    """How much more the trees of a block take than the target states, and for how many rows any block takes them."""
    if cost.level_rows is None:
        return 1.0, min(cost.rows, LEAST_ROWS)
    besides = 1 + BESIDES / cost.rows
    return besides / (1 + BESIDES / cost.level_rows), (OF_BITS + BESIDES) / besides


def _groups(ranked: Ranked, every: Ints, fits: Callable[[Sequence[int]], bool]) -> list[slice] | None:
    """Trees that follow each other, as many as codes of 8 bits can be made for; None: it takes too many groups."""
    feature = ranked.op.nodes.feature.data.tolist()
    keys = ranked.keys.tolist()
    groups: list[slice] = []
    start = 0
    seen: dict[int, set[int]] = {}
    for tree, own in enumerate(every.tolist()):
        added: dict[int, set[int]] = {}
        for node in own:
            if node >= 0:
                added.setdefault(feature[node], set()).add(keys[node])
        joined = {column: seen.get(column, set()) | more for column, more in added.items()}
        sizes = [len(thresholds) for thresholds in (seen | joined).values()]
        if any(size > NEVER8 for size in sizes) or not fits(sizes):
            groups.append(slice(start, tree))
            start, seen, joined = tree, {}, added
            if len(groups) >= MOST_GROUPS or not fits([len(thresholds) for thresholds in added.values()]):
                return None
        seen |= joined
    return [*groups, slice(start, len(every))]


def _level_trees(
    ranked: Ranked, coded: Coded, depth: int, trees: slice, adding: Adding, cost: BatchCost, lines: BitLines | None
) -> LevelTrees | BitTrees:  # fmt: skip
    levels, reached = complete(ranked.op.nodes, depth, trees)
    nodes = _left_to_right(levels)
    feature = np.where(nodes >= 0, coded.feature[nodes], 0)
    code = np.where(nodes >= 0, coded.code[nodes], NEVER8)
    leaves = adding.leaves(reached, trees.start == 0, in_vectors=True)
    if lines is not None:
        at = np.where(nodes[..., None] >= 0, lines.at(feature, code, cost.rows // BYTE), 0)
        return BitTrees(len(coded.columns), cost.rows, leaves, trees.start > 0, depth, lines, fitting(at))
    return LevelTrees(
        len(coded.columns), cost.rows, leaves, trees.start > 0, depth,
        Table((feature * cost.rows).astype(np.uint16)),
        Table((127 - code).astype(np.int8) if cost.signed else code.astype(np.uint8)),
    )  # fmt: skip


def _permuted(ranked: Ranked, adding: Adding, n_features: int, cost: BatchCost) -> Iterator[Form]:
    """Codes of a row in one or two vectors, of 8 bits where those are enough and bytes can be permuted. All levels row
    by row, or the first six in many rows at once."""
    nodes = ranked.op.nodes
    every = np.arange(nodes.n_nodes)
    coded = coded_of(ranked, every)
    kind: type[np.unsignedinteger] = np.uint16
    if coded.most <= NEVER8 and cost.permuted_bytes is not None:
        kind = np.uint8
    per_tree = "permuted_tree" if kind is np.uint16 else "permuted_bytes"
    lanes = LINE_BYTES // np.dtype(kind).itemsize
    never = int(np.iinfo(kind).max)
    if getattr(cost, per_tree) is None or len(coded.columns) > 2 * lanes or coded.most > never - (kind is np.uint16):
        return
    two_vectors = len(coded.columns) > lanes
    if ranked.op.n_features <= lanes * (1 + two_vectors):
        coded = coded_of(ranked, every, whole=True)
    stride = lanes * (1 + two_vectors)
    skip = int(coded.most > COUNTED and len(coded.columns) < stride)
    pad_feature, pad_code = _always_left(coded, skip)
    depth = max(TOP, nodes.depth)
    levels, reached = complete(nodes, depth, slice(None))
    n_trees = len(reached)

    def heaps(own: Sequence[Ints], splits: int) -> tuple[Ints, Ints]:
        """Features and codes of complete trees by level, from 1."""
        places = _heap_of(own, splits)
        feature = np.where(places >= 0, coded.feature[places] + skip, pad_feature)
        return feature, np.where(places >= 0, coded.code[places], pad_code)

    feature, code = heaps(levels[:TOP], TOP_SPLITS)
    below = None
    if depth > TOP:
        own = [level.reshape(n_trees * TOP_SPLITS, -1) for level in levels[TOP:]]
        pair = np.concatenate(heaps(own, BELOW_SPLITS), axis=1)
        fitting = np.min_scalar_type(int(pair.max()))  # so that kernels for codes of 8 and of 16 bits have it in common
        below = Table(pair.reshape(n_trees, TOP_SPLITS, 2 * BELOW_SPLITS).astype(fitting), lines=True)
    leaves = adding.leaves(reached, first=True, in_vectors=False)
    tables, row_ranks = (Table(feature.astype(kind), lines=True), Table(code.astype(kind), lines=True)), None
    top = _heap_of(levels[:TOP], TOP_SPLITS)
    ranks = byte_ranks(top, coded, skip) if coded.most > NEVER8 else None
    if ranks is not None and ranks.made.ranks.n_bytes > (leaves.entries if below is None else below).n_bytes:
        ranks = None
    if ranks is not None and cost.permuted_bytes is not None:
        row_ranks, bytes_of_splits = row_ranks_of(top, coded, ranks.made, skip)
        tables = bytes_of_splits, Table(ranks.code.astype(np.uint8), lines=True)
    made = PermutedTrees(
        len(coded.columns) + skip, cost.rows, leaves, False, stride, depth, below, *tables, row_ranks
    )  # fmt: skip
    element: CodeElement = "u8" if kind is np.uint8 else "u16"
    maker = codes_of(ranked, coded, n_features, cost, stride=stride, element=element, skip=skip)
    if cost.rows != cost.turned_rows:
        work: dict[str, float] = {"code": code_work(maker, cost), per_tree: n_trees}
        yield form_of("permuted", ((maker, made),), cost, work, 1, _one_permuted(maker, made, cost))
    yield from _turned(ranked, coded, maker, made, levels[:TOP], ranks, cost)


def _one_permuted(maker: WideCodes, trees: PermutedTrees, cost: BatchCost) -> float | None:
    """Cycles for 1,000 rows one by one."""
    if cost.permuted_row is None:
        return None
    codes = maker.n * 2.0 * cost.code
    if maker.search != "searched":  # a comparison a cycle for each threshold, 16 columns at once
        codes = min(codes, 1000 * maker.most * maker.padded // LANES)
    if trees.finer is not None:
        codes += trees.finer.n * 2 * (cost.turned_code or 0)
    of_step = cost.permuted_row if trees.n_trees > FEW_PERMUTED else cost.stepped_row or cost.permuted_row
    return codes + trees.n_trees * (1 + (trees.below is not None)) * of_step


def _turned(
    ranked: Ranked, coded: Coded, maker: WideCodes, of: PermutedTrees, levels: list[Ints], ranks: ByteRanks | None,
    cost: BatchCost,
) -> Iterator[Form]:  # fmt: skip
    """Permuted trees, of which many rows pass the first six levels at once, by lines of bits of codes of 8 bits."""
    per_tree = f"turned_{'bytes' if of.code_element == 'u8' else 'tree'}"
    if getattr(cost, per_tree) is None:
        return
    top = _left_to_right(levels)
    work: dict[str, float] = {per_tree: of.n_trees}
    skip = of.n_codes - len(coded.columns)
    finer: Ranks | None = None
    if coded.most <= NEVER8:
        code, lines = coded.code[top], bit_lines([len(keys) for keys in coded.thresholds])
        maker = replace(codes_of(ranked, coded, maker.n_in, cost), in_order=True)
        work["code"] = code_work(maker, cost)
    else:
        if ranks is None:
            return
        by_level, lines, finer = ranks.code, ranks.lines, ranks.made
        code = _left_to_right([by_level[:, 1 << level : 2 << level] for level in range(TOP)])
        work |= {"code": code_work(maker, cost), "turned_code": len(finer.columns.data)}
    first = Table(LINE_ROWS // BYTE * np.append(lines.first, lines.count), np.uint32)
    at = np.where(top[..., None] >= 0, lines.at(coded.feature[top], code, LINE_ROWS // BYTE), 0)
    made = TurnedTrees(
        of.n_codes if finer else maker.n, cost.rows, of.leaves, False, of.stride, of.depth, of.below, of.code_element,
        skip, lines.steps, first, fitting(at), finer,
    )  # fmt: skip
    if made.lines_bytes > cost.line_bytes:
        return
    yield form_of("permuted", ((maker, made),), cost, work, LEAST_TURNED)


def _heap_of(levels: Sequence[Ints], splits: int) -> Ints:
    """Splits of complete trees by level, from 1; -1 where there is none."""
    places = np.concatenate([np.full((len(levels[0]), 1), -1, np.int64), *levels], axis=1)
    return np.pad(places, ((0, 0), (0, splits - places.shape[1])), constant_values=-1)


def _left_to_right(levels: Sequence[Ints]) -> Ints:
    """References of the splits of complete trees, so that those of a level stand equally far apart."""
    depth = len(levels)
    nodes = np.full((len(levels[0]), (1 << depth) - 1), -1, np.int64)
    for level, own in enumerate(levels):
        apart = 1 << (depth - level)
        nodes[:, apart // 2 - 1 :: apart] = own
    return nodes


def _always_left(coded: Coded, skip: int) -> tuple[int, int]:
    """A feature and a code that no row's is above: zeros where they can be, which take no place in C."""
    if skip:
        return 0, 0
    fewest = min(range(len(coded.thresholds)), key=lambda index: len(coded.thresholds[index]))
    return fewest, len(coded.thresholds[fewest])


def _first_levels(table: Array, first: Ints, levels: int) -> tuple[Ints, Ints]:
    """Of trees whose nodes are in a table from `first` on the splits, 0 where there is none; and where the walk goes
    on."""
    at = first.reshape(-1, 1)
    splits = []
    for _ in range(levels):
        split, further = np.moveaxis(table[at].astype(np.int64), -1, 0)
        splits.append(split)
        right = at + further
        at = np.stack([right - (split > 0), right], axis=2).reshape(len(first), -1)
    return _left_to_right(splits), at - first.reshape(-1, 1)


def _line_top(table: Array, first: Ints, coded: Coded) -> LineTop:
    """The same by lines of bits."""
    splits, nodes = _first_levels(table, first, WALKED_LINES)
    there = splits > 0
    own = replace(coded, feature=(splits >> 16).reshape(-1), code=((splits & 0xFFFF) - 1).reshape(-1))
    ranks = byte_ranks(np.where(there, np.arange(splits.size).reshape(splits.shape), -1), own, 0)
    lines, line_bytes = ranks.lines, LINE_ROWS // BYTE
    at = np.where(there[..., None], lines.at(splits >> 16, ranks.code, line_bytes), 0)
    begins = Table(line_bytes * np.append(lines.first, lines.count), np.uint32)
    return LineTop(lines.steps, begins, fitting(at), ranks.made, fitting(nodes))


def _top(table: Array, first: Ints) -> Top:
    """The first levels of trees whose nodes are in a table from `first` on."""
    splits, nodes = _first_levels(table, first, WALKED_TOP)
    limit = np.where(splits > 0, 32768 - (splits & 0xFFFF), 0)
    return Top(WALKED_TOP, fitting(splits >> 16), Table(limit.astype(np.int16)), fitting(nodes))


def _walked(ranked: Ranked, adding: Adding, n_features: int, cost: BatchCost) -> Iterator[Form]:
    assert cost.walked_split is not None
    nodes = ranked.op.nodes
    if 2 * cost.rows * len(columns_of(nodes.feature.data)) > cost.buffer_bytes:
        return
    coded = coded_of(ranked, np.arange(nodes.n_nodes))
    if coded.most >= NEVER16:
        return
    left, right = nodes.left.data.astype(np.int64), nodes.right.data.astype(np.int64)
    references, steps, parts = [], [], []
    for root in nodes.root.data.astype(np.int64).tolist():
        level = np.array([root])
        own, children = [], []
        n, depth = 1, 0
        while len(level):
            inner = level >= 0
            own.append(level)
            place = n - len(level) + np.arange(len(level))
            child = n + 2 * np.cumsum(inner) - 1
            children.append(np.where(inner, child - place, 0))
            splits = level[inner]
            level = np.stack([left[splits], right[splits]], axis=1).reshape(-1)
            n += len(level)
            depth += len(level) > 0
        references.append(np.concatenate(own))
        parts.append(np.concatenate(children))
        steps.append(depth)
    sizes = [len(part) for part in parts]
    every = np.concatenate(references)
    inner = every >= 0
    node, leaf = np.where(inner, every, 0), np.where(inner, 0, -1 - every)
    split = np.where(inner, coded.feature[node] << 16 | coded.code[node] + 1, 0)
    entries = np.where(inner, np.zeros(1, adding.of_leaf.dtype), adding.of_leaf[leaf])
    first = np.cumsum([0, *sizes[:-1]])
    table = np.stack([split, np.concatenate(parts)], axis=1).astype(np.uint32)
    leaves = Leaves(adding.adds, Table(adding.alone(entries)), adding.start, adding.n_outputs, adding.values)
    in_vectors = cost.walked_top is not None and cost.rows % TOP_ROWS == 0 and max(steps) > WALKED_TOP
    room = 4 * cost.rows * len(coded.columns) <= cost.buffer_bytes  # for codes row by row and in columns
    top = _top(table, first) if in_vectors and room else None
    made = WalkedTrees(
        len(coded.columns), cost.rows, leaves, False, len(coded.columns), Table(table, lines=True), fitting(first),
        fitting(np.array(steps)), top,
    )  # fmt: skip
    maker = codes_of(ranked, coded, n_features, cost, stride=len(coded.columns), search="searched", element="u16")
    codes = maker.n * 2 * cost.code
    one_row = None if cost.walked_row is None else codes + cost.walked_row * sum(steps)
    work: dict[str, float] = {"code": code_work(maker, cost), "walked_split": sum(steps)}
    least_rows = float(AT_ONCE)
    if top is not None:
        work |= {"walked_top": len(steps), "walked_split": sum(max(0, own - WALKED_TOP) for own in steps)}
        of_top, of_splits = work["walked_top"] * (cost.walked_top or 0), work["walked_split"] * cost.walked_split
        least_rows = (TOP_ROWS * of_top + AT_ONCE * of_splits) // (of_top + of_splits)
    work |= far_levels(len(steps), made.nodes, cost)
    if cost.rows != cost.bit_rows or cost.walked_lines is None:
        yield form_of("walked", ((maker, made),), cost, work, least_rows, one_row)
        return
    if max(steps) <= WALKED_LINES:
        return
    lines = _line_top(table, first, coded)
    if lines.lines_bytes > cost.line_bytes:
        return
    work = {
        "code": code_work(maker, cost), "walked_lines": len(steps), "turned_code": len(lines.finer.columns.data),
        "walked_split": sum(max(0, own - WALKED_LINES) for own in steps),
    } | far_levels(len(steps), made.nodes, cost)  # fmt: skip
    of_top = len(steps) * cost.walked_lines + work["turned_code"] * (cost.turned_code or 0)
    of_splits = work["walked_split"] * cost.walked_split
    least_rows = (LEAST_TURNED * of_top + AT_ONCE * of_splits) // (of_top + of_splits)
    yield form_of("walked", ((maker, replace(made, top=lines)),), cost, work, least_rows, one_row)
