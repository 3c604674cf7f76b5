"""The order of marks and labels in a compiler's assembly, written into the marks (runtime_c/apr_mark.h).

A mark takes no byte, so `mark; .L5:` and `.L5: mark` have one address, but jumps to .L5 pass by the first and count
for the second. Only the assembly tells them apart. Knows GNU assembler syntax for ELF, as gcc writes it, and the names
of jumps; knows nothing else of instructions, no processes and no files.
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
JUMPS_PAST = 0x400  # some do: behind the line follow their number and the addresses of the jumps that do

_RECORD = re.compile(r"(\s*\.4byte 99b, )(\d+)(, .*)")
_LABEL = re.compile(r"\s*([\w.$]+):\s*(.*)")
_WORDS = re.compile(r"[\w.$]+")
_COMMENT = re.compile(r"@.*|//.*|/\*.*?\*/")
_DATA = (
    ".word", ".short", ".hword", ".value", ".byte", ".2byte", ".4byte", ".8byte", ".quad", ".long", ".int", ".xword",
    ".dword", ".octa", ".float", ".single", ".double", ".uleb128", ".sleb128", ".space", ".zero", ".skip", ".ascii",
    ".asciz", ".string",
)  # fmt: skip
# What jumps to a label that it names, on Arm, AArch64 and x86.
_JUMP = re.compile(
    r"(?:bl|b\.?(?:eq|ne|cs|cc|hs|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|al)?|[ct]bn?z|j[a-z]+|wls(?:tp)?|le(?:tp)?)(?:\.[nw])?"
)
_SECTION = (".section", ".text", ".data", ".bss")

_Kind = Literal["instruction", "mark", "label", "data", "nothing"]


@dataclass(frozen=True)
class OrderedAssembly:
    """The text with every mark's order in it. after: marks that all jumps pass by; between: that some pass by;
    nops: instructions put in."""

    text: str
    marks: int
    after: int
    between: int
    nops: int


def order_marks(assembly: str, nop: str = "nop") -> OrderedAssembly:
    """Flag every mark by the labels around it; between labels on both sides it lists the jumps that pass by. One that
    the branch before it jumps over gets an instruction of its own: taken or not, that would lead to one address, and
    the assembler makes a nop of some such branches.

    assembly: what the compiler wrote for one C file. ToolchainError when a mark is not followed by code, or a label
    behind it is named by something else than a jump.
    """
    lines = assembly.split("\n")
    kinds, labels = _kinds(lines)
    jumps = _Jumps(lines, kinds)
    marks = after = between = nops = 0
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
        past = ""
        if kinds[behind] == "label":
            if _is_jumped_over(lines, kinds, at):
                nops += 1
                lines[behind] = f"\t{nop}\n{lines[behind]}"
                kinds[behind] = "instruction"
            elif before is not None and kinds[before] == "label":
                between += 1
                names = jumps.to([labels[line] for line in _run_of_labels(kinds, behind)], at)
                if names:
                    flags |= JUMPS_PAST
                    past = f", {', '.join((str(len(names)), *names))}"
            else:
                after += 1
                flags |= LABEL_AFTER
        record = _RECORD.fullmatch(lines[at])
        assert record is not None
        lines[at] = f"{record[1]}{int(record[2]) + flags}{record[3]}{past}"
    return OrderedAssembly("\n".join(jumps.lines(lines)), marks, after, between, nops)


class _Jumps:
    """The jumps of one text. Those asked for get a label in front, by which records can name them."""

    def __init__(self, lines: list[str], kinds: list[_Kind]) -> None:
        self._naming: dict[str, list[int]] = {}  # lines that name a label
        self._jumps: set[int] = set()
        self._labelled: dict[int, str] = {}
        for number, kind in enumerate(kinds):
            if kind in ("instruction", "data"):
                words = _WORDS.findall(_COMMENT.sub("", lines[number]))
                for word in words:
                    self._naming.setdefault(word, []).append(number)
                if kind == "instruction" and words and _JUMP.fullmatch(words[0]):
                    self._jumps.add(number)

    def to(self, labels: list[str], at: int) -> list[str]:
        """Labels in front of all jumps to any of these."""
        found = sorted({number for label in labels for number in self._naming.get(label, ())})
        if any(label.isdigit() for label in labels) or not self._jumps.issuperset(found):
            raise ToolchainError(
                "marks.label", f"something else than a jump names the label {labels[0]} behind a loop's mark",
                where=f"line {at + 1} of the assembly",
                hint="compile with -fno-jump-tables and without hand-written assembly in loops",
            )  # fmt: skip
        return [self._labelled.setdefault(number, f".Lapr_jump{len(self._labelled)}") for number in found]

    def lines(self, lines: list[str]) -> list[str]:
        return [f"{self._labelled[n]}:\n{line}" if n in self._labelled else line for n, line in enumerate(lines)]


def _run_of_labels(kinds: list[_Kind], first: int) -> list[int]:
    """This label and all others before the next instruction."""
    found = []
    for number in range(first, len(kinds)):
        if kinds[number] in ("instruction", "data"):
            break
        if kinds[number] == "label":
            found.append(number)
    return found


def _next(kinds: list[_Kind], at: int, step: int) -> int | None:
    """The nearest line in that direction that is a label, an instruction or data."""
    at += step
    while 0 <= at < len(kinds):
        if kinds[at] in ("label", "instruction", "data"):
            return at
        at += step
    return None


def _is_jumped_over(lines: list[str], kinds: list[_Kind], at: int) -> bool:
    """Whether the instruction before the mark, with nothing but labels between, names a label right behind it."""
    before = _next(kinds, at, -1)
    while before is not None and kinds[before] == "label":
        before = _next(kinds, before, -1)
    if before is None or kinds[before] != "instruction":
        return False
    words = set(_WORDS.findall(_COMMENT.sub("", lines[before])))
    found = _next(kinds, at, 1)
    while found is not None and kinds[found] == "label":
        label = _LABEL.fullmatch(_COMMENT.sub("", lines[found]).strip())
        if label is not None and (label[1] in words or f"{label[1]}f" in words):
            return True
        found = _next(kinds, found, 1)
    return False


def _kinds(lines: list[str]) -> tuple[list[_Kind], dict[int, str]]:
    """What each line is, and the labels by line. A line of a mark that is not its record is nothing; so is a label
    that nobody names."""
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
        # 99 is the mark's own, and a constant elsewhere; other numbers are named as 1b or 1f.
        if name != "99" and (name in named or name.isdigit()):
            kinds[number] = "label"
    return kinds, dict(labels)
