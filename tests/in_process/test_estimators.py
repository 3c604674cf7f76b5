"""Models as scikit-learn estimators: in pipelines, scorers, copies and pickles, as what they are and nothing else."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("sklearn")

from sklearn.base import clone, is_classifier, is_clusterer, is_outlier_detector, is_regressor
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from aprgen import build
from aprgen.api import Model
from aprgen.errors import UsageError
from aprgen.estimators import AprClassifier, AprRegressor, AprTransformer, estimator
from aprgen.rows import random_rows
from tests.examples import PATHS, loaded

CLASSIFIERS = ("rfc_digits", "gaussian_nb", "knn_euclidean", "gbm", "logreg_bc", "dtc_bc_depth", "linear_svm")


@pytest.fixture(autouse=True)
def _here(require_target: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    require_target("host")
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr(build, "cache_folder", lambda: tmp_path / "cache")


def rows_of(name: str, n: int = 60) -> NDArray[np.float32]:
    return random_rows(loaded(name).model.lower(), n).values


def made(name: str) -> object:
    return estimator(Model(loaded(name), name), target="host")


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers(name: str) -> None:
    """Labels are the model's; where there are probabilities, the likeliest class is the label."""
    rows, program = rows_of(name), loaded(name).model.lower()
    one = made(name)

    assert is_classifier(one)
    assert isinstance(one, AprClassifier)
    assert one.predict(rows).tolist() == program.classify(rows).tolist()
    assert set(one.predict(rows).tolist()) <= set(one.classes_.tolist())
    assert one.n_features_in_ == rows.shape[1]
    assert hasattr(one, "predict_proba") == (name not in ("dtc_bc_depth", "linear_svm"))
    assert hasattr(one, "decision_function") == (name == "linear_svm")
    if hasattr(one, "predict_proba"):
        p = one.predict_proba(rows)
        assert p.shape == (len(rows), len(one.classes_))
        assert np.allclose(p.sum(axis=1), 1, atol=1e-5)
        decided = np.sort(p, axis=1)[:, -1] > np.sort(p, axis=1)[:, -2] + 1e-6
        assert decided.any()
        assert one.classes_[p.argmax(axis=1)][decided].tolist() == one.predict(rows)[decided].tolist()
    if hasattr(one, "decision_function"):
        assert ((one.decision_function(rows) >= 0) == (one.predict(rows) == 1)).all()


@pytest.mark.parametrize(
    ("name", "is_kind"), [("linreg", is_regressor), ("kmeans", is_clusterer), ("iforest", is_outlier_detector)]
)
def test_other_kinds(name: str, is_kind: Callable[[object], bool]) -> None:
    """Values, the nearest cluster, and -1 or 1."""
    rows, program = rows_of(name), loaded(name).model.lower()
    one = made(name)
    wanted = program.run(rows)[:, 0] if program.label is None else program.classify(rows)

    assert is_kind(one)
    assert one.predict(rows).tolist() == wanted.tolist()  # type: ignore[attr-defined]
    if name == "kmeans":
        assert np.allclose(one.transform(rows) ** 2, program.run(rows), rtol=1e-5)  # type: ignore[attr-defined]
    if name == "iforest":
        assert one.score_samples(rows).tolist() == program.run(rows)[:, 0].tolist()  # type: ignore[attr-defined]


def test_in_a_pipeline() -> None:
    """Transformers in front, scorers behind, copies of it all; fit() changes nothing."""
    rows = rows_of("pca")
    pipeline = make_pipeline(AprTransformer(PATHS["pca"]))
    regressor = AprRegressor(PATHS["linreg"], target="host", threads=2)
    x = rows_of("linreg")
    y = regressor.predict(x)

    assert pipeline.fit_transform(rows).tolist() == loaded("pca").model.lower().run(rows).tolist()
    assert clone(regressor).get_params() == regressor.get_params()
    assert regressor.fit(x, y).score(x, y) == 1
    assert cross_val_score(regressor, x, y, cv=2).tolist() == [1, 1]
    assert pickle.loads(pickle.dumps(regressor)).predict(x).tolist() == y.tolist()


def test_other_parameters() -> None:
    """They hold from the next fit() on."""
    regressor = AprRegressor(PATHS["linreg"], target="host").fit()
    regressor.set_params(model=PATHS["linreg_nointercept"]).fit()
    x = rows_of("linreg_nointercept")

    assert regressor.predict(x).tolist() == loaded("linreg_nointercept").model.lower().run(x)[:, 0].tolist()


def test_the_wrong_kind() -> None:
    """A forest is no regressor, and the error says what it is."""
    with pytest.raises(UsageError, match="AprClassifier"):
        AprRegressor(PATHS["rfc_digits"]).fit()
