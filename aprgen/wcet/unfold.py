"""All ways of one call through the code that walks trees: what each costs, and which input words take it.

Follows the machine code from the function's entry, tree by tree as the marks of loops cut it, and forks where a
comparison depends on an input word. Knows nothing of the model; what it cannot follow, it refuses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from aprgen.wcet.code import Code
from aprgen.wcet.graph import EXIT, Block, Edge, Graph
from aprgen.wcet.instruction import Instruction
from aprgen.wcet.marks import Mark
from aprgen.wcet.symbolic import (
    INPUT,
    LOST_IN_CALLS,
    OUTPUT,
    STACK,
    Action,
    State,
    UnfollowedError,
    Verdict,
    action_of,
    condition_of,
    decide,
    decide_zero,
)
from aprgen.wcet.words import EVERY, Patterns, Value, Word, alternatives, both, together

MAX_WAYS = 100_000  # of one tree
_CLOCK = 4096  # look at it every so many blocks

Trail = tuple["Trail", str, Edge] | None  # the edges of a way, backwards, each with its function
Conditions = Mapping[int, Patterns]  # by input word


@dataclass(frozen=True)
class Scenery:
    """What is followed. weights: cycles of each edge, by function, with callees that are not followed; entries: those
    of entering a function. followed: functions that are; counted: those of them whose edges count.

    cuts: ids of loops whose bodies begin a new part; inner: those that belong to the walk of one tree; home: the one
    whose function the walk ends with. arguments: of the call; n_features: words at INPUT.
    """

    code: Code
    graphs: Mapping[str, Graph]
    root: str
    weights: Mapping[str, Mapping[Edge, int]]
    entries: Mapping[str, int]
    followed: frozenset[str]
    counted: frozenset[str]
    marks: Sequence[Mark]
    cuts: frozenset[str]
    inner: frozenset[str]
    home: str
    to_the_end: bool
    arguments: tuple[Value, ...]
    refused: tuple[tuple[Value, ...], ...]
    n_features: int


@dataclass(frozen=True, eq=False)
class Way:
    """From one cut to the next. conditions: where they are more than those of all ways of the part."""

    cycles: int
    conditions: Conditions
    trail: Trail


@dataclass(frozen=True, eq=False)
class Unfolded:
    """parts: the ways from cut to cut; each call takes one of each. domain: the input words of calls that get so far.

    short: what calls cost at most that return before, and left: their edges. walked: the edges of all other ways.
    after: blocks from which the call goes on, by function, outermost first.
    """

    parts: tuple[tuple[Way, ...], ...]
    domain: Conditions
    short: int
    left: frozenset[tuple[str, Edge]]
    walked: frozenset[tuple[str, Edge]]
    after: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class _Place:
    """Where a state is: frames are the functions left and the blocks to which calls return."""

    frames: tuple[tuple[str, int], ...]
    function: str
    block: int
    index: int


@dataclass(frozen=True, eq=False)
class _End:
    """kind: the next cut, the end of the walk, or a return before it."""

    kind: str
    place: _Place
    state: State
    cycles: int
    trail: Trail


@dataclass(frozen=True, eq=False)
class _Item:
    place: _Place
    state: State
    cycles: int
    trail: Trail
    arrived: Edge | None  # the edge by which the block was entered; None: marks at the place are behind
    passed: bool = False


@dataclass(frozen=True, eq=False)
class _Step:
    """An instruction of a block, ready to run."""

    instruction: Instruction
    act: Action
    condition: str | None
    marks: tuple[Mark, ...]
    results: tuple[str, ...]  # general registers


def unfold(scenery: Scenery, end: float) -> Unfolded:
    """UnfollowedError, when the code does what cannot be followed, or the time `end` comes."""
    return _Follower(scenery, end).run()


class _Follower:
    """Goes through the code. Steps of blocks are made when they are first met."""

    def __init__(self, scenery: Scenery, end: float) -> None:
        self.scenery = scenery
        self.end = end
        self.blocks = 0
        self.steps: dict[tuple[str, int], tuple[_Step, ...]] = {}
        self.met: dict[object, list[_Item]] = {}  # states that wait for others that come to the same place
        self.leaving = {
            name: {start: graph.leaving(start) for start in graph.blocks} for name, graph in scenery.graphs.items()
        }
        self.at_address: dict[int, list[Mark]] = {}
        for mark in scenery.marks:
            self.at_address.setdefault(mark.address, []).append(mark)

    def run(self) -> Unfolded:
        scenery = self.scenery
        item = self._call(scenery.arguments)
        parts: list[tuple[Way, ...]] = []
        walked: set[tuple[str, Edge]] = set()
        left: set[tuple[str, Edge]] = set()
        short = dearest = 0
        for arguments in scenery.refused:
            ends = self._part(self._call(arguments))
            if any(one.kind != "returned" for one in ends):
                raise UnfollowedError("a call with wrong arguments does not return at once", scenery.root)
            _collect(ends, left)
            short = max(short, *(one.cycles for one in ends))
        while True:
            ends = self._part(item)
            returned = [one for one in ends if one.kind == "returned"]
            going = [one for one in ends if one.kind != "returned"]
            short = max([short, *(dearest + one.cycles for one in returned)])
            if len({(one.kind, one.place) for one in going}) != 1:
                raise UnfollowedError("the walks of one tree end in different places", scenery.root)
            _collect(going, walked)
            _collect(returned, left)
            parts.append(tuple(_way(one, item.state) for one in going))
            dearest += max(one.cycles for one in going)
            joined = _joined([one.state for one in going])
            last = going[0]
            if last.kind == "done":
                after = (*last.place.frames, (last.place.function, last.place.block))
                if last.place.block == EXIT:
                    after = ()
                return Unfolded(tuple(parts), joined.domain, short, frozenset(left), frozenset(walked), after)
            item = _Item(last.place, joined, 0, None, None, passed=True)

    def _call(self, arguments: tuple[Value, ...]) -> _Item:
        scenery = self.scenery
        state = State(registers={f"r{i}": value for i, value in enumerate(arguments)})
        state.put("sp", STACK + 0x10_0000)
        place = _Place((), scenery.root, scenery.graphs[scenery.root].entry, 0)
        return _Item(place, state, scenery.entries[scenery.root], None, Edge(EXIT, place.block, False))

    def _part(self, first: _Item) -> list[_End]:
        """All ways from one place to where they end."""
        ends: list[_End] = []
        waiting = [first]
        while waiting or self.met:
            if not waiting:
                waiting = [_as_one(items) for items in self.met.values()]
                self.met.clear()
            self.blocks += 1
            if self.blocks % _CLOCK == 0 and time.monotonic() > self.end:
                raise UnfollowedError("following the code takes too long", self.scenery.root)
            self._block(waiting.pop(), waiting, ends)
            if len(ends) + len(waiting) > MAX_WAYS:
                raise UnfollowedError(f"one tree has more than {MAX_WAYS} ways", self.scenery.root)
        return ends

    def _block(self, item: _Item, waiting: list[_Item], ends: list[_End]) -> None:
        """Run the rest of a block, and put what follows on the list."""
        place, state, passed = item.place, item.state, item.passed
        steps = self._steps(place.function, place.block)
        for index in range(place.index, len(steps)):
            step = steps[index]
            if step.marks and not (passed and index == place.index):
                kind = self._marks(step, place, state, item.arrived if index == place.index else None)
                if kind == "meet":
                    here = replace(place, index=index)
                    met = _Item(here, state, item.cycles, item.trail, None, passed=True)
                    alike = here.frames, here.function, here.block, index, item.cycles, _numbers(state)
                    self.met.setdefault(alike, []).append(met)
                    return
                if kind is not None:
                    here = replace(place, index=index)
                    ends.append(_End(kind, here, state, item.cycles, item.trail))
                    return
            if step.instruction.predicated and step.instruction.flow == "next":
                verdict: Verdict = None if step.condition is None else decide(state, step.condition, state.flags)
                if isinstance(verdict, tuple):
                    here = replace(place, index=index)
                    waiting += [
                        _Item(here, state.narrowed(verdict[0], patterns), item.cycles, item.trail, None, passed=True)
                        for patterns in verdict[1:]
                    ]
                    return
                if verdict is None:
                    if step.instruction.stores or "sp" in step.instruction.writes:
                        raise UnfollowedError("whether the code stores is not known", step.instruction.text)
                    state.forget(step.instruction.writes)
                elif verdict:
                    step.act(state)
                continue
            step.act(state)
            if state.home is None and index + 1 < len(steps):
                sides = _cases(step, state)
                if sides:
                    there = replace(place, index=index + 1)
                    waiting += [_Item(there, side, item.cycles, item.trail, None) for side in sides]
                    return
        self._leave(replace(item, passed=False), steps[-1], waiting, ends)

    def _marks(self, step: _Step, place: _Place, state: State, arrived: Edge | None) -> str | None:
        """What passing the marks in front of an instruction ends: a part, the walk, or nothing; or that states meet
        there, in loops before the walk. `arrived` is the edge by which the instruction's block was entered just now."""
        scenery = self.scenery
        kind = None
        for mark in step.marks:
            if mark.label_after and arrived is not None and arrived.taken:
                continue
            if mark.id == scenery.home:
                state.home = len(place.frames)
            if mark.id in scenery.cuts:
                kind = "cut" if mark.kind == "body" else kind
            elif mark.id not in scenery.inner and kind is None:
                if state.home is not None:
                    kind = None if scenery.to_the_end else "done"
                elif mark.kind == "body":
                    kind = "meet"
        return kind

    def _leave(self, item: _Item, last: _Step, waiting: list[_Item], ends: list[_End]) -> None:
        scenery, place, state = self.scenery, item.place, item.state
        block = scenery.graphs[place.function].blocks[place.block]
        edges = self.leaving[place.function][place.block]
        if block.call is not None:
            (edge,) = edges
            if block.call not in scenery.followed:
                state.forget(LOST_IN_CALLS)
                waiting.append(self._moved(item, edge, state))
                return
            called = self._moved(item, edge, state)
            inside = scenery.entries[block.call] if block.call in scenery.counted else 0
            frames = (*place.frames, (place.function, edge.target))
            graph = scenery.graphs[block.call]
            arrival = Edge(place.block, graph.entry, False)
            there = _Place(frames, block.call, graph.entry, 0)
            waiting.append(_Item(there, state, called.cycles + inside, called.trail, arrival))
            return
        verdict: Verdict = None
        if last.instruction.flow == "conditional" or last.instruction.predicated:
            condition = last.condition
            if condition in ("zero", "nonzero"):
                register = last.instruction.text.split(" ")[1].rstrip(",")
                verdict = decide_zero(state, register, zero=condition == "zero")
            elif condition is not None:
                verdict = decide(state, condition, state.flags)
        chosen: list[tuple[Edge, State]] = []
        for edge in edges:
            if len(edges) == 1:
                chosen.append((edge, state))
            elif isinstance(verdict, tuple):
                patterns = verdict[1] if edge.taken else verdict[2]
                chosen.append((edge, state.narrowed(verdict[0], patterns)))
            elif verdict is None:
                chosen.append((edge, _with_equal(state.copy(), block, edge.taken)))
            elif verdict == edge.taken:
                chosen.append((edge, state))
        for edge, then in chosen:
            moved = self._moved(item, edge, then)
            if edge.target != EXIT:
                waiting.append(moved)
            elif then.home is not None and len(place.frames) <= (0 if scenery.to_the_end else then.home):
                target = place.frames[-1] if place.frames else (place.function, EXIT)
                there = _Place(place.frames[:-1], *target, 0)
                ends.append(_End("done", there, then, moved.cycles, moved.trail))
            elif not place.frames:
                ends.append(_End("returned", place, then, moved.cycles, moved.trail))
            else:
                function, target_block = place.frames[-1]
                back = _Place(place.frames[:-1], function, target_block, 0)
                waiting.append(_Item(back, then, moved.cycles, moved.trail, Edge(EXIT, target_block, False)))

    def _moved(self, item: _Item, edge: Edge, state: State) -> _Item:
        """Behind an edge of the same function."""
        function = item.place.function
        cycles, trail = item.cycles, item.trail
        if function in self.scenery.counted:
            cycles += self.scenery.weights[function][edge]
            trail = (trail, function, edge)
        there = _Place(item.place.frames, function, edge.target, 0)
        return _Item(there, state, cycles, trail, edge)

    def _steps(self, function: str, block: int) -> tuple[_Step, ...]:
        key = (function, block)
        if key not in self.steps:
            scenery = self.scenery
            self.steps[key] = tuple(
                _Step(
                    one,
                    action_of(one, scenery.code, scenery.n_features),
                    condition_of(one),
                    tuple(self.at_address.get(one.address, ())),
                    tuple(sorted(name for name in one.writes if name.startswith("r"))),
                )
                for one in scenery.graphs[function].blocks[block].instructions
            )
        return self.steps[key]


def arguments_of(function: str, n_features: int) -> tuple[tuple[Value, ...], tuple[tuple[Value, ...], ...]]:
    """How a function of a model is called, its sizes unknown; and the arguments that it must refuse at once."""
    out = OUTPUT + 0x10_0000
    if function == "predict":
        return (INPUT, None, out, None), ((0, None, None, None), (INPUT, None, 0, None))
    if function not in ("scores", "classify"):
        raise UnfollowedError(f"how {function} is called is not known", function)
    return (INPUT, out) if function == "scores" else (INPUT,), ()


def _with_equal(state: State, block: Block, taken: bool) -> State:
    """After a branch for equality of an unknown register and a constant: there the register is known."""
    if len(block.instructions) < 2 or not block.instructions[-2].text.startswith("cmp"):
        return state
    operands = block.instructions[-2].text.partition(" ")[2].split(", ")
    are_equal = condition_of(block.last) == ("eq" if taken else "ne") and operands[1].startswith("#")
    if are_equal and state.value(operands[0]) is None:
        state.put(operands[0], state.value(operands[1]))
    return state


def edges_of(trail: Trail) -> list[tuple[str, Edge]]:
    """The edges of a way, backwards."""
    found = []
    while trail is not None:
        trail, function, edge = trail
        found.append((function, edge))
    return found


def _collect(ends: Sequence[_End], walked: set[tuple[str, Edge]]) -> None:
    """All edges of the ways; where two ways are the same from the start, once."""
    seen: set[int] = set()
    for one in ends:
        trail = one.trail
        while trail is not None and id(trail) not in seen:
            seen.add(id(trail))
            trail, function, edge = trail
            walked.add((function, edge))


def _way(end: _End, start: State) -> Way:
    own = {f: patterns for f, patterns in end.state.domain.items() if patterns != start.domain.get(f, EVERY)}
    return Way(end.cycles, own, end.trail)


def _joined(states: Sequence[State]) -> State:
    """What holds in all states."""
    first = states[0]
    if len(states) == 1:
        return first
    if any(one.value("sp") != first.value("sp") or one.home != first.home for one in states):
        raise UnfollowedError("the stack moves by different amounts", "the walk of a tree")
    features = set().union(*(one.domain for one in states))
    domains = {f: [one.domain.get(f, EVERY) for one in states] for f in features}
    differing = [f for f, patterns in domains.items() if any(one != patterns[0] for one in patterns)]
    apart = differing[0] if len(differing) == 1 and _are_apart(domains[differing[0]]) else None

    def merged(read: Callable[[State], Value]) -> Value:
        values = [read(one) for one in states]
        if any(value is None for value in values):
            return None
        if all(value == values[0] for value in values):
            return values[0]
        return None if apart is None else alternatives(list(zip(domains[apart], values, strict=True)), apart)

    joined = State(home=first.home)
    for name in first.registers:
        value = merged(lambda one, name=name: one.registers.get(name))  # type: ignore[misc]
        if value is not None:
            joined.registers[name] = value
    for address, (size, _) in first.memory.items():
        if all(one.memory.get(address, (0, None))[0] == size for one in states):
            value = merged(lambda one, address=address: one.memory[address][1])  # type: ignore[misc]
            joined.memory[address] = size, value
    joined.flags = first.flags if all(one.flags == first.flags for one in states) else None
    joined.fp_flags = first.fp_flags if all(one.fp_flags == first.fp_flags for one in states) else None
    for feature, patterns in domains.items():
        union = together([span for one in patterns for span in one])
        if union != EVERY:
            joined.domain[feature] = union
    return joined


def _cases(step: _Step, state: State) -> list[State]:
    """One state for either value, when the instruction made one of two constants of an input word: before the walk
    such values say whether inputs are finite, and are put together of all features."""
    for name in step.results:
        value = state.registers.get(name)
        if isinstance(value, Word) and all(piece[2] == 0 for piece in value.pieces):
            numbers = sorted({piece[3] for piece in value.pieces})
            domain = state.domain.get(value.feature, EVERY)
            sides = []
            for number in numbers if len(numbers) == 2 else ():
                patterns = both(domain, together([piece[:2] for piece in value.pieces if piece[3] == number]))
                if patterns:
                    side = state.narrowed(value.feature, patterns)
                    side.put(name, number)
                    sides.append(side)
            return sides
    return []


def _numbers(state: State) -> frozenset[tuple[str, int]]:
    """What is known of the registers without regard to the input: states that agree in it go the same way."""
    return frozenset((name, value) for name, value in state.registers.items() if isinstance(value, int))


def _as_one(items: Sequence[_Item]) -> _Item:
    """One for all; they cost the same."""
    return replace(items[0], state=_joined([item.state for item in items]))


def _are_apart(sets: Sequence[Patterns]) -> bool:
    return all(not both(one, other) for i, one in enumerate(sets) for other in sets[:i])
