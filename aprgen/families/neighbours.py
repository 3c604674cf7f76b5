"""Models that compare a row with stored points: k-means and k-nearest neighbours.

Knows their layouts, ties and votes; knows nothing of files or C.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from aprgen.container.bincode import BOOL, F32, MATRIX, U64, U64S, Enum, Option, Record
from aprgen.errors import UnsupportedError
from aprgen.families import exact
from aprgen.families.base import (
    EQUAL,
    MAX_OUTPUTS,
    Fact,
    Fields,
    Floats,
    Labels,
    Struct,
    bad_parameter,
    require_finite,
    require_outputs,
    require_rows,
    unfitted,
)
from aprgen.ops.decide import Argmax, Argmin
from aprgen.ops.distance import Metric, Neighbours, SquaredDistance
from aprgen.ops.normalise import Normalise
from aprgen.program import Array, Builder, Program, Table, row_type

MAX_POINTS = 1 << 19  # every row is compared with each of them; twice as many take 2 s to compile with powers
MAX_NEIGHBOURS = 1_024  # the code keeps the nearest on the stack, 8 bytes each, and inserts into a sorted list

EPSILON = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, eq=False)
class KMeans:
    """Squared distances to the centroids; the nearest one, the first on ties."""

    n_clusters: int
    centroids: Floats | None  # [clusters, features]
    inertia: float
    n_iter: int
    struct = "KMeans"
    family = "k-means"
    outputs = "the squared distance to each centroid"
    wider_rows = False

    @property
    def n_features(self) -> int:
        return 0 if self.centroids is None else int(self.centroids.shape[1])

    def facts(self) -> tuple[Fact, ...]:
        return (
            Fact("features", self.n_features),
            Fact("clusters", self.n_clusters),
            Fact("parameters", 0 if self.centroids is None else int(self.centroids.size)),
            Fact("fitted", self.centroids is not None),
            Fact("inertia", self.inertia),
            Fact("iterations", self.n_iter),
        )

    def check(self) -> None:
        if self.centroids is None or self.n_features == 0:
            raise unfitted(self.struct)
        if not 0 < self.n_clusters <= len(self.centroids):
            what = f"n_clusters is {self.n_clusters}, but there are {len(self.centroids)} centroids"
            raise bad_parameter(what, where=self.struct)
        require_outputs(self.n_clusters, self.struct)
        require_finite("centroids", self.centroids)

    def predict(self, rows: Array) -> Floats:
        assert self.centroids is not None
        require_rows(rows, self.n_features)
        with np.errstate(all="ignore"):
            columns = [exact.running_sum(np.square(rows - centre)) for centre in self.centroids[: self.n_clusters]]
        return np.stack(columns, axis=1)

    def tolerance(self, rows: Array, scores: Floats) -> Array:
        return EQUAL

    def classify(self, rows: Array) -> Labels:
        distance = self.predict(rows)
        return np.asarray(np.argmin(np.where(np.isnan(distance), np.inf, distance), axis=1), np.int32)

    def lower(self) -> Program:
        assert self.centroids is not None
        builder = Builder(row_type(self.n_features))
        distance = builder.add(SquaredDistance(Table(self.centroids[: self.n_clusters], np.float32)), 0)
        return builder.build(distance, builder.add(Argmin(self.n_clusters), distance), n_classes=self.n_clusters)


@dataclass(frozen=True, eq=False)
class KNearest:
    """Votes of the k nearest training rows, equal distances in training order; ties go to the smallest label."""

    k: int
    metric: Metric
    power: float
    weighted: bool
    points: Floats | None  # [rows, features]
    labels: Labels | None  # [rows]
    struct = "KNearestNeighbors"
    family = "k-nearest neighbours"
    outputs = "the share of votes of each class"
    wider_rows = False

    @property
    def n_features(self) -> int:
        return 0 if self.points is None else int(self.points.shape[1])

    @property
    def n_classes(self) -> int:
        return 0 if self.labels is None else int(self.labels.max(initial=0)) + 1

    def facts(self) -> tuple[Fact, ...]:
        metric = self.metric if self.metric != "minkowski" else f"minkowski, p = {self.power:g}"
        return (
            Fact("features", self.n_features),
            Fact("training rows", 0 if self.points is None else len(self.points)),
            Fact("neighbours", self.k),
            Fact("metric", metric),
            Fact("weights", "1 / distance" if self.weighted else "equal"),
            Fact("classes", self.n_classes),
        )

    def check(self) -> None:
        if self.points is None or self.labels is None or self.points.size == 0:
            raise unfitted(self.struct)
        if len(self.points) != len(self.labels):
            what = f"{len(self.points)} training rows, but {len(self.labels)} labels"
            raise bad_parameter(what, where=self.struct)
        if not 0 < self.k <= len(self.points):
            raise bad_parameter(f"k is {self.k} with {len(self.points)} training rows", where=self.struct)
        if len(self.points) > MAX_POINTS:
            raise UnsupportedError(
                "model.points",
                f"{len(self.points)} training rows, aprgen writes code for at most {MAX_POINTS}",
                where=self.struct,
                hint="train on fewer rows, or choose a k-means or tree model",
            )
        if self.k > MAX_NEIGHBOURS:
            raise UnsupportedError(
                "model.neighbours",
                f"k is {self.k}, aprgen writes code for at most {MAX_NEIGHBOURS} neighbours",
                where=self.struct,
                hint="choose a smaller k",
            )
        if not 0 <= int(self.labels.min()) <= int(self.labels.max()) < MAX_OUTPUTS:
            raise bad_parameter(f"a class label is {int(self.labels.max())}", where=self.struct)
        require_finite("x_train", self.points)
        if self.metric == "minkowski":
            require_finite("the power of the metric", np.array([self.power]))
            if self.power <= 0:
                raise bad_parameter(f"the power of the metric is {self.power}", where=self.struct)

    def distances(self, rows: Array) -> Floats:
        assert self.points is not None
        require_rows(rows, self.n_features)
        columns = []
        with np.errstate(all="ignore"):
            for point in self.points:
                d = rows - point
                if self.metric == "euclidean":
                    columns.append(np.sqrt(exact.running_sum(d * d)))
                elif self.metric == "manhattan":
                    columns.append(exact.running_sum(np.abs(d)))
                else:
                    powers = exact.power(np.abs(d), float(np.float32(self.power)))
                    columns.append(
                        exact.power(exact.running_sum(powers), float(np.float32(1) / np.float32(self.power)))
                    )
        return np.stack(columns, axis=1).astype(np.float32, copy=False)

    def votes(self, rows: Array) -> Floats:
        """[rows, classes]; NaN for every class where aprender panics."""
        assert self.labels is not None
        distance = self.distances(rows)
        order = np.argsort(distance, axis=1, kind="stable")[:, : self.k]
        nearest = np.take_along_axis(distance, order, axis=1)
        with np.errstate(all="ignore"):
            inverse = np.where(nearest < np.float32(1e-10), np.float32(1), np.float32(1) / nearest)
        weight = (inverse if self.weighted else np.ones_like(nearest)).astype(np.float32)
        chosen = self.labels[order]
        columns = [exact.running_sum(np.where(chosen == c, weight, np.float32(0))) for c in range(self.n_classes)]
        votes = np.stack(columns, axis=1)
        votes[np.isnan(distance).any(axis=1)] = np.nan
        return votes

    def predict(self, rows: Array) -> Floats:
        votes = self.votes(rows)
        with np.errstate(all="ignore"):
            return np.asarray(votes / exact.running_sum(votes)[:, None], np.float32)

    def tolerance(self, rows: Array, scores: Floats) -> Array:
        """Exact but for Minkowski, where pow is a few ulp off: then weights differ by that, and nothing is promised
        where two distances are so near that their order, and so the choice of neighbours, may differ."""
        if self.metric != "minkowski":
            return EQUAL
        ordered = np.sort(self.distances(rows), axis=1)[:, : self.k + 1]
        with np.errstate(invalid="ignore"):
            gaps = np.diff(ordered, axis=1) / np.maximum(ordered[:, 1:], np.float32(1e-30))
        deciding = gaps if self.weighted else gaps[:, self.k - 1 :]
        near_tie = (deciding < 32 * self.n_features * EPSILON).any(axis=1, keepdims=True)
        return np.where(near_tie, np.inf, 64 * self.n_features * EPSILON if self.weighted else 0.0)

    def classify(self, rows: Array) -> Labels:
        votes = self.votes(rows)
        return np.where(np.isnan(votes).any(axis=1), 0, np.argmax(votes, axis=1)).astype(np.int32)

    def lower(self) -> Program:
        assert self.points is not None
        assert self.labels is not None
        builder = Builder(row_type(self.n_features))
        classes = self.labels.astype(np.min_scalar_type(self.n_classes - 1))
        nearest = Neighbours(
            self.metric,
            self.power,
            self.weighted,
            self.k,
            Table(self.points, np.float32),
            Table(classes),
            self.n_classes,
        )
        votes = builder.add(nearest, 0)
        scores = builder.add(Normalise(self.n_classes, None), votes)
        label = builder.add(Argmax("f32", self.n_classes, None, nan_gives_zero=True), votes)
        return builder.build(scores, label, n_classes=self.n_classes)


def _kmeans(fields: Fields) -> KMeans:
    return KMeans(
        cast(int, fields["n_clusters"]),
        cast("Floats | None", fields["centroids"]),
        cast(float, fields["inertia"]),
        cast(int, fields["n_iter"]),
    )


_METRICS: tuple[Metric, ...] = ("euclidean", "manhattan", "minkowski")


def _knn(fields: Fields) -> KNearest:
    variant, power = cast("tuple[str, float | None]", fields["metric"])
    metric = next(name for name in _METRICS if name == variant.lower())
    labels = cast("Array | None", fields["y_train"])
    return KNearest(
        cast(int, fields["k"]),
        metric,
        power if power is not None else 2.0,
        cast(bool, fields["weights"]),
        cast("Floats | None", fields["x_train"]),
        None if labels is None else np.minimum(labels, 2**31 - 1).astype(np.int32),
    )


STRUCTS = (
    Struct(
        "KMeans",
        (0x0006,),
        Record(
            "KMeans",
            (
                ("n_clusters", U64),
                ("max_iter", U64),
                ("tol", F32),
                ("random_state", Option(U64)),
                ("centroids", Option(MATRIX)),
                ("labels", Option(U64S)),
                ("inertia", F32),
                ("n_iter", U64),
            ),
        ),
        _kmeans,
    ),
    Struct(
        "KNearestNeighbors",
        (0x0009,),
        Record(
            "KNearestNeighbors",
            (
                ("k", U64),
                ("metric", Enum("DistanceMetric", (("Euclidean", None), ("Manhattan", None), ("Minkowski", F32)))),
                ("weights", BOOL),
                ("x_train", Option(MATRIX)),
                ("y_train", Option(U64S)),
            ),
        ),
        _knn,
    ),
)
