"""Gaussian models: naive Bayes and the Gaussian mixture. Know layouts and densities; know nothing of files or C."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from aprgen.container.bincode import F32, F32S, MATRIX, U64, U64S, Enum, Option, Record, Vec
from aprgen.families import exact
from aprgen.families.base import (
    Fact,
    Fields,
    Floats,
    Labels,
    Struct,
    bad_parameter,
    in_ulps,
    require_finite,
    require_outputs,
    require_rows,
    require_table_bytes,
    unfitted,
)
from aprgen.ops.decide import Argmax
from aprgen.ops.elementwise import Map, Stage, vary
from aprgen.ops.gauss import Gauss
from aprgen.ops.normalise import Normalise, Softmax
from aprgen.program import Array, Builder, Program, Table, row_type

TWO_PI = np.float32(2) * np.float32(np.pi)
SMALLEST_VARIANCE = np.float32(1e-6)
SMALLEST_NORM = np.float32(1e-10)
SMALLEST_TOTAL = 1e-10


@dataclass(frozen=True, eq=False)
class NaiveBayes:
    """L = log prior + sum of (-log(2 pi var) / 2 - (x - mean)^2 / (2 var)); p = softmax(L); equal p: the last class."""

    priors: Floats | None  # [classes]
    means: Floats | None  # [classes, features]
    variances: Floats | None  # [classes, features]
    classes: Labels | None  # [classes]
    smoothing: float
    struct = "GaussianNB"
    family = "Gaussian naive Bayes"
    outputs = "the probability of each class"
    wider_rows = False

    @property
    def n_features(self) -> int:
        return 0 if self.means is None else int(self.means.shape[1])

    def facts(self) -> tuple[Fact, ...]:
        return (
            Fact("features", self.n_features),
            Fact("classes", () if self.classes is None else tuple(int(c) for c in self.classes)),
            Fact("priors", () if self.priors is None else tuple(float(p) for p in self.priors)),
            Fact("var_smoothing", self.smoothing),
        )

    def check(self) -> None:
        if self.priors is None or self.means is None or self.variances is None or self.classes is None:
            raise unfitted(self.struct)
        n = len(self.classes)
        if n == 0 or self.n_features == 0:
            raise unfitted(self.struct)
        if len(self.priors) != n or len(self.means) != n or self.variances.shape != self.means.shape:
            raise bad_parameter("priors, means, variances and classes do not agree in number", where=self.struct)
        require_outputs(n, self.struct)
        require_table_bytes(3 * 4 * self.means.size, self.struct)  # mean, offset and divisor for each variance
        for name, values in (("priors", self.priors), ("means", self.means), ("variances", self.variances)):
            require_finite(name, values)
        if not (self.variances > 0).all() or not (self.priors > 0).all():
            raise bad_parameter("a variance or a prior is not above zero", where=self.struct)

    def constants(self) -> tuple[Floats, Floats, Floats]:
        """log prior [classes]; -log(2 pi var) / 2 and 2 var [classes, features]."""
        assert self.priors is not None
        assert self.variances is not None
        variances = np.asarray(self.variances, np.float32)
        with np.errstate(over="ignore"):  # a variance above 5e37 makes its class impossible, as in the original
            offset = np.float32(-0.5) * exact.log(TWO_PI * variances)
            return exact.log(np.asarray(self.priors)), offset, np.float32(2) * variances

    def predict(self, rows: Array) -> Floats:
        assert self.means is not None
        require_rows(rows, self.n_features)
        start, offset, divisor = self.constants()
        columns = []
        with np.errstate(all="ignore"):
            for c, mean in enumerate(self.means):
                d = rows - mean
                terms = offset[c] - (d * d) / divisor[c]
                total = np.full(len(rows), start[c], np.float32)
                for col in range(self.n_features):
                    total = total + terms[:, col]
                columns.append(total)
        return exact.softmax(np.stack(columns, axis=1))

    def tolerance(self, rows: Array, scores: Floats) -> Array:
        """The log densities are equal; exp and the sum of n terms add an ulp each."""
        return in_ulps(4.0 + scores.shape[1], scores)

    def classify(self, rows: Array) -> Labels:
        assert self.classes is not None
        p = self.predict(rows)
        last = p.shape[1] - 1 - np.argmax(p[:, ::-1], axis=1)
        return np.where(np.isnan(p).any(axis=1), 0, self.classes[last]).astype(np.int32)

    def lower(self) -> Program:
        assert self.means is not None
        assert self.classes is not None
        start, offset, divisor = self.constants()
        n = len(self.classes)
        builder = Builder(row_type(self.n_features))
        gauss = Gauss(Table(self.means, np.float32), Table(divisor), Table(start), Table(offset))
        p = builder.add(Softmax(n), builder.add(gauss, 0))
        label = Argmax("f32", n, Table(self.classes.astype(np.int32)), last_wins=True, nan_gives_zero=True)
        return builder.build(p, builder.add(label, p), n_classes=n)


@dataclass(frozen=True, eq=False)
class Mixture:
    """weight * exp(-m / 2) / norm per component, divided by their sum; only the diagonal of each covariance counts."""

    n_components: int
    covariance_type: str
    means: Floats | None  # [components, features]
    variances: Floats | None  # [components, features], diagonals
    weights: Floats | None  # [components]
    problem: str | None  # why the covariances cannot be used
    struct = "GaussianMixture"
    family = "Gaussian mixture"
    outputs = "the probability of each component"
    wider_rows = False

    @property
    def n_features(self) -> int:
        return 0 if self.means is None else int(self.means.shape[1])

    def facts(self) -> tuple[Fact, ...]:
        return (
            Fact("features", self.n_features),
            Fact("components", self.n_components),
            Fact("covariance", f"{self.covariance_type} (its diagonal is used)"),
            Fact("weights", () if self.weights is None else tuple(float(w) for w in self.weights)),
        )

    def check(self) -> None:
        if self.means is None or self.weights is None or (self.variances is None and self.problem is None):
            raise unfitted(self.struct)
        if self.problem is not None or self.variances is None:
            raise bad_parameter(str(self.problem), where=self.struct)
        n = self.n_components
        if n == 0 or self.n_features == 0:
            raise unfitted(self.struct)
        if len(self.means) != n or len(self.weights) != n or self.variances.shape != self.means.shape:
            raise bad_parameter(f"means, covariances and weights are not {n} each", where=self.struct)
        require_outputs(n, self.struct)
        for name, values in (("means", self.means), ("covariances", self.variances), ("weights", self.weights)):
            require_finite(name, values)

    def constants(self) -> tuple[Floats, Floats]:
        """Variances [components, features], and the densities' denominators [components]."""
        assert self.variances is not None
        v = np.maximum(self.variances, SMALLEST_VARIANCE).astype(np.float32)
        determinant = np.ones(len(v), np.float32)
        with np.errstate(all="ignore"):
            for col in range(v.shape[1]):
                determinant = determinant * v[:, col]
            root = np.sqrt(power_by_squaring(TWO_PI, v.shape[1]) * determinant)
        return v, np.maximum(root, SMALLEST_NORM).astype(np.float32)

    def predict(self, rows: Array) -> Floats:
        assert self.means is not None
        assert self.weights is not None
        require_rows(rows, self.n_features)
        v, norm = self.constants()
        columns = []
        with np.errstate(all="ignore"):
            for c, mean in enumerate(self.means):
                d = rows - mean
                m = exact.running_sum((d * d) / v[c])
                columns.append(np.float32(self.weights[c]) * (exact.exp(np.float32(-0.5) * m) / norm[c]))
            w = np.stack(columns, axis=1).astype(np.float32)
            total = exact.running_sum(w)[:, None]
            uniform = np.float32(1) / np.float32(self.n_components)
            return np.where(total > np.float32(SMALLEST_TOTAL), w / total, uniform).astype(np.float32)

    def tolerance(self, rows: Array, scores: Floats) -> Array:
        """The exponents are equal; exp, two products, the sum of n terms and the quotient add an ulp each."""
        return in_ulps(6.0 + scores.shape[1], scores)

    def classify(self, rows: Array) -> Labels:
        p = self.predict(rows)
        return np.where(np.isnan(p).any(axis=1), 0, np.argmax(p, axis=1)).astype(np.int32)

    def lower(self) -> Program:
        assert self.means is not None
        assert self.weights is not None
        v, norm = self.constants()
        n = self.n_components
        builder = Builder(row_type(self.n_features))
        minus_m = builder.add(Gauss(Table(self.means, np.float32), Table(v)), 0)
        stages = (Stage("mul", constant=0.5), Stage("exp"), vary("div", norm), vary("mul", self.weights))
        p = builder.add(Normalise(n, SMALLEST_TOTAL), builder.add(Map(n, stages), minus_m))
        return builder.build(p, builder.add(Argmax("f32", n, None, nan_gives_zero=True), p), n_classes=n)


def power_by_squaring(base: np.float32, exponent: int) -> np.float32:
    """base^exponent in float32, the order of multiplications of Rust's f32::powi."""
    result, square = np.float32(1), base
    with np.errstate(over="ignore"):
        while True:
            if exponent & 1:
                result = np.float32(result * square)
            exponent >>= 1
            if exponent == 0:
                return result
            square = np.float32(square * square)


def _stack(rows: tuple[Floats, ...] | None) -> Floats | None:
    """Vec<Vec<f32>> as a matrix; ragged rows become none, which check() reports."""
    if rows is None:
        return None
    if len({len(row) for row in rows}) > 1:
        raise bad_parameter("the rows of a matrix differ in length", where="GaussianNB")
    return np.stack(rows) if rows else np.zeros((0, 0), np.float32)


def _naive_bayes(fields: Fields) -> NaiveBayes:
    classes = cast("Array | None", fields["classes"])
    if classes is not None and len(classes) and int(classes.max()) >= 2**31:
        raise bad_parameter(f"class label {int(classes.max())} does not fit int32", where="GaussianNB")
    return NaiveBayes(
        cast("Floats | None", fields["class_priors"]),
        _stack(cast("tuple[Floats, ...] | None", fields["means"])),
        _stack(cast("tuple[Floats, ...] | None", fields["variances"])),
        None if classes is None else classes.astype(np.int32),
        cast(float, fields["var_smoothing"]),
    )


def _mixture(fields: Fields) -> Mixture:
    covariances = cast("tuple[Floats, ...] | None", fields["covariances"])
    means = cast("Floats | None", fields["means"])
    n_features = 0 if means is None else means.shape[1]
    square = covariances is not None and all(c.shape == (n_features, n_features) for c in covariances)
    diagonals = [np.diagonal(c) for c in covariances] if covariances and square else []
    return Mixture(
        cast(int, fields["n_components"]),
        cast("tuple[str, object]", fields["covariance_type"])[0],
        means,
        np.stack(diagonals).astype(np.float32) if diagonals else None,
        cast("Floats | None", fields["weights"]),
        None if square or covariances is None else f"a covariance is not {n_features} x {n_features}",
    )


STRUCTS = (
    Struct(
        "GaussianNB",
        (0x0008,),
        Record(
            "GaussianNB",
            (
                ("class_priors", Option(F32S)),
                ("means", Option(Vec(F32S))),
                ("variances", Option(Vec(F32S))),
                ("classes", Option(U64S)),
                ("var_smoothing", F32),
            ),
        ),
        _naive_bayes,
    ),
    Struct(
        "GaussianMixture",
        (0x00FF,),
        Record(
            "GaussianMixture",
            (
                ("n_components", U64),
                (
                    "covariance_type",
                    Enum("CovarianceType", (("Full", None), ("Tied", None), ("Diag", None), ("Spherical", None))),
                ),
                ("max_iter", U64),
                ("tol", F32),
                ("random_state", Option(U64)),
                ("means", Option(MATRIX)),
                ("covariances", Option(Vec(MATRIX))),
                ("weights", Option(F32S)),
                ("labels", Option(U64S)),
            ),
        ),
        _mixture,
    ),
)
