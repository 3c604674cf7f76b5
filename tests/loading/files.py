"""Files that the tests of loading share: made once per process, some hundred kilobytes each, of every kind that loads
in its own way."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from aprgen.container import Limits, Loading, open_source, write_v1
from aprgen.container.bincode import encode
from aprgen.container.limits import DEFAULT_LIMITS
from aprgen.container.metadata import Metadata
from aprgen.families import STRUCTS
from aprgen.families.base import Fields
from aprgen.loaded import Loaded, load_model
from aprgen.payload_form import in_form
from aprgen.trees import TreeBuilder
from tests.hostile.v2files import built

N_TREES, DEPTH, N_FEATURES = 12, 8, 16
POINTS = 1_500
LAYER = 128
FOREST, KNN = 0x0004, 0x0009
COMPRESSIONS = {"": 0, "_zstd": 1, "_zstd19": 2, "_lz4": 3}
V2_TYPES = {"f32": (0, 4), "f16": (1, 2), "q4": (128, 18 / 32), "q8": (129, 1), "q4k": (12, 144 / 256)}
NAMES = (
    *(f"{kind}{packed}" for kind in ("forest", "knn") for packed in COMPRESSIONS), "native", "native_trees",
    *(f"net_{kind}" for kind in V2_TYPES),
)  # fmt: skip


def _payload(name: str, fields: Fields) -> bytes:
    return encode(next(struct for struct in STRUCTS if struct.name == name).codec, fields)


def _file(name: str, model_type: int, fields: Fields, method: int = 0) -> bytes:
    return write_v1(model_type, _payload(name, fields), Metadata("0", "test"), method=method)


@functools.cache
def forest_fields() -> Fields:
    generator = np.random.default_rng(3)
    trees = []
    for _ in range(N_TREES):
        builder = TreeBuilder()
        waiting = [(0, -1, False)]
        while waiting:
            depth, parent, is_right = waiting.pop()
            if depth == DEPTH:
                at = builder.leaf(label=int(generator.integers(4)), samples=1)
            else:
                at = builder.add(int(generator.integers(N_FEATURES)), float(generator.normal()))
                waiting += [(depth + 1, at, True), (depth + 1, at, False)]
            if parent >= 0:
                (builder.right if is_right else builder.left)[parent] = at
        trees.append({"tree": builder.build(), "max_depth": DEPTH, "n_features": N_FEATURES})
    return {
        "trees": tuple(trees), "n_estimators": N_TREES, "max_depth": DEPTH, "random_state": 1, "oob_indices": (),
        "x_train": generator.normal(size=(50, N_FEATURES)).astype(np.float32),
        "y_train": np.arange(4, dtype=np.uint64),
    }  # fmt: skip


@functools.cache
def file_of(name: str) -> bytes:
    generator = np.random.default_rng(5)
    kind, _, packed = name.partition("_")
    if kind == "forest":
        return _file("RandomForestClassifier", FOREST, forest_fields(), COMPRESSIONS[name[len(kind) :]])
    if kind == "knn":
        n_points = 8_000 if packed == "large" else POINTS
        points = (generator.integers(-40, 40, size=(n_points, 32)) / 8).astype(np.float32)
        labels = generator.integers(0, 3, n_points).astype(np.uint64)
        fields = {"k": 3, "metric": ("Euclidean", None), "weights": False, "x_train": points, "y_train": labels}
        return _file("KNearestNeighbors", KNN, fields, COMPRESSIONS.get(name[len(kind) :], 0))
    if name in ("native", "native_large"):
        return in_form(load_model(file_of(name.replace("native", "knn"))), "native", keep_record=False)
    if name == "native_trees":
        return in_form(load_model(file_of("forest")), "native")
    number, per_element = V2_TYPES[packed]
    size = int(LAYER * LAYER * per_element) + (4 if packed == "q8" else 0)
    if packed in ("f32", "f16"):
        stored = generator.normal(size=LAYER * LAYER).astype("<f4" if packed == "f32" else "<f2").tobytes()
    else:  # scales of 1.0 or so in front of every block
        stored = (np.float32(0.01).tobytes() if packed == "q8" else b"") + generator.integers(1, 60, size).astype(
            np.uint8
        ).tobytes()
        stored = stored[:size]
    room = -(-size // 64) * 64
    entries = [(f"layer{layer}.weight".encode(), number, (LAYER, LAYER), layer * room, size) for layer in range(2)]
    return built(entries, stored.ljust(room, b"\0") * 2, metadata=b'{"activation": "relu"}')


def written(folder: Path, name: str) -> Path:
    path = folder / f"{name}.apr"
    path.write_bytes(file_of(name))
    return path


def load_counted(path: Path, loading: Loading) -> tuple[Loaded, Limits]:
    """The model, and the limits whose account says what was taken."""
    limits = DEFAULT_LIMITS.within(loading.memory_bytes)
    source = open_source(path, loading, limits)
    return load_model(source, limits=limits, checks=loading.checks), limits
