"""Which form looks the strings of a text up: the one that costs less for the goal, where it is there at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aprgen.core import Options, compile_model
from aprgen.costs import TextCost
from aprgen.errors import UnsupportedError, UsageError
from aprgen.families.ngram import MarkovModel
from aprgen.families.vectorizer import CountVectorizer
from aprgen.ops.hashed_terms import HashedTerms, hashed_terms
from aprgen.ops.term_counts import TermCounts
from aprgen.passes.text_forms import TextForm, with_text_forms, work_of
from aprgen.program import Op, Program
from aprgen.target import load_target, target_names
from tests.examples import PREFIXES, TEXTS, loaded
from tests.text.test_perfect_hash import thue_morse, words

WIDE = TextCost()


def vectorizer(count: int) -> Program:
    terms = tuple((word.decode(), index) for index, word in enumerate(words(count)))
    return CountVectorizer(terms, True, (1, 1), (), False).lower()


def chosen(program: Program, cost: TextCost, goal: str | None = None, form: TextForm | None = None) -> Op:
    return with_text_forms(program, cost, goal, form).steps[0].op  # type: ignore[arg-type]


def test_time_is_for_the_hash() -> None:
    """Without a goal, and for either time, a hundred words are hashed on every target."""
    program = vectorizer(100)

    for name in target_names():
        cost = load_target(name).text
        assert [chosen(program, cost, goal).kernel for goal in (None, "mean", "wcet")] == ["hashed_terms_f32"] * 3


def test_size_is_a_matter_of_tables_and_code() -> None:
    """Displacements take half a byte or more a word: smaller code of the hash wins for few words, the list for many."""
    cost = load_target("cortex-m4").text
    less = replace(cost, hashed_tokens=cost.sorted_tokens - 50)

    assert [chosen(vectorizer(count), less, "size").kernel for count in (20, 2_000)] == [
        "hashed_terms_f32", "term_counts_f32",
    ]  # fmt: skip
    assert chosen(vectorizer(2_000), replace(cost, hashed_tokens=1, sorted_tokens=3_000), "size").kernel == (
        "hashed_terms_f32"
    )


def test_costs_decide() -> None:
    """With a dear hash time is for the list; with a dear halving it is not."""
    program = vectorizer(100)

    for goal in ("mean", "wcet"):
        assert isinstance(chosen(program, replace(WIDE, found=5_000), goal), TermCounts)
        assert isinstance(chosen(program, replace(WIDE, found=5_000, halving=2_000), goal), HashedTerms)


def test_the_stack_decides() -> None:
    """A ring that is larger than the target allows is not made; two are needed where stop words lose their case."""
    terms = (("x" * 100, 0), ("the", 1))
    plain = CountVectorizer(terms, False, (1, 1), (), False).lower()
    stopped = CountVectorizer(terms, False, (1, 1), ("the",), False).lower()

    assert isinstance(chosen(plain, replace(WIDE, ring_bytes=128)), HashedTerms)
    assert isinstance(chosen(plain, replace(WIDE, ring_bytes=127)), TermCounts)
    assert isinstance(chosen(stopped, replace(WIDE, ring_bytes=255)), TermCounts)
    assert isinstance(chosen(stopped, replace(WIDE, ring_bytes=256)), HashedTerms)


def test_without_a_hash_there_is_the_list() -> None:
    """Strings that collide for every multiplier stay in the list; asking for the hash is refused in words."""
    terms = tuple((word.decode(), index) for index, word in enumerate(thue_morse(128)))
    program = CountVectorizer(terms, True, (1, 1), (), False).lower()
    nothing = MarkovModel(n=2, ngrams=(), command_freq=(("ls", 1),), total_commands=1).lower()

    for one in (program, nothing):
        assert one.steps[0].op is chosen(one, WIDE)
        with pytest.raises(UnsupportedError) as caught:
            chosen(one, WIDE, form="hashed")
        assert caught.value.code == "strategy.form"


@pytest.mark.parametrize("name", [*TEXTS, *PREFIXES])
def test_flash_is_tables_and_code(name: str) -> None:
    """What is compared for size is the op's own tables and the code that the target states."""
    program = loaded(name).model.lower()
    for form in ("sorted", "hashed"):
        op = chosen(program, WIDE, form=form)  # type: ignore[arg-type]
        assert isinstance(op.n_bytes, int)  # type: ignore[attr-defined]
        found = work_of(op, WIDE)  # type: ignore[arg-type]
        assert 1_400 < found.flash_bytes - op.n_bytes < 6_000  # type: ignore[attr-defined]
        assert 0 < found.mean <= found.worst


def test_a_goal_reaches_the_code() -> None:
    """`--optimise size` compiles the list for Cortex-M4, and the same without a goal the hash."""
    target = load_target("cortex-m4")
    kernels = []
    for goal in (None, "size", "mean", "wcet"):
        artifact = compile_model(loaded("count_vectorizer"), target, Options("m", optimise=goal))
        kernels.append("apr_hash.h" in artifact.texts)

    assert kernels == [True, False, True, True]


def test_targets_state_their_costs(tmp_path: Path) -> None:
    """A file states what differs from a wide core; a word that means nothing is refused."""
    path = tmp_path / "own.toml"
    path.write_text('extends = "host"\n[text]\nfound = 7\n')
    assert load_target(str(path)).text == replace(WIDE, found=7)
    path.write_text('extends = "host"\n[text]\nlookup = 7\n')
    with pytest.raises(UsageError):
        load_target(str(path))
    assert load_target("cortex-m0plus").text.ring_bytes < load_target("host").text.ring_bytes


def test_tables_are_near_those_of_the_list() -> None:
    """A thousand terms: displacements of half a byte or so for each, and a 64th more slots."""
    (step,) = vectorizer(1_000).steps
    assert isinstance(step.op, TermCounts)
    made = hashed_terms(step.op)
    assert made is not None

    assert made.n_bytes - step.op.n_bytes == made.hash.displacement.n_bytes + 15 * 4
    assert made.hash.displacement.n_bytes == 512
