"""Output where nothing can be written: three lines that name the user's path, and nothing left beside it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.cli.commands import DATA, Command, is_three_lines

KMEANS = DATA / "real" / "kmeans.apr"


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (("convert", KMEANS, "--payload", "native"), "m.apr"),
        (("bundle", KMEANS), "m.apbundle"),
        (("compile", KMEANS, "--no-measure"), "c"),
    ],
)
def test_a_system_that_is_read_only(
    aprgen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str | Path, ...], out: str
) -> None:
    """Removing what was to be written fails there, too; the error is that of the writing, and of the path given."""
    (tmp_path / "c").mkdir()

    def refuse(path: object, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        patch.setattr(Path, "write_bytes", refuse)
        patch.setattr(Path, "unlink", refuse)
        answer = aprgen(*words, "-o", tmp_path / out)

    assert is_three_lines(answer, "output.unwritable")
    assert "Read-only file system" in answer.error_lines[0]
    assert answer.error_lines[1] == f"  where: {tmp_path / out}"
    assert answer.status == 2
