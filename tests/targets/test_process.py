"""Programs that aprgen starts end in time, with all they started."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from aprgen.errors import ToolchainError
from aprgen.process import first_lines, run


def test_status_and_output_come_back(tmp_path: Path) -> None:
    """Status, standard output and standard error are told apart."""
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    finished = run([sys.executable, "-c", code], work="testing", folder=tmp_path, seconds=20)

    assert (finished.status, finished.stdout, finished.stderr) == (3, "out\n", "err\n")


def test_a_hanging_program_and_its_children_are_killed(tmp_path: Path) -> None:
    """After the limit nothing is left that could still write."""
    mark = tmp_path / "alive"
    child = f"import time, pathlib; time.sleep(1.5); pathlib.Path({str(mark)!r}).touch()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"

    with pytest.raises(ToolchainError, match=r"did not finish within 0\.5 s") as caught:
        run([sys.executable, "-c", code], work="testing", folder=tmp_path, seconds=0.5)
    time.sleep(1.6)

    assert caught.value.where == "testing"
    assert not mark.exists()


def test_a_missing_program_is_a_toolchain_error(tmp_path: Path) -> None:
    """Starting what is not there names it."""
    with pytest.raises(ToolchainError, match="no-such-program could not be started"):
        run(["no-such-program"], work="testing", folder=tmp_path, seconds=5)


def test_only_the_first_lines_are_shown() -> None:
    """An error message stays readable however much a program printed."""
    assert first_lines("\n".join(f"line {i}" for i in range(100))) == " | ".join(f"line {i}" for i in range(6))
