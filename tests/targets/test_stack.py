"""The painted stack shows what the model uses, and only that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from stand_in import TARGETS, row_model, rows

from aprgen.errors import BudgetError, ToolchainError
from aprgen.runners.choose import runner_for
from aprgen.target import load_target

ARRAY = """
static volatile float *keep(volatile float *at)
{
    return at;
}
void brake_scores(const float x[2], float out[1])
{
    volatile float array[128];
    volatile float *at = keep(array);
    for (uint32_t i = 0U; i < 128U; ++i) {
        at[i] = x[0];
    }
    out[0] = at[5];
}
"""
LEAF = "    out[0] = x[0] + x[1];"


@pytest.mark.parametrize("name", TARGETS)
def test_a_512_byte_array_is_seen(name: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """A function with an array of 512 bytes uses that and at most 64 more, on every target, in each function."""
    require_target(name)
    model = row_model(ARRAY, 2, 1, classify="    return (x[0] > x[1]) ? 1 : 0;")
    used = runner_for(load_target(name)).run(model.build_for(name, tmp_path), rows(20, 2)).stack_bytes

    assert 512 <= used["scores"] <= 576
    assert used["classify"] <= 64


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in ("cortex-m0plus", "cortex-m3")])
def test_a_leaf_uses_nothing(name: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """A function that keeps all in registers uses no stack: the harness's own frames are taken off."""
    require_target(name)
    used = runner_for(load_target(name)).run(row_model(LEAF, 2, 1).build_for(name, tmp_path), rows(20, 2)).stack_bytes

    assert used == {"scores": 0}


@pytest.mark.parametrize("name", ["cortex-m4", "arm-neon"])
def test_unicorn_finds_the_same_stack(
    name: str, tmp_path: Path, require_target: Callable[[str], None], require_tool: Callable[[str], None]
) -> None:
    """The fallback emulator measures what QEMU measures."""
    require_target(name)
    require_tool("unicorn")
    image = row_model(ARRAY, 2, 1).build_for(name, tmp_path)
    x = rows(20, 2)

    assert (
        runner_for(image.target, "unicorn").run(image, x).stack_bytes
        == runner_for(image.target).run(image, x).stack_bytes
    )


def test_a_stack_beyond_the_ram_is_an_error(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """An array larger than the RAM that is left is never reported as a good run."""
    require_target("cortex-m0plus")
    image = row_model(ARRAY.replace("128", "5000"), 2, 1).build_for("cortex-m0plus", tmp_path)

    with pytest.raises((BudgetError, ToolchainError)) as caught:
        runner_for(image.target).run(image, rows(1, 2), seconds=20)
    assert caught.value.exit_status in (6, 7)
