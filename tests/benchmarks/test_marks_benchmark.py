"""The benchmark of marks gives its figures, and fails when the shipped code is not the analysed one."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "marks.py"
CHOSEN = ("--core", "cortex-m4", "--model", "linreg", "--rows", "5", "--show", "0")


@pytest.fixture
def benchmark(require_target: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    require_target("cortex-m4")
    monkeypatch.syspath_prepend(str(BENCHMARK.parent))
    spec = importlib.util.spec_from_file_location("marks_benchmark", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["marks_benchmark"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_figures(benchmark: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """One function of one model: the mean, the least and the largest ratio are its own."""
    assert benchmark.main(CHOSEN) == 0
    printed = capsys.readouterr().out
    found = re.search(
        r"^cortex-m4 +1 functions: instructions ([\d.]+) \(geometric mean\), ([\d.]+) to ([\d.]+); .*\n"
        r" +([\d.]+) linreg_scores\n$",
        printed,
    )

    assert found is not None, printed
    assert len(set(found.groups())) == 1
    assert 0.9 < float(found[1]) < 1.1


def test_ratios_are_of_the_marked_build(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numerator is the marked build: unmarked code that does not optimise takes more instructions."""
    monkeypatch.setattr(benchmark, "OFF", "-O0")
    figure = benchmark.figure_of(benchmark.artifacts("cortex-m4", ("linreg",))[0], 5)

    assert figure.ratios["linreg_scores"] < 0.5
    assert figure.same_code


def test_other_code_is_a_failure(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1 and the model's name when an ordinary compilation differs."""
    monkeypatch.setattr(benchmark, "shipped_code_is_analysed", lambda *_: False)

    assert benchmark.main(CHOSEN) == 1
    assert "linreg: an ordinary compilation gives other code" in capsys.readouterr().out
