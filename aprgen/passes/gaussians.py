"""Log densities of Gaussians as integers: weights, shifts and constants of an IntegerGauss from scales and rows.

Knows how fine a distance can be while every sum stays within 32 bits; knows no Program and no C.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.integer import LARGEST, Code
from aprgen.ops.integer_distance import IntegerGauss
from aprgen.program import Table

NEAR = 20.0  # nats below the best class within which a class counts for the reach of distances
SHORTEST_REACH = 8.0  # z * z of a distance is 64 nats there
LONGEST_REACH = 16.0  # counts in any case, longer ones while a distance has COARSE steps
COARSE = 256.0
SPARE = 1.5  # distances saturate at this many times their reach
FINEST = 4096.0  # steps of a distance in one unit of its spread
CONSTANTS = 1 << 30  # what the constants may take of 32 bits
COARSEST = 32.0  # weights may lose 5 of their 15 bits before each gets a shift of its own
FRACTION: dict[Code, int] = {"i8": 6, "i16": 0}

_Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LogDensity:
    """L_c = constant_c - sum over j of (x_j - centre_cj)^2 / divisor_cj, in nats."""

    centre: _Doubles  # [classes, features]
    divisor: _Doubles  # [classes, features]
    constant: _Doubles  # [classes]

    @property
    def is_finite(self) -> bool:
        return all(bool(np.isfinite(part).all()) for part in (self.centre, self.divisor, self.constant)) and bool(
            (self.divisor > 0).all()
        )


@dataclass(frozen=True, eq=False)
class CodedDensity:
    """L_c is scale * code_c + offset."""

    op: IntegerGauss
    scale: float
    offset: float


def coded_density(density: LogDensity, source: Code, scale: _Doubles, offset: _Doubles, rows: _Doubles) -> CodedDensity:
    """Element j of x is scale_j * code_j + offset_j; rows: real values of x, which say how far distances reach."""
    n_features = len(scale)
    differences = density.constant - density.constant.max()
    widest = max(1.0, -float(differences.min()))
    finest = min(FINEST, math.sqrt(CONSTANTS / widest))
    room = LARGEST["i32"] - math.ceil(widest * finest * finest)
    cap = math.isqrt(room // n_features)
    longest = max(LONGEST_REACH, cap / (SPARE * COARSE))
    steps = min(finest, cap / (SPARE * min(longest, max(SHORTEST_REACH, _reach(density, rows)))))
    fraction = FRACTION[source]
    ratio = steps * np.abs(scale) / np.sqrt(density.divisor) / (1 << fraction)
    weight, shift = _weights(ratio)
    limit = (LARGEST[source] << fraction) + (1 << fraction) - 1
    centre = np.clip(np.rint((density.centre - offset) / scale * (1 << fraction)), -limit, limit)
    op = IntegerGauss(
        source,
        fraction,
        Table(centre.astype(np.int16)),
        Table(weight),
        Table(shift),
        Table(np.rint(differences * steps * steps).astype(np.int32)),
        cap,
    )
    assert op.largest_sum <= LARGEST["i32"]
    return CodedDensity(op, 1 / (steps * steps), float(density.constant.max()))


def _reach(density: LogDensity, rows: _Doubles) -> float:
    """The largest distance over the square root of its divisor, of rows to classes that are nearly the best."""
    squares = np.stack(
        [(np.square(rows - c) / d).max(axis=1) for c, d in zip(density.centre, density.divisor, strict=True)], axis=1
    )
    sums = [
        k - (np.square(rows - c) / d).sum(axis=1)
        for c, d, k in zip(density.centre, density.divisor, density.constant, strict=True)
    ]
    logs = np.stack(sums, axis=1)
    counts = logs >= logs.max(axis=1, keepdims=True) - NEAR
    return math.sqrt(float(squares[counts].max()))


def _weights(ratio: _Doubles) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """ratio as weight / 2^shift, the weight below 2^15; one shift for all where no weight becomes too coarse.

    A ratio above 2^14 is cut: one step of x then reaches the cap all the same.
    """
    alike = ratio.max() <= COARSEST * ratio.min()
    _, exponent = np.frexp(ratio.max(keepdims=True) if alike else ratio)
    shift = np.clip(15 - exponent, 1, 31)
    weight = np.clip(np.rint(np.ldexp(ratio, shift)), 0, LARGEST["i16"]).astype(np.uint16)
    return weight, (shift.reshape(1) if alike else shift).astype(np.uint8)
