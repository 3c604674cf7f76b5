"""Trees of wide rows: whatever serves a goal, and tables of nodes without one, take at most 128 bytes of stack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aprgen.build import build_artifact
from aprgen.core import Artifact, Options, artifact_of
from aprgen.ops.decide import Lookup
from aprgen.ops.integer import Dequantise
from aprgen.ops.trees import TreeOp, TreeTotals, TreeVotes
from aprgen.passes.goals import Goal
from aprgen.passes.strategy import choose_strategies
from aprgen.program import Builder, Op, Program, Table, row_type
from aprgen.rows import edge_rows, random_rows
from aprgen.runners.choose import runner_for
from aprgen.target import load_target
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
