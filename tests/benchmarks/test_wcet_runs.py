"""The benchmark of traced runs counts what it ran, and fails when a run takes longer than its bound."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "wcet_runs.py"
CHOSEN = ("--core", "cortex-m4", "--model", "kmeans")


@pytest.fixture
def benchmark(require_target: Callable[[str], None], require_tool: Callable[[str], None]) -> ModuleType:
    require_target("cortex-m4")
    for tool in ("qemu-system-arm", "capstone", "scipy", "gcc"):
        require_tool(tool)
    spec = importlib.util.spec_from_file_location("wcet_runs", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["wcet_runs"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_every_run_is_counted(benchmark: ModuleType, tmp_path: Path) -> None:
    """The runs are spread over both functions, none breaks a bound, and the JSON says so."""
    file = tmp_path / "runs.json"

    assert benchmark.main([*CHOSEN, "--runs", "3000", "--json", str(file)]) == 0
    figures = json.loads(file.read_text())
    assert [(one["function"], one["runs"]) for one in figures["functions"]] == [("scores", 1500), ("classify", 1500)]
    assert (figures["runs"], figures["violations"]) == (3000, 0)
    assert all(one["ratio"] >= 1 and one["facts_checked"] for one in figures["functions"])


def test_a_low_bound_fails(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With bounds made from a table of single cycles, runs take longer: status 1, and a row that shows it."""
    bound = benchmark.bound_program
    single = benchmark.load_timing("cortex-m4")
    rows = {kind: type(row)(**{**row.__dict__, "cycles": type(row.cycles)(0, 0)}) for kind, row in single.rows.items()}
    cheap = type(single)(**{**single.__dict__, "rows": rows})
    monkeypatch.setattr(
        benchmark,
        "bound_program",
        lambda code, graphs, root, marks, timing, memory, totals: bound(
            code, graphs, root, marks, cheap, memory, totals
        ),
    )

    assert benchmark.main([*CHOSEN, "--runs", "200"]) == 1
    assert "of scores took" in capsys.readouterr().out


def test_batches_hold_the_rows_that_must_be_there(benchmark: ModuleType) -> None:
    """Each batch has as many rows as asked for, begins with the witnesses, and differs from the next."""
    (artifact,) = benchmark.artifacts(("linreg",), "cortex-m4")
    n = artifact.program.n_features
    subject = benchmark.Subject(
        artifact, None, None, (), None, np.full((1, n), 7, np.float32), np.ones((3, n), np.float32), ()
    )
    first, second = (benchmark.rows_of_batch(subject, 100, seed) for seed in (0, 100))

    assert first.shape == second.shape == (100, n)
    assert first[0].tolist() == second[0].tolist() == [7.0] * n
    assert first.tobytes() != second.tobytes()
