"""CRC-32 by instructions: the variants of x86 and AArch64 give what zlib gives, and do use the instructions."""

from __future__ import annotations

import shutil
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from aprgen.core import runtime_headers
from aprgen.target import load_target
from tests.conftest import give_up
from tests.differential.compiled import WARNINGS, compile_c, write_texts

# Prints the checksum of every part of stdin: from `offset` and `n` long, in two pieces.
PROGRAM = """
#include "apr_crc.h"
#include <stdio.h>
static uint8_t bytes[4096];
int main(void)
{
    const size_t size = fread(bytes, 1U, sizeof bytes, stdin);
    for (size_t offset = 0U; offset < 17U; offset += 4U) {
        for (size_t n = 0U; n <= (size - offset); n += (n < 300U) ? 1U : 377U) {
            const uint32_t first = apr_crc32(0U, &bytes[offset], n / 3U);
            printf("%lx\\n", (unsigned long)apr_crc32(first, &bytes[offset + (n / 3U)], n - (n / 3U)));
        }
    }
    return 0;
}
"""
DATA = np.random.default_rng(8).bytes(4096)


def expected() -> list[int]:
    sizes = [*range(301), *range(300 + 377, 4096 + 1, 377)]
    return [zlib.crc32(DATA[at : at + n]) for at in range(0, 17, 4) for n in sizes if n <= 4096 - at]


@pytest.mark.parametrize(
    ("target", "compiler", "emulator", "instruction"),
    [
        ("x86-avx2", ("gcc",), ("qemu-x86_64", "-cpu", "max"), "pclmul"),
        ("x86-avx2", ("clang-14",), ("qemu-x86_64", "-cpu", "max"), "pclmul"),
        ("arm-neon", ("aarch64-linux-gnu-gcc", "-static"), ("qemu-aarch64", "-cpu", "cortex-a72"), "crc32x"),
        ("host", ("gcc",), ("qemu-x86_64",), ""),
    ],
)
@pytest.mark.parametrize("options", [(), ("-DAPR_CRC_HARDWARE=0",), ("-DAPR_CRC_TABLE_BYTES=4096",)])
def test_agrees_with_zlib(
    target: str, compiler: tuple[str, ...], emulator: tuple[str, ...], instruction: str, options: tuple[str, ...],
    tmp_path: Path,
) -> None:  # fmt: skip
    """Every length to 300 and some to 4096, at five addresses, in two pieces; also without the instruction."""
    for tool in (compiler[0], emulator[0]):
        if shutil.which(tool) is None:
            give_up(f"{tool} is not installed")
    write_texts({**runtime_headers('#include "apr_crc.h"\n', load_target(target)), "main.c": PROGRAM}, tmp_path)
    compile_c(compiler[0], ("-std=c99", "-O2", *WARNINGS, *compiler[1:], *options, "main.c", "-o", "main"), tmp_path)
    done = subprocess.run([*emulator, "./main"], cwd=tmp_path, input=DATA, capture_output=True, check=True)
    objdump = "aarch64-linux-gnu-objdump" if compiler[0].startswith("aarch64") else "objdump"
    code = subprocess.run([objdump, "-d", "main"], cwd=tmp_path, capture_output=True, check=True).stdout.decode()

    assert expected() == [int(line, 16) for line in done.stdout.split()]
    if instruction:
        assert (instruction in code) == ("-DAPR_CRC_HARDWARE=0" not in options)
