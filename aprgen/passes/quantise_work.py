"""The quantise pass at work: which values of the old Program are codes by now, and how a value becomes codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from aprgen.ops.decide import Argmax, Argmin, Threshold
from aprgen.ops.distance import Neighbours, SquaredDistance
from aprgen.ops.elementwise import Map
from aprgen.ops.gauss import Gauss
from aprgen.ops.integer import LARGEST, Code, Dequantise, Quantise
from aprgen.ops.normalise import Softmax
from aprgen.passes.coded import Coded, Doubles
from aprgen.passes.ranges import Method, covering, rounded_up, spans
from aprgen.program import Array, Builder, Program, Table

SAME_SCALE = 1e-5  # relative; scales are rounded to float32


@dataclass(eq=False)
class Work:
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


def as_floats(work: Work, value: int) -> int:
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


def input_codes(work: Work) -> Coded:
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


def _compared(work: Work, limit: int) -> Iterator[tuple[SquaredDistance | Neighbours | Gauss, Coded]]:
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
                case Map() as op if is_affine(op):
                    scaled = affine(coded, op)
                    seen += [(index + 1, scaled)] if bool(np.all(scaled.scale != 0)) else []


def alike(work: Work, source: int, points: Array) -> Coded:
    """A value as codes of one scale for all elements, which distances need."""
    x = input_codes(work) if source == 0 else work.coded.get(source)
    if x is not None and x.element in ("i8", "i16") and bool(np.all(np.abs(x.scale / x.scale[0] - 1) < SAME_SCALE)):
        return x
    as_floats(work, source)
    return coded_from(replace(work, coded={}), source, points.astype(np.float64))


def with_room(work: Work, source: int, points: Doubles) -> Coded:
    """A value as codes that reach all points."""
    x = input_codes(work) if source == 0 else coded_from(work, source)
    reach = np.abs((points - x.offset) / x.scale).max()
    if reach <= x.limit + 1:
        return x
    as_floats(work, source)
    return coded_from(replace(work, coded={}), source, points)


def coded_from(work: Work, source: int, points: Doubles | None = None) -> Coded:
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
        made = work.builder.add(Quantise(work.element, Table(inverse), zero, len(scale)), as_floats(work, source))
        return Coded(made, work.element, 1 / inverse.astype(np.float64), np.zeros(len(scale)), limit)
    return work.coded[source]


def only_reader(work: Work, value: int) -> int | None:
    readers = work.readers(value)
    return readers[0] if len(readers) == 1 and value not in (work.program.scores, work.program.label) else None


def is_result(work: Work, value: int) -> bool:
    """Whether only the end of the Program reads the value: its scores, a softmax or a decision."""
    ends = (Softmax, Argmax, Argmin, Threshold)
    readers = [work.program.steps[index].op for index in work.readers(value)]
    return value == work.program.scores or any(isinstance(reader, ends) for reader in readers)


def is_affine(op: Map) -> bool:
    return all(stage.verb in ("add", "sub", "mul", "div") for stage in op.stages)


def affine(x: Coded, op: Map) -> Coded:
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
