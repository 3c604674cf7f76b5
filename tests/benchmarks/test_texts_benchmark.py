"""The benchmark of texts gives figures of both forms beside scikit-learn's, and sees a wrong count."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
WORDS = ("--target", "x86", "--core", "--rounds", "1", "--terms", "100")


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, require_target: Callable[[str], None]) -> ModuleType:
    pytest.importorskip("sklearn")
    require_target("x86")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "texts", raising=False)
    monkeypatch.setattr("os.sched_setaffinity", lambda process, cores: None)  # not of the other tests
    found: ModuleType = importlib.import_module("texts")
    return found


def test_one_run(benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both forms and the peer count alike; the form that the costs choose is marked."""
    report = tmp_path / "report.json"
    assert benchmark.main((*WORDS, "--work", "count", "shell", "pairs", "--json", str(report))) == 0
    figures = json.loads(report.read_text())["figures"]
    own = [one for one in figures if one["target"]]

    assert {"count", "shell", "100 words and pairs"} == {one["work"] for one in own}
    assert {"sorted", "hashed"} == {one["form"] for one in own}
    assert all(one["exact"] is True and one["text"] > 0 and one["tables"] > 0 for one in own)
    assert all(one["chosen"] == (one["form"] == "hashed") for one in own)
    assert {"count", "100 words and pairs"} == {one["work"] for one in figures if one["tool"] == "scikit-learn"}
    assert "hashed*" in capsys.readouterr().out


def test_a_wrong_count_is_status_1(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """C that confirms nothing does not pass."""
    right = benchmark.artifact_of

    def other(*arguments: object) -> object:
        artifact = right(*arguments)
        compare = "m_0_strings_text[begin + i] !="
        texts = {name: text.replace(compare, "0xFFU ==") for name, text in artifact.texts.items()}
        return benchmark.replace(
            artifact, texts={**texts, "m.c": texts["m.c"].replace("!= length)", "!= length + 1U)")}
        )

    monkeypatch.setattr(benchmark, "artifact_of", other)
    assert benchmark.main((*WORDS, "--work", "count")) == 1
