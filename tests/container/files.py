"""The fixtures of tests/data/apr, and what their JSON says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1] / "data" / "apr"


@dataclass(frozen=True)
class Fixture:
    name: str
    writer: str
    model_type: int | None  # None: APR v2
    compression: str | None

    @property
    def data(self) -> bytes:
        return (ROOT / f"{self.name}.apr").read_bytes()

    @property
    def expected(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((ROOT / f"{self.name}.json").read_text())
        return loaded

    @property
    def encrypted(self) -> bool:
        return self.writer in ("save_encrypted", "save_for_recipient")

    @property
    def signed(self) -> bool:
        return self.writer == "save_signed"


ALL = tuple(
    Fixture(entry["path"].removesuffix(".apr"), entry["written_by"], entry["model_type_id"], entry["compression"])
    for entry in json.loads((ROOT / "index.json").read_text())
)
V1 = tuple(each for each in ALL if each.model_type is not None)
V2 = tuple(each for each in ALL if each.model_type is None)
OPEN = tuple(each for each in V1 if not each.encrypted)
ENCRYPTED = tuple(each for each in V1 if each.encrypted)
SIGNED = tuple(each for each in V1 if each.signed)
PLAIN = tuple(each for each in OPEN if not each.signed)


def named(name: str) -> Fixture:
    return next(each for each in ALL if each.name == name)


def floats(text: str) -> NDArray[np.float32]:
    """Float32 bit patterns in hex, separated by spaces."""
    return np.array([int(word, 16) for word in text.split()], np.uint32).view(np.float32)


def bits(values: NDArray[np.float32]) -> list[int]:
    return np.ascontiguousarray(values, np.float32).reshape(-1).view(np.uint32).tolist()  # type: ignore[no-any-return]
