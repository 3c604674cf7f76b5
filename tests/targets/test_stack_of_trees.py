"""Trees of wide rows: whatever serves a goal, and tables of nodes without one, take at most 128 bytes of stack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aprgen.build import build_artifact
from aprgen.core import Artifact, Options, artifact_of
from aprgen.image import ModelFacts, build_image
from aprgen.ops.called_trees import CalledTrees
from aprgen.ops.decide import Argmax, Lookup
from aprgen.ops.integer import Dequantise
from aprgen.ops.trees import TreeOp, TreeTotals, TreeVotes
from aprgen.passes.goals import Goal
from aprgen.passes.strategy import choose_strategies
from aprgen.passes.tree_codes import over_codes
from aprgen.passes.tree_costs import best_way, way_of_shape
from aprgen.program import Builder, Exact, Op, Program, Table, row_type
from aprgen.rows import edge_codes, edge_rows, random_rows
from aprgen.runners.choose import runner_for
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain
from tests.examples import loaded
from tests.passes.test_tree_shapes import SIGNED_NAN, halves

LIMIT = 128  # bytes
CHOICES: tuple[Goal | None, ...] = (None, "size", "mean")


def wide(n_features: int, use: str, lowest: int) -> Program:
    """16 trees of six levels, which read most of 100 features, for votes of ten classes or for one total."""
    nodes = halves(16, 6, min(n_features, 250), 10, 3, lowest)
    far = np.random.default_rng(1).permutation(n_features)[nodes.feature.data]  # anywhere in the row
    nodes = type(nodes)(Table(far.astype(np.uint16)), nodes.threshold, nodes.left, nodes.right, nodes.root, nodes.depth)
    votes = TreeVotes(nodes, n_features, "f32", 10)
    total = TreeTotals(nodes, n_features, "f32", Table(np.arange(-30, 30, 6).astype(np.int32)), 7, 1)
    after: Op = Lookup("u16", 10, 10, Table(np.arange(61, dtype=np.float32)))
    after = after if use == "votes" else Dequantise("i32", 1, Table([0.5], np.float32), None)
    builder = Builder(row_type(n_features))
    op: TreeOp = votes if use == "votes" else total
    return builder.build(builder.add(after, builder.add(op, 0)))


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m0plus"])
@pytest.mark.parametrize(("n_features", "use", "lowest"), [(100, "votes", 0), (40, "votes", 1), (1000, "total", -9)])
def test_wide_rows_stay_within_the_limit(
    n_features: int, use: str, lowest: int, target: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """40, 100 and 1,000 features, two goals and none: the painted stack, and the bits of the plain trees."""
    require_target(target)
    plain = wide(n_features, use, lowest)
    machine = load_target(target)
    rows = np.concatenate([edge_rows(plain, 4).values, random_rows(plain, 2).values])
    rows[::3, ::2] = SIGNED_NAN[0]
    seen: list[Artifact] = []
    for goal in CHOICES:
        program = choose_strategies(plain, machine.cost, goal)
        artifact = artifact_of(loaded("rfc"), plain, program, machine, Options("m"))
        if any(one.texts["m.c"] == artifact.texts["m.c"] for one in seen):
            continue
        seen.append(artifact)
        image = build_artifact(artifact, work=tmp_path / str(goal)).image
        run = runner_for(machine).run(image, rows)

        assert run.stack_bytes["scores"] <= LIMIT, goal
        assert plain.run(rows).view(np.uint32).tolist() == np.asarray(run.scores).view(np.uint32).tolist()
    assert len(seen) > 1


def ten_totals(n_trees: int, depth: int, n_features: int) -> TreeTotals:
    """Trees whose leaves share a unit between ten totals."""
    nodes = halves(n_trees, depth, n_features, 60, 3, 1)
    chance = np.random.default_rng(2)
    rows = np.zeros((50, 10), np.int32)
    for row in rows:
        outputs = chance.permutation(10)[: chance.integers(2, 8)]
        row[outputs] = 1000
        row[outputs[0]] += 32_768 - row.sum()
    return TreeTotals(nodes, n_features, "f32", Table(rows.reshape(-1)), 0, 10, 32_768)


def digits() -> Program:
    """20 trees of seven levels over 64 features, and the label of the largest total."""
    builder = Builder(row_type(64))
    total = builder.add(ten_totals(20, 7, 64), 0)
    scores = builder.add(Dequantise("i32", 10, Table([0.5], np.float32), None), total)
    return builder.build(scores, builder.add(Argmax("i32", 10, None), total), 10)


@pytest.mark.parametrize("goal", ["size", "mean"])
def test_goals_keep_within_scarce_stack(goal: Goal) -> None:
    """56 codes and ten totals: copied codes and branches take too much of the stack, and are chosen only where it is
    not scarce. What is chosen instead is no walk through tables; where flash is the goal, nothing else is chosen."""
    op = ten_totals(60, 6, 56)
    cost = load_target("cortex-m4").cost
    free = best_way(op, replace(cost, frame_bytes=None), goal)
    found = best_way(op, cost, goal)

    assert free is not None
    assert found is not None
    assert free.row_bytes + free.output_bytes >= 56 + 40
    if goal == "size":
        assert free.flash_bytes == found.flash_bytes
        return
    assert found.within_stack(cost)
    assert not free.within_stack(cost)
    assert free.serves(goal) < found.serves(goal)
    assert found.serves(goal)[0] < 2 * free.serves(goal)[0]


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m0plus"])
def test_what_called_trees_are_thought_to_take(target: str) -> None:
    """64 codes and ten totals fit, as the painted stack below shows; one code more is thought not to."""
    cost = load_target(target).cost
    fitting = [way_of_shape(ten_totals(20, 5, n), cost, "calls") for n in (64, 65)]

    assert [way is not None and way.within_stack(cost) for way in fitting] == [True, False]
    assert [way.row_bytes for way in fitting if way is not None] == [64, 65]


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m0plus"])
def test_labels_of_called_trees(target: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """64 codes of a byte and ten totals of a word, from floats and from codes of 8 bits: the painted stack, and the
    labels of the plain trees."""
    require_target(target)
    machine = load_target(target)
    plain = over_codes(digits(), Exact((2.0,) * 64, (0,) * 64), "i8")
    assert plain.codes is not None
    assert plain.codes.label is not None
    program = choose_strategies(plain, machine.cost, "calls")
    artifact = artifact_of(loaded("rfc"), plain, program, machine, Options("m"))
    assert any(isinstance(step.op, CalledTrees) for step in program.steps)
    rows = np.concatenate([edge_rows(plain, 20).values, random_rows(plain, 20).values])
    x = edge_codes(plain, 40)
    sources = dict(artifact.texts) | {
        "p.h": "#include <stdint.h>\nint32_t p_classify(const float *x);\nvoid p_scores(const float *x, float *out);\n",
        "p.c": '#include "m.c"\n#include "p.h"\n'
        "int32_t p_classify(const float *x)\n{\n    return m_classify_q((const int8_t *)(const void *)x);\n}\n"
        "void p_scores(const float *x, float *out)\n{\n    out[0] = x[0];\n}\n",
    }
    image = build_artifact(artifact, work=tmp_path / "floats").image
    of_codes = build_image(
        machine, find_toolchain(machine), sources, ModelFacts("p", "row", 16, 1, True), tmp_path / "codes"
    )
    runs = [runner_for(machine).run(*given) for given in ((image, rows), (of_codes, x.view(np.float32)))]

    for run, own in zip(runs, (0, 8), strict=True):  # of the function that gets codes as floats
        assert run.stack_bytes["classify"] <= LIMIT + own
    assert np.asarray(plain.classify(rows)).tolist() == np.asarray(runs[0].labels).tolist()
    labels = plain.evaluate(x, [plain.codes.label], given=plain.codes.x)[plain.codes.label]
    assert labels.reshape(-1).tolist() == np.asarray(runs[1].labels).tolist()
