"""The fixtures linked for the cores that are analysed, each at most once per process."""

from __future__ import annotations

import functools

from aprgen.build import Built, build_artifact
from aprgen.wcet.code import Code, read_code
from tests.examples import COMPILE, artifact

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33")
PROGRAMS = tuple((name, core) for name in COMPILE for core in CORES)


@functools.cache
def built(name: str, core: str) -> Built:
    return build_artifact(artifact(name, core))


@functools.cache
def code(name: str, core: str) -> Code:
    return read_code(built(name, core).image.program)


def roots(name: str, core: str) -> tuple[str, ...]:
    model = built(name, core).image.model
    return tuple(model.symbol(function) for function in model.functions)
