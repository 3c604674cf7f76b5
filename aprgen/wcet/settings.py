"""A user's TOML file with numbers that decide: task sets and platforms.

Numbers are kept exactly as they are written, as fractions, so that no rounding makes a deadline look met. Knows the
limits of a sound file and what is wrong with a key; knows nothing of what the keys mean.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from aprgen.errors import UsageError

MOST_BYTES = 1 << 20
LARGEST = Fraction(10**12)
_PLACES = 12  # decimal ones, and digits before the point but for 1e12
_MOST_TEXT = 80


def read_toml(path: Path, code: str) -> dict[str, object]:
    """The file's table. A UsageError with that code when it is none."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(
            code, f"cannot read the file: {error.strerror}", where=path.name, hint="check the path"
        ) from error
    return parse_toml(data, path.name, code)


def parse_toml(data: bytes, where: str, code: str) -> dict[str, object]:
    """The table in these bytes; floats come as Decimal."""
    if len(data) > MOST_BYTES:
        raise UsageError(code, f"the file has more than {MOST_BYTES} bytes", where=where, hint="give a TOML file")
    try:
        return tomllib.loads(data.decode("utf-8"), parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:  # wrong TOML, no UTF-8, endless digits or nesting
        raise UsageError(
            code, f"no valid TOML: {error}", where=where, hint="README.md shows such a file, section Worst-case time"
        ) from error


class Table:
    """Takes keys out of one table of such a file; whatever is left at the end is an error."""

    def __init__(self, table: Mapping[str, object], where: str, code: str, prefix: str = "") -> None:
        self.left = dict(table)
        self.where = where
        self.code = code
        self.prefix = prefix

    def wrong(self, key: str, what: str, hint: str) -> UsageError:
        return UsageError(self.code, f"{self.prefix}{key} {what}", where=self.where, hint=hint)

    def number(self, key: str, default: Fraction | None = None, *, above: bool = False) -> Fraction:
        """From 0, or above 0, to 1e12, with at most twelve decimal places."""
        if key not in self.left:
            if default is None:
                raise self.wrong(key, "is missing", f"add {key} = NUMBER")
            return default
        value = self.left.pop(key)
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise self.wrong(key, f"must be a number, not {_shown(value)}", "write it without quotes")
        exact = _exact(value)
        if exact is None or exact > LARGEST or exact < 0 or (above and exact == 0):
            least = "more than 0" if above else "at least 0"
            raise self.wrong(
                key, f"is {_shown(value)}; it must be {least}, at most 1e12, with at most 12 decimal places",
                "correct the number",
            )  # fmt: skip
        return exact

    def whole(self, key: str, default: int | None = None, *, least: int = 0) -> int:
        """A whole number from `least` to a million."""
        if key not in self.left and default is not None:
            return default
        value = self.left.pop(key, None)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 1_000_000:
            shown = "is missing" if value is None else f"is {_shown(value)}"
            raise self.wrong(key, f"{shown}; it must be a whole number from {least} to 1000000", "correct it")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """One line that people can read."""
        if key not in self.left and default is not None:
            return default
        value = self.left.pop(key, None)
        if not isinstance(value, str) or not value.strip() or len(value) > _MOST_TEXT or not value.isprintable():
            shown = "is missing" if value is None else f"is {_shown(value)}"
            raise self.wrong(
                key, f"{shown}; it must be a text of one line, at most {_MOST_TEXT} characters", "correct it"
            )
        return value

    def flag(self, key: str) -> bool:
        value = self.left.pop(key, False)
        if not isinstance(value, bool):
            raise self.wrong(key, f"must be true or false, not {_shown(value)}", "write true or false, without quotes")
        return value

    def tables(self, key: str, most: int) -> tuple[Table, ...]:
        """[[key]], from one to `most` times."""
        value = self.left.pop(key, None)
        if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
            raise self.wrong(key, "must be a list of tables", f"write [[{key}]] at least once")
        if len(value) > most:
            raise self.wrong(key, f"stands {len(value)} times, at most {most} are allowed", "split the file")
        return tuple(Table(item, self.where, self.code, f"{key}[{n}].") for n, item in enumerate(value))

    def end(self, known: str) -> None:
        for key in self.left:
            raise self.wrong(str(key)[:_MOST_TEXT], "is not known", f"known here: {known}")


def _exact(value: int | Decimal) -> Fraction | None:
    """None for what has no place in such a file: infinite, not a number, or digits without end."""
    if isinstance(value, int):
        return Fraction(value) if abs(value) <= LARGEST else None
    if not value.is_finite():
        return None
    if value.is_zero():
        return Fraction(0)
    if not -_PLACES <= value.adjusted() <= _PLACES or len(value.as_tuple().digits) > 2 * _PLACES + 1:
        return None  # its fraction could be larger than any memory
    exact = Fraction(value)
    return exact if abs(exact) <= LARGEST and (exact * 10**_PLACES).denominator == 1 else None


def _shown(value: object) -> str:
    """Shortly; a number of endless digits is not spelled out."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST:
        return "a number beyond 1e12"
    text = repr(str(value)) if isinstance(value, str) else str(value)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."
