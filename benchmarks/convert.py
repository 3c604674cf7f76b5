"""Estimators of scikit-learn, LightGBM and XGBoost as Programs, for labels (and values, of those without labels).

Knows what the libraries keep in fitted estimators and how they decide; imports none of them, trains and measures
nothing. Sums that the libraries make in float64 are made in float32 here, so labels are compared, not trusted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aprgen.families.ensemble import leaf_positions, merge_trees, value_positions
from aprgen.ops.decide import Argmax, Argmin, IntegerThreshold, Lookup, Threshold
from aprgen.ops.dense import Dense
from aprgen.ops.distance import Neighbours, SquaredDistance
from aprgen.ops.elementwise import Map, Stage
from aprgen.ops.gauss import Gauss
from aprgen.ops.integer import Dequantise
from aprgen.ops.trees import TreeSum, TreeTotals, TreeVotes
from aprgen.program import Builder, Op, Program, Table, row_type
from aprgen.trees import LEAF, Tree

ABOVE_ZERO = float(np.finfo(np.float32).smallest_subnormal)  # x > 0 exactly when x >= this
UNIT = 1 << 15  # what a whole vote is in totals; shares of one fit 16 bits with a sign


def program_of(estimator: Any) -> Program:
    """The fitted estimator's decision; of a regression or a projection its values. TypeError for other estimators."""
    name = type(estimator).__name__
    if name not in _MAKERS:
        raise TypeError(f"no conversion for {name}; there are {', '.join(_MAKERS)}")
    return _MAKERS[name](estimator)


def totals_of(estimator: Any) -> Program | None:
    """The decision of a forest or of boosted trees by totals of integers; None of other estimators.

    Probabilities and steps are rounded to 16 bits, so a total is off by half a unit for each tree at most: labels can
    differ from the library's only where classes are closer than that. A forest averages probabilities, as its library.
    """
    kind = type(estimator).__name__
    if kind == "RandomForestClassifier":
        return _soft_votes(estimator)
    return _added(_BOOSTED[kind](estimator)) if kind in _BOOSTED else None


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


def _soft_votes(forest: Any) -> Program:
    """Leaves of one class add the unit to it, all others a row of shares."""
    n = len(forest.classes_)
    trees = tuple(_sklearn_tree(one.tree_) for one in forest.estimators_)
    numbers: dict[tuple[int, ...], int] = {}
    positions: list[NDArray[np.int64]] = []
    for one, tree in zip(forest.estimators_, trees, strict=True):
        shares = np.rint(one.tree_.value[:, 0] / one.tree_.value[:, 0].sum(axis=1, keepdims=True) * UNIT)
        place = np.zeros(tree.n_nodes, np.int64)
        for leaf in np.flatnonzero(tree.is_leaf):
            row = tuple(int(share) for share in shares[leaf])
            mixed = UNIT not in row
            place[leaf] = n + numbers.setdefault(row, len(numbers)) if mixed else row.index(UNIT)
        positions.append(place)
    values = Table(np.array(list(numbers), np.int16).reshape(-1, n))
    builder = Builder(row_type(forest.n_features_in_))
    op = TreeTotals(merge_trees(trees, positions), forest.n_features_in_, "f32", values, 0, n, UNIT)
    total = builder.add(op, 0)
    share = Table(np.array([1 / (UNIT * len(trees))], np.float32))
    scores = builder.add(Dequantise("i32", n, share, None), total)
    return builder.build(scores, builder.add(Argmax("i32", n, None), total), n_classes=n)


def _sklearn_tree(tree: Any) -> Tree:
    """The label of a leaf is the class of most training samples there, its value the first output."""
    inner = tree.children_left >= 0
    return Tree(
        np.where(inner, tree.feature, LEAF).astype(np.int64), below(tree.threshold),
        tree.children_left.astype(np.int64), tree.children_right.astype(np.int64),
        tree.value[:, 0].argmax(axis=1).astype(np.int64), tree.value[:, 0, 0].astype(np.float32),
        np.ones(len(inner), np.int64),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Steps:
    """Boosted trees: class 1 when start and the values of the leaves add up to 0 or more (above 0, when strict)."""

    trees: tuple[Tree, ...]
    values: tuple[NDArray[np.float64], ...]  # by node
    start: float
    n_features: int
    above: bool  # a sum of 0 is class 0
    less: bool = False  # a value equal to the threshold goes right


def _gradient_boosting(model: Any) -> _Steps:
    """scikit-learn: class 1 when the log-odds of the prior and the trees' steps are at least 0."""
    trees = tuple(_sklearn_tree(one.tree_) for one in model.estimators_[:, 0])
    steps = tuple(model.learning_rate * one.tree_.value[:, 0, 0] for one in model.estimators_[:, 0])
    prior = float(model.init_.class_prior_[1])
    return _Steps(trees, steps, math.log(prior / (1 - prior)), model.n_features_in_, above=False)


def _lightgbm(model: Any) -> _Steps:
    """LightGBM, binary: class 1 when the sum is above 0."""
    infos = model.booster_.dump_model()["tree_info"]
    read = [_nested(info["tree_structure"], _lightgbm_node) for info in infos]
    return _Steps(*_columns(read), 0.0, model.n_features_in_, above=True)


def _lightgbm_node(node: Mapping[str, Any]) -> _Node:
    if "leaf_value" in node:
        return None, float(node["leaf_value"])
    if node["decision_type"] != "<=" or node["missing_type"] != "None":
        raise ValueError(f"only splits by <= of values that are there are converted, not {node['decision_type']}")
    return (int(node["split_feature"]), float(node["threshold"]), node["left_child"], node["right_child"]), 0.0


def _xgboost(model: Any) -> _Steps:
    """XGBoost, binary: left when x < condition, class 1 when the margin is above 0."""
    booster = model.get_booster()
    read = [_nested(json.loads(text), _xgboost_node) for text in booster.get_dump(dump_format="json")]
    stated = json.loads(booster.save_config())["learner"]["learner_model_param"]["base_score"]
    base = float(str(stated).strip("[]"))
    return _Steps(*_columns(read), math.log(base / (1 - base)), model.n_features_in_, above=True, less=True)


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


def _columns(
    read: Sequence[tuple[Tree, NDArray[np.float64]]],
) -> tuple[tuple[Tree, ...], tuple[NDArray[np.float64], ...]]:
    return tuple(tree for tree, _ in read), tuple(values for _, values in read)


def _summed(steps: _Steps) -> Program:
    """Floats, added in the order of the trees."""
    table, positions = value_positions(steps.trees, tuple(one.astype(np.float32) for one in steps.values))
    builder = Builder(row_type(steps.n_features))
    nodes = merge_trees(steps.trees, positions, strict=steps.less)
    total = builder.add(TreeSum(nodes, steps.n_features, "f32", table, float(np.float32(steps.start))), 0)
    limit = ABOVE_ZERO if steps.above else 0.0
    return builder.build(total, builder.add(Threshold("ge", limit, 1, 0), total), n_classes=2)


def _added(steps: _Steps) -> Program:
    """Integers: values in units of the power of two with which the largest takes 16 bits."""
    largest = max(float(np.abs(one).max()) for one in steps.values)
    unit = 2.0 ** (math.ceil(math.log2(max(largest, 1e-30))) - 15)
    values = tuple(np.clip(np.rint(one / unit), -UNIT, UNIT - 1).astype(np.int64) for one in steps.values)
    distinct, positions = leaf_positions(steps.trees, values)
    builder = Builder(row_type(steps.n_features))
    nodes = merge_trees(steps.trees, positions, strict=steps.less)
    start = round(steps.start / unit)
    total = builder.add(TreeTotals(nodes, steps.n_features, "f32", Table(distinct.astype(np.int16)), start, 1), 0)
    scores = builder.add(Dequantise("i32", 1, Table(np.array([unit], np.float32)), None), total)
    decision = IntegerThreshold("i32", 1 if steps.above else 0, 1, 0)
    return builder.build(scores, builder.add(decision, total), n_classes=2)


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


_BOOSTED: Mapping[str, Callable[[Any], _Steps]] = {
    "GradientBoostingClassifier": _gradient_boosting,
    "LGBMClassifier": _lightgbm,
    "XGBClassifier": _xgboost,
}


def _in_floats(read: Callable[[Any], _Steps]) -> Callable[[Any], Program]:
    return lambda model: _summed(read(model))


_MAKERS: Mapping[str, Callable[[Any], Program]] = {
    "RandomForestClassifier": _forest,
    **{name: _in_floats(read) for name, read in _BOOSTED.items()},
    "MLPClassifier": _network,
    "LogisticRegression": _linear_classifier,
    "LinearSVC": _linear_classifier,
    "LinearRegression": _linear_regression,
    "PCA": _projection,
    "GaussianNB": _naive_bayes,
    "KMeans": _clusters,
    "KNeighborsClassifier": _neighbours,
}
