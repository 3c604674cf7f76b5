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
        lambda code, graphs, root, marks, timing, memory, totals=None: bound(
            code, graphs, root, marks, cheap, memory, totals
        ),
    )

    assert benchmark.main([*CHOSEN, "--runs", "200"]) == 1
    assert "of scores took" in capsys.readouterr().out


def test_interrupted_runs_go_on(benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a state file the second call only runs what is left, and other images' counts are not taken over."""
    state = tmp_path / "state.json"
    assert benchmark.main([*CHOSEN, "--runs", "1000", "--state", str(state)]) == 0
    assert benchmark.main([*CHOSEN, "--runs", "1600", "--state", str(state)]) == 0
    assert "1,600 traced runs of 2 functions, 600 of them now" in capsys.readouterr().out

    state.write_text(state.read_text().replace('"image": "', '"image": "0'))
    assert benchmark.main([*CHOSEN, "--runs", "1000", "--state", str(state)]) == 0
    assert "1,000 traced runs of 2 functions, 1,000 of them now" in capsys.readouterr().out


def test_slow_functions_get_fewer_runs(benchmark: ModuleType) -> None:
    """All runs together are as many as asked for; no function gets less than the fewest, none too large a share."""

    def subject(bound: int) -> object:
        tally = benchmark.Tally("m", "c", "scores", "k", "", bound, 1)
        nothing = np.zeros((1, 1), np.float32)
        return benchmark.Subject(None, None, None, (), None, nothing, nothing, (tally,))

    rows = benchmark.rows_each([subject(bound) for bound in (100, 1_000, 10_000, 100_000_000)], 400_000)

    assert sum(rows) == pytest.approx(400_000, abs=4)
    assert rows == sorted(rows, reverse=True)
    assert rows[-1] == benchmark.FEWEST_RUNS


def test_the_table_has_medians_and_worst(benchmark: ModuleType) -> None:
    """Per core and kind, kinds with a single path together, and everything."""

    def tally(core: str, kind: str, seen: int, painted: int) -> object:
        return benchmark.Tally("m", core, "scores", kind, "", 120, 1, 24, painted, runs=1, high_maximum=seen)

    lines = benchmark.table([tally("a", "trees", 60, 20), tally("a", "linear", 120, 24), tally("b", "linear", 100, 16)])
    found = {(one.core, one.kind): (one.functions, one.median, one.worst, one.stack_excess) for one in lines}

    assert found["a", "trees"] == (1, 2.0, 2.0, 4)
    assert found["a", "single path"] == (1, 1.0, 1.0, 0)
    assert found["all", "single path"] == (2, pytest.approx(1.1), 1.2, 8)
    assert found["all", "all"] == (3, 1.2, 2.0, 8)


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
