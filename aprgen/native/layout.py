"""The layout of every op in a native payload: which tables and numbers a step holds, in which order.

A new op gets a line in OPS, and a number that was never used. Knows nothing of how bytes are made or checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aprgen.native.fields import (
    BOOL,
    COUNT,
    F32,
    FOLDING,
    I32,
    INPUT_SIZES,
    NODES,
    OPTIONAL_F32,
    OPTIONAL_FOLDING,
    STAGES,
    STRINGS,
    Choice,
    FieldCodec,
    Tensor,
)
from aprgen.ops.decide import Argmax, Argmin, Lookup, Threshold
from aprgen.ops.dense import Dense
from aprgen.ops.distance import Neighbours, SquaredDistance
from aprgen.ops.elementwise import Map
from aprgen.ops.gauss import Gauss
from aprgen.ops.mixture import Concat, TopMix
from aprgen.ops.normalise import Complement, Normalise, Softmax
from aprgen.ops.suggest import Suggest
from aprgen.ops.term_counts import TermCounts
from aprgen.ops.tfidf import Tfidf
from aprgen.ops.trees import TreeLeaf, TreeSum, TreeVotes


@dataclass(frozen=True)
class OpLayout:
    """Fields in the order in which they take tables and parameters of a step. plain: flags that no file sets."""

    number: int
    op: type[Any]
    fields: tuple[tuple[str, FieldCodec], ...]
    plain: tuple[str, ...] = ()


TREES = (("nodes", NODES), ("n_features", COUNT))

OPS: tuple[OpLayout, ...] = (
    OpLayout(
        1, Dense,
        (("weight", Tensor("<f4", 2)), ("bias", Tensor("<f4", 1, optional=True)),
         ("bias_order", Choice("first", "last", "none"))),
        ("fused",),
    ),
    OpLayout(2, SquaredDistance, (("points", Tensor("<f4", 2)),), ("fused",)),
    OpLayout(
        3, Neighbours,
        (("points", Tensor("<f4", 2)), ("classes", Tensor("u1 <u2 <i4", 1)),
         ("metric", Choice("euclidean", "manhattan", "minkowski")), ("power", F32), ("weighted", BOOL), ("k", COUNT),
         ("n_classes", COUNT), ("near", F32)),
    ),
    OpLayout(
        4, Gauss,
        (("centre", Tensor("<f4", 2)), ("divisor", Tensor("<f4", 2)), ("start", Tensor("<f4", 1, optional=True)),
         ("offset", Tensor("<f4", 2, optional=True))),
    ),
    OpLayout(5, Map, (("size", COUNT), ("stages", STAGES))),
    OpLayout(6, Softmax, (("size", COUNT), ("by_reciprocal", BOOL))),
    OpLayout(7, Normalise, (("size", COUNT), ("floor", OPTIONAL_F32))),
    OpLayout(8, Complement, ()),
    OpLayout(9, TopMix, (("size", COUNT), ("k", COUNT))),
    OpLayout(10, Concat, (("sizes", INPUT_SIZES),)),
    OpLayout(
        11, Argmax,
        (("labels", Tensor("<i4", 1, optional=True)), ("element", Choice("f32", "u16")), ("size", COUNT),
         ("last_wins", BOOL), ("nan_gives_zero", BOOL)),
    ),
    OpLayout(12, Argmin, (("size", COUNT), ("element", Choice("f32")))),
    OpLayout(13, Threshold, (("compare", Choice("ge", "lt")), ("limit", F32), ("then", I32), ("otherwise", I32))),
    OpLayout(
        14, Lookup,
        (("table", Tensor("<f4 <i4", 1)), ("element", Choice("i32", "u16")), ("n_in", COUNT), ("size", COUNT)),
    ),
    OpLayout(15, TreeLeaf, (*TREES, ("compare", Choice("f32")))),
    OpLayout(16, TreeVotes, (*TREES, ("compare", Choice("f32")), ("n_classes", COUNT))),
    OpLayout(17, TreeSum, (*TREES, ("compare", Choice("f32")), ("values", Tensor("<f4", 1)), ("start", F32))),
    OpLayout(
        18, TermCounts,
        (("size", COUNT), ("low", COUNT), ("high", COUNT), ("strings", STRINGS), ("column", Tensor("u1 <u2", 1)),
         ("stop", Tensor("u1", 1, optional=True)), ("folding", FOLDING), ("stop_folding", OPTIONAL_FOLDING)),
    ),
    OpLayout(
        19, Tfidf,
        (("size", COUNT), ("idf", Tensor("<f8", 1)), ("index", Tensor("u1 <u2", 1, optional=True)),
         ("sublinear", BOOL)),
    ),
    OpLayout(
        20, Suggest,
        (("size", COUNT), ("commands", STRINGS), ("command_level", Tensor("u1 <u2", 1)), ("words", STRINGS),
         ("context", Tensor("<u2", 2)), ("n_contexts", COUNT), ("context_words", COUNT), ("reach", COUNT),
         ("next_first", Tensor("u1 <u2 <u4", 1)), ("next_word", Tensor("<u2", 1)),
         ("next_level", Tensor("u1 <u2", 1)), ("score", Tensor("<f4", 1))),
    ),
)  # fmt: skip
