"""The package x86: every kind of kernels gives the Program's bits, and the CPU and its system decide which one runs."""

from __future__ import annotations

import ctypes
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aprgen.accuracy import Calibration
from aprgen.api import Model
from aprgen.core import Artifact, Options, compile_model, runtime_headers
from aprgen.emit import Names
from aprgen.errors import UnsupportedError, UsageError
from aprgen.measured import model_facts
from aprgen.passes.strategy import choose_strategies
from aprgen.program import Program
from aprgen.resources import folder
from aprgen.rows import random_rows
from aprgen.runners.native import _cpu_flags as cpu_flags
from aprgen.runners.records import AWKWARD
from aprgen.target import load_target
from aprgen.variants import Package, emit_package
from aprgen.verify import same_bits
from aprgen.wcet.analyse import Question, analyse
from tests.differential.compiled import OPTIONS, Compiled, compile_c, write_texts
from tests.examples import artifact, loaded
from tests.passes.test_wide_trees import CASES, program_of, rows_of, wide

X86 = load_target("x86")
ALL = tuple(variant.name.replace("_", "-") for variant in X86.variants)
NEEDS = {variant.name.replace("_", "-"): set(variant.needs) for variant in X86.variants}
FORCED = '-DAPR_CPU_LEAVES="leaves.h"'

# What the CPU says stands in an array, from EAX on: of leaves 0, 1, 7 and 7.1, and behind them XCR0.
LEAVES = """
extern unsigned apr_test_cpu[17];
static inline apr_cpu_words apr_cpu_leaf(uint32_t leaf, uint32_t subleaf)
{
    const unsigned *const at = &apr_test_cpu[4U * ((leaf == 7U) ? (2U + subleaf) : leaf)];
    const apr_cpu_words words = {at[0], at[1], at[2], at[3]};
    return words;
}
static inline uint32_t apr_cpu_xcr0(void)
{
    return apr_test_cpu[16];
}
"""
FORGET = """
#include "NAME.c"
unsigned apr_test_cpu[17];
void apr_test_forget(void);
void apr_test_forget(void)
{
    NAME_known = 0U;
}
"""
EAX, EBX, ECX = 0, 1, 2
# Intel SDM, volume 2A, CPUID: the place of each flag (a leaf of the array, a register, a bit), by its name on Linux.
PLACES = {
    "popcnt": (1, ECX, 23), "fma": (1, ECX, 12), "avx2": (2, EBX, 5), "avx512f": (2, EBX, 16), "avx512dq": (2, EBX, 17),
    "avx512bw": (2, EBX, 30), "avx512vl": (2, EBX, 31), "avx512vbmi": (2, ECX, 1), "avx512_vnni": (2, ECX, 11),
    "avx_vnni": (3, EAX, 4), "avx512_bf16": (3, EAX, 5),
}  # fmt: skip
OSXSAVE, AVX = (1, ECX, 27), (1, ECX, 28)
XMM_YMM, MASKS_ZMM = 0x6, 0xE0


def cpu(flags: set[str], *, osxsave: bool = True, xcr0: int = 1 | XMM_YMM | MASKS_ZMM, leaves: int = 7) -> list[int]:
    """The array of a CPU with these flags."""
    words = [0] * 17
    words[0], words[8], words[16] = leaves, 1, xcr0
    bits = [PLACES[flag] for flag in flags] + [AVX] + ([OSXSAVE] if osxsave else [])
    for leaf, register, bit in bits:
        words[4 * leaf + register] |= 1 << bit
    return words


def package_of(program: Program, programs: list[Program]) -> Package:
    """Of a Program that no model has, as `m`."""
    return emit_package(Names("m", "s", "o", "c", "", "x86", "", "none", "f32", "", "0"), X86, programs)


class Forced:
    """A library whose idea of the CPU can be changed."""

    def __init__(self, name: str, texts: dict[str, str], program: Program, work: Path, compiler: str) -> None:
        write_texts(texts, work)
        (work / "leaves.h").write_text(LEAVES)
        (work / "forget.c").write_text(FORGET.replace("NAME", name))
        compile_c(compiler, (*OPTIONS, FORCED, "-shared", "-fPIC", "forget.c", "-o", "forced.so"), work)
        self.library = ctypes.CDLL(str(work / "forced.so"))
        self.compiled = Compiled(name, program, self.library)
        self.kernels = getattr(self.library, f"{name}_kernels")
        self.kernels.restype = ctypes.c_char_p

    def on(self, words: list[int]) -> str:
        """The kernels on that CPU, which the functions use from now on."""
        (ctypes.c_uint * 17).in_dll(self.library, "apr_test_cpu")[:] = words  # type: ignore[assignment]
        self.library.apr_test_forget()
        picked: bytes = self.kernels()
        return picked.decode()


def carried(made: Artifact) -> list[str]:
    kernels = made.manifest["kernels"]
    assert isinstance(kernels, list)
    return [one["name"].replace("_", "-") for one in kernels]


def agree(forced: Forced, program: Program, rows: np.ndarray, names: list[str]) -> int:
    """All kernels that this CPU has, by all functions, for any number of rows; how many those are."""
    expected, labels = program.run(rows), program.classify(rows)
    here = [name for name in names if NEEDS[name] <= cpu_flags()]
    for name in here:
        assert forced.on(cpu(NEEDS[name])) == name
        at = 0
        for n in AWKWARD:
            scores, found = forced.compiled.batch(np.ascontiguousarray(rows[at : at + n]))
            assert same_bits(scores, expected[at : at + n]).all()
            assert labels is None or found is None or found.tolist() == labels[at : at + n].tolist()
            at += n
        scores, found = forced.compiled.one_by_one(rows[:40])
        assert same_bits(scores, expected[:40]).all()
        assert labels is None or found is None or found.tolist() == labels[:40].tolist()
    return len(here)


@pytest.mark.parametrize(
    ("name", "compiler"),
    [("rfc_digits", "gcc"), ("kmeans", "clang-14"), ("knn_euclidean", "gcc")],
)
def test_models(name: str, compiler: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Each kind of kernels, forced one by one in one library, gives the bits of the Program."""
    require_target("x86")
    made, program = artifact(name, "x86"), loaded(name).model.lower()
    forced = Forced(name, dict(made.texts), program, tmp_path, compiler)
    rows = rows_of(program, sum(AWKWARD), 3)

    assert carried(made)[:2] == ["sse2", "avx2"]
    assert agree(forced, program, rows, carried(made)) >= 1


@pytest.mark.parametrize(("case", "compiler"), [(CASES[10], "clang-14"), (CASES[15], "gcc")], ids=["votes", "sum"])
def test_deep_forests(
    case: object, compiler: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:  # fmt: skip
    """Walked trees, trees on floats, permuted ones and those in stages stand in one file."""
    require_target("x86")
    program = program_of(case)  # type: ignore[arg-type]
    plain = choose_strategies(program, X86.cost)
    programs = [wide(program, one.target) if one.target else plain for one in X86.variants]
    package = package_of(program, programs)
    names = [one.variant.name.replace("_", "-") for one in package.carried]
    texts = dict(package.texts) | runtime_headers("".join(package.texts.values()), X86, given=package.texts)
    forced = Forced("m", texts, program, tmp_path, compiler)

    assert names == list(ALL)[: len(names)]
    assert len(names) >= 3
    assert agree(forced, program, rows_of(program, sum(AWKWARD), 4), names) >= 1


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Forced:
    """Of a model with all four kinds."""
    made = artifact("rfc_digits", "x86")
    assert carried(made) == list(ALL)
    work = tmp_path_factory.mktemp("asked")
    return Forced("rfc_digits", dict(made.texts), loaded("rfc_digits").model.lower(), work, "gcc")


def test_what_is_picked(asked: Forced) -> None:
    """The last kind whose flags are all there and whose registers the system keeps."""
    every = set(PLACES)

    assert [asked.on(cpu(NEEDS[name])) for name in ALL] == list(ALL)
    assert asked.on(cpu(every)) == "avx512-vnni"
    assert asked.on(cpu(every, osxsave=False)) == "sse2"
    assert asked.on(cpu(every, xcr0=1)) == "sse2"
    assert asked.on(cpu(every, xcr0=3)) == "sse2"  # no YMM
    assert asked.on(cpu(every, xcr0=1 | 4 | MASKS_ZMM)) == "sse2"  # no XMM
    assert asked.on(cpu(every, xcr0=7)) == "avx2"
    for bit in (5, 6, 7):
        assert asked.on(cpu(every, xcr0=0xE7 & ~(1 << bit))) == "avx2"
    assert asked.on(cpu(every, leaves=6)) == "sse2"
    assert asked.on([0] * 17) == "sse2"
    without_avx = cpu(every)
    without_avx[4 + ECX] &= ~(1 << AVX[2])
    assert asked.on(without_avx) == "sse2"


@pytest.mark.parametrize("flag", sorted(set.union(*NEEDS.values())))
def test_each_flag_counts(asked: Forced, flag: str) -> None:
    """Without a flag the best kind that does not need it is picked."""
    possible = [name for name in ALL if flag not in NEEDS[name]]

    assert asked.on(cpu(set(PLACES) - {flag})) == possible[-1]


def test_every_flag_has_its_place(tmp_path: Path) -> None:
    """apr_cpu.h finds each flag at its leaf, register and bit, also those that no kernels need yet."""
    (tmp_path / "leaves.h").write_text(LEAVES)
    header = folder("runtime_c") / "sse2" / "apr_cpu.h"
    (tmp_path / "apr_cpu.h").write_text(header.read_text())
    bits = {word.lower(): int(value, 16) for word, value in re.findall(r"APR_CPU_(\w+) (0x\w+)U", header.read_text())}
    (tmp_path / "all.c").write_text(
        '#include "apr_cpu.h"\nunsigned apr_test_cpu[17];\nuint32_t all(void);\n'
        "uint32_t all(void)\n{\n    return apr_cpu_features();\n}\n"
    )
    compile_c("gcc", (*OPTIONS, FORCED, "-shared", "-fPIC", "all.c", "-o", "all.so"), tmp_path)
    library = ctypes.CDLL(str(tmp_path / "all.so"))
    words = (ctypes.c_uint * 17).in_dll(library, "apr_test_cpu")

    assert bits.keys() == PLACES.keys()
    assert len(set(bits.values())) == len(bits)
    for flag in PLACES:
        words[:] = cpu({flag})  # type: ignore[assignment]
        assert library.all() == bits[flag]


def test_the_pick_is_what_linux_says(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """On this CPU, with every compiler that there is, and no flag for an instruction set."""
    require_target("x86")
    made = artifact("linreg", "x86")
    write_texts(made.texts, tmp_path)
    here = [name for name in carried(made) if NEEDS[name] <= cpu_flags()]
    for compiler, most, wanted in (
        ("gcc", len(ALL), here[-1]), ("clang-14", len(ALL), here[-1]), ("gcc", 1, "sse2"), ("clang-14", 2, here[:2][-1])
    ):  # fmt: skip
        library = f"{compiler}-{most}.so"
        flags = (*OPTIONS, f"-DAPR_KERNELS_AT_MOST={most}U", "-shared", "-fPIC", "linreg.c", "-o", library)
        compile_c(compiler, flags, tmp_path)
        kernels = ctypes.CDLL(str(tmp_path / library)).linreg_kernels
        kernels.restype = ctypes.c_char_p
        assert kernels().decode() == wanted


def test_zig_is_silent(tmp_path: Path, require_tool: Callable[[str], None]) -> None:
    """A third compiler of the target, whose clang is newer."""
    require_tool("ziglang")
    write_texts(artifact("rfc_digits", "x86").texts, tmp_path)
    rule = next(rule for rule in X86.builds if rule.name == "zig")
    zig = ("-m", "ziglang", *rule.arguments)
    compile_c(sys.executable, (*zig, *rule.cflags, *OPTIONS, "-c", "rfc_digits.c"), tmp_path)


PRINT = """
#include "rfc_digits.h"
#include <stdio.h>
int32_t rfc_digits_selftest(void);
int main(void)
{
    return (printf("%s %d\\n", rfc_digits_kernels(), (int)rfc_digits_selftest()) > 0) ? 0 : 1;
}
"""


def test_emulated_cpus(
    tmp_path: Path, require_target: Callable[[str], None], require_tool: Callable[[str], None]
) -> None:  # fmt: skip
    """QEMU's models of old CPUs run what they have, and answer right."""
    require_target("x86")
    require_tool("qemu-x86_64")
    write_texts(artifact("rfc_digits", "x86").texts, tmp_path)
    (tmp_path / "print.c").write_text(PRINT)
    files = ("-DAPR_SELFTEST_NO_MAIN", "print.c", "rfc_digits.c", "rfc_digits_selftest.c", "-o", "print")
    compile_c("gcc", (*OPTIONS, *files), tmp_path)
    for model, wanted in (("Nehalem", "sse2 0\n"), ("Haswell", "avx2 0\n")):
        command = ["qemu-x86_64", "-cpu", model, str(tmp_path / "print")]
        assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout == wanted


def test_integers_and_self_test(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Functions of codes are picked, too; the self-test of the package calls them."""
    require_target("x86")
    rows = np.random.default_rng(0).normal(size=(50, loaded("dtr").model.n_features)).astype(np.float32)
    options = Options("dtr", "s16", Calibration(rows, "calibrate", "minmax"))
    made = compile_model(loaded("dtr"), X86, options)
    write_texts(made.texts, tmp_path)
    compile_c("gcc", (*OPTIONS, "dtr.c", "dtr_selftest.c", "-o", "selftest"), tmp_path)

    assert "dtr_avx2_scores_q(" in made.texts["dtr.c"]
    subprocess.run([str(tmp_path / "selftest")], check=True, timeout=60)


def test_networks_of_codes(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Products of codes, which AVX-512 and VNNI do by headers that include one of the same name."""
    require_target("x86")
    rows = rows_of(loaded("v2_mlp_f32").model.lower(), sum(AWKWARD), 5)
    options = Options("mlp", "s8", Calibration(random_rows(loaded("v2_mlp_f32").model.lower(), 50).values, "random"))
    made = compile_model(loaded("v2_mlp_f32"), X86, options)
    forced = Forced("mlp", dict(made.texts), made.program, tmp_path, "clang-14")

    assert carried(made) == list(ALL)
    assert agree(forced, made.program, rows, list(ALL)) >= 1


def test_arrays_stand_once() -> None:
    """No two arrays of the package are alike, though each kind of kernels has all that it reads."""
    for name in ("rfc_digits", "v2_mlp_f32", "kmeans"):
        source = artifact(name, "x86").texts[f"{name}.c"]
        arrays = re.findall(r"^static const (\w+) \w+\[\d+\][^=]*= \{\n(.*?)\};", source, re.MULTILINE | re.DOTALL)
        assert len(arrays) > 1
        assert len(set(arrays)) == len(arrays)


def test_facts() -> None:
    """The manifest says of each kind what it needs; the same kernels under two names are there once."""
    digits, means = artifact("rfc_digits", "x86"), artifact("kmeans", "x86")
    kernels = json.loads(digits.texts["manifest.json"])["kernels"]

    assert [set(one["needs"]) for one in kernels] == [NEEDS[name] for name in ALL]
    assert kernels[3]["target"]["name"] == "x86-avx512-vnni"
    assert [(one["name"], one["same"]) for one in json.loads(means.texts["manifest.json"])["kernels"]] == [
        ("sse2", []), ("avx2", []), ("avx512", ["avx512_vnni"]),
    ]  # fmt: skip
    assert model_facts(digits).has_batch
    assert digits.texts["rfc_digits.h"].count("rfc_digits_kernels(void);") == 1


def test_one_kind_alone() -> None:
    """A model without kernels of its own for any CPU is the C of any target, and says so."""
    for name in ("count_vectorizer", "dtc_single_leaf"):
        made = artifact(name, "x86")
        assert carried(made) == ["sse2"]
        assert 'return "sse2";' in made.texts[f"{name}.c"]
        assert "pragma" not in made.texts[f"{name}.c"]
        assert not made.texts.keys() & {"apr_cpu.h"}


def test_in_process(require_target: Callable[[str], None]) -> None:
    """A library in this process, by name; this machine's own target is another."""
    require_target("x86")
    program, rows = loaded("kmeans").model.lower(), rows_of(loaded("kmeans").model.lower(), 300, 1)
    native = Model(loaded("kmeans"), "kmeans").native("x86")

    assert same_bits(native.predict(rows), program.run(rows)).all()


def test_refusals(tmp_path: Path) -> None:
    """Worst-case times need kernels of one kind; files of targets with wrong variants are refused."""
    with pytest.raises(UnsupportedError, match="picks its kernels") as caught:
        analyse(loaded("linreg"), artifact("linreg", "x86"), Question())
    assert "x86-avx2" in caught.value.hint
    with pytest.raises(UnsupportedError, match="differ between CPUs"):
        compile_model(loaded("v2_mlp_f32"), X86, Options("mlp", "f32-fast"))
    text = (folder("targets") / "x86.toml").read_text()
    for old, new, message in (
        ('target = "x86-avx2"', 'target = "x86"', "has variants itself"),
        ('name = "sse2"', 'name = "sse2"\nneeds = ["avx2"]', "what runs everywhere"),
        ('name = "avx2"', 'name = "sse2"', "another name"),
        ('name = "avx2"', 'name = "AVX-2"', "lower case"),
    ):
        path = tmp_path / "own.toml"
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(UsageError) as wrong:
            load_target(str(path))
        assert message in f"{wrong.value.what} {wrong.value.hint}"
    path.write_text(text.replace('needs = ["avx2", "fma", "popcnt"]', 'needs = ["avx10"]', 1))
    with pytest.raises(UsageError, match="avx10"):
        compile_model(loaded("linreg"), load_target(str(path)), Options("linreg"))


def test_digest_follows_the_targets_of_the_variants(tmp_path: Path) -> None:
    """A target whose kernels are carried is part of the package's digest."""
    other = tmp_path / "other.toml"
    digests = []
    for comment in ("", "# a comment\n"):
        other.write_text((folder("targets") / "x86-avx2.toml").read_text() + comment)
        own = (folder("targets") / "x86.toml").read_text().replace('"x86-avx2"', f'"{other}"')
        (tmp_path / "own.toml").write_text(own)
        digests.append(load_target(str(tmp_path / "own.toml")).sha256)

    assert digests[0] != digests[1]
    assert all(len(digest) == 64 for digest in itertools.chain(digests, [X86.sha256]))
