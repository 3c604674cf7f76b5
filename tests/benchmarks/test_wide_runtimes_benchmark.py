"""Other runtimes beside aprgen: rooms that are made once, processes that time themselves, and what is said of failures.

No runtime is installed here: a process of numpy stands for all of them.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
FAKE = Path(__file__).with_name("fake_runtime.py")
WORDS = ("--target", "x86-avx2", "--compiler", "gcc", "--rounds", "1", "--work", "lin100")


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "runtime_rooms", raising=False)
    return importlib.import_module("runtime_rooms")


@pytest.fixture
def benchmark(rooms: ModuleType, monkeypatch: pytest.MonkeyPatch, require_target: Callable[[str], None]) -> ModuleType:
    """Each runtime is the fake one, in an environment that is this one."""
    pytest.importorskip("sklearn")
    require_target("x86-avx2")
    for name in ("wide", "wide_dense", "wide_runtimes", "runtime_tasks"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = importlib.import_module("wide_runtimes")
    monkeypatch.setattr("os.sched_setaffinity", lambda process, cores: None)  # not of the other tests
    monkeypatch.setattr(rooms, "installed", lambda room, folder, install: folder)
    monkeypatch.setattr(rooms, "command_of", lambda room, place, task: fake_command(task))
    return found


def fake_command(task: Path) -> list[str]:
    path = f"import sys; sys.path.insert(0, {str(BENCHMARKS / 'runtimes')!r}); sys.argv = ['', {str(task)!r}]; "
    return [sys.executable, "-c", path + f"import runpy; runpy.run_path({str(FAKE)!r}, run_name='__main__')"]


def spoiled(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, mark: str) -> None:
    """The runtime fails as the mark says."""
    tasks = sys.modules["runtime_tasks"]
    write = tasks.write

    def marked(task: object, folder: Path) -> None:
        write(task, folder)
        (folder / mark).touch()

    monkeypatch.setattr(tasks, "write", marked)


def test_one_run(benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All that are asked for stand beside every mode of aprgen's, with ratios of times of the same numbers."""
    report = tmp_path / "report.json"
    assert benchmark.main((*WORDS, "--peer", "numpy", "--json", str(report))) == 0
    document = json.loads(report.read_text())
    own = [one for one in document["figures"] if one["exact"] is not None]
    (fake,) = (one for one in document["figures"] if one["exact"] is None)
    f32 = next(one for one in own if one["numeric"] == "f32")

    assert {one["numeric"] for one in own} == {"f32", "f32-fast", "s8"}
    assert all(one["exact"] and one["explained"] and 0 < one["least"] <= one["median"] for one in own)
    assert (fake["tool"], fake["numeric"], fake["explained"], fake["inside"]) == ("fake 1.0", "f32", True, False)
    assert fake["times"] == pytest.approx(fake["least"] / f32["least"])
    assert fake["times_row"] == pytest.approx(fake["one_row"] / f32["one_row"])
    assert [(one["tool"], one["why"]) for one in document["left_out"]] == [
        (name, "not asked for") for name in ("xnnpack", "openvino", "onnxruntime")
    ]
    assert "answers otherwise" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("refuses", "lin100     numpy: not compared, it ended with status 1: ValueError: no such layers"),
        ("stops", "lin100     fake 1.0 f32: not compared, it ended with signal 9: it said nothing"),
        ("wrong", "lin100: fake 1.0 (f32) answers otherwise than the library that trained: off by 0.5"),
    ],
)
def test_a_runtime_that_fails_is_named(
    mark: str, said: str, benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that cannot do the work, one that dies over it, and one whose answers are others; none ends the run."""
    spoiled(benchmark, monkeypatch, mark)
    assert benchmark.main((*WORDS, "--peer", "numpy")) == 0
    assert said in capsys.readouterr().out.splitlines()


def test_what_cannot_be_installed_is_one_line(
    rooms: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without an index that answers, pip's own last word is in the line."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    room = rooms.Room("absent", "numpy_peer.py", ("no-such-runtime==1.0",))
    with pytest.raises(rooms.AbsentError) as error:
        rooms.installed(room, tmp_path, install=True)

    assert str(error.value) == (
        "python -m pip install --quiet no-such-runtime==1.0: ERROR: No matching distribution found for "
        "no-such-runtime==1.0"
    )
    with pytest.raises(rooms.AbsentError, match="leave out --no-install"):
        rooms.installed(room, tmp_path, install=False)
    assert "no-such-runtime==1.0 is installed in" in capsys.readouterr().out


def test_a_room_is_made_once(rooms: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Half-made rooms are made again, whole ones are taken as they are; other versions have rooms of their own."""
    made: list[str] = []

    def install(command: list[str], folder: Path) -> None:
        made.append(command[-1])
        if len(made) == 1:
            raise rooms.AbsentError("the network is gone")

    monkeypatch.setattr(rooms, "_made", install)
    room = rooms.Room("one", "numpy_peer.py", ("one==1.0",))
    with pytest.raises(rooms.AbsentError):
        rooms.installed(room, tmp_path, install=True)
    place = rooms.installed(room, tmp_path, install=True)

    assert made[2:] == ["one==1.0"]
    assert rooms.installed(room, tmp_path, install=False) == place
    assert rooms.installed(replace(room, packages=("one==1.1",)), tmp_path, install=True) != place


def test_what_a_program_says_is_wrong(rooms: ModuleType) -> None:
    """pip and Python name the error last; npm says then where its log lies."""
    npm = "npm error code X\nnpm error notarget No matching version\nnpm error A complete log of this run is in: x\n"

    assert rooms.told(npm) == "npm error notarget No matching version"
    assert rooms.told("Traceback:\n  here\nValueError: no\n") == "ValueError: no"
    assert rooms.told("\n") == "it said nothing"


def test_npm_without_node_is_said(rooms: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rooms.shutil, "which", lambda name: None)
    with pytest.raises(rooms.AbsentError, match="node and npm are not on PATH"):
        rooms.installed(rooms.ROOMS[-1], tmp_path, install=True)


def test_trees_as_nodes(benchmark: ModuleType) -> None:
    """The nodes that other runtimes read give what the Program gives."""
    pytest.importorskip("lightgbm")
    tasks = sys.modules["runtime_tasks"]
    task = tasks.task_of("gbt20")
    nodes = tasks._trees(task)
    place = {(t, n): i for i, (t, n) in enumerate(zip(nodes["tree"].tolist(), nodes["node"].tolist(), strict=True))}
    for row, wanted in zip(task.rows[:5], task.program.run(task.rows[:5])[:, 0], strict=True):
        total = float(nodes["base"])
        for tree in range(100):
            at = place[tree, 0]
            while nodes["feature"][at] >= 0:
                left = row[nodes["feature"][at]] <= nodes["threshold"][at]
                at = place[tree, int(nodes["left" if left else "right"][at])]
            total += float(nodes["value"][at])

        assert total == pytest.approx(float(wanted), rel=1e-6)
    assert np.array_equal(np.unique(nodes["tree"]), np.arange(100))
