"""Trees of rows of integers: which codes features get, and that every code is answered like the float it stands for."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.errors import UnsupportedError
from aprgen.families.ensemble import merge_trees
from aprgen.ops.decide import Lookup
from aprgen.ops.integer import LARGEST, TYPES, Code, Quantise
from aprgen.ops.trees import Nodes, TreeLeaf, TreeOp, TreeVotes
from aprgen.passes.goals import GOALS, Goal
from aprgen.passes.strategy import choose_strategies, with_trees
from aprgen.passes.tree_codes import codes_for, grid_of, over_codes, takes_codes, with_codes
from aprgen.passes.tree_costs import ways
from aprgen.passes.tree_shapes import SHAPES, Shape, coded_trees, without_sign
from aprgen.program import Builder, Codes, Exact, Op, Program, Table, row_type
from aprgen.rows import edge_codes, random_rows
from aprgen.target import load_target
from aprgen.verify import same_bits
from tests import random_models
from tests.examples import loaded

ELEMENTS: tuple[Code, ...] = ("i8", "i16")
FAMILIES = ("dtc_unlimited", "dtr", "rfc", "rfc_even_ties", "rfr", "gbm", "iforest")
WAYS = (None, *GOALS, *SHAPES)


def floats(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


GRIDS = {
    "counts of a converter": (np.arange(0, 4096, 7), "i16", (1.0, 0)),
    "pixels": (np.arange(17), "i8", (1.0, 0)),
    "tenths": (np.arange(43, 80) / 10, "i8", (10.0, 0)),
    "hundredths of both signs": (np.arange(-9_000, 9_000, 31) / 100, "i16", (100.0, 0)),
    "halves around zero": (np.arange(-40, 41) / 2, "i8", (2.0, 0)),
    "sixteenths of a thermometer": (np.arange(-640, 2000, 3) / 16, "i16", (16.0, 0)),
    "integers far from zero": (np.arange(101_300, 101_427), "i8", (1.0, 101_300)),
    "a wide range far from zero": (np.arange(100_000, 160_000, 7) + 1, "i16", (1.0, 129_999)),
    "a converter whose values stand at the left": (np.arange(0, 65_536, 16), "i16", (1 / 16, 0)),
    "left, of twelve bits in eight": (np.arange(0, 4096, 32), "i8", (1 / 32, 0)),
    "one value": (np.array([7.25]), "i8", (4.0, 0)),
}


@pytest.mark.parametrize("what", GRIDS)
def test_a_grid_is_found(what: str) -> None:
    """A step of 1, 2, 5 times a power of ten, or a power of two, the nearest to 1; integers are their own codes."""
    values, element, expected = GRIDS[what]
    found = grid_of(values.astype(np.float32), LARGEST[element])

    assert found == expected


@pytest.mark.parametrize("what", GRIDS)
def test_codes_on_a_grid_lose_nothing(what: str) -> None:
    """Making codes of the values and values of the codes gives the same bits."""
    values, element, _ = GRIDS[what]
    rows = values.astype(np.float32).reshape(-1, 1)
    exact = codes_for(rows, element, "minmax")
    codes = quantise(exact, element).evaluate(rows)

    assert exact.floats(codes).view(np.uint32).tolist() == rows.view(np.uint32).tolist()


def test_values_without_a_grid_have_a_range() -> None:
    """Numbers of all digits, and a grid that is too fine, are spread over the codes from the lowest to the highest."""
    random = np.random.RandomState(3).normal(size=500).astype(np.float32)
    fine = np.arange(0, 500, dtype=np.float32)
    exact = codes_for(np.stack([random, fine], axis=1), "i8", "minmax")
    codes = quantise(exact, "i8").evaluate(np.stack([random, fine], axis=1))

    assert grid_of(random, 127) is None
    assert grid_of(fine, 127) is None
    assert codes.min(axis=0).tolist() == [-127, -127]
    assert codes.max(axis=0).tolist() == [127, 127]


def test_counts_in_volts_are_found() -> None:
    """3.3 V in 4096 steps: the codes are the counts again, and nothing is lost but a step of float32."""
    counts = np.random.RandomState(2).choice(4096, 700, replace=False)
    volts = np.sort((counts * (3.3 / 4096)).astype(np.float32)).reshape(-1, 1)
    exact = codes_for(volts, "i16", "minmax")
    codes = quantise(exact, "i16").evaluate(volts)

    assert exact.zero == (0,)
    assert codes[:, 0].tolist() == np.sort(counts).tolist()
    assert np.abs(exact.floats(codes) - volts).max() <= np.spacing(np.float32(3.3))
    assert grid_of(volts[:, 0], 127) is None


def test_a_grid_of_one_rounding_more_counts() -> None:
    """Tenths as firmware makes them, 0.1F * count, are a step of float32 away from the nearest: still tenths."""
    made = np.arange(1, 100, dtype=np.float32) * np.float32(0.1)

    assert (made != (np.arange(1, 100) / 10).astype(np.float32)).any()
    assert grid_of(made, 127) == (10.0, 0)


def quantise(exact: Exact, element: Code) -> Quantise:
    tables = Table(exact.per_unit, np.float32), Table(exact.zero, np.int32)
    return Quantise(element, *tables, len(exact.zero))


@settings(max_examples=30)
@given(
    st.sampled_from(("i8", "i8", "i8", "i16")), st.floats(-1e6, 1e6, width=32), st.floats(-1e6, 1e6, width=32),
    st.lists(st.integers(0, 1000), min_size=1, max_size=9),
)  # fmt: skip
def test_a_code_is_that_of_its_float(element: Code, one: float, other: float, between: list[int]) -> None:
    """Of every code within the limit, and floats ascend with codes."""
    shares = np.array([0, 1000, *between]) / 1000
    rows = (one + (other - one) * shares).astype(np.float32).reshape(-1, 1)
    exact = codes_for(rows, element, "minmax")
    every = np.arange(-LARGEST[element], LARGEST[element] + 1).astype(TYPES[element]).reshape(-1, 1)
    stands_for = exact.floats(every)

    assert (np.diff(stands_for[:, 0]) > 0).all()
    assert quantise(exact, element).evaluate(stands_for).tolist() == every.tolist()


# Answers of codes.


def agree(program: Program, codes: np.ndarray) -> None:
    """Scores and labels of codes are those of the floats they stand for, bit for bit, integers times their scale."""
    made = program.codes
    assert made is not None
    assert made.exact is not None
    rows = made.exact.floats(codes)
    scores, label = program.run_codes(codes, made.x)
    expected = program.run(rows)
    assert same_bits(scores, expected).all()
    if label is not None:
        assert label.tolist() == program.classify(rows).tolist()


def random_codes(element: Code, count: int, n: int) -> np.ndarray:
    info = np.iinfo(TYPES[element])
    return np.random.RandomState(5).randint(info.min, info.max + 1, size=(count, n)).astype(TYPES[element])


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("name", FAMILIES)
def test_every_code_is_answered_like_its_float(name: str, element: Code) -> None:
    """All codes of each feature where the others are typical, codes anywhere, and both sides of splits."""
    lowered = loaded(name).model.lower()
    program = with_codes(lowered, random_rows(lowered, 200).values, element)
    codes = program.codes
    assert codes is not None
    info = np.iinfo(TYPES[element])
    every = np.arange(info.min, info.max + 1)[:: 1 if element == "i8" else 31]
    typical = program.evaluate(random_rows(lowered, 3).values, [codes.x])[codes.x]
    swept = []
    for column in range(min(program.n_features, 6)):
        for row in typical:
            swept.append(np.tile(row, (len(every), 1)))
            swept[-1][:, column] = every
    agree(program, np.concatenate([edge_codes(program, 300), random_codes(element, 500, program.n_features), *swept]))


AT_GRID = [3.0, 0.30000001192092896, 2.5, -1.0, 0.8, 4.35, 0.0, -0.0, np.inf, -np.inf, 3e38, -1e-45, 127.0, 3276.7]


@pytest.mark.parametrize(
    ("element", "per_unit", "zero"),
    [("i16", 10.0, 0), ("i16", 3.7, -300), *((("i8"), n, zero) for n in (1.0, 10.0, 3.7, 1 / 16) for zero in (0, 300))],
)
def test_all_codes_at_hard_thresholds(element: Code, per_unit: float, zero: int) -> None:
    """Thresholds on grid values, one float32 beside them, infinite and NaN: every code goes where its float goes."""
    exact = Exact((float(np.float32(per_unit)),), (zero,))
    info = np.iinfo(TYPES[element])
    every = np.arange(info.min, info.max + 1).astype(TYPES[element]).reshape(-1, 1)
    near = exact.floats(every[[0, 1, 40, 128, 200, -2, -1]])[:, 0]
    with np.errstate(over="ignore"):
        beside = [np.nextafter(near, np.float32(end)) for end in (np.inf, -np.inf)]
    cuts = np.concatenate([floats(*AT_GRID, np.nan), near, *beside])
    program = stumps(cuts)
    coded = over_codes(program, exact, element)
    codes = coded.codes
    assert codes is not None
    found = coded.evaluate(every, [codes.scores], given=codes.x)[codes.scores]
    expected = program.evaluate(exact.floats(every), [1])[1]

    assert found.tolist() == expected.tolist()


def stumps(cuts: np.ndarray) -> Program:
    """Votes of one split for each threshold; each tree has two classes of its own."""
    n = len(cuts)
    left = ~(2 * np.arange(n))
    nodes = Nodes(
        Table(np.zeros(n, np.uint8)), Table(cuts), Table(left.astype(np.int16)), Table((left - 1).astype(np.int16)),
        Table(np.arange(n).astype(np.int16)), 1,
    )  # fmt: skip
    builder = Builder(row_type(1))
    votes = builder.add(TreeVotes(nodes, 1, "f32", 2 * n), 0)
    return builder.build(builder.add(Lookup("u16", 2 * n, 2 * n, Table(np.arange(n + 1, dtype=np.float32))), votes))


@settings(max_examples=40)
@given(
    random_models.decision_trees() | random_models.forest_classifiers() | random_models.forest_regressors()
    | random_models.boosted_trees() | random_models.isolation_forests(),
    st.sampled_from(ELEMENTS), st.sampled_from((None, *SHAPES)),
)  # fmt: skip
def test_any_model_in_any_shape(payload: random_models.Payload, element: Code, shape: Shape | None) -> None:
    """Random models, thresholds of all magnitudes, over codes from random rows, in tables, words and branches."""
    lowered = payload.load().model.lower()
    rows = np.clip(random_rows(lowered, 50).values, -1e18, 1e18)
    program = with_codes(lowered, rows, element)
    shaped = program
    with contextlib.suppress(UnsupportedError):  # the floats do not fit the shape
        shaped = choose_strategies(program, load_target("cortex-m4").cost, shape)
    agree(shaped, np.concatenate([edge_codes(program, 100), random_codes(element, 100, program.n_features)]))


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("way", WAYS)
def test_shapes_of_codes(way: Goal | Shape | None, element: Code) -> None:
    """Every goal and every shape answers alike, and none makes anything of the caller's codes first."""
    lowered = loaded("rfc").model.lower()
    program = with_codes(lowered, random_rows(lowered, 200).values, element)
    shaped = choose_strategies(program, load_target("cortex-m4").cost, way)
    codes = shaped.codes
    assert codes is not None
    steps = [shaped.steps[index] for index in shaped.needed(codes.scores, codes.label, given=codes.x)]

    assert sum(codes.x in step.inputs for step in steps) == 1
    agree(shaped, np.concatenate([edge_codes(program, 200), random_codes(element, 300, program.n_features)]))


@pytest.mark.parametrize("element", ELEMENTS)
def test_codes_without_a_sign(element: Code) -> None:
    """Where no threshold is negative, trees may read copies without a sign: codes below 0 are 0, and answered alike."""
    lowered = loaded("rfc").model.lower()
    program = over_codes(lowered, Exact((20.0,) * lowered.n_features, (-40,) * lowered.n_features), element)
    tried: list[tuple[str, ...]] = []
    for number in range(4):

        def chosen(op: TreeOp, number: int = number) -> tuple[Op, ...]:
            coded = coded_trees(op) if op.compare == "code" else None
            if coded is None:
                return (op,)
            found = list(ways(op, coded))
            made = found[number % len(found)].ops
            tried.append(tuple(one.kernel for one in made))
            return made

        agree(with_trees(program, chosen), random_codes(element, 400, program.n_features))
    negative = over_codes(lowered, Exact((20.0,) * lowered.n_features, (90,) * lowered.n_features), element)
    (op,) = (s.op for s in negative.steps if isinstance(s.op, TreeOp) and s.op.compare == "code")
    coded = coded_trees(op)
    assert coded is not None

    assert ("without_sign", "branch_votes") in tried
    assert {("branch_votes",), ("packed_votes",)} <= set(tried)
    assert without_sign(op, coded) is None


def test_edge_codes_see_a_threshold_that_is_off_by_one() -> None:
    """The rows of codes that tests and comparisons run would show it at every split that decides something."""
    lowered = loaded("dtc_unlimited").model.lower()
    program = with_codes(lowered, random_rows(lowered, 200).values, "i16")
    codes = program.codes
    assert codes is not None
    rows = edge_codes(program, 10_000)
    expected = program.run_codes(rows, codes.x)[1]
    (index,) = (
        i for i, s in enumerate(program.steps) if isinstance(s.op, TreeLeaf) and s.op.compare == "code"
    )
    op = program.steps[index].op
    assert isinstance(op, TreeOp)
    for node in range(op.nodes.n_nodes):
        moved = op.nodes.threshold.data.copy()
        moved[node] += 1
        steps = list(program.steps)
        steps[index] = replace(steps[index], op=replace(op, nodes=replace(op.nodes, threshold=Table(moved))))
        assert expected is not None
        assert (program.with_steps(steps).run_codes(rows, codes.x)[1] != expected).any(), node


# The Program.


def test_floats_stay_as_they_are() -> None:
    """The functions of floats are the same steps as without codes, and read no code."""
    lowered = loaded("rfc").model.lower()
    program = with_codes(lowered, random_rows(lowered, 50).values, "i8")

    assert not program.floats_are_coded
    assert program.steps[: len(lowered.steps)] == lowered.steps
    assert (program.scores, program.label) == (lowered.scores, lowered.label)


def test_only_trees_of_floats_take_codes() -> None:
    """Models of sums have integer modes of their own, texts have no features."""
    assert [takes_codes(loaded(name).model.lower()) for name in ("rfc", "iforest", "logreg_bc", "moe", "tfidf")] == [
        True, True, False, False, False
    ]  # fmt: skip


def test_a_program_checks_its_codes() -> None:
    """A label of codes that is missing, reads floats or is a float, and scales that are too few, are refused."""
    lowered = loaded("rfc").model.lower()
    program = with_codes(lowered, random_rows(lowered, 50).values, "i8")
    codes = program.codes
    assert codes is not None

    def refused(wrong: Codes, why: str) -> None:
        with pytest.raises(ValueError, match=why):
            replace(program, codes=wrong).check()

    refused(replace(codes, label=None), "needs a label")
    refused(replace(codes, label=program.label), "must not read the row of floats")
    refused(replace(codes, scores=program.scores), "must not read the row of floats")
    refused(replace(codes, label=codes.scores), "one i32")
    refused(replace(codes, x=1), "i8 or i16|must not read")
    refused(replace(codes, x_scale=codes.x_scale[:-1]), "a scale for each")


def test_labels_beyond_the_scores_leave_shares() -> None:
    """Votes for more labels than there are scores cannot stand for them: the shares themselves are the scores."""
    tree = next(iter(loaded("rfc").model.trees))  # type: ignore[attr-defined]
    positions = np.where(tree.is_leaf, tree.leaf_label, 0)
    n = int(positions.max()) + 1
    builder = Builder(row_type(loaded("rfc").model.n_features))
    votes = builder.add(TreeVotes(merge_trees([tree], [positions]), builder.source.size, "f32", n), 0)
    scores = builder.add(Lookup("u16", n, n - 1, Table(floats(0, 1))), votes)
    program = with_codes(builder.build(scores), random_rows(builder.build(scores), 50).values, "i8")
    assert program.codes is not None

    assert program.types()[program.codes.scores].element == "f32"
