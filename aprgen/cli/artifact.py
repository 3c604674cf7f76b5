"""From the words of a command to an Artifact: reads the file, chooses the name, calls the core. Shared by three verbs.

Knows what the verbs agree on; builds and prints nothing.
"""

from __future__ import annotations

from pathlib import Path

from aprgen import spell
from aprgen.cli.report import of_file
from aprgen.container import load_bytes
from aprgen.core import Artifact, Loaded, Options, compile_model, load_model
from aprgen.errors import AprgenError, UsageError
from aprgen.target import Target


def loaded_from(path: Path, struct: str | None) -> Loaded:
    """The model in the file. It may still be unfitted. An error says in which file."""
    data = load_bytes(path)
    try:
        return load_model(data, struct=struct)
    except UsageError:
        raise
    except AprgenError as error:
        raise of_file(error, path) from None


def name_for(path: Path, name: str | None) -> str:
    """--name, or a C name close to the file's."""
    return name if name is not None else spell.identifier(path.stem)


def artifact_for(
    loaded: Loaded, path: Path, target: Target, *, name: str | None, numeric: str, struct: str | None
) -> Artifact:
    """The model as C for the target, with the command that makes it again."""
    chosen = name_for(path, name)
    command = reproduce(path, target, chosen, numeric, struct)
    return compile_model(loaded, target, Options(chosen, numeric, command))


def reproduce(path: Path, target: Target, name: str, numeric: str, struct: str | None) -> str:
    """The command line without paths: the same file gives the same banner wherever it lies."""
    words = ["aprgen", "compile", path.name, "--target", target.name]
    if name != spell.identifier(path.stem):
        words += ["--name", name]
    if numeric != "f32":
        words += ["--numeric", numeric]
    if struct is not None:
        words += ["--as", struct]
    return " ".join(words)


def is_missing_tool(error: AprgenError) -> bool:
    """Whether nothing is wrong but a program that could be installed."""
    return error.code in ("toolchain.missing", "toolchain.preference")
