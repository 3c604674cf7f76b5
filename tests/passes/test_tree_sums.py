"""Sums of leaves as totals of integers: the same floats where that is promised, and within the bound elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.accuracy import Calibration, measure_accuracy, stored_rows
from aprgen.build import build_artifact
from aprgen.core import Artifact, Options, artifact_of, compile_model
from aprgen.families.boosting import GradientBoosting
from aprgen.families.tree import DecisionTree
from aprgen.ops.curve import Curve
from aprgen.ops.decide import IntegerThreshold, Lookup, Threshold
from aprgen.ops.elementwise import Map, Stage
from aprgen.ops.integer import Dequantise
from aprgen.ops.normalise import Complement
from aprgen.ops.trees import Nodes, TreeSum, TreeTotals
from aprgen.passes.quantise import has_integer_form, quantise
from aprgen.passes.strategy import choose_strategies
from aprgen.passes.tree_sums import (
    counted_totals,
    exact_totals,
    integer_totals,
    reached_leaves,
    rounded_totals,
    sum_by_count,
    with_totals,
)
from aprgen.program import Array, Builder, Program, Table, row_type
from aprgen.rows import edge_rows, random_rows
from aprgen.target import load_target
from aprgen.trees import TreeBuilder
from aprgen.verify import Trial, verify
from tests.differential.compiled import load
from tests.differential.test_random_models import agree
from tests.examples import loaded
from tests.passes.test_tree_shapes import halves, special_rows

COSTS = {name: load_target(name).cost for name in ("cortex-m0plus", "cortex-m4")}
DYADIC = st.one_of(st.integers(-99, 99), st.integers(-(2**20), 2**20)).map(lambda n: n / 8)
SUMS = ("iforest", "rfr", "gbm", "gbm_single_class")


def stumps(n: int) -> Nodes:
    """Tree i asks for the sign of feature i, so that rows choose every leaf alone: leaf 0 up to 0, leaf 1 above."""
    return Nodes(
        Table(np.arange(n), np.uint8), Table(np.zeros(n), np.float32), Table(np.full(n, -1), np.int16),
        Table(np.full(n, -2), np.int16), Table(np.arange(n), np.int16), 1,
    )  # fmt: skip


def every_row(n: int) -> Array:
    return np.array(list(itertools.product((-1.0, 1.0), repeat=n)), np.float32)


def sum_of(nodes: Nodes, n_features: int, values: list[float], start: float) -> TreeSum:
    return TreeSum(nodes, n_features, "f32", Table(values, np.float32), float(np.float32(start)))


TAILS = {
    "sum": ((), 0.25),
    "mean": ((Stage("div", constant=7.0),), 0.5),
    "isolation": (
        (Stage("div", constant=120.0), Stage("neg"), Stage("div", constant=6.1), Stage("exp2"), Stage("neg")), -0.54
    ),
    "sigmoid": ((Stage("sigmoid"),), 0.5),
    "shares": ((Stage("sigmoid"),), 0.5),
}  # fmt: skip


def program_of(op: TreeSum, tail: str, compare: str = "ge") -> Program:
    stages, limit = TAILS[tail]
    builder = Builder(row_type(op.n_features))
    value = builder.add(op, 0)
    value = builder.add(Map(1, stages), value) if stages else value
    label = builder.add(Threshold(compare, limit, 1, 0), value)  # type: ignore[arg-type]
    scores = builder.add(Complement(), value) if tail == "shares" else value
    return builder.build(scores, label, n_classes=2)


def bits_of(program: Program, rows: Array) -> tuple[list[list[int]], list[int]]:
    labels = program.classify(rows)
    return program.run(rows).view(np.uint32).tolist(), [] if labels is None else labels.tolist()


def ops_of(program: Program, kind: type) -> list[object]:
    return [step.op for step in program.steps if isinstance(step.op, kind)]


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("tail", TAILS)
def test_sums_of_units_become_totals(tail: str, cost: str) -> None:
    """Random trees whose leaves are eighths, small and large: not a bit of any score and no label changes."""

    @settings(max_examples=25)
    @given(
        values=st.lists(DYADIC, min_size=3, max_size=3, unique=True), start=DYADIC, seed=st.integers(0, 2**32 - 1),
        compare=st.sampled_from(("ge", "lt")),
    )  # fmt: skip
    def check(values: list[float], start: float, seed: int, compare: str) -> None:
        before = program_of(sum_of(halves(5, 3, 4, 3, seed), 4, values, start), tail, compare)
        after = with_totals(before, COSTS[cost])
        rows = special_rows(4, seed)

        assert len(ops_of(after, TreeTotals)) == 1
        assert ops_of(after, TreeSum) == []
        assert len(after.notes) == 1
        assert bits_of(before, rows) == bits_of(after, rows)

    check()


@pytest.mark.parametrize(("largest", "exact"), [(2.0**23, False), (2.0**23 - 1, True), (2.0**24 - 1, False)])
def test_units_end_where_a_float_rounds(largest: float, exact: bool) -> None:
    """Two trees whose sum may need a 25th bit stay floats."""
    assert exact == (exact_totals(sum_of(stumps(2), 2, [1.0, largest], 0.0)) is not None)


@pytest.mark.parametrize(
    ("values", "start"),
    [([0.1, 2.0**20], 0.0), ([1e-45, 1.0], 0.0), ([3e38, -3e38], 0.0), ([0.0, -0.0], -0.0), ([0.3, 0.7], 0.0)],
)
def test_sums_that_round_stay(values: list[float], start: float) -> None:
    """Values of no common unit, sums that overflow, and a sum that may be -0.0."""
    assert exact_totals(sum_of(stumps(9), 9, values, start)) is None


def test_zeros_of_either_sign() -> None:
    """A sum that starts at 0.0 is never -0.0, whatever is added."""
    before = program_of(sum_of(stumps(3), 3, [-0.0, 4.0], 0.0), "sum")
    after = with_totals(before, COSTS["cortex-m4"])

    assert len(ops_of(after, TreeTotals)) == 1
    assert bits_of(before, every_row(3)) == bits_of(after, every_row(3))


@pytest.mark.parametrize("rate", [0.1, 0.3, -0.07])
@pytest.mark.parametrize("tail", TAILS)
def test_counts_decide_where_every_order_ends_alike(tail: str, rate: float) -> None:
    """Three steps of a rate that no unit holds: all eight rows give the float that the count of steps stands for."""
    before = program_of(sum_of(stumps(3), 3, [-rate, rate], 0.51), tail)
    after = with_totals(before, COSTS["cortex-m4"])

    assert exact_totals(before.steps[0].op) is None  # type: ignore[arg-type]
    assert len(ops_of(after, TreeTotals)) == len(ops_of(after, Lookup)) == len(ops_of(after, IntegerThreshold)) == 1
    assert ops_of(after, Map) == []
    assert bits_of(before, every_row(3)) == bits_of(after, every_row(3))


def test_counts_do_not_decide_where_orders_differ() -> None:
    """Ten steps of a tenth: some rows with as many steps up end at several floats, so the sum stays."""
    op = sum_of(stumps(10), 10, [-0.1, 0.1], 0.0)
    rows = every_row(10)
    sums: dict[int, set[float]] = {count: set() for count in range(11)}
    for count, value in zip((rows > 0).sum(axis=1).tolist(), op.evaluate(rows)[:, 0].tolist(), strict=True):
        sums[count].add(value)

    assert max(len(one) for one in sums.values()) > 1
    assert sum_by_count(op) is None
    before = program_of(op, "sum")
    assert ops_of(with_totals(before, COSTS["cortex-m4"]), TreeSum) == [op]


@given(
    n=st.integers(1, 9), start=st.sampled_from((0.0, 0.25, 0.51, -1.3, 5.0)), seed=st.integers(0, 99),
    rate=st.sampled_from((0.1, 0.05, 0.3, 0.7, 1e-8)),
)  # fmt: skip
def test_count_is_followed_exactly(n: int, start: float, seed: int, rate: float) -> None:
    """The search says yes exactly when no two rows of equal counts end at different floats; trees of one leaf, too."""
    root = np.where(np.random.default_rng(seed).random(n) < 0.2, -2, np.arange(n))
    nodes = replace(stumps(n), root=Table(root, np.int16))
    op = sum_of(nodes, n, [-rate, rate], start)
    rows = every_row(n)
    counts = ((rows > 0) | (root < 0)).sum(axis=1)
    sums = op.evaluate(rows)[:, 0]
    alike = all(len(set(sums[counts == count].tolist())) <= 1 for count in range(n + 1))
    found = sum_by_count(op)

    assert alike == (found is not None)
    if found is not None:
        assert found[counts].tolist() == sums.tolist()
        assert counted_totals(op) is not None


def test_labels_of_no_order_come_from_a_table() -> None:
    """Behind a function that falls and rises a table has the labels of all totals."""
    op = sum_of(stumps(3), 3, [-0.5, 0.5], 0.0)
    builder = Builder(row_type(3))
    value = builder.add(Map(1, (Stage("gelu"),)), builder.add(op, 0))  # falls, then rises
    before = builder.build(value, builder.add(Threshold("ge", -0.12, 1, 0), value), n_classes=2)
    after = with_totals(before, COSTS["cortex-m4"])

    assert [Lookup, Lookup] == [type(one) for one in ops_of(after, Lookup)]
    assert bits_of(before, every_row(3)) == bits_of(after, every_row(3))


@given(
    values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3, unique=True),
    start=st.floats(-1e6, 1e6, width=32), bits=st.sampled_from((8, 16)), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_rounded_totals_keep_their_bound(values: list[float], start: float, bits: int, seed: int) -> None:
    """For every row unit * total is within the bound of the sum in floats, and no total leaves its reach."""
    nodes = halves(6, 3, 4, 3, seed)
    op = sum_of(nodes, 4, values, start)
    rows = special_rows(4, seed)
    for made in (rounded_totals(op, bits), integer_totals(op, bits)):
        assert made is not None
        total = made.op.evaluate(rows)[:, 0].astype(np.int64)
        assert made.low <= total.min() <= total.max() <= made.high
        gap = np.abs(made.start + total * made.unit - op.evaluate(rows)[:, 0].astype(np.float64))
        assert gap.max() <= made.bound
    spread = max(values) - min(values)
    rounded = rounded_totals(op, bits)
    assert rounded is not None
    assert rounded.unit <= max(4 * spread / 2**bits, 2.0**-6)


def test_leaves_that_no_tree_reaches_do_not_count() -> None:
    """Each tree has its own leaves, those of shared subtrees included."""
    nodes = Nodes(
        Table([0, 1], np.uint8), Table([0.0, 0.0], np.float32), Table([1, -1], np.int16), Table([1, -4], np.int16),
        Table([0, -3, 1], np.int16), 2,
    )  # fmt: skip

    assert [[0, 3], [2], [0, 3]] == [leaves.tolist() for leaves in reached_leaves(nodes)]


@pytest.mark.parametrize("mode", ["s16", "s8"])
@pytest.mark.parametrize("name", SUMS)
def test_fixtures_in_integers(name: str, mode: str) -> None:
    """No float is added: a total, and a table or a curve behind it. Rows to calibrate with are not needed."""
    program = loaded(name).model.lower()
    made = compile_model(loaded(name), load_target("cortex-m0plus"), Options(name, mode))

    assert has_integer_form(program)
    assert stored_rows(program) is not None
    assert ops_of(made.program, TreeSum) == []
    assert ops_of(made.program, TreeTotals) or any("totals" in step.op.kernel for step in made.program.steps)
    assert made.accuracy is not None
    assert made.accuracy.loss <= 0.01
    assert made.program.notes
    assert all(note in made.texts[f"{name}.c"] for note in made.program.notes)
    assert made.manifest["notes"] == list(made.program.notes)
    if made.accuracy.labels_changed is not None:
        assert made.accuracy.largest_difference < 0.002
        assert len(ops_of(made.program, IntegerThreshold)) == 1


@pytest.mark.parametrize("bits", ["i8", "i16"])
@pytest.mark.parametrize("tail", ["isolation", "sigmoid"])
def test_curves_are_close(tail: str, bits: str) -> None:
    """Random leaves: the function of a total is within a hundredth, the label is the total's."""
    chance = np.random.default_rng(5)
    values = chance.normal(size=3) * (1 if tail == "sigmoid" else 0.01) + (0 if tail == "sigmoid" else 9)
    op = sum_of(halves(120 if tail == "isolation" else 9, 3, 4, 3, 8), 4, values.tolist(), 0.0)
    before = program_of(op, tail)
    rows = special_rows(4, 4)
    rows = rows[np.isfinite(rows).all(axis=1)]
    made = quantise(before, rows, bits)  # type: ignore[arg-type]
    accuracy = measure_accuracy(before, made, Calibration(rows, "rows"))
    (curve,) = ops_of(made.program, Curve)

    assert accuracy.largest_difference < 0.01
    assert accuracy.in_floats == ()
    assert len(curve.table.data) <= 600  # type: ignore[attr-defined]
    assert len(ops_of(made.program, IntegerThreshold)) == 1


@pytest.mark.parametrize("shift", [0, 1, 14])
@pytest.mark.parametrize("drop", [0, 3])
def test_curve_follows_its_table(shift: int, drop: int) -> None:
    """At entries it is the entry, between them on the line, rounded down; both ends of the reach are inside."""
    step = 1 << (shift + drop)
    low, high = -3 * step - 1, 2 * step
    table = np.array([-32767, 5, 32767, 100, 99, -7, 3, 4], np.int16)[: ((high - low) >> (shift + drop)) + 2]
    op = Curve(low, high, drop, shift, Table(table))
    places = np.array([[low], [high], [low + step], [low + step + step // 2]], np.int32)
    half = (5 + 32767) // 2 if step > 1 and shift > 0 else 5
    found = op.evaluate(places)[:, 0].tolist()

    assert [-32767, 5] == [found[0], found[2]]
    assert found[3] == (half if shift > 0 else found[3])
    assert min(table) <= found[1] <= max(table)


def artifact_for(name: str, target: str, mode: str) -> Artifact:
    """Of a fixture, or of boosting with a rate that needs no rounding."""
    model = loaded("gbm" if name == "boosted" else name)
    if name == "boosted":
        model = replace(model, model=replace(model.model, learning_rate=0.125, init=0.5))  # type: ignore[type-var]
    return compile_model(model, load_target(target), Options("m", mode))


@pytest.mark.parametrize("target", ["host", "cortex-m0plus", "cortex-m4"])
@pytest.mark.parametrize(
    ("name", "mode"), [("boosted", "f32"), ("iforest", "s16"), ("iforest", "s8"), ("rfr", "s8"), ("gbm", "s8")]
)
def test_totals_on_targets(
    name: str, mode: str, target: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """Edge rows, NaN among them, and random rows give the Program's bits; exact totals give predict(), too."""
    require_target(target)
    made = artifact_for(name, target, mode)
    program = made.model.lower()
    rows = np.concatenate([edge_rows(program, 150).values, random_rows(program, 100).values])
    verdict = verify(made.model, build_artifact(made, work=tmp_path), Trial(rows, ("row",) * len(rows)), count=False)

    assert verdict.details == ()
    assert verdict.passed
    assert ops_of(made.program, TreeSum) == []


@pytest.mark.parametrize("shape", ["packed", "branches", "keyed-branches", "float-branches"])
def test_totals_in_every_shape(shape: str, tmp_path: Path) -> None:
    """Shapes of trees take totals as they take sums."""
    model = loaded("rfr")
    program = quantise(model.model.lower(), random_rows(model.model.lower(), 9).values, "i16").program
    shaped = choose_strategies(program, COSTS["cortex-m4"], shape)  # type: ignore[arg-type]
    made = artifact_of(model, model.model.lower(), shaped, load_target("host"), Options("m"))
    compiled = load("m", made.texts, made.program, tmp_path)
    rows = np.concatenate([edge_rows(model.model.lower(), 200).values, random_rows(model.model.lower(), 50).values])

    agree(model.model, compiled, rows)


def boosted_of(n_trees: int, rate: float) -> GradientBoosting:
    """Stumps on one feature each."""
    members = []
    for feature in range(n_trees):
        builder = TreeBuilder()
        root = builder.add(feature, 0.0)
        builder.left[root], builder.right[root] = builder.leaf(label=0), builder.leaf(label=1)
        members.append(DecisionTree(builder.build(), True, n_trees, ()))
    return GradientBoosting(tuple(members), 0.5, rate, ())


@pytest.mark.parametrize(("rate", "exact"), [(0.125, True), (0.1, False)])
def test_a_longer_boosting(rate: float, exact: bool) -> None:
    """100 trees: a rate that is a power of two needs no float, one of a tenth keeps the sum in floats."""
    model = boosted_of(100, rate)
    after = with_totals(model.lower(), COSTS["cortex-m0plus"])
    rows = np.random.default_rng(3).normal(size=(200, 100)).astype(np.float32)

    assert exact == (ops_of(after, TreeSum) == [])
    assert exact == (ops_of(after, Map) == [])
    assert bits_of(model.lower(), rows) == bits_of(after, rows)


def test_decisions_behind_a_total_are_found_by_halving() -> None:
    """Without a table the label changes at the total where the arithmetic of floats first says so."""
    op = sum_of(halves(9, 3, 4, 3, 8), 4, [0.5, 1.5, -7.25], 0.0)
    before = program_of(op, "mean")
    after = with_totals(before, COSTS["cortex-m4"])
    (threshold,) = ops_of(after, IntegerThreshold)
    unit = np.float32(exact_totals(op).unit)  # type: ignore[union-attr]

    def mean(total: int) -> np.float32:
        return np.float32(np.float32(total) * unit) / np.float32(7)

    assert mean(threshold.limit) >= 0.5 > mean(threshold.limit - 1)  # type: ignore[attr-defined]
    assert len(ops_of(after, Dequantise)) == 1
