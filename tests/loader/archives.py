"""The sources of the loader with other people's C, written into a folder; skipped where no registry is reached."""

from __future__ import annotations

from pathlib import Path

from aprgen.device_loader import THIRD_PARTY, LoaderPlan, loader_texts
from aprgen.errors import ToolchainError
from tests.conftest import give_up
from tests.differential.compiled import write_texts


def write_loader(plan: LoaderPlan, work: Path) -> None:
    try:
        texts, others = loader_texts(plan)
    except ToolchainError as error:
        if error.code != "archive.unreachable":
            raise
        give_up(error.what)
    (work / THIRD_PARTY).mkdir(parents=True)
    write_texts(texts, work)
    write_texts(others, work / THIRD_PARTY)
