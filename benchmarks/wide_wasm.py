"""Models for blocks of rows on WebAssembly SIMD128: under node with its default tiers, under node with optimised code
from the start, and under wasmtime.

    python benchmarks/wide_wasm.py [--work NAME ...] [--engine NAME ...] [--compiler clang|zig] [--rounds N]
                                   [--json FILE]

    pip install "aprgen[benchmarks]" wasmtime     # the libraries that train, and an engine

Work, 1,000 rows each: mlp_a, a network 100-256-256-256-10; km10, the distances to 10 centroids of 100 columns; lin100,
a linear model of 100 columns (wide_dense.py has these); gbt20 and rf20, forests of 100 trees with 20 features, of depth
6 and 10 (of wide.py); knn, knn_iris, bayes, softmax and scaler (of wide_points.py).

Answers are compared with Program.run() bit by bit. Beside each figure stands the share of the limit: what the same
engine reaches in the same run with products that are added, or squares of differences, whose second operands stay in
registers. node starts in its baseline compiler: `first` is the first call of all, `least` of the calls after half a
second of them. Status 1 when a bit differs.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from convert import program_of
from here import finish, report_file, write_report
from numpy.typing import NDArray

from aprgen import __version__
from aprgen.core import runtime_headers
from aprgen.emit import Names, emit_model
from aprgen.errors import ToolchainError
from aprgen.passes.packing import pack_weights
from aprgen.passes.strategy import choose_strategies
from aprgen.passes.tree_sums import with_totals
from aprgen.passes.wide_floats import with_float_blocks
from aprgen.passes.wide_steps import with_block_steps
from aprgen.passes.wide_trees import with_batch
from aprgen.program import Program
from aprgen.rows import edge_rows
from aprgen.target import Target, load_target
from aprgen.toolchain import Toolchain, Unit, compile_support, compile_units, find_toolchain, link
from aprgen.verify import same_bits

SCHEMA = "aprgen.benchmarks.wide_wasm"
VERSION = 1
POINTS = ("knn", "knn_iris", "bayes", "softmax", "scaler")
WORKS = ("mlp_a", "km10", "lin100", "gbt20", "rf20", *POINTS)
DENSE = {"mlp_a": "products", "km10": "squares", "lin100": "products"}  # which limit holds
ENGINES = ("node", "node --no-liftoff", "wasmtime")
ROWS = 1000
ROUNDS = 15
SETTLED = 0.5  # seconds of calls, after which node has compiled again what is called often
LIMIT_STEPS = 400_000
EACH = 2000  # rows one by one in a call
LIMIT_OPERATIONS = {"products": 2 * 8, "squares": 3 * 8}  # vectors of a step

_Floats = NDArray[np.float32]

# Of onnxruntime-web on another day, with node --no-liftoff, on two cores of a Zen 5: microseconds for 1,000 rows. They
# are recorded, not measured in this run.
RECORDED = {"mlp_a": 11_600.0, "km10": 137.0, "lin100": 101.0, "gbt20": 2_550.0, "rf20": 4_980.0}


@dataclass(frozen=True, eq=False)
class Work:
    """flops: of a row, as those count who add the product of each weight; 0: of others."""

    name: str
    program: Program
    planned: Program
    rows: _Floats
    flops: int


@dataclass(frozen=True)
class Figure:
    """Microseconds for all rows: of the first call, and of calls when they have settled; and of one row at a time by
    the functions for blocks and for a row. gflops and limits: of one core."""

    work: str
    engine: str
    compiler: str
    exact: bool
    first: float
    least: float
    median: float
    one_row: float
    one_row_alone: float
    gflops: float
    limits: dict[str, float]
    of_limit: float | None
    of_recorded: float | None
    module_bytes: int
    kernels: tuple[str, ...]


def work_of(name: str, target: Target) -> Work:
    if name in DENSE:
        dense = importlib.import_module("wide_dense").work_of(name)
        planned = with_float_blocks(dense.program, target.batch, target.has_kernel)
        return Work(name, dense.program, planned, dense.rows, dense.flops)
    if name in POINTS:
        points = importlib.import_module("wide_points").MAKERS[name]()
        planned = with_float_blocks(points.program, target.batch, target.has_kernel)
        planned = with_block_steps(planned, target.batch, target.has_kernel)
        return Work(name, points.program, planned, points.rows, 0)
    trained = importlib.import_module("wide").train(name)
    program = program_of(trained.estimator)
    summed = with_totals(program, target.cost)
    chosen = pack_weights(choose_strategies(summed, target.cost), target.weights)
    return Work(name, program, with_batch(chosen, summed, target.batch), trained.rows, 0)


# The module.

_CALLS = """
#include "m.h"

#define EXPORT(name) __attribute__((export_name(#name))) name
#define N_ROWS {n_rows}U

static float rows[N_ROWS * M_N_FEATURES] __attribute__((aligned(64)));
static float scores[N_ROWS * M_N_OUTPUTS] __attribute__((aligned(64)));
float *EXPORT(apr_rows)(void);
float *EXPORT(apr_scores)(void);
void EXPORT(apr_batch)(uint32_t times);
void EXPORT(apr_each)(uint32_t times);
void EXPORT(apr_alone_each)(uint32_t times);

float *apr_rows(void)
{{
    return rows;
}}

float *apr_scores(void)
{{
    return scores;
}}

void apr_batch(uint32_t times)
{{
    for (uint32_t i = 0U; i < times; ++i) {{
        m_predict_batch(rows, N_ROWS, scores);
    }}
}}

void apr_each(uint32_t times)
{{
    for (uint32_t i = 0U; i < times; ++i) {{
        m_predict_batch(&rows[(i % N_ROWS) * M_N_FEATURES], 1U, scores);
    }}
}}

void apr_alone_each(uint32_t times)
{{
    for (uint32_t i = 0U; i < times; ++i) {{
        m_scores(&rows[(i % N_ROWS) * M_N_FEATURES], scores);
    }}
}}
"""

# Two rows of four vectors: 8 sums, 4 vectors that stay, and a value of each row that is loaded. Values change in every
# step, and the compiler does not know them, or products would be found to come again.
_LIMITS = """
#include "apr_floats.h"

float apr_values[48] APR_LINES;

#define STEPS(name, STEP) \\
    __attribute__((export_name("apr_" #name))) float name(uint32_t n); \\
    float name(uint32_t n) \\
    { \\
        const apr_floats p0 = apr_floats_load(&apr_values[32]), p1 = apr_floats_load(&apr_values[36]); \\
        const apr_floats p2 = apr_floats_load(&apr_values[40]), p3 = apr_floats_load(&apr_values[44]); \\
        apr_floats a0 = p0, a1 = p0, a2 = p0, a3 = p0, b0 = p1, b1 = p1, b2 = p1, b3 = p1; \\
        for (uint32_t i = 0U; i < n; ++i) { \\
            const float *const own = &apr_values[i % 16U]; \\
            const apr_floats x = apr_floats_all(own[0]), y = apr_floats_all(own[16]); \\
            a0 = STEP(a0, x, p0); \\
            a1 = STEP(a1, x, p1); \\
            a2 = STEP(a2, x, p2); \\
            a3 = STEP(a3, x, p3); \\
            b0 = STEP(b0, y, p0); \\
            b1 = STEP(b1, y, p1); \\
            b2 = STEP(b2, y, p2); \\
            b3 = STEP(b3, y, p3); \\
        } \\
        a0 = apr_floats_add(apr_floats_add(a0, a1), apr_floats_add(a2, a3)); \\
        b0 = apr_floats_add(apr_floats_add(b0, b1), apr_floats_add(b2, b3)); \\
        float sums[4]; \\
        apr_floats_store(sums, apr_floats_add(a0, b0)); \\
        return sums[0]; \\
    }
STEPS(products, apr_floats_add_product)
STEPS(squares, apr_floats_add_square)
"""


def module_of(work: Work, target: Target, toolchain: Toolchain, folder: Path) -> Path:
    """The model with calls that an engine makes, and the loops that show the limits."""
    names = Names(
        name="m", summary=work.name, outputs="scores", command="benchmarks/wide_wasm.py", model_sha256="",
        target=target.name, target_sha256="", signer="none", numeric="f32", flags="", version=__version__,
        float_header=target.float_header,
    )  # fmt: skip
    texts = emit_model(work.planned, names, target.templates)
    texts |= {"calls.c": _CALLS.format(n_rows=ROWS), "limits.c": _LIMITS}
    texts |= runtime_headers(texts["m.c"], target) | runtime_headers(_LIMITS, target)
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    units = [Unit(folder / f"{name}.c", folder / f"{name}.o", (), (folder,)) for name in ("m", "calls", "limits")]
    compile_units(toolchain, units, folder)
    support = compile_support(toolchain, target.support, (), folder)
    out = folder / "m.wasm"
    link(toolchain, [*(unit.out for unit in units), *support], out, work=folder)
    return out


# Engines.


@dataclass(frozen=True, eq=False)
class Said:
    """Answers of all rows given, and microseconds: of calls, and of one row of each call."""

    scores: _Floats
    first: float
    batch: list[float]
    one: list[float]
    alone: list[float]
    limits: dict[str, list[float]]


_SCRIPT = """
import { readFileSync, writeFileSync } from 'node:fs';
const { rounds, rowBytes, scoreBytes, nBlocks, settled, times, eachTimes, steps } = JSON.parse(process.argv[2]);
const { instance } = await WebAssembly.instantiate(readFileSync('m.wasm'), {});
const of = instance.exports;
const input = readFileSync('in.bin');
const clock = (call, argument) => {
  const began = performance.now();
  call(argument);
  return (performance.now() - began) * 1e3;
};
const settle = (call, argument) => {
  const until = performance.now() + settled * 1e3;
  while (performance.now() < until) call(argument);
};
const pause = () => new Promise((done) => setTimeout(done, 20)); // code that is ready is taken in between
const answers = [];
let first = 0;
for (let block = nBlocks - 1; block >= 0; --block) {
  const own = input.subarray(block * rowBytes, (block + 1) * rowBytes);
  new Uint8Array(of.memory.buffer).set(own, of.apr_rows());
  const took = clock(of.apr_batch, 1);
  if (first === 0) first = took;
  answers.unshift(Buffer.from(new Uint8Array(of.memory.buffer, of.apr_scores(), scoreBytes).slice()));
}
writeFileSync('out.bin', Buffer.concat(answers));
const kinds = { batch: [of.apr_batch, times], one: [of.apr_each, eachTimes], alone: [of.apr_alone_each, eachTimes],
                products: [of.apr_products, steps], squares: [of.apr_squares, steps] };
const found = {};
for (const [name, [call, argument]] of Object.entries(kinds)) {
  settle(call, argument);
  found[name] = [];
}
for (let round = 0; round < rounds; ++round) {
  await pause();
  for (const [name, [call, argument]] of Object.entries(kinds)) {
    call(argument);
    for (let i = 0; i < 3; ++i) found[name].push(clock(call, argument) / argument);
  }
}
console.log(JSON.stringify({ first, ...found }));
"""


def by_node(words: Sequence[str], work: Work, rows: _Floats, rounds: int, folder: Path) -> Said:
    (folder / "in.bin").write_bytes(rows.tobytes())
    (folder / "run.mjs").write_text(_SCRIPT, encoding="utf-8")
    given = {
        "rounds": rounds, "rowBytes": 4 * ROWS * rows.shape[1], "scoreBytes": 4 * ROWS * work.planned.n_outputs,
        "nBlocks": len(rows) // ROWS, "settled": SETTLED, "times": _times(work), "eachTimes": EACH,
        "steps": LIMIT_STEPS,
    }  # fmt: skip
    done = subprocess.run(
        [*words, "run.mjs", json.dumps(given)], cwd=folder, check=True, capture_output=True, text=True, timeout=600
    )
    found = json.loads(done.stdout)
    scores = np.frombuffer((folder / "out.bin").read_bytes(), np.float32).reshape(len(rows), -1)
    limits = {name: found[name] for name in LIMIT_OPERATIONS}
    return Said(scores, found["first"], found["batch"], found["one"], found["alone"], limits)


def by_wasmtime(work: Work, rows: _Floats, rounds: int, folder: Path) -> Said:
    wasmtime = importlib.import_module("wasmtime")
    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    module = wasmtime.Module(engine, (folder / "m.wasm").read_bytes())
    exports = wasmtime.Instance(store, module, []).exports(store)
    memory = exports["memory"]
    at_rows, at_scores = exports["apr_rows"](store), exports["apr_scores"](store)

    def clock(name: str, argument: int) -> float:
        function = exports[name]
        began = time.perf_counter()
        function(store, argument)
        return (time.perf_counter() - began) * 1e6

    answers, first = [], 0.0
    for block in reversed(rows.reshape(-1, ROWS, rows.shape[1])):
        memory.write(store, block.tobytes(), at_rows)
        took = clock("apr_batch", 1)
        first = first or took
        answers.append(bytes(memory.read(store, at_scores, at_scores + 4 * ROWS * work.planned.n_outputs)))
    kinds = {
        "batch": ("apr_batch", _times(work)), "one": ("apr_each", EACH), "alone": ("apr_alone_each", EACH),
        **{name: (f"apr_{name}", LIMIT_STEPS) for name in LIMIT_OPERATIONS},
    }  # fmt: skip
    found: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, (function, argument) in kinds.items():
            clock(function, argument)
            found[name] += [clock(function, argument) / argument for _ in range(3)]
    scores = np.frombuffer(b"".join(reversed(answers)), np.float32).reshape(len(rows), -1)
    limits = {name: found[name] for name in LIMIT_OPERATIONS}
    return Said(scores, first, found["batch"], found["one"], found["alone"], limits)


def _times(work: Work) -> int:
    """Batches of one call, so that the call itself and the clock count for little."""
    return 1 if work.name in ("mlp_a", "rf20", "gbt20") else 20


def missing(engine: str) -> str:
    """Why the engine cannot be used here; empty when it can."""
    if engine == "wasmtime":
        return "" if importlib.util.find_spec("wasmtime") else "the Python package wasmtime is not installed"
    return "" if shutil.which("node") else "node is not on PATH"


def figure(work: Work, engine: str, toolchain: Toolchain, module: Path, rounds: int) -> Figure:
    edges = edge_rows(work.program, ROWS).values[:ROWS]
    rows = np.ascontiguousarray(np.concatenate([work.rows, np.resize(edges, work.rows.shape)]))
    folder = module.parent
    if engine == "wasmtime":
        said = by_wasmtime(work, rows, rounds, folder)
    else:
        said = by_node(engine.split(), work, rows, rounds, folder)
    exact = bool(same_bits(said.scores, work.program.run(rows)).all())
    least = min(said.batch)
    limits = {
        name: 4 * operations / min(said.limits[name]) / 1e3 for name, operations in LIMIT_OPERATIONS.items()
    }  # fmt: skip
    gflops = work.flops * ROWS / least / 1e3
    return Figure(
        work.name, engine, toolchain.rule.name, exact, said.first, least, statistics.median(said.batch),
        min(said.one), min(said.alone), gflops, limits, gflops / limits[DENSE[work.name]] if work.flops else None,
        RECORDED[work.name] / least if work.name in RECORDED else None, module.stat().st_size,
        tuple(work.planned.steps[index].op.kernel for index in work.planned.in_code()),
    )  # fmt: skip


def line(one: Figure) -> str:
    share = "" if one.of_limit is None else f"{one.of_limit:4.0%} of the limit, "
    recorded = "" if one.of_recorded is None else f"{one.of_recorded:.1f}x onnxruntime-web as recorded"
    return (
        f"{one.work:7} {one.engine:17} {one.compiler:5} {one.least:9,.1f} us {one.median:9,.1f} median "
        f"{one.first:9,.0f} first {one.one_row:7.2f} a row ({one.one_row_alone:.2f} alone)  "
        f"{'exact' if one.exact else 'DIFFERS':7} {share}{recorded}"
    )


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/wide_wasm.py", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--work", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--engine", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--compiler", default="auto", help="clang or zig, as the target's file has them")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=report_file)
    given = parser.parse_args(words)
    target = load_target("wasm")
    try:
        toolchain = find_toolchain(target, given.compiler)
    except ToolchainError as error:
        parser.error(f"{error.what}; {error.hint}")
    found: list[Figure] = []
    engines: list[str] = []
    for engine in given.engine:
        why = missing(engine)
        if why:
            print(f"{engine}: {why}", flush=True)
        else:
            engines.append(engine)
    for name in given.work:
        work = work_of(name, target)
        with tempfile.TemporaryDirectory() as folder:
            module = module_of(work, target, toolchain, Path(folder))
            for engine in engines:
                found.append(figure(work, engine, toolchain, module, given.rounds))
                print(line(found[-1]), flush=True)
    for engine in engines:
        best = {name: max(one.limits[name] for one in found if one.engine == engine) for name in LIMIT_OPERATIONS}
        shown = ", ".join(f"{name} {number:,.1f}" for name, number in best.items())
        print(f"limits  {engine:17} {shown} GFLOP/s")
    facts = [asdict(one) for one in found]
    write_report(given.json, SCHEMA, VERSION, facts, rows=ROWS, rounds=given.rounds, recorded=RECORDED)
    return 1 if any(not one.exact for one in found) else 0


if __name__ == "__main__":
    sys.exit(finish(main))
