"""How good learned costs are: each model's strategy chosen by costs that were learned from all other models.

Compares them with what the target states and with what was measured. Measures nothing and prints nothing.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from aprgen.costs import BatchCost
from aprgen.tuned.decision import group_of
from aprgen.tuned.learned import MANY_ROWS, Learned, Values, forms_of, is_base, learn, stated
from aprgen.tuned.records import Kind, Record

AS_GOOD = 1.02  # times that differ by less are the same strategy's on another day


@dataclass(frozen=True)
class Picks:
    """Over models with a choice. best: for how many what was chosen took at most 2 percent more than the quickest.
    mean and worst: its time relative to the quickest."""

    best: int
    mean: float
    worst: float


@dataclass(frozen=True)
class Errors:
    """Of predicted times, relative to those measured."""

    median: float
    worst: float


@dataclass(frozen=True)
class Evaluation:
    """Of one target, machine, compiler and kind. models: with a choice between records.

    learned, stated: by costs learned from other models, and by the target's. blocks, alone: times that the learned
    costs predict of strategies for blocks, and of rows one by one. costs: by name, the stated one and the one learned
    from all models. changed: parameters that the records change. lacking: why no model could be chosen for, or empty.
    """

    target: str
    cpu: str
    compiler: str
    kind: Kind
    records: int
    models: int
    learned: Picks | None
    stated: Picks | None
    blocks: Errors | None
    alone: Errors | None
    costs: Mapping[str, tuple[float | None, float]]
    changed: Mapping[str, int]
    lacking: str


def evaluate(records: Sequence[Record], cost_of: Callable[[str], BatchCost | None]) -> tuple[Evaluation, ...]:
    """In the order of targets; those without blocks of rows are left out."""
    groups: dict[tuple[str, str, str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.target, *group_of(record)), []).append(record)
    found = []
    for (target, *_), own in sorted(groups.items()):
        cost = cost_of(target)
        kinds: tuple[Kind, ...] = get_args(Kind)
        for kind in kinds if cost is not None else ():
            assert cost is not None
            learned = learn(own, kind, cost)
            if learned is not None:
                found.append(_evaluation([record for record in own if record.kind == kind], learned, cost))
    return tuple(found)


def _evaluation(records: Sequence[Record], learned: Learned, cost: BatchCost) -> Evaluation:
    kind = learned.kind
    by_model: dict[str, list[Record]] = {}
    for record in records:
        if record.rows >= MANY_ROWS:
            by_model.setdefault(record.model, []).append(record)
    by_learned, by_stated = [], []
    errors: dict[bool, list[float]] = {True: [], False: []}
    for model, own in by_model.items():
        others = learn([record for record in records if record.model != model], kind, cost)
        if others is None:
            continue
        for record in own:
            errors[forms_of(record) in ((), ("rows",))].append(abs(others.predicted(record) / record.cycles - 1))
        if len(own) < 2:
            continue
        least = min(record.least for record in own)
        by_learned.append(_chosen(own, others.applied(cost), kind, others.base).least / least)
        by_stated.append(_chosen(own, cost, kind, others.base).least / least)
    costs = {term: (stated(cost, kind).get(term), cycles) for term, cycles in learned.cycles.items()}
    return Evaluation(
        records[0].target, records[0].machine.cpu, records[0].compiler, kind, len(records), len(by_learned),
        _picks(by_learned), _picks(by_stated), _errors(errors[False]), _errors(errors[True]), costs,
        _changed(learned, cost), "" if by_learned else _lacking(len(by_model)),
    )  # fmt: skip


def _lacking(models: int) -> str:
    if models == 1:
        return "the records are of one model, and costs are learned from others: measure two or more into the file"
    return "no model has records of two strategies to choose from: measure models with more time (--seconds)"


def _chosen(own: Sequence[Record], cost: BatchCost, kind: Kind, base: Values) -> Record:
    """What the pass takes by these costs: the cheapest form, cut as they say where that was measured.

    Sums of floats are never left row by row.
    """
    able = [record for record in own if record.choices.sums != ()]
    prices = stated(cost, kind)
    usual = [record for record in able if is_base(record, base)] or able
    form = min(usual, key=lambda record: _price(record, prices))
    wanted = parameters_of(cost, kind)
    cut = (one for one in able if is_base(one, wanted) and forms_of(one) == forms_of(form))
    return next(cut, form)


def parameters_of(cost: BatchCost, kind: Kind) -> Values:
    """As the target states them."""
    if kind == "trees" or cost.floats is None:
        return {"rows": cost.rows}
    return {"rows": cost.rows, "tile_rows": cost.floats.tile_rows, "tile_panels": cost.floats.tile_panels}


def _changed(learned: Learned, cost: BatchCost) -> dict[str, int]:
    few = {} if learned.few_rows in (None, cost.few_rows) else {"few_rows": learned.few_rows}
    return {**learned.parameters(), **{name: value for name, value in few.items() if value is not None}}


def _price(record: Record, prices: Mapping[str, float]) -> float:
    return math.fsum(prices.get(term, 0.0) * count for term, count in record.work.items())


def _errors(found: Sequence[float]) -> Errors | None:
    return Errors(statistics.median(found), max(found)) if found else None


def _picks(ratios: Sequence[float]) -> Picks | None:
    if not ratios:
        return None
    return Picks(sum(ratio <= AS_GOOD for ratio in ratios), statistics.mean(ratios), max(ratios))
