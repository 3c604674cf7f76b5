"""Estimators of scikit-learn, LightGBM and XGBoost as Programs, for labels (and values, of those without labels).

Knows what the libraries keep in fitted estimators and how they decide; imports none of them, trains and measures
nothing. Sums that the libraries make in float64 are made in float32 here, so labels are compared, not trusted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aprgen.families.ensemble import leaf_positions, merge_trees, value_positions
from aprgen.ops.decide import Argmax, Argmin, Lookup, Threshold
from aprgen.ops.dense import Dense
from aprgen.ops.distance import Neighbours, SquaredDistance
from aprgen.ops.elementwise import Map, Stage
from aprgen.ops.gauss import Gauss
from aprgen.ops.trees import TreeSum, TreeVotes
from aprgen.program import Builder, Op, Program, Table, row_type
from aprgen.trees import LEAF, Tree

ABOVE_ZERO = float(np.finfo(np.float32).smallest_subnormal)  # x > 0 exactly when x >= this


def program_of(estimator: Any) -> Program:
    """The fitted estimator's decision; of a regression or a projection its values. TypeError for other estimators."""
    name = type(estimator).__name__
    if name not in _MAKERS:
        raise TypeError(f"no conversion for {name}; there are {', '.join(_MAKERS)}")
    return _MAKERS[name](estimator)


def below(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 at most each: it splits float32 values alike."""
    rounded = thresholds.astype(np.float32)
    under = np.nextafter(rounded, np.float32(-np.inf))
    return np.where(rounded.astype(np.float64) > thresholds, under, rounded)


def _forest(forest: Any) -> Program:
    """One vote a tree; scikit-learn averages the trees' probabilities, which can decide otherwise."""
    trees = tuple(_sklearn_tree(one.tree_) for one in forest.estimators_)
    _, positions = leaf_positions(trees, tuple(tree.leaf_label for tree in trees))
    builder = Builder(row_type(forest.n_features_in_))
    n = len(forest.classes_)
    votes = builder.add(TreeVotes(merge_trees(trees, positions), forest.n_features_in_, "f32", n), 0)
    scores = builder.add(_counts(n, len(trees)), votes)
    return builder.build(scores, builder.add(Argmax("u16", n, None), votes), n_classes=n)


def _counts(n_classes: int, n_trees: int) -> Op:
    share = Table((np.arange(n_trees + 1) / n_trees).astype(np.float32))
    return Lookup("u16", n_classes, n_classes, share)


def _sklearn_tree(tree: Any) -> Tree:
    """The label of a leaf is the class of most training samples there, its value the first output."""
    inner = tree.children_left >= 0
    return Tree(
        np.where(inner, tree.feature, LEAF).astype(np.int64), below(tree.threshold),
        tree.children_left.astype(np.int64), tree.children_right.astype(np.int64),
        tree.value[:, 0].argmax(axis=1).astype(np.int64), tree.value[:, 0, 0].astype(np.float32),
        np.ones(len(inner), np.int64),
    )  # fmt: skip


def _gradient_boosting(model: Any) -> Program:
    """scikit-learn: class 1 when the log-odds of the prior and the trees' steps are at least 0."""
    trees = tuple(_sklearn_tree(one.tree_) for one in model.estimators_[:, 0])
    steps = [model.learning_rate * one.tree_.value[:, 0, 0] for one in model.estimators_[:, 0]]
    prior = float(model.init_.class_prior_[1])
    return _summed(trees, steps, math.log(prior / (1 - prior)), model.n_features_in_, 0.0)


def _lightgbm(model: Any) -> Program:
    """LightGBM, binary: class 1 when the sum is above 0."""
    infos = model.booster_.dump_model()["tree_info"]
    read = [_nested(info["tree_structure"], _lightgbm_node) for info in infos]
    return _summed([tree for tree, _ in read], [values for _, values in read], 0.0, model.n_features_in_, ABOVE_ZERO)


def _lightgbm_node(node: Mapping[str, Any]) -> _Node:
    if "leaf_value" in node:
        return None, float(node["leaf_value"])
    if node["decision_type"] != "<=" or node["missing_type"] != "None":
        raise ValueError(f"only splits by <= of values that are there are converted, not {node['decision_type']}")
    return (int(node["split_feature"]), float(node["threshold"]), node["left_child"], node["right_child"]), 0.0


def _xgboost(model: Any) -> Program:
    """XGBoost, binary: left when x < condition, class 1 when the margin is above 0."""
    booster = model.get_booster()
    read = [_nested(json.loads(text), _xgboost_node) for text in booster.get_dump(dump_format="json")]
    stated = json.loads(booster.save_config())["learner"]["learner_model_param"]["base_score"]
    base = float(str(stated).strip("[]"))
    start = math.log(base / (1 - base))
    trees, values = [tree for tree, _ in read], [values for _, values in read]
    return _summed(trees, values, start, model.n_features_in_, ABOVE_ZERO, strict=True)


def _xgboost_node(node: Mapping[str, Any]) -> _Node:
    if "leaf" in node:
        return None, float(node["leaf"])
    child = {one["nodeid"]: one for one in node["children"]}
    feature = int(str(node["split"]).removeprefix("f"))
    condition = float(np.float32(node["split_condition"]))  # printed with the digits that a float32 needs
    return (feature, condition, child[node["yes"]], child[node["no"]]), 0.0


_Node = tuple[tuple[int, float, Any, Any] | None, float]  # split with its children, or the value of a leaf


def _nested(root: Any, read: Callable[[Any], _Node]) -> tuple[Tree, NDArray[np.float64]]:
    """A tree of dictionaries as arrays in pre-order, and the values of its leaves."""
    features: list[int] = []
    thresholds: list[float] = []
    children: list[list[int]] = []
    values: list[float] = []
    waiting: list[tuple[Any, int, int]] = [(root, -1, 0)]  # node, parent, side
    while waiting:
        node, parent, side = waiting.pop()
        split, value = read(node)
        at = len(features)
        features.append(LEAF if split is None else split[0])
        thresholds.append(0.0 if split is None else split[1])
        children.append([LEAF, LEAF])
        values.append(value)
        if parent >= 0:
            children[parent][side] = at
        if split is not None:
            waiting += [(split[3], at, 1), (split[2], at, 0)]
    sides = np.array(children, np.int64)
    zeros = np.zeros(len(features), np.int64)
    numbers = np.array(values)
    tree = Tree(
        np.array(features, np.int64), below(np.array(thresholds)), sides[:, 0], sides[:, 1], zeros,
        numbers.astype(np.float32), zeros,
    )  # fmt: skip
    return tree, numbers


def _summed(
    trees: Sequence[Tree], values: Sequence[NDArray[np.float64]], start: float, n_features: int, limit: float,
    *, strict: bool = False,
) -> Program:  # fmt: skip
    """Class 1 when start and the values of the leaves add up to at least the limit."""
    table, positions = value_positions(tuple(trees), tuple(one.astype(np.float32) for one in values))
    builder = Builder(row_type(n_features))
    nodes = merge_trees(trees, positions, strict=strict)
    total = builder.add(TreeSum(nodes, n_features, "f32", table, float(np.float32(start))), 0)
    return builder.build(total, builder.add(Threshold("ge", limit, 1, 0), total), n_classes=2)


def _dense(builder: Builder, weight: Any, bias: Any, source: int) -> int:
    op = Dense(Table(np.ascontiguousarray(weight, np.float32)), Table(np.asarray(bias, np.float32)), "first")
    return builder.add(op, source)


def _network(model: Any) -> Program:
    """Hidden layers with ReLU; the largest of the last layer decides, so no softmax is made."""
    if model.activation != "relu" or len(model.classes_) < 3:
        raise ValueError("only networks with ReLU and three classes or more are converted")
    builder = Builder(row_type(model.n_features_in_))
    value = 0
    for layer, (weight, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        if layer > 0:
            value = builder.add(Map(weight.shape[0], (Stage("relu"),)), value)
        value = _dense(builder, weight.T, bias, value)
    n = len(model.classes_)
    return builder.build(value, builder.add(Argmax("f32", n, None), value), n_classes=n)


def _linear_classifier(model: Any) -> Program:
    builder = Builder(row_type(model.n_features_in_))
    value = _dense(builder, model.coef_, model.intercept_, 0)
    n = len(model.classes_)
    decision = Threshold("ge", ABOVE_ZERO, 1, 0) if n == 2 else Argmax("f32", n, None)
    return builder.build(value, builder.add(decision, value), n_classes=n)


def _linear_regression(model: Any) -> Program:
    builder = Builder(row_type(model.n_features_in_))
    return builder.build(_dense(builder, model.coef_.reshape(1, -1), [model.intercept_], 0))


def _projection(model: Any) -> Program:
    """PCA: the mean goes into the bias."""
    builder = Builder(row_type(model.n_features_in_))
    return builder.build(_dense(builder, model.components_, -(model.components_ @ model.mean_), 0))


def _naive_bayes(model: Any) -> Program:
    """Logarithms are taken here; what is left is the prior less scaled squares."""
    start = np.log(model.class_prior_) - 0.5 * np.log(2 * np.pi * model.var_).sum(axis=1)
    n = len(model.classes_)
    builder = Builder(row_type(model.n_features_in_))
    gauss = Gauss(Table(model.theta_, np.float32), Table(2 * model.var_, np.float32), Table(start, np.float32))
    value = builder.add(gauss, 0)
    return builder.build(value, builder.add(Argmax("f32", n, None), value), n_classes=n)


def _clusters(model: Any) -> Program:
    builder = Builder(row_type(model.n_features_in_))
    n = len(model.cluster_centers_)
    value = builder.add(SquaredDistance(Table(model.cluster_centers_, np.float32)), 0)
    return builder.build(value, builder.add(Argmin(n), value), n_classes=n)


def _neighbours(model: Any) -> Program:
    points, n = model._fit_X, len(model.classes_)
    if model.weights != "uniform" or model.effective_metric_ != "euclidean":
        raise ValueError("only neighbours by Euclidean distance with equal votes are converted")
    builder = Builder(row_type(points.shape[1]))
    classes = Table(model._y.astype(np.uint8))
    nearest = Neighbours("euclidean", 2.0, False, model.n_neighbors, Table(points, np.float32), classes, n)
    votes = builder.add(nearest, 0)
    return builder.build(votes, builder.add(Argmax("f32", n, None), votes), n_classes=n)


_MAKERS: Mapping[str, Callable[[Any], Program]] = {
    "RandomForestClassifier": _forest,
    "GradientBoostingClassifier": _gradient_boosting,
    "LGBMClassifier": _lightgbm,
    "XGBClassifier": _xgboost,
    "MLPClassifier": _network,
    "LogisticRegression": _linear_classifier,
    "LinearSVC": _linear_classifier,
    "LinearRegression": _linear_regression,
    "PCA": _projection,
    "GaussianNB": _naive_bayes,
    "KMeans": _clusters,
    "KNeighborsClassifier": _neighbours,
}
