"""From a planned Program to C text: names, tables, one function per step, and the public functions.

The only module that knows Jinja. Knows nothing of families, files or processes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from types import SimpleNamespace
from typing import TypeVar

import jinja2
import numpy as np

from aprgen import spell, spelled_trees
from aprgen.ops.shaped_trees import Branches
from aprgen.passes.layout import BlockEntry, Call, Entry, plan_block, plan_entry
from aprgen.program import Array, Codes, Program, Table, ValueType
from aprgen.resources import folder

RT_VERSION = 1
SHARED = 1024  # elements of a table from which on it stands once, whoever made it
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
    jinja.filters |= spelled_trees.FILTERS
    return jinja


class Definitions:
    """The constant arrays and the functions of one C file, in order, under the names that they have there.

    Collects while a file is rendered. Here every name is the wanted one; a bundle, whose models share, has its own way.
    """

    def __init__(self) -> None:
        self.tables: dict[str, Array] = {}
        self.in_lines: set[str] = set()  # of tables that begin where a cache line does
        self.functions: dict[str, str] = {}
        self._names: dict[Table, str] = {}  # steps share tables
        self._large: dict[tuple[str, bool, bytes], str] = {}  # and large ones that are equal

    def table(self, name: str, table: Table) -> str:
        """The name of a table that its model wants to call `name`, unless it has one already."""
        if table not in self._names:
            content = (table.data.dtype.str, table.lines, table.data.tobytes())
            own = self._large.setdefault(content, name) if table.data.size > SHARED else name
            self._names[table] = own
            if own == name:
                self.tables[name] = table.data
                self.in_lines |= {name} if table.lines else set()
        return self._names[table]

    def function(self, name: str, render: Callable[[str], str]) -> str:
        """How a call of a function begins that its model wants to call `name`; render gives its C under any name.

        The tables that it uses have been asked for.
        """
        self.functions[name] = render(name)
        return f"{name}("

    @property
    def table_bytes(self) -> int:
        return sum(data.nbytes for data in self.tables.values())

    @property
    def table_text(self) -> str:
        return "\n".join(
            spell.table(name, data, lines=name in self.in_lines, as_text=spell.is_huge(data))
            for name, data in self.tables.items()
        )

    @property
    def function_text(self) -> str:
        return "\n".join(self.functions.values())


def _spelled(value: object, name: str, definitions: Definitions) -> object:
    """An op's field as a template sees it; tables are defined on the way, by the name of their field."""
    if isinstance(value, Table):
        if value.data.size == 0:
            return None
        return Symbol(spell.array_of(definitions.table(name, value), value.data), value.data)
    if isinstance(value, bool | str | None | Branches):
        return value
    if isinstance(value, int):
        return spell.int_literal(value) if value < 0 else value
    if isinstance(value, float):
        return Number(value)
    if isinstance(value, tuple):
        return [_spelled(item, f"{name}{index}", definitions) for index, item in enumerate(value)]
    if is_dataclass(value):
        return SimpleNamespace(**_context(value, name, definitions))
    raise TypeError(f"a template cannot use {type(value).__name__}")


def _context(op: object, prefix: str, definitions: Definitions) -> dict[str, object]:
    """Fields of a dataclass by name, and those of its properties that are plain values."""
    kind: type = type(op)
    assert is_dataclass(op)
    context: dict[str, object] = {}
    for field in fields(op):
        value = getattr(op, field.name)
        context[field.name] = _spelled(value, f"{prefix}_{field.name}", definitions)
    for name in _properties(kind):
        value = getattr(op, name)
        if isinstance(value, bool | int | float | str | tuple):
            context[name] = _spelled(value, "", definitions)
    return context


@functools.cache
def _properties(kind: type) -> tuple[str, ...]:
    return tuple(name for name in dir(kind) if isinstance(getattr(kind, name), property))


def function_name(names: Names, program: Program, index: int) -> str:
    """brake_2_argmax: the number of the first step with that very op, and the first word of its kernel."""
    return f"{names.name}_{program.first_steps[index]}_{program.steps[index].op.kernel.rsplit('_', 1)[0]}"


def _step_context(
    names: Names, program: Program, types: Sequence[ValueType], index: int, definitions: Definitions
) -> dict[str, object]:
    """What the template of a step sees, but for the function's name."""
    step = program.steps[index]
    source = types[step.inputs[0]]
    result = types[index + 1]
    return _context(step.op, f"{names.name}_{index}", definitions) | {
        "n_in": source.size,
        "n_out": result.size,
        "x_type": spell.ELEMENT_TYPES.get(source.element, "char"),
        "y_type": spell.ELEMENT_TYPES.get(result.element, "char"),
    }


Begins = Mapping[tuple[int, bool], str]  # how calls begin, by step; True: of the function that makes what it reads


def _define_step(
    jinja: jinja2.Environment, names: Names, program: Program, types: Sequence[ValueType], index: int,
    calls: Sequence[Call], definitions: Definitions,
) -> Begins:  # fmt: skip
    """Add a step's tables and its function; both functions, where one makes what it reads on the way.

    calls: of this very op; none of them: the templates of the package call it.
    """
    step = program.steps[index]
    context = _step_context(names, program, types, index, definitions)
    wanted = function_name(names, program, index)
    begins: dict[tuple[int, bool], str] = {}

    def define(name: str, template: str, seen: Mapping[str, object]) -> str:
        kernel = jinja.get_template(template)
        return definitions.function(name, lambda name: kernel.render({**seen, "fn": name}))

    if any(call.within is None for call in calls) or not calls:
        begins[index, False] = define(wanted, f"{step.op.kernel}.c.j2", context)
    for before in sorted({call.within for call in calls if call.within is not None}):
        made = _step_context(names, program, types, program.first_steps[before], definitions)
        seen = {"made": made, "sum": context}
        begins[index, True] = define(f"{wanted}_of_floats", "quantised_sum.c.j2", seen)
    return begins


def _body(begins: Begins, program: Program, entry: Entry) -> str:
    """Local buffers and calls of an entry function."""
    lines = [f"    {spell.ELEMENT_TYPES[b.element]} {b.name}[{b.size}];" for b in entry.buffers]
    for call in entry.calls:
        arguments = ", ".join((*call.arguments, call.result))
        lines.append(f"    {begins[program.first_steps[call.step], call.within is not None]}{arguments});")
    return "\n".join(lines) + "\n"


def _block_body(begins: Begins, program: Program, entry: BlockEntry, result: str) -> str:
    """The same of a block of n_rows rows; `result` is the row's part of what the function gives."""
    lines = [f"    {spell.ELEMENT_TYPES[b.element]} {b.name}[{b.size}] APR_LINES;" for b in entry.buffers]
    size = program.types()[program.scores].size if result == "out" else 1
    if any(call.result in run.strides and call.result != result for run in entry.runs for call in run.calls):
        lines.append("    if (n_rows == 0U) { /* else gcc takes what loops over rows write for uninitialised */")
        lines += ["        return;", "    }"]

    def of_row(name: str, strides: Mapping[str, int]) -> str:
        row = "(size_t)row" if name == result else "row"
        return f"&{name}[{row} * {strides[name]}U]" if name in strides else name

    for run in entry.runs:
        if run.of_rows:
            lines.append("    for (uint32_t row = 0U; row < n_rows; ++row) {")
            lines += [f"        {spell.ELEMENT_TYPES[b.element]} {b.name}[{b.size}];" for b in run.buffers]
            for call in run.calls:
                arguments = ", ".join(of_row(name, run.strides) for name in (*call.arguments, call.result))
                lines.append(f"        {begins[program.first_steps[call.step], False]}{arguments});")
            lines.append("    }")
            continue
        for call in run.calls:
            x, *before = call.arguments
            arguments = ", ".join((x, "n_rows", *before, call.result))
            lines.append(f"    {begins[program.first_steps[call.step], False]}{arguments});")
    if entry.copied is not None:
        lines += [
            "    for (uint32_t row = 0U; row < n_rows; ++row) {",
            f"        for (uint32_t i = 0U; i < {size}U; ++i) {{",
            f"            {result}[((size_t)row * {size}U) + i] = {entry.copied}[(row * {size}U) + i];",
            "        }",
            "    }",
        ]
    return "\n".join(lines) + "\n"


PARAMETERS = {"text": "utf8, n", "prefix": "utf8, n"}


def input_kind(program: Program) -> str:
    """Of "row", "text" and "prefix": which templates of the package show the model's functions."""
    return program.source.element if program.source.element in PARAMETERS else "row"


@dataclass(frozen=True)
class Interface:
    """What the functions of a model are in C; `definitions` hold what they call."""

    context: Mapping[str, object]  # for the templates of the package
    headers: tuple[str, ...]  # of runtime_c


def define_model(
    program: Program, names: Names, template_folders: Sequence[str], definitions: Definitions
) -> Interface:
    """Add the tables and the functions of all steps, and plan the functions of the interface."""
    jinja = environment(tuple(template_folders))
    kind = input_kind(program)
    types = program.types()
    in_code = program.in_code()
    parameter = PARAMETERS.get(program.source.element, "x")
    entries: dict[str, Entry] = {}
    if kind != "prefix":
        entries["scores_body"] = plan_entry(program, program.scores, parameter, "out")
    if program.label is not None:
        entries["label_body"] = plan_entry(program, program.label, parameter, "label")
    if program.codes is not None:
        codes = program.codes
        entries["codes_body"] = plan_entry(program, codes.scores, "x", "out", codes.x)
        if codes.label is not None:
            entries["code_label_body"] = plan_entry(program, codes.label, "x", "label", codes.x)
    blocks: dict[str, tuple[BlockEntry, str]] = {}
    if program.batch is not None:
        for name, way in (("many", program.batch.many), ("few", program.batch.few)):
            if way is not None:
                blocks[f"scores_{name}"] = plan_block(program, way.scores, "x", "out"), "out"
            if way is not None and way.label is not None:
                blocks[f"label_{name}"] = plan_block(program, way.label, "x", "labels"), "labels"
    calls: dict[int, list[Call]] = {index: [] for index in in_code if program.first_steps[index] == index}
    every = [call for entry in entries.values() for call in entry.calls]
    every += [call for block, _ in blocks.values() for run in block.runs for call in run.calls]
    for call in every:
        calls[program.first_steps[call.step]].append(call)
    begins: dict[tuple[int, bool], str] = {}
    for index, own in calls.items():
        if own or not entries:  # a step with no call of its own is computed on the way to another
            begins |= _define_step(jinja, names, program, types, index, own, definitions)
    context = _public_context(program, names)
    context |= {part: _body(begins, program, entry) for part, entry in entries.items()}
    context |= {part: _block_body(begins, program, entry, result) for part, (entry, result) in blocks.items()}
    if kind == "prefix":
        context["step_call"] = begins[program.first_steps[program.scores - 1], False]
    headers = {header for index in in_code for header in program.steps[index].op.headers}
    headers |= {"apr_huge.h"} if any(map(spell.is_huge, definitions.tables.values())) else set()
    headers |= {"apr_runs.h"} if any(map(spell.has_runs, definitions.tables.values())) else set()
    return Interface(context, tuple(sorted(headers | ({names.float_header} - {""}))))


def emit_model(program: Program, names: Names, template_folders: Sequence[str]) -> dict[str, str]:
    """The header and the source of a model, by file name."""
    jinja = environment(tuple(template_folders))
    definitions = Definitions()
    interface = define_model(program, names, template_folders, definitions)
    kind = input_kind(program)
    context = {
        **interface.context,
        "headers": interface.headers,
        "rt_version": RT_VERSION,
        "table_bytes": definitions.table_bytes,
        "tables": definitions.table_text,
        "functions": definitions.function_text,
    }
    return {
        f"{names.name}.h": _file(jinja, f"header_{kind}.h.j2", context),
        f"{names.name}.c": _file(jinja, f"source_{kind}.c.j2", context),
    }


def emit_selftest(program: Program, names: Names, arrays: Mapping[str, Array], n_rows: int, text_bytes: int) -> str:
    """The self-test: rows and answers as tables, by the names that the template expects."""
    jinja = environment(())
    tables = [spell.table(f"{names.name}_selftest_{part}", data) for part, data in arrays.items()]
    context = _public_context(program, names)
    context |= {"tables": "\n".join(tables), "n_rows": n_rows, "text_bytes": text_bytes}
    return _file(jinja, f"selftest_{input_kind(program)}.c.j2", context)


def _public_context(program: Program, names: Names) -> dict[str, object]:
    context: dict[str, object] = {field.name: getattr(names, field.name) for field in fields(names)}
    context |= {
        "macro": names.name.upper(),
        "linkage": "",
        "n_features": program.n_features,
        "n_outputs": program.n_outputs,
        "n_classes": program.n_classes,
        "classifies": program.label is not None,
        "batch": program.batch,
        "codes": None if program.codes is None else _codes_context(program, program.codes),
        "notes": [spell.comment(note) for note in program.notes],
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
    text = jinja.get_template(template).render(context)
    return text if text.endswith("\n") and not text.endswith("\n\n") else text.rstrip("\n") + "\n"  # may be large
