"""The benchmark of loading runs, and says of each mode what it takes."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from aprgen.container.loading import LEVELS, MODES

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_quick_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Every level and mode has a time; two kinds of file have a peak in every mode."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    loading = importlib.import_module("loading")
    out = tmp_path / "out.json"
    assert loading.main(["--quick", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    said = capsys.readouterr().out

    assert len(found["time"]) == 1 + len(LEVELS) + len(MODES)
    assert all(row["ms"] > 0 and row["what"] in said for row in found["time"])
    if "peak" in found:
        assert len(found["peak"]) == 2 * len(MODES)
        assert all(row["peak_mib"] >= 0 for row in found["peak"])
