"""Sums of integers with columns in lanes give the bits of the Program, of floats and of codes, in Python and in C."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from aprgen.ops.code_columns import BlockColumns, CodeColumns, ColumnsOfFloats, column_weights, columns_of
from aprgen.ops.integer import LARGEST, TYPES, Code, Dequantise, IntegerDense, IntegerSum
from aprgen.ops.wide_integers import DensePanels, DenseRow, Lay
from aprgen.passes.wide_integers import with_integer_blocks
from aprgen.program import Array, Builder, Codes, Program, Table, row_type
from aprgen.runners.records import AWKWARD
from aprgen.target import load_target
from aprgen.verify import same_bits
from tests.differential.compiled import Compiled, load
from tests.passes.integer_programs import codes_of, hard
from tests.passes.sanitized import EXACT_BUFFERS, require_clean
from tests.passes.test_wide_floats import rows_of
from tests.passes.test_wide_integers import HERE, differing
from tests.passes.test_wide_trees import agree, texts_of

COMPILERS = ("gcc", "clang-14")


@dataclass(frozen=True)
class Case:
    """n_out 0: a sum without codes of its own."""

    source: Code
    n_in: int
    n_out: int
    element: Code = "i32"
    uniform: bool = False
    weights: Code | None = None

    def __str__(self) -> str:
        return f"{self.source}-{self.n_in}-{self.n_out}-{self.element}{'-uniform' * self.uniform}"

    def program(self) -> Program:
        builder = Builder(row_type(self.n_in))
        x = codes_of(builder, self.source, self.n_in, uniform=self.uniform)
        dense = hard(self.source, self.element, self.n_in, max(1, self.n_out), self.weights)
        n_out = max(1, self.n_out)
        if self.n_out:
            at = builder.add(dense, x)
        else:
            largest = dense.largest_sum
            at = builder.add(IntegerSum(self.source, largest, Table(dense.weight.data[0]), -12_345), x)
        scale = Table(np.linspace(0.25, 1.5, n_out), np.float32)
        program = builder.build(builder.add(Dequantise(self.element, n_out, scale, None), at))
        ones = (1.0,) * self.n_in, (0.0,) * self.n_in, (1.0,) * n_out, (0.0,) * n_out
        return replace(program, codes=Codes(x, at, None, *ones))


CASES = (
    *(Case("i8", n_in, 0) for n_in in (64, 65, 100, 127, 128, 1000, 4099)),
    *(Case("i16", n_in, 0, uniform=True) for n_in in (63, 64, 65, 1000, 2049)),
    Case("i8", 129, 0, uniform=True),
    Case("i16", 333, 1, "i16"),
    Case("i8", 400, 2, "i8"),
    Case("i8", 1000, 3),
    Case("i8", 777, 4, "i8"),
    Case("i16", 700, 3, "i16", weights="i8"),
    Case("i16", 999, 6),
)
FEW_COLUMNS = (1, 15, 16, 17, 31)
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def blocks(program: Program, name: str) -> Program:
    target = load_target(name)
    return with_integer_blocks(program, target.batch, target.has_kernel)


def codes_for(case: Case, n: int) -> Array:
    """Any, and rows of the lowest and the highest."""
    info = np.iinfo(TYPES[case.source])
    made = np.random.default_rng(case.n_in).integers(info.min, info.max + 1, (n, case.n_in)).astype(info.dtype)
    made[0], made[1] = info.min, info.max
    return made


def of_codes(program: Program, x: Array) -> Array:
    assert program.codes is not None
    return program.evaluate(x, [program.codes.scores], given=program.codes.x)[program.codes.scores]


@every_case
@pytest.mark.parametrize("name", HERE)
def test_python_of_columns_is_that_of_sums(name: str, case: Case) -> None:
    program = case.program()
    made = blocks(program, name)
    kinds = [type(made.steps[index].op) for index in made.in_code()]

    if case.n_out < 4 or case.source == "i16":  # elsewhere panels may be cheaper
        assert {BlockColumns, ColumnsOfFloats, CodeColumns} <= set(kinds) or name == "x86-avx2"
    assert not {IntegerDense, IntegerSum} & set(kinds)
    assert made.batch is not None
    rows = rows_of(program, 200, 1)
    agree(made, program, rows)
    assert same_bits(made.run(rows), program.run(rows)).all()
    x = codes_for(case, 50)
    assert of_codes(made, x).tolist() == of_codes(program, x).tolist()


def compiled_of(case: Case, name: str, compiler: str, folder: Path, old: str = "", new: str = "") -> Compiled:
    """The C; with `new` in place of `old`."""
    target = load_target(name)
    made = blocks(case.program(), name)
    texts = texts_of(made, target)
    planted = {file: text.replace(old, new) if old else text for file, text in texts.items()}
    assert not old or texts != planted
    flags = next(rule.cflags for rule in target.builds if compiler in rule.programs)
    return load("m", planted, made, folder, compiler, (*flags, "-O1"))


def wrong_codes(compiled: Compiled, case: Case) -> int:
    """Rows of codes at any address, whose sums are others than those of the Program."""
    x = codes_for(case, 40)
    wanted = of_codes(case.program(), x)
    found = np.zeros_like(wanted)
    for at, (own, one) in enumerate(zip(x, found, strict=True)):
        apart = np.zeros(case.n_in + 64, x.dtype)
        apart[at : at + case.n_in] = own
        place = ctypes.c_void_p(apart[at:].ctypes.data)
        compiled.library.m_scores_q(place, ctypes.c_void_p(one.ctypes.data))
    return int((found != wanted).any(axis=1).sum())


IN_TURN = tuple((name, n, case) for n, case in enumerate(CASES) for at, name in enumerate(HERE) if at in (0, 1 + n % 3))


@pytest.mark.parametrize(("name", "number", "case"), IN_TURN, ids=str)
def test_c_of_columns(
    name: str, number: int, case: Case, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """C equals Program.run() bit for bit for any number of rows and any place of theirs, compilers in turn."""
    require_target(name)
    program = case.program()
    compiled = compiled_of(case, name, COMPILERS[number % 2], tmp_path)
    rows = rows_of(program, 300, 2)

    assert differing(compiled, program, rows, (*range(1, 20), 127, 128, 129, 300)) == 0
    scores, _ = compiled.one_by_one(rows[:60])
    assert same_bits(scores, program.run(rows[:60])).all()
    assert wrong_codes(compiled, case) == 0


@pytest.mark.parametrize("n_in", FEW_COLUMNS)
def test_few_columns_stay_in_panels(n_in: int) -> None:
    """A row that is no whole vector is not read in vectors."""
    program = Case("i8", n_in, 1).program()
    made = blocks(program, "x86-avx512-vnni")
    kinds = {type(made.steps[index].op) for index in made.in_code()}

    assert {DensePanels, DenseRow} <= kinds
    assert not kinds & {CodeColumns, ColumnsOfFloats, BlockColumns}
    agree(made, program, rows_of(program, 200, 1))


@pytest.mark.parametrize("name", HERE)
def test_layers_behind_columns_stay_in_panels(
    name: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """A first layer in columns, whose codes are laid out for the next; both read by functions of codes."""
    require_target(name)
    builder = Builder(row_type(700))
    x = codes_of(builder, "i8", 700, uniform=False)
    at = builder.add(hard("i8", "i32", 2, 40), builder.add(hard("i8", "i8", 700, 2), x))
    program = builder.build(builder.add(Dequantise("i32", 40, Table([0.5], np.float32), None), at))
    made = blocks(program, name)
    kinds = {type(made.steps[index].op) for index in made.in_code()}
    target = load_target(name)
    rows = rows_of(program, 300, 5)

    assert {BlockColumns, ColumnsOfFloats, DensePanels, DenseRow} <= kinds
    compiled = load("m", texts_of(made, target), made, tmp_path, "gcc", (*target.builds[0].cflags, "-O1"))
    assert differing(compiled, program, rows, (*range(1, 20), *AWKWARD[:6], 300)) == 0
    scores, _ = compiled.one_by_one(rows[:60])
    assert same_bits(scores, program.run(rows[:60])).all()


@pytest.mark.parametrize(
    ("name", "case"), [("x86-avx512-vnni", CASES[5]), ("x86-avx512", CASES[3]), ("x86-avx2", CASES[7])], ids=str
)
def test_sanitizers_find_nothing(
    name: str, case: Case, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """No byte outside of rows and results that are exactly as large as they must be, and no undefined operation."""
    require_target(name)
    made = blocks(case.program(), name)
    target = load_target(name)
    one = f"""
    {"int8_t" if case.source == "i8" else "int16_t"} *const codes = calloc(M_N_FEATURES, sizeof *codes);
    int32_t *const sums = malloc(M_N_OUTPUTS * sizeof(int32_t));
    m_scores_q(codes, sums);
    free(codes);
    free(sums);
    return fclose(input);"""
    main = EXACT_BUFFERS.replace("\n    return fclose(input);", one)
    assert main != EXACT_BUFFERS

    require_clean(texts_of(made, target), rows_of(made, 400, 4), target, tmp_path, main)


FAULTS = (
    ("x86-avx512-vnni", CASES[2], "_mm512_set1_epi8((char)-128)", "_mm512_setzero_si512()"),
    ("x86-avx512-vnni", CASES[5], "_mm512_cvtepi8_epi32(", "_mm512_cvtepu8_epi32("),
    ("x86-avx512", CASES[9], "_mm512_cvtepu16_epi32(", "_mm512_cvtepi16_epi32("),
    ("x86-avx512", CASES[5], "_mm512_cvtepi8_epi16(", "_mm512_cvtepu8_epi16("),
    ("x86-avx2", CASES[9], "_mm_shuffle_epi32(two, 0xB1)", "two"),
    ("x86-avx512-vnni", CASES[4], ", _CMP_UNORD_Q)", ", _CMP_FALSE_OQ)"),
)


@pytest.mark.parametrize(("name", "case", "old", "new"), FAULTS, ids=lambda value: str(value)[:30])
def test_planted_faults_are_found(
    name: str, case: Case, old: str, new: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """No offset, weights and codes with a wrong sign, lanes that are not added, a NaN."""
    require_target(name)
    compiled = compiled_of(case, name, "gcc", tmp_path, old, new)
    rows = rows_of(case.program(), 200, 2)
    found = differing(compiled, case.program(), rows, (1, 17, 130)) + wrong_codes(compiled, case)

    assert found > 0


@pytest.mark.parametrize("lay", [Lay("u8", "i8", 16, 4, 4), Lay("i16", "i8", 8, 2, 2)])
@pytest.mark.parametrize("rest", [0, 1, 7, 15])
def test_column_weights_count_each_column_once(lay: Lay, rest: int) -> None:
    """Whole vectors and the last one of the row have each column once between them; the rest is zeros."""
    n_in, columns = 3 * columns_of(lay) + rest, columns_of(lay)
    weight = np.random.default_rng(rest).integers(1, 128, (3, n_in))
    table = column_weights(weight, lay).data
    counted = np.zeros_like(weight)
    counted[:, : 3 * columns] += table[:, : 3 * columns]
    if rest:
        counted[:, n_in - columns :] += table[:, -columns:]

    assert counted.tolist() == weight.tolist()
    assert table[:, :n_in].tolist() == weight.tolist()
    assert not table[:, n_in : table.shape[1] - (columns if rest else 0)].any()


def test_largest_sums_do_not_wrap_to_others() -> None:
    """With the offset of codes taken off the bias modulo 2^32, sums at the limits of 32 bits are what they were."""
    weight = np.full(131_000, 127, np.int8)
    bias = LARGEST["i32"] - 128 * int(weight.astype(np.int64).sum())
    lay = Lay("u8", "i8", 16, 4, 4)
    plain = IntegerSum("i8", LARGEST["i32"], Table(weight), bias)
    moved = (bias - 128 * int(weight.astype(np.int64).sum()) + 2**31) % 2**32 - 2**31
    tables = column_weights(weight[None], lay), Table([moved], np.int32), None, None
    made = CodeColumns(weight.size, 1, LARGEST["i32"], lay, "i32", *tables)
    x = np.stack([np.full(weight.size, code, np.int8) for code in (-128, 0, 127)])

    assert made.evaluate(x).tolist() == plain.evaluate(x).tolist()
