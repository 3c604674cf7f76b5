"""Levels by lines of bits: the edges of columns and blocks; and levels by codes, which only many columns take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aprgen.image import ModelFacts, build_image
from aprgen.ops.integer import Dequantise
from aprgen.ops.trees import Nodes, TreeSum, TreeTotals
from aprgen.ops.walked_trees import LineTop, Top, WalkedTrees
from aprgen.ops.wide_codes import WideCodes, lines_of
from aprgen.ops.wide_trees import BitTrees, LevelTrees, ShallowTrees
from aprgen.passes.choices import Choices
from aprgen.passes.strategy import choose_strategies
from aprgen.passes.wide_trees import with_batch
from aprgen.program import Array, Builder, Program, Table, row_type
from aprgen.runners.choose import runner_for
from aprgen.runners.records import AWKWARD
from aprgen.target import Target, load_target
from aprgen.toolchain import find_toolchain
from aprgen.verify import same_bits
from tests.differential.compiled import load
from tests.passes.test_wide_trees import CASES, COMPILERS, agree, program_of, random_nodes, rows_of, texts_of

SIZES = (1, 7, 8, 9, 15, 16, 63, 64, 248, 254, 255)  # thresholds of a column
ROWS = (1, 63, 64, 65, 127, 129, 255, 256, 257, 449, 512, 513, 1025)


def edges(depth: int, *, missing: bool) -> Program:
    """Complete trees that split once at every threshold of every column, and at some twice."""
    chance = np.random.default_rng(depth)
    feature = np.repeat(np.arange(len(SIZES)), SIZES)
    threshold = np.concatenate([np.arange(size) - size / 2 for size in SIZES]).astype(np.float32)
    per_tree = (1 << depth) - 1
    n_trees = -(-len(feature) // per_tree)
    taken = np.resize(chance.permutation(len(feature)), n_trees * per_tree)
    place = np.arange(per_tree)
    inner = 2 * place + 1 < per_tree
    of_tree = per_tree * np.arange(n_trees)[:, None]
    leaf = -1 - (np.arange(n_trees)[:, None] * (per_tree + 1) + 2 * (place - per_tree // 2))
    left = np.where(inner, of_tree + 2 * place + 1, leaf).reshape(-1)
    right = np.where(inner, of_tree + 2 * place + 2, leaf - 1).reshape(-1)
    nodes = Nodes(
        Table(feature[taken].astype(np.uint16)), Table(threshold[taken]), Table(left.astype(np.int32)),
        Table(right.astype(np.int32)), Table(of_tree.reshape(-1).astype(np.int32)), depth,
        Table(chance.random(len(taken)) < 0.5, np.uint8) if missing else None,
    )  # fmt: skip
    values = chance.normal(size=n_trees * (per_tree + 1)).astype(np.float32)
    builder = Builder(row_type(len(SIZES)))
    return builder.build(builder.add(TreeSum(nodes, len(SIZES), "f32", Table(values), 0.5), 0))


def planned(program: Program, target: Target, bit_split: int | None) -> Program:
    """In levels, whatever they cost."""
    assert target.batch is not None
    cost = replace(target.batch, bit_split=bit_split, split=10**9)
    return with_batch(choose_strategies(program, target.cost), program, cost, Choices(trees="levels", few_rows=1))


def kinds(made: Program) -> set[type]:
    return {type(step.op) for step in made.steps if isinstance(step.op, ShallowTrees)}


def require_same(made: Program, program: Program, rows: Array, target: Target, compiler: str, folder: Path) -> None:
    """C gives the bits of Program.run() for each of ROWS."""
    flags = next(rule.cflags for rule in target.builds if compiler in rule.programs)
    compiled = load("m", texts_of(made, target), made, folder, compiler, (*flags, "-O1"))
    expected, labels = program.run(rows), program.classify(rows)
    for n, at in zip(ROWS, np.cumsum([0, *ROWS]).tolist(), strict=False):
        scores, found = compiled.batch(np.ascontiguousarray(rows[at : at + n]))
        assert np.flatnonzero(~same_bits(scores, expected[at : at + n]).all(axis=1)).tolist() == []
        assert labels is None or found is None or found.tolist() == labels[at : at + n].tolist()


def require_same_of_image(made: Program, program: Program, target: Target, rows: Array, folder: Path) -> None:
    """An image that an emulator or an engine runs gives the bits of Program.run()."""
    facts = ModelFacts("m", "row", program.n_features, program.n_outputs, False, has_batch=True)
    image = build_image(target, find_toolchain(target), texts_of(made, target), facts, folder)
    found = runner_for(target, "auto").run(image, rows, count=False).batch
    assert found is not None
    assert same_bits(found.scores, program.run(rows)).all()


def near(program: Program) -> Array:
    """Rows of all sizes in ROWS: at each threshold and next to it, NaN and infinities between."""
    chance = np.random.default_rng(7)
    rows = chance.integers(-130, 130, (sum(ROWS), program.n_features)).astype(np.float32)
    rows += chance.choice(np.array([0, 0, 0.5, -0.5, 0.25], np.float32), rows.shape)
    return np.where(chance.random(rows.shape) < 0.1, np.float32(np.nan), rows)


@pytest.mark.parametrize(
    ("name", "depth"), [*(("x86-avx512", depth) for depth in range(1, 8)), *(("x86-avx2", n) for n in (1, 3, 6, 7))]
)
def test_edges_of_columns(
    name: str, depth: int, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """Columns whose codes end before, at and behind a multiple of 8, and blocks that end there: Python and C give the
    bits of rows that walk, compilers in turn. Where missing values go both ways, a column stands twice."""
    missing = depth in (2, 3, 6)
    program = edges(depth, missing=missing)
    target = load_target(name)
    made = planned(program, target, bit_split=1)
    rows = near(program)

    assert kinds(made) == {BitTrees}
    if not missing:
        lines = next(step.op.lines for step in made.steps if isinstance(step.op, WideCodes))
        assert lines is not None
        found = zip(lines.steps.data.tolist(), lines.rests.data.tolist(), strict=True)
        assert list(found) == [lines_of(size) for size in SIZES]
    agree(made, program, rows[:600])
    require_target(name)
    require_same(made, program, rows, target, COMPILERS[(depth + (name == "x86-avx2")) % 2], tmp_path)


@pytest.mark.parametrize(("name", "depth", "bit_split"), [
    ("arm-neon", 6, 1), ("arm-neon", 7, 1), ("arm-neon", 5, None), ("wasm", 2, 1), ("wasm", 7, 1), ("wasm", 5, None),
])  # fmt: skip
def test_on_other_machines(
    name: str, depth: int, bit_split: int | None, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """The same of an image that emulators and engines run, by lines of bits and by codes."""
    program = edges(depth, missing=depth == 6)
    target = load_target(name)
    made = planned(program, target, bit_split)
    rows = near(program)[: sum(AWKWARD[:10])]

    assert kinds(made) == {LevelTrees if bit_split is None else BitTrees}
    agree(made, program, rows)
    require_target(name)
    require_same_of_image(made, program, target, rows, tmp_path)


def of_many_outputs(n_outputs: int) -> Program:
    """Trees that go in groups."""
    case = replace(CASES[6], n_trees=30, missing=0.0)
    nodes = random_nodes(case, 50, np.random.default_rng(1))
    values = np.random.default_rng(2).integers(-3000, 3000, (50, n_outputs)).astype(np.int32) * 9
    builder = Builder(row_type(case.n_features))
    value = builder.add(TreeTotals(nodes, case.n_features, "f32", Table(values), -5, n_outputs), 0)
    return builder.build(builder.add(Dequantise("i32", n_outputs, Table([0.5], np.float32), None), value))


@pytest.mark.parametrize(("n_outputs", "n_rows"), [(128, 32), (300, None)])
def test_more_outputs_than_the_stack_of_wasm_has_room_for(
    n_outputs: int, n_rows: int | None, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """Their sums are kept for fewer rows; of 300 outputs for one."""
    program, target = of_many_outputs(n_outputs), load_target("wasm")
    assert target.batch is not None
    floats = choose_strategies(program, target.cost)
    made = with_batch(floats, program, replace(target.batch, split=10**9))
    assert (made.batch and made.batch.rows) == n_rows
    require_target("wasm")
    require_same_of_image(made, program, target, rows_of(program, 100, 1), tmp_path)


@pytest.mark.parametrize(("n_outputs", "n_rows"), [(32, 128), (64, 64)])
def test_the_stack_of_wasm(
    n_outputs: int, n_rows: int, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """Lines and the sums before and after a group of trees are kept in 64 KB: of many outputs only for 64 rows."""
    program, target = of_many_outputs(n_outputs), load_target("wasm")
    made = planned(program, target, bit_split=1)
    assert made.batch is not None
    assert made.batch.rows == n_rows
    assert sum(isinstance(step.op, ShallowTrees) for step in made.steps) > 1
    require_target("wasm")
    require_same_of_image(made, program, target, rows_of(program, 300, 1), tmp_path)


@pytest.mark.parametrize(
    ("name", "number"), [*(("x86-avx512", number) for number in (0, 1, 3, 5, 22)), ("x86-avx2", 3), ("x86-avx2", 6)]
)
def test_levels_by_codes(
    name: str, number: int, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """Levels that compare codes, as of many columns, have the bits of rows that walk where there are few, too."""
    program = program_of(CASES[number])
    target = load_target(name)
    made = planned(program, target, bit_split=None)
    rows = rows_of(program, sum(ROWS), 2)

    assert kinds(made) == {LevelTrees}
    agree(made, program, rows[:600])
    require_target(name)
    require_same(made, program, rows, target, COMPILERS[number % 2], tmp_path)


@pytest.mark.parametrize(("number", "walked_lines", "top"), [
    (12, 1, LineTop), (15, 1, LineTop), (16, None, Top),
])  # fmt: skip
def test_first_levels_of_walks(
    number: int, walked_lines: int | None, top: type, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """Trees that are walked with AVX2 have the bits of rows that walk, with first levels by lines of bits of ranks, of
    which a column has several, and by comparisons."""
    target = load_target("x86-avx2")
    assert target.batch is not None
    program = program_of(replace(CASES[number], n_trees=14) if number == 12 else CASES[number])
    cost = replace(target.batch, walked_lines=walked_lines, split=10**9)
    made = with_batch(
        choose_strategies(program, target.cost), program, cost, Choices(trees="walked", few_rows=1)
    )  # fmt: skip
    found = next(step.op.top for step in made.steps if isinstance(step.op, WalkedTrees))
    rows = rows_of(program, sum(ROWS), 2)

    assert type(found) is top
    assert not isinstance(found, LineTop) or number != 12 or len(found.finer.columns.data) > program.n_features
    agree(made, program, rows[:600])
    require_target(target.name)
    require_same(made, program, rows, target, COMPILERS[number % 2], tmp_path)
