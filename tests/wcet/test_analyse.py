"""The whole analysis and its command: bounds of fixtures that traced runs keep, and every way in which it says no."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import aprgen
from aprgen.cli import main
from aprgen.errors import UnsupportedError, UsageError
from aprgen.wcet import bounds, schema
from aprgen.wcet.analyse import Question, analyse
from aprgen.wcet.ipet import Bound
from aprgen.wcet.report import Report, document
from tests.examples import PATHS, artifact, loaded

BOUNDED = ("cortex-m0plus", "cortex-m3", "cortex-m4")
QUESTION = Question(clock_mhz=100.0, rows=20, model_file="model.apr")


@pytest.fixture(autouse=True)
def _tools(require_target: Callable[[str], None], require_tool: Callable[[str], None]) -> None:
    require_target("cortex-m4")
    for module in ("scipy", "capstone", "unicorn"):
        require_tool(module)


@cache
def report_of(name: str, target: str, question: Question = QUESTION) -> Report:
    return analyse(loaded(name), artifact(name, target), question).report


def _written(report: Report) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(document(report), allow_nan=False))
    return found


@pytest.mark.parametrize("target", BOUNDED)
@pytest.mark.parametrize("name", ["kmeans", "dtr", "rfc"])
def test_bounds(name: str, target: str) -> None:
    """Every function of a numeric model is bounded, no run contradicts it, and the stack's bound is at most 8 over."""
    report = report_of(name, target)

    assert report.verdict.status == "bound"
    assert report.violations == ()
    assert schema.faults(_written(report)) == ()
    for entry in report.entries:
        assert entry.cycles is not None
        assert entry.best_cycles is not None
        assert entry.observed is not None
        assert entry.stack is not None
        assert entry.best_cycles <= entry.observed.low_minimum
        assert entry.observed.high_maximum <= entry.cycles
        assert entry.observed.runs >= 20
        if entry.stack.painted is not None:
            assert entry.stack.painted <= entry.stack.bytes <= entry.stack.painted + 8


@pytest.mark.parametrize("name", ["kmeans", "linreg", "dtr", "pca"])
def test_tight(name: str) -> None:
    """Of models with one path, the bound is within 5 percent of a traced run by the same table."""
    for entry in report_of(name, "cortex-m4").entries:
        assert entry.observed is not None
        assert 1.0 <= entry.observed.ratio <= 1.05, entry.function


def test_tables_add_up() -> None:
    """Functions and blocks of the worst path each sum to the bound, which was proved to be exact."""
    for entry in report_of("rfc", "cortex-m4").entries:
        assert "exactly that long" in entry.certificate
        assert sum(row.own for row in entry.functions) == entry.cycles
        assert sum(block.cost for block in entry.path) == entry.cycles
        assert {row.origin.split(";")[0] for row in entry.loops} == {"generator"}
        assert any(row.cost is None for row in entry.loops)  # unrolled


def test_witness() -> None:
    """For a forest there is a row that takes exactly the bound, and the path of the report is its path."""
    entry = next(one for one in report_of("rfc", "cortex-m4").entries if one.function == "rfc_scores")

    assert entry.witness is not None
    assert entry.observed is not None
    assert entry.witness.exact
    assert entry.witness.upper == entry.witness.lower
    assert entry.witness.cost is not None
    assert entry.cycles == entry.witness.cost == entry.observed.high_maximum
    walk = next(row for row in entry.loops if row.id.endswith("_walk"))
    trees = next(row for row in entry.loops if row.id.endswith("_trees"))
    assert walk.count < trees.count * walk.bound


@pytest.mark.parametrize("name", ["iforest", "rfc"])
def test_witness_says_what_it_counts(name: str) -> None:
    """Where the trees' sums call routines that are not followed, the witness takes its cycles with their bounds."""
    (entry,) = (one for one in report_of(name, "cortex-m0plus").entries if one.function == f"{name}_scores")

    assert entry.witness is not None
    assert entry.cycles is not None
    assert entry.witness.cost is not None
    has_calls = any(row.name.startswith("__aeabi_f") for row in entry.functions)
    assert has_calls == entry.witness.unit.endswith("with library routines at their bounds")
    assert entry.witness.cost == entry.cycles or (has_calls and entry.witness.cost < entry.cycles)


def test_measured_table() -> None:
    """On a core without published timing the status says so, and so does the sentence."""
    verdict = report_of("kmeans", "cortex-m33").verdict

    assert verdict.status == "bound-measured-table"
    assert "has not confirmed" in verdict.sentence


def test_wait_states() -> None:
    """Wait states raise the bound, are stated as configured, and their share is given."""
    slow = report_of("kmeans", "cortex-m4", replace(QUESTION, wait_states=2))
    fast = report_of("kmeans", "cortex-m4")

    assert slow.violations == ()
    for one, other in zip(slow.entries, fast.entries, strict=True):
        assert one.cycles is not None
        assert other.cycles is not None
        assert one.uncertainty is not None
        assert one.cycles - other.cycles == one.uncertainty.memory > 0
    states = {a.state for a in slow.assumptions if "wait states" in a.text}
    assert "configured" in states
    assert {a.state for a in fast.assumptions if "wait states" in a.text} == {"assumed"}


def test_reproducible() -> None:
    """The same question gives the same report, byte for byte."""
    again = analyse(loaded("dtr"), artifact("dtr", "cortex-m4"), QUESTION).report

    assert json.dumps(_written(again)) == json.dumps(_written(report_of("dtr", "cortex-m4")))


def _lowered(solve: Callable[..., Bound]) -> Callable[..., Bound]:
    def lower(*words: Any, **options: Any) -> Bound:
        bound = solve(*words, **options)
        return replace(bound, cycles=bound.cycles * 3 // 4)

    return lower


def test_violation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bound that is too low is found by the traced runs: exit status 1, a void report, no header."""
    monkeypatch.setattr(bounds, "solve", _lowered(bounds.solve))
    header = tmp_path / "kmeans_wcet.h"
    path = tmp_path / "report.json"
    status = main(
        ["wcet", str(PATHS["kmeans"]), "-t", "cortex-m4", "--rows", "5", "--json", str(path), "--header", str(header)]
    )

    assert status == 1
    assert "error[wcet.violation]" in capsys.readouterr().err
    assert not header.exists()
    report = json.loads(path.read_text())
    assert any(entry["observed"]["violations"] for entry in report["entries"])


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command writes report, page, header and object, and exits by the deadline and by the gate."""
    words = ["wcet", str(PATHS["linreg"]), "-t", "cortex-m4", "--rows", "5", "--clock-mhz", "100"]
    files = {kind: tmp_path / f"linreg.{kind}" for kind in ("json", "html", "header", "object")}
    options = [word for kind, path in files.items() for word in (f"--{kind}", str(path))]

    assert main([*words, *options, "--deadline-us", "50"]) == 0
    shown = capsys.readouterr().out
    report = json.loads(files["json"].read_text())
    cycles = report["verdict"]["cycles"]
    assert report["verdict"]["sentence"].split(" on ")[0].replace(" ", "") in shown.replace(" ", "")
    assert f"#define LINREG_WCET_CYCLES {cycles}UL" in files["header"].read_text()
    assert report["verdict"]["sentence"] in files["html"].read_text()
    assert files["object"].read_bytes()[:4] == b"\x7fELF"
    assert str(tmp_path) not in files["json"].read_text() + files["html"].read_text() + files["header"].read_text()

    assert main([*words, "--deadline-us", "0.5"]) == 6
    assert "error[wcet.deadline]" in capsys.readouterr().err
    assert main([*words, "--compare", str(files["json"]), "--gate", "0"]) == 0
    assert "+0.00 %" in capsys.readouterr().out
    for entry in report["entries"]:
        entry["cycles"] -= 10
    files["json"].write_text(json.dumps(report))
    assert main([*words, "--compare", str(files["json"]), "--gate", "1"]) == 1
    assert "error[wcet.gate]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "status"),
    [
        (("--deadline-us", "5"), "usage.arguments", 2),
        (("--gate", "5"), "usage.arguments", 2),
        (("--clock-mhz", "0"), "usage.arguments", 2),
        (("--clock-mhz", "nan"), "usage.arguments", 2),
        (("--tasks", "missing.toml"), "usage.arguments", 2),
        (("--tasks", "missing.toml", "--clock-mhz", "8"), "sched.tasks", 2),
        (("--load-budget-us", "5"), "usage.arguments", 2),
        (("--load", "missing.toml"), "load.platform", 2),
        (("--load", "mainframe"), "load.platform", 5),
        (("--core-option", "multiplier"), "usage.arguments", 2),
        (("--core-option", "multiplier=7"), "wcet.option", 2),
        (("--wait-states", "999"), "wcet.wait_states", 2),
        (("--compare", "missing.json"), "wcet.compare", 2),
    ],
)
def test_usage(words: tuple[str, ...], code: str, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    """What makes no sense is said in three lines before anything is analysed."""
    assert main(["wcet", str(PATHS["linreg"]), "-t", "cortex-m0plus", *words]) == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"error[{code}]: ")


PAGE = Path(__file__).resolve().parents[2] / "docs" / "worst-case-time.md"
TASKS = """priorities = "assign"
[[task]]
name = "read"
function = "linreg_predict"
period_us = 100
[[task]]
name = "other"
wcet_us = 50
period_us = 200
"""


def test_own_figures_bound_what_the_table_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    """Code with a division is refused on Cortex-M33, bounded with the figure of docs/, and the command says so."""
    own, path = tmp_path / "timing.toml", tmp_path / "report.json"
    own.write_text(PAGE.read_text().split("```toml timing.toml\n")[1].split("```")[0])
    words = ["wcet", str(PATHS["standard_scaler"]), "-t", "cortex-m33", "--rows", "5", "--json", str(path)]

    assert main(words) == 5
    assert "--timing FILE" in json.loads(path.read_text())["entries"][0]["refusal"]["hint"]
    assert main([*words, "--timing", str(own)]) == 0
    report = json.loads(path.read_text())
    assert "bound-measured-table" == report["verdict"]["status"]
    assert report["identity"]["command"].endswith("--timing timing.toml")
    assert any("fp_div as stated in timing.toml: 1 to 16" in one["text"].lower() for one in report["assumptions"])

    own.write_text("rows = ")
    assert main([*words, "--timing", str(own)]) == 2
    assert "error[wcet.table]" in capsys.readouterr().err


def test_tasks_and_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A set of tasks and a load time stand in the report; a missed deadline and a missed budget exit with 6."""
    tasks, path = tmp_path / "tasks.toml", tmp_path / "report.json"
    tasks.write_text(TASKS)
    words = ["wcet", str(PATHS["linreg"]), "-t", "cortex-m4", "--rows", "0", "--clock-mhz", "10", "--json", str(path)]
    words += ["--load", "INDUSTRIAL_PLC", "--tasks", str(tasks)]

    assert main([*words, "--load-budget-us", "5000"]) == 0
    report = json.loads(path.read_text())
    assert schema.faults(report) == ()
    bound = next(entry["cycles"] for entry in report["entries"] if entry["function"] == "linreg_predict")
    assert [("read", bound / 10), ("other", 50 + bound / 10)] == [
        (task["name"], task["response_us"]) for task in report["schedule"]["tasks"]
    ]
    assert ("estimate", True) == (report["load"]["status"], report["load"]["within_budget"])
    assert "estimate, no bound" in capsys.readouterr().out

    tasks.write_text(TASKS.replace("wcet_us = 50", "wcet_us = 199.9"))
    assert main(words) == 6
    assert "error[sched.deadline]" in capsys.readouterr().err
    tasks.write_text(TASKS)
    assert main([*words, "--load-budget-us", "2"]) == 6
    assert "error[load.budget]" in capsys.readouterr().err
    tasks.write_text(TASKS.replace("linreg_predict", "other_predict"))
    assert main(words) == 2
    assert "no function of this model" in capsys.readouterr().err


def test_python(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`compile(...).wcet(...)` gives the report, the page, the header and the object of the command."""
    made = aprgen.compile(PATHS["linreg"], "cortex-m4")
    timing = made.wcet(clock_mhz=100, deadline_us=0.5, rows=5, load="industrial-plc")
    verdict = timing.report.verdict

    assert ("bound", True) == (verdict.status, (verdict.margin_us or 0) < 0)
    assert schema.faults(json.loads(timing.json())) == ()
    assert verdict.sentence in timing.html()
    assert f"#define LINREG_WCET_CYCLES {verdict.cycles}UL" in timing.header()
    path = tmp_path / "linreg.o"
    assert main(["wcet", str(PATHS["linreg"]), "-t", "cortex-m4", "--rows", "5", "--object", str(path)]) == 0
    capsys.readouterr()
    assert timing.object == path.read_bytes()
    with pytest.raises(UsageError):
        made.wcet(deadline_us=5)


def test_python_refusal(require_target: Callable[[str], None]) -> None:
    """A refusal is a report like any other; only the header cannot be made of it."""
    require_target("wasm")
    timing = aprgen.compile(PATHS["count_vectorizer"], "wasm").wcet(text_bytes=9, rows=0)

    assert "refused" == timing.report.verdict.status
    assert "No bound for" in timing.html()
    with pytest.raises(UnsupportedError) as caught:
        timing.header()
    assert "wcet.header" == caught.value.code


def test_refused_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], require_target: Callable[[str], None]
) -> None:
    """A refusal exits with 5, still writes the report that says why, and writes no header."""
    require_target("wasm")
    files = [tmp_path / "r.json", tmp_path / "r.h"]
    words = ["wcet", str(PATHS["tfidf"]), "-t", "wasm", "--text-bytes", "9", "--rows", "0"]
    words += ["--json", str(files[0]), "--header", str(files[1])]

    assert main(words) == 5
    captured = capsys.readouterr()
    assert "error[wcet.loop]" in captured.err
    assert "refused" in captured.out
    assert json.loads(files[0].read_text())["verdict"]["status"] == "refused"
    assert not files[1].exists()


def test_own_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A user's target file is bounded and traced by its core, whatever its name."""
    board = tmp_path / "board.toml"
    board.write_text('extends = "cortex-m4"\nname = "my-board"\n')
    path = tmp_path / "report.json"

    assert main(["wcet", str(PATHS["linreg"]), "-t", str(board), "--json", str(path)]) == 0
    report = json.loads(path.read_text())
    assert (report["identity"]["target"], report["identity"]["core"]) == ("my-board", "cortex-m4")
    assert report["verdict"]["cycles"] == report_of("linreg", "cortex-m4").verdict.cycles
    assert {entry["observed"]["violations"] == [] for entry in report["entries"]} == {True}
    assert "0 wait states assumed" in report["verdict"]["sentence"]
    assert main(["wcet", str(PATHS["linreg"]), "-t", str(board), "--json", str(path), "--wait-states", "0"]) == 0
    assert "with 0 wait states." in json.loads(path.read_text())["verdict"]["sentence"]
