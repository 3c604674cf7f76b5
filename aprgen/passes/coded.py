"""Values in codes, and dense sums over them: integer weights as large as 32 bits allow.

Knows scales, offsets and what each sum can reach; knows no Program and no C.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.dense import Dense
from aprgen.ops.integer import LARGEST, Code
from aprgen.passes.ranges import rounded_up
from aprgen.program import Array

LARGEST_OFFSET = 1 << 29  # of what a sum carries so that its codes begin at the lowest

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Coded:
    """A value in codes: element i is scale_i * code + offset_i, and |code| <= limit.

    Sums are proved for every number that the type holds, so that a caller's own codes can be any.
    """

    value: int
    element: Code
    scale: Doubles
    offset: Doubles
    limit: int
    reach: tuple[int, int] | None = None  # of a total: no code is below or above, whatever the row

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


@dataclass(frozen=True, eq=False)
class Sums:
    """Integer weights and bias; acc * scale_r is the real sum. largest: of |acc| of each row, for all x."""

    weight: Array
    bias: Doubles
    scale: Doubles
    largest: Doubles


def sums_of(op: Dense, x: Coded, limit: int, least: Doubles | float = 0.0) -> Sums:
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
    scale = rounded_up(np.maximum(scale, least))
    codes = np.rint(weight / scale[:, None])
    offsets = np.rint(bias / scale)
    kind = np.int8 if limit == LARGEST["i8"] else np.int16
    return Sums(codes.astype(kind), offsets, scale, np.abs(codes).sum(axis=1) * x.furthest + np.abs(offsets))


def multipliers(ratio: Doubles, coarsest: float) -> tuple[Array, Array]:
    """ratio < 1/4 as multiplier / 2^(16 + shift), the multiplier below 2^15.

    One shift for all rows where the smallest ratio is no more than `coarsest` times below the largest; else one for
    each, with a multiplier of at least 2^14 unless the shift reaches 31.
    """
    alike = ratio.max() <= coarsest * ratio.min()
    _, exponent = np.frexp(ratio.max(keepdims=True) if alike else ratio)  # ratio = m * 2^exponent, m in [0.5, 1)
    shift = np.clip(-1 - exponent, 1, 31)
    multiplier = np.minimum(np.rint(np.ldexp(ratio, 16 + shift)), LARGEST["i16"])
    return multiplier.astype(np.int16), shift.astype(np.uint8)


def wide_enough(scale: Doubles, sums: Sums) -> Doubles:
    """Codes no finer than four units of their sum: every ratio is below 1/4, and nothing is lost that was there."""
    return np.maximum(scale, 4.01 * sums.scale)
