"""What compilers and linkers say of the generated C of every fixture: nothing; and the self-tests pass."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.differential.compiled import WARNINGS, compile_c, write_texts
from tests.examples import COMPILE, artifact

STRICT = (*WARNINGS, "-Wdouble-promotion", "-ffp-contract=off")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")
ARM = {
    "cortex-m0plus": ("-mthumb", "-mcpu=cortex-m0plus", "-mfloat-abi=soft"),
    "cortex-m4": ("-mthumb", "-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
}


def run(program: Path) -> tuple[int, str]:
    done = subprocess.run([str(program)], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", COMPILE)
def test_hosted_compilers_are_silent_and_the_selftest_passes(name: str, tmp_path: Path) -> None:
    """gcc and clang, C99 and C11, with and without optimisation: no warning, and the self-test ends with 0."""
    write_texts(artifact(name).texts, tmp_path)
    files = (f"{name}.c", f"{name}_selftest.c")
    for compiler, standard, level in (
        ("gcc", "c99", "-O2"), ("gcc", "c11", "-O0"), ("clang-14", "c11", "-O2"), ("clang-14", "c99", "-O0")
    ):  # fmt: skip
        compile_c(compiler, (f"-std={standard}", level, *STRICT, *files, "-o", "selftest"), tmp_path)
        assert run(tmp_path / "selftest") == (0, "")


@pytest.mark.parametrize("name", COMPILE)
def test_sanitizers_find_nothing_in_the_selftest(name: str, tmp_path: Path) -> None:
    """No byte outside an array and no undefined operation on the rows of the self-test."""
    write_texts(artifact(name).texts, tmp_path)
    files = (f"{name}.c", f"{name}_selftest.c")
    compile_c("gcc", ("-std=c99", "-O1", *STRICT, *SANITIZERS, *files, "-o", "selftest"), tmp_path)

    assert run(tmp_path / "selftest") == (0, "")


@pytest.mark.parametrize("target", ARM)
@pytest.mark.parametrize("name", COMPILE)
def test_cross_compiler_is_silent(name: str, target: str, tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """arm-none-eabi-gcc, freestanding, C99 and C11, has nothing to say."""
    require_tool("arm-none-eabi-gcc")
    write_texts(artifact(name, target).texts, tmp_path)
    for standard in ("c99", "c11"):
        flags = (f"-std={standard}", "-O2", "-ffreestanding", *STRICT, *ARM[target])
        compile_c("arm-none-eabi-gcc", (*flags, "-c", f"{name}.c"), tmp_path)


@pytest.mark.parametrize("name", ["rfc", "logreg_bc", "knn_euclidean", "count_vectorizer", "ngram_shell"])
def test_the_header_can_be_included_again_and_from_two_units(name: str, tmp_path: Path) -> None:
    """Twice in one unit, from two units, and beside the runtime headers: one program links."""
    texts = artifact(name).texts
    write_texts(texts, tmp_path)
    runtime = "".join(f'#include "{header}"\n' for header in texts if header.startswith("apr_"))
    twice = f'#include "{name}.h"\n{runtime}#include "{name}.h"\n'
    (tmp_path / "one.c").write_text(
        f"{twice}int one(void);\nint one(void)\n{{\n    return {name.upper()}_H_SEEN;\n}}\n".replace(
            f"{name.upper()}_H_SEEN", f"(int){name.upper()}_" + size_macro(name)
        )
    )
    (tmp_path / "two.c").write_text(f"{twice}int one(void);\nint main(void)\n{{\n    return one() > 0 ? 0 : 1;\n}}\n")
    compile_c("gcc", ("-std=c99", *STRICT, "one.c", "two.c", f"{name}.c", "-o", "linked"), tmp_path)

    assert run(tmp_path / "linked") == (0, "")


def size_macro(name: str) -> str:
    return "N_SUGGESTIONS" if name == "ngram_shell" else "N_OUTPUTS"


@pytest.mark.parametrize("name", ["rfc", "linreg", "tfidf", "ngram_shell"])
def test_the_header_serves_cpp(name: str, tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """A C++11 unit includes the header, calls into the C object, and links."""
    require_tool("g++")
    write_texts(artifact(name).texts, tmp_path)
    function = {"tfidf": "scores_text", "ngram_shell": "suggest"}.get(name, "scores")
    body = f'#include "{name}.h"\nint main()\n{{\n    return (&{name}_{function} != nullptr) ? 0 : 1;\n}}\n'
    (tmp_path / "main.cpp").write_text(body)
    compile_c("gcc", ("-std=c99", *STRICT, "-c", f"{name}.c", "-o", "model.o"), tmp_path)
    flags = ("-std=c++11", "-pedantic", "-Wall", "-Wextra", "-Werror", "-Wno-address")
    compile_c("g++", (*flags, "main.cpp", "model.o", "-o", "linked"), tmp_path)

    assert run(tmp_path / "linked") == (0, "")


@pytest.mark.parametrize("name", COMPILE)
def test_an_object_defines_its_public_functions_only(name: str, tmp_path: Path) -> None:
    """Global symbols are the functions of the manifest; everything else is static, and no variable can change."""
    compiled = artifact(name)
    write_texts(compiled.texts, tmp_path)
    compile_c("gcc", ("-std=c99", "-O2", *STRICT, "-c", f"{name}.c", "-o", "model.o"), tmp_path)
    listed = subprocess.run(["nm", "model.o"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    symbols = [line.split()[-2:] for line in listed.splitlines()]

    assert sorted(compiled.manifest["functions"]) == sorted(s for kind, s in symbols if kind == "T")  # type: ignore[call-overload]
    assert [s for kind, s in symbols if kind in "BbDdCc"] == []
    assert [s for kind, s in symbols if kind == "U" and s not in ("memcpy", "memset", "memmove")] == []
