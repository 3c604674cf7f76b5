"""Fold pass: scalers in front of trees go into the thresholds, so that trees read the row as it comes.

A scaler that keeps the order of floats, feature by feature, makes of x <= t another comparison with a float: the
largest x whose scaled value is at most t, found by halving among all floats. Every row, NaN and infinities included,
goes where it went. Knows no costs, targets or C.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.elementwise import Map, Stage
from aprgen.ops.trees import TreeOp, float_keys
from aprgen.program import Array, Program, Step, Table

Scaling = Callable[[Array], Array]  # float32 rows to float32 rows; each column keeps its order, only a NaN gives a NaN
SomeTrees = TypeVar("SomeTrees", bound=TreeOp)

_LOWEST, _HIGHEST = (int(key) for key in float_keys(np.array([-np.inf, np.inf], np.float32)))


def fold_scalers(program: Program) -> Program:
    """Trees behind a map that can be folded read what the map reads; the map stays where others read it."""
    steps: list[Step] = []
    for step in program.steps:
        op, source = step.op, step.inputs[0] if step.inputs else 0
        before = program.steps[source - 1] if source > 0 else None
        if (
            isinstance(op, TreeOp) and op.compare == "f32" and before is not None and isinstance(before.op, Map)
            and keeps_order(before.op)
        ):  # fmt: skip
            steps.append(Step(folded(op, before.op.evaluate), before.inputs))
        else:
            steps.append(step)
    return program.with_steps(steps)


def keeps_order(op: Map) -> bool:
    """Whether every stage keeps the order of floats and makes no NaN of what is none."""
    return all(_keeps_order(stage) for stage in op.stages)


def _keeps_order(stage: Stage) -> bool:
    if stage.verb not in ("add", "sub", "mul", "div"):
        return False
    constants = np.asarray(stage.constant if stage.each is None else stage.each.data, np.float32)
    return bool(np.isfinite(constants).all() and (stage.verb in ("add", "sub") or (constants > 0).all()))


def folded(op: SomeTrees, scaled: Scaling) -> SomeTrees:
    """The same decisions on rows that are not scaled."""
    nodes = op.nodes
    if nodes.n_nodes == 0:
        return op
    threshold = thresholds_before(nodes.feature.data.astype(np.int64), nodes.threshold.data, op.n_features, scaled)
    return replace(op, nodes=replace(nodes, threshold=Table(threshold)))


def thresholds_before(
    feature: NDArray[np.int64], threshold: Array, n_features: int, scaled: Scaling
) -> NDArray[np.float32]:
    """For each threshold the largest float whose scaled value is at most that; NaN, which none is, when there is none.

    Thresholds stand in rows of features, so that a scaler sees whole rows.
    """
    order = np.argsort(feature, kind="stable")
    first = np.searchsorted(feature[order], np.arange(n_features))
    place = np.zeros(len(feature), np.int64)
    place[order] = np.arange(len(feature)) - first[feature[order]]
    limit = np.full((int(place.max()) + 1, n_features), np.nan, np.float32)
    limit[place, feature] = threshold
    with np.errstate(all="ignore"):
        low = np.full(limit.shape, _LOWEST - 1, np.int64)  # of keys: scaled values up to it are at most the limit
        high = np.full(limit.shape, _HIGHEST + 1, np.int64)
        while bool((high - low > 1).any()):
            middle = (low + high) // 2
            fits = scaled(floats_of_keys(middle)) <= limit
            low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    found = np.where(low < _LOWEST, np.float32(np.nan), floats_of_keys(np.maximum(low, _LOWEST)))
    return np.asarray(found[place, feature], np.float32)


def floats_of_keys(keys: NDArray[np.int64]) -> NDArray[np.float32]:
    """The floats that have these keys; -0.0 for -1, which no float has."""
    bits = np.where(keys < 0, keys ^ 0x7FFFFFFF, keys)
    return (bits & 0xFFFFFFFF).astype(np.uint32).view(np.float32)
