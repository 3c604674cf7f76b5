"""What the verbs share that try many choices of shape and numeric mode: their subject, and the columns of their tables.

Knows the words of the command line; builds nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from aprgen.cli.artifact import calibration_of, name_for, reproduce, tuned_of
from aprgen.cli.protection import Opening
from aprgen.cli.requests import Board, Numerics
from aprgen.exploration import Choice, Subject, Taken
from aprgen.loaded import Loaded
from aprgen.target import Target

MISSING = "-"


def subject_for(
    loaded: Loaded, path: Path, target: Target, board: Board, numeric: Numerics, *, name: str | None,
    struct: str | None, opening: Opening, tools: str,
) -> Subject:  # fmt: skip
    """Each choice says in its banner how to make it alone."""
    chosen = name_for(path, name)

    def command(choice: Choice) -> str:
        floats = choice.numeric == "f32"
        alone = replace(
            numeric,
            mode=choice.numeric,
            calibrate=None if floats else numeric.calibrate,
            method="minmax" if floats else numeric.method,
            optimise=choice.optimise,
        )
        return reproduce(path, target, chosen, alone, struct, opening)

    return Subject(
        loaded, target, chosen, calibration_of(loaded, numeric), tools,
        wait_states=board.wait_states, line_bytes=board.line_bytes, core_options=dict(board.core_options),
        witness_seconds=board.witness_seconds, text_bytes=board.text_bytes, command=command, tuned=tuned_of(numeric),
    )  # fmt: skip


def whole(value: float | None) -> str:
    return MISSING if value is None else f"{value:,.0f}"


def stack_of(taken: Taken) -> str:
    """Seen in runs only, where there is a ~ before it."""
    return f"{'' if taken.stack_is_bound or taken.stack_bytes is None else '~'}{whole(taken.stack_bytes)}"
