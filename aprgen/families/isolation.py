"""Isolation forests: how soon random splits set a row apart. Knows layout and score; knows nothing of files or C."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from aprgen.container.bincode import F32, U64, Option, Record, Vec
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
    require_rows,
    unfitted,
)
from aprgen.families.ensemble import check_trees, hyperparameters, merge_trees, tree_facts, value_positions, widest
from aprgen.ops.decide import Threshold
from aprgen.ops.elementwise import Map, Stage
from aprgen.ops.trees import TreeSum
from aprgen.program import Array, Builder, Program, row_type
from aprgen.trees import IsolationTreeCodec, Tree


@dataclass(frozen=True, eq=False)
class IsolationForest:
    """score = -2^(-(mean path length) / c_norm); -1 (anomaly) below the threshold, else 1. Left when x < t."""

    roots: tuple[Tree | None, ...]
    n_estimators: int
    threshold: float | None
    c_norm: float
    hyperparameters: tuple[Fact, ...]
    struct = "IsolationForest"
    family = "isolation forest"
    outputs = "score_samples, lower for anomalies"
    wider_rows = True

    @property
    def trees(self) -> tuple[Tree, ...]:
        return tuple(tree for tree in self.roots if tree is not None)

    @property
    def n_features(self) -> int:
        return widest(self.trees) if self.trees else 0

    def facts(self) -> tuple[Fact, ...]:
        return (
            Fact("features", self.n_features),
            *tree_facts(self.trees),
            Fact("threshold", self.threshold),
            Fact("c_norm", self.c_norm),
            *self.hyperparameters,
        )

    def check(self) -> None:
        if self.threshold is None:
            raise unfitted(self.struct)
        check_trees(self.roots, None, self.struct)
        require_finite("threshold and c_norm", np.array([self.threshold, self.c_norm]))
        if self.c_norm == 0 or self.n_estimators == 0:
            raise bad_parameter(f"c_norm is {self.c_norm} and n_estimators {self.n_estimators}", where=self.struct)

    def path_lengths(self) -> tuple[Floats, ...]:
        """Per tree and node: depth + c(size), where c(n) is the mean path of a search that fails among n."""
        lengths = []
        for tree in self.trees:
            n = tree.n_samples.astype(np.float32)
            harmonic = exact.log(np.maximum(n - np.float32(1), np.float32(1))) + np.float32(0.5772157)
            ratio = np.float32(2) * (n - np.float32(1)) / np.maximum(n, np.float32(1))
            c = np.where(n > 2, np.float32(2) * harmonic - ratio, np.where(n == 2, np.float32(1), np.float32(0)))
            lengths.append((tree.depths().astype(np.float32) + c).astype(np.float32))
        return tuple(lengths)

    def predict(self, rows: Array) -> Floats:
        require_rows(rows, self.n_features)
        total = np.zeros(len(rows), np.float32)
        for tree, length in zip(self.trees, self.path_lengths(), strict=True):
            total = total + length[tree.walk(rows, strict=True)]
        average = total / np.float32(self.n_estimators)
        return (-exact.power_of_two(np.negative(average) / np.float32(self.c_norm))).reshape(-1, 1)

    def tolerance(self, rows: Array, scores: Floats) -> Array:
        return in_ulps(2.0, scores)

    def classify(self, rows: Array) -> Labels:
        assert self.threshold is not None
        return np.where(self.predict(rows)[:, 0] < np.float32(self.threshold), -1, 1).astype(np.int32)

    def lower(self) -> Program:
        assert self.threshold is not None
        values, positions = value_positions(self.trees, self.path_lengths())
        builder = Builder(row_type(self.n_features))
        nodes = merge_trees(self.trees, positions, strict=True)
        total = builder.add(TreeSum(nodes, self.n_features, "f32", values, 0.0), 0)
        stages = (
            Stage("div", constant=float(np.float32(self.n_estimators))),
            Stage("neg"),
            Stage("div", constant=float(np.float32(self.c_norm))),
            Stage("exp2"),
            Stage("neg"),
        )
        score = builder.add(Map(1, stages), total)
        label = builder.add(Threshold("lt", float(np.float32(self.threshold)), -1, 1), score)
        return builder.build(score, label, n_classes=2)


def _isolation(fields: Fields) -> IsolationForest:
    return IsolationForest(
        tuple(cast("Tree | None", tree["root"]) for tree in cast("tuple[Fields, ...]", fields["trees"])),
        cast(int, fields["n_estimators"]),
        cast("float | None", fields["threshold"]),
        cast(float, fields["c_norm"]),
        hyperparameters(fields, "n_estimators", "max_samples", "contamination", "max_depth"),
    )


STRUCTS = (
    Struct(
        "IsolationForest",
        (0x00FF,),
        Record(
            "IsolationForest",
            (
                ("n_estimators", U64),
                ("max_samples", Option(U64)),
                ("contamination", F32),
                ("random_state", Option(U64)),
                ("max_depth", U64),
                (
                    "trees",
                    Vec(Record("IsolationTree", (("root", Option(IsolationTreeCodec())), ("max_depth", U64)))),
                ),
                ("threshold", Option(F32)),
                ("c_norm", F32),
            ),
        ),
        _isolation,
    ),
)
