"""Neighbours and Gaussians in integers: exact votes, close posteriors, and sums that stay within 32 bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.accuracy import Accuracy, Calibration, measure_accuracy
from aprgen.families.gaussian import Mixture, NaiveBayes
from aprgen.families.neighbours import KNearest
from aprgen.ops.distance import Metric
from aprgen.ops.integer import LARGEST, TYPES, Code
from aprgen.ops.integer_distance import IntegerGauss, IntegerMetric, IntegerNeighbours
from aprgen.passes.quantise import quantise
from aprgen.passes.ranges import METHODS, Method
from aprgen.program import Array, Program, Table
from aprgen.rows import random_rows
from tests.passes.test_quantise import assert_no_overflow, furthest_distance
from tests.random_models import FAMILIES, Payload

CODES: tuple[Code, ...] = ("i8", "i16")


def blobs(n_features: int, n_classes: int, spread: float) -> tuple[NaiveBayes, Array, Array]:
    """Rows drawn from Gaussians of their own scales, seven orders of magnitude apart, and the model that drew them."""
    random = np.random.RandomState(1)
    units = np.logspace(-3, 3, n_features)
    means = random.normal(size=(n_classes, n_features)) * 2 * units
    deviations = np.exp(random.normal(size=(n_classes, n_features)) * spread) * units
    labels = random.randint(n_classes, size=400)
    rows = means[labels] + random.normal(size=(400, n_features)) * deviations[labels]
    priors = np.full(n_classes, 1 / n_classes, np.float32)
    classes = np.arange(n_classes, dtype=np.int32)
    model = NaiveBayes(priors, means.astype(np.float32), (deviations**2).astype(np.float32), classes, 1e-9)
    return model, rows.astype(np.float32), labels


def loss(program: Program, rows: Array, element: Code) -> Accuracy:
    return measure_accuracy(program, quantise(program, rows, element), Calibration(rows, "blobs"))


@pytest.mark.parametrize(
    ("n_features", "n_classes", "spread"), [(1, 2, 0.5), (4, 3, 1.0), (64, 10, 1.0), (200, 5, 0.5)]
)
@pytest.mark.parametrize("element", CODES)
def test_naive_bayes_stays_close(n_features: int, n_classes: int, spread: float, element: Code) -> None:
    """No step is left in floats; posteriors within 0.1 (8 bits) and 0.002 (16 bits), few labels change."""
    model, rows, _ = blobs(n_features, n_classes, spread)
    found = loss(model.lower(), rows, element)

    assert found.in_floats == ()
    assert found.largest_difference < (0.1 if element == "i8" else 0.002)
    assert found.labels_changed is not None
    assert found.labels_changed <= (2 if element == "i8" else 0)


def test_features_that_hardly_vary_keep_their_say() -> None:
    """Deviations that differ by e^16 within a model: each weight has a shift of its own and labels stay."""
    model, rows, _ = blobs(64, 10, 4.0)
    made = quantise(model.lower(), rows, "i16").program
    op = next(step.op for step in made.steps if isinstance(step.op, IntegerGauss))

    assert not op.uniform
    assert np.array_equal(model.classify(rows), made.classify(rows))


@pytest.mark.parametrize("element", CODES)
def test_a_mixture_stays_close(element: Code) -> None:
    """exp, weights and norms of a mixture become constants of the sums; no step is left in floats."""
    model, rows, _ = blobs(4, 3, 0.3)
    assert model.means is not None
    assert model.variances is not None
    unit = np.sqrt(model.variances.mean(axis=0))
    weights = np.array([0.5, 0.3, 0.2], np.float32)
    mixture = Mixture(3, "Diag", model.means / unit, model.variances / unit**2, weights, None)
    found = loss(mixture.lower(), (rows / unit).astype(np.float32), element)

    assert found.in_floats == ()
    assert found.largest_difference < (0.1 if element == "i8" else 0.002)


@pytest.mark.parametrize("element", CODES)
def test_a_row_far_from_every_component_has_even_shares(element: Code) -> None:
    """Below the floor of the sum of densities the original gives 1 / n to all, and label 0; so do the integers."""
    means = np.array([[0.0], [1.0], [2.0]], np.float32)
    weights = np.full(3, 1 / 3, np.float32)
    program = Mixture(3, "Diag", means, np.full((3, 1), 0.01, np.float32), weights, None).lower()
    rows = np.array([[-8.0], [0.0], [1.01], [2.0], [12.0]], np.float32)
    made = quantise(program, rows, element).program

    assert program.classify(rows) is not None
    assert np.array_equal(program.classify(rows), made.classify(rows))  # type: ignore[arg-type]
    assert np.abs(made.run(rows) - program.run(rows)).max() < 1e-4


def test_densities_that_are_not_finite_stay_in_floats() -> None:
    """A component of weight 0 has the logarithm minus infinity; its exp stays where it was."""
    means = np.array([[0.0], [1.0]], np.float32)
    program = Mixture(2, "Diag", means, np.ones((2, 1), np.float32), np.array([1.0, 0.0], np.float32), None).lower()
    made = quantise(program, np.array([[0.5], [-1.0]], np.float32), "i16")

    assert made.in_floats == ("map_f32", "normalise_floor_f32", "argmax_f32")


def neighbours(metric: Metric, weighted: bool = False) -> tuple[Program, Array]:
    _, rows, labels = blobs(5, 3, 0.3)
    unit = np.logspace(-3, 3, 5).astype(np.float32)
    points = rows[:300] / unit
    return KNearest(5, metric, 3.0, weighted, points, labels[:300].astype(np.int32)).lower(), rows[300:] / unit


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
@pytest.mark.parametrize("element", CODES)
def test_votes_are_counted_exactly(metric: IntegerMetric, element: Code) -> None:
    """Scores are votes by k; 16 bits find the same neighbours, and 8 bits change few votes."""
    program, rows = neighbours(metric)
    made = quantise(program, rows, element)
    before, after = np.rint(program.run(rows) * 5), made.program.run(rows) * 5

    assert made.in_floats == ()
    assert made.program.codes is not None
    assert np.abs(after - np.rint(after)).max() < 1e-6
    assert np.rint(after).sum(axis=1).tolist() == [5] * len(rows)
    assert np.abs(before - np.rint(after)).max() <= (0 if element == "i16" else 2)
    assert np.mean(before != np.rint(after)) <= (0 if element == "i16" else 0.02)


@pytest.mark.parametrize(("metric", "weighted"), [("minkowski", False), ("euclidean", True)])
def test_weights_and_powers_stay_in_floats(metric: Metric, weighted: bool) -> None:
    """Neighbours that are not counted have no integer form; the Program comes back itself."""
    program, rows = neighbours(metric, weighted)

    assert quantise(program, rows, "i16").program is program


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
@pytest.mark.parametrize("element", CODES)
@pytest.mark.parametrize("shift", [0, 3])
def test_neighbours_against_a_slow_twin(metric: IntegerMetric, element: Code, shift: int) -> None:
    """Whole numbers, sorted by distance and then by place, for codes at both ends of their type."""
    random = np.random.RandomState(2)
    info = np.iinfo(TYPES[element])
    points = random.randint(-5, 6, size=(30, 3))
    points[:4] = info.max
    x = np.concatenate([random.randint(-6, 7, size=(40, 3)), np.full((1, 3), info.min), np.full((1, 3), info.max)])
    classes = random.randint(0, 3, size=30)
    table = Table(points.astype(info.dtype))
    op = IntegerNeighbours(element, metric, 4, table, Table(classes.astype(np.uint8)), 3, shift)
    expected = []
    for row in x.tolist():
        sizes = [[abs(a - b) for a, b in zip(row, point, strict=True)] for point in points.tolist()]
        sums = [sum((s if metric == "manhattan" else s * s) >> shift for s in size) for size in sizes]
        nearest = sorted(range(30), key=lambda i: (sums[i], i))[:4]
        expected.append([sum(int(classes[i]) == c for i in nearest) for c in range(3)])

    assert expected == op.evaluate(x.astype(info.dtype)).tolist()


@pytest.mark.parametrize("element", CODES)
def test_gaussians_against_a_slow_twin(element: Code) -> None:
    """Whole numbers, for weights and codes at both ends, with distances that saturate and that do not."""
    random = np.random.RandomState(3)
    info = np.iinfo(TYPES[element])
    fraction, cap = (6, 9000) if element == "i8" else (0, 9000)
    centre = random.randint(-(info.max << fraction), info.max << fraction, size=(3, 4))
    weight = random.randint(0, 1 << 15, size=(3, 4))
    weight[0, 0], shift = 32767, random.randint(1, 32, size=(3, 4))
    bias = [0, -5, -(1 << 29)]
    x = random.randint(info.min, info.max + 1, size=(60, 4))
    x[0], x[1] = info.min, info.max
    op = IntegerGauss(
        element, fraction, Table(centre.astype(np.int16)), Table(weight.astype(np.uint16)),
        Table(shift.astype(np.uint8)), Table(np.array(bias, np.int32)), cap,
    )  # fmt: skip
    expected = []
    for row in x.tolist():
        sums = list(bias)
        for c in range(3):
            for j in range(4):
                distance = abs(row[j] * 2**fraction - int(centre[c, j]))
                product = distance * int(weight[c, j]) + 2 ** (int(shift[c, j]) - 1)
                assert product < 2**32
                sums[c] -= min(product // 2 ** int(shift[c, j]), cap) ** 2
        expected.append(sums)

    assert op.largest_sum <= LARGEST["i32"]
    assert expected == op.evaluate(x.astype(info.dtype)).tolist()


@pytest.mark.parametrize("family", ["k-nearest neighbours", "naive Bayes", "Gaussian mixture"])
def test_any_parameters_keep_sums_within_32_bits(family: str) -> None:
    """Models with the smallest and largest variances, weights and points are quantised without a warning."""

    @settings(max_examples=40)
    @given(FAMILIES[family](), st.integers(0, 1000), st.sampled_from(CODES), st.sampled_from(METHODS))
    def check(payload: Payload, seed: int, element: Code, method: Method) -> None:
        program = payload.load().model.lower()
        rows = random_rows(program, 30, seed).values
        rows = rows[(np.abs(rows) <= 1e18).all(axis=1)]
        with np.errstate(all="raise", under="ignore"):
            steps = quantise(program, rows, element, method).program.steps if len(rows) else ()
        for step in steps:
            if isinstance(step.op, IntegerGauss):
                assert_no_overflow(step.op)
            if isinstance(step.op, IntegerNeighbours):
                assert furthest_distance(step.op) <= LARGEST["i32"]

    check()
