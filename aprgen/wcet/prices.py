"""Allowances that one function gives and another spends: what passing a mark is worth, so that functions can be bounded
one by one.

A price on what is spent, paid back for what is allowed, changes no bound for the worse and makes functions independent:
any price of at least 0 gives a bound that holds (Lagrange). Knows the linear program over all functions of a call whose
multipliers are good prices; what they prove, `ipet` proves again. Knows no marks of loops and no instruction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from aprgen.errors import UnsupportedError
from aprgen.wcet.cost import Costs
from aprgen.wcet.graph import Edge, Graph
from aprgen.wcet.marks import Account, Constraint, account_constraint
from aprgen.wcet.solver import Problem, whole_multipliers
from aprgen.wcet.timing import Cycles, transfers

Accounts = Mapping[str, Sequence[Account]]  # by function


def kept(accounts: Sequence[Account], shared: Set[str]) -> tuple[Account, ...]:
    """Those that bound what the function spends: nobody allows the others in this call, so they say nothing."""
    return tuple(one for one in accounts if one.allows or one.id in shared)


def shared_names(accounts: Accounts) -> frozenset[str]:
    """What some function allows, and some function spends that allows none itself."""
    every = [one for own in accounts.values() for one in own]
    allowed = {one.id for one in every if one.allows}
    return frozenset(one.id for one in every if one.spends and not one.allows and one.id in allowed)


def priced(
    costs: Costs, graph: Graph, accounts: Sequence[Account], prices: Mapping[str, int]
) -> tuple[Costs, frozenset[Edge]]:
    """The worst-case costs less what is paid, and the edges that pay."""
    edges = dict(costs.edges)
    entry, paid = costs.entry, set[Edge]()
    for account in accounts:
        price = prices.get(account.id, 0)
        spent = account_constraint(account, graph)
        for edge, times in spent.terms.items():
            edges[edge] = Cycles(edges[edge].best, edges[edge].worst - price * times)
            if account.id in prices and times > 0:
                paid.add(edge)
        entry = Cycles(entry.best, entry.worst + price * spent.limit)
    return replace(costs, entry=entry, edges=edges), frozenset(paid)


def prices_of(
    graphs: Mapping[str, Graph], root: str, costs: Mapping[str, Costs], stated: Mapping[str, Sequence[Constraint]],
    accounts: Accounts, shared: Set[str],
) -> Mapping[str, int]:  # fmt: skip
    """Whole cycles for each of these names. stated: what bounds each call of a function."""
    names = tuple(sorted(shared))
    found = whole_multipliers(_joint(graphs, root, costs, stated, accounts, names), len(names))
    if found is None:
        raise UnsupportedError(
            "wcet.loop", f"what bounds the loops of {root} does not bound them all", where=root,
            hint="mark every loop in the C with its bound, or with what it spends",
        )  # fmt: skip
    return dict(zip(names, found, strict=True))


def _joint(
    graphs: Mapping[str, Graph], root: str, costs: Mapping[str, Costs], stated: Mapping[str, Sequence[Constraint]],
    accounts: Accounts, names: Sequence[str],
) -> Problem:  # fmt: skip
    """All functions at once, each as often as it is called; the facts of the names come last."""
    blocks = [(name, start) for name, graph in graphs.items() for start in graph.blocks]
    number = {place: n for n, place in enumerate(blocks)}
    places = [(name, edge) for name, graph in graphs.items() for edge in dict.fromkeys(graph.edges)]
    at = {place: position for position, place in enumerate(places)}
    callers: dict[str, list[int]] = {name: [] for name in graphs}
    calls, cycles = {}, []
    for position, (name, edge) in enumerate(places):
        block = graphs[name].blocks[edge.source]
        own = costs[name].edges[edge].worst
        if block.call is not None and transfers(block.last, edge.taken):
            callers[block.call].append(position)
            calls[position] = number[block.call, graphs[block.call].entry]
            own += costs[block.call].entry.worst
        cycles.append(own)
    facts: list[Mapping[int, int]] = []
    limits = []
    groups = [[(name, one)] for name, own in stated.items() for one in own]
    groups += [
        [(function, account_constraint(one, graphs[function])) for function, own in accounts.items() for one in own
         if one.id == name]
        for name in names
    ]  # fmt: skip
    for group in groups:
        terms: dict[int, int] = {}
        limit = 0
        for name, one in group:
            for edge, times in one.terms.items():
                terms[at[name, edge]] = terms.get(at[name, edge], 0) + times
            limit += one.limit if name == root else 0
            for position in () if name == root else callers[name]:
                terms[position] = terms.get(position, 0) - one.limit
        facts.append(terms)
        limits.append(limit)
    ends = tuple((number[name, edge.source], number.get((name, edge.target))) for name, edge in places)
    return Problem(
        number[root, graphs[root].entry], tuple(number.values()), tuple(edge for _, edge in places), ends,
        tuple(cycles), tuple(facts), tuple(limits), calls,
    )  # fmt: skip
