"""Strategy pass: chooses how each op is computed on a target, by cost. The result is the same, only the way differs.

Knows costs as numbers; knows no target by name and no C.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from aprgen.costs import Cost
from aprgen.errors import UnsupportedError
from aprgen.ops.trees import Compare, FloatKeys, TreeOp
from aprgen.passes.goals import GOALS, Goal
from aprgen.passes.missing import without_missing
from aprgen.passes.tree_costs import ROW_BUFFER_BYTES, Way, best_way, quicker_than_tables, way_of_shape
from aprgen.passes.tree_shapes import SHAPES, Shape
from aprgen.program import Array, Op, Program, Step, Table


def key_columns(op: TreeOp) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The features that the splits read, ascending."""
    return np.unique(op.nodes.feature.data).astype(np.int64)


def cheapest_compare(op: TreeOp, cost: Cost) -> Compare:
    """Floats at every node passed, keys made once per row for all features that splits read, or a key at every node.

    Keys of a wide row would take too much of the stack.
    """
    costs = compare_costs(op, cost)
    if keys_are_wide(op):
        del costs["key"]
    return min(costs, key=lambda compare: costs[compare])


def keys_are_wide(op: TreeOp) -> bool:
    return len(key_columns(op)) * np.dtype(np.int32).itemsize > ROW_BUFFER_BYTES


def compare_costs(op: TreeOp, cost: Cost) -> dict[Compare, float]:
    """A row passes about log2(nodes + 1) nodes of each tree. Of equal costs the first wins."""
    n_keys = len(key_columns(op))
    passed = float(op.n_trees * np.log2(op.nodes.n_nodes / max(1, op.n_trees) + 1))
    return {
        "f32": passed * cost.float_compare,
        "key": n_keys * cost.float_to_key + passed * cost.integer_compare,
        "late_key": passed * (cost.float_to_key + cost.integer_compare),
    }


def choose_strategies(
    program: Program, cost: Cost, optimise: Goal | Shape | None = None, rows: Array | None = None
) -> Program:
    """Trees compare integer keys where that is cheaper; where a row has too many, packed words compare codes, if they
    are smaller and quicker. With a goal trees take the shape that serves it best.

    UnsupportedError where they do not fit the shape that is named. rows: of the model, that show which splits most rows
    pass; without them each side of a split is as likely as the other.
    """
    seen = {} if optimise is None or rows is None else _read_by_trees(program, rows)

    def chosen(op: TreeOp) -> tuple[Op, ...]:
        if op.nodes.missing_left is not None:
            before, plain = without_missing(op)
            return (*before, *chosen(plain))
        way = _for_wide_rows(op, cost) if optimise is None else _way(op, cost, optimise, seen.get(op))
        return _in_tables(op, cost) if way is None else way.ops

    return with_trees(program, chosen)


def _for_wide_rows(op: TreeOp, cost: Cost) -> Way | None:
    """Packed words, where keys are the cheapest that tables can compare and a row has too many of them."""
    if op.compare == "code" or not keys_are_wide(op):
        return None
    costs = compare_costs(op, cost)
    if min(costs, key=lambda compare: costs[compare]) != "key":
        return None
    return quicker_than_tables(op, cost, "packed")


def _read_by_trees(program: Program, rows: Array) -> Mapping[Op, Array]:
    """What each op of trees reads of the rows."""
    steps = [step for step in program.steps if isinstance(step.op, TreeOp)]
    values = program.evaluate(rows, [step.inputs[0] for step in steps])
    return {step.op: values[step.inputs[0]] for step in steps}


def _way(op: TreeOp, cost: Cost, optimise: Goal | Shape, rows: Array | None) -> Way | None:
    for goal in GOALS:
        if optimise == goal:
            return best_way(op, cost, goal, rows)
    way = next((way_of_shape(op, cost, shape, rows) for shape in SHAPES if optimise == shape), None)
    if way is None and op.compare != "code":  # codes follow where floats can go
        raise UnsupportedError(
            "strategy.shape", f"these trees cannot be {optimise}: too deep, too large, too small, or nothing to decide",
            where="--optimise", hint="use size, mean or wcet, which take a shape that fits",
        )  # fmt: skip
    return way


def with_trees(program: Program, chosen: Callable[[TreeOp], tuple[Op, ...]]) -> Program:
    """The program with other ops, one after the other, in place of each op of trees that has splits.

    Trees over floats, and over the codes of a caller; those over keys were chosen before.
    """
    steps: list[Step] = []
    moved = {0: 0}  # old value id to new value id
    for index, step in enumerate(program.steps):
        inputs = tuple(moved[i] for i in step.inputs)
        op = step.op
        if isinstance(op, TreeOp) and op.compare in ("f32", "code") and op.nodes.n_nodes > 0:
            for made in chosen(op):
                steps.append(Step(made, inputs))
                inputs = (len(steps),)
        else:
            steps.append(Step(op, inputs))
        moved[index + 1] = len(steps)
    label = None if program.label is None else moved[program.label]
    codes = program.codes
    if codes is not None:
        of_codes = None if codes.label is None else moved[codes.label]
        codes = replace(codes, x=moved[codes.x], scores=moved[codes.scores], label=of_codes)
    result = replace(program, steps=tuple(steps), scores=moved[program.scores], label=label, codes=codes)
    result.check()
    return result


def _in_tables(op: TreeOp, cost: Cost) -> tuple[Op, ...]:
    """Tables of nodes that compare what is cheapest, and what makes it of the row; codes are compared as they are."""
    if op.compare == "code":
        return (op,)
    compare = cheapest_compare(op, cost)
    columns = key_columns(op)
    if compare == "key":
        column_of = np.zeros(op.n_features, np.int64)
        column_of[columns] = np.arange(len(columns))
        trees = replace(op, nodes=op.nodes.with_keys(column_of), n_features=len(columns), compare=compare)
        return _keys(columns, op.n_features), trees
    if compare == "late_key":
        return (replace(op, nodes=op.nodes.with_keys(np.arange(op.n_features)), compare=compare),)
    return (op,)


def _keys(columns: np.ndarray[tuple[int], np.dtype[np.int64]], n_features: int) -> FloatKeys:
    if len(columns) == n_features:
        return FloatKeys(n_features, None)
    return FloatKeys(n_features, Table(columns.astype(np.min_scalar_type(int(columns[-1])))))
