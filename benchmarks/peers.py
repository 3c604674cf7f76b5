"""aprgen beside other generators: the same models and rows, one compiler, instructions counted by an emulator.

    python benchmarks/peers.py [--core NAME ...] [--model NAME ...] [--rows N] [--json FILE] [--html FILE]

    pip install "aprgen[benchmarks]"     # the libraries that train and the generators, in the versions compared

Labels are compared with those of the library that trained the model, on rows kept from training and on rows at
thresholds and other edges. A generator may use -O2 or -Os and any of its forms, and so may aprgen; of each the one with
fewest instructions and the one with least flash count. Trees of a generator that takes integers are compared with the
functions of codes, trees of one that takes floats with the functions of floats; all forms are listed. An instruction is
no cycle. Of aprgen's forms that count, the bound of `aprgen wcet` stands beside mean and most in the same unit, and in
cycles where these are known. The goals are judged at the end. The command ends with status 1 when aprgen's code differs
from its own Program by a bit, or a run takes more than the bound; a goal that is missed changes no status.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path

import numpy as np
from convert import program_of, totals_of
from estimators import RECIPES, Subject, available, train
from here import finish, report_file
from numpy.typing import NDArray
from peer_bounds import bound_of
from peer_figures import Bound, Figures, facts_of
from peer_goals import compared, verdicts
from peer_inputs import OF_CODES, fair
from peer_page import at_most, cycles_at_most, html_page
from peer_sources import NOT_COMPARED, PeerCode, peer_codes

from aprgen import __version__
from aprgen.core import INTEGER_MODES, runtime_headers
from aprgen.emit import Names, emit_model
from aprgen.errors import AprgenError, UnsupportedError
from aprgen.footprint import measure
from aprgen.image import Image, ModelFacts, build_image
from aprgen.ops.trees import TreeOp
from aprgen.passes.goals import GOALS
from aprgen.passes.packing import pack_weights
from aprgen.passes.quantise import has_integer_form, quantise
from aprgen.passes.strategy import choose_strategies
from aprgen.passes.tree_codes import over_codes, takes_codes, with_codes
from aprgen.program import Program
from aprgen.rows import edge_codes, edge_rows
from aprgen.runners.choose import runner_for
from aprgen.target import Board, Target, load_target
from aprgen.toolchain import compiler_version, find_toolchain

CORES = ("cortex-m4", "cortex-m0plus", "cortex-m55")
VECTORS = "cortex-m55"  # networks only, and nothing of other generators: it is compared with Cortex-M4
NETWORKS = ("mlp_digits", "mlp_wide")
SCHEMA = "aprgen.benchmarks.peers"
VERSION = 2
ROWS = 120
EDGES = 120
LARGE_BOARD = Board(0, 0x400000, 0x20000000, 0x400000)  # of mps2-an386, for code that no small board holds
REASON = 240  # characters of a compiler's words
FURTHEST = 1e6  # edge rows beyond it are no input of a model of sums
_Floats = NDArray[np.float32]


@dataclass(frozen=True)
class OneFunction(ModelFacts):
    """A model of which only the function that decides is run and measured."""

    @property
    def functions(self) -> tuple[str, ...]:
        return ("classify",) if self.has_classify else ("scores",)


@dataclass(frozen=True, eq=False)
class Kept:
    """An image, there for as long as this is."""

    image: Image
    folder: tempfile.TemporaryDirectory[str] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Measured:
    labels: NDArray[np.int32] | None
    scores: _Floats
    counts: NDArray[np.float64]
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int
    kept: Kept


@dataclass(frozen=True)
class Failed:
    """Another generator's code that cannot be built or run, and why."""

    model: str
    core: str
    tool: str
    form: str
    why: str

    @property
    def line(self) -> str:
        return f"{self.model:16} {self.core:13} {self.tool + ' ' + self.form:28} {self.why}"


def core_of(name: str) -> Target:
    """The target on a board that holds any code, without a budget; with vectors, on its own board."""
    target = load_target(name)
    if name == VECTORS:
        return replace(target, memory=None)
    runs = tuple(replace(rule, machine="mps2-an386") if rule.kind == "qemu-system" else rule for rule in target.runs)
    return replace(target, board=LARGE_BOARD, memory=None, runs=runs)


def run_code(
    target: Target, sources: dict[str, str], facts: ModelFacts, rows: _Floats, flags: Sequence[str] = ()
) -> Measured:
    """Build with the target's compiler, flags added, and run all rows."""
    toolchain = find_toolchain(target, "system")
    rule = replace(toolchain.rule, cflags=(*toolchain.rule.cflags, *flags))
    folder = tempfile.TemporaryDirectory(prefix="aprgen-")
    image = build_image(target, replace(toolchain, rule=rule), sources, facts, Path(folder.name), seconds=600)
    run = runner_for(target, "system").run(image, rows, count=True, seconds=600)
    size = measure(image)
    (function,) = facts.functions
    return Measured(
        run.labels, run.scores, run.instructions[function].values.astype(np.float64), size.flash_bytes, size.ram_bytes,
        run.stack_bytes[function], Kept(image, folder),
    )  # fmt: skip


def forms(subject: Subject, lowered: Program, target: Target) -> Iterator[tuple[str, Program]]:
    """aprgen's forms: floats, integers, totals of integers, and every goal of trees; those with the same C are one."""
    found = [("f32", lowered)]
    if has_integer_form(lowered):
        found += [(name, quantise(lowered, subject.train_x, code).program) for name, code in INTEGER_MODES.items()]
    added = totals_of(subject.estimator)
    found += [] if added is None else [("totals", added)]
    found += [coded for form, program in found for coded in _coded(form, program, subject.train_x)]
    has_trees = any(isinstance(step.op, TreeOp) for step in lowered.steps)
    for name, program in found:
        shapes: dict[str, tuple[list[str], Program]] = {}  # by their C
        for goal in (None, *GOALS, "compact", "calls") if has_trees else (None,):
            try:
                shape = choose_strategies(program, target.cost, goal, subject.train_x)
            except UnsupportedError:  # these trees have no such shape
                continue
            shape = pack_weights(shape, target.weights)
            code = emit_model(shape, _names(subject.name, name, target), target.templates)["m.c"]
            shapes.setdefault(code, ([], shape))[0].extend([] if goal is None else [goal])
        for goals, shape in shapes.values():
            yield f"{name} {'/'.join(goals)}".rstrip(), shape


def _coded(form: str, program: Program, rows: _Floats) -> Iterator[tuple[str, Program]]:
    """Trees over codes of 16 bits, and of 8 where these lose nothing of the rows."""
    if not takes_codes(program):
        return
    for name, code in INTEGER_MODES.items():
        made = with_codes(program, rows, code)
        assert made.codes is not None
        assert made.codes.exact is not None
        codes = made.evaluate(rows, [made.codes.x])[made.codes.x]
        if name == "s16" or np.array_equal(made.codes.exact.floats(codes), rows):
            yield f"{form} {name}", made


def edges_of(lowered: Program) -> _Floats:
    """Rows at thresholds and on both sides of them; none for models without: there, the order of sums would decide."""
    if not any(isinstance(step.op, TreeOp) for step in lowered.steps):
        return np.zeros((0, lowered.n_features), np.float32)
    found = edge_rows(lowered, EDGES).values
    return found[(np.abs(found) < FURTHEST).all(axis=1)]


def of_aprgen(subject: Subject, target: Target, rows: _Floats) -> Iterator[Figures]:
    """Every form, and where all is in integers, the functions that take codes."""
    lowered = program_of(subject.estimator)
    every = np.concatenate([rows, edges_of(lowered)])
    for form, program in forms(subject, lowered, target):
        names = _names(subject.name, form, target)
        texts = emit_model(program, names, target.templates)
        texts |= runtime_headers(texts["m.c"], target)
        if program.codes is not None and not program.floats_are_coded:  # its functions of floats are another form's
            yield _of_codes(subject, target, form, program, texts, rows)
            continue
        facts = OneFunction("m", "row", program.n_features, program.n_outputs, program.label is not None)
        run = run_code(target, texts, facts, every)
        if run.labels is None:
            exact = np.array_equal(run.scores.view(np.uint32), program.run(every).view(np.uint32))
        else:
            exact = np.array_equal(run.labels, program.classify(every))
        yield _figures(subject, target, "aprgen", form, run, every, len(rows), exact)
        if program.codes is not None:
            yield _of_codes(subject, target, form, program, texts, rows)


def _names(model: str, form: str, target: Target) -> Names:
    return Names(
        name="m", summary=model, outputs="scores", command="benchmarks/peers.py", model_sha256="", target=target.name,
        target_sha256="", signer="none", numeric=form, flags="", version=__version__, float_header=target.float_header,
    )  # fmt: skip


def _of_codes(
    subject: Subject, target: Target, form: str, program: Program, texts: dict[str, str], rows: _Floats
) -> Figures:
    """The function that takes codes, which a sensor gives as they are: rows are made into codes beforehand.

    Of trees, codes on both sides of splits are run too, and the library is asked about the floats they stand for.
    """
    codes = program.codes
    assert codes is not None
    x, n_kept = program.evaluate(rows, [codes.x])[codes.x], len(rows)
    if codes.exact is not None:
        element = "i8" if x.itemsize == 1 else "i16"
        edges = edge_codes(over_codes(program_of(subject.estimator), codes.exact, element), EDGES)  # trees in tables
        x, rows = np.concatenate([x, edges]), np.concatenate([rows, codes.exact.floats(edges)])
    wanted = [codes.scores] if codes.label is None else [codes.scores, codes.label]
    found = program.evaluate(x, wanted, given=codes.x)
    words = -(-x.shape[1] * x.itemsize // 4)
    packed = np.zeros((len(rows), words * 4 // x.itemsize), x.dtype)
    packed[:, : x.shape[1]] = x
    labelled = codes.label is not None
    declared = "int32_t p_classify(const float *x)" if labelled else "void p_scores(const float *x, float *out)"
    function = "classify" if labelled else "scores"  # under the harness's name: no instruction and no stack of its own
    sources = texts | {
        "p.h": f"#include <stdint.h>\n{declared};\n",
        "p.c": f'#include "m.c"\n__asm__(".global p_{function}\\n.thumb_set p_{function}, m_{function}_q");\n',
    }
    facts = OneFunction("p", "row", words, program.n_outputs, labelled)
    run = run_code(target, sources, facts, packed.reshape(len(rows), -1).view(np.float32), ("-fno-strict-aliasing",))
    if labelled:
        assert codes.label is not None
        exact = bool(np.array_equal(run.labels, found[codes.label].reshape(-1)))
        return _figures(subject, target, "aprgen", f"{form} of codes", run, rows, n_kept, exact)
    raw = found[codes.scores]
    got = np.stack([np.frombuffer(row.tobytes(), raw.dtype)[: raw.shape[1]] for row in run.scores])
    scale, offset = np.array(codes.scores_scale), np.array(codes.scores_offset)
    run = replace(run, scores=(got * scale + offset).astype(np.float32))
    return _figures(subject, target, "aprgen", f"{form} of codes", run, rows, n_kept, bool(np.array_equal(got, raw)))


def of_peer(
    subject: Subject, target: Target, code: PeerCode, n_rows: int, n_outputs: int
) -> Iterator[Figures | Failed]:  # fmt: skip
    """A generator's code with both levels of optimisation."""
    facts = OneFunction("m", "row", code.rows.shape[1], n_outputs, subject.labelled)
    for level in ("-O2", "-Os"):
        try:
            run = run_code(target, dict(code.sources), facts, code.rows[:n_rows], (*code.flags, level))
        except AprgenError as error:
            yield Failed(subject.name, target.name, code.tool, level, error.what[:REASON])
            continue
        rows = subject.rows[:n_rows]
        yield _figures(subject, target, code.tool, level, run, rows, len(rows), None)


def _figures(
    subject: Subject, target: Target, tool: str, form: str, run: Measured, rows: _Floats, n_kept: int,
    exact: bool | None,
) -> Figures:  # fmt: skip
    """n_kept: rows kept from training; those after them are at thresholds."""
    expected = subject.expected(rows)
    agree = edge = error = None
    largest = 0.0
    if subject.labelled:
        same = run.labels == expected
        agree = float(np.mean(same[:n_kept]))
        edge = float(np.mean(same[n_kept:])) if len(rows) > n_kept else None
    else:
        values = expected.reshape(len(rows), -1)[:n_kept]
        error = float(np.abs(run.scores[:n_kept] - values).max())
        largest = float(np.abs(values).max())
    counts = run.counts[:n_kept]
    return Figures(
        subject.name, target.name, tool, form, run.flash_bytes, run.ram_bytes, run.stack_bytes, float(counts.mean()),
        int(counts.max()), agree, edge, error, largest, exact, built=run.kept,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Group:
    """The forms of one model on one core. bounds: by form, still being made in another process."""

    figures: tuple[Figures, ...] = ()
    failed: tuple[Failed, ...] = ()
    bounds: Mapping[str, Future[Bound]] = field(default_factory=dict)

    def bounded(self) -> list[Figures]:
        """With bounds, each printed; the images are let go."""
        found = []
        for one in self.figures:
            bound = self.bounds[one.form].result() if one.built is not None else None
            found.append(replace(one, built=None, bound=bound))
            if bound is not None:
                print(bound_line(found[-1]), flush=True)
        return found


def with_bounds(
    subject: Subject, target: Target, figures: Sequence[Figures], failed: Sequence[Failed], pool: Executor
) -> Group:  # fmt: skip
    """Bounds of aprgen's fastest and smallest form are begun, and of those that goals take; other images are let go."""
    chosen = {one.mine.form for one in (*compared(figures), *compared(fair(figures)))}
    wanted = {form.removesuffix(OF_CODES) for form in chosen}
    lowered = program_of(subject.estimator)
    programs = {form: program for form, program in forms(subject, lowered, target) if form in wanted}
    bounds = {}
    kept = []
    for one in figures:
        if one.tool == "aprgen" and one.form in chosen:
            bounds[one.form] = pool.submit(bound_of, one.built.image, programs[one.form.removesuffix(OF_CODES)])
            kept.append(one)
        else:
            kept.append(replace(one, built=None))
    return Group(tuple(kept), tuple(failed), bounds)


def line(one: Figures) -> str:
    """A row of the table that is printed."""
    state = {True: "exact", False: "DIFFERS", None: ""}[one.exact]
    quality = f"{one.agree:7.2%} agree" if one.agree is not None else f"error {one.error:.2g}"
    edge = "" if one.edge is None else f" {one.edge:7.2%} at edges"
    return (
        f"{one.model:16} {one.core:13} {one.tool + ' ' + one.form:28} {one.flash_bytes:8,} B {one.ram_bytes:5} B RAM "
        f"{one.stack_bytes:5} B stack {one.mean:9,.0f} mean {one.most:8,} most {quality}{edge} {state}"
    )


def bound_line(one: Figures) -> str:
    """Mean, most and bound side by side."""
    assert one.bound is not None
    why = f" ({one.bound.refused})" if one.bound.refused else ""
    cycles = cycles_at_most(one)
    return (
        f"{one.model:16} {one.core:13} {one.tool + ' ' + one.form:28} {one.mean:9,.0f} mean {one.most:8,} most "
        f"{at_most(one):>9} at most{why} {cycles and cycles + ' cycles at most':24} {one.most_stack:4} B stack at most"
        f"{' CONTRADICTED by a run' if one.contradicted else ''}"
    )


LIBRARIES = (
    "scikit-learn", "lightgbm", "xgboost", "xgboost-cpu", "emlearn", "m2cgen", "micromlgen", "tl2cgen", "treelite",
    "ydf",
)  # fmt: skip


def stated_facts(cores: Sequence[str]) -> dict[str, str]:
    """Versions of what was compared, and of the compilers."""
    facts = {"aprgen": __version__}
    for name in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            facts[name] = metadata.version(name)
    for core in cores:
        facts[core] = compiler_version(find_toolchain(load_target(core), "system"))
    return facts


def measured(subject: Subject, core: str, codes: Sequence[PeerCode], n_rows: int, pool: Executor) -> Group:
    """All forms of one model on one core, each printed when it is there."""
    if core == VECTORS and subject.name not in NETWORKS:
        return Group()
    target = core_of(core)
    found: list[Figures] = []
    failed: list[Failed] = []
    for one in of_aprgen(subject, target, subject.rows[:n_rows]):
        found.append(one)
        print(line(one), flush=True)
    n_outputs = program_of(subject.estimator).n_outputs
    for code in () if core == VECTORS else codes:
        for other in of_peer(subject, target, code, n_rows, n_outputs):
            if isinstance(other, Failed):
                failed.append(other)
                print(other.line, flush=True)
            else:
                found.append(other)
                print(line(other), flush=True)
    return with_bounds(subject, target, found, failed, pool)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/peers.py", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--core", nargs="+", choices=CORES, default=list(CORES))
    parser.add_argument("--model", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--json", type=report_file)
    parser.add_argument("--html", type=report_file)
    given = parser.parse_args(words)
    groups: list[Group] = []
    # One process bounds while this one builds and runs; a fork would have the threads of the libraries that train.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        for name in given.model:
            if not available(name):
                print(f"{name:16} left out: {RECIPES[name].module} is not installed", flush=True)
                continue
            subject = train(name)
            codes = list(peer_codes(subject))
            groups += [measured(subject, core, codes, given.rows, pool) for core in given.core]
        print(flush=True)
        found = [one for group in groups for one in group.bounded()]
    failed = [one for group in groups for one in group.failed]
    comparisons = compared(fair(found))
    goals = verdicts(comparisons)
    print("", *(one.line for one in comparisons), sep="\n")
    print("", *(one.line for one in goals), sep="\n")
    print(f"{sum(one.met is True for one in goals)} of {sum(one.met is not None for one in goals)} goals met")
    facts = stated_facts(given.core)
    if given.json is not None:
        document = {
            "schema": SCHEMA, "version": VERSION, "facts": facts,
            "comparisons": [asdict(one) | {"mine": facts_of(one.mine)} for one in comparisons],
            "goals": [asdict(one) for one in goals], "figures": [facts_of(one) for one in found],
            "failed": [asdict(one) for one in failed],
        }  # fmt: skip
        given.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if given.html is not None:
        left_out = [*NOT_COMPARED, *(one.line for one in failed)]
        given.html.write_text(html_page(found, comparisons, goals, facts, left_out), encoding="utf-8")
    if not found:
        print("nothing was compared: install the libraries, see the top of this file", file=sys.stderr)
        return 2
    return 1 if any(one.exact is False or one.contradicted for one in found) else 0


if __name__ == "__main__":
    sys.exit(finish(main))
