"""What AArch64 instructions do to counters. Reads their text as the decoder spells it; knows nothing of loops.

Of operations on 32 bits it takes the upper half to be zero, before and behind them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from aprgen.wcet.counters import OPPOSITE, Constant, Opinion, Reader, Test, Value, moved
from aprgen.wcet.counters import opinions as opinions_of

if TYPE_CHECKING:
    from aprgen.wcet.graph import Block, Graph
    from aprgen.wcet.instruction import Instruction
    from aprgen.wcet.marks import LoopFact

_BITS = 64
_CALL_LOSES = frozenset({*(f"x{number}" for number in range(19)), "x30", "flags"})
_PLAIN = re.compile(r"(\w+) ([wx]\d+|sp), ([wx]\d+|[wx]zr|sp|#-?\w+)(?:, ([wx]\d+|#-?\w+))?(?:, lsl #(\d+))?")
_COMPARED = re.compile(r"(cmp|subs|adds) ([wx]\d+), (?:[wx]\d+, )?([wx]\d+|#-?\w+)")
_ZERO_TEST = re.compile(r"(cbn?z) ([wx]\d+), .*")
_BACK = re.compile(r".*\[([wx]\d+)(?:, #(-?\w+)\]!|\], #(-?\w+))")
_ADDITIONS = {"add": 1, "adds": 1, "sub": -1, "subs": -1}


def opinions(facts: Sequence[LoopFact], graph: Graph, constant: Constant) -> tuple[Opinion, ...]:
    """One opinion per loop fact."""
    return opinions_of(facts, graph, Reader(_BITS, _test, _written, _results))


def _written(instruction: Instruction) -> frozenset[str]:
    return instruction.writes | _CALL_LOSES if instruction.flow == "call" else instruction.writes


def _bits_of(register: str) -> int:
    return 32 if register.startswith("w") else 64


def _operand(text: str, bits: int) -> Value | str:
    """A register by all of its bits, or a number."""
    if text.startswith("#"):
        return "", int(text[1:], 0) % (1 << bits)
    return ("", 0) if text in ("wzr", "xzr") else "x" + text[1:] if text[0] == "w" else text


def _results(instruction: Instruction, held: Callable[[str], Value]) -> Mapping[str, Value]:
    back = _BACK.fullmatch(instruction.text)
    if back is not None and (instruction.loads or instruction.stores):
        base = back[1]
        return {base: moved(held(base), int(back[2] or back[3], 0), _BITS)}
    found = _PLAIN.fullmatch(instruction.text)
    if found is None:
        return {}
    name, to, first, second, shift = found.groups()
    bits = _bits_of(to)

    def value(text: str) -> Value:
        operand = _operand(text, bits)
        return held(operand) if isinstance(operand, str) else operand

    result = "x" + to[1:] if to != "sp" else to
    left = value(first)
    if name in ("mov", "adrp", "adr") and second is None and (left[0] == "" or not shift):
        return {result: ("", left[1] << int(shift or 0)) if left[0] == "" else left}
    if name == "movk" and first.startswith("#") and held(result)[0] == "":
        by = int(shift or 0)
        return {result: ("", held(result)[1] & ~(0xFFFF << by) | left[1] << by)}
    if name in _ADDITIONS and second is not None:
        right = value(second)
        if right[0] == "":
            return {result: moved(left, _ADDITIONS[name] * (right[1] << int(shift or 0)), bits)}
        if left[0] == "" and _ADDITIONS[name] == 1 and not shift:
            return {result: moved(right, left[1], bits)}
    return {}


def _test(block: Block) -> Test | None:
    zero = _ZERO_TEST.fullmatch(block.last.text)
    if zero is not None:
        register = "x" + zero[2][1:]
        return Test("eq" if zero[1] == "cbz" else "ne", register, ("", 0), block.last.address, _bits_of(zero[2]))
    name = block.last.text.split(maxsplit=1)[0].removeprefix("b.")
    condition = {"cs": "hs", "cc": "lo"}.get(name, name)
    if condition not in OPPOSITE:
        return None
    for instruction in reversed(block.instructions[:-1]):
        if "flags" not in _written(instruction):
            continue
        found = _COMPARED.fullmatch(instruction.text)
        if found is None:
            return None
        bits = _bits_of(found[2])
        if found[1] == "cmp":
            return Test(condition, "x" + found[2][1:], _operand(found[3], bits), instruction.address, bits)
        # Of a result only its being zero is used; it is there behind the instruction.
        if condition in ("eq", "ne"):
            return Test(condition, "x" + found[2][1:], ("", 0), instruction.end, bits)
        return None
    return None
