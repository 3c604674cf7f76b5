"""The words about how a file is read: verification level, loading mode, memory. Imports nothing heavy."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

LEVELS = ("unsafe-skip", "checksum-only", "standard", "paranoid")  # as in container/loading.py
MODES = ("eager", "mapped", "streaming", "lazy")
LEAST_RING_BYTES = 256 << 10
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class Reading:
    """memory: a budget in bytes, or None; ring: what streaming holds."""

    level: str = "standard"
    mode: str = "eager"
    memory: int | None = None
    ring: int = LEAST_RING_BYTES


DEFAULT_READING = Reading()


def add_reading(parser: argparse.ArgumentParser) -> None:
    """The options of every verb that reads models, and nothing else of their files (docs/loading.md)."""
    group = parser.add_argument_group("how the file is read")
    group.add_argument(
        "--verify", metavar="LEVEL", choices=LEVELS, default="standard", help=f"what is checked: {', '.join(LEVELS)}"
    )
    group.add_argument("--mode", metavar="MODE", choices=MODES, default="eager", help=f"how: {', '.join(MODES)}")
    group.add_argument(
        "--memory", metavar="BYTES", type=_bytes, help="refuse to take more than this for reading; 64K, 10M"
    )
    group.add_argument(
        "--ring-buffer", metavar="BYTES", type=_bytes, default=LEAST_RING_BYTES, help="of --mode streaming (256K)"
    )


def reading_of(n: argparse.Namespace) -> Reading:
    return Reading(n.verify, n.mode, n.memory, n.ring_buffer)


def words_of(reading: Reading) -> list[str]:
    """For the command that a banner gives: of all this, only the level shows in what is made."""
    return [] if reading.level == DEFAULT_READING.level else ["--verify", reading.level]


def _bytes(text: str) -> int:
    unit = text[-1:].upper() if text[-1:].isalpha() else ""
    number = text[: len(text) - len(unit)]
    if unit not in UNITS or not (number.isascii() and number.isdigit()) or len(number) > 12:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes, such as 300000, 64K or 10M")
    return int(number) * UNITS[unit]
