"""Blocks of rows on machines that are emulated here, NEON and WebAssembly: the bits of one row, for any number."""

from __future__ import annotations

import importlib
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from aprgen.costs import FloatCost
from aprgen.image import ModelFacts, build_image
from aprgen.ops.decide import Argmax
from aprgen.ops.elementwise import Map
from aprgen.ops.normalise import Softmax
from aprgen.ops.wide_floats import Lanes, Panels
from aprgen.passes.wide_steps import with_block_steps
from aprgen.process import run
from aprgen.program import Array, Builder, Program, row_type
from aprgen.runners.choose import runner_for
from aprgen.runners.records import AWKWARD
from aprgen.target import Target, load_target
from aprgen.toolchain import Toolchain, Unit, compile_support, compile_units, find_toolchain, link
from aprgen.verify import same_bits
from tests.differential.compiled import WARNINGS, load
from tests.passes import test_wide_floats as floats
from tests.passes import test_wide_trees as trees

NAMES = ("arm-neon", "wasm")
FORMS = ("stated", "lanes", "panels")


def cost_of(name: str, form: str) -> FloatCost:
    """As the target states it, or with all layers in one form that have it."""
    stated = floats.floats_of(name)
    if form == "lanes":
        return replace(stated, lane_sums=16, turned=1, lane=1, square_lane=1)
    return replace(stated, turned=10**6) if form == "panels" else stated


@pytest.mark.parametrize("name", NAMES)
def test_few_outputs_are_summed_with_rows_in_lanes(name: str) -> None:
    """A layer of one output has rows in lanes, one of a hundred outputs in lanes."""
    target = load_target(name)
    kinds = {}
    for n_out in (1, 100):
        builder = floats.Builder(floats.row_type(20))
        program = builder.build(builder.add(floats.dense(20, n_out, "last"), 0))
        made = floats.blocks(program, target)
        assert made.batch is not None
        kinds[n_out] = type(made.steps[made.batch.many.scores - 1].op)

    assert kinds == {1: Lanes, 100: Panels}


@pytest.mark.parametrize(
    ("name", "runner", "case", "form"),
    [
        *(("arm-neon", "auto", case.name, form) for case, form in zip(floats.CASES, 4 * FORMS, strict=False)),
        *(("wasm", "auto", case.name, form) for case, form in zip(floats.CASES, 4 * FORMS, strict=False)),
        ("arm-neon", "auto", "network", "lanes"),
        ("arm-neon", "unicorn", "network", "stated"),
        ("wasm", "wasmtime", "network", "lanes"),
        ("wasm", "wasmtime", "many-points", "panels"),
    ],
)
def test_sums_of_blocks(
    name: str, runner: str, case: str, form: str, tmp_path: Path, require_target: Callable[[str], None],
    require_tool: Callable[[str], None],
) -> None:  # fmt: skip
    """C equals Program.run() bit for bit, run by emulators and engines."""
    require_target(name)
    if runner != "auto":
        require_tool(runner)
    target = load_target(name)
    program = floats.case_of(case)
    made = floats.blocks(program, target, cost_of(name, form))
    assert made.batch is not None
    facts = ModelFacts("m", "row", program.n_features, program.n_outputs, program.label is not None, has_batch=True)
    image = build_image(target, find_toolchain(target), trees.texts_of(made, target), facts, tmp_path)
    rows = floats.rows_of(program, sum(AWKWARD[:9]), 3)
    found = runner_for(target, runner).run(image, rows, count=False).batch

    assert found is not None
    assert same_bits(found.scores, program.run(rows)).all()
    expected = program.classify(rows)
    assert (found.labels is None) == (expected is None)
    assert found.labels is None or expected is None or found.labels.tolist() == expected.tolist()


EMPTY: Mapping[str, str] = MappingProxyType({})
MOST = 130  # rows: more than a block
COUNTING = """
#include "m.h"

{attribute}uint32_t differing(void);

static const uint32_t table[{most}U * M_N_FEATURES] = {{{rows}}};
static const uint32_t scores[{most}U * M_N_OUTPUTS] = {{{scores}}};
/* labels */
/* tables */

typedef union {{
    uint32_t bits;
    float value;
}} word;

static uint32_t is_other(float one, uint32_t bits)
{{
    word a, b;
    a.value = one;
    b.bits = bits;
    return ((a.bits != b.bits) && !((a.value != a.value) && (b.value != b.value))) ? 1U : 0U;
}}

/* For each number of rows, at one of four places in memory, and for one row: values that are others than they must be,
 * and values written behind the last. */
uint32_t differing(void)
{{
    static float x[({most}U * M_N_FEATURES) + 4U];
    static float out[({most}U * M_N_OUTPUTS) + 4U];
    static float one[M_N_OUTPUTS];
    uint32_t n = 0U;
    for (uint32_t shift = 0U; shift < 4U; ++shift) {{
        float *const rows = &x[shift];
        for (uint32_t i = 0U; i < ({most}U * M_N_FEATURES); ++i) {{
            word w;
            w.bits = table[i];
            rows[i] = w.value;
        }}
        for (uint32_t row = 0U; row < {most}U; ++row) {{
            m_scores(&rows[row * M_N_FEATURES], one);
            for (uint32_t i = 0U; i < M_N_OUTPUTS; ++i) {{
                n += is_other(one[i], scores[(row * M_N_OUTPUTS) + i]);
            }}
            /* label of a row */
        }}
        /* codes */
        for (uint32_t n_rows = 1U + shift; n_rows <= {most}U; n_rows += 4U) {{
            for (uint32_t i = 0U; i < 4U; ++i) {{
                out[(n_rows * M_N_OUTPUTS) + i] = 123.0F;
            }}
            m_predict_batch(rows, n_rows, out);
            for (uint32_t i = 0U; i < (n_rows * M_N_OUTPUTS); ++i) {{
                n += is_other(out[i], scores[i]);
            }}
            for (uint32_t i = 0U; i < 4U; ++i) {{
                n += is_other(out[(n_rows * M_N_OUTPUTS) + i], 0x42F60000U);
            }}
            /* labels of many rows */
        }}
    }}
    return n;
}}
"""
LABELS = {
    "/* label of a row */": "n += (labels[row] != m_classify(&rows[row * M_N_FEATURES])) ? 1U : 0U;",
    "/* labels of many rows */": """
            m_classify_batch(rows, n_rows, found);
            for (uint32_t i = 0U; i < n_rows; ++i) {
                n += (labels[i] != found[i]) ? 1U : 0U;
            }
""",
    "    uint32_t n = 0U;\n    for": f"    static int32_t found[{MOST}];\n    uint32_t n = 0U;\n    for",
}
MAIN = "\nint main(void)\n{\n    const uint32_t n = differing();\n    return (n > 100U) ? 100 : (int)n;\n}\n"


SUMS = {"network": "stated", "small-network": "stated", "nearest": "lanes", "linear-first": "lanes"}  # in which form


COMPARED = "-compared"  # in place of lines of bits


def odd_shape(name: str, use: str) -> Program:
    """Trees or sums, of more rows than a block and of shapes that fill no vector."""
    target = load_target(name)
    if use in SUMS:
        form = SUMS[use]
        return floats.blocks(floats.case_of(use), target, cost_of(name, form))
    case = next(case for case in trees.CASES if case.name == use.removesuffix(COMPARED))
    assert target.batch is not None
    if use.endswith(COMPARED):
        target = replace(target, batch=replace(target.batch, bit_split=None))
    made = trees.wide(trees.program_of(case), target)
    assert made.batch is not None
    used = {made.steps[index].op.kernel for index in made.in_code()}  # one row has a way of its own, too
    assert any(kernel.startswith("row_") for kernel in used)
    if case.depth == 6:
        bits = "" if use.endswith(COMPARED) else "_bits"
        assert {f"{trees.LEVELS}{bits}", "row_permuted_trees_u8"} <= used
    return made


OF_TREES = (
    "sum-depth6-x4-200", f"sum-depth6-x4-200{COMPARED}", "votes-depth4-x5-40", "rows-depth5-x2-3000",
    "unit-depth12-x7-300",
)  # fmt: skip
USES = ("network", "nearest", "linear-first", *OF_TREES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("use", USES)
def test_every_number_of_rows(name: str, use: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """From 1 row to 130, blocks give the bits of one row and write nothing behind the last."""
    require_target(name)
    target = load_target(name)
    assert differing(odd_shape(name, use), target, find_toolchain(target), tmp_path) == 0


@pytest.mark.parametrize("name", NAMES)
def test_few_rows_have_a_stack_of_their_own(name: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Buffers of blocks and of a few rows are never there at once: both of 256 outputs pass the 64 KB of stack that
    modules of WebAssembly have."""
    require_target(name)
    target = load_target(name)
    builder = Builder(row_type(20))
    at = builder.add(Map(256, (floats.RELU,)), builder.add(floats.dense(20, 256, "last"), 0))
    at = builder.add(Map(256, (floats.RELU,)), builder.add(floats.dense(256, 256, "last"), at))
    at = builder.add(Softmax(10, by_reciprocal=True), builder.add(floats.dense(256, 10, "last"), at))
    program = builder.build(at, builder.add(Argmax("f32", 10, None, nan_gives_zero=True), at), 10)
    made = with_block_steps(floats.blocks(program, target), target.batch, target.has_kernel)
    assert made.batch is not None
    assert made.batch.few is not None

    assert differing(made, target, find_toolchain(target), tmp_path) == 0


FAULTS = (
    ("arm-neon", "small-network", "vaddq_f32(sum, vmulq_f32(x, weight))", "vfmaq_f32(sum, x, weight)"),
    ("arm-neon", "small-network", "vandq_u32(vreinterpretq_u32_f32(values), vcgtzq_f32(values))",
     "vreinterpretq_u32_f32(vmaxq_f32(values, vdupq_n_f32(0.0F)))"),
    ("arm-neon", f"sum-depth6-x4-200{COMPARED}", "vcgtq_s32(wide, ", "vcgeq_s32(wide, "),
    ("wasm", "network", "wasm_f32x4_pmax(wasm_f32x4_const_splat(0.0F), values)",
     "wasm_f32x4_max(wasm_f32x4_const_splat(0.0F), values)"),
    ("wasm", "nearest", "wasm_f32x4_lt(values, best)", "wasm_f32x4_le(values, best)"),
    ("wasm", f"sum-depth6-x4-200{COMPARED}", "wasm_i8x16_gt(wasm_u8x16_splat(limit), wasm_v128_load(codes))",
     "wasm_u8x16_gt(wasm_u8x16_splat(limit), wasm_v128_load(codes))"),
    ("wasm", "linear-first", "    while (row < n_rows) {", "    while ((n_rows - row) >= 4U) {"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "use", "old", "new"), FAULTS)
def test_planted_faults_are_found(
    name: str, use: str, old: str, new: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """A rounding less, NaN or -0 after an activation, ties, codes that are off by one, signs, rows left out."""
    require_target(name)
    target = load_target(name)
    found = differing(odd_shape(name, use), target, find_toolchain(target), tmp_path, old, new)
    assert found > 0


def listed(words: Sequence[object]) -> str:
    return ", ".join(str(word) for word in words)


def bits_of(values: Array) -> str:
    return listed([f"{word:#x}U" for word in np.asarray(values, "<f4").view("<u4").reshape(-1)])


def differing(
    made: Program, target: Target, toolchain: Toolchain, folder: Path, old: str = "", new: str = "",
    rows: Array | None = None, more: Mapping[str, str] = EMPTY,
) -> int:  # fmt: skip
    """Values, counted by the machine itself; with `new` in place of `old` in the C. rows: MOST of them. more: C in
    place of remarks."""
    texts = trees.texts_of(made, target)
    if old:
        assert any(old in text for text in texts.values())
        texts = {file: text.replace(old, new) for file, text in texts.items()}
    make_rows = trees.rows_of if any(step.op.kernel.startswith("wide_") for step in made.steps) else floats.rows_of
    rows = make_rows(made, MOST, 5) if rows is None else rows
    labels = made.classify(rows)
    wasm = target.image == "wasm"
    attribute = '__attribute__((export_name("differing"))) ' if wasm else ""
    counting = COUNTING.format(
        rows=bits_of(rows), scores=bits_of(made.run(rows)), most=MOST, attribute=attribute
    )  # fmt: skip
    in_place = dict(more)
    if labels is not None:
        table = f"static const int32_t labels[{MOST}U] = {{{listed(labels.tolist())}}};"
        in_place |= LABELS | {"/* labels */": table}
    for place, text in in_place.items():
        assert place in counting
        counting = counting.replace(place, text)
    texts["main.c"] = counting + ("" if wasm else MAIN)
    for file, text in texts.items():
        (folder / file).write_text(text)
    return counted(target, toolchain, folder, ("m", "main"))


def counted(target: Target, toolchain: Toolchain, folder: Path, sources: Sequence[str]) -> int:
    """What differing() of the C files gives, or as much as 100 on machines that say it by the status of a process."""
    wasm = target.image == "wasm"
    units = [Unit(folder / f"{one}.c", folder / f"{one}.o", WARNINGS, (folder,)) for one in sources]
    compile_units(toolchain, units, folder)
    support = compile_support(toolchain, target.support, (), folder) if wasm else []
    out = folder / "main"
    linker = toolchain if wasm else find_toolchain(target)  # zig would build a library of C, half a minute
    link(linker, [*(unit.out for unit in units), *support], out, flags=linker.rule.image_flags, work=folder)
    if not wasm:
        cpu = next(rule.cpu for rule in target.runs if rule.kind == "qemu-user")
        return run(("qemu-aarch64", "-cpu", cpu, str(out)), work="counting", folder=folder, seconds=60).status
    wasmtime = pytest.importorskip("wasmtime")
    engine = importlib.import_module("wasmtime").Engine()
    store = wasmtime.Store(engine)
    exports = wasmtime.Instance(store, wasmtime.Module(engine, out.read_bytes()), []).exports(store)
    number = int(exports["differing"](store))
    script = (
        "import { readFileSync } from 'node:fs';"
        "const { instance } = await WebAssembly.instantiate(readFileSync('main'), {});"
        "console.log(instance.exports.differing());"
    )
    (folder / "run.mjs").write_text(script)
    said = subprocess.run(["node", "run.mjs"], cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    assert int(said.stdout) == number
    return number


@pytest.mark.parametrize("use", ["sum-depth14-x5-300", "rows-depth5-x2-3000"])
def test_portable_kernels(use: str, tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """A target of one's own without vectors takes codes and walks in plain C."""
    require_tool("gcc")
    host, cost = load_target("host"), load_target("wasm").batch
    assert cost is not None
    cost = replace(cost, fan=4, signed=False, level_split=None, bit_split=None, permuted_bytes=None, walked_top=None)
    target = replace(host, templates=("wide", *host.templates), batch=cost)
    case = next(case for case in trees.CASES if case.name == use)
    program = trees.program_of(case)
    made = trees.wide(program, target)
    compiled = load("m", trees.texts_of(made, target), made, tmp_path, "gcc", ("-O1",))
    rows = trees.rows_of(program, 150, 6)

    assert set(trees.kernels(made)) == {trees.SEARCHED, trees.WALKED}
    assert same_bits(compiled.batch(rows)[0], program.run(rows)).all()
