"""The proof by Frama-C: sound C raises no alarm, planted faults do. Skipped without Frama-C, in CI too."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from aprgen.accuracy import Calibration
from aprgen.core import Artifact, Options, compile_model
from aprgen.rows import random_rows
from aprgen.target import load_target
from tests.examples import artifact, loaded

CODE = "static int32_t apr_reciprocal(int32_t total)"
BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "formal.py"


@pytest.fixture
def formal() -> ModuleType:
    spec = importlib.util.spec_from_file_location("formal_benchmark", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["formal_benchmark"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def installed() -> None:
    if shutil.which("frama-c") is None:
        pytest.skip("frama-c is not installed; the proof is run by hand")


def test_quick(formal: ModuleType, installed: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Linear, forest and network models in all modes and shapes have no run-time error for any input."""
    assert formal.main(["--quick"]) == 0
    assert "v2_mlp_f32 s8" in capsys.readouterr().out


def test_every_function_is_called(formal: ModuleType) -> None:
    """Those of codes too, whatever their scores are."""
    rows = Calibration(random_rows(loaded("gbm").model.lower(), 100).values, "random rows")
    made = compile_model(loaded("gbm"), load_target("host"), Options("gbm", "s8", rows))
    called = formal.driver(made)

    declared = re.findall(r"^(?:void|int32_t|apr_status) (gbm_\w+)\(", made.texts["gbm.h"], re.MULTILINE)
    assert declared
    assert [] == [one for one in declared if f"{one}(" not in called]


def planted(formal: ModuleType, sound: Artifact, old: str, new: str) -> tuple[str, ...]:
    """The alarms of a model's C after a change."""
    source = f"{sound.name}.c"
    assert old in sound.texts[source]
    texts = {**sound.texts, source: sound.texts[source].replace(old, new)}
    alarms: tuple[str, ...] = formal.analyse("planted", sound.name, texts, formal.driver(sound), 60.0).alarms
    return alarms


@pytest.mark.parametrize(
    ("old", "new", "about"),
    [
        ("c < 10U", "c <= 10U", "out of bounds"),
        ("float acc = linreg_0_weight[r * 10U] * x[0];", "float acc;", "uninitialized"),
        ("    float acc = ", "    float acc = (float)(INT32_MAX + (int32_t)(x[0] > 0.0F)) + ", "overflow"),
    ],
)
def test_planted_faults(formal: ModuleType, installed: None, old: str, new: str, about: str) -> None:
    """One turn too many, a sum that starts from nothing and an integer that overflows raise the alarm of their kind."""
    alarms = planted(formal, artifact("linreg"), old, new)

    assert any(about in alarm and "linreg_0_dense" in alarm for alarm in alarms), alarms


def test_a_wrong_child_is_found(formal: ModuleType, installed: None) -> None:
    """A node that is not there raises an alarm; another threshold is no run-time error and raises none."""
    alarms = planted(formal, artifact("dtr"), "    -0x1.63bca8p-13F,", "    0x1.0p-3F,")
    outside = planted(formal, artifact("dtr"), "    6, 4, 3, -3,", "    60, 4, 3, -3,")

    assert alarms == ()
    assert any("out of bounds" in alarm for alarm in outside)


def test_frama_c_is_named_when_missing(
    formal: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 7 and the package's name."""
    monkeypatch.setattr(shutil, "which", lambda _: None)

    assert formal.main([]) == 7
    assert "frama-c-base" in capsys.readouterr().err


def test_only_explained_alarms_are_forgiven(formal: ModuleType) -> None:
    """An explanation holds for its function and its kind of alarm, nothing else."""
    assert formal._explained(CODE, "apr_core.h:29 apr_reciprocal", "division by zero. assert total") != ""
    assert formal._explained(CODE, "apr_core.h:29 apr_reciprocal", "out of bounds read.") == ""
    assert formal._explained(CODE, "gmm.c:116 gmm_scores", "division by zero.") == ""
    assert formal._explained("", "apr_core.h:29 apr_reciprocal", "division by zero. assert total") == ""
