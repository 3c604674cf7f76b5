"""The bytes of a native payload as a Program, or the first thing that is wrong with them as PayloadError.

Nothing is believed: sizes, places, types and references are checked before they are used, and bytes that belong to
nothing are refused. Knows nothing of what the model means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aprgen.container import compression
from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.container.source import Bytes
from aprgen.errors import PayloadError
from aprgen.native.fields import NO_TABLE
from aprgen.native.layout import OPS, OpLayout
from aprgen.native.sound import flaw
from aprgen.native.structures import (
    ALIGNMENT,
    ELEMENTS,
    ELEMENTS_OF_VALUES,
    FIRST_KINDS,
    FOR_LABEL,
    FOR_SCORES,
    HEAD,
    INPUTS,
    LONG_NODE,
    MAGIC,
    MAJOR,
    MAX_ELEMENTS,
    MAY_BE_SKIPPED,
    NAMES,
    NODE_LIST,
    NOTHING,
    PLAIN,
    RECORD,
    SECTION,
    SHORT_NODE,
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
from aprgen.native.write import Names, scratch_words
from aprgen.program import Op, Program, Step, ValueType

Array = NDArray[Any]

ELEMENT_OF: Mapping[int, np.dtype[Any]] = {
    STEPS: STEP, VALUES: VALUE, INPUTS: np.dtype("<u4"), STAGE_LIST: STAGE, NAMES: np.dtype("u1"),
    RECORD: np.dtype("u1"),
}  # fmt: skip
MAX_NAME_BYTES = 1024
NODE_BYTES = 80  # of memory while a list of nodes is checked and taken apart; 12 at most of them stay
STEP_BYTES = 8_192  # of a step with its op and tables
HINT = "the file is damaged or was edited; convert the original again"


@dataclass(frozen=True, eq=False)
class Section:
    index: int
    kind: int
    dtype: np.dtype[Any]
    offset: int
    n_bytes: int
    shape: tuple[int, int]
    detail: int


@dataclass(frozen=True, eq=False)
class Native:
    """A payload whose every byte was looked at. `record`: the original library's payload, where the file keeps it."""

    program: Program
    names: Names
    record: bytes | None
    sections: tuple[Section, ...]
    workspace_bytes: int  # of the interpreter on the device
    findings: tuple[str, ...]


def read_native(payload: Bytes, limits: Limits = DEFAULT_LIMITS) -> Native:
    """The payload, checked; raises PayloadError."""
    head, sections = _framing(payload, limits)
    program = program_of(payload, head, sections, limits)
    names, record, findings = _beside(payload, sections, limits)
    words = int(head["value_words"]) + int(head["scratch_words"])
    return Native(program, names, record, sections, 4 * words, findings)


def read_record(payload: Bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[Names, bytes | None]:
    """The record alone, where it is kept, of a payload whose computation may be one that this version does not know."""
    _, sections = _framing(payload, limits)
    names, record, _ = _beside(payload, sections, limits)
    return names, record


def _beside(
    payload: Bytes, sections: tuple[Section, ...], limits: Limits
) -> tuple[Names, bytes | None, tuple[str, ...]]:
    """What stands beside the computation: names, record, and findings about sections that nobody knows."""
    names = Names("", "", "")
    record: bytes | None = None
    findings: list[str] = []
    for section in sections[len(FIRST_KINDS) :]:
        if section.kind == NAMES:
            names = _names(payload, section)
        elif section.kind == RECORD:
            record = _record(payload, section, limits)
        elif section.kind >= MAY_BE_SKIPPED:
            findings.append(f"section {section.index} of kind {section.kind:#06x} is unknown and ignored")
    return names, record, tuple(findings)


def _error(code: str, what: str, where: str) -> PayloadError:
    return PayloadError(code, what, where=where, hint=HINT)


def _framing(payload: Bytes, limits: Limits) -> tuple[Array, tuple[Section, ...]]:
    """Head and sections: inside the payload, in order, aligned, and with nothing between them."""
    where = "byte 0 of the native payload"
    if len(payload) < HEAD.itemsize:
        raise _error("native.truncated", f"{len(payload)} bytes are no native payload", where)
    head = np.frombuffer(payload, HEAD, 1)[0]
    if bytes(head["magic"]) != MAGIC:
        what = f"the payload starts with {payload[:4].hex(' ')}, not {MAGIC.hex(' ')}"
        raise _error("native.magic", what, where)
    if int(head["major"]) != MAJOR:
        raise PayloadError(
            "native.version", f"version {int(head['major'])} of the native payload; this aprgen knows {MAJOR}",
            where="byte 4 of the native payload", hint="use an aprgen of the time of this file",
        )  # fmt: skip
    if int(head["n_bytes"]) != len(payload) or len(payload) % ALIGNMENT:
        what = f"the native payload says {int(head['n_bytes'])} bytes, there are {len(payload)}"
        raise _error("native.size", what, "byte 8 of the native payload")
    count = int(head["n_sections"])
    room = (len(payload) - HEAD.itemsize) // SECTION.itemsize
    if not len(FIRST_KINDS) <= count <= min(room, limits.payload_items // 8):
        raise _error("native.sections", f"{count} sections in {len(payload)} bytes", "byte 12 of the native payload")
    if head["reserved"].any():
        raise _error("native.reserved", "reserved words are not 0", "byte 52 of the native payload")
    table = np.frombuffer(payload, SECTION, count, HEAD.itemsize)
    sections: list[Section] = []
    end = HEAD.itemsize + table.nbytes
    for index, entry in enumerate(table):
        section = _section(index, entry, where=f"section {index} of the native payload")
        start = -(-end // ALIGNMENT) * ALIGNMENT
        if section.offset != start:
            what = f"it starts at byte {section.offset}; the bytes before it end at {end}, so it belongs at {start}"
            raise _error("native.offset", what, f"section {index} of the native payload")
        _require_zeros(payload, end, start)
        end = start + section.n_bytes
        if end > len(payload):
            what = f"it ends at byte {end} of {len(payload)}"
            raise _error("native.bounds", what, f"section {index} of the native payload")
        sections.append(section)
    if len(payload) - end >= ALIGNMENT:
        what = f"{len(payload) - end} bytes follow the last section"
        raise _error("native.trailing", what, f"byte {end} of the native payload")
    _require_zeros(payload, end, len(payload))
    for index, kind in enumerate(FIRST_KINDS):
        if sections[index].kind != kind:
            what = f"section {index} is of kind {sections[index].kind}, not {kind}"
            raise _error("native.kind", what, f"section {index} of the native payload")
    return head, tuple(sections)


def _require_zeros(payload: Bytes, start: int, end: int) -> None:
    if any(payload[start:end]):
        raise _error("native.padding", "bytes between sections are not 0", f"byte {start} of the native payload")


def _section(index: int, entry: Any, where: str) -> Section:
    kind, element, count = int(entry["kind"]), int(entry["element"]), int(entry["count"])
    if element not in ELEMENTS:
        raise _error("native.element", f"elements of type {element}", where)
    dtype = ELEMENTS[element]
    expected = ELEMENT_OF.get(kind)
    nodes = dtype in (SHORT_NODE, LONG_NODE)
    plain = dtype.fields is None
    fits = dtype == expected if expected is not None else nodes if kind == NODE_LIST else plain
    if not fits:
        raise _error("native.element", f"elements of type {element} in a section of kind {kind:#06x}", where)
    if kind not in (*FIRST_KINDS, TENSOR, NODE_LIST) and kind < MAY_BE_SKIPPED:
        raise _error("native.kind", f"a section of kind {kind:#06x}, which this version must know and does not", where)
    if (index < len(FIRST_KINDS)) != (kind in FIRST_KINDS):
        raise _error("native.kind", f"a section of kind {kind:#06x} stands here", where)
    shape = (int(entry["rows"]), int(entry["cols"]))
    if int(entry["n_bytes"]) != count * dtype.itemsize or shape[0] * shape[1] != count:
        what = f"{shape[0]} x {shape[1]} elements are counted as {count}, in {int(entry['n_bytes'])} bytes"
        raise _error("native.count", what, where)
    detail = int(entry["detail"])
    if int(entry["reserved"]) or (detail and kind != RECORD and kind < MAY_BE_SKIPPED):
        raise _error("native.reserved", "reserved words are not 0", where)
    return Section(index, kind, dtype, int(entry["offset"]), int(entry["n_bytes"]), shape, detail)


def _data(payload: Bytes, section: Section) -> Array:
    array: Array = np.frombuffer(payload, section.dtype, section.shape[0] * section.shape[1], section.offset)
    return array


def _names(payload: Bytes, section: Section) -> Names:
    where = f"section {section.index} of the native payload"
    data = _data(payload, section).tobytes()
    try:
        lines = data.decode().split("\n") if len(data) <= MAX_NAME_BYTES else []
    except UnicodeDecodeError:
        lines = []
    if len(lines) != 3 or not all(line.isprintable() for line in lines):
        raise _error("native.names", f"{len(data)} bytes are not three names", where)
    return Names(*lines)


def _record(payload: Bytes, section: Section, limits: Limits) -> bytes:
    """The record, unpacked to at most what any payload may have."""
    where = f"section {section.index} of the native payload"
    stored = memoryview(payload)[section.offset : section.offset + section.n_bytes]
    if section.detail == PLAIN:
        limits.take(len(stored), "the record", where)
        return bytes(stored)
    if section.detail != ZSTD:
        raise _error("native.record", f"the record is stored in way {section.detail}; 0 and 1 are known", where)
    unpacked = compression.unpack_zstd(stored, limits.room, section.offset, limits)
    limits.take(len(unpacked), "the record", where)
    if len(unpacked) > limits.payload_bytes:
        raise _error("native.record", f"the record unpacks to more than {limits.payload_bytes} bytes", where)
    return unpacked


def program_of(payload: Bytes, head: Array, sections: tuple[Section, ...], limits: Limits) -> Program:
    """The computation, with every reference checked."""
    steps, values, inputs, stages = (_data(payload, section) for section in sections[: len(FIRST_KINDS)])
    n_steps = int(head["n_steps"])
    if len(steps) != n_steps or len(values) != n_steps + 1 or n_steps < 1:
        what = f"{n_steps} steps are announced; there are {len(steps)}, and {len(values)} values"
        raise _error("native.steps", what, "byte 16 of the native payload")
    if 2 * n_steps + len(inputs) + len(stages) > limits.payload_items:
        what = f"more steps than the limit of {limits.payload_items} allows"
        raise _error("native.steps", what, "the native payload")
    limits.take(n_steps * STEP_BYTES, "the steps", "the native payload")
    source = _source(head)
    reading = _Reading(payload, sections, stages, limits)
    types = [source]
    made: list[Step] = []
    n_read = 0
    for index, entry in enumerate(steps):
        where = f"step {index} of the native payload"
        if int(entry["reserved"]):
            raise _error("native.reserved", "reserved words are not 0", where)
        first, count = int(entry["first_input"]), int(entry["n_inputs"])
        if first != n_read or first + count > len(inputs):
            raise _error("native.inputs", f"inputs {first} to {first + count} of {len(inputs)}, after {n_read}", where)
        n_read += count
        read = tuple(int(value) for value in inputs[first : first + count])
        if any(value > index for value in read):
            raise _error("native.inputs", f"it reads value {max(read)}, which is not there yet", where)
        op = reading.op(entry, tuple(types[value] for value in read), where)
        types.append(_result(op, [types[value] for value in read], where))
        wrong = flaw(op, made[read[0] - 1].op if read and read[0] else None)
        if wrong is not None:
            raise _error("native.op", wrong, where)
        made.append(Step(op, read))
    if n_read != len(inputs):
        raise _error("native.inputs", f"{len(inputs) - n_read} inputs belong to no step", "the native payload")
    reading.finish()
    program = _program(head, source, made, types)
    _check_needed(program, steps)
    _check_values(program, types, values, head)
    return program


def _source(head: Array) -> ValueType:
    names = {number: name for name, number in SOURCES.items()}
    name = names.get(int(head["source"]))
    n_features = int(head["n_features"])
    fits = 1 <= n_features <= MAX_ELEMENTS if name == "f32" else n_features == 0
    if name is None or not fits:
        what = f"an input of kind {int(head['source'])} with {n_features} features"
        raise _error("native.source", what, "byte 20 of the native payload")
    return ValueType(name, n_features)  # type: ignore[arg-type]


def _result(op: Op, inputs: list[ValueType], where: str) -> ValueType:
    """The type of a step's value; what does not fit the inputs, or is larger than any device has, is refused."""
    try:
        result = op.result(*inputs)
    except (ValueError, TypeError) as error:
        raise _error("native.step", str(error).splitlines()[0][:200], where) from None
    if not 1 <= result.size <= MAX_ELEMENTS:
        raise _error("native.step", f"its value has {result.size} elements, at most {MAX_ELEMENTS} are allowed", where)
    return result


def _program(head: Array, source: ValueType, steps: list[Step], types: list[ValueType]) -> Program:
    scores, label = int(head["scores"]), int(head["label"])
    where = "byte 36 of the native payload"
    if scores >= len(types) or (label != NOTHING and label >= len(types)) or 0 in (scores, label):
        raise _error("native.results", f"scores are value {scores} and the label {label} of {len(types)}", where)
    n_classes = int(head["n_classes"])
    if n_classes > MAX_ELEMENTS or int(head["n_outputs"]) != types[scores].size:
        what = f"{n_classes} classes and {int(head['n_outputs'])} outputs, but {types[scores].size} scores"
        raise _error("native.results", what, "byte 28 of the native payload")
    program = Program(source, tuple(steps), scores, None if label == NOTHING else label, n_classes)
    try:
        program.check()
    except ValueError as error:
        raise _error("native.results", str(error), where) from None
    return program


def _check_needed(program: Program, steps: Array) -> None:
    for_scores, for_label = set(program.needed(program.scores)), set(program.needed(program.label))
    for index, entry in enumerate(steps):
        expected = FOR_SCORES * (index in for_scores) + FOR_LABEL * (index in for_label)
        if int(entry["needed"]) != expected:
            what = f"it says {int(entry['needed'])} of what it is needed for, which is {expected}"
            raise _error("native.needed", what, f"step {index} of the native payload")


def _check_values(program: Program, types: list[ValueType], values: Array, head: Array) -> None:
    """Every value is what its step makes, has its place in the workspace, and is whole until its last reader."""
    words = int(head["value_words"])
    for index, (entry, one) in enumerate(zip(values, types, strict=True)):
        where = f"value {index} of the native payload"
        stated = (int(entry["element"]), int(entry["size"]))
        if stated != (ELEMENTS_OF_VALUES.get(one.element, 0), one.size) or int(entry["reserved"]):
            what = f"it is said to be {stated[1]} elements of type {stated[0]}, and is {one}"
            raise _error("native.value", what, where)
        at = int(entry["at"])
        if (index and at + one.size > words) or (index == 0 and at):
            raise _error("native.place", f"words {at} to {at + one.size} of {words}", where)
    last: dict[int, int] = {}
    for index, step in enumerate(program.steps):
        last[index + 1] = index
        last.update(dict.fromkeys(step.inputs, index))
    last.update({value: len(program.steps) for value in (program.scores, program.label) if value is not None})
    alive: list[int] = []
    for index in range(len(program.steps)):
        alive = [value for value in alive if last[value] >= index]
        first = int(values[index + 1]["at"])
        end = first + types[index + 1].size
        for value in alive:
            at = int(values[value]["at"])
            if first < at + types[value].size and at < end:
                what = f"words {first} to {end} are still those of value {value}"
                raise _error("native.place", what, f"value {index + 1} of the native payload")
        alive.append(index + 1)
    needed = max((scratch_words(step.op) for step in program.steps), default=0)
    if int(head["scratch_words"]) != needed:
        what = f"{int(head['scratch_words'])} words beside the values, where {needed} are needed"
        raise _error("native.scratch", what, "byte 48 of the native payload")
    if words > max((int(entry["at"]) + one.size for entry, one in zip(values, types, strict=True)), default=0):
        raise _error("native.place", f"{words} words, more than the values take", "byte 44 of the native payload")


class _Reading:
    """What the steps of one payload share: its sections, each used once, and its stages."""

    def __init__(self, payload: Bytes, sections: tuple[Section, ...], stages: Array, limits: Limits) -> None:
        self._payload = payload
        self._sections = sections
        self._stages = stages
        self._next_stage = 0
        self._free = {section.index for section in sections if section.kind in (TENSOR, NODE_LIST)}
        self._nodes_left = limits.tree_nodes
        self._layouts = {layout.number: layout for layout in OPS}
        self.limits = limits

    def op(self, entry: Any, input_types: tuple[ValueType, ...], where: str) -> Op:
        layout = self._layouts.get(int(entry["op"]))
        if layout is None:
            raise _error("native.op", f"operation {int(entry['op'])}, which this version does not know", where)
        return _StepReader(self, entry, input_types, where).op(layout)

    def take(self, index: int, kind: int, where: str) -> Section:
        """A section that no other step uses."""
        if index not in self._free or self._sections[index].kind != kind:
            raise _error("native.table", f"section {index} is no table, or one of another step", where)
        self._free.remove(index)
        return self._sections[index]

    def data(self, section: Section) -> Array:
        return _data(self._payload, section)

    def take_stages(self, first: int, count: int, where: str) -> Array:
        if first != self._next_stage or first + count > len(self._stages):
            what = f"stages {first} to {first + count} of {len(self._stages)}, after {self._next_stage}"
            raise _error("native.stage", what, where)
        self._next_stage += count
        found: Array = self._stages[first : first + count]
        if found["reserved"].any():
            raise _error("native.reserved", "reserved words of a stage are not 0", where)
        return found

    def charge_nodes(self, count: int, where: str) -> None:
        self._nodes_left -= count
        self.limits.take(count * NODE_BYTES, "the nodes of trees", where)
        if self._nodes_left < 0:
            raise _error("native.tree", f"the trees have more nodes than the limit of {self.limits.tree_nodes}", where)

    def finish(self) -> None:
        if self._free:
            raise _error("native.unused", f"section {min(self._free)} belongs to no step", "the native payload")
        if self._next_stage != len(self._stages):
            raise _error("native.unused", "stages that belong to no step", "the native payload")


class _StepReader:
    """One step: gives its tables and parameters in order."""

    def __init__(self, reading: _Reading, entry: Any, input_types: tuple[ValueType, ...], where: str) -> None:
        self._reading = reading
        self._tables = [int(one) for one in entry["table"]]
        self._parameters = [int(one) for one in entry["parameter"]]
        self._where = where
        self.input_types = input_types
        self.limits = reading.limits

    def op(self, layout: OpLayout) -> Op:
        fields = {name: codec.read(self) for name, codec in layout.fields}
        if any(one != NO_TABLE for one in self._tables) or any(self._parameters):
            raise self.error("native.parameter", f"a {layout.op.__name__} has no such table or parameter")
        made: Op = layout.op(**fields)
        return made

    def error(self, code: str, what: str) -> PayloadError:
        return _error(code, what, self._where)

    def parameter(self) -> int:
        return self._parameters.pop(0)

    def tensor(self, dtypes: str, ndim: int, *, optional: bool = False) -> Array | None:
        index = self._tables.pop(0)
        if index == NO_TABLE and optional:
            return None
        return self.shared(index, dtypes, ndim)

    def shared(self, section: int, dtypes: str, ndim: int) -> Array:
        found = self._reading.take(section, TENSOR, self._where)
        if found.dtype not in [np.dtype(one) for one in dtypes.split()]:
            raise self.error("native.element", f"section {section} holds {found.dtype}, not {dtypes}")
        if found.n_bytes == 0 or (ndim == 1 and found.shape[1] != 1):
            raise self.error("native.shape", f"section {section} is {found.shape[0]} x {found.shape[1]}")
        data = self._reading.data(found)
        return data if ndim == 1 else data.reshape(found.shape)

    def nodes(self) -> Array:
        found = self._reading.take(self._tables.pop(0), NODE_LIST, self._where)
        self._reading.charge_nodes(found.shape[0], self._where)
        return self._reading.data(found)

    def stages(self, first: int, count: int) -> Array:
        return self._reading.take_stages(first, count, self._where)
