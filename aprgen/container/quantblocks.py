"""Quantized blocks: Q8_0 and Q4_0 of v1 payloads, and what APR v2 tensors use, to and from float32.

Arithmetic as in the original: one float32 rounding per operation. The blocks are not those of GGUF for Q4_0: here
neighbours share a byte. Knows no containers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aprgen.container.source import Bytes

F32 = NDArray[np.float32]

BLOCK = 32  # values per block
Q8_0_BYTES = 2 + BLOCK
Q4_0_BYTES = 2 + BLOCK // 2
SUPER_BLOCK = 256  # values per K-quant block
Q4_K_BYTES = 2 + 2 + 12 + 128
Q6_K_BYTES = 128 + 64 + 16 + 2
SMALLEST_V2_SCALE = np.float32(6.1e-5)  # v2 readers take a scale below it, the halves' subnormals, for zero


def block_bytes(n: int, per_block: int, size: int) -> int:
    """The bytes of `n` values, the last block padded."""
    return -(-n // per_block) * size


def dequantize_q8_0(data: Bytes, n: int) -> F32:
    """The first `n` values of whole blocks: half scale, 32 signed bytes."""
    scale, body = _blocks(data, n, Q8_0_BYTES)
    return _multiply(body.view(np.int8).astype(np.float32), scale)[:n]


def dequantize_q4_0(data: Bytes, n: int) -> F32:
    """The first `n` values of whole blocks: half scale, 16 bytes with two values each, the even one low, each + 8."""
    scale, body = _blocks(data, n, Q4_0_BYTES)
    return _multiply(_nibbles(body), scale)[:n]


def dequantize_q4_v2(data: Bytes, n: int) -> F32:
    """As Q4_0, but a scale that is NaN, infinite or below 6.1e-5 in magnitude counts as zero."""
    scale, body = _blocks(data, n, Q4_0_BYTES)
    usable = np.isfinite(scale) & (np.abs(scale) >= SMALLEST_V2_SCALE)
    return _multiply(_nibbles(body), np.where(usable, scale, np.float32(0.0)))[:n]


def dequantize_q8_v2(data: Bytes, n: int) -> F32:
    """One float32 scale, then `n` signed bytes."""
    scale = np.frombuffer(data, "<f4", 1)
    values = np.frombuffer(data, np.int8, n, offset=4).astype(np.float32)
    with np.errstate(all="ignore"):
        return np.asarray(values * scale, dtype=np.float32)


def dequantize_q4_k(data: Bytes, n: int) -> F32:
    """ggml's Q4_K: eight groups of 32 with 6-bit scale and minimum; value = (d * scale) * q - dmin * minimum."""
    raw = np.frombuffer(data, np.uint8).reshape(-1, Q4_K_BYTES)
    d = _halves(raw[:, 0:2])
    dmin = _halves(raw[:, 2:4])
    packed = raw[:, 4:16]
    first, second, third = packed[:, 0:4], packed[:, 4:8], packed[:, 8:12]
    scale = np.concatenate([first & 63, (third & 15) | ((first >> 6) << 4)], axis=1).astype(np.float32)
    minimum = np.concatenate([second & 63, (third >> 4) | ((second >> 6) << 4)], axis=1).astype(np.float32)
    # 128 bytes are four runs of 32; the low nibbles are one group, the high nibbles the next.
    runs = raw[:, 16:].reshape(-1, 4, 32)
    q = np.stack([runs & 15, runs >> 4], axis=2).reshape(-1, 8, 32).astype(np.float32)
    with np.errstate(all="ignore"):
        values = (d * scale)[:, :, None] * q - (dmin * minimum)[:, :, None]
    return np.asarray(values, dtype=np.float32).reshape(-1)[:n]


def dequantize_q6_k(data: Bytes, n: int) -> F32:
    """ggml's Q6_K: sixteen groups of 16 with a signed 8-bit scale; value = (d * scale) * (q - 32)."""
    raw = np.frombuffer(data, np.uint8).reshape(-1, Q6_K_BYTES)
    low = raw[:, :128].reshape(-1, 2, 2, 32)  # half, run of 32 bytes, byte
    high = raw[:, 128:192].reshape(-1, 2, 1, 32)
    scale = raw[:, 192:208].view(np.int8).astype(np.float32)
    d = _halves(raw[:, 208:210])
    # A half holds 128 values: low nibbles of both runs, then high nibbles, each with two bits of `high`.
    four_bits = np.concatenate([low & 15, low >> 4], axis=2)
    two_bits = (high >> np.array([0, 2, 4, 6], np.uint8).reshape(1, 1, 4, 1)) & 3
    q = (four_bits | (two_bits << 4)).astype(np.float32) - np.float32(32.0)
    with np.errstate(all="ignore"):
        values = (d * scale)[:, :, None] * q.reshape(-1, 16, 16)
    return np.asarray(values, dtype=np.float32).reshape(-1)[:n]


def quantize_q8_0(values: F32) -> bytes:
    """Blocks of 32; the last is padded with zeros."""
    rows = _padded(values)
    scale, q = _quantize(rows, limit=127.0, low=-127, high=127)
    return _joined(scale, q.astype(np.int8).view(np.uint8))


def quantize_q4_0(values: F32) -> bytes:
    """Blocks of 32; the last is padded with the nibble of zero, 8."""
    rows = _padded(values)
    scale, q = _quantize(rows, limit=7.0, low=-8, high=7)
    stored = q + 8
    return _joined(scale, (stored[:, 0::2] | (stored[:, 1::2] << 4)).astype(np.uint8))


def _blocks(data: Bytes, n: int, size: int) -> tuple[F32, NDArray[np.uint8]]:
    """Scales [blocks, 1] and bodies [blocks, bytes]."""
    count = -(-n // BLOCK)
    raw = np.frombuffer(data, np.uint8, count * size).reshape(count, size)
    return _halves(raw[:, :2]), np.ascontiguousarray(raw[:, 2:])


def _halves(pairs: NDArray[np.uint8]) -> F32:
    """Little-endian half floats [rows, 2 bytes] as float32 [rows, 1]."""
    return np.ascontiguousarray(pairs).view("<f2").astype(np.float32)


def _nibbles(body: NDArray[np.uint8]) -> F32:
    return np.stack([body & 15, body >> 4], axis=2).reshape(-1, BLOCK).astype(np.float32) - np.float32(8.0)


def _multiply(q: F32, scale: F32) -> F32:
    with np.errstate(all="ignore"):
        return np.asarray(q * scale, dtype=np.float32).reshape(-1)


def _padded(values: F32) -> F32:
    rows = np.zeros((-(-values.size // BLOCK), BLOCK), np.float32)
    rows.reshape(-1)[: values.size] = values.reshape(-1)
    return rows


def _quantize(rows: F32, limit: float, low: int, high: int) -> tuple[F32, NDArray[np.int32]]:
    """Unrounded scales [rows, 1] and integers, rounded half away from zero; NaN becomes 0."""
    with np.errstate(all="ignore"):
        largest = np.fmax.reduce(np.abs(rows), axis=1, keepdims=True, initial=np.float32(0.0))
        scale = np.where(largest == 0.0, np.float32(1.0), largest / np.float32(limit)).astype(np.float32)
        scaled = (rows * (np.float32(1.0) / scale)).astype(np.float64)  # wide, so that + 0.5 is exact
        rounded = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled)
        return scale, np.clip(np.nan_to_num(rounded, nan=0.0), low, high).astype(np.int32)


def _joined(scale: F32, body: NDArray[np.uint8]) -> bytes:
    with np.errstate(over="ignore"):
        halves = scale.astype("<f2").view(np.uint8).reshape(-1, 2)
    return np.concatenate([halves, body], axis=1).tobytes()
