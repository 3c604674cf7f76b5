"""Vector headers that tests read once: what uses them includes them, and the objects are those of a plain build."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from aprgen import toolchain
from aprgen.build import build_artifact
from aprgen.resources import folder
from tests import vector_headers
from tests.examples import artifact

USED = re.compile(r"\b(?:_mm\d*_\w+\(|__m\d+[id]?\b|v(?:ld1|st1|dup|add)q_\w+\(|vldrwq_\w+\()")
VECTORS = re.compile(r"^#include <(?:[a-z]mmintrin|immintrin|arm_neon|arm_mve)\.h>", re.MULTILINE)
OWN = re.compile(r'^#include "(apr_\w+\.h)"', re.MULTILINE)
ROOT = folder("runtime_c")
HEADERS = [path for path in sorted(ROOT.glob("*/*.h")) if USED.search(path.read_text(encoding="utf-8"))]


def includes_vectors(path: Path) -> bool:
    """By itself, or by a header of ours that does in some folder."""
    text = path.read_text(encoding="utf-8")
    others = ([*ROOT.glob(f"*/{name}")] for name in OWN.findall(text))
    return VECTORS.search(text) is not None or any(any(map(includes_vectors, found)) for found in others)


@pytest.mark.parametrize("path", HEADERS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_headers_include_what_they_use(path: Path) -> None:
    """Otherwise the order of includes would decide, which a header that was read before hides."""
    assert includes_vectors(path)


@pytest.mark.parametrize("target", ["x86-avx2", "arm-neon"])
def test_programs_are_those_of_a_plain_build(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, require_target: Callable[[str], None]
) -> None:
    """Bit by bit; tests with measured sizes and counts hold for what users build."""
    require_target(target)
    made = artifact("rfc", target)
    monkeypatch.setattr(vector_headers, "FEW", 0)
    once = build_artifact(made, work=tmp_path / "once").image
    command = toolchain.compile_command
    monkeypatch.setattr(toolchain, "compile_command", command.plain)  # type: ignore[attr-defined]
    plain = build_artifact(made, work=tmp_path / "plain").image

    assert once.program.read_bytes() == plain.program.read_bytes()
