"""One planted fault each, in the generated C: the verifier must see it, and sound C must pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from aprgen import build as build_module
from aprgen.build import Built, build_artifact
from aprgen.cli import main
from aprgen.cli import test as test_verb
from aprgen.core import Artifact
from tests.examples import PATHS, ROWS, artifact
from tests.faults.planted import edit_table, exchange, faulty, table_values, verdict_on


def one_ulp(value: str, up: bool = True) -> str:
    """The next float32 literal."""
    number = np.float32(float.fromhex(value.removesuffix("F")))
    moved = np.nextafter(number, np.float32(np.inf if up else -np.inf), dtype=np.float32)
    return f"{float(moved).hex()}F"


def at(index: int, change: Callable[[str], str]) -> Callable[[list[str]], list[str]]:
    def edit(values: list[str]) -> list[str]:
        values[index] = change(values[index])
        return values

    return edit


def swapped(source: str, name: str, node: int) -> str:
    """The children of one node exchanged."""
    lefts, rights = table_values(source, f"{name}_nodes_left"), table_values(source, f"{name}_nodes_right")
    lefts[node], rights[node] = rights[node], lefts[node]
    source = edit_table(source, f"{name}_nodes_left", lambda _: lefts)
    return edit_table(source, f"{name}_nodes_right", lambda _: rights)


FAULTS: dict[str, tuple[str, Callable[[str], str]]] = {
    "a threshold one ulp up, forest": ("rfc", lambda s: edit_table(s, "rfc_0_nodes_threshold", at(0, one_ulp))),
    "a threshold one ulp down, forest": (
        "rfc_digits",
        lambda s: edit_table(s, "rfc_digits_0_nodes_threshold", at(100, lambda v: one_ulp(v, False))),
    ),
    "a threshold one ulp up, single tree": (
        "dtc_unlimited",
        lambda s: edit_table(s, "dtc_unlimited_0_nodes_threshold", at(8, one_ulp)),
    ),
    "a threshold one ulp up, regressor": ("dtr", lambda s: edit_table(s, "dtr_0_nodes_threshold", at(3, one_ulp))),
    "a threshold with the other sign": (
        "rfc",
        lambda s: edit_table(s, "rfc_0_nodes_threshold", at(1, lambda v: f"-{v}")),
    ),
    "another feature, forest": (
        "rfc",
        lambda s: edit_table(s, "rfc_0_nodes_feature", at(2, lambda v: str((int(v) + 1) % 4))),
    ),
    "swapped children, forest": ("rfc", lambda s: swapped(s, "rfc_0", 0)),
    "swapped children, deep in a forest": ("rfc_digits", lambda s: swapped(s, "rfc_digits_0", 7)),
    "swapped children, single tree": ("dtc_unlimited", lambda s: swapped(s, "dtc_unlimited_0", 0)),
    "a root twice, another lost": ("rfc", lambda s: edit_table(s, "rfc_0_nodes_root", lambda v: [*v[:-1], v[0]])),
    "a vote lost": ("rfc_digits", lambda s: exchange(s, "for (uint32_t t = 0U;", "for (uint32_t t = 1U;")),
    "a tree of a sum lost": ("rfr", lambda s: exchange(s, "for (uint32_t t = 0U;", "for (uint32_t t = 1U;")),
    "a vote counted twice": ("rfc_even_ties", lambda s: exchange(s, "(y[c] + 1U)", "(y[c] + 2U)")),
    "a leaf value one ulp up": ("dtr", lambda s: edit_table(s, "dtr_1_table", at(5, one_ulp))),
    "two leaf values of a sum exchanged": (
        "rfr",
        lambda s: edit_table(s, "rfr_0_values", lambda v: [*v[:5], v[6], v[5], *v[7:]]),
    ),
    "less instead of less or equal, forest": ("rfc", lambda s: exchange(s, "]] <= ", "]] < ")),
    "less instead of less or equal, single tree": ("dtr", lambda s: exchange(s, "]] <= ", "]] < ")),
    "one step too few in a walk": (
        "dtc_unlimited",
        lambda s: exchange(s, "step = 0U; (step < 6U)", "step = 0U; (step < 5U)"),
    ),
    "a wrong label": (
        "dtc_unlimited",
        lambda s: edit_table(s, "dtc_unlimited_2_table", at(1, lambda v: str(int(v) + 1))),
    ),
    "labels of a naive Bayes exchanged": (
        "gaussian_nb",
        lambda s: edit_table(s, "gaussian_nb_2_labels", lambda v: [v[1], v[0], *v[2:]]),
    ),
    "ties to the last, forest": ("rfc_even_ties", lambda s: exchange(s, "if (x[i] > best)", "if (x[i] >= best)")),
    "ties to the last, k-means": ("kmeans_tie", lambda s: exchange(s, "if (x[i] < best)", "if (x[i] <= best)")),
    "a weight one ulp up, linear": ("linreg", lambda s: edit_table(s, "linreg_0_weight", at(9, one_ulp))),
    "a weight one ulp down, logistic": (
        "logreg_iris01",
        lambda s: edit_table(s, "logreg_iris01_0_weight", at(2, lambda v: one_ulp(v, False))),
    ),
    "a weight one ulp up, network": ("v2_mlp_f32", lambda s: edit_table(s, "v2_mlp_f32_2_weight", at(11, one_ulp))),
    "a lost bias, linear": ("ridge", lambda s: exchange(s, "y[r] = acc + ridge_0_bias[r];", "y[r] = acc;")),
    "a lost bias, network": ("v2_mlp_q8", lambda s: edit_table(s, "v2_mlp_q8_0_bias", at(0, lambda v: "0x0p+0F"))),
    "the bias first instead of last": (
        "lasso",
        lambda s: exchange(
            exchange(s, "y[r] = acc + lasso_0_bias[r];", "y[r] = acc;"),
            "float acc = ",
            "float acc = lasso_0_bias[r] + ",
        ),
    ),
    "a centroid one ulp off": ("kmeans", lambda s: edit_table(s, "kmeans_0_points", at(0, one_ulp))),
    "a stored point one ulp off": (
        "knn_manhattan_weighted",
        lambda s: edit_table(s, "knn_manhattan_weighted_0_points", at(3, one_ulp)),
    ),
    "two stored points exchanged": (
        "knn_euclidean",
        lambda s: edit_table(s, "knn_euclidean_0_points", lambda v: [*v[-4:], *v[4:-4], *v[:4]]),
    ),
    "a class of a stored point": (
        "knn_manhattan_weighted",
        lambda s: edit_table(s, "knn_manhattan_weighted_0_classes", at(0, lambda v: str((int(v) + 1) % 3))),
    ),
    "a component one ulp off": ("pca", lambda s: edit_table(s, "pca_1_weight", at(7, one_ulp))),
    "at least instead of above": ("linear_svm", lambda s: exchange(s, ">= 0x0p+0F", "> 0x0p+0F")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault: str) -> None:
    """The verdict on C with this fault names rows on which the image differs from the Program."""
    name, change = FAULTS[fault]
    verdict = verdict_on(faulty(name, change))

    assert verdict.image_differences > 0
    assert verdict.model_differences == 0
    assert [d.sides for d in verdict.details] == ["C and Program"]
    assert not verdict.passed


@pytest.mark.parametrize("name", ROWS)
def test_sound_code_passes(name: str) -> None:
    """Without a fault there is no difference, so a seen difference is the fault's."""
    verdict = verdict_on(artifact(name))

    assert verdict.details == ()
    assert verdict.passed


def test_a_fault_in_the_keys_of_a_core_without_fpu_is_seen() -> None:
    """A key off by one, in the code for Cortex-M0+ run on this machine, shows as on the target."""
    sound = artifact("rfc", "cortex-m0plus")
    host = artifact("rfc")
    source = edit_table(sound.texts["rfc.c"], "rfc_1_nodes_threshold", at(4, lambda v: str(int(v) + 1)))
    texts = {**sound.texts, "rfc.c": source}
    moved = replace(sound, target=host.target, texts=texts, manifest=host.manifest)

    assert verdict_on(moved).image_differences > 0


@pytest.mark.parametrize(
    ("fault", "target"),
    [
        ("a threshold one ulp up, forest", "host"),
        ("swapped children, forest", "host"),
        ("a vote lost", "host"),
        ("a vote lost", "cortex-m0plus"),
        ("swapped children, deep in a forest", "cortex-m0plus"),
        ("a wrong label", "cortex-m4"),
        ("a weight one ulp up, linear", "wasm"),
    ],
)
def test_the_command_exits_with_1(
    fault: str,
    target: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    require_target: Callable[[str], None],
) -> None:
    """`aprgen test` on a model whose C has this fault ends with status 1 and three lines, on a board as on the host."""
    require_target(target)
    name, change = FAULTS[fault]

    def build_faulty(sound: Artifact, *, tools: str = "auto") -> Built:
        source = f"{name}.c"
        texts = {**sound.texts, source: change(sound.texts[source])}
        return build_artifact(replace(sound, texts=texts), tools=tools)

    monkeypatch.setattr(test_verb, "build_artifact", build_faulty)
    status = main(["test", str(PATHS[name]), "--target", target])
    said = capsys.readouterr()

    assert status == 1
    assert said.err.startswith(f"error[test.differs]: results differ on {target}\n")
    assert len(said.err.splitlines()) == 3
    assert build_module.build_artifact is build_artifact


@pytest.mark.parametrize("name", ["rfc", "rfc_digits"])
def test_the_command_passes_sound_code(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same command without a fault ends with status 0 and an empty stderr."""
    status = main(["test", str(PATHS[name]), "--target", "host"])

    assert capsys.readouterr().err == ""
    assert status == 0
