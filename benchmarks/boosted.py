"""Trees whose leaves add up, out of fitted estimators of scikit-learn, LightGBM and XGBoost.

Knows how the libraries store trees, missing values, base scores and links; imports none of them and makes no Program.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aprgen.trees import LEAF, Tree

Doubles = NDArray[np.float64]
Decision = Literal["above", "at least", "largest", "value"]  # class 1 above 0, from 0 on; the largest; no classes
LIGHTGBM_ZERO = 1.0000000180025095e-35  # LightGBM takes values up to this size for 0
LINKED_BY_EXP = ("poisson", "gamma", "tweedie")
XGBOOST_PLAIN = ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror")


@dataclass(frozen=True, eq=False)
class Steps:
    """Trees, what each node adds when it is a leaf, and what becomes of the sums."""

    trees: tuple[Tree, ...]
    values: tuple[Doubles, ...]  # by node
    missing_left: tuple[NDArray[np.bool_], ...]  # by node: a NaN goes left
    start: tuple[float, ...]  # of each output; tree t adds to output t modulo their number
    n_features: int
    decision: Decision
    less: bool = False  # a value equal to the threshold goes right
    link: Literal["exp"] | None = None
    divisor: float = 1.0


def below(thresholds: Doubles) -> NDArray[np.float32]:
    """The largest float32 at most each: it splits float32 values alike."""
    rounded = thresholds.astype(np.float32)
    under = np.nextafter(rounded, np.float32(-np.inf))
    return np.where(rounded.astype(np.float64) > thresholds, under, rounded)


def sklearn_tree(tree: Any) -> Tree:
    """The label of a leaf is the class of most training samples there, its value the first output."""
    inner = tree.children_left >= 0
    return Tree(
        np.where(inner, tree.feature, LEAF).astype(np.int64), below(tree.threshold),
        tree.children_left.astype(np.int64), tree.children_right.astype(np.int64),
        tree.value[:, 0].argmax(axis=1).astype(np.int64), tree.value[:, 0, 0].astype(np.float32),
        np.ones(len(inner), np.int64),
    )  # fmt: skip


def sklearn_missing(tree: Any) -> NDArray[np.bool_]:
    """Where a NaN goes left; estimators without missing values have no such array."""
    found = getattr(tree, "missing_go_to_left", None)
    return np.zeros(len(tree.feature), np.bool_) if found is None else np.asarray(found, np.bool_)


def averaged(forest: Any) -> Steps:
    """A regressor: the mean of its trees."""
    trees = [one.tree_ for one in forest.estimators_]
    return Steps(
        tuple(sklearn_tree(tree) for tree in trees), tuple(tree.value[:, 0, 0] for tree in trees),
        tuple(sklearn_missing(tree) for tree in trees), (0.0,), forest.n_features_in_, "value",
        divisor=float(len(trees)),
    )  # fmt: skip


def gradient_boosting(model: Any) -> Steps:
    """scikit-learn: class 1 when the log-odds of the prior and the trees' steps are at least 0."""
    trees = [one.tree_ for one in model.estimators_.reshape(-1)]
    steps = tuple(model.learning_rate * tree.value[:, 0, 0] for tree in trees)
    decision: Decision = "value"
    if hasattr(model, "classes_"):
        prior = model.init_.class_prior_
        start = tuple(float(p) for p in np.log(prior)) if len(prior) > 2 else (math.log(prior[1] / prior[0]),)
        decision = "largest" if len(prior) > 2 else "at least"
    else:
        start = (float(np.reshape(model.init_.constant_, -1)[0]),)
    return Steps(
        tuple(sklearn_tree(tree) for tree in trees), steps, tuple(sklearn_missing(tree) for tree in trees), start,
        model.n_features_in_, decision,
    )  # fmt: skip


def histograms(model: Any) -> Steps:
    """scikit-learn's boosting on histograms: class 1 above 0."""
    nodes = [one.nodes for stage in model._predictors for one in stage]
    if any(one["is_categorical"].any() for one in nodes):
        raise ValueError("only splits of numbers are converted, not of categories")
    start = tuple(float(value) for value in np.reshape(model._baseline_prediction, -1))
    classifies = hasattr(model, "classes_")
    link: Literal["exp"] | None = "exp" if not classifies and model.loss in LINKED_BY_EXP else None
    return Steps(
        tuple(_histogram_tree(one) for one in nodes), tuple(one["value"].astype(np.float64) for one in nodes),
        tuple(one["missing_go_to_left"].astype(np.bool_) for one in nodes), start, model.n_features_in_,
        "value" if not classifies else "above" if len(start) == 1 else "largest", link=link,
    )  # fmt: skip


def _histogram_tree(nodes: Any) -> Tree:
    leaf = nodes["is_leaf"] != 0
    sides = (np.where(leaf, LEAF, nodes[side].astype(np.int64)) for side in ("left", "right"))
    zeros = np.zeros(len(nodes), np.int64)
    return Tree(
        np.where(leaf, LEAF, nodes["feature_idx"]).astype(np.int64), below(nodes["num_threshold"]), *sides, zeros,
        nodes["value"].astype(np.float32), zeros,
    )  # fmt: skip


def lightgbm(model: Any) -> Steps:
    """LightGBM: class 1 when the sum is above 0; the first trees hold where sums start."""
    document = model.booster_.dump_model()
    if document.get("average_output"):
        raise ValueError("only boosting is converted, not LightGBM's forests")
    read = [_nested(info["tree_structure"], _lightgbm_node) for info in document["tree_info"]]
    n_outputs = int(document.get("num_tree_per_iteration", 1))
    kind = str(document.get("objective", ""))
    classifies = type(model).__name__.endswith("Classifier")
    decision: Decision = "largest" if n_outputs > 1 else "above" if classifies else "value"
    link: Literal["exp"] | None = "exp" if kind.split(" ")[0] in LINKED_BY_EXP else None
    return Steps(*_columns(read), (0.0,) * n_outputs, model.n_features_in_, decision, link=link)


def _lightgbm_node(node: Mapping[str, Any]) -> _Node:
    """Tiny values are 0. A NaN is 0 where the feature has no missing values; where 0 is missing, it goes where a NaN
    goes."""
    if "leaf_value" in node:
        return None, float(node["leaf_value"])
    if node["decision_type"] != "<=":
        raise ValueError(f"only splits by <= are converted, not {node['decision_type']}")
    below_zero = float(np.nextafter(-LIGHTGBM_ZERO, -np.inf))
    feature, threshold, kind = int(node["split_feature"]), float(node["threshold"]), node["missing_type"]
    zero_left = threshold >= 0
    threshold = max(threshold, LIGHTGBM_ZERO) if zero_left else min(threshold, below_zero)
    left, right, default_left = node["left_child"], node["right_child"], bool(node["default_left"])
    if kind not in ("None", "NaN", "Zero"):
        raise ValueError(f"LightGBM has no missing type {kind}")
    if kind != "Zero" or default_left == zero_left:
        return _Split(feature, threshold, left, right, zero_left if kind == "None" else default_left), 0.0
    if default_left:  # up to a threshold below 0, or 0
        zero = _Split(feature, LIGHTGBM_ZERO, left, right, True)
        return _Split(feature, threshold, left, _Split(feature, below_zero, right, zero, False), False), 0.0
    above = _Split(feature, threshold, left, right, False)  # up to a threshold above 0, but for 0
    return _Split(feature, below_zero, left, _Split(feature, LIGHTGBM_ZERO, right, above, True), False), 0.0


def xgboost(model: Any) -> Steps:
    """XGBoost: left when x < condition, class 1 when the margin is above 0."""
    booster = model.get_booster()
    read = [_nested(json.loads(text), _xgboost_node) for text in booster.get_dump(dump_format="json")]
    learner = json.loads(booster.save_config())["learner"]
    stated = learner["learner_model_param"]["base_score"]
    base = [float(word) for word in str(stated).strip("[]").split(",")]
    kind = str(learner.get("objective", {"name": "binary:logistic"})["name"])
    n_outputs = max(1, int(learner["learner_model_param"].get("num_class", 0)))
    decision: Decision = "largest" if n_outputs > 1 else "value"
    link: Literal["exp"] | None = None
    if kind == "binary:logistic":
        base, decision = [math.log(one / (1 - one)) for one in base], "above"
    elif kind.split(":")[1] in LINKED_BY_EXP:
        base, link = [math.log(one) for one in base], "exp"
    elif not kind.startswith("multi:") and kind not in XGBOOST_PLAIN:
        raise ValueError(f"the objective {kind} is not converted")
    start = tuple(base) if len(base) == n_outputs else tuple(base) * n_outputs
    return Steps(*_columns(read), start, model.n_features_in_, decision, less=True, link=link)


def _xgboost_node(node: Mapping[str, Any]) -> _Node:
    if "leaf" in node:
        return None, float(node["leaf"])
    child = {one["nodeid"]: one for one in node["children"]}
    feature = int(str(node["split"]).removeprefix("f"))
    condition = float(np.float32(node["split_condition"]))  # printed with the digits that a float32 needs
    missing_left = node.get("missing", node["no"]) == node["yes"]
    return _Split(feature, condition, child[node["yes"]], child[node["no"]], missing_left), 0.0


@dataclass(frozen=True, eq=False)
class _Split:
    feature: int
    threshold: float
    left: Any
    right: Any
    missing_left: bool


_Node = tuple[_Split | None, float]  # a split, or the value of a leaf
_Read = tuple[Tree, Doubles, NDArray[np.bool_]]


def _nested(root: Any, read: Callable[[Any], _Node]) -> _Read:
    """A tree of dictionaries as arrays in pre-order, the values of its leaves, and where a NaN goes left."""
    features: list[int] = []
    thresholds: list[float] = []
    children: list[list[int]] = []
    values: list[float] = []
    missing: list[bool] = []
    waiting: list[tuple[Any, int, int]] = [(root, -1, 0)]  # node, parent, side
    while waiting:
        node, parent, side = waiting.pop()
        split, value = (node, 0.0) if isinstance(node, _Split) else read(node)
        at = len(features)
        features.append(LEAF if split is None else split.feature)
        thresholds.append(0.0 if split is None else split.threshold)
        missing.append(split is not None and split.missing_left)
        children.append([LEAF, LEAF])
        values.append(value)
        if parent >= 0:
            children[parent][side] = at
        if split is not None:
            waiting += [(split.right, at, 1), (split.left, at, 0)]
    sides = np.array(children, np.int64)
    zeros = np.zeros(len(features), np.int64)
    numbers = np.array(values)
    tree = Tree(
        np.array(features, np.int64), below(np.array(thresholds)), sides[:, 0], sides[:, 1], zeros,
        numbers.astype(np.float32), zeros,
    )  # fmt: skip
    return tree, numbers, np.array(missing, np.bool_)


def _columns(
    read: Sequence[_Read],
) -> tuple[tuple[Tree, ...], tuple[Doubles, ...], tuple[NDArray[np.bool_], ...]]:
    return tuple(one[0] for one in read), tuple(one[1] for one in read), tuple(one[2] for one in read)
