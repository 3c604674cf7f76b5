"""Dense layers of any shape in floats, on the cores whose kernels take rows and columns in blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from aprgen.build import build_artifact
from aprgen.core import Options, compile_model
from aprgen.families.network import from_tensors
from aprgen.rows import edge_rows, random_rows
from aprgen.target import load_target
from aprgen.verify import Trial, verify
from tests.examples import loaded

SHAPES = ((1, 1), (2, 3, 2), (9, 4, 5), (5, 33, 1), (8, 2), (66, 7), (75, 1), (30, 9, 1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m55"])
def test_dense_layers_of_any_shape(
    shape: tuple[int, ...], bias: bool, target: str, tmp_path: Path, require_target: Callable[[str], None]
) -> None:
    """Blocks, what is left over of rows and columns, and rows that are written out give the Program's bits."""
    require_target(target)
    random = np.random.RandomState(12)
    tensors: dict[str, np.ndarray] = {}
    for index, (n_in, n_out) in enumerate(pairwise(shape)):
        tensors[f"layer{index}.weight"] = random.normal(size=(n_out, n_in)).astype(np.float32)
        if bias:
            tensors[f"layer{index}.bias"] = random.normal(size=n_out).astype(np.float32)
    model = from_tensors(tensors, {"activation": "relu", "output_activation": "identity"})
    program = model.lower()
    parts = (edge_rows(program, 40), random_rows(program, 40))
    trial = Trial(np.concatenate([one.values for one in parts]), tuple(kind for one in parts for kind in one.kinds))
    artifact = compile_model(replace(loaded("v2_mlp_f32"), model=model), load_target(target), Options("net"))
    verdict = verify(model, build_artifact(artifact, work=tmp_path), trial, count=False)

    assert verdict.details == ()
    assert verdict.passed
