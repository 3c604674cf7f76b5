"""What a measured process does: compile one model repeatedly, or a batch of small ones, and print the times as JSON.

`compiler.py` starts it, so that every figure has a process, and thus a peak of memory, of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path

import models

from aprgen.core import Artifact, Options, compile_model
from aprgen.loaded import load_model
from aprgen.target import Target, load_target

FEATURES = 10
WARM_UP = 20  # models compiled before the clock starts: the templates are read only once


def compiled(data: bytes, target: Target, name: str) -> Artifact:
    """From the bytes of a file to texts in memory."""
    return compile_model(load_model(data), target, Options(name))


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def one_model(file: Path, runs: int) -> dict[str, object]:
    """Seconds of each run, the first one apart, as it reads the templates; and the sizes of what comes out."""
    target = load_target("host")
    data = file.read_bytes()
    artifact = compiled(data, target, "model")
    return {
        "seconds": [seconds_of(lambda: compiled(data, target, "model")) for _ in range(runs)],
        "model_bytes": len(data),
        "table_bytes": artifact.table_bytes,
        "c_bytes": {name: len(text.encode()) for name, text in artifact.texts.items() if name.endswith((".c", ".h"))},
    }


def batch(count: int, workers: int) -> dict[str, object]:
    """Seconds for `count` small linear models, each with its own coefficients."""
    files = [models.linear(FEATURES, seed) for seed in range(count)]
    shares = [files[worker::workers] for worker in range(workers)]
    if workers == 1:
        compile_all(files[:WARM_UP])
        return {"seconds": seconds_of(lambda: compile_all(files))}
    with multiprocessing.Pool(workers) as pool:
        pool.map(compile_all, [files[:WARM_UP]] * workers, chunksize=1)
        return {"seconds": seconds_of(lambda: pool.map(compile_all, shares, chunksize=1))}


def compile_all(files: list[bytes]) -> int:
    """The size of all texts: a worker sends back a number, not the texts."""
    target = load_target("host")
    artifacts = (compiled(data, target, f"model_{index}") for index, data in enumerate(files))
    return sum(len(text) for artifact in artifacts for text in artifact.texts.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    one = kinds.add_parser("model")
    one.add_argument("file", type=Path)
    one.add_argument("runs", type=int)
    many = kinds.add_parser("batch")
    many.add_argument("count", type=int)
    many.add_argument("workers", type=int)
    given = parser.parse_args()
    print(json.dumps(one_model(given.file, given.runs) if given.kind == "model" else batch(given.count, given.workers)))


if __name__ == "__main__":
    main()
