"""Plants faults in the analysis, one at a time, and counts how many the tests notice.

    python -m tests.wcet.mutants [--only TEXT] [--part K/N] [--table] [--code] [--trust] [--json FILE]

The faults are those of mutants.toml, and every figure of every timing table lowered by a cycle. Each is planted in a
copy of the project, and the tests that the catalogue names for its file run until the first fails. Prints what is
planted and who notices, then the survivors and the share of faults noticed; status 1 when it is below 95 %.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = Path(__file__).with_suffix(".toml")
TIMING = "targets/timing"
PARTS = ("aprgen", "targets", "templates", "runtime_c", "qemu", "tests", "benchmarks", "docs", "pyproject.toml")
WANTED = 0.95
SECONDS = 120  # a fault may make a search endless: that is noticed, too
SLOW_TO_LOAD = ("numpy", "scipy.optimize", "scipy.sparse", "capstone", "elftools.elf.elffile", "hypothesis")
OPTIONS = (
    "-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist", "-r", "fE", "--hypothesis-seed=20260117",
)  # fmt: skip
_ROW = re.compile(r"^(?P<name>\w+) = \{.*\bworst = (?P<worst>\d+).*\}$")
_FAILED = re.compile(r"^FAILED (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Mutant:
    """In `file`, `old` stands once and becomes `new`; then it has the fault. tests: arguments of pytest, in order."""

    file: str
    old: str
    new: str
    fault: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """by: the test that failed first, or "time" when the tests did not end; empty for a survivor."""

    mutant: Mutant
    by: str
    seconds: float


def catalogue() -> tuple[Mutant, ...]:
    """The faults of mutants.toml."""
    modules = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))["module"]
    return tuple(
        Mutant(module["file"], old, new, fault, tuple(module["tests"]))
        for module in modules
        for old, new, fault in module["mutants"]
    )


def lowered_figures(root: Path = ROOT) -> Iterator[Mutant]:
    """Every figure above 0 of every timing table, a cycle lower: rows, refill, skipped and hazards."""
    for path in sorted((root / TIMING).glob("*.toml")):
        file, section = f"{TIMING}/{path.name}", ""
        for line in path.read_text(encoding="utf-8").splitlines():
            section = line if line.startswith("[") else section
            row = _ROW.match(line)
            key, _, value = line.partition(" = ")
            what = f"{path.stem}: {row['name'] if row else section} takes a cycle less"
            if row is not None and int(row["worst"]) > 0:
                lower = int(row["worst"]) - 1
                new = re.sub(r"\bworst = \d+", f"worst = {lower}", line)
                best = re.search(r"\bbest = (\d+)", line)
                if best is not None and int(best[1]) > lower:
                    new = re.sub(r"\bbest = \d+", f"best = {lower}", new)
                yield Mutant(file, f"\n{line}", f"\n{new}", what, ("test_timing.py",))
            elif key == "worst" and section in ("[refill]", "[skipped]"):
                lower = int(value) - 1
                old = f'worst = {value}\nsource = "'
                body = path.read_text(encoding="utf-8").split(section, 1)[1]
                best_text = body.split("best = ", 1)[1].split("\n", 1)[0]
                old = f"{section}\nbest = {best_text}\nworst = {value}\n"
                new = f"{section}\nbest = {min(int(best_text), lower)}\nworst = {lower}\n"
                yield Mutant(file, old, new, what, ("test_timing.py",))
            elif key == "cycles" and section.startswith("[hazards."):
                old = f"{section}\ncycles = {value}\n"
                yield Mutant(file, old, f"{section}\ncycles = {int(value) - 1}\n", what, ("test_timing.py",))


def planted(mutant: Mutant, text: str) -> str:
    """The text with the fault; ValueError when what it replaces does not stand there exactly once."""
    found = text.count(mutant.old)
    if found != 1:
        raise ValueError(f"{mutant.file} holds {mutant.old!r} {found} times: bring mutants.toml up to date")
    return text.replace(mutant.old, mutant.new)


def copied(folder: Path, root: Path = ROOT) -> None:
    """The parts of the project that the tests need."""
    for part in PARTS:
        if (root / part).is_dir():
            shutil.copytree(root / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        else:
            shutil.copy(root / part, folder / part)


def first_failure(folder: Path, tests: Sequence[str]) -> str:
    """The first test that fails, "time", or an empty text. Anything else that stops pytest is an error of ours."""
    for test in tests:
        status, output = _forked(folder, test)
        if status == -signal.SIGALRM:
            return "time"
        if status == 1:
            named = _FAILED.search(output)
            return named[1].removeprefix("tests/wcet/") if named else f"an error in {test}"
        if status != 0:
            raise RuntimeError(f"pytest {test} ended with {status}:\n{output[-2000:]}")
    return ""


def _forked(folder: Path, test: str) -> tuple[int, str]:
    """pytest's status and output. Runs in a fork of this process, which has loaded what takes long to load."""
    for name in SLOW_TO_LOAD:
        importlib.import_module(name)
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            os.setsid()
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
            signal.alarm(SECONDS)
            os.chdir(folder)
            os.environ["PYTHONPATH"] = str(folder)
            sys.dont_write_bytecode = True
            for name in [one for one in sys.modules if one.split(".")[0] in ("tests", "aprgen")]:
                del sys.modules[name]
            sys.path[:] = [str(folder), *(one for one in sys.path if one and Path(one).resolve() != ROOT)]
            status = 70
            try:
                name, *options = shlex.split(test)
                status = int(pytest.main([*OPTIONS, f"tests/wcet/{name}", *options]))
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)
        _, wait_status = os.waitpid(child, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what a test that ran out of time has left behind
        output.seek(0)
        return os.waitstatus_to_exitcode(wait_status), output.read().decode("utf-8", "replace")


def try_mutants(mutants: Sequence[Mutant], trusted: bool = False) -> Iterator[Outcome]:
    """One outcome after another. Unless they are trusted, the tests must pass without a fault first."""
    with tempfile.TemporaryDirectory(prefix="wcet-mutants-") as name:
        folder = Path(name)
        copied(folder)
        needed = () if trusted else sorted({test for mutant in mutants for test in mutant.tests})
        if (failed := first_failure(folder, needed)) != "":
            raise RuntimeError(f"{failed} fails without any fault")
        for mutant in mutants:
            path = folder / mutant.file
            text = path.read_text(encoding="utf-8")
            start = time.perf_counter()
            path.write_text(planted(mutant, text), encoding="utf-8")
            by = first_failure(folder, mutant.tests)
            path.write_text(text, encoding="utf-8")
            yield Outcome(mutant, by, time.perf_counter() - start)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", default="", help="faults whose file or description has this text")
    parser.add_argument("--part", default="1/1", help="K/N: only the K-th of N parts, to run several at once")
    parser.add_argument("--table", action="store_true", help="only the lowered figures of the timing tables")
    parser.add_argument("--code", action="store_true", help="only the faults of mutants.toml")
    parser.add_argument("--trust", action="store_true", help="do not run the tests without a fault first")
    parser.add_argument("--json", type=Path, help="write the outcomes there")
    options = parser.parse_args(arguments)
    every = [*(() if options.table else catalogue()), *(() if options.code else lowered_figures())]
    mutants = [one for one in every if options.only in f"{one.file} {one.fault}"]
    part, parts = (int(number) for number in options.part.split("/"))
    mutants = mutants[part - 1 :: parts]
    for mutant in mutants:
        planted(mutant, (ROOT / mutant.file).read_text(encoding="utf-8"))
    outcomes = []
    for number, one in enumerate(try_mutants(mutants, options.trust), 1):
        outcomes.append(one)
        name = f"{one.mutant.file.removeprefix('aprgen/wcet/')}: {one.mutant.fault}"
        print(f"{number:4} {name:90} {one.seconds:5.1f} s  {one.by or 'SURVIVED'}", flush=True)
    survivors = [one.mutant for one in outcomes if not one.by]
    noticed = len(outcomes) - len(survivors)
    for mutant in survivors:
        print(f"survived: {mutant.file}: {mutant.fault}\n    {mutant.old!r}\n    {mutant.new!r}")
    share = noticed / len(outcomes) if outcomes else 0.0
    print(f"{noticed} of {len(outcomes)} faults noticed, {100 * share:.1f} %")
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(one) for one in outcomes], indent=2) + "\n", encoding="utf-8")
    return 0 if share >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
