"""Payloads that decode but cannot become code: clusterings of a training set, t-SNE, LOF and bare quantized blocks.

Knows their layouts and why there is nothing to compile; knows nothing of files or C.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from aprgen.container.bincode import (
    F32,
    F32S,
    I8,
    I8S,
    I32S,
    MATRIX,
    U8S,
    U64,
    U64S,
    Codec,
    Enum,
    Option,
    Record,
    Tuple,
    Vec,
)
from aprgen.families.base import Fact, Fields, Struct, layout_only
from aprgen.program import Array, Program

CLUSTERING = "it labels the rows it was fitted on and defines no answer for a new row"
EMBEDDING = "it embeds the rows it was fitted on and defines no answer for a new row"
OUTLIERS = "its answer for one row depends on the other rows of the query"
BLOCKS = "it is a quantized array, not a model"


@dataclass(frozen=True, eq=False)
class LayoutOnly:
    """A decoded struct that defines no prediction for a new row."""

    struct: str
    family: str
    why: str
    fields: Mapping[str, object]
    n_features = 0
    outputs = "nothing"
    wider_rows = False

    def facts(self) -> tuple[Fact, ...]:
        return tuple(_fact(name, value) for name, value in self.fields.items())

    def check(self) -> None:
        raise layout_only(self.struct, self.why)

    def predict(self, rows: Array) -> Array:
        raise layout_only(self.struct, self.why)

    def tolerance(self, rows: Array, scores: Array) -> Array:
        raise layout_only(self.struct, self.why)

    def classify(self, rows: Array) -> None:
        raise layout_only(self.struct, self.why)

    def lower(self) -> Program:
        raise layout_only(self.struct, self.why)


def _fact(name: str, value: object) -> Fact:
    if isinstance(value, np.ndarray):
        return Fact(name, f"{value.dtype}{list(value.shape)}")
    if isinstance(value, tuple) and value and isinstance(value[0], str):
        return Fact(name, value[0])
    if isinstance(value, tuple):
        return Fact(name, f"{len(value)} entries")
    return Fact(name, cast("int | float | bool | None", value))


def _struct(
    name: str, ids: tuple[int, ...], family: str, why: str, fields: tuple[tuple[str, Codec[object]], ...]
) -> Struct:
    def build(values: Fields) -> LayoutOnly:
        return LayoutOnly(name, family, why, values)

    return Struct(name, ids, Record(name, fields), build)


def _field(name: str, codec: object) -> tuple[str, Codec[object]]:
    return name, cast("Codec[object]", codec)


def _variants(name: str, *variants: str) -> Enum:
    return Enum(name, tuple((variant, None) for variant in variants))


_QUANT_TYPE = _variants("QuantType", "Q8_0", "Q4_0", "Q4_1", "Q8Tensor", "Custom")
_BLOCK = (
    _field("quant_type", _QUANT_TYPE),
    _field("shape", U64S),
    _field("blocks", U8S),
    _field("block_size", U64),
)


@dataclass(frozen=True)
class _BlockList:
    """Vec<QuantizedBlock> as a record with one field, so that it reads like any struct."""

    inner: Vec[dict[str, object]]
    min_bytes: int = 8

    def decode(self, cursor: object) -> dict[str, object]:
        decode = cast("Callable[[object], tuple[dict[str, object], ...]]", self.inner.decode)
        return {"blocks": decode(cursor)}

    def encode(self, value: dict[str, object], out: bytearray) -> None:
        self.inner.encode(cast("tuple[dict[str, object], ...]", value["blocks"]), out)


def _block_list(fields: Fields) -> LayoutOnly:
    return LayoutOnly("Vec<QuantizedBlock>", "quantized blocks", BLOCKS, fields)


STRUCTS = (
    _struct(
        "DBSCAN",
        (0x00FF,),
        "DBSCAN clustering",
        CLUSTERING,
        (_field("eps", F32), _field("min_samples", U64), _field("labels", Option(I32S))),
    ),
    _struct(
        "AgglomerativeClustering",
        (0x00FF,),
        "agglomerative clustering",
        CLUSTERING,
        (
            _field("n_clusters", U64),
            _field("linkage", _variants("Linkage", "Single", "Complete", "Average", "Ward")),
            _field("labels", Option(U64S)),
            _field("dendrogram", Option(Vec(Tuple(U64, U64, F32, U64)))),
        ),
    ),
    _struct(
        "SpectralClustering",
        (0x00FF,),
        "spectral clustering",
        CLUSTERING,
        (
            _field("n_clusters", U64),
            _field("affinity", _variants("Affinity", "RBF", "KNN")),
            _field("gamma", F32),
            _field("n_neighbors", U64),
            _field("labels", Option(U64S)),
        ),
    ),
    _struct(
        "LocalOutlierFactor",
        (0x00FF,),
        "local outlier factor",
        OUTLIERS,
        (
            _field("n_neighbors", U64),
            _field("contamination", F32),
            _field("lof_scores", Option(F32S)),
            _field("negative_outlier_factor", Option(F32S)),
            _field("training_data", Option(MATRIX)),
            _field("knn_distances", Option(Vec(F32S))),
            _field("knn_indices", Option(Vec(U64S))),
            _field("lrd", Option(F32S)),
            _field("threshold", Option(F32)),
        ),
    ),
    _struct(
        "TSNE",
        (0x00FF,),
        "t-SNE embedding",
        EMBEDDING,
        (
            _field("n_components", U64),
            _field("perplexity", F32),
            _field("learning_rate", F32),
            _field("n_iter", U64),
            _field("random_state", Option(U64)),
            _field("embedding", Option(MATRIX)),
        ),
    ),
    _struct("QuantizedBlock", (0x00FF, 0x0020), "quantized block", BLOCKS, _BLOCK),
    _struct(
        "QuantizedTensor",
        (0x00FF, 0x0020),
        "quantized tensor",
        BLOCKS,
        (
            _field("quant_type", _QUANT_TYPE),
            _field("shape", U64S),
            _field("data", I8S),
            _field("scale", F32),
            _field("zero_point", I8),
        ),
    ),
    Struct(
        "Vec<QuantizedBlock>",
        (0x00FF, 0x0020),
        cast("Codec[dict[str, object]]", _BlockList(Vec(Record("QuantizedBlock", _BLOCK)))),
        _block_list,
    ),
)
