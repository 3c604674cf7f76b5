"""Blocks of rows: sums of floats in panels or lanes give the bits of sums of one row, in Python and in C."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from aprgen.core import Options, compile_model
from aprgen.costs import FloatCost
from aprgen.ops.decide import Argmax, Argmin, Threshold
from aprgen.ops.dense import BiasOrder, Dense
from aprgen.ops.distance import SquaredDistance
from aprgen.ops.elementwise import Map, Stage
from aprgen.ops.normalise import Softmax
from aprgen.ops.wide_floats import FewRows, Lanes, Panels, RowOutputs
from aprgen.ops.wide_points import ScreenedLanes
from aprgen.passes.layout import plan_block
from aprgen.passes.wide_floats import with_float_blocks
from aprgen.program import Array, Builder, Program, Table, row_type
from aprgen.rows import edge_rows
from aprgen.runners.records import AWKWARD
from aprgen.target import Target, load_target, target_names
from aprgen.verify import same_bits
from tests.differential.compiled import Compiled, load
from tests.examples import loaded
from tests.passes.sanitized import require_clean
from tests.passes.test_wide_trees import agree, texts_of

WIDE = tuple(name for name in target_names() if (batch := load_target(name).batch) is not None and batch.floats)
HERE = ("x86-avx512", "x86-avx2", "x86")  # the last with SSE2; of x86-avx512-vnni see test_screened_codes.py
COMPILERS = ("gcc", "clang-14")
RELU, SIGMOID = Stage("relu"), Stage("sigmoid")


def dense(n_in: int, n_out: int, order: BiasOrder) -> Dense:
    chance = np.random.default_rng(n_in * 1000 + n_out)
    weight = chance.normal(size=(n_out, n_in)).astype(np.float32)
    weight[chance.random(weight.shape) < 0.1] = -0.0
    bias = np.where(chance.random(n_out) < 0.2, -0.0, chance.normal(size=n_out))
    return Dense(Table(weight), None if order == "none" else Table(bias, np.float32), order)


def network() -> Program:
    """Panels that are whole, left over, and partly used; activations that go into the sums and that do not."""
    builder = Builder(row_type(7))
    at = builder.add(dense(7, 99, "last"), 0)
    at = builder.add(Map(99, (RELU,)), at)
    at = builder.add(dense(99, 37, "first"), at)
    at = builder.add(Map(37, (SIGMOID,)), at)
    at = builder.add(dense(37, 64, "none"), at)
    at = builder.add(Map(64, (RELU,)), at)
    at = builder.add(dense(64, 3, "last"), at)
    at = builder.add(Softmax(3, by_reciprocal=True), at)
    return builder.build(at, builder.add(Argmax("f32", 3, None, nan_gives_zero=True), at), 3)


def small_network() -> Program:
    """Rows in lanes throughout; the first layer is read twice, so that its activation stays a step."""
    builder = Builder(row_type(6))
    first = builder.add(dense(6, 5, "last"), 0)
    at = builder.add(Map(5, (RELU,)), builder.add(dense(5, 5, "first"), builder.add(Map(5, (RELU,)), first)))
    at = builder.add(dense(5, 2, "none"), at)
    return builder.build(at, builder.add(Threshold("ge", 0.0, 1, 0), builder.add(dense(5, 1, "last"), first)), 2)


def linear(n_in: int, order: BiasOrder) -> Program:
    builder = Builder(row_type(n_in))
    at = builder.add(Map(1, (SIGMOID,)), builder.add(dense(n_in, 1, order), 0))
    return builder.build(at, builder.add(Threshold("ge", 0.5, 1, 0), at), 2)


def few_outputs(n_out: int, order: BiasOrder) -> Program:
    """Rows in lanes, and for one row outputs."""
    builder = Builder(row_type(40))
    return builder.build(builder.add(Map(n_out, (RELU,)), builder.add(dense(40, n_out, order), 0)))


def components() -> Program:
    """Steps of rows come first."""
    builder = Builder(row_type(30))
    at = builder.add(Map(30, (Stage("sub", each=Table(np.linspace(-2, 2, 30), np.float32)),)), 0)
    return builder.build(builder.add(dense(30, 4, "none"), at))


def nearest(n_points: int, n_in: int, size: float = 1.0, *, tied: bool = True) -> Program:
    builder = Builder(row_type(n_in))
    points = (size * np.random.default_rng(n_points).normal(size=(n_points, n_in))).astype(np.float32)
    if tied:
        points[-1] = points[0]  # the first one wins
    at = builder.add(SquaredDistance(Table(points)), 0)
    return builder.build(at, builder.add(Argmin(n_points), at), n_points)


@dataclass(frozen=True)
class Case:
    name: str
    program: Callable[[], Program]
    lanes: int  # ops of this kind in all ways
    panels: int


CASES = (
    Case("network", network, 1, 4),
    Case("small-network", small_network, 4, 0),
    Case("linear-last", lambda: linear(13, "last"), 1, 0),
    Case("linear-first", lambda: linear(3, "first"), 1, 0),
    Case("linear-long", lambda: linear(1027, "last"), 1, 0),
    Case("few-outputs-first", lambda: few_outputs(5, "first"), 1, 0),
    Case("few-outputs-last", lambda: few_outputs(4, "last"), 1, 0),
    Case("components", components, 1, 0),
    Case("nearest", lambda: nearest(11, 10), 2, 0),
    Case("screened", lambda: nearest(10, 21, tied=False), 2, 0),
    Case("in-doubt", lambda: nearest(6, 100, 1e-6, tied=False), 2, 0),
    Case("whole-eights", lambda: nearest(2, 16, tied=False), 2, 0),
    Case("many-points", lambda: nearest(43, 6), 0, 1),
)
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def blocks(program: Program, target: Target, floats: FloatCost | None = None) -> Program:
    assert target.batch is not None
    cost = target.batch if floats is None else replace(target.batch, floats=floats)
    return with_float_blocks(program, cost, target.has_kernel)


def floats_of(name: str) -> FloatCost:
    batch = load_target(name).batch
    assert batch is not None
    assert batch.floats is not None
    return batch.floats


def rows_of(program: Program, n: int, seed: int) -> Array:
    """Edge rows, ordinary ones, and ones with infinities, NaN of any payload, zeros and subnormals."""
    chance = np.random.default_rng(seed)
    plain = chance.normal(size=(n, program.n_features)).astype(np.float32)
    odd = np.array([0, 0x80000000, 1, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC12345, 0x7F7FFFFF], np.uint32)
    bits = np.where(chance.random(plain.shape) < 0.1, chance.choice(odd, plain.shape), plain.view(np.uint32))
    some = np.ascontiguousarray(bits.astype(np.uint32)).view(np.float32)
    rows = np.concatenate([edge_rows(program, n // 2).values, plain, some])
    return np.ascontiguousarray(rows[chance.permutation(len(rows))[:n]])


@every_case
@pytest.mark.parametrize("name", WIDE)
def test_python_of_blocks_is_that_of_rows(name: str, case: Case) -> None:
    """The layers take the form that the target's cycles say, and every way gives the bits of one row."""
    program = case.program()
    made = blocks(program, load_target(name))
    ops = [step.op for step in made.steps]

    if name.startswith("x86-"):
        assert len({id(op) for op in ops if isinstance(op, Lanes)}) == case.lanes
        assert len({id(op) for op in ops if isinstance(op, Panels)}) == case.panels  # ways have them in common
    agree(made, program, rows_of(program, 400, 1))


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize(("number", "case"), list(enumerate(CASES)), ids=lambda value: getattr(value, "name", ""))
def test_c_of_blocks(
    name: str, number: int, case: Case, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """C equals Program.run() bit for bit for any number of rows and any place of theirs, compilers in turn."""
    require_target(name)
    target = load_target(name)
    program = case.program()
    compiler = COMPILERS[(number + HERE.index(name)) % 2]
    assert differing(program, blocks(program, target), target, compiler, tmp_path) == 0


def differing(
    program: Program, made: Program, target: Target, compiler: str, folder: Path, old: str = "", new: str = "",
    some: Array | None = None,
) -> int:  # fmt: skip
    """Rows whose scores or labels are others than those of the Program; with `new` in place of `old` in the C.

    some: as many rows as rows_of() gives by itself.
    """
    flags = next(rule.cflags for rule in target.builds if compiler in rule.programs)
    texts = {file: text.replace(old, new) if old else text for file, text in texts_of(made, target).items()}
    assert not old or texts != texts_of(made, target)
    compiled = load("m", texts, made, folder, compiler, (*flags, "-O1"))
    return differing_from(program, compiled, rows_of(program, sum(AWKWARD), 2) if some is None else some)


def differing_from(program: Program, compiled: Compiled, rows: Array) -> int:
    """Rows whose scores or labels are others than those of the Program, in as many calls as rows are for."""
    expected, labels = program.run(rows), program.classify(rows)
    at, count = 0, 0
    for n in AWKWARD:
        apart = np.zeros(n * program.n_features + 4, np.float32)  # begins at any float of a vector
        own = apart[n % 5 :][: n * program.n_features].reshape(n, -1)
        own[:] = rows[at : at + n]
        scores, found = compiled.batch(own)
        bad = ~same_bits(scores, expected[at : at + n]).all(axis=1)
        if labels is not None and found is not None:
            bad |= found != labels[at : at + n]
        count += int(bad.sum())
        at += n
    return count


def case_of(name: str) -> Program:
    return next(case for case in CASES if case.name == name).program()


SANITIZED = (
    ("x86-avx512", "network"), ("x86-avx512", "linear-long"), ("x86-avx512", "nearest"), ("x86-avx512", "screened"),
    ("x86-avx2", "many-points"), ("x86-avx2", "network"), ("x86-avx2", "in-doubt"),
    ("x86", "network"), ("x86", "many-points"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "case"), SANITIZED)
def test_sanitizers_find_nothing(
    name: str, case: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """No byte outside of rows and results that are exactly as large as they must be, and no undefined operation."""
    require_target(name)
    target = load_target(name)
    made = blocks(case_of(case), target)

    require_clean(texts_of(made, target), rows_of(made, 400, 4), target, tmp_path)


FAULTS = (
    ("network", "_mm512_add_ps(sum, _mm512_mul_ps(x, weight))", "_mm512_fmadd_ps(x, weight, sum)"),
    ("network", "_mm512_max_ps(values, _mm512_setzero_ps())", "_mm512_max_ps(_mm512_setzero_ps(), values)"),
    ("nearest", "_CMP_LT_OQ", "_CMP_LE_OQ"),
    ("many-points", "first + 3", "first + 2"),
    ("linear-last", "    while (row < n_rows) {", "    while ((n_rows - row) >= 16U) {"),
    ("linear-last", "(low, high, 0xDD)", "(high, low, 0xDD)"),
    ("linear-last", "&x[(4U * stride) - 8U]", "&x[(4U * stride) - 7U]"),
    ("screened", "apr_floats_turn(&after[4]);", ""),
    ("screened", "&own[k + 8U] : later", "&own[k + 8U] : &later[1]"),
    ("screened", "(n_rows - row) > 32U", "(n_rows - row) > 48U"),
    ("screened", "_CMP_NGE_UQ", "_CMP_LT_OQ"),
    ("linear-last", "x[at[3] + k]", "x[at[2] + k]"),
    ("linear-last", "x[at[r] + 12U]", "x[at[0] + 12U]"),
    ("few-outputs-first", "w = &w[5]", "w = &w[6]"),
    ("few-outputs-last", "    a0 = apr_floats_relu(a0);\n    apr", "    apr"),
)
FAULT_NAMES = (
    "fused", "nan", "tie", "place", "last-rows", "turned", "halves", "begun", "next-tile", "last-tile", "nan-doubt",
    "few-rows", "few-rows-last", "one-row", "one-row-relu",
)  # fmt: skip


@pytest.mark.parametrize(("case", "old", "new"), FAULTS, ids=FAULT_NAMES)
def test_planted_faults_are_found(
    case: str, old: str, new: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """A rounding less, a NaN after an activation, the last of two nearest, another index, rows left out, mixed, no
    doubt about a NaN."""
    require_target("x86-avx512")
    target = load_target("x86-avx512")
    program = case_of(case)

    assert differing(program, blocks(program, target), target, "gcc", tmp_path, old, new) > 0


@pytest.mark.parametrize("name", WIDE)
def test_few_rows_in_lanes(name: str) -> None:
    """Fewer rows than a vector has floats fill it up with the last one; a single row is summed alone. The weights are
    those of many rows."""
    target = load_target(name)
    for case in ("linear-last", "nearest"):
        made = blocks(case_of(case), target, replace(floats_of(name), lane_sums=16, lane=1, square_lane=1))
        assert made.batch is not None
        assert made.batch.few is not None
        few, many = (
            [op for index in made.needed(way.scores) if isinstance(op := made.steps[index].op, FewRows | Lanes)]
            for way in (made.batch.few, made.batch.many)
        )

        assert [type(op) for op in (*few, *many)] == [FewRows, Lanes]
        assert few[0].weight is many[0].weight
        assert (made.batch.few_rows, made.batch.alone) == (floats_of(name).width, 1)


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("n_out", [1, 2, 5, 7])
def test_one_row_of_few_outputs(name: str, n_out: int) -> None:
    """Outputs in lanes where a core would wait for one sum after the other, with the weights of many rows."""
    program = few_outputs(n_out, "last")
    made = blocks(program, load_target(name), replace(floats_of(name), lane_sums=16, turned=1, lane=1))
    assert made.batch is not None
    one, many = (made.steps[made.needed(value)[-1]].op for value in (made.scores, made.batch.many.scores))

    assert isinstance(many, Lanes)
    assert isinstance(one, RowOutputs) == (n_out >= 5)
    if isinstance(one, RowOutputs):
        assert one.weight is many.weight
        assert one.bias is many.bias


@pytest.mark.parametrize(
    ("program", "rows", "begun"),
    [
        (linear(100, "last"), 32, False),
        (linear(1027, "last"), 16, False),
        (nearest(2, 16), 16, True),
        (nearest(12, 21), 16, True),
        (nearest(2, 15), 32, False),
    ],
    ids=["short", "long", "two sums", "many sums", "few columns"],
)
def test_rows_of_a_tile(program: Program, rows: int, begun: bool) -> None:
    """Two vectors of rows; one, where a core would follow no more rows, or turns the next columns of one meanwhile."""
    made = blocks(program, load_target("x86-avx512"))
    op = next(step.op for step in made.steps if isinstance(step.op, Lanes))

    assert (rows, begun) == (op.groups * op.width, op.begun)


def test_what_takes_blocks() -> None:
    """Families whose sums are floats have a way for blocks; what has no such sum keeps its loop over rows."""
    target = load_target("x86-avx512")
    linear = ("linreg", "ridge", "lasso", "elasticnet", "logreg_bc", "linear_svm")
    for name in (*linear, "kmeans", "pca", "moe", "v2_mlp_f32"):
        assert compile_model(loaded(name), target, Options("m")).program.batch is not None, name
    for name in ("knn_minkowski",):
        assert compile_model(loaded(name), target, Options("m")).program.batch is None, name
    assert compile_model(loaded("linreg"), load_target("host"), Options("m")).program.batch is None


def test_a_kernel_that_is_not_there() -> None:
    """Without a kernel for lanes there are panels, and without any the Program stays as it is."""
    target = load_target("x86-avx512")
    program = network()
    made = with_float_blocks(program, target.batch, lambda name: name != "lanes_f32")

    assert made.batch is not None
    assert not any(isinstance(step.op, Lanes) for step in made.steps)
    assert with_float_blocks(program, target.batch, lambda name: False) is program
    assert with_float_blocks(program, load_target("host").batch, target.has_kernel) is program
    for kernel in ("panels_f32", "lanes_f32", "least_f32"):
        assert all(load_target(name).has_kernel(kernel) for name in WIDE)


@pytest.mark.parametrize(("n_hidden", "rows"), [(16, 128), (256, 48), (3000, 8), (20_000, 0)])
def test_rows_of_a_block_fit(n_hidden: int, rows: int) -> None:
    """Values between layers take no more of the stack than the target allows; else rows stay one by one."""
    builder = Builder(row_type(2))
    sizes = (2, n_hidden, n_hidden, 40) if n_hidden < 1000 else (2, n_hidden, 2, n_hidden, 2)
    at = 0
    for n_in, n_out in itertools.pairwise(sizes):
        at = builder.add(dense(n_in, n_out, "last"), at)
    program = builder.build(at)
    floats = replace(floats_of("x86-avx512"), hidden_bytes=98304 if rows else 50_000)
    made = blocks(program, load_target("x86-avx512"), floats)
    if not rows:
        assert made is program
        return
    assert made.batch is not None
    assert made.batch.rows == rows
    for way in made.batch.ways:
        held = sum(4 * buffer.size for buffer in plan_block(made, way.scores, "x", "out").buffers)
        assert held <= floats.hidden_bytes


def far_from_zero(n_points: int, n_in: int) -> Program:
    builder = Builder(row_type(n_in))
    points = np.random.default_rng(n_points).normal(size=(n_points, n_in)) + 10
    at = builder.add(SquaredDistance(Table(points, np.float32)), 0)
    return builder.build(at, builder.add(Argmin(n_points), at), n_points)


def ordinary(program: Program, n: int) -> Array:
    return np.random.default_rng(n).normal(size=(n, program.n_features)).astype(np.float32)


SETTLED = "apr_places_store(&y[row + (0U * 16U)], place0)", "apr_places_store(&y[row], apr_places_all(7))"
NO_DOUBT = "_CMP_NGE_UQ", "_CMP_FALSE_OQ"
ADDED = "(a3_0, x0[1]", "(a3_0, x0[0]"


@pytest.mark.parametrize(
    ("case", "fault", "least", "most"),
    [
        ("screened", ("", ""), 0, 0), ("in-doubt", ("", ""), 0, 0), ("screened", SETTLED, 0, 0.2),
        ("screened", ADDED, 0.01, 1), ("in-doubt", NO_DOUBT, 0.01, 1),
    ],
    ids=("screened", "in-doubt", "settled", "other-product", "no-doubt"),
)  # fmt: skip
def test_screened_points(
    case: str, fault: tuple[str, str], least: float, most: float, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """Of ordinary rows few are in doubt, unless points lie close together; then the bound of roundings is needed."""
    require_target("x86-avx512")
    target = load_target("x86-avx512")
    program = case_of(case)
    rows = ordinary(program, sum(AWKWARD))
    count = differing(program, blocks(program, target), target, "clang-14", tmp_path, *fault, some=rows)

    assert least * len(rows) <= count <= most * len(rows)


def test_points_are_screened_beside_distances_in_panels(
    tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """The nearest of more points than distances in lanes are for; not where columns are few, points the same or
    sizes without a bound."""
    require_target("x86-avx512")
    target = load_target("x86-avx512")
    program = nearest(16, 37, tied=False)
    made = blocks(program, target)
    kinds = [step.op.kernel for step in made.steps]

    assert {"panels_f32", "screened_lanes_f32"} <= set(kinds)
    assert differing(program, made, target, "clang-14", tmp_path, some=ordinary(program, sum(AWKWARD))) == 0
    others = [nearest(10, n_in, size, tied=False) for n_in, size in ((11, 1.0), (21, 0.0), (21, 1e12))]
    for other in (nearest(10, 21), nearest(10, 1001, tied=False), far_from_zero(10, 21), *others):
        assert not any(isinstance(step.op, ScreenedLanes) for step in blocks(other, target).steps)
    assert not any(isinstance(step.op, ScreenedLanes) for step in blocks(program, load_target("arm-neon")).steps)
