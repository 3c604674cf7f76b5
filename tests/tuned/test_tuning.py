"""Measuring strategies on this machine: every candidate is the same function, records say what was measured."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from aprgen import tuning
from aprgen.build import load_into_process
from aprgen.core import Options, compile_model
from aprgen.errors import ToolchainError, UnsupportedError
from aprgen.passes.choices import Choices
from aprgen.rows import edge_rows
from aprgen.runners.shared import why_not_here
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain
from aprgen.tuned.learned import MANY_ROWS
from aprgen.tuned.records import records_of, text_of
from aprgen.tuning import Floats, Question, cut_choices, form_choices, load_clock, seen_rows, summed_of, tune, words_of
from aprgen.verify import same_bits
from tests.examples import loaded

NAME = "x86-avx2"
SHORT = Question(seconds=0.05)


@pytest.fixture(autouse=True)
def _here(require_target: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    require_target(NAME)
    reason = why_not_here(load_target(NAME))
    if reason:
        pytest.skip(reason)
    monkeypatch.setattr(os, "sched_setaffinity", lambda process, cores: None)  # not of the other tests
    monkeypatch.setattr(tuning, "ROUNDS", 6)


def candidates(name: str) -> list[Choices]:
    target = load_target(NAME)
    assert target.batch is not None
    summed = summed_of(loaded(name), target)
    forms = form_choices(loaded(name), "m", target, summed)
    cut = cut_choices(next((form for form in forms if form.sums), forms[0]), target.batch)
    return [*forms, *cut[:1], *cut[-1:]]


def test_branches_are_not_known_by_heart() -> None:
    """Few trees see more different rows than the nearest caches hold; sums of floats have no branches."""
    target = load_target(NAME)
    trees, floats = (summed_of(loaded(name), target) for name in ("rfc_digits", "logreg_bc"))

    assert tuning.SEEN_FLOATS // trees.n_features < 2000 < seen_rows(trees)
    assert seen_rows(floats) == max(tuning.SEEN_ROWS, tuning.SEEN_FLOATS // floats.n_features)


def test_candidates() -> None:
    """Every form that the model has, and blocks and tiles of other sizes of sums."""
    assert [words_of(one) for one in candidates("rfc")] == ["levels", "walked", "floats", "one row after the other"]
    found = candidates("v2_mlp_f32")

    assert {one.sums for one in found} >= {(), ("panels",) * 3, ("lanes",) * 3}
    assert {len(one.sums or ()) for one in found} == {0, 3}
    assert any(one.tile_rows != 4 for one in found if one.sums)
    assert any(one.rows == 32 for one in found)


@pytest.mark.parametrize("name", ["rfc", "kmeans"])
def test_candidates_are_the_same_function(name: str) -> None:
    """Each gives the bits of Program.run() for any number of rows."""
    target = load_target(NAME)
    program = loaded(name).model.lower()
    rows = np.ascontiguousarray(np.resize(edge_rows(program, 300).values, (301, program.n_features)))
    expected = program.run(rows)
    for choices in candidates(name):
        library = load_into_process(compile_model(loaded(name), target, Options("m", choices=choices)))
        for n in (1, 7, 131, 301):
            assert same_bits(library.predict(rows[:n]), expected[:n]).all(), words_of(choices)


def test_candidates_write_to_the_same_memory() -> None:
    """So none of them has its results nearer than another."""
    written: list[set[int]] = [set(), set()]

    @dataclass
    class Noted:
        places: set[int]
        model = SimpleNamespace(n_outputs=3)

        def predict_into(self, _: object, out: Floats) -> None:
            self.places.add(out.ctypes.data)

    tuning.in_turns([Noted(own) for own in written], np.zeros((8, 2), np.float32), 4, 0.0)  # type: ignore[misc]

    assert written[0] == written[1]
    assert len(written[0]) == 2


def test_records_of_a_model() -> None:
    """One for each strategy and size of call, quickest first; they can be written and read; times are times."""
    found = tune(loaded("rfc"), "m", load_target(NAME), Question(seconds=20.0))
    many = [one for one in found.records if one.rows >= MANY_ROWS]

    assert {one.choices.trees for one in many} == {"levels", "walked", "floats", "rows"}
    assert [one.least for one in many] == sorted(one.least for one in many)
    assert {one.rows for one in found.records} == {1000, *tuning.FEW_ROWS}
    for one in found.records:
        assert 0 < one.least <= one.median
        assert one.repeats >= tuning.LEAST_ROUNDS
        assert 0.2 < one.ghz < 20
        assert one.model == loaded("rfc").sha256
        assert one.facts["trees"] == 7
        assert {"split", "code", "float_split"} & set(one.work)
        assert one.work["a column"] == one.facts["features"]
    assert sorted(map(repr, records_of(text_of(found.records).encode(), "r.json"))) == sorted(  # type: ignore[arg-type]
        repr(replace(one, work={term: float(count) for term, count in sorted(one.work.items())},
                     facts=dict(sorted(one.facts.items()))))
        for one in found.records
    )  # fmt: skip


def test_nothing_of_this_machine_is_told() -> None:
    """No host name, no user and no path: what a record says can be shared."""
    text = text_of(tune(loaded("linreg"), "m", load_target(NAME), SHORT).records)

    assert os.uname().nodename not in text
    assert "/" not in text.replace("AMD/", "")


def test_time_is_bounded() -> None:
    """Without time the forms are measured, the fewest turns each; the others are counted as left out."""
    found = tune(loaded("linreg"), "m", load_target(NAME), replace(SHORT, seconds=1e-9, few=False))

    assert [one.choices.sums for one in sorted(found.records, key=lambda one: one.choices.sums or ())] == [
        (), ("lanes",), ("panels",)
    ]  # fmt: skip
    assert found.left_out > 0
    assert all(one.repeats == tuning.LEAST_ROUNDS for one in found.records)


def test_what_cannot_be_tuned() -> None:
    """A target without vectors, one that does not run here, and a model with one way are told apart."""
    with pytest.raises(UnsupportedError, match="x86 picks its kernels where it runs"):
        tune(loaded("rfc"), "m", load_target("x86"), SHORT)
    with pytest.raises(UnsupportedError, match="host has no strategies"):
        tune(loaded("rfc"), "m", load_target("host"), SHORT)
    other = "arm-neon" if why_not_here(load_target("arm-neon")) else "wasm"
    with pytest.raises(ToolchainError, match=f"{other} does not run here"):
        tune(loaded("rfc"), "m", load_target(other), SHORT)
    for name in ("gaussian_nb", "tfidf", "ngram_shell"):
        with pytest.raises(UnsupportedError, match="one way only"):
            tune(loaded(name), "m", load_target(NAME), SHORT)
    with pytest.raises(UnsupportedError, match="fitted"):
        tune(loaded("unfitted_kmeans"), "m", load_target(NAME), SHORT)


def test_the_clock_counts_cycles() -> None:
    """Its loop has 64 additions a row and nothing that a compiler could take out."""
    target = load_target(NAME)
    clock = load_clock(target, find_toolchain(target))
    rows, out = np.ones((100, 1), np.float32), np.zeros((100, 1), np.float32)
    clock.predict_into(rows, out)

    assert out[0, 0] == 100 + 2 * 64 * 100
