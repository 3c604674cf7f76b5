"""How the fields of ops become tables and parameters of a step, and come back: one codec for each kind of field.

Writers trust the op, readers believe nothing: what does not fit is an error with its place. Knows no particular op.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from aprgen.container.limits import Limits
from aprgen.errors import PayloadError
from aprgen.native.structures import LONG_NODE, SHORT_NODE, STAGE
from aprgen.ops.elementwise import ARITHMETIC, FUNCTIONS, Stage, Verb
from aprgen.ops.strings import Folding, Strings
from aprgen.ops.trees import Nodes
from aprgen.program import Table, ValueType

NO_TABLE = 0xFFFF
VERBS: tuple[Verb, ...] = (
    "add", "sub", "mul", "div", "neg", "exp", "exp2", "sigmoid", "tanh", "gelu", "relu", "leaky_relu", "keep"
)  # fmt: skip

Array = NDArray[Any]


class StepWriter(Protocol):
    """Takes what a step consists of."""

    def tensor(self, data: Array) -> int:
        """A section of its own for the numbers; its index."""
        ...

    def nodes(self, data: Array) -> int: ...

    def table(self, section: int | None) -> None: ...

    def parameter(self, word: int) -> None: ...

    def stages(self, stages: Array) -> int:
        """Append to the list that all steps share; the index of the first."""
        ...


class StepReader(Protocol):
    """Gives what a step consists of, checked as far as it can be without knowing the op."""

    limits: Limits
    input_types: tuple[ValueType, ...]

    def tensor(self, dtypes: str, ndim: int, *, optional: bool = False) -> Array | None: ...

    def shared(self, section: int, dtypes: str, ndim: int) -> Array: ...

    def nodes(self) -> Array: ...

    def parameter(self) -> int: ...

    def stages(self, first: int, count: int) -> Array: ...

    def error(self, code: str, what: str) -> PayloadError: ...


class FieldCodec(Protocol):
    def write(self, value: Any, out: StepWriter) -> None: ...

    def read(self, source: StepReader) -> Any: ...


@dataclass(frozen=True)
class Tensor:
    """A Table of one of some number types (as numpy spells them) and of a known number of dimensions."""

    dtypes: str
    ndim: int
    optional: bool = False

    def write(self, value: Table | None, out: StepWriter) -> None:
        if value is None and self.optional:
            out.table(None)
            return
        assert value is not None
        if value.data.dtype not in [np.dtype(one) for one in self.dtypes.split()] or value.data.ndim != self.ndim:
            raise ValueError(f"{value} is no table of {self.dtypes} with {self.ndim} dimensions")
        out.table(out.tensor(value.data))

    def read(self, source: StepReader) -> Table | None:
        data = source.tensor(self.dtypes, self.ndim, optional=self.optional)
        return None if data is None else Table(data)


@dataclass(frozen=True)
class Word:
    """One number in one parameter."""

    pack: Callable[[Any], int]
    unpack: Callable[[int], Any]
    fits: Callable[[int], bool] = lambda word: True

    def write(self, value: Any, out: StepWriter) -> None:
        out.parameter(self.pack(value))

    def read(self, source: StepReader) -> Any:
        word = source.parameter()
        if not self.fits(word):
            raise source.error("native.parameter", f"a parameter of the step is {word:#x}")
        return self.unpack(word)


def _float_word(value: float) -> int:
    return int(np.float32(value).view(np.uint32))


def _word_float(word: int) -> float:
    return float(np.uint32(word).view(np.float32))


COUNT = Word(int, int, lambda word: word < 1 << 31)
BOOL = Word(int, bool, lambda word: word < 2)
I32 = Word(lambda value: value & 0xFFFFFFFF, lambda word: word - (1 << 32) if word >> 31 else word)
F32 = Word(_float_word, _word_float)


@dataclass(frozen=True)
class OptionalF32:
    """Two parameters: whether it is there, and the number."""

    def write(self, value: float | None, out: StepWriter) -> None:
        BOOL.write(value is not None, out)
        F32.write(0.0 if value is None else value, out)

    def read(self, source: StepReader) -> float | None:
        is_there = BOOL.read(source)
        value = cast(float, F32.read(source))
        if not is_there and value != 0.0:
            raise source.error("native.parameter", "a number that is not there is not 0")
        return value if is_there else None


OPTIONAL_F32 = OptionalF32()


class Choice:
    """One of some words, by its place."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def write(self, value: str, out: StepWriter) -> None:
        out.parameter(self.words.index(value))

    def read(self, source: StepReader) -> str:
        word = source.parameter()
        if word >= len(self.words):
            raise source.error("native.parameter", f"choice {word} of {len(self.words)}: {', '.join(self.words)}")
        return self.words[word]


@dataclass(frozen=True)
class InputSizes:
    """The sizes of the inputs, which the values know."""

    def write(self, value: tuple[int, ...], out: StepWriter) -> None:
        """Nothing to write."""

    def read(self, source: StepReader) -> tuple[int, ...]:
        return tuple(value.size for value in source.input_types)


INPUT_SIZES = InputSizes()


@dataclass(frozen=True)
class Stages:
    """Two parameters, the first of the stages and their number; operands of their own are sections."""

    def write(self, value: tuple[Stage, ...], out: StepWriter) -> None:
        stages = np.zeros(len(value), STAGE)
        for entry, stage in zip(stages, value, strict=True):
            entry["verb"] = VERBS.index(stage.verb)
            entry["constant"] = 0 if stage.constant is None else _float_word(stage.constant)
            entry["each"] = NO_TABLE if stage.each is None else out.tensor(stage.each.data)
            entry["mask"] = NO_TABLE if stage.mask is None else out.tensor(stage.mask.data)
        out.parameter(out.stages(stages))
        out.parameter(len(stages))

    def read(self, source: StepReader) -> tuple[Stage, ...]:
        return tuple(self._stage(entry, source) for entry in source.stages(source.parameter(), source.parameter()))

    def _stage(self, entry: Any, source: StepReader) -> Stage:
        number = int(entry["verb"])
        if number >= len(VERBS):
            raise source.error("native.stage", f"a stage has verb {number}; there are {len(VERBS)}")
        verb = VERBS[number]
        word, each, mask = int(entry["constant"]), int(entry["each"]), int(entry["mask"])
        if each != NO_TABLE and (verb not in ARITHMETIC or verb == "leaky_relu" or word != 0):
            raise source.error("native.stage", f"the verb {verb} takes no table, or a table and a number")
        if (mask != NO_TABLE) != (verb == "keep"):
            raise source.error("native.stage", f"a mask belongs to the verb keep, and to no other; here it is {verb}")
        if verb in FUNCTIONS and word != 0:
            raise source.error("native.stage", f"the verb {verb} takes no number")
        return Stage(
            verb,
            constant=None if verb in FUNCTIONS or each != NO_TABLE else _word_float(word),
            each=None if each == NO_TABLE else Table(source.shared(each, "<f4", 1)),
            mask=None if mask == NO_TABLE else Table(source.shared(mask, "u1", 1)),
        )


STAGES = Stages()


@dataclass(frozen=True)
class TreeNodes:
    """Two tables, nodes and roots, and one parameter: how many leaves the references may name."""

    def write(self, value: Nodes, out: StepWriter) -> None:
        references = [table.data.astype(np.int64) for table in (value.left, value.right, value.root)]
        leaves = max((int((~one).max(initial=-1)) for one in references), default=-1) + 1
        nodes = np.zeros(value.n_nodes, SHORT_NODE if value.left.data.dtype == np.int16 else LONG_NODE)
        nodes["threshold"] = value.threshold.data
        nodes["feature"] = value.feature.data
        nodes["left"], nodes["right"] = references[:2]
        out.table(out.nodes(nodes))
        out.table(out.tensor(references[2].astype(np.int32)))
        out.parameter(leaves)

    def read(self, source: StepReader) -> Nodes:
        nodes = source.nodes()
        root = cast(Array, source.tensor("<i4", 1))
        n_leaves = cast(int, COUNT.read(source))
        if nodes["flags"].any():
            raise source.error("native.tree", "a node has flags that this version does not know")
        left, right = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
        self._check_references(left, right, root.astype(np.int64), n_leaves, source)
        narrow = nodes.dtype == SHORT_NODE
        if narrow and ((root < -(2**15)) | (root >= 2**15)).any():
            raise source.error("native.tree", "a root of trees with short nodes has more than 16 bits")
        kind = np.int16 if narrow else np.int32
        feature = nodes["feature"]
        return Nodes(
            feature=Table(feature.astype(np.min_scalar_type(int(feature.max(initial=0))))),
            threshold=Table(nodes["threshold"]),
            left=Table(left.astype(kind)),
            right=Table(right.astype(kind)),
            root=Table(root.astype(kind)),
            depth=_depth(left, right, root, source),
        )

    def _check_references(self, left: Array, right: Array, root: Array, n_leaves: int, source: StepReader) -> None:
        here = np.arange(len(left))
        for side, children in (("left", left), ("right", right)):
            wrong = (children >= 0) & ((children <= here) | (children >= len(left)))
            if wrong.any():
                at = int(np.argmax(wrong))
                what = f"node {at} of {len(left)} has {side} child {int(children[at])}: a walk might never end"
                raise source.error("native.tree", what)
        if (root >= len(left)).any():
            raise source.error("native.tree", f"a tree starts at node {int(root.max())} of {len(left)}")
        every = np.concatenate([left, right, root])
        if (~every >= n_leaves).any():
            raise source.error("native.tree", f"leaf {int((~every).max())} of {n_leaves} is named")
        named = np.bincount(every[every >= 0], minlength=len(left))
        if (named != 1).any():
            at = int(np.argmax(named != 1))
            raise source.error("native.tree", f"node {at} is named {int(named[at])} times, not once")


def _depth(left: Array, right: Array, root: Array, source: StepReader) -> int:
    """Most internal nodes on any path; every node is named once, so each level is new."""
    level, depth = root[root >= 0], 0
    while len(level):
        depth += 1
        if depth > source.limits.tree_depth:
            raise source.error("native.tree", f"a tree has more than {source.limits.tree_depth} levels")
        below = np.concatenate([left[level], right[level]])
        level = below[below >= 0]
    return depth


NODES = TreeNodes()


@dataclass(frozen=True)
class SortedStrings:
    """Two tables, text and offsets, and one parameter: how many strings there are."""

    def write(self, value: Strings, out: StepWriter) -> None:
        offset = value.offset16 or value.offset32
        assert offset is not None
        out.table(out.tensor(value.text.data))
        out.table(out.tensor(offset.data))
        out.parameter(value.count)

    def read(self, source: StepReader) -> Strings:
        text, offset = cast(Array, source.tensor("u1", 1)), cast(Array, source.tensor("<u2 <u4", 1))
        count = cast(int, COUNT.read(source))
        steps = np.diff(offset.astype(np.int64))
        sound = len(offset) == max(count, 1) + 1 and offset[0] == 0 and (steps >= 0).all()
        if not sound or offset[-1] != (len(text) if count else 0):
            what = f"{len(offset)} offsets do not cut {len(text)} bytes in {count} strings"
            raise source.error("native.strings", what)
        data = text.tobytes()
        places = offset.tolist()
        strings = [data[a:b] for a, b in pairwise(places)][:count]
        if any(one >= other for one, other in pairwise(strings)):
            raise source.error("native.strings", "the strings are not in byte order, each once")
        wide = offset.dtype.itemsize == struct.calcsize("<I")
        return Strings(Table(text), None if wide else Table(offset), Table(offset) if wide else None, count)


STRINGS = SortedStrings()


@dataclass(frozen=True)
class FoldingRanges:
    """Two tables, ranges and kinds, and one parameter: bit 0 when U+0130 is two code points, bit 1 when it is there."""

    optional: bool

    def write(self, value: Folding | None, out: StepWriter) -> None:
        for table in (None, None) if value is None else (value.ranges, value.kinds):
            out.table(None if table is None else out.tensor(table.data))
        out.parameter(0 if value is None else 2 + int(value.dotted_i))

    def read(self, source: StepReader) -> Folding | None:
        ranges = source.tensor("<u4", 2, optional=True)
        kinds = source.tensor("<u4", 2, optional=True)
        flags = source.parameter()
        is_there = flags in (2, 3)
        if not is_there and (not self.optional or flags != 0 or ranges is not None or kinds is not None):
            raise source.error("native.folding", f"the flags of a folding are {flags:#x}")
        for words in (ranges, kinds):
            if words is not None and words.shape[1] != 2:
                raise source.error("native.folding", f"a range has {words.shape[1]} words, not 2")
            if words is not None and (np.diff((words[:, 0] & 0x1FFFFF).astype(np.int64)) <= 0).any():
                raise source.error("native.folding", "the ranges are not in order")
        if not is_there:
            return None
        return Folding(
            None if ranges is None else Table(ranges), 0 if ranges is None else len(ranges),
            None if kinds is None else Table(kinds), 0 if kinds is None else len(kinds), bool(flags & 1),
        )  # fmt: skip


FOLDING = FoldingRanges(optional=False)
OPTIONAL_FOLDING = FoldingRanges(optional=True)
