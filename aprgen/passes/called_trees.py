"""Called trees pass: votes and totals as one function a tree, which ends in a call that counts the leaf.

Lays the code of every tree out as a compiler does and chooses where it ends, so that most jumps are the shortest that
Thumb has. Knows bytes of instructions as numbers; knows no C.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aprgen.ops.called_trees import EARLY, CalledTree, CalledTrees, EndedBranches, Pair, Share
from aprgen.ops.codes import CodeElement
from aprgen.ops.compact_trees import LAST
from aprgen.ops.shaped_trees import NEAR, Branches
from aprgen.ops.trees import TreeOp, TreeTotals, TreeVotes
from aprgen.passes.flat_trees import Ints, ends_of, expected_splits, leaves_of, longest_paths, reached
from aprgen.passes.tree_shapes import MAX_NESTING, TREE_SPLITS, CodedTrees, one_by_one, use_of
from aprgen.program import Table

MOST_OUTPUTS = LAST  # of an entry's first byte
UNITS = np.iinfo(np.uint16).max  # two bytes of an entry

# Bytes and instructions of Thumb-2: load, compare and a short jump. gcc extends codes of 16 bits once more.
SPLIT: Mapping[CodeElement, tuple[int, int]] = {"u8": (6, 3), "u16": (8, 4)}
# Bytes.
END_BYTES = 4  # a jump to a function
FAR_BYTES = 2  # more, of a jump that is not short
JUMP_BYTES = 2  # of a second leaf to an end that stands elsewhere
ARGUMENT_BYTES = 4  # a number for the function
REACH = 250  # of a short jump back
# gcc looks along this many blocks for values that it knows. Where an end stands alone within them it keeps the pointer
# of the counts in a second register, which takes a dozen bytes at every end of the tree; two ways lead to each end.
KNOWN_BLOCKS = 10
ALONE = 60.0  # bytes
LONGEST_RUN = 64  # leaves of one class: those that are out of reach soon take more than another end
# Instructions of a tree beside its splits: call, jump, load, add, store, return; of a pair and of an entry.
TREE, PAIR, ROW, ENTRY = 6.2, 4.0, 7.0, 8.0
PAIR_BYTES, COPY_BYTES, FIXED = 20, 10, (150.0, 30.0)


@dataclass(frozen=True, eq=False)
class _Leaves:
    """renumbered: by leaf of the op, its number here."""

    renumbered: dict[int, int]
    pairs: tuple[Pair, ...]
    shares: tuple[Share, ...]
    entries: Table


@dataclass(frozen=True, eq=False)
class Called:
    """Trees, and what they take."""

    trees: CalledTrees
    flash_bytes: float
    mean: float  # instructions
    worst: float


@dataclass(frozen=True)
class _End:
    """A leaf of one class where the code of a tree comes to it. beside: its split has two leaves."""

    block: int
    place: int  # bytes from the beginning
    depth: int
    beside: bool


def called(op: TreeOp, coded: CodedTrees, *, short_ones: bool) -> Called | None:
    """The op's trees as functions; None where they are neither votes nor totals of a unit, or do not fit.

    short_ones: adding one takes less than adding a unit, so units are counted in the lowest bits where there is room.
    """
    leaves = _leaves(op, coded)
    trees = coded.trees
    if leaves is None or trees.n_nodes == 0 or coded.element not in SPLIT:
        return None
    sizes = ends_of(trees) - np.concatenate([[0], ends_of(trees)[:-1]])
    if trees.depth.max() > MAX_NESTING or sizes.max() > TREE_SPLITS:
        return None
    split_bytes, split = SPLIT[coded.element]
    use, n_classes, start = use_of(op)
    plain = one_by_one(coded, 0, len(trees.root))
    leaf = np.array([leaves.renumbered.get(one, -1) for one in plain.leaf.tolist()], np.int64)
    ends = np.zeros(len(leaf), np.int64)
    branches = EndedBranches(
        plain.feature, plain.code, plain.left, plain.right, _right_first(plain), plain.first, leaf, plain.root,
        plain.depth, ends=ends,
    )  # fmt: skip
    flash = FIXED[0]
    first: list[CalledTree] = []
    last: list[CalledTree] = []  # those with early leaves, behind which pointers are loaded again
    for root in branches.root.tolist():
        laid_out = _LaidOut(branches, n_classes, split_bytes)
        flash += laid_out.end(root, ends)
        (last if laid_out.early else first).append(CalledTree(root, laid_out.wide))
    made = (*first, *last)
    late = leaf[(leaf >= n_classes) & (leaf < n_classes + len(leaves.shares)) & (ends != EARLY)] - n_classes
    seconds = {leaves.pairs[leaves.shares[one].pair].second for one in late.tolist()}  # such leaves end in a first copy
    copies = tuple(max(int(ends[leaf == c].max(initial=EARLY)) + 1, int(c in seconds)) for c in range(n_classes))
    unit = op.unit if isinstance(op, TreeTotals) else 1
    result = CalledTrees(
        use, len(coded.columns), coded.element, n_classes, None, start, unit,
        branches, made, copies, leaves.pairs, leaves.shares, leaves.entries,
        _count_bits(op, leaves, len(made)) if short_ones else 0,
    )  # fmt: skip
    flash += 4 * len(made) + COPY_BYTES * sum(copies) + PAIR_BYTES * len(leaves.pairs) + leaves.entries.n_bytes
    more_mean, more_worst = _of_leaves(coded, leaves, result)
    depth = longest_paths(trees.left, trees.right, trees.root)
    mean = FIXED[1] + TREE * len(made) + split * expected_splits(trees) + more_mean
    return Called(result, flash, mean, FIXED[1] + TREE * len(made) + split * float(depth.sum()) + more_worst)


def _count_bits(op: TreeOp, leaves: _Leaves, n_trees: int) -> int:
    """Enough to count all trees; 0 where what they add beside it would leave 32 bits."""
    if not isinstance(op, TreeTotals):
        return 0
    bits = n_trees.bit_length()
    largest = max(op.unit, UNITS if leaves.entries.data.size else 0)
    return bits if ((n_trees * largest) << bits) + n_trees <= np.iinfo(np.int32).max else 0


def _leaves(op: TreeOp, coded: CodedTrees) -> _Leaves | None:
    """What leaves add; None where that fits no function and no entry."""
    trees = coded.trees
    places = zip(trees.root.tolist(), ends_of(trees).tolist(), strict=True)
    used = np.unique(np.concatenate([leaves_of(trees, root, end) for root, end in places])).tolist()
    nothing = Table(np.zeros(0, np.uint8))
    if isinstance(op, TreeVotes):
        same = {one: one for one in used}
        return _Leaves(same, (), (), nothing) if op.n_classes > 1 else None
    if not isinstance(op, TreeTotals) or not op.unit or not 1 < op.n_outputs <= MOST_OUTPUTS:
        return None
    if op.start - op.unit < np.iinfo(np.int32).min:  # a share is taken off before the unit is added
        return None
    rows = op.values.data.reshape(-1, op.n_outputs).astype(np.int64)
    pairs: dict[tuple[int, int], int] = {}
    shares: list[Share] = []
    entries = bytearray()
    named: dict[int, tuple[bool, int]] = {}  # whether a row of entries, and which
    n_rows = 0
    for one in used:
        if one < op.n_outputs:
            continue
        row = rows[one - op.n_outputs]
        if not 0 <= row.min() <= row.max() <= UNITS:
            return None
        outputs = np.flatnonzero(row).tolist() or [0]
        if len(outputs) == 2 and row.sum() == op.unit:
            pair = pairs.setdefault((outputs[0], outputs[1]), len(pairs))
            named[one] = (False, len(shares))
            shares.append(Share(pair, int(row[outputs[0]])))
            continue
        named[one] = (True, n_rows)
        n_rows += 1
        for output in outputs:
            entries += bytes([output + LAST * (output == outputs[-1]), row[output] % 256, row[output] // 256])
    renumbered = {
        one: one if one < op.n_outputs else op.n_outputs + named[one][1] + named[one][0] * len(shares) for one in used
    }
    return _Leaves(
        renumbered, tuple(Pair(*one) for one in pairs), tuple(shares),
        Table(np.frombuffer(bytes(entries), np.uint8)),
    )  # fmt: skip


def _right_first(branches: Branches) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """The smaller side of a split stands first, so that the jump over it is short: a leaf, then."""
    sizes = [0] * len(branches.leaf)
    left, right, first = branches.left.tolist(), branches.right.tolist(), branches.first.tolist()
    for block in reversed(range(len(sizes))):
        sizes[block] = sum(1 + sizes[left[one]] + sizes[right[one]] for one in range(first[block], first[block + 1]))
    of = np.array(sizes, np.int64)
    return np.less(of[branches.right], of[branches.left])


class _LaidOut:
    """The code of one tree, and the ends chosen in it."""

    def __init__(self, branches: Branches, n_classes: int, split_bytes: int) -> None:
        self._branches = branches
        self._n_classes = n_classes
        self._split_bytes = split_bytes
        self._late: dict[int, bool] = {}  # of leaves that are no class, by block
        self.wide = False
        self.early = False  # some leaf is

    def end(self, root: int, ends: Ints) -> float:
        """Choose for each leaf of one class which end it takes; the bytes of the tree. Twice: ends take room, too."""
        chosen: dict[int, int] = {}
        size = 0
        for _ in range(2):
            found, size = self._places(root, chosen)
            chosen = {}
            for of_class in found.values():
                for number, (first, end) in enumerate(_stretches(of_class)):
                    for one in of_class[first:end]:
                        chosen[one.block] = number
        found, size = self._places(root, chosen)
        for block, number in chosen.items():
            ends[block] = number
        for of_class in found.values():
            if len(of_class) == 1 and of_class[0].depth < KNOWN_BLOCKS:
                ends[of_class[0].block] = EARLY
                self.early = True
        for block, late in self._late.items():
            ends[block] = 0 if late else EARLY
            self.early = self.early or not late
        return size + sum(_far(of_class, chosen) for of_class in found.values())

    def _places(self, root: int, chosen: dict[int, int]) -> tuple[dict[int, list[_End]], int]:
        """The leaves of each class in the order of the code, and its bytes: an end stands where it is reached first."""
        branches = self._branches
        found: dict[int, list[_End]] = defaultdict(list)
        standing: set[tuple[int, int]] = set()
        place = 0
        waiting = [(root, 0, False, False)]  # block, depth, whether its split has two leaves, whether it is the second
        while waiting:
            block, depth, beside, second = waiting.pop()
            leaf = int(branches.leaf[block])
            if leaf >= self._n_classes:
                place += ARGUMENT_BYTES + END_BYTES
                self._late[block] = depth >= KNOWN_BLOCKS
                continue
            if leaf >= 0:
                found[leaf].append(_End(block, place, depth, beside))
                key = (leaf, chosen.get(block, 0))
                if key not in standing:
                    standing.add(key)
                    place += END_BYTES
                elif second:
                    place += JUMP_BYTES
                continue
            split = int(branches.first[block])
            place += self._split_bytes
            self.wide = self.wide or bool(branches.feature[split] >= NEAR)
            sides = [int(branches.left[split]), int(branches.right[split])]
            if branches.right_first[split]:
                sides.reverse()
            both = all(int(branches.leaf[side]) >= 0 for side in sides)
            waiting += [(sides[1], depth + 1, both, both), (sides[0], depth + 1, both, False)]
        return found, place


def _stretches(ends: Sequence[_End]) -> list[tuple[int, int]]:
    """Leaves of one class that share an end: runs with the least bytes in all."""
    n = len(ends)
    places = [one.place for one in ends]
    reached = [bisect_right(places, place + REACH) for place in places]  # by jumps to an end that begins here
    best: list[tuple[float, int]] = [(0.0, 0)] + [(float("inf"), 0)] * n
    for end in range(1, n + 1):
        for first in range(max(0, end - LONGEST_RUN), end):
            price = END_BYTES - JUMP_BYTES * ends[first].beside + FAR_BYTES * max(0, end - reached[first])
            alone = ALONE if first + 1 == end and n > 1 and ends[first].depth < KNOWN_BLOCKS else 0.0
            total = best[first][0] + price + alone
            if total < best[end][0]:
                best[end] = (total, first)
    found = []
    end = n
    while end:
        found.append((best[end][1], end))
        end = best[end][1]
    return found[::-1]


def _far(ends: Sequence[_End], chosen: dict[int, int]) -> float:
    """Bytes of jumps that are not short."""
    first: dict[int, int] = {}
    for one in ends:
        first.setdefault(chosen[one.block], one.place)
    return float(FAR_BYTES * sum(one.place - first[chosen[one.block]] > REACH for one in ends))


def _of_leaves(coded: CodedTrees, leaves: _Leaves, made: CalledTrees) -> tuple[float, float]:
    """Instructions of leaves that are no class, in the mean and in the longest way of every tree."""
    trees = coded.trees
    dense = made.added.reshape(-1, made.n_classes)
    n_entries = (dense != 0).sum(axis=1)

    def price(reference: int) -> float:
        number = leaves.renumbered[~reference] - made.n_classes
        return 0.0 if number < 0 else PAIR if number < len(made.shares) else ROW + ENTRY * float(n_entries[number])

    mean = 0.0
    for side, times in zip((trees.left, trees.right), reached(trees), strict=True):
        at = np.flatnonzero(side < 0)
        mean += sum(price(one) * share for one, share in zip(side[at].tolist(), times[at].tolist(), strict=True))
    longest = max(ROW + ENTRY * max(made.lengths) if made.lengths else 0.0, PAIR if made.shares else 0.0)
    return mean, longest * len(trees.root)
