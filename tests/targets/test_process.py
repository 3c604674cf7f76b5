"""Programs that aprgen starts end in time, with all they started."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import pytest

from aprgen.errors import ToolchainError
from aprgen.process import cache_folder, fingerprint, first_lines, run


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


def test_the_cache_lies_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled support files are kept in the user's own cache."""
    monkeypatch.setenv("HOME", str(tmp_path))

    assert cache_folder() == tmp_path / ".cache" / "aprgen"


def test_without_a_home_the_cache_is_a_private_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the home cannot be written, a folder that only its user may enter stands in."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = cache_folder()

    assert found.parent == tmp_path
    assert found.stat().st_mode & 0o077 == 0


def test_names_of_cached_files_tell_their_parts_apart() -> None:
    """Moving a character from one part to the next gives another name."""
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
