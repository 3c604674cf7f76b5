"""Sound files around payloads that are not: wrong counts, deep trees, impossible matrices, senseless parameters.

What the container must open and the decoder or the checks of a family must refuse, or survive.
"""

from __future__ import annotations

import random
import struct

import zstandard

from tests.hostile.bytesmith import Named, fixture, fixture_names, framed, zstd_rle, zstd_wrapped
from tests.hostile.fixturepayload import payload_of

HUGE = (1 << 63, (1 << 64) - 1, 1 << 61, 1 << 32)
NAN, INFINITY = float("nan"), float("inf")


def u64(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


def f32(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def vector(*values: float) -> bytes:
    return u64(len(values)) + f32(*values)


def matrix(rows: int, cols: int, *values: float) -> bytes:
    return vector(*values) + u64(rows, cols)


NONE, SOME = b"\0", b"\1"


def linear(*coefficients: float, intercept: float = 0.5) -> bytes:
    return SOME + vector(*coefficients) + f32(intercept) + SOME


def node(feature: int, threshold: float) -> bytes:
    return struct.pack("<IQf", 0, feature, threshold)


def leaf(label: int) -> bytes:
    return struct.pack("<IQQ", 1, label, 1)


def value_leaf(value: float) -> bytes:
    return struct.pack("<IfQ", 1, value, 1)


def tree(body: bytes, n_features: int | None = 4) -> bytes:
    """DecisionTreeClassifier."""
    return SOME + body + NONE + (NONE if n_features is None else SOME + u64(n_features))


def chain(depth: int) -> bytes:
    """A tree that goes only left: `depth` nodes, one above the other."""
    return node(0, 1.0) * depth + leaf(0) * (depth + 1)


def right_chain(depth: int) -> bytes:
    return (node(0, 1.0) + leaf(0)) * depth + leaf(1)


def isolation_chain(depth: int) -> bytes:
    """Pre-order as the struct nests: the left boxes first, then each node's right leaf and size."""
    start = SOME + u64(0) + SOME + f32(1.0) + SOME
    bare_leaf = NONE * 4 + u64(1)
    return start * depth + bare_leaf + (SOME + bare_leaf + u64(2)) * depth


def isolation_forest(root: bytes) -> bytes:
    return u64(1) + NONE + f32(0.1) + NONE + u64(8) + u64(1) + SOME + root + u64(8) + SOME + f32(-0.5) + f32(1.0)


def kmeans(n_clusters: int, centroids: bytes) -> bytes:
    return u64(n_clusters, 100) + f32(1e-4) + NONE + centroids + NONE + f32(1.0) + u64(3)


def forest(count: int, trees: bytes) -> bytes:
    return u64(count) + trees + u64(count) + NONE + NONE + u64(0) + NONE + NONE


def zstd_file(kind: int, payload: bytes) -> bytes:
    """A file with a large payload of few bytes; the encoder is the library's, as the frame itself is sound."""
    return framed(zstandard.ZstdCompressor().compress(payload), kind=kind, compression=1, claim=len(payload))


def counts() -> Named:
    for count in HUGE:
        yield f"linear_count_{count}", framed(SOME + u64(count) + f32(1.0, 2.0) + f32(0.0) + SOME)
        yield f"forest_count_{count}", framed(u64(count) + tree(leaf(0)), kind=4)
        yield f"ngram_count_{count}", framed(u64(3, count, 1) + b"a", kind=16)
        yield f"experts_count_{count}", framed(u64(count) + linear(1.0), kind=64)
        yield f"matrix_rows_{count}", framed(kmeans(1, SOME + matrix(count, 2, 1.0, 2.0)), kind=6)
        yield f"classes_count_{count}", framed(SOME + u64(count) + f32(0.5), kind=8)
    yield "matrix_wraps", framed(kmeans(1, SOME + matrix(1 << 32, 1 << 32)), kind=6)
    yield "matrix_wraps_to_size", framed(kmeans(1, SOME + matrix((1 << 63) + 1, 2, 1.0, 2.0)), kind=6)
    yield "matrix_0_by_2_63", framed(kmeans(1, SOME + matrix(0, 1 << 63)), kind=6)
    yield "matrix_2_62_by_0", framed(kmeans(1, SOME + matrix(1 << 62, 0)), kind=6)
    yield "matrix_mismatch", framed(kmeans(2, SOME + matrix(2, 3, 1.0, 2.0, 3.0, 4.0)), kind=6)
    yield "linear_16_million", framed(zstd_wrapped(SOME + u64(16_000_000), 64_000_005), compression=1, claim=64_000_014)
    yield "zeros_63_mib", framed(zstd_rle(63 << 20), compression=1, claim=63 << 20)
    for kind in (1, 2, 3, 4, 5, 6, 8, 9, 10, 16, 17, 18, 32, 64, 255):
        yield f"zeros_8_mib_type_{kind}", framed(zstd_rle(8 << 20), kind=kind, compression=1, claim=8 << 20)
    yield "unfitted_members_1_million", zstd_file(4, forest(1_000_000, b"\0\0\0" * 1_000_000))
    yield "leaf_trees_200000", zstd_file(4, forest(200_000, tree(leaf(1)) * 200_000))
    yield (
        "empty_oob_1_million",
        zstd_file(4, u64(1) + tree(leaf(0)) + u64(1) + NONE + NONE + u64(1_000_000) + bytes(8_000_000) + NONE + NONE),
    )
    strings = b"".join(u64(6) + f"{number:06}".encode() + u64(0) for number in range(300_000))
    yield "ngram_300000_keys", zstd_file(16, u64(3, 300_000) + strings + u64(0, 0, 0))
    yield "ngram_empty_strings", zstd_file(16, u64(3, 1_000_000) + bytes(16_000_000) + u64(0, 0, 0))


def deep_trees() -> Named:
    for depth in (600, 5_000, 100_000, 1_000_000):
        yield f"left_{depth}", zstd_file(3, tree(chain(depth)))
        yield f"right_{depth}", zstd_file(3, tree(right_chain(depth)))
    yield "cut_100000", zstd_file(3, SOME + node(0, 1.0) * 100_000)
    yield "regressor_5000", zstd_file(3, SOME + node(0, 1.0) * 5_000 + value_leaf(1.0) * 5_001 + NONE + u64(2, 1))
    yield "forest_100000", zstd_file(4, forest(1, tree(chain(100_000))))
    yield "boosted_100000", zstd_file(5, u64(1) + f32(0.1) + u64(3) + f32(0.0) + u64(1) + tree(chain(100_000)))
    yield "isolation_600", zstd_file(255, isolation_forest(isolation_chain(600)))
    yield "isolation_100000", zstd_file(255, isolation_forest(isolation_chain(100_000)))


def senseless() -> Named:
    """Layouts that decode, with parameters nobody can predict from."""
    yield "empty_payload", framed(b"")
    yield "linear_nan", framed(linear(1.0, NAN))
    yield "linear_infinite", framed(linear(INFINITY, 1.0))
    yield "linear_nan_intercept", framed(linear(1.0, intercept=NAN))
    yield "linear_no_coefficients", framed(linear())
    yield "tree_nan_threshold", framed(tree(node(0, NAN) + leaf(0) + leaf(1)), kind=3)
    yield "tree_infinite_threshold", framed(tree(node(0, INFINITY) + leaf(0) + leaf(1)), kind=3)
    yield "tree_feature_beyond", framed(tree(node(4, 1.0) + leaf(0) + leaf(1)), kind=3)
    yield "tree_feature_2_63", framed(tree(node(1 << 63, 1.0) + leaf(0) + leaf(1), None), kind=3)
    yield "tree_feature_4_billion", framed(tree(node((1 << 32) - 1, 1.0) + leaf(0) + leaf(1), None), kind=3)
    yield "tree_features_2_63", framed(tree(node(0, 1.0) + leaf(0) + leaf(1), 1 << 63), kind=3)
    yield "tree_no_features", framed(tree(node(0, 1.0) + leaf(0) + leaf(1), 0), kind=3)
    yield "tree_label_2_63", framed(tree(node(0, 1.0) + leaf(0) + leaf(1 << 63)), kind=3)
    yield "tree_label_2_31", framed(tree(node(0, 1.0) + leaf(0) + leaf(1 << 31)), kind=3)
    yield "tree_variant_2", framed(tree(struct.pack("<IQf", 2, 0, 1.0) + leaf(0) + leaf(1)), kind=3)
    yield "forest_empty", framed(forest(0, b""), kind=4)
    yield "forest_label_1_billion", framed(forest(1, tree(leaf(1_000_000_000))), kind=4)
    yield "forest_label_30_million", framed(forest(1, tree(leaf(30_000_000))), kind=4)
    yield "forest_member_unfitted", framed(forest(2, tree(leaf(0)) + b"\0\0\0"), kind=4)
    widths = tree(node(0, 1.0) + leaf(0) + leaf(1), 2) + tree(node(2, 1.0) + leaf(0) + leaf(1), 3)
    yield "forest_members_disagree", framed(forest(2, widths), kind=4)
    huge_y = SOME + u64(2, 0, 1 << 62)
    yield "forest_y_2_62", framed(u64(1) + tree(leaf(0)) + u64(1) + NONE + NONE + u64(0) + NONE + huge_y, kind=4)
    yield "kmeans_more_clusters_than_rows", framed(kmeans(5, SOME + matrix(1, 2, 1.0, 2.0)), kind=6)
    yield "kmeans_2_63_clusters", framed(kmeans(1 << 63, SOME + matrix(1, 2, 1.0, 2.0)), kind=6)
    yield "kmeans_no_rows", framed(kmeans(0, SOME + matrix(0, 2)), kind=6)
    yield "kmeans_no_columns", framed(kmeans(2, SOME + matrix(2, 0)), kind=6)
    yield "kmeans_nan", framed(kmeans(1, SOME + matrix(1, 2, NAN, 2.0)), kind=6)
    knn_data = SOME + matrix(2, 1, 1.0, 2.0)
    for k in (0, 3, 1 << 63):
        yield f"knn_k_{k}", framed(u64(k) + bytes(4) + NONE + knn_data + SOME + u64(2, 0, 1), kind=9)
    for power in (NAN, 0.0, -1.0, INFINITY):
        metric = struct.pack("<If", 2, power)
        yield f"knn_minkowski_{power}", framed(u64(1) + metric + NONE + knn_data + SOME + u64(2, 0, 1), kind=9)
    yield "knn_metric_3", framed(u64(1) + struct.pack("<I", 3) + NONE + knn_data + SOME + u64(2, 0, 1), kind=9)
    yield "knn_labels_missing", framed(u64(1) + bytes(4) + NONE + knn_data + SOME + u64(1, 0), kind=9)
    yield "knn_label_2_62", framed(u64(1) + bytes(4) + NONE + knn_data + SOME + u64(2, 0, 1 << 62), kind=9)
    yield "boosting_label_7", framed(u64(1) + f32(0.1) + u64(3) + f32(0.0) + u64(1) + tree(leaf(7)), kind=5)
    bayes = SOME + vector(0.5, 0.5) + SOME + u64(1) + vector(1.0) + SOME + u64(2) + vector(1.0) + vector(1.0)
    yield "bayes_lengths_disagree", framed(bayes + SOME + u64(2, 0, 1) + f32(1e-9), kind=8)
    equal = SOME + u64(2) + vector(1.0) + vector(2.0)
    for variance in (0.0, -1.0, NAN):
        spread = SOME + u64(2) + vector(1.0) + vector(variance)
        yield (
            f"bayes_variance_{variance}",
            framed(SOME + vector(0.5, 0.5) + equal + spread + SOME + u64(2, 0, 1) + f32(1e-9), kind=8),
        )
    yield "scaler_lengths_disagree", framed(SOME + vector(1.0, 2.0) + SOME + vector(1.0) + SOME + SOME, kind=255)
    yield "scaler_nan", framed(SOME + vector(NAN) + SOME + vector(1.0) + SOME + SOME, kind=255)
    yield (
        "pca_shapes_disagree",
        framed(u64(1) + SOME + vector(1.0, 2.0) + SOME + matrix(1, 3, 1.0, 2.0, 3.0) + NONE + NONE, kind=7),
    )
    yield "pca_components_missing", framed(u64(9) + SOME + vector(1.0) + SOME + matrix(1, 1, 1.0) + NONE + NONE, kind=7)
    gating = u64(2, 2) + f32(1.0) + vector(1.0)
    config = u64(1) + f32(1.0, 0.0, 0.0)
    yield "experts_gating_too_short", framed(u64(2) + linear(1.0, 2.0) * 2 + gating + config, kind=64)
    gating = u64(2, 2) + f32(0.0) + vector(1.0, 2.0, 3.0, 4.0)
    yield "experts_temperature_0", framed(u64(2) + linear(1.0, 2.0) * 2 + gating + config, kind=64)
    gating = u64(2, 2) + f32(1.0) + vector(1.0, 2.0, 3.0, 4.0)
    yield "experts_top_9", framed(u64(2) + linear(1.0, 2.0) * 2 + gating + u64(9) + f32(1.0, 0.0, 0.0), kind=64)
    vectorizer = u64(1) + u64(1) + b"a" + u64(1 << 60) + SOME + NONE + u64(1, 1, 1) + f32(1.0) + NONE + NONE
    yield "vocabulary_column_2_60", framed(vectorizer, kind=18)
    vectorizer = u64(1) + u64(1) + b"a" + u64(0) + SOME + NONE + u64(1, 1 << 60, 1) + f32(1.0) + NONE + NONE
    yield "vectorizer_ngrams_2_60", framed(vectorizer, kind=18)
    vectorizer = u64(2) + (u64(1) + b"a" + u64(0)) * 2 + SOME + NONE + u64(1, 1, 1) + f32(1.0) + NONE + NONE
    yield "vocabulary_repeated", framed(vectorizer, kind=18)
    yield "ngram_no_utf8", framed(u64(3, 1, 2) + b"\xff\xfe" + u64(0) + u64(0, 0, 0), kind=16)
    yield "option_tag_7", framed(b"\7" + vector(1.0) + f32(0.5) + SOME)
    yield "bool_2", framed(SOME + vector(1.0) + f32(0.5) + b"\2")
    yield "one_byte_more", framed(linear(1.0, 2.0) + b"\0")
    yield "one_byte_less", framed(linear(1.0, 2.0)[:-1])
    yield "quant_variant_9", framed(struct.pack("<I", 9) + u64(1, 32, 0, 32), kind=255)


def mutated_fixtures() -> Named:
    """Every plain fixture with a payload damaged behind a valid checksum, and under a wrong model type."""
    rng = random.Random(17)
    kinds = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 18, 32, 33, 48, 64, 255)
    for number, name in enumerate(fixture_names(plain=True)):
        kind = struct.unpack_from("<H", fixture(name), 6)[0]
        payload = payload_of(name)
        stem = name.split("/")[1]
        wrong = kinds[(kinds.index(kind) + 1 + number % (len(kinds) - 1)) % len(kinds)]
        if wrong != kind:
            yield f"{stem}_as_type_{wrong}", framed(payload, kind=wrong)
        at = rng.randrange(len(payload))
        yield f"{stem}_cut_at_{at}", framed(payload[:at], kind=kind)
        at = rng.randrange(len(payload))
        yield f"{stem}_flip_{at}", framed(_flip(payload, at, rng.randrange(8)), kind=kind)
        at = rng.randrange(max(1, len(payload) - 8))
        yield f"{stem}_ff_at_{at}", framed(payload[:at] + b"\xff" * 8 + payload[at + 8 :], kind=kind)
        at = rng.randrange(max(1, len(payload) - 4))
        yield f"{stem}_nan_at_{at}", framed(payload[:at] + f32(NAN) + payload[at + 4 :], kind=kind)


def _flip(payload: bytes, at: int, bit: int) -> bytes:
    return payload[:at] + bytes([payload[at] ^ (1 << bit)]) + payload[at + 1 :]
