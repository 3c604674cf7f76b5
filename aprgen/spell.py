"""How numbers, names and tables are written in C. Pure functions; knows C's spelling, not what is spelled."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

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
ELEMENT_TYPES: dict[Element, str] = {"f32": "float", "i32": "int32_t", "u16": "uint16_t"}

LINE = 100  # characters of a line of table values
INDENT = "    "

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
    mantissa, _, exponent = value.hex().partition("p")  # the mantissa always has a point
    return f"{mantissa.rstrip('0').rstrip('.')}p{exponent}F"


def double_literal(value: float) -> str:
    """A float64 constant in hexadecimal; the value must be finite."""
    return float_literal(value)[:-1]


def int_literal(value: int) -> str:
    """The smallest int32 has no literal of its own in C."""
    return "(-2147483647 - 1)" if value == -(2**31) else str(value)


def decimal(value: float) -> str:
    """For comments: nine digits tell every float32 apart."""
    return f"{np.float32(value):.9g}"


def values(data: Array) -> Iterator[str]:
    flat = data.reshape(-1)
    if data.dtype == np.float32:
        return map(float_literal, flat.tolist())
    if data.dtype == np.float64:
        return map(double_literal, flat.tolist())
    return map(int_literal, flat.tolist())


def table(name: str, data: Array) -> str:
    """A constant array, flat, wrapped at LINE characters."""
    lines: list[str] = []
    line: list[str] = []
    used = len(INDENT)
    for value in values(data):
        used += len(value) + 2
        if used > LINE + 1:  # no space follows the last comma
            lines.append(", ".join(line))
            line = []
            used = len(INDENT) + len(value) + 2
        line.append(value)
    lines.append(", ".join(line))
    body = "\n".join(f"{INDENT}{row}," for row in lines)
    return f"static const {c_type(data)} {name}[{data.size}] = {{\n{body}\n}};\n"


def identifier(text: str) -> str:
    """A C identifier close to the text: letters, digits and underscores, not starting with a digit, no keyword."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_") or "model"
    if name[0].isdigit() or name in KEYWORDS or name.startswith(("apr_", "APR_")):
        name = f"m_{name}"
    return name


def is_identifier(text: str) -> bool:
    return identifier(text) == text


def comment(text: str) -> str:
    """Text that can stand in a C comment: one line of printable ASCII, and no comment mark."""
    line = " ".join(text.split())
    safe = "".join(c if " " <= c <= "~" else "?" for c in line)
    return safe.replace("*/", "* /").replace("/*", "/ *").replace("\\", "/").replace("??", "? ?")
