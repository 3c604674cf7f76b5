"""The SCons tool: `Environment(tools=["default", generate])` adds AprModel, AprBundle, AprLoader and others.

Knows SCons and the order of the steps; each step is a command of aprgen, or the target's compiler, in a process of its
own, so that `-j` helps. Knows no families and no targets.
"""

from __future__ import annotations

import hashlib
import os
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from SCons.Action import Action
from SCons.Environment import Base as Environment
from SCons.Errors import UserError
from SCons.Node.FS import Dir, File
from SCons.Tool import CScanner

from aprgen import budgets
from aprgen.budgets import Budget, Value
from aprgen.bundle.definition import from_word, read_definition
from aprgen.device_loader import own_texts, plan_loader
from aprgen.errors import AprgenError
from aprgen.resources import folder
from aprgen.runners.choose import runner_for
from aprgen.scons_steps import (
    Step,
    admit,
    bound_time,
    compile_loader,
    compile_model,
    generate_bundle,
    generate_loader,
    generate_model,
    headers_of,
    run_program,
    say,
    verify,
)
from aprgen.spell import is_identifier
from aprgen.target import Target, load_target
from aprgen.toolchain import Toolchain, find_toolchain

BUDGET_ROWS = 200  # random rows, beside the edge rows, over which the stack is measured
TEST_ROWS = 1000
RUN_SECONDS = 120.0

_OPTIONS = {
    "numeric": "--numeric", "optimise": "--optimise", "struct": "--as", "password_env": "--password-env",
}  # fmt: skip
_BUNDLE_OPTIONS = {"embed": "--embed", "optimise": "--optimise"}
_FILES = {"trust": "--trust", "key": "--key", "password_file": "--password-file"}  # options that name a file
_TUNED = {"tuned": "--tuned"}  # one more, of AprModel and AprTest
_FLAGS = {"require_signature": "--require-signature"}  # options that are True or False
_OPENING = ("password_env", *_FILES, *_FLAGS)  # what says whom to trust, and opens encrypted models
_DATA_FOLDERS = ("templates", "runtime_c", "targets", "qemu")


class ModelNodes(list[File]):
    """What AprModel and AprBundle return: as a list, the object file to link; the attributes are files beside it."""

    def __init__(
        self, linked: File, include: Dir, generated: Sequence[File], footprint: File, timing: Sequence[File] = ()
    ) -> None:
        super().__init__([linked])
        self.include = include  # the folder of the headers, for CPPPATH
        self.generated = list(generated)
        self.selftest = next(file for file in generated if str(file).endswith("_selftest.c"))
        self.footprint = footprint  # JSON
        self.timing = list(timing)  # with a budget of time: the report of `aprgen wcet`, JSON, and NAME_wcet.h


def generate(env: Environment) -> None:
    """Called by SCons: adds the methods to an environment."""
    env.SetDefault(APR_BUILD_DIR="#build")
    env.AddMethod(_apr_model, "AprModel")
    env.AddMethod(_apr_bundle, "AprBundle")
    env.AddMethod(_apr_loader, "AprLoader")
    env.AddMethod(_apr_test, "AprTest")
    env.AddMethod(_apr_runnable, "AprRunnable")
    env.AddMethod(_run_test, "RunTest")


def exists(env: Environment) -> bool:
    """Called by SCons: the tool is always there."""
    return True


def _apr_model(
    env: Environment,
    name: str,
    model: str | File,
    target: str = "host",
    budget: Mapping[str, Value] | None = None,
    tools: str = "auto",
    **options: str | bool,
) -> ModelNodes:
    """Generate C, compile it for the target, measure it, and let it pass when it fits the budget.

    budget: bytes of "flash", "ram" and "stack"; "cycles" that no function of the interface may exceed, or "deadline_us"
    with "clock_mhz"; beside these "wait_states", "line_bytes", "text_bytes" and "core_options" as of `aprgen wcet`.
    optimise "fit" takes the first shape of trees that keeps the budget. trust (a file or folder of signers' public
    keys) refuses models that none of them signed, require_signature=True unsigned ones; key, password_file or
    password_env opens an encrypted one. tuned: a file of `aprgen tune` that chooses strategies for blocks of rows. The
    object file stands in $APR_BUILD_DIR/TARGET/NAME.o; linking it makes sure that the budget was kept.
    """
    fits = options.get("optimise") == budgets.FIT
    step = _step(env, name, target, tools, {key: word for key, word in options.items() if word != budgets.FIT})
    allowed = _allowed(step, budget or {})
    include = env.Dir(f"{step.where}/{name}")
    if fits:
        step = replace(step, search=_search(step, budget or {}), manifest=include.File("manifest.json").abspath)
    headers = headers_of(step.target)
    files = [f"{name}.c", f"{name}.h", f"{name}_selftest.c", "manifest.json", *headers]
    generated = env.Command(
        [include.File(file) for file in files],
        model,
        Action(generate_model, say("generating", step), varlist=["APR_FINGERPRINT"]),
        APR_STEP=step,
        APR_FINGERPRINT=f"{_generator_digest()} {step.fingerprint}",
    )
    units = [env.File(f"{step.where}/{name}.unchecked.o")]
    if step.toolchain is not None and step.toolchain.rule.stack_usage:
        units.append(env.File(f"{step.where}/{name}.unchecked.su"))
    built = env.Command(
        units,
        generated[0],
        Action(compile_model, say("compiling", step), varlist=["APR_FINGERPRINT"]),
        source_scanner=CScanner,
        CPPPATH=[include],
        APR_STEP=step,
        APR_FINGERPRINT=" ".join(step.toolchain.compile_flags) + step.fingerprint if step.toolchain else "",
    )
    measured = [*built, include.File("manifest.json")]
    if "stack" in allowed.limits:
        measured += _test(env, [model, generated[3]], step, BUDGET_ROWS, "budget")
    made = [f"{step.where}/{name}.o", f"{step.where}/{name}.footprint.json"]
    timing: list[File] = []
    if allowed.has_times:
        timing = env.Command(
            f"{step.where}/{name}.wcet.json",
            [model, built[0], *([generated[3]] if fits else ())],
            Action(bound_time, say("bounding", step), varlist=["APR_FINGERPRINT"]),
            APR_STEP=step,
            APR_WORDS=allowed.words,
            APR_FINGERPRINT=" ".join((_generator_digest(), step.fingerprint, *allowed.words)),
        )
        measured += timing
        made.append(include.File(f"{name}_wcet.h"))
    passed = env.Command(
        made,
        measured,
        Action(admit, say("measuring", step), varlist=["APR_FINGERPRINT", "APR_LIMITS"]),
        APR_STEP=step,
        APR_BUDGET=allowed,
        APR_LIMITS=dict(allowed.limits),
        APR_FINGERPRINT=f"{_generator_digest()} {step.fingerprint}",
    )
    return ModelNodes(passed[0], include, generated, passed[1], [*timing, *passed[2:]])


def _apr_bundle(
    env: Environment,
    name: str,
    models: str | File | Sequence[str],
    target: str = "host",
    limit: int | None = None,
    tools: str = "auto",
    test: int | None = None,
    **options: str | bool,
) -> ModelNodes:
    """Generate a bundle of models and compile it for the target; over the limit of flash, in bytes, the build fails.

    models: a bundle.toml, or [NAME=]FILE[:code|bytes|both] for each. test: so many random rows of each model are run on
    the target's runner before. options: embed and optimise, as of `aprgen bundle`; trust, require_signature, key,
    password_file and password_env as of AprModel, for all models of the bundle.
    """
    unknown = sorted(set(options) - {*_BUNDLE_OPTIONS, *_OPENING})
    if unknown:
        known = ", ".join((*_BUNDLE_OPTIONS, *_OPENING))
        raise _wrong(f"AprBundle {name}: unknown option {unknown[0]!r}; there are {known}")
    step = _step(env, name, target, tools, {key: options[key] for key in _OPENING if key in options}, "AprBundle")
    described = [str(models)] if isinstance(models, str | File) else [str(word) for word in models]
    words, sources = _bundled(env, name, described)
    more = [str(part) for key, word in _BUNDLE_OPTIONS.items() if key in options for part in (word, options[key])]
    more += [] if limit is None else ["--max-bytes", str(limit)]
    more += [] if test is None else ["--test", "--rows", str(test)]
    include = env.Dir(f"{step.where}/{name}")
    files = [f"{name}.c", f"{name}.h", f"{name}_selftest.c", "manifest.json", *headers_of(step.target)]
    generated = env.Command(
        [*(include.File(file) for file in files), env.File(f"{step.where}/{name}.bundle.json")],
        sources,
        Action(generate_bundle, say("generating", step), varlist=["APR_FINGERPRINT"]),
        APR_STEP=step,
        APR_WORDS=words,
        APR_MORE=more,
        APR_FINGERPRINT=" ".join((_generator_digest(), step.fingerprint, *described, *more)),
    )
    units = [env.File(f"{step.where}/{name}.o")]
    if step.toolchain is not None and step.toolchain.rule.stack_usage:
        units.append(env.File(f"{step.where}/{name}.su"))
    built = env.Command(
        units,
        generated[0],
        Action(compile_model, say("compiling", step), varlist=["APR_FINGERPRINT"]),
        source_scanner=CScanner,
        CPPPATH=[include],
        APR_STEP=step,
        APR_FINGERPRINT=" ".join(step.toolchain.compile_flags) + step.fingerprint if step.toolchain else "",
    )
    return ModelNodes(built[0], include, generated[:-1], generated[-1])


class LoaderNodes(list[File]):
    """What AprLoader returns: as a list, the object files to link; include and defines are for whoever calls them."""

    def __init__(self, objects: Sequence[File], include: Dir, defines: Mapping[str, str]) -> None:
        super().__init__(objects)
        self.include = include
        self.defines = dict(defines)


def _apr_loader(
    env: Environment,
    parts: Sequence[str] = (),
    target: str = "host",
    without: Sequence[str] = (),
    crc_table: int = 64,
    archives: str = "",
    tools: str = "auto",
) -> LoaderNodes:
    """The device's loader of .apr files, generated and compiled for the target; options as of `aprgen loader`.

    parts: some of "ed25519", "zstd", "lz4", fetched by version and sha256, or taken from the folder `archives`.
    """
    step = _step(env, "loader", target, tools, {})
    try:
        plan = plan_loader(step.target, parts, without, crc_table)
    except AprgenError as error:
        raise _wrong(f"AprLoader: {error.what} ({error.hint})") from error
    include = env.Dir(f"{step.where}/loader")
    words = [*(word for name in parts for word in ("--with", name)), "--crc-table", str(crc_table)]
    words += [word for name in without for word in ("--without", name)]
    words += ["--archives", env.Dir(archives).path] if archives else []
    compiled = [unit.path for unit in plan.units]
    files = ["loader.json", *compiled, *(name for name in own_texts(plan) if name not in compiled)]
    generated = env.Command(
        [include.File(name) for name in files],
        [],
        Action(generate_loader, say("generating", step), varlist=["APR_FINGERPRINT"]),
        APR_STEP=step,
        APR_MORE=words,
        APR_FINGERPRINT=" ".join((_generator_digest(), step.fingerprint, *words)),
    )
    objects = [
        env.Command(
            env.File(f"{step.where}/loader.{Path(unit.path).stem}.o"),
            [source, generated[0]],
            Action(compile_loader, "compiling $SOURCE", varlist=["APR_FINGERPRINT"]),
            APR_STEP=step,
            APR_UNIT=unit,
            APR_FINGERPRINT=" ".join((*(step.toolchain.compile_flags if step.toolchain else ()), *unit.flags)),
        )[0]
        for unit, source in zip(plan.units, generated[1:], strict=False)
    ]
    return LoaderNodes(objects, include, plan.macros)


def _bundled(env: Environment, name: str, described: Sequence[str]) -> tuple[list[tuple[str, str]], list[File]]:
    """What stands before and behind each file in the words of the command, and all files that the bundle depends on.

    The files of the words come first.
    """
    try:
        if len(described) == 1 and described[0].endswith(".toml"):
            toml = env.File(described[0])
            folder_of = Path(toml.rfile().abspath).parent
            found = read_definition(Path(toml.rfile().abspath))
            used = [path for m in found.models for path in (m.file, m.rows, m.calibrate) if path is not None]
            beside = [toml.dir.File(os.path.relpath(path, folder_of)) for path in used]
            return [("", "")], [toml, *beside]
        models = [from_word(word, "code") for word in described]
    except AprgenError as error:
        raise _wrong(f"AprBundle {name}: {error.what} ({error.hint})") from error
    words = []
    for word, model in zip(described, models, strict=True):
        before, file, behind = word.rpartition(str(model.file))
        if not file:
            raise _wrong(f"AprBundle {name}: write the file of {word!r} without . and .. in between")
        words.append((before, behind))
    return words, [env.File(str(model.file)) for model in models]


def _apr_test(
    env: Environment,
    name: str,
    model: str | File,
    target: str = "host",
    rows: int = TEST_ROWS,
    tools: str = "auto",
    **options: str | bool,
) -> list[File]:
    """Run `aprgen test` on the target's runner; the report, JSON, is $APR_BUILD_DIR/TARGET/NAME.test.json."""
    return _test(env, [model], _step(env, name, target, tools, options), rows, "test")


def _apr_runnable(env: Environment, target: str, tools: str = "auto") -> str:
    """Why nothing here runs the target; empty when something does."""
    try:
        runner_for(_target(env, target), tools)
    except AprgenError as error:
        return error.what
    return ""


def _run_test(
    env: Environment,
    output: str | File,
    program: File | Sequence[File],
    command: Sequence[str] = ("{program}",),
    seconds: float = RUN_SECONDS,
) -> list[File]:
    """Run a program and keep what it prints in the file `output`; another exit status than 0 fails the build.

    command: the words that start it, in which {program} is its path: an emulator, for another machine's program.
    """
    words = [str(word) for word in command]
    nodes: list[File] = env.Command(
        output,
        program,
        Action(run_program, "running $SOURCE", varlist=["APR_WORDS", "APR_SECONDS"]),
        APR_WORDS=words,
        APR_SECONDS=seconds,
    )
    return nodes


def _test(env: Environment, sources: Sequence[str | File], step: Step, rows: int, suffix: str) -> list[File]:
    """sources: the model first."""
    nodes: list[File] = env.Command(
        f"{step.where}/{step.name}.{suffix}.json",
        sources if step.manifest else sources[:1],
        Action(verify, say("testing", step), varlist=["APR_FINGERPRINT", "APR_ROWS"]),
        APR_STEP=step,
        APR_ROWS=str(rows),
        APR_FINGERPRINT=f"{_generator_digest()} {step.fingerprint}",
    )
    return nodes


def _step(
    env: Environment, name: str, target: str, tools: str, options: Mapping[str, str | bool], what: str = "AprModel"
) -> Step:
    """Check what the SConstruct says; what is wrong there is a UserError, which names its line."""
    if not is_identifier(name):
        raise _wrong(f"{what}: {name!r} is no name for C functions; use letters, digits and underscores")
    files = {**_FILES, **_TUNED}
    unknown = sorted(set(options) - {*_OPTIONS, *files, *_FLAGS})
    if unknown:
        known = ", ".join((*_OPTIONS, *files, *_FLAGS))
        raise _wrong(f"AprModel {name}: unknown option {unknown[0]!r}; there are {known}")
    if options.get("optimise") == budgets.FIT:
        raise _wrong(f"AprTest {name}: only AprModel has a budget to fit; name the shape that it chose")
    for key in _FLAGS:
        if not isinstance(options.get(key, False), bool):
            raise _wrong(f"{what} {name}: {key} is True or False, not {options[key]!r}")
    words = [str(word) for key, spelled in _OPTIONS.items() if key in options for word in (spelled, options[key])]
    words += [spelled for key, spelled in _FLAGS.items() if options.get(key, False)]
    words += [
        word for key, spelled in files.items() if key in options for word in (spelled, env.Entry(options[key]).path)
    ]
    read = " ".join(_digest_of(Path(env.Entry(options[key]).abspath)) for key in ("trust", "tuned") if key in options)
    found = _target(env, target)
    toolchain: Toolchain | None = None
    problem = ""
    try:
        toolchain = find_toolchain(found, tools)
    except AprgenError as error:  # reported by the step that compiles, so that `scons -h` works without it
        problem = str(error)
    where = env.subst(f"$APR_BUILD_DIR/{found.name}")
    spoken = env.File(target).path if _is_file(target) else found.name
    return Step(found, toolchain, problem, ("--target", spoken, *words), tools, name, where, read)


def _digest_of(place: Path) -> str:
    """Of a file or of all files of a folder; what cannot be read is reported by the step that needs it."""
    digest = hashlib.sha256()
    for path in sorted(place.iterdir()) if place.is_dir() else [place]:
        if path.is_file():
            digest.update(f"{path.name} {path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _wrong(what: str) -> UserError:
    """A UserError that names the line of the SConstruct; SCons itself would name a line of this file."""
    ours = (__file__, f"{os.sep}SCons{os.sep}")
    frames = [frame for frame in traceback.extract_stack() if not any(part in frame.filename for part in ours)]
    place = frames[-1]
    return UserError(f"{Path(place.filename).name}, line {place.lineno}: {what}")


def _is_file(target: str) -> bool:
    return target.endswith(".toml") or "/" in target


def _target(env: Environment, target: str) -> Target:
    """A target by name, or from a file beside the SConscript."""
    try:
        return load_target(env.File(target).abspath if _is_file(target) else target)
    except AprgenError as error:
        raise _wrong(f"AprModel: {error.what} ({error.hint})") from error


def _allowed(step: Step, budget: Mapping[str, Value]) -> Budget:
    try:
        allowed = budgets.read_budget(budget)
        if allowed.has_times and step.toolchain is not None:
            budgets.require_times(step.target, step.toolchain)
    except AprgenError as error:
        raise _wrong(f"AprModel {step.name}: {error.what}") from error
    return allowed


def _search(step: Step, budget: Mapping[str, Value]) -> tuple[str, ...]:
    try:
        return (*budgets.search_words(budget), "--tools", step.tools)
    except AprgenError as error:
        raise _wrong(f"AprModel {step.name}: {error.what}") from error


@cache
def _generator_digest() -> str:
    """Of all that makes C out of a model: this package and its data. Whatever changes there, models are made anew."""
    package = Path(__file__).parent
    paths = list(package.rglob("*.py"))
    for name in _DATA_FOLDERS:
        paths += [path for path in folder(name).rglob("*") if path.is_file() and path.suffix != ".pyc"]
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
