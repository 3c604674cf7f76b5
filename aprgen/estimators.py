"""Models as scikit-learn estimators: trained elsewhere, computed by generated C, at home in pipelines and scorers.

Knows what scikit-learn expects of each kind of estimator; needs scikit-learn. `estimator()` chooses the kind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

try:
    from sklearn.base import (
        BaseEstimator,
        ClassifierMixin,
        ClusterMixin,
        OutlierMixin,
        RegressorMixin,
        TransformerMixin,
    )
    from sklearn.utils.metaestimators import available_if
except ImportError as missing:
    raise ImportError("aprgen.estimators needs scikit-learn: pip install 'aprgen[estimators]'") from missing

from aprgen.api import Model, load
from aprgen.errors import UsageError
from aprgen.in_process import Native
from aprgen.ops.decide import Argmax, Lookup, Threshold
from aprgen.program import Program

CLUSTERERS = ("KMeans", "GaussianMixture")
OUTLIER_DETECTORS = ("IsolationForest",)
MARGINS = ("LinearSVM",)  # the score is a distance from the boundary, not a probability
LABELS = ("DecisionTreeClassifier",)  # the score is the label
TRANSFORMERS = (
    "StandardScaler", "MinMaxScaler", "RobustScaler", "PCA", "CountVectorizer", "TfidfVectorizer",
)  # fmt: skip


class _Estimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A model that is trained already.

    model: an .apr file, or what `aprgen.load` gave. target: as of `Model.native`. threads: how many compute at once.
    """

    def __init__(self, model: str | Path | Model, *, target: str | None = None, threads: int = 1) -> None:
        self.model = model
        self.target = target
        self.threads = threads

    def fit(self, X: object = None, y: object = None) -> Self:  # noqa: N803  # scikit-learn's names
        """Load and build anew; the model is trained already, so rows and labels are not looked at."""
        for kept in ("_native", "_loaded"):  # of the parameters before
            self.__dict__.pop(kept, None)
        self._ready()
        return self

    @property
    def n_features_in_(self) -> int:
        return self._source().n_features

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __getstate__(self) -> dict[str, Any]:
        """A loaded library stays behind; it is loaded again where it is needed."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name not in ("_native", "_loaded")}

    def _source(self) -> Model:
        if not hasattr(self, "_loaded"):
            self._loaded = self.model if isinstance(self.model, Model) else load(self.model)
            kind = kind_of(self._loaded)
            if not isinstance(self, kind):
                raise UsageError(
                    "estimators.kind", f"this model is no {type(self).__name__}", where=str(self.model),
                    hint=f"use aprgen.estimators.{kind.__name__}, or aprgen.estimators.estimator",
                )  # fmt: skip
        return self._loaded

    def _ready(self) -> Native:
        if not hasattr(self, "_native"):
            self._native = self._source().native(self.target)
        return self._native

    def _scores(self, rows: ArrayLike) -> NDArray[np.float32]:
        return self._ready().predict(rows, self.threads)

    def _labels(self, rows: ArrayLike) -> NDArray[np.int32]:
        labels = self._ready().classify(rows, self.threads)
        assert labels is not None  # the kinds that ask are those that classify
        return labels

    @property
    def _struct(self) -> str:
        return self._source().loaded.model.struct


def _has_probabilities(self: AprClassifier) -> bool:
    if self._struct in (*MARGINS, *LABELS):
        raise AttributeError(f"a {self._struct} has no probabilities")
    return True


def _has_margins(self: AprClassifier) -> bool:
    if self._struct not in MARGINS:
        raise AttributeError(f"a {self._struct} has no decision function")
    return True


class AprClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """Labels, and probabilities or a decision function, whichever the model has."""

    @property
    def classes_(self) -> NDArray[np.int32]:
        return labels_of(self._source().loaded.model.lower())

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:  # noqa: N803
        return self._labels(X)

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:  # noqa: N803
        """[rows, classes]; of a model that gives the probability of class 1, that of class 0 is what remains."""
        scores = self._scores(X)
        return np.hstack([1 - scores, scores]) if scores.shape[1] == 1 else scores

    @available_if(_has_margins)  # type: ignore[untyped-decorator]
    def decision_function(self, X: ArrayLike) -> NDArray[np.float32]:  # noqa: N803
        return self._scores(X)[:, 0]


class AprRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """One value for each row, or several."""

    def predict(self, X: ArrayLike) -> NDArray[np.float32]:  # noqa: N803
        scores = self._scores(X)
        return scores[:, 0] if scores.shape[1] == 1 else scores


class AprClusterer(ClusterMixin, TransformerMixin, _Estimator):  # type: ignore[misc]
    """The nearest cluster or likeliest component; transform() gives distances, predict_proba() probabilities."""

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:  # noqa: N803
        return self._labels(X)

    def fit_predict(self, X: ArrayLike, y: object = None) -> NDArray[np.int32]:  # noqa: N803
        return self._labels(X)

    @available_if(lambda self: self._struct == "KMeans")  # type: ignore[untyped-decorator]
    def transform(self, X: ArrayLike) -> NDArray[np.float32]:  # noqa: N803
        """Distances to the centroids [rows, clusters]."""
        return np.sqrt(self._scores(X))

    @available_if(lambda self: self._struct == "GaussianMixture")  # type: ignore[untyped-decorator]
    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:  # noqa: N803
        return self._scores(X)


class AprOutlierDetector(OutlierMixin, _Estimator):  # type: ignore[misc]
    """-1 for outliers, 1 for the rest; score_samples() is lower for outliers."""

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:  # noqa: N803
        return self._labels(X)

    def fit_predict(self, X: ArrayLike, y: object = None) -> NDArray[np.int32]:  # noqa: N803
        return self._labels(X)

    def score_samples(self, X: ArrayLike) -> NDArray[np.float32]:  # noqa: N803
        return self._scores(X)[:, 0]


class AprTransformer(TransformerMixin, _Estimator):  # type: ignore[misc]
    """Scaled rows, components or counts of terms."""

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:  # noqa: N803
        return self._scores(X)


def kind_of(model: Model) -> type[_Estimator]:
    """The class of this module that the model belongs to."""
    struct = model.loaded.model.struct
    if struct in CLUSTERERS:
        return AprClusterer
    if struct in OUTLIER_DETECTORS:
        return AprOutlierDetector
    if struct in TRANSFORMERS:
        return AprTransformer
    return AprRegressor if model.loaded.model.lower().label is None else AprClassifier


def estimator(model: str | Path | Model, *, target: str | None = None, threads: int = 1) -> _Estimator:
    """The model as the estimator that it is."""
    loaded = model if isinstance(model, Model) else load(model)
    return kind_of(loaded)(model, target=target, threads=threads)


def labels_of(program: Program) -> NDArray[np.int32]:
    """The labels that a Program can give, in the order of its classes."""
    assert program.label is not None
    op = program.steps[program.label - 1].op
    match op:
        case Argmax(labels=table) if table is not None:
            return table.data.astype(np.int32)
        case Threshold():
            return np.array(sorted({op.then, op.otherwise}), np.int32)
        case Lookup():
            return np.unique(op.table.data).astype(np.int32)
        case _:
            return np.arange(program.n_classes, dtype=np.int32)
