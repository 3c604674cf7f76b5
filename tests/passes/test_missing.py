"""Missing values: splits that send a NaN left, in Python, in C, in every shape and on targets."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.build import build_artifact
from aprgen.core import Options, artifact_of, runtime_headers
from aprgen.emit import Names, emit_model
from aprgen.ops.decide import Argmax
from aprgen.ops.integer import Dequantise
from aprgen.ops.missing import MissingLow
from aprgen.ops.trees import Nodes, TreeLeaf, TreeOp, TreeSum, TreeVotes
from aprgen.passes.missing import without_missing
from aprgen.passes.strategy import choose_strategies
from aprgen.program import Array, Builder, Program, Table, ValueType, row_type
from aprgen.rows import edge_rows
from aprgen.target import load_target
from tests.differential.compiled import load
from tests.examples import loaded
from tests.passes.test_tree_shapes import halves, op_of_totals, special_rows

WAYS = (None, "branches", "packed", "keyed-branches", "float-branches", "size", "mean")
USES = ("votes", "sum", "leaf", "totals")
TARGETS = ("host", "cortex-m0plus", "cortex-m4")


def nodes_of(n_trees: int, n_features: int, seed: int, share: float) -> Nodes:
    """Full trees of three levels; that share of the splits sends a NaN left."""
    nodes = halves(n_trees, 3, n_features, 3, seed, lowest=-8)
    goes = np.random.default_rng(seed).random(nodes.n_nodes) < share
    return replace(nodes, missing_left=Table(goes, np.uint8))


def op_of(use: str, nodes: Nodes, n_features: int) -> TreeOp:
    if use == "votes":
        return TreeVotes(nodes, n_features, "f32", 3)
    if use == "sum":
        return TreeSum(nodes, n_features, "f32", Table([0.1, -0.3, 7.0], np.float32), 0.25)
    if use == "leaf":
        return TreeLeaf(replace(nodes, root=Table(nodes.root.data[:1])), n_features, "f32")
    return op_of_totals("totals", nodes, n_features)


def rows_with_gaps(n: int, seed: int) -> Array:
    """Half of the values are missing, with either sign and any payload."""
    rows = special_rows(n, seed)
    gaps = np.random.default_rng(seed).random(rows.shape) < 0.5
    nan = np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF], np.uint32).view(np.float32)
    bits = np.where(gaps, np.resize(nan.view(np.uint32), rows.shape), rows.view(np.uint32))
    return np.ascontiguousarray(bits).view(np.float32)


def slow_leaves(nodes: Nodes, row: Array) -> list[int]:
    """One value after the other, as the libraries say it."""
    assert nodes.missing_left is not None
    found = []
    for root in nodes.root.data:
        at = int(root)
        while at >= 0:
            value = row[nodes.feature.data[at]]
            goes_left = bool(nodes.missing_left.data[at]) if np.isnan(value) else value <= nodes.threshold.data[at]
            at = int((nodes.left if goes_left else nodes.right).data[at])
        found.append(~at)
    return found


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1), st.sampled_from((0.0, 0.3, 0.5, 1.0)))
def test_every_nan_goes_where_its_node_says(n_trees: int, n_features: int, seed: int, share: float) -> None:
    """Walks of whole columns are walks of single values, and so are plain trees on the row that is made for them."""
    nodes = nodes_of(n_trees, n_features, seed, share)
    rows = rows_with_gaps(n_features, seed)[:60]
    expected = [slow_leaves(nodes, row) for row in rows]
    op = TreeVotes(nodes, n_features, "f32", 3)
    made, plain = without_missing(op)

    with np.errstate(invalid="ignore"):
        assert expected == np.stack(list(op.leaves(rows)), axis=1).tolist()
        assert plain.nodes.missing_left is None
        assert len(made) == int(nodes.missing_left.data.any())  # type: ignore[union-attr]
        moved = made[0].evaluate(rows) if made else rows
        assert expected == np.stack(list(plain.leaves(moved)), axis=1).tolist()


def program_of(use: str, nodes: Nodes, n_features: int) -> Program:
    builder = Builder(row_type(n_features))
    op = op_of(use, nodes, n_features)
    value = builder.add(op, 0)
    if use == "sum":
        return builder.build(value)
    if use == "totals":
        return builder.build(builder.add(Dequantise("i32", 2, Table([0.5], np.float32), None), value))
    label = builder.add(Argmax("u16", 3, None), value) if use == "votes" else value
    scores = builder.add(TreeSum(nodes, n_features, "f32", Table([1, 2, 3], np.float32), 0.0), 0)
    return builder.build(scores, label, n_classes=3)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("target", ["host", "cortex-m0plus"])
def test_missing_values_in_c(way: str, target: str, tmp_path: Path) -> None:
    """Rows full of gaps in every shape, with floats and with keys: the Program's scores and labels."""
    for use in USES:
        program = program_of(use, nodes_of(6, 5, 9, 0.4), 5)
        made = choose_strategies(program, load_target(target).cost, way)  # type: ignore[arg-type]
        names = Names("m", use, "scores", "none", "", "host", "", "none", "f32", "", "0")
        texts = emit_model(made, names, load_target("host").templates)
        folder = tmp_path / use
        folder.mkdir()
        compiled = load("m", texts | runtime_headers(texts["m.c"], load_target("host")), made, folder)
        rows = np.concatenate([rows_with_gaps(5, 2), edge_rows(program, 200).values])
        scores, labels = compiled.batch(rows)

        assert any(isinstance(step.op, MissingLow) for step in made.steps)
        with np.errstate(invalid="ignore"):
            assert program.run(rows).view(np.uint32).tolist() == scores.view(np.uint32).tolist()
            expected = program.classify(rows)
        assert (labels is None) == (expected is None)
        assert labels is None or expected.tolist() == labels.tolist()  # type: ignore[union-attr]


@settings(max_examples=12)
@given(
    n_trees=st.integers(1, 5), n_features=st.integers(1, 40), seed=st.integers(0, 2**32 - 1), way=st.sampled_from(WAYS),
    share=st.sampled_from((0.1, 1.0)),
)  # fmt: skip
def test_random_trees_in_c(n_trees: int, n_features: int, seed: int, way: str, share: float) -> None:
    """Any trees and directions: C and Program agree on rows with gaps."""
    program = program_of("votes", nodes_of(n_trees, n_features, seed, share), n_features)
    made = choose_strategies(program, load_target("cortex-m0plus").cost, way)  # type: ignore[arg-type]
    names = Names("m", "votes", "scores", "none", "", "host", "", "none", "f32", "", "0")
    texts = emit_model(made, names, load_target("host").templates)
    rows = rows_with_gaps(n_features, seed)[:100]
    with tempfile.TemporaryDirectory() as folder, np.errstate(invalid="ignore"):
        compiled = load("m", texts | runtime_headers(texts["m.c"], load_target("host")), made, Path(folder))
        assert program.classify(rows).tolist() == compiled.batch(rows)[1].tolist()  # type: ignore[union-attr]


@pytest.mark.parametrize("target", TARGETS)
def test_missing_values_on_targets(target: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Rows with gaps give the Program's bits on a core that compares floats and on one that compares keys."""
    require_target(target)
    program = program_of("votes", nodes_of(6, 5, 9, 0.4), 5)
    made = choose_strategies(program, load_target(target).cost)
    artifact = artifact_of(loaded("rfc"), program, made, load_target(target), Options("m"))
    rows = np.concatenate([rows_with_gaps(5, 2)[:100], edge_rows(program, 100).values])
    run = build_artifact(artifact, work=tmp_path).run(rows, count=False)

    with np.errstate(invalid="ignore"):
        assert program.run(rows).view(np.uint32).tolist() == run.scores.view(np.uint32).tolist()
        assert program.classify(rows).tolist() == run.labels.tolist()  # type: ignore[union-attr]


def test_edge_rows_have_gaps_at_splits() -> None:
    """Where a model sends missing values somewhere, every split sees one."""
    kinds = edge_rows(program_of("votes", nodes_of(2, 3, 1, 0.5), 3), 500).kinds
    plain = edge_rows(loaded("rfc").model.lower(), 500).kinds

    assert "split, NaN" in kinds
    assert "split, NaN" not in plain


def test_a_node_without_a_threshold_sends_nothing_left() -> None:
    """Minus infinity would go right there, too."""
    nodes = replace(nodes_of(1, 2, 1, 1.0), threshold=Table(np.full(7, np.nan), np.float32))

    with pytest.raises(ValueError, match="without a threshold"):
        TreeVotes(nodes, 2, "f32", 3).takes(ValueType("f32", 2))


def test_types_of_missing_low() -> None:
    """Columns of the row only, and floats only."""
    op = MissingLow(2, Table([1, 1], np.uint8), 1)

    assert ValueType("f32", 2) == op.result(ValueType("f32", 2))
    for wrong in (ValueType("i32", 2), ValueType("f32", 3)):
        with pytest.raises(ValueError, match="missing values"):
            op.result(wrong)
