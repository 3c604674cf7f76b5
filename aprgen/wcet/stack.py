"""The most stack that a function and all it calls can take, from the program's own instructions.

Knows call chains. Frames are `frame`'s; interrupts push theirs on top, which is stated separately.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aprgen.wcet.code import Architecture
from aprgen.wcet.graph import Frame, Graph

_EXCEPTIONS: Mapping[Architecture, int] = {"v6-M": 36, "v7-M": 36, "v7E-M": 108, "v8-M": 108, "v8.1-M": 108}


@dataclass(frozen=True)
class Stack:
    """total_bytes: the bound. chain: the calls that reach it, from the root. frames: own bytes per function."""

    total_bytes: int
    chain: tuple[str, ...]
    frames: Mapping[str, int]


def stack_bound(graphs: Mapping[str, Graph], root: str) -> Stack:
    """The bound of `root`, one of the graphs, which must hold all that it calls."""
    frames: dict[str, Frame] = {}
    deepest: dict[str, tuple[int, tuple[str, ...]]] = {}
    for name in _callees_first(graphs, root):
        graph = graphs[name]
        frame = frames[name] = graph.frame
        most = frame.depth_bytes
        chain: tuple[str, ...] = (name,)
        for start, depth in frame.at_calls.items():
            called, rest = deepest[str(graph.blocks[start].call)]
            if depth + called > most or (depth + called == most and len(chain) == 1):
                most, chain = depth + called, (name, *rest)
        deepest[name] = most, chain
    total, longest = deepest[root]
    return Stack(total, longest, {name: frame.depth_bytes for name, frame in frames.items()})


def exception_bytes(architecture: Architecture) -> int | None:
    """What an exception pushes on the stack that it interrupts, with the word that aligns it to eight bytes.

    Eight words; with an FPU, whose registers may be live, 26. An Armv8-M program that changes between security states
    pushes more. None for processors other than Cortex-M, whose system decides.
    """
    return _EXCEPTIONS.get(architecture)


def _callees_first(graphs: Mapping[str, Graph], root: str) -> list[str]:
    found: list[str] = []

    def visit(name: str) -> None:
        if name not in found:
            for block in graphs[name].blocks.values():
                if block.call is not None:
                    visit(block.call)
            found.append(name)

    visit(root)  # there is no recursion: the graphs would not exist
    return found
