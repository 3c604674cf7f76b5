"""The nearest point by products of codes: labels are those of distances, on whichever side of its bound a row lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aprgen.core import runtime_headers
from aprgen.ops.decide import Argmin
from aprgen.ops.distance import SquaredDistance
from aprgen.ops.screened_codes import MOST, ScreenedCodes, screened_codes
from aprgen.ops.wide_floats import Lanes
from aprgen.ops.wide_points import ScreenedLanes
from aprgen.program import Array, Builder, Program, Step, Table, row_type
from aprgen.runners.records import AWKWARD
from aprgen.target import load_target
from tests.differential.compiled import load
from tests.passes.sanitized import require_clean
from tests.passes.test_wide_floats import blocks, differing, differing_from, nearest, ordinary, rows_of
from tests.passes.test_wide_trees import agree, texts_of
from tests.targets.test_variants import Forced, package_of
from tests.targets.test_variants import agree as kinds_agree

NAME = "x86-avx512-vnni"
N_ROWS = sum(AWKWARD)
SHAPES = (  # points, columns, how far all are from zero, and the column of which the last is the only one there
    (2, 16, 0.0), (3, 40, 5.0), (7, 23, 0.0), (10, 100, 1000.0), (13, 33, 0.0), (16, 64, -0.5),
)  # fmt: skip


def placed(n_points: int, n_in: int, far: float, apart: float = 1.0) -> Program:
    chance = np.random.default_rng(n_points * n_in)
    builder = Builder(row_type(n_in))
    points = Table((chance.normal(size=(n_points, n_in)) * apart + far).astype(np.float32))
    at = builder.add(SquaredDistance(points), 0)
    return builder.build(at, builder.add(Argmin(n_points), at), n_points)


def op_of(made: Program) -> ScreenedCodes:
    return next(step.op for step in made.steps if isinstance(step.op, ScreenedCodes))


def points_of(program: Program) -> Array:
    op = program.steps[0].op
    assert isinstance(op, SquaredDistance)
    return np.asarray(op.points.data.astype(np.float64))


def between(program: Program, n: int, seed: int) -> Array:
    """Rows as far from two points as float32 can say, and beside that; on points; of all sizes, and with what is no
    number."""
    chance = np.random.default_rng(seed)
    points = points_of(program)
    first, second = chance.permuted(np.tile(np.arange(len(points)), (n, 1)), axis=1)[:, :2].T
    a, b = points[first], points[second]
    across = (b - a) / np.sqrt(np.square(b - a).sum(axis=1, keepdims=True))
    aside = chance.normal(size=a.shape) * chance.choice([0, 0.01, 0.3], (n, 1))
    aside -= (aside * across).sum(axis=1, keepdims=True) * across
    part = 0.5 + chance.choice([0, 0, 1, -1], (n, 1)) * 2.0 ** -chance.integers(1, 26, (n, 1))
    rows = a + part * (b - a) + aside
    rows[::7] = points[first[::7]]
    rows[3::16] *= 2.0 ** chance.integers(-150, 125, (len(rows[3::16]), 1))
    rows[5::16, -1 - seed % 9] = chance.choice([np.nan, np.inf, -np.inf, 3e38, 1e-45, -0.0], len(rows[5::16]))
    with np.errstate(over="ignore"):
        return rows.astype(np.float32)


def at_the_bound(program: Program, op: ScreenedCodes, n: int) -> Array:
    """Rows of which distances say the first of two points by little, and sums of codes the second by nearly all that
    rounding of rows and of weights can make of it."""
    chance = np.random.default_rng(n)
    points = points_of(program)
    step = 2.0 ** np.round(np.log2(float(np.int32(op.zero).view(np.float32)) / 1.5) - 23)
    assert op.n_in % 8 == 0
    middle = 1.5 * 2.0**23 * step - op.shifts.data.astype(np.float64)
    apart = points[0] - points[1]
    own = -op.pairs.data.astype(np.float64) * (1 if op.base == 1 else -1)  # codes of the first less the second
    unit = np.sqrt(np.square(apart).sum()) / (0.9 * MOST)
    rest = apart / unit - own
    rows = []
    for _ in range(n):
        codes = np.rint(0.5 * MOST * rest / np.sqrt(np.square(rest).sum()) + chance.normal(size=op.n_in))
        side = 0.47 * np.sign(apart)
        square = np.square(points - middle).sum(axis=1)

        def lead(codes: Array, side: Array, square: Array = square) -> float:
            """By how much less the first square is."""
            return float(square[1] - square[0] + 2 * step * apart @ (codes + side))

        codes = np.rint(codes - lead(codes, side) / (2 * step * np.square(apart).sum()) * apart)
        for column in np.argsort(-np.abs(apart)):
            codes[column] -= np.rint(lead(codes, side) / (2 * step * apart[column]))
        column = int(np.argmax(np.abs(apart)))
        side[column] = 0.0
        side[column] = np.clip(-lead(codes, side) / (2 * step * apart[column]), -0.47, 0.47)
        row = middle + step * (codes + side)
        rows.append(row + apart * 2e-7 * np.square(row - middle).sum() / np.square(apart).sum())
    return np.asarray(rows, np.float32)


@pytest.mark.parametrize(("n_points", "n_in", "far"), SHAPES)
def test_c_of_rows_between_points(
    n_points: int, n_in: int, far: float, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """Labels are those of Program.run(), compilers in turn, for ordinary rows, rows between points, and no numbers."""
    require_target(NAME)
    target = load_target(NAME)
    program = placed(n_points, n_in, far)
    made = blocks(program, target)
    compiler = ("gcc", "clang-14")[n_points % 2]
    flags = next(rule.cflags for rule in target.builds if compiler in rule.programs)
    compiled = load("m", texts_of(made, target), made, tmp_path, compiler, (*flags, "-O1"))
    close = between(program, N_ROWS, n_in)
    few = ordinary(program, N_ROWS) + np.float32(far)
    few[::13] = close[::13]

    assert op_of(made).in_floats == ("screened_" * (abs(far) < 5)) + "lanes_f32.c.j2"
    agree(made, program, between(program, 200, 4))
    for rows in (few, close, rows_of(program, N_ROWS, 7)):
        assert differing_from(program, compiled, rows) == 0


def test_the_bound_is_needed(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Rows to which rounding does what it can are in doubt by the bound, and get other labels by less of it."""
    require_target(NAME)
    target = load_target(NAME)
    program = placed(2, 40, 0.0)
    made = blocks(program, target)
    op = op_of(made)
    rows = np.resize(at_the_bound(program, op, 60), (N_ROWS, 40))
    faults = {"halved": replace(op, of_codes=op.of_codes / 2), "of-weights": replace(op, of_root_code=0.0)}
    for name, other in {"whole": op, **faults}.items():
        (tmp_path / name).mkdir()
        steps = tuple(replace(step, op=other) if step.op is op else step for step in made.steps)
        count = differing(program, replace(made, steps=steps), target, "gcc", tmp_path / name, some=rows)

        assert count == 0 if other is op else count > N_ROWS / 2


FAULTS = {  # rows that show it, what stands in the C, and what in place of it
    "turned": ("ordinary", "(even, later_even, 0xDD)", "(odd, later_odd, 0xDD)"),
    "last-eight": ("ordinary", "&own[32] : later", "&own[31] : later"),
    "last-tile": ("ordinary", "(n_rows - row) > 32U", "(n_rows - row) > 48U"),
    "place": ("ordinary", "_mm512_set1_epi32(place), 0xAC", "_mm512_set1_epi32(place), 0xCC"),
    "cut": ("cut", "((1 << 30) - (1 << 17))", "0x7FFFFFFF"),
    "squares": ("cut", "_mm512_dpwssds_epi32", "_mm512_dpwssd_epi32"),
    "listed": ("some in doubt", "n + (uint32_t)__builtin_popcount(bits);", "n + (bits != 0U);"),
    "settled": ("some in doubt", "y[rows[at + 3U]]", "y[rows[at + 2U]]"),
    "gathered": ("more in doubt", "] = labels[r];", "] = labels[0];"),
    "copied": ("more in doubt", "apr_floats_at(&from[24])", "apr_floats_at(&from[23])"),
    "infinite": ("infinite", "        return 0;", "        return 1;"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_found(name: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Codes of other columns and rows, rows beyond all codes, rows that are left in doubt."""
    require_target(NAME)
    target = load_target(NAME)
    program = placed(7, 40, 0.0)
    shown, old, new = FAULTS[name]
    rows = ordinary(program, N_ROWS)
    if shown == "cut":  # four columns, whose squares add up to 2^32
        rows[::20] *= np.where(np.arange(40) % 10 == 0, np.float32(1e6), 1)
    elif shown == "infinite":
        rows[::20, 3] = np.inf
    elif shown != "ordinary":
        apart = 13 if shown == "some in doubt" else 6
        rows[::apart] = between(program, N_ROWS, 5)[::apart]

    assert differing(program, blocks(program, target), target, "gcc", tmp_path, old, new, rows) > 0


CLASSIFIES = """
#include "m.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    static const size_t counts[] = {16, 17, 63, 127, 130};
    FILE *const input = fopen("rows.bin", "rb");
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; ++c) {
        const size_t n = counts[c];
        float *const x = malloc(n * M_N_FEATURES * sizeof(float));
        int32_t *const labels = malloc(n * sizeof(int32_t));
        if (fread(x, sizeof(float) * M_N_FEATURES, n, input) != n) {
            return 1;
        }
        m_classify_batch(x, n, labels);
        free(x);
        free(labels);
    }
    return fclose(input);
}
"""


def test_sanitizers_find_nothing(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """No byte outside of rows and labels, with some rows in doubt, all, and none."""
    require_target(NAME)
    target = load_target(NAME)
    program = placed(5, 19, 0.0)
    rows = np.concatenate([between(program, 100, 1), ordinary(program, 300)])

    require_clean(texts_of(blocks(program, target), target), rows, target, tmp_path, CLASSIFIES)


def test_what_is_screened_by_codes() -> None:
    """Two to 16 points of 16 columns and more, wherever they are as long as floats still tell them apart, where the
    target has the kernel; of points that are too many, the same or of no such size as before."""
    target = load_target(NAME)
    for program in (nearest(2, 16, tied=False), placed(12, 64, 1e3), placed(12, 1000, 0.0)):
        assert isinstance(op_of(blocks(program, target)), ScreenedLanes)
    others = (nearest(10, 21), nearest(10, 15, tied=False), nearest(17, 100, tied=False), placed(10, 40, 1e8, 100.0))
    for program in (*others, nearest(10, 21, 1e12, tied=False), nearest(10, 1001, tied=False)):
        assert not any(isinstance(step.op, ScreenedCodes) for step in blocks(program, target).steps)
    floats = [step.op for step in blocks(nearest(10, 100, tied=False), load_target("x86-avx512")).steps]
    assert any(isinstance(op, ScreenedLanes) and not isinstance(op, ScreenedCodes) for op in floats)
    lanes = next(op for op in floats if isinstance(op, Lanes) and not isinstance(op, ScreenedLanes))
    assert screened_codes(replace(lanes, distance=False)) is None


def test_all_kinds_of_the_package_agree(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """`x86` takes codes where the CPU has the instruction; no flag of the compiler says so."""
    require_target("x86")
    target = load_target("x86")
    program = placed(10, 40, 0.0)
    programs = [blocks(program, one.target or target) for one in target.variants]
    package = package_of(program, programs)
    texts = dict(package.texts) | runtime_headers("".join(package.texts.values()), target, given=package.texts)
    forced = Forced("m", texts, program, tmp_path, "clang-14")
    rows = ordinary(program, N_ROWS)
    rows[::11] = between(program, N_ROWS, 8)[::11]
    names = [one.variant.name.replace("_", "-") for one in package.carried]

    assert op_of(programs[-1])
    assert names[-1] == "avx512-vnni"
    assert kinds_agree(forced, program, rows, names) >= 1


def test_fused_distances_settle_doubt(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """In f32-fast a distance has fewer roundings, and labels are those of such distances."""
    require_target(NAME)
    target = load_target(NAME)
    program = placed(6, 32, 0.0)
    step = program.steps[0]
    assert isinstance(step.op, SquaredDistance)
    fused = replace(program, steps=(Step(replace(step.op, fused=True), step.inputs), *program.steps[1:]))
    made = blocks(fused, target)
    rows = ordinary(program, N_ROWS)
    rows[::11] = between(program, N_ROWS, 9)[::11]

    assert op_of(made).fused
    assert differing(fused, made, target, "clang-14", tmp_path, some=rows) == 0
