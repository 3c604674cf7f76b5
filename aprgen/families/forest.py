"""Random forests, classifier and regressor. Know their layouts, votes and sums; know nothing of files or C."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from aprgen.container.bincode import F32S, MATRIX, U64, U64S, Option, Record, Vec
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
    require_rows,
)
from aprgen.families.ensemble import (
    check_trees,
    hyperparameters,
    merge_trees,
    split_counts,
    tree_facts,
    value_positions,
    widest,
)
from aprgen.families.tree import CLASSIFIER, REGRESSOR, DecisionTree, build_classifier, build_regressor, check_widths
from aprgen.ops.decide import Argmax, Lookup
from aprgen.ops.elementwise import Map, Stage
from aprgen.ops.trees import TreeSum, TreeVotes
from aprgen.program import Array, Builder, Program, Table, row_type
from aprgen.trees import Tree


@dataclass(frozen=True, eq=False)
class ForestClassifier:
    """One vote per tree; most votes win, ties go to the smallest label. Scores are shares of votes."""

    members: tuple[DecisionTree, ...]
    stated_features: int | None
    n_scores: int  # classes 0 .. max(y_train), or two
    hyperparameters: tuple[Fact, ...]
    struct = "RandomForestClassifier"
    family = "random forest classifier"
    outputs = "the share of votes of each class"
    wider_rows = True

    @property
    def trees(self) -> tuple[Tree, ...]:
        return tuple(member.tree for member in self.members if member.tree is not None)

    @property
    def n_features(self) -> int:
        stated = [member.stated_features for member in self.members if member.stated_features is not None]
        if self.stated_features is not None:
            return self.stated_features
        return max(stated) if stated else widest(self.trees)

    def facts(self) -> tuple[Fact, ...]:
        return (
            Fact("features", self.n_features),
            *tree_facts(self.trees),
            Fact("classes", self.n_scores),
            *([Fact("splits per feature", split_counts(self.trees, self.n_features))] if self.trees else []),
            *self.hyperparameters,
        )

    def check(self) -> None:
        check_trees(tuple(member.tree for member in self.members), self.n_features, self.struct)
        check_widths(self.members, self.stated_features, self.struct)
        if not 0 < self.n_scores <= MAX_OUTPUTS:
            raise bad_parameter(f"the training labels ask for {self.n_scores} classes", where=self.struct)

    def votes(self, rows: Array) -> tuple[Labels, Array]:
        """Sorted labels, and votes [rows, labels]."""
        require_rows(rows, self.n_features)
        said = np.stack([tree.leaf_label[tree.walk(rows)] for tree in self.trees], axis=1)
        labels = np.unique(np.concatenate([np.arange(self.n_scores), *(t.leaf_label[t.is_leaf] for t in self.trees)]))
        return labels.astype(np.int32), np.stack([np.count_nonzero(said == label, axis=1) for label in labels], axis=1)

    def predict(self, rows: Array) -> Floats:
        _, votes = self.votes(rows)
        return np.asarray(votes[:, : self.n_scores].astype(np.float32) / np.float32(len(self.trees)), np.float32)

    def tolerance(self, rows: Array, scores: Floats) -> Array:
        return EQUAL

    def classify(self, rows: Array) -> Labels:
        labels, votes = self.votes(rows)
        return np.asarray(labels[np.argmax(votes, axis=1)], np.int32)

    def lower(self) -> Program:
        trees = self.trees
        labels = np.unique(np.concatenate([np.arange(self.n_scores), *(t.leaf_label[t.is_leaf] for t in trees)]))
        positions = [np.searchsorted(labels, np.where(t.is_leaf, t.leaf_label, labels[0])) for t in trees]
        builder = Builder(row_type(self.n_features))
        votes = builder.add(TreeVotes(merge_trees(trees, positions), self.n_features, "f32", len(labels)), 0)
        share = Table(np.arange(len(trees) + 1, dtype=np.float32) / np.float32(len(trees)))
        scores = builder.add(Lookup("u16", len(labels), self.n_scores, share), votes)
        plain = bool(np.array_equal(labels, np.arange(len(labels))))
        names = None if plain else Table(labels.astype(np.int32))
        label = builder.add(Argmax("u16", len(labels), names), votes)
        return builder.build(scores, label, n_classes=self.n_scores)


@dataclass(frozen=True, eq=False)
class ForestRegressor:
    """The mean of the trees: their values added in order from 0.0, divided by the number of trees."""

    members: tuple[DecisionTree, ...]
    stated_features: int | None
    hyperparameters: tuple[Fact, ...]
    struct = "RandomForestRegressor"
    family = "random forest regressor"
    outputs = "one value"
    wider_rows = True

    @property
    def trees(self) -> tuple[Tree, ...]:
        return tuple(member.tree for member in self.members if member.tree is not None)

    @property
    def n_features(self) -> int:
        return self.stated_features if self.stated_features is not None else widest(self.trees)

    def facts(self) -> tuple[Fact, ...]:
        return (
            Fact("features", self.n_features),
            *tree_facts(self.trees),
            *([Fact("splits per feature", split_counts(self.trees, self.n_features))] if self.trees else []),
            *self.hyperparameters,
        )

    def check(self) -> None:
        check_trees(tuple(member.tree for member in self.members), self.n_features, self.struct)

    def predict(self, rows: Array) -> Floats:
        require_rows(rows, self.n_features)
        total = exact.running_sum(np.stack([tree.leaf_value[tree.walk(rows)] for tree in self.trees], axis=1))
        return np.asarray(total / np.float32(len(self.trees)), np.float32).reshape(-1, 1)

    def tolerance(self, rows: Array, scores: Floats) -> Array:
        return EQUAL

    def classify(self, rows: Array) -> None:
        return None

    def lower(self) -> Program:
        values, positions = value_positions(self.trees, tuple(tree.leaf_value for tree in self.trees))
        builder = Builder(row_type(self.n_features))
        nodes = merge_trees(self.trees, positions)
        total = builder.add(TreeSum(nodes, self.n_features, "f32", values, 0.0), 0)
        return builder.build(builder.add(Map(1, (Stage("div", constant=float(len(self.trees))),)), total))


def _columns(fields: Fields) -> int | None:
    x_train = cast("Floats | None", fields["x_train"])
    return None if x_train is None or x_train.shape[1] == 0 else int(x_train.shape[1])


def _forest_classifier(fields: Fields) -> ForestClassifier:
    members = tuple(build_classifier(m) for m in cast("tuple[Fields, ...]", fields["trees"]))
    y = cast("Labels | None", fields["y_train"])
    n_scores = 2 if y is None else int(y.max(initial=0)) + 1
    names = ("n_estimators", "max_depth", "random_state")
    return ForestClassifier(members, _columns(fields), n_scores, hyperparameters(fields, *names))


def _forest_regressor(fields: Fields) -> ForestRegressor:
    members = tuple(build_regressor(m) for m in cast("tuple[Fields, ...]", fields["trees"]))
    return ForestRegressor(
        members, _columns(fields), hyperparameters(fields, "n_estimators", "max_depth", "random_state")
    )


def _forest_record(name: str, member: Record, labels: object) -> Record:
    return Record(
        name,
        (
            ("trees", Vec(member)),
            ("n_estimators", U64),
            ("max_depth", Option(U64)),
            ("random_state", Option(U64)),
            ("oob_indices", Vec(U64S)),
            ("x_train", Option(MATRIX)),
            ("y_train", Option(U64S if labels == "labels" else F32S)),
        ),
    )


STRUCTS = (
    Struct(
        "RandomForestClassifier",
        (0x0004,),
        _forest_record("RandomForestClassifier", CLASSIFIER, "labels"),
        _forest_classifier,
    ),
    Struct(
        "RandomForestRegressor",
        (0x0004,),
        _forest_record("RandomForestRegressor", REGRESSOR, "values"),
        _forest_regressor,
    ),
)
