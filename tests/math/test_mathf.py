"""The C of runtime_c and its numpy twin give the same bits, and both are as accurate as the headers say."""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aprgen import mathf
from aprgen.resources import folder
from tests.conftest import give_up

RUNTIME = folder("runtime_c")
STRICT = (
    *("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes"),
    *("-Wdouble-promotion", "-Werror", "-ffp-contract=off"),
)
TWINS: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "expf": mathf.expf,
    "exp2f": mathf.exp2f,
    "logf": mathf.logf,
    "tanhf": mathf.tanhf,
    "sigmoidf": mathf.sigmoidf,
    "geluf": mathf.geluf,
    "sqrtf": mathf.sqrtf,
}
INTEGER_ONLY = ("expf", "exp2f", "logf", "tanhf")

F32 = NDArray[np.float32]


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        give_up(f"{name} is not installed")
    return path


def run(*command: str | Path) -> str:
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


def floats(*bits: int) -> F32:
    return np.array(bits, np.uint32).view(np.float32)


def structured_floats() -> F32:
    """2^22 floats: for each sign and exponent (zeros, subnormals, infinities and NaN among them) 8192 mantissas, of
    which 2048 lowest, 2048 highest, the rest evenly spread with random low bits."""
    rng = np.random.default_rng(20)
    low = np.arange(2048)
    spread = np.linspace(2048, 0x7FFFFF - 2048 - 2100, 4096).astype(np.int64) + rng.integers(0, 2047, 4096)
    mantissas = np.concatenate([low, 0x7FFFFF - low, spread])
    heads = np.arange(512, dtype=np.int64) << 23
    return (heads[:, None] + mantissas[None, :]).astype(np.uint32).view(np.float32).ravel()


def pairs() -> tuple[F32, F32]:
    """2^20 pairs: any bits with moderate exponents, bases near 1 with huge ones, and all pairs of special values."""
    rng = np.random.default_rng(21)
    n = 1 << 19
    x = rng.integers(0, 1 << 32, 2 * n, dtype=np.uint64).astype(np.uint32).view(np.float32).copy()
    y = (rng.normal(size=2 * n) * 12.0).astype(np.float32)
    x[:n] = (1.0 + rng.normal(size=n) * np.exp2(rng.uniform(-24, -1, n))).astype(np.float32)
    y[:n] = (rng.normal(size=n) * np.exp2(rng.uniform(0, 30, n))).astype(np.float32)
    special = SPECIAL
    x[: special.size**2] = np.repeat(special, special.size)
    y[: special.size**2] = np.tile(special, special.size)
    return x, y


SPECIAL = np.concatenate(
    [
        np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 149.0, 150.0, 8388607.5, 16777215.0, 16777216.0, np.inf], np.float32),
        floats(1, 0x7FFFFF, 0x800000, 0x3F7FFFFF, 0x3F800001, 0x7F7FFFFF, 0x7FC00000),
        -np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 149.0, 150.0, 8388607.5, 16777215.0, 16777216.0, np.inf], np.float32),
        floats(0x80000001, 0x80800000, 0xBF7FFFFF, 0xBF800001, 0xFF7FFFFF),
    ]
)


def assert_same_bits(expected: F32, actual: F32, x: F32) -> None:
    """Any NaN equals any NaN; the message shows the first inputs that differ."""
    differ = (expected.view(np.uint32) != actual.view(np.uint32)) & ~(np.isnan(expected) & np.isnan(actual))
    assert [hex(b) for b in x.view(np.uint32)[differ][:5]] == []


LIBRARY = """
#include "apr_log64.h"
#include "apr_math.h"
#include "apr_sqrt.h"
#include <stddef.h>
#define EACH(name) \\
    void each_##name(const float *x, float *y, size_t n); \\
    void each_##name(const float *x, float *y, size_t n) \\
    { \\
        for (size_t i = 0U; i < n; ++i) { y[i] = apr_##name(x[i]); } \\
    }
EACH(expf) EACH(exp2f) EACH(logf) EACH(tanhf) EACH(sigmoidf) EACH(geluf) EACH(sqrtf)
void each_powf(const float *x, const float *y, float *z, size_t n);
void each_powf(const float *x, const float *y, float *z, size_t n)
{
    for (size_t i = 0U; i < n; ++i) { z[i] = apr_powf(x[i], y[i]); }
}
void each_log(const uint32_t *n, double *y, size_t count);
void each_log(const uint32_t *n, double *y, size_t count)
{
    for (size_t i = 0U; i < count; ++i) { y[i] = apr_log_f64(n[i]); }
}
"""


def build(cc: str, into: Path, *options: str) -> ctypes.CDLL:
    source = into / "each.c"
    source.write_text(LIBRARY, encoding="ascii")
    library = into / "each.so"
    run(tool(cc), *STRICT, "-O2", *options, "-shared", "-fPIC", "-I", RUNTIME, source, "-o", library)
    return ctypes.CDLL(str(library))


@pytest.fixture(scope="module", params=["gcc", "clang-14"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return build(request.param, tmp_path_factory.mktemp("each"))


@pytest.fixture(scope="module")
def twins() -> dict[str, F32]:
    x = structured_floats()
    return {"": x} | {name: twin(x) for name, twin in TWINS.items()}


def apply(library: ctypes.CDLL, name: str, *inputs: F32) -> F32:
    out = np.empty_like(inputs[0])
    arrays = [a.ctypes.data_as(ctypes.c_void_p) for a in (*inputs, out)]
    getattr(library, f"each_{name}")(*arrays, ctypes.c_size_t(out.size))
    return out


@pytest.mark.parametrize("name", TWINS)
def test_c_equals_twin(name: str, library: ctypes.CDLL, twins: dict[str, F32]) -> None:
    """C and numpy agree bit for bit on 2^22 floats of every exponent."""
    x = twins[""]
    assert x.size == 1 << 22
    assert_same_bits(twins[name], apply(library, name, x), x)


def test_power_equals_twin(library: ctypes.CDLL) -> None:
    """C and numpy powf agree bit for bit on 2^20 pairs, special values among them."""
    x, y = pairs()
    assert_same_bits(mathf.powf(x, y), apply(library, "powf", x, y), x)


def test_log_of_counts_equals_twin(library: ctypes.CDLL) -> None:
    """C and Python log_f64 agree bit for bit on small counts and on random ones up to 2^32 - 1."""
    random = np.random.default_rng(22).integers(0, 1 << 32, 20_000, dtype=np.uint64)
    n = np.concatenate([np.arange(20_000, dtype=np.uint64), random, [2**32 - 1]]).astype(np.uint32)
    out = np.empty(n.size, np.float64)
    library.each_log(n.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(n.size))
    assert mathf.log_f64(n).tolist() == out.tolist()


def test_portable_leading_zeros(tmp_path: Path, twins: dict[str, F32]) -> None:
    """Where the compiler is unknown and leading zeros are counted by halving, the logarithm is the same."""
    library = build("gcc", tmp_path, "-U__GNUC__")
    assert_same_bits(twins["logf"], apply(library, "logf", twins[""]), twins[""])


INF = np.inf
NAN = np.nan
TINY = float(floats(1)[0])


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("expf", 0.0, 1.0), ("expf", -0.0, 1.0), ("expf", INF, INF), ("expf", -INF, 0.0), ("expf", NAN, NAN),
        ("expf", 88.72284, INF), ("expf", -104.0, 0.0), ("expf", -103.5, TINY), ("expf", TINY, 1.0),
        ("exp2f", 128.0, INF), ("exp2f", -149.0, TINY), ("exp2f", -150.0, 0.0), ("exp2f", 10.0, 1024.0),
        ("exp2f", -126.0, 2.0**-126), ("exp2f", -127.0, 2.0**-127),
        ("logf", 1.0, 0.0), ("logf", 0.0, -INF), ("logf", -0.0, -INF), ("logf", -1.0, NAN), ("logf", INF, INF),
        ("logf", -INF, NAN), ("logf", NAN, NAN), ("logf", TINY, -103.27893),
        ("tanhf", 0.0, 0.0), ("tanhf", -0.0, -0.0), ("tanhf", INF, 1.0), ("tanhf", -INF, -1.0), ("tanhf", NAN, NAN),
        ("tanhf", TINY, TINY), ("tanhf", -20.0, -1.0),
        ("sigmoidf", 0.0, 0.5), ("sigmoidf", INF, 1.0), ("sigmoidf", -INF, 0.0), ("sigmoidf", NAN, NAN),
        ("geluf", 0.0, 0.0), ("geluf", -0.0, -0.0), ("geluf", INF, INF), ("geluf", -10.0, -0.0), ("geluf", 10.0, 10.0),
        ("sqrtf", 4.0, 2.0), ("sqrtf", -0.0, -0.0), ("sqrtf", -1.0, NAN), ("sqrtf", INF, INF), ("sqrtf", NAN, NAN),
        ("sqrtf", TINY, 2.0**-75 * 1.4142135),
    ],
)  # fmt: skip
def test_special_values(name: str, x: float, expected: float) -> None:
    """Zeros keep their sign where the function does; infinities, NaN and the ends of the range come out as in C."""
    actual = TWINS[name](np.array([x], np.float32))
    wanted = np.array([expected], np.float32)
    assert (str(wanted[0]), bool(np.signbit(wanted[0]))) == (str(actual[0]), bool(np.signbit(actual[0]))) or (
        np.isnan(wanted[0]) and np.isnan(actual[0])
    )


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (NAN, 0.0, 1.0), (1.0, NAN, 1.0), (NAN, 1.0, NAN), (2.0, NAN, NAN), (-1.0, INF, 1.0), (-1.0, -INF, 1.0),
        (0.0, -1.0, INF), (-0.0, -1.0, -INF), (-0.0, -2.0, INF), (-0.0, 3.0, -0.0), (-0.0, 0.5, 0.0), (0.0, 0.5, 0.0),
        (0.5, INF, 0.0), (0.5, -INF, INF), (-2.0, INF, INF), (2.0, -INF, 0.0), (INF, -0.5, 0.0), (INF, 0.5, INF),
        (-INF, 3.0, -INF), (-INF, 2.0, INF), (-INF, -3.0, -0.0), (-8.0, 3.0, -512.0), (-2.0, 0.5, NAN),
        (-1.0, 16777216.0, 1.0), (-1.0, 16777215.0, -1.0), (2.0, -150.0, 0.0), (2.0, 128.0, INF),
        (TINY, 0.5, 2.0**-74.5), (-2.0, -149.0, -TINY),
    ],
)  # fmt: skip
def test_special_powers(x: float, y: float, expected: float) -> None:
    """powf follows annex F of C99 for zeros, infinities, NaN and negative bases."""
    actual = mathf.powf(np.array([x], np.float32), np.array([y], np.float32))
    wanted = np.array([expected], np.float32)
    assert (str(wanted[0]), bool(np.signbit(wanted[0]))) == (str(actual[0]), bool(np.signbit(actual[0]))) or (
        np.isnan(wanted[0]) and np.isnan(actual[0])
    )


def test_twins_keep_shape_and_warn_of_nothing(recwarn: pytest.WarningsRecorder) -> None:
    """Any shape, empty and scalar included, comes back as float32 of that shape, without a warning."""
    for twin in TWINS.values():
        for shape in ((), (0, 3), (2, 3)):
            y = np.asarray(twin(np.full(shape, -3.5, np.float32)))
            assert (y.shape, y.dtype) == (shape, np.dtype(np.float32))
            twin(np.resize(SPECIAL, shape))
    assert mathf.powf(np.float32(2.0), SPECIAL.reshape(1, -1)).shape == (1, SPECIAL.size)
    assert [str(w.message) for w in recwarn] == []


def test_accuracy_program(tmp_path: Path) -> None:
    """On every 4099th float no function exceeds the bound its header states."""
    program = tmp_path / "measure"
    source = RUNTIME / "accuracy" / "measure.c"
    run(tool("gcc"), "-O2", "-std=gnu11", "-ffp-contract=off", "-I", RUNTIME, source, "-lm", "-o", program)
    done = subprocess.run([program, "--step", "4099"], capture_output=True, text=True, check=False)
    rows = {row["function"]: row["held"] for row in json.loads(done.stdout)}
    assert rows == dict.fromkeys([*(f"apr_{name}" for name in TWINS), "apr_powf", "apr_log_f64"], True)
    assert done.returncode == 0


@pytest.mark.parametrize("cc", ["gcc", "clang-14"])
@pytest.mark.parametrize("header", ["apr_math.h", "apr_log64.h", "apr_sqrt.h"])
def test_headers_are_clean(cc: str, header: str, tmp_path: Path) -> None:
    """Each header compiles alone, as freestanding C99, without a warning."""
    source = tmp_path / "alone.c"
    source.write_text(f'#include "{header}"\n#include "{header}"\ntypedef int not_empty;\n', encoding="ascii")
    run(tool(cc), *STRICT, "-ffreestanding", "-O2", "-I", RUNTIME, "-c", source, "-o", tmp_path / "alone.o")


def undefined_symbols(tmp_path: Path, cpu: tuple[str, ...], names: tuple[str, ...]) -> set[str]:
    lines = ['#include "apr_math.h"', '#include "apr_sqrt.h"']
    lines += [f"float use_{n}(float x); float use_{n}(float x) {{ return apr_{n}(x); }}" for n in names]
    lines += ["float use_powf(float x, float y); float use_powf(float x, float y) { return apr_powf(x, y); }"]
    source = tmp_path / "use.c"
    source.write_text("\n".join(lines) + "\n", encoding="ascii")
    obj = tmp_path / "use.o"
    gcc = tool("arm-none-eabi-gcc")
    run(gcc, *cpu, "-mthumb", *STRICT, "-ffreestanding", "-O2", "-I", RUNTIME, "-c", source, "-o", obj)
    listing = run(tool("arm-none-eabi-nm"), "-u", obj)
    return {line.split()[-1] for line in listing.splitlines()}


@pytest.mark.parametrize("cpu", ["cortex-m0plus", "cortex-m3"])
def test_soft_float_cores_need_no_double(cpu: str, tmp_path: Path) -> None:
    """Without an FPU neither double arithmetic nor the C library is called."""
    symbols = undefined_symbols(tmp_path, (f"-mcpu={cpu}", "-mfloat-abi=soft"), tuple(TWINS))
    allowed = re.compile(r"__aeabi_(fadd|fsub|frsub|fmul|fdiv|lmul|llsl|llsr|lasr)|__clzsi2")
    assert sorted(s for s in symbols if not allowed.fullmatch(s)) == []


def test_core_functions_are_integer(tmp_path: Path) -> None:
    """exp, exp2, log, tanh, pow and the portable sqrt call no float helper at all on a core without an FPU."""
    names = (*INTEGER_ONLY, "sqrtf")
    symbols = undefined_symbols(tmp_path, ("-mcpu=cortex-m0plus", "-mfloat-abi=soft"), names)
    assert sorted(symbols - {"__aeabi_lmul", "__aeabi_llsl", "__aeabi_llsr", "__aeabi_lasr", "__clzsi2"}) == []


DIGEST = """
#include "apr_math.h"
#include "apr_sqrt.h"
static uint32_t bits_of(float y) { return (y != y) ? 0x7FC00000U : apr_bits(y); }
static int differs(void)
{
    uint32_t digest = 0U;
    uint32_t weight = 1U;
    for (uint32_t i = 0U; i < COUNT; ++i) {
        const float x = apr_from_bits(i * STEP);
        const float y[] = {
            apr_expf(x), apr_exp2f(x), apr_logf(x), apr_tanhf(x), apr_sigmoidf(x), apr_geluf(x), apr_sqrtf(x),
            apr_powf(x, 0.4F),
        };
        for (uint32_t k = 0U; k < 8U; ++k) {
            digest += bits_of(y[k]) * weight;
            weight += 2U;
        }
    }
    return digest != EXPECTED;
}
"""
COUNT = 10_007
STEP = 429_197  # COUNT steps go once through the 2^32 floats
HOSTED = "int main(void) { return differs(); }\n"
BARE_ARM = """
void _start(void);
void _start(void)
{
    register int status __asm__("r0") = differs();
    register int exit_call __asm__("r7") = 1;
    __asm__ volatile("svc 0" : : "r"(status), "r"(exit_call));
    for (;;) { }
}
"""
WASM = '__attribute__((export_name("check"))) int check(void);\nint check(void) { return differs(); }\n'


@pytest.fixture(scope="module")
def expected_digest() -> int:
    """The sum over the results of all functions, in the order of DIGEST, each times the next odd number."""
    x = (np.arange(COUNT, dtype=np.uint64) * STEP).astype(np.uint32).view(np.float32)
    rows = np.stack([*(twin(x) for twin in TWINS.values()), mathf.powf(x, np.float32(0.4))], axis=1)
    bits = np.where(np.isnan(rows), np.uint32(0x7FC00000), rows.view(np.uint32)).ravel().astype(np.uint64)
    weights = np.arange(bits.size, dtype=np.uint64) * 2 + 1
    return int(np.bitwise_and(bits * weights, 0xFFFFFFFF).sum()) & 0xFFFFFFFF


LINK_LAST = {"arm-none-eabi-gcc": ("-nostdlib", "-lgcc")}


def build_digest(cc: str, options: str, folder_name: str, start: str, digest: int, tmp_path: Path) -> Path:
    source = tmp_path / "digest.c"
    facts = f"#define COUNT {COUNT}U\n#define STEP {STEP}U\n#define EXPECTED {digest}U\n"
    source.write_text(facts + DIGEST + start, encoding="ascii")
    program = tmp_path / "digest"
    search = ("-I", RUNTIME / folder_name, "-I", RUNTIME)
    run(tool(cc), *options.split(), *STRICT, "-O2", *search, source, "-o", program, *LINK_LAST.get(cc, ()))
    return program


def cpu_flags() -> str:
    info = Path("/proc/cpuinfo")
    return info.read_text(encoding="utf-8") if info.exists() else ""


SOFT = "-mthumb -mfloat-abi=soft -ffreestanding"


@pytest.mark.parametrize(
    ("cc", "options", "folder_name", "start", "emulator"),
    [
        pytest.param("gcc", "", ".", HOSTED, None, id="host, portable sqrt"),
        pytest.param("gcc", "-march=x86-64-v3", "sse2", HOSTED, None, id="x86 with FMA"),
        pytest.param("clang-14", "-march=x86-64-v3", "sse2", HOSTED, None, id="x86 with FMA, clang"),
        pytest.param("aarch64-linux-gnu-gcc", "-static", "aarch64", HOSTED, "qemu-aarch64", id="aarch64"),
        pytest.param(
            *("arm-none-eabi-gcc", "-mcpu=cortex-a7 -mthumb -mfloat-abi=hard -mfpu=vfpv4-d16 -ffreestanding", "armvfp"),
            *(BARE_ARM, "qemu-arm"),
            id="vfp",
        ),
        pytest.param("arm-none-eabi-gcc", f"-mcpu=cortex-m0plus {SOFT}", ".", BARE_ARM, "qemu-arm", id="m0plus"),
        pytest.param("arm-none-eabi-gcc", f"-mcpu=cortex-m3 {SOFT}", ".", BARE_ARM, "qemu-arm", id="m3"),
    ],
)
def test_same_bits_everywhere(
    cc: str, options: str, folder_name: str, start: str, emulator: str | None, expected_digest: int, tmp_path: Path
) -> None:
    """All functions, with the square root of the target, give the bits of the twins on 10,007 floats."""
    if folder_name == "sse2" and " fma " not in cpu_flags():
        pytest.skip("the host is no x86-64 with AVX2 and FMA")
    program = build_digest(cc, options, folder_name, start, expected_digest, tmp_path)
    command = [str(program)] if emulator is None else [tool(emulator), str(program)]
    assert subprocess.run(command, check=False).returncode == 0


def test_same_bits_in_wasm(expected_digest: int, tmp_path: Path) -> None:
    """All functions give the bits of the twins as WebAssembly, under wasmtime."""
    wasmtime = pytest.importorskip("wasmtime")
    options = "--target=wasm32 -ffreestanding -c"
    obj = build_digest("clang-14", options, "wasm", WASM, expected_digest, tmp_path)
    run(tool("wasm-ld-14"), "--no-entry", obj, "-o", tmp_path / "digest.wasm")
    store = wasmtime.Store()
    module = wasmtime.Module.from_file(store.engine, str(tmp_path / "digest.wasm"))
    assert wasmtime.Instance(store, module, []).exports(store)["check"](store) == 0
