"""Neighbours, naive Bayes, logistic models and small networks on wide targets beside scikit-learn and numpy.

    python benchmarks/wide_points.py [--work NAME ...] [--target NAME ...] [--compiler gcc|clang ...] [--rounds N]
                                     [--json FILE]

    pip install "aprgen[benchmarks]"     # scikit-learn

Work, the same 1,000 rows for all who do it, and one row alone:
knn: the 5 nearest of 1,000 points of 64 columns vote; knn_iris: of 150 points of 4 columns. bayes: Gaussian naive
Bayes, 20 columns, 5 classes, probabilities. logistic: 100 columns, the probability. scaled_logistic: the same behind a
scaler of the columns. softmax: a network 20-64-64-10 that ends in probabilities. scaler: 100 columns.

aprgen's C is built with the flags of the target and called as a library; contenders take turns on one core. Its
answers are compared with Program.run() bit by bit, and its labels or values with the peer's. "limit" is the share of
what the core does of the work's operations in registers alone, measured in the same run with the same compiler:
products that are added or, with one rounding, fused; squares of differences that are added; quotients. knn's is fused
products: points are left out by them. A scaler's limit is the copy of its rows by memcpy(). One row is a call of
predict_batch() from C; peers are called from Python, as they are. wide_runtimes.py has faiss. Status 1 when a bit
differs.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import importlib
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from here import call_of, finish, one_core, report_file, toolchains_here, write_report
from numpy.typing import NDArray
from wide_dense import ROUNDS, ROWS, TARGETS, Call, measured, names
from wide_limits import built

from aprgen.core import runtime_headers
from aprgen.emit import emit_model
from aprgen.ops.decide import Argmax, Threshold
from aprgen.ops.dense import Dense
from aprgen.ops.distance import Neighbours
from aprgen.ops.elementwise import Map, Stage, vary
from aprgen.ops.gauss import Gauss
from aprgen.ops.normalise import Normalise, Softmax
from aprgen.passes.wide_floats import with_float_blocks
from aprgen.passes.wide_steps import with_block_steps
from aprgen.program import Builder, Program, Table, row_type
from aprgen.rows import edge_rows
from aprgen.target import Target
from aprgen.toolchain import Toolchain
from aprgen.verify import same_bits

SCHEMA = "aprgen.benchmarks.wide_points"
VERSION = 1
EDGES = 1000
LIMIT_STEPS = 20_000
LIMIT_SUMS = 8

_Floats = NDArray[np.float32]
_Any = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Peer:
    """of: what it computes for rows. answers: as the Program gives them, to be compared; None: something else."""

    name: str
    of: Any  # rows in, an array out
    answers: Any = None


@dataclass(frozen=True, eq=False)
class Work:
    """operations: of a row, of the kind that limits it. labels: they are timed, not scores."""

    name: str
    program: Program
    rows: _Floats
    limit: str
    operations: int
    labels: bool
    peers: tuple[Peer, ...]


@dataclass(frozen=True)
class Figure:
    """Microseconds for all rows and for one. agree: the share of answers that are the peer's (labels), or the largest
    difference from them (scores)."""

    work: str
    tool: str
    target: str
    least: float
    median: float
    one_row: float
    exact: bool | None = None
    of_limit: float | None = None
    agree: float | None = None
    kernels: tuple[str, ...] = ()


# Work.


def _blobs(chance: np.random.Generator, n: int, n_in: int, n_classes: int) -> tuple[_Floats, _Any]:
    centres = chance.normal(size=(n_classes, n_in)) * 1.5
    labels = chance.integers(0, n_classes, n)
    return (centres[labels] + chance.normal(size=(n, n_in))).astype(np.float32), labels


def _neighbours(name: str) -> Work:
    chance = np.random.default_rng(64)
    if name == "knn_iris":
        iris = importlib.import_module("sklearn.datasets").load_iris()
        points, classes = iris.data.astype(np.float32), iris.target
        rows = (points[chance.integers(0, 150, ROWS)] + chance.normal(size=(ROWS, 4)) * 0.2).astype(np.float32)
    else:
        both, labels = _blobs(chance, 2 * ROWS, 64, 4)
        points, rows, classes = np.ascontiguousarray(both[:ROWS]), both[ROWS:].copy(), labels[:ROWS]
    n_points, n_in = points.shape
    n_classes = int(classes.max()) + 1
    builder = Builder(row_type(n_in))
    nearest = Neighbours("euclidean", 2.0, False, 5, Table(points), Table(classes.astype(np.uint8)), n_classes)
    votes = builder.add(nearest, 0)
    scores = builder.add(Normalise(n_classes, None), votes)
    program = builder.build(scores, builder.add(Argmax("f32", n_classes, None, nan_gives_zero=True), votes), n_classes)
    kind = importlib.import_module("sklearn.neighbors").KNeighborsClassifier
    fitted = kind(n_neighbors=5, algorithm="brute" if n_in > 20 else "auto").fit(points, classes)
    half = (points * points).sum(axis=1) / 2

    def by_numpy(x: _Floats) -> _Any:
        found = np.argpartition(half - x @ points.T, 5, axis=1)[:, :5]
        return np.asarray(np.argmax((classes[found][:, :, None] == np.arange(n_classes)).sum(axis=1), axis=1))

    peers = [Peer("scikit-learn", fitted.predict, fitted.predict), Peer("numpy", by_numpy, by_numpy)]
    limit, operations = ("fused", 2) if name == "knn" else ("squares", 3)
    return Work(name, program, rows, limit, operations * n_points * n_in, True, tuple(peers))


def _bayes() -> Work:
    chance = np.random.default_rng(20)
    both, labels = _blobs(chance, 3000, 20, 5)
    fitted = importlib.import_module("sklearn.naive_bayes").GaussianNB().fit(both[ROWS:], labels[ROWS:])
    rows = both[:ROWS].copy()
    variance, mean = fitted.var_.astype(np.float32), fitted.theta_.astype(np.float32)
    offset = (-0.5 * np.log(2 * np.pi * variance)).astype(np.float32)
    prior = np.log(fitted.class_prior_).astype(np.float32)
    builder = Builder(row_type(20))
    logs = builder.add(Gauss(Table(mean), Table(2 * variance), Table(prior), Table(offset)), 0)
    p = builder.add(Softmax(5), logs)
    label = Argmax("f32", 5, Table(np.arange(5, dtype=np.int32)), last_wins=True, nan_gives_zero=True)

    def by_numpy(x: _Floats) -> _Floats:
        d = x[:, None, :] - mean
        found = prior + (offset - d * d / (2 * variance)).sum(axis=2)
        e = np.exp(found - found.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    peers = (Peer("scikit-learn", fitted.predict_proba, fitted.predict_proba), Peer("numpy", by_numpy, by_numpy))
    return Work("bayes", builder.build(p, builder.add(label, p), 5), rows, "quotients", 20 * 5, False, peers)


def _logistic(*, scaled: bool) -> Work:
    chance = np.random.default_rng(100)
    linear = importlib.import_module("sklearn.linear_model")
    both, labels = _blobs(chance, 3000, 100, 2)
    rows = both[:ROWS].copy()
    steps = [importlib.import_module("sklearn.preprocessing").StandardScaler()] if scaled else []
    fitted = importlib.import_module("sklearn.pipeline").make_pipeline(*steps, linear.LogisticRegression(C=0.01))
    fitted.fit(both[ROWS:], labels[ROWS:])
    model = fitted[-1]
    weight, bias = model.coef_.astype(np.float32), model.intercept_.astype(np.float32)
    builder, at = Builder(row_type(100)), 0
    mean, scale = np.zeros(100, np.float32), np.ones(100, np.float32)
    if scaled:
        mean, scale = fitted[0].mean_.astype(np.float32), fitted[0].scale_.astype(np.float32)
        at = builder.add(Map(100, (vary("sub", mean), vary("div", scale))), 0)
    p = builder.add(Map(1, (Stage("sigmoid"),)), builder.add(Dense(Table(weight), Table(bias), "first"), at))

    def by_numpy(x: _Floats) -> _Floats:
        own = (x - mean) / scale if scaled else x
        return np.asarray(1 / (1 + np.exp(-(own @ weight.T + bias))))

    peers = (
        Peer("scikit-learn", fitted.predict_proba, lambda x: fitted.predict_proba(x)[:, 1:]),
        Peer("numpy", by_numpy, by_numpy),
    )
    program = builder.build(p, builder.add(Threshold("ge", 0.5, 1, 0), p), 2)
    return Work("scaled_logistic" if scaled else "logistic", program, rows, "products", 200, False, peers)


def _softmax() -> Work:
    chance = np.random.default_rng(10)
    both, labels = _blobs(chance, 3000, 20, 10)
    kind = importlib.import_module("sklearn.neural_network").MLPClassifier
    fitted = kind(hidden_layer_sizes=(64, 64), max_iter=3, random_state=0)
    with importlib.import_module("warnings").catch_warnings(action="ignore"):
        fitted.fit(both[ROWS:], labels[ROWS:])
    layers = [
        (np.ascontiguousarray(weight.astype(np.float32)), bias.astype(np.float32))
        for weight, bias in zip(fitted.coefs_, fitted.intercepts_, strict=True)
    ]
    builder, at = Builder(row_type(20)), 0
    for number, (weight, bias) in enumerate(layers):
        at = builder.add(Dense(Table(np.ascontiguousarray(weight.T)), Table(bias), "last"), at)
        if number < len(layers) - 1:
            at = builder.add(Map(len(bias), (Stage("relu"),)), at)
    p = builder.add(Softmax(10, by_reciprocal=True), at)

    def by_numpy(x: _Floats) -> _Floats:
        for number, (weight, bias) in enumerate(layers):
            x = x @ weight
            x += bias
            if number < len(layers) - 1:
                np.maximum(x, 0, out=x)
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    peers = (Peer("scikit-learn", fitted.predict_proba, fitted.predict_proba), Peer("numpy", by_numpy, by_numpy))
    program = builder.build(p, builder.add(Argmax("f32", 10, None, nan_gives_zero=True), p), 10)
    flops = 2 * sum(weight.size for weight, _ in layers)
    return Work("softmax", program, both[:ROWS].copy(), "products", flops, False, peers)


def _scaler() -> Work:
    rows = np.random.default_rng(5).normal(size=(ROWS, 100)).astype(np.float32)
    fitted = importlib.import_module("sklearn.preprocessing").StandardScaler().fit(rows)
    mean, scale = fitted.mean_.astype(np.float32), fitted.scale_.astype(np.float32)
    builder = Builder(row_type(100))
    program = builder.build(builder.add(Map(100, (vary("sub", mean), vary("div", scale))), 0))

    def by_numpy(x: _Floats) -> _Floats:
        return np.asarray((x - mean) / scale)

    peers = (Peer("scikit-learn", fitted.transform, fitted.transform), Peer("numpy", by_numpy, by_numpy))
    return Work("scaler", program, rows, "copied", 400, False, peers)


MAKERS = {
    "knn": lambda: _neighbours("knn"),
    "knn_iris": lambda: _neighbours("knn_iris"),
    "bayes": _bayes,
    "logistic": lambda: _logistic(scaled=False),
    "scaled_logistic": lambda: _logistic(scaled=True),
    "softmax": _softmax,
    "scaler": _scaler,
}


# aprgen's side.

_ONE_BY_ONE = """
#include "m.c"
void m_one_by_one(const float *x, size_t n_rows, void *out);
void m_one_by_one(const float *x, size_t n_rows, void *out)
{
    void (*volatile const one)(const float *, size_t, %(type)s *) = m_%(verb)s_batch;
    for (size_t row = 0U; row < n_rows; ++row) {
        one(&x[row * M_N_FEATURES], 1U, &((%(type)s *)out)[row * %(size)s]);
    }
}
"""

_LIMIT = """
#include "apr_maps.h"
#include <string.h>
#define SQUARE(a, x, y) apr_floats_add_square(a, x, y)
#define PRODUCT(a, x, y) apr_floats_add_product(a, x, y)
#define FUSED(a, x, y) apr_floats_less_product(a, x, y)
#define QUOTIENT(a, x, y) apr_floats_sub(a, apr_floats_div(apr_floats_mul(apr_floats_sub(x, y), x), y))
#define KERNEL(name, STEP) \\
    float name(uint32_t n); \\
    float name(uint32_t n) \\
    { \\
        apr_floats x = apr_floats_all(0.5F), y = apr_floats_all(0.3F); \\
        %(begin)s \\
        for (uint32_t i = 0U; i < n; ++i) { \\
            %(steps)s \\
        } \\
        float out[16]; \\
        apr_floats_store(out, %(sum)s); \\
        return out[0]; \\
    }
KERNEL(squares, SQUARE)
KERNEL(products, PRODUCT)
KERNEL(fused, FUSED)
KERNEL(quotients, QUOTIENT)
void copied(const float *x, size_t n, float *y);
void copied(const float *x, size_t n, float *y)
{
    memcpy(y, x, n * 4U);
}
"""
_OPERATIONS = {"products": 2, "fused": 2, "squares": 3, "quotients": 1}  # as `Work.operations` counts them


def limits_of(target: Target, toolchain: Toolchain) -> dict[str, float]:
    """Operations a microsecond, by kind; bytes read of rows that are copied."""
    assert target.batch is not None
    assert target.batch.floats is not None
    begin = " ".join(f"apr_floats a{i} = x;" for i in range(LIMIT_SUMS))
    steps = " ".join(f'__asm__ volatile("" : "+x"(x), "+x"(y)); a{i} = STEP(a{i}, x, y);' for i in range(LIMIT_SUMS))
    total = "a0"
    for i in range(1, LIMIT_SUMS):
        total = f"apr_floats_add({total}, a{i})"
    text = _LIMIT % {"begin": begin, "steps": steps, "sum": total}
    library = built({"limit.c": text} | runtime_headers(text, target), "limit.c", toolchain)
    kernels: list[Call] = []
    for name in _OPERATIONS:
        function = getattr(library, name)
        function.restype = ctypes.c_float
        kernels.append(functools.partial(function, ctypes.c_uint32(LIMIT_STEPS)))
    rows = np.ones(ROWS * 100, np.float32)
    kernels.append(call_of(library.copied, rows, np.zeros_like(rows)))
    least = [min(times) for times in measured(kernels, 10)]
    per_call = LIMIT_SUMS * target.batch.floats.width * LIMIT_STEPS
    found = {name: n * per_call / time for (name, n), time in zip(_OPERATIONS.items(), least, strict=False)}
    return found | {"copied": rows.nbytes / least[-1]}


@dataclass(frozen=True, eq=False)
class Mine:
    tool: str
    target: str
    call: Call
    one_by_one: Call
    answers: _Any
    exact: bool
    kernels: tuple[str, ...]
    limits: dict[str, float]


def mine(work: Work, target: Target, toolchain: Toolchain, limits: dict[str, float]) -> Mine:
    program = with_float_blocks(work.program, target.batch, target.has_kernel)
    program = with_block_steps(program, target.batch, target.has_kernel)
    texts = emit_model(program, names(target, "f32"), target.templates)
    verb, kind, size = ("classify", "int32_t", "1U") if work.labels else ("predict", "float", "M_N_OUTPUTS")
    texts["one_by_one.c"] = _ONE_BY_ONE % {"verb": verb, "type": kind, "size": size}
    texts |= runtime_headers(texts["m.c"], target)
    library = built(texts, "one_by_one.c", toolchain)
    edges = np.ascontiguousarray(np.concatenate([edge_rows(program, EDGES).values, work.rows]))
    scores = np.zeros((len(edges), program.n_outputs), np.float32)
    exact = bool(same_bits(call_of(library.m_predict_batch, edges, scores)(), work.program.run(edges)).all())
    labels = work.program.classify(edges)
    if labels is not None:
        found = call_of(library.m_classify_batch, edges, np.zeros(len(edges), np.int32))()
        exact = exact and bool(np.array_equal(found, labels))

    def empty() -> _Any:
        return np.zeros(ROWS, np.int32) if work.labels else np.zeros((ROWS, program.n_outputs), np.float32)

    batch = library.m_classify_batch if work.labels else library.m_predict_batch
    call = call_of(batch, work.rows, empty())
    one_by_one = call_of(library.m_one_by_one, work.rows, empty())
    kernels = tuple(program.steps[index].op.kernel for index in program.in_code())
    tool = f"aprgen {toolchain.rule.name}"
    return Mine(tool, target.name, call, one_by_one, call().copy(), exact, kernels, limits)


def figures(work: Work, own: Sequence[Mine], rounds: int) -> list[Figure]:
    first = np.ascontiguousarray(work.rows[:1])
    peers: list[Call] = [functools.partial(peer.of, work.rows) for peer in work.peers]
    alone: list[Call] = [functools.partial(peer.of, first) for peer in work.peers]
    batches = measured([*(one.call for one in own), *peers], rounds)
    singles = measured([*(one.one_by_one for one in own), *alone], max(1, rounds // 3))
    found = []
    for number, (times, single) in enumerate(zip(batches, singles, strict=True)):
        least, median = min(times), statistics.median(times)
        if number < len(own):
            one = own[number]
            of_limit = work.operations * ROWS / one.limits[work.limit] / least
            found.append(Figure(
                work.name, one.tool, one.target, least, median, min(single) / ROWS, one.exact, of_limit,
                kernels=one.kernels,
            ))  # fmt: skip
            continue
        peer = work.peers[number - len(own)]
        agree = None
        if peer.answers is not None and own:
            theirs, ours = np.asarray(peer.answers(work.rows)), own[0].answers
            agree = float((theirs == ours).mean() if work.labels else np.abs(theirs - ours).max())
        found.append(Figure(work.name, peer.name, "", least, median, min(single), agree=agree))
    return found


def line(one: Figure, best: float) -> str:
    state = {True: "exact", False: "DIFFERS", None: ""}[one.exact]
    shares = "" if one.of_limit is None else f"{one.of_limit:4.0%} of the limit"
    if one.agree is not None:
        shares = f"agrees {one.agree:.3g}" if one.agree > 0.5 else f"differs by {one.agree:.2g} at most"
    return (
        f"{one.work:15} {one.tool:13} {one.target:11} {one.least:9,.1f} us {one.median:9,.1f} median "
        f"{one.least / best:7.1f}x {one.one_row:9,.2f} us one row  {state:7} {shares}"
    ).rstrip()


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/wide_points.py", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--work", nargs="+", choices=tuple(MAKERS), default=list(MAKERS))
    parser.add_argument("--target", nargs="+", default=list(TARGETS))
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
        ready.append((target, toolchain, limits_of(target, toolchain)))
        shown = ", ".join(f"{kind} {number / 1e3:,.0f}" for kind, number in ready[-1][2].items())
        print(f"limits {toolchain.name:13} {target.name:11} {shown} G/s", flush=True)
    found: list[Figure] = []
    for name in given.work:
        work = MAKERS[name]()
        own = figures(work, [mine(work, *one) for one in ready], given.rounds)
        best = min(one.least for one in own)
        for one in sorted(own, key=lambda one: one.least):
            print(line(one, best), flush=True)
        found += own
    return found


if __name__ == "__main__":
    sys.exit(finish(main))
