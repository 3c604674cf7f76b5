"""Sound models at or beyond the limits of the compiler: most of a few kinds of cost each, made from fixed seeds.

Not part of hostile_files(): some of them compile, to many megabytes of C that nobody should build in a test.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping

import numpy as np

from tests.hostile.bytesmith import framed
from tests.hostile.payloads import NONE, SOME, f32, kmeans, leaf, linear, node, tree, u64, value_leaf, zstd_file
from tests.hostile.payloads import forest as forest_of
from tests.hostile.v2files import Entry, built


def floats(count: int) -> bytes:
    return np.random.default_rng(count).standard_normal(count, np.float32).tobytes()


def ones(count: int) -> bytes:
    return u64(count) + np.ones(count, np.float32).tobytes()


def vector(count: int) -> bytes:
    return u64(count) + floats(count)


def matrix(rows: int, cols: int) -> bytes:
    return vector(rows * cols) + u64(rows, cols)


def string(text: str) -> bytes:
    return u64(len(text)) + text.encode()


def nearest(rows: int, cols: int, k: int, metric: bytes = bytes(4)) -> bytes:
    labels = (np.arange(rows, dtype=np.uint64) % 3).tobytes()
    return zstd_file(9, u64(k) + metric + NONE + SOME + matrix(rows, cols) + SOME + u64(rows) + labels)


def bayes(classes: int, features: int) -> bytes:
    means = SOME + u64(classes) + vector(features) * classes
    variances = SOME + u64(classes) + ones(features) * classes
    labels = SOME + u64(classes) + np.arange(classes, dtype=np.uint64).tobytes()
    return zstd_file(8, SOME + ones(classes) + means + variances + labels + f32(1e-9))


def mixture(features: int) -> bytes:
    covariance = u64(features**2) + np.eye(features, dtype=np.float32).tobytes() + u64(features, features)
    parameters = SOME + matrix(1, features) + SOME + u64(1) + covariance + SOME + ones(1) + NONE
    return zstd_file(255, u64(1) + bytes(4) + u64(100) + f32(1e-3) + NONE + parameters)


def pca(components: int, features: int) -> bytes:
    return zstd_file(7, u64(components) + SOME + vector(features) + SOME + matrix(components, features) + NONE + NONE)


def bushy(depth: int, end: Callable[[int], bytes], seed: int = 3) -> bytes:
    """A full tree of 2^depth leaves, no two splits alike."""
    generator = np.random.default_rng(seed)

    def grown(levels: int) -> bytes:
        if not levels:
            return end(int(generator.integers(1 << 20)))
        return (
            node(int(generator.integers(4)), float(generator.standard_normal())) + grown(levels - 1) + grown(levels - 1)
        )

    return grown(depth)


def regressor(body: bytes) -> bytes:
    return SOME + body + NONE + u64(2, 1)


def vocabulary(terms: int, size: int, longest: int) -> bytes:
    pairs = b"".join(string(f"{number:0{size}}") + u64(number) for number in range(terms))
    return zstd_file(18, u64(terms) + pairs + SOME + NONE + u64(1, longest, 1) + f32(1.0) + NONE + NONE)


def markov(contexts: int, words: int, commands: int) -> bytes:
    ngrams = b"".join(
        string(f"ctx{context}")
        + u64(words)
        + b"".join(string(f"w{context * words + word}") + struct.pack("<I", word + 1) for word in range(words))
        for context in range(contexts)
    )
    frequent = b"".join(string(f"command {number}") + struct.pack("<I", number + 1) for number in range(commands))
    return zstd_file(16, u64(3, contexts) + ngrams + u64(commands) + frequent + u64(0, 0))


def experts(count: int, features: int, body: bytes) -> bytes:
    gate = u64(features, count) + f32(1.0) + vector(features * count)
    return zstd_file(64, u64(count) + body * count + gate + u64(2) + f32(1.0, 0.0, 0.0))


def network(shapes: tuple[tuple[int, int], ...], metadata: Mapping[str, object]) -> bytes:
    tensors = {f"layer{number}.weight".encode(): shape for number, shape in enumerate(shapes)}
    entries: list[Entry] = []
    data = b""
    for name, (rows, cols) in sorted(tensors.items()):
        entries.append((name, 0, (rows, cols), len(data), 4 * rows * cols))
        data += floats(rows * cols)
        data += bytes(-len(data) % 64)
    return built(entries, data, metadata=json.dumps(metadata).encode())


LARGE: Mapping[str, Callable[[], bytes]] = {
    "linear_65536": lambda: framed(linear(*range(65_536))),
    "scaler_65536": lambda: zstd_file(255, SOME + vector(65_536) + SOME + ones(65_536) + SOME + SOME),
    "scaler_65537": lambda: zstd_file(255, SOME + vector(65_537) + SOME + ones(65_537) + SOME + SOME),
    "kmeans_11_wide": lambda: zstd_file(6, kmeans(11, SOME + matrix(11, 65_536))),
    "kmeans_1_million": lambda: zstd_file(6, kmeans(1 << 20, SOME + matrix(1 << 20, 1))),
    "nearest_of_500000_by_power": lambda: nearest(500_000, 1, 5, struct.pack("<If", 2, 3.0)),
    "nearest_300000": lambda: nearest(300_000, 1, 300_000),
    "nearest_of_5_million": lambda: nearest(5_000_000, 1, 5),
    "bayes_8_million": lambda: bayes(127, 65_536),
    "bayes_780000": lambda: bayes(3, 65_000),
    "mixture_4000": lambda: mixture(4_000),
    "pca_1_million": lambda: pca(1_000_000, 1),
    "pca_11_wide": lambda: pca(11, 65_500),
    "tree_131072_leaves": lambda: zstd_file(3, tree(bushy(17, lambda number: leaf(number % 3)))),
    "tree_131072_values": lambda: zstd_file(3, regressor(bushy(17, lambda number: value_leaf(number / 7)))),
    "forest_1000_members": lambda: zstd_file(4, forest_of(1_000, tree(bushy(7, lambda n: leaf(n % 3))) * 1_000)),
    "forest_20000_members": lambda: zstd_file(4, forest_of(20_000, tree(leaf(1)) * 20_000)),
    "terms_60000": lambda: vocabulary(60_000, 6, 1),
    "terms_2000_long": lambda: vocabulary(2_000, 2_000, 1),
    "terms_500_long": lambda: vocabulary(500, 2_000, 1),
    "terms_30000_of_8": lambda: vocabulary(30_000, 6, 8),
    "markov_20000_contexts": lambda: markov(20_000, 2, 0),
    "markov_50000_commands": lambda: markov(0, 0, 50_000),
    "markov_50000_words": lambda: markov(1, 50_000, 0),
    "experts_60000": lambda: experts(60_000, 4, linear(1.0, 2.0, 3.0, 4.0)),
    "experts_256_forests": lambda: experts(
        256,
        4,
        u64(30) + regressor(bushy(3, lambda n: value_leaf(n / 7))) * 30 + u64(30) + NONE + NONE + u64(0) + NONE + NONE,
    ),
    "network_2000_layers": lambda: network(((16, 16),) * 2_000, {"activation": "tanh"}),
    "network_880_wide": lambda: network(((880, 880),), {"activation": "softmax"}),
    "network_65536_out": lambda: network(((65_536, 10),), {"activation": "softmax"}),
    "network_4000_wide": lambda: network(((4_000, 4_000),), {"activation": "softmax"}),
    "slope_of_400_digits": lambda: network(((2, 2),), {"activation": "leaky_relu", "negative_slope": 10**400}),
}
