"""The benchmark of models in codes on wide targets gives its figures, and finds a wrong bit."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
WORDS = ("--target", "x86-avx2", "--compiler", "gcc", "--rounds", "1")


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, require_target: Callable[[str], None]) -> ModuleType:
    pytest.importorskip("threadpoolctl")
    require_target("x86-avx2")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "wide_codes", raising=False)
    monkeypatch.setattr("os.sched_setaffinity", lambda process, cores: None)  # not of the other tests
    found: ModuleType = importlib.import_module("wide_codes")
    return found


def test_one_run(benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each mode of each model, with the bits of the Program."""
    report = tmp_path / "report.json"
    assert benchmark.main((*WORDS, "--work", "knn_small", "bayes", "--json", str(report))) == 0
    found = json.loads(report.read_text())["figures"]

    assert {(one["work"], one["numeric"]) for one in found} == {
        (work, mode) for work in ("knn_small", "bayes") for mode in ("s8", "s16", "f32")
    }
    assert all(one["exact"] is True and 0 < one["least"] <= one["median"] and one["alone"] > 0 for one in found)
    assert capsys.readouterr().out.count(" exact") == len(found)


def test_a_wrong_bit_is_status_1(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """C whose weights are others does not pass."""
    right = benchmark.artifact_of

    def other(*given: object) -> object:
        artifact = right(*given)
        texts = {name: text.replace("_mm256_abs_epi32(a)", "a") for name, text in artifact.texts.items()}
        return replace(artifact, texts=texts)

    monkeypatch.setattr(benchmark, "artifact_of", other)
    monkeypatch.setitem(benchmark.WORKS, "one", lambda: benchmark.points("manhattan", 150, 4, 5))
    monkeypatch.setattr(benchmark, "MODES", ("s16",))

    assert benchmark.main((*WORDS, "--work", "one")) == 1


def test_nothing_here(benchmark: ModuleType) -> None:
    assert benchmark.main(("--target", "arm-neon", "--work", "bayes")) == 7
