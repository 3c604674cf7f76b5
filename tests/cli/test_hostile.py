"""Files from strangers: none may crash, hang, fill the memory or leave anything behind, whatever the command."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.cli.commands import Command, cost
from tests.hostile.make import SOURCES

SECONDS = 2.0
HANGS = 10.0  # by the clock, however busy the machine is
MEMORY_KIB = 300 << 10  # resident set, as Linux counts it
REFUSED = (3, 4, 5)
SAMPLE = 10  # files that are tried as processes of their own


@pytest.mark.parametrize("prefix", [prefix for prefix, _ in SOURCES])
@pytest.mark.parametrize("verb", ["validate", "compile", "inspect"])
def test_refused_in_time(aprgen: Command, tmp_path: Path, prefix: str, verb: str) -> None:
    """Each file is refused in three lines with status 3, 4 or 5, or is a model, within 2 s of processor time.

    Nothing is left behind.
    """
    source = dict(SOURCES)[prefix]
    path = tmp_path / "hostile.apr"
    out = tmp_path / "out"
    words = {"compile": ("compile", path, "--no-measure", "-o", out)}.get(verb, (verb, path))
    wrong = []
    for name, data in source():
        path.write_bytes(data)
        start, began = time.process_time(), time.perf_counter()
        answer = aprgen(*words)
        seconds = time.process_time() - start
        refused = answer.status in REFUSED and len(answer.error_lines) == 3
        if refused:
            fine = not out.exists()
        else:
            # A file that only looks hostile compiles; one that must be refused by the container never does.
            fine = answer.status == 0 and (verb == "inspect" or not prefix.startswith("container"))
            for made in out.iterdir() if out.exists() else ():
                made.unlink()
            if out.exists():
                out.rmdir()
        if not fine or seconds > SECONDS or time.perf_counter() - began > HANGS:
            wrong.append((name, answer.status, round(seconds, 2), answer.err))

    assert wrong == []


def sample() -> list[tuple[str, bytes]]:
    """The largest file of each source: what costs most."""
    largest = []
    for prefix, source in SOURCES:
        name, data = max(source(), key=lambda one: len(one[1]))
        largest.append((f"{prefix}/{name}", data))
    return sorted(largest, key=lambda one: -len(one[1]))[:SAMPLE]


def test_memory(tmp_path: Path) -> None:
    """As processes, validate and compile stay under 300 MB and 2 s of processor time for the largest hostile files."""
    path = tmp_path / "hostile.apr"
    wrong = []
    for name, data in sample():
        path.write_bytes(data)
        for words in (("validate", path), ("compile", path, "-o", tmp_path / "out")):
            spent = cost(*words)
            slow = spent.processor_seconds > SECONDS or spent.seconds > HANGS
            if spent.status not in (0, *REFUSED) or spent.kib > MEMORY_KIB or slow:
                wrong.append((name, words[0], spent))

    assert wrong == []
