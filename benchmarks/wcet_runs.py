"""Millions of traced runs against the bounds: no run may take longer, and no loop may run more often than it says.

    python benchmarks/wcet_runs.py [--runs N] [--quick] [--core NAME ...] [--model NAME ...] [--state FILE]
                                   [--json FILE]

Builds the recorded fixtures that take rows of numbers for each core, bounds NAME_scores and NAME_classify, and runs
both under QEMU with the plugin that records executed blocks, until N calls (10 million) are spread over all functions
that have a bound: evenly, but that slow functions get fewer. A call is costed with the same timing table as the bound,
worst case, and its marks of loops are counted again; calls faster than the least bound of any path count as violations,
too, and so does paint of a run on the target below the bound of the stack. Rows are random, at the edges of the model's
decisions and mixed from those, and any bits at all; the witness of forests is always among them.

Prints a line per function and a table of bound / worst seen per core and kind of model, and ends with status 1 when
there is a violation. With --state, what was run is kept there after every batch, and the next call with that file goes
on; counts of another image or another bound are thrown away. --quick runs 20,000 calls of a few models; it shows that
the benchmark works.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path

import numpy as np
from here import finish, report_file
from numpy.typing import NDArray

from aprgen.core import Artifact, Options, compile_model
from aprgen.errors import AprgenError, UnsupportedError
from aprgen.image import Image, build_image
from aprgen.loaded import load_model
from aprgen.measured import model_facts
from aprgen.ops.distance import Neighbours
from aprgen.ops.trees import TreeOp
from aprgen.rows import edge_rows, random_rows
from aprgen.runners.choose import runner_for
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain
from aprgen.wcet.bounds import bound_program
from aprgen.wcet.cfg import build_graphs
from aprgen.wcet.code import read_code
from aprgen.wcet.forests import WALK_SECONDS, forests, witnessed
from aprgen.wcet.marks import Mark, read_marks
from aprgen.wcet.memory import Memory
from aprgen.wcet.observe import observe
from aprgen.wcet.recording import record_calls
from aprgen.wcet.selections import dear_rows, selection_totals
from aprgen.wcet.stack import stack_bound
from aprgen.wcet.timing import Timing, load_timing
from aprgen.wcet.trace import Executed, executed_code
from aprgen.wcet.worst_row import Solved

SCHEMA = "aprgen.benchmarks.wcet_runs"
SCHEMA_VERSION = 2
CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33")
# Kinds whose calls may take different paths through loops; all others run each loop as often as it says.
SEVERAL_PATHS = ("trees", "neighbours")
QUICK_MODELS = ("kmeans", "linreg", "rfc")
FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "data" / "apr"
FOLDERS = ("real", "extended", "v2")
RUNS = 10_000_000
QUICK_RUNS = 20_000
BATCH_ROWS = 50_000
BATCH_VALUES = 2_000_000  # of all features together, so that wide rows do not fill the memory
SHOWN = 5  # violations of one function
FEWEST_RUNS = 2_000  # of a function, however slow it is
MOST_SHARE = 6  # times the average, however fast
PAINTED_ROWS = 100
RUN_SECONDS = 1800.0
MEMORY = Memory(0, 4)
NO_CASES = "unfitted"  # fixtures without a model in them
_Floats = NDArray[np.float32]


@dataclass
class Tally:
    """One function of one image, and what its calls took. least: what every path takes, with the best table.

    painted: stack that runs on the target wrote, of `stack` bytes that it may take; None when no run said so.
    """

    model: str
    core: str
    function: str
    kind: str
    image: str  # digest of the program
    bound: int
    least: int
    stack: int = 0
    painted: int | None = None
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

    @property
    def cost(self) -> int:
        """Cycles of one row, in all functions."""
        return sum(max(1, tally.bound) for tally in self.tallies)


def kind_of(artifact: Artifact) -> str:
    """What its times depend on: the walks of trees, the order of neighbours, or the family alone."""
    ops = [step.op for step in artifact.program.steps]
    if any(isinstance(op, TreeOp) for op in ops):
        return "trees"
    return "neighbours" if any(isinstance(op, Neighbours) for op in ops) else str(artifact.model.family)


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
    digest = hashlib.sha256(image.program.read_bytes()).hexdigest()
    steps = cache(lambda: forests(artifact))
    witnesses: list[_Floats] = []
    solved: tuple[Solved, ...] = ()
    tallies, refused = [], []
    for function in facts.functions:
        symbol = facts.symbol(function)
        try:
            graphs = build_graphs(code, [symbol])
            bounded = partial(bound_program, code, graphs, symbol, marks, timing, MEMORY)
            program = bounded(selection_totals(artifact))
            worst = witnessed(
                artifact, code, marks, program, function, bounded, steps, seconds=WALK_SECONDS, before=solved
            )
        except UnsupportedError as error:
            refused.append(Refused(artifact.name, core, function, error.what))
            continue
        if worst is not None:
            program, solved = worst.program, worst.solved
            witnesses.append(worst.witness[np.newaxis])
        tally = Tally(artifact.name, core, function, kind_of(artifact), digest, program.cycles, program.best)
        tally.stack = stack_bound(graphs, symbol).total_bytes
        tallies.append(tally)
    if not tallies:
        return None, refused
    zeros = np.zeros((1, facts.n_features), np.float32)
    always = np.concatenate([zeros, dear_rows(artifact), *witnesses]).astype(np.float32)
    edges = edge_rows(artifact.program, 2000).values
    painted = runner_for(artifact.target, "system").run(image, edges[:PAINTED_ROWS], count=False).stack_bytes
    for tally in tallies:
        tally.painted = painted.get(tally.function)
        if tally.painted is not None and tally.painted > tally.stack:
            tally.n_violations += 1
            tally.violations.append(f"a run wrote {tally.painted} bytes of stack, more than the bound of {tally.stack}")
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


def rows_each(subjects: Sequence[Subject], runs: int) -> list[int]:
    """Rows of each subject so that all calls together are as many as asked for: as many cycles for each, within
    limits for very slow and very fast ones."""
    share = max(1, runs // sum(len(subject.tallies) for subject in subjects))

    def rows(cycles: float) -> list[int]:
        return [
            round(min(max(cycles / subject.cost, min(share, FEWEST_RUNS)), MOST_SHARE * share)) for subject in subjects
        ]

    def calls(cycles: float) -> int:
        return sum(n * len(subject.tallies) for n, subject in zip(rows(cycles), subjects, strict=True))

    low, high = 0.0, float(runs * max(subject.cost for subject in subjects))
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if calls(middle) >= runs else (middle, high)
    return rows(high)


def restored(subjects: Sequence[Subject], state: Path | None) -> None:
    """What the file says of the same images and bounds goes into the tallies."""
    if state is None or not state.exists():
        return
    kept = {(one["model"], one["core"], one["function"]): one for one in json.loads(state.read_text(encoding="utf-8"))}
    for subject in subjects:
        found = [kept.get((one.model, one.core, one.function), {}) for one in subject.tallies]
        same = all(
            (was.get("image"), was.get("bound"), was.get("least")) == (one.image, one.bound, one.least)
            for was, one in zip(found, subject.tallies, strict=True)
        )
        for was, one in zip(found, subject.tallies, strict=True):
            for name, value in was.items() if same else ():
                setattr(one, name, tuple(value) if name == "facts_checked" else value)


def keep(subjects: Sequence[Subject], state: Path | None) -> None:
    """Write all tallies; an interrupted write leaves the former file."""
    if state is not None:
        beside = state.with_suffix(".new")
        beside.write_text(json.dumps([asdict(one) for subject in subjects for one in subject.tallies]), "utf-8")
        beside.replace(state)


def measure(subjects: Sequence[Subject], runs: int, state: Path | None = None) -> None:
    """Spread the runs over all functions, and print each image's lines as soon as its runs are done."""
    print(
        f"{'model':24} {'core':14} {'function':9} {'bound':>9} {'seen':>9} {'ratio':>6} {'runs':>10} loops stack paint "
        "violations"
    )
    for subject, rows in zip(subjects, rows_each(subjects, runs), strict=True):
        most = max(1, min(BATCH_ROWS, BATCH_VALUES // max(1, subject.image.model.n_features)))
        done = min(one.runs for one in subject.tallies)
        while done < rows:
            count = max(min(most, rows - done), len(subject.always))
            run_batch(subject, rows_of_batch(subject, count, seed=done))
            done += count
            keep(subjects, state)
        for one in subject.tallies:
            painted = "-" if one.painted is None else one.painted
            print(
                f"{one.model:24} {one.core:14} {one.function:9} {one.bound:9} {one.high_maximum:9} {one.ratio:6.3f} "
                f"{one.runs:10,} {len(one.facts_checked):5} {one.stack:5} {painted:>5} "
                f"{one.n_violations:10}",
                flush=True,
            )


@dataclass(frozen=True)
class Line:
    """Functions of one kind on one core, or of several. stack_excess: bound - paint at most."""

    core: str
    kind: str
    kernels: int
    functions: int
    median: float
    worst: float
    worst_model: str
    stack_excess: int


def table(tallies: Sequence[Tally]) -> tuple[Line, ...]:
    """A line per core and kind, one per core for all kinds with a single path, and one for all cores."""
    lines = []
    for core in (*dict.fromkeys(one.core for one in tallies), "all"):
        here = [one for one in tallies if core in (one.core, "all") and one.runs]
        kinds = sorted({one.kind for one in here})
        groups = {kind: [one for one in here if one.kind == kind] for kind in (kinds if core != "all" else ())}
        groups["single path"] = [one for one in here if one.kind not in SEVERAL_PATHS]
        groups["all"] = here
        lines += [_line(core, kind, group) for kind, group in groups.items() if group]
    return tuple(lines)


def _line(core: str, kind: str, tallies: Sequence[Tally]) -> Line:
    ordered = sorted(tallies, key=lambda one: one.ratio)
    excess = max((one.stack - one.painted for one in tallies if one.painted is not None), default=0)
    kernels = len({(one.model, one.core) for one in tallies})
    median = statistics.median(one.ratio for one in tallies)
    return Line(core, kind, kernels, len(tallies), median, ordered[-1].ratio, ordered[-1].model, excess)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=None, help=f"calls in all, {RUNS:,} when not given")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RUNS:,} calls of {', '.join(QUICK_MODELS)}")
    parser.add_argument("--core", action="append", choices=CORES, help="only this core; may be repeated")
    parser.add_argument("--model", action="append", help="only this fixture; may be repeated")
    parser.add_argument("--state", type=Path, help="go on with the runs kept there, and keep these there, too")
    parser.add_argument("--json", type=report_file, help="write the figures there")
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
        restored(subjects, options.state)
        before = sum(one.runs for subject in subjects for one in subject.tallies)
        measure(subjects, runs, options.state)
        seconds = time.perf_counter() - start
    tallies = [tally for subject in subjects for tally in subject.tallies]
    for one in refused:
        print(f"no bound: {one.model} {one.core} {one.function}: {one.why}")
    violations = [f"{one.model} {one.core}: {text}" for one in tallies for text in one.violations]
    n_runs, n_violations = sum(one.runs for one in tallies), sum(one.n_violations for one in tallies)
    lines = table(tallies)
    print(
        f"{'core':14} {'kind':30} {'kernels':>7} {'functions':>9} {'median':>7} {'worst':>7} {'stack +':>7}  worst of"
    )
    for line in lines:
        print(
            f"{line.core:14} {line.kind:30} {line.kernels:7} {line.functions:9} {line.median:7.3f} {line.worst:7.3f} "
            f"{line.stack_excess:7}  {line.worst_model}"
        )
    for text in violations:
        print(text)
    print(
        f"{n_runs:,} traced runs of {len(tallies)} functions, {n_runs - before:,} of them now in {seconds:.0f} s, "
        f"{(n_runs - before) / seconds:,.0f} per second: {n_violations} violations"
    )
    if options.json is not None:
        figures = {
            "schema": SCHEMA,
            "version": SCHEMA_VERSION,
            "runs": n_runs,
            "seconds": seconds,
            "violations": n_violations,
            "table": [asdict(line) for line in lines],
            "functions": [{**asdict(one), "ratio": one.ratio} for one in tallies],
            "refused": [asdict(one) for one in refused],
        }
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 1 if n_violations else 0


if __name__ == "__main__":
    sys.exit(finish(main))
