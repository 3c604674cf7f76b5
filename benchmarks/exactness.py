"""C against Program.run() on wide targets, bit for bit: edge rows and 100,000 random rows of every kind of model.

    python benchmarks/exactness.py [--target NAME ...] [--model NAME ...] [--numeric MODE ...] [--tools NAME ...]
                                   [--rows N] [--fixtures] [--json FILE]
    python benchmarks/exactness.py --quick     # a few models and rows: does the benchmark work?

Targets are those with kernels for many rows, on their runners: this machine, QEMU for NEON, node or wasmtime for
WebAssembly. Models are made from a seed (wide_models.py) so that all parts of the kernels are reached; --fixtures adds
those of tests/data. Functions of one row and of many rows are compared. Where the target's code runs in this process,
results must also not depend on how rows are given: 1 to 130 of them, rows that begin at any float, and two and three
threads; and gcc's address and undefined-behaviour sanitizers must find nothing while every number of rows from 0 to 130
is computed in buffers without a byte to spare. Random rows are fewer where they would take more than 64 MB.

Status 1 when a bit differs, a sanitizer reports, code cannot be built or a run fails, or nothing could run; what has no
compiler or runner here is listed with its reason.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from here import finish, report_file, write_report
from numpy.typing import NDArray
from wide_models import MODELS

from aprgen.accuracy import Calibration
from aprgen.build import build_artifact, load_into_process
from aprgen.core import INTEGER_MODES, NUMERIC_MODES, Artifact, Options, artifact_of, plan_model
from aprgen.errors import AprgenError, UnsupportedError
from aprgen.loaded import Loaded, check_model, load_model
from aprgen.program import Array
from aprgen.rows import edge_rows, random_rows
from aprgen.runners.execution import BatchOutput
from aprgen.runners.shared import SharedImage, why_not_here
from aprgen.target import Target, load_target, target_names
from aprgen.toolchain import find_toolchain
from aprgen.verify import same_bits

SCHEMA = "aprgen.benchmarks.exactness"
VERSION = 1
FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "data" / "apr"
RANDOM = 100_000
EDGES = 3_000
MOST_BYTES = 64 * 1024 * 1024  # of random rows
CALIBRATION = 500
SECONDS = 900.0  # of a run on an emulator
COUNTS = range(1, 131)
SANITIZED_ROWS = 130
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1", "-g")
ABSENT = ("toolchain.missing", "toolchain.preference", "runner.missing", "runner.preference")  # codes of errors
QUICK = ("forest_shallow", "network_odd", "k_means_many")

Labels = NDArray[np.int32] | None


@dataclass(frozen=True, eq=False)
class Tried:
    """A model and its rows, edge rows first."""

    name: str
    loaded: Loaded
    rows: NDArray[np.float32]
    n_edges: int


@dataclass(frozen=True)
class Figure:
    """Rows that differ from Program.run(); None: not tried, and why stands in `notes`."""

    model: str
    target: str
    numeric: str
    tool: str
    rows: int
    one_row: int | None
    many_rows: int | None
    splits: int | None  # of numbers of rows, places and threads
    sanitizers: bool | None  # found nothing
    seconds: float
    kernels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    broken: bool = False  # a compiler or a run failed

    @property
    def tried(self) -> bool:
        return self.one_row is not None

    @property
    def passed(self) -> bool:
        """Nothing that was tried differs or failed."""
        differing = self.one_row or self.many_rows or self.splits
        return not self.broken and not differing and self.sanitizers is not False


def tried(name: str, data: bytes, n_rows: int) -> Tried:
    loaded = load_model(data)
    check_model(loaded.model)
    program = loaded.model.lower()
    if program.source.element != "f32":
        raise UnsupportedError("exactness.text", "it reads texts, of which blocks know nothing", where=name)
    fitting = min(n_rows, MOST_BYTES // (4 * program.n_features))
    edges = edge_rows(program, min(EDGES, n_rows)).values
    rows = np.concatenate([edges, random_rows(program, fitting).values])
    return Tried(name, loaded, np.ascontiguousarray(rows), len(edges))


def models(names: Sequence[str], n_rows: int, *, fixtures: bool) -> Iterator[Tried]:
    for name in names:
        yield tried(name, MODELS[name](), n_rows)
    for path in sorted(FIXTURES.glob("*/*.apr")) if fixtures else ():
        try:
            one = tried(path.stem, path.read_bytes(), n_rows)
        except AprgenError as error:  # encrypted, not fitted, nothing that predicts, or a reader of texts
            print(f"{path.stem}: left out, {error.what}", flush=True)
            continue
        yield one


def options_of(one: Tried, numeric: str) -> Options:
    calibration = None
    if numeric in INTEGER_MODES:
        calibration = Calibration(one.rows[one.n_edges :][:CALIBRATION], "random rows")
    return Options("m", numeric, calibration)


def differing(scores: Array, labels: Labels, expected: Array, expected_labels: Labels) -> int:
    """Rows whose scores or label are not those that are expected."""
    bad = ~same_bits(scores, expected).all(axis=1)
    if expected_labels is not None:
        bad |= True if labels is None else labels != expected_labels
    return int(bad.sum())


def figure_of(one: Tried, target: Target, numeric: str, tools: str) -> Figure | None:
    """None: the target or the model has no such mode."""
    began = time.monotonic()
    try:
        options = options_of(one, numeric)
        plan = plan_model(one.loaded, target, options)
    except UnsupportedError as error:
        print(f"{one.name} {target.name} {numeric}: {error.what}", flush=True)
        return None
    artifact = artifact_of(one.loaded, plan.lowered, plan.program, target, options, plan.accuracy)
    notes: list[str] = []
    expected, expected_labels = plan.lowered.run(one.rows), plan.lowered.classify(one.rows)
    found: dict[str, int | None] = {"one_row": None, "many_rows": None, "splits": None}
    tool, broken = tools, False
    try:
        tool = find_toolchain(target, tools).name
        execution = build_artifact(artifact, tools=tools).run(one.rows, count=False, seconds=SECONDS)
        found["one_row"] = differing(execution.scores, execution.labels, expected, expected_labels)
        batch: BatchOutput | None = execution.batch
        if batch is not None:
            found["many_rows"] = differing(batch.scores, batch.labels, expected, expected_labels)
        else:
            notes.append("; ".join(execution.notes) or "functions of many rows repeat those of one row")
    except AprgenError as error:
        notes.append(error.what)
        broken = error.code not in ABSENT
    clean = None
    if why_not_here(target):
        notes.append(f"not in this process: {why_not_here(target)}")
    else:
        library = load_into_process(artifact, tools=tools)
        found["splits"] = _splits(library, one.rows, expected, expected_labels)
        clean = _sanitized(artifact, target, np.take(one.rows, range(-SANITIZED_ROWS, 0), axis=0, mode="wrap"), notes)
    kernels = tuple(plan.program.steps[index].op.kernel for index in plan.program.in_code())
    return Figure(
        one.name, target.name, numeric, tool, len(one.rows), found["one_row"], found["many_rows"], found["splits"],
        clean, time.monotonic() - began, kernels, tuple(notes), broken,
    )  # fmt: skip


def _splits(library: SharedImage, rows: NDArray[np.float32], expected: Array, labels: Labels) -> int:
    """Rows that differ when few are given at once, from any place in memory, or to several threads."""
    bad, at = 0, 0
    n = rows.shape[1]
    for count in COUNTS:
        apart = np.zeros(count * n + 16, np.float32)
        own = apart[count % 16 :][: count * n].reshape(count, n)
        own[:] = np.take(rows, range(at, at + count), axis=0, mode="wrap")
        wanted = np.take(expected, range(at, at + count), axis=0, mode="wrap")
        own_labels = None if labels is None else np.take(labels, range(at, at + count), mode="wrap")
        bad += differing(library.predict(own), library.classify(own), wanted, own_labels)
        at += count
    for threads in (2, 3):
        bad += differing(library.predict(rows, threads), library.classify(rows, threads), expected, labels)
    return bad


_EXACT_BUFFERS = """
#include "m.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    FILE *const file = fopen("rows.bin", "rb");
    for (size_t n = 0U; n <= 130U; ++n) {
        float *const x = malloc((n * M_N_FEATURES * sizeof *x) + (n == 0U));
        float *const y = malloc((n * M_N_OUTPUTS * sizeof *y) + (n == 0U));
        int32_t *const labels = malloc((n * sizeof *labels) + (n == 0U));
        rewind(file);
        if (fread(x, sizeof *x, n * M_N_FEATURES, file) != n * M_N_FEATURES) {
            return 2;
        }
        m_predict_batch(x, n, y);
        CLASSIFY
        if (n > 0U) {
            m_scores(x, y);
        }
        free(labels);
        free(y);
        free(x);
    }
    fclose(file);
    return 0;
}
"""


def _sanitized(artifact: Artifact, target: Target, rows: Array, notes: list[str]) -> bool:
    """Whether gcc's sanitizers find nothing; what they find is noted."""
    classifies = artifact.program.label is not None
    calls = "m_classify_batch(x, n, labels); if (n > 0U) { labels[0] = m_classify(x); }" if classifies else ""
    with tempfile.TemporaryDirectory(prefix="aprgen-") as name:
        folder = Path(name)
        for file, text in artifact.texts.items():
            (folder / file).write_text(text, encoding="utf-8")
        (folder / "main.c").write_text(_EXACT_BUFFERS.replace("CLASSIFY", calls), encoding="utf-8")
        (folder / "rows.bin").write_bytes(np.ascontiguousarray(rows).tobytes())
        rule = next(rule for rule in target.builds if rule.name == "gcc")
        sources = sorted(file for file in artifact.texts if file.endswith(".c") and not file.endswith("_selftest.c"))
        flags = ("-std=c99", *target.exact_flags, *rule.cflags, *SANITIZERS)
        subprocess.run([rule.programs[0], *flags, *sources, "main.c", "-o", "main", "-lm"], cwd=folder, check=True)
        done = subprocess.run(["./main"], cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        notes.append(f"sanitizers, status {done.returncode}: {done.stderr[:400]}")
    return done.returncode == 0


# Printing.


def line_of(one: Figure) -> str:
    def shown(value: int | None) -> str:
        return "-" if value is None else f"{value:,}"

    clean = {None: "-", True: "clean", False: "REPORT"}[one.sanitizers]
    words = (
        f"{one.model:21} {one.target:17} {one.numeric:8} {one.rows:8,} {shown(one.one_row):>8} "
        f"{shown(one.many_rows):>9} {shown(one.splits):>7} {clean:>10} {one.seconds:7.1f}"
    )
    return "\n".join((words, *(f"    {note}" for note in one.notes)))


def wide_targets() -> tuple[str, ...]:
    return tuple(name for name in target_names() if load_target(name).batch is not None)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--target", nargs="+", default=wide_targets())
    parser.add_argument("--model", nargs="+", default=tuple(MODELS), choices=tuple(MODELS))
    parser.add_argument("--numeric", nargs="+", default=("f32",), choices=NUMERIC_MODES)
    parser.add_argument("--tools", nargs="+", default=("auto",), help="compilers by name: gcc, clang, zig")
    parser.add_argument("--rows", type=int, default=RANDOM)
    parser.add_argument("--fixtures", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=report_file)
    chosen = parser.parse_args(arguments)
    names, n_rows = (QUICK, 300) if chosen.quick else (chosen.model, chosen.rows)
    print(
        f"{'model':21} {'target':17} {'numeric':8} {'rows':>8} {'one row':>8} {'many rows':>9} {'splits':>7} "
        f"{'sanitizers':>10} {'seconds':>7}",
        flush=True,
    )
    figures: list[Figure] = []
    for one in models(names, n_rows, fixtures=chosen.fixtures):
        for name in chosen.target:
            for numeric in chosen.numeric:
                for tools in chosen.tools:
                    figure = figure_of(one, load_target(name), numeric, tools)
                    if figure is not None:
                        figures.append(figure)
                        print(line_of(figure), flush=True)
    failed = [one for one in figures if not one.passed]
    idle = [one for one in figures if not one.tried and not one.broken]
    print(
        f"{len(figures)} combinations, {len(failed)} that differ, fail or have a report, "
        f"{len(idle)} that could not run"
    )  # fmt: skip
    write_report(chosen.json, SCHEMA, VERSION, [asdict(one) for one in figures])
    return 1 if failed or len(idle) == len(figures) else 0


if __name__ == "__main__":
    sys.exit(finish(lambda: main(sys.argv[1:])))
