"""Functions of codes of trees are bounded beside those of floats, whose worst row is still searched."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aprgen.wcet.analyse import Question, analyse
from tests.examples import loaded
from tests.fixtures_on_targets.test_codes_of_trees import coded


@pytest.mark.parametrize("way", [None, "packed", "branches"])
def test_bounds_of_codes(
    way: str | None, require_target: Callable[[str], None], require_tool: Callable[[str], None]
) -> None:
    """All six functions have bounds that no run contradicts, and codes take less than floats."""
    require_target("cortex-m4")
    for module in ("scipy", "capstone", "unicorn"):
        require_tool(module)
    made = coded("rfc", "cortex-m4", "s16", way)
    question = Question(rows=10, model_file="rfc.apr", witness_seconds=5)
    report = analyse(loaded("rfc"), made, question).report
    cycles = {entry.function: entry.cycles or 0 for entry in report.entries}

    assert report.violations == ()
    assert {"bound"} == {entry.status for entry in report.entries}
    assert cycles["rfc_classify_q"] < cycles["rfc_classify"]
    assert cycles["rfc_scores_q"] < cycles["rfc_scores"]
    assert [entry.witness is not None for entry in report.entries if entry.function == "rfc_classify"] == [way is None]
