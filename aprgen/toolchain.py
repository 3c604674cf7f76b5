"""Compilers: finds one for a target, compiles and links with it, and turns its complaints into errors.

Knows the flags that all generated C needs. What differs between targets stands in their files.
"""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aprgen.errors import BudgetError, ToolchainError, UnsupportedError
from aprgen.label_order import order_marks
from aprgen.process import Finished, cache_folder, fingerprint, finish, first_lines, run, start
from aprgen.resources import folder
from aprgen.target import EXACT_FLAGS, BuildRule, Target, how_to_install

COMMON_FLAGS = (
    *EXACT_FLAGS,  # the others only make code removable and small
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-asynchronous-unwind-tables",
    "-fno-unwind-tables",
)
WARNINGS = ("-Wall", "-Wextra")
MARKS_FLAG = "-DAPR_MARKS"
COMPILE_SECONDS = 180.0  # a first use of zig builds its runtime, 45 s on two cores


@dataclass(frozen=True)
class Toolchain:
    """A build rule with its programs found. `linker` is empty when the compiler links."""

    rule: BuildRule
    compiler: tuple[str, ...]
    linker: tuple[str, ...]
    environment: Mapping[str, str]
    identity: str

    @property
    def name(self) -> str:
        return Path(self.compiler[0]).name if self.rule.programs else self.rule.module

    @property
    def compile_flags(self) -> tuple[str, ...]:
        return (*COMMON_FLAGS, *WARNINGS, *self.rule.cflags)


def find_toolchain(target: Target, prefer: str = "auto", search_path: str | None = None) -> Toolchain:
    """The first toolchain of the target that this machine has.

    prefer: "auto", "system" or "pypi" (only compilers of that origin), or the name of a build rule ("clang").
    search_path: where to look instead of PATH.
    """
    missing = []
    asked = [rule for rule in target.builds if prefer in ("auto", rule.origin, rule.name)]
    for rule in asked:
        if rule.host_machine not in ("", platform.machine()):
            missing.append(f"{rule.name} builds for this target only on {rule.host_machine}")
            continue
        toolchain, reason = _resolve(rule, search_path)
        if toolchain is not None:
            return toolchain
        missing.append(reason)
    if not missing:
        raise ToolchainError(
            "toolchain.preference", f"target {target.name} has no toolchain {prefer!r}", where=f"target {target.name}",
            hint=f"use auto, system, pypi or one of: {', '.join(rule.name for rule in target.builds)}",
        )  # fmt: skip
    here = (rule for rule in asked if rule.host_machine in ("", platform.machine()))
    raise ToolchainError(
        "toolchain.missing", f"no compiler for {target.name}: {'; '.join(missing)}", where=f"target {target.name}",
        hint=how_to_install(here),
    )  # fmt: skip


def _resolve(rule: BuildRule, search_path: str | None) -> tuple[Toolchain | None, str]:
    words = {"machine": platform.machine(), "cache": ""}
    linker = ""
    if rule.module:
        found = importlib.util.find_spec(rule.module)
        if found is None or found.origin is None:
            return None, f"the Python module {rule.module} is not installed"
        compiler: tuple[str, ...] = (sys.executable, "-m", rule.module)
        identity = found.origin
    else:
        program = _first_program(rule.programs, search_path)
        if program is None:
            return None, f"{' or '.join(rule.programs)} is not on PATH"
        if rule.linkers:
            linker = _first_program(rule.linkers, search_path) or ""
            if not linker:
                return None, f"{' or '.join(rule.linkers)} is not on PATH"
        compiler = (program,)
        identity = program
    if rule.environment:
        words["cache"] = str(cache_folder())
    stat = Path(identity).stat()
    return (
        Toolchain(
            rule=rule,
            compiler=(*compiler, *(_filled(word, words) for word in rule.arguments)),
            linker=(linker,) if linker else (),
            environment={key: _filled(value, words) for key, value in rule.environment.items()},
            identity=fingerprint(identity, str(stat.st_size), str(stat.st_mtime_ns)),
        ),
        "",
    )


def _first_program(names: Iterable[str], search_path: str | None) -> str | None:
    for name in names:
        found = shutil.which(name, path=search_path)
        if found is not None:
            return found
    return None


def _filled(text: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"{{{word}}}", value)
    return text


def compiler_version(toolchain: Toolchain) -> str:
    """The first line that the compiler prints about itself."""
    words = (*toolchain.compiler, "--version")
    finished = run(
        words, work="asking for the version", folder=Path.cwd(), seconds=60, environment=toolchain.environment
    )
    return next(iter(finished.stdout.splitlines()), "")


@dataclass(frozen=True)
class Unit:
    """One C file to compile: flags beyond the common ones, and where headers are.

    marks: the object says how often its loops run (runtime_c/apr_mark.h); only where the build rule has `marks`. It is
    made from assembly, in which each mark learnt its order among the labels.
    """

    source: Path
    out: Path
    flags: tuple[str, ...] = ()
    include: tuple[Path, ...] = ()
    marks: bool = False

    @property
    def assembly(self) -> Path:
        """Where a marked unit's assembly lies between compiler and assembler."""
        return self.out.with_suffix(".s")


def compile_command(toolchain: Toolchain, unit: Unit) -> tuple[str, ...]:
    include = (f"-I{path}" for path in unit.include)
    form: tuple[str, ...] = ("-S",) if unit.marks else ("-c",)
    if unit.marks and not toolchain.rule.always_marked:
        form = (MARKS_FLAG, *form)
    files = (*form, str(unit.source), "-o", str(unit.assembly if unit.marks else unit.out))
    return (*toolchain.compiler, *toolchain.compile_flags, *unit.flags, *include, *files)


def _assemble_command(toolchain: Toolchain, unit: Unit) -> tuple[str, ...]:
    return (*toolchain.compiler, *toolchain.rule.cflags, "-c", str(unit.assembly), "-o", str(unit.out))


def compile_units(toolchain: Toolchain, units: Sequence[Unit], work: Path, seconds: float = COMPILE_SECONDS) -> None:
    """Compile all units at once; the first failure is a ToolchainError with the compiler's first lines.

    A marked unit's assembly is left beside its object.
    """
    marked = [unit for unit in units if unit.marks]
    if marked and not toolchain.rule.marks:
        raise UnsupportedError(
            "toolchain.marks", f"aprgen cannot take loop bounds through {toolchain.name}", where=marked[0].source.name,
            hint="use the target's gcc (--tools system); its build rule has marks = true",
        )  # fmt: skip
    _run_all(toolchain, [(unit, compile_command(toolchain, unit)) for unit in units], work, seconds)
    for unit in marked:
        unit.assembly.write_text(order_marks(unit.assembly.read_text()).text)
    _run_all(toolchain, [(unit, _assemble_command(toolchain, unit)) for unit in marked], work, seconds)


def _run_all(
    toolchain: Toolchain, commands: Sequence[tuple[Unit, tuple[str, ...]]], work: Path, seconds: float
) -> None:
    started = [
        start(command, work=f"compiling {unit.source.name}", folder=work, environment=toolchain.environment)
        for unit, command in commands
    ]
    results: list[Finished] = []
    failure: ToolchainError | None = None
    for process in started:
        try:
            results.append(finish(process, seconds))
        except ToolchainError as error:  # the others must be waited for
            failure = failure or error
    if failure is not None:
        raise failure
    for (unit, _), result in zip(commands, results, strict=True):
        if result.status != 0:
            raise ToolchainError(
                "toolchain.compile",
                f"{toolchain.name} failed with status {result.status}: {first_lines(result.stderr)}",
                where=unit.source.name,
                hint="generated C that does not compile is a fault of aprgen; hand-written C is to be corrected",
            )


def compile_support(toolchain: Toolchain, folders: Sequence[str], flags: tuple[str, ...], work: Path) -> list[Path]:
    """Objects of every C file in those folders of qemu/; of two with one name the first counts. Kept in the cache."""
    root = folder("qemu")
    sources: dict[str, Path] = {}
    for name in folders:
        if not (root / name).is_dir():
            raise ToolchainError(
                "harness.folder", f"there is no harness folder {name!r}", where="harness or support of the target file",
                hint=f"use some of: {', '.join(sorted(path.name for path in root.iterdir() if path.is_dir()))}",
            )  # fmt: skip
        for path in sorted((root / name).glob("*.c")):
            sources.setdefault(path.name, path)
    include = tuple(root / name for name in (*folders, "harness"))
    headers = b"".join(path.read_bytes() for one in include for path in sorted(one.glob("*.h")))
    objects = cache_folder() / "objects"
    objects.mkdir(exist_ok=True)
    results = []
    missing: list[tuple[Unit, Path]] = []
    for path in sources.values():
        key = fingerprint(
            toolchain.identity, *toolchain.compiler, *toolchain.compile_flags, *flags, path.read_bytes(), headers
        )
        kept = objects / f"{path.stem}-{key}.o"
        results.append(kept)
        if not kept.exists():
            missing.append((Unit(path, work / f"support-{path.stem}.o", flags, include), kept))
    compile_units(toolchain, [unit for unit, _ in missing], work)
    for unit, kept in missing:
        keep_file(unit.out, kept)
    return results


def keep_file(made: Path, kept: Path) -> None:
    """Move a file into the cache in one step, so that another process sees all of it or nothing."""
    beside = kept.with_name(f"{kept.name}.{fingerprint(str(made.resolve()))}")
    shutil.copy2(made, beside)
    beside.replace(kept)


def link(
    toolchain: Toolchain,
    inputs: Sequence[Path],
    out: Path,
    *,
    flags: Sequence[str] = (),
    keep: Sequence[str] = (),
    work: Path,
    capacities: Mapping[str, int] | None = None,
) -> None:
    """Link; a memory region that overflows is a BudgetError with the bytes used and there.

    keep: symbols that stay although nothing refers to them. capacities: bytes per region of the linker script.
    """
    first = toolchain.linker or (*toolchain.compiler, *toolchain.rule.cflags)
    roots = [toolchain.rule.keep.replace("{symbol}", symbol) for symbol in keep]
    words = (
        *first, *toolchain.rule.ldflags, *flags, *roots, *(str(path) for path in inputs), *toolchain.rule.libraries,
        "-o", str(out),
    )  # fmt: skip
    result = run(
        words,
        work=f"linking {out.name}",
        folder=work,
        seconds=COMPILE_SECONDS,
        environment=toolchain.environment,
    )
    if result.status != 0:
        _refuse_overflow(result.stderr, capacities or {}, out.name)
        raise ToolchainError(
            "toolchain.link", f"{toolchain.name} failed with status {result.status}: {first_lines(result.stderr)}",
            where=out.name, hint="the message names the symbol or the file that is missing",
        )  # fmt: skip


_OVERFLOW = re.compile(r"region [`'\"]?(\w+)['\"]?:? overflowed by (\d+) bytes")


def _refuse_overflow(stderr: str, capacities: Mapping[str, int], out: str) -> None:
    worst: dict[str, int] = {}
    for region, over in _OVERFLOW.findall(stderr):
        worst[region] = max(worst.get(region, 0), int(over))
    for region, over in worst.items():
        there = capacities.get(region)
        used = f"{there + over} bytes are needed, {there} are there" if there else f"{over} bytes too many"
        raise BudgetError(
            f"budget.{region}", f"the image does not fit into the {region} of the board: {used}", where=out,
            hint="choose a larger board, a smaller numeric mode or a smaller model",
        )  # fmt: skip
    if "left for the stack" in stderr:
        raise BudgetError(
            "budget.ram", "the buffers of the model leave fewer than 2048 bytes of RAM for the stack", where=out,
            hint="choose a board with more RAM",
        )  # fmt: skip
