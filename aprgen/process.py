"""Starting other programs, each with a time limit, and the folder where aprgen keeps what it built once.

Knows nothing of compilers or emulators. Every program runs in its own process group, so that nothing it started
outlives the limit.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aprgen.errors import ToolchainError

_SHOWN_LINES = 6
_SHOWN_WIDTH = 300


@dataclass(frozen=True)
class Finished:
    """status: 0 to 255, or minus the number of the signal that ended the program."""

    status: int
    stdout: str
    stderr: str


@dataclass
class Started:
    """A running program; `finish` must follow."""

    process: subprocess.Popen[bytes]
    name: str
    work: str


def start(
    arguments: Sequence[str], *, work: str, folder: Path, environment: Mapping[str, str] | None = None
) -> Started:
    """Start a program in `folder`; `work` says for errors what it does ("compiling brake.c")."""
    try:
        process = subprocess.Popen(
            list(arguments),
            cwd=folder,
            env=None if not environment else {**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolchainError(
            "process.start", f"{Path(arguments[0]).name} could not be started: {error.strerror}", where=work,
            hint="check that the program is installed and may be executed",
        ) from error  # fmt: skip
    return Started(process, Path(arguments[0]).name, work)


def finish(started: Started, seconds: float) -> Finished:
    """Wait for the program; after `seconds` it and all it started are killed and a ToolchainError says so."""
    process = started.process
    try:
        stdout, stderr = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as error:
        _kill(process)
        shown = first_lines((error.stderr or b"").decode("utf-8", "replace"))
        raise ToolchainError(
            "process.timeout", f"{started.name} did not finish within {seconds:g} s{shown and ': ' + shown}",
            where=started.work, hint="the program hangs or the input is too large for the limit; raise the time limit",
        ) from None  # fmt: skip
    except BaseException:
        _kill(process)
        raise
    return Finished(process.returncode, stdout.decode("utf-8", "replace"), stderr.decode("utf-8", "replace"))


def run(
    arguments: Sequence[str],
    *,
    work: str,
    folder: Path,
    seconds: float,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Start and finish in one; the caller judges the status."""
    return finish(start(arguments, work=work, folder=folder, environment=environment), seconds)


def first_lines(text: str) -> str:
    """The beginning of a program's output, on one line, for an error message."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    shown = " | ".join(lines[:_SHOWN_LINES])
    return shown if len(shown) <= _SHOWN_WIDTH else shown[: _SHOWN_WIDTH - 3] + "..."


def cache_folder() -> Path:
    """A private folder that outlives the process: ~/.cache/aprgen, or one in the temporary folder."""
    candidates = [Path(tempfile.gettempdir()) / f"aprgen-{os.getuid()}"]
    with contextlib.suppress(RuntimeError):  # a user without a home
        candidates.insert(0, Path.home() / ".cache" / "aprgen")
    for candidate in candidates:
        try:
            candidate.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        # What lies there is loaded and run, so nobody else may have made it.
        if candidate.stat().st_uid == os.getuid() and os.access(candidate, os.W_OK | os.X_OK):
            return candidate
    raise ToolchainError(
        "cache.folder", "no folder can be written for compiled support files", where=str(candidates[0]),
        hint="make that folder, or the temporary folder, writable",
    )  # fmt: skip


def fingerprint(*parts: str | bytes) -> str:
    """A name for the result of a build, from all that went into it."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:24]


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
