"""One machine instruction, as far as control flow, stack, time and counts need it.

The noun of all decoders, whatever the instruction set. Decodes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aprgen.errors import UnsupportedError

Flow = Literal["next", "jump", "conditional", "call", "return", "indirect"]
STRUCTURE = "structure"  # the kind of what stands among instructions and counts as none, such as the end of a block


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    kind: its row in a timing table. registers: words moved by a transfer of several, else 1.
    reads, writes: registers by the decoder's names, and flags; a superset of what the processor does.
    addresses: those of `reads` from which an address is computed.
    predicated: a member of an IT block, so that it may do nothing.
    flow: "indirect" goes where a register or memory says. target: of jumps and calls.
    literal: the address that a load relative to pc reads. stack: bytes by which it moves sp down; None: unknown.
    immediate: the constant operand of one that computes.
    loads, stores: registers that it moves from and to memory, one each whatever their width; with the bytes of all.
    """

    address: int
    size: int
    text: str
    kind: str
    registers: int
    reads: frozenset[str]
    writes: frozenset[str]
    predicated: bool
    flow: Flow
    target: int | None
    literal: int | None
    addresses: frozenset[str] = frozenset()
    stack: int | None = 0
    immediate: int | None = None
    loads: int = 0
    stores: int = 0
    loaded_bytes: int = 0
    stored_bytes: int = 0

    @property
    def end(self) -> int:
        return self.address + self.size


@dataclass(frozen=True)
class Undecoded:
    """Bytes that are no instruction of the table, and why. Only code that can be reached is refused for them."""

    address: int
    text: str


Slot = Instruction | Undecoded


def unknown_instruction(slot: Undecoded, where: str) -> UnsupportedError:
    return UnsupportedError(
        "wcet.instruction", f"no time is known for the instruction {slot.text}", where=where,
        hint="compile without inline assembly and without options for other cores",
    )  # fmt: skip
