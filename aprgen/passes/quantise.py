"""Quantise pass: a Program in floats becomes one in integer codes, with scales taken from rows.

Weights are symmetric with a scale for each row; inputs and hidden values have a scale and an offset for each element,
since the next dense op takes both into its weights and bias for nothing. Sums are proved to stay within 32 bits. Ops
without an integer form stay in floats. Splits of trees stay as they are: they are exact, and what leaves add up to
becomes a total with a bound (Jacob et al. 2018, arXiv:1712.05877,
section 2, with scales for each element). Every scale is computed with correctly rounded sums: same rows, same codes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np

from aprgen.ops.decide import Argmax, Argmin, IntegerThreshold, Threshold
from aprgen.ops.dense import Dense
from aprgen.ops.distance import Neighbours, SquaredDistance
from aprgen.ops.elementwise import Map, Stage
from aprgen.ops.gauss import Gauss
from aprgen.ops.integer import (
    LARGEST,
    TYPES,
    Code,
    IntegerDense,
    IntegerLookup,
    IntegerSum,
    Interpolate,
    Requantise,
    three_digits,
)
from aprgen.ops.normalise import Normalise, Softmax
from aprgen.ops.trees import TreeOp, TreeSum
from aprgen.passes.coded import LARGEST_OFFSET, Coded, Doubles, Sums, multipliers, sums_of, wide_enough
from aprgen.passes.quantise_leaves import decision_before, function_of_total, sum_of_leaves
from aprgen.passes.quantise_points import counts_votes, density_of, distance, gauss, is_votes, neighbours, powers
from aprgen.passes.quantise_work import (
    Work,
    affine,
    as_floats,
    coded_from,
    input_codes,
    is_affine,
    is_result,
    only_reader,
)
from aprgen.passes.ranges import Method, rounded_up, spans
from aprgen.passes.tree_sums import integer_totals
from aprgen.program import Array, Builder, Codes, Op, Program, Table

CHANNEL_FLOOR = 1 / 8  # of the widest channel's range, at least that is every channel's: rare values do not saturate
CURVES = frozenset({"sigmoid", "tanh", "gelu", "leaky_relu"})
SIGMOID_REACH = 17.0  # sigmoid(17) rounds to 1 in Q15
BITS: dict[Code, int] = {"i8": 8, "i16": 16, "i32": 32}
COARSEST: dict[Code, float] = {"i8": 16.0, "i16": 1.0}  # see multipliers: 10 bits where weights have 8


@dataclass(frozen=True, eq=False)
class Quantised:
    """The new Program, and the kernels that still compute in floats, in order.

    exact_floats: what is computed from floats is what it was; only codes can lose anything.
    """

    program: Program
    in_floats: tuple[str, ...]
    exact_floats: bool = False


def has_integer_form(program: Program) -> bool:
    """Whether there is anything to quantise; splits and votes of trees are exact as they are."""
    steps = [program.steps[index] for index in program.needed(program.scores, program.label)]
    return any(isinstance(step.op, TreeSum) for step in steps) or needs_rows(program)


def needs_rows(program: Program) -> bool:
    """Whether scales are taken from rows; those of sums of leaves are taken from the leaves."""
    steps = [program.steps[index] for index in program.needed(program.scores, program.label)]
    return any(
        isinstance(step.op, Dense | SquaredDistance | Gauss)
        or (isinstance(step.op, Neighbours) and counts_votes(step.op))
        or (isinstance(step.op, Map) and step.inputs == (0,) and is_affine(step.op))
        for step in steps
    )


def quantise(program: Program, rows: Array, element: Code, method: Method = "minmax") -> Quantised:
    """The Program with integer ops where they exist; element: "i8" or "i16", of inputs, weights and hidden values.

    rows: float32 [rows, n_features], finite, what the model will see. A Program without any integer form comes back
    as it was.
    """
    steps = program.needed(program.scores, program.label)
    observed = program.evaluate(rows, {0, *(index + 1 for index in steps)})
    work = Work(program, observed, element, method, Builder(program.source), {}, {0: 0}, set(), [], {}, [])
    for index in steps:
        if index not in work.done:
            _rewrite(work, index)
    if not work.coded:
        return Quantised(program, ())
    scores = as_floats(work, program.scores)
    label = None if program.label is None else work.floats[program.label]
    made = work.builder.build(scores, label, program.n_classes)
    made = replace(made, codes=_codes(work), notes=(*program.notes, *work.notes))
    return Quantised(made, tuple(work.in_floats))


def _codes(work: Work) -> Codes | None:
    """The integer interface: only when nothing between the codes of x and those of the scores is in floats."""
    x, scores = work.coded.get(0), work.coded.get(work.program.scores)
    if x is None or scores is None or x.value == scores.value or work.in_floats:
        return None
    parts = (x.scale, x.offset, scores.scale, scores.offset)
    x_scale, x_offset, scale, offset = (tuple(float(np.float32(n)) for n in part) for part in parts)
    label = None if work.program.label is None else work.floats[work.program.label]
    return Codes(x.value, scores.value, label, x_scale, x_offset, scale, offset)


def _rewrite(work: Work, index: int) -> None:
    step = work.program.steps[index]
    value = index + 1
    match step.op:
        case Dense() as op:
            work.coded[value] = _dense(work, op, step.inputs[0], value)
        case SquaredDistance() as op:
            work.coded[value] = distance(work, op, step.inputs[0])
        case Neighbours() as op if counts_votes(op):
            work.coded[value] = neighbours(work, op, step.inputs[0])
        case Normalise(floor=None) if is_votes(work, step.inputs[0]):
            votes = work.coded[step.inputs[0]]
            work.coded[value] = replace(votes, scale=votes.scale / votes.limit)
        case Gauss() as op if (density := density_of(op)).is_finite:
            gauss(work, density, step.inputs[0], value)
        case TreeSum() as op if (totals := integer_totals(op, BITS[work.element])) is not None:
            work.coded[value] = sum_of_leaves(work, totals, as_floats(work, step.inputs[0]))
        case Map() as op if step.inputs[0] in work.coded and is_affine(op):
            work.coded[value] = affine(work.coded[step.inputs[0]], op)
        case Map() as op if (total := work.coded.get(step.inputs[0])) is not None and total.reach is not None:
            function_of_total(work, op, total, value)
        case Threshold() as op if step.inputs[0] in work.functions:
            work.floats[value] = decision_before(work, op, step.inputs[0])
        case Map() as op if step.inputs[0] == 0 and is_affine(op) and not _feeds_trees(work, value):
            work.coded[value] = affine(input_codes(work), op)
        case Softmax() if _can_be_compared(work, step.inputs[0]):
            work.coded[value] = powers(work, work.coded[step.inputs[0]])
        case Argmax(element="f32") | Argmin(element="f32") | Threshold() if _can_be_compared(work, step.inputs[0]):
            work.floats[value] = _decision(work, step.op, step.inputs[0])
        case op:
            inputs = tuple(as_floats(work, i) for i in step.inputs)
            work.floats[value] = work.builder.add(op, *inputs)
            work.in_floats.append(op.kernel)


def _feeds_trees(work: Work, value: int) -> bool:
    """Trees keep exact inputs."""
    return any(isinstance(work.program.steps[index].op, TreeOp) for index in work.readers(value))


def _can_be_compared(work: Work, value: int) -> bool:
    """Whether the order of the codes is that of the values."""
    coded = work.coded.get(value)
    return coded is not None and coded.is_uniform and bool(coded.scale[0] > 0)


# Dense: weights by row, sums within 32 bits.


def _dense(work: Work, op: Dense, source: int, value: int) -> Coded:
    """Codes of a dense op, with the activation behind it where that is one of its only reader's."""
    x = input_codes(work) if source == 0 else coded_from(work, source)
    reader = only_reader(work, value)
    activation = work.program.steps[reader].op if reader is not None else None
    stage = activation.stages[0] if isinstance(activation, Map) and len(activation.stages) == 1 else None
    if reader is not None and stage is not None and stage.verb == "relu":
        work.coded[reader + 1] = _hidden(work, op, x, reader + 1)
        work.done.add(reader)
        return work.coded[reader + 1]
    if reader is not None and stage is not None and stage.verb in CURVES:
        work.coded[reader + 1] = _curve(work, op, x, value, stage, reader + 1)
        work.done.add(reader)
        return work.coded[reader + 1]
    if is_result(work, value):
        return _outcome(work, op, x)
    return _hidden(work, op, x, value)


def _emitted(work: Work, x: Coded, sums: Sums, element: Code, scale: Doubles, offset: Doubles) -> int:
    """The dense step whose codes are (acc * sums.scale - offset) / scale."""
    shifted = np.rint(offset / sums.scale)
    bias = sums.bias - shifted
    largest = int((sums.largest + np.abs(shifted)).max())
    assert largest <= LARGEST["i32"]  # see sums_of and LARGEST_OFFSET
    multiplier, shift = multipliers(sums.scale / scale, COARSEST[work.element])
    op = IntegerDense(
        x.element, element, largest, Table(sums.weight), Table(bias.astype(np.int32)), Table(multiplier), Table(shift)
    )
    return work.builder.add(op, x.value)


def _sum(work: Work, x: Coded, sums: Sums) -> int:
    """The step that adds up one row of weights; its codes are in units of sums.scale."""
    largest = int(sums.largest[0])
    assert largest <= LARGEST["i32"]  # see sums_of
    return work.builder.add(IntegerSum(x.element, largest, Table(sums.weight[0]), int(sums.bias[0])), x.value)


def _hidden(work: Work, op: Dense, x: Coded, observed: int) -> Coded:
    """Codes for each channel's own range, of 16 bits where they are results; ranges without negative values use all
    codes, too."""
    element: Code = "i16" if is_result(work, observed) else work.element
    limit = LARGEST[element]
    low, high = spans(work.observed[observed], work.method, limit)
    positive = bool(np.all(low >= 0))
    reach = (high if positive else np.maximum(np.abs(low), np.abs(high))) / (2 * limit + 1 if positive else limit)
    scale = rounded_up(np.maximum(reach, reach.max() * CHANNEL_FLOOR))
    lowest = -limit - 1
    sums = sums_of(op, x, LARGEST[work.element], least=-lowest * scale / LARGEST_OFFSET if positive else 0.0)
    scale = wide_enough(scale, sums)
    offset = -lowest * scale if positive else np.zeros(op.rows)
    value = _emitted(work, x, sums, element, scale, offset)
    return Coded(value, element, scale, offset, limit)


def _outcome(work: Work, op: Dense, x: Coded) -> Coded:
    """Results in 32 bits with one scale, so that they can be compared; no code saturates. One alone is its sum."""
    sums = sums_of(op, x, LARGEST[work.element])
    if op.rows == 1:
        return Coded(_sum(work, x, sums), "i32", sums.scale, np.zeros(1), LARGEST["i32"])
    scale = np.full(op.rows, float(wide_enough(np.zeros(op.rows), sums).max()))
    value = _emitted(work, x, sums, "i32", scale, np.zeros(op.rows))
    return Coded(value, "i32", scale, np.zeros(op.rows), LARGEST["i32"])


def _curve(work: Work, op: Dense, x: Coded, before: int, stage: Stage, after: int) -> Coded:
    """A dense op and a function of each sum: from a table over codes with one scale for all channels."""
    sums = sums_of(op, x, LARGEST[work.element])
    is_end = is_result(work, after)
    element: Code = "i16" if is_end else work.element
    limit = LARGEST[element]
    reach = float(np.abs(np.array(spans(work.observed[before], work.method, limit))).max())
    reach = SIGMOID_REACH if is_end and stage.verb == "sigmoid" else max(reach, 1e-30)
    scale = np.full(op.rows, float(wide_enough(np.full(op.rows, reach / limit), sums).max()))
    if op.rows == 1:
        multiplier, last_shift = multipliers(sums.scale / scale, COARSEST[work.element])
        cut = Requantise(cast(Literal["i8", "i16"], element), int(multiplier[0]), int(last_shift[0]))
        at = work.builder.add(cut, _sum(work, x, sums))
    else:
        at = _emitted(work, x, sums, element, scale, np.zeros(op.rows))
    codes = np.arange(-128, 128) if element == "i8" else np.minimum(np.arange(-32768, 32769, 128), 32767)
    real = (codes * scale[0]).astype(np.float32)
    with np.errstate(all="ignore"):
        curve = np.asarray(stage.apply(real), np.float64)
    unit = 2.0**-15 if is_end and stage.verb == "sigmoid" else max(float(np.abs(curve).max()), 1e-30) / limit
    table = np.clip(np.rint(curve / unit), -limit, limit)
    made: IntegerLookup | Interpolate
    if element == "i8":
        made = IntegerLookup(op.rows, Table(table.astype(np.int8)), 0.0)
    else:
        made = Interpolate(op.rows, Table(table.astype(np.int16)), 0.0)
    made = replace(made, error=_curve_error(replace(made, size=1), stage, element, float(scale[0]), unit))
    return Coded(work.builder.add(made, at), element, np.full(op.rows, unit), np.zeros(op.rows), limit)


def _curve_error(made: IntegerLookup | Interpolate, stage: Stage, element: Code, scale: float, unit: float) -> float:
    """The largest difference between the function and what the table gives, found by trying every code."""
    codes = np.arange(-LARGEST[element] - 1, LARGEST[element] + 1).astype(TYPES[element]).reshape(-1, 1)
    with np.errstate(all="ignore"):
        wanted = np.asarray(stage.apply((codes * scale).astype(np.float32)), np.float64)
    return three_digits(float(np.abs(made.evaluate(codes) * unit - wanted).max()))


# Labels.


def _decision(work: Work, op: Op, source: int) -> int:
    """A label from codes; behind a softmax from what goes into it, where no two values have become equal."""
    x = work.coded[source]
    if isinstance(op, Argmax) and source > 0 and isinstance(work.program.steps[source - 1].op, Softmax):
        x = work.coded[work.program.steps[source - 1].inputs[0]]
    if isinstance(op, Threshold):
        limit = math.ceil((op.limit - float(x.offset[0])) / float(x.scale[0]))
        labels = (op.then, op.otherwise) if op.compare == "ge" else (op.otherwise, op.then)
        value, element, limit = _first_above(work, x, limit)
        return work.builder.add(IntegerThreshold(element, limit, *labels), value)
    if isinstance(op, Argmin):
        return work.builder.add(Argmin(op.size, "i32"), x.value)
    assert isinstance(op, Argmax)
    made = replace(op, element=cast(Literal["i16", "i32"], x.element), nan_gives_zero=False)
    return work.builder.add(made, x.value)


def _first_above(work: Work, x: Coded, limit: int) -> tuple[int, Literal["i8", "i16", "i32"], int]:
    """The earliest value that decides whether the code of x is >= limit, and the limit for it: what never falls when
    its code rises (a sum requantised, a rising curve) can be left out, and the label is the same for every code."""
    value, element = x.value, x.element
    limit = max(-LARGEST["i32"] - 1, min(limit, LARGEST["i32"]))  # sums stay within; see sums_of
    while value > 0:
        step = work.builder.step(value)
        if isinstance(step.op, Requantise):
            before: Code = "i32"
        elif isinstance(step.op, Interpolate | IntegerLookup) and bool(np.all(np.diff(step.op.table.data) >= 0)):
            before = element
        else:
            break
        found = _least_code(step.op, before, limit)
        if found is None:
            break
        value, element, limit = step.inputs[0], before, found
    return value, element, limit


def _least_code(op: Requantise | Interpolate | IntegerLookup, before: Code, limit: int) -> int | None:
    """The least code that a rising op makes into one >= limit, by halving; None when there is none."""
    low, high = -LARGEST[before] - 1, LARGEST[before]

    def reaches(code: int) -> bool:
        return bool(op.evaluate(np.array([[code]], TYPES[before]))[0, 0] >= limit)

    if not reaches(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle + 1, high)
    return low
