"""Tree sums pass: what leaves add up to becomes a total of integers where that is the same float, bit for bit.

Two proofs are tried. Every value is so many units of one power of two, and no partial sum needs more than the 24 bits
of a float: then no addition rounds. Or leaves have two values only, and the float at which any order of them ends
depends on their number alone. Else the sum stays. For integer modes, totals with a bound. Knows no targets and no C.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aprgen.costs import Cost
from aprgen.ops.decide import IntegerThreshold, Lookup, Threshold
from aprgen.ops.elementwise import Map, Stage
from aprgen.ops.integer import Dequantise
from aprgen.ops.trees import Nodes, TreeSum, TreeTotals
from aprgen.program import Op, Program, Step, Table

EXACT_BITS = 24  # of a float32: whole numbers below 2^24, and sums of them, are exact
LARGEST_TABLE = 4096  # entries of a function of a count, which takes 16 KB of floats at most
MOST_SUMS = 1 << 16  # followed at once
FUNCTION_ENTRIES = 256  # a table as long as this is no larger than exp and its like, and quicker
AFFINE = frozenset({"add", "sub", "mul", "div", "neg"})  # rounded, they keep or turn the order
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Totals:
    """Trees whose total of whole numbers stands for a sum of floats: start + unit * total."""

    op: TreeTotals
    low: int  # no total is below
    high: int
    unit: float
    start: float = 0.0
    reals: Floats | None = None  # by total - low, where start + unit * total is not exact
    bound: float = 0.0  # of |start + unit * total - sum in floats|, for every row
    proof: str = ""  # why it is the same, for people

    @property
    def span(self) -> int:
        return self.high - self.low + 1


def reached_leaves(nodes: Nodes) -> Iterator[NDArray[np.int64]]:
    """For each tree, the leaves that stand in it, ascending."""
    left, right = nodes.left.data.tolist(), nodes.right.data.tolist()
    for root in nodes.root.data.tolist():
        waiting, seen, leaves = [root], {root}, set()
        while waiting:
            at = waiting.pop()
            if at < 0:
                leaves.add(~at)
                continue
            for child in (left[at], right[at]):
                if child not in seen:
                    seen.add(child)
                    waiting.append(child)
        yield np.array(sorted(leaves), np.int64)


def exact_totals(op: TreeSum) -> Totals | None:
    """Totals of units, when every value is so many of them and no partial sum rounds; the sum is never -0.0 then."""
    numbers = np.append(op.values.data.astype(np.float64), np.float64(np.float32(op.start)))
    if not np.isfinite(numbers).all() or (numbers[-1] == 0 and np.signbit(numbers[-1])):
        return None
    exponent = _unit_exponent(numbers)
    if np.abs(numbers).max() >= 2.0 ** min(exponent + EXACT_BITS, 128):
        return None
    units = np.ldexp(numbers, -exponent).astype(np.int64)
    low = high = int(units[-1])
    furthest = abs(low)
    for leaves in reached_leaves(op.nodes):
        of_tree = units[leaves]
        low, high = low + int(of_tree.min()), high + int(of_tree.max())
        furthest += int(np.abs(of_tree).max())
    if furthest >= 1 << EXACT_BITS or furthest * 2.0**exponent > float(np.finfo(np.float32).max):
        return None
    made = _totals_op(op, units[:-1], int(units[-1]))
    proof = f"no partial sum is longer than the {EXACT_BITS} bits of a float"
    return None if made is None else Totals(made, low, high, 2.0**exponent, proof=proof)


def _unit_exponent(numbers: NDArray[np.float64]) -> int:
    """The largest e with which all numbers, each a float32, are whole multiples of 2^e; 0 when all are zero."""
    fraction, exponent = np.frexp(numbers[numbers != 0])
    if len(fraction) == 0:
        return 0
    whole = np.abs(np.ldexp(fraction, EXACT_BITS)).astype(np.int64)
    trailing = np.frexp((whole & -whole).astype(np.float64))[1] - 1
    return int((exponent - EXACT_BITS + trailing).min())


def _totals_op(op: TreeSum, values: NDArray[np.int64], start: int) -> TreeTotals | None:
    """TreeTotals of these values; None where no 32 bits hold every total."""
    size = int(np.abs(values).max(initial=0))
    if op.n_trees * size + abs(start) > np.iinfo(np.int32).max:
        return None
    kind = next(kind for kind in (np.int8, np.int16, np.int32) if size <= np.iinfo(kind).max)
    return TreeTotals(op.nodes, op.n_features, op.compare, Table(values.astype(kind)), start, 1)


def counted_totals(op: TreeSum) -> Totals | None:
    """How many trees add the larger of two values, when every order of that many additions ends at the same float."""
    reals = sum_by_count(op)
    if reals is None or len(reals) > LARGEST_TABLE:
        return None
    return replace(count_of(op), reals=reals, proof="the sum in floats depends on their number alone")


def count_of(op: TreeSum) -> Totals:
    """The number of trees that add the larger of two values; the rounding of the sums of floats is not bounded yet."""
    values = op.values.data.astype(np.float64)
    made = _totals_op(op, (values == values.max()).astype(np.int64), 0)
    assert made is not None  # trees are fewer than 2^16
    start = float(np.float32(op.start)) + op.n_trees * float(values.min())
    return Totals(made, 0, op.n_trees, float(values.max() - values.min()), start)


def has_two_values(op: TreeSum) -> bool:
    return len(np.unique(op.values.data)) == 2


def sum_by_count(op: TreeSum) -> Floats | None:
    """The sum in floats when so many trees add the larger of two values; None where it depends on which do.

    Follows all sums that can be reached, tree after tree, and wants one for each count at the end: on the way, sums of
    one count may differ and become equal again. Counts that cannot be reached get 0.
    """
    if not has_two_values(op) or not np.isfinite(op.values.data).all() or op.n_trees >= LARGEST_TABLE:
        return None
    low, high = op.values.data.min(), op.values.data.max()
    counts, sums = np.zeros(1, np.int64), np.array([op.start], np.float32)
    with np.errstate(over="ignore"):
        for leaves in reached_leaves(op.nodes):
            kinds = {bool(value == high) for value in op.values.data[leaves]}
            ways = [(counts + kind, sums + (high if kind else low)) for kind in sorted(kinds)]
            counts, sums = (np.concatenate(part) for part in zip(*ways, strict=True))
            both = np.unique(counts << 32 | sums.view(np.uint32).astype(np.int64))
            counts, sums = both >> 32, (both & 0xFFFFFFFF).astype(np.uint32).view(np.float32)
            if len(both) > MOST_SUMS:
                return None
    if len(np.unique(counts)) < len(counts):
        return None
    by_count = np.zeros(op.n_trees + 1, np.float32)
    by_count[counts] = sums
    return by_count


def rounded_totals(op: TreeSum, bits: int) -> Totals | None:
    """Totals of values rounded to a unit, each within `bits` bits around their middle; None where floats overflow.

    The bound: what rounding moves in each tree, the start, and what the sum of floats itself rounds.
    """
    limit = (1 << (bits - 1)) - 1
    trees = tuple(reached_leaves(op.nodes))
    values, start = op.values.data.astype(np.float64), float(np.float32(op.start))
    rounding = float_rounding(op)
    if not np.isfinite(rounding):
        return None
    low, high = float(values.min()), float(values.max())
    furthest = abs(start) + op.n_trees * max(abs(low), abs(high))
    finest = max((high - low) / 2 / limit, furthest / np.iinfo(np.int32).max, 1e-36)  # units that may do
    exponent = math.frexp(finest)[1] - 1
    while True:
        unit = 2.0**exponent
        middle = round((low + high) / 2 / unit)
        codes = np.rint(values / unit).astype(np.int64) - middle
        begin = round(start / unit) + op.n_trees * middle
        made = None if int(np.abs(codes).max()) > limit else _totals_op(op, codes, begin)
        if made is not None:
            break
        exponent += 1
    error = np.abs((codes + middle) * unit - values)
    moved = math.fsum(float(error[leaves].max()) for leaves in trees) + abs(round(start / unit) * unit - start)
    least = begin + sum(int(codes[leaves].min()) for leaves in trees)
    most = begin + sum(int(codes[leaves].max()) for leaves in trees)
    return Totals(made, least, most, unit, bound=moved + rounding)


def integer_totals(op: TreeSum, bits: int) -> Totals | None:
    """Totals with a bound: exact ones, the number of trees that add the larger of two values, or rounded values."""
    exact = exact_totals(op)
    if exact is not None:
        return exact
    rounding = float_rounding(op)
    if has_two_values(op) and math.isfinite(rounding):
        return replace(count_of(op), bound=rounding)
    return rounded_totals(op, bits)


def float_rounding(op: TreeSum) -> float:
    """How far the sum in floats can be from the exact one: half an ulp of each partial sum at most. Infinite where a
    partial sum might overflow."""
    size, moved = abs(float(np.float32(op.start))), 0.0
    values = np.abs(op.values.data.astype(np.float64))
    for leaves in reached_leaves(op.nodes):
        size += float(values[leaves].max())
        moved += (size + moved) * 2.0**-EXACT_BITS
    return moved if size + moved < float(np.finfo(np.float32).max) else math.inf


@dataclass(frozen=True, eq=False)
class _Known:
    """A float of the old Program that is a function of a total in the new one."""

    total: int
    totals: Totals
    values: Floats | None  # by total - low, of all that there are; None: `chain` of unit * total
    chain: tuple[Op, ...] = ()

    def at(self, total: int) -> np.float32:
        """What the chain makes of one total, with the arithmetic of the C."""
        value = np.array([[total]], np.float32) * np.float32(self.totals.unit)
        with np.errstate(all="ignore"):
            for op in self.chain:
                value = op.evaluate(value)
        return np.float32(value[0, 0])


def with_totals(program: Program, cost: Cost) -> Program:
    """The program with totals of integers for sums of leaves, and tables and integer decisions behind them."""
    if program.codes is not None or not any(isinstance(step.op, TreeSum) for step in program.steps):
        return program
    work = _Rewriting(program, cost)
    for index in program.needed(program.scores, program.label):
        work.take(index)
    return work.result()


class _Rewriting:
    """The pass at work: new steps, where values are now, and which are functions of a total."""

    def __init__(self, program: Program, cost: Cost) -> None:
        self.program = program
        self.cost = cost
        self.steps: list[Step] = []
        self.moved = {0: 0}
        self.known: dict[int, _Known] = {}
        self.notes: list[str] = []

    def result(self) -> Program:
        program = self.program
        scores = self.there(program.scores)
        label = None if program.label is None else self.there(program.label)
        notes = (*program.notes, *self.notes)
        made = replace(program, steps=tuple(self.steps), scores=scores, label=label, notes=notes)
        made.check()
        return made

    def add(self, op: Op, *inputs: int) -> int:
        self.steps.append(Step(op, inputs))
        return len(self.steps)

    def take(self, index: int) -> None:
        step, value = self.program.steps[index], index + 1
        known = self.known.get(step.inputs[0]) if len(step.inputs) == 1 else None
        match step.op:
            case TreeSum(compare="f32") as op if (totals := self.totals_of(op, value)) is not None:
                self.sum(op, totals, value)
            case Map() as op if known is not None and known.values is not None:
                with np.errstate(all="ignore"):
                    made = op.evaluate(known.values.reshape(-1, 1))[:, 0]
                self.known[value] = replace(known, values=np.asarray(made, np.float32))
            case Map() as op if known is not None and is_monotone(op):
                self.known[value] = replace(known, chain=(*known.chain, op))
            case Threshold() as op if known is not None:
                self.moved[value] = self.add(decision(op, known), known.total)
            case op:
                self.moved[value] = self.add(op, *(self.there(i) for i in step.inputs))

    def totals_of(self, op: TreeSum, value: int) -> Totals | None:
        exact = exact_totals(op)
        if exact is None:
            return counted_totals(op)
        if exact.span > self.longest(value):
            return exact
        reals = (np.arange(exact.low, exact.high + 1) * exact.unit).astype(np.float32)
        moved = _totals_op(op, exact.op.values.data.astype(np.int64), exact.op.start - exact.low)
        return exact if moved is None else replace(exact, op=moved, low=0, high=exact.span - 1, reals=reals)

    def longest(self, value: int) -> int:
        """Entries that a table of the values may have in place of the arithmetic behind the sum."""
        steps = [self.program.steps[index] for index in self.program.needed(self.program.scores, self.program.label)]
        after = [step.op for step in steps if step.inputs == (value,)]
        if any(isinstance(op, Map) and not is_monotone(op) for op in after):
            return FUNCTION_ENTRIES
        return 10 * self.cost.float_compare

    def sum(self, op: TreeSum, totals: Totals, value: int) -> None:
        total = self.add(totals.op, self.there(self.program.steps[value - 1].inputs[0]))
        self.known[value] = _Known(total, totals, totals.reals)
        self.notes.append(f"{op.n_trees} trees add whole units, exactly: {totals.proof}")

    def there(self, value: int) -> int:
        """The value in the new Program, made of its total where that has not been done."""
        if value not in self.moved:
            known = self.known[value]
            if known.values is not None:
                at = self.add(Lookup("i32", 1, 1, Table(known.values)), known.total)
            else:
                scale = Table(np.array([known.totals.unit], np.float32))
                at = self.add(Dequantise("i32", 1, scale, None), known.total)
                for op in known.chain:
                    at = self.add(op, at)
            self.moved[value] = at
        return self.moved[value]


def is_monotone(op: Map) -> bool:
    """Whether every stage keeps the order of floats or turns it, and makes no NaN of what is none."""
    return all(stage.verb == "neg" or (stage.verb in AFFINE and _is_plain(stage)) for stage in op.stages)


def _is_plain(stage: Stage) -> bool:
    constant = stage.constant
    return constant is not None and math.isfinite(constant) and (constant != 0 or stage.verb in ("add", "sub"))


def decision(op: Threshold, known: _Known) -> Op:
    """The same label from the total: it changes at one place in the order of totals, or there is a table of labels."""
    totals = known.totals
    if known.values is not None:
        labels = op.evaluate(known.values.reshape(-1, 1))[:, 0]
        places = np.flatnonzero(labels[1:] != labels[:-1]) + 1
        if len(places) > 1:
            return Lookup("i32", 1, 1, Table(labels.astype(np.int32)))
        place = totals.low + (int(places[0]) if len(places) else 0)
        return IntegerThreshold("i32", place, int(labels[-1]), int(labels[0]))

    def label(total: int) -> int:
        return int(op.evaluate(np.array([[known.at(total)]], np.float32))[0, 0])

    return threshold_between(totals.low, totals.high, label)


def threshold_between(low: int, high: int, label: Callable[[int], int]) -> IntegerThreshold:
    """Labels of totals from low to high, which change once at most, as one comparison."""
    first, last = label(low), label(high)
    if first == last:
        return IntegerThreshold("i32", low, last, first)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if label(middle) == first else (low, middle)
    return IntegerThreshold("i32", high, last, first)
