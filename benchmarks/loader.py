"""Flash and stack of the device's loader per core and per option, linked alone; and its speed on this machine.

    python benchmarks/loader.py [--core NAME ...] [--quick]

For each core and each choice of operations and parts it links the loader with a caller of apr_load, apr_view_predict
and apr_view_classify (freestanding, -Os, sections that nothing calls left out) and takes flash and RAM from the ELF
file; routines of the compiler's library that are linked count. Stack is the deepest path of the compiler's call graph,
without routines of its library. Then, on this machine: the checks of a header, CRC-32 by each table and by instructions
against zlib.crc32, opening files, and rows against the C that aprgen writes for the same models. --quick takes one
core, two choices, one table and one file; it shows that the benchmark works.
"""

from __future__ import annotations

import argparse
import ctypes
import platform
import re
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zstandard
from elftools.elf.elffile import ELFFile
from here import finish

from aprgen import compile as compile_model
from aprgen import load
from aprgen.container import Metadata, read_v1, write_v1
from aprgen.container.algorithms import new_key
from aprgen.container.protected import sign_v1
from aprgen.container.suites import STANDARD
from aprgen.device_loader import THIRD_PARTY, loader_texts, plan_loader
from aprgen.loaded import load_model
from aprgen.payload_form import in_form
from aprgen.resources import folder
from aprgen.rows import random_rows
from aprgen.target import load_target

CORES: Mapping[str, tuple[str, ...]] = {
    "cortex-m0plus": ("-mcpu=cortex-m0plus", "-mfloat-abi=soft"),
    "cortex-m4": ("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
    "cortex-m33": ("-mcpu=cortex-m33", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"),
}
GROUPS = ("TREES", "DENSE", "DISTANCES", "GAUSS", "FUNCTIONS", "POWERS", "TEXT")
SOURCES = ("apr_load.c", "apr_view.c", "apr_view_run.c", "apr_view_text.c")
FILES = ("linreg", "rfc_digits", "logreg_bc", "knn_euclidean", "gaussian_nb", "v2_mlp_f32")
FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "data" / "apr"
TABLES = (0, 64, 1024, 4096)  # bytes, of CRC-32
ROWS = 20_000
MIB = 1 << 20
INSTRUCTIONS: Mapping[str, str] = {"x86_64": "x86", "aarch64": "aarch64"}  # folders with CRC-32 by instructions

CALLER = """
#include "apr_parts.h"
#if APR_WITH_ZSTD
#include "apr_zstd.h"
static uint64_t memory[APR_ZSTD_CONTEXT_BYTES / 8U];
#endif

extern const uint8_t file_bytes[];
extern const uint32_t file_size;
static const uint8_t keys[1][32] = {{1}};
static apr_parts parts = {keys, 1U, NULL, 0U};
static uint64_t buffer[8];
float x[16], out[16], workspace[64];
char text[64];
uint32_t lengths[1];
volatile int32_t result;
void _start(void);

void _start(void)
{
    apr_view view;
    apr_file file;
#if APR_WITH_ZSTD
    parts.memory = memory;
    parts.n_memory = sizeof memory;
#endif
#if APR_WITH_ZSTD || APR_WITH_LZ4 || APR_WITH_ED25519
    const apr_services services = apr_parts_services(&parts, APR_WITH_ED25519);
    result = (int32_t)apr_load(&view, &file, file_bytes, file_size, (uint8_t *)buffer, sizeof buffer, &services);
#else
    result = (int32_t)apr_load(&view, &file, file_bytes, file_size, NULL, 0U, NULL);
#endif
#if CALLS_VIEW
    result = (int32_t)apr_view_predict(&view, x, 16U, out, 16U, workspace, 64U);
    result = apr_view_classify(&view, x, workspace);
#endif
#if CALLS_VIEW && APR_VIEW_TEXT
    result = (int32_t)apr_view_predict_text(&view, (const char *)file_bytes, 16U, out, 16U, workspace, 64U);
    result = (int32_t)apr_view_suggest(&view, (const char *)file_bytes, 16U, 1U, text, 64U, lengths, out);
#endif
    for (;;) {
    }
}
"""
# The framing alone: apr_file_open, for firmware that only wants to know whether a file is whole.
FRAMING = CALLER.replace(
    "apr_load(&view, &file, file_bytes, file_size, NULL, 0U, NULL)", "apr_file_open(&file, file_bytes, file_size)"
).replace("    apr_view view;\n", "")
OWN = ("_start", "memcpy", "memmove", "memset", "memory", "keys", "parts", "buffer", "x", "out", "workspace", "text",
       "lengths", "result")  # fmt: skip
# What a compiler may call, and the file, which does not count.
AROUND = """
#include <stddef.h>
#include <stdint.h>
const uint8_t file_bytes[64] __attribute__((aligned(64), section(".file"))) = {1};
const uint32_t file_size __attribute__((section(".file"))) = 64U;
void *memcpy(void *to, const void *from, size_t n)
{
    volatile unsigned char *t = to;
    const unsigned char *f = from;
    for (size_t i = 0U; i < n; ++i) {
        t[i] = f[i];
    }
    return to;
}
void *memmove(void *to, const void *from, size_t n)
{
    volatile unsigned char *t = to;
    const unsigned char *f = from;
    for (size_t i = 0U; i < n; ++i) {
        t[n - 1U - i] = f[n - 1U - i];
    }
    return to;
}
void *memset(void *to, int value, size_t n)
{
    volatile unsigned char *t = to;
    for (size_t i = 0U; i < n; ++i) {
        t[i] = (unsigned char)value;
    }
    return to;
}
"""


@dataclass(frozen=True)
class Choice:
    name: str
    groups: tuple[str, ...]
    table_bytes: int = 64
    framing_only: bool = False
    parts: tuple[str, ...] = ()

    @property
    def without(self) -> tuple[str, ...]:
        return tuple(group.lower() for group in GROUPS if group not in self.groups)


CHOICES = (
    Choice("framing and checksum alone", (), 0, framing_only=True),
    Choice("smallest: trees", ("TREES",), 0),
    Choice("trees", ("TREES",)),
    Choice("linear models, scalers", ("DENSE",)),
    Choice("networks, logistic", ("DENSE", "FUNCTIONS")),
    Choice("distances", ("DISTANCES",)),
    Choice("distances, Minkowski", ("DISTANCES", "POWERS")),
    Choice("naive Bayes, mixtures", ("GAUSS", "FUNCTIONS")),
    Choice("texts alone", ("TEXT",)),
    Choice("all rows", tuple(group for group in GROUPS if group != "TEXT")),
    Choice("all", GROUPS),
    Choice("all, CRC by 1 KiB", GROUPS, 1024),
    Choice("all, CRC by 4 KiB", GROUPS, 4096),
    Choice("trees + Ed25519", ("TREES",), parts=("ed25519",)),
    Choice("trees + LZ4", ("TREES",), parts=("lz4",)),
    Choice("trees + zstd", ("TREES",), parts=("zstd",)),
    Choice("trees + Ed25519, LZ4", ("TREES",), parts=("ed25519", "lz4")),
    Choice("trees + Ed25519, zstd", ("TREES",), parts=("ed25519", "zstd")),
    Choice("all + all three", GROUPS, parts=("ed25519", "lz4", "zstd")),
)
# Deepest stack below these functions; the first calls the others, through apr_services.
ENTRIES = ("apr_load", "apr_view_predict", "apr_ed25519_verify", "apr_lz4_unpack", "apr_zstd_unpack")


@dataclass(frozen=True)
class Built:
    """Bytes. stacks: of each entry, the deepest path below it, its own frame included."""

    flash: int
    ram: int
    stacks: Mapping[str, int]


def build(core: str, choice: Choice, work: Path) -> Built:
    """What the linked loader takes, without the file and without what calls it."""
    plan = plan_loader(load_target(core), choice.parts, choice.without, choice.table_bytes)
    texts, others = loader_texts(plan)
    (work / THIRD_PARTY).mkdir()
    for place, files in ((work, texts), (work / THIRD_PARTY, others)):
        for name, text in files.items():
            (place / name).write_text(text, encoding="utf-8")
    (work / "caller.c").write_text(FRAMING if choice.framing_only else CALLER, encoding="utf-8")
    (work / "around.c").write_text(AROUND, encoding="utf-8")
    common = (
        "arm-none-eabi-gcc", "-std=c99", "-mthumb", *CORES[core], "-ffreestanding", "-ffp-contract=off",
        "-ffunction-sections", "-fdata-sections", "-fcallgraph-info=su",
    )  # fmt: skip
    calls = f"-DCALLS_VIEW={int(not choice.framing_only)}"
    units = [("caller.c", (*plan.defines, calls), (".",)), ("around.c", (), (".",))]
    units += [(unit.path, unit.flags, unit.include) for unit in plan.units]
    for number, (path, flags, include) in enumerate(units):
        words = [*common, *flags, "-Os", *(f"-I{name}" for name in include), "-c", path, "-o", f"{number}.o"]
        subprocess.run(words, cwd=work, check=True)
    objects = [f"{number}.o" for number in range(len(units))]
    link = ("-nostdlib", "-nostartfiles", "-Wl,--gc-sections", "-Wl,-Ttext=0x0", *objects, "-lgcc", "-o", "loader.elf")
    subprocess.run([*common[:-1], *link], cwd=work, check=True)
    with (work / "loader.elf").open("rb") as file:
        elf = ELFFile(file)
        sizes = {s.name: int(s["sh_size"]) for s in elf.iter_sections() if s["sh_flags"] & 2}
        symbols = [
            (s.name in OWN, elf.get_section(s["st_shndx"]).name, int(s["st_size"]))
            for s in elf.get_section_by_name(".symtab").iter_symbols()
            if isinstance(s["st_shndx"], int) and s["st_size"] > 0
        ]
    in_flash, in_ram = (".text", ".rodata", ".ARM.exidx", ".data"), (".bss", ".data")
    callers = sum(size for own, section, size in symbols if own and section in in_flash)
    ram = sum(size for own, section, size in symbols if not own and section in in_ram)
    return Built(sum(sizes.get(name, 0) for name in in_flash) - callers, ram, deepest(work))


def deepest(work: Path) -> dict[str, int]:
    """From the call graphs that gcc writes beside the objects."""
    frames: dict[str, int] = {}
    calls: dict[str, set[str]] = {}
    for path in work.glob("*.ci"):
        text = path.read_text(encoding="utf-8")
        for title, size in re.findall(r'node: { title: "([^"]+)" label: "[^"]*?(\d+) bytes \((?:static|dynamic)', text):
            frames[name_in(title)] = int(size)
        for source, target in re.findall(r'edge: { sourcename: "([^"]+)" targetname: "([^"]+)"', text):
            calls.setdefault(name_in(source), set()).add(name_in(target))

    def below(function: str, above: tuple[str, ...]) -> int:
        if function in above:  # nothing here is recursive: a copy that the compiler made for some constants
            return frames[function]
        deeper = (below(one, (*above, function)) for one in calls.get(function, ()))
        return frames.get(function, 0) + max(deeper, default=0)

    return {entry: below(entry, ()) for entry in ENTRIES if entry in frames}


def name_in(title: str) -> str:
    return title.rpartition(":")[2]


def print_sizes(cores: Sequence[str], choices: Sequence[Choice]) -> None:
    print(f"{'bytes of flash / static RAM, -Os':<34}" + "".join(f"{core:>16}" for core in cores))
    stacks: dict[str, dict[str, int]] = {core: {} for core in cores}
    for choice in choices:
        cells = []
        for core in cores:
            with tempfile.TemporaryDirectory() as work:
                built = build(core, choice, Path(work))
            cells.append(f"{built.flash:,}" + (f" / {built.ram}" if built.ram else ""))
            stacks[core].update(built.stacks)
        print(f"{choice.name:<34}" + "".join(f"{cell:>16}" for cell in cells))
    print(f"\n{'bytes of stack, -Os':<34}" + "".join(f"{core:>16}" for core in cores))
    for entry in ENTRIES:
        print(f"{entry:<34}" + "".join(f"{stacks[core].get(entry, 0):>16,}" for core in cores))


def library(work: Path, table_bytes: int, special: str = "") -> ctypes.CDLL:
    """The loader as a shared library of this machine, with the calls that are timed; special: a folder of runtime_c."""
    timed = """
#include "apr_crc.h"
#include "apr_load.h"
uint32_t timed_crc(const uint8_t *bytes, size_t n) { return apr_crc32(0U, bytes, n); }
uint32_t timed_headers(const uint8_t *bytes, uint32_t count)
{
    uint32_t sum = 0U;
    apr_header header;
    for (uint32_t i = 0U; i < count; ++i) {
        __asm__ volatile("" ::: "memory");
        sum += (uint32_t)apr_header_read(&header, bytes, 32U) + header.payload_bytes;
    }
    return sum;
}
int timed_load(apr_view *view, const uint8_t *bytes, size_t n)
{
    apr_file file;
    return (int)apr_load(view, &file, bytes, n, NULL, 0U, NULL);
}
void timed_rows(const apr_view *view, const float *x, size_t n_rows, float *out, float *workspace)
{
    for (size_t row = 0U; row < n_rows; ++row) {
        apr_view_scores(view, &x[row * view->head->n_features], &out[row * view->head->n_outputs], workspace);
    }
}
"""
    (work / "timed.c").write_text(timed, encoding="utf-8")
    runtime = folder("runtime_c")
    out = work / f"loader{table_bytes}{special}.so"
    folders = (f"-I{runtime / special}", f"-I{runtime}")
    subprocess.run(
        ["gcc", "-std=c99", "-O2", "-ffp-contract=off", "-shared", "-fPIC", f"-DAPR_CRC_TABLE_BYTES={table_bytes}",
         *folders, "timed.c", *(str(runtime / name) for name in SOURCES), "-o", str(out)],
        cwd=work, check=True,
    )  # fmt: skip
    return ctypes.CDLL(str(out))


WHOLE = """
#include "apr_parts.h"
#include "apr_zstd.h"
static uint64_t memory[APR_ZSTD_CONTEXT_BYTES / 8U];
/* Everything but the view: 10 MB of payload need no model in them. */
int timed_whole(const uint8_t *bytes, size_t n, uint8_t *out, const uint8_t (*keys)[32])
{
    apr_parts parts = {keys, 1U, memory, sizeof memory};
    const apr_services services = apr_parts_services(&parts, 1U);
    apr_file file;
    int status = (int)apr_file_open(&file, bytes, n);
    if (status == 0) {
        status = (int)apr_file_verify(&file, &services);
    }
    if (status == 0) {
        status = 100 + services.unpack(services.context, APR_ZSTD, file.payload, file.header.payload_bytes, out,
                                       file.header.unpacked_bytes);
    }
    return status;
}
"""


def print_whole() -> None:
    """A signed file with a zstd payload: opened, verified, unpacked; and unpacked and summed by Python's libraries."""
    weights = np.random.default_rng(2).normal(0, 0.05, 10 * 250_000).astype(np.float32)
    payload = np.round(weights, 3).astype(np.float32).tobytes()  # compresses about as weights of few digits do
    key = new_key(STANDARD, "sign")
    file = sign_v1(write_v1(1, payload, Metadata("1", "0.26.3"), method=1, native=True), key)
    data, out = aligned(file), np.zeros(len(payload), np.uint8)
    name = {"x86_64": "x86-avx2", "aarch64": "arm-neon"}.get(platform.machine(), "host")
    plan = plan_loader(load_target(name), ("ed25519", "zstd"))
    with tempfile.TemporaryDirectory() as folder_name:
        work = Path(folder_name)
        texts, others = loader_texts(plan)
        (work / THIRD_PARTY).mkdir()
        for place, files in ((work, texts), (work / THIRD_PARTY, others)):
            for path, text in files.items():
                (place / path).write_text(text, encoding="utf-8")
        (work / "whole.c").write_text(WHOLE, encoding="utf-8")
        units = [("whole.c", plan.defines, (".",)), *((u.path, u.flags, u.include) for u in plan.units)]
        for number, (path, flags, include) in enumerate(units):
            folders = [f"-I{one}" for one in include]
            words = ["gcc", "-std=c99", "-fPIC", *flags, "-O2", *folders, "-c", path, "-o", f"{number}.o"]
            subprocess.run(words, cwd=work, check=True)
        objects = [f"{number}.o" for number in range(len(units))]
        subprocess.run(["gcc", "-shared", *objects, "-o", "whole.so"], cwd=work, check=True)
        loader = ctypes.CDLL(str(work / "whole.so"))
        status: list[int] = []
        public = file[-36:-4]
        seconds = best_seconds(
            lambda: status.append(loader.timed_whole(at(data), ctypes.c_size_t(len(file)), at(out), public)), 15
        )
    if set(status) != {101} or out.tobytes() != payload:
        raise SystemExit("the file is not loaded")
    stored = read_v1(file).header
    packed = file[stored.payload_start : stored.payload_start + stored.payload_size]
    unpacker = zstandard.ZstdDecompressor()
    theirs = best_seconds(lambda: (zlib.crc32(file), unpacker.decompress(packed, max_output_size=len(payload))), 15)
    print(
        f"\n10 MB of payload, {len(file):,} bytes of file: CRC, signature and zstd in {seconds * 1e3:.1f} ms, "
        "asked for are less than 50; zlib and zstandard, without the signature, "
        f"{theirs * 1e3:.1f} ms: {seconds / theirs:.1f} times as long"
    )


def best_seconds(call: Callable[[], object], times: int = 5) -> float:
    """Of the processor, as others may use it too."""
    found = []
    for _ in range(times):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return min(found)


def at(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def aligned(data: bytes) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    room = np.zeros(len(data) + 64, np.uint8)
    start = -room.ctypes.data % 64
    room[start : start + len(data)] = np.frombuffer(data, np.uint8)
    return room[start : start + len(data)]


def crc_seconds(loader: ctypes.CDLL, data: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> float:
    return best_seconds(lambda: loader.timed_crc(at(data), ctypes.c_size_t(len(data))), 3)


def print_speed(names: Sequence[str], tables: Sequence[int], mib: int) -> None:
    path = {path.stem: path for path in FIXTURES.glob("*/*.apr")}
    with tempfile.TemporaryDirectory() as work:
        loader = library(Path(work), 64)
        header = aligned(path["rfc"].read_bytes()[:32])
        count = 1_000_000
        seconds = best_seconds(lambda: loader.timed_headers(at(header), ctypes.c_uint32(count)))
        print(f"\nchecks of a header: {seconds / count * 1e9:.1f} ns, asked for are less than 1,000")
        data = np.random.default_rng(1).integers(0, 256, mib * MIB, np.uint8)
        zlib_seconds = best_seconds(lambda: zlib.crc32(data))
        for table_bytes in tables:
            seconds = crc_seconds(library(Path(work), table_bytes), data)
            print(
                f"CRC-32 of {mib} MiB, table of {table_bytes:>5} bytes: {seconds * 1e3:>7.1f} ms, "
                f"{seconds / zlib_seconds:>6.1f} of zlib's time"
            )
        special = INSTRUCTIONS.get(platform.machine())
        if special is not None:
            seconds = crc_seconds(library(Path(work), 64, special), data)
            print(
                f"CRC-32 of {mib} MiB, by instructions:      {seconds * 1e3:>7.1f} ms, "
                f"{seconds / zlib_seconds:>6.1f} of zlib's time"
            )
        print(f"\n{'':<16}{'file, bytes':>12}{'open, us':>10}{'row, ns':>10}{'row of its own C, ns':>22}")
        for name in names:
            print_file(name, path[name], loader)


def print_file(name: str, path: Path, loader: ctypes.CDLL) -> None:
    loaded = load_model(path.read_bytes())
    file = aligned(in_form(loaded, "native", keep_record=False))
    view = (ctypes.c_void_p * 16)()
    if loader.timed_load(view, at(file), ctypes.c_size_t(len(file))) != 0:
        raise SystemExit(f"{name} is refused")
    opening = best_seconds(lambda: loader.timed_load(view, at(file), ctypes.c_size_t(len(file))), 50)
    program = loaded.model.lower()
    rows = np.ascontiguousarray(np.resize(random_rows(program, 500).values, (ROWS, program.n_features)))
    out = np.zeros((ROWS, program.n_outputs), np.float32)
    workspace = np.zeros(1 << 16, np.float32)
    seconds = best_seconds(
        lambda: loader.timed_rows(view, at(rows), ctypes.c_size_t(ROWS), at(out), at(workspace))
    )  # fmt: skip
    image = compile_model(load(path), name="m").build()
    own = best_seconds(lambda: image.predict(rows))
    if image.predict(rows).tobytes() != out.tobytes():
        raise SystemExit(f"{name}: the view and its own C differ")
    print(f"{name:<16}{len(file):>12,}{opening * 1e6:>10.2f}{seconds / ROWS * 1e9:>10.1f}{own / ROWS * 1e9:>22.1f}")


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--core", action="append", choices=sorted(CORES), help="all when none is named")
    parser.add_argument("--quick", action="store_true", help="one core, two choices, one file")
    given = parser.parse_args(words)
    cores = ("cortex-m4",) if given.quick else tuple(given.core or CORES)
    print_sizes(cores, CHOICES[:2] if given.quick else CHOICES)
    if given.quick:
        print_speed(FILES[:1], TABLES[-1:], 1)
    else:
        print_speed(FILES, TABLES, 10)
        print_whole()
    return 0


if __name__ == "__main__":
    sys.exit(finish(main))
