"""Instruction counts: what stands in for cycles where no table of them exists, and that it is never called a time."""

from __future__ import annotations

import html
import json
import platform
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aprgen.cli import main
from aprgen.errors import UsageError
from aprgen.target import load_target
from aprgen.toolchain import Toolchain
from aprgen.wcet import bounds, counts, page, schema
from aprgen.wcet.analyse import Question, analyse
from aprgen.wcet.bounds import bound_program
from aprgen.wcet.cfg import build_graphs
from aprgen.wcet.code import Code
from aprgen.wcet.cores import core_of
from aprgen.wcet.decode import decode_slots
from aprgen.wcet.instruction import Instruction, Undecoded
from aprgen.wcet.ipet import Bound
from aprgen.wcet.memory import Memory
from aprgen.wcet.observed import median
from aprgen.wcet.report import Count, Report, document
from aprgen.wcet.timing import COUNTED, Cycles, Unit, base_cycles, context_cycles, counting
from aprgen.wcet.verdict import difference_to
from tests.examples import PATHS, artifact, loaded
from tests.wcet import marked
from tests.wcet.assembled import linked
from tests.wcet.reports import IDENTITY, SCORES, report
from tests.wcet.shapes import instruction
from tests.wcet.test_report import FORMER

MEASURES = ("instructions", "memory accesses", "loads", "stores", "bytes moved")
COUNTS = tuple(Count(measure, 90 - number, 3, 80 - number) for number, measure in enumerate(MEASURES))
COUNTED_ENTRY = replace(
    SCORES, status="instruction-count", cycles=None, best_cycles=None, time_us=None, uncertainty=None, counts=COUNTS
)


@pytest.fixture
def tools(require_target: Callable[[str], None], require_tool: Callable[[str], None]) -> Callable[[str], None]:
    def require(target: str) -> None:
        require_target(target)
        for module in ("scipy", "capstone", "unicorn"):
            require_tool(module)

    return require


@cache
def report_of(name: str, target: str) -> Report:
    return analyse(loaded(name), artifact(name, target), Question(rows=20, model_file="model.apr")).report


TARGETS = ("cortex-m7", "cortex-m55", "host", "x86-avx512", "arm-neon")
WIDEST = {"x86-avx512": 64}  # bytes of an access, where it is more than 16
UNTRACED = ("x86-avx512",)  # no emulator has it
STRAIGHT = {("linreg_scores", "cortex-m7"), ("linreg_scores", "cortex-m55")}  # no branch, no loop
HIDDEN_BYTES = {"host": 128 + 16, "x86-avx512": 128 + 16, "arm-neon": 48}  # of a frame, never written; the red zone


CASES = (
    *((name, target) for target in TARGETS[:2] for name in ("kmeans", "dtr", "rfc_digits", "knn_euclidean", "linreg")),
    *((name, target) for target in TARGETS[2:] for name in ("rfc", "linreg")),
)


@pytest.mark.parametrize(("name", "target"), CASES)
def test_counts(name: str, target: str, tools: Callable[[str], None]) -> None:
    """Every function has bounds of all measures, no run exceeds one, and nothing stands where cycles would."""
    tools(target)
    one = report_of(name, target)

    assert one.verdict.status == "instruction-count"
    assert one.violations == ()
    assert schema.faults(json.loads(json.dumps(document(one)))) == ()
    assert (one.verdict.cycles, one.verdict.time_us, one.verdict.margin_us) == (None, None, None)
    for entry in one.entries:
        made = {count.measure: count for count in entry.counts}
        assert tuple(made) == MEASURES
        assert (entry.cycles, entry.best_cycles, entry.time_us, entry.uncertainty) == (None, None, None, None)
        assert made["memory accesses"].at_most <= made["loads"].at_most + made["stores"].at_most
        assert made["bytes moved"].at_most <= WIDEST.get(target, 16) * made["memory accesses"].at_most
        if target == "cortex-m7" or not entry.function.endswith("_predict"):  # which only Unicorn calls
            assert entry.observed is not None
            assert entry.observed.high_maximum == made["instructions"].observed
            traced = target not in UNTRACED and (entry.function, target) not in STRAIGHT
            assert (entry.observed.edges_run > 0) == traced
            assert (entry.observed.facts_checked > 0) == traced
        for count in entry.counts:
            assert count.at_least <= count.at_most
            assert count.observed is None or count.observed <= count.at_most
        assert entry.stack is not None
        assert entry.stack.painted is None or entry.stack.painted <= entry.stack.bytes
        assert entry.stack.painted is None or (
            entry.stack.bytes <= entry.stack.painted + HIDDEN_BYTES.get(target, 8)
        )


@pytest.mark.parametrize(("target", "said"), [("host", "counted again in"), ("x86-avx512", "")])
def test_loops_counted_again(target: str, said: str, tools: Callable[[str], None]) -> None:
    """The report claims that loops were counted again only where runs were traced."""
    tools(target)
    line = next(one for one in report_of("rfc", target).assumptions if one.text.startswith("Every loop"))

    assert (said in line.because, "traced" in line.because) == (True, bool(said))


@pytest.mark.parametrize("target", TARGETS)
def test_one_path(target: str, tools: Callable[[str], None]) -> None:
    """Of a model with one path, every measure's bound is what runs show; without a trace, only instructions are."""
    tools(target)
    entry = next(one for one in report_of("linreg", target).entries if one.function == "linreg_scores")

    at_most = [count.at_most for count in entry.counts]
    assert [at_most[0], *([None] * 4 if target in UNTRACED else at_most[1:])] == [
        count.observed for count in entry.counts
    ]


def test_worst_row(tools: Callable[[str], None]) -> None:
    """On Cortex-M7 the most instructions of a forest are those of the witness, which was run."""
    tools("cortex-m7")
    entry = next(one for one in report_of("rfc", "cortex-m7").entries if one.function == "rfc_scores")

    assert entry.witness is not None
    assert (entry.most, "instructions until the trees are done") == (entry.witness.cost, entry.witness.unit)


def test_median(tools: Callable[[str], None]) -> None:
    """The median of what runs executed lies between their ends, and is the middle one of three."""
    tools("cortex-m7")
    for entry in report_of("rfc_digits", "cortex-m7").entries:
        assert entry.observed is not None
        assert entry.observed.high_minimum <= entry.observed.median <= entry.observed.high_maximum
    assert [2, 2, 5] == [median(np.array(values)) for values in ([9, 1, 2], [9, 1, 2, 3], [5])]


@pytest.mark.parametrize(
    ("arguments", "cflags", "core"),
    [
        ((), ("-O2", "-mcpu=cortex-m7"), "cortex-m7"),
        ((), ("-mcpu=cortex-m3", "-mcpu=cortex-m4+nofp"), "cortex-m4"),
        (("-mcpu=cortex_m0plus",), ("-O2",), "cortex-m0plus"),
        ((), ("-mcpu=baseline", "-mtune=cortex-m4", "-mavx2"), None),
    ],
)
def test_core(arguments: tuple[str, ...], cflags: tuple[str, ...], core: str | None) -> None:
    """The core is that of the compiler's last -mcpu, in the spelling of gcc; other flags name none."""
    rule = replace(load_target("cortex-m4").builds[0], arguments=arguments, cflags=cflags)

    assert core == core_of(Toolchain(rule, ("cc",), (), {}, ""))


def test_two_worst_paths(tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """The path of most instructions and that of most loads need not be the same: each measure has its own."""
    require_tool("arm-none-eabi-as")
    require_tool("scipy")
    code = linked(
        "function f\ncmp r0, #0\nbeq 1f\nnop\nnop\nnop\nnop\nbx lr\n1: ldr r1, [r0]\nstrb r1, [r0]\nbx lr", tmp_path
    )
    graphs = bounds_of(code)

    assert {
        "instructions": (7, 5),
        "accesses": (2, 0),
        "loads": (1, 0),
        "stores": (1, 0),
        "bytes": (5, 0),
    } == {unit: (one.cycles, one.best) for unit, one in graphs.programs.items()}


def bounds_of(code: Code) -> counts.Counted:
    graphs = build_graphs(code, ["f"])
    bounded = partial(bound_program, code, graphs, "f", (), memory=Memory(0, 4))
    return counts.bound_counts(bounded(counting("cortex-m7", "instructions")), bounded, "cortex-m7")


@pytest.mark.parametrize(
    ("unit", "made"),
    [("instructions", (1, 1)), ("accesses", (0, 5)), ("loads", (0, 2)), ("stores", (0, 3)), ("bytes", (0, 20))],
)
def test_amounts(unit: Unit, made: tuple[int, int]) -> None:
    """An instruction that a condition may skip is one instruction all the same, and may move nothing."""
    timing = counting("cortex-m7", unit)
    moving = replace(
        instruction("load_multiple", predicated=True), loads=2, loaded_bytes=8, stores=3, stored_bytes=12
    )

    assert Cycles(*made) == base_cycles(timing, moving, taken=False)
    assert Cycles(made[1], made[1]) == base_cycles(timing, replace(moving, predicated=False), taken=False)
    assert 0 == context_cycles(timing, replace(moving, size=4, address=2), moving)
    assert timing.status == "instruction-count"


def test_every_unit_has_a_name() -> None:
    """What is counted is what the report names, in its order."""
    assert MEASURES == tuple(counts.MEASURES[unit] for unit in COUNTED)


def _lowered(solve: Callable[..., Bound]) -> Callable[..., Bound]:
    def lower(*words: Any, **options: Any) -> Bound:
        bound = solve(*words, **options)
        return replace(bound, cycles=bound.cycles - 1)

    return lower


@pytest.mark.parametrize("target", ["cortex-m7", "cortex-m55"])
def test_violation(target: str, tools: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound that is one too low is contradicted by the runs, in every measure."""
    tools(target)
    monkeypatch.setattr(bounds, "solve", _lowered(bounds.solve))
    made = analyse(loaded("linreg"), artifact("linreg", target), Question(rows=5, model_file="model.apr")).report
    said = " ".join(line for line in made.violations if "linreg_scores" in line or " of scores" in line)

    for unit in COUNTED:
        assert f" {unit}, more than the " in said


def test_counted_by_a_runner(tools: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no path is traced, the runner's counts stand against the bound, and break it if it is too low."""
    tools("cortex-m7")
    one = marked.fixture("linreg", "cortex-m7")
    graphs = one.graphs("scores")
    program = bound_program(
        one.code, graphs, "linreg_scores", one.marks, counting("cortex-m7", "instructions"), Memory(0, 4)
    )
    rows = np.zeros((3, one.image.model.n_features), np.float32)
    seen = counts.counted_runs(one.image, "scores", rows, "three rows", program, "auto")

    assert seen is not None
    assert (seen.runs, seen.ratio, seen.violations) == (3, 1.0, ())
    assert seen.rows.startswith("three rows; counted by qemu-system-arm")
    monkeypatch.setattr(bounds, "solve", _lowered(bounds.solve))
    low = bound_program(one.code, graphs, "linreg_scores", one.marks, counting("m", "instructions"), Memory(0, 4))
    broken = counts.counted_runs(one.image, "scores", rows, "three rows", low, "auto")
    assert broken is not None
    assert [f"a call of scores executed {low.cycles + 1} instructions, more than the bound of {low.cycles}"] == [
        *broken.violations
    ]
    high = replace(program, functions={name: replace(f, best=10_000) for name, f in program.functions.items()})
    short = counts.counted_runs(one.image, "scores", rows, "three rows", high, "auto")
    assert short is not None
    assert [f"a call of scores executed {program.cycles} instructions, less than the 10000 of any path"] == [
        *short.violations
    ]
    assert counts.counted_runs(one.image, "predict", rows, "", program, "auto") is None  # the harness calls it not


@pytest.mark.parametrize(
    "words", [("--clock-mhz", "100"), ("--clock-mhz", "100", "--deadline-us", "50"), ("--wait-states", "0")]
)
def test_no_answer_in_time(
    words: tuple[str, ...], tools: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """A question about time is refused where only instructions are counted: exit status 2, and what to do."""
    tools("cortex-m7")

    assert main(["wcet", str(PATHS["linreg"]), "-t", "cortex-m7", *words]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error[wcet.no_time]: time is not bounded on cortex-m7: there, instructions are counted"
    assert words[-2] in lines[1]


def test_core_options_have_no_meaning(tools: Callable[[str], None]) -> None:
    """Options of a core change cycles only."""
    tools("cortex-m7")
    with pytest.raises(UsageError) as caught:
        analyse(loaded("linreg"), artifact("linreg", "cortex-m7"), Question(core_options={"multiplier": 1}))

    assert (caught.value.code, caught.value.where) == ("wcet.no_time", "--core-option")


def test_command(tmp_path: Path, tools: Callable[[str], None], capsys: pytest.CaptureFixture[str]) -> None:
    """The command shows counts; its header names them so that nobody takes them for cycles."""
    tools("cortex-m7")
    files = {kind: tmp_path / f"linreg.{kind}" for kind in ("json", "html", "header")}
    options = [word for kind, path in files.items() for word in (f"--{kind}", str(path))]

    assert main(["wcet", str(PATHS["linreg"]), "-t", "cortex-m7", "--rows", "5", *options]) == 0
    shown = capsys.readouterr().out
    made = json.loads(files["json"].read_text())["verdict"]
    header = files["header"].read_text()
    assert f"#define LINREG_MAX_INSTRUCTIONS {made['counts'][0]['at_most']}UL" in header
    assert "#define LINREG_SCORES_MAX_ACCESSES " in header
    assert "instruction-count" in shown
    assert "accesses" in shown
    for text in (shown, header, re.sub("<style>.*</style>", "", files["html"].read_text(), flags=re.DOTALL)):
        assert re.findall(r"cycle\w*|deadline|WCET_\w+", text, re.IGNORECASE) == []


def test_verdict() -> None:
    """The sentence says what is counted and that it is no time."""
    verdict = report(COUNTED_ENTRY).verdict

    assert verdict.sentence == (
        "brake_scores executes at most 90 instructions and makes at most 89 memory accesses on cortex-m4; "
        "its time is not bounded."
    )
    assert "no time" in verdict.excludes
    assert verdict.counts == COUNTS


def test_measured_times(tools: Callable[[str], None]) -> None:
    """Times of this machine stand in the report only when asked for, name the machine, and are no bound."""
    tools("host")
    asked = Question(rows=5, model_file="model.apr", measure=True)
    made = analyse(loaded("rfc"), artifact("rfc", "host"), asked).report

    assert ["rfc_predict_batch", "rfc_classify_batch"] == [one.function for one in made.times]
    for one in made.times:
        low, high = one.quartiles_ns
        assert 0.0 < low <= one.median_ns <= high
        assert 0.0 < one.highest_row_ns < 1e6
        assert one.machine.endswith(f"{platform.system()} {platform.machine()}")
    assert schema.faults(json.loads(json.dumps(document(made)))) == ()
    text = page.html(json.loads(json.dumps(document(made))))
    assert f"Measured on {html.escape(made.times[0].machine)}: no bound" in text
    assert report_of("linreg", "host").times == ()


def test_emulators_have_no_time(tools: Callable[[str], None]) -> None:
    """Time is not measured where the code does not run on this machine itself."""
    tools("cortex-m7")
    with pytest.raises(UsageError) as caught:
        analyse(loaded("linreg"), artifact("linreg", "cortex-m7"), Question(rows=5, measure=True))

    assert (caught.value.code, caught.value.where) == ("wcet.measure", "--measure")


def test_page() -> None:
    """The page shows every measure with its bound and the highest observed."""
    text = page.html(json.loads(json.dumps(document(report(COUNTED_ENTRY)))))

    for count in COUNTS:
        assert f'<td>{count.measure}</td><td class="n">{count.at_most}</td><td class="n">3</td>' in text


def test_difference() -> None:
    """Counts are compared with counts; with cycles they are not."""
    cycles = replace(FORMER, most={"brake_scores": 100})
    same = difference_to((COUNTED_ENTRY,), IDENTITY, replace(cycles, unit="instructions"), 5.0)
    other = difference_to((COUNTED_ENTRY,), IDENTITY, cycles, 5.0)

    assert [(one.before, one.after) for one in same.changes] == [(100, 90)]
    assert same.passed
    assert (other.changes, other.passed) == ((), False)
    assert other.notes == ("the former report counts cycles and this one instructions, so nothing can be compared",)


LOOPS = """function f
push {r4, lr}
cmp r0, #0
movs r4, #5
wls lr, r4, 2f
1: adds r0, #1
le lr, 1b
2: dls lr, r4
3: adds r0, #1
nop
le lr, 3b
pop {r4, pc}
"""


def test_loop_instructions(tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """The loops of Armv8.1-M count in lr: where they go, what they read and write, and that others are refused."""
    require_tool("arm-none-eabi-as")
    code = linked(LOOPS, tmp_path, "v8.1-M")
    found = [one for one in decode_slots(code.function("f"), "v8.1-M") if isinstance(one, Instruction)]
    loops = {one.text.split()[0]: one for one in found if one.text.split()[0] in ("dls", "le", "wls")}
    assert {
        "wls": ("conditional", 0x8010, "r4", "lr"),
        "le": ("conditional", 0x8014, "lr", "lr"),
        "dls": ("next", None, "r4", "lr"),
    } == {name: (one.flow, one.target, *one.reads, *one.writes) for name, one in loops.items()}
    vectors = linked("function f\n1: dlstp.32 lr, r0\nletp lr, 1b\nle 1b\nnop", tmp_path, "v8.1-M")
    others = [one for one in decode_slots(vectors.function("f"), "v8.1-M") if isinstance(one, Undecoded)]
    assert [one.address for one in others] == [0x8000, 0x8004, 0x8008]
    older = decode_slots(vectors.function("f"), "v8-M")
    assert all(isinstance(one, Undecoded) for one in older[:3])


@pytest.mark.parametrize(("bound", "verdict"), [(12, "agrees"), (11, "disagrees")])
def test_counter_of_a_loop_instruction(bound: int, verdict: str, tools: Callable[[str], None]) -> None:
    """The count that dls loads is seen, and contradicts a mark that is too low."""
    tools("cortex-m55")
    body = f"""    float sum = 0.0f;
    APR_LOOP(brake_rows, {bound});
    for (unsigned i = 0U; i < 12U; ++i) {{
        APR_BODY(brake_rows, {bound});
        sum += x[i & 3U] * sum;
    }}
    out[0] = sum;"""
    one = marked.written(body, "cortex-m55")
    graph = one.graphs("scores")["brake_scores"]

    assert any(i.text.startswith("le ") for block in graph.blocks.values() for i in block.instructions)
    assert [verdict] == [opinion.verdict for opinion in one.opinions(graph)]
