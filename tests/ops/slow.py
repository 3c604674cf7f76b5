"""The ops again, slowly: Python loops over float32 scalars, one rounding per operation, written from their docstrings.

exp, log and the like are taken from mathf (tests/math compares those with the C and with the exact functions).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from aprgen import mathf
from aprgen.ops.called_trees import CalledTrees
from aprgen.ops.codes import BitKeys, FloatKeysInLine, RankCodes, ShiftCodes, ShiftCodesInLine, WithoutSign
from aprgen.ops.compact_trees import CompactTrees
from aprgen.ops.decide import Argmax, Argmin, Lookup, Threshold
from aprgen.ops.dense import Dense
from aprgen.ops.distance import Neighbours, SquaredDistance
from aprgen.ops.elementwise import Map
from aprgen.ops.gauss import Gauss
from aprgen.ops.missing import MissingLow
from aprgen.ops.mixture import Concat, TopMix
from aprgen.ops.normalise import Complement, Normalise, Softmax
from aprgen.ops.packed_trees import MixedTrees, PackedNodes, PackedTrees
from aprgen.ops.shaped_trees import Branches, BranchTrees, ShapedTrees
from aprgen.ops.trees import FloatKeys, Nodes, TreeLeaf, TreeOp, TreeSum, TreeTotals, TreeVotes

F = np.float32
Row = Sequence[np.float32]


def one(function: Callable[..., np.ndarray], *values: np.float32) -> np.float32:
    return F(function(*(np.array([v], np.float32) for v in values))[0])


def total(values: Row) -> np.float32:
    acc = F(0)
    for value in values:
        acc = F(acc + value)
    return acc


def dense(op: Dense, x: Row) -> list[np.float32]:
    out = []
    for r in range(op.rows):
        weight = op.weight.data[r]
        products = [F(w * v) for w, v in zip(weight, x, strict=True)]
        if op.bias_order == "last":
            acc = products[0]
            for product in products[1:]:
                acc = F(acc + product)
            assert op.bias is not None
            out.append(F(acc + op.bias.data[r]))
            continue
        acc = op.bias.data[r] if op.bias is not None else F(0)
        for product in products:
            acc = F(acc + product)
        out.append(acc)
    return out


def squared_distance(op: SquaredDistance, x: Row) -> list[np.float32]:
    return [total([F(F(v - p) * F(v - p)) for v, p in zip(x, point, strict=True)]) for point in op.points.data]


def distance(op: Neighbours, x: Row, point: Row) -> np.float32:
    gaps = [F(v - p) for v, p in zip(x, point, strict=True)]
    if op.metric == "euclidean":
        return F(np.sqrt(total([F(g * g) for g in gaps])))
    if op.metric == "manhattan":
        return total([F(abs(g)) for g in gaps])
    powers = [one(mathf.powf, F(abs(g)), F(op.power)) for g in gaps]
    return one(mathf.powf, total(powers), F(F(1) / F(op.power)))


def neighbours(op: Neighbours, x: Row) -> list[np.float32]:
    distances = [distance(op, x, point) for point in op.points.data]
    if any(math.isnan(d) for d in distances):
        return [F(np.nan)] * op.n_classes
    votes = [F(0)] * op.n_classes
    for index in sorted(range(len(distances)), key=lambda i: (float(distances[i]), i))[: op.k]:
        near = distances[index]
        weight = F(1) if not op.weighted or near < F(op.near) else F(F(1) / near)
        c = int(op.classes.data[index])
        votes[c] = F(votes[c] + weight)
    return votes


def gauss(op: Gauss, x: Row) -> list[np.float32]:
    out = []
    for c in range(len(op.centre.data)):
        acc = F(0) if op.start is None else op.start.data[c]
        for j, value in enumerate(x):
            d = F(value - op.centre.data[c, j])
            quotient = F(F(d * d) / op.divisor.data[c, j])
            acc = F(acc + (F(-quotient) if op.offset is None else F(op.offset.data[c, j] - quotient)))
        out.append(acc)
    return out


VERBS: dict[str, Callable[[np.float32, np.float32], np.float32]] = {
    "add": lambda v, c: F(v + c),
    "sub": lambda v, c: F(v - c),
    "mul": lambda v, c: F(v * c),
    "div": lambda v, c: F(v / c),
    "leaky_relu": lambda v, c: v if v > 0 else F(v * c),
    "neg": lambda v, _: F(-v),
    "relu": lambda v, _: v if v > 0 else F(0),
    "exp": lambda v, _: one(mathf.expf, v),
    "exp2": lambda v, _: one(mathf.exp2f, v),
    "tanh": lambda v, _: one(mathf.tanhf, v),
    "sigmoid": lambda v, _: F(F(1) / F(F(1) + one(mathf.expf, F(-v)))),
    "gelu": lambda v, _: one(mathf.geluf, v),
}


def mapped(op: Map, x: Row) -> list[np.float32]:
    out = []
    for i, value in enumerate(x):
        v = value
        for stage in op.stages:
            constant = F(0 if stage.constant is None else stage.constant)
            operand = constant if stage.each is None else stage.each.data[i]
            if stage.verb == "keep":
                assert stage.mask is not None
                v = v if stage.mask.data[i] else constant
            else:
                v = VERBS[stage.verb](v, operand)
        out.append(v)
    return out


def softmax(op: Softmax, x: Row) -> list[np.float32]:
    largest = F(-np.inf)
    for value in x:
        if value > largest:
            largest = value
    e = [one(mathf.expf, F(value - largest)) for value in x]
    if op.by_reciprocal:
        reciprocal = F(F(1) / total(e))
        return [F(value * reciprocal) for value in e]
    return [F(value / total(e)) for value in e]


def normalise(op: Normalise, x: Row) -> list[np.float32]:
    sums = total(x)
    if op.floor is not None and not sums > F(op.floor):
        return [F(F(1) / F(op.size))] * op.size
    return [F(value / sums) for value in x]


def complement(_: Complement, x: Row) -> list[np.float32]:
    return [F(F(1) - x[0]), x[0]]


def argmax(op: Argmax, x: Row) -> list[int]:
    best, index = x[0], 0
    for i, value in enumerate(x):
        if i and (value >= best if op.last_wins else value > best):
            best, index = value, i
    if op.nan_gives_zero and any(math.isnan(v) for v in x):
        return [0]
    return [index if op.labels is None else int(op.labels.data[index])]


def argmin(_: Argmin, x: Row) -> list[int]:
    best, index = math.inf, 0
    for i, value in enumerate(x):
        if value < best:
            best, index = float(value), i
    return [index]


def threshold(op: Threshold, x: Row) -> list[int]:
    holds = x[0] >= F(op.limit) if op.compare == "ge" else x[0] < F(op.limit)
    return [op.then if holds else op.otherwise]


def lookup(op: Lookup, x: Sequence[int]) -> list[np.generic]:
    return [op.table.data[int(i)] for i in x[: op.size]]


def top_mix(op: TopMix, weights: Row, values: Row) -> list[np.float32]:
    order = sorted(range(op.size), key=lambda i: (-float(weights[i]), i))[: op.k]
    sums = total([weights[i] for i in order])
    return [total([F(F(weights[i] / sums) * values[i]) for i in order])]


def concat(_: Concat, *inputs: Row) -> list[np.float32]:
    return [value for x in inputs for value in x]


def key(value: np.float32) -> int:
    """Order-preserving: the position among all floats, counted from zero; a NaN behind all."""
    if math.isnan(value):
        return 2**31 - 1
    bits = int(np.abs(value).view(np.uint32))
    if value > 0 or bits == 0:
        return bits
    return -1 - bits


def float_keys(op: FloatKeys, x: Row) -> list[int]:
    columns = range(op.n_in) if op.columns is None else op.columns.data
    return [key(x[int(c)]) for c in columns]


def walk(nodes: Nodes, root: int, x: Sequence[np.float32] | Sequence[int]) -> int:
    at = root
    while at >= 0:
        goes_left = x[int(nodes.feature.data[at])] <= nodes.threshold.data[at]
        at = int(nodes.left.data[at] if goes_left else nodes.right.data[at])
    return ~at


def compared(op: TreeOp, x: Row) -> Sequence[np.float32] | Sequence[int]:
    return [key(value) for value in x] if op.compare == "late_key" else x


def tree_leaf(op: TreeLeaf, x: Row) -> list[int]:
    return [walk(op.nodes, int(op.nodes.root.data[0]), compared(op, x))]


def tree_votes(op: TreeVotes, x: Row) -> list[int]:
    leaves = [walk(op.nodes, int(root), compared(op, x)) for root in op.nodes.root.data]
    return [leaves.count(c) for c in range(op.n_classes)]


def tree_sum(op: TreeSum, x: Row) -> list[np.float32]:
    acc = F(op.start)
    for root in op.nodes.root.data:
        acc = F(acc + op.values.data[walk(op.nodes, int(root), compared(op, x))])
    return [acc]


def tree_totals(op: TreeTotals, x: Row) -> list[int]:
    total = [op.start] * op.n_outputs
    for root in op.nodes.root.data:
        leaf = walk(op.nodes, int(root), compared(op, x))
        for c in range(op.n_outputs):
            if op.unit and leaf < op.n_outputs:
                total[c] += op.unit if c == leaf else 0
            else:
                total[c] += int(op.values.data.reshape(-1)[(leaf - op.pure) * op.n_outputs + c])
    return total


def shift_codes(op: ShiftCodes | ShiftCodesInLine, x: Row) -> list[int]:
    """The least k with key <= base + k * 2^shift, or top."""
    return [
        next((k for k in range(op.top) if key(x[int(c)]) <= op.base + k * 2**op.shift), op.top) for c in op.read
    ]


def bit_keys(op: BitKeys, x: Row) -> list[int]:
    """Bits read as a signed number; a NaN with a sign is the largest."""
    bits = [int(F(x[int(c)]).view(np.uint32)) for c in op.read]
    return [2**31 - 1 if b > 0xFF800000 else b - 2**32 if b >= 2**31 else b for b in bits]


def without_sign(op: WithoutSign, x: Sequence[int]) -> list[int]:
    return [min(max(x[c], 0), 255 if op.narrow else 32767) for c in op.order]


def missing_low(op: MissingLow, x: Row) -> list[np.float32]:
    read = [x[int(c)] for c in op.columns.data]
    return [F(-np.inf) if i < op.low and math.isnan(v) else v for i, v in enumerate(read)]


def keys_in_line(op: FloatKeysInLine, x: Row) -> list[int]:
    return [key(x[c]) for c in op.order]


def rank_codes(op: RankCodes, x: Row) -> list[int]:
    codes = []
    for i, c in enumerate(op.columns.data):
        keys = op.thresholds.data[int(op.first.data[i]) : int(op.first.data[i + 1])]
        codes.append(sum(1 for k in keys if k < key(x[int(c)])))
    return codes


def reached(trees: Branches, x: Sequence[int], block: int) -> list[int]:
    """What a row meets from a block on, going into every split."""
    found = [int(trees.leaf[block])] if trees.leaf[block] >= 0 else []
    for split in range(trees.first[block], trees.first[block + 1]):
        side = trees.left if x[int(trees.feature[split])] <= trees.code[split] else trees.right
        found += reached(trees, x, int(side[split]))
    return found


def branch_leaves(op: BranchTrees | MixedTrees, x: Sequence[int]) -> list[int]:
    return [leaf for part in op.parts for root in part.branches.root for leaf in reached(part.branches, x, int(root))]


def counted(op: BranchTrees | MixedTrees, x: Sequence[int]) -> list[int]:
    """Counters as whole numbers, cut to 32 bits at the end only."""
    counters = op.counters
    assert counters is not None
    values = [*counters.begin, *counters.offset]
    for part in op.parts:
        for leaf in reached(part.branches, x, int(part.branches.root[0])):
            for counter, constant in part.branches.adds[leaf]:
                if counter < len(values):
                    values[counter] += constant
                else:
                    assert isinstance(op, MixedTrees)
                    place = packed_leaf(op, x, counter - len(values))
                    number = place if op.leaf is None else int(op.leaf.data[place])
                    for c in range(op.n_classes):
                        values[counters.words + c] += number == c if op.use == "votes" else totalled(op, number, c)
    outputs = values[counters.words :]
    for output, field in enumerate(counters.fields):
        word = values[field.word] % 2**32
        signed = word - 2**32 if word >= 2**31 else word
        outputs[output] += counters.unit * (word // 2**field.shift % (field.mask + 1) if field.mask else signed)
    return outputs


def packed_leaf(op: PackedNodes, x: Sequence[int], at: int) -> int:
    """The place of the leaf that is reached from a node; fields out of the words, as numbers read from the last bit."""
    words = [int(w) for w in op.words.data]
    while True:
        first = words[2 * at] if op.two_words else words[at]
        low, rest = first % 2**op.feature_bits, first // 2**op.feature_bits
        left_ends, right_ends, rest = rest % 2, rest // 2 % 2, rest // 4
        if op.two_words:
            code, rest = rest, words[2 * at + 1]
        leaf, jump = rest % 2**op.leaf_bits, rest // 2**op.leaf_bits % 2**op.jump_bits
        if not op.two_words:
            code = rest // 2 ** (op.leaf_bits + op.jump_bits)
        right = x[low] > code + op.least
        if right_ends if right else left_ends:
            return leaf + (left_ends if right else 0)
        at += jump if right else 1


def packed_leaves(op: PackedTrees, x: Sequence[int]) -> list[int]:
    places = [
        packed_leaf(op, x, int(root)) + (0 if op.base is None else int(op.base.data[tree]))
        for tree, root in enumerate(op.root.data)
    ]
    return places if op.leaf is None else [int(op.leaf.data[place]) for place in places]


def mixed_leaves(op: MixedTrees, x: Sequence[int]) -> list[int]:
    leaves = []
    for leaf in branch_leaves(op, x):
        if leaf < op.first_node:
            leaves.append(leaf)
        else:
            place = packed_leaf(op, x, leaf - op.first_node)
            leaves.append(place if op.leaf is None else int(op.leaf.data[place]))
    return leaves


def compact_outputs(op: CompactTrees, x: Sequence[int]) -> list[int]:
    """Leaves of the branches, and from where they end on byte by byte."""
    data, entries = op.nodes.data.tolist(), op.entries.data.tolist()
    outputs = [int(op.start)] * op.n_classes

    def add(leaf: int, name: int) -> None:
        if leaf < 14:
            outputs[leaf] += op.unit
            return
        at = data[name] + 256 * data[name + 1]
        while True:
            outputs[entries[at] % 128] += entries[at + 1] + 256 * entries[at + 2]
            if entries[at] >= 128:
                return
            at += 3

    for part in op.parts:
        for tree in part.trees:
            (leaf,) = reached(part.branches, x, tree.root)
            if leaf < op.n_classes:
                outputs[leaf] += op.unit
                continue
            at = 2 * (leaf - op.n_classes + tree.base)
            while True:
                head, code, place = data[at : at + 3]
                left_ends, right_ends = head // 64 % 2, head // 128
                at += 3
                right = x[head % 64] > code
                if right_ends if right else left_ends:
                    if left_ends and right_ends:
                        leaf = place % 16 if right else place // 16
                        add(leaf, at + 2 * (leaf - 14))
                    else:
                        add(place, at + place - 14)
                    break
                at += place if right and not left_ends else 0
    return outputs


def totalled(op: ShapedTrees, leaf: int, c: int) -> int:
    """What a leaf adds to total c: the unit to that of its number, or a row behind those leaves, or a constant."""
    if op.unit and leaf < op.n_classes:
        return op.unit if leaf == c else 0
    rows = op.rows if isinstance(op, PackedNodes) else None
    if rows is not None:
        row = leaf - op.pure
        entries = range(int(rows.first.data[row]), int(rows.first.data[row + 1]))
        return sum(int(rows.amount.data[i]) for i in entries if rows.output.data[i] == c)
    return int(op.values.data.reshape(-1)[(leaf - op.pure) * op.n_classes + c])  # type: ignore[union-attr]


def called_outputs(op: CalledTrees, x: Sequence[int]) -> list[int]:
    """What the function adds in which each tree ends."""
    entries = op.entries.data.tolist()
    outputs = [int(op.start)] * op.n_classes
    for tree in op.trees:
        (leaf,) = reached(op.branches, x, tree.root)
        number = leaf - op.n_classes
        if number < 0:
            outputs[leaf] += op.unit
        elif number < len(op.shares):
            share = op.shares[number]
            outputs[op.pairs[share.pair].first] += share.first
            outputs[op.pairs[share.pair].second] += op.unit - share.first
        else:
            at = op.places[number - len(op.shares)]
            while True:
                outputs[entries[at] % 128] += entries[at + 1] + 256 * entries[at + 2]
                if entries[at] >= 128:
                    break
                at += 3
    return outputs


def shaped_trees(op: ShapedTrees, row: Sequence[int] | Row) -> Sequence[int | np.float32]:
    x = [key(value) for value in row] if op.element == "f32" else row  # type: ignore[arg-type]
    if isinstance(op, BranchTrees | MixedTrees) and op.counters is not None:
        return counted(op, x)
    if isinstance(op, CompactTrees):
        return compact_outputs(op, x)
    if isinstance(op, CalledTrees):
        return called_outputs(op, x)
    if isinstance(op, MixedTrees):
        leaves = mixed_leaves(op, x)
    else:
        leaves = branch_leaves(op, x) if isinstance(op, BranchTrees) else packed_leaves(op, x)  # type: ignore[arg-type]
    if op.use == "leaf":
        return leaves
    if op.use == "votes":
        return [leaves.count(c) for c in range(op.n_classes)]
    if op.use == "totals":
        return [sum((totalled(op, leaf, c) for leaf in leaves), int(op.start)) for c in range(op.n_classes)]
    acc = F(op.start)
    for leaf in leaves:
        acc = F(acc + op.values.data[leaf])  # type: ignore[union-attr]
    return [acc]


SLOW: dict[type, Callable[..., list]] = {  # type: ignore[type-arg]
    Dense: dense,
    SquaredDistance: squared_distance,
    Neighbours: neighbours,
    Gauss: gauss,
    Map: mapped,
    Softmax: softmax,
    Normalise: normalise,
    Complement: complement,
    Argmax: argmax,
    Argmin: argmin,
    Threshold: threshold,
    Lookup: lookup,
    TopMix: top_mix,
    Concat: concat,
    FloatKeys: float_keys,
    ShiftCodes: shift_codes,
    ShiftCodesInLine: shift_codes,
    RankCodes: rank_codes,
    BitKeys: bit_keys,
    FloatKeysInLine: keys_in_line,
    WithoutSign: without_sign,
    MissingLow: missing_low,
    BranchTrees: shaped_trees,
    PackedTrees: shaped_trees,
    MixedTrees: shaped_trees,
    CalledTrees: shaped_trees,
    CompactTrees: shaped_trees,
    TreeLeaf: tree_leaf,
    TreeVotes: tree_votes,
    TreeSum: tree_sum,
    TreeTotals: tree_totals,
}
