"""NAME_predict_batch_on and NAME_classify_batch_on: a pool of the caller's shares the rows out, and changes nothing."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from aprgen.core import Options, compile_model
from aprgen.image import build_shared
from aprgen.measured import model_facts
from aprgen.rows import random_rows
from aprgen.runners.shared import why_not_here
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain
from tests.examples import loaded

NAME = "rfc_digits"
PART = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t)
RUN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, PART, ctypes.c_void_p, ctypes.c_size_t)

ARGUMENTS = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, RUN, ctypes.c_void_p, ctypes.c_size_t)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL | None:
    """None where the target's code does not run."""
    target = load_target("x86-avx2")
    if why_not_here(target):
        return None
    made = compile_model(loaded(NAME), target, Options(NAME))
    work = tmp_path_factory.mktemp("pool")
    path = build_shared(target, find_toolchain(target), made.texts, model_facts(made), work)
    return ctypes.CDLL(str(path))


@pytest.mark.parametrize("n_rows", [0, 1, 127, 128, 129, 1000])
@pytest.mark.parametrize("n_parts", [0, 1, 2, 3, 7, 40])
def test_parts(library: ctypes.CDLL | None, n_rows: int, n_parts: int, require_target: Callable[[str], None]) -> None:
    """Backwards, and on two threads: every part once, and what the functions without a pool give."""
    require_target("x86-avx2")
    if library is None:
        pytest.skip("this machine has no AVX2")
    program = loaded(NAME).model.lower()
    rows = np.resize(random_rows(program, 100).values, (n_rows, program.n_features)).astype(np.float32)
    called: list[int] = []

    def backwards(pool: int, part: Callable[[int, int], None], job: int, n: int) -> None:
        for i in reversed(range(n)):
            called.append(i)
            part(job, i)

    def threaded(pool: int, part: Callable[[int, int], None], job: int, n: int) -> None:
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda i: part(job, i), range(n)))

    scores, labels = program.run(rows), program.classify(rows)
    for run in (backwards, threaded):
        out, found = np.full_like(scores, -1), np.full(n_rows, -1, np.int32)
        for verb, result in (("predict", out), ("classify", found)):
            function = getattr(library, f"{NAME}_{verb}_batch_on")
            function.restype = None
            function.argtypes = ARGUMENTS
            function(rows.ctypes.data, n_rows, result.ctypes.data, RUN(run), None, n_parts)
        assert out.tobytes() == scores.tobytes()
        assert np.array_equal(found, labels)
    assert sorted(called) == sorted([*range(max(1, n_parts))] * 2)


def test_only_wide_targets_have_it() -> None:
    """A microcontroller's header is as it was."""
    for target, there in (("x86-avx512", True), ("arm-neon", True), ("wasm", True), ("cortex-m4", False)):
        texts = compile_model(loaded(NAME), load_target(target), Options(NAME)).texts
        assert (f"{NAME}_predict_batch_on(" in texts[f"{NAME}.h"]) == there
        assert (f"{NAME}_predict_batch_on(" in texts[f"{NAME}.c"]) == there


def test_a_model_without_labels() -> None:
    """It has no function of labels."""
    texts = compile_model(loaded("linreg"), load_target("x86-avx2"), Options("linreg")).texts

    assert "linreg_predict_batch_on(" in texts["linreg.h"]
    assert "classify_batch_on" not in texts["linreg.h"]
