"""Costs of a target, learned from records: the same costs that the target states, fitted so that their sums are the
times that were measured.

A fit of least squares of relative errors in which no cost is negative; what the records do not show stays as stated.
Only +, -, *, / of floats in a fixed order, so that the same records give the same costs on any machine.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aprgen.costs import BatchCost
from aprgen.passes.choices import Choices
from aprgen.tuned.records import Kind, Record

TREE_COSTS = (
    "split", "code", "level_tree", "level_split", "bit_split", "permuted_tree", "permuted_bytes", "turned_tree",
    "turned_bytes", "turned_code", "walked_split", "walked_top", "walked_lines", "staged_tree", "staged_step",
    "float_split", "far_level",
)  # fmt: skip
SUM_COSTS = ("panel", "lane", "turned", "square_panel", "square_lane")
PARAMETERS = ("rows", "tile_rows", "tile_panels")
MANY_ROWS = 256  # of a call: fewer show when blocks pay at all
PRIOR = 0.003  # records that say "as stated", of each cost
LEAST_MODELS = 3  # that show what a parameter does, before it is changed
WORTH = 0.97  # a parameter is changed for at least 3 percent
SWEEPS = 20_000

Values = Mapping[str, int]


@dataclass(frozen=True)
class Learned:
    """cycles: of each cost, for 1,000 rows; names that are none of the target's belong to no strategy and only explain
    time. base: parameters of most records. factors: time with another value of a parameter, relative to that.
    few_rows: of sums with rows in lanes; for trees it follows from their costs."""

    kind: Kind
    cycles: Mapping[str, float]
    base: Values
    factors: Mapping[tuple[str, int], float]
    few_rows: int | None

    def predicted(self, record: Record) -> float:
        """Cycles for 1,000 rows."""
        found = math.fsum(self.cycles.get(term, 0.0) * count for term, count in record.work.items())
        for name, value in parameters(record.choices).items():
            found *= self.factors.get((name, value), 1.0)
        return found

    def parameters(self) -> Values:
        """Those that are worth changing, and what they become."""
        best: dict[str, int] = {}
        for (name, value), factor in self.factors.items():
            least = self.factors[name, best[name]] if name in best else WORTH
            if factor < least:
                best[name] = value
        return best

    def applied(self, cost: BatchCost) -> BatchCost:
        """The target's costs with these in their place."""
        changed: dict[str, Any] = {
            term: max(1, round(value)) for term, value in self.cycles.items() if term in stated(cost, self.kind)
        }
        tiles: dict[str, Any] = dict(self.parameters())
        rows = tiles.pop("rows", cost.rows)
        if self.kind == "trees":
            made = replace(cost, **changed)
        else:
            assert cost.floats is not None
            made = replace(cost, floats=replace(cost.floats, **changed, **tiles))
        return replace(made, rows=rows, few_rows=min(rows, self.few_rows or cost.few_rows))


def stated(cost: BatchCost, kind: Kind) -> dict[str, float]:
    """The costs of that kind that the target states."""
    of = cost if kind == "trees" else cost.floats
    found = {term: getattr(of, term, None) for term in (TREE_COSTS if kind == "trees" else SUM_COSTS)}
    return {term: float(value) for term, value in found.items() if value is not None}


def parameters(choices: Choices) -> Values:
    found = {name: getattr(choices, name) for name in PARAMETERS}
    return {name: value for name, value in found.items() if value is not None}


def learn(records: Sequence[Record], kind: Kind, cost: BatchCost) -> Learned | None:
    """From records of one target, machine and compiler; None: there are none of that kind."""
    own = [record for record in records if record.kind == kind]
    many = [record for record in own if record.rows >= MANY_ROWS]
    if not many:
        return None
    base = _usual(many)
    plain = [record for record in many if is_base(record, base)]
    few_rows = few_rows_of([record for record in own if "lanes" in (record.choices.sums or ())])
    return Learned(kind, _fitted(plain, stated(cost, kind)), base, _factors(many, base), few_rows)


def is_base(record: Record, base: Values) -> bool:
    return all(base.get(name) == value for name, value in parameters(record.choices).items())


def few_rows_of(records: Sequence[Record]) -> int | None:
    """From how many rows on blocks are quicker, over all models; None: calls of few rows were not measured.

    Records of one call twice: with the fewest rows in a block, and with rows that are too few for one.
    """
    calls: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        if record.rows < MANY_ROWS and record.choices.few_rows is not None:
            calls.setdefault((record.model, record.rows), []).append(record)
    pairs = []
    for (_, rows), own in sorted(calls.items()):
        block = [one.least for one in own if (one.choices.few_rows or 0) <= rows]
        alone = [one.least for one in own if (one.choices.few_rows or 0) > rows]
        if block and alone:
            pairs.append((rows, min(block), min(alone)))
    if not pairs:
        return None

    def regret(few_rows: int) -> float:
        return math.fsum(
            (block if rows >= few_rows else alone) / min(block, alone) for rows, block, alone in pairs
        )  # fmt: skip

    sizes = sorted({rows for rows, _, _ in pairs})
    return min((1, *sizes, 2 * sizes[-1]), key=lambda few_rows: (regret(few_rows), few_rows))


def _usual(records: Sequence[Record]) -> Values:
    found: dict[str, int] = {}
    for name in PARAMETERS:
        seen = Counter(own[name] for record in records if name in (own := parameters(record.choices)))
        if seen:
            found[name] = max(sorted(seen), key=lambda value: seen[value])
    return found


def _factors(records: Sequence[Record], base: Values) -> dict[tuple[str, int], float]:
    """The median over models, of pairs of records that differ in one parameter."""
    times = {(record.model, forms_of(record), tuple(sorted(parameters(record.choices).items()))): record.least
             for record in records}  # fmt: skip
    ratios: dict[tuple[str, int], list[float]] = {}
    for (model, forms, own), least in times.items():
        usual = tuple(sorted((name, base[name]) for name, _ in own))
        changed = [pair for pair in own if pair not in usual]
        if len(changed) == 1 and (model, forms, usual) in times:
            ratios.setdefault(changed[0], []).append(least / times[model, forms, usual])
    return {pair: statistics.median(found) for pair, found in sorted(ratios.items()) if len(found) >= LEAST_MODELS}


def forms_of(record: Record) -> tuple[str, ...]:
    return (record.choices.trees,) if record.choices.trees is not None else record.choices.sums or ()


def _fitted(records: Sequence[Record], prior: Mapping[str, float]) -> dict[str, float]:
    """Costs c >= 0 with the least sum of (sum of c * work / cycles - 1)^2; where several are as good, those near the
    prior. Its weight is small, also where it is far off: it is measured by the larger of it and the cost without it."""
    terms = sorted({term for record in records for term in record.work} | set(prior))
    rows = [[record.work.get(term, 0.0) / record.cycles for term in terms] for record in records]
    wanted = [1.0] * len(rows)
    alone = dict(zip(terms, least_squares(rows, wanted), strict=True))
    for index, term in enumerate(terms):
        if term in prior:
            weight = math.sqrt(PRIOR) / max(prior[term], alone[term])
            rows.append([weight if place == index else 0.0 for place in range(len(terms))])
            wanted.append(weight * prior[term])
    return dict(zip(terms, least_squares(rows, wanted), strict=True))


def least_squares(rows: Sequence[Sequence[float]], wanted: Sequence[float]) -> list[float]:
    """The c >= 0 with the least sum of (row . c - wanted)^2, by coordinates in turn until none changes."""
    n = len(rows[0])
    columns = [[row[index] for row in rows] for index in range(n)]
    scale = [math.sqrt(math.fsum(x * x for x in column)) or 1.0 for column in columns]
    columns = [[x / own for x in column] for column, own in zip(columns, scale, strict=True)]
    square = [[math.fsum(map(_times, one, two)) for two in columns] for one in columns]
    right = [math.fsum(map(_times, column, wanted)) for column in columns]
    found = [0.0] * n
    for _ in range(SWEEPS):
        largest = 0.0
        for index in range(n):
            if square[index][index]:
                slope = right[index] - math.fsum(map(_times, square[index], found))
                after = max(0.0, found[index] + slope / square[index][index])
                largest = max(largest, abs(after - found[index]))
                found[index] = after
        if largest < 1e-12:
            break
    return [value / own for value, own in zip(found, scale, strict=True)]


def _times(one: float, two: float) -> float:
    return one * two
