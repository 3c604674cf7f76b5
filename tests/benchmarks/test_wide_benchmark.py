"""The benchmark of wide targets gives its figures, and says where they stand."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("wide", "wide_peers", "convert", "boosted"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr("os.sched_setaffinity", lambda process, cores: None)  # not of the other tests
    return importlib.import_module("wide")


def test_one_run(
    benchmark: ModuleType, tmp_path: Path, require_target: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Trees of a library are the same bits in the C, and close to what the library says."""
    pytest.importorskip("lightgbm")
    require_target("host")
    report = tmp_path / "report.json"
    words = ("--work", "gbt20", "--target", "host", "--compiler", "gcc", "--peer", "--rounds", "1")
    assert benchmark.main((*words, "--json", str(report))) == 0
    document = json.loads(report.read_text())
    (figure,) = document["figures"]

    assert (figure["tool"], figure["target"], figure["exact"]) == ("aprgen gcc", "host", True)
    assert 0 < figure["least"] <= figure["median"]
    assert 0 < figure["close"] < 1e-4
    assert figure["n_nodes"] > 5000
    assert "exact" in capsys.readouterr().out
    assert {one["tool"] for one in document["left_out"]} == set(benchmark.PEERS)
    assert {one["why"] for one in document["left_out"]} == {"not asked for"}


def test_a_library_that_fails_is_named(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the report with its reason, and beside a verdict that did without it; an error of ours is none of its own."""
    pytest.importorskip("sklearn")
    none = np.zeros((1, 1), np.float32)
    work = benchmark.Work("gbt20", None, none, none, none, 6)
    peers = sys.modules["wide_peers"]

    def refuses(_: object) -> None:
        raise NotImplementedError("no such trees")

    monkeypatch.setattr(peers, "_library", refuses)
    (left_out,) = (one for one in peers.peers(work, ("scikit-learn",)) if one.why != "not asked for")
    mine = benchmark.Figure("gbt20", "aprgen gcc", "x86-avx512", False, 100.0, 110.0, 0.3, True, 0.0)
    other = replace(mine, tool="YDF", target="", least=450.0, exact=None)
    best = benchmark.Goal("gbt20", "x86-avx512", None, 4, 10)

    assert (left_out.tool, left_out.why) == ("scikit-learn", "NotImplementedError: no such trees")
    assert benchmark.verdict(best, [mine, other], [left_out]).endswith(", without scikit-learn")
    assert "without" not in benchmark.verdict(replace(best, tool="YDF"), [mine, other], [left_out])
    monkeypatch.setattr(peers, "_library", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(peers.peers(work, ("scikit-learn",)))


def test_where_a_figure_stands(benchmark: ModuleType) -> None:
    """Four times a tool's speed is met where four is the least, and missed where five is."""
    mine = benchmark.Figure("gbt20", "aprgen gcc", "x86-avx512", False, 100.0, 110.0, 0.3, True, 0.0)
    other = replace(mine, tool="YDF", target="", least=450.0, exact=None)
    goal = benchmark.Goal("gbt20", "x86-avx512", "YDF", 4, 10)

    assert "4.5x YDF: met" in benchmark.verdict(goal, [mine, other])
    assert "MISSED" in benchmark.verdict(replace(goal, least=5), [mine, other])
    assert "reached" in benchmark.verdict(replace(goal, most=4.2), [mine, other])
    assert benchmark.verdict(goal, [mine]) is None
