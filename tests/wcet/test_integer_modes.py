"""Integer models on the core without a division: all of their functions are bounded."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aprgen.wcet.analyse import Question, analyse
from tests.examples import loaded
from tests.fixtures_on_targets.test_integer_modes import integer_artifact


@pytest.mark.parametrize("name", ["gaussian_nb", "gmm", "knn_euclidean"])
def test_bounded_on_cortex_m0plus(
    name: str, require_target: Callable[[str], None], require_tool: Callable[[str], None]
) -> None:
    """Shares divide in a loop of 17 steps, and no run takes longer than the bound."""
    require_target("cortex-m0plus")
    for module in ("scipy", "capstone", "unicorn"):
        require_tool(module)
    made = integer_artifact(name, "cortex-m0plus", "s16")
    report = analyse(loaded(name), made, Question(rows=10, model_file=f"{name}.apr")).report

    assert report.violations == ()
    assert report.verdict.status == "bound"
    assert {"bound"} == {entry.status for entry in report.entries}
