"""The order of marks and labels in a compiler's assembly, written into the marks (runtime_c/apr_mark.h).

A mark takes no byte, so `mark; .L5:` and `.L5: mark` have one address, but jumps to .L5 pass by the first and count
for the second. Only the assembly tells them apart. Knows GNU assembler syntax for ELF, as gcc writes it; knows no
instruction set, no processes and no files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from aprgen.errors import ToolchainError

MARKS_SECTION = ".debug_apr_marks"

# Added to the first word after a record's address.
ORDER_KNOWN = 0x100
LABEL_AFTER = 0x200  # a jump to the record's address passes by the mark

_RECORD = re.compile(r"(\s*\.4byte 99b, )(\d+)(, .*)")
_LABEL = re.compile(r"\s*([\w.$]+):\s*(.*)")
_WORDS = re.compile(r"[\w.$]+")
_COMMENT = re.compile(r"@.*|//.*|/\*.*?\*/")
_DATA = (
    ".word", ".short", ".hword", ".value", ".byte", ".2byte", ".4byte", ".8byte", ".quad", ".long", ".int", ".xword",
    ".dword", ".octa", ".float", ".single", ".double", ".uleb128", ".sleb128", ".space", ".zero", ".skip", ".ascii",
    ".asciz", ".string",
)  # fmt: skip
_SECTION = (".section", ".text", ".data", ".bss")

_Kind = Literal["instruction", "mark", "label", "data", "nothing"]


@dataclass(frozen=True)
class OrderedAssembly:
    """The text with every mark's order in it. after: marks that jumps pass by; nops: instructions put in."""

    text: str
    marks: int
    after: int
    nops: int


def order_marks(assembly: str, nop: str = "nop") -> OrderedAssembly:
    """Flag every mark by the labels around it; between labels on both sides it gets an instruction of its own, and so
    does one that the branch before it jumps over: taken or not, that would lead to one address, and the assembler makes
    a nop of some such branches.

    assembly: what the compiler wrote for one C file. ToolchainError when a mark is not followed by code.
    """
    lines = assembly.split("\n")
    kinds = _kinds(lines)
    marks = after = nops = 0
    for at, kind in enumerate(kinds):
        if kind != "mark":
            continue
        marks += 1
        behind = _next(kinds, at, 1)
        before = _next(kinds, at, -1)
        if behind is None or kinds[behind] == "data":
            raise ToolchainError(
                "marks.place", "a loop's mark is not followed by an instruction",
                where=f"line {at + 1} of the assembly",
                hint="this is a fault of aprgen or of the compiler; compile without marks",
            )  # fmt: skip
        flags = ORDER_KNOWN
        if kinds[behind] == "label":
            if before is not None and (kinds[before] == "label" or _leads_behind(lines[before], lines, kinds, at)):
                nops += 1
                lines[behind] = f"\t{nop}\n{lines[behind]}"
                kinds[behind] = "instruction"
            else:
                after += 1
                flags |= LABEL_AFTER
        record = _RECORD.fullmatch(lines[at])
        assert record is not None
        lines[at] = f"{record[1]}{int(record[2]) + flags}{record[3]}"
    return OrderedAssembly("\n".join(lines), marks, after, nops)


def _next(kinds: list[_Kind], at: int, step: int) -> int | None:
    """The nearest line in that direction that is a label, an instruction or data."""
    at += step
    while 0 <= at < len(kinds):
        if kinds[at] in ("label", "instruction", "data"):
            return at
        at += step
    return None


def _leads_behind(instruction: str, lines: list[str], kinds: list[_Kind], at: int) -> bool:
    """Whether an instruction names a label that stands between the mark and the next instruction."""
    words = set(_WORDS.findall(_COMMENT.sub("", instruction)))
    while (found := _next(kinds, at, 1)) is not None and kinds[found] == "label":
        label = _LABEL.fullmatch(_COMMENT.sub("", lines[found]).strip())
        if label is not None and (label[1] in words or f"{label[1]}f" in words):
            return True
        at = found
    return False


def _kinds(lines: list[str]) -> list[_Kind]:
    """What each line is. A line of a mark that is not its record is nothing; so is a label that nobody names."""
    named: set[str] = set()
    kinds: list[_Kind] = []
    labels: list[tuple[int, str]] = []
    in_mark = in_debug = False
    for number, line in enumerate(lines):
        text = _COMMENT.sub("", line).strip()
        kind: _Kind = "nothing"
        if text.startswith(".pushsection") and MARKS_SECTION in text:
            in_mark = True
        elif in_mark:
            in_mark = not text.startswith(".popsection")
            if _RECORD.fullmatch(line):
                kind = "mark"
        elif text.startswith(_SECTION):
            in_debug = ".debug" in text
        elif text and not in_debug:
            label = _LABEL.fullmatch(text)
            if label is not None and label[2]:
                raise ToolchainError(
                    "marks.syntax", f"the compiler wrote an instruction behind a label: {text!r}",
                    where=f"line {number + 1} of the assembly", hint="compile without marks",
                )  # fmt: skip
            if label is not None:
                labels.append((number, label[1]))
            elif text.startswith(_DATA):
                kind = "data"
                named.update(_WORDS.findall(text))
            elif text.startswith(".inst") or not text.startswith((".", "#")):
                kind = "instruction"
                named.update(_WORDS.findall(text))
        kinds.append(kind)
    for number, name in labels:
        # 99 is the mark's own; other numbers are named as 1b or 1f.
        if name in named or (name.isdigit() and name != "99"):
            kinds[number] = "label"
    return kinds
