"""The benchmark of calls in this process runs, and writes what it shows."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "in_process.py"


def test_quick(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """One model, all figures above zero, and a call costs more than the row in it."""
    require_target("host")
    file = tmp_path / "costs.json"
    words = [sys.executable, str(BENCHMARK), "--quick", "--json", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    (cost,) = json.loads(file.read_text())

    assert cost["model"] == "linreg"
    assert cost["model"] in done.stdout
    assert min(number for number in cost.values() if not isinstance(number, str)) > 0
    assert cost["call_ns"] > cost["row_ns"]
