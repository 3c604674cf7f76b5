"""What Thumb instructions do to counters. Reads their text as the decoder spells it; knows nothing of loops."""

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

_CALL_LOSES = ("r0", "r1", "r2", "r3", "r12", "lr", "flags")
_REGISTERS = {"sb": "r9", "sl": "r10", "fp": "r11", "ip": "r12"}
_BITS = 32


def opinions(facts: Sequence[LoopFact], graph: Graph, constant: Constant) -> tuple[Opinion, ...]:
    """One opinion per loop fact; constant gives words that nothing can change, such as literals."""
    return opinions_of(
        facts, graph, Reader(_BITS, _test, _written, lambda one, value: _results(one, value, constant))
    )  # fmt: skip


def _results(instruction: Instruction, held: Callable[[str], Value], constant: Constant) -> Mapping[str, Value]:
    if instruction.predicated:
        return {}

    def value(text: str) -> Value:
        operand = _operand(text)
        return held(operand) if isinstance(operand, str) else operand

    name, operands = _spelled(instruction.text)
    match name, operands:
        case (("mov" | "movs" | "movw" | "dls"), (to, what)):
            return {to: value(what)}
        case "le", ("lr", _):
            return {"lr": moved(value("lr"), -1, _BITS)}
        case "wls", (to, what, _):
            return {to: value(what)}
        case (("add" | "adds" | "addw" | "sub" | "subs" | "subw"), (to, *what)):
            first, second = value(what[0] if len(what) == 2 else to), value(what[-1])
            sign = 1 if name.startswith("add") else -1
            if second[0] == "" and len(what) <= 2:
                return {to: moved(first, sign * second[1], _BITS)}
            if first[0] == "" and sign == 1 and len(what) <= 2:
                return {to: moved(second, first[1], _BITS)}
            return {}
        case (("lsl" | "lsls"), (to, what, by)) if value(what)[0] == "" and value(by)[0] == "":
            return {to: ("", (value(what)[1] << min(value(by)[1], 32)) & 0xFFFFFFFF)}
    known: dict[str, Value] = {}
    base, distance = _written_back(instruction)
    if distance:
        known[base] = moved(value(base), distance, _BITS)
    word = None if name != "ldr" or instruction.literal is None else constant(instruction.literal)
    if word is not None:
        known[operands[0]] = ("", word)
    return known


_BY_OFFSET = re.compile(r"v?(?:ldr|str)\S* .*\[(\w+)(?:, #(-?\w+)\]!|\], #(-?\w+))")
_BY_WORDS = re.compile(r"v?(?:ldm|stm)(?!db)\S* (\w+)!, \{.*\}")


def _written_back(instruction: Instruction) -> tuple[str, int]:
    """The base register that a load or store moves, and how far; 0: not seen."""
    by_words = _BY_WORDS.fullmatch(instruction.text)
    if by_words is not None:
        return _REGISTERS.get(by_words[1], by_words[1]), 4 * instruction.registers
    by_offset = _BY_OFFSET.fullmatch(instruction.text)
    if by_offset is not None:
        return _REGISTERS.get(by_offset[1], by_offset[1]), int(by_offset[2] or by_offset[3], 0)
    return "", 0


def _spelled(text: str) -> tuple[str, tuple[str, ...]]:
    """The mnemonic without width, and its operands with registers by number."""
    mnemonic, _, rest = text.partition(" ")
    operands = tuple(_REGISTERS.get(word.strip(), word.strip()) for word in rest.split(","))
    return mnemonic.removesuffix(".w").removesuffix(".n"), operands


def _written(instruction: Instruction) -> frozenset[str]:
    return instruction.writes | frozenset(_CALL_LOSES) if instruction.flow == "call" else instruction.writes


def _test(block: Block) -> Test | None:
    """What decides at the end of a block."""
    name, operands = _spelled(block.last.text)
    if name in ("cbz", "cbnz"):
        return Test("eq" if name == "cbz" else "ne", operands[0], ("", 0), block.last.address)
    if name == "wls":
        return Test("eq", operands[1], ("", 0), block.last.address)
    if name == "le":  # counts lr down and goes back while there are turns left
        return Test("hi", "lr", ("", 1), block.last.address)
    condition = {"bcc": "blo", "bcs": "bhs"}.get(name, name)[1:]
    if condition not in OPPOSITE:
        return None
    for instruction in reversed(block.instructions[:-1]):
        if "flags" not in _written(instruction):
            continue
        name, operands = _spelled(instruction.text)
        if instruction.predicated:
            return None
        if name == "cmp" and len(operands) == 2:
            return Test(condition, operands[0], _operand(operands[1]), instruction.address)
        # Of a result only its being zero is used; it is there behind the instruction.
        if name in ("subs", "adds") and condition in ("eq", "ne"):
            return Test(condition, operands[0], ("", 0), instruction.end)
        return None
    return None


def _operand(text: str) -> Value | str:
    return ("", int(text[1:], 0) & 0xFFFFFFFF) if text.startswith("#") else text
