"""Scalers and PCA: transforms of a row. Know their layouts and arithmetic; know nothing of files or C."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from aprgen.container.bincode import BOOL, F32, F32S, MATRIX, U64, Option, Record
from aprgen.families.base import (
    EQUAL,
    Fact,
    Fields,
    Floats,
    Struct,
    bad_parameter,
    require_finite,
    require_outputs,
    require_rows,
    unfitted,
)
from aprgen.families.exact import running_sum
from aprgen.ops.dense import Dense
from aprgen.ops.elementwise import Map, Stage, vary
from aprgen.program import Array, Builder, Program, Table, row_type

TINY_SCALE = np.float32(1e-10)  # at or below, aprender does not divide


@dataclass(frozen=True, eq=False)
class Scaler:
    """v = (x - centre) / scale; either half can be switched off, and a tiny scale divides nothing."""

    struct: str
    centre: Floats | None
    scale: Floats | None
    centring: bool
    scaling: bool
    family = "standard or robust scaler"
    outputs = "the scaled row"
    wider_rows = False

    @property
    def n_features(self) -> int:
        return 0 if self.centre is None else len(self.centre)

    def facts(self) -> tuple[Fact, ...]:
        return (
            Fact("features", self.n_features),
            Fact("centring", self.centring),
            Fact("scaling", self.scaling),
            Fact("fitted", self.centre is not None),
        )

    def check(self) -> None:
        if self.centre is None or self.scale is None or len(self.centre) == 0:
            raise unfitted(self.struct)
        if len(self.scale) != len(self.centre):
            raise bad_parameter(f"{len(self.centre)} centres, but {len(self.scale)} scales", where=self.struct)
        require_finite("centre", self.centre)
        require_finite("scale", self.scale)

    def predict(self, rows: Array) -> Floats:
        assert self.centre is not None
        assert self.scale is not None
        require_rows(rows, self.n_features)
        with np.errstate(all="ignore"):
            v = rows - self.centre if self.centring else rows
            if self.scaling:
                v = np.where(self.scale > TINY_SCALE, v / self.scale, v)
        return np.asarray(v, np.float32)

    def tolerance(self, rows: Array, scores: Floats) -> Array:
        return EQUAL

    def classify(self, rows: Array) -> None:
        return None

    def lower(self) -> Program:
        assert self.centre is not None
        assert self.scale is not None
        stages = [vary("sub", self.centre)] if self.centring else []
        if self.scaling:  # x / 1 is x, for every x
            stages.append(vary("div", np.where(self.scale > TINY_SCALE, self.scale, np.float32(1))))
        builder = Builder(row_type(self.n_features))
        return builder.build(builder.add(Map(self.n_features, tuple(stages)), 0))


@dataclass(frozen=True, eq=False)
class MinMaxScaler:
    """(x - min) / (max - min) * (high - low) + low; `low` where the range is tiny."""

    data_min: Floats | None
    data_max: Floats | None
    low: float
    high: float
    struct = "MinMaxScaler"
    family = "min-max scaler"
    outputs = "the scaled row"
    wider_rows = False

    @property
    def n_features(self) -> int:
        return 0 if self.data_min is None else len(self.data_min)

    def facts(self) -> tuple[Fact, ...]:
        return (
            Fact("features", self.n_features),
            Fact("output range", (self.low, self.high)),
            Fact("fitted", self.data_min is not None),
        )

    def check(self) -> None:
        if self.data_min is None or self.data_max is None or len(self.data_min) == 0:
            raise unfitted("MinMaxScaler")
        if len(self.data_max) != len(self.data_min):
            raise bad_parameter(f"{len(self.data_min)} minima, but {len(self.data_max)} maxima", where="MinMaxScaler")
        for name, values in (("data_min", self.data_min), ("data_max", self.data_max)):
            require_finite(name, values)
        require_finite("feature range", np.array([self.low, self.high]))

    @property
    def _span(self) -> Floats:
        assert self.data_min is not None
        assert self.data_max is not None
        with np.errstate(over="ignore"):
            return np.asarray(self.data_max - self.data_min, np.float32)

    def predict(self, rows: Array) -> Floats:
        require_rows(rows, self.n_features)
        low, high = np.float32(self.low), np.float32(self.high)
        with np.errstate(all="ignore"):
            scaled = (rows - self.data_min) / self._span * (high - low) + low
        return np.asarray(np.where(np.abs(self._span) > TINY_SCALE, scaled, low), np.float32)

    def tolerance(self, rows: Array, scores: Floats) -> Array:
        return EQUAL

    def classify(self, rows: Array) -> None:
        return None

    def lower(self) -> Program:
        assert self.data_min is not None
        varies = np.abs(self._span) > TINY_SCALE
        low = float(np.float32(self.low))
        stages = [
            vary("sub", self.data_min),
            vary("div", np.where(varies, self._span, np.float32(1))),
            Stage("mul", constant=float(np.float32(self.high) - np.float32(self.low))),
            Stage("add", constant=low),
        ]
        if not varies.all():
            stages.append(Stage("keep", constant=low, mask=Table(varies.astype(np.uint8))))
        builder = Builder(row_type(self.n_features))
        return builder.build(builder.add(Map(self.n_features, tuple(stages)), 0))


@dataclass(frozen=True, eq=False)
class Pca:
    """out_j = sum over k of (x_k - mean_k) * components[j][k]."""

    n_components: int
    mean: Floats | None
    components: Floats | None  # [components, features]
    explained: Floats | None
    struct = "PCA"
    family = "principal component analysis"
    outputs = "the components"
    wider_rows = False

    @property
    def n_features(self) -> int:
        return 0 if self.mean is None else len(self.mean)

    def facts(self) -> tuple[Fact, ...]:
        explained = () if self.explained is None else tuple(float(v) for v in self.explained[:16])
        return (
            Fact("features", self.n_features),
            Fact("components", self.n_components),
            Fact("parameters", self.n_features * (self.n_components + 1)),
            Fact("explained variance ratio", explained),
        )

    def check(self) -> None:
        if self.mean is None or self.components is None or self.n_components == 0 or len(self.mean) == 0:
            raise unfitted("PCA")
        rows, cols = self.components.shape
        if cols != len(self.mean) or rows < self.n_components:
            what = f"components are {rows} x {cols} for {self.n_components} components of {len(self.mean)} features"
            raise bad_parameter(what, where="PCA")
        require_outputs(self.n_components, "PCA")
        require_finite("mean", self.mean)
        require_finite("components", self.components)

    def predict(self, rows: Array) -> Floats:
        assert self.mean is not None
        assert self.components is not None
        require_rows(rows, self.n_features)
        with np.errstate(all="ignore"):
            centred = rows - self.mean
            columns = [running_sum(centred * self.components[j]) for j in range(self.n_components)]
        return np.stack(columns, axis=1)

    def tolerance(self, rows: Array, scores: Floats) -> Array:
        return EQUAL

    def classify(self, rows: Array) -> None:
        return None

    def lower(self) -> Program:
        assert self.mean is not None
        assert self.components is not None
        builder = Builder(row_type(self.n_features))
        centred = builder.add(Map(self.n_features, (vary("sub", self.mean),)), 0)
        weight = Table(self.components[: self.n_components], np.float32)
        return builder.build(builder.add(Dense(weight, None, "none"), centred))


def _scaler(struct: str, centre: str, scale: str, centring: str, scaling: str) -> Struct:
    codec = Record(struct, ((centre, Option(F32S)), (scale, Option(F32S)), (centring, BOOL), (scaling, BOOL)))

    def build(fields: Fields) -> Scaler:
        return Scaler(
            struct,
            cast("Floats | None", fields[centre]),
            cast("Floats | None", fields[scale]),
            cast(bool, fields[centring]),
            cast(bool, fields[scaling]),
        )

    return Struct(struct, (0x00FF,), codec, build)


def _min_max(fields: Fields) -> MinMaxScaler:
    return MinMaxScaler(
        cast("Floats | None", fields["data_min"]),
        cast("Floats | None", fields["data_max"]),
        cast(float, fields["feature_min"]),
        cast(float, fields["feature_max"]),
    )


def _pca(fields: Fields) -> Pca:
    return Pca(
        cast(int, fields["n_components"]),
        cast("Floats | None", fields["mean"]),
        cast("Floats | None", fields["components"]),
        cast("Floats | None", fields["explained_variance_ratio"]),
    )


STRUCTS = (
    _scaler("StandardScaler", "mean", "std", "with_mean", "with_std"),
    _scaler("RobustScaler", "median", "iqr", "with_centering", "with_scaling"),
    Struct(
        "MinMaxScaler",
        (0x00FF,),
        Record(
            "MinMaxScaler",
            (("data_min", Option(F32S)), ("data_max", Option(F32S)), ("feature_min", F32), ("feature_max", F32)),
        ),
        _min_max,
    ),
    Struct(
        "PCA",
        (0x0007,),
        Record(
            "PCA",
            (
                ("n_components", U64),
                ("mean", Option(F32S)),
                ("components", Option(MATRIX)),
                ("explained_variance", Option(F32S)),
                ("explained_variance_ratio", Option(F32S)),
            ),
        ),
        _pca,
    ),
)
