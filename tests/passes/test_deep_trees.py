"""Forests past what tables and codes once allowed: they have ways for blocks and for one row, with the same bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aprgen.core import table_bytes_of
from aprgen.ops.deep_trees import FloatRow, FloatTrees, StagedRow, StagedTrees
from aprgen.ops.trees import Nodes, TreeSum
from aprgen.passes.choices import Choices, TreeForm
from aprgen.passes.strategy import choose_strategies
from aprgen.passes.wide_trees import with_batch
from aprgen.program import Array, Builder, Program, Table, row_type
from aprgen.target import Target, load_target
from aprgen.verify import same_bits
from tests.differential.compiled import load
from tests.passes.sanitized import require_clean
from tests.passes.test_wide_trees import agree, texts_of

VNNI, AVX2 = "x86-avx512-vnni", "x86-avx2"
OLD_TABLE_BYTES = 3 << 20
OLD_NODES = 400_000
OLD_COLUMNS = 1_536
MOST_CODES = 65_535


def full(n_trees: int, depth: int, n_features: int) -> Program:
    """Full trees whose leaves are added, all of their numbers by chance."""
    chance = np.random.default_rng(depth)
    inner = 2**depth - 1
    child = 2 * np.arange(inner) + 1
    shift = np.arange(n_trees)[:, None]

    def side(at: Array) -> Table:
        refs = np.where(at < inner, at + shift * inner, -1 - (at - inner) - shift * (inner + 1))
        return Table(refs.reshape(-1).astype(np.int32))

    nodes = Nodes(
        Table(chance.integers(n_features, size=n_trees * inner).astype(np.uint16)),
        Table(chance.standard_normal(n_trees * inner).astype(np.float32)), side(child), side(child + 1),
        Table((np.arange(n_trees) * inner).astype(np.int32)), depth,
    )  # fmt: skip
    values = Table(chance.standard_normal(n_trees * (inner + 1)).astype(np.float32))
    builder = Builder(row_type(n_features))
    return builder.build(builder.add(TreeSum(nodes, n_features, "f32", values, 0.5), 0))


def chain(depth: int) -> Program:
    """One tree, each of whose splits has a leaf on its left and the next one on its right."""
    at = np.arange(depth)
    right = np.where(at + 1 < depth, at + 1, -1 - depth)
    threshold = Table(np.sort(np.random.default_rng(depth).standard_normal(depth).astype(np.float32)))
    nodes = Nodes(
        Table((at % 3).astype(np.uint8)), threshold, Table((-1 - at).astype(np.int32)), Table(right.astype(np.int32)),
        Table([0], np.int32), depth,
    )  # fmt: skip
    builder = Builder(row_type(3))
    values = Table(np.arange(depth + 1, dtype=np.float32))
    return builder.build(builder.add(TreeSum(nodes, 3, "f32", values, 0.0), 0))


def in_form(program: Program, target: Target, form: TreeForm | None) -> Program:
    return with_batch(choose_strategies(program, target.cost), program, target.batch, Choices(trees=form))


def rows_of(program: Program, n: int) -> Array:
    """Numbers, and some NaN, infinities and zeros."""
    chance = np.random.default_rng(n)
    rows = chance.standard_normal((n, program.n_features)).astype(np.float32)
    special = chance.choice(np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45], np.float32), rows.shape)
    return np.ascontiguousarray(np.where(chance.random(rows.shape) < 0.05, special, rows))


def ops_of(program: Program) -> set[type]:
    return {type(step.op) for step in program.steps} & {StagedTrees, StagedRow, FloatTrees, FloatRow}


STAGES, ON_FLOATS = {StagedTrees, StagedRow}, {FloatTrees, FloatRow}
CASES = (
    (VNNI, None, (300, 10, 20), set()),  # tables of more than 3 MB, permuted
    (VNNI, None, (15, 14, 20), STAGES),  # more than 400,000 nodes
    (AVX2, "floats", (15, 14, 20), ON_FLOATS),
    (VNNI, None, (12, 13, 1), STAGES),  # more thresholds of a column than codes of 16 bits
    (AVX2, None, (12, 13, 1), ON_FLOATS),
    (VNNI, None, (20, 7, 4000), ON_FLOATS),  # columns whose codes fit in no block
    (AVX2, None, (20, 8, 4000), ON_FLOATS),
)


@pytest.mark.parametrize(
    ("name", "form", "size", "ops"), CASES, ids=lambda value: "ops" if isinstance(value, set) else str(value)
)
def test_past_the_old_limits(
    name: str, form: TreeForm | None, size: tuple[int, int, int], ops: set[type], tmp_path: Path,
    require_target: Callable[[str], None],
) -> None:  # fmt: skip
    """C of blocks and of one row equals Program.run() bit for bit, and so do the ops in Python."""
    program, target = full(*size), load_target(name)
    made = in_form(program, target, form)
    rows = rows_of(program, 200)
    tree = next(step.op for step in program.steps if isinstance(step.op, TreeSum))

    assert made.batch is not None
    assert ops_of(made) == ops
    assert (
        2 * tree.nodes.n_nodes > OLD_NODES
        or table_bytes_of(made) > OLD_TABLE_BYTES
        or program.n_features > OLD_COLUMNS
        or np.bincount(tree.nodes.feature.data).max() > MOST_CODES
    )
    agree(made, program, rows[:40])

    require_target(name)
    compiled = load("m", texts_of(made, target), made, tmp_path, "gcc", (*target.builds[0].cflags, "-O1"))
    expected = program.run(rows)
    assert same_bits(compiled.batch(rows)[0], expected).all()
    assert same_bits(compiled.batch(rows[:13])[0], expected[:13]).all()
    assert same_bits(compiled.one_by_one(rows[:50])[0], expected[:50]).all()


def test_long_rows_are_read_in_order_before_trees_read_them() -> None:
    """Not where trees read few of their cache lines; what is read is the block, to its last float."""
    target = load_target(AVX2)
    for size, far in (((20, 8, 4000), True), ((20, 6, 4000), False), ((20, 8, 129), True), ((20, 8, 128), False)):
        made = in_form(full(*size), target, "floats")
        assert [op.far for step in made.steps if isinstance(op := step.op, FloatTrees)] == [far]
        text = texts_of(made, target)["m.c"]
        assert (f"i < ((size_t)n_rows * {size[2]}U); i += 16U" in text) == far


@pytest.mark.parametrize("form", ["staged", "walked", "floats"])
def test_long_ways(form: TreeForm, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """A tree of more levels than a byte counts."""
    program, target = chain(300), load_target(VNNI)
    made = in_form(program, target, form)
    rows = rows_of(program, 60) * np.float32(2)
    agree(made, program, rows)

    require_target(VNNI)
    compiled = load("m", texts_of(made, target), made, tmp_path, "gcc", (*target.builds[0].cflags, "-O1"))
    assert same_bits(compiled.batch(rows)[0], program.run(rows)).all()
    assert same_bits(compiled.one_by_one(rows)[0], program.run(rows)).all()


def test_groups_of_stages() -> None:
    """Trees in stages go on from those before, for blocks and for one row, where one code would not tell all apart."""
    made = in_form(full(12, 13, 1), load_target(VNNI), "staged")
    staged = [step.op for step in made.steps if isinstance(step.op, StagedTrees)]
    rows = [step.op for step in made.steps if isinstance(step.op, StagedRow)]

    assert [op.continues for op in staged] == [op.continues for op in rows] == [False, True]
    assert all(len(op.ascending(0)) < MOST_CODES + 20 for op in (row.codes for row in rows))
    assert table_bytes_of(made) < 2 * sum(op.blocks.n_bytes for op in staged)  # one row has the tables of blocks


def test_missing_values_take_a_bit_of_each_node() -> None:
    """Of wide rows and large trees no node has room for it: such trees have another form, or go row by row."""
    program = full(1, 14, 60_000)
    op = program.steps[0].op
    assert isinstance(op, TreeSum)
    low = Nodes(
        op.nodes.feature, op.nodes.threshold, op.nodes.left, op.nodes.right, op.nodes.root, op.nodes.depth,
        Table(np.ones(op.nodes.n_nodes, np.uint8)),
    )  # fmt: skip
    builder = Builder(row_type(60_000))
    missing = builder.build(builder.add(TreeSum(low, 60_000, "f32", op.values, 0.5), 0))

    assert ops_of(in_form(program, load_target(AVX2), None)) == ON_FLOATS
    assert ops_of(in_form(missing, load_target(AVX2), None)) == set()


@pytest.mark.parametrize(
    ("name", "form", "size"),
    [(VNNI, "staged", (9, 14, 5)), (AVX2, "floats", (9, 14, 5)), (AVX2, "floats", (9, 8, 131))],
)
def test_sanitizers_find_nothing(
    name: str, form: TreeForm, size: tuple[int, int, int], tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """Of tables as text, and of long rows."""
    require_target(name)
    program, target = full(*size), load_target(name)
    texts = texts_of(in_form(program, target, form), target)

    assert ("APR_NO_TEXT" in texts["m.c"]) == (size[1] == 14)
    require_clean(texts, rows_of(program, 424), target, tmp_path)
