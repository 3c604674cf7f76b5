"""Millions of traced runs against the bounds: no run may take longer, and no loop may run more often than it says.

    python benchmarks/wcet_runs.py [--runs N] [--quick] [--core NAME ...] [--model NAME ...] [--json FILE]

Builds the recorded fixtures that take rows of numbers for each core, bounds NAME_scores and NAME_classify, and runs
both under QEMU with the plugin that records executed blocks, until N calls (10 million) are spread evenly over all
functions that have a bound. A call is costed with the same timing table as the bound, worst case, and its marks of
loops are counted again; calls faster than the least bound of any path count as violations, too. Rows are random, at
the edges of the model's decisions and mixed from those, and any bits at all; the witness of forests is always among
them. Prints a line per function, and ends with status 1 when there is a violation. --quick runs 20,000 calls of a few
models; it shows that the benchmark works.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aprgen.core import Artifact, Options, compile_model, load_model
from aprgen.errors import AprgenError, UnsupportedError
from aprgen.image import Image, build_image
from aprgen.measured import model_facts
from aprgen.rows import edge_rows, random_rows
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain
from aprgen.wcet.bounds import bound_program
from aprgen.wcet.cfg import build_graphs
from aprgen.wcet.code import read_code
from aprgen.wcet.forests import forests
from aprgen.wcet.marks import Mark, read_marks
from aprgen.wcet.memory import Memory
from aprgen.wcet.observe import observe
from aprgen.wcet.recording import record_calls
from aprgen.wcet.timing import Timing, load_timing
from aprgen.wcet.trace import Executed, executed_code

SCHEMA = "aprgen.benchmarks.wcet_runs"
SCHEMA_VERSION = 1
CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33")
QUICK_MODELS = ("kmeans", "linreg", "rfc")
FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "data" / "apr"
FOLDERS = ("real", "extended", "v2")
RUNS = 10_000_000
QUICK_RUNS = 20_000
BATCH_ROWS = 50_000
BATCH_VALUES = 2_000_000  # of all features together, so that wide rows do not fill the memory
SHOWN = 5  # violations of one function
RUN_SECONDS = 1800.0
MEMORY = Memory(0, 4)
NO_CASES = "unfitted"  # fixtures without a model in them
_Floats = NDArray[np.float32]


@dataclass
class Tally:
    """One function of one image, and what its calls took. least: what every path takes, with the best table."""

    model: str
    core: str
    function: str
    bound: int
    least: int
    runs: int = 0
    high_maximum: int = 0
    high_minimum: int = sys.maxsize
    low_minimum: int = sys.maxsize
    facts_checked: tuple[str, ...] = ()
    n_violations: int = 0
    violations: list[str] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return self.bound / self.high_maximum


@dataclass(frozen=True)
class Refused:
    """A function without a bound, and why."""

    model: str
    core: str
    function: str
    why: str


@dataclass(frozen=True, eq=False)
class Subject:
    """An image with at least one bound. always: rows that every batch has."""

    artifact: Artifact
    image: Image
    executed: Executed
    marks: tuple[Mark, ...]
    timing: Timing
    always: _Floats
    edges: _Floats
    tallies: tuple[Tally, ...]


def models(chosen: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """The fixtures that are files of models; of all when none is chosen."""
    for folder in FOLDERS:
        for path in sorted((FIXTURES / folder).glob("*.apr")):
            if (path.stem in chosen) if chosen else not path.stem.startswith(NO_CASES):
                yield path.stem, path.read_bytes()


def artifacts(chosen: Sequence[str], core: str) -> Iterator[Artifact]:
    """Those that can be compiled and take rows; the tests say which these must be."""
    for name, data in models(chosen):
        try:
            artifact = compile_model(load_model(data), load_target(core), Options(name))
        except AprgenError:
            continue
        if model_facts(artifact).kind == "row":
            yield artifact


def prepare(artifact: Artifact, core: str, work: Path) -> tuple[Subject | None, list[Refused]]:
    """Build and bound; the second value are the functions without a bound."""
    toolchain = find_toolchain(artifact.target, "system")
    facts = model_facts(artifact)
    image = build_image(artifact.target, toolchain, artifact.texts, facts, work, marks=True)
    code, marks, timing = read_code(image.program), read_marks(image.program), load_timing(core)
    trees = forests(artifact)
    totals = {one.loop: one.walk.upper for one in trees}
    tallies, refused = [], []
    for function in facts.functions:
        symbol = facts.symbol(function)
        try:
            graphs = build_graphs(code, [symbol])
            program = bound_program(code, graphs, symbol, marks, timing, MEMORY, totals)
        except UnsupportedError as error:
            refused.append(Refused(artifact.name, core, function, error.what))
            continue
        tallies.append(Tally(artifact.name, core, function, program.cycles, program.best))
    if not tallies:
        return None, refused
    witnesses = [one.walk.witness[np.newaxis] for one in trees]
    always = np.concatenate([np.zeros((1, facts.n_features), np.float32), *witnesses]).astype(np.float32)
    edges = edge_rows(artifact.program, 2000).values
    return Subject(artifact, image, executed_code(code), marks, timing, always, edges, tuple(tallies)), refused


def rows_of_batch(subject: Subject, count: int, seed: int) -> _Floats:
    """`count` rows: those that are always there, edges, mixtures of edges, any bits, and random ones."""
    generator = np.random.default_rng(seed)
    edges, n = subject.edges, subject.edges.shape[1]
    quarter = max(1, count // 4)
    columns = np.arange(n)
    mixed = edges[generator.integers(len(edges), size=(quarter, n)), columns]
    bits = generator.integers(0, 2**32, (quarter // 2, n), dtype=np.uint32).view(np.float32)
    chosen = edges[generator.integers(len(edges), size=quarter // 2)]
    parts = [subject.always, chosen, mixed, bits]
    left = max(0, count - sum(len(part) for part in parts))
    rows = np.concatenate([*parts, random_rows(subject.artifact.program, left, seed % 2**32).values])
    return np.ascontiguousarray(rows[:count], np.float32)


def run_batch(subject: Subject, rows: _Floats) -> None:
    """Trace the rows through all functions, and add what they took to the tallies."""
    traces = record_calls(subject.image, rows, seconds=RUN_SECONDS)
    for tally in subject.tallies:
        seen = observe(
            traces[tally.function], subject.executed, subject.timing, MEMORY, subject.marks, tally.bound
        )  # fmt: skip
        tally.runs += seen.n_runs
        tally.high_maximum = max(tally.high_maximum, int(seen.high.max()))
        tally.high_minimum = min(tally.high_minimum, int(seen.high.min()))
        tally.low_minimum = min(tally.low_minimum, int(seen.low.min()))
        tally.facts_checked = tuple(sorted({*tally.facts_checked, *seen.facts_checked}))
        found = [f"{one} {rows[one.run].tolist()}" for one in seen.violations]
        if int(seen.low.min()) < tally.least:
            found.append(f"a call took {int(seen.low.min())} cycles at best, less than the {tally.least} of any path")
        tally.n_violations += len(found)
        tally.violations += found[: SHOWN - len(tally.violations)]


def measure(subjects: Sequence[Subject], runs: int) -> None:
    """Spread the runs evenly over all functions, and print each image's lines as soon as its runs are done."""
    per_function = -(-runs // sum(len(subject.tallies) for subject in subjects))
    print(
        f"{'model':24} {'core':14} {'function':9} {'bound':>9} {'seen':>9} {'ratio':>6} {'runs':>10} loops violations"
    )
    for subject in subjects:
        most = max(1, min(BATCH_ROWS, BATCH_VALUES // max(1, subject.image.model.n_features)))
        done = 0
        while done < per_function:
            count = min(most, per_function - done)
            run_batch(subject, rows_of_batch(subject, max(count, len(subject.always)), seed=done))
            done += count
        for one in subject.tallies:
            print(
                f"{one.model:24} {one.core:14} {one.function:9} {one.bound:9} {one.high_maximum:9} {one.ratio:6.3f} "
                f"{one.runs:10,} {len(one.facts_checked):5} {one.n_violations:10}",
                flush=True,
            )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=None, help=f"calls in all, {RUNS:,} when not given")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RUNS:,} calls of {', '.join(QUICK_MODELS)}")
    parser.add_argument("--core", action="append", choices=CORES, help="only this core; may be repeated")
    parser.add_argument("--model", action="append", help="only this fixture; may be repeated")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args(arguments)
    chosen = options.model or (QUICK_MODELS if options.quick else ())
    runs = options.runs or (QUICK_RUNS if options.quick else RUNS)
    subjects: list[Subject] = []
    refused: list[Refused] = []
    with tempfile.TemporaryDirectory(prefix="wcet-runs-") as name:
        for core in options.core or CORES:
            for artifact in artifacts(chosen, core):
                subject, without = prepare(artifact, core, Path(name) / f"{artifact.name}-{core}")
                subjects += [] if subject is None else [subject]
                refused += without
        if not subjects:
            print("no function has a bound", file=sys.stderr)
            return 1
        start = time.perf_counter()
        measure(subjects, runs)
        seconds = time.perf_counter() - start
    tallies = [tally for subject in subjects for tally in subject.tallies]
    for one in refused:
        print(f"no bound: {one.model} {one.core} {one.function}: {one.why}")
    violations = [f"{one.model} {one.core}: {text}" for one in tallies for text in one.violations]
    n_runs, n_violations = sum(one.runs for one in tallies), sum(one.n_violations for one in tallies)
    ratios = sorted(one.ratio for one in tallies)
    for text in violations:
        print(text)
    print(
        f"{n_runs:,} traced runs of {len(tallies)} functions in {seconds:.0f} s, {n_runs / seconds:,.0f} per second: "
        f"{n_violations} violations; bound / seen: median {ratios[len(ratios) // 2]:.3f}, worst {ratios[-1]:.3f}"
    )
    if options.json is not None:
        figures = {
            "schema": SCHEMA,
            "version": SCHEMA_VERSION,
            "runs": n_runs,
            "seconds": seconds,
            "violations": n_violations,
            "functions": [{**asdict(one), "ratio": one.ratio} for one in tallies],
            "refused": [asdict(one) for one in refused],
        }
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 1 if n_violations else 0


if __name__ == "__main__":
    sys.exit(main())
