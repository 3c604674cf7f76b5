"""Linear models: linear regression, ridge, lasso, elastic net, logistic regression and the linear SVM.

Knows their layouts, what they predict and how they lower to a dense op; knows nothing of files or C.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import numpy as np

from aprgen.container.bincode import BOOL, F32, F32S, U64, Enum, Option, Record
from aprgen.families.base import (
    EQUAL,
    Fact,
    Fields,
    Floats,
    Labels,
    Struct,
    in_ulps,
    require_finite,
    require_rows,
    unfitted,
)
from aprgen.families.exact import sigmoid
from aprgen.ops.decide import Threshold
from aprgen.ops.dense import Dense
from aprgen.ops.elementwise import Map, Stage
from aprgen.program import Array, Builder, Program, Table, row_type

Link = Literal["identity", "logistic", "sign"]

FAMILIES: dict[str, str] = {"identity": "linear regression", "logistic": "logistic regression", "sign": "linear SVM"}


@dataclass(frozen=True, eq=False)
class Linear:
    """z = coefficients . x + intercept, then a link: the value, p(class 1), or the sign as a class."""

    struct: str
    link: Link
    coefficients: Floats | None
    intercept: float
    hyperparameters: tuple[Fact, ...]

    @property
    def family(self) -> str:
        return FAMILIES[self.link]

    @property
    def n_features(self) -> int:
        return 0 if self.coefficients is None else len(self.coefficients)

    def tolerance(self, rows: Array, scores: Floats) -> Array:
        """Only the logistic link uses exp: 1 / (1 + e) with an e that is at most 1 ulp off is within 3 ulp."""
        return in_ulps(3.0, scores) if self.link == "logistic" else EQUAL

    @property
    def outputs(self) -> str:
        return {"identity": "one value", "logistic": "p(class 1)", "sign": "the decision value"}[self.link]

    @property
    def wider_rows(self) -> bool:
        return self.link == "logistic"

    def facts(self) -> tuple[Fact, ...]:
        if self.coefficients is None:
            return (Fact("fitted", False), *self.hyperparameters)
        size = np.abs(self.coefficients)
        return (
            Fact("features", self.n_features),
            Fact("parameters", self.n_features + 1),
            Fact("zero coefficients", int(np.count_nonzero(size == 0))),
            Fact("largest |coefficient|", float(size.max(initial=0))),
            Fact("intercept", self.intercept),
            *self.hyperparameters,
        )

    def check(self) -> None:
        if self.coefficients is None or len(self.coefficients) == 0:
            raise unfitted(self.struct)
        require_finite("coefficients", self.coefficients)
        require_finite("intercept", np.array([self.intercept]))

    def margin(self, rows: Array) -> Floats:
        """[rows]; regressions add the intercept last, classifiers start from it."""
        assert self.coefficients is not None
        require_rows(rows, self.n_features)
        intercept = np.float32(self.intercept)
        with np.errstate(all="ignore"):
            products = rows * self.coefficients
            total = products[:, 0] if self.link == "identity" else intercept + products[:, 0]
            for col in range(1, self.n_features):
                total = total + products[:, col]
            return np.asarray(total + intercept if self.link == "identity" else total, np.float32)

    def predict(self, rows: Array) -> Floats:
        z = self.margin(rows)
        return (sigmoid(z) if self.link == "logistic" else z).reshape(-1, 1)

    def classify(self, rows: Array) -> Labels | None:
        if self.link == "identity":
            return None
        limit = np.float32(0.5) if self.link == "logistic" else np.float32(0)
        return (self.predict(rows)[:, 0] >= limit).astype(np.int32)

    def lower(self) -> Program:
        assert self.coefficients is not None
        builder = Builder(row_type(self.n_features))
        weight = Table(self.coefficients.reshape(1, -1), np.float32)
        bias = Table([self.intercept], np.float32)
        z = builder.add(Dense(weight, bias, "last" if self.link == "identity" else "first"), 0)
        if self.link == "identity":
            return builder.build(z)
        if self.link == "sign":
            return builder.build(z, builder.add(Threshold("ge", 0.0, 1, 0), z), n_classes=2)
        p = builder.add(Map(1, (Stage("sigmoid"),)), z)
        return builder.build(p, builder.add(Threshold("ge", 0.5, 1, 0), p), n_classes=2)


VECTOR = F32S
HYPERPARAMETERS = ("alpha", "l1_ratio", "fit_intercept", "max_iter", "tol", "learning_rate", "c", "l2_penalty")


def hyperparameters(fields: Fields) -> tuple[Fact, ...]:
    return tuple(Fact(key, cast(float, fields[key])) for key in HYPERPARAMETERS if key in fields)


def _regression(name: str) -> Struct:
    before = {"Ridge": (("alpha", F32),), "Lasso": (("alpha", F32),), "ElasticNet": (("alpha", F32), ("l1_ratio", F32))}
    after = (("max_iter", U64), ("tol", F32)) if name in ("Lasso", "ElasticNet") else ()
    codec = Record(
        name,
        (
            *before.get(name, ()),
            ("coefficients", Option(VECTOR)),
            ("intercept", F32),
            ("fit_intercept", BOOL),
            *after,
        ),
    )

    def build(fields: Fields) -> Linear:
        coefficients = cast("Floats | None", fields["coefficients"])
        return Linear(name, "identity", coefficients, cast(float, fields["intercept"]), hyperparameters(fields))

    return Struct(name, (0x0001,), codec, build)


_LOGISTIC_FIELDS = (
    ("coefficients", Option(VECTOR)),
    ("intercept", F32),
    ("learning_rate", F32),
    ("max_iter", U64),
    ("tol", F32),
)
_CLASS_WEIGHT = Enum("ClassWeight", (("Uniform", None), ("Balanced", None), ("Manual", F32S)))


def _logistic(fields: Fields) -> Linear:
    coefficients = cast("Floats | None", fields["coefficients"])
    return Linear(
        "LogisticRegression", "logistic", coefficients, cast(float, fields["intercept"]), hyperparameters(fields)
    )


def _svm(fields: Fields) -> Linear:
    weights = cast("Floats | None", fields["weights"])
    return Linear("LinearSVM", "sign", weights, cast(float, fields["bias"]), hyperparameters(fields))


STRUCTS = (
    *(_regression(name) for name in ("LinearRegression", "Ridge", "Lasso", "ElasticNet")),
    Struct("LogisticRegression", (0x0002,), Record("LogisticRegression", _LOGISTIC_FIELDS), _logistic),
    Struct(
        "LogisticRegression",
        (0x0002,),
        Record("LogisticRegression", (*_LOGISTIC_FIELDS, ("class_weight", _CLASS_WEIGHT), ("l2_penalty", F32))),
        _logistic,
    ),
    Struct(
        "LinearSVM",
        (0x000A,),
        Record(
            "LinearSVM",
            (
                ("weights", Option(F32S)),
                ("bias", F32),
                ("c", F32),
                ("learning_rate", F32),
                ("max_iter", U64),
                ("tol", F32),
            ),
        ),
        _svm,
    ),
)
