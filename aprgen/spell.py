"""How numbers, names and tables are written in C. Pure functions; knows C's spelling, not what is spelled."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

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
CLOSE_LINE = 500  # the same of a table that nobody reads
LARGE = 4096  # elements of a table that nobody reads: it is spelled close, and runs of zeros are left out
RUN = 3  # elements of a large table beside each other that are equal, in the mean: then runs are spelled as such
LONGEST_RUN = 16  # apr_runs.h has no more
HUGE = 1 << 20  # bytes of a table that is text: 16 MB of numbers take gcc 1 GB and 11 s, as text 0.3 GB and 1 s
ROW_BYTES = 2048  # of text: C99 promises 4,095 characters
CHUNK_BYTES = 512 * ROW_BYTES  # spelled at once

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


def is_huge(data: Array) -> bool:
    """Whether a table is spelled as text, so that its elements are named `array_of(name, data)`."""
    return int(data.nbytes) >= HUGE


def has_runs(data: Array) -> bool:
    """Whether the spelling of a table takes apr_runs.h."""
    flat = data.reshape(-1)
    if data.dtype.kind != "u" or data.size <= LARGE or is_huge(data):
        return False
    return RUN * (1 + int(np.count_nonzero(flat[1:] != flat[:-1]))) <= len(flat)


def array_of(name: str, data: Array) -> str:
    """The array of elements of a table."""
    return f"{name}.all" if is_huge(data) else name


def table(name: str, data: Array, *, lines: bool = False, as_text: bool = False) -> str:
    """A constant array, flat, wrapped at LINE characters, or CLOSE_LINE; lines: it begins where a cache line does.

    as_text: it is the member `all` of a union of which apr_huge.h tells.
    """
    place = " APR_LINES" if lines else ""
    if as_text:
        return _as_text(name, data, place)
    head = f"static const {c_type(data)} {name}[{data.size}]{place} = {{"
    if data.size > LARGE:
        return f"{head}\n{_close(data.reshape(-1))}\n}};\n"
    text = values(data) + ","
    room = LINE - len(INDENT)
    wrapped: list[str] = []
    start = 0
    while len(text) - start > room:
        comma = text.rfind(", ", start, start + room + 1)
        wrapped.append(f"{INDENT}{text[start : comma + 1]}")
        start = comma + 2
    wrapped.append(f"{INDENT}{text[start:]}")
    body = "\n".join(wrapped)
    return f"{head}\n{body}\n}};\n"


def _close(flat: Array) -> str:
    """Elements with a comma between, wrapped at CLOSE_LINE characters. C sets to zero what has no value."""
    zero = (flat == 0) & ~np.signbit(flat)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], zero, [False]]).astype(np.int8)))
    runs = [(first, end) for first, end in edges.reshape(-1, 2).tolist() if 2 * (end - first) > len(f"[{end}]=")]
    spelled = _in_runs if has_runs(flat) else values
    parts: list[str] = []
    start = 0
    for first, end in [*runs, (len(flat), len(flat))]:
        if first > start:
            at = f"[{start}]=" if start else ""
            parts.append(f"{at}{_short(spelled(flat[start:first]))},")
        start = end
    text = "".join(parts) or "0,"
    wrapped: list[str] = []
    start = 0
    while len(text) - start > CLOSE_LINE:
        end = text.rfind(",", start, start + CLOSE_LINE) + 1
        wrapped.append(text[start:end])
        start = end
    return "\n".join([*wrapped, text[start:]])


def _in_runs(flat: Array) -> str:
    """As `values`, with a macro for equal ones beside each other where that is shorter."""
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, len(flat))
    parts: list[str] = []
    for value, length in zip(flat[ends - 1].tolist(), np.diff(ends, prepend=0).tolist(), strict=True):
        whole, rest = divmod(length, LONGEST_RUN)
        parts += [f"APR_{LONGEST_RUN}({value})"] * whole
        macro = f"APR_{rest}({value})"
        parts += [macro] if len(macro) < rest * len(f"{value},") else [str(value)] * rest
    return ", ".join(parts)


def _short(text: str) -> str:
    """Values without spaces, without the sign of exponents above 0, mantissas of 24 bits as six digits in place of
    seven, and 0 for a float that is."""
    close = re.sub(r"(?<![^,])0x0p0F(?![^,])", "0", text.replace(", ", ",").replace("p+", "p"))
    return re.sub(r"0x1\.([0-9a-f]{6})p(-?[0-9]+)", _of_six_digits, close)


def _of_six_digits(found: re.Match[str]) -> str:
    digits = f"{int('1' + found[1], 16) >> 1:x}"
    return f"0x{digits[0]}.{digits[1:]}p{int(found[2]) - 3}"


def _as_text(name: str, data: Array, place: str) -> str:
    """The bytes of an array as rows of text, and as elements."""
    flat = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
    rows = -(-len(flat) // ROW_BYTES)
    chunks = [_rows_of_text(flat[first : first + CHUNK_BYTES]) for first in range(0, len(flat), CHUNK_BYTES)]
    return (
        f"static const union {{\n{INDENT}unsigned char text[{rows}][{ROW_BYTES}] APR_NO_TEXT;\n"
        f"{INDENT}{c_type(data)} all[{data.size}];\n}} {name}{place} = {{{{\n{''.join(chunks)}}}}};\n"
    )


def _rows_of_text(flat: Array) -> str:
    """A literal a line: letters as they are, other bytes as octal numbers, short ones before what is no digit."""
    rows = np.zeros((-(-len(flat) // ROW_BYTES), ROW_BYTES), np.uint8)
    rows.reshape(-1)[: len(flat)] = flat
    after = np.zeros_like(rows)
    after[:, :-1] = rows[:, 1:]
    before_digit = (after >= ord("0")) & (after <= ord("7"))
    spelled = np.zeros((len(rows), ROW_BYTES + 2), _SPELLED_BYTES.dtype)
    spelled[:, 0], spelled[:, -1] = b'"', b'",\n'
    spelled[:, 1:-1] = _SPELLED_BYTES[before_digit.astype(np.intp), rows]
    letters = spelled.view(np.uint8)
    return str(letters[letters != 0].tobytes(), "ascii")


def _spelled_byte(value: int, before_digit: int) -> str:
    letter = chr(value)
    if " " <= letter <= "~" and letter not in '"\\?':  # no trigraphs
        return letter
    return f"\\{value:03o}" if before_digit else f"\\{value:o}"


_SPELLED_BYTES = np.array([[_spelled_byte(value, digit) for value in range(256)] for digit in (0, 1)], "S4")


@dataclass(frozen=True)
class Split:
    """An `if` of two blocks: left when the code of the feature is at most the constant."""

    feature: int
    constant: int
    left: int
    right: int
    right_first: bool


@dataclass(frozen=True)
class Block:
    """Statements, then splits one after the other."""

    statements: Sequence[str]
    splits: Sequence[Split]


def branches(blocks: Sequence[Block], root: int, near: int, kind: str) -> str:
    """A block as nested ifs; an empty one after an `else` is left out.

    Codes are of the C type `kind`; from `near` on they are read from `far`. Constants of floats are keys.
    """
    condition = _float_condition if kind == "float" else _code_condition
    suffix = "U" if kind.startswith("u") else ""
    lines: list[str] = []
    waiting: list[tuple[int | str, int]] = [(root, 1)]  # a block or a line, and its depth
    while waiting:
        one, depth = waiting.pop()
        if isinstance(one, str):
            lines.append(INDENT * depth + one)
            continue
        lines += [INDENT * depth + statement for statement in blocks[one].statements]
        for split in reversed(blocks[one].splits):
            place = f"x[{split.feature}]" if split.feature < near else f"far[{split.feature - near}]"
            sides = (split.right, split.left) if split.right_first else (split.left, split.right)
            second = blocks[sides[1]]
            waiting.append(("}", depth))
            if second.statements or second.splits:
                waiting += [(sides[1], depth + 1), ("} else {", depth)]
            waiting += [
                (sides[0], depth + 1),
                (f"if ({condition(place, split, suffix)}) {{", depth),
            ]
    return "\n".join(lines) + "\n" if lines else ""


def _code_condition(place: str, split: Split, suffix: str) -> str:
    return f"{place} {'>' if split.right_first else '<='} {int_literal(split.constant)}{suffix}"


def _float_condition(place: str, split: Split, suffix: str) -> str:
    """By the bits of the threshold: those of a key below 0 are the sign and all bits of -1 - key."""
    key = split.constant
    function, bits = ("apr_at_most", f"{key}") if key >= 0 else ("apr_at_most_negative", f"0x{2**31 - 1 - key:08X}U")
    return f"{function}({place}, {bits}) {'==' if split.right_first else '!='} 0"


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
