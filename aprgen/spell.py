"""How numbers, names and tables are written in C. Pure functions; knows C's spelling, not what is spelled."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import numpy as np

from aprgen.program import Array, Element

C_TYPES = {
    "float32": "float",
    "float64": "double",
    "int8": "int8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "int64": "int64_t",
    "uint8": "uint8_t",
    "uint16": "uint16_t",
    "uint32": "uint32_t",
}
ELEMENT_TYPES: dict[Element, str] = {
    "f32": "float",
    "i8": "int8_t",
    "i16": "int16_t",
    "i32": "int32_t",
    "u16": "uint16_t",
    "u8": "uint8_t",
}

LINE = 100  # characters of a line of table values
INDENT = "    "
CLOSE = -(2**31) - 1  # among references of trees: the end of a block

# fmt: off
KEYWORDS = frozenset((
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern", "float",
    "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed", "sizeof",
    "static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while", "main",
))
# fmt: on


def c_type(data: Array) -> str:
    """The C type of an array's elements."""
    return C_TYPES[data.dtype.name]


def float_literal(value: float) -> str:
    """A float32 constant in hexadecimal, which C99 reads back exactly."""
    if not math.isfinite(value):
        return "APR_NAN" if math.isnan(value) else "APR_INFINITY" if value > 0 else "-APR_INFINITY"
    return f"{_shortened(value.hex())}F"


def _shortened(text: str) -> str:
    """Floats as float.hex spells them, without the zeros that end a mantissa."""
    for zeros in ("0000000", "0000", "00", "0", "."):  # a mantissa has at most 13 digits behind the point
        text = text.replace(f"{zeros}p", "p")
    return text


def double_literal(value: float) -> str:
    """A float64 constant in hexadecimal; the value must be finite."""
    return float_literal(value)[:-1]


def int_literal(value: int) -> str:
    """The smallest int32 has no literal of its own in C."""
    return "(-2147483647 - 1)" if value == -(2**31) else str(value)


def decimal(value: float) -> str:
    """For comments: nine digits tell every float32 apart."""
    return f"{np.float32(value):.9g}"


def values(data: Array) -> str:
    """All elements, with a comma and a space between."""
    flat = data.reshape(-1)
    if data.dtype.kind != "f":
        return ", ".join(map(int_literal if flat.min(initial=0) == -(2**31) else str, flat.tolist()))
    suffix = "F" if data.dtype == np.float32 else ""
    if not np.isfinite(flat).all():
        return ", ".join(map(float_literal if suffix else double_literal, flat.tolist()))
    return _shortened(f"{suffix}, ".join(map(float.hex, flat.tolist()))) + suffix


def table(name: str, data: Array) -> str:
    """A constant array, flat, wrapped at LINE characters."""
    text = values(data) + ","
    room = LINE - len(INDENT)
    lines: list[str] = []
    start = 0
    while len(text) - start > room:
        comma = text.rfind(", ", start, start + room + 1)
        lines.append(f"{INDENT}{text[start : comma + 1]}")
        start = comma + 2
    lines.append(f"{INDENT}{text[start:]}")
    body = "\n".join(lines)
    return f"static const {c_type(data)} {name}[{data.size}] = {{\n{body}\n}};\n"


def branches(
    splits: Sequence[tuple[int, int, int, int]], root: int, near: int, kind: str, leaf: str | Callable[[int], str]
) -> str:
    """A tree as nested ifs. splits: feature, constant, left and right, which are splits or, below 0, ~leaf.

    Codes are of the C type `kind`; from `near` on they are read from `far`. `leaf` is the statement of a leaf by its
    number, or a text of which every %d is the number.
    """
    suffix = "U" if kind.startswith("u") else ""
    lines: list[str] = []
    waiting: list[tuple[int, int, str]] = [(root, 1, "")]  # reference, depth, what stands before
    while waiting:
        reference, depth, before = waiting.pop()
        indent = INDENT * depth
        if before:
            lines.append(f"{INDENT * (depth - 1)}{before}")
        if reference == CLOSE:
            continue
        if reference < 0:
            number = ~reference
            lines.append(indent + (leaf.replace("%d", str(number)) if isinstance(leaf, str) else leaf(number)))
            continue
        feature, constant, left, right = splits[reference]
        place = f"x[{feature}]" if feature < near else f"far[{feature - near}]"
        lines.append(f"{indent}if ({place} <= {int_literal(constant)}{suffix}) {{")
        waiting += [(CLOSE, depth + 1, "}"), (right, depth + 1, "} else {"), (left, depth + 1, "")]
    return "\n".join(lines) + "\n"


def identifier(text: str) -> str:
    """A C identifier close to the text: letters, digits and underscores, not starting with a digit, no keyword."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_") or "model"
    if name[0].isdigit() or name in KEYWORDS or name.lower().startswith("apr_"):
        name = f"m_{name}"
    return name


def is_identifier(text: str) -> bool:
    return identifier(text) == text


def comment(text: str) -> str:
    """Text that can stand in a C comment: one line of printable ASCII, no comment mark, no trigraph, no backslash."""
    line = " ".join(text.split())
    safe = "".join(c if " " <= c <= "~" else "?" for c in line).replace("\\", "/")
    return re.sub(r"\*(?=/)|/(?=\*)|\?(?=\?)", r"\g<0> ", safe)
