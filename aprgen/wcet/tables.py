"""The rows of the report's tables: functions, loops and blocks of the worst path. Knows bounds; analyses nothing."""

from __future__ import annotations

from collections.abc import Mapping

from aprgen.wcet.bounds import (
    Bounded,
    Program,
    block_costs,
    executions,
    loop_around,
    loop_cycles,
    passes,
    self_cycles,
    spent,
)
from aprgen.wcet.report import FunctionRow, LoopRow, PathBlock

_CROSS_CHECKS: Mapping[str, str] = {"agrees": "agrees", "unknown": "none seen"}


def functions(program: Program) -> tuple[FunctionRow, ...]:
    """All functions of the call graph, the most expensive first; none when there is no whole worst path."""
    if program.calls is None:
        return ()
    rows = []
    for name, one in program.functions.items():
        calls = program.calls[name]
        own = calls * self_cycles(one)
        rows.append(
            FunctionRow(
                name=name,
                own=own,
                total=one.bound.cycles,
                share=own / program.cycles,
                calls=calls,
                blocks=len(one.graph.blocks),
                loops=len(one.graph.loops),
                code_bytes=sum(i.size for block in one.graph.blocks.values() for i in block.instructions),
            )
        )
    return tuple(sorted(rows, key=lambda row: (-row.own, row.name)))


def loops(program: Program) -> tuple[LoopRow, ...]:
    """All bounded loops in order of addresses; counts and cycles are 0 when there is no whole worst path."""
    rows = [row for name, one in program.functions.items() for row in _loops_of(program, name, one)]
    return tuple(sorted(rows, key=lambda row: (row.address, row.id)))


def _loops_of(program: Program, name: str, one: Bounded) -> list[LoopRow]:
    calls = 0 if program.calls is None else program.calls[name]
    rows = []
    for fact in one.facts:
        around = [loop_around(one.graph, mark.address) for mark in fact.bodies]
        found = tuple(dict.fromkeys(loop for loop in around if loop is not None))
        rows.append(
            LoopRow(
                id=fact.id,
                function=name,
                address=min((loop.head for loop in found), default=fact.bodies[0].address),
                bound=fact.bound,
                origin=_origin(one.totals.get(fact.id)),
                cross_check=_CROSS_CHECKS[one.verdicts.get(fact.id, "unknown")],
                count=calls * passes(fact.bodies, one),
                cost=calls * loop_cycles(program, one, found) if found else None,
            )
        )
    for account in one.accounts:
        around = [loop_around(one.graph, mark.address) for mark in account.spends]
        found = tuple(dict.fromkeys(loop for loop in around if loop is not None))
        by_text = [mark.bound or 0 for mark in account.allows if mark.by_text]
        if found and by_text:
            rows.append(
                LoopRow(
                    id=account.id,
                    function=name,
                    address=min(loop.head for loop in found),
                    bound=sum(by_text),
                    origin="generator, in all of the longest text",
                    cross_check=_CROSS_CHECKS["unknown"],
                    count=calls * spent(account.spends, one),
                    cost=calls * loop_cycles(program, one, found),
                )
            )
    for loop in one.graph.loops:
        if loop.head in one.listed:
            count = sum(one.bound.counts.get(edge, 0) for edge in loop.back_edges)
            rows.append(
                LoopRow(
                    f"{name} at {loop.head:#x}", name, loop.head, one.listed[loop.head], *one.listed_by, calls * count,
                    calls * loop_cycles(program, one, (loop,)),
                )
            )  # fmt: skip
    return rows


def _origin(total: int | None) -> str:
    return "generator" if total is None else f"generator; {total} in all of a call, for any row"


def path(program: Program) -> tuple[PathBlock, ...]:
    """Blocks that the worst path executes, the most expensive first."""
    if program.calls is None:
        return ()
    blocks = []
    for name, one in program.functions.items():
        calls = program.calls[name]
        costs = block_costs(one)
        for start, times in executions(one).items():
            if calls == 0:
                continue
            cycles = calls * costs[start]
            text = tuple(instruction.text for instruction in one.graph.blocks[start].instructions)
            blocks.append(PathBlock(name, start, calls * times, cycles, cycles / program.cycles, text))
    return tuple(sorted(blocks, key=lambda block: (-block.cost, block.address)))
