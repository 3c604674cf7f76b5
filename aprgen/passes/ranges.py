"""Ranges of values from rows: the lowest and highest value that codes are made for, by three methods.

Knows rows and how they are covered by codes; knows no Program.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aprgen.program import Array

Method = Literal["minmax", "percentile", "mse"]
METHODS: tuple[Method, ...] = ("minmax", "percentile", "mse")

PERCENTILE = 99.9  # of the values of an element; "percentile" lets the others saturate
MSE_STEPS = 24  # ranges that "mse" tries, down to a quarter of the largest

_Doubles = NDArray[np.float64]


def spans(values: Array, method: Method, limit: int) -> tuple[_Doubles, _Doubles]:
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
