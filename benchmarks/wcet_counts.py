"""Instruction counts against runs: the bound of every fixture's functions on cores whose time is not bounded.

    python benchmarks/wcet_counts.py [--rows N] [--quick] [--target NAME ...] [--model NAME ...] [--json FILE]

Analyses the recorded fixtures as `aprgen wcet` does, and prints per target how far the bound of NAME_scores and
NAME_classify is above the most instructions that a row executed: median and worst, and each function above --show; what
is refused, such as functions of texts, is named. Ends with status 1 when an observation contradicts a bound. --quick
takes a few models; it shows that the benchmark works.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from here import finish, report_file

from aprgen.core import Options, compile_model
from aprgen.errors import AprgenError, ToolchainError
from aprgen.loaded import load_model
from aprgen.target import load_target
from aprgen.wcet.analyse import Question, analyse

SCHEMA = "aprgen.benchmarks.wcet_counts"
SCHEMA_VERSION = 1
TARGETS = ("cortex-m7", "cortex-m55", "host", "x86-avx2", "x86-avx512", "arm-neon", "wasm")
QUICK_MODELS = ("kmeans", "linreg", "rfc")
FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "data" / "apr"
FOLDERS = ("real", "extended", "v2")


@dataclass(frozen=True)
class Figure:
    """One function. ratio: instructions at most / most observed. refused: why there is no bound."""

    target: str
    function: str
    instructions: int | None
    accesses: int | None
    observed: int | None
    runs: int
    ratio: float | None
    violations: tuple[str, ...]
    refused: str


def figures_of(path: Path, target_name: str, rows: int) -> tuple[Figure, ...]:
    """The functions that take one row; none for a file without such a model."""
    target = load_target(target_name)
    try:
        loaded = load_model(path.read_bytes())
        artifact = compile_model(loaded, target, Options(name=path.stem))
    except AprgenError:
        return ()  # a damaged, encrypted or empty fixture: no model
    report = analyse(loaded, artifact, Question(rows=rows, model_file=path.name)).report
    figures = []
    for entry in report.entries:
        seen = entry.observed
        if entry.function.endswith("_predict"):
            continue
        figures.append(
            Figure(
                target=target_name,
                function=entry.function,
                instructions=entry.most,
                accesses=entry.counts[1].at_most if entry.counts else None,
                observed=None if seen is None else seen.high_maximum,
                runs=0 if seen is None else seen.runs,
                ratio=None if seen is None else seen.ratio,
                violations=() if seen is None else seen.violations,
                refused="" if entry.refusal is None else f"{entry.refusal.code}: {entry.refusal.what}",
            )
        )
    return tuple(figures)


def _print(target: str, figures: Sequence[Figure], show: float, seconds: float) -> None:
    ratios = [one.ratio for one in figures if one.ratio is not None]
    refused = [one for one in figures if one.refused]
    line = f"{target:12} {len(figures):4} functions, {len(refused)} refused, {sum(one.runs for one in figures):,} runs"
    if ratios:
        line += f", bound/observed median {statistics.median(ratios):.3f} worst {max(ratios):.3f}"
    print(f"{line}, {sum(len(one.violations) for one in figures)} violations, {seconds:.0f} s", flush=True)
    for one in figures:
        if one.refused:
            print(f"    {one.function}: refused, {one.refused}")
        elif one.ratio is not None and one.ratio > show:
            print(f"    {one.function}: {one.instructions:,} at most, {one.observed:,} observed, {one.ratio:.3f}")
        for violation in one.violations:
            print(f"    {one.function}: VIOLATION {violation}")


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Instruction counts against runs.")
    parser.add_argument("--rows", type=int, default=100, help="random rows, beside those at the model's decisions")
    parser.add_argument("--quick", action="store_true", help="a few models and rows")
    parser.add_argument("--target", action="append", default=[], help="only these targets")
    parser.add_argument("--model", action="append", default=[], help="only these fixtures")
    parser.add_argument("--show", type=float, default=1.10, help="name functions with a higher bound/observed")
    parser.add_argument("--json", type=report_file, help="write all figures")
    given = parser.parse_args(words)
    models = given.model or (QUICK_MODELS if given.quick else ())
    paths = [path for name in FOLDERS for path in sorted((FIXTURES / name).glob("*.apr"))]
    chosen = [path for path in paths if not models or path.stem in models]
    every: list[Figure] = []
    for target in given.target or TARGETS:
        started = time.monotonic()
        found: list[Figure] = []
        try:
            for path in chosen:
                found += figures_of(path, target, 5 if given.quick else given.rows)
        except ToolchainError as error:
            print(f"{target:12} skipped: {error.what}")
            continue
        _print(target, found, given.show, time.monotonic() - started)
        every += found
    if given.json is not None:
        document = {"schema": SCHEMA, "version": SCHEMA_VERSION, "figures": [asdict(one) for one in every]}
        given.json.write_text(json.dumps(document, indent=1) + "\n")
    return 1 if any(one.violations for one in every) else 0


if __name__ == "__main__":
    sys.exit(finish(main))
