"""Where other runtimes live: an environment of its own for each, and a process that times itself when it is asked.

A room is a virtual environment, or a folder of npm's, in a folder that is kept. What cannot be had ends in a line.
Knows versions and how to ask; knows nothing of models.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aprgen.process import fingerprint

INSTALL_SECONDS = 900
ANSWER_SECONDS = 300
PROGRAMS = Path(__file__).with_name("runtimes")


@dataclass(frozen=True)
class Room:
    """packages: of PyPI, or of npm, which goes with node. waits: seconds until it is ready for its first question."""

    name: str
    program: str
    packages: tuple[str, ...]
    npm: bool = False
    waits: float = ANSWER_SECONDS


# In the versions compared.
ROOMS = (
    Room("numpy", "numpy_peer.py", ("numpy==2.4.6",)),
    Room("lleaves", "lleaves_peer.py", ("lleaves==1.3.0", "llvmlite==0.44.0", "numpy==2.4.6")),
    Room("openvino", "openvino_peer.py", ("openvino==2026.4.1", "numpy==2.4.6")),
    Room("xnnpack", "litert_peer.py", ("ai-edge-litert==2.3.0", "flatbuffers==25.12.19", "numpy==2.4.6")),
    Room("onnxruntime", "onnxruntime_peer.py", ("onnxruntime==1.32.0", "onnx==1.23.2", "numpy==2.4.6")),
    Room("faiss", "faiss_peer.py", ("faiss-cpu==1.15.1", "numpy==2.4.6")),
    Room("onnxruntime-web", "web_peer.mjs", ("onnxruntime-web@1.30.0",), npm=True),
)


class AbsentError(Exception):
    """A runtime cannot be had here, or does not do the work. Its text is one line that says why."""


def installed(room: Room, folder: Path, *, install: bool) -> Path:
    """The room's own folder, made if it is not there yet. A half-made one is made again."""
    place = folder / f"{room.name}-{fingerprint(*room.packages, sys.version)[:12]}"
    ready = place / "ready"
    if ready.is_file():
        return place
    if not install:
        raise AbsentError(f"not installed in {folder}; leave out --no-install")
    if room.npm and (shutil.which("npm") is None or shutil.which("node") is None):
        raise AbsentError("node and npm are not on PATH")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    print(f"{room.name}: {' '.join(room.packages)} is installed in {place}", flush=True)
    if room.npm:
        (place / "package.json").write_text('{"private": true}\n')
        _made(["npm", "install", "--no-fund", "--no-audit", "--ignore-scripts", *room.packages], place)
    else:
        _made([sys.executable, "-m", "venv", str(place)], place)
        _made([str(_python(place)), "-m", "pip", "install", "--quiet", *room.packages], place)
    ready.touch()
    return place


def _python(place: Path) -> Path:
    return place / "bin" / "python"


def _made(command: Sequence[str], folder: Path) -> None:
    work = " ".join(Path(word).name if word.startswith("/") else word for word in command)
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise AbsentError(f"{work}: not done in {INSTALL_SECONDS} s") from None
    except OSError as error:
        raise AbsentError(f"{work}: {error.strerror}") from None
    if done.returncode:
        raise AbsentError(f"{work}: {told(done.stderr or done.stdout)}")


def told(text: str) -> str:
    """The line of a program's output that says what is wrong: the last that names an error, or else the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() and "log of this run" not in line]
    return (errors or lines or ["it said nothing"])[-1][:300]


@dataclass(frozen=True)
class Said:
    """A form that is ready: what it calls itself, and where its answers lie. inside: one row is a loop of C."""

    tool: str
    numeric: str
    answers: Path
    one: bool
    inside: bool


@dataclass(frozen=True, eq=False)
class Runtime:
    """A process with forms that are ready."""

    forms: tuple[Said, ...]
    ask: Callable[[dict[str, object]], dict[str, Any]]

    def times(self, form: int, call: str, n: int) -> list[float]:
        """Microseconds of n calls, after one that nobody times: "batch" is all rows, "one" is one."""
        found = self.ask({"form": form, "call": call, "times": n})["microseconds"]
        return [float(one) for one in found]


def command_of(room: Room, place: Path, task: Path, words: Sequence[str] = ()) -> list[str]:
    """words: for node itself."""
    program = str(PROGRAMS / room.program)
    if room.npm:
        return ["node", *words, program, str(task), str(place)]
    return [str(_python(place)), program, str(task)]


@contextlib.contextmanager
def started(command: Sequence[str], task: Path, seconds: float = ANSWER_SECONDS) -> Iterator[Runtime]:
    """On the cores of this process. Variables of this shell that tune libraries are not theirs."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    with tempfile.TemporaryFile("w+") as errors:
        try:
            process = subprocess.Popen(
                list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=task, text=True,
                bufsize=1, env=kept | {"LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            )  # fmt: skip
        except OSError as error:
            raise AbsentError(f"{Path(command[0]).name} could not be started: {error.strerror}") from None

        def heard(limit: float) -> dict[str, Any]:
            assert process.stdout is not None
            ends = time.monotonic() + limit
            while not select.select([process.stdout], [], [], max(ends - time.monotonic(), 0))[0]:
                if time.monotonic() >= ends:
                    raise AbsentError(f"no answer in {limit:g} s")
            line = process.stdout.readline()
            if not line:
                status = process.wait(timeout=ANSWER_SECONDS)
                errors.seek(0)
                ended = f"signal {-status}" if status < 0 else f"status {status}"
                raise AbsentError(f"it ended with {ended}: {told(errors.read())}")
            found: dict[str, Any] = json.loads(line)
            return found

        def ask(question: dict[str, object]) -> dict[str, Any]:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # it has ended; heard() says how
                process.stdin.write(json.dumps(question) + "\n")
                process.stdin.flush()
            return heard(ANSWER_SECONDS)

        try:
            facts = heard(seconds)["forms"]
            forms = tuple(
                Said(one["tool"], one["numeric"], task / one["answers"], one["one"], one["inside"]) for one in facts
            )
            yield Runtime(forms, ask)
        finally:
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
