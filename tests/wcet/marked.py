"""The fixtures, and C written for a test, linked with the marks of their loops, each at most once per process."""

from __future__ import annotations

import atexit
import functools
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aprgen.core import Artifact
from aprgen.image import Image, ModelFacts, build_image
from aprgen.measured import model_facts
from aprgen.resources import folder
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain
from aprgen.wcet.cfg import Graph, build_graphs
from aprgen.wcet.code import Code, read_code
from aprgen.wcet.counters import Opinion
from aprgen.wcet.isa import opinions
from aprgen.wcet.marks import Mark, loop_facts, read_marks
from tests.examples import artifact


@dataclass(frozen=True, eq=False)
class Marked:
    """A linked program and what its loops say."""

    image: Image
    code: Code
    marks: tuple[Mark, ...]

    def graphs(self, function: str) -> Mapping[str, Graph]:
        return build_graphs(self.code, [self.image.model.symbol(function)])

    def opinions(self, graph: Graph) -> tuple[Opinion, ...]:
        return opinions(loop_facts(self.marks, graph), graph, self.code)


@functools.cache
def _work() -> Path:
    directory = tempfile.TemporaryDirectory(prefix="aprgen-")
    atexit.register(directory.cleanup)
    return Path(directory.name)


def _linked(sources: Mapping[str, str], model: ModelFacts, core: str, work: str, *, marks: bool) -> Image:
    target = load_target(core)
    return build_image(target, find_toolchain(target, "system"), sources, model, _work() / work, marks=marks)


@functools.cache
def image(name: str, core: str, *, marks: bool) -> Image:
    """A fixture's program, with or without marks."""
    made = artifact(name, core)
    return _linked(made.texts, model_facts(made), core, f"{core}-{name}-{marks}", marks=marks)


def _read(found: Image) -> Marked:
    return Marked(found, read_code(found.program), read_marks(found.program))


@functools.cache
def fixture(name: str, core: str) -> Marked:
    return _read(image(name, core, marks=True))


def made_of(made: Artifact) -> Marked:
    """Of texts made with options of the caller's."""
    work = tempfile.mkdtemp(dir=_work())
    return _read(_linked(made.texts, model_facts(made), made.target.name, work, marks=True))


def written(body: str, core: str, *, before: str = "") -> Marked:
    """brake_scores with this body, from x[4] to out[1]."""
    runtime = folder("runtime_c")
    sources = {
        "brake.h": '#include "apr_rt.h"\nvoid brake_scores(const float *x, float *out);\n'
        "void brake_predict_batch(const float *x, size_t n_rows, float *out);\n",
        "brake.c": f'#include "brake.h"\n{before}\nvoid brake_scores(const float *x, float *out)\n{{\n{body}\n}}\n'
        "void brake_predict_batch(const float *x, size_t n_rows, float *out)\n"
        "{\n    (void)n_rows;\n    brake_scores(x, out);\n}\n",
        **{name: (runtime / name).read_text() for name in ("apr_rt.h", "apr_mark.h")},
    }
    work = tempfile.mkdtemp(dir=_work())
    return _read(_linked(sources, ModelFacts("brake", "row", 4, 1, False), core, work, marks=True))
