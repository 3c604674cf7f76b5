"""JSON from a stranger: strict, bounded, without repeated keys, non-finite numbers or broken strings.

Knows nothing of what the JSON says.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TypeAlias

from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.errors import ContainerError

Json: TypeAlias = "bool | int | float | str | list[Json] | Mapping[str, Json] | None"


def require_json_bytes(n_bytes: int, base: int, limits: Limits) -> None:
    if n_bytes > limits.json_bytes:
        raise ContainerError(
            "container.limit",
            f"{n_bytes} bytes of metadata, the limit is {limits.json_bytes}",
            where=f"byte {base}, in the JSON metadata",
            hint="raise Limits.json_bytes if you trust the file",
        )


def parse_json(data: bytes, base: int, limits: Limits = DEFAULT_LIMITS) -> Json:
    """The value in `data`, which lies at byte `base` of the file."""

    def refuse(what: str, at: int = 0) -> ContainerError:
        return ContainerError(
            "container.metadata",
            what,
            where=f"byte {base + at}, in the JSON metadata",
            hint="the metadata is damaged or edited; export the model again",
        )

    def once(pairs: list[tuple[str, Json]]) -> Mapping[str, Json]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise refuse("a key occurs twice in one JSON object")
        return found

    def finite(text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            raise refuse(f"the number {text[:40]} is too large")
        return number

    def no_constant(text: str) -> float:
        raise refuse(f"{text} is no JSON")

    require_json_bytes(len(data), base, limits)
    try:
        value: Json = json.loads(
            data.decode("utf-8"), object_pairs_hook=once, parse_float=finite, parse_constant=no_constant
        )
        # An escaped half of a surrogate pair passes json.loads, but is no text.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise refuse("the metadata is no UTF-8", error.start) from None
    except UnicodeEncodeError:
        raise refuse("a string holds half of a surrogate pair") from None
    except json.JSONDecodeError as error:
        raise refuse(f"the metadata is no JSON: {error.msg}", error.pos) from None
    except RecursionError:
        raise refuse("JSON values are nested too deep") from None
    except ValueError as error:
        raise refuse(f"a number cannot be read: {error}") from None
    return value
