"""Bundles on their targets' runners: every model through the registry gives the bits of Program.run()."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from aprgen.accuracy import Calibration
from aprgen.bundle.compile import Bundle, BundleOptions, compile_bundle
from aprgen.bundle.proof import prove
from aprgen.errors import ComparisonError
from aprgen.rows import random_rows
from aprgen.target import load_target
from tests.bundle.examples import bundle, wish
from tests.examples import loaded


@pytest.mark.parametrize("target", ["cortex-m4", "host"])
def test_every_model_gives_its_bits(target: str, require_target: Callable[[str], None]) -> None:
    """Labels, distances, trees: the registry's answers are those of Program, and no self-test is wrong."""
    require_target(target)
    proof = prove(bundle("linreg", "kmeans:both", "rfc", "iforest", "encpw_kmeans:bytes", target=target), n_rows=50)

    assert proof.passed
    assert {"linreg", "kmeans", "rfc", "iforest"} == set(proof.verdicts)
    assert all(verdict.n_rows > 100 for verdict in proof.verdicts.values())


def test_texts_and_prefixes_give_their_bits(require_target: Callable[[str], None]) -> None:
    """Models that read text, two of a kind, beside one that takes rows."""
    require_target("host")
    proof = prove(bundle("tfidf", "linreg", "count_vectorizer", "ngram_shell"), n_rows=30)

    assert proof.passed
    assert {"tfidf", "linreg", "count_vectorizer", "ngram_shell"} == set(proof.verdicts)


def test_integers_and_shapes_give_their_bits(require_target: Callable[[str], None]) -> None:
    """Numeric modes and shapes of trees are of each model alone."""
    require_target("cortex-m0plus")
    rows = random_rows(loaded("linreg").model.lower(), 100).values
    wishes = [
        wish("linreg", numeric="s8", calibration=Calibration(rows, "rows")),
        wish("rfc", optimise="size"),
        wish("rfc", name="rfc_wide", optimise="branches"),
    ]
    made = compile_bundle(wishes, load_target("cortex-m0plus"), BundleOptions("fleet"))

    assert "fleet_linreg_predict_q" in made.texts["fleet.h"]
    assert prove(made, n_rows=50).passed


@pytest.mark.parametrize(
    ("sound", "planted", "differing"),
    [
        ("  fleet_kmeans_scores(x, out);", "  fleet_kmeans_scores(x, out);\n        out[0] += 1.0F;", "kmeans"),
        ("*label = fleet_kmeans_classify(x);", "*label = 0x10000 + fleet_kmeans_classify(x);", "kmeans"),
    ],
)
def test_a_wrong_answer_is_noticed(
    sound: str, planted: str, differing: str, require_target: Callable[[str], None]
) -> None:
    """A score or a label that is not the Program's: that model fails, and only that one."""
    require_target("host")
    proof = prove(_planted(bundle("linreg", "kmeans"), sound, planted), n_rows=10)

    assert not proof.passed
    assert [differing] == [name for name, verdict in proof.verdicts.items() if not verdict.passed]
    assert proof.selftest_wrong > 0


def test_a_registry_that_refuses_is_noticed(require_target: Callable[[str], None]) -> None:
    """A model that the registry does not serve is an error that names it."""
    require_target("host")
    sound = "        fleet_kmeans_scores(x, out);\n        status = APR_OK;"
    with pytest.raises(ComparisonError, match="refuses kmeans with status 5"):
        prove(_planted(bundle("linreg", "kmeans"), sound, "        fleet_kmeans_scores(x, out);"), n_rows=10)


def _planted(made: Bundle, sound: str, planted: str) -> Bundle:
    assert sound in made.texts["fleet.c"]
    return replace(made, texts={**made.texts, "fleet.c": made.texts["fleet.c"].replace(sound, planted)})


def test_rows_of_the_user_are_in_the_selftest() -> None:
    """The first rows of a file, with the answers of the code, and the file's digest in C and manifest."""
    from aprgen.bundle.members import GivenRows

    rows = np.arange(50, dtype=np.float32).reshape(5, 10)
    given = GivenRows(rows, "drive.npy", "ab" * 32)
    made = compile_bundle([wish("linreg", rows=given, n_rows=3)], load_target("host"), BundleOptions("fleet"))
    models = made.manifest["models"]
    assert isinstance(models, list)

    assert {"rows": 3, "from": f"the first 3 rows of drive.npy, sha256 {'ab' * 32}"} == models[0]["selftest"]
    assert f"linreg: the first 3 rows of drive.npy, sha256 {'ab' * 32}" in made.texts["fleet_selftest.c"]
    assert "0x1.dp+4F,\n};" in made.texts["fleet_selftest.c"]  # 29, the last number of the third row
