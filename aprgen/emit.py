"""From a planned Program to C text: names, tables, one function per step, and the public functions.

The only module that knows Jinja. Knows nothing of families, files or processes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from types import SimpleNamespace
from typing import TypeVar

import jinja2
import numpy as np

from aprgen import spell
from aprgen.ops.shaped_trees import Branches
from aprgen.passes.layout import Entry, plan_entry
from aprgen.program import Array, Codes, Program, Table, ValueType
from aprgen.resources import folder

RT_VERSION = 1
_N = TypeVar("_N", int, float)


class Symbol(str):
    """The C name of a table, with what a template may ask of it."""

    type: str
    size: int

    def __new__(cls, name: str, data: Array) -> Symbol:
        symbol = super().__new__(cls, name)
        symbol.type = spell.c_type(data)
        symbol.size = int(data.size)
        return symbol


class Number(str):
    """A float constant in C, with its decimal spelling for comments, and a short one of three digits."""

    decimal: str
    short: str

    def __new__(cls, value: float) -> Number:
        number = super().__new__(cls, spell.float_literal(value))
        number.decimal = spell.decimal(value)
        number.short = f"{value:.3g}"
        return number


@dataclass(frozen=True)
class Names:
    """How the model is called in C, and the banner's facts."""

    name: str
    summary: str
    outputs: str
    command: str
    model_sha256: str
    target: str
    target_sha256: str
    signer: str
    numeric: str
    flags: str
    version: str
    float_header: str = ""  # of the target


@functools.cache
def environment(folders: tuple[str, ...]) -> jinja2.Environment:
    """Templates of the named folders, special first; package templates after them."""
    root = folder("templates")
    loader = jinja2.FileSystemLoader([str(root / name) for name in (*folders, "package")])
    jinja = jinja2.Environment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # C, not HTML
        auto_reload=False,
    )
    jinja.filters["branches"] = _branches
    jinja.filters["constant_branches"] = _constant_branches
    jinja.filters["mixed_branches"] = _mixed_branches
    return jinja


def _branches(trees: Branches, root: int, near: int, kind: str, leaf: str) -> str:
    """spell.branches, for templates."""
    return spell.branches(_splits(trees), int(root), near, kind, leaf)


def _constant_branches(
    trees: Branches, root: int, near: int, kind: str, leaf: str, constants: Sequence[object]
) -> str:
    """The same with the constant of each leaf in place of its number."""
    return spell.branches(_splits(trees), int(root), near, kind, lambda number: leaf % constants[number])


def _mixed_branches(
    trees: Branches, root: int, near: int, kind: str, leaf: str, pure: int, other: str, width: int
) -> str:
    """The same with another text for leaves from `pure` on, whose %d is where their row of `width` values begins."""

    def statement(number: int) -> str:
        return leaf % number if number < pure else other % ((number - pure) * width)

    return spell.branches(_splits(trees), int(root), near, kind, statement)


def _splits(trees: Branches) -> list[tuple[int, int, int, int]]:
    columns = (trees.feature, trees.code, trees.left, trees.right)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@dataclass(frozen=True)
class _Step:
    """A step, rendered: its tables and its function."""

    tables: str
    function: str
    table_bytes: int


def _spelled(value: object, name: str, tables: dict[str, Table], shared: Mapping[int, str]) -> object:
    """An op's field as a template sees it; tables are collected on the way, under the name of their field."""
    if isinstance(value, Table):
        if value.data.size == 0:
            return None
        if id(value) in shared:
            return Symbol(shared[id(value)], value.data)
        tables[name] = value
        return Symbol(name, value.data)
    if isinstance(value, bool | str | None | Branches):
        return value
    if isinstance(value, int):
        return spell.int_literal(value) if value < 0 else value
    if isinstance(value, float):
        return Number(value)
    if isinstance(value, tuple):
        return [_spelled(item, f"{name}{index}", tables, shared) for index, item in enumerate(value)]
    if is_dataclass(value):
        return SimpleNamespace(**_context(value, name, tables, shared))
    raise TypeError(f"a template cannot use {type(value).__name__}")


def _context(
    op: object, prefix: str, tables: dict[str, Table], shared: Mapping[int, str]
) -> dict[str, object]:
    """Fields of a dataclass by name, and those of its properties that are plain values."""
    kind: type = type(op)
    assert is_dataclass(op)
    context: dict[str, object] = {}
    for field in fields(op):
        value = getattr(op, field.name)
        context[field.name] = _spelled(value, f"{prefix}_{field.name}", tables, shared)
    for name in _properties(kind):
        value = getattr(op, name)
        if isinstance(value, bool | int | float | str):
            context[name] = _spelled(value, "", tables, shared)
    return context


@functools.cache
def _properties(kind: type) -> tuple[str, ...]:
    return tuple(name for name in dir(kind) if isinstance(getattr(kind, name), property))


def function_name(names: Names, program: Program, index: int) -> str:
    """brake_2_argmax: the number of the first step with that very op, and the first word of its kernel."""
    return f"{names.name}_{_first(program, index)}_{program.steps[index].op.kernel.rsplit('_', 1)[0]}"


def _first(program: Program, index: int) -> int:
    """What two ways through a Program have in common is one function."""
    op = program.steps[index].op
    return next(number for number in program.in_code() if program.steps[number].op is op)


def _render_step(
    jinja: jinja2.Environment, names: Names, program: Program, types: Sequence[ValueType], index: int,
    shared: dict[int, str],
) -> _Step:  # fmt: skip
    """shared: names of the tables of the steps before, by identity."""
    step = program.steps[index]
    tables: dict[str, Table] = {}
    context = _context(step.op, f"{names.name}_{index}", tables, shared)
    shared.update((id(table), name) for name, table in tables.items())
    source = types[step.inputs[0]]
    result = types[index + 1]
    context |= {
        "fn": function_name(names, program, index),
        "n_in": source.size,
        "n_out": result.size,
        "x_type": spell.ELEMENT_TYPES.get(source.element, "char"),
        "y_type": spell.ELEMENT_TYPES.get(result.element, "char"),
    }
    function = jinja.get_template(f"{step.op.kernel}.c.j2").render(context)
    text = "\n".join(spell.table(name, table.data) for name, table in tables.items())
    return _Step(text, function, sum(table.n_bytes for table in tables.values()))


def _body(names: Names, program: Program, entry: Entry) -> str:
    """Local buffers and calls of an entry function."""
    lines = [f"    {spell.ELEMENT_TYPES[b.element]} {b.name}[{b.size}];" for b in entry.buffers]
    for call in entry.calls:
        arguments = ", ".join((*call.arguments, call.result))
        lines.append(f"    {function_name(names, program, call.step)}({arguments});")
    return "\n".join(lines) + "\n"


PARAMETERS = {"text": "utf8, n", "prefix": "utf8, n"}


def emit_model(program: Program, names: Names, template_folders: Sequence[str]) -> dict[str, str]:
    """The header and the source of a model, by file name."""
    jinja = environment(tuple(template_folders))
    kind = program.source.element if program.source.element in PARAMETERS else "row"
    types = program.types()
    in_code = program.in_code()
    shared: dict[int, str] = {}
    steps = [
        _render_step(jinja, names, program, types, index, shared)
        for index in in_code
        if _first(program, index) == index
    ]
    context = _public_context(program, names)
    headers = {header for index in in_code for header in program.steps[index].op.headers}
    headers |= {names.float_header} - {""}
    context |= {
        "headers": sorted(headers),
        "rt_version": RT_VERSION,
        "table_bytes": sum(step.table_bytes for step in steps),
        "tables": "\n".join(step.tables for step in steps if step.tables),
        "functions": "\n".join(step.function for step in steps),
    }
    parameter = PARAMETERS.get(program.source.element, "x")
    if kind == "prefix":
        context["step"] = function_name(names, program, program.scores - 1)
    else:
        context["scores_body"] = _body(names, program, plan_entry(program, program.scores, parameter, "out"))
    if program.label is not None:
        context["label_body"] = _body(names, program, plan_entry(program, program.label, parameter, "label"))
    if program.codes is not None:
        codes = program.codes
        context["codes_body"] = _body(names, program, plan_entry(program, codes.scores, "x", "out", codes.x))
        if codes.label is not None:
            entry = plan_entry(program, codes.label, "x", "label", codes.x)
            context["code_label_body"] = _body(names, program, entry)
    return {
        f"{names.name}.h": _file(jinja, f"header_{kind}.h.j2", context),
        f"{names.name}.c": _file(jinja, f"source_{kind}.c.j2", context),
    }


def emit_selftest(program: Program, names: Names, arrays: Mapping[str, Array], n_rows: int, text_bytes: int) -> str:
    """The self-test: rows and answers as tables, by the names that the template expects."""
    jinja = environment(())
    kind = program.source.element if program.source.element in PARAMETERS else "row"
    tables = [spell.table(f"{names.name}_selftest_{part}", data) for part, data in arrays.items()]
    context = _public_context(program, names)
    context |= {"tables": "\n".join(tables), "n_rows": n_rows, "text_bytes": text_bytes}
    return _file(jinja, f"selftest_{kind}.c.j2", context)


def _public_context(program: Program, names: Names) -> dict[str, object]:
    context: dict[str, object] = {field.name: getattr(names, field.name) for field in fields(names)}
    context |= {
        "macro": names.name.upper(),
        "n_features": program.n_features,
        "n_outputs": program.n_outputs,
        "n_classes": program.n_classes,
        "classifies": program.label is not None,
        "codes": None if program.codes is None else _codes_context(program, program.codes),
    }
    return context


def _alike(numbers: Sequence[_N]) -> Sequence[_N]:
    """One of them when all are the same."""
    return numbers[:1] if len(set(numbers)) == 1 else numbers


def _codes_context(program: Program, codes: Codes) -> dict[str, object]:
    """Types and scales of the integer interface; scales that are all alike are one."""
    types = program.types()

    def spelled(numbers: Sequence[float]) -> list[Number]:
        return [Number(float(np.float32(number))) for number in _alike(numbers)]

    return {
        "x_type": spell.ELEMENT_TYPES[types[codes.x].element],
        "per_unit": [] if codes.exact is None else spelled(codes.exact.per_unit),
        "zero": [] if codes.exact is None else _alike(codes.exact.zero),
        "as_they_are": types[codes.scores].element == "f32",
        "scores_type": spell.ELEMENT_TYPES[types[codes.scores].element],
        "x_scale": spelled(codes.x_scale),
        "x_offset": spelled(codes.x_offset),
        "scores_scale": spelled(codes.scores_scale),
        "scores_offset": spelled(codes.scores_offset),
    }


def _file(jinja: jinja2.Environment, template: str, context: Mapping[str, object]) -> str:
    return jinja.get_template(template).render(context).rstrip("\n") + "\n"
