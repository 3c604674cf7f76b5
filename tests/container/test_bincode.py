"""Bincode layouts: both directions, and what a hostile payload may not do."""

from __future__ import annotations

import contextlib
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.container.bincode import (
    BOOL,
    F32,
    F32S,
    F64,
    F64S,
    I8S,
    I32,
    I32S,
    MATRIX,
    STRING,
    U8,
    U8S,
    U16,
    U32,
    U64,
    U64S,
    Array,
    Codec,
    Enum,
    Map,
    Option,
    Record,
    Set,
    Tuple,
    Vec,
    decode,
    encode,
)
from aprgen.container.cursor import Cursor
from aprgen.container.limits import Limits
from aprgen.container.v1 import read_v1
from aprgen.errors import PayloadError
from tests.container.files import bits, floats, named

LINEAR = Record("LinearRegression", (("coefficients", Option(F32S)), ("intercept", F32), ("fit_intercept", BOOL)))
KMEANS = Record(
    "KMeans",
    (
        ("n_clusters", U64),
        ("max_iter", U64),
        ("tol", F32),
        ("random_state", Option(U64)),
        ("centroids", Option(MATRIX)),
        ("labels", Option(U64S)),
        ("inertia", F32),
        ("n_iter", U64),
    ),
)
QUANTIZED = Record(
    "QuantizedBlock",
    (
        (
            "quant_type",
            Enum("QuantType", (("Q8_0", None), ("Q4_0", None), ("Q4_1", None), ("Q8Tensor", None), ("Custom", None))),
        ),
        ("shape", U64S),
        ("blocks", U8S),
        ("block_size", U64),
    ),
)
MARKOV = Record(
    "MarkovModel",
    (
        ("n", U64),
        ("ngrams", Map(STRING, Map(STRING, U32))),
        ("command_freq", Map(STRING, U32)),
        ("total_commands", U64),
        ("last_trained_pos", U64),
    ),
)


def refusal(codec: Codec[object], data: bytes, limits: Limits | None = None) -> PayloadError:
    with pytest.raises(PayloadError) as caught:
        decode(codec, data, limits or Limits())
    assert 3 == caught.value.exit_status
    return caught.value


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("real/linreg", LINEAR),
        ("real/unfitted_linreg", LINEAR),
        ("real/kmeans", KMEANS),
        ("real/unfitted_kmeans", KMEANS),
        ("real/qblock_q4_0", QUANTIZED),
        ("real/qblock_list", Vec(QUANTIZED)),
        ("real/ngram_shell", MARKOV),
    ],
)
def test_fixture_is_encoded_as_it_was(name: str, codec: Codec[object]) -> None:
    """Decoded and encoded again, a payload of the original library has the same bytes."""
    payload = read_v1(named(name).data).payload

    assert payload == encode(codec, decode(codec, payload))


def test_fixture_values() -> None:
    """The fields of a decoded payload are those of the model that was saved."""
    fixture = named("real/kmeans")
    model = fixture.expected["model"]
    value = decode(KMEANS, read_v1(fixture.data).payload)

    assert model["n_clusters"] == value["n_clusters"]
    assert np.float32(model["tol"]) == np.float32(value["tol"])  # type: ignore[arg-type]
    centroids = value["centroids"]
    assert isinstance(centroids, np.ndarray)
    assert (model["centroids"]["rows"], model["centroids"]["cols"]) == centroids.shape
    assert bits(np.array(model["centroids"]["data"], np.float32)) == bits(centroids)


def test_enum_is_the_position_in_the_declaration() -> None:
    """A u32 index selects the variant; its fields follow."""
    metric = Enum("Metric", (("Euclidean", None), ("Manhattan", None), ("Minkowski", F32)))

    assert ("Manhattan", None) == decode(metric, struct.pack("<I", 1))
    assert ("Minkowski", 3.0) == decode(metric, struct.pack("<If", 2, 3.0))
    assert encode(metric, ("Minkowski", 3.0)) == struct.pack("<If", 2, 3.0)


@pytest.mark.parametrize(
    ("codec", "data", "what", "place"),
    [
        (U64, bytes(7), "8 bytes are needed, 7 are left", "byte 0"),
        (BOOL, b"\2", "is 2, not 0 or 1", "byte 0"),
        (Option(U8), b"\xff\0", "is 255, not 0 or 1", "byte 0"),
        (STRING, struct.pack("<Q", 3) + b"ab", "a count of 3 items", "byte 0"),
        (STRING, struct.pack("<Q", 3) + b"a\xff\xfe", "no UTF-8", "byte 9"),
        (F32S, struct.pack("<Q", 1 << 62), "a count of 4611686018427387904", "byte 0"),
        (Vec(Option(U8)), struct.pack("<Q", (1 << 64) - 1), "a count of 18446744073709551615", "byte 0"),
        (Vec(Tuple()), struct.pack("<Q", 1 << 40), "a count of 1099511627776", "byte 0"),
        (Enum("Metric", (("Euclidean", None),)), b"\1\0\0\0", "variant 1 of Metric, which has 1", "byte 0"),
        (Map(U8, U8), struct.pack("<Q", 2) + b"\5\0\5\0", "the key 5 occurs twice", "byte 10"),
        (Set(U8), struct.pack("<Q", 2) + b"\5\5", "5 occurs twice", "byte 9"),
        (MATRIX, struct.pack("<QffQQ", 2, 1, 2, 2, 2), "2 x 2 holds 2 numbers", "byte 0"),
        (MATRIX, struct.pack("<QQQ", 0, 1 << 32, 1 << 32), "holds 0 numbers", "byte 0"),
        (MATRIX, struct.pack("<QffQQ", 2, 1, 2, (1 << 63) + 1, 2), "holds 2 numbers", "byte 0"),
        (MATRIX, struct.pack("<QQQ", 0, 0, 1 << 40), "impossibly long", "byte 0"),
        (U8, b"\0\0\0", "2 bytes are left over", "byte 1"),
        (LINEAR, b"\0" + bytes(4) + b"\3", "is 3", "byte 5 of the payload, LinearRegression.fit_intercept"),
    ],
)
def test_refused(codec: Codec[object], data: bytes, what: str, place: str) -> None:
    """A payload that does not fit its layout is refused at the byte at fault."""
    error = refusal(codec, data)

    assert what in error.what
    assert error.where.startswith(place)
    assert error.hint


def test_items_are_limited_over_the_whole_payload() -> None:
    """Lists of lists cannot multiply: all items together are counted, those of 8 bytes or more twice and so on."""
    lists = encode(Vec(Vec(U8)), ((1, 2, 3), (4, 5, 6)))

    assert ((1, 2, 3), (4, 5, 6)) == decode(Vec(Vec(U8)), lists, Limits(payload_items=10))
    assert "Limits.payload_items" in refusal(Vec(Vec(U8)), lists, Limits(payload_items=9)).hint  # type: ignore[arg-type]
    arrays = encode(Vec(U8S), (np.arange(100), np.arange(100)))
    assert 2 == len(decode(Vec(U8S), arrays, Limits(payload_items=4)))


def test_arrays_are_views_that_keep_their_bits() -> None:
    """An array is read-only and holds NaN payloads, -0.0 and subnormals as they are stored."""
    words = "7fc00001 ffa00000 80000000 00000001 7f800000"
    data = struct.pack("<Q", 5) + floats(words).tobytes()
    values = decode(F32S, data)

    assert bits(floats(words)) == bits(values)
    assert not values.flags.writeable
    assert data == encode(F32S, values)


@pytest.mark.parametrize(
    ("codec", "value"),
    [(U8, 256), (U64, -1), (I32, 1 << 31), (F32, 1e39), (MATRIX, np.zeros(3, np.float32)), (F32S, np.zeros((2, 2)))],
)
def test_encoder_refuses_what_does_not_fit(codec: Codec[object], value: object) -> None:
    """A value outside its field is our own mistake: ValueError, not a file that cannot be read."""
    with pytest.raises(ValueError, match=r"fit|dimension"):
        encode(codec, value)


def test_encoder_demands_the_fields_in_order() -> None:
    """A record is written from exactly its fields."""
    with pytest.raises(ValueError, match="LinearRegression has the fields"):
        encode(LINEAR, {"intercept": 1.0, "coefficients": None, "fit_intercept": True})


TEXT = st.text(alphabet="ab\0ä€😀", max_size=8)  # one, two, three and four bytes; the full alphabet is slow to load

SCALARS: list[tuple[Codec[object], st.SearchStrategy[object]]] = [
    (U8, st.integers(0, 255)),
    (U16, st.integers(0, (1 << 16) - 1)),
    (U32, st.integers(0, (1 << 32) - 1)),
    (U64, st.integers(0, (1 << 64) - 1)),
    (I32, st.integers(-(1 << 31), (1 << 31) - 1)),
    (F32, st.floats(width=32, allow_nan=False)),
    (F64, st.floats(allow_nan=False)),
    (BOOL, st.booleans()),
    (STRING, TEXT),
]  # type: ignore[assignment]


@st.composite
def layouts(draw: st.DrawFn, depth: int = 3) -> tuple[Codec[object], object]:
    """A random layout with a value of it."""
    kind = (
        draw(st.sampled_from(["scalar", "option", "vec", "map", "set", "tuple", "record", "enum"]))
        if depth
        else "scalar"
    )
    if kind == "scalar":
        codec, values = draw(st.sampled_from(SCALARS))
        return codec, draw(values)
    inner, value = draw(layouts(depth=depth - 1))
    if kind == "option":
        return Option(inner), draw(st.sampled_from([value, None]))
    if kind == "vec":
        return Vec(inner), (value,) * draw(st.integers(0, 3))
    if kind == "map":
        keys = draw(st.lists(TEXT, unique=True, max_size=3))
        return Map(STRING, inner), tuple((key, value) for key in keys)  # type: ignore[return-value]
    if kind == "set":
        return Set(U32), tuple(draw(st.lists(st.integers(0, 99), unique=True, max_size=4)))  # type: ignore[return-value]
    other, second = draw(layouts(depth=depth - 1))
    if kind == "tuple":
        return Tuple(inner, other), (value, second)  # type: ignore[return-value]
    if kind == "enum":
        chosen = draw(st.sampled_from([("A", None), ("B", value), ("C", second)]))
        return Enum("E", (("A", None), ("B", inner), ("C", other))), chosen  # type: ignore[return-value]
    return Record("R", (("x", inner), ("y", other))), {"x": value, "y": second}  # type: ignore[return-value]


@settings(deadline=None)
@given(layouts())
def test_round_trip(pair: tuple[Codec[object], object]) -> None:
    """Any value of any layout is decoded from its encoding, which is never shorter than min_bytes."""
    codec, value = pair
    data = encode(codec, value)

    assert value == decode(codec, data)
    assert codec.min_bytes <= len(data)


@settings(deadline=None)
@given(layouts(), st.data())
def test_cut_or_damaged_payload_is_refused_or_decoded(pair: tuple[Codec[object], object], data: st.DataObject) -> None:
    """Any bytes give a value or PayloadError, and a cut always the latter."""
    codec, value = pair
    payload = encode(codec, value)
    if payload:
        cut = data.draw(st.integers(0, len(payload) - 1))
        refusal(codec, payload[:cut])
    junk = data.draw(st.binary(max_size=60))
    with contextlib.suppress(PayloadError):
        assert len(encode(codec, decode(codec, junk))) == len(junk)


@settings(deadline=None)
@given(st.sampled_from([F32S, F64S, U64S, I32S, I8S, U8S]), st.binary(max_size=64))
def test_arrays_round_trip(codec: Array, raw: bytes) -> None:
    """Number arrays keep their bytes."""
    count = len(raw) // codec.dtype.itemsize
    data = struct.pack("<Q", count) + raw[: count * codec.dtype.itemsize]

    assert data == encode(codec, decode(codec, data))


def test_cursor_reads_every_type() -> None:
    """The cursor's methods read little-endian values one after the other, and finish demands the end."""
    data = struct.pack("<BHIQifd?", 1, 2, 3, 4, -5, 1.5, 2.5, True) + struct.pack("<Q", 2) + b"\xc3\xa4"
    cursor = Cursor(data)

    assert [1, 2, 3, 4, -5] == [cursor.u8(), cursor.u16(), cursor.u32(), cursor.u64(), cursor.i32()]
    assert [1.5, 2.5, True, "ä"] == [cursor.f32(), cursor.f64(), cursor.boolean(), cursor.string()]
    assert cursor.position == len(data)
    cursor.finish()


def test_float32_nan_is_nan() -> None:
    """A NaN scalar decodes to NaN."""
    assert math.isnan(decode(F32, b"\0\0\xc0\x7f"))
