"""Control-flow graphs: blocks, edges and natural loops. Knows dominators; knows nothing of how code is decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aprgen.wcet.instruction import Instruction

EXIT = -1  # where an edge that returns leads


@dataclass(frozen=True)
class Edge:
    """From block to block, by start addresses. taken: the last instruction of the source jumps or returns."""

    source: int
    target: int
    taken: bool


@dataclass(frozen=True)
class Block:
    """Instructions that are executed one after another. call: what the last one calls, as a name of a graph."""

    start: int
    instructions: tuple[Instruction, ...]
    call: str | None

    @property
    def last(self) -> Instruction:
        return self.instructions[-1]


@dataclass(frozen=True)
class Loop:
    """A natural loop: all ways into `blocks` lead through `head`; back_edges return to it."""

    head: int
    blocks: frozenset[int]
    back_edges: tuple[Edge, ...]


@dataclass(frozen=True)
class Frame:
    """The stack of one function, without those it calls.

    depth_bytes: the most that it takes itself. at_calls: bytes taken at the end of each block that calls.
    """

    depth_bytes: int = 0
    at_calls: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """One function, with the code of those it jumps into for good (tail calls). Edges are in order of addresses.

    tangles: blocks that form cycles which are no natural loops, as they can be entered in several places. What bounds
    them can only be counts of single edges.
    """

    name: str
    entry: int
    blocks: Mapping[int, Block]
    edges: tuple[Edge, ...]
    loops: tuple[Loop, ...]
    tangles: tuple[frozenset[int], ...] = ()
    frame: Frame = field(default_factory=Frame)

    def leaving(self, block: int) -> tuple[Edge, ...]:
        return tuple(edge for edge in self.edges if edge.source == block)


def find_loops(
    entry: int, starts: Sequence[int], edges: Sequence[Edge]
) -> tuple[tuple[Loop, ...], tuple[frozenset[int], ...]]:
    """The natural loops, by head, and the tangles."""
    successors: dict[int, list[int]] = {start: [] for start in starts}
    predecessors: dict[int, list[int]] = {start: [] for start in starts}
    for edge in edges:
        if edge.target != EXIT:
            successors[edge.source].append(edge.target)
            predecessors[edge.target].append(edge.source)
    order = _reverse_post_order(entry, successors)
    place = {start: number for number, start in enumerate(order)}
    dominator = _dominators(order, place, predecessors)
    back: dict[int, list[Edge]] = {}
    for edge in edges:
        if edge.target != EXIT and _dominates(edge.target, edge.source, dominator, place):
            back.setdefault(edge.target, []).append(edge)
            successors[edge.source].remove(edge.target)
    loops = tuple(Loop(head, _body(head, back[head], predecessors), tuple(back[head])) for head in sorted(back))
    return loops, _cycles(successors)


def _cycles(successors: Mapping[int, Sequence[int]]) -> tuple[frozenset[int], ...]:
    """The strongly connected components of more than one block."""
    backwards: dict[int, list[int]] = {start: [] for start in successors}
    for start, following in successors.items():
        for one in following:
            backwards[one].append(start)
    finished: list[int] = []
    seen: set[int] = set()
    for start in sorted(successors):
        if start not in seen:
            finished += _post_order(start, successors, seen)
    found = []
    seen = set()
    for start in reversed(finished):
        if start not in seen:
            component = _post_order(start, backwards, seen)
            if len(component) > 1:
                found.append(frozenset(component))
    return tuple(sorted(found, key=min))


def _reverse_post_order(entry: int, successors: Mapping[int, Sequence[int]]) -> list[int]:
    return _post_order(entry, successors, set())[::-1]


def _post_order(entry: int, successors: Mapping[int, Sequence[int]], seen: set[int]) -> list[int]:
    """What can be reached from the entry and was not seen before, each after all that follow it."""
    finished: list[int] = []
    seen.add(entry)
    pending = [(entry, iter(successors[entry]))]
    while pending:
        start, rest = pending[-1]
        following = next(rest, None)
        if following is None:
            finished.append(start)
            pending.pop()
        elif following not in seen:
            seen.add(following)
            pending.append((following, iter(successors[following])))
    return finished


def _dominators(
    order: Sequence[int], place: Mapping[int, int], predecessors: Mapping[int, Sequence[int]]
) -> Mapping[int, int]:
    """The immediate dominator of each block; the entry's is the entry (Cooper, Harvey, Kennedy 2001)."""
    dominator = {order[0]: order[0]}
    changed = True
    while changed:
        changed = False
        for start in order[1:]:
            known = [before for before in predecessors[start] if before in dominator]
            found = known[0]
            for other in known[1:]:
                while found != other:
                    if place[found] > place[other]:
                        found = dominator[found]
                    else:
                        other = dominator[other]
            if dominator.get(start) != found:
                dominator[start] = found
                changed = True
    return dominator


def _dominates(one: int, other: int, dominator: Mapping[int, int], place: Mapping[int, int]) -> bool:
    while place[other] > place[one]:
        other = dominator[other]
    return one == other


def _body(head: int, back: Sequence[Edge], predecessors: Mapping[int, Sequence[int]]) -> frozenset[int]:
    body = {head}
    pending = [edge.source for edge in back]
    while pending:
        start = pending.pop()
        if start not in body:
            body.add(start)
            pending += predecessors[start]
    return frozenset(body)
