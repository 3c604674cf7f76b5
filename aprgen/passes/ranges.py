"""Ranges of values from rows: the lowest and highest value that codes are made for, by three methods.

Knows rows and how they are covered by codes; knows no Program.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.integer import LARGEST_ZERO
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


def rounded_up(values: _Doubles) -> _Doubles:
    """No scale is 0 or too small for float32."""
    return np.maximum(values, 1e-30)


def covering(
    low: _Doubles, high: _Doubles, limit: int, factor: _Doubles | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Codes per unit and the zero of each element, such that codes from -limit to limit cover low to high.

    See ops.integer.Quantise. factor: elements are compared after they are multiplied by it, and have one scale then.
    """
    width = np.where(high > low, high - low, 2 * np.maximum(np.abs(high), np.where(high == 0, 1.0, 0.0)))
    scale = np.maximum(rounded_up(width / (2 * limit)), np.abs(low + high) / (2 * LARGEST_ZERO))
    scale = scale if factor is None else (scale * factor).max() / factor
    inverse = (1 / scale).astype(np.float32)
    zero = np.where(high > low, np.rint((low + high) / 2 / (1 / inverse.astype(np.float64))), 0.0)
    return inverse, zero.astype(np.int32)


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
