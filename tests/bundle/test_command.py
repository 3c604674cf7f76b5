"""`aprgen bundle` as a user types it: words, bundle.toml, limits, the files that are written, and what is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.cli.commands import Command, is_three_lines
from tests.examples import PATHS

TOML = """
name = "fleet"
target = "host"
limit = 60000

[[model]]
file = "kmeans.apr"
embed = "both"
compression = "lz4"
rows = "drive.npy"
n_rows = 2

[[model]]
file = "rfc.apr"
name = "gear/box 2"
optimise = "size"

[[model]]
file = "linreg.apr"
numeric = "s8"
calibrate = "ten.csv"

[[model]]
file = "encpw_kmeans.apr"
embed = "bytes"
"""


@pytest.fixture
def aprgen(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a bundle.toml, its models and its rows."""
    for name in ("kmeans", "rfc", "linreg", "encpw_kmeans"):
        (tmp_path / f"{name}.apr").write_bytes(PATHS[name].read_bytes())
    np.save(tmp_path / "drive.npy", np.arange(12, dtype=np.float32).reshape(3, 4))
    np.savetxt(tmp_path / "ten.csv", np.random.RandomState(1).normal(size=(50, 10)), delimiter=",")
    (tmp_path / "bundle.toml").write_text(TOML)
    return tmp_path


def test_a_definition_is_followed(project: Path, aprgen: Command, require_target: Callable[[str], None]) -> None:
    """Every key of the TOML arrives in the manifest, and the bundle proves itself."""
    require_target("host")
    words = ("--test", "--rows", "20", "--format", "json")
    answer = aprgen("bundle", project / "bundle.toml", "-o", project / "c", *words)
    assert answer.status == 0, answer.err
    models = {model["name"]: model for model in answer.json["manifest"]["models"]}

    assert ["kmeans", "gear/box 2", "linreg", "encpw_kmeans"] == list(models)
    assert ("lz4", "lz4 as wished") == (models["kmeans"]["data"]["compression"], models["kmeans"]["data"]["reason"])
    assert models["kmeans"]["selftest"]["rows"] == 2
    assert models["kmeans"]["selftest"]["from"].startswith("the first 2 rows of drive.npy, sha256 ")
    assert ("fleet_gear_box_2", "size") == (
        models["gear/box 2"]["c_name"], models["gear/box 2"]["options"]["optimise"]
    )  # fmt: skip
    assert ("s8", ["bytes"]) == (models["linreg"]["options"]["numeric"], models["encpw_kmeans"]["has"])
    assert 60000 == answer.json["manifest"]["limit"]
    assert answer.json["test"]["passed"]
    assert answer.json["manifest"]["measured"]["flash_bytes"] == answer.json["footprint"]["flash_bytes"]
    assert json.loads((project / "c" / "manifest.json").read_text()) == answer.json["manifest"]
    assert {"fleet.c", "fleet.h", "fleet_selftest.c", "manifest.json", "apr_rt.h"} <= set(answer.json["files"])


def test_rows_that_are_cut_are_noted(project: Path, aprgen: Command) -> None:
    """Columns that a forest ignores, of rows for scales or for the self-test: printed, and in the manifest."""
    (project / "wide.csv").write_text("5.1,3.5,1.4,0.2,9\n6.2,2.9,4.3,1.3,8\n")
    note = "rows have 5 columns; this model ignores those after the first 4"
    for line in ('numeric = "s8"\ncalibrate = "wide.csv"', 'rows = "wide.csv"'):
        (project / "wide.toml").write_text(f'[[model]]\nfile = "rfc.apr"\n{line}\n')
        answer = aprgen("bundle", project / "wide.toml", "-o", project / "c", "--no-measure")

        assert answer.status == 0, answer.err
        assert f"note       rfc: {note}\n" in answer.out
        assert [note] == json.loads((project / "c" / "manifest.json").read_text())["models"][0]["findings"]


def test_the_files_do_not_know_where_they_were_made(project: Path, aprgen: Command) -> None:
    """The same models from another folder, into another: the same bytes, and no path in them."""
    other = project / "elsewhere"
    other.mkdir()
    for path in (*project.glob("*.apr"), *project.glob("*.npy"), *project.glob("*.csv"), project / "bundle.toml"):
        (other / path.name).write_bytes(path.read_bytes())
    words = ("--no-measure", "-t", "cortex-m4")
    aprgen("bundle", project / "bundle.toml", "-o", project / "c", *words)
    aprgen("bundle", other / "bundle.toml", "-o", other / "c", *words)
    made = {path.name: path.read_bytes() for path in (project / "c").iterdir()}

    assert made == {path.name: path.read_bytes() for path in (other / "c").iterdir()}
    assert [name for name, data in made.items() if str(project).encode() in data] == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (("embed =", "embd ="), "model[0].embd is no key of a bundle.toml"),
        (('"both"', '"all"'), "model[0].embed is 'all'"),
        (("n_rows = 2", 'n_rows = "2"'), "model[0].n_rows is '2'"),
        (("n_rows = 2", "n_rows = true"), "model[0].n_rows is True"),
        (("n_rows = 2", "n_rows = 0"), "0 rows for the self-test"),
        (("limit = 60000", "limit = -1"), "limit is -1"),
        (('file = "kmeans.apr"\n', ""), "model[0].file is missing"),
        (("[[model]]", "[[models]]"), "there is no [[model]]"),
        (("[[model]]", "[[model"), "no valid TOML"),
        (('file = "rfc.apr"', 'file = "rfd.apr"'), "rfd.apr"),
        (('embed = "bytes"', 'embed = "bytes"\noptimise = "size"'), "are of code, and none is made"),
        (('embed = "both"', 'embed = "code"'), "compression is of embedded bytes"),
        (('"gear/box 2"', '"KMEANS"'), "'KMEANS' and 'kmeans' have one name in C"),
        (('"gear/box 2"', '"gear\\\\box"'), "is no name for a model"),
        (('name = "fleet"', 'name = "fleet 1"'), "'fleet 1' is no name for C functions"),
    ],
)
def test_definitions_that_make_no_sense_are_refused(
    change: tuple[str, str], what: str, project: Path, aprgen: Command
) -> None:
    """Three lines, status 2, and nothing is written."""
    assert change[0] in TOML
    (project / "bundle.toml").write_text(TOML.replace(*change))
    answer = aprgen("bundle", project / "bundle.toml", "-o", project / "c", "--no-measure")

    assert (2, True, 3) == (answer.status, what in answer.err, len(answer.error_lines)), answer.err
    assert not (project / "c").exists()


def test_a_limit_fails_with_the_sizes(aprgen: Command, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """Too large before it is built, or when it is: status 6, the list of sizes, and no file."""
    require_target("cortex-m4")
    models = (PATHS["linreg"], f"km={PATHS['kmeans']}:both")
    for limit, state in (("300", "embedded files alone take 373 bytes"), ("900", "code and constants take ")):
        out = tmp_path / limit
        answer = aprgen("bundle", *models, "-t", "cortex-m4", "--max-bytes", limit, "-o", out)
        listed = aprgen("bundle", *models, "-t", "cortex-m4", "--max-bytes", limit, "-o", out, "--format", "json")

        assert (6, 6) == (answer.status, listed.status)
        assert is_three_lines(answer, "budget.bundle")
        assert state in answer.err
        assert "linreg: linear regression; code (" in answer.out
        assert "281 bytes embedded" in answer.out
        assert [281] == [m["data"]["bytes"] for m in listed.json["manifest"]["models"] if m["data"]]
        assert not out.exists()


def test_a_limit_that_is_kept_is_said(aprgen: Command, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """The flash of the report is at most the limit, with one byte less it fails."""
    require_target("cortex-m4")
    words = ("bundle", PATHS["linreg"], PATHS["dtr"], "-t", "cortex-m4", "-o", tmp_path / "c", "--format", "json")
    flash = aprgen(*words).json["footprint"]["flash_bytes"]

    assert 0 == aprgen(*words, "--max-bytes", str(flash)).status
    assert 6 == aprgen(*words, "--max-bytes", str(flash - 1)).status


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("encpw_kmeans",), 4, "security.encrypted"),
        (("dbscan",), 5, "model.layout_only"),
        (("unfitted_kmeans",), 5, "model.unfitted"),
        (("linreg", "linreg"), 2, "bundle.name"),
        (("linreg", "--target", "nothing"), 5, "target.unknown"),
        (("linreg", "-o", "x.apbundle", "--target", "host"), 2, "usage.arguments"),
        (("linreg", "bundle.toml"), 2, "bundle.models"),
        (("bundle.toml", "--embed", "both"), 2, "usage.arguments"),
        (("linreg", "--no-measure", "--max-bytes", "9"), 2, "usage.arguments"),
        (("linreg", "--rows", "9"), 2, "usage.arguments"),
    ],
)
def test_what_cannot_be_bundled_is_refused(
    words: tuple[str, ...], status: int, code: str, aprgen: Command, tmp_path: Path
) -> None:
    """With the status of its kind, and where."""
    given = [PATHS.get(word, word) for word in words]
    out = () if "-o" in words else ("-o", tmp_path / "c")
    answer = aprgen("bundle", *given, *out)

    assert status == answer.status
    assert is_three_lines(answer, code), answer.err
    assert not (tmp_path / "c").exists()


def test_what_has_no_code_can_be_embedded(aprgen: Command, tmp_path: Path) -> None:
    """A model that cannot be compiled is bytes in a registry."""
    words = (f"{PATHS['dbscan']}:bytes", f"{PATHS['encpw_kmeans']}:bytes")
    answer = aprgen("bundle", *words, "-o", tmp_path / "c", "--no-measure", "--format", "json")

    assert 0 == answer.status, answer.err
    assert [0, 0] == [model["selftest"]["rows"] for model in answer.json["manifest"]["models"]]


def test_a_failing_test_writes_nothing(
    aprgen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, require_target: Callable[[str], None]
) -> None:
    """With --test a bundle that differs ends with 1, and its files are not there."""
    from aprgen.cli import bundle as command
    from tests.bundle.test_proof import _planted

    require_target("host")
    sound = command.compile_bundle
    fault = ("*label = fleet_kmeans_classify(x);", "*label = 1 - fleet_kmeans_classify(x);")
    monkeypatch.setattr(command, "compile_bundle", lambda *words: _planted(sound(*words), *fault))
    words = ("--name", "fleet", "--test", "--no-measure", "-o", tmp_path / "c")
    answer = aprgen("bundle", PATHS["kmeans"], *words)

    assert (1, True) == (answer.status, is_three_lines(answer, "test.differs"))
    assert "WRONG on some" in answer.out
    assert not (tmp_path / "c").exists()


def test_keys_open_and_trust(aprgen: Command, tmp_path: Path) -> None:
    """With its key an encrypted model has code, and its bytes stay encrypted; --trust wants every model signed."""
    for name, use in (("alice", "sign"), ("board", "encrypt")):
        assert 0 == aprgen("keygen", tmp_path / name, "--for", use).status
    closed, signed = tmp_path / "closed.apr", tmp_path / "signed.apr"
    assert 0 == aprgen("encrypt", PATHS["linreg"], "--recipient", tmp_path / "board.pub", "-o", closed).status
    assert 0 == aprgen("sign", PATHS["kmeans"], "--key", tmp_path / "alice.key", "-o", signed).status
    made = aprgen("bundle", f"{closed}:both", "--key", tmp_path / "board.key", "--no-measure", "-o", tmp_path / "c",
                  "--format", "json")  # fmt: skip
    trusted = ("--trust", tmp_path / "alice.pub", "--no-measure", "-o", tmp_path / "d")

    assert 0 == made.status, made.err
    model = made.json["manifest"]["models"][0]
    assert (["rows", "bytes"], ["ENCRYPTED"]) == (model["has"], model["flags"])
    assert hashlib.sha256(closed.read_bytes()).hexdigest() == model["data"]["sha256"]
    assert 0 == aprgen("bundle", signed, *trusted).status
    assert "signer alice" in (tmp_path / "d" / "bundle.c").read_text()
    refused = aprgen("bundle", signed, PATHS["linreg"], "--trust", tmp_path / "alice.pub", "-o", tmp_path / "e")
    assert (4, True) == (refused.status, is_three_lines(refused, "security.unsigned"))
