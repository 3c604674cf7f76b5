"""Forests on wide targets beside other libraries: the same rows, one core, medians and minima of one run.

    python benchmarks/wide.py [--work NAME ...] [--target NAME ...] [--compiler gcc|clang ...] [--peer NAME ...]
                              [--rounds N] [--json FILE]

    pip install "aprgen[benchmarks]"     # the libraries that train, and the generators

Work: gbt20, 100 boosted trees of depth 6 with 20 features (LightGBM); rf20, 100 trees of depth 10 with 20 features;
rfdig, 100 trees of depth 10 that classify digits (both scikit-learn); 1,000 rows each. aprgen's C is built with the
flags of the target and called as a library. All contenders take turns, so that other load of the machine falls on all.
Libraries that cannot take the model train one of the same shape. Answers are compared: with Program.run() bit by bit,
with the library that trained by value or label. Status 1 when a bit differs; a goal that is missed changes no status.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from convert import program_of, totals_of
from here import call_of, finish, report_file, toolchains_here, write_report
from numpy.typing import NDArray
from wide_peers import PEERS, Contender, LeftOut, Work, peers

from aprgen import __version__
from aprgen.core import runtime_headers
from aprgen.emit import Names, emit_model
from aprgen.passes.packing import pack_weights
from aprgen.passes.strategy import choose_strategies
from aprgen.passes.tree_sums import with_totals
from aprgen.passes.wide_trees import with_batch
from aprgen.program import Program
from aprgen.rows import edge_rows
from aprgen.target import Target
from aprgen.toolchain import Toolchain

SCHEMA = "aprgen.benchmarks.wide"
VERSION = 1
WORKS = ("gbt20", "rf20", "rfdig")
TARGETS = ("x86-avx512-vnni", "x86-avx512", "x86-avx2", "host")
ROWS = 1000
EDGES = 3000
ROUNDS = 25
_Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Goal:
    """What a workload's batch is to be, in times of the tool; least: must be, most: seen to be possible."""

    work: str
    target: str
    tool: str | None  # None: of the best other tool
    least: float
    most: float


# Measured on an AVX-512 machine with prototypes and the tools' versions of 2026.
GOALS = (
    Goal("gbt20", "x86-avx512", "YDF", 4, 10),
    Goal("gbt20", "x86-avx512", "XGBoost", 7, 18),
    Goal("gbt20", "x86-avx2", "YDF", 2, 5),
    Goal("rf20", "x86-avx512", "XGBoost", 5, 8),
    Goal("rfdig", "x86-avx512-vnni", None, 8, 17),
    Goal("rfdig", "x86-avx512", None, 8, 17),
)


@dataclass(frozen=True)
class Figure:
    """Microseconds for all rows at once, and for a row when there is no other."""

    work: str
    tool: str
    target: str
    own: bool
    least: float | None
    median: float | None
    one_row: float | None
    exact: bool | None
    close: float | None  # largest difference from the library that trained, or share of other labels
    kernels: tuple[str, ...] = ()
    plan_seconds: float = 0.0
    compile_seconds: float = 0.0
    c_bytes: int = 0
    n_nodes: int = 0
    node_bytes: int = 0


def train(name: str) -> Work:
    chance = np.random.default_rng(20)
    if name == "rfdig":
        digits = importlib.import_module("sklearn.datasets").load_digits()
        x, y = digits.data.astype(np.float32), digits.target
        kind = importlib.import_module("sklearn.ensemble").RandomForestClassifier
        estimator = kind(n_estimators=100, max_depth=10, random_state=0).fit(x, y)
        return Work(name, estimator, x, y, np.ascontiguousarray(x[chance.permutation(len(x))[:ROWS]]), 10)
    x = chance.normal(size=(6000, 20)).astype(np.float32)
    y = x[:, 0] * x[:, 1] + np.sin(3 * x[:, 2]) + x[:, 3] ** 2 + np.abs(x[:, 4:9]).sum(axis=1)
    y = (y + 0.3 * chance.normal(size=len(y))).astype(np.float32)
    rows = chance.normal(size=(ROWS, 20)).astype(np.float32)
    if name == "gbt20":
        kind = importlib.import_module("lightgbm").LGBMRegressor
        options = {"n_estimators": 100, "max_depth": 6, "num_leaves": 64, "min_child_samples": 5}
        estimator = kind(**options, n_jobs=1, verbose=-1, random_state=0).fit(x, y)
        return Work(name, estimator, x, y, rows, 6)
    kind = importlib.import_module("sklearn.ensemble").RandomForestRegressor
    estimator = kind(n_estimators=100, max_depth=10, random_state=0).fit(x, y)
    return Work(name, estimator, x, y, rows, 10)


@dataclass(frozen=True, eq=False)
class Mine:
    """aprgen's code for a target by a compiler, ready to be called."""

    contender: Contender
    figure: Figure


def made(work: Work, program: Program, form: str, target: Target, toolchain: Toolchain) -> Mine:
    began = time.perf_counter()
    summed = with_totals(program, target.cost)
    chosen = pack_weights(choose_strategies(summed, target.cost), target.weights)
    planned = with_batch(chosen, summed, target.batch)
    names = Names(
        name="m", summary=work.name, outputs="scores", command="benchmarks/wide.py", model_sha256="",
        target=target.name, target_sha256="", signer="none", numeric="f32", flags="", version=__version__,
        float_header=target.float_header,
    )  # fmt: skip
    texts = emit_model(planned, names, target.templates)
    texts |= runtime_headers(texts["m.c"], target)
    plan_seconds = time.perf_counter() - began
    labelled = planned.label is not None
    texts["each.c"] = _each(planned, labelled)
    began = time.perf_counter()
    library = _library(texts, toolchain)
    compile_seconds = time.perf_counter() - began
    kernels = tuple(planned.steps[index].op.kernel for index in planned.in_code())
    nodes = [op.nodes for step in program.steps for op in (step.op,) if hasattr(op, "nodes")]
    n_nodes = sum(2 * one.n_nodes + one.n_trees for one in nodes)  # leaves too
    node_bytes = sum(
        t.n_bytes for one in nodes for t in (one.feature, one.threshold, one.left, one.right, one.root)
    ) + sum(step.op.values.n_bytes for step in program.steps if hasattr(step.op, "values"))  # fmt: skip
    edges = np.ascontiguousarray(np.concatenate([edge_rows(program, EDGES).values, work.rows]))
    exact = _exact(library, planned, program, edges)
    out = np.zeros(ROWS, np.int32) if labelled else np.zeros((ROWS, planned.n_outputs), np.float32)
    function = library.m_classify_batch if labelled else library.m_predict_batch
    batch, one = call_of(function, work.rows, out), call_of(library.each, work.rows, out)
    said = np.asarray(work.estimator.predict(work.rows))
    answer = batch()
    close = float(np.mean(answer != said)) if labelled else float(np.abs(answer[:, 0] - said).max())
    tool = f"aprgen{form} {toolchain.rule.name}"
    figure = Figure(
        work.name, tool, target.name, False, None, None, None, exact, close, kernels, plan_seconds, compile_seconds,
        len(texts["m.c"]), n_nodes, node_bytes,
    )  # fmt: skip
    return Mine(Contender(tool, batch, one), figure)


def _each(program: Program, labelled: bool) -> str:
    kind = "int32_t" if labelled else "float"
    function = "m_classify_batch" if labelled else "m_predict_batch"
    call = f"{function}(at, 1U, &out[row * {1 if labelled else program.n_outputs}U])"
    head = f"void each(const float *x, size_t n, {kind} *out)"
    return (
        f'#include "m.c"\n{head};\n{head}\n{{\n    for (size_t row = 0U; row < n; ++row) {{\n'
        f"        const float *const at = &x[row * {program.n_features}U];\n        {call};\n    }}\n}}\n"
    )


def _library(texts: dict[str, str], toolchain: Toolchain) -> ctypes.CDLL:
    with tempfile.TemporaryDirectory() as name:
        for file, text in texts.items():
            (Path(name) / file).write_text(text, encoding="utf-8")
        flags = ("-std=c99", "-ffp-contract=off", *toolchain.rule.cflags, "-shared", "-fPIC")
        subprocess.run([*toolchain.compiler, *flags, "each.c", "-o", "m.so"], cwd=name, check=True, timeout=600)
        return ctypes.CDLL(str(Path(name) / "m.so"))


def _exact(library: ctypes.CDLL, planned: Program, program: Program, rows: _Floats) -> bool:
    scores = np.zeros((len(rows), planned.n_outputs), np.float32)
    call_of(library.m_predict_batch, rows, scores)()
    same = scores.tobytes() == program.run(rows).tobytes()
    if program.label is None:
        return same
    labels = np.zeros(len(rows), np.int32)
    call_of(library.m_classify_batch, rows, labels)()
    return same and bool(np.array_equal(labels, program.classify(rows)))


def measured(contenders: Sequence[Contender], rounds: int) -> list[tuple[list[float], list[float]]]:
    """Microseconds of calls of batch and of one, in turn."""
    times: list[tuple[list[float], list[float]]] = [([], []) for _ in contenders]
    for number in range(rounds + 1):
        for contender, pair in zip(contenders, times, strict=True):
            for call, found in zip((contender.batch, contender.one), pair, strict=True):
                if call is None:
                    continue
                call()  # warm again after the others
                for _ in range(3 if number else 1):
                    began = time.perf_counter()
                    call()
                    taken = (time.perf_counter() - began) * 1e6
                    if number:
                        found.append(taken)
    return times


def figures(work: Work, given: argparse.Namespace) -> tuple[list[Figure], list[LeftOut]]:
    """Of all contenders, and the libraries that are none."""
    programs = [("", program_of(work.estimator))]
    if work.labelled:
        soft = totals_of(work.estimator)
        programs += [] if soft is None else [(" soft", soft)]
    mine: list[Mine] = []
    for target, toolchain in toolchains_here(given.target, given.compiler):
        mine += [made(work, program, form, target, toolchain) for form, program in programs]
    asked = list(peers(work, tuple(given.peer)))
    others = [one for one in asked if isinstance(one, Contender)]
    contenders = [one.contender for one in mine] + others
    times = measured(contenders, given.rounds)
    found_figures = []
    for number, (contender, (batch, one)) in enumerate(zip(contenders, times, strict=True)):
        least = min(batch) if batch else contender.microseconds
        median = statistics.median(batch) if batch else None
        one_row = min(one) / ROWS if one else None
        if number < len(mine):
            facts = asdict(mine[number].figure) | {"least": least, "median": median, "one_row": one_row}
            found_figures.append(Figure(**facts))
        else:
            other = Figure(work.name, contender.tool, "", contender.own, least, median, one_row, None, None)
            found_figures.append(replace(other, compile_seconds=contender.seconds))
    return found_figures, [one for one in asked if isinstance(one, LeftOut)]


def line(one: Figure, best: float) -> str:
    def number(value: float | None, digits: int) -> str:
        return "-" if value is None else f"{value:,.{digits}f}"

    state = {True: "exact", False: "DIFFERS", None: "own model" if one.own else ""}[one.exact]
    ratio = "-" if one.least is None else f"{one.least / best:.1f}x"
    sizes = ""
    if one.n_nodes:
        share = one.c_bytes / one.node_bytes
        sizes = (
            f"{one.n_nodes:,} nodes, C {one.c_bytes / 1e6:.1f} MB ({share:.1f}x their data), "
            f"{one.plan_seconds:.2f} s + cc"
        )
    took = f"{one.compile_seconds:6.1f} s" if one.compile_seconds else ""
    return (
        f"{one.work:6} {one.tool:18} {one.target:15} {number(one.least, 1):>9} us {number(one.median, 1):>9} median "
        f"{ratio:>7} {number(one.one_row, 3):>8} us a row  {state:9} {sizes} {took}"
    ).rstrip()


def verdict(goal: Goal, found: Sequence[Figure], left_out: Sequence[LeftOut] = ()) -> str | None:
    """Where the best of aprgen's stands against the goal; of the best other tool, which ones were not compared."""
    mine = [one.least for one in found if one.work == goal.work and one.target == goal.target and one.least]
    others = [
        one for one in found
        if one.work == goal.work and not one.target and one.least and goal.tool in (None, one.tool)
    ]  # fmt: skip
    if not mine or not others:
        return None
    best = min(others, key=lambda one: one.least or 0.0)
    assert best.least is not None
    ratio = best.least / min(mine)
    absent = [one.tool for one in left_out if one.work == goal.work and goal.tool is None]
    state = "reached" if ratio >= goal.most else "met" if ratio >= goal.least else "MISSED"
    return (
        f"{goal.work:6} {goal.target:15} {ratio:5.1f}x {best.tool}: {state} (at least {goal.least:g}, "
        f"possible {goal.most:g})" + (f", without {', '.join(absent)}" if absent else "")
    )


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/wide.py", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--work", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--target", nargs="+", default=list(TARGETS))
    parser.add_argument("--compiler", nargs="+", choices=("gcc", "clang"), default=["gcc", "clang"])
    parser.add_argument("--peer", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=report_file)
    given = parser.parse_args(words)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    found: list[Figure] = []
    left_out: list[LeftOut] = []
    for name in given.work:
        own, absent = figures(train(name), given)
        for other in absent:
            print(f"{other.work:6} {other.tool}: not compared, {other.why}", flush=True)
        left_out += absent
        best = min((one.least for one in own if one.target and one.least), default=1.0)
        for one in sorted(own, key=lambda one: one.least or 0.0):
            print(line(one, best), flush=True)
        found += own
    said = [text for text in (verdict(goal, found, left_out) for goal in GOALS) if text is not None]
    print("", *said, sep="\n")
    write_report(
        given.json, SCHEMA, VERSION, [asdict(one) for one in found], rows=ROWS, rounds=given.rounds, goals=said,
        left_out=[asdict(one) for one in left_out],
    )  # fmt: skip
    return 1 if any(one.exact is False for one in found) else 0


if __name__ == "__main__":
    sys.exit(finish(main))
