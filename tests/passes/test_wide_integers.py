"""Sums of integers in vectors, of blocks of rows and of one, give the bits of the Program, in Python and in C."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from aprgen.accuracy import Calibration
from aprgen.core import Options, compile_model
from aprgen.costs import IntegerForm
from aprgen.image import ModelFacts, build_image
from aprgen.ops.code_columns import BlockColumns
from aprgen.ops.integer import (
    TYPES,
    Dequantise,
    IntegerDense,
    IntegerSquaredDistance,
    IntegerSum,
)
from aprgen.ops.wide_integers import DensePanels, DenseRow, Lay, LayCodes, QuantiseRows, packed, unpacked
from aprgen.passes.layout import plan_block
from aprgen.passes.wide_integers import BYTES, with_integer_blocks
from aprgen.program import Array, Builder, Program, Table, row_type
from aprgen.rows import random_rows
from aprgen.runners.choose import runner_for
from aprgen.runners.records import AWKWARD
from aprgen.target import Target, load_target, target_names
from aprgen.toolchain import find_toolchain
from aprgen.verify import same_bits
from tests.differential.compiled import Compiled, load
from tests.examples import loaded
from tests.passes.integer_programs import (
    chain,
    codes_of,
    hard,
    looked_up,
    mixed,
    near_after_table,
    near_and_added,
    nearest,
    read_twice,
    trained,
)
from tests.passes.sanitized import require_clean
from tests.passes.test_wide_floats import rows_of
from tests.passes.test_wide_trees import agree, texts_of

WIDE = tuple(name for name in target_names() if (batch := load_target(name).batch) is not None and batch.integers)
HERE = ("x86-avx512-vnni", "x86-avx512", "x86-avx2")
COMPILERS = ("gcc", "clang-14")


def form_of(name: str) -> IntegerForm:
    batch = load_target(name).batch
    assert batch is not None
    assert batch.integers is not None
    return batch.integers


def blocks(program: Program, target: Target, form: IntegerForm | None = None) -> Program:
    """With all sums in panels; see test_code_columns.py for those in columns."""
    assert target.batch is not None
    assert target.batch.integers is not None
    in_panels = replace(form or target.batch.integers, column_total=None)
    return with_integer_blocks(program, replace(target.batch, integers=in_panels), target.has_kernel)


@dataclass(frozen=True)
class Case:
    name: str
    program: Callable[[], Program]
    ops: tuple[int, int, int] | None  # that quantise rows, that are panels, that lay codes out; None: as targets differ


CASES = (
    Case("bytes-1-17-1", lambda: chain("i8", 1, 17, 1), (1, 2, 0)),
    Case("bytes-3-10-7", lambda: chain("i8", 3, 10, 7, uniform=True), (1, 2, 0)),
    Case("bytes-5-256-10", lambda: chain("i8", 5, 256, 10), (1, 2, 0)),
    Case("bytes-64-7-17-256", lambda: chain("i8", 64, 7, 17, 256), (1, 3, 0)),
    Case("bytes-100-1-99", lambda: chain("i8", 100, 1, 99, uniform=True), (1, 2, 0)),
    Case("pairs-5-17-70", lambda: chain("i16", 5, 17, 70), (1, 2, 0)),
    Case("pairs-64-99-1", lambda: chain("i16", 64, 99, 1), (1, 2, 0)),
    Case("bytes-looked-up", looked_up, (1, 3, 1)),
    Case("pairs-read-twice", read_twice, (1, 3, 0)),
    Case("bytes-over-pairs", mixed, (1, 2, 0)),
    Case("bytes-relu-softmax", lambda: trained("i8", "relu", 13, 70, 33, 5), (1, 3, 0)),
    Case("bytes-tanh", lambda: trained("i8", "tanh", 6, 40, 21, 3, classify=False), (1, 3, 0)),
    Case("pairs-gelu", lambda: trained("i16", "gelu", 6, 40, 1), (1, 2, 0)),
    Case("nearest-100-10", lambda: nearest(100, 10), (1, 1, 0)),
    Case("nearest-1-1", lambda: nearest(1, 1, labels=False), (1, 1, 0)),
    Case("nearest-33-70", lambda: nearest(33, 70, labels=False), (1, 1, 0)),
    Case("near-and-added", near_and_added, None),
    Case("near-after-table", near_after_table, (1, 2, 1)),
    Case("bytes-logistic", lambda: trained("i8", "relu", 30, 1), (1, 1, 0)),
)
SOME = tuple(CASES[i] for i in (7, 8, 11, 16))
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def case_of(name: str) -> Program:
    return next(case for case in CASES if case.name == name).program()


@every_case
@pytest.mark.parametrize("name", WIDE)
def test_python_of_blocks_is_that_of_rows(name: str, case: Case) -> None:
    """Codes stay laid out between panels, and every way gives the bits of the Program: of blocks, rows and codes."""
    program = case.program()
    made = blocks(program, load_target(name))
    assert made.batch is not None
    ops = {id(step.op): step.op for step in (made.steps[i] for i in made.needed(*_results(made)))}.values()

    counts = tuple(sum(isinstance(op, kind) for op in ops) for kind in (QuantiseRows, DensePanels, LayCodes))
    assert case.ops is None or counts == case.ops
    rows = rows_of(program, 400, 1)
    agree(made, program, rows)
    assert same_bits(made.run(rows), program.run(rows)).all()
    assert _listed(made.classify(rows)) == _listed(program.classify(rows))
    code = [made.steps[index].op for index in made.in_code()]
    of_rows = IntegerDense | IntegerSum | IntegerSquaredDistance
    assert not any(isinstance(op, of_rows) for op in code)  # so their weights are there once
    assert sum(isinstance(op, DenseRow) for op in code) >= counts[1]
    if program.codes is not None and made.codes is not None:
        x = random_codes(program, 200)
        scores, labels = made.run_codes(x, made.codes.x)
        expected, expected_labels = program.run_codes(x, program.codes.x)
        assert scores.tolist() == expected.tolist()
        assert _listed(labels) == _listed(expected_labels)


def _listed(labels: Array | None) -> list[int] | None:
    return None if labels is None else list(labels.tolist())


def random_codes(program: Program, n: int) -> Array:
    assert program.codes is not None
    kind = TYPES["i8" if program.types()[program.codes.x].element == "i8" else "i16"]
    info = np.iinfo(kind)
    return np.random.default_rng(5).integers(info.min, info.max + 1, (n, program.n_features)).astype(kind)


def _results(made: Program) -> tuple[int | None, ...]:
    assert made.batch is not None
    return made.batch.many.scores, made.batch.many.label


def compiled_of(program: Program, name: str, compiler: str, folder: Path, old: str = "", new: str = "") -> Compiled:
    """The C of blocks; with `new` in place of `old`."""
    target = load_target(name)
    made = blocks(program, target)
    texts = texts_of(made, target)
    planted = {file: text.replace(old, new) if old else text for file, text in texts.items()}
    assert not old or texts != planted
    flags = next(rule.cflags for rule in target.builds if compiler in rule.programs)
    return load("m", planted, made, folder, compiler, (*flags, "-O1"))


def differing(compiled: Compiled, program: Program, rows: Array, counts: tuple[int, ...]) -> int:
    """Rows whose scores or labels are others than those of the Program, for numbers of rows that begin anywhere."""
    expected, labels = program.run(rows), program.classify(rows)
    count = 0
    for n in counts:
        at = n * 7 % (len(rows) - n + 1)
        apart = np.zeros(n * program.n_features + 4, np.float32)
        own = apart[n % 5 :][: n * program.n_features].reshape(n, -1)
        own[:] = rows[at : at + n]
        scores, found = compiled.batch(own)
        bad = ~same_bits(scores, expected[at : at + n]).all(axis=1)
        if labels is not None and found is not None:
            bad |= found != labels[at : at + n]
        count += int(bad.sum())
    return count


IN_TURN = tuple(
    (name, number, case)
    for name, step in zip(HERE, (1, 2, 2), strict=True)  # those without VNNI: the other half each
    for number, case in enumerate(CASES)
    if number % step == HERE.index(name) % step
)


@pytest.mark.parametrize(("name", "number", "case"), IN_TURN, ids=lambda value: str(getattr(value, "name", value)))
def test_c_of_blocks(
    name: str, number: int, case: Case, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """C equals Program.run() bit for bit for any number of rows and any place of theirs, compilers in turn."""
    require_target(name)
    program = case.program()
    compiler = COMPILERS[(number + HERE.index(name)) % 2]
    compiled = compiled_of(program, name, compiler, tmp_path)

    rows = rows_of(program, 1200, 2)
    assert differing(compiled, program, rows, (*range(1, 131), *AWKWARD)) == 0
    scores, labels = compiled.one_by_one(rows[:150])
    assert same_bits(scores, program.run(rows[:150])).all()
    expected = program.classify(rows[:150])
    assert _listed(labels) == _listed(expected)
    if program.codes is not None:
        x = random_codes(program, 50)
        wanted = program.evaluate(x, [program.codes.scores], given=program.codes.x)[program.codes.scores]
        found = np.zeros_like(wanted)
        for own, one in zip(x, found, strict=True):
            compiled.library.m_scores_q(ctypes.c_void_p(own.ctypes.data), ctypes.c_void_p(one.ctypes.data))
        assert found.tolist() == wanted.tolist()


@pytest.mark.parametrize(
    ("name", "runner", "case"),
    [
        *((name, "auto", case) for name in ("arm-neon", "arm-neon-dot", "wasm") for case in SOME),
        ("arm-neon", "auto", CASES[3]),
        ("wasm", "wasmtime", CASES[3]),
    ],
    ids=lambda value: getattr(value, "name", value),
)  # fmt: skip
def test_c_of_blocks_on_other_machines(
    name: str, runner: str, case: Case, tmp_path: Path, require_target: Callable[[str], None],
    require_tool: Callable[[str], None],
) -> None:  # fmt: skip
    """The same of an image, run by emulators and engines: many rows and one by one."""
    require_target(name)
    if runner != "auto":
        require_tool(runner)
    target, program = load_target(name), case.program()
    made = blocks(program, target)
    facts = ModelFacts("m", "row", program.n_features, program.n_outputs, program.label is not None, has_batch=True)
    image = build_image(target, find_toolchain(target), texts_of(made, target), facts, tmp_path)
    rows = rows_of(program, sum(AWKWARD[:9]), 3)
    ran = runner_for(target, runner).run(image, rows, count=False)
    found = ran.batch

    assert found is not None
    assert same_bits(ran.scores, program.run(rows)).all()
    assert same_bits(found.scores, program.run(rows)).all()
    expected = program.classify(rows)
    assert (found.labels is None) == (expected is None)
    assert found.labels is None or expected is None or found.labels.tolist() == expected.tolist()


SANITIZED = (
    ("x86-avx512-vnni", "bytes-64-7-17-256"), ("x86-avx512", "pairs-read-twice"), ("x86-avx2", "bytes-looked-up"),
    ("x86-avx2", "bytes-5-256-10"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "case"), SANITIZED)
def test_sanitizers_find_nothing(
    name: str, case: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """No byte outside of rows and results that are exactly as large as they must be, and no undefined operation."""
    require_target(name)
    target = load_target(name)
    made = blocks(case_of(case), target)

    require_clean(texts_of(made, target), rows_of(made, 400, 4), target, tmp_path)


FAULTS = (
    ("x86-avx512-vnni", "bytes-5-256-10", "(__m512i)sums, x, weights)", "(__m512i)sums, weights, x)"),
    ("x86-avx512", "bytes-5-256-10", "_mm512_mulhi_epu16(", "_mm512_mulhi_epi16("),
    ("x86-avx512", "pairs-5-17-70", ", scales.half)", ", _mm512_setzero_si512())"),
    ("x86-avx512", "bytes-5-256-10", ", -128, 127)", ", -128, 128)"),
    ("x86-avx512-vnni", "bytes-looked-up", "_CMP_UNORD_Q", "_CMP_FALSE_OQ"),
    ("x86-avx2", "bytes-64-7-17-256", "_mm256_max_epi32(", "_mm256_max_epu32("),
    ("x86-avx2", "bytes-1-17-1", "_mm_packs_epi32(", "_mm_packus_epi32("),
    ("x86-avx512-vnni", "nearest-100-10", "_mm512_sub_epi16(x, points)", "_mm512_subs_epi8(x, points)"),
    ("x86-avx2", "nearest-33-70", "_mm256_sub_epi16(x, points)", "_mm256_add_epi16(x, points)"),
    ("x86-avx512-vnni", "bytes-tanh", "_mm512_movepi8_mask(code)", "(_mm512_movepi8_mask(code) << 1)"),
    ("x86-avx512", "bytes-tanh", "_mm512_set1_epi16(64)", "_mm512_set1_epi16(32)"),
    ("x86-avx2", "bytes-tanh", "_mm256_slli_epi16(place, 2)", "_mm256_slli_epi16(place, 3)"),
)


@pytest.mark.parametrize(("name", "case", "old", "new"), FAULTS, ids=lambda value: value[:30])
def test_planted_faults_are_found(
    name: str, case: str, old: str, new: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """Operands and halves with a wrong sign, no rounding, codes that are not cut, or cut wrongly, a NaN."""
    require_target(name)
    program = case_of(case)
    compiled = compiled_of(program, name, "gcc", tmp_path, old, new)

    assert differing(compiled, program, rows_of(program, 1200, 2), AWKWARD) > 0


@pytest.mark.parametrize("lay", [Lay("u8", "i8", 16, 4, 4), Lay("i16", "i8", 8, 2, 2), Lay("i8", "i8", 4, 4, 2)])
@pytest.mark.parametrize(("n_in", "n_out"), [(1, 1), (3, 17), (5, 130), (64, 64)])
def test_packed_weights_are_all_there(lay: Lay, n_in: int, n_out: int) -> None:
    """What is packed can be read again; the first step of the first panel is what the kernel reads first."""
    columns = np.random.default_rng(n_in + n_out).integers(-127, 128, (n_in, n_out))
    table = packed(columns, 4, lay)

    assert unpacked(table.data, n_in, n_out, 4, lay).tolist() == columns.tolist()
    neighbours = np.pad(columns, ((0, lay.group), (0, lay.width)))[: lay.group]
    assert table.data[: lay.group * lay.width].tolist() == neighbours[:, : lay.width].T.reshape(-1).tolist()


@pytest.mark.parametrize(("n_hidden", "rows"), [(16, 126), (256, 126), (1024, 48), (20_000, 4), (60_000, 0)])
def test_rows_of_a_block_fit(n_hidden: int, rows: int) -> None:
    """Values between layers take no more of the stack than the target allows; else rows stay one by one."""
    program = chain("i8", 2, n_hidden, n_hidden if n_hidden < 2000 else 2, 3)
    form = form_of("x86-avx512-vnni")
    made = blocks(program, load_target("x86-avx512-vnni"), form)
    if not rows:
        assert blocks(program, load_target("x86-avx512-vnni"), replace(form, hidden_bytes=50_000)) is program
        return
    assert made.batch is not None
    assert made.batch.rows == rows
    held = sum(BYTES[b.element] * b.size for b in plan_block(made, made.batch.many.scores, "x", "out").buffers)
    assert held <= form.hidden_bytes


def test_what_takes_blocks() -> None:
    """Models whose sums are integers have a way for blocks on wide targets only; floats keep their own."""
    for name in ("linreg", "logreg_bc", "linear_svm", "pca", "v2_mlp_f32"):
        model = loaded(name)
        rows = random_rows(model.model.lower(), 50).values
        options = Options("m", "s8", Calibration(rows, "rows"))
        for target in ("x86-avx512-vnni", "wasm"):
            program = compile_model(model, load_target(target), options).program
            assert any(isinstance(step.op, DensePanels | BlockColumns) for step in program.steps), (name, target)
        assert compile_model(model, load_target("host"), options).program.batch is None
    floats = compile_model(loaded("v2_mlp_f32"), load_target("x86-avx512"), Options("m")).program
    assert floats.batch is not None
    assert not any(isinstance(step.op, DensePanels) for step in floats.steps)


def test_a_kernel_that_is_not_there() -> None:
    """Without a kernel, or with weights of 16 bits over codes of 8, rows stay one by one."""
    target = load_target("x86-avx512-vnni")
    program = case_of("bytes-3-10-7")
    builder = Builder(row_type(4))
    at = builder.add(hard("i8", "i32", 4, 4, "i16"), codes_of(builder, "i8", 4, uniform=True))
    odd = builder.build(builder.add(Dequantise("i32", 4, Table([1.5], np.float32), None), at))

    assert with_integer_blocks(program, target.batch, lambda name: name != "lay_codes") is program
    assert with_integer_blocks(program, load_target("host").batch, target.has_kernel) is program
    assert blocks(odd, target) is odd
