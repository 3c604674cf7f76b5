"""The fixtures linked for the cores that are analysed, each at most once per process."""

from __future__ import annotations

import functools
from dataclasses import replace

from aprgen.build import Built, build_artifact
from aprgen.core import Options, compile_model
from aprgen.target import load_target
from aprgen.wcet.code import Code, read_code
from tests.examples import COMPILE, artifact, loaded

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33")
PROGRAMS = tuple((name, core) for name in COMPILE for core in CORES)


@functools.cache
def built(name: str, core: str) -> Built:
    return build_artifact(artifact(name, core))


@functools.cache
def code(name: str, core: str) -> Code:
    return read_code(built(name, core).image.program)


@functools.cache
def code_with_libgcc(name: str, core: str) -> Code:
    """As if the target had no routines of ours for floats."""
    target = replace(load_target(core), float_header="")
    made = build_artifact(compile_model(loaded(name), target, Options(name)))  # its folder goes with it
    return read_code(made.image.program)


def roots(name: str, core: str) -> tuple[str, ...]:
    model = built(name, core).image.model
    return tuple(model.symbol(function) for function in model.functions)
