"""The compiler's middle language: a Program is a short list of steps in single assignment form.

Value 0 is the model's input; step i makes value i + 1. Every op can evaluate itself on rows with exactly the
arithmetic of its C, so Program.run() is what the generated code must equal, bit for bit.
Knows nothing of families, files, targets or C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]  # ops handle float and integer arrays alike; numpy types no arithmetic on the generic scalar
Element = Literal["f32", "i8", "i16", "i32", "u16", "u8", "text", "prefix"]


# A sum of so few terms is written out: a loop's counter and addresses take as many instructions as the terms, and gcc
# unrolls no loop that holds the marks of runtime_c/apr_mark.h. Cortex-M4, 4 terms: k-means 0.68 of the instructions.
FEW_TERMS = 4


@dataclass(frozen=True)
class ValueType:
    """The type of one value for one row: `size` elements of one kind; texts and prefixes have size 0."""

    element: Element
    size: int


class Table:
    """A constant array of a model; read-only, compared by identity.

    data: any shape, little-endian float32 or an integer type; the C type is that of the data.
    lines: it is read in whole vectors, so it begins where a cache line does.
    """

    __slots__ = ("data", "lines")
    data: Array
    lines: bool

    def __init__(
        self, data: Array | Sequence[float] | Sequence[int], dtype: type[np.generic] | None = None, *,
        lines: bool = False,
    ) -> None:  # fmt: skip
        self.lines = lines
        if isinstance(data, np.ndarray) and _can_be_shared(data, dtype):
            self.data = data
            return
        array = np.array(data, dtype=dtype)
        array.flags.writeable = False
        self.data = array

    @property
    def n_bytes(self) -> int:
        return int(self.data.nbytes)

    def __repr__(self) -> str:
        return f"Table({self.data.dtype}{list(self.data.shape)})"


def _can_be_shared(array: Array, dtype: type[np.generic] | None) -> bool:
    """Whether nobody can change the array: it is a view of bytes, or of a mapping, that cannot be written to."""
    if array.flags.writeable or not array.flags.c_contiguous or not array.flags.aligned:
        return False
    if dtype is not None and array.dtype != np.dtype(dtype):
        return False
    base = array.base
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, bytes) or (isinstance(base, memoryview) and base.readonly)


@dataclass(frozen=True)
class Proof:
    """What holds for every input: the quantity's size is at most `largest`; `limit` is what its type holds."""

    quantity: str
    largest: float
    limit: float | None = None


@runtime_checkable
class Proved(Protocol):
    """An op that says what is proved of it, for the manifest; the C says the same in a comment."""

    @property
    def proofs(self) -> tuple[Proof, ...]:
        ...


class Op(Protocol):
    """One step of inference. An op is a frozen dataclass; its Table fields become constant arrays in C."""

    @property
    def kernel(self) -> str:
        """Names the template: <kernel>.c.j2 in the first template folder of the target that has it."""
        ...

    @property
    def headers(self) -> tuple[str, ...]:
        """Headers of runtime_c that the kernel includes, beside apr_rt.h."""
        ...

    @property
    def result(self) -> Callable[..., ValueType]:
        """Types of the inputs in, type of the value out; raises ValueError when the inputs do not fit."""
        ...

    @property
    def evaluate(self) -> Callable[..., Array]:
        """[rows, size] arrays in, one [rows, size] array out, with the arithmetic of the C."""
        ...


@runtime_checkable
class OfBlocks(Protocol):
    """An op whose kernel takes a block of rows at once: NAME(x, n_rows, y), for up to the rows of Program.batch.

    Its evaluate() says what it computes for each row, as of any op.
    """

    @property
    def block_elements(self) -> int:
        """Elements of its value for a block; how they lie is between it and the op that reads them."""
        ...


@runtime_checkable
class WritesRows(Protocol):
    """An op of blocks whose value lies row by row, and which writes the rows of the block and no more, wherever they
    begin: it can write what a function gives."""

    @property
    def writes_rows(self) -> Literal[True]:
        ...


@runtime_checkable
class PadsRows(Protocol):
    """An op of blocks whose value lies row by row, with room behind each row that nobody reads."""

    @property
    def row_elements(self) -> int:
        """From one row to the next."""
        ...


@dataclass(frozen=True)
class Step:
    op: Op
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Exact:
    """A code of feature j stands for the float32 nearest to (code + zero_j) / per_unit_j, and for no other."""

    per_unit: tuple[float, ...]  # float32
    zero: tuple[int, ...]  # |code + zero| <= 2^24 for all codes, so that only the division rounds

    def floats(self, codes: Array) -> NDArray[np.float32]:
        """The rows that rows of codes stand for."""
        shifted = codes.astype(np.int64) + np.array(self.zero, np.int64)
        return np.asarray(shifted.astype(np.float32) / np.array(self.per_unit, np.float32), np.float32)


@dataclass(frozen=True)
class Codes:
    """What a Program computes from a row of integers: a way of its own, or a part of the way from floats.

    x, scores and label are the ids of values; the step of x says which codes a row of floats has. The real value of a
    code is scale * code + offset, element by element, rounded to float32; scores that are floats are what they are.
    exact: which float a code of x stands for; None: not stated.
    """

    x: int
    scores: int
    label: int | None
    x_scale: tuple[float, ...]
    x_offset: tuple[float, ...]
    scores_scale: tuple[float, ...]
    scores_offset: tuple[float, ...]
    exact: Exact | None = None


@dataclass(frozen=True)
class Way:
    """Ids of values: a way to the same scores and labels, bit for bit."""

    scores: int
    label: int | None


@dataclass(frozen=True)
class Batch:
    """Ways for blocks of up to `rows` rows. Fewer than few_rows take the way of `few`, or are computed one by one.

    alone: up to so many rows take the function for one row, which is quicker. forms: of the trees or the sums of
    `many`, in order. work: how often it pays each of the target's costs, by name, so that the products add up to its
    cycles.
    """

    many: Way
    few: Way | None
    rows: int
    few_rows: int
    alone: int = 0
    forms: tuple[str, ...] = ()
    work: Mapping[str, float] = field(default_factory=dict)

    @property
    def ways(self) -> tuple[Way, ...]:
        return (self.many,) if self.few is None else (self.many, self.few)


@dataclass(frozen=True)
class Program:
    """What a model computes for one row.

    n_classes is 0 when the model does not classify; `label` is then None. codes: None when it computes in floats.
    batch: None when rows are computed one by one.
    notes: what passes have proved, for the banner of the C and the manifest.
    """

    source: ValueType
    steps: tuple[Step, ...]
    scores: int
    label: int | None
    n_classes: int
    codes: Codes | None = None
    notes: tuple[str, ...] = ()
    batch: Batch | None = None

    def types(self) -> tuple[ValueType, ...]:
        """The type of every value, the input first."""
        types = [self.source]
        for step in self.steps:
            types.append(step.op.result(*(types[i] for i in step.inputs)))
        return tuple(types)

    @property
    def n_features(self) -> int:
        return self.source.size

    @property
    def n_outputs(self) -> int:
        return self.types()[self.scores].size

    def check(self) -> None:
        """Raise ValueError unless every step reads earlier values of fitting types. A failure is our own mistake."""
        for index, step in enumerate(self.steps):
            if any(not 0 <= i <= index for i in step.inputs):
                raise ValueError(f"step {index} reads a value that does not exist yet")
        types = self.types()
        if types[self.scores].element != "f32":
            raise ValueError("scores must be f32")
        if (self.label is None) != (self.n_classes == 0):
            raise ValueError("a label needs classes, and classes a label")
        if self.label is not None and types[self.label] != ValueType("i32", 1):
            raise ValueError("the label must be one i32")
        if self.codes is not None:
            self._check_codes(self.codes, types)
        if self.batch is not None:
            self._check_batch(self.batch, types)

    def _check_batch(self, batch: Batch, types: Sequence[ValueType]) -> None:
        for way in batch.ways:
            if types[way.scores] != types[self.scores]:
                raise ValueError("blocks of rows must give the scores that rows give")
            if (way.label is None) != (self.label is None) or (
                way.label is not None and types[way.label] != ValueType("i32", 1)
            ):
                raise ValueError("a label of blocks needs a label of rows, and that one of blocks")
        if not 0 < batch.few_rows <= batch.rows:
            raise ValueError(f"a block has {batch.rows} rows, and {batch.few_rows} are few")

    def _check_codes(self, codes: Codes, types: Sequence[ValueType]) -> None:
        if 0 in self.sources(codes.x, codes.scores, codes.label):
            raise ValueError("what is computed from codes must not read the row of floats")
        if types[codes.x].element not in ("i8", "i16") or types[codes.x].size != self.n_features:
            raise ValueError(f"codes of a row must be i8 or i16, one for each feature, not {types[codes.x]}")
        if types[codes.scores].size != types[self.scores].size:
            raise ValueError("codes must give as many scores as floats")
        if (codes.label is None) != (self.label is None):
            raise ValueError("a label of codes needs a label of floats, and that one of codes")
        if codes.label is not None and types[codes.label] != ValueType("i32", 1):
            raise ValueError("the label of codes must be one i32")
        for numbers, size in ((codes.x_scale, self.n_features), (codes.scores_scale, types[codes.scores].size)):
            if len(numbers) != size:
                raise ValueError(f"there must be a scale for each of {size}, not {len(numbers)}")

    def needed(self, *results: int | None, given: int = 0) -> tuple[int, ...]:
        """The steps that these results depend on when the value `given` is there, in order of execution."""
        wanted = {value for value in results if value is not None}
        for index in reversed(range(len(self.steps))):
            if index + 1 in wanted and index + 1 != given:
                wanted.update(self.steps[index].inputs)
        return tuple(value - 1 for value in sorted(wanted) if value not in (0, given))

    def in_code(self) -> tuple[int, ...]:
        """The steps that functions of rows, codes or blocks call, in order; others only say how codes are made."""
        steps = set(self.needed(self.scores, self.label))
        if self.codes is not None:
            steps.update(self.needed(self.codes.scores, self.codes.label, given=self.codes.x))
        if self.batch is not None:
            for way in self.batch.ways:
                steps.update(self.needed(way.scores, way.label))
        return tuple(sorted(steps))

    @cached_property
    def first_steps(self) -> Mapping[int, int]:
        """For each step in code the first one with that very op: what two ways have in common is one function."""
        firsts: dict[int, int] = {}
        return {index: firsts.setdefault(id(self.steps[index].op), index) for index in self.in_code()}

    @property
    def floats_are_coded(self) -> bool:
        """Whether the functions of floats make codes of their row first, and lose what codes lose."""
        return self.codes is not None and self.codes.x - 1 in self.needed(self.scores, self.label)

    def sources(self, given: int, *results: int | None) -> set[int]:
        """Of the values 0 and `given`, those that the results read when `given` is there."""
        read = {i for index in self.needed(*results, given=given) for i in self.steps[index].inputs}
        return (read | {value for value in results if value is not None}) & {0, given}

    def evaluate(self, rows: Array, results: Iterable[int], given: int = 0) -> dict[int, Array]:
        """Values by id for a batch of rows of the value `given`; computes only what is asked for."""
        wanted = tuple(results)
        values: dict[int, Array] = {given: rows}
        with np.errstate(all="ignore"):
            for index in self.needed(*wanted, given=given):
                step = self.steps[index]
                values[index + 1] = step.op.evaluate(*(values[i] for i in step.inputs))
        return {value: values[value] for value in wanted}

    def run(self, rows: Array) -> NDArray[np.float32]:
        """Scores, float32 [rows, n_outputs], for float32 [rows, n_features] or an array of str."""
        return np.asarray(self.evaluate(rows, [self.scores])[self.scores], dtype=np.float32)

    def classify(self, rows: Array) -> NDArray[np.int32] | None:
        """Original labels, int32 [rows]; None when the model does not classify."""
        if self.label is None:
            return None
        return np.asarray(self.evaluate(rows, [self.label])[self.label], dtype=np.int32).reshape(len(rows))

    def run_codes(self, rows: Array, given: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int32] | None]:
        """Scores as real numbers, and labels, as the functions of codes give them.

        rows: of floats, which are made into codes; or codes, when `given` is their id.
        """
        codes = self.codes
        assert codes is not None
        wanted = [codes.scores] if codes.label is None else [codes.scores, codes.label]
        found = self.evaluate(rows, wanted, given)
        real = found[codes.scores]
        if real.dtype != np.float32:
            real = real * np.array(codes.scores_scale) + np.array(codes.scores_offset)
        label = None if codes.label is None else np.asarray(found[codes.label], np.int32).reshape(len(rows))
        return np.asarray(real, np.float32), label

    def run_way(self, rows: Array, way: Way) -> tuple[NDArray[np.float32], NDArray[np.int32] | None]:
        """Scores and labels as one of the ways for blocks computes them; equal to those of run() and classify()."""
        wanted = [way.scores] if way.label is None else [way.scores, way.label]
        found = self.evaluate(rows, wanted)
        label = None if way.label is None else np.asarray(found[way.label], np.int32).reshape(len(rows))
        return np.asarray(found[way.scores], np.float32), label

    def with_steps(self, steps: Sequence[Step]) -> Program:
        return replace(self, steps=tuple(steps))


class Builder:
    """Collects steps while a family lowers itself; the only mutable thing here, and it never leaves lower()."""

    def __init__(self, source: ValueType) -> None:
        self.source = source
        self._steps: list[Step] = []

    def add(self, op: Op, *inputs: int) -> int:
        """Append a step and give the id of its value."""
        self._steps.append(Step(op, inputs))
        return len(self._steps)

    def step(self, value: int) -> Step:
        """The step that makes the value."""
        return self._steps[value - 1]

    def inline(self, program: Program, source: int) -> int:
        """Append another program's scores, fed from `source`, and give the id of its scores."""
        moved = {0: source}
        for index in program.needed(program.scores):
            step = program.steps[index]
            moved[index + 1] = self.add(step.op, *(moved[i] for i in step.inputs))
        return moved[program.scores]

    def build(self, scores: int, label: int | None = None, n_classes: int = 0) -> Program:
        program = Program(self.source, tuple(self._steps), scores, label, n_classes)
        program.check()
        return program


def row_type(n_features: int) -> ValueType:
    return ValueType("f32", n_features)


TEXT = ValueType("text", 0)  # a whole UTF-8 text, for vectorizers
PREFIX = ValueType("prefix", 0)  # the start of a UTF-8 text, to be completed
