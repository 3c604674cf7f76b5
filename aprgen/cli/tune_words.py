"""The words of `aprgen tune`: measure a model, merge files of records, or evaluate one. Imports nothing heavy."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aprgen.cli.protection import Format, Opening, add_opening, opening_of
from aprgen.cli.reading import add_reading
from aprgen.errors import UsageError

RECORDS = Path("records.json")
ROWS, SECONDS = 1000, 30.0  # as in tuning.py, which is too heavy to import here


@dataclass(frozen=True)
class Tune:
    """records: the file to add to. rows: of a call. seconds: for each model."""

    models: tuple[Path, ...]
    target: str
    rows: int
    seconds: float
    records: Path
    struct: str | None
    opening: Opening
    tools: str
    format: Format


@dataclass(frozen=True)
class Merge:
    files: tuple[Path, ...]
    out: Path
    format: Format


@dataclass(frozen=True)
class Evaluate:
    file: Path
    format: Format


def add_tune(
    verb: Callable[[str, str, str], argparse.ArgumentParser], count: Callable[[str], int],
    positive: Callable[[str], float],
) -> None:  # fmt: skip
    one = verb(
        "tune", "Measure strategies for blocks of rows on this machine, and keep records that --tuned reads.",
        "aprgen tune MODEL ... --target T [options] | --merge FILE ... -o OUT | --evaluate FILE",
    )  # fmt: skip
    one.add_argument("models", metavar="MODEL", type=Path, nargs="*", help=".apr files")
    one.add_argument("--target", "-t", metavar="T", help="a target's name or TOML file, which runs on this machine")
    one.add_argument("--rows", metavar="N", type=count, default=ROWS, help=f"rows of a call, 256 or more ({ROWS})")
    one.add_argument(
        "--seconds", metavar="S", type=positive, default=SECONDS, help=f"measure each model for about S ({SECONDS:g})"
    )
    one.add_argument(
        "--records", metavar="FILE", type=Path, default=RECORDS, help=f"the file to add the records to ({RECORDS})"
    )
    one.add_argument("--merge", metavar="FILE", type=Path, nargs="+", help="files of records to make one of")
    one.add_argument("-o", "--out", metavar="OUT", type=Path, help="with --merge: the file to write")
    one.add_argument("--evaluate", metavar="FILE", type=Path, help="say how well costs learned from it choose")
    one.add_argument("--as", dest="struct", metavar="STRUCT", help="the payload's struct, where the file cannot tell")
    add_opening(one)
    add_reading(one)
    one.add_argument("--tools", metavar="FROM", default="auto", help="auto, system or pypi, or a toolchain's name")


def tune_of(n: argparse.Namespace) -> Tune | Merge | Evaluate:
    asked = [bool(n.models), n.merge is not None, n.evaluate is not None]
    if sum(asked) != 1:
        raise _wrong("give models to measure, or --merge, or --evaluate: one of them", "see aprgen tune --help")
    if n.evaluate is not None:
        return Evaluate(n.evaluate, n.format)
    if n.merge is not None:
        if n.out is None:
            raise _wrong("merged records need a file", "add -o OUT")
        return Merge(tuple(n.merge), n.out, n.format)
    if n.target is None:
        raise _wrong("nothing says what to tune for", "add --target T, such as x86-avx2")
    if n.out is not None:
        raise _wrong("-o belongs to --merge", "records are added to --records FILE")
    if n.rows < 256:
        raise _wrong("a call of fewer than 256 rows does not show what blocks take", "give --rows 256 or more")
    return Tune(
        tuple(n.models), n.target, n.rows, n.seconds, n.records, n.struct, opening_of(n), n.tools, n.format
    )  # fmt: skip


def _wrong(what: str, hint: str) -> UsageError:
    return UsageError("usage.arguments", what, where="the words after aprgen tune", hint=hint)
