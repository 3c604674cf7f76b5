"""The models of the comparison with other generators: which estimator, which data set, which seed.

Knows scikit-learn, LightGBM and XGBoost, which only the benchmark needs and imports when asked; converts and measures
nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED = 0
_Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Recipe:
    """An estimator by module, name and options; kept: the share of the rows that training does not see."""

    module: str
    name: str
    data: str
    options: Mapping[str, object]
    kept: float = 0.2
    scaled: bool = False  # features by StandardScaler, as all linear models want them
    seeded: bool = True


_SK = "sklearn."
RECIPES: Mapping[str, Recipe] = {
    "rf_digits": Recipe(_SK + "ensemble", "RandomForestClassifier", "digits", {"n_estimators": 100, "max_depth": 10}),
    "rf_iris": Recipe(_SK + "ensemble", "RandomForestClassifier", "iris", {"n_estimators": 10}),
    "gb_bc": Recipe(_SK + "ensemble", "GradientBoostingClassifier", "breast_cancer", {"n_estimators": 100}),
    "lgb_bc": Recipe("lightgbm", "LGBMClassifier", "breast_cancer", {"n_estimators": 100, "verbose": -1, "n_jobs": 1}),
    "xgb_bc": Recipe(
        "xgboost", "XGBClassifier", "breast_cancer",
        {"n_estimators": 100, "max_depth": 3, "base_score": 0.5, "n_jobs": 1},
    ),
    "mlp_digits": Recipe(
        _SK + "neural_network", "MLPClassifier", "digits", {"hidden_layer_sizes": (32,), "max_iter": 300}
    ),
    "mlp_wide": Recipe(
        _SK + "neural_network", "MLPClassifier", "digits", {"hidden_layer_sizes": (256, 256), "max_iter": 60}
    ),
    "logreg_bc": Recipe(_SK + "linear_model", "LogisticRegression", "breast_cancer", {"max_iter": 1000}, scaled=True),
    "linreg_diabetes": Recipe(_SK + "linear_model", "LinearRegression", "diabetes", {}, seeded=False),
    "gnb_wine": Recipe(_SK + "naive_bayes", "GaussianNB", "wine", {}, kept=0.4, scaled=True, seeded=False),
    "svc_digits": Recipe(_SK + "svm", "LinearSVC", "digits", {"max_iter": 3000}, scaled=True),
    "pca_digits": Recipe(_SK + "decomposition", "PCA", "digits", {"n_components": 16, "svd_solver": "full"}),
    "kmeans_digits": Recipe(_SK + "cluster", "KMeans", "digits", {"n_clusters": 10, "n_init": 4}),
    "knn_iris": Recipe(_SK + "neighbors", "KNeighborsClassifier", "iris", {}, kept=0.4, seeded=False),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Subject:
    """A fitted estimator and float32 rows: those it learnt from, and those kept from it."""

    name: str
    estimator: Any
    train_x: _Floats
    train_y: NDArray[Any]
    rows: _Floats

    def expected(self, rows: _Floats) -> NDArray[Any]:
        """What the library says: labels, or values of a regression or projection."""
        model = self.estimator
        return np.asarray(model.predict(rows) if hasattr(model, "predict") else model.transform(rows))

    @property
    def labelled(self) -> bool:
        return hasattr(self.estimator, "classes_") or hasattr(self.estimator, "cluster_centers_")


def available(name: str) -> bool:
    """Whether the library of the recipe is installed."""
    return all(importlib.util.find_spec(one) is not None for one in ("sklearn", RECIPES[name].module.split(".")[0]))


def train(name: str) -> Subject:
    """The estimator of that recipe, fitted: the same numbers on every run with the same versions of the libraries."""
    recipe = RECIPES[name]
    loaded = getattr(importlib.import_module("sklearn.datasets"), f"load_{recipe.data}")(return_X_y=True)
    x, y = loaded[0].astype(np.float32), loaded[1]
    split = importlib.import_module("sklearn.model_selection").train_test_split
    stratify = None if recipe.data == "diabetes" else y
    train_x, rows, train_y, _ = split(x, y, test_size=recipe.kept, random_state=SEED, stratify=stratify)
    if recipe.scaled:
        scaler = importlib.import_module("sklearn.preprocessing").StandardScaler().fit(train_x)
        train_x, rows = (np.asarray(scaler.transform(one), np.float32) for one in (train_x, rows))
    kind = getattr(importlib.import_module(recipe.module), recipe.name)
    options = dict(recipe.options) | ({"random_state": SEED} if recipe.seeded else {})
    with np.errstate(all="ignore"):
        model = kind(**options).fit(train_x, train_y)
    return Subject(name, model, train_x, train_y, rows)
