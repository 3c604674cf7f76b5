"""MISRA C:2012 by cppcheck's addon: no required rule is broken but where runtime_c/MISRA.md says so.

Knows which rules are advisory and how to read the findings; the reasons for deviations stand in that file.
"""

from __future__ import annotations

import functools
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from aprgen.accuracy import Calibration
from aprgen.core import INTEGER_MODES, Options, compile_model
from aprgen.passes.goals import GOALS
from aprgen.passes.quantise import has_integer_form
from aprgen.resources import folder
from aprgen.rows import random_rows
from aprgen.target import load_target
from tests.differential.compiled import write_texts
from tests.examples import COMPILE, ROWS, TREES, artifact, loaded

TARGETS = ("host", "cortex-m0plus", "cortex-m4", "cortex-m55")  # between them every folder of kernels in C
DEVIATIONS = folder("runtime_c") / "MISRA.md"
ADVISORY = (
    "1.2", "2.3", "2.4", "2.5", "2.6", "2.7", "4.2", "5.9", "8.7", "8.9", "8.11", "8.13", "10.5", "11.4",
    "11.5", "12.1", "12.3", "12.4", "13.3", "13.4", "15.1", "15.4", "15.5", "17.5", "17.8", "18.4", "18.5",
    "19.2", "20.1", "20.5", "20.10", "21.12",
)  # every other rule is required or mandatory  # fmt: skip
# What <float.h> says on every target (the addon reads no headers of a compiler), and a core with the DSP extension.
OPTIONS = (
    "--quiet", "--std=c99", "--addon=misra", "--enable=style,information", "--platform=unix32-unsigned",
    "--suppress=missingIncludeSystem", "-DFLT_RADIX=2", "-DFLT_MANT_DIG=24", "-DFLT_MAX_EXP=128",
    "-D__ARM_FEATURE_DSP=1", "--template={file}:{line}:{id}",
)  # fmt: skip
FOUND = re.compile(r"^(?P<file>[^:]+):(?P<line>\d+):misra-c2012-(?P<rule>\d+\.\d+)$")
DEVIATION = re.compile(r"^\| (\d+\.\d+) \| (\S+) \| (\S+) \| (.+) \|$", re.MULTILINE)
INCLUDED = re.compile(r'^#include "([^"]+)"', re.MULTILINE)
DEFINED = re.compile(r"^(?:#define |(?:APR_LARGE )?[a-z][\w \*]*[ \*])(\w+)\(")


@dataclass(frozen=True, order=True)
class Finding:
    rule: str
    file: str
    where: str  # the function or macro
    text: str  # the line

    @property
    def place(self) -> tuple[str, str, str]:
        return self.rule, self.file, self.where


def findings(texts: Mapping[str, str], work: Path, sources: Sequence[str] = ()) -> set[Finding]:
    """Broken rules that are not advisory, in those files of a model, or in all its C."""
    work.mkdir(exist_ok=True)
    write_texts(texts, work)
    sources = sources or sorted(name for name in texts if name.endswith(".c"))
    done = subprocess.run(
        ["cppcheck", *OPTIONS, *sources], cwd=work, capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert "noValidConfiguration" not in done.stderr, "cppcheck read nothing"
    assert "syntaxError" not in done.stderr
    assert "internalError" not in done.stderr
    assert "misra-c2012-" in done.stderr, "the addon said nothing, not even of advisory rules"
    hits = filter(None, map(FOUND.match, done.stderr.splitlines()))
    return {finding(hit, texts[hit["file"]]) for hit in hits if hit["rule"] not in ADVISORY}


def finding(hit: re.Match[str], text: str) -> Finding:
    lines = text.splitlines()[: int(hit["line"])]
    starts = (start for start in map(DEFINED.match, reversed(lines)) if start)
    start = next(starts, None)
    return Finding(hit["rule"], hit["file"], start[1] if start else "", lines[-1].strip())


def deviations() -> frozenset[tuple[str, str, str]]:
    return frozenset((rule, file, where) for rule, file, where, _ in DEVIATION.findall(DEVIATIONS.read_text("utf-8")))


def all_options(name: str) -> Iterator[Options]:
    yield Options(name)
    rows = random_rows(loaded(name).model.lower(), 100).values if name in ROWS else None
    if rows is not None and name in TREES:
        for goal in GOALS:
            yield Options(name, optimise=goal)
            yield Options(name, "s8", Calibration(rows, "random rows"), optimise=goal)
        if name == "rfc":
            for shape in ("compact", "calls"):
                yield Options(name, optimise=shape)
                yield Options(name, "s8", Calibration(rows, "random rows"), optimise=shape)
        yield Options(name, "s16", Calibration(rows, "random rows"))
        for mode in INTEGER_MODES if has_integer_form(loaded(name).model.lower()) else ():
            yield Options(name, mode)
    elif rows is not None:
        for mode in INTEGER_MODES:
            yield Options(name, mode, Calibration(rows, "random rows"))


@functools.lru_cache(1000)
def pieces(text: str, name: str) -> frozenset[str]:
    """The parts of a file between empty lines, with names, numbers of steps, and numbers above 1 taken out: what rules
    look at."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).replace(name, "M").replace(name.upper(), "M")
    text = re.sub(r"(?<=[A-Za-z]_)\d+(?=_|\b)", "N", text)
    text = re.sub(r"\b0x[\w.+-]+|\b\d+\.\d+(e[+-]?\d+)?F?|\b(?![01]U?\b)\d+", "N", text)
    return frozenset(re.sub(r"\{[^{};]*\}", "{}", text).split("\n\n"))


@dataclass(frozen=True, eq=False)
class Form:
    """A file of a model's C for a target; pieces and size are those of the headers that it includes, too."""

    target: str
    texts: Mapping[str, str]
    source: str
    pieces: frozenset[str]
    size: int


def form_of(target: str, name: str, texts: Mapping[str, str], source: str) -> Form:
    read = [source]
    for file in read:  # which grows
        read += [one for one in INCLUDED.findall(texts[file]) if one in texts and one not in read]
    return Form(
        target, texts, source, frozenset().union(*(pieces(texts[file], name) for file in read)),
        sum(len(texts[file]) for file in read),
    )  # fmt: skip


@functools.cache
def every_form() -> tuple[Form, ...]:
    """So many files of the C of all fixtures in all modes and shapes that every piece is in one: next is always the one
    that has most new pieces for its size."""
    forms = [
        form_of(target, name, texts, source)
        for target in TARGETS
        for name in COMPILE
        for options in all_options(name)
        for texts in [compile_model(loaded(name), load_target(target), options).texts]
        for source in texts
        if source.endswith(".c")
    ]
    left = set().union(*(form.pieces for form in forms))
    chosen = []
    while left:
        best = max(forms, key=lambda form: len(form.pieces & left) / form.size)
        chosen.append(best)
        left -= best.pieces
    return tuple(chosen)


@pytest.fixture
def cppcheck(require_tool: Callable[[str], None]) -> None:
    require_tool("cppcheck")


@pytest.mark.parametrize("target", TARGETS)
def test_no_required_rule_is_broken(target: str, tmp_path: Path, cppcheck: None) -> None:
    """All fixtures in all numeric modes and shapes, with the runtime they include, but for the listed deviations."""
    allowed = deviations()
    found: set[Finding] = set()
    forms = [form for form in every_form() if form.target == target]
    for index, form in enumerate(forms):
        found |= findings(form.texts, tmp_path / str(index), [form.source])

    assert forms
    assert [] == sorted(one for one in found if one.place not in allowed)


def test_every_deviation_is_needed(tmp_path: Path, cppcheck: None) -> None:
    """A line of MISRA.md without a finding is out of date; these three models reach all the places."""
    models = (("rfc_digits", "size", "f32"), ("linreg", None, "s8"), ("logreg_bc", None, "f32"))
    found: set[Finding] = set()
    for name, goal, mode in models:
        rows = random_rows(loaded(name).model.lower(), 100).values
        calibration = None if mode == "f32" else Calibration(rows, "random rows")
        options = Options(name, mode, calibration, optimise=goal)
        found |= findings(compile_model(loaded(name), load_target("cortex-m0plus"), options).texts, tmp_path / name)

    assert deviations() == {finding.place for finding in found}


@pytest.mark.parametrize(
    ("rule", "sound", "planted"),
    [
        ("10.4", "n_x != (size_t)LINREG_N_FEATURES", "n_x != LINREG_N_FEATURES"),
        ("15.6", "== 0) {\n            status = 3;\n        }", "== 0)\n            status = 3;"),
        ("17.7", "    linreg_0_dense_bias_last(x, out);", "    apr_bits(x[0]);\n    linreg_0_dense_bias_last(x, out);"),
    ],
)
def test_planted_faults(rule: str, sound: str, planted: str, tmp_path: Path, cppcheck: None) -> None:
    """A comparison of signed with unsigned, a body without braces and a result that nobody takes are found."""
    texts = dict(artifact("linreg").texts)
    sound, planted = (text.replace("3;", "APR_E_NOT_FINITE;") for text in (sound, planted))
    assert sound in texts["linreg.c"]
    texts["linreg.c"] = texts["linreg.c"].replace(sound, planted)

    assert rule in {found.rule for found in findings(texts, tmp_path)}


def test_findings_elsewhere_are_new(tmp_path: Path, cppcheck: None) -> None:
    """A deviation counts in its function only: the same shift in a function of the model is a finding."""
    texts = dict(artifact("linreg").texts)
    planted = "int32_t linreg_planted(int32_t x)"
    texts["linreg.c"] += f"\n{planted};\n\n{planted}\n{{\n    return x >> 1;\n}}\n"

    assert {("10.1", "linreg.c", "linreg_planted")} == {found.place for found in findings(texts, tmp_path)}
