"""What a model in this process costs beside its own work: a call, threads, the first use and later ones.

    python benchmarks/in_process.py [--model FILE.apr ...] [--quick] [--json FILE]

A call is timed with one row, and the C's own time for a row is taken off, which is measured over many rows in one call.
scikit-learn's and ONNX Runtime's calls are not compared: their models are others. Knows nothing of emulators.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from here import finish, report_file

import aprgen
from aprgen import build

FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "data" / "apr"
MODELS = ("linreg", "logreg_bc", "rfc_digits", "v2_mlp_f32")
MANY = 65_536
CALLS = 2_000


@dataclass(frozen=True)
class Cost:
    """Of one model, in nanoseconds unless the name says otherwise."""

    model: str
    target: str
    row_ns: float  # of the C, in one call with many rows
    call_ns: float  # least of a call with one row
    median_call_ns: float
    overhead_ns: float  # call_ns - row_ns
    first_ms: float  # compile, build and load
    again_ms: float  # compile and load from the cache
    two_threads: float  # time with two threads over that with one


def least(work: Callable[[], object], calls: int, repeats: int) -> tuple[float, float]:
    """Nanoseconds of a call: the least and the median of the repeats."""
    found = []
    for _ in range(repeats):
        started = time.perf_counter_ns()
        for _ in range(calls):
            work()
        found.append((time.perf_counter_ns() - started) / calls)
    return min(found), statistics.median(found)


def cost(path: Path, repeats: int) -> Cost:
    """Of a model, with an empty cache at the start."""
    model = aprgen.load(path)
    with (
        tempfile.TemporaryDirectory(prefix="aprgen-") as name,
        mock.patch.object(build, "cache_folder", return_value=Path(name)),
    ):
        model.native("host")  # support code that all models share
        (Path(name) / "libraries").rename(Path(name) / "others")
        started = time.perf_counter()
        native = model.native()
        first = time.perf_counter() - started
        started = time.perf_counter()
        model.native()
        again = time.perf_counter() - started
        rows = np.random.default_rng(0).random((MANY, model.n_features), dtype=np.float32)
        one = rows[:1].copy()
        call, median = least(lambda: native.predict(one), CALLS, repeats)
        single, _ = least(lambda: native.predict(rows), 1, repeats)
        double, _ = least(lambda: native.predict(rows, 2), 1, repeats)
    row = single / MANY
    return Cost(
        path.stem, native.target, row, call, median, call - row, first * 1e3, again * 1e3, double / single
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="what a model in this process costs beside its own work")
    parser.add_argument("--model", action="append", type=Path, default=[], metavar="FILE.apr")
    parser.add_argument("--quick", action="store_true", help="fewer repeats, one model")
    parser.add_argument("--json", type=report_file)
    options = parser.parse_args(arguments)
    paths = options.model or [path for name in MODELS for path in sorted(FIXTURES.rglob(f"{name}.apr"))]
    costs = [cost(path, 3 if options.quick else 50) for path in paths[: 1 if options.quick else None]]
    print(f"{'model':14} {'target':18} {'call ns':>8} {'median':>8} {'row ns':>8} {'overhead':>9}"
          f" {'first ms':>9} {'again ms':>9} {'2 threads':>9}")  # fmt: skip
    for one in costs:
        print(f"{one.model:14} {one.target:18} {one.call_ns:8.0f} {one.median_call_ns:8.0f} {one.row_ns:8.1f}"
              f" {one.overhead_ns:9.0f} {one.first_ms:9.0f} {one.again_ms:9.1f} {one.two_threads:9.2f}")  # fmt: skip
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(one) for one in costs], indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(finish(main))
