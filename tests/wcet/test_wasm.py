"""WebAssembly: operators and where they lead, loops bounded by their counters, the stack, and what is refused."""

from __future__ import annotations

import importlib
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from aprgen.errors import ToolchainError, UnsupportedError
from aprgen.wcet.cfg import build_graphs
from aprgen.wcet.code import Code
from aprgen.wcet.instruction import STRUCTURE, Instruction, Undecoded
from aprgen.wcet.isa import decode_slots, loop_bounds, read_program
from aprgen.wcet.stack import stack_bound
from tests.examples import COMPILE
from tests.wcet import linked as programs


@pytest.fixture(scope="module", autouse=True)
def _needs(require_tool: Callable[[str], None]) -> None:
    require_tool("wasmtime")


def module(text: str, folder: Path) -> Code:
    """The module of that text; the first global is the stack pointer."""
    head = "(memory 1) (global $sp (mut i32) (i32.const 65536))"
    path = folder / "m.wasm"
    path.write_bytes(importlib.import_module("wasmtime").wat2wasm(f"(module {head} {text})"))
    return read_program(path)


def bounds(text: str, folder: Path) -> list[int]:
    """Ways back to the head of each loop of $f, in order of their heads."""
    code = module(f"(func $f (export {chr(34)}f{chr(34)}) {text})", folder)
    found = loop_bounds(code, build_graphs(code, ["f"])["f"])
    return [found[head] for head in sorted(found)]


UP = "local.get $i i32.const {step} i32.add local.tee $i"
WHILE = "(local $i i32) block loop local.get $i i32.const 5 i32.{test} br_if 1 "
DOWN = "(local $i i32) i32.const {first} local.set $i loop " + UP + " br_if 0 end"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DOWN.format(first=-14, step=2), [6]),
        (DOWN.format(first=9, step=-1), [8]),
        ("(local $i i32) loop " + UP.format(step=1) + " i32.const 10 i32.ne br_if 0 end", [9]),
        ("(local $i i32) loop " + UP.format(step=1) + " i32.const 10 i32.lt_u br_if 0 end", [9]),
        ("(local $i i32) loop " + UP.format(step=3) + " i32.const 10 i32.lt_s br_if 0 end", [3]),
        (WHILE.format(test="ge_u") + UP.format(step=1) + " drop br 0 end end", [5]),
        (WHILE.format(test="eq") + UP.format(step=1) + " drop br 0 end end", [5]),
        ("(local $i i32) loop " + UP.format(step=1) + " i32.const 8 i32.eq i32.eqz br_if 0 end", [7]),
        ("(local $i i32) loop " + UP.format(step=1) + " i32.const 8 i32.ne if br 1 end end", [7]),
        ("(param $p i32) (local $e i32) local.get $p i32.const 40 i32.add local.set $e "
         "loop local.get $p i32.const 4 i32.add local.tee $p local.get $e i32.ne br_if 0 end", [9]),
        ("(local $i i32) (local $j i32) loop i32.const 0 local.set $j "
         "loop local.get $j i32.const 1 i32.add local.tee $j i32.const 4 i32.ne br_if 0 end "
         + UP.format(step=1) + " i32.const 3 i32.ne br_if 0 end", [2, 3]),
        ("(param $p i32) (local $i i32) block loop local.get $p i32.load br_if 1 "
         + UP.format(step=1) + " i32.const 7 i32.ne br_if 0 end end", [6]),
    ],
)  # fmt: skip
def test_counters(text: str, expected: list[int], tmp_path: Path) -> None:
    """A local that starts at a constant distance from its limit and moves by a constant bounds its loop exactly."""
    assert expected == bounds(text, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "(param $p i32) loop local.get $p i32.load br_if 0 end",
        "(param $n i32) (local $i i32) loop " + UP.format(step=1) + " local.get $n i32.ne br_if 0 end",
        "(param $i i32) loop " + UP.format(step=1) + " i32.const 10 i32.ne br_if 0 end",
        "(local $i i32) loop " + UP.format(step=2) + " i32.const 9 i32.ne br_if 0 end",
        "(param $p i32) (local $i i32) loop local.get $p i32.load if " + UP.format(step=1) + " drop end "
        "local.get $i i32.const 5 i32.ne br_if 0 end",
        "(param $p i32) (local $i i32) block loop " + UP.format(step=1)
        + " drop local.get $p i32.load if local.get $i i32.const 5 i32.eq br_if 2 end br 0 end end",
        "(local $i i32) loop local.get $i i32.const 2 i32.mul i32.const 1 i32.add local.tee $i "
        "i32.const 1000 i32.lt_u br_if 0 end",
        "(local $i i64) loop local.get $i i64.const 1 i64.add local.tee $i i64.const 9 i64.ne br_if 0 end",
    ],
)  # fmt: skip
def test_loops_without_counter_are_refused(text: str, tmp_path: Path) -> None:
    """Data, an argument, a step over the limit, a test that can be left out: each is refused by its place."""
    with pytest.raises(UnsupportedError) as caught:
        bounds(text, tmp_path)

    assert "wcet.loop" == caught.value.code
    assert "loop at f" in caught.value.what
    assert "host" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(param i32) block block local.get 0 br_table 0 1 end end", "0x0e"),
        ("unreachable", "unreachable"),
        ("i32.const 0 i32.const 0 i32.const 0 memory.fill", "0xfc000b"),
        ("i32.const 0 i32.const 0 block (param i32 i32) (result i32 i32) end drop drop", "block of several values"),
    ],
)
def test_other_operators_are_refused(text: str, said: str, tmp_path: Path) -> None:
    """Tables of jumps, traps, bulk memory and blocks of several values are not analysed, and the refusal names them."""
    with pytest.raises(UnsupportedError) as caught:
        build_graphs(module(f'(func (export "f") {text})', tmp_path), ["function 0"])

    assert "wcet.instruction" == caught.value.code
    assert said in caught.value.what


def test_imports_are_refused(tmp_path: Path) -> None:
    """A module that imports functions numbers its own behind them, and calls what cannot be seen."""
    path = tmp_path / "m.wasm"
    path.write_bytes(importlib.import_module("wasmtime").wat2wasm('(module (import "a" "b" (func)))'))
    with pytest.raises(ToolchainError) as caught:
        read_program(path)

    assert "wasm.import" == caught.value.code


FRAME = "global.get $sp i32.const {n} i32.sub"
GIVEN_BACK = "local.get 0 i32.const {n} i32.add global.set $sp"
ENTERED = "(local i32) " + FRAME + " local.tee 0 global.set $sp "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(func $f)", 0),
        ("(func $f (local i32) " + FRAME.format(n=16) + " local.set 0)", 16),
        ("(func $f " + ENTERED.format(n=48) + GIVEN_BACK.format(n=48) + ")", 48),
        ("(func $f " + ENTERED.format(n=32) + "call $g " + GIVEN_BACK.format(n=32) + ")"
         "(func $g (local i32) " + FRAME.format(n=16) + " local.set 0)", 48),
        ("(func $f call $g) (func $g " + ENTERED.format(n=64) + GIVEN_BACK.format(n=64) + ")", 64),
    ],
)  # fmt: skip
def test_stack(text: str, expected: int, tmp_path: Path) -> None:
    """Frames lie below the first global, whether it is moved or not, and those of callees below them."""
    graphs = build_graphs(module(text, tmp_path), ["f"])

    assert expected == stack_bound(graphs, "f").total_bytes


@pytest.mark.parametrize(
    "text",
    [
        "(func $f " + ENTERED.format(n=32) + ")",
        "(func $f (param i32) local.get 0 global.set $sp)",
        "(func $f (param i32) global.get $sp local.get 0 i32.sub global.set $sp)",
        "(func $f (param i32) local.get 0 if " + FRAME.format(n=16) + " global.set $sp end)",
    ],
)
def test_stack_refused(text: str, tmp_path: Path) -> None:
    """A stack pointer that is not given back, or not moved by a constant, is refused."""
    with pytest.raises(UnsupportedError) as caught:
        build_graphs(module(text, tmp_path), ["f"])

    assert "wcet.stack" == caught.value.code


def objdump(path: Path) -> dict[str, list[tuple[int, str]]]:
    """Of each function the operators, with their sizes, as llvm-objdump has them."""
    words = ["llvm-objdump-14", "-d", "--no-show-raw-insn", str(path)]
    text = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
    found: dict[str, list[tuple[int, str]]] = {}
    name = ""
    for line in text.splitlines():
        head = re.match(r"[0-9a-f]+ <(.*)>:", line)
        operator = re.match(r"\s+([0-9a-f]+):\s+(\S+)", line)
        if head:
            name = head[1]
            found[name] = []
        elif operator and name:
            found[name].append((int(operator[1], 16), re.sub(r"^\w+\.select$", "select", operator[2])))
    return found


@pytest.mark.parametrize("name", COMPILE)
def test_objdump_agrees(name: str, require_tool: Callable[[str], None], require_target: Callable[[str], None]) -> None:
    """A second decoder finds the same operators at the same distances in every function of the module."""
    require_tool("llvm-objdump-14")
    require_target("wasm")
    program = programs.built(name, "wasm").image.program
    second = objdump(program)
    code = read_program(program)

    assert {function.name for function in code.functions} <= set(second)
    for function in code.functions:
        slots = decode_slots(function, "wasm")
        if any(isinstance(slot, Undecoded) for slot in slots):
            assert not function.name.startswith(name), function.name  # the harness may do what the model must not
            continue
        expected = second[function.name]
        assert [word for _, word in expected] == [slot.text.split()[0] for slot in slots]
        first = expected[0][0]
        assert [at - first for at, _ in expected] == [slot.address - function.address for slot in slots]


def test_what_counts_as_nothing(tmp_path: Path) -> None:
    """Blocks, loops and their ends are no work; a branch, a drop of nothing else, and the function's own end differ."""
    code = module("(func $f block loop i32.const 1 drop nop br 1 end end)", tmp_path)
    slots = decode_slots(code.function("f"), "wasm")
    assert all(isinstance(slot, Instruction) for slot in slots)

    assert ["block", "loop", "i32.const 1", "drop", "nop", "br 1", "end", "end", "end"] == [s.text for s in slots]
    counted = [slot.text for slot in slots if isinstance(slot, Instruction) and slot.kind != STRUCTURE]
    assert ["i32.const 1", "br 1", "end"] == counted
