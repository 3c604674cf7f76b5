"""The repository's own SConstruct, and the example project with its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
BRAKE = ROOT / "examples" / "brake_controller"


def scons(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "SCons", "-Q", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=180,
    )


def example_project(name: str, tmp_path: Path) -> Path:
    """An example and the board that all of them share, in a folder of their own."""
    for part in ("board", name):
        shutil.copytree(ROOT / "examples" / part, tmp_path / part, ignore=shutil.ignore_patterns("build", ".s*"))
    return tmp_path / name


def brake_project(tmp_path: Path) -> Path:
    return example_project("brake_controller", tmp_path)


def repository(tmp_path: Path) -> Path:
    """The SConstruct and what it reads, in a folder of its own."""
    shutil.copy(ROOT / "SConstruct", tmp_path)
    for name in ("examples", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def test_brake_controller_takes_the_right_decisions(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """`scons run` builds the firmware, runs it under QEMU and prints 120 right decisions; none is lost."""
    require_target("cortex-m4")
    done = scons(brake_project(tmp_path), "run")

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "decisions 120, wrong 0, rows lost 0"


def test_brake_controller_notices_a_wrong_decision(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """When the table expects another decision, the firmware counts it and the build fails."""
    require_target("cortex-m4")
    project = brake_project(tmp_path)
    lines = (project / "drive.csv").read_text().splitlines()
    lines[1] = lines[1][:-1] + "0"
    (project / "drive.csv").write_text("\n".join(lines) + "\n")

    done = scons(project, "run")

    assert done.returncode == 2
    assert "decisions 120, wrong 1, rows lost 0" in done.stderr


def test_brake_controller_keeps_its_budget(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """With a smaller budget of stack the model is not linked into the firmware."""
    require_target("cortex-m4")
    project = brake_project(tmp_path)
    text = (project / "SConstruct").read_text()
    (project / "SConstruct").write_text(text.replace('"stack": 256', '"stack": 16'))

    done = scons(project)

    assert done.returncode == 2
    assert "bytes of stack, the budget is 16" in done.stderr
    assert not (project / "build" / "brake_controller.elf").exists()


def test_drive_is_what_the_model_decides() -> None:
    """The decisions in drive.csv are those of brake.apr in the original library's arithmetic."""
    import numpy as np

    import aprgen

    table = np.loadtxt(BRAKE / "drive.csv", delimiter=",", skiprows=1)
    labels = aprgen.load(BRAKE / "brake.apr").classify(table[:, :-1])

    assert labels is not None
    assert table[:, -1].astype(int).tolist() == labels.tolist()


def test_help_is_the_manual(tmp_path: Path) -> None:
    """`scons -h` has a line for every alias."""
    done = scons(repository(tmp_path), "-h")

    assert done.returncode == 0, done.stderr
    assert [name for name in ("test", "brake", "TARGET", "-c") if f"\nscons {name} " not in done.stdout] == []


def test_every_model_is_built_for_every_target(tmp_path: Path) -> None:
    """A dry run of `scons` generates each of the seven models for each of the fifteen targets."""
    done = scons(repository(tmp_path), "-n")
    planned = [line for line in done.stdout.splitlines() if line.startswith("generating ")]

    assert (len(planned), len(set(planned))) == (105, 105)


def test_one_target_builds_and_runs(tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """One model of the repository's SConstruct is built for a Cortex-M0+ and tested there."""
    require_target("cortex-m0plus")
    folder = repository(tmp_path)
    done = scons(folder, "build/cortex-m0plus/linear.o", "build/cortex-m0plus/linear.test.json")

    assert done.returncode == 0, done.stderr
    assert '"passed": true' in (folder / "build/cortex-m0plus/linear.test.json").read_text()
