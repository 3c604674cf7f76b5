"""Insertion into the k nearest: the number of shifts in all, the rows that reach it, and runs that would break it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from aprgen.core import Artifact, Options, compile_model
from aprgen.families.neighbours import KNearest
from aprgen.loaded import Loaded
from aprgen.ops.distance import Neighbours
from aprgen.rows import random_rows
from aprgen.target import load_target
from aprgen.wcet import analyse as module
from aprgen.wcet.analyse import Question, analyse
from aprgen.wcet.selections import dear_rows, insertions, selection_totals, shifts
from tests.examples import artifact, loaded

K, POINTS = 6, 20


def descending(core: str) -> tuple[Loaded, Artifact]:
    """A model whose points come nearer to 0 one by one, so that at 0 each is inserted before all others."""
    points = np.arange(POINTS, 0, -1, dtype=np.float32).reshape(-1, 1)
    labels = np.arange(POINTS) % 2
    model = KNearest(K, "manhattan", 1.0, False, points, labels)
    whole = Loaded(model, loaded("knn_euclidean").container, ("KNearestNeighbors",), "0" * 64)
    return whole, compile_model(whole, load_target(core), Options("near"))


@pytest.mark.parametrize(("n_points", "k"), [(1, 1), (5, 1), (5, 5), (9, 4), (20, 6)])
def test_number_of_shifts(n_points: int, k: int) -> None:
    """It is what inserting in descending order takes, and no other order takes more."""

    def counted(order: np.ndarray) -> int:
        near: list[float] = []
        total = 0
        for value in order:
            place = sum(other <= value for other in near)
            if len(near) == k and place == k:
                continue
            near = near[: k - 1]
            total += len(near) - min(place, len(near))
            near.insert(place, value)
        return total

    generator = np.random.default_rng(1)
    others = max(counted(generator.permutation(n_points)) for _ in range(200))
    assert shifts(n_points, k) == counted(np.arange(n_points)[::-1])
    assert others <= shifts(n_points, k)


def test_descending_distances_reach_the_bound() -> None:
    """A row to which every point is nearer than the one before takes as many shifts as all rows may, and the bound but
    for the ends of some loops."""
    whole, made = descending("cortex-m4")
    report = analyse(whole, made, Question(rows=20)).report
    scores = next(one for one in report.entries if one.function == "near_scores")

    (row,) = [row for row in scores.loops if row.id.endswith("_shift")]
    assert report.violations == ()
    assert shifts(POINTS, K) == row.count < POINTS * (K - 1)
    assert scores.observed is not None
    assert scores.observed.ratio <= 1.03


def test_points_in_lanes(require_target: Callable[[str], None]) -> None:
    """Where the function for one row has points in lanes, its loops are bounded too, and no run goes beyond."""
    require_target("x86-avx2")
    whole = loaded("knn_euclidean")
    made = compile_model(whole, load_target("x86-avx2"), Options("near", numeric="s8"))
    report = analyse(whole, made, Question(rows=20)).report
    scores = next(one for one in report.entries if one.function == "near_scores")

    (row,) = [row for row in scores.loops if row.id.endswith("_row_neighbours_shift")]
    assert selection_totals(made)[row.id] == row.count
    assert report.violations == ()
    assert scores.observed is not None


def test_climbed_rows() -> None:
    """The climb finds a row with more work than random rows have, and the count is that of an insertion."""
    made = artifact("knn_euclidean", "cortex-m4")
    op = next(step.op for step in made.program.steps if isinstance(step.op, Neighbours))
    (row,) = dear_rows(made)

    random = insertions(op.distances(random_rows(made.program, 300, 1).values), op.k)
    assert int(random.max()) < int(insertions(op.distances(row[np.newaxis]), op.k)[0])
    falling = np.arange(POINTS, 0, -1, dtype=np.float32)[np.newaxis]
    assert shifts(POINTS, K) + POINTS - K == int(insertions(falling, K)[0])


def test_a_total_that_is_too_small_voids_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """When fewer shifts are claimed than a run takes, the run is a violation that names the loop."""
    whole, made = descending("cortex-m4")
    claimed = {name: total - 1 for name, total in selection_totals(made).items()}
    monkeypatch.setattr(module, "selection_totals", lambda artifact: claimed)

    report = analyse(whole, made, Question(rows=20)).report

    (name,) = claimed
    assert any(f"the loop {name} ran {shifts(POINTS, K)} times" in line for line in report.violations)


def test_other_models_have_no_selection() -> None:
    """Only steps that select are counted."""
    _, made = descending("cortex-m4")

    assert {"near_0_neighbours_manhattan_shift": shifts(POINTS, K)} == dict(selection_totals(made))
    assert {} == dict(selection_totals(replace(made, program=loaded("linreg").model.lower())))
