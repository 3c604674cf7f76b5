"""What the models of a bundle have in common: a constant array or a function that several would define is there once.

Knows when two of them are one: arrays by type and bytes, functions by their text without the name. Knows no models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aprgen import spell
from aprgen.emit import Definitions
from aprgen.program import Array

_PLACE = "apr_shared_name"  # in a function's text, until it has a name; no model's name starts with apr_


@dataclass(frozen=True)
class Shared:
    """Something that was wanted under several names. n_bytes: of an array; 0 for functions, whose size nobody knows."""

    name: str
    wanted_as: tuple[str, ...]
    n_bytes: int

    @property
    def saved_bytes(self) -> int:
        return self.n_bytes * (len(self.wanted_as) - 1)


class SharedDefinitions(Definitions):
    """Gives the name of the first that was alike, instead of defining another."""

    def __init__(self) -> None:
        super().__init__()
        self._arrays: dict[tuple[str, bytes], str] = {}
        self._texts: dict[str, str] = {}
        self._wanted: dict[str, list[str]] = {}

    def table(self, name: str, data: Array) -> str:
        # An array in C is flat: its shape says nothing.
        first = self._arrays.setdefault((spell.c_type(data), data.tobytes()), name)
        self._wanted.setdefault(first, []).append(name)
        return super().table(name, data) if first == name else first

    def function(self, name: str, render: Callable[[str], str]) -> str:
        first = self._texts.setdefault(render(_PLACE), name)
        self._wanted.setdefault(first, []).append(name)
        return super().function(name, render) if first == name else first

    @property
    def shared(self) -> tuple[Shared, ...]:
        """Arrays, then functions, in their order."""
        return tuple(
            Shared(name, tuple(names), self.tables[name].nbytes if name in self.tables else 0)
            for defined in (self.tables, self.functions)
            for name in defined
            for names in (self._wanted[name],)
            if len(names) > 1
        )
