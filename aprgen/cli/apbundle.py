"""`.apbundle` files for `inspect` and `validate`: what is in them, and every file in them checked as one of its own."""

from __future__ import annotations

from pathlib import Path

from aprgen.cli.examination import ENCRYPTED, Examination, examine, examine_source
from aprgen.cli.printable import byte_count, shortened, visible
from aprgen.cli.report import of_file, print_json
from aprgen.cli.requests import Inspect
from aprgen.container import (
    DEFAULT_LIMITS,
    DEFAULT_LOADING,
    NO_ACCESS,
    Access,
    Inspection,
    Loading,
    V2Inspection,
    inspect_container,
    load_bytes,
)
from aprgen.container.apbundle import MAGIC, ApBundle, BundledFile, read_apbundle
from aprgen.errors import AprgenError


def is_packed(path: Path) -> bool:
    """Whether the file begins as an .apbundle does; also False for what cannot be read, which others report."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def examined(
    path: Path, struct: str | None, access: Access = NO_ACCESS, loading: Loading = DEFAULT_LOADING
) -> tuple[Examination, ...]:
    """The file, or each file of a bundle under its name there. ContainerError for a bundle that is not sound.

    A bundle is read whole, whatever the mode; its bytes count against the budget.
    """
    if not is_packed(path):
        return (examine(path, struct, access, loading),)
    limits = DEFAULT_LIMITS.within(loading.memory_bytes)
    data = load_bytes(path, limits)
    try:
        files = read_apbundle(data).files
    except AprgenError as error:
        raise of_file(error, path) from None
    return tuple(
        examine_source(file.data, path / file.name.replace("/", "_"), struct, access, limits, loading.checks)
        for file in files
    )


def inspect_packed(request: Inspect) -> int:
    """What the manifest says, and what each file's header says of itself. A damaged file is raised afterwards."""
    data = load_bytes(request.model)
    try:
        found = read_apbundle(data)
    except AprgenError as error:
        raise of_file(error, request.model) from None
    if request.format == "json":
        print_json({
            "path": str(request.model),
            "bytes": len(data),
            "created": found.created,
            "description": found.description,
            "models": [_facts(file) for file in found.files],
        })  # fmt: skip
    else:
        _print(request.model, len(data), found)
    for file in found.files:
        for problem in inspect_container(file.data).problems:
            if problem.code != ENCRYPTED:
                raise of_file(problem, request.model / file.name.replace("/", "_"))
    return 0


def _print(path: Path, size: int, found: ApBundle) -> None:
    print(visible(f"{path.name}: {len(found.files)} models, {byte_count(size)}"))
    print(f"created     {found.created}, Unix seconds")
    if found.description:
        print(f"description {shortened(found.description)}")
    for file in found.files:
        print(visible(f"model       {file.name}: {byte_count(len(file.data))} at byte {file.offset}; {_kind(file)}"))


def _kind(file: BundledFile) -> str:
    """A file in few words: KMeans, ENCRYPTED."""
    found = inspect_container(file.data)
    header = found.header if isinstance(found, Inspection) else None
    words = ["no v1 file"] if header is None else [header.model_type_name, *header.flag_names]
    failing = _failing(found)
    return ", ".join([*words, f"{failing} checks fail"] if failing else words)


def _failing(found: Inspection | V2Inspection) -> int:
    """Checks that fail; encryption is no failure here."""
    return sum(problem.code != ENCRYPTED for problem in found.problems)


def _facts(file: BundledFile) -> dict[str, object]:
    found = inspect_container(file.data)
    v1 = found.header if isinstance(found, Inspection) else None
    return {
        "name": file.name,
        "offset": file.offset,
        "bytes": len(file.data),
        "model_type": "no v1 file" if v1 is None else v1.model_type_name,
        "flags": [] if v1 is None else list(v1.flag_names),
        "problems": _failing(found),
    }
