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
MODULES = (
    "peers", "convert", "boosted", "estimators", "peer_sources", "peer_bounds", "peer_goals", "peer_page",
    "peer_figures", "peer_inputs", "trained",
)  # fmt: skip
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
            "default_left": False, "left_child": {"leaf_value": -0.5}, "right_child": {"leaf_value": 0.25},
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
    below = load("boosted").below(np.array([LIMIT, 0.5, -LIMIT]))

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


def test_unknown_missing_values_are_refused(load: Callable[[str], ModuleType]) -> None:
    """LightGBM's splits know three kinds of missing values."""
    with pytest.raises(ValueError, match="no missing type Other"):
        load("convert").program_of(LGBMClassifier("Other"))


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


def of_aprgen(load: Callable[[str], ModuleType], model: str = "rf_iris", **others: Any) -> Any:
    """Figures of a form that has the library's labels."""
    figures = load("peer_figures")
    bound = figures.Bound(100, 200, 24)
    one = figures.Figures(
        model, "cortex-m4", "aprgen", "a", 600, 0, 16, 80.0, 90, 1.0, 1.0, None, 0.0, True, bound
    )  # fmt: skip
    return replace(one, **others)


def of_other(one: Any, **others: Any) -> Any:
    return replace(one, tool="other", form="c", edge=None, exact=None, bound=None, **others)


def judged(load: Callable[[str], ModuleType], *figures: Any) -> dict[str, tuple[float | None, bool | None]]:
    goals = load("peer_goals")
    return {one.quantity: (one.found, one.met) for one in goals.verdicts(goals.compared(figures))}


def test_best_of_each_is_compared(load: Callable[[str], ModuleType]) -> None:
    """The ratio is of the best forms whose labels are the library's; a form with other labels does not count."""
    goals = load("peer_goals")
    mine = of_aprgen(load)
    every = [
        mine,
        replace(mine, form="b", mean=40.0, flash_bytes=100, agree=0.99, edge=0.9),
        of_other(mine, mean=100.0, flash_bytes=1000),
        replace(of_other(mine, mean=1.0, flash_bytes=1, agree=0.9), tool="wrong"),
    ]

    fast, small = goals.compared(every)
    assert ("a", 0.8, True) == (fast.our_form, fast.ratio, fast.met)
    assert ("a", 0.6, True) == (small.our_form, small.ratio, small.met)
    only_other = goals.compared(every[1:])[0]
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


def test_verdicts(load: Callable[[str], ModuleType]) -> None:
    """Every goal of a model is judged, of the fastest and the smallest form alike."""
    mine = of_aprgen(load)
    small = replace(mine, form="b", mean=95.0, flash_bytes=500, ram_bytes=4, stack_bytes=132, bound=None)
    found = judged(load, mine, small, of_other(mine, mean=100.0, flash_bytes=600))

    assert (0.8, True) == found["instructions"]
    assert (pytest.approx(5 / 6), False) == found["flash"]
    assert (0.0, True) == found["labels that differ"]
    assert (132, False) == found["stack bytes"]
    assert (4, False) == found["variables in RAM, bytes"]
    assert (1, False) == found["forms without a bound"]
    assert "flash of the faster form" not in found


def test_verdict_without_another_generator(load: Callable[[str], ModuleType]) -> None:
    """What there is nothing to compare with is neither met nor missed."""
    found = judged(load, of_aprgen(load))

    assert (None, None) == found["instructions"]
    assert (24, True) == found["stack bytes"]


@pytest.mark.parametrize(
    ("mean", "flash", "met"), [(99.0, 70, (True, True)), (99.0, 71, (True, False)), (100.0, 70, (False, True))]
)
def test_fewest_instructions_at_a_share_of_flash(
    load: Callable[[str], ModuleType], mean: float, flash: int, met: tuple[bool, bool]
) -> None:
    """One form of the large forest must beat the fastest other and take at most 0.7 of that one's flash: the smallest
    of those that beat it."""
    mine = of_aprgen(load, "rf_digits", mean=mean, flash_bytes=flash)
    large = replace(mine, form="large", mean=min(mean, 90.0) if mean < 100 else 110.0, flash_bytes=99)
    small = replace(mine, form="small", mean=500.0, flash_bytes=10)
    found = judged(load, mine, large, small, of_other(mine, mean=100.0, flash_bytes=100))

    assert met == (found["instructions"][1], found["flash of the faster form"][1])


@pytest.mark.parametrize(("mean", "flash", "met"), [(199.0, 75, (True, True)), (200.0, 76, (False, False))])
def test_a_small_form_with_fewer_instructions(
    load: Callable[[str], ModuleType], mean: float, flash: int, met: tuple[bool, bool]
) -> None:
    """The large forest's smallest form takes at most 0.75 of the smallest other, in fewer instructions than that."""
    mine = of_aprgen(load, "rf_digits", mean=mean, flash_bytes=flash)
    fast = of_other(mine, mean=10.0, flash_bytes=1000)
    small = replace(of_other(mine, mean=200.0, flash_bytes=100), form="d")
    found = judged(load, mine, fast, small)

    assert met == (found["instructions of the smallest form"][1], found["flash"][1])


def test_vectors_are_compared_with_cortex_m4(load: Callable[[str], ModuleType]) -> None:
    """A network takes at most a third of the instructions where there are vectors."""
    narrow = of_aprgen(load, "mlp_digits", mean=300.0)
    wide = replace(narrow, core="cortex-m55", mean=100.0)

    assert (pytest.approx(1 / 3), True) == judged(load, narrow, wide)["instructions beside Cortex-M4"]
    slower = replace(wide, mean=101.0)
    assert judged(load, narrow, slower)["instructions beside Cortex-M4"][1] is False
    assert "instructions beside Cortex-M4" not in judged(load, narrow)


@pytest.mark.parametrize("change", [{"most": 101}, {"stack_bytes": 25}])
def test_a_run_contradicts_the_bound(load: Callable[[str], ModuleType], change: dict[str, int]) -> None:
    """More instructions or stack than the bound is a fault of the analysis, not of the goal."""
    assert not of_aprgen(load).contradicted
    assert of_aprgen(load, **change).contradicted


@pytest.mark.parametrize(("most", "status"), [(100, 0), (101, 1)])
def test_status_of_a_contradicted_bound(
    load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, most: int, status: int
) -> None:
    """The command fails when a run took more than its bound; a goal that is missed is only printed."""
    peers = load("peers")
    figures = [of_aprgen(load, most=most, flash_bytes=9999), of_other(of_aprgen(load))]
    monkeypatch.setattr(peers, "available", lambda name: True)
    monkeypatch.setattr(peers, "train", lambda name: None)
    monkeypatch.setattr(peers, "peer_codes", lambda subject: [])
    monkeypatch.setattr(peers, "stated_facts", lambda cores: {})
    monkeypatch.setattr(peers, "measured", lambda *given: peers.Group(tuple(figures)))
    monkeypatch.setattr(peers.Group, "bounded", lambda group: list(group.figures))

    assert status == peers.main(["--model", "rf_iris", "--core", "cortex-m4"])


class LogisticRegression:
    n_features_in_ = 3
    coef_ = np.array([[1.0, -2.0, 0.5]])
    intercept_ = np.array([0.25])
    classes_ = np.array([0, 1])

    def predict(self, rows: Any) -> Any:
        return (rows @ self.coef_[0] + self.intercept_ > 0).astype(np.int64)


def test_bounds_of_codes(load: Callable[[str], ModuleType], require_target: Callable[[str], None]) -> None:
    """The function of codes is bounded where it was run: no run takes more, and a linear model's takes exactly that."""
    require_target("cortex-m0plus")
    peers, bounds = load("peers"), load("peer_bounds")
    rows = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)
    subject = Made("logreg_bc", LogisticRegression(), rows=rows, train_x=rows)
    target = peers.core_of("cortex-m0plus")
    programs = dict(peers.forms(subject, peers.program_of(subject.estimator), target))
    one = next(one for one in peers.of_aprgen(subject, target, rows) if one.form == "s16 of codes")
    bound = bounds.bound_of(one.built.image, programs["s16"])

    assert one.mean == one.most == bound.instructions < bound.cycles
    assert one.stack_bytes <= bound.stack_bytes


YDF = """#ifndef YDF_MODEL_PEER_H_
#include <array>
namespace peer {

enum class Label : uint32_t {
  k0 = 0,
};

constexpr const uint8_t kNumTrees = 2;

struct Instance {
  typedef float Numerical;

  Numerical features_0_of_1;
};

struct __attribute__((packed)) Node {
  uint8_t pos = 0;
  union {
    struct __attribute__((packed)) {
      uint8_t feat;
      union {
        float thr;
      };
    } cond;
    struct __attribute__((packed)) {
      uint8_t val;
    } leaf;
  };
};
static const Node nodes[] = {
{.pos=1,.cond={.feat=0,.thr=0.1}},
{.leaf={.val=0}},
{.leaf={.val=1}},
{.leaf={.val=1}},
};


static const uint8_t root_deltas[] = {3,1};

inline Label PredictUnsafe(const Instance& instance) {
  std::array<uint8_t, 2> accumulator {0, 0};

  const Node* root = nodes;
  const Node* node;
  const char* raw_instance = (const char*)(&instance);
  uint8_t eval;
  for (uint8_t tree_idx = 0; tree_idx != kNumTrees; tree_idx++) {
    node = root;
    while(node->pos) {
        float numerical_feature;
        std::memcpy(&numerical_feature, raw_instance + node->cond.feat * sizeof(float), sizeof(float));
        eval = numerical_feature >= node->cond.thr;

      node += (node->pos & -eval) + 1;
    }
    accumulator[node->leaf.val]++;
    root += root_deltas[tree_idx];
  }

  return static_cast<Label>(std::distance(accumulator.begin(), std::max_element(accumulator.begin(), 0)));
}

// Prediction function.
inline Label Predict(Instance instance) {
  return PredictUnsafe(instance);
}

}  // namespace peer
#endif
"""
TL2CGEN = {
    "header.h": """#include <stdint.h>
#include <math.h>
#define MAX_N_CLASS 1
union Entry {
  int missing;
  double fvalue;
  int qvalue;
};
void predict(union Entry* data, int pred_margin, double* result);
""",
    "main.c": """#include "header.h"
void predict(union Entry* data, int pred_margin, double* result) {
  result[0] += (data[0].missing != -1) && (data[0].fvalue <= (double)0.5) ? -1.25 : 0.75;
  if (!pred_margin) { result[0] = exp(result[0]); }
}
""",
}


def built_by(load: Callable[[str], ModuleType], code: Any, rows: list[list[float]]) -> list[int]:
    """Labels of another generator's code, on the core."""
    peers = load("peers")
    facts = peers.OneFunction("m", "row", 1, 2, True)
    run = peers.run_code(peers.core_of("cortex-m4"), dict(code.sources), facts, np.array(rows, np.float32), code.flags)
    return [int(label) for label in run.labels]


def test_ydf_as_c(load: Callable[[str], ModuleType], require_target: Callable[[str], None]) -> None:
    """YDF's C++ becomes C that decides alike; the first class wins a tie."""
    require_target("cortex-m4")
    sources = load("peer_sources")
    wrapped = sources._wrapped(sources._c_of_ydf(YDF), labelled=True, body="return predict((const void *)x);")
    code = sources.PeerCode("YDF", wrapped, np.zeros((0, 1), np.float32), ("-fsingle-precision-constant",))

    assert [0, 1, 1] == built_by(load, code, [[0.0], [0.1], [3.0]])
    with pytest.raises(ValueError, match="its version is to be the pinned one"):
        sources._c_of_ydf("namespace peer {")


def test_tl2cgen_as_float(load: Callable[[str], ModuleType], require_target: Callable[[str], None]) -> None:
    """TL2cgen's files become one, without double, and its margin decides without an exponential function."""
    require_target("cortex-m4")
    subject = Made(estimator=SimpleNamespace(n_features_in_=1), rows=np.zeros((0, 1), np.float32))
    code = load("peer_sources")._of_tl2cgen(subject, TL2CGEN, 0)

    assert "double" not in code.sources["m.c"]
    assert [0, 0, 1] == built_by(load, code, [[0.0], [0.5], [0.75]])


@pytest.mark.parametrize(("tool", "names"), [("tl2cgen", ["as float", "codes"]), ("ydf", ["routing", "if-else"])])
def test_codes_of_a_generator(load: Callable[[str], ModuleType], tool: str, names: list[str]) -> None:
    """The generator, where it is installed, makes every form of the small forest."""
    pytest.importorskip("sklearn")
    pytest.importorskip(tool)
    codes = list(getattr(load("peer_sources"), f"_{tool}")(load("estimators").train("rf_iris")))

    assert names == [one.tool.partition(" ")[2] for one in codes]


def test_page_shows_bounds_beside_means(load: Callable[[str], ModuleType]) -> None:
    """Mean, most and bound stand in one row; other generators have a dash for it, and goals their verdict."""
    goals, page = load("peer_goals"), load("peer_page")
    mine = of_aprgen(load, mean=70.5, bound=load("peer_figures").Bound(1234, 5678, 24))
    figures = (mine, of_other(mine, mean=99.0, flash_bytes=601))
    found = goals.compared(figures)
    drawn = page.html_page(figures, found, goals.verdicts(found), {}, ["left: out"])

    assert "<td>70</td><td>90</td><td>1,234</td><td>5,678</td><td>24</td><td>0</td>" in drawn
    assert "<td>99</td><td>90</td><td>-</td>" in drawn
    assert '<td class="t missed">MISSED</td>' in drawn
    assert "<li>left: out</li>" in drawn


@pytest.mark.parametrize(
    ("width", "start"), [(100.0, 105.0), (240.0, 255.0), (305.0, 315.0), (225.0, 255.0), (260.0, 265.0)]
)
def test_no_mark_crosses_a_number(load: Callable[[str], ModuleType], width: float, start: float) -> None:
    """The number behind a bar begins beyond the goal, or the line of the other's figure, where it would lie on it."""
    assert load("peer_page")._beyond(width, [310.0, 250.0]) == start


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
    ours = [one for one in document["figures"] if one["tool"] == "aprgen"]
    assert {True} == {one["exact"] for one in ours}
    assert [None, None] == [one["exact"] for one in document["figures"] if one["tool"] == "other"]
    assert {1.0} == {one["agree"] for one in document["figures"]}
    assert {"f32", "totals"} == {one["form"].split()[0] for one in ours}
    forms = {one["form"] for one in ours}
    assert {"f32 s16 of codes", "f32 s8 size of codes", "totals s8 of codes"} < forms
    assert {1.0} == {one["edge"] for one in ours if one["form"].startswith("f32 s")}  # votes
    assert not any(one["our_form"].endswith("of codes") for one in document["comparisons"])
    assert ["instructions", "flash"] == [one["what"] for one in document["comparisons"]]
    bounded = [one for one in ours if one["bound"] is not None]
    assert {one["our_form"] for one in document["comparisons"]} == {one["form"] for one in bounded}
    assert all(one["most"] <= one["bound"]["instructions"] < one["bound"]["cycles"] for one in bounded)
    assert {"instructions", "flash", "stack bytes"} <= {one["quantity"] for one in document["goals"]}
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
