"""Bounds of models that read texts: the longest text is stated, and no text of that length takes more."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from aprgen.cli import main
from aprgen.core import Artifact, Options, compile_model
from aprgen.errors import UnsupportedError, UsageError
from aprgen.families.vectorizer import CountVectorizer
from aprgen.program import Array
from aprgen.target import load_target
from aprgen.wcet import schema
from aprgen.wcet.analyse import Question, analyse
from aprgen.wcet.bounds import Program, bound_as_for, bound_program
from aprgen.wcet.dear_texts import dear_texts
from aprgen.wcet.longest_text import MOST_TEXT_BYTES
from aprgen.wcet.marks import Mark, accounts_of, read_marks
from aprgen.wcet.memory import Memory
from aprgen.wcet.observe import Observation, observe
from aprgen.wcet.page import header, html
from aprgen.wcet.report import document
from aprgen.wcet.timing import load_timing
from aprgen.wcet.trace import executed_code, trace_calls
from tests.examples import PATHS, TEXTS, artifact, loaded
from tests.wcet.marked import Marked, made_of, written

N_BYTES = 25  # odd: half a token counts
FAST = Memory(0, 4)
# Pairs and stop words that are compared without their case, with a sigma that looks ahead.
TERMS = ("ab_cd", "\u03c3\u03c2", "cd_ab", "ab")
PAIRS = CountVectorizer(
    tuple((term, i) for i, term in enumerate(TERMS)), False, (1, 2), ("the", "\u03bf\u03c2"), False
)
SHARED = """__attribute__((noinline)) static uint32_t sum_of(const float *x, uint32_t n)
{
    uint32_t sum = 0U;
    for (uint32_t i = 0U; i < n; ++i) {
        APR_SPEND(brake_added, 1U);
        sum += (uint32_t)(x[i & 3U] > 0.5f);
    }
    return sum;
}"""
SHARES = """    uint32_t a = 0U;
    uint32_t left = 30U;
    APR_ALLOW(brake_added, 30U);
    APR_LOOP(brake_calls, 10U);
    for (uint32_t i = 0U; i < 10U; ++i) {
        APR_BODY(brake_calls, 10U);
        const uint32_t n = (x[i & 3U] > 0.0f) ? left : ((left > 0U) ? 1U : 0U);
        a += sum_of(x, n);
        left -= n;
    }
    out[0] = (float)a;"""


@pytest.fixture(autouse=True)
def _tools(require_target: Callable[[str], None], require_tool: Callable[[str], None]) -> None:
    require_target("cortex-m4")
    for module in ("scipy", "capstone", "unicorn"):
        require_tool(module)


def _artifact(name: str, target: str, form: str | None) -> Artifact:
    return compile_model(loaded(name), load_target(target), Options(name, optimise=form))


@cache
def _built(name: str, target: str, form: str | None = None) -> tuple[Artifact, Marked]:
    made = _artifact(name, target, form)
    return made, made_of(made)


def _bounded(marked: Marked, function: str, n_bytes: int) -> tuple[Program, tuple[Mark, ...]]:
    marks = read_marks(marked.image.program, n_bytes)
    timing, root = load_timing(marked.image.target.name), marked.image.model.symbol(function)
    return bound_program(marked.code, marked.graphs(function), root, marks, timing, FAST), marks


def _seen(marked: Marked, function: str, texts: Array, marks: tuple[Mark, ...], bound: int) -> Observation:
    traces = trace_calls(marked.image, function, texts)
    timing = load_timing(marked.image.target.name)
    return observe(traces, executed_code(marked.code), timing, FAST, marks, bound)


@pytest.mark.parametrize(
    ("name", "target", "form", "ratio"),
    [
        ("count_vectorizer", "cortex-m4", None, 1.7),
        ("count_vectorizer", "cortex-m4", "size", 2.3),
        ("tfidf", "cortex-m0plus", None, 3.0),
        ("ngram_shell", "cortex-m4", None, 12.0),
        ("ngram_shell", "cortex-m0plus", "size", 14.0),
    ],
)
def test_no_text_takes_more(name: str, target: str, form: str | None, ratio: float) -> None:
    """Of words, of what UTF-8 has worst, and at random: none breaks the bound or spends more than is allowed."""
    made, marked = _built(name, target, form)
    function = marked.image.model.functions[0]
    program, marks = _bounded(marked, function, N_BYTES)
    seen = _seen(marked, function, dear_texts(made.program, 30, N_BYTES), marks, program.cycles)

    assert () == seen.violations
    assert int(seen.low.min()) >= program.best
    assert program.cycles <= ratio * int(seen.high.max())
    assert any(name.startswith("apr_utf8") for name in seen.facts_checked)


@pytest.mark.parametrize("form", ["mean", "size"])
def test_pairs_and_stop_words(form: str) -> None:
    """N-grams, two foldings and looks behind a sigma, in functions that share what the text allows."""
    made = compile_model(
        replace(loaded("count_vectorizer"), model=PAIRS), load_target("cortex-m4"), Options("m", optimise=form)
    )
    marked = made_of(made)
    program, marks = _bounded(marked, "scores_text", N_BYTES)
    seen = _seen(marked, "scores_text", dear_texts(made.program, 40, N_BYTES), marks, program.cycles)

    assert () == seen.violations
    assert program.cycles <= 3 * int(seen.high.max())


def test_a_longer_text_than_stated_is_noticed() -> None:
    """The facts that bound the loops are counted in traced runs, and a text of more bytes breaks them."""
    made, marked = _built("count_vectorizer", "cortex-m4")
    program, marks = _bounded(marked, "scores_text", N_BYTES - 2)
    seen = _seen(marked, "scores_text", dear_texts(made.program, 5, N_BYTES), marks, program.cycles)

    broken = {one.name for one in seen.violations if one.kind == "loop"}
    assert {"count_vectorizer_0_hashed_terms_text", "apr_utf8_taken"} <= broken


@pytest.mark.parametrize(("name", "function"), [("count_vectorizer", "scores_text"), ("ngram_shell", "suggest")])
def test_the_line_lies_above_the_bounds(name: str, function: str) -> None:
    """What is proved of two lengths bounds those between: the bound with fixed multipliers is convex."""
    _, marked = _built(name, "cortex-m4")
    timing = load_timing("cortex-m4")
    longest, _ = _bounded(marked, function, 50)
    low = bound_as_for(longest, marked.code, read_marks(marked.image.program, 2), timing, FAST)
    assert low is not None
    each = -(-(longest.cycles + 1 - low) // 48)
    for n_bytes in (0, 1, 7, 24, 47, 48):
        program, _ = _bounded(marked, function, n_bytes)
        assert program.cycles <= low + each * n_bytes


def test_what_functions_share() -> None:
    """A callee spends what its caller allows: ten calls of up to thirty turns, thirty in all."""
    marked = written(SHARES, "cortex-m4", before=SHARED)
    program, marks = _bounded(marked, "scores", 0)
    rows = np.array([[1, 1, 1, 1], [-1, -1, -1, 1], [1, -1, 1, 0], [-1, -1, -1, -1]], np.float32)
    seen = _seen(marked, "scores", rows, marks, program.cycles)

    assert {"brake_added"} == set(program.prices)
    assert () == seen.violations
    assert int(seen.high.max()) <= program.cycles <= 1.2 * int(seen.high.max())


def test_an_allowance_too_small_is_noticed() -> None:
    """The facts are counted in traced runs in all functions together."""
    body = SHARES.replace("APR_ALLOW(brake_added, 30U)", "APR_ALLOW(brake_added, 29U)")
    marked = written(body, "cortex-m4", before=SHARED)
    program, marks = _bounded(marked, "scores", 0)
    seen = _seen(marked, "scores", np.ones((1, 4), np.float32), marks, program.cycles)

    assert {"brake_added"} == {one.name for one in seen.violations if one.kind == "loop"}


def test_what_nobody_allows_bounds_nothing() -> None:
    """A loop that spends what is allowed nowhere has no bound, and is named."""
    with pytest.raises(UnsupportedError, match=r"nothing bounds the loop at .* of sum_of"):
        _bounded(written(SHARES.replace("APR_ALLOW(brake_added, 30U);", ""), "cortex-m4", before=SHARED), "scores", 0)


def test_the_report() -> None:
    """It says for which texts it holds, gives the line by their length, and keeps to its schema."""
    question = Question(rows=5, text_bytes=N_BYTES, model_file="m.apr")
    report = analyse(loaded("count_vectorizer"), artifact("count_vectorizer", "cortex-m4"), question).report
    written_ = json.loads(json.dumps(document(report), allow_nan=False))
    made = header(written_)

    assert () == schema.faults(written_)
    assert () == report.violations
    assert f"for texts of at most {N_BYTES} bytes" in report.verdict.sentence
    assert any("No text is longer than" in line.text for line in report.assumptions)
    assert f"A text of <var>n</var> bytes, up to {N_BYTES}" in html(written_)
    assert f"#define COUNT_VECTORIZER_MAX_TEXT_BYTES {N_BYTES}UL" in made
    checked, scores = report.entries
    for entry in (checked, scores):
        assert entry.cycles is not None
        assert entry.observed is not None
        assert entry.by_length is not None
        assert entry.stack is not None
        assert entry.cycles <= entry.by_length.fixed + N_BYTES * entry.by_length.per_byte
        assert entry.cycles <= 2 * entry.observed.high_maximum
        assert f"_WCET_CYCLES_OF(bytes) ({entry.by_length.fixed}UL + ({entry.by_length.per_byte}UL * (bytes)))" in made
    assert scores.functions  # the worst path is whole, as all that is shared is in one function
    assert any(row.origin.startswith("generator, in all of the longest text") for row in scores.loops)


@pytest.mark.parametrize("name", TEXTS)
def test_without_a_length_the_marks_say_nothing(name: str) -> None:
    """What the length of a text decides is refused by that reason."""
    _, marked = _built(name, "cortex-m4")
    graphs = marked.graphs("scores_text")
    with pytest.raises(UnsupportedError) as caught:
        [accounts_of(marked.marks, graph) for graph in graphs.values()]

    assert "wcet.loop" == caught.value.code
    assert "the length of a text" in caught.value.what


@pytest.mark.parametrize(
    ("name", "words", "what"),
    [
        ("tfidf", (), "how long a text is decides what the model takes for it"),
        ("ngram_shell", (), "how long a text is decides what the model takes for it"),
        ("linreg", ("--text-bytes", "9"), "the model takes rows of numbers, no texts"),
        ("tfidf", ("--text-bytes", str(MOST_TEXT_BYTES + 1)), "are more than the 1,048,576 that are analysed"),
    ],
)
def test_usage(
    name: str, words: tuple[str, ...], what: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Texts need a length and rows take none: exit status 2, and what to give."""
    report = tmp_path / "report.json"
    status = main(["wcet", str(PATHS[name]), "--target", "cortex-m4", *words, "--json", str(report)])
    said = capsys.readouterr().err

    assert 2 == status
    assert what in said
    assert "--text-bytes" in said
    assert not report.exists()


def test_python_asks_for_the_length() -> None:
    """The same in Python."""
    with pytest.raises(UsageError, match="how long a text is"):
        analyse(loaded("tfidf"), artifact("tfidf", "cortex-m4"), Question(rows=0))
