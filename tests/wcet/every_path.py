"""The longest path of a linked function by trying every path, instruction by instruction.

Knows blocks, marks and the timing table, and walks them as a processor would. It shares neither the costs of edges nor
the solver with the analysis, so that both can be compared with it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from aprgen.wcet.graph import EXIT, Block, Edge, Graph
from aprgen.wcet.marks import LoopFact, Mark
from aprgen.wcet.memory import Memory, base_waits, fetch_waits
from aprgen.wcet.timing import Timing, instruction_cycles, transfers

MOST_STATES = 20_000
_State = tuple[int, bool, int | None, tuple[int, ...]]  # block, arrived by a jump, block before, what loops have left
_Step = tuple[int, _State | None]


def longest_path(
    graph: Graph, facts: Sequence[LoopFact], callees: Mapping[str, int], timing: Timing, memory: Memory
) -> int | None:
    """Cycles of the longest path on which a loop's bodies run at most `bound` times from one scope to the next.

    None when there are more than MOST_STATES ways to be somewhere on a path.
    """
    following: dict[int, list[Edge]] = {start: [] for start in graph.blocks}
    for edge in graph.edges:
        following[edge.source].append(edge)
    at: dict[int, list[tuple[Mark, int, int]]] = {start: [] for start in graph.blocks}
    for number, fact in enumerate(facts):
        for mark in (*fact.scopes, *fact.bodies):
            at[_block_of(graph, mark)].append((mark, number, fact.bound))
    for marks in at.values():
        marks.sort(key=lambda one: (one[0].address, one[0].kind == "body"))

    def steps(state: _State) -> list[_Step]:
        start, jumped, before, left = state
        block = graph.blocks[start]
        budget = list(left)
        for mark, number, bound in at[start]:
            if not (mark.label_after and jumped and mark.address == start):
                budget[number] = bound if mark.kind == "loop" else budget[number] - 1
                if budget[number] < 0:
                    return []
        found: list[_Step] = []
        for edge in following[start]:
            adjacent = None if transfers(block.last, edge.taken) else start
            onward = None if edge.target == EXIT else (edge.target, edge.taken, adjacent, tuple(budget))
            found.append((cycles(start, edge.taken, before), onward))
        return found

    @functools.cache
    def cycles(start: int, taken: bool, before: int | None) -> int:
        block = graph.blocks[start]
        callee = callees[block.call] if block.call is not None and transfers(block.last, taken) else 0
        return callee + _cycles(block, taken, None if before is None else graph.blocks[before], timing, memory)

    return _longest((graph.entry, False, None, (0,) * len(facts)), steps)


def _longest(first: _State, steps: Callable[[_State], list[_Step]]) -> int | None:
    """The dearest way from a state to the exit; states form no cycle, as every cycle takes from a loop's budget."""
    dearest: dict[_State, int | None] = {}  # None: no way leads on
    waiting: list[tuple[_State, list[_Step] | None]] = [(first, None)]
    while waiting:
        state, found = waiting.pop()
        if found is None:
            if state in dearest:
                continue
            if len(dearest) > MOST_STATES:
                return None
            found = steps(state)
            waiting.append((state, found))
            waiting += [(target, None) for _, target in found if target is not None and target not in dearest]
            continue
        totals = [cycles + rest for cycles, target in found if (rest := _rest(dearest, target)) is not None]
        dearest[state] = max(totals, default=None)
    return dearest[first]


def _rest(dearest: Mapping[_State, int | None], target: _State | None) -> int | None:
    return 0 if target is None else dearest[target]


def _cycles(block: Block, taken: bool, before: Block | None, timing: Timing, memory: Memory) -> int:
    """One execution of a block, arrived from the block before it or by a jump."""
    total = 0
    previous = None if before is None else before.last
    for instruction in block.instructions:
        leaves = taken and instruction is block.last
        total += instruction_cycles(timing, instruction, previous, leaves).worst
        row = timing.row(instruction.kind, instruction.text)
        total += base_waits(memory, instruction, row, transfers(instruction, leaves))
        total += fetch_waits(memory, instruction, previous)
        previous = instruction
    return total


def _block_of(graph: Graph, mark: Mark) -> int:
    return next(s for s, block in graph.blocks.items() if any(i.address == mark.address for i in block.instructions))
