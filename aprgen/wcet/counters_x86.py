"""What x86-64 instructions do to counters. Reads their text as the decoder spells it; knows nothing of loops.

Of operations on 32 bits it takes the upper half to be zero, before and behind them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from aprgen.wcet.counters import Constant, Opinion, Reader, Test, Value, moved
from aprgen.wcet.counters import opinions as opinions_of
from aprgen.wcet.x86 import whole_register

if TYPE_CHECKING:
    from aprgen.wcet.graph import Block, Graph
    from aprgen.wcet.instruction import Instruction
    from aprgen.wcet.marks import LoopFact

_BITS = 64
_CALL_LOSES = frozenset({"rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "flags"})
_CONDITIONS = {
    "je": "eq", "jne": "ne", "jb": "lo", "jae": "hs", "jbe": "ls", "ja": "hi", "jl": "lt", "jge": "ge", "jle": "le",
    "jg": "gt",
}  # fmt: skip
_REGISTER = re.compile(r"r[a-ds]?[a-z]|r\d+d?|e[a-ds][a-z]")
_NUMBER = re.compile(r"-?(0x[0-9a-f]+|\d+)")
_SUM = re.compile(r"\[(\w+) ([+-]) (\w+)\]")


def opinions(facts: Sequence[LoopFact], graph: Graph, constant: Constant) -> tuple[Opinion, ...]:
    """One opinion per loop fact."""
    return opinions_of(facts, graph, Reader(_BITS, _test, _written, _results))


def _written(instruction: Instruction) -> frozenset[str]:
    return instruction.writes | _CALL_LOSES if instruction.flow == "call" else instruction.writes


def _spelled(instruction: Instruction) -> tuple[str, tuple[str, ...]]:
    name, _, rest = instruction.text.partition(" ")
    return name, tuple(rest.split(", ")) if rest else ()


def _bits_of(operand: str) -> int:
    """32 or 64 for such a register, 0 for all else."""
    if _REGISTER.fullmatch(operand) is None:
        return 0
    return 32 if operand.startswith("e") or operand.endswith("d") else 64


def _operand(text: str, bits: int) -> Value | str | None:
    """A register by its whole name, or a number; None for memory and narrow registers."""
    if _NUMBER.fullmatch(text):
        return "", int(text, 0) % (1 << bits)
    return whole_register(text) if _bits_of(text) else None


def _results(instruction: Instruction, held: Callable[[str], Value]) -> Mapping[str, Value]:
    name, operands = _spelled(instruction)
    bits = _bits_of(operands[0]) if operands else 0
    if not bits or instruction.stores:
        return {}
    to = whole_register(operands[0])

    def value(text: str) -> Value | None:
        operand = _operand(text, bits)
        return held(operand) if isinstance(operand, str) else operand

    def made(found: Value | None) -> Mapping[str, Value]:
        if found is None:
            return {}
        return {to: ("", found[1] % (1 << bits)) if found[0] == "" else found}

    match name, operands:
        case (("mov" | "movabs"), (_, what)):
            return made(value(what))
        case (("xor" | "sub"), (_, what)) if what == operands[0]:
            return {to: ("", 0)}
        case (("add" | "sub"), (_, what)):
            step = value(what)
            if step is not None and step[0] == "":
                return made(moved(held(to), step[1] if name == "add" else -step[1], bits))
        case "inc", _:
            return made(moved(held(to), 1, bits))
        case "dec", _:
            return made(moved(held(to), -1, bits))
        case "lea", (_, place):
            return made(_address(instruction, place, value))
    return {}


def _address(instruction: Instruction, place: str, value: Callable[[str], Value | None]) -> Value | None:
    """The sum in brackets, where one of its parts is a number."""
    found = _SUM.fullmatch(place)
    if found is None:
        return None
    base, sign, rest = found.groups()
    step = value(rest)
    if base == "rip":
        return None if step is None else ("", instruction.end + (step[1] if sign == "+" else -step[1]))
    first = value(base)
    if first is None or step is None:
        return None
    if step[0] == "":
        return moved(first, step[1] if sign == "+" else -step[1], _BITS)
    return moved(step, first[1], _BITS) if first[0] == "" and sign == "+" else None


def _test(block: Block) -> Test | None:
    condition = _CONDITIONS.get(block.last.text.split(maxsplit=1)[0])
    if condition is None:
        return None
    for instruction in reversed(block.instructions[:-1]):
        if "flags" not in _written(instruction):
            continue
        name, operands = _spelled(instruction)
        bits = _bits_of(operands[0]) if operands else 0
        if not bits or instruction.loads or instruction.stores:
            return None
        left = whole_register(operands[0])
        right = _operand(operands[1], bits) if len(operands) == 2 else None
        if name == "cmp" and right is not None:
            return Test(condition, left, right, instruction.address, bits)
        if name == "test" and operands[1] == operands[0] and condition in ("eq", "ne"):
            return Test(condition, left, ("", 0), instruction.address, bits)
        # Of a result only its being zero is used; it is there behind the instruction.
        if name in ("add", "sub", "inc", "dec") and condition in ("eq", "ne"):
            return Test(condition, left, ("", 0), instruction.end, bits)
        return None
    return None
