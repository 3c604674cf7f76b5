"""The element types of APR v2 tensors: their stored size, and their values as float32.

Knows the numbers of the index's type byte; knows no files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.container.quantblocks import (
    BLOCK,
    Q4_0_BYTES,
    Q4_K_BYTES,
    Q6_K_BYTES,
    SUPER_BLOCK,
    block_bytes,
    dequantize_q4_k,
    dequantize_q4_v2,
    dequantize_q6_k,
    dequantize_q8_v2,
)

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class TensorType:
    name: str
    stored_bytes: Callable[[int], int]  # of n elements
    to_float32: Callable[[bytes, int], F32]  # data of exactly stored_bytes(n), n; integers round to nearest


def _plain(name: str, form: str) -> TensorType:
    dtype = np.dtype(form)

    def convert(data: bytes, n: int) -> F32:
        with np.errstate(all="ignore"):
            return np.frombuffer(data, dtype, n).astype(np.float32)

    return TensorType(name, lambda n: n * dtype.itemsize, convert)


def _from_bfloat16(data: bytes, n: int) -> F32:
    """A bfloat16 is the upper half of a float32."""
    return (np.frombuffer(data, "<u2", n).astype(np.uint32) << 16).view(np.float32)


def _blocks(name: str, per_block: int, size: int, convert: Callable[[bytes, int], F32]) -> TensorType:
    return TensorType(name, lambda n: block_bytes(n, per_block, size), convert)


_BF16 = TensorType("BF16", lambda n: 2 * n, _from_bfloat16)
_Q4 = _blocks("Q4", BLOCK, Q4_0_BYTES, dequantize_q4_v2)
_Q8 = TensorType("Q8", lambda n: 4 + n, dequantize_q8_v2)

# 30, 128 and 129 are the numbers of later versions, which still read 8 and 9.
TENSOR_TYPES: dict[int, TensorType] = {
    0: _plain("F32", "<f4"),
    1: _plain("F16", "<f2"),
    2: _BF16,
    3: _plain("F64", "<f8"),
    4: _plain("I32", "<i4"),
    5: _plain("I64", "<i8"),
    6: _plain("I8", "i1"),
    7: _plain("U8", "u1"),
    8: _Q4,
    9: _Q8,
    12: _blocks("Q4_K", SUPER_BLOCK, Q4_K_BYTES, dequantize_q4_k),
    14: _blocks("Q6_K", SUPER_BLOCK, Q6_K_BYTES, dequantize_q6_k),
    30: _BF16,
    128: _Q4,
    129: _Q8,
}
