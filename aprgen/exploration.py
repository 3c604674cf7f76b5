"""What a model takes on a target in each numeric mode and shape: built, run, bounded; which are worth having.

Knows the order of that work and what makes one choice better than another. Prints nothing, writes nothing, and knows
no target by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from aprgen.accuracy import Calibration, require_calibration, stored_rows
from aprgen.build import build_artifact
from aprgen.core import INTEGER_MODES, Artifact, Options, compile_model
from aprgen.errors import AprgenError, BudgetError, ComparisonError, ToolchainError, UnsupportedError, UsageError
from aprgen.float_modes import FLOAT_MODES, float_modes_of
from aprgen.loaded import Loaded, check_model
from aprgen.measured import measured_alone, model_facts
from aprgen.ops.suggest import Suggest
from aprgen.ops.term_counts import TermCounts
from aprgen.ops.trees import TreeOp
from aprgen.passes.goals import GOALS
from aprgen.passes.quantise import has_integer_form
from aprgen.passes.tree_codes import takes_codes
from aprgen.passes.tree_shapes import SHAPES
from aprgen.passes.wide_floats import layers_of
from aprgen.rows import edge_rows, random_rows
from aprgen.runners.execution import Execution
from aprgen.target import Target
from aprgen.text_rows import text_rows
from aprgen.tuned.decision import Tuned
from aprgen.verify import Trial, judge
from aprgen.wcet.analyse import Question, analyse
from aprgen.wcet.longest_text import TEXT_BYTES

WAYS: tuple[str | None, ...] = (None, *GOALS, *SHAPES)
EDGE_ROWS = 200  # for the stack and the comparison; means leave them out
RANDOM_ROWS = 300
BOUND_ROWS = 50  # traced against a bound; `aprgen wcet` takes more
WITNESS_SECONDS = 10.0


@dataclass(frozen=True)
class Choice:
    """Options of `aprgen compile`. optimise: a goal, a shape, or None for tables of nodes."""

    numeric: str
    optimise: str | None

    @property
    def words(self) -> str:
        return self.numeric if self.optimise is None else f"{self.numeric} --optimise {self.optimise}"


@dataclass(frozen=True, eq=False)
class Subject:
    """What is explored. rows: float32, such as the model will see; None for random ones.

    run, bound: whether images are run and analysed; without either, flash and variables are measured alone.
    """

    loaded: Loaded
    target: Target
    name: str
    calibration: Calibration | None = None
    tools: str = "auto"
    run: bool = True
    bound: bool = True
    wait_states: int | None = None
    line_bytes: int = 4
    core_options: Mapping[str, int] = field(default_factory=dict)
    witness_seconds: float = WITNESS_SECONDS
    text_bytes: int | None = None  # of the longest text, for models of texts
    command: Callable[[Choice], str] = lambda _: ""  # how to reproduce, for the banner
    tuned: Tuned | None = None

    def options(self, choice: Choice) -> Options:
        needed = self.calibration if choice.numeric in (*INTEGER_MODES, *FLOAT_MODES) else None
        return Options(self.name, choice.numeric, needed, self.command(choice), choice.optimise, tuned=self.tuned)


@dataclass(frozen=True, eq=False)
class Candidate:
    """Code for a choice; same: later choices that give the same C."""

    choice: Choice
    artifact: Artifact
    same: tuple[Choice, ...] = ()


@dataclass(frozen=True)
class Refused:
    """A choice for which there is no code, and why."""

    choice: Choice
    error: AprgenError


@dataclass(frozen=True)
class Bound:
    """Of any call: scores and codes, of the functions of scores of floats and of codes, None where there is none or no
    bound; most, of the dearest function. unit: cycles, or what is counted in their place."""

    scores: int | None
    codes: int | None
    most: int
    unit: str


@dataclass(frozen=True)
class Taken:
    """What a choice takes. mean and most: instructions (`unit`) of the function of scores over rows, None: not run.

    codes_flash_bytes: of the functions of codes when only they are used, None: there are none.
    stack_bytes: of the dearest function, at most where stack_is_bound, else seen in runs. no_bound: why there is none.
    loss: see accuracy.Accuracy.loss; 0 for floats, which are the measure of it.
    """

    choice: Choice
    same: tuple[Choice, ...]
    kernels: tuple[str, ...]
    flash_bytes: int
    codes_flash_bytes: int | None
    variable_bytes: int
    stack_bytes: int | None
    stack_is_bound: bool
    mean: float | None
    most: int | None
    unit: str
    bound: Bound | None
    no_bound: str
    loss: float
    accuracy: str

    @property
    def ram_bytes(self) -> int:
        """Variables, and the stack as far as it is known."""
        return self.variable_bytes + (self.stack_bytes or 0)

    @property
    def figures(self) -> tuple[float, ...]:
        """Less is better in each."""
        bound = self.bound
        worst, codes = (None, None) if bound is None else (bound.scores, bound.codes)
        times = (self.mean, self.most if worst is None else worst, codes)
        known = (self.codes_flash_bytes, *times)
        codes_flash, mean, most, of_codes = (math.inf if value is None else float(value) for value in known)
        return float(self.flash_bytes), float(self.ram_bytes), mean, most, of_codes, self.loss, codes_flash


@dataclass(frozen=True, eq=False)
class Exploration:
    """All that was taken, by flash, and what was refused. notes: what was not tried, and why."""

    name: str
    target: str
    family: str
    rows: str
    taken: tuple[Taken, ...]
    refused: tuple[Refused, ...]
    notes: tuple[str, ...]

    @property
    def front(self) -> tuple[bool, ...]:
        """For each: whether nothing else is as good in every figure and better in one."""
        return pareto([one.figures for one in self.taken])


def pareto(points: Sequence[Sequence[float]]) -> tuple[bool, ...]:
    """For each point whether no other one is at most as large everywhere and smaller somewhere."""
    return tuple(
        not any(
            all(a <= b for a, b in zip(other, point, strict=True)) and tuple(other) != tuple(point) for other in points
        )
        for point in points
    )


def has_modes(loaded: Loaded) -> bool:
    """Whether the integer modes give other code than floats."""
    program = loaded.model.lower()
    return program.source.element == "f32" and has_integer_form(program)


def modes_to_try(subject: Subject) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Numeric modes that give different code on the target, the exact one first, and notes on those left out."""
    modes, notes = modes_of(subject.loaded, subject.calibration)
    program = subject.loaded.model.lower()
    sums = program.source.element == "f32" and bool(layers_of(program))
    return (modes[0], *(float_modes_of(subject.target) if sums else ()), *modes[1:]), notes


def modes_of(loaded: Loaded, calibration: Calibration | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """f32 and the integer modes that give different code, and notes on those left out."""
    check_model(loaded.model)
    if loaded.model.lower().source.element != "f32":
        return ("f32",), ("a model that reads text has no integer modes",)
    if takes_codes(loaded.model.lower()):
        return _modes_of_trees(loaded, calibration)
    if not has_modes(loaded):
        return ("f32",), ("the integer modes give the same code: this model computes no sums that they would change",)
    if calibration is None and stored_rows(loaded.model.lower()) is None:
        return ("f32",), ("s16 and s8 were not tried: they need rows (--calibrate)",)
    return ("f32", *INTEGER_MODES), ()


def _modes_of_trees(loaded: Loaded, calibration: Calibration | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Integer modes add functions of codes, where rows tell what codes are."""
    if calibration is None:
        return ("f32",), ("s16 and s8 add functions of codes: they need rows (--calibrate)",)
    try:
        require_calibration(calibration, loaded.model.lower())
    except UsageError as error:  # the rows still serve for means
        return ("f32",), (f"s16 and s8 were not tried: {error.what}",)
    return ("f32", *INTEGER_MODES), ("s16 and s8 add functions of codes; the functions of floats stay as they are",)


def ways_of(loaded: Loaded) -> tuple[str | None, ...]:
    """What --optimise can say: it is about trees, and how texts are looked up."""
    ops = [step.op for step in loaded.model.lower().steps]
    if any(isinstance(op, TreeOp) for op in ops):
        return WAYS
    return (None, *GOALS) if any(isinstance(op, TermCounts | Suggest) for op in ops) else (None,)


def candidates_most(subject: Subject) -> int:
    """How many choices there are to try; some may give the same code."""
    return len(modes_to_try(subject)[0]) * len(ways_of(subject.loaded))


def candidates(subject: Subject, choices: Sequence[Choice]) -> tuple[tuple[Candidate, ...], tuple[Refused, ...]]:
    """Code for each choice, the same C only once. What every choice meets, such as an unfitted model, is raised."""
    made: dict[tuple[str, str], Candidate] = {}
    refused: list[Refused] = []
    for choice in choices:
        try:
            artifact = compile_model(subject.loaded, subject.target, subject.options(choice))
        except (UnsupportedError, BudgetError, ComparisonError) as error:
            refused.append(Refused(choice, error))
            continue
        key = _code(artifact, "c"), _code(artifact, "h")
        before = made.get(key)
        if before is None:
            made[key] = Candidate(choice, artifact)
        else:
            made[key] = replace(before, same=(*before.same, choice))
    if not made and refused:
        raise refused[0].error
    return tuple(made.values()), tuple(refused)


def _code(artifact: Artifact, suffix: str) -> str:
    """A generated file without its banner, which names the options."""
    return artifact.texts[f"{artifact.name}.{suffix}"].partition("*/")[2]


def explore(subject: Subject, begin: Callable[[str], None] = lambda _: None) -> Exploration:
    """Every sensible choice. begin: told what is about to be built.

    Raises ToolchainError without compiler or runner, ComparisonError when an image disagrees with its Program.
    """
    modes, notes = modes_to_try(subject)
    found, refused = candidates(subject, [Choice(mode, way) for way in ways_of(subject.loaded) for mode in modes])
    taken: list[Taken] = []
    late: list[Refused] = []
    for candidate in found:
        begin(candidate.choice.words)
        try:
            taken.append(take(subject, candidate))
        except BudgetError as error:
            late.append(Refused(candidate.choice, error))
    if not taken:
        raise late[0].error
    given = () if subject.calibration is None else subject.calibration.notes
    no_bounds = dict.fromkeys(one.no_bound for one in taken if one.no_bound)
    return Exploration(
        name=subject.name,
        target=subject.target.name,
        family=f"{subject.loaded.model.family} ({subject.loaded.model.struct})",
        rows=rows_of(subject)[1],
        taken=tuple(sorted(taken, key=lambda one: one.figures)),
        refused=(*[one for one in refused if one.choice.optimise not in SHAPES], *late),
        notes=(*given, *notes, *(why if why.startswith("No bound") else f"no bound: {why}" for why in no_bounds)),
    )


def take(subject: Subject, candidate: Candidate) -> Taken:
    """Build one candidate and measure it. BudgetError when it does not fit the target's own memory."""
    artifact = candidate.artifact
    execution: Execution | None = None
    mean: float | None = None
    most: int | None = None
    unit = "instructions"
    if subject.run:
        built = build_artifact(artifact, tools=subject.tools)
        footprint = built.footprint
        trial = trial_of(subject)
        execution = built.run(trial.inputs)
        _require_agreement(subject, candidate, trial, execution)
        mean, most, unit = _counted(artifact, trial, execution)
    else:
        footprint, _ = measured_alone(artifact, subject.tools)
    bound, stack, no_bound = _bound(subject, artifact) if subject.bound else (None, None, "")
    seen = None if execution is None else max(execution.stack_bytes.values(), default=0)
    accuracy = artifact.accuracy
    return Taken(
        choice=candidate.choice,
        same=candidate.same,
        kernels=tuple(artifact.program.steps[index].op.kernel for index in artifact.program.in_code()),
        flash_bytes=footprint.flash_bytes,
        codes_flash_bytes=footprint.codes_flash_bytes,
        variable_bytes=footprint.ram_bytes,
        stack_bytes=stack if stack is not None else seen,
        stack_is_bound=stack is not None,
        mean=mean,
        most=most,
        unit=unit,
        bound=bound,
        no_bound=no_bound,
        loss=0.0 if accuracy is None else accuracy.loss,
        accuracy="" if accuracy is None else accuracy.sentence,
    )


def rows_of(subject: Subject) -> tuple[Trial, str]:
    """Rows over which means are taken, and what they are."""
    program = subject.loaded.model.lower()
    if program.source.element != "f32":
        texts = text_rows(program, RANDOM_ROWS, 1)
        return Trial(texts.values, texts.kinds), f"{len(texts.kinds)} texts"
    given = subject.calibration
    if given is not None:
        return Trial(given.rows, ("given",) * len(given.rows)), f"{len(given.rows):,} rows of {given.origin}"
    found = random_rows(program, RANDOM_ROWS)
    return Trial(found.values, found.kinds), f"{RANDOM_ROWS} random rows: for the means that count, give real ones"


def trial_of(subject: Subject) -> Trial:
    """Edge rows first, which means leave out, then the rows."""
    program = subject.loaded.model.lower()
    rows, _ = rows_of(subject)
    if program.source.element != "f32":
        return rows
    edges = edge_rows(program, EDGE_ROWS)
    return Trial(np.concatenate([edges.values, rows.inputs]), (*edges.kinds, *rows.kinds))


def _counted(artifact: Artifact, trial: Trial, execution: Execution) -> tuple[float | None, int | None, str]:
    """Mean over the rows behind the edge rows, most of all, and the unit."""
    counts = execution.instructions.get(model_facts(artifact).functions[0])
    if counts is None or len(counts.values) == 0:
        return None, None, "instructions"
    kinds = np.array(trial.kinds)[counts.rows]
    usual = counts.values[np.isin(kinds, ("given", "random"))]
    return float((usual if len(usual) else counts.values).mean()), int(counts.values.max()), counts.unit


def _require_agreement(subject: Subject, candidate: Candidate, trial: Trial, execution: Execution) -> None:
    verdict = judge(subject.loaded.model, candidate.artifact, trial, execution)
    if verdict.image_differences:
        raise ComparisonError(
            "explore.differs", f"{candidate.choice.words}: the image and its Program differ on a row",
            where=f"target {subject.target.name}", hint="do not use this code; report it as a fault of aprgen",
        )  # fmt: skip


def _bound(subject: Subject, artifact: Artifact) -> tuple[Bound | None, int | None, str]:
    """The bound, the stack at most, and why there is none of the first."""
    question = Question(
        wait_states=subject.wait_states, line_bytes=subject.line_bytes, core_options=subject.core_options,
        rows=BOUND_ROWS, witness_seconds=subject.witness_seconds, tools=subject.tools,
        model_file=f"{artifact.name}.apr", text_bytes=subject.text_bytes,
    )  # fmt: skip
    try:
        report = analyse(subject.loaded, artifact, question).report
    except UnsupportedError as error:
        return None, None, error.what
    except UsageError as error:
        if error.code != TEXT_BYTES or subject.text_bytes is not None:
            raise
        return None, None, f"{error.what} ({error.hint})"
    except ToolchainError as error:
        if not error.code.startswith("wcet."):  # what the analysis alone needs
            raise
        return None, None, f"{error.what} ({error.hint})"
    if report.violations:
        raise ComparisonError(
            "wcet.violation", f"an observation contradicts the analysis: {report.violations[0]}",
            where=f"target {subject.target.name}", hint="do not use these numbers; report it as a fault of aprgen",
        )  # fmt: skip
    bounded = {entry.function: entry for entry in report.entries if entry.most is not None}
    verdict = report.verdict
    if verdict.status == "refused" or verdict.entry not in bounded:
        return None, verdict.stack_bytes, verdict.sentence
    dearest = bounded[verdict.entry]
    scores = bounded.get(f"{artifact.name}_{model_facts(artifact).functions[0]}")
    codes = bounded.get(f"{artifact.name}_scores_q")
    unit = dearest.counts[0].measure if dearest.counts else "cycles"
    assert dearest.most is not None
    return (
        Bound(None if scores is None else scores.most, None if codes is None else codes.most, dearest.most, unit),
        verdict.stack_bytes,
        "",
    )


def facts_of(found: Exploration) -> dict[str, object]:
    """For JSON; keys stay as they are from version to version."""
    return {
        "schema": "aprgen.exploration/1",
        "name": found.name,
        "target": found.target,
        "family": found.family,
        "rows": found.rows,
        "choices": [
            taken_facts(one) | {"on_front": on_front}
            for one, on_front in zip(found.taken, found.front, strict=True)
        ],
        "refused": [
            {"numeric": one.choice.numeric, "optimise": one.choice.optimise, "code": one.error.code,
             "what": one.error.what}
            for one in found.refused
        ],
        "notes": list(found.notes),
    }  # fmt: skip


def taken_facts(one: Taken) -> dict[str, object]:
    """One choice of the document."""
    return {
        "numeric": one.choice.numeric,
        "optimise": one.choice.optimise,
        "same_code": [same.words for same in one.same],
        "kernels": list(one.kernels),
        "flash_bytes": one.flash_bytes,
        "codes_flash_bytes": one.codes_flash_bytes,
        "variable_bytes": one.variable_bytes,
        "stack_bytes": one.stack_bytes,
        "stack_is_bound": one.stack_is_bound,
        "ram_bytes": one.ram_bytes,
        "executed": None if one.mean is None else {"mean": one.mean, "most": one.most, "unit": one.unit},
        "bound": None if one.bound is None else _bound_facts(one.bound),
        "no_bound": one.no_bound or None,
        "loss": one.loss,
        "accuracy": one.accuracy or None,
    }


def _bound_facts(bound: Bound) -> dict[str, object]:
    return {"scores": bound.scores, "scores_of_codes": bound.codes, "most": bound.most, "unit": bound.unit}
