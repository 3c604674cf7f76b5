"""The C of bundles: silent compilers, the self-test, no relocations, one name for one thing, MISRA."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from aprgen.bundle.compile import BundleOptions, compile_bundle
from aprgen.bundle.measured import registry_functions
from aprgen.errors import AprgenError
from aprgen.target import load_target
from tests.bundle.examples import ALL_KINDS, bundle, wish
from tests.differential.compiled import compile_c, write_texts
from tests.emission.misra import deviations, findings
from tests.emission.test_compilers import ARM, SANITIZERS, STRICT, run

BUNDLES = (ALL_KINDS, ("linreg",), ("linreg:bytes",), ("tfidf", "count_vectorizer"), ("ngram_shell",), ("rfc", "dtr"))
FILES = ("fleet.c", "fleet_selftest.c")


@pytest.mark.parametrize("words", BUNDLES, ids=lambda words: f"{words[0]}-{len(words)}")
def test_compilers_are_silent_and_the_selftest_passes(words: tuple[str, ...], tmp_path: Path) -> None:
    """gcc and clang have nothing to say, and the self-test ends with 0, under the sanitizers too."""
    write_texts(bundle(*words).texts, tmp_path)
    for compiler, options in (("gcc", ("-std=c99", "-O1", *SANITIZERS)), ("clang-14", ("-std=c11", "-O1"))):
        compile_c(compiler, (*options, *STRICT, *FILES, "-o", "selftest"), tmp_path)
        assert run(tmp_path / "selftest") == (0, "")


@pytest.mark.parametrize("target", ARM)
def test_the_cross_compiler_is_silent(target: str, tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """arm-none-eabi-gcc, freestanding."""
    require_tool("arm-none-eabi-gcc")
    write_texts(bundle(*ALL_KINDS, target=target).texts, tmp_path)
    for source in FILES:
        flags = ("-std=c99", "-O2", "-ffreestanding", *STRICT, *ARM[target], "-c", source)
        compile_c("arm-none-eabi-gcc", flags, tmp_path)


def test_no_required_rule_of_misra_is_broken(tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """In the registry and self-test of every kind of model, but for the deviations of runtime_c/MISRA.md."""
    require_tool("cppcheck")
    allowed = deviations()
    found = findings(bundle("kmeans:both", "count_vectorizer", "ngram_shell").texts, tmp_path / "c")

    assert [] == sorted(one for one in found if one.place not in allowed)


def test_the_registry_needs_no_relocation(tmp_path: Path) -> None:
    """As position independent code it asks the loader for nothing, and holds nothing that can be written.

    Kernels of models that read text hold addresses of string tables, so these are left out.
    """
    words = tuple(word for word in ALL_KINDS if word not in ("ngram_shell", "tfidf"))
    write_texts(bundle(*words).texts, tmp_path)
    for level in ("-O0", "-O2", "-Os"):
        flags = ("-std=c99", level, *STRICT, "-fPIC", "-fvisibility=hidden", "-fno-asynchronous-unwind-tables")
        compile_c("gcc", (*flags, "-c", "fleet.c", "-o", "fleet.o"), tmp_path)
        found = subprocess.run(["readelf", "-rW", "fleet.o"], cwd=tmp_path, capture_output=True, text=True, check=True)
        kinds = set(re.findall(r"\bR_\w+", found.stdout))
        sizes = subprocess.run(["size", "-A", "fleet.o"], cwd=tmp_path, capture_output=True, text=True, check=True)
        written = re.findall(r"^\.(?:data|bss)\S*\s+[1-9]\d*", sizes.stdout, re.MULTILINE)

        assert {kind for kind in kinds if "PC" not in kind and "PLT" not in kind} == set()
        assert written == []


def test_only_public_functions_are_global(tmp_path: Path) -> None:
    """The registry's functions and those of the models, as the manifest lists them."""
    made = bundle(*ALL_KINDS)
    write_texts(made.texts, tmp_path)
    compile_c("gcc", ("-std=c99", "-O2", *STRICT, "-c", "fleet.c", "-o", "fleet.o"), tmp_path)
    listed = subprocess.run(["nm", "fleet.o"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    symbols = [line.split()[-2:] for line in listed.splitlines()]
    models = json.loads(made.texts["manifest.json"])["models"]
    functions = [function for model in models for function in model["functions"]]

    assert sorted([*functions, *registry_functions(made)]) == sorted(name for kind, name in symbols if kind == "T")
    assert [name for kind, name in symbols if kind in "BbDC"] == []
    assert [name for kind, name in symbols if kind == "U" and not name.startswith("mem")] == []


def test_the_header_serves_cpp(tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """C++11 includes the header, twice, and finds a model."""
    require_tool("g++")
    write_texts(bundle(*ALL_KINDS).texts, tmp_path)
    (tmp_path / "main.cpp").write_text(
        '#include "fleet.h"\n#include "fleet.h"\nint main()\n{\n'
        '    const fleet_entry *entry = fleet_find("kmeans");\n'
        "    return ((entry != nullptr) && (entry->id == FLEET_ID_KMEANS) && (entry->n_outputs == 3U)) ? 0 : 1;\n}\n"
    )
    compile_c("gcc", ("-std=c99", *STRICT, "-c", "fleet.c", "-o", "fleet.o"), tmp_path)
    flags = ("-std=c++11", "-pedantic", "-Wall", "-Wextra", "-Werror")
    compile_c("g++", (*flags, "main.cpp", "fleet.o", "-o", "it"), tmp_path)

    assert run(tmp_path / "it") == (0, "")


@pytest.mark.parametrize(
    ("file", "sound", "planted"),
    [
        ("fleet.c", "status = APR_OK;\n        break;\n    case FLEET_ID_KMEANS", "break;\n    case FLEET_ID_KMEANS"),
        ("fleet.c", "        fleet_kmeans_scores(x, out);", "        fleet_linreg_scores(x, out);"),
        ("fleet.c", "*label = fleet_kmeans_classify(x);", "*label = 1 + fleet_kmeans_classify(x);"),
        ("fleet.c", "__attribute__((aligned(8))) = {\n    65, 80", "__attribute__((aligned(8))) = {\n    65, 81"),
        ("fleet.c", ".id = FLEET_ID_KMEANS", ".id = FLEET_ID_LINREG"),
        ("fleet.c", '.name = "kmeans"', '.name = "kmeanz"'),
    ],
)
def test_the_selftest_notices(file: str, sound: str, planted: str, tmp_path: Path) -> None:
    """A wrong dispatch, a wrong label, a changed byte of a file, a wrong id, a name that is not found."""
    texts = dict(bundle("linreg", "kmeans:both", "rfc").texts)
    assert sound in texts[file]
    texts[file] = texts[file].replace(sound, planted)
    write_texts(texts, tmp_path)
    compile_c("gcc", ("-std=c99", "-O1", *FILES, "-o", "selftest"), tmp_path)

    assert run(tmp_path / "selftest") == (1, "")


def test_unknown_models_get_a_status(tmp_path: Path) -> None:
    """Ids that are not there, text models asked for rows, models without code: APR_E_MODEL, and nothing is written."""
    write_texts(bundle(*ALL_KINDS).texts, tmp_path)
    (tmp_path / "main.c").write_text(
        '#include "fleet.h"\nint main(void)\n{\n'
        "    float x[FLEET_MOST_FEATURES] = {0.0F};\n    float out[FLEET_MOST_OUTPUTS] = {7.0F};\n"
        "    int32_t label = 7;\n"
        "    const uint32_t ids[] = {FLEET_N_MODELS, 0xFFFFFFFFU, FLEET_ID_TFIDF, FLEET_ID_SIGNED_DTC};\n"
        "    int wrong = 0;\n"
        "    for (uint32_t i = 0U; i < 4U; ++i) {\n"
        "        wrong += (fleet_predict(ids[i], x, 1U, out, 1U) != APR_E_MODEL) ? 1 : 0;\n"
        "        wrong += (fleet_scores(ids[i], x, out) != APR_E_MODEL) ? 1 : 0;\n"
        "        wrong += (fleet_classify(ids[i], x, &label) != APR_E_MODEL) ? 1 : 0;\n"
        "    }\n"
        "    wrong += (fleet_classify(FLEET_ID_LINREG, x, &label) != APR_E_MODEL) ? 1 : 0;\n"
        "    wrong += (fleet_predict(FLEET_ID_LINREG, x, 3U, out, 1U) != APR_E_DIMENSION) ? 1 : 0;\n"
        "    wrong += (fleet_bytes(FLEET_ID_LINREG) != NULL) ? 1 : 0;\n"
        "    wrong += (fleet_bytes(FLEET_ID_KMEANS)[0] != 0x41U) ? 1 : 0;\n"
        "    return wrong + ((label == 7) ? 0 : 1) + ((out[0] > 6.0F) ? 0 : 1);\n}\n"
    )
    compile_c("gcc", ("-std=c99", *STRICT, "main.c", "fleet.c", "-o", "it"), tmp_path)

    assert run(tmp_path / "it") == (0, "")


def test_bytes_are_the_same_again() -> None:
    """Same models, target and options: same texts; the manifest has the digest of every other file."""
    words = ("linreg", "kmeans:both", "rfc:both")
    once, again = (compile_bundle([wish(word) for word in words], load_target("host"), BundleOptions("fleet"))
                   for _ in range(2))  # fmt: skip
    digests = json.loads(once.texts["manifest.json"])["sha256"]["files"]

    assert dict(once.texts) == dict(again.texts)
    assert {name: hashlib.sha256(text.encode()).hexdigest() for name, text in once.texts.items()
            if name != "manifest.json"} == digests  # fmt: skip


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (("a b", "a_b"), "bundle.name"),
        (("Brake", "brake"), "bundle.name"),
        (("x" * 64, "y"), "bundle.name"),
        (('a"b', "y"), "bundle.name"),
        (("a\nb", "y"), "bundle.name"),
        (("brake", "brake_n"), ""),
        (("id_x", "x_n_features"), "bundle.name"),
        (("has", "n_models"), ""),
    ],
)
def test_names_that_c_cannot_tell_apart_are_refused(names: tuple[str, str], code: str) -> None:
    """With what to do; others compile."""
    wishes = [wish("linreg", name=name) for name in names]
    found = ""
    try:
        compile_bundle(wishes, load_target("host"), BundleOptions("fleet"))
    except AprgenError as error:
        found = error.code

    assert found == code
