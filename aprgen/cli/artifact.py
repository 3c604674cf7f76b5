"""From the words of a command to an Artifact: reads the file, chooses the name, calls the core. Shared by three verbs.

Knows what the verbs agree on; builds and prints nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from aprgen import spell
from aprgen.accuracy import Calibration
from aprgen.cli.access import access_for, loading_for
from aprgen.cli.protection import Opening, words_of
from aprgen.cli.report import of_file
from aprgen.cli.requests import Numerics
from aprgen.cli.rows import read_answers, read_rows
from aprgen.container import DEFAULT_LIMITS, open_source
from aprgen.core import Artifact, Options, compile_model
from aprgen.errors import AprgenError, UsageError
from aprgen.loaded import Loaded, check_model, load_model
from aprgen.passes.ranges import Method
from aprgen.target import Target
from aprgen.tuned.decision import Tuned, load_tuned


def loaded_from(path: Path, struct: str | None, opening: Opening, *, record_only: bool = False) -> Loaded:
    """The model in the file. It may still be unfitted. An error says in which file.

    record_only: of a native payload the original alone, as load_model has it.
    """
    access, loading = access_for(opening), loading_for(opening)
    limits = DEFAULT_LIMITS.within(loading.memory_bytes)
    source = open_source(path, loading, limits)
    try:
        return load_model(
            source, struct=struct, limits=limits, access=access, checks=loading.checks, record_only=record_only
        )  # fmt: skip
    except UsageError:
        raise
    except AprgenError as error:
        raise of_file(error, path) from None


def name_for(path: Path, name: str | None) -> str:
    """--name, or a C name close to the file's."""
    return name if name is not None else spell.identifier(path.stem)


def artifact_for(
    loaded: Loaded, path: Path, target: Target, *, name: str | None, numeric: Numerics, struct: str | None,
    opening: Opening,
) -> Artifact:  # fmt: skip
    """The model as C for the target, with the command that makes it again."""
    chosen = name_for(path, name)
    command = reproduce(path, target, chosen, numeric, struct, opening)
    calibration = calibration_of(loaded, numeric)
    options = Options(chosen, numeric.mode, calibration, command, numeric.optimise, tuned=tuned_of(numeric))
    return compile_model(loaded, target, options)


def tuned_of(numeric: Numerics) -> Tuned | None:
    return None if numeric.tuned is None else load_tuned(numeric.tuned)


def calibration_of(loaded: Loaded, numeric: Numerics) -> Calibration | None:
    if numeric.calibrate is None:
        return None
    check_model(loaded.model)
    given = read_rows(numeric.calibrate, loaded.model.n_features, wider_rows=loaded.model.wider_rows)
    truth = None
    if numeric.labels is not None:
        program = loaded.model.lower()
        truth = read_answers(numeric.labels, len(given.values), program.n_outputs if program.label is None else 1)
    method = cast(Method, numeric.method)
    return Calibration(given.values, numeric.calibrate.name, method, numeric.max_loss, truth, given.notes)


def reproduce(path: Path, target: Target, name: str, numeric: Numerics, struct: str | None, opening: Opening) -> str:
    """The command line without paths: the same file gives the same banner wherever it lies."""
    words = ["aprgen", "compile", path.name, "--target", target.name]
    if name != spell.identifier(path.stem):
        words += ["--name", name]
    if numeric.mode != "f32":
        words += ["--numeric", numeric.mode]
    if numeric.calibrate is not None:
        words += ["--calibrate", numeric.calibrate.name]
    if numeric.method != "minmax":
        words += ["--calibration-method", numeric.method]
    if numeric.optimise is not None:
        words += ["--optimise", numeric.optimise]
    if numeric.tuned is not None:
        words += ["--tuned", numeric.tuned.name]
    if struct is not None:
        words += ["--as", struct]
    return " ".join([*words, *words_of(opening)])


def is_missing_tool(error: AprgenError) -> bool:
    """Whether nothing is wrong but a program that could be installed."""
    return error.code in ("toolchain.missing", "toolchain.preference")
