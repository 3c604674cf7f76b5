"""Sums with one rounding, and bfloat16, are what the processor computes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aprgen import fused
from aprgen.verify import same_bits
from tests.differential.compiled import compile_c

F32 = NDArray[np.float32]

# The library's fmaf is exact, with the instruction or without.
FMA = """
#include <math.h>
#include <stddef.h>
void all_of(const float *a, const float *b, const float *c, float *y, size_t n);
void all_of(const float *a, const float *b, const float *c, float *y, size_t n)
{
    for (size_t i = 0U; i < n; ++i) {
        y[i] = fmaf(a[i], b[i], c[i]);
    }
}
"""

HALVES = """
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
void all_of(const uint16_t *a, const uint16_t *b, const float *c, float *y, size_t n);
void rounded(const float *x, uint16_t *y, size_t n);
void all_of(const uint16_t *a, const uint16_t *b, const float *c, float *y, size_t n)
{
    for (size_t i = 0U; i < n; i += 16U) {
        const __m512i left = _mm512_loadu_si512((const void *)&a[2U * i]);
        const __m512i right = _mm512_loadu_si512((const void *)&b[2U * i]);
        _mm512_storeu_ps(&y[i], _mm512_dpbf16_ps(_mm512_loadu_ps(&c[i]), (__m512bh)left, (__m512bh)right));
    }
}
void rounded(const float *x, uint16_t *y, size_t n)
{
    for (size_t i = 0U; i < n; i += 16U) {
        _mm256_storeu_si256((__m256i *)(void *)&y[i], (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(&x[i])));
    }
}
"""


def pointer(array: NDArray[np.generic]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def awkward(n: int, seed: int) -> tuple[F32, F32, F32]:
    """Any bits; short numbers, whose sums are often halfway; sums that nearly vanish; products far below a sum; and
    results about the smallest numbers."""
    chance = np.random.default_rng(seed)
    any_bits = [chance.integers(0, 1 << 32, n, dtype=np.uint32).view(np.float32) for _ in range(3)]
    short = [np.ldexp(chance.integers(-4095, 4096, n), chance.integers(-30, 30, n)) for _ in range(3)]
    a, b = (chance.normal(size=n).astype(np.float32) for _ in range(2))
    near = [a, b, np.nextafter(-(a * b), np.float32(chance.choice((-1, 1))))]
    far = [a, b, np.ldexp(chance.integers(1, 1 << 24, n) + 0.0, chance.integers(0, 60, n))]
    tiny = [np.ldexp(a.astype(np.float64), chance.integers(-80, -60, n)), np.ldexp(b.astype(np.float64), -75)]
    tiny.append(np.ldexp(chance.normal(size=n), chance.integers(-155, -120, n)))
    half = [np.ldexp(1 + chance.integers(0, 2, n) * 2.0**-23, -74), np.ldexp(chance.integers(1, 8, n) + 0.0, -76)]
    half.append(np.ldexp(chance.integers(-16, 16, n) + 0.0, -149))
    ties = [np.full(n, 1 + 2.0**-23), chance.choice((-1, 1), n) * np.ldexp(1 - 2.0**-23, chance.integers(-30, 30, n))]
    ties.append(np.ldexp(chance.integers(1 << 23, 1 << 24, n) + 0.0, chance.integers(-30, 30, n)))
    kinds = (any_bits, short, near, far, tiny, half, ties)
    made = [np.concatenate([kind[i].astype(np.float32) for kind in kinds]) for i in range(3)]
    special = np.array([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 2.0**-149, -(2.0**-149), 3.4028235e38], np.float32)
    grid = [part.reshape(-1) for part in np.meshgrid(special, special, special)]
    whole = [np.concatenate([m, g]) for m, g in zip(made, grid, strict=True)]
    left = -len(whole[0]) % 16
    x, y, z = (np.ascontiguousarray(np.pad(part, (0, left))) for part in whole)
    return x, y, z


def test_fmaf_is_that_of_c(tmp_path: Path) -> None:
    """Millions of sums, with ties, cancellation, subnormal numbers, overflow and NaN."""
    (tmp_path / "fma.c").write_text(FMA)
    compile_c("gcc", ("-std=c99", "-O2", "-shared", "-fPIC", "fma.c", "-o", "fma.so", "-lm"), tmp_path)
    library = ctypes.CDLL(str(tmp_path / "fma.so"))
    with np.errstate(all="ignore"):
        a, b, c = awkward(400_000, 1)
    expected = np.zeros_like(a)
    library.all_of(pointer(a), pointer(b), pointer(c), pointer(expected), ctypes.c_size_t(len(a)))
    found = fused.fmaf(a, b, c)

    assert bool(same_bits(expected, found).all())
    with np.errstate(all="ignore"):
        twice = (a.astype(np.float64) * b + c).astype(np.float32)
    assert not bool(same_bits(expected, twice).all())  # the rows tell rounding twice from rounding once


def test_fmaf_of_a_tie() -> None:
    """A sum that float64 rounds to the middle of two floats goes where the exact sum lies: 2^30 + 64 + 2^-40."""
    a, b, c = (np.array([value], np.float32) for value in (1 + 2.0**-23, -64 * (1 - 2.0**-23), 2.0**30 + 128))

    assert fused.fmaf(a, b, c).tolist() == [2.0**30 + 128]
    assert (a.astype(np.float64) * b + c).astype(np.float32).tolist() == [2.0**30]


@pytest.mark.parametrize("compiler", ["gcc", "clang-14"])
def test_bf16_is_that_of_the_processor(
    compiler: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """Pairs of products, and rounding to bfloat16."""
    require_target("x86-avx512-bf16")
    (tmp_path / "halves.c").write_text(HALVES)
    flags = ("-std=c99", "-O1", "-mavx512f", "-mavx512bf16")
    compile_c(compiler, (*flags, "-shared", "-fPIC", "halves.c", "-o", "halves.so"), tmp_path)
    library = ctypes.CDLL(str(tmp_path / "halves.so"))
    with np.errstate(all="ignore"):
        a0, b0, c = awkward(100_000, 2)
        a1, b1, _ = awkward(100_000, 3)
        tiny = np.ldexp(np.random.default_rng(4).normal(size=len(c)), -126).astype(np.float32)
    for total in (c, tiny):
        pairs = []
        for one, other in ((a0, a1), (b0, b1)):
            halves = np.stack([one.view(np.uint32) >> 16, other.view(np.uint32) >> 16], axis=1).astype(np.uint16)
            pairs.append(np.ascontiguousarray(halves))
        expected = np.zeros_like(total)
        count = ctypes.c_size_t(len(total))
        library.all_of(pointer(pairs[0]), pointer(pairs[1]), pointer(total), pointer(expected), count)
        left, right = (fused.from_bf16(pair) for pair in pairs)
        found = fused.add_pair(total, (left[:, 0], right[:, 0]), (left[:, 1], right[:, 1]))
        assert bool(same_bits(expected, found).all())
        halves = np.zeros(len(total), np.uint16)
        library.rounded(pointer(total), pointer(halves), count)
        assert bool(same_bits(fused.from_bf16(halves), fused.from_bf16(fused.to_bf16(total))).all())


def test_sums_of_columns_are_those_of_one_after_the_other() -> None:
    """Sums over columns, in parts of the rows, are the elementwise functions column by column."""
    chance = np.random.default_rng(5)
    x, weight = (chance.normal(size=shape).astype(np.float32) for shape in ((700, 6), (6, 40)))
    start = chance.normal(size=(700, 40)).astype(np.float32)
    products, squares, pairs = start, start, start
    for col in range(6):
        own = x[:, col : col + 1]
        products = fused.fmaf(own, weight[col], products)
        d = own - weight[col]
        squares = fused.fmaf(d, d, squares)
    halves = [fused.from_bf16(fused.to_bf16(part)) for part in (x, weight)]
    for col in range(0, 6, 2):
        terms = [(halves[0][:, c : c + 1], halves[1][c]) for c in (col, col + 1)]
        pairs = fused.add_pair(pairs, terms[0], terms[1])

    assert bool(same_bits(products, fused.add_products(start, x, weight)).all())
    assert bool(same_bits(squares, fused.add_squares(start, x, weight)).all())
    assert bool(same_bits(pairs, fused.add_pairs(start, halves[0], halves[1])).all())
