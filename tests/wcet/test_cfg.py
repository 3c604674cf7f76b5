"""Control-flow graphs: their shape on small programs, what is refused, and that real runs never leave them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from aprgen.errors import UnsupportedError
from aprgen.rows import SEED, edge_rows, random_rows
from aprgen.text_rows import text_rows
from aprgen.wcet.cfg import EXIT, Graph, build_graphs
from aprgen.wcet.code import Code
from aprgen.wcet.library import ROUTINES, loop_bounds, routine_of
from aprgen.wcet.trace import NOWHERE, executed_code, steps, trace_calls
from tests.examples import PREFIXES, TEXTS, loaded
from tests.wcet import linked as programs
from tests.wcet.assembled import linked

# Cycles with several entries, which GCC's jump threading makes: bounded by marks of single edges, or not at all.
TANGLED = {
    "cortex-m0plus": {"dtc_bc_depth", "dtr"},
    "cortex-m3": {"dtc_bc_depth", "dtr"},
    "cortex-m4": set[str](),
    "cortex-m33": set[str](),
}


@pytest.fixture(autouse=True)
def _tools(require_tool: Callable[[str], None]) -> None:
    require_tool("arm-none-eabi-as")


def graph_of(text: str, folder: Path, architecture: str = "v7E-M") -> Graph:
    return build_graphs(linked(text, folder, architecture), ["f"])["f"]


def edges(graph: Graph) -> set[tuple[int, int, bool]]:
    """Edges with addresses relative to the entry."""
    return {
        (e.source - graph.entry, EXIT if e.target == EXIT else e.target - graph.entry, e.taken) for e in graph.edges
    }


def test_straight_line(tmp_path: Path) -> None:
    """Without branches there is one block, which leaves by returning."""
    graph = graph_of("function f\nadds r0, #1\nadds r0, #2\nbx lr", tmp_path)

    assert [3] == [len(block.instructions) for block in graph.blocks.values()]
    assert {(0, EXIT, True)} == edges(graph)
    assert ((), ()) == (graph.loops, graph.tangles)


def test_choice(tmp_path: Path) -> None:
    """A conditional branch has two edges, told apart by whether it is taken."""
    graph = graph_of("function f\ncmp r0, #0\nbeq 1f\nmovs r0, #1\n1: bx lr", tmp_path)

    assert {(0, 4, False), (0, 6, True), (4, 6, False), (6, EXIT, True)} == edges(graph)


def test_branch_to_the_next_instruction(tmp_path: Path) -> None:
    """A branch to where it goes anyway keeps both of its edges."""
    graph = graph_of("function f\ncmp r0, #0\nbeq.n 1f\n1: bx lr", tmp_path)

    assert {(0, 4, False), (0, 4, True), (4, EXIT, True)} == edges(graph)


def test_nested_loops(tmp_path: Path) -> None:
    """Each head has its loop; the inner one's blocks are also the outer one's."""
    text = "function f\nmovs r1, #3\n1: movs r2, #4\n2: subs r2, #1\nbne 2b\nsubs r1, #1\nbne 1b\nbx lr"
    outer, inner = graph_of(text, tmp_path).loops

    assert (0x8002, 0x8004) == (outer.head, inner.head)
    assert {0x8002, 0x8004, 0x8008} == set(outer.blocks)
    assert {0x8004} == set(inner.blocks)
    assert [(0x8004, 0x8004, True)] == [(e.source, e.target, e.taken) for e in inner.back_edges]


def test_one_head_with_two_ways_back(tmp_path: Path) -> None:
    """Two back edges to one head are one loop."""
    text = "function f\n1: subs r0, #1\nbeq 1b\nsubs r0, #2\nbne 1b\nbx lr"
    graph = graph_of(text, tmp_path)

    assert [(graph.entry, 2)] == [(loop.head, len(loop.back_edges)) for loop in graph.loops]


def test_tangle(tmp_path: Path) -> None:
    """A cycle with two entries is no loop, and is reported as what it is."""
    text = "function f\ncmp r0, #0\nbeq 2f\n1: subs r0, #1\n2: subs r0, #2\nbne 1b\nbx lr"
    graph = graph_of(text, tmp_path)

    assert () == graph.loops
    assert (frozenset({0x8004, 0x8006}),) == graph.tangles


def test_loop_around_a_tangle(tmp_path: Path) -> None:
    """A natural loop that holds a tangle is still found, and so is the tangle."""
    text = (
        "function f\nmovs r3, #3\n3: cmp r0, #0\nbeq 2f\n1: subs r0, #1\n2: subs r0, #2\nbne 1b\n"
        "subs r3, #1\nbne 3b\nbx lr"
    )
    graph = graph_of(text, tmp_path)

    assert [0x8002] == [loop.head for loop in graph.loops]
    assert (frozenset({0x8006, 0x8008}),) == graph.tangles


def test_call(tmp_path: Path) -> None:
    """A block ends after a call and names the callee, whose graph comes first."""
    text = "function f\npush {lr}\nbl g\nadds r0, #1\npop {pc}\nfunction g\nbx lr"
    graphs = build_graphs(linked(text, tmp_path), ["f"])

    assert ["g", "f"] == list(graphs)
    assert [("g", 0x8000), (None, 0x8006)] == [(b.call, b.start) for b in graphs["f"].blocks.values()]
    assert {(0, 6, False), (6, EXIT, True)} == edges(graphs["f"])


def test_tail_calls_are_followed(tmp_path: Path) -> None:
    """A jump into another function, conditional or not, makes its code part of the graph; so does falling into it."""
    text = "function f\ncmp r0, #0\nbeq.w g\nb.w h\nfunction g\nadds r0, #1\nfunction h\nbx lr"
    graph = graph_of(text, tmp_path)

    assert [0x8000, 0x8006, 0x800C, 0x8010] == list(graph.blocks)
    assert {(0, 6, False), (0, 12, True), (6, 16, True), (12, 16, False), (16, EXIT, True)} == edges(graph)


def test_call_into_the_middle(tmp_path: Path) -> None:
    """A call behind an entry has a graph of its own, named by the place."""
    text = "function f\npush {lr}\nbl g+2\npop {pc}\nfunction g\nadds r0, #1\nadds r0, #2\nbx lr"
    graphs = build_graphs(linked(text, tmp_path), ["f"])

    assert ["g+0x2", "f"] == list(graphs)


def test_conditional_return(tmp_path: Path) -> None:
    """A return in an IT block leads out or on."""
    graph = graph_of("function f\ncmp r0, #0\nit eq\nbxeq lr\nmovs r0, #1\nbx lr", tmp_path)

    assert {(0, EXIT, True), (0, 6, False), (6, EXIT, True)} == edges(graph)


def test_far_jump_of_v6m(tmp_path: Path) -> None:
    """The bl that ARMv6-M jumps far with is a taken edge, and the return address must have been saved."""
    text = "function f\npush {lr}\nbl 1f\nnop\n1: pop {pc}"
    graph = graph_of(text, tmp_path, "v6-M")

    assert {(0, 8, True), (8, EXIT, True)} == edges(graph)
    with pytest.raises(UnsupportedError, match="no return to the caller"):
        graph_of("function f\nbl 1f\nnop\n1: bx lr", tmp_path, "v6-M")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("function f\npush {lr}\nbl f\npop {pc}", "wcet.recursion"),
        ("function f\npush {lr}\nbl g\npop {pc}\nfunction g\npush {lr}\nbl f\npop {pc}", "wcet.recursion"),
        ("function f\npush {lr}\nblx r0\npop {pc}", "wcet.indirect"),
        ("function f\nmov pc, r0", "wcet.indirect"),
        ("function f\ntbb [pc, r0]\n.byte 1, 1\nbx lr", "wcet.indirect"),
        ("function f\npush {lr}\ncmp r0, #0\nit eq\nbleq g\npop {pc}\nfunction g\nbx lr", "wcet.indirect"),
        ("function f\nb f", "wcet.endless"),
        ("function f\ncmp r0, #0\nbeq 1f\nbx lr\n1: b 1b", "wcet.endless"),
        ("function f\nb 0x20000", "wcet.outside"),
        ("function f\nb 1f\n.balign 4\n1: .word 0", "wcet.data"),
        ("function f\nnop", "wcet.outside"),
        ("function f\ncmp r0, #0\nbeq 1f\nit ne\n1: movne r0, #1\nbx lr", "wcet.it"),
        ("function f\nsvc #1\nbx lr", "wcet.instruction"),
        ("function f\nbx r3", "wcet.stack"),
        ("function f\npush {r4}\npop {pc}", "wcet.stack"),
        ("function f\npush {lr}\nsub sp, #4\npop {pc}", "wcet.stack"),
        ("function f\npush {lr}\nbx lr", "wcet.stack"),
        ("function f\nmov lr, r0\nbx lr", "wcet.stack"),
        ("function f\npush {lr}\nbl g\nbx lr\nfunction g\nbx lr", "wcet.stack"),
        ("function f\nsub sp, sp, r0\nbx lr", "wcet.stack"),
        ("function f\nmov sp, r7\nbx lr", "wcet.stack"),
        ("function f\nmov r7, sp\nsub sp, #8\nldr r7, [r0]\nmov sp, r7\nbx lr", "wcet.stack"),
        ("function f\nmov r2, sp\nit eq\naddeq r2, #8\nmov sp, r2\nbx lr", "wcet.stack"),
        ("function f\npush {lr}\nmovs r3, #8\nbl g\nadd sp, r3\npop {pc}\nfunction g\nbx lr", "wcet.stack"),
        ("function f\nmovs r3, #8\nrsb r3, r3, r3\nadd sp, r3\nbx lr", "wcet.stack"),
        ("function f\nmovs r3, #8\nadds r3, r3, r3\nsub sp, sp, r3\nbx lr", "wcet.stack"),
        ("function f\nmovs r3, #8\ncmp r0, #0\nbeq 1f\nmovs r3, #16\n1: sub sp, sp, r3\nbx lr", "wcet.stack"),
        ("function f\ncmp r0, #0\nit eq\nsubeq sp, #8\nbx lr", "wcet.stack"),
        ("function f\ncmp r0, #0\nbeq 1f\npush {r4}\n1: bx lr", "wcet.stack"),
        ("function f\n1: push {r4}\nsubs r0, #1\nbne 1b\nbx lr", "wcet.stack"),
        ("function f\ncmp r0, #0\nbeq 1f\nmov r3, lr\nb 2f\n1: movs r3, #0\n2: bx r3", "wcet.stack"),
        ("function f\ncmp r0, #0\nbeq 1f\nmovs r3, #0\nb 2f\n1: mov r3, lr\n2: bx r3", "wcet.stack"),
        ("function f\ncmp r0, #0\nit eq\nsubeq sp, #8\nadd sp, #8\nbx lr", "wcet.stack"),
        ("function f\nbl g\nbx lr\nfunction g\nbx lr", "wcet.stack"),
        ("function f\npush {r4}\npop {r3}\nbx r3", "wcet.stack"),
        ("function f\nadd sp, #4\nsub sp, #4\nbx lr", "wcet.stack"),
    ],
)
def test_refusals(text: str, code: str, tmp_path: Path) -> None:
    """What has no bound, or leads somewhere unknown, is refused by its own code and says what to do."""
    with pytest.raises(UnsupportedError) as caught:
        graph_of(text, tmp_path)

    assert code == caught.value.code
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "push {r4, lr}\npop {r4}\npop {r3}\nbx r3",
        "push {r4, lr}\nmov lr, r4\npop {r4, pc}",
        "push {r6, r7, lr}\nmov lr, r9\npush {r5, lr}\npop {r5, r6}\npop {r6, r7, pc}",
        "str lr, [sp, #-8]!\nldr lr, [sp], #8\nbx lr",
        "str lr, [sp, #-8]!\nldr pc, [sp], #8",
        "mov r3, lr\nmov lr, r0\nbx r3",
        "vpush {d8}\npush {lr}\nldmia sp!, {lr}\nvpop {d8}\nmov pc, lr",
    ],
)
def test_returns_that_are_proved(text: str, tmp_path: Path) -> None:
    """The return address is followed through registers and pushed words."""
    graph = graph_of(f"function f\n{text}", tmp_path)

    assert any(edge.target == EXIT for edge in graph.edges)


@pytest.mark.parametrize(("name", "core"), programs.PROGRAMS)
def test_runs_stay_in_the_graphs(name: str, core: str, require_target: Callable[[str], None]) -> None:
    """Every fixture has graphs on every core, and what is executed for many rows is a way through them."""
    require_target(core)
    image = programs.built(name, core).image
    code = programs.code(name, core)
    executed = executed_code(code)
    program = loaded(name).model.lower()
    if name in (*TEXTS, *PREFIXES):
        records = text_rows(program, 10, SEED).values
    else:
        records = np.concatenate([edge_rows(program, 20).values, random_rows(program, 10).values])
    tangled = False
    for function in image.model.functions:
        root = image.model.symbol(function)
        graphs = build_graphs(code, [root])
        tangled = tangled or any(graph.tangles for graph in graphs.values())
        if name in PREFIXES:
            continue  # which cannot be traced
        assert set() == steps(trace_calls(image, function, records), executed) - steps_of(graphs, root)
    assert tangled == (name in TANGLED[core])


def steps_of(graphs: Mapping[str, Graph], root: str) -> set[tuple[int, int]]:
    """All pairs of instructions that the graphs allow one after the other."""
    found = {(NOWHERE, graphs[root].entry)}
    returns: dict[str, set[int]] = {
        name: {graph.blocks[e.source].last.address for e in graph.edges if e.target == EXIT}
        for name, graph in graphs.items()
    }
    found |= {(last, NOWHERE) for last in returns[root]}
    for graph in graphs.values():
        for block in graph.blocks.values():
            inside = [instruction.address for instruction in block.instructions]
            found.update(pairwise(inside))
            if block.call is not None:
                found.add((block.last.address, graphs[block.call].entry))
                found.update((last, block.last.end) for last in returns[block.call])
        found.update(
            (graph.blocks[edge.source].last.address, edge.target)
            for edge in graph.edges
            if edge.target != EXIT and graph.blocks[edge.source].call is None
        )
    return found


@pytest.mark.parametrize(("core", "fixture"), [("cortex-m0plus", "gbm"), ("cortex-m3", "gaussian_nb")])
def test_loops_of_libgcc(core: str, fixture: str, require_target: Callable[[str], None]) -> None:
    """Every loop of the float routines has its bound, known by the hash of the routine's bytes."""
    require_target(core)
    code = programs.code_with_libgcc(fixture, core)
    graphs = build_graphs(code, programs.roots(fixture, core))
    loops = {
        code.label(loop.head): loop_bounds(code, graph).get(loop.head)
        for name, graph in graphs.items()
        for loop in graph.loops
        if name.startswith("__")
    }

    expected = {
        "cortex-m0plus": {"__aeabi_fdiv+0x1e0": 26},
        "cortex-m3": {
            "__aeabi_fdiv+0x46": 5,
            "__aeabi_fdiv+0xc2": 22,
            "__aeabi_fdiv+0xda": 22,
            "__aeabi_fmul+0xce": 22,
            "__aeabi_fmul+0xe6": 22,
        },
    }
    assert expected[core] == loops
    assert {} == loop_bounds(code, next(graph for graph in graphs.values() if graph.name == f"{fixture}_scores"))


def test_a_changed_routine_is_not_known(require_target: Callable[[str], None]) -> None:
    """One changed bit anywhere in a routine, except in words that the linker fills in, and its facts are gone."""
    require_target("cortex-m0plus")
    code = programs.code_with_libgcc("gbm", "cortex-m0plus")
    function = code.function("__aeabi_fdiv")
    routine = routine_of(function)
    assert routine is not None
    assert routine in ROUTINES

    for offset in range(routine.size):
        changed = bytearray(function.code)
        changed[offset] ^= 1
        known = routine_of(type(function)(function.name, function.names, function.address, bytes(changed), ()))
        relocated = any(word <= offset < word + 4 for word in routine.relocated)
        assert (known is not None) == relocated


def test_constants_cannot_be_changed(require_target: Callable[[str], None]) -> None:
    """Only bytes in memory that the program cannot write count as constants."""
    require_target("cortex-m4")
    code: Code = programs.code("dtr", "cortex-m4")

    assert all(code.constant(memory.address, 1) is None for memory in code.memory if memory.writable)
    assert code.constant(code.function("dtr_scores").address, 4) is not None
    assert code.constant(0xFFFF_0000, 4) is None


def test_what_can_be_written_is_no_constant(tmp_path: Path) -> None:
    """Bytes of a segment that is writable are unknown, those of all others are what they are."""
    code = linked("function f\n    bx lr\n.data\n.word 0x01020304\n.text", tmp_path)
    data = next(memory for memory in code.memory if memory.writable)

    assert b"\x04\x03\x02\x01" == data.data[:4]
    assert code.constant(data.address, 4) is None
    assert code.constant(code.function("f").address, 2) == b"\x70\x47"
