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


def is_three_lines(answer: Answer, code: str) -> bool:
    """what, where, to do, and no traceback."""
    lines = answer.error_lines
    return (
        len(lines) == 3
        and lines[0].startswith(f"error[{code}]: ")
        and lines[1].startswith("  where: ")
        and lines[2].startswith("  to do: ")
    )
