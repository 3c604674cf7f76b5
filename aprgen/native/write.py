"""A Program as the bytes of a native payload. Same Program, same bytes.

Plans where values lie in the workspace, so that the device need not. Raises ValueError for an op without a layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aprgen.container import compression
from aprgen.native.fields import NO_TABLE
from aprgen.native.layout import OPS, OpLayout
from aprgen.native.structures import (
    ALIGNMENT,
    ELEMENTS_OF_VALUES,
    FOR_LABEL,
    FOR_SCORES,
    HEAD,
    INPUTS,
    MAGIC,
    MAJOR,
    MINOR,
    N_PARAMETERS,
    N_TABLES,
    NAMES,
    NODE_LIST,
    NOTHING,
    NUMBER_OF,
    PLAIN,
    RECORD,
    SECTION,
    SOURCES,
    STAGE,
    STAGE_LIST,
    STEP,
    STEPS,
    TENSOR,
    VALUE,
    VALUES,
    ZSTD,
)
from aprgen.ops.distance import Neighbours
from aprgen.ops.mixture import TopMix
from aprgen.program import Op, Program, ValueType

Array = NDArray[Any]


@dataclass(frozen=True)
class Names:
    """What the numbers are: the struct of the original library, the family in words, and what the scores mean."""

    struct: str
    family: str
    outputs: str

    def text(self) -> bytes:
        parts = (self.struct, self.family, self.outputs)
        if any("\n" in part for part in parts):
            raise ValueError("a name has one line")
        return "\n".join(parts).encode()


def write_native(program: Program, names: Names, record: bytes | None = None) -> bytes:
    """The payload. `record`: the original library's payload, to be given back by converting; none of it is computed."""
    types = program.types()
    sections = _Sections()
    for_scores, for_label = set(program.needed(program.scores)), set(program.needed(program.label))
    steps = np.zeros(len(program.steps), STEP)
    inputs: list[int] = []
    for index, step in enumerate(program.steps):
        writer = _StepWriter(sections)
        layout = layout_of(step.op)
        for name, codec in layout.fields:
            codec.write(getattr(step.op, name), writer)
        entry = steps[index]
        entry["op"] = layout.number
        entry["needed"] = FOR_SCORES * (index in for_scores) + FOR_LABEL * (index in for_label)
        entry["first_input"], entry["n_inputs"] = len(inputs), len(step.inputs)
        entry["table"] = writer.all_tables()
        entry["parameter"] = writer.all_parameters()
        inputs += step.inputs
    plan = plan_values(program, types)
    values = np.zeros(len(types), VALUE)
    values["element"] = [ELEMENTS_OF_VALUES[one.element] for one in types]
    values["size"] = [one.size for one in types]
    values["at"] = plan.places
    sections.entries[:4] = [
        (STEPS, steps, 0), (VALUES, values, 0), (INPUTS, np.array(inputs, "<u4"), 0),
        (STAGE_LIST, np.concatenate([np.zeros(0, STAGE), *sections.stages]), 0),
    ]  # fmt: skip
    sections.add(NAMES, np.frombuffer(names.text(), np.uint8))
    if record is not None:
        packed = compression.compress(compression.ZSTD_MAX, record)
        method = ZSTD if len(packed) < len(record) else PLAIN
        stored = packed if method == ZSTD else record
        sections.add(RECORD, np.frombuffer(stored, np.uint8), detail=method)
    head = np.zeros(1, HEAD)
    head["magic"], head["major"], head["minor"] = MAGIC, MAJOR, MINOR
    head["n_steps"] = len(program.steps)
    head["source"], head["n_features"] = SOURCES[program.source.element], program.n_features
    head["n_outputs"], head["n_classes"] = types[program.scores].size, program.n_classes
    head["scores"], head["label"] = program.scores, NOTHING if program.label is None else program.label
    head["value_words"] = plan.words
    head["scratch_words"] = max((scratch_words(step.op) for step in program.steps), default=0)
    return sections.laid_out(head)


def layout_of(op: Op) -> OpLayout:
    """Raises ValueError for an op that no device knows, and for a kernel of one that it does not."""
    for layout in OPS:
        if type(op) is layout.op and not any(getattr(op, flag) for flag in layout.plain):
            return layout
    raise ValueError(f"the native payload has no form for {type(op).__name__}")


def scratch_words(op: Op) -> int:
    """Words that a step needs beside its values."""
    if isinstance(op, Neighbours):
        return 2 * op.k
    if isinstance(op, TopMix):
        return op.k
    return 0


@dataclass(frozen=True)
class Plan:
    places: tuple[int, ...]  # word of the workspace at which each value starts; 0 for the model's input
    words: int


def plan_values(program: Program, types: Sequence[ValueType]) -> Plan:
    """Places for all values, so that none is overwritten before its last reader; the first that fits, in order."""
    last: dict[int, int] = {}
    for index, step in enumerate(program.steps):
        last[index + 1] = index
        last.update(dict.fromkeys(step.inputs, index))
    last.update({value: len(program.steps) for value in (program.scores, program.label) if value is not None})
    places = [0] * len(types)
    alive: list[tuple[int, int, int]] = []  # first word, word behind the last, value; sorted
    words = 0
    for index in range(len(program.steps)):
        alive = [one for one in alive if last[one[2]] >= index]
        size = types[index + 1].size
        at = 0
        for first, end, _ in alive:
            if at + size <= first:
                break
            at = max(at, end)
        places[index + 1] = at
        alive = sorted([*alive, (at, at + size, index + 1)])
        words = max(words, at + size)
    return Plan(tuple(places), words)


@dataclass
class _Sections:
    """Collects sections; the first four are filled in last."""

    entries: list[tuple[int, Array, int]] = field(default_factory=lambda: [(0, np.zeros(0, np.uint8), 0)] * 4)
    stages: list[Array] = field(default_factory=list)

    def add(self, kind: int, data: Array, detail: int = 0) -> int:
        if len(self.entries) >= NO_TABLE:
            raise ValueError(f"a native payload has at most {NO_TABLE} sections")
        self.entries.append((kind, data, detail))
        return len(self.entries) - 1

    def laid_out(self, head: Array) -> bytes:
        table = np.zeros(len(self.entries), SECTION)
        at = _aligned(HEAD.itemsize + table.nbytes)
        body = bytearray()
        start = at
        for entry, (kind, data, detail) in zip(table, self.entries, strict=True):
            entry["kind"], entry["element"], entry["count"] = kind, NUMBER_OF[data.dtype], data.size
            entry["offset"], entry["n_bytes"], entry["detail"] = at, data.nbytes, detail
            entry["rows"], entry["cols"] = (len(data), 1) if data.ndim == 1 else data.shape
            body += data.tobytes()
            at = _aligned(start + len(body))
            body += bytes(at - start - len(body))
        head["n_sections"], head["n_bytes"] = len(table), at
        before = head.tobytes() + table.tobytes()
        return before + bytes(start - len(before)) + bytes(body)


def _aligned(n_bytes: int) -> int:
    return -(-n_bytes // ALIGNMENT) * ALIGNMENT


class _StepWriter:
    def __init__(self, sections: _Sections) -> None:
        self._sections = sections
        self._tables: list[int] = []
        self._parameters: list[int] = []

    def tensor(self, data: Array) -> int:
        return self._sections.add(TENSOR, np.ascontiguousarray(data))

    def nodes(self, data: Array) -> int:
        return self._sections.add(NODE_LIST, data)

    def table(self, section: int | None) -> None:
        self._tables.append(NO_TABLE if section is None else section)

    def parameter(self, word: int) -> None:
        self._parameters.append(word)

    def stages(self, stages: Array) -> int:
        first = sum(len(one) for one in self._sections.stages)
        self._sections.stages.append(stages)
        return first

    def all_tables(self) -> list[int]:
        return self._tables + [NO_TABLE] * (N_TABLES - len(self._tables))

    def all_parameters(self) -> list[int]:
        return self._parameters + [0] * (N_PARAMETERS - len(self._parameters))
