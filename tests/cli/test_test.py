"""`aprgen test`: what it reports of a model that agrees, and that no planted difference escapes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aprgen.cli import arguments, requests
from aprgen.cli import test as test_module
from aprgen.core import Artifact
from aprgen.families.forest import ForestClassifier
from aprgen.target import target_names
from tests.cli.commands import DATA, Command, is_three_lines, process

RFC = DATA / "real" / "rfc.apr"


@pytest.fixture(autouse=True)
def _host(require_target: Callable[[str], None]) -> None:
    require_target("host")


def test_agreement(aprgen: Command) -> None:
    """A sound model passes, and the report says which rows were tried and what they cost."""
    answer = aprgen("test", RFC, "--format", "json")
    report = answer.json

    assert (answer.status, answer.err) == (0, "")
    assert report["passed"] is True
    assert report["rows"]["random"] == 1000
    assert report["rows"]["split, equal"] == report["rows"]["split, step up"] == 35
    assert report["n_rows"] == sum(report["rows"].values()) == report["targets"][0]["rows"]
    assert report["targets"][0]["image_differences"] == 0
    assert report["targets"][0]["model_differences"] == 0
    assert report["targets"][0]["footprint"]["flash_bytes"] > 0


def test_table(aprgen: Command) -> None:
    """The table has one line per target with agreement, instructions, flash, RAM, stack and runner."""
    answer = aprgen("test", RFC, "--rows", "10")

    assert answer.status == 0
    for word in ("C = Program", "= predict()", "all rows", "instructions", "flash", "RAM", "stack", "native"):
        assert word in answer.out


def test_rows_and_seed(aprgen: Command) -> None:
    """--rows 0 tries the edge rows alone."""
    report = aprgen("test", RFC, "--rows", "0", "--seed", "7", "--format", "json").json

    assert "random" not in report["rows"]
    assert report["n_rows"] > 100


def test_several_targets(aprgen: Command, require_target: Callable[[str], None]) -> None:
    """Targets are tested in the order given, each once."""
    require_target("cortex-m0plus")
    words = ("-t", "cortex-m0plus", "-t", "host", "-t", "cortex-m0plus", "--rows", "10", "--format", "json")
    report = aprgen("test", RFC, *words).json

    assert [target["target"] for target in report["targets"]] == ["cortex-m0plus", "host"]
    assert report["targets"][0]["execution"]["instructions"]["scores"]["min"] > 0


@pytest.mark.parametrize(
    "words",
    [
        ("x.apr", "--target", "wasm", "host", "--rows", "3"),
        ("--rows", "3", "--target", "wasm", "host", "x.apr"),
        ("-t", "wasm", "-t", "host", "--rows", "3", "x.apr"),
    ],
)
def test_ways_to_name_targets(words: tuple[str, ...]) -> None:
    """Targets may follow one --target or several, and the model may come first or last."""
    request = arguments.parse(("test", *words))

    assert isinstance(request, requests.Test)
    assert (request.model, request.targets, request.rows) == (Path("x.apr"), ("wasm", "host"), 3)


def test_all_targets_without_tools(tmp_path: Path) -> None:
    """Where nothing is installed every target is still listed; the status is 7, with what to install."""
    environment = {"PATH": str(tmp_path / "empty"), "HOME": str(tmp_path)}
    words = ("test", RFC, "-t", "all", "--tools", "system", "--rows", "1", "--format", "json")
    answer = process(*words, environment=environment)

    assert answer.status == 7
    assert is_three_lines(answer, "toolchain.missing")
    assert [target["target"] for target in answer.json["targets"]] == list(target_names())
    assert {target["problem"]["code"] for target in answer.json["targets"]} == {"toolchain.missing"}


def test_text_model(aprgen: Command) -> None:
    """Models of text are tried with texts."""
    report = aprgen("test", DATA / "extended" / "tfidf.apr", "--rows", "20", "--format", "json").json

    assert report["passed"] is True
    assert report["rows"]["random"] == 20


@pytest.mark.parametrize("name", ["encpw_kmeans", "unfitted_rfc", "dbscan"])
def test_refused_models(aprgen: Command, name: str) -> None:
    """What cannot be compiled cannot be tested, with the same status."""
    path = DATA / "real" / f"{name}.apr"

    assert aprgen("test", path).status == aprgen("compile", path).status


def test_flipped_threshold_in_c(aprgen: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """One wrong constant in the C is noticed: status 1, and the first row that differs in detail."""
    build = test_module.build_artifact

    def faulty(artifact: Artifact, *, tools: str) -> object:
        source = artifact.texts["rfc.c"]
        start = source.index("_threshold[")
        at = source.index("0x", start)
        wrong = source[:at] + "0x1.0p1F /* was */ - " + source[at:]
        return build(replace(artifact, texts={**artifact.texts, "rfc.c": wrong}), tools=tools)

    monkeypatch.setattr(test_module, "build_artifact", faulty)
    answer = aprgen("test", RFC)

    assert answer.status == 1
    assert is_three_lines(answer, "test.differs")
    assert "C and Program differ" in answer.out
    for word in ("row", "inputs", "expected", "found"):
        assert word in answer.out


def test_program_that_is_not_predict(aprgen: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lowering that differs from predict() is noticed as such."""
    monkeypatch.setattr(ForestClassifier, "predict", lambda self, rows: np.full((len(rows), 3), 0.25, np.float32))
    answer = aprgen("test", RFC, "--rows", "10", "--format", "json")

    assert answer.status == 1
    assert answer.json["targets"][0]["image_differences"] == 0
    assert answer.json["targets"][0]["model_differences"] == answer.json["n_rows"]
    assert answer.json["targets"][0]["details"][0]["sides"] == "Program and predict"
