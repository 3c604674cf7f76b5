"""Proves an image: its outputs against Program.run(), bit for bit, and Program.run() against the model's predict().

Knows how results are compared and what a difference is; knows nothing of targets, files or printing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.build import Built
from aprgen.core import Artifact
from aprgen.families.base import Model
from aprgen.ops.decide import Argmin, Threshold
from aprgen.ops.suggest import Suggest
from aprgen.passes.error_bound import error_bound
from aprgen.program import Array, Program
from aprgen.rows import SEED, Rows, edge_rows, random_rows
from aprgen.runners.execution import BatchOutput, Execution
from aprgen.text_rows import text_rows

MAX_EDGE_ROWS = 6_000
DEFAULT_ROWS = 1_000


@dataclass(frozen=True)
class Difference:
    """One row on which two sides disagree."""

    sides: str  # "C and Program", "batch and Program", or "Program and predict"
    row: int
    kind: str
    inputs: tuple[float, ...] | str
    expected: tuple[float, ...] | str
    found: tuple[float, ...] | str


@dataclass(frozen=True, eq=False)
class Verdict:
    """What was tried, what it cost, and every difference (the first of each pair of sides in detail)."""

    rows: Mapping[str, int]  # per kind
    image_differences: int  # rows on which the C and Program.run() differ in any bit
    model_differences: int  # rows on which Program.run() and predict() differ by more than promised
    largest_difference: float  # |Program.run() - predict()| over all rows and scores
    inexact_rows: int  # rows on which they differ at all, within the promise
    unbounded_rows: int  # rows for which the family promises nothing
    details: tuple[Difference, ...]
    execution: Execution

    @property
    def passed(self) -> bool:
        return self.image_differences == 0 and self.model_differences == 0

    @property
    def n_rows(self) -> int:
        return sum(self.rows.values())


@dataclass(frozen=True, eq=False)
class Trial:
    """Inputs and why each is there."""

    inputs: Array  # float32 [rows, features], or texts [rows]
    kinds: tuple[str, ...]

    def shown(self, row: int) -> tuple[float, ...] | str:
        value = self.inputs[row]
        return value if isinstance(value, str) else tuple(float(v) for v in value)


def make_trial(model: Model, n_rows: int = DEFAULT_ROWS, seed: int = SEED) -> Trial:
    """Edge rows of the model's own decisions, and n_rows random ones; the same for every target."""
    program = model.lower()
    if program.source.element in ("text", "prefix"):
        texts = text_rows(program, n_rows, seed)
        return Trial(texts.values, texts.kinds)
    edges = edge_rows(program, MAX_EDGE_ROWS)
    parts: list[Rows] = [edges] if n_rows == 0 else [edges, random_rows(program, n_rows, seed)]
    kinds = tuple(kind for part in parts for kind in part.kinds)
    return Trial(np.concatenate([part.values for part in parts]), kinds)


def verify(model: Model, built: Built, trial: Trial, *, count: bool = True) -> Verdict:
    """Run the trial on the target and compare the three sides."""
    execution = built.run(trial.inputs, count=count)
    return judge(model, built.artifact, trial, execution)


def judge(model: Model, artifact: Artifact, trial: Trial, execution: Execution) -> Verdict:
    """Compare what was executed with the Program, and the Program with the model.

    Integer modes promise nothing of the latter: their accuracy is measured over the rows of the calibration. Modes in
    floats add what they can differ from f32 to what the model promises of f32.
    """
    program = artifact.program
    scores, labels = program.run(trial.inputs), program.classify(trial.inputs)
    details: list[Difference] = []
    bad_image = _image_rows(program, trial, execution, scores, labels)
    if bad_image.any():
        details.append(_image_detail(trial, execution, scores, labels, int(np.argmax(bad_image))))
    with np.errstate(all="ignore"):
        reference, reference_labels = model.predict(trial.inputs), model.classify(trial.inputs)
        promised = _promised(model, artifact, trial.inputs, reference)
        allowed = np.broadcast_to(np.asarray(promised), reference.shape)
    gap = _gap(scores, reference)
    bad_model = ~(gap <= np.where(np.isnan(allowed), 0.0, allowed)).all(axis=1)
    bad_model |= _wrong_labels(model.lower(), scores, labels, reference_labels, allowed)
    if bad_model.any():
        row = int(np.argmax(bad_model))
        expected, found = _answer(reference, reference_labels, row), _answer(scores, labels, row)
        details.append(Difference("Program and predict", row, trial.kinds[row], trial.shown(row), expected, found))
    bounded = ~np.isposinf(allowed).any(axis=1)
    return Verdict(
        rows={kind: trial.kinds.count(kind) for kind in dict.fromkeys(trial.kinds)},
        image_differences=int(bad_image.sum()),
        model_differences=int(bad_model.sum()),
        largest_difference=float(gap[bounded].max(initial=0.0)),
        inexact_rows=int(((gap > 0).any(axis=1) & ~bad_model).sum()),
        unbounded_rows=int((~bounded).sum()),
        details=tuple(details),
        execution=execution,
    )


def _promised(model: Model, artifact: Artifact, rows: Array, reference: NDArray[np.float32]) -> Array | float:
    accuracy = artifact.accuracy
    if accuracy is None or accuracy.exact_floats:
        return model.tolerance(rows, reference)
    if accuracy.bound is None:
        return np.inf
    bound, _ = error_bound(artifact.program, rows, rows)
    return np.asarray(model.tolerance(rows, reference) + bound)


def same_bits(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Equal bits, or both NaN."""
    equal = np.equal(one.view(np.uint32), other.view(np.uint32))
    return np.asarray(equal | (np.isnan(one) & np.isnan(other)), np.bool_)


def _image_rows(
    program: Program,
    trial: Trial,
    execution: Execution,
    scores: NDArray[np.float32],
    labels: NDArray[np.int32] | None,
) -> NDArray[np.bool_]:
    """Rows on which the image's answer is not the Program's."""
    if program.source.element == "prefix":
        op = program.steps[program.scores - 1].op
        assert isinstance(op, Suggest)
        assert execution.suggestions is not None
        wanted = [op.suggest(text, op.size) for text in trial.inputs]
        found = [tuple((s.text, s.score) for s in row) for row in execution.suggestions]
        return np.array([w != f for w, f in zip(wanted, found, strict=True)], np.bool_)
    bad = np.asarray(~same_bits(execution.scores, scores).all(axis=1), np.bool_)
    if labels is not None:
        assert execution.labels is not None
        bad = bad | np.not_equal(execution.labels, labels)
    return bad if execution.batch is None else bad | _batch_rows(execution.batch, scores, labels)


def _batch_rows(
    batch: BatchOutput, scores: NDArray[np.float32], labels: NDArray[np.int32] | None
) -> NDArray[np.bool_]:  # fmt: skip
    """Rows on which the functions of many rows do not answer as the Program."""
    bad = np.asarray(~same_bits(batch.scores, scores).all(axis=1), np.bool_)
    if labels is not None:
        assert batch.labels is not None
        bad = bad | np.not_equal(batch.labels, labels)
    return bad


def _image_detail(
    trial: Trial,
    execution: Execution,
    scores: NDArray[np.float32],
    labels: NDArray[np.int32] | None,
    row: int,
) -> Difference:
    if execution.suggestions is not None:
        found: tuple[float, ...] | str = ", ".join(f"{s.text!r} {s.score:.9g}" for s in execution.suggestions[row])
    else:
        found = _answer(execution.scores, execution.labels, row)
    expected = _answer(scores, labels, row)
    batch = execution.batch
    if batch is not None and found == expected and _batch_rows(batch, scores, labels)[row]:
        sides, found = "batch and Program", _answer(batch.scores, batch.labels, row)
        return Difference(sides, row, trial.kinds[row], trial.shown(row), expected, found)
    return Difference("C and Program", row, trial.kinds[row], trial.shown(row), expected, found)


def _answer(scores: NDArray[np.float32], labels: NDArray[np.int32] | None, row: int) -> tuple[float, ...]:
    """Scores, and behind them the label."""
    values = tuple(float(v) for v in scores[row])
    return values if labels is None else (*values, float(labels[row]))


def _gap(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """|one - other|; 0 for the same bits or both NaN, infinity when only one is NaN or infinite."""
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(one.astype(np.float64) - other.astype(np.float64))
    different_zeros = (gap == 0) & ~same_bits(one, other)
    gap = np.where(different_zeros, np.finfo(np.float32).smallest_subnormal, gap)
    return np.where(same_bits(one, other), 0.0, np.where(np.isnan(gap), np.inf, gap))


def _wrong_labels(
    program: Program,
    scores: NDArray[np.float32],
    labels: NDArray[np.int32] | None,
    reference: NDArray[np.int32] | None,
    allowed: Array,
) -> NDArray[np.bool_]:
    """Labels that differ although the scores are farther from the decision than the promise allows them to move."""
    if labels is None or reference is None or program.label is None:
        return np.zeros(len(scores), np.bool_)
    differs = labels != reference
    decision = program.steps[program.label - 1].op
    if isinstance(decision, Threshold):
        margin = np.abs(scores[:, -1] - np.float32(decision.limit))
    else:
        top = np.sort(-scores if isinstance(decision, Argmin) else scores, axis=1)
        with np.errstate(invalid="ignore"):
            margin = top[:, -1] - top[:, -2] if scores.shape[1] > 1 else np.full(len(scores), np.inf)
    reach = 2 * np.asarray(allowed).max(axis=1)
    return np.asarray(differs & ~(margin <= np.where(reach > 0, reach, -1.0)), np.bool_)
