"""Loading files: time beside plain zstandard and zlib, peak memory of each mode, and the first prediction of a process.

    python benchmarks/loading.py [--mib N] [--repeat N] [--json FILE] [--quick]

Times of one run are taken in turns and are medians, so that ratios hold on a busy machine. The file is a k-NN model: so
many MiB of float32 rows, of which half the bits are noise, as zstd level 3 in an .apr signed with Ed25519. Peaks are
those of processes of their own: how far the resident set rose above what it was before loading (VmHWM, reset before).
The cold start compares whole processes, from start to end: scikit-learn that unpickles a forest, aprgen that maps its
native payload, and the device's loader in C. --quick is small, and shows that the benchmark works.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import zstandard
from here import finish, report_file
from loader import SOURCES
from models import forest, forest_of

from aprgen import load
from aprgen.container import Metadata, Trust, TrustedKey, write_v1
from aprgen.container.algorithms import new_key, public_of
from aprgen.container.bincode import encode
from aprgen.container.header import parse_header
from aprgen.container.keys import SecretKey
from aprgen.container.loading import LEVELS, MODES
from aprgen.container.protected import sign_v1
from aprgen.container.suites import STANDARD
from aprgen.families import STRUCTS
from aprgen.loaded import load_model
from aprgen.payload_form import in_form
from aprgen.resources import folder

ASKED_MS = 50.0  # for a payload of 10 MB, as the documents of the format have it
MIB = 1 << 20
WIDTH = 128
KNN = 0x0009
Row = dict[str, object]

PEAK = """
import sys
from pathlib import Path
import aprgen

def status(key):
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith(key)))

aprgen.load(sys.argv[1], mode=sys.argv[3])  # a small one: what is imported late
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
model = aprgen.load(sys.argv[2], mode=sys.argv[3])
print(status("VmHWM") - before, status("VmRSS") - before, status("RssShmem"))
"""
SKLEARN = """
import pickle, sys, time
import numpy as np
if sys.argv[3] == "imported":
    import sklearn.ensemble, sklearn.tree
start = time.perf_counter()
with open(sys.argv[1], "rb") as file:
    model = pickle.load(file)
label = int(model.predict(np.load(sys.argv[2]))[0])
print(label, time.perf_counter() - start)
"""
APRGEN = """
import sys, time
import numpy as np
from aprgen import load
start = time.perf_counter()
program = load(sys.argv[1], mode=sys.argv[3]).loaded.model.lower()
label = int(program.classify(np.load(sys.argv[2]))[0])
print(label, time.perf_counter() - start)
"""
DEVICE = """
#include <stdio.h>
#include <stdlib.h>
#include "apr_load.h"

static float x[65536];
static float workspace[65536];

int main(int argc, char **argv)
{
    apr_view view;
    apr_file opened;
    FILE *file = fopen(argv[1], "rb");
    FILE *row = fopen(argv[2], "rb");
    size_t n = 0U;
    if ((argc != 3) || (file == NULL) || (row == NULL) || (fseek(file, 0L, SEEK_END) != 0)) {
        return 1;
    }
    n = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = aligned_alloc(64U, (n + 63U) / 64U * 64U);
    if ((bytes == NULL) || (fread(bytes, 1U, n, file) != n) || (fread(x, 4U, 65536U, row) == 0U)) {
        return 2;
    }
    const int status = (int)apr_load(&view, &opened, bytes, n, NULL, 0U, NULL);
    if (status != 0) {
        return 10 + status;
    }
    printf("%d 0\\n", (int)apr_view_classify(&view, x, workspace));
    return 0;
}
"""


def neighbours(n_bytes: int, method: int = 0) -> bytes:
    """A k-NN file with about so many bytes of payload."""
    generator = np.random.default_rng(11)
    n = n_bytes // (4 * WIDTH + 8)
    points = generator.standard_normal((n, WIDTH)).astype(np.float32)
    points.view(np.uint32)[...] &= np.uint32(0xFFFF0000)  # as half floats have it, so that zstd has something to find
    fields: dict[str, object] = {
        "k": 3, "metric": ("Euclidean", None), "weights": False, "x_train": points,
        "y_train": generator.integers(0, 4, n).astype(np.uint64),
    }  # fmt: skip
    codec = next(struct.codec for struct in STRUCTS if struct.name == "KNearestNeighbors")
    return write_v1(KNN, encode(codec, fields), Metadata("0", "benchmark"), method=method)


def in_turns(calls: Mapping[str, Callable[[], object]], repeat: int) -> dict[str, float]:
    """Median seconds of each call; all are called once before, and then one after the other."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeat + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn:
                found[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def time_rows(path: Path, key: SecretKey, repeat: int) -> list[Row]:
    """Levels and modes on a signed, compressed file, beside what any reader must do with the same bytes."""
    data = path.read_bytes()
    header = parse_header(data)
    stored = memoryview(data)[header.payload_start : header.payload_end]
    trust = Trust((TrustedKey("benchmark", public_of(key)),))

    def plain() -> None:
        if zlib.crc32(memoryview(data)[:-4]) != int.from_bytes(data[-4:], "little"):
            raise SystemExit("the checksum is wrong")
        if len(zstandard.ZstdDecompressor().decompressobj().decompress(stored)) != header.uncompressed_size:
            raise SystemExit("the payload is of another size")

    calls: dict[str, Callable[[], object]] = {"zstandard + zlib.crc32": plain}
    for level in LEVELS:
        calls[f"eager, {level}"] = lambda level=level: load(path, verify=level)  # type: ignore[misc]
    for mode in MODES:
        calls[f"{mode}, trusted signer"] = lambda mode=mode: load(path, mode=mode, trust=trust)  # type: ignore[misc]
    seconds = in_turns(calls, repeat)
    least = seconds["zstandard + zlib.crc32"]
    return [
        {"what": name, "ms": round(one * 1e3, 2), "ratio": round(one / least, 2), "asked_ms": ASKED_MS}
        for name, one in seconds.items()
    ]  # fmt: skip


def peak_rows(files: Mapping[str, Path], small: Path) -> list[Row]:
    """How far the resident set of a process rises while it loads."""
    rows: list[Row] = []
    for name, path in files.items():
        for mode in MODES:
            done = subprocess.run(
                [sys.executable, "-c", PEAK, str(small), str(path), mode], check=True, capture_output=True, text=True
            )
            peak, kept, shared = (int(word) / 1024 for word in done.stdout.split())
            rows.append({
                "what": f"{name}, {mode}", "file_mib": round(path.stat().st_size / MIB, 2),
                "peak_mib": round(peak, 2), "kept_mib": round(kept, 2), "sealed_mib": round(shared, 2),
            })  # fmt: skip
    return rows


def cold_rows(work: Path, repeat: int) -> list[Row]:
    """The first prediction of a process, by the same forest."""
    trained = importlib.import_module("trained")
    datasets = importlib.import_module("sklearn.datasets")
    ensemble = importlib.import_module("sklearn.ensemble")
    x, y = datasets.load_digits(return_X_y=True)
    model = ensemble.RandomForestClassifier(100, max_depth=10, random_state=0).fit(x.astype(np.float32), y)
    trees = tuple(trained._tree(one.tree_) for one in model.estimators_)
    pickled, native, row, raw = (work / name for name in ("forest.pickle", "forest.apr", "row.npy", "row.bin"))
    pickled.write_bytes(pickle.dumps(model))
    native.write_bytes(in_form(load_model(forest_of(trees, 64, 10)), "native", keep_record=False))
    one = x[:1].astype(np.float32)
    np.save(row, one)
    raw.write_bytes(one.tobytes())
    (work / "device.c").write_text(DEVICE, encoding="utf-8")
    runtime = folder("runtime_c")
    subprocess.run(
        ["gcc", "-std=c11", "-O2", "-ffp-contract=off", f"-I{runtime}", "device.c",
         *(str(runtime / name) for name in SOURCES), "-o", "device"], cwd=work, check=True,
    )  # fmt: skip
    python = [sys.executable, "-c"]
    calls = {
        "Python alone": [*python, "print(0, 0)"],
        "scikit-learn, unpickled": [*python, SKLEARN, str(pickled), str(row), "cold"],
        "scikit-learn, imported before": [*python, SKLEARN, str(pickled), str(row), "imported"],
        "aprgen, mapped": [*python, APRGEN, str(native), str(row), "mapped"],
        "aprgen, eager": [*python, APRGEN, str(native), str(row), "eager"],
        "runtime_c, apr_load": [str(work / "device"), str(native), str(raw)],
    }
    said: dict[str, list[str]] = {}
    inside: dict[str, list[float]] = {name: [] for name in calls}

    def run(name: str) -> None:
        said[name] = subprocess.run(calls[name], check=True, capture_output=True, text=True).stdout.split()
        inside[name].append(float(said[name][1]))

    seconds = in_turns({name: lambda name=name: run(name) for name in calls}, repeat)  # type: ignore[misc]
    labels = {name: words[0] for name, words in said.items() if name != "Python alone"}
    if len(set(labels.values())) != 1:
        raise SystemExit(f"the labels differ: {labels}")
    whole = seconds["scikit-learn, unpickled"]
    return [
        {"what": name, "process_ms": round(one * 1e3, 1), "ratio": round(one / whole, 4),
         "after_imports_ms": round(statistics.median(inside[name]) * 1e3, 2)}
        for name, one in seconds.items()
    ]  # fmt: skip


def print_table(title: str, rows: Sequence[Row]) -> None:
    columns = list(rows[0])
    print(f"\n{title}\n{'':<34}" + "".join(f"{name:>18}" for name in columns[1:]))
    for row in rows:
        print(f"{row['what']!s:<34}" + "".join(f"{row[name]!s:>18}" for name in columns[1:]))


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mib", type=float, default=10e6 / MIB, help="of payload (10 MB)")
    parser.add_argument("--repeat", type=int, default=9, help="turns of each measurement")
    parser.add_argument("--json", type=report_file, metavar="FILE", help="write all figures for programs")
    parser.add_argument("--quick", action="store_true", help="a small file, one turn, no cold start")
    given = parser.parse_args(words)
    n_bytes, repeat = (300_000, 1) if given.quick else (int(given.mib * MIB), given.repeat)
    found: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory() as folder_name:
        work = Path(folder_name)
        key = new_key(STANDARD, "sign")
        files = {
            "signed zstd": sign_v1(neighbours(n_bytes, 1), key),
            "plain": neighbours(n_bytes),
            "native": in_form(load_model(neighbours(n_bytes)), "native", keep_record=False),
            "forest": forest(n_bytes // 74_000 or 1, 11, 16),
        }
        if given.quick:
            files = {name: files[name] for name in ("signed zstd", "forest")}
        paths = {name: work / f"{index}.apr" for index, name in enumerate(files)}
        for name, path in paths.items():
            path.write_bytes(files[name])
        (work / "small.apr").write_bytes(sign_v1(neighbours(2_000, 1), key))
        stored = len(files["signed zstd"])
        found["time"] = time_rows(paths["signed zstd"], key, repeat)
        print_table(f"loading {n_bytes / 1e6:.1f} MB of payload, {stored / 1e6:.1f} MB stored", found["time"])
        if Path("/proc/self/clear_refs").exists():
            found["peak"] = peak_rows(paths, work / "small.apr")
            print_table("resident memory above that before loading", found["peak"])
        if not given.quick and importlib.util.find_spec("sklearn") is not None:
            found["cold"] = cold_rows(work, repeat)
            print_table("first prediction of a forest of 100 trees, from the start of the process", found["cold"])
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(finish(main))
