"""The code of a bundle's models: what each has for itself, and the functions and arrays that they share.

For a target with variants it goes section by section, each compiled with the instructions of a variant, and functions
of a model pick one of them. Knows the templates' words; knows neither registry nor self-test.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aprgen.bundle.members import Member
from aprgen.bundle.sharing import SharedDefinitions, Survey
from aprgen.core import Options, names_of, runtime_headers
from aprgen.emit import Interface, Names, define_model, environment, input_kind
from aprgen.program import Program
from aprgen.target import Target, Variant
from aprgen.variants import Carried, emit_package, facts_of, kernel_names, own_headers, rows_text, with_names


@dataclass(frozen=True)
class Code:
    """models: by the C names of those with code, what templates show of each. headers: of the runtime; texts: of those
    that only a variant has. one_copy: of large functions of the runtime. sections: of variants, for the templates.
    carried: of each model, on a target with variants."""

    models: Mapping[str, Mapping[str, object]]
    definitions: SharedDefinitions
    headers: tuple[str, ...]
    texts: Mapping[str, str]
    one_copy: bool
    sections: tuple[Mapping[str, object], ...]
    kernel_names: str
    carried: Mapping[str, tuple[Carried, ...]]


@dataclass(frozen=True, eq=False)
class _Coded:
    """A model with code. carried: its variants; empty on a target without."""

    names: Names
    program: Program
    carried: tuple[Carried, ...]

    @property
    def picks(self) -> bool:
        """Whether it has kernels of several variants."""
        return len(self.carried) > 1

    def define(self, variant: Variant | None, target: Target, definitions: Survey) -> Interface | None:
        """What it has in the section of a variant; None: nothing. Without a choice all stands in the first section."""
        name = self.names.name
        if not self.picks:
            if variant not in (None, *target.variants[:1]):
                return None
            definitions.begin(name, name)
            return define_model(self.program, self.names, target.templates, definitions)
        for one in self.carried:
            if one.variant is variant:
                own_name = f"{name}_{variant.name}"
                definitions.begin(own_name, name)
                templates = (variant.target or target).templates
                return define_model(one.program, replace(self.names, name=own_name), templates, definitions)
        return None


def code_of(members: Sequence[Member], target: Target, bundle: str) -> Code:
    """The C of all models with code; the registry, whose name is `bundle`, comes behind it."""
    coded = [_coded(member, target) for member in members if member.plan is not None]
    kept = {one.variant.name for model in coded if model.picks for one in model.carried}
    variants = tuple(variant for variant in target.variants if variant.name in kept)
    survey = Survey()
    for variant in variants or (None,):
        for model in coded:
            model.define(variant, target, survey)
    definitions = SharedDefinitions(survey)
    headers: set[str] = set()
    large: defaultdict[str, set[str]] = defaultdict(set)  # headers with large functions, and which models include them
    first: dict[str, Interface] = {}  # of each model, which the functions that it shows have
    sections: list[Mapping[str, object]] = []
    texts: dict[str, str] = {}
    for variant in variants or (None,):
        definitions.section()
        defined = {model.names.name: model.define(variant, target, definitions) for model in coded}
        here = {name: interface for name, interface in defined.items() if interface is not None}
        of_variant = target if variant is None or variant.target is None else variant.target
        for name, interface in here.items():
            first.setdefault(name, interface)
            for header in _large(interface.headers, of_variant):
                large[header].add(name)
        included = {header for interface in here.values() for header in interface.headers}
        if variant is None:
            headers |= included
            continue
        own = own_headers(sorted(included), of_variant, target)
        texts |= own.texts
        headers |= {*included, *own.others} - {*own.renamed}
        picking = [model.names for model in coded if model.picks and model.names.name in here]
        rows = "".join(rows_text(here[names.name], names, of_variant) for names in picking)
        sections.append(
            facts_of(variant, target.variants.index(variant) + 1, target)
            | {
                "headers": sorted(own.texts), "functions": with_names(definitions.function_text, own.renamed),
                "rows": rows,
            }
        )  # fmt: skip
    if variants:
        headers.add("apr_cpu.h")
    elif target.variants:
        sections.append(facts_of(target.variants[0], 1, target))
    return Code(
        {model.names.name: _shown(model, first[model.names.name], target, bundle) for model in coded}, definitions,
        tuple(sorted(headers)), texts, max(map(len, large.values()), default=0) > 1, tuple(sections),
        kernel_names(variants or target.variants[:1]), {model.names.name: model.carried for model in coded},
    )  # fmt: skip


def _coded(member: Member, target: Target) -> _Coded:
    """A variant whose C is that of one before it is left out, as in the package of the model alone."""
    assert member.loaded is not None
    assert member.plan is not None
    names = names_of(member.loaded, target, Options(member.c_name, member.wish.numeric))
    carried = emit_package(names, target, member.plan.variants).carried if target.variants else ()
    return _Coded(names, member.plan.program, carried)


def _shown(model: _Coded, interface: Interface, target: Target, bundle: str) -> dict[str, object]:
    """The parts of the files that are the model's alone."""
    jinja = environment((*target.templates, "bundle"))
    kind = input_kind(model.program)
    name = model.names.name
    context: dict[str, object] = {**interface.context, "name": name, "macro": name.upper()}
    functions = f"functions_{kind}.j2"
    if model.picks:
        places = {one.name: number for number, one in enumerate(target.variants, 1)}
        context["picks"] = bundle
        context["variants"] = [
            {"name": f"{name}_{one.variant.name}", "numbers": [places[word] for word in (one.variant.name, *one.same)]}
            for one in model.carried
        ]
        functions = "functions_of_picked.j2"
    templates = {"sizes": f"sizes_{kind}.j2", "interface": f"interface_{kind}.j2", "functions": functions}
    shown: dict[str, object] = {"notes": interface.context["notes"]}
    return shown | {part: jinja.get_template(file).render(context).strip("\n") for part, file in templates.items()}


def _large(headers: Sequence[str], target: Target) -> list[str]:
    """Of these headers of the runtime and those that they include, the ones that leave their storage to APR_LARGE."""
    texts = runtime_headers("".join(f'#include "{header}"\n' for header in headers), target)
    return [name for name, text in texts.items() if "\nAPR_LARGE " in text]
