"""How code of forests grows: what counts as a cliff, what is checked of compilers, the page, and one quick run."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MODULES = (
    "growth", "growth_page", "peers", "peer_bounds", "peer_goals", "peer_page", "peer_sources", "peer_figures",
    "peer_inputs", "models", "compiler", "convert", "boosted", "estimators", "trained",
)  # fmt: skip


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module


def grown(load: Callable[[str], ModuleType], n_trees: int, **others: Any) -> Any:
    """A form whose figures are those of one tree, times the number of trees."""
    bound = load("peer_figures").Bound(12 * n_trees, None, 16)
    one = load("growth").Grown(
        "grown", "cortex-m4", n_trees, 4, "size", 12 * n_trees, flash_bytes=100 * n_trees, mean=10.0 * n_trees,
        most=11 * n_trees, bound=bound, exact=True, compiler_seconds=3.0 * n_trees,
    )  # fmt: skip
    return replace(one, **others)


def test_no_cliff(load: Callable[[str], ModuleType]) -> None:
    """Figures that grow with the number of trees, or slower, are none; others' sizes and seconds of noise neither."""
    even = [grown(load, n) for n in (1, 10, 100)]
    slower = grown(load, 1000, flash_bytes=50_000, mean=1.0)
    other = grown(load, 10, goal="mean", flash_bytes=10_000)
    quick = [grown(load, n, depth=6, compiler_seconds=s) for n, s in ((1, 0.01), (10, 1.9))]

    assert () == load("growth").cliffs([*even, slower, other, *quick])


@pytest.mark.parametrize(
    ("figure", "change"),
    [
        ("flash bytes", {"flash_bytes": 1510}), ("mean instructions", {"mean": 151.0}),
        ("compiler seconds", {"compiler_seconds": 46.0}),
    ],
)  # fmt: skip
def test_a_cliff(load: Callable[[str], ModuleType], figure: str, change: dict[str, float]) -> None:
    """A figure for one tree that grows more than 1.5 times is named with both sizes, whatever their order."""
    growth = load("growth")
    (found,) = growth.cliffs([grown(load, 10, **change), grown(load, 1)])

    assert (figure, (1, 10)) == (found.figure, found.trees)
    assert "1 trees to" in found.line


def test_what_was_not_built_has_no_figures(load: Callable[[str], ModuleType]) -> None:
    """A form that has another's C, or is too large, counts nowhere, and its row says why."""
    left = grown(load, 10, flash_bytes=1510, why="the C of mean")

    assert () == load("growth").cliffs([grown(load, 1), left])
    assert "the C of mean" in load("growth").line(left)
    assert "<td>the C of mean</td>" in load("growth_page").html_page("cortex-m4", [grown(load, 1), left], [])


def test_peaks_are_checked(load: Callable[[str], ModuleType]) -> None:
    """A compiler may need 500 MB."""
    peak = load("growth").Peak("gcc", "mean", 1.0, 500_000_000)

    assert peak.met
    assert not replace(peak, peak_bytes=500_000_001).met
    assert "MISSED" in replace(peak, peak_bytes=600_000_000).line


def test_the_largest_stack_of_each_goal(load: Callable[[str], ModuleType]) -> None:
    """Stacks are judged by the size with the largest, for each goal."""
    growth = load("growth")
    forms = [grown(load, 1, stack_bytes=128), grown(load, 10, stack_bytes=129), grown(load, 1, goal="", stack_bytes=8)]

    assert [(10, False), (1, True)] == [(one.one.n_trees, one.met) for one in growth.deepest(forms)]


def test_page_has_a_line_for_each_goal(load: Callable[[str], ModuleType]) -> None:
    """Each chart has one line for a goal and a depth, drawn within the picture; no script."""
    page = load("growth_page")
    forms = [grown(load, n, goal=goal) for goal in ("", "size") for n in (1, 10, 1000)]
    drawn = page.html_page("cortex-m4", forms, ["CLIFF <here>"])

    with_figures = 4  # flash, mean, bound, compiler seconds; nothing else is above 0
    assert 2 * with_figures == drawn.count("<polyline")
    assert len(page.CHARTS) == drawn.count("<svg")
    assert "CLIFF &lt;here&gt;" in drawn
    assert "<script" not in drawn
    assert "nan" not in drawn


def test_forests_grow(load: Callable[[str], ModuleType]) -> None:
    """A larger forest begins with the trees of the smaller one."""
    growth = load("growth")
    small, large = growth.forest("grown", 2, 4), growth.forest("grown", 3, 4)

    assert all(a.threshold.tolist() == b.threshold.tolist() for a, b in zip(small, large, strict=False))
    assert [12, 12, 12] == [tree.n_nodes - tree.n_leaves for tree in large]


def test_a_run(
    load: Callable[[str], ModuleType], require_target: Callable[[str], None], tmp_path: Path
) -> None:  # fmt: skip
    """One form made, compiled, run and bounded in this process: labels are the model's, and nothing is missing."""
    require_target("cortex-m4")
    growth = load("growth")
    one = growth.grow(growth.Case("grown", 3, 4, "size"), "cortex-m4", {}, tmp_path)

    assert one.exact
    assert 0 < one.mean <= one.most <= one.bound.instructions
    assert 0 < one.largest_bytes < one.flash_bytes
    assert min(one.generator_seconds, one.compiler_seconds, one.compiler_bytes, one.generator_bytes) > 0
    assert (tmp_path / "m.c").is_file()
    again = growth.grow(growth.Case("grown", 3, 4, "size"), "cortex-m4", {one.digest: "mean"})
    assert "the C of mean" == again.why


def test_code_that_is_too_large(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    """Branches of more splits than compilers take in a minute are made and not compiled; tables may be larger."""
    growth = load("growth")
    monkeypatch.setattr(growth, "MOST_SPLITS", {"branches": 119, "tables": 120})

    assert "too large to be compiled here" == growth.grow(growth.Case("grown", 10, 4, "mean"), "cortex-m4", {}).why


def test_a_wrong_label_fails(
    load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:  # fmt: skip
    """The exit status is 1, and the document has all figures."""
    growth = load("growth")
    for exact, status in ((True, 0), (False, 1)):
        one = grown(load, 2, exact=exact)
        monkeypatch.setattr(growth, "in_own_process", lambda case, *given, one=one: replace(one, goal=case.goal))
        out = tmp_path / "o.json"

        assert status == growth.main(["--quick", "--json", str(out), "--html", str(tmp_path / "o.html")])
        assert 8 == len(json.loads(out.read_text())["figures"])
