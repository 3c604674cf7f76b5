"""The element types of APR v2 tensors: their stored size, and their values as float32.

Knows the numbers of the index's type byte; knows no files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.container.quantblocks import (
    BLOCK,
    Q4_0_BYTES,
    Q4_K_BYTES,
    Q6_K_BYTES,
    SUPER_BLOCK,
    dequantize_q4_k,
    dequantize_q4_v2,
    dequantize_q6_k,
    dequantize_q8_v2,
)
from aprgen.container.source import Bytes

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class TensorType:
    """Elements are stored in groups, perhaps behind a prefix that all of them share."""

    name: str
    to_float32: Callable[[Bytes, int], F32]  # data of exactly stored_bytes(n), n; integers round to nearest
    group: int  # elements
    group_bytes: int
    prefix_bytes: int = 0
    in_place: bool = False  # float32 already, used where it lies

    def stored_bytes(self, n: int) -> int:
        """Of n elements; the last group is padded."""
        return self.prefix_bytes + -(-n // self.group) * self.group_bytes

    def convert_windows(self, windows: Iterable[memoryview], values: F32) -> None:
        """Fill `values` from bytes that come in windows: whole groups of each, and what is left goes before the next.
        """
        prefix = rest = b""
        done = 0
        for window in windows:
            data = rest + bytes(window)
            if len(prefix) < self.prefix_bytes:
                prefix, data = data[: self.prefix_bytes], data[self.prefix_bytes :]
            whole = len(data) // self.group_bytes
            n = min(whole * self.group, len(values) - done)
            values[done : done + n] = self.to_float32(prefix + data[: whole * self.group_bytes], n)
            rest = data[whole * self.group_bytes :]
            done += n


def _plain(name: str, form: str) -> TensorType:
    dtype = np.dtype(form)

    def convert(data: Bytes, n: int) -> F32:
        with np.errstate(all="ignore"):
            return np.frombuffer(data, dtype, n).astype(np.float32, copy=False)

    return TensorType(name, convert, 1, dtype.itemsize, in_place=dtype == np.float32)


def _from_bfloat16(data: Bytes, n: int) -> F32:
    """A bfloat16 is the upper half of a float32."""
    return (np.frombuffer(data, "<u2", n).astype(np.uint32) << 16).view(np.float32)


_BF16 = TensorType("BF16", _from_bfloat16, 1, 2)
_Q4 = TensorType("Q4", dequantize_q4_v2, BLOCK, Q4_0_BYTES)
_Q8 = TensorType("Q8", dequantize_q8_v2, 1, 1, prefix_bytes=4)

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
    12: TensorType("Q4_K", dequantize_q4_k, SUPER_BLOCK, Q4_K_BYTES),
    14: TensorType("Q6_K", dequantize_q6_k, SUPER_BLOCK, Q6_K_BYTES),
    30: _BF16,
    128: _Q4,
    129: _Q8,
}
