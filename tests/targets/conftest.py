"""Tools that may be missing on a developer's machine, and must not be missing in CI."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable

import pytest

from aprgen.errors import ToolchainError
from aprgen.runners.choose import runner_for
from aprgen.target import load_target
from aprgen.toolchain import find_toolchain


def _give_up(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def require_tool() -> Callable[[str], None]:
    """Skip, or fail in CI, unless a program is on PATH or a Python module is installed."""

    def require(name: str) -> None:
        if shutil.which(name) is None and importlib.util.find_spec(name) is None:
            _give_up(f"{name} is not installed")

    return require


@pytest.fixture
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
            _give_up(error.what)

    return require
