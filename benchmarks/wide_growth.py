"""How models on a wide target grow: trees, depth, rows and features one at a time; time per row, memory, C, compilers.

    python benchmarks/wide_growth.py [--target NAME] [--line NAME ...] [--json F] [--html F]
    python benchmarks/wide_growth.py --quick     # two points a line: does the benchmark work?

Lines: forests of 10 to 1,000 trees of depth 6, 10 and 14 (the last one, of 16 million splits, takes 2 GB and minutes);
of depth 4 to 14; calls of 1 to 1,000,000 rows; rows of 4 to 4,000 features, with points on both sides of every bound of
a strategy (vectors, blocks, codes that fit). Points
of a line share everything else. Time is the least of several calls on one core; a call's result is compared with
Program.run() bit by bit. Stack: the frames of predict_batch, of what it calls for a block, and of the largest kernel.

A step from one point to the next is a cliff when a row takes 1.5 times as long as the growth explains: the same for
rows, in proportion for trees, depth and features; or when a call of fewer rows takes longer than one of more. At a
cliff all strategies are measured: one that is quicker than what was chosen could have avoided it. Status 1 when a bit
differs; a cliff changes no status.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from here import finish, report_file
from numpy.typing import NDArray
from tune_models import network, programmed, summed_trees
from wide_growth_page import html_page

from aprgen.build import load_into_process
from aprgen.core import Options, compile_model
from aprgen.errors import BudgetError, UnsupportedError
from aprgen.loaded import Loaded
from aprgen.measured import model_facts
from aprgen.rows import random_rows
from aprgen.runners.shared import SharedImage, load_shared, why_not_here
from aprgen.target import Target, load_target
from aprgen.toolchain import find_toolchain
from aprgen.tuning import form_choices, in_turns, pinned, summed_of, words_of
from aprgen.verify import same_bits

SCHEMA = "aprgen.benchmarks.wide_growth"
VERSION = 1
TARGET = "x86-avx512-vnni"
TREES = (10, 30, 100, 300, 1000)
DEPTHS = (4, 5, 6, 7, 8, 9, 10, 11, 12, 14)
FEATURES = (4, 20, 63, 64, 65, 127, 128, 129, 192, 193, 384, 385, 1000, 4000)
CALLS = (1, 2, 4, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1000, 10_000, 100_000, 1_000_000)
ROWS = 1000
CHECKED = 400  # rows
SECONDS = 0.3  # of a point
CLIFF = 1.5
LONGER = 1.15  # a call of fewer rows
AVOIDABLE = 0.9
_FRAME = re.compile(r"\S+:(?P<name>\w+)\t(?P<bytes>\d+)\t")

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Point:
    """x: what grows. share: by how much a row's time may grow with it, relative to other points of the line."""

    line: str
    x: int
    share: float
    rows: int
    key: str  # of the model
    make: Callable[[], Loaded] = field(repr=False)


@dataclass(frozen=True)
class Figure:
    """Of a point: ns a row, bytes of the stack, of tables and of C, and seconds that generator and compiler took."""

    line: str
    x: int
    share: float
    rows: int
    forms: tuple[str, ...]
    ns: float
    stack_bytes: int
    table_bytes: int
    c_bytes: int
    generator_seconds: float
    compiler_seconds: float
    exact: bool


@dataclass(frozen=True)
class Cliff:
    """avoided: the quickest other strategy and its time relative to the chosen one; None: none is quicker."""

    line: str
    x: tuple[int, int]
    forms: tuple[tuple[str, ...], tuple[str, ...]]
    ratio: float
    longer: bool
    avoided: tuple[str, float] | None = None

    @property
    def words(self) -> str:
        before, after = (" ".join(one) or "row by row" for one in self.forms)
        what = "a call of fewer rows takes" if self.longer else "a row takes"
        start = f"CLIFF {self.line}, {self.x[0]:,} ({before}) to {self.x[1]:,} ({after}): {what} {self.ratio:.2f} times"
        if self.avoided is None:
            return f"{start}; no strategy is quicker"
        return f"{start}; {self.avoided[0]} would take {self.avoided[1]:.2f}"


@dataclass(frozen=True, eq=False)
class Made:
    library: SharedImage
    forms: tuple[str, ...]
    stack_bytes: int
    table_bytes: int
    c_bytes: int
    generator_seconds: float
    compiler_seconds: float


def points(lines: Sequence[str], *, quick: bool) -> Iterator[Point]:
    """In the order of lines, each with x ascending; a model that several points have in common has one key."""
    every = {
        "trees of depth 6": lambda: _forests("trees of depth 6", [(n, 6, 20) for n in TREES], 0),
        "trees of depth 10": lambda: _forests("trees of depth 10", [(n, 10, 20) for n in TREES], 0),
        "trees of depth 14": lambda: _forests("trees of depth 14", [(n, 14, 20) for n in TREES], 0),
        "depth, 50 trees": lambda: _forests("depth, 50 trees", [(50, d, 20) for d in DEPTHS], 1),
        "features, 100 trees of depth 6": lambda: _forests(
            "features, 100 trees of depth 6", [(100, 6, n) for n in FEATURES], 2
        ),
        "features, 50 trees of depth 9": lambda: _forests(
            "features, 50 trees of depth 9", [(50, 9, n) for n in FEATURES], 2
        ),
        "features, network to 32 to 1": lambda: _networks(
            "features, network to 32 to 1", [(n, 32, 1) for n in FEATURES]
        ),
        "features, linear": lambda: _networks("features, linear", [(n, 1) for n in FEATURES]),
        "outputs, network 64 to 256": lambda: _outputs("outputs, network 64 to 256"),
        "rows, 100 trees of depth 6": lambda: _calls("rows, 100 trees of depth 6", lambda: summed_trees(100, 6, 20)),
        "rows, 30 trees of depth 12": lambda: _calls("rows, 30 trees of depth 12", lambda: summed_trees(30, 12, 20)),
        "rows, network 20 to 64 to 5": lambda: _calls("rows, network 20 to 64 to 5", lambda: network((20, 64, 5))),
        "rows, linear of 30": lambda: _calls("rows, linear of 30", lambda: network((30, 1))),
    }  # fmt: skip
    for name, make in every.items():
        if not lines or name in lines:
            found = list(make())
            yield from found[:2] if quick else found


def _forests(line: str, sizes: Sequence[tuple[int, int, int]], axis: int) -> Iterator[Point]:
    for n_trees, depth, n_features in sizes:
        key = f"trees_{n_trees}_{depth}_{n_features}"
        x = (n_trees, depth, n_features)[axis]
        yield Point(
            line, x, x, ROWS, key,
            lambda k=key, args=(n_trees, depth, n_features): programmed(k, summed_trees(*args)),  # type: ignore[misc]
        )  # fmt: skip


def _networks(line: str, sizes: Sequence[tuple[int, ...]]) -> Iterator[Point]:
    for widths in sizes:
        key = f"network_{widths}"
        yield Point(line, widths[0], widths[0], ROWS, key, lambda k=key, own=widths: programmed(k, network(own)))  # type: ignore[misc]


def _outputs(line: str) -> Iterator[Point]:
    for n in (1, 4, 8, 9, 10, 12, 15, 16, 17, 31, 32, 33, 48, 49, 64, 65, 128, 129, 256):
        key = f"network_64_{n}"
        yield Point(line, n, n, ROWS, key, lambda k=key, m=n: programmed(k, network((64, m))))  # type: ignore[misc]


def _calls(line: str, make: Callable[[], object]) -> Iterator[Point]:
    for rows in CALLS:
        yield Point(line, rows, 1, rows, line, lambda: programmed(line, make()))  # type: ignore[arg-type]


def built(loaded: Loaded, target: Target) -> Made:
    """Generated and compiled, both timed."""
    began = time.process_time()
    artifact = compile_model(loaded, target, Options("m"))
    generated = time.process_time() - began
    toolchain = find_toolchain(target)
    with tempfile.TemporaryDirectory(prefix="aprgen-") as folder:
        began = time.monotonic()
        library = load_shared(target, toolchain, artifact.texts, model_facts(artifact), Path(folder))
        compiled = time.monotonic() - began
        stack = stack_of(Path(folder))
    batch = artifact.program.batch
    forms = () if batch is None else batch.forms
    c_bytes = len(artifact.texts["m.c"])
    return Made(library, forms, stack, artifact.table_bytes, c_bytes, generated, compiled)


def stack_of(folder: Path) -> int:
    """By the compiler's own figures: the way from predict_batch to its largest kernel."""
    frames: dict[str, int] = {}
    for path in folder.glob("m*.su"):
        for found in _FRAME.finditer(path.read_text()):
            frames[found["name"]] = int(found["bytes"])
    outer = [size for name, size in frames.items() if name in ("m_predict_batch", "m_scores_many")]
    return sum(outer) + max((size for name, size in frames.items() if re.match(r"m_\d", name)), default=0)


def measured(line: Sequence[Point], target: Target, seconds: float) -> Iterator[Figure]:
    """Each model of the line is built once."""
    made: dict[str, tuple[Loaded, Made]] = {}
    for point in line:
        if point.key not in made:
            loaded = point.make()
            try:
                made = {point.key: (loaded, built(loaded, target))}
            except (BudgetError, UnsupportedError) as error:
                print(f"{point.line}, {point.x:,}: refused, {error.what}", flush=True)
                continue
        loaded, one = made[point.key]
        summed = summed_of(loaded, target)
        rows = rows_of(loaded, target, max(point.rows, min(ROWS, 1 << 20)))
        ns = min(in_turns([one.library], rows[: len(rows) - len(rows) % point.rows], point.rows, seconds)[0])
        n = min(CHECKED, len(rows))
        exact = bool(same_bits(one.library.predict(rows[:n]), summed.run(rows[:n])).all())
        yield Figure(
            point.line, point.x, point.share, point.rows, one.forms, ns, one.stack_bytes, one.table_bytes, one.c_bytes,
            one.generator_seconds, one.compiler_seconds, exact,
        )  # fmt: skip


def rows_of(loaded: Loaded, target: Target, count: int) -> Floats:
    """Random ones; of very many, a thousand again and again."""
    values = random_rows(summed_of(loaded, target), min(count, 10_000)).values
    return np.ascontiguousarray(np.resize(values, (count, values.shape[1])))


def cliffs(figures: Sequence[Figure]) -> tuple[Cliff, ...]:
    """Steps between neighbouring points."""
    found = []
    for name in dict.fromkeys(one.line for one in figures):
        line = sorted((one for one in figures if one.line == name), key=lambda one: one.x)
        for before, after in itertools.pairwise(line):
            forms = (before.forms, after.forms)
            ratio = after.ns / before.ns / (after.share / before.share)
            if ratio > CLIFF:
                found.append(Cliff(name, (before.x, after.x), forms, ratio, longer=False))
            shorter = before.ns * before.rows / (after.ns * after.rows)
            if after.rows > before.rows and shorter > LONGER:
                found.append(Cliff(name, (before.x, after.x), forms, shorter, longer=True))
    return tuple(found)


def others(cliff: Cliff, line: Sequence[Point], target: Target, seconds: float) -> Cliff:
    """The cliff with the quickest strategy at its dear end."""
    x = cliff.x[0] if cliff.longer else cliff.x[1]
    point = next(one for one in line if one.x == x)
    loaded = point.make()
    forms = form_choices(loaded, "m", target, summed_of(loaded, target))
    libraries = [load_into_process(compile_model(loaded, target, Options("m")))]
    libraries += [load_into_process(compile_model(loaded, target, Options("m", choices=one))) for one in forms]
    rows = rows_of(loaded, target, max(point.rows, ROWS))
    times = [min(own) for own in in_turns(libraries, rows[: len(rows) - len(rows) % point.rows], point.rows, seconds)]
    best = min(range(len(forms)), key=lambda index: times[1 + index])
    share = times[1 + best] / times[0]
    chosen = cliff.forms[0 if cliff.longer else 1]
    same = forms[best].sums == chosen or (chosen and {forms[best].trees} == set(chosen))
    if same or share > AVOIDABLE:
        return cliff
    return replace(cliff, avoided=(words_of(forms[best]), share))


def shown(one: Figure) -> str:
    return (
        f"{one.line:32} {one.x:9,} {one.ns:12,.2f} ns a row {' '.join(one.forms) or 'row by row':24.24} "
        f"{one.stack_bytes / 1000:6.1f} KB stack {one.table_bytes / 1e6:8.3f} MB tables {one.c_bytes / 1e6:8.3f} MB C "
        f"{one.generator_seconds:6.2f} s + {one.compiler_seconds:6.2f} s {'' if one.exact else 'DIFFERS'}"
    )


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/wide_growth.py", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--target", default=TARGET)
    parser.add_argument("--line", nargs="+", default=[], help="some of the lines, by name")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=report_file)
    parser.add_argument("--html", type=report_file)
    given = parser.parse_args(words)
    target = load_target(given.target)
    reason = why_not_here(target)
    if reason:
        print(f"{target.name}: {reason}")
        return 0
    every = list(points(given.line, quick=given.quick))
    if not every:
        parser.error(f"no line is called {' or '.join(map(repr, given.line))}")
    seconds = 0.01 if given.quick else SECONDS
    figures: list[Figure] = []
    found: list[Cliff] = []
    with pinned():
        for name in dict.fromkeys(point.line for point in every):
            line = [point for point in every if point.line == name]
            for one in measured(line, target, seconds):
                figures.append(one)
                print(shown(one), flush=True)
            own = cliffs([one for one in figures if one.line == name])
            found += [others(cliff, line, target, seconds) for cliff in own]
    print("", *(cliff.words for cliff in found), sep="\n")
    avoidable = sum(cliff.avoided is not None for cliff in found)
    print(f"{len(found)} cliffs, {avoidable} of which another strategy avoids")
    if given.json is not None:
        given.json.write_text(json.dumps(document(target, figures, found), indent=2) + "\n", encoding="utf-8")
    if given.html is not None:
        given.html.write_text(html_page(target.name, figures, [one.words for one in found]), encoding="utf-8")
    return 0 if all(one.exact for one in figures) else 1


def document(target: Target, figures: Sequence[Figure], found: Sequence[Cliff]) -> Mapping[str, object]:
    return {
        "schema": SCHEMA, "version": VERSION, "target": target.name, "figures": [asdict(one) for one in figures],
        "cliffs": [asdict(one) for one in found],
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(finish(main))
