"""Estimators that the libraries train here, on rows with missing values: converted, they decide as the library does."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from aprgen.ops.elementwise import Map
from aprgen.ops.trees import TreeSum, TreeTotals
from aprgen.passes.strategy import choose_strategies
from aprgen.program import Array, Program
from aprgen.rows import edge_rows
from aprgen.target import load_target

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
N_FEATURES = 5
_SK = "sklearn.ensemble"
_QUIET: Mapping[str, object] = {"n_estimators": 8, "n_jobs": 1, "random_state": 0}
_LIGHT = {**_QUIET, "verbose": -1, "min_child_samples": 4}
_XG = {**_QUIET, "max_depth": 3}
_HIST: Mapping[str, object] = {"max_iter": 8, "random_state": 0, "min_samples_leaf": 4}

# Module, class, options, classes (0: a regression).
MODELS: Mapping[str, tuple[str, str, Mapping[str, object], int]] = {
    "lightgbm, 2 classes": ("lightgbm", "LGBMClassifier", _LIGHT, 2),
    "lightgbm, 3 classes": ("lightgbm", "LGBMClassifier", _LIGHT, 3),
    "lightgbm, 0 is missing": ("lightgbm", "LGBMClassifier", {**_LIGHT, "zero_as_missing": True}, 2),
    "lightgbm, no missing values": ("lightgbm", "LGBMClassifier", {**_LIGHT, "use_missing": False}, 2),
    "lightgbm, regression": ("lightgbm", "LGBMRegressor", _LIGHT, 0),
    "lightgbm, poisson": ("lightgbm", "LGBMRegressor", {**_LIGHT, "objective": "poisson"}, 0),
    "xgboost, 2 classes": ("xgboost", "XGBClassifier", _XG, 2),
    "xgboost, 3 classes": ("xgboost", "XGBClassifier", _XG, 3),
    "xgboost, regression": ("xgboost", "XGBRegressor", _XG, 0),
    "xgboost, poisson": ("xgboost", "XGBRegressor", {**_XG, "objective": "count:poisson"}, 0),
    "histograms, 2 classes": (_SK, "HistGradientBoostingClassifier", _HIST, 2),
    "histograms, 3 classes": (_SK, "HistGradientBoostingClassifier", _HIST, 3),
    "histograms, regression": (_SK, "HistGradientBoostingRegressor", _HIST, 0),
    "histograms, poisson": (_SK, "HistGradientBoostingRegressor", {**_HIST, "loss": "poisson"}, 0),
    "forest": (_SK, "RandomForestClassifier", {**_QUIET, "max_depth": 5}, 3),
    "forest, regression": (_SK, "RandomForestRegressor", {**_QUIET, "max_depth": 5}, 0),
    "extra trees": (_SK, "ExtraTreesClassifier", {**_QUIET, "max_depth": 5}, 3),
    "extra trees, regression": (_SK, "ExtraTreesRegressor", {**_QUIET, "max_depth": 5}, 0),
}
WHOLE: Mapping[str, tuple[str, str, Mapping[str, object], int]] = {  # of these the library takes no missing values
    "boosting, 2 classes": (_SK, "GradientBoostingClassifier", {"n_estimators": 8, "random_state": 0}, 2),
    "boosting, 3 classes": (_SK, "GradientBoostingClassifier", {"n_estimators": 8, "random_state": 0}, 3),
    "boosting, regression": (_SK, "GradientBoostingRegressor", {"n_estimators": 8, "random_state": 0}, 0),
}
SOFT = ("forest", "extra trees")  # average shares, as totals do; one vote a tree is another decision


@pytest.fixture
def convert(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("convert", "boosted"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("convert")


def rows_of(n: int, seed: int, *, gaps: bool) -> Array:
    """Numbers with many zeros and repeated values; two features in five have gaps, one always had."""
    chance = np.random.default_rng(seed)
    x = np.round(chance.normal(size=(n, N_FEATURES)) * 4) / 4
    x[chance.random(x.shape) < 0.2] = 0
    x[:, 4] = chance.normal(size=n)
    if gaps:
        holes = chance.random((n, 3)) < 0.3
        x[:, :3][holes] = np.nan
    return x.astype(np.float32)


def trained(kind: tuple[str, str, Mapping[str, object], int], *, gaps: bool) -> Any:
    """Missing values say something, each feature another thing."""
    module, name, options, n_classes = kind
    pytest.importorskip(module.split(".")[0], reason=f"{module} is not installed")
    x = rows_of(300, 1, gaps=gaps)
    signal = np.nan_to_num(x[:, 0], nan=1.5) - np.nan_to_num(x[:, 1], nan=-1) + x[:, 4] * np.nan_to_num(x[:, 2], nan=2)
    y = np.digitize(signal, (0.0, 1.0)[: n_classes - 1]) if n_classes else np.exp(signal / 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(importlib.import_module(module), name)(**options).fit(x, y)


def tried_rows(program: Program, *, gaps: bool) -> Array:
    """New rows, with gaps in features that had none, too, and rows at the thresholds."""
    rows = rows_of(300, 2, gaps=gaps)
    if gaps:
        rows[::7, 3:] = np.nan
    edges = edge_rows(program, 400).values
    edges = edges[(np.nan_to_num(np.abs(edges)) < 1e6).all(axis=1)]
    return np.concatenate([rows, edges if gaps else edges[~np.isnan(edges).any(axis=1)]])


def agrees(program: Program, estimator: Any, rows: Array, near: float) -> None:
    """Labels are the library's, values are near."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = estimator.predict(rows)
    labels = program.classify(rows)
    if labels is None:
        values = program.run(rows)[:, 0]
        assert np.abs(values - expected).max() <= near * np.abs(expected).max()
    else:
        assert np.flatnonzero(labels != expected).tolist() == []
        assert len(np.unique(labels)) > 1


@pytest.mark.parametrize("name", MODELS)
def test_missing_values_go_where_the_library_sends_them(name: str, convert: ModuleType) -> None:
    """Rows with gaps and rows at every threshold: floats, totals, and both as a core without floats computes them."""
    estimator = trained(MODELS[name], gaps=True)
    sums, totals = (make(estimator, missing=True) for make in (convert.program_of, convert.totals_of))
    rows = tried_rows(sums, gaps=True)

    assert np.isnan(rows).any(axis=1).sum() > 100
    if name not in SOFT:
        agrees(sums, estimator, rows, 1e-5)
    agrees(totals, estimator, rows, 1e-3)
    for program in (sums, totals):
        chosen = choose_strategies(program, load_target("cortex-m0plus").cost, "size")
        assert program.run(rows).view(np.uint32).tolist() == chosen.run(rows).view(np.uint32).tolist()
    plain = convert.program_of(estimator)
    if "no missing" not in name:
        assert plain.run(rows).tolist() != sums.run(rows).tolist()


@pytest.mark.parametrize("name", [*WHOLE, "lightgbm, 3 classes", "xgboost, 3 classes", "extra trees, regression"])
def test_rows_without_gaps(name: str, convert: ModuleType) -> None:
    """The same of models that know no missing values."""
    estimator = trained({**WHOLE, **MODELS}[name], gaps=False)
    sums, totals = convert.program_of(estimator), convert.totals_of(estimator)
    rows = tried_rows(sums, gaps=False)

    agrees(sums, estimator, rows, 1e-5)
    agrees(totals, estimator, rows, 1e-3)


def test_classes_have_a_total_each(convert: ModuleType) -> None:
    """Sums of three classes are three sums in floats, and one walk of all trees in integers."""
    estimator = trained(MODELS["xgboost, 3 classes"], gaps=True)
    sums, totals = convert.program_of(estimator, missing=True), convert.totals_of(estimator, missing=True)

    assert 3 == sum(isinstance(step.op, TreeSum) for step in sums.steps)
    assert [3] == [step.op.n_outputs for step in totals.steps if isinstance(step.op, TreeTotals)]
    assert [24] == [step.op.n_trees for step in totals.steps if isinstance(step.op, TreeTotals)]


SCALERS = ("StandardScaler", "MinMaxScaler", "RobustScaler", "MaxAbsScaler")
SCALED: Mapping[str, tuple[str, str, Mapping[str, object], int]] = {
    "histograms": MODELS["histograms, 2 classes"],
    "forest": MODELS["forest, regression"],
    "logistic": ("sklearn.linear_model", "LogisticRegression", {}, 3),
    "neighbours": ("sklearn.neighbors", "KNeighborsClassifier", {}, 3),
    "linear": ("sklearn.linear_model", "LinearRegression", {}, 0),
}


@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize("name", SCALED)
def test_scalers_in_front(name: str, scaler: str, convert: ModuleType) -> None:
    """A pipeline is one Program: trees read the row as it comes, with gaps and at thresholds; others read a map."""
    preprocessing = pytest.importorskip("sklearn.preprocessing", reason="scikit-learn is not installed")
    pipeline = importlib.import_module("sklearn.pipeline").Pipeline
    module, kind, options, n_classes = SCALED[name]
    gaps = name in ("histograms", "forest")
    x = rows_of(300, 1, gaps=gaps) * np.float32(3.7) + np.float32(0.1)
    signal = np.nan_to_num(x[:, 0], nan=1.5) - np.nan_to_num(x[:, 1], nan=-1) + x[:, 4]
    y = np.digitize(signal, (-1.0, 2.0)[: n_classes - 1]) if n_classes else signal
    last = getattr(importlib.import_module(module), kind)(**options)
    made = pipeline([("first", getattr(preprocessing, scaler)()), ("last", last)]).fit(x, y)
    program = convert.program_of(made, missing=gaps)
    rows = tried_rows(program, gaps=gaps)

    assert gaps == all(not isinstance(step.op, Map) or step.inputs != (0,) for step in program.steps)
    assert not gaps or np.isnan(rows).any()
    agrees(program, made, rows if gaps else rows[:300], 1e-5)
    totals = convert.totals_of(made, missing=gaps)
    assert (totals is None) != gaps
    if totals is not None:
        agrees(totals, made, rows, 1e-3)


def test_unknown_scalers_are_refused(convert: ModuleType) -> None:
    """What stands before a model is a scaler that is known."""
    pipeline = type("Pipeline", (), {"steps": [("one", SimpleNamespace()), ("two", split(1.0, "None", False))]})()

    with pytest.raises(TypeError, match="no conversion for SimpleNamespace in front of a model"):
        convert.program_of(pipeline)


def split(threshold: float, missing: str, default_left: bool) -> SimpleNamespace:
    """LightGBM's dump of one split between -1 and 1."""
    node = {
        "split_feature": 0, "threshold": threshold, "decision_type": "<=", "missing_type": missing,
        "default_left": default_left, "left_child": {"leaf_value": -1.0}, "right_child": {"leaf_value": 1.0},
    }  # fmt: skip
    tree = {"num_tree_per_iteration": 1, "objective": "regression", "tree_info": [{"tree_structure": node}]}
    found = type("LGBMRegressor", (), {"n_features_in_": 1, "booster_": SimpleNamespace(dump_model=lambda: tree)})
    return found()  # type: ignore[return-value]


def goes_left(value: float, threshold: float, missing: str, default_left: bool) -> bool:
    """LightGBM's NumericalDecision, line by line; of a row it reads only values that are not about 0."""
    zero = float(np.float32(1e-35))
    if abs(value) <= zero or (np.isnan(value) and missing != "NaN"):
        value = 0.0
    if (missing == "Zero" and -zero <= value <= zero) or (missing == "NaN" and np.isnan(value)):
        return default_left
    return value <= threshold


@pytest.mark.parametrize("threshold", [-2.0, -1.0000000180025095e-35, -1e-36, 0.0, 1e-36, 1.0000000180025095e-35, 3.0])
@pytest.mark.parametrize("default_left", [False, True])
@pytest.mark.parametrize("missing", ["None", "NaN", "Zero"])
def test_lightgbm_directions(threshold: float, default_left: bool, missing: str, convert: ModuleType) -> None:
    """Values about 0 and the threshold, and a NaN, go where LightGBM's own rule sends them."""
    program = convert.program_of(split(threshold, missing, default_left), missing=True)
    values = np.array([threshold, 0.0, -0.0, 1e-35, -1e-35, 1e-36, 1e-34, -1e-34, 5.0, -5.0, np.nan], np.float32)
    values = np.concatenate([values, np.nextafter(values, np.float32(9)), np.nextafter(values, np.float32(-9))])
    expected = [-1.0 if goes_left(float(v), threshold, missing, default_left) else 1.0 for v in values]

    assert expected == program.run(values.reshape(-1, 1))[:, 0].tolist()


@pytest.mark.parametrize(
    ("node", "message"),
    [({"decision_type": "=="}, "only splits by <="), ({"missing_type": "Other"}, "no missing type Other")],
)
def test_other_splits_are_refused(node: Mapping[str, str], message: str, convert: ModuleType) -> None:
    """Categories, and kinds of missing values that are not known."""
    estimator = split(1.0, "None", False)
    document: Callable[[], Any] = estimator.booster_.dump_model
    document()["tree_info"][0]["tree_structure"].update(node)

    with pytest.raises(ValueError, match=message):
        convert.program_of(estimator)
