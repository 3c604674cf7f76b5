"""What a run measured: executed instructions per inference, stack. As JSON and as short texts for tables.

Knows Execution; prints nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from aprgen.cli.printable import count_of
from aprgen.runners.execution import Counts, Execution

UNCOUNTED = "-"


@dataclass(frozen=True)
class PerInference:
    """Over the rows that were counted."""

    minimum: int
    mean: float
    maximum: int
    rows: int
    unit: str


def per_inference(counts: Counts) -> PerInference | None:
    """None when no row was counted."""
    if len(counts.values) == 0:
        return None
    values = counts.values
    return PerInference(int(values.min()), float(values.mean()), int(values.max()), len(values), counts.unit)


def main_function(execution: Execution) -> str | None:
    """The function that stands for the model in a table: the first one, which gives the scores."""
    return next(iter(execution.stack_bytes), None)


def main_counts(execution: Execution) -> PerInference | None:
    counts = execution.instructions.get(main_function(execution) or "")
    return None if counts is None else per_inference(counts)


def short_counts(execution: Execution) -> str:
    """min/mean/max, or one number when all rows take the same."""
    counts = main_counts(execution)
    if counts is None:
        return UNCOUNTED
    if counts.minimum == counts.maximum:
        return str(counts.minimum)
    return f"{counts.minimum}/{counts.mean:.1f}/{counts.maximum}"


def largest_stack(execution: Execution) -> int:
    return max(execution.stack_bytes.values(), default=0)


def measurement_facts(execution: Execution) -> dict[str, object]:
    instructions: dict[str, object] = {}
    for function, counts in execution.instructions.items():
        found = per_inference(counts)
        if found is not None:
            instructions[function] = {
                "min": found.minimum,
                "mean": found.mean,
                "max": found.maximum,
                "rows": found.rows,
                "unit": found.unit,
            }
    return {
        "runner": execution.runner,
        "instructions": instructions,
        "uncounted": execution.uncounted or None,
        "stack_bytes": dict(execution.stack_bytes),
        "notes": list(execution.notes),
    }


def measurement_lines(execution: Execution) -> list[tuple[str, str]]:
    """One line per function and quantity."""
    lines = []
    for function, counts in execution.instructions.items():
        found = per_inference(counts)
        if found is not None:
            value = f"{found.minimum:,} / {found.mean:,.1f} / {found.maximum:,} {found.unit} (min / mean / max)"
            lines.append((function, f"{value}, {count_of(found.rows, 'row')} counted"))
    if execution.uncounted:
        lines.append(("instructions", f"not counted: {execution.uncounted}"))
    stack = ", ".join(f"{function} {count_of(used, 'byte')}" for function, used in execution.stack_bytes.items())
    lines.append(("stack used", stack))
    lines.append(("runner", execution.runner))
    return [*lines, *(("note", note) for note in execution.notes)]
