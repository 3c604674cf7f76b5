"""`aprgen test`: tries a model on targets, row by row against its Program and its predict(), and says what was tried.

Knows how verdicts are gathered over several targets; judging is `verify`'s.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from aprgen.build import Built, build_artifact
from aprgen.cli.artifact import artifact_for, loaded_from
from aprgen.cli.footprint_facts import footprint_facts
from aprgen.cli.measurements import UNCOUNTED, largest_stack, measurement_facts, short_counts
from aprgen.cli.printable import count_of, shortened, visible
from aprgen.cli.progress import steps
from aprgen.cli.report import error_facts, print_json
from aprgen.cli.requests import Test
from aprgen.cli.screen import BAD, DIM, GOOD, Cell, Line, console, print_box, print_table
from aprgen.errors import AprgenError, BudgetError, ComparisonError, ToolchainError, UnsupportedError
from aprgen.loaded import Loaded, check_model
from aprgen.rows import SEED
from aprgen.target import load_target, target_names
from aprgen.verify import DEFAULT_ROWS, Difference, Trial, Verdict, make_trial, verify

ALL = "all"
AT_ONCE = 2  # targets: while one waits for its emulator, another computes
MOST_VALUES_SHOWN = 16


@dataclass(frozen=True, eq=False)
class Outcome:
    """Of one target. problem: what kept it from being built or run; built is there when only the running failed."""

    target: str
    built: Built | None
    verdict: Verdict | None
    problem: AprgenError | None


def test_command(request: Test) -> int:
    """Does all targets, then raises: a difference first (status 1), else the first thing that was missing."""
    names = target_names() if ALL in request.targets else request.targets
    targets = [load_target(name).name if "/" not in name and not name.endswith(".toml") else name for name in names]
    loaded = loaded_from(request.model, request.struct, request.opening)
    check_model(loaded.model)
    with steps(len(targets) + 1) as work:
        work.next("choosing rows")
        trial = make_trial(
            loaded.model,
            DEFAULT_ROWS if request.rows is None else request.rows,
            SEED if request.seed is None else request.seed,
        )

        def outcome(name: str) -> Outcome:
            work.next(f"testing on {visible(name)}")
            return _outcome(request, loaded, name, trial)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            outcomes = list(pool.map(outcome, targets))
    if request.format == "json":
        print_json(_report(request, loaded, trial, outcomes))
    else:
        _print(request, loaded, trial, outcomes)
    _raise_first(outcomes)
    return 0


def _outcome(request: Test, loaded: Loaded, name: str, trial: Trial) -> Outcome:
    built: Built | None = None
    try:
        target = load_target(name)
        artifact = artifact_for(
            loaded, request.model, target, name=None, numeric=request.numeric, struct=request.struct,
            opening=request.opening,
        )  # fmt: skip
        built = build_artifact(artifact, tools=request.tools)
        return Outcome(target.name, built, verify(loaded.model, built, trial), None)
    except (ToolchainError, BudgetError, UnsupportedError) as error:
        return Outcome(name, built, None, error)


def _raise_first(outcomes: list[Outcome]) -> None:
    failed = [outcome.target for outcome in outcomes if outcome.verdict is not None and not outcome.verdict.passed]
    if failed:
        raise ComparisonError(
            "test.differs",
            f"results differ on {', '.join(failed)}",
            where=f"target {failed[0]}",
            hint="the report shows the first row that differs; keep it, and report it as a fault of aprgen",
        )
    for outcome in outcomes:
        if outcome.problem is not None:
            raise outcome.problem


def _report(request: Test, loaded: Loaded, trial: Trial, outcomes: list[Outcome]) -> dict[str, object]:
    return {
        "model": str(request.model),
        "sha256": loaded.sha256,
        "family": loaded.model.family,
        "struct": loaded.model.struct,
        "passed": all(outcome.verdict is not None and outcome.verdict.passed for outcome in outcomes),
        "rows": _kinds(trial),
        "n_rows": len(trial.kinds),
        "targets": [_outcome_facts(outcome) for outcome in outcomes],
    }


def _kinds(trial: Trial) -> dict[str, int]:
    return {kind: trial.kinds.count(kind) for kind in dict.fromkeys(trial.kinds)}


def _outcome_facts(outcome: Outcome) -> dict[str, object]:
    built, verdict = outcome.built, outcome.verdict
    facts: dict[str, object] = {
        "target": outcome.target,
        "passed": verdict is not None and verdict.passed,
        "built": built is not None,
        "problem": None if outcome.problem is None else error_facts(outcome.problem),
        "footprint": None if built is None else footprint_facts(built.footprint, built.image.toolchain.name),
    }
    if verdict is None:
        return facts
    return facts | {
        "rows": verdict.n_rows,
        "image_differences": verdict.image_differences,
        "model_differences": verdict.model_differences,
        "largest_difference": verdict.largest_difference,
        "inexact_rows": verdict.inexact_rows,
        "unbounded_rows": verdict.unbounded_rows,
        "details": [_difference_facts(one) for one in verdict.details],
        "execution": measurement_facts(verdict.execution),
    }


def _difference_facts(one: Difference) -> dict[str, object]:
    return {
        "sides": one.sides,
        "row": one.row,
        "kind": one.kind,
        "inputs": one.inputs,
        "expected": one.expected,
        "found": one.found,
    }


def _print(request: Test, loaded: Loaded, trial: Trial, outcomes: list[Outcome]) -> None:
    out = console()
    kinds = "; ".join(f"{count:,} {kind}" for kind, count in _kinds(trial).items())
    model = loaded.model
    lines = [
        Line("model", visible(f"{request.model.name}: {model.family} ({model.struct})")),
        Line("rows", f"{len(trial.kinds):,}"),
        Line("of kinds", kinds),
    ]
    print_box(out, "tried", lines)
    columns = ("target", "C = Program", "= predict()", "instructions", "flash", "RAM", "stack", "runner")
    right = ("instructions", "flash", "RAM", "stack")
    print_table(out, "", columns, [_row(outcome) for outcome in outcomes], right=right)
    print("instructions: min/mean/max per inference; flash, RAM, stack: bytes")
    if any(outcome.verdict is not None and outcome.verdict.inexact_rows for outcome in outcomes):
        print("within: the largest difference from predict(), which rounds exp, log or sums otherwise; all in bound")
    for outcome in outcomes:
        if outcome.verdict is not None:
            for note in _notes(outcome.target, outcome.verdict):
                print(visible(note))
    for outcome in outcomes:
        if outcome.verdict is not None:
            for detail in outcome.verdict.details:
                print_box(out, f"{visible(outcome.target)}: {detail.sides} differ", _difference_lines(detail), BAD)
        elif outcome.problem is not None:
            print_box(out, f"{visible(outcome.target)}: {_state(outcome)}", _problem_lines(outcome.problem), BAD)


def _notes(target: str, verdict: Verdict) -> list[str]:
    execution = verdict.execution
    notes = [f"{target}: {note}" for note in execution.notes]
    if verdict.unbounded_rows:
        rows = count_of(verdict.unbounded_rows, "row")
        notes.append(f"{target}: for {rows} the model promises no bound between Program and predict()")
    return [*notes, f"{target}: not counted: {execution.uncounted}"] if execution.uncounted else notes


def _row(outcome: Outcome) -> tuple[Cell | str, ...]:
    name = Cell(visible(outcome.target), "bold")
    sizes: tuple[str, str] = (UNCOUNTED, UNCOUNTED)
    if outcome.built is not None:
        size = outcome.built.footprint
        sizes = (f"{size.flash_bytes:,}", f"{size.ram_bytes:,}")
    verdict = outcome.verdict
    if verdict is None:
        return (name, Cell(_state(outcome), BAD), "", "", *sizes, "", "")
    image = Cell("all rows", GOOD) if verdict.image_differences == 0 else _differ(verdict.image_differences)
    return (
        name,
        image,
        _agreement(verdict),
        short_counts(verdict.execution),
        *sizes,
        f"{largest_stack(verdict.execution):,}",
        Cell(visible(verdict.execution.runner.split(",")[0]), DIM),
    )


def _differ(rows: int) -> Cell:
    return Cell(f"{rows:,} differ", BAD)


def _agreement(verdict: Verdict) -> Cell:
    if verdict.model_differences:
        return _differ(verdict.model_differences)
    if verdict.inexact_rows == 0:
        return Cell("all rows", GOOD)
    return Cell(f"within {verdict.largest_difference:.1e}", GOOD)


def _state(outcome: Outcome) -> str:
    if isinstance(outcome.problem, BudgetError):
        return "does not fit"
    if isinstance(outcome.problem, UnsupportedError):
        return "not supported"
    return "not built" if outcome.built is None else "built, not run"


def _difference_lines(one: Difference) -> list[Line]:
    return [
        Line("row", f"{one.row} ({one.kind})"),
        Line("inputs", _values(one.inputs)),
        Line("expected", _values(one.expected)),
        Line("found", _values(one.found), BAD),
    ]


def _values(values: tuple[float, ...] | str) -> str:
    if isinstance(values, str):
        return shortened(values)
    shown = ", ".join(f"{value:.9g}" for value in values[:MOST_VALUES_SHOWN])
    return f"{shown}, ... ({len(values)} values)" if len(values) > MOST_VALUES_SHOWN else shown


def _problem_lines(problem: AprgenError) -> list[Line]:
    return [
        Line("what", visible(problem.what)),
        Line("where", visible(problem.where)),
        Line("to do", visible(problem.hint)),
    ]
