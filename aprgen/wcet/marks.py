"""Loop bounds as the generator states them: read out of a linked program, and tied to the edges of its graphs.

Knows the records of runtime_c/apr_mark.h and what `label_order` added to them. Knows no instruction and no cycles;
whether a bound is true is for `counters` and for the traces to say.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from aprgen.errors import ToolchainError, UnsupportedError
from aprgen.image import Image
from aprgen.label_order import JUMPS_PAST, LABEL_AFTER, MARKS_SECTION, ORDER_KNOWN

if TYPE_CHECKING:
    from aprgen.wcet.graph import Edge, Graph

Kind = Literal["loop", "body", "allow", "spend", "refund"]

_HEAD = struct.Struct("<IIII")  # address, kind and flags, bound, line
_KINDS: tuple[Kind, ...] = ("loop", "body", "allow", "spend", "refund")
_BY_ARGUMENT = 0xFFFFFFFE
_PER_BYTE = 0x80000000  # and halves << 8 | more; not as large as what follows
_MAX_PER_BYTE = 0xBFFFFFFF  # a bound of 0U - 1U or the like is a fault of a template


@dataclass(frozen=True)
class Mark:
    """One record. bound: None where no constant is known, and `unknown` says what decides. by_text: the bound is that
    of texts of the stated length.

    label_after: jumps to the address pass by the mark, only what falls through to it counts. passed_by: the addresses
    of jumps to it that do; other jumps count.
    """

    address: int
    kind: Kind
    id: str
    bound: int | None
    unknown: str
    line: int
    label_after: bool
    passed_by: frozenset[int] = frozenset()
    by_text: bool = False


@dataclass(frozen=True)
class LoopFact:
    """In one run of a function, all bodies together run at most `bound` times as often as all scopes.

    The compiler's copies of a loop share an id; copies with different bounds are different facts.
    """

    id: str
    bound: int
    line: int
    scopes: tuple[Mark, ...]
    bodies: tuple[Mark, ...]

    @property
    def scope_addresses(self) -> tuple[int, ...]:
        return tuple(mark.address for mark in self.scopes)

    @property
    def body_addresses(self) -> tuple[int, ...]:
        return tuple(mark.address for mark in self.bodies)


@dataclass(frozen=True)
class Account:
    """What one function allows and spends under a name, each mark as much as it says."""

    id: str
    allows: tuple[Mark, ...]
    spends: tuple[Mark, ...]
    refunds: tuple[Mark, ...] = ()


@dataclass(frozen=True, eq=False)
class Count:
    """How often a mark is passed in one call: the executions of these edges, and once more if the entry is it."""

    edges: Mapping[Edge, int]
    entries: int = 0


@dataclass(frozen=True, eq=False)
class Constraint:
    """In one call, the sum of term * executions of its edge is at most the limit."""

    terms: Mapping[Edge, int]
    limit: int
    reason: str


def marks_of(image: Image, text_bytes: int | None = None) -> tuple[Mark, ...]:
    """The marks of a linked image; a module has no place for them, its counters are read instead."""
    return read_marks(image.program, text_bytes) if image.target.image == "elf" else ()


def read_marks(path: Path, text_bytes: int | None = None) -> tuple[Mark, ...]:
    """The marks of a linked program by address; none when it was compiled without them, or stripped.

    text_bytes: of the longest text; without it, bounds by the length of a text are not known.
    """
    try:
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            if elf["e_type"] == "ET_REL":
                raise _damaged(path, "they are in an object file, where addresses are not final")
            section = elf.get_section_by_name(MARKS_SECTION)
            data: bytes = b"" if section is None else section.data()
            ones = ~1 if elf.get_machine_arch() == "ARM" else ~0  # bit 0 of an address says that it is Thumb code
    except (OSError, ELFError) as error:
        raise ToolchainError(
            "elf.read", f"the program is no readable ELF file: {error}", where=path.name,
            hint="only toolchains that make ELF files are supported",
        ) from error  # fmt: skip
    marks = _parsed(data, path, ones, text_bytes)
    return tuple(sorted(marks, key=lambda mark: (mark.address, mark.kind in ("body", "spend"), mark.id)))


def _parsed(data: bytes, path: Path, ones: int, text_bytes: int | None) -> list[Mark]:
    marks = []
    at = 0
    while at < len(data):
        text_at = at + _HEAD.size
        if text_at > len(data):
            raise _damaged(path, "the last record is cut off")
        address, kind, bound, line = _HEAD.unpack_from(data, at)
        passed_by: frozenset[int] = frozenset()
        if kind & JUMPS_PAST:
            words = memoryview(data[text_at : text_at + (len(data) - text_at) // 4 * 4]).cast("I")
            if not words or words[0] >= len(words):
                raise _damaged(path, "the last record is cut off")
            passed_by = frozenset(word & ones for word in words[1 : words[0] + 1])
            text_at += 4 * (words[0] + 1)
        end = data.find(b"\0", text_at)
        if end < 0:
            raise _damaged(path, "the last record is cut off")
        text = data[text_at:end].decode("ascii", "replace")
        at = end + 1 + (-(end + 1) % 4)
        if not kind & ORDER_KNOWN:
            raise _damaged(path, f"that of {text} does not say how it lies among labels")
        plain = kind & ~(ORDER_KNOWN | LABEL_AFTER | JUMPS_PAST)
        if plain >= len(_KINDS) or not text or (bound > _MAX_PER_BYTE and bound != _BY_ARGUMENT):
            raise _damaged(path, f"a record of {text!r} says {plain}, {bound}")
        if not address & ones:  # the linker left the function out
            continue
        number, unknown = _bound(bound, text_bytes)
        marks.append(
            Mark(
                address & ones, _KINDS[plain], text, number, unknown, line, bool(kind & LABEL_AFTER), passed_by,
                _PER_BYTE <= bound <= _MAX_PER_BYTE,
            )
        )  # fmt: skip
    return marks


def _bound(word: int, text_bytes: int | None) -> tuple[int | None, str]:
    """The number that a record's word means, or what decides it."""
    if word < _PER_BYTE:
        return word, ""
    if word == _BY_ARGUMENT:
        return None, "an argument of a function"
    if text_bytes is None:
        return None, "the length of a text"
    halves, more = (word - _PER_BYTE) >> 8, word & 0xFF
    return (halves * text_bytes + more) // 2, ""


def _damaged(path: Path, what: str) -> ToolchainError:
    return ToolchainError(
        "marks.records", f"the marks of loops cannot be used: {what}", where=path.name,
        hint="compile with aprgen, which reads the order of labels, and without -flto",
    )  # fmt: skip


def loop_facts(marks: Sequence[Mark], graph: Graph) -> tuple[LoopFact, ...]:
    """The facts about the loops of one function. UnsupportedError for a loop whose bound is no constant."""
    found: dict[tuple[str, int], tuple[list[Mark], list[Mark]]] = {}
    own = [mark for mark in marks if mark.kind in ("loop", "body") and _is_in(mark, graph)]
    for mark in own:
        if mark.bound is None:
            if any(other.kind == "body" and other.id == mark.id for other in own):
                raise _undecided(mark, graph)
            continue
        scopes, bodies = found.setdefault((mark.id, mark.bound), ([], []))
        (scopes if mark.kind == "loop" else bodies).append(mark)
    facts = []
    for (name, bound), (scopes, bodies) in sorted(found.items()):
        if bodies and not scopes:
            raise UnsupportedError(
                "wcet.loop", f"the loop {name} is not in the function in which it begins", where=graph.name,
                hint="compile with -fno-partial-inlining",
            )  # fmt: skip
        if bodies:
            facts.append(LoopFact(name, bound, scopes[0].line, tuple(scopes), tuple(bodies)))
    return tuple(facts)


def accounts_of(marks: Sequence[Mark], graph: Graph) -> tuple[Account, ...]:
    """What one function allows and spends, by name. UnsupportedError for an allowance that is no constant."""
    found: dict[str, dict[Kind, list[Mark]]] = {}
    for mark in marks:
        if mark.kind in ("allow", "spend", "refund") and _is_in(mark, graph):
            if mark.bound is None:
                raise _undecided(mark, graph)
            found.setdefault(mark.id, {}).setdefault(mark.kind, []).append(mark)
    return tuple(
        Account(name, tuple(own.get("allow", ())), tuple(own.get("spend", ())), tuple(own.get("refund", ())))
        for name, own in sorted(found.items())
    )


def _undecided(mark: Mark, graph: Graph) -> UnsupportedError:
    return UnsupportedError(
        "wcet.loop", f"how often the loop {mark.id} runs is decided by {mark.unknown}", where=graph.name,
        hint="choose a function whose loops have constant bounds, such as scores of a numeric model",
    )  # fmt: skip


def _is_in(mark: Mark, graph: Graph) -> bool:
    """Whether a mark belongs to the code of this graph, before one of its instructions."""
    for block in graph.blocks.values():
        for instruction in block.instructions:
            if instruction.address == mark.address:
                return True
            if instruction.address < mark.address < instruction.address + instruction.size:
                raise ToolchainError(
                    "marks.address", f"the mark of {mark.id} is inside of an instruction, at {mark.address:#x}",
                    where=graph.name, hint="the program was changed after linking; link it again",
                )  # fmt: skip
    return False


def count(mark: Mark, graph: Graph) -> Count:
    """How often a mark is passed. In the middle of a block as often as the block is entered; at its start, with a
    label behind the mark, only as often as the block is entered without a jump."""
    block = next(b for b in graph.blocks.values() if any(i.address == mark.address for i in b.instructions))
    entering = [edge for edge in graph.edges if edge.target == block.start]
    if mark.label_after and mark.address == block.start:
        entering = [edge for edge in entering if not edge.taken]
    if mark.passed_by and mark.address == block.start:
        entering = [e for e in entering if not (e.taken and graph.blocks[e.source].last.address in mark.passed_by)]
    return Count(dict.fromkeys(entering, 1), int(block.start == graph.entry))


def constraint(fact: LoopFact, graph: Graph) -> Constraint:
    """The fact as an inequality over edges: bodies - bound * scopes <= 0."""
    weighed = [*((mark, 1) for mark in fact.bodies), *((mark, -fact.bound) for mark in fact.scopes)]
    return _weighed(weighed, graph, f"{fact.id} runs at most {fact.bound} times")


def account_constraint(account: Account, graph: Graph) -> Constraint:
    """No more is spent than is allowed: of the function's own marks."""
    spent = [(mark, mark.bound or 0) for mark in account.spends]
    given = [(mark, -(mark.bound or 0)) for mark in (*account.allows, *account.refunds)]
    return _weighed([*spent, *given], graph, f"{account.id} spends at most what is allowed")


def spending_limit(account: Account, graph: Graph, limit: int) -> Constraint:
    """No more is spent than the limit, in one call of the function."""
    weighed = [(mark, mark.bound or 0) for mark in account.spends]
    spent = _weighed(weighed, graph, f"{account.id} spends at most {limit}")
    return Constraint(spent.terms, limit + spent.limit, spent.reason)


def _weighed(marks: Iterable[tuple[Mark, int]], graph: Graph, reason: str) -> Constraint:
    """The passages of marks, each times its factor, are at most 0."""
    terms: dict[Edge, int] = {}
    limit = 0
    for mark, factor in marks:
        passed = count(mark, graph)
        limit -= factor * passed.entries
        for edge, times in passed.edges.items():
            terms[edge] = terms.get(edge, 0) + factor * times
    return Constraint({edge: factor for edge, factor in terms.items() if factor}, limit, reason)


def entry_constraints(fact: LoopFact, graph: Graph) -> tuple[Constraint, ...]:
    """The fact once more for each loop of the graph that holds bodies and no scope: bodies - bound * entries <= 0.

    Marks are passed in the order of the C, so there are at most `bound` bodies between two scopes, and from entering
    such a loop until leaving it no scope is passed. Without these, a path could leave the loop out and pay for it.
    """
    blocks = {i.address: start for start, block in graph.blocks.items() for i in block.instructions}
    found = []
    for loop in graph.loops:
        bodies = [mark for mark in fact.bodies if blocks[mark.address] in loop.blocks]
        if not bodies or any(blocks[mark.address] in loop.blocks for mark in fact.scopes):
            continue
        terms: dict[Edge, int] = {}
        limit = fact.bound if loop.head == graph.entry else 0
        for mark in bodies:
            passed = count(mark, graph)
            limit -= passed.entries
            for edge, times in passed.edges.items():
                terms[edge] = terms.get(edge, 0) + times
        for edge in graph.edges:
            if edge.target == loop.head and edge.source not in loop.blocks:
                terms[edge] = terms.get(edge, 0) - fact.bound
        reason = f"{fact.id} runs at most {fact.bound} times each time its loop is entered"
        found.append(Constraint({edge: factor for edge, factor in terms.items() if factor}, limit, reason))
    return tuple(found)


def unbounded_cycle(
    facts: Sequence[LoopFact], graph: Graph, accounts: Sequence[Account] = ()
) -> int | None:
    """The start of a block on a cycle that passes no body and spends nothing, which nothing bounds; None when there is
    no such cycle."""
    counted = [mark for fact in facts for mark in fact.bodies] + [mark for one in accounts for mark in one.spends]
    passing = {edge for mark in counted for edge in count(mark, graph).edges}
    after: dict[int, list[int]] = {start: [] for start in graph.blocks}
    into: dict[int, list[int]] = {start: [] for start in graph.blocks}
    for edge in graph.edges:
        if edge not in passing and edge.target in after:
            after[edge.source].append(edge.target)
            into[edge.target].append(edge.source)
    # Blocks without successors are taken away, again and again; what stays is on a cycle or leads to one.
    left = {start: len(targets) for start, targets in after.items()}
    ready = [start for start, number in left.items() if number == 0]
    while ready:
        gone = ready.pop()
        del left[gone]
        for source in into[gone]:
            left[source] -= 1
            if left[source] == 0:
                ready.append(source)
    if not left:
        return None
    at = min(left)
    seen: set[int] = set()
    while at not in seen:  # walk until the cycle closes
        seen.add(at)
        at = min(target for target in after[at] if target in left)
    return at
