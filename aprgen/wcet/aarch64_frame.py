"""The stack frame of one AArch64 function: how deep it gets, and that every return goes back to the caller.

Follows sp, constants, addresses of the frame and the return address, in registers and in saved words, along all paths.
It trusts compiled code in two things: stores by other registers than sp do not hit a saved return address, and a call
preserves x19 to x29.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from aprgen.wcet.code import Code
from aprgen.wcet.frame_state import State, Value, merge, refusal
from aprgen.wcet.graph import EXIT, Frame, Graph
from aprgen.wcet.instruction import Instruction

_KEPT_BY_CALLS = frozenset(f"x{number}" for number in range(19, 30))
_IN_FRAME = re.compile(r"(ldr|ldp|str|stp) (\w+)(?:, (\w+))?, \[sp(?:, #(-?\w+))?\](!)?(?:, #(-?\w+))?")
_PLAIN = re.compile(r"(mov|movk|add|sub) (\w+), (\w+|#-?\w+)(?:, (\w+|#-?\w+))?(?:, lsl #(\d+))?")


def frame_of(graph: Graph, code: Code) -> Frame:
    """The frame; UnsupportedError where sp is no constant, or where a return cannot be shown to be one."""
    states = {graph.entry: State(0, frozenset({"x30"}), frozenset())}
    pending = [graph.entry]
    deepest = 0
    at_calls = {}
    following: dict[int, list[int]] = {start: [] for start in graph.blocks}
    for edge in graph.edges:
        following[edge.source].append(edge.target)
    while pending:
        start = pending.pop()
        state = states[start]
        for instruction in graph.blocks[start].instructions:
            if instruction.flow == "return" and (state.depth != 0 or not instruction.reads <= state.holders):
                raise refusal(graph, instruction, "no return to the caller can be proved at")
            before = state.depth
            state = _after(graph, instruction, state)
            deepest = max(deepest, before, state.depth)
        if graph.blocks[start].call is not None:
            at_calls[start] = state.depth
        pending += [one for one in following[start] if one != EXIT and merge(graph, states, one, state)]
    return Frame(deepest, at_calls)


def _after(graph: Graph, instruction: Instruction, state: State) -> State:
    if instruction.flow == "call":
        kept = frozenset(one for one in state.values if one[0] in _KEPT_BY_CALLS)
        return State(state.depth, state.holders - _lost(state.holders), kept)
    values = dict(state.values)
    made = _value(instruction, {**values, "sp": Value(-state.depth, is_address=True)})
    depth = state.depth
    if "sp" in instruction.writes:
        if instruction.stack is not None:
            depth += instruction.stack
        elif made is not None and made.is_address:
            depth = -made.number
        else:
            raise refusal(graph, instruction, "the stack pointer is not a constant after")
        if depth < 0:
            raise refusal(graph, instruction, "the stack pointer rises above the caller's at")
    words = _words(instruction, state.depth)
    holders = set(state.holders)
    gained: set[str | int] = set()
    if instruction.stores:
        for register, word in words.items():
            holders.discard(word)
            if register in state.holders:
                gained.add(word)
    elif instruction.loads:
        gained = {register for register, word in words.items() if word in state.holders}
    elif instruction.text.startswith("mov ") and instruction.reads & state.holders:
        gained = set(instruction.writes)
    holders = {one for one in holders if not isinstance(one, int) or one <= min(depth, state.depth)}
    for register in instruction.writes:
        values.pop(register, None)
    results = instruction.writes - {"sp", "flags"}
    if made is not None and len(results) == 1:
        values[next(iter(results))] = made
    return State(depth, frozenset((holders - instruction.writes) | gained), frozenset(values.items()))


def _lost(holders: frozenset[str | int]) -> frozenset[str | int]:
    """Registers that a call may change."""
    return frozenset(one for one in holders if isinstance(one, str) and one not in _KEPT_BY_CALLS)


def _words(instruction: Instruction, depth: int) -> Mapping[str, int]:
    """The word of each register of 64 bits that is moved to or from a place by sp, by the word's depth."""
    found = _IN_FRAME.fullmatch(instruction.text)
    if found is None:
        return {}
    _, first, second, offset, _, _ = found.groups()
    lowest = depth - int(offset or "0", 0)  # with "]!" sp moves there first, and behind "]," only afterwards
    if first[0] != "x":
        return {}
    return {first: lowest, **({second: lowest - 8} if second else {})}


def _value(instruction: Instruction, values: Mapping[str, Value]) -> Value | None:
    """What the result is, where it is made of constants, or of sp and constants."""
    found = _PLAIN.fullmatch(instruction.text)
    if found is None:
        return None
    name, result, *written, shift = found.groups()
    sources = [one for one in written if one is not None]
    operands = [_operand(one, values) for one in sources]
    if result[0] not in "xws" or any(one is None for one in operands) or (shift and sources[-1][0] != "#"):
        return None
    first, *others = (one for one in operands if one is not None)
    by = int(shift or "0")
    match name, others:
        case "mov", []:
            return Value(first.number << by, first.is_address)
        case "movk", []:
            old = values.get(result)
            if old is None or old.is_address:
                return None
            return Value(old.number & ~(0xFFFF << by) | first.number << by)
        case (("add" | "sub"), [other]) if not other.is_address:
            step = other.number << by
            return Value(first.number + (step if name == "add" else -step), first.is_address)
    return None


def _operand(text: str, values: Mapping[str, Value]) -> Value | None:
    if text.startswith("#"):
        return Value(int(text[1:], 0))
    return values.get(text)
