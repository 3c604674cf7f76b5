"""Vocabularies, stop words and texts at random, of characters whose folding or spacing is delicate."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from aprgen.families.ngram import MarkovModel
from aprgen.families.vectorizer import CountVectorizer, TfidfVectorizer
from aprgen.ops.tfidf import MIN_IDF
from aprgen.unicode_case import WHITE_SPACE

# Sigmas, dotted and dotless i, sharp s, Kelvin and Angstrom signs, accents that fold and ones that do not, combining
# marks, characters that a sigma looks past, pairs that interleave, other scripts, four-byte characters, NUL.
LETTERS = (
    "aAbB_-.'19\0\x1f\x7f\u00ad\u0301\u0307\u03c3\u03c2\u03a3\u0386\u03acsSßẞ\u017fkK\u212aå\u212bÅ"
    "iI\u0131\u0130éÉñÇŸÿŠš\u01c5\u01c6\u01c4Дд\u0531\u0561中が\U0001f600\U00010400\U00010428\u2019ʰª"
)
SPACES = "".join(map(chr, sorted(WHITE_SPACE)))

words = st.text(st.sampled_from(LETTERS), min_size=1, max_size=4)
terms = st.lists(words, min_size=1, max_size=3).map("_".join)
gaps = st.text(st.sampled_from(SPACES), min_size=0, max_size=2)
strangers = st.text(max_size=3)


def texts_of(known: list[str]) -> st.SearchStrategy[str]:
    """Tokens that are or nearly are the known ones, with any white space or none between."""
    parts = [part for string in known for part in (string, *string.split("_"))] or ["a"]
    token = st.one_of(
        st.sampled_from(parts),
        st.sampled_from(parts).map(str.upper),
        st.sampled_from(parts).map(str.title),
        words,
        strangers,
    )
    return st.lists(st.tuples(gaps, token, st.one_of(st.just(" "), gaps)), max_size=12).map(
        lambda parts: "".join(piece for part in parts for piece in part)
    )


@st.composite
def count_vectorizers(draw: st.DrawFn) -> CountVectorizer:
    vocabulary = draw(st.lists(terms, min_size=1, max_size=12, unique=True))
    columns = draw(st.permutations(range(len(vocabulary))))
    low = draw(st.integers(1, 3))
    return CountVectorizer(
        vocabulary=tuple(zip(vocabulary, columns, strict=True)),
        is_lower=draw(st.booleans()),
        ngram_range=(low, draw(st.integers(1, 4))),
        stop_words=tuple(draw(st.lists(st.one_of(words, st.sampled_from(vocabulary)), max_size=6, unique=True))),
        is_stripped=draw(st.booleans()),
    )


@st.composite
def tfidf_vectorizers(draw: st.DrawFn) -> TfidfVectorizer:
    counter = draw(count_vectorizers())
    size = len(counter.vocabulary)
    idf = draw(st.lists(st.one_of(st.just(0.0), st.floats(MIN_IDF, 30)), min_size=size, max_size=size))
    return TfidfVectorizer(counter, np.array(idf, np.float64), draw(st.booleans()))


def known_strings(counter: CountVectorizer) -> list[str]:
    return [*(term for term, _ in counter.vocabulary), *counter.stop_words]


COMMANDS = ("git", "gi", "commit", "commit-m", "add", "push", "-m", "-", "é", "中", "\\", "a", "ab", "\u00bfq")
command_words = st.sampled_from(COMMANDS)
separators = st.sampled_from((" ", " ", " ", " ", "  ", "\t", "\u00a0", " \u00a0", "\u2003"))


@st.composite
def commands(draw: st.DrawFn) -> str:
    parts = draw(st.lists(st.tuples(command_words, separators), min_size=1, max_size=5))
    text = "".join(piece for part in parts for piece in part)
    return text if draw(st.booleans()) else text.strip()


@st.composite
def markov_models(draw: st.DrawFn) -> MarkovModel:
    counts = st.integers(1, 3)
    context = st.one_of(
        st.just(""), commands(), st.lists(command_words, min_size=1, max_size=4).map(" ".join), st.text(max_size=3)
    )
    followers = st.dictionaries(
        st.one_of(command_words, command_words, st.text(max_size=3)), counts, min_size=1, max_size=6
    )
    frequencies = st.one_of(st.just(9), counts, st.integers(1, 2**32 - 1))  # 9 of 10 ties with a sure next word
    ngrams = draw(st.dictionaries(context, followers, max_size=8))
    return MarkovModel(
        n=draw(st.integers(1, 6)),
        ngrams=tuple((key, tuple(value.items())) for key, value in ngrams.items()),
        command_freq=tuple(draw(st.dictionaries(commands(), frequencies, min_size=1, max_size=12)).items()),
        total_commands=draw(st.one_of(st.just(10), st.integers(0, 40), st.integers(0, 2**64 - 1))),
    )


@st.composite
def prefixes(draw: st.DrawFn, model: MarkovModel) -> str:
    """Beginnings of commands and of contexts with words, at times with other white space than the model has."""
    stems = [command for command, _ in model.command_freq]
    stems += [f"{context} {word}" for context, words in model.ngrams for word, _ in words]
    stem = draw(st.one_of(st.sampled_from(stems), commands(), st.text(max_size=4)))
    cut = stem[: draw(st.integers(0, len(stem)))]
    return draw(gaps) + cut.replace(" ", draw(separators)) + draw(gaps)
