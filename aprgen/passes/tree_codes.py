"""Tree codes pass: trees of a row of integers, beside the trees of the row of floats, which stay as they are.

Each feature has codes of its own, from rows: a grid on which all its values lie, so that codes lose nothing, or their
range. A code stands for one float32 (program.Exact), and a split x <= t compares codes with the largest code whose
float is at most t, found among all of them: so the labels of codes are those of the floats they stand for, for every
code. Knows rows and trees; knows no costs, targets or C.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.decide import Lookup
from aprgen.ops.integer import LARGEST, LARGEST_ZERO, TYPES, Code, Dequantise, Quantise
from aprgen.ops.trees import Nodes, TreeOp
from aprgen.passes.ranges import Method, covering, spans
from aprgen.program import Array, Builder, Codes, Exact, Program, Table

FINEST = 12  # decimals, and binary places by three times that
FEWEST = 8  # values that show a step of any size
ULPS = 1.0  # that a value may lie off its grid: values computed with one more rounding still count


def takes_codes(program: Program) -> bool:
    """Whether all that reads the row are trees over floats."""
    if program.source.element != "f32":
        return False
    steps = [program.steps[index] for index in program.needed(program.scores, program.label)]
    readers = [step.op for step in steps if 0 in step.inputs]
    return bool(readers) and all(isinstance(op, TreeOp) and op.compare == "f32" for op in readers)


def with_codes(program: Program, rows: Array, element: Code, method: Method = "minmax") -> Program:
    """The Program with a second way to its scores and labels, from codes. rows: float32, finite, as the model's."""
    return over_codes(program, codes_for(rows, element, method), element)


def over_codes(program: Program, exact: Exact, element: Code) -> Program:
    """The same with codes that are known."""
    builder = Builder(program.source)
    for step in program.steps:
        builder.add(step.op, *step.inputs)
    tables = Table(exact.per_unit, np.float32), Table(exact.zero, np.int32)
    x = builder.add(Quantise(element, *tables, program.n_features), 0)
    wanted, scale = _integer_scores(program)
    moved: dict[int, int] = {}
    for index in program.needed(wanted, program.label):
        step = program.steps[index]
        if 0 in step.inputs:
            assert isinstance(step.op, TreeOp)
            moved[index + 1] = builder.add(_trees_of(step.op, exact, element), x)
        else:
            moved[index + 1] = builder.add(step.op, *(moved[value] for value in step.inputs))
    made = builder.build(program.scores, program.label, program.n_classes)
    label = None if program.label is None else moved[program.label]
    per_unit = np.array(exact.per_unit, np.float32).astype(np.float64)
    x_scale, x_offset = tuple((1 / per_unit).tolist()), tuple((np.array(exact.zero) / per_unit).tolist())
    nothing = (0.0,) * program.n_outputs
    codes = Codes(x, moved[wanted], label, x_scale, x_offset, scale, nothing, exact)
    coded = replace(made, codes=codes, notes=program.notes)
    coded.check()
    return coded


def _integer_scores(program: Program) -> tuple[int, tuple[float, ...]]:
    """Scores as integers where they are only scaled: votes, totals. Else the scores themselves, and scales of 1."""
    step = program.steps[program.scores - 1]
    n = program.n_outputs
    match step.op:
        case Dequantise(offset=None) as op:
            return step.inputs[0], tuple(np.broadcast_to(op.scale.data.astype(np.float64), n).tolist())
        case Lookup(element="u16") as op if op.size == op.n_in and _makes_shares(op):
            return step.inputs[0], (1 / (len(op.table.data) - 1),) * n
    return program.scores, (1.0,) * n


def _makes_shares(op: Lookup) -> bool:
    """Whether each count becomes its share of the largest."""
    largest = len(op.table.data) - 1
    return largest > 0 and np.array_equal(op.table.data, (np.arange(largest + 1) / largest).astype(np.float32))


# Codes of a feature.


def codes_for(rows: Array, element: Code, method: Method) -> Exact:
    """For each feature codes on the grid of its values, if they have one that fits; else over their range."""
    limit = LARGEST[element]
    low, high = spans(rows, method, limit)
    per_unit, zero = covering(low, high, limit)
    for column in range(rows.shape[1]):
        found = grid_of(np.unique(rows[:, column]), limit)
        if found is not None:
            per_unit[column], zero[column] = found
    return Exact(tuple(float(number) for number in per_unit), tuple(int(number) for number in zero))


def grid_of(values: NDArray[np.float32], limit: int) -> tuple[float, int] | None:
    """Codes per unit and zero of a grid on which the values lie, where codes within the limit hold them all.

    Grids have steps of 1, 2 or 5 times a power of ten, or a power of two: the largest step up to 1, else the smallest
    that is not too fine; or, shown by enough values, any step, as of volts that were counts. The first with a zero of 0
    is taken, so that integers are their own codes; else the first, without negative codes where that can be.
    """
    found: list[tuple[float, int]] = []
    wide = values.astype(np.float64)
    spacing = np.spacing(np.abs(values)).astype(np.float64)
    for per_unit in (*_grids(float(wide.max() - wide.min()), 2 * limit), *_own_step(wide)):
        steps = np.rint(wide * per_unit)
        if np.abs(steps).max() > LARGEST_ZERO or steps.max() - steps.min() > 2 * limit:
            continue
        exact = steps.astype(np.float32) / np.float32(per_unit)
        if (np.abs(exact.astype(np.float64) - wide) <= ULPS * spacing).all():
            found.append((float(np.float32(per_unit)), _zero(int(steps.min()), int(steps.max()), limit)))
            if found[-1][1] == 0:
                return found[-1]
    return found[0] if found else None


def _grids(width: float, most: int) -> Iterator[float]:
    """Codes per unit, the one nearest to 1 first, of those that take no more than `most` steps for the width."""
    powers = sorted(
        {float(n * 10**e) for e in range(FINEST + 1) for n in (1, 2, 5)} | {2.0**e for e in range(3 * FINEST + 1)}
    )
    if width > most:
        yield from (1 / step for step in powers if width / step <= most)
    else:
        yield from (per_unit for per_unit in powers if width * per_unit <= most)


def _own_step(ascending: NDArray[np.float64]) -> Iterator[float]:
    """Steps per unit, if all values are multiples of one step and neighbours are among them: each value sharpens what
    the values below it said."""
    above = ascending[1:] - ascending[0]
    if len(ascending) < FEWEST:
        return
    step = float(np.diff(ascending).min())
    for distance in above.tolist():
        step = distance / max(1.0, round(distance / step))
    whole = round(float(ascending[-1]) / step)
    if whole != 0:
        yield whole / float(ascending[-1])  # multiples of the step itself, not of distances


def _zero(low: int, high: int, limit: int) -> int:
    """What is taken off steps to have codes."""
    if -limit <= low and high <= limit:
        return 0
    return low if high - low <= limit else (low + high) // 2


# Trees over codes.


def _trees_of(op: TreeOp, exact: Exact, element: Code) -> TreeOp:
    return replace(op, nodes=_coded_nodes(op.nodes, exact, element), compare="code")


def _coded_nodes(nodes: Nodes, exact: Exact, element: Code) -> Nodes:
    """Thresholds as the largest code whose float goes left; splits that all codes pass alike have equal sides."""
    info = np.iinfo(TYPES[element])
    features, thresholds = nodes.feature.data, nodes.threshold.data
    largest = np.full(nodes.n_nodes, info.min - 1, np.int64)
    every = np.arange(info.min, info.max + 1)
    for column in np.unique(features):
        here = features == column
        floats = Exact((exact.per_unit[column],), (exact.zero[column],)).floats(every)
        at_most = np.searchsorted(floats, thresholds[here], side="right") + info.min - 1
        largest[here] = np.where(np.isnan(thresholds[here]), info.min - 1, at_most)
    left = np.where(largest < info.min, nodes.right.data, nodes.left.data)
    right = np.where(largest >= info.max, nodes.left.data, nodes.right.data)
    return replace(
        nodes,
        threshold=Table(np.clip(largest, info.min, info.max).astype(TYPES[element])),
        left=Table(left.astype(nodes.left.data.dtype)),
        right=Table(right.astype(nodes.right.data.dtype)),
    )
