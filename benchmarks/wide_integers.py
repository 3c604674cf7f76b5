"""A network in codes of 8 bits on wide targets: the same rows, one core.

    python benchmarks/wide_integers.py [--target NAME ...] [--compiler gcc|clang ...] [--numeric s8|s16 ...]
                                       [--rounds N] [--json FILE]

    pip install "aprgen[benchmarks]"     # scikit-learn

Work: mlp_a of wide_dense.py, a network 100-256-256-256-10, 1,000 rows: all at once (batch), and one by one (one) by the
function for one row, where microseconds are those of one row. The network is quantised with these rows and built with
the flags of the target; answers are compared with Program.run() bit by bit, edge rows included. WebAssembly runs in
node, after V8's optimising compiler has been there; "node --no-liftoff" never had another one. Beside stands the same
network in floats (f32). wide_runtimes.py has other runtimes.

The limit is measured in the same run, with the same compiler: multiplications of codes that are added up, in registers
alone. Its unit is 10^9 operations a second, a product and its addition counting as two. Status 1 when a bit differs.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from here import call_of, finish, one_core, report_file, toolchains_here, write_report
from numpy.typing import NDArray
from wide_dense import ROWS, Work, measured, names, work_of
from wide_limits import built

from aprgen.core import INTEGER_MODES, runtime_headers
from aprgen.emit import emit_model
from aprgen.errors import ToolchainError
from aprgen.ops.wide_integers import DensePanels
from aprgen.passes.quantise import quantise
from aprgen.passes.wide_floats import with_float_blocks
from aprgen.passes.wide_integers import with_integer_blocks
from aprgen.program import Program
from aprgen.rows import edge_rows
from aprgen.target import Target, load_target
from aprgen.toolchain import Toolchain, Unit, compile_support, compile_units, find_toolchain, link
from aprgen.verify import same_bits

SCHEMA = "aprgen.benchmarks.wide_integers"
VERSION = 1
TARGETS = ("x86-avx512-vnni", "x86-avx512", "x86-avx2", "wasm")
EDGES = 1000
ROUNDS = 30
LIMIT_STEPS = 20_000
GOAL_SHARE, GOAL_ONE, GOAL_BATCH = 0.90, 1.0, 500.0  # of the limit; microseconds: of a row, of all rows

_Floats = NDArray[np.float32]
Call = Callable[[], Any]


@dataclass(frozen=True)
class Figure:
    """Microseconds, of all rows (batch) or of one. limit: 10^9 operations a second that the same compiler reached."""

    work: str
    tool: str
    target: str
    numeric: str
    least: float
    median: float
    gops: float
    exact: bool | None
    limit: float | None = None
    of_limit: float | None = None


_ONE = """
#include "m.h"
void one_by_one(const float *x, size_t n_rows, float *out);
void one_by_one(const float *x, size_t n_rows, float *out)
{
    for (size_t row = 0U; row < n_rows; ++row) {
        %(call)s
    }
}
"""
_LIMIT = """
#include "apr_sums.h"
int32_t limit(uint32_t n);
int32_t limit(uint32_t n)
{
    const apr_codes x = (apr_codes)apr_sums_all((int32_t)n);
    %(begin)s
    for (uint32_t i = 0U; i < n; ++i) {
        %(steps)s
    }
    int32_t out[16];
    apr_sums_store_i32(out, %(total)s);
    return out[0];
}
"""
_WASM = """
static float x[%(rows)d * M_N_FEATURES] __attribute__((aligned(16)));
static float out[%(rows)d * M_N_OUTPUTS] __attribute__((aligned(16)));
float *bench_x(void);
float *bench_x(void) { return x; }
float *bench_out(void);
float *bench_out(void) { return out; }
uint32_t bench_out_bytes(void);
uint32_t bench_out_bytes(void) { return (uint32_t)sizeof out; }
void bench_batch(void);
void bench_batch(void) { m_predict_batch(x, %(rows)dU, out); }
void bench_one(void);
void bench_one(void) { one_by_one(x, %(rows)dU, out); }
"""
_EXPORTS = ("bench_x", "bench_out", "bench_out_bytes", "bench_batch", "bench_one", "limit")


def one_text(numeric: str) -> str:
    """Floats have tiles in the function for blocks only."""
    row = "&x[row * M_N_FEATURES]", "&out[row * M_N_OUTPUTS]"
    call = "m_predict_batch({0}, 1U, {1});" if numeric == "f32" else "m_scores({0}, {1});"
    return _ONE % {"call": call.format(*row)}


def limit_text(panels: DensePanels) -> str:
    """Sums that are multiplied themselves, so that no compiler takes a step out of the loop, by what it does not
    know. As many as hide how long a product takes."""
    n, element = limit_sums(panels), panels.lay.element
    begin = " ".join(f"apr_sums a{i} = apr_sums_all({i});" for i in range(n))
    steps = " ".join(f"a{i} = apr_sums_add_{element}(a{i}, (apr_codes)a{i}, x);" for i in range(n))
    total = "a0"
    for i in range(1, n):
        total = f"apr_sums_plus({total}, a{i})"
    return _LIMIT % {"begin": begin, "steps": steps, "total": total}


@dataclass(frozen=True, eq=False)
class Built:
    """A program on a target: a network in codes, or in floats."""

    tool: str
    target: str
    numeric: str
    batch: Call
    one: Call
    exact: bool
    limit: float | None


def in_blocks(work: Work, numeric: str, target: Target) -> Program:
    if numeric == "f32":
        return with_float_blocks(work.program, target.batch, target.has_kernel)
    program = quantise(work.program, work.rows, INTEGER_MODES[numeric]).program
    return with_integer_blocks(program, target.batch, target.has_kernel)


def texts_of(program: Program, target: Target, numeric: str, extra: str) -> dict[str, str]:
    texts = emit_model(program, names(target, numeric), target.templates)
    texts["m.c"] += extra
    return texts | runtime_headers(texts["m.c"], target)


def first_panels(program: Program) -> DensePanels | None:
    return next((step.op for step in program.steps if isinstance(step.op, DensePanels)), None)


def limit_sums(panels: DensePanels) -> int:
    return 12 if panels.width > 4 else 10


def gops(panels: DensePanels, microseconds: float) -> float:
    return 2 * limit_sums(panels) * panels.width * panels.lay.step * LIMIT_STEPS / microseconds / 1e3


def peak(target: Target, toolchain: Toolchain) -> float | None:
    """GOP/s of products of codes of 8 bits in registers; None: the target has no kernels for them."""
    panels = first_panels(in_blocks(work_of("mlp_a"), "s8", target))
    if panels is None:
        return None
    text = limit_text(panels)
    return limit_of(built({"limit.c": text} | runtime_headers(text, target), "limit.c", toolchain), panels)


def limit_of(library: ctypes.CDLL, panels: DensePanels) -> float:
    steps = ctypes.c_uint32(LIMIT_STEPS)
    return gops(panels, min(min(one) for one in measured([lambda: library.limit(steps)], 15)))


def native(work: Work, numeric: str, target: Target, toolchain: Toolchain) -> Built:
    program = in_blocks(work, numeric, target)
    panels = first_panels(program)
    extra = one_text(numeric) + ("" if panels is None else limit_text(panels))
    library = built(texts_of(program, target, numeric, extra), "m.c", toolchain)
    edges = np.ascontiguousarray(np.concatenate([edge_rows(program, EDGES).values, work.rows]))
    wanted = program.run(edges)
    exact = True
    for function in (library.m_predict_batch, library.one_by_one):
        found = call_of(function, edges, np.zeros((len(edges), program.n_outputs), np.float32))()
        exact = exact and bool(same_bits(found, wanted).all())
    out = np.zeros((ROWS, program.n_outputs), np.float32)
    calls = [call_of(function, work.rows, out) for function in (library.m_predict_batch, library.one_by_one)]
    limit = None if panels is None else limit_of(library, panels)
    return Built(f"aprgen {toolchain.rule.name}", target.name, numeric, calls[0], calls[1], exact, limit)


def in_node(work: Work, numeric: str, target: Target, toolchain: Toolchain, rounds: int) -> list[Figure]:
    """The same as a module, in node as it comes and with the optimising compiler from the start."""
    program = in_blocks(work, numeric, target)
    panels = first_panels(program)
    node = shutil.which("node")
    if node is None or panels is None:
        print(f"wasm: {'node is not on PATH' if node is None else 'no kernels for ' + numeric}", flush=True)
        return []
    figures = []
    extra = one_text(numeric) + limit_text(panels) + _WASM % {"rows": ROWS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in texts_of(program, target, numeric, extra).items():
            (folder / file).write_text(text, encoding="utf-8")
        compile_units(toolchain, [Unit(folder / "m.c", folder / "m.o", (), (folder,))], folder)
        support = compile_support(toolchain, target.support, (), folder)
        link(toolchain, [folder / "m.o", *support], folder / "m.wasm", keep=_EXPORTS, work=folder)
        (folder / "x.bin").write_bytes(work.rows.tobytes())
        script = str(Path(__file__).with_suffix(".mjs"))
        for words in ((), ("--no-liftoff",)):
            command = [node, *words, script, "m.wasm", str(3 * rounds), str(LIMIT_STEPS)]
            done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=300)
            times: dict[str, list[float]] = json.loads(done.stdout)
            found = np.frombuffer((folder / "out.bin").read_bytes(), np.float32).reshape(ROWS, -1)
            exact = bool(same_bits(found, program.run(work.rows)).all())
            tool = " ".join(["aprgen", toolchain.rule.name, "node", *words])
            for form in ("batch", "one"):
                limit = gops(panels, min(times["limit"]))
                figures.append(_figure(work, form, tool, target.name, numeric, times[form], exact, limit))
    return figures


def _figure(
    work: Work, form: str, tool: str, target: str, numeric: str, times: Sequence[float], exact: bool | None,
    limit: float | None,
) -> Figure:  # fmt: skip
    """times: of all rows."""
    rows = ROWS if form == "one" else 1
    least = min(times)
    rate = work.flops * ROWS / least / 1e3
    share = None if limit is None else rate / limit
    median = statistics.median(times)
    return Figure(form, tool, target, numeric, least / rows, median / rows, rate, exact, limit, share)


# The run.


def line(one: Figure) -> str:
    state = {True: "exact", False: "DIFFERS", None: ""}[one.exact]
    share = "" if one.of_limit is None or one.limit is None else f"{one.of_limit:4.0%} of {one.limit:,.0f}"
    return (
        f"{one.work:5} {one.tool:29} {one.target:15} {one.numeric:4} {one.least:9,.2f} us {one.median:9,.2f} median "
        f"{one.gops:7,.0f} Gop/s  {state:7} {share}"
    ).rstrip()


def goals(found: Sequence[Figure]) -> list[str]:
    """Where the codes of 8 bits stand, on the target with the most operations."""
    own = [one for one in found if one.numeric == "s8" and one.target == "x86-avx512-vnni" and one.of_limit]
    lines = []
    for form, what, goal in (("batch", "share of the limit", GOAL_SHARE), ("batch", "us, all rows", GOAL_BATCH),
                             ("one", "us, one row", GOAL_ONE)):  # fmt: skip
        for one in (one for one in own if one.work == form):
            value = one.of_limit if what.startswith("share") else one.least
            assert value is not None
            met = value >= goal if what.startswith("share") else value <= goal
            lines.append(f"goal {goal:g} ({what}): {one.tool} {value:.2f}: {'met' if met else 'missed'}")
    return lines


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/wide_integers.py", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--target", nargs="+", default=list(TARGETS))
    parser.add_argument("--compiler", nargs="+", choices=("gcc", "clang"), default=["gcc", "clang"])
    parser.add_argument("--numeric", nargs="+", choices=("s8", "s16"), default=["s8", "s16"])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=report_file)
    given = parser.parse_args(words)
    with one_core():
        found = _run(given)
    for one in found:
        print(line(one), flush=True)
    for text in goals(found):
        print(text, flush=True)
    write_report(given.json, SCHEMA, VERSION, [asdict(one) for one in found], rows=ROWS, rounds=given.rounds)
    return 1 if any(one.exact is False for one in found) else 0


def _run(given: argparse.Namespace) -> list[Figure]:
    work = work_of("mlp_a")
    natives = [name for name in given.target if load_target(name).image == "elf"]
    ready = [
        native(work, numeric, target, toolchain)
        for target, toolchain in toolchains_here(natives, given.compiler)
        for numeric in (*given.numeric, "f32")
    ]
    found: list[Figure] = []
    for form in ("batch", "one"):
        calls = [one.batch if form == "batch" else one.one for one in ready]
        times = measured(calls, given.rounds)
        for own, taken in zip(ready, times, strict=True):
            found.append(_figure(work, form, own.tool, own.target, own.numeric, taken, own.exact, own.limit))
    for name in given.target:
        target = load_target(name)
        if target.image == "wasm":
            try:
                toolchain = find_toolchain(target)
            except ToolchainError as error:
                print(f"{name}: {error.what}", flush=True)
                continue
            for numeric in given.numeric:
                found += in_node(work, numeric, target, toolchain, given.rounds)
    return sorted(found, key=lambda one: (one.work, one.least))


if __name__ == "__main__":
    sys.exit(finish(main))
