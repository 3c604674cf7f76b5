"""What small models take for 1,000 rows on one core and on two, beside what the machine can do at all.

    python benchmarks/headline.py [--target NAME] [--compiler gcc|clang] [--rounds N] [--json FILE]

Work and the time that is wanted: linear models of 100 and of 10,000 columns (10 and 100 us), k-means with 10 centroids
of 100 columns (50 us), 100 trees of depth 6 and of depth 10 (1 ms), a network 100-256-256-256-10 (500 us). Each in
every numeric mode of the target: f32, f32-fast, bf16, s8; the longer linear model also from codes of 8 bits, as sensors
give them.

Each is called for some milliseconds before it is timed, so that rows lie in the caches as far as they fit. Limits are
measured in the same run: how fast as many bytes as the rows have are read again and again, and how many
fused operations, pairs of products of bfloat16 and products of bytes a core does in registers. "limit" is the longer of
the two for the mode, on one core: what no code for this machine can be below. Trees have none: nobody knows how few
instructions a tree takes. Where a time cannot be reached in f32, the line below says by which arithmetic, and the
fastest mode that reaches it. Status 1 when a bit differs from Program.run(); a time that is missed changes no
status. Status 7 when nothing can run here.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import wide_integers
from here import finish, report_file, toolchains_here, write_report
from models import linear
from numpy.typing import NDArray
from wide_limits import built, limit_library, limits_of, reads_of
from wide_models import boosted, k_means, network, regressors

from aprgen.accuracy import Calibration
from aprgen.build import load_into_process
from aprgen.core import NUMERIC_MODES, Options, artifact_of, plan_model
from aprgen.errors import UnsupportedError
from aprgen.loaded import load_model
from aprgen.rows import random_rows
from aprgen.runners.shared import why_not_here
from aprgen.target import Target, load_target
from aprgen.toolchain import Toolchain
from aprgen.verify import same_bits

SCHEMA = "aprgen.benchmarks.headline"
VERSION = 1
TARGETS = ("x86-avx512-bf16", "x86-avx512-vnni", "x86-avx512", "x86-avx2")  # the first that is this machine
ROWS = 1000
ROUNDS = 15
CALLS = 3  # of a round
SETTLED = 0.004  # seconds: after 40 MB of other rows the last cache takes a dozen calls until it holds 10 MB again
CORES = 2
OF_CODES = "s8 of codes"
PEAKS = {"f32": "fused", "f32-fast": "fused", "bf16": "pairs", "s8": "bytes", OF_CODES: "bytes"}

_Floats = NDArray[np.float32]
Call = Callable[[], Any]


@dataclass(frozen=True)
class Work:
    """wanted: microseconds. operations: of a row, multiplications and additions; None: of trees."""

    name: str
    wanted: float
    model: Callable[[], bytes]
    operations: int | None
    of_codes: bool = False


WORKS = (
    Work("linear 100", 10, lambda: linear(100), 200),
    Work("linear 10,000", 100, lambda: linear(10_000), 20_000, of_codes=True),
    Work("k-means 10 x 100", 50, lambda: k_means(10, 100), 2000),
    Work("100 trees, depth 6", 1000, lambda: boosted(100, 6, 20), None),
    Work("100 trees, depth 10", 1000, lambda: regressors(100, 10, 20), None),
    Work(
        "network 3 x 256", 500, lambda: network((100, 256, 256, 256, 10), ["relu", "relu", "relu", "identity"]),
        2 * (100 * 256 + 2 * 256 * 256 + 256 * 10),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """Of one core: operations a second by what PEAKS names, and bytes a second that rows of so many bytes are read."""

    peaks: Mapping[str, float]
    reads: Callable[[int], float]

    def of(self, work: Work, numeric: str, row_bytes: int) -> tuple[float, str] | None:
        """Microseconds of all rows that nothing can be below, and the arithmetic; None: unknown."""
        if work.operations is None or PEAKS[numeric] not in self.peaks:
            return None
        size, operations = ROWS * row_bytes, ROWS * work.operations
        speed, peak = self.reads(size), self.peaks[PEAKS[numeric]]
        reading, computing = 1e6 * size / speed, 1e6 * operations / peak
        if reading > computing:
            return reading, f"{size / 1e6:,.1f} MB at {speed / 1e9:,.0f} GB/s"
        return computing, f"{operations / 1e6:,.1f} million operations at {peak / 1e9:,.0f} GOP/s"


@dataclass(frozen=True)
class Figure:
    """Microseconds for all rows, least and median, on one core and on two, None where a second one is not to be had.

    limit: of one core.
    """

    work: str
    numeric: str
    target: str
    wanted: float
    one_core: float
    median: float
    two_cores: float | None
    limit: float | None
    arithmetic: str
    exact: bool
    kernels: tuple[str, ...]

    @property
    def share(self) -> float | None:
        return None if self.limit is None else self.limit / self.one_core

    @property
    def met_on_two(self) -> bool:
        return self.two_cores is not None and self.two_cores <= self.wanted


@dataclass(frozen=True, eq=False)
class Timed:
    """Calls for all rows. split: for a part of them, from one row up to another."""

    numeric: str
    row_bytes: int
    whole: Call
    split: Callable[[int, int], Any]
    exact: bool
    kernels: tuple[str, ...]


_OF_CODES = """
void all_codes(const int8_t *x, size_t n_rows, int32_t *out);
void all_codes(const int8_t *x, size_t n_rows, int32_t *out)
{
    for (size_t row = 0U; row < n_rows; ++row) {
        m_scores_q(&x[row * M_N_FEATURES], &out[row * M_N_OUTPUTS]);
    }
}
"""


def timed(work: Work, numeric: str, target: Target, toolchain: Toolchain) -> Timed | None:
    """None: the target has no such mode, or the model none of its own."""
    loaded = load_model(work.model())
    lowered = loaded.model.lower()
    rows = np.ascontiguousarray(random_rows(lowered, ROWS).values)
    if work.operations is None and numeric != "f32":
        return None  # trees are exact in integers already
    calibration = None if numeric == "f32" else Calibration(rows[:200], "random rows")
    options = Options("m", "s8" if numeric == OF_CODES else numeric, calibration)
    try:
        plan = plan_model(loaded, target, options)
    except UnsupportedError:
        return None
    artifact = artifact_of(loaded, plan.lowered, plan.program, target, options, plan.accuracy)
    kernels = tuple(plan.program.steps[index].op.kernel for index in plan.program.in_code())
    if numeric == OF_CODES:
        codes = plan.program.codes
        assert codes is not None
        x = np.ascontiguousarray(plan.program.evaluate(rows, [codes.x])[codes.x])
        wanted = plan.program.evaluate(x, [codes.scores], given=codes.x)[codes.scores]
        texts = dict(artifact.texts)
        texts["m.c"] += _OF_CODES
        library = built(texts, "m.c", toolchain)
        out = np.zeros((ROWS, lowered.n_outputs), np.int32)

        def part(first: int, end: int) -> NDArray[np.int32]:
            places = [ctypes.c_void_p(array[first:].ctypes.data) for array in (x, out)]
            library.all_codes(places[0], ctypes.c_size_t(end - first), places[1])
            return out

        exact = np.array_equal(part(0, ROWS), wanted)
        return Timed(numeric, x.itemsize * x.shape[1], lambda: part(0, ROWS), part, exact, kernels)
    own = load_into_process(artifact, tools=toolchain.rule.name)
    exact = bool(same_bits(own.predict(rows), plan.lowered.run(rows)).all())

    def scores(first: int, end: int) -> _Floats:
        return own.predict(rows[first:end])

    return Timed(numeric, 4 * rows.shape[1], lambda: own.scores_as_they_are(rows), scores, exact, kernels)


def microseconds(calls: Sequence[Call], rounds: int) -> list[list[float]]:
    """Of each, in turn."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, found in zip(calls, times, strict=True):
            began = time.perf_counter()
            call()
            while time.perf_counter() - began < SETTLED:
                call()
            for _ in range(CALLS):
                began = time.perf_counter()
                call()
                found.append((time.perf_counter() - began) * 1e6)
    return times


def figures(work: Work, target: Target, toolchain: Toolchain, limits: Limits, rounds: int) -> list[Figure]:
    modes = [mode for mode in NUMERIC_MODES if mode in PEAKS] + [OF_CODES] * work.of_codes
    own = [one for mode in modes if (one := timed(work, mode, target, toolchain)) is not None]
    on_one = microseconds([one.whole for one in own], rounds)
    bounds = [round(ROWS * part / CORES) for part in range(CORES + 1)]
    cores = os.sched_getaffinity(0)
    with ThreadPoolExecutor(CORES) as pool:

        def on_both(one: Timed) -> Call:
            return lambda: list(pool.map(one.split, bounds[:-1], bounds[1:]))

        on_two: list[list[float]] = [[] for _ in own]
        if len(cores) >= CORES:
            on_two = microseconds([on_both(one) for one in own], rounds)
    made = []
    for one, times, both in zip(own, on_one, on_two, strict=True):
        limit, arithmetic = limits.of(work, one.numeric, one.row_bytes) or (None, "")
        made.append(
            Figure(
                work.name, one.numeric, target.name, work.wanted, min(times), statistics.median(times),
                min(both, default=None), limit, arithmetic, one.exact, one.kernels,
            )
        )  # fmt: skip
    return made


def limits_here(target: Target, toolchain: Toolchain) -> Limits:
    library = limit_library(target, toolchain)
    peaks = {name: 1e9 * value for name, value in limits_of(library, target).items() if name in PEAKS.values()}
    integers = wide_integers.peak(target, toolchain)
    return Limits(
        peaks if integers is None else peaks | {"bytes": 1e9 * integers},
        lambda size: 2e9 * reads_of(library, size // 4),  # each number counts as two operations there
    )


# Printing.


def line(one: Figure) -> str:
    limit = "" if one.limit is None else f"{one.limit:8,.1f} {one.share:6.0%}  {one.arithmetic}"
    two_cores = "-" if one.two_cores is None else f"{one.two_cores:,.1f}"
    state = "met" if one.one_core <= one.wanted else "met on two" if one.met_on_two else "missed"
    return (
        f"{one.work:20} {one.numeric:12} {one.wanted:7,.0f} {one.one_core:9,.1f} {two_cores:>9} "
        f"{'exact' if one.exact else 'DIFFERS':8} {state:11} {limit}"
    )


def verdicts(found: Sequence[Figure]) -> list[str]:
    """For each work whose time f32 does not reach: why, and which mode does."""
    said = []
    for work in dict.fromkeys(one.work for one in found):
        of_work = [one for one in found if one.work == work]
        exact = next(one for one in of_work if one.numeric == "f32")
        if exact.one_core <= exact.wanted:
            continue
        reaching = [one for one in of_work if one.one_core <= one.wanted]
        on_two = [one for one in of_work if one.met_on_two and one not in reaching]
        limit = exact.limit
        why = (
            f"impossible in f32: {exact.arithmetic} take {limit:,.0f} us" if limit is not None and limit > exact.wanted
            else f"not reached in f32, whose limit is {'unknown' if limit is None else f'{limit:,.0f} us'}"
        )  # fmt: skip
        by = ", ".join(f"{one.numeric} ({one.one_core:,.0f} us)" for one in reaching) or "no mode"
        more = "".join(f"; on two cores {one.numeric} ({one.two_cores:,.0f} us)" for one in on_two)
        said.append(f"{work}, {exact.wanted:,.0f} us: {why}; reached on one core by {by}{more}")
    return said


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/headline.py", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument(
        "--target", default=next((name for name in TARGETS if not why_not_here(load_target(name))), None)
    )
    parser.add_argument("--compiler", default="gcc")
    names = [work.name for work in WORKS]
    parser.add_argument(
        "--work", nargs="+", default=names, choices=names, metavar="NAME", help=f"of {', '.join(map(repr, names))}"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=report_file)
    given = parser.parse_args(words)
    if given.target is None:
        print("this machine has neither AVX2 nor AVX-512")
        return 7
    found: list[Figure] = []
    print(
        f"{'work, 1,000 rows':20} {'numeric':12} {'wanted':>7} {'1 core us':>9} {'2 cores':>9} {'answers':8} "
        f"{'':11} {'limit us':>8} {'share':>6}  of what",
        flush=True,
    )
    for target, toolchain in toolchains_here([given.target], [given.compiler]):
        limits = limits_here(target, toolchain)
        for work in WORKS:
            if work.name in given.work:
                for one in figures(work, target, toolchain, limits, given.rounds):
                    found.append(one)
                    print(line(one), flush=True)
    if not found:
        return 7
    print("", *verdicts(found), sep="\n")
    facts = [asdict(one) | {"share": one.share} for one in found]
    write_report(given.json, SCHEMA, VERSION, facts, rows=ROWS, rounds=given.rounds)
    return 0 if all(one.exact for one in found) else 1


if __name__ == "__main__":
    sys.exit(finish(main))
