"""Joins trees whose order does not matter: subtrees that begin with the same split stand under one `if`.

What is added on both sides of a split can be added before it, and only the difference on one side; which additions
move is chosen by cost, exactly. Knows prices of additions and jumps as numbers; knows no sums of models and no C.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from aprgen.ops.shaped_trees import Adds, Branches
from aprgen.passes.goals import Goal

Moved = Literal["none", "left", "right"]  # the side of a split whose additions stand before it

WORD = 2**32
SMALL = 255  # a constant of one short instruction
# Instructions and bytes of Thumb.
ADD: Mapping[Goal, float] = {"mean": 1.0, "wcet": 1.0, "size": 2.0}
ADD_LARGE: Mapping[Goal, float] = {"mean": 2.0, "wcet": 2.0, "size": 7.0}
ADD_IN_MEMORY: Mapping[Goal, float] = {"mean": 3.0, "wcet": 3.0, "size": 8.0}
JUMP: Mapping[Goal, float] = {"mean": 1.0, "wcet": 1.0, "size": 2.0}  # over the side that stands second


@dataclass(frozen=True, eq=False)
class Splits:
    """What joining needs of trees: references as in Nodes, and how likely a row goes left at each split."""

    feature: list[int]
    code: list[int]
    left: list[int]
    right: list[int]
    share: list[float]


@dataclass(frozen=True)
class Prices:
    """words: counters from here on are in memory from the start, and their additions stay where they are."""

    goal: Goal
    words: int
    in_registers: bool

    def of(self, adds: Mapping[int, int]) -> float:
        total = 0.0
        for counter, constant in adds.items():
            small = min(constant % WORD, -constant % WORD) <= SMALL
            total += (ADD if small else ADD_LARGE)[self.goal]
            if counter >= self.words or not self.in_registers:
                total += ADD_IN_MEMORY[self.goal]
        return total

    def both(self, share: float, left: float, right: float, *, jumps: bool) -> float:
        """What two sides cost together, the left one with this share of the rows; jumps: over the side in second
        place, which is the likelier one, or the longer one of the worst row."""
        jump = JUMP[self.goal] if jumps else 0.0
        if self.goal == "size":
            return left + right + jump
        if self.goal == "wcet":
            return max(left, right, min(left, right) + jump)
        return share * left + (1 - share) * right + min(share, 1 - share) * jump

    def right_first(self, split: _Split) -> bool:
        """Whether the right side stands first: alone, or before one that is likelier, or longer in the worst row."""
        left, right = split.left, split.right
        if not (left.splits or left.adds) or not (right.splits or right.adds):
            return bool(right.splits or right.adds)
        return left.inside > right.inside if self.goal == "wcet" else split.share > 0.5


@dataclass(eq=False)
class _Split:
    feature: int
    code: int
    share: float
    left: _Block
    right: _Block
    moved: Moved = "none"


@dataclass(eq=False)
class _Block:
    """adds: of its leaves, and from `settle` on also what its splits move here.

    inside: the cost of all below when splits may move additions here; alone: when they may not.
    """

    adds: dict[int, int]
    has_leaf: bool
    splits: list[_Split] = field(default_factory=list)
    inside: float = 0.0
    alone: float = 0.0
    price: float = 0.0  # of adds

    @property
    def kept(self) -> float:
        """The cost with whatever stands here."""
        return min(self.inside + self.price, self.unmoved)

    @property
    def unmoved(self) -> float:
        """The cost without any addition here."""
        return float("inf") if self.has_leaf else self.alone


def joined(
    splits: Splits, parts: Sequence[Sequence[int]], leaf_adds: Mapping[int, Adds], prices: Prices
) -> tuple[list[Branches], dict[int, int]]:
    """Each part's trees, by their roots, as one block; and what is to be added once, before everything."""
    numbers: dict[Adds, int] = {}
    always: dict[int, int] = {}
    found = []
    for part in parts:
        block = _block(splits, part, leaf_adds, prices)
        _settle(block, prices)
        _add(always, block.adds, 1, prices)
        block.adds = {}
        _place(block, prices)
        found.append(_numbered(block, numbers, prices))
    every = tuple(numbers)
    return [replace(one, adds=every) for one in found], always


def _block(splits: Splits, references: Sequence[int], leaf_adds: Mapping[int, Adds], prices: Prices) -> _Block:
    """Trees that are passed one after the other, as far as rows cannot tell: those of equal root under one split."""
    adds: dict[int, int] = {}
    groups: dict[tuple[int, int], list[int]] = {}
    has_leaf = False
    for reference in references:
        if reference < 0:
            has_leaf = True
            _add(adds, dict(leaf_adds[~reference]), 1, prices)
        else:
            groups.setdefault((splits.feature[reference], splits.code[reference]), []).append(reference)
    block = _Block(adds, has_leaf)
    for (feature, code), group in groups.items():
        left = _block(splits, [splits.left[one] for one in group], leaf_adds, prices)
        right = _block(splits, [splits.right[one] for one in group], leaf_adds, prices)
        if not left.splits and not right.splits and left.adds == right.adds:  # different leaves that add the same
            _add(block.adds, left.adds, 1, prices)
            block.has_leaf = True
            continue
        share = sum(splits.share[one] for one in group) / len(group)
        block.splits.append(_Split(feature, code, share, left, right))
    return block


def _settle(block: _Block, prices: Prices) -> None:
    """Costs from the leaves up, and which side of each split is cheapest moved when additions may move to the block."""
    for split in block.splits:
        left, right = split.left, split.right
        _settle(left, prices)
        _settle(right, prices)
        price = prices.of(_difference(left.adds, right.adds, prices))
        share = split.share
        costs: dict[Moved, float] = {
            "none": prices.both(share, left.kept, right.kept, jumps=True),
            "left": prices.both(share, left.inside, right.inside + price, jumps=bool(left.splits)),
            "right": prices.both(share, left.inside + price, right.inside, jumps=bool(right.splits)),
        }
        block.alone += costs["none"]
        for side, one in (("left", left), ("right", right)):
            if any(counter >= prices.words for counter in one.adds):
                del costs[side]  # type: ignore[arg-type]
        split.moved = min(costs, key=lambda side: costs[side])
        block.inside += costs[split.moved]
        if split.moved != "none":
            _add(block.adds, (left if split.moved == "left" else right).adds, 1, prices)
    block.price = prices.of(block.adds)


def _difference(left: Mapping[int, int], right: Mapping[int, int], prices: Prices) -> dict[int, int]:
    found = dict(right)
    _add(found, left, -1, prices)
    return found


def _add(to: dict[int, int], adds: Mapping[int, int], sign: int, prices: Prices) -> None:
    """Words are modulo 2^32; what adds nothing has no place."""
    for counter, constant in adds.items():
        total = to.get(counter, 0) + sign * constant
        if counter < prices.words:
            total %= WORD
        if total:
            to[counter] = total
        else:
            to.pop(counter, None)


def _place(root: _Block, prices: Prices) -> None:
    """Every addition where it is chosen to stand, from the root down, whose own ones are placed."""
    waiting = [(root, True)]  # a block, and whether its splits move theirs
    while waiting:
        block, moves = waiting.pop()
        for split in block.splits:
            left, right = split.left, split.right
            moved = split.moved if moves else "none"
            if moved == "none":
                for one in (left, right):
                    alone = one.unmoved < one.inside + one.price
                    one.adds = {} if alone else one.adds
                    waiting.append((one, not alone))
            else:
                stays, goes = (right, left) if moved == "left" else (left, right)
                stays.adds, goes.adds = _difference(goes.adds, stays.adds, prices), {}
                waiting += [(stays, True), (goes, True)]


def _numbered(root: _Block, numbers: dict[Adds, int], prices: Prices) -> Branches:
    """Arrays of blocks, each behind the one that leads to it. numbers: of distinct additions, made on the way."""
    blocks = [(root, 0)]
    columns: tuple[list[int], ...] = ([], [], [], [])
    first, leaf = [0], []
    right_first = []
    deepest = 0
    for block, depth in blocks:
        leaf.append(numbers.setdefault(tuple(sorted(block.adds.items())), len(numbers)) if block.adds else -1)
        deepest = max(deepest, depth + bool(block.splits))
        for split in block.splits:
            for column, value in zip(columns, (split.feature, split.code, len(blocks), len(blocks) + 1), strict=True):
                column.append(value)
            right_first.append(prices.right_first(split))
            blocks += [(split.left, depth + 1), (split.right, depth + 1)]
        first.append(len(columns[0]))
    feature, code, left, right, starts, leaves = (np.array(column, np.int64) for column in (*columns, first, leaf))
    firsts = np.array(right_first, np.bool_)
    return Branches(feature, code, left, right, firsts, starts, leaves, np.zeros(1, np.int64), deepest)
