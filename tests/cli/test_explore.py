"""`aprgen explore` and budgets of `aprgen compile`: tables, files, exit status, and nothing left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.commands import DATA, ROOT, Command, is_three_lines

RFC = DATA / "real" / "rfc.apr"
DIGITS = ROOT / "examples" / "digits" / "digits.apr"
LOGREG = DATA / "real" / "logreg_bc.apr"


def test_explore(aprgen: Command, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """It prints a row for each code, says which options give it, and writes the same figures as JSON and as a page."""
    require_target("cortex-m4")
    files = ("--json", tmp_path / "all.json", "--html", tmp_path / "all.html")
    answer = aprgen("explore", RFC, "-t", "cortex-m4", "--witness-seconds", "1", *files)
    written = json.loads((tmp_path / "all.json").read_text())
    page = (tmp_path / "all.html").read_text()

    assert (answer.status, answer.err) == (0, "")
    for one in written["choices"]:
        assert f"{one['flash_bytes']:,}" in answer.out
        assert f"{one['flash_bytes']:,}" in page
    assert "the same code as" in answer.out
    assert page.startswith("<!DOCTYPE html>")


def test_explore_for_programs(aprgen: Command, require_target: Callable[[str], None]) -> None:
    """--format json prints the document alone; the host's bound is a count."""
    require_target("host")
    answer = aprgen("explore", LOGREG, "--format", "json")

    assert answer.status == 0
    assert [(one["numeric"], one["optimise"]) for one in answer.json["choices"]] == [("f32", None)]
    assert answer.json["notes"] != []


def test_rows_that_are_cut_are_noted(
    aprgen: Command, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """Columns that a tree ignores may be labels, or a shift of all columns."""
    require_target("host")
    (tmp_path / "rows.csv").write_text("5.1,3.5,1.4,0.2,9\n6.2,2.9,4.3,1.3,8\n")
    words = ("-t", "host", "--calibrate", tmp_path / "rows.csv")
    answer = aprgen("explore", DATA / "real" / "dtc_single_leaf.apr", *words)

    assert answer.status == 0
    assert "note: rows have 5 columns; this model ignores those after the first 4\n" in answer.out


def test_a_budget_that_fits(aprgen: Command, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """The files are those that the printed options make alone, byte by byte."""
    require_target("cortex-m4")
    plain = aprgen("compile", DIGITS, "-t", "cortex-m4", "-o", tmp_path / "plain", "--format", "json").json
    flash = plain["footprint"]["flash_bytes"] - 1
    answer = aprgen("compile", DIGITS, "-t", "cortex-m4", "-o", tmp_path / "found", "--flash", str(flash))
    options = json.loads((tmp_path / "found" / "manifest.json").read_text())["options"]
    aprgen("compile", DIGITS, "-t", "cortex-m4", "-o", tmp_path / "alone", "--optimise", options["optimise"])

    assert answer.status == 0
    assert "over: flash" in answer.out
    assert "fits" in answer.out
    found = {path.name: path.read_bytes() for path in (tmp_path / "found").iterdir()}
    assert found == {path.name: path.read_bytes() for path in (tmp_path / "alone").iterdir()}


def test_a_budget_that_nothing_fits(aprgen: Command, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Status 6, the table of what was tried, three lines with the nearest miss, and no file."""
    require_target("cortex-m4")
    answer = aprgen("compile", RFC, "-t", "cortex-m4", "-o", tmp_path / "out", "--flash", "100")

    assert answer.status == 6
    assert is_three_lines(answer, "budget.flash")
    assert answer.out.count("over: flash") > 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [("--numeric", "auto"), ("--flash", "10", "--no-measure"), ("--flash", "-1"), ("--stack", "some")]
)
def test_budgets_that_make_no_sense(aprgen: Command, tmp_path: Path, words: tuple[str, ...]) -> None:
    """auto without a budget, a budget without measuring, and what is no number are status 2."""
    answer = aprgen("compile", RFC, "-o", tmp_path / "out", *words)

    assert answer.status == 2
    assert list(tmp_path.iterdir()) == []


def test_a_shape_by_name(aprgen: Command, tmp_path: Path) -> None:
    """--optimise takes a shape, too, and the manifest says so."""
    answer = aprgen("compile", RFC, "-o", tmp_path / "out", "--no-measure", "--optimise", "packed")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())

    assert answer.status == 0
    assert manifest["options"]["optimise"] == "packed"
    assert "packed_votes" in manifest["steps"]
