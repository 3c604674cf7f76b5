"""What decodes but costs too much, or says something twice, is refused by name before work is done on it."""

from __future__ import annotations

import numpy as np
import pytest

from aprgen.errors import PayloadError, UnsupportedError
from aprgen.families.base import Model
from aprgen.families.gaussian import Mixture, NaiveBayes
from aprgen.families.neighbours import KMeans, KNearest
from aprgen.families.network import from_tensors
from aprgen.families.scaler import Pca
from aprgen.ops.distance import BLOCK, Neighbours
from aprgen.program import Table

MANY = 65_537
COLUMN = np.ones((MANY, 1), np.float32)
ONES = COLUMN.reshape(-1)


def bayes(classes: int, features: int) -> NaiveBayes:
    table = np.broadcast_to(np.float32(1), (classes, features))  # takes no memory
    return NaiveBayes(np.ones(classes, np.float32), table, table, np.arange(classes, dtype=np.int32), 1e-9)


def nearest(k: int, rows: int = MANY) -> KNearest:
    return KNearest(k, "euclidean", 0.0, False, np.ones((rows, 1), np.float32), np.zeros(rows, np.int32))


@pytest.mark.parametrize(
    ("model", "code", "what"),
    [
        (KMeans(MANY, COLUMN, 0.0, 1), "model.outputs", "gives 65537 values per row"),
        (Pca(MANY, ONES[:1], COLUMN, None), "model.outputs", "gives 65537 values per row"),
        (Mixture(MANY, "Full", COLUMN, COLUMN, ONES, None), "model.outputs", "gives 65537 values per row"),
        (bayes(MANY, 1), "model.outputs", "gives 65537 values per row"),
        (bayes(8, 3_000_000), "model.too_large", "take 288000000 bytes, aprgen writes at most 16777216"),
        (nearest(5, (1 << 19) + 1), "model.points", "524289 training rows, aprgen writes code for at most 524288"),
        (nearest(1_025), "model.neighbours", "k is 1025, aprgen writes code for at most 1024"),
    ],
    ids=lambda value: getattr(value, "struct", None),
)
def test_too_large(model: Model, code: str, what: str) -> None:
    """More outputs, neighbours or constants than a device could use are refused by check()."""
    with pytest.raises(UnsupportedError) as caught:
        model.check()

    assert (code, 5) == (caught.value.code, caught.value.exit_status)
    assert what in caught.value.what
    assert caught.value.hint


def test_within_the_limits() -> None:
    """The largest allowed values pass."""
    KMeans(MANY - 1, COLUMN, 0.0, 1).check()
    nearest(1_024).check()
    bayes(8, 30_000).check()


WEIGHT = np.ones((2, 2), np.float32)


@pytest.mark.parametrize("slope", [10**400, -(10**400), 1e39, True, "0.1", [0.1]])
def test_slope_must_be_a_float32(slope: object) -> None:
    """A slope that no float32 holds, or that is no number, is refused; JSON can hold integers of any size."""
    with pytest.raises(PayloadError, match="negative_slope is") as caught:
        from_tensors({"layer0.weight": WEIGHT}, {"negative_slope": slope})

    assert len(caught.value.what) < 80


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (("layer0.weight", "layer01.weight"), "'layer01.weight' is no layerN.weight"),
        (("layer0.weight", "layer\u0661.weight"), "is no layerN.weight"),
        (("layer0.weight", "layer2.weight"), "there is no layer1, but 2 others"),
        (("layer1.weight",), "there is no layer0, but 1 others"),
        (("layer1000000.weight",), "is no layerN.weight"),
    ],
)
def test_each_layer_has_one_name(names: tuple[str, ...], what: str) -> None:
    """Numbers without leading zeros, in ASCII, from 0 without a gap; so no tensor can replace another one."""
    with pytest.raises(UnsupportedError) as caught:
        from_tensors(dict.fromkeys(names, WEIGHT), {"activation": "relu"})

    assert what in caught.value.what


def test_distances_in_blocks() -> None:
    """Distances are worked out a few rows at a time, with the same result as row by row."""
    generator = np.random.default_rng(5)
    points = generator.standard_normal((BLOCK // 2, 1)).astype(np.float32)
    op = Neighbours("minkowski", 3.0, True, 5, Table(points), Table(np.arange(BLOCK // 2) % 3, np.uint8), 3)
    rows = generator.standard_normal((5, 1)).astype(np.float32)

    together = op.distances(rows)

    assert (5, BLOCK // 2) == together.shape
    assert all(np.array_equal(together[i], op.distances(rows[i : i + 1])[0]) for i in range(5))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("power", [1e-39, 3e38])
def test_power_at_the_edge(power: float) -> None:
    """A power whose inverse or whose use overflows gives the same answers in the Program as in the model."""
    points = np.array([[0, 1], [2, 3], [4, 5]], np.float32)
    rows = np.array([[0, 1], [0.5, 0.5], [9, -3], [np.nan, 0]], np.float32)
    model = KNearest(2, "minkowski", power, False, points, np.array([0, 1, 1], np.int32))
    model.check()

    np.testing.assert_array_equal(model.predict(rows), model.lower().run(rows))


@pytest.mark.filterwarnings("error")
def test_variance_at_the_edge() -> None:
    """A variance whose product with 2 pi overflows makes its class impossible, in the model and in the Program."""
    means = np.array([[0, 1], [2, 3]], np.float32)
    variances = np.array([[1e38, 1], [1, 1]], np.float32)
    model = NaiveBayes(np.full(2, 0.5, np.float32), means, variances, np.array([3, 4], np.int32), 0.0)
    model.check()

    assert [[0.0, 1.0]] == model.predict(means[:1]).tolist() == model.lower().run(means[:1]).tolist()
    assert [4] == model.classify(means[:1]).tolist()
