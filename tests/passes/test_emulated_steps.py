"""Steps between sums, neighbours and Gaussians on machines that are emulated here, NEON and WebAssembly: the bits of
one row, for any number of rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aprgen.core import runtime_headers
from aprgen.program import OfBlocks
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain
from tests.passes import test_wide_lanes as lanes
from tests.passes import test_wide_steps as steps

NAMES = ("arm-neon", "arm-neon-dot", "wasm")
CASES = tuple(case.name for case in steps.CASES)
RUN = {
    "arm-neon": (
        "scaler-5", "scaler-37", "functions", "shares-10", "bayes-5", "euclidean-weighted", "manhattan-1",
        "euclidean-20", "screened-near", "classifier",
    ),
    "wasm": (
        "scaler-1", "scaler-16", "shares-3", "shares-8", "bayes-8", "one-class", "euclidean-5", "manhattan-tied",
        "screened-tied", "logistic",
    ),
}  # fmt: skip
WITH_ZIG = ("shares-10", "screened-near", "shares-3")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", CASES)
def test_steps_have_their_forms(name: str, case: str) -> None:
    """The same steps run in vectors as on x86."""
    made = steps.blocks(steps.case_of(case), load_target(name))
    assert made.batch is not None
    many = made.batch.many
    rowwise = [i for i in made.needed(many.scores, many.label) if not isinstance(made.steps[i].op, OfBlocks)]

    assert len(rowwise) == next(one.rowwise for one in steps.CASES if one.name == case)


def other_values(name: str, case: str, compiler: str, folder: Path, old: str = "", new: str = "") -> int:
    target = load_target(name)
    made = steps.blocks(steps.case_of(case), target)
    rows = steps.rows_for(made, lanes.MOST, 5)
    return lanes.differing(made, target, find_toolchain(target, compiler), folder, old, new, rows)


@pytest.mark.parametrize(("name", "case"), [(name, case) for name, cases in RUN.items() for case in cases])
def test_every_number_of_rows(
    name: str, case: str, tmp_path: Path, require_target: Callable[[str], None], require_tool: Callable[[str], None]
) -> None:  # fmt: skip
    """From 1 row to 130, at any float, blocks give the bits of one row and write nothing behind the last."""
    require_target(name)
    if case in WITH_ZIG:
        require_tool("ziglang")
    assert other_values(name, case, "zig" if case in WITH_ZIG else "auto", tmp_path) == 0


FAULTS = (
    ("arm-neon", "euclidean-weighted", "{1U, 2U, 4U, 8U}", "{1U, 2U, 8U, 4U}"),
    ("arm-neon", "shares-10", "vceqq_f32(a, a)", "vceqq_f32(a, yes)"),
    ("arm-neon", "bayes-5", "vaddq_f32(sum, more)", "vfmaq_f32(sum, more, vdupq_n_f32(0x1.000002p+0F))"),
    ("wasm", "shares-3", "wasm_f32x4_ge(values, limit))", "wasm_f32x4_gt(values, limit))"),
    ("wasm", "screened-near", "(others, beyond) != 0U)", "(others, beyond) > 0xFFFFU)"),
    ("wasm", "manhattan-tied", "wasm_i32x4_lt(a, b), ", "wasm_i32x4_gt(a, b), "),
)


@pytest.mark.parametrize(("name", "case", "old", "new"), FAULTS)
def test_planted_faults_are_found(
    name: str, case: str, old: str, new: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """Bits of lanes, NaN, a rounding, ties of labels and of points, a screen that leaves out too much."""
    require_target(name)
    assert other_values(name, case, "auto", tmp_path, old, new) > 0


SAMPLED = 100_000  # times four floats
FUNCTIONS = ("exp", "exp2", "sigmoid", "tanh", "gelu")
SAMPLE = """
#include "apr_float_maps.h"
#include "apr_math.h"

#define SAMPLED {sampled}U

{attribute}uint32_t differing(void);

static uint32_t is_other(float one, float other)
{{
    return ((apr_bits(one) != apr_bits(other)) && !((one != one) && (other != other))) ? 1U : 0U;
}}

{functions}

static uint32_t of_all(uint32_t bits, uint32_t apart)
{{
    return {sum};
}}

/* Of floats around what the functions tell apart, of both signs, and of floats all over. */
uint32_t differing(void)
{{
    static const uint32_t ends[] = {{0U, 0x00800000U, 0x33000000U, 0x39800000U, 0x3F800000U, 0x41800000U, 0x42AEAC50U,
        0x42B17218U, 0x42CFF1B5U, 0x43000000U, 0x43150000U, 0x7F800000U}};
    uint32_t n = 0U;
    for (uint32_t i = 0U; i < (sizeof(ends) / sizeof(ends[0])); ++i) {{
        for (uint32_t k = 0U; k < 1024U; k += 4U) {{
            const uint32_t bits = (ends[i] - 512U) + k;
            n += of_all(bits, 1U);
            n += of_all(bits ^ 0x80000000U, 1U);
        }}
    }}
    for (uint32_t i = 0U; i < SAMPLED; ++i) {{
        n += of_all(i * 0x9E3779B1U, 0x3C6EF372U);
    }}
    return n;
}}
"""
FUNCTION = """
static uint32_t of_{name}(uint32_t bits, uint32_t apart)
{{
    float x[4];
    float y[4];
    uint32_t n = 0U;
    for (uint32_t i = 0U; i < 4U; ++i) {{
        x[i] = apr_from_bits(bits + (i * apart));
    }}
    apr_floats_store(y, apr_floats_{name}(apr_floats_at(x)));
    for (uint32_t i = 0U; i < 4U; ++i) {{
        n += is_other(y[i], apr_{name}f(x[i]));
    }}
    return n;
}}
"""


def other_functions(name: str, compiler: str, folder: Path, old: str = "", new: str = "") -> int:
    """Floats whose functions in vectors are others than one by one; with `new` in place of `old` in the headers."""
    target, toolchain = load_target(name), find_toolchain(load_target(name), compiler)
    text = SAMPLE.format(
        sampled=SAMPLED, attribute='__attribute__((export_name("differing"))) ' if target.image == "wasm" else "",
        functions="".join(FUNCTION.format(name=one) for one in FUNCTIONS),
        sum=" + ".join(f"of_{one}(bits, apart)" for one in FUNCTIONS),
    )  # fmt: skip
    if target.image != "wasm":
        text += lanes.MAIN
    texts = {"main.c": text} | runtime_headers(text, target)
    assert any(old in one for one in texts.values())
    for file, one in texts.items():
        (folder / file).write_text(one.replace(old, new) if old else one)
    return lanes.counted(target, toolchain, folder, ("main",))


@pytest.mark.parametrize(("name", "compiler"), [("arm-neon", "gcc"), ("arm-neon", "zig"), ("wasm", "clang")])
def test_vector_functions(
    name: str, compiler: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """exp, exp2, sigmoid, tanh and GELU of vectors have the bits of those of one float, on floats of every size."""
    require_target(name)
    assert other_functions(name, compiler, tmp_path) == 0


WRONG = (
    ("arm-neon", "apr_places_if_zero(part, sign, zero)", "apr_places_if_zero(part, zero, zero)"),
    ("arm-neon", "apr_places_all(0x39800000)", "apr_places_all(0x3A800000)"),
    ("wasm", "wasm_i32x4_extract_lane(n, 2), (uint32_t)wasm", "wasm_i32x4_extract_lane(n, 1), (uint32_t)wasm"),
    ("wasm", "64, -128, 0, 0", "64, 127, 0, 0"),
)


@pytest.mark.parametrize(("name", "old", "new"), WRONG)
def test_wrong_functions_are_found(
    name: str, old: str, new: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """A carry, the end of a range, a lane, a power of two."""
    require_target(name)
    assert other_functions(name, "auto", tmp_path, old, new) > 0
