"""Costs of a function's edges: cycles to execute a block and leave it by one of its edges.

Knows how the cycles of instructions and the wait states of memory add up along one edge, with one predecessor as
context. Knows nothing of loop bounds and chooses no path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aprgen.wcet.memory import Memory, base_waits, fetch_waits
from aprgen.wcet.timing import Cycles, Timing, base_cycles, context_cycles, transfers

if TYPE_CHECKING:
    from aprgen.wcet.graph import Edge, Graph
    from aprgen.wcet.instruction import Instruction


@dataclass(frozen=True)
class Costs:
    """`edges`: executing the source block, leaving by the edge, and what the edge does to the target's first
    instruction; the callee of a block that calls is not in it. `entry`: what entering the function does to its first
    instruction. The cycles of a path are `entry` and those of its edges."""

    entry: Cycles
    edges: Mapping[Edge, Cycles]


def edge_costs(graph: Graph, timing: Timing, memory: Memory) -> Costs:
    """The cost of every edge; an instruction that the table does not have is refused."""
    costs: dict[Edge, Cycles] = {}
    for edge in graph.edges:
        block = graph.blocks[edge.source]
        cycles = block_cycles(block.instructions, edge.taken, timing, memory)
        if edge.target in graph.blocks:  # not the exit
            first = graph.blocks[edge.target].instructions[0]
            cycles += arrival_cycles(first, _predecessor(block.last, edge.taken), timing, memory)
        costs[edge] = cycles
    entry = arrival_cycles(graph.blocks[graph.entry].instructions[0], None, timing, memory)
    return Costs(entry, costs)


def block_cycles(instructions: tuple[Instruction, ...], taken: bool, timing: Timing, memory: Memory) -> Cycles:
    """The instructions of a block, but for what arriving at the first one costs. `taken` is how the last one leaves."""
    return sum(_each(instructions, taken, timing, memory), Cycles(0, 0))


def _each(instructions: tuple[Instruction, ...], taken: bool, timing: Timing, memory: Memory) -> list[Cycles]:
    """What each instruction of the block adds; arriving at the first one is not in it."""
    found = []
    previous: Instruction | None = None
    for position, instruction in enumerate(instructions):
        leaves = taken and position == len(instructions) - 1
        row = timing.row(instruction.kind, f"{instruction.address:#x} {instruction.text}")
        cycles = base_cycles(timing, instruction, leaves)
        cycles += Cycles(0, base_waits(memory, instruction, row, transfers(instruction, leaves)))
        if position > 0:
            cycles += arrival_cycles(instruction, previous, timing, memory)
        found.append(cycles)
        previous = instruction
    return found


def instruction_costs(
    graph: Graph, counts: Mapping[Edge, int], timing: Timing, memory: Memory
) -> Mapping[int, tuple[int, int]]:
    """How often each instruction is executed on a path that takes the edges so often, and what that costs at worst,
    by address, without callees. Together they cost what the path does."""
    found = {one.address: (0, 0) for block in graph.blocks.values() for one in block.instructions}

    def add(address: int, times: int, cost: int) -> None:
        before = found[address]
        found[address] = before[0] + times, before[1] + cost

    first = graph.blocks[graph.entry].instructions[0]
    add(first.address, 0, arrival_cycles(first, None, timing, memory).worst)
    for edge, times in counts.items():
        block = graph.blocks[edge.source]
        for instruction, cycles in zip(
            block.instructions, _each(block.instructions, edge.taken, timing, memory), strict=True
        ):
            add(instruction.address, times, times * cycles.worst)
        if edge.target in graph.blocks:
            first = graph.blocks[edge.target].instructions[0]
            arrival = arrival_cycles(first, _predecessor(block.last, edge.taken), timing, memory)
            add(first.address, 0, times * arrival.worst)
    return found


def arrival_cycles(
    instruction: Instruction, previous: Instruction | None, timing: Timing, memory: Memory
) -> Cycles:
    """What coming from `previous` (None: by a branch, a call or a return) adds to an instruction."""
    worst = context_cycles(timing, instruction, previous) + fetch_waits(memory, instruction, previous)
    return Cycles(0, worst)


def _predecessor(last: Instruction, taken: bool) -> Instruction | None:
    return None if transfers(last, taken) else last
