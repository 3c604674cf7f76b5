"""What the device's loader says of files: every fault of framing and payload, and every truncation."""

from __future__ import annotations

import random
import zlib

import numpy as np
import pytest

from aprgen.container import write_v1
from aprgen.container.metadata import Metadata
from aprgen.native import write_native
from aprgen.native.structures import INPUTS, NODE_LIST, STAGE_LIST, STEPS, VALUES
from aprgen.program import Array
from tests.examples import COMPILE, loaded
from tests.hostile.bytesmith import patched, repaired
from tests.loader.library import Loader
from tests.native.payloads import (
    NAMES,
    data_changed,
    entry_changed,
    head_changed,
    native_file,
    native_payload,
    section_of,
)
from tests.native.test_hostile import NODE_EDITS, set_to


@pytest.mark.parametrize("table_bytes", [0, 64, 1024, 4096])
def test_checksums(table_bytes: int) -> None:
    """Each table gives zlib's CRC-32, for every length up to 70 and for long data."""
    loader = Loader("-DAPR_VIEW_TEXT=0", f"-DAPR_CRC_TABLE_BYTES={table_bytes}")
    data = random.Random(1).randbytes(100_000)

    assert [zlib.crc32(data[:n]) for n in range(70)] == [loader.crc(data[:n]) for n in range(70)]
    assert zlib.crc32(data) == loader.crc(data)
    assert loader.crc(b"123456789") == 0xCBF43926


FRAMING = (
    (0, b"APRM", "MAGIC"),
    (4, b"\2", "VERSION"),
    (8, b"\xff\xff\xff\xff", "TRUNCATED"),
    (12, b"\0\0\0\0", "SIZE"),
    (16, b"\xff\xff\xff\x7f", "SIZE"),
    (16, b"\0\0\0\0", "SIZE"),
    (20, b"\1", "COMPRESSION"),
    (20, b"\4", "COMPRESSION"),
    (21, b"\x11", "ENCRYPTED"),
    (21, b"\x12", "TRUNCATED"),
    (21, b"\0", "FORM"),
    (23, b"\2", "SUITE"),
    (23, b"\xff", "SUITE"),
)


@pytest.mark.parametrize(("at", "new", "status"), FRAMING)
def test_framing(at: int, new: bytes, status: str) -> None:
    """One field of the header changed, with a checksum that fits."""
    assert Loader().load(patched(native_file("linreg"), at, new)) == status


def test_damage_and_trailing_bytes() -> None:
    """A bit anywhere is noticed by the checksum; bytes before it that belong to nothing by their number."""
    loader, data = Loader(), native_file("linreg")
    for at in (33, 140, len(data) - 60, len(data) - 1):
        assert loader.load(patched(data, at, bytes([data[at] ^ 16]), repair=False)) == "CHECKSUM"
    assert loader.load(repaired(data[:-4] + bytes(8))) == "TRAILING"
    assert loader.load(data) == "OK"


def test_bincode_is_no_native_payload() -> None:
    """The original file is refused with the status that says to convert it, and without its flag cleared as well."""
    original = write_v1(1, loaded("linreg").record or b"", Metadata("1", "0.26.3"))

    assert Loader().load(original) == "FORM"
    assert Loader().load(patched(original, 21, b"\x10")) in ("PAYLOAD:SIZE", "PAYLOAD:ALIGNMENT")


@pytest.mark.parametrize("offset", [1, 2, 4])
def test_addresses(offset: int) -> None:
    """A file that is not at a multiple of 8 is refused, not read in pieces."""
    assert Loader().load(native_file("linreg"), offset) == "PAYLOAD:ALIGNMENT"
    assert Loader().load(native_file("linreg"), 8) == "OK"


@pytest.mark.parametrize("name", ["linreg", "rfc", "knn_minkowski", "tfidf", "ngram_shell", "meta_full_linreg"])
def test_every_truncation(name: str) -> None:
    """A file cut anywhere is an error, also with a checksum that fits what is left."""
    loader, data = Loader(), native_file(name)
    plain = {loader.load(data[:size]) for size in range(len(data))}
    mended = {loader.load(repaired(data[:size] + bytes(4))) for size in range(len(data) - 4)}

    assert plain == {"TRUNCATED"}
    assert mended <= {"TRUNCATED", "MAGIC"}


@pytest.mark.parametrize("name", ["linreg", "rfc", "tfidf"])
def test_every_truncated_payload(name: str) -> None:
    """A payload cut anywhere is an error, also when its head knows."""
    loader, payload = Loader(), native_payload(name)
    found = {loader.open(payload[:size]) for size in range(len(payload))}
    for size in range(64, len(payload), 64):
        found.add(loader.open(head_changed(payload[:size], set_to("n_bytes", size))))

    assert "OK" not in found


HEADS = (
    ("magic", b"APNQ", "VERSION"),
    ("major", 2, "VERSION"),
    ("n_bytes", 0xFFFFFFC0, "SIZE"),
    ("n_sections", 3, "SECTION"),
    ("n_sections", 0xFFFFFFFF, "SECTION"),
    ("n_steps", 0, "STEP"),
    ("n_steps", 0xFFFFFFFF, "STEP"),
    ("source", 0, "STEP"),
    ("source", 2, "STEP"),
    ("source", 4, "STEP"),
    ("n_features", 0, "STEP"),
    ("n_features", 0xFFFFFFFF, "STEP"),
    ("n_outputs", 2, "STEP"),
    ("n_classes", 0, "STEP"),
    ("scores", 0, "STEP"),
    ("scores", 4, "STEP"),
    ("label", 0, "STEP"),
    ("label", 1, "STEP"),
    ("label", 4, "STEP"),
    ("value_words", 0, "PLACE"),
    ("value_words", 0xFFFFFFFF, "PLACE"),
    ("scratch_words", 0xFFFFFFFF, "PLACE"),
)


@pytest.mark.parametrize(("field", "value", "status"), HEADS)
def test_heads(field: str, value: object, status: str) -> None:
    """Fields of the head that would lead outside."""
    assert status == Loader().open(head_changed(native_payload("logreg_bc"), set_to(field, value)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", 0), ("kind", 7), ("kind", 1), ("element", 0), ("element", 7), ("element", 0xFFFF),
        ("count", 0xFFFFFFFF),
        ("offset", 0), ("offset", 0xFFFFFFC0), ("n_bytes", 0xFFFFFFFF), ("rows", 0), ("cols", 0xFFFFFFFF),
    ],
)  # fmt: skip
def test_sections(field: str, value: int) -> None:
    """Kinds, types, sizes and places of sections."""
    assert Loader().open(entry_changed(native_payload("logreg_bc"), 4, set_to(field, value))) == "SECTION"


def test_a_size_that_overflows() -> None:
    """2^30 floats have 2^32 bytes, which 32 bits hold as 0."""

    def huge(entry: Array) -> None:
        entry["count"] = entry["rows"] = 1 << 30
        entry["cols"], entry["n_bytes"] = 1, 0

    assert Loader().open(entry_changed(native_payload("logreg_bc"), 4, huge)) == "SECTION"


@pytest.mark.parametrize(("field", "value", "index"), NODE_EDITS)
def test_trees(field: str, value: int, index: int) -> None:
    """A reference that goes back or outside, and a feature that no row has. Twice the same node does no harm here."""
    payload = native_payload("dtc_bc_depth")
    status = Loader().open(data_changed(payload, section_of(payload, NODE_LIST), set_to(field, value, index)))

    assert status == ("OK" if (field, value) == ("right", 1) else "TREE")


def changed(name: str, kind: int, field: str, value: object, index: object) -> str:
    payload = native_payload(name)
    return Loader().open(data_changed(payload, section_of(payload, kind), set_to(field, value, index)))


def test_steps_and_values() -> None:
    """Operations, inputs, tables, parameters and places, one after the other."""

    def later(data: Array) -> None:
        data[0] = 1

    payload = native_payload("logreg_bc")
    assert Loader().open(data_changed(payload, section_of(payload, INPUTS), later)) == "STEP"
    assert changed("logreg_bc", STEPS, "op", 0, 0) == "STEP"
    assert changed("logreg_bc", STEPS, "op", 21, 0) == "STEP"
    assert changed("logreg_bc", STEPS, "op", 2, 0) == "OK"  # distances to one point: sound, if senseless
    assert changed("logreg_bc", STEPS, "needed", 0, 0) == "STEP"
    assert changed("logreg_bc", STEPS, "first_input", 0xFFFFFFFF, 0) == "STEP"
    assert changed("logreg_bc", STEPS, "n_inputs", 0, 0) == "STEP"
    assert changed("logreg_bc", STEPS, "n_inputs", 0xFFFFFFFF, 0) == "STEP"
    assert changed("logreg_bc", STEPS, "table", 0xFFFF, (0, 0)) == "TABLE"
    assert changed("logreg_bc", STEPS, "table", 0, (0, 0)) == "TABLE"
    assert changed("logreg_bc", STEPS, "table", 5, (0, 0)) == "TABLE"
    assert changed("logreg_bc", STEPS, "parameter", 3, (0, 0)) == "STEP"
    assert changed("logreg_bc", VALUES, "size", 2, 1) == "TABLE"
    assert changed("logreg_bc", VALUES, "size", 0xFFFFFFFF, 1) == "STEP"
    assert changed("logreg_bc", VALUES, "element", 3, 1) == "STEP"
    assert changed("logreg_bc", VALUES, "at", 0xFFFFFFFF, 1) == "PLACE"
    assert changed("logreg_bc", VALUES, "at", 0, 2) == "PLACE"
    assert changed("standard_scaler", STAGE_LIST, "verb", 13, 0) == "STEP"
    assert changed("standard_scaler", STAGE_LIST, "each", 0, 0) == "TABLE"
    assert changed("standard_scaler", STEPS, "parameter", 9, (0, 2)) == "STEP"
    assert changed("knn_euclidean", STEPS, "parameter", 0, (0, 3)) == "PLACE"
    assert changed("knn_euclidean", STEPS, "parameter", 99_999, (0, 3)) == "PLACE"
    assert changed("moe", STEPS, "parameter", 99, (-1, 1)) == "STEP"
    assert changed("rfc", STEPS, "parameter", 9, (0, 0)) == "STEP"
    assert changed("rfr", STEPS, "parameter", 9999, (0, 0)) == "TABLE"


def test_classes_of_points() -> None:
    """A stored point of a class that does not exist would count a vote outside."""
    payload = native_payload("knn_euclidean")
    classes = section_of(payload, 5) + 1

    def other(data: Array) -> None:
        data[-1] = 200

    assert Loader().open(data_changed(payload, classes, other)) == "TABLE"


def test_a_lookup_outside_gives_zero() -> None:
    """Leaves beyond the table of labels, which the tool refuses, read nothing outside on the device."""
    payload = native_payload("dtc_bc_depth")
    steps = section_of(payload, STEPS)

    def leaves(nodes: Array) -> None:
        nodes["left"] = np.where(nodes["left"] < 0, -1000, nodes["left"])
        nodes["right"] = np.where(nodes["right"] < 0, -1000, nodes["right"])

    edited = data_changed(payload, section_of(payload, NODE_LIST), leaves)
    edited = data_changed(edited, steps, set_to("parameter", 1000, (0, 0)))
    loader = Loader()

    assert loader.open(edited) == "OK"
    assert loader.rows(np.zeros((1, loader.shape[0]), np.float32))[1].tolist() == [0]


@pytest.mark.parametrize("name", COMPILE)
def test_what_the_tool_opens_the_device_opens(name: str) -> None:
    """Both accept every fixture; the record changes nothing."""
    loader = Loader()

    assert loader.load(native_file(name)) == "OK"
    assert loader.load(native_file(name, keep_record=False)) == "OK"
    assert loader.open(write_native(loaded(name).model.lower(), NAMES)) == "OK"
