"""Which runner runs a target on this machine. Knows the kinds that a target file may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aprgen.errors import ToolchainError, UsageError
from aprgen.runners.emulated import find_qemu_system, find_qemu_user
from aprgen.runners.execution import Runner
from aprgen.runners.native import find_native
from aprgen.runners.stepped import find_unicorn
from aprgen.runners.web import find_node, find_wasmtime
from aprgen.target import RunRule, Target, how_to_install

_KINDS: Mapping[str, Callable[[Target, RunRule, str | None], Runner | str]] = {
    "native": find_native,
    "qemu-system": find_qemu_system,
    "qemu-user": find_qemu_user,
    "unicorn": find_unicorn,
    "node": find_node,
    "wasmtime": find_wasmtime,
}


def runner_for(target: Target, prefer: str = "auto", search_path: str | None = None) -> Runner:
    """The first runner of the target that works here.

    prefer: "auto", "system" or "pypi" (only runners of that origin; this machine itself is of any), or a kind such
    as "unicorn".
    search_path: where to look instead of PATH.
    """
    for rule in target.runs:
        if rule.kind not in _KINDS:
            raise UsageError(
                "target.runner", f"{rule.kind!r} is no kind of runner", where=f"run of target {target.name}",
                hint=f"use one of: {', '.join(_KINDS)}",
            )  # fmt: skip
    asked = [rule for rule in target.runs if prefer in ("auto", rule.origin, rule.kind) or rule.origin == "none"]
    reasons = []
    for rule in asked:
        found = _KINDS[rule.kind](target, rule, search_path)
        if not isinstance(found, str):
            return found
        reasons.append(found)
    if not reasons:
        raise ToolchainError(
            "runner.preference", f"target {target.name} has no runner {prefer!r}", where=f"target {target.name}",
            hint=f"use auto or one of: {', '.join(rule.kind for rule in target.runs)}",
        )  # fmt: skip
    raise ToolchainError(
        "runner.missing", f"nothing here runs {target.name}: {'; '.join(reasons)}", where=f"target {target.name}",
        hint=how_to_install(rule for rule in asked if rule.origin != "none"),
    )  # fmt: skip
