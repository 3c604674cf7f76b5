"""The benchmark of the compiler runs and gives every figure. No time is judged: machines differ."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "compiler.py"

FIGURES = (
    "aprgen --help",
    "aprgen compile small",
    "aprgen compile small --no-measure",
    "aprgen compile medium",
    "aprgen compile medium --no-measure",
    "aprgen compile large",
    "aprgen compile large --no-measure",
    "in process, small",
    "in process, medium",
    "in process, large",
    "batch, 1 process",
    "batch, 2 processes",
)
ASKED = ("aprgen --help", "aprgen compile small", "batch, 1 process", "batch, 2 processes")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, object]:
    file = tmp_path_factory.mktemp("benchmark") / "result.json"
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--quick", "--json", str(file)], capture_output=True, text=True, timeout=300
    )

    assert (0, "") == (done.returncode, done.stderr)
    assert all(figure in done.stdout for figure in FIGURES)
    found: dict[str, object] = json.loads(file.read_text())
    return found


def test_schema(result: Mapping[str, object]) -> None:
    """The JSON says what it is, and that its figures are no measurement."""
    assert ("aprgen.benchmarks.compiler", 1, True) == (result["schema"], result["schema_version"], result["quick"])


def test_every_figure_is_there(result: Mapping[str, object]) -> None:
    """Each figure has positive times, at least the time of its fastest run, and a peak of more than 5 MB."""
    figures = result["figures"]
    assert isinstance(figures, list)

    assert [figure["what"] for figure in figures] == list(FIGURES)
    for figure in figures:
        assert 0 < figure["least_seconds"] <= figure["median_seconds"], figure["what"]
        assert figure["cpu_seconds"] > 0, figure["what"]
        assert figure["peak_bytes"] > 5_000_000, figure["what"]
        assert set(figure["yardsticks"]) == {"python", "numpy", "spelling"}
        assert all(ratio > 0 for ratio in figure["yardsticks"].values()), figure["what"]


def test_batches_have_rates(result: Mapping[str, object]) -> None:
    """The rate of a batch is its models divided by its seconds; nothing else has a rate."""
    figures, models = result["figures"], result["batch_models"]
    assert isinstance(figures, list)

    for figure in figures:
        if figure["what"].startswith("batch"):
            assert figure["per_second"] == pytest.approx(models / figure["median_seconds"])
        else:
            assert figure["per_second"] is None


def test_what_was_asked_is_judged(result: Mapping[str, object]) -> None:
    """Figures with a stated wish say whether it is met; the others say nothing."""
    figures = result["figures"]
    assert isinstance(figures, list)

    assert tuple(figure["what"] for figure in figures if isinstance(figure["met"], bool)) == ASKED
    assert all(figure["met"] is None for figure in figures if figure["what"] not in ASKED)


def test_yardsticks(result: Mapping[str, object]) -> None:
    """Importing numpy takes longer than starting Python, and both take time."""
    sticks = result["yardstick_seconds"]
    assert isinstance(sticks, dict)

    assert 0 < sticks["python"] < sticks["numpy"]
    assert sticks["spelling"] > 0


def test_sizes(result: Mapping[str, object]) -> None:
    """For each model: the bytes of the file, of its tables, and of every C file."""
    sizes = result["sizes"]
    assert isinstance(sizes, dict)

    assert list(sizes) == ["small", "medium", "large"]
    for size in sizes.values():
        assert set(size["c_bytes"]) == {"model.h", "model.c", "model_selftest.c", "apr_mark.h", "apr_rt.h"}
        assert all(count > 0 for count in (size["model_bytes"], size["table_bytes"], *size["c_bytes"].values()))
