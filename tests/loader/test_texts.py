"""The device's loader on texts: vectorizers and completions as the Program, on terms, strangers and broken UTF-8."""

from __future__ import annotations

import numpy as np
import pytest

from aprgen.container.bincode import encode
from aprgen.native import write_native
from aprgen.native.structures import STEPS
from aprgen.ops.suggest import Suggest
from aprgen.ops.term_counts import count_terms
from aprgen.ops.tfidf import weigh
from aprgen.program import TEXT, Array, Builder, Program
from aprgen.rows import text_array
from aprgen.text_rows import text_rows
from aprgen.verify import same_bits
from tests.examples import loaded
from tests.loader.library import Loader
from tests.native.payloads import NAMES, data_changed, native_file, native_payload, section_of
from tests.native.test_hostile import set_to
from tests.random_models import BY_NAME

TEXT_ROWS = 150
NOT_UTF8 = (b"\xff", b"cat \xc3", b"\xed\xa0\x80", b"the \xf4\x90\x80\x80 cat")


def counted(program: Program, loader: Loader) -> None:
    texts = [str(text) for text in text_rows(program, TEXT_ROWS, 3).values]
    expected = program.run(text_array(texts))
    found = [loader.text(text.encode()) for text in texts]

    assert [status for status, _ in found] == [0] * len(texts)
    assert same_bits(expected, np.stack([scores for _, scores in found])).all()


@pytest.mark.parametrize("name", ["count_vectorizer", "tfidf"])
def test_vectorizers(name: str) -> None:
    """Counts and weights of the fixtures."""
    loader = Loader()

    assert loader.load(native_file(name)) == "OK"
    counted(loaded(name).model.lower(), loader)
    assert {loader.text(text)[0] for text in NOT_UTF8} == {4}


VOCABULARY = {"the": 0, "cat": 1, "the_cat": 2, "\u03bf\u03b4\u03bf\u03c3": 3, "caf\u00e9": 4, "i\u0307": 5, "a_b_c": 6}


@pytest.mark.parametrize("is_lower", [True, False])
@pytest.mark.parametrize("is_stripped", [True, False])
@pytest.mark.parametrize("stop_words", [(), ("cat", "a", "the")])
def test_vocabularies(is_lower: bool, is_stripped: bool, stop_words: tuple[str, ...]) -> None:
    """n-grams, sigmas, accents and stop words in every combination of foldings; and their weights, with an index."""
    counts = count_terms(
        VOCABULARY, low=1, high=3, is_lower=is_lower, is_stripped=is_stripped, stop_words=stop_words
    )
    for sublinear in (None, False, True):
        builder = Builder(TEXT)
        at = builder.add(counts, 0)
        if sublinear is not None:
            at = builder.add(weigh(np.array([1.5, 2.25, 1.5, 1.5, 0.0, 1.5, 1e30]), sublinear=sublinear), at)
        program = builder.build(at)
        loader = Loader()

        assert loader.open(write_native(program, NAMES)) == "OK"
        counted(program, loader)


def suggested(program: Program, loader: Loader, k: int) -> None:
    op = program.steps[0].op
    assert isinstance(op, Suggest)
    prefixes = [str(text) for text in text_rows(program, TEXT_ROWS, 5).values]
    for prefix in prefixes:
        expected = [(text, np.float32(score)) for text, score in op.suggest(prefix, k)]
        found = [(text, np.float32(score)) for text, score in loader.suggest(prefix.encode(), k)]

        assert expected == found, prefix


@pytest.mark.parametrize("k", [1, 5])
def test_completions(k: int) -> None:
    """Texts and scores of the fixture's best completions."""
    loader = Loader()

    assert loader.load(native_file("ngram_shell")) == "OK"
    suggested(loaded("ngram_shell").model.lower(), loader, k)
    assert loader.suggest(b"\xff \xfe", 3) == []


def test_a_model_without_contexts_or_commands() -> None:
    """Empty tables are tables, too."""
    fields = {"n": 3, "ngrams": (), "command_freq": (), "total_commands": 0, "last_trained_pos": 0}
    for commands in ((), (("git status", 3), ("git push", 3))):
        struct = BY_NAME["MarkovModel"]
        model = struct.build({**fields, "command_freq": commands, "total_commands": 6})
        assert encode(struct.codec, {**fields, "command_freq": commands})
        program = model.lower()
        loader = Loader()

        assert loader.open(write_native(program, NAMES)) == "OK"
        suggested(program, loader, 5)


def test_room_for_completions() -> None:
    """A suggestion that does not fit ends the list, whole suggestions before it stay."""
    loader = Loader()
    loader.load(native_file("ngram_shell"))
    everything = loader.suggest(b"git", 5)
    first = len(everything[0][0].encode())

    assert everything[:1] == loader.suggest(b"git", 5, room=first)
    assert loader.suggest(b"git", 5, room=first - 1) == []


def test_kinds_of_calls_are_kept_apart() -> None:
    """A text model takes no rows, and a row model no texts."""
    loader = Loader()
    loader.load(native_file("tfidf"))
    row = np.zeros(4, np.float32)
    assert loader.predict(row, 0, loader.shape[1], loader.workspace_bytes // 4) == 1
    loader.load(native_file("linreg"))
    assert loader.text(b"cat")[0] == 1
    assert loader.suggest(b"git", 3) == []


@pytest.mark.parametrize(
    ("name", "step", "field", "value", "index"),
    [
        ("count_vectorizer", 0, "parameter", 0, (0, 1)),
        ("count_vectorizer", 0, "parameter", 17, (0, 2)),
        ("count_vectorizer", 0, "parameter", 60_000, (0, 3)),
        ("count_vectorizer", 0, "table", 0xFFFF, (0, 1)),
        ("tfidf", 1, "table", 0xFFFF, (1, 0)),
        ("tfidf", 1, "parameter", 2, (1, 1)),
        ("ngram_shell", 0, "parameter", 60_000, (0, 1)),
        ("ngram_shell", 0, "parameter", 60_000, (0, 3)),
        ("ngram_shell", 0, "parameter", 17, (0, 4)),
        ("ngram_shell", 0, "parameter", 19, (0, 5)),
        ("ngram_shell", 0, "table", 0xFFFF, (0, 9)),
    ],
)
def test_steps_that_lie(name: str, step: int, field: str, value: int, index: object) -> None:
    """Numbers and tables of text steps that would lead outside."""
    payload = native_payload(name)
    changed = data_changed(payload, section_of(payload, STEPS), set_to(field, value, index))

    assert step >= 0
    assert Loader().open(changed) in ("TABLE", "STEP")


def test_offsets_that_go_back() -> None:
    """Strings that end before they begin, or behind their text."""
    payload = native_payload("count_vectorizer")
    offsets = section_of(payload, 5) + 1

    def back(data: Array) -> None:
        data[1] = data[2] + 1

    def beyond(data: Array) -> None:
        data[-1] += 1

    assert Loader().open(data_changed(payload, offsets, back)) == "TABLE"
    assert Loader().open(data_changed(payload, offsets, beyond)) == "TABLE"
