"""The benchmark of instruction counts gives its figures, and fails when a run contradicts a bound."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aprgen.wcet import bounds

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "wcet_counts.py"
CHOSEN = ("--target", "cortex-m7", "--model", "linreg", "--rows", "5")


@pytest.fixture
def benchmark(require_target: Callable[[str], None], require_tool: Callable[[str], None]) -> ModuleType:
    require_target("cortex-m7")
    for tool in ("unicorn", "capstone", "scipy"):
        require_tool(tool)
    spec = importlib.util.spec_from_file_location("wcet_counts", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["wcet_counts"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_figures(benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One function of one model on one target: its bound, what was observed, and the ratio."""
    file = tmp_path / "counts.json"

    assert benchmark.main([*CHOSEN, "--json", str(file)]) == 0
    figures = json.loads(file.read_text())["figures"]
    assert [(one["function"], one["ratio"], one["violations"]) for one in figures] == [("linreg_scores", 1.0, [])]
    assert "1 functions, 0 refused" in capsys.readouterr().out


def test_a_low_bound_fails(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound that runs contradict ends the benchmark with status 1."""
    solve = bounds.solve

    def lowered(*words: Any, **options: Any) -> Any:
        bound = solve(*words, **options)
        return replace(bound, cycles=bound.cycles - 1)

    monkeypatch.setattr(bounds, "solve", lowered)
    assert benchmark.main([*CHOSEN]) == 1
