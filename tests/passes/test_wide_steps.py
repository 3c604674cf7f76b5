"""Blocks of rows: neighbours, Gaussians, maps, shares and labels in vectors give the bits of one row."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from aprgen.core import Options, plan_model, runtime_headers
from aprgen.costs import FloatCost
from aprgen.ops.decide import Argmax, Threshold
from aprgen.ops.distance import Metric, Neighbours
from aprgen.ops.elementwise import Map, Stage, vary
from aprgen.ops.gauss import Gauss
from aprgen.ops.normalise import Complement, Normalise, Softmax
from aprgen.ops.wide_points import BlockNeighbours, RowNeighbours
from aprgen.passes.wide_floats import with_float_blocks
from aprgen.passes.wide_steps import with_block_steps
from aprgen.program import Array, Builder, OfBlocks, Program, Table, row_type
from aprgen.runners.records import AWKWARD
from aprgen.target import Target, load_target
from aprgen.verify import same_bits
from tests.differential.compiled import OPTIONS, compile_c, write_texts
from tests.examples import loaded
from tests.passes.sanitized import require_clean
from tests.passes.test_wide_floats import COMPILERS, dense, differing, floats_of, rows_of
from tests.passes.test_wide_trees import agree, texts_of

HERE = ("x86-avx512", "x86-avx2")  # SSE2 has no templates of steps


def numbers(n: int, seed: int, *, above_zero: bool = False) -> Table:
    made = np.random.default_rng(seed).normal(size=n).astype(np.float32)
    return Table(np.abs(made) + np.float32(0.1) if above_zero else made)


def scaler(size: int) -> Program:
    """All arithmetic; a column whose values do not matter; labels where they come last."""
    mask = Table((np.arange(size) % 3 != 1).astype(np.uint8))
    stages = (
        Stage("sub", each=numbers(size, 1)), Stage("div", each=numbers(size, 2, above_zero=True)),
        Stage("mul", constant=-1.5), Stage("add", each=numbers(size, 3)), Stage("neg"),
        Stage("keep", constant=-0.0, mask=mask), Stage("leaky_relu", constant=0.01),
    )  # fmt: skip
    builder = Builder(row_type(size))
    at = builder.add(Map(size, stages), 0)
    return builder.build(at, builder.add(Argmax("f32", size, None), at), size)


def functions(size: int) -> Program:
    """All functions, one after the other and on values of every size."""
    builder = Builder(row_type(size))
    at = 0
    for verb in ("tanh", "gelu", "sigmoid", "exp", "exp2", "relu"):
        at = builder.add(Map(size, (Stage("mul", constant=3.0), Stage(verb))), at)  # type: ignore[arg-type]
    return builder.build(at)


def shares(size: int, *, by_reciprocal: bool, floor: float | None, last_wins: bool, labels: bool) -> Program:
    builder = Builder(row_type(size))
    first = builder.add(Softmax(size, by_reciprocal), 0)
    table = Table(np.arange(size, dtype=np.int32) * 7 - 3) if labels else None
    label = Argmax("f32", size, table, last_wins=last_wins, nan_gives_zero=labels)
    at = builder.add(Normalise(size, floor), builder.add(Map(size, (Stage("mul", constant=1e-9),)), first))
    return builder.build(at, builder.add(label, first), size)


def bayes(n_in: int, n_classes: int, *, start: bool, offset: bool) -> Program:
    builder = Builder(row_type(n_in))

    def table(seed: int, *, above_zero: bool = False) -> Table:
        return Table(numbers(n_in * n_classes, seed, above_zero=above_zero).data.reshape(n_classes, n_in))

    gauss = Gauss(
        table(1), table(2, above_zero=True), numbers(n_classes, 3) if start else None, table(4) if offset else None
    )
    at = builder.add(gauss, 0)
    return builder.build(at, builder.add(Argmax("f32", n_classes, None, nan_gives_zero=True), at), n_classes)


def neighbours(
    metric: Metric, k: int, n_points: int, n_in: int, *, weighted: bool = False, tied: bool = False,
    apart: float | None = None,
) -> Program:  # fmt: skip
    """tied: points of a grid, so that many distances are equal. apart: around points that are so far from zero, so that
    products lose what tells distances apart. Else points of very different sizes."""
    chance = np.random.default_rng(n_points)
    points = chance.normal(size=(n_points, n_in)) * 10.0 ** chance.integers(-25, 20, size=(n_points, 1))
    if tied:
        points = chance.integers(-1, 2, size=(n_points, n_in)) * 0.75
        points[: n_points // 3] = points[-(n_points // 3) :]  # the same points again
    if apart is not None:
        points = chance.normal(size=(n_points, n_in)) + apart
    classes = Table(chance.integers(0, 3, n_points).astype(np.uint8))
    op = Neighbours(metric, 2.0, weighted, k, Table(points, np.float32), classes, 3)
    builder = Builder(row_type(n_in))
    votes = builder.add(op, 0)
    scores = builder.add(Normalise(3, None), votes)
    return builder.build(scores, builder.add(Argmax("f32", 3, None, nan_gives_zero=True), votes), 3)


def logistic() -> Program:
    builder = Builder(row_type(13))
    scaled = builder.add(Map(13, (vary("sub", numbers(13, 5).data), vary("div", np.full(13, 3.0)))), 0)
    at = builder.add(Map(1, (Stage("sigmoid"),)), builder.add(dense(13, 1, "first"), scaled))
    return builder.build(at, builder.add(Threshold("ge", 0.5, 1, 0), at), 2)


def classifier() -> Program:
    """Panels; a step that has no form for blocks between those that have one."""
    builder = Builder(row_type(9))
    at = builder.add(Map(43, (Stage("tanh"),)), builder.add(dense(9, 43, "last"), 0))
    at = builder.add(Map(1, (Stage("exp2"),)), builder.add(dense(43, 1, "first"), at))
    return builder.build(builder.add(Complement(), at), builder.add(Threshold("lt", 1.0, -1, 1), at), 2)


@dataclass(frozen=True)
class Case:
    name: str
    program: Callable[[], Program]
    rowwise: int = 0  # steps of the way for blocks that go row by row


CASES = (
    Case("scaler-1", lambda: scaler(1)),
    Case("scaler-5", lambda: scaler(5)),
    Case("scaler-16", lambda: scaler(16)),
    Case("scaler-37", lambda: scaler(37)),
    Case("functions", lambda: functions(3)),
    Case("shares-3", lambda: shares(3, by_reciprocal=True, floor=None, last_wins=True, labels=True)),
    Case("shares-10", lambda: shares(10, by_reciprocal=False, floor=1e-10, last_wins=False, labels=True)),
    Case("shares-8", lambda: shares(8, by_reciprocal=False, floor=1e-10, last_wins=True, labels=False)),
    Case("bayes-5", lambda: bayes(6, 5, start=True, offset=True)),
    Case("bayes-8", lambda: bayes(3, 8, start=False, offset=False)),
    Case("one-class", lambda: bayes(4, 1, start=True, offset=False)),
    Case("euclidean-5", lambda: neighbours("euclidean", 5, 150, 4)),
    Case("euclidean-weighted", lambda: neighbours("euclidean", 7, 61, 6, weighted=True, tied=True)),
    Case("euclidean-many", lambda: neighbours("euclidean", 3, 1600, 2)),  # AVX-512: all sums would take too much stack
    Case("euclidean-64", lambda: neighbours("euclidean", 2, 64, 1)),
    Case("manhattan-wide", lambda: neighbours("manhattan", 16, 129, 9)),
    Case("row-16", lambda: neighbours("euclidean", 2, 16, 4)),
    Case("row-tied", lambda: neighbours("manhattan", 3, 50, 4, tied=True)),
    Case("euclidean-tied", lambda: neighbours("euclidean", 3, 100, 3, tied=True)),
    Case("euclidean-all", lambda: neighbours("euclidean", 9, 9, 2, weighted=True)),
    Case("manhattan-1", lambda: neighbours("manhattan", 1, 33, 5)),
    Case("manhattan-tied", lambda: neighbours("manhattan", 4, 150, 3, weighted=True, tied=True)),
    Case("euclidean-20", lambda: neighbours("euclidean", 20, 90, 3, tied=True)),
    Case("screened-5", lambda: neighbours("euclidean", 5, 460, 13, apart=0.0)),
    Case("screened-near", lambda: neighbours("euclidean", 3, 321, 12, weighted=True, apart=30_000.0)),
    Case("screened-far", lambda: neighbours("euclidean", 3, 321, 12, apart=30_000.0)),
    Case("screened-tied", lambda: neighbours("euclidean", 1, 195, 16, tied=True)),
    Case("screened-17", lambda: neighbours("euclidean", 17, 1220, 12, weighted=True, apart=0.0)),
    Case("logistic", logistic),
    Case("classifier", classifier, 1),
)
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def blocks(program: Program, target: Target, floats: FloatCost | None = None) -> Program:
    assert target.batch is not None
    cost = target.batch if floats is None else replace(target.batch, floats=floats)
    return with_block_steps(with_float_blocks(program, cost, target.has_kernel), cost, target.has_kernel)


def rows_for(program: Program, n: int, seed: int) -> Array:
    """As rows_of, and rows that are as far from many points of a grid, of sizes that overflow in a square, and a tile
    of rows that are infinitely far from all points."""
    rows = rows_of(program, n, seed)
    chance = np.random.default_rng(seed)
    rows[::5] = chance.integers(-2, 3, rows[::5].shape) * np.float32(0.375)
    with np.errstate(all="ignore"):
        rows[1::7] = rows[1::7] * np.float32(1e19)
    rows[n // 2 : n // 2 + 90, 0] = np.inf
    for step in program.steps:
        if isinstance(step.op, Neighbours):  # and rows among the points
            some = step.op.points.data[chance.integers(0, step.op.n_points, n // 4)]
            rows[: n // 4] = some + chance.normal(size=some.shape).astype(np.float32)
    return rows


@every_case
@pytest.mark.parametrize("name", HERE)
def test_python_of_blocks_is_that_of_rows(name: str, case: Case) -> None:
    """Steps have their forms for blocks, and every way gives the bits of one row."""
    program = case.program()
    made = blocks(program, load_target(name))
    assert made.batch is not None
    many = made.batch.many
    rowwise = [index for index in made.needed(many.scores, many.label)
               if not isinstance(made.steps[index].op, OfBlocks)]  # fmt: skip

    assert len(rowwise) == case.rowwise
    agree(made, program, rows_for(program, 300, 1))


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
    rows = rows_for(program, sum(AWKWARD), 2)
    assert differing(program, blocks(program, target), target, compiler, tmp_path, some=rows) == 0


MATH = """
#include "apr_float_maps.h"
#include "apr_math.h"

void of_vectors(uint32_t verb, const float *x, uint32_t n, float *y);
void of_vectors(uint32_t verb, const float *x, uint32_t n, float *y)
{
    apr_floats (*const verbs[5])(apr_floats x) = {
        apr_floats_exp, apr_floats_exp2, apr_floats_sigmoid, apr_floats_tanh, apr_floats_gelu};
    for (uint32_t i = 0U; i < n; i += WIDTH) {
        apr_floats_store(&y[i], verbs[verb](apr_floats_at(&x[i])));
    }
}

void one_by_one(uint32_t verb, const float *x, uint32_t n, float *y);
void one_by_one(uint32_t verb, const float *x, uint32_t n, float *y)
{
    float (*const verbs[5])(float x) = {apr_expf, apr_exp2f, apr_sigmoidf, apr_tanhf, apr_geluf};
    for (uint32_t i = 0U; i < n; ++i) {
        y[i] = verbs[verb](x[i]);
    }
}
"""


@pytest.mark.parametrize("name", HERE)
def test_vector_functions(name: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """exp, exp2, sigmoid, tanh and GELU of vectors have the bits of those of one float, on floats of every size."""
    require_target(name)
    target = load_target(name)
    texts = {"math.c": MATH} | runtime_headers(MATH, target)
    write_texts(texts, tmp_path)
    width = f"-DWIDTH={floats_of(name).width}U"
    flags = (*OPTIONS, *target.builds[0].cflags, width)
    compile_c("gcc", (*flags, "-O2", "-shared", "-fPIC", "math.c", "-o", "math.so"), tmp_path)
    library = ctypes.CDLL(str(tmp_path / "math.so"))
    chance = np.random.default_rng(7)
    ends = np.array([0, 0x33800000, 0x39800000, 0x3F800000, 0x41800000, 0x42B17218, 0x42CFF1B5, 0x7F800000])
    near = (ends[:, None] + np.arange(-512, 512)).reshape(-1) & 0x7FFFFFFF
    bits = np.concatenate([near, near | 0x80000000, chance.integers(0, 2**32, 100_000)])
    x = np.resize(bits, -(-len(bits) // 16) * 16).astype(np.uint32).view(np.float32)
    for verb in range(5):
        found, expected = np.empty_like(x), np.empty_like(x)
        for function, out in ((library.of_vectors, found), (library.one_by_one, expected)):
            pointers = [ctypes.c_void_p(array.ctypes.data) for array in (x, out)]
            function(ctypes.c_uint32(verb), pointers[0], ctypes.c_uint32(len(x)), pointers[1])
        assert same_bits(found.reshape(-1, 1), expected.reshape(-1, 1)).all(), verb


SANITIZED = (
    ("x86-avx512", "screened-near"), ("x86-avx512", "shares-10"), ("x86-avx512", "bayes-5"),
    ("x86-avx2", "euclidean-5"), ("x86-avx2", "classifier"), ("x86-avx2", "scaler-5"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "case"), SANITIZED)
def test_sanitizers_find_nothing(
    name: str, case: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """No byte outside of rows and results that are exactly as large as they must be, and no undefined operation."""
    require_target(name)
    target = load_target(name)
    made = blocks(case_of(case), target)

    require_clean(texts_of(made, target), rows_for(made, 400, 4), target, tmp_path)


def case_of(name: str) -> Program:
    return next(case for case in CASES if case.name == name).program()


FAULTS = (
    ("euclidean-many", "apr_places_if_less(key, n0, point, w0)", "apr_places_if_less(key, n0, w0, point)", "order"),
    ("euclidean-many", "const apr_places key = apr_places_of(apr_floats_sqrt(sum))",
     "const apr_places key = apr_places_of(sum)", "root"),
    ("euclidean-20", "apr_places_all(INT32_MAX), square)", "apr_places_all(0x7F800000), square)", "infinity"),
    ("euclidean-20", "(numbers == 0) ? APR_NAN", "(numbers == 1) ? APR_NAN", "nan-votes"),
    ("euclidean-5", "apr_floats_of(n4))), apr_places_all(1))", "apr_floats_of(n4))), apr_places_all(0))", "bound"),
    ("euclidean-5", "next, apr_places_all(INT32_MAX), square)", "next, apr_places_all(0), square)", "bound-infinity"),
    ("euclidean-tied", " == 3U) { /* they", " >= 3U) { /* they", "counted"),
    ("euclidean-weighted", "29U, limit));", "28U, limit));", "last-point"),
    ("euclidean-weighted", "<< 32) | p;", "<< 32) | (60U - p);", "bounded-order"),
    ("euclidean-5", "numbers[lane] != 0", "numbers[lane] != 1", "bounded-nan-votes"),
    ("euclidean-weighted", ">> seen << seen", ">> seen << seen << (seen / 3U)", "row-last-points"),
    ("row-tied", "d < list->near[at", "d <= list->near[at", "row-order"),
    ("screened-near", "(others, beyond) != 0U)", "(others, beyond) > 0xFFFFU)", "screen"),
    ("screened-far", "apr_floats_mul(furthest,",
     "apr_floats_mul(apr_floats_least(furthest, apr_floats_all(-1e9F)),", "screen-alone"),
    ("screened-tied", "if_less(point, its, apr_places_all(1)", "if_less(its, point, apr_places_all(1)", "screen-order"),
    ("shares-8", "apr_places_if_at_least(place, first", "apr_places_if_below(place, first", "last-wins"),
    ("shares-10", "apr_places_and(place,", "apr_places_max(place,", "nan-label"),
    ("scaler-5", "at -= (at >=", "at -= (at >", "operand"),
    ("bayes-5", "_mm512_sub_ps(a, b)", "_mm512_fmsub_ps(a, _mm512_set1_ps(1.0F), _mm512_sub_ps(b, a))", "difference"),
    ("functions", "apr_longs_all(0x417FFFFFU)", "apr_longs_all(0x40000000U)", "tanh-end"),
)  # fmt: skip


@pytest.mark.parametrize(("case", "old", "new", "what"), FAULTS, ids=[what for *_, what in FAULTS])
def test_planted_faults_are_found(
    case: str, old: str, new: str, what: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """The rules of ties, NaN, free places and operands of columns, each broken once."""
    require_target("x86-avx512")
    target = load_target("x86-avx512")
    program = case_of(case)
    rows = rows_for(program, sum(AWKWARD), 2)

    assert differing(program, blocks(program, target), target, "gcc", tmp_path, old, new, rows) > 0


def test_what_takes_blocks() -> None:
    """Models of such steps alone have a way for blocks, all of it in vectors; Minkowski distances and texts do not."""
    target = load_target("x86-avx512")
    for name in (
        "standard_scaler",
        "pca",
        "gaussian_nb",
        "gmm",
        "knn_euclidean",
        "knn_manhattan_weighted",
        "logreg_bc",
    ):
        program = plan_model(loaded(name), target, Options("m")).program
        assert program.batch is not None, name
        many = program.batch.many
        needed = program.needed(many.scores, many.label)
        assert all(isinstance(program.steps[index].op, OfBlocks) for index in needed), name
    for name in ("knn_minkowski", "tfidf"):
        assert plan_model(loaded(name), target, Options("m")).program.batch is None, name
    assert plan_model(loaded("gaussian_nb"), load_target("host"), Options("m")).program.batch is None


def test_what_takes_one_row() -> None:
    """The function for one row has points in lanes, too, where there are four columns and a vector of points."""
    target = load_target("x86-avx512")
    for n_points, n_in, in_lanes in ((150, 4, True), (16, 5, True), (15, 5, False), (150, 3, False)):
        made = blocks(neighbours("euclidean", 5, n_points, n_in), target)
        ops = [made.steps[index].op for index in made.needed(made.scores, made.label)]
        assert in_lanes == any(isinstance(op, RowNeighbours) for op in ops), (n_points, n_in)


def test_a_kernel_that_is_not_there() -> None:
    """Without its kernels a Program stays as it is; without the screen, distances to all points are computed."""
    target = load_target("x86-avx512")
    program = neighbours("euclidean", 5, 460, 13, apart=0.0)
    made = with_block_steps(program, target.batch, lambda name: name != "screened_neighbours_f32")

    assert "block_neighbours_f32" in [step.op.kernel for step in made.steps]
    assert with_block_steps(program, target.batch, lambda name: False) is program
    assert with_block_steps(program, load_target("host").batch, target.has_kernel) is program


@pytest.mark.parametrize(("n_classes", "rows"), [(5, 128), (400, 16), (900, 0)])
def test_rows_of_a_block_fit(n_classes: int, rows: int) -> None:
    """A block has as many rows as the stack has room for, if that is a vector's; else rows stay one by one."""
    program = bayes(2, n_classes, start=True, offset=True)
    builder = Builder(row_type(2))
    at = builder.add(Softmax(n_classes), builder.add(program.steps[0].op, 0))
    program = builder.build(at, builder.add(Argmax("f32", n_classes, None), at), n_classes)
    floats = replace(floats_of("x86-avx512"), hidden_bytes=60_000)
    made = blocks(program, load_target("x86-avx512"), floats)

    assert (0 if made.batch is None else made.batch.rows) == rows


@pytest.mark.parametrize(("n_in", "groups"), [(17, 2), (1000, 1), (2000, 0)])
def test_rows_of_a_tile_fit(n_in: int, groups: int) -> None:
    """A tile keeps its rows by column on the stack: two vectors of rows, or one, or it has no form for blocks."""
    made = blocks(neighbours("euclidean", 1, 200, n_in, apart=0.0), load_target("x86-avx512"))

    assert [step.op.groups for step in made.steps if isinstance(step.op, BlockNeighbours)] == [groups] * bool(groups)
