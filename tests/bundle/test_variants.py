"""Bundles for the package x86: every model by every kind of kernels, of which the bundle picks once for all."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from aprgen.bundle.compile import Bundle
from aprgen.bundle.measured import measure_bundle
from aprgen.bundle.proof import prove
from aprgen.loaded import load_model
from aprgen.runners.native import _cpu_flags as cpu_flags
from aprgen.verify import same_bits
from tests.bundle.examples import bundle
from tests.differential.compiled import Compiled, compile_c, write_texts
from tests.emission.test_compilers import STRICT, run
from tests.examples import PATHS, artifact
from tests.passes.test_wide_trees import rows_of
from tests.targets.test_variants import ALL, NEEDS, Forced, cpu

MODELS = ("rfc_digits", "kmeans", "knn_euclidean", "rfc", "tfidf")
SMALL = ("kmeans", "linreg", "tfidf")
FILES = ("fleet.c", "fleet_selftest.c")


def fleet(words: tuple[str, ...] = MODELS) -> Bundle:
    return bundle(*words, target="x86")


def test_each_kind_of_each_model(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Forced one by one in one library, for one row and for many, by the models' own functions."""
    require_target("x86")
    programs = {name: load_model(PATHS[name].read_bytes()).model.lower() for name in MODELS[:4]}
    forced = Forced("fleet", dict(fleet().texts), programs["kmeans"], tmp_path, "gcc")
    here = [name for name in ALL if NEEDS[name] <= cpu_flags()]
    for kind in here:
        assert forced.on(cpu(NEEDS[kind])) == kind
        for name, program in programs.items():
            rows, one = rows_of(program, 150, 3), Compiled(f"fleet_{name}", program, forced.library)
            expected, labels = program.run(rows), program.classify(rows)
            for scores, found in (one.batch(rows), one.one_by_one(rows)):
                assert same_bits(scores, expected).all()
                assert labels is None or found is None or found.tolist() == labels.tolist()

    assert here[:2] == ["sse2", "avx2"]


def test_a_model_has_the_kinds_that_it_has_alone() -> None:
    """As its own package: those that are alike are one, and what takes texts has none."""
    made = fleet()
    models = made.manifest["models"]
    assert isinstance(models, list)
    for model in models:
        assert model["kernels"] == artifact(model["name"], "x86").manifest["kernels"]
    by_name = {model["name"]: [one["name"] for one in model["kernels"]] for model in models}

    scores = made.texts["fleet.c"].split("\nvoid fleet_kmeans_scores(")[1].split("\n}")[0]

    assert "    case 3U:\n    case 4U:\n        fleet_kmeans_avx512_scores(x, out);" in scores
    assert by_name["tfidf"] == ["sse2"]
    assert by_name["kmeans"] == ["sse2", "avx2", "avx512"]
    assert by_name["rfc_digits"] == ["sse2", "avx2", "avx512", "avx512_vnni"]
    assert made.texts["fleet.c"].count("static uint32_t fleet_picked(void)") == 1
    assert "fleet_tfidf_avx2" not in made.texts["fleet.c"]


@pytest.mark.parametrize(("compiler", "most"), [("gcc", 1), ("clang-14", 4)])
def test_compilers_are_silent_and_the_selftest_passes(
    compiler: str, most: int, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """With kinds left out or all of them."""
    require_target("x86")
    write_texts(fleet(SMALL).texts, tmp_path)
    options = ("-std=c99", "-O2", f"-DAPR_KERNELS_AT_MOST={most}U", *STRICT)
    compile_c(compiler, (*options, *FILES, "-o", "selftest"), tmp_path)
    assert run(tmp_path / "selftest") == (0, "")


def test_proved_and_measured(require_target: Callable[[str], None]) -> None:
    """The registry gives the bits of all models, and what is shared makes the whole smaller than its parts."""
    require_target("x86")
    made = fleet(SMALL)
    measured = measure_bundle(made, "gcc")

    assert prove(made, n_rows=50).passed
    assert measured.saved_bytes > 0


def test_without_a_choice_it_is_portable_c(tmp_path: Path) -> None:
    """Of models that take texts there is one kind, and nobody asks the CPU; the only function more says so."""
    made = bundle("tfidf", "ngram_shell", target="x86")
    write_texts(made.texts, tmp_path)
    compile_c("gcc", ("-std=c99", "-O2", *STRICT, "-c", "fleet.c", "-o", "fleet.o"), tmp_path)
    sizes = subprocess.run(["size", "-A", "fleet.o"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert "apr_cpu.h" not in made.texts
    assert 'return "sse2";' in made.texts["fleet.c"]
    assert [line.split()[1] for line in sizes.splitlines() if line.startswith(".bss")] in ([], ["0"])
