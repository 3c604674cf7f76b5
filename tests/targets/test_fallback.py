"""With nothing but Python packages: zig compiles, Unicorn and wasmtime run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stand_in import ELEMENTWISE, ROUNDING, rounding_in_numpy, rows

from aprgen.errors import ToolchainError
from aprgen.footprint import measure
from aprgen.runners.choose import runner_for
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain

FALLBACK = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "arm-neon", "host", "wasm")


@pytest.mark.parametrize("name", FALLBACK)
def test_python_packages_alone_give_the_same_bits(
    name: str, tmp_path: Path, require_tool: Callable[[str], None]
) -> None:
    """zig and Unicorn or wasmtime, with no program on PATH, agree with float32 arithmetic bit for bit."""
    for tool in ("ziglang", "unicorn", "capstone", "wasmtime"):
        require_tool(tool)
    target = load_target(name)
    x = rows(300, 4)
    toolchain = find_toolchain(target, search_path="")
    image = ROUNDING.build(target, tmp_path, "pypi")
    execution = runner_for(target, search_path="").run(image, x)

    assert toolchain.name == "ziglang"
    assert execution.scores.tobytes() == rounding_in_numpy(x).tobytes()
    assert measure(image).flash_bytes > 0
    counted = len(execution.instructions["scores"].values)
    assert counted > 0 if name == "host" else counted == 300  # the host is stepped through, for some seconds


def test_the_vector_core_has_no_fallback() -> None:
    """Without QEMU a Cortex-M55 image is built but cannot run, and the error says what to install."""
    with pytest.raises(ToolchainError) as caught:
        runner_for(load_target("cortex-m55"), search_path="")

    assert "apt-get install qemu-system-arm" in caught.value.hint


def test_zig_makes_no_flushing_vectors(tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """Built by zig, a Cortex-M55 keeps subnormal numbers as well."""
    for tool in ("ziglang", "qemu-system-arm"):
        require_tool(tool)
    x = np.full((3, 64), 3e-39, np.float32)
    image = ELEMENTWISE.build_for("cortex-m55", tmp_path, "zig")
    actual = runner_for(image.target).run(image, x).scores

    assert actual.tobytes() == ((x - np.float32(1e-39)) * np.float32(0.5)).tobytes()
