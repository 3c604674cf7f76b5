"""Library routines whose jump tables and loops were read and proved by hand, each known by the hash of its bytes.

Only what no analysis of the bytes can find stands here: how large a jump table is, how often a loop is repeated.
Routines without either need no entry; a routine with either and without an entry is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from aprgen.wcet.code import Code, Function
from aprgen.wcet.graph import EXIT, Graph
from aprgen.wcet.instruction import Instruction


@dataclass(frozen=True)
class Routine:
    """size: bytes that the hash covers. relocated: offsets of words that the linker fills in, and the hash leaves out.

    jumps: per offset of an indirect jump, the offset of the word with its table's address, and how many entries it has.
    loops: per offset of a loop's head, how often its back edges are taken at most, each time that the loop is entered.
    """

    name: str
    size: int
    digest: str
    reason: str
    relocated: tuple[int, ...] = ()
    jumps: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    loops: Mapping[int, int] = field(default_factory=dict)


# libgcc of GCC 12.2. A float's mantissa has 23 bits, which the loops shift until bit 23 is set: bit 0 gets there by 23
# shifts, after 22 of which the loop goes on. They are entered with a mantissa other than zero, or leave at once.
ROUTINES: tuple[Routine, ...] = (
    Routine(
        "__aeabi_fmul",
        0x168,
        "6a649afe570fb980871c809bbf604bcaee5de482bd463977a0428bbe955f3986",
        "v7-M: two loops shift the mantissa of a denormal up by one bit",
        loops={0xCE: 22, 0xE6: 22},
    ),
    Routine(
        "__aeabi_fdiv",
        0x136,
        "e1da883a411a11e8dab08c114ec222a92453b2db3719850e9b78cde4c5c5f267",
        "v7-M: r12 = 2^23 is shifted down by 4 until it is 0, the sixth time; two loops as in __aeabi_fmul",
        loops={0x46: 5, 0xC2: 22, 0xDA: 22},
    ),
    Routine(
        "__aeabi_fdiv",
        0x240,
        "521d8f48ef87a41ae9b1e198093ce1b0bae04f347120ab074a4211401c156453",
        "v6-M: r0 counts from 27 or 26 down to 0; tables are indexed by 0 to 15 (bls 15) and 0 to 14 (bhi 14)",
        relocated=(0xC2, 0xDA, 0x234, 0x238),
        jumps={0x68: (0x234, 16), 0x92: (0x238, 15)},
        loops={0x1E0: 26},
    ),
)


def digest_of(function: Function, size: int, relocated: tuple[int, ...]) -> str:
    """The hash of a routine's first bytes, with the words that the linker fills in as zeros."""
    code = bytearray(function.code[:size])
    for offset in relocated:
        code[offset : offset + 4] = bytes(4)
    return hashlib.sha256(code).hexdigest()


def routine_of(function: Function) -> Routine | None:
    """The entry for exactly these bytes."""
    for routine in ROUTINES:
        fits = routine.name in function.names and len(function.code) >= routine.size
        if fits and digest_of(function, routine.size, routine.relocated) == routine.digest:
            return routine
    return None


def jump_targets(code: Code, instruction: Instruction) -> tuple[int, ...] | None:
    """Where an indirect jump of a known routine can lead, by the table in the program; None for any other."""
    owner = code.owner(instruction.address)
    routine = routine_of(owner) if owner is not None else None
    if owner is None or routine is None or instruction.address - owner.address not in routine.jumps:
        return None
    literal, entries = routine.jumps[instruction.address - owner.address]
    table = code.constant(owner.address + literal, 4)
    words = code.constant(int.from_bytes(table, "little"), 4 * entries) if table is not None else None
    if words is None:
        return None
    targets = {int.from_bytes(words[at : at + 4], "little") & ~1 for at in range(0, len(words), 4)}
    inside = all(owner.address <= target < owner.address + routine.size for target in targets)
    return tuple(sorted(targets)) if inside else None


def loop_bounds(code: Code, graph: Graph) -> Mapping[int, int]:
    """For the loops of known routines: how often the back edges are taken at most per entry, by head."""
    bounds = {}
    for loop in graph.loops:
        owner = code.owner(loop.head)
        routine = routine_of(owner) if owner is not None else None
        if owner is None or routine is None or loop.head - owner.address not in routine.loops:
            continue
        # The proofs hold for ways into the loop from the routine itself.
        entering = [edge for edge in graph.edges if edge.target == loop.head and edge not in loop.back_edges]
        starts = {*loop.blocks, *(edge.source for edge in entering)}
        last = [graph.blocks[start].last.address for start in starts if start != EXIT]
        if loop.head != graph.entry and all(owner.address <= at < owner.address + routine.size for at in last):
            bounds[loop.head] = routine.loops[loop.head - owner.address]
    return bounds
