"""The benchmark of WebAssembly gives its figures beside limits of the same run."""

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
def benchmark(
    monkeypatch: pytest.MonkeyPatch, require_target: Callable[[str], None], require_tool: Callable[[str], None]
) -> ModuleType:
    pytest.importorskip("sklearn")
    require_target("wasm")
    require_tool("wasmtime")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "wide_wasm", raising=False)
    found = importlib.import_module("wide_wasm")
    monkeypatch.setattr(found, "SETTLED", 0.01)
    monkeypatch.setattr(found, "EACH", 20)
    return found


def test_one_run(benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every engine gives the bits of the Program, and what it reached of what it can do."""
    report = tmp_path / "report.json"
    assert benchmark.main(["--work", "lin100", "--rounds", "1", "--json", str(report)]) == 0
    found = json.loads(report.read_text())["figures"]

    assert {one["engine"] for one in found} <= set(benchmark.ENGINES)
    assert "wasmtime" in {one["engine"] for one in found}
    assert all(one["exact"] is True and "lanes_f32" in one["kernels"] for one in found)
    assert all(0 < one["least"] <= one["median"] for one in found)
    assert all(one["of_limit"] == pytest.approx(one["gflops"] / one["limits"]["products"]) for one in found)
    assert "exact" in capsys.readouterr().out


def test_steps_run_in_vectors(benchmark: ModuleType, tmp_path: Path) -> None:
    """Work of wide_points.py has no figure of a limit, and none that was recorded."""
    report = tmp_path / "report.json"
    words = ["--work", "scaler", "--rounds", "1", "--engine", "wasmtime", "--json", str(report)]
    assert benchmark.main(words) == 0
    (one,) = json.loads(report.read_text())["figures"]

    assert one["exact"] is True
    assert "block_map_f32" in one["kernels"] or "map_f32" in one["kernels"]
    assert (one["of_limit"], one["of_recorded"]) == (None, None)


def test_a_wrong_bit_is_status_1(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bias that comes first is another sum."""
    right = benchmark.emit_model

    def wrong(*given: object) -> dict[str, str]:
        return {name: text.replace("-0x0p+0F", "0x1p+0F") for name, text in right(*given).items()}

    monkeypatch.setattr(benchmark, "emit_model", wrong)

    assert benchmark.main(["--work", "lin100", "--rounds", "1", "--engine", "wasmtime"]) == 1
