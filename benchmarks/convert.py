"""Estimators of scikit-learn, LightGBM and XGBoost as Programs, for labels (and values, of those without labels).

Knows what the libraries keep in fitted estimators and how they decide; imports none of them, trains and measures
nothing. Sums that the libraries make in float64 are made in float32 here, so labels are compared, not trusted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from boosted import Steps, averaged, gradient_boosting, histograms, lightgbm, sklearn_missing, sklearn_tree, xgboost
from numpy.typing import NDArray

from aprgen.families.ensemble import leaf_positions, merge_trees, value_positions
from aprgen.ops.decide import Argmax, Argmin, IntegerThreshold, Lookup, Threshold
from aprgen.ops.dense import Dense
from aprgen.ops.distance import Neighbours, SquaredDistance
from aprgen.ops.elementwise import Map, Stage, vary
from aprgen.ops.gauss import Gauss
from aprgen.ops.integer import Dequantise
from aprgen.ops.mixture import Concat
from aprgen.ops.trees import Nodes, TreeOp, TreeSum, TreeTotals, TreeVotes
from aprgen.passes.fold import folded
from aprgen.program import Builder, Op, Program, Step, Table, row_type

ABOVE_ZERO = float(np.finfo(np.float32).smallest_subnormal)  # x > 0 exactly when x >= this
UNIT = 1 << 15  # what a whole vote is in totals; shares of one fit 16 bits with a sign


def program_of(estimator: Any, *, missing: bool = False) -> Program:
    """The fitted estimator's decision; of a regression or a projection its values. TypeError for other estimators.

    missing: rows may have missing values (NaN), which trees send where the library does; without it they go right.
    """
    name = type(estimator).__name__
    if name == "Pipeline":
        *scalers, last = (one for _, one in estimator.steps)
        return _scaled(scalers, program_of(last, missing=missing))
    if name in _FORESTS:
        return _forest(estimator, missing)
    if name in _BOOSTED:
        return _summed(_BOOSTED[name](estimator), missing)
    if name not in _MAKERS:
        raise TypeError(f"no conversion for {name}; there are {', '.join((*_FORESTS, *_BOOSTED, *_MAKERS))}")
    return _MAKERS[name](estimator)


def totals_of(estimator: Any, *, missing: bool = False) -> Program | None:
    """The decision of a forest or of boosted trees by totals of integers; None of other estimators.

    Probabilities and steps are rounded to 16 bits, so a total is off by half a unit for each tree at most: labels can
    differ from the library's only where classes are closer than that. A forest averages probabilities, as its library.
    """
    kind = type(estimator).__name__
    if kind == "Pipeline":
        *scalers, last = (one for _, one in estimator.steps)
        program = totals_of(last, missing=missing)
        return None if program is None else _scaled(scalers, program)
    if kind in _FORESTS:
        return _soft_votes(estimator, missing)
    return _added(_BOOSTED[kind](estimator), missing) if kind in _BOOSTED else None


def _scaled(scalers: Sequence[Any], program: Program) -> Program:
    """The program behind scalers. Thresholds of trees take them in, with the arithmetic of the library itself; what
    else reads the row reads what a map makes of it."""
    for scaler in reversed(scalers):
        stages = _stages(scaler)
        readers = [step.op for step in program.steps if 0 in step.inputs]
        if all(isinstance(op, TreeOp) for op in readers):
            steps = [
                replace(step, op=folded(step.op, _transformed(scaler))) if isinstance(step.op, TreeOp) else step
                for step in program.steps
            ]
            program = program.with_steps(steps)
        else:
            moved = [Step(step.op, tuple(i + 1 for i in step.inputs)) for step in program.steps]
            label = None if program.label is None else program.label + 1
            first = Step(Map(program.n_features, stages), (0,))
            program = replace(program, steps=(first, *moved), scores=program.scores + 1, label=label)
    program.check()
    return program


def _stages(scaler: Any) -> tuple[Stage, ...]:
    """A fitted scaler's arithmetic; its scales are above 0."""
    parts = {
        "StandardScaler": (("sub", "mean_"), ("div", "scale_")),
        "RobustScaler": (("sub", "center_"), ("div", "scale_")),
        "MaxAbsScaler": (("div", "scale_"),),
        "MinMaxScaler": (("mul", "scale_"), ("add", "min_")),
    }
    name = type(scaler).__name__
    if name not in parts or getattr(scaler, "clip", False):
        raise TypeError(f"no conversion for {name} in front of a model; there are {', '.join(parts)}, without clip")
    found = ((verb, getattr(scaler, attribute)) for verb, attribute in parts[name])
    return tuple(vary(verb, np.asarray(values, np.float32)) for verb, values in found if values is not None)


def _transformed(scaler: Any) -> Callable[[Any], Any]:
    """The scaler's own function, which takes no infinity: that stays what it is."""

    def transformed(rows: Any) -> Any:
        finite = np.isfinite(rows)
        scaled = np.asarray(scaler.transform(np.where(finite, rows, np.float32(0))), np.float32)
        return np.where(finite, scaled, rows)

    return transformed


def _forest(forest: Any, missing: bool) -> Program:
    """One vote a tree; scikit-learn averages the trees' probabilities, which can decide otherwise."""
    trees = tuple(sklearn_tree(one.tree_) for one in forest.estimators_)
    directions = [sklearn_missing(one.tree_) for one in forest.estimators_] if missing else None
    _, positions = leaf_positions(trees, tuple(tree.leaf_label for tree in trees))
    builder = Builder(row_type(forest.n_features_in_))
    n = len(forest.classes_)
    nodes = merge_trees(trees, positions, missing_left=directions)
    votes = builder.add(TreeVotes(nodes, forest.n_features_in_, "f32", n), 0)
    scores = builder.add(_counts(n, len(trees)), votes)
    return builder.build(scores, builder.add(Argmax("u16", n, None), votes), n_classes=n)


def _counts(n_classes: int, n_trees: int) -> Op:
    share = Table((np.arange(n_trees + 1) / n_trees).astype(np.float32))
    return Lookup("u16", n_classes, n_classes, share)


def _soft_votes(forest: Any, missing: bool) -> Program:
    """Leaves of one class add the unit to it, all others a row of shares."""
    n = len(forest.classes_)
    trees = tuple(sklearn_tree(one.tree_) for one in forest.estimators_)
    directions = [sklearn_missing(one.tree_) for one in forest.estimators_] if missing else None
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
    nodes = merge_trees(trees, positions, missing_left=directions)
    op = TreeTotals(nodes, forest.n_features_in_, "f32", values, 0, n, UNIT)
    total = builder.add(op, 0)
    share = Table(np.array([1 / (UNIT * len(trees))], np.float32))
    scores = builder.add(Dequantise("i32", n, share, None), total)
    return builder.build(scores, builder.add(Argmax("i32", n, None), total), n_classes=n)


def _nodes(steps: Steps, chosen: Sequence[int], positions: Sequence[NDArray[np.int64]], missing: bool) -> Nodes:
    """Node tables of some of the trees; positions: of leaves, tree by tree of those chosen."""
    directions = [steps.missing_left[t] for t in chosen] if missing else None
    trees = [steps.trees[t] for t in chosen]
    return merge_trees(trees, positions, strict=steps.less, missing_left=directions)


def _summed(steps: Steps, missing: bool) -> Program:
    """Floats, added in the order of the trees."""
    n, n_outputs = steps.n_features, len(steps.start)
    builder = Builder(row_type(n))
    sums = []
    for output, start in enumerate(steps.start):
        chosen = range(output, len(steps.trees), n_outputs)
        trees = tuple(steps.trees[t] for t in chosen)
        table, positions = value_positions(trees, tuple(steps.values[t].astype(np.float32) for t in chosen))
        op = TreeSum(_nodes(steps, chosen, positions, missing), n, "f32", table, float(np.float32(start)))
        sums.append(builder.add(op, 0))
    total = sums[0] if n_outputs == 1 else builder.add(Concat((1,) * n_outputs), *sums)
    if steps.decision == "largest":
        return builder.build(total, builder.add(Argmax("f32", n_outputs, None), total), n_classes=n_outputs)
    if steps.decision == "value":
        return builder.build(_linked(builder, steps, total))
    limit = ABOVE_ZERO if steps.decision == "above" else 0.0
    return builder.build(total, builder.add(Threshold("ge", limit, 1, 0), total), n_classes=2)


def _linked(builder: Builder, steps: Steps, total: int) -> int:
    """A mean or a value behind a link."""
    stages = () if steps.divisor == 1 else (Stage("div", constant=steps.divisor),)
    stages += (Stage("exp"),) if steps.link == "exp" else ()
    return builder.add(Map(1, stages), total) if stages else total


def _added(steps: Steps, missing: bool) -> Program:
    """Integers: values in units of the power of two with which the largest takes 16 bits. Of several outputs a leaf is
    a row with one value that is not 0, and the first tree of each holds where its sum starts."""
    n, n_outputs = steps.n_features, len(steps.start)
    values = list(steps.values)
    for output, start in enumerate(steps.start if n_outputs > 1 else ()):
        values[output] = values[output] + start
    largest = max(float(np.abs(one).max()) for one in values)
    unit = 2.0 ** (math.ceil(math.log2(max(largest, 1e-30))) - 15)
    codes = tuple(np.clip(np.rint(one / unit), -UNIT, UNIT - 1).astype(np.int64) for one in values)
    places = tuple(code * n_outputs + t % n_outputs for t, code in enumerate(codes))
    distinct, positions = leaf_positions(steps.trees, places)
    rows = np.zeros((len(distinct), n_outputs), np.int16)
    rows[np.arange(len(distinct)), distinct % n_outputs] = distinct // n_outputs
    builder = Builder(row_type(n))
    nodes = _nodes(steps, range(len(steps.trees)), positions, missing)
    start = round(steps.start[0] / unit) if n_outputs == 1 else 0
    total = builder.add(TreeTotals(nodes, n, "f32", Table(rows.reshape(-1)), start, n_outputs), 0)
    scores = builder.add(Dequantise("i32", n_outputs, Table(np.array([unit], np.float32)), None), total)
    if steps.decision == "largest":
        return builder.build(scores, builder.add(Argmax("i32", n_outputs, None), total), n_classes=n_outputs)
    if steps.decision == "value":
        return builder.build(_linked(builder, steps, scores))
    decision = IntegerThreshold("i32", 1 if steps.decision == "above" else 0, 1, 0)
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


_BOOSTED: Mapping[str, Callable[[Any], Steps]] = {
    "GradientBoostingClassifier": gradient_boosting,
    "GradientBoostingRegressor": gradient_boosting,
    "HistGradientBoostingClassifier": histograms,
    "HistGradientBoostingRegressor": histograms,
    "LGBMClassifier": lightgbm,
    "LGBMRegressor": lightgbm,
    "XGBClassifier": xgboost,
    "XGBRegressor": xgboost,
    "RandomForestRegressor": averaged,
    "ExtraTreesRegressor": averaged,
}
_FORESTS = ("RandomForestClassifier", "ExtraTreesClassifier")


_MAKERS: Mapping[str, Callable[[Any], Program]] = {
    "MLPClassifier": _network,
    "LogisticRegression": _linear_classifier,
    "LinearSVC": _linear_classifier,
    "LinearRegression": _linear_regression,
    "PCA": _projection,
    "GaussianNB": _naive_bayes,
    "KMeans": _clusters,
    "KNeighborsClassifier": _neighbours,
}
