"""How fast the compiler is, and how much memory it takes.

    python benchmarks/compiler.py [--quick] [--json FILE]

Measures `aprgen --help` and `aprgen compile` as processes, compiling within one process, and a batch of 1,000 small
linear models in one process and in two. The models are made from seeds: small is a linear regression of 10 features,
medium a forest of 20 trees of depth 6, large one of 100 trees of depth 10 (102,300 splits). --quick does fewer runs,
a batch of 100, and 100 trees of depth 5; its figures show that the benchmark works, no more.

Machines differ, so every time is also given in yardsticks measured in the same run: starting Python, importing numpy,
and spelling 100,000 floats in hexadecimal. A time is the median of its runs, the least stands beside it.
This process imports neither numpy nor aprgen: a child's peak of memory counts that of the parent that started it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

SCHEMA = "aprgen.benchmarks.compiler"
SCHEMA_VERSION = 1
HERE = Path(__file__).resolve().parent
KIB = 1024
SPELLED = 100_000
MODELS = ("small", "medium", "large")


@dataclass(frozen=True)
class Effort:
    """How often things are measured."""

    process_runs: int
    inner_runs: int
    batch_models: int


FULL = Effort(process_runs=7, inner_runs=5, batch_models=1000)
QUICK = Effort(process_runs=1, inner_runs=1, batch_models=20)


@dataclass(frozen=True)
class Asked:
    """What a figure must reach: at most so many seconds, or at least so many models per second."""

    seconds: float | None = None
    per_second: float | None = None


ASKED = {
    "aprgen --help": Asked(seconds=0.15),
    "aprgen compile small": Asked(seconds=0.4),
    "batch, 1 process": Asked(per_second=1000),
    "batch, 2 processes": Asked(per_second=1000),
}
ASKED_LATER = 10_000  # models per second


@dataclass(frozen=True)
class Figure:
    """One line of the result. cpu_seconds is of the whole process, per run; peak_bytes is the largest of any run."""

    what: str
    median_seconds: float
    least_seconds: float
    cpu_seconds: float
    peak_bytes: int
    per_second: float | None = None


@dataclass(frozen=True)
class Run:
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    out: str


class CommandFailedError(RuntimeError):
    """A measured command did not succeed, so there is no time to report."""


def run(command: Sequence[str]) -> Run:
    """Run a command to its end and account for it and for whatever it started."""
    with tempfile.TemporaryFile() as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode("utf-8", "replace")
    if process.returncode != 0:
        raise CommandFailedError(f"{' '.join(command)}\nexit status {process.returncode}\n{text}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * KIB, text)


def process_figure(what: str, command: Sequence[str], runs: int) -> Figure:
    """A command as a whole; a first run that fills the caches does not count."""
    run(command)
    done = [run(command) for _ in range(runs)]
    seconds = [one.seconds for one in done]
    return Figure(
        what,
        statistics.median(seconds),
        min(seconds),
        statistics.median(one.cpu_seconds for one in done),
        max(one.peak_bytes for one in done),
    )


def python(*words: str) -> tuple[str, ...]:
    return (sys.executable, *words)


def spelling_seconds() -> float:
    """The best of three: work of the kind that the compiler does most."""
    values = [random.Random(17).gauss(0, 1) for _ in range(SPELLED)]
    times = []
    for _ in range(3):
        start = time.perf_counter()
        ",".join([value.hex() for value in values])
        times.append(time.perf_counter() - start)
    return min(times)


def yardsticks(runs: int) -> dict[str, float]:
    """Seconds of fixed work on this machine, now."""
    return {
        "python": process_figure("python", python("-c", "pass"), runs).median_seconds,
        "numpy": process_figure("numpy", python("-c", "import numpy"), runs).median_seconds,
        "spelling": spelling_seconds(),
    }


def command_figures(folder: Path, runs: int) -> list[Figure]:
    """The commands as a user types them, which build and measure too where there is a compiler, and without that."""
    aprgen = python("-m", "aprgen")
    figures = [process_figure("aprgen --help", (*aprgen, "--help"), runs)]
    for name in MODELS:
        command = (*aprgen, "compile", str(folder / f"{name}.apr"), "-o", str(folder / name), "--name", name)
        figures.append(process_figure(f"aprgen compile {name}", command, runs))
        figures.append(process_figure(f"aprgen compile {name} --no-measure", (*command, "--no-measure"), runs))
    return figures


def inner_figure(name: str, file: Path, runs: int) -> tuple[Figure, dict[str, object]]:
    """Compiling within one process, and the sizes of what comes out."""
    done = run(python(str(HERE / "inside.py"), "model", str(file), str(runs)))
    found = json.loads(done.out)
    seconds = found.pop("seconds")
    figure = Figure(f"in process, {name}", statistics.median(seconds), min(seconds), done.cpu_seconds, done.peak_bytes)
    return figure, found


def batch_figure(count: int, workers: int) -> Figure:
    done = run(python(str(HERE / "inside.py"), "batch", str(count), str(workers)))
    seconds = json.loads(done.out)["seconds"]
    what = f"batch, {workers} process{'es' if workers > 1 else ''}"
    return Figure(what, seconds, seconds, done.cpu_seconds, done.peak_bytes, count / seconds)


def measure(effort: Effort, folder: Path, *, quick: bool) -> dict[str, object]:
    """Everything, as JSON has it."""
    load = os.getloadavg()[0]
    run(python(str(HERE / "models.py"), str(folder), *(["quick"] if quick else [])))
    sticks = yardsticks(effort.process_runs)
    figures = command_figures(folder, effort.process_runs)
    sizes: dict[str, object] = {}
    for name in MODELS:
        figure, sizes[name] = inner_figure(name, folder / f"{name}.apr", effort.inner_runs)
        figures.append(figure)
    figures += [batch_figure(effort.batch_models, workers) for workers in (1, 2)]
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "quick": quick,
        "machine": {
            "python": platform.python_version(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "system": platform.system(),
            "load": load,
        },
        "yardstick_seconds": sticks,
        "figures": [described(figure, sticks) for figure in figures],
        "batch_models": effort.batch_models,
        "asked_later_per_second": ASKED_LATER,
        "sizes": sizes,
    }


def described(figure: Figure, sticks: dict[str, float]) -> dict[str, object]:
    asked = ASKED.get(figure.what, Asked())
    met: bool | None = None
    if asked.seconds is not None:
        met = figure.median_seconds <= asked.seconds
    elif asked.per_second is not None and figure.per_second is not None:
        met = figure.per_second >= asked.per_second
    return {
        **asdict(figure),
        "yardsticks": {name: figure.median_seconds / seconds for name, seconds in sticks.items()},
        "asked_seconds": asked.seconds,
        "asked_per_second": asked.per_second,
        "met": met,
    }


def shown_time(seconds: float) -> str:
    return f"{seconds:.3f} s" if seconds >= 0.1 else f"{seconds * 1000:.2f} ms"


def shown_asked(line: dict[str, object]) -> str:
    if line["met"] is None:
        return ""
    limit = f"{line['asked_seconds']} s" if line["asked_seconds"] is not None else f"{line['asked_per_second']}/s"
    return f"{limit}: {'met' if line['met'] else 'MISSED'}"


def print_table(result: dict[str, object]) -> None:
    sticks, lines, sizes = result["yardstick_seconds"], result["figures"], result["sizes"]
    assert isinstance(sticks, dict)
    assert isinstance(lines, list)
    assert isinstance(sizes, dict)
    machine = result["machine"]
    assert isinstance(machine, dict)
    if machine["load"] > machine["cores"] / 2:
        print(
            f"other programs are running (load {machine['load']:.1f}, {machine['cores']} cores): compare cpu, not time"
        )
    print("yardsticks: " + ", ".join(f"{name} {shown_time(seconds)}" for name, seconds in sticks.items()))
    print(f"\n{'':<36}{'median':>10}{'least':>10}{'cpu':>10}{'peak':>9}{'x numpy':>9}{'per s':>8}  asked")
    for line in lines:
        rate = f"{line['per_second']:.0f}" if line["per_second"] is not None else ""
        print(
            f"{line['what']:<36}{shown_time(line['median_seconds']):>10}{shown_time(line['least_seconds']):>10}"
            f"{shown_time(line['cpu_seconds']):>10}{line['peak_bytes'] / KIB / KIB:>6.0f} MB"
            f"{line['yardsticks']['numpy']:>9.3f}{rate:>8}  {shown_asked(line)}".rstrip()
        )
    print(f"\n{result['batch_models']} models in a batch; {ASKED_LATER} per second are asked for later.")
    for name, size in sizes.items():
        c = ", ".join(f"{file} {count}" for file, count in size["c_bytes"].items())
        print(f"{name}: {size['model_bytes']} bytes of model, {size['table_bytes']} of tables; {c}")


def main() -> int:
    parser = argparse.ArgumentParser(description="How fast the compiler is, and how much memory it takes.")
    parser.add_argument("--quick", action="store_true", help="few runs and smaller models: does the benchmark work?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aprgen-") as folder:
        try:
            result = measure(QUICK if given.quick else FULL, Path(folder), quick=given.quick)
        except CommandFailedError as error:
            print(error, file=sys.stderr)
            return 1
    print_table(result)
    if given.json is not None:
        given.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
