"""Gaussians in integers with random tables, at both ends of every code: the C gives the codes of the op."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aprgen.emit import Names, emit_model
from aprgen.ops.integer import TYPES, Code, Dequantise, IntegerSoftmax, Quantise, exp2_table
from aprgen.ops.integer_distance import IntegerGauss
from aprgen.program import Array, Builder, Codes, Op, Program, Table, row_type
from tests.differential.compiled import OPTIONS, compile_c, write_texts

NAMES = Names("m", "a model", "codes", "aprgen compile m.apr", "0" * 64, "host", "0" * 64, "none", "s16", "-O1", "0")


def gaussian(element: Code, cap: int, seed: int, one_shift: bool) -> IntegerGauss:
    random = np.random.RandomState(seed)
    limit, fraction = int(np.iinfo(TYPES[element]).max), 6 if element == "i8" else 0
    shape = (3, 5)
    centre = random.randint(-(limit << fraction), limit << fraction, size=shape)
    weight = random.randint(0, 1 << 15, size=shape)
    weight[0] = 32767
    shift = np.array([int(random.randint(1, 32))]) if one_shift else random.randint(1, 32, size=shape)
    bias = np.array([0, -7, -(1 << 29)], np.int32)
    tables = (Table(centre.astype(np.int16)), Table(weight.astype(np.uint16)), Table(shift.astype(np.uint8)))
    return IntegerGauss(element, fraction, *tables, Table(bias), cap)


def codes_of(op: Op, x: Array, before: Code, after: Code, size: int, n_in: int, folder: Path) -> tuple[Array, Array]:
    """What the C gives for codes x, and what the op gives."""
    builder = Builder(row_type(n_in))
    one = Table(np.ones(1, np.float32))
    read = builder.add(Quantise(before, one, Table(np.zeros(1, np.int32)), n_in), 0)
    made = builder.add(op, read)
    program: Program = builder.build(builder.add(Dequantise(after, size, one, None), made))
    program = replace(program, codes=Codes(read, made, None, (1.0,), (0.0,), (1.0,), (0.0,)))
    write_texts(emit_model(program, NAMES, ("c99",)), folder)
    runtime = Path(__file__).parents[2] / "runtime_c"
    compile_c("gcc", (*OPTIONS, f"-I{runtime}", "-shared", "-fPIC", "m.c", "-o", "m.so"), folder)
    library = ctypes.CDLL(str(folder / "m.so"))
    out = np.zeros((len(x), size), TYPES[after])
    for row, found in zip(x, out, strict=True):
        library.m_scores_q(ctypes.c_void_p(row.ctypes.data), ctypes.c_void_p(found.ctypes.data))
    return out, program.evaluate(x, [made], given=read)[made]


@pytest.mark.parametrize("one_shift", [False, True])
@pytest.mark.parametrize("cap", [10, 3000, 17_000])
@pytest.mark.parametrize("element", ["i8", "i16"])
def test_c_gives_the_codes_of_the_op(element: Code, cap: int, one_shift: bool, tmp_path: Path) -> None:
    """Distances that saturate and that do not, shifts from 1 to 31, products at 2^32."""
    op = gaussian(element, cap, cap, one_shift)
    info = np.iinfo(TYPES[element])
    x = np.random.RandomState(5).randint(info.min, info.max + 1, size=(300, 5)).astype(info.dtype)
    x[0], x[1] = info.min, info.max
    found, expected = codes_of(op, x, element, "i32", 3, 5, tmp_path)

    assert expected.tolist() == found.tolist()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_shares_are_even_up_to_the_least_code(size: int, tmp_path: Path) -> None:
    """At the least code itself all shares are equal, one above it they are powers; a single share is all there is."""
    op = IntegerSoftmax("i16", size, 0, 20_000, 3, 500, exp2_table(), 20_000 / 2**19, least=-40)
    x = np.array([[value] + [value - 900] * (size - 1) for value in (-41, -40, -39, 0)], np.int16)
    found, expected = codes_of(op, x, "i16", "i16", size, size, tmp_path)
    even = min(32768 // size, 32767)

    assert expected.tolist() == found.tolist()
    assert [[even] * size] * 2 + [[32767] + [0] * (size - 1)] * 2 == found.tolist()


def test_the_reciprocal_without_a_division(tmp_path: Path) -> None:
    """Armv6-M's loop gives the quotient, for every total up to 2^18, around powers of two and at random."""
    random = np.random.RandomState(1)
    near = [(1 << power) + step for power in range(15, 32) for step in (-1, 0, 1) if (1 << power) + step <= 1 << 31]
    totals = np.concatenate([np.arange((1 << 14) + 1, 1 << 18), near, random.randint(1 << 15, 1 << 31, size=100_000)])
    totals = totals.astype(np.uint32)
    out = np.zeros_like(totals)
    text = '#include "armv6m/apr_core.h"\nvoid all(const uint32_t *x, uint32_t *y, uint32_t n);\n'
    text += "void all(const uint32_t *x, uint32_t *y, uint32_t n)\n{\n    for (uint32_t i = 0U; i < n; ++i) {\n"
    text += "        y[i] = apr_reciprocal(x[i]);\n    }\n}\n"
    (tmp_path / "all.c").write_text(text, encoding="utf-8")
    runtime = Path(__file__).parents[2] / "runtime_c"
    compile_c("gcc", (*OPTIONS, f"-I{runtime}", "-shared", "-fPIC", "all.c", "-o", "all.so"), tmp_path)
    library = ctypes.CDLL(str(tmp_path / "all.so"))
    library.all(ctypes.c_void_p(totals.ctypes.data), ctypes.c_void_p(out.ctypes.data), ctypes.c_uint32(len(totals)))

    assert ((1 << 31) // totals.astype(np.int64)).tolist() == out.tolist()
