"""Assembly for the tests of the decoder and the graphs: assembled and linked by the GNU tools, or not at all."""

from __future__ import annotations

import subprocess
from pathlib import Path

from aprgen.wcet.code import Code, read_code

CORES = {"v6-M": "cortex-m0plus", "v7-M": "cortex-m3", "v7E-M": "cortex-m4", "v8-M": "cortex-m33"}
_NEWER = {"v8.1-M": ".arch armv8.1-m.main\n.arch_extension mve"}  # whose core the assembler may not know
_FPU = {"v7E-M": ".fpu fpv4-sp-d16\n", "v8-M": ".fpu fpv5-sp-d16\n"}
# The prefix of the GNU tools, and how a text begins.
_OTHERS = {"x86-64": ("", (".intel_syntax noprefix",)), "AArch64": ("aarch64-linux-gnu-", (".arch armv8.2-a+dotprod",))}


def linked(text: str, folder: Path, architecture: str = "v7E-M") -> Code:
    """The program of an assembler text whose functions are named by `function NAME` lines; it begins at 0x8000."""
    core = _NEWER.get(architecture) or f".cpu {CORES.get(architecture)}"
    tools, head = _OTHERS.get(architecture) or (
        "arm-none-eabi-", (core, ".syntax unified", _FPU.get(architecture, ""), ".thumb")
    )  # fmt: skip
    thumb = [] if architecture in _OTHERS else [".thumb_func"]
    lines = [*head, ".text"]
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["function"]:
            lines += [".balign 4", f".global {words[1]}", f".type {words[1]}, %function", *thumb, f"{words[1]}:"]
        else:
            lines.append(line)
    source, made, program = folder / "a.s", folder / "a.o", folder / "a.elf"
    source.write_text("\n".join(lines) + "\n")
    _run([f"{tools}as", str(source), "-o", str(made)])
    _run([f"{tools}ld", "-Ttext=0x8000", "-e", "0x8000", str(made), "-o", str(program)])
    return read_code(program)


def _run(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
