"""How the strings of a text are looked up: in a sorted list that each byte narrows, or by perfect hashing.

Both give the same bits; the cheaper one is taken, by what a target states of either (costs.TextCost) and by what the
strings are. Knows no target by name and no C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from aprgen.costs import TextCost
from aprgen.ops.hashed_suggest import HashedSuggest, hashed_suggest
from aprgen.ops.hashed_terms import HashedTerms, hashed_terms
from aprgen.ops.strings import NONE, Strings
from aprgen.ops.suggest import Suggest
from aprgen.ops.term_counts import TermCounts
from aprgen.passes.choices import no_such_form
from aprgen.passes.goals import Goal
from aprgen.program import Op, Program, Step

TextForm = Literal["sorted", "hashed"]
TEXT_FORMS: tuple[TextForm, ...] = get_args(TextForm)
MOST_BYTES = 64  # of a string whose halvings are counted; few strings share as many


@dataclass(frozen=True)
class TextWork:
    """What a form takes: bytes of flash, but for what both have; cycles for a byte of known tokens, and of the token
    that takes most for its length."""

    flash_bytes: float
    mean: float
    worst: float

    def serves(self, goal: Goal) -> tuple[float, float]:
        """Less is better; the second number decides between equals."""
        if goal == "size":
            return self.flash_bytes, self.mean
        return (self.mean if goal == "mean" else self.worst), self.flash_bytes


def with_text_forms(
    program: Program, cost: TextCost, goal: Goal | None = None, form: TextForm | None = None
) -> Program:
    """Each op that looks strings up in the form that serves the goal best, by default the mean; or in the form that is
    chosen. UnsupportedError where there is no perfect hash for that, or the ring would take too much of the stack."""

    def chosen(op: Op) -> Op:
        if not isinstance(op, TermCounts | Suggest):
            return op
        hashed = None if form == "sorted" else _hashed(op, cost)
        if hashed is None:
            if form == "hashed":
                raise no_such_form("hashed", "these strings")
            return op
        if form == "hashed":
            return hashed
        ways = {op: work_of(op, cost), hashed: work_of(hashed, cost)}
        return min(ways, key=lambda way: ways[way].serves(goal or "mean"))

    if not any(isinstance(step.op, TermCounts | Suggest) for step in program.steps):
        return program
    return program.with_steps([Step(chosen(step.op), step.inputs) for step in program.steps])


def _hashed(op: TermCounts | Suggest, cost: TextCost) -> HashedTerms | HashedSuggest | None:
    """None: there is no perfect hash, or its ring is too large."""
    if isinstance(op, Suggest):
        return hashed_suggest(op)
    made = hashed_terms(op, cost.ring_bytes)
    rings = 1 if op.stop_folding is None else 2
    return made if made is not None and made.room * rings <= cost.ring_bytes else None


def work_of(op: TermCounts | HashedTerms | Suggest | HashedSuggest, cost: TextCost) -> TextWork:
    """By the strings, each of which is as likely as another."""
    if isinstance(op, HashedSuggest):
        flash = op.n_bytes + cost.hashed_contexts
        return _of_hash(_context_bytes(op), 1, flash, cost)
    if isinstance(op, Suggest):
        flash = op.n_bytes + cost.sorted_contexts
        return _of_list(op.words, np.log2(op.n_contexts + 1), flash, cost)
    if isinstance(op, HashedTerms):
        flash = op.n_bytes + (cost.hashed_grams if op.joins else cost.hashed_tokens)
        return _of_hash(np.diff(op.strings.offsets.data.astype(np.int64)).tolist(), op.high, flash, cost)
    return _of_list(op.strings, 0.0, op.n_bytes + (cost.sorted_grams if op.high > 1 else cost.sorted_tokens), cost)


def _context_bytes(op: Suggest) -> list[int]:
    """Of each context's words, with a space between two; 0 of a row without any."""
    lengths = np.append(np.diff(op.words.offsets.data.astype(np.int64)) + 1, [0] * (NONE + 1 - op.words.count))
    return np.maximum(lengths[op.context.data].sum(axis=1) - 1, 0).tolist()  # type: ignore[no-any-return]


def _of_hash(lengths: Sequence[int], lookups: int, flash_bytes: float, cost: TextCost) -> TextWork:
    """Each byte is hashed and compared, each string is found, with those that end where it does; a space follows."""
    known = np.array([length for length in lengths if length > 0], np.float64)
    work = known * (cost.hashed + cost.compared) + lookups * cost.found
    worst = known * (cost.hashed + lookups * cost.compared) + lookups * cost.found
    return TextWork(flash_bytes, float(work.sum() / (known + 1).sum()), float((worst / (known + 1)).max()))


def _of_list(strings: Strings, halvings: float, flash_bytes: float, cost: TextCost) -> TextWork:
    """Each byte halves a span of strings twice; each string takes `halvings` more."""
    if strings.count == 0:
        return TextWork(flash_bytes, cost.narrowed, cost.narrowed)
    offset = strings.offsets.data.astype(np.int64)
    lengths = np.minimum(np.diff(offset), MOST_BYTES)
    text = np.concatenate([strings.text.data, np.zeros(MOST_BYTES, np.uint8)]).astype(np.int16)
    group = np.zeros(strings.count, np.int64)
    work = np.full(strings.count, halvings * cost.halving)
    worst = 0.0
    for depth in range(int(lengths.max())):
        here = lengths > depth
        work[here] += cost.narrowed + cost.halving * (2 * np.log2(np.bincount(group)[group[here]]) + 1)
        worst = max(worst, float(work[here].max()) / (depth + 2))
        byte = np.where(here, text[offset[:-1] + depth] + 1, 0)
        differs = (np.diff(group) != 0) | (np.diff(byte) != 0)
        group = np.concatenate([[0], np.cumsum(differs)])
    return TextWork(flash_bytes, float(work.sum() / (lengths + 1).sum()), worst)
