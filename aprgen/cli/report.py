"""JSON for programs, and errors as JSON. Stable keys; numbers that JSON cannot hold are null.

Knows nothing of layout.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from aprgen.errors import AprgenError


def print_json(value: Mapping[str, object]) -> None:
    """On stdout, ASCII only, so that nothing in it can drive a terminal."""
    print(json.dumps(plain(value), indent=2, allow_nan=False))


def plain(value: object) -> object:
    """Tuples as lists, NaN and infinities as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def error_facts(error: AprgenError) -> dict[str, object]:
    return {
        "code": error.code,
        "what": error.what,
        "where": error.where,
        "hint": error.hint,
        "exit_status": error.exit_status,
    }


def of_file(error: AprgenError, path: Path) -> AprgenError:
    """The same error, with the file in its place."""
    return type(error)(error.code, error.what, where=f"{path.name}, {error.where}", hint=error.hint)
