"""Which instruction set decodes, frames and cross-checks the code of which architecture.

Knows the modules of each instruction set, and nothing that one of them knows. All that follows control flow asks here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aprgen.errors import UnsupportedError
from aprgen.wcet import (
    aarch64,
    aarch64_frame,
    counters_aarch64,
    counters_thumb,
    counters_x86,
    decode,
    frame,
    library,
    wasm_code,
    wasm_counters,
    x86,
    x86_frame,
)
from aprgen.wcet.code import Architecture, Code, Function, read_code
from aprgen.wcet.counters import Constant, Opinion
from aprgen.wcet.graph import Frame, Graph
from aprgen.wcet.instruction import Slot
from aprgen.wcet.marks import LoopFact


@dataclass(frozen=True)
class Isa:
    """decode: every instruction of a function by ascending address, with what its closed table lacks as Undecoded.

    frame: the stack of one function; what cannot be proved is refused. opinions: what counters in the code say of
    loop bounds. loop_bounds: by head, how often loops go back at most that need no mark.
    bounded_by: where those bounds come from, and what confirms them.
    """

    decode: Callable[[Function, Architecture], tuple[Slot, ...]]
    frame: Callable[[Graph, Code], Frame]
    opinions: Callable[[Sequence[LoopFact], Graph, Constant], tuple[Opinion, ...]]
    loop_bounds: Callable[[Code, Graph], Mapping[int, int]] = library.loop_bounds
    bounded_by: tuple[str, str] = ("list of library routines", "by the routine's hash")


_THUMB = Isa(decode.decode_slots, frame.frame_of, counters_thumb.opinions)
_X86 = Isa(x86.decode_slots, x86_frame.frame_of, counters_x86.opinions)
_AARCH64 = Isa(aarch64.decode_slots, aarch64_frame.frame_of, counters_aarch64.opinions)
_WASM = Isa(
    wasm_code.decode_slots, wasm_counters.frame_of, wasm_counters.opinions, wasm_counters.loop_bounds,
    ("counter in the module's locals", "proved"),
)  # fmt: skip

_ISAS: Mapping[Architecture, Isa] = {
    "v6-M": _THUMB,
    "v7-M": _THUMB,
    "v7E-M": _THUMB,
    "v8-M": _THUMB,
    "v8.1-M": _THUMB,
    "x86-64": _X86,
    "AArch64": _AARCH64,
    "wasm": _WASM,
}


def isa_of(architecture: Architecture) -> Isa:
    """The instruction set of an architecture; one that nothing here decodes is refused."""
    found = _ISAS.get(architecture)
    if found is None:
        raise UnsupportedError(
            "wcet.architecture", f"no instructions of {architecture} can be analysed", where="the program",
            hint=f"choose a target with one of these: {', '.join(_ISAS)}",
        )  # fmt: skip
    return found


def read_program(path: Path) -> Code:
    """The functions of a linked program or module, whatever its instruction set."""
    with path.open("rb") as stream:
        is_module = stream.read(4) == b"\0asm"
    return wasm_code.read_wasm_code(path) if is_module else read_code(path)


def decode_slots(function: Function, architecture: Architecture) -> tuple[Slot, ...]:
    """Every instruction of a function, with those that are in no table as Undecoded."""
    return isa_of(architecture).decode(function, architecture)


def frame_of(graph: Graph, code: Code) -> Frame:
    """The stack frame of one function, or a refusal."""
    return isa_of(code.architecture).frame(graph, code)


def opinions(facts: Sequence[LoopFact], graph: Graph, code: Code) -> tuple[Opinion, ...]:
    """One opinion per loop fact, from the counters that the code shows."""

    def word(address: int) -> int | None:
        found = code.constant(address, 4)
        return None if found is None else int.from_bytes(found, "little")

    return isa_of(code.architecture).opinions(facts, graph, word)


def loop_bounds(code: Code, graph: Graph) -> Mapping[int, int]:
    """Ways back to the head of loops that need no mark, at most, per entry."""
    return isa_of(code.architecture).loop_bounds(code, graph)
