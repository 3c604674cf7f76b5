"""Part of the quantise pass: distances to stored points, Gaussians around them, and powers that become shares."""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from aprgen.ops.distance import Neighbours, SquaredDistance
from aprgen.ops.elementwise import Map
from aprgen.ops.gauss import Gauss
from aprgen.ops.integer import LARGEST, SMALLEST_POWER, Code, IntegerSoftmax, IntegerSquaredDistance, exp2_table
from aprgen.ops.integer_distance import IntegerMetric, IntegerNeighbours
from aprgen.ops.normalise import Normalise
from aprgen.passes.coded import Coded
from aprgen.passes.gaussians import LogDensity, coded_density
from aprgen.passes.quantise_work import Work, alike, only_reader, with_room
from aprgen.program import Table


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


def powers(work: Work, x: Coded, least: int | None = None) -> Coded:
    value = work.builder.add(softmax_of_codes(x.element, x.size, float(x.scale[0]), least), x.value)
    return Coded(value, "i16", np.full(x.size, 2.0**-15), np.zeros(x.size), LARGEST["i16"])


def distance(work: Work, op: SquaredDistance, source: int) -> Coded:
    x = alike(work, source, op.points.data)
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


def counts_votes(op: Neighbours) -> bool:
    """Votes that are counted are exact; powers and weights by distance stay in floats."""
    return op.metric in ("euclidean", "manhattan") and not op.weighted


def neighbours(work: Work, op: Neighbours, source: int) -> Coded:
    """Votes; the limit of their codes is k, which they add up to."""
    x = alike(work, source, op.points.data)
    metric = cast(IntegerMetric, op.metric)
    points, shift = _points(op.points, x, metric)
    made = IntegerNeighbours(x.element, metric, op.k, points, op.classes, op.n_classes, shift)
    value = work.builder.add(made, x.value)
    return Coded(value, "i16", np.ones(op.n_classes), np.zeros(op.n_classes), op.k)


def is_votes(work: Work, source: int) -> bool:
    return source in work.coded and isinstance(work.program.steps[source - 1].op, Neighbours)


def density_of(op: Gauss) -> LogDensity:
    centre, divisor = op.centre.data.astype(np.float64), op.divisor.data.astype(np.float64)
    constant = np.zeros(len(centre)) if op.start is None else op.start.data.astype(np.float64)
    if op.offset is not None:
        constant = constant + np.array([math.fsum(row.tolist()) for row in op.offset.data.astype(np.float64)])
    return LogDensity(centre, divisor, constant)


def gauss(work: Work, density: LogDensity, source: int, value: int) -> None:
    """Log densities; with what makes shares of them (a mixture's exp, weights and sum) where only that reads them."""
    shares = _shares(work, density, value)
    density, end, floor = (density, value, None) if shares is None else shares
    x = with_room(work, source, density.centre)
    made = coded_density(density, x.element, x.scale, x.offset, work.observed[source].astype(np.float64))
    n = len(density.constant)
    codes = work.builder.add(made.op, x.value)
    coded = Coded(codes, "i32", np.full(n, made.scale), np.full(n, made.offset), LARGEST["i32"])
    work.coded[end] = coded
    if floor is not None:
        least = math.floor((math.log(floor) - made.offset) / made.scale)
        work.coded[end] = powers(work, coded, max(least, 1 - LARGEST["i32"]))
        work.done.update((value, end - 1))


def _shares(work: Work, density: LogDensity, value: int) -> tuple[LogDensity, int, float] | None:
    """exp(L * factor) times constants, normalised, as one density; the value that holds it; the floor of its sum."""
    reader = only_reader(work, value)
    op = None if reader is None else work.program.steps[reader].op
    if reader is None or not isinstance(op, Map) or [stage.verb for stage in op.stages[:2]] != ["mul", "exp"]:
        return None
    end = only_reader(work, reader + 1)
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
