"""Every fixture on every target: built, run on its emulator, equal to the Program and to the recorded answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aprgen.build import build_artifact
from aprgen.core import Options, compile_model
from aprgen.families.base import Fields
from aprgen.rows import SEED, edge_rows, random_rows
from aprgen.target import load_target, target_names
from aprgen.text_rows import text_rows
from aprgen.trees import TreeBuilder
from aprgen.verify import Trial, verify
from tests.examples import COMPILE, EXACT, PREFIXES, TEXTS, TREES, artifact, loaded, rows_of
from tests.families.test_recorded import bits, recorded_labels, recorded_scores
from tests.random_models import BY_NAME, Payload

TARGETS = target_names()
SOFT_FLOAT = ("cortex-m0plus", "cortex-m3")
EDGES = 200
RANDOM = 50


def trial_of(name: str) -> tuple[Trial, int]:
    """Recorded rows first (and how many they are), then edge rows and random ones; texts for text models."""
    program = loaded(name).model.lower()
    if name in (*TEXTS, *PREFIXES):
        texts = text_rows(program, RANDOM, SEED)
        return Trial(texts.values, texts.kinds), 0
    parts = (edge_rows(program, EDGES), random_rows(program, RANDOM))
    first = rows_of(name) if name in EXACT else np.zeros((0, program.n_features), np.float32)
    kinds = ("recorded",) * len(first) + tuple(kind for part in parts for kind in part.kinds)
    return Trial(np.concatenate([first, *(part.values for part in parts)]), kinds), len(first)


@pytest.mark.parametrize("name", COMPILE)
@pytest.mark.parametrize("target", TARGETS)
def test_fixture_on_target(name: str, target: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """No row differs in any bit from the Program, nor from predict() by more than promised; recorded answers return."""
    require_target(target)
    trial, n_recorded = trial_of(name)
    built = build_artifact(artifact(name, target), work=tmp_path)
    verdict = verify(loaded(name).model, built, trial, count=False)

    assert verdict.details == ()
    assert verdict.passed
    assert verdict.n_rows == len(trial.inputs)
    if n_recorded:
        _equals_recorded(name, verdict.execution.scores[:n_recorded], verdict.execution.labels)


@pytest.mark.parametrize("name", ["rfc", "iforest", "gmm", "pca", "moe", "knn_euclidean", "v2_mlp_f32"])
def test_counting_of_vectors(name: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """The emulator that counts gives what this machine gives, or the run is refused; every function has its counts."""
    require_target("x86-avx2")
    trial, _ = trial_of(name)
    verdict = verify(loaded(name).model, build_artifact(artifact(name, "x86-avx2"), work=tmp_path), trial)

    assert verdict.passed
    assert all(len(counts.values) for counts in verdict.execution.instructions.values())
    assert verdict.execution.instructions or "qemu" in verdict.execution.uncounted


def _equals_recorded(name: str, scores: np.ndarray, labels: np.ndarray | None) -> None:
    expected, expected_labels = recorded_scores(name), recorded_labels(name)
    assert (expected is not None) or (expected_labels is not None)
    if expected is not None:
        assert bits(expected) == bits(scores)
    if expected_labels is not None:
        found = scores[:, 0].astype(np.int32) if labels is None else labels
        assert [e for e in expected_labels if e is not None] == [
            int(f) for e, f in zip(expected_labels, found, strict=False) if e is not None
        ]


@pytest.mark.parametrize("name", sorted({*TREES} - {"gbm", "gbm_single_class", "iforest", "rfr", "dtr"}))
@pytest.mark.parametrize("target", SOFT_FLOAT)
def test_tree_classifiers_need_no_float_library(
    name: str, target: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """On a core without FPU, no library function is linked for the splits and votes of trees: they compare integers."""
    require_target(target)
    built = build_artifact(artifact(name, target), work=tmp_path)

    assert [f.name for f in built.footprint.library if "aeabi_f" in f.name or "sf" in f.name] == []


@pytest.mark.parametrize("target", SOFT_FLOAT)
@pytest.mark.parametrize("name", ["dtr"])
def test_a_regression_tree_needs_no_float_library(
    name: str, target: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """A regression tree only looks its answer up."""
    require_target(target)
    built = build_artifact(artifact(name, target), work=tmp_path)

    assert built.footprint.library == ()


@pytest.mark.parametrize("target", SOFT_FLOAT)
def test_one_split_in_a_wide_row_needs_no_float_library(
    target: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """A stump over 500 features makes no 500 keys, and compares no float either."""
    require_target(target)
    builder = TreeBuilder()
    root = builder.add(499, 0.5)
    builder.left[root] = builder.leaf(label=0)
    builder.right[root] = builder.leaf(label=1)
    fields: Fields = {"tree": builder.build(), "max_depth": None, "n_features": 500}
    payload = Payload(BY_NAME["DecisionTreeClassifier"], fields)
    built = build_artifact(compile_model(payload.load(), load_target(target), Options("stump")), work=tmp_path)
    rows = np.zeros((3, 500), np.float32)
    rows[:, 499] = (0.5, 0.50000006, np.nan)

    assert built.footprint.library == ()
    assert built.footprint.flash_bytes < 500
    assert built.run(rows, count=False).scores.tolist() == [[0], [1], [1]]


@pytest.mark.parametrize("target", SOFT_FLOAT)
@pytest.mark.parametrize("name", ["rfr", "gbm", "iforest"])
def test_ensembles_that_add_floats_still_compare_integers(
    name: str, target: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """Sums of leaf values need float addition, but no split of any tree is compared as a float."""
    require_target(target)
    built = build_artifact(artifact(name, target), work=tmp_path)
    compares = [step.op.compare for step in built.artifact.program.steps if hasattr(step.op, "compare")]

    assert [c for c in compares if c in ("f32", "key")] == ["key"]
