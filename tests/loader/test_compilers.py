"""What compilers and MISRA's rules say of the device's loader: nothing, but for the deviations that are listed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from aprgen.core import runtime_headers
from aprgen.device_loader import plan_loader
from aprgen.target import load_target
from aprgen.third_party import parts
from tests.differential.compiled import compile_c, write_texts
from tests.emission.misra import deviations, findings
from tests.emission.test_compilers import ARM, STRICT
from tests.loader.archives import write_loader
from tests.loader.library import PARTS, SOURCES

INCLUDES = "".join(f'#include "{name}"\n' for name in SOURCES)


@pytest.mark.parametrize("target", ARM)
@pytest.mark.parametrize("level", ["-Os"])
def test_cross_compilers_are_silent(
    target: str, level: str, tmp_path: Path, require_tool: Callable[[str], None]
) -> None:
    """arm-none-eabi-gcc, freestanding, with the special headers of the target."""
    require_tool("arm-none-eabi-gcc")
    write_texts(runtime_headers(INCLUDES, load_target(target)), tmp_path)

    flags = ("-std=c99", level, "-ffreestanding", *STRICT, *ARM[target])
    compile_c("arm-none-eabi-gcc", (*flags, "-c", *SOURCES), tmp_path)


@pytest.mark.parametrize("compiler", ["gcc", "clang-14"])
@pytest.mark.parametrize("standard", ["c99", "c11"])
def test_hosted_compilers_are_silent(compiler: str, standard: str, tmp_path: Path) -> None:
    """gcc and clang, without optimisation, which then see other things."""
    write_texts(runtime_headers(INCLUDES, load_target("host")), tmp_path)

    compile_c(compiler, (f"-std={standard}", "-O0", *STRICT, "-c", *SOURCES), tmp_path)


@pytest.mark.parametrize("compiler", ["gcc", "clang-14", "arm-none-eabi-gcc"])
def test_compilers_are_silent_about_parts(compiler: str, tmp_path: Path) -> None:
    """What stands between the loader and other people's C, with their headers."""
    plan = plan_loader(load_target("cortex-m4"), tuple(parts()))
    write_loader(plan, tmp_path)
    flags = ("-std=c99", "-O1", "-ffreestanding", *STRICT, *plan.defines, "-isystem", "third_party")
    cpu = ARM["cortex-m4"] if compiler.startswith("arm") else ()

    compile_c(compiler, (*flags, *cpu, "-c", *PARTS), tmp_path)


def test_no_required_misra_rule_is_broken(tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """cppcheck's addon finds what runtime_c/MISRA.md lists, and nothing else."""
    require_tool("cppcheck")
    with_parts = INCLUDES + "".join(f'#include "{name}"\n' for name in PARTS)
    found = findings(runtime_headers(with_parts, load_target("cortex-m4")), tmp_path)

    assert [] == sorted(one for one in found if one.place not in deviations())


def test_the_examples_of_the_page_compile(tmp_path: Path) -> None:
    """Each C of docs/device-loader.md, with the strictest flags."""
    page = (Path(__file__).parents[2] / "docs" / "device-loader.md").read_text(encoding="utf-8")
    names = re.findall(r"^```c (\S+)$", page, re.MULTILINE)
    headers = INCLUDES + '#include "apr_parts.h"\n#include "apr_zstd.h"\n'
    write_texts(runtime_headers(headers, load_target("host")), tmp_path)
    for name in names:
        (tmp_path / name).write_text(page.split(f"```c {name}\n")[1].split("```")[0])

    assert names == ["use.c", "services.c"]
    compile_c("gcc", ("-std=c99", "-O2", *STRICT, "-c", *names), tmp_path)
