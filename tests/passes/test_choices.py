"""Strategies that are chosen from outside: the passes take them, give the same bits, and refuse what is not there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aprgen.costs import BatchCost
from aprgen.errors import UnsupportedError
from aprgen.ops.wide_floats import Panels
from aprgen.passes.choices import BY_COST, Choices
from aprgen.passes.ranked_trees import form_of
from aprgen.passes.strategy import choose_strategies
from aprgen.passes.wide_costs import cycles_one_by_one, few_rows_of, trees_of_rows
from aprgen.passes.wide_floats import sum_forms, with_float_blocks
from aprgen.passes.wide_steps import with_block_steps
from aprgen.passes.wide_trees import with_batch
from aprgen.program import Program
from aprgen.target import Target, load_target
from tests.passes.test_wide_floats import COMPILERS, case_of, differing, floats_of, network
from tests.passes.test_wide_trees import CASES, agree, kernels, program_of, rows_of

SMALL = next(case for case in CASES if (case.use, case.depth) == ("sum", 6))
KERNELS = {"levels": "wide_level_trees", "permuted": "wide_permuted_trees", "walked": "wide_walked_trees"}


def batch_of(target: Target) -> BatchCost:
    assert target.batch is not None
    return target.batch


def trees(choices: Choices, name: str = "x86-avx512", **costs: int | None) -> Program:
    target = load_target(name)
    program = program_of(SMALL)
    cost = replace(batch_of(target), **costs)  # type: ignore[arg-type]
    return with_batch(choose_strategies(program, target.cost), program, cost, choices)


@pytest.mark.parametrize("form", KERNELS)
def test_trees_take_the_chosen_form(form: str) -> None:
    """Whatever it costs, and with the bits of one row; its work times the costs are its cycles."""
    made = trees(Choices(trees=form), level_split=10**9, permuted_tree=10**9, turned_tree=None, walked_split=10**9)  # type: ignore[arg-type]
    assert made.batch is not None

    assert KERNELS[form] in kernels(made)
    assert made.batch.forms == (form,)
    assert set(made.batch.work) == {
        "levels": {"code", "level_tree", "bit_split"}, "permuted": {"code", "permuted_tree"},
        "walked": {"code", "walked_split"},
    }[form]  # fmt: skip
    agree(made, program_of(SMALL), rows_of(program_of(SMALL), 300, 3))


def test_trees_row_by_row() -> None:
    """Then there are no blocks, though they would be cheaper."""
    assert trees(Choices(trees="rows")).batch is None
    assert trees(BY_COST).batch is not None


def test_forms_that_are_not_there() -> None:
    """AVX2 has no permuted trees, a layer of 99 outputs no lanes, and a model of four layers no two forms."""
    with pytest.raises(UnsupportedError, match="these trees cannot be computed in the form 'permuted'"):
        trees(Choices(trees="permuted"), "x86-avx2")
    with pytest.raises(UnsupportedError, match="a layer with so many outputs"):
        sums(Choices(sums=("lanes", "panels", "panels", "panels")))
    with pytest.raises(UnsupportedError, match="a model with 4 layers"):
        sums(Choices(sums=("panels", "panels")))


def test_few_rows_are_those_that_are_chosen() -> None:
    """A number that is chosen is the number of the C; else it follows from the costs."""
    for few_rows in (1, 5, 64):
        batch = trees(Choices(few_rows=few_rows)).batch
        assert batch is not None
        assert batch.few_rows == few_rows


def test_dearer_rows_make_blocks_pay_earlier() -> None:
    """The dearer a row alone is, the fewer rows take a block; one that never pays takes whole blocks."""
    found = []
    for split in (20_000, 60_000, 2_000_000, 10**9):
        batch = trees(Choices(trees="levels"), "x86-avx2", split=split, walked_row=None, float_row=None).batch
        assert batch is not None
        found.append(batch.few_rows)

    assert found == sorted(found, reverse=True)
    assert found[-1] == 1
    batch = trees(Choices(trees="levels"), "x86-avx2", split=1, walked_row=None, float_row=None).batch
    assert batch is not None
    assert batch.few_rows == batch_of(load_target("x86-avx2")).rows


def test_few_rows_of() -> None:
    """A block of 128 rows whose trees take 10 cycles each, beside rows alone at 100 without their codes: 13."""
    cost = replace(batch_of(load_target("x86-avx2")), code=5, level_tree=10)
    form = form_of("levels", (), cost, {"code": 4, "level_tree": 1}, 128)

    assert (form.cycles, form.of_block, form.of_rows) == (30, 1280, 20)
    assert few_rows_of([form], 120, 128) == 13
    assert few_rows_of([form], 20, 128) == 128
    assert few_rows_of([form], 10_000_000, 128) == 1
    assert few_rows_of([replace(form, of_block=3840, of_rows=0)], 120, 128) == 32  # codes of 128 rows, too
    op = next(iter(trees_of_rows(program_of(SMALL)).values()))
    assert cycles_one_by_one([op, op], cost) == 2 * cycles_one_by_one([op], cost)


def sums(choices: Choices, name: str = "x86-avx512") -> Program:
    target = load_target(name)
    return with_float_blocks(network(), target.batch, target.has_kernel, choices)


def test_sums_take_the_chosen_forms() -> None:
    """Layer by layer; () leaves the model row by row. Which layers may take lanes is known."""
    target = load_target("x86-avx512")
    assert sum_forms(network(), floats_of("x86-avx512"), target.has_kernel) == (
        ("panels",), ("panels",), ("panels",), ("panels", "lanes")
    )  # fmt: skip
    for last in ("panels", "lanes"):
        made = sums(Choices(sums=("panels", "panels", "panels", last)))  # type: ignore[arg-type]
        assert made.batch is not None
        assert made.batch.forms[-1] == last
        assert set(made.batch.work) == ({"panel"} if last == "panels" else {"panel", "turned", "lane"})
    assert sums(Choices(sums=())).batch is None


def test_steps_between_keep_what_is_said_of_the_sums() -> None:
    """Vectors for what stands between the sums change neither their forms nor their work."""
    target = load_target("x86-avx512")
    before = sums(BY_COST)
    made = with_block_steps(before, target.batch, target.has_kernel)
    assert before.batch is not None
    assert made.batch is not None

    assert made.batch.many != before.batch.many
    assert (made.batch.forms, made.batch.work) == (before.batch.forms, before.batch.work)


@pytest.mark.parametrize(
    ("name", "number", "tile_rows", "tile_panels", "rows"),
    [("x86-avx512", 0, 6, 4, 96), ("x86-avx512", 1, 8, 3, 32), ("x86-avx2", 0, 3, 4, 48), ("x86-avx2", 1, 6, 2, 96)],
)
def test_tiles_and_blocks_of_other_sizes(
    name: str, number: int, tile_rows: int, tile_panels: int, rows: int, tmp_path: Path,
    require_target: Callable[[str], None],
) -> None:  # fmt: skip
    """C gives the bits of Program.run() for any number of rows, whatever the tiles and blocks."""
    require_target(name)
    target = load_target(name)
    program = case_of("network")
    choices = Choices(rows=rows, tile_rows=tile_rows, tile_panels=tile_panels)
    made = with_float_blocks(program, target.batch, target.has_kernel, choices)
    assert made.batch is not None

    assert made.batch.rows == rows
    assert {(op.tile_rows, op.tile_panels) for step in made.steps if isinstance(op := step.op, Panels)} == {
        (tile_rows, tile_panels)
    }
    assert differing(program, made, target, COMPILERS[number], tmp_path) == 0
