"""The device's loader on emulated cores: every fixture as a native file in flash, bit for bit as the Program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aprgen.native import read_native
from aprgen.program import Array
from aprgen.rows import edge_rows, random_rows
from aprgen.target import load_target
from aprgen.text_rows import text_rows
from aprgen.verify import same_bits
from tests.examples import COMPILE, PREFIXES, TEXTS, loaded
from tests.hostile.bytesmith import patched
from tests.loader.board import LABEL, STATUS, build
from tests.native.payloads import native_file, native_payload

TARGETS = ("cortex-m0plus", "cortex-m4")
# Large metadata fills flash, and twins add nothing.
NAMES = tuple(
    name
    for name in COMPILE
    if not name.startswith(("meta_", "signed_", "v2_mlp_q", "v2_mlp_f16")) and not name.endswith("_constcol")
)
EDGES, RANDOM = 40, 10
CHECKSUM = 5  # APR_LOAD_E_CHECKSUM


@pytest.mark.parametrize("target", TARGETS)
def test_every_family(target: str, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Scores and labels of rows, scores of texts, and how many completions there are; damaged files are refused."""
    require_target(target)
    files = {name: native_file(name, keep_record=False) for name in NAMES}
    files["damaged"] = patched(files["rfc"], 300, b"\x55", repair=False)
    words = max(read_native(native_payload(name)).workspace_bytes // 4 for name in NAMES)
    board = build(files, words, load_target(target), tmp_path)
    given = {name: inputs_of(name) for name in NAMES}
    results = board.run([("damaged", "x"), *((name, one) for name in NAMES for one in given[name])])

    assert results[0, STATUS].view(np.uint32) == CHECKSUM
    at = 1
    for name in NAMES:
        agrees(name, given[name], results[at : at + len(given[name])])
        at += len(given[name])


def inputs_of(name: str) -> Array:
    program = loaded(name).model.lower()
    if name in (*TEXTS, *PREFIXES):
        return text_rows(program, RANDOM, 1).values
    return np.concatenate([edge_rows(program, EDGES).values, random_rows(program, RANDOM).values])


def agrees(name: str, inputs: Array, found: Array) -> None:
    program = loaded(name).model.lower()

    assert found[:, STATUS].view(np.uint32).tolist() == [0] * len(inputs), name
    assert same_bits(program.run(inputs), np.ascontiguousarray(found[:, : program.n_outputs])).all(), name
    labels = program.classify(inputs)
    if labels is not None:
        assert labels.tolist() == found[:, LABEL].copy().view(np.int32).tolist(), name
