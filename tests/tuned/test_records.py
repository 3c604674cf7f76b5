"""Files of records: the same records give the same bytes, merging loses nothing silently, and bad files are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aprgen.errors import UsageError
from aprgen.passes.choices import Choices
from aprgen.tuned.records import add_records, merged, read_records, text_of, write_records
from tests.tuned.made_records import forests, network, record

ONE = record("ab", Choices(trees="levels"), {"code": 3.0})


def test_a_file_gives_back_its_records(tmp_path: Path) -> None:
    """What is written is read, in a fixed order, and nothing lies beside the file."""
    records = [*forests(), network(1)]
    write_records(tmp_path / "r.json", records)
    found, digest = read_records(tmp_path / "r.json")

    assert merged(records).records == found
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]
    assert text_of(found) == text_of(records[::-1])
    assert len(digest) == 64


def test_fuller_measurements_stay() -> None:
    """Of two measurements of the same, that of more repeats stays, whatever their order; what gave way is counted."""
    short, long = replace(ONE, least=1.0, repeats=5), replace(ONE, least=2.0, median=3.0, repeats=50)
    quicker = replace(long, least=1.5)

    for order in ([short, long, quicker], [quicker, long, short], [long, short, quicker]):
        assert merged(order).records == (quicker,)
        assert (merged(order).replaced, merged(order).same) == (2, 0)
    assert merged([ONE, ONE]) == replace(merged([ONE]), same=1)


@pytest.mark.parametrize(
    "other",
    [
        replace(ONE, model="cd"), replace(ONE, target="x86-avx512"), replace(ONE, compiler="clang 1"),
        replace(ONE, rows=2000), replace(ONE, choices=Choices(trees="walked")), replace(ONE, version="0.2.0"),
        replace(ONE, machine=replace(ONE.machine, cpu="Another")), replace(ONE, numeric="s8"),
        replace(ONE, choices=Choices(trees="levels", few_rows=4)),
    ],
)  # fmt: skip
def test_other_things_are_other_records(other: Any) -> None:
    """Another model, target, machine, compiler, version, size of call, mode or strategy is kept beside."""
    assert len(merged([ONE, other]).records) == 2


def test_records_are_added(tmp_path: Path) -> None:
    """To a file that need not be there yet."""
    path = tmp_path / "r.json"
    add_records(path, forests())

    assert len(add_records(path, [network(1), *forests()]).records) == len(forests()) + 1


def edited(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(text_of([ONE]))
    change(document)
    return json.dumps(document).encode()


def field(name: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["records"][0].update({name: value})


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "no valid JSON"),
    "cut": (text_of([ONE]).encode()[:-9], "no valid JSON"),
    "no text": (b"\xff\xfe", "no valid JSON"),
    "nested": (b"[" * 100_000, "no valid JSON"),
    "a list": (b"[]", "schema"),
    "another schema": (edited(lambda d: d.update(schema="x")), "schema"),
    "another version": (edited(lambda d: d.update(version=2)), "version is 2"),
    "no records": (edited(lambda d: d.update(records={})), "no list of records"),
    "more": (edited(lambda d: d.update(extra=1)), "more beside it"),
    "no table": (edited(lambda d: d.update(records=[1])), "record 0: a table"),
    "a key less": (edited(lambda d: d["records"][0].pop("least")), "record 0: least is missing"),
    "a key more": (edited(field("host", "me")), "record 0: 'host' is unknown"),
    "a time of 0": (edited(field("least", 0)), "out of range"),
    "a time that is text": (edited(field("least", "1")), "a number is expected"),
    "a median below": (edited(field("median", 1e-9)), "the median is below"),
    "not a number": (text_of([ONE]).replace('"ghz": 2.0', '"ghz": NaN').encode(), "NaN is no number"),
    "too large a number": (text_of([ONE]).replace('"ghz": 2.0', '"ghz": 1e999').encode(), "a number is expected"),
    "a count of -1": (edited(field("rows", -1)), "a whole number"),
    "a count of true": (edited(field("repeats", True)), "a whole number"),
    "unknown trees": (edited(field("choices", {"trees": "round"})), "trees is 'round'"),
    "unknown sums": (edited(field("choices", {"sums": ["panels", "round"]})), "sums is"),
    "trees and sums": (edited(field("choices", {"trees": "levels", "sums": []})), "either trees or sums"),
    "another choice": (edited(field("choices", {"trees": "levels", "colour": 1})), "choices have no 'colour'"),
    "negative work": (edited(field("work", {"code": -1})), "out of range"),
    "an unknown unit": (edited(field("unit", "days")), "unit is 'days'"),
    "text that drives a terminal": (edited(field("compiler", "\x1b[2J")), "text is expected"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(name: str, tmp_path: Path) -> None:
    """A UsageError says what is wrong and in which file; nothing else is raised."""
    data, what = BAD[name]
    path = tmp_path / "bad.json"
    path.write_bytes(data)

    with pytest.raises(UsageError, match=what) as caught:
        read_records(path)
    assert caught.value.where == str(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Reading it is a UsageError, too."""
    with pytest.raises(UsageError, match="cannot read"):
        read_records(tmp_path / "none.json")
