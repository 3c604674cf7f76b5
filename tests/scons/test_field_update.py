"""examples/field_update: an emulated Cortex-M4 that receives signed files, and takes the good ones alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aprgen.errors import ToolchainError
from aprgen.loaded import load_model
from aprgen.third_party import parts, taken
from tests.conftest import give_up
from tests.scons.test_examples import example_project, scons

SITUATIONS = np.array(
    [(2.0, 6.0, 0.2, 20), (1.6, 6.3, 0.15, 12), (2.1, 5.9, 0.2, 30), (3.6, 4.7, 0.5, 20), (4.0, 4.5, 0.6, 12),
     (3.4, 4.8, 0.5, 30)], np.float32,
)  # fmt: skip
VERDICTS = (
    "damaged: refused, checksum; version 1 runs",
    "edited: refused, signature; version 1 runs",
    "unsigned: refused, signature; version 1 runs",
    "stranger: refused, signature; version 1 runs",
    "cut: refused, cut short; version 1 runs",
    "better: accepted; version 2 runs",
    "older: refused, rolled back; version 2 runs",
    "counter: refused, signature; version 2 runs",
    "inverted: refused, self-test; version 2 runs",
    "wide: refused, not for this valve; version 2 runs",
    "bincode: refused, not native; version 2 runs",
    "missing: refused, cut short; version 2 runs",
    "packed: accepted; version 4 runs",
    "better: refused, rolled back; version 4 runs",
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    try:
        for name in ("ed25519", "zstd"):
            taken(parts()[name])
    except ToolchainError as error:
        give_up(error.what)
    return example_project("field_update", tmp_path)


def says(project: Path, version: int, name: str) -> str:
    """What the firmware prints of a model: the first score of each situation, as the original computes it."""
    scores = load_model((project / "build" / f"{name}.apr").read_bytes()).model.lower().run(SITUATIONS)[:, 0]
    return f"  version {version} says " + " ".join(f"{bits:08x}" for bits in scores.view(np.uint32))


def test_a_part_that_there_is_not(tmp_path: Path) -> None:
    """A mistake in an SConstruct names its line and what there is, before anything is fetched."""
    (tmp_path / "SConstruct").write_text(
        "from aprgen.scons import generate\n"
        "env = Environment(tools=[generate])\n"
        'env.AprLoader(["gzip"], target="cortex-m4")\n'
    )
    done = scons(tmp_path)

    assert done.returncode == 2
    assert "SConstruct, line 3: AprLoader: the loader has no part 'gzip' (there are zstd, lz4, ed25519)" in done.stderr


def test_updates_in_the_field(project: Path, require_target: Callable[[str], None]) -> None:
    """Every bad file is refused for its own reason, the old model goes on, and both models compute to the bit."""
    require_target("cortex-m4")
    done = scons(project, "run")
    lines = done.stdout.splitlines()
    verdicts = [line.removeprefix("build/").replace(".apr", "") for line in lines if line.startswith("build/")]
    scores = [line for line in lines if line.startswith("  version ")]
    first, better, packed = (
        says(project, version, name) for version, name in ((1, "factory"), (2, "better"), (4, "packed"))
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert verdicts == list(VERDICTS)
    assert scores == [first, better, better, packed]
