"""What goes wrong is told: missing tools, failing tools, images that do not fit, hang or fault."""

from __future__ import annotations

import importlib.util
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from stand_in import CORTEX, TARGETS, TREE, row_model, rows

from aprgen.errors import BudgetError, ToolchainError, UsageError
from aprgen.image import build_image
from aprgen.runners.choose import runner_for
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain

BIG_TABLE = """
static const float table[2000000] = {1.0f, 2.0f};
void brake_scores(const float x[1], float out[1])
{
    out[0] = table[(uint32_t)x[0]];
}
"""
HANG = "    volatile uint32_t go = 1U;\n    while (go != 0U) {\n    }\n    out[0] = x[0];"
FAULT = "    out[0] = *(const volatile float *)(uintptr_t)0xF0000000U + x[0];"


@pytest.mark.parametrize("name", TARGETS)
def test_a_missing_compiler_names_the_ways_asked_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No compiler here: status 7, and in the hint packages of the origin that may be used, or of both."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    hints = {}
    for prefer in ("system", "pypi", "auto"):
        with pytest.raises(ToolchainError) as caught:
            find_toolchain(load_target(name), prefer, search_path="")
        assert caught.value.exit_status == 7
        hints[prefer] = caught.value.hint
    packages = {rule.package for rule in load_target(name).builds if rule.origin == "system"}

    assert {f"apt-get install {package}" for package in packages} == set(hints["system"].split(" or "))
    assert "pip install ziglang" == hints["pypi"]
    assert f"{hints['system']} or {hints['pypi']}" == hints["auto"]


@pytest.mark.parametrize("name", [*CORTEX, "wasm", "arm-neon"])
def test_a_missing_runner_names_its_package(name: str) -> None:
    """Without PATH no system emulator is found: status 7, the Debian package in the hint, and no Python package."""
    with pytest.raises(ToolchainError) as caught:
        runner_for(load_target(name), "system", search_path="")

    assert caught.value.exit_status == 7
    assert "apt-get install" in caught.value.hint
    assert "pip install" not in caught.value.hint


def test_an_unknown_preference_is_refused() -> None:
    """A toolchain or runner that the target does not list is named with those it has."""
    with pytest.raises(ToolchainError, match="no toolchain 'icc'") as caught:
        find_toolchain(load_target("host"), "icc")

    assert "gcc" in caught.value.hint


def test_a_cpu_without_the_instructions_is_built_not_run(tmp_path: Path) -> None:
    """A CPU that lacks what the target needs gives the outcome its own words."""
    text = 'extends = "x86-avx512"\n[[run]]\nkind = "native"\norigin = "none"\nneeds = ["avx1024"]\n'
    path = tmp_path / "future.toml"
    path.write_text(text)

    with pytest.raises(ToolchainError, match="built, not run: this machine's CPU lacks avx1024"):
        runner_for(load_target(str(path)))


@pytest.mark.parametrize("name", CORTEX)
def test_an_image_too_big_for_the_board_is_over_budget(
    name: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """Eight megabytes of constants fit no board: status 6, with the bytes needed and there."""
    require_target(name)
    target = load_target(name)
    assert target.board is not None

    with pytest.raises(BudgetError, match=f"{target.board.code_bytes} are there") as caught:
        row_model(BIG_TABLE, 1, 1).build(target, tmp_path)
    assert caught.value.exit_status == 6


def test_a_row_too_long_for_the_ram_is_over_budget(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """One row that fills the board's RAM leaves no stack: status 6."""
    require_target("cortex-m0plus")

    with pytest.raises(BudgetError, match=r"RAM|ram"):
        row_model("    out[0] = x[0];", 4000, 1).build_for("cortex-m0plus", tmp_path)


def test_zig_reports_an_overflow_alike(tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """The other linker's message is understood too."""
    require_tool("ziglang")

    with pytest.raises(BudgetError, match="262144 are there"):
        row_model(BIG_TABLE, 1, 1).build_for("cortex-m0plus", tmp_path, "zig")


@pytest.mark.parametrize("name", ["host", "cortex-m4", "arm-neon", "wasm"])
def test_a_hanging_model_is_stopped(name: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """A model that never returns is ended after the time limit."""
    require_target(name)
    image = row_model(HANG, 1, 1).build_for(name, tmp_path)

    with pytest.raises(ToolchainError, match="did not finish within"):
        runner_for(image.target).run(image, rows(1, 1), seconds=1.5)


@pytest.mark.parametrize("prefer", ["unicorn", "wasmtime"])
def test_a_hanging_model_is_stopped_in_process(
    prefer: str, tmp_path: Path, require_tool: Callable[[str], None]
) -> None:
    """The emulators that run inside Python have a limit too."""
    require_tool(prefer)
    name = "cortex-m4" if prefer == "unicorn" else "wasm"
    image = row_model(HANG, 1, 1).build_for(name, tmp_path)

    with pytest.raises(ToolchainError, match="did not finish within"):
        runner_for(image.target, prefer).run(image, rows(1, 1), seconds=1.0)


@pytest.mark.parametrize("name", ["cortex-m3", "cortex-m4", "cortex-m33", "cortex-m55"])
def test_a_fault_is_reported_by_its_handler(name: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Reading where nothing is ends the run with the exception and the address of the code."""
    require_target(name)
    image = row_model(FAULT, 1, 1).build_for(name, tmp_path)

    with pytest.raises(ToolchainError, match=r"fault: exception 0x0000000[3-6].*at 0x"):
        runner_for(image.target).run(image, rows(1, 1), seconds=20)


@pytest.mark.parametrize("name", ["host", "arm-neon", "wasm"])
def test_a_crash_is_reported(name: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """A program that dies by a signal or a trap is a failed run, not an empty result."""
    require_target(name)
    image = row_model(FAULT, 1, 1).build_for(name, tmp_path)

    with pytest.raises(ToolchainError) as caught:
        runner_for(image.target).run(image, rows(1, 1), seconds=20)
    assert caught.value.code == "run.failed"


@pytest.mark.parametrize("name", TARGETS)
def test_c_that_does_not_compile_shows_the_first_error(
    name: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """The compiler's own words are part of the error."""
    require_target(name)

    with pytest.raises(ToolchainError, match=r"failed with status 1.*error") as caught:
        row_model("    out[0] = undeclared;", 1, 1).build_for(name, tmp_path)
    assert caught.value.where == "brake.c"


def test_a_hanging_compiler_is_stopped(tmp_path: Path) -> None:
    """A compiler that never ends is killed after its limit."""
    compiler = tmp_path / "arm-none-eabi-gcc"
    compiler.write_text("#!/bin/sh\nexec sleep 60\n")
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    target = load_target("cortex-m4")
    toolchain = find_toolchain(target, search_path=str(tmp_path))

    with pytest.raises(ToolchainError, match=r"did not finish within 0\.5 s"):
        build_image(target, toolchain, TREE.sources, TREE.facts, tmp_path / "out", seconds=0.5)


def test_a_build_folder_that_cannot_be_made_is_a_usage_error(
    tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """A file where the folder should be is refused."""
    require_target("host")
    (tmp_path / "taken").write_text("")

    with pytest.raises(UsageError, match="cannot write the build folder"):
        TREE.build_for("host", tmp_path / "taken")


def test_sources_without_the_model_are_refused(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """The generated C file must be among the sources."""
    require_target("host")
    target = load_target("host")

    with pytest.raises(UsageError, match=r"no brake\.c"):
        build_image(target, find_toolchain(target), {"brake.h": ""}, TREE.facts, tmp_path)
