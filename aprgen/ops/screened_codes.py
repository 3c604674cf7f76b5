"""The nearest of a few points, found in codes of 16 bits, two products at once; what is close is settled in floats.

Knows the bound of what rounding to codes leaves, and how the tables lie; knows no C, files or targets.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.wide_floats import EIGHT, Lanes
from aprgen.ops.wide_points import ScreenedLanes, can_be_screened
from aprgen.program import Table

RANGE = 16  # rows lie at least so many times further from the middle of the points than these before codes are cut
MOST = 2.0**15  # the root of the squares of a row's codes, at most: apr_coded.h has the limit
WEIGHT = 0.9 * MOST  # of a point's codes: then a sum stays below 2^30, and differences below 2^31
SOME, ONE_OF = 4, 3  # rows in doubt, and one of so many: with more, codes cost what they save
GATHERED = 7  # rows in doubt, for which floats in a vector of rows are quicker than distances of a few rows at once
SETTLED = (4, 1)  # rows at once: additions of one wait for each other
_PLACES = 30  # what the places of two sums, in their last four bits, change of their difference, at most
_UNIT = 2.0**-24
_ROUNDED = 1.001  # for the roundings of the bound itself


@dataclass(frozen=True, eq=False, kw_only=True)
class ScreenedCodes(ScreenedLanes):
    """As ScreenedLanes, which take over where many rows are in doubt; only for two to 16 points. Without halves
    distances take over: floats do not screen points that are far from zero.

    A column less its middle, a point's place in it, is a multiple of `step`, the code, and a rest of half a step at
    most: a float that is added, `shifts`, leaves the code in the last bits, from `zero` on. Columns are coded eight at
    once, the last eight where they are no whole eight again. pairs: i16, by two columns, the codes of all points but
    `base`, less those of `base`, with the other sign, in units of their own. starts: i32, half the squares of all
    points from the middle, in steps times units.

    of_codes, of_root_code and of_square: what the next sum must be above the least, of the root of the squares of a
    row's codes and of the squares.
    """

    pairs: Table
    shifts: Table  # f32
    starts: Table
    zero: int
    base: int
    of_codes: float
    of_root_code: float
    of_square: float

    @property
    def kernel(self) -> str:
        return "screened_codes_f32"

    @property
    def headers(self) -> tuple[str, ...]:
        return (*super().headers, "apr_dots.h", "apr_coded.h")

    @property
    def in_floats(self) -> str:
        """The template of what takes over."""
        return "screened_lanes_f32.c.j2" if self.halves.data.size else "lanes_f32.c.j2"

    @property
    def eights(self) -> int:
        return -(-self.n_in // EIGHT)

    @property
    def others(self) -> tuple[int, ...]:
        """Points that have products."""
        return tuple(point for point in range(self.n_sums) if point != self.base)

    @property
    def some(self) -> int:
        return SOME

    @property
    def one_of(self) -> int:
        return ONE_OF

    @property
    def gathered(self) -> int:
        return GATHERED

    @property
    def settled(self) -> tuple[int, ...]:
        return SETTLED


def screened_codes(form: Lanes) -> ScreenedCodes | None:
    """None: it cannot be screened at all, there are no kernels for as many points or so few columns, or floats do not
    reach from the middle of the points to the codes' last bits. form: what takes over.

    With w_j the place of a point less that of `base`, p_j its place from the middle, t the unit of weights, s a step,
    X a row's codes: half the squared distance, but for a constant of the row, is p_j^2 / 2 - w_j (s X + d), each |d|
    at most s / 2. In units of s t that differs between two points j and k from what is summed by at most |w_j - w_k|_1
    / 2 t for d, |r_j - r_k| |X| for what rounding left of w / t, r, and 1 for the starts. Distances as they are
    computed, D (1 + e) with e as in ScreenedLanes and less than the least float squared for each column, have the
    order of D_j and D_k where these differ by more than 2 e of the smaller one, and that is at most 2 (s |X|)^2 + 2 (p
    + s sqrt(n) / 2)^2.
    """
    if not form.begun or not can_be_screened(form):
        return None
    points = form.columns().astype(np.float64)
    n_in, n_sums = points.shape
    middle = points.mean(axis=1)
    size = _lengths(points - middle[:, None]).max()
    step = 2.0 ** np.ceil(np.log2(RANGE * size / MOST))
    middle = np.rint(middle / step) * step
    zero = 1.5 * 2.0**23 * step
    shifts = zero - middle
    if np.abs(middle).max() > zero / 3 or not np.array_equal(shifts, shifts.astype(np.float32).astype(np.float64)):
        return None
    places = points - middle[:, None]
    base = int(np.argmin(_lengths(places)))
    apart = points - points[:, base : base + 1]
    unit = _lengths(apart).max() / WEIGHT
    codes = np.rint(apart / unit)
    starts = np.rint(np.square(places).sum(axis=0) / (2 * step * unit))
    if _lengths(codes).max() * MOST + starts.max() + 16 >= 2.0**30:
        return None
    rest = apart / unit - codes
    of_rows, of_weights = (
        max(float(of(own[:, j] - own[:, k])) for j, k in combinations(range(n_sums), 2))
        for of, own in ((_size, apart / unit), (_lengths, rest))
    )
    error = 1.05 * (n_in + 3) * _UNIT
    far = _lengths(places).max() + step * np.sqrt(n_in) / 2
    of_codes = 1 + _PLACES + of_rows / 2 + (2 * error * far**2 + n_in * 2.0**-148) / (step * unit)
    order = np.minimum(np.arange(-(-n_in // EIGHT) * EIGHT).reshape(-1, EIGHT), n_in)
    order[-1] = np.arange(n_in - EIGHT, n_in)
    fresh = np.ones(order.shape, np.bool_)
    fresh[-1] = order[-1] >= EIGHT * (len(order) - 1)
    others = [point for point in range(n_sums) if point != base]
    weights = np.where(fresh.reshape(-1, 1), -codes[order.reshape(-1)][:, others], 0)
    own = {field.name: getattr(form, field.name) for field in fields(form)}
    return ScreenedCodes(
        **{"halves": Table(np.zeros(0, np.float32))} | own | {"nearest": True},
        pairs=Table(weights.reshape(-1, 2, n_sums - 1).transpose(0, 2, 1).reshape(-1), np.int16),
        shifts=Table(shifts[order.reshape(-1)], np.float32),
        starts=Table(starts, np.int32),
        zero=int(np.float32(zero).view(np.int32)),
        base=base,
        of_codes=float(np.float32(_ROUNDED * of_codes)),
        of_root_code=float(np.float32(_ROUNDED * of_weights)),
        of_square=float(np.float32(_ROUNDED * 2 * error * step / unit)),
    )


def _lengths(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(np.square(columns).sum(axis=0)))


def _size(column: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.abs(column).sum())
