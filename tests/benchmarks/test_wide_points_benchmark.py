"""The benchmark of neighbours, naive Bayes and small models on wide targets gives its figures beside peers'."""

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
    monkeypatch.delitem(sys.modules, "wide_points", raising=False)
    monkeypatch.setattr("os.sched_setaffinity", lambda process, cores: None)  # not of the other tests
    found: ModuleType = importlib.import_module("wide_points")
    return found


WORDS = ("--target", "x86-avx2", "--compiler", "gcc", "--rounds", "1")


def test_one_run(benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The C has the bits of the Program and the peers' answers, and its figures stand beside theirs."""
    report = tmp_path / "report.json"
    assert benchmark.main((*WORDS, "--work", "knn_iris", "bayes", "scaler", "--json", str(report))) == 0
    found = json.loads(report.read_text())["figures"]
    own = {one["work"]: one for one in found if one["target"]}

    assert set(own) == {"knn_iris", "bayes", "scaler"}
    assert all(one["exact"] is True and any("block" in kernel for kernel in one["kernels"]) for one in own.values())
    assert all(0 < one["least"] <= one["median"] and one["one_row"] > 0 for one in found)
    assert all((one["of_limit"] is not None) == bool(one["target"]) for one in found)
    peers = {(one["work"], one["tool"]): one["agree"] for one in found if not one["target"]}
    assert peers["knn_iris", "scikit-learn"] > 0.99
    assert peers["bayes", "scikit-learn"] < 1e-4
    assert peers["scaler", "numpy"] == 0
    assert "exact" in capsys.readouterr().out


def test_a_wrong_bit_is_status_1(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """C that rounds otherwise does not pass."""
    right = benchmark.runtime_headers

    def other(source: str, target: object) -> dict[str, str]:
        sound = "_mm256_div_ps(a, b)"
        return {
            name: text.replace(sound, "_mm256_mul_ps(a, _mm256_div_ps(_mm256_set1_ps(1.0F), b))")
            for name, text in right(source, target).items()
        }

    monkeypatch.setattr(benchmark, "runtime_headers", other)

    assert benchmark.main((*WORDS, "--work", "scaler")) == 1
