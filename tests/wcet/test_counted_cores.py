"""Cores on which instructions are counted: fixtures and random programs, bounded and never contradicted, or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aprgen.errors import UnsupportedError
from aprgen.image import build_image
from aprgen.resources import folder
from aprgen.runners.choose import runner_for
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain
from aprgen.wcet import schema
from aprgen.wcet.analyse import Question, analyse
from aprgen.wcet.bounds import bound_program
from aprgen.wcet.cfg import build_graphs
from aprgen.wcet.code import Code
from aprgen.wcet.graph import Graph
from aprgen.wcet.isa import loop_bounds, read_program
from aprgen.wcet.marks import read_marks
from aprgen.wcet.memory import Memory
from aprgen.wcet.report import document
from aprgen.wcet.stack import stack_bound
from aprgen.wcet.timing import counting
from tests.examples import TEXTS, artifact, loaded
from tests.wcet.programs import FACTS, HEADER, program_rows, random_program

TARGETS = ("host", "x86-avx2", "x86-avx512", "arm-neon", "wasm")
# Loops whose repetitions fall as outer ones go on are bounded by their largest, each time.
LOOSE = {"knn_euclidean": 3.0, "tfidf": 1.7}
MOST_SPARE = 4  # instructions, for functions that have hardly any
# A loop that ends by what it has found, not by a counter, bounds nothing without a mark.
UNMARKED = ("knn_euclidean",)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["gbm", "gmm", "kmeans", "knn_euclidean", "rfc", "tfidf", "v2_mlp_q8"])
def test_fixture(
    name: str, target: str, require_target: Callable[[str], None], require_tool: Callable[[str], None]
) -> None:
    """The bound of instructions holds in every run; it is at most 15 percent over the largest, with few exceptions."""
    require_target(target)
    for module in ("scipy", "capstone"):
        require_tool(module)
    length = 40 if name in TEXTS else None
    question = Question(rows=10, model_file=f"{name}.apr", witness_seconds=0, text_bytes=length)
    report = analyse(loaded(name), artifact(name, target), question).report

    assert () == schema.faults(document(report))
    assert () == report.violations
    if target == "wasm" and name in (*TEXTS, *UNMARKED):
        assert {"wcet.loop"} == {e.refusal.code for e in report.entries if e.refusal is not None}
        return
    assert "instruction-count" == report.verdict.status
    for entry in report.entries:
        assert entry.stack is not None
        assert entry.stack.painted is None or entry.stack.painted <= entry.stack.bytes
        if entry.observed is None:
            assert "_predict" in entry.function  # the harness calls what has no checks
            continue
        most, highest = entry.counts[0].at_most, entry.observed.high_maximum
        assert "instructions" == entry.counts[0].measure
        assert highest <= most <= max(LOOSE.get(name, 1.15) * highest, highest + MOST_SPARE)


@pytest.mark.parametrize("target", ["host", "arm-neon", "wasm"])
@pytest.mark.parametrize("level", ["-O1", "-O2", "-O3"])
@pytest.mark.parametrize("seed", [1, 3])
def test_random_program(
    seed: int, level: str, target: str, tmp_path: Path, require_target: Callable[[str], None],
    require_tool: Callable[[str], None],
) -> None:  # fmt: skip
    """No run of a program with loops, branches, exits and calls executes more than its bound, or writes more stack;
    where nothing marks loops, those that data ends are refused."""
    require_target(target)
    for module in ("scipy", "capstone"):
        require_tool(module)
    program = random_program(seed)
    found = load_target(target)
    toolchain = find_toolchain(found, "system")
    cflags = tuple(level if flag == "-O2" else flag for flag in toolchain.rule.cflags)
    sources = {
        "brake.h": HEADER, "brake.c": program.source,
        "apr_mark.h": (folder("runtime_c") / "apr_mark.h").read_text(encoding="utf-8"),
    }  # fmt: skip
    chosen = replace(toolchain, rule=replace(toolchain.rule, cflags=cflags))
    image = build_image(found, chosen, sources, FACTS, tmp_path, marks=found.image == "elf")
    code = read_program(image.program)
    graphs = build_graphs(code, ["brake_scores"])
    marks = read_marks(image.program) if found.image == "elf" else ()
    timing = counting(target, "instructions")
    if target == "wasm" and not _has_counters(code, graphs):
        with pytest.raises(UnsupportedError) as caught:
            bound_program(code, graphs, "brake_scores", marks, timing, Memory(0, 4))
        assert "wcet.loop" == caught.value.code
        return
    bound = bound_program(code, graphs, "brake_scores", marks, timing, Memory(0, 4))
    execution = runner_for(found).run(image, np.concatenate([program_rows(40, seed), np.ones((1, 4), np.float32)]))
    counts = execution.instructions["scores"].values

    assert len(counts) >= 10
    assert int(counts.max()) <= bound.cycles
    assert bound.best <= int(counts.min()) + 1  # of a module the empty function's end is taken off
    assert execution.stack_bytes["scores"] <= stack_bound(graphs, "brake_scores").total_bytes


def _has_counters(code: Code, graphs: Mapping[str, Graph]) -> bool:
    try:
        return all(len(loop_bounds(code, graph)) == len(graph.loops) for graph in graphs.values())
    except UnsupportedError:
        return False
