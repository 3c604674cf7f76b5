"""A timing report made by hand, whose numbers are easy to check, for the tests of what is made of it."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from typing import Any

from aprgen.wcet.load import FileSize, load_platform, load_time
from aprgen.wcet.report import (
    Assumption,
    Bar,
    Check,
    Configuration,
    Entry,
    Frame,
    FunctionRow,
    Identity,
    ListedInstruction,
    ListedLine,
    Listing,
    LoopRow,
    Memory,
    Observed,
    PathBlock,
    Refusal,
    Report,
    StackUse,
    Uncertainty,
    Witness,
    document,
)
from aprgen.wcet.taskset import parse_tasks, schedule
from aprgen.wcet.verdict import time_us, verdict_of

CONFIGURATION = Configuration(clock_mhz=100.0, wait_states=0, deadline_us=25.0, options={})
IDENTITY = Identity(
    tool_version="0.1.0",
    model="brake.apr",
    model_sha256="11" * 32,
    family="random forest",
    struct="RandomForestClassifier",
    name="brake",
    image_sha256="22" * 32,
    object_sha256="77" * 32,
    target="cortex-m4",
    target_sha256="33" * 32,
    core="cortex-m4",
    compiler="arm-none-eabi-gcc 12.2.1",
    flags=("-O2", "-mcpu=cortex-m4"),
    timing_sha256="44" * 32,
    analyser_sha256="55" * 32,
    command="aprgen wcet brake.apr --target cortex-m4 --clock-mhz 100 --deadline-us 25",
)
OBSERVED = Observed(
    runs=100,
    rows="edge rows and random rows",
    high_maximum=1_900,
    high_minimum=1_000,
    low_maximum=1_200,
    low_minimum=700,
    median=1_300,
    ratio=2_000 / 1_900,
    distribution=(Bar(1_000, 1_299, 60), Bar(1_300, 1_599, 0), Bar(1_600, 1_900, 40)),
    edges_run=38,
    edges=40,
    facts_checked=4,
    violations=(),
    worst_row=("0.5", "nan"),
)
SCORES = Entry(
    function="brake_scores",
    status="bound",
    cycles=2_000,
    best_cycles=600,
    time_us=time_us(2_000, 100.0),
    certificate="The bound was confirmed in exact arithmetic.",
    functions=(FunctionRow("brake_scores", 2_000, 2_000, 1.0, 1, 12, 2, 180),),
    loops=(LoopRow("trees", "brake_scores", 0x110, 10, "generator", "agrees", 10, 1_900),),
    path=(
        PathBlock("brake_scores", 0x110, 60, 1_500, 0.75, ("ldr r3, [r0]", "bne #0x110")),
        PathBlock("brake_scores", 0x100, 1, 500, 0.25, ("push {r4, lr}",)),
    ),
    listings=(
        Listing(
            "brake_scores", "brake.c", 2_000, 1.0,
            (
                ListedLine(41, "    for (uint32_t t = 0U; t < 10U; ++t) {", 60, 1_500, 0.75, (
                    ListedInstruction(0x110, "ldr r3, [r0]", 60, 900), ListedInstruction(0x112, "bne #0x110", 60, 600),
                )),
                ListedLine(42, "        /* walk <&> */", 0, 0, 0.0, ()),
                ListedLine(
                    43, "        sum += leaf;", 1, 500, 0.25, (ListedInstruction(0x100, "push {r4, lr}", 1, 500),)
                ),
            ),
        ),
    ),
    observed=OBSERVED,
    witness=Witness(("0.25", "nan"), True, 60, 60, "repetitions of the walk", 1_950, "aprgen run brake.apr"),
    uncertainty=Uncertainty(100, 700, 0),
    stack=StackUse(
        24, ("brake_scores",), (Frame("brake_scores", 24, 24, "agrees"), Frame("memcpy", 0, None, "none stated")), 20,
        108, 4,
    ),
)
REFUSED = Entry(
    function="brake_classify",
    status="refused",
    cycles=None,
    best_cycles=None,
    time_us=None,
    certificate="",
    refusal=Refusal("brake_classify", "wcet.loop", "a loop has no bound <&>", "0x00000200", "mark the loop"),
)
MEMORY = Memory(
    1_300, 0, 200, 1_100, 0, 0, 0, 1_000, 0, (Check("symbols of the linked image", "none of them", True),)
)
LOAD = load_time(FileSize(1 << 20, 2 << 20, True), load_platform("automotive-s32g"), Fraction(50_000))
TASKS = """priorities = "larger-first"
[[task]]
name = "tick"
interrupt = true
wcet_us = 2
period_us = 100
[[task]]
name = "brake"
function = "brake_scores"
period_us = 50
deadline_us = 40
priority = 1
"""
SCHEDULE = schedule(parse_tasks(TASKS.encode(), "tasks.toml"), {"brake_scores": Fraction(20)})
ASSUMPTIONS = (Assumption("No interrupt is taken.", "assumed", "the integrator adds them"),)


def report(*entries: Entry, configuration: Configuration = CONFIGURATION) -> Report:
    """Of those entries, or of the one that is bounded."""
    chosen = entries or (SCORES,)
    verdict = verdict_of(chosen, IDENTITY.core, configuration)
    return Report(verdict, IDENTITY, configuration, ASSUMPTIONS, chosen, MEMORY, "", LOAD, SCHEDULE)


def written(one: Report) -> dict[str, Any]:
    """What a reader of the JSON file gets."""
    found: dict[str, Any] = json.loads(json.dumps(document(one), allow_nan=False))
    return found


def violated() -> Entry:
    return replace(SCORES, observed=replace(OBSERVED, violations=("a run costs 2,001 cycles",)))
