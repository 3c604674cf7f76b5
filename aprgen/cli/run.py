"""`aprgen run`: compiles a model, builds it, executes it on given rows on the target's runner, and writes the results.

Knows the two result formats; reading rows and measuring are elsewhere.
"""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np

from aprgen.build import Built, build_artifact
from aprgen.cli.artifact import artifact_for, loaded_from
from aprgen.cli.footprint_facts import footprint_facts, footprint_lines
from aprgen.cli.measurements import measurement_facts, measurement_lines
from aprgen.cli.printable import count_of, shortened, visible
from aprgen.cli.progress import steps
from aprgen.cli.report import print_json
from aprgen.cli.requests import Run
from aprgen.cli.rows import read_rows, read_texts
from aprgen.cli.screen import Line, console, print_box, print_table
from aprgen.core import Artifact
from aprgen.errors import UsageError
from aprgen.output_folder import require_files, write_file
from aprgen.program import Array
from aprgen.rows import text_array
from aprgen.runners.execution import Execution
from aprgen.target import load_target

OUTPUT_SUFFIXES = (".npz", ".json")
MOST_ROWS_SHOWN = 20
MOST_VALUES_SHOWN = 10

Results = dict[str, Array]


def run_command(request: Run) -> int:
    if request.output is not None and request.output.suffix not in OUTPUT_SUFFIXES:
        raise UsageError(
            "output.format",
            f"results are written as .npz or .json, not as {request.output.suffix or 'a file without suffix'!r}",
            where="--output",
            hint="give a path that ends in .npz or .json",
        )
    require_files(request.output)
    with steps(3) as work:
        work.next("compiling")
        target = load_target(request.target)
        loaded = loaded_from(request.model, request.struct, request.opening)
        artifact = artifact_for(
            loaded, request.model, target, name=request.name, numeric=request.numeric, struct=request.struct,
            opening=request.opening,
        )  # fmt: skip
        records, notes = _records(request.inputs, artifact)
        work.next(f"building for {visible(target.name)}")
        built = build_artifact(artifact, tools=request.tools)
        work.next(f"running {count_of(len(records), 'row')}")
        execution = built.run(records)
    results = results_of(artifact, execution)
    if request.output is not None:
        write_file(request.output, _npz(results) if request.output.suffix == ".npz" else _json(results))
    if request.format == "json":
        print_json(_report(request, artifact, built, execution, results, notes))
    else:
        _print(request, artifact, built, execution, results, notes)
    return 0


def _records(path: Path, artifact: Artifact) -> tuple[Array, tuple[str, ...]]:
    """float32 rows, or texts as an object array; and what was changed on the way."""
    if artifact.program.source.element in ("text", "prefix"):
        return text_array(list(read_texts(path))), ()
    given = read_rows(path, artifact.program.n_features, wider_rows=artifact.model.wider_rows)
    return given.values, given.notes


def results_of(artifact: Artifact, execution: Execution) -> Results:
    """`predict` float32 [rows, n_outputs], `classify` int32 [rows] of models that do, `suggestions` str [rows, k]."""
    if execution.suggestions is not None:
        n_rows, k = len(execution.suggestions), artifact.program.n_outputs
        scores = np.zeros((n_rows, k), np.float32)
        texts = [[""] * k for _ in range(n_rows)]
        for row, found in enumerate(execution.suggestions):
            for rank, one in enumerate(found):
                scores[row, rank] = one.score
                texts[row][rank] = one.text
        return {"predict": scores, "suggestions": np.array(texts, np.str_)}
    results: Results = {"predict": np.asarray(execution.scores, np.float32)}
    if execution.labels is not None:
        results["classify"] = np.asarray(execution.labels, np.int32)
    return results


def _npz(results: Results) -> bytes:
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **results)
    return out.getvalue()


def _lists(results: Results) -> dict[str, object]:
    """As JSON: what JSON has no number for is the text NaN, Infinity or -Infinity."""

    def named(value: object) -> object:
        if isinstance(value, list):
            return [named(item) for item in value]
        if isinstance(value, float) and not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        return value

    return {name: named(array.tolist()) for name, array in results.items()}


def _json(results: Results) -> bytes:
    return (json.dumps(_lists(results), allow_nan=False) + "\n").encode()


def _report(
    request: Run, artifact: Artifact, built: Built, execution: Execution, results: Results, notes: tuple[str, ...]
) -> dict[str, object]:
    report: dict[str, object] = {
        "model": str(request.model),
        "sha256": artifact.manifest["sha256"],
        "target": artifact.target.name,
        "rows": len(results["predict"]),
        "output": None if request.output is None else str(request.output),
        "notes": list(notes),
        "footprint": footprint_facts(built.footprint, built.image.toolchain.name),
        "execution": measurement_facts(execution),
    }
    return report if request.output is not None else report | {"results": _lists(results)}


def _print(
    request: Run, artifact: Artifact, built: Built, execution: Execution, results: Results, notes: tuple[str, ...]
) -> None:
    out = console()
    n_rows = len(results["predict"])
    if request.output is None:
        columns = ("row", *results)
        shown = [_row(results, row) for row in range(min(n_rows, MOST_ROWS_SHOWN))]
        print_table(out, "", columns, shown, right=("row", "classify"))
        if n_rows > MOST_ROWS_SHOWN:
            print(f"... {n_rows:,} rows in all; --output OUT.npz or --format json gives every one")
    name = f"{artifact.name} on {visible(artifact.target.name)}"
    lines = [Line("rows", f"{n_rows:,}")]
    lines += [Line(label, visible(value)) for label, value in measurement_lines(execution)]
    size = footprint_lines(built.footprint, built.image.toolchain.name)
    lines += [Line(label, visible(value)) for label, value in size if label != "stack"]
    lines += [Line("note", visible(note)) for note in notes]
    if request.output is not None:
        kinds = {name: "text" if array.dtype.kind == "U" else array.dtype.name for name, array in results.items()}
        shapes = ", ".join(f"{name} {kinds[name]}{list(array.shape)}" for name, array in results.items())
        lines.append(Line("written", f"{visible(str(request.output))}: {shapes}"))
    print_box(out, name, lines)


def _row(results: Results, row: int) -> tuple[str, ...]:
    cells = [str(row)]
    for name, array in results.items():
        if name == "suggestions":
            cells.append("\n".join(shortened(text, 60) for text in array[row].tolist() if text))
        elif array.ndim == 1:
            cells.append(str(array[row]))
        else:
            values = [f"{value:.9g}" for value in array[row, :MOST_VALUES_SHOWN].tolist()]
            more = f" ... ({array.shape[1]})" if array.shape[1] > MOST_VALUES_SHOWN else ""
            cells.append("  ".join(values) + more)
    return tuple(cells)
