"""A second opinion on loop bounds: counters that can be seen in the code itself, compared with what the marks say.

Knows registers that start at a constant distance from a limit and move by a constant step. It only agrees, disagrees or
does not know; no bound from above rests on it. What instructions do is told by a reader of their instruction set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from aprgen.errors import ComparisonError
from aprgen.wcet.marks import LoopFact

if TYPE_CHECKING:
    from aprgen.wcet.graph import Block, Edge, Graph, Loop
    from aprgen.wcet.instruction import Instruction

Verdict = Literal["agrees", "disagrees", "unknown"]
Value = tuple[str, int]  # "" and a number of a register's bits, or a value nobody knows and the distance from it
State = Mapping[str, Value]
Constant = Callable[[int], int | None]  # the word at an address, when nothing can change it

_MAX_STEPS = 1 << 20
OPPOSITE = {
    "eq": "ne", "ne": "eq", "lo": "hs", "hs": "lo", "hi": "ls", "ls": "hi",
    "lt": "ge", "ge": "lt", "gt": "le", "le": "gt",
}  # fmt: skip


@dataclass(frozen=True)
class Test:
    """What decides at the end of a block. condition: when the jump is taken. address: both sides, registers or values,
    are as they are before this address. bits: how many of them are compared."""

    __test__: ClassVar[bool] = False  # for pytest
    condition: str
    left: Value | str
    right: Value | str
    address: int
    bits: int = 32


@dataclass(frozen=True)
class Reader:
    """What instructions do. bits: of a register. written: what an instruction may change, in its callees too.

    results: registers of which is known what they hold behind an instruction, from what registers hold before it.
    initial: what registers hold when the function begins, as far as it is known.
    """

    bits: int
    test: Callable[[Block], Test | None]
    written: Callable[[Instruction], Iterable[str]]
    results: Callable[[Instruction, Callable[[str], Value]], Mapping[str, Value]]
    initial: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Opinion:
    """What the code says of one fact. times: bodies per entry of the loop, where a counter shows it.

    repeats: for loops that only their counters leave, by head: how often a way back is taken, each time they are
    entered.
    """

    fact: LoopFact
    verdict: Verdict
    times: int | None
    reason: str
    repeats: tuple[tuple[int, int], ...] = ()


def require_no_disagreement(opinions: Iterable[Opinion], function: str) -> None:
    """Raise ComparisonError for the first mark that the code contradicts."""
    for opinion in opinions:
        if opinion.verdict == "disagrees":
            raise ComparisonError(
                "wcet.counter",
                f"{opinion.fact.id} is marked with {opinion.fact.bound}, its counter runs {opinion.times} times",
                where=f"{function}, line {opinion.fact.line}",
                hint="correct the mark if the C is written by hand; in generated C this is a fault of aprgen",
            )


def opinions(facts: Sequence[LoopFact], graph: Graph, reader: Reader) -> tuple[Opinion, ...]:
    """One opinion per fact, from each innermost loop that holds bodies of it; the worst counts."""
    if graph.tangles:
        return tuple(Opinion(fact, "unknown", None, "the function has cycles that are no loops") for fact in facts)
    view = View(graph, reader)
    return tuple(_opinion(fact, view) for fact in facts)


def _opinion(fact: LoopFact, view: View) -> Opinion:
    homes: dict[int | None, int] = {}
    for mark in fact.bodies:
        block = view.block_at(mark.address)
        home = view.innermost(block)
        homes[home] = homes.get(home, 0) + 1
        if mark.label_after or mark.passed_by:
            return Opinion(fact, "unknown", None, "a jump passes by a body")
    looping = [head for head in homes if head is not None and not _holds_scope(fact, view, head)]
    if not looping:
        if sum(homes.values()) == fact.bound * len(fact.scopes):
            return Opinion(fact, "agrees", None, "the loop is unrolled")
        return Opinion(fact, "unknown", None, "the loop is unrolled in part")
    found = [_of_loop(fact, view, view.loops[head], homes) for head in looping]
    rank: Mapping[Verdict, int] = {"disagrees": 0, "unknown": 1, "agrees": 2}
    worst = min(found, key=lambda opinion: rank[opinion.verdict])
    return replace(worst, repeats=tuple(one for opinion in found for one in opinion.repeats))


def _holds_scope(fact: LoopFact, view: View, head: int) -> bool:
    """Whether the loop is one around the fact's loop, so that bodies directly in it are copies outside of theirs."""
    return any(view.block_at(mark.address) in view.loops[head].blocks for mark in fact.scopes)


def _of_loop(fact: LoopFact, view: View, loop: Loop, homes: Mapping[int | None, int]) -> Opinion:
    complete = view.complete_tests(loop)
    if not complete:
        return Opinion(fact, "unknown", None, "no counter is seen")
    n_tests = min(complete)
    tests = complete[n_tests]
    before_tests = view.reached(loop, tests) | tests
    times = 0
    always = True
    for mark in fact.bodies:
        block = view.block_at(mark.address)
        if view.innermost(block) == loop.head:
            times += n_tests if block in before_tests else n_tests - 1
            always = always and view.each_time(loop, {block})
    around = homes.get(view.parent(loop), 0)
    alone = {edge.source for edge in view.exits(loop)} == tests
    repeats = ((loop.head, n_tests - 1),) if alone else ()
    if fact.bound in (times, times + around):
        return Opinion(fact, "agrees", times, "", repeats)
    if times > fact.bound and always and alone:
        return Opinion(fact, "disagrees", times, "")
    reason = "another exit decides" if times > fact.bound else "the loop is in parts"
    return Opinion(fact, "unknown", times, reason, repeats)


class View:
    """A graph with the values of registers before each block, as far as they are known.

    What it says of a loop is a proof where the reader knows all that instructions do, and registers have its bits.
    """

    def __init__(self, graph: Graph, reader: Reader) -> None:
        self.graph = graph
        self.reader = reader
        self.loops = {loop.head: loop for loop in graph.loops}
        self._back = {edge for loop in graph.loops for edge in loop.back_edges}
        self._at = {i.address: start for start, block in graph.blocks.items() for i in block.instructions}
        self._in: dict[int, State] = {}
        self._out: dict[int, State] = {}
        self._entry: dict[int, State] = {}
        for start in self._ordered():
            self._evaluate(start)

    def block_at(self, address: int) -> int:
        return self._at[address]

    def innermost(self, block: int) -> int | None:
        holding = [loop for loop in self.loops.values() if block in loop.blocks]
        return min(holding, key=lambda loop: len(loop.blocks)).head if holding else None

    def parent(self, loop: Loop) -> int | None:
        around = [one for one in self.loops.values() if loop.head in one.blocks and one.head != loop.head]
        return min(around, key=lambda one: len(one.blocks)).head if around else None

    def each_time(self, loop: Loop, blocks: Set[int]) -> bool:
        """Whether each iteration that comes back to the head passes one of the blocks, none in an inner loop."""
        if any(self.innermost(block) != loop.head for block in blocks):
            return False
        reached = self.reached(loop, blocks)
        return not any(edge.source in reached for edge in loop.back_edges)

    def exits(self, loop: Loop) -> list[Edge]:
        return [edge for edge in self.graph.edges if edge.source in loop.blocks and edge.target not in loop.blocks]

    def complete_tests(self, loop: Loop) -> Mapping[int, set[int]]:
        """Exits of which each iteration passes one, by the iteration in which they leave, counted from 1.

        A test for equality is of use only where it is not left out.
        """
        by_runs: dict[int, set[int]] = {}
        for edge in self.exits(loop):
            runs = self.runs(loop, edge)
            if runs is not None:
                by_runs.setdefault(runs, set()).add(edge.source)
        return {runs: tests for runs, tests in by_runs.items() if self.each_time(loop, tests)}

    def reached(self, loop: Loop, without: Set[int]) -> set[int]:
        """The blocks that an iteration can come to before it passes any of those."""
        found: set[int] = set()
        waiting = [loop.head]
        while waiting:
            block = waiting.pop()
            if block not in found and block not in without:
                found.add(block)
                waiting += [
                    edge.target
                    for edge in self.graph.edges
                    if edge.source == block and edge.target in loop.blocks and edge not in self._back
                ]
        return found

    def runs(self, loop: Loop, leaving: Edge) -> int | None:
        """In which iteration a test leaves the loop, counted from 1; None: not seen."""
        block = self.graph.blocks[leaving.source]
        test = self.reader.test(block) if block.last.flow == "conditional" else None
        if test is None or self.innermost(leaving.source) != loop.head:
            return None
        stays = OPPOSITE[test.condition] if leaving.taken else test.condition
        left, right = (self._linear(loop, side, block, test.address) for side in (test.left, test.right))
        if left is None or right is None or left[0][0] != right[0][0] or (left[0][0] and stays not in ("eq", "ne")):
            return None
        return _simulated(stays, (left[0][1], left[1]), (right[0][1], right[1]), test.bits)

    def _linear(self, loop: Loop, operand: Value | str, block: Block, address: int) -> tuple[Value, int] | None:
        """An operand's value when it is compared in the first iteration, and its step per iteration."""
        if not isinstance(operand, str):
            return operand, 0
        state = self._in[block.start]
        for instruction in block.instructions:
            if instruction.address < address:
                state = self._after(instruction, state)
        base, distance = self._value(operand, state)
        name, _, origin = base.partition("~")
        if origin == f"{loop.head:#x}":
            ends = {self._value(name, self._out[edge.source]) for edge in loop.back_edges}
            step_base, step = ends.pop()
            if ends or step_base != base:
                return None
            return moved(self._value(name, self._entry[loop.head]), distance, self.reader.bits), step
        if base and int(re.split("[@~]", base)[1], 0) in self._inside(loop):
            return None
        return (base, distance), 0

    def _inside(self, loop: Loop) -> set[int]:
        return {i.address for block in loop.blocks for i in self.graph.blocks[block].instructions}

    def _ordered(self) -> list[int]:
        """Blocks so that all but back edges lead ahead."""
        waiting = dict.fromkeys(self.graph.blocks, 0)
        for edge in self.graph.edges:
            if edge not in self._back and edge.target in waiting:
                waiting[edge.target] += 1
        ready = [start for start, number in waiting.items() if number == 0]
        ordered = []
        while ready:
            start = ready.pop()
            ordered.append(start)
            for edge in self.graph.edges:
                if edge.source == start and edge not in self._back and edge.target in waiting:
                    waiting[edge.target] -= 1
                    if waiting[edge.target] == 0:
                        ready.append(edge.target)
        return ordered

    def _evaluate(self, start: int) -> None:
        before = [self._out[e.source] for e in self.graph.edges if e.target == start and e not in self._back]
        names = set().union(*before) if before and start != self.graph.entry else set()
        state = dict(self.reader.initial) if start == self.graph.entry else {}
        for name in names:
            values = {self._value(name, one) for one in before}
            state[name] = values.pop() if len(values) == 1 else (f"{name}@{start:#x}", 0)
        if start in self.loops:
            self._entry[start] = dict(state)
            for block in self.loops[start].blocks:
                for instruction in self.graph.blocks[block].instructions:
                    for name in self.reader.written(instruction):
                        state[name] = (f"{name}~{start:#x}", 0)
        self._in[start] = state
        current: State = state
        for instruction in self.graph.blocks[start].instructions:
            current = self._after(instruction, current)
        self._out[start] = current

    def steps(self, start: int) -> Iterator[tuple[Instruction, Callable[[str], Value]]]:
        """The instructions of a block, each with what registers hold before it."""
        state = self._in[start]
        for instruction in self.graph.blocks[start].instructions:
            yield instruction, partial(self._value, state=state)
            state = self._after(instruction, state)

    def _value(self, operand: str, state: State) -> Value:
        """What a register holds; -1 stands for the caller."""
        return state.get(operand, (f"{operand}@-1", 0))

    def _after(self, instruction: Instruction, state: State) -> State:
        """Registers after an instruction."""
        after = dict(state)
        for name in self.reader.written(instruction):
            after[name] = (f"{name}@{instruction.address:#x}", 0)
        after.update(self.reader.results(instruction, lambda operand: self._value(operand, state)))
        return after


def moved(value: Value, distance: int, bits: int) -> Value:
    """Numbers wrap at a register's bits; distances from an unknown value do not need to."""
    base, offset = value
    half = 1 << (bits - 1)
    if base == "":
        return "", (offset + distance) % (2 * half)
    return base, offset + (distance + half) % (2 * half) - half


def _simulated(stays: str, left: tuple[int, int], right: tuple[int, int], bits: int) -> int | None:
    """How often a test of two moving values runs, until the condition to stay fails. Each: first value, step."""
    for times in range(_MAX_STEPS):
        one, other = left[0] + times * left[1], right[0] + times * right[1]
        if not _holds(stays, one % (1 << bits), other % (1 << bits), bits):
            return times + 1
    return None


def _holds(condition: str, left: int, right: int, bits: int) -> bool:
    if condition in ("lt", "ge", "gt", "le"):
        left, right = left ^ (1 << (bits - 1)), right ^ (1 << (bits - 1))
    match condition:
        case "eq":
            return left == right
        case "ne":
            return left != right
        case "lo" | "lt":
            return left < right
        case "hs" | "ge":
            return left >= right
        case "hi" | "gt":
            return left > right
        case _:
            return left <= right
