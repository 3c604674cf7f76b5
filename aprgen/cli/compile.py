"""`aprgen compile`: writes the C of a model, and says what it takes on the target when it can be built here.

Prints plain lines, without rich: a small model takes less time than importing it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from aprgen.accuracy import Accuracy
from aprgen.cli.artifact import artifact_for, is_missing_tool, loaded_from
from aprgen.cli.printable import count_of, visible
from aprgen.cli.progress import steps
from aprgen.cli.requests import Compile
from aprgen.core import Artifact
from aprgen.errors import ToolchainError
from aprgen.output_folder import require_folder, write_folder
from aprgen.target import load_target

if TYPE_CHECKING:
    from aprgen.footprint import Footprint
    from aprgen.search import Search

LABEL = 10  # columns
ANY_TOOLS = "auto"


def compile_command(request: Compile) -> int:
    """Files are written last: a model that does not fit, or does not build, leaves nothing behind."""
    found: Search | None = None
    if request.out is not None:
        require_folder(request.out)
    with steps(3) as work:
        work.next("compiling")
        target = load_target(request.target)
        loaded = loaded_from(request.model, request.struct, request.opening)
        if request.limits:
            from aprgen.cli.budgeted import print_search, search_facts, searched

            found = searched(request, loaded, target, work)
            if found.artifact is None and request.format == "text":
                print_search(found)
            artifact = found.fitting()
        else:
            artifact = artifact_for(
                loaded, request.model, target, name=request.name, numeric=request.numeric, struct=request.struct,
                opening=request.opening,
            )  # fmt: skip
        footprint: Footprint | None = None
        compiler = ""
        unmeasured = "not asked for (--no-measure)"
        if request.measure:
            work.next(f"building for {visible(target.name)}")
            footprint, compiler, unmeasured = _measure(artifact, request.tools)
        work.next("writing")
        folder = request.out if request.out is not None else Path(artifact.name)
        write_folder(folder, artifact.texts)
    if request.format == "json":
        from aprgen.cli.report import print_json

        report = _report(artifact, folder, footprint, compiler, unmeasured)
        print_json(report if found is None else report | {"tried": search_facts(found)})
    else:
        if found is not None:
            print_search(found)
        _print(artifact, folder, footprint, compiler, unmeasured)
    return 0


def _measure(artifact: Artifact, tools: str) -> tuple[Footprint | None, str, str]:
    """The footprint and the compiler, or why this machine has none. Tools that the user named must be there."""
    from aprgen.measured import measured_alone

    try:
        return *measured_alone(artifact, tools), ""
    except ToolchainError as error:
        if tools != ANY_TOOLS or not is_missing_tool(error):
            raise
        return None, "", f"{error.what} ({error.hint})"


def _report(
    artifact: Artifact, folder: Path, footprint: Footprint | None, compiler: str, unmeasured: str
) -> dict[str, object]:
    from aprgen.cli.footprint_facts import footprint_facts

    return {
        "folder": str(folder),
        "files": {name: len(text.encode()) for name, text in sorted(artifact.texts.items())},
        "manifest": dict(artifact.manifest),
        "footprint": None if footprint is None else footprint_facts(footprint, compiler),
        "unmeasured": unmeasured or None,
    }


def _print(artifact: Artifact, folder: Path, footprint: Footprint | None, compiler: str, unmeasured: str) -> None:
    model, program = artifact.model, artifact.program
    source = {"text": "a text", "prefix": "a prefix"}.get(program.source.element)
    in_and_out = f"{source or count_of(program.n_features, 'feature')} in, {count_of(program.n_outputs, 'output')}"
    classes = f", {count_of(program.n_classes, 'class', 'classes')}" if program.n_classes else ""
    _line(artifact.name, f"{model.family} ({model.struct}), {in_and_out}{classes}")
    options = artifact.manifest["options"]
    assert isinstance(options, dict)
    shape = "" if options["optimise"] is None else f", --optimise {options['optimise']}"
    _line("target", f"{artifact.target.name}, {options['numeric']}{shape}")
    tuned = artifact.manifest.get("tuned")
    if isinstance(tuned, dict):
        _line("tuned", _tuned_words(tuned))
    if artifact.accuracy is not None:
        for label, value in _accuracy_lines(artifact.accuracy):
            _line(label, value)
    for note in artifact.program.notes:
        _line("proved", note)
    _line("tables", f"{count_of(artifact.table_bytes, 'byte')}, constant")
    if footprint is not None:
        from aprgen.cli.footprint_facts import footprint_lines

        for label, value in footprint_lines(footprint, compiler):
            _line(label, value)
    else:
        _line("size", f"not measured: {unmeasured}")
    findings = artifact.manifest["findings"]
    for finding in findings if isinstance(findings, list) else ():
        _line("note", str(finding))
    _line("written", f"{folder}/: {', '.join(sorted(artifact.texts))}")


def _tuned_words(facts: Mapping[str, object]) -> str:
    strategy = facts["strategy"]
    forms = " ".join(map(str, strategy["forms"])) if isinstance(strategy, dict) else "rows one by one"
    return f"{forms}, {facts['by']} on {facts['cpu']}"


def _accuracy_lines(accuracy: Accuracy) -> list[tuple[str, str]]:
    """Before is the model in floats: without labels it is the measure, and agrees with itself on every row."""
    measured = f"{count_of(accuracy.n_rows, 'row')} of {accuracy.origin}"
    lines = [
        ("measured", measured) if accuracy.bound else ("calibrated", f"{measured}, {accuracy.method}"),
        ("accuracy", accuracy.sentence),
    ]
    if accuracy.bound is not None:
        lines.append(("bound", accuracy.bound.sentence))
    if accuracy.truth is not None:
        lines.append(("right", accuracy.truth.sentence))
    if accuracy.worst_rows:
        lines.append(("worst rows", ", ".join(map(str, accuracy.worst_rows))))
    if accuracy.in_floats:
        lines.append(("in floats", ", ".join(accuracy.in_floats)))
    return lines


def _line(label: str, value: str) -> None:
    print(visible(f"{label:<{LABEL}} {value}"))
