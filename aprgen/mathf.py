"""Numpy twins of runtime_c/apr_math.h, apr_sqrt.h and apr_log64.h: the same operations in the same order.

Each function takes an array of any shape (float32; counts for log_f64) and gives the bits that the C gives, any NaN
equal to any NaN. Knows nothing of ops or targets; formats and constants are explained in the C.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
_U64 = NDArray[np.integer[Any]]  # uint64 always; numpy's stubs forget the type where a Python int takes part
_I64 = NDArray[np.integer[Any]]  # int64 always

_LOG2_E_Q39 = np.uint64(0xB8AA3B295C)
_LN_2_Q32 = np.uint64(0xB17217F8)
_ONE = 0x3F800000
_INFINITY = 0x7F800000
_NAN = 0x7FC00000
_SIGN = 0x80000000

_EXP2_SLOPE = (0x15BD3, 0x99317, 0x57BF1A, 0x2763464, 0xE3589F8, 0x3D7F7BA6, 0xB17217FB)  # highest degree first, Q32

_LOG2_C_Q8 = np.array([256, 228, 205, 186, 171, 158, 146, 137, 128], np.int64)
_MINUS_LOG2_C_Q55 = np.array(
    [
        0x00000000000000,
        0x1563DC29FFACB2,
        0x2906CBCD2BAF2D,
        0x3AFCD815786AF2,
        0x4A83CF0D01C16E,
        0x591DB662B66426,
        0x67B3D42FD0FC4D,
        0x7373AF48DCE653,
        0x80000000000000,
    ],
    np.int64,
)
_LOG2_Q = (-0x33C3, 0x1EE32, -0x1277A9, 0xB8AA18, -0x7B1C275, 0x5C551D95)  # highest degree first, Q16 to Q31

_LN_C_Q8 = (256, 228, 205, 187, 171, 158, 147, 137)
_MINUS_LN_C_Q59 = (
    0x0000000000000000,
    0x00ED393B1C223513,
    0x01C6FFBC6F00F70A,
    0x028336847ABD18E4,
    0x033A657D42BDA762,
    0x03DC542AD6827CA0,
    0x04701E126B9801CB,
    0x050067084972A4C6,
)
_LN_TERMS_Q63 = (  # highest degree first
    0x057F7F142F8DCD58,
    0x0A263D6E3067CDCA,
    0x0C899EB5330716C4,
    0x0E3129B8DD9580F6,
    0x0FFF67AFAD40406B,
    0x12491CAF4553A4BF,
    0x155555102BADD02B,
    0x1999999817CDAF25,
    0x1FFFFFFFFB07236D,
    0x2AAAAAAAAAA22CD3,
    0x3FFFFFFFFFFFFA50,
    0x7FFFFFFFFFFFFFFF,
)


def _bits(x: ArrayLike) -> _U64:
    """The bit patterns of float32 values, in 64-bit integers so that no step below overflows."""
    return np.asarray(x, np.float32).view(np.uint32).astype(np.uint64)


def _floats(bits: _U64) -> F32:
    return bits.astype(np.uint32).view(np.float32)


def _is_nan(bits: _U64) -> NDArray[np.bool_]:
    return (bits & 0x7FFFFFFF) > _INFINITY


def _mantissa(bits: _U64) -> _U64:
    implicit = np.where(bits & 0x7F800000, np.uint64(0x800000), np.uint64(0))
    return (bits & 0x7FFFFF) | implicit


def _exponent(bits: _U64) -> _I64:
    return np.maximum(((bits >> 23) & 0xFF).astype(np.int64), 1)


def _clz(v: _U64, width: int) -> _U64:
    """Zeros above the highest set bit of values of `width` bits, none of them 0; by halving, as portable C."""
    zeros = np.zeros_like(v)
    rest = v.copy()
    step = width // 2
    while step:
        low = rest < np.uint64(1 << (width - step))
        zeros = np.where(low, zeros + np.uint64(step), zeros)
        rest = np.where(low, rest << np.uint64(step), rest)
        step //= 2
    return zeros


def _exp2_slope(f: _U64) -> _U64:
    r = np.full_like(f, _EXP2_SLOPE[0])
    for coefficient in _EXP2_SLOPE[1:]:
        r = np.uint64(coefficient) + ((f * r) >> 32)
    return r


def _exp2_bits(p: _U64, e: _I64, negative: NDArray[np.bool_]) -> _U64:
    t = p >> (30 - np.clip(e, -33, 8)).astype(np.uint64)
    limit = np.where(negative, np.uint64(150 << 32), np.uint64(128 << 32))
    beyond = t >= limit
    t = np.where(beyond, np.uint64(0), t)
    biased = np.uint64(150 << 32) + np.where(negative, np.uint64(0) - t, t)
    k = biased >> 32
    f = biased & 0xFFFFFFFF
    g = np.uint64(0x80000000) + (((f * _exp2_slope(f)) >> 32) >> 1)
    exponent = np.where(k > 24, k - 24, np.uint64(0))
    shift = np.uint64(7) + np.where(k < 24, np.uint64(24) - k, np.uint64(0))
    inside = (exponent << 23) + (((g >> shift) + 1) >> 1)
    return np.where(beyond, np.where(negative, np.uint64(0), np.uint64(_INFINITY)), inside)


def expf(x: ArrayLike) -> F32:
    """e^x."""
    with np.errstate(over="ignore"):
        bits = _bits(x)
        r = _exp2_bits(_mantissa(bits) * _LOG2_E_Q39, _exponent(bits) - 127, bits >= _SIGN)
        return _floats(np.where(_is_nan(bits), bits, r))


def exp2f(x: ArrayLike) -> F32:
    """2^x."""
    with np.errstate(over="ignore"):
        bits = _bits(x)
        r = _exp2_bits(_mantissa(bits) << 39, _exponent(bits) - 127, bits >= _SIGN)
        return _floats(np.where(_is_nan(bits), bits, r))


def _log2_of(bits: _U64) -> tuple[_U64, _I64, NDArray[np.bool_]]:
    """log2 as +-magnitude * 2^(exponent - 63); bits of positive finite floats other than 1."""
    m = _mantissa(bits)
    shift = _clz(m, 32) - 8
    k = _exponent(bits) - 127 - shift.astype(np.int64)
    m = m << shift
    j = ((m - 0x800000 + 0x80000) >> 20).astype(np.int64)
    z = m.astype(np.int64) * _LOG2_C_Q8[j] - 0x80000000
    y = z * 16
    q = np.full_like(y, _LOG2_Q[0])
    for coefficient in _LOG2_Q[1:]:
        q = coefficient + ((y * q) >> 32)
    a = 0xB8AA3B296 - ((z * q) >> 27)
    bracket = k * (1 << 55) + _MINUS_LOG2_C_Q55[j]
    w = bracket + ((z * a) >> np.where(bracket != 0, 11, 0))
    magnitude = np.abs(w).astype(np.uint64)
    zeros = _clz(magnitude, 64)
    return magnitude << zeros, np.where(bracket != 0, 8, -3) - zeros.astype(np.int64), w < 0


def _pack(g: _U64, k: _I64) -> _U64:
    return ((k + 126).astype(np.uint64) << 23) + (((g >> 7) + 1) >> 1)


def logf(x: ArrayLike) -> F32:
    """ln x; -infinity at either zero, NaN below."""
    with np.errstate(over="ignore"):
        bits = _bits(x)
        ordinary = (bits > 0) & (bits < _INFINITY) & (bits != _ONE)
        magnitude, exponent, negative = _log2_of(np.where(ordinary, bits, np.uint64(0x40000000)))
        p = (magnitude >> 32) * _LN_2_Q32
        carry = p >> 63
        p = p << (1 - carry)
        r = _pack(p >> 32, exponent - 1 + carry.astype(np.int64)) | (negative.astype(np.uint64) << 31)
        r = np.where(bits == _ONE, np.uint64(0), np.where(bits > _SIGN, np.uint64(_NAN), r))
        r = np.where((bits & 0x7FFFFFFF) == 0, np.uint64(0xFF800000), r)
        return _floats(np.where(_is_nan(bits) | (bits == _INFINITY), bits, r))


def _parity(magnitude: _U64) -> _U64:
    """0: no integer, 1: odd, 2: even; of finite floats."""
    e = magnitude >> 23
    m = _mantissa(magnitude)
    unit = np.uint64(1) << (150 - np.clip(e, 127, 150))
    odd = np.where((m & unit) != 0, np.uint64(1), np.uint64(2))
    parity = np.where((m & (unit - 1)) != 0, np.uint64(0), odd)
    return np.where(e < 127, np.uint64(0), np.where(e > 150, np.uint64(2), parity))


def _pow_special(x: _U64, y: _U64, sign: _U64) -> _U64:
    ax = x & 0x7FFFFFFF
    ay = y & 0x7FFFFFFF
    one = np.uint64(_ONE) | sign
    unit = np.where((ay == _INFINITY) | (_parity(ay) != 0), one, np.uint64(_NAN))
    grows = (ax > _ONE) ^ (y >= _SIGN)
    edge = np.where(grows, np.uint64(_INFINITY) | sign, sign)
    at_edge = (ay == _INFINITY) | (ax == 0) | (ax == _INFINITY)
    r = np.where(ax == _ONE, unit, np.where(at_edge, edge, np.uint64(_NAN)))
    r = np.where((ax > _INFINITY) | (ay > _INFINITY), np.uint64(_NAN), r)
    return np.where((ay == 0) | (x == _ONE), np.uint64(_ONE), r)


def powf(x: ArrayLike, y: ArrayLike) -> F32:
    """x^y with every special case of C; x and y are broadcast."""
    with np.errstate(over="ignore"):
        bx, by = np.broadcast_arrays(_bits(x), _bits(y))
        ax = bx & 0x7FFFFFFF
        ay = by & 0x7FFFFFFF
        y_finite = (ay != 0) & (ay < _INFINITY)
        parity = np.where(y_finite, _parity(ay), np.uint64(2))
        sign = np.where(parity == 1, bx & _SIGN, np.uint64(0))
        special = ~y_finite | (ax == 0) | (ax >= _INFINITY) | (ax == _ONE) | ((bx != ax) & (parity == 0))
        magnitude, exponent, negative = _log2_of(np.where(special, np.uint64(0x40000000), ax))
        p = _mantissa(by) * (magnitude >> 24)
        r = _exp2_bits(p, _exponent(by) - 127 + exponent, negative ^ (by >= _SIGN)) | sign
        return _floats(np.where(special, _pow_special(bx, by, sign), r))


def _reciprocal_q31(d: _U64) -> _U64:
    r = 0xB4B4B4B5 - ((d * 0x78787878) >> 32)
    for _ in range(3):
        correction = (np.uint64(0) - ((d * r) >> 31)) & 0xFFFFFFFF
        r = (r * correction) >> 31
    return r


def tanhf(x: ArrayLike) -> F32:
    """Hyperbolic tangent."""
    with np.errstate(over="ignore"):
        bits = _bits(x)
        sign = bits & _SIGN
        ax = bits ^ sign
        small = ax < 0x39800000
        large = ax >= 0x41800000
        inside = np.where(small | large, np.uint64(_ONE), ax)
        one = np.uint64(1 << 48)
        u = (_mantissa(inside) * _LOG2_E_Q39) >> (140 - (inside >> 23))
        f = (u >> 16) & 0xFFFFFFFF
        slope = _exp2_slope(f)
        e = ((f * slope) >> 16) + (((u & 0xFFFF) * slope) >> 32)
        h = one >> (u >> 48)
        numerator = (e + one) - h
        denominator = (e + one) + h
        halved = denominator >> 49
        zeros = _clz(numerator, 64)
        n = (numerator << zeros) >> 32
        p = n * _reciprocal_q31(denominator >> (17 + halved))
        high = p >> 62
        k = 14 + high.astype(np.int64) - zeros.astype(np.int64) - halved.astype(np.int64)
        r = _pack(p >> (30 + high), k) | sign
        r = np.where(large, np.uint64(_ONE) | sign, r)
        return _floats(np.where(small | _is_nan(bits), bits, r))


def sigmoidf(x: ArrayLike) -> F32:
    """1 / (1 + e^-x), one rounding per operation."""
    with np.errstate(all="ignore"):
        one = np.float32(1.0)
        return np.asarray(one / (one + expf(-np.asarray(x, np.float32))), np.float32)


def geluf(x: ArrayLike) -> F32:
    """x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), one rounding per operation."""
    with np.errstate(all="ignore"):
        v = np.asarray(x, np.float32)
        cube = (v * v) * v
        inner = np.float32(float.fromhex("0x1.988452p-1")) * (v + (np.float32(float.fromhex("0x1.6e4e26p-5")) * cube))
        return np.asarray((np.float32(0.5) * v) * (np.float32(1.0) + tanhf(inner)), np.float32)


def sqrtf(x: ArrayLike) -> F32:
    """Square root, correctly rounded."""
    with np.errstate(all="ignore"):
        return np.asarray(np.sqrt(np.asarray(x, np.float32)), np.float32)


def _log_of_count(n: int) -> float:
    if n <= 1:
        return 0.0 if n else -np.inf
    zeros = 32 - n.bit_length()
    m = n << zeros
    k = 31 - zeros
    j = (m >> 28) - 8
    z = (m * _LN_C_Q8[j] - (1 << 39)) << 25
    p = _LN_TERMS_Q63[0]
    for term in _LN_TERMS_Q63[1:]:
        p = term - ((z * p) >> 64)
    k_ln2 = k * 0x058B90BFBE8E7BCD + ((k * 0x5E4F1D9D) >> 32)
    total = k_ln2 + _MINUS_LN_C_Q59[j] + (((z * p) >> 64) >> 4) + 1
    shift = 64 - total.bit_length()
    bits = ((1026 - shift) << 52) + ((((total << shift) >> 10) + 1) >> 1)
    return float(np.uint64(bits).view(np.float64))


def log_f64(n: ArrayLike) -> F64:
    """ln n in float64 for counts n in [0, 2^32); -infinity for 0."""
    counts = np.asarray(n, np.uint32)
    distinct, where = np.unique(counts, return_inverse=True)
    logs = np.array([_log_of_count(int(v)) for v in distinct], np.float64)
    return logs[where].reshape(counts.shape)
