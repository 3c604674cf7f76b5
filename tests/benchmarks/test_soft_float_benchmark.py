"""The benchmark of floats in software runs, and its figures say what the README does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "soft_float.py"


def test_quick(require_target: Callable[[str], None], require_tool: Callable[[str], None]) -> None:
    """On a Cortex-M3 a linear model has less than half the bound that it has with libgcc, and takes less flash."""
    require_target("cortex-m3")
    for module in ("arm-none-eabi-gcc", "unicorn", "capstone", "scipy"):
        require_tool(module)
    command = [sys.executable, str(BENCHMARK), "--quick", "--core", "cortex-m3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)

    assert (0, "") == (done.returncode, done.stderr)
    row = next(line for line in done.stdout.splitlines() if line.startswith("linreg"))
    bound, seen, _, flash, library_bound, _, _, library_flash = map(float, row.split()[1:])
    assert seen <= bound <= 1.10 * seen
    assert bound < library_bound / 2
    assert flash < library_flash
