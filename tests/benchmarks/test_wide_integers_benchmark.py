"""The benchmark of integer sums on wide targets gives its figures beside the limit of the same run."""

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
    for name in ("wide_dense", "wide_integers"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr("os.sched_setaffinity", lambda process, cores: None)  # not of the other tests
    return importlib.import_module("wide_integers")


WORDS = ("--target", "x86-avx2", "--compiler", "gcc", "--numeric", "s8", "--rounds", "1")


def test_one_run(benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Codes and floats, all rows and one by one, have the bits of the Program."""
    report = tmp_path / "report.json"
    assert benchmark.main((*WORDS, "--json", str(report))) == 0
    found = json.loads(report.read_text())["figures"]
    codes = [one for one in found if one["numeric"] == "s8"]

    assert sorted((one["work"], one["numeric"]) for one in found) == [
        ("batch", "f32"), ("batch", "s8"), ("one", "f32"), ("one", "s8")
    ]  # fmt: skip
    assert all(one["exact"] is True and 0 < one["least"] <= one["median"] for one in found)
    assert all(one["of_limit"] == pytest.approx(one["gops"] / one["limit"]) for one in codes)
    assert "exact" in capsys.readouterr().out


def test_a_wrong_bit_is_status_1(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """C that takes the lower half of a sum for a number with a sign does not pass."""
    right = benchmark.runtime_headers

    def wrong(source: str, target: object) -> dict[str, str]:
        texts: dict[str, str] = right(source, target)
        return {name: text.replace("_mm256_mulhi_epu16", "_mm256_mulhi_epi16") for name, text in texts.items()}

    monkeypatch.setattr(benchmark, "runtime_headers", wrong)

    assert benchmark.main(WORDS) == 1
