"""Sums of integers with columns in lanes on machines that are emulated here, NEON and WebAssembly: the bits of the
Program, of floats and of codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aprgen.ops.code_columns import BlockColumns, CodeColumns, ColumnsOfFloats
from aprgen.ops.integer import IntegerDense, IntegerSum
from aprgen.ops.wide_integers import DensePanels
from aprgen.program import Array
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain
from tests.passes import test_wide_lanes as lanes
from tests.passes.test_code_columns import Case, blocks, codes_for, of_codes
from tests.passes.test_wide_floats import rows_of
from tests.passes.test_wide_trees import agree

NAMES = ("arm-neon", "arm-neon-dot", "wasm")
CASES = (
    Case("i8", 16, 0),
    Case("i8", 71, 0),
    Case("i8", 100, 1, "i8"),
    Case("i8", 400, 2, "i8", uniform=True),
    Case("i8", 321, 3),
    Case("i16", 8, 0),
    Case("i16", 97, 0, uniform=True),
    Case("i16", 333, 1, "i16"),
    Case("i16", 260, 3, "i16", weights="i8"),
)
N_CODES = 12

COUNT_CODES = """
        for (uint32_t at = 0U; at < ({n}U * M_N_FEATURES); at += M_N_FEATURES) {{
            for (uint32_t i = 0U; i < M_N_FEATURES; ++i) {{
                apart[i + (at / M_N_FEATURES)] = given[at + i];
            }}
            m_scores_q(&apart[at / M_N_FEATURES], of_codes);
            for (uint32_t i = 0U; i < M_N_OUTPUTS; ++i) {{
                n += (of_codes[i] != wanted[((at / M_N_FEATURES) * M_N_OUTPUTS) + i]) ? 1U : 0U;
            }}
        }}
"""


def differing(name: str, case: Case, folder: Path, compiler: str = "auto", old: str = "", new: str = "") -> int:
    """Values of rows of floats, for each number of rows, and of rows of codes at any address."""
    target = load_target(name)
    made = blocks(case.program(), name)
    x = codes_for(case, N_CODES)
    wanted = of_codes(case.program(), x)
    kinds = {"int8": "int8_t", "int16": "int16_t", "int32": "int32_t"}
    tables = f"""
static const {kinds[str(x.dtype)]} given[{N_CODES}U * M_N_FEATURES] = {{{listed(x)}}};
static const {kinds[str(wanted.dtype)]} wanted[{N_CODES}U * M_N_OUTPUTS] = {{{listed(wanted)}}};
static {kinds[str(x.dtype)]} apart[M_N_FEATURES + {N_CODES}U];
static {kinds[str(wanted.dtype)]} of_codes[M_N_OUTPUTS];
"""
    more = {"/* tables */": tables, "/* codes */": COUNT_CODES.format(n=N_CODES)}
    rows = rows_of(made, lanes.MOST, 5)
    return lanes.differing(made, target, find_toolchain(target, compiler), folder, old, new, rows, more)


def listed(values: Array) -> str:
    return lanes.listed(values.reshape(-1).tolist())


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_few_outputs_have_columns_in_lanes(name: str, case: Case) -> None:
    program = case.program()
    made = blocks(program, name)
    kinds = {type(made.steps[index].op) for index in made.in_code()}
    if case.n_out < 2 and case.n_in > 16:  # elsewhere panels may be cheaper
        assert {BlockColumns, ColumnsOfFloats, CodeColumns} <= kinds
        assert DensePanels not in kinds
    assert not {IntegerDense, IntegerSum} & kinds
    rows = rows_of(program, 100, 1)
    agree(made, program, rows)
    x = codes_for(case, 50)
    assert of_codes(made, x).tolist() == of_codes(program, x).tolist()


IN_TURN = tuple(
    (name, case) for n, case in enumerate(CASES) for at, name in enumerate(NAMES) if (n + at) % 3 == 0 or n == 2
)


@pytest.mark.parametrize(("name", "case"), IN_TURN, ids=str)
def test_c_of_columns(name: str, case: Case, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """C equals Program.run() bit for bit for any number of rows and any place of theirs."""
    require_target(name)
    assert differing(name, case, tmp_path) == 0


@pytest.mark.parametrize(("name", "case"), [("arm-neon", CASES[3]), ("wasm", CASES[8])], ids=str)
def test_c_of_columns_by_zig(name: str, case: Case, tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """The same by clang."""
    require_tool("qemu-aarch64" if name == "arm-neon" else "node")
    require_tool("ziglang")
    assert differing(name, case, tmp_path, "zig") == 0


FAULTS = (
    ("arm-neon", CASES[1], "vmlal_high_s8(first, x, weights)", "vmlal_high_s8(first, weights, weights)"),
    ("arm-neon", CASES[7], "vget_low_s16(own), vget_low_s16(w)", "vget_low_s16(own), vget_high_s16(w)"),
    ("arm-neon-dot", CASES[1], "vmovl_s8(vreinterpret_s8_s32(four))",
     "vreinterpretq_s16_u16(vmovl_u8(vreinterpret_u8_s32(four)))"),
    ("wasm", CASES[6], "wasm_u32x4_load16x4(weights)", "wasm_i32x4_load16x4(weights)"),
    ("wasm", CASES[2], "wasm_i16x8_load8x8(x)", "wasm_u16x8_load8x8(x)"),
    ("wasm", CASES[0], "wasm_i32x4_shuffle(two, two, 1, 0, 3, 2)", "two"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "case", "old", "new"), FAULTS, ids=lambda value: str(value)[:30])
def test_planted_faults_are_found(
    name: str, case: Case, old: str, new: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """Products of other codes, weights and codes with a wrong sign, lanes that are not added."""
    require_target(name)
    assert differing(name, case, tmp_path, "auto", old, new) > 0
