"""Scalers in front of trees, folded into thresholds: every row goes where it went."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.accuracy import Calibration, measure_accuracy
from aprgen.core import Options, artifact_of, compile_model
from aprgen.ops.decide import Argmax, Argmin
from aprgen.ops.dense import Dense
from aprgen.ops.distance import Neighbours, SquaredDistance
from aprgen.ops.elementwise import Map, Stage, vary
from aprgen.ops.gauss import Gauss
from aprgen.ops.trees import TreeOp, TreeVotes, float_keys
from aprgen.passes.fold import floats_of_keys, fold_scalers, keeps_order
from aprgen.passes.quantise import quantise
from aprgen.passes.strategy import choose_strategies
from aprgen.program import Array, Builder, Op, Program, Table, row_type
from aprgen.target import load_target
from tests.differential.compiled import load
from tests.examples import loaded
from tests.passes.test_missing import nodes_of, rows_with_gaps
from tests.passes.test_tree_shapes import halves, special_rows

N = 4
F32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
POSITIVE = st.one_of(st.floats(2.0**-20, 2.0**20, width=32), st.sampled_from((1e-45, 1e-38, 3e38, 1.0)))


def trees_behind(stages: tuple[Stage, ...], op: TreeOp) -> Program:
    builder = Builder(row_type(N))
    votes = builder.add(op, builder.add(Map(N, stages), 0))
    label = builder.add(Argmax("u16", 3, None), votes)
    other = builder.add(Dense(Table(np.ones((1, N)), np.float32), None, "none"), 0)
    return builder.build(other, label, n_classes=3)


def around(values: Array) -> Array:
    """Rows of each value, its neighbours on both sides, and theirs."""
    up, down = np.float32(np.inf), np.float32(-np.inf)
    near = [values]
    for side in (up, down):
        one = np.nextafter(values, side)
        near += [one, np.nextafter(one, side)]
    return np.concatenate([np.repeat(one.reshape(-1, 1), N, axis=1) for one in near]).astype(np.float32)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1), centre=st.lists(F32, min_size=N, max_size=N), added=F32,
    scale=st.lists(POSITIVE, min_size=N, max_size=N), times=POSITIVE,
)  # fmt: skip
def test_every_row_goes_where_it_went(
    seed: int, centre: list[float], added: float, scale: list[float], times: float
) -> None:
    """Any scalers, tiny and huge: rows at the new thresholds and beside them, at the old ones, NaN and infinities."""
    stages = (
        vary("sub", np.array(centre)), vary("div", np.array(scale)), Stage("mul", constant=times),
        Stage("add", constant=added),
    )  # fmt: skip
    before = trees_behind(stages, TreeVotes(halves(3, 3, N, 3, seed, lowest=-8), N, "f32", 3))
    after = fold_scalers(before)
    with np.errstate(all="ignore"):
        rows = np.concatenate([
            around(op.nodes.threshold.data) for program in (before, after) for op in trees_of(program)
        ])  # fmt: skip
        rows = np.concatenate([rows, special_rows(N, seed)])
        old, new = (program.classify(rows) for program in (before, after))

    assert keeps_order(before.steps[0].op)  # type: ignore[arg-type]
    assert old.tolist() == new.tolist()  # type: ignore[union-attr]
    assert after.needed(after.label) == (1, 2)


def trees_of(program: Program) -> list[TreeOp]:
    return [step.op for step in program.steps if isinstance(step.op, TreeOp)]


@pytest.mark.parametrize(
    "stage",
    [Stage("mul", constant=-2.0), Stage("div", constant=0.0), Stage("sigmoid"), Stage("sub", constant=float("inf")),
     vary("div", np.array([1.0, 1.0, -1.0, 1.0]))],
)  # fmt: skip
def test_what_turns_the_order_stays(stage: Stage) -> None:
    """Scales that are negative or 0, curves, and constants that make NaN of numbers stay in front of the trees."""
    before = trees_behind((stage,), TreeVotes(halves(2, 2, N, 3, 1), N, "f32", 3))

    assert [step.op for step in before.steps] == [step.op for step in fold_scalers(before).steps]


def test_a_map_with_other_readers_stays() -> None:
    """The map goes on feeding what is no tree."""
    builder = Builder(row_type(N))
    scaled = builder.add(Map(N, (Stage("sub", constant=0.5),)), 0)
    votes = builder.add(TreeVotes(halves(2, 2, N, 3, 1), N, "f32", 3), scaled)
    before = builder.build(scaled, builder.add(Argmax("u16", 3, None), votes), n_classes=3)
    after = fold_scalers(before)
    rows = special_rows(N, 3)

    assert (0,) == after.steps[1].inputs
    with np.errstate(invalid="ignore"):
        assert before.run(rows).tobytes() == after.run(rows).tobytes()
        assert before.classify(rows).tolist() == after.classify(rows).tolist()  # type: ignore[union-attr]


def test_missing_values_keep_their_directions() -> None:
    """A NaN is a NaN behind a scaler."""
    before = trees_behind((vary("div", np.array([0.1, 2, 3, 4])),), TreeVotes(nodes_of(4, N, 3, 0.5), N, "f32", 3))
    rows = rows_with_gaps(N, 4)
    with np.errstate(invalid="ignore"):
        expected = before.classify(rows)
        for cost in ("cortex-m0plus", "host"):
            after = choose_strategies(fold_scalers(before), load_target(cost).cost)
            assert expected.tolist() == after.classify(rows).tolist()  # type: ignore[union-attr]


def test_keys_and_back() -> None:
    """floats_of_keys undoes float_keys."""
    values = np.array([0.0, 1.0, -1.0, 1e-45, -1e-45, 3e38, -3e38, np.inf, -np.inf], np.float32)

    assert values.tolist() == floats_of_keys(float_keys(values).astype(np.int64)).tolist()


def test_compiling_folds(tmp_path: Path) -> None:
    """The C of a scaled forest makes no scaled row, and decides as the Program did."""
    before = trees_behind((vary("sub", np.arange(N)), vary("div", np.array([0.3, 7, 1, 2]))),
                          TreeVotes(halves(3, 3, N, 3, 5, lowest=-8), N, "f32", 3))  # fmt: skip
    after = choose_strategies(fold_scalers(before), load_target("host").cost)
    made = artifact_of(loaded("rfc"), before, after, load_target("host"), Options("m"))
    compiled = load("m", made.texts, after, tmp_path)
    rows = special_rows(N, 6)

    assert "map" not in made.texts["m.c"]
    with np.errstate(invalid="ignore"):
        assert before.classify(rows).tolist() == compiled.batch(rows)[1].tolist()  # type: ignore[union-attr]


def test_compile_model_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipeline has the pass: what a family lowers to behind a scaler is folded, in every numeric mode."""
    model = loaded("rfc")
    before = trees_behind((Stage("sub", constant=0.5),), TreeVotes(halves(3, 3, N, 3, 5), N, "f32", 3))
    monkeypatch.setattr(type(model.model), "lower", lambda self: before)
    made = compile_model(model, load_target("host"), Options("m"))

    assert not any(isinstance(made.program.steps[i].op, Map) for i in made.program.needed(made.program.label))


SCALE = (vary("sub", np.array([100.0, -3.0, 0.0, 5.0])), vary("div", np.array([50.0, 0.01, 1.0, 7.0])))
POINTS = np.random.default_rng(2).normal(size=(12, N)).astype(np.float32)
BEHIND: dict[str, tuple[Op, ...]] = {
    "dense": (Dense(Table(POINTS[:3]), None, "none"), Argmax("f32", 3, None)),
    "distances": (SquaredDistance(Table(POINTS[:3])), Argmin(3)),
    "neighbours": (
        Neighbours("euclidean", 2.0, False, 3, Table(POINTS), Table(np.arange(12) % 3, np.uint8), 3),
        Argmax("f32", 3, None),
    ),
    "gauss": (Gauss(Table(POINTS[:3]), Table(np.ones((3, N)), np.float32), None), Argmax("f32", 3, None)),
}  # fmt: skip


@pytest.mark.parametrize("element", ["i8", "i16"])
@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("name", BEHIND)
def test_scalers_cost_nothing_in_integers(name: str, hidden: bool, element: str) -> None:
    """Sums and distances behind a scaler whose features differ a thousandfold are made of the codes of the row, and
    behind a layer of codes that have one scale."""
    builder = Builder(row_type(N))
    value = builder.add(Map(N, SCALE), 0)
    if hidden:
        value = builder.add(Dense(Table(np.diag([1.0, 2.0, 0.3, 0.1]), np.float32), None, "none"), value)
    first, last = BEHIND[name]
    scores = builder.add(first, value)
    program = builder.build(scores, builder.add(last, scores), n_classes=3)
    random = np.random.default_rng(4)
    rows = (random.normal(size=(400, N)) * [50, 0.01, 1, 7] + [100, -3, 0, 5]).astype(np.float32)
    made = quantise(program, rows, element)  # type: ignore[arg-type]
    accuracy = measure_accuracy(program, made, Calibration(rows, "rows"))
    kernels = [step.op.kernel for step in made.program.steps]

    assert "map_f32" not in kernels
    assert accuracy.in_floats == ()
    assert accuracy.labels_changed is not None
    assert accuracy.labels_changed <= (60 if element == "i8" else 4)
    if name != "neighbours":
        assert accuracy.relative_difference < (0.06 if element == "i8" else 2e-3)
