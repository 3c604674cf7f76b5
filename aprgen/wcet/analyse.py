"""The order of a timing analysis: build, graphs, bounds, stack, traced runs, report.

Knows which part follows which and under which assumptions their numbers hold; each part's work is its own module's.
A function that cannot be bounded becomes an entry that says why, and no number.
"""

from __future__ import annotations

import hashlib
import importlib.util
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, partial
from pathlib import Path

import numpy as np

from aprgen import __version__
from aprgen.core import Artifact, public_functions
from aprgen.errors import ToolchainError, UnsupportedError
from aprgen.footprint import check_budget, compiler_frames, measure
from aprgen.image import Image, build_image
from aprgen.loaded import Loaded
from aprgen.measured import model_facts
from aprgen.program import Array
from aprgen.runners.choose import runner_for
from aprgen.toolchain import compiler_version, find_toolchain
from aprgen.wcet import tables
from aprgen.wcet.assumptions import assumptions
from aprgen.wcet.bounds import Program, bound_program
from aprgen.wcet.cfg import build_graphs
from aprgen.wcet.code import Code
from aprgen.wcet.cores import require_no_lto, require_one_kind, timing_of
from aprgen.wcet.cost import edge_costs
from aprgen.wcet.counts import Counted, bound_counts, count_rows, counted_runs
from aprgen.wcet.forests import WALK_SECONDS, Forest, Witnessed, forests, witnessed
from aprgen.wcet.graph import Graph
from aprgen.wcet.host_time import timed_calls
from aprgen.wcet.isa import read_program
from aprgen.wcet.load import LoadTime, Platform, budget_of, file_size, load_time
from aprgen.wcet.longest_text import bound_by_length, longest_text, require_length, text_checks, texts_to_trace
from aprgen.wcet.marks import Mark, marks_of
from aprgen.wcet.memory import Memory
from aprgen.wcet.observe import Observation
from aprgen.wcet.observed import codes_of, observed_runs, rows_to_trace, spelled, traced_runs
from aprgen.wcet.report import (
    Configuration,
    Count,
    Entry,
    Former,
    Identity,
    Observed,
    Refusal,
    Report,
    Uncertainty,
    Witness,
)
from aprgen.wcet.selections import dear_rows, selection_totals
from aprgen.wcet.shipped import shipped_code_is_analysed
from aprgen.wcet.sources import Sources, listings, sources_of
from aprgen.wcet.storage import memory_use, read_linked, stack_use
from aprgen.wcet.taskset import Schedule, TaskSet, require_functions, schedule
from aprgen.wcet.timing import Figures, Timing
from aprgen.wcet.trace import Executed, Traces, executed_code, painted_bytes, traced_cpu, whole
from aprgen.wcet.verdict import difference_to, time_us, verdict_of
from aprgen.wcet.worst_row import Solved

PAINTED_ROWS = 100
_WORST = "and the row that the trees take longest for"
_ROWS = " Of the code until the trees are done all ways were followed, and no row takes a dearer one than the witness."
_ROWS_OUT_OF_TIME = (
    " Of the code until the trees are done all ways were followed; the search for the row that takes the dearest ended "
    "for lack of time, and the bound allows for what was left of it: --witness-seconds gives it more."
)


@dataclass(frozen=True)
class Question:
    """What the user states about the board, and what is wanted. wait_states None: not stated, taken as none.

    witness_seconds: time for the row that trees take longest for; 0: without.
    """

    clock_mhz: float | None = None
    wait_states: int | None = None
    line_bytes: int = 4
    deadline_us: float | None = None
    core_options: Mapping[str, int] | None = None
    figures: Figures | None = None
    rows: int = 200
    witness_seconds: float = WALK_SECONDS
    tools: str = "auto"
    model_file: str = ""
    command: str = ""
    gate_percent: float | None = None
    measure: bool = False  # time on this machine, too
    tasks: TaskSet | None = None
    platform: Platform | None = None
    load_budget_us: float | None = None
    load_jitter_us: float | None = None
    text_bytes: int | None = None  # of the longest text, for models that take texts


@dataclass(frozen=True, eq=False)
class Analysed:
    """object: the bytes of the model's object file, to which alone the report applies."""

    report: Report
    object: bytes


@dataclass(frozen=True, eq=False)
class _Subject:
    """What all entries of one report share."""

    image: Image
    code: Code
    executed: Executed
    marks: tuple[Mark, ...]
    timing: Timing
    memory: Memory
    rows: Array  # float32, or texts as bytes
    codes: Array | None  # the same rows, for functions of codes
    described: str
    artifact: Artifact
    forests: Callable[[], tuple[Forest, ...]]
    witness_seconds: float
    painted: Mapping[str, int]
    clock_mhz: float | None
    tools: str
    replay: str  # the command that runs rows of a file
    sources: Sources
    stated_frames: Mapping[str, int]
    text_bytes: int | None


def analyse(loaded: Loaded, artifact: Artifact, question: Question, former: Former | None = None) -> Analysed:
    """The report of all functions of the model's interface that take one input.

    Raises UnsupportedError when nothing can be said of this core or compiler at all, ToolchainError without a compiler.
    """
    require_one_kind(artifact.target)
    toolchain = find_toolchain(artifact.target, question.tools)
    require_no_lto(toolchain, artifact.target)
    require_length(artifact, question.text_bytes)
    stated = {"--deadline-us": question.deadline_us, "--clock-mhz": question.clock_mhz}
    stated["--wait-states"] = question.wait_states
    timing = timing_of(toolchain, artifact.target, question.core_options, stated, question.figures)
    core = timing.core
    memory = Memory(question.wait_states or 0, question.line_bytes)
    with tempfile.TemporaryDirectory(prefix="aprgen-") as name:
        work = Path(name)
        functions = [one for one in public_functions(artifact.program, artifact.name) if not one.endswith("_batch")]
        if question.tasks is not None:
            require_functions(question.tasks, functions)
        load = _load(loaded, question)
        has_marks = artifact.target.image == "elf"  # a module has no place for them; its counters are read instead
        image = build_image(
            artifact.target, toolchain, artifact.texts, model_facts(artifact), work / "marked",
            marks=has_marks, keep=functions,
        )  # fmt: skip
        footprint = measure(image)
        check_budget(footprint, artifact.target)
        same = shipped_code_is_analysed(image, toolchain, work)
        if has_marks:
            with_lines = build_image(
                artifact.target, toolchain, artifact.texts, model_facts(artifact), work / "lines",
                marks=True, keep=functions, lines=True,
            )  # fmt: skip
            sources = sources_of(image.program, with_lines.program, artifact.texts)
        else:
            sources = Sources({}, {}, "lines are read of ELF programs, not of modules")
        subject = _subject(artifact, image, timing, memory, question, sources, compiler_frames(image))
        rows = subject.rows if image.model.kind == "row" else None
        times = timed_calls(artifact, toolchain, rows, work / "timed") if question.measure else ()
        entries = _entries(functions, subject)
        made = image.object.read_bytes()
        identity = _identity(loaded, artifact, image, core, timing, question)
        memory_used = memory_use(
            footprint, artifact.table_bytes, artifact.texts[f"{artifact.name}.h"], read_linked(image, image.program),
            read_linked(image, image.object), _reached(entries),
        )  # fmt: skip
    configuration = Configuration(
        question.clock_mhz, memory.wait_states, question.deadline_us, _options(question, memory),
        question.wait_states is not None, question.text_bytes,
    )  # fmt: skip
    difference = None if former is None else difference_to(entries, identity, former, question.gate_percent)
    report = Report(
        verdict=verdict_of(entries, core, configuration),
        identity=identity,
        configuration=configuration,
        assumptions=assumptions(
            entries, timing, memory, same, waits_given=question.wait_states is not None,
            text=longest_text(image, question.text_bytes),
        ),
        entries=entries,
        memory=memory_used,
        source_note=subject.sources.missing,
        load=load,
        schedule=_schedule(entries, question),
        difference=difference,
        times=times,
    )
    return Analysed(report, made)


def _load(loaded: Loaded, question: Question) -> LoadTime | None:
    if question.platform is None:
        return None
    budget = None if question.load_budget_us is None else budget_of(question.load_budget_us)
    jitter = None if question.load_jitter_us is None else budget_of(question.load_jitter_us, "--load-jitter-us")
    return load_time(file_size(loaded.container), question.platform, budget, jitter)


def _schedule(entries: Sequence[Entry], question: Question) -> Schedule | None:
    """None also when a function that some task calls has no bound: what refuses it is the verdict then."""
    if question.tasks is None or question.clock_mhz is None:
        return None
    clock = Fraction(repr(question.clock_mhz))
    bounded = {
        one.function: one.cycles / clock
        for one in entries
        if one.cycles is not None and not (one.observed is not None and one.observed.violations)
    }
    return schedule(question.tasks, bounded) if question.tasks.functions <= set(bounded) else None


def _reached(entries: Sequence[Entry]) -> list[str]:
    """The functions of all call graphs."""
    return sorted({frame.function for one in entries if one.stack is not None for frame in one.stack.frames})


def _subject(
    artifact: Artifact, image: Image, timing: Timing, memory: Memory, question: Question, sources: Sources,
    stated: Mapping[str, int],
) -> _Subject:  # fmt: skip
    code = read_program(image.program)
    marks = marks_of(image, question.text_bytes)
    rows, described = _rows(artifact, image, question)
    seconds = question.witness_seconds
    return _Subject(
        image, code, executed_code(code), marks, timing, memory, rows,
        codes_of(artifact.program, rows), described, artifact,
        cache(lambda: forests(artifact, seconds) if seconds > 0 else ()), seconds,
        _painted(image, rows, question.tools), question.clock_mhz, question.tools,
        f"aprgen run {question.model_file} --target {artifact.target.name} --inputs witness.csv",
        sources, stated, question.text_bytes,
    )  # fmt: skip


def _rows(artifact: Artifact, image: Image, question: Question) -> tuple[Array, str]:
    """What runs are given, and what the report says of it."""
    if question.text_bytes is not None:
        return texts_to_trace(artifact, image, question.rows, question.text_bytes)
    dear = dear_rows(artifact)
    described = f"rows at the model's decisions, {question.rows:,} random rows"
    described += ", one that keeps the selection of the nearest busy" if len(dear) else ""
    return np.concatenate([rows_to_trace(artifact, question.rows), dear]), described


def _painted(image: Image, rows: Array, tools: str) -> Mapping[str, int]:
    """Stack that runs on the target wrote, per function; nothing when no runner is installed here."""
    try:
        runner = runner_for(image.target, tools)
    except ToolchainError:
        return {}
    return runner.run(image, rows[:PAINTED_ROWS], count=False).stack_bytes


def _entries(functions: Sequence[str], subject: _Subject) -> tuple[Entry, ...]:
    """One per function; what is found out about one's worst row helps the next."""
    entries: list[Entry] = []
    solved: tuple[Solved, ...] = ()
    for function in functions:
        entry, solved = _entry(function, subject, solved)
        entries.append(entry)
    return tuple(entries)


def _bounded(
    function: str, graphs: Mapping[str, Graph], subject: _Subject, solved: tuple[Solved, ...]
) -> tuple[Program, Counted | None, Witnessed | None]:
    """The bound, for the worst row of trees; where there is no time table, bounds of all counts."""
    bounded = partial(bound_program, subject.code, graphs, function, subject.marks, memory=subject.memory)
    shifts = {**selection_totals(subject.artifact), **text_checks(function)}
    program = bounded(subject.timing, totals=shifts)
    found = None if subject.witness_seconds <= 0 else witnessed(
        subject.artifact, subject.code, subject.marks, program, function.removeprefix(f"{subject.image.model.name}_"),
        lambda steps: bounded(subject.timing, totals={**shifts, **steps}), subject.forests,
        seconds=subject.witness_seconds, before=solved,
    )  # fmt: skip
    program = program if found is None else found.program
    if subject.timing.unit == "cycles":
        return program, None, found
    steps = {one.loop: one.walk.upper for one in subject.forests()}
    return program, bound_counts(program, partial(bounded, totals={**shifts, **steps}), subject.timing.core), found


def _entry(function: str, subject: _Subject, solved: tuple[Solved, ...]) -> tuple[Entry, tuple[Solved, ...]]:
    """One function's bound and what surrounds it, or why there is none."""
    status = subject.timing.status
    try:
        graphs = build_graphs(subject.code, [function])
        program, counted, worst = _bounded(function, graphs, subject, solved)
        stack = stack_use(
            subject.code, graphs, function, subject.stated_frames, _painted_bytes(function, subject)
        )  # fmt: skip
    except UnsupportedError as error:
        refusal = Refusal(function, error.code, error.what, error.where, error.hint)
        return Entry(function, "refused", None, None, None, "", refusal), solved
    short = function.removeprefix(f"{subject.image.model.name}_")
    by_length = None if not subject.text_bytes else bound_by_length(
        function, graphs, subject.code, subject.image, subject.timing, subject.memory, subject.text_bytes
    )  # fmt: skip
    observed, seen, traces = _runs(short, subject, program, worst)
    counts: tuple[Count, ...] = ()
    if counted is not None:
        counts, broken = count_rows(subject.timing.core, counted, observed, traces, subject.executed)
        if observed is not None:
            observed = replace(observed, violations=(*observed.violations, *broken))
    bound = program.functions[function].bound
    certificate = "The bound was proved again without floating point, by multipliers of the loop bounds"
    certificate += (
        f", and a path that keeps to all of them takes exactly that {'long' if counted is None else 'many'}."
        if bound.exact else "."
    )  # fmt: skip
    if worst is not None and worst.followed:
        certificate += _ROWS if worst.upper == worst.lower else _ROWS_OUT_OF_TIME
    entry = Entry(
        function=function,
        status=status,
        cycles=program.cycles if counted is None else None,
        best_cycles=program.best if counted is None else None,
        time_us=time_us(program.cycles, subject.clock_mhz),
        certificate=certificate,
        functions=tables.functions(program),
        loops=tables.loops(program),
        path=tables.path(program),
        listings=listings(program, subject.sources, subject.timing, subject.memory),
        observed=observed,
        witness=None if seen is None or worst is None else _witness(subject, seen, worst),
        uncertainty=None if observed is None or counted is not None else _uncertainty(program, observed, subject),
        stack=stack,
        counts=counts,
        by_length=by_length,
    )
    return _checked_stack(entry), solved if worst is None else worst.solved


def _painted_bytes(function: str, subject: _Subject) -> int | None:
    """What runs wrote: on the target's runner, or under Unicorn where its harness does not call the function."""
    short = function.removeprefix(f"{subject.image.model.name}_")
    traced = traced_cpu(subject.image.target) is not None and importlib.util.find_spec("unicorn") is not None
    if short in subject.painted or not traced:
        return subject.painted.get(short)
    return painted_bytes(subject.image, short, subject.rows[:PAINTED_ROWS])


def _runs(
    short: str, subject: _Subject, program: Program, worst: Witnessed | None
) -> tuple[Observed | None, Observation | None, Traces | None]:
    """Runs of the image: traced where an emulator traces them, else counted."""
    rows: tuple[Array, str] = subject.rows, subject.described
    if worst is not None:
        rows = np.concatenate([subject.rows, worst.witness[np.newaxis]]), f"{subject.described}, {_WORST}"
    elif short.endswith("_q") and subject.codes is not None:
        rows = subject.codes, subject.described
    traced = traced_runs(subject.image, short, rows[0], program.cycles)
    if traced is None:
        counts = subject.timing.unit != "cycles"
        return counted_runs(subject.image, short, *rows, program, subject.tools) if counts else None, None, None
    traces, rows_run = whole(traced[0], subject.executed), traced[1]
    described = rows[1] if len(rows_run) == len(rows[0]) else f"evenly chosen from {rows[1]}"
    observed, seen = observed_runs(
        traces, rows_run, described, program, subject.executed, subject.timing, subject.memory, subject.marks
    )
    return observed, seen, traces


def _witness(subject: _Subject, seen: Observation, worst: Witnessed) -> Witness:
    """The row that the trees take longest for, which was traced behind all others."""
    return Witness(
        inputs=spelled(worst.witness),
        exact=worst.upper == worst.lower,
        upper=worst.upper,
        lower=worst.lower,
        unit=worst.unit.replace("cycles", subject.timing.unit),
        cost=int(seen.high[-1]),
        command=subject.replay,
    )


def _checked_stack(entry: Entry) -> Entry:
    """A run that wrote below the stack's bound is a violation like any other."""
    stack, observed = entry.stack, entry.observed
    if stack is None or observed is None or stack.painted is None or stack.painted <= stack.bytes:
        return entry
    line = f"a run of {entry.function} wrote {stack.painted} bytes of stack, more than the bound of {stack.bytes}"
    return replace(entry, observed=replace(observed, violations=(*observed.violations, line)))


def _uncertainty(program: Program, observed: Observed, subject: _Subject) -> Uncertainty:
    """The best-case table has no wait states, so their share is taken off the table's."""
    waits = _wait_cycles(program, subject)
    return Uncertainty(
        path=max(0, program.cycles - observed.high_maximum),
        table=max(0, observed.high_maximum - observed.low_maximum - waits),
        memory=waits,
    )


def _wait_cycles(program: Program, subject: _Subject) -> int:
    """What wait states add on the worst path; 0 when there is no whole path."""
    if subject.memory.wait_states == 0 or program.calls is None:
        return 0
    fast = Memory(0, subject.memory.line_bytes)
    total = 0
    for name, one in program.functions.items():
        costs = edge_costs(one.graph, subject.timing, fast)
        spared = one.costs.entry.worst - costs.entry.worst
        spared += sum(n * (one.costs.edges[e].worst - costs.edges[e].worst) for e, n in one.bound.counts.items())
        total += program.calls[name] * spared
    return total


def _identity(
    loaded: Loaded, artifact: Artifact, image: Image, core: str, timing: Timing, question: Question
) -> Identity:
    return Identity(
        tool_version=__version__,
        model=question.model_file,
        model_sha256=loaded.sha256,
        family=artifact.model.family,
        struct=artifact.model.struct,
        name=artifact.name,
        image_sha256=hashlib.sha256(image.program.read_bytes()).hexdigest(),
        object_sha256=hashlib.sha256(image.object.read_bytes()).hexdigest(),
        target=artifact.target.name,
        target_sha256=artifact.target.sha256,
        core=core,
        compiler=compiler_version(image.toolchain),
        flags=image.toolchain.compile_flags,
        timing_sha256=timing.sha256,
        analyser_sha256=_analyser_digest(),
        command=question.command,
    )


def _analyser_digest() -> str:
    """Of the analysis as it is installed."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _options(question: Question, memory: Memory) -> Mapping[str, str]:
    options = {name: str(value) for name, value in (question.core_options or {}).items()}
    return options | ({"bytes fetched at once": str(memory.line_bytes)} if memory.wait_states else {})
