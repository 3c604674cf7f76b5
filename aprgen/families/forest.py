"""Ensembles of decision trees: random forests, gradient boosting and isolation forests.

Knows their layouts, votes and sums; knows nothing of files or C.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from aprgen.container.bincode import F32, F32S, MATRIX, U64, U64S, Option, Record, Vec
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
    in_ulps,
    require_finite,
    require_rows,
    unfitted,
)
from aprgen.families.tree import (
    CLASSIFIER,
    REGRESSOR,
    DecisionTree,
    build_classifier,
    build_regressor,
    check_tree,
    hyperparameters,
    merge_trees,
    split_counts,
    tree_facts,
)
from aprgen.ops.decide import Argmax, Lookup, Threshold
from aprgen.ops.elementwise import Map, Stage
from aprgen.ops.normalise import Complement
from aprgen.ops.trees import TreeSum, TreeVotes
from aprgen.program import Array, Builder, Program, Table, row_type
from aprgen.trees import IsolationTreeCodec, Tree

MAX_TREES = 65_535  # votes are counted in 16 bits


def check_trees(trees: tuple[Tree | None, ...], n_features: int | None, struct: str) -> None:
    """A forest must have trees, not too many, and every one of them fitted and sound."""
    if not trees:
        raise unfitted(struct)
    if len(trees) > MAX_TREES:
        raise UnsupportedError(
            "model.trees",
            f"{len(trees)} trees are more than the {MAX_TREES} that aprgen counts",
            where=struct,
            hint="train fewer trees",
        )
    for index, tree in enumerate(trees):
        if tree is None:
            raise bad_parameter(f"tree {index} of {len(trees)} was never fitted", where=struct)
        check_tree(tree, n_features, where=f"tree {index}")


def check_widths(members: tuple[DecisionTree, ...], x_train_columns: int | None, struct: str) -> None:
    """All that states a number of features, members and training rows, must state the same: they were fitted together.

    The original panics at prediction when a member wants more columns than the row has.
    """
    stated = {f"tree {index}": member.stated_features for index, member in enumerate(members)}
    stated["the training data"] = x_train_columns
    known = [(who, width) for who, width in stated.items() if width is not None]
    for who, width in known:
        if width != known[0][1]:
            raise bad_parameter(
                f"{who} has {width} features, {known[0][0]} {known[0][1]}", where=f"{struct}, {who}"
            )


def widest(trees: tuple[Tree, ...]) -> int:
    """As many features as the splits read, at least one."""
    return max(1, max((tree.max_feature for tree in trees), default=0) + 1)


def leaf_positions(trees: tuple[Tree, ...], answers: tuple[Array, ...]) -> tuple[Array, list[Array]]:
    """The distinct answers of all leaves (sorted), and per tree the position of each node's answer among them.

    answers[t][node] counts only at leaves; inner nodes get an arbitrary position.
    """
    at_leaves = np.concatenate([answer[tree.is_leaf] for tree, answer in zip(trees, answers, strict=True)])
    distinct = np.unique(at_leaves)
    return distinct, [
        np.searchsorted(distinct, np.where(tree.is_leaf, answer, distinct[0]))
        for tree, answer in zip(trees, answers, strict=True)
    ]


def value_positions(trees: tuple[Tree, ...], values: tuple[Floats, ...]) -> tuple[Table, list[Array]]:
    """leaf_positions for float32 answers: distinct by their bits, so that both zeros survive."""
    bits, positions = leaf_positions(trees, tuple(np.asarray(v, np.float32).view(np.int32) for v in values))
    return Table(bits.astype(np.int32).view(np.float32)), positions


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


def _boosting(fields: Fields) -> GradientBoosting:
    return GradientBoosting(
        tuple(build_classifier(m) for m in cast("tuple[Fields, ...]", fields["estimators"])),
        cast(float, fields["init_prediction"]),
        cast(float, fields["learning_rate"]),
        hyperparameters(fields, "n_estimators", "learning_rate", "max_depth"),
    )


def _isolation(fields: Fields) -> IsolationForest:
    return IsolationForest(
        tuple(cast("Tree | None", tree["root"]) for tree in cast("tuple[Fields, ...]", fields["trees"])),
        cast(int, fields["n_estimators"]),
        cast("float | None", fields["threshold"]),
        cast(float, fields["c_norm"]),
        hyperparameters(fields, "n_estimators", "max_samples", "contamination", "max_depth"),
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
