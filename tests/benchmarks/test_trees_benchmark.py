"""The benchmark of shapes of trees runs, writes what it prints, and fails when a bit differs."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from aprgen.program import Program
from aprgen.target import Target

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def trees(monkeypatch: pytest.MonkeyPatch, require_target: Callable[[str], None]) -> ModuleType:
    require_target("cortex-m4")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("trees", "trained", "models"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("trees")


def test_quick_run(trees: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two small forests in 13 and 11 shapes, all exact, packed ones smaller than tables and branches quicker."""
    status = trees.main(["--quick", "--json", str(tmp_path / "out.json")])
    figures = json.loads((tmp_path / "out.json").read_text())["figures"]

    assert (0, 24) == (status, len(figures))
    assert [True] * 24 == [one["exact"] for one in figures]
    assert [one["model"] for one in figures] == [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    for model in ("grown_small", "grown_iris"):
        by_shape = {one["shape"].split(",")[0]: one for one in figures if one["model"] == model}
        assert by_shape["packed"]["flash_bytes"] < by_shape["tables"]["flash_bytes"]
        assert by_shape["branch"]["mean"] < by_shape["tables"]["mean"] / 2


def test_a_wrong_bit_is_status_1(trees: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shape that does not answer as the model does fails the command."""
    right = trees.shapes

    def wrong(program: Program, target: Target) -> Iterator[tuple[str, Program]]:
        """Branches that compare with the constants of other splits."""
        _, (name, other), *_ = right(program, target)
        for part in other.steps[1].op.parts:
            part.branches.code[:] = np.roll(part.branches.code, 1)
        yield name, other

    monkeypatch.setattr(trees, "shapes", wrong)

    assert trees.main(["--quick", "--model", "grown_iris"]) == 1
