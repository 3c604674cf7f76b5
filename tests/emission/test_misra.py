"""MISRA C:2012: no required rule is broken but where runtime_c/MISRA.md says so.

Knows which C of which fixtures has every piece that the generator writes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from aprgen.accuracy import Calibration
from aprgen.core import INTEGER_MODES, Options, compile_model
from aprgen.passes.goals import GOALS
from aprgen.passes.quantise import has_integer_form
from aprgen.rows import random_rows
from aprgen.target import load_target
from tests.emission.misra import Finding, deviations, findings, findings_in
from tests.examples import COMPILE, ROWS, TREES, artifact, loaded

TARGETS = ("host", "cortex-m0plus", "cortex-m4", "cortex-m55")  # between them every folder of kernels in C
INCLUDED = re.compile(r'^#include "([^"]+)"', re.MULTILINE)


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
    forms = [form for form in every_form() if form.target == target]
    found = findings_in([(form.texts, [form.source]) for form in forms], tmp_path)

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
