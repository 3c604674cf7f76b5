"""What all tests share: tools that may be missing, goldens that can be updated, and the seed of random tests."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

from aprgen import toolchain
from aprgen.errors import ToolchainError
from aprgen.runners.choose import runner_for
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain
from tests import compiled_once, vector_headers

# Compiling takes as long as the machine is busy; a failing example is printed so that it can be repeated.
settings.register_profile(
    "aprgen", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("aprgen")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files of tests/emission anew")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """One seed for all workers, chosen before Hypothesis looks for it; CI tries the same examples every time.

    One folder for headers that are read once, and one for what is compiled once; the process that made them, which is
    no worker, removes them.
    """
    for name in (vector_headers.KEPT, compiled_once.KEPT):
        if name not in os.environ:
            kept = tempfile.TemporaryDirectory(prefix="aprgen-tests-")
            os.environ[name] = kept.name
            config.add_cleanup(kept.cleanup)
    toolchain.compile_command = vector_headers.in_builds(toolchain.compile_command)
    toolchain._run_all = compiled_once.in_builds(toolchain._run_all)
    if getattr(config.option, "hypothesis_seed", None) is None:
        config.option.hypothesis_seed = "20260117" if os.environ.get("CI") else str(secrets.randbelow(2**32))


def pytest_report_header(config: pytest.Config) -> str:
    return f"random tests: repeat them with --hypothesis-seed={config.option.hypothesis_seed}"


def give_up(reason: str) -> None:
    """A tool is missing: skip on a developer's machine, fail in CI."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def require_tool() -> Callable[[str], None]:
    """Skip, or fail in CI, unless a program is on PATH or a Python module is installed."""

    def require(name: str) -> None:
        if shutil.which(name) is None and importlib.util.find_spec(name) is None:
            give_up(f"{name} is not installed")

    return require


@pytest.fixture(scope="session")
def require_target() -> Callable[[str], None]:
    """Skip, or fail in CI, unless the target can be built for and run here; a CPU that is too old only skips."""

    def require(name: str) -> None:
        target = load_target(name)
        try:
            find_toolchain(target)
            runner_for(target)
        except ToolchainError as error:
            if "built, not run" in error.what:
                pytest.skip(error.what)
            give_up(error.what)

    return require
