"""The benchmark of wide targets gives its figures, and says where they stand."""

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


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("wide", "wide_peers", "convert", "boosted"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr("os.sched_setaffinity", lambda process, cores: None)  # not of the other tests
    return importlib.import_module("wide")


def test_one_run(
    benchmark: ModuleType, tmp_path: Path, require_target: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Trees of a library are the same bits in the C, and close to what the library says."""
    pytest.importorskip("lightgbm")
    require_target("host")
    report = tmp_path / "report.json"
    words = ("--work", "gbt20", "--target", "host", "--compiler", "gcc", "--peer", "--rounds", "1")
    assert benchmark.main((*words, "--json", str(report))) == 0
    (figure,) = json.loads(report.read_text())["figures"]

    assert (figure["tool"], figure["target"], figure["exact"]) == ("aprgen gcc", "host", True)
    assert 0 < figure["least"] <= figure["median"]
    assert 0 < figure["close"] < 1e-4
    assert figure["n_nodes"] > 5000
    assert "exact" in capsys.readouterr().out


def test_where_a_figure_stands(benchmark: ModuleType) -> None:
    """Four times a tool's speed is met where four is the least, and missed where five is."""
    mine = benchmark.Figure("gbt20", "aprgen gcc", "x86-avx512", False, 100.0, 110.0, 0.3, True, 0.0)
    other = replace(mine, tool="YDF", target="", least=450.0, exact=None)
    goal = benchmark.Goal("gbt20", "x86-avx512", "YDF", 4, 10)

    assert "4.5x YDF: met" in benchmark.verdict(goal, [mine, other])
    assert "MISSED" in benchmark.verdict(replace(goal, least=5), [mine, other])
    assert "reached" in benchmark.verdict(replace(goal, most=4.2), [mine, other])
    assert benchmark.verdict(goal, [mine]) is None
