"""Decision trees, classifier and regressor: layouts and what they predict. Forests and boosting build on them.

Knows nothing of files or C.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    require_finite,
    require_rows,
    unfitted,
)
from aprgen.ops.decide import Lookup
from aprgen.ops.trees import Nodes, TreeLeaf
from aprgen.program import Array, Builder, Program, Table, row_type
from aprgen.trees import Tree, TreeCodec

MAX_SHOWN_FEATURES = 4096  # of a list that a person reads


def check_tree(tree: Tree, n_features: int | None, *, where: str) -> None:
    """Features in range and thresholds and values finite."""
    if n_features is not None and tree.max_feature >= n_features:
        raise bad_parameter(f"a split reads feature {tree.max_feature} of {n_features}", where=where)
    require_finite(f"{where}: thresholds", tree.threshold)
    require_finite(f"{where}: leaf values", tree.leaf_value)


def tree_facts(trees: Sequence[Tree]) -> tuple[Fact, ...]:
    """Sizes, and which features the splits use most (by the share of training samples that pass them)."""
    inner = sum(tree.n_nodes - tree.n_leaves for tree in trees)
    return (
        Fact("trees", len(trees)),
        Fact("split nodes", inner),
        Fact("leaves", sum(tree.n_leaves for tree in trees)),
        Fact("depth", max((tree.depth for tree in trees), default=0)),
    )


def split_counts(trees: Sequence[Tree], n_features: int) -> tuple[int, ...]:
    """How many splits read each feature: an importance that follows from the structure alone. Empty for wide rows."""
    if n_features > MAX_SHOWN_FEATURES:
        return ()
    counts = np.zeros(n_features, np.int64)
    for tree in trees:
        used = tree.feature[~tree.is_leaf]
        counts += np.bincount(used, minlength=n_features)[:n_features]
    return tuple(int(count) for count in counts)


def merge_trees(trees: Sequence[Tree], leaf_of: Sequence[Array], *, strict: bool = False) -> Nodes:
    """Node tables of all trees; leaf_of[t][node] is the leaf index of a leaf node.

    With `strict` the trees go left when x < threshold, which for floats is x <= the next value below.
    """
    features: list[Array] = []
    thresholds: list[Array] = []
    lefts: list[Array] = []
    rights: list[Array] = []
    roots: list[int] = []
    base = 0
    depth = 0
    for tree, leaves in zip(trees, leaf_of, strict=True):
        inner = ~tree.is_leaf
        reference = np.where(inner, base + np.cumsum(inner) - 1, ~np.asarray(leaves, np.int64))
        features.append(tree.feature[inner])
        thresholds.append(tree.threshold[inner])
        lefts.append(reference[tree.left[inner]])
        rights.append(reference[tree.right[inner]])
        roots.append(int(reference[0]))
        base += int(np.count_nonzero(inner))
        depth = max(depth, tree.depth)
    feature = np.concatenate(features) if features else np.zeros(0, np.int64)
    threshold = np.concatenate(thresholds).astype(np.float32)
    if strict:
        threshold = np.nextafter(threshold, np.float32(-np.inf), dtype=np.float32)
    references = np.concatenate([*lefts, *rights, np.array(roots, np.int64)])
    fits = len(references) == 0 or (references.min() >= -(2**15) and references.max() < 2**15)
    kind = np.int16 if fits else np.int32
    return Nodes(
        feature=Table(feature.astype(np.min_scalar_type(int(feature.max(initial=0))))),
        threshold=Table(threshold),
        left=Table(np.concatenate(lefts).astype(kind)),
        right=Table(np.concatenate(rights).astype(kind)),
        root=Table(np.array(roots).astype(kind)),
        depth=depth,
    )


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


def hyperparameters(fields: Fields, *names: str) -> tuple[Fact, ...]:
    return tuple(Fact(name, cast("int | float | None", fields[name])) for name in names)


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
