"""Output where nothing can be written: three lines that name the user's path, and nothing left beside it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
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


def test_bounds_are_printed_though_the_disk_is_full(
    aprgen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, require_target: Callable[[str], None]
) -> None:
    """Minutes of analysis are not lost with the file that was to hold them."""
    require_target("cortex-m4")
    create = os.open

    def full(path: str | Path, *rest: int, **words: int) -> int:
        if "r.json" in Path(path).name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return create(path, *rest, **words)

    monkeypatch.setattr(os, "open", full)
    answer = aprgen("wcet", KMEANS, "--target", "cortex-m4", "--json", tmp_path / "r.json")

    assert is_three_lines(answer, "output.unwritable")
    assert answer.status == 2
    assert "at most" in answer.out
    assert "JSON:" not in answer.out
