"""runtime_c/apr_tfidf.h and the counting of apr_text.h against double arithmetic in numpy."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aprgen import mathf
from aprgen.ops.tfidf import MAX_IDF, MIN_IDF
from tests.text import compiled

EXPORTS = """
#include "apr_text.h"
#include "apr_tfidf.h"
void weigh(const float *counts, const double *idf, float *out, size_t n);
void weigh_sublinear(const float *counts, const double *idf, float *out, size_t n);
float count_up(float from, uint32_t times);
void weigh(const float *counts, const double *idf, float *out, size_t n)
{
    for (size_t i = 0; i < n; ++i) {
        out[i] = apr_weigh(apr_tf(counts[i]), idf[i]);
    }
}
void weigh_sublinear(const float *counts, const double *idf, float *out, size_t n)
{
    for (size_t i = 0; i < n; ++i) {
        out[i] = apr_weigh(apr_tf_sublinear(counts[i]), idf[i]);
    }
}
float count_up(float from, uint32_t times)
{
    for (uint32_t i = 0; i < times; ++i) {
        from = apr_count_up(from);
    }
    return from;
}
"""
N = 400_000


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    directory: Path = tmp_path_factory.mktemp("apr_tfidf")
    (directory / "t.c").write_text(EXPORTS)
    arguments = [*compiled.STANDARD, "-shared", "-fPIC", str(directory / "t.c"), "-o", str(directory / "t.so")]
    compiled.compile_c(["gcc"], arguments, directory)
    library = ctypes.CDLL(str(directory / "t.so"))
    library.count_up.restype = ctypes.c_float
    return library


def numbers(seed: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Counts of every size, and idf values: fitted ones, any mantissa, few bits (so that products tie), the limits."""
    generator = np.random.default_rng(seed)
    counts = (2 ** generator.uniform(0, 24, N)).astype(np.int64).astype(np.float32)
    counts[: 1 << 12] = np.arange(1, (1 << 12) + 1)
    counts[-1] = 1 << 24
    fitted = 1 + np.log(generator.integers(2, 1000, N) / generator.integers(1, 500, N).clip(1))
    wide = 10 ** generator.uniform(-30, 30, N)
    ties = generator.integers(1, 1 << 30, N) * 2.0 ** generator.integers(-60, 20, N)
    idf = np.choose(generator.integers(0, 3, N), [np.abs(fitted) + 0.01, wide, ties]).clip(MIN_IDF, MAX_IDF)
    idf[-5:] = [MIN_IDF, MAX_IDF, 0.0, 1.0, MAX_IDF]
    return counts, idf


def call(function: ctypes._NamedFuncPointer, counts: NDArray[np.float32], idf: NDArray[np.float64]) -> bytes:
    out = np.empty(N, np.float32)
    pointers = (array.ctypes.data_as(ctypes.c_void_p) for array in (counts, idf, out))
    function(*pointers, ctypes.c_size_t(N))
    return out.tobytes()


def test_weights_are_those_of_double_arithmetic(header: ctypes.CDLL) -> None:
    """The product, rounded to float64 and to float32: the same bits, ties and carries included."""
    counts, idf = numbers(1)

    assert (counts.astype(np.float64) * idf).astype(np.float32).tobytes() == call(header.weigh, counts, idf)


def test_sublinear_weights_are_those_of_double_arithmetic(header: ctypes.CDLL) -> None:
    """The sum 1 + ln tf as well, with the logarithm of apr_log64.h."""
    counts, idf = numbers(2)
    tf = 1.0 + mathf.log_f64(counts.astype(np.uint32))

    assert (tf * idf).astype(np.float32).tobytes() == call(header.weigh_sublinear, counts, idf)


def test_counting_goes_to_2_to_the_24_and_stops(header: ctypes.CDLL) -> None:
    """Every step of a count is exact; after 16,777,216 nothing changes."""
    for limit in (0, 1, 2, 3, 255, 256, 1 << 23, (1 << 24) - 1, 1 << 24, (1 << 24) + 5):
        assert min(limit, 1 << 24) == header.count_up(ctypes.c_float(0.0), ctypes.c_uint32(limit))
