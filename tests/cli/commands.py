"""Running commands in tests: in this process with captured output, or as a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aprgen.cli import main

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data" / "apr"


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def error_lines(self) -> list[str]:
        return self.err.splitlines()


class Command:
    """Calls main() and hands back what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str | Path) -> Answer:
        self._capsys.readouterr()
        status = main([str(word) for word in words])
        captured = self._capsys.readouterr()
        return Answer(status, captured.out, captured.err)


def process(*words: str | Path, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Answer:
    """`python -m aprgen` of this checkout as a process, in its root or in `folder`."""
    inherited = os.environ if environment is None else environment
    done = subprocess.run(
        [sys.executable, "-m", "aprgen", *map(str, words)],
        capture_output=True,
        text=True,
        env={**inherited, "PYTHONPATH": str(ROOT)},
        cwd=ROOT if folder is None else folder,
        check=False,
        timeout=120,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


# A process counts as its own the memory of whoever forked it, and pytest is large: a small process stands between.
_MEASURE = """
import os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, state, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(state)
print(process.returncode, usage.ru_maxrss, time.perf_counter() - start, usage.ru_utime + usage.ru_stime)
"""


@dataclass(frozen=True)
class Cost:
    """Of a process: exit status, largest resident set, time on the clock, time of processors."""

    status: int
    kib: int
    seconds: float
    processor_seconds: float


def cost(*words: str | Path) -> Cost:
    """Of `python -m aprgen`, with compiled modules kept as in any installation."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, sys.executable, "-m", "aprgen", *map(str, words)],
        capture_output=True,
        text=True,
        env={**environment, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        check=True,
    )
    status, kib, seconds, processor_seconds = done.stdout.split()
    return Cost(int(status), int(kib), float(seconds), float(processor_seconds))


def is_three_lines(answer: Answer, code: str) -> bool:
    """what, where, to do, and no traceback."""
    lines = answer.error_lines
    return (
        len(lines) == 3
        and lines[0].startswith(f"error[{code}]: ")
        and lines[1].startswith("  where: ")
        and lines[2].startswith("  to do: ")
    )
