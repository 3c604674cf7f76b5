"""Labels of k-means by codes of 16 bits and without, for rows and points of several kinds: one core, one run.

    python benchmarks/wide_labels.py [--work NAME ...] [--compiler gcc|clang ...] [--rounds N] [--json FILE]

    pip install "aprgen[benchmarks]"     # scikit-learn

1,000 rows each, with the means that scikit-learn finds in such rows. normal: 100 columns, 10 means; p2 to p16: as many
means; more: means of 20,000 rows; long: 1,000 columns. blobs: around 10 places; plus3, plus4: the same with 1,000 and
10,000 added to all. digits, cancer and cancer_raw: rows of scikit-learn; uniform numbers. near2 to near100: normal, so
many percent of them moved to where two means are as near; close2 to close100: to where products of floats still tell
these apart, and codes do not. far: 100 times as large as the rows of the means.

`x86-avx512-vnni` has codes, `x86-avx512` has none. All take turns, and labels are compared with Program.classify().
"doubt" is the share of rows that codes leave in doubt, as the op's tables say. Status 1 when a label differs.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from here import call_of, finish, one_core, report_file, toolchains_here, write_report
from numpy.typing import NDArray
from wide_dense import ROUNDS, ROWS, measured, names
from wide_limits import built

from aprgen.core import runtime_headers
from aprgen.emit import emit_model
from aprgen.ops.decide import Argmin
from aprgen.ops.distance import SquaredDistance
from aprgen.ops.screened_codes import ScreenedCodes
from aprgen.passes.wide_floats import with_float_blocks
from aprgen.program import Builder, Program, Table, row_type

SCHEMA = "aprgen.benchmarks.wide_labels"
VERSION = 1
TARGETS = ("x86-avx512-vnni", "x86-avx512")
SHARES = (2, 5, 10, 20, 30, 50, 100)
MOST_SQUARES = 2**30 - 2**17  # APR_CODED_SQUARES

_Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Figure:
    """Microseconds for all rows."""

    work: str
    target: str
    compiler: str
    kernel: str
    least: float
    median: float
    exact: bool
    doubt: float | None = None


def means_of(rows: _Floats, n: int) -> _Floats:
    kind = importlib.import_module("sklearn.cluster").KMeans
    return np.asarray(kind(n_clusters=n, n_init=1, random_state=0).fit(rows).cluster_centers_, np.float32)


def normal(n_points: int = 10, n_rows: int = ROWS, n_in: int = 100) -> tuple[_Floats, _Floats]:
    rows = np.random.default_rng(6).normal(size=(n_rows, n_in)).astype(np.float32)
    return rows[:ROWS].copy(), means_of(rows, n_points)


def moved(percent: int, lead: float) -> tuple[_Floats, _Floats]:
    """lead: of the nearest, as half a squared distance."""
    rows, points = normal()
    order = np.argsort(np.square(rows[:, None] - points).sum(axis=2), axis=1)
    nearest, next_one = points[order[:, 0]].astype(np.float64), points[order[:, 1]].astype(np.float64)
    across = next_one - nearest
    by = (((nearest + next_one) / 2 - rows) * across).sum(axis=1) - lead
    there = rows + (by / np.square(across).sum(axis=1))[:, None] * across
    some = np.random.default_rng(percent).random((ROWS, 1)) < percent / 100
    return np.where(some, there, rows).astype(np.float32), points


def blobs(far: float) -> tuple[_Floats, _Floats]:
    chance = np.random.default_rng(10)
    centres = chance.normal(size=(10, 100)) * 1.5 + far
    rows = (centres[chance.integers(0, 10, 3000)] + chance.normal(size=(3000, 100))).astype(np.float32)
    return rows[:ROWS].copy(), means_of(rows, 10)


def known(name: str, n_points: int, *, scaled: bool = False) -> tuple[_Floats, _Floats]:
    rows = getattr(importlib.import_module("sklearn.datasets"), f"load_{name}")().data
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0) if scaled else rows
    rows = np.resize(rows, (ROWS, rows.shape[1])).astype(np.float32)
    return rows, means_of(rows, n_points)


def uniform() -> tuple[_Floats, _Floats]:
    rows = np.random.default_rng(12).random((5000, 64)).astype(np.float32)
    return rows[:ROWS].copy(), means_of(rows, 12)


def far() -> tuple[_Floats, _Floats]:
    rows, points = normal()
    return rows * np.float32(100), points


MAKERS: dict[str, Callable[[], tuple[_Floats, _Floats]]] = {
    "normal": normal,
    **{f"p{n}": lambda n=n: normal(n) for n in (2, 4, 6, 8, 12, 16)},  # type: ignore[misc]
    "more": lambda: normal(n_rows=20_000),
    "long": lambda: normal(n_rows=3000, n_in=1000),
    "blobs": lambda: blobs(0),
    "plus3": lambda: blobs(1000),
    "plus4": lambda: blobs(10_000),
    "digits": lambda: known("digits", 10),
    "uniform": uniform,
    "cancer": lambda: known("breast_cancer", 8, scaled=True),
    "cancer_raw": lambda: known("breast_cancer", 8),
    **{f"near{n}": lambda n=n: moved(n, 0.0) for n in SHARES},  # type: ignore[misc]
    **{f"close{n}": lambda n=n: moved(n, 0.01) for n in SHARES},  # type: ignore[misc]
    "far": far,
}


def program_of(points: _Floats) -> Program:
    builder = Builder(row_type(points.shape[1]))
    at = builder.add(SquaredDistance(Table(points)), 0)
    return builder.build(at, builder.add(Argmin(len(points)), at), len(points))


def in_doubt(op: ScreenedCodes, rows: _Floats) -> float:
    """The share of the rows, as the C has it."""
    first = np.minimum(8 * np.arange(op.eights), op.n_in - 8)
    columns = (first[:, None] + np.arange(8)).reshape(-1)
    zero = float(np.int32(op.zero).view(np.float32))
    codes = (rows[:, columns] + op.shifts.data - np.float32(zero)).astype(np.float64) / (zero / (1.5 * 2.0**23))
    codes = np.clip(codes, -32768, 32767)
    sums = np.tile(op.starts.data.astype(np.float64)[:, None], len(rows))
    weights = op.pairs.data.reshape(-1, op.n_sums - 1, 2).transpose(1, 0, 2).reshape(op.n_sums - 1, -1)
    sums[list(op.others)] += weights.astype(np.float64) @ codes.T
    best, second = np.sort(sums, axis=0)[:2]
    squares = np.square(codes).sum(axis=1)
    bound = op.of_codes + op.of_root_code * np.sqrt(squares) + op.of_square * squares
    return float(np.mean((second - best < bound) | (squares > MOST_SQUARES)))


def figures(name: str, compilers: Sequence[str], rounds: int) -> list[Figure]:
    rows, points = MAKERS[name]()
    program = program_of(points)
    labels = program.classify(rows)
    calls, found = [], []
    for target, toolchain in toolchains_here(TARGETS, compilers):
        made = with_float_blocks(program, target.batch, target.has_kernel)
        texts = emit_model(made, names(target, "f32"), target.templates)
        texts |= runtime_headers(texts["m.c"], target)
        call = call_of(built(texts, "m.c", toolchain).m_classify_batch, rows, np.zeros(ROWS, np.int32))
        assert made.batch is not None
        assert made.batch.many.label is not None
        op = made.steps[made.batch.many.label - 1].op
        doubt = in_doubt(op, rows) if isinstance(op, ScreenedCodes) else None
        calls.append(call)
        exact = bool(np.array_equal(call(), labels))
        found.append(Figure(name, target.name, toolchain.rule.name, op.kernel, 0, 0, exact, doubt))
    times = measured(calls, rounds)
    return [
        Figure(**{**asdict(one), "least": min(taken), "median": statistics.median(taken)})
        for one, taken in zip(found, times, strict=True)
    ]


def line(one: Figure) -> str:
    state = "" if one.exact else "DIFFERS"
    doubt = "" if one.doubt is None else f"{one.doubt:6.1%} in doubt"
    return (
        f"{one.work:10} {one.target:15} {one.compiler:6} {one.kernel:18} {one.least:7,.1f} us "
        f"{one.median:7,.1f} median {state} {doubt}"
    ).rstrip()


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/wide_labels.py", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--work", nargs="+", choices=list(MAKERS), default=list(MAKERS))
    parser.add_argument("--compiler", nargs="+", choices=("gcc", "clang"), default=["gcc"])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=report_file)
    given = parser.parse_args(words)
    found: list[Figure] = []
    with one_core():
        for name in given.work:
            own = figures(name, given.compiler, given.rounds)
            print(*map(line, own), sep="\n", flush=True)
            found += own
    write_report(given.json, SCHEMA, VERSION, [asdict(one) for one in found], rows=ROWS, rounds=given.rounds)
    return 1 if any(not one.exact for one in found) else 0


if __name__ == "__main__":
    sys.exit(finish(main))
