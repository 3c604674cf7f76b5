"""`aprgen tune`: measuring, merging and evaluating on the command line, and --tuned of compile."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import aprgen as package
from aprgen.runners.shared import why_not_here
from aprgen.target import load_target
from aprgen.tuned.records import Record, read_records, write_records
from tests.cli.commands import DATA, Command
from tests.tuned.made_records import forests, network

RFC = DATA / "real" / "rfc.apr"
NAME = "x86-avx2"


@pytest.fixture
def here(require_target: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    require_target(NAME)
    reason = why_not_here(load_target(NAME))
    if reason:
        pytest.skip(reason)
    monkeypatch.setattr(os, "sched_setaffinity", lambda process, cores: None)  # not of the other tests


@pytest.mark.usefixtures("here")
def test_measure_then_compile(aprgen: Command, tmp_path: Path) -> None:
    """Records are kept, and what compile makes of them says so."""
    records = tmp_path / "r.json"
    answer = aprgen("tune", RFC, "-t", NAME, "--seconds", "1", "--records", records)
    assert (answer.status, answer.err) == (0, "")
    assert "levels" in answer.out
    assert "one row after the other" in answer.out
    n_records = len(read_records(records)[0])
    assert f"{n_records} records in" in answer.out

    answer = aprgen("compile", RFC, "-t", NAME, "--tuned", records, "-o", tmp_path / "out", "--no-measure")
    assert answer.status == 0
    assert "measured on" in answer.out
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["tuned"]["records"] == read_records(records)[1]
    assert "--tuned r.json" in (tmp_path / "out" / "rfc.c").read_text()

    again = aprgen("tune", RFC, "-t", NAME, "--seconds", "0.1", "--records", records, "--format", "json").json
    assert again["target"] == NAME
    assert again["models"][0]["measured"]
    assert len(read_records(records)[0]) >= n_records


@pytest.mark.usefixtures("here")
def test_in_python(tmp_path: Path) -> None:
    """tune(), and tuned= of compile() and native(), do the same."""
    model = package.load(RFC)
    found = package.tune(model, NAME, seconds=0.1, records=tmp_path / "r.json")
    artifact = package.compile(model, NAME, tuned=tmp_path / "r.json")
    native = model.native(NAME, tuned=str(tmp_path / "r.json"))
    rows = np.linspace(-3, 9, 300 * model.n_features, dtype=np.float32).reshape(300, -1)

    assert len(found.records) == len(read_records(tmp_path / "r.json")[0])
    assert artifact.manifest["tuned"]["by"] == "measured"  # type: ignore[index]
    assert native.predict(rows).tobytes() == model.loaded.model.lower().run(rows).tobytes()


def test_merge(aprgen: Command, tmp_path: Path) -> None:
    """Records of several files become one; what gives way is counted, and said."""
    records = forests()
    fuller = [replace(one, repeats=2 * one.repeats) for one in records[:3]]
    write_records(tmp_path / "a.json", records)
    write_records(tmp_path / "b.json", [*fuller, network(1), records[5]])
    words = ("tune", "--merge", tmp_path / "a.json", tmp_path / "b.json", "-o", tmp_path / "c.json")
    answer = aprgen(*words)

    assert answer.status == 0
    assert "22 records in" in answer.out
    assert "1 stood there more than once, 3 gave way to fuller measurements" in answer.out
    found = read_records(tmp_path / "c.json")[0]
    assert len(found) == 22
    assert all(one in found for one in fuller)
    facts = {"records": 22, "same": 1, "replaced": 3, "read": 26, "out": str(tmp_path / "c.json")}
    assert aprgen(*words, "--format", "json").json == facts


def test_a_bad_file_writes_nothing(aprgen: Command, tmp_path: Path) -> None:
    """Three lines, status 2, and no output."""
    write_records(tmp_path / "a.json", forests())
    (tmp_path / "b.json").write_text("{")
    for words in (
        ("--merge", tmp_path / "a.json", tmp_path / "b.json", "-o", tmp_path / "c.json"),
        ("--evaluate", tmp_path / "b.json"),
        (RFC, "-t", NAME, "--records", tmp_path / "b.json"),
    ):
        answer = aprgen("tune", *words)
        assert answer.status == 2
        assert answer.error_lines[0].startswith("error[tune.records]: no valid JSON")
        assert len(answer.error_lines) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]
    assert (tmp_path / "b.json").read_text() == "{"


def test_evaluate(aprgen: Command, tmp_path: Path) -> None:
    """How often the best is picked, what a pick costs, how well time is predicted; stated costs beside learned ones."""
    path = tmp_path / "r.json"
    write_records(path, [*forests(), replace(network(1), target="no-such-target")])
    answer = aprgen("tune", "--evaluate", path)

    assert answer.status == 0
    assert "learned" in answer.out
    assert "7 of 7" in answer.out
    assert "walked_split" in answer.out
    assert "left out: this aprgen has no target no-such-target" in answer.out
    facts = aprgen("tune", "--evaluate", path, "--format", "json").json
    assert facts["left_out"] == ["no-such-target"]
    (one,) = facts["evaluations"]
    assert one["learned"] == {"best": 7, "mean": 1.0, "worst": 1.0}
    assert set(one) > {"stated", "blocks", "alone", "costs", "changed", "models"}
    assert one["lacking"] == ""
    write_records(path, [])
    assert "no records to learn from" in aprgen("tune", "--evaluate", path).out


@pytest.mark.parametrize(
    ("records", "why"),
    [
        (forests()[:3], "the records are of one model, and costs are learned from others: measure two or more"),
        ([forests()[0], forests()[3]], "no model has records of two strategies to choose from"),
    ],
)
def test_evaluate_says_why_it_picks_nothing(
    aprgen: Command, tmp_path: Path, records: Sequence[Record], why: str
) -> None:
    """Dashes have a reason: too few models, or none with a choice."""
    write_records(tmp_path / "r.json", records)
    answer = aprgen("tune", "--evaluate", tmp_path / "r.json")
    (one,) = aprgen("tune", "--evaluate", tmp_path / "r.json", "--format", "json").json["evaluations"]

    assert f"-: {NAME}, trees: {why}" in answer.out
    assert one["lacking"].startswith(why)
    assert one["learned"] is None


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ((), "see aprgen tune --help"), ((RFC,), "add --target T, such as x86-avx2"),
        ((RFC, "--merge", "a"), "see aprgen tune --help"), (("--merge", "a"), "add -o OUT"),
        ((RFC, "-t", NAME, "--rows", "10"), "give --rows 256 or more"),
        ((RFC, "-t", NAME, "-o", "x"), "records are added to --records FILE"),
    ],
)  # fmt: skip
def test_words_that_make_no_sense(aprgen: Command, words: tuple[str, ...], hint: str) -> None:
    """Status 2, and what to write instead."""
    answer = aprgen("tune", *words)

    assert answer.status == 2
    assert answer.error_lines[2] == f"  to do: {hint}"


def test_a_target_that_does_not_run_here(aprgen: Command, tmp_path: Path) -> None:
    """It is refused with status 7, or 5 where there is nothing to choose; no file is made."""
    name = "arm-neon" if why_not_here(load_target("arm-neon")) else "wasm"

    assert aprgen("tune", RFC, "-t", name, "--records", tmp_path / "r.json").status == 7
    assert aprgen("tune", RFC, "-t", "host", "--records", tmp_path / "r.json").status == 5
    assert list(tmp_path.iterdir()) == []
