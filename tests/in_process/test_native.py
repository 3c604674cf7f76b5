"""A model in this process gives what its Program gives, whatever the rows are and however many threads compute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import aprgen
from aprgen import build
from aprgen.api import Model
from aprgen.errors import ToolchainError, UsageError
from aprgen.in_process import Native, target_of_this_machine
from aprgen.rows import edge_rows, random_rows
from aprgen.runners.shared import PART_ROWS, why_not_here
from aprgen.target import load_target, target_names
from aprgen.verify import same_bits
from tests.examples import loaded

MODELS = ("linreg", "logreg_bc", "rfc_digits", "dtr", "gaussian_nb", "kmeans", "pca", "v2_mlp_f32")


@pytest.fixture(autouse=True)
def _here(require_target: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    require_target("host")
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr(build, "cache_folder", lambda: tmp_path / "cache")


def model(name: str) -> Model:
    return Model(loaded(name), name)


def rows_of(name: str, n: int = 40) -> NDArray[np.float32]:
    program = loaded(name).model.lower()
    edges = edge_rows(program, limit=n).values
    return np.ascontiguousarray(np.resize(edges, (n, program.n_features)), np.float32)


@pytest.mark.parametrize("name", MODELS)
def test_native_equals_program(name: str) -> None:
    """Bit for bit, scores and labels, on the target that this machine is."""
    program, rows = loaded(name).model.lower(), rows_of(name)
    native = model(name).native()

    assert native.target == target_of_this_machine().name
    assert same_bits(native.predict(rows), program.run(rows)).all()
    labels, wanted = native.classify(rows), program.classify(rows)
    assert (labels is None) == (wanted is None)
    assert labels is None or wanted is None or np.array_equal(labels, wanted)


def test_numeric_modes() -> None:
    """Integers answer as their own Program does, and need rows to take scales from."""
    rows = random_rows(loaded("v2_mlp_f32").model.lower(), 100).values
    native = model("v2_mlp_f32").native(numeric="s8", calibrate=rows)

    assert same_bits(native.predict(rows), native.artifact.program.run(rows)).all()
    assert not same_bits(native.predict(rows), model("v2_mlp_f32").native().predict(rows)).all()
    with pytest.raises(UsageError, match="rows"):
        model("v2_mlp_f32").native(numeric="s8")


def test_rows_of_every_kind() -> None:
    """Doubles, lists, views, a row alone, unaligned and read-only memory: the same scores. Another width is refused."""
    native, rows = model("linreg").native("host"), rows_of("linreg", 6)
    wanted = native.predict(rows)
    wide = np.repeat(rows, 2, axis=1)
    unaligned = np.frombuffer(b"\0" + rows.tobytes(), np.float32, offset=1).reshape(rows.shape)
    fixed = rows.copy()
    fixed.flags.writeable = False
    for same in (rows.astype(np.float64), rows.tolist(), wide[:, ::2], np.asfortranarray(rows), unaligned, fixed):
        assert native.predict(same).tobytes() == wanted.tobytes()
    assert native.predict(rows[2]).tobytes() == wanted[2].tobytes()
    assert native.predict(rows[:0]).shape == (0, 1)
    for other in (rows[:, :3], wide, rows[0, 0], rows.reshape(1, *rows.shape)):
        with pytest.raises(UsageError, match="shape"):
            native.predict(other)


def test_what_is_not_copied() -> None:
    """Contiguous and aligned float32 rows go to C as they are, others do not."""
    library, rows = model("rfc_digits").native("host").library, rows_of("rfc_digits")

    assert library.scores_as_they_are(rows) is not None
    assert library.labels_as_they_are(rows) is not None
    for other in (rows.astype(np.float64), rows[:, ::-1], rows[:, :5], rows.tolist(), rows.view(np.int32), rows[0], 7):
        assert library.scores_as_they_are(other) is None
        assert library.labels_as_they_are(other) is None


@pytest.mark.parametrize("n", [1, PART_ROWS, PART_ROWS + 1, 3 * PART_ROWS + 17])
def test_threads_change_nothing(n: int) -> None:
    """However rows are shared out, NaN and infinity among them, and whoever owns the threads."""
    native, rows = model("rfc_digits").native(), rows_of("rfc_digits", n)
    scores, labels = native.predict(rows), native.classify(rows)
    with ThreadPoolExecutor(2) as pool:
        for threads in (2, 3, 8, pool):
            assert native.predict(rows, threads).tobytes() == scores.tobytes()
            assert np.array_equal(native.classify(rows, threads), labels)
    with pytest.raises(UsageError, match="threads"):
        native.predict(rows, 0)


def test_other_threads_run_meanwhile() -> None:
    """Python goes on while C computes."""
    native = model("v2_mlp_f32").native("host")
    rows = rows_of("v2_mlp_f32", 2_000)
    while (took := _seconds(native, rows)) < 0.05:
        rows = np.concatenate([rows, rows])
    turns, working = 0, threading.Thread(target=native.predict, args=(rows,))
    working.start()
    while working.is_alive():
        turns += 1
        time.sleep(took / 100)

    assert turns > 5


def _seconds(native: Native, rows: NDArray[np.float32]) -> float:
    started = time.perf_counter()
    native.predict(rows)
    return time.perf_counter() - started


def test_a_library_is_built_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same model comes from the cache, another one does not; what was not used for longest leaves it."""
    built: list[str] = []
    really = build.build_shared

    def counted(*arguments: object) -> Path:
        built.append(arguments[3].name)  # type: ignore[attr-defined]
        return really(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(build, "build_shared", counted)
    monkeypatch.setattr(build, "KEPT_LIBRARIES", 2)
    for name in ("linreg", "dtr", "linreg", "linreg", "logreg_bc", "linreg", "dtr"):
        model(name).native("host")

    assert built == ["linreg", "dtr", "logreg_bc", "dtr"]
    assert len(list((tmp_path / "cache" / "libraries").iterdir())) == 2


def test_another_process_cleans_up_meanwhile(tmp_path: Path) -> None:
    """A library that goes away while the cache is looked through harms nothing."""
    (tmp_path / "cache" / "libraries").mkdir()
    (tmp_path / "cache" / "libraries" / "gone.so").symlink_to(tmp_path / "nowhere")

    assert model("linreg").native("host").predict(rows_of("linreg")).shape == (40, 1)


def test_a_damaged_library_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not a crash: an error of the toolchain."""
    damaged = tmp_path / "linreg.so"
    damaged.write_bytes(b"\x7fELF")
    monkeypatch.setattr(build, "build_shared", lambda *_: damaged)

    with pytest.raises(ToolchainError, match="cannot be used"):
        model("linreg").native("host")


def test_the_target_of_this_machine() -> None:
    """It runs here, and none that runs here needs more of the CPU."""
    needs = {name: load_target(name) for name in target_names()}
    here = [target for target in needs.values() if not why_not_here(target)]
    most = max(len(rule.needs) for target in here for rule in target.runs if rule.kind == "native")
    chosen = target_of_this_machine()

    assert chosen.name in [target.name for target in here]
    assert most == next(len(rule.needs) for rule in chosen.runs if rule.kind == "native")
    with pytest.raises(ToolchainError, match="cannot be loaded"):
        model("linreg").native("cortex-m4")


def test_texts() -> None:
    """A text model takes a list of texts."""
    texts = ["the cat sat", "", "naïve café"]
    program = loaded("count_vectorizer").model.lower()

    assert model("count_vectorizer").native("host").predict(texts).tolist() == program.run(np.array(texts)).tolist()


def test_an_image_uses_it_where_it_runs() -> None:
    """Image.predict of every target that this machine is."""
    rows = rows_of("linreg")
    image = aprgen.compile(model("linreg"), target="host").build()

    assert image.native is not None
    assert same_bits(image.predict(rows), loaded("linreg").model.lower().run(rows)).all()
