"""The wheel and the source distribution carry everything: built, installed elsewhere, used from there. 6 s in all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "tests" / "data" / "apr" / "real" / "rfc_digits.apr"
DATA_FOLDERS = ("templates", "targets", "runtime_c", "qemu")


def run(*words: str | Path, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wheel_from(source: Path, out: Path) -> Path:
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", out, source, cwd=out)
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel_from(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds the wheel, and sees the libraries of this one but not its aprgen."""
    place = tmp_path_factory.mktemp("installed") / "env"
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    (libraries,) = place.glob("lib/python*/site-packages")
    (libraries / "shared.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "-q", "--no-deps", "--no-index", wheel, cwd=place)
    return place / "bin"


def names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def test_wheel_holds_every_data_file(wheel: Path) -> None:
    """Each file of templates, targets, runtime_c and qemu is in the wheel under aprgen/_data."""
    wanted = {
        f"aprgen/_data/{path.relative_to(ROOT)}"
        for folder in DATA_FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }

    assert sorted(wanted - names(wheel)) == []


def test_wheel_holds_nothing_else(wheel: Path) -> None:
    """The wheel holds the package and its metadata: no tests, examples or build files."""
    tops = {name.split("/")[0] for name in names(wheel)}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"aprgen"}


def test_source_distribution_gives_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """A wheel built from the source distribution holds the same files as one built from the checkout."""
    build = "import hatchling.build, sys; hatchling.build.build_sdist(sys.argv[1])"
    run(sys.executable, "-c", build, tmp_path, cwd=ROOT)
    (source,) = tmp_path.glob("*.tar.gz")

    assert names(wheel) == names(wheel_from(source, tmp_path))


def test_installed_package_is_its_own(installed: Path, tmp_path: Path) -> None:
    """The installed aprgen is the wheel's, not this checkout's."""
    found = run(installed / "python", "-c", "import aprgen; print(aprgen.__file__)", cwd=tmp_path)

    assert found.startswith(str(installed.parent))


def test_installed_package_compiles(installed: Path, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """The installed `aprgen compile` writes a model for a Cortex-M4 and measures it."""
    require_target("cortex-m4")

    words = (installed / "aprgen", "compile", MODEL, "--target", "cortex-m4", "-o", "out", "--format", "json")
    report = json.loads(run(*words, cwd=tmp_path))

    assert sorted(report["files"]) == sorted(path.name for path in (tmp_path / "out").iterdir())
    assert report["footprint"]["flash_bytes"] > report["manifest"]["table_bytes"]


def test_installed_package_runs_images(installed: Path, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """The installed `aprgen test` finds its harness and runs the model on the emulated board."""
    require_target("cortex-m4")

    words = (installed / "aprgen", "test", MODEL, "--target", "cortex-m4", "--rows", "20", "--format", "json")

    assert json.loads(run(*words, cwd=tmp_path))["passed"] is True


def test_installed_scons_tool(installed: Path, tmp_path: Path, require_target: Callable[[str], None]) -> None:
    """`aprgen.scons` of the installed package builds a model in a user's project."""
    require_target("host")
    (tmp_path / "SConstruct").write_text(
        "from aprgen.scons import generate\n"
        "env = Environment(tools=[generate])\n"
        f"env.AprModel('digits', {str(MODEL)!r})\n"
    )

    run(installed / "python", "-m", "SCons", "-Q", cwd=tmp_path)

    assert (tmp_path / "build" / "host" / "digits.o").is_file()
