"""Damaged and hostile signed and encrypted files, made from those of tests/data/suites: always the same ones.

Whoever has no key refuses every one of them; `fuzz` tries such files with the keys.
"""

from __future__ import annotations

import struct
from pathlib import Path

from tests.hostile.bytesmith import Named, patched, with_crc

ROOT = Path(__file__).resolve().parents[1] / "data" / "suites"
SOURCES = ("standard_both", "post-quantum_password", "hybrid_both", "gov_signed")  # every suite, every form
BLOCKS = {0: 96, 2: 5261, 3: 5357, 4: 193}
ENVELOPE_LIES = (
    ("version_0", 0, b"\0"), ("version_255", 0, b"\xff"), ("mode_0", 1, b"\0"), ("mode_3", 1, b"\3"),
    ("promise_2", 2, b"\2"), ("zero_is_1", 3, b"\1"), ("size_0", 4, bytes(4)), ("size_7", 4, b"\7\0\0\0"),
    ("size_4_gib", 4, b"\xff\xff\xff\xff"), ("mode_password", 1, b"\1"), ("mode_recipient", 1, b"\2"),
)  # fmt: skip
COSTS = (
    (0, 0, 0), (0xFFFFFFFF, 1, 1), (1, 0xFFFFFFFF, 1), (65_536, 3, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
    (1, 40_000, 1), (131_073, 1, 1), (131_072, 5, 1),
)  # fmt: skip


def protected_files() -> Named:
    for name in SOURCES:
        data = (ROOT / f"{name}.apr").read_bytes()
        suite, flags = data[23], data[21]
        start = 32 + struct.unpack_from("<I", data, 8)[0]
        for other in (1, 2, 3, 4, 5, 0xFF):
            if other != suite and not (suite == 0 and other == 1):
                yield f"{name}_suite_{other:#04x}", patched(data, 23, bytes([other]))
        if flags & 2:
            block = len(data) - 4 - BLOCKS[suite]
            yield f"{name}_no_block", with_crc(data[:block])
            yield f"{name}_half_block", with_crc(data[: block + BLOCKS[suite] // 2])
            yield f"{name}_zero_block", with_crc(data[:block] + bytes(BLOCKS[suite]))
            yield f"{name}_full_block", with_crc(data[:block] + b"\xff" * BLOCKS[suite])
            yield f"{name}_order_1_block", with_crc(data[:block] + b"\1" + bytes(BLOCKS[suite] - 1))
            yield f"{name}_turned_block", with_crc(data[:block] + data[-5 : block - 1 : -1])
            yield f"{name}_flag_cleared", patched(data, 21, bytes([flags & ~2]))
            yield f"{name}_first_bit", patched(data, block, bytes([data[block] ^ 1]))
        if flags & 1:
            yield f"{name}_not_encrypted", patched(data, 21, bytes([flags & ~1]))
            yield f"{name}_no_payload", with_crc(data[:12] + bytes(4) + data[16:start])
            for size in (1, 8, 28, 43, 63):
                yield f"{name}_payload_{size}", with_crc(data[:12] + struct.pack("<I", size) + data[16 : start + size])
        if flags & 1 and suite in (2, 3, 4):
            for lie, offset, new in ENVELOPE_LIES:
                if data[start + offset : start + offset + len(new)] != new:
                    yield f"{name}_{lie}", patched(data, start + offset, new)
        if "password" in name and suite in (2, 3):
            for number, costs in enumerate(COSTS):
                yield f"{name}_costs_{number}", patched(data, start + 8, struct.pack("<III", *costs))
