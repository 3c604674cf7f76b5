"""Floats without a floating point unit: cycles and bytes of our routines and of the compiler's library, side by side.

    python benchmarks/soft_float.py [--pairs N] [--quick] [--core NAME ...]

Links every routine of runtime_c/*/apr_soft_float.h, and of the library in their place, and runs each under Unicorn on
normally distributed operands (best, mean, most) and on special and random ones of all kinds (worst), costed with the
timing table of the core. Then bounds a few recorded models built with either, and prints the flash that they take and
the most cycles that a traced run took. --quick takes 50 pairs and one model; it shows that the benchmark works.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from here import finish

from aprgen.core import Options, compile_model
from aprgen.loaded import load_model
from aprgen.resources import folder
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain
from aprgen.wcet.analyse import Question, analyse
from aprgen.wcet.code import Code, read_code
from aprgen.wcet.instruction import Instruction
from aprgen.wcet.timing import Timing, instruction_cycles, load_timing, transfers
from aprgen.wcet.trace import Executed, executed_code

CORES = ("cortex-m0plus", "cortex-m3")
OPERATIONS = {
    "__aeabi_fadd": "a + b", "__aeabi_fsub": "a - b", "__aeabi_fmul": "a * b", "__aeabi_fdiv": "a / b",
    "__aeabi_fcmplt": "a < b", "__aeabi_fcmple": "a <= b", "__aeabi_fcmpeq": "a == b",
}  # fmt: skip
MODELS = (
    "linreg", "kmeans", "pca", "standard_scaler", "minmax_scaler", "linear_svm", "logreg_iris01", "gaussian_nb", "gmm",
    "knn_euclidean", "v2_mlp_f32",
)  # fmt: skip
FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "data" / "apr"
SPECIAL = (
    0, 1, 2, 3, 0x7FFFFF, 0x800000, 0x800001, 0x34000000, 0x3F800000, 0x3F800001, 0x40000000, 0x7F000000, 0x7F7FFFFF,
    0x7F800000, 0x7FC00000,
)  # fmt: skip
PAIRS = 2000
QUICK_PAIRS = 50
_STOP = 0x0F00_0000  # where calls return to
_STACK = 0x2000_0000


@dataclass(frozen=True)
class Cycles:
    best: int
    mean: float
    most: int
    worst: int  # of all operands tried
    code_bytes: int


class Machine:
    """Runs a routine of two words and says what it cost."""

    def __init__(self, code: Code, timing: Timing) -> None:
        unicorn = importlib.import_module("unicorn")
        self.arm = importlib.import_module("unicorn.arm_const")
        self.executed: Executed = executed_code(code)
        self.timing = timing
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self.uc.ctl_set_cpu_model(self.arm.UC_CPU_ARM_CORTEX_M3)
        self.uc.mem_map(0, 0x40_0000)
        self.uc.mem_map(_STACK, 0x1000)
        self.uc.mem_map(_STOP, 0x1000)
        for memory in code.memory:
            self.uc.mem_write(memory.address, memory.data)
        self.blocks: list[tuple[int, int]] = []
        self.uc.hook_add(unicorn.UC_HOOK_BLOCK, lambda _, address, size, data: self.blocks.append((address, size)))

    def cycles(self, address: int, a: int, b: int) -> int:
        self.blocks.clear()
        values = ((self.arm.UC_ARM_REG_R0, a), (self.arm.UC_ARM_REG_R1, b), (self.arm.UC_ARM_REG_LR, _STOP | 1))
        for register, value in (*values, (self.arm.UC_ARM_REG_SP, _STACK + 0x1000)):
            self.uc.reg_write(register, value)
        self.uc.emu_start(address | 1, _STOP, count=100_000)
        run = [one for start, size in self.blocks for one in self.executed.walk(start, start + size - 1)]
        total, previous = 0, None
        for instruction, following in itertools.zip_longest(run, run[1:]):
            taken = following is None or following.address != instruction.end
            total += instruction_cycles(self.timing, instruction, previous, taken).worst
            previous = self._before(instruction, taken)
        return total

    @staticmethod
    def _before(instruction: Instruction, taken: bool) -> Instruction | None:
        return None if transfers(instruction, taken) else instruction


def linked(core: str, ours: bool, work: Path) -> Code:
    """A program that holds all routines."""
    target = load_target(core)
    toolchain = find_toolchain(target, "system")
    lines = [f'#include "{target.float_header}"'] if ours else []
    lines.append("void start(void);\nvoid start(void) {}")
    source, program = work / "routines.c", work / f"routines-{ours}.elf"
    source.write_text("\n".join(lines) + "\n", encoding="ascii")
    include = [f"-I{folder('runtime_c') / name}" for name in target.runtime]
    keep = [f"-Wl,-u,{name}" for name in OPERATIONS]
    form = ["-nostdlib", "-Wl,--gc-sections", "-Wl,-Ttext=0x8000", "-Wl,-e,start"]
    command = [*toolchain.compiler, *toolchain.rule.cflags, *include, *form, *keep, str(source), "-o", str(program)]
    subprocess.run([*command, "-lgcc"], check=True)
    return read_code(program)


def operands(pairs: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Normally distributed, and all kinds."""
    generator = np.random.default_rng(2026)
    normal = generator.normal(size=(pairs, 2)).astype(np.float32).view(np.uint32).tolist()
    words = [word | sign for word in SPECIAL for sign in (0, 0x8000_0000)]
    mixed = list(itertools.product(words, words)) if pairs > QUICK_PAIRS else []
    random = generator.integers(0, 2**32, (pairs, 2))
    small = random.copy()
    small[:, 0] &= 0x807F_FFFF  # subnormal
    near = random.copy()  # sums that cancel
    near[:, 1] = random[:, 0] ^ 0x8000_0000 ^ (random[:, 1] >> generator.integers(8, 32, pairs))
    for one in (random, small, small[:, ::-1], near):
        mixed += [(int(a), int(b)) for a, b in one]
    return [(a, b) for a, b in normal], mixed


def measured(core: str, ours: bool, pairs: int, work: Path) -> dict[str, Cycles]:
    code = linked(core, ours, work)
    machine = Machine(code, load_timing(core))
    normal, mixed = operands(pairs)
    found = {}
    for name in OPERATIONS:
        function = code.function(name)
        usual = [machine.cycles(function.address, a, b) for a, b in normal]
        worst = max([*usual, *(machine.cycles(function.address, a, b) for a, b in mixed)])
        found[name] = Cycles(min(usual), float(np.mean(usual)), max(usual), worst, len(function.code))
    return found


def print_routines(core: str, pairs: int, work: Path) -> None:
    ours, library = measured(core, True, pairs, work), measured(core, False, pairs, work)
    print(f"\n{core}: cycles, multiplier as in the table's worst case\n")
    print(f"{'':8}{'ours: best':>11}{'mean':>8}{'most':>6}{'worst':>7}{'bytes':>7}{'library: best':>16}{'mean':>8}"
          f"{'most':>6}{'worst':>7}{'bytes':>7}")  # fmt: skip
    for name, sign in OPERATIONS.items():
        one, other = ours[name], library[name]
        print(
            f"{sign:8}{one.best:11}{one.mean:8.1f}{one.most:6}{one.worst:7}{one.code_bytes:7}"
            f"{other.best:16}{other.mean:8.1f}{other.most:6}{other.worst:7}{other.code_bytes:7}"
        )


def print_models(core: str, names: Sequence[str]) -> None:
    print(f"\n{core}: NAME_scores\n")
    print(f"{'model':18}{'ours: bound':>12}{'seen':>9}{'ratio':>7}{'flash':>7}{'library: bound':>16}{'seen':>9}"
          f"{'ratio':>7}{'flash':>7}")  # fmt: skip
    for name in names:
        loaded = load_model(next(FIXTURES.glob(f"*/{name}.apr")).read_bytes())
        columns = ""
        for target in (load_target(core), replace(load_target(core), float_header="")):
            artifact = compile_model(loaded, target, Options(name))
            report = analyse(loaded, artifact, Question(rows=100, tools="system", model_file=f"{name}.apr")).report
            entry = next(one for one in report.entries if one.function == f"{name}_scores")
            assert entry.observed is not None, name
            assert entry.cycles is not None, name
            ratio, seen = entry.observed.ratio, entry.observed.high_maximum
            width = 16 if columns else 12
            columns += f"{entry.cycles:{width}}{seen:9}{ratio:7.3f}{report.memory.flash_bytes:7}"
        print(f"{name:18}{columns}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pairs", type=int, default=None, help=f"of operands of each kind, {PAIRS:,} when not given")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_PAIRS} pairs, one model")
    parser.add_argument("--core", action="append", choices=CORES, help="only this core; may be repeated")
    options = parser.parse_args(arguments)
    pairs = options.pairs or (QUICK_PAIRS if options.quick else PAIRS)
    for core in options.core or CORES:
        with tempfile.TemporaryDirectory(prefix="soft-float-") as name:
            print_routines(core, pairs, Path(name))
        print_models(core, MODELS[:1] if options.quick else MODELS)
    return 0


if __name__ == "__main__":
    sys.exit(finish(main))
