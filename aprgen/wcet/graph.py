"""Control-flow graphs: blocks, edges and natural loops. Knows dominators; knows nothing of how code is decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aprgen.errors import UnsupportedError
from aprgen.wcet.decode import Instruction

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
class Graph:
    """One function, with the code of those it jumps into for good (tail calls). Edges are in order of addresses."""

    name: str
    entry: int
    blocks: Mapping[int, Block]
    edges: tuple[Edge, ...]
    loops: tuple[Loop, ...]

    def leaving(self, block: int) -> tuple[Edge, ...]:
        return tuple(edge for edge in self.edges if edge.source == block)


def find_loops(name: str, entry: int, starts: Sequence[int], edges: Sequence[Edge]) -> tuple[Loop, ...]:
    """The natural loops, by head; a loop that can be entered in its middle is refused."""
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
        if edge.target == EXIT or place[edge.source] < place[edge.target]:
            continue
        if not _dominates(edge.target, edge.source, dominator, place):
            raise UnsupportedError(
                "wcet.irreducible", f"a loop of {name} at {edge.target:#x} can be entered in its middle", where=name,
                hint="compile with -O2; jump threading across loops makes such code",
            )  # fmt: skip
        back.setdefault(edge.target, []).append(edge)
    return tuple(Loop(head, _body(head, back[head], predecessors), tuple(back[head])) for head in sorted(back))


def _reverse_post_order(entry: int, successors: Mapping[int, Sequence[int]]) -> list[int]:
    finished: list[int] = []
    seen = {entry}
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
    return finished[::-1]


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
