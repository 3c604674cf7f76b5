"""Quantise pass: a Program in floats becomes one in integer codes, with scales taken from rows.

Weights are symmetric with a scale for each row; inputs and hidden values have a scale and an offset for each element,
since the next dense op takes both into its weights and bias for nothing. Sums are proved to stay within 32 bits. Ops
without an integer form stay in floats, and trees stay as they are: they are exact (Jacob et al. 2018, arXiv:1712.05877,
section 2, with scales for each element). Every scale is computed with correctly rounded sums: same rows, same codes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.decide import Argmax, Argmin, IntegerThreshold, Threshold
from aprgen.ops.dense import Dense
from aprgen.ops.distance import SquaredDistance
from aprgen.ops.elementwise import Map, Stage
from aprgen.ops.integer import (
    LARGEST,
    LARGEST_ZERO,
    SMALLEST_POWER,
    Code,
    Dequantise,
    IntegerDense,
    IntegerLookup,
    IntegerSoftmax,
    IntegerSquaredDistance,
    Interpolate,
    Quantise,
    exp2_table,
)
from aprgen.ops.normalise import Softmax
from aprgen.program import Array, Builder, Codes, Op, Program, Table

Method = Literal["minmax", "percentile", "mse"]
METHODS: tuple[Method, ...] = ("minmax", "percentile", "mse")

_Doubles = NDArray[np.float64]

PERCENTILE = 99.9  # of the values of an element; "percentile" lets the others saturate
MSE_STEPS = 24  # ranges that "mse" tries, down to a quarter of the largest
CHANNEL_FLOOR = 1 / 8  # of the widest channel's range, at least that is every channel's: rare values do not saturate
CURVES = frozenset({"sigmoid", "tanh", "gelu", "leaky_relu"})
SIGMOID_REACH = 17.0  # sigmoid(17) rounds to 1 in Q15
COARSEST: dict[Code, float] = {"i8": 16.0, "i16": 1.0, "i32": 1.0}  # see _multipliers: 10 bits for codes of 8
LARGEST_OFFSET = 1 << 29  # of what a sum carries so that its codes begin at the lowest


@dataclass(frozen=True, eq=False)
class Quantised:
    """The new Program, and the kernels that still compute in floats, in order."""

    program: Program
    in_floats: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Coded:
    """A value in codes: element i is scale_i * code + offset_i, and |code| <= limit.

    Sums are proved for every number that the type holds, so that a caller's own codes can be any.
    """

    value: int
    element: Code
    scale: _Doubles
    offset: _Doubles
    limit: int

    @property
    def size(self) -> int:
        return len(self.scale)

    @property
    def furthest(self) -> int:
        """The largest |code| that the type holds."""
        return self.limit + 1

    @property
    def is_uniform(self) -> bool:
        return bool(np.all(self.scale == self.scale[0]) and np.all(self.offset == self.offset[0]))


@dataclass(eq=False)
class _Work:
    """The pass at work: the old Program, what rows gave for each value, and what is there of the new Program."""

    program: Program
    observed: dict[int, Array]
    element: Code
    method: Method
    builder: Builder
    coded: dict[int, _Coded]
    floats: dict[int, int]
    done: set[int]  # steps that another step has taken in
    in_floats: list[str]

    def readers(self, value: int) -> tuple[int, ...]:
        steps = self.program.needed(self.program.scores, self.program.label)
        return tuple(index for index in steps if value in self.program.steps[index].inputs)


def has_integer_form(program: Program) -> bool:
    """Whether there is anything to quantise; trees are exact as they are."""
    steps = [program.steps[index] for index in program.needed(program.scores, program.label)]
    return any(
        isinstance(step.op, Dense | SquaredDistance)
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
    work = _Work(program, observed, element, method, Builder(program.source), {}, {0: 0}, set(), [])
    for index in steps:
        if index not in work.done:
            _rewrite(work, index)
    if not work.coded:
        return Quantised(program, ())
    scores = _as_floats(work, program.scores)
    label = None if program.label is None else work.floats[program.label]
    made = work.builder.build(scores, label, program.n_classes)
    made = replace(made, codes=_codes(work))
    return Quantised(made, tuple(work.in_floats))


def _codes(work: _Work) -> Codes | None:
    """The integer interface: only when nothing between the codes of x and those of the scores is in floats."""
    x, scores = work.coded.get(0), work.coded.get(work.program.scores)
    if x is None or scores is None or x.value == scores.value or work.in_floats:
        return None
    numbers = (tuple(float(np.float32(n)) for n in part) for part in (x.scale, x.offset, scores.scale, scores.offset))
    return Codes(x.value, scores.value, *numbers)


def _rewrite(work: _Work, index: int) -> None:
    step = work.program.steps[index]
    value = index + 1
    match step.op:
        case Dense() as op:
            work.coded[value] = _dense(work, op, step.inputs[0], value)
        case SquaredDistance() as op:
            work.coded[value] = _distance(work, op, step.inputs[0])
        case Map() as op if step.inputs[0] in work.coded and _is_affine(op):
            work.coded[value] = _affine(work.coded[step.inputs[0]], op)
        case Map() as op if step.inputs[0] == 0 and _is_affine(op):
            work.coded[value] = _affine(_input(work), op)
        case Softmax() as op if _can_be_compared(work, step.inputs[0]):
            work.coded[value] = _softmax(work, op, work.coded[step.inputs[0]])
        case Argmax(element="f32") | Argmin(element="f32") | Threshold() if _can_be_compared(work, step.inputs[0]):
            work.floats[value] = _decision(work, step.op, step.inputs[0])
        case op:
            inputs = tuple(_as_floats(work, i) for i in step.inputs)
            work.floats[value] = work.builder.add(op, *inputs)
            work.in_floats.append(op.kernel)


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


# Ranges, from what rows gave.


def _spans(values: Array, method: Method, limit: int) -> tuple[_Doubles, _Doubles]:
    """Lowest and highest value of each element that codes are made for."""
    columns = values.astype(np.float64)
    low, high = columns.min(axis=0), columns.max(axis=0)
    if method == "percentile":
        low, high = np.percentile(columns, [100 - PERCENTILE, PERCENTILE], axis=0)
    elif method == "mse":
        pairs = [_least_error(column, limit) for column in columns.T]
        low, high = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])
    return low, high


def _least_error(column: _Doubles, limit: int) -> tuple[float, float]:
    """The range whose codes are closest to the values, of ranges shrunk towards their centre."""
    low, high = float(column.min()), float(column.max())
    centre, half = (low + high) / 2, (high - low) / 2
    best, error = half, math.inf
    for number in range(MSE_STEPS if half > 0 else 0):
        tried = half * (1 - 0.75 * number / MSE_STEPS)
        step = tried / limit
        codes = np.clip(np.rint((column - centre) / step), -limit, limit)
        found = math.fsum(((codes * step + centre - column) ** 2).tolist())
        if found < error:
            best, error = tried, found
    return centre - best, centre + best


def _rounded_up(values: _Doubles) -> _Doubles:
    """No scale is 0 or too small for float32."""
    return np.maximum(values, 1e-30)


def _input(work: _Work, points: Array | None = None) -> _Coded:
    """The input as codes, made once: one scale for all features when distances between them count, with room for the
    points; else one for each."""
    if 0 in work.coded:
        return work.coded[0]
    limit = LARGEST[work.element]
    low, high = _spans(work.observed[0], work.method, limit)
    alike = any(isinstance(work.program.steps[i].op, SquaredDistance) for i in work.readers(0))
    if points is not None:
        low, high = np.minimum(low, points.min(axis=0)), np.maximum(high, points.max(axis=0))
    width = np.where(high > low, high - low, 2 * np.maximum(np.abs(high), np.where(high == 0, 1.0, 0.0)))
    scale = np.maximum(_rounded_up(width / (2 * limit)), np.abs(low + high) / (2 * LARGEST_ZERO))
    scale = np.full_like(scale, scale.max()) if alike else scale
    inverse = (1 / scale).astype(np.float32)
    scale = 1 / inverse.astype(np.float64)
    zero = np.where(high > low, np.rint((low + high) / 2 / scale), 0.0).astype(np.int32)
    one = bool(np.all(inverse == inverse[0]) and np.all(zero == zero[0]))
    tables = Table(inverse[:1] if one else inverse), Table(zero[:1] if one else zero)
    value = work.builder.add(Quantise(work.element, *tables, len(scale), limit), 0)
    work.coded[0] = _Coded(value, work.element, scale, zero * scale, limit)
    return work.coded[0]


# Dense: weights by row, sums within 32 bits.


@dataclass(frozen=True, eq=False)
class _Sums:
    """Integer weights and bias; acc * scale_r is the real sum. largest: of |acc| of each row, for all x."""

    weight: Array
    bias: _Doubles
    scale: _Doubles
    largest: _Doubles


def _dense(work: _Work, op: Dense, source: int, value: int) -> _Coded:
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


def _coded_from(work: _Work, source: int) -> _Coded:
    """A hidden value as codes: it is there, or it is made from floats."""
    if source not in work.coded:
        limit = LARGEST[work.element]
        low, high = _spans(work.observed[source], work.method, limit)
        scale = _rounded_up(np.maximum(np.abs(low), np.abs(high)) / limit)
        inverse = (1 / scale).astype(np.float32)
        zero = Table(np.zeros(len(scale), np.int32))
        made = work.builder.add(
            Quantise(work.element, Table(inverse), zero, len(scale), limit), _as_floats(work, source)
        )
        return _Coded(made, work.element, 1 / inverse.astype(np.float64), np.zeros(len(scale)), limit)
    return work.coded[source]


def _only_reader(work: _Work, value: int) -> int | None:
    readers = work.readers(value)
    return readers[0] if len(readers) == 1 and value not in (work.program.scores, work.program.label) else None


def _is_result(work: _Work, value: int) -> bool:
    """Whether only the end of the Program reads the value: its scores, a softmax or a decision."""
    ends = (Softmax, Argmax, Argmin, Threshold)
    readers = [work.program.steps[index].op for index in work.readers(value)]
    return value == work.program.scores or any(isinstance(reader, ends) for reader in readers)


def _sums(op: Dense, x: _Coded, limit: int, least: _Doubles | float = 0.0) -> _Sums:
    """Weights as large as fits: a row's largest within `limit`, and its sum within 32 bits for every x.

    least: of the scales. Rounding adds at most half a code to each weight.
    """
    weight = op.weight.data.astype(np.float64) * x.scale
    bias = np.zeros(op.rows) if op.bias is None else op.bias.data.astype(np.float64)
    moved = [math.fsum((row * x.offset).tolist()) for row in op.weight.data.astype(np.float64)]
    bias = bias + np.array(moved)
    sizes = np.array([math.fsum(np.abs(row).tolist()) for row in weight])
    room = LARGEST["i32"] - LARGEST_OFFSET - (op.cols * x.furthest) // 2 - (1 << 16)
    scale = np.maximum(np.abs(weight).max(axis=1) / limit, (sizes * x.furthest + np.abs(bias)) / room)
    scale = _rounded_up(np.maximum(scale, least))
    codes = np.rint(weight / scale[:, None])
    offsets = np.rint(bias / scale)
    kind = np.int8 if limit == LARGEST["i8"] else np.int16
    return _Sums(codes.astype(kind), offsets, scale, np.abs(codes).sum(axis=1) * x.furthest + np.abs(offsets))


def _emitted(work: _Work, x: _Coded, sums: _Sums, element: Code, scale: _Doubles, offset: _Doubles) -> int:
    """The dense step whose codes are (acc * sums.scale - offset) / scale."""
    shifted = np.rint(offset / sums.scale)
    bias = sums.bias - shifted
    largest = int((sums.largest + np.abs(shifted)).max())
    assert largest <= LARGEST["i32"]  # see _sums and LARGEST_OFFSET
    multiplier, shift = _multipliers(sums.scale / scale, COARSEST[element])
    op = IntegerDense(
        x.element, element, largest, Table(sums.weight), Table(bias.astype(np.int32)), Table(multiplier), Table(shift)
    )
    return work.builder.add(op, x.value)


def _multipliers(ratio: _Doubles, coarsest: float) -> tuple[Array, Array]:
    """ratio < 1/4 as multiplier / 2^(16 + shift), the multiplier below 2^15.

    One shift for all rows where the smallest ratio is no more than `coarsest` times below the largest; else one for
    each, with a multiplier of at least 2^14 unless the shift reaches 31.
    """
    alike = ratio.max() <= coarsest * ratio.min()
    _, exponent = np.frexp(ratio.max(keepdims=True) if alike else ratio)  # ratio = m * 2^exponent, m in [0.5, 1)
    shift = np.clip(-1 - exponent, 1, 31)
    multiplier = np.minimum(np.rint(np.ldexp(ratio, 16 + shift)), LARGEST["i16"])
    return multiplier.astype(np.int16), shift.astype(np.uint8)


def _wide_enough(scale: _Doubles, sums: _Sums) -> _Doubles:
    """Codes no finer than four units of their sum: every ratio is below 1/4, and nothing is lost that was there."""
    return np.maximum(scale, 4.01 * sums.scale)


def _hidden(work: _Work, op: Dense, x: _Coded, observed: int) -> _Coded:
    """Codes for each channel's own range, of 16 bits where they are results; ranges without negative values use all
    codes, too."""
    element: Code = "i16" if _is_result(work, observed) else work.element
    limit = LARGEST[element]
    low, high = _spans(work.observed[observed], work.method, limit)
    positive = bool(np.all(low >= 0))
    reach = (high if positive else np.maximum(np.abs(low), np.abs(high))) / (2 * limit + 1 if positive else limit)
    scale = _rounded_up(np.maximum(reach, reach.max() * CHANNEL_FLOOR))
    lowest = -limit - 1
    sums = _sums(op, x, LARGEST[work.element], least=-lowest * scale / LARGEST_OFFSET if positive else 0.0)
    scale = _wide_enough(scale, sums)
    offset = -lowest * scale if positive else np.zeros(op.rows)
    value = _emitted(work, x, sums, element, scale, offset)
    return _Coded(value, element, scale, offset, limit)


def _outcome(work: _Work, op: Dense, x: _Coded) -> _Coded:
    """Results in 32 bits with one scale, so that they can be compared; no code saturates."""
    sums = _sums(op, x, LARGEST[work.element])
    scale = np.full(op.rows, float(_wide_enough(np.zeros(op.rows), sums).max()))
    value = _emitted(work, x, sums, "i32", scale, np.zeros(op.rows))
    return _Coded(value, "i32", scale, np.zeros(op.rows), LARGEST["i32"])


def _curve(work: _Work, op: Dense, x: _Coded, before: int, stage: Stage, after: int) -> _Coded:
    """A dense op and a function of each sum: from a table over codes with one scale for all channels."""
    sums = _sums(op, x, LARGEST[work.element])
    is_end = _is_result(work, after)
    element: Code = "i16" if is_end else work.element
    limit = LARGEST[element]
    reach = float(np.abs(np.array(_spans(work.observed[before], work.method, limit))).max())
    reach = SIGMOID_REACH if is_end and stage.verb == "sigmoid" else max(reach, 1e-30)
    scale = np.full(op.rows, float(_wide_enough(np.full(op.rows, reach / limit), sums).max()))
    at = _emitted(work, x, sums, element, scale, np.zeros(op.rows))
    codes = np.arange(-128, 128) if element == "i8" else np.minimum(np.arange(-32768, 32769, 128), 32767)
    real = (codes * scale[0]).astype(np.float32)
    with np.errstate(all="ignore"):
        curve = np.asarray(stage.apply(real), np.float64)
    unit = 2.0**-15 if is_end and stage.verb == "sigmoid" else max(float(np.abs(curve).max()), 1e-30) / limit
    table = np.clip(np.rint(curve / unit), -limit, limit)
    made: Op
    if element == "i8":
        made = IntegerLookup(op.rows, Table(table.astype(np.int8)))
    else:
        made = Interpolate(op.rows, Table(table.astype(np.int16)))
    return _Coded(work.builder.add(made, at), element, np.full(op.rows, unit), np.zeros(op.rows), limit)


# What needs no instruction, or ends the Program.


def _is_affine(op: Map) -> bool:
    return all(stage.verb in ("add", "sub", "mul", "div") for stage in op.stages)


def _affine(x: _Coded, op: Map) -> _Coded:
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


def _distance(work: _Work, op: SquaredDistance, source: int) -> _Coded:
    points = op.points.data.astype(np.float64)
    x = _input(work, points) if source == 0 else _coded_from(work, source)
    codes = np.clip(np.rint((points - x.offset) / x.scale), -x.limit, x.limit)
    widest = float(np.square(np.abs(codes) + x.furthest).sum(axis=1).max())
    shift = max(0, math.frexp(widest)[1] - 31)
    kind = np.int8 if x.element == "i8" else np.int16
    value = work.builder.add(IntegerSquaredDistance(x.element, Table(codes.astype(kind)), shift), x.value)
    scale = np.full(len(points), float(x.scale[0]) ** 2 * 2.0**shift)
    return _Coded(value, "i32", scale, np.zeros(len(points)), LARGEST["i32"])


def _softmax(work: _Work, op: Softmax, x: _Coded) -> _Coded:
    """Codes of x have one scale. A power's exponent in Q16 is (distance >> coarse) * step / 2^shift; steps of 8 of
    them are fine enough, and keep the product within 32 bits."""
    factor = float(x.scale[0]) * math.log2(math.e) * 65536
    coarse = min(31, max(0, math.ceil(math.log2(8 / factor))))
    mantissa, exponent = math.frexp(math.ldexp(factor, coarse))
    shift = min(11, max(0, 15 - exponent))
    step = max(1, min(round(math.ldexp(mantissa, exponent + shift)), SMALLEST_POWER))
    reach = (SMALLEST_POWER << shift) // step + 1
    made = IntegerSoftmax(x.element, x.size, coarse, step, shift, reach, exp2_table())
    value = work.builder.add(made, x.value)
    return _Coded(value, "i16", np.full(x.size, 2.0**-15), np.zeros(x.size), LARGEST["i16"])


def _decision(work: _Work, op: Op, source: int) -> int:
    """A label from codes; behind a softmax from what goes into it, where no two values have become equal."""
    x = work.coded[source]
    if isinstance(op, Argmax) and source > 0 and isinstance(work.program.steps[source - 1].op, Softmax):
        x = work.coded[work.program.steps[source - 1].inputs[0]]
    if isinstance(op, Threshold):
        limit = math.ceil((op.limit - float(x.offset[0])) / float(x.scale[0]))
        labels = (op.then, op.otherwise) if op.compare == "ge" else (op.otherwise, op.then)
        return work.builder.add(IntegerThreshold(cast(Literal["i16", "i32"], x.element), limit, *labels), x.value)
    if isinstance(op, Argmin):
        return work.builder.add(Argmin(op.size, "i32"), x.value)
    assert isinstance(op, Argmax)
    made = replace(op, element=cast(Literal["i16", "i32"], x.element), nan_gives_zero=False)
    return work.builder.add(made, x.value)
