"""The metadata of a v1 file: its fields, from and to the MessagePack map that aprender reads and writes.

Reads the map form and the array form, keeps unknown keys, and writes the documented keys in their order.
Knows nothing of where in the file the map lies, and does not judge what a license or a hash says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from aprgen.container import messagepack
from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.container.messagepack import Float32, Value
from aprgen.errors import ContainerError

T = TypeVar("T")
JsonMap = Mapping[str, Value]

DISTILL_METHODS = ("Standard", "Progressive", "Ensemble")
LICENSE_TIERS = ("Personal", "Team", "Enterprise", "Academic")
MODEL_TYPE_NAMES = (
    "LinearRegression",
    "LogisticRegression",
    "DecisionTree",
    "RandomForest",
    "GradientBoosting",
    "KMeans",
    "Pca",
    "NaiveBayes",
    "Knn",
    "Svm",
    "NgramLm",
    "Tfidf",
    "CountVectorizer",
    "NeuralSequential",
    "NeuralCustom",
    "ContentRecommender",
    "MixtureOfExperts",
    "Custom",
)


@dataclass(frozen=True)
class Training:
    samples: int | None = None
    duration_ms: int | None = None
    source: str | None = None


@dataclass(frozen=True)
class Teacher:
    hash: str
    signature: str | None
    model_type: str  # one of MODEL_TYPE_NAMES
    param_count: int
    ensemble_teachers: tuple[Teacher, ...] | None = None


@dataclass(frozen=True)
class DistillationParams:
    temperature: float
    alpha: float
    beta: float | None
    epochs: int
    final_loss: float | None = None


@dataclass(frozen=True)
class LayerMapping:
    student_layer: int
    teacher_layer: int
    weight: float


@dataclass(frozen=True)
class DistillationInfo:
    method: str  # one of DISTILL_METHODS
    teacher: Teacher
    params: DistillationParams
    layer_mapping: tuple[LayerMapping, ...] | None = None


@dataclass(frozen=True)
class License:
    uuid: str
    hash: str
    expiry: str | None
    seats: int | None
    licensee: str | None
    tier: str  # one of LICENSE_TIERS


@dataclass(frozen=True)
class TrainingData:
    name: str
    samples: int | None = None
    hash: str | None = None


@dataclass(frozen=True)
class ModelCard:
    """`extra` holds the keys that lie flat in the same map."""

    model_id: str
    name: str
    version: str
    created_at: str
    framework_version: str
    author: str | None = None
    rust_version: str | None = None
    description: str | None = None
    license: str | None = None
    training_data: TrainingData | None = None
    hyperparameters: JsonMap | None = None
    metrics: JsonMap | None = None
    architecture: str | None = None
    param_count: int | None = None
    target_hardware: tuple[str, ...] = ()
    extra: JsonMap = field(default_factory=dict)


@dataclass(frozen=True)
class Metadata:
    """`created_at` is decimal Unix seconds in aprender's files. `unknown` holds keys of later versions."""

    created_at: str
    aprender_version: str
    model_name: str | None = None
    description: str | None = None
    training: Training | None = None
    hyperparameters: JsonMap = field(default_factory=dict)
    metrics: JsonMap = field(default_factory=dict)
    custom: JsonMap = field(default_factory=dict)
    distillation: str | None = None
    distillation_info: DistillationInfo | None = None
    license: License | None = None
    model_card: ModelCard | None = None
    unknown: JsonMap = field(default_factory=dict)


# -- kinds of fields: how a value is checked on reading, and how it is written --


@dataclass(frozen=True)
class _Kind(Generic[T]):
    read: Callable[[Value, str], T]  # (value, path for messages)
    write: Callable[[T], Value]


@dataclass(frozen=True)
class _Field:
    key: str
    kind: _Kind[object]
    optional: bool = False
    omit_empty: bool = False  # left out when empty; such a field is never None


def _wrong(path: str, expected: str, value: Value) -> ContainerError:
    found = {tuple: "an array", type(None): "nil", Float32: "a float", str: "a string", bool: "a bool"}.get(
        type(value), "a map" if isinstance(value, Mapping) else f"the number {value!r}"
    )
    return ContainerError(
        "container.metadata",
        f"{path} must be {expected}, not {found}",
        where=f"the metadata, key {path}",
        hint="the metadata is damaged or of another version; export the model again",
    )


def _text(value: Value, path: str) -> str:
    if not isinstance(value, str):
        raise _wrong(path, "a string", value)
    return value


def _unsigned(bits: int) -> Callable[[Value, str], int]:
    def read(value: Value, path: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << bits:
            raise _wrong(path, f"an integer from 0 to 2^{bits} - 1", value)
        return value

    return read


def _float32(value: Value, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(path, "a number", value)
    return float(value)


def _one_of(names: tuple[str, ...]) -> Callable[[Value, str], str]:
    def read(value: Value, path: str) -> str:
        if not isinstance(value, str) or value not in names:
            raise _wrong(path, f"one of {', '.join(names)}", value)
        return value

    return read


def _json_map(value: Value, path: str) -> JsonMap:
    if not isinstance(value, Mapping):
        raise _wrong(path, "a map", value)
    return value


def _same(value: object) -> Value:
    # What the read functions above return is a Value already.
    return value  # type: ignore[return-value]


def _kind(read: Callable[[Value, str], T], write: Callable[[T], Value] = _same) -> _Kind[object]:
    return _Kind(read, write)  # type: ignore[arg-type]  # a field's write is only given what its read returned


def _struct(make: Callable[..., object], fields: Callable[[], tuple[_Field, ...]]) -> _Kind[object]:
    return _kind(
        lambda value, path: _read_struct(make, fields(), value, path),
        lambda item: _write_struct(fields(), item),
    )


def _many(item: _Kind[object]) -> _Kind[object]:
    def read(value: Value, path: str) -> tuple[object, ...]:
        if not isinstance(value, tuple):
            raise _wrong(path, "an array", value)
        return tuple(item.read(entry, f"{path}[{index}]") for index, entry in enumerate(value))

    return _kind(read, lambda values: tuple(item.write(entry) for entry in values))


TEXT = _kind(_text)
COUNT = _kind(_unsigned(64))
U32 = _kind(_unsigned(32))
FLOAT32 = _kind(_float32, lambda value: Float32(value))
JSON_MAP = _kind(_json_map)


# -- the fields, in the order of the file --

_TRAINING = (_Field("samples", COUNT, True), _Field("duration_ms", COUNT, True), _Field("source", TEXT, True))


def _teacher() -> tuple[_Field, ...]:
    return _TEACHER


_TEACHER = (
    _Field("hash", TEXT),
    _Field("signature", TEXT, True),
    _Field("model_type", _kind(_one_of(MODEL_TYPE_NAMES))),
    _Field("param_count", COUNT),
    _Field("ensemble_teachers", _many(_struct(Teacher, _teacher)), True),
)
_DISTILLATION_PARAMS = (
    _Field("temperature", FLOAT32),
    _Field("alpha", FLOAT32),
    _Field("beta", FLOAT32, True),
    _Field("epochs", U32),
    _Field("final_loss", FLOAT32, True),
)
_LAYER_MAPPING = (_Field("student_layer", COUNT), _Field("teacher_layer", COUNT), _Field("weight", FLOAT32))
_DISTILLATION_INFO = (
    _Field("method", _kind(_one_of(DISTILL_METHODS))),
    _Field("teacher", _struct(Teacher, _teacher)),
    _Field("params", _struct(DistillationParams, lambda: _DISTILLATION_PARAMS)),
    _Field("layer_mapping", _many(_struct(LayerMapping, lambda: _LAYER_MAPPING)), True),
)
_LICENSE = (
    _Field("uuid", TEXT),
    _Field("hash", TEXT),
    _Field("expiry", TEXT, True),
    _Field("seats", U32, True),
    _Field("licensee", TEXT, True),
    _Field("tier", _kind(_one_of(LICENSE_TIERS))),
)
_TRAINING_DATA = (_Field("name", TEXT), _Field("samples", COUNT, True), _Field("hash", TEXT, True))
_MODEL_CARD = (
    _Field("model_id", TEXT),
    _Field("name", TEXT),
    _Field("version", TEXT),
    _Field("author", TEXT, True),
    _Field("created_at", TEXT),
    _Field("framework_version", TEXT),
    _Field("rust_version", TEXT, True),
    _Field("description", TEXT, True),
    _Field("license", TEXT, True),
    _Field("training_data", _struct(TrainingData, lambda: _TRAINING_DATA), True),
    _Field("hyperparameters", JSON_MAP, True),
    _Field("metrics", JSON_MAP, True),
    _Field("architecture", TEXT, True),
    _Field("param_count", COUNT, True),
    _Field("target_hardware", _many(TEXT), True, omit_empty=True),
)


def _read_card(value: Value, path: str) -> ModelCard:
    # Flattened extra keys need names, so the array form does not exist here.
    known = _values(_MODEL_CARD, _json_map(value, path), path)
    return ModelCard(**known, extra=_others(_MODEL_CARD, value))  # type: ignore[arg-type]


def _write_card(card: ModelCard) -> Value:
    return _write_struct(_MODEL_CARD, card) | dict(card.extra)


_METADATA = (
    _Field("created_at", TEXT),
    _Field("aprender_version", TEXT),
    _Field("model_name", TEXT, True),
    _Field("description", TEXT, True),
    _Field("training", _struct(Training, lambda: _TRAINING), True),
    _Field("hyperparameters", JSON_MAP, True, omit_empty=True),
    _Field("metrics", JSON_MAP, True, omit_empty=True),
    _Field("custom", JSON_MAP, True, omit_empty=True),
    _Field("distillation", TEXT, True),
    _Field("distillation_info", _struct(DistillationInfo, lambda: _DISTILLATION_INFO), True),
    _Field("license", _struct(License, lambda: _LICENSE), True),
    _Field("model_card", _kind(_read_card, _write_card), True),
)


# -- reading and writing --


def _values(fields: tuple[_Field, ...], value: Value, path: str) -> dict[str, object]:
    """The fields of a struct by name; an omitted optional field is left to the dataclass or None."""
    if isinstance(value, tuple):
        if len(value) > len(fields):
            raise _wrong(path, f"an array of at most {len(fields)} values", value)
        given: Mapping[str, Value] = {each.key: item for each, item in zip(fields, value, strict=False)}
    else:
        given = _json_map(value, path)
    found: dict[str, object] = {}
    for each in fields:
        inner = f"{path}.{each.key}" if path else each.key
        item = given.get(each.key)
        if item is not None:
            found[each.key] = each.kind.read(item, inner)
        elif not each.optional:
            raise ContainerError(
                "container.metadata",
                f"{inner} is missing",
                where=f"the metadata, key {inner}",
                hint="the metadata is damaged or was not written by aprender; export the model again",
            )
        elif not each.omit_empty:
            found[each.key] = None
    return found


def _others(fields: tuple[_Field, ...], value: Value) -> JsonMap:
    known = {each.key for each in fields}
    return {key: item for key, item in value.items() if key not in known} if isinstance(value, Mapping) else {}


def _read_struct(make: Callable[..., object], fields: tuple[_Field, ...], value: Value, path: str) -> object:
    return make(**_values(fields, value, path))


def _write_struct(fields: tuple[_Field, ...], item: object) -> dict[str, Value]:
    written: dict[str, Value] = {}
    for each in fields:
        value = getattr(item, each.key)
        if value is None or (each.omit_empty and not value):
            continue
        written[each.key] = each.kind.write(value)
    return written


def require_metadata_bytes(n_bytes: int, base: int, limits: Limits) -> None:
    if n_bytes > limits.metadata_bytes:
        raise ContainerError(
            "container.limit",
            f"{n_bytes} bytes of metadata, more than the limit of {limits.metadata_bytes}",
            where=f"byte {base}, in the metadata",
            hint="raise Limits.metadata_bytes if you trust the file",
        )


def read_metadata(
    data: bytes, base: int = 32, limits: Limits = DEFAULT_LIMITS, *, padding: int = 0
) -> tuple[Metadata, tuple[str, ...]]:
    """The metadata, and what a careful reader reports. `base` is the position in the file, for messages.

    padding: fewer zeros than this behind the map are its padding, and nothing to report.
    """
    require_metadata_bytes(len(data), base, limits)
    value, used = messagepack.unpack(data, base, limits)
    if not isinstance(value, Mapping | tuple):
        raise _wrong("metadata", "a map", value)
    findings: list[str] = []
    is_padding = len(data) - used < padding and not any(data[used:])
    if used < len(data) and not is_padding:
        findings.append(f"{len(data) - used} bytes after the metadata map are ignored")
    unknown = _others(_METADATA, value)
    if unknown:
        findings.append(f"unknown metadata keys: {', '.join(sorted(unknown))[:200]}")
    metadata = Metadata(**_values(_METADATA, value, ""), unknown=unknown)  # type: ignore[arg-type]
    return metadata, tuple(findings)


def as_map(metadata: Metadata) -> dict[str, Value]:
    """The map that is written: documented keys in order, then unknown ones."""
    return _write_struct(_METADATA, metadata) | dict(metadata.unknown)


def as_json(metadata: Metadata) -> dict[str, Value]:
    """The same map with null for NaN and infinity, which JSON cannot hold; aprender reads them as null too."""

    def clean(value: Value) -> Value:
        if isinstance(value, Mapping):
            return {key: clean(item) for key, item in value.items()}
        if isinstance(value, tuple):
            return tuple(clean(item) for item in value)
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {key: clean(item) for key, item in as_map(metadata).items()}


def write_metadata(metadata: Metadata, *, base: int = 32, alignment: int = 1) -> bytes:
    """The map, and zeros behind it until what follows in the file is aligned; readers ignore bytes behind the map."""
    data = messagepack.pack(as_map(metadata))
    return data + bytes(-(base + len(data)) % alignment)
