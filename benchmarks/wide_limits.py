"""What one core does at most, measured with a target's compiler and flags: operations in registers alone, and reading.

For benchmarks whose figures are shares of it. Knows the runtime's vectors of floats; knows no model.
"""

from __future__ import annotations

import ctypes
import functools
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aprgen.core import runtime_headers
from aprgen.target import Target
from aprgen.toolchain import Toolchain

PEAK_STEPS = 20_000
PEAK_SUMS = 16
_LIMIT = """
#include "apr_floats_fused.h"
#define FUSED(a, x) apr_floats_add_product_fused(a, x, x)
#define FUSED_SQUARE(a, x) apr_floats_add_square_fused(a, x, point)
#define PRODUCT(a, x) apr_floats_add_product(a, x, x)
#define SQUARE(a, x) apr_floats_add_square(a, x, point)
#define KERNEL(name, STEP) \\
    float name(uint32_t n); \\
    float name(uint32_t n) \\
    { \\
        apr_floats x = apr_floats_all(0.5F), point = apr_floats_all(0.25F); \\
        %(begin)s \\
        for (uint32_t i = 0U; i < n; ++i) { \\
            %(steps)s \\
        } \\
        (void)point; \\
        float out[16]; \\
        apr_floats_store(out, %(sum)s); \\
        return out[0]; \\
    }
KERNEL(fused, FUSED)
KERNEL(products, PRODUCT)
KERNEL(squares, SQUARE)
KERNEL(fused_squares, FUSED_SQUARE)
#ifdef __AVX512BF16__
#define PAIR(a, x) _mm512_dpbf16_ps(a, (__m512bh)x, (__m512bh)x)
KERNEL(pairs, PAIR)
#endif
#ifdef __AVX512VNNI__
#define CODES(a, x) (apr_floats)_mm512_dpwssd_epi32((__m512i)a, (__m512i)x, (__m512i)x)
KERNEL(codes, CODES)
#endif
#define READS(name, LENGTH, STEP, FETCH, READ) \\
    float name(const float *x, uint32_t n, uint32_t times); \\
    float name(const float *x, uint32_t n, uint32_t times) \\
    { \\
        %(zeros)s \\
        for (uint32_t i = 0U; i < times; ++i) { \\
            for (uint32_t k = 0U; k < (LENGTH); k += (STEP)) { \\
                FETCH READ \\
            } \\
        } \\
        float out[16]; \\
        apr_floats_store(out, %(read)s); \\
        return out[0]; \\
    }
READS(reads, n, %(at_once)dU, %(fetched)s, %(reads)s)
READS(long_reads, n / %(streams)dU, 16U, %(fetched_apart)s, %(reads_apart)s)
"""
READS = 8  # vectors at once; of many rows in streams as many, as one is slower
READ = 100_096  # floats, about the rows of a work: more than the first cache holds
LONG_READ = 10_000_000  # the rows of lin10k
READ_AT_ONCE = 128  # at most, of all targets
READ_IN_ALL = 500_000_000
READ_AHEAD = 1024  # floats; one stream from memory is slower without
READ_CALL = 4_000_000  # floats in one call, so that the call counts for nothing
_OPERATIONS = {"fused": 2, "products": 2, "squares": 3, "fused squares": 3, "pairs": 4, "codes": 4}


def built(texts: dict[str, str], source: str, toolchain: Toolchain) -> ctypes.CDLL:
    with tempfile.TemporaryDirectory() as name:
        for file, text in texts.items():
            (Path(name) / file).write_text(text, encoding="utf-8")
        flags = ("-std=c99", "-ffp-contract=off", *toolchain.rule.cflags, "-shared", "-fPIC")
        subprocess.run([*toolchain.compiler, *flags, source, "-o", "m.so"], cwd=name, check=True, timeout=300)
        return ctypes.CDLL(str(Path(name) / "m.so"))


def limit_library(target: Target, toolchain: Toolchain) -> ctypes.CDLL:
    """The assembly statement keeps the compiler from taking steps out."""
    n_sums, width = _chains(target)
    begin = " ".join(f"apr_floats a{i} = x;" for i in range(n_sums))
    steps = " ".join(f'__asm__ volatile("" : "+x"(x)); a{i} = STEP(a{i}, x);' for i in range(n_sums))
    total = _added([f"a{i}" for i in range(n_sums)])
    apart = [f"({i}U * (n / {READS}U)) + k" for i in range(READS)]

    def fetched(at: str) -> str:
        return f"apr_floats_ahead(&x[{at}], {READ_AHEAD}U);"

    def read(i: int, at: str) -> str:
        return f"s{i} = apr_floats_add(s{i}, apr_floats_load_any(&x[{at}]));"

    text = _LIMIT % {
        "begin": begin, "steps": steps, "sum": total, "at_once": READS * width, "streams": READS,
        "fetched": " ".join(fetched(f"k + {i}U") for i in range(0, READS * width, 16)),
        "reads": " ".join(read(i, f"k + {i * width}U") for i in range(READS)),
        "fetched_apart": " ".join(fetched(one) for one in apart),
        "reads_apart": " ".join(read(i, f"{one} + {at}U") for i, one in enumerate(apart) for at in range(0, 16, width)),
        "zeros": " ".join(f"apr_floats s{i} = apr_floats_all(0.0F);" for i in range(READS)),
        "read": _added([f"s{i}" for i in range(READS)]),
    }  # fmt: skip
    return built({"limit.c": text} | runtime_headers(text, target), "limit.c", toolchain)


def _chains(target: Target) -> tuple[int, int]:
    """Sums that do not wait for each other, and how wide they are."""
    assert target.batch is not None
    assert target.batch.floats is not None
    width = target.batch.floats.width
    return PEAK_SUMS if width == 16 else PEAK_SUMS - 4, width


def limits_of(library: ctypes.CDLL, target: Target) -> dict[str, float]:
    """GFLOP/s of chains of sums in registers, and of reading rows."""
    n_sums, width = _chains(target)
    found = {}
    for name, operations in _OPERATIONS.items():
        if not hasattr(library, name.replace(" ", "_")):  # the compiler's flags have no such instruction
            continue
        function = getattr(library, name.replace(" ", "_"))
        function.restype = ctypes.c_float
        times = []
        for _ in range(40):
            began = time.perf_counter()
            function(ctypes.c_uint32(PEAK_STEPS))
            times.append(time.perf_counter() - began)
        found[name] = operations * n_sums * width * PEAK_STEPS / min(times) / 1e9
    return found | {"reads": reads_of(library), "long reads": reads_of(library, LONG_READ)}


def _added(sums: Sequence[str]) -> str:
    return functools.reduce(lambda total, one: f"apr_floats_add({total}, {one})", sums)


def reads_of(library: ctypes.CDLL, n: int = READ) -> float:
    """Two operations for each of n numbers, as GFLOP/s."""
    n -= n % READ_AT_ONCE
    numbers = np.ones(n, np.float32)  # pages of zeros nobody has written would all be the same one
    function = library.long_reads if n >= LONG_READ // 2 else library.reads
    function.restype = ctypes.c_float
    often = max(1, READ_CALL // n)
    arguments = ctypes.c_void_p(numbers.ctypes.data), ctypes.c_uint32(n), ctypes.c_uint32(often)
    times = []
    for _ in range(max(10, min(300, READ_IN_ALL // (n * often)))):
        began = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - began)
    return 2 * n * often / min(times) / 1e9
