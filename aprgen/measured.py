"""What a model takes on its target, built alone: without the harness that runs it, in less than half the time.

Knows the order of the work; the measuring itself is `footprint`'s.
"""

from __future__ import annotations

import tempfile
import threading
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from aprgen.core import Artifact
from aprgen.image import Image, Kind, ModelFacts
from aprgen.ops.suggest import Suggest
from aprgen.text_rows import MAX_PREFIX_BYTES
from aprgen.toolchain import Unit, compile_units, find_toolchain

if TYPE_CHECKING:
    from aprgen.footprint import Footprint

KINDS: dict[str, Kind] = {"text": "text", "prefix": "prefix"}


def model_facts(artifact: Artifact) -> ModelFacts:
    """What the harness must know of the model."""
    program = artifact.program
    kind = KINDS.get(program.source.element, "row")
    facts = ModelFacts(artifact.name, kind, program.n_features, program.n_outputs, program.label is not None)
    facts = replace(facts, has_codes=program.codes is not None, has_batch=artifact.has_blocks)
    if kind != "prefix":
        return facts
    op = program.steps[program.scores - 1].op
    assert isinstance(op, Suggest)
    text_bytes = (op.longest_bytes + MAX_PREFIX_BYTES) * program.n_outputs
    return replace(facts, n_suggestions=program.n_outputs, text_bytes=text_bytes)


def measured_alone(artifact: Artifact, tools: str) -> tuple[Footprint, str]:
    """The footprint and the compiler's name. ToolchainError without a compiler, BudgetError when it does not fit."""
    toolchain = find_toolchain(artifact.target, tools)
    # Reading ELF files takes 40 ms to import, and the compiler as long to work.
    importing = threading.Thread(target=import_module, args=("aprgen.footprint",))
    importing.start()
    with tempfile.TemporaryDirectory(prefix="aprgen-") as name:
        work = Path(name)
        for file, text in artifact.texts.items():
            (work / file).write_bytes(text.encode())
        flags = ("-fstack-usage",) if toolchain.rule.stack_usage else ()
        unit = Unit(
            work / f"{artifact.name}.c", work / f"{artifact.name}.o", flags, (work,), toolchain.rule.always_marked
        )  # fmt: skip
        compile_units(toolchain, (unit,), work)
        importing.join()
        from aprgen.footprint import check_budget, measure

        # There is no program to run: the object alone is linked and measured.
        image = Image(artifact.target, toolchain, model_facts(artifact), work, unit.out, unit.out, 0, 0)
        footprint = measure(image)
    check_budget(footprint, artifact.target)
    return footprint, toolchain.name
