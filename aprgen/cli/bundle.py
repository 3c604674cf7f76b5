"""`aprgen bundle`: several models as one C file with a registry, or packed into an .apbundle.

Knows where files come from and how the result is shown; what a bundle is stands in `aprgen.bundle`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

from aprgen import spell
from aprgen.accuracy import Calibration
from aprgen.bundle.compile import Bundle, BundleOptions, check_limit, compile_bundle, sizes
from aprgen.bundle.definition import Definition, ModelDefinition, from_word, read_definition
from aprgen.bundle.measured import Measured, measure_bundle
from aprgen.bundle.members import GivenRows, Wish
from aprgen.bundle.proof import DEFAULT_ROWS, Proof, prove
from aprgen.cli.access import access_for
from aprgen.cli.arguments import DEFAULT_TARGET
from aprgen.cli.artifact import is_missing_tool
from aprgen.cli.examination import ENCRYPTED
from aprgen.cli.footprint_facts import footprint_facts
from aprgen.cli.printable import byte_count, count_of, visible
from aprgen.cli.progress import Steps, steps
from aprgen.cli.protection import words_of
from aprgen.cli.report import of_file, print_json
from aprgen.cli.requests import Bundle as Request
from aprgen.cli.rows import read_rows, read_texts
from aprgen.container import Access, inspect_container, load_bytes
from aprgen.container.apbundle import MAGIC, read_apbundle, write_apbundle
from aprgen.errors import AprgenError, BudgetError, ComparisonError, ToolchainError, UsageError
from aprgen.footprint import check_budget
from aprgen.loaded import load_model
from aprgen.output_folder import write_file, write_folder
from aprgen.passes.ranges import Method
from aprgen.rows import text_array
from aprgen.target import load_target

LABEL = 10  # columns
PACKED = ".apbundle"
DEFAULT_NAME = "bundle"
ANY_TOOLS = "auto"


def bundle_command(request: Request) -> int:
    """Files are written last: a bundle that is too large, or differs from its models, leaves nothing behind."""
    definition = _definition(request)
    if request.out is not None and request.out.suffix == PACKED:
        return _pack(request, definition)
    target_name = request.target or definition.target or DEFAULT_TARGET
    name = request.name or definition.name or DEFAULT_NAME
    limit = request.limit if request.limit is not None else definition.limit
    measured: Measured | None = None
    proof: Proof | None = None
    unmeasured = "not asked for (--no-measure)"
    with steps(4) as work:
        work.next("compiling")
        target = load_target(target_name)
        access = access_for(request.opening)
        wishes = [wish for model in definition.models for wish in _wishes(model, access)]
        bundle = compile_bundle(wishes, target, BundleOptions(name, _command(request, target.name, name, limit), limit))
        constants = bundle.emitted.table_bytes + bundle.emitted.data_bytes
        with _listing(bundle, request, work):
            check_limit(constants, bundle.options, "tables and embedded files alone")
        if request.measure or limit is not None:
            work.next(f"building for {visible(target.name)}")
            measured, unmeasured = _measured(bundle, request, limit)
        if measured is not None:
            bundle = bundle.with_measured(measured.facts(bundle.emitted.data_bytes))
            with _listing(bundle, request, work, measured):
                check_limit(measured.whole.flash_bytes, bundle.options, "code and constants")
                check_budget(measured.whole, bundle.target)
        if request.test:
            work.next(f"testing on {visible(target.name)}")
            proof = prove(bundle, tools=request.tools, n_rows=DEFAULT_ROWS if request.rows is None else request.rows)
        if proof is None or proof.passed:
            work.next("writing")
            folder = request.out if request.out is not None else Path(name)
            write_folder(folder, bundle.texts)
    if request.format == "json":
        print_json(_report(bundle, request, measured, unmeasured, proof))
    else:
        _print(bundle, measured, unmeasured, proof)
        if proof is None or proof.passed:
            _line("written", f"{folder}/: {', '.join(sorted(bundle.texts))}")
    _require_proof(proof)
    return 0


def _definition(request: Request) -> Definition:
    """From a .toml alone, or from words; options of the command line go before what the file says."""
    if len(request.models) == 1 and request.models[0].endswith(".toml"):
        if request.embed != "code" or request.optimise is not None:
            raise UsageError(
                "usage.arguments", "a bundle.toml says of each model how it is embedded and shaped",
                where="--embed or --optimise", hint="write embed or optimise beside the model",
            )  # fmt: skip
        return read_definition(Path(request.models[0]))
    for word in request.models:
        if word.endswith(".toml"):
            raise UsageError(
                "bundle.models", "a bundle.toml names all models, no others can stand beside it", where=word,
                hint="give the .toml alone, or models alone",
            )  # fmt: skip
    models = tuple(from_word(word, request.embed) for word in request.models)
    return Definition(tuple(replace(model, optimise=_shape(model, request)) for model in models))


def _shape(model: ModelDefinition, request: Request) -> str | None:
    return None if model.embed == "bytes" else request.optimise


def _wishes(model: ModelDefinition, access: Access) -> list[Wish]:
    """One, or those in an .apbundle."""
    data = load_bytes(model.file)
    if data[: len(MAGIC)] != MAGIC:
        return [_wish(model, model.name or model.file.stem, data, model.file.name, access)]
    if model.name is not None:
        raise UsageError(
            "bundle.name", "the models of an .apbundle have names of their own", where=model.file.name,
            hint="leave the name out",
        )  # fmt: skip
    try:
        packed = read_apbundle(data)
    except AprgenError as error:
        raise of_file(error, model.file) from None
    return [_wish(model, file.name, file.data, model.file.name, access) for file in packed.files]


def _wish(model: ModelDefinition, name: str, data: bytes, origin: str, access: Access) -> Wish:
    calibration = None if model.calibrate is None else _calibration(model, data, access)
    rows = None if model.rows is None else _rows(model.rows, data, model.struct, access)
    return Wish(
        name, data, spell.comment(origin), model.embed, model.numeric, calibration, model.optimise, model.struct,
        model.compression, rows, model.n_rows, access,
    )  # fmt: skip


def _calibration(model: ModelDefinition, data: bytes, access: Access) -> Calibration:
    assert model.calibrate is not None
    loaded = load_model(data, struct=model.struct, access=access)
    given = read_rows(model.calibrate, loaded.model.n_features, wider_rows=loaded.model.wider_rows)
    return Calibration(given.values, model.calibrate.name, cast(Method, model.method), notes=given.notes)


def _rows(path: Path, data: bytes, struct: str | None, access: Access) -> GivenRows:
    """Rows, or texts, of the user's for a self-test."""
    model = load_model(data, struct=struct, access=access).model
    digest = hashlib.sha256(load_bytes(path)).hexdigest()
    if model.lower().source.element in ("text", "prefix"):
        return GivenRows(text_array(list(read_texts(path))), path.name, digest)
    given = read_rows(path, model.n_features, wider_rows=model.wider_rows)
    return GivenRows(given.values, path.name, digest, given.notes)


def _command(request: Request, target: str, name: str, limit: int | None) -> str:
    """Without paths: the same files give the same banner wherever they lie."""
    words = ["aprgen", "bundle"]
    for word in request.models:
        prefix, equals, file = word.partition("=") if "=" in word else ("", "", word)
        words.append(f"{prefix}{equals}{Path(file).name}")
    words += ["--target", target, "--name", name]
    if request.embed != "code":
        words += ["--embed", request.embed]
    if request.optimise is not None:
        words += ["--optimise", request.optimise]
    return " ".join([*words, *([] if limit is None else ["--max-bytes", str(limit)]), *words_of(request.opening)])


def _measured(bundle: Bundle, request: Request, limit: int | None) -> tuple[Measured | None, str]:
    """Measured, or why this machine cannot; with a limit it must."""
    try:
        return measure_bundle(bundle, request.tools), ""
    except ToolchainError as error:
        if request.tools != ANY_TOOLS or limit is not None or not is_missing_tool(error):
            raise
        return None, f"{error.what} ({error.hint})"


@contextmanager
def _listing(bundle: Bundle, request: Request, work: Steps, measured: Measured | None = None) -> Iterator[None]:
    """Before a BudgetError goes on, say what takes how much."""
    try:
        yield
    except BudgetError:
        work.end()
        unmeasured = "it is too large before it is built"
        if request.format == "json":
            print_json(_report(bundle, request, measured, unmeasured, None))
        else:
            _print(bundle, measured, unmeasured, None)
        raise


def _require_proof(proof: Proof | None) -> None:
    if proof is None or proof.passed:
        return
    failed = [name for name, verdict in proof.verdicts.items() if not verdict.passed]
    what = f"results differ for {', '.join(failed)}"
    if not failed:
        what = f"the self-test has {count_of(proof.selftest_wrong, 'wrong result')}"
    raise ComparisonError(
        "test.differs", what, where="the bundle on its target's runner", hint="report it as a fault of aprgen"
    )


def _pack(request: Request, definition: Definition) -> int:
    """Every model goes in byte for byte; files that are damaged do not."""
    assert request.out is not None
    refused = [
        word
        for word, given in (
            ("--target", request.target), ("--name", request.name), ("--max-bytes", request.limit),
            ("--optimise", request.optimise), ("--test", request.test or None),
        )
        if given is not None
    ]  # fmt: skip
    if refused:
        raise UsageError(
            "usage.arguments", f"an {PACKED} file holds no code, so {refused[0]} means nothing", where=refused[0],
            hint="leave it out, or give a folder with -o",
        )  # fmt: skip
    access = access_for(request.opening)
    files: list[tuple[str, bytes]] = []
    for model in definition.models:
        for wish in _wishes(replace(model, rows=None, calibrate=None), access):
            for problem in inspect_container(wish.data, access=access).problems:
                if problem.code != ENCRYPTED:
                    raise of_file(problem, Path(wish.origin))
            files.append((wish.name, wish.data))
    data = write_apbundle(files, created=request.created, description=request.description)
    write_file(request.out, data)
    if request.format == "json":
        print_json({
            "written": str(request.out),
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "models": [{"name": name, "bytes": len(content)} for name, content in files],
        })  # fmt: skip
    else:
        for name, content in files:
            _line("model", f"{name}: {byte_count(len(content))}")
        _line("written", f"{request.out}, {byte_count(len(data))}")
    return 0


def _report(
    bundle: Bundle, request: Request, measured: Measured | None, unmeasured: str, proof: Proof | None
) -> dict[str, object]:
    return {
        "folder": str(request.out if request.out is not None else bundle.name),
        "files": {name: len(text.encode()) for name, text in sorted(bundle.texts.items())},
        "manifest": dict(bundle.manifest),
        "footprint": None if measured is None else footprint_facts(measured.whole, measured.compiler),
        "unmeasured": None if measured is not None else unmeasured,
        "test": None if proof is None else _proof_facts(proof),
    }


def _proof_facts(proof: Proof) -> dict[str, object]:
    return {
        "passed": proof.passed,
        "runner": proof.runner,
        "selftest_wrong": proof.selftest_wrong,
        "models": {
            name: {
                "passed": verdict.passed,
                "rows": verdict.n_rows,
                "image_differences": verdict.image_differences,
                "model_differences": verdict.model_differences,
            }
            for name, verdict in proof.verdicts.items()
        },
    }


def _print(bundle: Bundle, measured: Measured | None, unmeasured: str, proof: Proof | None) -> None:
    members = bundle.members
    _line(bundle.name, f"{count_of(len(members), 'model')} for {bundle.target.name}")
    for member, (name, table_bytes, data_bytes) in zip(members, sizes(bundle), strict=True):
        parts = [member.closed if member.loaded is None else member.loaded.model.family]
        if member.plan is not None:
            alone = "" if measured is None else f"{count_of(measured.alone[name], 'byte')} alone, "
            parts.append(f"code ({alone}tables {table_bytes})")
        if member.stored is not None:
            parts.append(f"{byte_count(data_bytes)} embedded: {member.stored.compression}, {member.stored.reason}")
        rows = 0 if member.trial is None else member.trial.n_rows
        parts.append(f"{count_of(rows, 'row')} of self-test")
        _line("model", f"{name}: {'; '.join(parts)}")
        for finding in member.findings:
            _line("note", f"{name}: {finding}")
    shared = bundle.emitted.shared
    saved = sum(one.saved_bytes for one in shared)
    _line("shared", f"{count_of(len(shared), 'definition')}, {count_of(saved, 'byte')} of tables not there twice")
    if measured is None:
        _line("size", f"not measured: {unmeasured}")
    else:
        _print_measured(bundle, measured)
    if proof is not None:
        for name, verdict in proof.verdicts.items():
            state = "equal to Program.run() on" if verdict.image_differences == 0 else "WRONG on some of"
            _line("tested", f"{name}: {state} {count_of(verdict.n_rows, 'row')}")
        wrong = count_of(proof.selftest_wrong, "wrong result")
        _line("self-test", f"{wrong} on {proof.runner}")


def _print_measured(bundle: Bundle, measured: Measured) -> None:
    whole, limit = measured.whole, bundle.options.limit
    of_limit = "" if limit is None else f", the limit is {limit:,}"
    data = bundle.emitted.data_bytes
    _line("flash", f"{count_of(whole.flash_bytes, 'byte')}{of_limit}")
    if measured.separate is not None and measured.together is not None:
        _line("", f"{measured.together.flash_bytes:,} of models; as separate files {measured.separate.flash_bytes:,}")
    _line("", f"{measured.registry_bytes - data:,} of registry, {data:,} of embedded files")
    _line("saved", count_of(measured.saved_bytes, "byte"))
    _line("RAM", f"{count_of(whole.ram_bytes, 'byte')} of variables")
    _line("compiler", measured.compiler)


def _line(label: str, value: str) -> None:
    print(visible(f"{label:<{LABEL}} {value}"))
