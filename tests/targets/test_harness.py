"""The harness itself is C as clean as what it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from stand_in import PREFIX, ROUNDING, TARGETS, TEXT, StandIn

from aprgen.resources import folder
from aprgen.target import load_target
from aprgen.toolchain import Unit, compile_units, find_toolchain

STRICT = ("-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Werror")


@pytest.mark.parametrize("name", TARGETS)
def test_harness_sources_are_clean(name: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Every C file that goes into an image passes with all warnings as errors."""
    require_target(name)
    target = load_target(name)
    root = folder("qemu")
    folders = [root / one for one in (*target.harness, *target.support, "harness")]
    sources = {path for one in folders for path in one.glob("*.c")}
    units = [
        Unit(path, tmp_path / f"{path.parent.name}-{path.stem}.o", STRICT, (*folders, root / "harness"))
        for path in sorted(sources)
    ]

    compile_units(find_toolchain(target), units, tmp_path)


@pytest.mark.parametrize("stand_in", [ROUNDING, TEXT, PREFIX], ids=["row", "text", "prefix"])
def test_the_file_that_ties_model_and_harness_is_clean(
    stand_in: StandIn, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """The generated harness_model.c passes with all warnings as errors, for each kind of model."""
    require_target("cortex-m4")
    image = stand_in.build_for("cortex-m4", tmp_path)
    root = folder("qemu")
    unit = Unit(
        tmp_path / "harness_model.c", tmp_path / "strict.o", STRICT, (tmp_path, root / "harness", root / "calls")
    )

    compile_units(image.toolchain, (unit,), tmp_path)
