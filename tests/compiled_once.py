"""What a compiler makes of a file is made once for the whole run: many tests build the same C with the same words.

The command, its sources and all C and headers where it may look for them decide; where these are equal, the result is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from aprgen.process import fingerprint
from aprgen.toolchain import Toolchain, Unit

KEPT = "APRGEN_TESTS_COMPILED"  # the folder, for workers too
LARGEST = 1 << 20  # bytes of a result that is kept: large models are rarely built twice
Commands = Sequence[tuple[Unit, tuple[str, ...]]]
RunAll = Callable[[Toolchain, Commands, Path, float], None]


def in_builds(plain: RunAll) -> RunAll:
    """The same of aprgen.toolchain, without the commands whose results are there."""

    def run_all(toolchain: Toolchain, commands: Commands, work: Path, seconds: float) -> None:
        missing = [one for one in commands if toolchain.rule.module or not taken(one[1], work)]
        plain(toolchain, missing, work, seconds)
        for _, command in missing:
            if not toolchain.rule.module:  # zig keeps objects by itself
                keep(command, work)

    return run_all


def taken(command: Sequence[str], folder: Path) -> bool:
    """Whether the result was there, and is now where the command would have put it. A copy: libraries have state."""
    if "-o" not in command:
        return False
    kept, out = _places(command, folder)
    if not kept.exists():
        return False
    shutil.copy(kept, out)
    if _stack(kept).exists():
        shutil.copy(_stack(kept), _stack(out))
    return True


def keep(command: Sequence[str], folder: Path) -> None:
    """After the command ended well, in one step, as another worker may look."""
    if "-o" not in command:
        return
    kept, out = _places(command, folder)
    if out.stat().st_size <= LARGEST:
        beside = kept.with_suffix(f".{os.getpid()}")
        for made, place in ((_stack(out), _stack(kept)), (out, kept)):  # the result last: it says that all is there
            if made.exists():
                shutil.copy(made, beside)
                beside.replace(place)


def _stack(result: Path) -> Path:
    """What -fstack-usage writes beside a result."""
    return result.with_suffix(".su")


def _places(command: Sequence[str], folder: Path) -> tuple[Path, Path]:
    """Of the kept result and of the command's output. Folders of files do not count, names and contents do."""
    words = list(command)
    out = folder / words[words.index("-o") + 1]
    files = [path for word in words[1:] if (path := folder / word).is_file() and path != out]
    looked_in = [*(path.parent for path in files), *(folder / word[2:] for word in words if word.startswith("-I"))]
    included = [path for one in dict.fromkeys(looked_in) for path in sorted(one.rglob("*.[ch]"))]
    contents = [part for path in (*files, *included) for part in (path.name, path.read_bytes())]
    names = ["-I" if word.startswith("-I") else word.rsplit("/", 1)[-1] for word in words[1:]]
    return Path(os.environ[KEPT]) / fingerprint(words[0], *names, "", *contents), out
