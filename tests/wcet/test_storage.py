"""Stack and memory of a report: frames against the compiler's, painted runs, and the checks behind `no heap`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aprgen.elf import Elf, Symbol
from aprgen.errors import UnsupportedError
from aprgen.footprint import Footprint
from aprgen.wcet.cfg import build_graphs
from aprgen.wcet.storage import ALLOCATORS, memory_use, stack_use
from tests.wcet.assembled import linked
from tests.wcet.test_analyse import BOUNDED, report_of

PUSH = """function f
push {r4, r5, r6, lr}
bl g
pop {r4, r5, r6, pc}
function g
sub sp, #8
add sp, #8
bx lr"""


@pytest.fixture(autouse=True)
def _tools(require_target: Callable[[str], None], require_tool: Callable[[str], None]) -> None:
    require_target("cortex-m4")
    for module in ("scipy", "capstone", "unicorn"):
        require_tool(module)


@pytest.mark.parametrize("target", BOUNDED)
@pytest.mark.parametrize("name", ["rfc", "kmeans", "linreg"])
def test_frames(name: str, target: str) -> None:
    """Frames of generated functions are the compiler's; those of its library have none to compare with."""
    for entry in report_of(name, target).entries:
        assert entry.stack is not None
        assert {one.name for one in entry.functions} == {one.function for one in entry.stack.frames}
        for frame in entry.stack.frames:
            assert frame.function.startswith(name) == (frame.compiler is not None)
            if frame.agreement == "agrees":
                assert frame.compiler == frame.bytes
        assert 4 == entry.stack.alignment_bytes
        assert {32, 104} >= {(entry.stack.exception_bytes or 0) - 4}


@pytest.mark.parametrize("target", BOUNDED)
def test_painted(target: str) -> None:
    """Runs of every function, predict too, leave their mark on a painted stack: never above the bound, near it."""
    for entry in report_of("rfc", target).entries:
        assert entry.stack is not None
        assert entry.stack.painted is not None, entry.function
        assert entry.stack.painted <= entry.stack.bytes <= entry.stack.painted + 8


@pytest.mark.parametrize(("stated", "agreement"), [({"f": 16, "g": 8}, "agrees"), ({}, "none stated")])
def test_agreement(stated: dict[str, int], agreement: str, tmp_path: Path) -> None:
    """A frame equal to the compiler's agrees, one of which the compiler says nothing has nothing to agree with."""
    code = linked(PUSH, tmp_path, "v7E-M")
    found = stack_use(code, build_graphs(code, ["f"]), "f", stated, None)

    assert (24, ("f", "g")) == (found.bytes, found.chain)
    assert {("f", 16, agreement), ("g", 8, agreement)} == {(f.function, f.bytes, f.agreement) for f in found.frames}


def test_arguments_that_are_stored_first(tmp_path: Path) -> None:
    """A struct that lies partly in registers is stored below the caller's part of it, which the compiler counts not."""
    text = "function f\nsub sp, #8\npush {r4, lr}\npop {r4}\nldr lr, [sp], #4\nadd sp, #8\nbx lr"
    code = linked(text, tmp_path, "v7E-M")

    found = stack_use(code, build_graphs(code, ["f"]), "f", {"f": 8}, None)
    assert (16, "larger") == (found.bytes, found.frames[0].agreement)
    with pytest.raises(UnsupportedError, match="16 bytes of stack by its instructions, 4 by the compiler"):
        stack_use(code, build_graphs(code, ["f"]), "f", {"f": 4}, None)


@pytest.mark.parametrize("stated", [{"f": 20}, {"f": 12}])
def test_disagreement_is_refused(stated: dict[str, int], tmp_path: Path) -> None:
    """Where instructions and compiler differ over a frame, one of them is wrong and no bound is given."""
    code = linked(PUSH, tmp_path, "v7E-M")
    with pytest.raises(UnsupportedError) as caught:
        stack_use(code, build_graphs(code, ["f"]), "f", stated, None)

    assert "wcet.frame" == caught.value.code
    assert f"16 bytes of stack by its instructions, {stated['f']} by the compiler" in caught.value.what


def test_copies(tmp_path: Path) -> None:
    """The compiler's file leaves out the number of a copy, which the symbol has."""
    code = linked(PUSH.replace("function f", "function f.constprop.0"), tmp_path, "v7E-M")
    found = stack_use(code, build_graphs(code, ["f.constprop.0"]), "f.constprop.0", {"f.constprop": 16}, None)

    assert [("f.constprop.0", "agrees"), ("g", "none stated")] == [(f.function, f.agreement) for f in found.frames]


NOTHING = Elf("ARM", 13, (), (), ())
SIZE = Footprint(100, 40, 0, 0, ())


def _symbol(name: str) -> Symbol:
    return Symbol(name, 0, 4, True, 1)


def _holds(
    image: Elf = NOTHING, model: Elf = NOTHING, size: Footprint = SIZE, reached: tuple[str, ...] = ("f",)
) -> str:
    heap = memory_use(size, 24, "#define M_ARENA_SIZE 0\n", image, model, reached).heap
    return "".join("y" if one.holds else "n" for one in heap)


def test_heap() -> None:
    """Each check fails on its own: an allocator linked, one wanted, a name that nobody defines, a variable."""
    assert "yyyy" == _holds()
    for name in ALLOCATORS:
        assert "nyyy" == _holds(image=replace(NOTHING, symbols=(_symbol(name),)))
        assert "nnyy" == _holds(
            image=replace(NOTHING, symbols=(_symbol(name),)), model=replace(NOTHING, undefined=(name,))
        )
    assert "ynyy" == _holds(model=replace(NOTHING, undefined=("mystery",)))
    assert "yyny" == _holds(reached=())
    assert "yyyn" == _holds(size=replace(SIZE, bss_bytes=4))


def test_memory() -> None:
    """The report's memory is the footprint's, with the model's tables and an arena where the header has one."""
    found = memory_use(replace(SIZE, data_bytes=8), 24, "#define M_ARENA_SIZE 512U\n", NOTHING, NOTHING, ("f",))

    assert (148, 8, 24, 512) == (found.flash_bytes, found.ram_bytes, found.weights_bytes, found.arena_bytes)


@pytest.mark.parametrize("target", BOUNDED)
def test_no_heap(target: str) -> None:
    """All checks hold for generated code, which needs nothing from elsewhere, not even for floats in software."""
    memory = report_of("kmeans", target).memory

    assert [True] * 4 == [one.holds for one in memory.heap]
    assert "nothing" == memory.heap[1].found
    assert "kmeans_scores" in memory.heap[2].found
