"""The C that finds strings by perfect hashing counts what the sorted list counts: hostile texts, collisions, rings."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aprgen.costs import TextCost
from aprgen.emit import emit_model
from aprgen.families.vectorizer import CountVectorizer
from aprgen.ops.hashed_suggest import HashedSuggest
from aprgen.ops.hashed_terms import HashedTerms
from aprgen.ops.suggest import Suggest
from aprgen.ops.term_counts import count_terms
from aprgen.passes.text_forms import with_text_forms
from aprgen.program import TEXT, Builder, Program
from aprgen.rows import text_array
from tests.examples import PATHS, PREFIXES, TEXTS, loaded
from tests.text import compiled
from tests.text.test_perfect_hash import words


def vectorizer(terms: Sequence[str], *, high: int = 1, lower: bool = True, stop: Sequence[str] = ()) -> CountVectorizer:
    return CountVectorizer(tuple((term, i) for i, term in enumerate(terms)), lower, (1, high), tuple(stop), False)


def hashed(program: Program) -> tuple[Program, HashedTerms]:
    made = with_text_forms(program, TextCost(), form="hashed")
    op = made.steps[0].op
    assert isinstance(op, HashedTerms)
    return made, op


def counted(program: Program, texts: Sequence[str], directory: Path) -> NDArray[np.float32]:
    """By the C, in buffers of exactly the length of each text."""
    library = compiled.load(program, directory)
    return compiled.scores(library, [text.encode() for text in texts], program.n_outputs)


def assert_counts(program: Program, texts: Sequence[str], directory: Path) -> NDArray[np.float32]:
    """The list, the hash in Python and the hash in C give the same bits."""
    made, _ = hashed(program)
    found = counted(made, texts, directory)
    rows = text_array(list(texts))
    assert program.run(rows).tobytes() == made.run(rows).tobytes()
    assert program.run(rows).tobytes() == found.tobytes()
    return found


def alike(word: str, op: HashedTerms) -> list[str]:
    """Other words of the same length and hash: one letter more where the next is less by the multiplier."""
    made = []
    for at in range(len(word) - 1):
        less = ord(word[at + 1]) - op.hash.multiplier
        if less > 0x20:
            made.append(word[:at] + chr(ord(word[at]) + 1) + chr(less) + word[at + 2 :])
    return made


CASED = vectorizer(["cat", "dog", "stuvwxyz", "Aztec", "zz", "fox_cat"], high=2, lower=False)


def test_collisions_are_confirmed_on_the_text(tmp_path: Path) -> None:
    """Words with the very hash and length of a term do not count."""
    program = CASED.lower()
    _, op = hashed(program)
    texts = [text for term, _ in CASED.vocabulary for text in alike(term, op)]
    for text in texts:
        assert any(
            op.hash.hash(term.encode()) == op.hash.hash(text.encode()) and len(term) == len(text)
            for term, _ in CASED.vocabulary
        )

    assert len(texts) >= 10
    assert not assert_counts(program, texts, tmp_path).any()


def test_without_confirmation_collisions_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault is seen: it is the comparison of bytes, and nothing else, that turns these words away."""
    program = CASED.lower()
    made, op = hashed(program)
    texts = [text for term, _ in CASED.vocabulary for text in alike(term, op)]

    def faulty(program: Program, names: object, folders: object) -> dict[str, str]:
        compare = "if (m_0_strings_text[begin + i] != "
        sound = emit_model(program, compiled.NAMES, ("c99",))
        assert compare in sound["m.c"]
        return {name: text.replace(compare, f"{compare[:-3]}+ 1U == 0U * ") for name, text in sound.items()}

    monkeypatch.setattr(compiled, "emit_model", faulty)
    assert counted(made, texts, tmp_path).sum() >= len(texts)


def near(word: str, chance: random.Random) -> list[str]:
    """Of a word: beginnings, ends, one byte changed, one more, none of it."""
    at = chance.randrange(len(word))
    return [
        word, word[:-1], word[1:], word + "s", "s" + word, word + word, word.upper(), word.title(),
        word[:at] + chr(ord(word[at]) ^ 1) + word[at + 1 :], f"{word}\u00e9", f"{word}\0", word[::-1],
    ]  # fmt: skip


@pytest.mark.parametrize("high", [1, 2, 3])
def test_near_misses(high: int, tmp_path: Path) -> None:
    """Two thousand terms, tokens that nearly are one, between white space of every kind."""
    chance = random.Random(high)
    plain = [word.decode() for word in words(1_200)]
    grams = ["_".join(chance.choice(plain) for _ in range(chance.randint(2, high))) for _ in range(800 * (high > 1))]
    terms = list(dict.fromkeys([*plain, *grams]))
    texts = []
    for _ in range(150):
        tokens: list[str] = []
        for _ in range(8):
            tokens += chance.choice(terms).split("_") if chance.random() < 0.6 else [chance.choice(near("cat", chance))]
        tokens += near(chance.choice(plain), chance)
        texts.append("".join(token + chance.choice((" ", " ", "  ", "\t", "\u3000")) for token in tokens))

    assert assert_counts(vectorizer(terms, high=high).lower(), texts, tmp_path).any()


@pytest.mark.parametrize("lower", [True, False])
def test_rings_outlast_stop_words_and_long_tokens(lower: bool, tmp_path: Path) -> None:
    """An n-gram is found across stop words that are longer than any term, and behind tokens that are longer still."""
    stop = ["nevertheless", "a", "q" * 30]
    terms = ["ab_cd", "cd", "ab", "ab_cd_ef", "cd_" + "x" * 9, "nevertheless_ab"]
    middles = [
        "",
        "nevertheless ",
        "NEVERTHELESS ",
        "a nevertheless a ",
        "Q" * 30 + " ",
        "nevertheless " * 9,
        "\u212a ",
    ]
    texts = [f"{before}ab {middle}cd {middle}{after}" for middle in middles for before in ("", "y" * 500 + " ")
             for after in ("ef", "x" * 9, "x" * 10, "nevertheless ab")]  # fmt: skip

    found = assert_counts(vectorizer(terms, high=3, lower=lower, stop=stop).lower(), texts, tmp_path)
    assert found[: -len(texts) // len(middles), 0].min() == 1


def test_more_terms_than_16_bits_number(tmp_path: Path) -> None:
    """70,000 terms: wide slots, wide columns; each term counts in its own column."""
    terms = [word.decode() for word in words(70_000)]
    op = count_terms({term: i for i, term in enumerate(terms)}, low=1, high=1, is_lower=True, is_stripped=False,
                     stop_words=())  # fmt: skip
    builder = Builder(TEXT)
    program = builder.build(builder.add(op, 0))
    made, found = hashed(program)
    assert found.hash.is_wide
    chosen = list(range(0, 70_000, 700))

    counts = counted(made, [" ".join(terms[i] for i in chosen)], tmp_path)[0]
    assert chosen == np.flatnonzero(counts).tolist()
    assert program.run(text_array([terms[-1]])).tobytes() == made.run(text_array([terms[-1]])).tobytes()


@pytest.mark.parametrize("name", TEXTS)
def test_recorded_texts(name: str, tmp_path: Path) -> None:
    """The original's answers to its texts, by the hash."""
    program = loaded(name).model.lower()
    made, _ = hashed(program)
    texts = json.loads(PATHS[name].with_suffix(".json").read_text(encoding="utf-8"))["text_inputs"]

    assert program.run(text_array(texts)).tobytes() == counted(made, texts, tmp_path).tobytes()


@pytest.mark.parametrize("name", PREFIXES)
def test_recorded_prefixes(name: str, tmp_path: Path) -> None:
    """Contexts by the hash: the suggestions of the sorted table, for each beginning of each command."""
    program = loaded(name).model.lower()
    made = with_text_forms(program, TextCost(), form="hashed")
    op, plain = made.steps[0].op, program.steps[0].op
    assert isinstance(plain, Suggest)
    assert isinstance(op, HashedSuggest)
    library = compiled.load(made, tmp_path)
    prefixes = sorted({command[:size] for command in plain.samples(60) for size in range(len(command) + 1)})

    for prefix in prefixes:
        expected = plain.suggest(prefix, 9)
        assert expected == op.suggest(prefix, 9)
        found = compiled.suggestions(library, prefix.encode(), 9)
        assert tuple((text.encode(), score) for text, score in expected) == found
