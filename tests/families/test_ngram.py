"""Command completion: recorded answers, what suggest() means, what is refused, and the Program."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.container.bincode import decode, encode
from aprgen.errors import AprgenError, PayloadError, UnsupportedError
from aprgen.families.ngram import STRUCTS, SUGGESTIONS, MarkovModel, is_corrupted_command, is_corrupted_word
from aprgen.loaded import load_model
from aprgen.rows import text_array
from tests.recorded import DATA, floats
from tests.text import strategies

SHELL = DATA / "real" / "ngram_shell.apr"
MODEL = MarkovModel(
    n=2,
    ngrams=(("git", (("commit", 2), ("commit-m", 1), ("checkout", 1))), ("a b", (("c", 1),)), ("", (("git", 4),))),
    command_freq=(("git commit -m", 1), ("git commit", 1), ("git  push", 3), ("git\tadd", 1)),
    total_commands=4,
)


def test_recorded_answers() -> None:
    """All recorded prefixes: texts, order and bits of scores, from predict() and from the tables of the C."""
    facts = json.loads(SHELL.with_suffix(".json").read_text())
    model = load_model(SHELL.read_bytes()).model
    assert isinstance(model, MarkovModel)
    model.check()
    op = model.suggest_op()

    assert len(facts["queries"]) == 12
    for query in facts["queries"]:
        expected = tuple((text, float(floats(score)[0])) for text, score in query["suggestions"])
        assert expected == model.suggest(query["prefix"], 100)
        assert expected == op.suggest(query["prefix"], 100)
        assert expected[:3] == op.suggest(query["prefix"], 3)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), model=strategies.markov_models())
def test_program_suggests_as_predict_does(data: st.DataObject, model: MarkovModel) -> None:
    """The search over sorted tables finds what filtering and sorting all candidates finds."""
    model.check()
    prefixes = data.draw(st.lists(strategies.prefixes(model), min_size=1, max_size=15))
    op = model.suggest_op()

    for prefix in prefixes:
        assert model.suggest(prefix, 30) == op.suggest(prefix, 30)
    assert model.predict(text_array(prefixes)).tobytes() == model.lower().run(text_array(prefixes)).tobytes()


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("git c", [("git commit", 0.25), ("git commit -m", 0.25), ("git checkout", 0.225)]),
        ("git  c", [("git commit", 0.45), ("git checkout", 0.225)]),
        ("\u3000git c \n", [("git commit", 0.25), ("git commit -m", 0.25), ("git checkout", 0.225)]),
        ("git\t", [("git\tadd", 0.25), ("git commit", 0.25), ("git commit -m", 0.25)]),
        ("git\ta", [("git\tadd", 0.25)]),
        ("x y git c", [("x y git commit", 0.45), ("x y git checkout", 0.225)]),
        ("a b c", []),
        ("gitc", []),
    ],
)
def test_meaning(prefix: str, expected: list[tuple[str, float]]) -> None:
    """A command hides the completion of the same text, white space is trimmed, contexts have single spaces."""
    rounded = tuple((text, float(np.float32(score))) for text, score in expected)

    assert rounded == MODEL.suggest(prefix, 9)
    assert rounded == MODEL.suggest_op().suggest(prefix, 9)


def test_scores_are_padded_with_zeros() -> None:
    """predict() gives the scores of the best five, then zeros."""
    scores = MODEL.predict(text_array(["git c", "zzz"]))

    assert scores.shape == (2, SUGGESTIONS)
    assert [np.float32(0.25), np.float32(0.25), np.float32(0.225), 0, 0] == scores[0].tolist()
    assert not scores[1].any()


@pytest.mark.parametrize(
    ("command", "corrupted"),
    [
        ("git commit-m x", True),
        ("add--all", True),
        ("commit-am", True),
        ("commit-amend", False),
        ("commit-", False),
        ("-commit", False),
        ("checkout feature-branch", False),
        ("add-é", True),
        ("add-éé", False),
        ("gitr push", True),
        ("x gitr", False),
        ("a  b", True),
        ("a \\ ", True),
        ("a \\\u3000", True),
        ("a \\b", False),
        ("gi tpush", False),
    ],
)
def test_corrupted_commands(command: str, corrupted: bool) -> None:
    """What looks run together or mistyped is never suggested; lengths of flags are in bytes."""
    assert corrupted == is_corrupted_command(command)


def test_corrupted_words_count_in_the_total() -> None:
    """`commit-m` is not suggested after `git`, but it is one of the four words seen there."""
    assert is_corrupted_word("commit-m")
    scores = {text: np.float32(share) * np.float32(0.9) for text, share in (("commit", 0.5), ("checkout", 0.25))}
    assert {f"x git {word}": float(score) for word, score in scores.items()} == dict(MODEL.suggest("x git c", 9))


def test_no_limit_on_commands_that_share_a_prefix() -> None:
    """The original keeps an arbitrary 4 * count of them; here the best of all are given."""
    commands = tuple((f"c{i:03}", 1 + i) for i in range(300))
    model = MarkovModel(n=2, ngrams=(), command_freq=commands, total_commands=300)

    assert [f"c{i}" for i in (299, 298, 297)] == [text for text, _ in model.suggest("c", 3)]
    assert model.suggest("c", 3) == model.suggest_op().suggest("c", 3)


def test_layout() -> None:
    """A payload is decoded to the model that it was encoded from, under both of its numbers."""
    (struct,) = STRUCTS
    fields: dict[str, object] = {
        "n": 3,
        "ngrams": (("git", (("push", 2),)),),
        "command_freq": (("ls", 1),),
        "total_commands": 3,
        "last_trained_pos": 2,
    }
    model = struct.build(decode(struct.codec, encode(struct.codec, fields)))

    assert vars(MarkovModel(3, (("git", (("push", 2),)),), (("ls", 1),), 3, 2)) == vars(model)
    assert struct.model_types == (0x0010, 0x00FF)


@pytest.mark.parametrize(
    ("changes", "kind", "what"),
    [
        ({"command_freq": (), "ngrams": ()}, UnsupportedError, "never fitted"),
        ({"n": 0}, PayloadError, "n-grams of 0 words"),
        ({"ngrams": (("a", (("b", 2**31), ("c", 2**31))),)}, PayloadError, "add up to 4294967296"),
        ({"ngrams": (("a", (("b", 0),)),)}, PayloadError, "add up to 0"),
        (
            {"n": 99, "ngrams": ((" ".join("a" * 17), (("b", 1),)),)},
            UnsupportedError,
            "contexts of 17 words",
        ),
        ({"command_freq": (("x" * (5 << 20), 1),)}, UnsupportedError, "1 commands of 5242880 bytes"),
    ],
)
def test_refusals(changes: dict[str, object], kind: type[AprgenError], what: str) -> None:
    """Models that cannot answer, or that no device could hold, are refused in words."""
    with pytest.raises(kind) as caught:
        replace(MODEL, **changes).check()  # type: ignore[arg-type]
    assert what in caught.value.what
    assert caught.value.exit_status == (3 if kind is PayloadError else 5)


def test_tables_hold_only_what_can_be_suggested() -> None:
    """Corrupted commands and words, and contexts that no lookup can find, take no space."""
    op = MODEL.suggest_op()

    assert (op.commands.count, op.words.count, op.n_contexts) == (3, 3, 1)
