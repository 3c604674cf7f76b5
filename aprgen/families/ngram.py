"""MarkovModel of the aprender-shell crate: completes the start of a shell command.

Knows its layout, what it suggests and how it lowers; knows nothing of files or C.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from aprgen.container.bincode import STRING, U32, U64, Map, Record
from aprgen.errors import UnsupportedError
from aprgen.families.base import EQUAL, Fact, Fields, Floats, Labels, Struct, bad_parameter, unfitted
from aprgen.families.vectorizer import require_strings
from aprgen.ops.suggest import MAX_CONTEXT_WORDS, Suggest, suggestions
from aprgen.program import PREFIX, Array, Builder, Program
from aprgen.unicode_case import WHITE_SPACE, split_whitespace

SUGGESTIONS = 5  # per prefix, when nobody asks for another number
NEXT_WORD = np.float32(0.9)  # what a next word is worth beside a whole command
COUNTS = 1 << 32  # the original sums a context's counts in 32 bits

# What the original never suggests: words run together with a flag, and commands known to be typing errors.
GLUED = frozenset(
    ("commit", "checkout", "clone", "push", "pull", "merge", "rebase", "status", "add", "build", "run", "test")
) | {"install"}
TYPOS = frozenset(
    ("gitr", "giti", "gits", "gitl", "gitp", "cargoo", "cargos", "cargob", "dockerr", "dockers", "npmi", "npmr")
)
_SPACES = "".join(map(chr, sorted(WHITE_SPACE)))

Counts = tuple[tuple[str, int], ...]


def is_corrupted_word(word: str) -> bool:
    """`commit-m`, `add--all`: a subcommand with a flag and no space between. Lengths are of UTF-8 bytes."""
    before, dash, after = word.partition("-")
    return bool(dash and after and before in GLUED and (len(after.encode()) <= 2 or after.startswith("-")))


def is_corrupted_command(command: str) -> bool:
    """The original also looks for a space typed too early (`gi tpush`), but its conditions exclude each other."""
    words = split_whitespace(command)
    return (
        "  " in command
        or command.rstrip(_SPACES).endswith("\\")
        or (bool(words) and words[0] in TYPOS)
        or any(map(is_corrupted_word, words))
    )


@dataclass(frozen=True, eq=False)
class MarkovModel:
    """Whole commands by frequency, and the words that followed up to n - 1 words.

    The original keeps an arbitrary 4 * count of the commands that share a prefix and breaks ties at random. Here all
    are candidates and ties go by text, so with few enough commands the answers are the same, ties aside.
    """

    n: int
    ngrams: tuple[tuple[str, Counts], ...]
    command_freq: Counts
    total_commands: int
    last_trained_pos: int = 0
    family: str = field(default="n-gram command completion", init=False)
    struct: str = field(default="MarkovModel", init=False)
    n_features: int = field(default=0, init=False)
    wider_rows: bool = field(default=False, init=False)
    outputs: str = field(default="the scores of the suggestions", init=False)

    def facts(self) -> tuple[Fact, ...]:
        return (
            Fact("n", self.n),
            Fact("commands", len(self.command_freq)),
            Fact("commands never suggested", sum(is_corrupted_command(command) for command, _ in self.command_freq)),
            Fact("commands trained on", self.total_commands),
            Fact("contexts", len(self.ngrams)),
            Fact("next words", sum(len(words) for _, words in self.ngrams)),
        )

    def check(self) -> None:
        if not self.command_freq and not self.ngrams:
            raise unfitted(self.struct)
        if self.n < 1:
            raise bad_parameter("n-grams of 0 words", where="MarkovModel.n")
        require_strings("commands", [command for command, _ in self.command_freq])
        require_strings("contexts", [context for context, _ in self.ngrams])
        words = {word for context, _ in self.ngrams for word in split_whitespace(context)}
        require_strings("words", [*words.union(word for _, counts in self.ngrams for word, _ in counts)])
        longest = max((len(split_whitespace(context)) for context, _ in self._contexts()), default=0)
        if longest > MAX_CONTEXT_WORDS:
            raise UnsupportedError(
                "model.context",
                f"contexts of {longest} words; at most {MAX_CONTEXT_WORDS} are supported",
                where="MarkovModel.ngrams",
                hint="aprender trains with n from 2 to 5",
            )
        for context, counts in self.ngrams:
            total = sum(count for _, count in counts)
            if total >= COUNTS or (counts and total == 0):
                raise bad_parameter(f"the counts after {context[:40]!r} add up to {total}", where="MarkovModel.ngrams")

    def suggest(self, prefix: str, k: int) -> tuple[tuple[str, float], ...]:
        """The best k completions with their scores, as the original computes them."""
        prefix = prefix.strip(_SPACES)
        tokens = split_whitespace(prefix)
        found = {
            command: self._command_score(count)
            for command, count in self.command_freq
            if command.startswith(prefix) and not is_corrupted_command(command)
        }
        if len(tokens) >= 2:
            before = tokens[:-1]
            context = before[max(len(before) - (self.n - 1), 0) :]
            counts = dict(self.ngrams).get(" ".join(context), ())
            for word, score in next_scores(counts).items():
                completion = " ".join([*before, word])
                if word.startswith(tokens[-1]) and completion not in found:
                    found[completion] = score
        best = sorted(found.items(), key=lambda item: (-float(item[1]), item[0].encode()))
        return tuple((text, float(score)) for text, score in best[:k])

    def predict(self, rows: Array) -> Floats:
        """[prefixes, SUGGESTIONS]: the scores, best first, then zeros."""
        scores = np.zeros((len(rows), SUGGESTIONS), np.float32)
        for prefix, row in zip(rows, scores, strict=True):
            for rank, (_, score) in enumerate(self.suggest(prefix, SUGGESTIONS)):
                row[rank] = score
        return scores

    def tolerance(self, rows: Array, scores: Floats) -> Array:
        return EQUAL

    def classify(self, rows: Array) -> Labels | None:
        return None

    def _command_score(self, count: int) -> np.float32:
        total = np.uint64(max(self.total_commands, 1)).astype(np.float32)
        return np.float32(np.uint32(count).astype(np.float32) / total)

    def _contexts(self) -> tuple[tuple[str, Counts], ...]:
        """Those that a lookup can find: words with single spaces between, n - 1 at most, none only when n is 1."""
        return tuple(
            (context, counts)
            for context, counts in self.ngrams
            if context == " ".join(split_whitespace(context))
            and min(self.n - 1, 1) <= len(split_whitespace(context)) <= self.n - 1
        )

    def suggest_op(self) -> Suggest:
        commands = {
            command: self._command_score(count)
            for command, count in self.command_freq
            if not is_corrupted_command(command)
        }
        followers = {tuple(split_whitespace(context)): next_scores(counts) for context, counts in self._contexts()}
        return suggestions(commands, followers, reach=self.n - 1, size=SUGGESTIONS)

    def lower(self) -> Program:
        builder = Builder(PREFIX)
        return builder.build(builder.add(self.suggest_op(), 0))


def next_scores(counts: Counts) -> Mapping[str, np.float32]:
    """count / total * 0.9, each step rounded to float32; words that are never suggested count in the total."""
    total = np.float32(sum(count for _, count in counts))
    return {
        word: np.float32(np.float32(np.uint32(count).astype(np.float32) / total) * NEXT_WORD)
        for word, count in counts
        if not is_corrupted_word(word)
    }


_COUNTS = Map(STRING, U32)
_MARKOV = Record(
    "MarkovModel",
    (
        ("n", U64),
        ("ngrams", Map(STRING, _COUNTS)),
        ("command_freq", _COUNTS),
        ("total_commands", U64),
        ("last_trained_pos", U64),
    ),
)


def _markov_model(fields: Fields) -> MarkovModel:
    return MarkovModel(
        n=cast(int, fields["n"]),
        ngrams=cast("tuple[tuple[str, Counts], ...]", fields["ngrams"]),
        command_freq=cast(Counts, fields["command_freq"]),
        total_commands=cast(int, fields["total_commands"]),
        last_trained_pos=cast(int, fields["last_trained_pos"]),
    )


STRUCTS: tuple[Struct, ...] = (Struct("MarkovModel", (0x0010, 0x00FF), _MARKOV, _markov_model),)
