"""Native payloads that lie: each field that could lead astray, changed alone, is refused with an error of its own."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from aprgen.container.limits import Limits
from aprgen.errors import AprgenError, ContainerError, PayloadError
from aprgen.loaded import load_model
from aprgen.native import read_native, write_native
from aprgen.native.structures import HEAD, INPUTS, NAMES, NODE_LIST, RECORD, STAGE_LIST, STEPS, TENSOR, VALUES
from aprgen.ops.trees import Nodes, TreeSum
from aprgen.program import Array, Builder, Table, row_type
from aprgen.target import load_target
from tests.examples import COMPILE, PREFIXES, TEXTS
from tests.hostile.bytesmith import repaired
from tests.hostile.test_pipeline import refusal_or_artifact, refusal_or_model
from tests.native.payloads import (
    NAMES as TEST_NAMES,
)
from tests.native.payloads import (
    data_changed,
    entry_changed,
    head_changed,
    in_file,
    native_file,
    native_payload,
    section_of,
    sections,
)

MUTATIONS = 25  # of each fixture
HOST = load_target("host")


def code_of(payload: bytes) -> str:
    """The code with which the payload is refused, in a sound file."""
    with pytest.raises(PayloadError) as caught:
        load_model(in_file(payload))
    assert caught.value.where
    assert caught.value.hint
    return caught.value.code


def set_to(name: str, value: object, index: object = ...) -> Callable[[Array], None]:
    """Sets a field of one structure, or of element `index` of a list of them."""

    def edit(data: Array) -> None:
        if index is ...:
            data[name] = value
        else:
            data[name][index] = value

    return edit


HEADS = (
    ("magic", b"APNQ", "native.magic"),
    ("major", 2, "native.version"),
    ("n_bytes", 64, "native.size"),
    ("n_bytes", 0xFFFFFFFF, "native.size"),
    ("n_sections", 3, "native.sections"),
    ("n_sections", 0xFFFFFFFF, "native.sections"),
    ("n_steps", 0, "native.steps"),
    ("n_steps", 0xFFFFFFFF, "native.steps"),
    ("source", 0, "native.source"),
    ("source", 2, "native.source"),
    ("n_features", 0, "native.source"),
    ("n_features", 65_537, "native.source"),
    ("n_features", 5, "native.step"),
    ("n_outputs", 2, "native.results"),
    ("n_classes", 0, "native.results"),
    ("n_classes", 65_537, "native.results"),
    ("scores", 0, "native.results"),
    ("scores", 4, "native.results"),
    ("label", 0, "native.results"),
    ("label", 4, "native.results"),
    ("label", 1, "native.results"),
    ("value_words", 0, "native.place"),
    ("value_words", 1000, "native.place"),
    ("scratch_words", 1, "native.scratch"),
    ("reserved", 1, "native.reserved"),
)


@pytest.mark.parametrize(("field", "value", "code"), HEADS)
def test_heads(field: str, value: object, code: str) -> None:
    """Every field of the head is believed only as far as the rest of the payload bears it out."""
    assert code == code_of(head_changed(native_payload("logreg_bc"), set_to(field, value)))


ENTRIES = (
    (0, "kind", 5, "native.element"),
    (1, "kind", 3, "native.element"),
    (4, "kind", 0, "native.kind"),
    (4, "kind", 7, "native.kind"),
    (4, "kind", 0x8001, "native.element"),
    (4, "element", 0, "native.element"),
    (4, "element", 5, "native.element"),
    (4, "element", 7, "native.count"),
    (4, "count", 0, "native.count"),
    (4, "count", 0xFFFFFFFF, "native.count"),
    (4, "n_bytes", 0xFFFFFFFF, "native.count"),
    (4, "rows", 0, "native.count"),
    (4, "cols", 1, "native.count"),
    (4, "offset", 0, "native.offset"),
    (4, "offset", 4, "native.offset"),
    (4, "offset", 0xFFFFFFC0, "native.offset"),
    (4, "detail", 1, "native.reserved"),
    (4, "reserved", 1, "native.reserved"),
)


@pytest.mark.parametrize(("section", "field", "value", "code"), ENTRIES)
def test_entries_of_the_section_table(section: int, field: str, value: int, code: str) -> None:
    """Kinds, types, sizes and places of sections."""
    assert code == code_of(entry_changed(native_payload("logreg_bc"), section, set_to(field, value)))


def test_two_sections_in_one_place() -> None:
    """A section on another one, or on the section table, is refused; so are two that change places."""
    payload = native_payload("logreg_bc")
    places = [int(one) for one in sections(payload)["offset"]]
    swapped = entry_changed(entry_changed(payload, 4, set_to("offset", places[5])), 5, set_to("offset", places[4]))

    assert "native.offset" == code_of(entry_changed(payload, 5, set_to("offset", places[4])))
    assert "native.offset" == code_of(entry_changed(payload, 4, set_to("offset", 64)))
    assert "native.offset" == code_of(swapped)


def test_a_section_beyond_the_end() -> None:
    """Its size fits its count, and not the payload."""
    payload = native_payload("logreg_bc")

    def longer(entry: Array) -> None:
        entry["count"] = entry["rows"] = entry["n_bytes"] = 0x7FFFFFFF

    assert "native.bounds" == code_of(entry_changed(payload, section_of(payload, NAMES), longer))


STEP_EDITS = (
    ("op", 0, 0, "native.op"),
    ("op", 999, 0, "native.op"),
    ("needed", 1, 0, "native.needed"),
    ("needed", 4, 0, "native.needed"),
    ("first_input", 1, 0, "native.inputs"),
    ("n_inputs", 0, 0, "native.step"),
    ("n_inputs", 2, 0, "native.inputs"),
    ("n_inputs", 0xFFFFFFFF, 0, "native.inputs"),
    ("reserved", 1, 0, "native.reserved"),
    ("table", 0, (0, 0), "native.table"),
    ("table", 999, (0, 0), "native.table"),
    ("table", 0xFFFF, (0, 0), "native.table"),
    ("table", 5, (0, 0), "native.table"),
    ("table", 4, (0, 11), "native.parameter"),
    ("parameter", 3, (0, 0), "native.parameter"),
    ("parameter", 2, (0, 0), "native.op"),
    ("parameter", 1, (0, 5), "native.parameter"),
)


@pytest.mark.parametrize(("field", "value", "index", "code"), STEP_EDITS)
def test_steps(field: str, value: int, index: object, code: str) -> None:
    """Operations, inputs, tables and parameters of a dense step."""
    payload = native_payload("logreg_bc")
    changed = data_changed(payload, section_of(payload, STEPS), set_to(field, value, index))

    assert code_of(changed) in (code, "native.shape", "native.step")


def test_inputs_and_values() -> None:
    """A step reads what is there already; a value is what its step makes, and has its own place while it is read."""
    payload = native_payload("logreg_bc")
    inputs, values = section_of(payload, INPUTS), section_of(payload, VALUES)

    def later(data: Array) -> None:
        data[0] = 1

    assert "native.inputs" == code_of(data_changed(payload, inputs, later))
    assert "native.value" == code_of(data_changed(payload, values, set_to("size", 2, 1)))
    assert "native.value" == code_of(data_changed(payload, values, set_to("element", 3, 1)))
    assert "native.value" == code_of(data_changed(payload, values, set_to("reserved", 1, 1)))
    assert "native.place" == code_of(data_changed(payload, values, set_to("at", 0xFFFFFFFF, 1)))
    assert "native.place" == code_of(data_changed(payload, values, set_to("at", 1, 0)))
    assert "native.place" == code_of(data_changed(payload, values, set_to("at", 0, 2)))


STAGE_EDITS = (
    ("verb", 13, "native.stage"),
    ("verb", 0xFFFFFFFF, "native.stage"),
    ("verb", 4, "native.stage"),
    ("each", 0, "native.table"),
    ("each", 999, "native.table"),
    ("each", 0xFFFF, "native.unused"),
    ("mask", 4, "native.stage"),
    ("reserved", 1, "native.reserved"),
    ("constant", 1, "native.stage"),
)


@pytest.mark.parametrize(("field", "value", "code"), STAGE_EDITS)
def test_stages(field: str, value: int, code: str) -> None:
    """Verbs and operands of a scaler."""
    payload = native_payload("standard_scaler")

    assert code == code_of(data_changed(payload, section_of(payload, STAGE_LIST), set_to(field, value, 0)))


NODE_EDITS = (
    ("left", 0, 0),  # itself
    ("left", 0, 3),  # back to the root
    ("right", 999, 0),
    ("left", -999, 0),
    ("right", 1, 0),  # a node that another reference names as well
    ("flags", 1, 0),
    ("feature", 500, 0),
    ("feature", 0xFFFF, 0),
)


@pytest.mark.parametrize(("field", "value", "index"), NODE_EDITS)
def test_trees(field: str, value: int, index: int) -> None:
    """A reference that goes back, outside, or to a node of another parent, and a feature that no row has."""
    payload = native_payload("dtc_bc_depth")
    changed = data_changed(payload, section_of(payload, NODE_LIST), set_to(field, value, index))

    assert code_of(changed) in ("native.tree", "native.step")


def test_roots_and_leaves() -> None:
    """A tree that starts nowhere, and leaves beyond the table in which they are looked up."""
    payload = native_payload("dtc_bc_depth")
    root = section_of(payload, NODE_LIST) + 1
    steps = section_of(payload, STEPS)

    def elsewhere(data: Array) -> None:
        data[0] = 500

    def more_leaves(data: Array) -> None:
        data["parameter"][0, 0] = 1

    assert "native.tree" == code_of(data_changed(payload, root, elsewhere))
    assert "native.tree" == code_of(data_changed(payload, steps, more_leaves))


def test_deep_trees() -> None:
    """A tree deeper than the limit is refused, before anything walks it."""
    depth = 600
    here = np.arange(depth, dtype=np.int16)
    after = np.where(here == depth - 1, -1, here + 1).astype(np.int16)
    nodes = Nodes(
        Table(np.zeros(depth, np.uint8)), Table(np.zeros(depth, np.float32)), Table(after),
        Table(np.full(depth, -1, np.int16)), Table(np.zeros(1, np.int16)), depth,
    )  # fmt: skip
    builder = Builder(row_type(1))
    program = builder.build(builder.add(TreeSum(nodes, 1, "f32", Table([0.5], np.float32), 0.0), 0))

    assert "native.tree" == code_of(write_native(program, TEST_NAMES))
    back = read_native(write_native(program, TEST_NAMES), Limits(tree_depth=600)).program
    assert depth == back.steps[0].op.nodes.depth  # type: ignore[attr-defined]


def test_bytes_that_belong_to_nothing() -> None:
    """Between sections, behind the last one, and sections that no step uses."""
    payload = native_payload("logreg_bc")
    at = HEAD.itemsize + sections(payload).nbytes
    longer = payload + bytes(64)
    longer = head_changed(longer, set_to("n_bytes", len(longer)))
    names = section_of(payload, NAMES)

    def table(entry: Array) -> None:
        entry["kind"] = TENSOR

    assert "native.padding" == code_of(payload[:at] + b"\1" + payload[at + 1 :])
    assert "native.padding" == code_of(payload[:-1] + b"\1")
    assert "native.trailing" == code_of(longer)
    assert "native.unused" == code_of(entry_changed(payload, names, table))


def test_names_are_plain_text() -> None:
    """Three lines of characters that can be printed."""
    payload = native_payload("logreg_bc")
    names = section_of(payload, NAMES)

    def escape(data: Array) -> None:
        data[0] = 0x1B

    def no_text(data: Array) -> None:
        data[0] = 0xFF

    assert "native.names" == code_of(data_changed(payload, names, escape))
    assert "native.names" == code_of(data_changed(payload, names, no_text))


def test_sections_of_later_versions_are_skipped() -> None:
    """An unknown kind from 0x8000 on is reported and ignored."""
    payload = native_payload("logreg_bc")
    changed = entry_changed(payload, section_of(payload, NAMES), set_to("kind", 0x8FFF))
    found = load_model(in_file(changed))

    assert len(found.findings) == 1
    assert "0x8fff" in found.findings[0]
    assert "ignored" in found.findings[0]


def payload_with_record(name: str) -> bytes:
    data = native_file(name)
    return data[load_model(data).container.header.payload_start : -4]  # type: ignore[union-attr]


def test_a_record_of_another_model() -> None:
    """Steps that are not those of the record are refused: one changed weight is enough."""
    data = native_file("linreg")
    start = load_model(data).container.header.payload_start  # type: ignore[union-attr]
    payload = payload_with_record("linreg")

    def other_weight(weights: Array) -> None:
        weights[0] += np.float32(1)

    changed = data_changed(payload, section_of(payload, TENSOR), other_weight)
    with pytest.raises(PayloadError, match="not that of the linear regression") as caught:
        load_model(repaired(data[:start] + changed + data[-4:]))

    assert caught.value.code == "native.program"


def test_records_that_do_not_unpack() -> None:
    """A damaged record, one of an unknown kind of storage, and one that would fill the memory."""
    data = native_file("rfc_digits")
    start = load_model(data).container.header.payload_start  # type: ignore[union-attr]
    payload = payload_with_record("rfc_digits")
    record = section_of(payload, RECORD)

    def damaged(stored: Array) -> None:
        stored[len(stored) // 2] ^= 0xFF

    def refused(changed: bytes, limits: Limits | None = None) -> str:
        with pytest.raises(ContainerError) as caught:
            load_model(repaired(data[:start] + changed + data[-4:]), limits=limits or Limits())
        return caught.value.code

    assert refused(data_changed(payload, record, damaged)) in ("container.decompress", "native.record")
    assert "native.record" == refused(entry_changed(payload, record, set_to("detail", 2)))
    assert "native.record" == refused(payload, Limits(payload_bytes=9_000))


def test_the_flag_decides() -> None:
    """A native payload without its flag, bincode with it, and a native payload out of its place are refused."""
    data = native_file("linreg")
    start = load_model(data).container.header.payload_start  # type: ignore[union-attr]
    for changed in (data[:21] + b"\0" + data[22:], data[:start] + b"\0" + data[start + 1 :]):
        with pytest.raises(PayloadError):
            load_model(repaired(changed))
    moved = data[:8] + (start - 31).to_bytes(4, "little") + data[12:start] + b"\0" + data[start:]
    with pytest.raises(ContainerError) as caught:
        load_model(repaired(moved))

    assert caught.value.code == "container.alignment"


def test_metadata_is_padded_with_zeros_only() -> None:
    """Something else behind the map is a finding, as in any file."""
    data = native_file("linreg")
    start = load_model(data).container.header.payload_start  # type: ignore[union-attr]
    changed = repaired(data[: start - 1] + b"\1" + data[start:])

    assert load_model(data).findings == ()
    assert any("after the metadata map" in note for note in load_model(changed).findings)


@pytest.mark.parametrize("name", ["logreg_bc", "rfc", "knn_minkowski", *TEXTS, *PREFIXES])
def test_every_truncation(name: str) -> None:
    """A payload cut anywhere is refused, also when its head says the shorter length."""
    payload = native_payload(name)
    for size in range(len(payload)):
        cut = payload[:size]
        with pytest.raises(PayloadError):
            read_native(cut)
        if size >= HEAD.itemsize and size % 16 == 0:
            with pytest.raises(PayloadError):
                read_native(head_changed(cut, set_to("n_bytes", size)))


@pytest.mark.parametrize("name", COMPILE)
def test_mutations(name: str) -> None:
    """Random bytes changed: refused as a bad file, or still a model that computes and compiles without a fault."""
    payload = native_payload(name)
    chance = random.Random(name)
    for _ in range(MUTATIONS):
        changed = bytearray(payload)
        for _ in range(1 + int(chance.random() * 3)):
            at = int(chance.random() * len(payload))
            changed[at] = int(chance.random() * 256)
        found = refusal_or_model(in_file(bytes(changed)))
        if isinstance(found, AprgenError):
            assert found.exit_status in (3, 5), found
            continue
        model = found.model
        refusal = refusal_or_artifact(found, HOST)
        assert not isinstance(refusal, AprgenError) or refusal.exit_status in (3, 5, 6), refusal
        if model.lower().source.element == "f32":
            rows = np.zeros((2, model.n_features), np.float32)
            rows[1] = np.nan
            with np.errstate(all="ignore"):
                assert model.predict(rows).shape == (2, model.lower().n_outputs)
        else:
            model.predict(np.array(["git commit", "the cat\u0130 \u03a3"], dtype=object))
