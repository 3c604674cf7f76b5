"""Text from strangers, made safe to print: no control characters, no overlong values.

Knows nothing of where the text came from, nor of how it is laid out.
"""

from __future__ import annotations

from collections.abc import Mapping

LONGEST = 400  # characters of one value; `--format json` shows all
MOST_ITEMS = 12
DEEPEST = 4


def visible(text: str) -> str:
    """The text with everything that a terminal would obey, or not show, as an escape such as \\x1b."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    """As Python spells it in a string."""
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char) or ascii(char)[1:-1]


def shortened(text: str, room: int = LONGEST) -> str:
    """Visible, and of `room` characters at most, with a note of what was cut."""
    if len(text) <= room:
        return visible(text)
    return f"{visible(text[:room])}... ({len(text)} characters)"


def lines_of(text: str, most: int = MOST_ITEMS) -> str:
    """Text whose line breaks are its own, such as a description: visible, line by line."""
    lines = text[: LONGEST * most].splitlines()
    shown = [shortened(line) for line in lines[:most]]
    return "\n".join([*shown, "..."] if len(lines) > most or len(text) > LONGEST * most else shown)


def brief(value: object, depth: int = DEEPEST) -> str:
    """A value of JSON's kinds in little room: numbers as people write them, long lists and maps cut."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return shortened(value)
    if isinstance(value, Mapping):
        if depth == 0:
            return "{...}"
        pairs = [f"{shortened(str(key), 60)}: {brief(value[key], depth - 1)}" for key in list(value)[:MOST_ITEMS]]
        return _joined("{", pairs, "}", len(value))
    if isinstance(value, tuple | list):
        if depth == 0:
            return "[...]"
        return _joined("[", [brief(item, depth - 1) for item in value[:MOST_ITEMS]], "]", len(value))
    return shortened(repr(value))


def _joined(opening: str, parts: list[str], closing: str, count: int) -> str:
    more = f", ... ({count} in all)" if count > len(parts) else ""
    return f"{opening}{', '.join(parts)}{more}{closing}"


def count_of(number: int, noun: str, plural: str = "") -> str:
    """1 row, 2 rows, 12,345 rows."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def byte_count(number: int) -> str:
    """12,345 bytes, and from 10 KiB on also what that is in KiB or MiB."""
    if number < 10 << 10:
        return count_of(number, "byte")
    size = f"{number / (1 << 20):.1f} MiB" if number >= 1 << 20 else f"{number / (1 << 10):.1f} KiB"
    return f"{number:,} bytes ({size})"
