"""What models of a bundle share: equal arrays, equal functions, and functions that differ in their arrays alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aprgen.bundle.compile import Bundle, BundleOptions, compile_bundle
from aprgen.bundle.measured import measure_bundle
from aprgen.bundle.members import Wish
from aprgen.bundle.proof import prove
from aprgen.bundle.sharing import SharedDefinitions, Survey
from aprgen.container.bincode import encode
from aprgen.families import STRUCTS
from aprgen.program import Array, Table
from aprgen.target import load_target
from tests.bundle.examples import wish
from tests.differential.compiled import compile_c, write_texts
from tests.emission.misra import deviations, findings
from tests.emission.test_compilers import STRICT, run
from tests.examples import plain_file


def struct(name: str):  # type: ignore[no-untyped-def]
    return next(one for one in STRUCTS if one.name == name)


def logistic(name: str, seed: int, n: int = 8) -> Wish:
    """A model of its own for each seed, of one shape for each n."""
    weights = np.random.RandomState(seed).normal(size=n).astype(np.float32)
    fields = {"coefficients": weights, "intercept": seed / 7, "learning_rate": 0.1, "max_iter": 1, "tol": 0.1}
    return Wish(name, plain_file(0x02, encode(struct("LogisticRegression").codec, fields)), f"{name}.apr")


def means(name: str, seed: int, equal: int | None = None) -> Wish:
    """Naive Bayes of 3 classes and 5 features; `equal` seeds for the variances."""
    random, other = np.random.RandomState(seed), np.random.RandomState(seed if equal is None else equal)
    fields = {
        "class_priors": np.array([0.25, 0.25, 0.5], np.float32),
        "means": tuple(random.normal(size=5).astype(np.float32) for _ in range(3)),
        "variances": tuple(other.uniform(0.5, 2, size=5).astype(np.float32) for _ in range(3)),
        "classes": np.array([0, 1, 2], np.uint64),
        "var_smoothing": 1e-9,
    }
    return Wish(name, plain_file(0x08, encode(struct("GaussianNB").codec, fields)), f"{name}.apr")


def made(*wishes: Wish, target: str = "host") -> Bundle:
    return compile_bundle(wishes, load_target(target), BundleOptions("fleet"))


def functions_of(text: str) -> list[str]:
    return re.findall(r"^static [\w ]+ (fleet_\w+)\(", text, re.MULTILINE)


def test_the_same_model_twice_is_there_once() -> None:
    """Of a forest under two names, tables and kernels are those of the first; only the interface is there twice."""
    twice = bundle_of_one_model_twice()
    once = made(wish("rfc_digits", name="left"))

    assert twice.emitted.table_bytes == once.emitted.table_bytes
    assert functions_of(twice.texts["fleet.c"]) == functions_of(once.texts["fleet.c"])
    assert "fleet_right_scores" in twice.texts["fleet.h"]
    assert sum(one.saved_bytes for one in twice.emitted.shared) >= once.emitted.table_bytes


def bundle_of_one_model_twice() -> Bundle:
    return made(wish("rfc_digits", name="left"), wish("rfc_digits", name="right"))


def test_kernels_that_differ_in_their_arrays_are_given_them() -> None:
    """Two models of one shape have one dense kernel, whose callers give it their own weights."""
    text = made(logistic("left", 1), logistic("right", 2)).texts["fleet.c"]

    assert ["fleet_left_0_dense_bias_first"] == [name for name in functions_of(text) if "dense" in name]
    assert "fleet_left_0_dense_bias_first(const float *given_bias, const float *given_weight, const float x[8]" in text
    assert "    fleet_left_0_dense_bias_first(fleet_left_0_bias, fleet_left_0_weight, x, v0);\n" in text
    assert "    fleet_left_0_dense_bias_first(fleet_right_0_bias, fleet_right_0_weight, x, v0);\n" in text


def test_other_shapes_keep_kernels_of_their_own() -> None:
    """A model with one feature more has its own dense kernel, as do models that are alone."""
    text = made(logistic("left", 1), logistic("right", 2, n=9)).texts["fleet.c"]

    assert ["fleet_left_0_dense_bias_first", "fleet_right_0_dense_bias_first"] == [
        name for name in functions_of(text) if "dense" in name
    ]
    assert "given_" not in text


def test_arrays_that_some_share_are_found() -> None:
    """Three models of one shape, two of which have the same variances: one array less, and one kernel for all."""
    three = made(means("a", 1), means("b", 2), means("c", 3, equal=2))
    text = three.texts["fleet.c"]

    assert ["fleet_a_0_divisor", "fleet_b_0_divisor"] == re.findall(r"^static const float (\w+_divisor)", text, re.M)
    assert {"a", "b", "c"} == set(re.findall(r"fleet_a_0_gauss\(.*fleet_(\w)_0_centre", text))
    assert 1 == sum("gauss" in name for name in functions_of(text))
    assert prove(three, n_rows=20).passed


def test_every_shared_definition_is_listed() -> None:
    """Names that were wanted are in the manifest, each under what stands for it."""
    found = made(logistic("left", 1), logistic("right", 2)).manifest["shared"]
    assert isinstance(found, list)
    listed = {one["name"]: one["wanted_as"] for one in found}

    assert listed["fleet_left_0_dense_bias_first"] == [
        "fleet_left_0_dense_bias_first", "fleet_right_0_dense_bias_first"
    ]  # fmt: skip
    assert "fleet_left_1_map" in listed


def test_compilers_and_misra_accept_given_arrays(tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """gcc, clang and cppcheck have nothing to say, and the self-test passes."""
    require_tool("cppcheck")
    texts = made(logistic("left", 1), logistic("right", 2)).texts
    (tmp_path / "c").mkdir()
    write_texts(texts, tmp_path / "c")
    for compiler in ("gcc", "clang-14"):
        compile_c(compiler, ("-std=c99", "-O2", *STRICT, "fleet.c", "fleet_selftest.c", "-o", "it"), tmp_path / "c")
        assert run(tmp_path / "c" / "it") == (0, "")
    allowed = deviations()

    assert [] == sorted(one for one in findings(texts, tmp_path / "misra") if one.place not in allowed)


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m0plus"])
def test_sharing_saves_flash(target: str, require_target: Callable[[str], None]) -> None:
    """Three models of one shape: less flash than as separate files in one program, and the same bits."""
    require_target(target)
    three = made(logistic("a", 1), logistic("b", 2), means("c", 3), target=target)
    measured = measure_bundle(three, "auto")
    facts = measured.facts(three.emitted.data_bytes)

    assert measured.saved_bytes > 300  # apr_expf alone takes that much
    assert facts["models_separate_bytes"] == measured.saved_bytes + facts["models_together_bytes"]  # type: ignore[operator]
    assert prove(three, n_rows=20).passed


def test_large_functions_of_the_runtime_are_one_copy() -> None:
    """Where two models need them; a model that needs them alone has them inline, as without a bundle."""
    attribute = "#define APR_LARGE static __attribute__((noinline, unused))"

    assert attribute in made(logistic("a", 1), means("b", 2)).texts["fleet.c"]
    assert attribute in made(wish("tfidf"), wish("count_vectorizer")).texts["fleet.c"]
    assert attribute not in made(logistic("a", 1), wish("linreg"), wish("kmeans")).texts["fleet.c"]
    assert attribute not in made(logistic("a", 1), wish("count_vectorizer")).texts["fleet.c"]


def test_tables_of_another_type_are_not_the_same() -> None:
    """Equal bytes of another type, or other bytes of the same, are arrays of their own; shapes do not count."""
    definitions = SharedDefinitions(Survey())
    one = np.arange(4, dtype=np.int32)

    assert "a" == definitions.table("a", Table(one))
    assert "a" == definitions.table("b", Table(one.reshape(2, 2)))
    assert "c" == definitions.table("c", Table(one.view(np.uint32)))
    assert "d" == definitions.table("d", Table(one + 1))
    assert ["a", "c", "d"] == list(definitions.tables)


def shared_pair(body: str, tables: tuple[Array, Array]) -> SharedDefinitions:
    """Two functions of one text, each with an array of its own."""
    survey = Survey()
    definitions = SharedDefinitions(survey)
    for collected in (survey, definitions):
        for model, data in zip(("m", "n"), tables, strict=True):
            table = collected.table(f"{model}_0_t", Table(data))
            collected.function(f"{model}_0_f", lambda name, table=table: body.replace("FN", name).replace("T", table))  # type: ignore[misc]
    return definitions


def test_functions_with_a_helper_keep_their_arrays() -> None:
    """What consists of two functions is there for each model: its helper would need the arrays, too.

    So is what uses them outside: constants can be made of arrays, not of parameters.
    """
    pair = (np.zeros(2, np.float32), np.ones(2, np.float32))
    simple = "static void FN(const float x[1], float y[1])\n{\n    y[0] = T[0] * x[0];\n}\n"
    helped = f"static float FN_get(void)\n{{\n    return T[0];\n}}\n\n{simple}"

    assert ["m_0_f"] == list(shared_pair(simple, pair).functions)
    assert "static void m_0_f(const float *given_t, const float x[1]" in shared_pair(simple, pair).functions["m_0_f"]
    outside = f"static const float *const FN_first = &T[0];\n\n{simple}"

    assert ["m_0_f", "n_0_f"] == list(shared_pair(helped, pair).functions)
    assert ["m_0_f", "n_0_f"] == list(shared_pair(outside, pair).functions)
    assert ["m_0_f"] == list(shared_pair(helped, (pair[0], pair[0].copy())).functions)
