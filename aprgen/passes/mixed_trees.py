"""Mixed trees pass: the splits that most rows pass become code, what is below them goes into packed words.

Where the code ends is chosen at every node by what it saves and what it takes, with a price in bytes for an
instruction. Knows these costs as numbers; knows no C.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from aprgen.ops.packed_trees import MixedTrees
from aprgen.ops.shaped_trees import Adds, Counters, TreePart
from aprgen.ops.trees import TreeOp, TreeSum, TreeTotals, TreeVotes
from aprgen.passes.counters import counted
from aprgen.passes.flat_trees import (
    FlatTrees,
    Ints,
    ends_of,
    leaves_of,
    longest_paths,
    reached,
    shares_left,
    starts_of,
    subtree_sizes,
)
from aprgen.passes.goals import Goal
from aprgen.passes.joined_trees import Prices, Splits, joined
from aprgen.passes.tree_shapes import (
    MAX_NESTING,
    TREE_SPLITS,
    CodedTrees,
    Leaves,
    PackedWords,
    fitting_words,
    grouped_roots,
    parts_in_order,
    sparse_rows,
    use_of,
)
from aprgen.program import Table

BYTES_PER_INSTRUCTION = (16.0, 64.0)  # prices to choose from, of an instruction of the mean
SMALLEST = 0.0  # the price for trees that are too small to be divided at those

# Bytes and instructions of Thumb.
PACKED_SPLIT = (5.0, 9.5)  # with its share of the leaves
PACKED_WALK = (0.0, 14.0)  # the loop and the call around a walk
END = (8.0, 3.0)  # a node is listed
LEAF = (4.0, 4.0)  # of trees that stand alone


@dataclass(frozen=True, eq=False)
class _Divided:
    """hot: a reference below 0 is a leaf, or `first_node` plus the number of a packed node."""

    hot: CodedTrees
    cold: CodedTrees
    words: PackedWords
    first_node: int


def mixed(
    op: TreeOp, coded: CodedTrees, goal: Goal, split: tuple[float, float], bytes_per_instruction: float
) -> MixedTrees | None:
    """The op's trees as code down to where packed words are worth more; None when all is one of both, or does not fit.

    split: bytes and instructions of one in code.
    """
    trees = coded.trees
    sizes = ends_of(trees) - starts_of(trees)
    if coded.element == "i32" or sizes.max() > TREE_SPLITS:
        return None
    goes_on = _ends_of_code(op, coded, split, bytes_per_instruction)
    least = min(0, int(coded.code.min()))
    divided = _divided(coded, goes_on, least)
    if divided is None or divided.hot.trees.n_nodes == 0 or divided.hot.trees.depth.max() > MAX_NESTING:
        return None
    use, n_classes, start = use_of(op)
    counters: Counters | None = None
    numbers = np.array(divided.words.leaves.table, np.int64)
    values = op.values if isinstance(op, TreeSum | TreeTotals) else None
    hot, first_node = divided.hot, divided.first_node
    if isinstance(op, TreeVotes | TreeTotals):
        parts, counters = _joined(op, hot, first_node, goal)
        leaf: Table | None = None
        if isinstance(op, TreeTotals) and n_classes == 1:
            values = Table(op.values.data.reshape(-1)[numbers])
        elif isinstance(op, TreeTotals):
            values, leaf = _rows_of(op, numbers)
        else:
            leaf = _narrow(numbers)
    elif isinstance(op, TreeSum):
        hot, first_node, values = _by_position(op, divided, numbers)
        parts, leaf = parts_in_order(hot, _sizes(hot.trees)), None
    else:
        parts, leaf = parts_in_order(hot, _sizes(hot.trees)), _narrow(numbers)
    if not parts:
        return None
    words = divided.words
    rows = sparse_rows(values, n_classes) if use == "totals" else None
    return MixedTrees(
        use, len(coded.columns), coded.element, n_classes, values if rows is None else None, start,
        op.unit if isinstance(op, TreeTotals) else 0,
        words=words.words, leaf=leaf, two_words=words.two_words, feature_bits=words.feature_bits,
        leaf_bits=words.leaf_bits, jump_bits=words.jump_bits, depth=max(1, int(divided.cold.trees.depth.max())),
        least=least, rows=rows, parts=parts, counters=counters, first_node=first_node,
        n_listed=max(part.n_trees for part in parts),
    )  # fmt: skip


def _narrow(numbers: Ints) -> Table:
    return Table(numbers.astype(np.min_scalar_type(int(numbers.max()))))


def _sizes(trees: FlatTrees) -> Ints:
    return ends_of(trees) - starts_of(trees)


def _rows_of(op: TreeTotals, numbers: Ints) -> tuple[Table, Table]:
    """The rows of values that packed leaves add, and the leaves by their new numbers; pure ones keep theirs."""
    pure = op.n_outputs if op.unit else 0
    used = np.unique(numbers[numbers >= pure])
    rows = op.values.data.reshape(-1, op.n_outputs)[used - pure]
    renumbered = np.where(numbers < pure, numbers, pure + np.searchsorted(used, numbers))
    return Table(rows.reshape(-1)), _narrow(renumbered)


def _by_position(op: TreeSum, divided: _Divided, numbers: Ints) -> tuple[CodedTrees, int, Table]:
    """Values where packed leaves have them and those of other leaves behind; trees whose leaves are these places."""
    trees = divided.hot.trees
    place = {int(number): position for position, number in reversed(list(enumerate(numbers.tolist())))}
    order = numbers.tolist()
    for column in (trees.left, trees.right, trees.root):
        for leaf in (~column[column < 0]).tolist():
            if leaf < divided.first_node and leaf not in place:
                place[leaf] = len(order)
                order.append(leaf)

    def moved(column: Ints) -> Ints:
        return np.array([_moved(one, place, divided.first_node, len(order)) for one in column.tolist()], np.int64)

    placed = replace(trees, left=moved(trees.left), right=moved(trees.right), root=moved(trees.root))
    return replace(divided.hot, trees=placed), len(order), Table(op.values.data[np.array(order)])


def _moved(reference: int, place: Mapping[int, int], first_node: int, n_places: int) -> int:
    if reference >= 0:
        return reference
    leaf = ~reference
    return ~(leaf - first_node + n_places if leaf >= first_node else place[leaf])


def _joined(
    op: TreeVotes | TreeTotals, hot: CodedTrees, first_node: int, goal: Goal
) -> tuple[tuple[TreePart, ...], Counters]:
    """Parts of joined trees, in which the end of code is an addition to the counter of its node."""
    trees = hot.trees
    places = zip(trees.root.tolist(), ends_of(trees).tolist(), strict=True)
    every = [leaves_of(trees, root, end) for root, end in places]
    counting = counted(op, every, first_node)
    counters = counting.counters
    listing = counters.words + counters.n_outputs
    adds: dict[int, Adds] = {
        leaf: ((listing + leaf - first_node, 1),) if leaf >= first_node else own for leaf, own in counting.adds.items()
    }
    columns = (hot.feature, hot.code, trees.left, trees.right, shares_left(trees))
    splits = Splits(*(column.tolist() for column in columns))
    grouped = grouped_roots(hot, _sizes(trees))
    branches, always = joined(splits, grouped, adds, Prices(goal, counters.words, counters.in_registers))
    parts = tuple(TreePart(one, len(roots)) for one, roots in zip(branches, grouped, strict=True) if len(one.feature))
    return parts, counters.after(always)


def _ends_of_code(
    op: TreeOp, coded: CodedTrees, split: tuple[float, float], bytes_per_instruction: float
) -> set[int | tuple[int, int]]:
    """Where walks go on: nodes, and leaves as their parent and side. Each node by its cost, from the leaves up."""
    trees = coded.trees
    goes_left, goes_right = reached(trees)
    left, right = trees.left.tolist(), trees.right.tolist()
    prices = _leaf_prices(op, trees)
    in_code, walked = np.zeros(trees.n_nodes), np.zeros(trees.n_nodes)
    inside = np.zeros(trees.n_nodes)
    found: set[int | tuple[int, int]] = set()
    at_root = set(trees.root.tolist())

    def cost(of: tuple[float, float], times: float) -> float:
        return of[0] + bytes_per_instruction * times * of[1]

    for node in reversed(range(trees.n_nodes)):
        times = (float(goes_left[node]), float(goes_right[node]))
        own = sum(times)
        in_code[node], walked[node], inside[node] = cost(split, own), 1.0, 1.0
        for side, child in enumerate((left[node], right[node])):
            if child >= 0:
                in_code[node] += in_code[child]
                walked[node] += walked[child] * (times[side] / own if own else 0.5)
                inside[node] += inside[child]
                continue
            size, work, row = prices[~child]
            stays = cost((size, work), times[side])
            goes = row + cost(_walk(1.0, 1.0), times[side])
            if goes < stays:
                found.add((node, side))
            in_code[node] += min(goes, stays)
        goes = cost(_walk(float(inside[node]), float(walked[node])), own)
        if goes < in_code[node] and node not in at_root:
            found.add(node)
            in_code[node] = goes
    return found


def _walk(splits: float, walked: float) -> tuple[float, float]:
    """Bytes and instructions of an end of code, the nodes behind it, and a walk."""
    return END[0] + splits * PACKED_SPLIT[0], END[1] + PACKED_WALK[1] + walked * PACKED_SPLIT[1]


def _leaf_prices(op: TreeOp, trees: FlatTrees) -> dict[int, tuple[float, float, float]]:
    """Bytes and instructions of each leaf in code, and bytes of its own that a packed one needs."""
    places = zip(trees.root.tolist(), ends_of(trees).tolist(), strict=True)
    every = [leaves_of(trees, root, end) for root, end in places]
    if not isinstance(op, TreeVotes | TreeTotals):
        return {int(leaf): (*LEAF, 0.0) for leaf in np.unique(np.concatenate(every))}
    counting = counted(op, every)
    size, work = (Prices(goal, counting.counters.words, counting.counters.in_registers) for goal in ("size", "mean"))
    pure = op.n_classes if isinstance(op, TreeVotes) else op.n_outputs if op.unit else 0
    entry = op.values.data.itemsize + 1 if isinstance(op, TreeTotals) else 0
    found = {}
    for leaf, adds in counting.adds.items():
        of = dict(adds)
        found[leaf] = (size.of(of) + 1, work.of(of) + 0.5, 0.0 if leaf < pure else float(entry * len(adds)))
    return found


def _divided(coded: CodedTrees, goes_on: set[int | tuple[int, int]], least: int) -> _Divided | None:
    """The trees of the code, and those of the words, which begin where it ends; None without words, or where they do
    not fit."""
    trees = coded.trees
    sides = (trees.left, trees.right)
    kept: list[int] = []
    begins: list[tuple[int, int, int]] = []  # a kept node, its side, and the reference that is packed
    for root in trees.root.tolist():
        waiting = [root] if root >= 0 else []
        while waiting:
            node = waiting.pop()
            kept.append(node)
            for side in (1, 0):  # the left one is next
                child = int(sides[side][node])
                if (child if child >= 0 else (node, side)) in goes_on:
                    begins.append((node, side, child))
                elif child >= 0:
                    waiting.append(child)
    if not begins or not kept:
        return None
    cold = _gathered(coded, [child for _, _, child in begins], least)
    if cold.trees.n_nodes == 0:
        return None
    words = fitting_words(cold, (Leaves(cold.trees, per_tree=False),))
    if words is None or words.leaves.root.max() > np.iinfo(np.uint16).max:
        return None
    hot_nodes = np.array(kept, np.int64)
    number = np.full(trees.n_nodes, -1, np.int64)
    number[hot_nodes] = np.arange(len(hot_nodes))
    first_node = 1 + max(int((~column).max()) for column in (*sides, trees.root))
    left, right = (np.where(side >= 0, number[np.maximum(side, 0)], side) for side in sides)
    for (node, side, _), root in zip(begins, words.leaves.root.tolist(), strict=True):
        (left, right)[side][node] = ~(first_node + root)
    roots = np.where(trees.root >= 0, number[np.maximum(trees.root, 0)], trees.root)
    hot = FlatTrees(
        trees.feature[hot_nodes], trees.key[hot_nodes], left[hot_nodes], right[hot_nodes], roots,
        longest_paths(left[hot_nodes], right[hot_nodes], roots), None if trees.seen is None else trees.seen[hot_nodes],
    )  # fmt: skip
    code = coded.code[hot_nodes]
    return _Divided(replace(coded, trees=hot, feature=coded.feature[hot_nodes], code=code), cold, words, first_node)


def _gathered(coded: CodedTrees, roots: list[int], least: int) -> CodedTrees:
    """Subtrees as trees of their own, a leaf as one, without what their codes have below 0."""
    trees = coded.trees
    sizes = subtree_sizes(trees)
    nodes = [np.arange(root, root + int(sizes[root])) for root in roots if root >= 0]
    origin = np.concatenate(nodes) if nodes else np.zeros(0, np.int64)
    number = np.full(trees.n_nodes, -1, np.int64)
    number[origin] = np.arange(len(origin))
    left, right = (
        np.where(side[origin] >= 0, number[np.maximum(side[origin], 0)], side[origin])
        for side in (trees.left, trees.right)
    )
    root = np.array([number[one] if one >= 0 else one for one in roots], np.int64)
    made = FlatTrees(trees.feature[origin], trees.key[origin], left, right, root, longest_paths(left, right, root))
    return replace(coded, trees=made, feature=coded.feature[origin], code=coded.code[origin] - least)
