"""Time per call on this machine, for code that it can run: a measurement of this machine, and no bound of anything.

Knows clocks and the batch functions of a loaded library. Knows no instruction, and nothing here enters a bound.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aprgen.core import Artifact
from aprgen.errors import UnsupportedError, UsageError
from aprgen.measured import model_facts
from aprgen.runners.shared import SharedImage, load_shared
from aprgen.toolchain import Toolchain
from aprgen.wcet.report import Timed

REPEATS = 31
ALONE_REPEATS = 5
ALONE_CALLS = 1_000  # of one row in succession, so that the clock's own time does not count
WARM_UPS = 3

_Call = Callable[[NDArray[np.float32]], object]


def timed_calls(
    artifact: Artifact, toolchain: Toolchain, rows: NDArray[np.float32] | None, work: Path
) -> tuple[Timed, ...]:
    """Times of the batch functions over these rows; UsageError where the target is not this machine.

    The C is compiled as a user compiles it, without the marks of loops.
    """
    if all(rule.kind != "native" for rule in artifact.target.runs):
        raise UsageError(
            "wcet.measure", f"time on {artifact.target.name} cannot be measured here: emulators have no time",
            where="--measure", hint="leave it out, or choose a target that this machine is, such as host",
        )  # fmt: skip
    if rows is None:
        raise UnsupportedError(
            "wcet.measure", "calls with texts are not measured", where="--measure", hint="leave it out"
        )
    model = model_facts(artifact)
    library = load_shared(artifact.target, toolchain, artifact.texts, model, work)
    calls: list[tuple[str, _Call]] = [("predict_batch", library.predict)]
    if model.has_classify:
        calls.append(("classify_batch", _labels(library)))
    return tuple(_timed(model.symbol(name), call, rows) for name, call in calls)


def _labels(library: SharedImage) -> _Call:
    return lambda rows: library.classify(rows)


def _timed(function: str, call: _Call, rows: NDArray[np.float32]) -> Timed:
    """All rows one after another, often; then each alone, to find the one that takes longest."""
    many = rows[np.arange(max(len(rows), ALONE_CALLS)) % len(rows)]
    whole = np.array([_nanoseconds(call, many) for _ in range(REPEATS + WARM_UPS)][WARM_UPS:])
    alone = np.array([_fastest(call, np.repeat(row[np.newaxis], ALONE_CALLS, axis=0)) for row in rows])
    low, middle, high = np.percentile(whole, (25, 50, 75))
    return Timed(
        function=function,
        rows=len(rows),
        repeats=REPEATS,
        median_ns=round(float(middle), 2),
        quartiles_ns=(round(float(low), 2), round(float(high), 2)),
        highest_row_ns=round(float(alone.max()), 2),
        machine=machine(),
    )


def _nanoseconds(call: _Call, rows: NDArray[np.float32]) -> float:
    """Per row."""
    started = time.perf_counter_ns()
    call(rows)
    return (time.perf_counter_ns() - started) / len(rows)


def _fastest(call: _Call, rows: NDArray[np.float32]) -> float:
    """Of a few repetitions, as all else that this machine does can only add time."""
    return min(_nanoseconds(call, rows) for _ in range(ALONE_REPEATS))


def machine() -> str:
    """The processor and the system, as this machine names them."""
    return f"{_processor()}, {platform.system()} {platform.machine()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or "unnamed processor"
