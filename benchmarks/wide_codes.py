"""Models in codes of 8 and 16 bits on wide targets: 1,000 rows at once, and the same one by one, beside f32.

    python benchmarks/wide_codes.py [--work NAME ...] [--target NAME ...] [--compiler gcc|clang ...] [--rounds N]
                                    [--json FILE]

Work: the 5 nearest of 1,000 points of 64 columns (knn, knn_manhattan) and of 150 of 4 (knn_small), naive Bayes with 20
columns and 5 classes (bayes), a mixture of 4 components and 12 columns (mixture), 10 centroids of 100 columns
(k_means), a network 100-256-256-10 with tanh (curved). Models are made from a seed (wide_models.py) and calibrated on
their rows.

Rows are floats, as callers have them. "alone" is NAME_scores in a loop of C; all take turns on one core. Bits are
compared with Program.run(). Status 1 when one differs; 7 when nothing can run here.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from here import call_of, finish, one_core, report_file, toolchains_here, write_report
from numpy.typing import NDArray
from wide_dense import ROUNDS, ROWS, Call, measured
from wide_limits import built
from wide_models import k_means, mixture, naive_bayes, network, points

from aprgen.accuracy import Calibration
from aprgen.core import INTEGER_MODES, Options, artifact_of, plan_model
from aprgen.loaded import Loaded, load_model
from aprgen.rows import random_rows
from aprgen.target import Target
from aprgen.toolchain import Toolchain
from aprgen.verify import same_bits

SCHEMA = "aprgen.benchmarks.wide_codes"
VERSION = 1
MODES = ("s8", "s16", "f32")
TARGETS = ("x86-avx512-vnni", "x86-avx2")
WORKS: Mapping[str, Callable[[], bytes]] = {
    "knn": lambda: points("euclidean", 1000, 64, 5),
    "knn_manhattan": lambda: points("manhattan", 1000, 64, 5),
    "knn_small": lambda: points("euclidean", 150, 4, 5),
    "bayes": lambda: naive_bayes(5, 20),
    "mixture": lambda: mixture(4, 12),
    "k_means": lambda: k_means(10, 100),
    "curved": lambda: network((100, 256, 256, 10), ["tanh", "tanh", "identity"]),
}
_ALONE = """#include "m.c"
void m_alone(const float *x, size_t n, float *out);
void m_alone(const float *x, size_t n, float *out)
{
    for (size_t row = 0U; row < n; ++row) {
        m_scores(&x[row * M_N_FEATURES], &out[row * M_N_OUTPUTS]);
    }
}
"""


@dataclass(frozen=True)
class Figure:
    """Microseconds for 1,000 rows; least and median are of all at once."""

    work: str
    target: str
    compiler: str
    numeric: str
    least: float
    median: float
    alone: float
    exact: bool


@dataclass(frozen=True)
class Made:
    target: str
    compiler: str
    numeric: str
    batch: Call
    alone: Call
    exact: bool


def made(loaded: Loaded, rows: NDArray[np.float32], target: Target, toolchain: Toolchain, numeric: str) -> Made:
    calibration = Calibration(rows, "random rows") if numeric in INTEGER_MODES else None
    options = Options("m", numeric, calibration)
    plan = plan_model(loaded, target, options)
    artifact = artifact_of(loaded, plan.lowered, plan.program, target, options, plan.accuracy)
    library = built({**artifact.texts, "alone.c": _ALONE}, "alone.c", toolchain)
    out = [np.zeros((len(rows), plan.lowered.n_outputs), np.float32) for _ in range(2)]
    batch, alone = call_of(library.m_predict_batch, rows, out[0]), call_of(library.m_alone, rows, out[1])
    expected = plan.lowered.run(rows)
    exact = all(bool(same_bits(call(), expected).all()) for call in (batch, alone))
    return Made(target.name, toolchain.rule.name, numeric, batch, alone, exact)


def figures(name: str, ready: Sequence[tuple[Target, Toolchain]], rounds: int) -> list[Figure]:
    loaded = load_model(WORKS[name]())
    rows = np.ascontiguousarray(random_rows(loaded.model.lower(), ROWS).values[:ROWS])
    every = [made(loaded, rows, *one, numeric) for one in ready for numeric in MODES]
    times = measured([call for one in every for call in (one.batch, one.alone)], rounds)
    return [
        Figure(name, one.target, one.compiler, one.numeric, min(batch), statistics.median(batch), min(alone), one.exact)
        for one, batch, alone in zip(every, times[::2], times[1::2], strict=True)
    ]


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/wide_codes.py", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--work", nargs="+", choices=tuple(WORKS), default=list(WORKS))
    parser.add_argument("--target", nargs="+", default=list(TARGETS))
    parser.add_argument("--compiler", nargs="+", choices=("gcc", "clang"), default=["gcc", "clang"])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=report_file)
    given = parser.parse_args(words)
    found: list[Figure] = []
    with one_core():
        ready = list(toolchains_here(given.target, given.compiler))
        if not ready:
            return 7
        heads = (f"{word:>10}" for word in ("at once us", "median", "alone us"))
        print(f"{'work':13} {'target':15} {'compiler':8} {'numbers':7}", *heads)
        for name in given.work:
            own = figures(name, ready, given.rounds)
            for one in own:
                times = (f"{time:10,.1f}" for time in (one.least, one.median, one.alone))
                said = "exact" if one.exact else "DIFFERS"
                print(f"{one.work:13} {one.target:15} {one.compiler:8} {one.numeric:7}", *times, said, flush=True)
            found += own
    write_report(given.json, SCHEMA, VERSION, [asdict(one) for one in found], rows=ROWS, rounds=given.rounds)
    return 0 if all(one.exact for one in found) else 1


if __name__ == "__main__":
    sys.exit(finish(main))
