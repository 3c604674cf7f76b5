"""The benchmark of the device's loader runs, and its smallest figures stay small."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_quick_run(
    capsys: pytest.CaptureFixture[str], require_tool: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Framing and checksum take under 400 bytes on Cortex-M4, trees under 4,600; a header is checked in under 1 us."""
    require_tool("arm-none-eabi-gcc")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    assert importlib.import_module("loader").main(["--quick"]) == 0
    out = capsys.readouterr().out
    framing, trees = (int(re.sub(r"\D", "", line[34:])) for line in out.splitlines()[1:3])
    nanoseconds = re.search(r"checks of a header: ([\d.]+) ns", out)

    assert framing < 400
    assert framing < trees < 4_600
    assert nanoseconds is not None
    assert float(nanoseconds[1]) < 1_000
    assert "linreg" in out
