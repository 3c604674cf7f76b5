"""aprgen beside other generators: the same models and rows, one compiler, instructions counted by an emulator.

    python benchmarks/peers.py [--core NAME ...] [--model NAME ...] [--rows N] [--json FILE] [--html FILE]

    pip install "aprgen[benchmarks]"     # the libraries that train and the generators, in the versions compared

Labels are compared with those of the library that trained the model, on rows kept from training and on rows at
thresholds and other edges. A generator may use -O2 or -Os and any of its forms, and so may aprgen; of each the one with
fewest instructions and the one with least flash count. Trees of a generator that takes integers are compared with the
functions of codes, trees of one that takes floats with the functions of floats; all forms are listed. An instruction is
no cycle. The command ends with status 1 when aprgen's code differs from its own Program by a bit.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path

import numpy as np
from convert import program_of, totals_of
from estimators import RECIPES, Subject, available, train
from numpy.typing import NDArray
from peer_figures import Figures
from peer_inputs import fair
from peer_page import compared, html_page
from peer_sources import PeerCode, peer_codes

from aprgen import __version__, spell
from aprgen.core import INTEGER_MODES, runtime_headers
from aprgen.emit import Names, emit_model
from aprgen.errors import AprgenError
from aprgen.footprint import measure
from aprgen.image import ModelFacts, build_image
from aprgen.ops.trees import TreeOp
from aprgen.passes.packing import pack_weights
from aprgen.passes.quantise import has_integer_form, quantise
from aprgen.passes.strategy import choose_strategies
from aprgen.passes.tree_codes import takes_codes, with_codes
from aprgen.passes.tree_costs import GOALS
from aprgen.program import Program
from aprgen.rows import edge_codes, edge_rows
from aprgen.runners.choose import runner_for
from aprgen.target import Board, Target, load_target
from aprgen.toolchain import compiler_version, find_toolchain

CORES = ("cortex-m4", "cortex-m0plus")
SCHEMA = "aprgen.benchmarks.peers"
ROWS = 120
EDGES = 120
LARGE_BOARD = Board(0, 0x400000, 0x20000000, 0x400000)  # of mps2-an386, for code that no small board holds
FURTHEST = 1e6  # edge rows beyond it are no input of a model of sums
_Floats = NDArray[np.float32]


@dataclass(frozen=True)
class OneFunction(ModelFacts):
    """A model of which only the function that decides is run and measured."""

    @property
    def functions(self) -> tuple[str, ...]:
        return ("classify",) if self.has_classify else ("scores",)


@dataclass(frozen=True, eq=False)
class Measured:
    labels: NDArray[np.int32] | None
    scores: _Floats
    counts: NDArray[np.float64]
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int


def core_of(name: str) -> Target:
    """The target on a board that holds any code, without a budget."""
    target = load_target(name)
    runs = tuple(replace(rule, machine="mps2-an386") if rule.kind == "qemu-system" else rule for rule in target.runs)
    return replace(target, board=LARGE_BOARD, memory=None, runs=runs)


def run_code(
    target: Target, sources: dict[str, str], facts: ModelFacts, rows: _Floats, flags: Sequence[str] = ()
) -> Measured:
    """Build with the target's compiler, flags added, and run all rows."""
    toolchain = find_toolchain(target, "system")
    rule = replace(toolchain.rule, cflags=(*toolchain.rule.cflags, *flags))
    with tempfile.TemporaryDirectory(prefix="aprgen-") as folder:
        image = build_image(target, replace(toolchain, rule=rule), sources, facts, Path(folder), seconds=600)
        run = runner_for(target, "system").run(image, rows, count=True, seconds=600)
        size = measure(image)
    (function,) = facts.functions
    return Measured(
        run.labels, run.scores, run.instructions[function].values.astype(np.float64), size.flash_bytes, size.ram_bytes,
        run.stack_bytes[function],
    )  # fmt: skip


def forms(subject: Subject, lowered: Program, target: Target) -> Iterator[tuple[str, Program]]:
    """aprgen's forms of the model: floats, integers, totals of integers, and every goal of trees."""
    found = [("f32", lowered)]
    if has_integer_form(lowered):
        found += [(name, quantise(lowered, subject.train_x, code).program) for name, code in INTEGER_MODES.items()]
    added = totals_of(subject.estimator)
    found += [] if added is None else [("totals", added)]
    found += [coded for form, program in found for coded in _coded(form, program, subject.train_x)]
    has_trees = any(isinstance(step.op, TreeOp) for step in lowered.steps)
    for name, program in found:
        for goal in (None, *GOALS) if has_trees else (None,):
            form = name if goal is None else f"{name} {goal}"
            yield form, pack_weights(choose_strategies(program, target.cost, goal), target.weights)


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
        edges = edge_codes(program, EDGES)
        x, rows = np.concatenate([x, edges]), np.concatenate([rows, codes.exact.floats(edges)])
    wanted = [codes.scores] if codes.label is None else [codes.scores, codes.label]
    found = program.evaluate(x, wanted, given=codes.x)
    words = -(-x.shape[1] * x.itemsize // 4)
    packed = np.zeros((len(rows), words * 4 // x.itemsize), x.dtype)
    packed[:, : x.shape[1]] = x
    labelled = codes.label is not None
    kind = "int8_t" if x.itemsize == 1 else "int16_t"
    result = spell.ELEMENT_TYPES[program.types()[codes.scores].element]
    declared = "int32_t p_classify(const float *x)" if labelled else "void p_scores(const float *x, float *out)"
    x_codes, out_codes = f"(const {kind} *)(const void *)x", f"({result} *)(void *)out"
    call = f"return m_classify_q({x_codes});" if labelled else f"m_scores_q({x_codes}, {out_codes});"
    sources = texts | {
        "p.h": f"#include <stdint.h>\n{declared};\n",
        "p.c": f'#include "m.c"\n#include "p.h"\n{declared}\n{{\n    {call}\n}}\n',
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


def of_peer(subject: Subject, target: Target, code: PeerCode, n_rows: int, n_outputs: int) -> Iterator[Figures]:
    """A generator's code with both levels of optimisation."""
    facts = OneFunction("m", "row", code.rows.shape[1], n_outputs, subject.labelled)
    for level in ("-O2", "-Os"):
        try:
            run = run_code(target, dict(code.sources), facts, code.rows[:n_rows], (*code.flags, level))
        except AprgenError as error:
            print(f"{subject.name:16} {target.name:13} {code.tool:26} {level}: {error.what[:200]}", flush=True)
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
        int(counts.max()), agree, edge, error, largest, exact,
    )  # fmt: skip


def line(one: Figures) -> str:
    """A row of the table that is printed."""
    state = {True: "exact", False: "DIFFERS", None: ""}[one.exact]
    quality = f"{one.agree:7.2%} agree" if one.agree is not None else f"error {one.error:.2g}"
    edge = "" if one.edge is None else f" {one.edge:7.2%} at edges"
    return (
        f"{one.model:16} {one.core:13} {one.tool + ' ' + one.form:28} {one.flash_bytes:8,} B {one.ram_bytes:5} B RAM "
        f"{one.stack_bytes:5} B stack {one.mean:9,.0f} mean {one.most:8,} most {quality}{edge} {state}"
    )


LIBRARIES = ("scikit-learn", "lightgbm", "xgboost", "xgboost-cpu", "emlearn", "m2cgen", "micromlgen")


def stated_facts(cores: Sequence[str]) -> dict[str, str]:
    """Versions of what was compared, and of the compilers."""
    facts = {"aprgen": __version__}
    for name in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            facts[name] = metadata.version(name)
    for core in cores:
        facts[core] = compiler_version(find_toolchain(load_target(core), "system"))
    return facts


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/peers.py", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--core", nargs="+", choices=CORES, default=list(CORES))
    parser.add_argument("--model", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--html", type=Path)
    given = parser.parse_args(words)
    found: list[Figures] = []
    for name in given.model:
        if not available(name):
            print(f"{name:16} left out: {RECIPES[name].module} is not installed", flush=True)
            continue
        subject = train(name)
        codes = list(peer_codes(subject))
        for core in given.core:
            target = core_of(core)
            mine = list(of_aprgen(subject, target, subject.rows[: given.rows]))
            n_outputs = program_of(subject.estimator).n_outputs
            others = [one for code in codes for one in of_peer(subject, target, code, given.rows, n_outputs)]
            for one in (*mine, *others):
                found.append(one)
                print(line(one), flush=True)
    comparisons = compared(fair(found))
    print("", *(one.line for one in comparisons), sep="\n")
    facts = stated_facts(given.core)
    if given.json is not None:
        document = {
            "schema": SCHEMA, "facts": facts, "comparisons": [asdict(one) for one in comparisons],
            "figures": [asdict(one) for one in found],
        }  # fmt: skip
        given.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if given.html is not None:
        given.html.write_text(html_page(found, facts), encoding="utf-8")
    if not found:
        print("nothing was compared: install the libraries, see the top of this file", file=sys.stderr)
        return 2
    return 1 if any(one.exact is False for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
