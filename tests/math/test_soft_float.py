"""The routines for floats of cores without a floating point unit: their results, how they link, and what they cost."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from aprgen.resources import folder
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain
from aprgen.wcet.bounds import bound_program
from aprgen.wcet.cfg import build_graphs
from aprgen.wcet.code import Code, read_code
from aprgen.wcet.memory import Memory
from aprgen.wcet.stack import stack_bound
from aprgen.wcet.timing import load_timing
from tests.wcet import linked as programs

CORES = ("cortex-m0plus", "cortex-m3")
FOLDERS = {"cortex-m0plus": "armv6m", "cortex-m3": "armv7m"}
COMPARISONS = tuple(f"__aeabi_fcmp{how}" for how in ("eq", "lt", "le", "ge", "gt", "un"))
ROUTINES = ("__aeabi_fadd", "__aeabi_fsub", "__aeabi_fmul", "__aeabi_fdiv", *COMPARISONS)
CHECK = ("-O2", "-mthumb", "-march=armv7ve+fp", "-mfloat-abi=softfp", "-ffreestanding", "-nostdlib")
STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Werror")
PAIRS = 20_000  # per operation, beside special values and all pairs of exponents

# Cycles at most from the routine's entry on; of M0+ for multipliers of 1 cycle and of 32.
BOUNDS: Mapping[tuple[str, int], tuple[int, ...]] = {
    ("cortex-m0plus", 1): (67, 70, 93, 258, 21, 21, 21, 21, 21, 13),
    ("cortex-m0plus", 32): (67, 70, 155, 258, 21, 21, 21, 21, 21, 13),
    ("cortex-m3", 1): (54, 55, 53, 112, 22, 22, 22, 22, 22, 12),
}


def compiled(core: str, work: Path, name: str, text: str, *flags: str, tools: str = "system") -> Path:
    """An object made from C that includes the header of that core."""
    toolchain = find_toolchain(load_target(core), tools)
    source, made = work / f"{name}.c", work / f"{name}.o"
    source.write_text(f'#include "apr_soft_float.h"\n{text}\n', encoding="ascii")
    include = f"-I{folder('runtime_c') / FOLDERS[core]}"
    words = [*toolchain.compiler, *toolchain.rule.cflags, *STRICT, *flags, include, "-c", str(source), "-o", str(made)]
    subprocess.run(words, check=True, capture_output=True, text=True, timeout=120)
    return made


def linked(core: str, work: Path, objects: Sequence[Path], *flags: str) -> Path:
    toolchain = find_toolchain(load_target(core), "system")
    program = work / "program.elf"
    form = ["-nostdlib", "-Wl,-Ttext=0x8000", "-Wl,-e,start", *flags]
    words = [*toolchain.compiler, *toolchain.rule.cflags, *form, *map(str, objects), "-lgcc", "-o", str(program)]
    subprocess.run(words, check=True, capture_output=True, text=True, timeout=60)
    return program


def all_routines(core: str, work: Path) -> Code:
    made = compiled(core, work, "all", "void start(void);\nvoid start(void) {}")
    return read_code(linked(core, work, [made]))


def check_against_unit(include: Path, work: Path) -> tuple[int, list[str]]:
    """Status and lines of the command of runtime_c/accuracy/soft_float.c."""
    source, program = folder("runtime_c") / "accuracy" / "soft_float.c", work / "check"
    words = ["arm-none-eabi-gcc", *CHECK, f"-I{include}", str(source), "-lgcc", "-o", str(program)]
    subprocess.run(words, check=True, capture_output=True, text=True, timeout=60)
    words = ["qemu-arm", "-cpu", "max", str(program), str(PAIRS)]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("core", CORES)
def test_results(core: str, tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """Every routine gives the bits of a floating point unit: special values, all pairs of exponents, random words."""
    require_tool("arm-none-eabi-gcc")
    require_tool("qemu-arm")
    status, lines = check_against_unit(folder("runtime_c") / FOLDERS[core], tmp_path)

    names = ("add", "sub", "mul", "div", "eq", "lt", "le", "ge", "gt", "un")
    assert [f"{name}: 1075972 pairs, 0 wrong" for name in names] == lines
    assert status == 0


@pytest.mark.parametrize(
    ("core", "right", "wrong", "operation"),
    [
        ("cortex-m3", '"sbcs r1, r1, #0x80000000\\n"', '"cmp r1, #0x80000000\\n"', "add"),
        ("cortex-m3", '"orr.w r2, r2, r0, lsr #1\\n"', "", "mul"),
        ("cortex-m3", '"orrne r1, r1, #1\\n"\n    "rsbs', '"orrne r1, r1, #0\\n"\n    "rsbs', "div"),
        ("cortex-m0plus", '"cmp r3, #25\\n"', '"cmp r3, #26\\n"', "add"),
        ("cortex-m0plus", '"adds r2, r2, #25\\n"', '"adds r2, r2, #24\\n"', "mul"),
        ("cortex-m0plus", '"movs r0, #1\\n"\n    "orrs r1, r1, r0\\n"', '"movs r0, #1\\n"', "div"),
    ],
)
def test_a_fault_is_found(
    core: str, right: str, wrong: str, operation: str, tmp_path: Path, require_tool: Callable[[str], None]
) -> None:
    """The check notices one wrong instruction on a way that few operands take, and names the operation."""
    require_tool("arm-none-eabi-gcc")
    require_tool("qemu-arm")
    text = (folder("runtime_c") / FOLDERS[core] / "apr_soft_float.h").read_text(encoding="ascii")
    assert right in text
    (tmp_path / "apr_soft_float.h").write_text(text.replace(right, wrong, 1), encoding="ascii")
    status, lines = check_against_unit(tmp_path, tmp_path)

    assert status == 1
    assert any(line.startswith(f"{operation}: ") and not line.endswith(" 0 wrong") for line in lines)


@pytest.mark.parametrize("core", CORES)
def test_generated_code_calls_them(core: str, require_target: Callable[[str], None]) -> None:
    """A linked model has our routines for its operators, and of the library's nothing that computes with floats."""
    require_target(core)
    code = programs.code("gaussian_nb", core)
    names = {name for function in code.functions for name in function.names if name.startswith("__")}

    assert {"__aeabi_fadd", "__aeabi_fsub", "__aeabi_fmul", "__aeabi_fdiv"} <= names
    assert set() == {name for name in names if "sf3" in name or "sf2" in name}


@pytest.mark.parametrize("core", CORES)
def test_trees_link_none(core: str, require_target: Callable[[str], None]) -> None:
    """A tree of integer keys that includes the header takes none of the routines into flash."""
    require_target(core)
    names = {name for function in programs.code("dtc_unlimited", core).functions for name in function.names}

    assert set() == names & set(ROUTINES)


@pytest.mark.parametrize("core", CORES)
def test_several_models_share_a_copy(core: str, tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """Two objects with the routines link without --gc-sections, to one copy of each."""
    require_tool("arm-none-eabi-gcc")
    one = compiled(core, tmp_path, "one", "float add(float a, float b);\nfloat add(float a, float b) { return a + b; }")
    two = compiled(core, tmp_path, "two", "void start(void);\nvoid start(void) {}")
    code = read_code(linked(core, tmp_path, [one, two]))
    found = [function.name for function in code.functions if function.name in ROUTINES]

    assert sorted(ROUTINES) == sorted(found)


@pytest.mark.parametrize("core", CORES)
def test_the_program_may_bring_its_own(core: str, tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """A strong definition in the program is linked in place of ours."""
    require_tool("arm-none-eabi-gcc")
    one = compiled(core, tmp_path, "one", "float add(float a, float b);\nfloat add(float a, float b) { return a + b; }")
    own = tmp_path / "own.s"
    text = ".syntax unified\n.thumb\n.global __aeabi_fadd\n.type __aeabi_fadd,%function\n.thumb_func\n"
    own.write_text(f"{text}__aeabi_fadd: nop\nbx lr\n.global start\nstart: bx lr\n", encoding="ascii")
    code = read_code(linked(core, tmp_path, [one, own]))

    assert code.function("__aeabi_fadd").code[:4] == bytes.fromhex("00bf7047" if core == "cortex-m3" else "c0467047")


@pytest.mark.parametrize("core", CORES)
def test_clang_assembles_the_same(core: str, tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """zig's clang takes the header without a warning, and makes routines of the same lengths as gcc.

    Not of the same bytes: to add 1 has two encodings of one size, and the assemblers differ."""
    require_tool("arm-none-eabi-gcc")
    require_tool("ziglang")
    text = "void start(void);\nvoid start(void) {}"
    by_gcc = read_code(linked(core, tmp_path, [compiled(core, tmp_path, "gcc", text)]))
    made = compiled(core, tmp_path, "zig", text, "-fno-unwind-tables", tools="pypi")
    by_clang = read_code(linked(core, tmp_path, [made]))

    assert [len(by_gcc.function(name).code) for name in ROUTINES[:-1]] == [
        len(by_clang.function(name).code) for name in ROUTINES[:-1]
    ]


@pytest.mark.parametrize(("core", "multiplier"), sorted(BOUNDS))
def test_bounds(core: str, multiplier: int, tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """Each routine has no loop, calls nothing, takes at most a word of stack, and has this bound."""
    require_tool("arm-none-eabi-gcc")
    require_tool("scipy")
    code = all_routines(core, tmp_path)
    timing = load_timing(core, {"multiplier": multiplier} if core == "cortex-m0plus" else {})
    found = []
    for name in ROUTINES:
        graphs = build_graphs(code, [name])
        assert ([name], ()) == (list(graphs), graphs[name].loops)
        assert stack_bound(graphs, name).total_bytes <= (4 if name == "__aeabi_fdiv" else 0)
        found.append(bound_program(code, graphs, name, (), timing, Memory(0, 4), {}).cycles)

    assert list(BOUNDS[core, multiplier]) == found


def test_the_header_is_empty_elsewhere(tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """Compiled for this machine, code with the header uses this machine's operators."""
    require_tool("gcc")
    gcc = shutil.which("gcc")
    assert gcc is not None
    source, made = tmp_path / "host.c", tmp_path / "host.o"
    source.write_text('#include "apr_soft_float.h"\nint main(void) { return 0; }\n', encoding="ascii")
    for name in FOLDERS.values():
        words = [gcc, *STRICT, f"-I{folder('runtime_c') / name}", "-c", str(source), "-o", str(made)]
        assert 0 == subprocess.run(words, check=False, timeout=60).returncode
