"""Functions that are called from one place, as part of their caller: one graph, so that one fact can hold for all.

Knows how graphs, costs and facts of loops are put together, and how a path is taken apart again. Knows no rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aprgen.wcet.cost import Costs
from aprgen.wcet.graph import EXIT, Block, Edge, Graph
from aprgen.wcet.marks import Constraint


@dataclass(frozen=True, eq=False)
class Spliced:
    """edges: by function and its own edge, those of the whole; more than one where a callee returns in several places.

    calls: the edge that calls a function.
    """

    graph: Graph
    costs: Costs
    edges: Mapping[tuple[str, Edge], Edge]
    calls: Mapping[str, Edge]


def callees_once(graphs: Mapping[str, Graph], root: str, wanted: frozenset[str]) -> tuple[str, ...]:
    """Of the wanted functions, those that can be made part of the root: called from one block of the root or of
    another such function, callers first."""
    sites: dict[str, list[str]] = {}
    for name, graph in graphs.items():
        for block in graph.blocks.values():
            if block.call is not None:
                sites.setdefault(block.call, []).append(name)
    chosen: list[str] = []
    seen = set(graphs[root].blocks)
    for name in reversed(tuple(graphs)):  # callers first
        callers = sites.get(name, [])
        apart = seen.isdisjoint(graphs[name].blocks)
        if name in wanted and len(callers) == 1 and callers[0] in (root, *chosen) and apart:
            chosen.append(name)
            seen |= set(graphs[name].blocks)
    return tuple(chosen)


def splice(graphs: Mapping[str, Graph], costs: Mapping[str, Costs], root: str, parts: Sequence[str]) -> Spliced:
    """The root with these functions in it."""
    blocks: dict[int, Block] = {}
    edges: dict[tuple[str, Edge], Edge] = {}
    cycles = {}
    calls: dict[str, Edge] = {}
    back: dict[str, int] = {}  # where each part returns to
    for name in (root, *parts):
        for edge in graphs[name].edges:
            block = graphs[name].blocks[edge.source]
            cost = costs[name].edges[edge]
            if block.call is not None and block.call in parts:
                whole = calls[block.call] = Edge(edge.source, graphs[block.call].entry, False)
                back[block.call] = edge.target
                cost += costs[block.call].entry
            elif edge.target == EXIT and name != root:
                whole = Edge(edge.source, back[name], False)
            else:
                whole = edge
            edges[name, edge] = whole
            cycles[whole] = cost
        for start, block in graphs[name].blocks.items():
            blocks[start] = replace(block, call=None) if block.call in parts else block
    graph = Graph(root, graphs[root].entry, blocks, tuple(dict.fromkeys(edges.values())), ())
    return Spliced(graph, Costs(costs[root].entry, cycles), edges, calls)


def carried(fact: Constraint, name: str, spliced: Spliced) -> Constraint:
    """A fact about one call of a function, for the whole."""
    terms: dict[Edge, int] = {}
    for edge, factor in fact.terms.items():
        whole = spliced.edges[name, edge]
        terms[whole] = terms.get(whole, 0) + factor
    if name not in spliced.calls:
        return Constraint(terms, fact.limit, fact.reason)
    call = spliced.calls[name]
    terms[call] = terms.get(call, 0) - fact.limit
    return Constraint({edge: factor for edge, factor in terms.items() if factor}, 0, fact.reason)


def taken_apart(counts: Mapping[Edge, int], name: str, spliced: Spliced) -> Mapping[Edge, int]:
    """How often the function's own edges are taken."""
    found = {edge: counts.get(whole, 0) for (owner, edge), whole in spliced.edges.items() if owner == name}
    return {edge: times for edge, times in found.items() if times}
