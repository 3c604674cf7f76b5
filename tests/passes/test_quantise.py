"""The quantise pass: how close integers stay to floats, and that no sum leaves 32 bits."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from aprgen.accuracy import Calibration, measure_accuracy, require_calibration
from aprgen.errors import UsageError
from aprgen.ops.decide import Argmax, Threshold
from aprgen.ops.dense import Dense
from aprgen.ops.distance import SquaredDistance
from aprgen.ops.elementwise import Map, Stage
from aprgen.ops.integer import (
    LARGEST,
    TYPES,
    Code,
    IntegerDense,
    IntegerSoftmax,
    IntegerSquaredDistance,
    IntegerSum,
    Interpolate,
    Quantise,
    Requantise,
    exp2_table,
    requantised,
    unsigned,
)
from aprgen.ops.integer_distance import IntegerGauss, IntegerNeighbours
from aprgen.ops.normalise import Softmax
from aprgen.passes.quantise import Quantised, has_integer_form, quantise
from aprgen.passes.quantise_points import softmax_of_codes
from aprgen.passes.ranges import METHODS
from aprgen.program import Array, Builder, Program, Proved, Table, row_type
from aprgen.rows import random_rows
from tests.examples import ROWS, TREES, loaded

CODES: tuple[Code, ...] = ("i8", "i16")
LARGEST_RELATIVE: dict[Code, float] = {"i8": 0.06, "i16": 1e-3}  # root mean square, over the spread of the scores
IN_INTEGERS = (
    "elasticnet", "kmeans", "kmeans_tie", "lasso", "linear_svm", "linreg", "linreg_nointercept", "logreg_bc",
    "logreg_iris01", "logreg_newlayout", "pca", "ridge", "v2_mlp_f16", "v2_mlp_f32", "v2_mlp_q4", "v2_mlp_q8",
)  # fmt: skip


def quantised(name: str, element: Code) -> tuple[Program, Quantised, Array]:
    program = loaded(name).model.lower()
    rows = random_rows(program, 300).values
    return program, quantise(program, rows, element), rows


@pytest.mark.parametrize("name", IN_INTEGERS)
@pytest.mark.parametrize("element", CODES)
def test_integers_stay_close_to_floats(name: str, element: Code) -> None:
    """8 bits lose a few per cent of the scores' spread, 16 bits a thousandth; all of it runs on integers."""
    program, made, rows = quantised(name, element)
    accuracy = measure_accuracy(program, made, Calibration(rows, "rows"))

    assert made.program.codes is not None
    assert accuracy.in_floats == ()
    assert accuracy.relative_difference < LARGEST_RELATIVE[element]
    assert accuracy.labels_changed is None or accuracy.labels_changed <= (0 if element == "i16" else 8)


@pytest.mark.parametrize("name", sorted({*TREES} - {"gbm", "gbm_single_class", "iforest", "rfr"}))
def test_trees_stay_exact(name: str) -> None:
    """A Program of trees that add no floats has nothing to quantise and comes back itself."""
    program, made, _ = quantised(name, "i8")

    assert made.program is program
    assert not has_integer_form(program)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("element", CODES)
def test_no_sum_leaves_32_bits(name: str, element: Code) -> None:
    """The codes that drive each row of weights furthest, any the type holds, stay within the stated largest sum."""
    for step in quantised(name, element)[1].program.steps:
        if isinstance(step.op, IntegerDense):
            assert furthest_sum(step.op) <= step.op.largest_sum <= LARGEST["i32"]
        if isinstance(step.op, IntegerSum):
            size = int(np.abs(step.op.weight.data.astype(np.int64)).sum()) * (LARGEST[step.op.source] + 1)
            assert size + abs(step.op.bias) <= step.op.largest_sum <= LARGEST["i32"]
        if isinstance(step.op, IntegerSquaredDistance):
            worst = np.abs(step.op.points.data.astype(np.int64)) + LARGEST[step.op.source] + 1
            assert int(((worst * worst) >> step.op.shift).sum(axis=1).max()) <= LARGEST["i32"]
        if isinstance(step.op, IntegerNeighbours):
            assert furthest_distance(step.op) <= LARGEST["i32"]
        if isinstance(step.op, IntegerGauss):
            assert_no_overflow(step.op)


def furthest_distance(op: IntegerNeighbours) -> int:
    """Over all x that the type holds: the largest distance to a point."""
    size = np.abs(op.points.data.astype(np.int64)) + LARGEST[op.source] + 1
    return int(((size if op.metric == "manhattan" else size * size) >> op.shift).sum(axis=1).max())


def assert_no_overflow(op: IntegerGauss) -> None:
    """Products stay below 2^32 and sums below 2^31, for all x that the type holds."""
    shift = np.broadcast_to(op.shift.data.astype(np.int64), op.centre.data.shape)
    size = ((LARGEST[op.source] + 1) << op.fraction) + np.abs(op.centre.data.astype(np.int64))
    product = size * op.weight.data.astype(np.int64) + (np.int64(1) << (shift - 1))
    z = np.minimum(product >> shift, op.cap)
    furthest = int((z * z).sum(axis=1).max()) - int(op.bias.data.min())

    assert int(op.weight.data.min()) >= 0
    assert int(product.max()) < 1 << 32
    assert furthest <= op.largest_sum <= LARGEST["i32"]
    assert int(op.bias.data.max()) <= 0


def furthest_sum(op: IntegerDense) -> int:
    """Of |acc|, over all x that the type of x holds and any order of summing."""
    sizes = np.abs(op.weight.data.astype(np.int64)).sum(axis=1) * (LARGEST[op.source] + 1)
    return int((sizes + np.abs(op.bias.data.astype(np.int64))).max())


def network(weights: list[Array], activation: str, n_in: int) -> Program:
    builder = Builder(row_type(n_in))
    at = 0
    for index, weight in enumerate(weights):
        at = builder.add(Dense(Table(weight, np.float32), None, "none"), at)
        if index < len(weights) - 1:
            constant = 0.1 if activation == "leaky_relu" else None
            at = builder.add(Map(len(weight), (Stage(activation, constant=constant),)), at)  # type: ignore[arg-type]
    logits = at
    at = builder.add(Softmax(len(weights[-1])), logits)
    return builder.build(at, builder.add(Argmax("f32", len(weights[-1]), None), at), n_classes=len(weights[-1]))


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "gelu", "leaky_relu"])
@pytest.mark.parametrize("element", CODES)
@pytest.mark.parametrize("method", METHODS)
def test_networks_of_every_activation(activation: str, element: Code, method: str) -> None:
    """Probabilities of a classifier stay within 0.1 with 8 bits and 0.002 with 16; few labels change."""
    random = np.random.RandomState(3)
    shapes = ((16, 6), (8, 16), (4, 8))
    program = network([random.normal(size=shape) * 2 / np.sqrt(shape[1]) for shape in shapes], activation, 6)
    rows = random.normal(size=(400, 6)).astype(np.float32)
    made = quantise(program, rows, element, method)  # type: ignore[arg-type]
    accuracy = measure_accuracy(program, made, Calibration(rows, "rows"))

    assert made.in_floats == ()
    if method == "minmax":
        assert accuracy.largest_difference < (0.25 if element == "i8" else 0.005)
    assert accuracy.labels_changed is not None
    assert accuracy.labels_changed <= (24 if element == "i8" else 4)


def two_features() -> Program:
    """y = x0 + x1."""
    builder = Builder(row_type(2))
    return builder.build(builder.add(Dense(Table([[1, 1]], np.float32), Table([0], np.float32), "last"), 0))


def test_values_that_are_known_give_errors_before_and_after() -> None:
    """Of a regression: the root mean square error of both Programs; the loss stays that of the scores."""
    rows = np.random.RandomState(8).normal(size=(300, 2)).astype(np.float32)
    program = two_features()
    wanted = program.run(rows) + np.float32(0.5)
    known = Calibration(rows, "rows", truth=wanted)
    require_calibration(known, program)
    found = measure_accuracy(program, quantise(program, rows, "i8"), known)

    assert found.truth is not None
    assert not found.truth.labels
    assert found.truth.before == pytest.approx(0.5, rel=1e-5)
    assert 0 < abs(found.truth.after - 0.5) < found.largest_difference
    assert found.loss == found.relative_difference
    with pytest.raises(UsageError, match=r"the labels have shape \[300, 2\]"):
        require_calibration(Calibration(rows, "rows", truth=np.zeros((300, 2), np.float32)), program)


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 1e6, 1e15])
@pytest.mark.parametrize("element", CODES)
def test_scales_of_any_size(scale: float, element: Code) -> None:
    """Tiny and huge weights and inputs change the scales, not the accuracy."""
    random = np.random.RandomState(4)
    builder = Builder(row_type(5))
    weight = Table(random.normal(size=(3, 5)) * scale, np.float32)
    program = builder.build(builder.add(Dense(weight, Table(random.normal(size=3), np.float32), "first"), 0))
    rows = (random.normal(size=(200, 5)) / scale).astype(np.float32)
    accuracy = measure_accuracy(program, quantise(program, rows, element), Calibration(rows, "rows"))

    assert accuracy.relative_difference < (0.02 if element == "i8" else 3e-4)


@pytest.mark.parametrize("name", ["linreg", "linear_svm", "pca"])
@pytest.mark.parametrize("element", CODES)
def test_one_result_is_its_sum(name: str, element: Code) -> None:
    """A model of one value is not requantised: its codes are sums, in units of the sum; several results need it."""
    _, made, _ = quantised(name, element)
    ops = [step.op for step in made.program.steps]

    assert any(isinstance(op, IntegerSum) for op in ops) == (name != "pca")
    assert any(isinstance(op, IntegerDense) for op in ops) == (name == "pca")
    assert not any(isinstance(op, Requantise) for op in ops)


@pytest.mark.parametrize("limit", [0.5, 0.1, 0.97, 0.0, 1.0, 2.0, -1.0])
@pytest.mark.parametrize("compare", ["ge", "lt"])
@pytest.mark.parametrize("element", CODES)
def test_a_label_from_the_sum_is_that_from_the_probability(
    limit: float, compare: Literal["ge", "lt"], element: Code
) -> None:
    """Requantising and the curve never fall when the sum rises, so a limit for the sum gives the label of the
    probability's code, for every code; limits that no probability reaches stay where they are."""
    random = np.random.RandomState(11)
    builder = Builder(row_type(7))
    weight = Table(random.normal(size=(1, 7)) * 3, np.float32)
    p = builder.add(Map(1, (Stage("sigmoid"),)), builder.add(Dense(weight, Table([0.3], np.float32), "first"), 0))
    program = builder.build(p, builder.add(Threshold(compare, limit, 1, 0), p), n_classes=2)
    rows = random.normal(size=(300, 7)).astype(np.float32)
    made = quantise(program, rows, element).program
    assert made.codes is not None
    assert made.label is not None
    value = made.label
    threshold = made.steps[value - 1]
    read = made.steps[threshold.inputs[0] - 1].op
    info = np.iinfo(TYPES[made.types()[made.codes.x].element])
    x = random.randint(info.min, info.max + 1, (4000, 7)).astype(info.dtype)
    x[:2000] = x[:2000] // 40 + np.arange(2000)[:, None] % 3
    found = made.evaluate(x, [made.codes.scores, value], given=made.codes.x)
    holds = found[made.codes.scores] * made.codes.scores_scale[0] >= limit

    assert found[value].ravel().tolist() == (holds if compare == "ge" else ~holds).ravel().astype(int).tolist()
    assert isinstance(read, IntegerSum) == (limit < 1)


def test_rows_of_zeros_wide_rows_and_constant_features() -> None:
    """Weights that are all 0, a bias far above every product, 60,000 columns, and features that never vary."""
    random = np.random.RandomState(5)
    weight = random.normal(size=(4, 60_000)).astype(np.float32)
    weight[1] = 0
    weight[2, 1:] = 0
    bias = np.array([1e6, 0.0, -3.0, 5.0], np.float32)
    builder = Builder(row_type(60_000))
    program = builder.build(builder.add(Dense(Table(weight), Table(bias), "last"), 0))
    rows = random.normal(size=(4, 60_000)).astype(np.float32)
    rows[:, 7] = 1e5
    rows[:, 8] = 0
    for element in CODES:
        made = quantise(program, rows, element).program
        op = next(step.op for step in made.steps if isinstance(step.op, IntegerDense))
        assert furthest_sum(op) <= op.largest_sum <= LARGEST["i32"]
        assert np.abs(made.run(rows)[:, 1]).max() == 0
        assert np.abs(made.run(rows)[:, 0] / program.run(rows)[:, 0] - 1).max() < 0.02


@pytest.mark.parametrize("shape", [(3, 1), (4, 5), (7, 64), (10, 33), (32, 2)])
def test_weights_in_blocks_give_the_same(shape: tuple[int, int]) -> None:
    """Weights plus 128 in blocks of rows are the weights again, and the op gives the same codes."""
    random = np.random.RandomState(8)
    op = IntegerDense(
        "i8", "i8", 1 << 24, Table(random.randint(-127, 128, shape), np.int8),
        Table(random.randint(-999, 999, shape[0]), np.int32),
        Table(random.randint(1 << 14, 1 << 15, shape[0]), np.int16), Table(random.randint(1, 9, shape[0]), np.uint8),
    )  # fmt: skip
    x = random.randint(-128, 128, (50, shape[1])).astype(np.int8)
    packed = unsigned(op)

    assert packed.plain().weight.data.tolist() == op.weight.data.tolist()
    assert packed.evaluate(x).tolist() == op.evaluate(x).tolist()
    assert int(packed.weight.data[0]) == int(op.weight.data[0, 0]) + 128
    assert int(packed.weight.data[1]) == int(op.weight.data[1, 0]) + 128


def test_requantised_is_the_rounded_quotient() -> None:
    """Within one of acc * multiplier / 2^(16 + shift), for sums at both ends of 32 bits and every shift."""
    acc = np.array([-(2**31), -(2**31) + 1, -65537, -1, 0, 1, 65535, 2**31 - 1], np.int64)
    for multiplier in (0, 1, 1 << 14, (1 << 15) - 1):
        for shift in range(1, 32):
            found = requantised(acc, np.int64(multiplier), np.int64(shift))  # type: ignore[arg-type]
            exact = acc.astype(np.float64) * multiplier / 2.0 ** (16 + shift)
            assert np.abs(found - exact).max() <= 0.5 + 2.0**-shift


def test_quantise_rounds_half_to_even_and_saturates() -> None:
    """Codes of values between, beyond, infinite and NaN, which counts as 0."""
    op = Quantise("i8", Table([1.0], np.float32), Table([3], np.int32), 12)
    x = [[3.5, 4.5, 2.5, -124.0, -125.0, 1e30, -1e30, np.inf, -np.inf, np.nan, -0.0, 130.4]]

    assert [[1, 1, -1, -127, -128, 127, -128, 127, -128, -3, -3, 127]] == op.evaluate(np.array(x, np.float32)).tolist()


def test_softmax_in_integers_is_close() -> None:
    """Within 0.0011 of the exact shares, for two to forty codes of any spread, and never above 1."""
    random = np.random.RandomState(6)
    for spread in (1.0, 30.0, 1e4):
        for size in (2, 3, 40):
            logits = random.normal(size=(500, size)) * spread
            program = network([np.eye(size)], "relu", size)
            made = quantise(program, logits.astype(np.float32), "i16")
            exact = np.exp(logits - logits.max(axis=1, keepdims=True))
            exact /= exact.sum(axis=1, keepdims=True)
            assert np.abs(made.program.run(logits.astype(np.float32)) - exact).max() < 0.0011 + spread * 2e-4


def test_softmax_takes_any_codes() -> None:
    """Codes at both ends of 32 bits: the gap needs all of them, and one share is everything."""
    op = IntegerSoftmax("i32", 3, 4, 20000, 3, 500_000, exp2_table(), 20000 / 2**23)
    ends = np.array([[-(2**31), 2**31 - 1, 0], [5, 5, 5]], np.int32)

    assert [[0, 32767, 0], [10922, 10922, 10922]] == op.evaluate(ends).tolist()


@pytest.mark.parametrize("name", ["kmeans", "knn_euclidean", "gaussian_nb", "logreg_bc", "gmm"])
@pytest.mark.parametrize("element", CODES)
def test_proofs_hold_for_codes_at_both_ends(name: str, element: Code) -> None:
    """Every op with a proof keeps its limit; distances at the ends of the codes come near the largest sum stated."""
    for step in quantised(name, element)[1].program.steps:
        if not isinstance(step.op, Proved):
            continue
        for proof in step.op.proofs:
            assert 0 < proof.largest <= (proof.limit or 1)
        if isinstance(step.op, IntegerSquaredDistance | IntegerNeighbours):
            low = -LARGEST[element] - 1
            ends = np.where(step.op.points.data > 0, low, -low - 1).astype(TYPES[element])
            op = step.op
            seen = op.distances(ends) if isinstance(op, IntegerNeighbours) else op.evaluate(ends)
            assert 0.98 * op.largest_sum <= seen.max() <= op.largest_sum


@pytest.mark.parametrize("scale", [1e-9, 3e-5, 0.004, 0.3])
@pytest.mark.parametrize("size", [1, 2, 10, 100])
def test_shares_stay_within_their_proved_error(scale: float, size: int) -> None:
    """Of codes of any scale; the proof is less than 5 times what the worst of many rows shows, for few classes."""
    random = np.random.RandomState(9)
    op = softmax_of_codes("i32", size, scale)
    rows = [random.normal(size=(4000, size)) * spread / scale for spread in (0.3, 2.0, 6.0, 30.0)]
    codes = np.clip(np.concatenate(rows), -(2**31), 2**31 - 1).astype(np.int32)
    real = codes.astype(np.float64) * scale
    exact = np.exp(real - real.max(axis=1, keepdims=True))
    exact /= exact.sum(axis=1, keepdims=True)
    worst = float(np.abs(op.evaluate(codes) / 32768 - exact).max())

    assert worst <= op.error
    assert op.error < 5 * worst or size in (1, 100)


def test_a_sigmoid_between_table_entries_is_close() -> None:
    """All 65,536 codes of 16 bits lie within three units of 2^-15 of the exact function."""
    steps = quantised("logreg_bc", "i16")[1].program.steps
    op = next(step.op for step in steps if isinstance(step.op, Interpolate))
    codes = np.arange(-32768, 32768)
    found = op.evaluate(codes.astype(np.int16).reshape(-1, 1))[:, 0]
    z = codes * (17.0 / 32767)

    assert np.abs(found - 32768 / (1 + np.exp(-z))).max() <= 3


def test_distances_share_one_scale() -> None:
    """Features of a distance keep their proportions: one scale for all, whatever their ranges."""
    builder = Builder(row_type(2))
    points = Table([[0.0, 0.0], [1.0, 100.0]], np.float32)
    program = builder.build(builder.add(SquaredDistance(points), 0))
    rows = np.array([[0.2, 10.0], [1.0, 90.0], [0.0, 50.0]], np.float32)
    made = quantise(program, rows, "i16").program

    assert made.codes is not None
    assert len(set(made.codes.x_scale)) == 1
    assert np.abs(made.run(rows) - program.run(rows)).max() < 1.0


@pytest.mark.parametrize(
    "rows",
    [np.zeros((0, 2)), np.zeros((3, 4)), np.array([[1.0, np.nan]]), np.array([[1.0, np.inf]]), np.array([[1e30, 0.0]])],
)
def test_rows_that_calibrate_nothing_are_refused(rows: Array) -> None:
    """No rows, rows of another width, values that are not finite or too large for any scale."""
    with pytest.raises(UsageError, match=r"rows|row 0") as refused:
        require_calibration(Calibration(rows.astype(np.float32), "rows.npy"), two_features())

    assert refused.value.code == "numeric.calibrate"
