"""The analysed code is the code that any compilation of the generated C with the same flags gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aprgen.target import load_target
from aprgen.toolchain import find_toolchain
from aprgen.wcet.marks import read_marks
from aprgen.wcet.shipped import loaded_contents, shipped_code_is_analysed
from tests.wcet.marked import image

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33", "cortex-m7", "cortex-m55")


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", ["gbm", "iforest", "knn_euclidean", "moe", "pca", "rfc_digits", "tfidf", "v2_mlp_f32"])
def test_an_ordinary_compilation_gives_the_analysed_code(
    name: str, core: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """`-c` alone gives the sections and references of the object that went through its marks' order."""
    require_target(core)
    analysed = image(name, core, marks=True)

    assert shipped_code_is_analysed(analysed, find_toolchain(load_target(core), "system"), tmp_path)


def test_other_flags_give_other_code(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """The comparison sees another optimisation level."""
    require_target("cortex-m4")
    toolchain = find_toolchain(load_target("cortex-m4"), "system")
    other = replace(toolchain, rule=replace(toolchain.rule, cflags=(*toolchain.rule.cflags, "-Os")))

    assert not shipped_code_is_analysed(image("rfc", "cortex-m4", marks=True), other, tmp_path)


def test_other_references_are_other_code(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """The same bytes that refer to another function are not the same code."""
    require_target("cortex-m0plus")
    found = image("logreg_bc", "cortex-m0plus", marks=True)
    data = found.object.read_bytes()
    other = tmp_path / "other.o"
    other.write_bytes(data.replace(b"__aeabi_lmul\0", b"__aeabi_lasr\0"))

    assert data.count(b"__aeabi_lmul\0") == 1
    assert loaded_contents(found.object) != loaded_contents(other)


@pytest.mark.parametrize("core", CORES)
def test_some_jumps_pass_by_a_mark(core: str, require_target: Callable[[str], None]) -> None:
    """gcc does put marks between labels: the lists of jumps are not only for tests."""
    require_target(core)
    programs = [image(name, core, marks=True).program for name in ("gbm", "iforest", "moe", "rfc_digits")]

    assert any(mark.passed_by for program in programs for mark in read_marks(program))
