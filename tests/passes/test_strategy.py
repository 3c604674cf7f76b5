"""Strategy: another way to the same bits, chosen by cost; never floats where there is no FPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.build import build_artifact
from aprgen.core import Options, artifact_of
from aprgen.costs import Cost
from aprgen.ops.decide import Lookup
from aprgen.ops.packed_trees import PackedTrees
from aprgen.ops.trees import FloatKeys, Nodes, TreeOp, TreeSum, TreeVotes
from aprgen.passes.strategy import cheapest_compare, choose_strategies
from aprgen.program import Builder, Program, Step, Table, ValueType, row_type
from aprgen.rows import edge_rows, random_rows
from aprgen.target import load_target, target_names
from aprgen.verify import same_bits
from tests.examples import ROWS, TREES, loaded
from tests.passes.test_tree_shapes import halves
from tests.random_models import FAMILIES, Payload, TensorFile

TARGETS = {name: load_target(name) for name in target_names()}
WITHOUT_FPU = tuple(name for name, target in TARGETS.items() if target.float_unit == "none")
COSTS = {
    "floats": Cost(float_compare=1, integer_compare=10, float_to_key=10),
    "keys first": Cost(float_compare=100, integer_compare=1, float_to_key=1),
    "keys late": Cost(float_compare=10_000, integer_compare=5_000, float_to_key=1),
}


def stump_forest(n_trees: int, n_features: int, n_nodes: int) -> TreeVotes:
    """Trees that are chains of `n_nodes` splits, all on different features as long as there are some."""
    node = np.arange(n_trees * n_nodes)
    last = node % n_nodes == n_nodes - 1
    nodes = Nodes(
        Table((node % n_features).astype(np.uint16)),
        Table(np.linspace(-1, 1, len(node)).astype(np.float32)),
        Table(np.full(len(node), -1, np.int16)),
        Table(np.where(last, -2, node + 1).astype(np.int16)),
        Table((np.arange(n_trees) * n_nodes).astype(np.int16)),
        n_nodes,
    )
    return TreeVotes(nodes, n_features, "f32", 2)


def summed(op: TreeOp) -> Program:
    """A Program that gives the sum of the leaf numbers."""
    total = TreeSum(op.nodes, op.n_features, "f32", Table(np.array([0, 1], np.float32)), 0.0)
    return Program(ValueType("f32", op.n_features), (Step(total, (0,)),), 1, None, 0)


def tree_ops(program: Program) -> list[TreeOp]:
    return [step.op for step in program.steps if isinstance(step.op, TreeOp)]


def equal(before: Program, after: Program) -> bool:
    """Same scores and labels on edge rows and random rows, bit for bit."""
    rows = np.concatenate([edge_rows(before, 400).values, random_rows(before, 100).values])
    same = bool(same_bits(before.run(rows), after.run(rows)).all())
    labels, others = before.classify(rows), after.classify(rows)
    if labels is None or others is None:
        return same and labels is others
    return same and np.array_equal(labels, others)


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("name", ROWS)
def test_results_stay(name: str, cost: str) -> None:
    """Whatever things cost, the chosen Program computes the same, and the old one is left alone."""
    before = loaded(name).model.lower()
    steps = before.steps
    after = choose_strategies(before, COSTS[cost])
    after.check()

    assert equal(before, after)
    assert before.steps is steps


@pytest.mark.parametrize("cost", ["keys first", "keys late"])
@pytest.mark.parametrize("family", ["decision tree", "forest classifier", "isolation forest", "mixture of experts"])
def test_results_of_random_trees_stay(family: str, cost: str) -> None:
    """Thresholds of zeros, subnormals and the largest floats compare alike as keys."""

    @settings(max_examples=60)
    @given(payload=FAMILIES[family]())
    def check(payload: Payload | TensorFile) -> None:
        before = payload.load().model.lower()
        assert equal(before, choose_strategies(before, COSTS[cost]))

    check()


@pytest.mark.parametrize(
    ("n_features", "cost", "expected"),
    [(5, "floats", "f32"), (5, "keys first", "key"), (200, "keys first", "late_key"), (200, "floats", "f32")],
)
def test_the_cheapest_is_chosen(n_features: int, cost: str, expected: str) -> None:
    """Thirty trees pass about 95 splits: keys for 5 features pay off, keys for 200 do not."""
    assert expected == cheapest_compare(stump_forest(30, n_features, 8), COSTS[cost])


@pytest.mark.parametrize("target", WITHOUT_FPU)
@pytest.mark.parametrize("name", TREES)
def test_fixtures_compare_integers_without_fpu(name: str, target: str) -> None:
    """No tree of any fixture compares floats on a core without FPU."""
    program = choose_strategies(loaded(name).model.lower(), TARGETS[target].cost)

    assert [op.compare for op in tree_ops(program) if op.nodes.n_nodes and op.compare == "f32"] == []


@given(st.integers(1, 40), st.integers(1, 2000), st.integers(1, 60))
def test_no_shape_of_trees_compares_floats_without_fpu(n_trees: int, n_features: int, n_nodes: int) -> None:
    """Wide rows, single splits, large forests: integers in all of them on cores without FPU."""
    op = stump_forest(n_trees, n_features, n_nodes)
    for target in WITHOUT_FPU:
        assert cheapest_compare(op, TARGETS[target].cost) != "f32"


def test_the_cores_without_fpu() -> None:
    """They are these two."""
    assert WITHOUT_FPU == ("cortex-m0plus", "cortex-m3")


def test_a_wide_row_makes_keys_late() -> None:
    """A single split in a row of many features converts one value, not all of them."""
    chosen = choose_strategies(summed(stump_forest(1, 500, 60)), TARGETS["cortex-m0plus"].cost)

    assert [type(step.op).__name__ for step in chosen.steps] == ["TreeSum"]
    assert tree_ops(chosen)[0].compare == "late_key"


def test_keys_are_made_for_the_features_that_splits_read_only() -> None:
    """Of four features only those in splits become keys, and splits are renumbered to them."""
    before = loaded("rfc_even_ties").model.lower()
    after = choose_strategies(before, COSTS["keys first"])
    keys, votes = after.steps[0].op, after.steps[1].op
    assert isinstance(keys, FloatKeys)
    assert isinstance(votes, TreeOp)
    assert keys.columns is not None
    used = np.unique(tree_ops(before)[0].nodes.feature.data)

    assert keys.columns.data.tolist() == used.tolist() == [2, 3]
    assert np.array_equal(keys.columns.data[votes.nodes.feature.data], tree_ops(before)[0].nodes.feature.data)


def test_a_tree_of_one_leaf_makes_no_keys() -> None:
    """Where nothing is compared nothing is converted."""
    program = choose_strategies(loaded("dtc_single_leaf").model.lower(), COSTS["keys first"])

    assert [step.op.kernel for step in program.steps] == ["tree_leaf", "lookup_i32", "lookup_i32"]


def test_a_nan_threshold_sends_all_to_the_right() -> None:
    """Families refuse NaN thresholds; if one came, keys would still do what floats do."""
    stump = stump_forest(1, 1, 1)
    nodes = replace(stump.nodes, threshold=Table(np.array([np.nan], np.float32)))
    program = summed(replace(stump, nodes=nodes))
    rows = np.array([[0.0], [np.nan], [np.inf], [-np.inf]], np.float32)
    for cost in (Cost(1, 10, 10), Cost(100, 1, 0), Cost(10_000, 5_000, 1)):
        assert choose_strategies(program, cost).run(rows).tolist() == [[1], [1], [1], [1]]


@pytest.mark.parametrize(("n_features", "expected"), [(16, "key"), (17, "late_key")])
def test_keys_take_little_stack(n_features: int, expected: str) -> None:
    """Keys of 16 features are 64 bytes; of more, a key is made at every node, though it costs more."""
    assert expected == cheapest_compare(stump_forest(30, n_features, 8), COSTS["keys first"])


def test_packed_words_where_keys_are_too_many(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """40 features that trees read make 160 bytes of keys: packed words of codes take less flash and fewer instructions
    than tables, and a row of 16 features is keys as before. 59 features and ten votes are too much for either."""
    require_target("cortex-m4")
    machine = load_target("cortex-m4")
    for n_features, packed in ((16, False), (40, True), (59, False)):
        nodes = halves(60, 7, n_features, 10, 3, 1)
        builder = Builder(row_type(n_features))
        votes = builder.add(TreeVotes(nodes, n_features, "f32", 10), 0)
        plain = builder.build(builder.add(Lookup("u16", 10, 10, Table(np.arange(61, dtype=np.float32))), votes))
        chosen = choose_strategies(plain, machine.cost)
        assert packed == any(isinstance(step.op, PackedTrees) for step in chosen.steps)
        assert (n_features == 16) == any(isinstance(step.op, FloatKeys) for step in chosen.steps)
        if not packed:
            continue
        rows = random_rows(plain, 20).values
        figures = []
        for number, program in enumerate((chosen, plain)):
            (tmp_path / str(number)).mkdir()
            artifact = artifact_of(loaded("rfc"), plain, program, machine, Options("m"))
            built = build_artifact(artifact, work=tmp_path / str(number))
            run = built.run(rows)
            figures.append((built.footprint.flash_bytes, float(np.mean(run.instructions["scores"].values))))

            assert plain.run(rows).view(np.uint32).tolist() == np.asarray(run.scores).view(np.uint32).tolist()
            assert run.stack_bytes["scores"] <= 128
        assert figures[0][0] < figures[1][0]
        assert figures[0][1] < figures[1][1]
