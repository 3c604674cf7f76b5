"""Records to the bytes that the harness reads, and its output back to arrays.

Knows the two formats of qemu/stream/stream.c. Knows nothing of who runs it.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.errors import BudgetError, ToolchainError, UsageError
from aprgen.image import Image, ModelFacts
from aprgen.program import Array
from aprgen.runners.execution import BatchOutput, Records, Suggestion

# Rows of the first blocks, where functions take blocks at once: few and many, full vectors and one row more or less.
AWKWARD = (1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 1000)
_END = struct.pack("<II", 0, 0)


@dataclass(frozen=True)
class Block:
    """As many records as fit the harness's buffers at once."""

    n_records: int
    data: bytes


@dataclass(frozen=True, eq=False)
class Output:
    """What the harness wrote, taken apart."""

    scores: NDArray[np.float32]
    labels: NDArray[np.int32] | None
    suggestions: tuple[tuple[Suggestion, ...], ...] | None
    stack_bytes: Mapping[str, int]
    batch: BatchOutput | None = None

    def same_results(self, other: Output) -> bool:
        """Equal bit for bit, the stack aside."""
        pairs = [(self.scores, other.scores), (self.labels, other.labels)]
        if self.batch is not None and other.batch is not None:
            pairs += [(self.batch.scores, other.batch.scores), (self.batch.labels, other.batch.labels)]
        same = all(_same(one, two) for one, two in pairs) and (self.batch is None) == (other.batch is None)
        return same and self.suggestions == other.suggestions


def _same(one: Array | None, other: Array | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.tobytes() == other.tobytes()


def blocks_of(image: Image, records: Records) -> tuple[Block, ...]:
    """Cut the records into blocks; wrong shapes and texts too long for the buffer are UsageErrors."""
    model = image.model
    if model.kind == "row":
        return _row_blocks(image, rows_of(model, records))
    return _text_blocks(image, texts_of(model, records))


def rows_of(model: ModelFacts, records: Records) -> NDArray[np.float32]:
    """The records as float32 [records, n_features], contiguous."""
    if not isinstance(records, np.ndarray) or records.dtype.kind not in "fiu":
        raise UsageError(
            "inputs.type", f"model {model.name} takes rows of numbers", where="the inputs", hint="pass a float32 array"
        )
    if records.ndim != 2 or records.shape[1] != model.n_features:
        raise UsageError(
            "inputs.shape", f"model {model.name} takes [rows, {model.n_features}], not {list(records.shape)}",
            where="the inputs", hint="one row per record, one column per feature",
        )  # fmt: skip
    return np.ascontiguousarray(records, dtype="<f4")


def texts_of(model: ModelFacts, records: Records) -> list[bytes]:
    """The records as UTF-8; bytes are passed on as they are."""
    if isinstance(records, np.ndarray) and records.dtype.kind not in "UO":
        raise UsageError(
            "inputs.type", f"model {model.name} takes texts", where="the inputs", hint="pass a list of str"
        )
    return [text.encode() if isinstance(text, str) else bytes(text) for text in records]


def input_bytes(blocks: Sequence[Block]) -> bytes:
    return b"".join(struct.pack("<II", b.n_records, len(b.data)) + b.data for b in blocks) + _END


def record_offsets(model: ModelFacts, block: Block) -> list[int]:
    """Where each record of a block begins, in bytes."""
    if model.kind == "row":
        return [4 * model.n_features * i for i in range(block.n_records)]
    offsets = []
    at = 0
    for _ in range(block.n_records):
        offsets.append(at)
        (size,) = struct.unpack_from("<I", block.data, at)
        at += 4 + (size + 3) // 4 * 4
    return offsets


def output_of(image: Image, records: int, blocks: Sequence[Block], data: bytes) -> Output:
    """Take the harness's output apart; an output that is too short is a ToolchainError."""
    model = image.model
    expected = 4 * (model.result_words * records + 2 * len(model.every_function))
    if len(data) != expected:
        raise ToolchainError(
            "run.output", f"the image wrote {len(data)} bytes instead of {expected}", where=image.program.name,
            hint="the run ended early; look at what it printed",
        )  # fmt: skip
    words = np.frombuffer(data, dtype="<u4")
    results: dict[str, list[NDArray[np.uint32]]] = {function: [] for function in model.every_function}
    at = 0
    for block in blocks:
        for function in model.every_function:
            size = block.n_records * model.out_words(function)
            results[function].append(words[at : at + size])
            at += size
    stack = words[at:].reshape(-1, 2)
    joined = {name: np.concatenate([*parts, np.empty(0, "<u4")]) for name, parts in results.items()}
    return Output(
        scores=_scores(model, joined, records),
        labels=_labels(joined, "classify"),
        suggestions=_suggestions(model, joined["suggest"]) if "suggest" in joined else None,
        batch=_batch(model, joined, records),
        stack_bytes=_stack(model, stack),
    )


def _row_blocks(image: Image, rows: NDArray[np.float32]) -> tuple[Block, ...]:
    model = image.model
    most = max(1, min(image.in_words // max(1, model.n_features), image.out_words // max(1, model.result_words)))
    sizes = itertools.chain(AWKWARD if model.has_batch else (), itertools.repeat(most))
    blocks: list[Block] = []
    at = 0
    while at < len(rows):
        part = rows[at : at + min(next(sizes), most)]
        blocks.append(Block(len(part), part.tobytes()))
        at += len(part)
    return tuple(blocks)


def _text_blocks(image: Image, texts: Sequence[bytes]) -> tuple[Block, ...]:
    most_records = max(1, image.out_words // max(1, image.model.result_words))
    most_bytes = 4 * image.in_words
    blocks: list[Block] = []
    waiting: list[bytes] = []
    waiting_bytes = 0
    for number, text in enumerate(texts):
        record = struct.pack("<I", len(text)) + text + bytes(-len(text) % 4)
        if len(record) > most_bytes:
            raise UsageError(
                "inputs.text",
                f"a text of {len(text)} bytes does not fit the {most_bytes} bytes for input on this board",
                where=f"text {number}", hint="shorten it, or use a target with more RAM",
            )  # fmt: skip
        if waiting and (len(waiting) == most_records or waiting_bytes + len(record) > most_bytes):
            blocks.append(Block(len(waiting), b"".join(waiting)))
            waiting, waiting_bytes = [], 0
        waiting.append(record)
        waiting_bytes += len(record)
    if waiting:
        blocks.append(Block(len(waiting), b"".join(waiting)))
    return tuple(blocks)


def _labels(results: Mapping[str, NDArray[np.uint32]], function: str) -> NDArray[np.int32] | None:
    return results[function].astype("<u4").view(np.int32) if function in results else None


def _batch(model: ModelFacts, results: Mapping[str, NDArray[np.uint32]], records: int) -> BatchOutput | None:
    if not model.has_batch:
        return None
    scores = results["predict_batch"].astype("<u4").view(np.float32).reshape(records, model.n_outputs)
    return BatchOutput(scores, _labels(results, "classify_batch"))


def _scores(model: ModelFacts, results: Mapping[str, NDArray[np.uint32]], records: int) -> NDArray[np.float32]:
    for name in ("scores", "scores_text"):
        if name in results:
            return results[name].astype("<u4").view(np.float32).reshape(records, model.n_outputs)
    return np.empty((records, 0), np.float32)


def _suggestions(model: ModelFacts, words: NDArray[np.uint32]) -> tuple[tuple[Suggestion, ...], ...]:
    k = model.n_suggestions
    result = []
    for record in words.reshape(-1, model.out_words("suggest")):
        n = int(record[0])
        scores = record[1 : 1 + n].copy().view(np.float32)
        ends = np.concatenate([[0], np.cumsum(record[1 + k : 1 + k + n], dtype=np.int64)])
        text = record[1 + 2 * k :].tobytes()
        if n > k or int(ends[-1]) > model.text_bytes:
            raise ToolchainError(
                "run.output", f"{n} suggestions with {int(ends[-1])} bytes of text", where=f"{model.name}_suggest",
                hint=f"the function must keep to {k} suggestions and {model.text_bytes} bytes",
            )  # fmt: skip
        result.append(
            tuple(
                Suggestion(text[ends[i] : ends[i + 1]].decode("utf-8", "replace"), float(scores[i])) for i in range(n)
            )
        )
    return tuple(result)


def _stack(model: ModelFacts, measured: NDArray[np.uint32]) -> dict[str, int]:
    used = {}
    for function, (bytes_used, painted) in zip(model.every_function, measured.tolist(), strict=True):
        if painted and bytes_used >= painted:
            raise BudgetError(
                "budget.stack", f"the stack of {function} uses up all {painted} bytes that are left",
                where=model.symbol(function), hint="choose a board with more RAM or a model with smaller buffers",
            )  # fmt: skip
        used[function] = bytes_used
    return used
