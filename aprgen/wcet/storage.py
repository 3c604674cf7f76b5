"""Stack and memory for the report: frames beside the compiler's figures, and what shows that there is no heap.

Knows what is compared and when a difference is a refusal; the frames are `stack`'s and the sizes `footprint`'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from aprgen.elf import Elf, Symbol, read_elf
from aprgen.errors import UnsupportedError
from aprgen.footprint import Footprint
from aprgen.image import Image
from aprgen.wasm import imported_functions, read_wasm
from aprgen.wcet.code import Code
from aprgen.wcet.graph import Graph
from aprgen.wcet.report import Agreement, Check, Frame, Memory, StackUse
from aprgen.wcet.stack import exception_bytes, stack_bound

ALLOCATORS = (
    "malloc", "calloc", "realloc", "reallocarray", "free", "aligned_alloc", "memalign", "posix_memalign", "valloc",
    "alloca", "_sbrk", "sbrk", "_sbrk_r", "_malloc_r", "_free_r", "_Znwj", "_Znaj", "_ZdlPv",
    "pvPortMalloc", "vPortFree", "k_malloc", "k_free",
)  # fmt: skip
_ALIGNMENT = 4  # AAPCS: the processor aligns the stack to eight bytes when it takes an exception
# What a call itself pushes, which the compiler counts as part of the callee's frame.
_RETURN_ADDRESS: Mapping[str, int] = {"x86-64": 8}
# What a function that calls none may use below the stack pointer, which the compiler leaves out of the frame.
_RED_ZONE: Mapping[str, int] = {"x86-64": 128}
# What a function skips that aligns the stack pointer for vectors, the compiler leaves out, too. Before that, the
# pointer is a multiple of 16.
_ALIGNING = re.compile(r"^and rsp, (0xffffffffffffff[0-9a-f]{2}|-\d+)$")
_ALIGNED_BYTES = 16
_STORING = re.compile(r"sub(?:\.w)? sp, (?:sp, )?#(\w+)")
_MOST_STORED = 16  # of registers r0 to r3
_COPY = re.compile(r"\.\d+$")  # the number of one of several copies, which the compiler's file leaves out


def stack_use(
    code: Code, graphs: Mapping[str, Graph], function: str, stated: Mapping[str, int], painted: int | None
) -> StackUse:
    """The stack of one function of the interface. stated: frames by the compiler, by name.

    A frame that differs from the compiler's without a reason is refused: one of the two is wrong.
    """
    stack = stack_bound(graphs, function)
    frames = tuple(_frame(code, graphs[name], stack.frames[name], stated) for name in graphs)
    order = {name: number for number, name in enumerate(stack.chain)}
    exception = exception_bytes(code.architecture)
    return StackUse(
        bytes=stack.total_bytes,
        chain=stack.chain,
        frames=tuple(sorted(frames, key=lambda one: (order.get(one.function, len(order)), one.function))),
        painted=painted,
        exception_bytes=exception,
        alignment_bytes=None if exception is None else _ALIGNMENT,
    )


def _frame(code: Code, graph: Graph, depth: int, stated: Mapping[str, int]) -> Frame:
    compiler = stated.get(graph.name, stated.get(_COPY.sub("", graph.name)))
    if compiler is None:
        return Frame(graph.name, depth, None, "none stated")
    compiler -= _RETURN_ADDRESS.get(code.architecture, 0)
    own = code.function(graph.name)
    beyond = not all(own.holds(start) for start in graph.blocks)
    more = (0 if _calls(graph) else _RED_ZONE.get(code.architecture, 0)) + _skipped(graph) + _stored(graph)
    if depth < compiler or (depth > compiler + more and not beyond):
        raise UnsupportedError(
            "wcet.frame", f"{graph.name} takes {depth} bytes of stack by its instructions, {compiler} by the compiler",
            where=graph.name, hint="report this as a fault of aprgen, with the model and the compiler's version",
        )  # fmt: skip
    agreement: Agreement = "agrees" if depth == compiler else "larger"
    return Frame(graph.name, depth, compiler, agreement)


def _skipped(graph: Graph) -> int:
    """The most bytes that the function skips when it aligns its stack."""
    texts = (instruction.text for block in graph.blocks.values() for instruction in block.instructions)
    masks = [int(found[1], 0) for text in texts if (found := _ALIGNING.match(text)) is not None]
    return max((-mask % 2**64 - _ALIGNED_BYTES for mask in masks), default=0)


def _stored(graph: Graph) -> int:
    """Bytes of arguments in registers that the function stores before all else, where a struct lies partly on the
    caller's stack: the compiler counts none of them."""
    found = _STORING.fullmatch(graph.blocks[graph.entry].instructions[0].text)
    return 0 if found is None else min(int(found[1], 0), _MOST_STORED)


def _calls(graph: Graph) -> bool:
    return any(block.call is not None for block in graph.blocks.values())


def read_linked(image: Image, path: Path) -> Elf:
    """The names in one of the image's files; of a module's as if it were an ELF file's."""
    if image.target.image == "elf":
        return read_elf(path)
    symbols = tuple(Symbol(name, 0, size, True, 0) for name, size in read_wasm(path).functions)
    return Elf("wasm", 0, symbols, (), (), imported_functions(path))


def memory_use(
    size: Footprint, weights_bytes: int, header: str, image: Elf, model: Elf, reached: Sequence[str]
) -> Memory:
    """header: the generated one. image: the linked one. model: the object file. reached: functions whose code was
    decoded, as the interface calls them."""
    return Memory(
        flash_bytes=size.flash_bytes,
        ram_bytes=size.ram_bytes,
        text_bytes=size.text_bytes,
        rodata_bytes=size.rodata_bytes,
        data_bytes=size.data_bytes,
        bss_bytes=size.bss_bytes,
        library_bytes=size.library_bytes,
        weights_bytes=weights_bytes,
        arena_bytes=_arena(header),
        heap=_heap(size, image, model, reached),
    )


def _arena(header: str) -> int:
    found = re.search(r"^#define \w+_ARENA_SIZE (\d+)", header, re.MULTILINE)
    return 0 if found is None else int(found[1])


def _heap(size: Footprint, image: Elf, model: Elf, reached: Sequence[str]) -> tuple[Check, ...]:
    names = {symbol.name for symbol in image.symbols}
    held = sorted(names & set(ALLOCATORS))
    wanted = sorted(set(model.undefined) & set(ALLOCATORS))
    missing = sorted(set(model.undefined) - names)
    outside = ", ".join(model.undefined) or "nothing"
    return (
        Check(
            f"symbols of the linked image, against {len(ALLOCATORS)} names of allocators",
            f"{', '.join(held)}" if held else "none of them", not held,
        ),
        Check(
            "names that the model's object file needs from elsewhere",
            f"{', '.join([*wanted, *missing])} among {outside}" if wanted or missing else outside,
            not wanted and not missing,
        ),
        Check(
            "functions that the bounded ones reach, each decoded to its last instruction; no call leaves the image",
            ", ".join(reached) or "no function was bounded", bool(reached) and not set(reached) & set(ALLOCATORS),
        ),
        Check(
            "variables that outlive a call", f"{size.ram_bytes:,} bytes of .data and .bss", size.ram_bytes == 0,
        ),
    )  # fmt: skip
