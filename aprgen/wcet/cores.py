"""Which core a compiler makes code for, and what can be said of it: cycles by a table, or counts.

Knows the compilers' flags that name a core. Measures nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from aprgen.errors import UnsupportedError, UsageError
from aprgen.target import Target
from aprgen.toolchain import Toolchain
from aprgen.wcet.timing import Figures, Timing, counting, load_timing, timing_cores, with_figures

_CPU = re.compile(r"^-mcpu=(cortex[-_]\w+)")


def core_of(toolchain: Toolchain) -> str | None:
    """The core for which the compiler makes code, by its last -mcpu; None where the flags name none."""
    found = [_CPU.match(flag) for flag in (*toolchain.rule.arguments, *toolchain.rule.cflags)]
    named = [one[1].replace("_", "-") for one in found if one is not None]
    return named[-1] if named else None


def require_no_lto(toolchain: Toolchain, target: Target) -> None:
    """Link-time optimisation makes the code anew after the assembly, in which marks and labels have their order."""
    rule = toolchain.rule
    for flag in (*rule.arguments, *rule.cflags, *rule.ldflags, *rule.image_flags):
        if flag.startswith("-flto"):
            raise UnsupportedError(
                "wcet.lto", f"{flag} makes the code anew when linking, after the marks of its loops were read",
                where=f"target {target.name}", hint=f"remove {flag} from the build rule {rule.name} of the target file",
            )  # fmt: skip


def require_one_kind(target: Target) -> None:
    """Which kernels of a package run is known on the CPU alone."""
    if target.variants:
        fixed = [one.target.name for one in target.variants if one.target is not None]
        raise UnsupportedError(
            "wcet.variants", f"{target.name} picks its kernels where it runs, and each takes another time",
            where=f"target {target.name}", hint=f"bound a target with kernels of one kind: host, {', '.join(fixed)}",
        )  # fmt: skip


def timing_of(
    toolchain: Toolchain,
    target: Target,
    options: Mapping[str, int] | None,
    stated: Mapping[str, float | None],
    figures: Figures | None = None,
) -> Timing:
    """The core's table, with the user's figures in it, or counts where there is none.

    stated: what the user says that only a bound of time can use, by option; with counts it is refused.
    """
    core = core_of(toolchain)
    if core is not None and core in timing_cores():
        timing = load_timing(core, options or {})
        return timing if figures is None else with_figures(timing, figures)
    name = core or target.name
    useless = {**stated, "--core-option": len(options or {}) or None, "--timing": None if figures is None else 1}
    for option, value in useless.items():
        if value is not None:
            raise UsageError(
                "wcet.no_time", f"time is not bounded on {name}: there, instructions are counted", where=option,
                hint=f"leave {option} out, or choose {', '.join(timing_cores())}",
            )  # fmt: skip
    return counting(name, "instructions")
