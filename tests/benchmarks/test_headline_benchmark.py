"""The benchmark of small models in every numeric mode states times beside limits of the same run."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
WORDS = ("--target", "x86-avx2", "--rounds", "1", "--work", "linear 100", "100 trees, depth 6")


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, require_target: Callable[[str], None]) -> ModuleType:
    pytest.importorskip("sklearn")
    require_target("x86-avx2")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "headline", raising=False)
    return importlib.import_module("headline")


def test_one_run(benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every mode that the target has, with the bits of its Program; trees have no limit."""
    report = tmp_path / "report.json"
    assert benchmark.main((*WORDS, "--json", str(report))) == 0
    found = json.loads(report.read_text())["figures"]

    assert [(one["work"], one["numeric"]) for one in found] == [
        ("linear 100", "f32"), ("linear 100", "f32-fast"), ("linear 100", "s8"), ("100 trees, depth 6", "f32")
    ]  # fmt: skip
    assert all(one["exact"] for one in found)
    assert [one["limit"] is None for one in found] == [False, False, False, True]
    assert all(one["share"] == pytest.approx(one["limit"] / one["one_core"]) for one in found[:3])
    assert "met" in capsys.readouterr().out


def test_one_core(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is one core, nothing is said of two, and the report is JSON for strict readers."""
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0})
    monkeypatch.setattr(benchmark, "limits_here", lambda target, toolchain: benchmark.Limits({}, float))
    report = tmp_path / "report.json"
    words = ("--target", "x86-avx2", "--rounds", "1", "--work", "linear 100", "--json", str(report))
    assert benchmark.main(words) == 0

    def refused(word: str) -> object:
        raise AssertionError(word)

    found = json.loads(report.read_text(), parse_constant=refused)["figures"]
    assert [one["two_cores"] for one in found] == [None, None, None]
    assert "nan" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [("--work", "linear"), ("--json", "nowhere/report.json"), ("--json", str(Path(__file__).parent))]
)
def test_words_that_lead_nowhere(
    benchmark: ModuleType, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Unknown work, and a report that cannot be written, are status 2 before anything is measured."""
    with pytest.raises(SystemExit) as ended:
        benchmark.main(words)

    assert ended.value.code == 2
    assert "error: argument" in capsys.readouterr().err


def test_nothing_that_could_be_measured(benchmark: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """Without target or compiler there is no figure and no wrong bit: status 7, and the reason."""
    assert benchmark.main(("--target", "x86-avx2", "--compiler", "icc")) == 7
    assert "x86-avx2 icc: " in capsys.readouterr().out
    assert benchmark.main(("--target", "x87")) == 7
    assert "x87: no target is called 'x87'" in capsys.readouterr().out


def test_what_cannot_be_is_said(benchmark: ModuleType) -> None:
    """A time below the limit of f32 is called impossible, with its arithmetic, and the mode that reaches it named."""

    def figure(numeric: str, one_core: float, limit: float) -> object:
        return benchmark.Figure(
            "a network", numeric, "t", 500.0, one_core, one_core, one_core / 2, limit, "so many operations", True, ()
        )

    found = [figure("f32", 1200.0, 1100.0), figure("bf16", 600.0, 550.0), figure("s8", 320.0, 290.0)]
    (said,) = benchmark.verdicts(found)

    assert "impossible in f32: so many operations take 1,100 us" in said
    assert "reached on one core by s8 (320 us); on two cores bf16 (300 us)" in said
    assert benchmark.verdicts([figure("f32", 400.0, 300.0)]) == []
