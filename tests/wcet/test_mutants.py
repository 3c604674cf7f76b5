"""The catalogue of faults is up to date, and the command that plants them tells noticed ones from survivors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.wcet import mutants
from tests.wcet.mutants import ROOT, Mutant, catalogue, lowered_figures, planted, try_mutants

WIDE = "unaligned_wide = _is_unaligned_wide(instruction)"
TIMING = "aprgen/wcet/timing.py"


@pytest.fixture(autouse=True)
def _tools(require_tool: Callable[[str], None]) -> None:
    for tool in ("arm-none-eabi-as", "capstone", "scipy"):
        require_tool(tool)


def test_every_fault_can_be_planted() -> None:
    """What a fault replaces stands in its file exactly once, and Python reads what it becomes."""
    for mutant in (*catalogue(), *lowered_figures()):
        text = planted(mutant, (ROOT / mutant.file).read_text(encoding="utf-8"))
        if mutant.file.endswith(".py"):
            compile(text, mutant.file, "exec")


def test_the_catalogue_covers_the_analysis() -> None:
    """There are enough faults, no two alike, and their tests exist."""
    faults = catalogue()

    assert len(faults) >= 200
    assert len({(one.file, one.old, one.new) for one in faults}) == len(faults)
    assert all((Path(__file__).parent / test.split()[0]).is_file() for one in faults for test in one.tests)


def test_every_figure_is_lowered() -> None:
    """A fault for every row with cycles, every hazard, and both ends of the pipeline's refill, of every core."""
    by_core: dict[str, int] = {}
    for one in lowered_figures():
        by_core[Path(one.file).stem] = by_core.get(Path(one.file).stem, 0) + 1

    assert {"cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33"} == set(by_core)
    assert min(by_core.values()) >= 14
    assert by_core["cortex-m4"] >= 38


def test_faults_are_noticed_and_others_survive() -> None:
    """A hazard left out fails a test, a comment fails none."""
    tests = ("test_timing.py -k wide_instructions",)
    noticed = Mutant(TIMING, WIDE, "unaligned_wide = False", "no wide instruction is unaligned", tests)
    survivor = Mutant(TIMING, WIDE, f"{WIDE}  # or so", "nothing", tests)
    outcomes = list(try_mutants((noticed, survivor)))

    assert outcomes[0].by.startswith("test_timing.py::test_wide_instructions")
    assert "" == outcomes[1].by


def test_a_fault_that_is_out_of_date_is_an_error() -> None:
    """A fault that cannot be planted is not counted as noticed."""
    with pytest.raises(ValueError, match=r"bring mutants\.toml up to date"):
        planted(Mutant(TIMING, "no such text", "", "", ()), "a text")


def test_the_command_fails_when_too_many_survive(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Below 95 % the status is 1, and the survivors are printed with what was planted."""
    made = tuple(Mutant(TIMING, WIDE, "unaligned_wide = False", f"fault {number}", ()) for number in range(20))
    for noticed, status in ((20, 0), (19, 0), (18, 1)):
        outcomes = [mutants.Outcome(one, "a test" if n < noticed else "", 0.0) for n, one in enumerate(made)]
        monkeypatch.setattr(mutants, "catalogue", lambda: made)
        monkeypatch.setattr(mutants, "try_mutants", lambda chosen, trusted, found=outcomes: iter(found))

        assert status == mutants.main(["--code", "--json", str(tmp_path / "mutants.json")])
    assert "18 of 20 faults noticed, 90.0 %" in capsys.readouterr().out
