"""Gradient boosting of binary classification trees. Knows its layout and sum; knows nothing of files or C."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from aprgen.container.bincode import F32, U64, Record, Vec
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
)
from aprgen.families.ensemble import check_trees, hyperparameters, merge_trees, tree_facts, value_positions, widest
from aprgen.families.tree import CLASSIFIER, DecisionTree, build_classifier, check_widths
from aprgen.ops.decide import Threshold
from aprgen.ops.elementwise import Map, Stage
from aprgen.ops.normalise import Complement
from aprgen.ops.trees import TreeSum
from aprgen.program import Array, Builder, Program, row_type
from aprgen.trees import Tree


@dataclass(frozen=True, eq=False)
class GradientBoosting:
    """Binary: raw = init, then plus or minus the learning rate for each tree; p(class 1) = sigmoid(raw)."""

    members: tuple[DecisionTree, ...]
    init: float
    learning_rate: float
    hyperparameters: tuple[Fact, ...]
    struct = "GradientBoostingClassifier"
    family = "gradient boosting classifier"
    outputs = "p(class 0) and p(class 1)"
    wider_rows = True

    @property
    def trees(self) -> tuple[Tree, ...]:
        return tuple(member.tree for member in self.members if member.tree is not None)

    @property
    def n_features(self) -> int:
        stated = [member.stated_features for member in self.members if member.stated_features is not None]
        return max(stated) if stated else widest(self.trees)

    def facts(self) -> tuple[Fact, ...]:
        return (
            Fact("features", self.n_features),
            *tree_facts(self.trees),
            Fact("classes", 2),
            Fact("initial prediction", self.init),
            *self.hyperparameters,
        )

    def check(self) -> None:
        check_trees(tuple(member.tree for member in self.members), self.n_features, self.struct)
        check_widths(self.members, None, self.struct)
        for index, tree in enumerate(self.trees):
            if tree.leaf_label.max(initial=0) > 1:
                what = f"tree {index} answers class {int(tree.leaf_label.max())}, binary boosting has 0 and 1"
                raise bad_parameter(what, where=self.struct)
        require_finite("init_prediction and learning_rate", np.array([self.init, self.learning_rate]))

    def steps(self) -> tuple[Floats, ...]:
        """Per tree and node: -rate at leaves of class 0, +rate at all others."""
        rate = np.float32(self.learning_rate)
        return tuple(np.where(tree.leaf_label == 0, -rate, rate).astype(np.float32) for tree in self.trees)

    def predict(self, rows: Array) -> Floats:
        require_rows(rows, self.n_features)
        raw = np.full(len(rows), np.float32(self.init), np.float32)
        for tree, step in zip(self.trees, self.steps(), strict=True):
            raw = raw + step[tree.walk(rows)]
        p = exact.sigmoid(raw)
        return np.stack([np.float32(1) - p, p], axis=1)

    def tolerance(self, rows: Array, scores: Floats) -> Array:
        """p1 within 3 ulp; p0 = 1 - p1 inherits its absolute error: both in ulp of the larger."""
        return in_ulps(4.0, scores)

    def classify(self, rows: Array) -> Labels:
        return (self.predict(rows)[:, 1] >= np.float32(0.5)).astype(np.int32)

    def lower(self) -> Program:
        values, positions = value_positions(self.trees, self.steps())
        builder = Builder(row_type(self.n_features))
        nodes = merge_trees(self.trees, positions)
        start = float(np.float32(self.init))
        raw = builder.add(TreeSum(nodes, self.n_features, "f32", values, start), 0)
        p = builder.add(Map(1, (Stage("sigmoid"),)), raw)
        return builder.build(builder.add(Complement(), p), builder.add(Threshold("ge", 0.5, 1, 0), p), n_classes=2)


def _boosting(fields: Fields) -> GradientBoosting:
    return GradientBoosting(
        tuple(build_classifier(m) for m in cast("tuple[Fields, ...]", fields["estimators"])),
        cast(float, fields["init_prediction"]),
        cast(float, fields["learning_rate"]),
        hyperparameters(fields, "n_estimators", "learning_rate", "max_depth"),
    )


STRUCTS = (
    Struct(
        "GradientBoostingClassifier",
        (0x0005,),
        Record(
            "GradientBoostingClassifier",
            (
                ("n_estimators", U64),
                ("learning_rate", F32),
                ("max_depth", U64),
                ("init_prediction", F32),
                ("estimators", Vec(CLASSIFIER)),
            ),
        ),
        _boosting,
    ),
)
