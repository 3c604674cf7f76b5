"""How a file is read: the verification levels, the loading modes, and what may be spent. Knows words and numbers.

docs/loading.md has the tables for people. `Checks` is the one place that says what a level looks at; whatever is not in
it is looked at on every level: places, sizes, counts, limits, and every signature that the caller demands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from aprgen.errors import UsageError

Level = Literal["unsafe-skip", "checksum-only", "standard", "paranoid"]
Mode = Literal["eager", "mapped", "streaming", "lazy"]

LEAST_RING_BYTES = 256 << 10  # a block of zstd goes in and out, 128 KiB each at most
MOST_RING_BYTES = 1 << 30


@dataclass(frozen=True)
class Checks:
    """checksum: CRC-32. signature: one that nobody demanded. agreement: a native computation is that of its record.

    strict: nothing that a careful reader would report, and the only spelling of the same content. twice: unpacked a
    second time, to the same bytes. sound: fitted, finite, and both ways to compute the model agree on test rows.
    """

    checksum: bool = True
    signature: bool = True
    agreement: bool = True
    strict: bool = False
    twice: bool = False
    sound: bool = False


LEVELS: Mapping[Level, Checks] = {
    "unsafe-skip": Checks(checksum=False, signature=False, agreement=False),
    "checksum-only": Checks(signature=False, agreement=False),
    "standard": Checks(),
    "paranoid": Checks(strict=True, twice=True, sound=True),
}
STANDARD: Checks = LEVELS["standard"]
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True)
class Loading:
    """memory_bytes: what reading may take, None for no budget. ring_bytes: what streaming holds beside its result."""

    level: Level = "standard"
    mode: Mode = "eager"
    memory_bytes: int | None = None
    ring_bytes: int = LEAST_RING_BYTES

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise _no_word(f"verification level {self.level!r}", "verify", tuple(LEVELS))
        if self.mode not in MODES:
            raise _no_word(f"loading mode {self.mode!r}", "mode", MODES)
        if self.memory_bytes is not None and self.memory_bytes < 0:
            what = f"a memory budget of {self.memory_bytes} bytes"
            raise UsageError("usage.memory", what, where="memory", hint="give bytes, or None")
        if not LEAST_RING_BYTES <= self.ring_bytes <= MOST_RING_BYTES:
            raise UsageError(
                "usage.ring_buffer", f"a ring buffer of {self.ring_bytes} bytes", where="ring_buffer",
                hint=f"from {LEAST_RING_BYTES} (the default) to {MOST_RING_BYTES}",
            )  # fmt: skip

    @property
    def checks(self) -> Checks:
        return LEVELS[self.level]


DEFAULT_LOADING = Loading()


def _no_word(what: str, where: str, words: tuple[str, ...]) -> UsageError:
    return UsageError("usage.loading", f"there is no {what}", where=where, hint=f"use one of {', '.join(words)}")
