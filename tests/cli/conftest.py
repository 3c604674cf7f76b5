"""What the tests of the command line share."""

from __future__ import annotations

import pytest

from tests.cli.commands import Command


@pytest.fixture
def aprgen(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)
