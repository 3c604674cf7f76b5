"""Compact trees: branches and bytes answer as tables of nodes do, and rows decide where the branches end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.accuracy import Calibration
from aprgen.build import build_artifact
from aprgen.core import Options, compile_model, runtime_headers
from aprgen.emit import Names, emit_model
from aprgen.ops.compact_trees import CompactTrees
from aprgen.ops.decide import Lookup
from aprgen.ops.integer import Dequantise
from aprgen.ops.trees import TreeOp, TreeTotals, TreeVotes
from aprgen.passes.compact_trees import compact
from aprgen.passes.flat_trees import expected_splits, flat_trees, reached
from aprgen.passes.strategy import choose_strategies, with_trees
from aprgen.passes.tree_codes import with_codes
from aprgen.passes.tree_shapes import code_op, coded_trees
from aprgen.program import Builder, Op, Program, Table, ValueType, row_type
from aprgen.rows import edge_codes
from aprgen.target import load_target
from tests.differential.compiled import load
from tests.differential.test_large_models import forest
from tests.ops.slow import shaped_trees
from tests.passes.test_tree_codes import agree
from tests.passes.test_tree_shapes import halves, special_rows

SPLIT = (8.0, 3.0)
PRICES = (0.0, 4.0, 16.0, 64.0, 1e6)
UNIT = 900
ROWS = [[300, 600, 0], [0, 0, 900], [1, 0, 65_535], [0, 0, 0], [7, 0, 0]]  # of totals, behind leaves of one class


def op_of(use: str, n_trees: int, depth: int, n_features: int, seed: int) -> TreeOp:
    if use == "votes":
        return TreeVotes(halves(n_trees, depth, n_features, 3, seed, 1), n_features, "f32", 3)
    nodes = halves(n_trees, depth, n_features, 3 + len(ROWS), seed, 1)
    return TreeTotals(nodes, n_features, "f32", Table(np.array(ROWS).reshape(-1).astype(np.int32)), -40, 3, UNIT)


def program_of(op: TreeOp) -> Program:
    builder = Builder(row_type(op.n_features))
    last: Op = Dequantise("i32", 3, Table([0.5], np.float32), None)
    if isinstance(op, TreeVotes):
        last = Lookup("u16", 3, 3, Table(np.arange(op.n_trees + 1, dtype=np.float32)))
    return builder.build(builder.add(last, builder.add(op, 0)))


def compacted(op: TreeOp, price: float, rows: np.ndarray | None = None) -> tuple[Op, CompactTrees] | None:
    coded = coded_trees(op, rows)
    found = None if coded is None else compact(op, coded, SPLIT, price)
    return None if coded is None or found is None else (code_op(coded, op.n_features, in_line=False), found.trees)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(("votes", "totals")), st.integers(1, 4), st.integers(1, 7), st.integers(1, 40),
    st.integers(0, 2**32 - 1), st.sampled_from(PRICES), st.booleans(),
)  # fmt: skip
def test_leaves_are_those_of_the_trees(
    use: str, n_trees: int, depth: int, n_features: int, seed: int, price: float, seen: bool
) -> None:
    """Trees of any form, ended anywhere: what tables of nodes add up, and what a reader of single bytes does."""
    op = op_of(use, n_trees, depth, n_features, seed)
    rows = special_rows(n_features, seed)
    found = compacted(op, price, rows[:20] if seen else None)
    if found is None:  # nothing to decide, or all is worth branches
        trees = flat_trees(op.nodes)
        assert trees is not None
        assert trees.n_nodes == 0 or price > 0 or n_trees * depth < 6
        return
    codes, made = found
    with np.errstate(invalid="ignore"):
        read = codes.evaluate(rows)
        expected = op.evaluate(rows).tolist()

    assert expected == made.evaluate(read).tolist()
    assert expected[:6] == [shaped_trees(made, row) for row in read[:6].tolist()]


@pytest.mark.parametrize(
    ("use", "price"), [("votes", 0.0), ("votes", 8.0), ("totals", 0.0), ("totals", 8.0), ("totals", 1e6)]
)
def test_c(use: str, price: float, tmp_path: Path) -> None:
    """As C without a warning: the scores of the plain trees. 40 columns, so that a second pointer reads some."""
    op = op_of(use, 6, 7, 40, 3)
    plain = program_of(op)
    found = compacted(op, price)
    assert found is not None
    program = with_trees(plain, lambda _: found)
    names = Names("m", use, "scores", "none", "", "host", "", "none", "f32", "", "0")
    texts = emit_model(program, names, load_target("host").templates)
    compiled = load("m", texts | runtime_headers(texts["m.c"], load_target("host")), program, tmp_path)
    rows = special_rows(40, 3)

    assert plain.run(rows).view(np.uint32).tolist() == compiled.batch(rows)[0].view(np.uint32).tolist()


@pytest.mark.parametrize("element", ["s8", "s16"])
def test_codes_of_a_caller(element: str) -> None:
    """Codes with a sign, those below 0 among them, as the trees in tables answer."""
    plain = program_of(op_of("totals", 4, 6, 8, 5))
    rows = np.random.default_rng(2).integers(0, 17, (60, 8)).astype(np.float32)
    program = with_codes(plain, rows, "i8" if element == "s8" else "i16")
    made = choose_strategies(program, load_target("cortex-m4").cost, "compact", rows)

    assert any(isinstance(step.op, CompactTrees) for step in made.steps)
    agree(made, edge_codes(program, 100))


def test_what_does_not_fit() -> None:
    """More than 14 classes, a threshold with a code above 255, amounts below 0 or of more than 16 bits, no unit."""
    wide = halves(4, 5, 3, 15, 1, 1)
    fine = op_of("totals", 4, 5, 3, 1)
    assert isinstance(fine, TreeTotals)
    assert compacted(fine, 8.0) is not None
    assert compacted(TreeVotes(wide, 3, "f32", 15), 8.0) is None
    assert compacted(replace(fine, unit=0), 8.0) is None
    for values in ([-1] * 15, [1 << 16] * 15):
        assert compacted(replace(fine, values=Table(np.array(values, np.int32))), 8.0) is None
    nodes = halves(6, 7, 1, 3, 1, 1)
    for scale in (1.0, 1.1):  # with 300 thresholds, and as few as there were
        many = replace(nodes, threshold=Table((np.arange(nodes.n_nodes) % (300 * scale) * scale).astype(np.float32)))
        op = TreeVotes(many if scale > 1 else nodes, 1, "f32", 3)
        assert (compacted(op, 8.0) is None) == (scale > 1)


def test_rows_decide_where_branches_end() -> None:
    """A side that no row took has no branches, and the one that all took is passed in them to its end."""
    op = TreeVotes(halves(1, 6, 1, 3, 4, 1), 1, "f32", 3)
    low = np.full((50, 1), -5.0, np.float32)
    plain, seen = flat_trees(op.nodes), flat_trees(op.nodes, low)
    assert plain is not None
    assert seen is not None
    goes_left, goes_right = reached(seen)
    found = compacted(op, 200.0, low)
    assert found is not None
    (part,) = found[1].parts

    assert 0 == goes_right.sum()
    assert goes_left.sum() == expected_splits(seen)
    assert len(part.branches.feature) == expected_splits(seen)
    numbers = part.branches.leaf[part.branches.right] - found[1].n_classes
    inner = [int(plain.right[node]) for node in range(plain.n_nodes) if goes_left[node]]
    assert [child >= 0 for child in inner] == (numbers[: len(inner)] > 0).tolist()


def test_more_branches_take_fewer_instructions() -> None:
    """Of the estimates: the higher the price of an instruction, the more flash and the fewer instructions."""
    model = forest(12, 6, 8, [0, 1, 2]).load()
    op = next(step.op for step in model.model.lower().steps if isinstance(step.op, TreeOp))
    coded = coded_trees(op, np.random.default_rng(3).normal(0, 1, (300, 8)).astype(np.float32))
    assert coded is not None
    found = [compact(op, coded, SPLIT, price) for price in (1.0, 4.0, 8.0)]
    flash, mean, worst = ([getattr(one, name) for one in found] for name in ("flash_bytes", "mean", "worst"))

    assert flash == sorted(flash)
    assert mean == sorted(mean, reverse=True)
    assert all(low <= high for low, high in zip(mean, worst, strict=True))
    assert len(set(mean)) == 3


def test_on_a_target(tmp_path: Path, require_target: object) -> None:
    """By name on Cortex-M4, with rows that show where trees go: the labels of the model, less flash than branches,
    at most 128 bytes of stack and no variables."""
    require_target("cortex-m4")  # type: ignore[operator]
    model = forest(12, 6, 8, [0, 1, 2]).load()
    rows = np.random.default_rng(1).normal(0, 1, (40, 8)).astype(np.float32)
    sizes = {}
    for shape in ("compact", "branches"):
        options = Options("m", optimise=shape, calibration=Calibration(rows, "rows"))
        (tmp_path / shape).mkdir()
        built = build_artifact(compile_model(model, load_target("cortex-m4"), options), work=tmp_path / shape)
        run = built.run(rows)
        sizes[shape] = built.footprint.flash_bytes
        assert run.labels is not None
        assert model.model.classify(rows).tolist() == run.labels.tolist()
        assert built.footprint.data_bytes + built.footprint.bss_bytes == 0
        assert run.stack_bytes["classify"] <= 128
    assert sizes["compact"] < sizes["branches"]


@pytest.mark.parametrize("use", ["votes", "totals"])
def test_bytes_that_lead_out_of_the_table_are_noticed(use: str) -> None:
    """Whichever byte of the splits is set to its largest, a walk that leaves the table, or ends nowhere, is refused."""
    found = compacted(op_of(use, 12, 6, 5, 3), 0.0)
    assert found is not None
    op = found[1]
    row = ValueType(op.element, op.n_features)
    refused = 0
    tried = range(0, op.nodes.data.size, 7)
    for at in tried:
        data = op.nodes.data.copy()
        data[at] = 63 if at % 3 == 0 else 255
        try:
            replace(op, nodes=Table(data)).result(row)
        except ValueError:
            refused += 1

    assert op.result(row).size == 3
    assert refused > len(tried) // 4
    for wrong in (replace(op, depth=op.depth - 1), replace(op, nodes=Table(op.nodes.data[:-1]))):
        with pytest.raises(ValueError, match=r"splits|stands|leaf"):
            wrong.result(row)
    if use == "totals":
        for entries in (op.entries.data[:-3], op.entries.data | 127):
            with pytest.raises(ValueError, match=r"entries|row"):
                replace(op, entries=Table(entries)).result(row)
