"""Suggest op: the best completions of the start of a command, from whole commands and from next words.

Knows the search of its C and the tables it reads; knows nothing of files, families or C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.strings import MISSING, NONE, Choice, Span, StringReader, Strings, smallest_unsigned, sorted_strings
from aprgen.ops.text_bounds import halvings_behind, halvings_of, longest_of
from aprgen.program import PREFIX, Array, Table, ValueType
from aprgen.unicode_case import WHITE_SPACE

MAX_CONTEXT_WORDS = 16  # each costs 2 bytes of stack


@dataclass(frozen=True, eq=False)
class Suggest:
    """Scores of the best `size` suggestions, in order, then zeros; suggest() gives the texts as well.

    Candidates are the commands that start with the trimmed prefix and, from the second word on, the words that
    followed the words before the last one and start with the last one. A higher score is better; equal scores come in
    the byte order of the suggestion. Scores are numbered from the best, so the search compares small integers.
    """

    size: int
    commands: Strings
    command_level: Table  # u8 or u16 [commands]: index into score
    words: Strings  # words of contexts, and next words
    context: Table  # u16 [n_contexts, context_words], sorted; the latest word first, then NONE
    n_contexts: int
    context_words: int
    reach: int  # how many words before the last one are looked at, [0, context_words + 1]
    next_first: Table  # u16 or u32 [n_contexts + 1]: where each context's next words begin
    next_word: Table  # u16, sorted within a context
    next_level: Table  # u8 or u16
    score: Table  # f32, descending

    @property
    def headers(self) -> tuple[str, ...]:
        return ("apr_text.h",)

    @property
    def kernel(self) -> str:
        return "suggest_f32"

    @property
    def n_bytes(self) -> int:
        """Constant memory, without code."""
        tables = (self.command_level, self.context, self.next_first, self.next_word, self.next_level, self.score)
        return self.commands.n_bytes + self.words.n_bytes + sum(table.n_bytes for table in tables)

    def result(self, prefix: ValueType) -> ValueType:
        if prefix != PREFIX:
            raise ValueError(f"suggest takes a prefix, not {prefix}")
        return ValueType("f32", self.size)

    def samples(self, count: int) -> tuple[str, ...]:
        """Prefixes of commands, known words and strangers, to try the C with; the same on every machine."""
        choice = Choice("suggest")
        commands, words = (
            [*map(reader.string, range(reader.count))] or [b""] for reader in map(StringReader, self._tables)
        )
        longest = max(commands, key=lambda command: (len(command.split()), command)).decode()
        texts = [longest[: longest.rfind(" ") + 2], "", longest[:1], "unknown command"]
        while len(texts) < count:
            command = choice.of(commands).decode()
            text = command[: choice.below(len(command) + 1)]
            if choice.below(3) == 0:
                text += choice.of((" ", "  ", "\t")) + choice.of(words).decode()[:2]
            texts.append(text)
        return tuple(texts[:count])

    @property
    def longest_bytes(self) -> int:
        """Bytes of the longest command or word; a suggestion has at most this and the bytes of its prefix."""
        return max(
            (len(reader.string(i)) for reader in map(StringReader, self._tables) for i in range(reader.count)),
            default=0,
        )

    @property
    def longest_command(self) -> int:
        return longest_of(self.commands)

    @property
    def longest_word(self) -> int:
        """Bytes of the longest word that a table has."""
        return longest_of(self.words)

    @property
    def command_bytes(self) -> int:
        """That are read, at most, until no command begins like them."""
        return self.longest_command + 1

    @property
    def word_bytes(self) -> int:
        return self.longest_word + 1

    @property
    def again(self) -> int:
        """Halves of a byte that are read twice at the ends of words, of which two or more are looked for."""
        return 8 * max(self.reach, self.context_words)

    @property
    def command_halvings(self) -> int:
        """By which a command is found, at most."""
        return halvings_of(self.commands)

    @property
    def next_bytes(self) -> int:
        """By which commands are narrowed, at most, to see which next words of one context make one."""
        return self._most_alike(lambda lengths: lengths - 1)

    @property
    def next_halvings(self) -> int:
        """The same: halvings. The first byte of such a word is in the prefix, behind a space."""
        taken = halvings_behind(self.commands, ord(" "), 1, self.longest_word)
        return self._most_alike(lambda lengths: taken[lengths - 1])

    def _most_alike(self, amounts: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> int:
        """Sums of amounts by length, for next words of one context that begin with the same byte; the most."""
        offset = self.words.offsets.data.astype(np.int64)
        rows = np.diff(self.next_first.data.astype(np.int64)).astype(np.intp)
        word = self.next_word.data[: rows.sum()]
        lengths = np.maximum(np.diff(offset)[word], 1)  # an empty word begins like all, and is none
        if not len(word):
            return 0
        first = self.words.text.data[np.minimum(offset[word], self.words.text.data.size - 1)]
        group = np.stack([np.repeat(np.arange(len(rows)), rows), first])
        starts = np.flatnonzero(np.concatenate([[True], (np.diff(group) != 0).any(axis=0)]))
        return int(np.add.reduceat(amounts(lengths), starts).max())

    @property
    def word_halvings(self) -> int:
        return halvings_of(self.words)

    @property
    def longest_common(self) -> int:
        """Bytes in which a command and a word can be alike."""
        return min(self.longest_command, self.longest_word)

    @property
    def most_next(self) -> int:
        """Next words of one context."""
        return int(np.diff(self.next_first.data.astype(np.int64)).max(initial=0))

    @property
    def context_searches(self) -> int:
        """Halvings that find a context."""
        return self.n_contexts.bit_length()

    @property
    def _tables(self) -> tuple[Strings, Strings]:
        return (self.commands, self.words)

    def evaluate(self, prefixes: Array) -> Array:
        scores = np.zeros((len(prefixes), self.size), np.float32)
        for prefix, row in zip(prefixes, scores, strict=True):
            for rank, (_, score) in enumerate(self.suggest(prefix, self.size)):
                row[rank] = score
        return scores

    def suggest(self, prefix: str, k: int) -> tuple[tuple[str, float], ...]:
        """The best k suggestions with their scores, as the C writes them."""
        return tuple(self.search(prefix.encode()).best(k))

    def search(self, prefix: bytes) -> Search:
        """The prefix, read."""
        return Search(self, prefix)


class Search:
    """One search, step by step as in suggest_f32.c.j2."""

    def __init__(self, op: Suggest, prefix: bytes) -> None:
        self._op = op
        self._commands, self._words = StringReader(op.commands), StringReader(op.words)
        self._command_level: list[int] = op.command_level.data.tolist()
        self._next_word: list[int] = op.next_word.data.tolist()
        self._next_level: list[int] = op.next_level.data.tolist()
        begin, end = 0, len(prefix)
        while begin < end and space_at(prefix, begin):
            begin += space_at(prefix, begin)
        while begin < end and space_before(prefix, end):
            end -= space_before(prefix, end)
        self._prefix = prefix[begin:end]
        self._span = self._commands.find(self._commands.everything(), self._prefix)
        self._next_first = self._next_last = 0
        self._read_words()

    def _read_words(self) -> None:
        """Finds the last word, what stands before it with single spaces, and the entries of that context."""
        prefix = self._prefix
        head = bytearray()
        word_at = at = 0
        self._tidy, self._commands_first = True, False
        while at < len(prefix):
            space = space_at(prefix, at)
            if space == 0:
                at += 1
                continue
            head += prefix[word_at:at] + b" "
            after = at
            while space_at(prefix, after):
                after += space_at(prefix, after)
            if self._tidy and (prefix[at] != 0x20 or after != at + 1):
                self._tidy = False
                differs = 0 if prefix[at] != 0x20 else 1  # the completion has one space and then the next word
                completion = b" " if differs == 0 else prefix[after : after + 3]
                self._commands_first = prefix[at + differs : at + differs + 3] < completion
            word_at = at = after
        self._head, self._partial = bytes(head), prefix[word_at:]
        self._word_span: Span = self._words.find(self._words.everything(), self._partial)
        if word_at > 0:
            self._find_context(word_at)

    def _find_context(self, word_at: int) -> None:
        """Finds the entries of the words before the last one."""
        context = self._context(word_at)
        row = None if context is None else self._row(context)
        if row is not None:
            self._take_row(row)

    def _take_row(self, row: int) -> None:
        self._next_first, self._next_last = (int(at) for at in self._op.next_first.data[row : row + 2])

    def _context(self, at: int) -> list[int] | None:
        """The words before `at`, latest first; None when the tables cannot know them."""
        recent = [NONE] * self._op.context_words
        for count in range(self._op.reach):
            while at > 0 and space_before(self._prefix, at):
                at -= space_before(self._prefix, at)
            if at == 0:
                break
            if count == self._op.context_words:
                return None
            end = at
            while at > 0 and not space_before(self._prefix, at):
                at -= 1
            word = self._words.complete(self._words.find(self._words.everything(), self._prefix[at:end]))
            if word == MISSING:
                return None
            recent[count] = word
        return recent

    def _row(self, context: list[int]) -> int | None:
        rows: list[list[int]] = self._op.context.data.reshape(-1, self._op.context_words).tolist()
        first, last = 0, self._op.n_contexts
        while first < last:
            middle = first + (last - first) // 2
            if rows[middle] < context:
                first = middle + 1
            else:
                last = middle
        return first if first < self._op.n_contexts and rows[first] == context else None

    def best(self, k: int) -> Iterator[tuple[str, float]]:
        command_floor = next_floor = 0  # the smallest key not taken yet; a key is level * 65,536 + place
        for _ in range(k):
            command, word = self._best_command(command_floor), self._best_next(next_floor)
            if command is None and word is None:
                return
            if word is None or (command is not None and self._before(command, word)):
                assert command is not None
                command_floor = command + 1
                text = self._commands.string(self._span[0] + command % 65_536)
                yield text.decode(), self._score(command)
            else:
                next_floor = word + 1
                text = self._head + self._words.string(self._next_word[self._next_first + word % 65_536])
                yield text.decode(), self._score(word)

    def _score(self, key: int) -> float:
        return float(self._op.score.data[key // 65_536])

    def _best_command(self, floor: int) -> int | None:
        first, last, _ = self._span
        keys = (self._command_level[index] * 65_536 + index - first for index in range(first, last))
        return min((key for key in keys if key >= floor), default=None)

    def _best_next(self, floor: int) -> int | None:
        best: int | None = None
        first, last, _ = self._word_span
        for place in range(self._next_first, self._next_last):
            key = self._next_level[place] * 65_536 + place - self._next_first
            word = self._next_word[place]
            if key >= floor and (best is None or key < best) and first <= word < last and not self._is_command(word):
                best = key
        return best

    def _is_command(self, word: int) -> bool:
        """Whether the completion is a command that is a candidate already."""
        if not self._tidy:
            return False
        rest = self._words.string(word)[len(self._partial) :]
        return self._commands.complete(self._commands.find(self._span, rest)) != MISSING

    def _before(self, command: int, word: int) -> bool:
        if command // 65_536 != word // 65_536:
            return command // 65_536 < word // 65_536
        if not self._tidy:
            return self._commands_first
        command_text = self._commands.string(self._span[0] + command % 65_536)
        word_text = self._words.string(self._next_word[self._next_first + word % 65_536])
        return command_text[len(self._prefix) :] < word_text[len(self._partial) :]


_SPACES = tuple(sorted(chr(code).encode() for code in WHITE_SPACE))


def space_at(text: bytes, at: int) -> int:
    """Bytes of the white space that begins here, or 0."""
    return next((len(space) for space in _SPACES if text.startswith(space, at)), 0)


def space_before(text: bytes, at: int) -> int:
    """Bytes of the white space that ends here, or 0."""
    return next((len(space) for space in _SPACES if text.endswith(space, 0, at)), 0)


Context = tuple[str, ...]


def suggestions(
    commands: Mapping[str, np.float32], followers: Mapping[Context, Mapping[str, np.float32]], *, reach: int, size: int
) -> Suggest:
    """The op for commands and next words with their scores. Contexts are in reading order, `reach` words at most."""
    contexts = {
        context: words
        for context, words in followers.items()
        if words and len(context) <= reach and (len(context) > 0 or reach == 0)
    }
    columns = max((len(context) for context in contexts), default=0) or 1
    vocabulary = {word.encode() for context, words in contexts.items() for word in (*context, *words)}
    strings = sorted_strings(vocabulary)
    reader = StringReader(strings)
    number = {reader.string(index): index for index in range(strings.count)}
    rows = sorted(
        ([*(number[word.encode()] for word in reversed(context)), *[NONE] * (columns - len(context))], context)
        for context in contexts
    )
    entries = [
        sorted((number[word.encode()], score) for word, score in contexts[context].items()) for _, context in rows
    ]
    nexts = [entry for group in entries for entry in group]
    command_strings = sorted_strings(command.encode() for command in commands)
    command_scores = [commands[command] for command in sorted(commands, key=str.encode)]
    scores = sorted({float(score) for score in (*command_scores, *(score for _, score in nexts))}, reverse=True)
    level = {score: index for index, score in enumerate(scores)}
    kept = smallest_unsigned([len(scores)])
    firsts = np.cumsum([0, *map(len, entries)])
    return Suggest(
        size=size,
        commands=command_strings,
        command_level=Table([level[float(score)] for score in command_scores] or [0], kept),
        words=strings,
        context=Table(np.array([row for row, _ in rows] or [[NONE] * columns], np.uint16)),
        n_contexts=len(rows),
        context_words=columns,
        reach=min(reach, columns + 1),
        next_first=Table(firsts, smallest_unsigned(map(int, firsts))),
        next_word=Table([word for word, _ in nexts] or [0], np.uint16),
        next_level=Table([level[float(score)] for _, score in nexts] or [0], kept),
        score=Table(scores or [0.0], np.float32),
    )
