"""Networks, k-means and linear models on wide targets beside numpy and scikit-learn: the same rows, one core.

    python benchmarks/wide_dense.py [--work NAME ...] [--target NAME ...] [--numeric MODE ...]
                                    [--compiler gcc|clang ...] [--rounds N] [--json FILE]

    pip install "aprgen[benchmarks]"     # scikit-learn

Work, 1,000 rows each: mlp_a, a network 100-256-256-256-10; km10, the distances to 10 centroids of 100 columns, and
km10_label, the nearest; lin100 and lin10k, linear models of 100 and 10,000 columns. aprgen's C is built with the flags
of the target and called as a library, in every mode that sums floats: f32, f32-fast and bf16. Contenders take turns.
Answers of aprgen's are compared with Program.run() of the mode bit by bit. "row" is one row by NAME_scores, in a loop
of C.

A sum that is to have the same bits everywhere cannot fuse multiplication and addition. Limits are therefore measured in
the same run with the compiler of the line. In registers alone: fused operations (the peak that others can reach),
products that are added, squares of differences that are added, fused or not, and pairs of products of bfloat16 and of
codes of 16 bits, by which labels are found where the processor has them. And how fast so many rows are read, with an
operation for each number. "half" is the share of half of the fused peak: what separate operations reach where both use
the same units. Where additions have units of their own, as on Zen 5, they reach more, and "limit" is the share of what
was measured. Status 1 when a bit differs.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from here import call_of, finish, one_core, report_file, toolchains_here, write_report
from numpy.typing import NDArray
from wide_limits import READ, built, limit_library, limits_of

from aprgen import __version__
from aprgen.accuracy import Calibration
from aprgen.core import runtime_headers
from aprgen.emit import Names, emit_model
from aprgen.float_modes import FLOAT_MODES, float_modes_of, in_float_mode
from aprgen.ops.decide import Argmin
from aprgen.ops.dense import Dense
from aprgen.ops.distance import SquaredDistance
from aprgen.ops.elementwise import Map, Stage
from aprgen.passes.wide_floats import with_float_blocks
from aprgen.program import Builder, Program, Table, row_type
from aprgen.rows import edge_rows
from aprgen.target import Target
from aprgen.toolchain import Toolchain
from aprgen.verify import same_bits

SCHEMA = "aprgen.benchmarks.wide_dense"
VERSION = 2
WORKS = ("mlp_a", "km10", "km10_label", "lin100", "lin10k")
TARGETS = ("x86-avx512-bf16", "x86-avx512", "x86-avx2")
MODES = ("f32", *FLOAT_MODES)
LIMITS = {  # of a kind of work, in a mode; bf16 leaves sums of few outputs, and distances, in f32-fast
    "f32": {"products": "products", "squares": "squares"},
    "f32-fast": {"products": "fused", "squares": "fused squares"},
    "bf16": {"products": "pairs", "squares": "fused squares"},
}
BY_CODES = "screened_codes_f32"  # finds labels
ROWS = 1000
EDGES = 1000
ROUNDS = 30
ROW_ROUNDS = 5

_Floats = NDArray[np.float32]
Call = Callable[[], Any]


@dataclass(frozen=True, eq=False)
class Work:
    """flops: of a row, as those count who fuse them. limit: which of the measured ones holds."""

    name: str
    program: Program
    rows: _Floats
    flops: int
    limit: str
    peers: tuple[tuple[str, Call], ...]


@dataclass(frozen=True)
class Figure:
    """Microseconds for all rows, and GFLOP/s of the least. limits: GFLOP/s that the same compiler reached."""

    work: str
    tool: str
    target: str
    least: float
    median: float
    gflops: float
    exact: bool | None
    numeric: str = "f32"
    row: float | None = None  # microseconds for one row
    of_half_peak: float | None = None
    of_limit: float | None = None
    limits: dict[str, float] | None = None
    kernels: tuple[str, ...] = ()


def work_of(name: str) -> Work:
    chance = np.random.default_rng(6)
    rows = chance.normal(size=(ROWS, 100)).astype(np.float32)
    if name == "mlp_a":
        return _network(rows, chance)
    if name == "lin100":
        return _linear(name, rows, chance)
    if name == "lin10k":
        return _linear(name, chance.normal(size=(ROWS, 10_000)).astype(np.float32), chance)
    kind = importlib.import_module("sklearn.cluster").KMeans
    means = kind(n_clusters=10, n_init=1, random_state=0).fit(rows)
    centroids = means.cluster_centers_.astype(np.float32)
    half = (centroids * centroids).sum(axis=1) / 2
    builder = Builder(row_type(100))
    scores = builder.add(SquaredDistance(Table(centroids)), 0)
    program = builder.build(scores, builder.add(Argmin(10), scores), 10)
    if name == "km10_label":
        peers = (
            ("numpy", lambda: np.argmin(half - rows @ centroids.T, axis=1)),
            ("scikit-learn", lambda: means.predict(rows)),
        )
        return Work(name, program, rows, 2 * 1000, "fused", peers)  # of products that screen points

    def distances() -> _Floats:
        squares = np.einsum("ij,ij->i", rows, rows)[:, None]
        return np.asarray(squares + 2 * (half - rows @ centroids.T))

    return Work(name, program, rows, 3 * 1000, "squares", (("numpy", distances),))


def _linear(name: str, rows: _Floats, chance: np.random.Generator) -> Work:
    n = rows.shape[1]
    kind = importlib.import_module("sklearn.linear_model").Ridge
    linear = kind().fit(rows, chance.normal(size=ROWS).astype(np.float32))
    weight, bias = linear.coef_.astype(np.float32), np.float32(linear.intercept_)
    builder = Builder(row_type(n))
    program = builder.build(builder.add(Dense(Table(weight.reshape(1, -1)), Table([bias], np.float32), "last"), 0))
    peers = (("numpy", lambda: rows @ weight + bias), ("scikit-learn", lambda: linear.predict(rows)))
    return Work(name, program, rows, 2 * n, "reads" if ROWS * n <= READ else "long reads", peers)


def _network(rows: _Floats, chance: np.random.Generator) -> Work:
    kind = importlib.import_module("sklearn.neural_network").MLPRegressor
    estimator = kind(hidden_layer_sizes=(256, 256, 256), max_iter=1, random_state=0)
    with np.errstate(all="ignore"):
        estimator.fit(rows, chance.normal(size=(ROWS, 10)).astype(np.float32))
    layers = [
        (np.ascontiguousarray(weight.astype(np.float32)), bias.astype(np.float32))
        for weight, bias in zip(estimator.coefs_, estimator.intercepts_, strict=True)
    ]
    builder, at = Builder(row_type(100)), 0
    for number, (weight, bias) in enumerate(layers):
        at = builder.add(Dense(Table(np.ascontiguousarray(weight.T)), Table(bias), "last"), at)
        if number < len(layers) - 1:
            at = builder.add(Map(len(bias), (Stage("relu"),)), at)

    def by_numpy() -> _Floats:
        x = rows
        for number, (weight, bias) in enumerate(layers):
            x = x @ weight
            x += bias
            if number < len(layers) - 1:
                np.maximum(x, 0, out=x)
        return x

    flops = 2 * sum(weight.size for weight, _ in layers)
    peers = (("numpy", by_numpy), ("scikit-learn", lambda: estimator.predict(rows)))
    return Work("mlp_a", builder.build(at), rows, flops, "products", peers)


# aprgen's side.


def names(target: Target, numeric: str) -> Names:
    return Names(
        name="m", summary="", outputs="scores", command="benchmarks/wide_dense.py", model_sha256="",
        target=target.name, target_sha256="", signer="none", numeric=numeric, flags="", version=__version__,
        float_header=target.float_header,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Mine:
    tool: str
    target: str
    numeric: str
    call: Call
    row: Call
    exact: bool
    kernels: tuple[str, ...]
    limits: dict[str, float]


ROWS_ALONE = 200
_ALONE = """
void m_alone(const float *x, float *out);
void m_alone(const float *x, float *out)
{
    void (*volatile const one)(const float *, float *) = m_scores; /* or a compiler computes the row once */
    for (size_t i = 0U; i < %d; ++i) {
        one(x, out);
    }
}
"""


def mine(work: Work, target: Target, toolchain: Toolchain, numeric: str, limits: dict[str, float]) -> Mine:
    own = work.program
    if numeric != "f32":
        own, _ = in_float_mode(own, target, numeric, Calibration(work.rows[:2], "two rows"))
    program = with_float_blocks(own, target.batch, target.has_kernel)
    texts = emit_model(program, names(target, numeric), target.templates)
    texts["m.c"] += _ALONE % ROWS_ALONE
    texts |= runtime_headers(texts["m.c"], target)
    library = built(texts, "m.c", toolchain)
    edges = np.ascontiguousarray(np.concatenate([edge_rows(work.program, EDGES).values, work.rows]))
    scores = np.zeros((len(edges), program.n_outputs), np.float32)
    exact = bool(same_bits(call_of(library.m_predict_batch, edges, scores)(), own.run(edges)).all())
    labels = own.classify(edges)
    if labels is not None:
        found = call_of(library.m_classify_batch, edges, np.zeros(len(edges), np.int32))()
        exact = exact and bool(np.array_equal(found, labels))
    if work.name.endswith("_label"):
        call = call_of(library.m_classify_batch, work.rows, np.zeros(ROWS, np.int32))
    else:
        call = call_of(library.m_predict_batch, work.rows, np.zeros((ROWS, program.n_outputs), np.float32))
    row, out = (ctypes.c_void_p(array.ctypes.data) for array in (work.rows, scores))

    def alone() -> _Floats:
        library.m_alone(row, out)
        return scores

    kernels = tuple(program.steps[index].op.kernel for index in program.in_code())
    return Mine(f"aprgen {toolchain.rule.name}", target.name, numeric, call, alone, exact, kernels, limits)


def measured(calls: Sequence[Call], rounds: int) -> list[list[float]]:
    """Microseconds of each, in turn."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, found in zip(calls, times, strict=True):
            call()  # warm again after the others
            for _ in range(3):
                began = time.perf_counter()
                call()
                found.append((time.perf_counter() - began) * 1e6)
    return times


def figures(work: Work, own: Sequence[Mine], rounds: int) -> list[Figure]:
    times = measured([*(one.call for one in own), *(call for _, call in work.peers)], rounds)
    rows = measured([one.row for one in own], min(rounds, ROW_ROUNDS))
    found = []
    for number, taken in enumerate(times):
        least = min(taken)
        gflops = work.flops * ROWS / least / 1e3
        if number >= len(own):
            tool, _ = work.peers[number - len(own)]
            found.append(Figure(work.name, tool, "", least, statistics.median(taken), gflops, None))
            continue
        one = own[number]
        limit = LIMITS[one.numeric].get(work.limit, work.limit)
        if work.name.endswith("_label") and BY_CODES in one.kernels:
            limit = "codes"
        of_half, of_limit = gflops / (one.limits["fused"] / 2), gflops / one.limits[limit]
        row = min(rows[number]) / ROWS_ALONE
        figure = Figure(
            work.name, one.tool, one.target, least, statistics.median(taken), gflops, one.exact, one.numeric, row,
            of_half, of_limit, one.limits, one.kernels,
        )  # fmt: skip
        found.append(figure)
    return found


def line(one: Figure) -> str:
    state = {True: "exact", False: "DIFFERS", None: ""}[one.exact]
    shares = "" if one.of_limit is None else f"{one.of_half_peak:4.0%} of half, {one.of_limit:4.0%} of the limit"
    shares += "" if one.row is None else f", row {one.row:,.3f} us"
    numeric = one.numeric if one.target else ""
    return (
        f"{one.work:10} {one.tool:13} {one.target:15} {numeric:8} {one.least:9,.1f} us {one.median:9,.1f} median "
        f"{one.gflops:7,.1f} GFLOP/s  {state:7} {shares}"
    ).rstrip()


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/wide_dense.py", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--work", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--target", nargs="+", default=list(TARGETS))
    parser.add_argument("--numeric", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--compiler", nargs="+", choices=("gcc", "clang"), default=["gcc", "clang"])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=report_file)
    given = parser.parse_args(words)
    with one_core():
        found = _run(given)
    write_report(given.json, SCHEMA, VERSION, [asdict(one) for one in found], rows=ROWS, rounds=given.rounds)
    return 1 if any(one.exact is False for one in found) else 0


def _run(given: argparse.Namespace) -> list[Figure]:
    ready: list[tuple[Target, Toolchain, dict[str, float]]] = []
    for target, toolchain in toolchains_here(given.target, given.compiler):
        limits = limits_of(limit_library(target, toolchain), target)
        ready.append((target, toolchain, limits))
        shown = ", ".join(f"{kind} {number:,.0f}" for kind, number in limits.items())
        print(f"limits {toolchain.name:13} {target.name:15} {shown} GFLOP/s", flush=True)
    found: list[Figure] = []
    for name in given.work:
        work = work_of(name)
        made = [
            mine(work, target, toolchain, numeric, limits)
            for target, toolchain, limits in ready
            for numeric in given.numeric
            if numeric == "f32" or numeric in float_modes_of(target)
        ]
        own = figures(work, made, given.rounds)
        for one in sorted(own, key=lambda one: one.least):
            print(line(one), flush=True)
        found += own
    return found


if __name__ == "__main__":
    sys.exit(finish(main))
