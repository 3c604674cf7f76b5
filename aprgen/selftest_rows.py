"""What a self-test runs: a few rows or texts and the answers of the Program, as arrays that C can hold.

Knows Programs and rows; knows no C.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aprgen.ops.suggest import Suggest
from aprgen.program import Array, Program
from aprgen.rows import random_rows, text_array

SELFTEST_ROWS = 4


@dataclass(frozen=True)
class Trial:
    """Rows of a self-test with their answers, as arrays that C can hold.

    "x" [rows, features], or "text" and "start" (where each text begins, and the end); "out", and "label" of models
    that classify. text_bytes: room for all completions of any prefix.
    """

    arrays: Mapping[str, Array]
    n_rows: int
    text_bytes: int = 0


def row_trial(program: Program, rows: Array | None = None, n_rows: int = SELFTEST_ROWS) -> Trial:
    """The answers to rows, by default to zeros and to random ones.

    Takes the Program before strategies: it shows where the features live, and answers the same.
    """
    if rows is None:
        rows = np.concatenate([np.zeros((1, program.n_features), np.float32), random_rows(program, n_rows - 1).values])
    results = [program.scores] if program.label is None else [program.scores, program.label]
    values = program.evaluate(rows, results)
    arrays: dict[str, Array] = {"x": rows, "out": values[program.scores]}
    if program.label is not None:
        arrays["label"] = values[program.label].reshape(len(rows))
    return Trial(arrays | _selftest_codes(program, rows), len(rows))


def _selftest_codes(program: Program, rows: Array) -> dict[str, Array]:
    """The same rows for the functions of codes, the last one with the lowest codes."""
    codes = program.codes
    if codes is None:
        return {}
    x = program.evaluate(rows, [codes.x])[codes.x].copy()
    x[-1] = np.iinfo(x.dtype).min
    wanted = [codes.scores] if codes.label is None else [codes.scores, codes.label]
    found = program.evaluate(x, wanted, given=codes.x)
    arrays = {"x_q": x, "out_q": found[codes.scores]}
    return arrays if codes.label is None else arrays | {"label_q": found[codes.label].reshape(len(rows))}


def text_trial(program: Program, texts: Sequence[str] | None = None, n_rows: int = SELFTEST_ROWS) -> Trial:
    """The answers to texts or prefixes, by default to samples of what the model knows."""
    op = program.steps[0].op
    samples = op.samples(n_rows) if texts is None else texts  # type: ignore[attr-defined]
    encoded = [sample.encode() for sample in samples]
    starts = np.cumsum([0, *(len(text) for text in encoded)]).astype(np.uint32)
    text = np.frombuffer(b"".join(encoded) or b"\0", np.uint8)
    arrays: dict[str, Array] = {"text": text, "start": starts, "out": program.run(text_array(list(samples)))}
    room = 1
    if isinstance(op, Suggest):
        room = max(1, max(sum(len(s.encode()) for s, _ in op.suggest(t, op.size)) for t in samples))
    return Trial(arrays, len(samples), room)
