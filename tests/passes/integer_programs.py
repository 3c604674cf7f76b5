"""Programs of integers for tests of sums in vectors: codes that are cut, weights and multipliers up to their limits."""

from __future__ import annotations

import itertools

import numpy as np

from aprgen.ops.decide import Argmax, Argmin, IntegerThreshold, Threshold
from aprgen.ops.dense import Dense
from aprgen.ops.elementwise import Map, Stage
from aprgen.ops.integer import (
    LARGEST,
    TYPES,
    Code,
    Dequantise,
    IntegerDense,
    IntegerLookup,
    IntegerSquaredDistance,
    IntegerSum,
    Quantise,
    furthest_sum,
)
from aprgen.ops.integer_distance import IntegerGauss, IntegerMetric, IntegerNeighbours
from aprgen.ops.normalise import Softmax
from aprgen.passes.quantise import quantise
from aprgen.passes.quantise_points import softmax_of_codes
from aprgen.program import Builder, Program, Table, row_type


def codes_of(builder: Builder, code: Code, n: int, *, uniform: bool) -> int:
    """Codes of the row: scales that cut many values, and zeros far off."""
    chance = np.random.default_rng(n)
    size = 1 if uniform else n
    inverse = np.exp(chance.normal(size=size) * 2 + (3 if code == "i8" else 8))
    zero = chance.integers(-60, 60, size) if not uniform else np.array([-7])
    if not uniform and n > 2:
        inverse[0], zero[1] = np.float32(3e38), 300  # products overflow; a zero that no code reaches
    return builder.add(Quantise(code, Table(inverse, np.float32), Table(zero, np.int32), n), 0)


def hard(source: Code, element: Code, n_in: int, n_out: int, weights: Code | None = None) -> IntegerDense:
    """Weights and biases of all sizes; multipliers and shifts up to their limits, a row's own or the same for all."""
    chance = np.random.default_rng(1000 * n_in + n_out)
    largest = LARGEST[weights or source]
    weight = chance.integers(-largest, largest + 1, (n_out, n_in))
    weight[chance.random(weight.shape) < 0.2] = largest
    bound = int(np.abs(weight).sum(axis=1).max()) * (LARGEST[source] + 1)
    while bound >= 2**31:
        weight //= 2
        bound = int(np.abs(weight).sum(axis=1).max()) * (LARGEST[source] + 1)
    room = LARGEST["i32"] - bound
    spread = LARGEST[source] / 2 * np.sqrt((weight.astype(np.float64) ** 2).sum(axis=1).mean())
    bias = np.clip(chance.normal(size=n_out) * spread, -room, room).astype(np.int64)
    multiplier = chance.integers(2**14, 2**15, n_out)
    limit = (1 << 30) if element == "i32" else LARGEST[element]
    shift = np.full(n_out, np.clip(round(float(np.log2(spread / 2 / limit))), 1, 31))
    if n_out > 5:
        bias[0], multiplier[1:4], shift[4:6] = room, (0, 1, 2**15 - 1), (1, 31)
    tables = Table(weight.astype(TYPES[weights or source])), Table(bias, np.int32), Table(multiplier, np.int16)
    return IntegerDense(source, element, LARGEST["i32"], *tables, Table(shift if n_out != 10 else shift[:1], np.uint8))


def chain(code: Code, *sizes: int, uniform: bool = False) -> Program:
    """Layers one behind the other; the last one's 32 bits become floats with an offset."""
    builder = Builder(row_type(sizes[0]))
    at = codes_of(builder, code, sizes[0], uniform=uniform)
    for n_in, n_out in itertools.pairwise(sizes[:-1]):
        at = builder.add(hard(code, code, n_in, n_out), at)
    at = builder.add(hard(code, "i32", *sizes[-2:]), at)
    chance = np.random.default_rng(7)
    scale = Table(chance.normal(size=sizes[-1] if not uniform else 1), np.float32)
    offset = Table(chance.normal(size=scale.data.size), np.float32)
    return builder.build(builder.add(Dequantise("i32", sizes[-1], scale, offset), at))


def read_twice() -> Program:
    """Codes of 16 bits that panels and steps of rows read; a label from a sum."""
    builder = Builder(row_type(7))
    at = builder.add(hard("i16", "i16", 7, 37), codes_of(builder, "i16", 7, uniform=False))
    ends = builder.add(hard("i16", "i16", 37, 5), at)
    total = builder.add(IntegerSum("i16", LARGEST["i32"], Table(np.arange(-18, 19), np.int16), -40_000), at)
    scores = builder.add(Dequantise("i16", 5, Table([0.25], np.float32), None), ends)
    return builder.build(scores, builder.add(IntegerThreshold("i32", 0, 1, 0), total), 2)


def looked_up() -> Program:
    """Codes of 8 bits that panels and tables read: laid out throughout, or rows that are laid out again."""
    builder = Builder(row_type(7))
    chance = np.random.default_rng(3)
    tables = [Table(chance.integers(-128, 128, 256), np.int8) for _ in range(2)]
    at = builder.add(hard("i8", "i8", 7, 21), codes_of(builder, "i8", 7, uniform=False))
    at = builder.add(hard("i8", "i8", 21, 37), builder.add(IntegerLookup(21, tables[0], 0.0), at))
    ends = builder.add(hard("i8", "i16", 37, 5), at)
    looked = builder.add(IntegerLookup(37, tables[1], 0.0), at)
    scores = builder.add(Dequantise("i8", 37, Table([0.25], np.float32), None), looked)
    return builder.build(scores, builder.add(Argmax("i16", 5, Table([9, 8, 7, 6, 5], np.int32)), ends), 5)


def points_of(code: Code, n_points: int, n_in: int) -> Table:
    """Of all codes, the lowest ones first; the last point is the second one again."""
    points = np.random.default_rng(n_points).integers(-LARGEST[code] - 1, LARGEST[code] + 1, (n_points, n_in))
    points[0] = -LARGEST[code] - 1
    points[-1] = points[min(1, n_points - 1)]
    return Table(points, TYPES[code])


def least_shift(code: Code, points: Table, *, squares: bool) -> int:
    """So that no sum of distances leaves 31 bits."""
    return next(n for n in range(32) if furthest_sum(points, code, n, squares=squares) < LARGEST["i32"])


def nearest(n_in: int, n_points: int, code: Code = "i8", *, labels: bool = True) -> Program:
    """Squared distances to points; the nearest, or floats alone."""
    builder = Builder(row_type(n_in))
    points = points_of(code, n_points, n_in)
    x = codes_of(builder, code, n_in, uniform=False)
    at = builder.add(IntegerSquaredDistance(code, points, least_shift(code, points, squares=True)), x)
    scores = builder.add(Dequantise("i32", n_points, Table([0.25], np.float32), None), at)
    if not labels:
        return builder.build(scores)
    return builder.build(scores, builder.add(Argmin(n_points, "i32"), at), n_points)


def voted(code: Code, metric: IntegerMetric, n_in: int, n_points: int, k: int) -> Program:
    """Votes of the nearest points, and the class that has most."""
    builder = Builder(row_type(n_in))
    points = points_of(code, n_points, n_in)
    classes = Table(np.random.default_rng(k).integers(0, 3, n_points), np.uint8)
    shift = least_shift(code, points, squares=metric == "euclidean")
    op = IntegerNeighbours(code, metric, k, points, classes, 3, shift)
    at = builder.add(op, codes_of(builder, code, n_in, uniform=True))
    scores = builder.add(Dequantise("i16", 3, Table([1 / k], np.float32), None), at)
    return builder.build(scores, builder.add(Argmax("i16", 3, None), at), 3)


def spread(
    code: Code, n_in: int, n_classes: int, *, uniform: bool, last_wins: bool = False, of_shares: bool = False
) -> Program:  # fmt: skip
    """Densities of Gaussians, their shares, which are equal where none is large, and the label of the largest.

    of_shares: the label is that of the largest share, and two classes are the same.
    """
    chance = np.random.default_rng(n_in * n_classes)
    builder, shape = Builder(row_type(n_in)), (n_classes, n_in)
    centre = Table(chance.integers(-32768, 32768, shape), np.int16)
    weight = Table(chance.integers(0, 2**15, shape), np.uint16)
    shift = Table(chance.integers(15, 26, 1 if uniform else shape), np.uint8)
    cap = int(np.sqrt((LARGEST["i32"] - 60_000) / n_in)) if not uniform else 300
    bias = Table(-chance.integers(0, 60_000, n_classes), np.int32)
    if of_shares:
        centre, weight, bias = (Table(own.data[[0, 0, *range(2, n_classes)]]) for own in (centre, weight, bias))
    fraction = 8 if code == "i8" else 0
    op = IntegerGauss(code, fraction, centre, weight, shift, bias, cap)
    at = builder.add(op, codes_of(builder, code, n_in, uniform=False))
    shares = builder.add(softmax_of_codes("i32", n_classes, 2.0**-14, -150_000), at)
    scores = builder.add(Dequantise("i16", n_classes, Table([2.0**-15], np.float32), None), shares)
    labels = Table(np.arange(n_classes) * 3 - 2, np.int32)
    if of_shares:
        return builder.build(scores, builder.add(Argmax("i16", n_classes, labels, last_wins), shares), n_classes)
    return builder.build(scores, builder.add(Argmax("i32", n_classes, labels, last_wins), at), n_classes)


def near_and_added() -> Program:
    """Codes of 8 bits that products read as bytes and distances as 16 bits; distances of what a layer gives."""
    builder = Builder(row_type(9))
    at = builder.add(hard("i8", "i8", 9, 21), codes_of(builder, "i8", 9, uniform=False))
    points = np.random.default_rng(2).integers(-128, 128, (5, 21))
    near = builder.add(IntegerSquaredDistance("i8", Table(points, np.int8), 0), at)
    ends = builder.add(hard("i8", "i16", 21, 5), at)
    scores = builder.add(Dequantise("i16", 5, Table([0.25], np.float32), None), ends)
    return builder.build(scores, builder.add(Argmin(5, "i32"), near), 5)


def near_after_table() -> Program:
    """Distances of what a table gives for an odd number of codes; it does not give 0 for what fills vectors up."""
    builder = Builder(row_type(5))
    table = Table(np.random.default_rng(4).integers(1, 128, 256), np.int8)
    at = builder.add(hard("i8", "i8", 5, 21), codes_of(builder, "i8", 5, uniform=False))
    at = builder.add(IntegerLookup(21, table, 0.0), at)
    points = np.random.default_rng(2).integers(-128, 128, (19, 21))
    near = builder.add(IntegerSquaredDistance("i8", Table(points, np.int8), 0), at)
    return builder.build(builder.add(Dequantise("i32", 19, Table([0.25], np.float32), None), near))


def mixed() -> Program:
    """Weights of 8 bits over codes of 16."""
    builder = Builder(row_type(9))
    at = builder.add(hard("i16", "i8", 9, 19, "i8"), codes_of(builder, "i16", 9, uniform=True))
    at = builder.add(hard("i8", "i32", 19, 3), at)
    return builder.build(builder.add(Dequantise("i32", 3, Table([1.5], np.float32), None), at))


def trained(code: Code, verb: str, *sizes: int, classify: bool = True) -> Program:
    """What the quantise pass makes of a network of floats."""
    chance = np.random.default_rng(len(sizes))
    builder, at = Builder(row_type(sizes[0])), 0
    for n_in, n_out in itertools.pairwise(sizes):
        weight = Table(chance.normal(size=(n_out, n_in)), np.float32)
        at = builder.add(Dense(weight, Table(chance.normal(size=n_out), np.float32), "last"), at)
        if n_out != sizes[-1]:
            at = builder.add(Map(n_out, (Stage(verb, 0.1) if verb == "leaky_relu" else Stage(verb),)), at)
    rows = chance.normal(size=(200, sizes[0])).astype(np.float32)
    if not classify:
        program = builder.build(at)
    elif sizes[-1] == 1:
        at = builder.add(Map(1, (Stage("sigmoid"),)), at)
        program = builder.build(at, builder.add(Threshold("ge", 0.5, 1, 0), at), 2)
    else:
        at = builder.add(Softmax(sizes[-1], by_reciprocal=True), at)
        program = builder.build(at, builder.add(Argmax("f32", sizes[-1], None), at), sizes[-1])
    return quantise(program, rows, code).program
