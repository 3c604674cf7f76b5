"""Strategy pass: chooses how each op is computed on a target, by cost. The result is the same, only the way differs.

Knows costs as numbers; knows no target by name and no C.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aprgen.ops.trees import FloatKeys, TreeOp
from aprgen.program import Program, Step, Table
from aprgen.target import Cost


def key_columns(op: TreeOp) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The features that the splits read, ascending."""
    return np.unique(op.nodes.feature.data).astype(np.int64)


def prefers_keys(op: TreeOp, cost: Cost) -> bool:
    """Whether making keys once per row costs less than comparing floats at every node passed.

    A row passes about log2(nodes + 1) nodes of each tree.
    """
    passed = op.n_trees * np.log2(op.nodes.n_nodes / max(1, op.n_trees) + 1)
    keys = len(key_columns(op)) * cost.float_to_key + passed * cost.integer_compare
    return bool(keys < passed * cost.float_compare)


def choose_strategies(program: Program, cost: Cost) -> Program:
    """Trees that read the input compare integer keys where that is cheaper; keys are made once per row."""
    steps: list[Step] = []
    moved = {0: 0}  # old value id to new value id
    for index, step in enumerate(program.steps):
        inputs = tuple(moved[i] for i in step.inputs)
        op = step.op
        if isinstance(op, TreeOp) and op.compare == "f32" and op.nodes.n_nodes > 0 and prefers_keys(op, cost):
            columns = key_columns(op)
            steps.append(Step(_keys(columns, op.n_features), inputs))
            column_of = np.zeros(op.n_features, np.int64)
            column_of[columns] = np.arange(len(columns))
            inputs = (len(steps),)
            op = replace(op, nodes=op.nodes.with_keys(column_of), n_features=len(columns), compare="key")
        steps.append(Step(op, inputs))
        moved[index + 1] = len(steps)
    label = None if program.label is None else moved[program.label]
    result = replace(program, steps=tuple(steps), scores=moved[program.scores], label=label)
    result.check()
    return result


def _keys(columns: np.ndarray[tuple[int], np.dtype[np.int64]], n_features: int) -> FloatKeys:
    if len(columns) == n_features:
        return FloatKeys(n_features, None)
    return FloatKeys(n_features, Table(columns.astype(np.min_scalar_type(int(columns[-1])))))
