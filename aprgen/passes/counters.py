"""Counters pass: votes and totals of trees as fields of few words, which registers hold, and what each leaf adds.

Knows the ranges of sums, whatever leaves the trees reach; knows no splits and no C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.shaped_trees import REGISTERS, Adds, Counters, Field
from aprgen.ops.trees import TreeTotals, TreeVotes

Ints = NDArray[np.int64]
WORD = 32
LARGEST = int(np.iinfo(np.int32).max)


@dataclass(frozen=True, eq=False)
class Counted:
    """Counters, and what they get from each leaf that a tree has: leaves of equal adds are one."""

    counters: Counters
    adds: dict[int, Adds]  # by leaf


def counted(op: TreeVotes | TreeTotals, leaves_of: Sequence[Ints], first_node: int | None = None) -> Counted:
    """How to count the op's outputs. leaves_of: the leaves of each tree; those from first_node on add nothing here."""
    used = np.unique(np.concatenate(leaves_of))
    value = _values(op)
    if first_node is None:
        value = value[used]
    else:
        value = np.where(used[:, np.newaxis] < first_node, value[np.minimum(used, len(value) - 1)], 0)
    start = op.start if isinstance(op, TreeTotals) else 0
    n_outputs = value.shape[1]
    if n_outputs == 1:
        counters = Counters((start % 2**WORD,), (Field(0, 0, 0),), 1, (0,), direct=False)
        return Counted(counters, {int(leaf): _nonzero([int(v)]) for leaf, v in zip(used, value[:, 0], strict=True)})
    unit = max(1, int(np.gcd.reduce(np.abs(value).reshape(-1))))
    least, most = (np.zeros(n_outputs, np.int64) for _ in range(2))
    for leaves in leaves_of:
        of_tree = value[np.searchsorted(used, leaves)]
        least += of_tree.min(axis=0)
        most += of_tree.max(axis=0)
    reach = (most - least) // unit
    narrow = _fields([int(one).bit_length() for one in reach])
    if int((most - least).max()) <= LARGEST and _words(narrow) <= max(REGISTERS, (n_outputs + 1) // 2):
        begin = _packed(narrow, (-least // unit).tolist())
        offset = tuple(int(start + low) for low in least)
        counters = Counters(begin, narrow, unit, offset, direct=False)
        return Counted(counters, _adds(used, value // unit, narrow))
    if n_outputs <= REGISTERS:
        whole = tuple(Field(output, 0, 0) for output in range(n_outputs))
        counters = Counters((start % 2**WORD,) * n_outputs, whole, 1, (0,) * n_outputs, direct=False)
        return Counted(counters, _adds(used, value, whole))
    if isinstance(op, TreeTotals) and op.unit:
        counts = _fields([len(leaves_of).bit_length()] * n_outputs)
        if _words(counts) <= REGISTERS:
            counters = Counters((0,) * _words(counts), counts, op.unit, (start,) * n_outputs, direct=True)
            pure = used < op.pure
            adds = _adds(used[pure], value[pure] // op.unit, counts)
            return Counted(counters, adds | _direct(used[~pure], value[~pure], counters.words))
    return Counted(Counters((), (), 1, (start,) * n_outputs, direct=True), _direct(used, value, 0))


def _values(op: TreeVotes | TreeTotals) -> Ints:
    """What each leaf adds to every output."""
    if isinstance(op, TreeVotes):
        return np.eye(op.n_classes, dtype=np.int64)
    rows = op.values.data.reshape(-1, op.n_outputs).astype(np.int64)
    return np.concatenate([np.eye(op.pure, op.n_outputs, dtype=np.int64) * op.unit, rows])


def _fields(widths: Sequence[int]) -> tuple[Field, ...]:
    """Fields one behind the other, none across two words."""
    fields = []
    word, shift = 0, 0
    for wanted in widths:
        width = max(1, wanted)
        if shift + width > WORD:
            word, shift = word + 1, 0
        fields.append(_field(word, shift, width))
        shift += width
    return tuple(fields)


def _field(word: int, shift: int, width: int) -> Field:
    return Field(word, shift, (1 << width) - 1 if width < WORD else 0)


def _words(fields: Sequence[Field]) -> int:
    return fields[-1].word + 1


def _packed(fields: Sequence[Field], values: Sequence[int]) -> tuple[int, ...]:
    """The words that hold these values, modulo 2^32."""
    words = [0] * _words(fields)
    for field, value in zip(fields, values, strict=True):
        words[field.word] += value << field.shift
    return tuple(word % 2**WORD for word in words)


def _nonzero(words: Sequence[int], first: int = 0) -> Adds:
    return tuple((first + index, word % 2**WORD) for index, word in enumerate(words) if word % 2**WORD)


def _adds(leaves: Ints, values: Ints, fields: Sequence[Field]) -> dict[int, Adds]:
    rows = zip(leaves.tolist(), values.tolist(), strict=True)
    return {leaf: _nonzero(_packed(fields, row)) for leaf, row in rows}


def _direct(leaves: Ints, values: Ints, words: int) -> dict[int, Adds]:
    rows = zip(leaves.tolist(), values.tolist(), strict=True)
    return {leaf: tuple((words + output, v) for output, v in enumerate(row) if v) for leaf, row in rows}
