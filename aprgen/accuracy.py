"""What an integer mode loses: its Program beside the one in floats, over the rows of the calibration.

Knows Programs and rows; knows no files and no targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.errors import UsageError
from aprgen.ops.distance import Neighbours
from aprgen.passes.quantise import Quantised, needs_rows
from aprgen.passes.ranges import METHODS, Method
from aprgen.program import Program
from aprgen.rows import random_rows

WORST = 5  # rows shown
RANDOM_ROWS = 1000
LARGE = 1e18  # values that no scale of float32 can carry through sums


@dataclass(frozen=True, eq=False)
class Calibration:
    """Rows that a model will see, float32 [rows, n_features], how ranges are taken from them, and the loss allowed."""

    rows: NDArray[np.float32]
    origin: str  # where they are from, for people
    method: Method = "minmax"
    max_loss: float | None = None


@dataclass(frozen=True)
class Accuracy:
    """Over all rows of the calibration.

    loss: share of labels that changed; of models without labels the root of the mean squared difference, by the root
    of the mean squared deviation of the scores from their mean. worst_rows: those whose scores moved most.
    """

    n_rows: int
    origin: str
    method: str
    labels_changed: int | None
    largest_difference: float
    relative_difference: float  # NaN-free: 0 when nothing moves, and when scores do not vary the plain root mean square
    worst_rows: tuple[int, ...]
    in_floats: tuple[str, ...]  # kernels that the mode leaves in floats

    @property
    def loss(self) -> float:
        return self.relative_difference if self.labels_changed is None else self.labels_changed / self.n_rows

    @property
    def sentence(self) -> str:
        share = f"{self.relative_difference:.2%} of their spread"
        moved = f"scores differ by {share}, by {self.largest_difference:.4g} at most"
        if self.labels_changed is None:
            return moved
        return f"{self.labels_changed} of {self.n_rows} labels change; {moved}"


def stored_rows(program: Program) -> Calibration | None:
    """Rows that the model itself holds; random ones where no scale is taken from rows, to measure with."""
    if not needs_rows(program):
        return Calibration(random_rows(program, RANDOM_ROWS).values, "random rows")
    for step in program.steps:
        if isinstance(step.op, Neighbours) and step.inputs == (0,):
            return Calibration(np.asarray(step.op.points.data, np.float32), "the model's own points")
    return None


def require_calibration(calibration: Calibration, n_features: int) -> None:
    """Finite rows of the model's width, at least one."""
    rows = calibration.rows
    wrong = ""
    if rows.ndim != 2 or rows.shape[1] != n_features or len(rows) == 0:
        wrong = f"the rows have shape {list(rows.shape)}, the model takes [rows, {n_features}]"
    elif not bool(np.all(np.abs(rows) <= LARGE)):  # false for a NaN, too
        at = np.argwhere(~(np.abs(rows) <= LARGE))[0]
        wrong = f"row {at[0]} has {rows[at[0], at[1]]} as feature {at[1]}"
    elif calibration.method not in METHODS:
        wrong = f"the method {calibration.method!r} is none of {', '.join(METHODS)}"
    if wrong:
        raise UsageError(
            "numeric.calibrate", wrong, where=calibration.origin, hint="give finite rows such as the model will see"
        )


def measure_accuracy(program: Program, quantised: Quantised, calibration: Calibration) -> Accuracy:
    """Both Programs on all rows."""
    rows = calibration.rows
    before, after = program.run(rows).astype(np.float64), quantised.program.run(rows).astype(np.float64)
    with np.errstate(all="ignore"):
        difference = np.nan_to_num(np.abs(before - after), nan=0.0, posinf=LARGE)
        spread = float(np.sqrt(np.nanmean((before - np.nanmean(before, axis=0)) ** 2)))
    labels, new_labels = program.classify(rows), quantised.program.classify(rows)
    changed = None if labels is None or new_labels is None else int(np.count_nonzero(labels != new_labels))
    by_row = difference.max(axis=1)
    moved = float(np.sqrt(np.mean(difference**2)))
    order = np.argsort(-by_row, kind="stable")[:WORST]
    return Accuracy(
        n_rows=len(rows),
        origin=calibration.origin,
        method=calibration.method,
        labels_changed=changed,
        largest_difference=float(by_row.max()),
        relative_difference=moved / spread if spread > 0 else moved,
        worst_rows=tuple(int(row) for row in order if by_row[row] > 0),
        in_floats=quantised.in_floats,
    )
