"""The published test vectors of tests/data/vectors, with hexadecimal as bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1] / "data" / "vectors"
TEXTS = ("source", "why")


def vectors(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((ROOT / f"{name}.json").read_text(encoding="utf-8"))
    return {key: _bytes(value, key) for key, value in read.items()}


def _bytes(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {inner: _bytes(item, inner) for inner, item in value.items()}
    if isinstance(value, list):
        return [_bytes(item, key) for item in value]
    return bytes.fromhex(value) if isinstance(value, str) and key not in TEXTS else value
