"""What is known between two instructions of a function about its stack frame: sp, the return address, constants.

The noun of the analyses of frames on Thumb and AArch64, and how all of them refuse. Knows how ways into a block meet;
knows no instruction.
"""

from __future__ import annotations

from dataclasses import dataclass

from aprgen.errors import UnsupportedError
from aprgen.wcet.graph import Graph
from aprgen.wcet.instruction import Instruction


@dataclass(frozen=True)
class Value:
    """What a register holds: a constant, or an address as its distance from the caller's sp."""

    number: int
    is_address: bool = False


@dataclass(frozen=True)
class State:
    """depth: bytes below the caller's sp. holders: where the return address is: registers, and words by their depth.

    values: the registers of which more is known, with what they hold.
    """

    depth: int
    holders: frozenset[str | int]
    values: frozenset[tuple[str, Value]]


def merge(graph: Graph, states: dict[int, State], target: int, state: State) -> bool:
    """Add a way into a block; true when its state changed."""
    known = states.get(target)
    if known is None:
        states[target] = state
        return True
    if known.depth != state.depth:
        raise refusal(graph, graph.blocks[target].instructions[0], "the stack pointer differs between the ways to")
    common = State(known.depth, known.holders & state.holders, known.values & state.values)
    states[target] = common
    return common != known


def refusal(graph: Graph, instruction: Instruction, what: str) -> UnsupportedError:
    """That no frame can be stated, because of what is said of this instruction."""
    return UnsupportedError(
        "wcet.stack", f"{what} {instruction.text}", where=f"{graph.name} at {instruction.address:#x}",
        hint="use no variable length arrays, alloca or hand-written assembly in what is analysed",
    )  # fmt: skip
