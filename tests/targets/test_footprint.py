"""Flash, RAM and frames are those of the model alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from stand_in import CORTEX, TARGETS, row_model

from aprgen.errors import BudgetError
from aprgen.footprint import check_budget, measure
from aprgen.target import load_target

TABLE = """
static const float table[1000] = {1.0f, 2.0f, 3.0f};
void brake_scores(const float x[2], float out[1])
{
    out[0] = table[(uint32_t)x[0] % 1000U] + x[1];
}
"""
SUM = "    out[0] = x[0] + x[1];"


@pytest.mark.parametrize("name", TARGETS)
def test_a_table_of_4000_bytes_is_constant_data(
    name: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """Constants are counted once, as flash; on WebAssembly trailing zeros are data too."""
    require_target(name)
    footprint = measure(row_model(TABLE, 2, 1).build_for(name, tmp_path))

    assert 4000 <= footprint.rodata_bytes <= 4100
    assert footprint.ram_bytes == 0
    assert footprint.flash_bytes == footprint.text_bytes + footprint.rodata_bytes


@pytest.mark.parametrize("name", TARGETS)
def test_unused_functions_take_nothing(name: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Only what the measured functions need is linked: the batch function is not."""
    require_target(name)
    footprint = measure(row_model(SUM, 2, 1).build_for(name, tmp_path))

    assert [function.name for function in footprint.functions] == ["brake_scores"]
    assert footprint.functions[0].code_bytes <= footprint.text_bytes


def test_float_routines_are_named_where_there_is_no_fpu(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """On a Cortex-M0+ code that includes no routines of ours pulls in libgcc's addition, and it counts as flash."""
    require_target("cortex-m0plus")
    footprint = measure(row_model(SUM, 2, 1).build_for("cortex-m0plus", tmp_path))

    assert "__aeabi_fadd" in [function.name for function in footprint.library]
    assert footprint.library_bytes > 300
    own = sum(function.code_bytes for function in footprint.functions)
    assert own + footprint.library_bytes <= footprint.text_bytes <= own + footprint.library_bytes + 32


def test_a_sum_needs_no_library_with_an_fpu(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """On a Cortex-M4F nothing is pulled in."""
    require_target("cortex-m4")

    assert measure(row_model(SUM, 2, 1).build_for("cortex-m4", tmp_path)).library == ()


@pytest.mark.parametrize("name", CORTEX)
def test_long_division_brings_no_unwinder(name: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """64-bit division links without the C++ unwinder that libgcc's objects name."""
    require_target(name)
    body = "    out[0] = (float)((UINT64_C(1) << 60) / (uint64_t)(uint32_t)x[0]);"
    footprint = measure(row_model(body, 1, 1).build_for(name, tmp_path))

    assert [one.name for one in footprint.library if "nwind_" in one.name and one.code_bytes > 8] == []


def test_variables_are_ram(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Initialised variables take flash and RAM, zeroed ones RAM only."""
    require_target("cortex-m4")
    body = """
static volatile float started[8] = {1.0f};
static volatile float zeroed[100];
void brake_scores(const float x[1], float out[1])
{
    zeroed[(uint32_t)x[0] % 100U] = x[0];
    out[0] = started[(uint32_t)x[0] % 8U];
}
"""
    footprint = measure(row_model(body, 1, 1).build_for("cortex-m4", tmp_path))

    assert (footprint.data_bytes, footprint.bss_bytes, footprint.ram_bytes) == (32, 400, 432)
    assert footprint.flash_bytes == footprint.text_bytes + footprint.rodata_bytes + 32


def test_frames_are_what_the_compiler_states(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """gcc's statement of each frame is part of the footprint."""
    require_target("cortex-m4")
    body = """    volatile float array[16];
    for (uint32_t i = 0U; i < 16U; ++i) {
        array[i] = x[0];
    }
    out[0] = array[3];"""
    (function,) = measure(row_model(body, 1, 1).build_for("cortex-m4", tmp_path)).functions

    assert function.stack_bytes is not None
    assert 64 <= function.stack_bytes <= 80


def test_a_model_over_budget_is_refused(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """More flash than the target gives a model is status 6 with both numbers."""
    require_target("cortex-m4")
    board = tmp_path / "board.toml"
    board.write_text('extends = "cortex-m4"\n[memory]\nflash_bytes = 4000\n')
    target = load_target(str(board))
    footprint = measure(row_model(TABLE, 2, 1).build(target, tmp_path / "out"))

    with pytest.raises(BudgetError, match=f"needs {footprint.flash_bytes} bytes of flash, the target has 4000"):
        check_budget(footprint, target)


def test_stack_counts_as_ram(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """A measured stack is charged to the RAM budget."""
    require_target("cortex-m0plus")
    target = load_target("cortex-m0plus")
    footprint = measure(row_model(SUM, 2, 1).build(target, tmp_path))
    check_budget(footprint, target, stack_bytes=16384)

    with pytest.raises(BudgetError, match="16385 bytes of ram"):
        check_budget(footprint, target, stack_bytes=16385)


def test_an_odd_number_of_constant_bytes_is_no_ram(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """The linker pads after constants of odd size with a section of its own, which is no variable of the model."""
    require_target("cortex-m4")
    odd = TABLE.replace("const float table[1000]", "const uint8_t table[1001]").replace("{1.0f, 2.0f, 3.0f}", "{1, 2}")
    footprint = measure(row_model(odd, 2, 1).build_for("cortex-m4", tmp_path))

    assert footprint.ram_bytes == 0
