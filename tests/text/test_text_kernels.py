"""The compiled text kernels against the Program that they were made from, and against their memory."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aprgen.costs import TextCost
from aprgen.errors import UnsupportedError
from aprgen.families.base import Model
from aprgen.families.ngram import MarkovModel
from aprgen.families.vectorizer import CountVectorizer, TfidfVectorizer
from aprgen.ops.strings import StringReader
from aprgen.ops.suggest import Suggest
from aprgen.ops.term_counts import TermCounts
from aprgen.passes.text_forms import TEXT_FORMS, TextForm, with_text_forms
from aprgen.program import Program
from aprgen.rows import text_array
from aprgen.unicode_case import ACCENTS, LOWER, lowercase
from tests.text import compiled, strategies

SLOW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
COMPILERS = (
    ["gcc"],
    ["clang-14"],
    ["arm-none-eabi-gcc", "-mcpu=cortex-m0plus", "-mthumb", "-ffreestanding"],
    ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-ffreestanding"],
)

GREEK = CountVectorizer(
    vocabulary=(("λόγος", 0), ("λόγοσ", 3), ("i\u0307st", 1), ("straße_λόγος", 2), ("a_b_c", 4), ("a", 5), ("b_c", 6)),
    is_lower=True,
    ngram_range=(1, 3),
    stop_words=("und", "ς", "a_b"),
    is_stripped=True,
)
CASED = CountVectorizer(
    vocabulary=(("Λόγος", 0), ("The_Ÿ", 1), ("the", 2), ("Åb", 3)),
    is_lower=False,
    ngram_range=(1, 2),
    stop_words=("the", "λόγος", "ÿ"),
    is_stripped=True,
)
MODELS: dict[str, Model] = {
    "greek": GREEK,
    "cased": CASED,
    "no_term_can_occur": CountVectorizer((("CAT", 0), ("", 1), ("a b", 2)), True, (1, 1), (), False),
    "sublinear": TfidfVectorizer(GREEK, np.array([1, 1.5, 1.5, 2, 2, 2, 0.1]), True),
    "all_idf_differ": TfidfVectorizer(CASED, np.array([1, 1.25, 1.5, 1 / 3]), False),
    "shell": MarkovModel(
        n=3,
        ngrams=(
            ("git", (("commit", 3), ("push", 1))),
            ("git commit", (("-m", 2), ("--amend", 2))),
            ("", (("git", 9),)),
        ),
        command_freq=(("git commit -m x", 2), ("git\tpush", 1), ("git commit", 1), ("ls", 5)),
        total_commands=9,
    ),
    "no_contexts": MarkovModel(n=2, ngrams=(), command_freq=(("ls", 1),), total_commands=1),
    "no_commands": MarkovModel(n=2, ngrams=(("a", (("b", 1),)),), command_freq=(), total_commands=0),
}


BOTH = pytest.mark.parametrize("form", TEXT_FORMS)


def in_form(model: Model, form: TextForm) -> Program:
    """Lowered, with strings looked up in that form where there is one."""
    program = model.lower()
    try:
        return with_text_forms(program, TextCost(), form=form)
    except UnsupportedError:
        return program  # no strings, or no contexts


@BOTH
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("cc", COMPILERS, ids=lambda cc: " ".join(cc[:2]))
def test_compiles_without_a_warning(name: str, cc: list[str], form: TextForm, tmp_path: Path) -> None:
    """Strict C99, every warning an error, on host and Cortex-M compilers."""
    source = compiled.write_sources(in_form(MODELS[name], form), tmp_path)

    compiled.compile_c(cc, [*compiled.STANDARD, "-c", str(source), "-o", str(tmp_path / "m.o")], tmp_path)


@SLOW
@given(data=st.data(), model=st.one_of(strategies.count_vectorizers(), strategies.tfidf_vectorizers()))
def test_c_scores_equal_program(data: st.DataObject, model: CountVectorizer | TfidfVectorizer) -> None:
    """Any vocabulary, any setting, any text: the compiled counts and weights are the Program's, bit for bit."""
    form = data.draw(st.sampled_from(TEXT_FORMS))
    program = model.lower()
    counter = model.counter if isinstance(model, TfidfVectorizer) else model
    texts = data.draw(st.lists(strategies.texts_of(strategies.known_strings(counter)), min_size=50, max_size=80))
    op = program.steps[0].op
    assert isinstance(op, TermCounts)
    texts += op.samples(20)

    with tempfile.TemporaryDirectory() as directory:
        chosen = in_form(model, form)
        library = compiled.load(chosen, Path(directory))
        scores = compiled.scores(library, [text.encode() for text in texts], program.n_outputs)

    expected = program.run(text_array(texts)).tobytes()
    assert expected == scores.tobytes()
    assert form == "sorted" or expected == chosen.run(text_array(texts)).tobytes()


@SLOW
@given(data=st.data(), model=strategies.markov_models())
def test_c_suggestions_equal_program(data: st.DataObject, model: MarkovModel) -> None:
    """Any model, any prefix, any number of suggestions: the same texts and the same bits of scores."""
    op = model.suggest_op()
    prefixes = data.draw(st.lists(strategies.prefixes(model), min_size=30, max_size=60))
    prefixes += op.samples(10)
    k = data.draw(st.integers(0, 20))

    with tempfile.TemporaryDirectory() as directory:
        program = in_form(model, data.draw(st.sampled_from(TEXT_FORMS)))
        library = compiled.load(program, Path(directory))
        found = [compiled.suggestions(library, prefix.encode(), k) for prefix in prefixes]

    chosen = program.steps[0].op
    assert isinstance(chosen, Suggest)
    assert [op.suggest(prefix, k) for prefix in prefixes] == [chosen.suggest(prefix, k) for prefix in prefixes]
    expected = [tuple((text.encode(), score) for text, score in op.suggest(prefix, k)) for prefix in prefixes]
    assert expected == found


def short_strings(alphabet: str, longest: int) -> list[str]:
    """Every string over the alphabet up to a length."""
    return ["".join(chars) for size in range(longest + 1) for chars in itertools.product(alphabet, repeat=size)]


@BOTH
@pytest.mark.parametrize("is_lower", [True, False])
def test_every_sigma_in_every_short_text(is_lower: bool, form: TextForm, tmp_path: Path) -> None:
    """A capital sigma beside letters, ignorable characters, digits, spaces and other sigmas: as Python lowercases."""
    alphabet = "aΣ'1 "
    texts = short_strings(alphabet, 6)
    lowered = short_strings("a\u03c2\u03c3'1", 3)[1:]
    words = lowered if is_lower else short_strings("aΣ'1", 3)[1:]
    stops = () if is_lower else tuple(word for word in lowered if "\u03c2" in word)
    model = CountVectorizer(tuple((word, i) for i, word in enumerate(words)), is_lower, (1, 1), stops, False)

    program = in_form(model, form)
    scores = compiled.scores(compiled.load(program, tmp_path), [text.encode() for text in texts], len(words))

    for text, row in zip(texts, scores, strict=True):
        tokens = [token.lower() if is_lower else token for token in text.split(" ") if token.lower() not in stops]
        assert {word: tokens.count(word) for word in tokens if word in words} == {
            words[i]: int(row[i]) for i in np.flatnonzero(row)
        }
    assert program.run(text_array(texts[::7])).tobytes() == scores[::7].tobytes()


@BOTH
@pytest.mark.parametrize("is_stripped", [True, False])
def test_every_character_folds(is_stripped: bool, form: TextForm, tmp_path: Path) -> None:
    """Each character that changes, and each that another becomes, counts as what it becomes and as nothing else."""
    characters = sorted({*LOWER, *LOWER.values(), *ACCENTS, *ACCENTS.values()})
    plain = [chr(code) for code in characters if chr(code) == lowercase(chr(code))]
    model = CountVectorizer(tuple((char, i) for i, char in enumerate(plain)), True, (1, 1), (), is_stripped)
    texts = text_array([chr(code) for code in characters])

    scores = compiled.scores(
        compiled.load(in_form(model, form), tmp_path), [text.encode() for text in texts], len(plain)
    )

    assert model.predict(texts).tobytes() == scores.tobytes()


@BOTH
def test_every_short_prefix(form: TextForm, tmp_path: Path) -> None:
    """Any white space between the words, and commands, completions and scores that tie wherever they can."""
    commands = ("g", "g c", "g cd", "g\tc", "g\u00a0c", "g \tc", "g \u00a0c", "g c c", "g c \u00bf", "g \u00bfc", "c")
    model = MarkovModel(
        n=3,
        ngrams=(
            ("g", (("c", 1),)),
            ("c", (("c", 1), ("cdd", 1))),
            ("g c", (("cc", 2), ("\u00bf", 2))),
            ("c c", (("c", 1),)),
        ),
        command_freq=tuple((command, 9) for command in commands),
        total_commands=10,
    )
    prefixes = short_strings("gc \t\u00a0\u00bf", 6)

    program = in_form(model, form)
    library = compiled.load(program, tmp_path)

    op = program.steps[0].op
    assert isinstance(op, Suggest)
    for prefix in prefixes:
        found = compiled.suggestions(library, prefix.encode(), 30, 512)
        assert tuple((text.encode(), score) for text, score in model.suggest(prefix, 30)) == found
    assert [model.suggest(prefix, 30) for prefix in prefixes[::5]] == [
        op.suggest(prefix, 30) for prefix in prefixes[::5]
    ]


@BOTH
def test_every_white_space_separates(form: TextForm, tmp_path: Path) -> None:
    """Each of the 25 ends a token and each neighbour of them in the code table does not."""
    program = in_form(CountVectorizer((("a", 0), ("b", 1)), True, (1, 1), (), False), form)
    codes = [code + step for code in map(ord, strategies.SPACES) for step in (-1, 0, 1)]
    texts = [f"a{chr(code)}b" for code in codes]

    scores = compiled.scores(compiled.load(program, tmp_path), [text.encode() for text in texts], 2)

    assert [[float(chr(code) in strategies.SPACES)] * 2 for code in codes] == scores.tolist()


@BOTH
def test_tokens_and_texts_of_any_length(form: TextForm, tmp_path: Path) -> None:
    """A token of a million characters, a million tokens, and a sigma before a million ignorable characters."""
    model = CountVectorizer((("aς", 0), ("b", 1), ("b_b", 2), ("'" * 300, 3)), True, (1, 2), (), False)
    n = 1_000_000
    texts = ["x" * n + " b", "b " * n, "aΣ" + "'" * n, "'" * 300, "Σ" * n, "aΣ" + "\u0301" * n + " aΣ"]

    library = compiled.load(in_form(model, form), tmp_path)
    scores = compiled.scores(library, [text.encode() for text in texts], 4)

    expected = [[0, 1, 0, 0], [0, n, n - 1, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]]
    assert expected == scores.tolist()


def test_suggestions_end_before_the_first_without_room(tmp_path: Path) -> None:
    """With less room the answer is a shorter beginning of the same list; the buffer is never overrun."""
    model = MODELS["shell"]
    assert isinstance(model, MarkovModel)
    library = compiled.load(model.lower(), tmp_path)
    every = tuple((text.encode(), score) for text, score in model.suggest("git  c", 9))

    for room in range(40):
        ends = np.cumsum([len(text) for text, _ in every])
        fitting = every[: int(np.searchsorted(ends, room, side="right"))]
        assert fitting == compiled.suggestions(library, b"git  c", 9, room)
    assert len(every) == 1


FUZZ = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "m.h"

static uint32_t state = 1U;

static uint32_t below(uint32_t n)
{
    state = (state * 1664525U) + 1013904223U;
    return (state >> 8) % n;
}

static const char *const parts[] = {@PARTS@};

int main(void)
{
    char text[1024];
    double total = 0.0;
    for (uint32_t round = 0U; round < 100000U; ++round) {
        size_t n = 0U;
        const uint32_t pieces = below(14U);
        for (uint32_t i = 0U; i < pieces; ++i) {
            const char *part = parts[below(sizeof(parts) / sizeof(parts[0]))];
            if (below(3U) == 0U) {
                text[n++] = (char)below(256U);
            } else {
                memcpy(&text[n], part, strlen(part));
                n += strlen(part);
            }
        }
        char *exact = malloc(n); /* no byte more: the sanitizer sees any read beyond */
        memcpy(exact, text, n);
        @CALL@
        free(exact);
    }
    printf("%.0f\\n", total);
    return 0;
}
"""
CALL_SCORES = (
    "float out[M_N_OUTPUTS]; m_scores_text(exact, n, out); for (int i = 0; i < M_N_OUTPUTS; ++i) { total += out[i]; }"
)
CALL_SUGGEST = """const size_t room = below(60U); char *space = malloc(room); uint32_t lengths[5]; float scores[5];
        total += m_suggest(exact, n, below(6U), space, room, lengths, scores); free(space);"""
BROKEN = (b"\xe2\x80", b"\xce", b"\xf0\x9f", b"\xc2\xa0", b" ", b"\t", b"\xff")


def parts_of(model: Model) -> list[bytes]:
    """What the model knows, whole and in capitals, and pieces of UTF-8."""
    op = model.lower().steps[0].op
    tables = (op.commands, op.words) if isinstance(op, Suggest) else (op.strings,) if isinstance(op, TermCounts) else ()
    readers = [StringReader(table) for table in tables]
    known = [reader.string(index).decode() for reader in readers for index in range(reader.count)]
    spaced = [text.replace("_", " ") + " " for text in known]
    return [text.encode() for text in (*known, *spaced, *map(str.upper, spaced))] + [*BROKEN]


def c_string(data: bytes) -> str:
    return '"' + "".join(f"\\{byte:03o}" for byte in data) + '"'


@BOTH
@pytest.mark.parametrize("name", MODELS)
def test_any_bytes_are_safe(name: str, form: TextForm, tmp_path: Path) -> None:
    """100,000 byte strings, most of them no UTF-8, in buffers of exactly their length: no sanitizer finding."""
    model = MODELS[name]
    call = CALL_SUGGEST if isinstance(model, MarkovModel) else CALL_SCORES
    compiled.write_sources(in_form(model, form), tmp_path)
    parts = ", ".join(map(c_string, parts_of(model)))
    text = FUZZ.replace("@PARTS@", parts).replace("@CALL@", call)
    (tmp_path / "fuzz.c").write_text(text)
    sanitizers = ["-O1", "-g", "-std=c99", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

    sources = [str(tmp_path / "fuzz.c"), str(tmp_path / "m.c")]
    compiled.compile_c(["gcc"], [*sanitizers, *sources, "-o", str(tmp_path / "fuzz")], tmp_path)
    assert compiled.run(tmp_path / "fuzz") > 0 or name == "no_term_can_occur"


def test_tables_are_near_the_size_of_the_vocabulary() -> None:
    """1,000 terms of 5 to 12 letters: 4 bytes a term beside their text, and the stop words that matter to none."""
    generator = np.random.default_rng(7)
    words = {"".join(generator.choice(list("etaoinshrdlu"), generator.integers(5, 13))) for _ in range(1000)}
    vocabulary = tuple((word, index) for index, word in enumerate(sorted(words)))
    text_bytes = sum(map(len, words))
    counter = CountVectorizer(vocabulary, True, (1, 1), ("the", "of", "and"), False)
    op = counter.lower().steps[0].op
    assert isinstance(op, TermCounts)

    print(f"{len(words)} terms, {text_bytes} bytes of text, {op.n_bytes} bytes of tables")
    assert op.n_bytes == text_bytes + 4 * len(words) + 2 + 8  # an end, and one range of capitals


def test_command_tables_are_near_the_size_of_the_commands() -> None:
    """The recorded shell model: its commands take 3 bytes each beside their text."""
    model = MODELS["shell"]
    assert isinstance(model, MarkovModel)
    op = model.suggest_op()
    assert isinstance(op, Suggest)
    commands = sum(len(command) for command, _ in model.command_freq)

    assert op.commands.n_bytes + op.command_level.n_bytes == commands + 3 * len(model.command_freq) + 2
