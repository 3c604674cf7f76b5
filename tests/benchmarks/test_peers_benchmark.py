"""The comparison with other generators: conversion of estimators, the choice of what is compared, and one run."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from aprgen.ops.trees import TreeSum

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MODULES = ("peers", "convert", "estimators", "peer_sources", "peer_page", "peer_figures", "peer_inputs", "trained")
LIMIT = 0.1  # as float64, between two float32


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module


def stump(threshold: float, low: list[float], high: list[float]) -> SimpleNamespace:
    """scikit-learn's arrays of a tree of one split of feature 1."""
    return SimpleNamespace(
        tree_=SimpleNamespace(
            feature=np.array([1, -2, -2]), threshold=np.array([threshold, -2.0, -2.0]),
            children_left=np.array([1, -1, -1]), children_right=np.array([2, -1, -1]),
            value=np.array([[low], [low], [high]]),
        )
    )  # fmt: skip


class RandomForestClassifier:
    """As scikit-learn's, fitted: two trees for feature 1."""

    n_features_in_ = 2
    classes_ = np.array([0, 1])
    estimators_ = (stump(LIMIT, [1.0, 0.0], [0.0, 1.0]), stump(2.0, [0.9, 0.1], [0.2, 0.8]))

    def predict(self, rows: Any) -> Any:
        """Votes; a tie is for class 0."""
        return (rows[:, 1].astype(np.float64) > 2.0).astype(np.int64)


class LGBMClassifier:
    n_features_in_ = 1

    def __init__(self, missing: str = "None") -> None:
        split = {
            "split_feature": 0, "threshold": LIMIT, "decision_type": "<=", "missing_type": missing,
            "left_child": {"leaf_value": -0.5}, "right_child": {"leaf_value": 0.25},
        }  # fmt: skip
        trees = [{"tree_structure": split}, {"tree_structure": {"leaf_value": 0.125}}]
        self.booster_ = SimpleNamespace(dump_model=lambda: {"tree_info": trees})


class XGBClassifier:
    n_features_in_ = 1

    def get_booster(self) -> SimpleNamespace:
        child = [{"nodeid": 1, "leaf": -2.0}, {"nodeid": 2, "leaf": 2.0}]
        split = {"nodeid": 0, "split": "f0", "split_condition": 0.100000001, "yes": 1, "no": 2, "children": child}
        config = json.dumps({"learner": {"learner_model_param": {"base_score": "[7.310586E-1]"}}})
        return SimpleNamespace(get_dump=lambda dump_format: [json.dumps(split)], save_config=lambda: config)


def test_thresholds_split_as_in_float64(load: Callable[[str], ModuleType]) -> None:
    """A float32 goes left of the rounded threshold exactly when it is at most the one in float64."""
    below = load("convert").below(np.array([LIMIT, 0.5, -LIMIT]))

    near = np.array([[np.nextafter(np.float32(t), d) for d in (-np.inf, np.inf)] + [np.float32(t)] for t in below])
    for row, threshold, limit in zip(near, below, (LIMIT, 0.5, -LIMIT), strict=True):
        assert (row.astype(np.float64) <= limit).tolist() == (row <= threshold).tolist()


def test_forest_votes(load: Callable[[str], ModuleType]) -> None:
    """A converted forest has one vote a tree, and class 0 wins a tie."""
    program = load("convert").program_of(RandomForestClassifier())
    rows = np.array([[0, 0], [0, 1], [0, 3]], np.float32)

    assert [0, 0, 1] == program.classify(rows).tolist()  # type: ignore[union-attr]
    assert [[1, 0], [0.5, 0.5], [0, 1]] == program.run(rows).tolist()


def test_lightgbm_sums(load: Callable[[str], ModuleType]) -> None:
    """Leaves add up over the trees, and class 1 is a sum above 0."""
    program = load("convert").program_of(LGBMClassifier())
    rows = np.array([[LIMIT], [np.nextafter(np.float32(LIMIT), np.float32(0))]], np.float32)

    assert [[0.375], [-0.375]] == program.run(rows).tolist()
    assert [1, 0] == program.classify(rows).tolist()  # type: ignore[union-attr]


def test_lightgbm_with_missing_values_is_refused(load: Callable[[str], ModuleType]) -> None:
    """Splits that send missing values somewhere are not converted, since a NaN always goes right here."""
    with pytest.raises(ValueError, match="only splits by <= of values that are there"):
        load("convert").program_of(LGBMClassifier("NaN"))


def test_xgboost_is_strict(load: Callable[[str], ModuleType]) -> None:
    """A value equal to the condition goes right, and the base score is a probability."""
    program = load("convert").program_of(XGBClassifier())
    condition = np.float32(0.1)
    rows = np.array([[condition], [np.nextafter(condition, np.float32(0))]], np.float32)

    (op,) = (step.op for step in program.steps if isinstance(step.op, TreeSum))
    assert 1.0 == pytest.approx(op.start, abs=1e-6)
    assert [3.0, -1.0] == pytest.approx(program.run(rows)[:, 0].tolist(), abs=1e-6)


def test_forest_totals_are_soft_votes(load: Callable[[str], ModuleType]) -> None:
    """Shares of classes are averaged: a sure tree outvotes an unsure one."""
    program = load("convert").totals_of(RandomForestClassifier())
    rows = np.array([[0, 0], [0, 1], [0, 3]], np.float32)

    assert [[0.95, 0.05], [0.45, 0.55], [0.1, 0.9]] == pytest.approx(program.run(rows), abs=1e-4)
    assert [0, 1, 1] == program.classify(rows).tolist()


@pytest.mark.parametrize("kind", [LGBMClassifier, XGBClassifier])
def test_boosted_totals_are_the_sums(load: Callable[[str], ModuleType], kind: type) -> None:
    """Totals of integers are the sums of floats, to half a unit for each tree, and decide alike."""
    convert = load("convert")
    totals, sums = convert.totals_of(kind()), convert.program_of(kind())
    rows = np.array([[0], [LIMIT], [0.2], [1]], np.float32)

    assert totals.run(rows) == pytest.approx(sums.run(rows), abs=2**-14)
    assert sums.classify(rows).tolist() == totals.classify(rows).tolist()


def test_no_totals_without_trees(load: Callable[[str], ModuleType]) -> None:
    """Other estimators have no totals."""
    assert load("convert").totals_of(SimpleNamespace()) is None


def test_unknown_estimator(load: Callable[[str], ModuleType]) -> None:
    """What cannot be converted is named, with what can be."""
    with pytest.raises(TypeError, match="no conversion for dict; there are RandomForestClassifier"):
        load("convert").program_of({})


def test_best_of_each_is_compared(load: Callable[[str], ModuleType]) -> None:
    """The ratio is of the best forms whose labels are the library's; a form with other labels does not count."""
    page, figures = load("peer_page"), load("peer_figures")
    mine = figures.Figures(
        "rf_iris", "cortex-m4", "aprgen", "a", 600, 0, 16, 80.0, 90, 1.0, 1.0, None, 0.0, True
    )  # fmt: skip
    every = [
        mine,
        replace(mine, form="b", mean=40.0, flash_bytes=100, agree=0.99, edge=0.9),
        replace(mine, tool="other", form="c", mean=100.0, flash_bytes=1000, edge=None, exact=None),
        replace(mine, tool="wrong", form="d", mean=1.0, flash_bytes=1, agree=0.9, edge=None, exact=None),
    ]

    fast, small = page.compared(every)
    assert ("a", 0.8, True) == (fast.our_form, fast.ratio, fast.met)
    assert ("a", 0.6, True) == (small.our_form, small.ratio, small.met)
    only_other = page.compared(every[1:])[0]
    assert ("b", 0.4, False) == (only_other.our_form, only_other.ratio, only_other.met)
    assert "labels differ" in only_other.line


def test_integers_are_compared_with_integers(load: Callable[[str], ModuleType]) -> None:
    """Functions of codes of trees count where a generator takes integers, and those of other models always."""
    inputs, figures = load("peer_inputs"), load("peer_figures")
    floats = figures.Figures(
        "rf_iris", "cortex-m4", "aprgen", "f32", 600, 0, 16, 80.0, 90, 1.0, 1.0, None, 0.0, True
    )  # fmt: skip
    codes = replace(floats, form="f32 s8 of codes")
    other = replace(floats, tool="m2cgen as float", form="-O2")
    integers = replace(other, tool="emlearn inline int16")
    network = [replace(one, model="mlp_digits") for one in (floats, codes, other)]

    assert [floats, other] == inputs.fair([floats, codes, other])
    assert [floats, codes, other, integers] == inputs.fair([floats, codes, other, integers])
    assert [floats, replace(integers, core="cortex-m3")] == inputs.fair(
        [floats, codes, replace(integers, core="cortex-m3")]
    )
    assert network == inputs.fair(network)


@dataclass(frozen=True, eq=False)
class Made:
    """A subject that needs no library."""

    name: str = "rf_iris"
    estimator: Any = field(default_factory=RandomForestClassifier)
    labelled: bool = True
    rows: Any = field(default_factory=lambda: np.array([[0, 0], [0, 3]], np.float32))
    train_x: Any = field(default_factory=lambda: np.array([[0, 0], [1, 3], [2, 2]], np.float32))

    def expected(self, rows: Any) -> Any:
        return self.estimator.predict(rows)


def test_a_run(
    load: Callable[[str], ModuleType], require_target: Callable[[str], None], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The command compares, draws and writes every form, and ends with status 1 when a label is not the Program's."""
    require_target("cortex-m4")
    peers, sources = load("peers"), load("peer_sources")
    header = "#include <stdint.h>\nint32_t m_classify(const float *x);\n"
    source = '#include "m.h"\nint32_t m_classify(const float *x)\n{\n    return x[1] > 2.0F;\n}\n'
    code = sources.PeerCode("other", {"m.c": source, "m.h": header}, Made().rows)
    monkeypatch.setattr(peers, "GOALS", ("size",))  # one shape beside tables of nodes
    monkeypatch.setattr(peers, "available", lambda name: True)
    monkeypatch.setattr(peers, "train", lambda name: Made())
    monkeypatch.setattr(peers, "peer_codes", lambda subject: [code])
    words = ["--model", "rf_iris", "--core", "cortex-m4", "--rows", "2"]

    status = peers.main([*words, "--json", str(tmp_path / "o.json"), "--html", str(tmp_path / "o.html")])
    document = json.loads((tmp_path / "o.json").read_text())
    assert 0 == status
    forms = [one["form"] for one in document["figures"]]
    assert [True] * 12 + [None] * 2 == [one["exact"] for one in document["figures"]]
    assert [1.0] * 14 == [one["agree"] for one in document["figures"]]
    assert {"f32 s16 of codes", "f32 s8 size of codes", "totals s8 of codes"} < set(forms)
    assert {1.0} == {one["edge"] for one in document["figures"] if one["form"].startswith("f32 s")}  # votes
    assert not any(one["our_form"].endswith("of codes") for one in document["comparisons"])
    assert ["instructions", "flash"] == [one["what"] for one in document["comparisons"]]
    drawn = (tmp_path / "o.html").read_text()
    assert 2 == drawn.count("<svg")
    assert "<script" not in drawn

    right = peers.run_code

    def wrong(*given: Any) -> Any:
        """The other class for every row."""
        run = right(*given)
        return replace(run, labels=1 - run.labels)

    monkeypatch.setattr(peers, "run_code", wrong)
    assert 1 == peers.main(words)
    assert "DIFFERS" in capsys.readouterr().out
