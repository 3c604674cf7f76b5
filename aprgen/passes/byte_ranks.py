"""Codes of 8 bits for trees whose columns have more thresholds than a byte can count: ranks among those of trees that
follow each other.

Knows no costs, no Program and no C.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.ops.six_levels import RANKED, RowRanks
from aprgen.ops.walked_trees import Ranks
from aprgen.ops.wide_codes import RESTS, BitLines, bit_lines
from aprgen.passes.ranked_trees import NEVER8, Coded, fitting
from aprgen.program import Table

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ByteRanks:
    """Codes of 8 bits of splits of trees, the lines of bits that they read, and ranks of which these are made."""

    code: Ints
    lines: BitLines
    made: Ranks


def byte_ranks(top: Ints, coded: Coded, skip: int) -> ByteRanks:
    """For these splits of trees. skip: columns before those that have codes."""
    code = np.zeros(top.shape, np.int64)
    most = np.zeros(len(coded.thresholds), np.int64)
    turns: list[tuple[int, int, NDArray[np.uint8]]] = []
    for column, keys in enumerate(coded.thresholds):
        own = (top >= 0) & (coded.feature[top] == column)
        some = {int(tree): set(coded.code[top[tree][own[tree]]].tolist()) for tree in np.flatnonzero(own.any(axis=1))}
        for first, last, codes in _turns(some):
            every = np.arange(len(keys) + 1)  # no code is larger than all thresholds
            ranks = np.searchsorted(sorted(codes), every, side="left").astype(np.uint8)
            splits = top[first:last]
            code[first:last][own[first:last]] = ranks[coded.code[splits[own[first:last]]]]
            turns.append((first, column, ranks))
            most[column] = max(most[column], len(codes))
    turns.sort(key=lambda turn: turn[:2])
    begins = np.cumsum([0, *(len(ranks) for _, _, ranks in turns)])[:-1]
    made = Ranks(
        Table(np.concatenate([ranks for _, _, ranks in turns])), Table(begins, np.uint32),
        Table([*(tree for tree, _, _ in turns), len(top)], np.uint32),
        Table([column + skip for _, column, _ in turns], np.uint32),
    )  # fmt: skip
    # A column's lines are made anew between those of others, and all rests are written.
    lines = BitLines(bit_lines(most.tolist()).steps, Table(np.where(most > 0, RESTS, 0).astype(np.uint8)))
    return ByteRanks(code, lines, made)


def row_ranks_of(top: Ints, coded: Coded, ranks: Ranks, skip: int) -> tuple[RowRanks, Table]:
    """The same for one row, in vectors for trees that follow each other; and which bytes of these their splits read."""
    feature = np.zeros(top.shape, np.uint8)
    turn_of = np.zeros(skip + len(coded.columns), np.int64)
    starts, columns = ranks.starts.data.tolist(), ranks.columns.data
    begun, turns, byte_of, of_tree = 0, list[int](), dict[int, int](), list[int]()
    for tree, own in enumerate(top):
        while starts[begun] == tree:
            turn_of[columns[begun]] = begun
            begun += 1
        read = turn_of[coded.feature[own[own >= 0]] + skip].tolist()
        fresh = sorted(set(read) - byte_of.keys())
        if len(byte_of) + len(fresh) > RANKED:
            turns += [0] * (-len(turns) % RANKED)
            byte_of, fresh = {}, sorted(set(read))
        byte_of |= {turn: 1 + len(byte_of) + index for index, turn in enumerate(fresh)}
        turns += fresh
        feature[tree, own >= 0] = [byte_of[turn] for turn in read]
        of_tree.append((len(turns) - 1) // RANKED if turns else 0)
    vectors = fitting(np.array(of_tree, np.int64)) if len(turns) > RANKED else None
    made = RowRanks(ranks.ranks, Table(ranks.begins.data[turns]), Table(columns[turns]), vectors)
    return made, Table(feature, lines=True)


def _turns(some: Mapping[int, set[int]]) -> Iterator[tuple[int, int, set[int]]]:
    """Trees that follow each other, first and behind the last, whose codes of a column a byte can count; and these."""
    start, last, codes = -1, -1, set[int]()
    for tree, own in some.items():
        if start >= 0 and len(codes | own) > NEVER8:
            yield start, last, codes
            start = -1
        if start < 0:
            start, codes = tree, set[int]()
        last, codes = tree + 1, codes | own
    if start >= 0:
        yield start, last, codes
