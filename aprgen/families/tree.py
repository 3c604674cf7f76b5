"""Decision trees, classifier and regressor: layouts and what they predict. Forests and boosting build on them.

Knows nothing of files or C.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from aprgen.container.bincode import U64, Option, Record
from aprgen.families.base import (
    EQUAL,
    Fact,
    Fields,
    Floats,
    Labels,
    Struct,
    bad_parameter,
    require_rows,
    unfitted,
)
from aprgen.families.ensemble import check_tree, hyperparameters, merge_trees, split_counts, tree_facts
from aprgen.ops.decide import Lookup
from aprgen.ops.trees import TreeLeaf
from aprgen.program import Array, Builder, Program, Table, row_type
from aprgen.trees import Tree, TreeCodec


@dataclass(frozen=True, eq=False)
class DecisionTree:
    """One tree; a classifier answers with the label of a leaf, a regressor with its value."""

    tree: Tree | None
    classifies: bool
    stated_features: int | None
    hyperparameters: tuple[Fact, ...]
    wider_rows = True

    @property
    def struct(self) -> str:
        return "DecisionTreeClassifier" if self.classifies else "DecisionTreeRegressor"

    @property
    def family(self) -> str:
        return "decision tree classifier" if self.classifies else "decision tree regressor"

    @property
    def outputs(self) -> str:
        return "the label" if self.classifies else "one value"

    @property
    def n_features(self) -> int:
        """What the file states; a regressor states nothing, so as many as the splits read."""
        if self.stated_features is not None:
            return self.stated_features
        return 0 if self.tree is None else max(1, self.tree.max_feature + 1)

    def facts(self) -> tuple[Fact, ...]:
        if self.tree is None:
            return (Fact("fitted", False), *self.hyperparameters)
        classes = np.unique(self.tree.leaf_label[self.tree.is_leaf])
        return (
            Fact("features", self.n_features),
            *tree_facts([self.tree]),
            *([Fact("classes", tuple(int(c) for c in classes))] if self.classifies else []),
            Fact("splits per feature", split_counts([self.tree], self.n_features)),
            *self.hyperparameters,
        )

    def check(self) -> None:
        if self.tree is None:
            raise unfitted(self.struct)
        if self.n_features == 0:
            raise bad_parameter("the tree states that it takes no features", where=self.struct)
        check_tree(self.tree, self.stated_features, where="the tree")

    def predict(self, rows: Array) -> Floats:
        assert self.tree is not None
        require_rows(rows, self.n_features)
        node = self.tree.walk(rows)
        answer = self.tree.leaf_label[node] if self.classifies else self.tree.leaf_value[node]
        return np.asarray(answer, np.float32).reshape(-1, 1)

    def tolerance(self, rows: Array, scores: Floats) -> Array:
        return EQUAL

    def classify(self, rows: Array) -> Labels | None:
        assert self.tree is not None
        return self.tree.leaf_label[self.tree.walk(rows)].astype(np.int32) if self.classifies else None

    def lower(self) -> Program:
        assert self.tree is not None
        builder = Builder(row_type(self.n_features))
        answers = self.tree.leaf_label if self.classifies else self.tree.leaf_value.view(np.int32)
        distinct, position = np.unique(
            np.where(self.tree.is_leaf, answers, answers[self.tree.is_leaf][0]), return_inverse=True
        )
        leaf = builder.add(TreeLeaf(merge_trees([self.tree], [position]), self.n_features, "f32"), 0)
        values = distinct.astype(np.float32) if self.classifies else distinct.astype(np.int32).view(np.float32)
        scores = builder.add(Lookup("i32", 1, 1, Table(values)), leaf)
        if not self.classifies:
            return builder.build(scores)
        label = builder.add(Lookup("i32", 1, 1, Table(distinct.astype(np.int32))), leaf)
        return builder.build(scores, label, n_classes=len(distinct))


def check_widths(members: tuple[DecisionTree, ...], x_train_columns: int | None, struct: str) -> None:
    """All that states a number of features, members and training rows, must state the same: they were fitted together.

    The original panics at prediction when a member wants more columns than the row has.
    """
    stated = {f"tree {index}": member.stated_features for index, member in enumerate(members)}
    stated["the training data"] = x_train_columns
    known = [(who, width) for who, width in stated.items() if width is not None]
    for who, width in known:
        if width != known[0][1]:
            raise bad_parameter(f"{who} has {width} features, {known[0][0]} {known[0][1]}", where=f"{struct}, {who}")


CLASSIFIER = Record(
    "DecisionTreeClassifier",
    (("tree", Option(TreeCodec("label"))), ("max_depth", Option(U64)), ("n_features", Option(U64))),
)
REGRESSOR = Record(
    "DecisionTreeRegressor",
    (
        ("tree", Option(TreeCodec("value"))),
        ("max_depth", Option(U64)),
        ("min_samples_split", U64),
        ("min_samples_leaf", U64),
    ),
)


def build_classifier(fields: Fields) -> DecisionTree:
    stated = cast("int | None", fields["n_features"])
    return DecisionTree(cast("Tree | None", fields["tree"]), True, stated, hyperparameters(fields, "max_depth"))


def build_regressor(fields: Fields) -> DecisionTree:
    names = ("max_depth", "min_samples_split", "min_samples_leaf")
    return DecisionTree(cast("Tree | None", fields["tree"]), False, None, hyperparameters(fields, *names))


STRUCTS = (
    Struct("DecisionTreeClassifier", (0x0003,), CLASSIFIER, build_classifier),
    Struct("DecisionTreeRegressor", (0x0003,), REGRESSOR, build_regressor),
)
