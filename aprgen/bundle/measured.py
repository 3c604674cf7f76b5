"""What a bundle takes on its target, and what its models would take as files of their own, linked into one program.

Both are compiled by the target's compiler and linked with the same functions as roots, so the difference is what the
models share. Knows the order of the work; `footprint` measures.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aprgen.bundle.compile import Bundle
from aprgen.bundle.emission import HAS_BYTES, HAS_LABELS, HAS_ROWS, HAS_SUGGESTIONS, HAS_TEXTS, has_bits
from aprgen.core import public_functions
from aprgen.footprint import Footprint, measure_linked
from aprgen.program import Program
from aprgen.toolchain import Toolchain, Unit, compile_units, compiler_version, find_toolchain

# The functions of the registry, by what a model must have for them to be there; 0 is always there.
REGISTRY: tuple[tuple[int, tuple[str, ...]], ...] = (
    (0, ("find", "at")),
    (HAS_BYTES, ("bytes",)),
    (HAS_ROWS, ("predict", "scores")),
    (HAS_LABELS, ("classify",)),
    (HAS_TEXTS, ("predict_text", "scores_text")),
    (HAS_SUGGESTIONS, ("suggest",)),
)


@dataclass(frozen=True)
class Measured:
    """whole: the registry and all that it reaches. together and separate: only the models' functions, for comparison.

    alone: of each model with code, the flash that its own file takes. separate is None without such models.
    """

    whole: Footprint
    together: Footprint | None
    separate: Footprint | None
    alone: Mapping[str, int]
    compiler: str
    compiler_version: str

    @property
    def saved_bytes(self) -> int:
        """Flash that sharing saves; below 0 where a compiler makes more of one file than of many."""
        if self.separate is None or self.together is None:
            return 0
        return self.separate.flash_bytes - self.together.flash_bytes

    @property
    def registry_bytes(self) -> int:
        """Flash of the registry, its functions and the embedded files."""
        return self.whole.flash_bytes - (0 if self.together is None else self.together.flash_bytes)

    def facts(self, data_bytes: int) -> dict[str, object]:
        """For the manifest."""
        return {
            "compiler": self.compiler_version,
            "flash_bytes": self.whole.flash_bytes,
            "ram_bytes": self.whole.ram_bytes,
            "models_together_bytes": None if self.together is None else self.together.flash_bytes,
            "models_separate_bytes": None if self.separate is None else self.separate.flash_bytes,
            "saved_bytes": self.saved_bytes,
            "registry_bytes": self.registry_bytes - data_bytes,
            "data_bytes": data_bytes,
            "models_alone_bytes": dict(self.alone),
        }


def registry_functions(bundle: Bundle) -> tuple[str, ...]:
    """NAME_find and the others that this bundle has."""
    bits = 0
    for member in bundle.members:
        bits |= has_bits(member)
    found = [function for bit, functions in REGISTRY for function in functions if not bit or bits & bit]
    return tuple(f"{bundle.name}_{function}" for function in (*found, *(["kernels"] if bundle.target.variants else [])))


def measure_bundle(bundle: Bundle, tools: str) -> Measured:
    """Compile everything and measure. ToolchainError without a compiler."""
    toolchain = find_toolchain(bundle.target, tools)
    artifacts = [bundle.alone(member) for member in bundle.coded]
    with tempfile.TemporaryDirectory(prefix="aprgen-") as folder:
        work = Path(folder)
        units = [_unit(bundle.texts, bundle.name, toolchain, work)]
        units += [_unit(artifact.texts, artifact.name, toolchain, work) for artifact in artifacts]
        at_once = os.cpu_count() or 1
        for start in range(0, len(units), at_once):
            compile_units(toolchain, units[start : start + at_once], work)
        one, *many = [unit.out for unit in units]

        def linked(objects: Sequence[Path], roots: Sequence[str], name: str) -> Footprint:
            return measure_linked(bundle.target, toolchain, objects, roots, work, name)

        roots = {artifact.name: _compared(artifact.program, artifact.name) for artifact in artifacts}
        every = [function for functions in roots.values() for function in functions]
        whole = linked((one,), (*registry_functions(bundle), *every), "whole")
        together = linked((one,), every, "together") if many else None
        separate = linked(many, every, "separate") if many else None
        alone = {
            member.name: linked((path,), roots[artifact.name], artifact.name).flash_bytes
            for member, artifact, path in zip(bundle.coded, artifacts, many, strict=True)
        }
        version = compiler_version(toolchain)
    return Measured(whole, together, separate, alone, toolchain.name, version)


def _compared(program: Program, name: str) -> tuple[str, ...]:
    """The functions of one model that the registry calls."""
    return tuple(f for f in public_functions(program, name) if not f.endswith(("_batch", "_q")))


def _unit(texts: Mapping[str, str], name: str, toolchain: Toolchain, work: Path) -> Unit:
    """Every source in a folder of its own: each brings the runtime's headers."""
    folder = work / name
    folder.mkdir()
    for file, text in texts.items():
        (folder / file).write_bytes(text.encode())
    flags = ("-fstack-usage",) if toolchain.rule.stack_usage else ()
    return Unit(folder / f"{name}.c", folder / f"{name}.o", flags, (folder,), toolchain.rule.always_marked)
