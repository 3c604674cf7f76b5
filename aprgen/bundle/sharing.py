"""What the models of a bundle have in common: arrays and functions that several would define are there once.

Arrays are one when type and bytes are, functions when their text is, but for their name. Functions that differ in their
arrays alone become one that is given them. Knows how the C of kernels looks from outside; knows no models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aprgen import spell
from aprgen.emit import Definitions
from aprgen.program import Table
from aprgen.variants import MOST_TEXT

MOST_GIVEN = 4  # arrays; with input and output they fill the registers of Arm's 64 bits, and half those of 32 bits
_PLACE = "apr_shared_name"  # in a function's text, until it has a name; no model's name starts with apr_
_DEFINITION = re.compile(r"^static [^;{}]*\)\n\{", re.MULTILINE)
_FIELD = re.compile(r".*_\d+_(\w+)$")


@dataclass(frozen=True)
class Shared:
    """Something that was wanted under several names. n_bytes: of an array; 0 for functions, whose size nobody knows."""

    name: str
    wanted_as: tuple[str, ...]
    n_bytes: int

    @property
    def saved_bytes(self) -> int:
        return self.n_bytes * (len(self.wanted_as) - 1)


@dataclass(frozen=True)
class _Kernel:
    """A function as rendered under _PLACE, and its arrays in the order of their first use there."""

    text: str
    tables: tuple[str, ...]
    form: tuple[str, tuple[str, ...]]  # the text with the arrays numbered, and their types


class Survey(Definitions):
    """Reads all models once, to learn which functions differ in their arrays alone."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: dict[tuple[str, tuple[str, ...]], set[tuple[str, ...]]] = {}
        self._arrays: dict[tuple[str, bytes], str] = {}
        self._wanted: dict[str, list[str]] = {}
        self._called = ("", "")

    def begin(self, own_name: str, name: str) -> None:
        """Arrays of the model that is defined next begin with `name` instead of its own, where that is free."""
        self._called = own_name, name

    def table(self, name: str, table: Table) -> str:
        if table in self._names:
            return self._names[table]
        data = table.data
        own, short = self._called
        free = short + name.removeprefix(own)
        # An array in C is flat: its shape says nothing.
        kind = (spell.c_type(data), data.tobytes())
        first = self._arrays.setdefault(kind, name if free in self.tables else free)
        self._wanted.setdefault(first, []).append(name)
        self._names[table] = first
        self.tables.setdefault(first, data)
        self.in_lines |= {first} if table.lines else set()
        return first

    def function(self, name: str, render: Callable[[str], str]) -> str:
        kernel = self._kernel(render)
        self.forms.setdefault(kernel.form, set()).add(kernel.tables)
        return super().function(name, render)

    def _kernel(self, render: Callable[[str], str]) -> _Kernel:
        text = render(_PLACE)
        tables = tuple(dict.fromkeys(word for word in re.findall(r"\w+", text) if word in self.tables))
        numbers = {table: f"apr_table_{number}" for number, table in enumerate(tables)}
        types = tuple(spell.c_type(self.tables[table]) for table in tables)
        return _Kernel(text, tables, (_renamed(text, numbers), types))


class SharedDefinitions(Survey):
    """Gives what was there first and is alike, instead of defining another."""

    def __init__(self, survey: Survey) -> None:
        super().__init__()
        self._survey = survey
        self._first: dict[object, str] = {}
        self._before: dict[str, str] = {}  # functions of sections before

    def section(self) -> None:
        """What follows is compiled with other instructions: functions are there again, but for trees in branches."""
        self._before |= self.functions
        self.functions = {}
        self._first = {key: name for key, name in self._first.items() if len(self._before[name]) > MOST_TEXT}

    def function(self, name: str, render: Callable[[str], str]) -> str:
        kernel = self._kernel(render)
        given = kernel.tables if self._is_given(kernel) else ()
        key = (kernel.form, () if given else kernel.tables)
        first = self._first.setdefault(key, name)
        if first == name:
            self.functions[name] = _with_parameters(kernel, name) if given else _renamed(kernel.text, {_PLACE: name})
        self._wanted.setdefault(first, []).append(name)
        return f"{first}({''.join(f'{table}, ' for table in given)}"

    def _is_given(self, kernel: _Kernel) -> bool:
        """Whether the function is to be given its arrays, since others are the same but for them."""
        others = self._survey.forms[kernel.form]
        before, *bodies = _DEFINITION.split(kernel.text)
        inside = len(bodies) == 1 and not set(kernel.tables) & set(re.findall(r"\w+", before))
        plain = not any(spell.is_huge(self.tables[table]) for table in kernel.tables)
        return len(others) > 1 and inside and plain and 0 < len(kernel.tables) <= MOST_GIVEN

    @property
    def shared(self) -> tuple[Shared, ...]:
        """Arrays, then functions, in their order."""
        return tuple(
            Shared(name, tuple(names), self.tables[name].nbytes if name in self.tables else 0)
            for defined in (self.tables, self._before | self.functions)
            for name in defined
            for names in (self._wanted[name],)
            if len(names) > 1
        )


def _with_parameters(kernel: _Kernel, name: str) -> str:
    """The function under its name, with its arrays as its first parameters."""
    parameters = _parameters(kernel.tables)
    types = kernel.form[1]
    given = ", ".join(f"const {kind} *{parameters[table]}" for table, kind in zip(kernel.tables, types, strict=True))
    text = _renamed(kernel.text, {**parameters, _PLACE: name})
    return re.sub(rf"^(static [\w ]+ {name}\()", rf"\g<1>{given}, ", text, count=1, flags=re.MULTILINE)


def _parameters(tables: Sequence[str]) -> dict[str, str]:
    """given_weight for fleet_left_0_weight; numbered where that is not enough."""
    fields = [field[1] if (field := _FIELD.search(table)) else table for table in tables]
    unique = len(set(fields)) == len(fields)
    return {
        table: f"given_{field}" if unique else f"given_{number}"
        for number, (table, field) in enumerate(zip(tables, fields, strict=True))
    }


def _renamed(text: str, names: dict[str, str]) -> str:
    """With whole identifiers replaced, and names that begin with _PLACE, such as those of its marks."""
    if not names:
        return text
    pattern = "|".join(rf"\b{re.escape(old)}" + ("" if old == _PLACE else r"\b") for old in names)
    return re.sub(pattern, lambda match: names[match[0]], text)
