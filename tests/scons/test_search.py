"""optimise="fit" in an SConstruct: the first shape that keeps the budget is generated, and later steps follow it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from aprgen.budgets import search_words
from aprgen.errors import UsageError
from tests.scons.test_tool import ROOT, Project

MODEL = """
import json
env.AprModel("brake", "brake.apr", target="cortex-m4", optimise="fit", budget=json.loads(ARGUMENTS["budget"]))
"""
MANIFEST = "build/cortex-m4/brake/manifest.json"


@pytest.fixture
def project(tmp_path: Path, require_target: Callable[[str], None], require_tool: Callable[[str], None]) -> Project:
    require_target("cortex-m4")
    for module in ("scipy", "capstone", "unicorn"):
        require_tool(module)
    made = Project(tmp_path, MODEL)
    shutil.copy(ROOT / "examples" / "digits" / "digits.apr", tmp_path / "brake.apr")
    return made


def test_the_shape_follows_the_budget(project: Project, tmp_path: Path) -> None:
    """Little flash gives a small shape, few cycles a fast one, and the bound is that of the shape."""
    project.build('budget={"flash": 1200, "stack": 200}')
    small = json.loads((tmp_path / MANIFEST).read_text())["options"]["optimise"]
    project.build('budget={"cycles": 2300, "flash": 4000}')
    fast = json.loads((tmp_path / MANIFEST).read_text())["options"]["optimise"]
    facts = json.loads((tmp_path / "build/cortex-m4/brake.footprint.json").read_text())

    assert (small, fast) == ("size", "mean")
    assert facts["wcet_cycles"] <= 2300


def test_what_nothing_fits_fails_at_the_source(project: Project, tmp_path: Path) -> None:
    """The build fails where the C would come from, with the nearest miss."""
    said = project.refused('budget={"flash": 100}')

    assert "ways to compute brake fits; the nearest, f32 --optimise size, needs 9" in said
    assert not (tmp_path / MANIFEST).exists()


def test_no_budget_to_fit(project: Project) -> None:
    """Without a limit there is nothing to choose by."""
    assert "optimise = 'fit' needs a budget to fit" in project.refused("budget={}")


def test_words_of_a_search() -> None:
    """A deadline becomes whole cycles, rounded down; what the board is goes along, the clock does not."""
    budget = {"deadline_us": 10.1, "clock_mhz": 0.5, "flash": 7, "wait_states": 2, "core_options": {"multiplier": 1}}

    assert search_words(budget) == (  # type: ignore[arg-type]
        "--cycles", "5", "--flash", "7", "--wait-states", "2", "--core-option", "multiplier=1",
    )  # fmt: skip
    assert ("--cycles", "4") == search_words({"cycles": 4, "deadline_us": 10, "clock_mhz": 1})
    with pytest.raises(UsageError):
        search_words({})
