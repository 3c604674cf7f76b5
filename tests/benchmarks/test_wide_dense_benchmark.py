"""The benchmark of float sums on wide targets gives its figures beside limits of the same run."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, require_target: Callable[[str], None]) -> ModuleType:
    pytest.importorskip("sklearn")
    require_target("x86-avx2")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "wide_dense", raising=False)
    monkeypatch.setattr("os.sched_setaffinity", lambda process, cores: None)  # not of the other tests
    return importlib.import_module("wide_dense")


WORDS = ("--target", "x86-avx2", "--compiler", "gcc", "--rounds", "1")


def test_one_run(benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The C of blocks has the bits of the Program, and the peers' figures stand beside it."""
    report = tmp_path / "report.json"
    assert benchmark.main((*WORDS, "--work", "lin100", "km10_label", "--json", str(report))) == 0
    found = json.loads(report.read_text())["figures"]
    own = {(one["work"], one["numeric"]): one for one in found if one["target"]}

    assert [one["tool"] for one in found] == ["aprgen gcc", "aprgen gcc", "numpy", "scikit-learn"] * 2
    assert all(one["exact"] is True and one["row"] > 0 for one in own.values())
    assert {key for key, one in own.items() if "lanes_f32" in one["kernels"]} == set(own) - {("lin100", "f32-fast")}
    assert all(0 < one["least"] <= one["median"] for one in found)
    limits = {"lin100": ("reads", "reads"), "km10_label": ("fused", "fused")}
    for (work, numeric), one in own.items():
        limit = limits[work][numeric == "f32-fast"]
        assert one["of_limit"] == pytest.approx(one["gflops"] / one["limits"][limit])
        assert one["of_half_peak"] == pytest.approx(2 * one["gflops"] / one["limits"]["fused"])
    assert "exact" in capsys.readouterr().out


def test_a_wrong_bit_is_status_1(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """C that takes a column in place of another does not pass."""
    right = benchmark.runtime_headers

    def mixed(source: str, target: object) -> dict[str, str]:
        sound = "_mm256_shuffle_ps(high01, high23, 0xEE)"
        return {
            name: text.replace(sound, sound.replace("0xEE", "0x44")) for name, text in right(source, target).items()
        }

    monkeypatch.setattr(benchmark, "runtime_headers", mixed)

    assert benchmark.main((*WORDS, "--work", "lin100", "--numeric", "f32")) == 1
