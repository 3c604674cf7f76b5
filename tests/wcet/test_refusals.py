"""Everything that is refused rather than guessed: one table of code and one of requests, each with its sentence.

A refusal has a stable code, no number, and tells the user what to change.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aprgen.cli import main
from aprgen.errors import AprgenError, ComparisonError
from aprgen.image import Image
from aprgen.wcet import analyse as analysis
from aprgen.wcet import bounds
from aprgen.wcet.analyse import Question, analyse
from aprgen.wcet.bounds import bound_program
from aprgen.wcet.cfg import build_graphs
from aprgen.wcet.code import Code
from aprgen.wcet.ipet import Bound
from aprgen.wcet.memory import Memory
from aprgen.wcet.stack import stack_bound
from aprgen.wcet.timing import load_timing
from tests.examples import PATHS, artifact, loaded
from tests.wcet.assembled import linked


@pytest.fixture(autouse=True)
def _tools(require_target: Callable[[str], None], require_tool: Callable[[str], None]) -> None:
    require_target("cortex-m4")
    for module in ("scipy", "capstone", "unicorn"):
        require_tool(module)


# What the program does, its code, and what the sentence must tell the user to change.
CODE = [
    ("unknown instruction", "svc #1\nbx lr", "wcet.instruction", "inline assembly"),
    ("indirect jump", "mov pc, r3", "wcet.indirect", "function pointers"),
    ("jump table", "tbb [pc, r0]\n.byte 1, 1\nbx lr", "wcet.indirect", "-fno-jump-tables"),
    ("call of a pointer", "push {r4, lr}\nblx r3\npop {r4, pc}", "wcet.indirect", "function pointers"),
    ("recursion", "push {r4, lr}\nbl f\npop {r4, pc}", "wcet.recursion", "write the recursion as a loop"),
    (
        "mutual recursion", "push {r4, lr}\nbl g\npop {r4, pc}\nfunction g\npush {r4, lr}\nbl f\npop {r4, pc}",
        "wcet.recursion", "write the recursion as a loop",
    ),
    ("loop without a fact", "1: subs r0, #1\nbne 1b\nbx lr", "wcet.loop", "list of known ones"),
    (
        "irreducible loop", "cmp r0, #0\nbeq 2f\n1: subs r1, #1\n2: subs r0, #1\nbne 1b\nbx lr",
        "wcet.loop", "list of known ones",
    ),
    ("endless loop", "b f", "wcet.endless", "no bound"),
    (
        "library routine with a loop that is on no list",
        "push {r4, lr}\nbl memcpy\npop {r4, pc}\nfunction memcpy\n1: subs r2, #1\nbne 1b\nbx lr",
        "wcet.loop", "list of known ones",
    ),
    ("stack that moves by a variable", "sub sp, sp, r0\nadd sp, sp, r0\nbx lr", "wcet.stack", "no variable length"),
    ("stack that does not come back", "push {r4}\nbx lr", "wcet.stack", "hand-written assembly"),
    ("call outside the image", "b 0x20000", "wcet.outside", "analyse the linked program"),
    ("control that runs into data", "b 1f\n.balign 4\n1: .word 0", "wcet.data", "without hand-written assembly"),
    ("jump into an IT block", "cmp r0, #0\nbeq 1f\nit ne\n1: movne r0, #1\nbx lr", "wcet.it", "hand-written assembly"),
]  # fmt: skip


def _bounded(program: Code) -> None:
    graphs = build_graphs(program, ["f"])
    stack_bound(graphs, "f")
    bound_program(program, graphs, "f", (), load_timing("cortex-m4"), Memory(0, 4))


@pytest.mark.parametrize(("text", "code", "hint"), [pytest.param(*rest, id=name) for name, *rest in CODE])
def test_code_is_refused(text: str, code: str, hint: str, tmp_path: Path) -> None:
    """A program that breaks a rule of the analysis has no bound, and the sentence says how to keep the rule."""
    program = linked(f"function f\n{text}", tmp_path, "v7E-M")
    with pytest.raises(AprgenError) as caught:
        _bounded(program)

    assert code == caught.value.code
    assert hint in caught.value.hint
    assert caught.value.where
    assert caught.value.exit_status == 5


LTO = """extends = "cortex-m4"
name = "lto"
[[build]]
name = "gcc"
origin = "system"
package = "gcc-arm-none-eabi"
programs = ["arm-none-eabi-gcc"]
cflags = ["-O2", "-flto", "-mthumb", "-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-ffreestanding"]
ldflags = ["-nostdlib", "-nostartfiles"]
libraries = ["-lgcc"]
marks = true
"""

# The model, the options, the exit status, the code, and what the sentence must say to do.
REQUESTS = [
    ("a text, whose length nothing bounds", "tfidf", "-t cortex-m4", 2, "wcet.text_bytes", "state the bytes of the"),
    ("M7 with a deadline", "linreg", "-t cortex-m7 --clock-mhz 200 --deadline-us 9", 2, "wcet.no_time", "leave --"),
    ("x86 with a clock", "linreg", "-t host --clock-mhz 3000", 2, "wcet.no_time", "leave --clock-mhz out"),
    ("AArch64 with wait states", "linreg", "-t arm-neon --wait-states 1", 2, "wcet.no_time", "leave --wait-states out"),
    ("more wait states than any flash has", "linreg", "-t cortex-m4 --wait-states 999", 2, "wcet.wait_states", ""),
    ("an option that the core does not have", "linreg", "-t cortex-m4 --core-option cache=1", 2, "wcet.option", "opt"),
    ("link-time optimisation", "linreg", "-t {lto}", 5, "wcet.lto", "remove -flto"),
    ("tasks without a clock", "linreg", "-t cortex-m4 --tasks none.toml", 2, "usage.arguments", "add --clock-mhz"),
    ("tasks that nobody can read", "linreg", "-t cortex-m4 --clock-mhz 9 --tasks none.toml", 2, "sched.tasks", "path"),
    ("an unknown platform", "linreg", "-t cortex-m4 --load mainframe", 5, "load.platform", "known:"),
    ("no formula for this file", "v2_mlp_f32", "-t cortex-m4 --load edge-rpi4", 5, "load.format", "leave out --load"),
    ("a former report that is none", "linreg", "-t cortex-m4 --compare {lto}", 2, "wcet.compare", "--json"),
]


@pytest.mark.parametrize(
    ("model", "options", "status", "code", "hint"), [pytest.param(*rest, id=name) for name, *rest in REQUESTS]
)
def test_request_is_refused(
    model: str,
    options: str,
    status: int,
    code: str,
    hint: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    require_target: Callable[[str], None],
) -> None:
    """A request that cannot be served ends in three lines, the status of its kind, and no file."""
    words = options.replace("{lto}", str(tmp_path / "lto.toml")).split()
    if not words[1].endswith(".toml"):
        require_target(words[1])
    (tmp_path / "lto.toml").write_text(LTO)
    header = tmp_path / "bounds.h"

    assert status == main(["wcet", str(PATHS[model]), *words, "--rows", "0", "--header", str(header)])
    lines = capsys.readouterr().err.splitlines()
    assert 3 == len(lines)
    assert lines[0].startswith(f"error[{code}]: ")
    assert hint in lines[2].removeprefix("  to do: ")
    assert not header.exists()


def _lowered(solve: Callable[..., Bound]) -> Callable[..., Bound]:
    return lambda *words, **options: replace(found := solve(*words, **options), cycles=found.cycles * 3 // 4)


def _void(change: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch, path: Path) -> Any:
    change(monkeypatch)
    words = ["wcet", str(PATHS["kmeans"]), "-t", "cortex-m4", "--rows", "5", "--json", str(path)]
    assert ComparisonError.exit_status == main([*words, "--header", str(path.with_suffix(".h"))])
    assert not path.with_suffix(".h").exists()
    return json.loads(path.read_text())


def test_observed_above_the_bound(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run above the bound makes the report void; the sentence forbids its numbers."""
    report = _void(
        lambda patch: patch.setattr(bounds, "solve", _lowered(bounds.solve)), monkeypatch, tmp_path / "r.json"
    )

    assert ("refused", None) == (report["verdict"]["status"], report["verdict"]["cycles"])
    assert "an observation contradicts the analysis: call" in report["verdict"]["sentence"]
    assert any(entry["observed"]["violations"] for entry in report["entries"])
    assert "do not use these numbers" in capsys.readouterr().err


def test_fact_broken_in_a_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A loop that runs more often than its mark says makes the report void, and the loop is named.

    The counter in the binary would refuse the mark first; it is silenced here, to see that runs find it too.
    """
    read = analysis.marks_of

    def too_small(image: Image, text_bytes: int | None) -> Any:
        return tuple(replace(one, bound=one.bound - 1) if one.bound else one for one in read(image, text_bytes))

    def change(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(analysis, "marks_of", too_small)
        patch.setattr(bounds, "opinions", lambda facts, graph, code: ())

    report = _void(change, monkeypatch, tmp_path / "r.json")
    seen = [entry["observed"] for entry in report["entries"] if entry["observed"] is not None]
    violations = [line for observed in seen for line in observed["violations"]]

    assert "refused" == report["verdict"]["status"]
    assert any("the loop apr_all_finite ran 4 times, more than the 3 promised" in line for line in violations)
    assert "do not use these numbers" in capsys.readouterr().err


def test_counter_and_mark_disagree(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark that states less than the counter in the binary counts is an error, before anything is run."""
    read = analysis.marks_of
    monkeypatch.setattr(
        analysis, "marks_of",
        lambda *given: tuple(replace(one, bound=max(1, one.bound - 1)) for one in read(*given)),
    )
    with pytest.raises(ComparisonError) as caught:
        analyse(loaded("kmeans"), artifact("kmeans", "cortex-m4"), Question(rows=0))

    assert "wcet.counter" == caught.value.code
    assert "correct the mark" in caught.value.hint


def test_stack_above_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that writes below the stack's bound makes the report void like any other contradiction."""
    monkeypatch.setattr(analysis, "painted_bytes", lambda image, function, rows: 4096)
    report = analyse(loaded("kmeans"), artifact("kmeans", "cortex-m4"), Question(rows=5)).report

    assert ["a run of kmeans_predict wrote 4096 bytes of stack"] == [
        line.split(", more")[0] for line in report.violations
    ]
    assert np.isfinite(report.entries[0].cycles or 0)
