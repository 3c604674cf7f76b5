"""Shapes of trees: codes of the row, branches, packed words and both mixed compute what plain trees do, bit for bit."""

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
from aprgen.core import Artifact, Options, artifact_of, compile_model, runtime_headers
from aprgen.emit import Names, emit_model
from aprgen.errors import UnsupportedError
from aprgen.loaded import Loaded
from aprgen.ops.called_trees import CalledTrees
from aprgen.ops.codes import BitKeys, CodeOp, FloatKeysInLine, RankCodes, ShiftCodes
from aprgen.ops.compact_trees import CompactTrees
from aprgen.ops.decide import Lookup
from aprgen.ops.integer import Dequantise
from aprgen.ops.packed_trees import MixedTrees, PackedNodes, PackedTrees
from aprgen.ops.shaped_trees import BranchTrees, ShapedTrees
from aprgen.ops.trees import Nodes, TreeLeaf, TreeOp, TreeSum, TreeTotals, TreeVotes, float_keys
from aprgen.passes.goals import GOALS
from aprgen.passes.strategy import choose_strategies, with_trees
from aprgen.passes.tree_costs import ROW_BUFFER_BYTES, best_way, expected_splits, ways
from aprgen.passes.tree_shapes import MAX_NESTING, SHAPES, Shape, coded_trees, flat_trees, shaped
from aprgen.program import Array, Builder, Op, Program, Step, Table, ValueType, row_type
from aprgen.rows import edge_rows, random_rows
from aprgen.target import load_target, target_names
from aprgen.verify import Trial, verify
from tests.differential.compiled import load
from tests.differential.test_large_models import forest, full_tree, regressor
from tests.differential.test_random_models import OF_TREES, agree, rows_for
from tests.examples import TREES, loaded, rows_of
from tests.random_models import BY_NAME, FAMILIES, Payload, TensorFile

SPLIT = tuple(name for name in TREES if name not in ("dtc_single_leaf", "gbm_single_class"))  # have splits
VOTING = tuple(name for name in SPLIT if name.startswith("rfc"))  # for up to 14 classes, with 256 codes at most
STUMPS = ("rfc_even_ties",)  # one split a tree: no code above words
SEEN = ("rfc_digits", "rfr", "gbm", "signed_dtc")  # votes, sums and single leaves; one with shifted codes
MOST_WAYS = 4
KEYED, FLOATS = 4, 5  # the ways that compare keys and floats, behind all that compare codes
MIXED = 6  # the one that is code and words, if the trees are large enough
SIGNED_NAN = np.array([0xFFC00001, 0x7F800001, 0xFFFFFFFF, 0xFF800001], np.uint32).view(np.float32)
Way = Callable[[TreeOp], tuple[Op, ...]]


def way(number: int) -> Way:
    """The number-th way of an op, or the last one that compares codes; KEYED; the op itself when it has none."""

    def chosen(op: TreeOp) -> tuple[Op, ...]:
        coded = coded_trees(op)
        every = [] if coded is None else list(ways(op, coded))
        shapes: dict[int, tuple[Shape, ...]] = {
            KEYED: ("keyed-branches",), FLOATS: ("float-branches",), MIXED: ("mixed",),
        }  # fmt: skip
        found = [one.ops for one in every if one.shape in shapes.get(number, ("branches", "packed"))]
        return found[min(number, len(found) - 1)] if found else (op,)

    return chosen


def compiled_way(model: Loaded, number: int, target: str = "host") -> Artifact:
    lowered = model.model.lower()
    return artifact_of(model, lowered, with_trees(lowered, way(number)), load_target(target), Options("m"))


def kernels(program: Program) -> list[str]:
    return [step.op.kernel for step in program.steps]


def codes_of(program: Program) -> CodeOp:
    (op,) = (step.op for step in program.steps if isinstance(step.op, CodeOp))
    return op


def trees_of(program: Program) -> ShapedTrees:
    (op,) = (step.op for step in program.steps if isinstance(step.op, ShapedTrees))
    return op


def halves(n_trees: int, depth: int, n_features: int, n_leaves: int, seed: int, lowest: int = 0) -> Nodes:
    """Full trees whose thresholds are halves from `lowest` on, as in images and counts."""
    chance = np.random.default_rng(seed)
    each = 2**depth - 1
    node = np.arange(each)
    feature, threshold, left, right = [], [], [], []
    for tree in range(n_trees):
        feature.append(chance.integers(n_features, size=each))
        threshold.append(lowest + chance.integers(32, size=each) / 2)
        for column, child in ((left, 2 * node + 1), (right, 2 * node + 2)):
            column.append(np.where(child < each, child + tree * each, ~chance.integers(n_leaves, size=each)))
    return Nodes(
        Table(np.concatenate(feature).astype(np.uint8)),
        Table(np.concatenate(threshold).astype(np.float32)),
        Table(np.concatenate(left).astype(np.int32)),
        Table(np.concatenate(right).astype(np.int32)),
        Table((np.arange(n_trees) * each).astype(np.int32)),
        depth,
    )


def special_rows(n: int, seed: int) -> Array:
    """Halves and their neighbours, both zeros, infinities, subnormals, and NaN with either sign."""
    chance = np.random.default_rng(seed)
    grid = (chance.integers(-4, 40, size=(200, n)) / 2).astype(np.float32)
    grid = np.where(chance.random(grid.shape) < 0.3, np.nextafter(grid, np.float32(np.inf)), grid)
    grid = np.where(chance.random(grid.shape) < 0.3, np.nextafter(grid, np.float32(-np.inf)), grid)
    odd = np.concatenate([np.array([0.0, -0.0, np.inf, -np.inf, 1e-45, -1e-45, 3e38, -3e38], np.float32), SIGNED_NAN])
    return np.where(chance.random(grid.shape) < 0.15, chance.choice(odd, size=grid.shape), grid).astype(np.float32)


@pytest.mark.parametrize("number", [*range(MOST_WAYS), KEYED, FLOATS, MIXED])
@pytest.mark.parametrize("name", SPLIT)
def test_every_way_computes_the_fixture(name: str, number: int) -> None:
    """Scores and labels of recorded rows, edge rows and random rows stay, whatever the shape."""
    before = loaded(name).model.lower()
    after = with_trees(before, way(number))
    rows = np.concatenate([rows_of(name), edge_rows(before, 300).values, random_rows(before, 100).values])
    nan = np.broadcast_to(SIGNED_NAN[:, np.newaxis], (len(SIGNED_NAN), before.n_features))
    rows = np.concatenate([rows, nan]).astype(np.float32)

    assert before.run(rows).view(np.uint32).tolist() == after.run(rows).view(np.uint32).tolist()
    assert before.label is None or np.array_equal(before.classify(rows), after.classify(rows))  # type: ignore[arg-type]
    there = any(kernel.startswith(("branch_", "packed_", "mixed_")) for kernel in kernels(after))
    assert there == (number != MIXED or name not in STUMPS)


@pytest.mark.parametrize("number", [0, 1, KEYED, FLOATS, MIXED])
@pytest.mark.parametrize("family", OF_TREES)
def test_c_of_random_models(family: str, number: int) -> None:
    """C compiled with all warnings, Program and predict() agree for random trees, in each shape."""

    @settings(max_examples=8)
    @given(payload=FAMILIES[family](), seed=st.integers(0, 2**32 - 1))
    def check(payload: Payload | TensorFile, seed: int) -> None:
        model = payload.load()
        artifact = compiled_way(model, number)
        with tempfile.TemporaryDirectory() as folder:
            compiled = load("m", artifact.texts, artifact.program, Path(folder))
        agree(model.model, compiled, rows_for(model.model.lower(), seed))

    check()


TOTALS = {  # outputs, values, what the first leaves add
    "total": (1, [-70_000, 3, 1_000_000], 0),
    "totals": (2, [-70_000, 3, 0, 5, 7, 8], 0),
    "units": (2, [300, 600], 900),
    "counts and outputs": (10, [1_000_000, 0, -3, 0, 0, 70_000, 0, 0, 0, 1] * 2 + [-9, 1_000_003] * 5, 1 << 15),
    "ten outputs": (10, [1_000_000, 0, -3, 0, 0, 70_000, 0, 0, 0, 1] * 2 + [-9, 1_000_003] * 5, 0),
}


def op_of_totals(name: str, nodes: Nodes, n_features: int) -> TreeTotals:
    n_outputs, values, unit = TOTALS[name]
    return TreeTotals(nodes, n_features, "f32", Table(np.array(values, np.int32)), -40, n_outputs, unit)


@pytest.mark.parametrize("number", [None, *range(MOST_WAYS), KEYED, FLOATS, MIXED])
@pytest.mark.parametrize("name", TOTALS)
def test_totals_in_c(name: str, number: int | None, tmp_path: Path) -> None:
    """Totals of integers as C, in tables of nodes and in every shape: the Program's scores, bit for bit."""
    n_outputs, values, unit = TOTALS[name]
    nodes = halves(7, 5, 6, len(values) // n_outputs + (n_outputs if unit else 0), 11)
    builder = Builder(row_type(6))
    total = builder.add(op_of_totals(name, nodes, 6), 0)
    program = builder.build(builder.add(Dequantise("i32", n_outputs, Table([0.5], np.float32), None), total))
    program = program if number is None else with_trees(program, way(number))
    target = load_target("host")
    names = Names("m", name, "totals", "none", "", "host", "", "none", "f32", "", "0")
    texts = emit_model(program, names, target.templates)
    compiled = load("m", texts | runtime_headers(texts["m.c"], target), program, tmp_path)
    rows = special_rows(6, 3)

    assert kernels(program)[-2].endswith("totals")
    assert program.run(rows).view(np.uint32).tolist() == compiled.batch(rows)[0].view(np.uint32).tolist()


@given(
    st.integers(1, 5), st.integers(1, 5), st.integers(1, 40), st.integers(0, 2**32 - 1), st.integers(0, MIXED),
    st.sampled_from((0, 1, 100, -7)), st.sampled_from(("leaf", "votes", "sum", "total", "totals", "units")),
)  # fmt: skip
def test_halves_become_shifted_codes(
    n_trees: int, depth: int, n_features: int, seed: int, number: int, lowest: int, use: str
) -> None:
    """Thresholds on a grid need no search, and rows at, beside and far from them go where they went."""
    nodes = halves(1 if use == "leaf" else n_trees, depth, n_features, 3, seed, lowest)
    values = Table(np.array([0.1, -0.3, 1e6], np.float32))
    ops: dict[str, TreeOp] = {
        "leaf": TreeLeaf(nodes, n_features, "f32"),
        "votes": TreeVotes(nodes, n_features, "f32", 3),
        "sum": TreeSum(nodes, n_features, "f32", values, -0.5),
        **{name: op_of_totals(name, nodes, n_features) for name in TOTALS},
    }
    coded = coded_trees(ops[use])
    if coded is None:
        assert flat_trees(nodes).n_nodes == 0  # type: ignore[union-attr]
        return
    found = way(number)(ops[use])
    if found == (ops[use],):
        assert number == MIXED  # one split is no code above words
        return
    *makers, trees = found
    rows = special_rows(n_features, seed)

    assert len(makers) == (number != FLOATS)
    for codes in makers:
        if number == KEYED:
            assert isinstance(codes, BitKeys) == (coded.trees.key.min() >= 0)
        else:
            assert isinstance(codes, RankCodes) == (coded.shift is None)
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        read = makers[0].evaluate(rows) if makers else rows
        assert ops[use].evaluate(rows).tolist() == trees.evaluate(read).tolist()


def test_negative_thresholds_need_whole_keys() -> None:
    """Bits order numbers from 0 on only: with one threshold below, keys are made of every value."""
    nodes = halves(2, 3, 4, 3, 1, lowest=-16)
    codes = way(KEYED)(TreeVotes(nodes, 4, "f32", 3))[0]

    assert isinstance(codes, FloatKeysInLine)


def test_halves_from_a_half_on_are_eight_bits() -> None:
    """Thresholds 0.5 to 16 in steps of a half, as of digits: one shift for all, and codes in a byte."""
    nodes = halves(20, 6, 10, 3, 1)
    nodes = Nodes(
        nodes.feature, Table(nodes.threshold.data + np.float32(0.5)), nodes.left, nodes.right, nodes.root, 6
    )  # fmt: skip
    codes = way(0)(TreeVotes(nodes, 10, "f32", 3))[0]
    assert isinstance(codes, ShiftCodes)

    assert ("u8", 19, float_keys(np.array([0.5], np.float32))[0]) == (codes.element, codes.shift, codes.base)


@pytest.mark.parametrize("lowest", [-16, 0])
@pytest.mark.parametrize("use", ["leaf", "sum", "votes"])
def test_branches_of_floats_in_c(use: str, lowest: int, tmp_path: Path) -> None:
    """Thresholds below and from 0 on, of 40 columns: every special value goes where it does in tables of nodes."""
    nodes = halves(1 if use == "leaf" else 9, 6, 40, 3, 5, lowest)
    values = Table(np.array([0.1, -0.3, 1e6], np.float32))
    ops: dict[str, TreeOp] = {
        "leaf": TreeLeaf(nodes, 40, "f32"), "sum": TreeSum(nodes, 40, "f32", values, -0.5),
        "votes": TreeVotes(nodes, 40, "f32", 3),
    }  # fmt: skip
    builder = Builder(row_type(40))
    found = builder.add(ops[use], 0)
    to_scores: dict[str, Op] = {
        "leaf": Lookup("i32", 1, 1, Table(np.array([0.5, 2, -1], np.float32))),
        "votes": Lookup("u16", 3, 3, Table(np.arange(10, dtype=np.float32))),
    }
    plain = builder.build(builder.add(to_scores[use], found) if use in to_scores else found)
    program = with_trees(plain, way(FLOATS))
    target = load_target("host")
    names = Names("m", use, "scores", "none", "", "host", "", "none", "f32", "", "0")
    texts = emit_model(program, names, target.templates)
    compiled = load("m", texts | runtime_headers(texts["m.c"], target), program, tmp_path)
    edges = edge_rows(plain, 300).values
    rows = np.concatenate([special_rows(40, 3), edges, np.tile(SIGNED_NAN[:, np.newaxis], (1, 40))])

    assert ("apr_at_most_negative(" in texts["m.c"]) == (lowest < 0)
    with np.errstate(invalid="ignore"):
        expected = plain.run(rows).view(np.uint32).tolist()
    assert expected == compiled.batch(rows)[0].view(np.uint32).tolist()


@pytest.mark.parametrize("number", [0, 1, 2, 3, KEYED, MIXED])
def test_shifted_codes_in_c(number: int, tmp_path: Path) -> None:
    """A forest of half steps as C: every special value in every column gives the Program's votes."""
    model = loaded("rfc_digits")
    artifact = compiled_way(model, number)
    compiled = load("m", artifact.texts, artifact.program, tmp_path)
    rows = special_rows(artifact.program.n_features, 7)

    assert codes_of(artifact.program).kernel.startswith("bit_keys" if number == KEYED else "shift_codes")
    agree(model.model, compiled, np.concatenate([rows, edge_rows(model.model.lower(), 500).values]))


def forest_regressor(n_trees: int, depth: int, n_features: int) -> Payload:
    """Every leaf has a value of its own."""
    trees = [full_tree(depth, n_features, np.array([0]), seed) for seed in range(n_trees)]
    members = tuple(
        {"tree": tree, "max_depth": None, "min_samples_split": 2, "min_samples_leaf": 1} for tree in trees
    )  # fmt: skip
    fields: dict[str, object] = {
        "trees": members, "n_estimators": n_trees, "max_depth": None, "random_state": None, "oob_indices": (),
        "x_train": None, "y_train": None,
    }  # fmt: skip
    return Payload(BY_NAME["RandomForestRegressor"], fields)


LARGE: dict[str, tuple[Payload, int, dict[str, object]]] = {
    "300 features, packed": (forest(5, 6, 300, [0, 1, 2]), 1, {"two_words": False, "feature_bits": 8}),
    "300 thresholds of a feature, branches": (forest(3, 9, 3, [0, 1]), 0, {"element": "u16"}),
    "300 thresholds of a feature, packed": (forest(3, 9, 3, [0, 1]), 1, {"element": "u16", "two_words": False}),
    "300 classes, packed": (forest(9, 7, 8, list(range(300))), 1, {"two_words": False, "base": None}),
    "8,192 leaves of a regressor, packed": (regressor(13, 8), 1, {"two_words": True, "element": "u16"}),
    "5,120 leaves of 80 regressors, packed": (forest_regressor(80, 6, 8), 1, {"two_words": False, "leaf": None}),
    "300 thresholds of a feature, mixed": (forest(3, 9, 3, [0, 1]), MIXED, {"element": "u16", "two_words": False}),
    "8,192 leaves of a regressor, mixed": (regressor(13, 8), MIXED, {"two_words": True, "element": "u16"}),
    "300 classes, mixed": (forest(9, 7, 8, list(range(300))), MIXED, {"two_words": False, "n_listed": 9}),
    "5,120 leaves of 80 regressors, mixed": (forest_regressor(80, 6, 8), MIXED, {"leaf": None, "n_trees": 80}),
    "300 trees, branches": (forest(300, 2, 8, [0, 1, 2]), 0, {"n_trees": 300}),
}


@pytest.mark.parametrize("what", LARGE)
def test_large_models_agree(what: str, tmp_path: Path) -> None:
    """Wide rows, many thresholds, classes, leaves and trees: C, Program and predict() agree."""
    payload, number, holds = LARGE[what]
    model = payload.load()
    artifact = compiled_way(model, number)
    compiled = load("m", artifact.texts, artifact.program, tmp_path)
    trees = trees_of(artifact.program)

    assert holds == {key: getattr(trees, key) for key in holds}
    assert not isinstance(trees, PackedTrees) or ("5,120" in what) == (trees.base is not None)
    rows = random_rows(model.model.lower(), 40).values
    rows[::7] = np.nan
    agree(model.model, compiled, rows)


def test_leaves_of_a_sum_are_numbered_per_tree_when_that_is_shorter() -> None:
    """4,000 different leaf values fit one word only with a base for each tree."""
    nodes = halves(40, 7, 40, 2, 5, lowest=1)
    leaf = np.arange(40 * 2**7)
    left, right = nodes.left.data.copy(), nodes.right.data.copy()
    low, high = np.flatnonzero(left < 0), np.flatnonzero(right < 0)
    left[low], right[high] = ~leaf[: len(low)], ~leaf[len(low) : len(low) + len(high)]
    nodes = Nodes(nodes.feature, nodes.threshold, Table(left), Table(right), nodes.root, 7)
    values = Table(np.random.default_rng(1).standard_normal(len(leaf)).astype(np.float32))
    op = TreeSum(nodes, 40, "f32", values, 0.25)
    coded = coded_trees(op)
    assert coded is not None
    packed = shaped(op, coded, "packed")
    assert isinstance(packed, PackedTrees)
    rows = special_rows(40, 2)

    assert (False, True) == (packed.two_words, packed.base is not None)
    with np.errstate(invalid="ignore"):
        assert op.evaluate(rows).tolist() == packed.evaluate(way(2)(op)[0].evaluate(rows)).tolist()


def test_splits_with_equal_sides_are_left_out() -> None:
    """A split that leads to one class on both sides decides nothing, nor does one above two of those."""
    nodes = Nodes(
        Table([0, 1, 2, 3], np.uint8), Table([0, 1, 2, 3], np.float32), Table([1, -1, -1, -1], np.int16),
        Table([2, -1, 3, -2], np.int16), Table([0], np.int16), 3,
    )  # fmt: skip
    flat = flat_trees(nodes)
    assert flat is not None

    assert [0, 2, 3] == flat.feature.tolist()
    assert [-1, -1, -1] == flat.left.tolist()
    assert [1, 2, -2] == flat.right.tolist()


def test_trees_that_decide_nothing_stay_tables() -> None:
    """Without a single split that matters there are no codes to make."""
    nodes = Nodes(
        Table([0], np.uint8), Table([0], np.float32), Table([-1], np.int16), Table([-1], np.int16),
        Table([0], np.int16), 1,
    )  # fmt: skip

    assert best_way(TreeVotes(nodes, 1, "f32", 2), load_target("cortex-m4").cost, "size") is None


def test_deep_trees_are_no_branches() -> None:
    """A chain deeper than C promises to nest is packed from a node on, never an if within an if all the way."""
    n = MAX_NESTING + 1
    nodes = Nodes(
        Table(np.zeros(n), np.uint8), Table(np.arange(n), np.float32), Table(np.full(n, -1), np.int16),
        Table(np.append(np.arange(1, n), -2), np.int16), Table([0], np.int16), n,
    )  # fmt: skip
    op = TreeVotes(nodes, 1, "f32", 2)
    coded = coded_trees(op)
    assert coded is not None

    assert shaped(op, coded, "branches") is None
    assert {"packed", "mixed"} == {one.shape for one in ways(op, coded)}


def test_a_shape_that_does_not_fit_is_refused() -> None:
    """A shape that is asked for by name is taken or refused, never replaced by another one."""
    n = MAX_NESTING + 1
    nodes = Nodes(
        Table(np.zeros(n), np.uint8), Table(np.arange(n), np.float32), Table(np.full(n, -1), np.int16),
        Table(np.append(np.arange(1, n), -2), np.int16), Table([0], np.int16), n,
    )  # fmt: skip
    total = Step(TreeSum(nodes, 1, "f32", Table([0, 1], np.float32), 0.0), (0,))
    program = Program(ValueType("f32", 1), (total,), 1, None, 0)
    cost = load_target("cortex-m4").cost

    assert isinstance(trees_of(choose_strategies(program, cost, "packed")), PackedTrees)
    with pytest.raises(UnsupportedError) as caught:
        choose_strategies(program, cost, "branches")
    assert caught.value.code == "strategy.shape"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SPLIT)
def test_a_shape_by_name_is_taken(name: str, shape: Shape) -> None:
    """Each shape that fits can be asked for, and is the one that comes."""
    before = loaded(name).model.lower()
    cost = load_target("cortex-m4").cost
    voting = shape in ("compact", "calls")
    if (shape in ("mixed", "compact") and name in STUMPS) or (voting and name not in VOTING):
        with pytest.raises(UnsupportedError, match="too small"):
            choose_strategies(before, cost, shape)
        return
    trees = trees_of(choose_strategies(before, cost, shape))

    assert (shape == "packed") == isinstance(trees, PackedTrees)
    assert (shape == "mixed") == isinstance(trees, MixedTrees)
    assert (shape == "compact") == isinstance(trees, CompactTrees)
    assert (shape == "calls") == isinstance(trees, CalledTrees)
    assert (shape == "keyed-branches") == (trees.element == "i32")
    assert (shape == "float-branches") == (trees.element == "f32")


@pytest.mark.parametrize("name", SPLIT)
def test_goals_are_served(name: str) -> None:
    """No other way is smaller than the choice for size, nor quicker than those for mean and wcet, by the estimates."""
    (op,) = (step.op for step in loaded(name).model.lower().steps if isinstance(step.op, TreeOp))
    coded = coded_trees(op)
    assert coded is not None
    for goal in GOALS:
        found = [one for one in ways(op, coded, goal) if one.row_bytes <= ROW_BUFFER_BYTES]
        best = best_way(op, load_target("cortex-m4").cost, goal)
        assert best is None or best.serves(goal) == min(one.serves(goal) for one in found)


def test_expected_splits_of_a_full_tree() -> None:
    """Every row passes as many splits as a full tree is deep."""
    nodes = halves(3, 4, 5, 50, 1)
    left, right = nodes.left.data.copy(), nodes.right.data.copy()
    left[left < 0], right[right < 0] = -1, -2  # no two leaves of a split are equal
    flat = flat_trees(Nodes(nodes.feature, nodes.threshold, Table(left), Table(right), nodes.root, 4))
    assert flat is not None

    assert 12.0 == expected_splits(flat)


@pytest.mark.parametrize("name", SEEN)
@pytest.mark.parametrize(
    "number", [0, MOST_WAYS - 1, KEYED, FLOATS, MIXED], ids=["branches", "packed", "keyed", "floats", "mixed"]
)
@pytest.mark.parametrize("target", target_names())
def test_ways_on_targets(
    target: str, number: int, name: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """Recorded rows, edge rows and random rows give the Program's bits on every target's runner."""
    require_target(target)
    model = loaded(name)
    artifact = compiled_way(model, number, target)
    before = model.model.lower()
    rows = np.concatenate([rows_of(name)[:50], edge_rows(before, 100).values, random_rows(before, 30).values])
    trial = Trial(rows, ("row",) * len(rows))
    verdict = verify(model.model, build_artifact(artifact, work=tmp_path), trial, count=False)

    assert verdict.details == ()
    assert verdict.passed
    kinds: dict[int, type[ShapedTrees]] = {MOST_WAYS - 1: PackedTrees, MIXED: MixedTrees}
    assert isinstance(trees_of(artifact.program), kinds.get(number, BranchTrees))


@pytest.mark.parametrize("what", ["votes", "sum"])
def test_mixed_trees_lie_between(what: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Of large trees, measured: less flash than branches and more than packed ones, and instructions the other way."""
    require_target("cortex-m4")
    model = (forest(12, 8, 8, [0, 1, 2]) if what == "votes" else forest_regressor(12, 8, 8)).load()
    rows = random_rows(model.model.lower(), 40).values
    flash, mean = {}, {}
    for shape in ("packed", "mixed", "branches"):
        artifact = compile_model(model, load_target("cortex-m4"), Options("m", optimise=shape))
        folder = tmp_path / shape
        folder.mkdir()
        built = build_artifact(artifact, work=folder)
        run = built.run(rows)
        flash[shape] = built.footprint.flash_bytes
        mean[shape] = float(np.mean(run.instructions["scores"].values))

    assert sorted(flash, key=lambda shape: flash[shape]) == ["packed", "mixed", "branches"]
    assert sorted(mean, key=lambda shape: -mean[shape]) == ["packed", "mixed", "branches"]


@pytest.mark.parametrize("shape", ["packed", "mixed"])
@pytest.mark.parametrize("fault", ["jump", "leaf", "feature", "depth", "start"])
def test_words_that_lead_out_of_the_table_are_noticed(shape: str, fault: str) -> None:
    """Each walk stays inside the tables and ends in time, or the Program is refused: no such C is ever written."""
    program = compile_model(loaded("iforest"), load_target("cortex-m4"), Options("m", optimise=shape)).program
    at, op = next((i, step.op) for i, step in enumerate(program.steps) if isinstance(step.op, PackedNodes))
    words, fields = op.words.data.astype(np.int64), op.fields
    inner = int(np.flatnonzero(fields.right_ends == 0)[-1]) * op.step + op.step - 1
    ending = int(np.flatnonzero(fields.left_ends == 1)[-1]) * op.step + op.step - 1
    wrong = words.copy()
    if fault == "jump":
        wrong[inner] |= op.jump_mask << op.jump_shift
    elif fault == "leaf":
        wrong[ending] |= op.leaf_mask << op.leaf_shift
    elif fault == "feature":
        wrong[0] |= op.feature_mask
    changed = replace(op, words=Table(wrong.astype(np.uint32)))
    changed = replace(changed, n_features=op.n_features - 1) if fault == "feature" else changed
    changed = replace(changed, depth=op.depth - 1) if fault == "depth" else changed
    changed = replace(changed, words=Table(op.words.data[: -op.step])) if fault == "start" else changed
    row = ValueType(op.element, changed.n_features)

    assert op.result(ValueType(op.element, op.n_features)) == program.types()[at + 1]
    with pytest.raises(ValueError, match=r"child|place|code|steps|starts"):
        changed.result(row)
