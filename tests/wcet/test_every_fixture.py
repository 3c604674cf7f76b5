"""Every fixture that compiles, on the core with an FPU: bounded and never contradicted, or refused for its text."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aprgen.wcet import schema
from aprgen.wcet.analyse import Question, analyse
from aprgen.wcet.report import document
from tests.examples import COMPILE, PREFIXES, TEXTS, artifact, loaded

# The bound allows for points that come nearer one by one; these models' points lie so for no row that was found.
LOOSE = {"knn_euclidean": 1.9, "knn_manhattan_weighted": 1.7, "knn_minkowski": 1.15}


@pytest.mark.parametrize("name", COMPILE)
def test_fixture(name: str, require_target: Callable[[str], None], require_tool: Callable[[str], None]) -> None:
    """The bound holds in every run, and is at most 10 percent over the most expensive one, but for neighbours."""
    require_target("cortex-m4")
    for module in ("scipy", "capstone", "unicorn"):
        require_tool(module)
    report = analyse(loaded(name), artifact(name, "cortex-m4"), Question(rows=20, model_file=f"{name}.apr")).report

    assert schema.faults(document(report)) == ()
    assert report.violations == ()
    if name in (*TEXTS, *PREFIXES):
        assert {entry.status for entry in report.entries} == {"refused"}
        return
    assert report.verdict.status == "bound"
    for entry in report.entries:
        assert entry.observed is not None
        assert 1.0 <= entry.observed.ratio <= LOOSE.get(name, 1.10), entry.function
        assert entry.stack is not None
        if entry.stack.painted is not None:
            assert entry.stack.painted <= entry.stack.bytes <= entry.stack.painted + 8
