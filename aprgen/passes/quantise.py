"""Quantise pass: a Program in floats becomes one in integer codes, with scales taken from rows.

Weights are symmetric with a scale for each row; inputs and hidden values have a scale and an offset for each element,
since the next dense op takes both into its weights and bias for nothing. Sums are proved to stay within 32 bits. Ops
without an integer form stay in floats. Splits of trees stay as they are: they are exact, and what leaves add up to
becomes a total with a bound (Jacob et al. 2018, arXiv:1712.05877,
section 2, with scales for each element). Every scale is computed with correctly rounded sums: same rows, same codes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np

from aprgen.ops.curve import Curve
from aprgen.ops.decide import Argmax, Argmin, IntegerThreshold, Lookup, Threshold
from aprgen.ops.dense import Dense
from aprgen.ops.distance import Neighbours, SquaredDistance
from aprgen.ops.elementwise import Map, Stage
from aprgen.ops.gauss import Gauss
from aprgen.ops.integer import (
    LARGEST,
    SMALLEST_POWER,
    TYPES,
    Code,
    Dequantise,
    IntegerDense,
    IntegerLookup,
    IntegerSoftmax,
    IntegerSquaredDistance,
    IntegerSum,
    Interpolate,
    Quantise,
    Requantise,
    exp2_table,
    three_digits,
)
from aprgen.ops.integer_distance import IntegerMetric, IntegerNeighbours
from aprgen.ops.normalise import Normalise, Softmax
from aprgen.ops.trees import TreeOp, TreeSum
from aprgen.passes.coded import LARGEST_OFFSET, Coded, Doubles, Sums, multipliers, sums_of, wide_enough
from aprgen.passes.gaussians import LogDensity, coded_density
from aprgen.passes.ranges import Method, covering, rounded_up, spans
from aprgen.passes.tree_sums import FUNCTION_ENTRIES, Totals, integer_totals, threshold_between
from aprgen.program import Array, Builder, Codes, Op, Program, Table

CHANNEL_FLOOR = 1 / 8  # of the widest channel's range, at least that is every channel's: rare values do not saturate
SAME_SCALE = 1e-5  # relative; scales are rounded to float32
CURVES = frozenset({"sigmoid", "tanh", "gelu", "leaky_relu"})
SIGMOID_REACH = 17.0  # sigmoid(17) rounds to 1 in Q15
BITS: dict[Code, int] = {"i8": 8, "i16": 16, "i32": 32}
LARGEST_ENTRIES_LOG = 9  # of a curve's table
CURVE_ERROR: dict[Code, float] = {"i8": 2.0**-10, "i16": 2.0**-14, "i32": 2.0**-14}  # of its largest value
LARGEST_CURVE_SHIFT = 14
CURVE_SAMPLES = 1 << 16  # totals at which a curve's error is measured
COARSEST: dict[Code, float] = {"i8": 16.0, "i16": 1.0}  # see multipliers: 10 bits where weights have 8


@dataclass(frozen=True, eq=False)
class Quantised:
    """The new Program, and the kernels that still compute in floats, in order.

    exact_floats: what is computed from floats is what it was; only codes can lose anything.
    """

    program: Program
    in_floats: tuple[str, ...]
    exact_floats: bool = False


@dataclass(eq=False)
class _Work:
    """The pass at work: the old Program, what rows gave for each value, and what is there of the new Program."""

    program: Program
    observed: dict[int, Array]
    element: Code
    method: Method
    builder: Builder
    coded: dict[int, Coded]
    floats: dict[int, int]
    done: set[int]  # steps that another step has taken in
    in_floats: list[str]
    functions: dict[int, tuple[Coded, Map]]  # of totals, by value; they keep or turn the order
    notes: list[str]

    def readers(self, value: int) -> tuple[int, ...]:
        steps = self.program.needed(self.program.scores, self.program.label)
        return tuple(index for index in steps if value in self.program.steps[index].inputs)


def has_integer_form(program: Program) -> bool:
    """Whether there is anything to quantise; splits and votes of trees are exact as they are."""
    steps = [program.steps[index] for index in program.needed(program.scores, program.label)]
    return any(isinstance(step.op, TreeSum) for step in steps) or needs_rows(program)


def needs_rows(program: Program) -> bool:
    """Whether scales are taken from rows; those of sums of leaves are taken from the leaves."""
    steps = [program.steps[index] for index in program.needed(program.scores, program.label)]
    return any(
        isinstance(step.op, Dense | SquaredDistance | Gauss)
        or (isinstance(step.op, Neighbours) and _counts_votes(step.op))
        or (isinstance(step.op, Map) and step.inputs == (0,) and _is_affine(step.op))
        for step in steps
    )


def quantise(program: Program, rows: Array, element: Code, method: Method = "minmax") -> Quantised:
    """The Program with integer ops where they exist; element: "i8" or "i16", of inputs, weights and hidden values.

    rows: float32 [rows, n_features], finite, what the model will see. A Program without any integer form comes back
    as it was.
    """
    steps = program.needed(program.scores, program.label)
    observed = program.evaluate(rows, {0, *(index + 1 for index in steps)})
    work = _Work(program, observed, element, method, Builder(program.source), {}, {0: 0}, set(), [], {}, [])
    for index in steps:
        if index not in work.done:
            _rewrite(work, index)
    if not work.coded:
        return Quantised(program, ())
    scores = _as_floats(work, program.scores)
    label = None if program.label is None else work.floats[program.label]
    made = work.builder.build(scores, label, program.n_classes)
    made = replace(made, codes=_codes(work), notes=(*program.notes, *work.notes))
    return Quantised(made, tuple(work.in_floats))


def _codes(work: _Work) -> Codes | None:
    """The integer interface: only when nothing between the codes of x and those of the scores is in floats."""
    x, scores = work.coded.get(0), work.coded.get(work.program.scores)
    if x is None or scores is None or x.value == scores.value or work.in_floats:
        return None
    parts = (x.scale, x.offset, scores.scale, scores.offset)
    x_scale, x_offset, scale, offset = (tuple(float(np.float32(n)) for n in part) for part in parts)
    label = None if work.program.label is None else work.floats[work.program.label]
    return Codes(x.value, scores.value, label, x_scale, x_offset, scale, offset)


def _rewrite(work: _Work, index: int) -> None:
    step = work.program.steps[index]
    value = index + 1
    match step.op:
        case Dense() as op:
            work.coded[value] = _dense(work, op, step.inputs[0], value)
        case SquaredDistance() as op:
            work.coded[value] = _distance(work, op, step.inputs[0])
        case Neighbours() as op if _counts_votes(op):
            work.coded[value] = _neighbours(work, op, step.inputs[0])
        case Normalise(floor=None) if _is_votes(work, step.inputs[0]):
            votes = work.coded[step.inputs[0]]
            work.coded[value] = replace(votes, scale=votes.scale / votes.limit)
        case Gauss() as op if (density := _density(op)).is_finite:
            _gauss(work, density, step.inputs[0], value)
        case TreeSum() as op if (totals := integer_totals(op, BITS[work.element])) is not None:
            work.coded[value] = _sum_of_leaves(work, totals, _as_floats(work, step.inputs[0]))
        case Map() as op if step.inputs[0] in work.coded and _is_affine(op):
            work.coded[value] = _affine(work.coded[step.inputs[0]], op)
        case Map() as op if (total := work.coded.get(step.inputs[0])) is not None and total.reach is not None:
            _function(work, op, total, value)
        case Threshold() as op if step.inputs[0] in work.functions:
            work.floats[value] = _decision_before(work, op, step.inputs[0])
        case Map() as op if step.inputs[0] == 0 and _is_affine(op) and not _feeds_trees(work, value):
            work.coded[value] = _affine(_input(work), op)
        case Softmax() if _can_be_compared(work, step.inputs[0]):
            work.coded[value] = _powers(work, work.coded[step.inputs[0]])
        case Argmax(element="f32") | Argmin(element="f32") | Threshold() if _can_be_compared(work, step.inputs[0]):
            work.floats[value] = _decision(work, step.op, step.inputs[0])
        case op:
            inputs = tuple(_as_floats(work, i) for i in step.inputs)
            work.floats[value] = work.builder.add(op, *inputs)
            work.in_floats.append(op.kernel)


def _feeds_trees(work: _Work, value: int) -> bool:
    """Trees keep exact inputs."""
    return any(isinstance(work.program.steps[index].op, TreeOp) for index in work.readers(value))


def _can_be_compared(work: _Work, value: int) -> bool:
    """Whether the order of the codes is that of the values."""
    coded = work.coded.get(value)
    return coded is not None and coded.is_uniform and bool(coded.scale[0] > 0)


def _as_floats(work: _Work, value: int) -> int:
    """The value in floats, dequantised where it is in codes; labels are what they are."""
    if value not in work.floats:
        coded = work.coded[value]
        alike = coded.is_uniform
        scale = coded.scale[:1] if alike else coded.scale
        offset = coded.offset[:1] if alike else coded.offset
        table = Table(offset.astype(np.float32)) if bool(np.any(offset)) else None
        op = Dequantise(coded.element, coded.size, Table(scale.astype(np.float32)), table)
        work.floats[value] = work.builder.add(op, coded.value)
    return work.floats[value]


def _input(work: _Work) -> Coded:
    """The input as codes, made once, with room for all that it is compared with: one scale for all features when
    distances between them count, else one for each."""
    if 0 in work.coded:
        return work.coded[0]
    limit = LARGEST[work.element]
    low, high = spans(work.observed[0], work.method, limit)
    compared = tuple(_compared(work, limit))
    for op, scaled in compared:
        points = (op.centre if isinstance(op, Gauss) else op.points).data.astype(np.float64)
        points = (points - scaled.offset) / scaled.scale
        low, high = np.minimum(low, points.min(axis=0)), np.maximum(high, points.max(axis=0))
    factor = next((np.abs(scaled.scale) for op, scaled in compared if not isinstance(op, Gauss)), None)
    inverse, zero = covering(low, high, limit, factor)
    scale = 1 / inverse.astype(np.float64)
    one = bool(np.all(inverse == inverse[0]) and np.all(zero == zero[0]))
    tables = Table(inverse[:1] if one else inverse), Table(zero[:1] if one else zero)
    value = work.builder.add(Quantise(work.element, *tables, len(scale)), 0)
    work.coded[0] = Coded(value, work.element, scale, zero * scale, limit)
    return work.coded[0]


def _compared(work: _Work, limit: int) -> Iterator[tuple[SquaredDistance | Neighbours | Gauss, Coded]]:
    """Ops with stored points that read the input, or what a scaler makes of it, and the scaler as scale and offset."""
    n = work.program.n_features
    row = Coded(0, work.element, np.ones(n), np.zeros(n), limit)
    seen: list[tuple[int, Coded]] = [(0, row)]
    while seen:
        value, coded = seen.pop()
        for index in work.readers(value):
            match work.program.steps[index].op:
                case SquaredDistance() | Neighbours() | Gauss() as op:
                    yield op, coded
                case Map() as op if _is_affine(op):
                    scaled = _affine(coded, op)
                    seen += [(index + 1, scaled)] if bool(np.all(scaled.scale != 0)) else []


# Dense: weights by row, sums within 32 bits.


def _dense(work: _Work, op: Dense, source: int, value: int) -> Coded:
    """Codes of a dense op, with the activation behind it where that is one of its only reader's."""
    x = _input(work) if source == 0 else _coded_from(work, source)
    reader = _only_reader(work, value)
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
    if _is_result(work, value):
        return _outcome(work, op, x)
    return _hidden(work, op, x, value)


def _alike(work: _Work, source: int, points: Array) -> Coded:
    """A value as codes of one scale for all elements, which distances need."""
    x = _input(work) if source == 0 else work.coded.get(source)
    if x is not None and x.element in ("i8", "i16") and bool(np.all(np.abs(x.scale / x.scale[0] - 1) < SAME_SCALE)):
        return x
    _as_floats(work, source)
    return _coded_from(replace(work, coded={}), source, points.astype(np.float64))


def _with_room(work: _Work, source: int, points: Doubles) -> Coded:
    """A value as codes that reach all points."""
    x = _input(work) if source == 0 else _coded_from(work, source)
    reach = np.abs((points - x.offset) / x.scale).max()
    if reach <= x.limit + 1:
        return x
    _as_floats(work, source)
    return _coded_from(replace(work, coded={}), source, points)


def _coded_from(work: _Work, source: int, points: Doubles | None = None) -> Coded:
    """A hidden value as codes: it is there, or it is made from floats; with one scale where it is compared with
    points."""
    if source not in work.coded:
        limit = LARGEST[work.element]
        low, high = spans(work.observed[source], work.method, limit)
        if points is not None:
            reach = np.maximum(np.abs(points).max(), np.maximum(np.abs(low), np.abs(high)).max())
            low, high = np.full_like(low, -reach), np.full_like(high, reach)
        scale = rounded_up(np.maximum(np.abs(low), np.abs(high)) / limit)
        inverse = (1 / scale).astype(np.float32)
        zero = Table(np.zeros(len(scale), np.int32))
        made = work.builder.add(Quantise(work.element, Table(inverse), zero, len(scale)), _as_floats(work, source))
        return Coded(made, work.element, 1 / inverse.astype(np.float64), np.zeros(len(scale)), limit)
    return work.coded[source]


def _only_reader(work: _Work, value: int) -> int | None:
    readers = work.readers(value)
    return readers[0] if len(readers) == 1 and value not in (work.program.scores, work.program.label) else None


def _is_result(work: _Work, value: int) -> bool:
    """Whether only the end of the Program reads the value: its scores, a softmax or a decision."""
    ends = (Softmax, Argmax, Argmin, Threshold)
    readers = [work.program.steps[index].op for index in work.readers(value)]
    return value == work.program.scores or any(isinstance(reader, ends) for reader in readers)


def _emitted(work: _Work, x: Coded, sums: Sums, element: Code, scale: Doubles, offset: Doubles) -> int:
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


def _sum(work: _Work, x: Coded, sums: Sums) -> int:
    """The step that adds up one row of weights; its codes are in units of sums.scale."""
    largest = int(sums.largest[0])
    assert largest <= LARGEST["i32"]  # see sums_of
    return work.builder.add(IntegerSum(x.element, largest, Table(sums.weight[0]), int(sums.bias[0])), x.value)


def _hidden(work: _Work, op: Dense, x: Coded, observed: int) -> Coded:
    """Codes for each channel's own range, of 16 bits where they are results; ranges without negative values use all
    codes, too."""
    element: Code = "i16" if _is_result(work, observed) else work.element
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


def _outcome(work: _Work, op: Dense, x: Coded) -> Coded:
    """Results in 32 bits with one scale, so that they can be compared; no code saturates. One alone is its sum."""
    sums = sums_of(op, x, LARGEST[work.element])
    if op.rows == 1:
        return Coded(_sum(work, x, sums), "i32", sums.scale, np.zeros(1), LARGEST["i32"])
    scale = np.full(op.rows, float(wide_enough(np.zeros(op.rows), sums).max()))
    value = _emitted(work, x, sums, "i32", scale, np.zeros(op.rows))
    return Coded(value, "i32", scale, np.zeros(op.rows), LARGEST["i32"])


def _curve(work: _Work, op: Dense, x: Coded, before: int, stage: Stage, after: int) -> Coded:
    """A dense op and a function of each sum: from a table over codes with one scale for all channels."""
    sums = sums_of(op, x, LARGEST[work.element])
    is_end = _is_result(work, after)
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


# What needs no instruction, or ends the Program.


def _is_affine(op: Map) -> bool:
    return all(stage.verb in ("add", "sub", "mul", "div") for stage in op.stages)


def _affine(x: Coded, op: Map) -> Coded:
    """Other scales and offsets for the same codes: a scaler costs nothing."""
    scale, offset = x.scale, x.offset
    for stage in op.stages:
        operand = np.asarray(stage.constant if stage.each is None else stage.each.data, np.float64)
        match stage.verb:
            case "add":
                offset = offset + operand
            case "sub":
                offset = offset - operand
            case "mul":
                scale, offset = scale * operand, offset * operand
            case _:
                scale, offset = scale / operand, offset / operand
    return replace(x, scale=scale, offset=offset)


# Distances to stored points, and Gaussians around them.


def _distance(work: _Work, op: SquaredDistance, source: int) -> Coded:
    x = _alike(work, source, op.points.data)
    points, shift = _points(op.points, x, "euclidean")
    value = work.builder.add(IntegerSquaredDistance(x.element, points, shift), x.value)
    n_points = len(op.points.data)
    scale = np.full(n_points, float(x.scale[0]) ** 2 * 2.0**shift)
    return Coded(value, "i32", scale, np.zeros(n_points), LARGEST["i32"])


def _points(table: Table, x: Coded, metric: IntegerMetric) -> tuple[Table, int]:
    """Stored points in the codes of x, and the shift that keeps distances below 2^31 for any codes."""
    codes = np.clip(np.rint((table.data.astype(np.float64) - x.offset) / x.scale), -x.limit, x.limit)
    furthest = np.abs(codes) + x.furthest
    widest = float((furthest if metric == "manhattan" else np.square(furthest)).sum(axis=1).max())
    shift = max(0, math.frexp(widest)[1] - 31)
    return Table(codes.astype(np.int8 if x.element == "i8" else np.int16)), shift


def _counts_votes(op: Neighbours) -> bool:
    """Votes that are counted are exact; powers and weights by distance stay in floats."""
    return op.metric in ("euclidean", "manhattan") and not op.weighted


def _neighbours(work: _Work, op: Neighbours, source: int) -> Coded:
    """Votes; the limit of their codes is k, which they add up to."""
    x = _alike(work, source, op.points.data)
    metric = cast(IntegerMetric, op.metric)
    points, shift = _points(op.points, x, metric)
    made = IntegerNeighbours(x.element, metric, op.k, points, op.classes, op.n_classes, shift)
    value = work.builder.add(made, x.value)
    return Coded(value, "i16", np.ones(op.n_classes), np.zeros(op.n_classes), op.k)


def _is_votes(work: _Work, source: int) -> bool:
    return source in work.coded and isinstance(work.program.steps[source - 1].op, Neighbours)


def _density(op: Gauss) -> LogDensity:
    centre, divisor = op.centre.data.astype(np.float64), op.divisor.data.astype(np.float64)
    constant = np.zeros(len(centre)) if op.start is None else op.start.data.astype(np.float64)
    if op.offset is not None:
        constant = constant + np.array([math.fsum(row.tolist()) for row in op.offset.data.astype(np.float64)])
    return LogDensity(centre, divisor, constant)


def _gauss(work: _Work, density: LogDensity, source: int, value: int) -> None:
    """Log densities; with what makes shares of them (a mixture's exp, weights and sum) where only that reads them."""
    shares = _shares(work, density, value)
    density, end, floor = (density, value, None) if shares is None else shares
    x = _with_room(work, source, density.centre)
    made = coded_density(density, x.element, x.scale, x.offset, work.observed[source].astype(np.float64))
    n = len(density.constant)
    codes = work.builder.add(made.op, x.value)
    coded = Coded(codes, "i32", np.full(n, made.scale), np.full(n, made.offset), LARGEST["i32"])
    work.coded[end] = coded
    if floor is not None:
        least = math.floor((math.log(floor) - made.offset) / made.scale)
        work.coded[end] = _powers(work, coded, max(least, 1 - LARGEST["i32"]))
        work.done.update((value, end - 1))


def _shares(work: _Work, density: LogDensity, value: int) -> tuple[LogDensity, int, float] | None:
    """exp(L * factor) times constants, normalised, as one density; the value that holds it; the floor of its sum."""
    reader = _only_reader(work, value)
    op = None if reader is None else work.program.steps[reader].op
    if reader is None or not isinstance(op, Map) or [stage.verb for stage in op.stages[:2]] != ["mul", "exp"]:
        return None
    end = _only_reader(work, reader + 1)
    last = None if end is None else work.program.steps[end].op
    factor = op.stages[0].constant
    rest = op.stages[2:]
    if end is None or not isinstance(last, Normalise) or not last.floor or factor is None or factor <= 0:
        return None
    if reader != value or end != reader + 1 or any(stage.verb not in ("mul", "div") for stage in rest):
        return None
    constant = density.constant * factor
    with np.errstate(all="ignore"):
        for stage in rest:
            log = np.log(np.asarray(stage.constant if stage.each is None else stage.each.data, np.float64))
            constant = constant + (log if stage.verb == "mul" else -log)
    found = LogDensity(density.centre, density.divisor / factor, constant)
    return (found, end + 1, last.floor) if found.is_finite else None


def softmax_of_codes(element: Code, size: int, scale: float, least: int | None = None) -> IntegerSoftmax:
    """A softmax of codes of one scale. A power's exponent in Q16 is (distance >> coarse) * step / 2^shift; steps of 8
    of them are fine enough, and keep the product within 32 bits."""
    factor = scale * math.log2(math.e) * 65536
    coarse = min(31, max(0, math.ceil(math.log2(8 / factor))))
    mantissa, exponent = math.frexp(math.ldexp(factor, coarse))
    shift = min(11, max(0, 15 - exponent))
    step = max(1, min(round(math.ldexp(mantissa, exponent + shift)), SMALLEST_POWER))
    reach = (SMALLEST_POWER << shift) // step + 1
    return IntegerSoftmax(element, size, coarse, step, shift, reach, exp2_table(), factor / 65536, least)


def _powers(work: _Work, x: Coded, least: int | None = None) -> Coded:
    value = work.builder.add(softmax_of_codes(x.element, x.size, float(x.scale[0]), least), x.value)
    return Coded(value, "i16", np.full(x.size, 2.0**-15), np.zeros(x.size), LARGEST["i16"])


def _decision(work: _Work, op: Op, source: int) -> int:
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


def _first_above(work: _Work, x: Coded, limit: int) -> tuple[int, Literal["i8", "i16", "i32"], int]:
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


# What leaves of trees add up to.


def _sum_of_leaves(work: _Work, totals: Totals, rows: int) -> Coded:
    """The total, which no row takes out of its reach."""
    value = work.builder.add(totals.op, rows)
    trees = f"what the leaves of {totals.op.n_trees} trees add up to"
    if totals.bound > 0:
        work.notes.append(f"{trees} is within {totals.bound:.3g} of the sum in floats, for every row")
    else:
        work.notes.append(f"{trees} is the sum in floats: {totals.proof}")
    scale, offset = np.array([totals.unit]), np.array([totals.start])
    return Coded(value, "i32", scale, offset, LARGEST["i32"], (totals.low, totals.high))


def _of_totals(op: Map, x: Coded, totals: Array) -> Array:
    """The function of the real values of totals, in floats."""
    real = (totals.astype(np.float64) * x.scale[0] + x.offset[0]).astype(np.float32)
    with np.errstate(all="ignore"):
        return op.evaluate(real.reshape(-1, 1))[:, 0].astype(np.float64)


def _function(work: _Work, op: Map, x: Coded, value: int) -> None:
    """A function of a total: its values by total when those are few, else a curve, as long as it needs to be."""
    assert x.reach is not None
    low, high = x.reach
    totals = np.arange(low, high + 1, 1 + (high - low) // CURVE_SAMPLES)
    exact = _of_totals(op, x, totals)
    if not np.isfinite(exact).all():
        work.floats[value] = work.builder.add(op, _as_floats(work, work.program.steps[value - 1].inputs[0]))
        work.in_floats.append(op.kernel)
        return
    steps = np.diff(exact)
    if np.all(steps >= 0) or np.all(steps <= 0):
        work.functions[value] = (x, op)
    if low == 0 and high < FUNCTION_ENTRIES:
        table = Table(exact.astype(np.float32))
        work.floats[value] = work.builder.add(Lookup("i32", 1, 1, table), x.value)
        return
    unit = max(float(np.abs(exact).max()), 1e-30) / LARGEST["i16"]
    for entries in range(LARGEST_ENTRIES_LOG + 1):
        made = _curve_of_total(op, x, unit, entries)
        error = float(np.abs(made.evaluate(totals.reshape(-1, 1))[:, 0] * unit - exact).max())
        if error <= CURVE_ERROR[work.element] * unit * LARGEST["i16"]:
            break
    compared = "every total" if len(totals) == high - low + 1 else f"{len(totals)} totals that were compared"
    work.notes.append(f"a curve is within {error:.3g} of the function of it, for {compared}")
    work.coded[value] = Coded(work.builder.add(made, x.value), "i16", np.array([unit]), np.zeros(1), LARGEST["i16"])


def _curve_of_total(op: Map, x: Coded, unit: float, entries: int) -> Curve:
    """About 2^entries straight lines."""
    assert x.reach is not None
    low, high = x.reach
    between = max((high - low).bit_length() - entries, 0)
    drop = max(0, between - LARGEST_CURVE_SHIFT)
    at = low + (np.arange(((high - low) >> between) + 2, dtype=np.int64) << between)
    limit = LARGEST["i16"]
    codes = np.clip(np.rint(np.nan_to_num(_of_totals(op, x, at)) / unit), -limit, limit)
    return Curve(low, high, drop, between - drop, Table(codes.astype(np.int16)))


def _decision_before(work: _Work, op: Threshold, source: int) -> int:
    """A label from the total itself: the function behind it keeps or turns the order."""
    x, function = work.functions[source]
    assert x.reach is not None

    def label(total: int) -> int:
        value = _of_totals(function, x, np.array([total])).astype(np.float32)
        return int(op.evaluate(value.reshape(1, 1))[0, 0])

    return work.builder.add(threshold_between(*x.reach, label), x.value)
