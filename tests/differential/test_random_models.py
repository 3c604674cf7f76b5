"""Random models of every family, through a file, lowered, compiled and run: the C, the Program and predict() agree."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aprgen.core import Options, compile_model
from aprgen.families.base import Model
from aprgen.program import Program
from aprgen.rows import edge_rows, random_rows
from aprgen.runners.execution import Execution
from aprgen.target import load_target
from aprgen.verify import Trial, judge, same_bits
from tests.differential.compiled import Compiled, load
from tests.random_models import FAMILIES, Payload, TensorFile

SPECIAL = np.array(
    [0.0, -0.0, 1e-45, -1e-45, 1.1754942e-38, 1.0, -1.0, 0.5, 2.0, 3e38, -3e38, np.inf, -np.inf, np.nan, -np.nan],
    np.float32,
)
EXAMPLES = 40
MIXED = ("gradient boosting", "mixture of experts")
OF_TREES = tuple(family for family in FAMILIES if "tree" in family or "forest" in family or family in MIXED)


def rows_for(program: Program, seed: int) -> NDArray[np.float32]:
    """Rows at the model's own decisions, rows around its parameters, and rows of special values."""
    chance = np.random.default_rng(seed)
    special = chance.choice(SPECIAL, (40, program.n_features))
    mixed = random_rows(program, 40, seed).values
    mixed = np.where(chance.random(mixed.shape) < 0.15, chance.choice(SPECIAL, mixed.shape), mixed)
    return np.ascontiguousarray(np.concatenate([edge_rows(program, 300).values, special, mixed]), np.float32)


def execution(scores: NDArray[np.float32], labels: NDArray[np.int32] | None) -> Execution:
    """What a runner would give back."""
    return Execution(scores, labels, None, {}, "this is no runner", {}, "this process")


def agree(model: Model, compiled: Compiled, rows: NDArray[np.float32]) -> None:
    scores, labels = compiled.batch(rows)
    single_scores, single_labels = compiled.one_by_one(rows)
    expected, expected_labels = compiled.program.run(rows), compiled.program.classify(rows)

    assert np.flatnonzero(~same_bits(expected, scores).all(axis=1)).tolist() == []
    assert scores.view(np.uint32).tolist() == single_scores.view(np.uint32).tolist()
    assert (labels is None) == (expected_labels is None)
    if labels is not None and expected_labels is not None and single_labels is not None:
        assert expected_labels.tolist() == labels.tolist() == single_labels.tolist()
    for row, answer in zip(rows, expected, strict=True):
        out = np.zeros(len(answer), np.float32)
        finite = bool(np.isfinite(row).all() and np.isfinite(answer).all())
        assert compiled.checked(np.ascontiguousarray(row), len(row), out, len(out)) == (0 if finite else 3)
        if finite:
            assert out.tobytes() == answer.tobytes()


CASES = (*((family, "host") for family in FAMILIES), *((family, "cortex-m0plus") for family in OF_TREES))


@pytest.mark.parametrize(("family", "target"), CASES)
def test_c_program_and_model_agree(family: str, target: str) -> None:
    """C equals Program.run() bit for bit, in batches and row by row; the Program is predict() within the promise.

    For a core without FPU, trees compare integer keys; the host compares floats.
    """

    @settings(max_examples=EXAMPLES)
    @given(payload=FAMILIES[family](), seed=st.integers(0, 2**32 - 1))
    def check(payload: Payload | TensorFile, seed: int) -> None:
        loaded = payload.load()
        artifact = compile_model(loaded, load_target(target), Options("m"))
        rows = rows_for(loaded.model.lower(), seed)
        with tempfile.TemporaryDirectory() as folder:
            compiled = load("m", artifact.texts, artifact.program, Path(folder))
        agree(loaded.model, compiled, rows)
        trial = Trial(rows, tuple("row" for _ in rows))
        verdict = judge(loaded.model, artifact, trial, execution(*compiled.batch(rows)))
        assert verdict.details == ()
        assert verdict.passed

    check()
