"""Every shape of trees on Cortex-M: flash, stack and instructions, beside tables of nodes and the generator emlearn.

    python benchmarks/trees.py [--core NAME ...] [--model NAME ...] [--rows N] [--json FILE] [--quick]

Forests are grown from a seed; with scikit-learn installed, more are trained on the data sets that come with it, and
with emlearn installed, its inline and loadable code for the same forests is built by the same compiler and run on the
same rows. emlearn takes 16-bit integers: it gets the features doubled, already in its own type, so that converting
costs it nothing, and its flash is that of classifying alone. Scores and labels of every shape must be those of the
model, on test rows and on rows at thresholds; the command ends with status 1 when a bit differs. An instruction is no
cycle. --quick: two small forests on one core, without emlearn.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from here import finish, report_file
from models import forest_of, grown_tree
from numpy.typing import NDArray
from trained import TRAINED, Trained, emlearn_source, train

from aprgen.build import build_artifact
from aprgen.core import Options, artifact_of
from aprgen.errors import AprgenError
from aprgen.footprint import measure
from aprgen.image import ModelFacts, build_image
from aprgen.loaded import Loaded, load_model
from aprgen.ops.trees import TreeOp
from aprgen.passes.strategy import choose_strategies, with_trees
from aprgen.passes.tree_costs import Way, ways
from aprgen.passes.tree_shapes import coded_trees
from aprgen.program import Op, Program
from aprgen.rows import edge_rows
from aprgen.runners.choose import runner_for
from aprgen.target import Target, load_target
from aprgen.toolchain import find_toolchain

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33")
SCHEMA = "aprgen.benchmarks.trees"
EDGE_ROWS = 120
ROWS = 360
SEED = 20260117
_Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Figures:
    """What one shape of one model takes on one core. exact None: it was not compared."""

    model: str
    core: str
    shape: str
    splits: int
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int
    mean: float
    most: int
    exact: bool | None


@dataclass(frozen=True, eq=False)
class Subject:
    """A model and rows as it will see them. trained: where emlearn can make code of it, too."""

    name: str
    loaded: Loaded
    rows: _Floats
    trained: Trained | None


def grown(name: str, n_trees: int, splits: int, depth: int, n_features: int, n_classes: int, n_rows: int) -> Subject:
    """A forest of random shapes, its thresholds halves as in images and counts, and rows of whole numbers."""
    chance = np.random.default_rng(SEED)
    trees = tuple(grown_tree(chance, splits, depth, n_features, n_classes) for _ in range(n_trees))
    rows = chance.integers(0, 17, size=(n_rows, n_features)).astype(np.float32)
    return Subject(name, load_model(forest_of(trees, n_features, n_classes)), rows, None)


def subjects(names: Sequence[str], n_rows: int, *, quick: bool) -> Iterator[Subject]:
    """Grown forests, and trained ones where scikit-learn is installed."""
    made = {"grown_small": (10, 8, 4, 4, 3), "grown_iris": (5, 6, 3, 4, 3)} if quick else {
        "grown_small": (10, 8, 4, 4, 3), "grown_large": (100, 150, 10, 64, 10)
    }  # fmt: skip
    for name, sizes in made.items():
        if not names or name in names:
            yield grown(name, *sizes, n_rows)
    if quick or importlib.util.find_spec("sklearn") is None:
        return
    for name in TRAINED:
        if not names or name in names:
            trained = train(name)
            data = forest_of(trained.trees, trained.n_features, trained.n_classes)
            yield Subject(name, load_model(data), trained.rows[:n_rows], trained)


def shapes(program: Program, target: Target) -> Iterator[tuple[str, Program]]:
    """The tables of nodes that are made without a goal, and every other way."""
    yield "tables", choose_strategies(program, target.cost)
    (op,) = (step.op for step in program.steps if isinstance(step.op, TreeOp))
    coded = coded_trees(op)
    names: Counter[str] = Counter()
    for way in [] if coded is None else ways(op, coded):
        *makers, trees = (one.kernel for one in way.ops)
        name = f"{trees.split('_')[0]}, {makers[0].rsplit('_', 1)[0] if makers else 'floats'}"
        names[name] += 1  # trees can be mixed in several ways
        yield name if names[name] == 1 else f"{name} ({names[name]})", with_trees(program, _always(way))


def _always(way: Way) -> Callable[[TreeOp], tuple[Op, ...]]:
    def chosen(_: TreeOp) -> tuple[Op, ...]:
        return way.ops

    return chosen


def measured(subject: Subject, core: str) -> Iterator[Figures]:
    """Every shape on a core, the row's edges included in what must be exact, not in the counts."""
    target = load_target(core)
    model = subject.loaded.model
    lowered = model.lower()
    splits = sum(tree.n_nodes - tree.n_leaves for tree in getattr(model, "trees", ()))
    rows = np.concatenate([subject.rows, edge_rows(lowered, EDGE_ROWS).values])
    for shape, program in shapes(lowered, target):
        try:
            built = build_artifact(artifact_of(subject.loaded, lowered, program, target, Options("m")))
        except AprgenError as error:
            print(f"{subject.name:12} {core:13} {shape:28} {error.what}", flush=True)
            continue
        run = built.run(rows)
        counts = run.instructions["classify" if run.labels is not None else "scores"]
        values = counts.values[counts.rows < len(subject.rows)].astype(np.float64)
        exact = bool(np.array_equal(run.scores.view(np.uint32), model.predict(rows).view(np.uint32)))
        if run.labels is not None:
            exact = exact and bool(np.array_equal(run.labels, model.classify(rows)))
        size = built.footprint
        yield Figures(
            subject.name, core, shape, splits, size.flash_bytes, size.data_bytes + size.bss_bytes,
            max(run.stack_bytes.values()), float(values.mean()), int(values.max()), exact,
        )  # fmt: skip
    if subject.trained is not None and importlib.util.find_spec("emlearn") is not None:
        yield from _of_emlearn(subject, subject.trained, target, splits)


def _of_emlearn(subject: Subject, trained: Trained, target: Target, splits: int) -> Iterator[Figures]:
    """emlearn's code between the functions that the harness calls; rows are its 16-bit integers, as bytes of floats."""
    toolchain = find_toolchain(target, "auto")
    n = trained.n_features
    packed = np.zeros((len(subject.rows), n * 2), np.int16)
    packed[:, :n] = np.rint(subject.rows * trained.scale).astype(np.int16)
    records = np.ascontiguousarray(packed).view(np.float32)
    facts = ModelFacts("m", "row", n, 1, True)
    for method in ("inline", "loadable"):
        with tempfile.TemporaryDirectory(prefix="aprgen-") as folder:
            work = Path(folder)
            image = build_image(target, toolchain, emlearn_source(trained, method), facts, work)
            run = runner_for(target, "auto").run(image, records, count=True)
            size = measure(image)
        counts = run.instructions["classify"].values.astype(np.float64)
        assert run.labels is not None
        agree = float((run.labels == subject.loaded.model.classify(subject.rows)).mean())
        yield Figures(
            subject.name, target.name, f"emlearn {method}, {agree:.1%} agree", splits, size.flash_bytes,
            size.data_bytes + size.bss_bytes, run.stack_bytes["classify"], float(counts.mean()),
            int(counts.max()), None,
        )  # fmt: skip


def line(one: Figures) -> str:
    state = {True: "exact", False: "DIFFERS", None: ""}[one.exact]
    per_split = one.flash_bytes / max(1, one.splits)
    return (
        f"{one.model:12} {one.core:13} {one.shape:32} {one.flash_bytes:8,} B {per_split:6.2f} B/split "
        f"{one.ram_bytes:5} B RAM {one.stack_bytes:4} B stack {one.mean:9,.0f} mean {one.most:7,} most  {state}"
    )


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/trees.py", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--core", nargs="+", choices=CORES, default=None)
    parser.add_argument("--model", nargs="+", default=())
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--json", type=report_file)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(words)
    cores = given.core or (("cortex-m4",) if given.quick else CORES)
    found: list[Figures] = []
    for subject in subjects(given.model, min(given.rows, 20) if given.quick else given.rows, quick=given.quick):
        for core in cores:
            for one in measured(subject, core):
                found.append(one)
                print(line(one), flush=True)
    if given.json is not None:
        document = {"schema": SCHEMA, "figures": [asdict(one) for one in found]}
        given.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if not found:
        print("no such model, or scikit-learn is missing", file=sys.stderr)
        return 2
    return 1 if any(one.exact is False for one in found) else 0


if __name__ == "__main__":
    sys.exit(finish(main))
