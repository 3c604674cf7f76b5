"""Counted instructions are exact: two methods agree, and agree with the disassembly."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from stand_in import CORTEX, PREFIX, ROUNDING, TEXT, TREE, row_model, rows

from aprgen.elf import read_elf
from aprgen.image import Image
from aprgen.runners.choose import runner_for
from aprgen.target import load_target

UNICORN = tuple(name for name in (*CORTEX, "arm-neon") if name != "cortex-m55")


def counts(image: Image, inputs: object, prefer: str = "auto", search_path: str | None = None) -> dict[str, list[int]]:
    execution = runner_for(image.target, prefer, search_path).run(image, inputs)  # type: ignore[arg-type]
    return {function: one.values.tolist() for function, one in execution.instructions.items()}


@pytest.mark.parametrize("name", UNICORN)
def test_plugin_and_unicorn_agree(name: str, tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """QEMU's plugin and Unicorn count the same for every row of the same image, soft float included."""
    target = load_target(name)
    require_tool(target.runs[-2].program)
    require_tool("unicorn")
    require_tool(target.builds[0].programs[0])
    image = ROUNDING.build(target, tmp_path)
    x = rows(100, 4)
    expected = counts(image, x)

    assert len(expected["scores"]) == len(expected["classify"]) == 100
    assert counts(image, x, "unicorn") == expected


def test_branches_are_counted_as_taken(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Rows that take different paths through a tree have different counts, in the order of the rows."""
    require_target("cortex-m4")
    image = row_model(
        "    float sum = 0.0f;\n    for (float at = 0.0f; at < x[0]; at += 1.0f) {\n        sum += at * x[1];\n    }\n"
        "    out[0] = sum;",
        2,
        1,
    ).build_for("cortex-m4", tmp_path)
    x = rows(6, 2)
    x[:, 0] = [10, 20, 30, 10, 40, 0]
    n = counts(image, x)["scores"]

    assert n[1] - n[0] == n[2] - n[1]
    assert n[3] == n[0]
    assert n[4] - n[2] == n[1] - n[0]
    assert n[5] < n[0]


@pytest.mark.parametrize("name", ["cortex-m4", "cortex-m33", "cortex-m55"])
def test_straight_code_counts_its_instructions(
    name: str, tmp_path: Path, require_target: Callable[[str], None], require_tool: Callable[[str], None]
) -> None:
    """A function without a branch executes exactly the instructions that a disassembler finds in it."""
    require_target(name)
    require_tool("capstone")
    import capstone

    image = row_model("    out[0] = (x[0] * x[1]) + (x[2] - x[0]);", 3, 1).build_for(name, tmp_path)
    elf = read_elf(image.program)
    symbol = elf.function("brake_scores")
    code = next(s for s in elf.segments if s.address <= symbol.address < s.address + len(s.data))
    start = symbol.address - code.address
    disassembler = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    expected = sum(1 for _ in disassembler.disasm(code.data[start : start + symbol.size], symbol.address))

    assert counts(image, rows(3, 3)) == {"scores": [expected] * 3}


def test_stepping_and_plugin_agree_on_this_machine(tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """Single-stepping the processor itself and counting under QEMU give the same."""
    for tool in ("gcc", "qemu-x86_64"):
        require_tool(tool)
    image = ROUNDING.build_for("host", tmp_path)
    x = rows(8, 4)
    only_gcc = tmp_path / "bin"
    only_gcc.mkdir()
    (only_gcc / "gcc").symlink_to(shutil.which("gcc") or "")
    stepped = runner_for(image.target, search_path=str(only_gcc)).run(image, x)

    assert "single-stepping 8 of 8" in stepped.notes[0]
    assert counts(image, x) == {name: one.values.tolist() for name, one in stepped.instructions.items()}


@pytest.mark.parametrize("stand_in", [TEXT, PREFIX], ids=["text", "prefix"])
def test_texts_are_counted_one_by_one(stand_in: object, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Longer texts take more instructions, and every text has its count."""
    require_target("cortex-m3")
    (n,) = counts(stand_in.build_for("cortex-m3", tmp_path), ["", "a", "ab", "abc" * 9]).values()  # type: ignore[attr-defined]

    assert sorted(set(n)) == n


def test_wasm_operators_are_deterministic(tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """Two runs under wasmtime count the same operators, and longer paths more of them."""
    require_tool("wasmtime")
    image = TREE.build_for("wasm", tmp_path)
    x = rows(50, 2)
    first = runner_for(image.target, "wasmtime").run(image, x).instructions
    second = runner_for(image.target, "wasmtime").run(image, x).instructions

    assert first["scores"].unit == "wasm operators"
    assert int(first["scores"].values.min()) > 0
    assert first["scores"].values.tolist() == second["scores"].values.tolist()


def test_without_a_compiler_the_run_says_why_nothing_is_counted(
    tmp_path: Path, require_tool: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs come back even where nothing can count, with the reason."""
    require_tool("gcc")
    image = TREE.build_for("host", tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # no ziglang
    execution = runner_for(image.target, search_path=str(tmp_path)).run(image, rows(5, 2))

    assert execution.scores.shape == (5, 1)
    assert execution.instructions == {}
    assert "needs a C compiler" in execution.uncounted


def test_counting_can_be_left_out(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """A run without counting is said to be one."""
    require_target("cortex-m4")
    image = TREE.build_for("cortex-m4", tmp_path)
    execution = runner_for(image.target).run(image, rows(5, 2), count=False)

    assert (dict(execution.instructions), execution.uncounted) == ({}, "not asked for")
