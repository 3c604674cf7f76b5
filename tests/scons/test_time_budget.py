"""Budgets of time in an SConstruct: the analysis is a step, its bound is compared, and C constants come of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from aprgen import budgets
from aprgen.budgets import Bound, Budget, read_budget
from aprgen.errors import BudgetError, UsageError
from aprgen.target import load_target
from tests.examples import PATHS
from tests.scons.test_tool import Project

MODEL = 'import json\nenv.AprModel("brake", "brake.apr", target="cortex-m4", budget=json.loads(ARGUMENTS["budget"]))'
OBJECT = "build/cortex-m4/brake.o"
REPORT = "build/cortex-m4/brake.wcet.json"
HEADER = "build/cortex-m4/brake/brake_wcet.h"


@pytest.fixture
def project(tmp_path: Path, require_target: Callable[[str], None], require_tool: Callable[[str], None]) -> Project:
    require_target("cortex-m4")
    for module in ("scipy", "capstone", "unicorn"):
        require_tool(module)
    return Project(tmp_path, MODEL)


def test_a_kept_budget_gives_a_header(project: Project, tmp_path: Path) -> None:
    """The bound becomes constants, which C can include and compare; another budget is only measured anew."""
    taken = project.build('budget={"cycles": 20000, "stack": 1024, "flash": 65536}')
    report = json.loads((tmp_path / REPORT).read_text())
    facts = json.loads((tmp_path / "build/cortex-m4/brake.footprint.json").read_text())
    header = (tmp_path / HEADER).read_text()

    assert [step.split()[0] for step in taken].count("generating") == 1
    assert (report["verdict"]["status"], report["configuration"]["wait_states"]) == ("bound", 0)
    assert facts["wcet_cycles"] == report["verdict"]["cycles"]
    assert facts["stack_bytes"] >= report["verdict"]["stack_bytes"]
    assert f"#define BRAKE_WCET_CYCLES {report['verdict']['cycles']}UL" in header
    assert (tmp_path / OBJECT).is_file()
    assert ["measuring"] == [
        step.split()[0] for step in project.build('budget={"cycles": 19999, "stack": 1024, "flash": 65536}')
    ]


def test_the_header_checks_the_budgets(project: Project, tmp_path: Path) -> None:
    """The header compiles, twice in one file too; with a number over its budget it does not."""
    project.build('budget={"cycles": 20000, "stack": 1024}')
    header = tmp_path / HEADER
    words = ["arm-none-eabi-gcc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-xc", "-"]
    text = f'#include "{header}"\n#include "{header}"\nint cycles[BRAKE_WCET_CYCLES > 0UL];\n'
    good = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    header.write_text(header.read_text().replace("#define BRAKE_STACK_BYTES ", "#define BRAKE_STACK_BYTES 9999UL + "))
    bad = subprocess.run(words, input=text, capture_output=True, text=True, check=False)

    assert (0, "") == (good.returncode, good.stderr)
    assert "BRAKE_STACK_BYTES is over its budget of 1024" in bad.stderr


def test_a_missed_budget_of_cycles_fails_at_the_object(project: Project, tmp_path: Path) -> None:
    """Both numbers and the function are said, with those of other budgets, and nothing can be linked."""
    said = project.refused('budget={"cycles": 100, "flash": 10}')

    assert f"[{OBJECT}] error[budget.cycles]: brake needs up to " in said
    assert " cycles in brake_predict, the budget is 100; " in said
    assert " bytes of flash, the budget is 10\n" in said
    assert not (tmp_path / OBJECT).exists()
    assert not (tmp_path / HEADER).exists()


def test_a_missed_deadline_fails_at_the_report(project: Project, tmp_path: Path) -> None:
    """A deadline needs a clock; it is compared by the analysis, with the wait states that are stated."""
    said = project.refused('budget={"deadline_us": 1, "clock_mhz": 64, "wait_states": 2, "line_bytes": 8}')

    assert f"[{REPORT}] error[wcet.deadline]: brake_predict takes at most" in said
    assert "with 2 wait states" in said
    assert not (tmp_path / OBJECT).exists()


def test_a_refused_analysis_fails_the_build(project: Project, tmp_path: Path) -> None:
    """What has no bound keeps no budget of time: the build says why, and with the longest text there is one."""
    (tmp_path / "brake.apr").write_bytes(PATHS["tfidf"].read_bytes())
    said = project.refused('budget={"cycles": 1000000000}')

    assert f"[{REPORT}] error[wcet.text_bytes]: " in said
    assert "how long a text is" in said
    assert not (tmp_path / OBJECT).exists()
    assert "the budget is 10" in project.refused('budget={"cycles": 10, "text_bytes": 8}')


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"wait_states": 2}, "says nothing alone; give cycles or deadline_us"),
        ({"deadline_us": 50}, "needs clock_mhz beside it"),
        ({"cycles": 1.5}, "must be a number of cycles"),
        ({"cycles": True}, "must be a number of cycles"),
        ({"cycles": 1, "wait_states": -1}, "must be a number of wait states"),
        ({"cycles": 1, "clock_mhz": 0}, "must be a number above 0"),
        ({"cycles": 1, "clock_mhz": float("inf")}, "must be a number above 0"),
        ({"cycles": 1, "core_options": {"multiplier": "32"}}, "must be names and whole numbers"),
        ({"time": 1}, "unknown budget 'time'; there are flash, ram, stack, cycles, deadline_us"),
    ],
)
def test_a_wrong_budget_is_said(budget: Mapping[str, budgets.Value], said: str) -> None:
    """Every key has its kind of value, and some need others."""
    with pytest.raises(UsageError) as caught:
        read_budget(budget)

    assert said in caught.value.what


def test_words_of_the_analysis() -> None:
    """What the board is becomes the options of `aprgen wcet`; bytes and cycles are limits."""
    options = {"multiplier": 32}
    found = read_budget({"cycles": 9, "ram": 5, "core_options": options, "clock_mhz": 1.5, "wait_states": 1})

    assert {"cycles": 9, "ram": 5} == found.limits
    assert ("--clock-mhz", "1.5", "--wait-states", "1", "--core-option", "multiplier=32") == found.words
    assert found.has_times


@pytest.mark.parametrize(("cycles", "kept"), [(99, True), (100, True), (101, False)])
def test_a_bound_as_large_as_the_budget_keeps_it(cycles: int, kept: bool) -> None:
    """The budget is the most that is allowed."""
    budget = Budget({"cycles": 100}, (), True)
    needs = {"flash": 0, "ram": 0, "stack": 0}
    target = load_target("cortex-m4")
    if kept:
        budgets.check_budget("brake", target, needs, budget, Bound("brake_scores", cycles, None))
        return
    with pytest.raises(BudgetError) as caught:
        budgets.check_budget("brake", target, needs, budget, Bound("brake_scores", cycles, None))

    assert "brake needs up to 101 cycles in brake_scores, the budget is 100" == caught.value.what
