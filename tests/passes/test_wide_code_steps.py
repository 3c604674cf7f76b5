"""Steps between sums of codes, for blocks of rows: neighbours, Gaussians, curves, shares and labels give the bits of
the Program, in Python and in C."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from aprgen.image import ModelFacts, build_image
from aprgen.ops.integer import Code, IntegerSoftmax, Interpolate
from aprgen.ops.integer_distance import IntegerGauss, IntegerNeighbours
from aprgen.ops.wide_code_steps import CodeNeighbours, RowCodeNeighbours
from aprgen.passes.wide_code_steps import KERNELS
from aprgen.passes.wide_integers import with_integer_blocks
from aprgen.program import Codes, Program
from aprgen.runners.choose import runner_for
from aprgen.runners.records import AWKWARD
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain
from aprgen.verify import same_bits
from tests.passes.integer_programs import nearest, spread, trained, voted
from tests.passes.sanitized import require_clean
from tests.passes.test_wide_floats import rows_of
from tests.passes.test_wide_integers import COMPILERS, HERE, WIDE, blocks, compiled_of, differing, form_of, random_codes
from tests.passes.test_wide_trees import agree, texts_of


@dataclass(frozen=True)
class Case:
    name: str
    program: Callable[[], Program]


CASES = (
    Case("nearest-16", lambda: nearest(100, 10, "i16")),
    Case("nearest-16-odd", lambda: nearest(5, 70, "i16", labels=False)),
    Case("voted-bytes", lambda: voted("i8", "euclidean", 9, 100, 5)),
    Case("voted-bytes-long", lambda: voted("i8", "euclidean", 66, 37, 1)),
    Case("voted-bytes-sizes", lambda: voted("i8", "manhattan", 16, 50, 20)),  # a list too long to be written out
    Case("voted-16", lambda: voted("i16", "euclidean", 7, 130, 3)),
    Case("voted-16-sizes", lambda: voted("i16", "manhattan", 3, 9, 9)),
    Case("spread-bytes", lambda: spread("i8", 7, 5, uniform=True)),
    Case("spread-16", lambda: spread("i16", 20, 3, uniform=False, last_wins=True)),
    Case("spread-16-many", lambda: spread("i16", 2, 18, uniform=True)),
    Case("spread-shares", lambda: spread("i8", 6, 4, uniform=True, last_wins=True, of_shares=True)),
    Case("curve-16", lambda: trained("i16", "tanh", 13, 70, 33, 5)),
    Case("curve-16-alone", lambda: trained("i16", "sigmoid", 6, 40, 3, classify=False)),
    Case("shares-bytes", lambda: trained("i8", "relu", 11, 17, 10)),
)
OTHERS = ("arm-neon", "wasm")
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def case_of(name: str) -> Program:
    return next(case for case in CASES if case.name == name).program()


@every_case
@pytest.mark.parametrize("name", WIDE)
def test_python_of_blocks_is_that_of_rows(name: str, case: Case) -> None:
    """No such step of a block runs row by row, and blocks give the bits of the Program, of many rows and of few."""
    program = case.program()
    made = blocks(program, load_target(name))

    assert made.batch is not None
    ways = made.batch.ways
    many = [made.steps[index].op for index in made.needed(ways[0].scores, ways[0].label)]
    of_rows = IntegerNeighbours | IntegerGauss | IntegerSoftmax | Interpolate
    assert not any(isinstance(op, of_rows) for op in many)
    agree(made, program, rows_of(program, 400, 1))


IN_TURN = tuple(
    (name, number, case)
    for name, step in zip(HERE, (1, 4, 2), strict=True)
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
    compiled = compiled_of(program, name, COMPILERS[(number + HERE.index(name)) % 2], tmp_path)

    rows = rows_of(program, 1200, 2)
    assert differing(compiled, program, rows, (*range(1, 131), *AWKWARD)) == 0
    scores, labels = compiled.one_by_one(rows[:150])
    expected = program.classify(rows[:150])
    assert same_bits(scores, program.run(rows[:150])).all()
    assert labels is None or expected is None or labels.tolist() == expected.tolist()


@pytest.mark.parametrize(("name", "code"), [("x86-avx2", "i8"), ("x86-avx512", "i16")])
def test_neighbours_of_one_row(
    name: str, code: Code, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """Functions of one row, of floats and of codes, have points in lanes and read the points that blocks read."""
    require_target(name)
    voting = voted(code, "euclidean", 9, 100, 5)
    ones = tuple((1.0,) * n for n in (9, 9, 3, 3))
    program = replace(voting, codes=Codes(1, 2, voting.label, *ones))
    made = blocks(program, load_target(name))
    assert made.codes is not None
    assert made.batch is not None
    ways = [made.needed(made.scores, made.label), made.needed(made.codes.scores, given=made.codes.x),
            made.needed(made.batch.many.scores)]  # fmt: skip
    ops = [[made.steps[i].op for i in way] for way in ways]
    tables = {id(op.points) for way in ops for op in way if isinstance(op, CodeNeighbours)}
    assert [sum(isinstance(op, RowCodeNeighbours) for op in way) for way in ops] == [1, 1, 0]
    assert len(tables) == 1

    x = random_codes(program, 200)
    expected = program.evaluate(x, [2], given=1)[2]
    found = np.zeros_like(expected)
    compiled = compiled_of(program, name, "gcc", tmp_path)
    for own, one in zip(x, found, strict=True):
        compiled.library.m_scores_q(ctypes.c_void_p(own.ctypes.data), ctypes.c_void_p(one.ctypes.data))
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("name", "case"),
    [(name, case) for name, step in zip(OTHERS, (2, 1), strict=True) for case in CASES[step::3]],
    ids=lambda value: getattr(value, "name", value),
)
def test_c_of_blocks_on_other_machines(
    name: str, case: Case, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """The same of an image, run by emulators and engines."""
    require_target(name)
    target, program = load_target(name), case.program()
    made = blocks(program, target)
    facts = ModelFacts("m", "row", program.n_features, program.n_outputs, program.label is not None, has_batch=True)
    image = build_image(target, find_toolchain(target), texts_of(made, target), facts, tmp_path)
    rows = rows_of(program, sum(AWKWARD[:9]), 3)
    found = runner_for(target, "auto").run(image, rows, count=False).batch

    assert found is not None
    assert same_bits(found.scores, program.run(rows)).all()
    expected = program.classify(rows)
    assert found.labels is None or expected is None or found.labels.tolist() == expected.tolist()


SANITIZED = (
    ("x86-avx512-vnni", "voted-bytes"), ("x86-avx2", "spread-16"), ("x86-avx2", "nearest-16-odd"),
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
    ("x86-avx512", "voted-16", " << seen;", " << seen << (seen / 3U);"),
    ("x86-avx2", "nearest-16", "_mm256_srl_epi32(square,", "_mm256_sra_epi32(square,"),
    ("x86-avx512-vnni", "voted-bytes-sizes", "_mm512_abs_epi16(", "_mm512_abs_epi8("),
    ("x86-avx2", "voted-bytes", "apr_places_add(n4, apr_places_all(1))", "n4"),
    ("x86-avx2", "spread-bytes", "kept0 = apr_places_least(", "kept0 = apr_places_max("),
    ("x86-avx512", "spread-16", "_mm512_abs_epi32(a)", "a"),
    ("x86-avx512-vnni", "spread-16-many", "apr_places_all(2047)", "apr_places_all(1023)"),
    ("x86-avx2", "shares-bytes", ", reciprocal), 16U)", ", reciprocal), 15U)"),
    ("x86-avx512", "curve-16", "apr_places_all(128), part", "apr_places_all(127), part"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "case", "old", "new"), FAULTS, ids=lambda value: value[:30])
def test_planted_faults_are_found(
    name: str, case: str, old: str, new: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """Points that count twice, squares with a sign, sizes of bytes, a low bound, no cap, lines bent elsewhere."""
    require_target(name)
    program = case_of(case)
    compiled = compiled_of(program, name, "gcc", tmp_path, old, new)

    assert differing(compiled, program, rows_of(program, 1200, 2), AWKWARD) > 0


def test_without_kernels_and_room() -> None:
    """Where a kernel is not there, or a list takes too much of the stack, neighbours stay one by one."""
    target = load_target("x86-avx512-vnni")
    program = case_of("voted-bytes")
    long = voted("i8", "euclidean", 9, 2000, 700)

    assert with_integer_blocks(program, target.batch, lambda name: name not in KERNELS) is program
    assert blocks(program, target, replace(form_of(target.name), hidden_bytes=3000)) is program
    assert blocks(long, target) is long
