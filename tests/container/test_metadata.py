"""Metadata: the MessagePack layer and its refusals, the fields, and both forms of a struct."""

from __future__ import annotations

import json
import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.container import messagepack
from aprgen.container.limits import Limits
from aprgen.container.messagepack import Float32, Value
from aprgen.container.metadata import (
    DistillationInfo,
    DistillationParams,
    LayerMapping,
    License,
    Metadata,
    ModelCard,
    Teacher,
    Training,
    TrainingData,
    as_json,
    as_map,
    read_metadata,
    write_metadata,
)
from aprgen.errors import ContainerError
from tests.container.files import V1, Fixture

TEXT = st.text(alphabet="ab\0ä€😀", max_size=40)
SCALARS = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats(allow_nan=False) | TEXT
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=20).map(tuple) | st.dictionaries(TEXT, inner, max_size=20),
    max_leaves=12,
)
JSON_MAPS = st.dictionaries(TEXT, VALUES, max_size=3)

FULL = Metadata(
    created_at="1795206728",
    aprender_version="0.26.3",
    model_name="brake",
    description="pressure to command",
    training=Training(300, 1234, "bench"),
    hyperparameters={"depth": 4, "rate": 0.5},
    metrics={"r2": 0.25},
    custom={"aprgen.struct": "Ridge"},
    distillation="sha256:00",
    distillation_info=DistillationInfo(
        "Ensemble",
        Teacher("a", None, "RandomForest", 7, (Teacher("b", "c", "Svm", 1),)),
        DistillationParams(3.0, 0.5, None, 10, 0.125),
        (LayerMapping(0, 3, 0.5),),
    ),
    license=License("id", "hash", None, 25, "ACME", "Team"),
    model_card=ModelCard(
        "brake-1",
        "brake",
        "1.0.0",
        "2026-11-20T20:32:09Z",
        "aprender 0.26.3",
        training_data=TrainingData("bench", 300),
        hyperparameters={},
        param_count=8,
        target_hardware=("cpu", "cortex-m4"),
        extra={"owner": "team-7"},
    ),
    unknown={"later": (1, 2)},
)


def refusal(data: bytes, limits: Limits | None = None) -> ContainerError:
    with pytest.raises(ContainerError) as caught:
        read_metadata(data, 32, limits or Limits())
    assert 3 == caught.value.exit_status
    assert caught.value.hint
    return caught.value


@settings(deadline=None)
@given(VALUES)
def test_unpack_inverts_pack(value: Value) -> None:
    """What was packed is read back, and the length is exact whatever follows."""
    data = messagepack.pack(value)

    assert (value, len(data)) == messagepack.unpack(data + b"\xc1")


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 20))
def test_long_forms_are_read(text_size: int, items: int) -> None:
    """Lengths and integers in a form longer than needed are accepted."""
    text = b"\xdb" + struct.pack(">I", text_size) + b"x" * text_size
    array = b"\xdd" + struct.pack(">I", items) + (b"\xcf" + struct.pack(">Q", 5)) * items

    assert messagepack.unpack(text)[0] == "x" * text_size
    assert messagepack.unpack(array)[0] == (5,) * items


@settings(deadline=None)
@given(st.binary(max_size=50))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """No bytes crash the reader; what it read can be written, and that is no longer than what was read."""
    try:
        value, used = messagepack.unpack(data)
    except ContainerError:
        return

    assert len(messagepack.pack(value)) <= used + 4 * data.count(b"\xca")
    assert str(value) == str(messagepack.unpack(messagepack.pack(value))[0])


def test_width_of_floats() -> None:
    """Floats of four and of eight bytes are read alike; Float32 is written in four, any other float in eight."""
    assert (0.5, 5) == messagepack.unpack(b"\xca\x3f\0\0\0")
    assert b"\xca\x3f\0\0\0" == messagepack.pack(Float32(0.5))
    assert messagepack.pack({"a": (0.5, Float32(0.5))}) == b"\x81\xa1a\x92\xcb\x3f\xe0" + bytes(6) + b"\xca\x3f\0\0\0"


@pytest.mark.parametrize("fixture", V1, ids=lambda fixture: fixture.name)
def test_written_as_aprender_does(fixture: Fixture) -> None:
    """The metadata of every v1 fixture, read and written again, gives the same bytes."""
    size = int.from_bytes(fixture.data[8:12], "little")
    stored = fixture.data[32 : 32 + size]

    assert stored == write_metadata(read_metadata(stored)[0])


def test_all_fields_round_trip() -> None:
    """Every field, an extra key of the card and an unknown key come back."""
    metadata, findings = read_metadata(write_metadata(FULL))

    assert FULL == metadata
    assert ("unknown metadata keys: later",) == findings


def test_keys_are_written_in_the_documented_order() -> None:
    """Order of the format, unknown keys last, extra keys flat in the card."""
    written, _ = messagepack.unpack(write_metadata(FULL))
    assert isinstance(written, dict)

    assert list(written) == [
        "created_at",
        "aprender_version",
        "model_name",
        "description",
        "training",
        "hyperparameters",
        "metrics",
        "custom",
        "distillation",
        "distillation_info",
        "license",
        "model_card",
        "later",
    ]
    assert list(written["model_card"]) == [
        "model_id",
        "name",
        "version",
        "created_at",
        "framework_version",
        "training_data",
        "hyperparameters",
        "param_count",
        "target_hardware",
        "owner",
    ]


def test_empty_options_are_left_out() -> None:
    """A minimal file has the two required keys and nothing else."""
    metadata = Metadata("1", "0.26.3")

    assert b"\x82\xaacreated_at\xa11\xb0aprender_version\xa60.26.3" == write_metadata(metadata)


def test_float_fields_are_written_in_four_bytes() -> None:
    """Temperature, alpha, beta, loss and layer weights are f32; free JSON numbers are f64."""
    data = write_metadata(FULL)

    assert b"\xabtemperature\xca" in data
    assert b"\xaafinal_loss\xca" in data
    assert b"\xa6weight\xca" in data
    assert b"\xa4rate\xcb" in data


def test_array_form_of_a_struct() -> None:
    """An array with the values in field order stands for the map; missing options at its end are none."""
    training = (300, None, "bench")
    data = messagepack.pack(("1", "2", "name", None, training))
    metadata, findings = read_metadata(data)

    assert metadata == Metadata("1", "2", model_name="name", training=Training(300, None, "bench"))
    assert () == findings


def test_nil_is_none() -> None:
    """nil is accepted for every optional key."""
    keys = ("model_name", "description", "training", "distillation", "distillation_info", "license", "model_card")
    data = messagepack.pack({"created_at": "1", "aprender_version": "2"} | dict.fromkeys(keys))

    assert read_metadata(data)[0] == Metadata("1", "2")


def test_bytes_after_the_map_are_reported() -> None:
    """The original library ignores them; so do we, aloud."""
    metadata, findings = read_metadata(write_metadata(FULL) + b"12345")

    assert FULL == metadata
    assert "5 bytes after the metadata map are ignored" in findings


def with_key(key: str, value: Value) -> bytes:
    return messagepack.pack({"created_at": "1", "aprender_version": "2", key: value})


@pytest.mark.parametrize(
    ("data", "what", "place"),
    [
        (messagepack.pack({"created_at": "1"}), "aprender_version is missing", "key aprender_version"),
        (messagepack.pack("text"), "must be a map, not a string", "key metadata"),
        (with_key("model_name", 5), "model_name must be a string, not the number 5", "key model_name"),
        (with_key("training", {"samples": -1}), "training.samples must be an integer from 0", "key training.samples"),
        (with_key("training", {"samples": True}), "training.samples must be an integer from 0", "key training.samples"),
        (with_key("training", {"duration_ms": 1.0}), "not the number 1.0", "key training.duration_ms"),
        (with_key("training", (1, 2, "x", 4)), "at most 3 values", "key training"),
        (with_key("custom", (1,)), "custom must be a map, not an array", "key custom"),
        (with_key("license", {"uuid": "u", "hash": "h"}), "license.tier is missing", "key license.tier"),
        (with_key("license", ("u", "h", None, None, None, "Free")), "one of Personal, Team", "key license.tier"),
        (with_key("license", ("u", "h", None, 1 << 32, None, "Team")), "from 0 to 2^32 - 1", "key license.seats"),
        (with_key("distillation_info", {"method": "Magic"}), "one of Standard, Progressive", "key distillation_info"),
        (with_key("model_card", ("id", "name")), "model_card must be a map, not an array", "key model_card"),
        (with_key("model_card", {"model_id": None}), "model_card.model_id is missing", "key model_card.model_id"),
        (b"", "ends inside a value", "byte 32"),
        (b"\x81\x05\x05", "a map key is no string", "byte 34"),
        (b"\x81\xc4\x00\x05", "a map key is no string", "byte 35"),
        (b"\x81\x90\x05", "a map key is no string", "byte 34"),
        (b"\x82\xa1a\x01\xa1a\x02", "the key 'a' occurs twice", "byte 38"),
        (with_key("custom", {})[:-1] + b"\x82\xa1a\x01\xa1a\x02", "the key 'a' occurs twice", "byte"),
        (b"\x81\xa1a\xc7\x01\x01x", "the extension type 1", "byte 38"),
        (b"\x81\xa1a\xd6\xff\0\0\0\0", "bytes or a timestamp", "byte 40"),
        (b"\x81\xa1a\xc7\x05\xff12345", "cannot be read", "byte"),
        (b"\x81\xa1a\xc4\x01x", "bytes or a timestamp", "byte 37"),
        (b"\x81\xa1a\x91\xc4\x00", "bytes or a timestamp", "byte 37"),
        (b"\xc4\x00", "bytes or a timestamp", "byte 34"),
        (b"\x81\xa1a\xc1", "0xc1", "byte 35"),
        (b"\x81\xa1a\xa2\xff\xfe", "no UTF-8", "byte 37"),
        (b"\x81\xa1a\xa3\xed\xa0\x80", "no UTF-8", "byte 38"),
        (b"\xdf\xff\xff\xff\xff", "ends inside a value", "byte 37"),
        (b"\x81\xa1a\xdb\xff\xff\xff\xff", "ends inside a value", "byte 40"),
        (b"\x81\xa1a" + b"\x91" * 64 + b"\xc0", "nested deeper than 64", "byte 100"),
        (b"\x81\xa1a" + b"\x91" * 2000 + b"\xc0", "nested deeper than 64", "byte"),
    ],
)
def test_refused(data: bytes, what: str, place: str) -> None:
    """Metadata that does not parse is refused, at a byte or at a key."""
    error = refusal(data)

    assert what in error.what
    assert place in error.where


def test_json_has_no_nan() -> None:
    """NaN and infinity, which JSON has no form for, become null."""
    metadata = Metadata("1", "2", custom={"a": (math.nan, {"b": math.inf}), "c": 1.5})

    assert {"a": [None, {"b": None}], "c": 1.5} == json.loads(json.dumps(as_json(metadata), allow_nan=False))["custom"]


@settings(deadline=None)
@given(JSON_MAPS, JSON_MAPS, JSON_MAPS)
def test_free_maps_round_trip(
    hyperparameters: dict[str, Value], metrics: dict[str, Value], extra: dict[str, Value]
) -> None:
    """Any JSON in the free maps comes back, keys in order."""
    metadata = Metadata("1", "2", hyperparameters=hyperparameters, metrics=metrics, custom=extra)
    again, _ = read_metadata(write_metadata(metadata))

    assert again == metadata
    assert [list(each) for each in (hyperparameters, metrics)] == [list(again.hyperparameters), list(again.metrics)]
    assert as_map(metadata).get("custom", {}) == extra
