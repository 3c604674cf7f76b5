"""From an Artifact to something that runs: compiles it, measures what it takes, and runs rows on the target's runner.

Knows how the pieces below fit together; knows nothing of families or of any one target.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from aprgen.core import Artifact
from aprgen.errors import UsageError
from aprgen.footprint import Footprint, check_budget, measure
from aprgen.image import Image, ModelFacts, build_image, build_shared
from aprgen.measured import model_facts
from aprgen.process import cache_folder, fingerprint
from aprgen.resources import folder
from aprgen.runners.choose import runner_for
from aprgen.runners.execution import RUN_SECONDS, Execution, Records
from aprgen.runners.shared import SharedImage, load_shared, require_this_machine
from aprgen.text_rows import MAX_PREFIX_BYTES
from aprgen.toolchain import Toolchain, find_toolchain, keep_file

KEPT_LIBRARIES = 100


@dataclass(frozen=True, eq=False)
class Built:
    """A linked image and what the model in it takes. The folder lives as long as this object, unless it was given."""

    artifact: Artifact
    image: Image
    footprint: Footprint
    tools: str
    _folder: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)

    def run(self, records: Records, *, count: bool = True, seconds: float = RUN_SECONDS) -> Execution:
        """Execute all records on the target's runner; afterwards the stack is checked against the target's RAM."""
        if self.image.model.kind == "prefix":
            _check_prefixes(records)
        runner = runner_for(self.artifact.target, self.tools)
        execution = runner.run(self.image, records, count=count, seconds=seconds)
        stack = max(execution.stack_bytes.values(), default=0)
        check_budget(self.footprint, self.artifact.target, stack_bytes=stack)
        return execution


def _check_prefixes(records: Records) -> None:
    for number, prefix in enumerate(records):
        size = len(prefix.encode() if isinstance(prefix, str) else bytes(prefix))
        if size > MAX_PREFIX_BYTES:
            raise UsageError(
                "run.prefix",
                f"the prefix has {size} bytes, an image completes at most {MAX_PREFIX_BYTES}",
                where=f"record {number}",
                hint="shorten it; the generated C itself has no such limit",
            )


def build_artifact(artifact: Artifact, *, tools: str = "auto", work: Path | None = None) -> Built:
    """Compile and link for the artifact's target, in `work` or in a folder of its own.

    tools: "auto", "system" or "pypi". Raises ToolchainError without a compiler, BudgetError when it does not fit.
    """
    toolchain = find_toolchain(artifact.target, tools)
    own = None if work is not None else tempfile.TemporaryDirectory(prefix="aprgen-")
    folder = work if work is not None else Path(own.name if own is not None else "")
    facts = model_facts(artifact)
    image = build_image(artifact.target, toolchain, artifact.texts, facts, folder)
    footprint = measure(image)
    check_budget(footprint, artifact.target)
    return Built(artifact, image, footprint, tools, own)


def load_into_process(
    artifact: Artifact, *, tools: str = "auto", work: Path | None = None, kept: bool = False
) -> SharedImage:
    """The model as a shared library in this process, for targets that are this machine.

    kept: the library stays in the cache under a name made from all that goes into it, and is built only once.
    """
    toolchain = find_toolchain(artifact.target, tools)
    facts = model_facts(artifact)
    if kept:
        return SharedImage(_kept_library(artifact, toolchain, facts), facts)
    if work is not None:
        return load_shared(artifact.target, toolchain, artifact.texts, facts, work)
    with tempfile.TemporaryDirectory(prefix="aprgen-") as folder:  # once loaded, the file is not needed
        return load_shared(artifact.target, toolchain, artifact.texts, facts, Path(folder))


def _kept_library(artifact: Artifact, toolchain: Toolchain, facts: ModelFacts) -> Path:
    """From the cache, or built into it; the libraries that were not used for longest leave it."""
    require_this_machine(artifact.target)
    libraries = cache_folder() / "libraries"
    libraries.mkdir(exist_ok=True)
    glue = (folder("qemu") / "python" / "apr_python.h").read_bytes()
    sources = (text for name, text in sorted(artifact.texts.items()) if name.endswith((".c", ".h")))
    flags = (*toolchain.compiler, *toolchain.compile_flags, *toolchain.rule.shared)
    kept = libraries / f"{artifact.name}-{fingerprint(toolchain.identity, *flags, glue, *sources)}.so"
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix="aprgen-") as name:
            keep_file(build_shared(artifact.target, toolchain, artifact.texts, facts, Path(name)), kept)
    os.utime(kept)
    for old in sorted(libraries.glob("*.so"), key=_last_use)[:-KEPT_LIBRARIES]:
        old.unlink(missing_ok=True)
    return kept


def _last_use(library: Path) -> int:
    """When, in ns; 0 of one that another process has just removed."""
    try:
        return library.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
