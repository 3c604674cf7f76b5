"""The benchmark of exactness tries every kind of function, and finds what is wrong."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from aprgen.errors import ToolchainError
from aprgen.loaded import check_model, load_model
from aprgen.target import load_target, target_names

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
WORDS = ("--target", "x86-avx2", "--rows", "200")


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, require_target: Callable[[str], None]) -> ModuleType:
    require_target("x86-avx2")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "exactness", raising=False)
    return importlib.import_module("exactness")


def test_one_run(benchmark: ModuleType, tmp_path: Path) -> None:
    """Functions of one row and of many, numbers of rows and threads, and the sanitizers: nothing differs."""
    report = tmp_path / "report.json"
    assert benchmark.main((*WORDS, "--model", "k_means_many", "--json", str(report))) == 0
    (one,) = json.loads(report.read_text())["figures"]

    assert (one["one_row"], one["many_rows"], one["splits"], one["sanitizers"]) == (0, 0, 0, True)
    assert one["rows"] > 200
    assert "panels_f32" in one["kernels"]


@pytest.mark.parametrize(("code", "status"), [("run.failed", 1), ("runner.missing", 0)])
def test_a_run_that_fails(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: str, status: int
) -> None:
    """It is a fault of the code, unlike a machine that is not there; the other combination is fine."""
    right = benchmark.build_artifact
    images = iter((ToolchainError(code, "memory access out of bounds"), None))

    def built(*arguments: object, **options: object) -> object:
        error = next(images)
        if error is not None:
            raise error
        return right(*arguments, **options)

    monkeypatch.setattr(benchmark, "build_artifact", built)
    words = ("--target", "x86-avx2", "--rows", "50", "--model", "linear", "k_means_many")
    assert status == benchmark.main(words)
    assert "memory access out of bounds" in capsys.readouterr().out


FAULTS = (  # a text, another one in its place, and what shows it
    ("_mm256_add_ps(sum, _mm256_mul_ps(d, d))", "_mm256_fmadd_ps(d, d, sum)", ("many_rows", "splits")),
    (" + k]", " + k + 1U]", ("many_rows", "sanitizers")),
)


@pytest.mark.parametrize(("old", "new", "shown"), FAULTS, ids=("a rounding less", "a read beyond the last row"))
def test_planted_faults_are_found(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, old: str, new: str, shown: tuple[str, ...]
) -> None:
    right = benchmark.artifact_of

    def wrong(*arguments: object) -> object:
        made = right(*arguments)
        assert any(old in text for text in made.texts.values())
        made.texts.update({name: text.replace(old, new) for name, text in made.texts.items()})
        return made

    monkeypatch.setattr(benchmark, "artifact_of", wrong)
    report = tmp_path / "report.json"

    assert benchmark.main((*WORDS, "--model", "k_means_many", "--json", str(report))) == 1
    (one,) = json.loads(report.read_text())["figures"]
    for name in shown:
        assert one[name] is False if name == "sanitizers" else one[name] > 0


def test_models_reach_all_forms(benchmark: ModuleType) -> None:
    """Every form of trees and sums that targets have for many rows is in some model's C."""
    kernels: set[str] = set()
    for make in benchmark.MODELS.values():
        loaded = load_model(make())
        check_model(loaded.model)
        for name in target_names():
            target = load_target(name)
            if target.batch is not None and name.startswith("x86-avx512"):
                plan = benchmark.plan_model(loaded, target, benchmark.Options("m"))
                kernels |= {plan.program.steps[index].op.kernel for index in plan.program.in_code()}

    wanted = {
        "panels_f32", "lanes_f32", "least_f32", "wide_level_trees", "wide_permuted_trees_u8", "wide_permuted_trees_u16",
        "wide_staged_trees", "wide_float_trees",
    }  # fmt: skip
    assert wanted <= kernels
