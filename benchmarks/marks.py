"""What the marks of loops cost: instructions and flash of every fixture on Cortex-M, with them and with -DAPR_NO_MARKS.

    python benchmarks/marks.py [--quick] [--core NAME ...] [--model NAME ...] [--rows N]

Runs the same random rows through both builds on the target's runner and prints, per core, the geometric mean and the
worst ratio of mean instructions, the functions above --show, and flash. Ends with status 1 when an ordinary compilation
does not give the code that `aprgen wcet` would analyse. --quick takes a few models; it shows that the benchmark works.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from here import finish

from aprgen.core import Artifact, Options, compile_model
from aprgen.errors import AprgenError
from aprgen.footprint import measure
from aprgen.image import build_image
from aprgen.loaded import load_model
from aprgen.measured import model_facts
from aprgen.rows import random_rows
from aprgen.runners.choose import runner_for
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain
from aprgen.wcet.shipped import shipped_code_is_analysed

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")
QUICK_MODELS = ("kmeans", "linreg", "rfc")
FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "data" / "apr"
FOLDERS = ("real", "extended", "v2")
OFF = "-DAPR_NO_MARKS"


@dataclass(frozen=True)
class Figure:
    """One model on one core. ratios: mean instructions with marks over those without, by function."""

    model: str
    ratios: dict[str, float]
    flash_bytes: int
    flash_without: int
    same_code: bool


def figure_of(artifact: Artifact, rows: int) -> Figure:
    """Both builds of one model, run on the same rows."""
    target = artifact.target
    toolchain = find_toolchain(target, "system")
    without = replace(toolchain, rule=replace(toolchain.rule, cflags=(*toolchain.rule.cflags, OFF)))
    values = random_rows(artifact.program, rows).values
    means: list[dict[str, float]] = []
    flash: list[int] = []
    with tempfile.TemporaryDirectory(prefix="aprgen-") as name:
        for number, chosen in enumerate((toolchain, without)):
            work = Path(name) / str(number)
            image = build_image(target, chosen, artifact.texts, model_facts(artifact), work)
            counts = runner_for(target).run(image, values).instructions
            means.append({function: float(one.values.mean()) for function, one in counts.items()})
            flash.append(measure(image).flash_bytes)
            if number == 0:
                same = shipped_code_is_analysed(image, chosen, work)
    ratios = {f"{artifact.name}_{function}": means[0][function] / means[1][function] for function in means[0]}
    return Figure(artifact.name, ratios, flash[0], flash[1], same)


def artifacts(core: str, models: Sequence[str]) -> list[Artifact]:
    """Of the fixtures that take rows of numbers; of models with equal C the first."""
    found: dict[str, Artifact] = {}
    for path in sorted(path for folder in FOLDERS for path in (FIXTURES / folder).glob("*.apr")):
        if models and path.stem not in models:
            continue
        try:
            artifact = compile_model(load_model(path.read_bytes()), load_target(core), Options(name=path.stem))
        except AprgenError:
            continue  # a damaged, encrypted or empty fixture: no model
        if artifact.program.source.element == "f32":
            found.setdefault(artifact.texts[f"{path.stem}.c"].partition("#include")[2].replace(path.stem, ""), artifact)
    return list(found.values())


def report(core: str, figures: Sequence[Figure], show: float) -> bool:
    """Print one core's lines; whether every ordinary compilation gave the analysed code."""
    ratios = {name: ratio for figure in figures for name, ratio in figure.ratios.items()}
    mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
    flash, before = sum(f.flash_bytes for f in figures), sum(f.flash_without for f in figures)
    print(
        f"{core:14} {len(ratios):3} functions: instructions {mean:.3f} (geometric mean), {min(ratios.values()):.3f} to "
        f"{max(ratios.values()):.3f}; flash {flash:,} of {before:,} bytes, {flash / before:.3f}"
    )
    for name, ratio in sorted(ratios.items(), key=lambda item: -item[1]):
        if ratio > show:
            print(f"    {ratio:.3f} {name}")
    for figure in figures:
        if not figure.same_code:
            print(f"    {figure.model}: an ordinary compilation gives other code than the analysed one")
    return all(figure.same_code for figure in figures)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="what the marks of loops cost")
    parser.add_argument("--core", nargs="+", default=CORES, choices=CORES)
    parser.add_argument("--model", nargs="+", default=())
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--show", type=float, default=1.02, help="list functions above this ratio (1.02)")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(words)
    models = given.model or (QUICK_MODELS if given.quick else ())
    good = True
    for core in given.core:
        figures = [figure_of(artifact, given.rows) for artifact in artifacts(core, models)]
        if not figures:
            parser.error("no fixture of that name takes rows of numbers")
        good = report(core, figures, given.show) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(finish(main))
