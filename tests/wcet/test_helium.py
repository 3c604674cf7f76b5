"""The vector instructions decoded by hand, against the assembler and a second disassembler."""

from __future__ import annotations

import random
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from aprgen.wcet import helium
from tests.conftest import give_up
from tests.wcet.assembled import linked

LOADS = ("vldrb.8 q0,[r0]", "vldrb.8 q3,[r5],#16", "vldrb.8 q3,[r5,#-127]", "vldrb.8 q7,[r12,#127]!",
         "vldrh.16 q0,[r9]", "vldrh.16 q3,[r5],#-16", "vldrh.16 q1,[r1],#128", "vldrw.32 q1,[r1],#128")  # fmt: skip
PRODUCTS = ("vmladava.s8 r0,q0,q1", "vmladava.s8 r12,q7,q6", "vmladava.s16 r2,q3,q1", "vmladava.s32 r12,q7,q6",
            "vmladav.s8 r0,q0,q1")  # fmt: skip
PREDICATES = ("vctp.8 r0", "vctp.16 r3", "vctp.32 lr", "vmsr p0, r3", "vmrs r3, p0")
OTHERS = ("vstrb.8 q0,[r0]", "vmladavax.s8 r0,q0,q1", "vadd.i32 q0,q1,q2", "vmlsdava.s8 r0,q0,q1", "vldrb.s16 q0,[r0]",
          "vmlaldava.s16 r0,r1,q0,q1", "vrmlaldavha.s32 r0,r1,q0,q1")  # fmt: skip


def words(lines: tuple[str, ...], folder: Path) -> list[bytes]:
    """The encodings of instructions of four bytes."""
    code = linked("\n".join(("function f", *lines)), folder, "v8.1-M").function("f").code
    return [code[at : at + 4] for at in range(0, len(code), 4)]


@pytest.mark.parametrize("lines", [LOADS, PRODUCTS, PREDICATES])
def test_known_instructions(lines: tuple[str, ...], tmp_path: Path) -> None:
    """Each is decoded, under the name and with the operands that the assembler was given."""
    for line, code in zip(lines, words(lines, tmp_path), strict=True):
        found = helium.decode(code, 0x100)
        assert found is not None, line
        registers = set(re.findall(r"\b(?:r\d+|q\d|lr|p0)\b", line))
        assert registers <= found.reads | found.writes, line
        assert (found.reads | found.writes) - registers <= {"p0"}, line
        assert re.findall(r"#-?\d+", line) in ([], re.findall(r"#-?\d+", found.text)), line
        assert (found.loads, found.loaded_bytes, found.size, found.flow) == (
            (1, 16, 4, "next") if line.startswith("vldr") else (0, 0, 4, "next")
        )


def test_other_instructions_stay_unknown(tmp_path: Path) -> None:
    """Neighbours in the encoding space are none of these."""
    for line, code in zip(OTHERS, words(OTHERS, tmp_path), strict=True):
        assert helium.decode(code, 0) is None, line


ENCODINGS = (0xEC10, 0xED90, 0xEEF0, 0xF000, 0xEEED, 0xEEFD)  # first halfwords, of which some bits are changed
NAMES = {"vmladav": "vmlav", "vmladava": "vmlava"}  # as llvm calls them
TRIES = 60_000


def taken(source: random.Random) -> list[tuple[bytes, str]]:
    """Random words near each encoding that are taken for an instruction, and its name."""
    found = []
    for high in ENCODINGS:
        for _ in range(TRIES):
            first = high ^ (source.getrandbits(9))
            code = struct.pack("<HH", first, source.getrandbits(16) | (0x1E00 if high < 0xEE00 else 0))
            instruction = helium.decode(code, 0)
            if instruction is not None:
                found.append((code, re.split(r"[. ]", instruction.text)[0]))
    return source.sample(found, min(len(found), 3000))


def test_a_second_decoder_agrees(tmp_path: Path) -> None:
    """Every random word that is taken for one of these instructions has that name for llvm, too."""
    objdump = shutil.which("llvm-objdump-14") or shutil.which("llvm-objdump")
    if objdump is None:
        give_up("llvm-objdump is not installed")
    found = taken(random.Random(1))
    halves = [struct.unpack("<HH", code) for code, _ in found]
    text = "\n".join(("function f", *(f".inst.w {first << 16 | second:#x}" for first, second in halves)))
    linked(text, tmp_path, "v8.1-M")
    words = [objdump, "-d", "--triple=thumbv8.1m.main", "--mattr=+mve", str(tmp_path / "a.o")]
    listing = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout
    names = re.findall(r"^\s+[0-9a-f]+: (?:[0-9a-f]{2} ){4}\s*(\S+)", listing, re.M)

    assert len(names) == len(found) > 500
    for (code, ours), theirs in zip(found, names, strict=True):
        assert NAMES.get(ours, ours) == theirs.split(".")[0], code.hex()
