"""Strategies for blocks of rows in the Python interface: measure those of a model on this machine, and keep records.

Knows how the layers below fit together; `aprgen.compile` takes the records.
"""

from __future__ import annotations

from pathlib import Path

from aprgen.api import Model, load
from aprgen.in_process import target_of_this_machine
from aprgen.target import Target, load_target
from aprgen.tuned.records import add_records
from aprgen.tuning import ROWS, SECONDS, Question, Tuning
from aprgen.tuning import tune as measure_strategies


def tune(
    source: str | Path | Model,
    target: str | Target | None = None,
    *,
    rows: int = ROWS,
    seconds: float = SECONDS,
    records: str | Path | None = None,
    struct: str | None = None,
    tools: str = "auto",
) -> Tuning:
    """Measure strategies for blocks of rows on this machine, as `aprgen tune` does; the target is this machine's.

    records: a file to which they are added; it is made if need be.
    """
    model = source if isinstance(source, Model) else load(source, struct=struct)
    given = target_of_this_machine() if target is None else target
    chosen = given if isinstance(given, Target) else load_target(given)
    found = measure_strategies(model.loaded, model.name, chosen, Question(rows, seconds, tools))
    if records is not None:
        add_records(Path(records), found.records)
    return found
