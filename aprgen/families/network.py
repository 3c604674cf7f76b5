"""Dense networks: layers of weights and biases with an activation between them, and perhaps one at the end.

Knows how they predict and lower, and how the tensors of an APR v2 file name them; knows nothing of files or C.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from aprgen.errors import UnsupportedError
from aprgen.families import exact
from aprgen.families.base import (
    MAX_OUTPUTS,
    Fact,
    Floats,
    Labels,
    bad_parameter,
    require_finite,
    require_rows,
    unfitted,
)
from aprgen.ops.decide import Argmax
from aprgen.ops.dense import Dense
from aprgen.ops.elementwise import Map, Stage, Verb
from aprgen.ops.normalise import Softmax
from aprgen.program import Array, Builder, Program, Table, row_type

ACTIVATIONS = ("identity", "relu", "leaky_relu", "sigmoid", "tanh", "gelu", "softmax")
_SPELLINGS = {"linear": "identity", "none": "identity", "leakyrelu": "leaky_relu", "logistic": "sigmoid"}
DEFAULT_SLOPE = 0.01

GELU_SCALE = np.sqrt(np.float32(2) / np.float32(np.pi))  # in float32, as the original computes it
GELU_CUBIC = np.float32(0.044715)


def _gelu(x: Floats) -> Floats:
    """0.5 x (1 + tanh(scale (x + cubic x^3))), each operation rounded, in the order of the original."""
    inner = GELU_SCALE * (x + GELU_CUBIC * ((x * x) * x))
    return np.asarray(np.float32(0.5) * x * (np.float32(1) + exact.tanh(inner)), np.float32)


FORMULAS: Mapping[str, Callable[[Floats], Floats]] = {
    "identity": lambda x: x,
    "relu": lambda x: np.where(x > 0, x, np.float32(0)),
    "sigmoid": exact.sigmoid,
    "tanh": exact.tanh,
    "gelu": _gelu,
    "softmax": exact.softmax_by_reciprocal,
}


LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
EPSILON = float(np.finfo(np.float32).eps)
OWN_ULPS = {"identity": 0, "relu": 0, "leaky_relu": 0, "sigmoid": 4, "tanh": 4, "gelu": 8, "softmax": 6}
SLOPES = {"identity": 1.0, "relu": 1.0, "sigmoid": 0.25, "tanh": 1.0, "gelu": 1.13}  # largest |derivative|


@dataclass(frozen=True, eq=False)
class Layer:
    weight: Floats  # [outputs, inputs]
    bias: Floats | None  # [outputs]
    activation: str


def weighted_sums(layer: Layer, x: Floats) -> Floats:
    """W x + b: products added from left to right, the bias last; without a bias from +0.0."""
    total = x[:, 0:1] * layer.weight[:, 0] + np.float32(0 if layer.bias is None else -0.0)
    for col in range(1, layer.weight.shape[1]):
        total = total + x[:, col : col + 1] * layer.weight[:, col]
    return np.asarray(total if layer.bias is None else total + layer.bias, np.float32)


@dataclass(frozen=True, eq=False)
class Network:
    """y = activation(W x + b), layer by layer; products are added from left to right, the bias last."""

    layers: tuple[Layer, ...]
    slope: float  # of leaky_relu below zero
    struct = "Sequential"
    family = "dense network"
    wider_rows = False

    @property
    def outputs(self) -> str:
        return "the probability of each class" if self.classifies else "the last layer"

    @property
    def n_features(self) -> int:
        return int(self.layers[0].weight.shape[1]) if self.layers else 0

    def facts(self) -> tuple[Fact, ...]:
        widths = (self.n_features, *(len(layer.weight) for layer in self.layers))
        count = sum(layer.weight.size + (0 if layer.bias is None else layer.bias.size) for layer in self.layers)
        return (
            Fact("features", self.n_features),
            Fact("layers", len(self.layers)),
            Fact("widths", widths),
            Fact("activations", tuple(layer.activation for layer in self.layers)),
            Fact("parameters", int(count)),
            Fact("multiplications per row", int(sum(layer.weight.size for layer in self.layers))),
        )

    def check(self) -> None:
        if not self.layers:
            raise unfitted(self.struct)
        width = self.n_features
        for index, layer in enumerate(self.layers):
            where = f"layer{index}"
            rows, cols = layer.weight.shape
            if cols != width or rows == 0 or cols == 0 or rows > MAX_OUTPUTS:
                raise bad_parameter(f"the weight is {rows} x {cols}, the layer before gives {width}", where=where)
            if layer.bias is not None and layer.bias.shape != (rows,):
                raise bad_parameter(f"the bias has shape {layer.bias.shape} for {rows} outputs", where=where)
            require_finite(f"{where}.weight", layer.weight)
            if layer.bias is not None:
                require_finite(f"{where}.bias", layer.bias)
            width = rows
        require_finite("negative_slope", np.array([self.slope]))

    @property
    def classifies(self) -> bool:
        return bool(self.layers) and self.layers[-1].activation == "softmax"

    def predict(self, rows: Array) -> Floats:
        require_rows(rows, self.n_features)
        x: Floats = rows
        with np.errstate(all="ignore"):
            for layer in self.layers:
                x = self._activated(layer, weighted_sums(layer, x))
        return x

    def _activated(self, layer: Layer, z: Floats) -> Floats:
        if layer.activation == "leaky_relu":
            return np.where(z > 0, z, z * np.float32(self.slope))
        return FORMULAS[layer.activation](z)

    def tolerance(self, rows: Array, scores: Floats) -> Array:
        """Each exp or tanh adds a few ulp; the layers behind multiply errors by at most their weights' row sums.

        First-order error analysis, layer by layer, in float64 (Higham, Accuracy and Stability, section 3.1).
        """
        x: Floats = rows
        error = np.zeros(rows.shape)
        with np.errstate(all="ignore"):
            for layer in self.layers:
                z = weighted_sums(layer, x)
                size = np.abs(layer.weight).astype(np.float64)
                moved = error @ size.T
                rounding = 2 * (layer.weight.shape[1] + 1) * EPSILON * (np.abs(x) @ size.T + np.abs(z))
                z_error = np.where(error.max(axis=1, keepdims=True) > 0, moved + rounding, 0.0)
                x = self._activated(layer, z)
                own = OWN_ULPS[layer.activation] * np.spacing(np.abs(x))
                if layer.activation == "softmax":
                    spread = np.expm1(2 * z_error.max(axis=1, keepdims=True))
                    error = x * spread + own + len(layer.weight) * np.spacing(x.max(axis=1, keepdims=True))
                else:
                    error = SLOPES.get(layer.activation, max(1.0, abs(self.slope))) * z_error + own
                if layer.activation == "gelu":
                    error = error + 4 * EPSILON * np.abs(z)
        return error

    def classify(self, rows: Array) -> Labels | None:
        if not self.classifies:
            return None
        p = self.predict(rows)
        return np.where(np.isnan(p).any(axis=1), 0, np.argmax(p, axis=1)).astype(np.int32)

    def lower(self) -> Program:
        builder = Builder(row_type(self.n_features))
        at = 0
        for layer in self.layers:
            bias = None if layer.bias is None else Table(layer.bias, np.float32)
            at = builder.add(Dense(Table(layer.weight, np.float32), bias, "none" if bias is None else "last"), at)
            at = self._activate(builder, layer, at)
        if not self.classifies:
            return builder.build(at)
        n = len(self.layers[-1].weight)
        return builder.build(at, builder.add(Argmax("f32", n, None, nan_gives_zero=True), at), n_classes=n)

    def _activate(self, builder: Builder, layer: Layer, at: int) -> int:
        size = len(layer.weight)
        if layer.activation == "identity":
            return at
        if layer.activation == "softmax":
            return builder.add(Softmax(size, by_reciprocal=True), at)
        verbs: Mapping[str, Verb] = {"relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh", "gelu": "gelu"}
        if layer.activation == "leaky_relu":
            return builder.add(Map(size, (Stage("leaky_relu", constant=float(np.float32(self.slope))),)), at)
        return builder.add(Map(size, (Stage(verbs[layer.activation]),)), at)


_NAME = re.compile(r"layer(0|[1-9][0-9]{0,5})\.(weight|bias)")  # one spelling for each layer


def from_tensors(tensors: Mapping[str, Floats], metadata: Mapping[str, object]) -> Network:
    """The network in tensors `layerN.weight` [outputs, inputs] and `layerN.bias` [outputs], N from 0.

    metadata: `activation` is a list with one name per layer, or one name for the hidden layers; a softmax, and the name
    for a network of one layer, belong at the end instead. `output_activation` is the name for the last layer (identity
    when absent), `negative_slope` that of leaky_relu. Raises UnsupportedError when the tensors are something else.
    """
    layers: dict[int, dict[str, Floats]] = {}
    for name, tensor in tensors.items():
        match = _NAME.fullmatch(name)
        if match is None:
            raise _no_network(f"tensor {name!r} is no layerN.weight or layerN.bias")
        layers.setdefault(int(match[1]), {})[match[2]] = tensor
    if sorted(layers) != list(range(len(layers))) or not layers:
        missing = next(number for number in range(len(layers) + 1) if number not in layers)
        raise _no_network(f"there is no layer{missing}, but {len(layers)} others")
    names = _activations(metadata, len(layers))
    built = []
    for index, parts in sorted(layers.items()):
        if "weight" not in parts or parts["weight"].ndim != 2:
            raise _no_network(f"layer{index} has no weight of two dimensions")
        if "bias" in parts and parts["bias"].ndim != 1:
            raise _no_network(f"layer{index}.bias has {parts['bias'].ndim} dimensions")
        built.append(Layer(parts["weight"], parts.get("bias"), names[index]))
    return Network(tuple(built), _slope(metadata.get("negative_slope", DEFAULT_SLOPE)))


def _slope(stated: object) -> float:
    """A number that is finite as a float32; JSON has integers that not even a float64 holds."""
    is_number = isinstance(stated, int | float) and not isinstance(stated, bool)
    if not is_number or not -LARGEST_FLOAT32 <= stated <= LARGEST_FLOAT32:  # type: ignore[operator]
        raise bad_parameter(f"negative_slope is {str(stated)[:40]}", where="the metadata")
    return float(stated)  # type: ignore[arg-type]


def _activations(metadata: Mapping[str, object], n_layers: int) -> list[str]:
    stated = metadata.get("activation")
    if stated is None and n_layers > 1:
        raise _no_network("the metadata names no activation")
    if isinstance(stated, list):
        if len(stated) != n_layers:
            raise _no_network(f"{len(stated)} activations for {n_layers} layers")
        return [_activation(name) for name in stated]
    hidden = _activation(stated) if stated is not None else "identity"
    last = metadata.get("output_activation")
    if last is None and (n_layers == 1 or hidden == "softmax"):
        return ["identity"] * (n_layers - 1) + [hidden]
    return [hidden] * (n_layers - 1) + [_activation(last) if last is not None else "identity"]


def _activation(name: object) -> str:
    word = str(name).lower().replace("-", "_")
    word = _SPELLINGS.get(word, word)
    if word not in ACTIVATIONS:
        raise UnsupportedError(
            "model.activation",
            f"the activation {str(name)[:40]!r} is unknown",
            where="the metadata",
            hint=f"known are {', '.join(ACTIVATIONS)}",
        )
    return word


def _no_network(what: str) -> UnsupportedError:
    return UnsupportedError(
        "model.tensors",
        f"the tensors are no dense network: {what}",
        where="the tensor index",
        hint="name them layer0.weight, layer0.bias, layer1.weight, ... and the activation in the metadata",
    )
