"""What a numeric mode loses: its Program beside the one in f32, over the rows of the calibration.

Knows Programs and rows; knows no files and no targets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aprgen.errors import UsageError
from aprgen.ops.distance import Neighbours
from aprgen.passes.error_bound import error_bound
from aprgen.passes.quantise import Quantised, needs_rows
from aprgen.passes.ranges import METHODS, Method
from aprgen.program import Program
from aprgen.rows import random_rows

WORST = 5  # rows shown
RANDOM_ROWS = 1000
LARGE = 1e18  # values that no scale of float32 can carry through sums


@dataclass(frozen=True, eq=False)
class Calibration:
    """Rows that a model will see, float32 [rows, n_features], how ranges are taken from them, and the loss allowed.

    truth: what is right for each row, labels [rows, 1] or values [rows, n_outputs]; None when nobody says.
    notes: what was changed on the way here.
    """

    rows: NDArray[np.float32]
    origin: str  # where they are from, for people
    method: Method = "minmax"
    max_loss: float | None = None
    truth: NDArray[np.float32] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Truth:
    """How right the model is in floats (before) and in the mode (after): the share of right labels, or the root of the
    mean squared error of values."""

    labels: bool
    before: float
    after: float

    @property
    def sentence(self) -> str:
        if self.labels:
            return f"{self.before:.2%} of labels are right before, {self.after:.2%} after"
        return f"root mean square error {self.before:.6g} before, {self.after:.6g} after"


@dataclass(frozen=True)
class Bound:
    """What |score - score in f32| cannot exceed, by output: for every row whose features are from low to high, and for
    each of the rows that were measured. Empty where there is none, and why."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    anywhere: tuple[float, ...]
    on_rows: tuple[float, ...]
    missing: str

    @property
    def sentence(self) -> str:
        if self.missing:
            return f"none: {self.missing}"
        on_rows, anywhere = max(self.on_rows), max(self.anywhere)
        return f"no score can differ by more than {on_rows:.3g} on these rows, {anywhere:.3g} between them"


@dataclass(frozen=True)
class Accuracy:
    """Over all rows of the calibration.

    loss: share of right labels that is lost, where it is known what is right, else share of labels that changed; of
    models without labels the root of the mean squared difference, by the root of the mean squared deviation of the
    scores from their mean. worst_rows: those whose scores moved most.
    """

    n_rows: int
    origin: str
    method: str
    labels_changed: int | None
    largest_difference: float
    relative_difference: float  # NaN-free: 0 when nothing moves, and when scores do not vary the plain root mean square
    worst_rows: tuple[int, ...]
    in_floats: tuple[str, ...]  # kernels that the mode leaves in floats
    truth: Truth | None = None
    of_codes: bool = False  # of the functions of codes, which lose more than those of floats
    exact_floats: bool = False  # those of floats lose nothing
    bound: Bound | None = None  # of a mode in floats

    @property
    def loss(self) -> float:
        if self.truth is not None and self.truth.labels:
            return max(0.0, self.truth.before - self.truth.after)
        return self.relative_difference if self.labels_changed is None else self.labels_changed / self.n_rows

    @property
    def sentence(self) -> str:
        share = f"{self.relative_difference:.2%} of their spread"
        moved = f"scores differ by {share}, by {self.largest_difference:.4g} at most"
        whose = "functions of codes: " if self.of_codes else ""
        if self.labels_changed is None:
            return f"{whose}{moved}"
        return f"{whose}{self.labels_changed} of {self.n_rows} labels change; {moved}"


def stored_rows(program: Program) -> Calibration | None:
    """Rows that the model itself holds, and their labels; random ones where no scale is taken from rows, to measure
    with."""
    if not needs_rows(program):
        return trial_rows(program)
    for step in program.steps:
        if isinstance(step.op, Neighbours) and step.inputs == (0,):
            votes = np.zeros((len(step.op.points.data), step.op.n_classes), np.float32)
            votes[np.arange(len(votes)), step.op.classes.data] = 1
            value = program.steps.index(step) + 1
            labels = None
            if program.label is not None:
                labels = program.evaluate(votes, [program.label], given=value)[program.label].astype(np.float32)
            points = np.asarray(step.op.points.data, np.float32)
            return Calibration(points, "the model's own points", truth=labels)
    return None


def trial_rows(program: Program) -> Calibration:
    """Random rows, to measure with where none are given."""
    return Calibration(random_rows(program, RANDOM_ROWS).values, "random rows")


def require_calibration(calibration: Calibration, program: Program) -> None:
    """Finite rows of the model's width, at least one, and as many answers where there are any."""
    n_features = program.n_features
    rows = calibration.rows
    wrong = ""
    if rows.ndim != 2 or rows.shape[1] != n_features or len(rows) == 0:
        wrong = f"the rows have shape {list(rows.shape)}, the model takes [rows, {n_features}]"
    elif not bool(np.all(np.abs(rows) <= LARGE)):  # false for a NaN, too
        at = np.argwhere(~(np.abs(rows) <= LARGE))[0]
        wrong = f"row {at[0]} has {rows[at[0], at[1]]!s} as feature {at[1]}"
    elif calibration.method not in METHODS:
        wrong = f"the method {calibration.method!r} is none of {', '.join(METHODS)}"
    elif calibration.truth is not None:
        width = program.n_outputs if program.label is None else 1
        if calibration.truth.shape != (len(rows), width):
            found = list(calibration.truth.shape)
            wrong = f"the labels have shape {found}, {len(rows)} rows of this model need [{len(rows)}, {width}]"
    if wrong:
        raise UsageError(
            "numeric.calibrate", wrong, where=calibration.origin, hint="give finite rows such as the model will see"
        )


def measure_accuracy(program: Program, quantised: Quantised, calibration: Calibration) -> Accuracy:
    """Both Programs on all rows. Where functions of codes go a way of their own, they count."""
    rows = calibration.rows
    made = quantised.program
    of_codes = made.codes is not None and not made.floats_are_coded
    before, labels = program.run(rows).astype(np.float64), program.classify(rows)
    new_scores, new_labels = made.run_codes(rows) if of_codes else (made.run(rows), made.classify(rows))
    after = new_scores.astype(np.float64)
    with np.errstate(all="ignore"):
        difference = np.nan_to_num(np.abs(before - after), nan=0.0, posinf=LARGE)
        spread = float(np.sqrt(np.nanmean((before - np.nanmean(before, axis=0)) ** 2)))
    changed = None if labels is None or new_labels is None else int(np.count_nonzero(labels != new_labels))
    by_row = difference.max(axis=1)
    truth = None if calibration.truth is None else _truth(calibration.truth, before, after, labels, new_labels)
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
        of_codes=of_codes,
        exact_floats=quantised.exact_floats,
        truth=truth,
    )


def measure_floats(program: Program, made: Program, calibration: Calibration) -> Accuracy:
    """The same for a mode in floats, with the bound of its differences."""
    accuracy = measure_accuracy(program, Quantised(made, ()), calibration)
    rows = calibration.rows
    low, high = rows.min(axis=0, keepdims=True), rows.max(axis=0, keepdims=True)
    on_rows, missing = error_bound(made, rows, rows)
    anywhere, no_box = error_bound(made, low, high)
    bounds = {"anywhere": anywhere[0], "on_rows": on_rows.max(axis=0)}
    missing = missing or no_box
    if not missing and not all(np.isfinite(bound).all() for bound in bounds.values()):
        missing = "values can leave the range of floats"
    known = {name: () if missing else tuple(float(one) for one in bound) for name, bound in bounds.items()}
    first, last = (tuple(float(one) for one in side[0]) for side in (low, high))
    return replace(accuracy, bound=Bound(first, last, known["anywhere"], known["on_rows"], missing))


def _truth(
    right: NDArray[np.float32],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    labels: NDArray[np.int32] | None,
    new_labels: NDArray[np.int32] | None,
) -> Truth:
    if labels is not None and new_labels is not None:
        answers = right.reshape(-1)
        return Truth(True, float(np.mean(labels == answers)), float(np.mean(new_labels == answers)))
    errors = (np.sqrt(np.mean((scores - right) ** 2)) for scores in (before, after))
    return Truth(False, *(float(error) for error in errors))
