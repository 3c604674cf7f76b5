"""The native payload: every model survives it, the original's payload comes back, and all lies where the page says."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprgen.core import Options, compile_model
from aprgen.errors import UnsupportedError
from aprgen.loaded import check_model, load_model
from aprgen.native import ALIGNMENT, read_native, write_native
from aprgen.native.layout import OPS
from aprgen.native.structures import HEAD, NODE_LIST, RECORD, SECTION, STEP, STEPS, TENSOR, VALUE, VALUES
from aprgen.ops.dense import Dense
from aprgen.ops.elementwise import Map
from aprgen.ops.trees import Nodes, TreeSum
from aprgen.payload_form import in_form
from aprgen.program import Builder, Program, Table, row_type
from aprgen.rows import edge_rows, random_rows
from aprgen.target import load_target
from aprgen.text_rows import text_rows
from tests.differential.test_random_models import rows_for
from tests.examples import COMPILE, LAYOUT_ONLY, NETWORKS, TEXTS, UNFITTED, loaded
from tests.native.payloads import NAMES, native_file, native_payload, sections
from tests.random_models import FAMILIES, Payload, TensorFile

EXAMPLES = 5
CONSTANT = re.compile(r"-?0x1\.[0-9a-f]+p[+-]\d+(?=F)")


def rounded(constant: re.Match[str]) -> str:
    """A constant as the float that it is: Programs out of files hold no decimals like 1e-10."""
    return float(np.float32(float.fromhex(constant[0]))).hex()


def inputs_of(program: Program) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    if program.source.element != "f32":
        return text_rows(program, 30, 1).values
    return np.concatenate([edge_rows(program, 100).values, random_rows(program, 20).values])


@pytest.mark.parametrize("name", COMPILE)
def test_fixtures_come_back(name: str) -> None:
    """Read back, a native file is the same model; converted back, its payload is the original's, byte for byte."""
    original, native = loaded(name), load_model(native_file(name))
    again = write_native(native.model.lower(), NAMES)

    assert native.findings == tuple(note for note in original.findings if "sign" not in note and "fit" not in note)
    assert native_payload(name) == again
    if name in NETWORKS:
        assert native.record is None
    else:
        assert load_model(in_form(native, "bincode")).container.payload == original.record  # type: ignore[union-attr]
        assert original.model.facts() == native.model.facts()


@pytest.mark.parametrize("name", COMPILE)
def test_without_the_record_the_program_is_the_model(name: str) -> None:
    """What a file without its record computes is what the original's Program computes, bit for bit, also as C text."""
    program = loaded(name).model.lower()
    lean = load_model(native_file(name, keep_record=False))
    rows = inputs_of(program)

    check_model(lean.model)
    assert lean.record is None
    assert program.run(rows).tobytes() == lean.model.predict(rows).tobytes()
    labels, found = program.classify(rows), lean.model.classify(rows)
    assert (labels is None) == (found is None)
    if labels is not None and found is not None:
        assert labels.tolist() == found.tolist()
    target = load_target("cortex-m4")
    texts = [compile_model(one, target, Options("m")).texts["m.c"] for one in (loaded(name), lean)]
    first, second = (CONSTANT.sub(rounded, text[text.index("#include") :]) for text in texts)
    assert first == second


@pytest.mark.parametrize("family", FAMILIES)
def test_random_models_come_back(family: str) -> None:
    """A model of any family, in a file of either kind, computes what it did; what is written again is the same."""

    @settings(max_examples=EXAMPLES)
    @given(payload=FAMILIES[family](), seed=st.integers(0, 2**32 - 1))
    def check(payload: Payload | TensorFile, seed: int) -> None:
        original = payload.load()
        program = original.model.lower()
        rows = rows_for(program, seed)[::7]
        for keep in (True, False):
            data = in_form(original, "native", keep_record=keep)
            native = load_model(data)

            assert program.run(rows).tobytes() == native.model.lower().run(rows).tobytes()
            assert data == in_form(native, "native", keep_record=keep)
        if isinstance(payload, Payload):
            kept = load_model(in_form(original, "native"))
            assert load_model(in_form(kept, "bincode")).container.payload == payload.data()  # type: ignore[union-attr]

    check()


@pytest.mark.parametrize("name", COMPILE)
def test_everything_is_aligned_in_the_file(name: str) -> None:
    """Payload and sections start at multiples of 64 of the file, whatever the metadata is."""
    data = native_file(name)
    start = load_model(data).container.header.payload_start  # type: ignore[union-attr]
    payload = data[start:-4]

    assert start % ALIGNMENT == 0
    assert [start + int(offset) for offset in sections(payload)["offset"] if (start + offset) % ALIGNMENT] == []
    assert len(payload) % ALIGNMENT == 0


def test_sizes_of_structures() -> None:
    """They are what C reads: head and step fill a line of 64 bytes, an entry of the section table half of one."""
    assert (HEAD.itemsize, STEP.itemsize, SECTION.itemsize) == (64, 64, 32)


def test_tensors_are_stored_as_they_are() -> None:
    """The coefficients of a linear model lie in the file as 32-bit floats, where the section table says."""
    payload = native_payload("linreg")
    table = sections(payload)
    entry = table[int(np.flatnonzero(table["kind"] == TENSOR)[0])]
    (step,) = loaded("linreg").model.lower().steps
    found = np.frombuffer(payload, "<f4", int(entry["count"]), int(entry["offset"]))

    assert found.tolist() == step.op.weight.data.reshape(-1).tolist()  # type: ignore[attr-defined]


def test_large_trees_have_long_nodes() -> None:
    """References beyond 16 bits take nodes of 16 bytes, others 12."""
    chain = 33_000
    roots = np.arange(chain, dtype=np.int32)
    leaves = ~np.zeros(chain, np.int32)
    nodes = Nodes(
        Table(np.zeros(chain, np.uint8)), Table(np.zeros(chain, np.float32)), Table(leaves), Table(leaves),
        Table(roots), 1,
    )  # fmt: skip
    builder = Builder(row_type(1))
    program = builder.build(builder.add(TreeSum(nodes, 1, "f32", Table([0.5], np.float32), 0.0), 0))
    payload = write_native(program, NAMES)
    entry = sections(payload)[int(np.flatnonzero(sections(payload)["kind"] == NODE_LIST)[0])]
    short = sections(native_payload("dtr"))
    rows = np.zeros((2, 1), np.float32)

    assert int(entry["n_bytes"]) == 16 * chain
    assert [12] == [one["n_bytes"] // one["count"] for one in short if one["kind"] == NODE_LIST]
    assert program.run(rows).tolist() == read_native(payload).program.run(rows).tolist()


@pytest.mark.parametrize("name", [*UNFITTED, *LAYOUT_ONLY])
def test_what_cannot_predict_has_no_native_form(name: str) -> None:
    """An unfitted model, or one that only its original library can use, is refused with a reason."""
    with pytest.raises(UnsupportedError):
        in_form(loaded(name), "native")


def test_without_a_record_nothing_is_given_back() -> None:
    """A file that keeps no record says so when it is to be converted back."""
    with pytest.raises(UnsupportedError, match="no payload of the original library"):
        in_form(load_model(native_file("rfc", keep_record=False)), "bincode")


def test_a_scaler_that_does_nothing() -> None:
    """A map without stages is a model, too."""
    builder = Builder(row_type(2))
    program = builder.build(builder.add(Map(2, ()), 0))
    rows = np.array([[1.5, np.nan]], np.float32)

    assert rows.tobytes() == read_native(write_native(program, NAMES)).program.run(rows).tobytes()


def test_records_are_packed_where_it_helps() -> None:
    """A forest's training set is compressed beside its trees; without the record the file is a small part of that."""
    packed = len(native_file("rfc_digits"))
    lean = len(native_file("rfc_digits", keep_record=False))
    record = loaded("rfc_digits").record
    kinds = sections(native_file("rfc_digits")[native_start("rfc_digits") : -4])["kind"].tolist()

    assert record is not None
    assert lean < packed < len(record) / 3
    assert RECORD in kinds


def native_start(name: str) -> int:
    return load_model(native_file(name)).container.header.payload_start  # type: ignore[union-attr]


@pytest.mark.parametrize("layout", OPS, ids=lambda layout: layout.op.__name__)
def test_no_field_of_an_op_is_forgotten(layout: object) -> None:
    """Every field of an op is in its layout: who adds one must say where it lies in the file."""
    names = [field.name for field in dataclasses.fields(layout.op) if field.init]  # type: ignore[attr-defined]

    stated = [name for name, _ in layout.fields]  # type: ignore[attr-defined]
    assert sorted(names) == sorted([*stated, *layout.plain])  # type: ignore[attr-defined]


def test_fused_sums_are_no_payload() -> None:
    """Devices round each product; a Program that does not is refused, not written as if it did."""
    builder = Builder(row_type(2))
    weight = Table(np.ones((1, 2), np.float32))
    program = builder.build(builder.add(Dense(weight, None, "none", fused=True), 0))

    with pytest.raises(ValueError, match="no form for Dense"):
        write_native(program, NAMES)


def test_numbers_are_never_used_twice() -> None:
    """Of operations; and the first four sections come in their order."""
    numbers = [layout.number for layout in OPS]

    assert len(numbers) == len(set(numbers))
    assert sections(native_payload("moe"))["kind"].tolist()[:2] == [STEPS, VALUES]


@pytest.mark.parametrize("name", ["rfc", "moe", "v2_mlp_f32", TEXTS[1]])
def test_same_program_same_bytes(name: str) -> None:
    """Writing twice gives the same bytes, and they do not depend on the metadata."""
    assert native_payload(name) == write_native(loaded(name).model.lower(), NAMES)


def test_the_page_lists_every_operation() -> None:
    """docs/native-payload.md has each number with its operation, and as many parameters as are written."""
    page = (Path(__file__).parents[2] / "docs" / "native-payload.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\d+) \| ([A-Z]\w+) \|", page, re.MULTILINE)

    assert [(str(layout.number), layout.op.__name__) for layout in OPS] == listed


def test_the_page_has_the_places_of_all_fields() -> None:
    """Every offset of head, section table, steps and values stands in the page's tables."""
    page = (Path(__file__).parents[2] / "docs" / "native-payload.md").read_text(encoding="utf-8")
    tables = [re.findall(r"^\| (\d+) \| ", part, re.MULTILINE) for part in page.split("\n## ")]
    found = [[int(at) for at in table] for table in tables]

    for structure in (HEAD, SECTION, STEP, VALUE):
        offsets = [structure.fields[name][1] for name in structure.names or ()]  # type: ignore[index]
        assert offsets in [table[: len(offsets)] for table in found], structure


def test_more_terms_than_16_bits_number_have_no_native_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """C numbers them in 32 bits, a native payload does not; the refusal says so. Here 23 terms stand for 65,535."""
    monkeypatch.setattr("aprgen.payload_form.NONE", 23)
    with pytest.raises(UnsupportedError) as caught:
        in_form(loaded("count_vectorizer"), "native")

    assert caught.value.code == "native.too_large"
