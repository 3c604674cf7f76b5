"""Faults that random models found once, each as the smallest model that showed it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from aprgen.core import Options, compile_model
from aprgen.errors import PayloadError
from aprgen.families.base import Fields
from aprgen.rows import edge_rows, random_rows
from aprgen.target import load_target
from aprgen.trees import TreeBuilder
from tests.differential.compiled import Compiled, load
from tests.random_models import BY_NAME, Payload


def compiled(payload: Payload, folder: Path) -> Compiled:
    artifact = compile_model(payload.load(), load_target("host"), Options("m"))
    return load("m", artifact.texts, artifact.program, folder)


def test_a_constant_column_scaled_to_minus_zero(tmp_path: Path) -> None:
    """A MinMaxScaler whose lowest output is -0.0 gives -0.0 for a constant column, in Python as in C."""
    fields: Fields = {
        "data_min": np.zeros(1, np.float32), "data_max": np.zeros(1, np.float32), "feature_min": -0.0,
        "feature_max": 1.0,
    }  # fmt: skip
    model = compiled(Payload(BY_NAME["MinMaxScaler"], fields), tmp_path)
    rows = np.array([[5.0]], np.float32)

    assert np.signbit(model.program.run(rows)).tolist() == [[True]]
    assert np.signbit(model.batch(rows)[0]).tolist() == [[True]]


def test_one_neighbour_compiles_without_a_warning(tmp_path: Path) -> None:
    """With k = 1 gcc thought that the list of neighbours might be empty."""
    fields: Fields = {
        "k": 1, "metric": ("Euclidean", None), "weights": False, "x_train": np.zeros((2, 3), np.float32),
        "y_train": np.array([1, 0], np.uint64),
    }  # fmt: skip
    model = compiled(Payload(BY_NAME["KNearestNeighbors"], fields), tmp_path)
    _, labels = model.batch(np.zeros((1, 3), np.float32))

    assert labels is not None
    assert labels.tolist() == [1]


def mixture(expert: str, member: Fields) -> Payload:
    """Two equal experts behind a gate of three features."""
    fields: Fields = {
        "experts": (member, member),
        "gating": {"n_features": 3, "n_experts": 2, "temperature": 1.0, "weights": np.zeros(6, np.float32)},
        "config": {"top_k": 2, "capacity_factor": 1.0, "expert_dropout": 0.0, "load_balance_weight": 0.0},
    }
    return Payload(BY_NAME[f"MixtureOfExperts<{expert}>"], fields)


def test_tree_experts_read_fewer_columns_than_the_gate(tmp_path: Path) -> None:
    """A regression tree that splits on the first column only is an expert for rows of three."""
    builder = TreeBuilder()
    root = builder.add(0, 0.5)
    builder.left[root] = builder.leaf(value=1.0)
    builder.right[root] = builder.leaf(value=2.0)
    member: Fields = {"tree": builder.build(), "max_depth": None, "min_samples_split": 2, "min_samples_leaf": 1}
    payload = mixture("DecisionTreeRegressor", member)
    payload.load().model.check()
    model = compiled(payload, tmp_path)
    rows = np.array([[0.0, 9.0, 9.0], [1.0, -9.0, np.nan]], np.float32)

    assert model.batch(rows[:1])[0].tolist() == [[1.0]]
    assert payload.load().model.predict(rows[:1]).tolist() == [[1.0]]
    assert np.isnan(model.batch(rows)[0][1]).all()  # the gate saw the NaN


def test_linear_experts_must_fit_the_gate() -> None:
    """Coefficients for two columns cannot serve rows of three."""
    member: Fields = {"coefficients": np.ones(2, np.float32), "intercept": 0.0, "fit_intercept": True}
    with pytest.raises(PayloadError, match="expert 0 takes 2 features, the gate 3"):
        mixture("LinearRegression", member).load().model.check()


def test_rows_around_the_largest_floats_come_without_warnings() -> None:
    """Random and edge rows of a tree that splits at both ends of the floats overflow in silence."""
    builder = TreeBuilder()
    root = builder.add(0, 3.4028235e38)
    builder.right[root] = builder.leaf(label=1)
    left = builder.add(0, -3.4028235e38)
    builder.left[root] = left
    builder.left[left] = builder.leaf(label=0)
    builder.right[left] = builder.leaf(label=2)
    fields: Fields = {"tree": builder.build(), "max_depth": None, "n_features": 1}
    program = Payload(BY_NAME["DecisionTreeClassifier"], fields).load().model.lower()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(random_rows(program, 50).values) == 50
        assert len(edge_rows(program, 500).values) > 20
