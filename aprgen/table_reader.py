"""Takes what it knows out of a table of a TOML file, and refuses what is wrong or left over. Knows no target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from aprgen.errors import AprgenError, UsageError

_Word = TypeVar("_Word", bound=str)


class TableReader:
    """Takes keys out of one table; whatever is left at the end is an error."""

    def __init__(self, table: Mapping[str, object], where: str, prefix: str = "") -> None:
        self.left = dict(table)
        self.where = where
        self.prefix = prefix

    def wrong(self, key: str, what: str, hint: str) -> AprgenError:
        return UsageError("target.key", f"{self.prefix}{key} {what}", where=self.where, hint=hint)

    def _take(self, key: str) -> object:
        if key not in self.left:
            hint = f'add {self.prefix}{key}; a file with extends = "cortex-m4" says only what is different'
            raise self.wrong(key, "is missing", hint)
        return self.left.pop(key)

    def text(self, key: str, default: str | None = None) -> str:
        if default is not None and key not in self.left:
            return default
        value = self._take(key)
        if not isinstance(value, str) or (default is None and not value):
            raise self.wrong(key, f"must be text, not {value!r}", "put it in quotes")
        return value

    def one_of(self, key: str, words: tuple[_Word, ...], default: _Word | None = None) -> _Word:
        text = self.text(key, default)
        for word in words:
            if word == text:
                return word
        raise self.wrong(key, f"is {text!r}", f"use one of: {', '.join(words)}")

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        if default is not None and key not in self.left:
            return default
        value = self._take(key)
        if not isinstance(value, list):
            raise self.wrong(key, f"must be a list of texts, not {value!r}", 'write it as ["one", "two"]')
        words = tuple(word for word in value if isinstance(word, str))
        if len(words) != len(value):
            raise self.wrong(key, f"must be a list of texts, not {value!r}", 'write it as ["one", "two"]')
        return words

    def count(self, key: str, minimum: int = 0) -> int:
        value = self._take(key)
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value < 2**32:
            raise self.wrong(key, f"must be a whole number from {minimum} to 2^32 - 1, not {value!r}", "correct it")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.left.pop(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, f"must be true or false, not {value!r}", "write true or false, without quotes")
        return value

    def mapping(self, key: str) -> dict[str, str]:
        if key not in self.left:
            return {}
        reader = self.table(key)
        return {name: reader.text(name) for name in tuple(reader.left)}

    def table(self, key: str) -> TableReader:
        value = self._take(key)
        if not isinstance(value, dict):
            raise self.wrong(key, "must be a table", f"write [{self.prefix}{key}]")
        return TableReader(value, self.where, f"{self.prefix}{key}.")

    def optional_table(self, key: str) -> TableReader | None:
        return self.table(key) if key in self.left else None

    def tables(self, key: str) -> tuple[TableReader, ...]:
        value = self._take(key)
        if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
            raise self.wrong(key, "must be a list of tables", f"write [[{self.prefix}{key}]] at least once")
        return tuple(TableReader(item, self.where, f"{self.prefix}{key}[{i}].") for i, item in enumerate(value))

    def end(self) -> None:
        for key in self.left:
            raise self.wrong(key, "is no key of a target file", "remove it, or correct its name")
