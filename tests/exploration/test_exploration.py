"""Exploration: every choice is measured on its own image, and the front holds those that nothing else beats."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import aprgen.exploration as exploration
from aprgen.accuracy import Calibration
from aprgen.build import build_artifact
from aprgen.core import Options, compile_model
from aprgen.errors import ComparisonError, ToolchainError
from aprgen.exploration import (
    WAYS,
    Choice,
    Exploration,
    Subject,
    candidates,
    explore,
    facts_of,
    modes_of,
    pareto,
    take,
    ways_of,
)
from aprgen.program import Array
from aprgen.rows import random_rows
from aprgen.runners.execution import Execution
from aprgen.target import load_target
from aprgen.verify import Verdict
from tests.examples import loaded

SECONDS = 2.0


@functools.cache
def rows_for(name: str) -> Array:
    return random_rows(loaded(name).model.lower(), 100).values


def subject(name: str, target: str, *, rows: bool = False) -> Subject:
    calibration = Calibration(rows_for(name), "random rows") if rows else None
    return Subject(loaded(name), load_target(target), name, calibration, witness_seconds=SECONDS)


@functools.cache
def explored(name: str, target: str, rows: bool = False) -> Exploration:
    return explore(subject(name, target, rows=rows))


def test_the_front() -> None:
    """A point is beaten by one that is nowhere larger and somewhere smaller; equal points do not beat each other."""
    assert pareto([(1, 2), (2, 1), (2, 2), (1, 2), (0, 9)]) == (True, True, False, True, True)


def test_every_shape_of_a_forest_is_tried(require_target: Callable[[str], None]) -> None:
    """Each choice is measured, gives the code of another one, or is refused."""
    require_target("cortex-m4")
    found = explored("rfc", "cortex-m4")
    words = [one.choice.words for one in found.taken] + [same.words for one in found.taken for same in one.same]
    words += [one.choice.words for one in found.refused]

    assert sorted(Choice("f32", way).words for way in WAYS) == sorted(words)
    assert len(found.taken) > 1


def test_flash_is_that_of_the_image(require_target: Callable[[str], None]) -> None:
    """The flash of each choice is what building it alone gives."""
    require_target("cortex-m4")
    target = load_target("cortex-m4")
    for one in explored("rfc", "cortex-m4").taken:
        artifact = compile_model(loaded("rfc"), target, Options("rfc", optimise=one.choice.optimise))
        assert build_artifact(artifact).footprint.flash_bytes == one.flash_bytes


def test_runs_stay_within_the_bounds(require_target: Callable[[str], None]) -> None:
    """No row executes more instructions than there are cycles at most, and the dearest function bounds all."""
    require_target("cortex-m4")
    for one in explored("rfc", "cortex-m4").taken:
        assert one.bound is not None
        assert one.bound.unit == "cycles"
        assert one.bound.scores is not None
        assert one.mean is not None
        assert one.most is not None
        assert one.mean <= one.most <= one.bound.scores <= one.bound.most
        assert one.stack_is_bound
        assert one.ram_bytes == one.variable_bytes + (one.stack_bytes or 0)


def test_rows_bring_the_integer_modes(require_target: Callable[[str], None]) -> None:
    """With rows all three modes are measured; floats lose nothing, and codes are cheaper than floats without FPU."""
    require_target("cortex-m0plus")
    found = explored("logreg_bc", "cortex-m0plus", rows=True)
    by_mode = {one.choice.numeric: one for one in found.taken}

    assert sorted(by_mode) == ["f32", "s16", "s8"]
    assert by_mode["f32"].loss == 0
    assert by_mode["f32"].accuracy == ""
    assert by_mode["s8"].accuracy != ""
    for mode in ("s16", "s8"):
        bound = by_mode[mode].bound
        assert bound is not None
        assert bound.codes is not None
        assert bound.scores is not None
        assert bound.codes < bound.scores


def test_without_rows_integers_are_not_tried() -> None:
    """A note says what is missing; rows that give no scales are said, and serve for means."""
    modes, notes = modes_of(loaded("logreg_bc"), None)
    tree_modes, tree_notes = modes_of(loaded("rfc"), None)
    far = np.full((1, loaded("rfc").model.n_features), 1e30, np.float32)
    far_modes, far_notes = modes_of(loaded("rfc"), Calibration(far, "far"))

    assert modes == tree_modes == far_modes == ("f32",)
    assert "--calibrate" in notes[0]
    assert "--calibrate" in tree_notes[0]
    assert "row 0 has 1" in far_notes[0]


def test_rows_bring_functions_of_codes_to_trees(require_target: Callable[[str], None]) -> None:
    """The integer modes of trees change nothing for floats; functions of codes are smaller and bounded lower."""
    require_target("cortex-m4")
    rows = replace(subject("rfc", "cortex-m4"), calibration=Calibration(rows_for("rfc"), "random rows"))
    found, _ = candidates(rows, [Choice("f32", None), Choice("s16", None)])
    plain = replace(rows, run=False, bound=False)
    floats, codes = take(plain, found[0]), take(rows, found[1])

    assert modes_of(loaded("rfc"), rows.calibration)[0] == ("f32", "s16", "s8")
    assert codes.flash_bytes == floats.flash_bytes
    assert floats.codes_flash_bytes is None
    assert codes.codes_flash_bytes is not None
    assert codes.codes_flash_bytes < codes.flash_bytes
    assert codes.bound is not None
    assert codes.bound.codes is not None
    assert codes.bound.scores is not None
    assert codes.bound.codes < codes.bound.scores


def test_a_core_without_times_counts(require_target: Callable[[str], None]) -> None:
    """Where no time is bounded the worst case is a count of instructions, not below what runs execute."""
    require_target("cortex-m7")
    (one,) = explored("linreg", "cortex-m7").taken

    assert one.bound is not None
    assert one.bound.unit == "instructions"
    assert one.most is not None
    assert one.most <= (one.bound.scores or 0)


def test_a_refused_bound_is_said(require_target: Callable[[str], None]) -> None:
    """A function without a bound keeps its other figures, and the note says why there is none."""
    require_target("cortex-m33")
    found = explored("logreg_bc", "cortex-m33")

    assert [one.bound for one in found.taken] == [None]
    assert found.taken[0].flash_bytes > 0
    assert any("no bound" in note.lower() for note in found.notes)


def test_a_loss_too_large_is_refused() -> None:
    """A mode over --max-loss is no candidate, and says what it would lose."""
    strict = Calibration(rows_for("kmeans"), "random rows", max_loss=0)
    rows = replace(subject("kmeans", "host"), calibration=strict)
    found, refused = candidates(rows, [Choice("f32", None), Choice("s8", None)])

    assert [one.choice for one in found] == [Choice("f32", None)]
    assert [one.error.code for one in refused] == ["numeric.loss"]


def test_what_every_choice_meets_is_raised() -> None:
    """When nothing is left, the first reason is the error."""
    strict = Calibration(rows_for("kmeans"), "random rows", max_loss=0)
    rows = replace(subject("kmeans", "host"), calibration=strict)
    with pytest.raises(ComparisonError, match="loses"):
        candidates(rows, [Choice("s8", None)])


def test_an_image_that_differs_is_an_error(
    monkeypatch: pytest.MonkeyPatch, require_target: Callable[[str], None]
) -> None:
    """Figures of code that gives other bits than its Program are not shown."""
    require_target("host")
    real = exploration.judge

    def other(*arguments: object) -> Verdict:
        execution: Execution = arguments[3]  # type: ignore[assignment]
        return real(*arguments[:3], replace(execution, scores=execution.scores + 1))  # type: ignore[arg-type]

    monkeypatch.setattr(exploration, "judge", other)
    host = replace(subject("linreg", "host"), bound=False)
    (candidate,), _ = candidates(host, [Choice("f32", None)])
    with pytest.raises(ComparisonError) as caught:
        take(host, candidate)

    assert caught.value.code == "explore.differs"


def test_a_missing_solver_leaves_no_bound(
    monkeypatch: pytest.MonkeyPatch, require_target: Callable[[str], None]
) -> None:
    """Without what the analysis needs the rest is measured; without a compiler nothing is."""
    require_target("host")

    def missing(*_: object) -> None:
        raise ToolchainError("wcet.scipy", "scipy is not installed", where="this machine", hint="install it")

    monkeypatch.setattr(exploration, "analyse", missing)
    host = subject("linreg", "host")
    (candidate,), _ = candidates(host, [Choice("f32", None)])
    taken = take(host, candidate)

    assert taken.bound is None
    assert taken.no_bound == "scipy is not installed (install it)"
    assert taken.flash_bytes > 0


def test_the_document_has_every_figure(require_target: Callable[[str], None]) -> None:
    """JSON names each choice once, with the flag of the front beside its figures."""
    require_target("cortex-m4")
    found = explored("rfc", "cortex-m4")
    choices = facts_of(found)["choices"]
    assert isinstance(choices, list)

    assert [one["flash_bytes"] for one in choices] == [one.flash_bytes for one in found.taken]
    assert [one["on_front"] for one in choices] == list(found.front)
    assert np.all(np.diff([one["flash_bytes"] for one in choices]) >= 0)


def test_goals_are_tried_of_trees_and_texts() -> None:
    """Shapes are for trees alone; of a text model the goals choose how strings are looked up."""
    assert WAYS == ways_of(loaded("dtr"))
    assert ways_of(loaded("tfidf")) == ways_of(loaded("ngram_shell")) == (None, "size", "mean", "wcet")
    assert ways_of(loaded("linreg")) == (None,)
