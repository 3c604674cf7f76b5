"""Numpy twins of instructions that multiply and add with one rounding, and of float32 that keeps 8 bits (bfloat16).

Each takes float32 arrays that broadcast and gives the bits of the instruction, any NaN equal to any NaN. Knows nothing
of ops or targets.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_BELOW = np.int64((1 << 29) - 1)  # bits of a float64 that a float32 has not
_HALF = np.int64(1 << 28)
_AT_ONCE = 1 << 14  # sums, so that they stay in a cache
_FEW_BITS = 2.0**-125  # floats smaller than half of it have fewer bits


def fmaf(a: F32, b: F32, c: F32) -> F32:
    """a * b + c with one rounding, as IEEE 754 has it: to nearest, ties to even, with subnormal numbers."""
    with np.errstate(all="ignore"):
        return rounded_sum(np.asarray(a, np.float64) * np.asarray(b, np.float64), np.asarray(c, np.float64))


def rounded_sum(product: F64, c: F64) -> F32:
    """The float32 nearest to product + c, where both are float64 and their sum has no exponent that float64 lacks.

    A product of two float32 is exact. The sum, rounded to float64, rounds to the right float32 unless it lies in the
    middle of two: there the part that was lost decides, so that the sum is made odd (S. Boldo, G. Melquiond,
    "Emulation of a FMA and Correctly Rounded Sums: Proved Algorithms Using Rounding to Odd", 2008).
    """
    total = np.asarray(product + c)
    doubtful = (total.view(np.int64) & _BELOW) == _HALF
    doubtful |= np.abs(total) < _FEW_BITS
    if doubtful.any():
        where = np.nonzero(doubtful)
        p, q = (np.broadcast_to(part, total.shape)[where] for part in (product, c))
        total[where] = _odd(total[where], p, q)
    return total.astype(np.float32)


def add_products(total: F32, x: F32, weight: F32) -> F32:
    """total [rows, outputs] + x @ weight, column by column of x [rows, columns], weight [columns, outputs]."""
    return _added(total, x, weight, lambda own, w: own * w)


def add_squares(total: F32, x: F32, points: F32) -> F32:
    """The same with the squares of the differences x - points, which are rounded before."""

    def square(own: F64, point: F64) -> F64:
        d = (own.astype(np.float32) - point.astype(np.float32)).astype(np.float64)
        return np.asarray(d * d)

    return _added(total, x, points, square)


def _added(total: F32, x: F32, weight: F32, term: Callable[[F64, F64], F64]) -> F32:
    result = np.empty_like(total)
    x64, w64 = x.astype(np.float64), weight.astype(np.float64)
    rows = max(1, _AT_ONCE // max(1, total.shape[1]))
    with np.errstate(all="ignore"):
        for at in range(0, len(total), rows):
            part = total[at : at + rows]
            for col in range(len(w64)):
                part = rounded_sum(term(x64[at : at + rows, col : col + 1], w64[col]), part.astype(np.float64))
            result[at : at + rows] = part
    return result


def _odd(total: F64, a: F64, b: F64) -> F64:
    """The sum a + b, rounded to `total`, with an odd last bit where it is not exact."""
    own = total - a
    lost = (a - (total - own)) + (b - own)
    even = (total.view(np.int64) & 1) == 0
    moved = np.nextafter(total, np.copysign(np.inf, lost))
    return np.where(even & (np.abs(lost) > 0), moved, total)


# bfloat16: the upper half of a float32, here as uint16.

UNIT = 2.0**-8  # what rounding to it changes at most, as a part of the number
LEAST = 2.0**-126  # smaller numbers become 0


def flushed(x: F32) -> F32:
    """Zero with the sign of x in place of a subnormal number."""
    small = np.abs(x) < np.float32(LEAST)
    return np.where(small, np.copysign(np.float32(0), x), x) if small.any() else x


def to_bf16(x: F32) -> NDArray[np.uint16]:
    """As VCVTNEPS2BF16: to nearest, ties to even; subnormal numbers become zero, NaN a quiet one."""
    bits = np.ascontiguousarray(flushed(x), np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(x), 0x7FC0, rounded).astype(np.uint16)


def from_bf16(x: NDArray[np.uint16]) -> F32:
    """The float32 of the same value."""
    return (x.astype(np.uint32) << 16).view(np.float32)


def add_pair(total: F32, first: tuple[F32, F32], second: tuple[F32, F32]) -> F32:
    """total + both products, as VDPBF16PS adds a pair of columns: the second product comes first.

    Each product is added with one rounding; subnormal numbers are zero before and after (Intel's manual; the same on
    AMD's Zen 5). The factors are bfloat16.
    """
    with np.errstate(all="ignore"):
        part = flushed(total)
        for a, b in (second, first):
            part = _with_product(part, flushed(a).astype(np.float64) * flushed(b).astype(np.float64))
    return part


def add_pairs(total: F32, x: F32, weight: F32) -> F32:
    """total [rows, outputs] + x @ weight, pair by pair of columns: x [rows, columns], weight [columns, outputs]."""
    result = np.empty_like(total)
    x64, w64 = (flushed(part).astype(np.float64) for part in (x, weight))
    rows = max(1, _AT_ONCE // max(1, total.shape[1]))
    with np.errstate(all="ignore"):
        for at in range(0, len(total), rows):
            part = flushed(total[at : at + rows])
            for pair in range(0, len(w64), 2):
                for col in (pair + 1, pair):
                    part = _with_product(part, x64[at : at + rows, col : col + 1] * w64[col])
            result[at : at + rows] = part
    return result


def _with_product(total: F32, product: F64) -> F32:
    return flushed(rounded_sum(product, total.astype(np.float64)))
