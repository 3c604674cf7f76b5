"""Every op's evaluate() against a slow loop over scalars, and the types that ops accept."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.ops.codes import CODE_TYPES, WithoutSign
from aprgen.ops.decide import Argmax, Argmin, Lookup, Threshold
from aprgen.ops.dense import BiasOrder, Dense
from aprgen.ops.distance import Neighbours, SquaredDistance
from aprgen.ops.elementwise import FUNCTIONS, Map, Stage, Verb, vary
from aprgen.ops.gauss import Gauss
from aprgen.ops.missing import MissingLow
from aprgen.ops.mixture import Concat, TopMix
from aprgen.ops.normalise import Complement, Normalise, Softmax
from aprgen.ops.shaped_trees import ShapedTrees
from aprgen.ops.trees import (
    Compare,
    FloatKeys,
    Nodes,
    TreeLeaf,
    TreeOp,
    TreeSum,
    TreeTotals,
    TreeVotes,
    float_keys,
    threshold_keys,
)
from aprgen.passes.tree_costs import ways
from aprgen.passes.tree_shapes import coded_trees
from aprgen.program import Array, Op, Table, ValueType
from tests.ops.slow import SLOW, key

Draw = st.DrawFn
floats = st.floats(width=32)  # all of them
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
near = st.one_of(st.sampled_from((0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e-45)).map(lambda v: float(np.float32(v))),
                 st.floats(-4, 4, width=32))  # fmt: skip
values = st.one_of(near, floats)
weights = st.one_of(near, finite)
sizes = st.integers(1, 5)


def table(draw: Draw, elements: st.SearchStrategy[float], *shape: int) -> Table:
    size = int(np.prod(shape))
    return Table(np.array(draw(st.lists(elements, min_size=size, max_size=size)), np.float32).reshape(shape))


@st.composite
def denses(draw: Draw) -> Op:
    rows, cols = draw(sizes), draw(sizes)
    orders: tuple[BiasOrder, ...] = ("first", "last", "none")
    order = draw(st.sampled_from(orders))
    bias = None if order == "none" else table(draw, weights, rows)
    return Dense(table(draw, weights, rows, cols), bias, order)


@st.composite
def squared_distances(draw: Draw) -> Op:
    return SquaredDistance(table(draw, weights, draw(sizes), draw(sizes)))


@st.composite
def neighbours(draw: Draw) -> Op:
    points, n_classes = draw(sizes), draw(st.integers(1, 3))
    classes = Table(np.array(draw(st.lists(st.integers(0, n_classes - 1), min_size=points, max_size=points)), np.uint8))
    return Neighbours(
        draw(st.sampled_from(("euclidean", "manhattan", "minkowski"))), draw(st.sampled_from((1.0, 1.5, 2.0, 3.0))),
        draw(st.booleans()), draw(st.integers(1, points)), table(draw, near, points, draw(sizes)), classes, n_classes,
    )  # fmt: skip


@st.composite
def gausses(draw: Draw) -> Op:
    classes, features = draw(sizes), draw(sizes)
    centre, divisor = table(draw, weights, classes, features), table(draw, weights, classes, features)
    start = None if draw(st.booleans()) else table(draw, weights, classes)
    offset = None if draw(st.booleans()) else table(draw, weights, classes, features)
    return Gauss(centre, divisor, start, offset)


@st.composite
def maps(draw: Draw) -> Op:
    size = draw(sizes)
    stages = []
    for _ in range(draw(st.integers(1, 4))):
        verb = draw(st.sampled_from(get_args(Verb)))
        if verb == "keep":
            mask = draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))
            stages.append(Stage(verb, constant=draw(weights), mask=Table(np.array(mask, np.uint8))))
        elif verb in FUNCTIONS:
            stages.append(Stage(verb))
        elif draw(st.booleans()):
            stages.append(Stage(verb, constant=draw(weights)))
        else:
            stages.append(Stage(verb, each=table(draw, weights, size)))
    return Map(size, tuple(stages))


@st.composite
def normalisers(draw: Draw) -> Op:
    size = draw(sizes)
    floor = draw(st.sampled_from((None, 0.0, 1e-10, 1.0)))
    ops: tuple[Op, ...] = (Softmax(size), Softmax(size, by_reciprocal=True), Normalise(size, floor))
    return draw(st.sampled_from(ops))


@st.composite
def deciders(draw: Draw) -> Op:
    size = draw(sizes)
    names = draw(st.none() | st.lists(st.integers(-5, 2**31 - 1), min_size=size, max_size=size))
    labels = None if names is None else Table(np.array(names, np.int32))
    argmax = Argmax("f32", size, labels, last_wins=draw(st.booleans()), nan_gives_zero=draw(st.booleans()))
    threshold = Threshold(draw(st.sampled_from(("ge", "lt"))), draw(weights), draw(st.integers(-3, 3)), 1)
    ops: tuple[Op, ...] = (argmax, Argmin(size), threshold)
    return draw(st.sampled_from(ops))


@st.composite
def top_mixes(draw: Draw) -> Op:
    size = draw(sizes)
    return TopMix(size, draw(st.integers(1, size)))


@st.composite
def trees(draw: Draw, compares: tuple[Compare, ...] = get_args(Compare)) -> Op:
    """Any tables whose children come after their parent."""
    inner, n_features, n_leaves = draw(st.integers(0, 6)), draw(sizes), draw(st.integers(1, 4))

    def reference(after: int) -> st.SearchStrategy[int]:
        return st.one_of(st.integers(-n_leaves, -1), *([st.integers(after, inner - 1)] if after < inner else []))

    left = [draw(reference(node + 1)) for node in range(inner)]
    right = [draw(reference(node + 1)) for node in range(inner)]
    kind = draw(st.sampled_from(("leaf", "votes", "sum", "totals")))
    roots = [draw(reference(0)) for _ in range(1 if kind == "leaf" else draw(st.integers(1, 4)))]
    compare = draw(st.sampled_from(compares))
    threshold = table(draw, weights, inner)
    code_type = draw(st.sampled_from((np.int8, np.int16)))
    codes = [draw(st.integers(-128, 127) | st.integers(0, 5)) for _ in range(inner)]
    keys = Table(threshold_keys(threshold.data))
    thresholds = {"f32": threshold, "key": keys, "late_key": keys, "code": Table(np.array(codes, code_type))}
    nodes = Nodes(
        Table(np.array([draw(st.integers(0, n_features - 1)) for _ in range(inner)], np.uint8)),
        thresholds[compare],
        Table(np.array(left, np.int16)), Table(np.array(right, np.int16)), Table(np.array(roots, np.int16)), inner,
    )  # fmt: skip
    if kind == "leaf":
        return TreeLeaf(nodes, n_features, compare)
    if kind == "votes":
        return TreeVotes(nodes, n_features, compare, n_leaves)
    if kind == "sum":
        return TreeSum(nodes, n_features, compare, table(draw, weights, n_leaves), draw(weights))
    n_outputs = draw(st.integers(1, 3))
    unit = draw(st.integers(1, 99)) if n_outputs > 1 and draw(st.booleans()) else 0
    size = (n_leaves - (n_outputs if unit else 0)) * n_outputs
    rows = draw(st.lists(st.integers(-999, 999), min_size=max(size, 0), max_size=max(size, 0)))
    added, start = Table(np.array(rows, np.int16)), draw(st.integers(-9, 9))
    return TreeTotals(nodes, n_features, compare, added, start, n_outputs, unit)


@st.composite
def key_makers(draw: Draw) -> Op:
    n = draw(sizes)
    columns = draw(st.none() | st.lists(st.integers(0, n - 1), min_size=1, max_size=4))
    return FloatKeys(n, None if columns is None else Table(np.array(columns, np.uint8)))


@st.composite
def missing_lows(draw: Draw) -> Op:
    n = draw(sizes)
    columns = draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=5))
    return MissingLow(n, Table(np.array(columns, np.uint8)), draw(st.integers(1, len(columns))))


@st.composite
def coded(draw: Draw, part: int) -> Op:
    """Codes (0) or trees that read them (1), from trees with thresholds anywhere or on a grid."""
    op = draw(trees(("f32",) if part == 0 else ("f32", "code")))
    assert isinstance(op, TreeOp)
    if op.compare == "f32" and draw(st.booleans()):
        steps = np.array([draw(st.integers(0, 9)) for _ in op.nodes.threshold.data], np.float32)
        op = replace(op, nodes=replace(op.nodes, threshold=Table(steps / np.float32(2))))
    found = coded_trees(op)
    if found is None:  # no split decides anything
        return op
    every = [way.ops for way in ways(op, found)]
    made = [ops[:-1] for ops in every] if part == 0 else [ops[-1:] for ops in every]
    return draw(st.sampled_from([one for ops in made for one in ops]))


@st.composite
def signless(draw: Draw) -> Op:
    """Any of a caller's codes, each at most once."""
    n = draw(sizes)
    order = draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=n, unique=True))
    source = draw(st.sampled_from(("i8", "i16")))
    if draw(st.booleans()):
        return WithoutSign(n, "i8", tuple(range(n)), in_words=True)
    return WithoutSign(n, source, tuple(order), source == "i16" and draw(st.booleans()))


STRATEGIES = {
    "dense": denses,
    "squared distance": squared_distances,
    "neighbours": neighbours,
    "gauss": gausses,
    "map": maps,
    "normalise": normalisers,
    "complement": lambda: st.just(Complement()),
    "decide": deciders,
    "top mix": top_mixes,
    "trees": trees,
    "keys": key_makers,
    "missing": missing_lows,
    "codes": lambda: coded(0),
    "coded trees": lambda: coded(1),
    "codes without a sign": signless,
}


def input_size(op: Op) -> int:
    """The one input size that result() accepts."""
    for element in ("f32", "i32", "u8", "u16", "i8", "i16"):
        for size in range(1, 40):
            try:
                op.result(ValueType(element, size))
            except (ValueError, TypeError):
                continue
            return size
    assert isinstance(op, TopMix)
    return op.size


def bits(answer: Array) -> list[object]:
    """Floats as bits, all NaNs alike."""
    flat = np.asarray(answer).reshape(-1)
    if flat.dtype != np.float32:
        return [int(v) for v in flat]
    return ["nan" if np.isnan(v) else int(v.view(np.uint32)) for v in flat]


@pytest.mark.parametrize("kind", STRATEGIES)
def test_evaluate_is_the_slow_loop(kind: str) -> None:
    """For any parameters and any rows, NaN and infinities included, every bit is that of the loop over scalars."""

    @settings(max_examples=150)
    @given(op=STRATEGIES[kind](), data=st.data())
    def check(op: Op, data: st.DataObject) -> None:
        size, count = input_size(op), data.draw(st.integers(1, 3))
        n_inputs = 2 if isinstance(op, TopMix) else 1
        drawn = [
            np.array(data.draw(st.lists(values, min_size=size * count, max_size=size * count)), np.float32)
            .reshape(count, size)
            for _ in range(n_inputs)
        ]  # fmt: skip
        if isinstance(op, TopMix) and np.isnan(drawn[0]).any():
            drawn[0] = np.nan_to_num(drawn[0])  # softmax gives a NaN weight only when all are NaN
        inputs = [float_keys(x) if getattr(op, "compare", "f32") == "key" else x for x in drawn]
        if isinstance(op, ShapedTrees) and op.element == "i32":
            inputs = [float_keys(x) for x in drawn]
        elif isinstance(op, WithoutSign):
            inputs = [np.array([[2 * v - 100 for v in range(size)][::-1]] * count).astype(CODE_TYPES[op.source])]
            inputs = [np.where(np.isnan(drawn[0]) | (drawn[0] < 0), -inputs[0], inputs[0]).astype(inputs[0].dtype)]
        elif (isinstance(op, ShapedTrees) and op.element != "f32") or getattr(op, "compare", "f32") == "code":
            high = {"u8": 12, "i8": 127}.get(op.element, 5000)
            low = -high if op.element in ("i8", "i16") else 0
            inputs = [
                np.array(data.draw(st.lists(st.integers(low, high), min_size=size * count, max_size=size * count)))
                .reshape(count, size).astype(CODE_TYPES[op.element])
            ]  # fmt: skip
        with np.errstate(all="ignore"):
            found = op.evaluate(*inputs)
            expected = [SLOW[type(op)](op, *(list(x[row]) for x in inputs)) for row in range(count)]
        assert [bits(np.array(row, found.dtype)) for row in expected] == [bits(row) for row in found]

    check()


def test_every_op_has_a_slow_twin() -> None:
    """The table of twins covers all ops that take rows of numbers."""
    assert {t.__name__ for t in SLOW} == {
        "Dense", "SquaredDistance", "Neighbours", "Gauss", "Map", "Softmax", "Normalise", "Complement", "Argmax",
        "Argmin", "Threshold", "Lookup", "TopMix", "Concat", "FloatKeys", "TreeLeaf", "TreeVotes", "TreeSum",
        "TreeTotals",
        "ShiftCodes", "ShiftCodesInLine", "RankCodes", "BitKeys", "FloatKeysInLine", "WithoutSign", "MissingLow",
        "BranchTrees", "PackedTrees", "MixedTrees", "CompactTrees", "CalledTrees",
    }  # fmt: skip


@given(st.lists(st.integers(0, 4), min_size=3, max_size=3), st.integers(1, 3))
def test_lookup_reads_the_first_indices(indices: list[int], size: int) -> None:
    """A constant for each of the first `size` indices, of floats and of integers."""
    for data in (np.array([0.5, -0.0, np.inf, 3, 1e-45], np.float32), np.array([7, -1, 0, 2**31 - 1, 5], np.int32)):
        op = Lookup("u16", 3, size, Table(data))
        assert bits(data[indices[:size]]) == bits(op.evaluate(np.array([indices], np.uint16)))


@given(st.lists(st.lists(values, min_size=1, max_size=3), min_size=1, max_size=4))
def test_concat_keeps_the_order(parts: list[list[float]]) -> None:
    """The inputs one behind the other."""
    inputs = [np.array([part], np.float32) for part in parts]
    op = Concat(tuple(len(part) for part in parts))

    assert bits(np.array([v for part in parts for v in part], np.float32)) == bits(op.evaluate(*inputs))


# Keys ----------------------------------------------------------------------------------------------------------------

BITS = st.integers(0, 2**32 - 1)
NUMBERS = BITS.map(lambda b: np.uint32(b).view(np.float32))


@settings(max_examples=1000)
@given(NUMBERS, NUMBERS)
def test_keys_have_the_order_of_floats(one: np.float32, other: np.float32) -> None:
    """x <= t holds for floats exactly when it holds for the key of the row and the key of the threshold."""
    x, t = np.array([one]), np.array([other])
    with np.errstate(invalid="ignore"):  # a signalling NaN
        assert bool(one <= other) == bool(float_keys(x)[0] <= threshold_keys(t)[0])
        assert key(one) == float_keys(x)[0]


def test_keys_of_all_pairs_of_special_values() -> None:
    """Zeros, subnormals, ends, infinities and NaNs of both signs compare as keys as they do as floats."""
    words = np.array(
        [0, 0x80000000, 1, 0x80000001, 2, 0x007FFFFF, 0x00800000, 0x80800000, 0x3F800000, 0xBF800000, 0x7F7FFFFF,
         0xFF7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00000, 0x7F800001],
        np.uint32,
    )  # fmt: skip
    x = words.view(np.float32)
    for t in x:
        with np.errstate(invalid="ignore"):  # a signalling NaN
            expected = x <= t
            found = float_keys(x) <= threshold_keys(np.array([t]))[0]
        assert expected.tolist() == found.tolist()


def test_keys_of_neighbours_are_neighbours() -> None:
    """From one float to the next the key grows by one, by two below zero: both zeros share a key."""
    start = np.float32(-5e-44)
    run = [start]
    while run[-1] < np.float32(5e-44):
        run.append(np.nextafter(run[-1], np.float32(1), dtype=np.float32))
    keys = float_keys(np.array(run)).tolist()
    steps = {b - a for a, b in itertools.pairwise(keys)}

    assert steps == {1, 2}
    assert keys == sorted(set(keys))
    assert [keys[i + 1] for i in range(len(keys) - 1) if keys[i + 1] - keys[i] == 2] == [0]


# Types ---------------------------------------------------------------------------------------------------------------

ONE = Table(np.ones((1, 2), np.float32))
NODES = Nodes(
    Table(np.zeros(1, np.uint8)), Table(np.zeros(1, np.float32)), Table(np.array([-1], np.int16)),
    Table(np.array([-2], np.int16)), Table(np.zeros(1, np.int16)), 1,
)  # fmt: skip
TYPED: list[tuple[Op, ValueType, ValueType]] = [
    (Dense(ONE, None, "none"), ValueType("f32", 2), ValueType("f32", 1)),
    (SquaredDistance(ONE), ValueType("f32", 2), ValueType("f32", 1)),
    (Gauss(ONE, ONE), ValueType("f32", 2), ValueType("f32", 1)),
    (Map(3, (Stage("neg"),)), ValueType("f32", 3), ValueType("f32", 3)),
    (Softmax(3), ValueType("f32", 3), ValueType("f32", 3)),
    (Normalise(3, None), ValueType("f32", 3), ValueType("f32", 3)),
    (Complement(), ValueType("f32", 1), ValueType("f32", 2)),
    (Argmax("f32", 3, None), ValueType("f32", 3), ValueType("i32", 1)),
    (Argmax("u16", 3, None), ValueType("u16", 3), ValueType("i32", 1)),
    (Argmin(3), ValueType("f32", 3), ValueType("i32", 1)),
    (Threshold("ge", 0.0, 1, 0), ValueType("f32", 1), ValueType("i32", 1)),
    (Lookup("u16", 3, 2, Table(np.zeros(4, np.float32))), ValueType("u16", 3), ValueType("f32", 2)),
    (Lookup("i32", 1, 1, Table(np.zeros(4, np.int32))), ValueType("i32", 1), ValueType("i32", 1)),
    (FloatKeys(3, None), ValueType("f32", 3), ValueType("i32", 3)),
    (FloatKeys(3, Table(np.array([2], np.uint8))), ValueType("f32", 3), ValueType("i32", 1)),
    (TreeLeaf(NODES, 3, "f32"), ValueType("f32", 3), ValueType("i32", 1)),
    (TreeLeaf(NODES, 3, "key"), ValueType("i32", 3), ValueType("i32", 1)),
    (TreeVotes(NODES, 3, "late_key", 4), ValueType("f32", 3), ValueType("u16", 4)),
    (TreeSum(NODES, 3, "f32", Table(np.zeros(2, np.float32)), 0.0), ValueType("f32", 3), ValueType("f32", 1)),
    (TreeTotals(NODES, 3, "f32", Table(np.zeros(4, np.int16)), 0, 2), ValueType("f32", 3), ValueType("i32", 2)),
]


@pytest.mark.parametrize(("op", "takes", "gives"), TYPED, ids=lambda part: type(part).__name__)
def test_types(op: Op, takes: ValueType, gives: ValueType) -> None:
    """An op takes one type only: another size or kind of element is refused."""
    assert gives == op.result(takes)
    for wrong in (
        replace(takes, size=takes.size + 1), replace(takes, size=0),
        replace(takes, element="i32" if takes.element != "i32" else "u16"), ValueType("text", 0),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"takes? "):
            op.result(wrong)


def test_types_of_ops_with_several_inputs() -> None:
    """TopMix takes weights and values of one size, Concat exactly its parts in order."""
    assert TopMix(3, 2).result(ValueType("f32", 3), ValueType("f32", 3)) == ValueType("f32", 1)
    assert Concat((1, 2)).result(ValueType("f32", 1), ValueType("f32", 2)) == ValueType("f32", 3)
    with pytest.raises(ValueError, match="top mix takes"):
        TopMix(3, 2).result(ValueType("f32", 3), ValueType("f32", 2))
    with pytest.raises(ValueError, match="concat takes"):
        Concat((1, 2)).result(ValueType("f32", 2), ValueType("f32", 1))


# Small facts ---------------------------------------------------------------------------------------------------------


def test_a_constant_of_minus_zero_stays() -> None:
    """x + -0.0 keeps x = -0.0, and a masked element can become -0.0."""
    added = Map(1, (Stage("add", constant=-0.0),)).evaluate(np.array([[-0.0]], np.float32))
    kept = Map(1, (Stage("keep", constant=-0.0, mask=Table(np.zeros(1, np.uint8))),)).evaluate(
        np.array([[5.0]], np.float32)
    )

    assert np.signbit(added).all()
    assert np.signbit(kept).all()


def test_vary_tells_zeros_apart() -> None:
    """Values that are equal but not the same bits need a table; the same bits become one constant."""
    assert vary("add", np.array([0.0, -0.0], np.float32)).each is not None
    assert vary("add", np.array([2.5, 2.5], np.float32)).constant == 2.5
    assert str(vary("add", np.array([-0.0, -0.0], np.float32)).constant) == "-0.0"


@pytest.mark.parametrize(("last_wins", "expected"), [(False, 10), (True, 30)])
def test_ties_in_argmax(last_wins: bool, expected: int) -> None:
    """Of equal scores the first wins, or the last where a family says so."""
    op = Argmax("f32", 4, Table(np.array([10, 20, 30, 40], np.int32)), last_wins=last_wins)

    assert op.evaluate(np.array([[2, 1, 2, 0]], np.float32)).tolist() == [[expected]]


@pytest.mark.parametrize(("value", "start", "unit"), [(2**30, 0, 0), (1, 2**31 - 2, 0), (0, 0, 2**30)])
def test_totals_beyond_32_bits_are_refused(value: int, start: int, unit: int) -> None:
    """Two trees could add more than an int32 holds: no Program is made of them."""
    nodes = replace(NODES, root=Table(np.array([0, 0], np.int16)))
    op = TreeTotals(nodes, 3, "f32", Table(np.full(4, value, np.int32)), start, 2, unit)

    with pytest.raises(ValueError, match="beyond 32 bits"):
        op.result(ValueType("f32", 3))
