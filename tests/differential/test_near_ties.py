"""Neighbours whose squared distances differ while their rounded roots do not: they are equally near."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aprgen.core import Options, compile_model
from aprgen.families.neighbours import KNearest
from aprgen.ops.distance import Metric
from aprgen.target import load_target
from tests.differential.compiled import Compiled, Floats, load
from tests.examples import loaded

A_LITTLE = 2.0**-11.5  # its square is the last bit of 1; the root of 1 plus that bit rounds to 1


def compiled(model: KNearest, folder: Path) -> Compiled:
    artifact = compile_model(replace(loaded("knn_euclidean"), model=model), load_target("host"), Options("m"))
    return load("m", artifact.texts, artifact.program, folder)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("first_is_nearer", [False, True])
def test_equal_roots_keep_the_order_of_points(k: int, first_is_nearer: bool, tmp_path: Path) -> None:
    """The first of two points counts, though the square of its distance is one step above the other's."""
    points = np.array([[1, A_LITTLE], [1, 0], [3, 0], [1, A_LITTLE]], np.float32)
    points = points[[1, 0, 2, 3]] if first_is_nearer else points
    model = KNearest(k, "euclidean", 2.0, False, points, np.array([2, 1, 0, 0], np.int32))
    row = np.zeros((1, 2), np.float32)
    squares = np.square(points[:2]).sum(axis=1)

    assert squares[0] != squares[1]
    assert np.sqrt(squares[0]) == np.sqrt(squares[1])
    assert [[0.0, 0.0, 1.0] if k == 1 else [0.0, 0.5, 0.5]] == model.predict(row).tolist()
    assert model.predict(row).tolist() == compiled(model, tmp_path).batch(row)[0].tolist()


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "minkowski"])
@pytest.mark.parametrize("weighted", [False, True])
def test_infinite_distances_and_nan(metric: Metric, weighted: bool, tmp_path: Path) -> None:
    """Distances that are infinite come in order behind all others, and one NaN makes every vote NaN."""
    random = np.random.RandomState(4)
    points = random.choice(np.array([0, 1, -2, 1e19, -3e38, 3e38], np.float32), size=(40, 3))
    rows: Floats = random.choice(np.array([0, 1, 1e19, 3e38, -3e38, np.inf, np.nan], np.float32), size=(200, 3))
    model = KNearest(5, metric, 1.5, weighted, points, random.randint(0, 3, size=40).astype(np.int32))
    found, labels = compiled(model, tmp_path).batch(rows)

    assert np.isnan(found).any()
    assert not np.isnan(found).all()
    assert np.array_equal(model.lower().run(rows), found, equal_nan=True)
    assert labels is not None
    assert model.lower().classify(rows).tolist() == labels.tolist()  # type: ignore[union-attr]
