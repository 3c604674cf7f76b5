"""The compilers' own vector headers, read once per set of options: for each file anew, they took longer than the C.

Knows how gcc and clang keep a header that was read. It is used only where the sources include it themselves, so what
does not include what it needs fails as ever; gcc reads the header anew where what was kept does not fit.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from aprgen.toolchain import Toolchain, Unit

KEPT = "APRGEN_TESTS_HEADERS"  # the folder, for workers too
Command = Callable[[Toolchain, Unit], tuple[str, ...]]

FEW = 4  # reading a header to keep it takes gcc as long as four files that include it
_times: Counter[tuple[str, ...]] = Counter()

_INCLUDED = re.compile(r"^#include <(immintrin|arm_neon|arm_mve)\.h>", re.MULTILINE)
_OF_ONE_FILE = re.compile(r"-[cS]$|-shared$|-static|-W[lp],|-[lLI]|.*\.[cos]$")


def in_builds(plain: Command) -> Command:
    """The same command of aprgen.toolchain, with headers that were read before."""

    def command(toolchain: Toolchain, unit: Unit) -> tuple[str, ...]:
        words = plain(toolchain, unit)
        if toolchain.rule.module:  # zig keeps objects by itself
            return words
        options = (*toolchain.compiler, *toolchain.compile_flags, *unit.flags)
        return (*words, *read_before(options, (unit.source, *unit.source.parent.glob("*.h"))))

    command.plain = plain  # type: ignore[attr-defined]
    return command


def options_of(arguments: Sequence[str]) -> tuple[str, ...]:
    """Those that a header is read with: no files, nothing for the linker."""
    outputs = {index + 1 for index, word in enumerate(arguments) if word == "-o"}
    return tuple(
        word for index, word in enumerate(arguments)
        if word != "-o" and index not in outputs and not _OF_ONE_FILE.match(word)
    )  # fmt: skip


def read_before(options: Sequence[str], sources: Iterable[Path]) -> tuple[str, ...]:
    """What to add to a command with these options, compiler first.

    Nothing where the sources include no such header, and the first times: options of few files are not worth it.
    """
    names = {name for path in sources for name in _INCLUDED.findall(path.read_text(encoding="utf-8"))}
    if len(names) != 1 or KEPT not in os.environ:
        return ()
    asked = (*names, *options)
    _times[asked] += 1
    return _read(names.pop(), tuple(options)) if _times[asked] > FEW else ()


@functools.cache
def _read(name: str, options: tuple[str, ...]) -> tuple[str, ...]:
    folder = Path(os.environ[KEPT]) / hashlib.sha256("\0".join((name, *options)).encode()).hexdigest()[:16]
    folder.mkdir(exist_ok=True)
    header = folder / f"{name}_once.h"
    with contextlib.suppress(FileExistsError), header.open("x") as file:  # clang asks whether it has changed
        file.write(f"#include <{name}.h>\n")
    kept = folder / f"{header.name}.{'pch' if 'clang' in options[0] else 'gch'}"
    if not kept.exists():
        made = kept.with_suffix(f".{os.getpid()}")
        command = (*options, "-x", "c-header", str(header), "-o", str(made))
        if subprocess.run(command, capture_output=True, cwd=folder, check=False).returncode != 0:
            return ()
        made.replace(kept)
    return ("-include", str(header))
