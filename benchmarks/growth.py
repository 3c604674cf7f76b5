"""How code of forests grows: 1 to 1,000 trees, depths 4 to 12, every goal; what the C compiler needs for it.

    python benchmarks/growth.py [--core NAME] [--trees N ...] [--depth N ...] [--kind NAME ...] [--json F] [--html F]
    python benchmarks/growth.py --quick     # two sizes: does the benchmark work?

Trees are grown from a seed, or trained on images of digits where scikit-learn is installed. Each form is made in a
process of its own: seconds are of the processor; peaks of memory are of Python with the generator in it, and of the
largest process of the C compiler (or the 40 MB of Python that starts it). A step from one size to the next at which
flash, instructions (mean, or at most by `aprgen wcet`) or seconds for one tree grow 1.5 times is a cliff. The exit
status is 1 when labels are not the model's; what is missed or a cliff is printed.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import itertools
import json
import multiprocessing
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from compiler import KIB, CommandFailedError, run
from growth_page import html_page
from here import finish, report_file
from models import forest_of, grown_tree
from peer_bounds import bound_of
from peer_figures import Bound
from peer_goals import STACK_BYTES
from peers import CORES, OneFunction, core_of

from aprgen.core import Options, compile_model
from aprgen.footprint import measure
from aprgen.image import Image, build_image
from aprgen.loaded import load_model
from aprgen.ops.shaped_trees import BranchTrees
from aprgen.passes.goals import GOALS
from aprgen.runners.choose import runner_for
from aprgen.target import Target
from aprgen.toolchain import compiler_version, find_toolchain
from aprgen.trees import Tree

SCHEMA = "aprgen.benchmarks.growth"
VERSION = 1
SEED = 20260117
TREES = (1, 3, 10, 30, 100, 300, 1000)
SPLITS = {4: 12, 6: 36, 8: 80, 10: 150, 12: 250}  # of a grown tree, by its depth
KINDS = ("grown", "trained")
FEATURES, CLASSES = 64, 10
ROWS = 100
MOST_SPLITS = {"branches": 16_000, "tables": 300_000}  # of code, and of data: compilers take minutes for more
MOST_BOUNDED = 4_000  # splits of code: the analysis takes minutes for more
BOUND_SECONDS = 0.0  # each tree takes its longest way: the row that is worst for 1,000 takes minutes to find
CLIFF = 1.5
NOISE_SECONDS = 2.0  # a compiler that takes less is not judged
CHECKED = (100, 10)  # trees and depth of the forest of 15,000 splits
PEAK_BYTES = 500 * 1000 * 1000  # that no compiler may need more of for it
MIB = KIB * KIB


@dataclass(frozen=True)
class Case:
    kind: str
    n_trees: int
    depth: int
    goal: str  # "" for tables of nodes


@dataclass(frozen=True)
class Grown:
    """What one form of one forest takes. No figure where `why` says so."""

    kind: str
    core: str
    n_trees: int
    depth: int
    goal: str
    n_splits: int
    kernels: tuple[str, ...] = ()
    generator_seconds: float = 0.0
    generator_bytes: int = 0
    c_bytes: int = 0
    compiler_seconds: float = 0.0
    compiler_bytes: int = 0
    flash_bytes: int = 0
    stack_bytes: int = 0
    largest_function: str = ""
    largest_bytes: int = 0
    mean: float = 0.0
    most: int = 0
    bound: Bound | None = None
    exact: bool | None = None
    digest: str = ""  # of the C, without the banner
    why: str = ""

    @property
    def case(self) -> Case:
        return Case(self.kind, self.n_trees, self.depth, self.goal)

    @property
    def form(self) -> str:
        return self.goal or "tables"


@dataclass(frozen=True)
class Cliff:
    """A figure for one tree that grows from one size to the next."""

    where: str
    figure: str
    trees: tuple[int, int]
    values: tuple[float, float]

    @property
    def line(self) -> str:
        ratio = self.values[1] / self.values[0]
        return (
            f"CLIFF {self.where}: {self.figure} from {self.values[0]:,.4g} at {self.trees[0]} trees to "
            f"{self.values[1]:,.4g} at {self.trees[1]}, {ratio:.2f} times"
        )


@dataclass(frozen=True)
class Peak:
    """What a compiler needs for the forest that is checked."""

    compiler: str
    form: str
    seconds: float
    peak_bytes: int

    @property
    def met(self) -> bool:
        return self.peak_bytes <= PEAK_BYTES

    @property
    def line(self) -> str:
        return (
            f"{self.compiler:34} {self.form:8} {self.seconds:7.1f} s {self.peak_bytes / 1e6:6.0f} MB, at most "
            f"{PEAK_BYTES / 1e6:.0f} MB: {'met' if self.met else 'MISSED'}"
        )


def forest(kind: str, n_trees: int, depth: int) -> tuple[Tree, ...]:
    """The same trees in every run, and the first ones of a larger forest are those of a smaller one."""
    if kind == "grown":
        chance = np.random.default_rng(SEED)
        return tuple(grown_tree(chance, SPLITS[depth], depth, FEATURES, CLASSES) for _ in range(n_trees))
    data = importlib.import_module("sklearn.datasets").load_digits(return_X_y=True)
    maker = importlib.import_module("sklearn.ensemble").RandomForestClassifier
    model = maker(n_trees, max_depth=depth, random_state=0).fit(data[0].astype(np.float32), data[1])
    tree_of = importlib.import_module("trained")._tree
    return tuple(tree_of(one.tree_) for one in model.estimators_)


@dataclass(frozen=True)
class Compiled:
    image: Image
    seconds: float
    peak_bytes: int


def compiled(target: Target, texts: Mapping[str, str], facts: OneFunction, folder: Path) -> Compiled:
    """Called in a small process: what starts a compiler counts as the compiler's memory until it has started."""
    image = build_image(target, find_toolchain(target, "system"), texts, facts, folder, seconds=1800)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Compiled(image, used.ru_utime + used.ru_stime, used.ru_maxrss * KIB)


def grow(case: Case, core: str, known: Mapping[str, str], keep: Path | None = None) -> Grown:
    """Make, compile, run and bound one form, unless its C is known, by digest and form. keep: where the C is left."""
    with (
        ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as small,
        tempfile.TemporaryDirectory(prefix="aprgen-") as folder,
    ):
        small.submit(int).result()  # it starts now, before this process grows
        found = _grow(case, core, known, small, Path(folder))
        if keep is not None:
            shutil.copytree(folder, keep, dirs_exist_ok=True)
    return found


def _grow(
    case: Case, core: str, known: Mapping[str, str], small: ProcessPoolExecutor, folder: Path
) -> Grown:  # fmt: skip
    trees = forest(case.kind, case.n_trees, case.depth)
    splits = sum(tree.n_nodes - tree.n_leaves for tree in trees)
    data = forest_of(trees, FEATURES, CLASSES)
    began = time.process_time()
    loaded = load_model(data)
    artifact = compile_model(loaded, core_of(core), Options("m", optimise=case.goal or None))
    seconds, peak = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB
    program, texts = artifact.program, artifact.texts
    kernels = tuple(step.op.kernel for step in program.steps)
    made = Grown(
        case.kind, core, case.n_trees, case.depth, case.goal, splits, kernels, seconds, peak, len(texts["m.c"]),
        digest=hashlib.sha256(texts["m.c"].partition("*/")[2].encode()).hexdigest(),
    )  # fmt: skip
    if made.digest in known:
        return replace(made, why=f"the C of {known[made.digest]}")
    in_code = any(isinstance(step.op, BranchTrees) for step in program.steps)
    if splits > MOST_SPLITS["branches" if in_code else "tables"]:
        return replace(made, why="too large to be compiled here")
    rows = np.random.default_rng(SEED).integers(0, 17, size=(ROWS, FEATURES)).astype(np.float32)
    facts = OneFunction("m", "row", program.n_features, program.n_outputs, True)
    built = small.submit(compiled, artifact.target, dict(texts), facts, folder).result()
    footprint = measure(built.image)
    execution = runner_for(artifact.target, "system").run(built.image, rows, count=True, seconds=600)
    counts = execution.instructions["classify"].values
    largest = max(footprint.functions, key=lambda one: one.code_bytes)
    return replace(
        made,
        compiler_seconds=built.seconds,
        compiler_bytes=built.peak_bytes,
        flash_bytes=footprint.flash_bytes,
        stack_bytes=max(execution.stack_bytes.values()),
        largest_function=largest.name,
        largest_bytes=largest.code_bytes,
        mean=float(counts.mean()),
        most=int(counts.max()),
        bound=None if in_code and splits > MOST_BOUNDED else bound_of(built.image, program, BOUND_SECONDS),
        exact=bool(np.array_equal(execution.labels, loaded.model.classify(rows))),
    )


def in_own_process(case: Case, core: str, known: Mapping[str, str], keep: Path | None = None) -> Grown:
    """Its peaks of memory are its own."""
    words = [sys.executable, __file__, "--one", json.dumps(asdict(case)), "--core", core]
    words += ["--known", json.dumps(dict(known))]
    words += [] if keep is None else ["--keep", str(keep)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CommandFailedError(f"{' '.join(words)}\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    bound = found["bound"]
    return Grown(**found | {"kernels": tuple(found["kernels"]), "bound": None if bound is None else Bound(**bound)})


def others(folder: Path, form: str) -> Iterator[Peak]:
    """Other compilers on the same C, with the optimisation that is usual for each."""
    for name, *flags in (
        ("gcc", "-O2"), ("clang-14", "-O2"), ("clang-14", "-O2", "--target=thumbv7em-none-eabi", "-mcpu=cortex-m4")
    ):  # fmt: skip
        if shutil.which(name) is None:
            continue
        shown = f"{name} {' '.join(flags)}"
        done = run([name, *flags, "-ffp-contract=off", "-ffreestanding", "-c", str(folder / "m.c"), "-o", "/dev/null"])
        yield Peak(shown[:34], form, done.cpu_seconds, done.peak_bytes)


def figures_for_one_tree(one: Grown) -> dict[str, float]:
    """Those that a larger forest should not change."""
    n = one.n_trees
    found = {"flash bytes": one.flash_bytes / n, "mean instructions": one.mean / n}
    if one.bound is not None and one.bound.instructions is not None:
        found["instructions at most"] = one.bound.instructions / n
    if one.compiler_seconds >= NOISE_SECONDS:
        found["compiler seconds"] = one.compiler_seconds / n
    if one.generator_seconds >= NOISE_SECONDS:
        found["generator seconds"] = one.generator_seconds / n
    return found


def cliffs(grown: Sequence[Grown]) -> tuple[Cliff, ...]:
    """Steps between neighbouring sizes of the same kind, depth and goal."""
    found = []
    there = [one for one in grown if not one.why]
    for key in dict.fromkeys((one.kind, one.depth, one.goal) for one in there):
        line = sorted((one for one in there if (one.kind, one.depth, one.goal) == key), key=lambda one: one.n_trees)
        for before, after in itertools.pairwise(line):
            now = figures_for_one_tree(after)
            for figure, value in figures_for_one_tree(before).items():
                if figure in now and now[figure] > CLIFF * value:
                    where = f"{after.kind}, depth {after.depth}, {after.form}"
                    found.append(Cliff(where, figure, (before.n_trees, after.n_trees), (value, now[figure])))
    return tuple(found)


@dataclass(frozen=True)
class Deepest:
    """The largest stack of a goal over all sizes."""

    one: Grown

    @property
    def met(self) -> bool:
        return self.one.stack_bytes <= STACK_BYTES

    @property
    def line(self) -> str:
        one = self.one
        return (
            f"stack, {one.kind} {one.form}: {one.stack_bytes} B with {one.n_trees} trees of depth {one.depth}, at most "
            f"{STACK_BYTES} B: {'met' if self.met else 'MISSED'}"
        )


def deepest(grown: Sequence[Grown]) -> tuple[Deepest, ...]:
    there = [one for one in grown if not one.why]
    found = []
    for key in dict.fromkeys((one.kind, one.goal) for one in there):
        forms = [one for one in there if (one.kind, one.goal) == key]
        found.append(Deepest(max(forms, key=lambda one: one.stack_bytes)))
    return tuple(found)


def line(one: Grown) -> str:
    start = f"{one.kind:7} {one.n_trees:5} trees depth {one.depth:2} {one.n_splits:7,} splits {one.form:7}"
    made = f"{one.generator_seconds:6.2f} s {one.generator_bytes / MIB:5.0f} MB generator"
    if one.why:
        return f"{start} {made} {one.why}"
    bound = one.bound
    at_most = "not bounded" if bound is None or bound.instructions is None else f"{bound.instructions:,} at most"
    return (
        f"{start} {one.flash_bytes:9,} B {one.mean:9,.0f} mean {one.most:8,} most {at_most:>15} "
        f"{one.stack_bytes:4} B stack {made} {one.compiler_seconds:6.1f} s {one.compiler_bytes / MIB:4.0f} MB compiler "
        f"{one.largest_bytes:8,} B largest {'' if one.exact else 'DIFFERS'}"
    )


def cases(trees: Sequence[int], depths: Sequence[int], kinds: Sequence[str]) -> Iterator[Case]:
    for kind in kinds:
        if kind == "trained" and importlib.util.find_spec("sklearn") is None:
            print("trained forests are left out: scikit-learn is not installed", flush=True)
            continue
        for depth in depths:
            for n_trees in sorted(trees):
                yield from (Case(kind, n_trees, depth, goal) for goal in ("", *GOALS))


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/growth.py", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--core", choices=CORES, default=CORES[0])
    parser.add_argument("--trees", type=int, nargs="+", default=list(TREES))
    parser.add_argument("--depth", type=int, nargs="+", choices=list(SPLITS), default=list(SPLITS))
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--quick", action="store_true", help="two sizes of grown trees")
    parser.add_argument("--json", type=report_file)
    parser.add_argument("--html", type=report_file)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--known", default="{}", help=argparse.SUPPRESS)
    parser.add_argument("--keep", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    if given.one is not None:
        made = grow(Case(**json.loads(given.one)), given.core, json.loads(given.known), given.keep)
        print(json.dumps(asdict(made)))
        return 0
    if given.quick:
        given.trees, given.depth, given.kind = [2, 6], [4], ["grown"]
    found: list[Grown] = []
    peaks: list[Peak] = []
    try:
        for case in cases(given.trees, given.depth, given.kind):
            same = [one for one in found if replace(case, goal=one.goal) == one.case and not one.why]
            checked = case.kind == "grown" and (case.n_trees, case.depth) == CHECKED
            with tempfile.TemporaryDirectory(prefix="aprgen-") as folder:
                known = {one.digest: one.form for one in same}
                one = in_own_process(case, given.core, known, Path(folder) if checked else None)
                found.append(one)
                print(line(one), flush=True)
                if checked and not one.why:
                    shown = compiler_version(find_toolchain(core_of(given.core), "system"))
                    peaks.append(Peak(shown[:34], one.form, one.compiler_seconds, one.compiler_bytes))
                    peaks += others(Path(folder), one.form)
    except CommandFailedError as error:
        print(error, file=sys.stderr)
        return 1
    steps = cliffs(found)
    stacks = deepest(found)
    print("", *(one.line for one in (*peaks, *stacks)), sep="\n")
    for step in steps:
        print(step.line)
    sizes = f"{min(given.trees):,} and {max(given.trees):,} trees"
    print(f"{len(steps)} cliffs between {sizes}" if steps else f"no cliff between {sizes}")
    if given.json is not None:
        document = {
            "schema": SCHEMA, "version": VERSION, "core": given.core, "figures": [asdict(one) for one in found],
            "peaks": [asdict(one) | {"met": one.met} for one in peaks], "cliffs": [asdict(one) for one in steps],
            "stacks": [{"met": one.met, **asdict(one.one.case), "bytes": one.one.stack_bytes} for one in stacks],
        }  # fmt: skip
        given.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if given.html is not None:
        lines = [one.line for one in (*peaks, *stacks, *steps)]
        given.html.write_text(html_page(given.core, found, lines), encoding="utf-8")
    return 1 if any(one.exact is False for one in found) else 0


if __name__ == "__main__":
    sys.exit(finish(main))
