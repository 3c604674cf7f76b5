"""Checks a report document against templates/report/wcet.schema.json, with the part of JSON Schema that it uses.

Knows the schema's language, not the report; an unknown keyword is our own mistake.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping

from aprgen.errors import UsageError
from aprgen.resources import folder
from aprgen.wcet.report import Former
from aprgen.wcet.verdict import unit_of

SCHEMA = "wcet.schema.json"
_KNOWN = {
    "$schema", "$id", "$defs", "$ref", "title", "description", "type", "properties", "required",
    "additionalProperties", "items", "enum", "minimum", "pattern",
}  # fmt: skip
_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list, tuple),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


@functools.cache
def schema() -> dict[str, object]:
    found = json.loads((folder("templates") / "report" / SCHEMA).read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def faults(document: object) -> tuple[str, ...]:
    """Where the document differs from the schema; empty when it keeps to it."""
    return tuple(_faults(document, schema(), "report"))


def _faults(value: object, rule: Mapping[str, object], where: str) -> list[str]:
    unknown = set(rule) - _KNOWN
    assert not unknown, f"the schema uses {unknown}"
    reference = rule.get("$ref")
    if isinstance(reference, str):
        definitions = schema()["$defs"]
        assert isinstance(definitions, dict)
        return _faults(value, definitions[reference.rsplit("/", 1)[1]], where)
    found = _type_faults(value, rule, where)
    if found:
        return found
    allowed = rule.get("enum")
    if isinstance(allowed, list) and value not in allowed:
        found.append(f"{where}: {value!r} is not one of {allowed}")
    minimum = rule.get("minimum")
    if isinstance(minimum, int | float) and isinstance(value, int | float) and value < minimum:
        found.append(f"{where}: {value} is less than {minimum}")
    if isinstance(value, dict):
        found += _object_faults(value, rule, where)
    items = rule.get("items")
    if isinstance(items, dict) and isinstance(value, list | tuple):
        for number, item in enumerate(value):
            found += _faults(item, items, f"{where}[{number}]")
    return found


def _type_faults(value: object, rule: Mapping[str, object], where: str) -> list[str]:
    types = rule.get("type")
    if types is None:
        return []
    names = [types] if isinstance(types, str) else list(types) if isinstance(types, list) else []
    for name in names:
        if isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool)):
            return []
    return [f"{where}: {type(value).__name__} instead of {' or '.join(names)}"]


def _object_faults(value: Mapping[str, object], rule: Mapping[str, object], where: str) -> list[str]:
    properties = rule.get("properties", {})
    required = rule.get("required", [])
    assert isinstance(properties, dict)
    assert isinstance(required, list)
    found = [f"{where}: {key} is missing" for key in required if key not in value]
    rest = rule.get("additionalProperties", True)
    for key, item in value.items():
        if key in properties:
            found += _faults(item, properties[key], f"{where}.{key}")
        elif rest is False:
            found.append(f"{where}: {key} is no key of a report")
        elif isinstance(rest, dict):
            found += _faults(item, rest, f"{where}.{key}")
    return found


def former_report(data: bytes, name: str) -> Former:
    """What is compared of a report file; a UsageError when it is none."""
    try:
        value = json.loads(data)
    except (ValueError, UnicodeDecodeError) as error:
        raise UsageError(
            "wcet.compare", f"the former report is no JSON: {error}", where=name, hint="give a file written by --json"
        ) from error
    wrong = faults(value)
    if wrong:
        raise UsageError(
            "wcet.compare", f"the file is no timing report: {wrong[0]}", where=name,
            hint="give a file written by --json of this version",
        )  # fmt: skip
    identity = value["identity"]
    found = ((entry["function"], _most(entry)) for entry in value["entries"])
    most = {function: number for function, number in found if number is not None}
    return Former(
        identity["image_sha256"], identity["core"], identity["model_sha256"], identity["timing_sha256"],
        identity["compiler"], most, unit_of(entry["status"] for entry in value["entries"]),
    )  # fmt: skip


def _most(entry: Mapping[str, object]) -> int | None:
    """Cycles, or instructions of a count."""
    counts, cycles = entry["counts"], entry["cycles"]
    found = counts[0]["at_most"] if isinstance(counts, list) and counts else cycles
    return found if isinstance(found, int) else None
