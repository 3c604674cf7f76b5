"""`aprgen targets`: the targets, what they are, and whether this machine can build for them and run them.

Knows what is worth showing of a target.
"""

from __future__ import annotations

from aprgen.cli.printable import byte_count, visible
from aprgen.cli.report import print_json
from aprgen.cli.requests import Targets
from aprgen.cli.screen import BAD, DIM, GOOD, Cell, Line, console, print_box, print_table
from aprgen.errors import ToolchainError
from aprgen.runners.choose import runner_for
from aprgen.target import Target, load_target, target_names
from aprgen.toolchain import compiler_version, find_toolchain


def targets_command(request: Targets) -> int:
    """A missing compiler or runner is information here, not a failure."""
    chosen = [load_target(request.name)] if request.name else [load_target(name) for name in target_names()]
    reports = [_facts(target, detailed=bool(request.name)) for target in chosen]
    if request.format == "json":
        print_json({"targets": reports})
    elif request.name:
        _print_one(chosen[0])
    else:
        _print_all(chosen)
    return 0


def _compiler(target: Target) -> tuple[str | None, str]:
    """The compiler's name, or why there is none."""
    try:
        return find_toolchain(target).name, ""
    except ToolchainError as error:
        return None, f"{error.what}; {error.hint}"


def _runner(target: Target) -> tuple[str | None, str]:
    try:
        return runner_for(target).description, ""
    except ToolchainError as error:
        return None, f"{error.what}; {error.hint}"


def _facts(target: Target, *, detailed: bool) -> dict[str, object]:
    compiler, no_compiler = _compiler(target)
    runner, no_runner = _runner(target)
    memory = target.memory
    facts: dict[str, object] = {
        "name": target.name,
        "summary": target.summary,
        "float_unit": target.float_unit,
        "flash_bytes": None if memory is None else memory.flash_bytes,
        "ram_bytes": None if memory is None else memory.ram_bytes,
        "compiler": compiler,
        "compiler_missing": no_compiler or None,
        "runner": runner,
        "runner_missing": no_runner or None,
        "sha256": target.sha256,
    }
    if detailed:
        cost = target.cost
        facts |= {
            "templates": list(target.templates),
            "runtime": list(target.runtime),
            "harness": list(target.harness),
            "support": list(target.support),
            "cost": {
                "float_compare": cost.float_compare,
                "integer_compare": cost.integer_compare,
                "float_to_key": cost.float_to_key,
            },
            "toolchains": [
                {"name": rule.name, "origin": rule.origin, "package": rule.package, "cflags": list(rule.cflags)}
                for rule in target.builds
            ],
            "kernels": [
                {"name": one.name, "target": None if one.target is None else one.target.name, "needs": list(one.needs)}
                for one in target.variants
            ],
            "runners": [{"kind": rule.kind, "origin": rule.origin, "package": rule.package} for rule in target.runs],
        }
    return facts


def _print_all(targets: list[Target]) -> None:
    rows = []
    for target in targets:
        compiler, _ = _compiler(target)
        runner, _ = _runner(target)
        rows.append(
            (
                Cell(visible(target.name), "bold"),
                visible(target.summary),
                target.float_unit,
                _found(compiler),
                _found(runner),
            )
        )
    print_table(console(), "", ("target", "summary", "float unit", "compiler", "runner"), rows)


def _found(name: str | None) -> Cell:
    return Cell("missing", BAD) if name is None else Cell(visible(name), GOOD)


def _print_one(target: Target) -> None:
    out = console()
    compiler, no_compiler = _compiler(target)
    runner, no_runner = _runner(target)
    cost = target.cost
    lines = [
        Line("summary", visible(target.summary)),
        Line("float unit", target.float_unit),
        Line("cycles", f"float compare {cost.float_compare}, integer compare {cost.integer_compare}"),
        Line("templates", ", ".join(map(visible, target.templates))),
        Line("runtime", ", ".join(map(visible, target.runtime)) or "the portable one"),
    ]
    if target.memory is not None:
        lines += [
            Line("flash", byte_count(target.memory.flash_bytes)),
            Line("RAM", byte_count(target.memory.ram_bytes)),
        ]
    lines.append(Line("sha256", target.sha256, DIM))
    print_box(out, visible(target.name), lines)
    if target.variants:
        kernels = [Line(visible(one.name), visible(", ".join(one.needs)) or "any") for one in target.variants]
        print_box(out, "kernels, picked by the CPU", kernels)
    tools = [
        Line(rule.name, visible(f"{rule.origin}, package {rule.package}: {' '.join(rule.cflags)}"))
        for rule in target.builds
    ]
    if compiler is None:
        tools.append(Line("found", visible(no_compiler), BAD))
    else:
        tools.append(Line("found", visible(compiler_version(find_toolchain(target))), GOOD))
    print_box(out, "compilers", tools)
    runs = [Line(rule.kind, visible(f"{rule.origin}, {rule.package or 'nothing to install'}")) for rule in target.runs]
    runs.append(Line("found", visible(no_runner), BAD) if runner is None else Line("found", visible(runner), GOOD))
    print_box(out, "runners", runs)
