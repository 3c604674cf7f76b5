"""exp, log and pow as the original library's C library gives them: the exact value, rounded once to float32.

predict() of every family uses these; the Program uses the fixed-length ones of mathf. Knows numbers only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


def _rounded(values: NDArray[np.float64]) -> F32:
    return np.asarray(values, dtype=np.float32)


def exp(x: F32) -> F32:
    with np.errstate(all="ignore"):
        return _rounded(np.exp(x.astype(np.float64)))


def log(x: F32) -> F32:
    with np.errstate(all="ignore"):
        return _rounded(np.log(x.astype(np.float64)))


def power(x: F32, y: float) -> F32:
    with np.errstate(all="ignore"):
        return _rounded(np.power(x.astype(np.float64), np.float64(y)))


def power_of_two(x: F32) -> F32:
    with np.errstate(all="ignore"):
        return _rounded(np.exp2(x.astype(np.float64)))


def tanh(x: F32) -> F32:
    with np.errstate(all="ignore"):
        return _rounded(np.tanh(x.astype(np.float64)))


def sigmoid(z: F32) -> F32:
    """1 / (1 + exp(-z)), this form for both signs, each operation rounded to float32."""
    with np.errstate(all="ignore"):
        return np.asarray(np.float32(1) / (np.float32(1) + exp(np.negative(z))), dtype=np.float32)


def softmax(x: F32) -> F32:
    """exp(x - max) / sum, the sum from left to right; [rows, size]."""
    with np.errstate(all="ignore"):
        e = exp(x - np.fmax.reduce(x, axis=1, keepdims=True, initial=np.float32(-np.inf)))
        return np.asarray(e / running_sum(e)[:, None], dtype=np.float32)


def softmax_by_reciprocal(x: F32) -> F32:
    """As softmax, but each exp is multiplied by 1 / sum: the network layer of the original library does that."""
    with np.errstate(all="ignore"):
        e = exp(x - np.fmax.reduce(x, axis=1, keepdims=True, initial=np.float32(-np.inf)))
        return np.asarray(e * (np.float32(1) / running_sum(e)[:, None]), dtype=np.float32)


def running_sum(x: F32) -> F32:
    """Row sums from +0.0, left to right, one rounding per addition; [rows]."""
    total = np.zeros(len(x), np.float32)
    with np.errstate(all="ignore"):
        for col in range(x.shape[1]):
            total = total + x[:, col]
    return total
