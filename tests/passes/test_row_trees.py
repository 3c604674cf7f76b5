"""One row through trees over rank codes: the bits of the trees that it stands for, from the tables that blocks have."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aprgen.core import Options, compile_model, table_bytes_of
from aprgen.ops.deep_trees import FloatRow, StagedRow
from aprgen.ops.row_trees import PermutedRow, WalkedRow
from aprgen.passes.strategy import choose_strategies
from aprgen.passes.wide_trees import with_batch
from aprgen.program import Program
from aprgen.target import Target, load_target, target_names
from aprgen.verify import same_bits
from tests.differential.compiled import compile_c, load, write_texts
from tests.examples import loaded
from tests.passes.test_wide_trees import (
    CASES,
    COUNTED,
    LEVELS,
    PERMUTED,
    TURNED,
    Case,
    program_of,
    rows_of,
    takes,
    texts_of,
    wide,
)

ROW = PermutedRow | WalkedRow | StagedRow | FloatRow
TARGETS = ("x86-avx512-vnni", "x86-avx512", "x86-avx2")
COMPILERS = ("gcc", "clang-14")
MANY = Case("votes", 7, 9, 130, 30, (COUNTED, PERMUTED))  # trees that take each step in two times
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")


def row_ops(program: Program) -> list[ROW]:
    """Of the functions for one row."""
    steps = program.needed(program.scores, program.label)
    return [op for index in steps if isinstance(op := program.steps[index].op, ROW)]


def made_for(case: Case, target: Target) -> tuple[Program, Program]:
    """A forest, and the same in the forms of the case."""
    assert target.batch is not None
    program = program_of(case)
    return program, wide(program, target, case.kernels_of(target.batch))


@pytest.mark.parametrize("case", [one for one in CASES[6:] if TURNED not in one.kernels], ids=lambda case: case.name)
@pytest.mark.parametrize("name", ["x86-avx512-vnni", "x86-avx2"])
def test_python(name: str, case: Case) -> None:
    """Scores and labels of the whole Program, whose one row has a form of its own where the trees allow one."""
    target = load_target(name)
    program, made = made_for(case, target)
    rows = rows_of(program, 100, 6)
    labels, found = program.classify(rows), made.classify(rows)

    expected = LEVELS not in case.kernels_of(target.batch)  # type: ignore[arg-type]
    assert len(row_ops(made)) == expected
    assert same_bits(made.run(rows), program.run(rows)).all()
    assert labels is None or found is None or found.tolist() == labels.tolist()


CHOSEN = [
    (TARGETS[number % 3], number, case) for number, case in enumerate((*CASES, MANY))
    if LEVELS not in case.kernels and takes(TARGETS[number % 3], case)
]  # fmt: skip


@pytest.mark.parametrize(("name", "number", "case"), CHOSEN, ids=lambda value: str(getattr(value, "name", value)))
def test_c(name: str, number: int, case: Case, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """NAME_scores and NAME_classify give the bits of the Program, compilers in turn."""
    require_target(name)
    target = load_target(name)
    program, made = made_for(case, target)
    compiler = COMPILERS[number % 2]
    flags = next(rule.cflags for rule in target.builds if compiler in rule.programs)
    compiled = load("m", texts_of(made, target), made, tmp_path, compiler, (*flags, "-O1"))
    rows = rows_of(program, 250, 7)
    scores, found = compiled.one_by_one(rows)
    labels = program.classify(rows)

    assert row_ops(made)
    assert np.flatnonzero(~same_bits(scores, program.run(rows)).all(axis=1)).tolist() == []
    assert labels is None or found is None or found.tolist() == labels.tolist()


ONE_ROW = """
#include "m.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    FILE *const input = fopen("rows.bin", "rb");
    float *const x = malloc(M_N_FEATURES * sizeof(float));
    float *const out = malloc(M_N_OUTPUTS * sizeof(float));
    while (fread(x, sizeof(float), M_N_FEATURES, input) == M_N_FEATURES) {
        m_scores(x, out);
    }
    free(x);
    free(out);
    return fclose(input);
}
"""


@pytest.mark.parametrize(
    ("name", "case"), [("x86-avx512-vnni", CASES[14]), ("x86-avx2", CASES[15])],
    ids=lambda value: getattr(value, "name", value),
)  # fmt: skip
def test_sanitizers_find_nothing(
    name: str, case: Case, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """No byte outside of a row and a result that are exactly as large as they must be, and no undefined operation."""
    require_target(name)
    target = load_target(name)
    program, made = made_for(case, target)
    write_texts({**texts_of(made, target), "one_row.c": ONE_ROW}, tmp_path)
    (tmp_path / "rows.bin").write_bytes(rows_of(program, 60, 8).tobytes())
    flags = next(rule.cflags for rule in target.builds if "gcc" in rule.programs)
    compile_c("gcc", (*flags, "-std=c99", "-O1", *SANITIZERS, "one_row.c", "m.c", "-o", "one_row"), tmp_path)
    done = subprocess.run([tmp_path / "one_row"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("case", "target", "old", "new"),
    [
        (CASES[10], "x86-avx512", "apr_wide_down64(own, at)", "apr_wide_down64(own, _mm512_srli_epi64(at, 1))"),
        (CASES[10], "x86-avx512", "* 64U) + top[k]", "* 64U) + top[k / 2U * 2U]"),
        (MANY, "x86-avx512", "((first + k) * 64U)", "(k * 64U)"),
        (CASES[35], "x86-avx512-vnni", "ranked[i + 1U] =", "ranked[i] ="),
        (CASES[11], "x86-avx512", "coded[i + 1U] =", "coded[i] ="),
        (CASES[15], "x86-avx2", "(code < (split & 0xFFFFU))", "(code <= (split & 0xFFFFU))"),
        (CASES[15], "x86-avx2", "_first[tree + 7U]", "_first[tree + 6U]"),
    ],
    ids=["bits", "lane of a place", "trees at once", "ranks", "lane", "equal codes", "another tree"],
)
def test_planted_faults_are_found(
    case: Case, target: str, old: str, new: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """A wrong way down, another tree's place or splits, a rank or a code in another's place, an equal code that
    goes right, a tree twice."""
    require_target(target)
    program, made = made_for(case, load_target(target))
    texts = texts_of(made, load_target(target))
    assert old in texts["m.c"]
    texts["m.c"] = texts["m.c"].replace(old, new)
    flags = next(rule.cflags for rule in load_target(target).builds if "gcc" in rule.programs)
    compiled = load("m", texts, made, tmp_path, "gcc", (*flags, "-O1"))
    rows = rows_of(program, 200, 9)

    assert not same_bits(compiled.one_by_one(rows)[0], program.run(rows)).all()


def test_tables_are_those_of_blocks() -> None:
    """The way of one row adds no table but a few words, and those of the plain trees are not in the code."""
    for name, case in (("x86-avx512", CASES[10]), ("x86-avx2", CASES[15])):
        program, made = made_for(case, load_target(name))
        assert made.batch is not None
        of_blocks = sum(
            table_bytes_of(replace(made, scores=way.scores, label=way.label)) for way in made.batch.ways
        )
        assert of_blocks <= table_bytes_of(made) <= of_blocks + 16 * row_ops(made)[0].n_trees
        assert not any(made.steps[index].op in [step.op for step in program.steps[:1]] for index in made.in_code())


def test_stated_kernels_are_there() -> None:
    """A target has the templates of the ways of one row whose costs it states."""
    for name in target_names():
        target = load_target(name)
        batch = target.batch
        if batch is not None and batch.walked_row:
            assert target.has_kernel("row_walked_trees")
        if batch is not None and batch.permuted_row:
            assert target.has_kernel("row_permuted_trees_u16") == (batch.permuted_tree is not None)
            assert target.has_kernel("row_permuted_trees_u8") == (batch.permuted_bytes is not None)


def test_a_goal_keeps_its_shape() -> None:
    """Who asks for a shape of trees has it in the functions for one row."""
    target = load_target("x86-avx2")
    of_shape = compile_model(loaded("rfc_digits"), target, Options("m", optimise="mean")).program
    plain = with_batch(program_of(CASES[15]), program_of(CASES[15]), target.batch, one_row=False)

    assert row_ops(of_shape) == []
    assert of_shape.batch is not None
    assert row_ops(plain) == []


def test_small_forests_make_no_codes() -> None:
    """Where making codes of many columns costs more than a few trees take, one row walks over floats."""
    target = load_target("x86-avx2")
    case = Case("sum", 3, 60, 2, 300, ())
    program = program_of(case)
    made = with_batch(choose_strategies(program, target.cost), program, target.batch)

    assert [type(op) for op in row_ops(made)] == [FloatRow]
