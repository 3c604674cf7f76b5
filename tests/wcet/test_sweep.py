"""The sweep over random programs finds nothing in a few of them, and finds what is planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aprgen.image import Image
from aprgen.wcet.bounds import Program, bound_program
from aprgen.wcet.cfg import build_graphs
from aprgen.wcet.code import read_code
from aprgen.wcet.marks import read_marks
from aprgen.wcet.memory import Memory
from aprgen.wcet.timing import Cycles, load_timing
from tests.wcet import sweep
from tests.wcet.every_path import longest_path
from tests.wcet.programs import random_program
from tests.wcet.sweep import ENTRY, MEMORIES, Tally, check
from tests.wcet.test_random_programs import FIXED

ROWS = 60


@pytest.fixture(autouse=True)
def _tools(require_tool: Callable[[str], None], require_target: Callable[[str], None]) -> None:
    for tool in ("qemu-system-arm", "capstone", "scipy", "gcc"):
        require_tool(tool)
    for core in sweep.CORES:
        require_target(core)


def _bounded(image: Image, core: str, memory: Memory) -> Program:
    code = read_code(image.program)
    graphs = build_graphs(code, [ENTRY])
    return bound_program(code, graphs, ENTRY, read_marks(image.program), load_timing(core), memory)


def test_bounds_are_the_longest_paths() -> None:
    """One program of each core and level: its runs keep the bound, and its longest path takes exactly that."""
    tallies = sweep.sweep(16, 2, ROWS, progress=False)

    assert [] == [text for one in tallies for text in one.failures]
    assert {1} == {one.programs for one in tallies}
    assert 20 < sum(one.walked for one in tallies)
    assert [one.walked for one in tallies] == [one.equal for one in tallies]


@pytest.mark.parametrize(("seed", "core"), [(1198, "cortex-m4"), (1227, "cortex-m33"), (1244, "cortex-m0plus")])
def test_marks_that_branches_jump_over(seed: int, core: str, tmp_path: Path) -> None:
    """Unrolled loops whose last branch leads behind nothing but a mark keep their promises."""
    tally = Tally(core, "-O3")
    check(seed, core, "-O3", 300, tmp_path, tally)

    assert [] == tally.failures


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m4"])
@pytest.mark.parametrize("memory", MEMORIES)
def test_every_path_of_fixed_loops(core: str, memory: Memory, tmp_path: Path) -> None:
    """Where loops always run to their end, the longest path costs what the analysis says and one repetition more does
    not fit."""
    source = FIXED.replace("sum += x[k] * (float)i", "n += i ^ k").replace("float sum = 0.0f", "uint32_t n = 0U")
    source = source.replace("out[0] = sum", "out[0] = (n == 7U) ? x[0] : x[1]")
    program = _bounded(replace(random_program(0), source=source).build(core, "-Os", tmp_path), core, memory)
    one = program.functions[ENTRY]
    more = tuple(replace(fact, bound=fact.bound + 1) for fact in one.facts)
    arguments = (load_timing(core), memory)

    assert {3, 5} == {fact.bound for fact in one.facts}
    assert program.cycles == longest_path(one.graph, one.facts, {}, *arguments)
    assert program.cycles < (longest_path(one.graph, more, {}, *arguments) or 0)


def test_a_bound_below_the_longest_path_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a cycle less for every branch in the bound, a program fails by its paths and by its runs."""
    timing = load_timing("cortex-m4")
    cheap = replace(timing, refill=Cycles(0, timing.refill.worst - 1))
    monkeypatch.setattr(
        sweep, "bound_program", lambda code, graphs, root, marks, _, memory: bound_program(
            code, graphs, root, marks, cheap, memory
        )
    )  # fmt: skip
    tally = Tally("cortex-m4", "-O2")
    check(4, "cortex-m4", "-O2", ROWS, tmp_path, tally)

    assert 2 == sum(f"a path of {ENTRY} takes" in text for text in tally.failures)


def test_a_bound_above_the_longest_path_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a cycle more for all arithmetic in the bound, it is not what the longest path takes."""
    timing = load_timing("cortex-m4")
    dear = replace(timing, rows={**timing.rows, "alu": replace(timing.rows["alu"], cycles=Cycles(1, 2))})
    monkeypatch.setattr(
        sweep, "bound_program", lambda code, graphs, root, marks, _, memory: bound_program(
            code, graphs, root, marks, dear, memory
        )
    )  # fmt: skip
    tally = Tally("cortex-m4", "-O2")
    check(4, "cortex-m4", "-O2", ROWS, tmp_path, tally)

    assert (0, []) == (tally.equal, tally.failures)
    assert 0 < tally.walked
    assert 1.0 < tally.above


def test_too_many_ways_are_not_walked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A function with more ways than the limit is counted as large and gives no figure."""
    monkeypatch.setattr("tests.wcet.every_path.MOST_STATES", 3)
    tally = Tally("cortex-m4", "-O2")
    check(4, "cortex-m4", "-O2", ROWS, tmp_path, tally)

    assert [] == tally.failures
    assert 4 == tally.large


def test_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The command prints a line per core and level, the sum, and writes the figures."""
    file = tmp_path / "sweep.json"

    assert 0 == sweep.main(["--programs", "1", "--first", "4", "--rows", "10", "--json", str(file)])
    assert "1 programs, 20 costed runs" in capsys.readouterr().out
    assert file.is_file()
