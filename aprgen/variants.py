"""One C file that carries the kernels of several targets, for packages that pick where they run.

Each variant has a Program and functions of its own; arrays that are alike are there once, and a variant whose C is that
of one before it is left out. Knows how the C of kernels looks from outside; knows no target by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aprgen import spell
from aprgen.emit import RT_VERSION, Definitions, Interface, Names, define_model, environment, input_kind
from aprgen.errors import UsageError
from aprgen.program import Program, Table
from aprgen.resources import folder
from aprgen.target import Target, Variant

CPU_HEADER = "apr_cpu.h"
MOST_TEXT = 16384  # characters of a function that a variant has for itself: longer ones are trees in branches
_INCLUDE = re.compile(r'^#include "(apr_[^"]*)"', re.MULTILINE)
_DEFINED = re.compile(
    r"^(?:static inline|APR_LARGE) [^;={]*?\b(apr_\w+)\(|^static const [^;={]*?\b(apr_\w+)\[|"
    r"^typedef [^;{]*?\b(apr_\w+)(?: __attribute__[^;]*)?;|^\} (apr_\w+);|^#define (APR_\w+)",
    re.MULTILINE,
)
_NEED = re.compile(r"^#define APR_CPU_(\w+) 0x", re.MULTILINE)


@dataclass(frozen=True)
class Carried:
    """A variant as it stands in the C. same: others whose C it is, too."""

    variant: Variant
    program: Program
    same: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, object]:
        """For the manifest."""
        of, steps = self.variant.target, self.program.steps
        return {
            "name": self.variant.name,
            "target": None if of is None else {"name": of.name, "sha256": of.sha256},
            "needs": list(self.variant.needs),
            "instructions": list(self.variant.instructions),
            "steps": [steps[index].op.kernel for index in self.program.in_code()],
            "same": list(self.same),
        }


@dataclass(frozen=True)
class Package:
    """texts by file name: the header, the source, and the headers that only some variants have."""

    texts: Mapping[str, str]
    carried: tuple[Carried, ...]
    table_bytes: int


class _Definitions(Definitions):
    """Of all variants: arrays of one type with the same bytes are one. Functions are those of the variant begun last.

    Long functions that are the same are one, too: they are trees in branches, and of those vectors make nothing.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._own = name
        self._arrays: dict[tuple[str, bytes], str] = {}
        self._long: dict[str, str] = {}

    def begin(self, own_name: str) -> None:
        self._own = own_name
        self.functions = {}
        self.as_model: list[str] = []  # all that the variant calls, as if the model were called so

    def table(self, name: str, table: Table) -> str:
        if table not in self._names:
            short = self._name + name.removeprefix(self._own)
            found = self._arrays.setdefault(
                (spell.c_type(table.data), table.data.tobytes()), name if short in self.tables else short
            )
            self.tables.setdefault(found, table.data)
            self.in_lines |= {found} if table.lines else set()
            self._names[table] = found
        return self._names[table]

    def function(self, name: str, render: Callable[[str], str]) -> str:
        text = render(self._name)
        self.as_model.append(text)
        if len(text) <= MOST_TEXT:
            return super().function(name, render)
        if text not in self._long:
            self._long[text] = name
            super().function(name, render)
        return f"{self._long[text]}("


@dataclass(frozen=True)
class OwnHeaders:
    """Headers that a variant has for itself: their texts, by their names here. renamed: what is called otherwise."""

    texts: Mapping[str, str]
    others: tuple[str, ...]  # that they include
    renamed: Mapping[str, str]


def emit_package(names: Names, target: Target, programs: Sequence[Program]) -> Package:
    """The C of a model for a target with variants; programs: one for each of them."""
    first = Carried(target.variants[0], programs[0])
    if input_kind(programs[0]) != "row":  # no variant has kernels of its own for texts
        return _alone(replace(first, same=tuple(one.name for one in target.variants[1:])), names, target)
    definitions = _Definitions(names.name)
    kept: list[Carried] = []
    contexts: list[dict[str, object]] = []
    places: dict[str, int] = {}  # by what stands in the C
    facts: Mapping[str, object] = {}  # of the functions, which are those of the first variant
    headers: set[str] = set()
    texts: dict[str, str] = {}
    any_own = re.compile("|".join(sorted((f"{names.name}_{one.name}" for one in target.variants), reverse=True)))
    for number, (variant, program) in enumerate(zip(target.variants, programs, strict=True), 1):
        own_name = f"{names.name}_{variant.name}"
        of_variant = variant.target or target
        definitions.begin(own_name)
        interface = define_model(program, replace(names, name=own_name), of_variant.templates, definitions)
        facts = facts or interface.context
        own = own_headers(interface.headers, of_variant, target)
        functions = with_names(definitions.function_text, own.renamed)
        rows = rows_text(interface, names, of_variant)
        called = [with_names(text, own.renamed) for text in definitions.as_model]
        alike = "\n".join([*called, any_own.sub(names.name, rows)])
        if alike in places:
            same = kept[places[alike]]
            kept[places[alike]] = replace(same, same=(*same.same, variant.name))
            continue
        places[alike] = len(kept)
        kept.append(Carried(variant, program))
        texts |= own.texts
        headers |= {*interface.headers, *own.others} - {*own.renamed}
        contexts.append(
            facts_of(variant, number, target)
            | {"name": own_name, "headers": sorted(own.texts), "functions": functions, "rows": rows}
        )
    if len(kept) == 1:
        return _alone(kept[0], names, target)
    context = {
        **facts,
        "name": names.name,
        "macro": names.name.upper(),
        "headers": sorted(headers),
        "rt_version": RT_VERSION,
        "table_bytes": definitions.table_bytes,
        "tables": definitions.table_text,
        "variants": contexts,
        "kernel_names": kernel_names([one.variant for one in kept]),
        "picks": names.name,
    }
    texts |= _rendered(names, target, "header_row.h.j2", "source_variants.c.j2", context)
    return Package(texts, tuple(kept), definitions.table_bytes)


def _alone(carried: Carried, names: Names, target: Target) -> Package:
    """One variant is all that there is: the file of any target, and a word on its kernels."""
    definitions = Definitions()
    interface = define_model(carried.program, names, target.templates, definitions)
    kind = input_kind(carried.program)
    context = {
        **interface.context,
        "headers": interface.headers,
        "rt_version": RT_VERSION,
        "table_bytes": definitions.table_bytes,
        "tables": definitions.table_text,
        "functions": definitions.function_text,
        "variants": [facts_of(carried.variant, 1, target)],
        "kernel_names": kernel_names([carried.variant]),
    }
    texts = _rendered(names, target, f"header_{kind}.h.j2", f"source_{kind}.c.j2", context)
    return Package(texts, (carried,), definitions.table_bytes)


def _rendered(
    names: Names, target: Target, header: str, source: str, context: Mapping[str, object]
) -> dict[str, str]:  # fmt: skip
    jinja = environment(target.templates)
    made = {f"{names.name}.h": header, f"{names.name}.c": source}
    return {
        file: re.sub(r"\n{3,}", "\n\n", jinja.get_template(template).render(context)).rstrip("\n") + "\n"
        for file, template in made.items()
    }


def _title(variant: Variant) -> str:
    return variant.name.replace("_", "-")


def kernel_names(kept: Sequence[Variant]) -> str:
    """For a comment: what NAME_kernels() may say."""
    return ", ".join(f'"{_title(variant)}"' for variant in kept)


def facts_of(variant: Variant, number: int, target: Target) -> dict[str, object]:
    """What the templates may know. number: of the target's variants, those that are left out included."""
    path = _header_path(CPU_HEADER, target)
    known = set(_NEED.findall(path.read_text(encoding="utf-8")))
    for need in variant.needs:
        if need.upper() not in known:
            raise UsageError(
                "target.needs", f"nobody here can ask a CPU for {need!r}",
                where=f"variant {variant.name} of target {target.name}",
                hint=f"{path.name} knows {', '.join(sorted(word.lower() for word in known))}",
            )  # fmt: skip
    return {
        "number": number,
        "numbers": [number],
        "title": _title(variant),
        "needs": list(variant.needs),
        "bits": " | ".join(f"APR_CPU_{need.upper()}" for need in variant.needs),
        "instructions": ",".join(variant.instructions),
    }


def rows_text(interface: Interface, names: Names, target: Target) -> str:
    """The functions of a variant that those of the model call; names: the model's."""
    jinja = environment(target.templates)
    context = {**interface.context, "macro": names.name.upper(), "linkage": "static "}
    parts = ["rows_unchecked.j2"] + (["rows_of_codes.j2"] if interface.context["codes"] else [])
    return "".join(jinja.get_template(part).render(context) for part in parts)


def own_headers(headers: Sequence[str], target: Target, base: Target) -> OwnHeaders:
    """Of these headers and those that they include the ones that only the variant has, under names of their own.

    They define what others define, too: so all that they define is called after the folders that they and those that
    they include lie in.
    """
    of_base = {*base.runtime, folder("runtime_c").name}
    own: dict[str, Path] = {}
    renamed: dict[str, str] = {}
    for name, path in _closed(headers, target).items():
        folders = {one.parent.name for one in _closed([name], target).values()} - of_base
        if not folders:
            continue
        own[name] = path
        place = "_".join(sorted(folders))
        renamed[name] = f"{name.removesuffix('.h')}_{place}.h"
        for groups in _DEFINED.findall(path.read_text(encoding="utf-8")):
            word = "".join(groups)
            renamed[word] = f"{word}_{place.upper() if word.isupper() else place}"
    texts = {renamed[name]: with_names(path.read_text(encoding="utf-8"), renamed) for name, path in own.items()}
    others = [one for text in texts.values() for one in _INCLUDE.findall(text) if one not in texts]
    return OwnHeaders(texts, tuple(others), renamed)


def _closed(headers: Sequence[str], target: Target) -> dict[str, Path]:
    """These headers and all that they include, by name."""
    found: dict[str, Path] = {}
    waiting = list(headers)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _header_path(name, target)
            waiting += _INCLUDE.findall(found[name].read_text(encoding="utf-8"))
    return found


def _header_path(name: str, target: Target) -> Path:
    root = folder("runtime_c")
    return next(path for path in (*(root / one / name for one in target.runtime), root / name) if path.is_file())


def with_names(text: str, names: Mapping[str, str]) -> str:
    """With whole identifiers, and names of headers, replaced."""
    if not names:
        return text
    pattern = "|".join(rf"\b{re.escape(old)}\b" for old in names)
    return re.sub(pattern, lambda match: names[match[0]], text)
