"""The sources of the device's loader for one target: which files, which macros, and which other people's C.

Makes texts; knows no compiler. What the parts are stands in `third_party`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aprgen.core import runtime_headers
from aprgen.errors import UsageError
from aprgen.resources import folder
from aprgen.target import EXACT_FLAGS, Target
from aprgen.third_party import Part, parts, taken

SOURCES = ("apr_load.c", "apr_meta.c", "apr_parts.c", "apr_view.c", "apr_view_run.c", "apr_view_text.c")
GROUPS = ("trees", "dense", "distances", "gauss", "functions", "powers", "text")  # APR_VIEW_* of apr_view.h
CRC_TABLES = (0, 64, 1024, 4096)  # bytes
THIRD_PARTY = "third_party"  # the folder of other people's C; the freestanding headers stand there too
FLAGS_FILE = "apr_flags.txt"
SMALL = "-Os"  # for parts on a board: loading happens once, and flash counts


@dataclass(frozen=True)
class LoaderUnit:
    """A C file in the loader's folder. flags: beside those of the target; include: folders of it that have headers."""

    path: str
    flags: tuple[str, ...]
    include: tuple[str, ...] = (".",)


@dataclass(frozen=True)
class LoaderPlan:
    """What a loader is made of, before anything is fetched."""

    target: Target
    parts: tuple[Part, ...]
    without: tuple[str, ...]
    crc_table: int

    @property
    def macros(self) -> dict[str, str]:
        """For every C file that includes the loader's headers."""
        with_ = {part.macro: str(int(part in self.parts)) for part in parts().values()}
        groups = {f"APR_VIEW_{group.upper()}": str(int(group not in self.without)) for group in GROUPS}
        return {**with_, **groups, "APR_CRC_TABLE_BYTES": str(self.crc_table)}

    @property
    def defines(self) -> tuple[str, ...]:
        return tuple(f"-D{name}={value}" for name, value in self.macros.items())

    @property
    def units(self) -> tuple[LoaderUnit, ...]:
        """What is compiled. Other people's code gives no warnings, and sees no headers but its own."""
        base = [name for name in SOURCES if "text" not in self.without or name != "apr_view_text.c"]
        own = [name for part in self.parts for name in part.own if name.endswith(".c")]
        others = [(name, part) for part in self.parts for name in part.units]
        on_board = self.target.board is not None
        small = (SMALL,) if on_board else ()
        flags = {part: (*part.flags, *(part.small if on_board else ()), *small, "-w") for part in self.parts}
        return (
            *(LoaderUnit(name, self.defines) for name in base),
            *(LoaderUnit(name, (*self.defines, *small), (".", THIRD_PARTY)) for name in own),
            *(LoaderUnit(f"{THIRD_PARTY}/{name}", flags[part], (THIRD_PARTY,)) for name, part in others),
        )


def plan_loader(
    target: Target, with_: Sequence[str] = (), without: Sequence[str] = (), crc_table: int = 64
) -> LoaderPlan:
    """Check the names; parts and groups come in their usual order."""
    for word, known, what in (*((w, tuple(parts()), "part") for w in with_), *((w, GROUPS, "group") for w in without)):
        if word not in known:
            raise UsageError(
                f"loader.{what}", f"the loader has no {what} {word!r}",
                where="--with" if what == "part" else "--without", hint=f"there are {', '.join(known)}",
            )  # fmt: skip
    if crc_table not in CRC_TABLES:
        raise UsageError(
            "loader.crc", f"there is no table of {crc_table} bytes for the checksum", where="--crc-table",
            hint=f"choose one of {', '.join(map(str, CRC_TABLES))}",
        )  # fmt: skip
    chosen = tuple(part for name, part in parts().items() if name in with_)
    return LoaderPlan(target, chosen, tuple(group for group in GROUPS if group in without), crc_table)


def own_texts(plan: LoaderPlan) -> dict[str, str]:
    """The files of runtime_c that the loader is made of: they are there without a registry."""
    own = [name for part in plan.parts for name in part.own]
    names = [unit.path for unit in plan.units if "/" not in unit.path]
    return runtime_headers("".join(f'#include "{name}"\n' for name in (*names, *own)), plan.target)


def loader_texts(plan: LoaderPlan, archives: Path | None = None) -> tuple[dict[str, str], dict[str, str]]:
    """The files of the loader's folder, and those of its folder third_party (none without parts)."""
    others: dict[str, str] = {}
    for part in plan.parts:
        others.update(taken(part, archives))
    if others:
        for path in sorted((folder("runtime_c") / "freestanding").glob("*.h")):
            others[path.name] = path.read_text(encoding="utf-8")
    texts = own_texts(plan)
    texts[FLAGS_FILE] = "\n".join((*EXACT_FLAGS, *plan.defines)) + "\n"
    texts["loader.json"] = json.dumps(_manifest(plan, texts, others), indent=2) + "\n"
    return texts, others


def _manifest(plan: LoaderPlan, texts: Mapping[str, str], others: Mapping[str, str]) -> dict[str, object]:
    files = {**texts, **{f"{THIRD_PARTY}/{name}": text for name, text in others.items()}}
    return {
        "tool": "aprgen loader",
        "target": plan.target.name,
        "macros": plan.macros,
        "parts": [
            {
                "name": part.name, "summary": part.summary, "package": part.package, "version": part.version,
                "archive": part.archive, "sha256": part.sha256, "licence": part.licence,
            }
            for part in plan.parts
        ],
        "units": [
            {"file": unit.path, "flags": [*unit.flags, *(f"-I{name}" for name in unit.include)]} for unit in plan.units
        ],
        "files": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sorted(files.items())},
    }  # fmt: skip
