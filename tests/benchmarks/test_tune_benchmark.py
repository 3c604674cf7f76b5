"""The benchmarks of strategies: a grid that is measured and evaluated, models that grow, and what counts as a cliff."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from aprgen import tuning
from aprgen.core import Options, compile_model
from aprgen.errors import UnsupportedError
from aprgen.families.base import MAX_TREE_BYTES
from aprgen.runners.shared import why_not_here
from aprgen.target import load_target
from aprgen.tuned.records import read_records

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
NAME = "x86-avx2"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("tune", "tune_models", "models", "wide_growth", "wide_growth_page"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda process, cores: None)  # not of the other tests
    monkeypatch.setattr(tuning, "ROUNDS", 5)
    return importlib.import_module


@pytest.fixture
def here(require_target: Callable[[str], None]) -> None:
    require_target(NAME)
    reason = why_not_here(load_target(NAME))
    if reason:
        pytest.skip(reason)


@pytest.mark.usefixtures("here")
def test_a_grid(load: Callable[[str], ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Records of all models stand in the file, and the evaluation is printed and written."""
    records, report = tmp_path / "r.json", tmp_path / "report.json"
    words = ["--quick", "--target", NAME, "--seconds", "0.01", "--records", str(records), "--json", str(report)]
    assert load("tune").main(words) == 0
    out = capsys.readouterr().out
    found = json.loads(report.read_text())

    assert {record.facts["family"] for record in read_records(records)[0]} == {
        "random forest classifier", "sum", "points"
    }  # fmt: skip
    assert found["schema"] == "aprgen.benchmarks.tune"
    assert {one["kind"] for one in found["evaluations"]} == {"trees", "sums"}
    assert "ns a row" in out
    assert "walked_split" in out


def test_the_grid(load: Callable[[str], ModuleType]) -> None:
    """Models have names of their own; the Programs of some are those of what they stand for."""
    made = load("tune_models")
    names = [case.name for case in made.cases()]
    program = made.summed_trees(3, 2, 4)
    rows = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    nodes, values = program.steps[0].op.nodes, program.steps[0].op.values.data
    expected = np.zeros(50, np.float32)
    for tree in range(3):
        for number, row in enumerate(rows):
            at = int(nodes.root.data[tree])
            while at >= 0:
                right = not row[nodes.feature.data[at]] <= nodes.threshold.data[at]
                at = int((nodes.right if right else nodes.left).data[at])
            expected[number] += values[-1 - at]

    assert len(set(names)) == len(names) > 40
    assert program.run(rows).reshape(-1).tolist() == expected.tolist()
    assert len(set((-1 - nodes.left.data[nodes.left.data < 0]).tolist())) == 6
    assert made.network((5, 4, 2)).run(rows[:, [0, 1, 2, 3, 0]]).shape == (50, 2)
    assert made.nearest(3, 4).classify(rows).max() == 2


def test_constants_are_bounded(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    """A forest is refused where neither its tables for vectors nor those without are within the bound."""
    made = load("tune_models")
    loaded = made.programmed("large", made.summed_trees(30, 12, 20))
    artifact = compile_model(loaded, load_target(NAME), Options("m"))
    assert artifact.program.batch is not None
    assert 1 << 20 < artifact.table_bytes < MAX_TREE_BYTES

    monkeypatch.setattr("aprgen.families.base.MAX_TREE_BYTES", 1 << 20)
    with pytest.raises(UnsupportedError, match="aprgen writes at most 1048576 as C") as caught:
        compile_model(loaded, load_target(NAME), Options("m"))
    assert caught.value.code == "model.too_large"


@pytest.mark.usefixtures("here")
def test_growth(load: Callable[[str], ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two points of a line are built, measured, compared and drawn."""
    report, page = tmp_path / "r.json", tmp_path / "r.html"
    growth = load("wide_growth")
    words = ["--quick", "--target", NAME, "--line", "features, linear", "rows, linear of 30"]
    assert growth.main([*words, "--json", str(report), "--html", str(page)]) == 0
    found = json.loads(report.read_text())

    assert [(one["x"], one["rows"]) for one in found["figures"]] == [(4, 1000), (20, 1000), (1, 1), (2, 2)]
    assert all(one["exact"] and one["ns"] > 0 and one["c_bytes"] > 1000 for one in found["figures"])
    assert all(one["forms"] == ["lanes"] for one in found["figures"])
    assert page.read_text().count("<svg") == 4 + 1
    assert "cliffs" in capsys.readouterr().out


def figure(load: Callable[[str], ModuleType], x: int, ns: float, **others: Any) -> Any:
    made = load("wide_growth").Figure("line", x, 1, 1000, ("levels",), ns, 100, 100, 100, 0.1, 0.1, True)
    return replace(made, **others)


def test_cliffs(load: Callable[[str], ModuleType]) -> None:
    """A row that takes longer than the growth explains, and a call that takes longer than one of more rows."""
    growth = load("wide_growth")

    def found(*figures: Any) -> list[tuple[tuple[int, int], bool]]:
        return [(one.x, one.longer) for one in growth.cliffs(figures)]

    assert found(figure(load, 1, 10), figure(load, 2, 14), figure(load, 3, 20)) == []
    assert found(figure(load, 1, 10), figure(load, 2, 16)) == [((1, 2), False)]
    assert found(figure(load, 10, 10, share=10), figure(load, 20, 29, share=20)) == []
    assert found(figure(load, 20, 29, share=20), figure(load, 10, 10, share=10), figure(load, 40, 90, share=40)) == [
        ((20, 40), False)
    ]
    assert found(figure(load, 15, 30, rows=15), figure(load, 16, 10, rows=16)) == [((15, 16), True)]
    assert found(figure(load, 15, 10, rows=15), figure(load, 16, 10, rows=16)) == []
    assert found(figure(load, 1, 10), figure(load, 2, 99, line="another")) == []


def test_words_of_a_cliff(load: Callable[[str], ModuleType]) -> None:
    """They say what changes, and which strategy would have avoided it."""
    cliff = load("wide_growth").Cliff("line", (384, 385), (("levels",), ()), 7.0, False)

    assert cliff.words == (
        "CLIFF line, 384 (levels) to 385 (row by row): a row takes 7.00 times; no strategy is quicker"
    )
    assert replace(cliff, avoided=("walked", 0.25)).words.endswith("; walked would take 0.25")
