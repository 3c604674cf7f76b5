"""What the SCons tool does when it builds: each step runs a command of aprgen, or the target's compiler.

Knows processes and the files between them; `scons` knows which steps there are and in which order.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from SCons.Environment import Base as Environment
from SCons.Errors import BuildError
from SCons.Node.FS import File

from aprgen import budgets
from aprgen.budgets import Bound, Budget
from aprgen.device_loader import LoaderUnit
from aprgen.errors import AprgenError
from aprgen.footprint import Footprint, check_budget, measure
from aprgen.image import Image, Kind, ModelFacts
from aprgen.resources import folder
from aprgen.target import Target
from aprgen.toolchain import Toolchain, Unit, compile_units
from aprgen.wcet.page import header
from aprgen.wcet.shipped import loaded_contents

_KINDS: Mapping[str, Kind] = {"row": "row", "text": "text", "prefix": "prefix"}


@dataclass(frozen=True)
class Step:
    """What all steps for one model and target share. `words` are the options that follow `aprgen VERB MODEL`."""

    target: Target
    toolchain: Toolchain | None
    problem: str  # why there is no toolchain
    words: tuple[str, ...]
    tools: str
    name: str
    where: str
    read: str = ""  # digests of the keys that may have signed the model, of which the C names one, and of its records
    search: tuple[str, ...] = ()  # the limits that `aprgen compile` has to fit, when it chooses the shape
    manifest: str = ""  # a path, with a search: it says what was chosen

    @property
    def fingerprint(self) -> str:
        """Changes when the target file, the compiler or an option does."""
        compiler = "" if self.toolchain is None else self.toolchain.identity
        return " ".join((self.target.sha256, compiler, self.tools, self.read, *self.words, *self.search))

    @property
    def chosen(self) -> tuple[str, ...]:
        """The shape that a search has found, as words."""
        if not self.manifest:
            return ()
        shape = json.loads(Path(self.manifest).read_text(encoding="utf-8"))["options"]["optimise"]
        return () if shape is None else ("--optimise", shape)

def headers_of(target: Target) -> dict[str, Path]:
    """The runtime headers as the target sees them, special folders first: any of them may be included."""
    root = folder("runtime_c")
    found: dict[str, Path] = {}
    for place in (*(root / name for name in target.runtime), root):
        for path in sorted(place.glob("*.h")):
            found.setdefault(path.name, path)
    return dict(sorted(found.items()))


def say(doing: str, step: Step) -> str:
    return f"{doing} {step.name} for {step.target.name}"


def _execute(words: Sequence[str], node: File) -> str:
    """What the program printed. It inherits this process's environment, in which its tools were found."""
    done = subprocess.run(list(words), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(node, _failure(words, done.stdout, done.stderr, done.returncode), status=done.returncode)
    if done.stderr:
        sys.stderr.write(done.stderr)
    return done.stdout


def _failure(words: Sequence[str], stdout: str, stderr: str, status: int) -> str:
    shown = stderr.strip() or stdout.strip() or f"exit status {status}"
    return f"{shown}\n  command: {shlex.join(_short(words))}"


def _short(words: Sequence[str]) -> list[str]:
    """As one would type it: this interpreter's `-m aprgen` is `aprgen`."""
    return ["aprgen", *words[3:]] if list(words[:3]) == [sys.executable, "-m", "aprgen"] else list(words)


def _aprgen(verb: str, model: File, step: Step, *more: str) -> list[str]:
    chosen = () if verb == "compile" else step.chosen
    return [sys.executable, "-m", "aprgen", verb, str(model.rfile()), *step.words, *chosen, *more]


def generate_model(target: Sequence[File], source: Sequence[File], env: Environment) -> None:
    step: Step = env["APR_STEP"]
    out = Path(str(target[0])).parent
    how = step.search or ("--no-measure",)
    _execute(_aprgen("compile", source[0], step, "--name", step.name, "-o", str(out), *how), target[0])
    # The model decides which headers it includes; all are declared, so all must be there.
    for name, path in headers_of(step.target).items():
        if not (out / name).exists():
            shutil.copyfile(path, out / name)


def generate_bundle(target: Sequence[File], source: Sequence[File], env: Environment) -> None:
    step: Step = env["APR_STEP"]
    out = Path(str(target[0])).parent
    described = env["APR_WORDS"]
    models = [f"{before}{file.rfile()}{behind}" for (before, behind), file in zip(described, source, strict=False)]
    options = ("--name", step.name, "-o", str(out), "--tools", step.tools, "--format", "json")
    report = _execute(
        [sys.executable, "-m", "aprgen", "bundle", *models, *step.words, *options, *env["APR_MORE"]], target[0]
    )
    for name, path in headers_of(step.target).items():
        if not (out / name).exists():
            shutil.copyfile(path, out / name)
    Path(str(target[-1])).write_text(report, encoding="utf-8")


def generate_loader(target: Sequence[File], source: Sequence[File], env: Environment) -> None:
    step: Step = env["APR_STEP"]
    out = str(Path(str(target[0])).parent)
    _execute([sys.executable, "-m", "aprgen", "loader", "-o", out, *step.words, *env["APR_MORE"]], target[0])


def compile_loader(target: Sequence[File], source: Sequence[File], env: Environment) -> None:
    step: Step = env["APR_STEP"]
    planned: LoaderUnit = env["APR_UNIT"]
    if step.toolchain is None:
        raise BuildError(target[0], step.problem, status=7)
    root = Path(source[1].abspath).parent
    out = Path(target[0].abspath)
    unit = Unit(Path(source[0].abspath), out, planned.flags, tuple(root / name for name in planned.include))
    try:
        compile_units(step.toolchain, (unit,), out.parent)
    except AprgenError as error:
        raise BuildError(target[0], str(error), status=error.exit_status) from error


def compile_model(target: Sequence[File], source: Sequence[File], env: Environment) -> None:
    step: Step = env["APR_STEP"]
    if step.toolchain is None:
        raise BuildError(target[0], step.problem, status=7)
    path, out = Path(source[0].abspath), Path(target[0].abspath)
    rule = step.toolchain.rule
    unit = Unit(path, out, ("-fstack-usage",) if rule.stack_usage else (), (path.parent,), rule.always_marked)
    try:
        compile_units(step.toolchain, (unit,), out.parent)
    except AprgenError as error:
        raise BuildError(target[0], str(error), status=error.exit_status) from error
    unit.assembly.unlink(missing_ok=True)


def bound_time(target: Sequence[File], source: Sequence[File], env: Environment) -> None:
    """Run the analysis, and make sure that what it analysed is what was built."""
    step: Step = env["APR_STEP"]
    out = Path(target[0].abspath)
    with tempfile.TemporaryDirectory(prefix="aprgen-") as work:
        analysed = Path(work) / "analysed.o"
        files = ("--json", str(out), "--object", str(analysed))
        _execute(
            _aprgen("wcet", source[0], step, "--name", step.name, "--tools", step.tools, *env["APR_WORDS"], *files),
            target[0],
        )
        try:
            same = loaded_contents(analysed) == loaded_contents(Path(source[1].abspath))
        except AprgenError as error:
            raise BuildError(target[0], str(error), status=error.exit_status) from error
    if not same:
        raise BuildError(target[0], f"the analysed code of {step.name} is not that of {source[1]}", status=1)


def admit(target: Sequence[File], source: Sequence[File], env: Environment) -> None:
    """Measure the object, compare with the budgets, and hand it on: what is too big or too slow cannot be linked."""
    step: Step = env["APR_STEP"]
    budget: Budget = env["APR_BUDGET"]
    assert step.toolchain is not None
    files = {Path(str(node)).name: Path(node.abspath) for node in source}
    report = json.loads(files[f"{step.name}.wcet.json"].read_text(encoding="utf-8")) if budget.has_times else None
    bound = None if report is None else budgets.bound_of(report)
    stack = _stack_bytes(files[f"{step.name}.budget.json"]) if "stack" in budget.limits else None
    if bound is not None and bound.stack_bytes is not None:
        stack = max(stack or 0, bound.stack_bytes)
    facts = _facts(files["manifest.json"])
    built = Path(source[0].abspath)
    try:
        with tempfile.TemporaryDirectory(prefix="aprgen-") as work:
            size = measure(Image(step.target, step.toolchain, facts, Path(work), built, built, 0, 0))
        check_budget(size, step.target, stack_bytes=stack)
        needs = {"flash": size.flash_bytes, "ram": size.ram_bytes + (stack or 0), "stack": stack or 0}
        budgets.check_budget(step.name, step.target, needs, budget, bound)
    except AprgenError as error:
        raise BuildError(target[0], str(error), status=error.exit_status) from error
    shutil.copyfile(built, str(target[0]))
    facts_of_size = _footprint_facts(size, stack, budget.limits, bound)
    Path(str(target[1])).write_text(json.dumps(facts_of_size, indent=2) + "\n")
    if report is not None:
        Path(str(target[2])).write_text(header(report) + budgets.checks(step.name.upper(), budget), encoding="utf-8")


def _facts(manifest: Path) -> ModelFacts:
    facts = json.loads(manifest.read_text(encoding="utf-8"))
    kind = _KINDS[facts["input"]]
    classifies = f"{facts['name']}_classify" in facts["functions"]
    return ModelFacts(facts["name"], kind, facts["n_features"], facts["n_outputs"], classifies)


def _stack_bytes(report: Path) -> int:
    """The largest stack that was measured, from the report of `aprgen test`."""
    outcome = json.loads(report.read_text(encoding="utf-8"))["targets"][0]
    sizes: Mapping[str, int] = outcome["execution"]["stack_bytes"]
    return max(sizes.values())


def _footprint_facts(
    size: Footprint, stack: int | None, limits: Mapping[str, int], bound: Bound | None
) -> dict[str, object]:
    return {
        "flash_bytes": size.flash_bytes,
        "text_bytes": size.text_bytes,
        "rodata_bytes": size.rodata_bytes,
        "data_bytes": size.data_bytes,
        "bss_bytes": size.bss_bytes,
        "ram_bytes": size.ram_bytes,
        "library_bytes": size.library_bytes,
        "stack_bytes": stack,
        "wcet_cycles": None if bound is None else bound.cycles,
        "budget": dict(limits),
    }


def verify(target: Sequence[File], source: Sequence[File], env: Environment) -> None:
    step: Step = env["APR_STEP"]
    words = _aprgen("test", source[0], step, "--tools", step.tools, "--rows", env["APR_ROWS"], "--format", "json")
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = _failure(words, done.stdout, done.stderr, done.returncode)
        raise BuildError(target[0], message + _details(done.stdout), status=done.returncode)
    Path(str(target[0])).write_text(done.stdout, encoding="utf-8")


def _details(report: str) -> str:
    """The first differing row of each pair of sides, from a failed report."""
    try:
        outcomes = json.loads(report)["targets"]
    except (ValueError, KeyError):  # it failed before it could report
        return ""
    return "".join(f"\n  {detail}" for outcome in outcomes for detail in outcome.get("details", ()))


def run_program(target: Sequence[File], source: Sequence[File], env: Environment) -> None:
    words = [word.replace("{program}", str(source[0].abspath)) for word in env["APR_WORDS"]]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # QEMU's semihosting writes there
            text=True,
            timeout=env["APR_SECONDS"],
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        printed = (error.stdout or b"").decode("utf-8", "replace")
        raise BuildError(target[0], f"{printed}\nno end within {env['APR_SECONDS']:g} s", status=7) from error
    except OSError as error:
        raise BuildError(target[0], f"{words[0]} could not be started: {error.strerror}", status=7) from error
    if done.returncode != 0:
        message = f"{done.stdout}\nexit status {done.returncode}: {shlex.join(words)}"
        raise BuildError(target[0], message, status=done.returncode)
    Path(str(target[0])).write_text(done.stdout, encoding="utf-8")
