"""Measures strategies for blocks of rows of a model on this machine: builds each, lets them take turns, keeps records.

Knows which strategies are candidates and how time is measured. Libraries are built and called as `Model.native()` does.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aprgen import __version__
from aprgen.build import load_into_process
from aprgen.core import Artifact, Options, compile_model, plan_model
from aprgen.costs import BatchCost
from aprgen.errors import ToolchainError, UnsupportedError
from aprgen.image import ModelFacts
from aprgen.loaded import Loaded, check_model
from aprgen.ops.trees import TreeOp
from aprgen.ops.wide_trees import WideTrees
from aprgen.passes.choices import TREE_FORMS, Choices
from aprgen.passes.fold import fold_scalers
from aprgen.passes.tree_sums import with_totals
from aprgen.passes.wide_costs import trees_of_rows, work_one_by_one
from aprgen.passes.wide_floats import sum_forms
from aprgen.program import OfBlocks, Program
from aprgen.resources import folder
from aprgen.rows import random_rows
from aprgen.runners.shared import SharedImage, load_shared, why_not_here
from aprgen.target import Target
from aprgen.toolchain import Toolchain, compiler_version, find_toolchain
from aprgen.tuned.learned import MANY_ROWS
from aprgen.tuned.records import Machine, Record

ROWS = 1000
SECONDS = 30.0
BLOCK_ROWS = (32, 64, 128, 256)  # of sums
FEW_ROWS = (2, 4, 8, 16, 32)  # of the calls that show from how many rows on blocks pay
FEWEST, NOT_FEW = 1, 64  # few_rows: always a block; never one, in these calls
MOST_SUMS = 8  # combinations of forms of layers
SEEN_ROWS = 1000  # at least, and as many as the nearest caches hold: of fewer, branches are known by heart
SEEN_SPLITS = 250_000  # passed by all rows: Zen 5 knows 35,000 by heart, and then rows one by one take a third
SEEN_FLOATS = 1 << 16
ROUNDS = 60
LEAST_ROUNDS = 5
TURN_NS = 200_000  # a candidate's turn lasts at least this long
CLOCK_ROWS, CLOCK_CYCLES = 4096, 64  # as qemu/clock/clock.c has it
_VECTORS = re.compile(r"(avx|fma|sse4|amx|vaes|asimd|sve|neon|fp16)")

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Question:
    """rows: of a call. seconds: about as long are candidates built and measured, but for the forms, which are built
    however long it takes. few: also calls of few rows."""

    rows: int = ROWS
    seconds: float = SECONDS
    tools: str = "auto"
    few: bool = True


@dataclass(frozen=True)
class Tuning:
    """records: of this model, the quickest first. left_out: candidates for which there was no time."""

    records: tuple[Record, ...]
    left_out: int


@dataclass(frozen=True, eq=False)
class Candidate:
    choices: Choices
    work: Mapping[str, float]
    library: SharedImage


def tune(
    loaded: Loaded, name: str, target: Target, question: Question, say: Callable[[str], None] = lambda _: None
) -> Tuning:  # fmt: skip
    """Measure the model's strategies. Raises UnsupportedError where there is nothing to choose, ToolchainError where
    the target's code does not run here: times of emulators say nothing about a processor."""
    if target.variants:
        fixed = [one.target.name for one in target.variants if one.target is not None]
        raise UnsupportedError(
            "tune.variants", f"{target.name} picks its kernels where it runs", where=f"target {target.name}",
            hint=f"tune for {', '.join(fixed)}; --tuned takes all their records for {target.name}",
        )  # fmt: skip
    batch = target.batch
    if batch is None:
        raise UnsupportedError(
            "tune.target", f"{target.name} has no strategies for blocks of rows", where=f"target {target.name}",
            hint="tune for a target with vectors: x86-avx2, x86-avx512 and the like",
        )  # fmt: skip
    reason = why_not_here(target)
    if reason:
        raise ToolchainError(
            "tune.machine", f"{target.name} does not run here: {reason}", where=f"target {target.name}",
            hint="run aprgen tune on a machine of that kind; times of an emulator say nothing about it",
        )  # fmt: skip
    check_model(loaded.model)
    toolchain = find_toolchain(target, question.tools)
    with pinned():
        return _Session(loaded, name, target, batch, toolchain, question, say).measured()


class _Session:
    """The work of one tune(). The first candidates are forms as the target cuts blocks; the quickest form is then cut
    in other ways."""

    def __init__(
        self, loaded: Loaded, name: str, target: Target, batch: BatchCost, toolchain: Toolchain, question: Question,
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.loaded, self.name, self.target, self.batch = loaded, name, target, batch
        self.toolchain, self.question, self.say = toolchain, question, say
        self.compiler = compiler_version(toolchain)
        self.summed = summed_of(loaded, target)
        self.end = time.monotonic() + question.seconds
        self.left_out = 0
        self.clock = load_clock(target, toolchain)

    def measured(self) -> Tuning:
        seen: set[str] = set()
        forms = self.candidates(form_choices(self.loaded, self.name, self.target, self.summed), seen, always=True)
        if len(forms) < 2:
            raise UnsupportedError(
                "tune.nothing", f"{self.target.name} has one way only for this model", where=f"model {self.name}",
                hint="models of trees, and of sums of floats, have more than one",
            )  # fmt: skip
        records = self.records_of(forms, self.question.rows, share=0.4)
        best = forms[min(range(len(forms)), key=lambda index: records[index].least)].choices
        cut = self.candidates(cut_choices(best, self.batch), seen)
        if cut:
            again = next(one for one in forms if one.choices == best)
            records += self.records_of([again, *cut], self.question.rows, share=0.6)
        if self.question.few and best.trees != "rows" and best.sums != ():
            ends = [replace(best, few_rows=few_rows) for few_rows in (FEWEST, NOT_FEW)]
            both = self.candidates(ends, set())
            if len(both) == len(ends):
                for rows in FEW_ROWS:
                    records += self.records_of(both, rows, share=1 / len(FEW_ROWS))
        kept = _fullest(records)
        return Tuning(tuple(sorted(kept, key=lambda one: (-one.rows, one.least))), self.left_out)

    def candidates(self, choices: Sequence[Choices], seen: set[str], *, always: bool = False) -> list[Candidate]:
        """Those with code of their own, built. Without time left they are counted only, unless always is said."""
        found: list[Candidate] = []
        for one in choices:
            if not always and time.monotonic() > self.end:
                self.left_out += 1
                continue
            artifact = compile_model(self.loaded, self.target, Options(self.name, choices=one))
            text = artifact.texts[f"{self.name}.c"]
            if text in seen:
                continue
            seen.add(text)
            self.say(f"building {words_of(one)}")
            library = load_into_process(artifact, tools=self.question.tools)
            found.append(Candidate(one, work_of(artifact, self.summed), library))
        return found

    def records_of(self, candidates: Sequence[Candidate], rows: int, share: float) -> list[Record]:
        """All of them in turns. share: of the time that is left."""
        self.say(f"measuring {len(candidates)} strategies on {rows} rows")
        left = max(0.0, self.end - time.monotonic())
        values = np.ascontiguousarray(random_rows(self.summed, rows * max(1, seen_rows(self.summed) // rows)).values)
        times = in_turns([one.library for one in candidates], values, rows, left * share)
        ghz = clock_ghz(self.clock)
        return [
            Record(
                self.loaded.sha256, facts_of(self.loaded, self.summed), "f32", self.target.name, this_machine(),
                self.compiler, __version__, rows, one.choices, one.work, "ns", ghz, min(own), statistics.median(own),
                len(own),
            )
            for one, own in zip(candidates, times, strict=True)
        ]  # fmt: skip


def seen_rows(summed: Program) -> int:
    """Rows that differ from each other: so many that a processor does not know their branches by heart."""
    passed = sum(work_one_by_one(op) for op in trees_of_rows(summed).values())
    unknown = min(int(SEEN_SPLITS / passed), 16 * SEEN_ROWS) if passed else 0
    return max(SEEN_ROWS, min(SEEN_FLOATS // summed.n_features, 16 * SEEN_ROWS), unknown)


def summed_of(loaded: Loaded, target: Target) -> Program:
    """What the passes for blocks of rows read."""
    return with_totals(fold_scalers(loaded.model.lower()), target.cost)


def form_choices(loaded: Loaded, name: str, target: Target, summed: Program) -> list[Choices]:
    """Every form, cut as the target states; one of them is what the target's costs choose."""
    batch = target.batch
    assert batch is not None
    found: list[Choices] = []
    if trees_of_rows(summed):
        for form in TREE_FORMS:
            choices = Choices(trees=form)
            if _has(loaded, name, target, choices):
                found.append(choices)
        return found
    if batch.floats is None or summed.source.element != "f32":
        return found
    usual = Choices(
        sums=(), rows=batch.rows, tile_rows=batch.floats.tile_rows, tile_panels=batch.floats.tile_panels
    )  # fmt: skip
    forms_of_layers = sum_forms(summed, batch.floats, target.has_kernel)
    if not forms_of_layers:
        return found
    every = itertools.product(*forms_of_layers)
    return [Choices(sums=()), *(replace(usual, sums=forms) for forms in itertools.islice(every, MOST_SUMS))]


def cut_choices(best: Choices, batch: BatchCost) -> list[Choices]:
    """Blocks and tiles of sums of other sizes; tiles whose sums may stay in registers, as those of the target do."""
    if not best.sums:
        return []
    found = [replace(best, rows=rows) for rows in BLOCK_ROWS if rows != best.rows]
    if batch.floats is None or "panels" not in best.sums:
        return found
    floats = batch.floats
    own = floats.tile_rows * floats.tile_panels
    tiles = itertools.product((2, 3, 4, 5, 6, 8), (1, 2, 3, 4))
    fitting = [(rows, panels) for rows, panels in tiles if own // 2 <= rows * panels <= 3 * own // 2]
    for rows, panels in fitting:
        if (rows == floats.tile_rows) != (panels == floats.tile_panels):  # one changed at a time
            found.append(replace(best, tile_rows=rows, tile_panels=panels))
    return found


def _has(loaded: Loaded, name: str, target: Target, choices: Choices) -> bool:
    try:
        plan_model(loaded, target, Options(name, choices=choices))
    except UnsupportedError as error:
        if error.code != "strategy.form":
            raise
        return False
    return True


def work_of(artifact: Artifact, summed: Program) -> Mapping[str, float]:
    """How often each cost is paid, and what explains the rest of the time, by names that no target has."""
    program = artifact.program
    trees = trees_of_rows(summed).values()
    rest = {"a row": 1.0, "an output": float(program.n_outputs)}
    if trees:
        rest["a column"] = float(summed.n_features)
    if program.batch is None:
        by_row = sum(work_one_by_one(op) for op in trees)
        sums = sum(_products(program)) if not trees else 0.0
        return {name: count for name, count in {**rest, "split": by_row, "a product alone": sums}.items() if count}
    way = program.batch.many
    types = program.types()
    needed = program.needed(way.scores)
    adding = [op for index in needed if isinstance(op := program.steps[index].op, WideTrees)]
    rest["a tree that votes"] = float(sum(op.n_trees for op in adding if op.leaves.indexed))
    between = sum(
        types[index + 1].size for index in needed if not isinstance(program.steps[index].op, OfBlocks)
    )  # fmt: skip
    work = {**rest, "an element between": 0 if adding else between, **program.batch.work}
    return {name: count for name, count in work.items() if count}


def _products(program: Program) -> Iterator[float]:
    """Of each step of one row that has weights: inputs times outputs."""
    types = program.types()
    for index in program.needed(program.scores):
        step = program.steps[index]
        if step.op.kernel.startswith(("dense", "squared_distance")):
            yield float(types[step.inputs[0]].size * types[index + 1].size)


def facts_of(loaded: Loaded, summed: Program) -> Mapping[str, str | int]:
    """What the model looks like, for people."""
    facts: dict[str, str | int] = {
        "family": loaded.model.family, "features": summed.n_features, "outputs": summed.n_outputs
    }  # fmt: skip
    trees = [step.op for step in summed.steps if isinstance(step.op, TreeOp)]
    if trees:
        facts |= {
            "trees": sum(op.n_trees for op in trees), "splits": sum(op.nodes.n_nodes for op in trees),
            "depth": max(op.nodes.depth for op in trees),
        }  # fmt: skip
    else:
        facts["products"] = int(sum(_products(summed)))
    return facts


def words_of(choices: Choices) -> str:
    """For people: "levels, 128 rows", "panels lanes, 128 rows, tiles of 4 x 4"."""
    forms = choices.trees or " ".join(choices.sums or ("rows",))
    parts = ["one row after the other" if forms == "rows" else forms]
    if choices.rows is not None:
        parts.append(f"blocks of {choices.rows}")
    if choices.tile_rows is not None and "panels" in forms:
        parts.append(f"tiles of {choices.tile_rows} x {choices.tile_panels}")
    return ", ".join(parts)


def in_turns(libraries: Sequence[SharedImage], rows: Floats, of_call: int, seconds: float) -> list[list[float]]:
    """ns a row of each library, turn by turn, for about that long; other load of the machine falls on all alike.

    of_call: rows of a call; a turn goes through all rows, as often as it needs to last. Results go to the same memory:
    of arrays of their own some are near and others are not, which made equal libraries differ by 1.7.
    """
    jobs = []
    outs = {n: np.empty((len(rows), n), np.float32) for n in {library.model.n_outputs for library in libraries}}
    for library in libraries:
        out = outs[library.model.n_outputs]
        parts = [slice(first, first + of_call) for first in range(0, len(rows), of_call)]
        calls = [(library.predict_into, rows[part], out[part]) for part in parts]
        _turn(calls)  # warm
        jobs.append(calls * max(1, round(TURN_NS / max(1.0, _turn(calls)))))
    end = time.monotonic() + seconds
    times: list[list[float]] = [[] for _ in libraries]
    for number in range(ROUNDS):
        if number >= LEAST_ROUNDS and time.monotonic() > end:
            break
        for calls, own in zip(jobs, times, strict=True):
            own.append(_turn(calls) / (len(calls) * of_call))
    return times


def _turn(calls: Sequence[tuple[Callable[[Floats, Floats], None], Floats, Floats]]) -> int:
    """ns that this thread computed for all calls: what others compute meanwhile is not theirs."""
    start = time.thread_time_ns()
    for call, rows, out in calls:
        call(rows, out)
    return time.thread_time_ns() - start


def clock_ghz(clock: SharedImage) -> float:
    """Cycles of a ns at this moment, by additions that wait for each other."""
    return CLOCK_CYCLES / min(in_turns([clock], np.ones((CLOCK_ROWS, 1), np.float32), CLOCK_ROWS, 0.01)[0])


def load_clock(target: Target, toolchain: Toolchain) -> SharedImage:
    """qemu/clock as a library."""
    sources = {path.name: path.read_text(encoding="utf-8") for path in sorted((folder("qemu") / "clock").iterdir())}
    with tempfile.TemporaryDirectory(prefix="aprgen-") as work:
        facts = ModelFacts("clock", "row", 1, 1, False)
        return load_shared(target, toolchain, sources, facts, Path(work))


def this_machine() -> Machine:
    """The kind of processor, without a name of this one."""
    named: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            named.setdefault(key.strip().lower(), value.strip())
    numbers = [
        f"{key} {named[key]}" for key in ("cpu family", "model", "cpu implementer", "cpu part") if named.get(key)
    ]
    cpu = ", ".join((named.get("model name") or platform.machine() or "unknown", *numbers))
    flags = (named.get("flags") or named.get("features") or "").split()
    return Machine(cpu[:200], tuple(sorted(flag for flag in flags if _VECTORS.match(flag))))


@contextlib.contextmanager
def pinned() -> Iterator[None]:
    """This thread on one core, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _fullest(records: Sequence[Record]) -> list[Record]:
    """One for each strategy and number of rows."""
    best: dict[tuple[object, ...], Record] = {}
    for record in records:
        before = best.setdefault(record.key, record)
        best[record.key] = max(before, record, key=lambda one: one.repeats)
    return list(best.values())


assert min(FEW_ROWS) < MANY_ROWS  # calls of few rows are told apart by it
