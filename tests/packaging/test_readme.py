"""The blocks of code of the README and of docs/, executed in order, as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_readme(
    tmp_path: Path, require_target: Callable[[str], None], require_tool: Callable[[str], None]
) -> None:
    """Every block works, the README's first, one after the other in one folder: files are written, the rest is run."""
    require_target("host")
    require_target("cortex-m4")
    for module in ("scipy", "capstone", "unicorn"):
        require_tool(module)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, words in (("python", ""), ("aprgen", " -m aprgen")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n')
        (programs / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    pages = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    blocks = [block for page in pages for block in BLOCK.findall(page.read_text(encoding="utf-8"))]

    for language, file, text in blocks:
        if file:
            (tmp_path / file).write_text(text)
            continue
        words = ["sh", "-ec", text] if language == "sh" else [sys.executable, "-c", text]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

        assert (done.returncode, text) == (0, text), done.stdout + done.stderr

    assert {language for language, _, _ in blocks} == {"sh", "c", "python", "toml"}
