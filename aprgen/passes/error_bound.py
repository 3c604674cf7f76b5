"""How far a mode that fuses or shortens sums can be from f32, for every row in a box: running error analysis.

After N. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., sections 3.1 and 4.2: a sum of n terms, in
any order, has an error of at most gamma(n - 1) times the sum of their sizes. Knows ops; knows no targets and no C.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen import fused
from aprgen.ops.dense import Dense
from aprgen.ops.distance import SquaredDistance
from aprgen.ops.elementwise import Map, Stage
from aprgen.ops.half_sums import HalfSums, Halved
from aprgen.ops.mixture import Concat, TopMix
from aprgen.ops.normalise import Complement, Softmax
from aprgen.ops.wide_floats import Sums
from aprgen.program import Array, Op, Program

F64 = NDArray[np.float64]

UNIT = 2.0**-24  # of float32: what a rounding changes, as a part of the number
TINY = 2.0**-149  # what a product loses below the normal numbers
LARGEST = float(np.finfo(np.float32).max)
HALF_UNIT = fused.UNIT
OWN = 1 + 1e-9  # for what is computed here, in float64
FUNCTION = 8 * UNIT  # runtime_c/apr_math.h: at most 2.5 units in the last place, each of two UNITs
EXPONENTS = 104.0  # exp of less than minus this is 0


@dataclass(frozen=True, eq=False)
class Range:
    """Of a value, [rows, size]: that of f32 lies from low to high, that of the mode at most `off` beside it."""

    low: F64
    high: F64
    off: F64

    @property
    def size(self) -> F64:
        """The largest |value| of f32."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    @property
    def exact(self) -> bool:
        return not bool(self.off.any())


class UnboundedError(Exception):
    """The op for which there is none."""


def error_bound(program: Program, low: Array, high: Array) -> tuple[F64, str]:
    """What |scores - scores in f32| cannot exceed [rows, n_outputs], and why there is no bound, or "".

    For every row from `low` to `high`, [rows, n_features] each. Infinite where values can leave the range of floats.
    """
    shape = (len(low), program.n_outputs)
    finite = np.asarray(np.isfinite(low) & np.isfinite(high), np.bool_).all(axis=1, keepdims=True)
    own = np.where(finite, [low, high], 0).astype(np.float64)
    values: dict[int, Range] = {0: Range(own[0], own[1], np.zeros(own[0].shape))}
    with np.errstate(all="ignore"):
        for index in program.needed(program.scores):
            step = program.steps[index]
            try:
                made = _of_step(step.op, tuple(values[value] for value in step.inputs))
            except UnboundedError:
                return np.full(shape, np.inf), f"{step.op.kernel} can choose another way"
            held = np.stack([made.low, made.high, made.off])
            inside: NDArray[np.bool_] = np.max(np.abs(held), axis=(0, 2), initial=0)[:, None] <= LARGEST
            finite = np.logical_and(finite, inside)
            values[index + 1] = Range(*np.where(inside, held, 0))
    return np.where(finite, values[program.scores].off * OWN, np.inf), ""


def gamma(n: int, unit: float = UNIT) -> float:
    """What n roundings change, as a part of the number."""
    return n * unit / (1 - n * unit)


def _of_step(op: Op, inputs: tuple[Range, ...]) -> Range:
    x = inputs[0]
    if isinstance(op, Dense):
        return _sums(x, op.weight.data.T, None if op.bias is None else op.bias.data, op.fused)
    if isinstance(op, SquaredDistance):
        return _distances(x, op.points.data.T)
    if isinstance(op, Sums):
        columns = op.columns()
        bias = None if op.bias is None else op.bias.data[: op.n_sums]
        return _distances(x, columns) if op.distance else _sums(x, columns, bias, op.fused, relu=op.relu)
    if isinstance(op, HalfSums):
        return _half_sums(op, x)
    if isinstance(op, Halved):
        made = _halved(x)
        more = ((0, 0), (0, op.y_size - op.n_in))
        return Range(*(np.pad(part, more) for part in (made.low, made.high, made.off)))
    if isinstance(op, Map):
        for stage in op.stages:
            x = _of_stage(stage, x)
        return x
    if isinstance(op, Softmax):
        return _softmax(x, op.size)
    if isinstance(op, Complement):
        other = _rounded(Range(1 - x.high, 1 - x.low, x.off), UNIT)
        return _joined((other, x))
    if isinstance(op, Concat):
        return _joined(inputs)
    if isinstance(op, TopMix) and inputs[0].exact and bool((inputs[0].low >= -TINY).all()):
        return _mixed(inputs[1], op.k)
    return _as_it_is(op, inputs)


def _joined(inputs: tuple[Range, ...]) -> Range:
    parts = ([one.low for one in inputs], [one.high for one in inputs], [one.off for one in inputs])
    return Range(*(np.concatenate(part, axis=1) for part in parts))


def _as_it_is(op: Op, inputs: tuple[Range, ...]) -> Range:
    """Of an op that computes as in f32: the same values from the same ones."""
    if not all(one.exact and np.array_equal(one.low, one.high) for one in inputs):
        raise UnboundedError
    made = np.nan_to_num(op.evaluate(*(one.low.astype(np.float32) for one in inputs))).astype(np.float64)
    return Range(made, made, np.zeros(made.shape))


def _sums(x: Range, columns: Array, bias: Array | None, other: bool, relu: bool = False) -> Range:
    """Both sums have n products and a bias: n + 1 roundings of a product and its additions at most.

    other: the mode adds them in another way than f32.
    """
    weight = columns.astype(np.float64)
    sizes = np.abs(weight)
    start = np.zeros(weight.shape[1]) if bias is None else bias.astype(np.float64)
    n = len(weight)
    total = x.size @ sizes + np.abs(start)
    above, below = np.maximum(weight, 0), np.minimum(weight, 0)
    rounding = gamma(n + 1) * total + n * TINY
    low = x.low @ above + x.high @ below + start - rounding
    high = x.high @ above + x.low @ below + start + rounding
    moved = x.off @ sizes
    off = moved + rounding + gamma(n + 1) * (total + moved) + n * TINY
    if not other and x.exact:
        off = np.zeros(off.shape)
    off = np.where(total * (1 + gamma(n + 1)) + moved <= LARGEST, off, np.inf)
    if relu:
        low, high = np.maximum(low, 0), np.maximum(high, 0)
    return Range(low, high, off)


def _halved(x: Range) -> Range:
    most = x.size + x.off
    off = np.where(most < LARGEST * (1 - HALF_UNIT), x.off + HALF_UNIT * most + fused.LEAST, np.inf)
    return Range(x.low, x.high, off)


def _half_sums(op: HalfSums, x: Range) -> Range:
    """The weights of f32 are as far from those of the op as rounding moved them; sums lose subnormal numbers, too."""
    x = Range(*(part[:, : op.n_in] for part in (x.low, x.high, x.off)))
    columns = op.columns().astype(np.float64)
    sizes = np.abs(columns)
    n = len(columns)
    bias = np.zeros(op.n_sums) if op.bias is None else op.bias.data[: op.n_sums].astype(np.float64)
    shift = HALF_UNIT / (1 - HALF_UNIT) * (x.size @ sizes) + x.size.sum(axis=1, keepdims=True) * fused.LEAST
    total = x.size @ sizes + shift + np.abs(bias)
    rounding = gamma(n + 1) * total + n * TINY
    above, below = np.maximum(columns, 0), np.minimum(columns, 0)
    low = x.low @ above + x.high @ below + bias - shift - rounding
    high = x.high @ above + x.low @ below + bias + shift + rounding
    moved = x.off @ sizes
    off = moved + shift + rounding + gamma(n + 1) * (total + moved) + (2 * n + 1) * fused.LEAST
    off = np.where(total * (1 + gamma(n + 1)) + moved <= LARGEST, off, np.inf)
    if op.relu:
        low, high = np.maximum(low, 0), np.maximum(high, 0)
    made = Range(low, high, off)
    if not op.halves:
        return made
    made = _halved(made)
    more = ((0, 0), (0, op.y_size - op.n_sums))
    return Range(*(np.pad(part, more) for part in (made.low, made.high, made.off)))


def _distances(x: Range, columns: Array) -> Range:
    """A difference, its square, and n additions: n + 2 roundings of each term at most."""
    n = len(columns)
    shape = (len(x.low), columns.shape[1])
    least, most, with_off, moved = (np.zeros(shape) for _ in range(4))
    for column, points in enumerate(columns.astype(np.float64)):
        low, high, off = (part[:, column : column + 1] for part in (x.low, x.high, x.off))
        near = np.maximum(np.maximum(low - points, points - high), 0)
        far = np.maximum(np.abs(low - points), np.abs(high - points))
        least += near * near
        most += far * far
        with_off += (far + off) ** 2
        moved += 2 * far * off + off * off
    g = gamma(n + 3)
    off = moved + g * (most + with_off) + 2 * n * TINY
    low, high = np.maximum(least * (1 - g) - n * TINY, 0), most * (1 + g) + n * TINY
    return Range(low, high, np.where(with_off * (1 + g) <= LARGEST, off, np.inf))


def _rounded(x: Range, part: float, sizes: F64 | None = None) -> Range:
    """The value, computed twice with an error of that part of its size, or of other sizes; the same from the same."""
    largest = x.size if sizes is None else sizes
    error = part * largest + TINY
    off = np.where(x.off > 0, x.off + 2 * error + part * x.off, 0)
    return Range(x.low - error, x.high + error, off)


_RISING: Mapping[str, tuple[Callable[[F64], F64], Callable[[Range], F64 | float]]] = {  # and the steepest slope
    "exp": (np.exp, lambda x: np.exp(x.high + x.off)),
    "exp2": (np.exp2, lambda x: np.exp2(x.high + x.off)),
    "sigmoid": (lambda v: 1 / (1 + np.exp(-v)), lambda x: 0.25),
    "tanh": (np.tanh, lambda x: 1.0),
}
GELU_SLOPE, GELU_LEAST = 1.13, -0.18  # at most, and at least


def _of_stage(stage: Stage, x: Range) -> Range:
    if stage.verb == "relu":
        return Range(np.maximum(x.low, 0), np.maximum(x.high, 0), x.off)
    if stage.verb == "neg":
        return Range(-x.high, -x.low, x.off)
    if stage.verb in _RISING:
        function, slope = _RISING[stage.verb]
        return _rounded(Range(function(x.low), function(x.high), slope(x) * x.off), FUNCTION)
    if stage.verb == "gelu":
        low = np.where(x.low >= 0, 0, GELU_LEAST)
        return _rounded(Range(low, np.maximum(x.high, 0), GELU_SLOPE * x.off), FUNCTION, x.size)
    if stage.verb == "keep":
        assert stage.mask is not None
        assert stage.constant is not None
        kept = stage.mask.data != 0
        constant = float(np.nan_to_num(np.float32(stage.constant)))
        return Range(np.where(kept, x.low, constant), np.where(kept, x.high, constant), np.where(kept, x.off, 0))
    operand = stage.each.data if stage.each is not None else np.float32(stage.constant or 0)
    return _with_operand(stage.verb, np.asarray(operand, np.float64), x)


def _with_operand(verb: str, c: F64, x: Range) -> Range:
    if verb == "leaky_relu":
        ends = [np.where(end > 0, end, end * c) for end in (x.low, x.high)]
        through = np.where((x.low < 0) & (x.high > 0), 0.0, ends[0])
        low, high = np.minimum(np.minimum(*ends), through), np.maximum(np.maximum(*ends), through)
        return _rounded(Range(low, high, np.maximum(1, np.abs(c)) * x.off), UNIT)
    function = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}[verb]
    slope = {"mul": np.abs(c), "div": 1 / np.abs(c)}.get(verb, np.ones(()))
    ends = [function(x.low, c), function(x.high, c)]
    return _rounded(Range(np.minimum(*ends), np.maximum(*ends), slope * x.off), UNIT)


def _mixed(x: Range, k: int) -> Range:
    """Shares that are at least 0, add up to 1 but for rounding, and are the same in both."""
    rounding = gamma(3 * k) * x.size.max(axis=1, keepdims=True) + k * TINY
    low, high = x.low.min(axis=1, keepdims=True) - rounding, x.high.max(axis=1, keepdims=True) + rounding
    moved = x.off.max(axis=1, keepdims=True)
    return Range(low, high, np.where(moved > 0, moved * (1 + gamma(3 * k)) + 2 * rounding, 0))


def _softmax(x: Range, n: int) -> Range:
    """A share changes by at most half of the largest change of a score: its slopes are p_i (1 - p_i) and -p_i p_j."""
    moved = x.off.max(axis=1, keepdims=True)
    span = x.high.max(axis=1, keepdims=True) - x.low.min(axis=1, keepdims=True) + 2 * moved
    rounding = gamma(n + 8) + UNIT * np.minimum(span, EXPONENTS) + n * TINY
    off = np.where(moved > 0, np.minimum(moved / 2 + 2 * rounding, 1 + rounding), 0)
    ones = np.ones(x.low.shape)
    return Range(0 * ones, ones * (1 + rounding), off * ones)
