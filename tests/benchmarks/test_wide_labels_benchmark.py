"""The benchmark of labels says how many rows codes leave in doubt, and whether labels are right."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, require_target: Callable[[str], None]) -> ModuleType:
    pytest.importorskip("sklearn")
    require_target("x86-avx512-vnni")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "wide_labels", raising=False)
    monkeypatch.setattr("os.sched_setaffinity", lambda process, cores: None)  # not of the other tests
    return importlib.import_module("wide_labels")


def test_one_run(benchmark: ModuleType, tmp_path: Path) -> None:
    """Of rows that lie between two points all are in doubt, of ordinary ones hardly any."""
    report = tmp_path / "report.json"
    words = ("--work", "p2", "near100", "--rounds", "1", "--json", str(report))
    assert benchmark.main(words) == 0
    found = json.loads(report.read_text())["figures"]
    doubt = {(one["work"], one["target"]): one["doubt"] for one in found}

    assert all(one["exact"] and 0 < one["least"] <= one["median"] for one in found)
    assert doubt["p2", "x86-avx512-vnni"] < 0.05 < 0.95 < doubt["near100", "x86-avx512-vnni"]
    assert doubt["near100", "x86-avx512"] is None


def test_a_wrong_label_is_status_1(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """C that has the place of each point as 0 does not pass."""
    right = benchmark.runtime_headers

    def mixed(source: str, target: object) -> dict[str, str]:
        return {name: text.replace("set1_epi32(15)", "set1_epi32(0)") for name, text in right(source, target).items()}

    monkeypatch.setattr(benchmark, "runtime_headers", mixed)
    assert benchmark.main(["--work", "p2", "--rounds", "1"]) == 1
