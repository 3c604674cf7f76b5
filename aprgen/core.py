"""The pipeline as one readable line of functions: bytes, target, options to an Artifact of texts and facts. Pure.

Knows the order of work; reads no files but the package's own, starts no program and prints nothing.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass

from aprgen import __version__, spell
from aprgen.accuracy import Accuracy, Calibration, measure_accuracy, require_calibration, stored_rows
from aprgen.container import Verification
from aprgen.emit import Names, emit_model, emit_selftest
from aprgen.errors import BudgetError, ComparisonError, UnsupportedError, UsageError
from aprgen.families.base import Model, require_table_bytes
from aprgen.float_modes import FLOAT_MODES, in_float_mode
from aprgen.loaded import Loaded, check_model
from aprgen.ops.integer import Code
from aprgen.ops.trees import TreeOp
from aprgen.passes.choices import BY_COST, Choices
from aprgen.passes.fold import fold_scalers
from aprgen.passes.goals import GOALS, Goal
from aprgen.passes.packing import pack_weights
from aprgen.passes.quantise import Quantised, has_integer_form, quantise
from aprgen.passes.strategy import choose_strategies
from aprgen.passes.text_forms import with_text_forms
from aprgen.passes.tree_codes import takes_codes, with_codes
from aprgen.passes.tree_shapes import SHAPES, Shape
from aprgen.passes.tree_sums import with_totals
from aprgen.passes.wide_floats import with_float_blocks
from aprgen.passes.wide_integers import with_integer_blocks
from aprgen.passes.wide_steps import with_block_steps
from aprgen.passes.wide_trees import with_batch
from aprgen.program import Program, Proved, Table
from aprgen.resources import folder
from aprgen.selftest_rows import row_trial, text_trial
from aprgen.target import Target
from aprgen.tuned.decision import Decision, Tuned
from aprgen.variants import emit_package

INTEGER_MODES: Mapping[str, Code] = {"s16": "i16", "s8": "i8"}  # and their codes
NUMERIC_MODES = ("f32", *FLOAT_MODES, *INTEGER_MODES)

RUNTIME_INCLUDE = re.compile(r'#include "(apr_[^"]*)"')  # without ^, which takes ten times as long


@dataclass(frozen=True)
class Options:
    """What the user may choose about the generated code."""

    name: str
    numeric: str = "f32"
    calibration: Calibration | None = None  # integer modes need one, unless the model holds rows itself
    command: str = ""  # how to reproduce, for the banner; without paths
    optimise: str | None = None  # a goal of tree_costs, or a shape of tree_shapes
    choices: Choices = BY_COST  # of strategies for blocks of rows
    tuned: Tuned | None = None  # records that choose them instead


@dataclass(frozen=True)
class Artifact:
    """Everything that a compilation makes: texts by file name, and the facts about them."""

    name: str
    target: Target
    program: Program  # as chosen for the target
    model: Model
    accuracy: Accuracy | None  # of an integer mode, over the rows of its calibration
    texts: Mapping[str, str]
    manifest: Mapping[str, object]
    has_blocks: bool = False  # a way of its own for many rows, on some CPU at least

    @property
    def table_bytes(self) -> int:
        """Constant data of the model, at least this much flash."""
        value = self.manifest["table_bytes"]
        assert isinstance(value, int)
        return value


def compile_model(loaded: Loaded, target: Target, options: Options) -> Artifact:
    """The model as C for the target. Same model, target and options: same bytes, on any machine."""
    plan = plan_model(loaded, target, options)
    return artifact_of(
        loaded, plan.lowered, plan.program, target, options, plan.accuracy, plan.variants, plan.decisions
    )  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What the code of a model will compute."""

    lowered: Program  # in the numeric mode, before strategies
    program: Program  # as chosen for the target
    accuracy: Accuracy | None  # of an integer mode
    variants: tuple[Program, ...] = ()  # of each of the target's variants; `program` is the first of them
    decisions: tuple[Decision | None, ...] = ()  # by records, for each of these or for the program


def plan_model(loaded: Loaded, target: Target, options: Options) -> Plan:
    """The model's Program as the options want it on the target."""
    if not spell.is_identifier(options.name):
        better = spell.identifier(options.name)
        raise UsageError(
            "usage.name",
            f"{options.name!r} is no name for C functions",
            where="--name",
            hint=f"letters, digits and underscores, not starting with a digit; {better!r} would do",
        )
    if options.numeric not in NUMERIC_MODES:
        raise UnsupportedError(
            "numeric.mode",
            f"the numeric mode {options.numeric!r} is not supported",
            where="--numeric",
            hint=f"this version knows {', '.join(NUMERIC_MODES)}",
        )
    check_model(loaded.model)
    lowered, accuracy = _in_numeric_mode(fold_scalers(loaded.model.lower()), target, options)
    targets = tuple(one.target or target for one in target.variants) or (target,)
    decisions = tuple(_decided(loaded, one, options, alone=not target.variants) for one in targets)
    programs = tuple(_on_target(lowered, *pair, options) for pair in zip(targets, decisions, strict=True))
    return Plan(lowered, programs[0], accuracy, programs if target.variants else (), decisions)


def _decided(loaded: Loaded, target: Target, options: Options, *, alone: bool) -> Decision | None:
    """By records. A target that stands alone must have blocks of rows; a package's own kernels have no records."""
    if options.tuned is None or target.variants or (target.batch is None and not alone):
        return None
    return options.tuned.decide(loaded.sha256, options.numeric, target)


def _on_target(lowered: Program, target: Target, decision: Decision | None, options: Options) -> Program:
    """The same as the target computes it best."""
    summed = with_totals(lowered, target.cost)
    goal = _goal(options.optimise)
    seen = None if options.calibration is None else options.calibration.rows
    program = pack_weights(choose_strategies(summed, target.cost, goal, seen), target.weights)
    program = with_text_forms(program, target.text, next((one for one in GOALS if goal == one), None))
    trees, sums, choices = target.batch, target.batch, options.choices
    if decision is not None:
        trees, sums, choices = decision.trees, decision.sums, decision.choices
    one_row = goal is None  # a goal chose the way of one row
    program = with_batch(program, summed, trees, choices, one_row=one_row)
    program = with_integer_blocks(program, sums, target.has_kernel)
    program = with_float_blocks(program, sums, target.has_kernel, choices)
    return with_block_steps(program, sums, target.has_kernel)


def artifact_of(
    loaded: Loaded,
    lowered: Program,
    program: Program,
    target: Target,
    options: Options,
    accuracy: Accuracy | None = None,
    variants: Sequence[Program] = (),
    decisions: Sequence[Decision | None] = (),
) -> Artifact:
    """C of the model as `program` computes it, which is one way to what `lowered` says.

    variants: as of a Plan; without them every variant of the target computes `program`.
    """
    table_bytes = table_bytes_of(program)
    of_row = _of_row(program)
    of_trees = any(isinstance(step.op, TreeOp) for step in lowered.steps)
    least = min(of_row, _of_row(lowered))  # tables that vectors read may be larger
    require_table_bytes(least, "the payload", of_trees=of_trees)
    _check_flash(of_row, target)
    names = names_of(loaded, target, options)
    package = None
    if target.variants:
        package = emit_package(names, target, variants or [program] * len(target.variants))
    if package is None:
        texts = emit_model(program, names, target.templates)
    else:
        texts, table_bytes = dict(package.texts), package.table_bytes
    texts |= runtime_headers("".join(texts.values()), target, given=texts)
    texts[f"{options.name}_selftest.c"] = _selftest(lowered, names)
    remarks = _remarks(lowered, options)
    manifest = _manifest(loaded, program, target, options, texts, table_bytes, remarks) | _accuracy_facts(accuracy)
    pairs = zip(decisions, variants or [program], strict=False)
    tuned = [decision.facts(own.batch) for decision, own in pairs if decision is not None]
    manifest |= {"tuned": tuned if variants else tuned[0]} if tuned else {}
    manifest |= {} if package is None else {"kernels": [one.facts for one in package.carried]}
    texts["manifest.json"] = json.dumps(manifest, indent=2) + "\n"
    has_blocks = any(one.batch is not None for one in (program, *variants))
    return Artifact(options.name, target, program, loaded.model, accuracy, texts, manifest, has_blocks)


def _in_numeric_mode(program: Program, target: Target, options: Options) -> tuple[Program, Accuracy | None]:
    """The Program as the mode computes it, and what that costs in accuracy."""
    if options.numeric in FLOAT_MODES:
        fast, accuracy = in_float_mode(program, target, options.numeric, options.calibration)
        return fast, None if accuracy is None else _accepted(accuracy, options)
    if options.numeric not in INTEGER_MODES:
        if options.calibration is not None:
            if options.optimise is None:
                raise UsageError(
                    "numeric.calibrate", "rows calibrate the integer modes only, or show --optimise where trees go",
                    where="--calibrate",
                    hint=f"add --numeric {' or '.join(INTEGER_MODES)}, or --optimise, or leave the rows out",
                )  # fmt: skip
            require_calibration(options.calibration, program)
        return program, None
    if program.source.element != "f32":
        raise UnsupportedError(
            "numeric.text", "a model that reads text has no integer mode", where="--numeric", hint="leave it out"
        )
    made, calibration = program, options.calibration
    in_floats: tuple[str, ...] = ()
    if has_integer_form(program):
        calibration = calibration or stored_rows(program)
        if calibration is None:
            raise UsageError(
                "numeric.calibrate", f"the mode {options.numeric} needs rows of inputs to find scales",
                where="--calibrate", hint="give a .npy or .csv file with rows that the model will see, some hundred",
            )  # fmt: skip
        require_calibration(calibration, program)
        quantised = quantise(program, calibration.rows, INTEGER_MODES[options.numeric], calibration.method)
        made, in_floats = quantised.program, quantised.in_floats
    if options.calibration is not None and takes_codes(made):
        require_calibration(options.calibration, program)
        made = with_codes(made, options.calibration.rows, INTEGER_MODES[options.numeric], options.calibration.method)
    if calibration is None or made is program:
        return program, None
    quantised = Quantised(made, in_floats, exact_floats=not has_integer_form(program))
    return made, _accepted(measure_accuracy(program, quantised, calibration), options)


def _accepted(accuracy: Accuracy, options: Options) -> Accuracy:
    """What the mode loses; ComparisonError when that is more than is allowed."""
    allowed = None if options.calibration is None else options.calibration.max_loss
    if allowed is not None and accuracy.loss > allowed:
        raise ComparisonError(
            "numeric.loss", f"{options.numeric} loses {accuracy.loss:.4g}: {accuracy.sentence}", where="--max-loss",
            hint="use f32, another mode, other rows for --calibrate, or another --calibration-method",
        )  # fmt: skip
    return accuracy


def _accuracy_facts(accuracy: Accuracy | None) -> dict[str, object]:
    return {} if accuracy is None else {"accuracy": asdict(accuracy)}


def _goal(word: str | None) -> Goal | Shape | None:
    for goal in GOALS:
        if word == goal:
            return goal
    for shape in SHAPES:
        if word == shape:
            return shape
    if word is None:
        return None
    raise UsageError(
        "usage.optimise",
        f"{word!r} is nothing that code can be optimised for",
        where="--optimise",
        hint=f"use one of {', '.join(GOALS)}, or a shape: {', '.join(SHAPES)}",
    )


def names_of(loaded: Loaded, target: Target, options: Options) -> Names:
    """How the model is called in C, and the facts of its banner."""
    model = loaded.model
    return Names(
        name=options.name,
        summary=spell.comment(f"{model.family} ({model.struct})"),
        outputs=model.outputs,
        command=spell.comment(options.command or _plain_command(target, options)),
        model_sha256=loaded.sha256,
        target=spell.comment(target.name),
        target_sha256=target.sha256,
        signer=spell.comment(loaded.signer),
        numeric=options.numeric,
        flags=spell.comment(" ".join(target.exact_flags)),
        version=__version__,
        float_header=target.float_header,
    )


def _plain_command(target: Target, options: Options) -> str:
    """For callers that read no file."""
    words = ["aprgen", "compile", f"{options.name}.apr", "--target", target.name]
    words += ["--numeric", options.numeric] if options.numeric != "f32" else []
    words += ["--optimise", options.optimise] if options.optimise is not None else []
    words += ["--tuned", "RECORDS"] if options.tuned is not None else []
    return " ".join(words)


def table_bytes_of(program: Program) -> int:
    """Bytes of all tables of a Program's code."""
    return _table_bytes(program, program.in_code())


def _of_row(program: Program) -> int:
    """Bytes of the tables that one row needs."""
    return _table_bytes(program, program.needed(program.scores, program.label))


def _table_bytes(program: Program, steps: Iterable[int]) -> int:
    """Bytes of all tables of these steps, those that several share once."""
    tables = {id(table): table for index in steps for table in _tables(program.steps[index].op)}
    return sum(table.n_bytes for table in tables.values())


def _tables(part: object) -> Iterator[Table]:
    """The tables of an op."""
    if isinstance(part, Table):
        yield part
    elif isinstance(part, tuple):
        for item in part:
            yield from _tables(item)
    elif is_dataclass(part):
        for field in fields(part):
            yield from _tables(getattr(part, field.name))


def _check_flash(table_bytes: int, target: Target) -> None:
    """Tables alone are a lower bound of the flash; a model that cannot fit is refused before any file is written."""
    if target.memory is not None and table_bytes > target.memory.flash_bytes:
        raise BudgetError(
            "budget.flash",
            f"the model's tables take {table_bytes} bytes of flash, {target.name} has {target.memory.flash_bytes}",
            where=f"target {target.name}",
            hint="choose a larger target, or a smaller form (--optimise size for trees), or train a smaller model",
        )


def runtime_headers(source: str, target: Target, given: Collection[str] = ()) -> dict[str, str]:
    """The headers of runtime_c that a source includes, and those that they include, special folders first.

    given: names of those that are there.
    """
    texts: dict[str, str] = {}
    waiting = ["apr_rt.h", *RUNTIME_INCLUDE.findall(source)]
    while waiting:
        name = waiting.pop()
        if name not in texts and name not in given:
            texts[name] = _runtime_header(name, target.runtime)
            waiting += RUNTIME_INCLUDE.findall(texts[name])
    return dict(sorted(texts.items()))


@functools.cache
def _runtime_header(name: str, folders: tuple[str, ...]) -> str:
    root = folder("runtime_c")
    path = next(p for p in (*(root / f / name for f in folders), root / name) if p.is_file())
    return path.read_text(encoding="utf-8")


def _selftest(program: Program, names: Names) -> str:
    """A few rows and the answers, so that a board can check itself."""
    tried = text_trial(program) if program.source.element in ("text", "prefix") else row_trial(program)
    return emit_selftest(program, names, tried.arrays, tried.n_rows, tried.text_bytes)


def _manifest(
    loaded: Loaded,
    program: Program,
    target: Target,
    options: Options,
    texts: Mapping[str, str],
    table_bytes: int,
    remarks: Sequence[str],
) -> dict[str, object]:
    return {
        "tool": "aprgen",
        "tool_version": __version__,
        "name": options.name,
        "family": loaded.model.family,
        "struct": loaded.model.struct,
        "functions": list(public_functions(program, options.name)),
        "n_features": program.n_features,
        "n_outputs": program.n_outputs,
        "n_classes": program.n_classes,
        "input": {"text": "text", "prefix": "prefix"}.get(program.source.element, "row"),
        "outputs": loaded.model.outputs,
        "options": {"name": options.name, "numeric": options.numeric, "optimise": options.optimise},
        "target": target.name,
        "cflags": list(target.exact_flags),
        "steps": [program.steps[index].op.kernel for index in program.in_code()],
        "proofs": [
            {"step": index, "kernel": step.op.kernel} | asdict(proof)
            for index, step in ((index, program.steps[index]) for index in program.in_code())
            if isinstance(step.op, Proved)
            for proof in step.op.proofs
        ],
        "notes": list(program.notes),
        "table_bytes": table_bytes,
        "signer": loaded.signer,
        "signature": _signature_facts(loaded.verification),
        "was_encrypted": loaded.was_encrypted,
        "findings": [*loaded.findings, *remarks],
        "sha256": {
            "model": loaded.sha256,
            "target": target.sha256,
            "files": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sorted(texts.items())},
        },
    }


def _remarks(lowered: Program, options: Options) -> tuple[str, ...]:
    """What was changed in the rows given; what the options could have given, and what they need for it."""
    changed = () if options.calibration is None else options.calibration.notes
    if options.numeric in INTEGER_MODES and lowered.codes is None and takes_codes(lowered):
        return (*changed, "no functions of codes: rows (--calibrate) tell which codes the features have")
    return changed


def _signature_facts(found: Verification) -> dict[str, object]:
    return {
        "state": found.state,
        "suite": found.suite or None,
        "fingerprint": found.fingerprint or None,
        "trusted_as": found.name or None,
    }


def public_functions(program: Program, name: str) -> tuple[str, ...]:
    """The functions that the header declares."""
    if program.source.element == "text":
        return (f"{name}_predict_text", f"{name}_scores_text")
    if program.source.element == "prefix":
        return (f"{name}_suggest",)
    functions = ["predict", "scores", "predict_batch"]
    if program.codes is not None:
        functions += ["predict_q", "scores_q"]
    if program.label is not None:
        functions += ["classify", "classify_batch"]
        functions += ["classify_q"] if program.codes is not None else []
    return tuple(f"{name}_{function}" for function in functions)
