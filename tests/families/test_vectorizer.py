"""Text vectorizers: recorded answers, what predict() means, what is refused, and the Program."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aprgen.container.bincode import decode, encode
from aprgen.errors import AprgenError, PayloadError, UnsupportedError
from aprgen.families.vectorizer import STRUCTS, CountVectorizer, TfidfVectorizer
from aprgen.loaded import load_model
from aprgen.ops.term_counts import TermCounts
from aprgen.ops.tfidf import Tfidf
from aprgen.rows import text_array
from tests.recorded import DATA
from tests.text import strategies

COUNT, TFIDF = STRUCTS


def counter(
    *terms: str, low: int = 1, high: int = 1, stop: tuple[str, ...] = (), lower: bool = True, strip: bool = False
):
    vocabulary = tuple((term, index) for index, term in enumerate(terms))
    return CountVectorizer(vocabulary, lower, (low, high), stop, strip)


def ulps_apart(a: NDArray[np.float32], b: NDArray[np.float32]) -> int:
    """Results are not negative, so their bits are ordered as they are."""
    return int(np.abs(a.view(np.int32).astype(np.int64) - b.view(np.int32)).max(initial=0))


@pytest.mark.parametrize("name", ["count_vectorizer", "tfidf"])
def test_recorded_answers(name: str) -> None:
    """predict() and the Program give the recorded float64 values, rounded once."""
    path = DATA / "extended" / f"{name}.apr"
    facts = json.loads(path.with_suffix(".json").read_text())
    words = [row.split() for row in facts["outputs"]["transform_f64"]]
    expected = np.array([[int(word, 16) for word in row] for row in words], np.uint64).view(np.float64)
    texts = text_array(facts["text_inputs"])
    model = load_model(path.read_bytes()).model
    model.check()

    assert len(texts) == 6
    assert expected.astype(np.float32).tobytes() == model.predict(texts).tobytes()
    assert expected.astype(np.float32).tobytes() == model.lower().run(texts).tobytes()


@settings(max_examples=150, deadline=None)
@given(data=st.data(), model=strategies.count_vectorizers())
def test_program_counts_as_predict_does(data: st.DataObject, model: CountVectorizer) -> None:
    """The state machine over folded bytes counts what splitting, lowercasing and joining strings counts."""
    model.check()
    texts = data.draw(st.lists(strategies.texts_of(strategies.known_strings(model)), min_size=10, max_size=20))
    rows = text_array(texts)

    assert model.predict(rows).tolist() == model.lower().run(rows).tolist()


@settings(max_examples=60, deadline=None)
@given(data=st.data(), model=strategies.tfidf_vectorizers())
def test_program_weighs_as_predict_does(data: st.DataObject, model: TfidfVectorizer) -> None:
    """Without a logarithm equal; with one at most one ulp apart in each weight, which tolerance() covers."""
    rows = text_array(data.draw(st.lists(strategies.texts_of(strategies.known_strings(model.counter)), min_size=10)))
    expected, found = model.predict(rows), model.lower().run(rows)

    assert ulps_apart(expected, found) <= (1 if model.sublinear else 0)
    assert (np.abs(expected.astype(np.float64) - found) <= model.tolerance(rows, expected)).all()


@pytest.mark.parametrize(
    ("model", "text", "expected"),
    [
        (counter("a_b", "b_c", "a", low=2, high=2), "a b c a b", [2, 1, 0]),
        (counter("a_b", "a", high=2), "a_b a b", [2, 1]),
        (counter("a_b_c", low=2, high=3), "a_b c a b_c a b c", [3]),
        (counter("a_b", high=2, stop=("the",)), "a THE b", [1]),
        (counter("a_b", high=2, stop=("the",)), "a x b", [0]),
        (counter("the", "a", stop=("the",)), "The a", [0, 1]),
        (counter("The", "a", stop=("the",), lower=False), "The the a A", [0, 1]),
        (counter("a_the_b", high=3, stop=("the_b", "the")), "a the b", [0]),
        (counter("a_the_b", high=3, stop=("the_b",)), "a the b a the_b", [1]),
        (counter("cafe", "café", strip=True), "CAFÉ cafe\u0301 cafe", [2, 0]),
        (counter("café", "cafe"), "CAFÉ cafe", [1, 1]),
        (counter("όσος", "όσοσ"), "ΌΣΟΣ όσοσ ΌΣΟΣ-1 ΌΣΟΣ-Ω", [1, 1]),
        (counter("CAT", "cat"), "CAT Cat", [0, 2]),
        (counter("straße", "strasse"), "STRAßE STRASSE STRAẞE", [2, 1]),
        (counter("i\u0307", "i", "\u0131"), "İ I \u0131 i", [1, 2, 1]),
        (counter("", "a b", "a"), " a b ", [0, 0, 1]),
        (counter("a", low=3, high=2), "a a a", [0]),
        (counter("a", "\0", "a\x1fb"), "a\0 \0 a\x1fb", [0, 1, 1]),
        (counter("ab"), "a\u00adb ab\ufeff ab", [1]),
    ],
)
def test_meaning(model: CountVectorizer, text: str, expected: list[int]) -> None:
    """N-grams, stop words, accents, sigmas and dots as the original treats them."""
    rows = text_array([text])

    assert [expected] == model.predict(rows).tolist()
    assert [expected] == model.lower().run(rows).tolist()


def test_stop_words_that_matter_to_no_count_take_no_space() -> None:
    """With single tokens a stop word matters only if it is a term; with n-grams it joins its neighbours."""
    for model, strings in ((counter("a", "b", stop=("the", "b")), 2), (counter("a", "a_b", high=2, stop=("the",)), 3)):
        op = model.lower().steps[0].op
        assert isinstance(op, TermCounts)
        assert op.strings.count == strings


def test_idf_is_kept_once_for_each_value() -> None:
    """Terms of equal document frequency share one float64; few terms, all different, keep their own."""
    shared = TfidfVectorizer(counter(*"abcdefgh"), np.array([1.5, 2.0] * 4), False).lower().steps[1].op
    alone = TfidfVectorizer(counter(*"ab"), np.array([1.5, 2.0]), False).lower().steps[1].op

    assert isinstance(shared, Tfidf)
    assert isinstance(alone, Tfidf)
    assert (shared.n_bytes, alone.n_bytes) == (2 * 8 + 8, 2 * 8)


def payload(**changes: object) -> dict[str, object]:
    fields: dict[str, object] = {
        "vocabulary": (("a", 0), ("b", 1)),
        "lowercase": True,
        "max_features": 7,
        "ngram_range": (1, 2),
        "min_df": 1,
        "max_df": 1.0,
        "stop_words": {"stop_words": ("the",)},
        "strip_accents": False,
    }
    return fields | changes


def test_layout() -> None:
    """A payload is decoded to the model that it was encoded from."""
    model = COUNT.build(decode(COUNT.codec, encode(COUNT.codec, payload())))
    tfidf = {"count_vectorizer": payload(stop_words=None), "idf_values": np.array([1.0, 2.0]), "sublinear_tf": True}
    weighted = TFIDF.build(decode(TFIDF.codec, encode(TFIDF.codec, tfidf)))

    assert isinstance(model, CountVectorizer)
    assert isinstance(weighted, TfidfVectorizer)
    assert (model.vocabulary, model.ngram_range, model.stop_words) == ((("a", 0), ("b", 1)), (1, 2), ("the",))
    assert (weighted.idf.tolist(), weighted.sublinear, weighted.counter.stop_words) == ([1.0, 2.0], True, ())
    assert "max_features" in [fact.label for fact in model.facts()]


@pytest.mark.parametrize(
    ("changes", "kind", "what"),
    [
        ({"vocabulary": ()}, UnsupportedError, "never fitted"),
        ({"vocabulary": (("a", 0), ("b", 0))}, PayloadError, "not 0 to 1, each once"),
        ({"vocabulary": (("a", 0), ("b", 2**63))}, PayloadError, "largest 9223372036854775808"),
        ({"ngram_range": (0, 1)}, PayloadError, "n-grams of 0 tokens"),
        ({"vocabulary": (("_" * 20, 0),), "ngram_range": (1, 2**64 - 1)}, UnsupportedError, "terms of up to 21 tokens"),
        ({"vocabulary": (("a" * (4 << 20), 0), ("b", 1))}, UnsupportedError, "at most 131070"),
    ],
)
def test_refusals(changes: dict[str, object], kind: type[AprgenError], what: str) -> None:
    """Vocabularies that make no sense, or that no device could hold, are refused in words."""
    model = COUNT.build(decode(COUNT.codec, encode(COUNT.codec, payload(**changes))))

    with pytest.raises(kind) as caught:
        model.check()
    assert what in caught.value.what
    assert caught.value.exit_status == (3 if kind is PayloadError else 5)


def test_more_terms_than_halvings_find_are_refused() -> None:
    """131,070 terms are accepted, one more is not."""
    terms = [str(i) for i in range(131_071)]

    counter(*terms[:-1]).check()
    with pytest.raises(UnsupportedError) as caught:
        counter(*terms).check()
    assert "131071 terms and stop words" in caught.value.what


@pytest.mark.parametrize(
    ("idf", "kind", "what"),
    [
        ([], UnsupportedError, "never fitted"),
        ([1.0], PayloadError, "1 idf values for 2 terms"),
        ([1.0, np.nan], PayloadError, "nan at index 1"),
        ([-1.0, 1.0], PayloadError, "an idf of -1.0 at index 0"),
        ([1.0, 1e300], PayloadError, "an idf of 1e+300 at index 1"),
        ([1.0, 1e-300], PayloadError, "an idf of 1e-300 at index 1"),
        ([1.0, -0.0], PayloadError, "an idf of -0.0 at index 1"),
    ],
)
def test_idf_refusals(idf: list[float], kind: type[AprgenError], what: str) -> None:
    """Weights must be there for each term, finite, not negative and no larger than float32 can hold when counted."""
    with pytest.raises(kind) as caught:
        TfidfVectorizer(counter("a", "b"), np.array(idf, np.float64), False).check()
    assert what in caught.value.what


def test_facts_and_shape() -> None:
    """A text model has no features and no classes; its facts say how large the vocabulary is."""
    model = counter("ab", "c")

    assert model.classify(text_array(["c"])) is None
    assert model.n_features == 0
    assert {fact.label: fact.value for fact in model.facts()}["bytes of terms"] == 3
    assert replace(model, vocabulary=()).facts()[0].value == 0
