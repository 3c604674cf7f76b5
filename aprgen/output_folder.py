"""Writing a folder of generated files so that nothing is ever half written, and nobody's own file is lost.

Every file is written beside its place and renamed when all are there. Knows nothing of what the files say.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from aprgen.errors import UsageError

OWN_MARK = b"aprgen"  # in every file that aprgen writes, near its beginning
OWN_PREFIX = "apr_"  # runtime headers
MARK_WITHIN = 4096  # bytes


def write_folder(folder: Path, texts: Mapping[str, str]) -> None:
    """Write the texts as UTF-8 files of that folder, which is made if need be; a failure leaves nothing behind.

    Files of an earlier compilation are replaced, other people's files are not: that is a UsageError.
    """
    _check_place(folder, texts)
    made: list[Path] = []
    waiting: list[tuple[Path, Path]] = []
    try:
        _make_folder(folder, made)
        for name, text in texts.items():
            beside = folder / f".{name}.{os.getpid()}.part"
            waiting.append((beside, folder / name))
            beside.write_bytes(text.encode())
        for beside, place in waiting:
            beside.replace(place)
    except OSError as error:
        _undo(made, waiting)
        raise _no_folder(folder, error) from error
    except BaseException:
        _undo(made, waiting)
        raise


def require_folder(folder: Path) -> None:
    """A UsageError where no folder can be written, for those who would hear it only after long work."""
    _check_place(folder, ())
    nearest = next(part for part in (folder, *folder.absolute().parents) if part.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise _no_folder(folder, _error(errno.EACCES))


def require_files(*paths: Path | None) -> None:
    """The same for single files; None is a file that nobody wants."""
    for path in paths:
        if path is not None:
            try:
                _require_file(path)
            except OSError as error:
                raise _unwritable(path, error) from error


def _require_file(path: Path) -> None:
    folder = path.parent
    if path.is_dir():
        raise _error(errno.EISDIR)
    if not folder.is_dir():
        raise _error(errno.ENOTDIR if folder.exists() else errno.ENOENT)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _error(errno.EACCES)


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def write_file(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write one file beside its place and rename it; a failure is a UsageError and leaves nothing behind.

    private: at no moment can others read it.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.unlink(missing_ok=True)
        _create(beside, data, private)
        beside.replace(path)
    except OSError as error:
        _remove(beside)
        raise _unwritable(path, error) from error
    except BaseException:
        _remove(beside)
        raise


def create_file(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write one new file in its place; whatever has that name already stays, and is a UsageError."""
    try:
        _create(path, data, private)
    except OSError as error:
        raise _unwritable(path, error) from error


def _create(path: Path, data: bytes, private: bool) -> None:
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
    try:
        with os.fdopen(opened, "wb") as file:
            file.write(data)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _remove(path: Path) -> None:
    """What hindered the writing may hinder this: it says more than what follows from it."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _no_folder(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        "output.unwritable",
        f"cannot write to the folder: {error.strerror}",
        where=str(folder),
        hint="choose a folder that you may write to with -o",
    )


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        "output.unwritable",
        f"cannot write the file: {error.strerror}",
        where=str(path),
        hint="give a path in a folder that exists and that you may write to",
    )


def _check_place(folder: Path, texts: Iterable[str]) -> None:
    for part in (folder, *folder.parents):
        if part.exists() and not part.is_dir():
            raise UsageError(
                "output.no_folder",
                f"{part} is a file, so it can hold no files",
                where=str(folder),
                hint="choose another folder with -o",
            )
    for name in texts:
        place = folder / name
        if place.is_dir() or (place.exists() and not _is_ours(place)):
            raise UsageError(
                "output.foreign",
                f"{name} is there already, and aprgen did not write it",
                where=str(folder),
                hint="choose another folder with -o or another name with --name, or move that file away",
            )


def _is_ours(place: Path) -> bool:
    if place.name.startswith(OWN_PREFIX):
        return True
    with place.open("rb") as file:
        beginning = file.read(MARK_WITHIN)
    return OWN_MARK in beginning or not beginning


def _make_folder(folder: Path, made: list[Path]) -> None:
    """Make the folder and its parents, noting which were not there."""
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    for part in reversed(missing):
        part.mkdir(exist_ok=True)
        made.append(part)


def _undo(made: list[Path], waiting: list[tuple[Path, Path]]) -> None:
    for beside, _ in waiting:
        # What was renamed already is whole and stays, unless the folder is ours.
        if beside.parent.is_dir():
            _remove(beside)
    for folder in reversed(made):
        for _, place in waiting:
            if place.parent == folder:
                place.unlink(missing_ok=True)
        folder.rmdir()
